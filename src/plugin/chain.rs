//! The hooks of a lane's plugins in their order, over one chunk of records.
//!
//! A call that fails for what may be one record's fault is repeated with halves of its records, within a budget, so
//! that a record that makes a plugin trap fails alone. Everything that fails is taken out before the next hook.

use super::columns::NULL;
use super::failure::{FailureKind, Hook, PluginFailure};
use super::meter::Meter;
use super::records::{Records, sorted_refusals};
use super::roles::{
    Acknowledgements, Batch, Interceptor, Partitioner, PartitionerWants, Refusal, Serializer, Side, Topology,
};
use crate::error::ProduceError;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

/// Failed calls of one chunk and hook after which the rest of the failing records is not halved any further.
const TRAPS_MAX: u32 = 64;
/// The same for calls that ran out of time, which cost `timeout.ms` each.
const TIMEOUTS_MAX: u32 = 4;

/// The plugins of one lane, each used in one place.
#[derive(Default)]
pub struct Chain {
    /// In the order of `interceptor.classes`.
    pub interceptors: Vec<Used<dyn Interceptor>>,
    /// `key.serializer`.
    pub key_serializer: Option<Used<dyn Serializer>>,
    /// `value.serializer`.
    pub value_serializer: Option<Used<dyn Serializer>>,
    /// `partitioner.class`.
    pub partitioner: Option<Used<dyn Partitioner>>,
    /// Counts the calls.
    pub meter: Meter,
}

/// A plugin in one of its roles.
pub struct Used<R: ?Sized> {
    /// Name in the config.
    pub plugin: Arc<str>,
    /// The instance.
    pub role: Box<R>,
}

/// A record that ended in the chain: its slot in the chunk, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct Ended {
    /// Which delivery of the chunk.
    pub slot: u32,
    /// Why.
    pub error: ProduceError,
}

/// Tags that the interceptors left on a chunk's records, by interceptor, then by slot.
pub type Tags = Vec<Vec<u64>>;

/// What a partitioner knows of the topics that it has placed records of.
pub type Groups = BTreeMap<Arc<str>, Vec<Vec<u32>>>;

impl Chain {
    /// Whether no plugin is used at all.
    pub fn is_empty(&self) -> bool {
        self.interceptors.is_empty()
            && self.key_serializer.is_none()
            && self.value_serializer.is_none()
            && self.partitioner.is_none()
    }

    /// Whether any interceptor wants to hear of outcomes.
    pub fn wants_acknowledgements(&self) -> bool {
        self.interceptors.iter().any(|used| used.role.wants().acknowledgements)
    }

    /// The on-send hooks, in order. `slots` is the number of the chunk's deliveries.
    pub fn on_send(&mut self, records: &mut Records, slots: usize, ended: &mut Vec<Ended>) -> Tags {
        let mut tags = Vec::with_capacity(self.interceptors.len());
        for used in &mut self.interceptors {
            let mut tags_of_slots = Vec::new();
            let wants = used.role.wants();
            let on_send = wants.on_send.clone();
            if let Some(reads) = on_send
                && !records.is_empty()
            {
                let names: Vec<Arc<str>> = records.topics.clone();
                let names: Vec<&str> = names.iter().map(|name| &**name).collect();
                let headers = records.read_headers(&reads.headers);
                let batch = records.batch(&reads, &names, &headers);
                let role = &mut used.role;
                let meter = &self.meter;
                let (answers, failures) = in_halves(batch.count, |range| {
                    meter.call(&used.plugin, Hook::OnSend, range.len(), || role.on_send(&piece(&batch, range)))
                });
                let mut out = Out::new(&used.plugin, Hook::OnSend, failures);
                for (range, mut edits) in answers {
                    if !edits.tags.is_empty() {
                        tags_of_slots.resize(slots, 0);
                        for (&slot, &tag) in records.slots[range.clone()].iter().zip(&edits.tags) {
                            tags_of_slots[slot as usize] = tag;
                        }
                    }
                    out.refuse(range.start, std::mem::take(&mut edits.refused));
                    out.drop(range.start, &edits.dropped);
                    records.apply(range, edits);
                }
                out.take_from(records, ended, meter);
            }
            tags.push(tags_of_slots);
        }
        tags
    }

    /// The serializers, keys first.
    pub fn serialize(&mut self, records: &mut Records, ended: &mut Vec<Ended>) {
        let sides = [
            (Side::Key, Hook::SerializeKey, &mut self.key_serializer),
            (Side::Value, Hook::SerializeValue, &mut self.value_serializer),
        ];
        for (side, hook, used) in sides {
            let Some(used) = used else { continue };
            if records.is_empty() {
                return;
            }
            let names = records.topics.clone();
            let names: Vec<&str> = names.iter().map(|name| &**name).collect();
            let headers = records.read_headers(used.role.headers());
            let topics = records.topic_column(&names);
            let payloads = match side {
                Side::Key => records.keys.as_ref(),
                Side::Value => records.values.as_ref(),
            };
            let (role, meter) = (&mut used.role, &self.meter);
            let count = records.slots.len();
            let (answers, failures) = in_halves(count, |range| {
                let headers = headers.as_ref().map(|headers| headers.as_ref().range(range.clone()));
                meter.call(&used.plugin, hook, range.len(), || {
                    role.serialize(topics.range(range.clone()), payloads.range(range), headers)
                })
            });
            let mut out = Out::new(&used.plugin, hook, failures);
            for (range, mut answer) in answers {
                out.refuse(range.start, std::mem::take(&mut answer.refused));
                records.apply_serialized(side, range, answer);
            }
            out.take_from(records, ended, meter);
        }
    }

    /// Tells the partitioner of a topic and keeps its groups.
    ///
    /// # Errors
    /// The partitioner cannot work with the topic.
    pub fn on_topology(&mut self, topology: &Topology, groups: &mut Groups) -> Result<(), ProduceError> {
        let Some(used) = &mut self.partitioner else { return Ok(()) };
        let of_topic = self
            .meter
            .call(&used.plugin, Hook::OnTopology, 1, || used.role.on_topology(topology))
            .map_err(|failure| plugin_error(&used.plugin, Hook::OnTopology, failure))?;
        groups.insert(topology.topic.as_str().into(), of_topic);
        Ok(())
    }

    /// What the partitioner reads and how its answers come about; `None` without one.
    pub fn partitioner_wants(&self) -> Option<&PartitionerWants> {
        self.partitioner.as_ref().map(|used| used.role.wants())
    }

    /// The partitioner, for every record that has no partition. Answers one target per record that is left:
    /// as in [`super::Placements`], or the explicit partition.
    pub fn partition(&mut self, records: &mut Records, ended: &mut Vec<Ended>) -> Vec<i32> {
        let Some(used) = &mut self.partitioner else { return records.partitions.clone() };
        if records.partitions.iter().all(|&partition| partition != NULL) {
            return records.partitions.clone();
        }
        let mut reads = used.role.wants().reads.clone();
        reads.fields.topic = true;
        let chosen = records.partitions.iter().any(|&partition| partition != NULL);
        // Records that came with a partition skip the partitioner: it is shown the others only.
        let mut others = None;
        if chosen {
            let with_partition: Vec<u32> = indexes(&records.partitions, |partition| partition != NULL);
            let mut without = records.clone();
            without.remove(&with_partition);
            others = Some(without);
        }
        let shown = others.as_ref().unwrap_or(records);
        let mut targets = vec![-1; shown.len()];
        let mut out;
        {
            let names = shown.topic_names();
            let headers = shown.read_headers(&reads.headers);
            let batch = shown.batch(&reads, &names, &headers);
            let role = &mut used.role;
            let meter = &self.meter;
            let (answers, failures) = in_halves(batch.count, |range| {
                meter.call(&used.plugin, Hook::Partition, range.len(), || role.partition(&piece(&batch, range)))
            });
            out = Out::new(&used.plugin, Hook::Partition, failures);
            for (range, answer) in answers {
                out.refuse(range.start, answer.refused);
                targets[range].copy_from_slice(&answer.targets);
            }
        }
        if let Some(mut without) = others {
            let all_slots = std::mem::take(&mut without.slots);
            let mut all = records.partitions.clone();
            let places = indexes(&all, |partition| partition == NULL);
            for (&at, &target) in places.iter().zip(&targets) {
                all[at as usize] = target;
            }
            targets = all;
            debug_assert_eq!(places.len(), all_slots.len());
            out.renumber(&places);
        }
        for dead in out.dead().rev() {
            targets.remove(dead as usize);
        }
        out.take_from(records, ended, &self.meter);
        targets
    }

    /// The on-acknowledgement hooks, in order. `tags` has one column per interceptor. Returns what failed, for the log.
    pub fn on_acknowledgement(
        &mut self,
        acknowledgements: &Acknowledgements<'_>,
        tags: &[Vec<u64>],
    ) -> Vec<(Arc<str>, PluginFailure)> {
        let mut failures = Vec::new();
        let none = vec![0; acknowledgements.count];
        for (at, used) in self.interceptors.iter_mut().enumerate() {
            if used.role.wants().acknowledgements {
                let tags = tags.get(at).filter(|tags| !tags.is_empty()).unwrap_or(&none);
                let told = Acknowledgements { tags, ..*acknowledgements };
                let call = || used.role.on_acknowledgement(&told);
                if let Err(failure) = self.meter.call(&used.plugin, Hook::OnAcknowledgement, told.count, call) {
                    failures.push((Arc::clone(&used.plugin), failure));
                }
            }
        }
        failures
    }

    /// The close hooks, each once.
    pub fn close(&mut self) {
        for used in &mut self.interceptors {
            used.role.close();
        }
        for used in [&mut self.key_serializer, &mut self.value_serializer].into_iter().flatten() {
            used.role.close();
        }
        if let Some(used) = &mut self.partitioner {
            used.role.close();
        }
    }
}

fn piece<'a>(batch: &Batch<'a>, range: Range<usize>) -> Batch<'a> {
    if range == (0..batch.count) { *batch } else { batch.range(range) }
}

fn indexes(partitions: &[i32], pick: impl Fn(i32) -> bool) -> Vec<u32> {
    (0..).zip(partitions).filter(|(_, partition)| pick(**partition)).map(|(at, _)| at).collect()
}

fn plugin_error(plugin: &Arc<str>, hook: Hook, failure: PluginFailure) -> ProduceError {
    ProduceError::Plugin { plugin: Arc::clone(plugin), hook, kind: failure.kind, cause: failure.cause.into() }
}

type InHalves<A> = (Vec<(Range<usize>, A)>, Vec<(Range<usize>, PluginFailure)>);

/// Calls with all records, and with halves of those whose call failed while the budget lasts. Answers and failures
/// come in record order.
fn in_halves<A>(count: usize, mut call: impl FnMut(Range<usize>) -> Result<A, PluginFailure>) -> InHalves<A> {
    let mut answers = Vec::new();
    let mut failures = Vec::new();
    let (mut traps, mut timeouts) = (0, 0);
    let mut todo = vec![0..count];
    while let Some(range) = todo.pop() {
        match call(range.clone()) {
            Ok(answer) => answers.push((range, answer)),
            Err(failure) => {
                match failure.kind {
                    FailureKind::Deadline => timeouts += 1,
                    _ => traps += 1,
                }
                let budget = traps < TRAPS_MAX && timeouts < TIMEOUTS_MAX;
                if range.len() > 1 && failure.kind.may_be_one_record() && budget {
                    let middle = range.start + range.len() / 2;
                    todo.push(middle..range.end);
                    todo.push(range.start..middle);
                } else if !budget {
                    // What is left has not been tried: it fails with the last cause rather than stop the lane.
                    let cause = failure.clone();
                    failures.push((range, failure));
                    failures.extend(todo.drain(..).rev().map(|range| (range, cause.clone())));
                } else {
                    failures.push((range, failure));
                }
            }
        }
    }
    failures.sort_by_key(|(range, _)| range.start);
    (answers, failures)
}

/// Records that a hook ended, by index.
struct Out<'p> {
    plugin: &'p Arc<str>,
    hook: Hook,
    ended: BTreeMap<u32, ProduceError>,
    refused: usize,
}

impl<'p> Out<'p> {
    fn new(plugin: &'p Arc<str>, hook: Hook, failures: Vec<(Range<usize>, PluginFailure)>) -> Out<'p> {
        let mut ended = BTreeMap::new();
        for (range, failure) in failures {
            let error = plugin_error(plugin, hook, failure);
            ended.extend(range.map(|at| (at as u32, error.clone())));
        }
        Out { plugin, hook, ended, refused: 0 }
    }

    fn refuse(&mut self, start: usize, refused: Vec<Refusal>) {
        let refused = sorted_refusals(refused);
        self.refused += refused.len();
        for refusal in refused {
            let failure = PluginFailure::new(FailureKind::Refused, refusal.reason);
            self.ended.insert(start as u32 + refusal.index, plugin_error(self.plugin, self.hook, failure));
        }
    }

    fn drop(&mut self, start: usize, dropped: &[u32]) {
        for &at in dropped {
            let plugin = Arc::clone(self.plugin);
            self.ended.entry(start as u32 + at).or_insert(ProduceError::Dropped { plugin });
        }
    }

    /// Indexes of some records become those of all: `places` says which.
    fn renumber(&mut self, places: &[u32]) {
        let ended = std::mem::take(&mut self.ended);
        self.ended = ended.into_iter().map(|(at, error)| (places[at as usize], error)).collect();
    }

    fn dead(&self) -> impl DoubleEndedIterator<Item = u32> {
        self.ended.keys().copied()
    }

    fn take_from(self, records: &mut Records, ended: &mut Vec<Ended>, meter: &Meter) {
        meter.refused(self.plugin, self.hook, self.refused);
        let dead: Vec<u32> = self.dead().collect();
        ended.extend(self.ended.into_iter().map(|(at, error)| Ended { slot: records.slots[at as usize], error }));
        records.remove(&dead);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trap() -> PluginFailure {
        PluginFailure::new(FailureKind::Trap, "x")
    }

    #[test]
    fn one_bad_record_fails_alone() {
        let bad = 700;
        let mut calls = 0;
        let (answers, failures) = in_halves(1024, |range| {
            calls += 1;
            if range.contains(&bad) { Err(trap()) } else { Ok(()) }
        });
        assert_eq!(failures, vec![(bad..bad + 1, trap())]);
        assert_eq!(answers.iter().map(|(range, ())| range.len()).sum::<usize>(), 1023);
        assert!(calls <= 21, "{calls}");
    }

    #[test]
    fn a_plugin_that_always_traps_costs_a_bounded_number_of_calls() {
        let mut calls = 0;
        let (answers, failures): InHalves<()> = in_halves(1024, |_| {
            calls += 1;
            Err(trap())
        });
        assert!(answers.is_empty());
        assert_eq!(failures.iter().map(|(range, _)| range.len()).sum::<usize>(), 1024);
        assert!(calls <= TRAPS_MAX, "{calls}");

        let mut calls = 0;
        let (_, failures): InHalves<()> = in_halves(1024, |_| {
            calls += 1;
            Err(PluginFailure::new(FailureKind::Deadline, "x"))
        });
        assert_eq!(failures.iter().map(|(range, _)| range.len()).sum::<usize>(), 1024);
        assert_eq!(calls, TIMEOUTS_MAX);
    }

    #[test]
    fn an_error_for_the_whole_call_is_not_halved() {
        let mut calls = 0;
        let (_, failures): InHalves<()> = in_halves(8, |_| {
            calls += 1;
            Err(PluginFailure::new(FailureKind::Error, "cannot work"))
        });
        assert_eq!((calls, failures.len(), failures[0].0.clone()), (1, 1, 0..8));
    }

    /// Refuses the first record it is shown and traps on one that says so.
    struct Picky(crate::plugin::HeaderReads);

    impl Serializer for Picky {
        fn headers(&self) -> &crate::plugin::HeaderReads {
            &self.0
        }

        fn serialize(
            &mut self,
            _: crate::plugin::TopicColumnRef<'_>,
            payloads: crate::plugin::ColumnRef<'_>,
            _: Option<crate::plugin::HeaderColumnsRef<'_>>,
        ) -> Result<crate::plugin::Serialized, PluginFailure> {
            let all: Vec<Option<&[u8]>> = payloads.iter().collect();
            if all.contains(&Some(b"trap")) {
                return Err(trap());
            }
            let mut answer = crate::plugin::Serialized::default();
            for payload in &all {
                answer.payloads.push(*payload);
            }
            if all[0] == Some(b"first") {
                answer.refused.push(Refusal { index: 0, reason: "x".to_owned() });
            }
            Ok(answer)
        }

        fn close(&mut self) {}
    }

    #[test]
    fn calls_halves_and_refusals_are_metered() {
        let role = Box::new(Picky(Default::default()));
        let mut chain = Chain { value_serializer: Some(Used { plugin: "picky".into(), role }), ..Chain::default() };
        let mut records = Records::default();
        let topic: Arc<str> = "orders".into();
        for value in ["first", "b", "trap", "d"] {
            records.push(&topic, None, 0, None, Some(value.as_bytes()), std::iter::empty());
        }
        let mut ended = Vec::new();
        chain.serialize(&mut records, &mut ended);
        assert_eq!((records.len(), ended.len()), (2, 2));
        let counts = chain.meter.counts();
        let [(plugin, Hook::SerializeValue, counts)] = &counts[..] else { panic!("{counts:?}") };
        assert_eq!((&**plugin, counts.calls, counts.records), ("picky", 5, 4 + 2 + 2 + 1 + 1));
        assert_eq!(counts.failures, [(FailureKind::Refused, 1), (FailureKind::Trap, 3)].into());
    }
}
