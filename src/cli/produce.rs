//! `pointsman produce`: lines from files or standard input to Kafka, through the plugins.

mod feed;

mod kafka;
mod results;
mod run;
mod topics;
mod transactions;
mod window;

use super::input::Source;
use super::options::{ConfigOptions, RecordOptions};
use super::servers::Servers;
use super::signals;
use super::terminal::say;
use super::transactions::{self as of_commands, TransactionOptions};
use super::{EXIT_FAILED, EXIT_USAGE};
use anyhow::{Result, anyhow};
use clap::{Args, ValueEnum};
use feed::Job;
use pointsman::Producer;
use pointsman::config::Config;
use run::{Event, Options, Outcome};
use std::io::{self, BufWriter, IsTerminal, Stdout};
use std::process::ExitCode;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Duration;
use topics::{Create, TopicError, Topics};

/// Send lines of files, or of standard input, to Kafka through the configured plugins
#[derive(Args, Debug)]
#[command(after_help = "Examples, formats and exit status: pointsman produce --help", after_long_help = AFTER_HELP)]
pub(super) struct Produce {
    #[command(flatten)]
    config: ConfigOptions,

    #[command(flatten)]
    records: RecordOptions,

    /// Create topics that do not exist, with so many partitions or the broker's default
    #[arg(long, value_name = "PARTITIONS", num_args = 0..=1, require_equals = true, value_parser = clap::value_parser!(i32).range(1..))]
    create_topics: Option<Option<i32>>,

    /// Write what became of each line to stdout, in the order of the input
    #[arg(long, value_enum, value_name = "FORMAT")]
    report: Option<ReportFormat>,

    #[command(flatten)]
    transactions: TransactionOptions,

    /// Stop at the first line that is no record
    #[arg(long)]
    strict: bool,

    /// Show errors only: no progress, no summary
    #[arg(short, long)]
    quiet: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ReportFormat {
    /// A JSON object per line of input
    Jsonl,
}

impl Produce {
    /// Runs it.
    pub(super) fn run(&self) -> Result<ExitCode> {
        let mut config = self.config.load()?;
        let job = self.job(&config)?;
        let transactions = self.transactions.records(&config)?;
        // Taken out: the library logs those that are left.
        for notice in config.notices.drain(..).filter(|_| !self.quiet) {
            say(format!("note: {notice}"));
        }

        let (events, inbox) = mpsc::channel();
        let tell = events.clone();
        signals::watch(move |signal| tell.send(Event::Signal(signal)).is_ok())?;

        let close_deadline = config.producer.delivery_timeout + CLOSE_MARGIN;
        let (producer, topics) = match self.start(config, &events, &inbox) {
            Started::Yes(started) => *started,
            Started::No(error) => return Err(error),
            Started::Stopped(code) => return Ok(code),
        };
        if job.sources == [Source::Stdin] && io::stdin().is_terminal() && !self.quiet {
            say("reading records from the terminal; Ctrl-D ends");
        }
        let report: Option<BufWriter<Stdout>> = self.report.map(|ReportFormat::Jsonl| BufWriter::new(io::stdout()));
        let is_torn = report.is_some() && io::stdout().is_terminal();
        let shows_progress = !self.quiet && !is_torn;
        let options = Options { report, is_quiet: self.quiet, shows_progress, close_deadline, transactions };
        Ok(match run::run(job, producer, topics, options, (events, &inbox)) {
            Outcome::Delivered => ExitCode::SUCCESS,
            Outcome::NotAll => ExitCode::from(EXIT_FAILED),
            Outcome::Aborted(signal) => ExitCode::from(signal.exit_code()),
        })
    }

    fn job(&self, config: &Config) -> Result<Job> {
        Ok(Job {
            format: self.records.format()?,
            sources: self.records.sources()?,
            topic: self.records.topic.clone(),
            record_bytes_max: config.producer.max_request_size,
            is_strict: self.strict,
        })
    }

    /// Loads the plugins and asks for the topic, on a thread of its own: both may take their time, and a signal ends
    /// the process at once, as nothing has been sent.
    fn start(
        &self,
        config: Config,
        events: &Sender<Event<StartResult>>,
        inbox: &Receiver<Event<StartResult>>,
    ) -> Started {
        let tell = events.clone();
        let create = self.create_topics.map_or(Create::No, Create::Yes);
        let topic = self.records.topic.clone();
        let starting = move || {
            let _ = tell.send(Event::Started(prepare(config, create, topic.as_deref()).map(Box::new)));
        };
        if let Err(error) = thread::Builder::new().name("start".to_owned()).spawn(starting) {
            return Started::No(anyhow!(error).context("no thread to start with"));
        }
        loop {
            match inbox.recv() {
                Ok(Event::Started(Ok(started))) => return Started::Yes(started),
                Ok(Event::Started(Err(error))) => return Started::No(error),
                Ok(Event::Signal(signal)) => {
                    say(format!("{signal} before anything was sent"));
                    return Started::Stopped(ExitCode::from(signal.exit_code()));
                }
                Ok(_) => {}
                Err(error) => return Started::No(error.into()),
            }
        }
    }
}

type StartResult = Result<Box<(Producer, Topics<Servers>)>>;

enum Started {
    Yes(Box<(Producer, Topics<Servers>)>),
    No(anyhow::Error),
    Stopped(ExitCode),
}

fn prepare(config: Config, create: Create, topic: Option<&str>) -> Result<(Producer, Topics<Servers>)> {
    let mut topics = Topics::new(Servers::new(&config.producer)?, create);
    let transactional_id = config.producer.transactional_id.clone();
    // Plugins first: what is wrong with them needs no broker to be found out.
    let producer = Producer::start(config)?;
    if let Some(topic) = topic {
        topics.require(topic).map_err(|error| match error {
            TopicError::Unreachable(why) | TopicError::Absent(why) => anyhow!(why),
        })?;
    }
    if let Some(id) = transactional_id {
        of_commands::init(&producer, &id)?;
    }
    Ok((producer, topics))
}

/// For the plugins' close, after the last delivery.
const CLOSE_MARGIN: Duration = Duration::from_secs(10);

const AFTER_HELP: &str = r#"Formats:
  lines  The line is the value. With -K ":" it is key:value, split at the first ":". The separator may be
         written \t, \0 or \x1f. Line ends (\n or \r\n) are no part of the record.
  json   The line is JSON and as a whole the value, byte for byte; --key-field customer.id takes the key out
         of it. Blank lines are skipped.
  jsonl  The line is a JSON object. All of its fields may be left out:
           topic            instead of -t
           partition        a number; the partitioner is not asked then
           timestamp        milliseconds since 1970
           key, value       a string stands for its UTF-8 bytes, null for null (a tombstone); anything else
                            is sent as JSON, without spaces, every digit of its numbers kept
           key_base64, value_base64        bytes that are no text
           headers          {"name": "text", "other": null, "bytes": {"base64": "/w=="}},
                            or [["name", "text"], …] where names repeat

Report (--report jsonl), on stdout, in the order of the input:
  {"line":1,"topic":"orders","partition":3,"offset":17,"timestamp":1700000000000}
  {"line":2,"error":"…","fate":"not-written"}     or "unknown": it may be written all the same
  With several files, "file" says which. An offset may be null: with acks=0, or for a repeated batch.
  A transaction has a line behind those of its records, which tell what is written, committed or not:
  {"transaction":1,"outcome":"committed","records":1000}   or "aborted", or "unknown"
  Its "error", if there is one, says why it was not committed.

Transactions, where transactional.id is set:
  All of the input is one, or with --commit-every 1000 each 1000 records are. It is begun by its
  first record, and committed if every line was a record and every record was delivered. At the
  first that is not (one that a plugin drops is not), reading ends and the transaction is aborted,
  as at a signal. So what is committed is the beginning of the input, and how far that goes is said;
  consumers with isolation.level=read_committed see nothing else. A transaction that is open for
  longer than transaction.timeout.ms, as when input comes slowly, is aborted by the broker, and that
  is an error.

Examples:
  pointsman produce -c pointsman.toml -t orders -K "\t" orders.tsv
  pointsman produce -b localhost:9092 -t orders --format json --key-field customer.id < orders.jsonl
  pointsman produce -c pointsman.toml --format jsonl --create-topics=6 --report jsonl a.jsonl b.jsonl
  pointsman produce -c pointsman.toml -t orders -X transactional.id=import orders.tsv
  tail -F app.log | pointsman produce -c pointsman.toml -t logs -X linger.ms=100 -X compression.type=lz4

Ctrl-C and SIGTERM end the reading; what was accepted is delivered, but an open transaction is
aborted. A second one aborts at once.

Exit status:
  0        every line was a record, and every record was delivered (and committed)
  1        not all were: bad lines, failed deliveries, no broker, no such topic, an early end
  2        the command line or the configuration makes no sense
  130 143  stopped by Ctrl-C or SIGTERM before anything was sent, or aborted by a second one"#;

const _: () = assert!(EXIT_USAGE == 2 && EXIT_FAILED == 1, "the help says so");
