//! Prometheus' text format, version 0.0.4.
//!
//! | group | becomes |
//! |---|---|
//! | `producer-metrics` | `kafka_producer_…{client_id}` |
//! | `producer-topic-metrics` | `kafka_producer_topic_…{client_id,topic}` |
//! | `producer-node-metrics` | `kafka_producer_node_…{client_id,node_id}` |
//! | `lane-metrics` | `pointsman_lane_…{client_id,lane}` |
//! | `plugin-metrics` | `pointsman_plugin_…{client_id,plugin,hook,kind}` |
//! | `plugin-series` | `pointsman_plugin_series_…{client_id,plugin,…}` |
//!
//! Topics and nodes have families of their own: in one with the whole producer's, a `sum()` would count everything
//! twice. What a name may not hold becomes `_`; a counter's name ends in `_total`. Names and labels of a plugin's own
//! series come from the plugin: where two of them become the same, or one would shadow a label of ours, the first
//! stays, so that whatever a plugin does the whole can be read.

use super::snapshot::{MetricKind, MetricsSnapshot};
use std::collections::BTreeMap;
use std::fmt::Write;

/// What the text is, for HTTP.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

struct Family {
    kind: MetricKind,
    help: &'static str,
    /// By labels, as written.
    samples: BTreeMap<String, f64>,
}

pub(super) fn encode(snapshot: &MetricsSnapshot) -> String {
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    for metric in &snapshot.metrics {
        let mut name = prefix(metric.group).to_owned();
        name.extend(metric.name.chars().map(legal));
        if metric.kind == MetricKind::Counter && !name.ends_with("_total") {
            name.push_str("_total");
        }
        let none = || Family { kind: metric.kind, help: metric.description, samples: BTreeMap::new() };
        let family = families.entry(name).or_insert_with(none);
        if family.kind == metric.kind {
            family.samples.entry(labels(&metric.tags)).or_insert(metric.value);
        }
    }
    let mut text = String::new();
    for (name, Family { kind, help, samples }) in &families {
        let kind = match kind {
            MetricKind::Counter => "counter",
            MetricKind::Gauge => "gauge",
        };
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for (labels, value) in samples {
            let _ = write!(text, "{name}{labels} ");
            let _ = match *value {
                value if value.is_nan() => writeln!(text, "NaN"),
                f64::INFINITY => writeln!(text, "+Inf"),
                f64::NEG_INFINITY => writeln!(text, "-Inf"),
                value => writeln!(text, "{value}"),
            };
        }
    }
    text
}

fn prefix(group: &str) -> &'static str {
    match group {
        "producer-metrics" => "kafka_producer_",
        "producer-topic-metrics" => "kafka_producer_topic_",
        "producer-node-metrics" => "kafka_producer_node_",
        "lane-metrics" => "pointsman_lane_",
        "plugin-metrics" => "pointsman_plugin_",
        "plugin-series" => "pointsman_plugin_series_",
        _ => "pointsman_",
    }
}

/// `{name="value",…}`, each name once.
fn labels(tags: &[(String, String)]) -> String {
    let mut names: Vec<String> = Vec::with_capacity(tags.len());
    let mut text = String::from("{");
    for (name, value) in tags {
        let mut name: String = name.chars().map(legal).collect();
        // Two underscores in front are Prometheus' own, and a digit cannot stand there.
        if name.is_empty() || name.starts_with("__") || name.starts_with(|first: char| first.is_ascii_digit()) {
            name.insert_str(0, "label_");
        }
        if names.contains(&name) {
            continue;
        }
        if !names.is_empty() {
            text.push(',');
        }
        let _ = write!(text, "{name}=\"");
        for letter in value.chars() {
            match letter {
                '\\' => text.push_str("\\\\"),
                '"' => text.push_str("\\\""),
                '\n' => text.push_str("\\n"),
                letter => text.push(letter),
            }
        }
        text.push('"');
        names.push(name);
    }
    text.push('}');
    text
}

fn legal(letter: char) -> char {
    if letter.is_ascii_alphanumeric() { letter } else { '_' }
}

#[cfg(test)]
mod tests {
    use super::super::snapshot::Metric;
    use super::*;

    fn metric(group: &'static str, name: &'static str, tags: &[(&str, &str)], kind: MetricKind, value: f64) -> Metric {
        let tags = tags.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Metric { group, name: name.into(), tags, value, kind, description: "Help" }
    }

    fn encoded(metrics: Vec<Metric>) -> String {
        MetricsSnapshot::new(0, metrics).to_prometheus()
    }

    #[test]
    fn a_family_has_its_help_and_type_once_and_before_its_samples() {
        let counter = MetricKind::Counter;
        let text = encoded(vec![
            metric("producer-topic-metrics", "byte-total", &[("client-id", "c"), ("topic", "b")], counter, 2.0),
            metric("producer-topic-metrics", "byte-total", &[("client-id", "c"), ("topic", "a.b-c")], counter, 1.0),
            metric("producer-metrics", "metadata-age", &[("client-id", "c")], MetricKind::Gauge, f64::NAN),
        ]);
        assert_eq!(
            text,
            "# HELP kafka_producer_metadata_age Help\n\
             # TYPE kafka_producer_metadata_age gauge\n\
             kafka_producer_metadata_age{client_id=\"c\"} NaN\n\
             # HELP kafka_producer_topic_byte_total Help\n\
             # TYPE kafka_producer_topic_byte_total counter\n\
             kafka_producer_topic_byte_total{client_id=\"c\",topic=\"a.b-c\"} 1\n\
             kafka_producer_topic_byte_total{client_id=\"c\",topic=\"b\"} 2\n"
        );
    }

    #[test]
    fn a_plugin_s_names_cannot_break_the_text() {
        let series = "plugin-series";
        let text = encoded(vec![
            metric(
                series,
                "rows seen\n# x",
                &[("plugin", "p"), ("plugin", "q"), ("1", "\"\\\n")],
                MetricKind::Counter,
                1.0,
            ),
            metric(series, "a-b", &[("__name__", "x")], MetricKind::Gauge, 1.0),
            metric(series, "a.b", &[("__name__", "x")], MetricKind::Gauge, 2.0),
            metric(series, "a_b", &[("y", "x")], MetricKind::Counter, 3.0),
        ]);
        let samples: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(
            samples,
            [
                "pointsman_plugin_series_a_b{label___name__=\"x\"} 1",
                "pointsman_plugin_series_a_b_total{y=\"x\"} 3",
                "pointsman_plugin_series_rows_seen___x_total{plugin=\"p\",label_1=\"\\\"\\\\\\n\"} 1",
            ]
        );
    }
}
