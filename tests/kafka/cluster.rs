//! The harness itself: a judge has to be seen accepting and refusing before its word counts.

use crate::harness::{Cluster, Digest, Setup, oracle};

#[test]
#[ignore = "broker"]
fn java_reads_what_java_wrote() {
    let cluster = Cluster::shared();
    cluster.tool(&["create", "roundtrip", "6"]);
    cluster.tool(&["produce", "roundtrip", "--records", "10000", "--keys", "100", "--size", "20"]);
    let found = cluster.tool(&["check-order", "roundtrip", "--records", "10000", "--keys", "100"]);
    assert_eq!(
        found.trim(),
        r#"{"records":10000,"keys":100,"missing":0,"duplicates":0,"out_of_order":0,"moved_keys":0,"foreign":0}"#
    );

    let lines = cluster.tool(&["read", "roundtrip", "--expect", "10000"]);
    assert_eq!(lines.lines().count(), 10_000);
    let first: serde_json::Value = serde_json::from_str(lines.lines().next().expect("a record")).expect("JSON");
    assert_eq!(first["timestampType"], "CreateTime");
    assert_eq!(first["headers"], serde_json::json!([]));

    let values: Vec<String> = (0..10_000).map(|i| format!("{:x<20}", format!("{i}|"))).collect();
    let (mut multiset, mut by_key) = (Digest::default(), Digest::default());
    for (i, value) in values.iter().enumerate() {
        multiset.add(Some(format!("key-{}", i % 100).as_bytes()), Some(value.as_bytes()));
    }
    for key in 0..100 {
        let own = values[key..].iter().step_by(100).map(|value| Some(value.as_bytes()));
        by_key.add_key(format!("key-{key}").as_bytes(), own);
    }
    for (by, digest) in [("multiset", multiset), ("key", by_key)] {
        let answer = cluster.tool(&["digest", "roundtrip", "--by", by]);
        let answer: serde_json::Value = serde_json::from_str(&answer).expect("JSON");
        assert_eq!(answer["digest"], digest.hex(), "by {by}");
    }
}

#[test]
#[ignore = "broker"]
fn what_is_wrong_in_a_topic_is_found() {
    let cluster = Cluster::shared();
    let produce = |topic: &str, from: &str, records: &str| {
        cluster.tool(&["produce", topic, "--records", records, "--keys", "10", "--from", from]);
    };
    let check = |topic: &str, records: &str| {
        cluster.try_tool(&["check-order", topic, "--records", records, "--keys", "10"]).expect_err("something is wrong")
    };

    cluster.tool(&["create", "lost", "2"]);
    produce("lost", "0", "50");
    produce("lost", "60", "40");
    assert!(check("lost", "100").contains(r#""missing":10,"duplicates":0,"out_of_order":0"#));

    cluster.tool(&["create", "doubled", "2"]);
    produce("doubled", "0", "100");
    produce("doubled", "40", "10");
    assert!(check("doubled", "100").contains(r#""missing":0,"duplicates":10,"out_of_order":0"#));

    cluster.tool(&["create", "reordered", "2"]);
    produce("reordered", "50", "50");
    produce("reordered", "0", "50");
    assert!(check("reordered", "100").contains(r#""missing":0,"duplicates":0,"out_of_order":50"#));

    cluster.tool(&["create", "foreign", "2"]);
    produce("foreign", "0", "101");
    assert!(check("foreign", "100").contains(r#""foreign":1"#));

    cluster.tool(&["create", "moved", "1"]);
    produce("moved", "0", "50");
    cluster.tool(&["grow", "moved", "8"]);
    produce("moved", "50", "50");
    assert!(!check("moved", "100").contains(r#""moved_keys":0"#));

    let short = cluster.try_tool(&["read", "lost", "--expect", "91", "--timeout", "2"]);
    assert!(short.expect_err("there are 90").ends_with("expected 91 records, found 90"));
    assert!(cluster.try_tool(&["read", "no-such-topic"]).is_err());
}

#[test]
#[ignore = "broker"]
fn a_killed_broker_comes_back_with_its_data() {
    let cluster = Cluster::start(1);
    cluster.tool(&["create", "kept", "3"]);
    cluster.tool(&["produce", "kept", "--records", "5000", "--keys", "7"]);
    cluster.kill(1);
    assert!(std::net::TcpStream::connect(cluster.bootstrap()).is_err(), "kill -9 leaves nobody at the port");
    cluster.restart(1);
    cluster.tool(&["check-order", "kept", "--records", "5000", "--keys", "7"]);
}

#[test]
#[ignore = "broker"]
fn three_brokers_outlive_the_loss_and_the_silence_of_one() {
    let cluster = Cluster::start(3);
    cluster.tool(&["create", "kept", "6"]);
    let produce = |from: &str| {
        cluster.tool(&["produce", "kept", "--records", "1000", "--keys", "10", "--from", from]);
    };
    cluster.kill(2);
    produce("0");
    cluster.restart(2);
    cluster.wait_isr();
    cluster.pause(3);
    produce("1000");
    cluster.resume(3);
    cluster.wait_isr();
    produce("2000");
    cluster.tool(&["check-order", "kept", "--records", "3000", "--keys", "10"]);
    let topic: serde_json::Value = serde_json::from_str(&cluster.tool(&["describe", "kept"])).expect("JSON");
    for partition in topic["partitions"].as_array().expect("partitions") {
        assert_eq!(partition["isr"].as_array().expect("replicas").len(), 3, "{partition}");
    }
}

#[test]
#[ignore = "broker"]
fn an_older_broker_creates_topics_by_itself_where_it_is_told_to() {
    let setup =
        Setup { auto_create: true, version: Some("3.9.1"), properties: &["num.partitions=4"], ..Setup::default() };
    let cluster = Cluster::start_with(setup);
    cluster.tool(&["produce", "made", "--records", "100", "--keys", "5"]);
    cluster.tool(&["check-order", "made", "--records", "100", "--keys", "5"]);
    assert_eq!(cluster.tool(&["describe", "made"]).matches(r#""leader":1"#).count(), 4);
}

#[test]
#[ignore = "broker"]
fn java_judges_hashes_and_batches() {
    // The last word is Java's; this one is from its own UtilsTest: murmur2("21") = -973932308.
    assert_eq!(oracle(&["murmur2"], "MjE=\n").expect("a hash").trim(), (-973_932_308_i32 & i32::MAX).to_string());
    assert!(oracle(&["decode"], "AAAAAAAAAAAAAAA=\n").expect_err("half a header").contains("line 1"));
}
