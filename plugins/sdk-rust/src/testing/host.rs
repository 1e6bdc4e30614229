//! The host of native tests: what plugins log and measure is kept, time and randomness can be set. All of it belongs
//! to the thread, and so to one test.

use crate::bindings::host::Kind;
use crate::host::{Level, Random};
use std::cell::RefCell;
use std::time::{SystemTime, UNIX_EPOCH};

thread_local! {
    static HOST: RefCell<Host> = RefCell::new(Host {
        logs: Vec::new(),
        metrics: Vec::new(),
        now: None,
        random: Random::from_seed(0),
        plugin_name: "plugin".to_owned(),
    });
}

struct Host {
    logs: Vec<(Level, String)>,
    metrics: Vec<Metric>,
    now: Option<u64>,
    random: Random,
    plugin_name: String,
}

struct Metric {
    kind: Kind,
    name: String,
    labels: Vec<(String, String)>,
    values: Vec<f64>,
}

/// What plugins logged in this test so far.
pub fn logs() -> Vec<(Level, String)> {
    HOST.with_borrow(|host| host.logs.clone())
}

/// The values of a metric in this test so far, all labels together: one sum for a counter, the last for a gauge,
/// each for a histogram.
pub fn metric_values(name: &str) -> Vec<f64> {
    HOST.with_borrow(|host| {
        host.metrics.iter().filter(|metric| metric.name == name).flat_map(|metric| metric.values.clone()).collect()
    })
}

/// The value of one counter or gauge in this test so far. Labels in the order that the plugin gave them in.
pub fn metric_value(name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    HOST.with_borrow(|host| {
        let same = |metric: &&Metric| {
            let given = metric.labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
            metric.name == name && given.eq(labels.iter().copied())
        };
        host.metrics.iter().find(same).and_then(|metric| metric.values.last().copied())
    })
}

/// Stops the clock at so many nanoseconds since the Unix epoch. Until then it is the machine's.
pub fn set_now(nanos: u64) {
    HOST.with_borrow_mut(|host| host.now = Some(nanos));
}

/// Makes the host's random numbers those of this seed. Until then the seed is 0.
pub fn set_random_seed(seed: u64) {
    HOST.with_borrow_mut(|host| host.random = Random::from_seed(seed));
}

/// What [`plugin_name`](crate::host::plugin_name) answers.
pub fn set_plugin_name(name: &str) {
    HOST.with_borrow_mut(|host| name.clone_into(&mut host.plugin_name));
}

pub(crate) fn log(level: Level, message: &str) {
    HOST.with_borrow_mut(|host| host.logs.push((level, message.to_owned())));
}

pub(crate) fn now() -> u64 {
    let machine = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64);
    HOST.with_borrow(|host| host.now).unwrap_or_else(machine)
}

pub(crate) fn random() -> u64 {
    HOST.with_borrow_mut(|host| host.random.next_u64())
}

pub(crate) fn metric(kind: Kind, name: &str, labels: &[(&str, &str)]) -> u32 {
    let labels: Vec<_> = labels.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
    HOST.with_borrow_mut(|host| {
        let known = host.metrics.iter().position(|metric| metric.name == name && metric.labels == labels);
        let at = known.unwrap_or_else(|| {
            host.metrics.push(Metric { kind, name: name.to_owned(), labels, values: Vec::new() });
            host.metrics.len() - 1
        });
        // 0 is the number that `observe` ignores.
        at as u32 + 1
    })
}

pub(crate) fn observe(points: &[(u32, f64)]) {
    HOST.with_borrow_mut(|host| {
        for &(metric, value) in points {
            let metric = &mut host.metrics[metric as usize - 1];
            match metric.kind {
                Kind::Counter => metric.values = vec![metric.values.first().unwrap_or(&0.0) + value],
                Kind::Gauge => metric.values = vec![value],
                Kind::Histogram => metric.values.push(value),
            }
        }
    });
}

pub(crate) fn plugin_name() -> String {
    HOST.with_borrow(|host| host.plugin_name.clone())
}

pub(crate) fn client_id() -> String {
    "test".to_owned()
}

pub(crate) fn lane() -> u32 {
    0
}
