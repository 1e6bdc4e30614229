//! `pointsman demo`.
use anyhow::Result;
use std::process::ExitCode;

/// Show it at work
#[derive(clap::Args, Debug)]
pub(super) struct Demo {}

impl Demo {
    pub(super) fn run(&self) -> Result<ExitCode> {
        Ok(ExitCode::SUCCESS)
    }
}
