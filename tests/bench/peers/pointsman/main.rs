//! pointsman as a peer among the others; with `--config FILE`, whatever that names is in the chain.

use bytes::Bytes;
use meter::{Flags, Meter, Records};
use pointsman::{Config, Delivery, Producer, Record};
use std::sync::Arc;
use std::time::Duration;

/// Smaller values are copied anyway.
const HELD_FROM: usize = 16 << 10;
/// Deliveries are looked at when there are so many.
const WINDOW: usize = 50_000;

fn main() {
    let mut file = None;
    let flags = Flags::parse_with(&["--config"], |_, value| file = Some(value));
    let mut settings = vec![
        ("bootstrap.servers".to_owned(), flags.bootstrap.clone()),
        ("compression.type".to_owned(), flags.compression.clone()),
        ("linger.ms".to_owned(), flags.linger_ms.to_string()),
    ];
    settings.extend(flags.batch_size.map(|size| ("batch.size".to_owned(), size.to_string())));
    if flags.best {
        // Those of the preset "throughput", but for its compression.
        settings.retain(|(key, _)| !matches!(key.as_str(), "batch.size" | "linger.ms"));
        let best = [("batch.size", "262144"), ("linger.ms", "20"), ("buffer.memory", "134217728")];
        settings.extend(best.map(|(key, value)| (key.to_owned(), value.to_owned())));
    }
    if let Some(ca) = &flags.ca {
        let tls = [("security.protocol", "SSL"), ("ssl.truststore.type", "PEM"), ("ssl.truststore.location", ca)];
        settings.extend(tls.map(|(key, value)| (key.to_owned(), value.to_owned())));
    }
    let config = match file {
        Some(file) => Config::from_file_with(file, &settings),
        None => settings.iter().fold(Config::builder(), |builder, (key, value)| builder.set(key, value)).build(),
    };
    let producer = Producer::start(config.expect("a configuration")).expect("a producer");
    let records = Records::of(&flags);
    let meter = Arc::new(Meter::new(&flags));

    // As a program has them that wants none copied: franz-go, too, holds what it is handed.
    let held: Vec<Bytes> = match flags.size {
        ..HELD_FROM => Vec::new(),
        _ => records.values().iter().map(|value| Bytes::copy_from_slice(value.as_bytes())).collect(),
    };
    let send = |i: u64, open: &mut Vec<Delivery>| {
        let (key, value) = records.get(i);
        let mut record = Record::to(&flags.topic);
        record = match held.get(i as usize % held.len().max(1)) {
            Some(held) => record.shared_value(held),
            None => record.value(value),
        };
        if let Some(key) = key {
            record = record.key(key);
        }
        let sent = match meter.stamp(i) {
            0 => producer.send_blocking(&record).map(|delivery| open.push(delivery)),
            // Who is timed is told at once.
            stamp => {
                let meter = Arc::clone(&meter);
                producer.send_with_blocking(&record, move |told| meter.delivered(stamp, told.is_ok())).map(drop)
            }
        };
        sent.expect("accepted");
        if open.len() == WINDOW {
            observe(open.drain(..WINDOW / 2), &meter);
        }
    };
    let mut open = Vec::new();
    (0..flags.warmup).for_each(|i| send(i, &mut open));
    producer.flush_blocking().expect("flushed");
    observe(open.drain(..), &meter);
    let section = meter.start(&flags);
    flags.on_threads(|share| {
        let mut open = Vec::new();
        for i in share {
            section.pace(i);
            send(i, &mut open);
        }
        producer.flush_blocking().expect("flushed");
        observe(open.drain(..), &meter);
    });
    // Closing waits for the callbacks, too.
    producer.close_blocking(Duration::from_secs(30)).expect("closed");
    section.print("pointsman", env!("CARGO_PKG_VERSION"));
}

fn observe(deliveries: impl Iterator<Item = Delivery>, meter: &Meter) {
    let (mut ok, mut failed) = (0, 0);
    for delivery in deliveries {
        *if delivery.wait().is_ok() { &mut ok } else { &mut failed } += 1;
    }
    meter.delivered_many(ok);
    (0..failed).for_each(|_| meter.delivered(0, false));
}
