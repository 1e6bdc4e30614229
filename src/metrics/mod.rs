//! Metrics under Kafka's names: as values ([`crate::Producer::metrics`]), for Prometheus (`metrics.prometheus.listen`)
//! and as lines of JSON (`statistics.interval.ms`).
//!
//! The parts count, each for itself and where it holds a lock anyway ([`crate::core::CoreCounts`],
//! [`crate::net::NetCounts`], the lane, [`crate::plugin::Meter`]): per batch, request, answer, chunk or call, never per
//! record. This module reads them and gives them their names; nobody but the producer knows it. Rates, averages and
//! maxima look back over `metrics.num.samples` windows of `metrics.sample.window.ms`, computed as Java computes them.
//!
//! | Kafka's metric | here |
//! |---|---|
//! | **`producer-metrics`**, tag `client-id` | |
//! | `batch-size-avg`, `-max` | yes: bytes of a batch as sent |
//! | `batch-split-rate`, `-total` | yes |
//! | `buffer-available-bytes`, `buffer-total-bytes` | yes; debt shows as zero |
//! | `buffer-exhausted-rate`, `-total` | yes: `max.block.ms` ended in the wait for memory; not what `try_send` gives back |
//! | `bufferpool-wait-ratio`, `bufferpool-wait-time-ns-total`, `waiting-threads` | yes, of records, since tasks wait as well as threads |
//! | `compression-rate-avg` | yes |
//! | `connection-count`, `connection-creation-rate`, `-total`, `connection-close-rate`, `-total` | yes: those past their handshake |
//! | `successful-authentication-rate`, `-total`, `failed-authentication-rate`, `-total` | yes: TLS and login of a connection taken together; without either none is counted, as in Java |
//! | `successful-reauthentication-rate`, `-total`, `failed-reauthentication-rate`, `-total`, `reauthentication-latency-avg`, `-max` | yes (KIP-368) |
//! | `flush-time-ns-total` | yes; without that of commits and aborts, as in Java |
//! | `incoming-byte-rate`, `-total`, `outgoing-byte-rate`, `-total`, `network-io-rate`, `-total`, `request-rate`, `-total`, `request-size-avg`, `-max`, `response-rate`, `-total` | yes; without the handshake's exchange |
//! | `metadata-age` | yes; NaN before the first answer, where Java counts from 1970 |
//! | `metadata-wait-time-ns-total` | yes |
//! | `produce-throttle-time-avg`, `-max` | yes, of every answer, as in Java |
//! | `record-error-rate`, `-total` | yes: failed in a batch, before one, or refused by `send` (as in Java) |
//! | `record-queue-time-avg`, `-max` | yes: from the batch's beginning to its request; the time in the lane is `chunk-queue-time-*` |
//! | `record-retry-rate`, `-total` | yes |
//! | `record-send-rate`, `-total` | yes; a record sent again counts again, as in Java |
//! | `record-size-avg`, `-max` | yes, of every record; Java averages the largest of each batch, by an estimate |
//! | `records-per-request-avg`, `requests-in-flight` | yes |
//! | `request-latency-avg`, `-max` | yes, of Produce requests, as in Java |
//! | `select-*`, `io-time-*`, `io-wait-*`, `io-ratio` (and the deprecated `iotime-total`, `io-waittime-total`) | no: the sockets are tokio's, which polls and works on them in one; any number would be made up |
//! | `txn-init-time-ns-total`, `txn-begin-time-ns-total`, `txn-send-offsets-time-ns-total`, `txn-commit-time-ns-total`, `txn-abort-time-ns-total` | yes; calls that fail count, too, which Java leaves out |
//! | `bufferpool-wait-time-total` | no: deprecated for its unit (KIP-773) |
//! | **`producer-topic-metrics`**, tag `topic` | from a topic's first batch on |
//! | `record-send-rate`, `-total`, `byte-rate`, `-total`, `compression-rate`, `record-retry-rate`, `-total`, `record-error-rate`, `-total` | yes |
//! | `topic-name-inconsistency-rate`, `-total` | no: newer than 4.3 |
//! | **`producer-node-metrics`**, tag `node-id` (`node-1`; bootstrap servers are `node--1` and down) | |
//! | `incoming-byte-rate`, `-total`, `outgoing-byte-rate`, `-total`, `request-rate`, `-total`, `request-size-avg`, `-max`, `request-latency-avg`, `-max`, `response-rate`, `-total` | yes |
//! | **`app-info`**, **`kafka-metrics-count`** | no: they describe the Java library |
//!
//! | group of our own | what |
//! |---|---|
//! | `lane-metrics`, tag `lane` | bytes staged; size, number and waiting time of chunks; records through, failed, dropped |
//! | `plugin-metrics`, tags `plugin`, `hook`, `kind` | calls, records and time by hook; failures by kind; instances started, discarded, recycled; points and log lines past a bound; reloads done and failed |
//! | `plugin-series`, tag `plugin` and the plugin's labels | what plugins count themselves |

mod endpoint;
mod kafka;
mod plugins;
pub mod prometheus;
mod snapshot;
mod sources;
mod statistics;

pub(crate) use endpoint::{Endpoint, Listener};
pub use snapshot::{Metric, MetricKind, MetricsSnapshot};
pub(crate) use sources::{Reloads, Sources};
pub(crate) use statistics::Statistics;

/// Takes a snapshot.
pub(crate) type Source = Box<dyn Fn() -> MetricsSnapshot + Send>;
