//! The lane's thread: chunk after chunk through the chain and into the core.

use super::acknowledge::{Outcomes, Pending, Token};
use super::callbacks::Callbacks;
use super::chunk::Chunk;
use super::counters::ChunkFacts;
use super::delivery::{ENDED, Facts, Placed, Slot};
use super::staging::{AckItem, Item, Shared, Work, died};
use super::{UserCallback, callbacks, delivery};
use crate::core::time::Instant;
use crate::core::{
    Append, Core, GroupHandle, LeadingBroker, Placement, Sealed, TopicHandle, TopicInfo, TopicStatus, Unsealed,
};
use crate::error::{Fate, ProduceError, Stage};
use crate::plugin::{Chain, Ended, Groups, HeaderColumns, HeaderIter, Records, Tags, Topology, TopologyBroker};
use crate::protocol::record_batch::{self, NO_HEADERS};
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

/// Guests run on this thread and may use a megabyte of it.
const STACK: usize = 4 * 1024 * 1024;

/// Starts a lane's thread.
///
/// # Errors
/// The operating system has no thread for us.
pub(crate) fn start(
    shared: Arc<Shared>,
    chain: Chain,
    delivery_timeout: Duration,
    number: u32,
) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(format!("pointsman-lane-{number}")).stack_size(STACK).spawn(move || {
        let mut worker = Worker {
            lane: Guard(shared),
            chain,
            delivery_timeout,
            topics: BTreeMap::new(),
            groups: Groups::new(),
            group_handles: BTreeMap::new(),
            pending: Pending::default(),
            outcomes: Outcomes::default(),
            batches: Vec::new(),
            headers: Vec::new(),
            dead: None,
        };
        worker.run();
    })
}

struct Worker {
    lane: Guard,
    chain: Chain,
    delivery_timeout: Duration,
    topics: BTreeMap<Arc<str>, TopicHandle>,
    groups: Groups,
    group_handles: BTreeMap<Arc<str>, Vec<GroupHandle>>,
    pending: Pending,
    outcomes: Outcomes,
    /// By the core's partition number: the batch that the chunk's last record for it went to, as its place in the
    /// chunk's completions. Valid where the first is the chunk's number.
    batches: Vec<(u64, u32)>,
    headers: Vec<u8>,
    /// Why the driver is no more.
    dead: Option<Arc<str>>,
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

/// Fails a chunk's records for the same reason, each with its own topic and partition.
fn fail_chunk(shared: &Shared, chunk: Chunk, error: &ProduceError) {
    let now = shared.clock.now();
    let (records, queued) = (chunk.records.len(), now - chunk.accepted);
    shared.count_chunk(now, ChunkFacts { records, bytes: chunk.bytes, queued, errors: records, dropped: 0 });
    let mut errors = Vec::new();
    let mut known = BTreeMap::new();
    let mut slots = Vec::with_capacity(records);
    for (&topic, &partition) in chunk.records.topic_of.iter().zip(&chunk.records.partitions) {
        let index = *known.entry((topic, partition)).or_insert_with(|| {
            let partition = (partition >= 0).then_some(partition);
            errors.push(error.clone().at(&chunk.records.topics[topic as usize], partition));
            errors.len() as u32 - 1
        });
        slots.push(Slot { completion: ENDED, index, facts: Facts::default() });
    }
    let of_callbacks = errors.clone();
    let index: Vec<u32> = slots.iter().map(|slot| slot.index).collect();
    chunk.deliveries.place(Placed { completions: Vec::new(), errors, slots });
    chunk.callbacks.fail(|slot| of_callbacks[index[slot as usize] as usize].clone());
}

impl Worker {
    fn run(&mut self) {
        let mut patience = None;
        let mut chunk_number = 0;
        loop {
            let Work { acknowledgements, item, watch } = self.lane.0.next_work(patience);
            if !acknowledgements.is_empty() {
                self.acknowledge(acknowledgements);
            }
            match item {
                Some(Item::Chunk(chunk)) => {
                    chunk_number += 1;
                    self.process(chunk, chunk_number);
                    self.lane.0.admit();
                }
                Some(Item::Topology(topic)) => drop(self.topics.remove(&topic)),
                Some(Item::Flush(job)) => self.lane.0.flush_core(job),
                Some(Item::Stop) => {
                    self.outcomes.tell(&mut self.chain);
                    self.chain.close();
                    return;
                }
                None => {}
            }
            if watch || patience.is_some() {
                let now = self.lane.0.clock.now();
                let next = self.lane.0.expire_waiting(now);
                // Memory may also come back where nobody tells: from a socket that was closed, say.
                self.lane.0.admit();
                patience = next.map(|at| (at - now).clamp(Duration::from_millis(1), Duration::from_millis(100)));
            }
        }
    }

    fn acknowledge(&mut self, items: Vec<AckItem>) {
        // The hooks hear of an outcome before the sender does.
        let mut dones = Vec::with_capacity(items.len());
        let mut flushed = Vec::new();
        for item in items {
            match item {
                AckItem::Done(done) => {
                    self.outcomes.add_done(&done, &mut self.pending, &mut self.chain);
                    dones.push(done);
                }
                AckItem::Flushed(flush) => flushed.extend(self.lane.0.take_flushed(flush)),
                AckItem::DriverDied(reason) => {
                    flushed.extend(self.lane.0.take_flushes());
                    self.dead = Some(reason);
                }
            }
        }
        self.outcomes.tell(&mut self.chain);
        for done in dones {
            self.lane.0.delivery_thread.complete(done);
        }
        for job in flushed {
            self.lane.0.delivery_thread.run(job);
        }
        self.lane.0.admit();
    }

    fn process(&mut self, chunk: Chunk, number: u64) {
        if let Some(reason) = &self.dead {
            fail_chunk(&self.lane.0, chunk, &died(reason));
            return;
        }
        let shared = Arc::clone(&self.lane.0);
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
        let Chunk { mut records, accepted, deliveries, mut callbacks, permit, bytes, .. } = chunk;
        let slots = records.len();
        let mut ended = Vec::new();
        let facts = self.facts_of_failures(&records);
        let tags = self.chain.on_send(&mut records, slots, &mut ended);
        self.know_topics(now, &mut records, &mut ended);
        self.chain.serialize(&mut records, &mut ended);
        let targets = self.place(&mut records, &mut ended);

        let timestamps = if shared.config.acknowledgements { records.timestamps_by_slot(slots) } else { Vec::new() };
        let pending =
            shared.config.acknowledgements.then(|| self.pending.keep(records.len(), timestamps, tags.clone()));
        let placed = self.append(now, accepted, &records, &targets, number, pending, slots, &mut callbacks, &mut ended);
        // The records are in batches, which have taken memory of their own.
        drop(permit);
        self.tell_ended(&facts, &ended, &tags);
        deliveries.place(placed);
        let error_of = |slot| ended.iter().find(|record| record.slot == slot).map(|record| record.error.clone());
        callbacks.fail(|slot| error_of(slot).unwrap_or_else(callbacks::lost));
        shared.recycle(now, ChunkFacts::new(slots, bytes, now - accepted, &ended), records);
    }

    /// What on-acknowledgement is told of records that end in the lane: topic, partition and timestamp by slot.
    fn facts_of_failures(&self, records: &Records) -> Option<Records> {
        // Rarely needed and not cheap: only the columns that are, and only with someone to tell.
        self.lane.0.config.acknowledgements.then(|| Records {
            topics: records.topics.clone(),
            topic_of: records.topic_of.clone(),
            partitions: records.partitions.clone(),
            timestamps: records.timestamps.clone(),
            ..Records::default()
        })
    }

    fn tell_ended(&mut self, facts: &Option<Records>, ended: &[Ended], tags: &Tags) {
        let Some(facts) = facts else { return };
        for record in ended {
            let slot = record.slot as usize;
            let topic = &facts.topics[facts.topic_of[slot] as usize];
            let (partition, timestamp) = (facts.partitions[slot], facts.timestamps[slot]);
            self.outcomes.add_ended(topic, partition, timestamp, record, tags, &mut self.chain);
        }
        self.outcomes.tell(&mut self.chain);
    }

    /// Sees to it that every topic of the chunk is known to the core, and to the partitioner.
    fn know_topics(&mut self, now: Instant, records: &mut Records, ended: &mut Vec<Ended>) {
        let mut failed: Vec<(u32, ProduceError)> = Vec::new();
        for (at, topic) in records.topics.iter().enumerate() {
            if self.topics.contains_key(topic) {
                continue;
            }
            let mut core = self.lane.0.lock_core();
            let TopicStatus::Ready(handle) = core.topic(now, topic) else {
                failed.push((at as u32, ProduceError::TopicNotKnownYet { topic: Arc::clone(topic) }));
                continue;
            };
            let info = core.topic_info(handle);
            drop(core);
            let keyed = self.chain.partitioner_wants().is_none_or(|wants| wants.consistency == Default::default());
            let topology = topology(topic, info, keyed);
            match self.chain.on_topology(&topology, &mut self.groups) {
                Ok(()) => {
                    let mut core = self.lane.0.lock_core();
                    let groups = self.groups.get(topic).into_iter().flatten();
                    let groups = groups.map(|members| core.group(handle, members)).collect();
                    drop(core);
                    self.group_handles.insert(Arc::clone(topic), groups);
                    self.topics.insert(Arc::clone(topic), handle);
                }
                Err(error) => failed.push((at as u32, error)),
            }
        }
        for (topic, error) in failed {
            let dead: Vec<u32> =
                (0..records.len() as u32).filter(|&at| records.topic_of[at as usize] == topic).collect();
            ended.extend(dead.iter().map(|&at| Ended { slot: records.slots[at as usize], error: error.clone() }));
            records.remove(&dead);
        }
    }

    /// One target per record that is left, as the partitioner answers.
    fn place(&mut self, records: &mut Records, ended: &mut Vec<Ended>) -> Vec<i32> {
        self.chain.partition(records, ended)
    }

    #[expect(clippy::too_many_arguments, reason = "the chunk's parts, each with a name")]
    fn append(
        &mut self,
        now: Instant,
        accepted: Instant,
        records: &Records,
        targets: &[i32],
        number: u64,
        pending: Option<u64>,
        slots: usize,
        callbacks: &mut Callbacks,
        ended: &mut Vec<Ended>,
    ) -> Placed {
        let shared = Arc::clone(&self.lane.0);
        let unplaced = Slot { completion: ENDED, index: 0, facts: Facts::default() };
        let mut placed = Placed { slots: vec![unplaced; slots], ..Placed::default() };
        let handles: Vec<Option<TopicHandle>> =
            records.topics.iter().map(|topic| self.topics.get(topic).copied()).collect();
        let groups: Vec<&[GroupHandle]> =
            records.topics.iter().map(|topic| self.group_handles.get(topic).map_or(&[][..], Vec::as_slice)).collect();
        let mut full = Vec::new();
        let mut began = false;
        let mut refused = 0;
        {
            let mut core = shared.lock_core();
            let mut keys = records.keys.as_ref().iter();
            let mut values = records.values.as_ref().iter();
            let mut headers = HeaderBlocks::new(&records.headers);
            for (at, (&slot, &target)) in records.slots.iter().zip(targets).enumerate() {
                let topic_at = records.topic_of[at] as usize;
                let (key, value) = (keys.next().flatten(), values.next().flatten());
                let block = headers.next(&mut self.headers);
                let Some(topic) = handles[topic_at] else { unreachable!("records of other topics have ended") };
                let record = Append {
                    topic,
                    placement: placement(target, groups[topic_at]),
                    timestamp: records.timestamps[at],
                    accepted,
                    key,
                    value,
                    headers: block,
                    token: pending.map(|chunk| Token::new(chunk, slot).to_bits()),
                };
                match core.append(now, &record) {
                    Ok(appended) => {
                        let facts = Facts {
                            timestamp: record.timestamp,
                            key_size: key.map_or(-1, |key| key.len() as i32),
                            value_size: value.map_or(-1, |value| value.len() as i32),
                        };
                        let partition = appended.partition as usize;
                        if partition >= self.batches.len() {
                            self.batches.resize(partition + 1, (0, 0));
                        }
                        let known = &mut self.batches[partition];
                        if known.0 != number || appended.began {
                            *known = (number, placed.completions.len() as u32);
                            placed.completions.push(Arc::clone(appended.completion));
                        }
                        placed.slots[slot as usize] = Slot { completion: known.1, index: appended.index, facts };
                        if let Some(callback) = callbacks.take(slot) {
                            // Under the core's lock: the batch cannot be done yet, so callbacks keep log order.
                            appended.completion.call(appended.index, user_callback(facts, callback));
                        }
                        began |= appended.began;
                        if appended.filled {
                            take_full(&mut core, &mut full);
                        }
                    }
                    Err(error) => {
                        refused += 1;
                        ended.push(Ended { slot, error });
                    }
                }
            }
            if began && shared.is_memory_short() {
                // Whoever waits has ended the lingering of what there was then.
                core.expedite(now);
            }
        }
        let any_full = !full.is_empty();
        // Sealed here, by the thread that filled them, without the lock.
        let sealed: Vec<Sealed> = full.into_iter().map(Unsealed::seal).collect();
        if any_full {
            let mut core = shared.lock_core();
            for batch in sealed {
                core.handle_sealed(now, batch);
            }
        }
        if any_full || began {
            (shared.wake_driver)();
        }
        if let Some(chunk) = pending {
            self.pending.forget(chunk, refused);
        }
        for record in ended.iter() {
            placed.slots[record.slot as usize].index = placed.errors.len() as u32;
            placed.errors.push(record.error.clone());
        }
        placed
    }
}

/// What a partitioner is told of a topic; a keyed one, of its count alone.
fn topology(topic: &str, info: TopicInfo, keyed: bool) -> Topology {
    let TopicInfo { leaders, brokers } = info;
    let partitions = leaders.len() as u32;
    if keyed {
        return Topology { topic: topic.to_owned(), partitions, ..Topology::default() };
    }
    let broker =
        |broker: LeadingBroker| TopologyBroker { id: broker.id, rack: broker.rack.as_deref().map(str::to_owned) };
    Topology { topic: topic.to_owned(), partitions, leaders, brokers: brokers.into_iter().map(broker).collect() }
}

/// What the partitioner answered, in the core's terms.
fn placement(target: i32, groups: &[GroupHandle]) -> Placement {
    match target {
        0.. => Placement::Partition(target),
        -1 => Placement::Default,
        // The plugin's side has checked the number against its topic's groups.
        _ => groups
            .get((-2i32).wrapping_sub(target) as usize)
            .map_or(Placement::Default, |&group| Placement::Group(group)),
    }
}

fn take_full(core: &mut MutexGuard<'_, Core>, full: &mut Vec<Unsealed>) {
    while let Some(batch) = core.poll_full() {
        full.push(batch);
    }
}

fn user_callback(facts: Facts, callback: UserCallback) -> crate::core::Callback {
    Box::new(move |completion, index, run| callback(facts.result(completion, index, run)))
}

/// The headers of record after record, encoded.
struct HeaderBlocks<'a> {
    columns: &'a HeaderColumns,
    each: HeaderIter<'a>,
    at: usize,
}

impl<'a> HeaderBlocks<'a> {
    fn new(columns: &'a HeaderColumns) -> HeaderBlocks<'a> {
        HeaderBlocks { columns, each: columns.as_ref().each(), at: 0 }
    }

    fn next<'b>(&mut self, scratch: &'b mut Vec<u8>) -> &'b [u8] {
        let Some(&count) = self.columns.counts.get(self.at) else { return NO_HEADERS };
        self.at += 1;
        if count == 0 {
            return NO_HEADERS;
        }
        scratch.clear();
        record_batch::encode_headers(scratch, count as usize, self.each.by_ref().take(count as usize));
        scratch
    }
}
