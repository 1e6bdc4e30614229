//! Runs callbacks: on a thread of their own, since what a callback does is nobody's business but its owner's, and
//! must hold up neither the lane nor the driver. Started with the first callback.

use crate::core::Done;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, JoinHandle, Thread};

/// Something to do on the delivery thread, in order.
pub(crate) enum Job {
    /// Completes batches, which calls their records' callbacks.
    Complete(Vec<Done>),
    /// A callback of a record that reached no batch, or the end of a flush.
    Run(Box<dyn FnOnce() + Send>),
}

impl Job {
    fn run(self) {
        match self {
            Job::Complete(batches) => batches.into_iter().for_each(|done| contain(|| done.complete())),
            Job::Run(job) => contain(job),
        }
    }
}

/// What panics has told so by the panic hook; the others get their turn.
fn contain(run: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(run)) {
        // It could panic, too, as it is dropped, and nobody would be left to do the rest.
        std::mem::forget(payload);
    }
}

/// The delivery thread, if there is need of one.
#[derive(Default)]
pub(crate) struct DeliveryThread {
    running: OnceLock<Running>,
    in_place: bool,
}

struct Running {
    jobs: Arc<Jobs>,
    thread: Thread,
    handle: Mutex<Option<JoinHandle<()>>>,
    /// Among all of the process.
    number: u64,
}

/// What is to be done. Not a channel of the standard library's: that wakes whoever receives while it holds the lock that
/// the woken thread needs first, which costs two more system calls between an answer and its callback.
#[derive(Default)]
struct Jobs {
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    jobs: Vec<Job>,
    closed: bool,
}

impl Jobs {
    /// Adds one for `thread` to do, unless they are closed: then it is given back.
    fn push(&self, job: Job, thread: &Thread) -> Option<Job> {
        let mut waiting = self.lock();
        if waiting.closed {
            return Some(job);
        }
        waiting.jobs.push(job);
        let is_first = waiting.jobs.len() == 1;
        drop(waiting);
        // Whoever added one before has woken it, and it takes all that there are.
        if is_first {
            thread.unpark();
        }
        None
    }

    /// Takes all that there are, or waits for some, on the thread that does them. Empty once they are closed.
    fn take(&self, into: &mut Vec<Job>) {
        loop {
            let mut waiting = self.lock();
            std::mem::swap(&mut waiting.jobs, into);
            if !into.is_empty() || waiting.closed {
                return;
            }
            drop(waiting);
            thread::park();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

thread_local! {
    /// The number of the delivery thread that this is; 0 if it is none. Asked for by every send, and to be had for less
    /// than a thread's id.
    static CURRENT: Cell<u64> = const { Cell::new(0) };
}

impl Running {
    /// The thread does what there is, and ends.
    fn close(&self) {
        self.jobs.lock().closed = true;
        self.thread.unpark();
    }
}

/// Whoever could hand it something is gone, and nobody waits for it.
impl Drop for DeliveryThread {
    fn drop(&mut self) {
        if let Some(running) = self.running.get() {
            running.close();
        }
    }
}

impl DeliveryThread {
    /// One that is no thread: callbacks are called at once, by whoever hands them over. For simulators, whose callbacks
    /// do nothing that could get in its way.
    pub(super) fn in_place() -> DeliveryThread {
        DeliveryThread { in_place: true, running: OnceLock::new() }
    }

    /// Starts the thread if it does not run yet. To be called before the first callback is accepted.
    pub(crate) fn need(&self) {
        if self.in_place {
            return;
        }
        self.running.get_or_init(|| {
            static NEXT: AtomicU64 = AtomicU64::new(1);
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let jobs = Arc::new(Jobs::default());
            let of_thread = Arc::clone(&jobs);
            let handle = thread::Builder::new()
                .name("pointsman-delivery".into())
                .spawn(move || {
                    CURRENT.set(number);
                    let mut taken = Vec::new();
                    loop {
                        of_thread.take(&mut taken);
                        if taken.is_empty() {
                            return;
                        }
                        taken.drain(..).for_each(Job::run);
                    }
                })
                .expect("a thread can be started");
            Running { jobs, thread: handle.thread().clone(), handle: Mutex::new(Some(handle)), number }
        });
    }

    /// Completes a batch: here, or on the delivery thread if it has callbacks.
    pub(crate) fn complete(&self, done: Done) {
        self.complete_all([done]);
    }

    /// As [`DeliveryThread::complete`] for several, which wakes the thread once.
    pub(crate) fn complete_all(&self, batches: impl IntoIterator<Item = Done>) {
        let is_running = self.running.get().is_some();
        let mut called = Vec::new();
        for done in batches {
            if is_running && done.completion.has_callbacks() {
                called.push(done);
            } else {
                done.complete();
            }
        }
        if !called.is_empty() {
            self.submit(Job::Complete(called));
        }
    }

    /// Runs a job after everything that was handed over before: on the delivery thread, or here if there is none.
    pub(crate) fn run(&self, job: Box<dyn FnOnce() + Send>) {
        if self.running.get().is_some() {
            self.submit(Job::Run(job));
        } else {
            job();
        }
    }

    /// Whether the caller is a callback.
    pub(crate) fn is_current(&self) -> bool {
        self.running.get().is_some_and(|running| running.number == CURRENT.get())
    }

    /// Runs what was handed over, then ends the thread.
    pub(crate) fn finish(&self) {
        let Some(running) = self.running.get() else { return };
        running.close();
        let thread = running.handle.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread
            && !self.is_current()
        {
            // A callback that panicked has told so by the panic hook.
            let _ = thread.join();
        }
    }

    fn submit(&self, job: Job) {
        let Some(running) = self.running.get() else { unreachable!("asked for before") };
        // Where all is closed the thread is gone: the fates must become known all the same.
        match running.jobs.push(job, &running.thread) {
            None => {}
            Some(Job::Complete(batches)) => batches.into_iter().for_each(Done::complete),
            Some(Job::Run(job)) => job(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use std::time::Duration;

    #[test]
    fn jobs_are_done_in_order_whatever_callbacks_do() {
        let thread = DeliveryThread::default();
        thread.need();
        let (done, told) = mpsc::channel();
        for nth in 0..1_000 {
            let done = done.clone();
            thread.run(Box::new(move || {
                // What they wait by is the thread's own, and may be what is to wake it.
                thread::park_timeout(Duration::from_micros(10));
                done.send(nth).unwrap();
                if nth % 100 == 0 {
                    panic!("on purpose");
                }
            }));
            if nth % 7 == 0 {
                thread::yield_now();
            }
        }
        thread.finish();
        assert!(told.try_iter().eq(0..1_000));
        let late = done.clone();
        thread.run(Box::new(move || late.send(1_000).unwrap()));
        assert_eq!(told.try_recv(), Ok(1_000), "it is done where it is handed over");
    }

    #[test]
    fn it_does_not_outlive_who_it_belongs_to() {
        let thread = DeliveryThread::default();
        thread.need();
        let (done, told) = mpsc::channel::<()>();
        let jobs = Arc::downgrade(&thread.running.get().unwrap().jobs);
        thread.run(Box::new(move || drop(done)));
        drop(thread);
        told.recv().unwrap_err();
        while jobs.strong_count() > 0 {
            thread::yield_now();
        }
    }
}
