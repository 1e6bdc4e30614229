//! Transactions of the whole producer, against krafka's broker, which has coordinators of its own.

use super::guests::{Guests, read};
use super::{Broker, PATIENCE, pollster};
use krafka::error::ErrorCode;
use krafka::testing::{ApiKey, Control};
use pointsman::plugin::{Acknowledgements, Batch, Edits, Interceptor, InterceptorWants, PluginFailure, Reads};
use pointsman::transaction::{ConsumedOffset, ConsumerGroupMetadata, TransactionError};
use pointsman::{Config, ProduceError, Producer, Record};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const ID: &str = "orders-1";

fn begun(broker: &Broker, settings: &[(&str, &str)]) -> Producer {
    let all = [
        &[
            ("transactional.id", ID),
            ("linger.ms", "0"),
            ("retry.backoff.ms", "5"),
            ("retry.backoff.max.ms", "20"),
            ("reconnect.backoff.max.ms", "20"),
        ],
        settings,
    ]
    .concat();
    let producer = broker.producer(&all);
    producer.init_transactions_blocking().unwrap();
    producer.begin_transaction().unwrap();
    producer
}

fn committed(broker: &Broker, topic: &str) -> Vec<String> {
    let records = broker.broker.committed_records(topic).unwrap();
    let text = |bytes: &bytes::Bytes| String::from_utf8_lossy(bytes).into_owned();
    let mut values: Vec<String> = records.iter().map(|record| text(record.value.as_ref().unwrap())).collect();
    values.sort();
    values
}

fn send(producer: &Producer, value: &str) -> pointsman::Delivery {
    producer.send_blocking(&Record::to("orders").value(value)).unwrap()
}

#[test]
fn lost_answers_of_every_request_end_no_transaction_twice_or_not_at_all() {
    for version in [0, 2] {
        let broker = Broker::start();
        broker.broker.set_transaction_version(version);
        // It has the versions before as well, and does not say so.
        broker.broker.set_api_versions(ApiKey::TxnOffsetCommit, 3, 5);
        let apis = [
            ApiKey::FindCoordinator,
            ApiKey::InitProducerId,
            ApiKey::AddPartitionsToTxn,
            ApiKey::AddOffsetsToTxn,
            ApiKey::TxnOffsetCommit,
            ApiKey::EndTxn,
        ];
        for api in apis {
            let times = AtomicUsize::new(1);
            broker.broker.on(api, move |_| match times.fetch_add(1, Ordering::Relaxed) % 4 {
                0 => Control::ApplyThen(Box::new(Control::Disconnect)),
                1 => Control::Error(ErrorCode::CoordinatorLoadInProgress),
                2 => Control::Disconnect,
                _ => Control::Pass,
            });
        }
        let producer = begun(&broker, &[("reconnect.backoff.ms", "5")]);
        let group = ConsumerGroupMetadata::of("readers");
        let mut expected = Vec::new();
        for number in 0..12 {
            if number > 0 {
                producer.begin_transaction().unwrap();
            }
            for record in 0..10 {
                let value = format!("{number:02}/{record}");
                let _delivery =
                    producer.send_blocking(&Record::to("orders").partition(record % 6).value(&value)).unwrap();
            }
            let offset = ConsumedOffset {
                topic: "orders".to_owned(),
                partition: 0,
                offset: number,
                leader_epoch: None,
                metadata: None,
            };
            producer.send_offsets_to_transaction_blocking(&[offset], &group).unwrap();
            if number % 3 == 1 {
                producer.abort_transaction_blocking().unwrap();
            } else {
                producer.commit_transaction_blocking().unwrap();
                expected.extend((0..10).map(|record| format!("{number:02}/{record}")));
                assert_eq!(broker.broker.committed_offset("readers", "orders", 0), Some(number));
            }
        }
        assert_eq!(committed(&broker, "orders"), expected, "version {version}");
        let asked = broker.broker.request_count(ApiKey::AddPartitionsToTxn);
        assert_eq!(asked == 0, version == 2, "brokers tell the coordinator by themselves");
        producer.close_blocking(PATIENCE).unwrap();
    }
}

#[test]
fn a_cluster_that_is_too_old_is_said_to_be() {
    let broker = Broker::start();
    broker.broker.set_api_versions(ApiKey::FindCoordinator, 0, 0);
    let producer = broker.producer(&[("transactional.id", ID)]);
    let error = producer.init_transactions_blocking().unwrap_err();
    assert!(error.is_fatal() && error.to_string().contains("no version of FindCoordinator"), "{error}");
    let refused = producer.send_blocking(&Record::to("orders").value("x")).unwrap_err();
    assert!(refused.to_string().contains("no version of FindCoordinator"), "{refused}");
    producer.close_blocking(PATIENCE).unwrap();
}

/// What a plugin fails on is no part of a transaction, which then is not whole; unless its policy says otherwise.
#[test]
fn a_record_that_a_plugin_fails_on_keeps_its_transaction_from_being_committed() {
    for (policy, commits) in [("fail", false), ("drop", true), ("pass", true), ("dead-letter", true)] {
        let broker = Broker::start();
        broker.broker.create_topic("dead", 1);
        let mut table = format!("on-error = {policy:?}\n");
        if policy == "dead-letter" {
            table += "dead-letter.topic = \"dead\"\n";
        }
        let settings = [("mode", "refuse"), ("stage", "serialize (value)"), ("bad", "bad")];
        let used = format!("transactional.id = {ID:?}\nvalue.serializer = \"wasm:guest\"");
        let producer = Guests::used(&used).plugin("guest", &table, &settings).start(&broker);
        producer.init_transactions_blocking().unwrap();
        producer.begin_transaction().unwrap();
        let _good = send(&producer, "good");
        let bad = send(&producer, "bad").wait();
        assert_eq!(bad.is_ok(), policy == "pass", "{policy}: {bad:?}");
        // It is none of the others' business until then.
        assert_eq!(committed(&broker, "orders"), [""; 0]);
        match producer.commit_transaction_blocking() {
            Ok(()) => assert!(commits, "{policy}"),
            Err(error) => {
                assert!(!commits && error.must_abort() && error.to_string().contains("guest"), "{policy}: {error}");
                producer.abort_transaction_blocking().unwrap();
            }
        }
        let expected = match policy {
            "fail" => vec![],
            "pass" => vec!["bad", "valuegood"],
            _ => vec!["valuegood"],
        };
        assert_eq!(committed(&broker, "orders"), expected, "{policy}");
        assert_eq!(broker.broker.committed_records("dead").unwrap().len(), usize::from(policy == "dead-letter"));
        producer.begin_transaction().unwrap();
        let _delivery = send(&producer, "after");
        producer.commit_transaction_blocking().unwrap();
        assert!(committed(&broker, "orders").contains(&"valueafter".to_owned()));
        producer.close_blocking(PATIENCE).unwrap();
    }
}

/// An abort waits for no record that would have to go out again.
#[test]
fn an_abort_is_not_held_up_by_a_partition_without_a_leader() {
    for version in [0, 2] {
        let broker = Broker::start();
        broker.broker.set_transaction_version(version);
        broker.broker.on(ApiKey::Produce, |_| Control::Error(ErrorCode::NotLeaderForPartition));
        let producer = begun(&broker, &[]);
        let deliveries: Vec<_> = (0..20).map(|number| send(&producer, &number.to_string())).collect();
        std::thread::sleep(Duration::from_millis(50));
        let before = Instant::now();
        producer.abort_transaction_blocking().unwrap();
        assert!(before.elapsed() < Duration::from_secs(60), "delivery.timeout.ms is twice that");
        for delivery in deliveries {
            let error = delivery.wait().unwrap_err();
            assert!(matches!(error, ProduceError::Aborted { .. }), "{error}");
            assert!(error.to_string().contains("abort_transaction was called"), "{error}");
        }
        broker.broker.clear_hooks();
        producer.begin_transaction().unwrap();
        let _delivery = send(&producer, "after");
        producer.commit_transaction_blocking().unwrap();
        assert_eq!(committed(&broker, "orders"), ["after"]);
        producer.close_blocking(PATIENCE).unwrap();
    }
}

#[test]
fn what_takes_longer_than_max_block_ms_is_waited_for_by_the_same_call() {
    let broker = Broker::start();
    let silent = Arc::new(AtomicBool::new(true));
    for api in [ApiKey::InitProducerId, ApiKey::EndTxn] {
        let silent = Arc::clone(&silent);
        broker.broker.on(api, move |_| {
            if silent.load(Ordering::Relaxed) { Control::Error(ErrorCode::NotCoordinator) } else { Control::Pass }
        });
    }
    let settings =
        [("transactional.id", ID), ("max.block.ms", "1000"), ("retry.backoff.ms", "5"), ("retry.backoff.max.ms", "5")];
    let producer = broker.producer(&settings);
    let late = |error: &TransactionError, call: &str, words: &[&str]| {
        let text = error.to_string();
        assert!(matches!(error, TransactionError::Timeout { .. }) && !error.must_abort(), "{text}");
        for word in [call, "max.block.ms (1000 ms)", "NOT_COORDINATOR"].iter().chain(words) {
            assert!(text.contains(word), "{word} in {text}");
        }
    };
    for _ in 0..2 {
        late(&producer.init_transactions_blocking().unwrap_err(), "init_transactions", &["InitProducerId"]);
    }
    let early = producer.begin_transaction().unwrap_err();
    assert!(early.to_string().contains("init_transactions has not ended"), "{early}");
    silent.store(false, Ordering::Relaxed);
    producer.init_transactions_blocking().unwrap();
    let twice = producer.init_transactions_blocking().unwrap_err();
    assert!(twice.to_string().contains("it was called before"), "{twice}");

    producer.begin_transaction().unwrap();
    let _delivery = send(&producer, "x");
    silent.store(true, Ordering::Relaxed);
    late(&producer.commit_transaction_blocking().unwrap_err(), "commit_transaction", &["EndTxn"]);
    let busy = producer.abort_transaction_blocking().unwrap_err();
    assert!(busy.to_string().contains("a commit has not ended"), "{busy}");
    let busy = producer.send_blocking(&Record::to("orders").value("y")).unwrap_err();
    assert!(busy.to_string().contains("a commit is under way"), "{busy}");
    silent.store(false, Ordering::Relaxed);
    // It may end before anybody asks again.
    std::thread::sleep(Duration::from_millis(100));
    producer.commit_transaction_blocking().unwrap();
    assert_eq!(committed(&broker, "orders"), ["x"]);
    producer.begin_transaction().unwrap();
    producer.commit_transaction_blocking().unwrap();
    producer.close_blocking(PATIENCE).unwrap();
}

/// A call that is dropped goes on: the next of its kind is told how it ended, and not the one of another transaction.
#[test]
fn a_call_that_is_dropped_goes_on() {
    let broker = Broker::start();
    let producer = begun(&broker, &[]);
    let dropped = |call: std::pin::Pin<&mut dyn Future<Output = Result<(), TransactionError>>>| {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(call.poll(&mut context).is_pending());
    };
    let _delivery = send(&producer, "one");
    dropped(std::pin::pin!(producer.commit_transaction()));
    producer.commit_transaction_blocking().unwrap();
    assert_eq!(committed(&broker, "orders"), ["one"]);

    producer.begin_transaction().unwrap();
    let _delivery = send(&producer, "two");
    dropped(std::pin::pin!(producer.abort_transaction()));
    producer.abort_transaction_blocking().unwrap();
    producer.begin_transaction().unwrap();
    let _delivery = send(&producer, "three");
    producer.abort_transaction_blocking().unwrap();
    assert_eq!(committed(&broker, "orders"), ["one"]);
    producer.close_blocking(PATIENCE).unwrap();
}

#[test]
fn sends_that_wait_keep_a_commit_from_going_on_and_an_abort_refuses_them() {
    let broker = Broker::start();
    let silent = Arc::new(AtomicBool::new(true));
    let by_hook = Arc::clone(&silent);
    broker.broker.on(ApiKey::Produce, move |_| match by_hook.load(Ordering::Relaxed) {
        true => Control::Error(ErrorCode::NotEnoughReplicas),
        false => Control::Pass,
    });
    let producer = begun(&broker, &[("buffer.memory", "100000"), ("batch.size", "0")]);
    let large = "x".repeat(60_000);
    let _held = send(&producer, &large);
    let waits = producer.send(&Record::to("orders").value(&large));
    assert!(waits.is_waiting());
    let error = producer.commit_transaction_blocking().unwrap_err();
    assert_eq!(error, TransactionError::SendsWait { count: 1 });
    silent.store(false, Ordering::Relaxed);
    let _delivery = pollster(waits).unwrap();
    producer.commit_transaction_blocking().unwrap();
    assert_eq!(committed(&broker, "orders").len(), 2);

    silent.store(true, Ordering::Relaxed);
    producer.begin_transaction().unwrap();
    let held = send(&producer, &large);
    let waits = producer.send(&Record::to("orders").value(&large));
    assert!(waits.is_waiting());
    producer.abort_transaction_blocking().unwrap();
    // Its turn may come by what the abort lets go.
    let refused = pollster(waits).and_then(pointsman::Delivery::wait).unwrap_err();
    assert!(matches!(refused, ProduceError::NoTransaction { .. }), "{refused}");
    assert!(matches!(held.wait().unwrap_err(), ProduceError::Aborted { .. }));
    producer.close_blocking(PATIENCE).unwrap();
}

#[test]
fn calls_that_cannot_be_made_say_why() {
    let broker = Broker::start();
    let plain = broker.producer(&[]);
    assert_eq!(plain.init_transactions_blocking(), Err(TransactionError::NotTransactional));
    assert_eq!(plain.begin_transaction(), Err(TransactionError::NotTransactional));
    plain.close_blocking(PATIENCE).unwrap();

    let producer = begun(&broker, &[]);
    let again = producer.begin_transaction().unwrap_err();
    assert!(again.to_string().contains("a transaction is open: commit or abort it first"), "{again}");
    let (told, hears) = std::sync::mpsc::channel();
    let clone = producer.clone();
    let accept = producer.send_with(&Record::to("orders").value("x"), move |_| {
        told.send(pollster(clone.commit_transaction())).unwrap();
    });
    let _delivery = pollster(accept).unwrap();
    let in_callback = hears.recv_timeout(PATIENCE).unwrap();
    assert!(matches!(in_callback, Err(TransactionError::Misuse(_))), "{in_callback:?}");
    let in_task = pollster(async { producer.commit_transaction_blocking() });
    assert!(matches!(in_task, Err(TransactionError::Misuse(_))), "{in_task:?}");
    producer.commit_transaction_blocking().unwrap();
    producer.close_blocking(PATIENCE).unwrap();
    let closed = producer.begin_transaction().unwrap_err();
    assert!(matches!(closed, TransactionError::Produce(ProduceError::Closed { .. })), "{closed}");
}

/// The end of a producer ends its transaction, and every call that waits.
#[test]
fn a_close_aborts_and_lets_nobody_wait() {
    let broker = Broker::start();
    let producer = begun(&broker, &[]);
    let _delivery = send(&producer, "half");
    producer.close_blocking(PATIENCE).unwrap();
    assert!(!broker.broker.transaction_is_open(ID));
    assert_eq!(committed(&broker, "orders"), [""; 0]);
    assert_eq!(read(&broker, "orders").len(), 1, "it was sent, all the same");

    // With no time left, calls end by it; the broker does the rest.
    broker.broker.on(ApiKey::EndTxn, |_| Control::Silence);
    let producer = begun(&broker, &[]);
    let _delivery = send(&producer, "half");
    let waiting = producer.clone();
    let waits = std::thread::spawn(move || waiting.commit_transaction_blocking());
    let broker_knows = || broker.broker.request_count(ApiKey::EndTxn) > 1;
    while !broker_knows() {
        std::thread::sleep(Duration::from_millis(5));
    }
    producer.close_blocking(Duration::ZERO).unwrap();
    let error = waits.join().unwrap().unwrap_err();
    assert!(matches!(error, TransactionError::Produce(ProduceError::Closed { .. })), "{error}");
}

/// An interceptor of the program's own: slow, or the end of its lane.
#[derive(Clone)]
struct Slow {
    wants: InterceptorWants,
    takes: Duration,
    panics_from: usize,
    calls: usize,
}

impl Slow {
    fn new(takes: Duration, panics_from: usize) -> Slow {
        let on_send = Some(Reads::default());
        Slow { wants: InterceptorWants { on_send, ..InterceptorWants::default() }, takes, panics_from, calls: 0 }
    }
}

impl Interceptor for Slow {
    fn wants(&self) -> &InterceptorWants {
        &self.wants
    }

    fn on_send(&mut self, _: &Batch<'_>) -> Result<Edits, PluginFailure> {
        self.calls += 1;
        assert!(self.calls < self.panics_from, "on purpose");
        std::thread::sleep(self.takes);
        Ok(Edits::default())
    }

    fn on_acknowledgement(&mut self, _: &Acknowledgements<'_>) -> Result<(), PluginFailure> {
        Ok(())
    }

    fn close(&mut self) {}
}

fn begun_with(broker: &Broker, interceptor: Slow, settings: &str) -> Producer {
    let servers = broker.broker.bootstrap_servers();
    let text =
        format!("[producer]\nbootstrap.servers = {servers:?}\ntransactional.id = {ID:?}\nlinger.ms = 0\n{settings}");
    let builder = Producer::builder(Config::from_toml(&text).unwrap()).interceptor("slow", interceptor);
    let producer = builder.start().unwrap();
    producer.init_transactions_blocking().unwrap();
    producer.begin_transaction().unwrap();
    producer
}

#[test]
fn records_that_are_late_in_their_lane_or_lost_with_it_are_missed_by_the_commit() {
    let broker = Broker::start();
    let settings = "delivery.timeout.ms = 300\nrequest.timeout.ms = 200";
    let producer = begun_with(&broker, Slow::new(Duration::from_millis(400), usize::MAX), settings);
    let first = send(&producer, "first");
    std::thread::sleep(Duration::from_millis(50));
    let second = send(&producer, "second");
    let error = producer.commit_transaction_blocking().unwrap_err();
    assert!(error.must_abort() && error.to_string().contains("delivery.timeout.ms"), "{error}");
    assert!(first.wait().is_err() || second.wait().is_err());
    producer.abort_transaction_blocking().unwrap();
    producer.close_blocking(PATIENCE).unwrap();

    let broker = Broker::start();
    let producer = begun_with(&broker, Slow::new(Duration::ZERO, 2), "");
    send(&producer, "first").wait().unwrap();
    assert!(send(&producer, "second").wait().is_err(), "its lane has ended");
    let error = producer.commit_transaction_blocking().unwrap_err();
    assert!(error.must_abort(), "{error}");
    assert_eq!(committed(&broker, "orders"), [""; 0]);
    let _ = producer.close_blocking(PATIENCE);
}

/// Its records are on their way through a lane when the producer begins to close.
#[test]
fn a_commit_goes_on_beside_a_close() {
    let broker = Broker::start();
    for dropped in [false, true] {
        let producer = begun_with(&broker, Slow::new(Duration::from_millis(100), usize::MAX), "");
        let each = |number| if dropped { format!("dropped {number}") } else { format!("{number}") };
        for number in 0..5 {
            let _delivery = send(&producer, &each(number));
            // Not all in one call.
            std::thread::sleep(Duration::from_millis(20));
        }
        let committing = producer.clone();
        let commits = std::thread::spawn(move || {
            if dropped {
                let mut context = std::task::Context::from_waker(std::task::Waker::noop());
                assert!(std::pin::pin!(committing.commit_transaction()).as_mut().poll(&mut context).is_pending());
                return Ok(());
            }
            committing.commit_transaction_blocking()
        });
        // Until it has begun.
        while producer.send_blocking(&Record::to("orders").value("beside it")).is_ok() && !commits.is_finished() {
            std::thread::sleep(Duration::from_millis(1));
        }
        producer.close_blocking(PATIENCE).unwrap();
        commits.join().unwrap().unwrap();
        let values = committed(&broker, "orders");
        assert!((0..5).all(|number| values.contains(&each(number))), "{dropped}: {values:?}");
    }
}

#[test]
fn an_abort_is_not_held_up_by_letters_to_a_topic_that_is_not_there() {
    let broker = Broker::start();
    broker.broker.create_topic("orders", 6);
    let table = "on-error = \"dead-letter\"\ndead-letter.topic = \"dead\"\n";
    let settings = [("mode", "refuse"), ("stage", "serialize (value)"), ("bad", "bad")];
    let used = format!("transactional.id = {ID:?}\nvalue.serializer = \"wasm:guest\"");
    let producer = Guests::used(&used).plugin("guest", table, &settings).start(&broker);
    producer.init_transactions_blocking().unwrap();
    producer.begin_transaction().unwrap();
    send(&producer, "good").wait().unwrap();
    broker.broker.on(ApiKey::Metadata, |_| Control::Error(ErrorCode::UnknownTopicOrPartition));
    let bad = send(&producer, "bad");
    std::thread::sleep(Duration::from_millis(100));
    let before = Instant::now();
    producer.abort_transaction_blocking().unwrap();
    assert!(before.elapsed() < Duration::from_secs(30), "max.block.ms is twice that");
    let error = bad.wait().unwrap_err();
    assert!(error.to_string().contains("abort_transaction was called"), "{error}");
    producer.close_blocking(PATIENCE).unwrap();
}

#[test]
fn offsets_that_are_under_way_are_waited_for_before_the_commit() {
    let broker = Broker::start();
    broker.broker.set_transaction_version(2);
    let silent = Arc::new(AtomicBool::new(true));
    let by_hook = Arc::clone(&silent);
    broker.broker.on(ApiKey::TxnOffsetCommit, move |_| match by_hook.load(Ordering::Relaxed) {
        true => Control::Error(ErrorCode::CoordinatorLoadInProgress),
        false => Control::Pass,
    });
    let producer = begun(&broker, &[("max.block.ms", "200")]);
    let offset =
        ConsumedOffset { topic: "orders".to_owned(), partition: 0, offset: 7, leader_epoch: None, metadata: None };
    let group = ConsumerGroupMetadata::of("readers");
    let send_offsets = || producer.send_offsets_to_transaction_blocking(std::slice::from_ref(&offset), &group);
    let late = send_offsets().unwrap_err();
    assert!(matches!(late, TransactionError::Timeout { .. }), "{late}");
    let error = producer.commit_transaction_blocking().unwrap_err();
    assert!(error.to_string().contains("send_offsets_to_transaction has not ended"), "{error}");
    silent.store(false, Ordering::Relaxed);
    send_offsets().unwrap();
    producer.commit_transaction_blocking().unwrap();
    assert_eq!(broker.broker.committed_offset("readers", "orders", 0), Some(7));
    // Whoever waits when it is aborted hears of that.
    silent.store(true, Ordering::Relaxed);
    producer.begin_transaction().unwrap();
    std::thread::scope(|scope| {
        let waits = scope.spawn(send_offsets);
        std::thread::sleep(Duration::from_millis(50));
        producer.abort_transaction_blocking().unwrap();
        let error = waits.join().unwrap().unwrap_err();
        assert!(error.must_abort() && error.to_string().contains("abort_transaction was called"), "{error}");
    });
    producer.close_blocking(PATIENCE).unwrap();
}
