//! What the lanes of a producer have in common: memory, which goes to whoever has waited longest; batches that hold
//! records of several lanes; flushes, which are over when every lane is done with what came before.

use super::DeliveryThread;
use super::acknowledge::Token;
use super::staging::{Job, Shared};
use crate::core::Done;
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

/// Shared by the lanes of a producer.
pub(super) struct Together {
    /// How many lanes there are.
    count: usize,
    /// Unset where there is but one.
    lanes: OnceLock<Vec<Weak<Shared>>>,
    /// Senders in line for memory, over all lanes.
    waiting: AtomicUsize,
    /// Someone who has waited longest finds room in its lane and no memory: nobody else gets any.
    starving: AtomicBool,
    returning: Mutex<Queues>,
    flushes: Mutex<Flushes>,
}

/// By topic and partition.
type Queues = BTreeMap<(Arc<str>, i32), VecDeque<Returning>>;

/// A batch on its way through the lanes whose records it holds. Those of a partition stay in order: callbacks come in
/// log order, however slow a plugin is.
struct Returning {
    /// Lanes that have not told their plugins yet, and the driver while it tells the lanes. Each holds the batch.
    left: usize,
    done: Arc<Done>,
}

#[derive(Default)]
struct Flushes {
    /// By the core's number: how many lanes have passed its end, and what is to be done then.
    open: BTreeMap<u64, (usize, Job)>,
    /// Lanes that know that the driver is gone.
    bereaved: usize,
}

impl Together {
    pub(super) fn of(count: usize) -> Together {
        Together {
            count,
            lanes: OnceLock::new(),
            waiting: AtomicUsize::new(0),
            starving: AtomicBool::new(false),
            returning: Mutex::default(),
            flushes: Mutex::default(),
        }
    }

    pub(super) fn introduce(&self, lanes: &[Arc<Shared>]) {
        if lanes.len() > 1 {
            self.lanes.get_or_init(|| lanes.iter().map(Arc::downgrade).collect());
        }
    }

    /// Every lane that still lives, where there are several.
    pub(super) fn lanes(&self) -> Option<impl Iterator<Item = Arc<Shared>>> {
        Some(self.lanes.get()?.iter().filter_map(Weak::upgrade))
    }

    /// In a lane's line there are so many now, and were so many.
    pub(super) fn count_waiting(&self, now: usize, before: usize) {
        self.waiting.fetch_add(now.wrapping_sub(before), Ordering::AcqRel);
    }

    /// Whether anybody waits for memory.
    pub(super) fn anyone_waits(&self) -> bool {
        self.waiting.load(Ordering::Acquire) > 0
    }

    pub(super) fn is_starving(&self) -> bool {
        self.starving.load(Ordering::Acquire) && self.anyone_waits()
    }

    /// Says what was said before.
    pub(super) fn set_starving(&self, starving: bool) -> bool {
        self.starving.swap(starving, Ordering::AcqRel)
    }

    /// Registers a batch whose outcome the driver has learnt, and says which lanes are to hear of it. The driver tells
    /// [`Together::told`] when they do.
    pub(super) fn begin(&self, done: Done) -> (Arc<Done>, Vec<usize>) {
        let mut lanes: Vec<usize> = Vec::new();
        for lane in done.tokens.iter().filter_map(|&bits| Token::from_bits(bits)).map(Token::lane) {
            if lanes.last() != Some(&lane) && !lanes.contains(&lane) {
                lanes.push(lane);
            }
        }
        let done = Arc::new(done);
        let returning = Returning { left: lanes.len() + 1, done: Arc::clone(&done) };
        self.lock_returning().entry(place_of(&done)).or_default().push_back(returning);
        (done, lanes)
    }

    /// A lane has told its plugins of a batch, or the driver has told the lanes. Whoever is the last one to do so makes its
    /// outcome known.
    pub(super) fn told_all(&self, batches: impl IntoIterator<Item = Arc<Done>>, thread: &DeliveryThread) {
        if self.count == 1 {
            thread.complete_all(batches.into_iter().filter_map(Arc::into_inner));
        } else {
            batches.into_iter().for_each(|done| self.told(done, thread));
        }
    }

    /// As [`Together::told_all`] for one of a batch's several lanes.
    pub(super) fn told(&self, done: Arc<Done>, thread: &DeliveryThread) {
        let place = place_of(&done);
        let which = Arc::as_ptr(&done);
        drop(done);
        if let Some(queue) = self.lock_returning().get_mut(&place)
            && let Some(returning) = queue.iter_mut().find(|returning| Arc::as_ptr(&returning.done) == which)
        {
            returning.left -= 1;
        }
        self.complete(place, thread);
    }

    /// Makes known what no lane has to hear of any more, up to the first batch that one has.
    fn complete(&self, place: (Arc<str>, i32), thread: &DeliveryThread) {
        let mut silent = Vec::new();
        let mut all = self.lock_returning();
        let Some(queue) = all.get_mut(&place) else { return };
        while let Some(first) = queue.pop_front_if(|first| first.left == 0) {
            // Everybody let go of it before they said so.
            match Arc::into_inner(first.done) {
                // Handed over under the lock, in log order; called elsewhere.
                Some(done) if done.completion.has_callbacks() => thread.complete(done),
                done => silent.extend(done),
            }
        }
        if queue.is_empty() {
            all.remove(&place);
        }
        drop(all);
        silent.into_iter().for_each(|done| thread.complete(done));
    }

    /// Has everything in the core sent now; `job` is given back when all of it is done. At once without a driver.
    pub(super) fn flush(&self, core: impl FnOnce() -> u64, job: Job) -> Option<Job> {
        let mut flushes = self.lock_flushes();
        if flushes.bereaved == self.count {
            return Some(job);
        }
        // Under both locks: the end of the flush is not told before its job is there.
        flushes.open.insert(core(), (0, job));
        None
    }

    /// A lane has told its plugins all that a flush waits for. The job, if it was the last lane.
    pub(super) fn flushed(&self, flush: u64) -> Option<Job> {
        let mut flushes = self.lock_flushes();
        let (passed, _) = flushes.open.get_mut(&flush)?;
        *passed += 1;
        if *passed < self.count {
            return None;
        }
        flushes.open.remove(&flush).map(|(_, job)| job)
    }

    /// A lane knows that nothing will be done any more. The jobs of all flushes, if it was the last lane.
    pub(super) fn bereaved(&self) -> Vec<Job> {
        let mut flushes = self.lock_flushes();
        flushes.bereaved = (flushes.bereaved + 1).min(self.count);
        if flushes.bereaved < self.count {
            return Vec::new();
        }
        std::mem::take(&mut flushes.open).into_values().map(|(_, job)| job).collect()
    }

    fn lock_returning(&self) -> MutexGuard<'_, Queues> {
        self.returning.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_flushes(&self) -> MutexGuard<'_, Flushes> {
        self.flushes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn place_of(done: &Done) -> (Arc<str>, i32) {
    (Arc::clone(done.completion.topic()), done.completion.partition())
}
