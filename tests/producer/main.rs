//! The whole producer, sockets and threads included, against krafka's fake broker: another implementation of the
//! broker's side of the protocol, which checks sequences and takes a fault per request.

mod aside;
mod calls;
#[path = "../plugins/components.rs"]
mod components;
mod costs;
#[path = "../plugins/encode.rs"]
#[expect(dead_code, reason = "most of it is for the tests of the loader")]
mod encode;
mod ends;
mod guests;
mod hostile;
mod java;
mod lanes;
mod memo;
mod metrics;
mod natives;
mod policy;
mod reload;
mod serializers;
mod strangers;
mod topics;
mod transactions;

use krafka::error::ErrorCode;
use krafka::testing::{ApiKey, Control, FakeBroker};
use pointsman::error::Fate;
use pointsman::{CloseError, Config, Header, ProduceError, Producer, Record};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(30);

/// A broker with a topic of six partitions, and the runtime it lives on.
struct Broker {
    broker: FakeBroker,
    _runtime: tokio::runtime::Runtime,
}

impl Broker {
    fn start() -> Broker {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let broker = runtime.block_on(FakeBroker::start()).unwrap();
        broker.create_topic("orders", 6);
        Broker { broker, _runtime: runtime }
    }

    fn producer(&self, settings: &[(&str, &str)]) -> Producer {
        let mut config = Config::builder().set("bootstrap.servers", self.broker.bootstrap_servers());
        for (key, value) in settings {
            config = config.set(*key, value);
        }
        Producer::start(config.build().unwrap()).unwrap()
    }

    /// Key and value of every record, partition by partition in log order.
    fn records(&self) -> Vec<(i32, String, String)> {
        let text = |bytes: &Option<_>| {
            bytes.as_ref().map_or("null".into(), |bytes: &bytes::Bytes| String::from_utf8_lossy(bytes).into_owned())
        };
        let records = self.broker.all_records("orders").unwrap();
        records.iter().map(|record| (record.partition, text(&record.key), text(&record.value))).collect()
    }

    /// Each key's values are 0, 1, 2 … in log order, so many.
    fn assert_in_order(&self, keys: usize, each: usize) {
        let mut next = std::collections::BTreeMap::<String, usize>::new();
        for (_, key, value) in self.records() {
            let expected = next.entry(key.clone()).or_default();
            assert_eq!(value.parse::<usize>().unwrap(), *expected, "of {key}");
            *expected += 1;
        }
        assert_eq!(next.len(), keys);
        assert!(next.values().all(|&count| count == each), "{next:?}");
    }
}

fn send_numbered(producer: &Producer, keys: usize, each: usize) -> Vec<pointsman::Delivery> {
    let mut deliveries = Vec::new();
    for number in 0..each {
        for key in 0..keys {
            let (key, value) = (format!("key-{key}"), number.to_string());
            deliveries.push(producer.send_blocking(&Record::to("orders").key(&key).value(&value)).unwrap());
        }
    }
    deliveries
}

#[test]
fn records_arrive_in_order_with_their_metadata() {
    let broker = Broker::start();
    let producer = broker.producer(&[]);
    let headers = [Header::new("a", "1"), Header { name: "b", value: None }];
    let first = Record::to("orders").key("k").value("v").timestamp(1234).headers(&headers);
    let metadata = producer.send_blocking(&first).unwrap().wait().unwrap();
    assert_eq!((&*metadata.topic, metadata.offset, metadata.timestamp), ("orders", Some(0), 1234));
    assert_eq!((metadata.serialized_key_size, metadata.serialized_value_size), (Some(1), Some(1)));
    assert_eq!(metadata.partition as usize, pointsman::core::partition_of_key(b"k", 6));
    let null = producer.send_blocking(&Record::to("orders").partition(5)).unwrap().wait().unwrap();
    assert_eq!((null.partition, null.serialized_key_size, null.serialized_value_size), (5, None, None));

    let record = &broker.broker.all_records("orders").unwrap()[0];
    assert_eq!(record.timestamp, 1234);
    let names: Vec<String> = record.headers.iter().map(|header| format!("{header:?}")).collect();
    assert_eq!(names.len(), 2, "{names:?}");
    producer.close_blocking(PATIENCE).unwrap();
}

#[test]
fn many_records_arrive_once_and_in_order() {
    let broker = Broker::start();
    let producer = broker.producer(&[]);
    let deliveries = send_numbered(&producer, 50, 2000);
    producer.flush_blocking().unwrap();
    for delivery in deliveries {
        assert!(matches!(delivery.try_result(), Some(Ok(_))), "flush returns after the deliveries: {delivery:?}");
    }
    broker.assert_in_order(50, 2000);
    producer.close_blocking(PATIENCE).unwrap();
}

#[test]
fn lost_answers_and_disconnects_neither_lose_nor_double() {
    let broker = Broker::start();
    let count = Arc::new(AtomicUsize::new(0));
    broker.broker.on(ApiKey::Produce, move |_| match count.fetch_add(1, Ordering::Relaxed) % 7 {
        2 => Control::Disconnect,
        3 => Control::Error(ErrorCode::NotLeaderForPartition),
        4 => Control::ApplyThen(Box::new(Control::Disconnect)),
        5 => Control::Error(ErrorCode::NotEnoughReplicas),
        _ => Control::Pass,
    });
    let settings =
        [("linger.ms", "0"), ("retry.backoff.ms", "5"), ("reconnect.backoff.ms", "5"), ("batch.size", "400")];
    let producer = broker.producer(&settings);
    let deliveries = send_numbered(&producer, 20, 300);
    producer.flush_blocking().unwrap();
    for delivery in deliveries {
        delivery.wait().unwrap();
    }
    broker.assert_in_order(20, 300);
    producer.close_blocking(PATIENCE).unwrap();
}

#[test]
fn a_full_buffer_waits_in_line_and_loses_nothing() {
    let broker = Broker::start();
    let producer = broker.producer(&[("buffer.memory", "65536"), ("linger.ms", "1000")]);
    let threads: Vec<_> = (0..4)
        .map(|thread| {
            let producer = producer.clone();
            std::thread::spawn(move || {
                for number in 0..2000 {
                    let (key, value) = (format!("key-{thread}"), number.to_string());
                    let record = Record::to("orders").key(&key).value(&value);
                    drop(producer.send_blocking(&record).unwrap());
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    producer.close_blocking(PATIENCE).unwrap();
    broker.assert_in_order(4, 2000);
}

/// More of them than there is memory for, among small ones: some are held, some wait first, none is mistaken for another.
#[test]
fn large_values_that_are_held_arrive_as_they_were() {
    let broker = Broker::start();
    let producer = broker.producer(&[("buffer.memory", "100000"), ("linger.ms", "1")]);
    let values: Vec<bytes::Bytes> =
        (0..60u8).map(|at| vec![at; if at % 3 == 0 { 10 } else { 16_000 + usize::from(at) * 300 }].into()).collect();
    let deliveries: Vec<_> = values
        .iter()
        .map(|value| producer.send_blocking(&Record::to("orders").partition(1).shared_value(value)).unwrap())
        .collect();
    // The value counts, whatever it was said to lie in.
    let record = Record { value: Some(b"other"), ..Record::to("orders").partition(1).shared_value(&values[59]) };
    producer.send_blocking(&record).unwrap().wait().unwrap();
    for (at, delivery) in deliveries.into_iter().enumerate() {
        assert_eq!(delivery.wait().unwrap().offset, Some(at as i64));
    }
    let records = broker.broker.all_records("orders").unwrap();
    let found = records.iter().map(|record| record.value.as_deref().unwrap());
    assert!(found.eq(values.iter().map(|value| &value[..]).chain([&b"other"[..]])));
    producer.close_blocking(PATIENCE).unwrap();
    assert!(values.iter().all(bytes::Bytes::is_unique), "nobody holds them any more");
}

#[test]
fn callbacks_come_in_log_order_and_may_send() {
    let broker = Broker::start();
    let producer = broker.producer(&[]);
    let seen = Arc::new(Mutex::new(Vec::new()));
    for number in 0..1000 {
        let (seen, again) = (Arc::clone(&seen), producer.clone());
        let value = number.to_string();
        let record = Record::to("orders").partition(0).value(&value);
        let accept = producer.send_with(&record, move |result| {
            seen.lock().unwrap().push(result.unwrap().offset.unwrap());
            if number == 0 {
                assert!(matches!(pollster(again.flush()), Err(ProduceError::Misuse(_))));
                drop(again.try_send(&Record::to("orders").partition(1).value("from a callback")).unwrap());
            }
        });
        pollster(accept).unwrap();
    }
    producer.flush_blocking().unwrap();
    assert_eq!(*seen.lock().unwrap(), (0..1000).collect::<Vec<i64>>());
    producer.close_blocking(PATIENCE).unwrap();
    assert_eq!(broker.records().iter().filter(|record| record.0 == 1).count(), 1);
}

#[test]
fn a_callback_that_panics_takes_nobody_elses_turn() {
    let broker = Broker::start();
    let producer = broker.producer(&[]);
    let called = Arc::new(AtomicUsize::new(0));
    for number in 0..100 {
        let called = Arc::clone(&called);
        let record = Record::to("orders").partition(number % 6).value("x");
        let _delivery = pollster(producer.send_with(&record, move |_| {
            called.fetch_add(1, Ordering::Relaxed);
            assert_ne!(number, 10, "on purpose");
        }))
        .unwrap();
    }
    producer.flush_blocking().unwrap();
    assert_eq!(called.load(Ordering::Relaxed), 100);
    producer.close_blocking(PATIENCE).unwrap();
}

#[test]
fn a_topic_that_never_appears_ends_as_a_timeout_that_says_so() {
    let broker = Broker::start();
    broker.broker.on(ApiKey::Metadata, |_| Control::Error(ErrorCode::UnknownTopicOrPartition));
    let producer = broker.producer(&[("max.block.ms", "300")]);
    let error = producer.send_blocking(&Record::to("nowhere").value("x")).unwrap_err();
    assert_eq!(error.fate(), Fate::NotWritten);
    let text = error.to_string();
    for part in ["nowhere", "max.block.ms (300 ms)", "metadata", "UNKNOWN_TOPIC_OR_PARTITION"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    producer.close_blocking(PATIENCE).unwrap();
}

#[test]
fn a_broker_that_is_not_there_is_named() {
    let config = Config::builder().set("bootstrap.servers", "127.0.0.1:1").set("max.block.ms", "300").build();
    let producer = Producer::start(config.unwrap()).unwrap();
    let text = producer.send_blocking(&Record::to("orders").value("x")).unwrap_err().to_string();
    assert!(text.contains("127.0.0.1:1") && text.contains("refused"), "{text}");
    producer.close_blocking(PATIENCE).unwrap();
}

#[test]
fn close_with_no_time_fails_what_is_left_and_says_its_fate() {
    let broker = Broker::start();
    broker.broker.on(ApiKey::Produce, |_| Control::Silence);
    let producer = broker.producer(&[]);
    let delivery = producer.send_blocking(&Record::to("orders").partition(0).value("x")).unwrap();
    let error = producer.close_blocking(Duration::from_millis(300)).unwrap_err();
    assert_eq!(error, CloseError::Undelivered { batches: 1 });
    let closed = |partition, fate| ProduceError::Closed { topic: Some("orders".into()), partition, fate };
    assert_eq!(delivery.wait().unwrap_err(), closed(Some(0), Fate::Unknown));
    let refused = producer.send_blocking(&Record::to("orders").value("y")).unwrap_err();
    assert_eq!(refused, closed(None, Fate::NotWritten));
}

#[test]
fn a_record_that_can_never_fit_and_a_partition_that_is_not_there_fail_alone() {
    let broker = Broker::start();
    let producer = broker.producer(&[]);
    let large = vec![0; 1_100_000];
    let large = producer.send_blocking(&Record::to("orders").value(&large)).unwrap();
    let missing = producer.send_blocking(&Record::to("orders").partition(6).value("x")).unwrap();
    let good = producer.send_blocking(&Record::to("orders").value("x")).unwrap();
    assert!(matches!(large.wait().unwrap_err(), ProduceError::TooLarge { key: "max.request.size", .. }));
    assert!(matches!(missing.wait().unwrap_err(), ProduceError::NoSuchPartition { partition: 6, count: 6, .. }));
    good.wait().unwrap();
    producer.close_blocking(PATIENCE).unwrap();
}

/// Polls a future to its end on this thread.
fn pollster<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// Memory is full of what the broker never answers; a large record waits in front of a small one that has room. Whether
/// the small one is accepted as soon as the large one's sender went away.
fn accept_dropped_in_front_of_a_smaller_one() -> bool {
    let broker = Broker::start();
    let (arrived, arrival) = std::sync::mpsc::channel();
    broker.broker.on(ApiKey::Produce, move |_| {
        let _ = arrived.send(());
        Control::Silence
    });
    let settings = [("buffer.memory", "100000"), ("linger.ms", "0"), ("batch.size", "0")];
    let producer = broker.producer(&settings);
    let held = vec![0; 50_000];
    let _held = producer.send_blocking(&Record::to("orders").value(&held)).unwrap();
    arrival.recv_timeout(PATIENCE).unwrap();
    let large = vec![0; 90_000];
    let mut large = Box::pin(producer.send(&Record::to("orders").value(&large)));
    let mut small = Box::pin(producer.send(&Record::to("orders").value("small")));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(large.as_mut().poll(&mut context).is_pending());
    assert!(small.as_mut().poll(&mut context).is_pending(), "nobody is overtaken");
    // Whoever looks after those who wait has looked, and has no reason to look again.
    std::thread::sleep(Duration::from_millis(300));
    drop(large);
    let accepted = small.as_mut().poll(&mut context).is_ready();
    drop(small);
    let _ = producer.close_blocking(Duration::ZERO);
    accepted
}

#[test]
fn a_dropped_accept_lets_those_behind_it_go_on() {
    assert!(accept_dropped_in_front_of_a_smaller_one());
}

#[cfg(feature = "sabotage")]
#[test]
fn a_lost_wake_up_of_a_dropped_accept_is_noticed() {
    use pointsman::sabotage::{Sabotage, with};
    assert!(!with(Sabotage::LoseWakeUp, accept_dropped_in_front_of_a_smaller_one));
}
