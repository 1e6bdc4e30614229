//! `pointsman plugin check`: whether a plugin keeps the contract, also with what it does not expect.

mod trial;

use super::component::{Candidate, ComponentOptions};
use crate::cli::EXIT_FAILED;
use crate::cli::terminal::print;
use anyhow::Result;
use clap::Args;
use std::fmt::Write;
use std::process::ExitCode;
use trial::Trial;

/// Try a plugin with odd records and full calls, and say what it makes of them
#[derive(Args, Debug)]
#[command(override_usage = "pointsman plugin check [OPTIONS] <FILE.wasm | --config <FILE>>", after_help = AFTER_HELP)]
pub(super) struct Check {
    #[command(flatten)]
    component: ComponentOptions,
}

/// What was found out.
pub(super) enum Finding {
    /// It is as it should be.
    Good(String),
    /// It may be meant so.
    Note(String),
    /// It would fail records, or place them by chance.
    Bad(String),
}

impl Check {
    pub(super) fn run(&self) -> Result<ExitCode> {
        let usual = self.component.records()?;
        let mut is_good = true;
        for candidate in &self.component.load()? {
            let Candidate { plugin, uses, limits } = candidate;
            let mut text = format!("{}: {}\n", plugin.name(), plugin.roles());
            let topic = &self.component.topic;
            let trial = |used| Trial { plugin, used, limits: *limits, usual: &usual, topic };
            for &used in uses {
                for finding in trial(used).findings() {
                    let (word, what) = match finding {
                        Finding::Good(what) => ("ok", what),
                        Finding::Note(what) => ("note", what),
                        Finding::Bad(what) => {
                            is_good = false;
                            ("FAILED", what)
                        }
                    };
                    writeln!(text, "  {word:<7} {what}")?;
                }
            }
            print(&text)?;
        }
        Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::from(EXIT_FAILED) })
    }
}

const AFTER_HELP: &str = "\
Examples:
  pointsman plugin check router.wasm -S source=key-prefix -S separator=- -S regions.CA=0
  pointsman plugin check -c orders.toml --records sample.jsonl

Each hook gets records without key or value, empty ones, bytes that are no text, deep JSON, a megabyte, a \
hundred headers, alone and together; and 1,024 records at a time, for a while. To refuse them is a plugin's \
right. To trap, to run out of time or memory, to answer other than the contract says, or to place a key by \
chance is not.
Exit status: 0 nothing failed, 1 it does not start or something failed, 2 the command line, the records or \
the configuration make no sense";
