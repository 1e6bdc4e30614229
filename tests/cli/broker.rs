//! Against an embedded broker.

use super::{Ran, file, pointsman};
use krafka::testing::FakeBroker;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use tokio::runtime::Runtime;

/// A broker with a topic `orders` of three partitions.
struct Broker {
    runtime: Runtime,
    broker: FakeBroker,
    address: String,
}

impl Broker {
    fn start() -> Broker {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let broker = runtime.block_on(FakeBroker::start()).unwrap();
        broker.create_topic("orders", 3);
        let address = broker.bootstrap_servers();
        Broker { runtime, broker, address }
    }

    fn produce(&self, arguments: &[&str], input: &str) -> Ran {
        pointsman(&[&["produce", "-b", &self.address], arguments].concat(), input)
    }

    /// `partition key value`, in the order of the log.
    fn records(&self, topic: &str) -> Vec<String> {
        let _in_runtime = self.runtime.enter();
        let text = |bytes: &Option<bytes::Bytes>| {
            bytes.as_ref().map_or("null".to_owned(), |bytes| String::from_utf8_lossy(bytes).into_owned())
        };
        let records = self.broker.all_records(topic).unwrap();
        records
            .iter()
            .map(|record| format!("{} {} {}", record.partition, text(&record.key), text(&record.value)))
            .collect()
    }
}

#[test]
fn lines_arrive() {
    let broker = Broker::start();
    let ran = broker.produce(&["-t", "orders", "-K", ":"], "k:a\nk:b\n");
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stderr.contains("2 records: 2 delivered"), "{}", ran.stderr);
    let values: Vec<String> = broker.records("orders").iter().map(|record| record[2..].to_owned()).collect();
    assert_eq!(values, ["k a", "k b"]);
}

#[test]
fn bad_lines_are_told_and_the_rest_arrives() {
    let broker = Broker::start();
    let folder = tempfile::tempdir().unwrap();
    let lines = "{\"partition\":0,\"value\":1}\nnonsense\n{\"partition\":7,\"value\":2}\n{\"topic\":\"ordres\"}\n\
                 {\"partition\":2,\"key\":\"k\",\"value\":null}\n";
    let orders = file(folder.path(), "orders.jsonl", lines);
    let ran = broker.produce(&["-t", "orders", "--format", "jsonl", "--report", "jsonl", &orders], "");
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    for said in [
        "orders.jsonl:2:1: not JSON",
        "orders.jsonl:3: orders has 3 partitions, there is no partition 7",
        "orders.jsonl:4: topic ordres does not exist on 127.0.0.1:",
        "3 records: 2 delivered, 1 failed; 2 bad lines",
    ] {
        assert!(ran.stderr.contains(said), "{said:?} is not in:\n{}", ran.stderr);
    }
    let report: Vec<serde_json::Value> = ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(report.len(), 5);
    assert_eq!((&report[0]["partition"], &report[0]["offset"]), (&0.into(), &0.into()));
    assert_eq!((&report[2]["line"], &report[2]["fate"]), (&3.into(), &"not-written".into()));
    assert_eq!(broker.records("orders"), ["0 null 1", "2 k null"]);
}

#[test]
fn an_absent_topic_is_one_error_at_once() {
    let broker = Broker::start();
    let ran = broker.produce(&["-t", "payments"], "a\nb\n");
    let said = format!("topic payments does not exist on {}; --create-topics creates it", broker.address);
    ran.fails(1, &[&said]);
    assert_eq!(ran.stderr.lines().count(), 1, "{}", ran.stderr);

    let ran = broker.produce(&["-t", "payments", "--create-topics=2"], "a\n");
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    pointsman(&["topic", "describe", "payments", "-b", &broker.address], "").shows(&["topic payments: 2 partitions"]);
}

#[test]
fn topics_are_created_and_described() {
    let broker = Broker::start();
    let at = ["-b", broker.address.as_str()];
    pointsman(&[&["topic", "create", "new", "-p", "4", "-r", "1"][..], &at].concat(), "").shows(&["created topic new"]);
    pointsman(&[&["topic", "create", "new", "-p", "4"][..], &at].concat(), "").fails(1, &["TOPIC_ALREADY_EXISTS"]);
    pointsman(&[&["topic", "describe", "new"][..], &at].concat(), "").shows(&[
        "topic new: 4 partitions",
        "leader",
        "at most 0 records",
    ]);
    broker.produce(&["-t", "orders"], "a\nb\n");
    pointsman(&[&["topic", "describe", "orders"][..], &at].concat(), "").shows(&["at most 2 records"]);
    pointsman(&[&["topic", "describe", "nwe"][..], &at].concat(), "")
        .fails(1, &["topic nwe does not exist", "did you mean new?"]);
}

#[test]
fn a_signal_while_the_input_waits_delivers_what_was_read() {
    let broker = Broker::start();
    let mut child = Command::new(env!("CARGO_BIN_EXE_pointsman"))
        .args(["produce", "-b", &broker.address, "-t", "orders", "--report", "jsonl"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(b"a\nb\nunfinished").unwrap();
    let mut report = BufReader::new(child.stdout.take().unwrap()).lines();
    for line in ["\"line\":1", "\"line\":2"] {
        assert!(report.next().unwrap().unwrap().contains(line));
    }
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("stopped after stdin:2; what follows was not sent"), "{stderr}");
    assert!(stderr.contains("2 records: 2 delivered"), "{stderr}");
    assert_eq!(broker.records("orders").len(), 2);
    drop(input);
}

#[test]
fn a_report_without_a_reader_ends_the_run() {
    let broker = Broker::start();
    let mut child = Command::new(env!("CARGO_BIN_EXE_pointsman"))
        .args(["produce", "-b", &broker.address, "-t", "orders", "--report", "jsonl"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let mut input = child.stdin.take().unwrap();
    input.write_all(b"a\n").unwrap();
    // The input stays open: nothing but the lost report can end it.
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("stdout was closed"), "{stderr}");
    assert_eq!(broker.records("orders").len(), 1);
    drop(input);
}

#[test]
fn perf_measures_what_it_sends() {
    let broker = Broker::start();
    let perf = |arguments: &[&str]| pointsman(&[&["perf", "-b", &broker.address], arguments].concat(), "");
    let ran = perf(&["-t", "orders", "--records", "3000", "--size", "50", "--keys", "7", "--warmup", "100", "--json"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let report: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((&report["records"], &report["failed"]), (&3000.into(), &0.into()));
    for name in ["p50", "p95", "p99", "p99.9"] {
        assert!(report["latency_us"][name].as_u64() > Some(0), "{report}");
    }
    let fill = report["batch_fill"].as_f64().unwrap();
    assert!(fill > 0.0 && fill <= 1.1, "{fill}");
    assert!(report["cpu_ns_per_record"].as_u64() > Some(0));
    let records = broker.records("orders");
    assert_eq!(records.len(), 3100);
    let keys: std::collections::BTreeSet<_> = records.iter().filter_map(|record| record.split(' ').nth(1)).collect();
    assert_eq!(keys.len(), 7);

    let ran = perf(&["-t", "orders", "--records", "20", "--size", "0", "--rate", "100"]);
    ran.shows(&["20 records of 0 bytes to orders", "failed   0"]);
    let rate = ran.stdout.split("rate").nth(1).unwrap().trim_start().split(' ').next().unwrap();
    assert!(rate.parse::<u32>().unwrap() <= 106, "20 records at 100 a second take 190 ms at least: {rate}");
    let ran = perf(&["-t", "ordres", "--records", "1", "--size", "1"]);
    ran.fails(1, &["topic ordres does not exist", "did you mean orders?"]);
    perf(&["-t", "orders", "--records", "1", "--size", "2000000"]).fails(2, &["larger than max.request.size"]);
}
