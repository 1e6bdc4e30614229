//! The contract's rules for answers. An answer that breaks one is not used at all: what else it got wrong nobody
//! knows.

use crate::plugin::{
    Column, Edits, Fields, HeaderColumns, Placements, Refusal, Serialized, TopicColumn, TopicColumnRef,
};

type Checked = Result<(), String>;

/// # Errors
/// The rule that is broken, and where.
pub(super) fn edits(edits: &Edits, count: usize, declared: &Fields) -> Checked {
    if let Some(edit) = &edits.topics {
        let edited = edited("topics", declared.topic, &edit.indexes, count)?;
        topics(&edit.content, edited)?;
    }
    if let Some(edit) = &edits.partitions {
        let edited = edited("partitions", declared.partition, &edit.indexes, count)?;
        numbers("partitions", &edit.content, edited)?;
    }
    if let Some(edit) = &edits.timestamps {
        let edited = edited("timestamps", declared.timestamp, &edit.indexes, count)?;
        numbers("timestamps", &edit.content, edited)?;
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
pub(super) fn serialized(serialized: &Serialized, count: usize) -> Checked {
    column("payloads", &serialized.payloads, count)?;
    headers(serialized.added_headers.as_ref(), count)?;
    refused(&serialized.refused, count)
}

/// # Errors
/// The rule that is broken, and where.
pub(super) fn groups(groups: &[Vec<u32>], partitions: u32) -> Checked {
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
pub(super) fn placements(
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

fn numbers<N: Copy + Into<i64>>(field: &str, content: &[N], edited: usize) -> Checked {
    if content.len() != edited {
        return Err(format!("{field}: {} for {edited} records", content.len()));
    }
    match content.iter().map(|&number| number.into()).find(|&number| number < -1) {
        Some(number) => Err(format!("{field}: {number}, below -1")),
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
