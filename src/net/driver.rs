//! The thread that moves the core.
//!
//! It has an own OS thread with an own runtime of that thread only, so that no runtime of the caller is needed and
//! none can be shut down under it. On it live the driver's loop and one task per connection, joined by plain cells
//! ([`super::connection`]): nothing is sent from thread to thread, and a wake-up among them costs no system call. What
//! comes from outside is a [`Waker`] and the core behind its lock.
//!
//! One pass of the loop, in this order:
//! 1. takes what connections brought (answers are decoded by then, off the lock);
//! 2. locks the core **once**: tells it what came, what was sealed, that its time has come; takes actions, batches to
//!    seal and requests to send, until it has none; unlocks;
//! 3. hands the requests to their connections and lets these write;
//! 4. carries out the actions: connects, disconnects, passes fates of records on to [`Events`];
//! 5. seals batches that are not small, which go back to the core in the next pass, at once; those that take long are
//!    sealed by [`super::sealers`] and come back when they are;
//! 6. sleeps until the core's next deadline, a connection or the [`Waker`].
//!
//! Under the lock nothing is encoded, decoded, compressed, written, logged or awaited, and no [`Events`] is called; only
//! the checksums of small batches are taken there.
//! A pass costs a constant, and something per request and per batch, nothing per record.

use super::LOG;
use super::alarm::Alarm;
use super::clock::Clock;
use super::config::NetConfig;
use super::connect::connect;
use super::connection::{Connection, Inbound, Inbox, Outbox, Outgoing};
use super::counters::NetCounters;
use super::log_limit::LogLimit;
use super::machine::Machine;
use super::peer::Peer;
use super::sealers::Sealers;
use super::trouble::Trouble;
use super::waker::Waker;
use crate::core::time::Instant;
use crate::core::{Action, ConnectionId, Done, NodeId, TransactionCall, Transmit};
use crate::error::ProduceError;
use crate::lock;
use crate::protocol::codec::encode_request;
use crate::transaction::TransactionError;
use std::collections::{BTreeMap, VecDeque};
use std::future::{Future, poll_fn};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::task::Poll;
use std::thread::{JoinHandle, ThreadId};
use tokio::runtime::{Builder, LocalOptions, LocalRuntime};
use tokio::task::{AbortHandle, spawn_local};

/// What the driver passes on. Called on the driver's thread without any lock: everything waits while it runs.
pub trait Events: Send {
    /// Records' fates are known.
    fn done(&mut self, done: Done);
    /// A topic that was asked for can be used, or cannot.
    fn topic(&mut self, name: Arc<str>, outcome: Result<(), ProduceError>);
    /// A topic that is in use has more partitions than before, or other leaders.
    fn topology(&mut self, name: Arc<str>, partitions: usize);
    /// A call about transactions has ended.
    fn transaction(&mut self, call: TransactionCall, outcome: Result<(), TransactionError>);
    /// A call about transactions takes longer than its caller is to wait.
    fn transaction_late(&mut self, call: TransactionCall, error: TransactionError);
    /// Everything that was appended before this flush is done.
    fn flushed(&mut self, flush: u64);
    /// All of the above of one pass was said.
    fn pass_ended(&mut self);
    /// The driver is no more, by an error of its own or of one of these functions: nothing that is pending will ever
    /// be done, unless this function fails it. What the driver held is done or back in the core by now. Called once
    /// and last. The core's lock may be poisoned.
    fn driver_died(&mut self, reason: &str);
}

/// A driver that runs. Dropping it stops the driver and does not wait for that.
#[derive(Debug)]
pub struct DriverHandle {
    waker: Waker,
    counters: Arc<NetCounters>,
    thread: Option<JoinHandle<()>>,
}

impl DriverHandle {
    /// See [`Waker::wake`].
    pub fn wake(&self) {
        self.waker.wake();
    }

    /// Makes the driver do one more pass, so that what the core has for the shell by now is passed on, then close its
    /// connections and end.
    pub fn shutdown(&self) {
        self.waker.stop();
    }

    /// What the driver counts; stays valid after its end.
    pub fn counters(&self) -> Arc<NetCounters> {
        Arc::clone(&self.counters)
    }

    /// Of the driver's thread.
    pub fn thread_id(&self) -> Option<ThreadId> {
        self.thread.as_ref().map(|thread| thread.thread().id())
    }

    /// Waits for the end of the driver's thread. Not to be called on it, as by an [`Events`].
    pub fn join(mut self) {
        self.waker.stop();
        if let Some(thread) = self.thread.take() {
            // A panic was told to the events, and by the panic hook.
            let _ = thread.join();
        }
    }
}

impl Drop for DriverHandle {
    fn drop(&mut self) {
        self.waker.stop();
    }
}

/// Starts the driver of a core. `waker` is what wakes it; `clock` is the one whose time the core is told elsewhere.
pub fn start<M: Machine>(
    core: Arc<Mutex<M>>,
    config: NetConfig,
    clock: Clock,
    waker: Waker,
    events: impl Events + 'static,
) -> io::Result<DriverHandle> {
    let (started, outcome) = mpsc::sync_channel(1);
    let for_handle = waker.clone();
    let counters = Arc::new(NetCounters::new(config.windows));
    let of_driver = Arc::clone(&counters);
    let thread = std::thread::Builder::new().name("pointsman-driver".to_owned()).spawn(move || {
        // A runtime of one thread is made where it is used.
        match Builder::new_current_thread().enable_io().enable_time().build_local(LocalOptions::default()) {
            Ok(runtime) => {
                let _ = started.send(Ok(()));
                let patience = config.security.patience_at_end();
                run(&runtime, Driver::new(core, config, clock, waker, events, of_driver));
                runtime.shutdown_timeout(patience);
            }
            Err(error) => {
                let _ = started.send(Err(error));
            }
        }
    })?;
    match outcome.recv() {
        Ok(Ok(())) => Ok(DriverHandle { waker: for_handle, counters, thread: Some(thread) }),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(io::Error::other("the driver's thread ended before it began")),
    }
}

fn run<M: Machine, E: Events>(runtime: &LocalRuntime, mut driver: Driver<M, E>) {
    let outcome = catch_unwind(AssertUnwindSafe(|| runtime.block_on(driver.run())));
    if let Err(panic) = outcome {
        let words = panic
            .downcast_ref::<&str>()
            .map(|words| (*words).to_owned())
            .or_else(|| panic.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "no words".to_owned());
        let reason = format!("the driver panicked: {words}");
        tracing::error!(target: LOG, "{reason}");
        driver.give_back();
        driver.events.driver_died(&reason);
    }
}

struct Driver<M: Machine, E> {
    core: Arc<Mutex<M>>,
    config: Arc<NetConfig>,
    clock: Clock,
    waker: Waker,
    events: E,

    links: BTreeMap<ConnectionId, Link>,
    inbox: Rc<Inbox>,
    /// How often in a row a node could not be reached: its setup timeout grows by it.
    failures: BTreeMap<NodeId, u32>,
    log: LogLimit,
    sealers: Sealers<M>,
    counters: Arc<NetCounters>,

    // Of one pass; their memory serves again.
    inbound: Vec<(ConnectionId, Inbound)>,
    sealed: Vec<M::Sealed>,
    unsealed: Vec<M::Unsealed>,
    actions: VecDeque<Action>,
    transmits: Vec<Transmit>,
}

/// The driver's end of a connection. Dropping it closes the connection.
struct Link {
    peer: Rc<Peer>,
    outbox: Rc<Outbox>,
    task: AbortHandle,
    is_up: bool,
}

impl Drop for Link {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl<M: Machine, E: Events> Driver<M, E> {
    fn new(
        core: Arc<Mutex<M>>,
        config: NetConfig,
        clock: Clock,
        waker: Waker,
        events: E,
        counters: Arc<NetCounters>,
    ) -> Driver<M, E> {
        Driver {
            core,
            config: Arc::new(config),
            clock,
            inbox: Rc::new(Inbox::new(waker.clone())),
            sealers: Sealers::new(waker.clone()),
            waker,
            events,
            links: BTreeMap::new(),
            failures: BTreeMap::new(),
            log: LogLimit::default(),
            counters,
            inbound: Vec::new(),
            sealed: Vec::new(),
            unsealed: Vec::new(),
            actions: VecDeque::new(),
            transmits: Vec::new(),
        }
    }

    async fn run(&mut self) {
        let mut alarm = Alarm::new(self.clock);
        loop {
            let last = self.waker.is_stopped();
            let deadline = self.pass().await;
            if last {
                // What is handed back now is told in one more pass: the core may have been abandoned meanwhile.
                self.sealers.drain(&mut self.sealed);
                if !self.sealed.is_empty() {
                    self.pass().await;
                }
                let now = self.clock.now();
                self.links.values().filter(|link| link.is_up).for_each(|_| self.counters.disconnected(now));
                self.links.clear();
                return;
            }
            if !self.sealed.is_empty() {
                continue;
            }
            alarm.set(deadline);
            tokio::select! {
                biased;
                () = self.waker.rung() => {}
                () = alarm.rings() => {}
            }
        }
    }

    /// See the module's documentation. Returns the core's next deadline.
    async fn pass(&mut self) -> Option<Instant> {
        self.waker.begin_pass();
        let now = self.clock.now();
        self.receive(now);
        self.sealers.collect(&mut self.sealed);
        let deadline = self.consult(now);
        let sent = self.send(now);
        if sent && !(self.actions.is_empty() && self.unsealed.is_empty()) {
            let_others_run().await;
        }
        self.act(now);
        for unsealed in self.unsealed.drain(..) {
            if M::is_costly(&unsealed) {
                self.sealers.seal(unsealed);
            } else {
                self.sealed.push(M::seal(unsealed));
            }
        }
        deadline
    }

    /// What connections brought, less what comes from those that are given up.
    fn receive(&mut self, now: Instant) {
        self.inbox.swap(&mut self.inbound);
        let (links, counters) = (&mut self.links, &self.counters);
        let is_secured = self.config.security.is_secured();
        self.inbound.retain(|(from, inbound)| match inbound {
            Inbound::Connected(_) => links.get_mut(from).is_some_and(|link| {
                tracing::debug!(target: LOG, "{}: connected", link.peer);
                link.is_up = true;
                counters.connected(now, is_secured);
                self.failures.remove(&link.peer.node);
                true
            }),
            Inbound::Lost(cause) => links.remove(from).is_some_and(|link| {
                let node = link.peer.node;
                if cause.is_refusal() {
                    counters.refused(now, link.is_up);
                }
                if link.is_up {
                    counters.disconnected(now);
                } else {
                    *self.failures.entry(node).or_default() += 1;
                }
                self.log.warn(now, node, &cause.to_string());
                true
            }),
            Inbound::Response(_, _, bytes) => links.get(from).is_some_and(|link| {
                counters.received(now, link.peer.node, *bytes);
                true
            }),
            Inbound::Written(_) => links.contains_key(from),
            Inbound::LoggedInAgain(took) => {
                counters.logged_in_again(now, *took);
                false
            }
        });
    }

    /// The one time that a pass holds the lock.
    fn consult(&mut self, now: Instant) -> Option<Instant> {
        let mut core = lock(&self.core);
        for (from, inbound) in self.inbound.drain(..) {
            match inbound {
                Inbound::Connected(versions) => core.handle_connected(now, from, versions),
                Inbound::Response(id, response, _) => core.handle_response(now, from, id, response),
                Inbound::Written(id) => core.handle_written(now, from, id),
                Inbound::LoggedInAgain(_) => {}
                Inbound::Lost(Trouble::Failed(cause)) => core.handle_disconnected(now, from, cause),
                Inbound::Lost(Trouble::Refused(cause)) => core.handle_refused(now, from, cause),
            }
        }
        for sealed in self.sealed.drain(..) {
            core.handle_sealed(now, sealed);
        }
        if core.poll_timeout().is_some_and(|at| at <= now) {
            core.handle_timeout(now);
        }
        self.actions.extend(std::iter::from_fn(|| core.poll_action()));
        self.unsealed.extend(std::iter::from_fn(|| core.poll_seal(now)));
        self.transmits.extend(std::iter::from_fn(|| core.poll_transmit(now)));
        // What stood behind a batch that goes out now may be due, too, and may even be sealed by now.
        self.unsealed.extend(std::iter::from_fn(|| core.poll_seal(now)));
        self.transmits.extend(std::iter::from_fn(|| core.poll_transmit(now)));
        // Looking for requests, the core may have found a broker to connect to.
        self.actions.extend(std::iter::from_fn(|| core.poll_action()));
        core.poll_timeout()
    }

    /// Hands requests to their connections; whether there were any.
    fn send(&mut self, now: Instant) -> bool {
        let mut sent = false;
        for Transmit { connection, correlation_id, api_version: version, request, expects_response } in
            self.transmits.drain(..)
        {
            let Some(link) = self.links.get(&connection) else { continue };
            let api = request.api();
            match encode_request(request, version, correlation_id, &self.config.client_id) {
                Ok(frame) => {
                    self.counters.sent(now, link.peer.node, frame.len());
                    link.outbox.push(Outgoing { frame, correlation_id, api, version, expects_response });
                    sent = true;
                }
                // The core asks for what cannot be said: without a connection it will see that it failed.
                Err(error) => {
                    self.inbox.push(connection, Inbound::Lost(format!("{}: {error}", link.peer).into()));
                }
            }
        }
        sent
    }

    fn act(&mut self, now: Instant) {
        if self.actions.is_empty() {
            return;
        }
        // One by one: if one of them panics, the others are still here.
        while let Some(action) = self.actions.pop_front() {
            match action {
                Action::Connect { connection, node, host, port } => {
                    self.connect(connection, Peer::new(node, &host, port))
                }
                Action::Disconnect { connection, reason, idle } => {
                    if let Some(link) = self.links.remove(&connection) {
                        let cause = format!("{}: disconnected: {reason}", link.peer);
                        if idle {
                            tracing::debug!(target: LOG, "{cause}");
                        } else {
                            self.log.warn(now, link.peer.node, &cause);
                        }
                        if link.is_up {
                            self.counters.disconnected(now);
                        }
                    }
                }
                Action::Done(done) => self.events.done(done),
                Action::Topic { name, outcome } => self.events.topic(name, outcome),
                Action::Topology { name, partitions } => self.events.topology(name, partitions),
                Action::Transaction { call, outcome } => self.events.transaction(call, outcome),
                Action::TransactionLate { call, error } => self.events.transaction_late(call, error),
                Action::Flushed(flush) => self.events.flushed(flush),
            }
        }
        self.events.pass_ended();
    }

    /// After a panic: what is known is told to those who wait for it, and batches go back to the core, where who fails
    /// everything finds them. Each on its own, since anything may panic again.
    fn give_back(&mut self) {
        for action in self.actions.drain(..) {
            let events = &mut self.events;
            let _ = match action {
                Action::Done(done) => catch_unwind(AssertUnwindSafe(|| done.complete())),
                Action::Transaction { call, outcome } => {
                    catch_unwind(AssertUnwindSafe(|| events.transaction(call, outcome)))
                }
                _ => Ok(()),
            };
        }
        self.sealers.drain(&mut self.sealed);
        let now = self.clock.now();
        let mut core = self.core.lock().unwrap_or_else(PoisonError::into_inner);
        let sealed = self.sealed.drain(..).chain(self.unsealed.drain(..).map(M::seal));
        for sealed in sealed {
            let _ = catch_unwind(AssertUnwindSafe(|| core.handle_sealed(now, sealed)));
        }
    }

    fn connect(&mut self, id: ConnectionId, peer: Peer) {
        tracing::debug!(target: LOG, "{peer}: connecting");
        let failures = self.failures.get(&peer.node).copied().unwrap_or(0);
        let limit = self.config.setup_timeout_after(failures);
        let peer = Rc::new(peer);
        let outbox = Rc::new(Outbox::default());
        let report = Report { id, inbox: Rc::clone(&self.inbox), peer: Rc::clone(&peer), made: false };
        let task = {
            let (inbox, outbox) = (Rc::clone(&self.inbox), Rc::clone(&outbox));
            let (peer, config, clock) = (Rc::clone(&peer), Arc::clone(&self.config), self.clock);
            spawn_local(async move {
                let mut report = report;
                match connect(&peer, &config, limit).await {
                    Ok(connected) => {
                        inbox.push(id, Inbound::Connected(connected.versions.clone()));
                        let cause = Connection::over(id, connected, inbox, outbox, config, clock).run().await;
                        report.lost(cause.map(|cause| format!("{peer}: {cause}")));
                    }
                    Err(cause) => report.lost(cause),
                }
            })
        };
        self.links.insert(id, Link { peer, outbox, task: task.abort_handle(), is_up: false });
    }
}

/// Sees to it that the end of a connection's task is told, also if it panicked.
struct Report {
    id: ConnectionId,
    inbox: Rc<Inbox>,
    peer: Rc<Peer>,
    made: bool,
}

impl Report {
    fn lost(&mut self, cause: Trouble) {
        self.made = true;
        self.inbox.push(self.id, Inbound::Lost(cause));
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        if !self.made {
            self.lost(Trouble::Failed(format!("{}: the connection was given up", self.peer)));
        }
    }
}

/// A core whose lock is poisoned may be in any state: the driver dies of it, and says so.
fn lock<M>(core: &Mutex<M>) -> MutexGuard<'_, M> {
    lock::lock(core).expect("nobody panics with the core's lock")
}

/// Lets the tasks that are ready run once, without a look at the sockets.
fn let_others_run() -> impl Future<Output = ()> {
    let mut ran = false;
    poll_fn(move |cx| {
        if std::mem::replace(&mut ran, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
}

#[cfg(test)]
#[path = "tests/driver.rs"]
mod tests;
