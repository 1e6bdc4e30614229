//! What the core needs to know of the configuration, in its own types.

use super::counters::Windows;
use super::memory::MemoryPool;
use super::principal::Principal;
use super::transactions::TransactionConfig;
use crate::error::{Fate, ProduceError};
use crate::protocol::compression::Compression;
use std::time::Duration;

/// Settings of a [`super::Core`], named as Kafka's keys. The default is Java's.
#[derive(Clone, Debug)]
pub struct CoreConfig {
    /// `bootstrap.servers`.
    pub bootstrap: Vec<(String, u16)>,
    /// −1 (all), 0 or 1.
    pub acks: i16,
    /// `enable.idempotence`.
    pub idempotence: bool,
    /// `transactional.id` and what goes with it; `None` where it is not set.
    pub transactions: Option<TransactionConfig>,
    /// `batch.size` in bytes.
    pub batch_size: usize,
    /// `batch.size.max`: bytes that a batch may grow to while it would only wait. At most `batch_size`: none does.
    pub batch_size_max: usize,
    /// `compression.type` and its level.
    pub compression: Compression,
    /// `linger.ms`.
    pub linger: Duration,
    /// `max.request.size` in bytes.
    pub max_request_size: usize,
    /// `max.in.flight.requests.per.connection`.
    pub max_in_flight: usize,
    /// `retries`.
    pub retries: u32,
    /// `retry.backoff.ms`.
    pub retry_backoff: Duration,
    /// `retry.backoff.max.ms`.
    pub retry_backoff_max: Duration,
    /// `reconnect.backoff.ms`.
    pub reconnect_backoff: Duration,
    /// `reconnect.backoff.max.ms`.
    pub reconnect_backoff_max: Duration,
    /// `request.timeout.ms`.
    pub request_timeout: Duration,
    /// `delivery.timeout.ms`.
    pub delivery_timeout: Duration,
    /// `metadata.max.age.ms`.
    pub metadata_max_age: Duration,
    /// `metadata.max.idle.ms`: a topic that was not used for so long is no longer asked for.
    pub metadata_max_idle: Duration,
    /// `metadata.recovery.rebootstrap.trigger.ms`; `None` where `metadata.recovery.strategy` is `none`.
    pub rebootstrap_trigger: Option<Duration>,
    /// `connections.max.idle.ms`.
    pub connections_max_idle: Duration,
    /// `partitioner.ignore.keys`.
    pub ignore_keys: bool,
    /// `partitioner.adaptive.partitioning.enable`: the choice without a key follows the queues' lengths.
    pub adaptive: bool,
    /// `partitioner.availability.timeout.ms`; `None` (0): no partition is passed over for its broker's sake.
    pub availability_timeout: Option<Duration>,
    /// `buffer.memory`.
    pub memory: MemoryPool,
    /// Who brokers take us for, for errors.
    pub principal: Principal,
    /// `metrics.sample.window.ms` and `metrics.num.samples`.
    pub windows: Windows,
    /// Whether the thread that calls it may be blocked: for those who wait for a batch. The core waits for nothing.
    pub may_block: fn() -> bool,
}

impl Default for CoreConfig {
    fn default() -> CoreConfig {
        CoreConfig {
            bootstrap: Vec::new(),
            acks: -1,
            idempotence: true,
            transactions: None,
            batch_size: 16 * 1024,
            batch_size_max: 0,
            compression: Compression::None,
            linger: Duration::from_millis(5),
            max_request_size: 1024 * 1024,
            max_in_flight: 5,
            retries: i32::MAX as u32,
            retry_backoff: Duration::from_millis(100),
            retry_backoff_max: Duration::from_millis(1000),
            reconnect_backoff: Duration::from_millis(50),
            reconnect_backoff_max: Duration::from_millis(1000),
            request_timeout: Duration::from_secs(30),
            delivery_timeout: Duration::from_secs(120),
            metadata_max_age: Duration::from_secs(300),
            metadata_max_idle: Duration::from_secs(300),
            rebootstrap_trigger: Some(Duration::from_secs(300)),
            connections_max_idle: Duration::from_secs(540),
            ignore_keys: false,
            adaptive: true,
            availability_timeout: None,
            memory: MemoryPool::new(32 * 1024 * 1024),
            principal: "User:ANONYMOUS".into(),
            windows: Windows::default(),
            may_block: || true,
        }
    }
}

impl CoreConfig {
    pub(super) fn cluster_not_authorized(&self, code: i16, fate: Fate) -> ProduceError {
        self.not_authorized("IDEMPOTENT_WRITE", "the cluster".to_owned(), code, fate)
    }

    pub(super) fn not_authorized(
        &self,
        operation: &'static str,
        resource: String,
        code: i16,
        fate: Fate,
    ) -> ProduceError {
        let principal = self.principal.name();
        ProduceError::NotAuthorized { principal, operation, resource: resource.into(), code, fate }
    }
}
