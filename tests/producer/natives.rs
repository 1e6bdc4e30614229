//! Plugins that the program brings are held to the contract's rules as those in Wasm are.

use super::Broker;
use super::guests::{close, failure, fate, read};
use pointsman::plugin::{
    Acknowledgements, Batch, Column, ColumnRef, Edit, Edits, FailureKind, Fields, HeaderColumnsRef, HeaderReads, Hook,
    Interceptor, InterceptorWants, Partitioner, PartitionerWants, Placements, PluginFailure, Reads, Refusal,
    Serialized, Serializer, TopicColumnRef, Topology,
};
use pointsman::{Config, Producer, ProducerBuilder, Record};

/// Answers so where a record's value is "bad", and otherwise as it should.
#[derive(Clone)]
struct Lies<A> {
    bad: fn(usize) -> A,
    good: fn(usize) -> A,
    interceptor: InterceptorWants,
    partitioner: PartitionerWants,
}

impl<A> Lies<A> {
    fn new(bad: fn(usize) -> A, good: fn(usize) -> A) -> Lies<A> {
        let reads = Reads { fields: Fields { value: true, ..Fields::default() }, ..Reads::default() };
        let interceptor = InterceptorWants { on_send: Some(reads.clone()), ..InterceptorWants::default() };
        Lies { bad, good, interceptor, partitioner: PartitionerWants { reads, ..PartitionerWants::default() } }
    }

    fn answer(&self, values: ColumnRef<'_>) -> A {
        let is_bad = values.iter().any(|value| value == Some(b"bad"));
        (if is_bad { self.bad } else { self.good })(values.len())
    }
}

impl Interceptor for Lies<Edits> {
    fn wants(&self) -> &InterceptorWants {
        &self.interceptor
    }

    fn on_send(&mut self, batch: &Batch<'_>) -> Result<Edits, PluginFailure> {
        Ok(self.answer(batch.values.unwrap()))
    }

    fn on_acknowledgement(&mut self, _: &Acknowledgements<'_>) -> Result<(), PluginFailure> {
        Ok(())
    }

    fn close(&mut self) {}
}

impl Serializer for Lies<Serialized> {
    fn headers(&self) -> &HeaderReads {
        &HeaderReads::None
    }

    fn serialize(
        &mut self,
        _: TopicColumnRef<'_>,
        payloads: ColumnRef<'_>,
        _: Option<HeaderColumnsRef<'_>>,
    ) -> Result<Serialized, PluginFailure> {
        Ok(self.answer(payloads))
    }

    fn close(&mut self) {}
}

impl Partitioner for Lies<Placements> {
    fn wants(&self) -> &PartitionerWants {
        &self.partitioner
    }

    fn on_topology(&mut self, _: &Topology) -> Result<Vec<Vec<u32>>, PluginFailure> {
        Ok(vec![vec![0]])
    }

    fn partition(&mut self, batch: &Batch<'_>) -> Result<Placements, PluginFailure> {
        Ok(self.answer(batch.values.unwrap()))
    }

    fn close(&mut self) {}
}

/// An answer to a batch of so many records, and the rule that it breaks.
type Case<A> = (fn(usize) -> A, &'static str);

fn refused() -> Vec<Refusal> {
    vec![Refusal { index: 9, reason: "there is no such record".to_owned() }]
}

fn column(entries: usize) -> Column {
    let mut column = Column::default();
    (0..entries).for_each(|_| column.push(Some(b"v")));
    column
}

/// The lie is found, by the plugin's name, hook and rule; and the next record goes its way.
fn assert_found(with: impl Fn(ProducerBuilder) -> ProducerBuilder, name: &str, expected: Hook, rule: &str) {
    let broker = Broker::start();
    let text = format!("[producer]\nbootstrap.servers = {:?}\nlinger.ms = 0", broker.broker.bootstrap_servers());
    let producer = with(Producer::builder(Config::from_toml(&text).unwrap())).start().unwrap();
    for value in ["good", "bad", "good"] {
        let outcome = fate(&producer, &Record::to("orders").value(value));
        assert_eq!(outcome.is_err(), value == "bad", "{rule}: {outcome:?}");
        if let Err(error) = outcome {
            let (plugin, hook, kind, cause) = failure(&error);
            assert_eq!((plugin, hook, kind), (name, expected, FailureKind::BrokenRule), "{error}");
            assert!(cause.contains(rule), "{rule:?} in {cause:?}");
        }
    }
    assert_eq!(read(&broker, "orders").len(), 2);
    close(&producer);
}

#[test]
fn native_interceptors_are_held_to_the_contract() {
    let cases: [Case<Edits>; 4] = [
        (|_| Edits { refused: refused(), ..Edits::default() }, "refused: index 9 of 1 records"),
        (|_| Edits { dropped: vec![5], ..Edits::default() }, "dropped: index 5 of 1 records"),
        (|_| Edits { tags: vec![1, 2], ..Edits::default() }, "tags: 2 for 1 records"),
        (
            |count| Edits { keys: Some(Edit { indexes: Vec::new(), content: column(count) }), ..Edits::default() },
            "keys: edited, but configure did not declare it",
        ),
    ];
    for (bad, rule) in cases {
        let plugin = Lies::new(bad, |_| Edits::default());
        assert_found(|builder| builder.interceptor("lies", plugin.clone()), "lies", Hook::OnSend, rule);
    }
}

#[test]
fn native_serializers_are_held_to_the_contract() {
    let good = |count| Serialized { payloads: column(count), ..Serialized::default() };
    let cases: [Case<Serialized>; 2] = [
        (|_| Serialized::default(), "payloads: 0 lengths for 1"),
        (
            |count| Serialized { payloads: column(count), refused: refused(), ..Serialized::default() },
            "refused: index 9 of 1 records",
        ),
    ];
    for (bad, rule) in cases {
        let plugin = Lies::new(bad, good);
        assert_found(|builder| builder.value_serializer(plugin.clone()), "Lies", Hook::SerializeValue, rule);
    }
}

#[test]
fn native_partitioners_are_held_to_the_contract() {
    let good = |count| Placements { targets: vec![0; count], refused: Vec::new() };
    let cases: [Case<Placements>; 4] = [
        (|_| Placements::default(), "targets: 0 for 1 records"),
        (|count| Placements { targets: vec![0; count], refused: refused() }, "refused: index 9 of 1 records"),
        (|count| Placements { targets: vec![-3; count], refused: Vec::new() }, "-3 at record 0 is group 1"),
        (|count| Placements { targets: vec![6; count], refused: Vec::new() }, "partition 6, and orders has 6"),
    ];
    for (bad, rule) in cases {
        let plugin = Lies::new(bad, good);
        assert_found(|builder| builder.partitioner(plugin.clone()), "Lies", Hook::Partition, rule);
    }
}
