//! Producers as the tests need them: with and without the shipped plugins.

use crate::harness::Cluster;
use crate::plugins::component;
use pointsman::{Config, Producer};
use std::time::Duration;

/// How long a close may take before what is left counts as stuck.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// A producer without plugins. `settings` are lines of its `[producer]` table.
pub(crate) fn plain(cluster: &Cluster, settings: &str) -> Producer {
    let text = format!("[producer]\nbootstrap.servers = {:?}\n{settings}", cluster.bootstrap());
    Producer::start(Config::from_toml(&text).expect("a configuration")).expect("a producer")
}

/// A producer whose interceptor and partitioner are the shipped plugins: all keys over six partitions.
pub(crate) fn routed(cluster: &Cluster, settings: &str) -> Producer {
    let text = format!(
        r#"
        [producer]
        bootstrap.servers = "{}"
        interceptor.classes = ["wasm:trace-context"]
        partitioner.class = "wasm:region-router"
        {settings}
        [plugins.trace-context]
        component = {:?}
        [plugins.region-router]
        component = {:?}
        [plugins.region-router.settings]
        source = "key-prefix"
        separator = "-"
        regions.key = "0-5"
        "#,
        cluster.bootstrap(),
        component("trace_context"),
        component("region_router"),
    );
    Producer::start(Config::from_toml(&text).expect("a configuration")).expect("a producer")
}
