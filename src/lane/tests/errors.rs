//! What senders are told.

use super::{lane, order, refusal, start};
use crate::error::{Fate, ProduceError, Stage};
use crate::lane::{Delivery, Shared, Submitted};
use crate::plugin::Chain;
use crate::record::Record;
use std::sync::Arc;
use std::time::Duration;

fn accepted(lane: &Shared, record: &Record<'_>) -> Delivery {
    match lane.submit(record, None, true) {
        Submitted::Accepted(delivery) => delivery,
        Submitted::Waiting(_) => panic!("there is room"),
        Submitted::Refused(error) => panic!("{error}"),
    }
}

#[test]
fn each_record_that_is_late_in_the_lane_is_told_with_its_own_topic_and_partition() {
    let lane = lane(1 << 20);
    lane.topic_settled("payments", &Ok(()));
    let records = [order("1"), Record::to("payments").value("2"), Record { partition: Some(0), ..order("3") }];
    let deliveries = records.map(|record| accepted(&lane, &record));
    // Whatever is taken up is late.
    let thread = start(Arc::clone(&lane), Chain::default(), Duration::ZERO).unwrap();
    let places = deliveries.map(|delivery| match delivery.wait().unwrap_err() {
        ProduceError::Timeout { topic, partition, stage: Stage::Lane, fate: Fate::NotWritten, .. } => {
            (topic.to_string(), partition)
        }
        other => panic!("{other}"),
    });
    assert_eq!(places, [("orders".to_owned(), None), ("payments".to_owned(), None), ("orders".to_owned(), Some(0))]);
    lane.stop();
    thread.join().unwrap();
}

#[test]
fn a_callback_is_told_of_its_own_record() {
    let lane = lane(1 << 20);
    lane.topic_settled("payments", &Ok(()));
    let (tell, told) = std::sync::mpsc::channel();
    for record in [order("1"), Record::to("payments").value("2")] {
        let tell = tell.clone();
        let callback = Box::new(move |result: Result<_, ProduceError>| drop(tell.send(result.unwrap_err())));
        assert!(matches!(lane.submit(&record, Some(callback), true), Submitted::Accepted(_)));
    }
    let thread = start(Arc::clone(&lane), Chain::default(), Duration::ZERO).unwrap();
    for topic in ["orders", "payments"] {
        let error = told.recv().unwrap().to_string();
        assert!(error.starts_with(&format!("{topic}: not delivered within delivery.timeout.ms")), "{error}");
    }
    lane.stop();
    thread.join().unwrap();
}

#[test]
fn waiting_for_a_while_blocks_no_task() {
    let lane = super::lane_where(1 << 20, || false);
    let delivery = accepted(&lane, &order("1"));
    // Asking costs no time, and so is allowed everywhere.
    let delivery = delivery.wait_timeout(Duration::ZERO).unwrap_err();
    assert_eq!(delivery.wait_timeout(Duration::from_secs(3600)).unwrap(), Err(ProduceError::WaitInTask));
}

#[test]
fn a_patience_beyond_all_clocks_is_for_ever() {
    let lane = lane(1 << 20);
    let delivery = accepted(&lane, &order("1"));
    let waiting = std::thread::spawn(move || delivery.wait_timeout(Duration::MAX).unwrap());
    let thread = start(Arc::clone(&lane), Chain::default(), Duration::ZERO).unwrap();
    assert!(matches!(waiting.join().unwrap(), Err(ProduceError::Timeout { .. })));
    lane.stop();
    thread.join().unwrap();
}

#[test]
fn what_may_not_wait_for_a_topic_is_told_to_come_again() {
    let lane = lane(1 << 20);
    let error = refusal(lane.submit(&Record::to("payments").value("1"), None, false));
    assert_eq!(error, ProduceError::TopicNotKnownYet { topic: "payments".into() });
    assert!(error.is_retriable());
}
