//! With the shipped plugins: real components, inspected, explained, misspelt, and in the demo.

use super::{file, pointsman};
#[path = "../kafka/plugins.rs"]
mod built;

use built::{component, guest};
use krafka::testing::FakeBroker;
use pointsman::{Producer, Record};
use std::time::Duration;

/// A configuration with the region router, and more lines of its table.
fn routed(more: &str) -> String {
    format!(
        "[producer]\nbootstrap.servers = \"127.0.0.1:1\"\npartitioner.class = \"wasm:router\"\n\
         interceptor.classes = [\"wasm:trace\"]\n[plugins.trace]\ncomponent = {trace:?}\n\
         [plugins.router]\ncomponent = {router:?}\n{more}\n\
         [plugins.router.settings]\nsource = \"field\"\nfield = \"state\"\nregions.CA = \"0\"\nregions.default = \"1-5\"\n",
        trace = component("trace_context"),
        router = component("region_router"),
    )
}

#[test]
fn inspect_says_what_a_component_is_and_how_it_is_used() {
    let router = component("region_router");
    let ran = pointsman(&["plugin", "inspect", router.to_str().unwrap()], "");
    ran.shows(&[
        "roles    partitioner\n",
        "contract pointsman:plugin@0.1.0",
        "sha256   ",
        "partitioner.class = \"wasm:region-router\"",
        "[plugins.region-router]",
    ]);
    assert!(!ran.stdout.contains("wasi:sockets"), "{}", ran.stdout);
    let trace = component("trace_context");
    pointsman(&["plugin", "inspect", trace.to_str().unwrap()], "")
        .shows(&["roles    interceptor\n", "interceptor.classes = [\"wasm:trace-context\"]"]);
}

/// What the region router needs to start, as options.
const ROUTED: [&str; 8] =
    ["-S", "source=field", "-S", "field=state", "-S", "regions.CA=0", "-S", "regions.default=1-5"];

#[test]
fn check_finds_nothing_against_the_shipped_plugins() {
    let (router, trace) = (component("region_router"), component("trace_context"));
    pointsman(&[&["plugin", "check", router.to_str().unwrap()], &ROUTED[..]].concat(), "").shows(&[
        "region-router: partitioner\n",
        "note    on-topology: it does not take topics of 1, 2, 3 partitions",
        "ok      partition: 15 odd records, alone and together: 15 taken\n",
        "ok      partition: 1,024 records at a time take ",
        "ok      partition: the same place alone, in company, and by another instance",
    ]);
    pointsman(&["plugin", "check", trace.to_str().unwrap()], "")
        .shows(&["on-send: 15 odd records, alone and together: 15 taken", "on-acknowledgement: 9 outcomes"]);
    // As a configuration uses them, and without the settings of one.
    let folder = tempfile::tempdir().unwrap();
    let config = file(folder.path(), "routed.toml", routed(""));
    pointsman(&["plugin", "check", "-c", &config], "").shows(&["trace: interceptor", "router: partitioner"]);
    pointsman(&["plugin", "check", router.to_str().unwrap()], "").fails(1, &["the setting `source` is missing"]);
    let records = file(folder.path(), "records.jsonl", "{\"value\":{\"state\":\"CA\"}}\nno\n");
    pointsman(&["plugin", "check", "-c", &config, "--records", &records], "").fails(2, &["records.jsonl:2: "]);
}

#[test]
fn check_says_what_a_plugin_should_not_do() {
    let guest = guest();
    let table: [(&[&str], &str); 7] = [
        (&["mode=panic", "stage=partition"], "FAILED  partition, text: trapped"),
        (&["mode=panic", "stage=on-send"], "FAILED  on-send, a megabyte: trapped"),
        (
            &["mode=bad-lengths", "stage=serialize (value)"],
            "FAILED  serialize (value), text: broke a rule of the contract",
        ),
        (&["mode=few-targets"], "FAILED  partition, text: broke a rule of the contract"),
        (
            &["mode=groups"],
            "FAILED  partition: key \"TX-000255\" goes to group 1 in a call with others, and to group 0",
        ),
        (&["mode=keyed-state"], "it answered partition 6, and orders has 6, numbered from 0"),
        (&["mode=topology-error"], "FAILED  on-topology: it does not take topics of 1, 2, 3, 6, 100, 1000 partitions"),
    ];
    for (settings, said) in table {
        let settings: Vec<&str> = settings.iter().flat_map(|setting| ["-S", setting]).collect();
        let ran = pointsman(&[&["plugin", "check", guest.to_str().unwrap()], &settings[..]].concat(), "");
        assert!(ran.code == Some(1) && ran.stdout.contains(said), "{settings:?}, {said}: {}{}", ran.stdout, ran.stderr);
    }
    let slow = ["-S", "mode=slow", "-S", "rounds=400000"];
    pointsman(&[&["plugin", "check", guest.to_str().unwrap()], &slow[..]].concat(), "")
        .shows(&["calls: larger ones ran out of time, timeout.ms is 50"]);
    let fails =
        pointsman(&["plugin", "bench", guest.to_str().unwrap(), "-S", "mode=panic", "-S", "stage=partition"], "");
    assert!(
        fails.code == Some(1) && fails.stdout.contains("guest, partition: 1 record in a call: trapped"),
        "{}",
        fails.stdout
    );
    let leaks = ["-S", "mode=leak", "-S", "bytes=100000"];
    pointsman(&[&["plugin", "check", guest.to_str().unwrap()], &leaks[..]].concat(), "")
        .shows(&["note    partition: its memory grows: "]);
}

#[test]
fn bench_measures_each_hook() {
    let trace = component("trace_context");
    pointsman(&["plugin", "bench", trace.to_str().unwrap()], "").shows(&[
        "ns per record, by records in a call",
        "a copy of keys and values",
        "trace-context, on-send ",
        "trace-context, on-acknowledgement ",
    ]);
    let router = component("region_router");
    let json = [&["plugin", "bench", "--json", router.to_str().unwrap()], &ROUTED[..]].concat();
    let said: serde_json::Value = serde_json::from_str(&pointsman(&json, "").stdout).unwrap();
    let hook = &said["hooks"][0];
    assert_eq!(
        (&hook["plugin"], &hook["hook"], &hook["refused"]),
        (&"region-router".into(), &"partition".into(), &0.into())
    );
    assert!(hook["nanos"]["64"].as_f64().unwrap() > said["copy"]["64"].as_f64().unwrap(), "{said}");
}

#[test]
fn diff_says_which_keys_move() {
    let folder = tempfile::tempdir().unwrap();
    let old = file(folder.path(), "old.toml", routed(""));
    let new =
        file(folder.path(), "new.toml", routed("").replace("regions.default", "regions.NV = \"0\"\nregions.default"));
    let line = |key: &str, state: &str| format!("{{\"id\":\"{key}\",\"state\":\"{state}\"}}\n");
    let sample = [line("a", "CA"), line("b", "CA"), line("c", "NV"), line("c", "NV"), line("d", "OR")].concat();
    let to = ["-t", "orders", "--format", "json", "--key-field", "id", "--partitions", "6"];
    let diff = |old: &str, new: &str, more: &[&str], sample: &str| {
        pointsman(&[&["plugin", "diff", old, new], &to[..], more].concat(), sample)
    };
    let same = diff(&old, &old, &[], &sample);
    same.shows(&["0 of 4 keys moved, 0 of 5 records\n"]);
    let moved = diff(&old, &new, &[], &sample);
    assert_eq!(moved.code, Some(1), "{}", moved.stderr);
    for part in ["1 of 4 keys moved (25.0 %), 2 of 5 records (40.0 %)\n", " -> orders-0, such as \"c\"\n"] {
        assert!(moved.stdout.contains(part), "{part:?} is not in:\n{}", moved.stdout);
    }
    let said: serde_json::Value = serde_json::from_str(&diff(&old, &new, &["--json"], &sample).stdout).unwrap();
    assert_eq!((&said["moved_keys"], &said["moves"][0]["to"]), (&1.into(), &"orders-0".into()));

    // A component in the place of the configured one, which has a pin that is for that one only.
    let pinned = file(folder.path(), "pinned.toml", routed(&format!("sha256 = \"{}\"", "0".repeat(64))));
    let router = component("region_router");
    let router = router.to_str().unwrap();
    diff(router, router, &["-c", &pinned], &sample).shows(&["0 of 4 keys moved", "region_router.wasm in "]);
    // Of several, or none.
    let own = |partitioner: &str| format!("{}[topics.payments]\npartitioner.class = {partitioner:?}\n", routed(""));
    let two = own("wasm:other")
        + &format!(
            "[plugins.other]\ncomponent = {router:?}\n[plugins.other.settings]\n\
        source = \"field\"\nfield = \"state\"\nregions.CA = \"0-5\"\n"
        );
    let two = file(folder.path(), "two.toml", two);
    diff(router, router, &["-c", &two], &sample)
        .fails(2, &["two.toml: which partitioner", "--plugin NAME, of other, router"]);
    diff(router, router, &["-c", &two, "--plugin", "router"], &sample).shows(&["0 of 4 keys moved"]);
    diff(router, router, &["-c", &two, "--plugin", "trace"], &sample).fails(2, &["trace is no partitioner in it"]);
    diff(&old, &old, &["-c", &two], &sample).fails(2, &["-c is for components"]);
    diff(router, &old, &[], &sample).fails(2, &["region_router.wasm: which configuration is it for? -c FILE"]);
    let trace = component("trace_context");
    diff(&old, trace.to_str().unwrap(), &["-c", &old], &sample).fails(2, &["has no partitioner, only: interceptor"]);

    diff(&old, &new, &[], "").fails(2, &["there is no record to compare by"]);
    let bad = diff(&old, &old, &[], &format!("{sample}no\n"));
    assert_eq!(bad.code, Some(2));
    assert!(bad.stderr.contains("stdin:6: ") && bad.stderr.contains("1 line could not be read"), "{}", bad.stderr);
    diff(&old, &new, &["--partitions", "3"], &sample).fails(2, &[]);
}

#[test]
fn explain_goes_through_the_plugins() {
    let folder = tempfile::tempdir().unwrap();
    let config = file(folder.path(), "routed.toml", routed(""));
    pointsman(&["config", "check", "-c", &config], "").shows(&["is valid"]);
    let lines = "{\"value\":{\"state\":\"CA\"}}\n{\"value\":{\"state\":\"NV\"}}\n{\"partition\":4,\"value\":{}}\n";
    let explain = ["explain", "-c", &config, "-t", "orders", "--format", "jsonl", "--partitions", "6"];
    let ran = pointsman(&explain, lines);
    ran.shows(&[
        "trace",
        "traceparent",
        "router",
        "orders-0: the partitioner's answer",
        "orders, one of 1-5: ",
        "orders-4: the record names it",
    ]);
}

#[test]
fn what_is_misspelt_of_a_plugin_is_named_with_what_was_meant() {
    let folder = tempfile::tempdir().unwrap();
    // Line by line: what the file says instead, and what is said of it.
    let table: [(&str, &str, &[&str]); 7] = [
        (
            "[plugins.router]\ncomponent",
            "[plugins.router]\ncompnent",
            &["plugins.router.compnent", "did you mean component?"],
        ),
        ("wasm:router", "wasm:routr", &["no [plugins.routr]", "or write wasm:router"]),
        ("MORE", "tiemout.ms = 5", &["plugins.router.tiemout.ms", "did you mean timeout.ms?"]),
        ("MORE", "on-error = \"fallbak\"", &["plugins.router.on-error", "fallback"]),
        ("MORE", "on-error = \"pass\"", &["plugins.router.on-error", "fallback"]),
        ("MORE", "memory.max = \"16 Mib/s\"", &["plugins.router.memory.max"]),
        ("MORE", "on-error = \"dead-letter\"", &["dead-letter.topic"]),
    ];
    for (before, after, said) in table {
        let text = routed("MORE").replace(before, after).replace("\nMORE", "");
        let config = file(folder.path(), "misspelt.toml", &text);
        for command in [&["produce", "-t", "orders"][..], &["config", "check"]] {
            let ran = pointsman(&[command, &["-c", &config]].concat(), "");
            ran.fails(2, &[&["misspelt.toml:"], said].concat());
        }
    }
    // What only the plugin itself can know.
    let text = routed("").replace("field = \"state\"", "feild = \"state\"");
    let config = file(folder.path(), "settings.toml", text);
    for command in [&["produce", "-t", "orders"][..], &["config", "check"]] {
        pointsman(&[command, &["-c", &config]].concat(), "").fails(1, &["plugin router", "configure", "feild"]);
    }
}

#[test]
fn a_producer_starts_from_a_file_that_names_plugins() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let broker = runtime.block_on(FakeBroker::start()).unwrap();
    broker.create_topic("orders", 6);
    let folder = tempfile::tempdir().unwrap();
    let config = file(folder.path(), "routed.toml", routed("").replace("127.0.0.1:1", &broker.bootstrap_servers()));
    let producer = Producer::from_config_file(&config).unwrap();
    let send = |value| producer.send_blocking(&Record::to("orders").value(value)).unwrap().wait().unwrap().partition;
    assert_eq!(send(r#"{"state":"CA"}"#), 0);
    assert!((1..=5).contains(&send(r#"{"state":"NV"}"#)));
    producer.close_blocking(Duration::from_secs(30)).unwrap();
    let missing = Producer::from_config_file(folder.path().join("missing.toml")).unwrap_err().to_string();
    assert!(missing.contains("missing.toml") && missing.contains("cannot be read"), "{missing}");
}

/// The whole way of a record, in little.
#[test]
fn the_demo_shows_the_full_chain() {
    let ran = pointsman(&["demo", "--orders", "2000"], "");
    ran.shows(&[
        "trace-context",
        "schema-frame",
        "region-router",
        "2,000 orders, all acknowledged",
        "[plugins.region-router]",
        "partition",
        "pointsman explain",
    ]);
}
