//! What a failed delivery says of its record, held against the log: outages that outlast `delivery.timeout.ms`.

use crate::harness::Cluster;
use crate::producers::{PATIENCE, plain};
use crate::reading::read;
use pointsman::error::Fate;
use pointsman::{Delivery, Producer, Record};
use std::collections::BTreeMap;
use std::time::Duration;

const TOPIC: &str = "fates";
const KEYS: usize = 24;

/// A broker that was silent finds old requests on connections that the producer gave up long ago. Whatever it makes of
/// them: what was acknowledged stands there once, what was reported as not written does not, the rest at most once,
/// and all of it in order.
#[test]
#[ignore = "broker"]
fn what_a_failed_delivery_says_of_its_record_is_true() {
    let cluster = Cluster::start(1);
    cluster.tool(&["create", TOPIC, "6"]);
    let settings = "delivery.timeout.ms = 2500\nrequest.timeout.ms = 1000\nlinger.ms = 1\nbatch.size = 1000";
    let producer = plain(&cluster, settings);
    let mut sent = Sent::default();
    for round in 0..8 {
        sent.burst(&producer);
        // Amid the records.
        if round % 2 == 0 {
            cluster.pause(1)
        } else {
            cluster.kill(1)
        }
        sent.burst(&producer);
        sent.settle();
        // With something new waiting.
        sent.burst(&producer);
        if round % 2 == 0 {
            cluster.resume(1)
        } else {
            cluster.restart(1)
        }
        sent.burst(&producer);
        if round % 3 > 0 {
            sent.settle();
        }
    }
    sent.settle();
    // Every key gets through again.
    for key in 0..KEYS {
        sent.until_delivered(&producer, key);
    }
    producer.close_blocking(PATIENCE).unwrap();

    let mut found = BTreeMap::new();
    let mut last = [None; KEYS];
    for record in read(&cluster, TOPIC) {
        let number: usize = record.text().parse().unwrap();
        assert!(found.insert(number, record.offset).is_none(), "record {number} stands there twice");
        assert!(last[number % KEYS] < Some(number), "record {number} after {:?}", last[number % KEYS]);
        last[number % KEYS] = Some(number);
    }
    let mut counts = BTreeMap::<&str, usize>::new();
    for (number, fate) in sent.fates.iter().enumerate() {
        let there = found.get(&number);
        let name = match fate {
            Ok(offset) => {
                assert!(there.is_some(), "record {number} was acknowledged and is not there");
                assert!(
                    offset.is_none() || offset.as_ref() == there,
                    "record {number} stands at {there:?}, not {offset:?}"
                );
                "written"
            }
            Err(Fate::NotWritten) => {
                assert!(there.is_none(), "record {number} was reported as not written and stands at {there:?}");
                "not written"
            }
            Err(Fate::Unknown) if there.is_some() => "unknown and written",
            Err(Fate::Unknown) => "unknown and not written",
        };
        *counts.entry(name).or_default() += 1;
    }
    eprintln!("{counts:?}");
    // Else the test has shown nothing.
    assert!(counts.contains_key("written") && counts.contains_key("not written"), "{counts:?}");
    assert!(counts.keys().any(|name| name.starts_with("unknown")), "{counts:?}");
}

/// Records by number, the outcomes of those that are settled.
#[derive(Default)]
struct Sent {
    fates: Vec<Result<Option<i64>, Fate>>,
    waiting: Vec<Delivery>,
}

impl Sent {
    fn next(&self) -> usize {
        self.fates.len() + self.waiting.len()
    }

    fn burst(&mut self, producer: &Producer) {
        for _ in 0..600 {
            let number = self.next();
            self.waiting.push(send(producer, number));
            if number.is_multiple_of(10) {
                // Many small batches, in many requests.
                std::thread::sleep(Duration::from_millis(2));
            }
        }
    }

    fn settle(&mut self) {
        for delivery in self.waiting.drain(..) {
            let fate = delivery.wait();
            self.fates.push(fate.map(|metadata| metadata.offset).map_err(|error| error.fate()));
        }
    }

    fn until_delivered(&mut self, producer: &Producer, key: usize) {
        loop {
            let number = self.next();
            self.waiting.push(send(producer, number));
            self.settle();
            if number % KEYS == key && self.fates[number].is_ok() {
                break;
            }
        }
    }
}

fn send(producer: &Producer, number: usize) -> Delivery {
    let (key, value) = (format!("key-{}", number % KEYS), number.to_string());
    producer.send_blocking(&Record::to(TOPIC).key(&key).value(&value)).expect("accepted")
}
