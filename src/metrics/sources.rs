//! Where the numbers come from.

use super::snapshot::MetricsSnapshot;
use super::{kafka, plugins};
use crate::core::Core;
use crate::core::time::{Clock, Instant};
use crate::lane::{self, LaneCounts};
use crate::net::NetCounters;
use crate::plugin::Meter;
use crate::wasm::Plugin;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The counters of every part of a producer.
pub(crate) struct Sources {
    pub(crate) client_id: String,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) core: Arc<Mutex<Core>>,
    pub(crate) lanes: Arc<lane::Lanes>,
    pub(crate) net: Arc<NetCounters>,
    pub(crate) meter: Meter,
    pub(crate) plugins: Mutex<BTreeMap<String, Plugin>>,
    pub(crate) reloads: Reloads,
    pub(crate) calls: Calls,
}

/// How often plugins were taken over from a changed configuration, and how often that failed.
#[derive(Default)]
pub(crate) struct Reloads {
    pub(crate) done: AtomicU64,
    pub(crate) failed: AtomicU64,
}

/// Nanoseconds spent in each of the calls that wait, and in `begin_transaction`, whatever came of them.
#[derive(Default)]
pub(crate) struct Calls {
    pub(crate) flush: AtomicU64,
    pub(crate) init_transactions: AtomicU64,
    pub(crate) begin_transaction: AtomicU64,
    pub(crate) send_offsets: AtomicU64,
    pub(crate) commit_transaction: AtomicU64,
    pub(crate) abort_transaction: AtomicU64,
}

/// Counts the time until it is dropped: a call that is given up has taken its time, too.
pub(crate) struct Timing<'a> {
    clock: &'a dyn Clock,
    began: Instant,
    total: &'a AtomicU64,
}

impl Drop for Timing<'_> {
    fn drop(&mut self) {
        let took = (self.clock.now() - self.began).as_nanos();
        self.total.fetch_add(u64::try_from(took).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

impl Sources {
    /// One of the calls begins.
    pub(crate) fn time<'a>(&'a self, which: impl FnOnce(&'a Calls) -> &'a AtomicU64) -> Timing<'a> {
        Timing { clock: &*self.clock, began: self.clock.now(), total: which(&self.calls) }
    }

    /// The plugins that are in use, by their names in the config.
    pub(crate) fn plugins(&self) -> BTreeMap<String, Plugin> {
        self.lock_plugins().clone()
    }

    /// These are in use from now on.
    pub(crate) fn set_plugins(&self, plugins: BTreeMap<String, Plugin>) {
        // Those before are dropped without the lock.
        let _before = std::mem::replace(&mut *self.lock_plugins(), plugins);
    }

    fn lock_plugins(&self) -> MutexGuard<'_, BTreeMap<String, Plugin>> {
        self.plugins.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All metrics as of now. Each part is locked by itself and only to copy its numbers out; names and texts come
    /// after.
    pub(crate) fn snapshot(&self) -> MetricsSnapshot {
        let core = {
            let core = self.core.lock().unwrap_or_else(PoisonError::into_inner);
            // Read under the lock: the core's times never go back.
            core.counts(self.clock.now())
        };
        let now = self.clock.now();
        let lanes = self.lanes.counts(now);
        let counts = kafka::Counts { core, net: self.net.counts(now), lane: LaneCounts::sum(&lanes) };
        let tags = [("client-id".to_owned(), self.client_id.clone())];
        let mut metrics = Vec::new();
        kafka::producer(&counts, &tags, &mut metrics);
        kafka::calls(&self.calls, &tags, &mut metrics);
        kafka::topics(&counts.core, &tags, &mut metrics);
        kafka::nodes(&counts.core, &counts.net, &tags, &mut metrics);
        for (number, lane) in lanes.iter().enumerate() {
            kafka::lane(lane, number, &tags, &mut metrics);
        }
        plugins::hooks(&self.meter.counts(), &tags, &mut metrics);
        let (done, failed) = (self.reloads.done.load(Ordering::Relaxed), self.reloads.failed.load(Ordering::Relaxed));
        plugins::reloads(done, failed, &tags, &mut metrics);
        for (name, plugin) in self.plugins() {
            plugins::plugin(&name, plugin.metrics(), &tags, &mut metrics);
        }
        MetricsSnapshot::new(self.clock.wall_ms(), metrics)
    }
}
