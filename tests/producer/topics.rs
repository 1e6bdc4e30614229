//! Topics with chains of their own, and plugins that the program brings.

use super::guests::{Guests, close, failure, fate, outcomes, read};
use super::{Broker, PATIENCE};
use pointsman::plugin::{
    Acknowledgements, Batch, Column, ColumnRef, Edit, Edits, FailureKind, Fields, HeaderColumnsRef, HeaderReads, Hook,
    Interceptor, InterceptorWants, Partitioner, PartitionerWants, Placements, PluginFailure, Reads, Refusal,
    Serialized, Serializer, TopicColumnRef, Topology,
};
use pointsman::{Config, ProduceError, Producer, Record, StartError};
use std::sync::{Arc, Condvar, Mutex};

/// Does not come back from on-send until it is let go.
#[derive(Clone)]
struct Hangs {
    wants: InterceptorWants,
    /// Whether it was called, and whether it may go on.
    state: Arc<(Mutex<(bool, bool)>, Condvar)>,
}

impl Hangs {
    fn new() -> Hangs {
        let wants = InterceptorWants { on_send: Some(Reads::default()), ..InterceptorWants::default() };
        Hangs { wants, state: Arc::default() }
    }

    fn set(&self, change: impl Fn(&mut (bool, bool)), until: impl Fn(&(bool, bool)) -> bool) {
        let mut state = self.state.0.lock().unwrap();
        change(&mut state);
        self.state.1.notify_all();
        drop(self.state.1.wait_while(state, |state| !until(state)).unwrap());
    }
}

impl Interceptor for Hangs {
    fn wants(&self) -> &InterceptorWants {
        &self.wants
    }

    fn on_send(&mut self, _: &Batch<'_>) -> Result<Edits, PluginFailure> {
        self.set(|state| state.0 = true, |state| state.1);
        Ok(Edits::default())
    }

    fn on_acknowledgement(&mut self, _: &Acknowledgements<'_>) -> Result<(), PluginFailure> {
        Ok(())
    }

    fn close(&mut self) {}
}

fn config(broker: &Broker, text: &str) -> Config {
    let servers = broker.broker.bootstrap_servers();
    let text = format!("[producer]\nbootstrap.servers = {servers:?}\nlinger.ms = 0\n{text}");
    Config::from_toml(&text).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn a_plugin_that_hangs_stops_the_topics_of_its_own_chain_only() {
    let broker = Broker::start();
    broker.broker.create_topic("fast.a", 1);
    let text = "buffer.memory = 80000\n[topics.\"fast.*\"]\ninterceptor.classes = []\n";
    let hangs = Hangs::new();
    let producer = Producer::builder(config(&broker, text)).interceptor("hangs", hangs.clone()).start().unwrap();
    let mut held = vec![producer.send_blocking(&Record::to("orders").value("0")).unwrap()];
    hangs.set(|_| (), |state| state.0);
    // Until its lane is full, and somebody waits for room in it.
    let mut waiting = Vec::new();
    while waiting.len() < 3 {
        let accept = producer.send(&Record::to("orders").value("held"));
        if accept.is_waiting() {
            waiting.push(accept);
        } else {
            held.push(super::pollster(accept).unwrap());
        }
    }
    for number in 0..500 {
        let value = number.to_string();
        fate(&producer, &Record::to("fast.a").value(&value)).expect("another chain goes on");
    }
    assert!(held.iter().all(|delivery| delivery.try_result().is_none()));
    assert!(waiting.iter().all(pointsman::Accept::is_waiting));
    hangs.set(|state| state.1 = true, |_| true);
    held.extend(waiting.into_iter().map(|accept| super::pollster(accept).unwrap()));
    let count = held.len();
    assert!(outcomes(held).iter().all(Result::is_ok));
    assert_eq!((read(&broker, "fast.a").len(), read(&broker, "orders").len()), (500, count));
    close(&producer);
}

#[test]
fn each_topic_has_the_serializers_the_partitioner_and_the_interceptors_of_its_pattern() {
    let broker = Broker::start();
    for topic in ["orders.eu", "orders.us", "plain"] {
        broker.broker.create_topic(topic, 3);
    }
    let producer = Guests::used(
        r#"
        interceptor.classes = ["wasm:everywhere"]
        [topics."orders.*"]
        value.serializer = "json"
        partitioner.class = "round-robin"
        interceptor.classes = ["wasm:first", "wasm:second"]
        [topics."orders.us"]
        interceptor.classes = []
        "#,
    )
    .plugin("everywhere", "", &[("mode", "journal")])
    .plugin("first", "", &[("mode", "header")])
    .plugin("second", "", &[("mode", "header")])
    .start(&broker);
    let sent = |topic, value| fate(&producer, &Record::to(topic).key("k").value(value));
    let taken = [sent("orders.eu", "1"), sent("orders.eu", "2"), sent("orders.eu", "3")];
    let mut partitions = taken.map(|sent| sent.unwrap().partition);
    partitions.sort_unstable();
    assert_eq!(partitions, [0, 1, 2], "in turn, whatever the key");
    let refused = sent("orders.eu", "{").unwrap_err();
    assert!(refused.to_string().contains("json"), "{refused}");
    assert_eq!(read(&broker, "orders.eu")[0].headers.len(), 2, "of its two interceptors");

    // What its own table does not say is as in [producer], not as in another table that fits.
    let partition = pointsman::core::partition_of_key(b"k", 3) as i32;
    assert_eq!(sent("orders.us", "{").unwrap().partition, partition);
    assert_eq!(read(&broker, "orders.us")[0].headers.len(), 0);

    assert_eq!(sent("plain", "{").unwrap().partition, partition);
    assert_eq!(read(&broker, "plain")[0].value.as_deref(), Some("{>everywhere"));
    close(&producer);
}

#[test]
fn an_interceptor_moves_records_within_its_chain_only() {
    let broker = Broker::start();
    broker.broker.create_topic("other", 1);
    for (to, moves) in [("other", true), ("orders", false)] {
        let settings = [("mode", "retopic"), ("to", to), ("bad", "move"), ("stage", "on-send")];
        let producer =
            Guests::used("interceptor.classes = [\"wasm:guest\"]\n[topics.orders]\ninterceptor.classes = []\n")
                .plugin("guest", "", &settings)
                .start(&broker);
        let moved = fate(&producer, &Record::to("virtual").key("move").value("v"));
        match moved {
            Ok(metadata) => assert!(moves && &*metadata.topic == "other"),
            Err(error) => {
                assert!(!moves);
                let text = error.to_string();
                for part in ["topic orders", "of [producer] sent the record here", "[topics.\"orders\"]"] {
                    assert!(text.contains(part), "{part} in {text}");
                }
            }
        }
        close(&producer);
    }
}

/// Places a record by the number in its key.
#[derive(Clone, Default)]
struct ByNumber {
    wants: PartitionerWants,
    topics: Arc<Mutex<Vec<String>>>,
}

impl ByNumber {
    fn new() -> ByNumber {
        let fields = Fields { key: true, ..Fields::default() };
        let wants = PartitionerWants { reads: Reads { fields, ..Reads::default() }, ..PartitionerWants::default() };
        ByNumber { wants, topics: Arc::default() }
    }
}

impl Partitioner for ByNumber {
    fn wants(&self) -> &PartitionerWants {
        &self.wants
    }

    fn on_topology(&mut self, topology: &Topology) -> Result<Vec<Vec<u32>>, PluginFailure> {
        self.topics.lock().unwrap().push(topology.topic.clone());
        Ok(vec![(0..topology.partitions / 2).collect()])
    }

    fn partition(&mut self, batch: &Batch<'_>) -> Result<Placements, PluginFailure> {
        let number = |key: Option<&[u8]>| key.and_then(|key| std::str::from_utf8(key).ok()?.parse().ok());
        let mut placements = Placements::default();
        for (index, key) in (0..).zip(batch.keys.unwrap().iter()) {
            placements.targets.push(number(key).unwrap_or(-2));
            if key == Some(b"refuse") {
                placements.refused.push(Refusal { index, reason: "no number".to_owned() });
            }
        }
        Ok(placements)
    }

    fn close(&mut self) {}
}

/// Puts a letter in front of every value.
#[derive(Clone)]
struct Prefix(HeaderReads);

impl Serializer for Prefix {
    fn headers(&self) -> &HeaderReads {
        &self.0
    }

    fn serialize(
        &mut self,
        _: TopicColumnRef<'_>,
        payloads: ColumnRef<'_>,
        _: Option<HeaderColumnsRef<'_>>,
    ) -> Result<Serialized, PluginFailure> {
        let mut answer = Serialized::default();
        for payload in payloads.iter() {
            answer.payloads.push(payload.map(|payload| [b"+", payload].concat()).as_deref());
        }
        Ok(answer)
    }

    fn close(&mut self) {}
}

/// Says in every value that it was there.
#[derive(Clone)]
struct Signs(InterceptorWants);

impl Interceptor for Signs {
    fn wants(&self) -> &InterceptorWants {
        &self.0
    }

    fn on_send(&mut self, batch: &Batch<'_>) -> Result<Edits, PluginFailure> {
        let mut content = Column::default();
        for value in batch.values.unwrap().iter() {
            content.push(Some(&[value.unwrap_or_default(), b">native"].concat()));
        }
        Ok(Edits { values: Some(Edit { indexes: Vec::new(), content }), ..Edits::default() })
    }

    fn on_acknowledgement(&mut self, _: &Acknowledgements<'_>) -> Result<(), PluginFailure> {
        Ok(())
    }

    fn close(&mut self) {}
}

#[test]
fn native_plugins_stand_in_the_chain_as_those_in_wasm_do() {
    let broker = Broker::start();
    broker.broker.create_topic("other", 6);
    let guests =
        Guests::used("lanes = 2\ninterceptor.classes = [\"wasm:guest\"]\n[topics.other]\ninterceptor.classes = []")
            .plugin("guest", "", &[("mode", "journal")]);
    let fields = Fields { value: true, ..Fields::default() };
    let wants = InterceptorWants {
        on_send: Some(Reads { fields, ..Reads::default() }),
        changes: fields,
        acknowledgements: false,
    };
    let partitioner = ByNumber::new();
    let producer = Producer::builder(guests.config(&broker))
        .interceptor("signs", Signs(wants))
        .value_serializer(Prefix(HeaderReads::None))
        .partitioner(partitioner.clone())
        .start()
        .unwrap();
    for partition in 0..6 {
        let key = partition.to_string();
        let metadata = fate(&producer, &Record::to("orders").key(&key).value("v")).unwrap();
        assert_eq!(metadata.partition, partition);
    }
    // Native ones come after those of the configuration.
    assert_eq!(read(&broker, "orders")[0].value.as_deref(), Some("+v>guest>native"));
    let grouped = fate(&producer, &Record::to("orders").key("x").value("v")).unwrap();
    assert!(grouped.partition < 3, "the group of the first half");
    let refused = fate(&producer, &Record::to("orders").key("refuse").value("v")).unwrap_err();
    assert_eq!(failure(&refused), ("ByNumber", Hook::Partition, FailureKind::Refused, "no number"));
    // Interceptors of the topic's own, the rest as everywhere.
    fate(&producer, &Record::to("other").key("4").value("v")).unwrap();
    let other = &read(&broker, "other")[0];
    assert_eq!((other.partition, other.value.as_deref()), (4, Some("+v")));
    producer.close_blocking(PATIENCE).unwrap();
    assert!(partitioner.topics.lock().unwrap().contains(&"other".to_owned()));
}

#[test]
fn what_there_is_one_of_is_not_set_twice() {
    let broker = Broker::start();
    let config = config(&broker, "partitioner.class = \"round-robin\"");
    let error = Producer::builder(config).partitioner(ByNumber::new()).start().unwrap_err();
    assert!(matches!(error, StartError::SetTwice { key: "partitioner.class", .. }));
    assert!(error.to_string().contains("ByNumber"), "{error}");
}

#[test]
fn a_plugin_that_panics_at_an_acknowledgement_leaves_nobody_waiting() {
    #[derive(Clone)]
    struct Panics(InterceptorWants);
    impl Interceptor for Panics {
        fn wants(&self) -> &InterceptorWants {
            &self.0
        }

        fn on_send(&mut self, _: &Batch<'_>) -> Result<Edits, PluginFailure> {
            Ok(Edits::default())
        }

        fn on_acknowledgement(&mut self, _: &Acknowledgements<'_>) -> Result<(), PluginFailure> {
            panic!("on purpose")
        }

        fn close(&mut self) {}
    }
    for lanes in ["1", "3"] {
        let broker = Broker::start();
        let wants = InterceptorWants { acknowledgements: true, ..InterceptorWants::default() };
        let config = config(&broker, &format!("lanes = {lanes}"));
        let producer = Producer::builder(config).interceptor("panics", Panics(wants)).start().unwrap();
        let deliveries = (0..30).filter_map(|number| {
            let key = number.to_string();
            // Lanes that are gone take nothing more.
            producer.send_blocking(&Record::to("orders").key(&key).value("v")).ok()
        });
        let outcomes = outcomes(deliveries.collect());
        assert!(outcomes.iter().any(Result::is_ok), "the outcome stands");
        for error in outcomes.into_iter().filter_map(Result::err) {
            assert!(matches!(error, ProduceError::Fatal { .. } | ProduceError::Closed { .. }), "{error}");
        }
        producer.flush_blocking().unwrap();
        producer.close_blocking(PATIENCE).unwrap();
    }
}
