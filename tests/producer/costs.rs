//! What a chain costs in time:
//!
//! `cargo test --release --all-features --test producer -- --ignored --nocapture time_from`

use super::guests::{Guests, plain};
use super::{Broker, PATIENCE};
use pointsman::{Producer, Record};
use std::time::{Duration, Instant};

/// At 1,000 records a second each is a chunk of its own: nothing gathers, and the lane's thread has to be woken.
#[test]
#[ignore = "benchmark"]
fn time_from_send_to_appended() {
    let broker = Broker::start();
    let lines = "interceptor.classes = [\"wasm:plain\"]\nkey.serializer = \"wasm:plain\"\n\
                 value.serializer = \"wasm:plain\"\npartitioner.class = \"wasm:plain\"";
    println!("microseconds from send to appended, at 1,000 records/s      p50      p90      p99");
    for (name, lines) in [("key.serializer=string", "key.serializer = \"string\""), ("four Wasm hooks", lines)] {
        let producer = Guests::used(lines).component("plain", &plain(), "", &[]).start(&broker);
        let mut times = measure(&producer);
        producer.close_blocking(PATIENCE).unwrap();
        times.sort_by(f64::total_cmp);
        let at = |share: f64| times[(times.len() as f64 * share) as usize];
        println!("{name:54} {:>8.1} {:>8.1} {:>8.1}", at(0.5), at(0.9), at(0.99));
    }
}

fn measure(producer: &Producer) -> Vec<f64> {
    let value = "x".repeat(100);
    let told = || {
        let metrics = producer.metrics();
        let of = |name| metrics.value("lane-metrics", name, &[("lane", "0")]).unwrap();
        (of("chunk-total"), of("chunk-append-time-ns-total"))
    };
    let start = Instant::now();
    let mut times = Vec::new();
    let mut before = told();
    for number in 0..6000_u32 {
        let due = start + Duration::from_millis(number.into());
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let key = format!("key-{number:06}");
        drop(producer.send_blocking(&Record::to("orders").key(&key).value(&value)).unwrap());
        std::thread::sleep(Duration::from_micros(500));
        let after = told();
        // The first ones wait for metadata.
        if number >= 1000 && after.0 == before.0 + 1.0 {
            times.push((after.1 - before.1) / 1000.0);
        }
        before = after;
    }
    times
}
