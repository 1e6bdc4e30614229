//! Metrics after a known workload, and as Prometheus gets them.

use super::{Broker, PATIENCE};
use krafka::error::ErrorCode;
use krafka::testing::{ApiKey, Control};
use pointsman::transaction::{ConsumedOffset, ConsumerGroupMetadata};
use pointsman::{Config, MetricsSnapshot, Producer, Record, StartError};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Of a record with a value of ten bytes and nothing else: its length, five of one byte, the value, no headers.
const RECORD: f64 = 17.0;
/// The same alone in a batch.
const BATCH: f64 = 61.0 + RECORD;

fn send(producer: &Producer, partition: i32, records: usize) {
    for _ in 0..records {
        let record = Record::to("orders").partition(partition).value("ten bytes.").timestamp(1);
        drop(producer.send_blocking(&record).unwrap());
    }
}

fn of_producer(snapshot: &MetricsSnapshot, name: &str) -> f64 {
    snapshot.value("producer-metrics", name, &[]).unwrap_or_else(|| panic!("{name} is missing"))
}

fn of_topic(snapshot: &MetricsSnapshot, name: &str) -> f64 {
    let value = snapshot.value("producer-topic-metrics", name, &[("topic", "orders")]);
    value.unwrap_or_else(|| panic!("{name} is missing"))
}

/// What is free when nothing is under way. The socket's hold on the last batch ends a moment after its answer.
fn free_in_the_end(producer: &Producer) -> f64 {
    let total = of_producer(&producer.metrics(), "buffer-total-bytes");
    for _ in 0..1000 {
        if of_producer(&producer.metrics(), "buffer-available-bytes") == total {
            break;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    of_producer(&producer.metrics(), "buffer-available-bytes")
}

#[test]
fn records_and_bytes_are_counted_to_the_last() {
    let broker = Broker::start();
    let producer = broker.producer(&[("linger.ms", "10000"), ("client.id", "counted")]);
    for partition in 0..3 {
        send(&producer, partition, 1);
    }
    producer.flush_blocking().unwrap();
    let now = producer.metrics();
    for (name, expected) in [
        ("record-send-total", 3.0),
        ("record-retry-total", 0.0),
        ("record-error-total", 0.0),
        ("batch-size-avg", BATCH),
        ("batch-size-max", BATCH),
        ("record-size-avg", RECORD),
        ("record-size-max", RECORD),
        ("compression-rate-avg", 1.0),
        ("requests-in-flight", 0.0),
        ("waiting-threads", 0.0),
        ("buffer-exhausted-total", 0.0),
        ("buffer-total-bytes", 33_554_432.0),
        ("produce-throttle-time-max", 0.0),
        ("batch-split-total", 0.0),
        ("connection-close-total", 0.0),
    ] {
        assert_eq!(of_producer(&now, name), expected, "{name}");
    }
    for name in [
        "record-send-rate",
        "records-per-request-avg",
        "request-latency-avg",
        "request-latency-max",
        "record-queue-time-avg",
        "flush-time-ns-total",
        "metadata-wait-time-ns-total",
        "metadata-age",
        "outgoing-byte-total",
        "incoming-byte-total",
        "connection-count",
    ] {
        assert!(of_producer(&now, name) > 0.0, "{name} is {}", of_producer(&now, name));
    }
    assert_eq!(of_topic(&now, "record-send-total"), 3.0);
    assert_eq!(of_topic(&now, "byte-total"), 3.0 * BATCH);
    assert_eq!(of_topic(&now, "compression-rate"), 1.0);
    let requests: f64 = of_producer(&now, "request-total");
    let nodes: Vec<_> = now
        .metrics
        .iter()
        .filter(|metric| metric.group == "producer-node-metrics" && metric.name == "request-total")
        .collect();
    assert_eq!(nodes.iter().map(|metric| metric.value).sum::<f64>(), requests, "{nodes:?}");
    assert!(nodes.iter().any(|metric| metric.tags[1].1.starts_with("node-")), "{nodes:?}");
    let leader = nodes.iter().filter(|metric| !metric.tags[1].1.starts_with("node--")).map(|metric| &metric.tags[1].1);
    for node in leader {
        let latency = now.value("producer-node-metrics", "request-latency-max", &[("node-id", node)]);
        assert!(latency.is_some_and(|latency| latency > 0.0), "{node}: {latency:?}");
    }
    assert_eq!(now.value("lane-metrics", "record-total", &[("lane", "0")]), Some(3.0));
    assert!(now.metrics.iter().all(|metric| metric.tags[0] == ("client-id".to_owned(), "counted".to_owned())));

    assert_eq!(free_in_the_end(&producer), 33_554_432.0);
    producer.close_blocking(PATIENCE).unwrap();
    let end = producer.metrics();
    assert_eq!(of_producer(&end, "connection-count"), 0.0);
    assert_eq!(of_producer(&end, "connection-close-total"), of_producer(&end, "connection-creation-total"));
}

#[test]
fn retries_and_failures_are_counted_by_record() {
    let broker = Broker::start();
    let count = Arc::new(AtomicUsize::new(0));
    broker.broker.on(ApiKey::Produce, move |_| match count.fetch_add(1, Ordering::Relaxed) {
        0 | 1 => Control::Error(ErrorCode::NotEnoughReplicas),
        3 => Control::Error(ErrorCode::TopicAuthorizationFailed),
        _ => Control::Pass,
    });
    let producer = broker.producer(&[("linger.ms", "10000"), ("retry.backoff.ms", "5")]);
    send(&producer, 0, 5);
    producer.flush_blocking().unwrap();
    let now = producer.metrics();
    assert_eq!(of_producer(&now, "record-send-total"), 15.0, "each time that they go out");
    assert_eq!(of_producer(&now, "record-retry-total"), 10.0);
    assert_eq!(of_producer(&now, "record-error-total"), 0.0);
    assert_eq!(of_producer(&now, "records-per-request-avg"), 5.0);

    send(&producer, 0, 7);
    producer.flush_blocking().unwrap();
    let large = vec![0; 1_100_000];
    drop(producer.send_blocking(&Record::to("orders").value(&large)).unwrap());
    producer.flush_blocking().unwrap();
    let now = producer.metrics();
    assert_eq!(of_producer(&now, "record-error-total"), 8.0);
    assert_eq!(of_topic(&now, "record-error-total"), 7.0, "one never got into a batch");
    assert_eq!(of_topic(&now, "record-retry-total"), 10.0);
    assert_eq!(of_topic(&now, "record-send-total"), 22.0);
    assert_eq!(free_in_the_end(&producer), of_producer(&now, "buffer-total-bytes"));
    producer.close_blocking(PATIENCE).unwrap();
}

#[test]
fn who_waits_for_memory_is_counted() {
    let broker = Broker::start();
    broker.broker.on(ApiKey::Produce, |_| Control::Silence);
    let producer = broker.producer(&[("buffer.memory", "4096"), ("max.block.ms", "200")]);
    let record = [0; 3000];
    let mut refused = 0.0;
    for _ in 0..4 {
        refused += f64::from(producer.send_blocking(&Record::to("orders").value(&record)).is_err());
    }
    let now = producer.metrics();
    assert!(refused > 0.0);
    assert_eq!(of_producer(&now, "buffer-exhausted-total"), refused);
    assert_eq!(of_producer(&now, "record-error-total"), refused);
    assert!(of_producer(&now, "bufferpool-wait-time-ns-total") >= refused * 190e6);
    assert!(of_producer(&now, "bufferpool-wait-ratio") > 0.0);
    drop(producer.close_blocking(Duration::ZERO));
}

#[test]
fn the_time_of_calls_about_transactions_is_counted_in_each_of_them() {
    let broker = Broker::start();
    // The embedded broker takes offsets of transactions V2 only.
    broker.broker.set_transaction_version(2);
    broker.broker.on(ApiKey::EndTxn, |_| Control::Delay(Duration::from_millis(20)));
    let producer = broker.producer(&[("transactional.id", "timed")]);
    let times = || {
        let now = producer.metrics();
        let of = |call: &str| of_producer(&now, &format!("txn-{call}-time-ns-total"));
        ["init", "begin", "send-offsets", "commit", "abort"].map(of)
    };
    let mut expected = [false; 5];
    let mut check = |call: Option<usize>| {
        expected[call.unwrap_or(0)] |= call.is_some();
        assert_eq!(times().map(|nanos| nanos > 0.0), expected);
    };
    check(None);
    producer.init_transactions_blocking().unwrap();
    check(Some(0));
    producer.begin_transaction().unwrap();
    check(Some(1));
    send(&producer, 0, 1);
    let offset = ConsumedOffset { topic: "in".into(), partition: 0, offset: 7, leader_epoch: None, metadata: None };
    producer.send_offsets_to_transaction_blocking(&[offset], &ConsumerGroupMetadata::of("group")).unwrap();
    check(Some(2));
    producer.commit_transaction_blocking().unwrap();
    check(Some(3));
    producer.begin_transaction().unwrap();
    send(&producer, 0, 1);
    producer.abort_transaction_blocking().unwrap();
    check(Some(4));
    let [.., commit, _] = times();
    assert!(commit >= 20e6, "{commit}");
    assert_eq!(of_producer(&producer.metrics(), "flush-time-ns-total"), 0.0, "nobody called flush");
    producer.close_blocking(PATIENCE).unwrap();
}

#[test]
fn the_endpoint_serves_what_prometheus_can_read() {
    let broker = Broker::start();
    let producer = broker.producer(&[("metrics.prometheus.listen", "127.0.0.1:0"), ("client.id", "a \"b\" \\ c")]);
    send(&producer, 0, 4);
    producer.flush_blocking().unwrap();
    let address = producer.prometheus_address().unwrap();

    let (head, body) = get(address, "/metrics");
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert!(head.to_lowercase().contains("content-type: text/plain; version=0.0.4; charset=utf-8"), "{head}");
    let samples = checked(&body);
    let sample = |name: &str, labels: &str| samples.get(&(name.to_owned(), labels.to_owned())).copied();
    let client = r#"client_id="a \"b\" \\ c""#;
    assert_eq!(sample("kafka_producer_record_send_total", client), Some(4.0));
    let of_topic = format!("{client},topic=\"orders\"");
    assert_eq!(sample("kafka_producer_topic_record_send_total", &of_topic), Some(4.0));
    assert!(
        samples.keys().any(|(name, labels)| name == "kafka_producer_node_request_total" && labels.contains("node_id"))
    );
    assert_eq!(samples.len(), producer.metrics().metrics.len(), "every metric has its place");

    for path in ["/", "/metrics2"] {
        let (head, _) = get(address, path);
        assert!(head.starts_with("HTTP/1.1 404 "), "{path}: {head}");
    }
    producer.close_blocking(PATIENCE).unwrap();
    // The server's own thread lets go of the socket a moment later.
    let gone = (0..200).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(50));
        TcpStream::connect(address).is_err()
    });
    assert!(gone, "it ends with the producer");
}

#[test]
fn an_address_that_is_taken_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let config = Config::builder().set("bootstrap.servers", "127.0.0.1:1").set("metrics.prometheus.listen", &address);
    let error = Producer::start(config.build().unwrap()).unwrap_err();
    assert!(matches!(error, StartError::MetricsListen { .. }), "{error}");
    for part in ["metrics.prometheus.listen", &address] {
        assert!(error.to_string().contains(part), "{error}");
    }
    let config = Config::builder().set("bootstrap.servers", "127.0.0.1:1").set("metrics.prometheus.listen", "9100");
    let error = config.build().unwrap_err().to_string();
    assert!(error.contains("metrics.prometheus.listen") && error.contains("127.0.0.1:9100"), "{error}");
}

#[test]
fn statistics_are_a_line_of_json_at_every_interval() {
    let lines = Lines::default();
    let of_subscriber = lines.clone();
    tracing_subscriber::fmt()
        .with_env_filter("pointsman::statistics=info")
        .with_writer(move || of_subscriber.clone())
        .init();
    let broker = Broker::start();
    let producer = broker.producer(&[("statistics.interval.ms", "20"), ("client.id", "told")]);
    send(&producer, 0, 4);
    producer.flush_blocking().unwrap();
    std::thread::sleep(Duration::from_millis(100));
    producer.close_blocking(PATIENCE).unwrap();
    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    let parsed: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(&line[line.find('{').unwrap()..]).unwrap()).collect();
    assert!(parsed.len() >= 2, "{text}");
    let last = parsed.last().unwrap()["metrics"].as_array().unwrap();
    let sent = last.iter().find(|metric| metric["name"] == "record-send-total").unwrap();
    assert_eq!((&sent["tags"]["client-id"], &sent["value"]), (&"told".into(), &4.into()));
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The head and the body of the answer to a request.
fn get(address: SocketAddr, path: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nAccept-Encoding: identity\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let body = if head.to_lowercase().contains("transfer-encoding: chunked") { unchunked(body) } else { body.into() };
    (head.to_owned(), body)
}

fn unchunked(mut body: &str) -> String {
    let mut whole = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size.trim(), 16).unwrap();
        if size == 0 {
            break;
        }
        whole.push_str(&rest[..size]);
        body = &rest[size + 2..];
    }
    whole
}

/// Samples by name and labels of a text in Prometheus' format 0.0.4, each line of which is checked: the grammar, HELP
/// and TYPE once and before the samples of a family, whose lines stand together, no series twice, counters in `_total`.
fn checked(text: &str) -> BTreeMap<(String, String), f64> {
    let is_name = |name: &str| {
        name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_' || first == ':')
            && name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_' || letter == ':')
    };
    let mut samples = BTreeMap::new();
    let (mut seen, mut helped, mut current) = (BTreeSet::new(), None, None);
    assert!(text.ends_with('\n'));
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, words) = help.split_once(' ').unwrap_or_else(|| panic!("{line}"));
            assert!(is_name(name) && !words.is_empty() && seen.insert(name.to_owned()), "{line}");
            (helped, current) = (Some(name), None);
        } else if let Some(of) = line.strip_prefix("# TYPE ") {
            let (name, kind) = of.split_once(' ').unwrap_or_else(|| panic!("{line}"));
            assert_eq!(helped.take(), Some(name), "{line}");
            assert!(matches!(kind, "counter" | "gauge"), "{line}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            current = Some(name);
        } else {
            let (name, rest) = line.split_once('{').unwrap_or_else(|| panic!("{line}"));
            assert_eq!(current, Some(name), "{line}");
            let (labels, value) = labels(rest).unwrap_or_else(|| panic!("{line}"));
            let names: Vec<&str> = labels.iter().map(|(name, _)| *name).collect();
            assert!(names.iter().all(|name| is_name(name) && !name.contains(':')), "{line}");
            assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "{line}");
            let number: f64 = value.parse().unwrap_or_else(|_| panic!("{line}"));
            let key = &rest[..rest.len() - value.len() - 2];
            assert!(samples.insert((name.to_owned(), key.to_owned()), number).is_none(), "{line}");
        }
    }
    samples
}

/// The labels up to the closing brace, their values as written, and the value after it.
fn labels(mut text: &str) -> Option<(Vec<(&str, &str)>, &str)> {
    let mut labels = Vec::new();
    loop {
        if let Some(value) = text.strip_prefix("} ") {
            return Some((labels, value));
        }
        let (name, rest) = text.split_once("=\"")?;
        let mut escaped = false;
        let end = rest.find(|letter| {
            let is_end = letter == '"' && !escaped;
            escaped = letter == '\\' && !escaped;
            is_end
        })?;
        labels.push((name, &rest[..end]));
        text = &rest[end + 1..];
        text = text.strip_prefix(',').unwrap_or(text);
    }
}

/// The names are Kafka's, to the letter: dashboards for the Java producer fit. What it measures of threads that this
/// one does not have (io-wait-*, io-time-*, select-*) and of its JVM is not there.
#[test]
fn metrics_have_kafkas_names_and_no_others() {
    let table: [(&str, &[&str], &[&str]); 3] = [
        (
            "producer-metrics",
            &["client-id"],
            &[
                // SenderMetricsRegistry
                "batch-size-avg",
                "batch-size-max",
                "batch-split-rate",
                "batch-split-total",
                "compression-rate-avg",
                "metadata-age",
                "produce-throttle-time-avg",
                "produce-throttle-time-max",
                "record-error-rate",
                "record-error-total",
                "record-queue-time-avg",
                "record-queue-time-max",
                "record-retry-rate",
                "record-retry-total",
                "record-send-rate",
                "record-send-total",
                "record-size-avg",
                "record-size-max",
                "records-per-request-avg",
                "request-latency-avg",
                "request-latency-max",
                "requests-in-flight",
                // RecordAccumulator, BufferPool
                "buffer-available-bytes",
                "buffer-exhausted-rate",
                "buffer-exhausted-total",
                "buffer-total-bytes",
                "bufferpool-wait-ratio",
                "bufferpool-wait-time-ns-total",
                "waiting-threads",
                // KafkaProducerMetrics
                "flush-time-ns-total",
                "metadata-wait-time-ns-total",
                "txn-abort-time-ns-total",
                "txn-begin-time-ns-total",
                "txn-commit-time-ns-total",
                "txn-init-time-ns-total",
                "txn-send-offsets-time-ns-total",
                // Selector
                "connection-close-rate",
                "connection-close-total",
                "connection-count",
                "connection-creation-rate",
                "connection-creation-total",
                "failed-authentication-rate",
                "failed-authentication-total",
                "failed-reauthentication-rate",
                "failed-reauthentication-total",
                "incoming-byte-rate",
                "incoming-byte-total",
                "network-io-rate",
                "network-io-total",
                "outgoing-byte-rate",
                "outgoing-byte-total",
                "reauthentication-latency-avg",
                "reauthentication-latency-max",
                "request-rate",
                "request-size-avg",
                "request-size-max",
                "request-total",
                "response-rate",
                "response-total",
                "successful-authentication-rate",
                "successful-authentication-total",
                "successful-reauthentication-rate",
                "successful-reauthentication-total",
            ],
        ),
        (
            "producer-topic-metrics",
            &["client-id", "topic"],
            &[
                "byte-rate",
                "byte-total",
                "compression-rate",
                "record-error-rate",
                "record-error-total",
                "record-retry-rate",
                "record-retry-total",
                "record-send-rate",
                "record-send-total",
            ],
        ),
        (
            "producer-node-metrics",
            &["client-id", "node-id"],
            &[
                "incoming-byte-rate",
                "incoming-byte-total",
                "outgoing-byte-rate",
                "outgoing-byte-total",
                "request-latency-avg",
                "request-latency-max",
                "request-rate",
                "request-size-avg",
                "request-size-max",
                "request-total",
                "response-rate",
                "response-total",
            ],
        ),
    ];
    let broker = Broker::start();
    let producer = broker.producer(&[]);
    send(&producer, 0, 1);
    producer.flush_blocking().unwrap();
    let snapshot = producer.metrics();
    for (group, tags, names) in table {
        let of_group = snapshot.metrics.iter().filter(|metric| metric.group == group);
        let found: BTreeSet<&str> = of_group.clone().map(|metric| &*metric.name).collect();
        assert_eq!(found, names.iter().copied().collect(), "{group}");
        for metric in of_group {
            let found: Vec<&str> = metric.tags.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!(found, tags, "{group} {}", metric.name);
            assert!(!metric.description.is_empty());
        }
    }
    producer.close_blocking(PATIENCE).unwrap();
}
