//! The `host` interface of the contract. Nothing here waits.

use super::bindings::pointsman::plugin::{host, types};
use super::metrics::MetricKind;
use super::state::State;
use std::time::{SystemTime, UNIX_EPOCH};
use tracing::Level;

impl host::Host for State {
    fn log(&mut self, level: host::Level, message: String) {
        let level = match level {
            host::Level::Trace => Level::TRACE,
            host::Level::Debug => Level::DEBUG,
            host::Level::Info => Level::INFO,
            host::Level::Warn => Level::WARN,
            host::Level::Error => Level::ERROR,
        };
        self.output.log(level, &message);
    }

    fn now(&mut self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    }

    fn random(&mut self) -> wasmtime::Result<u64> {
        self.random.number()
    }

    fn metric(&mut self, kind: host::Kind, name: String, labels: Vec<(String, String)>) -> u32 {
        let kind = match kind {
            host::Kind::Counter => MetricKind::Counter,
            host::Kind::Gauge => MetricKind::Gauge,
            host::Kind::Histogram => MetricKind::Histogram,
        };
        self.identity.metrics.number(kind, name, labels)
    }

    fn observe(&mut self, points: Vec<(u32, f64)>) {
        State::observe(self, points);
    }

    fn plugin_name(&mut self) -> String {
        self.identity.plugin_name.clone()
    }

    fn client_id(&mut self) -> String {
        self.identity.client_id.clone()
    }

    fn lane(&mut self) -> u32 {
        self.lane
    }
}

impl types::Host for State {}
