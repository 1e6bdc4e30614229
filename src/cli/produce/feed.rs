//! The thread that reads lines and hands records to the producer.

use super::kafka::Producer;
use super::results::{Counts, Entry, Outcome};
use super::topics::{Cluster, Topics};
use super::transactions::{How, NotCommitted, Transactions};
use super::window::Window;
use crate::cli::format::{BadLine, Format, Line};
use crate::cli::input::{Found, Lines, Source};
use crate::cli::terminal::say;
use crate::cli::transactions::words;
use pointsman::error::ProduceError;
use pointsman::{Header, Record};
use std::io::BufRead;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};

/// What to read, and how.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) sources: Vec<Source>,
    pub(super) format: Format,
    pub(super) topic: Option<String>,
    /// `max.request.size`.
    pub(super) record_bytes_max: usize,
    /// Stop at the first bad line.
    pub(super) is_strict: bool,
}

/// Why reading ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// All was read.
    Input,
    /// It was told to stop.
    Stopped,
    /// At a bad line, as `--strict` asks for.
    Strict,
    /// The producer cannot go on.
    Fatal,
    /// The transaction that is open cannot be committed, or it is not known whether it is.
    Uncommitted,
}

/// How far it is, and the switch that stops it.
///
/// A thread that waits for input cannot be told anything, and does not have to be: it holds no record. So who stops it
/// waits only while `is_sending`, and what the thread reads later is not sent.
#[derive(Default)]
pub(super) struct Progress {
    is_stopped: AtomicBool,
    is_sending: AtomicBool,
    source: AtomicUsize,
    line: AtomicU64,
    bytes: AtomicU64,
}

impl Progress {
    /// From now on no record is handed over.
    pub(super) fn stop(&self) {
        self.is_stopped.store(true, SeqCst);
    }

    /// Whether a record is being handed over.
    pub(super) fn is_sending(&self) -> bool {
        self.is_sending.load(SeqCst)
    }

    /// The source and the line in it that was dealt with last.
    pub(super) fn at(&self) -> (usize, u64) {
        (self.source.load(Relaxed), self.line.load(Relaxed))
    }

    /// Bytes read.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }

    fn is_stopped(&self) -> bool {
        self.is_stopped.load(SeqCst)
    }

    /// False: it was told to stop.
    fn begin(&self) -> bool {
        // In this order, and the other way round in who stops it: one of the two sees the other.
        self.is_sending.store(true, SeqCst);
        if self.is_stopped() {
            self.end();
            return false;
        }
        true
    }

    fn end(&self) {
        self.is_sending.store(false, SeqCst);
    }
}

/// Where the records go, and what is known of them.
pub(super) struct Way<P: Producer> {
    pub(super) producer: Arc<P>,
    pub(super) window: Arc<Window<Entry<P::Delivery>>>,
    pub(super) counts: Arc<Counts>,
    pub(super) progress: Arc<Progress>,
    /// Where records are sent in transactions.
    pub(super) transactions: Option<Arc<Transactions>>,
}

/// Reads all, until the end or a reason to stop.
pub(super) fn feed<P: Producer, C: Cluster>(job: &Job, way: &Way<P>, topics: &mut Topics<C>) -> End {
    let Way { window, progress, transactions, .. } = way;
    // One that is not whole is not committed.
    let is_strict = job.is_strict || transactions.is_some();
    let at_unreadable = if job.is_strict { End::Strict } else { End::Uncommitted };
    let bytes_max = job.format.line_bytes_max(job.record_bytes_max);
    let mut bytes_before = 0;
    for (source, from) in job.sources.iter().enumerate() {
        let unreadable = |line, error| {
            let bad = BadLine::new(format!("cannot be read: {error}"));
            window.push(Entry { source, line, outcome: Outcome::Bad(bad) });
        };
        let mut lines = match from.open(bytes_max) {
            Ok(lines) => lines,
            Err(error) => {
                unreadable(0, error);
                if is_strict {
                    return at_unreadable;
                }
                continue;
            }
        };
        progress.source.store(source, Relaxed);
        progress.line.store(0, Relaxed);
        let mut each = Each { job, way, topics, source };
        loop {
            let end = match each.next(&mut lines) {
                Ok(true) => None,
                Ok(false) => break,
                Err(Stop::End(end)) => Some(end),
                Err(Stop::Unreadable(error)) => {
                    unreadable(lines.number() + 1, error);
                    if !is_strict {
                        break;
                    }
                    Some(at_unreadable)
                }
            };
            progress.bytes.store(bytes_before + lines.bytes(), Relaxed);
            if let Some(end) = end {
                return end;
            }
        }
        bytes_before += lines.bytes();
    }
    if transactions.is_none() {
        return End::Input;
    }
    if !progress.begin() {
        return End::Stopped;
    }
    let end = way.commit();
    progress.end();
    end.unwrap_or(End::Input)
}

impl<P: Producer> Way<P> {
    /// Commits the transaction that is open, if one is. Something: it is not committed.
    fn commit(&self) -> Option<End> {
        let transactions = self.transactions.as_deref().filter(|transactions| transactions.is_open())?;
        // What is refused is told by the deliveries.
        let _ = self.producer.flush();
        self.window.wait_until_settled();
        if self.progress.is_stopped() {
            return Some(End::Stopped);
        }
        if self.counts.has_failures() {
            return Some(End::Uncommitted);
        }
        let (source, line) = self.progress.at();
        match transactions.commit(&*self.producer, (source, line)) {
            Ok(ended) => {
                let is_committed = ended.how == How::Committed;
                self.window.push(Entry { source, line, outcome: Outcome::Ended(ended) });
                (!is_committed).then_some(End::Uncommitted)
            }
            Err(NotCommitted::MustAbort) => Some(End::Uncommitted),
            Err(NotCommitted::NotOpen) => Some(End::Stopped),
        }
    }
}

/// What happens with the lines of a source.
struct Each<'a, P: Producer, C> {
    job: &'a Job,
    way: &'a Way<P>,
    topics: &'a mut Topics<C>,
    source: usize,
}

enum Stop {
    End(End),
    Unreadable(std::io::Error),
}

impl<P: Producer, C: Cluster> Each<'_, P, C> {
    /// Reads a line and hands its record over. False: there are no more.
    fn next<R: BufRead>(&mut self, lines: &mut Lines<R>) -> Result<bool, Stop> {
        let Way { progress, counts, transactions, .. } = self.way;
        let number = lines.number() + 1;
        let Some(line) = lines.next().map_err(Stop::Unreadable)? else { return Ok(false) };
        if !progress.begin() {
            return Err(Stop::End(End::Stopped));
        }
        let is_lost = transactions.is_some() && counts.has_failures();
        let dealt = if is_lost { Err(End::Uncommitted) } else { self.deal_with(line, number) };
        let end = match dealt {
            Err(end) => Some(end),
            Ok(end) => {
                progress.line.store(number, Relaxed);
                let is_full = transactions.as_ref().is_some_and(|transactions| transactions.is_full());
                end.or_else(|| if is_full { self.way.commit() } else { None })
            }
        };
        progress.end();
        end.map_or(Ok(true), |end| Err(Stop::End(end)))
    }

    /// Something is a reason to stop; an error, that the line was not dealt with any more.
    fn deal_with(&mut self, line: Found<'_>, number: u64) -> Result<Option<End>, End> {
        let Way { window, progress, transactions, .. } = self.way;
        let outcome = match line {
            Found::Line(line) => match self.send(line).transpose() {
                Some(outcome) => outcome,
                None => return Ok(None),
            },
            Found::TooLong(length) => Err(BadLine::new(format!(
                "a line of {length} bytes is longer than max.request.size ({} bytes) allows",
                self.job.record_bytes_max
            ))),
        };
        let (outcome, end) = match outcome {
            Err(bad) if self.job.is_strict => (Outcome::Bad(bad), Some(End::Strict)),
            Err(bad) => (Outcome::Bad(bad), transactions.is_some().then_some(End::Uncommitted)),
            Ok(Ok(delivery)) => (Outcome::Sent(delivery), None),
            // Closing woke it: the record is none that failed, but the first that was not sent any more.
            Ok(Err(ProduceError::Closed { .. } | ProduceError::NoTransaction { .. })) if progress.is_stopped() => {
                return Err(End::Stopped);
            }
            Ok(Err(ProduceError::NoTransaction { reason, .. })) => {
                let is_open = transactions.as_ref().is_some_and(|transactions| transactions.cannot_go_on(&reason));
                if is_open {
                    return Err(End::Uncommitted);
                }
                say(&*reason);
                return Err(End::Fatal);
            }
            Ok(Err(error)) => {
                let is_over = matches!(error, ProduceError::Closed { .. } | ProduceError::Fatal { .. });
                let is_lost = transactions.is_some().then_some(End::Uncommitted);
                (Outcome::Refused(error), if is_over { Some(End::Fatal) } else { is_lost })
            }
        };
        if let (Some(transactions), Outcome::Sent(_) | Outcome::Refused(_)) = (transactions, &outcome) {
            transactions.add();
        }
        window.push(Entry { source: self.source, line: number, outcome });
        Ok(end)
    }

    /// Nothing for a line that is blank.
    fn send(&mut self, line: &[u8]) -> Result<Option<Result<P::Delivery, ProduceError>>, BadLine> {
        let Some(line) = self.job.format.parse(line)? else { return Ok(None) };
        let Line { topic, partition, timestamp, key, value, headers } = &line;
        let Some(topic) = topic.as_deref().or(self.job.topic.as_deref()) else {
            return Err(BadLine::new("no topic: neither the line nor -t names one"));
        };
        self.topics.check(topic).map_err(BadLine::new)?;
        let headers: Vec<Header<'_>> =
            headers.iter().map(|(name, value)| Header { name, value: value.as_deref() }).collect();
        let (key, value) = (key.as_deref(), value.as_deref());
        let record =
            Record { partition: *partition, timestamp: *timestamp, key, value, headers: &headers, ..Record::to(topic) };
        if let Some(transactions) = &self.way.transactions {
            let refused = match transactions.begin(&*self.way.producer) {
                Ok(true) => None,
                Ok(false) => Some("no more are begun".into()),
                Err(error) => Some(words(&error).into()),
            };
            if let Some(reason) = refused {
                return Ok(Some(Err(ProduceError::NoTransaction { topic: topic.into(), reason, must_abort: false })));
            }
        }
        Ok(Some(self.way.producer.send(&record)))
    }
}
