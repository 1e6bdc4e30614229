//! `pointsman perf`: what a configuration carries, measured.

mod latency;
mod report;

use super::options::ConfigOptions;
use super::servers::Servers;
use super::stopwatch::{Stopwatch, process_cpu};
use super::terminal::{Progress, count, print, say, thousands};
use super::transactions::{self, TransactionOptions};
use super::{EXIT_FAILED, Usage};
use anyhow::{Result, anyhow, bail};
use clap::Args;
use latency::{Latencies, Sorted};
use pointsman::config::Config;
use pointsman::transaction::TransactionError;
use pointsman::{Delivery, Producer, Record};
use report::{Commits, Report};
use std::collections::VecDeque;
use std::process::ExitCode;
use std::time::Duration;

/// Send made-up records as fast as they go, or at a rate, and tell what that cost
///
/// Every delivery is waited for. The configuration's plugins take part. Values are random letters and digits, which a plugin
/// or serializer that expects anything else refuses.
#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Perf {
    #[command(flatten)]
    config: ConfigOptions,

    /// Topic; it must be there
    #[arg(short, long, value_name = "TOPIC")]
    topic: String,

    /// How many records
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    records: u64,

    /// Bytes of each value
    #[arg(long, value_name = "BYTES")]
    size: usize,

    /// Take keys from so many different ones; without it records have no key
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u64).range(1..))]
    keys: Option<u64>,

    /// Records a second; as many as go without it
    #[arg(long, value_name = "R", value_parser = clap::value_parser!(u64).range(1..))]
    rate: Option<u64>,

    /// Records to send before those that count
    #[arg(long, value_name = "N", default_value_t = 0)]
    warmup: u64,

    #[command(flatten)]
    transactions: TransactionOptions,

    /// Write the result as one JSON object
    #[arg(long)]
    json: bool,
}

/// Records that went out, and what became of them so far.
struct Run<'a> {
    producer: &'a Producer,
    perf: &'a Perf,
    payloads: Payloads,
    open: VecDeque<Delivery>,
    /// How long a commit is waited for.
    patience: Duration,
    failed: u64,
    first_error: Option<String>,
    transactions: Option<Transactions>,
}

/// Transactions, one after the other.
#[derive(Default)]
struct Transactions {
    /// Records of each.
    records_max: u64,
    /// Of the one that is open, if one is.
    records: Option<u64>,
    failed_before: u64,
    /// Microseconds of each commit.
    commits: Vec<u32>,
    aborted: u64,
}

/// Values cut from random letters, each at another place, so that neighbours are not alike.
struct Payloads {
    letters: Vec<u8>,
    size: usize,
}

impl Perf {
    pub(super) fn run(&self) -> Result<ExitCode> {
        let mut config = self.config.load()?;
        let most = config.producer.max_request_size;
        if self.size > most {
            return Err(Usage(format!("--size {} is larger than max.request.size ({most})", self.size)).into());
        }
        let records_max = self.transactions.records(&config)?;
        for notice in config.notices.drain(..) {
            say(format!("note: {notice}"));
        }
        self.require_topic(&config)?;
        let transactional_id = config.producer.transactional_id.clone();
        let (batch_size, patience) = (config.producer.batch_size, config.producer.delivery_timeout);
        let producer = Producer::start(config)?;
        if let Some(id) = transactional_id {
            transactions::init(&producer, &id)?;
        }
        let mut run = Run {
            producer: &producer,
            perf: self,
            payloads: Payloads::new(self.size),
            open: VecDeque::new(),
            patience,
            failed: 0,
            first_error: None,
            transactions: records_max.map(|records_max| Transactions { records_max, ..Transactions::default() }),
        };
        let progress = Progress::start(true);
        run.send(self.warmup, None, &progress, "warming up")?;
        run.settle()?;
        run.transactions.iter_mut().for_each(|transactions| transactions.commits.clear());
        let warm_up_failed = std::mem::take(&mut run.failed);
        if warm_up_failed > 0 {
            let why = run.first_error.unwrap_or_default();
            bail!("{} of the warm-up failed: {why}", count(warm_up_failed, "record"));
        }

        let latencies = Latencies::new(self.records);
        let (started, cpu) = (Stopwatch::start(), process_cpu());
        run.send(self.records, Some(&latencies), &progress, "sending")?;
        run.settle()?;
        let (elapsed, cpu) = (started.elapsed(), process_cpu() - cpu);
        drop(progress);

        let metric = |name| producer.metrics().value("producer-metrics", name, &[]).filter(|value| value.is_finite());
        let report = Report {
            topic: &self.topic,
            records: self.records,
            size: self.size,
            elapsed,
            cpu,
            latencies: latencies.sorted(),
            batch_bytes: metric("batch-size-avg"),
            compression_rate: metric("compression-rate-avg"),
            batch_size,
            commits: run
                .transactions
                .map(|Transactions { commits, aborted, .. }| Commits { times: Sorted::from(commits), aborted }),
            failed: run.failed,
            first_error: run.first_error.as_deref(),
        };
        print(&if self.json { report.json() } else { report.table() })?;
        let failed = report.failed;
        producer.close_blocking(patience)?;
        Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::from(EXIT_FAILED) })
    }

    fn require_topic(&self, config: &Config) -> Result<()> {
        let mut servers = Servers::new(&config.producer)?;
        if servers.has(&self.topic)? {
            return Ok(());
        }
        let advice = match servers.nearest(&self.topic) {
            Some(meant) => format!("did you mean {meant}?"),
            None => "pointsman topic create creates it".to_owned(),
        };
        bail!("topic {} does not exist on {servers}; {advice}", self.topic)
    }
}

impl Run<'_> {
    fn send(&mut self, records: u64, latencies: Option<&Latencies>, progress: &Progress, what: &str) -> Result<()> {
        let started = Stopwatch::start();
        let mut key = String::new();
        for number in 0..records {
            if let Some(rate) = self.perf.rate {
                // The schedule does not slip: after a stall the records that are due go out at once.
                let due = Duration::from_nanos((u128::from(number) * 1_000_000_000 / u128::from(rate)) as u64);
                let early = due.saturating_sub(started.elapsed());
                if early > Duration::from_millis(1) {
                    std::thread::sleep(early);
                }
            }
            self.begin()?;
            let mut record = Record::to(&self.perf.topic).value(self.payloads.value(number));
            if let Some(keys) = self.perf.keys {
                use std::fmt::Write;
                key.clear();
                let _ = write!(key, "{}", scattered(number) % keys);
                record = record.key(&key);
            }
            let sent = match latencies.and_then(|latencies| latencies.sample(number)) {
                Some(told) => self.producer.send_with_blocking(&record, move |result| told.delivered(result.is_ok())),
                None => self.producer.send_blocking(&record),
            };
            match sent {
                Ok(delivery) => self.open.push_back(delivery),
                Err(error) => self.fail(&error),
            }
            while let Some(outcome) = self.open.front().and_then(Delivery::try_result) {
                self.open.pop_front();
                outcome.err().iter().for_each(|error| self.fail(error));
            }
            self.commit_if_full()?;
            if number % 4096 == 0 && progress.is_shown() {
                progress.set(format!("{what}: {} of {}", thousands(number), count(records, "record")));
            }
        }
        Ok(())
    }

    /// Until every fate is known.
    fn settle(&mut self) -> Result<()> {
        self.commit()?;
        // Callbacks included.
        self.producer.flush_blocking()?;
        self.take_outcomes();
        Ok(())
    }

    fn take_outcomes(&mut self) {
        while let Some(delivery) = self.open.pop_front() {
            delivery.wait().err().iter().for_each(|error| self.fail(error));
        }
    }

    /// Has a transaction open for the next record, where there are to be any.
    fn begin(&mut self) -> Result<()> {
        let Some(transactions) = &mut self.transactions else { return Ok(()) };
        if transactions.records.is_none() {
            self.producer.begin_transaction()?;
            (transactions.records, transactions.failed_before) = (Some(0), self.failed);
        }
        transactions.records = transactions.records.map(|records| records + 1);
        Ok(())
    }

    fn commit_if_full(&mut self) -> Result<()> {
        let is_full = |of: &Transactions| of.records.is_some_and(|records| records >= of.records_max);
        if self.transactions.as_ref().is_some_and(is_full) { self.commit() } else { Ok(()) }
    }

    /// Ends the transaction that is open, if one is. What is aborted has failed, every record of it.
    fn commit(&mut self) -> Result<()> {
        let Some(records) = self.transactions.as_mut().and_then(|transactions| transactions.records.take()) else {
            return Ok(());
        };
        let started = Stopwatch::start();
        let commit = || self.producer.commit_transaction_blocking();
        let committed = transactions::commit_patiently(self.patience, commit, |_| ());
        let micros = u32::try_from(started.elapsed().as_micros()).unwrap_or(u32::MAX);
        let failed = |error| anyhow!(transactions::words(&error));
        match committed {
            Ok(()) => {}
            Err(TransactionError::MustAbort { .. }) => self.producer.abort_transaction_blocking().map_err(failed)?,
            Err(error) => return Err(failed(error)),
        }
        self.take_outcomes();
        let Some(transactions) = &mut self.transactions else { return Ok(()) };
        if let Err(error) = committed {
            transactions.aborted += 1;
            self.failed = transactions.failed_before + records;
            self.first_error.get_or_insert_with(|| error.to_string());
        } else {
            transactions.commits.push(micros);
        }
        Ok(())
    }

    fn fail(&mut self, error: &pointsman::ProduceError) {
        self.failed += 1;
        self.first_error.get_or_insert_with(|| error.to_string());
    }
}

impl Payloads {
    fn new(size: usize) -> Payloads {
        let letter = |at| b"abcdefghijklmnopqrstuvwxyz0123456789"[(scattered(at) % 36) as usize];
        Payloads { letters: (0..size as u64 + OFFSETS).map(letter).collect(), size }
    }

    fn value(&self, number: u64) -> &[u8] {
        let at = (scattered(number) % OFFSETS) as usize;
        &self.letters[at..at + self.size]
    }
}

/// A number that looks random and is the same each time (SplitMix64's finish).
fn scattered(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

const OFFSETS: u64 = 64 * 1024;

const AFTER_HELP: &str = "\
Latency is from the call of send, a wait for memory included, to the delivery; of runs beyond 100,000 records it is
taken of every so-manieth. CPU is the whole process's. How full batches are is that of the last minute.

Where transactional.id is set, all records are one transaction, or with --commit-every several, and
those of the warm-up are others. The time of a commit is that of the call, which waits for what is
under way. A transaction of which a record fails is aborted, all of its records have failed then,
and the next one begins.

Examples:
  pointsman perf -c pointsman.toml -t orders --records 1000000 --size 100 --warmup 100000
  pointsman perf -b localhost:9092 -t orders --records 60000 --size 1000 --keys 500 --rate 2000 --json
  pointsman perf -c pointsman.toml -t orders --records 60000 --size 100 --commit-every 1000

Exit status: 0 every record was delivered, 1 not all were, 2 the command line or the configuration makes no sense";
