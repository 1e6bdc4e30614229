//! librdkafka, through the rdkafka crate's thread of its own.

use std::time::Duration;

use meter::{Flags, Meter, Records};
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};
use rdkafka::util::Timeout;
use rdkafka::{ClientContext, util::get_rdkafka_version};

struct Deliveries(Meter);

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, stamp: usize) {
        self.0.delivered(stamp, result.is_ok());
    }
}

fn main() {
    let flags = Flags::parse();
    let records = Records::of(&flags);
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", &flags.bootstrap)
        .set("acks", "all")
        .set("enable.idempotence", "true")
        .set("compression.type", &flags.compression)
        .set("linger.ms", flags.linger_ms.to_string())
        .set("partitioner", "murmur2_random")
        // The default of 100,000 is full before the first answer.
        .set("queue.buffering.max.messages", "500000");
    if let Some(size) = flags.batch_size {
        config.set("batch.size", size.to_string());
    }
    if flags.best {
        // Batches as large as they get, time for them to fill, and a queue that does not end before they are full:
        // librdkafka's INTRODUCTION.md, "High throughput", and CONFIGURATION.md for the bounds.
        config
            .set("linger.ms", "50")
            .set("batch.size", "1000000")
            .set("batch.num.messages", "100000")
            .set("queue.buffering.max.messages", "1000000");
    }
    if let Some(ca) = &flags.ca {
        config.set("security.protocol", "ssl").set("ssl.ca.location", ca);
    }
    let producer: ThreadedProducer<Deliveries> =
        config.create_with_context(Deliveries(Meter::new(&flags))).expect("a valid configuration");
    let meter = &producer.context().0;

    let send = |i: u64| {
        let (key, value) = records.get(i);
        let stamp = meter.stamp(i);
        let mut record = BaseRecord::with_opaque_to(&flags.topic, stamp).payload(value);
        if let Some(key) = key {
            record = record.key(key);
        }
        while let Err((error, again)) = producer.send(record) {
            match error {
                KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull) => {
                    std::thread::sleep(Duration::from_millis(1))
                }
                error => panic!("send: {error}"),
            }
            record = again;
        }
    };
    (0..flags.warmup).for_each(send);
    producer.flush(Timeout::Never).expect("flush");
    let section = meter.start(&flags);
    flags.on_threads(|share| {
        for i in share {
            section.pace(i);
            send(i);
        }
    });
    producer.flush(Timeout::Never).expect("flush");
    section.print("librdkafka", &get_rdkafka_version().1);
}
