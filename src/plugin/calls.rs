//! The calls of one hook over one chunk: within the breaker, in halves where they fail, and counted.
//!
//! A call that fails for what may be one record's fault is repeated with halves of its records, within a budget, so
//! that a record that makes a plugin trap fails alone. Who is slow gets fewer at a time.

use super::breaker::{Breaker, Change};
use super::call_size::CallSize;
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
    /// Calls with all of `count` records, or as many at a time as the plugin is quick enough for, and with halves of those
    /// whose call failed. `now` is the breaker's time.
    pub(super) fn in_halves<A>(
        &mut self,
        now: Duration,
        count: usize,
        size: &mut CallSize,
        mut call: impl FnMut(Range<usize>) -> Result<A, PluginFailure>,
    ) -> InHalves<A> {
        if let Err(open) = self.breaker.admit(now) {
            self.meter.kept_from(self.plugin, self.hook);
            return (Vec::new(), vec![(0..count, open)]);
        }
        let (plugin, hook, meter) = (self.plugin, self.hook, self.meter);
        let (answers, failures) =
            in_halves(count, size, |range| meter.call(plugin, hook, range.len(), || call(range.clone())));
        let change = self.breaker.report(now, !answers.is_empty(), failures.iter().map(|(_, failure)| failure));
        self.tell(change, failures.last().map(|(_, failure)| failure));
        (answers, failures)
    }

    /// Calls with as many of `count` at a time as the plugin is quick enough for. What fails is not tried again. Returns the
    /// failures.
    pub(super) fn in_pieces(
        &mut self,
        now: Duration,
        count: usize,
        size: &mut CallSize,
        mut call: impl FnMut(Range<usize>) -> Result<(), PluginFailure>,
    ) -> Vec<PluginFailure> {
        if let Err(open) = self.breaker.admit(now) {
            self.meter.kept_from(self.plugin, self.hook);
            return vec![open];
        }
        let (mut failures, mut traps, mut timeouts, mut answered, mut at) = (Vec::new(), 0, 0, false, 0);
        while at < count {
            let range = at..count.min(at.saturating_add(size.most()));
            at = range.end;
            let records = range.len();
            let Err(mut failure) = self.meter.call(self.plugin, self.hook, records, || call(range)) else {
                answered = true;
                size.answered(records);
                continue;
            };
            if failure.kind == FailureKind::Deadline {
                timeouts += 1;
                size.was_too_many(records);
            } else {
                traps += 1;
            }
            // As with records: what fails over and over must not stop the lane.
            let given_up = traps == TRAPS_MAX || timeouts == TIMEOUTS_MAX || failure.kind == FailureKind::Configure;
            if given_up && at < count {
                failure.cause = format!("{}; {} more were not tried", failure.cause, count - at);
                at = count;
            }
            failures.push(failure);
        }
        let change = self.breaker.report(now, answered, &failures);
        self.tell(change, failures.last());
        failures
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

fn in_halves<A>(
    count: usize,
    size: &mut CallSize,
    call: impl FnMut(Range<usize>) -> Result<A, PluginFailure>,
) -> InHalves<A> {
    let mut halving = Halving {
        call,
        size,
        traps: 0,
        timeouts: 0,
        least: usize::MAX,
        given_up: None,
        answers: Vec::new(),
        failures: Vec::new(),
    };
    halving.try_pieces(0..count);
    halving.learn();
    (halving.answers, halving.failures)
}

struct Halving<'a, A, C> {
    call: C,
    size: &'a mut CallSize,
    traps: u32,
    timeouts: u32,
    /// The fewest records of a call that ran out of time.
    least: usize,
    /// For what it failed last, if nothing more is tried.
    given_up: Option<PluginFailure>,
    answers: Vec<(Range<usize>, A)>,
    failures: Vec<(Range<usize>, PluginFailure)>,
}

impl<A, C: FnMut(Range<usize>) -> Result<A, PluginFailure>> Halving<'_, A, C> {
    /// Where it was given up before any call was answered, it may be too slow for all that was tried: the next calls begin
    /// below that.
    fn learn(&mut self) {
        if self.answers.is_empty() && self.timeouts >= TIMEOUTS_MAX {
            self.size.begin_below(self.least);
        }
    }

    /// Calls with as many at a time as there may be, in record order. Whether all of them were answered.
    fn try_pieces(&mut self, range: Range<usize>) -> bool {
        let (mut at, mut all_answered) = (range.start, true);
        while at < range.end {
            let end = range.end.min(at.saturating_add(self.size.most()));
            all_answered &= self.try_call(at..end);
            at = end;
        }
        all_answered
    }

    fn try_call(&mut self, range: Range<usize>) -> bool {
        if let Some(cause) = &self.given_up {
            // What is left has not been tried: it fails with the last cause rather than stop the lane.
            self.failures.push((range, cause.clone()));
            return false;
        }
        let failure = match (self.call)(range.clone()) {
            Ok(answer) => {
                self.size.answered(range.len());
                self.answers.push((range, answer));
                return true;
            }
            Err(failure) => failure,
        };
        let is_timeout = failure.kind == FailureKind::Deadline;
        if is_timeout {
            (self.timeouts, self.least) = (self.timeouts + 1, self.least.min(range.len()));
        } else {
            self.traps += 1;
        }
        // What keeps it from being called for these records does so for all.
        let is_called = failure.kind != FailureKind::Configure && failure.before.is_none();
        if !(is_called && self.traps < TRAPS_MAX && self.timeouts < TIMEOUTS_MAX) {
            self.given_up = Some(failure.clone());
        } else if range.len() > 1 && failure.kind.may_be_one_record() {
            let middle = range.start + range.len() / 2;
            let first_answered = self.try_pieces(range.start..middle);
            let all_answered = self.try_pieces(middle..range.end) && first_answered;
            if all_answered && is_timeout {
                self.size.was_too_many(range.len());
            }
            return all_answered;
        }
        self.failures.push((range, failure));
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trap() -> PluginFailure {
        PluginFailure::new(FailureKind::Trap, "x")
    }

    /// As it is once a plugin was quick enough for calls of any size.
    fn all() -> CallSize {
        let mut size = CallSize::default();
        (0..4).for_each(|doubled| size.answered(64 << doubled));
        size
    }

    /// Calls with more records than `most` run out of time, and those with one that is bad.
    fn slow(size: &mut CallSize, most: usize, bad: Option<usize>) -> (Vec<usize>, usize) {
        let mut calls = Vec::new();
        let (answers, failures) = in_halves(1024, size, |range| {
            calls.push(range.len());
            match range.len() <= most && !bad.is_some_and(|bad| range.contains(&bad)) {
                true => Ok(()),
                false => Err(PluginFailure::new(FailureKind::Deadline, "x")),
            }
        });
        let failed = failures.iter().map(|(range, _)| range.len()).sum();
        assert_eq!(answers.iter().map(|(range, ())| range.len()).sum::<usize>() + failed, 1024);
        (calls, failed)
    }

    #[test]
    fn a_slow_plugin_gets_as_many_records_as_it_is_quick_enough_for_and_none_fails() {
        for most in [64, 100, 200, 700, 1024] {
            let mut size = CallSize::default();
            (0..2).for_each(|_| assert_eq!(slow(&mut size, most, None).1, 0, "{most}"));
            let (calls, failed) = slow(&mut size, most, None);
            // The most that a power of two is, and no call that is too large for it any more.
            assert!(failed == 0 && calls.iter().all(|call| *call <= most && *call * 2 > most), "{most}: {calls:?}");
        }
        // Below what it begins with it is found out from above.
        let mut size = CallSize::default();
        assert_eq!(slow(&mut size, 9, None).1, 0);
        assert!(slow(&mut size, 9, None).0.iter().all(|call| *call == 8));
    }

    #[test]
    fn who_is_too_slow_for_all_that_one_chunk_tries_is_quick_enough_for_the_next() {
        for (mut size, most) in [(CallSize::default(), 7), (CallSize::default(), 1), (all(), 127), (all(), 9)] {
            let failed: Vec<usize> = (0..4).map(|_| slow(&mut size, most, None).1).collect();
            assert!(failed[0] == 1024 && failed[2..] == [0, 0], "{most}: {failed:?}");
        }
    }

    #[test]
    fn who_is_slow_to_hear_is_told_less_at_a_time_and_of_a_loop_the_rest_is_given_up() {
        let (meter, plugin) = (Meter::default(), Arc::from("p"));
        let mut breaker = Breaker::new(super::super::BreakerOptions { incidents: 0, ..Default::default() });
        let (mut size, mut told) = (CallSize::default(), Vec::new());
        let mut tell = |most: usize| {
            let mut caller =
                Caller { plugin: &plugin, hook: Hook::OnAcknowledgement, breaker: &mut breaker, meter: &meter };
            let failures = caller.in_pieces(Duration::ZERO, 1000, &mut size, |range| {
                told.push(range.len());
                if range.len() <= most { Ok(()) } else { Err(PluginFailure::new(FailureKind::Deadline, "x")) }
            });
            (std::mem::take(&mut told), failures)
        };
        let (told, failures) = tell(200);
        assert_eq!((told, failures.len()), (vec![64, 128, 256, 128, 128, 128, 128, 40], 1));
        assert_eq!(tell(200), (vec![128, 128, 128, 128, 128, 128, 128, 104], Vec::new()));
        let (told, failures) = tell(0);
        assert_eq!((told, failures.len()), (vec![128, 64, 32, 16], TIMEOUTS_MAX as usize));
        assert_eq!(failures[3].cause, "x; 760 more were not tried");
    }

    /// Ten chunks without a success, not ten calls.
    #[test]
    fn outcomes_of_a_chunk_that_cannot_be_told_are_one_incident() {
        let (meter, plugin) = (Meter::default(), Arc::from("p"));
        let mut breaker = Breaker::new(super::super::BreakerOptions { incidents: 2, ..Default::default() });
        let mut size = CallSize::default();
        let mut kinds = Vec::new();
        for second in 0..3 {
            let mut caller =
                Caller { plugin: &plugin, hook: Hook::OnAcknowledgement, breaker: &mut breaker, meter: &meter };
            let failures = caller.in_pieces(Duration::from_secs(second), 1000, &mut size, |_| Err(trap()));
            kinds.push((failures.len(), failures[0].kind));
        }
        assert_eq!(kinds, [(16, FailureKind::Trap), (16, FailureKind::Trap), (1, FailureKind::BreakerOpen)]);
    }

    #[test]
    fn a_record_that_takes_for_ever_makes_no_calls_smaller() {
        let mut size = all();
        // The first of a chunk is another matter: nothing was answered before it, so the plugin may be slow.
        for bad in [700, 1023] {
            let (calls, failed) = slow(&mut size, 1024, Some(bad));
            assert!(calls[0] == 1024 && failed > 0, "{calls:?}");
        }
        assert_eq!(slow(&mut size, 1024, None), (vec![1024], 0));
    }

    #[test]
    fn one_bad_record_fails_alone() {
        let bad = 700;
        let mut calls = 0;
        let (answers, failures) = in_halves(1024, &mut all(), |range| {
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
        let (answers, failures): InHalves<()> = in_halves(1024, &mut all(), |_| {
            calls += 1;
            Err(trap())
        });
        assert!(answers.is_empty());
        assert_eq!(failures.iter().map(|(range, _)| range.len()).sum::<usize>(), 1024);
        assert!(calls <= TRAPS_MAX, "{calls}");

        let mut calls = 0;
        let (_, failures): InHalves<()> = in_halves(1024, &mut all(), |_| {
            calls += 1;
            Err(PluginFailure::new(FailureKind::Deadline, "x"))
        });
        assert_eq!(failures.iter().map(|(range, _)| range.len()).sum::<usize>(), 1024);
        assert_eq!(calls, TIMEOUTS_MAX);
    }

    #[test]
    fn an_error_for_the_whole_call_is_not_halved() {
        let mut calls = 0;
        let (_, failures): InHalves<()> = in_halves(8, &mut all(), |_| {
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
            let (answers, failures): InHalves<()> = in_halves(8, &mut all(), |_| {
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
            let (_, failures) = caller.in_halves(Duration::from_secs(second), 1, &mut all(), |_| {
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
