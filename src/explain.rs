//! Why a record goes where it goes: each stage of the chain by itself, with what it changed and what it took.
//!
//! Nothing is sent. The plugins run as they do in a producer, from one instance each that lives as long as the
//! [`Explainer`], so that what they remember of one record shows in the next.

use crate::config::Config;
use crate::core::partition_of_key;
use crate::core::time::Instant;
use crate::error::ProduceError;
use crate::net::Clock;
use crate::plugin::{
    Chain, Column, Consistency, End, Ended, FailureKind, HeaderColumns, Hook, MayGoTo, Meter, NULL, PluginFailure,
    Records, Routes, TopicFailure, Topology,
};
use crate::producer::{Chains, LaneChains, StartError};
use crate::record::Record;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Runs records through the configured chain, stage by stage.
pub struct Explainer {
    /// One for each chain, in their order.
    ways: Vec<Way>,
    /// Which of them a topic's records go.
    routes: Arc<Routes>,
    clock: Clock,
    began: Instant,
}

/// The stages of one chain.
struct Way {
    interceptors: Vec<Stage>,
    serializers: Vec<Stage>,
    partitioner: Option<Stage>,
    placing: Placing,
    /// Whether an interceptor may send a record to a topic, or why not.
    may_go_to: MayGoTo,
    /// The groups of the topics that the partitioner was told of.
    groups: BTreeMap<Arc<str>, Groups>,
}

/// A chain with a single plugin, so that what it does can be told from what the others do.
struct Stage {
    chain: Chain,
    policy: &'static str,
}

type Groups = Result<Vec<Vec<u32>>, PluginFailure>;

/// How the producer itself places what no plugin does.
#[derive(Clone, Copy)]
struct Placing {
    round_robin: bool,
    ignore_keys: bool,
}

/// A record's way.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// The stages that it passed, in order. Stages without a plugin are left out.
    pub steps: Vec<Step>,
    /// Where it goes.
    pub destination: Destination,
}

/// What one plugin did with a record.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Which of its hooks.
    pub hook: Hook,
    /// Name in the config.
    pub plugin: Arc<str>,
    /// How long its calls took, together.
    pub took: Duration,
    /// What is other than before.
    pub changes: Vec<Change>,
    /// What went wrong, whatever its policy made of it.
    pub failures: Vec<FailureKind>,
    /// The word of `on-error`.
    pub policy: &'static str,
}

/// A difference that a stage made.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Another topic.
    Topic(Arc<str>),
    /// Another partition; −1: to be chosen.
    Partition(i32),
    /// Another timestamp, in milliseconds since the Unix epoch.
    Timestamp(i64),
    /// Another key.
    Key(Option<Vec<u8>>),
    /// Another value.
    Value(Option<Vec<u8>>),
    /// A header that was not there.
    HeaderAdded(String, Option<Vec<u8>>),
    /// A header that is not there any more.
    HeaderRemoved(String, Option<Vec<u8>>),
}

/// Where a record goes.
#[derive(Clone, Debug, PartialEq)]
pub enum Destination {
    /// Into one partition.
    Partition {
        /// Topic.
        topic: Arc<str>,
        /// Partition.
        partition: u32,
        /// Whose choice.
        by: ChosenBy,
    },
    /// Into one of several partitions: the one that fills a batch, or has the least in its queue.
    OneOf {
        /// Topic.
        topic: Arc<str>,
        /// Partitions.
        partitions: Vec<u32>,
        /// Whose choice.
        by: ChosenBy,
    },
    /// Nowhere: its delivery fails with this.
    Nowhere(ProduceError),
    /// A letter about it goes into a topic, for this reason.
    DeadLetter {
        /// The topic for dead letters.
        topic: Arc<str>,
        /// What the letter is about.
        error: ProduceError,
    },
}

/// Who chose a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChosenBy {
    /// The record itself named it.
    Record,
    /// The plugin.
    Plugin,
    /// Kafka's hash of the key.
    Key,
    /// In turn.
    RoundRobin,
    /// By load, as the record has no key that counts.
    Load,
}

impl Explainer {
    /// Loads the plugins of a configuration.
    ///
    /// # Errors
    /// A plugin is not fit for use.
    pub fn new(config: &Config) -> Result<Explainer, StartError> {
        let Chains { each, routes, .. } = Chains::of(config)?;
        let ignore_keys = config.producer.partitioner_ignore_keys;
        let clock = Clock::new();
        let began = clock.now();
        let ways = each.into_iter().flat_map(|LaneChains { lanes, round_robin, may_go_to, .. }| {
            let placing = Placing { round_robin, ignore_keys };
            lanes.into_iter().map(move |chain| Way::new(chain, placing, may_go_to.clone()))
        });
        Ok(Explainer { ways: ways.collect(), routes, clock, began })
    }

    /// The way of one record. `topology` is asked for each topic that a record arrives at, once.
    ///
    /// # Errors
    /// Those of `topology`.
    pub fn explain<E>(
        &mut self,
        record: &Record<'_>,
        topology: impl FnMut(&str) -> Result<Topology, E>,
    ) -> Result<Explanation, E> {
        let timestamp = record.timestamp.unwrap_or_else(|| self.clock.wall_ms());
        let now = self.clock.now() - self.began;
        self.ways[self.routes.chain_of(record.topic)].explain(record, timestamp, now, topology)
    }
}

impl Way {
    fn new(chain: Chain, placing: Placing, may_go_to: MayGoTo) -> Way {
        let Chain { interceptors, key_serializer, value_serializer, partitioner, .. } = chain;
        let interceptors =
            interceptors.into_iter().map(|used| Stage::new(used.policy.name(), |chain| chain.interceptors.push(used)));
        let key = key_serializer.map(|used| Stage::new(used.policy.name(), |chain| chain.key_serializer = Some(used)));
        let value =
            value_serializer.map(|used| Stage::new(used.policy.name(), |chain| chain.value_serializer = Some(used)));
        let partitioner =
            partitioner.map(|used| Stage::new(used.policy.name(), |chain| chain.partitioner = Some(used)));
        let (interceptors, serializers) = (interceptors.collect(), key.into_iter().chain(value).collect());
        Way { interceptors, serializers, partitioner, placing, may_go_to, groups: BTreeMap::new() }
    }

    fn explain<E>(
        &mut self,
        record: &Record<'_>,
        timestamp: i64,
        now: Duration,
        mut topology: impl FnMut(&str) -> Result<Topology, E>,
    ) -> Result<Explanation, E> {
        let mut records = Records::default();
        let headers = record.headers.iter().map(|header| (header.name.as_bytes(), header.value));
        records.push(&record.topic.into(), record.partition, timestamp, record.key, record.value, headers);
        let mut steps = Vec::new();
        let mut ended = Vec::new();

        for stage in &mut self.interceptors {
            stage.run(&mut steps, &mut records, |chain, records| {
                chain.on_send(now, records, 1, &mut ended);
            });
            if let Some(destination) = end(&mut ended) {
                return Ok(Explanation { steps, destination });
            }
        }
        let sent_to = &records.topics[records.topic_of[0] as usize];
        if let Some(Err(reason)) = self.may_go_to.as_ref().map(|may_go_to| may_go_to(sent_to)) {
            let destination = Destination::Nowhere(ProduceError::Topic { topic: Arc::clone(sent_to), reason });
            return Ok(Explanation { steps, destination });
        }
        for stage in &mut self.serializers {
            stage.run(&mut steps, &mut records, |chain, records| chain.serialize(now, records, &mut ended));
            if let Some(destination) = end(&mut ended) {
                return Ok(Explanation { steps, destination });
            }
        }

        let topic = Arc::clone(&records.topics[records.topic_of[0] as usize]);
        let mut told = topology(&topic)?;
        let mut target = records.partitions[0];
        let is_explicit = target != NULL;
        if let Some(stage) = &mut self.partitioner {
            let wants = stage.chain.partitioner_wants();
            if wants.is_none_or(|wants| wants.consistency == Consistency::default()) {
                (told.leaders, told.brokers) = (Vec::new(), Vec::new());
            }
            let groups = &mut self.groups;
            stage.run(&mut steps, &mut records, |chain, records| {
                let groups = groups.entry(Arc::clone(&topic)).or_insert_with(|| chain.on_topology(now, &told));
                let failed: Vec<TopicFailure> =
                    groups.as_ref().err().map(|failure| (records.topic_of[0], failure.clone())).into_iter().collect();
                target = chain.partition(now, records, &failed, &mut ended).targets.first().copied().unwrap_or(NULL);
            });
            if let Some(destination) = end(&mut ended) {
                return Ok(Explanation { steps, destination });
            }
        }
        let groups = self.groups.get(&topic).and_then(|groups| groups.as_ref().ok());
        let destination = self.placing.destination(&records, topic, told.partitions, target, is_explicit, groups);
        Ok(Explanation { steps, destination })
    }
}

impl Placing {
    fn destination(
        self,
        records: &Records,
        topic: Arc<str>,
        count: u32,
        target: i32,
        is_explicit: bool,
        groups: Option<&Vec<Vec<u32>>>,
    ) -> Destination {
        let all = || (0..count).collect();
        let key = records.keys.as_ref().iter().next().flatten().filter(|_| !self.ignore_keys);
        match (u32::try_from(target), key) {
            (Ok(partition), _) if partition >= count => {
                Destination::Nowhere(ProduceError::NoSuchPartition { topic, partition: target, count: count as usize })
            }
            (Ok(partition), _) => {
                let by = if is_explicit { ChosenBy::Record } else { ChosenBy::Plugin };
                Destination::Partition { topic, partition, by }
            }
            (Err(_), _) if target != NULL => {
                // The chain has checked that there is such a group.
                let group = (NULL - 1).abs_diff(target) as usize;
                let partitions = groups.and_then(|groups| groups.get(group)).cloned().unwrap_or_else(all);
                Destination::OneOf { topic, partitions, by: ChosenBy::Plugin }
            }
            (Err(_), _) if self.round_robin => {
                Destination::OneOf { topic, partitions: all(), by: ChosenBy::RoundRobin }
            }
            (Err(_), Some(key)) => {
                let partition = partition_of_key(key, count as usize) as u32;
                Destination::Partition { topic, partition, by: ChosenBy::Key }
            }
            (Err(_), None) => Destination::OneOf { topic, partitions: all(), by: ChosenBy::Load },
        }
    }
}

impl Stage {
    fn new(policy: &'static str, fill: impl FnOnce(&mut Chain)) -> Stage {
        let mut chain = Chain::default();
        fill(&mut chain);
        Stage { chain, policy }
    }

    /// Runs it, and notes what it did.
    fn run(&mut self, steps: &mut Vec<Step>, records: &mut Records, run: impl FnOnce(&mut Chain, &mut Records)) {
        let before = records.clone();
        self.chain.meter = Meter::default();
        run(&mut self.chain, records);
        let changes = if records.is_empty() { Vec::new() } else { differences(&before, records) };
        let first = steps.len();
        for (plugin, hook, counts) in self.chain.meter.counts() {
            let failures = counts.failures.keys().copied().collect();
            steps.push(Step { hook, plugin, took: counts.time, changes: Vec::new(), failures, policy: self.policy });
        }
        if let Some(step) = steps[first..].first_mut() {
            step.changes = changes;
        }
    }
}

fn end(ended: &mut Vec<Ended>) -> Option<Destination> {
    let Ended { topic, end, .. } = ended.pop()?;
    Some(match end {
        End::Failed(error) => Destination::Nowhere(error),
        End::DeadLetter(letter) => {
            Destination::DeadLetter { topic: Arc::clone(&letter.to.topic), error: letter.error(&topic) }
        }
    })
}

/// What the only record of `after` has that the one of `before` has not.
fn differences(before: &Records, after: &Records) -> Vec<Change> {
    let mut changes = Vec::new();
    let topic = |records: &Records| Arc::clone(&records.topics[records.topic_of[0] as usize]);
    let entry = |column: &Column| column.as_ref().iter().next().flatten().map(<[u8]>::to_vec);
    if topic(before) != topic(after) {
        changes.push(Change::Topic(topic(after)));
    }
    if before.partitions[0] != after.partitions[0] {
        changes.push(Change::Partition(after.partitions[0]));
    }
    if before.timestamps[0] != after.timestamps[0] {
        changes.push(Change::Timestamp(after.timestamps[0]));
    }
    let (key, value) = (entry(&after.keys), entry(&after.values));
    if entry(&before.keys) != key {
        changes.push(Change::Key(key));
    }
    if entry(&before.values) != value {
        changes.push(Change::Value(value));
    }
    let headers = |columns: &HeaderColumns| -> Vec<(String, Option<Vec<u8>>)> {
        let each = columns.as_ref().each();
        each.map(|(name, value)| (String::from_utf8_lossy(name).into_owned(), value.map(<[u8]>::to_vec))).collect()
    };
    let mut gone = headers(&before.headers);
    for header in headers(&after.headers) {
        match gone.iter().position(|known| *known == header) {
            Some(at) => drop(gone.remove(at)),
            None => changes.push(Change::HeaderAdded(header.0, header.1)),
        }
    }
    changes.extend(gone.into_iter().map(|(name, value)| Change::HeaderRemoved(name, value)));
    changes
}
