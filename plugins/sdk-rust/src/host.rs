//! What a plugin may ask of the producer that runs it. In native tests the answers come from
//! [`testing`](crate::testing).

use crate::bindings::host as wit;
use std::cell::{Cell, RefCell};

/// How much a log line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Every step.
    Trace,
    /// For who looks for a fault.
    Debug,
    /// Worth knowing.
    Info,
    /// Not as it should be.
    Warn,
    /// Something does not work.
    Error,
}

/// Writes to the producer's log. The producer bounds what one plugin may write.
pub fn log(level: Level, message: &str) {
    backend::log(level, message);
}

/// Nanoseconds since the Unix epoch, asked of the host. See [`call_time`], which costs less.
pub fn now() -> u64 {
    backend::now()
}

/// Nanoseconds since the Unix epoch when the hook's call at hand first asked: the same for all records of a batch, at
/// the price of one call to the host.
#[inline]
pub fn call_time() -> u64 {
    match CALL_TIME.get() {
        0 => {
            let now = backend::now();
            CALL_TIME.set(now);
            now
        }
        time => time,
    }
}

/// A random number, asked of the host. See [`Random`], which costs less.
pub fn random() -> u64 {
    backend::random()
}

/// The name in the config file that this instance goes by.
pub fn plugin_name() -> String {
    backend::plugin_name()
}

/// The producer's `client.id`.
pub fn client_id() -> String {
    backend::client_id()
}

/// The number of the lane that this instance works for.
pub fn lane() -> u32 {
    backend::lane()
}

/// Random numbers from a seed of the host's (SplitMix64): unpredictable enough for ids, not for secrets.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Asks the host for a seed.
    pub fn seeded_by_host() -> Random {
        Random(random())
    }

    /// The sequence of this seed.
    pub fn from_seed(seed: u64) -> Random {
        Random(seed)
    }

    /// The next number.
    #[inline]
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// The next number, brought below `count`, which is not 0.
    #[inline]
    pub fn below(&mut self, count: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(count)) >> 64) as u64
    }
}

/// A number that only grows. Make it in `configure`; what is added in a hook goes to the host in one call, when the
/// hook is done.
#[derive(Debug)]
pub struct Counter(usize);

/// A number that goes up and down.
#[derive(Debug)]
pub struct Gauge(usize);

/// Values of which the distribution matters.
#[derive(Debug)]
pub struct Histogram(u32);

impl Counter {
    /// The counter of this name and these labels.
    pub fn new(name: &str, labels: &[(&str, &str)]) -> Counter {
        Counter(Pending::register(backend::metric(wit::Kind::Counter, name, labels)))
    }

    /// Whether the producer keeps it: there is a bound to a plugin's series and the length of their labels.
    pub fn is_kept(&self) -> bool {
        PENDING.with_borrow(|pending| pending.totals[self.0].metric != 0)
    }

    /// Adds to it.
    #[inline]
    pub fn add(&self, amount: f64) {
        PENDING.with_borrow_mut(|pending| pending.change(self.0).value += amount);
    }
}

impl Gauge {
    /// The gauge of this name and these labels.
    pub fn new(name: &str, labels: &[(&str, &str)]) -> Gauge {
        Gauge(Pending::register(backend::metric(wit::Kind::Gauge, name, labels)))
    }

    /// Sets it.
    #[inline]
    pub fn set(&self, value: f64) {
        PENDING.with_borrow_mut(|pending| pending.change(self.0).value = value);
    }
}

impl Histogram {
    /// The histogram of this name and these labels.
    pub fn new(name: &str, labels: &[(&str, &str)]) -> Histogram {
        Histogram(backend::metric(wit::Kind::Histogram, name, labels))
    }

    /// Puts a value in.
    #[inline]
    pub fn record(&self, value: f64) {
        PENDING.with_borrow_mut(|pending| pending.points.push((self.0, value)));
    }
}

/// Runs a hook and hands what it measured to the host.
pub(crate) fn call<R>(hook: impl FnOnce() -> R) -> R {
    CALL_TIME.set(0);
    let result = hook();
    PENDING.with_borrow_mut(Pending::flush);
    result
}

thread_local! {
    static CALL_TIME: Cell<u64> = const { Cell::new(0) };
    static PENDING: RefCell<Pending> = const { RefCell::new(Pending::NOTHING) };
}

/// What was measured since the last flush.
struct Pending {
    totals: Vec<Total>,
    /// Which totals changed, so that a call looks at those only.
    changed: Vec<usize>,
    points: Vec<(u32, f64)>,
}

struct Total {
    metric: u32,
    value: f64,
    changed: bool,
}

impl Pending {
    const NOTHING: Pending = Pending { totals: Vec::new(), changed: Vec::new(), points: Vec::new() };

    fn register(metric: u32) -> usize {
        PENDING.with_borrow_mut(|pending| {
            pending.totals.push(Total { metric, value: 0.0, changed: false });
            pending.totals.len() - 1
        })
    }

    #[inline]
    fn change(&mut self, at: usize) -> &mut Total {
        let total = &mut self.totals[at];
        if !total.changed {
            total.changed = true;
            self.changed.push(at);
        }
        total
    }

    fn flush(&mut self) {
        for at in self.changed.drain(..) {
            let Total { metric, value, changed } = &mut self.totals[at];
            self.points.push((*metric, std::mem::take(value)));
            *changed = false;
        }
        if !self.points.is_empty() {
            backend::observe(&self.points);
            self.points.clear();
        }
    }
}

#[cfg(target_arch = "wasm32")]
mod backend {
    use super::{Level, wit};

    pub(super) fn log(level: Level, message: &str) {
        let level = match level {
            Level::Trace => wit::Level::Trace,
            Level::Debug => wit::Level::Debug,
            Level::Info => wit::Level::Info,
            Level::Warn => wit::Level::Warn,
            Level::Error => wit::Level::Error,
        };
        wit::log(level, message);
    }

    pub(super) fn metric(kind: wit::Kind, name: &str, labels: &[(&str, &str)]) -> u32 {
        let labels: Vec<_> = labels.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        wit::metric(kind, name, &labels)
    }

    pub(super) use wit::{client_id, lane, now, observe, plugin_name, random};
}

#[cfg(not(target_arch = "wasm32"))]
use crate::testing::host as backend;
