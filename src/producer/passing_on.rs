//! What the driver learns goes to the lanes, and from there to whoever waits for it.

use crate::core::{Action, Core, Done};
use crate::error::ProduceError;
use crate::lane::Lanes;
use crate::lock;
use crate::net::{self, Clock, Waker};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Passes on what the driver learns.
pub(super) struct PassingOn {
    lanes: Arc<Lanes>,
    core: Arc<Mutex<Core>>,
    clock: Clock,
    waker: Waker,
    /// Of this pass: who is to hear of them is woken once.
    outcomes: Vec<Done>,
}

impl PassingOn {
    pub(super) fn new(lanes: Arc<Lanes>, core: Arc<Mutex<Core>>, clock: Clock, waker: Waker) -> PassingOn {
        PassingOn { lanes, core, clock, waker, outcomes: Vec::new() }
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
        while let Some(action) = core.poll_action() {
            if let Action::Done(batch) = action {
                self.outcomes.push(batch);
            }
        }
        drop(core);
        self.hand_over_outcomes();
        self.lanes.driver_died(&reason.into());
    }
}

fn lock(core: &Mutex<Core>) -> MutexGuard<'_, Core> {
    lock::lock(core).unwrap_or_else(PoisonError::into_inner)
}
