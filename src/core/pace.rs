//! How many batches go out that are not full.

use super::time::Instant;
use std::time::Duration;

/// A batch costs what it costs, here and at its broker, however little is in it: some 3 µs of CPU here. With thousands
/// of partitions in use a linger gathers about one record in each, and all time would go to batches. So no more of them
/// than 250,000 in a second are closed before they are full, which is not far from what one thread can send: beyond it
/// they take more records instead, for up to 25 ms. What someone waits for, as who flushes does, is not held up, nor counted.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// When those that were closed are paid for.
    paid: Instant,
}

impl Pace {
    /// What a batch is taken to cost.
    const BATCH: Duration = Duration::from_micros(4);
    /// No more is owed than that, whatever is closed at once.
    const DEBT_MAX: Duration = Duration::from_millis(25);
    /// What may be owed while others go on as they come.
    const CREDIT: Duration = Duration::from_millis(1);

    /// A batch was closed before it was full.
    pub(super) fn closed(&mut self, now: Instant) {
        self.paid = (self.paid.max(now) + Pace::BATCH).min(now + Pace::DEBT_MAX);
    }

    /// Others are not to be closed before then, unless someone waits for them.
    pub(super) fn next(&self) -> Instant {
        self.paid.before(Pace::CREDIT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_go_as_they_come_and_many_are_paid_for() {
        let at = |micros: u64| Instant::from_nanos(1_000_000_000 + micros * 1_000);
        let closed = |pace: &mut Pace, now, batches| (0..batches).for_each(|_| pace.closed(now));
        let mut pace = Pace::default();
        assert_eq!(pace.next(), Instant::default());
        for nth in 0..1_000 {
            // 100 in a millisecond, as 100,000 records a second without linger might make.
            closed(&mut pace, at(nth * 1_000), 100);
            assert!(pace.next() <= at(nth * 1_000));
        }
        closed(&mut pace, at(2_000_000), 6_000);
        assert_eq!(pace.next(), at(2_000_000 + 24_000 - 1_000));
        closed(&mut pace, at(2_010_000), 1);
        assert_eq!(pace.next(), at(2_000_000 + 24_004 - 1_000), "its clock did not go on");
        closed(&mut pace, at(3_000_000), 60_000);
        assert_eq!(pace.next(), at(3_000_000 + 25_000 - 1_000), "there is an end to it");
    }
}
