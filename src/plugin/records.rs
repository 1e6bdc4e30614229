//! The records of one chunk on their way through the chain: owned columns that hooks' answers are applied to.

use super::columns::{Column, HeaderColumns, NULL};
use super::roles::{Batch, Edit, Edits, HeaderReads, Reads, Serialized, Side};
use crate::plugin::columns::{ColumnRef, TopicColumnRef};
use std::ops::Range;
use std::sync::Arc;

/// Records in columns. Record `i` of every column is the same record; [`Records::slots`] says which of the chunk's
/// deliveries it belongs to, since records that fail on the way are taken out.
#[derive(Clone, Debug, Default)]
pub struct Records {
    /// The topics of the chunk.
    pub topics: Vec<Arc<str>>,
    /// Index in `topics` of each record.
    pub topic_of: Vec<u32>,
    /// −1: not chosen yet.
    pub partitions: Vec<i32>,
    /// Milliseconds since the Unix epoch.
    pub timestamps: Vec<i64>,
    /// Keys.
    pub keys: Column,
    /// Values.
    pub values: Column,
    /// Headers. No counts at all while no record has any.
    pub headers: HeaderColumns,
    /// Which delivery of the chunk each record belongs to, ascending.
    pub slots: Vec<u32>,
    staged: Staged,
}

/// Keys and values as they were staged, where a hook has replaced them. [`Records::clear`] makes them the columns to be
/// filled again: what senders write to is theirs, what hooks answered stays with the lane's thread, and neither has to
/// fetch memory from the other's core.
#[derive(Debug, Default)]
struct Staged {
    keys: Column,
    values: Column,
}

impl Clone for Staged {
    /// A copy of records is not filled again.
    fn clone(&self) -> Staged {
        Staged::default()
    }
}

impl Records {
    /// How many records.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Takes all records out and keeps the allocations.
    pub fn clear(&mut self) {
        self.topics.clear();
        self.topic_of.clear();
        self.partitions.clear();
        self.timestamps.clear();
        let Staged { keys, values } = std::mem::take(&mut self.staged);
        for (column, staged) in [(&mut self.keys, keys), (&mut self.values, values)] {
            if staged.has_room() {
                *column = staged;
            }
            column.clear();
        }
        self.headers.clear();
        self.slots.clear();
    }

    /// Adds a record that has its own slot, the next one.
    pub fn push<'h>(
        &mut self,
        topic: &Arc<str>,
        partition: Option<i32>,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: impl ExactSizeIterator<Item = (&'h [u8], Option<&'h [u8]>)>,
    ) {
        // Chunks hold few topics, and mostly the one that came last.
        let topic_at = match self.topics.iter().rposition(|known| Arc::ptr_eq(known, topic)) {
            Some(at) => at,
            None => {
                self.topics.push(Arc::clone(topic));
                self.topics.len() - 1
            }
        };
        let count = headers.len() as u32;
        if count > 0 && self.headers.counts.is_empty() {
            self.headers.counts.resize(self.slots.len(), 0);
        }
        if count > 0 || !self.headers.counts.is_empty() {
            self.headers.counts.push(count);
        }
        for (name, value) in headers {
            self.headers.names.push(Some(name));
            self.headers.values.push(value);
        }
        self.topic_of.push(topic_at as u32);
        self.partitions.push(partition.unwrap_or(NULL));
        self.timestamps.push(timestamp);
        self.keys.push(key);
        self.values.push(value);
        self.slots.push(self.slots.len() as u32);
    }

    /// The timestamp of each slot, of so many; −1 where its record is gone.
    pub fn timestamps_by_slot(&self, slots: usize) -> Vec<i64> {
        if self.len() == slots {
            return self.timestamps.clone();
        }
        let mut by_slot = vec![-1; slots];
        for (&slot, &timestamp) in self.slots.iter().zip(&self.timestamps) {
            by_slot[slot as usize] = timestamp;
        }
        by_slot
    }

    /// Names of the topics, for [`Records::batch`] and the like.
    pub fn topic_names(&self) -> Vec<&str> {
        self.topics.iter().map(|topic| &**topic).collect()
    }

    /// The topic column. `names` is from [`Records::topic_names`].
    pub fn topic_column<'a>(&'a self, names: &'a [&'a str]) -> TopicColumnRef<'a> {
        let indexes = if names.len() == 1 { &[][..] } else { &self.topic_of[..] };
        TopicColumnRef { names, indexes }
    }

    /// What a hook that reads `reads` is given. `headers` is from [`Records::read_headers`].
    pub fn batch<'a>(&'a self, reads: &Reads, names: &'a [&'a str], headers: &'a Option<HeaderColumns>) -> Batch<'a> {
        let fields = reads.fields;
        Batch {
            count: self.len(),
            topics: fields.topic.then(|| self.topic_column(names)),
            partitions: fields.partition.then_some(&self.partitions[..]),
            timestamps: fields.timestamp.then_some(&self.timestamps[..]),
            keys: fields.key.then(|| self.keys.as_ref()),
            values: fields.value.then(|| self.values.as_ref()),
            headers: headers.as_ref().map(HeaderColumns::as_ref),
        }
    }

    /// The headers that a hook reads, as columns of their own.
    pub fn read_headers(&self, reads: &HeaderReads) -> Option<HeaderColumns> {
        let wanted = |name: &[u8]| match reads {
            HeaderReads::None => false,
            HeaderReads::All => true,
            HeaderReads::Named(names) => names.iter().any(|wanted| wanted.as_bytes() == name),
        };
        match reads {
            HeaderReads::None => return None,
            HeaderReads::All if !self.headers.counts.is_empty() => return Some(self.headers.clone()),
            HeaderReads::All | HeaderReads::Named(_) => {}
        }
        let mut read = HeaderColumns::default();
        if self.headers.counts.is_empty() {
            read.counts.resize(self.len(), 0);
            return Some(read);
        }
        let mut each = self.headers.as_ref().each();
        for &count in &self.headers.counts {
            let mut kept = 0;
            for (name, value) in each.by_ref().take(count as usize) {
                if wanted(name) {
                    read.names.push(Some(name));
                    read.values.push(value);
                    kept += 1;
                }
            }
            read.counts.push(kept);
        }
        Some(read)
    }

    /// Applies what on-send answered for a range of records. The answer has been checked against the contract;
    /// dropped and refused records are the caller's business.
    pub fn apply(&mut self, range: Range<usize>, edits: Edits) {
        let whole = range == (0..self.len());
        let Edits { topics, partitions, timestamps, keys, values, removed_headers, added_headers, .. } = edits;
        if let Some(Edit { indexes, content }) = topics {
            let known: Vec<u32> = content.names.iter().map(|name| self.intern(name)).collect();
            for (nth, at) in targets(&indexes, &range).enumerate() {
                self.topic_of[at] = known[content.indexes.get(nth).map_or(0, |&index| index as usize)];
            }
        }
        if let Some(Edit { indexes, content }) = partitions {
            for (at, partition) in targets(&indexes, &range).zip(content) {
                self.partitions[at] = partition;
            }
        }
        if let Some(Edit { indexes, content }) = timestamps {
            for (at, timestamp) in targets(&indexes, &range).zip(content) {
                self.timestamps[at] = timestamp;
            }
        }
        let staged = &mut self.staged;
        for (edit, column, staged) in
            [(keys, &mut self.keys, &mut staged.keys), (values, &mut self.values, &mut staged.values)]
        {
            match edit {
                Some(Edit { indexes, content }) if indexes.is_empty() && whole => put(column, content, staged),
                Some(Edit { indexes, content }) => replace(column, targets(&indexes, &range), content.as_ref()),
                None => {}
            }
        }
        for removal in &removed_headers {
            self.remove_headers(&removal.name, targets(&removal.indexes, &range));
        }
        if let Some(added) = added_headers {
            self.add_headers(range, added);
        }
    }

    /// Applies what a serializer answered for a range of records.
    pub fn apply_serialized(&mut self, side: Side, range: Range<usize>, answer: Serialized) {
        let whole = range == (0..self.len());
        let staged = &mut self.staged;
        let (column, staged) = match side {
            Side::Key => (&mut self.keys, &mut staged.keys),
            Side::Value => (&mut self.values, &mut staged.values),
        };
        if whole {
            put(column, answer.payloads, staged);
        } else {
            replace(column, targets(&[], &range), answer.payloads.as_ref());
        }
        if let Some(added) = answer.added_headers {
            self.add_headers(range, added);
        }
    }

    /// Makes some records, by ascending index, what they are in `before`, an earlier state of the same records.
    pub(super) fn put_back(&mut self, before: &Records, indexes: &[u32]) {
        for at in indexes.iter().map(|&at| at as usize) {
            // Topics are only ever added.
            self.topic_of[at] = before.topic_of[at];
            self.partitions[at] = before.partitions[at];
            self.timestamps[at] = before.timestamps[at];
        }
        let is_back = |at: usize| indexes.binary_search(&(at as u32)).is_ok();
        self.keys = either(self.keys.as_ref(), before.keys.as_ref(), is_back);
        self.values = either(self.values.as_ref(), before.values.as_ref(), is_back);
        if self.headers.counts.is_empty() {
            return;
        }
        let mut mixed = HeaderColumns::default();
        let (mut now, mut then) = (self.headers.as_ref().each(), before.headers.as_ref().each());
        for (at, &count) in self.headers.counts.iter().enumerate() {
            let count_then = before.headers.counts.get(at).copied().unwrap_or(0);
            let (is_back, mut left) = (is_back(at), 0);
            let new = now.by_ref().take(count as usize).map(|header| (header, !is_back));
            let old = then.by_ref().take(count_then as usize).map(|header| (header, is_back));
            for ((name, value), _) in new.chain(old).filter(|(_, stays)| *stays) {
                mixed.names.push(Some(name));
                mixed.values.push(value);
                left += 1;
            }
            mixed.counts.push(left);
        }
        self.headers = mixed;
    }

    /// Takes out records, by ascending index.
    pub fn remove(&mut self, dead: &[u32]) {
        if dead.is_empty() {
            return;
        }
        let mut is_dead = vec![false; self.len()];
        for &at in dead {
            is_dead[at as usize] = true;
        }
        let keep = |at: usize| !is_dead[at];
        retain(&mut self.topic_of, keep);
        retain(&mut self.partitions, keep);
        retain(&mut self.timestamps, keep);
        retain(&mut self.slots, keep);
        self.keys = filtered(self.keys.as_ref(), keep);
        self.values = filtered(self.values.as_ref(), keep);
        if !self.headers.counts.is_empty() {
            let mut kept = HeaderColumns::default();
            let mut each = self.headers.as_ref().each();
            for (at, &count) in self.headers.counts.iter().enumerate() {
                for (name, value) in each.by_ref().take(count as usize) {
                    if keep(at) {
                        kept.names.push(Some(name));
                        kept.values.push(value);
                    }
                }
                if keep(at) {
                    kept.counts.push(count);
                }
            }
            self.headers = kept;
        }
    }

    /// Keeps these records only, by ascending index.
    pub fn retain(&mut self, kept: &[u32]) {
        let mut kept = kept.iter().copied().peekable();
        let gone: Vec<u32> = (0..self.len() as u32).filter(|at| kept.next_if_eq(at).is_none()).collect();
        self.remove(&gone);
    }

    /// What they take while they wait, in bytes.
    pub fn staged_bytes(&self) -> usize {
        let headers = self.headers.names.data.len() + self.headers.values.data.len() + 8 * self.headers.names.len();
        100 * self.len() + self.keys.data.len() + self.values.data.len() + headers
    }

    fn intern(&mut self, name: &str) -> u32 {
        let at = self.topics.iter().position(|known| **known == *name).unwrap_or_else(|| {
            self.topics.push(name.into());
            self.topics.len() - 1
        });
        at as u32
    }

    fn remove_headers(&mut self, name: &str, mut targets: impl Iterator<Item = usize>) {
        if self.headers.counts.is_empty() {
            return;
        }
        let mut kept = HeaderColumns::default();
        let mut each = self.headers.as_ref().each();
        let mut target = targets.next();
        for (at, &count) in self.headers.counts.iter().enumerate() {
            let hit = target == Some(at);
            let mut left = 0;
            for (header, value) in each.by_ref().take(count as usize) {
                if !hit || header != name.as_bytes() {
                    kept.names.push(Some(header));
                    kept.values.push(value);
                    left += 1;
                }
            }
            kept.counts.push(left);
            if hit {
                target = targets.next();
            }
        }
        self.headers = kept;
    }

    fn add_headers(&mut self, range: Range<usize>, added: HeaderColumns) {
        if added.names.is_empty() {
            return;
        }
        if self.headers.names.is_empty() && range == (0..self.len()) {
            self.headers = added;
            return;
        }
        if self.headers.counts.is_empty() {
            self.headers.counts.resize(self.len(), 0);
        }
        let mut merged = HeaderColumns::default();
        let mut old = self.headers.as_ref().each();
        let mut new = added.as_ref().each();
        for (at, &count) in self.headers.counts.iter().enumerate() {
            let more = if range.contains(&at) { added.counts[at - range.start] } else { 0 };
            for (name, value) in old.by_ref().take(count as usize).chain(new.by_ref().take(more as usize)) {
                merged.names.push(Some(name));
                merged.values.push(value);
            }
            merged.counts.push(count + more);
        }
        self.headers = merged;
    }
}

/// The records that an edit's indexes mean, as indexes of all records.
fn targets<'a>(indexes: &'a [u32], range: &Range<usize>) -> impl Iterator<Item = usize> + use<'a> {
    let every = if indexes.is_empty() { range.clone() } else { 0..0 };
    let start = range.start;
    every.chain(indexes.iter().map(move |&index| start + index as usize))
}

/// Replaces a column; the first one is put away.
fn put(column: &mut Column, content: Column, staged: &mut Column) {
    let before = std::mem::replace(column, content);
    if !staged.has_room() {
        *staged = before;
    }
}

fn replace(column: &mut Column, mut targets: impl Iterator<Item = usize>, content: ColumnRef<'_>) {
    let mut replaced = Column::default();
    let mut content = content.iter();
    let mut target = targets.next();
    for (at, entry) in column.as_ref().iter().enumerate() {
        if target == Some(at) {
            replaced.push(content.next().flatten());
            target = targets.next();
        } else {
            replaced.push(entry);
        }
    }
    *column = replaced;
}

fn either(column: ColumnRef<'_>, other: ColumnRef<'_>, is_other: impl Fn(usize) -> bool) -> Column {
    let mut mixed = Column::default();
    for (at, (entry, other)) in column.iter().zip(other.iter()).enumerate() {
        mixed.push(if is_other(at) { other } else { entry });
    }
    mixed
}

fn filtered(column: ColumnRef<'_>, keep: impl Fn(usize) -> bool) -> Column {
    let mut kept = Column::default();
    for (_, entry) in column.iter().enumerate().filter(|(at, _)| keep(*at)) {
        kept.push(entry);
    }
    kept
}

fn retain<T>(items: &mut Vec<T>, keep: impl Fn(usize) -> bool) {
    let mut at = 0;
    items.retain(|_| {
        at += 1;
        keep(at - 1)
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::HeaderRemoval;

    type Flat = (Option<Vec<u8>>, Option<Vec<u8>>, Vec<(String, Option<Vec<u8>>)>);

    fn records(count: usize) -> Records {
        let topic: Arc<str> = "orders".into();
        let mut records = Records::default();
        for at in 0..count {
            let header = format!("h{at}");
            let headers: Vec<(&[u8], Option<&[u8]>)> =
                if at % 2 == 1 { vec![(header.as_bytes(), None)] } else { vec![] };
            let key = format!("k{at}");
            records.push(&topic, None, 1000 + at as i64, Some(key.as_bytes()), None, headers.into_iter());
        }
        records
    }

    fn flat(records: &Records) -> Vec<Flat> {
        let mut headers = records.headers.as_ref().each();
        let counts =
            if records.headers.counts.is_empty() { vec![0; records.len()] } else { records.headers.counts.clone() };
        let owned = |entry: Option<&[u8]>| entry.map(<[u8]>::to_vec);
        records
            .keys
            .as_ref()
            .iter()
            .zip(records.values.as_ref().iter())
            .zip(counts)
            .map(|((key, value), count)| {
                let headers = headers.by_ref().take(count as usize);
                let headers = headers.map(|(name, value)| (String::from_utf8(name.to_vec()).unwrap(), owned(value)));
                (owned(key), owned(value), headers.collect())
            })
            .collect()
    }

    fn column(entries: &[Option<&str>]) -> Column {
        let mut column = Column::default();
        for entry in entries {
            column.push(entry.map(str::as_bytes));
        }
        column
    }

    #[test]
    fn edits_reach_the_records_they_name_and_no_other() {
        let mut records = records(4);
        let edits = Edits {
            values: Some(Edit { indexes: vec![0, 2], content: column(&[Some("v1"), Some("v3")]) }),
            removed_headers: vec![HeaderRemoval { name: "h1".into(), indexes: vec![] }],
            added_headers: Some(HeaderColumns {
                counts: vec![1, 0, 2],
                names: column(&[Some("a"), Some("b"), Some("c")]),
                values: column(&[None, Some("x"), Some("y")]),
            }),
            ..Edits::default()
        };
        records.apply(1..4, edits);
        let name = |name: &str, value: Option<&str>| (name.to_owned(), value.map(|value| value.as_bytes().to_vec()));
        let bytes = |text: &str| Some(text.as_bytes().to_vec());
        assert_eq!(
            flat(&records),
            vec![
                (bytes("k0"), None, vec![]),
                (bytes("k1"), bytes("v1"), vec![name("a", None)]),
                (bytes("k2"), None, vec![]),
                (bytes("k3"), bytes("v3"), vec![name("h3", None), name("b", Some("x")), name("c", Some("y"))]),
            ]
        );
    }

    #[test]
    fn records_that_are_put_back_are_as_they_were() {
        let mut records = records(4);
        let before = records.clone();
        let edits = Edits {
            keys: Some(Edit { indexes: vec![], content: column(&[Some("a"), None, Some("c"), Some("d")]) }),
            timestamps: Some(Edit { indexes: vec![], content: vec![1, 2, 3, 4] }),
            removed_headers: vec![HeaderRemoval { name: "h1".into(), indexes: vec![] }],
            added_headers: Some(HeaderColumns {
                counts: vec![1; 4],
                names: column(&[Some("n"); 4]),
                values: column(&[None; 4]),
            }),
            ..Edits::default()
        };
        records.apply(0..4, edits);
        let edited = flat(&records);
        records.put_back(&before, &[1, 3]);
        let (as_it_was, now) = (flat(&before), flat(&records));
        assert_eq!(records.timestamps, [1, 1001, 3, 1003]);
        assert_eq!([&now[0], &now[1], &now[2], &now[3]], [&edited[0], &as_it_was[1], &edited[2], &as_it_was[3]]);
    }

    #[test]
    fn removed_records_leave_the_others_whole() {
        let mut records = records(5);
        let before = flat(&records);
        records.remove(&[0, 3]);
        assert_eq!(records.slots, [1, 2, 4]);
        assert_eq!(flat(&records), [1, 2, 4].map(|at: usize| before[at].clone()));
        assert_eq!(records.timestamps, [1001, 1002, 1004]);
    }

    #[test]
    fn what_senders_filled_is_filled_again() {
        let mut records = records(3);
        let staged = records.keys.data.as_ptr();
        for _ in 0..2 {
            let payloads = records.keys.clone();
            let answer = Serialized { payloads, added_headers: None, refused: Vec::new() };
            records.apply_serialized(Side::Key, 0..3, answer);
            assert_ne!(records.keys.data.as_ptr(), staged);
        }
        records.clear();
        assert_eq!((records.keys.data.as_ptr(), records.keys.len(), records.keys.data.len()), (staged, 0, 0));
    }

    #[test]
    fn a_hook_reads_only_the_headers_it_named() {
        let records = records(4);
        let read = records.read_headers(&HeaderReads::Named(vec!["h3".into()])).unwrap();
        assert_eq!(read.counts, [0, 0, 0, 1]);
        assert_eq!(read.names, column(&[Some("h3")]));
        assert!(read.as_ref().check(4).is_ok());
        let none = Records::default().read_headers(&HeaderReads::All).unwrap();
        assert!(none.as_ref().check(0).is_ok());
    }
}
