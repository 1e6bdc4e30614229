//! What crosses, in and out, for each role.

use crate::guests::{assert_fails, mode, records, with};
use crate::listen::listen;
use pointsman::plugin::{
    Acknowledgements, Batch, Column, Consistency, FailureKind, Fields, HeaderColumns, HeaderColumnsRef, HeaderReads,
    PluginFactory, Refusal, Side, TopicColumn, TopicColumnRef, Topology, TopologyBroker,
};

fn topology(topic: &str, partitions: u32) -> Topology {
    Topology { topic: topic.into(), partitions, ..Topology::default() }
}

fn headers() -> HeaderColumns {
    let mut headers = HeaderColumns { counts: vec![2, 0, 1], ..HeaderColumns::default() };
    for (name, value) in [("a", Some(&b"1"[..])), ("old", None), ("a", Some(b""))] {
        headers.names.push(Some(name.as_bytes()));
        headers.values.push(value);
    }
    headers
}

#[test]
fn every_field_crosses_unchanged() {
    let records = records(3);
    let headers = headers();
    let batch = Batch {
        partitions: Some(&[-1, 4, 0]),
        timestamps: Some(&[1, 1_700_000_000_000, 0]),
        headers: Some(headers.as_ref()),
        ..records.batch()
    };
    let mut interceptor = mode("echo").interceptor(0).unwrap();
    let wants = interceptor.wants().clone();
    assert_eq!(wants.on_send.as_ref().unwrap().headers, HeaderReads::All);
    let all = Fields { topic: true, partition: true, timestamp: true, key: true, value: true };
    assert_eq!(wants.on_send.unwrap().fields, all);

    let edits = interceptor.on_send(&batch).unwrap();
    let topics = TopicColumn { names: vec!["orders".into(), "trips".into()], indexes: vec![0, 1, 0] };
    assert_eq!(edits.topics.unwrap().content, topics);
    assert_eq!(edits.partitions.unwrap().content, [-1, 4, 0]);
    assert_eq!(edits.timestamps.unwrap().content, [1, 1_700_000_000_000, 0]);
    assert_eq!(edits.keys.unwrap().content, records.keys);
    assert_eq!(edits.values.unwrap().content, records.values);
    assert_eq!(edits.added_headers.unwrap(), headers);
    assert_eq!(
        (edits.removed_headers[0].name.as_str(), edits.removed_headers[0].indexes.as_slice()),
        ("old", &[0][..])
    );
    assert_eq!(edits.tags, [0, 1, 2]);
    assert_eq!(edits.dropped, [0]);
    assert_eq!(edits.refused, [Refusal { index: 1, reason: "it is the second".into() }]);
}

#[test]
fn a_range_of_a_batch_crosses_without_a_copy_of_the_rest() {
    let records = records(10);
    let mut interceptor = mode("echo").interceptor(0).unwrap();
    let edits = interceptor.on_send(&records.batch().range(4..7)).unwrap();
    assert_eq!(edits.keys.unwrap().content.as_ref(), records.keys.as_ref().range(4..7));
    assert_eq!(edits.topics.unwrap().content.indexes, [0, 1, 0]);
}

#[test]
fn acknowledgements_arrive_whole() {
    let mut interceptor = mode("acks").interceptor(0).unwrap();
    assert!(interceptor.wants().acknowledgements);
    let acknowledgements = Acknowledgements {
        count: 2,
        topics: TopicColumnRef { names: &["orders"], indexes: &[] },
        partitions: &[3, -1],
        offsets: &[100, -1],
        timestamps: &[5, -1],
        errors: &[0, -104],
        fates: &[0, 2],
        tags: &[40, 2],
    };
    let (answer, lines) = listen(|| interceptor.on_acknowledgement(&acknowledgements));
    answer.unwrap();
    assert_eq!(lines, ["INFO stdout 2 42 [\"orders\"] [] [0, -104]"]);
}

#[test]
fn a_serializer_knows_its_side_and_keeps_null() {
    let mut payloads = Column::default();
    for payload in [Some(&b"one"[..]), None, Some(b"")] {
        payloads.push(payload);
    }
    let plugin = mode("frame");
    for (side, prefix) in [(Side::Key, "key"), (Side::Value, "value")] {
        let mut serializer = plugin.serializer(0, side).unwrap();
        assert_eq!(serializer.headers(), &HeaderReads::None);
        let topics = TopicColumnRef { names: &["orders"], indexes: &[] };
        let serialized = serializer.serialize(topics, payloads.as_ref(), None).unwrap();
        let framed: Vec<_> = serialized.payloads.as_ref().iter().collect();
        let whole = format!("{prefix}one");
        assert_eq!(framed, [Some(whole.as_bytes()), None, Some(prefix.as_bytes())]);
    }
}

#[test]
fn a_serializer_reads_and_adds_headers_and_refuses() {
    let topics = TopicColumnRef { names: &["orders"], indexes: &[] };
    let records = records(3);
    let mut serializer = with(&[("mode", "echo"), ("header", "a")], |_| {}).serializer(0, Side::Value).unwrap();
    assert_eq!(serializer.headers(), &HeaderReads::Named(vec!["a".into()]));
    let headers = headers();
    let answer = serializer.serialize(topics, records.values.as_ref(), Some(headers.as_ref())).unwrap();
    assert_eq!(answer.added_headers.unwrap(), headers);
    assert_eq!(answer.payloads, records.values);

    let mut serializer = mode("refuse").serializer(0, Side::Value).unwrap();
    let none: Option<HeaderColumnsRef<'_>> = None;
    let answer = serializer.serialize(topics, records.values.as_ref(), none).unwrap();
    assert_eq!(answer.refused, [Refusal { index: 0, reason: "not for orders".into() }]);
}

#[test]
fn a_partitioner_is_told_of_topics_and_places_by_key() {
    let mut partitioner = mode("hash").partitioner(0).unwrap();
    assert_eq!(partitioner.wants().consistency, Consistency::Keyed);
    assert_eq!(partitioner.wants().reads.fields, Fields { key: true, ..Fields::default() });
    let groups = partitioner.on_topology(&topology("orders", 5)).unwrap();
    assert_eq!(groups, [vec![0, 1, 2], vec![3, 4]]);
    partitioner.on_topology(&topology("trips", 3)).unwrap();
    let records = records(40);
    let placements = partitioner.partition(&records.batch()).unwrap();
    let sums = records.keys.as_ref().iter().map(|key| key.unwrap().iter().map(|&byte| i32::from(byte)).sum::<i32>());
    let expected: Vec<i32> = sums.zip([5, 3].into_iter().cycle()).map(|(sum, partitions)| sum % partitions).collect();
    assert_eq!(placements.targets, expected);
}

#[test]
fn a_topology_crosses_whole() {
    let mut partitioner = mode("racks").partitioner(0).unwrap();
    let topology = Topology {
        leaders: vec![7, -1],
        brokers: vec![TopologyBroker { id: 7, rack: Some("bj-1".into()) }, TopologyBroker { id: 8, rack: None }],
        ..topology("orders", 2)
    };
    let words = "[7, -1] [Broker { id: 7, rack: Some(\"bj-1\") }, Broker { id: 8, rack: None }]";
    assert_fails(partitioner.on_topology(&topology), FailureKind::Error, words);
}

#[test]
fn placements_may_leave_the_choice_to_the_host() {
    let records = records(4);
    for (mode_name, targets) in [("default", [-1; 4]), ("groups", [-2, -3, -2, -3])] {
        let mut partitioner = mode(mode_name).partitioner(0).unwrap();
        partitioner.on_topology(&topology("orders", 2)).unwrap();
        partitioner.on_topology(&topology("trips", 2)).unwrap();
        assert_eq!(partitioner.partition(&records.batch()).unwrap().targets, targets);
    }
}

#[test]
fn a_partition_that_does_not_exist_is_the_callers_to_judge() {
    let mut partitioner = mode("partition-out-of-range").partitioner(0).unwrap();
    partitioner.on_topology(&topology("orders", 2)).unwrap();
    assert_eq!(partitioner.partition(&records(2).batch()).unwrap().targets, [i32::MAX; 2]);
}
