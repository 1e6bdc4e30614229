//! What the driver learns goes to the lanes, and from there to whoever waits for it.

use super::transactions::Calls;
use crate::core::{Action, Core, Done, TransactionCall};
use crate::error::ProduceError;
use crate::lane::Lanes;
use crate::lock;
use crate::net::{self, Clock, Waker};
use crate::transaction::TransactionError;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Passes on what the driver learns.
pub(super) struct PassingOn {
    lanes: Arc<Lanes>,
    core: Arc<Mutex<Core>>,
    calls: Arc<Calls>,
    clock: Clock,
    waker: Waker,
    /// Of this pass: who is to hear of them is woken once.
    outcomes: Vec<Done>,
}

impl PassingOn {
    pub(super) fn new(
        lanes: Arc<Lanes>,
        core: Arc<Mutex<Core>>,
        calls: Arc<Calls>,
        clock: Clock,
        waker: Waker,
    ) -> PassingOn {
        PassingOn { lanes, core, calls, clock, waker, outcomes: Vec::new() }
    }

    fn hand_over_outcomes(&mut self) {
        self.lanes.done(self.outcomes.drain(..));
    }
}

impl net::Events for PassingOn {
    fn done(&mut self, done: Done) {
        self.outcomes.push(done);
    }

    fn topic(&mut self, name: Arc<str>, outcome: Result<(), ProduceError>) {
        self.lanes.topic_settled(&name, &outcome);
    }

    fn topology(&mut self, name: Arc<str>, partitions: usize) {
        self.lanes.topology_changed(&name, partitions);
    }

    fn transaction(&mut self, call: TransactionCall, outcome: Result<(), TransactionError>) {
        self.calls.ended(call, outcome);
    }

    fn transaction_late(&mut self, call: TransactionCall, error: TransactionError) {
        self.calls.late(call, error);
    }

    fn flushed(&mut self, flush: u64) {
        // Behind the outcomes that it waited for.
        self.hand_over_outcomes();
        self.lanes.flushed(flush);
    }

    fn pass_ended(&mut self) {
        self.hand_over_outcomes();
        self.lanes.admit();
        if self.lanes.is_memory_short() {
            let mut core = lock(&self.core);
            if core.expedite(self.clock.now()) {
                drop(core);
                self.waker.wake();
            }
        }
    }

    fn driver_died(&mut self, reason: &str) {
        let mut core = lock(&self.core);
        core.fail_for_good(reason.to_owned());
        let mut calls = Vec::new();
        while let Some(action) = core.poll_action() {
            match action {
                Action::Done(batch) => self.outcomes.push(batch),
                Action::Transaction { call, outcome } => calls.push((call, outcome)),
                _ => {}
            }
        }
        drop(core);
        calls.into_iter().for_each(|(call, outcome)| self.calls.ended(call, outcome));
        self.hand_over_outcomes();
        let reason: Arc<str> = reason.into();
        self.calls.end_all(&reason);
        self.lanes.driver_died(&reason);
    }
}

fn lock(core: &Mutex<Core>) -> MutexGuard<'_, Core> {
    lock::lock(core).unwrap_or_else(PoisonError::into_inner)
}
