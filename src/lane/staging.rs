//! Where senders leave records for the lane's thread.

use super::callbacks::Callbacks;
use super::chunk::{self, Chunk};
use super::counters::{ChunkCounters, ChunkFacts};
use super::delivery::{Ticket, Unplaced, closed};
use super::direct::Direct;
use super::together::Together;
use super::waiting::Waiting;
use super::wall_clock::WallClock;
use super::{DeliveryThread, UserCallback};
use crate::core::time::{Clock, Instant};
use crate::core::{Core, Done, MemoryPool, SendGate, Windows};
use crate::error::{Fate, ProduceError};
use crate::lock::lock;
use crate::plugin::{Chain, MayGoTo, Records};
use crate::record::Record;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

/// What a lane needs to know of the configuration.
#[derive(Clone)]
pub(crate) struct LaneConfig {
    /// `max.block.ms`.
    pub(crate) max_block: Duration,
    /// Most bytes staged at a time.
    pub(crate) staged_max: usize,
    /// Whether there is nothing to do with a record but to append it: see [`super::direct`].
    pub(crate) direct: bool,
    /// Whether the outcomes pass the lane on their way to the deliveries.
    pub(crate) acknowledgements: bool,
    /// Whether those of any lane do: then every record says where its outcome is to pass.
    pub(crate) any_acknowledgements: bool,
    /// Whether records that nobody places take turns among the partitions: `partitioner.class=round-robin`.
    pub(crate) round_robin: bool,
    /// Whether a record's topic is looked up only after the interceptors, one of which may change it: nobody is to ask
    /// for, and so perhaps make, a topic that is but a name between the application and them.
    pub(crate) topics_after_chain: bool,
    /// Whether a record may go on to a topic that an interceptor chose, or why not.
    pub(crate) may_go_to: MayGoTo,
    /// Whether the calling thread may be blocked.
    pub(crate) may_block: fn() -> bool,
    /// `metrics.sample.window.ms` and `metrics.num.samples`.
    pub(crate) windows: Windows,
}

/// What senders, the driver and the lane's thread share.
pub(crate) struct Shared {
    pub(crate) config: LaneConfig,
    /// Among the producer's lanes.
    pub(super) number: usize,
    pub(super) together: Arc<Together>,
    pub(crate) core: Arc<Mutex<Core>>,
    pub(crate) memory: MemoryPool,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) wake_driver: Arc<dyn Fn() + Send + Sync>,
    pub(crate) delivery_thread: Arc<DeliveryThread>,
    pub(super) wall_clock: WallClock,
    pub(super) direct: Direct,
    /// Whether records may be sent. Looked at under the lock behind which they are left, so that a flush after it was closed
    /// comes after all of them.
    pub(super) gate: SendGate,
    state: Mutex<State>,
    work: Condvar,
    pub(super) waiting: Mutex<Waiting>,
    /// Senders that wait for memory, or room; a newcomer queues behind them.
    waiting_for_memory: AtomicUsize,
    /// Passages that are set aside.
    aside: AtomicUsize,
}

pub(super) struct State {
    queue: VecDeque<Item>,
    acknowledgements: Vec<AckItem>,
    staged: usize,
    /// Topics that records can be staged for, and where each stands.
    topics: Vec<Arc<str>>,
    topics_by_name: HashMap<Arc<str>, usize>,
    /// How many partitions each topic has, as far as is known: a record for one beyond them waits for news.
    partitions: Vec<usize>,
    /// The topic of the last record: mostly that of the next one, too.
    last_topic: usize,
    /// Emptied columns, to be filled again.
    spare: Vec<Records>,
    /// The lane's thread waits on `work`.
    asleep: bool,
    /// Senders wait; the lane's thread watches their deadlines.
    pub(super) watch: bool,
    closed: bool,
    /// The lane's thread is gone.
    ended: bool,

    pub(super) counters: ChunkCounters,
}

/// Something in the lane's queue: records and what has its place between them.
#[expect(clippy::large_enum_variant, reason = "almost every item is a chunk")]
pub(super) enum Item {
    Chunk(Chunk),
    /// A topic has more partitions or other leaders: the partitioner is to be told before the next record.
    Topology(Arc<str>),
    /// Everything before it is to be sent now; the job runs when all of it is done.
    Flush(Job),
    /// What comes after it goes through another chain.
    Swap(Box<Swap>),
    /// The last item: the plugins' close hooks, and the end of the thread.
    Stop,
}

/// Something to do when all that was before it is done.
pub(super) type Job = Box<dyn FnOnce() + Send>;

/// A chain in the place of the one before.
pub(super) struct Swap {
    pub(super) chain: Chain,
    /// Plugins whose instances stay, by their names.
    pub(super) stays: Arc<BTreeSet<String>>,
    /// Runs when the lane has the chain.
    pub(super) taken: Job,
}

/// Outcomes on their way through the lane.
pub(crate) enum AckItem {
    /// Of a batch, which may hold records of other lanes, too.
    Done(Arc<Done>),
    /// Every outcome that a flush waits for has passed.
    Flushed(u64),
    /// A topic that was asked for became usable, or cannot be used.
    Topic(Arc<str>, Result<(), ProduceError>),
    /// Nothing becomes of what was sent so far, as its transaction is aborted.
    Aborted,
    /// Whoever closes has no time left.
    Abandoned,
    /// The driver is gone; nothing more will come.
    DriverDied(Arc<str>),
}

/// What the lane's thread does next.
pub(super) struct Work {
    pub(super) acknowledgements: Vec<AckItem>,
    pub(super) item: Option<Item>,
    pub(super) watch: bool,
}

/// What a producer's lanes have around them.
#[derive(Clone)]
pub(crate) struct Surroundings {
    pub(crate) core: Arc<Mutex<Core>>,
    pub(crate) memory: MemoryPool,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) wake_driver: Arc<dyn Fn() + Send + Sync>,
    pub(crate) delivery_thread: Arc<DeliveryThread>,
}

impl Shared {
    /// A lane by its number, among those that are together.
    pub(super) fn new(config: LaneConfig, around: Surroundings, number: usize, together: Arc<Together>) -> Shared {
        let Surroundings { core, memory, clock, wake_driver, delivery_thread } = around;
        let state = State {
            queue: VecDeque::new(),
            acknowledgements: Vec::new(),
            staged: 0,
            topics: Vec::new(),
            topics_by_name: HashMap::new(),
            partitions: Vec::new(),
            last_topic: 0,
            spare: Vec::new(),
            asleep: false,
            watch: false,
            closed: false,
            ended: false,

            counters: ChunkCounters::new(config.windows),
        };
        let gate = lock(&core).unwrap_or_else(|poisoned| poisoned.into_inner()).send_gate();
        Shared {
            gate,
            number,
            together,
            core,
            memory,
            clock,
            wake_driver,
            delivery_thread,
            wall_clock: WallClock::default(),
            direct: Direct::default(),
            state: Mutex::new(state),
            work: Condvar::new(),
            waiting: Mutex::new(Waiting::new(config.windows)),
            waiting_for_memory: AtomicUsize::new(0),
            aside: AtomicUsize::new(0),
            config,
        }
    }

    /// Puts a record whose memory was taken into the open chunk.
    pub(super) fn stage(
        &self,
        state: &mut MutexGuard<'_, State>,
        topic: usize,
        record: &Record<'_>,
        bytes: usize,
        callback: Option<UserCallback>,
    ) -> (Ticket, u32) {
        state.staged += bytes;
        let open = matches!(state.queue.back(), Some(Item::Chunk(chunk)) if chunk.has_room_for(bytes));
        if !open {
            let chunk = Chunk {
                records: state.spare.pop().unwrap_or_default(),
                accepted: self.clock.now(),
                deliveries: Unplaced::new(self.config.may_block),
                callbacks: Callbacks::new(Arc::clone(&self.delivery_thread)),
                permit: self.memory.adopt(0),
                bytes: 0,
            };
            state.queue.push_back(Item::Chunk(chunk));
        }
        let State { queue, topics, .. } = &mut **state;
        let Some(Item::Chunk(chunk)) = queue.back_mut() else { unreachable!("a chunk is open") };
        let timestamp = record.timestamp.unwrap_or_else(|| self.wall_clock.read(self.clock.as_ref()));
        let place = chunk.push(&topics[topic], record, timestamp, bytes, callback);
        self.rouse(state);
        place
    }

    /// A topic has so many partitions now, or other leaders.
    pub(crate) fn topology_changed(&self, name: Arc<str>, partitions: usize) {
        let waiting = self.lock_waiting();
        let mut state = self.lock();
        if let Some(&topic) = state.topics_by_name.get(&name) {
            // Who waits for a partition is told that it is there by `topic_settled`, later: until then a newcomer for it
            // must find it as unknown as they did, or it would overtake them.
            let awaited = waiting.has_topic(&name);
            state.partitions[topic] = if awaited { partitions.min(state.partitions[topic]) } else { partitions };
            self.open_topic(&name, state.partitions[topic]);
        }
        if !state.closed {
            state.queue.push_back(Item::Topology(name));
            self.rouse(&mut state);
        }
    }

    /// Puts a flush after everything staged so far; `job` runs when all of that is done. On a closed lane at once.
    pub(crate) fn flush(&self, job: Job) {
        let mut state = self.lock();
        if state.closed {
            drop(state);
            job();
            return;
        }
        state.queue.push_back(Item::Flush(job));
        self.rouse(&mut state);
    }

    /// From here on records go through another chain. On a closed lane nothing comes of it.
    pub(super) fn swap(&self, mut swap: Swap) {
        let mut state = self.lock();
        if state.closed {
            drop(state);
            swap.chain.close();
            return;
        }
        state.queue.push_back(Item::Swap(Box::new(swap)));
        self.rouse(&mut state);
    }

    /// Takes no more records. Those that wait outside are refused.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.close_direct();
        let mut waiting = self.lock_waiting();
        let refused = waiting.take_all();
        let lookups = std::mem::take(&mut waiting.lookups);
        self.set_waiting(0);
        drop(waiting);
        for waiter in refused {
            waiter.refuse(closed().at(&waiter.topic(), waiter.partition()));
        }
        for (topic, lookups) in lookups {
            let error = closed().at(&topic.into(), None);
            lookups.iter().for_each(|lookup| lookup.settle(Err(error.clone())));
        }
    }

    /// From now on records can be staged for a topic, which has so many partitions.
    pub(super) fn learn(&self, topic: &str, partitions: usize) {
        let mut state = self.lock();
        let at = state.learn(topic, partitions);
        self.open_topic(topic, state.partitions[at]);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// As [`Shared::flush`], on a lane that is closing, or whose thread ended before its time.
    pub(crate) fn flush_closed(&self, job: Job) {
        let mut state = self.lock();
        if state.ended {
            drop(state);
            self.flush_core(job);
            return;
        }
        state.queue.push_back(Item::Flush(job));
        self.rouse(&mut state);
    }

    /// Has everything in the core sent now; `job` runs when all of it is done.
    pub(super) fn flush_core(&self, job: Job) {
        let core = || self.lock_core().flush(self.clock.now());
        match self.together.flush(core, job) {
            Some(job) => self.delivery_thread.run(job),
            None => (self.wake_driver)(),
        }
    }

    /// Ends the lane's thread after everything that is queued.
    pub(crate) fn stop(&self) {
        let mut state = self.lock();
        state.closed = true;
        self.close_direct();
        state.queue.push_back(Item::Stop);
        self.rouse(&mut state);
    }

    /// As [`Shared::acknowledge`] for several, which wakes the thread once.
    pub(super) fn acknowledge_all(&self, items: impl IntoIterator<Item = AckItem>) {
        let mut items = items.into_iter().peekable();
        if items.peek().is_none() {
            return;
        }
        let mut state = self.lock();
        if state.ended {
            drop(state);
            return self.pass_by(items);
        }
        state.acknowledgements.extend(items);
        self.rouse(&mut state);
    }

    /// Hands outcomes to the lane's thread.
    pub(crate) fn acknowledge(&self, item: AckItem) {
        self.acknowledge_all([item]);
    }
    /// Passes outcomes on that the lane's thread has told its plugins of, or never will.
    pub(super) fn pass_by(&self, items: impl IntoIterator<Item = AckItem>) {
        let mut done = Vec::new();
        for item in items {
            let over = match item {
                AckItem::Done(batch) => {
                    done.push(batch);
                    continue;
                }
                AckItem::Flushed(flush) => self.together.flushed(flush).into_iter().collect(),
                AckItem::DriverDied(_) => self.together.bereaved(),
                AckItem::Topic(..) | AckItem::Abandoned | AckItem::Aborted => continue,
            };
            // Behind the outcomes that came before it.
            self.together.told_all(done.drain(..), &self.delivery_thread);
            over.into_iter().for_each(|job| self.delivery_thread.run(job));
        }
        self.together.told_all(done, &self.delivery_thread);
    }

    /// So many wait for memory in this lane now.
    pub(super) fn set_waiting(&self, count: usize) {
        let before = self.waiting_for_memory.swap(count, Ordering::AcqRel);
        self.together.count_waiting(count, before);
    }

    /// How many wait for memory in this lane.
    pub(super) fn waiting_count(&self) -> usize {
        self.waiting_for_memory.load(Ordering::Acquire)
    }

    /// Waits for work. Acknowledgements come with it whole: they are finite and free memory. `until` bounds the wait.
    pub(super) fn next_work(&self, patience: Option<Duration>) -> Work {
        let mut state = self.lock();
        if state.queue.is_empty() && state.acknowledgements.is_empty() && !(state.watch && patience.is_none()) {
            state.asleep = true;
            state = match patience {
                None => self.work.wait(state).unwrap_or_else(|poisoned| poisoned.into_inner()),
                Some(patience) => {
                    let waited = self.work.wait_timeout(state, patience);
                    waited.unwrap_or_else(|poisoned| poisoned.into_inner()).0
                }
            };
            state.asleep = false;
        }
        state.take_work()
    }

    /// The work that there is, without waiting for any.
    pub(super) fn work_at_once(&self) -> Work {
        self.lock().take_work()
    }

    /// Whether [`Shared::next_work`] would return at once.
    pub(super) fn has_work(&self) -> bool {
        let state = self.lock();
        !state.queue.is_empty() || !state.acknowledgements.is_empty() || state.watch
    }

    /// Counts a chunk that is worked off and takes back its columns.
    pub(super) fn recycle(&self, now: Instant, facts: ChunkFacts, mut records: Records) {
        records.clear();
        let mut state = self.lock();
        state.counters.add(now, facts);
        // As many as can be under way at a time.
        if state.spare.len() <= self.config.staged_max / chunk::BYTES_MAX {
            state.spare.push(records);
        }
    }

    /// Counts a chunk whose records all failed.
    pub(super) fn count_chunk(&self, now: Instant, facts: ChunkFacts) {
        self.lock().counters.add(now, facts);
    }

    /// Fails what is set aside, for its transaction is aborted; what is staged fails by itself, as the core says so.
    pub(crate) fn give_up_aside(&self) {
        self.acknowledge(AckItem::Aborted);
    }

    /// A record was lost that somebody's transaction is not whole without.
    pub(super) fn fail_transaction(&self, now: Instant, error: &ProduceError) {
        let mut core = self.lock_core();
        core.fail_transaction(now, error);
        if core.has_news() {
            drop(core);
            (self.wake_driver)();
        }
    }

    /// Fails what is set aside, and all that is to come.
    pub(crate) fn abandon(&self) {
        self.acknowledge(AckItem::Abandoned);
    }

    /// How many passages are set aside, for the one who gives them up.
    pub(crate) fn take_aside(&self) -> usize {
        self.aside.swap(0, Ordering::AcqRel)
    }

    pub(super) fn count_aside(&self, passages: usize) {
        self.aside.store(passages, Ordering::Release);
    }

    /// Sees to it that the lane's thread looks after those who wait.
    pub(super) fn watch(&self) {
        let mut state = self.lock();
        state.watch = true;
        self.rouse(&mut state);
    }

    /// Everything that is queued, when the lane's thread can do no more. Once nothing is, nothing comes any more.
    pub(super) fn take_queue(&self) -> Option<(Vec<AckItem>, VecDeque<Item>)> {
        let mut state = self.lock();
        state.closed = true;
        self.close_direct();
        state.ended = state.acknowledgements.is_empty() && state.queue.is_empty();
        let rest = (std::mem::take(&mut state.acknowledgements), std::mem::take(&mut state.queue));
        (!state.ended).then_some(rest)
    }

    fn rouse(&self, state: &mut MutexGuard<'_, State>) {
        if std::mem::take(&mut state.asleep) {
            self.work.notify_one();
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    pub(super) fn lock_waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    pub(super) fn lock_core(&self) -> MutexGuard<'_, Core> {
        lock(&self.core).unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl State {
    fn take_work(&mut self) -> Work {
        let item = self.queue.pop_front();
        if let Some(Item::Chunk(chunk)) = &item {
            self.staged -= chunk.bytes;
        }
        Work {
            acknowledgements: std::mem::take(&mut self.acknowledgements),
            item,
            watch: std::mem::take(&mut self.watch),
        }
    }

    /// Whether nothing more is taken.
    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Where the topic stands, if records can be staged for it.
    pub(super) fn topic(&mut self, name: &str) -> Option<usize> {
        if self.topics.get(self.last_topic).is_none_or(|last| **last != *name) {
            self.last_topic = *self.topics_by_name.get(name)?;
        }
        Some(self.last_topic)
    }

    /// From now on records can be staged for the topic, which has so many partitions.
    pub(super) fn learn(&mut self, name: &str, partitions: usize) -> usize {
        if let Some(&known) = self.topics_by_name.get(name) {
            self.partitions[known] = self.partitions[known].max(partitions);
            return known;
        }
        let name: Arc<str> = name.into();
        self.topics.push(Arc::clone(&name));
        self.partitions.push(partitions);
        self.topics_by_name.insert(name, self.topics.len() - 1);
        self.topics.len() - 1
    }

    /// For a topic that may be but a name. Of these there may be any number, so they are not kept for ever.
    pub(super) fn learn_in_passing(&mut self, name: &str) -> usize {
        if self.topics.len() >= PASSING_TOPICS_MAX {
            self.topics.clear();
            self.topics_by_name.clear();
            self.partitions.clear();
        }
        self.last_topic = self.learn(name, 0);
        self.last_topic
    }

    /// How many partitions a topic has, as far as is known.
    pub(super) fn partition_count(&self, topic: usize) -> usize {
        self.partitions[topic]
    }

    /// Bytes that wait for the lane's thread.
    pub(super) fn staged_bytes(&self) -> usize {
        self.staged
    }

    /// Whether more may be staged.
    pub(super) fn has_room(&self, config: &LaneConfig) -> bool {
        self.staged < config.staged_max
    }

    /// Whether enough was worked off for those who wait to go on for a while.
    pub(super) fn has_ample_room(&self, config: &LaneConfig) -> bool {
        self.staged <= config.staged_max / 2
    }
}

/// Names of topics that are kept where interceptors may change them.
const PASSING_TOPICS_MAX: usize = 4096;

/// What becomes of records when the driver is no more.
pub(super) fn died(reason: &Arc<str>) -> ProduceError {
    ProduceError::Fatal { topic: None, partition: None, reason: Arc::clone(reason), fate: Fate::NotWritten }
}
