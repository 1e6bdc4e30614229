//! The plugin pipeline: roles, batches of columns, the chain that runs them.

mod breaker;
mod builtin;
mod call_size;
mod calls;
mod chain;
mod checked;
mod columns;
mod failure;
mod memo;
mod meter;
mod placing;
mod policy;
mod records;
mod roles;
mod routes;
pub(crate) mod rules;

pub use breaker::BreakerOptions;
pub use builtin::BuiltinSerializer;
pub use chain::{Chain, Tags, Used};
pub(crate) use checked::Checked;
pub use columns::{
    Column, ColumnIter, ColumnRef, HeaderColumns, HeaderColumnsRef, HeaderIter, NULL, TopicColumn, TopicColumnRef,
};
pub use failure::{FailureKind, Hook, PluginFailure};
pub use meter::{HookCounts, Meter};
pub use placing::{Targets, TopicFailure};
pub use policy::{DeadLetter, End, Ended, Letter, Policy};
pub use records::Records;
pub use roles::{
    Acknowledgements, Batch, Consistency, Edit, Edits, Fields, HeaderReads, HeaderRemoval, Interceptor,
    InterceptorWants, Partitioner, PartitionerWants, Placements, PluginFactory, Reads, Refusal, Serialized, Serializer,
    Side, Topology, TopologyBroker,
};
pub use routes::{MayGoTo, Routes};
