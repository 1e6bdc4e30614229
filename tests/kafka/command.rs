//! The command against a real Kafka: real tables in, Java's consumer out, and what it says when something is wrong.

use crate::harness::{Cluster, Setup};
use crate::npm;
use crate::plugins::component;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

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

/// What consumers see of a topic, in the order of its one partition.
fn committed(cluster: &Cluster, topic: &str) -> Vec<String> {
    let value = |line| {
        let record: serde_json::Value = serde_json::from_str(line).unwrap();
        String::from_utf8(base64(record["value"].as_str().unwrap())).unwrap()
    };
    cluster.tool(&["read", topic, "--isolation", "read_committed"]).lines().map(value).collect()
}

/// Produces lines in transactions of a name.
fn in_transactions(cluster: &Cluster, id: &str, topic: &str, more: &[&str], lines: &[String]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lines.txt");
    std::fs::write(&file, lines.join("\n")).unwrap();
    let id = format!("transactional.id={id}");
    let produce = ["produce", "-b", cluster.bootstrap(), "-t", topic, "-X", &id, "--report", "jsonl"];
    pointsman(&[&produce[..], more, &[file.to_str().unwrap()]].concat())
}

fn numbers(numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.map(|number| format!("{number}")).collect()
}

/// The report's lines about transactions.
fn ends(output: &Output) -> Vec<serde_json::Value> {
    let report = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines = report.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    lines.filter(|line| line.get("transaction").is_some()).collect()
}

#[test]
#[ignore = "broker"]
fn a_transaction_is_seen_when_all_of_it_is_there() {
    let cluster = Cluster::shared();
    cluster.tool(&["create", "whole", "1"]);
    let output = in_transactions(cluster, "whole", "whole", &[], &numbers(0..10_000));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    assert!(stderr.contains("10,000 records: 10,000 delivered; 10,000 committed in 1 transaction; "), "{stderr}");
    assert_eq!(ends(&output), [serde_json::json!({"transaction": 1, "outcome": "committed", "records": 10_000})]);
    assert_eq!(committed(cluster, "whole"), numbers(0..10_000));
}

#[test]
#[ignore = "broker"]
fn nothing_is_seen_of_a_transaction_that_lacks_a_record() {
    let cluster = Cluster::shared();
    cluster.tool(&["create", "torn", "1", "--config", "max.message.bytes=2000"]);
    let mut lines = numbers(0..3000);
    lines[2000] = "x".repeat(5000);
    let output = in_transactions(cluster, "torn", "torn", &[], &lines);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    for said in ["lines.txt:2001: torn-0: ", "transaction 1 (", "is aborted", "nothing is committed"] {
        assert!(stderr.contains(said), "{said:?} is not in:\n{stderr}");
    }
    assert_eq!(ends(&output)[0]["outcome"], "aborted");
    assert_eq!(committed(cluster, "torn"), [""; 0]);
    assert!(cluster.tool(&["read", "torn"]).lines().count() > 0, "some of it is there, for those that ask for it");
    // The same id goes on, and so does its topic.
    let output = in_transactions(cluster, "torn", "torn", &[], &numbers(0..10));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(committed(cluster, "torn"), numbers(0..10));
}

#[test]
#[ignore = "broker"]
fn what_is_committed_is_the_beginning_of_the_input() {
    let cluster = Cluster::shared();
    cluster.tool(&["create", "begun", "1", "--config", "max.message.bytes=2000"]);
    let mut lines = numbers(0..1000);
    lines[720] = "x".repeat(5000);
    let every = ["--commit-every", "100"];
    let output = in_transactions(cluster, "begun", "begun", &every, &lines);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    for said in ["lines.txt:700 is committed, and nothing behind it", "; 700 committed in 7 transactions, "] {
        assert!(stderr.contains(said), "{said:?} is not in:\n{stderr}");
    }
    assert_eq!(ends(&output).len(), 8);
    assert_eq!(committed(cluster, "begun"), numbers(0..700));
    let output = in_transactions(cluster, "begun", "begun", &every, &numbers(700..1050));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("350 records: 350 delivered; 350 committed in 4 transactions; "), "{stderr}");
    assert_eq!(committed(cluster, "begun"), numbers(0..1050));
}

#[test]
#[ignore = "broker"]
fn perf_measures_commits() {
    let cluster = Cluster::shared();
    cluster.tool(&["create", "measured-in-transactions", "3"]);
    let perf =
        ["perf", "-b", cluster.bootstrap(), "-t", "measured-in-transactions", "--records", "5000", "--size", "100"];
    let said = shows(&[&perf[..], &["-X", "transactional.id=perf", "--commit-every", "250", "--json"]].concat());
    let report: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!((&report["commits"]["count"], &report["failed"]), (&20.into(), &0.into()));
    assert!(report["commits"]["p99_ms"].as_f64() >= report["commits"]["p50_ms"].as_f64(), "{report}");
    assert_eq!(committed(cluster, "measured-in-transactions").len(), 5000);
}

/// Input that comes slower than the broker waits.
#[test]
#[ignore = "broker"]
fn a_transaction_that_is_open_for_too_long_is_told_with_its_cause() {
    let often = ["transaction.abort.timed.out.transaction.cleanup.interval.ms=500"];
    let cluster = Cluster::start_with(Setup { properties: &often, ..Setup::default() });
    cluster.tool(&["create", "slow", "1"]);
    let mut child = Command::new(env!("CARGO_BIN_EXE_pointsman"))
        .args(["produce", "-b", cluster.bootstrap(), "-t", "slow", "-X", "transactional.id=slow"])
        .args(["-X", "transaction.timeout.ms=1000"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(b"a\n").unwrap();
    std::thread::sleep(Duration::from_secs(5));
    input.write_all(b"b\n").unwrap();
    drop(input);
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    // With transactions V2 the record learns of it, and the abort is well.
    for said in
        ["open for longer than transaction.timeout.ms", "transaction 1 (2 records) is aborted", "nothing is committed"]
    {
        assert!(stderr.contains(said), "{said:?} is not in:\n{stderr}");
    }
    assert_eq!(committed(&cluster, "slow"), [""; 0]);
}
