//! Configuration: Kafka's own keys and a few more, read once into types that can only hold what is valid.
//!
//! ```
//! use pointsman::config::{Acks, Config};
//!
//! let config = Config::from_toml(
//!     r#"
//!     [producer]
//!     bootstrap.servers = "127.0.0.1:9092"
//!     acks = "all"
//!     partitioner.class = "wasm:region-router"
//!
//!     [plugins.region-router]
//!     component = "plugins/region-router.wasm"
//!     [plugins.region-router.settings]
//!     regions.bj = "0-1"
//!     "#,
//! )?;
//! assert_eq!(config.producer.acks, Acks::All);
//! assert_eq!(config.plugins["region-router"].settings, [("regions.bj".into(), "0-1".into())]);
//! # Ok::<(), pointsman::config::Error>(())
//! ```
//!
//! The same as a properties file, where a plugin's keys begin with `plugins.NAME.`:
//!
//! ```properties
//! bootstrap.servers=127.0.0.1:9092
//! partitioner.class=wasm:region-router
//! plugins.region-router.component=plugins/region-router.wasm
//! plugins.region-router.settings.regions.bj=0-1
//! ```
//!
//! Topics may have chains of their own, by name or by the beginning of their names: `[topics."orders.*"]` with
//! `interceptor.classes`, `key.serializer`, `value.serializer` and `partitioner.class` (as properties,
//! `topics.orders.*.partitioner.class=…`). What such a table leaves out is as in `[producer]`; a topic's own name counts
//! before the longest beginning that it fits.
//!
//! Settings come, each overriding the ones before, from Kafka's defaults, a preset, the file, the overrides.
//!
//! | preset | sets |
//! |---|---|
//! | `basic` | nothing: Kafka's defaults |
//! | `reliable` | `acks=all`, `enable.idempotence=true`, `max.in.flight.requests.per.connection=5` as if written, so that a key that contradicts them is an error; `delivery.timeout.ms=300000` |
//! | `throughput` | `batch.size=262144`, `linger.ms=20`, `compression.type=lz4`, `buffer.memory=134217728` |
//!
//! Everything that is wrong comes back in one [`Error`]; what is merely worth knowing is in [`Config::notices`].

mod check;
mod entry;
mod error;
mod jaas;
mod kerberos;
mod keys;
mod plugin;
mod preset;
mod producer;
mod properties;
mod providers;
mod resolve;
mod security;
mod setting;
mod suggest;
mod toml;
mod topics;
mod value;

pub use error::{Error, Place, Problem, ProblemKind, Source};
pub use keys::{Importance, Key, Kind, Status, keys, plugin_keys};
pub use plugin::{DeadLetter, OnError, PluginConfig};
pub use producer::{
    Acks, CompressionType, DnsLookup, HostPort, InterceptorClass, MetadataRecoveryStrategy, PartitionerClass,
    PluginUse, ProducerConfig, SerializerClass,
};
pub use setting::Setting;
pub use topics::{ChainConfig, TopicConfig, TopicPattern, topic_keys};

use entry::Entry;
use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// A valid configuration.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Config {
    /// The producer's own settings.
    pub producer: ProducerConfig,
    /// The chains that some topics have for themselves, the most specific pattern first.
    pub topics: Vec<TopicConfig>,
    /// The plugins by name. All that the chains name are here; others may be.
    pub plugins: BTreeMap<String, PluginConfig>,
    /// What was set under `[producer]`, by key, as it was set; a key that is not here has its default.
    pub settings: BTreeMap<&'static str, Setting>,
    /// What is worth telling the user: keys without effect, values that were adjusted.
    pub notices: Vec<String>,
    /// The file that it was read from; none if it was made otherwise. With `plugin.reload` that is what counts: what it says
    /// of plugins replaces what was changed here since.
    pub file: Option<ConfigFile>,
}

impl Config {
    /// Every use of a plugin: the key that names it, as it would stand in a properties file, and the plugin's name. The
    /// chain of all topics first, then those of some, each in the order of [`ChainConfig::plugins_in_use`].
    pub fn plugins_in_use(&self) -> Vec<(String, String)> {
        let common = self.producer.chain();
        let mut uses: Vec<_> =
            common.plugins_in_use().map(|(used_as, name)| (used_as.key().to_owned(), name.to_owned())).collect();
        for topic in &self.topics {
            let own = topic.chain.plugins_in_use().filter(|(used_as, _)| topic.settings.contains_key(used_as.key()));
            uses.extend(own.map(|(used_as, name)| (topic.pattern.key(used_as.key()), name.to_owned())));
        }
        uses
    }

    /// Reads a file: `.toml` as TOML, anything else as Java properties. A name without an extension is read as TOML if
    /// the text has a table header.
    ///
    /// # Errors
    /// Everything that is wrong with the file.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Config, Error> {
        Config::from_file_with(path, &[])
    }

    /// Reads a file and overrides single keys, as the command's `-X key=value` does. A later override wins.
    ///
    /// # Errors
    /// Everything that is wrong with the file and the overrides.
    pub fn from_file_with(path: impl AsRef<Path>, overrides: &[(String, String)]) -> Result<Config, Error> {
        ConfigFile { path: path.as_ref().to_owned(), overrides: overrides.to_vec() }.read()
    }

    /// Reads TOML text. Relative paths in it are relative to the current folder.
    ///
    /// # Errors
    /// Everything that is wrong with the text.
    pub fn from_toml(text: &str) -> Result<Config, Error> {
        from_text(Format::Toml, text, Place::of(Source::Text), &[])
    }

    /// Reads the text of a Java properties file. Relative paths in it are relative to the current folder.
    ///
    /// # Errors
    /// Everything that is wrong with the text.
    pub fn from_properties(text: &str) -> Result<Config, Error> {
        from_text(Format::Properties, text, Place::of(Source::Text), &[])
    }

    /// Starts a configuration in code.
    pub fn builder() -> Builder {
        Builder::default()
    }
}

/// A file with a configuration, and what overrides it.
#[derive(Clone, PartialEq, Eq)]
pub struct ConfigFile {
    /// The file: see [`Config::from_file`].
    pub path: PathBuf,
    /// Keys and values, a later one of the same key wins.
    pub overrides: Vec<(String, String)>,
}

impl ConfigFile {
    /// Reads it as it is now.
    ///
    /// # Errors
    /// Everything that is wrong with the file and the overrides.
    pub fn read(&self) -> Result<Config, Error> {
        let ConfigFile { path, overrides } = self;
        let file = Place::of(Source::File(path.as_path().into()));
        let bytes = read_file(path).map_err(|error| {
            Error::new(vec![Problem::new(ProblemKind::Unreadable, &file, None, format!("cannot be read: {error}"))])
        })?;
        let text = Zeroizing::new(properties::decode(bytes));
        let format = match path.extension() {
            Some(extension) if extension.eq_ignore_ascii_case("toml") => Format::Toml,
            None if text.lines().any(|line| line.trim_start().starts_with('[')) => Format::Toml,
            _ => Format::Properties,
        };
        let config = from_text(format, &text, file, overrides)?;
        Ok(Config { file: Some(self.clone()), ..config })
    }
}

impl fmt::Debug for ConfigFile {
    /// Names only: values may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: Vec<&str> = self.overrides.iter().map(|(key, _)| key.as_str()).collect();
        f.debug_struct("ConfigFile").field("path", &self.path).field("overrides", &keys).finish()
    }
}

/// A configuration made in code, by the same keys as in a file.
///
/// ```
/// use pointsman::config::{Config, PluginConfig};
///
/// let config = Config::builder()
///     .set("bootstrap.servers", "localhost:9092")
///     .set("linger.ms", 20)
///     .set("interceptor.classes", "wasm:trace")
///     .plugin(PluginConfig::new("trace", "plugins/trace-context.wasm"))
///     .build()?;
/// assert_eq!(config.producer.linger.as_millis(), 20);
/// # Ok::<(), pointsman::config::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct Builder {
    entries: Vec<Entry>,
    plugins: Vec<PluginConfig>,
}

impl Builder {
    /// Sets a key, also one of a plugin (`plugins.NAME.timeout.ms`). The last value of a key counts.
    #[must_use]
    pub fn set(mut self, key: impl Into<String>, value: impl fmt::Display) -> Builder {
        self.entries.push(Entry::text(key, value.to_string(), Place::of(Source::Code)));
        self
    }

    /// Adds a plugin, or replaces the one of its name.
    #[must_use]
    pub fn plugin(mut self, plugin: PluginConfig) -> Builder {
        self.plugins.retain(|other| other.name != plugin.name);
        self.plugins.push(plugin);
        self
    }

    /// Checks it all.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub fn build(self) -> Result<Config, Error> {
        resolve::resolve(self.entries, self.plugins, &Place::of(Source::Whole), Vec::new())
    }
}

impl fmt::Debug for Builder {
    /// Names only: values may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: Vec<&str> = self.entries.iter().map(|entry| entry.key.as_str()).collect();
        f.debug_struct("Builder").field("keys", &keys).field("plugins", &self.plugins).finish()
    }
}

#[derive(Clone, Copy)]
enum Format {
    Toml,
    Properties,
}

fn from_text(format: Format, text: &str, file: Place, overrides: &[(String, String)]) -> Result<Config, Error> {
    let mut problems = Vec::new();
    let mut entries = match format {
        Format::Toml => toml::read(text, &file, &mut problems),
        Format::Properties => properties::read(text, &file, &mut problems),
    };
    if entries.is_empty() && !problems.is_empty() {
        // Nothing could be read: what is missing would only distract.
        return Err(Error::new(problems));
    }
    let place = Place::of(Source::Override);
    entries.extend(overrides.iter().map(|(key, value)| Entry::text(key.trim(), value, place.clone())));
    resolve::resolve(entries, Vec::new(), &file, problems)
}

fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    // With room for all of it, so that nothing is left behind by growing: it may be a secret.
    let length = file.metadata().map_or(0, |metadata| metadata.len().min(FILE_BYTES_MAX));
    let mut bytes = Vec::with_capacity(length as usize + 1);
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(io::Error::other("larger than 4 MiB, so surely no configuration"));
    }
    Ok(bytes)
}

const FILE_BYTES_MAX: u64 = 4 << 20;

#[cfg(test)]
mod tests;
