//! The clock of the deadlines: one thread that advances the engine's epoch while calls run.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;
use wasmtime::EngineWeak;

/// One tick. Deadlines are a tick coarse; a wake costs a few microseconds.
pub(super) const PERIOD: Duration = Duration::from_millis(2);

/// Shared by the engine and its ticking thread.
#[derive(Default)]
pub(super) struct Ticker {
    running: AtomicUsize,
    parked: AtomicBool,
    stopped: AtomicBool,
    lock: Mutex<()>,
    wake: Condvar,
}

/// While one of these lives, time passes for guests.
pub(super) struct Running<'a>(&'a Ticker);

impl Ticker {
    /// Starts the thread. It holds the engine weakly and ends with it.
    pub(super) fn start(engine: EngineWeak) -> std::io::Result<Arc<Ticker>> {
        let ticker = Arc::new(Ticker::default());
        let own = Arc::clone(&ticker);
        let tick = move || engine.upgrade().map(|engine| engine.increment_epoch()).is_some();
        std::thread::Builder::new().name("pointsman-ticker".into()).spawn(move || own.run(tick))?;
        Ok(ticker)
    }

    /// A call begins; it ends when the guard is dropped.
    pub(super) fn running(&self) -> Running<'_> {
        self.running.fetch_add(1, SeqCst);
        // The thread announces that it parks, then looks at `running` again: one of the two sees the other.
        if self.parked.load(SeqCst) {
            self.unpark();
        }
        Running(self)
    }

    /// Ends the thread, at its next wake.
    pub(super) fn stop(&self) {
        self.stopped.store(true, SeqCst);
        self.unpark();
    }

    fn unpark(&self) {
        let _guard = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        self.parked.store(false, SeqCst);
        self.wake.notify_all();
    }

    /// Ticks until there is nothing left to tick.
    fn run(&self, mut tick: impl FnMut() -> bool) {
        let mut idle = 0;
        while !self.stopped.load(SeqCst) {
            std::thread::sleep(PERIOD);
            // Exactly one increment per wake: after a pause the guests are not charged for it.
            if !tick() {
                return;
            }
            idle = if self.running.load(SeqCst) == 0 { idle + 1 } else { 0 };
            if idle >= IDLE_TICKS {
                self.park();
                idle = 0;
            }
        }
    }

    fn park(&self) {
        let mut guard = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        self.parked.store(true, SeqCst);
        while self.parked.load(SeqCst) && self.running.load(SeqCst) == 0 && !self.stopped.load(SeqCst) {
            guard = self.wake.wait(guard).unwrap_or_else(PoisonError::into_inner);
        }
        self.parked.store(false, SeqCst);
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, SeqCst);
    }
}

/// How many ticks cover a time.
pub(super) fn ticks(time: Duration) -> u64 {
    u64::try_from(time.as_nanos().div_ceil(PERIOD.as_nanos())).unwrap_or(u64::MAX / 4).max(1)
}

/// Parking at once would cost a wake-up per call under a trickle of records.
const IDLE_TICKS: u32 = 25;

#[cfg(test)]
mod tests {
    use super::*;

    /// Waits for something that has to come.
    fn until(mut is_so: impl FnMut() -> bool) {
        let started = std::time::Instant::now();
        while !is_so() {
            assert!(started.elapsed() < Duration::from_secs(60), "it never comes");
            std::thread::sleep(PERIOD / 4);
        }
    }

    #[test]
    fn no_time_passes_while_no_call_runs() {
        let (ticker, count) = (Arc::new(Ticker::default()), AtomicUsize::new(0));
        let ticks = || count.load(SeqCst);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                ticker.run(|| {
                    count.fetch_add(1, SeqCst);
                    true
                });
            });
            for _ in 0..3 {
                until(|| ticker.parked.load(SeqCst));
                let parked_at = ticks();
                std::thread::sleep(10 * PERIOD);
                assert_eq!(ticks(), parked_at, "it is parked");
                let running = ticker.running();
                until(|| ticks() > parked_at + IDLE_TICKS as usize);
                drop(running);
            }
            ticker.stop();
        });
    }

    #[test]
    fn the_thread_keeps_no_engine_and_ends_with_it() {
        let engine = wasmtime::Engine::default();
        let ticker = Ticker::start(engine.weak()).unwrap();
        let weak = engine.weak();
        let running = ticker.running();
        drop(engine);
        until(|| weak.upgrade().is_none());
        until(|| Arc::strong_count(&ticker) == 1);
        drop(running);
    }

    #[test]
    fn ticks_are_rounded_up_and_never_none() {
        assert_eq!(ticks(Duration::ZERO), 1);
        assert_eq!(ticks(PERIOD), 1);
        assert_eq!(ticks(PERIOD + Duration::from_nanos(1)), 2);
        assert_eq!(ticks(Duration::from_millis(50)), 25);
    }
}
