//! What cannot go on yet: set aside, come back to, and ended when its time is over.

use super::{Worker, of_topic};
use crate::core::TopicStatus;
use crate::core::time::Instant;
use crate::error::{Fate, ProduceError, Stage};
use crate::lane::delivery::Placed;
use crate::lane::letters::Origins;
use crate::lane::passage::Passage;
use crate::plugin::{Ended, Records};
use crate::record::valid_topic;
use crate::sabotage::{self, Sabotage};
use std::collections::BTreeSet;
use std::sync::Arc;

impl Worker {
    /// A passage that had been aside has come to its end, or is aside again.
    pub(super) fn settled(&mut self, number: Option<u64>) {
        self.lane.0.count_aside(self.aside.len());
        for job in self.aside.settled(number) {
            self.lane.0.flush_core(job);
        }
    }

    pub(super) fn topic_settled(&mut self, now: Instant, topic: &Arc<str>, outcome: Result<(), ProduceError>) {
        for mut passage in self.aside.take_line(topic) {
            let number = passage.aside;
            let late = passage.accepted + self.delivery_timeout <= now;
            let ended = match &outcome {
                Err(error) => passage.end_all(error),
                Ok(()) if late => passage.end_all(&self.out_of_time(topic)),
                Ok(()) => Vec::new(),
            };
            let (_, ended) = self.forward(now, passage, ended);
            self.lane.0.count_ended(now, &ended);
            self.settled(number);
        }
    }

    /// Ends what was aside for too long, and says when the next one will have been.
    pub(super) fn expire_aside(&mut self, now: Instant) -> Option<Instant> {
        while let Some((topic, mut passage)) = self.aside.pop_late(now) {
            let number = passage.aside;
            let error = if passage.accepted + self.delivery_timeout <= now {
                self.out_of_time(&topic)
            } else {
                self.lane.0.waited_too_long(&topic, None, Stage::Metadata)
            };
            let ended = passage.end_all(&error);
            let (_, ended) = self.forward(now, passage, ended);
            self.lane.0.count_ended(now, &ended);
            self.settled(number);
            if !self.aside.has_line(&topic) {
                self.lane.0.forget(&topic);
            }
        }
        // Someone else who stopped waiting may have had a topic forgotten.
        let mut core = self.lane.0.lock_core();
        for topic in self.aside.topics() {
            core.topic(now, topic);
        }
        drop(core);
        self.aside.next_deadline()
    }

    pub(super) fn end_aside(&mut self, error: ProduceError) {
        let now = self.lane.0.clock.now();
        for mut passage in self.aside.take_all() {
            let number = passage.aside;
            let ended = passage.end_all(&error);
            let (_, ended) = self.forward(now, passage, ended);
            self.lane.0.count_ended(now, &ended);
            self.settled(number);
        }
    }

    pub(super) fn out_of_time(&self, topic: &Arc<str>) -> ProduceError {
        ProduceError::Timeout {
            topic: Arc::clone(topic),
            partition: None,
            key: "delivery.timeout.ms",
            limit: self.delivery_timeout,
            stage: Stage::Metadata,
            last_cause: self.lane.0.lock_core().topic_trouble(topic),
            fate: Fate::NotWritten,
        }
    }

    /// Sets aside the records of topics that are not known, and those that would overtake them.
    pub(super) fn set_aside(
        &mut self,
        now: Instant,
        passage: &mut Passage,
        placed: &mut Placed,
        ended: &mut Vec<Ended>,
    ) {
        let (mut late, mut wrong) = (Vec::new(), Vec::new());
        let known = |topic: &Arc<str>| self.topics.contains_key(topic) && !self.aside.has_line(topic);
        let beyond = self.topics_to_refresh(passage);
        if beyond.is_empty() && passage.records.topics.iter().all(known) {
            return;
        }
        // Topics stay in the columns when their last record is gone.
        let used: BTreeSet<u32> = passage.records.topic_of.iter().copied().collect();
        for at in used {
            let topic = &passage.records.topics[at as usize];
            match self.look_up(now, topic) {
                Ok(true) if beyond.contains(&at) => {
                    self.lane.0.lock_core().refresh_topic(now, topic);
                    (self.lane.0.wake_driver)();
                    late.push((at, Arc::clone(topic)));
                }
                Ok(true) => {}
                Ok(false) => late.push((at, Arc::clone(topic))),
                Err(error) => wrong.push((at, error)),
            }
        }
        for (topic, error) in wrong {
            let dead = of_topic(&passage.records, topic);
            ended.extend(dead.iter().map(|&at| passage.ended(at as usize, error.clone())));
            passage.records.remove(&dead);
        }
        for (at, topic) in late {
            let indexes = of_topic(&passage.records, at);
            let moved = passage.split_off(&indexes, &self.lane.0.memory, placed);
            self.push_aside(now, topic, moved);
        }
    }

    /// The topics, by index, in which an interceptor chose a partition beyond those known: they may have grown. Who named
    /// one to the producer has waited outside; and nobody waits twice.
    pub(super) fn topics_to_refresh(&self, passage: &Passage) -> BTreeSet<u32> {
        let Passage { records, aside, .. } = passage;
        let mut beyond = BTreeSet::new();
        if aside.is_some() || !self.now.chain.changes_partitions() {
            return beyond;
        }
        let mut core = None;
        let placed = records.topic_of.iter().zip(&records.partitions).filter(|(_, partition)| **partition >= 0);
        for (&at, &partition) in placed {
            let Some(&handle) = self.topics.get(&records.topics[at as usize]) else { continue };
            let core = core.get_or_insert_with(|| self.lane.0.lock_core());
            if partition as usize >= core.partition_count(handle) {
                beyond.insert(at);
            }
        }
        beyond
    }

    /// Whether records of a topic can be appended; if not, it is asked for.
    ///
    /// # Errors
    /// There is no such topic, and cannot be.
    pub(super) fn look_up(&mut self, now: Instant, topic: &Arc<str>) -> Result<bool, ProduceError> {
        if self.aside.has_line(topic) && !sabotage::is_on(Sabotage::OvertakeAside) {
            return Ok(false);
        }
        if self.topics.contains_key(topic) {
            return Ok(true);
        }
        if let Some(error) = &self.over {
            return Err(error.clone());
        }
        valid_topic(topic).map_err(|reason| ProduceError::Topic { topic: Arc::clone(topic), reason })?;
        let status = self.lane.0.lock_core().topic(now, topic);
        match status {
            TopicStatus::Ready(handle) => {
                self.topics.insert(Arc::clone(topic), handle);
                Ok(true)
            }
            TopicStatus::Pending => {
                (self.lane.0.wake_driver)();
                Ok(false)
            }
        }
    }

    pub(super) fn push_aside(&mut self, now: Instant, topic: Arc<str>, passage: Passage) {
        let deadline = (now + self.lane.0.config.max_block).min(passage.accepted + self.delivery_timeout);
        self.aside.push(topic, passage, deadline);
        self.lane.0.count_aside(self.aside.len());
    }

    /// Letters whose topic is known go with the passage; the others are set aside.
    pub(super) fn set_letters_aside(
        &mut self,
        now: Instant,
        letters: Records,
        origins: Origins,
        passage: &mut Passage,
        placed: &mut Placed,
        ended: &mut Vec<Ended>,
    ) -> Option<Letters> {
        if letters.is_empty() {
            return None;
        }
        let mut here = Letters { records: letters, origins };
        for (at, topic) in (0..).zip(here.records.topics.clone()) {
            let indexes = of_topic(&here.records, at);
            let slots: Vec<u32> = indexes.iter().map(|&at| here.records.slots[at as usize]).collect();
            let known = self.look_up(now, &topic);
            if let Ok(true) = known {
                continue;
            }
            let origins: Origins = slots.iter().filter_map(|slot| here.origins.remove_entry(slot)).collect();
            let mut late = here.records.clone();
            late.retain(&indexes);
            here.records.remove(&indexes);
            match known {
                Err(error) => ended.extend(origins.iter().map(|(&slot, origin)| origin.ended(slot, error.clone()))),
                Ok(_) => {
                    let moved = passage.move_out(late, &self.lane.0.memory, placed, origins);
                    self.push_aside(now, topic, moved);
                }
            }
        }
        Some(here)
    }
}

/// Letters that go with the records that they are not about.
pub(super) struct Letters {
    pub(super) records: Records,
    pub(super) origins: Origins,
}
