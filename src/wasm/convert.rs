//! Between the contract's types and the crate's. Everything that goes in is borrowed, everything that comes out is
//! moved.

use super::bindings::exports::pointsman::plugin::{interceptor, partitioner, serializer};
use super::bindings::pointsman::plugin::types;
use super::output::cut;
use crate::plugin::{
    Acknowledgements, Batch, Column, ColumnRef, Consistency, Edit, Edits, FailureKind, Fields, HeaderColumns,
    HeaderColumnsRef, HeaderReads, HeaderRemoval, Hook, InterceptorWants, PartitionerWants, Placements, PluginFailure,
    Reads, Refusal, Serialized, TopicColumn, TopicColumnRef, Topology, TopologyBroker,
};

pub(super) fn column(column: ColumnRef<'_>) -> types::ColumnParam<'_> {
    types::ColumnParam { lengths: column.lengths, data: column.data }
}

pub(super) fn topic_column(topics: TopicColumnRef<'_>) -> types::TopicColumnParam<'_> {
    types::TopicColumnParam { names: topics.names, indexes: topics.indexes }
}

pub(super) fn header_columns(headers: HeaderColumnsRef<'_>) -> types::HeaderColumnsParam<'_> {
    types::HeaderColumnsParam { counts: headers.counts, names: column(headers.names), values: column(headers.values) }
}

pub(super) fn batch<'a>(batch: &Batch<'a>) -> types::Batch<'a> {
    types::Batch {
        count: count(batch.count),
        topics: batch.topics.map(topic_column),
        partitions: batch.partitions,
        timestamps: batch.timestamps,
        keys: batch.keys.map(column),
        values: batch.values.map(column),
        headers: batch.headers.map(header_columns),
    }
}

pub(super) fn acknowledgements<'a>(of: &Acknowledgements<'a>) -> interceptor::Acknowledgements<'a> {
    interceptor::Acknowledgements {
        count: count(of.count),
        topics: topic_column(of.topics),
        partitions: of.partitions,
        offsets: of.offsets,
        timestamps: of.timestamps,
        errors: of.errors,
        fates: of.fates,
        tags: of.tags,
    }
}

pub(super) fn brokers(brokers: &[TopologyBroker]) -> Vec<partitioner::Broker<'_>> {
    brokers.iter().map(|broker| partitioner::Broker { id: broker.id, rack: broker.rack.as_deref() }).collect()
}

pub(super) fn topology<'a>(
    topology: &'a Topology,
    brokers: &'a [partitioner::Broker<'a>],
) -> partitioner::Topology<'a> {
    partitioner::Topology {
        topic: &topology.topic,
        partitions: topology.partitions,
        leaders: &topology.leaders,
        brokers,
    }
}

pub(super) fn interceptor_wants(wants: interceptor::Wants) -> InterceptorWants {
    InterceptorWants {
        on_send: wants.on_send.map(reads),
        changes: fields(wants.changes),
        acknowledgements: wants.acknowledgements,
    }
}

pub(super) fn partitioner_wants(wants: partitioner::Wants) -> PartitionerWants {
    let consistency = match wants.consistency {
        partitioner::Consistency::Keyed => Consistency::Keyed,
        partitioner::Consistency::Located => Consistency::Located,
        partitioner::Consistency::Free => Consistency::Free,
    };
    PartitionerWants { reads: reads(wants.reads), consistency }
}

pub(super) fn header_reads(headers: Option<Vec<String>>) -> HeaderReads {
    match headers {
        None => HeaderReads::None,
        Some(names) if names.is_empty() => HeaderReads::All,
        Some(names) => HeaderReads::Named(names),
    }
}

pub(super) fn edits(edits: interceptor::Edits) -> Edits {
    let edit = |edit: interceptor::ColumnEdit| Edit { indexes: edit.indexes, content: owned(edit.column) };
    Edits {
        topics: edits.topics.map(|edit| Edit {
            indexes: edit.indexes,
            content: TopicColumn { names: edit.topics.names, indexes: edit.topics.indexes },
        }),
        partitions: edits.partitions.map(|edit| Edit { indexes: edit.indexes, content: edit.partitions }),
        timestamps: edits.timestamps.map(|edit| Edit { indexes: edit.indexes, content: edit.timestamps }),
        keys: edits.keys.map(edit),
        values: edits.values.map(edit),
        removed_headers: edits
            .removed_headers
            .into_iter()
            .map(|removal| HeaderRemoval { name: removal.name, indexes: removal.indexes })
            .collect(),
        added_headers: edits.added_headers.map(owned_headers),
        tags: edits.tags,
        dropped: edits.dropped,
        refused: refused(edits.refused),
    }
}

pub(super) fn serialized(serialized: serializer::Serialized) -> Serialized {
    Serialized {
        payloads: owned(serialized.payloads),
        added_headers: serialized.added_headers.map(owned_headers),
        refused: refused(serialized.refused),
    }
}

pub(super) fn placements(placements: partitioner::Placements) -> Placements {
    Placements { targets: placements.targets, refused: refused(placements.refused) }
}

/// A hook that returned an error, in its own words.
pub(super) fn refused_call(kind: FailureKind, hook: Hook, words: &str) -> PluginFailure {
    PluginFailure::new(kind, format!("{hook}: {}", cut(words)))
}

/// The bytes that a column takes in the guest.
pub(super) fn column_bytes(column: ColumnRef<'_>) -> usize {
    size_of_val(column.lengths) + column.data.len()
}

/// The bytes that headers take in the guest.
pub(super) fn header_bytes(headers: HeaderColumnsRef<'_>) -> usize {
    size_of_val(headers.counts) + column_bytes(headers.names) + column_bytes(headers.values)
}

/// The bytes that a batch takes in the guest.
pub(super) fn batch_bytes(batch: &Batch<'_>) -> usize {
    batch.topics.map_or(0, |topics| size_of_val(topics.indexes))
        + batch.partitions.map_or(0, size_of_val)
        + batch.timestamps.map_or(0, size_of_val)
        + batch.keys.map_or(0, column_bytes)
        + batch.values.map_or(0, column_bytes)
        + batch.headers.map_or(0, header_bytes)
}

fn reads(reads: types::Reads) -> Reads {
    Reads { fields: fields(reads.fields), headers: header_reads(reads.headers) }
}

fn fields(fields: types::Fields) -> Fields {
    Fields {
        topic: fields.contains(types::Fields::TOPIC),
        partition: fields.contains(types::Fields::PARTITION),
        timestamp: fields.contains(types::Fields::TIMESTAMP),
        key: fields.contains(types::Fields::KEY),
        value: fields.contains(types::Fields::VALUE),
    }
}

fn owned(column: types::ColumnResult) -> Column {
    Column { lengths: column.lengths, data: column.data }
}

fn owned_headers(headers: types::HeaderColumnsResult) -> HeaderColumns {
    HeaderColumns { counts: headers.counts, names: owned(headers.names), values: owned(headers.values) }
}

fn refused(refused: Vec<types::Refusal>) -> Vec<Refusal> {
    refused.into_iter().map(|refusal| Refusal { index: refusal.index, reason: cut(&refusal.reason) }).collect()
}

fn count(count: usize) -> u32 {
    u32::try_from(count).expect("a call carries at most 1,024 records")
}
