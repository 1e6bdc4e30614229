//! The lane's thread: chunk after chunk through the chain and into the core.

mod setting_aside;
mod swapping;

use super::acknowledge::{Outcomes, Pending};
use super::append::{Appending, Batches};
use super::aside::Aside;
use super::chunk::Chunk;
use super::counters::ChunkFacts;
use super::delivery::{ENDED, Facts, Placed, Slot};
use super::letters::take_letters;
use super::passage::Passage;
use super::staging::{AckItem, Item, Job, Shared, Work, died};
use super::{callbacks, delivery};
use crate::core::time::Instant;
use crate::core::{ABORTED, GroupHandle, TopicHandle, TopicInfo};
use crate::error::{Fate, ProduceError, Stage};
use crate::plugin::{Chain, Consistency, End, Ended, NULL, Records, Targets, TopicFailure, Topology, TopologyBroker};
use std::collections::BTreeMap;
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
    /// What records go through that come now.
    now: InUse,
    /// Those before, by number, that records which are aside have gone through half of.
    before: Vec<(u64, InUse)>,
    /// That of what is used now.
    generation: u64,
    delivery_timeout: Duration,
    topics: BTreeMap<Arc<str>, TopicHandle>,
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

/// A chain, and what its partitioner knows.
struct InUse {
    chain: Chain,
    /// Topics that the partitioner was told of, with their groups.
    told: BTreeMap<Arc<str>, Vec<GroupHandle>>,
    /// How many partitions it was told that each of them has.
    told_partitions: BTreeMap<Arc<str>, usize>,
}

impl InUse {
    fn new(chain: Chain) -> InUse {
        InUse { chain, told: BTreeMap::new(), told_partitions: BTreeMap::new() }
    }

    /// The partitioner is to hear of a topic before it places the next record, if that is any of its business.
    fn topology_changed(&mut self, topic: &Arc<str>, partitions: Option<usize>) {
        let is_keyed = self.chain.partitioner_wants().is_some_and(|wants| wants.consistency == Consistency::Keyed);
        if !is_keyed || self.told_partitions.get(topic).copied() != partitions {
            self.told.remove(topic);
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // What it had in its hands is lost.
            self.lane.0.fail_transaction(self.lane.0.clock.now(), &callbacks::lost());
        }
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
            self.0.pass_by(acknowledgements);
            for item in items {
                match item {
                    Item::Chunk(chunk) => fail_chunk(&self.0, chunk, &delivery::closed()),
                    // What the core has by now is still delivered.
                    Item::Flush(job) => self.0.flush_core(job),
                    Item::Topology(_) | Item::Swap(_) | Item::Stop => {}
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
        self.lane.pass_by(self.items.drain(..));
    }
}

/// What becomes of records that never reached a batch when their transaction is aborted.
fn aborted() -> ProduceError {
    let (topic, reason) = ("".into(), ABORTED.into());
    ProduceError::Aborted { topic, partition: None, reason, fate: Fate::NotWritten }
}

/// Fails a chunk's records for the same reason, each with its own topic and partition.
fn fail_chunk(shared: &Shared, chunk: Chunk, error: &ProduceError) {
    let now = shared.clock.now();
    let (records, queued) = (chunk.records.len(), now - chunk.accepted);
    shared.count_chunk(
        now,
        ChunkFacts { records, bytes: chunk.bytes, queued, appended: queued, errors: records, dropped: 0 },
    );
    shared.fail_transaction(now, error);
    let mut placed = Placed::of(records);
    let mut known = BTreeMap::new();
    for (&topic, &partition) in chunk.records.topic_of.iter().zip(&chunk.records.partitions) {
        let index = *known.entry((topic, partition)).or_insert_with(|| {
            let partition = (partition >= 0).then_some(partition);
            placed.errors.push(error.clone().at(&chunk.records.topics[topic as usize], partition));
            placed.errors.len() as u32 - 1
        });
        placed.slots.push(Slot { completion: ENDED, index, facts: Facts::default() });
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
            now: InUse::new(chain),
            before: Vec::new(),
            generation: 0,
            delivery_timeout,
            topics: BTreeMap::new(),
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
            Some(Item::Swap(swap)) => self.swap(*swap),
            Some(Item::Stop) => {
                self.end_aside(delivery::closed());
                self.outcomes.tell(self.lane.0.clock.now(), &mut self.now.chain);
                self.retire();
                self.now.chain.close();
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
        self.retire();
        ControlFlow::Continue(())
    }

    fn acknowledge(&mut self, items: Vec<AckItem>) {
        let now = self.lane.0.clock.now();
        let mut settled = Vec::new();
        let (mut over, mut aborts) = (None, false);
        for item in &items {
            match item {
                AckItem::Topic(name, outcome) => settled.push((Arc::clone(name), outcome.clone())),
                AckItem::DriverDied(reason) => over = Some(died(reason)),
                AckItem::Abandoned => over = Some(delivery::closed()),
                // Of another transaction, perhaps, by now.
                AckItem::Aborted => aborts = self.lane.0.gate.aborts(),
                AckItem::Done(_) | AckItem::Flushed(_) => {}
            }
        }
        // The hooks hear of an outcome before the sender does.
        let passing = PassingBy { lane: Arc::clone(&self.lane.0), items };
        let number = passing.lane.number;
        for done in
            passing.items.iter().filter_map(|item| if let AckItem::Done(done) = item { Some(done) } else { None })
        {
            self.outcomes.add_done(now, done, number, &mut self.pending, &mut self.now.chain);
        }
        self.outcomes.tell(now, &mut self.now.chain);
        drop(passing);
        for (topic, outcome) in settled {
            self.topic_settled(now, &topic, outcome);
        }
        if aborts {
            let topics: Vec<Arc<str>> = self.aside.topics().cloned().collect();
            self.end_aside(aborted());
            topics.iter().for_each(|topic| self.lane.0.forget(topic));
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

    fn topology_changed(&mut self, topic: &Arc<str>) {
        let partitions = self.topics.get(topic).map(|&handle| self.lane.0.lock_core().partition_count(handle));
        self.now.topology_changed(topic, partitions);
        self.before.iter_mut().for_each(|(_, before)| before.topology_changed(topic, partitions));
    }

    fn process(&mut self, chunk: Chunk) {
        let shared = Arc::clone(&self.lane.0);
        if let Some(error) = &self.over {
            fail_chunk(&shared, chunk, error);
            return;
        }
        if shared.gate.aborts() {
            fail_chunk(&shared, chunk, &aborted());
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
        let tags = self.now.chain.on_send(since(now), &mut records, slots, &mut ended);
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
            generation: self.generation,
        };
        let (records, ended) = self.forward(now, passage, ended);
        // Nothing was, perhaps.
        let appended = self.batches.appended.max(now) - accepted;
        shared.recycle(now, ChunkFacts::new(slots, bytes, now - accepted, appended, &ended), records);
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
        // It goes on through the chain that it has gone through half of.
        let generation = passage.generation;
        self.exchange(generation);
        let targets = if passage.origins.is_empty() {
            self.now.chain.serialize(since(now), &mut passage.records, &mut ended);
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
            told: &self.now.told,
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
        // Outcomes are told to the interceptors that there are now.
        self.exchange(generation);
        if let Some(chunk) = pending {
            self.pending.forget(chunk, ended.len() - before);
        }
        if shared.config.acknowledgements {
            for ended in &ended {
                self.outcomes.add_ended(now, ended, &tags, &mut self.now.chain);
            }
            self.outcomes.tell(now, &mut self.now.chain);
        }
        let mut errors = BTreeMap::new();
        for Ended { slot, end, .. } in &ended {
            if let End::Failed(error) = end {
                placed.ended(*slot, error.clone());
                errors.insert(*slot, error);
            }
        }
        // One that is left out on purpose, or as its policy says, is no loss.
        if let Some(error) = errors.values().find(|error| !matches!(error, ProduceError::Dropped { .. })) {
            shared.fail_transaction(now, error);
        }
        deliveries.place(placed);
        callbacks.fail(|slot| errors.get(&slot).map_or_else(callbacks::lost, |error| (*error).clone()));
        (records, ended)
    }

    /// One target per record that is left, as the partitioner answers.
    fn place(&mut self, now: Instant, records: &mut Records, ended: &mut Vec<Ended>) -> Vec<i32> {
        let failed = self.tell_topics(now, records);
        let Targets { targets, doubtful } = self.now.chain.partition(since(now), records, &failed, ended);
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
        let Some(wants) = self.now.chain.partitioner_wants() else { return failed };
        let is_keyed = wants.consistency == Consistency::Keyed;
        for (at, topic) in (0..).zip(&records.topics) {
            if self.now.told.contains_key(topic) {
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
            match self.now.chain.on_topology(since(now), &topology) {
                Ok(groups) => {
                    let mut core = self.lane.0.lock_core();
                    let groups = groups.iter().map(|members| core.group(handle, members)).collect();
                    drop(core);
                    self.now.told.insert(Arc::clone(topic), groups);
                    self.now.told_partitions.insert(Arc::clone(topic), topology.partitions as usize);
                }
                Err(failure) => failed.push((at, failure)),
            }
        }
        failed
    }
}

fn of_topic(records: &Records, topic: u32) -> Vec<u32> {
    (0..).zip(&records.topic_of).filter(|(_, of)| **of == topic).map(|(at, _)| at).collect()
}

/// The plugins' time: since the origin of the producer's clock.
pub(super) fn since(now: Instant) -> Duration {
    Duration::from_nanos(now.as_nanos())
}
