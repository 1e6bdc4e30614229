//! A record as a hook sees it: borrowed from the batch's columns, nothing allocated.

use crate::bindings::types::{self, Batch};
use crate::columns::ColumnCursor;
use std::fmt;
use std::ops::BitOr;

/// A set of a record's fields. Headers are asked for apart, by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fields(u8);

impl Fields {
    /// No field.
    pub const NONE: Fields = Fields(0);
    /// The topic's name.
    pub const TOPIC: Fields = Fields(1);
    /// The partition, as far as it is chosen.
    pub const PARTITION: Fields = Fields(1 << 1);
    /// The record's timestamp.
    pub const TIMESTAMP: Fields = Fields(1 << 2);
    /// The key's bytes.
    pub const KEY: Fields = Fields(1 << 3);
    /// The value's bytes.
    pub const VALUE: Fields = Fields(1 << 4);
    const HEADERS: Fields = Fields(1 << 5);

    /// Whether every field of `other` is in this set.
    #[inline]
    pub const fn contains(self, other: Fields) -> bool {
        self.0 & other.0 == other.0
    }

    pub(crate) fn to_wit(self) -> types::Fields {
        types::Fields::from_bits_truncate(self.0)
    }
}

impl BitOr for Fields {
    type Output = Fields;

    fn bitor(self, other: Fields) -> Fields {
        Fields(self.0 | other.0)
    }
}

/// What a hook wants to be given of each record. Nothing else is copied to the plugin, so ask for no more than you read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reads {
    fields: Fields,
    headers: Option<Vec<String>>,
}

impl Reads {
    /// Nothing: how many records there are, and for a partitioner their topics.
    pub fn nothing() -> Reads {
        Reads::default()
    }

    /// These fields, and no headers.
    pub fn of(fields: Fields) -> Reads {
        Reads { fields, headers: None }
    }

    /// These fields too.
    pub fn and(mut self, fields: Fields) -> Reads {
        self.fields = self.fields | fields;
        self
    }

    /// The headers of this name too. Calls add up.
    pub fn header(mut self, name: impl Into<String>) -> Reads {
        match &mut self.headers {
            // An empty list already means all.
            Some(names) if names.is_empty() => {}
            Some(names) => names.push(name.into()),
            None => self.headers = Some(vec![name.into()]),
        }
        self
    }

    /// Every header.
    pub fn all_headers(mut self) -> Reads {
        self.headers = Some(Vec::new());
        self
    }

    pub(crate) fn given(&self) -> Fields {
        if self.headers.is_some() { self.fields | Fields::HEADERS } else { self.fields }
    }

    pub(crate) fn into_wit(self) -> types::Reads {
        types::Reads { fields: self.fields.to_wit(), headers: self.headers }
    }
}

/// One record of a batch.
///
/// Reading a field that `wants` did not ask for is a mistake in the plugin, not a null: it panics and says so.
pub struct Record<'a> {
    // This is the whole batch and a place in it, so that going on to the next record writes only that place and
    // nothing is cut out of the columns that the plugin does not look at.
    index: usize,
    given: Fields,
    topics: Topics<'a>,
    partitions: &'a [i32],
    timestamps: &'a [i64],
    keys: Entries<'a>,
    values: Entries<'a>,
    headers: HeaderRows<'a>,
}

impl<'a> Record<'a> {
    /// The topic. A partitioner may always ask.
    #[inline]
    pub fn topic(&self) -> &'a str {
        self.check(Fields::TOPIC, "topic");
        self.topics.name(self.index)
    }

    /// The partition; `None` while it is not chosen.
    #[inline]
    pub fn partition(&self) -> Option<u32> {
        self.check(Fields::PARTITION, "partition");
        u32::try_from(self.partitions[self.index]).ok()
    }

    /// Milliseconds since the Unix epoch; `None` where the application set none.
    #[inline]
    pub fn timestamp(&self) -> Option<i64> {
        self.check(Fields::TIMESTAMP, "timestamp");
        let timestamp = self.timestamps[self.index];
        (timestamp != -1).then_some(timestamp)
    }

    /// The key's bytes; `None` is null.
    #[inline]
    pub fn key(&self) -> Option<&'a [u8]> {
        self.check(Fields::KEY, "key");
        self.keys.entry(self.index)
    }

    /// The value's bytes; `None` is null, a tombstone.
    #[inline]
    pub fn value(&self) -> Option<&'a [u8]> {
        self.check(Fields::VALUE, "value");
        self.values.entry(self.index)
    }

    /// The headers that `wants` asked for, in their order.
    #[inline]
    pub fn headers(&self) -> Headers<'a> {
        self.check(Fields::HEADERS, "headers");
        self.headers.of(self.index)
    }

    /// The last header of this name, as Kafka's `lastHeader`.
    #[inline]
    pub fn header(&self, name: &str) -> Option<Header<'a>> {
        self.headers().last(name)
    }

    /// The first record of a batch. `given` is what the plugin asked for: a column that is there anyhow is not shown.
    pub(crate) fn first(batch: &'a Batch, given: Fields) -> Result<Record<'a>, String> {
        let asked = |field, there: bool| !given.contains(field) || there;
        let count = batch.count as usize;
        let all_there = asked(Fields::TOPIC, batch.topics.is_some())
            && asked(Fields::PARTITION, batch.partitions.as_ref().is_some_and(|column| column.len() == count))
            && asked(Fields::TIMESTAMP, batch.timestamps.as_ref().is_some_and(|column| column.len() == count))
            && asked(Fields::KEY, batch.keys.as_ref().is_some_and(|column| column.lengths.len() == count))
            && asked(Fields::VALUE, batch.values.as_ref().is_some_and(|column| column.lengths.len() == count))
            && asked(Fields::HEADERS, batch.headers.as_ref().is_some_and(|columns| columns.counts.len() == count));
        if !all_there {
            return Err("the host did not give every column that was asked for".to_owned());
        }
        Ok(Record {
            index: 0,
            given,
            topics: batch.topics.as_ref().map_or(Topics { names: &[], indexes: &[] }, Topics::new),
            partitions: batch.partitions.as_deref().unwrap_or_default(),
            timestamps: batch.timestamps.as_deref().unwrap_or_default(),
            keys: batch.keys.as_ref().map_or(Entries::NONE, Entries::new),
            values: batch.values.as_ref().map_or(Entries::NONE, Entries::new),
            headers: batch.headers.as_ref().map_or(HeaderRows::NONE, HeaderRows::new),
        })
    }

    /// Goes on to the next record.
    #[inline]
    pub(crate) fn advance(&mut self) {
        if self.given.contains(Fields::KEY) {
            self.keys.pass(self.index);
        }
        if self.given.contains(Fields::VALUE) {
            self.values.pass(self.index);
        }
        if self.given.contains(Fields::HEADERS) {
            self.headers.pass(self.index);
        }
        self.index += 1;
    }

    #[inline]
    fn check(&self, field: Fields, name: &str) {
        if !self.given.contains(field) {
            not_asked_for(name);
        }
    }
}

impl fmt::Debug for Record<'_> {
    /// What the plugin asked for.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let given = |field| self.given.contains(field);
        let mut shown = f.debug_struct("Record");
        if given(Fields::TOPIC) {
            shown.field("topic", &self.topic());
        }
        if given(Fields::PARTITION) {
            shown.field("partition", &self.partition());
        }
        if given(Fields::TIMESTAMP) {
            shown.field("timestamp", &self.timestamp());
        }
        if given(Fields::KEY) {
            shown.field("key", &self.key().map(Escaped));
        }
        if given(Fields::VALUE) {
            shown.field("value", &self.value().map(Escaped));
        }
        if given(Fields::HEADERS) {
            shown.field("headers", &self.headers());
        }
        shown.finish()
    }
}

/// Bytes as text, as far as they are; what the standard library escapes with has no such `Debug`.
struct Escaped<'a>(&'a [u8]);

impl fmt::Debug for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

/// A header of a record.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Header<'a> {
    /// UTF-8.
    pub name: &'a [u8],
    /// `None` is null.
    pub value: Option<&'a [u8]>,
}

impl fmt::Debug for Header<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}=", self.name.escape_ascii())?;
        match self.value {
            Some(value) => write!(f, "{}", value.escape_ascii()),
            None => f.write_str("null"),
        }
    }
}

/// The headers of one record.
#[derive(Clone, Copy)]
pub struct Headers<'a> {
    // The data may go on behind the last of these headers.
    names: ColumnCursor<'a>,
    values: ColumnCursor<'a>,
}

impl<'a> Headers<'a> {
    /// How many.
    #[inline]
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there is none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The last of this name.
    #[inline]
    pub fn last(&self, name: &str) -> Option<Header<'a>> {
        let mut found = None;
        for header in *self {
            if same(header.name, name.as_bytes()) {
                found = Some(header);
            }
        }
        found
    }
}

impl<'a> IntoIterator for Headers<'a> {
    type Item = Header<'a>;
    type IntoIter = HeaderIter<'a>;

    #[inline]
    fn into_iter(self) -> HeaderIter<'a> {
        HeaderIter(self)
    }
}

impl fmt::Debug for Headers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(*self).finish()
    }
}

/// Iterator over a record's headers.
#[derive(Clone, Copy, Debug)]
pub struct HeaderIter<'a>(Headers<'a>);

impl<'a> Iterator for HeaderIter<'a> {
    type Item = Header<'a>;

    #[inline]
    fn next(&mut self) -> Option<Header<'a>> {
        if self.0.is_empty() {
            return None;
        }
        let name = self.0.names.next().unwrap_or_default();
        Some(Header { name, value: self.0.values.next() })
    }
}

impl Headers<'_> {
    pub(crate) const NONE: Headers<'static> = Headers { names: ColumnCursor::EMPTY, values: ColumnCursor::EMPTY };
}

/// The topics of a call.
#[derive(Clone, Copy)]
pub(crate) struct Topics<'a> {
    names: &'a [String],
    indexes: &'a [u32],
}

impl<'a> Topics<'a> {
    pub(crate) fn new(column: &'a types::TopicColumn) -> Topics<'a> {
        Topics { names: &column.names, indexes: &column.indexes }
    }

    /// Which of the names the record at `index` belongs to.
    #[inline]
    pub(crate) fn index(&self, index: usize) -> usize {
        if self.indexes.is_empty() { 0 } else { self.indexes[index] as usize }
    }

    #[inline]
    pub(crate) fn name(&self, index: usize) -> &'a str {
        &self.names[self.index(index)]
    }
}

/// A column, and where the entry begins that is next to be read.
#[derive(Clone, Copy)]
struct Entries<'a> {
    lengths: &'a [i32],
    data: &'a [u8],
    at: usize,
}

impl<'a> Entries<'a> {
    const NONE: Entries<'static> = Entries { lengths: &[], data: &[], at: 0 };

    fn new(column: &'a types::Column) -> Entries<'a> {
        Entries { lengths: &column.lengths, data: &column.data, at: 0 }
    }

    #[inline]
    fn entry(&self, index: usize) -> Option<&'a [u8]> {
        // Null is the only negative length.
        let length = usize::try_from(self.lengths[index]).ok()?;
        Some(&self.data[self.at..self.at + length])
    }

    #[inline]
    fn pass(&mut self, index: usize) {
        self.at += self.lengths[index].max(0) as usize;
    }
}

/// Header columns, and where the headers begin of the record that is next to be read.
#[derive(Clone, Copy)]
pub(crate) struct HeaderRows<'a> {
    counts: &'a [u32],
    first: usize,
    names: Entries<'a>,
    values: Entries<'a>,
}

impl<'a> HeaderRows<'a> {
    pub(crate) const NONE: HeaderRows<'static> =
        HeaderRows { counts: &[], first: 0, names: Entries::NONE, values: Entries::NONE };

    pub(crate) fn new(columns: &'a types::HeaderColumns) -> HeaderRows<'a> {
        let (names, values) = (Entries::new(&columns.names), Entries::new(&columns.values));
        HeaderRows { counts: &columns.counts, first: 0, names, values }
    }

    /// The headers of the record at `index`; none where there are no columns.
    #[inline]
    pub(crate) fn of(&self, index: usize) -> Headers<'a> {
        match self.counts.get(index) {
            None | Some(0) => Headers::NONE,
            Some(&count) => {
                let cut = |column: &Entries<'a>| {
                    let lengths = &column.lengths[self.first..self.first + count as usize];
                    ColumnCursor::cut(lengths, &column.data[column.at..])
                };
                Headers { names: cut(&self.names), values: cut(&self.values) }
            }
        }
    }

    /// Goes past the headers of the record at `index`.
    #[inline]
    pub(crate) fn pass(&mut self, index: usize) {
        let count = self.counts.get(index).map_or(0, |&count| count as usize);
        for header in self.first..self.first + count {
            self.names.pass(header);
            self.values.pass(header);
        }
        self.first += count;
    }
}

/// Whether two short byte strings are the same. A call to `memcmp` costs more than such a comparison.
#[inline]
pub(crate) fn same(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let ((a, a_tail), (b, b_tail)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    a.iter().zip(b).all(|(a, b)| a == b) && a_tail.iter().zip(b_tail).all(|(a, b)| a == b)
}

#[cold]
#[inline(never)]
fn not_asked_for(field: &str) -> ! {
    panic!("the plugin reads the {field}, which its `wants` does not ask for")
}
