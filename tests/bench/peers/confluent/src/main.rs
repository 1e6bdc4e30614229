//! Confluent's own Rust client, a translation of Java's.

use std::collections::HashMap;
use std::sync::Arc;

use confluent_kafka::common::serialization::ByteArraySerializer;
use confluent_kafka::producer::{KafkaProducer, Producer, ProducerConfig, ProducerRecord, callback};
use meter::{CYCLE, Flags, Meter, records};

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let flags = Flags::parse();
    let records = records();
    let mut config = HashMap::from([
        ("bootstrap.servers".to_owned(), flags.bootstrap.clone()),
        ("acks".to_owned(), "all".to_owned()),
        ("enable.idempotence".to_owned(), "true".to_owned()),
        ("compression.type".to_owned(), flags.compression.clone()),
        ("linger.ms".to_owned(), flags.linger_ms.to_string()),
        // Its default is librdkafka's crc32; every client here places a key as Java does.
        ("partitioner.type".to_owned(), ProducerConfig::MURMUR2_RANDOM_PARTITIONER.to_owned()),
    ]);
    if let Some(size) = flags.batch_size {
        config.insert("batch.size".to_owned(), size.to_string());
    }
    if let Some(ca) = &flags.ca {
        let tls = [("security.protocol", "SSL"), ("ssl.truststore.type", "PEM"), ("ssl.truststore.location", ca)];
        config.extend(tls.map(|(key, value)| (key.to_owned(), value.to_owned())));
    }
    let config = ProducerConfig::new(&config).expect("a valid configuration");
    let bytes = ByteArraySerializer::default;
    let producer = Arc::new(KafkaProducer::<Vec<u8>, Vec<u8>>::new(config, bytes(), bytes()).expect("a producer"));
    let meter = Arc::new(Meter::new());

    let send = async |i: u64| {
        let (key, value) = &records[i as usize & (CYCLE - 1)];
        let stamp = meter.stamp(i);
        let meter = Arc::clone(&meter);
        let record = ProducerRecord::with_key(flags.topic.clone(), Some(key.as_bytes()), Some(value.as_bytes()));
        let delivered = callback::new(move |_metadata, error| meter.delivered(stamp, error.is_none()));
        let _ = KafkaProducer::send(&producer, record, Some(Box::new(delivered))).await.expect("send");
    };
    for i in 0..flags.warmup {
        send(i).await;
    }
    Producer::flush(&*producer).await.expect("flush");
    let section = meter.start(&flags);
    for i in 0..flags.records {
        section.pace(i);
        send(i).await;
    }
    Producer::flush(&*producer).await.expect("flush");
    section.print("confluent", "1.0.0");
    Producer::close(&*producer).await.expect("close");
}
