//! Metrics of plugins: what the host counts of their calls and instances, and their own series.

use super::kafka::{Sheet, with};
use super::snapshot::{Metric, MetricKind};
use crate::plugin::{Hook, HookCounts};
use crate::wasm::{MetricSample, MetricValue, PluginMetrics};
use std::sync::Arc;

const PLUGIN: &str = "plugin-metrics";
const SERIES: &str = "plugin-series";

/// Adds what the chain has counted of each plugin's hooks.
pub(super) fn hooks(hooks: &[(Arc<str>, Hook, HookCounts)], tags: &[(String, String)], into: &mut Vec<Metric>) {
    for (plugin, hook, counts) in hooks {
        let tags = with(&with(tags, "plugin", plugin.to_string()), "hook", hook.name().to_owned());
        let mut sheet = Sheet { group: PLUGIN, tags: tags.clone(), into };
        sheet.counter("call-total", counts.calls as f64, "Calls of the hook, those with parts of a chunk included");
        sheet.counter("record-total", counts.records as f64, "Records that the calls were made with");
        sheet.counter("time-ns-total", counts.time.as_nanos() as f64, "Nanoseconds that the calls took");
        let remembered = counts.remembered as f64;
        if remembered > 0.0 {
            sheet.counter("remembered-total", remembered, "Records placed as their key was before, without a call");
        }
        sheet.counter("breaker-open-total", counts.breaker_opened as f64, "How often the hook's breaker opened");
        let open = counts.breakers_open as f64;
        sheet.gauge("breaker-open", open, "Breakers of the hook, one for each use and lane, that are open");
        for (policy, &records) in &counts.settled {
            let tags = with(&tags, "on-error", (*policy).to_owned());
            let mut sheet = Sheet { group: PLUGIN, tags, into };
            sheet.counter("record-settled-total", records as f64, "Records it failed on, by what became of them");
        }
        for (kind, &failures) in &counts.failures {
            let tags = with(&tags, "kind", kind.name().to_owned());
            let mut sheet = Sheet { group: PLUGIN, tags, into };
            sheet.counter(
                "failure-total",
                failures as f64,
                "Calls that failed; of kind refused, records refused; of breaker-open, calls not made",
            );
        }
    }
}

/// Adds how often changed plugins were taken over.
pub(super) fn reloads(done: u64, failed: u64, tags: &[(String, String)], into: &mut Vec<Metric>) {
    let mut sheet = Sheet { group: PLUGIN, tags: tags.to_vec(), into };
    sheet.counter("reload-total", done as f64, "Times that changed plugins were taken over without a restart");
    sheet.counter("reload-failed-total", failed as f64, "Times that they were not, and those before stayed");
}

/// Adds a plugin's instances and its own series.
pub(super) fn plugin(name: &str, metrics: PluginMetrics, tags: &[(String, String)], into: &mut Vec<Metric>) {
    let tags = with(tags, "plugin", name.to_owned());
    let mut sheet = Sheet { group: PLUGIN, tags: tags.clone(), into };
    let instances = metrics.instances_started;
    sheet.counter("instance-start-total", instances as f64, "Instances that were started with success");
    let discarded = metrics.instances_discarded;
    sheet.counter("instance-discard-total", discarded as f64, "Instances thrown away after a failed call");
    let recycled = metrics.instances_recycled;
    sheet.counter("instance-recycle-total", recycled as f64, "Instances replaced because their memory had grown");
    let dropped = metrics.points_dropped;
    sheet.counter("point-drop-total", dropped as f64, "Points and series of the plugin that were past a bound");
    let lines = metrics.log_lines_dropped;
    sheet.counter("log-line-drop-total", lines as f64, "Lines of the plugin's log that were past a bound");
    for sample in metrics.series {
        series(sample, &tags, into);
    }
}

/// A histogram becomes its count, sum, least and greatest.
fn series(sample: MetricSample, tags: &[(String, String)], into: &mut Vec<Metric>) {
    let MetricSample { name, labels, value } = sample;
    let tags: Vec<(String, String)> = tags.iter().cloned().chain(labels).collect();
    let mut add = |name: String, value, kind| {
        let description = "A series of the plugin's own";
        into.push(Metric { group: SERIES, name: name.into(), tags: tags.clone(), value, kind, description });
    };
    match value {
        MetricValue::Counter(total) => add(name, total, MetricKind::Counter),
        MetricValue::Gauge(value) => add(name, value, MetricKind::Gauge),
        MetricValue::Histogram { count, sum, min, max } => {
            let finite = |value: f64| if value.is_finite() { value } else { f64::NAN };
            add(format!("{name}-count"), count as f64, MetricKind::Counter);
            // What was put in may be negative.
            add(format!("{name}-sum"), sum, MetricKind::Gauge);
            add(format!("{name}-min"), finite(min), MetricKind::Gauge);
            add(format!("{name}-max"), finite(max), MetricKind::Gauge);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::MetricsSnapshot;
    use crate::plugin::FailureKind;
    use std::time::Duration;

    #[test]
    fn hooks_instances_and_series_have_their_tags() {
        let mut metrics = Vec::new();
        let tags = [("client-id".to_owned(), "c".to_owned())];
        let counts = HookCounts {
            calls: 3,
            records: 30,
            time: Duration::from_micros(2),
            failures: [(FailureKind::Trap, 1), (FailureKind::Refused, 4)].into(),
            settled: [("drop", 5)].into(),
            breaker_opened: 2,
            breakers_open: 1,
            remembered: 7,
        };
        hooks(&[("p".into(), Hook::OnSend, counts)], &tags, &mut metrics);
        let sample = |name: &str, value| MetricSample {
            name: name.to_owned(),
            labels: vec![("region".to_owned(), "bj".to_owned())],
            value,
        };
        let own = PluginMetrics {
            series: vec![
                sample("rows", MetricValue::Counter(5.0)),
                sample(
                    "size",
                    MetricValue::Histogram { count: 0, sum: 0.0, min: f64::INFINITY, max: f64::NEG_INFINITY },
                ),
            ],
            points_dropped: 0,
            log_lines_dropped: 1,
            instances_started: 2,
            instances_discarded: 1,
            instances_recycled: 0,
        };
        plugin("p", own, &tags, &mut metrics);
        let snapshot = MetricsSnapshot::new(0, metrics);
        let of_hook = |name, tags: &[(&str, &str)]| {
            let tags: Vec<_> = [("plugin", "p"), ("hook", "on-send")].iter().chain(tags).copied().collect();
            snapshot.value("plugin-metrics", name, &tags)
        };
        assert_eq!(of_hook("call-total", &[]), Some(3.0));
        assert_eq!(of_hook("time-ns-total", &[]), Some(2000.0));
        assert_eq!(of_hook("failure-total", &[("kind", "trap")]), Some(1.0));
        assert_eq!(of_hook("failure-total", &[("kind", "refused")]), Some(4.0));
        assert_eq!(of_hook("record-settled-total", &[("on-error", "drop")]), Some(5.0));
        assert_eq!(of_hook("breaker-open-total", &[]), Some(2.0));
        assert_eq!(of_hook("breaker-open", &[]), Some(1.0));
        assert_eq!(of_hook("remembered-total", &[]), Some(7.0));
        assert_eq!(snapshot.value("plugin-metrics", "instance-discard-total", &[("plugin", "p")]), Some(1.0));
        let region = [("plugin", "p"), ("region", "bj")];
        assert_eq!(snapshot.value("plugin-series", "rows", &region), Some(5.0));
        assert!(snapshot.value("plugin-series", "size-min", &region).is_some_and(f64::is_nan));
        let text = snapshot.to_prometheus();
        for line in [
            "pointsman_plugin_failure_total{client_id=\"c\",plugin=\"p\",hook=\"on-send\",kind=\"trap\"} 1\n",
            "pointsman_plugin_series_rows_total{client_id=\"c\",plugin=\"p\",region=\"bj\"} 5\n",
        ] {
            assert!(text.contains(line), "{line} in\n{text}");
        }
    }
}
