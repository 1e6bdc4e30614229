//! The lanes of a producer without their threads: their owner takes each step, in an order of its own. For simulators,
//! which play driver and clock, too.

use super::staging::{LaneConfig, Surroundings};
use super::submit::Submitted;
use super::waiting::Waiter;
use super::worker::Worker;
use super::{Delivery, DeliveryThread, Lanes, UserCallback};
use crate::core::time::Clock;
use crate::core::{Action, Core, MemoryPool, Windows};
use crate::error::ProduceError;
use crate::plugin::{Chain, Routes};
use crate::record::Record;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::time::Duration;

/// How the lanes of a [`SteppedLanes`] are to be.
#[derive(Clone, Debug)]
pub struct SteppedOptions {
    /// `max.block.ms`.
    pub max_block: Duration,
    /// `delivery.timeout.ms`.
    pub delivery_timeout: Duration,
    /// Most bytes staged at a time, in each lane.
    pub staged_max: usize,
}

/// The lanes of a producer whose steps are its owner's.
pub struct SteppedLanes {
    lanes: Lanes,
    /// `None` when it has ended.
    workers: Vec<Option<Worker>>,
}

/// What became of a send.
#[derive(Debug)]
pub enum Sent {
    /// Staged.
    Accepted(Delivery),
    /// In line for memory or metadata.
    InLine(InLine),
    /// Not accepted.
    Refused(ProduceError),
}

/// A record that waits for its turn.
pub struct InLine(Arc<Waiter>);

impl InLine {
    /// How it went, once its turn has come.
    pub fn poll(&self) -> Option<Result<Delivery, ProduceError>> {
        match self.0.poll(Waker::noop()) {
            Poll::Ready(result) => Some(result),
            Poll::Pending => None,
        }
    }
}

impl fmt::Debug for InLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InLine")
    }
}

impl SteppedLanes {
    /// Of chains, each with as many lanes as it is there. Topics have theirs by `routes`.
    pub fn new(
        options: &SteppedOptions,
        chains: Vec<Vec<Chain>>,
        routes: Routes,
        core: Arc<Mutex<Core>>,
        memory: MemoryPool,
        clock: Arc<dyn Clock>,
    ) -> SteppedLanes {
        let delivery_thread = Arc::new(DeliveryThread::in_place());
        let around = Surroundings {
            core,
            memory,
            clock,
            // Whoever takes the steps looks after the core himself.
            wake_driver: Arc::new(|| ()),
            delivery_thread,
        };
        let config = |chain: &Chain| LaneConfig {
            direct: chain.is_empty(),
            max_block: options.max_block,
            staged_max: options.staged_max,
            acknowledgements: chain.wants_acknowledgements(),
            any_acknowledgements: false,
            round_robin: false,
            topics_after_chain: chain.changes_topics(),
            may_go_to: None,
            may_block: || false,
            windows: Windows::default(),
        };
        let configs = chains.iter().map(|lanes| (config(&lanes[0]), lanes.len())).collect();
        let lanes = Lanes::new(configs, Arc::new(routes), &around);
        let workers = lanes.iter().zip(chains.into_iter().flatten());
        let workers = workers.map(|(lane, chain)| Some(Worker::new(Arc::clone(lane), chain, options.delivery_timeout)));
        SteppedLanes { workers: workers.collect(), lanes }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.workers.len()
    }

    /// Takes a record's place in the order of sends. `callback` is called by whoever learns of the outcome.
    pub fn send(&self, record: &Record<'_>, callback: Option<UserCallback>, may_wait: bool) -> Sent {
        // As a producer does where nobody is to be called.
        if callback.is_none()
            && let Some(delivery) = self.lanes.take(record)
        {
            return Sent::Accepted(delivery);
        }
        match self.lanes.submit(record, callback, may_wait) {
            Submitted::Accepted(delivery) => Sent::Accepted(delivery),
            Submitted::Waiting(waiter) => Sent::InLine(InLine(waiter)),
            Submitted::Refused(error) => Sent::Refused(*error),
        }
    }

    /// Takes a record back that waits. Whether it is not sent.
    pub fn cancel(&self, waiting: &InLine) -> bool {
        let cancelled = waiting.0.cancel();
        self.lanes.admit();
        cancelled
    }

    /// Whether a lane has something to do now.
    pub fn has_work(&self, lane: usize) -> bool {
        self.workers[lane].is_some() && self.lanes.iter().nth(lane).is_some_and(|lane| lane.has_work())
    }

    /// What a lane's thread does between two waits. Returns how long the next one may last, if not for ever.
    pub fn step(&mut self, lane: usize) -> Option<Duration> {
        let shared = self.lanes.iter().nth(lane)?;
        let worker = self.workers[lane].as_mut()?;
        if worker.step(shared.work_at_once()).is_continue() {
            return worker.patience();
        }
        self.workers[lane] = None;
        None
    }

    /// Tells the lanes what the core has to say, as the driver does.
    pub fn handle(&self, action: Action) {
        match action {
            Action::Done(done) => self.lanes.done([done]),
            Action::Topic { name, outcome } => self.lanes.topic_settled(&name, &outcome),
            Action::Topology { name, partitions } => self.lanes.topology_changed(&name, partitions),
            Action::Flushed(flush) => self.lanes.flushed(flush),
            Action::Connect { .. }
            | Action::Disconnect { .. }
            | Action::Transaction { .. }
            | Action::TransactionLate { .. } => {}
        }
    }

    /// The end of a pass of the driver: memory may have come back. Whether nothing should linger, as somebody waits.
    pub fn admit(&self) -> bool {
        self.lanes.admit();
        self.lanes.is_memory_short()
    }

    /// Puts a flush after everything staged so far. `job` runs, in as many copies as there are lanes, when all of that is
    /// done.
    pub fn flush(&self, job: impl Fn() + Clone + Send + 'static) {
        self.lanes.flush(|| Box::new(job.clone()));
    }

    /// From here on records go through other chains, each with as many lanes as before, but for the plugins that stay.
    /// `taken` runs, in as many copies as there are lanes, when they have them.
    pub fn swap(&self, chains: Vec<Vec<Chain>>, stays: BTreeSet<String>, taken: impl Fn() + Clone + Send + 'static) {
        let stays = Arc::new(stays);
        for (chain, lanes) in chains.into_iter().enumerate() {
            self.lanes.swap(chain, lanes, &stays, || Box::new(taken.clone()));
        }
    }

    /// Takes no more records.
    pub fn close(&self) {
        self.lanes.close();
    }

    /// As [`SteppedLanes::flush`], when they are closing.
    pub fn flush_closed(&self, job: impl Fn() + Clone + Send + 'static) {
        self.lanes.flush_closed(|| Box::new(job.clone()));
    }

    /// Fails what is set aside, and all that is to come.
    pub fn abandon(&self) {
        self.lanes.abandon();
    }

    /// Has the plugins closed after everything that is queued.
    pub fn stop(&self) {
        self.lanes.stop();
    }

    /// Whether every lane has ended.
    pub fn is_over(&self) -> bool {
        self.workers.iter().all(Option::is_none)
    }
}
