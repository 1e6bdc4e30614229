//! librdkafka, through the rdkafka crate's thread of its own.

use std::time::Duration;

use meter::{CYCLE, Flags, Meter, records};
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
    let records = records();
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
    if let Some(ca) = &flags.ca {
        config.set("security.protocol", "ssl").set("ssl.ca.location", ca);
    }
    let producer: ThreadedProducer<Deliveries> =
        config.create_with_context(Deliveries(Meter::new())).expect("a valid configuration");
    let meter = &producer.context().0;

    let send = |i: u64| {
        let (key, value) = &records[i as usize & (CYCLE - 1)];
        let stamp = meter.stamp(i);
        let mut record = BaseRecord::with_opaque_to(&flags.topic, stamp).key(key).payload(value);
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
    for i in 0..flags.records {
        section.pace(i);
        send(i);
    }
    producer.flush(Timeout::Never).expect("flush");
    section.print("librdkafka", &get_rdkafka_version().1);
}
