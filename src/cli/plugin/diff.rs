//! `pointsman plugin diff`: which keys another plugin, or another configuration, sends elsewhere.

mod moves;

use crate::cli::options::{RecordOptions, key_value};
use crate::cli::sample::{Sample, Sampled, with_record};
use crate::cli::terminal::{count, print, say};
use crate::cli::topology::{PARTITIONS_MAX, Topics};
use crate::cli::{EXIT_FAILED, EXIT_USAGE, Usage, words};
use anyhow::{Context, Result, anyhow};
use clap::Args;
use moves::{Moves, Place};
use pointsman::config::{Config, PartitionerClass};
use pointsman::explain::{Destination, Explainer};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Say how many keys would move from one partitioner, or configuration, to another. Nothing is sent
#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Diff {
    /// What places records now: a configuration, or a component in the place of the partitioner of -c
    #[arg(value_name = "OLD")]
    old: PathBuf,

    /// What would place them
    #[arg(value_name = "NEW")]
    new: PathBuf,

    /// The configuration around components: settings, interceptors, serializers
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Whose place components take in it, if more than one partitioner is a plugin
    #[arg(long, value_name = "NAME", requires = "config")]
    plugin: Option<String>,

    /// Override a key on both sides, such as plugins.NAME.settings.KEY=VALUE; may be repeated
    #[arg(short = 'X', value_name = "KEY=VALUE", value_parser = key_value)]
    overrides: Vec<(String, String)>,

    #[command(flatten)]
    records: RecordOptions,

    /// Ask no broker: topics have so many partitions, all of them with a leader
    #[arg(long, value_name = "PARTITIONS", value_parser = clap::value_parser!(u32).range(1..=PARTITIONS_MAX))]
    partitions: Option<u32>,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Diff {
    pub(super) fn run(&self) -> Result<ExitCode> {
        // As with diff and cmp: 1 is an answer.
        match self.compare() {
            Ok(moves) if moves.any() => Ok(ExitCode::from(EXIT_FAILED)),
            Ok(_) => Ok(ExitCode::SUCCESS),
            Err(error) => {
                say(format!("error: {}", words(&error)));
                Ok(ExitCode::from(EXIT_USAGE))
            }
        }
    }

    fn compare(&self) -> Result<Moves> {
        let (format, sources) = (self.records.format()?, self.records.sources()?);
        if self.config.is_some() && !is_component(&self.old) && !is_component(&self.new) {
            return Err(Usage("-c is for components, and OLD and NEW are both configurations".to_owned()).into());
        }
        let mut sides = [self.side(&self.old)?, self.side(&self.new)?];
        for (config, name) in sides.iter_mut().zip([&self.old, &self.new]) {
            config.notices.drain(..).for_each(|notice| say(format!("note: {}: {notice}", name.display())));
        }
        // Of the cluster that the records go to now.
        let mut topics = Topics::new(&sides[0].producer, self.partitions)?;
        let mut explainers = Vec::new();
        for (config, name) in sides.iter().zip([&self.old, &self.new]) {
            explainers.push(Explainer::new(config).with_context(|| name.display().to_string())?);
        }
        let bytes_max = sides.iter().map(|config| config.producer.max_request_size).max().unwrap_or_default();
        let mut sample = Sample::new(format, sources, bytes_max);
        let (mut moves, mut skipped) = (Moves::default(), 0);
        while let Some(Sampled { place, line }) = sample.next()? {
            let line = match line {
                Ok(line) => line,
                Err(what) => {
                    skipped += 1;
                    say(format!("{place}: {what}"));
                    continue;
                }
            };
            let Some(topic) = line.topic.as_deref().or(self.records.topic.as_deref()) else {
                return Err(Usage(format!("{place}: the line names no topic, and there is no -t")).into());
            };
            let mut places = Vec::new();
            for explainer in &mut explainers {
                let explained =
                    with_record(&line, topic, |record| explainer.explain(record, |topic| topics.topology(topic)))?;
                places.push(placed(explained.destination));
            }
            let (Some(new), Some(old)) = (places.pop(), places.pop()) else { unreachable!("one for each side") };
            moves.add(topic, line.key.as_deref(), old, new);
        }
        if moves.is_empty() {
            return Err(anyhow!("there is no record to compare by"));
        }
        if let Some(why) = moves.none_is_sent() {
            return Err(anyhow!("neither side would send any of these records: {why}"));
        }
        print(&if self.json { moves.json() } else { moves.text(&self.name(&self.old), &self.name(&self.new))? })?;
        match skipped {
            0 => Ok(moves),
            _ => Err(anyhow!("{} could not be read as records, and were left out", count(skipped, "line"))),
        }
    }

    /// The configuration of a side.
    fn side(&self, file: &Path) -> Result<Config> {
        let mut overrides = self.overrides.clone();
        if !is_component(file) {
            return Ok(Config::from_file_with(file, &overrides)?);
        }
        let Some(config) = &self.config else {
            let what =
                "which configuration is it for? -c FILE has its settings, or write a configuration for each side";
            return Err(Usage(format!("{}: {what}", file.display())).into());
        };
        let around = Config::from_file_with(config, &overrides)?;
        let name = self.replaced(&around).map_err(|what| Usage(format!("{}: {what}", config.display())))?;
        // As seen from here, not from the folder of the configuration; which may have pinned the component that it names.
        let component = std::path::absolute(file).with_context(|| file.display().to_string())?;
        let component = component.to_str().with_context(|| format!("{}: not UTF-8", file.display()))?;
        overrides.push((format!("plugins.{name}.component"), component.to_owned()));
        overrides.push((format!("plugins.{name}.sha256"), String::new()));
        Ok(Config::from_file_with(config, &overrides)?)
    }

    /// The name of the plugin whose place components take.
    fn replaced(&self, config: &Config) -> Result<String, String> {
        let common = config.producer.chain();
        let chains = std::iter::once(&common).chain(config.topics.iter().map(|topic| &topic.chain));
        let partitioners: BTreeSet<&str> = chains
            .filter_map(|chain| match &chain.partitioner_class {
                PartitionerClass::Wasm(name) => Some(name.as_str()),
                _ => None,
            })
            .collect();
        let all = partitioners.iter().copied().collect::<Vec<_>>().join(", ");
        match (&self.plugin, partitioners.first()) {
            (_, None) => Err("no partitioner.class is a plugin whose place a component could take".to_owned()),
            (Some(name), _) if partitioners.contains(name.as_str()) => Ok(name.clone()),
            (Some(name), _) => Err(format!("{name} is no partitioner in it; these are: {all}")),
            (None, Some(only)) if partitioners.len() == 1 => Ok((*only).to_owned()),
            (None, _) => Err(format!("which partitioner shall a component take the place of? --plugin NAME, of {all}")),
        }
    }

    /// How a side is named.
    fn name(&self, file: &Path) -> String {
        match &self.config {
            Some(config) if is_component(file) => format!("{} in {}", file.display(), config.display()),
            _ => file.display().to_string(),
        }
    }
}

fn is_component(file: &Path) -> bool {
    file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("wasm"))
}

fn placed(destination: Destination) -> Place {
    match destination {
        Destination::Partition { topic, partition, .. } => Place::Partition { topic, partition },
        Destination::OneOf { topic, partitions, .. } => Place::OneOf { topic, partitions },
        Destination::Nowhere(error) => Place::NotSent(error.to_string()),
        Destination::DeadLetter { topic, error } => Place::Letter { topic, why: error.to_string() },
    }
}

const AFTER_HELP: &str = "\
Examples:
  pointsman plugin diff router.wasm new/router.wasm -c orders.toml -t orders -K : sample.txt
  pointsman plugin diff orders.toml orders-new.toml -t orders -K : --partitions 6 < sample.txt

A key that moves may have records out of order around the change: a sample of what was sent tells
how many do. Formats are those of pointsman produce; topics are looked up where OLD sends to.
Exit status: 0 no record would go elsewhere, 1 some would, 2 they could not be compared";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_as_components_do_is_one() {
        assert!(is_component(Path::new("a/router.wasm")) && is_component(Path::new("ROUTER.WASM")));
        assert!(!is_component(Path::new("wasm")) && !is_component(Path::new("a.wasm.toml")));
    }
}
