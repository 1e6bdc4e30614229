//! Which plugins a command is about, and the records to try them with.

use crate::cli::Usage;
use crate::cli::format::Format;
use crate::cli::input::Source;
use crate::cli::options::key_value;
use crate::cli::sample::{Sample, Sampled, with_record};
use crate::cli::terminal::say;
use anyhow::{Result, anyhow};
use clap::Args;
use pointsman::config::Config;
use pointsman::plugin::{Consistency, PluginFailure, Records, Side, Topology, TopologyBroker};
use pointsman::wasm::{Engine, EngineOptions, Limits, LoadError, Plugin, PluginOptions, Use};
use pointsman::{Header, Record, plugin_options};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Which plugins, and how they are set up.
#[derive(Args, Debug)]
pub(super) struct ComponentOptions {
    /// The component, in each role that it has; a serializer for values
    #[arg(value_name = "FILE.wasm", required_unless_present = "config")]
    file: Option<PathBuf>,

    /// A setting of the component, such as regions.CA=0; may be repeated
    #[arg(short = 'S', long = "setting", value_name = "KEY=VALUE", value_parser = key_value, requires = "file")]
    settings: Vec<(String, String)>,

    /// Every plugin that this configuration uses, as it uses it
    #[arg(short, long, value_name = "FILE", conflicts_with = "file")]
    config: Option<PathBuf>,

    /// Override a key of the configuration, such as plugins.NAME.component=FILE; may be repeated
    #[arg(short = 'X', value_name = "KEY=VALUE", value_parser = key_value, requires = "config")]
    overrides: Vec<(String, String)>,

    /// Records to try it with, one JSON object a line, as in produce --format jsonl; 1,024 at most
    #[arg(long, value_name = "FILE.jsonl")]
    records: Option<PathBuf>,

    /// Topic of records that name none
    #[arg(short, long, value_name = "TOPIC", default_value = "orders")]
    pub(super) topic: String,
}

/// A plugin to try, and in which places of a chain.
pub(super) struct Candidate {
    pub(super) plugin: Plugin,
    pub(super) uses: Vec<Use>,
    pub(super) limits: Limits,
}

impl ComponentOptions {
    /// Loads and starts them.
    pub(super) fn load(&self) -> Result<Vec<Candidate>> {
        match (&self.file, &self.config) {
            (Some(file), _) => {
                let plugin = load_alone(file, self.settings.clone())?;
                let roles = plugin.roles();
                let uses = [
                    (roles.interceptor, Use::Interceptor),
                    (roles.serializer, Use::Serializer(Side::Value)),
                    (roles.partitioner, Use::Partitioner),
                ];
                let uses: Vec<Use> = uses.into_iter().filter(|(there, _)| *there).map(|(_, used)| used).collect();
                plugin.try_uses(&uses)?;
                Ok(vec![Candidate { plugin, uses, limits: Limits::default() }])
            }
            (None, Some(config)) => {
                let read = Config::from_file_with(config, &self.overrides)?;
                let candidates = configured(&read)?;
                if candidates.is_empty() {
                    return Err(Usage(format!("{}: uses no plugin", config.display())).into());
                }
                Ok(candidates)
            }
            (None, None) => Err(Usage("FILE.wasm or -c FILE is missing".to_owned()).into()),
        }
    }

    /// The records of the file, at least one; without a file orders.
    pub(super) fn records(&self) -> Result<Records> {
        let Some(file) = &self.records else { return Ok(orders(&self.topic)) };
        let mut sample = Sample::new(Format::Jsonl, vec![Source::named(file)], RECORD_BYTES_MAX);
        let mut records = Records::default();
        let bad = |what: String| anyhow!(Usage(what));
        while let Some(Sampled { place, line }) = sample.next().map_err(|error| bad(format!("{error:#}")))? {
            if records.len() == RECORDS_MAX {
                say(format!("note: only the first {RECORDS_MAX} records of {} are used", file.display()));
                break;
            }
            let line = line.map_err(|what| bad(format!("{place}: {what}")))?;
            let topic = line.topic.as_deref().unwrap_or(&self.topic);
            with_record(&line, topic, |record| push(&mut records, record));
        }
        if records.is_empty() {
            return Err(bad(format!("{}: there is no record in it", file.display())));
        }
        Ok(records)
    }
}

/// Adds a record.
pub(super) fn push(records: &mut Records, record: &Record<'_>) {
    let topic = match records.topics.iter().find(|known| &***known == record.topic) {
        Some(known) => Arc::clone(known),
        None => record.topic.into(),
    };
    let headers = record.headers.iter().map(|header| (header.name.as_bytes(), header.value));
    let timestamp = record.timestamp.unwrap_or(TIMESTAMP);
    records.push(&topic, record.partition, timestamp, record.key, record.value, headers);
}

/// Has one of some records again as it was sent.
pub(super) fn with_record_of<T>(records: &Records, at: usize, with: impl FnOnce(&Record<'_>) -> T) -> T {
    let one = at..at + 1;
    let mut headers = Vec::new();
    // Where none has any, nothing is counted.
    if !records.headers.counts.is_empty() {
        let each = records.headers.as_ref().range(one.clone()).each();
        let name = |bytes| std::str::from_utf8(bytes).expect("it was a name");
        headers.extend(each.map(|(bytes, value)| Header { name: name(bytes), value }));
    }
    with(&Record {
        partition: Some(records.partitions[at]).filter(|partition| *partition >= 0),
        timestamp: Some(records.timestamps[at]),
        key: records.keys.as_ref().range(one.clone()).iter().next().flatten(),
        value: records.values.as_ref().range(one).iter().next().flatten(),
        headers: &headers,
        ..Record::to(&records.topics[records.topic_of[at] as usize])
    })
}

/// So many of some records, from their beginning as often as it takes; or as many as go into a call.
pub(super) fn repeated(sample: &Records, count: usize) -> Records {
    let mut records = Records::default();
    let bytes = sample.staged_bytes() / sample.len().max(1);
    let most = (BYTES_MAX / bytes.max(1)).max(1);
    for at in (0..sample.len()).cycle().take(count.min(most)) {
        with_record_of(sample, at, |record| push(&mut records, record));
    }
    records
}

/// What a partitioner is told of a topic: three brokers lead it, if it asked for them.
pub(super) fn topology(topic: &str, partitions: u32, consistency: Consistency) -> Topology {
    let mut told = Topology { topic: topic.to_owned(), partitions, ..Topology::default() };
    if consistency != Consistency::Keyed {
        told.leaders = (0..partitions).map(|partition| (partition % 3) as i32).collect();
        let broker = |id| TopologyBroker { id, rack: Some(format!("rack-{id}")) };
        told.brokers = (0..partitions.min(3) as i32).map(broker).collect();
    }
    told
}

/// A failure, as a user reads it.
pub(super) fn words(failure: &PluginFailure) -> String {
    format!("{}: {}", failure.kind.words(), failure.cause)
}

/// As many as a call may have, each with a key and a JSON value of about 100 bytes.
fn orders(topic: &str) -> Records {
    let mut records = Records::default();
    for number in 0..RECORDS_MAX {
        let state = ["CA", "NV", "OR", "TX", "NY", "WA"][number % 6];
        let value = format!(
            r#"{{"id":{number},"state":"{state}","email":"ann{number:04}@example.com","amount":{}.25,"note":"leave at door"}}"#,
            number * 7 % 1000
        );
        push(&mut records, &Record::to(topic).key(&format!("{state}-{number:06}")).value(&value));
    }
    records
}

fn configured(config: &Config) -> Result<Vec<Candidate>> {
    let engine = Engine::new(EngineOptions::default())?;
    let client_id = config.producer.client_id.as_deref().unwrap_or_default();
    let candidate = |options: PluginOptions| {
        let (uses, limits) = (options.uses.clone(), options.limits);
        Ok(Candidate { plugin: load(&engine, options)?, uses, limits })
    };
    plugin_options(config, client_id).into_iter().map(candidate).collect()
}

/// Loads a component that no configuration names. It is not started: which settings it needs may not be known.
pub(super) fn load_alone(file: &Path, settings: Vec<(String, String)>) -> Result<Plugin> {
    let options = PluginOptions {
        name: name(file),
        path: file.to_owned(),
        sha256: None,
        settings,
        limits: Limits::default(),
        client_id: String::new(),
        uses: Vec::new(),
    };
    load(&Engine::new(EngineOptions::default())?, options)
}

/// The name that a component's file suggests.
pub(super) fn name(file: &Path) -> String {
    file.file_stem().unwrap_or_default().to_string_lossy().replace('_', "-")
}

fn load(engine: &Engine, options: PluginOptions) -> Result<Plugin> {
    Plugin::load(engine, options).map_err(|error| match error {
        LoadError::Read { .. } => anyhow!(Usage(error.to_string())),
        error => error.into(),
    })
}

/// Most records of a lane's call, and so enough to try a plugin with.
pub(super) const RECORDS_MAX: usize = 1024;
/// Most bytes of one.
const BYTES_MAX: usize = 256 * 1024;
/// Kafka's default for a request.
const RECORD_BYTES_MAX: usize = 1 << 20;
/// Some time in 2023, always the same.
const TIMESTAMP: i64 = 1_700_000_000_000;
