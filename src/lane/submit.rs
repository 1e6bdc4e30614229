//! What becomes of a record that is sent: it is staged, or appended, at once; or it has to wait, or is refused.

use super::UserCallback;
use super::chunk::staged_size;
use super::delivery::{Delivery, Facts, Ticket, closed};
use super::staging::{Shared, State};
use super::waiting::Waiter;
use crate::core::TopicStatus;
use crate::error::ProduceError;
use crate::record::{Record, valid_topic};
use std::sync::{Arc, MutexGuard};

/// What became of a send.
pub(crate) enum Submitted {
    /// Staged.
    Accepted(Delivery),
    /// In line for memory or metadata.
    Waiting(Arc<Waiter>),
    /// Not accepted.
    Refused(Box<ProduceError>),
}

impl Submitted {
    /// Boxed, as it is rare and large.
    pub(super) fn refused(error: ProduceError) -> Submitted {
        Submitted::Refused(Box::new(error))
    }
}

/// Why a record cannot be staged at once.
#[derive(Clone, Copy, Debug)]
pub(super) enum Obstacle {
    /// No topic has a partition of that number.
    BadPartition(i32),
    /// No record has such a time.
    BadTimestamp(i64),
    /// It is larger than this, all of `buffer.memory` say.
    TooLarge { key: &'static str, limit: usize },
    /// Nothing more is taken, or no transaction is open that takes it.
    Closed,
    /// Its topic is not known to the lane.
    Topic,
    /// Its topic has no such partition, as far as is known.
    Partition,
    /// There is no room, or others wait for it.
    Memory,
}

impl Shared {
    /// Takes a record that is accepted at once and without further ado, as most are. `None`: nothing was done, and
    /// [`Shared::submit`] does it. Inlined, so that the delivery is put together where it is wanted.
    #[inline(always)]
    pub(super) fn take(&self, record: &Record<'_>) -> Option<Delivery> {
        if self.config.direct {
            let mut timestamp = 0;
            let (completion, index) = self.append_quickly(record, &mut timestamp)?;
            let facts = Facts::of(timestamp, record.key, record.value);
            Some(Delivery::appended(completion, index, facts))
        } else {
            let (tickets, slot) = self.stage_quickly(record)?;
            Some(Delivery::staged(tickets, slot))
        }
    }

    /// Stages a record where nothing stands in the way: among which deliveries, and where. See
    /// [`Shared::append_quickly`].
    #[inline(never)]
    fn stage_quickly(&self, record: &Record<'_>) -> Option<(Ticket, u32)> {
        let mut state = self.lock();
        let (topic, bytes) = self.may_stage(&mut state, record, true).ok()?;
        Some(self.stage(&mut state, topic, record, bytes, None))
    }

    /// Takes a record's place in the order of sends: stages it, or puts it in line. With `may_wait` false, what
    /// would have to wait is refused.
    pub(crate) fn submit(&self, record: &Record<'_>, callback: Option<UserCallback>, may_wait: bool) -> Submitted {
        if callback.is_some() {
            self.delivery_thread.need();
        }
        let mut callback = callback;
        if self.config.direct {
            return match self.append_at_once(record, &mut callback, may_wait) {
                Ok(submitted) => submitted,
                Err(obstacle) => self.submit_past(obstacle, record, callback, may_wait),
            };
        }
        let mut state = self.lock();
        match self.stage_at_once(&mut state, record, &mut callback, may_wait) {
            Ok(submitted) => submitted,
            Err(obstacle) => {
                drop(state);
                self.submit_past(obstacle, record, callback, may_wait)
            }
        }
    }

    /// As [`Shared::submit`] for record after record, with the lane's lock taken once as long as none has to wait.
    /// With `until_wait`, ends with the first that waits. Answers for those that had their turn.
    pub(crate) fn submit_many(&self, records: &[Record<'_>], may_wait: bool, until_wait: bool) -> Vec<Submitted> {
        if self.config.direct {
            return self.append_many(records, may_wait, until_wait);
        }
        let mut answers = Vec::with_capacity(records.len());
        let mut state = self.lock();
        for record in records {
            let answer = match self.stage_at_once(&mut state, record, &mut None, may_wait) {
                Ok(submitted) => submitted,
                Err(obstacle) => {
                    drop(state);
                    let submitted = self.submit_past(obstacle, record, None, may_wait);
                    state = self.lock();
                    submitted
                }
            };
            let waits = matches!(answer, Submitted::Waiting(_));
            answers.push(answer);
            if waits && until_wait {
                break;
            }
        }
        answers
    }

    /// Stages a record, or says what stands in the way.
    fn stage_at_once(
        &self,
        state: &mut MutexGuard<'_, State>,
        record: &Record<'_>,
        callback: &mut Option<UserCallback>,
        may_wait: bool,
    ) -> Result<Submitted, Obstacle> {
        let (topic, bytes) = self.may_stage(state, record, may_wait)?;
        let (tickets, slot) = self.stage(state, topic, record, bytes, callback.take());
        Ok(Submitted::Accepted(Delivery::staged(tickets, slot)))
    }

    /// Where the topic stands of a record that may be staged now, and the record's size, which is taken of the memory. Or what
    /// stands in the way.
    #[inline(always)]
    fn may_stage(&self, state: &mut State, record: &Record<'_>, may_wait: bool) -> Result<(usize, usize), Obstacle> {
        let bytes = self.check(record)?;
        if state.is_closed() || !self.gate.is_open() {
            return Err(Obstacle::Closed);
        }
        let topic = match state.topic(record.topic) {
            Some(topic) => topic,
            None if self.config.topics_after_chain => state.learn_in_passing(record.topic),
            None => return Err(Obstacle::Topic),
        };
        let may_wait = may_wait && !self.config.topics_after_chain;
        if may_wait && record.partition.is_some_and(|partition| state.partition_count(topic) as i64 <= partition.into())
        {
            return Err(Obstacle::Partition);
        }
        if !(self.is_first_in_line() && state.has_room(&self.config) && self.memory.try_take(bytes)) {
            return Err(Obstacle::Memory);
        }
        Ok((topic, bytes))
    }

    /// The record's staged size.
    ///
    /// # Errors
    /// No lane ever takes such a record.
    pub(super) fn check(&self, record: &Record<'_>) -> Result<usize, Obstacle> {
        if let Some(partition) = record.partition.filter(|partition| *partition < 0) {
            return Err(Obstacle::BadPartition(partition));
        }
        if let Some(timestamp) = record.timestamp.filter(|timestamp| *timestamp < 0) {
            return Err(Obstacle::BadTimestamp(timestamp));
        }
        let bytes = staged_size(record);
        if bytes > self.memory.total() {
            return Err(Obstacle::TooLarge { key: "buffer.memory", limit: self.memory.total() });
        }
        if bytes > WIRE_MAX {
            return Err(Obstacle::TooLarge { key: "what Kafka's protocol can carry", limit: WIRE_MAX });
        }
        Ok(bytes)
    }

    /// Nobody is overtaken: while someone waits for memory, so does everyone after.
    pub(super) fn is_first_in_line(&self) -> bool {
        self.waiting_count() == 0 && !self.together.is_starving()
    }

    pub(super) fn submit_past(
        &self,
        obstacle: Obstacle,
        record: &Record<'_>,
        callback: Option<UserCallback>,
        may_wait: bool,
    ) -> Submitted {
        let bytes = staged_size(record);
        match obstacle {
            Obstacle::Closed => self.refuse_at_gate(record),
            Obstacle::Topic => self.submit_to_new_topic(record, bytes, callback, may_wait),
            Obstacle::Partition => self.wait_for_partition(record, bytes, callback),
            Obstacle::BadPartition(partition) => {
                self.count_refused();
                let reason = format!("{partition} is no partition: they are numbered from 0");
                Submitted::refused(ProduceError::Topic { topic: record.topic.into(), reason })
            }
            Obstacle::BadTimestamp(timestamp) => {
                self.count_refused();
                Submitted::refused(ProduceError::Timestamp { topic: record.topic.into(), timestamp })
            }
            Obstacle::TooLarge { key, limit } => {
                self.count_refused();
                Submitted::refused(ProduceError::TooLarge { topic: record.topic.into(), size: bytes, key, limit })
            }
            Obstacle::Memory if may_wait => self.wait_for_memory(record, bytes, callback),
            Obstacle::Memory => Submitted::refused(ProduceError::BufferFull),
        }
    }

    /// Puts a record for a partition that is not known in line until its topic was asked for once more. Should there
    /// still be no such partition then, the record goes on and fails for that.
    fn wait_for_partition(&self, record: &Record<'_>, bytes: usize, callback: Option<UserCallback>) -> Submitted {
        let mut waiting = self.lock_waiting();
        // The news may have come between the attempt and the line; whoever comes next finds it known.
        if !waiting.has_topic(record.topic) && self.knows_partition(record) {
            drop(waiting);
            return self.submit(record, callback, true);
        }
        let waiter = self.waiter(record, bytes, callback);
        // Closing empties the line once, and so does an abort.
        if self.is_closed() || !self.gate.is_open() {
            drop(waiting);
            return self.refuse_at_gate(record);
        }
        waiting.push_for_topic(Arc::clone(&waiter));
        self.lock_core().refresh_topic(self.clock.now(), record.topic);
        drop(waiting);
        (self.wake_driver)();
        self.watch();
        Submitted::Waiting(waiter)
    }

    /// Whether a record names a partition that its topic is known to have.
    fn knows_partition(&self, record: &Record<'_>) -> bool {
        let partitions = if self.config.direct {
            self.lock_core().opened(record.topic).map_or(0, |(_, partitions)| partitions)
        } else {
            let mut state = self.lock();
            state.topic(record.topic).map_or(0, |topic| state.partition_count(topic))
        };
        record.partition.is_some_and(|partition| i64::from(partition) < partitions as i64)
    }

    fn submit_to_new_topic(
        &self,
        record: &Record<'_>,
        bytes: usize,
        callback: Option<UserCallback>,
        may_wait: bool,
    ) -> Submitted {
        if let Err(reason) = valid_topic(record.topic) {
            self.count_refused();
            return Submitted::refused(ProduceError::Topic { topic: record.topic.into(), reason });
        }
        // Held throughout, so that a record that waits for this topic is not overtaken.
        let mut waiting = self.lock_waiting();
        if self.is_closed() || !self.gate.is_open() {
            drop(waiting);
            return self.refuse_at_gate(record);
        }
        let status = if waiting.has_topic(record.topic) {
            TopicStatus::Pending
        } else {
            let status = self.lock_core().topic(self.clock.now(), record.topic);
            (self.wake_driver)();
            status
        };
        match status {
            TopicStatus::Ready(handle) => {
                let partitions = self.lock_core().partition_count(handle);
                self.learn(record.topic, partitions);
                drop(waiting);
                self.submit(record, callback, may_wait)
            }
            TopicStatus::Pending if may_wait => {
                let waiter = self.waiter(record, bytes, callback);
                waiting.push_for_topic(Arc::clone(&waiter));
                drop(waiting);
                self.watch();
                Submitted::Waiting(waiter)
            }
            TopicStatus::Pending => Submitted::refused(ProduceError::TopicNotKnownYet { topic: record.topic.into() }),
        }
    }

    /// Nothing is taken any more, or now.
    pub(super) fn refuse_at_gate(&self, record: &Record<'_>) -> Submitted {
        if self.is_closed() {
            return Submitted::refused(closed().at(&record.topic.into(), record.partition));
        }
        self.count_refused();
        Submitted::refused(self.lock_core().no_transaction(&record.topic.into()))
    }

    fn count_refused(&self) {
        self.lock_waiting().counters.refused(self.clock.now());
    }
}

/// Lengths are 32 bits in Kafka's protocol.
const WIRE_MAX: usize = i32::MAX as usize;
