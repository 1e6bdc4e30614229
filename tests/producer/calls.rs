//! The calls around a send: batches, partitions, and where a call may block.

use super::{Broker, PATIENCE, pollster};
use krafka::error::ErrorCode;
use krafka::testing::{ApiKey, Control};
use pointsman::{CloseError, Config, ProduceError, Producer, Record};
use std::time::Duration;

#[test]
fn a_batch_is_accepted_in_order_each_record_for_itself() {
    let broker = Broker::start();
    // Room for a few records at a time: the batch has to wait in its middle.
    let producer = broker.producer(&[("buffer.memory", "8192"), ("linger.ms", "0"), ("batch.size", "1000")]);
    let values: Vec<String> = (0..1000).map(|number| number.to_string()).collect();
    let large = vec![0; 20_000];
    let mut records: Vec<_> = values.iter().map(|value| Record::to("orders").key("key-0").value(value)).collect();
    records.insert(500, Record::to("orders").value(&large));
    let outcomes = producer.send_batch_blocking(&records);
    assert_eq!(outcomes.len(), 1001);
    for (at, outcome) in outcomes.into_iter().enumerate() {
        match outcome {
            Ok(delivery) => drop(delivery.wait().unwrap()),
            Err(error) => assert!(at == 500 && matches!(error, ProduceError::TooLarge { .. }), "{at}: {error}"),
        }
    }
    broker.assert_in_order(1, 1000);

    // The same without blocking: all of them have their place when the call returns.
    let again: Vec<String> = (1000..2000).map(|number| number.to_string()).collect();
    let records: Vec<_> = again.iter().map(|value| Record::to("orders").key("key-0").value(value)).collect();
    let accepts = producer.send_batch(&records);
    assert!(accepts.iter().any(pointsman::Accept::is_waiting), "nothing had to wait");
    for accept in accepts.into_iter().rev() {
        pollster(async { accept.await.unwrap().await.unwrap() });
    }
    broker.assert_in_order(1, 2000);
    producer.close_blocking(PATIENCE).unwrap();
}

#[test]
fn partitions_are_told_with_their_leaders() {
    let broker = Broker::start();
    let producer = broker.producer(&[]);
    let told = producer.partitions_for_blocking("orders").unwrap();
    assert_eq!(told.iter().map(|told| told.partition).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5]);
    assert!(told.iter().all(|told| told.leader.is_some()), "{told:?}");
    assert_eq!(pollster(producer.partitions_for("orders")).unwrap(), told);
    assert!(matches!(producer.partitions_for_blocking("no topic"), Err(ProduceError::Topic { .. })));
    producer.close_blocking(PATIENCE).unwrap();
    assert!(matches!(producer.partitions_for_blocking("orders"), Err(ProduceError::Closed { .. })));
}

#[test]
fn partitions_of_a_topic_that_never_appears_are_waited_for_as_a_record_would_be() {
    let broker = Broker::start();
    broker.broker.on(ApiKey::Metadata, |_| Control::Error(ErrorCode::UnknownTopicOrPartition));
    let producer = broker.producer(&[("max.block.ms", "300")]);
    let text = producer.partitions_for_blocking("nowhere").unwrap_err().to_string();
    for part in ["nowhere", "max.block.ms (300 ms)", "UNKNOWN_TOPIC_OR_PARTITION"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    // A producer that closes lets go of those who ask.
    let asking = producer.clone();
    let asked = std::thread::spawn(move || asking.partitions_for_blocking("elsewhere"));
    std::thread::sleep(Duration::from_millis(50));
    producer.close_blocking(PATIENCE).unwrap();
    assert!(matches!(asked.join().unwrap(), Err(ProduceError::Closed { .. } | ProduceError::Timeout { .. })));
}

#[test]
fn a_blocking_call_in_a_task_is_an_error_and_not_a_hang() {
    let config = Config::builder().set("bootstrap.servers", "127.0.0.1:1").build();
    let producer = Producer::start(config.unwrap()).unwrap();
    let misuse = |error| matches!(error, ProduceError::Misuse(words) if words.contains("async form"));
    pollster(async {
        let record = Record::to("orders").value("x");
        assert!(misuse(producer.send_blocking(&record).unwrap_err()));
        assert!(misuse(producer.send_with_blocking(&record, |_| unreachable!("not accepted")).unwrap_err()));
        assert!(producer.send_batch_blocking(&[record]).into_iter().all(|outcome| misuse(outcome.unwrap_err())));
        assert!(misuse(producer.partitions_for_blocking("orders").unwrap_err()));
        assert!(misuse(producer.flush_blocking().unwrap_err()));
        assert!(matches!(producer.close_blocking(PATIENCE), Err(CloseError::Misuse(_))));
    });
    producer.close_blocking(Duration::ZERO).unwrap();
}

#[test]
fn waiting_for_a_delivery_in_a_task_is_an_error_and_the_record_arrives() {
    let broker = Broker::start();
    let producer = broker.producer(&[("linger.ms", "200")]);
    pollster(async {
        let delivery = producer.send(&Record::to("orders").value("x")).await.unwrap();
        assert_eq!(delivery.wait(), Err(ProduceError::WaitInTask));
    });
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let sending = producer.clone();
    let sent = runtime.block_on(
        runtime.spawn_blocking(move || sending.send_blocking(&Record::to("orders").value("y")).unwrap().wait()),
    );
    sent.unwrap().unwrap();
    producer.close_blocking(PATIENCE).unwrap();
    assert_eq!(broker.records().len(), 2);
}

#[test]
fn a_partition_that_was_added_is_found_by_whoever_names_it() {
    let broker = Broker::start();
    let producer = broker.producer(&[]);
    producer.send_blocking(&Record::to("orders").partition(5).value("a")).unwrap().wait().unwrap();
    broker.broker.add_partitions("orders", 8);
    let metadata = producer.send_blocking(&Record::to("orders").partition(7).value("b")).unwrap().wait().unwrap();
    assert_eq!(metadata.partition, 7);
    let asked = broker.broker.request_count(ApiKey::Metadata);
    let error = producer.send_blocking(&Record::to("orders").partition(8).value("c")).unwrap().wait().unwrap_err();
    assert!(matches!(error, ProduceError::NoSuchPartition { partition: 8, count: 8, .. }), "{error}");
    assert_eq!(broker.broker.request_count(ApiKey::Metadata), asked + 1, "one refresh, then failure");
    // Where nothing may wait, it fails for what is known.
    let error = producer.try_send(&Record::to("orders").partition(9)).unwrap().wait().unwrap_err();
    assert!(matches!(error, ProduceError::NoSuchPartition { partition: 9, .. }), "{error}");
    producer.close_blocking(PATIENCE).unwrap();
}

#[test]
fn an_accept_that_is_dropped_takes_back_only_what_still_waits() {
    let broker = Broker::start();
    let producer = broker.producer(&[]);
    let delivery = producer.send_blocking(&Record::to("orders").partition(0).value("known")).unwrap();
    delivery.wait().unwrap();
    // Accepted at once: it is sent, whatever becomes of the accept.
    let accept = producer.send(&Record::to("orders").partition(0).value("dropped"));
    assert!(!accept.is_waiting());
    drop(accept);
    assert!(!producer.send(&Record::to("orders").partition(0).value("too late")).cancel());
    // These wait for a topic that nobody tells of.
    broker.broker.on(ApiKey::Metadata, |_| Control::Silence);
    let first = producer.send(&Record::to("payments").value("dropped"));
    assert!(first.is_waiting());
    drop(first);
    let second = producer.send(&Record::to("payments").value("taken back"));
    assert!(second.cancel());
    assert!(producer.send(&Record::to("not a topic").value("refused")).cancel());
    producer.flush_blocking().unwrap();
    assert_eq!(broker.broker.next_offset("orders", 0), Some(3));
    assert_eq!(broker.broker.next_offset("payments", 0), None);
    producer.close_blocking(PATIENCE).unwrap();
}

#[test]
fn a_runtime_that_is_shut_down_before_the_producer_leaves_no_delivery_open() {
    let broker = Broker::start();
    let producer = broker.producer(&[("linger.ms", "0")]);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let of_task = producer.clone();
    let (first, rest) = runtime.block_on(async move {
        let task = tokio::spawn(async move {
            let mut deliveries = Vec::new();
            for _ in 0..200 {
                deliveries.push(of_task.send(&Record::to("orders").value("x")).await.unwrap());
            }
            let rest = deliveries.split_off(1);
            (deliveries.pop().unwrap(), rest)
        });
        task.await.unwrap()
    });
    // A task that waits goes with its runtime; what it waited for does not.
    runtime.spawn(first);
    runtime.shutdown_background();
    for delivery in rest {
        delivery.wait().unwrap();
    }
    // Nor does one that waits without an answer keep its delivery open.
    broker.broker.on(ApiKey::Produce, |_| Control::Silence);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    let accept = producer.send(&Record::to("orders").value("x"));
    let open = runtime.block_on(accept).unwrap();
    drop(runtime);
    assert!(open.try_result().is_none());
    assert!(producer.close_blocking(Duration::from_millis(100)).is_err());
    assert!(matches!(open.wait(), Err(ProduceError::Closed { .. })));
}
