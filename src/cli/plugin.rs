//! `pointsman plugin`: making components, and what they are before they run.

mod adapter;
mod build;
mod inspect;

use anyhow::Result;
use clap::{Args, Subcommand};
use std::process::ExitCode;

/// Make a plugin, and look into one
#[derive(Args, Debug)]
pub(super) struct PluginCommand {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Build(build::Build),
    Inspect(inspect::Inspect),
}

impl PluginCommand {
    pub(super) fn run(&self) -> Result<ExitCode> {
        match &self.command {
            Command::Build(command) => command.run(),
            Command::Inspect(command) => command.run(),
        }
    }
}
