//! The same promises with every layout of Produce that brokers of the last years speak, and with an older broker.

use crate::harness::{Cluster, Setup};
use crate::producers::{PATIENCE, plain};
use crate::proxy::Capped;
use crate::reading::read;
use pointsman::error::Fate;
use pointsman::{Header, Record};
use std::collections::BTreeSet;

/// What each of them changed stands beside the codec: 3 is the first with record batches as they are, 7 may carry zstd,
/// 8 names refused records, 9 is flexible, 11 and 12 are of transactions, 13 has topics by id.
#[test]
#[ignore = "broker"]
fn every_version_of_produce_keeps_the_promises() {
    let capped = Capped::start();
    for version in [3, 7, 8, 9, 11, 12, 13] {
        capped.cap(version);
        let name = format!("produce-{version}");
        keeps_the_promises(&capped.cluster, &name);
        // Brokers before 7 would take zstd for garbage (KIP-110).
        let producer = plain(&capped.cluster, "compression.type = \"zstd\"");
        let sent = producer.send_blocking(&Record::to(&format!("{name}-load")).value("zstd")).unwrap().wait();
        match sent {
            Ok(_) => assert!(version >= 7, "{version}"),
            Err(error) => {
                assert!(version < 7 && error.to_string().contains("zstd needs Produce 7"), "{version}: {error}");
                assert_eq!(error.fate(), Fate::NotWritten);
            }
        }
        producer.close_blocking(PATIENCE).unwrap();
        assert_eq!(capped.seen(), BTreeSet::from([version]));
    }
}

#[test]
#[ignore = "broker"]
fn kafka_3_9_keeps_the_promises() {
    let cluster = Cluster::start_with(Setup { version: Some("3.9.1"), ..Setup::default() });
    keeps_the_promises(&cluster, "older");
}

/// Order under load, tombstones, headers, both kinds of time, and a record that the broker refuses.
fn keeps_the_promises(cluster: &Cluster, name: &str) {
    const RECORDS: usize = 20_000;
    const KEYS: usize = 100;
    let load = format!("{name}-load");
    let fields = format!("{name}-fields");
    let stamped = format!("{name}-stamped");
    cluster.tool(&["create", &load, "6"]);
    cluster.tool(&["create", &fields, "1"]);
    cluster.tool(&["create", &stamped, "1", "--config", "message.timestamp.type=LogAppendTime"]);
    let producer = plain(cluster, "max.request.size = 2000000");

    let mut deliveries = Vec::new();
    for number in 0..RECORDS {
        let (key, value) = (format!("key-{}", number % KEYS), format!("{number}|"));
        deliveries.push(producer.send_blocking(&Record::to(&load).key(&key).value(&value)).unwrap());
    }

    let headers = [Header::new("h", "1"), Header { name: "h", value: None }, Header::new("größe", "")];
    let records = [
        Record::to(&fields).key("tombstone").timestamp(1_700_000_000_500),
        Record::to(&fields).value("no key").timestamp(1_700_000_000_000),
        Record::to(&fields).key("").value("").headers(&headers).timestamp(0),
    ];
    for record in &records {
        let metadata = producer.send_blocking(record).unwrap().wait().unwrap();
        assert_eq!((metadata.timestamp, metadata.offset.is_some()), (record.timestamp.unwrap(), true));
    }
    // The topic goes on behind a refusal.
    let refused = producer.send_blocking(&Record::to(&fields).value(&[b'x'; 1_048_576])).unwrap().wait().unwrap_err();
    assert!(refused.to_string().contains("MESSAGE_TOO_LARGE"), "{refused}");
    producer.send_blocking(&records[0]).unwrap().wait().unwrap();

    let metadata = producer.send_blocking(&Record::to(&stamped).value("v").timestamp(1)).unwrap().wait().unwrap();
    for delivery in deliveries {
        assert!(delivery.wait().unwrap().offset.is_some());
    }
    producer.close_blocking(PATIENCE).unwrap();

    cluster.tool(&["check-order", &load, "--records", &RECORDS.to_string(), "--keys", &KEYS.to_string()]);
    let found = read(cluster, &fields);
    assert_eq!(found.len(), records.len() + 1);
    for (found, sent) in found.iter().zip(records.iter().chain([&records[0]])) {
        assert_eq!((found.key.as_deref(), found.value.as_deref()), (sent.key, sent.value));
        assert_eq!(Some(found.timestamp), sent.timestamp);
        let headers = found.headers.iter().map(|(name, value)| (name.as_str(), value.as_deref()));
        assert!(headers.eq(sent.headers.iter().map(|header| (header.name, header.value))), "{found:?}");
    }
    assert_eq!(read(cluster, &stamped)[0].timestamp, metadata.timestamp);
    assert_ne!(metadata.timestamp, 1, "the broker's time");
}
