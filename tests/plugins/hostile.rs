//! Guests that trap, never return, take too much: the process lives, the failure says what it was, and the next call
//! works on another instance.

use crate::guests::{assert_fails, mode, records, with};
use pointsman::plugin::{Acknowledgements, FailureKind, PluginFactory, Side, TopicColumnRef, Topology};
use pointsman::wasm::{Limits, Plugin};
use std::time::Duration;

/// The first call of an instance behaves, the second does not.
fn second_call(mode: &str, limits: Limits) -> Plugin {
    with(&[("mode", mode), ("every", "2")], |options| options.limits = limits)
}

fn patient() -> Limits {
    Limits { timeout: Duration::from_secs(20), ..Limits::default() }
}

fn hasty() -> Limits {
    Limits { timeout: Duration::from_millis(20), ..Limits::default() }
}

/// Good, bad, good on a fresh instance, bad again: for every role.
#[track_caller]
fn assert_each_role_recovers(mode: &str, limits: Limits, kind: FailureKind, words: &str) {
    let records = records(2);
    let plugin = second_call(mode, limits);
    let mut interceptor = plugin.interceptor(0).unwrap();
    for _ in 0..2 {
        interceptor.on_send(&records.batch()).expect("a fresh instance works");
        assert_fails(interceptor.on_send(&records.batch()), kind, words);
    }
    assert_eq!((plugin.metrics().instances_started, plugin.metrics().instances_discarded), (2, 2));

    let topics = TopicColumnRef { names: &["orders"], indexes: &[] };
    let mut serializer = second_call(mode, limits).serializer(0, Side::Key).unwrap();
    for _ in 0..2 {
        serializer.serialize(topics, records.keys.as_ref(), None).expect("a fresh instance works");
        assert_fails(serializer.serialize(topics, records.keys.as_ref(), None), kind, words);
    }

    let mut partitioner = second_call(mode, limits).partitioner(0).unwrap();
    partitioner.on_topology(&Topology { topic: "orders".into(), partitions: 3, ..Topology::default() }).unwrap();
    for _ in 0..2 {
        partitioner.partition(&records.batch()).expect("a fresh instance works");
        assert_fails(partitioner.partition(&records.batch()), kind, words);
    }
}

#[test]
fn a_panic_is_a_trap_with_its_own_words() {
    let words = "panicked at src/vice.rs";
    assert_each_role_recovers("panic", patient(), FailureKind::Trap, words);
    let mut interceptor = mode("panic").interceptor(0).unwrap();
    let failure = interceptor.on_send(&records(1).batch()).unwrap_err();
    assert!(failure.cause.contains("no such region: mars"), "{failure}");
    assert!(failure.cause.contains("unreachable"), "{failure}");
    assert!(failure.to_string().starts_with("trapped: "), "{failure}");
}

#[test]
fn a_loop_ends_at_its_deadline() {
    assert_each_role_recovers("loop", hasty(), FailureKind::Deadline, "it ran for more than 20ms");
}

#[test]
fn memory_ends_at_its_limit() {
    let limits = Limits { memory_max: 16 << 20, ..patient() };
    assert_each_role_recovers("grow", limits, FailureKind::Memory, "memory.max = 16 MiB reached");
}

#[test]
fn recursion_ends_with_the_stack() {
    assert_each_role_recovers("recursion", patient(), FailureKind::Trap, "out of bounds memory access");
    assert_each_role_recovers("deep-calls", patient(), FailureKind::Trap, "call stack exhausted");
}

#[test]
fn exit_is_a_trap_that_says_so() {
    assert_each_role_recovers("exit", patient(), FailureKind::Trap, "the plugin called exit with status");
}

#[test]
fn waiting_is_refused() {
    assert_each_role_recovers("sleep", patient(), FailureKind::Trap, "a plugin may not wait");
}

#[test]
fn an_answer_too_large_is_refused_before_it_is_copied() {
    let plugin = mode("huge-result");
    let mut interceptor = plugin.interceptor(0).unwrap();
    let words = "of more than 41944"; // 4 MiB, and four times the little that went in.
    assert_fails(interceptor.on_send(&records(1).batch()), FailureKind::ResultSize, words);
    assert_eq!(plugin.metrics().instances_discarded, 1);
}

#[test]
fn an_answer_that_repeats_one_string_counts_each_time() {
    let mut interceptor = mode("alias").interceptor(0).unwrap();
    assert_fails(interceptor.on_send(&records(1).batch()), FailureKind::ResultSize, "an answer");
}

#[test]
fn an_answer_that_cannot_be_read_breaks_a_rule() {
    for (mode_name, words) in [("wild-pointer", "out of bounds"), ("not-utf8", "utf-8")] {
        let plugin = mode(mode_name);
        let mut interceptor = plugin.interceptor(0).unwrap();
        assert_fails(interceptor.on_send(&records(1).batch()), FailureKind::BrokenRule, "the answer cannot be read: ");
        assert_fails(interceptor.on_send(&records(1).batch()), FailureKind::BrokenRule, words);
        assert_eq!(plugin.metrics().instances_discarded, 2);
    }
}

#[test]
fn an_answer_may_be_large_where_the_input_is() {
    let settings = [("mode", "huge-result"), ("bytes", "6000000")];
    let mut interceptor = with(&settings, |_| {}).interceptor(0).unwrap();
    let small = records(1);
    assert_fails(interceptor.on_send(&small.batch()), FailureKind::ResultSize, "");
    let mut large = records(1);
    large.values.clear();
    large.values.push(Some(&vec![0; 1 << 20]));
    // It is let in, and only then found wrong.
    assert_fails(interceptor.on_send(&large.batch()), FailureKind::BrokenRule, "the data is 6000000");
}

#[test]
fn arguments_to_the_host_are_bounded_too() {
    let mut interceptor = mode("log-huge").interceptor(0).unwrap();
    assert_fails(interceptor.on_send(&records(1).batch()), FailureKind::ResultSize, "an argument to the host");
    mode("log-large").interceptor(0).unwrap().on_send(&records(1).batch()).expect("3 MiB is cut, not refused");
}

/// An answer may have 4 MiB here; what is logged, printed and counted meanwhile takes nothing of that.
#[test]
fn what_a_plugin_says_is_not_counted_as_its_answer() {
    for settings in [
        &[("mode", "print-flood"), ("lines", "200"), ("width", "100000")][..],
        &[("mode", "log-flood"), ("lines", "1000000")],
        &[("mode", "metric-flood")],
    ] {
        let mut interceptor = with(settings, |_| {}).interceptor(0).unwrap();
        interceptor.on_send(&records(1).batch()).unwrap_or_else(|failure| panic!("{settings:?}: {failure}"));
    }
}

/// As large as those that the engine's documentation asks for.
#[test]
fn two_mebibytes_of_stack_are_enough_to_fall_in() {
    for fall in ["recursion", "deep-calls", "panic", "huge-result"] {
        let thread = std::thread::Builder::new().stack_size(2 << 20);
        let thread = thread.spawn(move || mode(fall).interceptor(0).unwrap().on_send(&records(1).batch()).map(drop));
        let failure = thread.unwrap().join().expect("the thread lives").unwrap_err();
        assert!(matches!(failure.kind, FailureKind::Trap | FailureKind::ResultSize), "{fall}: {failure}");
    }
}

#[test]
fn a_hook_without_an_answer_fails_as_the_others_do() {
    let acknowledgements = Acknowledgements {
        count: 1,
        topics: TopicColumnRef { names: &["orders"], indexes: &[] },
        partitions: &[0],
        offsets: &[0],
        timestamps: &[0],
        errors: &[0],
        fates: &[0],
        tags: &[0],
    };
    let plugin = second_call("panic", patient());
    let mut interceptor = plugin.interceptor(0).unwrap();
    interceptor.on_acknowledgement(&acknowledgements).unwrap();
    let failed = interceptor.on_acknowledgement(&acknowledgements);
    assert_fails(failed, FailureKind::Trap, "no such region: mars");
    interceptor.on_acknowledgement(&acknowledgements).unwrap();

    let mut partitioner = mode("topology-panic").partitioner(0).unwrap();
    let failed = partitioner.on_topology(&Topology { topic: "t".into(), partitions: 1, ..Topology::default() });
    assert_fails(failed, FailureKind::Trap, "panicked at src/partitioner.rs");
}

#[test]
fn one_instance_that_falls_leaves_the_others_alone() {
    let records = records(1);
    let plugin = second_call("panic", patient());
    let (mut one, mut other) = (plugin.interceptor(0).unwrap(), plugin.interceptor(1).unwrap());
    one.on_send(&records.batch()).unwrap();
    one.on_send(&records.batch()).unwrap_err();
    other.on_send(&records.batch()).expect("its first call");
    assert_fails(other.on_send(&records.batch()), FailureKind::Trap, "mars");
}

#[test]
fn deadlines_hold_for_many_threads_at_once() {
    let plugin = with(&[("mode", "loop")], |options| options.limits = hasty());
    std::thread::scope(|scope| {
        for lane in 0..4 {
            let plugin = &plugin;
            scope.spawn(move || {
                let mut interceptor = plugin.interceptor(lane).unwrap();
                for _ in 0..3 {
                    assert_fails(interceptor.on_send(&records(1).batch()), FailureKind::Deadline, "20ms");
                }
            });
        }
    });
    assert_eq!(plugin.metrics().instances_discarded, 12);
}
