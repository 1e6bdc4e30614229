//! Plugins as WebAssembly components: the only place that names wasmtime.
//!
//! Three lifetimes, three types. An [`Engine`] is made once per process; a [`Plugin`] is a component, compiled,
//! checked and ready to be instantiated, and as a [`PluginFactory`](crate::plugin::PluginFactory) it makes the
//! instances, one for each use and lane. An instance whose call failed is discarded, and the next call starts another.
//!
//! A component gets the contract's `host` interface, clocks, random bytes and a log, and nothing else: no files, no
//! network, no environment, and it cannot wait. Its time is bounded per call, its memory and the size of its answers
//! per instance.

mod bindings;
mod call;
mod convert;
mod deadline;
mod engine;
mod error;
mod host;
mod imports;
mod interceptor;
mod memory;
mod metrics;
mod output;
mod partitioner;
mod plugin;
mod seat;
mod sections;
mod serializer;
mod state;
mod ticker;
mod wasi;

pub use engine::{Engine, EngineOptions};
pub use error::LoadError;
pub use metrics::{MetricSample, MetricValue};
pub use plugin::{Limits, Plugin, PluginMetrics, PluginOptions, Roles, Use};
