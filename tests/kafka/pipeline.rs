//! Records through the Wasm plugins into a real Kafka.

use crate::harness::{Cluster, folder};
use crate::plugins::{component, guest};
use crate::producers::{PATIENCE, routed};
use crate::reading::read;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use pointsman::error::Fate;
use pointsman::plugin::{FailureKind, Hook};
use pointsman::{Config, Delivery, ProduceError, Producer, Record};
use std::collections::BTreeMap;
use std::time::Duration;

fn faulty(cluster: &Cluster, role: &str, mode: &[(&str, &str)]) -> Producer {
    let settings: String = mode.iter().map(|(key, value)| format!("{key} = {value:?}\n")).collect();
    let text = format!(
        r#"
        [producer]
        bootstrap.servers = "{}"
        {role}
        [plugins.guest]
        component = {:?}
        timeout.ms = 50
        [plugins.guest.settings]
        {settings}
        "#,
        cluster.bootstrap(),
        guest(),
    );
    Producer::start(Config::from_toml(&text).expect("a configuration")).expect("a producer")
}

/// Sends numbered records with the broker killed and restarted half way; all are delivered, once and in order. `before` is
/// told each number before it is sent, `finally` when all are delivered and the producer is still there.
fn sent_over_a_killed_broker(
    cluster: &Cluster,
    producer: &Producer,
    records: usize,
    before: impl Fn(usize),
    finally: impl FnOnce(),
) {
    const KEYS: usize = 1000;
    let mut deliveries: Vec<Delivery> = Vec::with_capacity(records);
    for number in 0..records {
        before(number);
        if number == records / 2 {
            cluster.kill(1);
            std::thread::sleep(Duration::from_secs(2));
            cluster.restart(1);
        }
        let (key, value) = (format!("key-{}", number % KEYS), format!("{number}|padding of a record's usual size"));
        deliveries.push(producer.send_blocking(&Record::to("orders").key(&key).value(&value)).expect("accepted"));
    }
    producer.flush_blocking().expect("not in a callback");
    for delivery in deliveries {
        delivery.wait().expect("delivered");
    }
    finally();
    producer.close_blocking(PATIENCE).expect("nothing is left");
    let report =
        cluster.tool(&["check-order", "orders", "--records", &records.to_string(), "--keys", &KEYS.to_string()]);
    assert!(report.contains(&format!("\"records\":{records}")), "{report}");
}

#[test]
#[ignore = "broker"]
fn a_million_records_survive_a_killed_broker() {
    let cluster = Cluster::start(1);
    cluster.tool(&["create", "orders", "6"]);
    sent_over_a_killed_broker(&cluster, &routed(&cluster, ""), 1_000_000, |_| (), || ());
}

#[test]
#[ignore = "broker"]
fn records_in_order_once_while_plugins_are_replaced_and_a_broker_is_killed() {
    const RECORDS: usize = 400_000;
    const EACH: usize = 50_000;
    let cluster = Cluster::start(1);
    cluster.tool(&["create", "orders", "6"]);
    let folder = folder();
    let file = folder.path().join("orders.toml");
    let write = |number: usize| {
        let name = format!("mark-{number}");
        let text = format!(
            r#"
            [producer]
            bootstrap.servers = "{}"
            plugin.reload = true
            interceptor.classes = ["wasm:{name}"]
            [plugins.{name}]
            component = {:?}
            timeout.ms = 20000
            [plugins.{name}.settings]
            mode = "journal"
            "#,
            cluster.bootstrap(),
            guest(),
        );
        std::fs::write(&file, text).unwrap();
    };
    write(0);
    let producer = Producer::from_config_file(&file).expect("a producer");
    let reloads = || producer.metrics().value("plugin-metrics", "reload-total", &[]).unwrap() as usize;
    let reloaded = |times| {
        while reloads() < times {
            std::thread::sleep(Duration::from_millis(10));
        }
    };
    // Each is to be seen before the next.
    let replace = |number| {
        if number % EACH == EACH / 2 {
            reloaded(number / EACH);
            write(number / EACH + 1);
        }
    };
    sent_over_a_killed_broker(&cluster, &producer, RECORDS, replace, || reloaded(RECORDS / EACH));
    let marks: std::collections::BTreeSet<String> =
        read(&cluster, "orders").iter().map(|read| read.text().split_once('>').expect("a mark").1.to_owned()).collect();
    assert!(marks.len() > RECORDS / EACH / 2 && marks.contains("mark-0"), "{marks:?}");
}

#[test]
#[ignore = "broker"]
fn a_plugin_that_loops_fails_its_records_and_nothing_else() {
    let cluster = Cluster::shared();
    cluster.tool(&["create", "loops", "2"]);
    let producer = faulty(cluster, r#"partitioner.class = "wasm:guest""#, &[("mode", "loop")]);
    let looped = producer.send_blocking(&Record::to("loops").key("a").value("1")).unwrap().wait().unwrap_err();
    match &looped {
        ProduceError::Plugin { plugin, hook: Hook::Partition, kind: FailureKind::Deadline, .. } => {
            assert_eq!(&**plugin, "guest");
        }
        other => panic!("{other}"),
    }
    assert_eq!(looped.fate(), Fate::NotWritten);
    let text = looped.to_string();
    assert!(text.contains("guest") && text.contains("partition") && text.contains("timeout.ms"), "{text}");
    // An explicit partition needs no partitioner.
    producer.send_blocking(&Record::to("loops").partition(0).value("2")).unwrap().wait().unwrap();
    producer.close_blocking(PATIENCE).unwrap();
}

#[test]
#[ignore = "broker"]
fn a_plugin_that_traps_fails_the_record_that_it_trapped_on() {
    let cluster = Cluster::shared();
    cluster.tool(&["create", "traps", "2"]);
    let producer = faulty(cluster, r#"value.serializer = "wasm:guest""#, &[("mode", "panic")]);
    let trapped = producer.send_blocking(&Record::to("traps").key("a").value("1")).unwrap().wait().unwrap_err();
    let text = trapped.to_string();
    assert!(
        matches!(trapped, ProduceError::Plugin { hook: Hook::SerializeValue, kind: FailureKind::Trap, .. }),
        "{text}"
    );
    assert!(text.contains("guest") && text.contains("serialize (value)"), "{text}");
    producer.close_blocking(PATIENCE).unwrap();
}

#[test]
#[ignore = "broker"]
fn dead_letters_and_records_that_were_sent_elsewhere_are_read_back_by_java() {
    let cluster = Cluster::shared();
    for topic in ["letters-dead", "letters-moved"] {
        cluster.tool(&["create", topic, "1"]);
    }
    let text = format!(
        r#"
        [producer]
        bootstrap.servers = "{}"
        interceptor.classes = ["wasm:mover", "wasm:guest"]
        [plugins.mover]
        component = {component:?}
        [plugins.mover.settings]
        mode = "retopic"
        to = "letters-moved"
        [plugins.guest]
        component = {component:?}
        timeout.ms = 20000
        on-error = "dead-letter"
        dead-letter.topic = "letters-dead"
        dead-letter.include.key = true
        [plugins.guest.settings]
        mode = "panic"
        bad = "bad"
        stage = "on-send"
        "#,
        cluster.bootstrap(),
        component = guest(),
    );
    let producer = Producer::start(Config::from_toml(&text).expect("a configuration")).expect("a producer");
    let good = producer.send_blocking(&Record::to("letters-virtual").key("k").value("good")).unwrap().wait().unwrap();
    assert_eq!(&*good.topic, "letters-moved");
    let bad = producer.send_blocking(&Record::to("letters-virtual").key("k").value("bad")).unwrap().wait();
    let Err(ProduceError::DeadLettered { topic, partition: 0, offset: Some(0), .. }) = &bad else { panic!("{bad:?}") };
    assert_eq!(&**topic, "letters-dead");
    producer.close_blocking(PATIENCE).unwrap();
    let read = |topic: &str| -> Vec<serde_json::Value> {
        cluster.tool(&["read", topic]).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    assert_eq!(read("letters-moved").len(), 1);
    let letters = read("letters-dead");
    assert_eq!(letters.len(), 1, "{letters:?}");
    assert_eq!((&letters[0]["key"], &letters[0]["value"]), (&"aw==".into(), &().into()));
    let headers = letters[0]["headers"].as_array().unwrap();
    // The stage, on-send, and the topic, letters-moved, in base64.
    assert!(headers.contains(&serde_json::json!(["dead-letter.stage", "b24tc2VuZA=="])), "{headers:?}");
    assert!(headers.contains(&serde_json::json!(["dead-letter.topic", "bGV0dGVycy1tb3ZlZA=="])), "{headers:?}");
}

#[test]
#[ignore = "broker"]
fn plain_records_are_read_back_by_java() {
    let cluster = Cluster::shared();
    cluster.tool(&["create", "plain", "3"]);
    let config = Config::builder().set("bootstrap.servers", cluster.bootstrap()).build().unwrap();
    let producer = Producer::start(config).unwrap();
    let headers = [pointsman::Header::new("h", "1"), pointsman::Header { name: "h", value: None }];
    let records = [
        Record::to("plain").partition(0).key("k").value("v").timestamp(1_700_000_000_123).headers(&headers),
        Record::to("plain").partition(0).key("tombstone").timestamp(1_700_000_000_000),
        Record::to("plain").partition(0).value("").timestamp(1_700_000_000_500),
    ];
    for record in &records {
        let metadata = producer.send_blocking(record).unwrap().wait().unwrap();
        assert_eq!(metadata.timestamp, record.timestamp.unwrap());
    }
    producer.close_blocking(PATIENCE).unwrap();
    let lines: Vec<serde_json::Value> =
        cluster.tool(&["read", "plain"]).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert_eq!((&lines[0]["key"], &lines[0]["value"]), (&"aw==".into(), &"dg==".into()));
    assert_eq!(lines[0]["timestamp"], 1_700_000_000_123i64);
    assert_eq!(lines[0]["headers"], serde_json::json!([["h", "MQ=="], ["h", null]]));
    assert_eq!((&lines[1]["value"], &lines[2]["key"], &lines[2]["value"]), (&().into(), &().into(), &"".into()));
}

/// Through three plugins, one of which traps now and then, by any number of lanes: what was acknowledged stands in the log,
/// each key's records in the order of their sends.
#[test]
#[ignore = "broker"]
fn keys_keep_their_order_in_any_number_of_lanes_while_a_plugin_traps() {
    const KEYS: usize = 50;
    const RECORDS: usize = 20_000;
    let cluster = Cluster::shared();
    for lanes in [1, 2, 4] {
        let topic = format!("lanes-{lanes}");
        cluster.tool(&["create", &topic, "6"]);
        let text = format!(
            r#"
            [producer]
            bootstrap.servers = "{}"
            lanes = {lanes}
            interceptor.classes = ["wasm:trace-context", "wasm:guest"]
            partitioner.class = "wasm:region-router"
            [plugins.trace-context]
            component = {:?}
            [plugins.region-router]
            component = {:?}
            [plugins.region-router.settings]
            source = "key-prefix"
            separator = "-"
            regions.key = "0-5"
            [plugins.guest]
            component = {:?}
            breaker.failures = 0
            [plugins.guest.settings]
            mode = "panic"
            stage = "on-send"
            bad = "trap"
            "#,
            cluster.bootstrap(),
            component("trace_context"),
            component("region_router"),
            guest(),
        );
        let producer = Producer::start(Config::from_toml(&text).expect("a configuration")).expect("a producer");
        let mut sent = Vec::with_capacity(RECORDS);
        for number in 0..RECORDS {
            let key = format!("key-{}", number % KEYS);
            let value = if number % 997 == 996 { format!("trap {number}") } else { number.to_string() };
            let delivery = producer.send_blocking(&Record::to(&topic).key(&key).value(&value)).expect("accepted");
            sent.push((key, value, delivery));
        }
        producer.flush_blocking().expect("not in a callback");
        let mut expected = BTreeMap::<String, Vec<String>>::new();
        for (key, value, delivery) in sent {
            match delivery.try_result().expect("flush covers every lane") {
                Ok(_) => expected.entry(key).or_default().push(value),
                Err(ProduceError::Plugin { kind: FailureKind::Trap, .. }) => {}
                Err(other) => panic!("{other}"),
            }
        }
        producer.close_blocking(PATIENCE).expect("nothing is left");
        assert!(expected.values().map(Vec::len).sum::<usize>() > RECORDS * 9 / 10);
        assert!(expected.values().flatten().all(|value| !value.starts_with("trap")));
        let mut found = BTreeMap::<String, Vec<String>>::new();
        for line in cluster.tool(&["read", &topic]).lines() {
            let record: serde_json::Value = serde_json::from_str(line).expect("a record");
            let text = |field: &str| {
                let bytes = STANDARD.decode(record[field].as_str().expect("base64")).expect("base64");
                String::from_utf8(bytes).expect("text")
            };
            found.entry(text("key")).or_default().push(text("value"));
        }
        assert!(found == expected, "{lanes} lanes");
    }
}
