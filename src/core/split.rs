//! Batches whose records do not share one fate: a broker refused the batch as a whole, and takes it in parts or without
//! some of its records. What is made of it stands in its place, within its range of sequences. Its deliveries wait for
//! one completion, which is done when the last part is.

use super::Core;
use super::batch::{BatchInfo, Order, SealedBatch};
use super::completion::{Completion, Done, Outcome, Run, Runs};
use super::io::Action;
use super::partition::Slot;
use super::seal::{Work, gaps};
use super::time::Instant;
use crate::error::{Fate, ProduceError};
use crate::protocol::messages::PartitionResponse;
use crate::protocol::record_batch::HEADER_LEN;
use crate::sabotage::{self, Sabotage};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What is known of a batch that is no longer one.
#[derive(Debug)]
pub(super) struct Shared {
    completion: Arc<Completion>,
    tokens: Vec<u64>,
    runs: Vec<Run>,
    /// Records whose fate is not known yet.
    left: u32,
}

impl Core {
    /// The broker takes no batch as large as this one: sends it again in parts. It keeps its place, and the parts its
    /// sequences, so that nothing changes for the batches behind it.
    pub(super) fn split(&mut self, now: Instant, id: u32, mut batch: SealedBatch) {
        self.share(&mut batch.info);
        self.counters.splits.add(now, 1.0);
        let topic = self.partitions[id as usize].topic;
        self.topics[topic].ratio.reset(batch.info.record_bytes, batch.records.body.len());
        // The limit is not known. As Java does: what fits a batch uncompressed; but something smaller in any case.
        let target = self.config.batch_size.saturating_sub(HEADER_LEN).min(batch.info.record_bytes / 2);
        self.make_anew(now, id, batch.info.clone(), Work::Split(batch, target));
    }

    /// The broker refuses some of the batch's records, for which it wrote none of them: fails those, and sends the
    /// others again, as a batch of its own.
    pub(super) fn leave_out(&mut self, now: Instant, id: u32, mut batch: SealedBatch, answer: &PartitionResponse) {
        let partition = &mut self.partitions[id as usize];
        let order = batch.info.order;
        if let Some(sequence) = batch.info.sequence.take() {
            // The others are fewer than the sequences that were given: the gate bumps the epoch before they go.
            partition.sequences.leave_hole(order.just_before(), sequence, true);
        }
        let refused = refused(&batch.info, answer);
        let topic = &self.topics[partition.topic].name;
        let mut runs = Vec::new();
        for (&at, message) in &refused {
            let error = ProduceError::Broker {
                topic: Arc::clone(topic),
                partition: partition.index,
                code: answer.error_code,
                message: message.clone().or_else(|| answer.error_message.clone()),
                fate: Fate::NotWritten,
            };
            let outcome = Outcome::Failed(error);
            let run = |range: std::ops::Range<u32>| Run { first: range.start, count: 1, outcome: outcome.clone() };
            runs.extend(batch.info.indexes(at..at + 1).into_iter().map(run));
        }
        if refused.len() == batch.info.count as usize {
            self.partitions[id as usize].left(batch.info.record_bytes);
            let done = batch.info.done_as(Runs::Many(runs));
            self.finish(now, order, done);
        } else {
            self.share(&mut batch.info);
            self.count_errors(now, batch.info.completion().topic(), refused.len() as u64);
            self.note_failed(now, &runs);
            self.settle(order, runs);
            let refused: Vec<u32> = refused.into_keys().collect();
            let left = gaps(&refused, batch.info.count as u32);
            let pieces: Vec<_> = left.into_iter().flat_map(|range| batch.info.indexes(range)).collect();
            let count = batch.info.count - refused.len() as i32;
            let place = Box::new(BatchInfo { count, pieces, ..(*batch.info).clone() });
            self.make_anew(now, id, place, Work::Without(batch, refused));
        }
        self.schedule(now, id);
    }

    /// Has something else made of a batch. `place` keeps its place meanwhile, and knows what may fail there.
    fn make_anew(&mut self, now: Instant, id: u32, place: Box<BatchInfo>, work: Work) {
        self.partitions[id as usize].note_accepted(place.accepted);
        self.partitions[id as usize].enqueue(Slot::Sealing(place));
        self.active.insert(id);
        self.batch_came_back(now);
        self.unsealed.push_back(work);
    }

    /// From now on the fates of the batch's records are collected.
    fn share(&mut self, info: &mut BatchInfo) {
        let completion = Arc::clone(info.completion());
        let tokens = &mut info.tokens;
        self.shared.entry(info.order.batch).or_insert_with(|| Shared {
            completion,
            tokens: std::mem::take(tokens),
            runs: Vec::new(),
            left: info.count as u32,
        });
    }

    /// Passes on what became of a batch, once it is known of all that was made of it.
    pub(super) fn pass_on(&mut self, order: Order, done: Done) {
        if self.shared.contains_key(&order.batch) {
            self.settle(order, done.runs.into_vec());
        } else {
            if sabotage::is_on(Sabotage::CompleteTwice) {
                let (completion, runs) = (Arc::clone(&done.completion), done.runs.clone());
                let again = Done { completion, runs, tokens: done.tokens.clone(), held: None };
                self.actions.push_back(Action::Done(again));
            }
            self.actions.push_back(Action::Done(done));
        }
    }

    fn settle(&mut self, order: Order, runs: Vec<Run>) {
        let Some(shared) = self.shared.get_mut(&order.batch) else { return };
        shared.left -= runs.iter().map(|run| run.count).sum::<u32>();
        shared.runs.extend(runs);
        if shared.left == 0
            && let Some(Shared { completion, tokens, mut runs, .. }) = self.shared.remove(&order.batch)
        {
            runs.sort_by_key(|run| run.first);
            self.actions.push_back(Action::Done(Done { completion, runs: Runs::Many(runs), tokens, held: None }));
        }
    }
}

/// The records that the broker names, by their place in the batch.
pub(super) fn refused(info: &BatchInfo, answer: &PartitionResponse) -> BTreeMap<u32, Option<String>> {
    let errors = answer.record_errors.iter();
    let known = errors.filter(|(at, _)| (0..info.count).contains(at));
    known.map(|(at, message)| (*at as u32, message.clone())).collect()
}
