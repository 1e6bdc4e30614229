//! The calls of one hook over one chunk: within the breaker, in halves where they fail, and counted.
//!
//! A call that fails for what may be one record's fault is repeated with halves of its records, within a budget, so
//! that a record that makes a plugin trap fails alone.

use super::breaker::{Breaker, Change};
use super::failure::{FailureKind, Hook, PluginFailure};
use super::meter::Meter;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// Failed calls of one chunk and hook after which the rest of the failing records is not halved any further.
const TRAPS_MAX: u32 = 64;
/// The same for calls that ran out of time, which cost `timeout.ms` each.
const TIMEOUTS_MAX: u32 = 4;

/// Answers and failures of ranges of a chunk's records, in record order. Each record is in one of them.
pub(super) type InHalves<A> = (Vec<(Range<usize>, A)>, Vec<(Range<usize>, PluginFailure)>);

/// Who is called, and who watches.
pub(super) struct Caller<'a> {
    pub(super) plugin: &'a Arc<str>,
    pub(super) hook: Hook,
    pub(super) breaker: &'a mut Breaker,
    pub(super) meter: &'a Meter,
}

impl Caller<'_> {
    /// Calls with all of `count` records, and with halves of those whose call failed. `now` is the breaker's time.
    pub(super) fn in_halves<A>(
        &mut self,
        now: Duration,
        count: usize,
        mut call: impl FnMut(Range<usize>) -> Result<A, PluginFailure>,
    ) -> InHalves<A> {
        if let Err(open) = self.breaker.admit(now) {
            self.meter.kept_from(self.plugin, self.hook);
            return (Vec::new(), vec![(0..count, open)]);
        }
        let (plugin, hook, meter) = (self.plugin, self.hook, self.meter);
        let (answers, failures) =
            in_halves(count, |range| meter.call(plugin, hook, range.len(), || call(range.clone())));
        let change = self.breaker.report(now, !answers.is_empty(), failures.iter().map(|(_, failure)| failure));
        self.tell(change, failures.last().map(|(_, failure)| failure));
        (answers, failures)
    }

    /// One call that is not for records which might be tried in parts.
    pub(super) fn once<A>(
        &mut self,
        now: Duration,
        count: usize,
        call: impl FnOnce() -> Result<A, PluginFailure>,
    ) -> Result<A, PluginFailure> {
        if let Err(open) = self.breaker.admit(now) {
            self.meter.kept_from(self.plugin, self.hook);
            return Err(open);
        }
        let answer = self.meter.call(self.plugin, self.hook, count, call);
        let change = self.breaker.report(now, answer.is_ok(), answer.as_ref().err());
        self.tell(change, answer.as_ref().err());
        answer
    }

    /// Something that failed elsewhere and keeps these calls from being made as well.
    pub(super) fn note(&mut self, now: Duration, failure: &PluginFailure) {
        let change = self.breaker.report(now, false, [failure]);
        self.tell(change, Some(failure));
    }

    fn tell(&self, change: Option<Change>, last: Option<&PluginFailure>) {
        let (plugin, hook) = (self.plugin, self.hook);
        match (change, last) {
            (Some(Change::Opened), Some(last)) => {
                self.meter.breaker(plugin, hook, true);
                tracing::error!(target: TARGET, %plugin, "breaker opened: {hook} fails every time; it {last}");
            }
            (Some(Change::Closed), _) => {
                self.meter.breaker(plugin, hook, false);
                tracing::warn!(target: TARGET, %plugin, "breaker closed: {hook} works again");
            }
            _ => {}
        }
    }
}

/// Under which plugins are spoken of in the log.
const TARGET: &str = "pointsman::plugin";

fn in_halves<A>(count: usize, mut call: impl FnMut(Range<usize>) -> Result<A, PluginFailure>) -> InHalves<A> {
    let mut answers = Vec::new();
    let mut failures = Vec::new();
    let (mut traps, mut timeouts) = (0, 0);
    let mut todo = vec![0..count];
    while let Some(range) = todo.pop() {
        match call(range.clone()) {
            Ok(answer) => answers.push((range, answer)),
            Err(failure) => {
                match failure.kind {
                    FailureKind::Deadline => timeouts += 1,
                    _ => traps += 1,
                }
                // What keeps it from being called for these records does so for all.
                let is_called = failure.kind != FailureKind::Configure && failure.before.is_none();
                let budget = is_called && traps < TRAPS_MAX && timeouts < TIMEOUTS_MAX;
                if range.len() > 1 && failure.kind.may_be_one_record() && budget {
                    let middle = range.start + range.len() / 2;
                    todo.push(middle..range.end);
                    todo.push(range.start..middle);
                } else if !budget {
                    // What is left has not been tried: it fails with the last cause rather than stop the lane.
                    let cause = failure.clone();
                    failures.push((range, failure));
                    failures.extend(todo.drain(..).rev().map(|range| (range, cause.clone())));
                } else {
                    failures.push((range, failure));
                }
            }
        }
    }
    failures.sort_by_key(|(range, _)| range.start);
    (answers, failures)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trap() -> PluginFailure {
        PluginFailure::new(FailureKind::Trap, "x")
    }

    #[test]
    fn one_bad_record_fails_alone() {
        let bad = 700;
        let mut calls = 0;
        let (answers, failures) = in_halves(1024, |range| {
            calls += 1;
            if range.contains(&bad) { Err(trap()) } else { Ok(()) }
        });
        assert_eq!(failures, vec![(bad..bad + 1, trap())]);
        assert_eq!(answers.iter().map(|(range, ())| range.len()).sum::<usize>(), 1023);
        assert!(calls <= 21, "{calls}");
    }

    #[test]
    fn a_plugin_that_always_traps_costs_a_bounded_number_of_calls() {
        let mut calls = 0;
        let (answers, failures): InHalves<()> = in_halves(1024, |_| {
            calls += 1;
            Err(trap())
        });
        assert!(answers.is_empty());
        assert_eq!(failures.iter().map(|(range, _)| range.len()).sum::<usize>(), 1024);
        assert!(calls <= TRAPS_MAX, "{calls}");

        let mut calls = 0;
        let (_, failures): InHalves<()> = in_halves(1024, |_| {
            calls += 1;
            Err(PluginFailure::new(FailureKind::Deadline, "x"))
        });
        assert_eq!(failures.iter().map(|(range, _)| range.len()).sum::<usize>(), 1024);
        assert_eq!(calls, TIMEOUTS_MAX);
    }

    #[test]
    fn an_error_for_the_whole_call_is_not_halved() {
        let mut calls = 0;
        let (_, failures): InHalves<()> = in_halves(8, |_| {
            calls += 1;
            Err(PluginFailure::new(FailureKind::Error, "cannot work"))
        });
        assert_eq!((calls, failures.len(), failures[0].0.clone()), (1, 1, 0..8));
    }

    #[test]
    fn what_fails_before_the_call_is_not_tried_with_halves() {
        let not_started = PluginFailure::new(FailureKind::Configure, "x");
        for before in [not_started, trap().of_hook_before(Hook::OnTopology)] {
            let mut calls = 0;
            let (answers, failures): InHalves<()> = in_halves(8, |_| {
                calls += 1;
                // The first call traps, and no instance after it can be called.
                Err(if calls == 1 { trap() } else { before.clone() })
            });
            assert!(answers.is_empty());
            assert_eq!((calls, failures), (2, vec![(0..4, before.clone()), (4..8, before)]));
        }
    }

    #[test]
    fn an_open_breaker_keeps_from_calling_until_its_time_is_over() {
        let options = super::super::BreakerOptions { incidents: 2, cooldown: Duration::from_secs(5) };
        let mut breaker = Breaker::new(options);
        let (meter, plugin) = (Meter::default(), Arc::from("p"));
        let mut calls = 0;
        for (second, answers) in [(0, false), (1, false), (2, true), (6, true)] {
            let mut caller = Caller { plugin: &plugin, hook: Hook::OnSend, breaker: &mut breaker, meter: &meter };
            let (_, failures) = caller.in_halves(Duration::from_secs(second), 1, |_| {
                calls += 1;
                if answers { Ok(()) } else { Err(trap()) }
            });
            match second {
                2 => assert_eq!(failures[0].1.kind, FailureKind::BreakerOpen),
                6 => assert!(failures.is_empty()),
                _ => assert_eq!(failures[0].1.kind, FailureKind::Trap),
            }
        }
        assert_eq!(calls, 3);
        let counts = &meter.counts()[0].2;
        assert_eq!((counts.breaker_opened, counts.breakers_open), (1, 0));
        assert_eq!(counts.failures[&FailureKind::BreakerOpen], 1);
    }
}
