//! `pointsman explain`: why a record goes where it goes.

use super::format::Line;
use super::input::{Found, Source};
use super::options::{ConfigOptions, RecordOptions};
use super::servers::Servers;
use super::terminal::{count, print, say};
use super::{EXIT_FAILED, Usage};
use anyhow::{Context, Result, anyhow};
use clap::Args;
use pointsman::explain::{Change, ChosenBy, Destination, Explainer, Explanation, Step};
use pointsman::plugin::{Hook, Topology, TopologyBroker};
use pointsman::{Header, Record};
use std::collections::{BTreeMap, BTreeSet};
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
    #[arg(long, value_name = "PARTITIONS", value_parser = clap::value_parser!(u32).range(1..))]
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
        let mut topics =
            Topics { known: BTreeMap::new(), servers: Servers::new(&config.producer)?, partitions: self.partitions };
        let mut explainer = Explainer::new(&config)?;
        let bytes_max = format.line_bytes_max(config.producer.max_request_size);
        let (mut explained, mut all_good) = (0, true);
        'all: for source in &sources {
            let mut lines = source.open(bytes_max).map_err(|error| anyhow!("{}: {error}", source.name()))?;
            loop {
                if explained == self.limit {
                    break 'all;
                }
                let found = lines.next().with_context(|| format!("{} cannot be read", source.name()))?;
                let parsed = match found {
                    None => break,
                    Some(Found::TooLong(length)) => Err(format!("a line of {length} bytes is no record")),
                    Some(Found::Line(line)) => match format.parse(line) {
                        Ok(None) => continue,
                        Ok(Some(line)) => Ok(owned(line)),
                        Err(bad) => Err(bad.to_string()),
                    },
                };
                let place = format!("{}:{}", source.name(), lines.number());
                match parsed {
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
        }
        if explained == 0 {
            say(format!("no record in {}", sources.iter().map(Source::name).collect::<Vec<_>>().join(", ")));
        }
        Ok(if all_good && explained > 0 { ExitCode::SUCCESS } else { ExitCode::from(EXIT_FAILED) })
    }

    /// Returns whether the record would be sent.
    fn explain(&self, explainer: &mut Explainer, topics: &mut Topics, place: &str, line: &Line<'_>) -> Result<bool> {
        let Some(topic) = line.topic.as_deref().or(self.records.topic.as_deref()) else {
            return Err(Usage(format!("{place}: the line names no topic, and there is no -t")).into());
        };
        let headers: Vec<Header<'_>> =
            line.headers.iter().map(|(name, value)| Header { name, value: value.as_deref() }).collect();
        let record = Record {
            partition: line.partition,
            timestamp: line.timestamp,
            key: line.key.as_deref(),
            value: line.value.as_deref(),
            headers: &headers,
            ..Record::to(topic)
        };
        let explanation = explainer.explain(&record, |topic| topics.topology(topic))?;
        print(&text(place, &record, &explanation)?)?;
        Ok(matches!(explanation.destination, Destination::Partition { .. } | Destination::OneOf { .. }))
    }
}

/// What is known of topics.
struct Topics {
    known: BTreeMap<String, Topology>,
    servers: Servers,
    partitions: Option<u32>,
}

impl Topics {
    fn topology(&mut self, topic: &str) -> Result<Topology> {
        if let Some(known) = self.known.get(topic) {
            return Ok(known.clone());
        }
        let topology = match self.partitions {
            Some(partitions) => Topology {
                topic: topic.to_owned(),
                partitions,
                leaders: vec![0; partitions as usize],
                brokers: vec![TopologyBroker { id: 0, rack: None }],
            },
            None => self.ask(topic)?,
        };
        self.known.insert(topic.to_owned(), topology.clone());
        Ok(topology)
    }

    fn ask(&mut self, topic: &str) -> Result<Topology> {
        if !self.servers.has(topic)? {
            let advice = self.servers.nearest(topic).map_or(String::new(), |meant| format!("; did you mean {meant}?"));
            anyhow::bail!(
                "topic {topic} does not exist on {}{advice} (--partitions N explains without a broker)",
                self.servers
            );
        }
        let described = self.servers.admin()?.describe_topics(&[topic])?;
        let description = described.first().with_context(|| format!("the broker says nothing of topic {topic}"))?;
        let leaders: Vec<i32> = description.partitions.iter().map(|partition| partition.leader).collect();
        let brokers: BTreeSet<i32> = leaders.iter().copied().filter(|leader| *leader >= 0).collect();
        Ok(Topology {
            topic: topic.to_owned(),
            partitions: leaders.len() as u32,
            leaders,
            brokers: brokers.into_iter().map(|id| TopologyBroker { id, rack: None }).collect(),
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

/// `0-2,5`.
fn ranges(numbers: &[u32]) -> String {
    let mut text = String::new();
    let mut rest = numbers;
    while let [first, ..] = rest {
        let run = rest.iter().zip(*first..).take_while(|(number, expected)| *number == expected).count();
        let comma = if text.is_empty() { "" } else { "," };
        match run {
            1 => text += &format!("{comma}{first}"),
            _ => text += &format!("{comma}{first}-{}", rest[run - 1]),
        }
        rest = &rest[run..];
    }
    text
}

/// The beginning of some bytes: as text where they are, else in hex.
fn short(bytes: Option<&[u8]>) -> String {
    const SHOWN: usize = 60;
    let Some(bytes) = bytes else { return "null".to_owned() };
    let cut = &bytes[..bytes.len().min(SHOWN)];
    // A character may be cut in two.
    let text = match std::str::from_utf8(cut) {
        Ok(text) => Some(text),
        Err(error) if error.error_len().is_none() && error.valid_up_to() > 0 => {
            std::str::from_utf8(&cut[..error.valid_up_to()]).ok()
        }
        Err(_) => None,
    };
    let rest = if bytes.len() > SHOWN { format!("… ({})", count(bytes.len() as u64, "byte")) } else { String::new() };
    match text.filter(|text| !text.chars().any(char::is_control)) {
        Some(text) => format!("\"{text}\"{rest}"),
        None => format!("{}{rest}", cut.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")),
    }
}

/// A line that outlives its buffer.
fn owned(line: Line<'_>) -> Line<'static> {
    Line {
        topic: line.topic.map(|topic| topic.into_owned().into()),
        partition: line.partition,
        timestamp: line.timestamp,
        key: line.key.map(|key| key.into_owned().into()),
        value: line.value.map(|value| value.into_owned().into()),
        headers: (line.headers.into_iter())
            .map(|(name, value)| (name.into_owned().into(), value.map(|value| value.into_owned().into())))
            .collect(),
    }
}

const AFTER_HELP: &str = "\
Examples:
  head -3 orders.jsonl | pointsman explain -c orders.toml -t orders --format json --key-field customer.id
  echo 'bj-17:hello' | pointsman explain -c orders.toml -t orders -K : --partitions 6

Formats are those of pointsman produce. The first record's times hold what a plugin does once.
Exit status: 0 every record would be sent, 1 not every one would, 2 the command line or the configuration makes no sense";

#[cfg(test)]
mod tests {
    use super::{ranges, short};

    #[test]
    fn numbers_in_a_row_are_a_range() {
        assert_eq!(ranges(&[0, 1, 2, 5, 7, 8]), "0-2,5,7-8");
        assert_eq!(ranges(&[]), "");
    }

    #[test]
    fn bytes_are_shown_as_what_they_are() {
        assert_eq!(short(None), "null");
        assert_eq!(short(Some(b"a")), "\"a\"");
        assert_eq!(short(Some(&[0, 255])), "00 ff");
        assert_eq!(short(Some("é".repeat(40).as_bytes())), format!("\"{}\"… (80 bytes)", "é".repeat(30)));
    }
}
