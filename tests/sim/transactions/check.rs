//! What a reader with `isolation.level=read_committed` sees in the end, held against what callers were told.

use super::Stage;
use crate::check::number_of;
use crate::world::World;
use std::collections::{BTreeMap, BTreeSet};

impl World {
    /// All that can be said of transactions once nothing is under way any more.
    pub fn check_transactions(&mut self) {
        let mut wrong = Vec::new();
        let gone = self.of_deleted_topics();
        let visible = self.visible(&gone, &mut wrong);
        self.check_records(&visible, &gone, &mut wrong);
        self.check_offsets(&visible, &mut wrong);
        for (at, end) in self.cluster.coordinators.ends.iter().enumerate().filter(|(_, end)| !end.is_complete) {
            wrong.push(format!("end {at} of {} is not complete: {:?}", end.id, end.partitions));
        }
        wrong.into_iter().take(20).for_each(|wrong| self.violation(wrong));
    }

    /// Records that may be gone, or stand twice, because their topic was deleted.
    fn of_deleted_topics(&self) -> BTreeSet<u64> {
        let deleted = self.cluster.topics.iter().filter(|topic| !topic.exists);
        deleted.flat_map(|topic| &topic.partitions).flat_map(|of| of.ever_held()).filter_map(number_of).collect()
    }

    /// The ends that made each record visible.
    fn visible(&self, gone: &BTreeSet<u64>, wrong: &mut Vec<String>) -> BTreeMap<u64, Vec<usize>> {
        let mut visible: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
        for topic in self.cluster.topics.iter().filter(|topic| topic.exists) {
            for (number, partition) in topic.partitions.iter().enumerate() {
                let mut open: BTreeMap<i64, Vec<u64>> = BTreeMap::new();
                for batch in &partition.log.batches {
                    let records = batch.records.iter().filter_map(number_of);
                    match batch.marker {
                        None => open.entry(batch.producer_id).or_default().extend(records),
                        Some(marker) => {
                            for record in open.remove(&batch.producer_id).unwrap_or_default() {
                                if marker.commits {
                                    visible.entry(record).or_default().push(marker.end);
                                }
                            }
                        }
                    }
                }
                let is_astray = |record: &u64| self.cluster.astray.contains(record) || gone.contains(record);
                let hanging: Vec<u64> = open.into_values().flatten().filter(|record| !is_astray(record)).collect();
                if !hanging.is_empty() {
                    wrong.push(format!("{}-{number}: records {hanging:?} are open for ever", topic.name));
                }
            }
        }
        visible
    }

    fn check_records(&self, visible: &BTreeMap<u64, Vec<usize>>, gone: &BTreeSet<u64>, wrong: &mut Vec<String>) {
        let mut whose: BTreeMap<usize, usize> = BTreeMap::new();
        for (at, transaction) in self.transactions.transactions.iter().enumerate() {
            let what = format!("transaction {at} of producer {}, {:?}", transaction.producer, transaction.stage);
            // Written by brokers that did not ask whether it was part of anything.
            let excused = |record: &&u64| !gone.contains(record) && !self.cluster.astray.contains(record);
            let records: Vec<u64> = transaction.records.iter().filter(excused).copied().collect();
            let (seen, unseen): (Vec<u64>, Vec<u64>) = records.iter().partition(|record| visible.contains_key(record));
            let all_or_nothing = match transaction.stage {
                Stage::Committed => unseen.is_empty(),
                Stage::Lost { committing: true } => seen.is_empty() || unseen.is_empty(),
                _ => seen.is_empty(),
            };
            if !all_or_nothing {
                wrong.push(format!("{what}: records {seen:?} are visible, {unseen:?} are not"));
            }
            for record in &seen {
                let ends = &visible[record];
                if ends.len() > 1 {
                    wrong.push(format!("{what}: record {record} is visible {} times", ends.len()));
                }
                for end in ends {
                    let other = *whose.entry(*end).or_insert(at);
                    if other != at {
                        wrong.push(format!("end {end} made records of transactions {other} and {at} visible"));
                    }
                }
            }
            let ends: BTreeSet<usize> = seen.iter().flat_map(|record| &visible[record]).copied().collect();
            if ends.len() > 1 {
                wrong.push(format!("{what}: ends {ends:?} made it visible"));
            }
        }
    }

    fn check_offsets(&self, visible: &BTreeMap<u64, Vec<usize>>, wrong: &mut Vec<String>) {
        // Offsets are told apart by their values.
        let mut applied: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
        for (end, offsets) in self.cluster.coordinators.groups.values().flat_map(|group| &group.applied) {
            // One that is sent again is one.
            let offsets: BTreeSet<i64> = offsets.iter().map(|(_, offset)| *offset).collect();
            offsets.into_iter().for_each(|offset| applied.entry(offset).or_default().push(*end));
        }
        for (at, transaction) in self.transactions.transactions.iter().enumerate() {
            let Some(sent) = &transaction.offsets else { continue };
            let mut groups = self.cluster.coordinators.groups.values();
            if groups.any(|group| sent.offsets.values().any(|offset| group.astray.contains(offset))) {
                continue;
            }
            let what = format!("transaction {at} of producer {}, {:?}", transaction.producer, transaction.stage);
            let ends: Vec<usize> =
                sent.offsets.values().filter_map(|offset| applied.get(offset)).flatten().copied().collect();
            let count = ends.len();
            let distinct: BTreeSet<usize> = ends.into_iter().collect();
            let seen = transaction.records.iter().filter_map(|record| visible.get(record)).flatten().next();
            let fits = match transaction.stage {
                Stage::Committed => count == sent.offsets.len(),
                Stage::Lost { committing: true } => {
                    // With its records, or not at all.
                    let is_committed = !distinct.is_empty();
                    let has_records =
                        transaction.records.iter().any(|record| !self.of_deleted_topics().contains(record));
                    !has_records || is_committed == seen.is_some()
                }
                _ => count == 0,
            };
            if !fits || distinct.len() > 1 {
                wrong.push(format!("{what}: its offsets {:?} were committed by {distinct:?}", sent.offsets));
            }
            if let (Some(end), Some(other)) = (seen, distinct.first())
                && end != other
            {
                wrong.push(format!("{what}: its records are committed by {end}, its offsets by {other}"));
            }
        }
    }
}
