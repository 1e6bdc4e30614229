//! What each hook of each plugin cost, from the producer's own metrics.

use crate::cli::terminal::thousands;
use pointsman::MetricsSnapshot;
use std::fmt::Write;

/// A hook of a plugin.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Hook {
    plugin: String,
    hook: String,
    calls: u64,
    records: u64,
    nanos: u64,
}

/// The hooks that were called.
pub(super) fn of(metrics: &MetricsSnapshot) -> Vec<Hook> {
    let of_plugins = || metrics.metrics.iter().filter(|metric| metric.group == "plugin-metrics");
    let called = of_plugins().filter(|metric| metric.name == "call-total" && metric.value > 0.0);
    let hook = |calls: &pointsman::metrics::Metric| {
        let tag = |name: &str| calls.tags.iter().find(|(tag, _)| tag == name).map(|(_, value)| value.clone());
        let value = |name: &str| {
            of_plugins()
                .find(|metric| metric.name == name && metric.tags == calls.tags)
                .map_or(0, |metric| metric.value as u64)
        };
        Some(Hook {
            plugin: tag("plugin")?,
            hook: tag("hook")?,
            calls: calls.value as u64,
            records: value("record-total"),
            nanos: value("time-ns-total"),
        })
    };
    called.filter_map(hook).collect()
}

/// A line for each hook that deals with records.
pub(super) fn table(hooks: &[Hook]) -> String {
    let mut text = String::new();
    for Hook { plugin, hook, calls, records, nanos } in hooks.iter().filter(|hook| hook.hook != "on-topology") {
        let (each, batch) = (nanos / records.max(&1), records / calls.max(&1));
        // Nobody fails to write to a string.
        let _ = writeln!(
            text,
            "    {:<38}{:>6} ns a record, {} records a call",
            format!("{plugin} {hook}"),
            thousands(each),
            thousands(batch)
        );
    }
    text
}
