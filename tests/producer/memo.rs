//! A keyed partitioner that reads only the key: its answers are remembered, and held against each other.

use super::Broker;
use super::guests::{Guests, close, failure, fate, outcomes, read};
use pointsman::plugin::{FailureKind, Hook};
use pointsman::{Delivery, Producer, Record};

const USED: &str = r#"partitioner.class = "wasm:guest""#;

/// Where the guest puts a key.
fn by_sum(key: &str, partitions: i32) -> i32 {
    key.bytes().map(i32::from).sum::<i32>() % partitions
}

fn metric(producer: &Producer, name: &str) -> f64 {
    let tags = [("plugin", "guest"), ("hook", "partition")];
    producer.metrics().value("plugin-metrics", name, &tags).unwrap_or_default()
}

/// So many records of each of so many keys, in turns.
fn send(producer: &Producer, keys: usize, each: usize) -> Vec<(String, Delivery)> {
    let keys: Vec<String> = (0..keys).map(|key| format!("key-{key}")).collect();
    let send = |key: &String| {
        (key.clone(), producer.send_blocking(&Record::to("orders").key(key).value("v")).expect("accepted"))
    };
    (0..each).flat_map(|_| keys.iter().map(send).collect::<Vec<_>>()).collect()
}

#[test]
fn a_slow_partitioner_is_asked_once_for_each_key() {
    let broker = Broker::start();
    // Some ten microseconds a record: far more than looking an answer up costs.
    let producer = Guests::used(USED)
        .plugin("guest", "timeout.ms = 20000", &[("mode", "slow"), ("rounds", "20000")])
        .start(&broker);
    for key in (0..30).map(|key| format!("key-{key}")) {
        fate(&producer, &Record::to("orders").key(&key).value("v")).unwrap();
    }
    let before = metric(&producer, "record-total");
    for (key, delivery) in send(&producer, 30, 100) {
        assert_eq!(delivery.wait().unwrap().partition, by_sum(&key, 6), "{key}");
    }
    let (asked, remembered) = (metric(&producer, "record-total"), metric(&producer, "remembered-total"));
    assert_eq!(asked + remembered, 3030.0);
    assert!(asked - before < 300.0, "{} were asked for again", asked - before);

    // The topic grows: what was remembered is forgotten, and the keys go by the new count.
    broker.broker.add_partitions("orders", 8);
    fate(&producer, &Record::to("orders").partition(7).value("v")).unwrap();
    for (key, delivery) in send(&producer, 30, 3) {
        assert_eq!(delivery.wait().unwrap().partition, by_sum(&key, 8), "{key}");
    }
    close(&producer);
}

#[test]
fn nulls_are_always_asked_for() {
    let broker = Broker::start();
    let producer = Guests::used(USED)
        .plugin("guest", "timeout.ms = 20000", &[("mode", "slow"), ("rounds", "20000")])
        .start(&broker);
    for _ in 0..50 {
        fate(&producer, &Record::to("orders").value("v")).unwrap();
    }
    assert_eq!(metric(&producer, "remembered-total"), 0.0);
    close(&producer);
}

#[test]
fn one_that_says_keyed_and_keeps_state_is_found_out() {
    let broker = Broker::start();
    let settings = [("mode", "keyed-state"), ("stage", "partition")];
    let producer = Guests::used(USED).plugin("guest", "breaker.failures = 0", &settings).start(&broker);
    // Its answer stands for the key, until it is asked again to compare.
    let mut delivered = 0;
    let error = loop {
        match fate(&producer, &Record::to("orders").key("a").value("v")) {
            Ok(metadata) => assert_eq!(metadata.partition, 0, "no key has lost its order"),
            Err(error) => break error,
        }
        delivered += 1;
        assert!(delivered < 100, "it is not found out");
    };
    let (plugin, hook, kind, cause) = failure(&error);
    assert_eq!((plugin, hook, kind), ("guest", Hook::Partition, FailureKind::BrokenRule));
    assert!(cause.contains("it says keyed, and answered partition 1 for a key that it gave partition 0"), "{cause}");
    assert_eq!(read(&broker, "orders").len(), delivered);
    // Records of their own partition are delivered all the same.
    fate(&producer, &Record::to("orders").partition(3).key("a").value("v")).unwrap();
    close(&producer);
}

#[test]
fn one_that_keeps_state_and_says_so_is_left_alone() {
    let broker = Broker::start();
    let producer = Guests::used(USED).plugin("guest", "", &[("mode", "state")]).start(&broker);
    let deliveries: Vec<Delivery> = send(&producer, 1, 6).into_iter().map(|(_, delivery)| delivery).collect();
    let partitions: Vec<i32> = outcomes(deliveries).into_iter().map(|outcome| outcome.unwrap().partition).collect();
    assert_eq!(partitions, [0, 1, 2, 3, 4, 5]);
    close(&producer);
}

#[test]
fn a_partition_that_does_not_exist_is_the_plugins_failure() {
    let broker = Broker::start();
    let settings = [("mode", "partition-out-of-range"), ("bad", "bad"), ("stage", "partition")];
    let producer = Guests::used(USED).plugin("guest", "", &settings).start(&broker);
    let error = fate(&producer, &Record::to("orders").key("bad").value("v")).unwrap_err();
    let (plugin, hook, kind, cause) = failure(&error);
    assert_eq!((plugin, hook, kind), ("guest", Hook::Partition, FailureKind::BrokenRule));
    assert!(cause.contains("partition 2147483647, and orders has 6"), "{cause}");
    let broken = [("plugin", "guest"), ("hook", "partition"), ("kind", "broken-rule")];
    assert_eq!(producer.metrics().value("plugin-metrics", "failure-total", &broken), Some(1.0));
    let discarded = producer.metrics().value("plugin-metrics", "instance-discard-total", &[("plugin", "guest")]);
    assert_eq!(discarded, Some(1.0));
    assert_eq!(fate(&producer, &Record::to("orders").key("good").value("v")).unwrap().partition, by_sum("good", 6));
    close(&producer);
}
