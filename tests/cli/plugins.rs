//! With the shipped plugins: real components, inspected, explained, misspelt, and in the demo.

use super::{file, pointsman};
#[path = "../kafka/plugins.rs"]
#[expect(dead_code, reason = "the misbehaving guest is for others")]
mod built;

use built::component;
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
