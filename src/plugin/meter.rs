//! What the chain counts of its plugins: per call, so that a record costs nothing.

use super::failure::{FailureKind, Hook, PluginFailure};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Counts the calls of hooks. A clone counts into the same numbers.
#[derive(Clone, Debug, Default)]
pub struct Meter(Arc<Mutex<All>>);

type All = BTreeMap<(Arc<str>, Hook), HookCounts>;

/// What became of the calls of one hook of one plugin.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HookCounts {
    /// Calls, those with halves of a chunk included.
    pub calls: u64,
    /// Records (or acknowledgements, or topics) that the calls were made with.
    pub records: u64,
    /// How long the calls took, together.
    pub time: Duration,
    /// Calls that failed, by kind; of [`FailureKind::Refused`], the records refused; of
    /// [`FailureKind::BreakerOpen`], the calls that were not made.
    pub failures: BTreeMap<FailureKind, u64>,
    /// Records that it failed on, by what became of them: the name of the [`Policy`](super::Policy).
    pub settled: BTreeMap<&'static str, u64>,
    /// How often its breaker opened.
    pub breaker_opened: u64,
    /// Breakers that are open now: there is one for each use and lane; of on-topology, for each topic too.
    pub breakers_open: u64,
    /// Records whose placement was remembered, so that the partitioner was not asked.
    pub remembered: u64,
}

impl Meter {
    /// Makes a call and counts it.
    pub(super) fn call<T>(
        &self,
        plugin: &Arc<str>,
        hook: Hook,
        records: usize,
        call: impl FnOnce() -> Result<T, PluginFailure>,
    ) -> Result<T, PluginFailure> {
        let began = Instant::now();
        let answer = call();
        let took = began.elapsed();
        let mut all = self.lock();
        let counts = of(&mut all, plugin, hook);
        counts.calls += 1;
        counts.records += records as u64;
        counts.time += took;
        if let Err(failure) = &answer {
            let counts = of(&mut all, plugin, failure.before.unwrap_or(hook));
            *counts.failures.entry(failure.kind).or_default() += 1;
        }
        answer
    }

    /// A plugin refused so many records.
    pub(super) fn refused(&self, plugin: &Arc<str>, hook: Hook, records: usize) {
        if records > 0 {
            let mut all = self.lock();
            *of(&mut all, plugin, hook).failures.entry(FailureKind::Refused).or_default() += records as u64;
        }
    }

    /// A policy was applied to so many records.
    pub(super) fn settled(&self, plugin: &Arc<str>, hook: Hook, policy: &'static str, records: usize) {
        if records > 0 {
            let mut all = self.lock();
            *of(&mut all, plugin, hook).settled.entry(policy).or_default() += records as u64;
        }
    }

    /// A call was not made, as the breaker is open.
    pub(super) fn kept_from(&self, plugin: &Arc<str>, hook: Hook) {
        let mut all = self.lock();
        *of(&mut all, plugin, hook).failures.entry(FailureKind::BreakerOpen).or_default() += 1;
    }

    /// A breaker opened or closed.
    pub(super) fn breaker(&self, plugin: &Arc<str>, hook: Hook, opened: bool) {
        let mut all = self.lock();
        let counts = of(&mut all, plugin, hook);
        if opened {
            counts.breaker_opened += 1;
            counts.breakers_open += 1;
        } else {
            counts.breakers_open -= 1;
        }
    }

    /// What its calls have cost for each record, on average.
    pub(super) fn cost(&self, plugin: &Arc<str>, hook: Hook) -> Duration {
        let all = self.lock();
        let counts = all.get(&(Arc::clone(plugin), hook));
        counts.map_or(Duration::ZERO, |counts| counts.time / u32::try_from(counts.records.max(1)).unwrap_or(u32::MAX))
    }

    /// So many records were placed as before, without a call.
    pub(super) fn remembered(&self, plugin: &Arc<str>, hook: Hook, records: usize) {
        if records > 0 {
            let mut all = self.lock();
            of(&mut all, plugin, hook).remembered += records as u64;
        }
    }

    /// The numbers as of now, by plugin and hook.
    pub fn counts(&self) -> Vec<(Arc<str>, Hook, HookCounts)> {
        self.lock().iter().map(|((plugin, hook), counts)| (Arc::clone(plugin), *hook, counts.clone())).collect()
    }

    fn lock(&self) -> MutexGuard<'_, All> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn of<'a>(all: &'a mut All, plugin: &Arc<str>, hook: Hook) -> &'a mut HookCounts {
    all.entry((Arc::clone(plugin), hook)).or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_by_plugin_hook_and_kind() {
        let meter = Meter::default();
        let (a, b): (Arc<str>, Arc<str>) = ("a".into(), "b".into());
        meter.call(&a, Hook::OnSend, 10, || Ok(())).unwrap();
        let trap = || Err::<(), _>(PluginFailure::new(FailureKind::Trap, "x"));
        meter.call(&a, Hook::OnSend, 5, trap).unwrap_err();
        meter.refused(&a, Hook::OnSend, 3);
        meter.refused(&b, Hook::OnSend, 0);
        meter.call(&b, Hook::Partition, 1, || Ok(())).unwrap();
        let counts = meter.clone().counts();
        assert_eq!(counts.len(), 2);
        let (_, hook, on_send) = &counts[0];
        assert_eq!((*hook, on_send.calls, on_send.records), (Hook::OnSend, 2, 15));
        assert_eq!(on_send.failures, [(FailureKind::Refused, 3), (FailureKind::Trap, 1)].into());
    }
}
