//! How the fate of a batch reaches those who wait for its records: one allocation per batch, not per record.

use crate::error::ProduceError;
use bytes::Bytes;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, OnceLock};
use std::task::Waker;

/// What became of a run of records.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// They are in the log.
    Written {
        /// Offset of the first of the run; `None` if the broker did not say.
        base_offset: Option<i64>,
        /// When the broker appended them, where the topic says log-append time.
        log_append_time: Option<i64>,
    },
    /// They are not, or perhaps.
    Failed(ProduceError),
}

impl Outcome {
    /// Why they are not.
    pub(super) fn error(&self) -> Option<&ProduceError> {
        match self {
            Outcome::Written { .. } => None,
            Outcome::Failed(error) => Some(error),
        }
    }

    /// The same of records that stand so many behind.
    pub(super) fn moved(&self, by: i64) -> Outcome {
        match self {
            Outcome::Written { base_offset, log_append_time } => {
                Outcome::Written { base_offset: base_offset.map(|base| base + by), log_append_time: *log_append_time }
            }
            Outcome::Failed(error) => Outcome::Failed(error.clone()),
        }
    }
}

/// A finished batch, from [`super::Core::poll_action`]. The shell tells the plugins, then calls [`Done::complete`].
#[derive(Debug)]
pub struct Done {
    /// Shared by the batch's deliveries.
    pub completion: Arc<Completion>,
    /// The records by their index in the completion, ascending and without gaps over all runs.
    pub runs: Runs,
    /// The token of each record, by index, where appends carried any; else empty.
    pub tokens: Vec<u64>,
    /// A value that its sender let the batch hold. It ends with this, where no lock is held: its end may be code of the
    /// sender's own.
    pub held: Option<Box<Bytes>>,
}

/// The runs of a batch's records, in order. Mostly all share one, which then takes no allocation.
#[derive(Clone, Debug, PartialEq)]
pub enum Runs {
    /// All of them.
    One(Run),
    /// Not one.
    Many(Vec<Run>),
}

impl Runs {
    /// One by one.
    pub fn into_vec(self) -> Vec<Run> {
        match self {
            Runs::One(run) => vec![run],
            Runs::Many(runs) => runs,
        }
    }
}

impl std::ops::Deref for Runs {
    type Target = [Run];

    fn deref(&self) -> &[Run] {
        match self {
            Runs::One(run) => std::slice::from_ref(run),
            Runs::Many(runs) => runs,
        }
    }
}

/// Records of a completion that share an outcome.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// Index of the first record.
    pub first: u32,
    /// How many.
    pub count: u32,
    /// What became of them.
    pub outcome: Outcome,
}

impl Done {
    /// Makes the outcome known and wakes those who wait for it.
    pub fn complete(self) {
        self.completion.complete(self.runs);
    }
}

/// A function to call with the fate of one record.
pub type Callback = Box<dyn FnOnce(&Arc<Completion>, u32, &Run) + Send>;

/// Shared by the deliveries of one batch.
pub struct Completion {
    topic: Arc<str>,
    partition: i32,
    may_block: fn() -> bool,
    runs: OnceLock<Runs>,
    waiters: Mutex<Waiters>,
}

#[derive(Default)]
struct Waiters {
    wakers: Vec<Waker>,
    callbacks: Vec<(u32, Callback)>,
}

impl std::fmt::Debug for Completion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Completion({}-{}, {:?})", self.topic, self.partition, self.runs.get())
    }
}

impl Completion {
    /// Of a batch of this partition. `may_block` is as in [`super::CoreConfig`].
    pub fn new(topic: Arc<str>, partition: i32, may_block: fn() -> bool) -> Arc<Completion> {
        Arc::new(Completion { topic, partition, may_block, runs: OnceLock::new(), waiters: Mutex::default() })
    }

    /// Topic of the batch.
    pub fn topic(&self) -> &Arc<str> {
        &self.topic
    }

    /// Partition of the batch.
    pub fn partition(&self) -> i32 {
        self.partition
    }

    /// Whether the thread that asks may be blocked until its records' fates are known.
    pub fn may_block(&self) -> bool {
        (self.may_block)()
    }

    /// Whether the fates of its records are known.
    #[inline(always)]
    pub fn is_known(&self) -> bool {
        self.runs.get().is_some()
    }

    /// The fate of record `index`, once it is known: the run that it belongs to.
    #[inline(always)]
    pub fn outcome(&self, index: u32) -> Option<&Run> {
        match self.runs.get()? {
            Runs::One(run) => Some(run),
            Runs::Many(runs) => {
                let at = runs.partition_point(|run| run.first + run.count <= index);
                Some(&runs[at])
            }
        }
    }

    /// As [`Completion::outcome`]; if it is not yet known, `waker` is woken when it is.
    #[inline]
    pub fn poll(&self, index: u32, waker: &Waker) -> Option<&Run> {
        if self.runs.get().is_none() && self.is_awaited(waker) {
            return None;
        }
        self.outcome(index)
    }

    /// Whether there is to be waited, and then `waker` is among those to be woken.
    fn is_awaited(&self, waker: &Waker) -> bool {
        let mut waiters = self.lock();
        // Completing sets the runs before it takes the waiters.
        let waits = self.runs.get().is_none();
        if waits && !waiters.wakers.last().is_some_and(|known| known.will_wake(waker)) {
            waiters.wakers.push(waker.clone());
        }
        waits
    }

    /// Calls `callback` when the fate of record `index` is known: by whoever completes the batch, or at once.
    pub fn call(self: &Arc<Completion>, index: u32, callback: Callback) {
        if self.runs.get().is_none() {
            let mut waiters = self.lock();
            if self.runs.get().is_none() {
                waiters.callbacks.push((index, callback));
                return;
            }
        }
        if let Some(run) = self.outcome(index) {
            callback(self, index, run);
        }
    }

    /// Whether someone is to be called.
    pub fn has_callbacks(&self) -> bool {
        !self.lock().callbacks.is_empty()
    }

    fn complete(self: &Arc<Completion>, runs: Runs) {
        assert!(self.runs.set(runs).is_ok(), "a batch is completed once");
        let waiters = std::mem::take(&mut *self.lock());
        for (index, callback) in waiters.callbacks {
            if let Some(run) = self.outcome(index) {
                // One that panics, and has told so by the panic hook, takes nobody else's turn.
                let _ = catch_unwind(AssertUnwindSafe(|| callback(self, index, run)));
            }
        }
        for waker in waiters.wakers {
            let _ = catch_unwind(AssertUnwindSafe(|| waker.wake()));
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Waiters> {
        self.waiters.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
