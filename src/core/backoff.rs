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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_doubles_up_to_its_maximum_each_step_a_fifth_longer_or_shorter() {
        let backoff = Backoff { base: Duration::from_millis(100), max: Duration::from_millis(1000) };
        let mut rng = Rng::new(1);
        let table =
            [(0, 100), (1, 100), (2, 200), (3, 400), (4, 800), (5, 1000), (6, 1000), (1000, 1000), (u32::MAX, 1000)];
        for (failures, millis) in table {
            let waits: Vec<f64> = (0..2000).map(|_| backoff.after(failures, &mut rng).as_secs_f64() * 1e3).collect();
            let (least, most) =
                waits.iter().fold((f64::MAX, 0.0f64), |(least, most), at| (least.min(*at), most.max(*at)));
            let millis = f64::from(millis);
            // The whole range is drawn from, and nothing beyond it.
            assert!((0.8 * millis..0.82 * millis).contains(&least), "{failures}: {least}");
            assert!((1.18 * millis..=1.2 * millis).contains(&most), "{failures}: {most}");
        }
    }

    #[test]
    fn a_maximum_below_the_base_does_not_shorten_it() {
        let backoff = Backoff { base: Duration::from_millis(100), max: Duration::ZERO };
        assert!(backoff.after(9, &mut Rng::new(1)) >= Duration::from_millis(80));
    }
}
