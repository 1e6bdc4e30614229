//! Options that several subcommands share.

use super::Usage;
use anyhow::{Context, Result};
use clap::Args;
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
