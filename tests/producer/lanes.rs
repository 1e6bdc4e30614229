//! Several lanes: the same order, outcomes on the way that their records came, one flush and one memory.

use super::guests::{Guests, close, outcomes};
use super::{Broker, PATIENCE, pollster};
use krafka::error::ErrorCode;
use krafka::testing::{ApiKey, Control};
use pointsman::plugin::{
    Acknowledgements, Batch, Edits, FailureKind, Fields, Interceptor, InterceptorWants, PluginFailure, Reads,
};
use pointsman::{Config, ProduceError, Producer, Record};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::ThreadId;
use std::time::Duration;

/// Keeps which thread each key went by, and tells whether its acknowledgement came back there. Traps, as far as a native
/// one can, on calls with a value that says so.
#[derive(Clone)]
struct Witness {
    wants: InterceptorWants,
    seen: Arc<Mutex<Seen>>,
    /// How long an acknowledgement takes in the lane that sees this key.
    slow: Option<(&'static [u8], Duration)>,
    is_slow: bool,
}

#[derive(Default)]
struct Seen {
    threads_of_keys: BTreeMap<Vec<u8>, BTreeSet<String>>,
    sent_by: Vec<ThreadId>,
    acknowledged: BTreeMap<u64, usize>,
    astray: usize,
}

impl Witness {
    fn new() -> Witness {
        let fields = Fields { key: true, value: true, ..Fields::default() };
        let wants = InterceptorWants {
            on_send: Some(Reads { fields, ..Reads::default() }),
            acknowledgements: true,
            ..InterceptorWants::default()
        };
        Witness { wants, seen: Arc::default(), slow: None, is_slow: false }
    }

    fn lanes(&self) -> usize {
        self.seen.lock().unwrap().sent_by.iter().collect::<std::collections::HashSet<_>>().len()
    }
}

impl Interceptor for Witness {
    fn wants(&self) -> &InterceptorWants {
        &self.wants
    }

    fn on_send(&mut self, batch: &Batch<'_>) -> Result<Edits, PluginFailure> {
        let mut seen = self.seen.lock().unwrap();
        let thread = std::thread::current();
        let mut edits = Edits::default();
        for (key, value) in batch.keys.unwrap().iter().zip(batch.values.unwrap().iter()) {
            if value.is_some_and(|value| value.starts_with(b"trap")) {
                return Err(PluginFailure::new(FailureKind::Trap, "on purpose"));
            }
            let key = key.unwrap_or(b"none");
            self.is_slow |= self.slow.is_some_and(|(slow, _)| slow == key);
            seen.threads_of_keys.entry(key.to_vec()).or_default().insert(thread.name().unwrap().to_owned());
            seen.sent_by.push(thread.id());
            edits.tags.push(seen.sent_by.len() as u64);
        }
        Ok(edits)
    }

    fn on_acknowledgement(&mut self, told: &Acknowledgements<'_>) -> Result<(), PluginFailure> {
        if let Some((_, pause)) = self.slow.filter(|_| self.is_slow) {
            std::thread::sleep(pause);
        }
        let mut seen = self.seen.lock().unwrap();
        for &tag in told.tags {
            *seen.acknowledged.entry(tag).or_default() += 1;
            // Those that it failed on have no tag.
            if tag > 0 && seen.sent_by[tag as usize - 1] != std::thread::current().id() {
                seen.astray += 1;
            }
        }
        Ok(())
    }

    fn close(&mut self) {}
}

fn witnessed(broker: &Broker, witness: &Witness, settings: &[(&str, &str)]) -> Producer {
    let mut config = Config::builder().set("bootstrap.servers", broker.broker.bootstrap_servers());
    for (key, value) in settings {
        config = config.set(*key, value);
    }
    Producer::builder(config.build().unwrap()).interceptor("witness", witness.clone()).start().unwrap()
}

/// Connections that break and answers that are lost.
fn faults(broker: &Broker) {
    let count = AtomicUsize::new(0);
    broker.broker.on(ApiKey::Produce, move |_| match count.fetch_add(1, Ordering::Relaxed) % 9 {
        3 => Control::Disconnect,
        5 => Control::ApplyThen(Box::new(Control::Disconnect)),
        7 => Control::Error(ErrorCode::NotEnoughReplicas),
        _ => Control::Pass,
    });
}

#[test]
fn keys_keep_their_order_in_any_number_of_lanes_while_plugins_trap_and_brokers_fail() {
    const KEYS: usize = 40;
    const EACH: usize = 250;
    for lanes in [1, 2, 4] {
        let broker = Broker::start();
        faults(&broker);
        let witness = Witness::new();
        let lane_count = lanes.to_string();
        let settings =
            [("lanes", &*lane_count), ("linger.ms", "0"), ("retry.backoff.ms", "5"), ("reconnect.backoff.ms", "5")];
        let producer = witnessed(&broker, &witness, &settings);
        let mut deliveries = Vec::new();
        for number in 0..EACH {
            for key in 0..KEYS {
                let traps = (number * KEYS + key) % 499 == 498;
                let value = format!("{}{number}", if traps { "trap-" } else { "" });
                let key = format!("key-{key}");
                let record = Record::to("orders").key(&key).value(&value);
                deliveries.push((traps, producer.send_blocking(&record).unwrap()));
            }
        }
        producer.flush_blocking().unwrap();
        let mut failed = 0;
        for (traps, delivery) in &deliveries {
            match delivery.try_result().expect("flush covers every lane") {
                Ok(_) => assert!(!traps),
                // Its neighbours may fail with it: a chunk is not cut into pieces for ever.
                Err(ProduceError::Plugin { plugin, .. }) if &*plugin == "witness" => failed += 1,
                Err(other) => panic!("{other}"),
            }
        }
        let mut last = BTreeMap::<String, usize>::new();
        let records = broker.records();
        for (_, key, value) in &records {
            let value = value.parse::<usize>().unwrap();
            let before = last.insert(key.clone(), value);
            assert!(before.is_none_or(|before| before < value), "{key}: {before:?} before {value}");
        }
        assert!(failed >= KEYS * EACH / 499);
        assert_eq!((last.len(), records.len()), (KEYS, KEYS * EACH - failed));

        close(&producer);
        assert_eq!(witness.lanes(), lanes);
        let seen = witness.seen.lock().unwrap();
        assert!(seen.threads_of_keys.values().all(|threads| threads.len() == 1), "a key goes by one lane");
        assert_eq!(seen.astray, 0, "an acknowledgement comes back through the lane of its record");
        assert_eq!(seen.acknowledged.get(&0).copied().unwrap_or(0), failed);
        let delivered = seen.acknowledged.iter().filter(|(tag, _)| **tag > 0);
        assert!(delivered.clone().all(|(_, &times)| times == 1));
        assert_eq!(delivered.count(), records.len());
    }
}

#[test]
fn records_without_keys_stay_in_order_and_so_do_those_of_a_partition() {
    let broker = Broker::start();
    broker.broker.create_topic("single", 1);
    let witness = Witness::new();
    let producer = witnessed(&broker, &witness, &[("lanes", "4"), ("linger.ms", "0"), ("batch.size", "300")]);
    let mut deliveries = Vec::new();
    for number in 0..2000 {
        let value = number.to_string();
        // A topic of one partition shows the order of them all.
        deliveries.push(producer.send_blocking(&Record::to("single").value(&value)).unwrap());
        // Keys say nothing where a partition is named.
        let (key, partition) = (format!("key-{}", number % 7), number % 6);
        let named = Record::to("orders").partition(partition).key(&key).value(&value);
        deliveries.push(producer.send_blocking(&named).unwrap());
    }
    assert!(outcomes(deliveries).iter().all(Result::is_ok));
    let values: Vec<String> =
        super::guests::read(&broker, "single").into_iter().filter_map(|read| read.value).collect();
    assert_eq!(values, (0..2000).map(|number| number.to_string()).collect::<Vec<_>>());
    let mut last = BTreeMap::<i32, usize>::new();
    for (partition, _, value) in broker.records() {
        let value = value.parse().unwrap();
        assert!(last.insert(partition, value).is_none_or(|before| before < value));
    }
    close(&producer);
    assert!(witness.lanes() > 1);
}

/// Two keys in one partition and in different lanes, one of which tells its plugin slowly.
#[test]
fn callbacks_of_a_partition_come_in_log_order_from_all_lanes() {
    let broker = Broker::start();
    broker.broker.create_topic("single", 1);
    let mut witness = Witness::new();
    witness.slow = Some((b"key-0", Duration::from_millis(5)));
    let settings = [("lanes", "4"), ("linger.ms", "0"), ("batch.size", "200")];
    let producer = witnessed(&broker, &witness, &settings);
    let offsets = Arc::new(Mutex::new(Vec::new()));
    for number in 0..600 {
        let key = format!("key-{}", number % 8);
        let offsets = Arc::clone(&offsets);
        let record = Record::to("single").key(&key).value("v");
        let accept = producer.send_with(&record, move |result| {
            offsets.lock().unwrap().push(result.unwrap().offset.unwrap());
        });
        let _delivery = pollster(accept).unwrap();
    }
    producer.flush_blocking().unwrap();
    assert_eq!(*offsets.lock().unwrap(), (0..600).collect::<Vec<i64>>());
    close(&producer);
    let seen = witness.seen.lock().unwrap();
    assert_eq!(seen.astray, 0);
    assert!(seen.threads_of_keys.values().flatten().collect::<BTreeSet<_>>().len() > 1);
}

#[test]
fn a_partitioner_that_is_to_see_every_record_keeps_its_chain_to_one_lane() {
    let broker = Broker::start();
    let producer = Guests::used("lanes = 4\npartitioner.class = \"wasm:guest\"")
        .plugin("guest", "", &[("mode", "state")])
        .start(&broker);
    let [notice] = producer.notices() else { panic!("{:?}", producer.notices()) };
    assert!(notice.contains("lanes = 4") && notice.contains("[producer]") && notice.contains("guest"), "{notice}");
    let partitions: Vec<i32> = (0..6)
        .map(|number| {
            let key = format!("key-{number}");
            producer.send_blocking(&Record::to("orders").key(&key)).unwrap().wait().unwrap().partition
        })
        .collect();
    assert_eq!(partitions, [0, 1, 2, 3, 4, 5], "one instance counts them all");
    close(&producer);
}

#[test]
fn memory_is_one_for_all_lanes_and_nobody_starves() {
    let broker = Broker::start();
    // Without a plugin there is nothing for lanes to do.
    let settings = [("lanes", "4"), ("key.serializer", "string"), ("buffer.memory", "65536"), ("linger.ms", "1000")];
    let producer = broker.producer(&settings);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let producer = &producer;
            scope.spawn(move || {
                for number in 0..1500 {
                    let (key, value) = (format!("key-{thread}"), number.to_string());
                    drop(producer.send_blocking(&Record::to("orders").key(&key).value(&value)).unwrap());
                }
            });
        }
        // Wants most of the memory, in between.
        let large = "x".repeat(50_000);
        for _ in 0..5 {
            let record = Record::to("orders").key("large").value(&large);
            producer.send_blocking(&record).unwrap().wait().unwrap();
        }
    });
    producer.close_blocking(PATIENCE).unwrap();
    let mut next = BTreeMap::<String, usize>::new();
    for (_, key, value) in broker.records().into_iter().filter(|(_, key, _)| key != "large") {
        let expected = next.entry(key.clone()).or_default();
        assert_eq!(value.parse::<usize>().unwrap(), *expected, "of {key}");
        *expected += 1;
    }
    assert_eq!(next.into_values().collect::<Vec<_>>(), [1500; 4]);
}

#[test]
fn metrics_tell_of_each_lane_and_of_all() {
    let broker = Broker::start();
    let producer = broker.producer(&[("lanes", "2"), ("key.serializer", "string")]);
    let deliveries = super::send_numbered(&producer, 20, 10);
    assert!(outcomes(deliveries).iter().all(Result::is_ok));
    let metrics = producer.metrics();
    let through = |lane| metrics.value("lane-metrics", "record-total", &[("lane", lane)]).unwrap();
    assert!(through("0") > 0.0 && through("1") > 0.0);
    assert_eq!(through("0") + through("1"), 200.0);
    assert_eq!(metrics.value("lane-metrics", "record-total", &[("lane", "2")]), None);
    let bad = Record::to("orders").partition(-1);
    assert!(producer.send_blocking(&bad).is_err());
    assert_eq!(producer.metrics().value("producer-metrics", "record-error-total", &[]), Some(1.0));
    let total = metrics.value("producer-metrics", "buffer-total-bytes", &[]);
    assert_eq!(total, Some(33_554_432.0), "memory is not summed over lanes");
    close(&producer);
}

#[test]
fn batches_of_records_keep_their_order_over_lanes() {
    let broker = Broker::start();
    let producer = broker.producer(&[("lanes", "4"), ("key.serializer", "string")]);
    let keys: Vec<String> = (0..10).map(|key| format!("key-{key}")).collect();
    let mut accepts = Vec::new();
    for round in 0..50 {
        let values: Vec<String> = (0..100).map(|number| (round * 10 + number / 10).to_string()).collect();
        let records: Vec<Record<'_>> =
            (0..100).map(|at| Record::to("orders").key(&keys[at % 10]).value(&values[at])).collect();
        if round % 2 == 0 {
            accepts.extend(producer.send_batch_blocking(&records).into_iter().map(Result::unwrap));
        } else {
            accepts.extend(producer.send_batch(&records).into_iter().map(|accept| pollster(accept).unwrap()));
        }
    }
    assert!(outcomes(accepts).iter().all(Result::is_ok));
    broker.assert_in_order(10, 500);
    close(&producer);
}
