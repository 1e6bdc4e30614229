//! Compressed batches, batches that are too large, and batches with records that a broker refuses.

use crate::harness::{Cluster, Digest, oracle};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use pointsman::error::Fate;
use pointsman::protocol::body::Body;
use pointsman::protocol::compression::Compression;
use pointsman::protocol::record_batch::{Header, NO_HEADERS, RecordBody};
use pointsman::{Config, Delivery, ProduceError, Producer, Record};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(120);
const KEYS: usize = 1000;

fn producer(cluster: &Cluster, settings: &[(&str, &str)]) -> Producer {
    let start = Config::builder().set("bootstrap.servers", cluster.bootstrap());
    let config = settings.iter().fold(start, |config, (key, value)| config.set(*key, value)).build();
    Producer::start(config.expect("a configuration")).expect("a producer")
}

/// Of each codec.
const RECORDS: usize = 1_000_000;

fn value(number: usize) -> String {
    format!("{number}|{{\"order\":{number},\"city\":\"{}\"}}", ["Bern", "Lima", "Oslo"][number % 3])
}

/// Letters without any pattern: no codec makes much less of them.
fn noise(number: usize, len: usize) -> String {
    let mut state = number as u64 + 1;
    let letter = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b'!' + (state >> 33) as u8 % 90)
    };
    format!("{number}|{}", (0..len).map(letter).collect::<String>())
}

/// Sends what `check-order` expects and waits for all of it.
fn send_all(producer: &Producer, topic: &str, records: usize, value: impl Fn(usize) -> String) {
    let mut deliveries: Vec<Delivery> = Vec::with_capacity(records);
    for number in 0..records {
        let (key, value) = (format!("key-{}", number % KEYS), value(number));
        deliveries.push(producer.send_blocking(&Record::to(topic).key(&key).value(&value)).expect("accepted"));
    }
    producer.flush_blocking().expect("not in a callback");
    for delivery in deliveries {
        delivery.wait().expect("delivered");
    }
}

fn check(cluster: &Cluster, topic: &str, records: usize, value: impl Fn(usize) -> String) {
    cluster.tool(&["check-order", topic, "--records", &records.to_string(), "--keys", &KEYS.to_string()]);
    let values: Vec<String> = (0..records).map(value).collect();
    let (mut multiset, mut by_key) = (Digest::default(), Digest::default());
    for (number, value) in values.iter().enumerate() {
        multiset.add(Some(format!("key-{}", number % KEYS).as_bytes()), Some(value.as_bytes()));
    }
    for key in 0..KEYS {
        let own = values[key..].iter().step_by(KEYS).map(|value| Some(value.as_bytes()));
        by_key.add_key(format!("key-{key}").as_bytes(), own);
    }
    for (by, digest) in [("multiset", multiset), ("key", by_key)] {
        let answer = cluster.tool(&["digest", topic, "--by", by, "--expect", &records.to_string()]);
        let answer: serde_json::Value = serde_json::from_str(&answer).expect("JSON");
        assert_eq!(answer["digest"], digest.hex(), "{topic} by {by}");
    }
}

fn through(codec: &str, settings: &[(&str, &str)]) {
    let cluster = Cluster::shared();
    let topic = format!("codec-{codec}");
    cluster.tool(&["create", &topic, "6"]);
    let settings: Vec<_> = [("compression.type", codec)].iter().chain(settings).copied().collect();
    let producer = producer(cluster, &settings);
    send_all(&producer, &topic, RECORDS, value);
    producer.close_blocking(PATIENCE).expect("nothing is left");
    check(cluster, &topic, RECORDS, value);
}

#[test]
#[ignore = "broker"]
fn what_is_not_compressed_is_read_back_by_java() {
    through("none", &[]);
}

#[test]
#[ignore = "broker"]
fn gzip_is_read_back_by_java() {
    through("gzip", &[]);
}

#[test]
#[ignore = "broker"]
fn snappy_is_read_back_by_java() {
    // More than one block of its framing.
    through("snappy", &[("batch.size", "100000")]);
}

#[test]
#[ignore = "broker"]
fn lz4_is_read_back_by_java() {
    through("lz4", &[("batch.size", "262144"), ("linger.ms", "20")]);
}

#[test]
#[ignore = "broker"]
fn zstd_is_read_back_by_java() {
    through("zstd", &[("compression.zstd.level", "1")]);
}

/// Whole batches before Java's own classes: lengths around the blocks of every framing, levels at both ends.
#[test]
#[ignore = "broker"]
fn java_decodes_every_codec_and_level() {
    use Compression::{Gzip, Lz4, None, Snappy, Zstd};
    let codecs = [None, Gzip(-1), Gzip(1), Gzip(9), Snappy, Lz4(9), Lz4(1), Lz4(3), Lz4(12), Lz4(17)];
    let levels = [-131_072, -5, 1, 3, 12, 22].map(Zstd);
    let mut input = String::new();
    let mut expected = Vec::new();
    for codec in codecs.into_iter().chain(levels) {
        for len in [0, 1, 100, 32_700, 32_768, 65_500, 65_536, 65_600, 200_000, 1_000_000] {
            for value in [vec![b'x'; len], noise(len, len).into_bytes()] {
                let mut body = Vec::new();
                for at in 0..2 {
                    RecordBody { key: Some(b"k"), value: Some(&value), headers: NO_HEADERS }
                        .encode(&mut body, at, at as i32);
                }
                let body = Body::from(codec.compress(&body).unwrap_or(body));
                let header = Header {
                    attributes: codec.attributes(),
                    base_timestamp: 1_700_000_000_000,
                    max_timestamp: 1_700_000_000_001,
                    producer_id: 1,
                    producer_epoch: 0,
                    base_sequence: 0,
                    count: 2,
                };
                let batch = [&header.encode(&body, body.crc())[..], &body.to_bytes()].concat();
                input += &STANDARD.encode(batch);
                input.push('\n');
                expected.push((["none", "gzip", "snappy", "lz4", "zstd"][codec.attributes() as usize], value));
            }
        }
    }
    let answer = oracle(&["decode", "--batches"], &input).expect("Java takes them");
    let mut lines = answer.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"));
    for (codec, value) in expected {
        assert_eq!(lines.next().expect("a batch")["batch"]["compression"], codec);
        for _ in 0..2 {
            assert_eq!(lines.next().expect("a record")["value"], STANDARD.encode(&value), "{codec}");
        }
    }
    assert!(lines.next().is_none());
}

#[test]
#[ignore = "broker"]
fn batches_that_are_too_large_are_split() {
    const RECORDS: usize = 20_000;
    let cluster = Cluster::shared();
    for codec in ["none", "lz4"] {
        let topic = format!("narrow-{codec}");
        cluster.tool(&["create", &topic, "3", "--config", "max.message.bytes=20000"]);
        let settings = [("compression.type", codec), ("batch.size", "262144"), ("linger.ms", "20")];
        let producer = producer(cluster, &settings);
        let value = |number| noise(number, 100 + number % 400);
        send_all(&producer, &topic, RECORDS, value);
        // One record that is too large for the topic cannot be split; those before and behind it can.
        let giant = noise(0, 30_000);
        let around: Vec<Delivery> = ["before", &giant, "behind"]
            .into_iter()
            .map(|value| producer.send_blocking(&Record::to(&topic).partition(0).key("g").value(value)).unwrap())
            .collect();
        let outcomes: Vec<_> = around.into_iter().map(Delivery::wait).collect();
        let (before, behind) = (outcomes[0].as_ref().unwrap(), outcomes[2].as_ref().unwrap());
        assert_eq!(before.offset.unwrap() + 1, behind.offset.unwrap());
        match &outcomes[1] {
            Err(ProduceError::Broker { code: 10, fate: Fate::NotWritten, .. }) => {}
            other => panic!("{other:?}"),
        }
        producer.close_blocking(PATIENCE).expect("nothing is left");
        let found = cluster.try_tool(&["check-order", &topic, "--records", &RECORDS.to_string(), "--keys", "1000"]);
        let found = found.expect_err("two records are foreign");
        assert!(found.contains(r#""missing":0,"duplicates":0,"out_of_order":0,"moved_keys":0,"foreign":2"#), "{found}");
    }
}

/// Sends records to one partition in one batch, and returns what became of each.
fn in_one_batch(producer: &Producer, records: &[Record<'_>]) -> Vec<Result<i64, ProduceError>> {
    let deliveries: Vec<Delivery> = records.iter().map(|record| producer.send_blocking(record).unwrap()).collect();
    deliveries.into_iter().map(|delivery| delivery.wait().map(|metadata| metadata.offset.unwrap())).collect()
}

#[test]
#[ignore = "broker"]
fn a_record_stamped_too_far_ahead_fails_alone() {
    let cluster = Cluster::shared();
    cluster.tool(&["create", "stamped", "1", "--config", "message.timestamp.after.max.ms=3600000"]);
    let producer = producer(cluster, &[("linger.ms", "300"), ("compression.type", "snappy")]);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as i64;
    let day = 86_400_000;
    let record = |value, timestamp| Record::to("stamped").value(value).timestamp(timestamp);
    let outcomes = in_one_batch(
        &producer,
        &[record("a", now), record("b", now + day), record("c", now), record("d", now), record("e", now + 2 * day)],
    );
    for (at, expected) in [(0, 0), (2, 1), (3, 2)] {
        assert_eq!(outcomes[at], Ok(expected), "{outcomes:?}");
    }
    for at in [1, 4] {
        match &outcomes[at] {
            Err(ProduceError::Broker { code: 32, message: Some(message), fate: Fate::NotWritten, .. }) => {
                assert!(message.contains("imestamp"), "{message}");
            }
            other => panic!("{other:?}"),
        }
    }
    // The sequences went on from there.
    assert_eq!(in_one_batch(&producer, &[record("f", now), record("g", now)]), [Ok(3), Ok(4)]);
    producer.close_blocking(PATIENCE).expect("nothing is left");
    assert_eq!(cluster.tool(&["read", "stamped", "--expect", "5"]).lines().count(), 5);
}

#[test]
#[ignore = "broker"]
fn a_record_without_key_fails_alone_in_a_compacted_topic() {
    let cluster = Cluster::shared();
    cluster.tool(&["create", "compacted", "1", "--config", "cleanup.policy=compact"]);
    let producer = producer(cluster, &[("linger.ms", "300")]);
    let keyed = |value| Record::to("compacted").key("k").value(value);
    let outcomes = in_one_batch(&producer, &[keyed("a"), Record::to("compacted").value("lost"), keyed("b")]);
    assert_eq!((&outcomes[0], &outcomes[2]), (&Ok(0), &Ok(1)), "{outcomes:?}");
    assert!(matches!(&outcomes[1], Err(ProduceError::Broker { code: 87, .. })), "{outcomes:?}");
    producer.close_blocking(PATIENCE).expect("nothing is left");
}
