use super::machine::Machine;
use super::waker::Waker;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// Batches that lingered are sealed on the driver's account: more than that would only take time from those who fill
/// others.
const THREADS_MAX: usize = 2;

/// Threads that seal batches where that takes long, so that the driver goes on meanwhile. They start when there is
/// something for them to do.
pub(super) struct Sealers<M: Machine> {
    shared: Arc<Shared<M>>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared<M: Machine> {
    jobs: Mutex<Jobs<M>>,
    changed: Condvar,
    waker: Waker,
}

struct Jobs<M: Machine> {
    waiting: VecDeque<M::Unsealed>,
    sealed: Vec<M::Sealed>,
    /// Threads that are at it.
    busy: usize,
    panicked: bool,
    stopped: bool,
}

impl<M: Machine> Sealers<M> {
    /// The waker is rung for every batch that is sealed.
    pub(super) fn new(waker: Waker) -> Sealers<M> {
        let jobs = Jobs { waiting: VecDeque::new(), sealed: Vec::new(), busy: 0, panicked: false, stopped: false };
        let shared = Arc::new(Shared { jobs: Mutex::new(jobs), changed: Condvar::new(), waker });
        Sealers { shared, threads: Vec::new() }
    }

    /// Has a batch sealed.
    pub(super) fn seal(&mut self, unsealed: M::Unsealed) {
        let mut jobs = self.shared.lock();
        jobs.waiting.push_back(unsealed);
        let wanted = jobs.busy + jobs.waiting.len();
        drop(jobs);
        if self.threads.len() < wanted.min(THREADS_MAX) {
            let shared = Arc::clone(&self.shared);
            let thread = std::thread::Builder::new().name("pointsman-seal".to_owned());
            match thread.spawn(move || shared.work()) {
                Ok(thread) => self.threads.push(thread),
                // Then whoever is there does it; without anybody the driver has to.
                Err(_) if self.threads.is_empty() => self.shared.work_off(),
                Err(_) => {}
            }
        }
        self.shared.changed.notify_one();
    }

    /// Takes what is sealed by now.
    ///
    /// # Panics
    /// Sealing did.
    pub(super) fn collect(&self, into: &mut Vec<M::Sealed>) {
        let mut jobs = self.shared.lock();
        into.append(&mut jobs.sealed);
        assert!(!jobs.panicked, "sealing a batch panicked");
    }

    /// Waits until everything is sealed, and takes it.
    pub(super) fn drain(&self, into: &mut Vec<M::Sealed>) {
        let mut jobs = self.shared.lock();
        while !self.threads.is_empty() && (jobs.busy > 0 || !jobs.waiting.is_empty()) {
            jobs = self.shared.changed.wait(jobs).unwrap_or_else(PoisonError::into_inner);
        }
        into.append(&mut jobs.sealed);
    }
}

impl<M: Machine> Drop for Sealers<M> {
    fn drop(&mut self) {
        self.shared.lock().stopped = true;
        self.shared.changed.notify_all();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl<M: Machine> Shared<M> {
    fn work(&self) {
        loop {
            self.work_off();
            let mut jobs = self.lock();
            while jobs.waiting.is_empty() && !jobs.stopped {
                jobs = self.changed.wait(jobs).unwrap_or_else(PoisonError::into_inner);
            }
            if jobs.stopped {
                return;
            }
        }
    }

    /// Seals until nothing waits.
    fn work_off(&self) {
        let mut jobs = self.lock();
        while let Some(unsealed) = jobs.waiting.pop_front() {
            jobs.busy += 1;
            drop(jobs);
            let sealed = catch_unwind(AssertUnwindSafe(|| M::seal(unsealed)));
            jobs = self.lock();
            jobs.busy -= 1;
            match sealed {
                Ok(sealed) => jobs.sealed.push(sealed),
                // The panic hook has told of it. The driver dies of it, as it would have, had it sealed the batch.
                Err(_) => jobs.panicked = true,
            }
            drop(jobs);
            self.waker.wake();
            jobs = self.lock();
        }
        drop(jobs);
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Jobs<M>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
