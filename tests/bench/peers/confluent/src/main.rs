//! Confluent's own Rust client, a translation of Java's.

use std::collections::HashMap;
use std::sync::Arc;

use confluent_kafka::common::serialization::ByteArraySerializer;
use confluent_kafka::producer::{KafkaProducer, Producer, ProducerConfig, ProducerRecord, callback};
use meter::{Flags, Meter, Records};

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let flags = Flags::parse();
    let records = Arc::new(Records::of(&flags));
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
    if flags.best {
        // As for Java's producer: docs.confluent.io/cloud/current/client-apps/optimizing/throughput.html.
        let best = [("batch.size", "262144"), ("linger.ms", "10"), ("buffer.memory", "134217728")];
        config.extend(best.map(|(key, value)| (key.to_owned(), value.to_owned())));
    }
    if let Some(ca) = &flags.ca {
        let tls = [("security.protocol", "SSL"), ("ssl.truststore.type", "PEM"), ("ssl.truststore.location", ca)];
        config.extend(tls.map(|(key, value)| (key.to_owned(), value.to_owned())));
    }
    let config = ProducerConfig::new(&config).expect("a valid configuration");
    let bytes = ByteArraySerializer::default;
    let producer = Arc::new(KafkaProducer::<Vec<u8>, Vec<u8>>::new(config, bytes(), bytes()).expect("a producer"));
    let meter = Arc::new(Meter::new(&flags));

    let sender =
        Sender { producer: Arc::clone(&producer), records, meter: Arc::clone(&meter), topic: flags.topic.clone() };
    for i in 0..flags.warmup {
        sender.send(i).await;
    }
    Producer::flush(&*producer).await.expect("flush");
    let section = meter.start(&flags);
    match flags.shares().as_slice() {
        [all] => {
            for i in all.clone() {
                section.pace(i);
                sender.send(i).await;
            }
        }
        // Tasks; nobody paces several.
        shares => {
            let mut tasks = tokio::task::JoinSet::new();
            for share in shares.iter().cloned() {
                let sender = sender.clone();
                tasks.spawn(async move {
                    for i in share {
                        sender.send(i).await;
                    }
                });
            }
            tasks.join_all().await;
        }
    }
    Producer::flush(&*producer).await.expect("flush");
    section.print("confluent", "1.0.0");
    Producer::close(&*producer).await.expect("close");
}

#[derive(Clone)]
struct Sender {
    producer: Arc<KafkaProducer<Vec<u8>, Vec<u8>>>,
    records: Arc<Records>,
    meter: Arc<Meter>,
    topic: String,
}

impl Sender {
    async fn send(&self, i: u64) {
        let (key, value) = self.records.get(i);
        let stamp = self.meter.stamp(i);
        let meter = Arc::clone(&self.meter);
        let record = ProducerRecord::with_key(self.topic.clone(), key.map(str::as_bytes), Some(value.as_bytes()));
        let delivered = callback::new(move |_metadata, error| meter.delivered(stamp, error.is_none()));
        let _ = KafkaProducer::send(&self.producer, record, Some(Box::new(delivered))).await.expect("send");
    }
}
