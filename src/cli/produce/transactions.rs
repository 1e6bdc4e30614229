//! The transactions of a run. The thread that reads begins and commits them; what is open when the run ends, whoever ends
//! it, is aborted by the thread that closes.
//!
//! Since a run stops at the first one that is not committed, what is committed is the beginning of the input.

use super::kafka::Producer;
use crate::cli::terminal::{count, say};
use crate::cli::transactions::{commit_patiently, words};
use pointsman::transaction::TransactionError;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Transactions, one after the other.
pub(super) struct Transactions {
    /// Records of each.
    records_max: u64,
    /// How long a commit is waited for.
    patience: Duration,
    state: Mutex<State>,
    committed: Condvar,
}

#[derive(Default)]
struct State {
    phase: Phase,
    /// Of the last one that was begun, from 1.
    number: u64,
    /// Of it.
    records: u64,
    /// Why it cannot be committed, where that is not a record's own failure.
    trouble: Option<String>,
    tally: Tally,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Phase {
    /// None is open.
    #[default]
    Between,
    Open,
    Committing,
    Aborting,
    /// None is begun any more.
    Over,
}

/// How a transaction ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ended {
    /// From 1.
    pub(super) number: u64,
    /// Records of it, those that failed included.
    pub(super) records: u64,
    pub(super) how: How,
    /// What kept it from being committed, where that is not told by its records; what went wrong with its end.
    pub(super) error: Option<String>,
}

/// What became of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    Committed,
    Aborted,
    /// It was to be committed, and nobody said that it is.
    Unknown,
}

impl Ended {
    /// Tells users of one that is not as it was to be.
    pub(super) fn say(&self) {
        let Ended { number, records, how, error } = self;
        let records = count(*records, "record");
        let why = error.as_ref().map(|error| format!(": {error}")).unwrap_or_default();
        match how {
            How::Committed => {}
            How::Aborted => say(format!("transaction {number} ({records}) is aborted{why}")),
            How::Unknown => {
                say(format!("transaction {number} ({records}): it is not known whether it is committed{why}"));
            }
        }
    }
}

/// Why a transaction was not committed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NotCommitted {
    /// It has to be aborted.
    MustAbort,
    /// None is open: it was aborted already.
    NotOpen,
}

/// What all transactions came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) transactions_committed: u64,
    pub(super) records_committed: u64,
    pub(super) records_aborted: u64,
    pub(super) records_unknown: u64,
    /// Source and line of the last record that is committed.
    pub(super) committed_up_to: Option<(usize, u64)>,
}

impl Transactions {
    pub(super) fn new(records_max: u64, patience: Duration) -> Transactions {
        Transactions { records_max, patience, state: Mutex::default(), committed: Condvar::new() }
    }

    /// Before a record is sent. False: the run is over, and nothing is sent any more.
    pub(super) fn begin<P: Producer>(&self, producer: &P) -> Result<bool, TransactionError> {
        let mut state = self.lock();
        match state.phase {
            Phase::Open => return Ok(true),
            Phase::Between => {}
            Phase::Committing | Phase::Aborting | Phase::Over => return Ok(false),
        }
        producer.begin_transaction()?;
        (state.phase, state.number, state.records) = (Phase::Open, state.number + 1, 0);
        Ok(true)
    }

    /// The producer takes no more records for the one that is open, if one is: its end tells why.
    pub(super) fn cannot_go_on(&self, why: &str) -> bool {
        let mut state = self.lock();
        let is_open = state.phase == Phase::Open;
        if is_open {
            state.trouble.get_or_insert_with(|| why.to_owned());
        }
        is_open
    }

    /// A record was handed over.
    pub(super) fn add(&self) {
        self.lock().records += 1;
    }

    /// Whether one is open.
    pub(super) fn is_open(&self) -> bool {
        self.lock().phase == Phase::Open
    }

    /// Whether one is open that is to be committed now.
    pub(super) fn is_full(&self) -> bool {
        let state = self.lock();
        state.phase == Phase::Open && state.records >= self.records_max
    }

    /// Commits the one that is open; `up_to` is where its last record stands. Everything that was sent has its outcome.
    pub(super) fn commit<P: Producer>(&self, producer: &P, up_to: (usize, u64)) -> Result<Ended, NotCommitted> {
        {
            let mut state = self.lock();
            if state.phase != Phase::Open {
                return Err(NotCommitted::NotOpen);
            }
            state.phase = Phase::Committing;
        }
        let mut is_told = false;
        let result = commit_patiently(
            self.patience,
            || producer.commit_transaction(),
            |error| {
                if !std::mem::replace(&mut is_told, true) {
                    say(format!("{}; still waiting", words(error)));
                }
            },
        );
        let mut state = self.lock();
        self.committed.notify_all();
        let (number, records) = (state.number, state.records);
        let (how, error) = match result {
            Ok(()) => (How::Committed, None),
            Err(TransactionError::MustAbort { reason }) => {
                state.phase = Phase::Open;
                state.trouble.get_or_insert(reason.to_string());
                return Err(NotCommitted::MustAbort);
            }
            Err(error) => (How::Unknown, Some(words(&error))),
        };
        if how == How::Committed {
            state.phase = Phase::Between;
            state.tally.transactions_committed += 1;
            state.tally.records_committed += records;
            state.tally.committed_up_to = Some(up_to);
        } else {
            state.phase = Phase::Over;
            state.tally.records_unknown += records;
        }
        Ok(Ended { number, records, how, error })
    }

    /// Aborts what is open; a commit that is under way is waited for. From now on none is begun.
    pub(super) fn abort<P: Producer>(&self, producer: &P) -> Option<Ended> {
        let mut state = self.lock();
        while state.phase == Phase::Committing {
            state = self.committed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if std::mem::replace(&mut state.phase, Phase::Over) != Phase::Open {
            return None;
        }
        state.phase = Phase::Aborting;
        drop(state);
        let result = producer.abort_transaction();
        let mut state = self.lock();
        state.phase = Phase::Over;
        state.tally.records_aborted += state.records;
        // Whatever went wrong with that: it was never to be committed, and is not.
        let error = match result {
            Ok(()) => state.trouble.take(),
            Err(error) if error.is_fatal() => Some(words(&error)),
            Err(error) => Some(format!("{}; the broker ends it after transaction.timeout.ms", words(&error))),
        };
        Some(Ended { number: state.number, records: state.records, how: How::Aborted, error })
    }

    /// Where the last one stands, and its number.
    pub(super) fn phase(&self) -> (Phase, u64) {
        let state = self.lock();
        (state.phase, state.number)
    }

    pub(super) fn tally(&self) -> Tally {
        self.lock().tally
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
