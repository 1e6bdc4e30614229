//! The place of one instance: one use of a plugin on one lane. The instance in it comes and goes (after a failed call,
//! or when its memory has grown), the seat stays.

use super::call::{begin, failure};
use super::output::cut;
use super::plugin::{RoleIndices, Shared};
use super::state::State;
use crate::plugin::{FailureKind, Hook, PluginFailure};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};
use wasmtime::Store;
use wasmtime::component::Instance;

/// What differs between the roles.
pub(super) trait Role: Send {
    /// The loaded functions.
    type Guest: Send;
    /// What `configure` answers.
    type Wants: PartialEq + Send;
    /// As the contract calls it.
    const NAME: &'static str;

    fn is_among(&self, roles: &RoleIndices) -> bool;

    /// # Errors
    /// A function's type is not the contract's.
    fn load(&self, roles: &RoleIndices, store: &mut Store<State>, instance: &Instance)
    -> wasmtime::Result<Self::Guest>;

    fn configure(
        &self,
        guest: &Self::Guest,
        store: &mut Store<State>,
        settings: &[(&str, &str)],
    ) -> wasmtime::Result<Result<Self::Wants, String>>;

    fn close(&self, guest: &Self::Guest, store: &mut Store<State>) -> wasmtime::Result<()>;
}

/// One use of a plugin on one lane.
pub(super) struct Seat<R: Role> {
    plugin: Arc<Shared>,
    role: R,
    lane: u32,
    wants: R::Wants,
    live: Option<Live<R>>,
    recycled: Option<Instant>,
    /// The least that a new instance took so far: its start, and its first call, which may fetch what the plugin works with.
    cost: Duration,
}

/// What became of a plugin's instances.
#[derive(Default)]
pub(super) struct Counts {
    pub(super) started: AtomicU64,
    pub(super) discarded: AtomicU64,
    pub(super) recycled: AtomicU64,
}

/// Whether the instance has seen a call since `configure`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Freshness {
    Fresh,
    Used,
}

struct Live<R: Role> {
    store: Store<State>,
    guest: R::Guest,
    /// What it held when it was configured, in bytes.
    configured: u64,
    /// What its start took. Gone with the first call.
    start: Option<Duration>,
}

/// How far an instance has grown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Growth {
    Usual,
    /// It is replaced, at leisure.
    Outgrown,
    /// It is replaced before it fails a record.
    NearLimit,
}

impl<R: Role> Seat<R> {
    /// Starts the first instance.
    ///
    /// # Errors
    /// It does not start: [`FailureKind::Configure`].
    pub(super) fn new(plugin: Arc<Shared>, role: R, lane: u32) -> Result<Seat<R>, PluginFailure> {
        let (live, wants) = Live::start(&plugin, &role, lane)?;
        Ok(Seat { plugin, role, lane, wants, live: Some(live), recycled: None, cost: RECYCLE_PERIOD })
    }

    pub(super) fn role(&self) -> &R {
        &self.role
    }

    pub(super) fn wants(&self) -> &R::Wants {
        &self.wants
    }

    /// Sees that there is an instance to call, and says whether it is a new one. To be called once before the calls
    /// for a batch: a plugin that has to be told something first is told between.
    ///
    /// # Errors
    /// It does not start: [`FailureKind::Configure`].
    pub(super) fn ready(&mut self) -> Result<Freshness, PluginFailure> {
        match &self.live {
            None => {
                self.live = Some(self.successor()?);
                Ok(Freshness::Fresh)
            }
            Some(live) => match recycle_period(live.growth(self.plugin.limits.memory_max), self.cost) {
                Some(period) if may_recycle(self.recycled, period, Instant::now) => Ok(self.recycle()),
                _ => Ok(Freshness::Used),
            },
        }
    }

    /// Calls the instance that [`Seat::ready`] saw, and no other, however much it has grown since. `input` is the size
    /// of the arguments in bytes, which bounds the answer's.
    ///
    /// # Errors
    /// The call failed; the instance is gone.
    pub(super) fn call<T>(
        &mut self,
        input: usize,
        call: impl FnOnce(&R::Guest, &mut Store<State>) -> wasmtime::Result<T>,
    ) -> Result<T, PluginFailure> {
        let live = self.live.as_mut().expect("ready made one, and no call has failed since");
        let first = live.start.take().map(|start| (start, Instant::now()));
        let running = begin(&self.plugin, &mut live.store, self.plugin.limits.timeout, input);
        let answer = call(&live.guest, &mut live.store);
        drop(running);
        match answer {
            Ok(answer) => {
                live.store.data_mut().call_ended();
                if let Some((start, began)) = first {
                    self.cost = self.cost.min(start + began.elapsed());
                }
                Ok(answer)
            }
            Err(error) => {
                let failure = failure(&mut live.store, &error);
                self.discard();
                Err(failure)
            }
        }
    }

    /// The answer of the last call broke a rule: the instance is gone.
    pub(super) fn broke_rule(&mut self, hook: Hook, rule: impl std::fmt::Display) -> PluginFailure {
        self.discard();
        PluginFailure::new(FailureKind::BrokenRule, format!("{hook}: {rule}"))
    }

    /// The instance cannot be used as it is.
    pub(super) fn discard(&mut self) {
        if self.live.take().is_some() {
            self.plugin.counts.discarded.fetch_add(1, Relaxed);
        }
    }

    /// The last call, if there is an instance.
    pub(super) fn close(&mut self) {
        if let Some(live) = self.live.take() {
            live.close(&self.plugin, &self.role);
        }
    }

    fn recycle(&mut self) -> Freshness {
        self.recycled = Some(Instant::now());
        match self.successor() {
            Ok(successor) => {
                self.plugin.counts.recycled.fetch_add(1, Relaxed);
                if let Some(live) = self.live.replace(successor) {
                    live.close(&self.plugin, &self.role);
                }
                Freshness::Fresh
            }
            // The old one still works. What does not start is not tried more often for being needed.
            Err(failure) => {
                self.cost = RECYCLE_PERIOD;
                tracing::warn!(plugin = self.plugin.identity.plugin_name, "not replaced though it grew: {failure}");
                Freshness::Used
            }
        }
    }

    fn successor(&self) -> Result<Live<R>, PluginFailure> {
        let (live, wants) = Live::start(&self.plugin, &self.role, self.lane)?;
        // The chain has laid out its columns for the first answer.
        if wants != self.wants {
            live.close(&self.plugin, &self.role);
            let cause = format!("configure of the {} asked for something else than at the start", R::NAME);
            return Err(PluginFailure::new(FailureKind::Configure, cause));
        }
        Ok(live)
    }
}

impl<R: Role> Drop for Seat<R> {
    /// Whoever starts a plugin and comes to nothing has no need to remember that it is to be closed.
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.close();
        }
    }
}

impl<R: Role> Live<R> {
    fn start(plugin: &Shared, role: &R, lane: u32) -> Result<(Live<R>, R::Wants), PluginFailure> {
        let began = Instant::now();
        let (mut store, instance) = instantiate(plugin, lane)?;
        let not_started = |cause: String| PluginFailure::new(FailureKind::Configure, cause);
        let guest =
            role.load(&plugin.roles, &mut store, &instance).map_err(|error| not_started(format!("{error:#}")))?;
        let settings: Vec<(&str, &str)> =
            plugin.settings.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        let running = begin(plugin, &mut store, plugin.limits.start_timeout, 0);
        let configured = role.configure(&guest, &mut store, &settings);
        drop(running);
        match configured {
            Ok(Ok(wants)) => {
                store.data_mut().call_ended();
                plugin.counts.started.fetch_add(1, Relaxed);
                let configured = store.data().memory.total();
                Ok((Live { store, guest, configured, start: Some(began.elapsed()) }, wants))
            }
            Ok(Err(words)) => {
                store.data_mut().call_ended();
                Err(not_started(format!("configure returned an error: {}", cut(&words))))
            }
            Err(error) => Err(start_failed("configure", &failure(&mut store, &error))),
        }
    }

    fn growth(&self, max: u64) -> Growth {
        growth(self.configured, self.store.data().memory.total(), max)
    }

    fn close(mut self, plugin: &Shared, role: &R) {
        let running = begin(plugin, &mut self.store, plugin.limits.timeout, 0);
        let closed = role.close(&self.guest, &mut self.store);
        drop(running);
        match closed {
            Ok(()) => self.store.data_mut().call_ended(),
            Err(error) => {
                let failure = failure(&mut self.store, &error);
                tracing::warn!(plugin = plugin.identity.plugin_name, "close of the {} {failure}", R::NAME);
            }
        }
    }
}

/// A store with an instance in it, not configured yet.
///
/// # Errors
/// [`FailureKind::Configure`].
pub(super) fn instantiate(plugin: &Shared, lane: u32) -> Result<(Store<State>, Instance), PluginFailure> {
    let state = State::new(Arc::clone(&plugin.identity), lane, plugin.limits.memory_max);
    let mut store = Store::new(plugin.engine.wasmtime(), state);
    store.limiter(|state| &mut state.memory);
    store.epoch_deadline_callback(|mut context| context.data_mut().deadline.expired());
    store.set_max_component_handles(HANDLES_MAX);
    let running = begin(plugin, &mut store, plugin.limits.start_timeout, 0);
    let instance = plugin.pre.instantiate(&mut store);
    drop(running);
    match instance {
        Ok(instance) => {
            store.data_mut().call_ended();
            Ok((store, instance))
        }
        Err(error) => {
            let failure = failure(&mut store, &error);
            Err(start_failed("instantiation", &failure))
        }
    }
}

/// A start that failed, in words: its time is not `timeout.ms`.
fn start_failed(step: &str, failure: &PluginFailure) -> PluginFailure {
    let cause = match failure.kind {
        FailureKind::Deadline => format!("{step} did not end: {}", failure.cause),
        _ => format!("{step} {failure}"),
    };
    PluginFailure::new(FailureKind::Configure, cause)
}

/// An instance has outgrown its place past half of the limit and twice its first size. With a quarter of its room left it is
/// near the limit in any case.
fn growth(configured: u64, now: u64, max: u64) -> Growth {
    let room = max.saturating_sub(configured);
    if now > configured + room / 4 * 3 {
        Growth::NearLimit
    } else if now > (max / 2).max(configured.saturating_mul(2)) {
        Growth::Outgrown
    } else {
        Growth::Usual
    }
}

/// How long after one is replaced the next may be. Near the limit, where it would start anew in any case, but with a failed call:
/// as often as takes a tenth of the time.
fn recycle_period(growth: Growth, cost: Duration) -> Option<Duration> {
    match growth {
        Growth::Usual => None,
        Growth::Outgrown => Some(RECYCLE_PERIOD),
        Growth::NearLimit => Some(cost.saturating_mul(10).min(RECYCLE_PERIOD)),
    }
}

fn may_recycle(last: Option<Instant>, period: Duration, now: impl FnOnce() -> Instant) -> bool {
    last.is_none_or(|last| now().saturating_duration_since(last) >= period)
}

/// Streams, mostly: a plugin needs two.
const HANDLES_MAX: usize = 1024;

/// A plugin that leaks fast, or needs as much for every call, must not turn into a loop of starts.
const RECYCLE_PERIOD: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instances_are_replaced_once_a_second_at_most_unless_they_are_near_the_limit() {
        let first = Instant::now();
        let after = |last: Option<Instant>, growth, millis| {
            let now = first + Duration::from_millis(millis);
            recycle_period(growth, Duration::from_millis(5)).is_some_and(|period| may_recycle(last, period, || now))
        };
        let replaced = |growth| [0, 49, 50, 999, 1000].map(|millis| after(Some(first), growth, millis));
        assert_eq!(replaced(Growth::Usual), [false; 5]);
        assert_eq!(replaced(Growth::Outgrown), [false, false, false, false, true]);
        assert_eq!(replaced(Growth::NearLimit), [false, false, true, true, true], "ten times what one costs");
        assert!(after(None, Growth::Outgrown, 0));
        let slow = recycle_period(Growth::NearLimit, Duration::from_secs(5));
        assert_eq!(slow, Some(RECYCLE_PERIOD), "never less often");
    }

    #[test]
    fn growth_is_bounded_before_the_limit() {
        use Growth::{NearLimit, Outgrown, Usual};
        let at = |configured, sizes: [u64; 4]| sizes.map(|size| growth(configured, size, 64));
        assert_eq!(at(4, [32, 33, 49, 50]), [Usual, Outgrown, Outgrown, NearLimit], "half of the limit");
        assert_eq!(at(20, [40, 41, 53, 54]), [Usual, Outgrown, Outgrown, NearLimit], "twice its size");
        assert_eq!(at(48, [48, 60, 61, 64]), [Usual, Usual, NearLimit, NearLimit], "a quarter of its room left");
        assert_eq!(at(64, [64; 4]), [Usual; 4]);
    }
}
