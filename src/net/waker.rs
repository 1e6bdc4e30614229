use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::Notify;

/// Tells the driver that the core has something new. Clones wake the same driver, also before it is started.
#[derive(Clone, Debug, Default)]
pub struct Waker {
    bell: Arc<Bell>,
}

#[derive(Debug, Default)]
struct Bell {
    /// Someone rang since the driver last began a pass.
    rung: AtomicBool,
    notify: Notify,
    stop: AtomicBool,
}

impl Waker {
    /// Of a driver that is yet to start.
    pub fn new() -> Waker {
        Waker::default()
    }

    /// To be called after the core's lock is let go. While the driver is awake it costs a load: the first caller of a
    /// pass notifies it, which is a system call only if it sleeps.
    ///
    /// Who finds the bell rung may leave: the driver has not yet stopped it, as it does before each pass, and locks the
    /// core after that. Had it locked before the caller did, the caller would have seen the bell stopped.
    pub fn wake(&self) {
        if !self.bell.rung.load(Ordering::Relaxed) && !self.bell.rung.swap(true, Ordering::AcqRel) {
            self.bell.notify.notify_one();
        }
    }

    /// Before the driver locks the core.
    pub(super) fn begin_pass(&self) {
        self.bell.rung.store(false, Ordering::Release);
    }

    /// Until someone rings.
    pub(super) async fn rung(&self) {
        self.bell.notify.notified().await;
    }

    pub(super) fn stop(&self) {
        self.bell.stop.store(true, Ordering::Release);
        // Not by `wake`: the driver may have read that nobody stops it and not yet have stopped the bell.
        self.bell.rung.store(true, Ordering::Release);
        self.bell.notify.notify_one();
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.bell.stop.load(Ordering::Acquire)
    }
}
