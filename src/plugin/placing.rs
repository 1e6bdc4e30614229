//! The partitioner's hooks: it is told of topics, and places the records that came without a partition.

use super::calls::{Caller, InHalves};
use super::chain::{Chain, piece};
use super::columns::NULL;
use super::failure::{FailureKind, Hook, PluginFailure};
use super::memo::{Memo, Recalled, contradiction};
use super::policy::{Ended, Failures};
use super::records::Records;
use super::roles::{Placements, Topology};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// What the chain keeps of the topics that its partitioner was told of.
#[derive(Default)]
pub(super) struct Placing {
    topics: BTreeMap<Arc<str>, Told>,
    memo: Memo,
}

/// A topic as the partitioner knows it.
#[derive(Clone, Copy, Default)]
struct Told {
    partitions: u32,
    groups: usize,
}

/// A topic of a chunk, by index, that the partitioner cannot work with.
pub type TopicFailure = (u32, PluginFailure);

/// Where a chunk's records go.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Targets {
    /// One per record that is left: as in [`Placements`], or the explicit partition.
    pub targets: Vec<i32>,
    /// Topics of which the partitioner named a partition that they do not have, as far as is known.
    pub doubtful: Vec<Arc<str>>,
}

impl Chain {
    /// Tells the partitioner of a topic. Returns its groups.
    ///
    /// # Errors
    /// The partitioner cannot work with the topic: [`Chain::partition`] settles what becomes of its records.
    pub fn on_topology(&mut self, now: Duration, topology: &Topology) -> Result<Vec<Vec<u32>>, PluginFailure> {
        let Some(used) = &mut self.partitioner else { return Ok(Vec::new()) };
        self.placing.topics.remove(topology.topic.as_str());
        self.placing.memo.forget(&topology.topic);
        let (plugin, role) = (&used.plugin, &mut used.role);
        let mut caller = Caller { plugin, hook: Hook::OnTopology, breaker: &mut used.breaker, meter: &self.meter };
        let groups = caller.once(now, 1, || {
            let groups = role.on_topology(topology)?;
            check_groups(&groups, topology.partitions).map(|()| groups)
        })?;
        let told = Told { partitions: topology.partitions, groups: groups.len() };
        self.placing.topics.insert(topology.topic.as_str().into(), told);
        Ok(groups)
    }

    /// The partitioner, for every record that has no partition. `failed` are the topics that it could not work with.
    pub fn partition(
        &mut self,
        now: Duration,
        records: &mut Records,
        failed: &[TopicFailure],
        ended: &mut Vec<Ended>,
    ) -> Targets {
        let Some(used) = &mut self.partitioner else {
            return Targets { targets: records.partitions.clone(), doubtful: Vec::new() };
        };
        let is_unplaced = |records: &Records, at: usize| records.partitions[at] == NULL;
        if !failed.is_empty() {
            let mut failures = Failures::new(&used.plugin, &used.policy, Hook::OnTopology);
            for at in (0..records.len()).filter(|&at| is_unplaced(records, at)) {
                if let Some((_, failure)) = failed.iter().find(|(topic, _)| *topic == records.topic_of[at]) {
                    failures.add(at as u32, failure.clone());
                }
            }
            failures.settle(records, ended, &self.meter);
        }
        let mut targets = records.partitions.clone();
        // Those of a topic that failed are still here where the built-in partitioner places them.
        let is_asked =
            |at: usize| is_unplaced(records, at) && !failed.iter().any(|(topic, _)| *topic == records.topic_of[at]);
        let mut asked: Vec<u32> = (0..records.len()).filter(|&at| is_asked(at)).map(|at| at as u32).collect();
        let mut doubtful = Vec::new();
        if asked.is_empty() {
            return Targets { targets, doubtful };
        }
        let mut reads = used.role.wants().reads.clone();
        reads.fields.topic = true;
        let Placing { topics, memo } = &mut self.placing;
        let remembers = Memo::suits(used.role.wants());
        let worth = remembers && Memo::is_worth(self.meter.cost(&used.plugin, Hook::Partition));
        let recalled =
            if remembers { memo.recall(worth, records, &mut asked, &mut targets) } else { Recalled::default() };
        self.meter.remembered(&used.plugin, Hook::Partition, recalled.remembered);
        if asked.is_empty() {
            return Targets { targets, doubtful };
        }
        // The others skip the partitioner: it is shown these only.
        let others = (asked.len() < records.len()).then(|| {
            let mut shown = records.clone();
            shown.retain(&asked);
            shown
        });
        let shown = others.as_ref().unwrap_or(records);
        let (answers, calls_failed): InHalves<Placements> = {
            let names = shown.topic_names();
            let headers = shown.read_headers(&reads.headers);
            let batch = shown.batch(&reads, &names, &headers);
            let (plugin, role) = (&used.plugin, &mut used.role);
            let mut caller = Caller { plugin, hook: Hook::Partition, breaker: &mut used.breaker, meter: &self.meter };
            caller.in_halves(now, batch.count, |range| {
                let answer = role.partition(&piece(&batch, range.clone()))?;
                if answer.targets.len() != range.len() {
                    let cause = format!("partition: {} targets for {} records", answer.targets.len(), range.len());
                    return Err(PluginFailure::new(FailureKind::BrokenRule, cause));
                }
                let sample = recalled.sample.filter(|sample| range.contains(&sample.at));
                match sample.map(|sample| (sample.before, answer.targets[sample.at - range.start])) {
                    // What is said of a refused record does not count.
                    Some((before, now)) if before != now && answer.refused.is_empty() => {
                        Err(PluginFailure::new(FailureKind::BrokenRule, contradiction(before, now)))
                    }
                    _ => Ok(answer),
                }
            })
        };
        let mut failures = Failures::new(&used.plugin, &used.policy, Hook::Partition);
        failures.add_calls(calls_failed);
        for (range, answer) in answers {
            let refused: BTreeSet<usize> = answer.refused.iter().map(|refusal| refusal.index as usize).collect();
            let keys = shown.keys.as_ref().range(range.clone());
            // Of a fast plugin one is kept, to compare with.
            let mut keeps = remembers;
            for (nth, (&target, key)) in answer.targets.iter().zip(keys.iter()).enumerate() {
                if refused.contains(&nth) {
                    continue;
                }
                let at = range.start + nth;
                let topic = &shown.topics[shown.topic_of[at] as usize];
                match check_target(target, topic, topics.get(topic).copied().unwrap_or_default()) {
                    Ok(()) => {
                        targets[asked[at] as usize] = target;
                        if let Some(key) = key.filter(|_| keeps) {
                            memo.keep(topic, key, target);
                            keeps = worth;
                        }
                    }
                    Err(cause) => {
                        failures.add(at as u32, PluginFailure::new(FailureKind::BrokenRule, cause));
                        if target >= 0 && !doubtful.contains(topic) {
                            doubtful.push(Arc::clone(topic));
                        }
                    }
                }
            }
            failures.refuse(range.start, answer.refused);
        }
        failures.renumber(&asked);
        for dead in failures.settle(records, ended, &self.meter).into_iter().rev() {
            targets.remove(dead as usize);
        }
        Targets { targets, doubtful }
    }
}

fn check_groups(groups: &[Vec<u32>], partitions: u32) -> Result<(), PluginFailure> {
    let broken = |cause: String| PluginFailure::new(FailureKind::BrokenRule, cause);
    for (at, group) in groups.iter().enumerate() {
        if group.is_empty() {
            return Err(broken(format!("on-topology: group {at} is empty")));
        }
        if let Some(partition) = group.iter().find(|&&partition| partition >= partitions) {
            let cause = format!("on-topology: group {at} holds partition {partition}, the topic has {partitions}");
            return Err(broken(cause));
        }
    }
    Ok(())
}

/// # Errors
/// The partition or the group does not exist, in words.
fn check_target(target: i32, topic: &str, told: Told) -> Result<(), String> {
    match target {
        0.. if target.unsigned_abs() >= told.partitions => {
            let count = told.partitions;
            Err(format!("partition: it answered partition {target}, and {topic} has {count}, numbered from 0"))
        }
        NULL.. => Ok(()),
        _ => {
            // As -2 - n, without its overflow.
            let group = (NULL - 1).abs_diff(target) as usize;
            if group < told.groups {
                return Ok(());
            }
            Err(format!("partition: it answered {target}, group {group}, and {topic} has {} groups", told.groups))
        }
    }
}
