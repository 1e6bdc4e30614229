//! The threads of a run, and the one that watches over them.
//!
//! | thread | does |
//! |---|---|
//! | main | waits for what the others tell and for signals, shows the progress |
//! | feed | reads lines, hands records to the producer, commits its transactions |
//! | results | waits for the deliveries, writes the report |
//! | close | aborts the transaction that is open, or else delivers what was accepted, once the input has ended or a signal came |

use super::feed::{End, Job, Progress, Way, feed};
use super::kafka::Producer;
use super::results::{self, Counts, Entry, Results};
use super::topics::{Cluster, Topics};
use super::transactions::{Phase, Tally, Transactions};
use super::window::Window;
use crate::cli::input::Source;
use crate::cli::signals::Signal;
use crate::cli::stopwatch::Stopwatch;
use crate::cli::terminal::{self, count, say, thousands};
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

/// What the threads tell.
pub(super) enum Event<S> {
    /// The preparations are done.
    Started(S),
    /// Reading has ended.
    Fed(End),
    /// The producer is closed.
    Closed(Result<(), String>),
    /// Every line has its outcome.
    Settled,
    /// The report cannot be written.
    ReportLost(io::Error),
    /// The process was told to stop.
    Signal(Signal),
}

/// How to run.
pub(super) struct Options<W> {
    /// Where to write the report, if one is wanted.
    pub(super) report: Option<W>,
    /// Say nothing but errors.
    pub(super) is_quiet: bool,
    /// Show a progress line, where stderr is a terminal.
    pub(super) shows_progress: bool,
    /// Longest time for delivering what was accepted.
    pub(super) close_deadline: Duration,
    /// Records of a transaction, where there are any.
    pub(super) transactions: Option<u64>,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// All lines were records, and all were delivered.
    Delivered,
    /// Not all were; which, has been said.
    NotAll,
    /// A second signal came.
    Aborted(Signal),
}

/// Runs a job to its end.
pub(super) fn run<P: Producer, C: Cluster + 'static, W: Write + Send + 'static, S: Send + 'static>(
    job: Job,
    producer: P,
    mut topics: Topics<C>,
    options: Options<W>,
    (events, inbox): (Sender<Event<S>>, &Receiver<Event<S>>),
) -> Outcome {
    let Options { report, is_quiet, shows_progress, close_deadline, transactions } = options;
    let window_max = if report.is_some() { REPORTED_MAX } else { OUTSTANDING_MAX };
    let names: Vec<String> = job.sources.iter().map(Source::name).collect();
    let bytes: Option<u64> = job.sources.iter().map(Source::bytes).sum();
    let watch = Watch {
        names: names.clone(),
        bytes,
        window: Arc::new(Window::new(window_max)),
        counts: Arc::default(),
        progress: Arc::default(),
        transactions: transactions.map(|records| Arc::new(Transactions::new(records, close_deadline))),
        started: Stopwatch::start(),
        is_quiet,
    };
    let way = Way {
        producer: Arc::new(producer),
        window: Arc::clone(&watch.window),
        counts: Arc::clone(&watch.counts),
        progress: Arc::clone(&watch.progress),
        transactions: watch.transactions.clone(),
    };
    let producer = Arc::clone(&way.producer);

    let results = Results::new(names, report, watch.transactions.clone());
    let (window, counts, tell) = (Arc::clone(&watch.window), Arc::clone(&watch.counts), events.clone());
    spawn("results", move || {
        results.run(&window, &counts, |error| drop(tell.send(Event::ReportLost(error))));
        drop(tell.send(Event::Settled));
    });
    let tell = events.clone();
    spawn("feed", move || {
        let end = feed(&job, &way, &mut topics);
        drop(tell.send(Event::Fed(end)));
    });
    let line = terminal::Progress::start(shows_progress);
    watch.until_settled(line, inbox, || watch.close(Arc::clone(&producer), close_deadline, events.clone()))
}

/// What the watching thread sees.
struct Watch<D> {
    names: Vec<String>,
    bytes: Option<u64>,
    window: Arc<Window<Entry<D>>>,
    counts: Arc<Counts>,
    progress: Arc<Progress>,
    transactions: Option<Arc<Transactions>>,
    started: Stopwatch,
    is_quiet: bool,
}

impl<D: Send + 'static> Watch<D> {
    fn until_settled<S>(&self, line: terminal::Progress, inbox: &Receiver<Event<S>>, close: impl Fn()) -> Outcome {
        let mut end = None;
        let mut signalled: Option<Stopwatch> = None;
        let mut is_whole = true;
        let mut is_closing = false;
        let mut close = || {
            if !std::mem::replace(&mut is_closing, true) {
                close();
            }
        };
        loop {
            // A reader that waits for a line would learn of it with the next one.
            if end.is_none() && self.transactions.is_some() && self.counts.has_failures() {
                end = Some(End::Uncommitted);
                self.progress.stop();
                close();
            }
            match inbox.recv_timeout(TICK) {
                Err(RecvTimeoutError::Timeout) if line.is_shown() => line.set(self.line(end.is_some())),
                Err(RecvTimeoutError::Timeout) | Ok(Event::Started(_)) => {}
                Ok(Event::Fed(why)) => {
                    end = match (end, why) {
                        (Some(End::Uncommitted), End::Stopped | End::Input) => end,
                        _ => Some(why),
                    };
                    close();
                }
                // Who signals a process and its group, as timeout(1) does, means it once.
                Ok(Event::Signal(_)) if signalled.is_some_and(|first| first.elapsed() < SAME_SIGNAL) => {}
                Ok(Event::Signal(signal)) if signalled.is_some() => {
                    drop(line);
                    self.abort(signal, inbox);
                    return Outcome::Aborted(signal);
                }
                Ok(Event::Signal(signal)) => {
                    signalled = Some(Stopwatch::start());
                    say(format!("{signal}: {}", self.at_signal()));
                    self.stop(&mut end);
                    close();
                }
                Ok(Event::ReportLost(error)) => {
                    is_whole = false;
                    if error.kind() == io::ErrorKind::BrokenPipe {
                        say("stdout was closed: the report ends here, and so does reading");
                    } else {
                        say(format!("the report cannot be written ({error}), so reading ends here"));
                    }
                    self.stop(&mut end);
                    close();
                }
                Ok(Event::Closed(Ok(()))) => {}
                Ok(Event::Closed(Err(error))) => {
                    is_whole = false;
                    say(format!("closing the producer: {error}"));
                }
                Ok(Event::Settled) | Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        drop(line);
        self.summarize(end, is_whole)
    }

    fn at_signal(&self) -> String {
        match self.transactions.as_ref().map(|transactions| transactions.phase()) {
            Some((Phase::Open | Phase::Aborting, number)) => {
                format!("aborting transaction {number}; once more leaves that to the broker")
            }
            Some((Phase::Committing, number)) => {
                format!("waiting for the commit of transaction {number}; once more ends without it")
            }
            Some((Phase::Between | Phase::Over, _)) | None => {
                let rest = count(self.window.open() as u64, "record");
                format!("delivering {rest} under way; once more aborts")
            }
        }
    }

    /// Ends the reading, if it has not ended by itself.
    fn stop(&self, end: &mut Option<End>) {
        end.get_or_insert(End::Stopped);
        self.progress.stop();
    }

    fn close<P: Producer, S: Send + 'static>(&self, producer: Arc<P>, deadline: Duration, events: Sender<Event<S>>) {
        let (window, progress) = (Arc::clone(&self.window), Arc::clone(&self.progress));
        let transactions = self.transactions.clone();
        spawn("close", move || {
            let aborted = transactions.and_then(|transactions| transactions.abort(&*producer));
            let closed = producer.close(deadline);
            // Closing wakes a send that waits; what it hands over last must be in before the window ends.
            while progress.is_sending() {
                thread::sleep(Duration::from_millis(1));
            }
            if let Some(aborted) = aborted {
                let ((source, line), outcome) = (progress.at(), results::Outcome::Ended(aborted));
                window.push(Entry { source, line, outcome });
            }
            drop(events.send(Event::Closed(closed)));
            window.close();
        });
    }

    fn line(&self, is_closing: bool) -> String {
        let Counts { delivered, failed, bad, .. } = &*self.counts;
        let delivered = delivered.load(Relaxed);
        let mut text = format!(
            "{} delivered, {}/s, {} in flight",
            thousands(delivered),
            thousands(per_second(delivered, self.started.elapsed())),
            thousands(self.window.open() as u64)
        );
        if let Some(Tally { records_committed, .. }) = self.tally() {
            text += &format!(", {} committed", thousands(records_committed));
        }
        for (number, what) in [(failed.load(Relaxed), "failed"), (bad.load(Relaxed), "bad")] {
            if number > 0 {
                text += &format!(", {} {what}", thousands(number));
            }
        }
        if let (Some(all), false) = (self.bytes.filter(|bytes| *bytes > 0), is_closing) {
            // A file may grow while it is read.
            text += &format!(", {} % read", (self.progress.bytes() * 100 / all).min(100));
        }
        text
    }

    /// Says what is known by now of what was under way.
    fn abort<S>(&self, signal: Signal, inbox: &Receiver<Event<S>>) {
        self.window.abort();
        loop {
            match inbox.recv_timeout(LOOK_AROUND_MAX) {
                Ok(Event::Settled) | Err(_) => break,
                Ok(_) => {}
            }
        }
        let Counts { delivered, failed, .. } = &*self.counts;
        let (delivered, failed) = (thousands(delivered.load(Relaxed)), thousands(failed.load(Relaxed)));
        let rest = thousands(self.window.open() as u64);
        say(format!(
            "{signal} again: aborted; {delivered} delivered, {failed} failed, and of {rest} more it is not known whether \
             they are written"
        ));
        match self.transactions.as_ref().map(|transactions| transactions.phase()) {
            Some((Phase::Open | Phase::Aborting, number)) => {
                say(format!("transaction {number} is left open; the broker aborts it after transaction.timeout.ms"));
            }
            Some((Phase::Committing, number)) => {
                say(format!("it is not known whether transaction {number} is committed"));
            }
            Some((Phase::Between | Phase::Over, _)) | None => {}
        }
        self.say_what_is_committed();
    }

    fn tally(&self) -> Option<Tally> {
        self.transactions.as_ref().map(|transactions| transactions.tally())
    }

    fn place(&self, (source, line): (usize, u64)) -> String {
        format!("{}:{line}", self.names[source])
    }

    /// Where not all of it is.
    fn say_what_is_committed(&self) {
        let Some(Tally { committed_up_to, records_unknown, .. }) = self.tally() else { return };
        let rest = if records_unknown > 0 { "" } else { ", and nothing behind it" };
        match committed_up_to {
            Some(place) => say(format!("all up to {} is committed{rest}", self.place(place))),
            None if records_unknown == 0 => say("nothing is committed"),
            None => {}
        }
    }

    fn summarize(&self, end: Option<End>, is_whole: bool) -> Outcome {
        let elapsed = self.started.elapsed();
        let Counts { delivered, failed, unknown, bad } = &*self.counts;
        let [delivered, failed, unknown, bad] = [delivered, failed, unknown, bad].map(|count| count.load(Relaxed));
        let (source, line) = self.progress.at();
        let at = self.place((source, line));
        match end {
            Some(End::Stopped) if line == 0 => say(format!("stopped before the first line of {}", self.names[source])),
            Some(End::Stopped) => say(format!("stopped after {at}; what follows was not sent")),
            Some(End::Strict) => say(format!("stopped at {at}, as --strict asks for; what follows was not sent")),
            Some(End::Fatal) => {
                say(format!("stopped at {at}, as the producer cannot go on; what follows was not sent"))
            }
            Some(End::Uncommitted) => {
                let is_unknown = self.tally().is_some_and(|tally| tally.records_unknown > 0);
                let why = if is_unknown { "" } else { ", as no transaction is to lack a record" };
                say(format!("stopped after {at}{why}; what follows was not sent"));
            }
            Some(End::Input) | None => {}
        }
        let is_good = failed + bad == 0 && is_whole && end == Some(End::Input);
        if !is_good {
            self.say_what_is_committed();
        }
        if !self.is_quiet {
            let mut text = format!("{}: {} delivered", count(delivered + failed, "record"), thousands(delivered));
            if failed > 0 {
                text += &format!(", {} failed", thousands(failed));
            }
            if unknown > 0 {
                text += &format!(" ({} of them may be written)", thousands(unknown));
            }
            if bad > 0 {
                text += &format!("; {}", count(bad, "bad line"));
            }
            if let Some(tally) = self.tally() {
                text += &format!("; {}", committed(&tally));
            }
            let rate = thousands(per_second(delivered, elapsed));
            say(format!("{text}; {:.2} s, {rate} records/s", elapsed.as_secs_f64()));
        }
        if is_good { Outcome::Delivered } else { Outcome::NotAll }
    }
}

fn committed(tally: &Tally) -> String {
    let mut text = format!("{} committed", thousands(tally.records_committed));
    if tally.transactions_committed > 0 {
        text += &format!(" in {}", count(tally.transactions_committed, "transaction"));
    }
    for (records, what) in [(tally.records_aborted, "aborted"), (tally.records_unknown, "perhaps committed")] {
        if records > 0 {
            text += &format!(", {} {what}", thousands(records));
        }
    }
    text
}

fn per_second(count: u64, elapsed: Duration) -> u64 {
    (count as f64 / elapsed.as_secs_f64().max(0.001)) as u64
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) {
    let spawned = thread::Builder::new().name(name.to_owned()).spawn(run);
    spawned.unwrap_or_else(|error| panic!("no thread for {name}: {error}"));
}

/// Lines read and without an outcome: the bound of what `--report` keeps in order.
const REPORTED_MAX: usize = 100_000;
/// The same without a report. Mostly `buffer.memory` is the closer bound.
const OUTSTANDING_MAX: usize = 1_000_000;
/// How long an abort looks at what is known.
const LOOK_AROUND_MAX: Duration = Duration::from_secs(1);
/// Signals so close together are one.
const SAME_SIGNAL: Duration = Duration::from_millis(250);
const TICK: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests;
