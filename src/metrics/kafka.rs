//! Kafka's metrics, and the lane's, from the counters of the parts.

use super::snapshot::{Metric, MetricKind};
use super::sources::Calls;
use crate::core::{CoreCounts, Measured, NodeId};
use crate::lane::LaneCounts;
use crate::net::{NetCounts, TrafficCounts};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

const PRODUCER: &str = "producer-metrics";
const TOPIC: &str = "producer-topic-metrics";
const NODE: &str = "producer-node-metrics";
const LANE: &str = "lane-metrics";

/// Metrics of one group and with the same tags, one after the other.
pub(super) struct Sheet<'a> {
    pub(super) group: &'static str,
    pub(super) tags: Vec<(String, String)>,
    pub(super) into: &'a mut Vec<Metric>,
}

impl Sheet<'_> {
    pub(super) fn gauge(&mut self, name: &'static str, value: f64, description: &'static str) {
        self.add(name, value, MetricKind::Gauge, description);
    }

    pub(super) fn counter(&mut self, name: &'static str, value: f64, description: &'static str) {
        self.add(name, value, MetricKind::Counter, description);
    }

    fn add(&mut self, name: &'static str, value: f64, kind: MetricKind, description: &'static str) {
        let Sheet { group, tags, into } = self;
        into.push(Metric { group, name: name.into(), tags: tags.clone(), value, kind, description });
    }

    /// Kafka's pairs of a rate and a total.
    fn meter(&mut self, names: [&'static str; 2], measured: &Measured, descriptions: [&'static str; 2]) {
        self.gauge(names[0], measured.per_second, descriptions[0]);
        self.counter(names[1], measured.total, descriptions[1]);
    }

    /// The same of how often, not of how much.
    fn count_meter(&mut self, names: [&'static str; 2], measured: &Measured, descriptions: [&'static str; 2]) {
        self.gauge(names[0], measured.count_per_second, descriptions[0]);
        self.counter(names[1], measured.count as f64, descriptions[1]);
    }

    /// Kafka's pairs of an average and a maximum.
    fn spread(&mut self, names: [&'static str; 2], measured: &Measured, descriptions: [&'static str; 2]) {
        self.gauge(names[0], measured.average, descriptions[0]);
        self.gauge(names[1], measured.max, descriptions[1]);
    }
}

/// What the parts have counted.
pub(super) struct Counts {
    pub(super) core: CoreCounts,
    pub(super) net: NetCounts,
    pub(super) lane: LaneCounts,
}

/// Adds the metrics of the whole producer.
pub(super) fn producer(counts: &Counts, tags: &[(String, String)], into: &mut Vec<Metric>) {
    let mut sheet = Sheet { group: PRODUCER, tags: tags.to_vec(), into };
    sender(&mut sheet, &counts.core);
    let errors = Measured::merged([&counts.core.errors, &counts.lane.errors, &counts.lane.refused]);
    sheet.meter(
        ["record-error-rate", "record-error-total"],
        &errors,
        ["Records per second that failed", "Records that failed, or were refused by send after its checks"],
    );
    buffer(&mut sheet, &counts.lane);
    sheet.counter(
        "metadata-wait-time-ns-total",
        counts.lane.metadata_wait_ns,
        "Nanoseconds that records waited for the metadata of their topic",
    );
    network(&mut sheet, &counts.net);
}

/// Adds the time that calls took.
pub(super) fn calls(calls: &Calls, tags: &[(String, String)], into: &mut Vec<Metric>) {
    let mut sheet = Sheet { group: PRODUCER, tags: tags.to_vec(), into };
    let mut spent = |name, nanos: &AtomicU64, description| {
        sheet.counter(name, nanos.load(Ordering::Relaxed) as f64, description);
    };
    spent("flush-time-ns-total", &calls.flush, "Nanoseconds spent in flush");
    spent("txn-init-time-ns-total", &calls.init_transactions, "Nanoseconds spent in init_transactions");
    spent("txn-begin-time-ns-total", &calls.begin_transaction, "Nanoseconds spent in begin_transaction");
    spent("txn-send-offsets-time-ns-total", &calls.send_offsets, "Nanoseconds spent in send_offsets_to_transaction");
    spent("txn-commit-time-ns-total", &calls.commit_transaction, "Nanoseconds spent in commit_transaction");
    spent("txn-abort-time-ns-total", &calls.abort_transaction, "Nanoseconds spent in abort_transaction");
}

fn sender(sheet: &mut Sheet<'_>, core: &CoreCounts) {
    sheet.spread(
        ["batch-size-avg", "batch-size-max"],
        &core.batch_bytes,
        ["Average bytes of a batch as sent", "Most bytes of a batch as sent"],
    );
    sheet.gauge(
        "compression-rate-avg",
        core.compression.average,
        "Average size of a batch as sent, as a share of its size before compression",
    );
    sheet.spread(
        ["record-queue-time-avg", "record-queue-time-max"],
        &core.queue_ms,
        ["Average milliseconds from a batch's beginning to its request", "Most milliseconds of the same"],
    );
    sheet.spread(
        ["request-latency-avg", "request-latency-max"],
        &core.latency_ms,
        ["Average milliseconds from a Produce request to its answer", "Most milliseconds of the same"],
    );
    sheet.meter(
        ["record-send-rate", "record-send-total"],
        &core.records,
        ["Records sent per second, again included", "Records sent, again included"],
    );
    sheet.gauge("records-per-request-avg", core.records.average, "Average records of a Produce request");
    sheet.meter(
        ["record-retry-rate", "record-retry-total"],
        &core.retries,
        ["Records per second that are to be sent again", "Records that were to be sent again"],
    );
    sheet.spread(
        ["record-size-avg", "record-size-max"],
        &core.record_bytes,
        ["Average bytes of an encoded record, before compression", "Most bytes of the same"],
    );
    sheet.meter(
        ["batch-split-rate", "batch-split-total"],
        &core.splits,
        ["Batches per second that were too large and were split", "Batches that were too large and were split"],
    );
    sheet.spread(
        ["produce-throttle-time-avg", "produce-throttle-time-max"],
        &core.throttle_ms,
        ["Average milliseconds of silence that an answer asked for", "Most milliseconds of the same"],
    );
    sheet.gauge("requests-in-flight", core.requests_in_flight as f64, "Requests that wait for an answer");
    let age = core.metadata_age.map_or(f64::NAN, |age| age.as_secs_f64());
    sheet.gauge("metadata-age", age, "Seconds since the last metadata");
}

fn buffer(sheet: &mut Sheet<'_>, lane: &LaneCounts) {
    sheet.gauge("buffer-total-bytes", lane.memory_total as f64, "Bytes of buffer.memory");
    // Below zero is debt, which Java does not know.
    sheet.gauge("buffer-available-bytes", lane.memory_available.max(0) as f64, "Bytes of buffer.memory that are free");
    sheet.gauge("waiting-threads", lane.waiting as f64, "Records that wait for buffer.memory");
    sheet.counter(
        "bufferpool-wait-time-ns-total",
        lane.memory_wait_ns.total,
        "Nanoseconds that records waited for buffer.memory",
    );
    sheet.gauge(
        "bufferpool-wait-ratio",
        lane.memory_wait_ns.per_second / 1e9,
        "Share of time that records waited for buffer.memory; above 1 where several wait at a time",
    );
    sheet.meter(
        ["buffer-exhausted-rate", "buffer-exhausted-total"],
        &lane.exhausted,
        [
            "Records per second refused as no buffer.memory came free within max.block.ms",
            "Records refused as no buffer.memory came free within max.block.ms",
        ],
    );
}

fn network(sheet: &mut Sheet<'_>, net: &NetCounts) {
    sheet.gauge("connection-count", net.connections as f64, "Connections that are up");
    sheet.meter(
        ["connection-creation-rate", "connection-creation-total"],
        &net.created,
        ["Connections per second that came up", "Connections that came up"],
    );
    sheet.meter(
        ["connection-close-rate", "connection-close-total"],
        &net.closed,
        ["Connections per second that ended", "Connections that ended"],
    );
    authentication(sheet, net);
    let TrafficCounts { sent, received } = &net.all;
    let rate = sent.count_per_second + received.count_per_second;
    sheet.gauge("network-io-rate", rate, "Requests and answers per second");
    sheet.counter("network-io-total", (sent.count + received.count) as f64, "Requests and answers");
    traffic(sheet, &net.all);
}

fn authentication(sheet: &mut Sheet<'_>, net: &NetCounts) {
    sheet.meter(
        ["successful-authentication-rate", "successful-authentication-total"],
        &net.authenticated,
        ["TLS handshakes and logins per second that were well", "TLS handshakes and logins that were well"],
    );
    sheet.meter(
        ["failed-authentication-rate", "failed-authentication-total"],
        &net.authentication_failed,
        [
            "TLS handshakes and logins per second that one side refused",
            "TLS handshakes and logins that one side refused",
        ],
    );
    sheet.count_meter(
        ["successful-reauthentication-rate", "successful-reauthentication-total"],
        &net.reauthenticated_ms,
        ["Logins per second that were renewed", "Logins that were renewed"],
    );
    sheet.meter(
        ["failed-reauthentication-rate", "failed-reauthentication-total"],
        &net.reauthentication_failed,
        [
            "Logins per second that were refused when they were renewed",
            "Logins that were refused when they were renewed",
        ],
    );
    sheet.spread(
        ["reauthentication-latency-avg", "reauthentication-latency-max"],
        &net.reauthenticated_ms,
        ["Average milliseconds of renewing a login", "Most milliseconds of the same"],
    );
}

fn traffic(sheet: &mut Sheet<'_>, TrafficCounts { sent, received }: &TrafficCounts) {
    sheet.meter(
        ["outgoing-byte-rate", "outgoing-byte-total"],
        sent,
        ["Bytes of requests per second", "Bytes of requests"],
    );
    sheet.count_meter(["request-rate", "request-total"], sent, ["Requests per second", "Requests"]);
    sheet.spread(
        ["request-size-avg", "request-size-max"],
        sent,
        ["Average bytes of a request", "Most bytes of a request"],
    );
    sheet.meter(
        ["incoming-byte-rate", "incoming-byte-total"],
        received,
        ["Bytes of answers per second", "Bytes of answers"],
    );
    sheet.count_meter(["response-rate", "response-total"], received, ["Answers per second", "Answers"]);
}

/// Adds the metrics of each topic that was sent to.
pub(super) fn topics(core: &CoreCounts, tags: &[(String, String)], into: &mut Vec<Metric>) {
    for topic in &core.topics {
        let tags = with(tags, "topic", topic.topic.to_string());
        let mut sheet = Sheet { group: TOPIC, tags, into };
        sheet.meter(
            ["record-send-rate", "record-send-total"],
            &topic.records,
            ["Records sent per second, again included", "Records sent, again included"],
        );
        sheet.meter(
            ["byte-rate", "byte-total"],
            &topic.bytes,
            ["Bytes of batches per second as sent", "Bytes of batches as sent"],
        );
        sheet.gauge(
            "compression-rate",
            topic.compression.average,
            "Average size of a batch as sent, as a share of its size before compression",
        );
        sheet.meter(
            ["record-retry-rate", "record-retry-total"],
            &topic.retries,
            ["Records per second that are to be sent again", "Records that were to be sent again"],
        );
        sheet.meter(
            ["record-error-rate", "record-error-total"],
            &topic.errors,
            ["Records of batches per second that failed", "Records of batches that failed"],
        );
    }
}

/// Adds the metrics of each broker that was connected to; those of `bootstrap.servers` have negative numbers.
pub(super) fn nodes(core: &CoreCounts, net: &NetCounts, tags: &[(String, String)], into: &mut Vec<Metric>) {
    let latencies: BTreeMap<NodeId, &Measured> = core.nodes.iter().map(|(node, measured)| (*node, measured)).collect();
    for (node, counts) in &net.nodes {
        // Java's own spelling.
        let tags = with(tags, "node-id", format!("node-{}", node.0));
        let mut sheet = Sheet { group: NODE, tags, into };
        traffic(&mut sheet, counts);
        let none = (f64::NAN, f64::NAN);
        let (average, max) = latencies.get(node).map_or(none, |latency| (latency.average, latency.max));
        sheet.gauge("request-latency-avg", average, "Average milliseconds from a Produce request to its answer");
        sheet.gauge("request-latency-max", max, "Most milliseconds of the same");
    }
}

/// Adds the metrics of a lane.
pub(super) fn lane(lane: &LaneCounts, number: usize, tags: &[(String, String)], into: &mut Vec<Metric>) {
    let mut sheet = Sheet { group: LANE, tags: with(tags, "lane", number.to_string()), into };
    sheet.gauge("staged-bytes", lane.staged as f64, "Bytes that wait for the lane's thread");
    sheet.count_meter(
        ["chunk-rate", "chunk-total"],
        &lane.chunk_records,
        ["Chunks of records per second through the lane", "Chunks of records through the lane"],
    );
    let records = lane.chunk_records.total + lane.appended as f64;
    sheet.counter("record-total", records, "Records through the lane");
    sheet.spread(
        ["chunk-records-avg", "chunk-records-max"],
        &lane.chunk_records,
        ["Average records of a chunk", "Most records of a chunk"],
    );
    sheet.spread(
        ["chunk-size-avg", "chunk-size-max"],
        &lane.chunk_bytes,
        ["Average bytes of a chunk", "Most bytes of a chunk"],
    );
    sheet.spread(
        ["chunk-queue-time-avg", "chunk-queue-time-max"],
        &lane.queue_ms,
        ["Average milliseconds that a chunk waited for the lane's thread", "Most milliseconds of the same"],
    );
    sheet.counter("chunk-append-time-ns-total", lane.append_ms.total * 1e6, "Nanoseconds from each chunk's first record's acceptance until the chunk had been through the plugins and was appended");
    sheet.spread(
        ["chunk-append-time-avg", "chunk-append-time-max"],
        &lane.append_ms,
        ["Average milliseconds of the same", "Most milliseconds of the same"],
    );
    sheet.counter("record-error-total", lane.errors.total, "Records that were accepted and failed before a batch");
    sheet.counter("record-drop-total", lane.dropped.total, "Records that a plugin dropped on purpose");
}

pub(super) fn with(tags: &[(String, String)], name: &str, value: String) -> Vec<(String, String)> {
    tags.iter().cloned().chain([(name.to_owned(), value)]).collect()
}
