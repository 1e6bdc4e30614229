//! acks=all while too few replicas are in sync.

use crate::harness::Cluster;
use crate::producers::{PATIENCE, plain};
use crate::reading::{Read, read};
use pointsman::error::{Fate, Stage};
use pointsman::{ProduceError, Record};

#[test]
#[ignore = "broker"]
fn below_min_isr_records_wait_time_out_with_that_cause_and_go_on_when_the_replica_is_back() {
    let cluster = Cluster::start(3);
    // The leader is the one that stays.
    cluster.tool(&["create", "guarded", "1", "--replication", "2", "--config", "min.insync.replicas=2"]);
    let described: serde_json::Value = serde_json::from_str(&cluster.tool(&["describe", "guarded"])).unwrap();
    let partition = &described["partitions"][0];
    let leader = partition["leader"].as_u64().unwrap();
    let replicas = partition["replicas"].as_array().unwrap();
    let follower = replicas.iter().map(|id| id.as_u64().unwrap()).find(|id| *id != leader).unwrap();
    let follower = u32::try_from(follower).unwrap();

    let impatient = plain(&cluster, "delivery.timeout.ms = 8000\nrequest.timeout.ms = 3000");
    let patient = plain(&cluster, "");
    for producer in [&impatient, &patient] {
        producer.send_blocking(&Record::to("guarded").value("before")).unwrap().wait().unwrap();
    }
    cluster.kill(follower);
    // The leader has to have missed it: until then it appends, and waits for it in vain.
    while serde_json::from_str::<serde_json::Value>(&cluster.tool(&["describe", "guarded"])).unwrap()["partitions"][0]
        ["isr"]
        .as_array()
        .unwrap()
        .len()
        > 1
    {}
    let waiting: Vec<_> = (0..100)
        .map(|number| patient.send_blocking(&Record::to("guarded").value(&format!("patient {number}"))).unwrap())
        .collect();
    let lost: Vec<_> = (0..100)
        .map(|number| impatient.send_blocking(&Record::to("guarded").value(&format!("lost {number}"))).unwrap())
        .collect();
    for delivery in lost {
        let error = delivery.wait().unwrap_err();
        assert!(
            matches!(
                error,
                // The leader refuses before it appends.
                ProduceError::Timeout { key: "delivery.timeout.ms", stage: Stage::Sent, fate: Fate::NotWritten, .. }
            ),
            "{error:?}"
        );
        let text = error.to_string();
        assert!(text.contains("guarded") && text.contains("NOT_ENOUGH_REPLICAS"), "{text}");
    }

    cluster.restart(follower);
    cluster.wait_isr();
    // What has waited is there now, and who has lost records goes on: the gap that they left does not stop it.
    for delivery in waiting {
        delivery.wait().unwrap();
    }
    for number in 0..100 {
        impatient.send_blocking(&Record::to("guarded").value(&format!("after {number}"))).unwrap().wait().unwrap();
    }
    for producer in [impatient, patient] {
        producer.close_blocking(PATIENCE).unwrap();
    }
    let mut expected = vec!["before".to_owned(); 2];
    expected.extend((0..100).map(|number| format!("patient {number}")));
    expected.extend((0..100).map(|number| format!("after {number}")));
    assert_eq!(read(&cluster, "guarded").iter().map(Read::text).collect::<Vec<_>>(), expected);
}
