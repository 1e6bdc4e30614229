#![doc = include_str!("../README.md")]

pub mod config;
pub mod core;
pub mod error;
pub mod explain;
mod lane;
mod lock;
pub mod metrics;
pub mod net;
pub mod plugin;
mod producer;
pub mod protocol;
mod record;
mod record_metadata;
#[doc(hidden)]
pub mod sabotage;
pub mod security;
pub mod transaction;
pub mod wasm;

pub use config::Config;
pub use error::ProduceError;
pub use lane::Delivery;
#[doc(hidden)]
pub use lane::{InLine, Sent, SteppedLanes, SteppedOptions};
pub use metrics::MetricsSnapshot;
pub use producer::{Accept, CloseError, Producer, ProducerBuilder, ReloadError, Reloaded, StartError, plugin_options};
pub use record::{Header, Record};
pub use record_metadata::{PartitionInfo, RecordMetadata, TopicName};
pub use transaction::{ConsumedOffset, ConsumerGroupMetadata, TransactionError};
