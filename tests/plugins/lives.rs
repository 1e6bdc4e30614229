//! An instance's life: state, successors, growth, the last call.

use crate::guests::{assert_fails, mode, records, with};
use crate::listen::listen;
use pointsman::plugin::{FailureKind, Hook, PluginFactory, Side, Topology};
use pointsman::wasm::{Limits, Plugin};

fn topology(topic: &str, partitions: u32) -> Topology {
    Topology { topic: topic.into(), partitions, ..Topology::default() }
}

#[test]
fn state_lasts_between_calls_and_ends_with_the_instance() {
    let records = records(3);
    let mut partitioner = with(&[("mode", "state")], |_| {}).partitioner(0).unwrap();
    partitioner.on_topology(&topology("orders", 9)).unwrap();
    assert_eq!(partitioner.partition(&records.batch()).unwrap().targets, [0, 1, 2]);
    assert_eq!(partitioner.partition(&records.batch()).unwrap().targets, [3, 4, 5]);
}

#[test]
fn instances_share_nothing() {
    let records = records(2);
    let plugin = mode("state");
    for lane in 0..2 {
        let mut partitioner = plugin.partitioner(lane).unwrap();
        assert_eq!(partitioner.partition(&records.batch()).unwrap().targets, [0, 1]);
    }
}

#[test]
fn a_successor_is_told_the_topics_of_its_batch_before_it_places() {
    let records = records(6);
    let plugin = with(&[("mode", "panic"), ("every", "2")], |_| {});
    let mut partitioner = plugin.partitioner(0).unwrap();
    let (_, told) = listen(|| {
        for (topic, partitions) in [("orders", 7), ("trips", 5), ("elsewhere", 1)] {
            partitioner.on_topology(&topology(topic, partitions)).unwrap();
        }
    });
    assert_eq!(told.len(), 3);
    let (first, told) = listen(|| partitioner.partition(&records.batch()).unwrap());
    assert_eq!(told, [""; 0], "it knows them");
    partitioner.partition(&records.batch()).unwrap_err();
    let (again, told) = listen(|| partitioner.partition(&records.batch()).unwrap());
    assert_eq!(told, ["INFO stdout topology orders 7 None", "INFO stdout topology trips 5 None"]);
    assert_eq!(again, first, "the same answers as its predecessor's");
}

#[test]
fn a_newer_topology_is_the_one_that_a_successor_hears() {
    let records = records(2);
    let mut partitioner = with(&[("mode", "panic"), ("every", "2")], |_| {}).partitioner(0).unwrap();
    for partitions in [3, 8] {
        partitioner.on_topology(&topology("orders", partitions)).unwrap();
    }
    partitioner.partition(&records.batch()).unwrap();
    partitioner.partition(&records.batch()).unwrap_err();
    let (_, told) = listen(|| partitioner.partition(&records.batch()).unwrap());
    assert_eq!(told, ["INFO stdout topology orders 8 None"]);
}

#[test]
fn a_successor_with_other_groups_is_refused() {
    // The guest makes up a number of groups, one of a thousand.
    let records = records(1);
    let mut partitioner = with(&[("mode", "fickle-groups")], |_| {}).partitioner(0).unwrap();
    let before = partitioner.on_topology(&topology("orders", 4)).unwrap();
    partitioner.close();
    let answer = partitioner.partition(&records.batch());
    match answer {
        Err(_) => assert_fails(answer, FailureKind::BrokenRule, "other groups for topic \"orders\""),
        Ok(_) => {
            assert_eq!(partitioner.on_topology(&topology("orders", 4)).map(|groups| groups.len()), Ok(before.len()))
        }
    }
}

#[test]
fn an_unknown_topic_has_no_groups() {
    let mut partitioner = mode("groups").partitioner(0).unwrap();
    assert_fails(partitioner.partition(&records(1).batch()), FailureKind::BrokenRule, "its topic has 0");
}

#[test]
fn a_successor_that_does_not_start_fails_the_call_with_its_words() {
    // Each start tosses a coin; heads is an error.
    let plugin = mode("configure-random");
    let mut interceptor = loop {
        if let Ok(interceptor) = plugin.interceptor(0) {
            break interceptor;
        }
    };
    loop {
        interceptor.close();
        if let Err(failure) = interceptor.on_send(&records(1).batch()) {
            assert_eq!(
                (failure.kind, failure.cause.as_str()),
                (FailureKind::Configure, "configure returned an error: heads")
            );
            break;
        }
    }
    // And it is tried again at each call.
    while interceptor.on_send(&records(1).batch()).is_err() {}
}

#[test]
fn a_successor_that_wants_something_else_is_refused() {
    let plugin = mode("wants-change");
    let mut interceptor = plugin.interceptor(0).unwrap();
    loop {
        interceptor.close();
        if let Err(failure) = interceptor.on_send(&records(1).batch()) {
            assert_eq!(failure.kind, FailureKind::Configure);
            assert!(failure.cause.contains("asked for something else than at the start"), "{failure}");
            break;
        }
    }
}

#[test]
fn an_instance_that_grew_is_replaced_without_a_failed_call() {
    let settings = [("mode", "leak"), ("bytes", "40000000")];
    let plugin = with(&settings, |options| options.limits = Limits { memory_max: 64 << 20, ..options.limits });
    let mut interceptor = plugin.interceptor(0).unwrap();
    for _ in 0..2 {
        interceptor.on_send(&records(1).batch()).expect("two such calls do not fit into one instance");
    }
    let metrics = plugin.metrics();
    assert_eq!((metrics.instances_started, metrics.instances_recycled, metrics.instances_discarded), (2, 1, 0));
}

#[test]
fn serializers_and_partitioners_that_grew_are_replaced_too() {
    let leaking = |stage| {
        let settings = [("mode", "leak"), ("stage", stage), ("bytes", "40000000")];
        with(&settings, |options| options.limits = Limits { memory_max: 64 << 20, ..options.limits })
    };
    let lives = |plugin: &Plugin| {
        let metrics = plugin.metrics();
        (metrics.instances_started, metrics.instances_recycled, metrics.instances_discarded)
    };
    let records = records(3);
    let batch = records.batch();

    let plugin = leaking("serialize (value)");
    let mut serializer = plugin.serializer(0, Side::Value).unwrap();
    for _ in 0..2 {
        let answer = serializer.serialize(batch.topics.unwrap(), batch.values.unwrap(), None);
        assert_eq!(answer.expect("it is another instance").payloads.len(), 3);
    }
    assert_eq!(lives(&plugin), (2, 1, 0));

    let plugin = leaking("partition");
    let mut partitioner = plugin.partitioner(0).unwrap();
    for topic in ["orders", "trips"] {
        partitioner.on_topology(&topology(topic, 7)).unwrap();
    }
    let first = partitioner.partition(&batch).unwrap().targets;
    let second = partitioner.partition(&batch).expect("it is another instance").targets;
    assert_eq!(first, second, "which was told of the topics");
    assert!(second.iter().any(|&target| target > 0));
    assert_eq!(lives(&plugin), (2, 1, 0));
}

#[test]
fn a_successor_that_grows_while_it_is_told_is_the_one_that_places() {
    let settings = [("mode", "leak"), ("stage", "on-topology"), ("bytes", "40000000")];
    let plugin = with(&settings, |options| options.limits = Limits { memory_max: 64 << 20, ..options.limits });
    let mut partitioner = plugin.partitioner(0).unwrap();
    partitioner.on_topology(&topology("orders", 7)).unwrap();
    partitioner.close();
    let sum: i32 = b"key-0".iter().map(|&byte| i32::from(byte)).sum();
    assert_ne!(sum % 7, 0, "where an instance that knows no topic puts it");
    assert_eq!(partitioner.partition(&records(1).batch()).unwrap().targets, [sum % 7]);
    let metrics = plugin.metrics();
    assert_eq!((metrics.instances_started, metrics.instances_recycled, metrics.instances_discarded), (2, 0, 0));
}

#[test]
fn a_successor_that_fails_when_it_is_told_has_failed_in_on_topology() {
    let settings = [("mode", "panic"), ("stage", "on-topology"), ("every", "2")];
    let mut partitioner = with(&settings, |_| {}).partitioner(0).unwrap();
    partitioner.on_topology(&topology("orders", 4)).unwrap();
    let failure = partitioner.on_topology(&topology("trips", 4)).unwrap_err();
    assert_eq!((failure.kind, failure.before), (FailureKind::Trap, None));
    partitioner.on_topology(&topology("trips", 4)).expect("the first call of the second instance");
    let failure = partitioner.partition(&records(2).batch()).unwrap_err();
    assert_eq!((failure.kind, failure.before), (FailureKind::Trap, Some(Hook::OnTopology)));
}

#[test]
fn an_instance_that_is_dropped_is_closed() {
    let mut interceptor = mode("close").interceptor(0).unwrap();
    interceptor.on_send(&records(1).batch()).unwrap();
    let ((), lines) = listen(|| drop(interceptor));
    assert_eq!(lines, ["INFO stdout closed after 1 calls"]);
}

#[test]
fn close_is_the_last_call() {
    let mut interceptor = mode("close").interceptor(0).unwrap();
    interceptor.on_send(&records(1).batch()).unwrap();
    let ((), lines) = listen(|| interceptor.close());
    assert_eq!(lines, ["INFO stdout closed after 1 calls"]);
    let ((), lines) = listen(|| interceptor.close());
    assert_eq!(lines, [""; 0], "once");
}

#[test]
fn close_ends_at_its_deadline() {
    let limits = Limits { timeout: std::time::Duration::from_millis(20), ..Limits::default() };
    let plugin = with(&[("mode", "close-loop")], |options| options.limits = limits);
    let mut interceptor = plugin.interceptor(0).unwrap();
    let ((), lines) = listen(|| interceptor.close());
    assert!(lines.iter().any(|line| line.contains("it ran for more than 20ms")), "{lines:?}");
    interceptor.on_send(&records(1).batch()).expect("and should it be called again, it starts again");
}

#[test]
fn close_may_fail_without_harm() {
    let mut interceptor = mode("close-panic").interceptor(0).unwrap();
    interceptor.close();
    interceptor.on_send(&records(1).batch()).expect("and should it be called again, it starts again");
}
