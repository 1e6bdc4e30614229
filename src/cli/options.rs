//! Options that several subcommands share.

use super::Usage;
use super::format::{self, Format};
use super::input::Source;
use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use pointsman::config::Config;
use std::path::PathBuf;

/// Which configuration.
#[derive(Args, Clone, Debug)]
pub(crate) struct ConfigOptions {
    /// Configuration file: TOML, or a Java-style .properties file
    #[arg(short, long, value_name = "FILE", required_unless_present = "bootstrap")]
    pub(crate) config: Option<PathBuf>,

    /// Brokers, instead of or over the file's bootstrap.servers
    #[arg(short, long, value_name = "HOST:PORT,…")]
    pub(crate) bootstrap: Option<String>,

    /// Override a key of the file, such as linger.ms=20 or plugins.NAME.settings.KEY=VALUE; may be repeated
    #[arg(short = 'X', value_name = "KEY=VALUE", value_parser = key_value)]
    pub(crate) overrides: Vec<(String, String)>,
}

impl ConfigOptions {
    /// Reads it. Everything that is wrong comes at once.
    pub(crate) fn load(&self) -> Result<Config> {
        let overrides: Vec<(String, String)> = (self.bootstrap.iter())
            .map(|servers| ("bootstrap.servers".to_owned(), servers.clone()))
            .chain(self.overrides.iter().cloned())
            .collect();
        match &self.config {
            Some(file) => Ok(Config::from_file_with(file, &overrides)?),
            None => {
                let set = |builder: pointsman::config::Builder, (key, value): &(String, String)| {
                    builder.set(key.as_str(), value)
                };
                Ok(overrides.iter().fold(Config::builder(), set).build()?)
            }
        }
    }

    /// How messages name where the brokers' addresses come from.
    pub(crate) fn name(&self) -> String {
        match &self.config {
            Some(file) => file.display().to_string(),
            None => "the command line".to_owned(),
        }
    }
}

/// Which records.
#[derive(Args, Clone, Debug)]
pub(crate) struct RecordOptions {
    /// Topic; with --format jsonl a line may name another, and where every line does this may be left out
    #[arg(short, long, value_name = "TOPIC")]
    pub(crate) topic: Option<String>,

    /// How lines are read
    #[arg(long, value_enum, default_value_t = FormatName::Lines)]
    format: FormatName,

    /// With --format lines: what stands between key and value, such as ":" or "\t"
    #[arg(short = 'K', long = "key-separator", value_name = "SEP", value_parser = key_separator)]
    separator: Option<Separator>,

    /// With --format json: the field that becomes the key, such as "customer.id"
    #[arg(long, value_name = "PATH", value_parser = key_field)]
    key_field: Option<FieldPath>,

    /// Files; none or - is standard input
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum FormatName {
    /// The line is the value; with -K it is key and value
    Lines,
    /// Each line is a JSON object with fields such as key, value, headers
    Jsonl,
    /// Each line is JSON and as a whole the value
    Json,
}

#[derive(Clone, Debug)]
struct Separator(Vec<u8>);

#[derive(Clone, Debug)]
struct FieldPath(Vec<String>);

impl RecordOptions {
    /// How its lines are read.
    pub(crate) fn format(&self) -> Result<Format> {
        let usage = |text: &str| Err(Usage(text.to_owned()).into());
        if self.separator.is_some() && self.format != FormatName::Lines {
            return usage("-K is for --format lines; with --format json the key is a field: --key-field");
        }
        if self.key_field.is_some() && self.format != FormatName::Json {
            return usage("--key-field is for --format json; with --format jsonl the key is the field \"key\"");
        }
        if self.topic.is_none() && self.format != FormatName::Jsonl {
            return usage("-t TOPIC is missing: where shall the records go?");
        }
        Ok(match self.format {
            FormatName::Lines => {
                Format::Lines { separator: self.separator.clone().map(|Separator(separator)| separator) }
            }
            FormatName::Jsonl => Format::Jsonl,
            FormatName::Json => Format::Json { key_field: self.key_field.clone().map(|FieldPath(path)| path) },
        })
    }

    /// Where they come from; all of it can be read as far as is known.
    pub(crate) fn sources(&self) -> Result<Vec<Source>> {
        let mut sources: Vec<Source> = self.files.iter().map(|file| Source::named(file)).collect();
        if sources.is_empty() {
            sources.push(Source::Stdin);
        }
        for source in &sources {
            source.check().map_err(|error| Usage(format!("{}: cannot be read: {error}", source.name())))?;
        }
        Ok(sources)
    }
}

fn key_separator(text: &str) -> Result<Separator, String> {
    format::separator(text).map(Separator)
}

fn key_field(text: &str) -> Result<FieldPath, String> {
    format::field_path(text).map(FieldPath)
}

/// Reads `key=value`.
pub(crate) fn key_value(text: &str) -> Result<(String, String)> {
    let (key, value) = text.split_once('=').context("KEY=VALUE is expected, such as linger.ms=20")?;
    if key.trim().is_empty() {
        return Err(Usage("the key before = is missing".to_owned()).into());
    }
    Ok((key.trim().to_owned(), value.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::key_value;

    #[test]
    fn overrides() {
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(key_value("a=b").unwrap(), pair("a", "b"));
        assert_eq!(key_value(" a.b = c=d ").unwrap(), pair("a.b", "c=d"));
        assert_eq!(key_value("a=").unwrap(), pair("a", ""));
        assert!(key_value("a").is_err());
        assert!(key_value("=b").is_err());
    }
}
