//! Brokers of a cluster that die, fall silent and come back, one after another, under load.

use crate::harness::Cluster;
use crate::producers::{PATIENCE, plain, routed};
use pointsman::{Delivery, ProduceError, Producer, Record};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Barrier, Mutex};
use std::time::Duration;

/// Kafka cannot lose more than one of three replicas at a time with min.insync.replicas=2; nor may we lose anything then.
#[test]
#[ignore = "broker"]
fn nothing_is_lost_doubled_or_reordered_while_brokers_fail_one_after_another() {
    let cluster = Cluster::start(3);
    for topic in ["plain", "routed"] {
        cluster.tool(&["create", topic, "6", "--replication", "3", "--config", "min.insync.replicas=2"]);
    }
    // A silent broker is given up after this; the default would wait for it half a minute at every fault.
    let settings = "request.timeout.ms = 4000";
    // Both meet the same faults.
    let loads = [Load::new("plain", plain(&cluster, settings)), Load::new("routed", routed(&cluster, settings))];

    let faults: Vec<(Fault, u32)> = (1..=3)
        .flat_map(|broker| {
            [(Fault::Killed, broker), (Fault::Silent, broker), (Fault::Restarted, broker), (Fault::Hiccup, broker)]
        })
        .collect();
    let total = total();
    let share = total / (2 * faults.len());
    let mut until = 0;
    for (fault, broker) in faults {
        eprintln!("{fault:?}: broker {broker}");
        until += share;
        send(&loads, until, || fault.strike(&cluster, broker));
        if fault.outlasts_its_share() {
            // The two others have to do without it before it comes back.
            loads.iter().for_each(Load::settle);
        }
        until += share;
        send(&loads, until, || fault.lift(&cluster, broker));
        cluster.wait_isr();
    }
    send(&loads, total, || {});
    for load in loads {
        load.settle();
        load.producer.close_blocking(PATIENCE).expect("nothing is left");
        let arguments = ["check-order", load.topic, "--records", &total.to_string(), "--keys", &KEYS.to_string()];
        let report = cluster.tool(&arguments);
        assert!(report.contains(&format!("\"records\":{total}")), "{}: {report}", load.topic);
    }
}

const KEYS: usize = 1000;

/// Of each producer.
fn total() -> usize {
    let long = std::env::var_os("POINTSMAN_LONG").is_some_and(|long| long == "1");
    if long { 1_000_000 } else { 200_000 }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// kill -9, and everything goes on without it.
    Killed,
    /// It answers nothing until its connections are given up and others lead.
    Silent,
    /// kill -9 and at once another start.
    Restarted,
    /// It answers nothing for a moment; nobody else may notice.
    Hiccup,
}

impl Fault {
    fn strike(self, cluster: &Cluster, broker: u32) {
        match self {
            Fault::Killed => cluster.kill(broker),
            Fault::Silent | Fault::Hiccup => cluster.pause(broker),
            Fault::Restarted => cluster.restart(broker),
        }
    }

    fn outlasts_its_share(self) -> bool {
        matches!(self, Fault::Killed | Fault::Silent)
    }

    fn lift(self, cluster: &Cluster, broker: u32) {
        match self {
            Fault::Killed => cluster.restart(broker),
            Fault::Silent | Fault::Hiccup => cluster.resume(broker),
            Fault::Restarted => {}
        }
    }
}

/// A producer, its topic, and what it has been given.
struct Load {
    topic: &'static str,
    producer: Producer,
    sent: AtomicUsize,
    deliveries: Mutex<Vec<Result<Delivery, ProduceError>>>,
}

impl Load {
    fn new(topic: &'static str, producer: Producer) -> Load {
        Load { topic, producer, sent: AtomicUsize::new(0), deliveries: Mutex::default() }
    }

    /// Sends up to record `until`, not faster than keeps the load up for some seconds.
    fn send(&self, until: usize, begun: &Barrier) {
        let mut deliveries = self.deliveries.lock().unwrap();
        let first = self.sent.load(Ordering::Relaxed);
        for number in first..until {
            if number == first + (until - first) / 4 {
                // There is something under way everywhere.
                begun.wait();
            }
            let (key, value) = (format!("key-{}", number % KEYS), format!("{number}|padding of a record's usual size"));
            let record = Record::to(self.topic).key(&key).value(&value);
            // A panic here would leave the others waiting.
            deliveries.push(self.producer.send_blocking(&record));
            if number % 100 == 0 {
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        self.sent.store(until, Ordering::Relaxed);
    }

    /// Everything sent so far is acknowledged.
    fn settle(&self) {
        self.producer.flush_blocking().expect("not in a callback");
        for delivery in self.deliveries.lock().unwrap().drain(..) {
            if let Err(error) = delivery.and_then(Delivery::wait) {
                panic!("{}: {error}", self.topic);
            }
        }
    }
}

/// All loads send up to record `until`; amid that, `change` happens to the cluster.
fn send(loads: &[Load], until: usize, change: impl FnOnce()) {
    let begun = Barrier::new(loads.len() + 1);
    std::thread::scope(|scope| {
        for load in loads {
            let begun = &begun;
            scope.spawn(move || load.send(until, begun));
        }
        begun.wait();
        change();
    });
}
