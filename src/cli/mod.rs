//! The command line: what is asked for, and the exit status it ends with.

mod config;
mod explain;
mod format;
mod input;
mod nearest;
mod options;
mod perf;
mod plugin;
mod produce;
mod sample;
mod servers;
mod signals;
mod stopwatch;
mod terminal;
mod topic;
mod topology;
mod transactions;

#[cfg(feature = "embedded-broker")]
mod demo;

use clap::{ArgAction, CommandFactory, FromArgMatches, Parser, Subcommand};
use std::process::ExitCode;

/// A Kafka producer whose partitioner, serializers and interceptors are sandboxed WebAssembly components
#[derive(Debug, Parser)]
#[command(name = "pointsman", version, max_term_width = 100, after_help = AFTER_HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,

    /// Log more: what happens (-v), how (-vv), everything (-vvv); POINTSMAN_LOG=FILTER says it in detail
    #[arg(short, long, action = ArgAction::Count, global = true)]
    verbose: u8,
}

#[derive(Debug, Subcommand)]
enum Command {
    Produce(produce::Produce),
    Explain(explain::Explain),
    Config(config::ConfigCommand),
    Topic(topic::TopicCommand),
    Perf(perf::Perf),
    Plugin(plugin::PluginCommand),
    #[cfg(feature = "embedded-broker")]
    Demo(demo::Demo),
}

/// The command line, or a value on it, makes no sense.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Usage(String);

/// Runs the command that the process was started with.
pub(crate) fn main() -> ExitCode {
    let matched = Cli::command().try_get_matches().and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = match matched {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version come here too, and are no errors.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(EXIT_USAGE));
        }
    };
    terminal::log(cli.verbose);
    let result = match &cli.command {
        Command::Produce(command) => command.run(),
        Command::Explain(command) => command.run(),
        Command::Config(command) => command.run(),
        Command::Topic(command) => command.run(),
        Command::Perf(command) => command.run(),
        Command::Plugin(command) => command.run(),
        #[cfg(feature = "embedded-broker")]
        Command::Demo(command) => command.run(),
    };
    result.unwrap_or_else(|error| {
        terminal::say(format!("error: {}", words(&error)));
        let is_usage = error.chain().any(|cause| cause.is::<Usage>() || cause.is::<pointsman::config::Error>());
        ExitCode::from(if is_usage { EXIT_USAGE } else { EXIT_FAILED })
    })
}

/// An error with its causes. Some errors have the words of their cause in their own: those are said once.
fn words(error: &anyhow::Error) -> String {
    error.chain().skip(1).fold(error.to_string(), |text, cause| {
        let cause = cause.to_string();
        if text.contains(&cause) { text } else { format!("{text}: {cause}") }
    })
}

/// Something was not done.
const EXIT_FAILED: u8 = 1;
/// The command line or the configuration makes no sense.
const EXIT_USAGE: u8 = 2;

const AFTER_HELP: &str = "\
Examples:
  pointsman produce -c pointsman.toml -t orders orders.csv
  pointsman produce -b localhost:9092 -t orders --format json --key-field customer.id < orders.jsonl
  pointsman config check -c pointsman.toml
  pointsman plugin check -c pointsman.toml
  pointsman plugin build plugins/examples/go

Each subcommand's own help has more: pointsman produce --help";

#[cfg(test)]
mod tests {
    use super::Cli;
    use clap::CommandFactory;

    #[test]
    fn causes_are_said_once() {
        let error = anyhow::anyhow!("refused").context("b: refused").context("a");
        assert_eq!(super::words(&error), "a: b: refused");
    }

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
