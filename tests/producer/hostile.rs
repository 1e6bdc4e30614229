//! Hostile guests in a producer: whatever they do, the process lives, the other records are delivered, and the error
//! that the record's sender gets names plugin and stage. Among the records of one chunk, only the one that the guest
//! strikes at fails, where its kind can be one record's fault.

use super::guests::{Guests, close, failure, fate, read};
use super::{Broker, encode};
use pointsman::plugin::{FailureKind, Hook};
use pointsman::{ProduceError, Producer, Record};

/// A vice of an interceptor, and how it is found.
struct Vice {
    mode: &'static str,
    kind: FailureKind,
    words: &'static str,
    timeout_ms: u32,
}

const fn vice(mode: &'static str, kind: FailureKind, words: &'static str) -> Vice {
    Vice { mode, kind, words, timeout_ms: 20_000 }
}

const VICES: &[Vice] = &[
    Vice { mode: "loop", kind: FailureKind::Deadline, words: "it ran for more than 20ms", timeout_ms: 20 },
    vice("grow", FailureKind::Memory, "memory.max = 32 MiB reached"),
    vice("panic", FailureKind::Trap, "no such region: mars"),
    vice("recursion", FailureKind::Trap, "out of bounds memory access"),
    vice("deep-calls", FailureKind::Trap, "call stack exhausted"),
    vice("huge-result", FailureKind::ResultSize, "an answer"),
    vice("gigabyte", FailureKind::BrokenRule, "out of bounds"),
    vice("bad-lengths", FailureKind::BrokenRule, "lengths add up to"),
    vice("negative-lengths", FailureKind::BrokenRule, "length -2 at entry 0"),
    vice("few-lengths", FailureKind::BrokenRule, "0 lengths for"),
    vice("alias", FailureKind::ResultSize, "an answer"),
    vice("not-utf8", FailureKind::BrokenRule, "utf-8"),
    vice("wild-pointer", FailureKind::BrokenRule, "out of bounds"),
    vice("undeclared-edit", FailureKind::BrokenRule, "keys: edited, but configure did not declare it"),
    vice("sleep", FailureKind::Trap, "a plugin may not wait"),
    vice("exit", FailureKind::Trap, "exit with status"),
    vice("log-huge", FailureKind::ResultSize, "an argument to the host"),
];

fn start(broker: &Broker, mode: &str, timeout_ms: u32) -> Producer {
    let table = format!("timeout.ms = {timeout_ms}\nmemory.max = \"32 MiB\"");
    let settings = [("mode", mode), ("bad", "bad"), ("stage", "on-send")];
    Guests::used(r#"interceptor.classes = ["wasm:guest"]"#).plugin("guest", &table, &settings).start(broker)
}

#[test]
fn each_fails_its_record_alone_and_by_name() {
    for &Vice { mode, kind, words, timeout_ms } in VICES {
        let broker = Broker::start();
        let producer = start(&broker, mode, timeout_ms);
        // Until the topic is known each record goes alone.
        fate(&producer, &Record::to("orders").value("first")).unwrap_or_else(|error| panic!("{mode}: {error}"));
        for round in 0..2 {
            let error = fate(&producer, &Record::to("orders").key("k").value("bad")).unwrap_err();
            let (plugin, hook, found, cause) = failure(&error);
            assert_eq!((plugin, hook, found), ("guest", Hook::OnSend, kind), "{mode}: {error}");
            assert!(cause.contains(words), "{mode}: {words:?} in {cause:?}");
            let text = error.to_string();
            assert!(text.starts_with("orders: plugin guest, on-send: "), "{text}");
            let good = format!("good {round}");
            fate(&producer, &Record::to("orders").value(&good)).unwrap_or_else(|error| panic!("{mode}: {error}"));
        }
        assert_eq!(read(&broker, "orders").len(), 3, "{mode}");
        close(&producer);
    }
}

#[test]
fn in_a_chunk_of_many_only_the_guilty_one_fails() {
    for mode in ["panic", "recursion", "grow", "huge-result", "sleep"] {
        let broker = Broker::start();
        let producer = start(&broker, mode, 20_000);
        fate(&producer, &Record::to("orders").value("first")).unwrap();
        let values: Vec<String> =
            (0..64).map(|number| if number == 41 { "bad".into() } else { number.to_string() }).collect();
        let records: Vec<Record<'_>> = values.iter().map(|value| Record::to("orders").key("k").value(value)).collect();
        for (number, accepted) in producer.send_batch_blocking(&records).into_iter().enumerate() {
            let outcome = accepted.unwrap().wait();
            assert_eq!(outcome.is_err(), number == 41, "{mode}, record {number}: {outcome:?}");
        }
        let log: Vec<String> = read(&broker, "orders")
            .into_iter()
            .filter(|read| read.key.is_some())
            .filter_map(|read| read.value)
            .collect();
        let expected: Vec<String> = values.into_iter().filter(|value| value != "bad").collect();
        assert_eq!(log, expected, "{mode}: in order");
        close(&producer);
    }
}

#[test]
fn one_that_traps_every_third_record_loses_none() {
    let broker = Broker::start();
    let settings = [("mode", "panic-nth"), ("records", "3")];
    let producer = Guests::used(r#"interceptor.classes = ["wasm:guest"]"#)
        .plugin("guest", "timeout.ms = 20000", &settings)
        .start(&broker);
    let mut failed = 0;
    for number in 0..60 {
        // Alone, the third of an instance traps for good: the next instance has its first.
        match fate(&producer, &Record::to("orders").key("k").value(&number.to_string())) {
            Ok(_) => {}
            Err(error) => {
                assert_eq!(failure(&error).2, FailureKind::Trap, "{error}");
                failed += 1;
            }
        }
    }
    assert_eq!(failed, 20);
    // Many at a time are tried again in parts that are small enough.
    let values: Vec<String> = (0..16).map(|number| format!("again {number}")).collect();
    let records: Vec<Record<'_>> = values.iter().map(|value| Record::to("orders").key("k").value(value)).collect();
    let delivered = producer.send_batch_blocking(&records).into_iter().filter(
        |accepted| matches!(accepted, Ok(delivery) if delivery.try_result().is_none_or(|outcome| outcome.is_ok())),
    );
    assert!(delivered.count() > 0);
    close(&producer);
}

#[test]
fn a_flood_of_words_costs_nobody_a_record() {
    for mode in ["print-flood", "log-flood", "metric-flood"] {
        let broker = Broker::start();
        let producer = start(&broker, mode, 20_000);
        for value in ["bad", "good", "bad"] {
            fate(&producer, &Record::to("orders").value(value)).unwrap_or_else(|error| panic!("{mode}: {error}"));
        }
        assert_eq!(read(&broker, "orders").len(), 3);
        close(&producer);
    }
}

/// Nobody's records are in danger yet: the producer does not start, and says which plugin wants what.
#[test]
fn one_that_wants_sockets_is_named_at_the_start() {
    let broker = Broker::start();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("nosy.wasm");
    std::fs::write(&path, encode::importing("wasi:sockets/tcp@0.2.0", "pointsman:plugin/partitioner@0.1.0")).unwrap();
    let config = Guests::used(r#"partitioner.class = "wasm:nosy""#).component("nosy", &path, "", &[]).config(&broker);
    let error = Producer::start(config).unwrap_err().to_string();
    for word in ["plugin nosy: ", "nosy.wasm", "imports wasi:sockets/tcp@0.2.0", "no plugin reaches the network"] {
        assert!(error.contains(word), "{word:?} in {error}");
    }
}

#[test]
fn a_slow_start_is_paid_at_the_start() {
    let broker = Broker::start();
    let settings = [("mode", "slow-start"), ("rounds", "30000000")];
    let producer = Guests::used(r#"partitioner.class = "wasm:guest""#)
        .plugin("guest", "timeout.ms = 1000", &settings)
        .start(&broker);
    fate(&producer, &Record::to("orders").key("k").value("v")).unwrap();
    close(&producer);
}

#[test]
fn partitioners_and_serializers_fail_by_name_too() {
    let cases = [
        ("value.serializer", "serialize (value)", Hook::SerializeValue),
        ("key.serializer", "serialize (key)", Hook::SerializeKey),
        ("partitioner.class", "partition", Hook::Partition),
    ];
    for (key, stage, expected) in cases {
        for mode in ["loop", "grow", "panic", "deep-calls", "bad-lengths", "huge-result", "sleep"] {
            let broker = Broker::start();
            let timeout = if mode == "loop" { 20 } else { 20_000 };
            let table = format!("timeout.ms = {timeout}\nmemory.max = \"32 MiB\"");
            let settings = [("mode", mode), ("bad", "bad"), ("stage", stage)];
            let producer =
                Guests::used(&format!("{key} = \"wasm:guest\"")).plugin("guest", &table, &settings).start(&broker);
            for (name, is_good) in [("good", true), ("bad", false), ("good again", true)] {
                let outcome = fate(&producer, &Record::to("orders").key(name).value(name));
                assert_eq!(outcome.is_ok(), is_good, "{key}, {mode}: {outcome:?}");
                if let Err(error @ ProduceError::Plugin { hook, .. }) = &outcome {
                    assert_eq!(*hook, expected);
                    let text = error.to_string();
                    assert!(text.starts_with(&format!("orders: plugin guest, {stage}: ")), "{text}");
                }
            }
            close(&producer);
        }
    }
}

#[test]
fn a_plugin_is_told_its_own_settings_and_no_others() {
    let broker = Broker::start();
    let config = Guests::used(
        "interceptor.classes = [\"wasm:one\", \"wasm:other\"]\nclient.id = \"of-the-host\"\n\
         sasl.jaas.config = \"a.PlainLoginModule required username=u password=hush-hush-host;\"",
    )
    .plugin("one", "timeout.ms = 20000", &[("salt", "hush-hush-one"), ("mode", "nothing")])
    .plugin("other", "timeout.ms = 20000", &[("mode", "configure-tell"), ("own", "1")])
    .config(&broker);
    let error = Producer::start(config).unwrap_err().to_string();
    assert!(error.contains(r#"[("mode", "configure-tell"), ("own", "1")]"#), "{error}");
    assert!(!error.contains("hush") && !error.contains("of-the-host"), "{error}");
}

/// A full chunk takes several times `timeout.ms`, and no record is to blame.
#[test]
fn a_slow_plugin_gets_smaller_calls_and_fails_no_record() {
    let broker = Broker::start();
    let producer = Guests::used(r#"partitioner.class = "wasm:guest""#)
        .plugin("guest", "timeout.ms = 50", &[("mode", "slow"), ("rounds", "400000")])
        .start(&broker);
    fate(&producer, &Record::to("orders").value("first")).unwrap();
    let keys: Vec<String> = (0..3000).map(|number| format!("key {number}")).collect();
    let records: Vec<Record<'_>> = keys.iter().map(|key| Record::to("orders").key(key).value("v")).collect();
    for accepted in producer.send_batch_blocking(&records) {
        accepted.unwrap().wait().unwrap();
    }
    assert_eq!(read(&broker, "orders").len(), 3001);
    close(&producer);
}
