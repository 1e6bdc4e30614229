//! The thread that reads lines and hands records to the producer.

use super::kafka::Producer;
use super::results::{Entry, Outcome};
use super::topics::{Cluster, Topics};
use super::window::Window;
use crate::cli::format::{BadLine, Format, Line};
use crate::cli::input::{Found, Lines, Source};
use pointsman::error::ProduceError;
use pointsman::{Header, Record};
use std::io::BufRead;
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

/// Reads all, until the end or a reason to stop.
pub(super) fn feed<P: Producer, C: Cluster>(
    job: &Job,
    producer: &P,
    topics: &mut Topics<C>,
    window: &Window<Entry<P::Delivery>>,
    progress: &Progress,
) -> End {
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
                if job.is_strict {
                    return End::Strict;
                }
                continue;
            }
        };
        progress.source.store(source, Relaxed);
        progress.line.store(0, Relaxed);
        let mut each = Each { job, producer, topics, window, source };
        loop {
            let end = match each.next(&mut lines, progress) {
                Ok(true) => None,
                Ok(false) => break,
                Err(Stop::End(end)) => Some(end),
                Err(Stop::Unreadable(error)) => {
                    unreadable(lines.number() + 1, error);
                    if !job.is_strict {
                        break;
                    }
                    Some(End::Strict)
                }
            };
            progress.bytes.store(bytes_before + lines.bytes(), Relaxed);
            if let Some(end) = end {
                return end;
            }
        }
        bytes_before += lines.bytes();
    }
    End::Input
}

/// What happens with the lines of a source.
struct Each<'a, P: Producer, C> {
    job: &'a Job,
    producer: &'a P,
    topics: &'a mut Topics<C>,
    window: &'a Window<Entry<P::Delivery>>,
    source: usize,
}

enum Stop {
    End(End),
    Unreadable(std::io::Error),
}

impl<P: Producer, C: Cluster> Each<'_, P, C> {
    /// Reads a line and hands its record over. False: there are no more.
    fn next<R: BufRead>(&mut self, lines: &mut Lines<R>, progress: &Progress) -> Result<bool, Stop> {
        let number = lines.number() + 1;
        let Some(line) = lines.next().map_err(Stop::Unreadable)? else { return Ok(false) };
        if !progress.begin() {
            return Err(Stop::End(End::Stopped));
        }
        let end = self.deal_with(line, number, progress);
        if end != Some(End::Stopped) {
            progress.line.store(number, Relaxed);
        }
        progress.end();
        end.map_or(Ok(true), |end| Err(Stop::End(end)))
    }

    fn deal_with(&mut self, line: Found<'_>, number: u64, progress: &Progress) -> Option<End> {
        let outcome = match line {
            Found::Line(line) => self.send(line).transpose()?,
            Found::TooLong(length) => Err(BadLine::new(format!(
                "a line of {length} bytes is longer than max.request.size ({} bytes) allows",
                self.job.record_bytes_max
            ))),
        };
        let (outcome, end) = match outcome {
            Err(bad) => (Outcome::Bad(bad), self.job.is_strict.then_some(End::Strict)),
            Ok(Ok(delivery)) => (Outcome::Sent(delivery), None),
            // Closing woke it: the record is none that failed, but the first that was not sent any more.
            Ok(Err(ProduceError::Closed { .. })) if progress.is_stopped() => return Some(End::Stopped),
            Ok(Err(error)) => {
                let is_over = matches!(error, ProduceError::Closed { .. } | ProduceError::Fatal { .. });
                (Outcome::Refused(error), is_over.then_some(End::Fatal))
            }
        };
        self.window.push(Entry { source: self.source, line: number, outcome });
        end
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
        Ok(Some(self.producer.send(&record)))
    }
}
