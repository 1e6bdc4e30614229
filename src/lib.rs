//! pointsman: a Kafka producer whose partitioner, serializers and interceptors are sandboxed WebAssembly components.

pub mod config;
pub mod core;
pub mod error;
mod lane;
pub mod plugin;
pub mod protocol;
mod record;

pub use config::Config;
pub use error::ProduceError;
pub use record::{Header, Record, RecordMetadata};
