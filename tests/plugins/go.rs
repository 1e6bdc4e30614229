//! The example in Go, and a plugin of all three roles in Go that behaves as its `mode` says. Both are built as their
//! authors would: by `pointsman plugin build`.

use crate::components::target;
use crate::guests::{assert_fails, load, options, places_by_state, records};
use crate::listen::listen;
use pointsman::plugin::{
    Acknowledgements, Batch, Column, Consistency, FailureKind, Fields, HeaderColumns, HeaderReads, Partitioner,
    PluginFactory, Refusal, Side, TopicColumn, TopicColumnRef, Topology, TopologyBroker,
};
use pointsman::wasm::{Limits, LoadError, MetricValue, Plugin, PluginOptions, Use};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::time::Duration;

/// Builds a folder of this repository into a component below the target folder.
fn built(folder: &str, name: &str) -> PathBuf {
    let into = target().join("guests");
    fs::create_dir_all(&into).expect("a folder below target");
    let component = into.join(name);
    let ran = Command::new(env!("CARGO_BIN_EXE_pointsman"))
        .args(["plugin", "build"])
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder))
        .arg("-o")
        .arg(&component)
        .output()
        .expect("the command runs");
    // Without Go it says how to install it.
    assert!(ran.status.success(), "{folder}: {}", String::from_utf8_lossy(&ran.stderr));
    component
}

pub(crate) fn by_state(settings: &[(&str, &str)]) -> Result<Plugin, LoadError> {
    static BUILT: LazyLock<PathBuf> = LazyLock::new(|| built("plugins/examples/go", "by-state.wasm"));
    load(PluginOptions {
        name: "by-state".into(),
        path: BUILT.clone(),
        uses: vec![Use::Partitioner],
        ..options(settings)
    })
}

pub(crate) fn guest(mode: &str, change: impl FnOnce(&mut PluginOptions)) -> Plugin {
    static BUILT: LazyLock<PathBuf> = LazyLock::new(|| built("tests/plugins/guests/go", "go-guest.wasm"));
    let mut options = PluginOptions { path: BUILT.clone(), ..options(&[("mode", mode)]) };
    change(&mut options);
    load(options).expect("the guest loads")
}

/// A partitioner that knows both topics of `records`.
fn placing(plugin: &Plugin) -> Box<dyn Partitioner> {
    let mut partitioner = plugin.partitioner(0).unwrap();
    for topic in ["orders", "trips"] {
        let topology = Topology { topic: topic.into(), partitions: 3, ..Topology::default() };
        assert_eq!(partitioner.on_topology(&topology).unwrap(), [vec![0], vec![1, 2]]);
    }
    partitioner
}

/// Where the guest has the records of `records(3)`: of the first Kafka's hash counts, the second is the host's choice,
/// and the third has a group.
const TARGETS: [i32; 3] = [1, -1, -3];

fn headers() -> HeaderColumns {
    let mut headers = HeaderColumns { counts: vec![2, 0, 3], ..HeaderColumns::default() };
    for (name, value) in [("a", Some(&b"1"[..])), ("old", None), ("a", Some(b"")), ("b", Some(b"2")), ("a", None)] {
        headers.names.push(Some(name.as_bytes()));
        headers.values.push(value);
    }
    headers
}

#[test]
fn a_partitioner_in_go_places_records_and_refuses_bad_ones() {
    let mut partitioner = by_state(&[("state", "CA")]).unwrap().partitioner(0).unwrap();
    assert_eq!(places_by_state(&mut *partitioner), "the value is not JSON at byte 1");

    let narrow = Topology { topic: "trips".into(), partitions: 1, ..Topology::default() };
    assert_fails(partitioner.on_topology(&narrow), FailureKind::Error, "topic trips has 1 partition: two are needed");
}

#[test]
fn settings_that_are_missing_or_unknown_are_told() {
    let error = |settings: &[_]| by_state(settings).expect_err("the settings are refused").to_string();
    assert!(error(&[]).ends_with("the setting `state` is missing"), "{}", error(&[]));
    let misspelt = error(&[("stat", "CA")]);
    assert!(misspelt.ends_with("the setting `state` is missing; is `stat` meant to be it?"), "{misspelt}");
    let unknown = error(&[("state", "CA"), ("colour", "red")]);
    assert!(unknown.ends_with("the setting `colour` is not known here; known are field, state"), "{unknown}");
}

#[test]
fn every_field_crosses_unchanged() {
    let (records, headers) = (records(3), headers());
    let batch = Batch {
        partitions: Some(&[-1, 4, 0]),
        timestamps: Some(&[1, 1_700_000_000_000, 0]),
        headers: Some(headers.as_ref()),
        ..records.batch()
    };
    let mut interceptor = guest("all", |_| {}).interceptor(0).unwrap();
    let wants = interceptor.wants().clone();
    assert!(wants.acknowledgements);
    assert_eq!(wants.on_send.as_ref().unwrap().headers, HeaderReads::All);
    let all = Fields { topic: true, partition: true, timestamp: true, key: true, value: true };
    assert_eq!((wants.on_send.unwrap().fields, wants.changes), (all, all));

    let edits = interceptor.on_send(&batch).unwrap();
    let topics = TopicColumn { names: vec!["orders".into(), "trips".into()], indexes: vec![0, 1, 0] };
    assert_eq!(edits.topics.unwrap().content, topics);
    assert_eq!(edits.partitions.unwrap().content, [-1, 4, 0]);
    assert_eq!(edits.timestamps.unwrap().content, [1, 1_700_000_000_000, 0]);
    let (keys, values) = (edits.keys.unwrap(), edits.values.unwrap());
    assert_eq!((keys.indexes.len(), &keys.content), (0, &records.keys));
    assert_eq!((values.indexes.len(), &values.content), (0, &records.values));
    let added = edits.added_headers.unwrap();
    // Behind those that it had, the last of them again.
    assert_eq!(added.counts, [3, 0, 4]);
    let names: Vec<_> = added.names.as_ref().iter().flatten().collect();
    assert_eq!(names, [&b"a"[..], b"old", b"last-a", b"a", b"b", b"a", b"last-a"]);
    let values: Vec<_> = added.values.as_ref().iter().collect();
    assert_eq!(values, [Some(&b"1"[..]), None, Some(b"1"), Some(b""), Some(b"2"), None, None]);
    assert_eq!((edits.removed_headers[0].name.as_str(), edits.removed_headers[0].indexes.len()), ("old", 0));
    assert_eq!(edits.tags, [5, 5, 5]);
    assert_eq!(edits.dropped, [0]);
    assert_eq!(edits.refused, [Refusal { index: 1, reason: "it is the second".into() }]);

    // The next batch finds nothing of this one.
    let none = HeaderColumns { counts: vec![0; 3], ..HeaderColumns::default() };
    let mut interceptor = guest("second", |_| {}).interceptor(0).unwrap();
    for _ in 0..2 {
        let edits = interceptor.on_send(&Batch { headers: Some(none.as_ref()), ..batch }).unwrap();
        assert_eq!(edits.topics.unwrap().indexes, [1]);
        assert_eq!(edits.values.unwrap().content.as_ref().iter().collect::<Vec<_>>(), [Some(&b"a value"[..])]);
        assert_eq!((edits.added_headers, edits.dropped.len()), (None, 0));
    }
}

#[test]
fn acknowledgements_arrive_whole_and_the_last_call_too() {
    let mut interceptor = guest("all", |_| {}).interceptor(0).unwrap();
    let acknowledgements = Acknowledgements {
        count: 2,
        topics: TopicColumnRef { names: &["orders"], indexes: &[] },
        partitions: &[3, -1],
        offsets: &[100, -1],
        timestamps: &[5, -1],
        errors: &[0, -104],
        fates: &[0, 2],
        tags: &[40, u64::MAX],
    };
    let (answer, lines) = listen(|| interceptor.on_acknowledgement(&acknowledgements));
    answer.unwrap();
    assert_eq!(
        lines,
        [
            "INFO log {Topic:orders Partition:3 Offset:100 Timestamp:5 Error:0 Fate:0 Tag:40}",
            "INFO log {Topic:orders Partition:-1 Offset:-1 Timestamp:-1 Error:-104 Fate:2 Tag:18446744073709551615}"
        ]
    );
    let ((), lines) = listen(|| interceptor.close());
    assert_eq!(lines, ["INFO log closed guest"]);
}

#[test]
fn a_serializer_knows_its_side_keeps_null_reads_headers_and_refuses() {
    let mut payloads = Column::default();
    for payload in [Some(&b"one"[..]), None, Some(b"bad"), Some(b""), Some(b"null")] {
        payloads.push(payload);
    }
    let mut headers = headers();
    headers.counts.extend([0, 0]);
    let topics = TopicColumnRef { names: &["orders"], indexes: &[] };
    let plugin = guest("frame", |_| {});
    for (side, prefix) in [(Side::Key, "`"), (Side::Value, "a")] {
        let mut serializer = plugin.serializer(0, side).unwrap();
        assert_eq!(serializer.headers(), &HeaderReads::Named(vec!["a".into()]));
        for _ in 0..2 {
            let answer = serializer.serialize(topics, payloads.as_ref(), Some(headers.as_ref())).unwrap();
            let whole = format!("{prefix}one");
            let framed: Vec<_> = answer.payloads.as_ref().iter().collect();
            assert_eq!(framed, [Some(whole.as_bytes()), None, None, Some(prefix.as_bytes()), None]);
            assert_eq!(answer.refused, [Refusal { index: 2, reason: "not for orders".into() }]);
            let added = answer.added_headers.unwrap();
            assert_eq!(added.counts, [1, 0, 0, 0, 0]);
            assert_eq!(added.values.as_ref().iter().collect::<Vec<_>>(), [Some(&b"1"[..])]);
        }
    }
    let mut serializer = guest("nothing", |_| {}).serializer(0, Side::Value).unwrap();
    let answer = serializer.serialize(topics, payloads.as_ref().range(0..2), None).unwrap();
    let emptied: Vec<_> = answer.payloads.as_ref().iter().collect();
    assert_eq!((emptied.as_slice(), answer.added_headers), (&[Some(&b""[..]), None][..], None));
}

#[test]
fn a_topology_crosses_whole() {
    let plugin = guest("topology", |_| {});
    let mut partitioner = plugin.partitioner(0).unwrap();
    assert_eq!(partitioner.wants().consistency, Consistency::Located);
    assert_eq!(partitioner.wants().reads.fields, Fields { key: true, ..Fields::default() });
    let topology = Topology {
        topic: "orders".into(),
        partitions: 2,
        leaders: vec![7, -1],
        brokers: vec![TopologyBroker { id: 7, rack: Some("bj-1".into()) }, TopologyBroker { id: 8, rack: None }],
    };
    let words = "{Topic:orders Partitions:2 Leaders:[7 -1] Brokers:[{ID:7 Rack:bj-1} {ID:8 Rack:}]}";
    assert_fails(partitioner.on_topology(&topology), FailureKind::Error, words);
}

#[test]
fn keys_go_where_kafka_has_them() {
    let records = records(3);
    let placed = placing(&guest("", |_| {})).partition(&records.batch()).unwrap();
    assert_eq!((placed.targets, placed.refused.len()), (TARGETS.to_vec(), 0));
    let placed = placing(&guest("refuse", |_| {})).partition(&records.batch()).unwrap();
    assert_eq!(placed.refused, [Refusal { index: 2, reason: "not this one".into() }]);
    let placed = placing(&guest("group", |_| {})).partition(&records.batch()).unwrap();
    let reason = "the plugin named group 2, but it made 2 for topic orders";
    assert_eq!(placed.refused, [Refusal { index: 2, reason: reason.into() }]);
}

/// The allocator may be called where the host may not: a collection that begins there must not trap.
#[test]
fn collections_neither_trap_nor_let_the_memory_grow() {
    let plugin = guest("garbage", |options| options.limits.memory_max = MEMORY_MAX);
    let mut partitioner = placing(&plugin);
    let records = records(1000);
    for _ in 0..150 {
        let placed = partitioner.partition(&records.batch()).unwrap();
        assert!(placed.targets.iter().all(|target| (0..3).contains(target)), "{:?}", placed.targets);
    }
    drop(partitioner);
    // Neither of its instances was replaced because it had grown.
    let metrics = plugin.metrics();
    assert_eq!((metrics.instances_discarded, metrics.instances_recycled), (0, 0));

    // As much again is allocated by the arguments themselves, and Go tells what it did.
    let plugin = guest("count", |options| options.limits.memory_max = MEMORY_MAX);
    let mut partitioner = placing(&plugin);
    let mut keys = Column::default();
    keys.push(Some(&vec![b'x'; 3 << 20]));
    let topics = TopicColumnRef { names: &["orders"], indexes: &[] };
    let batch = Batch { count: 1, topics: Some(topics), keys: Some(keys.as_ref()), ..Batch::default() };
    for _ in 0..100 {
        partitioner.partition(&batch).unwrap();
    }
    let series = plugin.metrics().series;
    let gauge = |name: &str| match series.iter().find(|series| series.name == name).map(|series| series.value) {
        Some(MetricValue::Gauge(value)) => value,
        other => panic!("{name}: {other:?}"),
    };
    assert!(gauge("allocated") > 300e6, "{} bytes", gauge("allocated"));
    assert!(gauge("collections") > 20.0, "{} collections", gauge("collections"));
}

/// Answers lie in the guest's memory, where nothing of them may be collected or used again before they are read.
#[test]
fn answers_are_whole_while_garbage_is_collected() {
    let records = records(1000);
    let mut headers = HeaderColumns { counts: vec![1; 1000], ..HeaderColumns::default() };
    for at in 0..1000 {
        headers.names.push(Some(b"a"));
        headers.values.push(Some(format!("{at}").as_bytes()));
    }
    let (partitions, timestamps) = (vec![-1; 1000], vec![7; 1000]);
    let batch = Batch {
        partitions: Some(&partitions),
        timestamps: Some(&timestamps),
        headers: Some(headers.as_ref()),
        ..records.batch()
    };
    let plugin = guest("garbage", |options| options.limits.memory_max = MEMORY_MAX);
    let mut interceptor = plugin.interceptor(0).unwrap();
    let mut serializer = plugin.serializer(0, Side::Value).unwrap();
    for _ in 0..200 {
        let edits = interceptor.on_send(&batch).unwrap();
        assert_eq!(edits.keys.unwrap().content, records.keys);
        assert_eq!(edits.values.unwrap().content, records.values);
        let added = edits.added_headers.unwrap();
        let seen = added.values.as_ref().iter().step_by(2);
        assert!(seen.eq(headers.values.as_ref().iter()), "{:?}", added.values);
        let answer = serializer.serialize(batch.topics.unwrap(), records.keys.as_ref(), batch.headers).unwrap();
        let keys = records.keys.as_ref().iter().map(|key| [b"a", key.unwrap()].concat());
        assert!(answer.payloads.as_ref().iter().flatten().eq(keys), "{:?}", answer.payloads);
        assert_eq!(answer.added_headers.unwrap().values, headers.values);
    }
    assert_eq!(plugin.metrics().instances_recycled, 0);
}

const MEMORY_MAX: u64 = 48 << 20;

#[test]
fn a_panic_says_what_and_where_and_the_next_call_works() {
    let records = records(4);
    let good = records.batch().range(0..2);
    for (mode, words) in [
        ("panic", "panic at main.go:"),
        ("panic", ": no such region (wasm `unreachable` instruction executed)"),
        ("nil", "nil pointer dereference"),
        ("index", "index out of range [5] with length 0"),
        ("undeclared", "the plugin reads the value, which its Wants does not ask for"),
        ("goroutine", "panic: in another goroutine (wasm `unreachable` instruction executed)"),
        ("wait", "fatal error: all goroutines are asleep - deadlock! (wasm `unreachable` instruction executed)"),
    ] {
        let plugin = guest(mode, |_| {});
        let mut partitioner = placing(&plugin);
        assert_fails(partitioner.partition(&records.batch()), FailureKind::Trap, words);
        assert_eq!(partitioner.partition(&good).unwrap().targets, TARGETS[..2]);
        assert_eq!(plugin.metrics().instances_discarded, 1);
    }
}

#[test]
fn what_is_printed_is_logged() {
    let mut partitioner = placing(&guest("print", |_| {}));
    let records = records(1);
    let (placed, lines) = listen(|| partitioner.partition(&records.batch()));
    placed.unwrap();
    assert_eq!(lines, ["INFO log to stdout", "WARN log to stderr, piece by piece"]);
}

#[test]
fn what_is_no_text_is_made_text_before_the_host_takes_it() {
    let mut partitioner = placing(&guest("no-text", |_| {}));
    let records = records(1);
    let (placed, lines) = listen(|| partitioner.partition(&records.batch()));
    assert_eq!(placed.unwrap().refused, [Refusal { index: 0, reason: "bad \u{fffd}".into() }]);
    let long = format!("INFO log a{}", "?".repeat(1023));
    let printed = ["???", "???", "???", "????", "é€😀\u{d7ff}\u{10ffff}"].map(|line| format!("INFO log {line}"));
    assert_eq!(lines[0], "INFO log log \u{fffd}");
    assert_eq!(lines[1..6], printed);
    assert_eq!(lines[6], long);
    let placed = placing(&guest("no-group", |_| {})).partition(&records.batch()).unwrap();
    assert_eq!(placed.refused, [Refusal { index: 0, reason: "no topic has a group -1".into() }]);
}

/// Six megabytes of value and room for ten times that.
#[test]
fn a_large_record_takes_not_much_more_than_its_size() {
    let plugin = guest("", |_| {});
    let mut interceptor = plugin.interceptor(0).unwrap();
    let value = vec![b'x'; 6 << 20];
    for round in 0..6 {
        let mut records = records(1);
        records.values = Column::default();
        records.values.push(Some(&value));
        let none = HeaderColumns { counts: vec![0], ..HeaderColumns::default() };
        let (partitions, timestamps, headers) = (Some(&[-1][..]), Some(&[1][..]), Some(none.as_ref()));
        let batch = Batch { partitions, timestamps, headers, ..records.batch() };
        let edits = interceptor.on_send(&batch).unwrap_or_else(|failure| panic!("{round}: {failure:?}"));
        assert!(edits.values.is_some_and(|edit| edit.content.data == value), "{round}");
    }
}

#[test]
fn time_is_that_of_the_call_and_sleep_takes_none() {
    let records = records(3);
    for _ in 0..2 {
        let placed = placing(&guest("clock", |_| {})).partition(&records.batch()).unwrap();
        assert_eq!(placed.targets, [0; 3], "seconds between Go's clock and the host's");
    }
    let limits = Limits { timeout: Duration::from_secs(20), ..Limits::default() };
    let placed = placing(&guest("sleep", |options| options.limits = limits)).partition(&records.batch()).unwrap();
    assert_eq!(placed.targets, TARGETS);
}
