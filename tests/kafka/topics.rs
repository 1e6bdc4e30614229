//! Topics that come into being, grow, and are made anew while a producer lives.

use crate::harness::{Cluster, Setup};
use crate::producers::{PATIENCE, plain};
use crate::reading::read;
use pointsman::{ProduceError, Producer, Record, RecordMetadata};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

fn send(producer: &Producer, topic: &str, key: usize, value: &str) -> RecordMetadata {
    let key = format!("key-{key}");
    producer.send_blocking(&Record::to(topic).key(&key).value(value)).unwrap().wait().unwrap()
}

/// The broker answers that it knows no such topic, then that nobody leads it, before all is well.
#[test]
#[ignore = "broker"]
fn a_topic_that_the_broker_creates_on_first_use_takes_every_record() {
    const RECORDS: usize = 5000;
    let setup = Setup { auto_create: true, properties: &["num.partitions=4"], ..Setup::default() };
    let cluster = Cluster::start_with(setup);
    let producer = plain(&cluster, "");
    for round in 0..5 {
        let topic = format!("made-{round}");
        let mut deliveries = Vec::new();
        for number in 0..RECORDS {
            let (key, value) = (format!("key-{}", number % 50), format!("{number}|"));
            deliveries.push(producer.send_blocking(&Record::to(&topic).key(&key).value(&value)).unwrap());
        }
        for delivery in deliveries {
            delivery.wait().unwrap();
        }
        cluster.tool(&["check-order", &topic, "--records", &RECORDS.to_string(), "--keys", "50"]);
        assert_eq!(cluster.tool(&["describe", &topic]).matches(r#""leader":1"#).count(), 4);
    }
    producer.close_blocking(PATIENCE).unwrap();
}

#[test]
#[ignore = "broker"]
fn a_topic_made_anew_takes_what_is_sent_to_it_once() {
    let cluster = Cluster::shared();
    cluster.tool(&["create", "phoenix", "3"]);
    let producer = plain(cluster, "");
    for life in 0..3 {
        for number in 0..300 {
            let metadata = send(&producer, "phoenix", number % 30, &format!("{number}|{life}"));
            assert!(metadata.offset.is_some());
        }
        // Of this life alone.
        cluster.tool(&["check-order", "phoenix", "--records", "300", "--keys", "30"]);
        assert!(read(cluster, "phoenix").iter().all(|record| record.text().ends_with(&format!("|{life}"))));
        cluster.tool(&["delete", "phoenix"]);
        cluster.tool(&["create", "phoenix", "3"]);
    }
    producer.close_blocking(PATIENCE).unwrap();
}

/// What was under way while it went may stand in the new one or be gone with the old one; nothing stands there twice.
#[test]
#[ignore = "broker"]
fn a_topic_made_anew_under_load_has_nothing_twice_and_in_order() {
    const KEYS: usize = 30;
    let cluster = Cluster::shared();
    cluster.tool(&["create", "phoenix-under-load", "3"]);
    let producer = plain(cluster, "");
    let over = AtomicBool::new(false);
    let sent = std::thread::scope(|scope| {
        let sender = scope.spawn(|| {
            let mut deliveries = Vec::new();
            let mut number = 0;
            let mut after = 0;
            // Some more once the last change is through, which have to arrive.
            while after < 1000 {
                after += usize::from(over.load(Ordering::Acquire));
                let (key, value) = (format!("key-{}", number % KEYS), format!("{number}|"));
                deliveries
                    .push(producer.send_blocking(&Record::to("phoenix-under-load").key(&key).value(&value)).unwrap());
                if number % 20 == 0 {
                    std::thread::sleep(std::time::Duration::from_millis(2));
                }
                number += 1;
            }
            for (number, delivery) in deliveries.into_iter().enumerate() {
                delivery.wait().unwrap_or_else(|error| panic!("record {number}: {error}"));
            }
            number
        });
        for _ in 0..3 {
            cluster.tool(&["delete", "phoenix-under-load"]);
            cluster.tool(&["create", "phoenix-under-load", "3"]);
        }
        over.store(true, Ordering::Release);
        sender.join().unwrap()
    });
    producer.close_blocking(PATIENCE).unwrap();
    let found = read(cluster, "phoenix-under-load");
    let mut seen = BTreeSet::new();
    let mut last = [None; KEYS];
    for record in &found {
        let number: usize = record.text().trim_end_matches('|').parse().unwrap();
        assert!(seen.insert(number), "record {number} stands there twice");
        assert!(last[number % KEYS] < Some(number), "record {number} after {:?}", last[number % KEYS]);
        last[number % KEYS] = Some(number);
    }
    assert!((sent - 1000..sent).all(|number| seen.contains(&number)), "the last thousand are all there");
}

/// What waits for a partition that is no more fails and says so; after that, the topic is as it is now.
#[test]
#[ignore = "broker"]
fn a_topic_made_anew_with_fewer_partitions_is_written_to_by_its_new_count() {
    let cluster = Cluster::shared();
    cluster.tool(&["create", "shrunk", "6"]);
    let producer = plain(cluster, "");
    let keys: Vec<String> = (0..60).map(|key| format!("key-{key}")).collect();
    // Without a key the choice sticks, to a partition that may go.
    let records: Vec<Record<'_>> =
        keys.iter().flat_map(|key| [Record::to("shrunk").key(key), Record::to("shrunk")]).collect();
    for record in &records {
        producer.send_blocking(&record.value("before")).unwrap().wait().unwrap();
    }
    cluster.tool(&["delete", "shrunk"]);
    cluster.tool(&["create", "shrunk", "2"]);
    let mut partitions = BTreeSet::new();
    let mut refused = 0;
    for record in &records {
        let metadata = loop {
            match producer.send_blocking(&record.value("after")).unwrap().wait() {
                Ok(metadata) => break metadata,
                Err(ProduceError::NoSuchPartition { count: 2, .. }) => refused += 1,
                Err(error) => panic!("{error}"),
            }
        };
        partitions.insert(metadata.partition);
    }
    assert_eq!(partitions, BTreeSet::from([0, 1]));
    assert!(refused <= 1, "{refused} records went to partitions that were known to be gone");
    producer.close_blocking(PATIENCE).unwrap();
    let found = read(cluster, "shrunk");
    assert_eq!(found.len(), records.len());
    assert!(found.iter().all(|record| record.text() == "after"));
}

#[test]
#[ignore = "broker"]
fn partitions_that_are_added_come_into_use() {
    let cluster = Cluster::shared();
    cluster.tool(&["create", "grown", "2"]);
    let producer = plain(cluster, "metadata.max.age.ms = 200");
    let used = |producer: &Producer| -> BTreeSet<i32> {
        (0..100).map(|key| send(producer, "grown", key, "v").partition).collect()
    };
    assert_eq!(used(&producer), BTreeSet::from([0, 1]));
    cluster.tool(&["grow", "grown", "7"]);
    // However long a refresh takes, each round goes on until it has come.
    while used(&producer).len() < 7 {}
    assert_eq!(used(&producer), (0..7).collect());
    producer.close_blocking(PATIENCE).unwrap();
}
