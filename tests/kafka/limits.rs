//! The edges of what Kafka takes: sizes, timestamps, nulls, and acknowledgements that say less.

use crate::harness::Cluster;
use crate::producers::{PATIENCE, plain};
use crate::reading::{Read, read};
use pointsman::error::Fate;
use pointsman::{Header, ProduceError, Record};

/// The broker's default for a batch, `message.max.bytes`, is 12 bytes above a megabyte.
const MEGABYTE: usize = 1_048_576;

#[test]
#[ignore = "broker"]
fn a_value_just_below_the_limits_passes() {
    let cluster = Cluster::shared();
    cluster.tool(&["create", "large", "1"]);
    let producer = plain(cluster, "");
    let value: Vec<u8> = (0..1_048_000usize).map(|at| ((at * 31) >> 3) as u8).collect();
    let metadata = producer.send_blocking(&Record::to("large").key("k").value(&value)).unwrap().wait().unwrap();
    assert_eq!((metadata.offset, metadata.serialized_value_size), (Some(0), Some(value.len())));
    // And as it lies with the sender.
    let shared = bytes::Bytes::from(value.clone());
    let headers = [Header::new("behind", "it")];
    let record = Record::to("large").key("k").shared_value(&shared).headers(&headers);
    assert_eq!(producer.send_blocking(&record).unwrap().wait().unwrap().offset, Some(1));
    producer.close_blocking(PATIENCE).unwrap();
    let found = read(cluster, "large");
    assert_eq!(found.len(), 2);
    assert!(found.iter().all(|found| found.value.as_ref() == Some(&value)), "the bytes are the same");
    assert_eq!(found[1].headers, [("behind".to_owned(), Some(b"it".to_vec()))]);
}

#[test]
#[ignore = "broker"]
fn a_megabyte_is_refused_by_the_producers_default() {
    let cluster = Cluster::shared();
    cluster.tool(&["create", "larger", "1"]);
    let producer = plain(cluster, "");
    let value = vec![b'x'; MEGABYTE];
    let sent = producer.send_blocking(&Record::to("larger").value(&value));
    let error = sent.and_then(pointsman::Delivery::wait).unwrap_err();
    assert!(
        matches!(error, ProduceError::TooLarge { size, key: "max.request.size", limit: MEGABYTE, .. } if size > MEGABYTE),
        "{error:?}"
    );
    assert_eq!(error.fate(), Fate::NotWritten);
    producer.close_blocking(PATIENCE).unwrap();
    assert_eq!(read(cluster, "larger"), []);
}

/// Ours may be raised; the broker's own limit then fails that record, and leaves no trace in what follows: it leaves a
/// gap in the sequence that the broker must not trip over.
#[test]
#[ignore = "broker"]
fn a_record_too_large_for_the_broker_fails_alone() {
    let cluster = Cluster::shared();
    cluster.tool(&["create", "largest", "1"]);
    let producer = plain(cluster, "max.request.size = 2000000");
    let large = vec![b'x'; MEGABYTE];
    let mut deliveries = Vec::new();
    for number in 0..2000 {
        let text = number.to_string();
        let value = if number % 500 == 250 { &large[..] } else { text.as_bytes() };
        deliveries.push(producer.send_blocking(&Record::to("largest").key("k").value(value)).unwrap());
    }
    for (number, delivery) in deliveries.into_iter().enumerate() {
        let outcome = delivery.wait();
        if number % 500 == 250 {
            let error = outcome.unwrap_err();
            assert!(
                matches!(error, ProduceError::Broker { partition: 0, fate: Fate::NotWritten, .. }),
                "{number}: {error:?}"
            );
            let text = error.to_string();
            assert!(text.contains("largest-0") && text.contains("MESSAGE_TOO_LARGE"), "{text}");
        } else {
            assert!(outcome.unwrap().offset.is_some(), "{number}");
        }
    }
    producer.close_blocking(PATIENCE).unwrap();
    let expected: Vec<String> =
        (0..2000).filter(|number| number % 500 != 250).map(|number| number.to_string()).collect();
    let found: Vec<String> = read(cluster, "largest").iter().map(Read::text).collect();
    assert!(found == expected, "all others, in order: {} of {}", found.len(), expected.len());
}

#[test]
#[ignore = "broker"]
fn a_record_has_the_time_that_its_topic_gives_it() {
    let cluster = Cluster::shared();
    cluster.tool(&["create", "stamped-by-broker", "1", "--config", "message.timestamp.type=LogAppendTime"]);
    cluster.tool(&["create", "stamped-by-us", "1", "--config", "message.timestamp.type=CreateTime"]);
    let producer = plain(cluster, "");
    let created = 1_700_000_000_123;
    let send = |topic: &str, timestamp| {
        let record = Record { timestamp, ..Record::to(topic).value("v") };
        producer.send_blocking(&record).unwrap().wait().unwrap().timestamp
    };
    let by_broker = [Some(created), None, Some(created + 1)].map(|timestamp| send("stamped-by-broker", timestamp));
    let by_us = [Some(created), Some(created - 1000), Some(0)].map(|timestamp| send("stamped-by-us", timestamp));
    producer.close_blocking(PATIENCE).unwrap();

    assert_eq!(by_us, [created, created - 1000, 0]);
    assert!(by_broker.iter().all(|timestamp| *timestamp > created + 1), "{by_broker:?}");
    let stamps = |topic: &str, kind: &str| -> Vec<i64> {
        let found = read(cluster, topic);
        assert!(found.iter().all(|record| record.timestamp_type == kind), "{found:?}");
        found.iter().map(|record| record.timestamp).collect()
    };
    assert_eq!(stamps("stamped-by-broker", "LogAppendTime"), by_broker);
    assert_eq!(stamps("stamped-by-us", "CreateTime"), by_us);
}

#[test]
#[ignore = "broker"]
fn nulls_and_empty_bytes_and_repeated_headers_arrive_as_they_are() {
    let cluster = Cluster::shared();
    cluster.tool(&["create", "nulls", "1"]);
    let producer = plain(cluster, "");
    let repeated = [
        Header::new("h", "1"),
        Header { name: "h", value: None },
        Header::new("h", ""),
        Header::new("", "no name"),
        Header::new("größe", &[0u8, 0xff, 0xfe]),
        Header::new("h", "1"),
    ];
    let many: Vec<Header<'_>> = (0..1000).map(|_| Header::new("one of many", "value")).collect();
    let records = [
        Record::to("nulls"),
        Record::to("nulls").key(""),
        Record::to("nulls").value(""),
        Record::to("nulls").key("").value(""),
        Record::to("nulls").key("tombstone"),
        Record::to("nulls").value("no key").headers(&repeated),
        Record::to("nulls").headers(&many),
        Record::to("nulls").key(&[0xffu8, 0, 0x80]).value(&[0u8; 3]),
    ];
    let sent = records.map(|record| producer.send_blocking(&record).unwrap());
    for (record, delivery) in records.iter().zip(sent) {
        let metadata = delivery.wait().unwrap();
        let sizes = (metadata.serialized_key_size, metadata.serialized_value_size);
        assert_eq!(sizes, (record.key.map(<[u8]>::len), record.value.map(<[u8]>::len)));
    }
    producer.close_blocking(PATIENCE).unwrap();
    let found = read(cluster, "nulls");
    assert_eq!(found.len(), records.len());
    for (found, sent) in found.iter().zip(&records) {
        assert_eq!((found.key.as_deref(), found.value.as_deref()), (sent.key, sent.value));
        let headers: Vec<(&str, Option<&[u8]>)> =
            found.headers.iter().map(|(name, value)| (name.as_str(), value.as_deref())).collect();
        assert_eq!(headers, sent.headers.iter().map(|header| (header.name, header.value)).collect::<Vec<_>>());
    }
}

#[test]
#[ignore = "broker"]
fn with_fewer_acknowledgements_everything_arrives_at_a_healthy_broker() {
    const RECORDS: usize = 20_000;
    const KEYS: usize = 100;
    let cluster = Cluster::shared();
    for acks in ["0", "1"] {
        let topic = format!("acks-{acks}");
        cluster.tool(&["create", &topic, "3"]);
        let producer = plain(cluster, &format!("acks = {acks:?}"));
        let mut deliveries = Vec::new();
        for number in 0..RECORDS {
            let (key, value) = (format!("key-{}", number % KEYS), format!("{number}|"));
            deliveries.push(producer.send_blocking(&Record::to(&topic).key(&key).value(&value)).unwrap());
        }
        let mut offsets: Vec<(i32, Option<i64>)> = Vec::new();
        for delivery in deliveries {
            let metadata = delivery.wait().unwrap();
            offsets.push((metadata.partition, metadata.offset));
        }
        producer.close_blocking(PATIENCE).unwrap();
        if acks == "0" {
            // No answer, hence no offset; and nothing but the broker knows when it is through.
            assert!(offsets.iter().all(|(_, offset)| offset.is_none()));
            cluster.tool(&["digest", &topic, "--by", "multiset", "--expect", &RECORDS.to_string()]);
        } else {
            offsets.sort_unstable();
            offsets.dedup();
            assert!(offsets.len() == RECORDS && offsets.iter().all(|(_, offset)| offset.is_some()));
        }
        cluster.tool(&["check-order", &topic, "--records", &RECORDS.to_string(), "--keys", &KEYS.to_string()]);
    }
}
