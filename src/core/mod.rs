//! The producer without I/O: accumulator, partition queues, sender, sequences, metadata.
//!
//! Nothing here opens a socket, reads a clock, spawns, waits or draws a random number: time and a seed are arguments,
//! and a run with the same arguments is the same to the letter. The shape is that of quinn-proto:
//!
//! 1. commands ([`Core::append`], [`Core::flush`], …) and `handle_*` take what happened and the time;
//! 2. then the shell drains [`Core::poll_action`], then [`Core::poll_seal`] (sealing off the lock and handing back by
//!    [`Core::handle_sealed`]), then [`Core::poll_transmit`], until all are `None`;
//! 3. and calls [`Core::handle_timeout`] when [`Core::poll_timeout`] is reached, and goes back to 2.
//!
//! The time of a call is never before that of an earlier one.

mod accumulator;
mod backoff;
mod batch;
mod completion;
mod config;
mod counters;
mod flushes;
mod id_set;
mod io;
mod links;
mod memory;
mod metadata;
mod news;
mod node;
mod pace;
mod partition;
mod partitioner;
mod principal;
mod producer_id;
mod ratio;
mod rebootstrap;
mod refusal;
mod rng;
mod seal;
mod sender;
mod split;
pub mod time;
mod timers;
mod transactions;
mod verdict;

pub use accumulator::{Append, Appended, GroupHandle, Placement};
pub use completion::{Callback, Completion, Done, Outcome, Run, Runs};
pub use config::CoreConfig;
pub use counters::{CoreCounts, Measured, Sampled, TopicCounts, Windows};
pub use io::{Action, ConnectionId, NodeId, TransactionCall, Transmit};
pub use memory::{MemoryPool, Permit};
pub use metadata::{TopicHandle, TopicInfo, TopicStatus};
pub use partitioner::{murmur2, partition_of_key};
pub use principal::Principal;
pub use seal::{Sealed, Unsealed};
pub(crate) use transactions::ABORTED;
pub use transactions::{SendGate, TransactionConfig};

pub use crate::protocol::compression::Compression;

use crate::error::{Fate, ProduceError};
use accumulator::Group;
use backoff::Backoff;
use batch::{BatchInfo, Order};
use counters::Counters;
use flushes::Flushes;
use id_set::IdSet;
use metadata::{Refresh, Topic};
use news::News;
use node::Node;
use pace::Pace;
use partition::{Partition, Rooms, Slot};
use producer_id::ProducerId;
use rng::Rng;
use seal::Work;
use split::Shared;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use time::Instant;
use timers::{Timer, Timers};
use transactions::Transactions;

/// Why nothing can be appended any more.
#[derive(Debug)]
enum Ended {
    Closed,
    Fatal(Arc<str>),
}

impl Ended {
    fn error(&self, fate: Fate) -> ProduceError {
        match self {
            Ended::Closed => ProduceError::Closed { topic: None, partition: None, fate },
            Ended::Fatal(reason) => {
                ProduceError::Fatal { topic: None, partition: None, reason: Arc::clone(reason), fate }
            }
        }
    }
}

/// The producer's state. See the [module](self) for how it is driven.
#[derive(Debug)]
pub struct Core {
    config: CoreConfig,
    rng: Rng,
    timers: Timers,
    actions: VecDeque<Action>,
    /// Full batches and those to be made anew, until someone takes them away to be sealed.
    unsealed: VecDeque<Work>,

    topics: Vec<Topic>,
    topics_by_name: BTreeMap<Arc<str>, usize>,
    partitions: Vec<Partition>,
    rooms: Rooms,
    groups: Vec<Group>,
    refresh: Refresh,

    nodes: BTreeMap<NodeId, Node>,
    /// Nodes with ready partitions: what is done in each pass looks at these only.
    busy: BTreeSet<NodeId>,
    connections: BTreeMap<ConnectionId, NodeId>,
    next_connection: u64,
    producer_id: ProducerId,
    transactions: Option<Transactions>,

    /// Grows with every batch.
    next_order: u64,
    /// Batches that were begun as one and are more by now, or less.
    shared: BTreeMap<u64, Shared>,
    /// Partitions whose queue is not empty.
    active: IdSet,
    /// Batches before this one do not linger: someone flushes, closes, or waits for memory.
    expedited: u64,
    /// Of the batches that are not done.
    flushes: Flushes,
    closing: bool,
    ended: Option<Ended>,
    /// The topic that was last asked for by its name, see [`Core::opened`].
    last_opened: usize,
    news: News,
    pace: Pace,
    counters: Counters,
}

impl Core {
    /// A producer that knows nothing but its bootstrap servers, and begins to ask them. The seed decides every
    /// random choice.
    pub fn new(config: CoreConfig, seed: u64, now: Instant) -> Core {
        let nodes = config
            .bootstrap
            .iter()
            .enumerate()
            .map(|(at, (host, port))| {
                let id = NodeId(-1 - at as i32);
                (id, Node::new(id, host.clone(), *port))
            })
            .collect();
        let mut core = Core {
            rng: Rng::new(seed),
            timers: Timers::default(),
            actions: VecDeque::new(),
            unsealed: VecDeque::new(),
            topics: Vec::new(),
            topics_by_name: BTreeMap::new(),
            partitions: Vec::new(),
            rooms: Rooms::default(),
            groups: Vec::new(),
            refresh: Refresh::default(),
            nodes,
            busy: BTreeSet::new(),
            connections: BTreeMap::new(),
            next_connection: 0,
            producer_id: ProducerId::new(config.idempotence, config.transactions.is_some()),
            transactions: config.transactions.is_some().then(Transactions::new),
            next_order: 1,
            shared: BTreeMap::new(),
            active: IdSet::default(),
            expedited: 1,
            flushes: Flushes::default(),
            closing: false,
            ended: None,
            last_opened: 0,
            news: News::default(),
            pace: Pace::default(),
            counters: Counters::new(config.windows, now),
            config,
        };
        core.want_metadata(now);
        core.drive_links(now);
        core
    }

    /// Expedites everything that was appended so far; [`Action::Flushed`] with the returned number follows when all
    /// of it is done.
    pub fn flush(&mut self, now: Instant) -> u64 {
        let flush = self.flushes.add(self.next_order);
        self.expedite(now);
        self.note_flushed();
        flush
    }

    /// Ends the lingering of everything that was appended so far: someone waits for memory. Says whether anything
    /// changed by it.
    pub fn expedite(&mut self, now: Instant) -> bool {
        self.news.let_go();
        if self.expedited == self.next_order {
            return false;
        }
        self.expedited = self.next_order;
        for partition in self.active.iter().collect::<Vec<_>>() {
            self.schedule(now, partition);
        }
        true
    }

    /// Nothing lingers from now on. What is appended is still delivered.
    pub fn close(&mut self, now: Instant) {
        self.closing = true;
        self.expedite(now);
    }

    /// Fails everything that is not done, and says how many batches that were. What is being sealed fails, too, and need
    /// not be handed back.
    pub fn abandon(&mut self) -> usize {
        let left = self.flushes.live();
        self.end_calls(&Ended::Closed);
        self.fail_all(&Ended::Closed);
        self.ended.get_or_insert(Ended::Closed);
        left
    }

    /// Fails everything that is not done, and all that is to come.
    pub fn fail_for_good(&mut self, reason: String) {
        let ended = Ended::Fatal(reason.into());
        self.end_calls(&ended);
        self.fail_all(&ended);
        self.ended.get_or_insert(ended);
    }

    /// Whether everything that was appended is done.
    pub fn is_idle(&self) -> bool {
        self.flushes.live() == 0
    }

    /// Next thing for the shell to do or to pass on.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When to call [`Core::handle_timeout`] next. Whoever asks has taken all else that there was: see
    /// [`Core::has_news`].
    pub fn poll_timeout(&mut self) -> Option<Instant> {
        self.news.told(self.timers.next())
    }

    /// Whether the shell is to come now, or may sleep until the time that it was told last, or the next answer.
    pub fn has_news(&self) -> bool {
        !self.actions.is_empty() || !self.unsealed.is_empty() || self.news.are_pressing(self.timers.next())
    }

    /// Lets everything happen whose time has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.news.timeout(now);
        while let Some(timer) = self.timers.pop(now) {
            match timer {
                Timer::Partition(partition) | Timer::Expiry(partition) => {
                    self.expire(now, partition);
                    self.schedule(now, partition);
                }
                Timer::Node(node) => self.node_timer(now, NodeId(node)),
                Timer::Metadata => self.tries_for_metadata(now),
                Timer::Rebootstrap => self.rebootstrap_timer(now),
                Timer::Transaction => self.transaction_timer(now),
                Timer::ProducerId => {}
            }
        }
        self.drive_links(now);
    }

    fn retry_backoff(&self) -> Backoff {
        Backoff { base: self.config.retry_backoff, max: self.config.retry_backoff_max }
    }

    fn reconnect_backoff(&self) -> Backoff {
        Backoff { base: self.config.reconnect_backoff, max: self.config.reconnect_backoff_max }
    }

    /// A batch is done.
    fn end(&mut self, now: Instant, mut info: Box<BatchInfo>, outcome: Outcome) {
        self.partitions[info.partition as usize].left(info.record_bytes);
        let (order, done) = (info.order, info.done(outcome));
        self.rooms.keep_info(info);
        self.finish(now, order, done);
    }

    /// Books a batch as done and tells the shell. `order` is the batch's.
    fn finish(&mut self, now: Instant, order: Order, done: Done) {
        self.flushes.ended(order.batch);
        let failed = done.runs.iter().filter(|run| matches!(run.outcome, Outcome::Failed(_)));
        let failed: u32 = failed.map(|run| run.count).sum();
        if failed > 0 {
            self.count_errors(now, done.completion.topic(), failed.into());
            self.note_failed(now, &done.runs);
        }
        self.pass_on(order, done);
        self.note_flushed();
    }

    /// A transaction is committed only if all of it was written.
    fn note_failed(&mut self, now: Instant, runs: &[Run]) {
        if self.transactions.is_some()
            && let Some(error) = runs.iter().find_map(|run| run.outcome.error())
        {
            self.must_abort(now, || error.to_string().into());
        }
    }

    fn note_flushed(&mut self) {
        while let Some(flush) = self.flushes.pop_done() {
            self.actions.push_back(Action::Flushed(flush));
        }
    }

    /// Fails every batch, in queues and in flight, with an error that knows its place and fate.
    fn fail_all(&mut self, ended: &Ended) {
        self.unsealed.clear();
        for at in 0..self.partitions.len() {
            let partition = &mut self.partitions[at];
            let (topic, index) = (Arc::clone(&self.topics[partition.topic].name), partition.index);
            let error = |fate| ended.error(fate).at(&topic, Some(index));
            let mut failed = Vec::new();
            let sent = partition.in_flight.iter_mut().filter_map(|sent| sent.batch.take());
            failed.extend(sent.map(|batch| (batch.info, Fate::Unknown)));
            let queued = std::mem::take(&mut partition.queue).into_iter().map(Slot::into_info);
            failed.extend(queued.map(|info| {
                let fate = info.fate();
                (info, fate)
            }));
            partition.oldest = None;
            self.active.remove(at as u32);
            self.unready(at as u32);
            self.timers.set(Timer::Partition(at as u32), None);
            self.timers.set(Timer::Expiry(at as u32), None);
            for (info, fate) in failed {
                self.end(self.counters.latest, info, Outcome::Failed(error(fate)));
            }
        }
    }
}

#[cfg(test)]
mod tests;
