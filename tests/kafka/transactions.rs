//! Transactions on a real Kafka, of both protocols, as Java's consumer with `isolation.level=read_committed` sees them.

use crate::harness::{Cluster, Setup};
use crate::producers::{PATIENCE, plain, routed};
use crate::reading::Read;
use pointsman::error::Fate;
use pointsman::transaction::{ConsumedOffset, ConsumerGroupMetadata, TransactionError};
use pointsman::{Delivery, ProduceError, Producer, Record};
use std::collections::BTreeMap;
use std::time::Duration;

fn with_id(cluster: &Cluster, id: &str, settings: &str) -> Producer {
    plain(cluster, &format!("transactional.id = {id:?}\n{settings}"))
}

fn committed(cluster: &Cluster, topic: &str) -> Vec<String> {
    let lines = cluster.tool(&["read", topic, "--isolation", "read_committed"]);
    lines.lines().map(|line| Read::from_line(line).text()).collect()
}

/// Of a group, by topic and partition.
fn offsets(cluster: &Cluster, group: &str) -> BTreeMap<String, i64> {
    let lines = cluster.tool(&["offsets", group]);
    let each = lines.lines().map(|line| {
        let line: serde_json::Value = serde_json::from_str(line).expect("the tool prints JSON");
        (format!("{}-{}", line["topic"].as_str().unwrap(), line["partition"]), line["offset"].as_i64().unwrap())
    });
    each.collect()
}

fn send(producer: &Producer, topic: &str, value: &str) -> Delivery {
    producer.send_blocking(&Record::to(topic).value(value)).expect("a transaction is open")
}

/// A cluster whose brokers speak one of the protocols.
struct Subject<'a> {
    cluster: &'a Cluster,
    name: &'static str,
}

impl Subject<'_> {
    fn keeps_the_promises(&self) {
        self.what_is_committed_is_seen_at_once_and_what_is_aborted_never();
        self.offsets_go_with_the_transaction();
        self.a_record_that_fails_keeps_the_transaction_from_being_committed();
        self.a_later_producer_of_the_same_id_takes_over();
        self.a_transaction_that_is_open_for_too_long_is_ended_by_the_broker();
        self.a_close_aborts();
    }

    fn topic(&self, what: &str, partitions: &str) -> String {
        let topic = format!("{}-{what}", self.name);
        self.cluster.tool(&["create", &topic, partitions]);
        topic
    }

    fn id(&self, what: &str) -> String {
        format!("{}-{what}", self.name)
    }

    fn what_is_committed_is_seen_at_once_and_what_is_aborted_never(&self) {
        let topic = self.topic("ends", "3");
        let producer = with_id(self.cluster, &self.id("ends"), "");
        let early = producer.begin_transaction().unwrap_err();
        assert!(early.to_string().contains("init_transactions comes first"), "{early}");
        producer.init_transactions_blocking().unwrap();
        let outside = producer.send_blocking(&Record::to(&topic).value("x")).unwrap_err();
        assert!(matches!(outside, ProduceError::NoTransaction { .. }), "{outside}");
        let mut expected = Vec::new();
        for number in 0..20 {
            producer.begin_transaction().unwrap();
            let commits = number % 3 != 1;
            for record in 0..50 {
                let value = format!("{number}/{record}");
                let partition = record % 3;
                let sent = Record::to(&topic).partition(partition).value(&value);
                let delivery = producer.send_blocking(&sent).unwrap();
                if record == 49 {
                    delivery.wait().unwrap();
                    assert_eq!(sorted(committed(self.cluster, &topic)), sorted(expected.clone()), "it is open");
                }
            }
            if commits {
                producer.commit_transaction_blocking().unwrap();
                expected.extend((0..50).map(|record| format!("{number}/{record}")));
            } else {
                producer.abort_transaction_blocking().unwrap();
            }
        }
        // One without anything in it.
        producer.begin_transaction().unwrap();
        producer.commit_transaction_blocking().unwrap();
        producer.begin_transaction().unwrap();
        producer.abort_transaction_blocking().unwrap();
        let twice = producer.commit_transaction_blocking().unwrap_err();
        assert!(twice.to_string().contains("no transaction is open"), "{twice}");
        assert_eq!(sorted(committed(self.cluster, &topic)), sorted(expected));
        producer.close_blocking(PATIENCE).unwrap();
    }

    fn offsets_go_with_the_transaction(&self) {
        let (input, output) = (self.topic("input", "2"), self.topic("output", "1"));
        let group = ConsumerGroupMetadata::of(self.id("group"));
        let producer = with_id(self.cluster, &self.id("offsets"), "");
        producer.init_transactions_blocking().unwrap();
        let of = |partition, offset| ConsumedOffset {
            topic: input.clone(),
            partition,
            offset,
            leader_epoch: None,
            metadata: Some("here".to_owned()),
        };
        for (number, commits) in [(1, true), (2, false), (3, true), (4, false)] {
            producer.begin_transaction().unwrap();
            // Some have nothing but offsets.
            if number < 3 {
                send(&producer, &output, &number.to_string());
            }
            let offsets = [of(0, number * 10), of(1, number * 100)];
            producer.send_offsets_to_transaction_blocking(&offsets, &group).unwrap();
            if commits {
                producer.commit_transaction_blocking().unwrap();
            } else {
                producer.abort_transaction_blocking().unwrap();
            }
        }
        let expected = BTreeMap::from([(format!("{input}-0"), 30), (format!("{input}-1"), 300)]);
        assert_eq!(offsets(self.cluster, &group.group_id), expected);
        assert_eq!(committed(self.cluster, &output), ["1"]);
        // A member that the group does not know, as one that was put out of it.
        producer.begin_transaction().unwrap();
        let stranger = ConsumerGroupMetadata { generation_id: 5, member_id: "nobody".to_owned(), ..group };
        let refused = producer.send_offsets_to_transaction_blocking(&[of(0, 77)], &stranger).unwrap_err();
        assert!(refused.must_abort() && refused.to_string().contains("TxnOffsetCommit"), "{refused}");
        let refused = producer.commit_transaction_blocking().unwrap_err();
        assert!(refused.must_abort(), "{refused}");
        producer.abort_transaction_blocking().unwrap();
        assert_eq!(offsets(self.cluster, &stranger.group_id), expected);
        producer.close_blocking(PATIENCE).unwrap();
    }

    fn a_record_that_fails_keeps_the_transaction_from_being_committed(&self) {
        let topic = self.id("fails");
        self.cluster.tool(&["create", &topic, "2", "--config", "max.message.bytes=20000"]);
        let producer = with_id(self.cluster, &self.id("fails"), "linger.ms = 50");
        producer.init_transactions_blocking().unwrap();
        for round in 0..3 {
            producer.begin_transaction().unwrap();
            let good = send(&producer, &topic, "good");
            let large = "x".repeat(30_000);
            let failed = producer.send_blocking(&Record::to(&topic).partition(0).value(&large)).unwrap();
            let failed = failed.wait().unwrap_err();
            assert!(failed.to_string().contains("MESSAGE_TOO_LARGE"), "{failed}");
            drop(good);
            let refused = producer.commit_transaction_blocking().unwrap_err();
            assert!(refused.must_abort() && refused.to_string().contains("MESSAGE_TOO_LARGE"), "{refused}");
            let outside = producer.send_blocking(&Record::to(&topic).value("x")).unwrap_err();
            assert!(outside.to_string().contains("has to be aborted"), "{outside}");
            assert_eq!(outside.fate(), Fate::NotWritten);
            producer.abort_transaction_blocking().unwrap();
            // The producer is as good as new.
            producer.begin_transaction().unwrap();
            for number in 0..100 {
                let value = format!("{round}/{number}");
                producer.send_blocking(&Record::to(&topic).partition(number % 2).value(&value)).unwrap();
            }
            producer.commit_transaction_blocking().unwrap();
        }
        let expected = (0..3).flat_map(|round| (0..100).map(move |number| format!("{round}/{number}")));
        assert_eq!(sorted(committed(self.cluster, &topic)), sorted(expected.collect()));
        producer.close_blocking(PATIENCE).unwrap();
    }

    fn a_later_producer_of_the_same_id_takes_over(&self) {
        let topic = self.topic("fenced", "1");
        let first = with_id(self.cluster, &self.id("fenced"), "");
        first.init_transactions_blocking().unwrap();
        first.begin_transaction().unwrap();
        send(&first, &topic, "of the first").wait().unwrap();
        let second = with_id(self.cluster, &self.id("fenced"), "");
        second.init_transactions_blocking().unwrap();
        second.begin_transaction().unwrap();
        send(&second, &topic, "of the second");
        second.commit_transaction_blocking().unwrap();
        // It may learn of it by what it sends, or by the commit.
        let late = send(&first, &topic, "late").wait();
        let fenced = first.commit_transaction_blocking().unwrap_err();
        let fenced = if fenced.must_abort() { first.abort_transaction_blocking().unwrap_err() } else { fenced };
        assert!(matches!(fenced, TransactionError::Fenced { .. }), "{fenced}, {late:?}");
        assert!(fenced.is_fatal() && fenced.to_string().contains(&self.id("fenced")), "{fenced}");
        let again = first.begin_transaction().unwrap_err();
        assert_eq!(again, fenced);
        assert!(first.send_blocking(&Record::to(&topic).value("x")).is_err());
        assert_eq!(committed(self.cluster, &topic), ["of the second"]);
        second.close_blocking(PATIENCE).unwrap();
        let _ = first.close_blocking(PATIENCE);
    }

    fn a_transaction_that_is_open_for_too_long_is_ended_by_the_broker(&self) {
        let topic = self.topic("slow", "1");
        let producer = with_id(self.cluster, &self.id("slow"), "transaction.timeout.ms = 1000");
        producer.init_transactions_blocking().unwrap();
        producer.begin_transaction().unwrap();
        send(&producer, &topic, "too slow").wait().unwrap();
        // Brokers look for them every ten seconds, by default.
        std::thread::sleep(Duration::from_secs(4));
        let error = producer.commit_transaction_blocking().unwrap_err();
        assert!(error.to_string().contains("transaction.timeout.ms"), "{error}");
        // With V2 it is told from one that was fenced off.
        let mut expected = vec![];
        if error.must_abort() {
            producer.abort_transaction_blocking().unwrap();
            producer.begin_transaction().unwrap();
            send(&producer, &topic, "in time");
            producer.commit_transaction_blocking().unwrap();
            expected.push("in time");
        } else {
            assert!(matches!(error, TransactionError::Fenced { .. }), "{error}");
        }
        assert_eq!(committed(self.cluster, &topic), expected);
        let _ = producer.close_blocking(PATIENCE);
    }

    fn a_close_aborts(&self) {
        let topic = self.topic("closed", "1");
        let producer = with_id(self.cluster, &self.id("closed"), "");
        producer.init_transactions_blocking().unwrap();
        producer.begin_transaction().unwrap();
        send(&producer, &topic, "half");
        producer.close_blocking(PATIENCE).unwrap();
        // The open one would hold back what comes after it until its time is over.
        let other = with_id(self.cluster, &self.id("other"), "");
        other.init_transactions_blocking().unwrap();
        other.begin_transaction().unwrap();
        send(&other, &topic, "whole");
        other.commit_transaction_blocking().unwrap();
        assert_eq!(committed(self.cluster, &topic), ["whole"]);
        other.close_blocking(PATIENCE).unwrap();
    }
}

const OFTEN: &str = "transaction.abort.timed.out.transaction.cleanup.interval.ms=500";

#[test]
#[ignore = "broker"]
fn transactions_of_the_second_protocol_keep_the_promises() {
    let cluster = Cluster::start_with(Setup { properties: &[OFTEN], ..Setup::default() });
    Subject { cluster: &cluster, name: "second" }.keeps_the_promises();
}

#[test]
#[ignore = "broker"]
fn transactions_of_the_first_protocol_keep_the_promises() {
    let cluster = Cluster::start_with(Setup { version: Some("3.9.1"), properties: &[OFTEN], ..Setup::default() });
    Subject { cluster: &cluster, name: "first" }.keeps_the_promises();
}

/// Through the plugins, with a broker of three killed and restarted twice: what the commits said stands there, once and in
/// order, and nothing else.
#[test]
#[ignore = "broker"]
fn transactions_survive_killed_brokers() {
    const TRANSACTIONS: usize = 60;
    const RECORDS: usize = 500;
    const KEYS: usize = 50;
    let cluster = Cluster::start(3);
    cluster.tool(&["create", "orders", "6", "--replication", "3", "--config", "min.insync.replicas=2"]);
    let producer = routed(&cluster, "transactional.id = \"orders\"");
    producer.init_transactions_blocking().unwrap();
    let (mut aborted, mut next) = (0, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for broker in [1, 2, 3, 1] {
                std::thread::sleep(Duration::from_secs(2));
                cluster.kill(broker);
                std::thread::sleep(Duration::from_secs(2));
                cluster.restart(broker);
                cluster.wait_isr();
            }
        });
        for number in 0..TRANSACTIONS {
            // What was aborted is sent again.
            loop {
                producer.begin_transaction().unwrap();
                for record in next..next + RECORDS {
                    let (key, value) = (format!("key-{}", record % KEYS), format!("{record}|of transaction {number}"));
                    producer.send_blocking(&Record::to("orders").key(&key).value(&value)).unwrap();
                }
                let on_purpose = number % 10 == 3 && aborted <= number / 10;
                let outcome = if on_purpose {
                    Err(TransactionError::MustAbort { reason: "on purpose".into() })
                } else {
                    producer.commit_transaction_blocking()
                };
                match outcome {
                    Ok(()) => break,
                    Err(error) if error.must_abort() => {
                        eprintln!("transaction {number}: {error}");
                        aborted += 1;
                        producer.abort_transaction_blocking().unwrap();
                    }
                    Err(error) => panic!("transaction {number}: {error}"),
                }
            }
            next += RECORDS;
            std::thread::sleep(Duration::from_millis(150));
        }
    });
    producer.close_blocking(PATIENCE).unwrap();
    let (records, keys) = ((TRANSACTIONS * RECORDS).to_string(), KEYS.to_string());
    let check = ["check-order", "orders", "--records", &records, "--keys", &keys, "--isolation", "read_committed"];
    let report = cluster.tool(&check);
    assert!(report.contains(&format!("\"records\":{records}")), "{report}");
    assert!(aborted >= TRANSACTIONS / 10);
}

fn sorted(mut values: Vec<String>) -> Vec<String> {
    values.sort();
    values
}
