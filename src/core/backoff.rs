//! Exponential backoff with jitter (KIP-580).

use super::rng::Rng;
use std::time::Duration;

/// Doubles from `base` to `max`, each step up to a fifth longer or shorter.
#[derive(Clone, Copy, Debug)]
pub(super) struct Backoff {
    pub(super) base: Duration,
    pub(super) max: Duration,
}

impl Backoff {
    /// The wait after so many failures in a row; the first failure is 1.
    pub(super) fn after(self, failures: u32, rng: &mut Rng) -> Duration {
        let doublings = failures.saturating_sub(1).min(20);
        let wait = self.base.saturating_mul(1 << doublings).min(self.max.max(self.base));
        wait.mul_f64(0.8 + 0.4 * rng.fraction())
    }
}
