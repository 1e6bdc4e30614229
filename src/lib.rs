//! pointsman: a Kafka producer whose partitioner, serializers and interceptors are sandboxed WebAssembly components.

pub mod plugin;
pub mod wasm;
