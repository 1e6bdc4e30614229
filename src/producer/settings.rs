//! What the parts need to know of the configuration, in their own types.

use crate::config::{Acks, CompressionType, DnsLookup, MetadataRecoveryStrategy, ProducerConfig};
use crate::core::{Compression, CoreConfig, MemoryPool, TransactionConfig, Windows};
use crate::net::{self, NetConfig, SystemNames};
use std::sync::Arc;
use std::time::Duration;

/// The bootstrap servers, as `client.dns.lookup` wants them.
pub(super) fn bootstrap(config: &ProducerConfig) -> std::io::Result<Vec<(String, u16)>> {
    let servers: Vec<_> = config.bootstrap_servers.iter().map(|server| (server.host.clone(), server.port)).collect();
    match config.client_dns_lookup {
        DnsLookup::UseAllDnsIps => Ok(servers),
        DnsLookup::ResolveCanonicalBootstrapServersOnly => net::canonical_servers(&servers, &SystemNames),
    }
}

pub(super) fn core_config(
    config: &ProducerConfig,
    memory: &MemoryPool,
    bootstrap: Vec<(String, u16)>,
    security: &net::Secured,
) -> CoreConfig {
    CoreConfig {
        bootstrap,
        acks: config.acks.code(),
        idempotence: config.enable_idempotence && config.acks == Acks::All,
        transactions: config.transactional_id.as_ref().map(|id| TransactionConfig {
            id: id.as_str().into(),
            timeout: config.transaction_timeout,
            max_block: config.max_block,
        }),
        batch_size: config.batch_size,
        batch_size_max: config.batch_size_max,
        compression: compression(config),
        linger: lingering(config.linger),
        max_request_size: config.max_request_size,
        max_in_flight: config.max_in_flight_requests_per_connection,
        retries: config.retries,
        retry_backoff: config.retry_backoff,
        retry_backoff_max: config.retry_backoff_max,
        reconnect_backoff: config.reconnect_backoff,
        reconnect_backoff_max: config.reconnect_backoff_max,
        request_timeout: config.request_timeout,
        delivery_timeout: config.delivery_timeout,
        metadata_max_age: config.metadata_max_age,
        metadata_max_idle: config.metadata_max_idle,
        rebootstrap_trigger: match config.metadata_recovery_strategy {
            MetadataRecoveryStrategy::Rebootstrap => Some(config.metadata_recovery_rebootstrap_trigger),
            MetadataRecoveryStrategy::None => None,
        },
        connections_max_idle: config.connections_max_idle.unwrap_or(Duration::MAX),
        ignore_keys: config.partitioner_ignore_keys,
        adaptive: config.partitioner_adaptive_partitioning_enable,
        availability_timeout: config.partitioner_availability_timeout,
        memory: memory.clone(),
        principal: security.principal(),
        windows: windows(config),
        may_block: net::may_block,
    }
}

/// `linger.ms` is the longest that a record waits for others to come, as long as there is time for all that are sent. The
/// timer that ends it, and the thread that is woken by it, are late by themselves, so that it is ended a little early.
fn lingering(linger: Duration) -> Duration {
    linger - (linger / 25).min(Duration::from_micros(200))
}

fn compression(config: &ProducerConfig) -> Compression {
    match config.compression_type {
        CompressionType::None => Compression::None,
        CompressionType::Gzip => Compression::Gzip(config.compression_gzip_level),
        CompressionType::Snappy => Compression::Snappy,
        CompressionType::Lz4 => Compression::Lz4(config.compression_lz4_level),
        CompressionType::Zstd => Compression::Zstd(config.compression_zstd_level),
    }
}

pub(super) fn windows(config: &ProducerConfig) -> Windows {
    Windows { length: config.metrics_sample_window, count: config.metrics_num_samples }
}

pub(super) fn net_config(config: &ProducerConfig, client_id: String, security: net::Secured) -> NetConfig {
    let bytes = |size: Option<usize>| size.and_then(|size| u32::try_from(size).ok());
    NetConfig {
        client_id,
        send_buffer_bytes: bytes(config.send_buffer_bytes),
        receive_buffer_bytes: bytes(config.receive_buffer_bytes),
        setup_timeout: config.socket_connection_setup_timeout,
        setup_timeout_max: config.socket_connection_setup_timeout_max,
        names: Arc::new(SystemNames),
        security,
        windows: windows(config),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lingering_ends_early_by_what_a_timer_is_late_and_no_more() {
        let of = |micros| lingering(Duration::from_micros(micros)).as_micros();
        assert_eq!([0, 1_000, 5_000, 1_000_000].map(of), [0, 960, 4_800, 999_800]);
    }
}
