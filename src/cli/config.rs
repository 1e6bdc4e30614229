//! `pointsman config`: is a configuration right, and what can stand in one.

use super::Usage;
use super::options::{ConfigOptions, key_value};
use super::terminal::{count, print};
use anyhow::Result;
use clap::{Args, Subcommand};
use pointsman::Producer;
use pointsman::config::{Config, Importance, Key, PluginConfig, Status, keys, plugin_keys, topic_keys};
use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Check a configuration, or list what can stand in one
#[derive(Args, Debug)]
pub(super) struct ConfigCommand {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Check(Check),
    List(List),
}

/// Say everything that is wrong with a configuration, its plugins included
///
/// Reads the configuration, loads its plugins and configures them, as a producer does when it starts. No broker is
/// asked.
#[derive(Args, Debug)]
#[command(
    after_help = "Example: pointsman config check -c pointsman.toml -X plugins.router.settings.regions.bj=0-1\n\n\
                        Exit status: 0 all is well, 1 a plugin does not start, 2 the configuration makes no sense"
)]
struct Check {
    #[command(flatten)]
    config: ConfigOptions,
}

/// List every key with its default and meaning, or with what a configuration makes of it
///
/// With -c, -b or -X each key stands with its value in that configuration and where it was set. Secrets are not shown,
/// nor are the values of plugins' own settings, which may be some.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  pointsman config list\n  pointsman config list timeout\n  \
                        pointsman config list --all sasl\n  pointsman config list -c pointsman.toml linger")]
struct List {
    /// Configuration file whose values to show
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Brokers, instead of or over the file's bootstrap.servers
    #[arg(short, long, value_name = "HOST:PORT,…")]
    bootstrap: Option<String>,

    /// Override a key of the file
    #[arg(short = 'X', value_name = "KEY=VALUE", value_parser = key_value)]
    overrides: Vec<(String, String)>,

    /// Only keys whose name contains this
    #[arg(value_name = "TEXT")]
    filter: Option<String>,

    /// Also keys of low importance, and those that have no effect here
    #[arg(short, long)]
    all: bool,
}

impl ConfigCommand {
    pub(super) fn run(&self) -> Result<ExitCode> {
        match &self.command {
            Command::Check(command) => command.run(),
            Command::List(command) => command.run(),
        }
    }
}

impl Check {
    fn run(&self) -> Result<ExitCode> {
        let mut config = self.config.load()?;
        let mut text = String::new();
        for notice in config.notices.drain(..) {
            writeln!(text, "note: {notice}")?;
        }
        let mut uses: Vec<String> =
            config.plugins_in_use().into_iter().map(|(key, name)| format!("{key} = wasm:{name}")).collect();
        uses.dedup();
        let servers: Vec<String> = config.producer.bootstrap_servers.iter().map(ToString::to_string).collect();
        // Loads and configures every plugin in use; that it waits for no broker makes it a check.
        let producer = Producer::start(config)?;
        producer.close_blocking(Duration::ZERO).ok();
        for used in &uses {
            writeln!(text, "ok: {used} loads and takes its settings")?;
        }
        let plugins = if uses.is_empty() { "no plugin".to_owned() } else { count(uses.len() as u64, "plugin") };
        writeln!(text, "ok: {} is valid ({}; {plugins})", self.config.name(), servers.join(","))?;
        print(&text)?;
        Ok(ExitCode::SUCCESS)
    }
}

impl List {
    fn run(&self) -> Result<ExitCode> {
        if let Some(config) = self.configured()? {
            return self.list_values(&config);
        }
        let mut text = String::new();
        let mut hidden = 0;
        for (title, keys) in [("[producer]", keys()), ("[plugins.NAME]", plugin_keys())] {
            let named: Vec<&Key> = keys.iter().filter(|key| self.is_named(key)).collect();
            let shown: Vec<&Key> = named.iter().copied().filter(|key| self.all || is_everyday(key)).collect();
            hidden += named.len() - shown.len();
            if shown.is_empty() {
                continue;
            }
            writeln!(text, "{title}")?;
            for key in shown {
                describe(&mut text, key)?;
            }
            writeln!(text)?;
        }
        let of_topics: Vec<&str> = topic_keys().filter(|key| self.is_named(key)).map(|key| key.name).collect();
        if !of_topics.is_empty() {
            writeln!(text, "[topics.\"NAME\"] or [topics.\"BEGINNING*\"], for those topics alone")?;
            writeln!(text, "  {}\n", of_topics.join(", "))?;
        }
        if hidden > 0 {
            writeln!(text, "{} more with --all", count(hidden as u64, "key"))?;
        } else if text.is_empty() {
            writeln!(text, "no key has such a name")?;
        }
        print(&text)?;
        Ok(ExitCode::SUCCESS)
    }

    /// The configuration whose values are asked for, if one is.
    fn configured(&self) -> Result<Option<Config>> {
        let List { config, bootstrap, overrides, .. } = self;
        if config.is_none() && bootstrap.is_none() && overrides.is_empty() {
            return Ok(None);
        }
        if config.is_none() && bootstrap.is_none() {
            return Err(Usage("-X overrides a key of a configuration: -c FILE or -b is missing".to_owned()).into());
        }
        let (config, bootstrap, overrides) = (config.clone(), bootstrap.clone(), overrides.clone());
        ConfigOptions { config, bootstrap, overrides }.load().map(Some)
    }

    /// Every key with its value: those that were set, and those that a first look should show.
    fn list_values(&self, config: &Config) -> Result<ExitCode> {
        let mut text = String::from("[producer]\n");
        let mut hidden = 0;
        for key in keys().iter().filter(|key| self.is_named(key)) {
            match config.settings.get(key.name) {
                Some(setting) => {
                    let value = setting.value.as_deref().unwrap_or("(secret)");
                    writeln!(text, "  {} = {value}    # {}", key.name, setting.place)?;
                }
                None if self.all || is_everyday(key) => writeln!(text, "  {} = {}", key.name, default_of(key))?,
                None => hidden += 1,
            }
        }
        for topic in &config.topics {
            writeln!(text, "[topics.\"{}\"]", topic.pattern)?;
            for (key, setting) in topic.settings.iter().filter(|(key, _)| self.is_named_so(key)) {
                writeln!(text, "  {key} = {}    # {}", setting.value.as_deref().unwrap_or_default(), setting.place)?;
            }
        }
        for plugin in config.plugins.values() {
            describe_plugin(&mut text, plugin)?;
        }
        for notice in &config.notices {
            writeln!(text, "note: {notice}")?;
        }
        if hidden > 0 {
            writeln!(text, "{} more at their defaults, with --all", count(hidden, "key"))?;
        }
        print(&text)?;
        Ok(ExitCode::SUCCESS)
    }

    fn is_named(&self, key: &Key) -> bool {
        self.is_named_so(key.name)
    }

    fn is_named_so(&self, key: &str) -> bool {
        self.filter.as_ref().is_none_or(|filter| key.contains(filter.as_str()))
    }
}

/// Whether a first look at the list should show a key.
fn is_everyday(key: &Key) -> bool {
    key.status == Status::Implemented && (key.importance != Importance::Low || EVERYDAY.contains(&key.name))
}

fn describe(text: &mut String, key: &Key) -> std::fmt::Result {
    writeln!(text, "  {} = {}", key.name, default_of(key))?;
    writeln!(text, "      {}", key.doc)?;
    writeln!(text, "      {}", key.kind)?;
    if key.status != Status::Implemented {
        writeln!(text, "      {}", key.status)?;
    }
    Ok(())
}

fn default_of(key: &Key) -> &'static str {
    match key.default {
        _ if key.is_required() => "required",
        None | Some("") => "unset",
        Some(default) => default,
    }
}

fn describe_plugin(text: &mut String, plugin: &PluginConfig) -> std::fmt::Result {
    writeln!(text, "[plugins.{}]", plugin.name)?;
    writeln!(text, "  component = {}", plugin.component.display())?;
    writeln!(text, "  timeout.ms = {}", plugin.timeout.as_millis())?;
    writeln!(text, "  memory.max = {} bytes", plugin.memory_max)?;
    let names: Vec<&str> = plugin.settings.iter().map(|(name, _)| name.as_str()).collect();
    if !names.is_empty() {
        writeln!(text, "  settings: {} (values not shown)", names.join(", "))?;
    }
    Ok(())
}

/// Of low importance to Kafka, and still what people look for.
const EVERYDAY: &[&str] =
    &["acks", "enable.idempotence", "interceptor.classes", "max.in.flight.requests.per.connection"];
