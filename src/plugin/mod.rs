//! The plugin pipeline: roles, batches of columns, the chain that runs them.

mod builtin;
mod chain;
mod columns;
mod failure;
mod meter;
mod records;
mod roles;

pub use builtin::BuiltinSerializer;
pub use chain::{Chain, Ended, Groups, Tags, Used};
pub use columns::{
    Column, ColumnIter, ColumnRef, HeaderColumns, HeaderColumnsRef, HeaderIter, NULL, TopicColumn, TopicColumnRef,
};
pub use failure::{FailureKind, Hook, PluginFailure};
pub use meter::{HookCounts, Meter};
pub use records::Records;
pub use roles::{
    Acknowledgements, Batch, Consistency, Edit, Edits, Fields, HeaderReads, HeaderRemoval, Interceptor,
    InterceptorWants, Partitioner, PartitionerWants, Placements, PluginFactory, Reads, Refusal, Serialized, Serializer,
    Side, Topology, TopologyBroker,
};
