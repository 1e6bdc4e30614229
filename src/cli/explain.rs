//! `pointsman explain`: why a record goes where it goes.

use super::format::Line;
use super::input::Source;
use super::options::{ConfigOptions, RecordOptions};
use super::sample::{Sample, Sampled, with_record};
use super::terminal::{print, ranges, say, short};
use super::topology::{PARTITIONS_MAX, Topics};
use super::{EXIT_FAILED, Usage};
use anyhow::Result;
use clap::Args;
use pointsman::explain::{Change, ChosenBy, Destination, Explainer, Explanation, Step};
use pointsman::plugin::Hook;
use pointsman::{Header, Record};
use std::fmt::Write;
use std::process::ExitCode;

/// Show why records go where they go: what each plugin does with them. Nothing is sent
#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Explain {
    #[command(flatten)]
    config: ConfigOptions,

    #[command(flatten)]
    records: RecordOptions,

    /// Ask no broker: topics have so many partitions, all of them with a leader
    #[arg(long, value_name = "PARTITIONS", value_parser = clap::value_parser!(u32).range(1..=PARTITIONS_MAX))]
    partitions: Option<u32>,

    /// Explain so many records
    #[arg(short = 'n', long, value_name = "RECORDS", default_value_t = 10)]
    limit: u64,
}

impl Explain {
    pub(super) fn run(&self) -> Result<ExitCode> {
        let mut config = self.config.load()?;
        let (format, sources) = (self.records.format()?, self.records.sources()?);
        for notice in config.notices.drain(..) {
            say(format!("note: {notice}"));
        }
        let mut topics = Topics::new(&config.producer, self.partitions)?;
        let mut explainer = Explainer::new(&config)?;
        let names = sources.iter().map(Source::name).collect::<Vec<_>>().join(", ");
        let mut sample = Sample::new(format, sources, config.producer.max_request_size);
        let (mut explained, mut all_good) = (0, true);
        while explained < self.limit
            && let Some(Sampled { place, line }) = sample.next()?
        {
            match line {
                Ok(line) => {
                    explained += 1;
                    all_good &= self.explain(&mut explainer, &mut topics, &place, &line)?;
                }
                Err(what) => {
                    all_good = false;
                    say(format!("{place}: {what}"));
                }
            }
        }
        if explained == 0 {
            say(format!("no record in {names}"));
        }
        Ok(if all_good && explained > 0 { ExitCode::SUCCESS } else { ExitCode::from(EXIT_FAILED) })
    }

    /// Returns whether the record would be sent.
    fn explain(&self, explainer: &mut Explainer, topics: &mut Topics, place: &str, line: &Line<'_>) -> Result<bool> {
        let Some(topic) = line.topic.as_deref().or(self.records.topic.as_deref()) else {
            return Err(Usage(format!("{place}: the line names no topic, and there is no -t")).into());
        };
        with_record(line, topic, |record| -> Result<_> {
            let explanation = explainer.explain(record, |topic| topics.topology(topic))?;
            let is_sent = matches!(explanation.destination, Destination::Partition { .. } | Destination::OneOf { .. });
            print(&text(place, record, &explanation)?)?;
            Ok(is_sent)
        })
    }
}

fn text(place: &str, record: &Record<'_>, explanation: &Explanation) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    write!(text, "{place}: to {}, key {}, value {}", record.topic, short(record.key), short(record.value))?;
    for Header { name, value } in record.headers {
        write!(text, ", header {name} = {}", short(*value))?;
    }
    text.push('\n');
    let widest = explanation.steps.iter().map(|step| step.plugin.len()).max().unwrap_or_default();
    for Step { hook, plugin, took, changes, failures, policy } in &explanation.steps {
        let mut did: Vec<String> = changes.iter().map(words).collect();
        for failure in failures {
            did.push(format!("{}; on-error = {policy}", failure.words()));
        }
        if did.is_empty() {
            let nothing = if matches!(hook, Hook::Partition | Hook::OnTopology) { "answered" } else { "no change" };
            did.push(nothing.to_owned());
        }
        let hook = hook.to_string();
        writeln!(text, "  {hook:<17} {plugin:<widest$} {:>7} µs  {}", took.as_micros(), did.join(", "))?;
    }
    writeln!(text, "  -> {}\n", destination(&explanation.destination))?;
    Ok(text)
}

fn words(change: &Change) -> String {
    match change {
        Change::Topic(topic) => format!("topic {topic}"),
        Change::Partition(-1) => "no partition".to_owned(),
        Change::Partition(partition) => format!("partition {partition}"),
        Change::Timestamp(timestamp) => format!("timestamp {timestamp}"),
        Change::Key(key) => format!("key {}", short(key.as_deref())),
        Change::Value(value) => format!("value {}", short(value.as_deref())),
        Change::HeaderAdded(name, value) => format!("header {name} = {}", short(value.as_deref())),
        Change::HeaderRemoved(name, _) => format!("without header {name}"),
    }
}

fn destination(destination: &Destination) -> String {
    let why = |by: &ChosenBy| match by {
        ChosenBy::Record => "the record names it",
        ChosenBy::Plugin => "the partitioner's answer",
        ChosenBy::Key => "Kafka's hash of the key",
        ChosenBy::RoundRobin => "in turn",
        ChosenBy::Load => "no key that counts: by load, a batch at a time",
    };
    match destination {
        Destination::Partition { topic, partition, by } => format!("{topic}-{partition}: {}", why(by)),
        Destination::OneOf { topic, partitions, by: by @ ChosenBy::Plugin } => {
            format!("{topic}, one of {}: {}; among them by load, a batch at a time", ranges(partitions), why(by))
        }
        Destination::OneOf { topic, partitions, by } => format!("{topic}, one of {}: {}", ranges(partitions), why(by)),
        Destination::Nowhere(error) => format!("not sent: {error}"),
        Destination::DeadLetter { topic, error } => format!("not sent, a letter to {topic}: {error}"),
    }
}

const AFTER_HELP: &str = "\
Examples:
  head -3 orders.jsonl | pointsman explain -c orders.toml -t orders --format json --key-field customer.id
  echo 'bj-17:hello' | pointsman explain -c orders.toml -t orders -K : --partitions 6

Formats are those of pointsman produce. The first record's times hold what a plugin does once.
Exit status: 0 every record would be sent, 1 not every one would, 2 the command line or the configuration makes no sense";
