//! A breaker keeps a plugin that always fails from being called for a while: each of its failures may cost a new
//! instance and all of `timeout.ms`, and the lane has only one thread.
//!
//! What is counted is incidents in a row: chunks in which a hook failed, in a way that costs an instance, and succeeded
//! for no record at all. One bad record among good ones is none, however often it was tried. An instance that does not
//! start is as many incidents as it takes: each start may cost ten seconds, and no record can be blamed for it.

use super::failure::{FailureKind, PluginFailure};
use std::time::Duration;

/// When a breaker opens, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerOptions {
    /// Incidents in a row that open it; 0: it never opens.
    pub incidents: u32,
    /// How long it stays open. Then one chunk is let through to see.
    pub cooldown: Duration,
}

/// The breaker of one hook of one use of a plugin (of on-topology, for one topic). Times are those since an origin that only the caller knows.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    options: BreakerOptions,
    /// Incidents since the last success.
    in_a_row: u32,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    until: Duration,
    last: PluginFailure,
}

/// What a report changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Opened,
    Closed,
}

impl Breaker {
    pub(super) fn new(options: BreakerOptions) -> Breaker {
        Breaker { options, in_a_row: 0, open: None }
    }

    /// Another one with the same options, closed.
    pub(super) fn another(&self) -> Breaker {
        Breaker::new(self.options)
    }

    /// Whether it has opened and not closed since.
    pub(super) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Whether the hook may be called now.
    ///
    /// # Errors
    /// The failure in the call's stead.
    pub(super) fn admit(&self, now: Duration) -> Result<(), PluginFailure> {
        match &self.open {
            Some(open) if now < open.until => {
                let (failures, last) = (self.in_a_row, &open.last);
                let rest = (open.until - now).as_millis();
                let cause = format!("not called after {failures} failures in a row, for {rest} ms more; it {last}");
                Err(PluginFailure::new(FailureKind::BreakerOpen, cause))
            }
            _ => Ok(()),
        }
    }

    /// Takes in how the calls of a chunk went.
    pub(super) fn report<'f>(
        &mut self,
        now: Duration,
        any_succeeded: bool,
        failures: impl IntoIterator<Item = &'f PluginFailure>,
    ) -> Option<Change> {
        let last = failures.into_iter().filter(|failure| is_incident(failure.kind)).last();
        // After that no other was tried, whatever had succeeded before.
        let is_down = last.is_some_and(|last| last.kind == FailureKind::Configure);
        if any_succeeded {
            self.in_a_row = 0;
            if !is_down {
                return self.open.take().map(|_| Change::Closed);
            }
        }
        let last = last?;
        self.in_a_row = self.in_a_row.saturating_add(1);
        if self.options.incidents == 0 || (self.in_a_row < self.options.incidents && !is_down) {
            return None;
        }
        let open = Open { until: now + self.options.cooldown, last: last.clone() };
        self.open.replace(open).is_none().then_some(Change::Opened)
    }
}

/// Whether it is the plugin that fails, at the cost of an instance, and not something that it says.
fn is_incident(kind: FailureKind) -> bool {
    match kind {
        FailureKind::Trap
        | FailureKind::Deadline
        | FailureKind::BrokenRule
        | FailureKind::ResultSize
        | FailureKind::Memory
        | FailureKind::Configure => true,
        FailureKind::Refused | FailureKind::Error | FailureKind::BreakerOpen => false,
    }
}

impl Default for BreakerOptions {
    fn default() -> BreakerOptions {
        BreakerOptions { incidents: 10, cooldown: Duration::from_secs(10) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: BreakerOptions = BreakerOptions { incidents: 3, cooldown: Duration::from_secs(10) };

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn trap() -> PluginFailure {
        PluginFailure::new(FailureKind::Trap, "no such region")
    }

    #[test]
    fn incidents_in_a_row_open_it_and_time_lets_one_try() {
        let mut breaker = Breaker::new(OPTIONS);
        for second in 0..2 {
            assert_eq!(breaker.report(at(second), false, [&trap()]), None);
            breaker.admit(at(second)).unwrap();
        }
        assert_eq!(breaker.report(at(2), false, [&trap()]), Some(Change::Opened));
        let failure = breaker.admit(at(11)).unwrap_err();
        assert_eq!(failure.kind, FailureKind::BreakerOpen);
        assert_eq!(failure.cause, "not called after 3 failures in a row, for 1000 ms more; it trapped: no such region");
        breaker.admit(at(12)).expect("its time is over");
        // The try fails: another cool-down at once.
        assert_eq!(breaker.report(at(12), false, [&trap()]), None);
        breaker.admit(at(21)).unwrap_err();
        breaker.admit(at(22)).unwrap();
        assert_eq!(breaker.report(at(22), true, [&trap()]), Some(Change::Closed));
        breaker.admit(at(22)).unwrap();
        assert_eq!(breaker.report(at(23), false, [&trap()]), None, "it counts from the start");
    }

    #[test]
    fn an_instance_that_does_not_start_opens_it_at_once() {
        let hangs = PluginFailure::new(FailureKind::Configure, "configure did not end");
        for any_succeeded in [false, true] {
            let mut breaker = Breaker::new(OPTIONS);
            assert_eq!(breaker.report(at(0), any_succeeded, [&trap(), &hangs]), Some(Change::Opened));
            let cause = breaker.admit(at(9)).unwrap_err().cause;
            assert!(cause.starts_with("not called after 1 failures in a row"), "{cause}");
            breaker.admit(at(10)).expect("its time is over");
            assert_eq!(breaker.report(at(10), true, []), Some(Change::Closed));
        }
        let mut never = Breaker::new(BreakerOptions { incidents: 0, ..OPTIONS });
        assert_eq!(never.report(at(0), false, [&hangs]), None);
    }

    #[test]
    fn a_success_between_and_a_plugins_own_words_open_nothing() {
        let mut breaker = Breaker::new(OPTIONS);
        for second in 0..20 {
            assert_eq!(breaker.report(at(second), second % 3 == 2, [&trap()]), None);
        }
        breaker.report(at(20), true, []);
        for second in 20..40 {
            let words = PluginFailure::new(FailureKind::Error, "the registry is down");
            assert_eq!(breaker.report(at(second), false, [&words]), None);
        }
        let mut never = Breaker::new(BreakerOptions { incidents: 0, ..OPTIONS });
        for second in 0..20 {
            assert_eq!(never.report(at(second), false, [&trap()]), None);
        }
    }
}
