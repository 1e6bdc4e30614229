//! `on-error`, cell by cell of the table in README.md: what a plugin can do wrong, times what the config says to do
//! about it, with a real component in a real chain.

use super::guests::{Guests, Read, close, failure, fate, read};
use super::{Broker, encode};
use pointsman::plugin::{FailureKind, Hook};
use pointsman::{ProduceError, Producer, Record};

/// Rows of the table and how the guest is made to do that: its mode, and the kind of failure.
const ROWS: &[(&str, &str, FailureKind)] = &[
    ("refuses a record", "refuse", FailureKind::Refused),
    ("returns an error", "error", FailureKind::Error),
    ("traps", "panic", FailureKind::Trap),
    ("exceeds `timeout.ms`", "loop", FailureKind::Deadline),
    ("breaks a rule of the contract", "bad-lengths", FailureKind::BrokenRule),
    ("returns too large a result", "huge-result", FailureKind::ResultSize),
    ("exceeds `memory.max`", "grow", FailureKind::Memory),
    ("does not start again after one of these", "panic", FailureKind::Configure),
    ("kept failing: its breaker is open", "panic", FailureKind::BreakerOpen),
];

/// A hook, its use in the config, and the policies that it can have.
struct Stage {
    name: &'static str,
    hook: Hook,
    used: &'static str,
    policies: &'static [&'static str],
}

const ANY: &[&str] = &["fail", "pass", "drop", "dead-letter"];
const PARTITIONERS: &[&str] = &["fail", "drop", "fallback", "dead-letter"];

const ON_SEND: Stage =
    Stage { name: "on-send", hook: Hook::OnSend, used: r#"interceptor.classes = ["wasm:guest"]"#, policies: ANY };
const SERIALIZE_KEY: Stage = Stage {
    name: "serialize (key)",
    hook: Hook::SerializeKey,
    used: r#"key.serializer = "wasm:guest""#,
    policies: ANY,
};
const SERIALIZE_VALUE: Stage = Stage {
    name: "serialize (value)",
    hook: Hook::SerializeValue,
    used: r#"value.serializer = "wasm:guest""#,
    policies: ANY,
};
const ON_TOPOLOGY: Stage = Stage {
    name: "on-topology",
    hook: Hook::OnTopology,
    used: r#"partitioner.class = "wasm:guest""#,
    policies: PARTITIONERS,
};
const PARTITION: Stage = Stage {
    name: "partition",
    hook: Hook::Partition,
    used: r#"partitioner.class = "wasm:guest""#,
    policies: PARTITIONERS,
};

/// The plugin strikes at topic, key or value "bad".
fn bad(stage: &Stage) -> Record<'static> {
    let topic = if stage.hook == Hook::OnTopology { "bad-orders" } else { "orders" };
    Record::to(topic).key("bad key").value("bad value").timestamp(1234)
}

fn good() -> Record<'static> {
    Record::to("orders").key("good").value("good")
}

fn start(broker: &Broker, stage: &Stage, mode: &str, kind: FailureKind, policy: &str) -> Producer {
    let mut table = format!("on-error = {policy:?}\n");
    if kind == FailureKind::Memory {
        table += "memory.max = \"16 MiB\"\n";
    }
    table += match kind {
        FailureKind::Deadline => "timeout.ms = 20\n",
        _ => "timeout.ms = 20000\n",
    };
    table += match kind {
        FailureKind::BreakerOpen => "breaker.failures = 1\nbreaker.cooldown.ms = 3600000\n",
        _ => "breaker.failures = 0\n",
    };
    if policy == "dead-letter" {
        table += "dead-letter.topic = \"dead\"\ndead-letter.include.key = true\n";
    }
    let mut settings = vec![("mode", mode), ("stage", stage.name), ("bad", "bad")];
    if kind == FailureKind::Configure {
        // One start to try it, one for the chain, and none after.
        settings.push(("starts", "2"));
    }
    Guests::used(stage.used).plugin("guest", &table, &settings).start(broker)
}

/// What the plugin makes of the good record, and of the bad one where it is not asked to strike.
fn assert_changed(stage: &Stage, good: &Read) {
    match stage.hook {
        Hook::OnSend => assert!(good.header("trace").is_some(), "{good:?}"),
        Hook::SerializeKey => assert_eq!(good.key.as_deref(), Some("keygood")),
        Hook::SerializeValue => assert_eq!(good.value.as_deref(), Some("valuegood")),
        _ => assert_eq!(good.partition, by_sum(b"good"), "{good:?}"),
    }
}

/// Where the guest puts a key when it does what it should.
fn by_sum(key: &[u8]) -> i32 {
    key.iter().map(|&byte| i32::from(byte)).sum::<i32>() % 6
}

fn run_cell(stage: &Stage, mode: &str, kind: FailureKind, policy: &str) {
    let broker = Broker::start();
    broker.broker.create_topic("bad-orders", 6);
    broker.broker.create_topic("dead", 1);
    let producer = start(&broker, stage, mode, kind, policy);
    if matches!(kind, FailureKind::Configure | FailureKind::BreakerOpen) {
        // The failure before.
        let before = fate(&producer, &bad(stage));
        if let Err(error) = &before {
            assert_eq!(failure(error).2, FailureKind::Trap);
        }
    } else {
        fate(&producer, &good()).expect("the plugin works");
    }
    let logged = read(&broker, bad(stage).topic).len();
    let outcome = fate(&producer, &bad(stage));

    if let Err(error) = &outcome {
        let (plugin, hook, found, cause) = failure(error);
        assert_eq!((plugin, hook, found), ("guest", stage.hook, kind), "{error}");
        assert!(!cause.is_empty());
        let text = error.to_string();
        for word in [bad(stage).topic, "guest", stage.name] {
            assert!(text.contains(word), "{word} in {text}");
        }
    }
    let log = read(&broker, bad(stage).topic);
    match (policy, &outcome) {
        ("fail", Err(ProduceError::Plugin { .. })) | ("drop", Err(ProduceError::Dropped { .. })) => {
            assert_eq!(log.len(), logged);
        }
        ("pass", Ok(metadata)) => {
            let passed =
                log.iter().find(|read| read.partition == metadata.partition && Some(read.offset) == metadata.offset);
            let passed = passed.expect("it is in the log");
            assert_eq!((passed.key.as_deref(), passed.value.as_deref()), (Some("bad key"), Some("bad value")));
            assert_eq!(passed.headers, [], "without this plugin's change");
        }
        ("fallback", Ok(metadata)) => {
            assert_eq!(log.len(), logged + 1);
            assert_eq!(metadata.partition as usize, pointsman::core::partition_of_key(b"bad key", 6));
            assert_ne!(metadata.partition, by_sum(b"bad key"), "the guest would have put it elsewhere");
        }
        ("dead-letter", Err(ProduceError::DeadLettered { topic, partition, offset, .. })) => {
            assert_eq!(log.len(), logged);
            let letters = read(&broker, "dead");
            let letter = letters.iter().find(|read| (read.partition, Some(read.offset)) == (*partition, *offset));
            assert_letter(stage, kind, topic, letter.expect("it is in the log"));
        }
        _ => panic!("{outcome:?}"),
    }
    let settled = producer.metrics();
    let tags = [("plugin", "guest"), ("hook", stage.hook.name()), ("on-error", policy)];
    let settled = settled.value("plugin-metrics", "record-settled-total", &tags);
    assert!(settled.is_some_and(|count| count >= 1.0), "{settled:?}");
    match kind {
        // Nothing comes past a plugin that does not start, or is not called; others need none.
        FailureKind::Configure | FailureKind::BreakerOpen => {
            if matches!(stage.hook, Hook::Partition | Hook::OnTopology) {
                fate(&producer, &good().partition(3)).expect("it needs no partitioner");
            }
        }
        _ => {
            let metadata = fate(&producer, &good()).unwrap_or_else(|error| panic!("the next one: {error}"));
            let good = read(&broker, "orders");
            let good =
                good.iter().find(|read| (read.partition, Some(read.offset)) == (metadata.partition, metadata.offset));
            assert_changed(stage, good.expect("it is in the log"));
        }
    }
    close(&producer);
}

fn assert_letter(stage: &Stage, kind: FailureKind, topic: &str, letter: &Read) {
    assert_eq!(topic, "dead");
    assert_eq!(letter.value, None, "the config does not include it");
    let key = letter.key.as_deref();
    assert!(key == Some("bad key") || (stage.hook != Hook::OnSend && key == Some("keybad key")), "{letter:?}");
    let has = |name: &str| letter.header(name).unwrap_or_else(|| panic!("no {name} in {letter:?}"));
    assert_eq!(has("dead-letter.stage"), stage.name);
    assert_eq!(has("dead-letter.plugin"), "guest");
    assert_eq!(has("dead-letter.kind"), kind.name());
    assert_eq!(has("dead-letter.topic"), bad(stage).topic);
    assert_eq!(has("dead-letter.digest").len(), 64);
    assert!(!has("dead-letter.reason").is_empty());
}

/// All cells of a stage. on-topology is not given records to refuse.
fn run_stage(stage: &Stage) {
    for &(row, mode, kind) in ROWS {
        if stage.hook == Hook::OnTopology && kind == FailureKind::Refused {
            continue;
        }
        for policy in stage.policies {
            let cell = std::panic::catch_unwind(|| run_cell(stage, mode, kind, policy));
            assert!(cell.is_ok(), "{} {row}, on-error = {policy}: see above", stage.name);
        }
    }
}

#[test]
fn on_send_cell_by_cell() {
    run_stage(&ON_SEND);
}

#[test]
fn serialize_key_cell_by_cell() {
    run_stage(&SERIALIZE_KEY);
}

#[test]
fn serialize_value_cell_by_cell() {
    run_stage(&SERIALIZE_VALUE);
}

#[test]
fn on_topology_cell_by_cell() {
    run_stage(&ON_TOPOLOGY);
}

#[test]
fn partition_cell_by_cell() {
    run_stage(&PARTITION);
}

#[test]
fn the_outcome_stands_whatever_on_acknowledgement_does() {
    for mode in ["panic", "loop", "grow"] {
        for policy in ANY {
            let broker = Broker::start();
            let timeout = if mode == "loop" { 20 } else { 20_000 };
            let letters = if *policy == "dead-letter" { "dead-letter.topic = \"dead\"" } else { "" };
            let table = format!(
                "on-error = {policy:?}\nmemory.max = \"16 MiB\"\ntimeout.ms = {timeout}\nbreaker.failures = 3\n{letters}"
            );
            let settings = [("mode", mode), ("stage", "on-acknowledgement")];
            let producer = Guests::used(ON_SEND.used).plugin("guest", &table, &settings).start(&broker);
            for _ in 0..5 {
                fate(&producer, &good()).unwrap_or_else(|error| panic!("{mode}, {policy}: {error}"));
            }
            let metrics = producer.metrics();
            let of_hook = |name: &str, kind: &[(&str, &str)]| {
                let tags = [&[("plugin", "guest"), ("hook", "on-acknowledgement")], kind].concat();
                metrics.value("plugin-metrics", name, &tags)
            };
            assert_eq!(of_hook("call-total", &[]), Some(3.0), "then its breaker is open");
            assert_eq!(of_hook("failure-total", &[("kind", "breaker-open")]), Some(2.0));
            assert_eq!(of_hook("breaker-open", &[]), Some(1.0));
            assert_eq!(read(&broker, "orders").len(), 5);
            close(&producer);
        }
    }
}

#[test]
fn a_plugin_that_does_not_start_starts_no_producer() {
    let broker = Broker::start();
    for stage in [&ON_SEND, &SERIALIZE_KEY, &SERIALIZE_VALUE, &PARTITION] {
        for policy in stage.policies {
            let letters = if *policy == "dead-letter" { "dead-letter.topic = \"dead\"" } else { "" };
            let table = format!("on-error = {policy:?}\n{letters}");
            let config =
                Guests::used(stage.used).plugin("guest", &table, &[("mode", "configure-error")]).config(&broker);
            let running = Guests::used(stage.used).plugin("guest", "", &[]).start(&broker);
            let in_its_place = running.reload_plugins(&config).unwrap_err().to_string();
            fate(&running, &Record::to("orders").value("v")).expect("the one before stays");
            close(&running);
            for error in [Producer::start(config).unwrap_err().to_string(), in_its_place] {
                assert!(error.contains("plugin guest") && error.contains("no region is called"), "{policy}: {error}");
            }
        }
    }
}

/// The headers that only some letters have.
#[test]
fn a_letter_says_the_version_of_the_plugin_and_the_partition_that_was_chosen() {
    let broker = Broker::start();
    broker.broker.create_topic("dead", 1);
    let folder = tempfile::tempdir().unwrap();
    let component = folder.path().join("guest.wasm");
    let bytes = encode::with_version(&std::fs::read(super::guests::guest()).unwrap(), "1.4.0");
    std::fs::write(&component, bytes).unwrap();
    let table = "timeout.ms = 20000\non-error = \"dead-letter\"\ndead-letter.topic = \"dead\"";
    let settings = [("mode", "panic"), ("stage", "on-send"), ("bad", "bad")];
    let producer = Guests::used(ON_SEND.used).component("guest", &component, table, &settings).start(&broker);
    for record in [bad(&ON_SEND).partition(4), bad(&ON_SEND)] {
        let error = fate(&producer, &record).unwrap_err();
        assert!(matches!(error, ProduceError::DeadLettered { .. }), "{error}");
    }
    let letters = read(&broker, "dead");
    let headers = |name| letters.iter().map(|letter| letter.header(name)).collect::<Vec<_>>();
    assert_eq!(headers("dead-letter.version"), [Some("1.4.0"); 2]);
    assert_eq!(headers("dead-letter.partition"), [Some("4"), None]);
    close(&producer);
}

/// The README's table has these rows, and its cells are what the tests above found.
#[test]
fn the_readme_says_so() {
    let readme = include_str!("../../README.md");
    let table: Vec<Vec<&str>> = readme
        .lines()
        .skip_while(|line| !line.starts_with("| the plugin "))
        .take_while(|line| line.starts_with('|'))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    assert_eq!(table[0][1..], ["`fail`", "`pass`", "`drop`", "`fallback`", "`dead-letter`"]);
    let row = |name: &str| table.iter().find(|row| row[0] == name).unwrap_or_else(|| panic!("no row {name:?}"));
    for (name, _, kind) in ROWS {
        let words = [
            format!("`Plugin`, {}", kind.name()),
            "goes on".into(),
            "`Dropped`".into(),
            "built-in".into(),
            "`DeadLettered`".into(),
        ];
        for (cell, word) in row(name)[1..].iter().zip(&words) {
            assert!(cell.contains(word.as_str()), "{name}: {word} in {cell}");
        }
    }
    for name in ["does not start at all", "does not start when it is taken over", "fails in on-acknowledgement"] {
        assert!(row(name)[1..].windows(2).all(|pair| pair[0] == pair[1]), "whatever the policy");
    }
    assert_eq!(table.len(), 2 + ROWS.len() + 3, "a row that no test knows");
}
