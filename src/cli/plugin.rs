//! `pointsman plugin`: what the author or the operator of a plugin asks before it runs.

mod bench;
mod check;
mod component;
mod diff;
mod inspect;

use anyhow::Result;
use clap::{Args, Subcommand};
use std::process::ExitCode;

/// Look into a plugin, try it, measure it, compare it with another
#[derive(Args, Debug)]
pub(super) struct PluginCommand {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Inspect(inspect::Inspect),
    Check(check::Check),
    Bench(bench::Bench),
    Diff(diff::Diff),
}

impl PluginCommand {
    pub(super) fn run(&self) -> Result<ExitCode> {
        match &self.command {
            Command::Inspect(command) => command.run(),
            Command::Check(command) => command.run(),
            Command::Bench(command) => command.run(),
            Command::Diff(command) => command.run(),
        }
    }
}
