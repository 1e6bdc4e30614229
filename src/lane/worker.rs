//! The lane's thread: chunk after chunk through the chain and into the core.

use super::acknowledge::{Outcomes, Pending};
use super::append::{Appending, Batches};
use super::aside::Aside;
use super::chunk::Chunk;
use super::counters::ChunkFacts;
use super::delivery::Placed;
use super::letters::{Origins, take_letters};
use super::passage::Passage;
use super::staging::{AckItem, Item, Job, Shared, Work, died};
use super::{callbacks, delivery};
use crate::core::time::Instant;
use crate::core::{GroupHandle, TopicHandle, TopicInfo, TopicStatus};
use crate::error::{Fate, ProduceError, Stage};
use crate::plugin::{Chain, Consistency, End, Ended, NULL, Records, Targets, TopicFailure, Topology, TopologyBroker};
use crate::record::valid_topic;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// Guests run on this thread and may use a megabyte of it.
const STACK: usize = 4 * 1024 * 1024;
/// A topic of which the partitioner names partitions that it does not have is asked for anew no more often.
const DOUBTS_EVERY: Duration = Duration::from_secs(1);

/// Starts a lane's thread.
///
/// # Errors
/// The operating system has no thread for us.
pub(crate) fn start(shared: Arc<Shared>, chain: Chain, delivery_timeout: Duration) -> io::Result<JoinHandle<()>> {
    let name = format!("pointsman-lane-{}", shared.number);
    std::thread::Builder::new()
        .name(name)
        .stack_size(STACK)
        .spawn(move || Worker::new(shared, chain, delivery_timeout).run())
}

/// What a lane's thread does, in steps. A simulator takes them without a thread.
pub(super) struct Worker {
    lane: Guard,
    chain: Chain,
    delivery_timeout: Duration,
    topics: BTreeMap<Arc<str>, TopicHandle>,
    /// Topics that the partitioner was told of, with their groups.
    told: BTreeMap<Arc<str>, Vec<GroupHandle>>,
    /// How many partitions it was told that each of them has.
    told_partitions: BTreeMap<Arc<str>, usize>,
    /// When a topic was last asked for anew, as the partitioner named a partition that it does not have.
    doubts: BTreeMap<Arc<str>, Instant>,
    aside: Aside,
    pending: Pending,
    outcomes: Outcomes,
    batches: Batches,
    /// Why nothing goes on any more: the driver is gone, or whoever closes has no time left.
    over: Option<ProduceError>,
    /// How long the next step may wait for work, while somebody's deadline is watched.
    patience: Option<Duration>,
}

impl Drop for Worker {
    fn drop(&mut self) {
        // After a panic: what is aside has failed with its deliveries, and what the core has is still delivered.
        for job in self.aside.take_flushes() {
            self.lane.0.flush_core(job);
        }
    }
}

/// Whatever ends the thread, everybody who waits for the lane learns of it.
struct Guard(Arc<Shared>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.close();
        while let Some((acknowledgements, items)) = self.0.take_queue() {
            acknowledgements.into_iter().for_each(|item| self.0.pass_by(item));
            for item in items {
                match item {
                    Item::Chunk(chunk) => fail_chunk(&self.0, chunk, &delivery::closed()),
                    // What the core has by now is still delivered.
                    Item::Flush(job) => self.0.flush_core(job),
                    Item::Topology(_) | Item::Stop => {}
                }
            }
        }
    }
}

/// Outcomes that are passed on when the plugins were told of them, even if that ends the thread.
struct PassingBy {
    lane: Arc<Shared>,
    items: Vec<AckItem>,
}

impl Drop for PassingBy {
    fn drop(&mut self) {
        self.items.drain(..).for_each(|item| self.lane.pass_by(item));
    }
}

/// Fails a chunk's records for the same reason, each with its own topic and partition.
fn fail_chunk(shared: &Shared, chunk: Chunk, error: &ProduceError) {
    let now = shared.clock.now();
    let (records, queued) = (chunk.records.len(), now - chunk.accepted);
    shared.count_chunk(now, ChunkFacts { records, bytes: chunk.bytes, queued, errors: records, dropped: 0 });
    let mut placed = Placed::of(records);
    let mut known = BTreeMap::new();
    for (slot, (&topic, &partition)) in chunk.records.topic_of.iter().zip(&chunk.records.partitions).enumerate() {
        let index = *known.entry((topic, partition)).or_insert_with(|| {
            let partition = (partition >= 0).then_some(partition);
            placed.errors.push(error.clone().at(&chunk.records.topics[topic as usize], partition));
            placed.errors.len() as u32 - 1
        });
        placed.slots[slot].index = index;
    }
    let of_callbacks = placed.errors.clone();
    let index: Vec<u32> = placed.slots.iter().map(|slot| slot.index).collect();
    chunk.deliveries.place(placed);
    chunk.callbacks.fail(|slot| of_callbacks[index[slot as usize] as usize].clone());
}

impl Worker {
    pub(super) fn new(shared: Arc<Shared>, chain: Chain, delivery_timeout: Duration) -> Worker {
        Worker {
            lane: Guard(shared),
            chain,
            delivery_timeout,
            topics: BTreeMap::new(),
            told: BTreeMap::new(),
            told_partitions: BTreeMap::new(),
            doubts: BTreeMap::new(),
            aside: Aside::default(),
            pending: Pending::default(),
            outcomes: Outcomes::default(),
            batches: Batches::default(),
            over: None,
            patience: None,
        }
    }

    fn run(mut self) {
        while self.step(self.lane.0.next_work(self.patience)).is_continue() {}
    }

    /// How long the next step may wait for work, if not for ever.
    pub(super) fn patience(&self) -> Option<Duration> {
        self.patience
    }

    /// Does what there is to do: outcomes, then one item of the queue, then what somebody waited for too long.
    pub(super) fn step(&mut self, work: Work) -> ControlFlow<()> {
        let Work { acknowledgements, item, watch } = work;
        if !acknowledgements.is_empty() {
            self.acknowledge(acknowledgements);
        }
        match item {
            Some(Item::Chunk(chunk)) => {
                self.process(chunk);
                self.lane.0.admit();
            }
            Some(Item::Topology(topic)) => self.topology_changed(&topic),
            Some(Item::Flush(job)) => self.flush(job),
            Some(Item::Stop) => {
                self.end_aside(delivery::closed());
                self.outcomes.tell(self.lane.0.clock.now(), &mut self.chain);
                self.chain.close();
                return ControlFlow::Break(());
            }
            None => {}
        }
        if watch || self.patience.is_some() || !self.aside.is_empty() {
            let now = self.lane.0.clock.now();
            let waiting = self.lane.0.expire_waiting(now);
            // Memory may also come back where nobody tells: from a socket that was closed, say.
            self.lane.0.admit();
            let next = waiting.into_iter().chain(self.expire_aside(now)).min();
            self.patience = next.map(|at| (at - now).clamp(Duration::from_millis(1), Duration::from_millis(100)));
        }
        ControlFlow::Continue(())
    }

    fn acknowledge(&mut self, items: Vec<AckItem>) {
        let now = self.lane.0.clock.now();
        let mut settled = Vec::new();
        let mut over = None;
        for item in &items {
            match item {
                AckItem::Topic(name, outcome) => settled.push((Arc::clone(name), outcome.clone())),
                AckItem::DriverDied(reason) => over = Some(died(reason)),
                AckItem::Abandoned => over = Some(delivery::closed()),
                AckItem::Done(_) | AckItem::Flushed(_) => {}
            }
        }
        // The hooks hear of an outcome before the sender does.
        let passing = PassingBy { lane: Arc::clone(&self.lane.0), items };
        let number = passing.lane.number;
        for done in
            passing.items.iter().filter_map(|item| if let AckItem::Done(done) = item { Some(done) } else { None })
        {
            self.outcomes.add_done(now, done, number, &mut self.pending, &mut self.chain);
        }
        self.outcomes.tell(now, &mut self.chain);
        drop(passing);
        for (topic, outcome) in settled {
            self.topic_settled(now, &topic, outcome);
        }
        if let Some(error) = over {
            self.end_aside(error.clone());
            self.over.get_or_insert(error);
        }
        self.lane.0.admit();
    }

    fn flush(&mut self, job: Job) {
        // What is aside is flushed when it has come on.
        if let Some(job) = self.aside.hold(job) {
            self.lane.0.flush_core(job);
        }
    }

    /// The partitioner hears of it before it places the topic's next record, if it is any of its business.
    fn topology_changed(&mut self, topic: &Arc<str>) {
        let is_keyed = self.chain.partitioner_wants().is_some_and(|wants| wants.consistency == Consistency::Keyed);
        let partitions = self.topics.get(topic).map(|&handle| self.lane.0.lock_core().partition_count(handle));
        if !is_keyed || self.told_partitions.get(topic).copied() != partitions {
            self.told.remove(topic);
        }
    }

    /// A passage that had been aside has come to its end, or is aside again.
    fn settled(&mut self, number: Option<u64>) {
        self.lane.0.count_aside(self.aside.len());
        for job in self.aside.settled(number) {
            self.lane.0.flush_core(job);
        }
    }

    fn topic_settled(&mut self, now: Instant, topic: &Arc<str>, outcome: Result<(), ProduceError>) {
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
    fn expire_aside(&mut self, now: Instant) -> Option<Instant> {
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

    fn end_aside(&mut self, error: ProduceError) {
        let now = self.lane.0.clock.now();
        for mut passage in self.aside.take_all() {
            let number = passage.aside;
            let ended = passage.end_all(&error);
            let (_, ended) = self.forward(now, passage, ended);
            self.lane.0.count_ended(now, &ended);
            self.settled(number);
        }
    }

    fn out_of_time(&self, topic: &Arc<str>) -> ProduceError {
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

    fn process(&mut self, chunk: Chunk) {
        let shared = Arc::clone(&self.lane.0);
        if let Some(error) = &self.over {
            fail_chunk(&shared, chunk, error);
            return;
        }
        let now = shared.clock.now();
        if chunk.accepted + self.delivery_timeout <= now {
            let error = ProduceError::Timeout {
                topic: "".into(),
                partition: None,
                key: "delivery.timeout.ms",
                limit: self.delivery_timeout,
                stage: Stage::Lane,
                last_cause: None,
                fate: Fate::NotWritten,
            };
            fail_chunk(&shared, chunk, &error);
            return;
        }
        let Chunk { mut records, accepted, deliveries, callbacks, permit, bytes, .. } = chunk;
        let slots = records.len();
        let mut ended = Vec::new();
        let tags = self.chain.on_send(since(now), &mut records, slots, &mut ended);
        self.end_strays(&mut records, &mut ended);
        let passage = Passage {
            records,
            slots,
            accepted,
            deliveries,
            callbacks,
            permit,
            tags,
            origins: BTreeMap::new(),
            aside: None,
        };
        let (records, ended) = self.forward(now, passage, ended);
        shared.recycle(now, ChunkFacts::new(slots, bytes, now - accepted, &ended), records);
    }

    /// Ends the records that an interceptor sent to a topic whose chain is another one.
    fn end_strays(&self, records: &mut Records, ended: &mut Vec<Ended>) {
        let Some(may_go_to) = &self.lane.0.config.may_go_to else { return };
        for at in 0..records.topics.len() as u32 {
            let topic = Arc::clone(&records.topics[at as usize]);
            let Err(reason) = may_go_to(&topic) else { continue };
            let strays = of_topic(records, at);
            let error = ProduceError::Topic { topic: Arc::clone(&topic), reason };
            ended.extend(strays.iter().map(|&stray| Ended {
                slot: records.slots[stray as usize],
                topic: Arc::clone(&topic),
                partition: records.partitions[stray as usize],
                timestamp: records.timestamps[stray as usize],
                end: End::Failed(error.clone()),
            }));
            records.remove(&strays);
        }
    }

    /// From the interceptors on. What cannot go on yet is set aside. Returns the columns, and who ended.
    fn forward(&mut self, now: Instant, mut passage: Passage, mut ended: Vec<Ended>) -> (Records, Vec<Ended>) {
        let shared = Arc::clone(&self.lane.0);
        let mut placed = Placed::of(passage.slots);
        self.set_aside(now, &mut passage, &mut placed, &mut ended);
        let targets = if passage.origins.is_empty() {
            self.chain.serialize(since(now), &mut passage.records, &mut ended);
            self.place(now, &mut passage.records, &mut ended)
        } else {
            vec![-1; passage.records.len()]
        };
        let (letters, origins) = take_letters(&mut ended);
        let letters = self.set_letters_aside(now, letters, origins, &mut passage, &mut placed, &mut ended);

        let pending = shared.config.acknowledgements.then(|| {
            let mut timestamps = passage.records.timestamps_by_slot(passage.slots);
            let mut origins = passage.origins.clone();
            if let Some(letters) = &letters {
                for (&slot, &timestamp) in letters.records.slots.iter().zip(&letters.records.timestamps) {
                    timestamps[slot as usize] = timestamp;
                }
                origins.extend(letters.origins.iter().map(|(&slot, origin)| (slot, Arc::clone(origin))));
            }
            let left = passage.records.len() + letters.as_ref().map_or(0, |letters| letters.records.len());
            self.pending.keep(left, timestamps, passage.tags.clone(), origins)
        });
        let Passage { records, mut callbacks, origins, tags, deliveries, permit, accepted, .. } = passage;
        let mut appending = Appending {
            shared: &shared,
            batches: &mut self.batches,
            topics: &self.topics,
            told: &self.told,
            now,
            accepted,
            pending,
            placed: &mut placed,
            callbacks: &mut callbacks,
            ended: &mut ended,
        };
        let before = appending.ended.len();
        appending.append(&records, &targets, &origins);
        if let Some(letters) = letters {
            appending.append(&letters.records, &vec![-1; letters.records.len()], &letters.origins);
        }
        // The records are in batches, which have taken memory of their own.
        drop(permit);
        if let Some(chunk) = pending {
            self.pending.forget(chunk, ended.len() - before);
        }
        if shared.config.acknowledgements {
            for ended in &ended {
                self.outcomes.add_ended(now, ended, &tags, &mut self.chain);
            }
            self.outcomes.tell(now, &mut self.chain);
        }
        let mut errors = BTreeMap::new();
        for Ended { slot, end, .. } in &ended {
            if let End::Failed(error) = end {
                placed.ended(*slot, error.clone());
                errors.insert(*slot, error);
            }
        }
        deliveries.place(placed);
        callbacks.fail(|slot| errors.get(&slot).map_or_else(callbacks::lost, |error| (*error).clone()));
        (records, ended)
    }

    /// Sets aside the records of topics that are not known, and those that would overtake them.
    fn set_aside(&mut self, now: Instant, passage: &mut Passage, placed: &mut Placed, ended: &mut Vec<Ended>) {
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
    fn topics_to_refresh(&self, passage: &Passage) -> BTreeSet<u32> {
        let Passage { records, aside, .. } = passage;
        let mut beyond = BTreeSet::new();
        if aside.is_some() || !self.chain.changes_partitions() {
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
    fn look_up(&mut self, now: Instant, topic: &Arc<str>) -> Result<bool, ProduceError> {
        if self.aside.has_line(topic) {
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

    fn push_aside(&mut self, now: Instant, topic: Arc<str>, passage: Passage) {
        let deadline = (now + self.lane.0.config.max_block).min(passage.accepted + self.delivery_timeout);
        self.aside.push(topic, passage, deadline);
        self.lane.0.count_aside(self.aside.len());
    }

    /// Letters whose topic is known go with the passage; the others are set aside.
    fn set_letters_aside(
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

    /// One target per record that is left, as the partitioner answers.
    fn place(&mut self, now: Instant, records: &mut Records, ended: &mut Vec<Ended>) -> Vec<i32> {
        let failed = self.tell_topics(now, records);
        let Targets { targets, doubtful } = self.chain.partition(since(now), records, &failed, ended);
        for topic in doubtful {
            let asked = self.doubts.get(&topic).is_some_and(|&asked| now - asked < DOUBTS_EVERY);
            if !asked {
                self.lane.0.lock_core().refresh_topic(now, &topic);
                (self.lane.0.wake_driver)();
                self.doubts.insert(topic, now);
            }
        }
        targets
    }

    /// Tells the partitioner of the topics of these records that it has not heard of and is to place some record of.
    fn tell_topics(&mut self, now: Instant, records: &Records) -> Vec<TopicFailure> {
        let mut failed = Vec::new();
        let Some(wants) = self.chain.partitioner_wants() else { return failed };
        let is_keyed = wants.consistency == Consistency::Keyed;
        for (at, topic) in (0..).zip(&records.topics) {
            if self.told.contains_key(topic) {
                continue;
            }
            let is_to_place = || {
                let mut all = records.topic_of.iter().zip(&records.partitions);
                all.any(|(&of, &partition)| of == at && partition == NULL)
            };
            let Some(&handle) = self.topics.get(topic).filter(|_| is_to_place()) else { continue };
            let TopicInfo { leaders, brokers } = self.lane.0.lock_core().topic_info(handle);
            let mut topology =
                Topology { topic: topic.to_string(), partitions: leaders.len() as u32, ..Topology::default() };
            if !is_keyed {
                topology.leaders = leaders;
                topology.brokers = brokers.into_iter().map(|(id, rack)| TopologyBroker { id, rack }).collect();
            }
            match self.chain.on_topology(since(now), &topology) {
                Ok(groups) => {
                    let mut core = self.lane.0.lock_core();
                    let groups = groups.iter().map(|members| core.group(handle, members)).collect();
                    drop(core);
                    self.told.insert(Arc::clone(topic), groups);
                    self.told_partitions.insert(Arc::clone(topic), topology.partitions as usize);
                }
                Err(failure) => failed.push((at, failure)),
            }
        }
        failed
    }
}

/// Letters that go with the records that they are not about.
struct Letters {
    records: Records,
    origins: Origins,
}

fn of_topic(records: &Records, topic: u32) -> Vec<u32> {
    (0..).zip(&records.topic_of).filter(|(_, of)| **of == topic).map(|(at, _)| at).collect()
}

/// The plugins' time: since the origin of the producer's clock.
pub(super) fn since(now: Instant) -> Duration {
    Duration::from_nanos(now.as_nanos())
}
