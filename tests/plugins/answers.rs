//! Answers that break a rule of the contract: named, never used, and the next call works.

use crate::guests::{Records, assert_fails, mode, records, with};
use pointsman::plugin::{Batch, FailureKind, PluginFactory, Side, TopicColumnRef, Topology};

/// The mode misbehaves in every second call, so that the call before shows that it can behave and the one after,
/// that a fresh instance does.
fn every_second(mode: &str) -> pointsman::wasm::Plugin {
    with(&[("mode", mode), ("every", "2")], |_| {})
}

#[track_caller]
fn assert_on_send_breaks(mode_name: &str, rule: &str) {
    let plugin = mode(mode_name);
    let mut interceptor = plugin.interceptor(0).unwrap();
    assert_fails(interceptor.on_send(&records(2).batch()), FailureKind::BrokenRule, rule);
    assert_eq!(plugin.metrics().instances_discarded, 1, "the instance is not trusted any more");
    assert_fails(interceptor.on_send(&records(2).batch()), FailureKind::BrokenRule, rule);
    assert_eq!(plugin.metrics().instances_started, 2);
}

#[test]
fn edits_have_the_lengths_that_they_say() {
    assert_on_send_breaks("bad-lengths", "on-send: values: lengths add up to 14 bytes, the data is 3");
    assert_on_send_breaks("negative-lengths", "on-send: values: length -2 at entry 0");
    assert_on_send_breaks("few-lengths", "on-send: values: 0 lengths for 2 entries");
    assert_on_send_breaks("tags", "on-send: tags: 3 for 2 records");
}

#[test]
fn edits_are_of_declared_fields() {
    assert_on_send_breaks("undeclared-edit", "on-send: keys: edited, but configure did not declare it");
}

#[test]
fn edits_name_records_that_there_are_in_order() {
    assert_on_send_breaks("descending", "on-send: values: index 0 after 1, not ascending");
    assert_on_send_breaks("index-out-of-range", "on-send: values: index 2 of 2 records");
    assert_on_send_breaks("dropped", "on-send: dropped: index 2 of 2 records");
    assert_on_send_breaks("refused", "on-send: refused: index 2 of 2 records");
    assert_on_send_breaks("topic-index", "on-send: topics: index 9 of 1 names");
}

#[test]
fn numbers_are_ones_that_kafka_knows() {
    assert_on_send_breaks("partition-number", "on-send: partitions: -2, below -1");
}

#[test]
fn headers_agree_with_their_counts_and_are_utf8() {
    assert_on_send_breaks("header-counts", "on-send: added-headers: header names: 2 lengths for 4294967296 entries");
    assert_on_send_breaks("header-null-name", "added-headers: header name 0 is null");
    assert_on_send_breaks("header-not-utf8", "added-headers: header name 0 is not UTF-8");
}

#[test]
fn serializers_answer_for_every_record() {
    let records = records(3);
    let topics = TopicColumnRef { names: &["orders"], indexes: &[] };
    for (mode_name, rule) in [
        ("few-lengths", "serialize (value): payloads: 2 lengths for 3 entries"),
        ("bad-lengths", "serialize (value): payloads: lengths add up to 14 bytes, the data is 15"),
    ] {
        let mut serializer = mode(mode_name).serializer(0, Side::Value).unwrap();
        let answer = serializer.serialize(topics, records.values.as_ref(), None);
        assert_fails(answer, FailureKind::BrokenRule, rule);
    }
}

#[test]
fn no_timestamp_is_before_the_epoch() {
    let mut interceptor = mode("echo").interceptor(0).unwrap();
    let records = records(2);
    for (timestamp, rule) in [(-1, "timestamps: -1, below 0"), (i64::MIN, "timestamps: -9223372036854775808, below 0")]
    {
        let timestamps = [0, timestamp];
        let batch = Batch { timestamps: Some(&timestamps), ..records.batch() };
        assert_fails(interceptor.on_send(&batch), FailureKind::BrokenRule, rule);
    }
}

#[test]
fn placements_are_one_per_record_and_name_known_groups() {
    for (mode_name, rule) in [
        ("few-targets", "partition: targets: 1 for 2 records"),
        ("unknown-group", "partition: targets: -9 at record 0 is group 7, its topic has 2"),
    ] {
        let mut partitioner = mode(mode_name).partitioner(0).unwrap();
        partitioner.on_topology(&topology(4)).unwrap();
        assert_fails(partitioner.partition(&records(2).batch()), FailureKind::BrokenRule, rule);
    }
}

#[test]
fn what_is_said_of_a_refused_record_elsewhere_does_not_count() {
    let mut partitioner = mode("refuse-unknown-group").partitioner(0).unwrap();
    partitioner.on_topology(&topology(4)).unwrap();
    assert_eq!(partitioner.partition(&records(2).batch()).unwrap().refused.len(), 2);
}

#[test]
fn groups_are_of_partitions_that_there_are() {
    for (mode_name, rule) in [
        ("empty-group", "on-topology: group 1 is empty"),
        ("group-out-of-range", "on-topology: group 0 holds partition 4, the topic has 4"),
    ] {
        let mut partitioner = mode(mode_name).partitioner(0).unwrap();
        assert_fails(partitioner.on_topology(&topology(4)), FailureKind::BrokenRule, rule);
    }
}

#[test]
fn an_error_is_the_plugins_own_words_and_keeps_the_instance() {
    let plugin = every_second("error");
    let mut interceptor = plugin.interceptor(0).unwrap();
    let records: Records = records(1);
    interceptor.on_send(&records.batch()).unwrap();
    let words = "on-send: the schema registry is unknown";
    assert_fails(interceptor.on_send(&records.batch()), FailureKind::Error, words);
    interceptor.on_send(&records.batch()).unwrap();
    assert_eq!(plugin.metrics().instances_started, 1);
}

#[test]
fn reasons_are_cut() {
    let mut interceptor = mode("refuse-long").interceptor(0).unwrap();
    let edits = interceptor.on_send(&records(1).batch()).unwrap();
    assert!(edits.refused[0].reason.len() < 4096, "{} bytes", edits.refused[0].reason.len());
    assert!(edits.refused[0].reason.starts_with('é') && edits.refused[0].reason.ends_with('…'));
}

fn topology(partitions: u32) -> Topology {
    Topology { topic: "orders".into(), partitions, ..Topology::default() }
}
