//! The numbers that a plugin keeps through its host: a bounded registry per plugin, shared by its instances.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// The series of one plugin.
#[derive(Default)]
pub(super) struct Registry(Mutex<Series>);

#[derive(Default)]
struct Series {
    numbers: HashMap<SeriesKey, u32>,
    /// Number n is at n − 1.
    samples: Vec<MetricSample>,
    dropped: u64,
}

#[derive(PartialEq, Eq, Hash)]
struct SeriesKey {
    name: String,
    labels: Vec<(String, String)>,
}

/// What kind of number a plugin asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MetricKind {
    Counter,
    Gauge,
    Histogram,
}

/// One series of a plugin, as it stood at the snapshot.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricSample {
    /// As the plugin named it.
    pub name: String,
    /// As the plugin gave them, sorted by name.
    pub labels: Vec<(String, String)>,
    /// The value.
    pub value: MetricValue,
}

/// The value of a series, by its kind.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum MetricValue {
    /// Only grows.
    Counter(f64),
    /// The last value set.
    Gauge(f64),
    /// Of what was put in.
    Histogram {
        /// How many.
        count: u64,
        /// Their sum.
        sum: f64,
        /// The least; infinite while there is none.
        min: f64,
        /// The greatest; negative infinity while there is none.
        max: f64,
    },
}

impl Registry {
    /// The number of a series, made on first sight; 0 past a bound or where the kind differs from the first time.
    pub(super) fn number(&self, kind: MetricKind, name: String, mut labels: Vec<(String, String)>) -> u32 {
        labels.sort();
        let mut series = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = SeriesKey { name, labels };
        if let Some(&number) = series.numbers.get(&key) {
            let same = kind_of(&series.samples[number as usize - 1].value) == kind;
            return if same { number } else { 0 };
        }
        if series.samples.len() == SERIES_MAX || !key.is_within_bounds() {
            series.dropped += 1;
            return 0;
        }
        let value = match kind {
            MetricKind::Counter => MetricValue::Counter(0.0),
            MetricKind::Gauge => MetricValue::Gauge(0.0),
            MetricKind::Histogram => {
                MetricValue::Histogram { count: 0, sum: 0.0, min: f64::INFINITY, max: f64::NEG_INFINITY }
            }
        };
        series.samples.push(MetricSample { name: key.name.clone(), labels: key.labels.clone(), value });
        let number = series.samples.len() as u32;
        series.numbers.insert(key, number);
        number
    }

    /// Takes in what a call observed, and how many points were past its bound.
    pub(super) fn observe(&self, points: &[(u32, f64)], overflow: u64) {
        let mut series = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        series.dropped += overflow;
        for &(number, point) in points {
            let at = (number as usize).checked_sub(1);
            let taken = at.and_then(|at| series.samples.get_mut(at)).is_some_and(|sample| sample.value.take(point));
            if !taken && number != 0 {
                series.dropped += 1;
            }
        }
    }

    /// All series, in the order in which they were made, and what was dropped.
    pub(super) fn snapshot(&self) -> (Vec<MetricSample>, u64) {
        let series = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (series.samples.clone(), series.dropped)
    }
}

impl SeriesKey {
    fn is_within_bounds(&self) -> bool {
        let fits = |text: &String| text.len() <= TEXT_BYTES_MAX;
        !self.name.is_empty()
            && fits(&self.name)
            && self.labels.len() <= LABELS_MAX
            && self.labels.iter().all(|(name, value)| fits(name) && fits(value))
    }
}

impl MetricValue {
    /// Whether the point makes sense for the kind.
    fn take(&mut self, point: f64) -> bool {
        if !point.is_finite() {
            return false;
        }
        match self {
            MetricValue::Counter(_) if point < 0.0 => return false,
            MetricValue::Counter(total) => *total += point,
            MetricValue::Gauge(value) => *value = point,
            MetricValue::Histogram { count, sum, min, max } => {
                *count += 1;
                *sum += point;
                *min = min.min(point);
                *max = max.max(point);
            }
        }
        true
    }
}

fn kind_of(value: &MetricValue) -> MetricKind {
    match value {
        MetricValue::Counter(_) => MetricKind::Counter,
        MetricValue::Gauge(_) => MetricKind::Gauge,
        MetricValue::Histogram { .. } => MetricKind::Histogram,
    }
}

const SERIES_MAX: usize = 256;
const LABELS_MAX: usize = 8;
const TEXT_BYTES_MAX: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_has_one_number_whatever_the_order_of_its_labels() {
        let registry = Registry::default();
        let label = |name: &str| (name.to_owned(), "x".to_owned());
        let first = registry.number(MetricKind::Counter, "sent".into(), vec![label("a"), label("b")]);
        assert_eq!(registry.number(MetricKind::Counter, "sent".into(), vec![label("b"), label("a")]), first);
        assert_ne!(registry.number(MetricKind::Counter, "sent".into(), vec![]), first);
        assert_eq!(registry.number(MetricKind::Gauge, "sent".into(), vec![]), 0, "another kind");
    }

    #[test]
    fn values_follow_their_kind() {
        let registry = Registry::default();
        let counter = registry.number(MetricKind::Counter, "c".into(), vec![]);
        let gauge = registry.number(MetricKind::Gauge, "g".into(), vec![]);
        let histogram = registry.number(MetricKind::Histogram, "h".into(), vec![]);
        registry.observe(&[(counter, 1.0), (counter, 2.0), (counter, -1.0), (gauge, 5.0), (gauge, -4.0)], 0);
        registry.observe(&[(histogram, 2.0), (histogram, 8.0), (histogram, f64::NAN), (0, 1.0), (99, 1.0)], 4);
        let (samples, dropped) = registry.snapshot();
        let values: Vec<_> = samples.iter().map(|sample| sample.value).collect();
        assert_eq!(
            values,
            [
                MetricValue::Counter(3.0),
                MetricValue::Gauge(-4.0),
                MetricValue::Histogram { count: 2, sum: 10.0, min: 2.0, max: 8.0 },
            ]
        );
        assert_eq!(dropped, 4 + 3, "a negative count, a NaN, an unknown number; 0 is nobody's");
    }

    #[test]
    fn series_are_bounded() {
        let registry = Registry::default();
        for i in 0..SERIES_MAX {
            assert_ne!(registry.number(MetricKind::Counter, format!("c{i}"), vec![]), 0);
        }
        assert_eq!(registry.number(MetricKind::Counter, "one more".into(), vec![]), 0);
        assert_ne!(registry.number(MetricKind::Counter, "c0".into(), vec![]), 0);
        let long = "x".repeat(TEXT_BYTES_MAX + 1);
        assert_eq!(Registry::default().number(MetricKind::Counter, long, vec![]), 0);
    }
}
