//! Producers with transactions, and the programs around them: what they call, what they are told, and whether that is true.
//!
//! `calls` makes a producer's calls as the shell does, `program` draws them from a seed, `check` says what is wrong in the
//! end. Each transaction knows its records by their numbers, so that a reader can be asked whose it sees.

mod calls;
mod check;
mod program;
mod scenarios;

pub use program::run;

use crate::load::Planned;
use calls::Running;
use pointsman::TransactionError;
use program::Script;
use std::collections::{BTreeMap, VecDeque};

/// All that producers with transactions do in a run.
#[derive(Default)]
pub struct Plan {
    programs: BTreeMap<usize, Program>,
    pub transactions: Vec<Transaction>,
    /// Whose a record is.
    of_record: BTreeMap<u64, usize>,
}

/// What goes on around one producer.
#[derive(Default)]
pub struct Program {
    /// Records that wait for their topic.
    line: VecDeque<Planned>,
    /// The transaction that is open, or comes to its end.
    open: Option<usize>,
    /// The call that is under way.
    running: Option<Running>,
    /// How the last one ended.
    heard: Option<Result<(), TransactionError>>,
    /// How often a call took long.
    pub late: usize,
    script: Option<Script>,
}

#[derive(Debug)]
pub struct Transaction {
    pub producer: usize,
    /// Those that the core took.
    pub records: Vec<u64>,
    /// A record of it failed, or was refused: it must not be committed.
    pub spoilt: bool,
    pub offsets: Option<SentOffsets>,
    pub stage: Stage,
    /// By which protocol its records left.
    second: Option<bool>,
}

#[derive(Debug)]
pub struct SentOffsets {
    pub offsets: BTreeMap<(String, i32), i64>,
    /// The call said that they are part of it.
    pub taken: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    Open,
    Committing,
    Aborting,
    Committed,
    Aborted,
    /// Nobody was told how it ended.
    Lost {
        committing: bool,
    },
}

impl Plan {
    pub fn is_empty(&self) -> bool {
        self.programs.is_empty()
    }
}
