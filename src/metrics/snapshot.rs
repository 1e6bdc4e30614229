//! Metrics at one time, as values.

use std::borrow::Cow;
use std::fmt::Write;

/// One number with its name.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Metric {
    /// As Kafka groups them (`producer-metrics`), or one of our own: see the [module](super).
    pub group: &'static str,
    /// As in Kafka; a plugin's own series have the names that the plugin gave.
    pub name: Cow<'static, str>,
    /// Names and values; the first is `client-id`.
    pub tags: Vec<(String, String)>,
    /// Its value. An average or maximum without any value to look back on is NaN, as in Java.
    pub value: f64,
    /// Whether it only grows.
    pub kind: MetricKind,
    /// What it means, with its unit.
    pub description: &'static str,
}

/// Whether a metric only grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MetricKind {
    /// It only grows, from zero at the producer's start.
    Counter,
    /// It goes up and down.
    Gauge,
}

/// All metrics of a producer at one time.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct MetricsSnapshot {
    /// When, in milliseconds since the Unix epoch.
    pub time_ms: i64,
    /// Sorted by group, name and tags.
    pub metrics: Vec<Metric>,
}

impl MetricsSnapshot {
    pub(super) fn new(time_ms: i64, mut metrics: Vec<Metric>) -> MetricsSnapshot {
        metrics.sort_by(|a, b| (a.group, &a.name, &a.tags).cmp(&(b.group, &b.name, &b.tags)));
        MetricsSnapshot { time_ms, metrics }
    }

    /// The value of the metric of that group and name which has all of these tags, and perhaps others.
    pub fn value(&self, group: &str, name: &str, tags: &[(&str, &str)]) -> Option<f64> {
        let has = |metric: &Metric, (name, value): &(&str, &str)| {
            metric.tags.iter().any(|(of, is)| of.as_str() == *name && is.as_str() == *value)
        };
        let mut named = self.metrics.iter().filter(|metric| metric.group == group && metric.name == name);
        named.find(|metric| tags.iter().all(|tag| has(metric, tag))).map(|metric| metric.value)
    }

    /// One line of JSON:
    /// `{"time_ms":…,"metrics":[{"group":"producer-metrics","name":"…","tags":{"client-id":"…"},"value":1},…]}`.
    /// What is not a number is `null`.
    pub fn to_json(&self) -> String {
        let mut json = String::with_capacity(64 + 128 * self.metrics.len());
        let _ = write!(json, "{{\"time_ms\":{},\"metrics\":[", self.time_ms);
        for (at, metric) in self.metrics.iter().enumerate() {
            json.push_str(if at == 0 { "{\"group\":" } else { ",{\"group\":" });
            text(&mut json, metric.group);
            json.push_str(",\"name\":");
            text(&mut json, &metric.name);
            json.push_str(",\"tags\":{");
            for (at, (name, value)) in metric.tags.iter().enumerate() {
                if at > 0 {
                    json.push(',');
                }
                text(&mut json, name);
                json.push(':');
                text(&mut json, value);
            }
            json.push_str("},\"value\":");
            match metric.value.is_finite() {
                true => drop(write!(json, "{}", metric.value)),
                false => json.push_str("null"),
            }
            json.push('}');
        }
        json.push_str("]}");
        json
    }

    /// In Prometheus' text format, version 0.0.4: see [`super::prometheus`].
    pub fn to_prometheus(&self) -> String {
        super::prometheus::encode(self)
    }
}

/// A JSON string.
fn text(json: &mut String, text: &str) {
    json.push('"');
    for letter in text.chars() {
        match letter {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            '\u{0}'..='\u{1f}' => drop(write!(json, "\\u{:04x}", letter as u32)),
            letter => json.push(letter),
        }
    }
    json.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metric(name: &'static str, tag: &str, value: f64) -> Metric {
        Metric {
            group: "g",
            name: name.into(),
            tags: vec![("client-id".into(), "c".into()), ("topic".into(), tag.into())],
            value,
            kind: MetricKind::Gauge,
            description: "",
        }
    }

    #[test]
    fn sorted_and_found_by_tags() {
        let metrics = vec![metric("b", "x", 1.0), metric("a", "y", 2.0), metric("a", "x", 3.0)];
        let snapshot = MetricsSnapshot::new(7, metrics);
        let order: Vec<f64> = snapshot.metrics.iter().map(|metric| metric.value).collect();
        assert_eq!(order, [3.0, 2.0, 1.0]);
        assert_eq!(snapshot.value("g", "a", &[("topic", "y")]), Some(2.0));
        assert_eq!(snapshot.value("g", "a", &[]), Some(3.0));
        assert_eq!(snapshot.value("g", "a", &[("topic", "z")]), None);
    }

    #[test]
    fn json_is_json_whatever_the_tags_hold() {
        let metrics = vec![metric("a", "quote\" back\\ line\n\u{1}ü", f64::NAN), metric("b", "", 1.5e300)];
        let parsed: serde_json::Value = serde_json::from_str(&MetricsSnapshot::new(7, metrics).to_json()).unwrap();
        assert_eq!(parsed["time_ms"], 7);
        assert_eq!(parsed["metrics"][0]["tags"]["topic"], "quote\" back\\ line\n\u{1}ü");
        assert!(parsed["metrics"][0]["value"].is_null());
        assert_eq!(parsed["metrics"][1]["value"], 1.5e300);
        let none = MetricsSnapshot::new(0, Vec::new()).to_json();
        assert_eq!(none, "{\"time_ms\":0,\"metrics\":[]}");
    }
}
