//! The end of a producer: one for all who ask for it, from outside or from a thread of its own.

use super::Inner;
use super::signal::{SetOnDrop, Signal};
use super::watch::Watch;
use crate::lane::{DeliveryThread, Lanes};
use crate::metrics::{Endpoint, Statistics};
use crate::net::DriverHandle;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{JoinHandle, ThreadId};
use std::time::Duration;

/// Why a close did not deliver everything.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CloseError {
    /// The time was over before everything was delivered.
    #[error("closed with {batches} batches undelivered; their deliveries say whether they may have been written")]
    Undelivered {
        /// How many batches were left.
        batches: usize,
    },
    /// The call cannot be made from where it was made. The producer is not closed.
    #[error("{0}")]
    Misuse(&'static str),
}

pub(super) struct Threads {
    pub(super) driver: DriverHandle,
    pub(super) lanes: Vec<JoinHandle<()>>,
    pub(super) endpoint: Option<Endpoint>,
    pub(super) statistics: Option<Statistics>,
    pub(super) watch: Option<Watch>,
}

/// Where the end of a producer stands.
pub(super) struct Ending {
    begun: AtomicBool,
    /// What was accepted is delivered, or has failed.
    drained: Arc<Signal>,
    /// Batches that were given up.
    given_up: AtomicUsize,
    /// Until somebody waits for their end.
    threads: Mutex<Option<Threads>>,
    over: Signal,
    /// The driver's and the lanes': they wake and drop what is the user's, the last clone of the producer perhaps.
    own: Vec<ThreadId>,
    lanes: Arc<Lanes>,
    delivery_thread: Arc<DeliveryThread>,
}

impl Ending {
    pub(super) fn new(threads: Threads, lanes: Arc<Lanes>, delivery_thread: Arc<DeliveryThread>) -> Ending {
        Ending {
            begun: AtomicBool::new(false),
            drained: Arc::default(),
            given_up: AtomicUsize::new(0),
            own: threads
                .driver
                .thread_id()
                .into_iter()
                .chain(threads.lanes.iter().map(|lane| lane.thread().id()))
                .collect(),
            threads: Mutex::new(Some(threads)),
            over: Signal::default(),
            lanes,
            delivery_thread,
        }
    }

    /// Set when all that was accepted is done, if the end has begun.
    pub(super) fn draining(&self) -> Option<Arc<Signal>> {
        self.begun.load(Ordering::Acquire).then(|| Arc::clone(&self.drained))
    }

    /// What ends with the producer, too.
    pub(super) fn add(&self, endpoint: Option<Endpoint>, statistics: Option<Statistics>) {
        if let Some(threads) = &mut *self.lock() {
            threads.endpoint = endpoint;
            threads.statistics = statistics;
        }
    }

    /// As [`Ending::add`].
    pub(super) fn add_watch(&self, watch: Watch) {
        if let Some(threads) = &mut *self.lock() {
            threads.watch = Some(watch);
        }
    }

    /// Whether the caller is a callback, or else on a thread that the end waits for.
    pub(super) fn is_own_thread(&self) -> bool {
        self.delivery_thread.is_current() || self.own.contains(&std::thread::current().id())
    }

    /// Waits until everything has ended. Not for a thread of the producer's own.
    fn finish(&self) {
        self.drained.wait(None);
        let Some(threads) = self.lock().take() else {
            self.over.wait(None);
            return;
        };
        self.lanes.stop();
        // A lane that panicked has told so by the panic hook.
        for lane in threads.lanes {
            let _ = lane.join();
        }
        threads.driver.join();
        self.delivery_thread.finish();
        drop((threads.endpoint, threads.statistics, threads.watch));
        self.over.set();
    }

    fn lock(&self) -> MutexGuard<'_, Option<Threads>> {
        self.threads.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Inner {
    pub(super) fn close(&self, patience: Duration) -> Result<(), CloseError> {
        let ending = &self.ending;
        let is_own = ending.is_own_thread();
        let patience = if is_own { Duration::ZERO } else { patience };
        let began = self.clock.now();
        if !ending.begun.swap(true, Ordering::AcqRel) {
            self.lanes.close();
            self.lock_core().close(self.clock.now());
            self.waker.wake();
            let done = Arc::new(SetOnDrop(Arc::clone(&ending.drained)));
            self.lanes.flush_closed(|| {
                let done = Arc::clone(&done);
                Box::new(move || drop(done))
            });
        }
        if !ending.drained.wait(Some((self.clock, patience))) {
            let mut core = self.lock_core();
            // Under the lock: nobody hears that all is done before it is known how.
            ending.given_up.fetch_add(core.abandon() + self.lanes.take_aside(), Ordering::AcqRel);
            drop(core);
            self.lanes.abandon();
            self.waker.wake();
        } else if !is_own {
            self.end_transaction_at_close(patience - (self.clock.now() - began).min(patience));
        }
        // Who still waits for a transaction waits for nothing.
        self.lock_core().abandon();
        self.waker.wake();
        if !is_own {
            ending.finish();
        } else if ending.lock().is_some() {
            // What it would wait for waits for it.
            let (thread, waiting) = (std::thread::Builder::new().name("pointsman-close".into()), Arc::clone(ending));
            if thread.spawn(move || waiting.finish()).is_err() {
                // The driver ends with the last clone.
                self.lanes.stop();
            }
        }
        match ending.given_up.load(Ordering::Acquire) {
            0 => Ok(()),
            batches => Err(CloseError::Undelivered { batches }),
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Whatever is left has been said by the deliveries.
        let _ = self.close(Duration::ZERO);
    }
}
