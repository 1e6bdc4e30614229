//! `pointsman topic`: the little of it that producing needs.

use super::options::{ConfigOptions, key_value};
use super::servers::{BROKER_DEFAULT, Servers};
use super::terminal::{count, print, say};
use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use pointsman::net::admin::LogEnds;
use pointsman::protocol::codec::create_topics::NewTopic;
use std::fmt::Write;
use std::process::ExitCode;

/// Create or describe a topic
#[derive(Args, Debug)]
pub(super) struct TopicCommand {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Create(Create),
    Describe(Describe),
}

/// Create a topic
#[derive(Args, Debug)]
#[command(after_help = "Example: pointsman topic create orders --partitions 6 --replication 3 \
                        --config min.insync.replicas=2 -b localhost:9092")]
struct Create {
    /// Name
    name: String,

    /// Number of partitions; the broker's default if left out
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
    partitions: Option<i32>,

    /// Replicas of each partition; the broker's default if left out
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(i16).range(1..))]
    replication: Option<i16>,

    /// A setting of the topic, such as retention.ms=3600000; may be repeated
    #[arg(long = "config", value_name = "KEY=VALUE", value_parser = key_value, id = "topic_config")]
    configs: Vec<(String, String)>,

    #[command(flatten)]
    config: TopicConfigOptions,
}

/// Show a topic's partitions (leaders, offsets, replicas, those in sync) and the settings made for it
#[derive(Args, Debug)]
#[command(after_help = "Example: pointsman topic describe orders -b localhost:9092")]
struct Describe {
    /// Name
    name: String,

    #[command(flatten)]
    config: TopicConfigOptions,
}

/// As everywhere, but for `--config`, which is a topic's here.
#[derive(Args, Debug)]
struct TopicConfigOptions {
    /// Configuration file that names the brokers
    #[arg(short = 'c', value_name = "FILE", required_unless_present = "bootstrap")]
    file: Option<std::path::PathBuf>,

    /// Brokers, instead of or over the file's bootstrap.servers
    #[arg(short, long, value_name = "HOST:PORT,…")]
    bootstrap: Option<String>,

    /// Override a key of the file
    #[arg(short = 'X', value_name = "KEY=VALUE", value_parser = key_value)]
    overrides: Vec<(String, String)>,
}

impl TopicCommand {
    pub(super) fn run(&self) -> Result<ExitCode> {
        match &self.command {
            Command::Create(command) => command.run(),
            Command::Describe(command) => command.run(),
        }
    }
}

impl TopicConfigOptions {
    fn servers(&self) -> Result<Servers> {
        let TopicConfigOptions { file, bootstrap, overrides } = self;
        let options =
            ConfigOptions { config: file.clone(), bootstrap: bootstrap.clone(), overrides: overrides.clone() };
        Servers::new(&options.load()?.producer)
    }
}

impl Create {
    fn run(&self) -> Result<ExitCode> {
        let mut servers = self.config.servers()?;
        let topic = NewTopic {
            name: self.name.clone(),
            partitions: self.partitions.unwrap_or(BROKER_DEFAULT),
            replication_factor: self.replication.unwrap_or(BROKER_DEFAULT as i16),
            configs: self.configs.iter().map(|(key, value)| (key.clone(), Some(value.clone()))).collect(),
        };
        servers.create_topic(topic, false)?;
        print(&format!("created topic {} on {servers}\n", self.name))?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Describe {
    fn run(&self) -> Result<ExitCode> {
        let mut servers = self.config.servers()?;
        let address = servers.to_string();
        if !servers.has(&self.name)? {
            let advice = match servers.nearest(&self.name) {
                Some(meant) => format!("did you mean {meant}?"),
                None => "pointsman topic create creates it".to_owned(),
            };
            anyhow::bail!("topic {} does not exist on {address}; {advice}", self.name);
        }
        let admin = servers.admin()?;
        let described = admin.describe_topics(&[&self.name])?;
        let topic = described.first().with_context(|| format!("{address} says nothing of topic {}", self.name))?;
        let offsets = admin.offsets(topic)?;
        // A broker that is gone is why one looks.
        for (leader, error) in &offsets.silent {
            say(format!("leader {leader} does not tell its offsets: {error}"));
        }
        // A broker may keep them from us, and the rest is worth showing all the same.
        let configs = admin.topic_configs(&self.name);
        let mut text = String::new();
        writeln!(text, "topic {}: {}", topic.name, count(topic.partitions.len() as u64, "partition"))?;
        if topic.id != [0; 16] {
            let hex: String = topic.id.iter().map(|byte| format!("{byte:02x}")).collect();
            writeln!(text, "id {}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])?;
        }
        writeln!(
            text,
            "{:>9}  {:>6}  {:>12}  {:>12}  {:<12}  in sync",
            "partition", "leader", "begin", "end", "replicas"
        )?;
        let mut records = 0;
        for (partition, ends) in topic.partitions.iter().zip(offsets.ends) {
            let offset = |pick: fn(LogEnds) -> i64| ends.map_or("?".to_owned(), |ends| pick(ends).to_string());
            let (begin, end) = (offset(|ends| ends.begin), offset(|ends| ends.end));
            records += ends.map_or(0, |ends| u64::try_from(ends.end - ends.begin).unwrap_or(0));
            let leader = if partition.leader < 0 { "none".to_owned() } else { partition.leader.to_string() };
            let (replicas, in_sync) = (list(&partition.placement.replicas), list(&partition.placement.in_sync));
            let short =
                if partition.placement.in_sync.len() < partition.placement.replicas.len() { "  (not all)" } else { "" };
            writeln!(
                text,
                "{:>9}  {leader:>6}  {begin:>12}  {end:>12}  {replicas:<12}  {in_sync}{short}",
                partition.index
            )?;
        }
        let but = if offsets.silent.is_empty() { "" } else { ", and those whose offsets are not told" };
        writeln!(text, "at most {}{but}", count(records, "record"))?;
        match configs {
            Ok(configs) => {
                for (name, value) in configs {
                    writeln!(text, "{name} = {}", value.as_deref().unwrap_or("(secret)"))?;
                }
            }
            Err(error) => writeln!(text, "its settings are not told: {error}")?,
        }
        print(&text)?;
        Ok(ExitCode::SUCCESS)
    }
}

fn list(numbers: &[i32]) -> String {
    numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}
