//! The hooks behave as those of Java's producer do. Each case has the name of the test in Apache Kafka 4 that shows the
//! behaviour there (`ProducerInterceptorsTest`, `KafkaProducerTest`), or of the code, and says where Java differs.

use super::guests::{Guests, Read, close, counted, fate, outcomes, read};
use super::{Broker, PATIENCE, pollster};
use krafka::testing::{ApiKey, Control};
use pointsman::plugin::{FailureKind, Hook};
use pointsman::{Config, Header, ProduceError, Producer, Record};
use std::sync::mpsc;
use std::time::Duration;

/// Two interceptors, each of which leaves its name on every record and notes every outcome.
fn journals(broker: &Broker) -> Producer {
    let journal = [("mode", "journal")];
    Guests::used(r#"interceptor.classes = ["wasm:first", "wasm:second"]"#)
        .plugin("first", "", &journal)
        .plugin("second", "", &journal)
        .start(broker)
}

/// As above, with one between them that traps on what says bad.
fn with_a_failing_one(broker: &Broker, policy: &str) -> Producer {
    let letters = if policy == "dead-letter" { "dead-letter.topic = \"dead\"" } else { "" };
    let table = format!("timeout.ms = 20000\non-error = {policy:?}\n{letters}");
    let journal = [("mode", "journal")];
    let traps = [("mode", "panic"), ("bad", "bad"), ("stage", "on-send")];
    Guests::used(r#"interceptor.classes = ["wasm:first", "wasm:traps", "wasm:second"]"#)
        .plugin("first", "", &journal)
        .plugin("traps", &table, &traps)
        .plugin("second", "", &journal)
        .start(broker)
}

fn acknowledged(producer: &Producer, plugin: &str) -> f64 {
    counted(producer, plugin, "acknowledged", None)
}

#[track_caller]
fn only(mut reads: Vec<Read>) -> Read {
    assert_eq!(reads.len(), 1, "{reads:?}");
    reads.remove(0)
}

/// ProducerInterceptorsTest: interceptors run in the order of the list, each on what the one before it made.
#[test]
fn test_on_send_chain() {
    let broker = Broker::start();
    let producer = journals(&broker);
    fate(&producer, &Record::to("orders").value("v").headers(&[Header::new("mine", "x")])).unwrap();
    let read = only(read(&broker, "orders"));
    assert_eq!(read.value.as_deref(), Some("v>first>second"));
    let headers: Vec<(&str, &str)> = read.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(headers, [("mine", "x"), ("by", "first"), ("by", "second")]);
    // The tag is the number of headers that each saw: the second saw the first's.
    assert_eq!(counted(&producer, "first", "acknowledged", Some(("tag", "101"))), 1.0);
    assert_eq!(counted(&producer, "second", "acknowledged", Some(("tag", "102"))), 1.0);
    close(&producer);
}

/// ProducerInterceptorsTest.testOnSendChain, second half: the record goes on as the last good one left it. Java does
/// so always; here it takes `on-error = "pass"`.
#[test]
fn test_on_send_chain_skips_a_failing_one_under_pass_only() {
    let broker = Broker::start();
    let producer = with_a_failing_one(&broker, "pass");
    fate(&producer, &Record::to("orders").value("bad")).unwrap();
    let passed = only(read(&broker, "orders"));
    assert_eq!(passed.value.as_deref(), Some("bad>first>second"));
    assert_eq!(passed.header("trace"), None, "nothing of the one that failed");
    close(&producer);

    for policy in ["fail", "drop"] {
        let broker = Broker::start();
        let producer = with_a_failing_one(&broker, policy);
        let error = fate(&producer, &Record::to("orders").value("bad")).unwrap_err();
        assert!(matches!(error, ProduceError::Plugin { .. } | ProduceError::Dropped { .. }), "{error}");
        fate(&producer, &Record::to("orders").value("good")).unwrap();
        assert_eq!(only(read(&broker, "orders")).value.as_deref(), Some("good>first>second"));
        assert_eq!(counted(&producer, "second", "sent", None), 1.0, "it never saw the other one");
        close(&producer);
    }
}

/// ProducerInterceptorsTest: every interceptor hears of every outcome once, with where the record stands.
#[test]
fn test_on_acknowledgement_chain() {
    let broker = Broker::start();
    let producer = journals(&broker);
    let records: Vec<Record<'_>> = (0..300).map(|_| Record::to("orders").partition(2).value("v")).collect();
    let deliveries = producer.send_batch_blocking(&records).into_iter().map(Result::unwrap).collect();
    assert!(outcomes(deliveries).iter().all(Result::is_ok));
    for plugin in ["first", "second"] {
        // The registry of a plugin holds 256 series, and each offset is one of its own.
        let noted = acknowledged(&producer, plugin);
        let dropped = producer.plugin_metrics()[plugin].points_dropped as f64;
        assert!(noted >= 250.0 && noted + dropped >= 300.0, "{noted} noted, {dropped} dropped");
        for offset in ["0", "100", "200"] {
            assert_eq!(counted(&producer, plugin, "acknowledged", Some(("offset", offset))), 1.0);
        }
        assert_eq!(counted(&producer, plugin, "acknowledged", Some(("partition", "2"))), noted);
        assert_eq!(counted(&producer, plugin, "acknowledged", Some(("error", "0"))), noted);
    }
    close(&producer);
}

/// ProducerInterceptorsTest.testOnAcknowledgementChain, second half: one that throws keeps nobody else from hearing.
#[test]
fn test_on_acknowledgement_chain_goes_on_past_a_failing_one() {
    let broker = Broker::start();
    let traps = [("mode", "panic"), ("stage", "on-acknowledgement")];
    let producer = Guests::used(r#"interceptor.classes = ["wasm:traps", "wasm:second"]"#)
        .plugin("traps", "timeout.ms = 20000", &traps)
        .plugin("second", "", &[("mode", "journal")])
        .start(&broker);
    fate(&producer, &Record::to("orders").value("v")).expect("the outcome stands");
    assert_eq!(acknowledged(&producer, "second"), 1.0);
    close(&producer);
}

/// ProducerInterceptorsTest.testOnAcknowledgementWithErrorChain, and KafkaProducer.doSend, which tells the interceptors
/// of what failed on the client's side too: with topic and partition as far as they are known, and no offset.
#[test]
fn test_on_acknowledgement_with_error_chain() {
    let broker = Broker::start();
    let producer = with_a_failing_one(&broker, "fail");
    fate(&producer, &Record::to("orders").partition(3).value("bad")).unwrap_err();
    for (plugin, tag) in [("first", "100"), ("second", "0")] {
        assert_eq!(acknowledged(&producer, plugin), 1.0, "once");
        let told =
            [("topic", "orders"), ("partition", "3"), ("offset", "-1"), ("error", "-103"), ("fate", "1"), ("tag", tag)];
        for label in told {
            assert_eq!(counted(&producer, plugin, "acknowledged", Some(label)), 1.0, "{plugin}: {label:?}");
        }
    }
    // No partition was chosen for this one.
    fate(&producer, &Record::to("orders").value("bad")).unwrap_err();
    assert_eq!(counted(&producer, "first", "acknowledged", Some(("partition", "-1"))), 1.0);
    close(&producer);
}

/// A dead letter is one outcome, not two, and it is the record's: its topic, and that it is not there.
#[test]
fn on_acknowledgement_hears_of_a_dead_letter_once_as_of_its_record() {
    let broker = Broker::start();
    let producer = with_a_failing_one(&broker, "dead-letter");
    let error = fate(&producer, &Record::to("orders").partition(3).value("bad")).unwrap_err();
    assert!(matches!(error, ProduceError::DeadLettered { .. }), "{error}");
    for plugin in ["first", "second"] {
        assert_eq!(acknowledged(&producer, plugin), 1.0);
        for label in [("topic", "orders"), ("partition", "3"), ("offset", "-1"), ("error", "-108"), ("fate", "1")] {
            assert_eq!(counted(&producer, plugin, "acknowledged", Some(label)), 1.0, "{plugin}: {label:?}");
        }
    }
    close(&producer);
}

/// KafkaProducerTest: the interceptors are told the partition that was asked for, also of a record that is too large.
#[test]
fn test_interceptor_partition_set_on_too_large_record() {
    let broker = Broker::start();
    let settings = [("mode", "journal")];
    let producer = Guests::used("interceptor.classes = [\"wasm:first\"]\nmax.request.size = 1000")
        .plugin("first", "", &settings)
        .start(&broker);
    let large = "x".repeat(2000);
    let error = fate(&producer, &Record::to("orders").partition(4).value(&large)).unwrap_err();
    assert!(matches!(error, ProduceError::TooLarge { .. }), "{error}");
    for label in [("partition", "4"), ("error", "-105"), ("topic", "orders")] {
        assert_eq!(counted(&producer, "first", "acknowledged", Some(label)), 1.0, "{label:?}");
    }
    close(&producer);
}

/// KafkaProducer.doSend: a record that a serializer refuses reaches the interceptors' onAcknowledgement (onSendError).
#[test]
fn on_send_error_of_a_record_that_is_not_serialized() {
    let broker = Broker::start();
    let refuses = [("mode", "refuse"), ("bad", "bad"), ("stage", "serialize (value)")];
    let producer = Guests::used("interceptor.classes = [\"wasm:first\"]\nvalue.serializer = \"wasm:frame\"")
        .plugin("first", "", &[("mode", "journal")])
        .plugin("frame", "", &refuses)
        .start(&broker);
    let error = fate(&producer, &Record::to("orders").value("bad")).unwrap_err();
    let ProduceError::Plugin { hook: Hook::SerializeValue, kind: FailureKind::Refused, .. } = error else {
        panic!("{error}")
    };
    assert_eq!(counted(&producer, "first", "acknowledged", Some(("error", "-102"))), 1.0);
    // Serializers run after the interceptors, on what these made.
    fate(&producer, &Record::to("orders").value("v")).unwrap();
    assert_eq!(only(read(&broker, "orders")).value.as_deref(), Some("valuev>first"));
    close(&producer);
}

/// KafkaProducer's AppendCallbacks: the interceptors hear of an outcome before the application's callback does.
#[test]
fn append_callbacks_tell_the_interceptors_before_the_application() {
    let broker = Broker::start();
    let producer = journals(&broker);
    for value in ["v", "w"] {
        let (tell, told) = mpsc::channel();
        let asks = producer.clone();
        let accept = producer.send_with(&Record::to("orders").value(value), move |result| {
            result.unwrap();
            tell.send(acknowledged(&asks, "second")).unwrap();
        });
        drop(pollster(accept).unwrap());
        let heard = told.recv_timeout(PATIENCE).unwrap();
        assert_eq!(heard, if value == "v" { 1.0 } else { 2.0 });
    }
    close(&producer);
}

/// KafkaProducer.partition: a partition that the record names, or that an interceptor gives it, needs no partitioner;
/// interceptors and serializers run all the same.
#[test]
fn partition_of_the_record_goes_before_the_partitioner() {
    let broker = Broker::start();
    let chain = "interceptor.classes = [\"wasm:first\"]\nvalue.serializer = \"wasm:frame\"\n\
                 partitioner.class = \"wasm:traps\"";
    let producer = Guests::used(chain)
        .plugin("first", "", &[("mode", "repartition"), ("to", "5"), ("bad", "move"), ("stage", "on-send")])
        .plugin("frame", "", &[("mode", "frame")])
        .plugin("traps", "timeout.ms = 20000", &[("mode", "panic"), ("stage", "partition")])
        .start(&broker);
    assert_eq!(fate(&producer, &Record::to("orders").partition(1).value("v")).unwrap().partition, 1);
    assert_eq!(fate(&producer, &Record::to("orders").value("move")).unwrap().partition, 5);
    let error = fate(&producer, &Record::to("orders").value("v")).unwrap_err();
    assert!(matches!(error, ProduceError::Plugin { hook: Hook::Partition, .. }), "{error}");
    let reads = read(&broker, "orders");
    let values: Vec<&str> = reads.iter().filter_map(|read| read.value.as_deref()).collect();
    assert_eq!(values, ["valuev", "valuemove"]);
    assert!(reads[0].header("trace").is_some(), "{reads:?}");
    close(&producer);
}

/// KafkaProducerTest.testInterceptorConstructClose, testSerializerClose, testPartitionerClose: each is closed, once,
/// when the producer is, and one that fails there keeps nobody else from it (ProducerInterceptors.close).
#[test]
fn test_interceptor_construct_close() {
    let broker = Broker::start();
    let journal = [("mode", "journal")];
    let producer = Guests::used(r#"interceptor.classes = ["wasm:first", "wasm:falls", "wasm:second"]"#)
        .plugin("first", "", &journal)
        .plugin("falls", "timeout.ms = 20000", &[("mode", "close-panic")])
        .plugin("second", "", &journal)
        .start(&broker);
    // Loading tries each use, which ends with a close of its own.
    let closed = |plugin| counted(&producer, plugin, "closed", None);
    let before = (closed("first"), closed("second"));
    assert_eq!(before, (1.0, 1.0));
    fate(&producer, &Record::to("orders").value("v")).unwrap();
    close(&producer);
    assert_eq!((closed("first"), closed("second")), (2.0, 2.0));
    close(&producer);
    assert_eq!((closed("first"), closed("second")), (2.0, 2.0), "once");
}

/// KafkaProducerTest.testInterceptorConstructorConfigurationWithExceptionShouldCloseRemainingInstances: here every use
/// is tried, and closed, when its plugin is loaded; nothing is left when a later one does not start.
#[test]
fn test_interceptor_constructor_configuration_with_exception_should_close_remaining_instances() {
    let broker = Broker::start();
    let text = format!(
        "[producer]\nbootstrap.servers = {:?}\ninterceptor.classes = [\"wasm:first\", \"wasm:second\"]\n\
         [plugins.first]\ncomponent = {component:?}\n[plugins.first.settings]\nmode = \"journal\"\n\
         [plugins.second]\ncomponent = {component:?}\n[plugins.second.settings]\nmode = \"configure-trap\"\n",
        broker.broker.bootstrap_servers(),
        component = super::guests::guest(),
    );
    let error = Producer::start(Config::from_toml(&text).unwrap()).unwrap_err().to_string();
    assert!(error.contains("plugin second") && error.contains("configure fell over"), "{error}");
}

/// ProducerInterceptors.onSend may leave a record out only by throwing, in Java; here it can drop it, and the delivery
/// and the acknowledgement say so.
#[test]
fn a_record_that_an_interceptor_drops_is_told_as_dropped() {
    let broker = Broker::start();
    let producer = Guests::used(r#"interceptor.classes = ["wasm:drops", "wasm:second"]"#)
        .plugin("drops", "", &[("mode", "drop"), ("bad", "bad"), ("stage", "on-send")])
        .plugin("second", "", &[("mode", "journal")])
        .start(&broker);
    let error = fate(&producer, &Record::to("orders").value("bad")).unwrap_err();
    let ProduceError::Dropped { ref plugin, failure: None, .. } = error else { panic!("{error}") };
    assert_eq!(&**plugin, "drops");
    assert_eq!(counted(&producer, "second", "acknowledged", Some(("error", "-101"))), 1.0);
    assert_eq!(counted(&producer, "second", "sent", None), 0.0);
    fate(&producer, &Record::to("orders").value("good")).unwrap();
    close(&producer);
}

/// Java's interceptors live as long as the producer. Here one that trapped has a successor, which hears of what its
/// predecessor saw, with the tags.
#[test]
fn a_successor_hears_of_what_its_predecessor_sent() {
    let broker = Broker::start();
    let producer = Guests::used(r#"interceptor.classes = ["wasm:journal"]"#)
        .plugin("journal", "timeout.ms = 20000", &[("mode", "journal"), ("trap", "trap")])
        .start(&broker);
    fate(&producer, &Record::to("orders").value("v")).unwrap();
    let (arrived, arrival) = mpsc::channel();
    broker.broker.on_once(ApiKey::Produce, move |_| {
        let _ = arrived.send(());
        Control::Delay(Duration::from_millis(300))
    });
    let header = [Header::new("a", "1")];
    let sent = producer.send_blocking(&Record::to("orders").partition(0).value("v").headers(&header)).unwrap();
    arrival.recv_timeout(PATIENCE).unwrap();
    fate(&producer, &Record::to("orders").partition(0).value("trap")).unwrap_err();
    assert_eq!(producer.plugin_metrics()["journal"].instances_discarded, 1);
    sent.wait().unwrap();
    assert_eq!(counted(&producer, "journal", "acknowledged", Some(("tag", "101"))), 1.0);
    close(&producer);
}
