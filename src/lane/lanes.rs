//! All lanes of a producer: which one a record goes by, and what is done to all of them.
//!
//! Each chain has lanes of its own, so that a slow plugin of one topic does not stop another's. Among those of a chain a
//! record goes by its topic and key, or its topic and partition where it names one; without both, by its topic. So the
//! records of a key go by one lane, and stay in the order of their sends.

use super::counters::LaneCounts;
use super::staging::{AckItem, Job, LaneConfig, Shared, Surroundings, Swap};
use super::submit::Submitted;
use super::together::Together;
use super::{Delivery, Looked, UserCallback};
use crate::core::Done;
use crate::core::time::Instant;
use crate::error::ProduceError;
use crate::plugin::{Chain, Routes};
use crate::record::Record;
use crate::sabotage::{self, Sabotage};
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

/// The lanes of a producer, in the order of the chains that they belong to.
pub(crate) struct Lanes {
    lanes: Vec<Arc<Shared>>,
    /// By chain.
    of_chains: Vec<Range<usize>>,
    routes: Arc<Routes>,
    together: Arc<Together>,
    any_acknowledgements: bool,
}

impl Lanes {
    /// Of chains, each with so many lanes.
    pub(crate) fn new(chains: Vec<(LaneConfig, usize)>, routes: Arc<Routes>, around: &Surroundings) -> Lanes {
        let count = chains.iter().map(|(_, lanes)| lanes).sum();
        let together = Arc::new(Together::of(count));
        let any_acknowledgements = chains.iter().any(|(config, _)| config.acknowledgements);
        let mut lanes = Vec::with_capacity(count);
        let mut of_chains = Vec::new();
        for (config, count) in chains {
            of_chains.push(lanes.len()..lanes.len() + count);
            for _ in 0..count {
                let config = LaneConfig { any_acknowledgements, ..config.clone() };
                let lane = Shared::new(config, around.clone(), lanes.len(), Arc::clone(&together));
                lanes.push(Arc::new(lane));
            }
        }
        together.introduce(&lanes);
        Lanes { lanes, of_chains, routes, together, any_acknowledgements }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Shared>> {
        self.lanes.iter()
    }

    #[inline(always)]
    fn lane_of(&self, record: &Record<'_>) -> usize {
        if self.lanes.len() == 1 { 0 } else { self.lane_among(record) }
    }

    fn lane_among(&self, record: &Record<'_>) -> usize {
        let lanes = self.of_chains[self.routes.chain_of(record.topic)].clone();
        if lanes.len() == 1 {
            return lanes.start;
        }
        let mut of_topic = crc32c::crc32c(record.topic.as_bytes());
        if sabotage::is_on(Sabotage::LanesByTurns) {
            of_topic = record.value.map_or(0, crc32c::crc32c);
        }
        let hash = match (record.partition, record.key) {
            (Some(partition), _) => crc32c::crc32c_append(of_topic, &partition.to_le_bytes()),
            (None, Some(key)) => crc32c::crc32c_append(of_topic, key),
            (None, None) => of_topic,
        };
        lanes.start + hash as usize % lanes.len()
    }

    /// See [`Shared::take`].
    #[inline(always)]
    pub(crate) fn take(&self, record: &Record<'_>) -> Option<Delivery> {
        self.lanes[self.lane_of(record)].take(record)
    }

    /// See [`Shared::submit`].
    pub(crate) fn submit(&self, record: &Record<'_>, callback: Option<UserCallback>, may_wait: bool) -> Submitted {
        self.lanes[self.lane_of(record)].submit(record, callback, may_wait)
    }

    /// See [`Shared::submit_many`]: the lock is taken once for records after one another that go by the same lane.
    pub(crate) fn submit_many(&self, records: &[Record<'_>], may_wait: bool, until_wait: bool) -> Vec<Submitted> {
        if let [lane] = &self.lanes[..] {
            return lane.submit_many(records, may_wait, until_wait);
        }
        let mut answers = Vec::with_capacity(records.len());
        while let Some(first) = records.get(answers.len()) {
            let lane = self.lane_of(first);
            let rest = &records[answers.len()..];
            let run = rest.iter().take_while(|record| self.lane_of(record) == lane).count();
            answers.extend(self.lanes[lane].submit_many(&rest[..run], may_wait, until_wait));
            if until_wait && matches!(answers.last(), Some(Submitted::Waiting(_))) {
                break;
            }
        }
        answers
    }

    /// See [`Shared::look_up`].
    pub(crate) fn look_up(&self, topic: &str) -> Result<Looked, ProduceError> {
        self.lanes[self.of_chains[self.routes.chain_of(topic)].start].look_up(topic)
    }

    /// Puts a flush after everything staged so far in each lane. The jobs run when all of that is done; what they share is
    /// gone when the last one is.
    pub(crate) fn flush(&self, job: impl Fn() -> Job) {
        self.lanes.iter().for_each(|lane| lane.flush(job()));
    }

    /// From here on the records of a chain go through these, one for each of its lanes, but for the plugins that stay as they
    /// are. The jobs run when the lanes have them, and are dropped where that will not be.
    pub(crate) fn swap(&self, chain: usize, lanes: Vec<Chain>, stays: &Arc<BTreeSet<String>>, taken: impl Fn() -> Job) {
        for (lane, chain) in self.lanes[self.of_chains[chain].clone()].iter().zip(lanes) {
            lane.swap(Swap { chain, stays: Arc::clone(stays), taken: taken() });
        }
    }

    /// As [`Lanes::flush`], when the lanes are closing.
    pub(crate) fn flush_closed(&self, job: impl Fn() -> Job) {
        self.lanes.iter().for_each(|lane| lane.flush_closed(job()));
    }

    /// See [`Shared::close`].
    pub(crate) fn close(&self) {
        self.lanes.iter().for_each(|lane| lane.close());
    }

    /// See [`Shared::stop`].
    pub(crate) fn stop(&self) {
        self.lanes.iter().for_each(|lane| lane.stop());
    }

    /// See [`Shared::abandon`].
    pub(crate) fn abandon(&self) {
        self.lanes.iter().for_each(|lane| lane.abandon());
    }

    /// See [`Shared::take_aside`].
    pub(crate) fn take_aside(&self) -> usize {
        self.lanes.iter().map(|lane| lane.take_aside()).sum()
    }

    /// How many records wait for memory or for their topics.
    pub(crate) fn count_in_line(&self) -> usize {
        self.lanes.iter().map(|lane| lane.count_in_line()).sum()
    }

    /// Refuses all of these, and fails what is set aside.
    pub(crate) fn give_up(&self, error: impl Fn(&Arc<str>) -> ProduceError) {
        self.lanes.iter().for_each(|lane| {
            lane.refuse_line(&error);
            lane.give_up_aside();
        });
    }

    /// See [`Shared::admit`], which is for all of them.
    pub(crate) fn admit(&self) {
        self.lanes[0].admit();
    }

    /// See [`Shared::is_memory_short`].
    pub(crate) fn is_memory_short(&self) -> bool {
        self.together.is_starving()
    }

    /// Those that may have to do with a topic. A lane whose senders append opens it to them, and so must wait until those
    /// in line have gone on: that is known of its own topics.
    fn concerned(&self, topic: &str) -> impl Iterator<Item = &Arc<Shared>> {
        let own = self.of_chains[self.routes.chain_of(topic)].clone();
        self.lanes
            .iter()
            .enumerate()
            .filter(move |(at, lane)| !lane.config.direct || own.contains(at))
            .map(|(_, lane)| lane)
    }

    /// See [`Shared::topic_settled`].
    pub(crate) fn topic_settled(&self, name: &str, outcome: &Result<(), ProduceError>) {
        self.concerned(name).for_each(|lane| lane.topic_settled(name, outcome));
    }

    /// See [`Shared::topology_changed`].
    pub(crate) fn topology_changed(&self, name: &Arc<str>, partitions: usize) {
        self.concerned(name).for_each(|lane| lane.topology_changed(Arc::clone(name), partitions));
    }

    /// Batches are done: they pass the lanes that their records came by, as far as their plugins want to hear of them.
    pub(crate) fn done(&self, batches: impl IntoIterator<Item = Done>) {
        let delivery_thread = &self.lanes[0].delivery_thread;
        if !self.any_acknowledgements {
            delivery_thread.complete_all(batches);
        } else if let [lane] = &self.lanes[..] {
            lane.acknowledge_all(batches.into_iter().map(|done| AckItem::Done(Arc::new(done))));
        } else {
            for done in batches {
                let (done, lanes) = self.together.begin(done);
                for lane in lanes {
                    self.lanes[lane].acknowledge(AckItem::Done(Arc::clone(&done)));
                }
                self.together.told(done, delivery_thread);
            }
        }
    }

    /// Every outcome that a flush waits for has been handed to the lanes.
    pub(crate) fn flushed(&self, flush: u64) {
        self.lanes.iter().for_each(|lane| lane.acknowledge(AckItem::Flushed(flush)));
    }

    /// The driver is gone.
    pub(crate) fn driver_died(&self, reason: &Arc<str>) {
        self.lanes.iter().for_each(|lane| lane.acknowledge(AckItem::DriverDied(Arc::clone(reason))));
    }

    /// What each lane has counted.
    pub(crate) fn counts(&self, now: Instant) -> Vec<LaneCounts> {
        self.lanes.iter().map(|lane| lane.counts(now)).collect()
    }
}
