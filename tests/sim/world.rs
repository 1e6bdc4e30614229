//! The producer's core, the cluster and the network in one thread on virtual time.

use crate::check::Ledger;
use crate::cluster::{BatchFault, BrokerId, Cluster, Tp};
use crate::coordination::CoordinatorScript;
use crate::coordinators::Key;
use crate::faults::{Fault, Rates};
use crate::lanes::Lanes;
use crate::load::Load;
use crate::network::{Connection, ConnectionId, RequestFault, Side, WireRequest};
use crate::rng::Rng;
use crate::transactions::Plan;
use pointsman::core::time::Instant;
use pointsman::core::{Action, ConnectionId as OfCore, Core, CoreConfig, Sealed, Unsealed};
use pointsman::protocol::messages::{ApiKey, Response};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Something that happens later.
#[derive(Debug)]
pub enum Event {
    Connected(ConnectionId),
    ConnectFailed(ConnectionId),
    Written(ConnectionId, i32),
    Arrive(ConnectionId, i32, WireRequest),
    ArriveStalled(ConnectionId),
    Serve(ConnectionId),
    Replicate {
        tp: Tp,
        epoch: i32,
        end_offset: i64,
    },
    ProduceDeadline(ConnectionId, i32),
    Deliver(ConnectionId, i32, Response),
    CutNoticed(ConnectionId),
    /// Of the producer of this number.
    Sealed(usize, Sealed),
    Learn(BrokerId, Tp),
    /// A lane's thread gets to it.
    Lane(usize),
    /// The driver tells the lanes what the core said.
    PassOn,
    Load,
    /// The markers of the end of a transaction are written, as far as they can be.
    Markers(usize),
    /// A transaction of this id, if it still is the one of this number, was open for too long.
    TransactionTimeout(String, u64),
    /// A broker hears who coordinates what.
    LearnSeat(BrokerId, Key),
    /// The program around a producer goes on.
    Program(usize),
    /// Another producer of the same id begins; the one before is dead from then on, or not.
    Successor {
        kills: bool,
    },
    /// The cluster's transactions go by V2.
    Upgrade,
    Fault(Fault),
}

/// What becomes of the batch that comes to its partition as the nth.
pub type BatchScript = Box<dyn FnMut(usize) -> Option<BatchFault>>;
/// What becomes of the nth Produce request.
pub type RequestScript = Box<dyn FnMut(usize) -> Option<RequestFault>>;
/// What becomes of the nth request of another API.
pub type ApiScript = Box<dyn FnMut(ApiKey, usize) -> Option<RequestFault>>;

pub struct World {
    pub now: Instant,
    /// Of each producer; mostly there is one.
    cores: Vec<Arc<Mutex<Core>>>,
    /// Whose turn it is.
    pub producer: usize,
    /// Producers that are no more.
    dead: BTreeSet<usize>,
    pub config: CoreConfig,
    pub cluster: Cluster,
    pub connections: BTreeMap<ConnectionId, Connection>,
    pub ledger: Ledger,
    pub load: Load,
    pub rates: Rates,
    pub rng: Rng,
    pub batch_script: Option<BatchScript>,
    pub request_script: Option<RequestScript>,
    pub api_script: Option<ApiScript>,
    pub coordinator_script: Option<CoordinatorScript>,
    pub requests: BTreeMap<i16, usize>,
    pub served: BTreeMap<i16, usize>,
    pub throttle_next: Option<Duration>,
    /// Refuse InitProducerId this often, with this.
    pub init_refusals: VecDeque<i16>,
    pub produce_requests: usize,
    pub arrived: BTreeMap<(Arc<str>, i32), usize>,
    pub flushed: Vec<u64>,
    pub metadata_requests: usize,
    /// Why the client closed connections.
    pub closed_for: Vec<String>,
    pub events: u64,
    pub trace: Trace,
    pub violations: Vec<String>,
    /// How late timers are noticed.
    pub timer_slack: Duration,
    /// Sealing takes up to this long, each batch for itself.
    pub seal_delay_us: u64,
    /// Where records pass plugins on their way to the core.
    pub lanes: Option<Lanes>,
    /// What producers with transactions do, and are to do.
    pub transactions: Plan,
    queue: BTreeMap<(Instant, u64), Event>,
    next_event: u64,
    idle_timeouts: u32,
    /// When the shell comes back without being called, as the core told it last.
    told: BTreeMap<usize, Instant>,
}

impl World {
    pub fn new(config: CoreConfig, cluster: Cluster, seed: u64) -> World {
        let now = Instant::from_nanos(1_000_000_000);
        let mut rng = Rng::new(seed);
        let load = Load::new(rng.fork());
        World {
            now,
            cores: vec![Arc::new(Mutex::new(Core::new(config.clone(), rng.next(), now)))],
            producer: 0,
            dead: BTreeSet::new(),
            config,
            cluster,
            connections: BTreeMap::new(),
            ledger: Ledger::default(),
            load,
            rates: Rates::none(),
            rng,
            batch_script: None,
            request_script: None,
            api_script: None,
            coordinator_script: None,
            requests: BTreeMap::new(),
            served: BTreeMap::new(),
            throttle_next: None,
            init_refusals: VecDeque::new(),
            produce_requests: 0,
            arrived: BTreeMap::new(),
            flushed: Vec::new(),
            metadata_requests: 0,
            closed_for: Vec::new(),
            events: 0,
            trace: Trace::new(),
            violations: Vec::new(),
            timer_slack: Duration::ZERO,
            seal_delay_us: 0,
            lanes: None,
            transactions: Plan::default(),
            queue: BTreeMap::new(),
            next_event: 0,
            idle_timeouts: 0,
            told: BTreeMap::new(),
        }
    }

    /// Not for the whole of an expression in which the core is asked again.
    pub fn core(&self) -> MutexGuard<'_, Core> {
        self.cores[self.producer].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The one that a connection is of.
    pub fn core_of(&self, id: ConnectionId) -> MutexGuard<'_, Core> {
        self.cores[id.producer].lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn shared_core(&self) -> Arc<Mutex<Core>> {
        Arc::clone(&self.cores[self.producer])
    }

    /// A connection of the producer whose turn it is.
    pub fn connection_id(&self, of_core: OfCore) -> ConnectionId {
        ConnectionId { producer: self.producer, of_core }
    }

    /// Another producer of the same configuration; its number.
    pub fn add_producer(&mut self) -> usize {
        let core = Core::new(self.config.clone(), self.rng.next(), self.now);
        self.cores.push(Arc::new(Mutex::new(core)));
        self.cores.len() - 1
    }

    /// A producer's process ends: what it has sent may be under way still.
    pub fn kill(&mut self, producer: usize) {
        self.trace.line(self.now, || format!("producer {producer} dies"));
        self.producer = producer;
        self.core().abandon();
        self.take_actions();
        self.dead.insert(producer);
        self.told.remove(&producer);
        let connections = self.connections.values().filter(|of| of.id.producer == producer && of.side != Side::Closed);
        for id in connections.map(|connection| connection.id).collect::<Vec<_>>() {
            self.closed_by_client(id, "its process ended");
        }
        self.producer = 0;
    }

    pub fn is_alive(&self, producer: usize) -> bool {
        !self.dead.contains(&producer)
    }

    pub fn after(&mut self, delay: Duration, event: Event) {
        self.at(self.now + delay, event);
    }

    pub fn at(&mut self, time: Instant, event: Event) {
        self.queue.insert((time.max(self.now), self.next_event), event);
        self.next_event += 1;
    }

    pub fn violation(&mut self, what: String) {
        self.trace.line(self.now, || format!("VIOLATION {what}"));
        self.violations.push(what);
    }

    pub fn run_for(&mut self, duration: Duration) {
        let end = self.now + duration;
        self.run_until(end, |_| false);
    }

    /// Runs until `done` or until `end`; says whether it was `done`. Stops at the first violation.
    pub fn run_until(&mut self, end: Instant, done: impl Fn(&World) -> bool) -> bool {
        self.drain();
        loop {
            if done(self) {
                return true;
            }
            if !self.violations.is_empty() {
                return false;
            }
            let timer = self.told.values().min().map(|at| (*at + self.timer_slack).max(self.now));
            let event = self.queue.first_key_value().map(|((at, _), _)| *at);
            let timer_first = timer.is_some_and(|timer| event.is_none_or(|event| timer < event));
            let next = if timer_first { timer } else { event };
            let Some(next) = next.filter(|next| *next <= end) else {
                self.set_now(self.now.max(end));
                return done(self);
            };
            self.set_now(next);
            self.events += 1;
            if timer_first {
                self.fire_timer()
            } else {
                self.fire_event()
            }
            self.look_after_lanes();
            self.violations.append(&mut self.cluster.violations);
        }
    }

    fn set_now(&mut self, now: Instant) {
        self.now = now;
        if let Some(lanes) = &self.lanes {
            lanes.clock.set(now);
        }
    }

    fn fire_timer(&mut self) {
        let Some((producer, before)) =
            self.told.iter().map(|(producer, at)| (*producer, *at)).min_by_key(|(_, at)| *at)
        else {
            return;
        };
        self.producer = producer;
        self.core().handle_timeout(self.now);
        self.producer = 0;
        let progress = self.drain();
        // A timer that fires again at once without anything coming of it is a loop at full speed in the shell.
        if !progress && self.told.get(&producer).is_some_and(|next| *next <= self.now) {
            self.idle_timeouts += 1;
            if self.idle_timeouts > 3 {
                self.violation(format!("timer {before:?} is in the past and nothing comes of it"));
            }
        } else {
            self.idle_timeouts = 0;
        }
    }

    fn fire_event(&mut self) {
        let Some(((_, _), event)) = self.queue.pop_first() else { return };
        // A sender calls the shell only if there is news; whatever comes from elsewhere wakes it.
        let is_senders = matches!(event, Event::Sealed(..) | Event::Load | Event::Lane(_));
        let mut is_news = false;
        match event {
            Event::Sealed(producer, sealed) => {
                self.producer = producer;
                self.core().handle_sealed(self.now, sealed);
                is_news = self.core().has_news();
                self.producer = 0;
            }
            Event::Markers(end) => self.write_markers(end),
            Event::TransactionTimeout(id, start) => self.time_out_transaction(&id, start),
            Event::LearnSeat(broker, key) => self.learn_seat(broker, &key),
            Event::Program(producer) => self.go_on(producer),
            Event::Successor { kills } => self.begin_successor(kills),
            Event::Upgrade => self.upgrade(),
            Event::Lane(lane) => self.lane_step(lane),
            Event::PassOn => self.pass_on(),
            Event::Load => self.load_step(),
            Event::Fault(fault) => self.apply(fault),
            Event::Learn(broker, tp) => {
                let learner = &self.cluster.brokers[&broker];
                if learner.up && self.cluster.topics[tp.0].exists {
                    // A topic becomes known as a whole.
                    let fresh = !learner.view.contains_key(&tp);
                    let partitions = 0..self.cluster.topics[tp.0].partitions.len() as i32;
                    for number in partitions.filter(|number| fresh || *number == tp.1) {
                        self.cluster.learn(broker, (tp.0, number));
                    }
                    self.answer_waiting();
                }
            }
            Event::Replicate { tp, epoch, end_offset } => {
                self.cluster.replicate(tp, epoch, end_offset);
                self.answer_waiting();
            }
            event => self.network_event(event),
        }
        if !is_senders || is_news || self.core().has_news() {
            self.drain();
        }
    }

    /// Takes everything out of the cores that they have to say; returns whether that was anything.
    pub fn drain(&mut self) -> bool {
        let mut progress = false;
        for producer in (0..self.cores.len()).filter(|producer| self.is_alive(*producer)).collect::<Vec<_>>() {
            self.producer = producer;
            progress |= self.drain_one();
        }
        self.producer = 0;
        progress
    }

    fn drain_one(&mut self) -> bool {
        let mut polls = 0u32;
        loop {
            let before = polls;
            // First: a connection that was given up must be seen to be closed before another broker is sent to.
            polls += self.take_actions();
            loop {
                let Some(unsealed) = self.core().poll_seal(self.now) else { break };
                polls += 1;
                self.seal(unsealed);
            }
            loop {
                let Some(transmit) = self.core().poll_transmit(self.now) else { break };
                polls += 1;
                self.transmit(transmit);
            }
            // And last: who looks for requests may find batches that can't be sent.
            polls += self.take_actions();
            polls += self.admit();
            if polls == before {
                self.hear_timeout();
                return polls > 0;
            }
            if polls > 50_000 {
                self.violation("the core never stops having something to do".to_owned());
                self.hear_timeout();
                return true;
            }
        }
    }

    fn hear_timeout(&mut self) {
        let told = self.core().poll_timeout();
        match told {
            Some(at) => _ = self.told.insert(self.producer, at),
            None => _ = self.told.remove(&self.producer),
        }
    }

    fn take_actions(&mut self) -> u32 {
        let mut taken = 0;
        loop {
            let Some(action) = self.core().poll_action() else { break };
            taken += 1;
            self.act(action);
        }
        taken
    }

    pub fn seal(&mut self, unsealed: Unsealed) {
        let sealed = unsealed.seal();
        match self.seal_delay_us {
            0 => self.core().handle_sealed(self.now, sealed),
            most => {
                let delay = Duration::from_micros(self.rng.below(most));
                self.after(delay, Event::Sealed(self.producer, sealed));
            }
        }
    }

    fn act(&mut self, action: Action) {
        let is_drivers = matches!(action, Action::Connect { .. } | Action::Disconnect { .. });
        if let Some(lanes) = self.lanes.as_mut().filter(|_| !is_drivers) {
            self.trace.line(self.now, || format!("{action:?}").chars().take(200).collect());
            let delay = lanes.say(action, &mut self.rng);
            return self.after(delay, Event::PassOn);
        }
        match action {
            Action::Connect { connection, host, port, .. } => {
                self.connect(self.connection_id(connection), &host, port);
            }
            Action::Disconnect { connection, reason, .. } => {
                self.closed_by_client(self.connection_id(connection), &reason);
            }
            Action::Done(done) => {
                self.trace.line(self.now, || format!("done {:?} {:?}", done.completion, done.runs));
                let wrong = self.ledger.done(self.now, done);
                wrong.into_iter().for_each(|wrong| self.violation(wrong));
            }
            Action::Topic { name, outcome } => {
                self.trace.line(self.now, || format!("topic {name}: {outcome:?}"));
                self.topic_answered(&name, outcome);
                self.send_what_waits();
            }
            Action::Topology { name, partitions } => {
                self.trace.line(self.now, || format!("topology {name}: {partitions}"));
            }
            Action::Flushed(flush) => {
                self.trace.line(self.now, || format!("flushed {flush}"));
                if self.transactions.is_empty() {
                    self.flushed.push(flush);
                    let wrong = self.ledger.flushed(flush);
                    wrong.into_iter().for_each(|wrong| self.violation(wrong));
                } else {
                    self.transaction_flushed(flush);
                }
            }
            Action::Transaction { call, outcome } => {
                self.trace.line(self.now, || format!("{call:?} ends: {outcome:?}"));
                self.call_ended(call, outcome);
            }
            Action::TransactionLate { call, error } => {
                self.trace.line(self.now, || format!("{call:?} is late: {error}"));
                self.call_late(call, &error);
            }
        }
    }
}

/// What happened, as a hash of everything and the end in words.
pub struct Trace {
    pub hash: u64,
    pub lines: VecDeque<String>,
    aloud: bool,
}

const LINES_KEPT: usize = 80;

impl Trace {
    fn new() -> Trace {
        Trace {
            hash: 0xcbf2_9ce4_8422_2325,
            lines: VecDeque::new(),
            aloud: std::env::var_os("POINTSMAN_SIM_TRACE").is_some(),
        }
    }

    pub fn line(&mut self, now: Instant, what: impl FnOnce() -> String) {
        let line = format!("{:>12.6} {}", now.as_nanos() as f64 / 1e9, what());
        for byte in line.bytes() {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        }
        if self.aloud {
            eprintln!("{line}");
        }
        if self.lines.len() == LINES_KEPT {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
    }
}
