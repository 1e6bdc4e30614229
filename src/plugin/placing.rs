//! The partitioner's hooks: it is told of topics, and places the records that came without a partition.

use super::breaker::Breaker;
use super::calls::{Caller, InHalves};
use super::chain::{Chain, Used, piece};
use super::columns::NULL;
use super::failure::{FailureKind, Hook, PluginFailure};
use super::memo::{Memo, Recalled, contradiction};
use super::policy::{Ended, Failures};
use super::records::Records;
use super::roles::{Placements, Topology};
use crate::sabotage::{self, Sabotage};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// What the chain keeps of the topics that its partitioner was told of.
#[derive(Default)]
pub(super) struct Placing {
    topics: BTreeMap<Arc<str>, Told>,
    /// Those that it failed on when it was told of them: each is kept from it for a while, and no other.
    failing: BTreeMap<Arc<str>, Breaker>,
    memo: Memo,
}

impl Placing {
    /// Those of topics that the partitioner fails on.
    pub(super) fn breakers(&self) -> impl Iterator<Item = &Breaker> {
        self.failing.values()
    }
}

/// A topic as the partitioner knows it.
#[derive(Clone, Copy, Default)]
struct Told {
    partitions: u32,
    groups: usize,
}

impl Told {
    /// Whether it has what a partitioner answered: the partition, or the group.
    fn has(self, target: i32) -> bool {
        match target {
            0.. => target.unsigned_abs() < self.partitions,
            NULL => true,
            _ => group_of(target) < self.groups,
        }
    }
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
        let (plugin, role, meter) = (&used.plugin, &mut used.role, &self.meter);
        // Nothing is gained by telling one that is not asked to place.
        used.breaker.admit(now).inspect_err(|_| meter.kept_from(plugin, Hook::OnTopology))?;
        let failing = self.placing.failing.remove(topology.topic.as_str());
        let mut breaker = failing.unwrap_or_else(|| used.breaker.another());
        let mut caller = Caller { plugin, hook: Hook::OnTopology, breaker: &mut breaker, meter };
        let told = caller.once(now, 1, || {
            let groups = role.on_topology(topology)?;
            check_groups(&groups, topology.partitions).map(|()| groups).inspect_err(|_| role.broke_rule())
        });
        let groups = match told {
            Ok(groups) => groups,
            Err(failure) => {
                self.placing.failing.insert(topology.topic.as_str().into(), breaker);
                // That is not the topic's fault: the others are spared the next start.
                if failure.kind == FailureKind::Configure {
                    let breaker = &mut used.breaker;
                    Caller { plugin, hook: Hook::Partition, breaker, meter }.note(now, &failure);
                }
                return Err(failure);
            }
        };
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
        let Placing { topics, memo, .. } = &mut self.placing;
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
        let told: Vec<Told> = shown.topics.iter().map(|topic| topics.get(topic).copied().unwrap_or_default()).collect();
        let (answers, calls_failed): InHalves<Placements> = {
            let names = shown.topic_names();
            let headers = shown.read_headers(&reads.headers);
            let batch = shown.batch(&reads, &names, &headers);
            let Used { plugin, role, breaker, size, .. } = used;
            let mut caller = Caller { plugin, hook: Hook::Partition, breaker, meter: &self.meter };
            caller.in_halves(now, batch.count, size, |range| {
                let answer = role.partition(&piece(&batch, range.clone()))?;
                let checked = check_targets(&answer, shown, range.clone(), &told, &mut doubtful);
                let sample = recalled.sample.filter(|sample| range.contains(&sample.at));
                let checked = checked.and_then(|()| {
                    match sample.map(|sample| (sample.before, answer.targets[sample.at - range.start])) {
                        // What is said of a refused record does not count.
                        Some((before, now)) if before != now && answer.refused.is_empty() => {
                            Err(contradiction(before, now))
                        }
                        _ => Ok(()),
                    }
                });
                match checked {
                    Ok(()) => Ok(answer),
                    Err(cause) => {
                        role.broke_rule();
                        Err(PluginFailure::new(FailureKind::BrokenRule, cause))
                    }
                }
            })
        };
        let mut failures = Failures::new(&used.plugin, &used.policy, Hook::Partition);
        failures.add_calls(calls_failed);
        for (range, answer) in answers {
            let refused: BTreeSet<usize> = answer.refused.iter().map(|refusal| refusal.index as usize).collect();
            let is_refused = |nth: usize| !refused.is_empty() && refused.contains(&nth);
            let start = if sabotage::is_on(Sabotage::HalvesFromTheStart) { 0 } else { range.start };
            for (nth, (&target, &at)) in answer.targets.iter().zip(&asked[start..]).enumerate() {
                if !is_refused(nth) {
                    targets[at as usize] = target;
                }
            }
            if remembers {
                let keyed = shown.keys.as_ref().range(range.clone()).iter().enumerate();
                let known = keyed.filter_map(|(nth, key)| Some((nth, key.filter(|_| !is_refused(nth))?)));
                // Of a fast plugin one is kept, to compare with.
                for (nth, key) in known.take(if worth { usize::MAX } else { 1 }) {
                    let topic = &shown.topics[shown.topic_of[range.start + nth] as usize];
                    memo.keep(topic, key, answer.targets[nth]);
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

/// One for each record of the range, and each a partition or a group that there is; what is said of a refused record
/// does not count. Notes topics of which it named a partition that is not known.
///
/// # Errors
/// The rule that is broken, in words.
fn check_targets(
    answer: &Placements,
    shown: &Records,
    range: Range<usize>,
    told: &[Told],
    doubtful: &mut Vec<Arc<str>>,
) -> Result<(), String> {
    if answer.targets.len() != range.len() {
        return Err(format!("partition: {} targets for {} records", answer.targets.len(), range.len()));
    }
    for (nth, (&target, &topic)) in answer.targets.iter().zip(&shown.topic_of[range]).enumerate() {
        let told = told[topic as usize];
        if told.has(target) {
            continue;
        }
        let topic = &shown.topics[topic as usize];
        if answer.refused.iter().any(|refusal| refusal.index as usize == nth) {
            continue;
        }
        if target >= 0 && !doubtful.contains(topic) {
            doubtful.push(Arc::clone(topic));
        }
        return Err(missing(target, topic, told));
    }
    Ok(())
}

/// What a topic does not have, in words.
fn missing(target: i32, topic: &str, told: Told) -> String {
    let Told { partitions, groups } = told;
    match target {
        0.. => format!("partition: it answered partition {target}, and {topic} has {partitions}, numbered from 0"),
        _ => {
            let group = group_of(target);
            format!("partition: it answered {target}, group {group}, and {topic} has {groups} groups")
        }
    }
}

/// As −2 − n, without its overflow.
fn group_of(target: i32) -> usize {
    (NULL - 1).abs_diff(target) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::{Batch, BreakerOptions, Partitioner, PartitionerWants, Policy, Used};
    use std::sync::Mutex;

    /// Fails so on topics that say so, and puts everything where it was told to.
    struct Moody {
        wants: PartitionerWants,
        kind: FailureKind,
        target: i32,
        calls: Arc<Mutex<Vec<String>>>,
    }

    impl Partitioner for Moody {
        fn wants(&self) -> &PartitionerWants {
            &self.wants
        }

        fn on_topology(&mut self, topology: &Topology) -> Result<Vec<Vec<u32>>, PluginFailure> {
            self.calls.lock().unwrap().push(topology.topic.clone());
            if topology.topic.contains("bad") { Err(PluginFailure::new(self.kind, "x")) } else { Ok(vec![vec![0]]) }
        }

        fn partition(&mut self, batch: &Batch<'_>) -> Result<Placements, PluginFailure> {
            self.calls.lock().unwrap().push("partition".to_owned());
            Ok(Placements { targets: vec![self.target; batch.count], refused: Vec::new() })
        }

        fn broke_rule(&mut self) {
            self.calls.lock().unwrap().push("broke a rule".to_owned());
        }

        fn close(&mut self) {}
    }

    struct Rig {
        chain: Chain,
        calls: Arc<Mutex<Vec<String>>>,
    }

    impl Rig {
        fn new(kind: FailureKind, target: i32) -> Rig {
            let calls = Arc::new(Mutex::new(Vec::new()));
            let moody = Moody { wants: PartitionerWants::default(), kind, target, calls: Arc::clone(&calls) };
            let breaker = BreakerOptions { incidents: 3, cooldown: Duration::from_secs(10) };
            let role = Box::new(moody) as Box<dyn Partitioner>;
            let used = Used::new("moody", role, Policy::Fail, breaker);
            Rig { chain: Chain { partitioner: Some(used), ..Chain::default() }, calls }
        }

        /// The failure, if it is one.
        fn tell(&mut self, second: u64, topic: &str) -> Option<FailureKind> {
            let topology = Topology { topic: topic.to_owned(), partitions: 3, ..Topology::default() };
            self.chain.on_topology(Duration::from_secs(second), &topology).err().map(|failure| failure.kind)
        }

        fn place(&mut self, records: usize) -> (Targets, usize) {
            let mut chunk = Records::default();
            for _ in 0..records {
                chunk.push(&"orders".into(), None, 7, Some(b"k"), None, std::iter::empty());
            }
            let mut ended = Vec::new();
            let targets = self.chain.partition(Duration::ZERO, &mut chunk, &[], &mut ended);
            (targets, ended.len())
        }

        fn calls(&self) -> Vec<String> {
            std::mem::take(&mut self.calls.lock().unwrap())
        }
    }

    #[test]
    fn a_topic_that_fails_every_time_is_kept_from_the_plugin_and_no_other_is() {
        let mut rig = Rig::new(FailureKind::Deadline, 0);
        for round in 0..6 {
            let kind = if round < 3 { FailureKind::Deadline } else { FailureKind::BreakerOpen };
            assert_eq!(rig.tell(0, "bad"), Some(kind), "{round}");
            assert_eq!(rig.tell(0, "orders"), None);
            assert_eq!(rig.place(1).1, 0);
        }
        assert_eq!(rig.calls().iter().filter(|call| *call == "bad").count(), 3);
        assert_eq!(rig.tell(10, "bad"), Some(FailureKind::Deadline), "its time is over");
        assert_eq!(rig.tell(10, "bad"), Some(FailureKind::BreakerOpen));
    }

    #[test]
    fn an_instance_that_does_not_start_for_one_topic_is_not_started_for_the_others() {
        let mut rig = Rig::new(FailureKind::Configure, 0);
        assert_eq!(rig.tell(0, "bad"), Some(FailureKind::Configure));
        assert_eq!(rig.tell(0, "bad, too"), Some(FailureKind::BreakerOpen));
        assert_eq!(rig.place(2).1, 2);
        assert_eq!(rig.calls(), ["bad"]);
        assert_eq!(rig.tell(10, "orders"), None);
    }

    #[test]
    fn a_place_that_does_not_exist_is_a_failed_call() {
        for target in [3, -3] {
            let mut rig = Rig::new(FailureKind::Trap, target);
            rig.tell(0, "orders");
            rig.calls();
            for _ in 0..3 {
                let (targets, failed) = rig.place(4);
                assert_eq!((targets.targets.len(), failed), (0, 4));
                let doubtful: &[Arc<str>] = if target > 0 { &["orders".into()] } else { &[] };
                assert_eq!(targets.doubtful, doubtful);
                assert_eq!(rig.calls(), ["partition", "broke a rule"], "and its halves are no better");
            }
            let counts = rig.chain.meter.counts();
            let (_, _, counts) = counts.iter().find(|(_, hook, _)| *hook == Hook::Partition).unwrap();
            assert_eq!((counts.failures[&FailureKind::BrokenRule], counts.breakers_open), (3, 1));
        }
    }

    #[test]
    fn what_fails_when_a_new_instance_is_told_is_counted_there() {
        let meter = super::super::meter::Meter::default();
        let told = PluginFailure::new(FailureKind::Trap, "x").of_hook_before(Hook::OnTopology);
        let plugin: Arc<str> = "moody".into();
        let mut breaker = Breaker::default();
        let mut caller = Caller { plugin: &plugin, hook: Hook::Partition, breaker: &mut breaker, meter: &meter };
        let (_, failed): InHalves<()> =
            caller.in_halves(Duration::ZERO, 1, &mut Default::default(), |_| Err(told.clone()));
        let mut records = Records::default();
        records.push(&"orders".into(), None, 7, None, None, std::iter::empty());
        let mut failures = Failures::new(&plugin, &Policy::Fail, Hook::Partition);
        failures.add_calls(failed);
        let mut ended = Vec::new();
        failures.settle(&mut records, &mut ended, &meter);
        let [Ended { end: crate::plugin::End::Failed(error), .. }] = &ended[..] else { panic!("{ended:?}") };
        assert_eq!(error.to_string(), "orders: plugin moody, on-topology: trapped: x");
        let counts = meter.counts();
        let (_, _, counts) = counts.iter().find(|(_, hook, _)| *hook == Hook::OnTopology).unwrap();
        assert_eq!((counts.failures[&FailureKind::Trap], counts.settled["fail"]), (1, 1));
    }
}
