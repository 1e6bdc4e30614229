//! What a lane does in which step: how much a call carries, what goes first, what it costs.

use super::*;
use crate::core::Outcome;
use crate::error::{Fate, Stage};
use crate::lane::UserCallback;
use crate::lane::worker::Worker;
use crate::plugin::{Column, DeadLetter, Edit, FailureKind, Fields, Refusal};
use std::sync::atomic::{AtomicUsize, Ordering};

/// What an interceptor was called for, with how many records, and bytes of values.
type Calls = Arc<Mutex<Vec<(&'static str, usize, usize)>>>;

#[derive(Default)]
struct Notes {
    wants: InterceptorWants,
    calls: Calls,
    /// So many bytes for each value.
    inflates: Option<usize>,
    refuses: bool,
    traps: bool,
}

impl Interceptor for Notes {
    fn wants(&self) -> &InterceptorWants {
        &self.wants
    }

    fn on_send(&mut self, batch: &Batch<'_>) -> Result<Edits, PluginFailure> {
        let bytes = batch.values.map_or(0, |values| values.data.len());
        self.calls.lock().unwrap().push(("on-send", batch.count, bytes));
        if self.traps {
            return Err(PluginFailure::new(FailureKind::Trap, "on purpose"));
        }
        let mut content = Column::default();
        (0..batch.count).for_each(|_| content.push(Some(&vec![b'x'; self.inflates.unwrap_or_default()])));
        let refused = (0..batch.count as u32).filter(|_| self.refuses);
        Ok(Edits {
            values: self.inflates.map(|_| Edit { indexes: Vec::new(), content }),
            refused: refused.map(|index| Refusal { index, reason: "no".into() }).collect(),
            ..Edits::default()
        })
    }

    fn on_acknowledgement(&mut self, told: &Acknowledgements<'_>) -> Result<(), PluginFailure> {
        self.calls.lock().unwrap().push(("on-acknowledgement", told.count, 0));
        Ok(())
    }

    fn close(&mut self) {}
}

struct Rig {
    lane: Arc<Shared>,
    worker: Worker,
    calls: Calls,
}

impl Rig {
    fn new(memory: usize, delivery_timeout: Duration, policy: Policy, notes: Notes) -> Rig {
        let lane = lane_with(memory, Arc::new(Standing), |config| config.acknowledgements = true);
        let fields = Fields { value: true, ..Fields::default() };
        let wants = InterceptorWants {
            on_send: Some(Reads { fields, ..Reads::default() }),
            changes: fields,
            acknowledgements: true,
        };
        let calls = Arc::clone(&notes.calls);
        let role = Box::new(Notes { wants, ..notes }) as Box<dyn Interceptor>;
        let mut chain = Chain::default();
        chain.interceptors.push(Used::new("notes", role, policy, BreakerOptions::default()));
        let worker = Worker::new(Arc::clone(&lane), chain, delivery_timeout);
        Rig { lane, worker, calls }
    }

    fn noting(memory: usize) -> Rig {
        Rig::new(memory, Duration::from_secs(120), Policy::Fail, Notes::default())
    }

    fn step(&mut self) {
        assert!(self.worker.step(self.lane.work_at_once()).is_continue());
    }

    fn steps(&mut self) {
        while self.lane.has_work() {
            self.step();
        }
    }

    /// Has the plugin prove that it is quick enough for calls of any size.
    fn proven(mut self) -> Rig {
        (0..960).for_each(|_| assert!(self.takes("x")));
        self.steps();
        let sizes: Vec<_> = self.calls().into_iter().map(|(hook, records, _)| (hook, records)).collect();
        assert_eq!(sizes[..4], [64, 128, 256, 512].map(|records| ("on-send", records)));
        self
    }

    fn calls(&self) -> Vec<(&'static str, usize, usize)> {
        std::mem::take(&mut self.calls.lock().unwrap())
    }

    /// Whether a record is taken that may not wait.
    fn takes(&self, value: &str) -> bool {
        match self.lane.submit(&order(value), None, false) {
            Submitted::Accepted(_) => true,
            refused => match refusal(refused) {
                ProduceError::BufferFull => false,
                error => panic!("{error}"),
            },
        }
    }

    /// Fails what the core has, and hands its outcomes to the lane, as the driver does. How many batches that were.
    fn lose_batches(&mut self) -> usize {
        let now = self.lane.clock.now();
        let mut core = self.lane.core.lock().unwrap();
        core.abandon();
        let done: Vec<_> = std::iter::from_fn(|| core.poll_action())
            .filter_map(|action| if let Action::Done(done) = action { Some(done) } else { None })
            .collect();
        assert!(core.poll_timeout().is_none_or(|at| at >= now));
        drop(core);
        let batches = done.len();
        done.into_iter().for_each(|done| self.lane.acknowledge(super::super::AckItem::Done(Arc::new(done))));
        batches
    }
}

#[test]
fn a_call_carries_at_most_1024_records_or_256_kib_and_a_larger_record_goes_alone() {
    let mut rig = Rig::noting(16 << 20).proven();
    (0..3000).for_each(|_| assert!(rig.takes("small")));
    rig.steps();
    assert_eq!(rig.calls(), [("on-send", 1024, 5 * 1024), ("on-send", 1024, 5 * 1024), ("on-send", 952, 5 * 952)]);
    let middling = "x".repeat(100 << 10);
    let large = "x".repeat(700 << 10);
    for value in ["small", &large, "small", &middling, &middling, &middling] {
        assert!(rig.takes(value));
    }
    rig.steps();
    let sizes: Vec<_> = rig.calls().into_iter().map(|(_, records, bytes)| (records, bytes)).collect();
    assert_eq!(sizes, [(1, 5), (1, 700 << 10), (3, (200 << 10) + 5), (1, 100 << 10)]);
}

#[test]
fn acknowledgements_come_in_calls_of_at_most_1024_too() {
    let mut rig = Rig::noting(16 << 20);
    (0..4000).for_each(|_| assert!(rig.takes("small")));
    rig.steps();
    rig.calls();
    assert!(rig.lose_batches() > 1, "calls go over the borders of batches");
    rig.step();
    let sizes: Vec<usize> = rig.calls().iter().map(|(_, records, _)| *records).collect();
    assert_eq!(sizes, [64, 128, 256, 512, 64, 1024, 1024, 928]);
}

#[test]
fn acknowledgements_go_before_records() {
    let mut rig = Rig::noting(1 << 20);
    assert!(rig.takes("first"));
    rig.step();
    // Staged before the outcome of the first is known.
    assert!(rig.takes("second"));
    assert_eq!(rig.lose_batches(), 1);
    rig.calls();
    rig.step();
    let hooks: Vec<_> = rig.calls().into_iter().map(|(hook, ..)| hook).collect();
    // The last is of the second, which the core takes no more.
    assert_eq!(hooks, ["on-acknowledgement", "on-send", "on-acknowledgement"]);
}

#[test]
fn batches_are_single_when_idle_and_grow_while_the_lane_is_busy() {
    let mut rig = Rig::noting(1 << 20).proven();
    for _ in 0..3 {
        assert!(rig.takes("x"));
        rig.step();
    }
    for gathered in [5, 50, 500] {
        (0..gathered).for_each(|_| assert!(rig.takes("x")));
        rig.step();
    }
    assert!(!rig.lane.has_work());
    assert_eq!(rig.calls().iter().map(|(_, records, _)| *records).collect::<Vec<_>>(), [1, 1, 1, 5, 50, 500]);
}

/// What plugins add is booked without waiting; while more is booked than there is, nobody is admitted.
#[test]
fn inflating_plugins_run_into_debt_which_is_bounded_and_keeps_others_out() {
    const MEMORY: usize = 1 << 20;
    const FACTOR: usize = 1000;
    let notes = Notes { inflates: Some(100 * FACTOR), ..Notes::default() };
    let mut rig = Rig::new(MEMORY, Duration::from_secs(120), Policy::Fail, notes);
    (0..30).for_each(|_| assert!(rig.takes("x")));
    let lane = Arc::clone(&rig.lane);
    rig.steps();
    let debt = -lane.memory.available();
    assert!(debt > 0, "30 records of 100 kB are in 1 MiB: {debt}");
    assert!(debt as usize <= 30 * 120 * FACTOR, "no more than what was staged became: {debt}");
    assert!(!rig.takes("y"), "there is a debt");
    let Submitted::Waiting(waiter) = lane.submit(&order("y"), None, true) else { panic!("there is a debt") };
    rig.steps();
    assert!(waiter.poll(Waker::noop()).is_pending());
    assert!(rig.lose_batches() > 0);
    rig.steps();
    assert!(matches!(waiter.poll(Waker::noop()), Poll::Ready(Ok(_))), "it is paid");
    rig.steps();
    assert_eq!(lane.memory.available(), MEMORY as i64);
}

#[test]
fn a_record_that_is_late_in_the_lane_meets_no_hook() {
    let mut rig = Rig::new(1 << 20, Duration::ZERO, Policy::Fail, Notes::default());
    let Submitted::Accepted(delivery) = rig.lane.submit(&order("late"), None, true) else { panic!("there is room") };
    rig.steps();
    let outcome = delivery.try_result();
    let late = |error: &ProduceError| matches!(error, ProduceError::Timeout { stage: Stage::Lane, key, .. } if *key == "delivery.timeout.ms");
    assert!(matches!(&outcome, Some(Err(error)) if late(error) && error.fate() == Fate::NotWritten), "{outcome:?}");
    assert_eq!(rig.calls(), []);
}

fn letters() -> Policy {
    let (topic, include_key, include_value) = ("orders".into(), true, true);
    Policy::DeadLetter(Arc::new(DeadLetter { topic, include_key, include_value, version: None, digest: None }))
}

/// Its topic goes through a plugin that fails on everything; a letter goes around.
#[test]
fn a_dead_letter_is_never_dead_lettered_itself() {
    let mut rig = Rig::new(1 << 20, Duration::from_secs(120), letters(), Notes { traps: true, ..Notes::default() });
    assert!(rig.takes("x"));
    rig.steps();
    assert_eq!(rig.calls(), [("on-send", 1, 1)], "not for the letter");
    let told = |done: &crate::core::Done| done.runs.iter().map(|run| run.count).sum::<u32>();
    let mut core = rig.lane.core.lock().unwrap();
    core.abandon();
    let done: Vec<_> = std::iter::from_fn(|| core.poll_action())
        .filter_map(|action| if let Action::Done(done) = action { Some(done) } else { None })
        .collect();
    assert_eq!(done.iter().map(told).sum::<u32>(), 1, "one letter for one record");
    assert!(matches!(done[0].runs[0].outcome, Outcome::Failed(ProduceError::Closed { .. })));
}

/// A letter waits for no memory: it has its record's.
#[test]
fn a_dead_letter_is_written_though_the_buffer_is_full() {
    let mut rig = Rig::new(2000, Duration::from_secs(120), letters(), Notes { traps: true, ..Notes::default() });
    let large = "x".repeat(850);
    assert!(rig.takes(&large) && rig.takes(&large) && !rig.takes(&large));
    rig.steps();
    assert!(!rig.lane.core.lock().unwrap().is_idle(), "they are in the core");
    assert_eq!(rig.lose_batches(), 1);
    let told = rig.calls();
    assert_eq!(told[0], ("on-send", 2, 1700));
}

#[test]
fn who_may_not_wait_is_refused_at_once_when_the_buffer_is_full() {
    let rig = Rig::noting(1000);
    assert!(rig.takes(&"x".repeat(850)));
    let called = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&called);
    let callback: UserCallback = Box::new(move |_| _ = count.fetch_add(1, Ordering::Relaxed));
    let refused = rig.lane.submit(&order(&"x".repeat(850)), Some(callback), false);
    assert_eq!(refusal(refused), ProduceError::BufferFull);
    assert_eq!(called.load(Ordering::Relaxed), 0, "it was not accepted");
}
