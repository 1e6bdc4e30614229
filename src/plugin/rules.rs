//! The contract's rules for answers. An answer that breaks one is not used at all: what else it got wrong nobody
//! knows.

use crate::plugin::{
    Column, Edits, Fields, HeaderColumns, Placements, Refusal, Serialized, TopicColumn, TopicColumnRef,
};

type Checked = Result<(), String>;

/// # Errors
/// The rule that is broken, and where.
pub(crate) fn edits(edits: &Edits, count: usize, declared: &Fields) -> Checked {
    if let Some(edit) = &edits.topics {
        let edited = edited("topics", declared.topic, &edit.indexes, count)?;
        topics(&edit.content, edited)?;
    }
    if let Some(edit) = &edits.partitions {
        let edited = edited("partitions", declared.partition, &edit.indexes, count)?;
        numbers("partitions", &edit.content, edited, -1)?;
    }
    if let Some(edit) = &edits.timestamps {
        let edited = edited("timestamps", declared.timestamp, &edit.indexes, count)?;
        numbers("timestamps", &edit.content, edited, 0)?;
    }
    if let Some(edit) = &edits.keys {
        let edited = edited("keys", declared.key, &edit.indexes, count)?;
        column("keys", &edit.content, edited)?;
    }
    if let Some(edit) = &edits.values {
        let edited = edited("values", declared.value, &edit.indexes, count)?;
        column("values", &edit.content, edited)?;
    }
    for removal in &edits.removed_headers {
        ascending("removed-headers", &removal.indexes, count)?;
    }
    headers(edits.added_headers.as_ref(), count)?;
    if !edits.tags.is_empty() && edits.tags.len() != count {
        return Err(format!("tags: {} for {count} records", edits.tags.len()));
    }
    in_range("dropped", edits.dropped.iter().copied(), count)?;
    refused(&edits.refused, count)
}

/// # Errors
/// The rule that is broken, and where.
pub(crate) fn serialized(serialized: &Serialized, count: usize) -> Checked {
    column("payloads", &serialized.payloads, count)?;
    headers(serialized.added_headers.as_ref(), count)?;
    refused(&serialized.refused, count)
}

/// # Errors
/// The rule that is broken, and where.
pub(crate) fn groups(groups: &[Vec<u32>], partitions: u32) -> Checked {
    for (at, group) in groups.iter().enumerate() {
        if group.is_empty() {
            return Err(format!("group {at} is empty"));
        }
        if let Some(partition) = group.iter().find(|&&partition| partition >= partitions) {
            return Err(format!("group {at} holds partition {partition}, the topic has {partitions}"));
        }
    }
    Ok(())
}

/// Whether the targets are one per record and name groups that there are. Partitions are not checked: the topic may
/// have grown meanwhile.
///
/// # Errors
/// The rule that is broken, and where.
pub(crate) fn placements(
    placements: &Placements,
    count: usize,
    topics: &TopicColumnRef<'_>,
    groups_of: impl Fn(&str) -> usize,
) -> Checked {
    if placements.targets.len() != count {
        return Err(format!("targets: {} for {count} records", placements.targets.len()));
    }
    refused(&placements.refused, count)?;
    if placements.targets.iter().all(|&target| target >= HOSTS_CHOICE) {
        return Ok(());
    }
    let known: Vec<usize> = topics.names.iter().map(|name| groups_of(name)).collect();
    for (at, &target) in placements.targets.iter().enumerate() {
        if target >= HOSTS_CHOICE || placements.refused.iter().any(|refusal| refusal.index as usize == at) {
            continue;
        }
        let group = (HOSTS_CHOICE - 1).abs_diff(target) as usize;
        let topic = topics.indexes.get(at).map_or(0, |&index| index as usize);
        let groups = known.get(topic).copied().unwrap_or(0);
        if group >= groups {
            return Err(format!("targets: {target} at record {at} is group {group}, its topic has {groups}"));
        }
    }
    Ok(())
}

/// How many records an edit is for.
fn edited(field: &str, declared: bool, indexes: &[u32], count: usize) -> Result<usize, String> {
    if !declared {
        return Err(format!("{field}: edited, but configure did not declare it among the changes"));
    }
    ascending(field, indexes, count)?;
    Ok(if indexes.is_empty() { count } else { indexes.len() })
}

fn ascending(field: &str, indexes: &[u32], count: usize) -> Checked {
    if let Some(pair) = indexes.windows(2).find(|pair| pair[0] >= pair[1]) {
        return Err(format!("{field}: index {} after {}, not ascending", pair[1], pair[0]));
    }
    in_range(field, indexes.last().copied().into_iter(), count)
}

fn in_range(field: &str, mut indexes: impl Iterator<Item = u32>, count: usize) -> Checked {
    match indexes.find(|&index| index as usize >= count) {
        Some(index) => Err(format!("{field}: index {index} of {count} records")),
        None => Ok(()),
    }
}

fn topics(topics: &TopicColumn, edited: usize) -> Checked {
    if topics.indexes.is_empty() {
        return match topics.names.first() {
            Some(_) => Ok(()),
            None => Err(format!("topics: no name for {edited} records")),
        };
    }
    if topics.indexes.len() != edited {
        return Err(format!("topics: {} indexes of names for {edited} records", topics.indexes.len()));
    }
    match topics.indexes.iter().find(|&&index| index as usize >= topics.names.len()) {
        Some(index) => Err(format!("topics: index {index} of {} names", topics.names.len())),
        None => Ok(()),
    }
}

fn numbers<N: Copy + Into<i64>>(field: &str, content: &[N], edited: usize, least: i64) -> Checked {
    if content.len() != edited {
        return Err(format!("{field}: {} for {edited} records", content.len()));
    }
    match content.iter().map(|&number| number.into()).find(|&number| number < least) {
        Some(number) => Err(format!("{field}: {number}, below {least}")),
        None => Ok(()),
    }
}

fn column(field: &str, column: &Column, edited: usize) -> Checked {
    column.as_ref().check(edited).map_err(|rule| format!("{field}: {rule}"))
}

fn headers(added: Option<&HeaderColumns>, count: usize) -> Checked {
    match added {
        Some(headers) => headers.as_ref().check(count).map_err(|rule| format!("added-headers: {rule}")),
        None => Ok(()),
    }
}

fn refused(refused: &[Refusal], count: usize) -> Checked {
    in_range("refused", refused.iter().map(|refusal| refusal.index), count)
}

const HOSTS_CHOICE: i32 = -1;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::{Edit, HeaderRemoval, Records};
    use proptest::prelude::*;

    const RECORDS: usize = 5;

    fn records() -> Records {
        let mut records = Records::default();
        for at in 0..RECORDS {
            let headers: &[(&[u8], Option<&[u8]>)] = &[(b"a", Some(b"1")), (b"b", None)];
            let headers = headers.iter().take(at % 3).copied();
            records.push(&"t".into(), None, 7, Some(b"key"), (at % 2 == 0).then_some(b"value"), headers);
        }
        records
    }

    /// About as many as there are records, or as are edited; good or not.
    fn several<T: std::fmt::Debug + 'static>(of: impl Strategy<Value = T> + 'static) -> impl Strategy<Value = Vec<T>> {
        prop_oneof![3 => Just(RECORDS), 1 => 0..=RECORDS + 1].prop_flat_map({
            let of = of.boxed();
            move |count| proptest::collection::vec(of.clone(), count)
        })
    }

    fn indexes() -> impl Strategy<Value = Vec<u32>> {
        let good = proptest::collection::btree_set(0..RECORDS as u32, 0..RECORDS).prop_map(Vec::from_iter);
        prop_oneof![4 => Just(Vec::new()), 3 => good, 1 => proptest::collection::vec(0..=RECORDS as u32 + 1, 0..4)]
    }

    fn column() -> impl Strategy<Value = Column> {
        let entries = several(proptest::option::weighted(0.8, proptest::collection::vec(any::<u8>(), 0..9)));
        (entries, proptest::option::weighted(0.2, -3..20i32)).prop_map(|(entries, wrong)| {
            let mut column = Column::default();
            entries.iter().for_each(|entry| column.push(entry.as_deref()));
            if let (Some(wrong), Some(last)) = (wrong, column.lengths.last_mut()) {
                *last = wrong;
            }
            column
        })
    }

    fn headers() -> impl Strategy<Value = HeaderColumns> {
        (several(0..3u32), column(), column(), any::<bool>()).prop_map(|(counts, names, values, fitting)| {
            if !fitting {
                return HeaderColumns { counts, names, values };
            }
            let mut headers = HeaderColumns { counts, ..HeaderColumns::default() };
            for _ in 0..headers.counts.iter().sum() {
                headers.names.push(Some(b"name"));
                headers.values.push(None);
            }
            headers
        })
    }

    fn edit<T: std::fmt::Debug>(content: impl Strategy<Value = T>) -> impl Strategy<Value = Option<Edit<T>>> {
        proptest::option::of((indexes(), content).prop_map(|(indexes, content)| Edit { indexes, content }))
    }

    prop_compose! {
        fn edits()(
            topics in edit((proptest::collection::vec("[a-z]{1,3}", 0..4), indexes())
                .prop_map(|(names, indexes)| TopicColumn { names, indexes })),
            partitions in edit(several(-1..9i32)),
            timestamps in edit(several(-1..9i64)),
            keys in edit(column()),
            values in edit(column()),
            removed in proptest::collection::vec(("[abc]", indexes()), 0..3),
            added_headers in proptest::option::of(headers()),
        ) -> Edits {
            let removed = removed.into_iter().map(|(name, indexes)| HeaderRemoval { name, indexes });
            let removed_headers = removed.collect();
            Edits { topics, partitions, timestamps, keys, values, removed_headers, added_headers, ..Edits::default() }
        }
    }

    fn all_whole(records: &Records) {
        assert_eq!(records.len(), RECORDS);
        records.keys.as_ref().check(RECORDS).unwrap();
        records.values.as_ref().check(RECORDS).unwrap();
        if !records.headers.counts.is_empty() {
            records.headers.as_ref().check(RECORDS).unwrap();
        }
        assert!(records.topic_of.iter().all(|&at| (at as usize) < records.topics.len()));
    }

    const ALL: Fields = Fields { topic: true, partition: true, timestamp: true, key: true, value: true };

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        /// Whatever a guest answers: it is refused, or it can be applied.
        #[test]
        fn what_passes_the_rules_can_be_applied(edits in edits()) {
            if super::edits(&edits, RECORDS, &ALL).is_ok() {
                let mut records = records();
                records.apply(0..RECORDS, edits);
                all_whole(&records);
            }
        }

        /// The same of serializers, for all records and for some.
        #[test]
        fn what_passes_as_serialized_can_be_applied(payloads in column(), added_headers in proptest::option::of(headers())) {
            let answer = Serialized { payloads, added_headers, refused: Vec::new() };
            for range in [0..RECORDS, 1..4] {
                if super::serialized(&answer, range.len()).is_ok() {
                    let mut records = records();
                    records.apply_serialized(crate::plugin::Side::Value, range, answer.clone());
                    all_whole(&records);
                }
            }
        }
    }
}
