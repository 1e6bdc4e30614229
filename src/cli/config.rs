//! `pointsman config`: is a configuration right, and what can stand in one.

use super::options::ConfigOptions;
use super::terminal::{count, print};
use anyhow::Result;
use clap::{Args, Subcommand};
use pointsman::Producer;
use pointsman::config::{Importance, Key, Status, keys, plugin_keys};
use std::fmt::Write;
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

/// List every key with its default and meaning
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  pointsman config list\n  pointsman config list timeout\n  \
                        pointsman config list --all sasl")]
struct List {
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
        let mut uses: Vec<String> = config
            .producer
            .plugins_in_use()
            .map(|(used_as, name)| format!("{} = wasm:{name}", used_as.key()))
            .collect();
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
        if hidden > 0 {
            writeln!(text, "{} more with --all", count(hidden as u64, "key"))?;
        } else if text.is_empty() {
            writeln!(text, "no key has such a name")?;
        }
        print(&text)?;
        Ok(ExitCode::SUCCESS)
    }

    fn is_named(&self, key: &Key) -> bool {
        self.filter.as_ref().is_none_or(|filter| key.name.contains(filter.as_str()))
    }
}

/// Whether a first look at the list should show a key.
fn is_everyday(key: &Key) -> bool {
    key.status == Status::Implemented && (key.importance != Importance::Low || EVERYDAY.contains(&key.name))
}

fn describe(text: &mut String, key: &Key) -> std::fmt::Result {
    let default = match key.default {
        _ if key.is_required() => "required".to_owned(),
        None | Some("") => "unset".to_owned(),
        Some(default) => default.to_owned(),
    };
    writeln!(text, "  {} = {default}", key.name)?;
    writeln!(text, "      {}", key.doc)?;
    writeln!(text, "      {}", key.kind)?;
    if key.status != Status::Implemented {
        writeln!(text, "      {}", key.status)?;
    }
    Ok(())
}

/// Of low importance to Kafka, and still what people look for.
const EVERYDAY: &[&str] =
    &["acks", "enable.idempotence", "interceptor.classes", "max.in.flight.requests.per.connection"];
