//! `on-error`: what becomes of a record that a plugin failed on.

use super::failure::{FailureKind, Hook, PluginFailure};
use super::meter::Meter;
use super::records::Records;
use super::roles::Refusal;
use crate::error::ProduceError;
use crate::sabotage::{self, Sabotage};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

/// What becomes of a record that a plugin failed on, whatever the [`FailureKind`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// Its delivery fails with [`ProduceError::Plugin`].
    #[default]
    Fail,
    /// It goes on without this plugin's change. Not for partitioners.
    Pass,
    /// It is not sent; its delivery completes as [`ProduceError::Dropped`], with the failure in it.
    Drop,
    /// The built-in partitioner places it. For partitioners only.
    Fallback,
    /// A letter about it goes to a topic; its delivery completes as [`ProduceError::DeadLettered`] once that stands.
    DeadLetter(Arc<DeadLetter>),
}

/// Where dead letters of a plugin go, and what they say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// The topic for them.
    pub topic: Arc<str>,
    /// Whether the record's key goes with them.
    pub include_key: bool,
    /// Whether the record's value goes with them.
    pub include_value: bool,
    /// The version that the component says it has.
    pub version: Option<Arc<str>>,
    /// What the component's file hashes to: SHA-256 in hex.
    pub digest: Option<Arc<str>>,
}

/// A record that ended in the chain, with what is told of it to those who want to hear.
#[derive(Clone, Debug, PartialEq)]
pub struct Ended {
    /// Which delivery of the chunk.
    pub slot: u32,
    /// As the interceptors so far left it.
    pub topic: Arc<str>,
    /// −1: not chosen.
    pub partition: i32,
    /// Milliseconds since the Unix epoch.
    pub timestamp: i64,
    /// How it ended.
    pub end: End,
}

/// How a record ended.
#[derive(Clone, Debug, PartialEq)]
pub enum End {
    /// Its delivery completes with this.
    Failed(ProduceError),
    /// Its delivery completes when this letter is in its topic.
    DeadLetter(Box<Letter>),
}

/// A letter about a record that a plugin failed on.
#[derive(Clone, Debug, PartialEq)]
pub struct Letter {
    /// Where to, and what it may say.
    pub to: Arc<DeadLetter>,
    /// Who failed.
    pub plugin: Arc<str>,
    /// Where.
    pub hook: Hook,
    /// How.
    pub failure: Arc<PluginFailure>,
    /// The key as it came to the hook, where the policy includes it.
    pub key: Option<Vec<u8>>,
    /// The value as it came to the hook, where the policy includes it.
    pub value: Option<Vec<u8>>,
}

impl Policy {
    /// The word for it in `on-error`, and in metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Policy::Fail => "fail",
            Policy::Pass => "pass",
            Policy::Drop => "drop",
            Policy::Fallback => "fallback",
            Policy::DeadLetter(_) => "dead-letter",
        }
    }

    /// Whether a record goes on past the failure.
    fn lets_go_on(&self) -> bool {
        matches!(self, Policy::Pass | Policy::Fallback)
    }
}

impl Letter {
    /// The plugin's failure on a record of `topic`.
    pub fn error(&self, topic: &Arc<str>) -> ProduceError {
        plugin_error(topic, &self.plugin, self.hook, &self.failure)
    }
}

fn plugin_error(topic: &Arc<str>, plugin: &Arc<str>, hook: Hook, failure: &PluginFailure) -> ProduceError {
    ProduceError::Plugin {
        topic: Arc::clone(topic),
        plugin: Arc::clone(plugin),
        hook,
        kind: failure.kind,
        cause: failure.cause.as_str().into(),
    }
}

/// What a hook could not do for records of a chunk, by index, until the policy is applied.
pub(super) struct Failures<'p> {
    plugin: &'p Arc<str>,
    policy: &'p Policy,
    hook: Hook,
    failed: BTreeMap<u32, Arc<PluginFailure>>,
    /// By an interceptor, on purpose.
    dropped: Vec<u32>,
    refused: usize,
}

impl<'p> Failures<'p> {
    pub(super) fn new(plugin: &'p Arc<str>, policy: &'p Policy, hook: Hook) -> Failures<'p> {
        Failures { plugin, policy, hook, failed: BTreeMap::new(), dropped: Vec::new(), refused: 0 }
    }

    /// The calls for these ranges failed.
    pub(super) fn add_calls(&mut self, failures: Vec<(Range<usize>, PluginFailure)>) {
        for (range, failure) in failures {
            let failure = Arc::new(failure);
            self.failed.extend(range.map(|at| (at as u32, Arc::clone(&failure))));
        }
    }

    /// The answer for one record is of no use.
    pub(super) fn add(&mut self, at: u32, failure: PluginFailure) {
        self.failed.insert(at, Arc::new(failure));
    }

    /// Refused by the answer for the records from `start` on.
    pub(super) fn refuse(&mut self, start: usize, refused: Vec<Refusal>) {
        for Refusal { index, reason } in refused {
            let failure = PluginFailure::new(FailureKind::Refused, reason);
            if self.failed.insert(start as u32 + index, Arc::new(failure)).is_none() {
                self.refused += 1;
            }
        }
    }

    /// Left out on purpose by the answer for the records from `start` on. A refusal counts before it.
    pub(super) fn drop(&mut self, start: usize, dropped: &[u32]) {
        self.dropped.extend(dropped.iter().map(|at| start as u32 + at));
    }

    /// Indexes of some records become those of all: `places` says which.
    pub(super) fn renumber(&mut self, places: &[u32]) {
        let failed = std::mem::take(&mut self.failed);
        self.failed = failed.into_iter().map(|(at, failure)| (places[at as usize], failure)).collect();
    }

    /// Whether refused records are of use as they came to the hook, so that whoever applies an answer keeps them.
    pub(super) fn keeps_refused(&self) -> bool {
        matches!(self.policy, Policy::Pass | Policy::DeadLetter(_))
    }

    /// Applies the policy: who ends is taken out of `records`. Returns their indexes, ascending.
    pub(super) fn settle(mut self, records: &mut Records, ended: &mut Vec<Ended>, meter: &Meter) -> Vec<u32> {
        meter.refused(self.plugin, self.hook, self.refused);
        let of_hook_before = self.failed.values().filter_map(|failure| failure.before);
        let mut by_hook: BTreeMap<Hook, usize> = BTreeMap::new();
        of_hook_before.for_each(|hook| *by_hook.entry(hook).or_default() += 1);
        let of_this = self.failed.len() - by_hook.values().sum::<usize>();
        for (hook, records) in by_hook.into_iter().chain([(self.hook, of_this)]) {
            meter.settled(self.plugin, hook, self.policy.name(), records);
        }
        self.dropped.retain(|at| !self.failed.contains_key(at));
        self.dropped.sort_unstable();
        self.dropped.dedup();
        if self.policy.lets_go_on() || sabotage::is_on(Sabotage::FailOpen) {
            self.failed.clear();
        }
        if self.failed.is_empty() && self.dropped.is_empty() {
            return Vec::new();
        }
        let mut dead: Vec<u32> = self.failed.keys().chain(&self.dropped).copied().collect();
        dead.sort_unstable();
        let mut payloads = self.payloads(records);
        for &at in &dead {
            let topic = &records.topics[records.topic_of[at as usize] as usize];
            let end = match self.failed.get(&at) {
                Some(failure) => self.end(topic, failure, payloads.next().unwrap_or_default()),
                None => End::Failed(ProduceError::Dropped {
                    topic: Arc::clone(topic),
                    plugin: Arc::clone(self.plugin),
                    failure: None,
                }),
            };
            ended.push(Ended {
                slot: records.slots[at as usize],
                topic: Arc::clone(topic),
                partition: records.partitions[at as usize],
                timestamp: records.timestamps[at as usize],
                end,
            });
        }
        records.remove(&dead);
        dead
    }

    fn end(&self, topic: &Arc<str>, failure: &Arc<PluginFailure>, (key, value): Payloads) -> End {
        let hook = failure.before.unwrap_or(self.hook);
        match self.policy {
            Policy::Drop => End::Failed(ProduceError::Dropped {
                topic: Arc::clone(topic),
                plugin: Arc::clone(self.plugin),
                failure: Some(Arc::new(plugin_error(topic, self.plugin, hook, failure))),
            }),
            Policy::DeadLetter(to) => End::DeadLetter(Box::new(Letter {
                to: Arc::clone(to),
                plugin: Arc::clone(self.plugin),
                hook,
                failure: Arc::clone(failure),
                key,
                value,
            })),
            Policy::Fail | Policy::Pass | Policy::Fallback => {
                End::Failed(plugin_error(topic, self.plugin, hook, failure))
            }
        }
    }

    /// Key and value of each failed record, as far as dead letters carry them.
    fn payloads(&self, records: &Records) -> std::vec::IntoIter<Payloads> {
        let Policy::DeadLetter(to) = self.policy else { return Vec::new().into_iter() };
        let mut payloads = Vec::with_capacity(self.failed.len());
        let each = records.keys.as_ref().iter().zip(records.values.as_ref().iter());
        for (_, (key, value)) in (0..).zip(each).filter(|(at, _)| self.failed.contains_key(at)) {
            let owned = |included: bool, bytes: Option<&[u8]>| bytes.filter(|_| included).map(<[u8]>::to_vec);
            payloads.push((owned(to.include_key, key), owned(to.include_value, value)));
        }
        payloads.into_iter()
    }
}

/// Key and value of a letter.
type Payloads = (Option<Vec<u8>>, Option<Vec<u8>>);
