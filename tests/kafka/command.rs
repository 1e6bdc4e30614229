//! The command against a real Kafka: real tables in, Java's consumer out, and what it says when something is wrong.

use crate::harness::{Cluster, Setup};
use crate::npm;
use crate::plugins::component;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A table of `tests/data/fetch`.
fn table(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/data").join(name);
    assert!(path.exists(), "{} is missing. Fetch it: tests/data/fetch", path.display());
    path
}

fn pointsman(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_pointsman"))
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("the command starts")
}

#[track_caller]
fn succeeds(arguments: &[&str]) -> String {
    let output = pointsman(arguments);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{arguments:?}: {}\n{stderr}", output.status);
    stderr
}

/// What it writes to stdout.
#[track_caller]
fn shows(arguments: &[&str]) -> String {
    let output = pointsman(arguments);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {}\n{stderr}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

/// One clear error on stderr that holds these words, and a status other than 0.
#[track_caller]
fn fails(arguments: &[&str], words: &[&str]) {
    let output = pointsman(arguments);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{arguments:?} succeeded\n{stderr}");
    for word in words {
        assert!(stderr.contains(word), "{word:?} is missing in:\n{stderr}");
    }
    assert!(!stderr.contains("panicked"), "{stderr}");
}

/// The partition's states of a topic of zip codes, as Java reads them; and how many rows there are.
fn states(cluster: &Cluster, topic: &str) -> (BTreeMap<String, BTreeMap<i64, usize>>, usize) {
    let mut states: BTreeMap<String, BTreeMap<i64, usize>> = BTreeMap::new();
    let mut rows = 0;
    for line in cluster.tool(&["read", topic]).lines() {
        let record: serde_json::Value = serde_json::from_str(line).unwrap();
        let value = base64(record["value"].as_str().unwrap());
        let row: serde_json::Value = serde_json::from_slice(&value).unwrap();
        let state = row["state"].as_str().unwrap().to_owned();
        *states.entry(state).or_default().entry(record["partition"].as_i64().unwrap()).or_default() += 1;
        rows += 1;
    }
    (states, rows)
}

fn base64(text: &str) -> Vec<u8> {
    use ::base64::Engine;
    ::base64::engine::general_purpose::STANDARD.decode(text).unwrap()
}

fn router_config(folder: &Path, name: &str, cluster: &Cluster, regions: &str) -> String {
    let path = folder.join(name);
    let text = format!(
        r#"
        [producer]
        bootstrap.servers = "{}"
        partitioner.class = "wasm:region-router"
        [plugins.region-router]
        component = {:?}
        [plugins.region-router.settings]
        source = "field"
        field = "state"
        {regions}
        "#,
        cluster.bootstrap(),
        component("region_router"),
    );
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
#[ignore = "broker"]
fn zip_codes_go_where_their_states_are_sent() {
    let cluster = Cluster::shared();
    let folder = tempfile::tempdir().unwrap();
    let rows = table("zipcodes.jsonl");
    let rows = rows.to_str().unwrap();

    let config = router_config(
        folder.path(),
        "coasts.toml",
        cluster,
        "regions.CA = \"0\"\nregions.NY = \"1\"\nregions.TX = \"2,3\"\nregions.default = \"4-5\"",
    );
    succeeds(&["produce", "-c", &config, "-t", "zips-by-coast", "--create-topics=6", "--format", "jsonl", rows]);
    let (by_state, count) = states(cluster, "zips-by-coast");
    assert_eq!(count, 42_049);
    for (state, partitions) in &by_state {
        let expected: &[i64] = match state.as_str() {
            "CA" => &[0],
            "NY" => &[1],
            "TX" => &[2, 3],
            _ => &[4, 5],
        };
        assert!(partitions.keys().all(|partition| expected.contains(partition)), "{state}: {partitions:?}");
    }
    assert_eq!(by_state["TX"].len(), 2, "Texas is spread over both of its partitions");

    // Why they go there.
    let said = shows(&["explain", "-c", &config, "-t", "zips-by-coast", "--format", "jsonl", "-n", "1000", rows]);
    // New York, and the rest: a row with a key has one place among its region's.
    for partition in [1, 4, 5] {
        let place = format!("zips-by-coast-{partition}: the partitioner's answer");
        assert!(said.contains(&place), "{place:?} is not in:\n{said}");
    }

    // Another mapping, by settings alone.
    let config = router_config(folder.path(), "alaska.toml", cluster, "regions.AK = \"5\"\nregions.default = \"0\"");
    succeeds(&["produce", "-c", &config, "-t", "zips-of-alaska", "--create-topics=6", "--format", "jsonl", rows]);
    let (by_state, count) = states(cluster, "zips-of-alaska");
    assert_eq!(count, 42_049);
    for (state, partitions) in &by_state {
        let expected = if state == "AK" { 5 } else { 0 };
        assert_eq!(partitions.keys().copied().collect::<Vec<_>>(), [expected], "{state}");
    }

    // Another component, in another language, and nothing built anew.
    let config = folder.path().join("vermont.toml");
    let text = format!(
        r#"
        [producer]
        bootstrap.servers = "{}"
        partitioner.class = "wasm:by-state"
        [plugins.by-state]
        component = {:?}
        settings.state = "VT"
        "#,
        cluster.bootstrap(),
        npm::by_state(),
    );
    std::fs::write(&config, text).unwrap();
    let config = config.to_str().unwrap();
    succeeds(&["produce", "-c", config, "-t", "zips-of-vermont", "--create-topics=6", "--format", "jsonl", rows]);
    let (found, count) = states(cluster, "zips-of-vermont");
    assert_eq!(count, 42_049);
    for (state, partitions) in &found {
        let expected = if state == "VT" { 0..1 } else { 1..6 };
        assert!(partitions.keys().all(|partition| expected.contains(partition)), "{state}: {partitions:?}");
    }
}

/// A table through `produce` and back by Java: key and value of every row.
fn read_back_whole(file: &str, topic: &str, rows: usize) {
    let cluster = Cluster::shared();
    let lines = table(file);
    let bootstrap = cluster.bootstrap();
    let produce = ["produce", "-b", bootstrap, "-t", topic, "--create-topics=3", "--format", "jsonl"];
    succeeds(&[&produce[..], &[lines.to_str().unwrap()]].concat());
    let row = |key: Option<String>, value: serde_json::Value| (key, value.to_string());
    let mut sent: Vec<_> = std::fs::read_to_string(&lines)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .map(|mut line| row(line["key"].as_str().map(str::to_owned), line["value"].take()))
        .collect();
    let mut read: Vec<_> = cluster
        .tool(&["read", topic])
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .map(|record| {
            let key = record["key"].as_str().map(|key| String::from_utf8(base64(key)).unwrap());
            row(key, serde_json::from_slice(&base64(record["value"].as_str().unwrap())).unwrap())
        })
        .collect();
    assert_eq!(sent.len(), rows);
    sent.sort();
    read.sort();
    assert!(sent == read, "what was read is what was sent");
}

#[test]
#[ignore = "broker"]
fn flights_are_read_back_whole() {
    read_back_whole("flights.jsonl", "flights", 20_000);
}

#[test]
#[ignore = "broker"]
fn zip_codes_are_read_back_row_by_row() {
    read_back_whole("zipcodes.jsonl", "zips", 42_049);
}

#[test]
#[ignore = "broker"]
fn topics_are_created_and_described() {
    let cluster = Cluster::shared();
    let at = ["-b", cluster.bootstrap()];
    let topic = |arguments: &[&str]| shows(&[&["topic"], arguments, &at].concat());
    let settings = ["--config", "retention.ms=3600000", "--config", "cleanup.policy=compact"];
    let said = topic(&[&["create", "made", "-p", "3", "-r", "1"][..], &settings].concat());
    assert!(said.starts_with("created topic made on 127.0.0.1:"), "{said}");
    fails(&[&["topic", "create", "made"][..], &at].concat(), &["TOPIC_ALREADY_EXISTS"]);
    fails(&[&["topic", "create", "far", "-r", "9"][..], &at].concat(), &["INVALID_REPLICATION_FACTOR"]);
    let folder = tempfile::tempdir().unwrap();
    let lines = folder.path().join("lines.jsonl");
    std::fs::write(&lines, "{\"partition\":1,\"key\":\"k\",\"value\":\"v\"}\n".repeat(5)).unwrap();
    succeeds(&[&["produce", "-t", "made", "--format", "jsonl", lines.to_str().unwrap()][..], &at].concat());
    let said = topic(&["describe", "made"]);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines[0], "topic made: 3 partitions");
    assert!(lines[1].starts_with("id ") && lines[1].len() == 39, "{said}");
    let rows: Vec<Vec<&str>> = lines[3..6].iter().map(|line| line.split_whitespace().collect()).collect();
    let row = |partition: &'static str, end: &'static str| vec![partition, "1", "0", end, "1", "1"];
    assert_eq!(rows, [row("0", "0"), row("1", "5"), row("2", "0")]);
    assert_eq!(lines[6..], ["at most 5 records", "cleanup.policy = compact", "retention.ms = 3600000"]);
}

#[test]
#[ignore = "broker"]
fn perf_delivers_what_it_measures() {
    let cluster = Cluster::shared();
    cluster.tool(&["create", "measured", "6"]);
    let perf = ["perf", "-b", cluster.bootstrap(), "-t", "measured", "--records", "50000", "--size", "100"];
    let output = pointsman(&[&perf[..], &["--keys", "100", "--warmup", "0", "--json"]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["records"], &report["failed"]), (&50_000.into(), &0.into()));
    let rows = cluster.tool(&["read", "measured", "--expect", "50000"]);
    assert_eq!(rows.lines().count(), 50_000);
}

#[test]
#[ignore = "broker"]
fn a_topic_that_does_not_exist_is_not_created_unasked() {
    let cluster = Cluster::shared();
    let rows = table("flights.jsonl");
    let rows = rows.to_str().unwrap();
    let bootstrap = cluster.bootstrap();
    fails(&["produce", "-b", bootstrap, "-t", "nowhere", rows], &["nowhere", bootstrap, "--create-topics"]);
    assert!(cluster.try_tool(&["describe", "nowhere"]).is_err(), "it was created");
}

#[test]
#[ignore = "broker"]
fn an_advertised_listener_that_cannot_be_reached_is_named() {
    // The broker answers where it was asked, and sends everybody to a port where nobody is.
    let advertised = ["advertised.listeners=PLAINTEXT://127.0.0.1:9"];
    let cluster = Cluster::start_with(Setup { properties: &advertised, ..Setup::default() });
    let rows = table("flights.jsonl");
    let quick = ["-X", "max.block.ms=5000", "-X", "delivery.timeout.ms=6000", "-X", "request.timeout.ms=2000"];
    let produce = ["produce", "-b", cluster.bootstrap(), "-t", "flights", "--create-topics=1", rows.to_str().unwrap()];
    fails(&[&produce[..], &quick].concat(), &["127.0.0.1:9", "broker 1", "refused"]);
}
