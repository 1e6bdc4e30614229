use crate::net::Clock;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

const DAY: Duration = Duration::from_secs(86_400);

/// Set once; threads and tasks wait for it.
#[derive(Default)]
pub(super) struct Signal {
    state: Mutex<(bool, Vec<Waker>)>,
    condition: Condvar,
}

impl Signal {
    pub(super) fn set(&self) {
        let mut state = self.lock();
        state.0 = true;
        let wakers = std::mem::take(&mut state.1);
        drop(state);
        self.condition.notify_all();
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Whether it was set within that time, or in the end.
    pub(super) fn wait(&self, patience: Option<(Clock, Duration)>) -> bool {
        let deadline = patience.map(|(clock, patience)| (clock, clock.now() + patience));
        let mut state = self.lock();
        while !state.0 {
            state = match deadline {
                None => self.condition.wait(state).unwrap_or_else(|poisoned| poisoned.into_inner()),
                Some((clock, deadline)) => {
                    let left = deadline - clock.now();
                    if left.is_zero() {
                        return false;
                    }
                    // What is beyond the condition's time is waited for in parts.
                    let waited = self.condition.wait_timeout(state, left.min(DAY));
                    waited.unwrap_or_else(|poisoned| poisoned.into_inner()).0
                }
            };
        }
        true
    }

    fn lock(&self) -> MutexGuard<'_, (bool, Vec<Waker>)> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// Sets a signal when it goes, however it goes: a job that is never run must not leave anybody waiting.
pub(super) struct SetOnDrop(pub(super) Arc<Signal>);

impl Drop for SetOnDrop {
    fn drop(&mut self) {
        self.0.set();
    }
}

/// Ready when the signal is set.
pub(super) struct Signalled(pub(super) Arc<Signal>);

impl Future for Signalled {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.0.lock();
        if state.0 {
            return Poll::Ready(());
        }
        if !state.1.iter().any(|known| known.will_wake(context.waker())) {
            state.1.push(context.waker().clone());
        }
        Poll::Pending
    }
}
