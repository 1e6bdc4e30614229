//! The guest of the plugin tests in a producer's chain.

use super::components::build;
use super::{Broker, PATIENCE};
use pointsman::plugin::{FailureKind, Hook};
use pointsman::wasm::MetricValue;
use pointsman::{Config, Delivery, ProduceError, Producer, Record};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// The component that has every role and every vice.
pub(crate) fn guest() -> PathBuf {
    built().join("guest.wasm")
}

/// All roles, done plainly.
pub(crate) fn plain() -> PathBuf {
    built().join("examples/plain.wasm")
}

fn built() -> PathBuf {
    static BUILT: LazyLock<PathBuf> =
        LazyLock::new(|| build("tests/plugins/guests", &["--lib", "--examples"], "guests"));
    BUILT.clone()
}

/// A producer's configuration with guests in it, line by line.
pub(crate) struct Guests(String);

impl Guests {
    /// Lines of `[producer]`, such as `partitioner.class = "wasm:guest"`.
    pub(crate) fn used(lines: &str) -> Guests {
        Guests(lines.to_owned())
    }

    /// A plugin of the guest's component, with lines of its table, and its settings.
    pub(crate) fn plugin(self, name: &str, table: &str, settings: &[(&str, &str)]) -> Guests {
        self.component(name, &guest(), table, settings)
    }

    /// As [`Guests::plugin`], of another component.
    pub(crate) fn component(mut self, name: &str, path: &Path, table: &str, settings: &[(&str, &str)]) -> Guests {
        self.0 += &format!("\n[plugins.{name}]\ncomponent = {path:?}\n{table}\n[plugins.{name}.settings]\n");
        for (key, value) in settings {
            self.0 += &format!("{key} = {value:?}\n");
        }
        self
    }

    pub(crate) fn start(&self, broker: &Broker) -> Producer {
        Producer::start(self.config(broker)).unwrap_or_else(|error| panic!("{error}"))
    }

    pub(crate) fn config(&self, broker: &Broker) -> Config {
        Config::from_toml(&self.text(broker)).unwrap_or_else(|error| panic!("{error}"))
    }

    /// As a file has it.
    pub(crate) fn text(&self, broker: &Broker) -> String {
        let servers = broker.broker.bootstrap_servers();
        format!("[producer]\nbootstrap.servers = {servers:?}\nlinger.ms = 0\n{}", self.0)
    }
}

/// What becomes of a record.
pub(crate) fn fate(producer: &Producer, record: &Record<'_>) -> Result<pointsman::RecordMetadata, ProduceError> {
    producer.send_blocking(record).unwrap_or_else(|error| panic!("it is accepted: {error}")).wait()
}

/// The plugin's failure in an error, whatever the policy made of it.
pub(crate) fn failure(error: &ProduceError) -> (&str, Hook, FailureKind, &str) {
    match error {
        ProduceError::Plugin { plugin, hook, kind, cause, .. } => (plugin, *hook, *kind, cause),
        ProduceError::Dropped { failure: Some(failure), .. }
        | ProduceError::DeadLettered { failure, .. }
        | ProduceError::DeadLetterFailed { failure, .. } => self::failure(failure),
        other => panic!("no plugin's failure: {other}"),
    }
}

/// A plugin's own counter, summed over its labels, or with one label only.
pub(crate) fn counted(producer: &Producer, plugin: &str, name: &str, label: Option<(&str, &str)>) -> f64 {
    let metrics = producer.plugin_metrics();
    let matches = |labels: &[(String, String)]| {
        label.is_none_or(|(name, value)| labels.iter().any(|(of, is)| of == name && is == value))
    };
    let series = metrics[plugin].series.iter().filter(|sample| sample.name == name && matches(&sample.labels));
    series
        .map(|sample| match sample.value {
            MetricValue::Counter(count) => count,
            other => panic!("{other:?}"),
        })
        .sum()
}

/// Every delivery's outcome, in order.
pub(crate) fn outcomes(deliveries: Vec<Delivery>) -> Vec<Result<pointsman::RecordMetadata, ProduceError>> {
    deliveries.into_iter().map(Delivery::wait).collect()
}

pub(crate) fn close(producer: &Producer) {
    producer.close_blocking(PATIENCE).unwrap_or_else(|error| panic!("{error}"));
}

/// Header names and values of the records of a topic, record by record, with key and value.
pub(crate) fn read(broker: &Broker, topic: &str) -> Vec<Read> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let records = broker.broker.all_records(topic).unwrap_or_default();
    records
        .iter()
        .map(|record| Read {
            partition: record.partition,
            offset: record.offset,
            key: record.key.as_ref().map(|key| text(key)),
            value: record.value.as_ref().map(|value| text(value)),
            headers: record
                .headers
                .iter()
                .map(|(name, value)| (name.clone(), value.as_ref().map(|value| text(value)).unwrap_or_default()))
                .collect(),
        })
        .collect()
}

/// A record as it stands in the log.
#[derive(Debug, PartialEq)]
pub(crate) struct Read {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) key: Option<String>,
    pub(crate) value: Option<String>,
    pub(crate) headers: Vec<(String, String)>,
}

impl Read {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(of, _)| of == name).map(|(_, value)| value.as_str())
    }
}
