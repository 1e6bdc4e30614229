//! How much smaller compression makes a topic's batches: learned from those that were sealed, so that batches fill up
//! to `batch.size` by the time they are sent, not before.

/// Thousandths: no float takes part in what the core decides.
const WHOLE: u32 = 1000;
/// What a batch that compressed better than expected changes at most, as in Java's `CompressionRatioEstimator`.
const STEP_DOWN: u32 = 5;
/// What one that compressed worse changes at least.
const STEP_UP: u32 = 50;
/// Times `batch.size` that the records of a batch may be before compression: an open batch must not eat up
/// `buffer.memory` because its records are all alike.
const MOST: usize = 16;

/// What a topic's batches became so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ratio(u32);

impl Default for Ratio {
    fn default() -> Ratio {
        Ratio(WHOLE)
    }
}

impl Ratio {
    /// Takes what one batch became into account.
    pub(super) fn observe(&mut self, raw: usize, compressed: usize) {
        let observed = of(raw, compressed);
        if observed > self.0 {
            self.0 = (self.0 + STEP_UP).max(observed);
        } else {
            self.0 = self.0.saturating_sub(STEP_DOWN).max(observed);
        }
    }

    /// A batch that became this was too large for its topic: begin to learn again, from nothing gained.
    pub(super) fn reset(&mut self, raw: usize, compressed: usize) {
        self.0 = WHOLE.max(of(raw, compressed));
    }

    /// For a batch that is begun now, where batches are compressed at all.
    pub(super) fn estimate(self) -> Estimate {
        // A twentieth more than expected, as Java does.
        Estimate(Some(self.0 + self.0 / 20))
    }
}

fn of(raw: usize, compressed: usize) -> u32 {
    let ratio = compressed as u64 * u64::from(WHOLE) / raw.max(1) as u64;
    // A batch of a few bytes may become several times as large; nothing is to be learned from by how much.
    ratio.min(2 * u64::from(WHOLE)) as u32
}

/// What the records of one batch will be when they are sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Estimate(Option<u32>);

impl Estimate {
    /// Without compression.
    pub(super) const EXACT: Estimate = Estimate(None);

    /// Bytes of `len` when they are sent.
    pub(super) fn sent(self, len: usize) -> usize {
        self.0.map_or(len, |ratio| (len as u64 * u64::from(ratio) / u64::from(WHOLE)) as usize)
    }

    /// Bytes of records that a batch limited to `limit` may take before it is full, whatever they become.
    pub(super) fn most(self, limit: usize) -> usize {
        self.0.map_or(limit, |_| limit.saturating_mul(MOST))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_gets_better_slowly_and_worse_at_once() {
        let mut ratio = Ratio::default();
        ratio.observe(1000, 300);
        assert_eq!(ratio, Ratio(995));
        for _ in 0..200 {
            ratio.observe(1000, 300);
        }
        assert_eq!(ratio, Ratio(300));
        ratio.observe(1000, 310);
        assert_eq!(ratio, Ratio(350), "at least a step");
        ratio.observe(1000, 900);
        assert_eq!(ratio, Ratio(900));
        ratio.reset(1000, 200);
        assert_eq!(ratio, Ratio::default());
    }

    #[test]
    fn an_estimate_leaves_room_and_never_expects_wonders() {
        let mut ratio = Ratio::default();
        (0..1000).for_each(|_| ratio.observe(1_000_000, 1));
        assert_eq!(ratio.estimate().sent(1_000_000), 0);
        assert_eq!(ratio.estimate().most(100), 1600);
        assert_eq!(Ratio(400).estimate().sent(1000), 420);
        assert_eq!(Estimate::EXACT.sent(1000), 1000);
    }
}
