//! Records that wait for a topic inside the lane: an interceptor sent them elsewhere, or they are dead letters.

use super::guests::{Guests, close, counted, fate, outcomes, read};
use super::{Broker, PATIENCE, pollster};
use krafka::error::ErrorCode;
use krafka::testing::{ApiKey, Control};
use pointsman::error::{Fate, Stage};
use pointsman::plugin::{
    Acknowledgements, Batch, Edit, Edits, Fields, Interceptor, InterceptorWants, PluginFailure, Reads,
};
use pointsman::{CloseError, Config, Delivery, ProduceError, Producer, Record};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// What says "move" goes to the topic "elsewhere".
fn mover(broker: &Broker, lines: &str) -> Producer {
    let settings = [("mode", "retopic"), ("to", "elsewhere"), ("bad", "move"), ("stage", "on-send")];
    Guests::used(&format!("{lines}\nretry.backoff.ms = 5\ninterceptor.classes = [\"wasm:guest\", \"wasm:journal\"]"))
        .plugin("guest", "", &settings)
        .plugin("journal", "", &[("mode", "journal")])
        .start(broker)
}

/// From now on nobody learns of a topic, until the switch is off.
fn silence_metadata(broker: &Broker) -> Arc<AtomicBool> {
    let silent = Arc::new(AtomicBool::new(true));
    let switch = Arc::clone(&silent);
    broker.broker.on(ApiKey::Metadata, move |_| {
        if switch.load(Ordering::SeqCst) { Control::Error(ErrorCode::LeaderNotAvailable) } else { Control::Pass }
    });
    silent
}

fn send_moved(producer: &Producer, keys: usize, each: usize) -> Vec<Delivery> {
    let mut deliveries = Vec::new();
    for number in 0..each {
        for key in 0..keys {
            let (key, value) = (format!("move-{key}"), number.to_string());
            deliveries.push(producer.send_blocking(&Record::to("virtual").key(&key).value(&value)).unwrap());
        }
    }
    deliveries
}

/// Each key's values are 0, 1, 2 … in log order, so many.
fn assert_in_order(broker: &Broker, keys: usize, each: usize) {
    let mut next = std::collections::BTreeMap::<String, usize>::new();
    for read in read(broker, "elsewhere") {
        let expected = next.entry(read.key.unwrap()).or_default();
        assert_eq!(read.value.unwrap(), format!("{expected}>journal"));
        *expected += 1;
    }
    assert_eq!(next.len(), keys);
    assert!(next.values().all(|&count| count == each), "{next:?}");
}

#[test]
fn records_go_where_an_interceptor_sends_them_and_nobody_asks_for_the_topic_that_they_named() {
    let broker = Broker::start();
    broker.broker.create_topic("elsewhere", 3);
    let producer = mover(&broker, "");
    let metadata = fate(&producer, &Record::to("virtual").key("move").value("v")).unwrap();
    assert_eq!(&*metadata.topic, "elsewhere");
    assert_eq!(fate(&producer, &Record::to("orders").key("k").value("v")).unwrap().topic.as_ref(), "orders");
    assert!(broker.broker.create_topic("virtual", 1), "the broker makes every topic that it is asked for");
    assert_eq!(counted(&producer, "journal", "acknowledged", Some(("topic", "elsewhere"))), 1.0);
    assert_eq!(counted(&producer, "journal", "acknowledged", Some(("topic", "virtual"))), 0.0);
    close(&producer);
}

#[test]
fn the_lane_goes_on_and_order_is_kept_while_a_topic_is_asked_for() {
    let broker = Broker::start();
    broker.broker.create_topic("elsewhere", 3);
    let producer = mover(&broker, "");
    fate(&producer, &Record::to("orders").value("v")).unwrap();
    let silent = silence_metadata(&broker);
    let mut moved = send_moved(&producer, 5, 200);
    for _ in 0..20 {
        fate(&producer, &Record::to("orders").value("goes on")).expect("the lane waits for nobody");
    }
    assert!(moved.iter().all(|delivery| delivery.try_result().is_none()));
    silent.store(false, Ordering::SeqCst);
    // More of them, while those before come on.
    for number in 200..400 {
        for key in 0..5 {
            let (key, value) = (format!("move-{key}"), number.to_string());
            moved.push(producer.send_blocking(&Record::to("virtual").key(&key).value(&value)).unwrap());
        }
    }
    producer.flush_blocking().unwrap();
    for delivery in &moved {
        assert!(matches!(delivery.try_result(), Some(Ok(_))), "flush covers what is aside: {delivery:?}");
    }
    assert_in_order(&broker, 5, 400);
    close(&producer);
}

#[test]
fn close_waits_for_what_is_aside() {
    let broker = Broker::start();
    broker.broker.create_topic("elsewhere", 3);
    let producer = mover(&broker, "");
    fate(&producer, &Record::to("orders").value("v")).unwrap();
    let silent = silence_metadata(&broker);
    let moved = send_moved(&producer, 2, 10);
    let (called, told) = std::sync::mpsc::channel();
    let record = Record::to("virtual").key("move-0").value("10");
    drop(pollster(producer.send_with(&record, move |result| called.send(result).unwrap())).unwrap());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(50));
            silent.store(false, Ordering::SeqCst);
        });
        producer.close_blocking(PATIENCE).unwrap();
    });
    assert!(outcomes(moved).iter().all(Result::is_ok));
    assert_eq!(told.recv_timeout(PATIENCE).unwrap().unwrap().topic.as_ref(), "elsewhere");
}

#[test]
fn a_topic_that_never_comes_ends_what_is_aside() {
    let broker = Broker::start();
    let producer = mover(&broker, "max.block.ms = 200");
    fate(&producer, &Record::to("orders").value("v")).unwrap();
    let _silent = silence_metadata(&broker);
    let memory = |producer: &Producer| producer.metrics().value("producer-metrics", "buffer-available-bytes", &[]);
    let (called, told) = std::sync::mpsc::channel();
    let record = Record::to("virtual").key("move").value("v");
    let delivery = pollster(producer.send_with(&record, move |result| called.send(result).unwrap())).unwrap();
    let error = delivery.wait().unwrap_err();
    let ProduceError::Timeout { key: "max.block.ms", stage: Stage::Metadata, fate: Fate::NotWritten, .. } = &error
    else {
        panic!("{error}")
    };
    let text = error.to_string();
    assert!(text.contains("elsewhere") && text.contains("LEADER_NOT_AVAILABLE"), "{text}");
    assert_eq!(told.recv_timeout(PATIENCE).unwrap(), Err(error));
    producer.flush_blocking().unwrap();
    assert_eq!(counted(&producer, "journal", "acknowledged", Some(("error", "-106"))), 1.0);
    assert_eq!(memory(&producer), Some(33_554_432.0), "what it held is given back");
    close(&producer);
}

#[test]
fn close_without_time_fails_what_is_aside() {
    let broker = Broker::start();
    let producer = mover(&broker, "");
    fate(&producer, &Record::to("orders").value("v")).unwrap();
    let _silent = silence_metadata(&broker);
    let moved = send_moved(&producer, 1, 3);
    // It is aside when the one behind it is delivered.
    fate(&producer, &Record::to("orders").value("v")).unwrap();
    let closed = producer.close_blocking(Duration::ZERO);
    assert!(matches!(closed, Err(CloseError::Undelivered { .. })), "{closed:?}");
    for outcome in outcomes(moved) {
        let closed = ProduceError::Closed { topic: Some("elsewhere".into()), partition: None, fate: Fate::NotWritten };
        assert_eq!(outcome.unwrap_err(), closed);
    }
}

#[test]
fn a_name_that_no_topic_can_have_fails_for_that() {
    let broker = Broker::start();
    let settings = [("mode", "retopic"), ("to", "no topic")];
    let producer =
        Guests::used(r#"interceptor.classes = ["wasm:guest"]"#).plugin("guest", "", &settings).start(&broker);
    let error = fate(&producer, &Record::to("orders").value("v")).unwrap_err();
    assert!(matches!(error, ProduceError::Topic { .. }) && error.to_string().contains("' '"), "{error}");
    close(&producer);
}

/// Records whose value says bad become letters to "dead".
fn letters(broker: &Broker, lines: &str) -> Producer {
    let table = "timeout.ms = 20000\non-error = \"dead-letter\"\ndead-letter.topic = \"dead\"\n\
                 dead-letter.include.value = true\n";
    let settings = [("mode", "panic"), ("bad", "bad"), ("stage", "on-send")];
    let lines = format!("{lines}\nretry.backoff.ms = 5\ninterceptor.classes = [\"wasm:guest\", \"wasm:journal\"]");
    Guests::used(&lines).plugin("guest", table, &settings).plugin("journal", "", &[("mode", "journal")]).start(broker)
}

#[test]
fn letters_wait_for_their_topic_and_their_records_for_them() {
    let broker = Broker::start();
    let producer = letters(&broker, "");
    fate(&producer, &Record::to("orders").value("v")).unwrap();
    let silent = silence_metadata(&broker);
    let values: Vec<String> =
        (0..100).map(|number| if number % 10 == 3 { format!("bad {number}") } else { number.to_string() }).collect();
    let records: Vec<Record<'_>> = values.iter().map(|value| Record::to("orders").key("k").value(value)).collect();
    let deliveries: Vec<Delivery> = producer.send_batch_blocking(&records).into_iter().map(Result::unwrap).collect();
    let (mut good, mut dead) = (Vec::new(), Vec::new());
    for (number, delivery) in deliveries.into_iter().enumerate() {
        if number % 10 == 3 { dead.push(delivery) } else { good.push(delivery) }
    }
    assert!(outcomes(good).iter().all(Result::is_ok), "the others do not wait for the letters");
    assert!(dead.iter().all(|delivery| delivery.try_result().is_none()));
    silent.store(false, Ordering::SeqCst);
    producer.flush_blocking().unwrap();
    for outcome in outcomes(dead) {
        let Err(ProduceError::DeadLettered { topic, offset: Some(_), .. }) = &outcome else { panic!("{outcome:?}") };
        assert_eq!(&**topic, "dead");
    }
    let bodies: Vec<String> = read(&broker, "dead").into_iter().filter_map(|letter| letter.value).collect();
    let mut sorted: Vec<String> = values.iter().filter(|value| value.starts_with("bad")).cloned().collect();
    sorted.sort();
    let mut found = bodies;
    found.sort();
    assert_eq!(found, sorted);
    assert_eq!(counted(&producer, "journal", "acknowledged", Some(("error", "-108"))), 10.0);
    close(&producer);
}

/// Whoever closes waits for the letters, and the records that they are about are told where those are.
#[test]
fn close_waits_for_letters_that_are_open() {
    let broker = Broker::start();
    let producer = letters(&broker, "");
    fate(&producer, &Record::to("orders").value("v")).unwrap();
    let silent = silence_metadata(&broker);
    let send = |value| producer.send_blocking(&Record::to("orders").value(value)).unwrap();
    let (bad, worse) = (send("bad 1"), send("bad 2"));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(50));
            silent.store(false, Ordering::SeqCst);
        });
        producer.close_blocking(PATIENCE).unwrap();
    });
    for delivery in [bad, worse] {
        let outcome = delivery.try_result().expect("after the end every fate is known");
        assert!(matches!(outcome, Err(ProduceError::DeadLettered { offset: Some(_), .. })), "{outcome:?}");
    }
    assert_eq!(read(&broker, "dead").len(), 2);
}

#[test]
fn a_letter_that_fails_says_both_causes() {
    let broker = Broker::start();
    let producer = letters(&broker, "max.block.ms = 200");
    fate(&producer, &Record::to("orders").value("v")).unwrap();
    let _silent = silence_metadata(&broker);
    let error = fate(&producer, &Record::to("orders").value("bad")).unwrap_err();
    let ProduceError::DeadLetterFailed { failure, topic, cause } = &error else { panic!("{error}") };
    assert!(matches!(**failure, ProduceError::Plugin { .. }) && matches!(**cause, ProduceError::Timeout { .. }));
    assert_eq!(&**topic, "dead");
    let text = error.to_string();
    for word in ["plugin guest, on-send: trapped", "no such region: mars", "its dead letter to dead", "max.block.ms"] {
        assert!(text.contains(word), "{word} in {text}");
    }
    assert_eq!(error.fate(), Fate::NotWritten);
    assert_eq!(counted(&producer, "journal", "acknowledged", Some(("error", "-103"))), 1.0, "once");
    close(&producer);
}

#[test]
fn a_letter_that_the_broker_refuses_fails_its_record() {
    let broker = Broker::start();
    let producer = letters(&broker, "enable.idempotence = false");
    fate(&producer, &Record::to("orders").value("v")).unwrap();
    broker.broker.on(ApiKey::Produce, |_| Control::Error(ErrorCode::TopicAuthorizationFailed));
    let error = fate(&producer, &Record::to("orders").value("bad")).unwrap_err();
    assert!(matches!(error, ProduceError::DeadLetterFailed { .. }), "{error}");
    assert!(error.to_string().contains("TOPIC_AUTHORIZATION_FAILED"), "{error}");
    close(&producer);
}

/// Gives every record the partition that its value names.
#[derive(Clone)]
struct ByValue(InterceptorWants);

impl ByValue {
    fn new() -> ByValue {
        let reads = Reads { fields: Fields { value: true, ..Fields::default() }, ..Reads::default() };
        let changes = Fields { partition: true, ..Fields::default() };
        ByValue(InterceptorWants { on_send: Some(reads), changes, ..InterceptorWants::default() })
    }
}

impl Interceptor for ByValue {
    fn wants(&self) -> &InterceptorWants {
        &self.0
    }

    fn on_send(&mut self, batch: &Batch<'_>) -> Result<Edits, PluginFailure> {
        let number = |value: Option<&[u8]>| std::str::from_utf8(value.unwrap()).unwrap().parse().unwrap();
        let content = batch.values.unwrap().iter().map(number).collect();
        Ok(Edits { partitions: Some(Edit { indexes: Vec::new(), content }), ..Edits::default() })
    }

    fn on_acknowledgement(&mut self, _: &Acknowledgements<'_>) -> Result<(), PluginFailure> {
        Ok(())
    }

    fn close(&mut self) {}
}

/// As for one that the application names: the topic may have grown.
#[test]
fn a_partition_that_an_interceptor_names_is_asked_for_once_before_its_record_fails() {
    let broker = Broker::start();
    let servers = broker.broker.bootstrap_servers();
    let config = Config::from_toml(&format!("[producer]\nbootstrap.servers = {servers:?}")).unwrap();
    let producer = Producer::builder(config).interceptor("by-value", ByValue::new()).start().unwrap();
    assert_eq!(fate(&producer, &Record::to("orders").value("5")).unwrap().partition, 5);
    broker.broker.add_partitions("orders", 8);
    let sent = ["7", "6", "0", "7"].map(|value| producer.send_blocking(&Record::to("orders").value(value)).unwrap());
    let partitions = sent.map(|delivery| delivery.wait().unwrap().partition);
    assert_eq!(partitions, [7, 6, 0, 7]);
    let asked = broker.broker.request_count(ApiKey::Metadata);
    let error = fate(&producer, &Record::to("orders").value("8")).unwrap_err();
    assert!(matches!(error, ProduceError::NoSuchPartition { partition: 8, count: 8, .. }), "{error}");
    assert_eq!(broker.broker.request_count(ApiKey::Metadata), asked + 1, "one refresh, then failure");
    assert_eq!(fate(&producer, &Record::to("orders").value("1")).unwrap().partition, 1);
    close(&producer);
}
