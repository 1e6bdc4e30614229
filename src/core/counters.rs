//! What the core counts of its own work: plain numbers, updated per batch, request and answer, never per record and
//! never atomically, since the core has one owner. What they are called outside is not known here.
//!
//! Rates, averages and maxima look back over a few windows of time, as Java's do (`SampledStat`, `Rate`): a window
//! begins with the first value after the end of the one before; whatever was last added to longer ago than all
//! windows together counts no more. Time is an argument, here as everywhere in the core.

use super::Core;
use super::io::NodeId;
use super::time::Instant;
use std::sync::Arc;
use std::time::Duration;

/// How far rates, averages and maxima look back: `metrics.sample.window.ms` and `metrics.num.samples`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Windows {
    /// Length of one; zero counts as a millisecond.
    pub length: Duration,
    /// How many, the one that is being filled included; zero counts as one.
    pub count: usize,
}

impl Default for Windows {
    fn default() -> Windows {
        Windows { length: Duration::from_secs(30), count: 2 }
    }
}

/// Values of one kind: all of them as a total, those of the last windows as rate, average and maximum.
///
/// Sums are kept as `f64`, which is exact for whole numbers up to 2⁵³.
#[derive(Clone, Debug)]
pub struct Sampled {
    of: Windows,
    /// Grows up to one more than `of.count`: the oldest still overlaps the time that is looked back over.
    windows: Vec<Window>,
    current: usize,
    total: f64,
    count: u64,
}

#[derive(Clone, Copy, Debug)]
struct Window {
    start: Instant,
    last: Instant,
    sum: f64,
    count: u64,
    max: f64,
}

/// What a [`Sampled`] says at one time, in the unit of its values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measured {
    /// Sum of all values ever.
    pub total: f64,
    /// Number of all values ever.
    pub count: u64,
    /// Sum per second, over the windows.
    pub per_second: f64,
    /// Values per second, over the windows.
    pub count_per_second: f64,
    /// NaN while there is no value in any window, as in Java.
    pub average: f64,
    /// NaN while there is no value in any window.
    pub max: f64,
}

impl Measured {
    /// Sums, rates and the greatest value over several; an average only where one alone has values.
    pub fn merged<'a>(parts: impl IntoIterator<Item = &'a Measured>) -> Measured {
        let mut all =
            Measured { total: 0.0, count: 0, per_second: 0.0, count_per_second: 0.0, average: f64::NAN, max: f64::NAN };
        for part in parts {
            // By their numbers in the windows, as far as these are known.
            let weights = (all.count_per_second, part.count_per_second);
            all.average = match (all.average.is_nan(), part.average.is_nan()) {
                (true, _) => part.average,
                (false, true) => all.average,
                (false, false) => (all.average * weights.0 + part.average * weights.1) / (weights.0 + weights.1),
            };
            all.total += part.total;
            all.count += part.count;
            all.per_second += part.per_second;
            all.count_per_second += part.count_per_second;
            // The one of the two that is a number.
            all.max = all.max.max(part.max);
        }
        all
    }
}

impl Sampled {
    /// Without any value.
    pub fn new(windows: Windows) -> Sampled {
        let of = Windows { length: windows.length.max(Duration::from_millis(1)), count: windows.count.max(1) };
        Sampled { of, windows: Vec::new(), current: 0, total: 0.0, count: 0 }
    }

    /// Takes in one value.
    pub fn add(&mut self, now: Instant, value: f64) {
        self.add_many(now, value, 1, value);
    }

    /// Takes in `count` values by their sum and the largest.
    pub fn add_many(&mut self, now: Instant, sum: f64, count: u64, max: f64) {
        self.total += sum;
        self.count += count;
        let window = self.window(now);
        window.last = now;
        window.sum += sum;
        window.count += count;
        window.max = window.max.max(max);
    }

    fn window(&mut self, now: Instant) -> &mut Window {
        let fresh = Window { start: now, last: now, sum: 0.0, count: 0, max: f64::NEG_INFINITY };
        match self.windows.get(self.current) {
            None => self.windows.push(fresh),
            Some(current) if now - current.start >= self.of.length => {
                self.current = (self.current + 1) % self.of.count.saturating_add(1);
                match self.windows.get_mut(self.current) {
                    None => self.windows.push(fresh),
                    Some(oldest) => *oldest = fresh,
                }
            }
            Some(_) => {}
        }
        &mut self.windows[self.current]
    }

    /// What the values are at this time.
    pub fn measure(&self, now: Instant) -> Measured {
        let length = self.of.length;
        let reach = length.saturating_mul(u32::try_from(self.of.count).unwrap_or(u32::MAX));
        let (mut sum, mut count, mut max, mut oldest) = (0.0, 0, f64::NAN, now);
        for window in self.windows.iter().filter(|window| now - window.last < reach) {
            sum += window.sum;
            count += window.count;
            // f64::max leaves the NaN behind.
            max = window.max.max(max);
            oldest = oldest.min(window.start);
        }
        // Windows that are missing count as empty ones: the first values of all are no burst (Java's `Rate`).
        let elapsed = (now - oldest).as_secs_f64();
        let whole = (elapsed / length.as_secs_f64()).floor();
        let missing = ((self.of.count - 1) as f64 - whole).max(0.0);
        let elapsed = elapsed + missing * length.as_secs_f64();
        let elapsed = if elapsed > 0.0 { elapsed } else { length.as_secs_f64() };
        Measured {
            total: self.total,
            count: self.count,
            per_second: sum / elapsed,
            count_per_second: count as f64 / elapsed,
            average: sum / count as f64,
            max,
        }
    }
}

/// The core's counters.
#[derive(Debug)]
pub(super) struct Counters {
    windows: Windows,
    /// When something was counted last, for what is counted without a time: the end of everything.
    pub(super) latest: Instant,
    /// Bytes of each batch that was sent, header included.
    batch_bytes: Sampled,
    /// Milliseconds from a batch's beginning to its request.
    queue_ms: Sampled,
    /// Records of each Produce request, those sent again included.
    records: Sampled,
    /// Bytes of each record, encoded and before compression.
    record_bytes: Sampled,
    /// Size of each batch as sent, as a share of its size before compression.
    compression: Sampled,
    /// Records that go out once more.
    retries: Sampled,
    /// Records that failed.
    errors: Sampled,
    /// Batches that were too large and were split.
    pub(super) splits: Sampled,
    /// Milliseconds from a Produce request to its answer.
    latency_ms: Sampled,
    /// Milliseconds that each answer asked us to be silent for.
    throttle_ms: Sampled,
}

/// What is counted for one topic, from its first batch on.
#[derive(Debug)]
pub(super) struct TopicCounters {
    records: Sampled,
    bytes: Sampled,
    compression: Sampled,
    retries: Sampled,
    errors: Sampled,
}

/// The facts of a batch that goes out.
#[derive(Clone, Copy, Debug)]
pub(super) struct SentBatch {
    pub(super) records: u64,
    /// Header included, as sent.
    pub(super) bytes: usize,
    /// Header included, before compression.
    pub(super) raw_bytes: usize,
    /// Of the records alone, before compression.
    pub(super) record_bytes: usize,
    pub(super) record_bytes_max: usize,
    pub(super) queued: Duration,
}

/// The facts of a topic's batches in one request.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SentBatches {
    batches: u64,
    records: Sum,
    bytes: Sum,
    queue_ms: Sum,
    compression: Sum,
    record_bytes: Sum,
}

#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    sum: f64,
    max: f64,
}

impl Sum {
    fn add(&mut self, sum: f64, max: f64) {
        self.sum += sum;
        self.max = self.max.max(max);
    }
}

impl SentBatches {
    pub(super) fn add(&mut self, batch: SentBatch) {
        let SentBatch { records, bytes, raw_bytes, record_bytes, record_bytes_max, queued } = batch;
        self.batches += 1;
        self.records.add(records as f64, records as f64);
        self.bytes.add(bytes as f64, bytes as f64);
        let queue_ms = queued.as_secs_f64() * 1e3;
        self.queue_ms.add(queue_ms, queue_ms);
        let ratio = bytes as f64 / raw_bytes as f64;
        self.compression.add(ratio, ratio);
        self.record_bytes.add(record_bytes as f64, record_bytes_max as f64);
    }

    pub(super) fn records(&self) -> f64 {
        self.records.sum
    }
}

impl Counters {
    pub(super) fn new(windows: Windows, now: Instant) -> Counters {
        let none = || Sampled::new(windows);
        Counters {
            windows,
            latest: now,
            batch_bytes: none(),
            queue_ms: none(),
            records: none(),
            record_bytes: none(),
            compression: none(),
            retries: none(),
            errors: none(),
            splits: none(),
            latency_ms: none(),
            throttle_ms: none(),
        }
    }

    /// Nothing, in the windows of this core.
    pub(super) fn none(&self) -> Sampled {
        Sampled::new(self.windows)
    }

    pub(super) fn request_sent(&mut self, now: Instant, records: f64) {
        self.latest = now;
        self.records.add(now, records);
    }

    pub(super) fn answered(&mut self, now: Instant, throttle_ms: i32) {
        self.latest = now;
        self.throttle_ms.add(now, f64::from(throttle_ms.max(0)));
    }
}

impl TopicCounters {
    fn new(windows: Windows) -> TopicCounters {
        let none = || Sampled::new(windows);
        TopicCounters { records: none(), bytes: none(), compression: none(), retries: none(), errors: none() }
    }
}

/// The core's counters as they stood at one time.
#[derive(Clone, Debug)]
pub struct CoreCounts {
    /// Bytes of each batch that was sent, header included.
    pub batch_bytes: Measured,
    /// Milliseconds from a batch's beginning to its request.
    pub queue_ms: Measured,
    /// Records of each Produce request, those sent again included.
    pub records: Measured,
    /// Bytes of each record, encoded and before compression.
    pub record_bytes: Measured,
    /// Size of each batch as sent, as a share of its size before compression.
    pub compression: Measured,
    /// Records that went out once more.
    pub retries: Measured,
    /// Records of batches that failed.
    pub errors: Measured,
    /// Batches that were split.
    pub splits: Measured,
    /// Milliseconds from a Produce request to its answer.
    pub latency_ms: Measured,
    /// Milliseconds that each answer asked for silence.
    pub throttle_ms: Measured,
    /// Requests that wait for an answer.
    pub requests_in_flight: usize,
    /// Since the last answer to a metadata request; `None` before the first.
    pub metadata_age: Option<Duration>,
    /// Topics that a batch of was sent or failed, by name.
    pub topics: Vec<TopicCounts>,
    /// Brokers that a Produce request was answered by, by id.
    pub nodes: Vec<(NodeId, Measured)>,
}

/// A topic's counters as they stood at one time.
#[derive(Clone, Debug)]
pub struct TopicCounts {
    /// Its name.
    pub topic: Arc<str>,
    /// Records sent, those sent again included; each value is a batch's.
    pub records: Measured,
    /// Bytes of each batch that was sent, header included.
    pub bytes: Measured,
    /// Size of each batch as sent, as a share of its size before compression.
    pub compression: Measured,
    /// Records that went out once more.
    pub retries: Measured,
    /// Records that failed.
    pub errors: Measured,
}

impl Core {
    /// The counters at this time. Costs a few nanoseconds for each number: about ten, and five for each topic in use.
    pub fn counts(&self, now: Instant) -> CoreCounts {
        let at = |sampled: &Sampled| sampled.measure(now);
        let counters = &self.counters;
        let topics = self.topics_by_name.iter().filter_map(|(name, &index)| {
            let counters = self.topics[index].counters.as_deref()?;
            Some(TopicCounts {
                topic: Arc::clone(name),
                records: at(&counters.records),
                bytes: at(&counters.bytes),
                compression: at(&counters.compression),
                retries: at(&counters.retries),
                errors: at(&counters.errors),
            })
        });
        CoreCounts {
            batch_bytes: at(&counters.batch_bytes),
            queue_ms: at(&counters.queue_ms),
            records: at(&counters.records),
            record_bytes: at(&counters.record_bytes),
            compression: at(&counters.compression),
            retries: at(&counters.retries),
            errors: at(&counters.errors),
            splits: at(&counters.splits),
            latency_ms: at(&counters.latency_ms),
            throttle_ms: at(&counters.throttle_ms),
            requests_in_flight: self
                .nodes
                .values()
                .filter_map(|node| node.connection())
                .map(|link| link.in_flight.len())
                .sum(),
            metadata_age: self.metadata_age(now),
            topics: topics.collect(),
            nodes: self.nodes.values().filter_map(|node| Some((node.id, at(node.latency_ms.as_deref()?)))).collect(),
        }
    }

    fn of_topic(&mut self, topic: usize) -> &mut TopicCounters {
        let windows = self.counters.windows;
        self.topics[topic].counters.get_or_insert_with(|| Box::new(TopicCounters::new(windows)))
    }

    pub(super) fn count_batches(&mut self, now: Instant, topic: usize, sent: SentBatches) {
        let SentBatches { batches, records, bytes, queue_ms, compression, record_bytes } = sent;
        let add = |to: &mut Sampled, sum: Sum| to.add_many(now, sum.sum, batches, sum.max);
        let counters = &mut self.counters;
        add(&mut counters.batch_bytes, bytes);
        add(&mut counters.queue_ms, queue_ms);
        add(&mut counters.compression, compression);
        counters.record_bytes.add_many(now, record_bytes.sum, records.sum as u64, record_bytes.max);
        let counters = self.of_topic(topic);
        add(&mut counters.records, records);
        add(&mut counters.bytes, bytes);
        add(&mut counters.compression, compression);
    }

    /// So many records of a topic go out once more.
    pub(super) fn count_retry(&mut self, now: Instant, topic: usize, records: u64) {
        self.counters.retries.add(now, records as f64);
        self.of_topic(topic).retries.add(now, records as f64);
    }

    /// So many records of a topic failed.
    pub(super) fn count_errors(&mut self, now: Instant, topic: &str, records: u64) {
        self.counters.latest = now;
        self.counters.errors.add(now, records as f64);
        if let Some(&topic) = self.topics_by_name.get(topic) {
            self.of_topic(topic).errors.add(now, records as f64);
        }
    }

    /// A Produce request was answered so long after it was sent.
    pub(super) fn count_latency(&mut self, now: Instant, node: NodeId, latency: Duration) {
        let latency_ms = latency.as_secs_f64() * 1e3;
        self.counters.latency_ms.add(now, latency_ms);
        let none = self.counters.none();
        if let Some(node) = self.nodes.get_mut(&node) {
            node.latency_ms.get_or_insert_with(|| Box::new(none)).add(now, latency_ms);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOWS: Windows = Windows { length: Duration::from_secs(30), count: 2 };

    fn at(ms: u64) -> Instant {
        Instant::from_nanos(ms * 1_000_000)
    }

    #[test]
    fn without_values_rates_are_zero_and_averages_are_none() {
        let measured = Sampled::new(WINDOWS).measure(at(5));
        assert_eq!((measured.total, measured.count, measured.per_second), (0.0, 0, 0.0));
        assert!(measured.average.is_nan() && measured.max.is_nan());
    }

    #[test]
    fn the_first_window_counts_as_if_an_empty_one_was_before() {
        let mut sampled = Sampled::new(WINDOWS);
        for second in 0..10 {
            sampled.add(at(second * 1000), 6.0);
        }
        let measured = sampled.measure(at(10_000));
        assert_eq!(measured.per_second, 60.0 / 40.0, "10 s and a window of 30 s before it");
        assert_eq!(measured.count_per_second, 10.0 / 40.0);
        assert_eq!((measured.average, measured.max, measured.total), (6.0, 6.0, 60.0));
    }

    #[test]
    fn a_steady_stream_has_its_rate() {
        let mut sampled = Sampled::new(WINDOWS);
        for ms in (0..300_000).step_by(10) {
            sampled.add(at(ms), 1.0);
        }
        let rate = sampled.measure(at(300_000)).per_second;
        assert!((rate - 100.0).abs() < 0.1, "{rate}");
    }

    #[test]
    fn windows_expire_and_totals_stay() {
        let mut sampled = Sampled::new(WINDOWS);
        sampled.add(at(0), 100.0);
        sampled.add(at(31_000), 10.0);
        assert_eq!(sampled.measure(at(31_000)).max, 100.0);
        assert_eq!(sampled.measure(at(59_999)).max, 100.0);
        assert_eq!(sampled.measure(at(60_000)).max, 10.0, "the first is 60 s old");
        let measured = sampled.measure(at(91_000));
        assert!(measured.max.is_nan() && measured.average.is_nan());
        assert_eq!((measured.per_second, measured.total, measured.count), (0.0, 110.0, 2));
        sampled.add(at(1_000_000), 1.0);
        let measured = sampled.measure(at(1_000_000));
        assert_eq!((measured.max, measured.per_second), (1.0, 1.0 / 30.0), "a burst after silence is no burst of all");
    }

    #[test]
    fn old_windows_are_taken_over() {
        let mut sampled = Sampled::new(Windows { length: Duration::from_secs(1), count: 3 });
        for second in 0..100 {
            sampled.add(at(second * 1000), second as f64);
        }
        assert_eq!(sampled.windows.len(), 4);
        let measured = sampled.measure(at(99_000));
        assert_eq!((measured.max, measured.count), (99.0, 100));
        assert_eq!(measured.average, 98.0, "97, 98 and 99");
    }

    #[test]
    fn many_values_at_once_are_as_one_by_one() {
        let (mut one, mut many) = (Sampled::new(WINDOWS), Sampled::new(WINDOWS));
        for value in [3.0, 9.0, 6.0] {
            one.add(at(1), value);
        }
        many.add_many(at(1), 18.0, 3, 9.0);
        assert_eq!(one.measure(at(2)), many.measure(at(2)));
    }

    #[test]
    fn a_window_of_no_length_and_a_single_one_give_numbers() {
        let mut sampled = Sampled::new(Windows { length: Duration::ZERO, count: 0 });
        sampled.add(at(7), 5.0);
        let measured = sampled.measure(at(7));
        assert_eq!((measured.average, measured.per_second), (5.0, 5000.0));
    }
}
