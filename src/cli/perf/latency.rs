//! How long records take from send to delivery.

use crate::cli::stopwatch::Stopwatch;
use std::sync::{Arc, Mutex, PoisonError};

/// Latencies of some of a run's records, in microseconds.
pub(super) struct Latencies {
    taken: Arc<Mutex<Vec<u32>>>,
    every: u64,
}

/// A record whose latency is being taken.
pub(super) struct Sample {
    started: Stopwatch,
    taken: Arc<Mutex<Vec<u32>>>,
}

/// Latencies, or other microseconds, in ascending order.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Sorted(Vec<u32>);

impl Latencies {
    /// For a run of so many records: of at most 100,000 the latency is taken, since the callback it needs is a cost.
    pub(super) fn new(records: u64) -> Latencies {
        let every = records.div_ceil(SAMPLES_MAX);
        Latencies { taken: Arc::new(Mutex::new(Vec::with_capacity((records / every) as usize + 1))), every }
    }

    /// For the record of that number, about to be sent.
    pub(super) fn sample(&self, number: u64) -> Option<Sample> {
        let is_taken = number.is_multiple_of(self.every);
        is_taken.then(|| Sample { started: Stopwatch::start(), taken: Arc::clone(&self.taken) })
    }

    pub(super) fn sorted(self) -> Sorted {
        std::mem::take(&mut *self.taken.lock().unwrap_or_else(PoisonError::into_inner)).into()
    }
}

impl Sample {
    /// A record that failed has no latency.
    pub(super) fn delivered(self, is_delivered: bool) {
        if is_delivered {
            let micros = u32::try_from(self.started.elapsed().as_micros()).unwrap_or(u32::MAX);
            self.taken.lock().unwrap_or_else(PoisonError::into_inner).push(micros);
        }
    }
}

impl From<Vec<u32>> for Sorted {
    fn from(mut taken: Vec<u32>) -> Sorted {
        taken.sort_unstable();
        Sorted(taken)
    }
}

impl Sorted {
    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    /// So many in a thousand took no longer than this, in microseconds; `None` where nothing was delivered.
    pub(super) fn permille(&self, permille: usize) -> Option<u32> {
        let rank = (self.0.len() * permille).div_ceil(1000);
        self.0.get(rank.max(1) - 1).copied()
    }
}

const SAMPLES_MAX: u64 = 100_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_nearest_ranks() {
        let hundred = Sorted((1..=100).collect());
        let of = |permille| hundred.permille(permille).unwrap();
        assert_eq!([of(500), of(950), of(990), of(999), of(1000)], [50, 95, 99, 100, 100]);
        assert_eq!(Sorted(vec![7]).permille(500), Some(7));
        assert_eq!(Sorted(Vec::new()).permille(999), None);
    }

    #[test]
    fn a_sample_of_what_is_delivered_is_taken() {
        for (records, samples) in [(1, 1), (1000, 1000), (100_001, 50_001), (1_000_000, 100_000)] {
            let latencies = Latencies::new(records);
            assert_eq!((0..records).filter(|&number| latencies.sample(number).is_some()).count(), samples);
        }
        let latencies = Latencies::new(2);
        latencies.sample(0).unwrap().delivered(true);
        latencies.sample(1).unwrap().delivered(false);
        assert_eq!(latencies.sorted().0.len(), 1);
    }
}
