//! The same promises with every layout of Produce that brokers of the last years speak, and with an older broker.

use crate::harness::{Cluster, Setup};
use crate::producers::{PATIENCE, plain};
use crate::proxy::Capped;
use crate::reading::read;
use pointsman::error::Fate;
use pointsman::{Delivery, Header, ProduceError, Producer, Record};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// What each of them changed stands beside the codec: 3 is the first with record batches as they are, 7 may carry zstd,
/// 8 names refused records, 9 is flexible, 11 and 12 are of transactions, 13 has topics by id.
#[test]
#[ignore = "broker"]
fn every_version_of_produce_keeps_the_promises() {
    let capped = Capped::start();
    for version in [3, 7, 8, 9, 11, 12, 13] {
        let begun = Instant::now();
        capped.cap(version);
        Subject { cluster: &capped.cluster, name: format!("produce-{version}"), version }.keeps_the_promises();
        assert_eq!(capped.seen(), BTreeSet::from([version]));
        eprintln!("Produce {version}: {:.1} s", begun.elapsed().as_secs_f64());
    }
}

#[test]
#[ignore = "broker"]
fn kafka_3_9_keeps_the_promises() {
    let cluster = Cluster::start_with(Setup { version: Some("3.9.1"), auto_create: true, ..Setup::default() });
    Subject { cluster: &cluster, name: "older".to_owned(), version: 11 }.keeps_the_promises();
}

const KEYS: usize = 100;

/// A cluster that speaks Produce up to a version.
struct Subject<'a> {
    cluster: &'a Cluster,
    name: String,
    version: i16,
}

impl Subject<'_> {
    fn keeps_the_promises(&self) {
        self.fields_arrive_as_they_were_sent();
        self.every_codec_that_it_takes_is_read_back();
        self.batches_that_are_too_large_are_split();
        self.one_bad_record_fails_alone_where_it_is_named();
        self.offsets_are_told_as_acks_allow();
        self.a_topic_is_made_by_its_first_record();
        self.nothing_is_lost_when_the_broker_is_killed();
    }

    fn topic(&self, what: &str, partitions: &str, settings: &[&str]) -> String {
        let topic = format!("{}-{what}", self.name);
        let settings = settings.iter().flat_map(|setting| ["--config", setting]);
        let arguments: Vec<&str> = ["create", &topic, partitions].into_iter().chain(settings).collect();
        self.cluster.tool(&arguments);
        topic
    }

    fn producer(&self, settings: &str) -> Producer {
        plain(self.cluster, settings)
    }

    fn check_order(&self, topic: &str, records: usize) {
        let arguments = ["check-order", topic, "--records", &records.to_string(), "--keys", &KEYS.to_string()];
        self.cluster.tool(&arguments);
    }

    /// Tombstones, headers, both kinds of time, and a record that the broker refuses.
    fn fields_arrive_as_they_were_sent(&self) {
        let fields = self.topic("fields", "1", &[]);
        let stamped = self.topic("stamped", "1", &["message.timestamp.type=LogAppendTime"]);
        let producer = self.producer("max.request.size = 2000000");
        let headers = [Header::new("h", "1"), Header { name: "h", value: None }, Header::new("größe", "")];
        let records = [
            Record::to(&fields).key("tombstone").timestamp(1_700_000_000_500),
            Record::to(&fields).value("no key").timestamp(1_700_000_000_000),
            Record::to(&fields).key("").value("").headers(&headers).timestamp(0),
        ];
        for record in &records {
            let metadata = producer.send_blocking(record).unwrap().wait().unwrap();
            assert_eq!((metadata.timestamp, metadata.offset.is_some()), (record.timestamp.unwrap(), true));
        }
        // The topic goes on behind a refusal.
        let large = [b'x'; 1_048_576];
        let refused = producer.send_blocking(&Record::to(&fields).value(&large)).unwrap().wait().unwrap_err();
        assert!(refused.to_string().contains("MESSAGE_TOO_LARGE"), "{refused}");
        producer.send_blocking(&records[0]).unwrap().wait().unwrap();
        let metadata = producer.send_blocking(&Record::to(&stamped).value("v").timestamp(1)).unwrap().wait().unwrap();
        producer.close_blocking(PATIENCE).unwrap();

        let found = read(self.cluster, &fields);
        assert_eq!(found.len(), records.len() + 1);
        for (found, sent) in found.iter().zip(records.iter().chain([&records[0]])) {
            assert_eq!((found.key.as_deref(), found.value.as_deref()), (sent.key, sent.value));
            assert_eq!(Some(found.timestamp), sent.timestamp);
            let headers = found.headers.iter().map(|(name, value)| (name.as_str(), value.as_deref()));
            assert!(headers.eq(sent.headers.iter().map(|header| (header.name, header.value))), "{found:?}");
        }
        assert_eq!(read(self.cluster, &stamped)[0].timestamp, metadata.timestamp);
        assert_ne!(metadata.timestamp, 1, "the broker's time");
    }

    fn every_codec_that_it_takes_is_read_back(&self) {
        const RECORDS: usize = 5_000;
        for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
            let topic = self.topic(codec, "1", &[]);
            let producer = self.producer(&format!("compression.type = {codec:?}\nlinger.ms = 20\nbatch.size = 100000"));
            if codec == "zstd" && self.version < 7 {
                // Brokers before 7 would take zstd for garbage (KIP-110).
                let error = producer.send_blocking(&Record::to(&topic).value("zstd")).unwrap().wait().unwrap_err();
                assert!(error.to_string().contains("zstd needs Produce 7"), "{error}");
                assert_eq!(error.fate(), Fate::NotWritten);
                producer.close_blocking(PATIENCE).unwrap();
                continue;
            }
            send(&producer, &topic, 0..RECORDS).into_iter().for_each(|delivery| drop(delivery.wait().unwrap()));
            producer.close_blocking(PATIENCE).unwrap();
            self.check_order(&topic, RECORDS);
        }
    }

    fn batches_that_are_too_large_are_split(&self) {
        const RECORDS: usize = 3_000;
        let topic = self.topic("narrow", "1", &["max.message.bytes=20000"]);
        let producer = self.producer("batch.size = 262144\nlinger.ms = 50");
        send(&producer, &topic, 0..RECORDS).into_iter().for_each(|delivery| drop(delivery.wait().unwrap()));
        let metrics = producer.metrics().metrics;
        let splits = metrics.iter().find(|metric| metric.name == "batch-split-total").map(|metric| metric.value);
        assert!(splits > Some(0.0), "{splits:?}");
        producer.close_blocking(PATIENCE).unwrap();
        self.check_order(&topic, RECORDS);
    }

    /// KIP-467. Before it, nobody can say which of the batch's records it was.
    fn one_bad_record_fails_alone_where_it_is_named(&self) {
        let topic = self.topic("compacted", "1", &["cleanup.policy=compact"]);
        let producer = self.producer("linger.ms = 300");
        let keyed = |value| Record::to(&topic).key("k").value(value);
        let records = [keyed("a"), Record::to(&topic).value("no key"), keyed("b")];
        let deliveries = records.map(|record| producer.send_blocking(&record).unwrap());
        let outcomes = deliveries.map(|delivery| delivery.wait().map(|metadata| metadata.offset.unwrap()));
        let is_refused = |outcome: &Result<i64, ProduceError>| {
            matches!(outcome, Err(ProduceError::Broker { code: 87, fate: Fate::NotWritten, .. }))
        };
        assert!(is_refused(&outcomes[1]), "{outcomes:?}");
        if self.version >= 8 {
            assert_eq!((&outcomes[0], &outcomes[2]), (&Ok(0), &Ok(1)), "{outcomes:?}");
        } else {
            assert!(is_refused(&outcomes[0]) && is_refused(&outcomes[2]), "{outcomes:?}");
        }
        // It goes on behind it.
        producer.send_blocking(&keyed("c")).unwrap().wait().unwrap();
        producer.close_blocking(PATIENCE).unwrap();
    }

    fn offsets_are_told_as_acks_allow(&self) {
        const RECORDS: usize = 1_000;
        for acks in ["0", "1", "all"] {
            let topic = self.topic(&format!("acks-{acks}"), "1", &[]);
            let producer = self.producer(&format!("acks = {acks:?}"));
            for delivery in send(&producer, &topic, 0..RECORDS) {
                assert_eq!(delivery.wait().unwrap().offset.is_some(), acks != "0");
            }
            producer.close_blocking(PATIENCE).unwrap();
            if acks == "0" {
                // Nobody has waited for it.
                self.cluster.tool(&["read", &topic, "--expect", &RECORDS.to_string()]);
            }
            self.check_order(&topic, RECORDS);
        }
    }

    fn a_topic_is_made_by_its_first_record(&self) {
        const RECORDS: usize = 500;
        let topic = format!("{}-on-demand", self.name);
        let producer = self.producer("");
        send(&producer, &topic, 0..RECORDS).into_iter().for_each(|delivery| drop(delivery.wait().unwrap()));
        producer.close_blocking(PATIENCE).unwrap();
        self.check_order(&topic, RECORDS);
    }

    fn nothing_is_lost_when_the_broker_is_killed(&self) {
        const RECORDS: usize = 10_000;
        let topic = self.topic("killed", "3", &[]);
        let producer = self.producer("request.timeout.ms = 10000");
        let deliveries = std::thread::scope(|scope| {
            let (begun, half) = std::sync::mpsc::channel();
            let sending = scope.spawn(|| {
                let begun = begun;
                let mut deliveries = Vec::new();
                for first in (0..RECORDS).step_by(100) {
                    deliveries.extend(send(&producer, &topic, first..first + 100));
                    if first == RECORDS / 4 {
                        begun.send(()).unwrap();
                    }
                    std::thread::sleep(Duration::from_millis(5));
                }
                deliveries
            });
            half.recv().unwrap();
            // kill -9, and at once another start.
            self.cluster.restart(1);
            sending.join().unwrap()
        });
        deliveries.into_iter().for_each(|delivery| drop(delivery.wait().unwrap()));
        producer.close_blocking(PATIENCE).unwrap();
        self.check_order(&topic, RECORDS);
    }
}

/// What `check-order` expects.
fn send(producer: &Producer, topic: &str, numbers: std::ops::Range<usize>) -> Vec<Delivery> {
    let one = |number| {
        let (key, value) = (format!("key-{}", number % KEYS), format!("{number}|{number:0>60}"));
        producer.send_blocking(&Record::to(topic).key(&key).value(&value)).unwrap()
    };
    numbers.map(one).collect()
}
