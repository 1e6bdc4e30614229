//! `pointsman plugin`: making components, and what their authors and operators ask before they run.

mod adapter;
mod bench;
mod build;
mod check;
mod component;
mod diff;
mod inspect;

use anyhow::Result;
use clap::{Args, Subcommand};
use std::process::ExitCode;

/// Make a plugin, look into it, try it, measure it, compare it with another
#[derive(Args, Debug)]
pub(super) struct PluginCommand {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Build(build::Build),
    Inspect(inspect::Inspect),
    Check(check::Check),
    Bench(bench::Bench),
    Diff(diff::Diff),
}

impl PluginCommand {
    pub(super) fn run(&self) -> Result<ExitCode> {
        match &self.command {
            Command::Build(command) => command.run(),
            Command::Inspect(command) => command.run(),
            Command::Check(command) => command.run(),
            Command::Bench(command) => command.run(),
            Command::Diff(command) => command.run(),
        }
    }
}
