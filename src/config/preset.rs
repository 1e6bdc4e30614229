//! Presets: values to start from.

/// The keys that a preset sets, beyond Kafka's defaults.
///
/// - `basic`: none; exactly Java's defaults.
/// - `reliable`: what the defaults promise, but said aloud, so that a key that contradicts it is an error instead of
///   turning idempotence off; and five minutes for a delivery, to outlast a broker's restart.
/// - `throughput`: batches of 256 KiB that wait up to 20 ms, lz4, 128 MiB of buffer.
pub(super) fn values(name: &str) -> Option<(&'static str, &'static [(&'static str, &'static str)])> {
    PRESETS.iter().find(|(preset, _)| *preset == name).copied()
}

#[rustfmt::skip]
const PRESETS: &[(&str, &[(&str, &str)])] = &[
    ("basic", &[]),
    ("reliable", &[
        ("acks", "all"),
        ("enable.idempotence", "true"),
        ("max.in.flight.requests.per.connection", "5"),
        ("delivery.timeout.ms", "300000"),
    ]),
    ("throughput", &[
        ("batch.size", "262144"),
        ("linger.ms", "20"),
        ("compression.type", "lz4"),
        ("buffer.memory", "134217728"),
    ]),
];
