//! What became of each line, and of each transaction: the report, which is in the order of the input, the failures, the counts. Without a report
//! each line is settled as soon as its outcome is known: a partition that is stuck holds up no other.

use super::kafka::Delivery;
use super::transactions::{Ended, How, Transactions};
use super::window::Window;
use crate::cli::format::BadLine;
use crate::cli::terminal::{say, thousands};
use pointsman::RecordMetadata;
use pointsman::error::{Fate, ProduceError};
use serde::Serialize;
use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// A line of the input and what is known of it.
pub(super) struct Entry<D> {
    /// Which of the sources.
    pub(super) source: usize,
    /// The line in it, from 1; 0 where it is about the source as a whole.
    pub(super) line: u64,
    /// What is known.
    pub(super) outcome: Outcome<D>,
}

/// What is known of a line when it has been read.
pub(super) enum Outcome<D> {
    /// The producer has accepted it.
    Sent(D),
    /// The producer has not.
    Refused(ProduceError),
    /// It is no record.
    Bad(BadLine),
    /// It is no line: a transaction ended here.
    Ended(Ended),
}

/// What became of a line.
enum Known {
    Delivered(RecordMetadata),
    Failed(ProduceError),
    Bad(BadLine),
    Ended(Ended),
}

impl From<Result<RecordMetadata, ProduceError>> for Known {
    fn from(result: Result<RecordMetadata, ProduceError>) -> Known {
        result.map_or_else(Known::Failed, Known::Delivered)
    }
}

impl<D: Delivery> Outcome<D> {
    /// What became of the line; or its delivery, if that is not known yet.
    fn known(self) -> Result<Known, D> {
        match self {
            Outcome::Sent(delivery) => match delivery.try_result() {
                Some(result) => Ok(result.into()),
                None => Err(delivery),
            },
            Outcome::Refused(error) => Ok(Known::Failed(error)),
            Outcome::Bad(bad) => Ok(Known::Bad(bad)),
            Outcome::Ended(ended) => Ok(Known::Ended(ended)),
        }
    }
}

/// Counts, for the progress line and the summary.
#[derive(Default)]
pub(super) struct Counts {
    /// Records delivered.
    pub(super) delivered: AtomicU64,
    /// Records not delivered.
    pub(super) failed: AtomicU64,
    /// Of those, records that may be written all the same.
    pub(super) unknown: AtomicU64,
    /// Lines that are no records.
    pub(super) bad: AtomicU64,
}

impl Counts {
    /// Whether any line did not become a record.
    pub(super) fn has_failures(&self) -> bool {
        self.failed.load(Relaxed) + self.bad.load(Relaxed) > 0
    }
}

/// Settles what stands in the window.
pub(super) struct Results<W> {
    names: Vec<String>,
    report: Option<Report<W>>,
    failures: Failures,
    transactions: Option<Arc<Transactions>>,
}

impl<W: Write> Results<W> {
    /// `names` are the sources'; `report` is where to write a line for each outcome.
    pub(super) fn new(names: Vec<String>, report: Option<W>, transactions: Option<Arc<Transactions>>) -> Results<W> {
        let report = report.map(|writer| Report { writer, names: (names.len() > 1).then(|| names.clone()) });
        Results { names, report, failures: Failures::default(), transactions }
    }

    /// Settles all until the window is closed and empty. A report that cannot be written ends, once, with
    /// `on_report_error`; the rest is settled all the same.
    pub(super) fn run<D: Delivery>(
        mut self,
        window: &Window<Entry<D>>,
        counts: &Counts,
        mut on_report_error: impl FnMut(io::Error),
    ) {
        let mut entries = VecDeque::new();
        while window.take(&mut entries) {
            let before = entries.len();
            while let Some(entry) = entries.pop_front() {
                match entry.outcome.known() {
                    Ok(known) => {
                        let settled = self.settle(entry.source, entry.line, known, counts);
                        self.note(settled, &mut on_report_error);
                    }
                    Err(delivery) => {
                        entries.push_front(Entry { outcome: Outcome::Sent(delivery), ..entry });
                        break;
                    }
                }
            }
            window.settle(before - entries.len());
            self.flush(&mut on_report_error);
            if window.is_aborted() {
                self.settle_others(&mut entries, window, counts);
                break;
            }
            let Some(first) = entries.pop_front() else { continue };
            let Entry { source, line, outcome: Outcome::Sent(delivery) } = first else {
                unreachable!("the others have their outcome")
            };
            match delivery.wait_for(PATIENCE) {
                Ok(result) => {
                    let settled = self.settle(source, line, result.into(), counts);
                    self.note(settled, &mut on_report_error);
                    window.settle(1);
                    if entries.is_empty() {
                        self.flush(&mut on_report_error);
                    }
                }
                Err(delivery) => {
                    entries.push_front(Entry { source, line, outcome: Outcome::Sent(delivery) });
                    if self.report.is_none() {
                        self.settle_others(&mut entries, window, counts);
                    }
                }
            }
        }
        self.failures.summarize();
    }

    /// What has been reported must not lie in a buffer while nothing goes on.
    fn flush(&mut self, on_report_error: &mut impl FnMut(io::Error)) {
        let flushed = self.report.as_mut().map_or(Ok(()), Report::flush);
        self.note(flushed, on_report_error);
    }

    /// A report that cannot be written is none any more.
    fn note(&mut self, written: io::Result<()>, on_report_error: &mut impl FnMut(io::Error)) {
        if let Err(error) = written {
            self.report = None;
            on_report_error(error);
        }
    }

    /// Settles what has its outcome, whatever is before it. Not for a report.
    fn settle_others<D: Delivery>(
        &mut self,
        entries: &mut VecDeque<Entry<D>>,
        window: &Window<Entry<D>>,
        counts: &Counts,
    ) {
        self.report = None;
        let before = entries.len();
        let mut left = VecDeque::with_capacity(before);
        for Entry { source, line, outcome } in entries.drain(..) {
            match outcome.known() {
                Ok(known) => {
                    let Ok(()) = self.settle(source, line, known, counts) else { unreachable!("nothing is written") };
                }
                Err(delivery) => left.push_back(Entry { source, line, outcome: Outcome::Sent(delivery) }),
            }
        }
        *entries = left;
        window.settle(before - entries.len());
    }

    fn settle(&mut self, source: usize, line: u64, known: Known, counts: &Counts) -> io::Result<()> {
        let error = match known {
            Known::Delivered(metadata) => {
                counts.delivered.fetch_add(1, Relaxed);
                return self.report.as_mut().map_or(Ok(()), |report| report.delivered(source, line, &metadata));
            }
            Known::Failed(error) => error,
            Known::Ended(ended) => {
                ended.say();
                return self.report.as_mut().map_or(Ok(()), |report| report.ended(&ended));
            }
            Known::Bad(bad) => {
                counts.bad.fetch_add(1, Relaxed);
                self.failures.add(&self.place(source, line, bad.column), &bad.what);
                let report = self.report.as_mut();
                return report.map_or(Ok(()), |report| report.failed(source, line, &bad.what, Fate::NotWritten));
            }
        };
        let given_up = match &error {
            ProduceError::Aborted { reason, .. } => Some(reason),
            _ => None,
        };
        if let (Some(transactions), Some(reason)) = (&self.transactions, given_up) {
            // Before the count, at which whoever reads looks.
            transactions.cannot_go_on(reason);
        }
        counts.failed.fetch_add(1, Relaxed);
        let (fate, mut text) = (error.fate(), error.to_string());
        let report = self.report.as_mut().map_or(Ok(()), |report| report.failed(source, line, &text, fate));
        if given_up.is_some() {
            // Many, and none is the culprit: that one may come behind them.
            self.failures.count("given up with its transaction");
            return report;
        }
        if fate == Fate::Unknown {
            counts.unknown.fetch_add(1, Relaxed);
            text.push_str(" (it may be written all the same)");
        }
        self.failures.add(&self.place(source, line, None), &text);
        report
    }

    fn place(&self, source: usize, line: u64, column: Option<usize>) -> String {
        let name = &self.names[source];
        match (line, column) {
            (0, _) => name.clone(),
            (_, None) => format!("{name}:{line}"),
            (_, Some(column)) => format!("{name}:{line}:{column}"),
        }
    }
}

/// One line of JSON per outcome.
struct Report<W> {
    writer: W,
    /// Where there are several sources.
    names: Option<Vec<String>>,
}

impl<W: Write> Report<W> {
    fn delivered(&mut self, source: usize, line: u64, metadata: &RecordMetadata) -> io::Result<()> {
        let RecordMetadata { topic, partition, offset, timestamp, .. } = metadata;
        let file = self.file(source).map(str::to_owned);
        let (file, partition, offset, timestamp) = (file.as_deref(), *partition, *offset, *timestamp);
        self.write(&Delivered { file, line, topic, partition, offset, timestamp })
    }

    fn failed(&mut self, source: usize, line: u64, error: &str, fate: Fate) -> io::Result<()> {
        let fate = match fate {
            Fate::NotWritten => "not-written",
            Fate::Unknown => "unknown",
        };
        let file = self.file(source).map(str::to_owned);
        self.write(&Failed { file: file.as_deref(), line, error, fate })
    }

    fn ended(&mut self, Ended { number, records, how, error }: &Ended) -> io::Result<()> {
        let outcome = match how {
            How::Committed => "committed",
            How::Aborted => "aborted",
            How::Unknown => "unknown",
        };
        self.write(&Transaction { transaction: *number, outcome, records: *records, error: error.as_deref() })
    }

    fn file(&self, source: usize) -> Option<&str> {
        self.names.as_ref().map(|names| names[source].as_str())
    }

    fn write(&mut self, line: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer(&mut self.writer, line)?;
        self.writer.write_all(b"\n")
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

#[derive(Serialize)]
struct Delivered<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<&'a str>,
    line: u64,
    topic: &'a str,
    partition: i32,
    offset: Option<i64>,
    timestamp: i64,
}

#[derive(Serialize)]
struct Failed<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<&'a str>,
    line: u64,
    error: &'a str,
    fate: &'a str,
}

#[derive(Serialize)]
struct Transaction<'a> {
    transaction: u64,
    outcome: &'a str,
    records: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

/// Tells of the first failures as they come, and of the others how many there were of each kind.
#[derive(Default)]
struct Failures {
    told: usize,
    counts: BTreeMap<String, u64>,
    others: u64,
}

impl Failures {
    fn add(&mut self, place: &str, what: &str) {
        if self.told < TOLD_MAX {
            self.told += 1;
            say(format!("{place}: {what}"));
            if self.told == TOLD_MAX {
                say("further failures are only counted");
            }
        } else {
            self.count(what);
        }
    }

    /// As those that are not told any more.
    fn count(&mut self, what: &str) {
        if let Some(count) = self.counts.get_mut(what) {
            *count += 1;
        } else if self.counts.len() < KINDS_MAX {
            self.counts.insert(what.to_owned(), 1);
        } else {
            self.others += 1;
        }
    }

    fn summarize(&self) {
        let mut counts: Vec<(&str, u64)> = self.counts.iter().map(|(what, count)| (what.as_str(), *count)).collect();
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        if self.others > 0 {
            counts.push(("of other kinds", self.others));
        }
        if !counts.is_empty() {
            say("further failures:");
        }
        for (what, count) in counts {
            say(format!("{:>9} × {what}", thousands(count)));
        }
    }
}

/// How long the oldest outcome is waited for before those behind it are looked at.
const PATIENCE: Duration = Duration::from_millis(50);
/// Failures told in full.
const TOLD_MAX: usize = 10;
/// Kinds of failures counted apart.
const KINDS_MAX: usize = 20;

#[cfg(test)]
mod tests;
