//! What a batch allocates does not depend on how many records it has.

use super::*;
use crate::{
    Acknowledgement, Edit, Fields, InterceptorWants, Output, PartitionerWants, Payload, Reads, Record, Settings,
};
use std::cell::Cell;

/// One plugin of each role that does something with every record.
struct Busy(u64);

impl Partitioner for Busy {
    fn configure(_: &Settings) -> Result<Busy, String> {
        Ok(Busy(0))
    }

    fn wants(&self) -> PartitionerWants {
        PartitionerWants::keyed(Reads::of(Fields::KEY | Fields::VALUE).all_headers())
    }

    fn partition(&mut self, record: &Record<'_>, topology: &Topology) -> Placement {
        let header = record.header("h").and_then(|header| header.value).map_or(0, <[u8]>::len);
        let bytes = record.key().map_or(0, <[u8]>::len) + record.value().map_or(0, <[u8]>::len) + header;
        Placement::Partition(bytes as u32 % topology.partitions)
    }
}

impl Interceptor for Busy {
    fn configure(_: &Settings) -> Result<Busy, String> {
        Ok(Busy(0))
    }

    fn wants(&self) -> InterceptorWants {
        InterceptorWants::nothing().on_send(Reads::of(Fields::KEY)).acknowledgements()
    }

    fn on_send(&mut self, record: &Record<'_>, edit: &mut Edit<'_>) {
        edit.add_header("key", record.key());
        edit.set_tag(1);
    }

    fn on_acknowledgement(&mut self, acknowledgement: &Acknowledgement<'_>) {
        self.0 += acknowledgement.topic().len() as u64;
    }
}

impl Serializer for Busy {
    fn configure(_: Side, _: &Settings) -> Result<Busy, String> {
        Ok(Busy(0))
    }

    fn serialize(&mut self, payload: &Payload<'_>, output: &mut Output<'_>) -> Result<(), String> {
        output.write(&[0; 5]);
        output.write(payload.bytes().unwrap_or_default());
        Ok(())
    }
}

/// Allocations of the second call of a hook, the first of which may fill what is kept.
fn allocations<T>(mut call: impl FnMut(&[TestRecord]) -> T) -> [u64; 2] {
    [1, 1000].map(|count| {
        let records = vec![TestRecord::new("orders").key("a key").value("a value").header("h", "1"); count];
        call(&records);
        COUNTED.set(0);
        call(&records);
        COUNTED.get()
    })
}

thread_local! {
    static COUNTED: Cell<u64> = const { Cell::new(0) };
}

/// Counts only what the loops allocate, not what the harness needs for the columns.
fn counted<T>(hook: impl FnOnce() -> T) -> T {
    let mut result = None;
    let info = allocation_counter::measure(|| result = Some(hook()));
    COUNTED.set(COUNTED.get() + info.count_total);
    result.expect("it ran")
}

#[test]
fn no_hook_allocates_per_record() {
    let (mut runner, wants) = PartitionerRunner::<Busy>::configure(vec![]).unwrap();
    let topology =
        partitioner_role::Topology { topic: "orders".into(), partitions: 6, leaders: vec![], brokers: vec![] };
    runner.on_topology(topology).unwrap();
    let mut reads = wants.reads;
    reads.fields |= types::Fields::TOPIC;
    let [one, many] = allocations(|records| {
        let batch = batch(records, &reads);
        counted(|| runner.partition(batch)).unwrap()
    });
    assert_eq!(one, many, "partition");

    let (mut runner, wants) = InterceptorRunner::<Busy>::configure(vec![]).unwrap();
    let reads = wants.on_send.unwrap();
    let [one, many] = allocations(|records| {
        let batch = batch(records, &reads);
        counted(|| runner.on_send(batch)).unwrap()
    });
    assert_eq!(one, many, "on-send");

    let (mut runner, _) = SerializerRunner::<Busy>::configure(serializer_role::Side::Value, vec![]).unwrap();
    let [one, many] = allocations(|records| {
        let topics = topic_column(records.iter().map(|record| record.topic.as_str()));
        let payloads = column(records.iter().map(|record| record.value.as_deref()));
        counted(|| runner.serialize(topics, payloads, None)).unwrap()
    });
    assert_eq!(one, many, "serialize");
}
