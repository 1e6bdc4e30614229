//! The plugin pipeline: roles, batches of columns, the chain that runs them.

mod columns;
mod failure;
mod roles;

pub use columns::{Column, ColumnIter, ColumnRef, HeaderColumns, HeaderColumnsRef, NULL, TopicColumn, TopicColumnRef};
pub use failure::{FailureKind, Hook, PluginFailure};
pub use roles::{
    Acknowledgements, Batch, Consistency, Edit, Edits, Fields, HeaderReads, HeaderRemoval, Interceptor,
    InterceptorWants, Partitioner, PartitionerWants, Placements, PluginFactory, Reads, Refusal, Serialized, Serializer,
    Side, Topology, TopologyBroker,
};
