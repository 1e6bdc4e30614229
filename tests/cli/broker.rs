//! Against an embedded broker.

use super::{Ran, file, pointsman};
use krafka::error::ErrorCode;
use krafka::testing::{ApiKey, Control, FakeBroker};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tokio::runtime::Runtime;

/// A broker with a topic `orders` of three partitions.
struct Broker {
    runtime: Runtime,
    broker: FakeBroker,
    address: String,
}

impl Broker {
    fn start() -> Broker {
        Broker::start_cluster(1)
    }

    fn start_cluster(brokers: usize) -> Broker {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let broker = runtime.block_on(FakeBroker::start_cluster(brokers)).unwrap();
        broker.create_topic("orders", 3);
        let address = broker.bootstrap_servers();
        Broker { runtime, broker, address }
    }

    /// Which broker leads each partition of `orders`.
    fn lead(&self, leaders: &[i32]) {
        for (partition, leader) in (0..).zip(leaders) {
            assert!(self.broker.set_leader("orders", partition, *leader));
        }
    }

    fn produce(&self, arguments: &[&str], input: &str) -> Ran {
        pointsman(&[&["produce", "-b", &self.address], arguments].concat(), input)
    }

    /// Values that consumers of committed records see.
    fn committed(&self) -> Vec<String> {
        let _in_runtime = self.runtime.enter();
        let records = self.broker.committed_records("orders").unwrap();
        let value = |bytes: &Option<bytes::Bytes>| String::from_utf8(bytes.as_ref().unwrap().to_vec()).unwrap();
        let mut values: Vec<String> = records.iter().map(|record| value(&record.value)).collect();
        values.sort();
        values
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

fn spawn(broker: &Broker, arguments: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_pointsman"))
        .args(["produce", "-b", &broker.address, "-t", "orders"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn terminate(child: &Child) {
    let pid = rustix::process::Pid::from_child(child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
}

/// Partition 0 is not answered, the others are.
fn silent_partition(broker: &Broker) {
    broker.broker.on(ApiKey::Produce, |request| if request.node_id == 0 { Control::Silence } else { Control::Pass });
}

#[test]
fn a_second_signal_aborts_and_says_what_is_known() {
    let broker = Broker::start_cluster(2);
    broker.lead(&[0, 1, 1]);
    silent_partition(&broker);
    let mut child = spawn(&broker, &["--format", "jsonl", "-X", "linger.ms=0"]);
    let mut input = child.stdin.take().unwrap();
    // The first one stays without an answer.
    input.write_all(b"{\"partition\":0}\n{\"partition\":1}\n{\"partition\":2}\n").unwrap();
    while broker.records("orders").len() < 2
        || broker.broker.request_nodes(ApiKey::Produce).iter().all(|node| *node != 0)
    {
        std::thread::yield_now();
    }
    let mut stderr = BufReader::new(child.stderr.take().unwrap()).lines();
    terminate(&child);
    let first = stderr.next().unwrap().unwrap();
    assert!(first.starts_with("terminated: delivering"), "{first}");
    // Signals so close together as 250 ms are one.
    std::thread::sleep(Duration::from_millis(400));
    terminate(&child);
    assert_eq!(child.wait().unwrap().code(), Some(143));
    let rest: Vec<String> = stderr.map(Result::unwrap).collect();
    let said =
        "terminated again: aborted; 2 delivered, 0 failed, and of 1 more it is not known whether they are written";
    assert!(rest.iter().any(|line| line == said), "{rest:?}");
    drop(input);
}

/// Signals do nothing to a process 1 that has no handler for them, as in a container.
#[test]
fn process_1_stops_when_it_is_told_to() {
    let broker = Broker::start();
    let as_root = if rustix::process::geteuid().is_root() { &[][..] } else { &["--user", "--map-root-user"] };
    let mut child = Command::new("unshare")
        .args(as_root)
        .args(["--pid", "--fork", "--kill-child"])
        .arg(env!("CARGO_BIN_EXE_pointsman"))
        .args(["produce", "-b", &broker.address, "-t", "orders", "--report", "jsonl"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(b"a\n").unwrap();
    let mut report = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(report.next().unwrap().unwrap().contains("\"line\":1"));
    // unshare passes no signals on: the process 1 of the new namespace is its child.
    let children = format!("/proc/{0}/task/{0}/children", child.id());
    let inside: i32 = std::fs::read_to_string(children).unwrap().trim().parse().unwrap();
    let status = std::fs::read_to_string(format!("/proc/{inside}/status")).unwrap();
    assert!(status.lines().any(|line| line.starts_with("NSpid:") && line.ends_with("\t1")), "{status}");
    let inside = rustix::process::Pid::from_raw(inside).unwrap();
    rustix::process::kill_process(inside, rustix::process::Signal::TERM).unwrap();
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("stopped after stdin:1; what follows was not sent"), "{stderr}");
    drop(input);
}

#[test]
fn progress_is_shown_on_a_terminal_and_nowhere_else() {
    let broker = Broker::start();
    let folder = tempfile::tempdir().unwrap();
    let lines = file(folder.path(), "lines.txt", "a\n".repeat(50));
    broker.broker.on(ApiKey::Produce, |_| Control::Delay(Duration::from_millis(700)));
    let command = format!("{} produce -b {} -t orders {lines}", env!("CARGO_BIN_EXE_pointsman"), broker.address);
    // script(1) runs it on a terminal of its own and writes what that shows.
    let shown = Command::new("script")
        .args(["--quiet", "--return", "--command", &command, "/dev/null"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.contains("0 delivered, 0/s, 50 in flight"), "{shown}");
    assert!(shown.contains("50 records: 50 delivered"), "{shown}");
    let piped = broker.produce(&["-t", "orders", &lines], "");
    assert!(!piped.stderr.contains("in flight"), "{}", piped.stderr);
}

#[test]
fn a_broker_that_does_not_answer_is_told_once() {
    let broker = Broker::start();
    broker.broker.on(ApiKey::Produce, |_| Control::Silence);
    let settings = ["request.timeout.ms=100", "linger.ms=0", "delivery.timeout.ms=1500", "retry.backoff.ms=10"];
    let settings = settings.iter().flat_map(|setting| ["-X", setting]);
    let arguments: Vec<&str> = ["-t", "orders"].into_iter().chain(settings).collect();
    let ran = broker.produce(&arguments, "a\n");
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert!(broker.broker.request_count(ApiKey::Produce) > 2);
    let told =
        ran.stderr.lines().filter(|line| line.contains("WARN") && line.contains("did not answer a Produce request"));
    assert_eq!(told.count(), 1, "{}", ran.stderr);
}

#[test]
fn a_leader_that_is_gone_leaves_only_its_own_offsets_open() {
    let broker = Broker::start_cluster(2);
    broker.lead(&[0, 1, 1]);
    assert_eq!(broker.produce(&["-t", "orders", "--format", "jsonl"], "{\"partition\":1}\n").code, Some(0));
    broker.broker.on(
        ApiKey::ListOffsets,
        |request| {
            if request.node_id == 0 { Control::Silence } else { Control::Pass }
        },
    );
    let ran = pointsman(&["topic", "describe", "orders", "-b", &broker.address, "-X", "request.timeout.ms=200"], "");
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("leader 0 does not tell its offsets: ") && ran.stderr.contains("200 ms"),
        "{}",
        ran.stderr
    );
    let rows: Vec<Vec<&str>> = ran.stdout.lines().map(|line| line.split_whitespace().take(4).collect()).collect();
    for row in [["0", "0", "?", "?"], ["1", "1", "0", "1"], ["2", "1", "0", "0"]] {
        assert!(rows.contains(&row.to_vec()), "{row:?} is not in:\n{}", ran.stdout);
    }
    assert!(ran.stdout.contains("at most 1 record, and those whose offsets are not told"), "{}", ran.stdout);
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

const IN_TRANSACTIONS: [&str; 4] = ["-t", "orders", "-X", "transactional.id=t"];

fn produce_in_transactions(broker: &Broker, arguments: &[&str], input: &str) -> Ran {
    broker.produce(&[&IN_TRANSACTIONS, arguments].concat(), input)
}

#[track_caller]
fn says(stderr: &str, said: &[&str]) {
    for part in said {
        assert!(stderr.contains(part), "{part:?} is not in:\n{stderr}");
    }
}

#[test]
fn with_an_id_all_is_one_transaction() {
    for version in [0, 2] {
        let broker = Broker::start();
        broker.broker.set_transaction_version(version);
        let ran = produce_in_transactions(&broker, &["--report", "jsonl"], "a\nb\nc\n");
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        says(&ran.stderr, &["3 records: 3 delivered; 3 committed in 1 transaction; "]);
        assert_eq!(ran.stdout.lines().count(), 4);
        assert_eq!(ran.stdout.lines().last(), Some(r#"{"transaction":1,"outcome":"committed","records":3}"#));
        assert_eq!(broker.committed(), ["a", "b", "c"]);
        assert_eq!(produce_in_transactions(&broker, &[], "").code, Some(0));
        assert_eq!(broker.broker.request_count(ApiKey::EndTxn), 1, "nothing is no transaction");
    }
}

#[test]
fn a_record_that_fails_leaves_nothing_of_its_transaction() {
    for version in [0, 2] {
        let broker = Broker::start();
        broker.broker.set_transaction_version(version);
        let lines = "{\"value\":\"a\"}\n{\"value\":\"b\"}\n{\"partition\":7,\"value\":\"c\"}\n{\"value\":\"d\"}\n";
        let ran = produce_in_transactions(&broker, &["--format", "jsonl"], lines);
        assert_eq!(ran.code, Some(1), "{}", ran.stderr);
        says(
            &ran.stderr,
            &["stdin:3: orders has 3 partitions", "transaction 1 (", "is aborted", "nothing is committed"],
        );
        assert_eq!(broker.committed(), [""; 0]);
        assert!(!broker.broker.transaction_is_open("t"));
    }
}

#[test]
fn what_a_broker_refuses_leaves_nothing_of_its_transaction() {
    let broker = Broker::start();
    broker.broker.on_once(ApiKey::Produce, |_| Control::Error(ErrorCode::TopicAuthorizationFailed));
    let lines = "a\n".repeat(5000);
    let ran = produce_in_transactions(&broker, &["--report", "jsonl"], &lines);
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    says(&ran.stderr, &["TOPIC_AUTHORIZATION_FAILED", "transaction 1 (", "is aborted", "nothing is committed"]);
    let told = ran.stderr.lines().filter(|line| line.contains("its transaction is aborted"));
    assert_eq!(told.count(), 0, "those that were given up are counted only: {}", ran.stderr);
    let last = ran.stdout.lines().last().unwrap();
    assert!(last.starts_with(r#"{"transaction":1,"outcome":"aborted","records":"#), "{last}");
    assert_eq!(broker.committed(), [""; 0]);
}

#[test]
fn transactions_of_so_many_records_are_committed_up_to_the_first_that_fails() {
    let broker = Broker::start();
    let every = ["--commit-every", "2", "--format", "json", "--report", "jsonl"];
    let ran = produce_in_transactions(&broker, &every, "1\n2\n3\n4\n5\n");
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    says(&ran.stderr, &["5 records: 5 delivered; 5 committed in 3 transactions; "]);
    assert_eq!(broker.committed(), ["1", "2", "3", "4", "5"]);

    let ran = produce_in_transactions(&broker, &every, "6\n7\n8\nnonsense\n9\n");
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    says(
        &ran.stderr,
        &[
            "stdin:4:2: not JSON",
            "transaction 2 (1 record) is aborted",
            "stopped after stdin:4, as no transaction is to lack a record; what follows was not sent",
            "all up to stdin:2 is committed, and nothing behind it",
            "; 1 bad line; 2 committed in 1 transaction, 1 aborted; ",
        ],
    );
    assert_eq!(broker.committed(), ["1", "2", "3", "4", "5", "6", "7"]);
    let ran = broker.produce(&["-t", "orders", "--commit-every", "2"], "a\n");
    ran.fails(2, &["--commit-every is about transactions, and transactional.id is not set"]);
}

#[test]
fn a_signal_aborts_the_transaction() {
    let broker = Broker::start();
    let mut child = spawn(&broker, &["-X", "transactional.id=t", "--report", "jsonl"]);
    let mut input = child.stdin.take().unwrap();
    input.write_all(b"a\n").unwrap();
    let mut report = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(report.next().unwrap().unwrap().contains("\"line\":1"));
    let stderr = ended_by_signal(child);
    says(
        &stderr,
        &[
            "terminated: aborting transaction 1; once more",
            "transaction 1 (1 record) is aborted\n",
            "nothing is committed",
        ],
    );
    assert_eq!(report.next().unwrap().unwrap(), r#"{"transaction":1,"outcome":"aborted","records":1}"#);
    assert_eq!(broker.committed(), [""; 0]);
    assert!(!broker.broker.transaction_is_open("t"));
    drop(input);
}

/// What a process says that is terminated once, and ends by itself.
fn ended_by_signal(child: Child) -> String {
    terminate(&child);
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    stderr
}

#[test]
fn a_second_signal_leaves_the_transaction_to_the_broker() {
    let broker = Broker::start();
    broker.broker.on(ApiKey::EndTxn, |_| Control::Silence);
    let mut child = spawn(&broker, &["-X", "transactional.id=t", "--report", "jsonl"]);
    let mut input = child.stdin.take().unwrap();
    input.write_all(b"a\n").unwrap();
    assert!(BufReader::new(child.stdout.take().unwrap()).lines().next().unwrap().unwrap().contains("\"line\":1"));
    terminate(&child);
    let mut stderr = BufReader::new(child.stderr.take().unwrap()).lines();
    let first = stderr.next().unwrap().unwrap();
    assert!(first.starts_with("terminated: aborting transaction 1"), "{first}");
    std::thread::sleep(Duration::from_millis(400));
    terminate(&child);
    assert_eq!(child.wait().unwrap().code(), Some(143));
    let rest = stderr.map(Result::unwrap).collect::<Vec<_>>().join("\n");
    says(
        &rest,
        &["terminated again: aborted", "transaction 1 is left open; the broker aborts it", "nothing is committed"],
    );
    drop(input);
}

/// The thread that reads waits for memory then.
#[test]
fn a_signal_aborts_a_transaction_that_is_stuck() {
    let broker = Broker::start();
    broker.broker.on(ApiKey::Produce, |_| Control::Silence);
    let settings = ["transactional.id=t", "buffer.memory=40000", "request.timeout.ms=500", "linger.ms=0"];
    let mut child = spawn(&broker, &settings.iter().flat_map(|setting| ["-X", setting]).collect::<Vec<_>>());
    let mut input = child.stdin.take().unwrap();
    input.write_all("some more than a few bytes\n".repeat(3000).as_bytes()).unwrap();
    drop(input);
    while broker.broker.request_count(ApiKey::Produce) == 0 {
        std::thread::yield_now();
    }
    std::thread::sleep(Duration::from_millis(100));
    let stderr = ended_by_signal(child);
    says(
        &stderr,
        &[
            "terminated: aborting transaction 1",
            " × given up with its transaction",
            "is aborted\n",
            "nothing is committed",
        ],
    );
    assert!(!broker.broker.transaction_is_open("t"));
    assert_eq!(broker.committed(), [""; 0]);
}

/// As when it is open for longer than `transaction.timeout.ms`.
#[test]
fn a_transaction_that_the_broker_has_ended_is_told_with_its_causes() {
    let broker = Broker::start();
    let mut child = spawn(&broker, &["-X", "transactional.id=t", "--report", "jsonl"]);
    let mut input = child.stdin.take().unwrap();
    input.write_all(b"a\n").unwrap();
    let mut report = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(report.next().unwrap().unwrap().contains("\"line\":1"));
    assert!(broker.broker.abort_transaction("t"));
    input.write_all(b"b\n").unwrap();
    assert!(report.next().unwrap().unwrap().contains("\"line\":2"));
    drop(input);
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    says(
        &stderr,
        &["transactional.id t is fenced off", "for longer than transaction.timeout.ms", "nothing is committed"],
    );
    assert_eq!(broker.committed(), [""; 0]);
}

#[test]
fn a_commit_that_nobody_answers_is_one_of_which_nothing_is_known() {
    let broker = Broker::start();
    broker.broker.on(ApiKey::EndTxn, |_| Control::Silence);
    let quick = ["max.block.ms=200", "delivery.timeout.ms=300", "request.timeout.ms=150", "linger.ms=0"];
    let quick: Vec<&str> = quick.iter().flat_map(|setting| ["-X", setting]).collect();
    let mut child = spawn(&broker, &[&["-X", "transactional.id=t", "--report", "jsonl"], &quick[..]].concat());
    child.stdin.take().unwrap().write_all(b"a\n").unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap()).lines();
    let first = stderr.find(|line| line.as_ref().unwrap().contains("still waiting")).unwrap().unwrap();
    assert!(first.starts_with("no end of the commit within max.block.ms (200 ms), "), "{first}");
    broker.broker.clear_hooks();
    let mut report = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(report.next().unwrap().unwrap().contains("\"line\":1"));
    assert_eq!(report.next().unwrap().unwrap(), r#"{"transaction":1,"outcome":"committed","records":1}"#);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(broker.committed(), ["a"]);
}

#[test]
fn an_id_that_cannot_be_had_is_told_before_anything_is_read() {
    let broker = Broker::start();
    broker.broker.on(ApiKey::FindCoordinator, |_| Control::Error(ErrorCode::CoordinatorNotAvailable));
    for command in [&["produce"][..], &["perf", "--records", "1", "--size", "1"]] {
        let arguments = [command, &["-b", &broker.address, "-X", "max.block.ms=300"], &IN_TRANSACTIONS[..]].concat();
        let ran = pointsman(&arguments, "a\n");
        let said = "error: transactional.id t: no producer id within max.block.ms (300 ms), looking for the transaction's \
                    coordinator; the broker answered COORDINATOR_NOT_AVAILABLE to FindCoordinator";
        ran.fails(1, &[said]);
    }
    broker.broker.clear_hooks();
    broker.broker.on(ApiKey::InitProducerId, |_| Control::Error(ErrorCode::TransactionalIdAuthorizationFailed));
    let ran = produce_in_transactions(&broker, &[], "a\n");
    ran.fails(1, &["error: transactional.id t: ", "TRANSACTIONAL_ID_AUTHORIZATION_FAILED"]);
    // What sends nothing needs none.
    pointsman(&["config", "check", "-b", &broker.address, "-X", "transactional.id=t"], "").shows(&["is valid"]);
    let explain = [&["explain", "-b", &broker.address][..], &IN_TRANSACTIONS].concat();
    pointsman(&explain, "a\n").shows(&["orders, one of 0-2"]);
}

#[test]
fn perf_measures_commits() {
    let broker = Broker::start();
    let perf = |arguments: &[&str]| {
        let records = ["--records", "100", "--size", "10", "--warmup", "5"];
        pointsman(&[&["perf", "-b", &broker.address], &IN_TRANSACTIONS[..], &records, arguments].concat(), "")
    };
    let ran = perf(&["--commit-every", "30", "--json"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let report: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((&report["commits"]["count"], &report["commits"]["aborted"]), (&4.into(), &0.into()));
    assert!(report["commits"]["p50_ms"].as_f64() > Some(0.0), "{report}");
    assert_eq!(broker.committed().len(), 105);
    let ran = perf(&[]);
    ran.shows(&["commits  1: p50 ", "failed   0"]);
    assert_eq!(broker.committed().len(), 210);
    // One of the four is lost, after the warm-up's.
    broker.broker.clear_requests();
    let count = std::sync::atomic::AtomicUsize::new(0);
    broker.broker.on(ApiKey::Produce, move |_| match count.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
        1 => Control::Error(ErrorCode::TopicAuthorizationFailed),
        _ => Control::Pass,
    });
    let ran = perf(&["--commit-every", "30", "-X", "linger.ms=1000"]);
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    says(&ran.stdout, &["commits  3: p50", "; 1 aborted", "failed   30; the first: ", "TOPIC_AUTHORIZATION_FAILED"]);
    assert_eq!(broker.committed().len(), 210 + 5 + 70);
}
