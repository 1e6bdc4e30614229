#![doc = include_str!("../README.md")]

#[allow(
    missing_docs,
    unsafe_code,
    unreachable_pub,
    clippy::all,
    clippy::allow_attributes_without_reason,
    reason = "generated code"
)]
#[doc(hidden)]
pub mod bindings;
mod columns;
mod export;
pub mod host;
mod interceptor;
pub mod json;
mod murmur2;
mod partitioner;
mod record;
mod serializer;
mod settings;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;

pub use interceptor::{Acknowledgement, Edit, Fate, Interceptor, InterceptorWants};
pub use murmur2::{murmur2, partition_of_key};
pub use partitioner::{Broker, Consistency, Groups, Partitioner, PartitionerWants, Placement, Topology};
pub use record::{Fields, Header, Headers, Reads, Record};
pub use serializer::{Output, Payload, Serializer, SerializerWants, Side};
pub use settings::Settings;

/// For [`export!`] only.
#[doc(hidden)]
pub mod runners {
    pub use crate::interceptor::InterceptorRunner;
    pub use crate::partitioner::PartitionerRunner;
    pub use crate::serializer::SerializerRunner;
}
