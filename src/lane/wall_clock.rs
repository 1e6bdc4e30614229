//! The wall clock as record timestamps need it.

use crate::core::time::Clock;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// The wall clock, read once for each of its ticks. To be asked under one lock.
#[derive(Default)]
pub(super) struct WallClock {
    tick: AtomicU64,
    ms: AtomicI64,
}

impl WallClock {
    /// Milliseconds since the Unix epoch.
    pub(super) fn read(&self, clock: &dyn Clock) -> i64 {
        let tick = clock.tick();
        if tick != self.tick.load(Ordering::Relaxed) {
            self.ms.store(clock.wall_ms(), Ordering::Relaxed);
            self.tick.store(tick, Ordering::Relaxed);
        }
        self.ms.load(Ordering::Relaxed)
    }
}
