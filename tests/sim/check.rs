//! What was accepted, what was told of it, and whether that is true.

use crate::batch::{Batch, StoredRecord, sequence_plus};
use crate::cluster::{Topic, fingerprint};
use crate::lanes::{ChainPlan, Lanes, Passage};
use crate::load::Planned;
use crate::world::World;
use pointsman::core::time::Instant;
use pointsman::core::{Completion, Done, Outcome, Placement};
use pointsman::error::{Fate, ProduceError, Stage};
use pointsman::protocol::error_code as code;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Every record that the core took.
#[derive(Default)]
pub struct Ledger {
    pub entries: BTreeMap<u64, Entry>,
    completions: BTreeMap<usize, Batched>,
    /// The core was told to fail everything.
    pub abandoned: bool,
    pub key_places: BTreeMap<(String, Vec<u8>), i32>,
    /// Where records pass plugins before they come to the core.
    pub chains: Vec<ChainPlan>,
    pub next_order: u64,
    flushes: BTreeMap<u64, u64>,
}

pub struct Entry {
    pub topic: String,
    pub partition: i32,
    pub record: StoredRecord,
    /// Place in the order of appends.
    pub order: u64,
    pub accepted: Instant,
    pub appended: Instant,
    pub sent: u32,
    pub done: Option<(Instant, Told)>,
    /// Records of one stream keep their order.
    pub stream: u64,
    /// What it went through before the core; then topic and partition are known when it leaves.
    pub passage: Option<Passage>,
    /// How often its callback is to be called.
    pub callbacks: u32,
    pub called: Arc<AtomicU32>,
}

/// What was told of a record.
#[derive(Clone, Debug, PartialEq)]
pub enum Told {
    Written(Option<i64>),
    Failed(ProduceError),
}

struct Batched {
    /// Held, so that its address is not used again.
    completion: Arc<Completion>,
    numbers: Vec<u64>,
    done: bool,
}

impl Ledger {
    pub fn accept(&mut self, now: Instant, planned: Planned, completion: Arc<Completion>, index: u32) -> Vec<String> {
        let mut wrong = Vec::new();
        let Planned { topic, placement, number, record, accepted } = planned;
        let partition = completion.partition();
        if **completion.topic() != *topic {
            wrong.push(format!("record {number} of {topic} was put into a batch of {}", completion.topic()));
        }
        match (placement, &record.key) {
            (Placement::Partition(asked), _) if asked != partition => {
                wrong.push(format!("record {number} was put into partition {partition}, {asked} was asked for"));
            }
            (Placement::Default, Some(key)) => {
                let place = *self.key_places.entry((topic.clone(), key.clone())).or_insert(partition);
                if place != partition {
                    wrong.push(format!("key {key:?} went to partition {place} and then to {partition}"));
                }
            }
            _ => {}
        }
        let address = Arc::as_ptr(&completion) as usize;
        let called = Arc::new(AtomicU32::new(0));
        let count = called.clone();
        completion.call(index, Box::new(move |_, _, _| _ = count.fetch_add(1, Ordering::Relaxed)));
        let fresh = || Batched { completion, numbers: Vec::new(), done: false };
        let batched = self.completions.entry(address).or_insert_with(fresh);
        if batched.done || batched.numbers.len() != index as usize {
            let (len, done) = (batched.numbers.len(), batched.done);
            wrong.push(format!("record {number} got index {index} in a batch of {len}, done: {done}"));
        }
        batched.numbers.push(number);
        let order = self.next_order;
        self.next_order += 1;
        let accepted = accepted.unwrap_or(now);
        let entry = Entry {
            topic,
            partition,
            record,
            order,
            accepted,
            appended: now,
            sent: 0,
            done: None,
            stream: 0,
            passage: None,
            callbacks: 1,
            called,
        };
        self.entries.insert(number, entry);
        wrong
    }

    /// A batch leaves the client.
    pub fn sent(&mut self, topic: &str, partition: i32, batch: &Batch) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut before = BTreeMap::new();
        for record in &batch.records {
            let Some((number, entry)) =
                number_of(record).and_then(|number| Some((number, self.entries.get_mut(&number)?)))
            else {
                wrong.push(format!("{topic}-{partition}: a record leaves that nobody sent: {record:?}"));
                continue;
            };
            if entry.passage.is_some() {
                let leaving = entry.leaves(&self.chains, &mut self.key_places, topic, partition, record);
                wrong.extend(leaving.map(|what| format!("record {number}: {what}")));
            } else if entry.record != *record {
                wrong.push(format!("record {number} leaves as {record:?}, it was sent as {:?}", entry.record));
            }
            if (entry.topic.as_str(), entry.partition) != (topic, partition) {
                wrong.push(format!(
                    "record {number} of {}-{} leaves for {topic}-{partition}",
                    entry.topic, entry.partition
                ));
            }
            if let Some((_, told)) = &entry.done {
                wrong.push(format!("record {number} leaves after it was told to be {told:?}"));
            }
            if before.insert(entry.stream, entry.order).is_some_and(|before| before >= entry.order)
                && !entry.is_letter()
            {
                wrong.push(format!("record {number} leaves behind a later one in its batch"));
            }
            entry.sent += 1;
        }
        wrong
    }

    /// Whether a batch that has just left had left before.
    pub fn went_before(&self, batch: &Batch) -> bool {
        let sent =
            |record| number_of(record).and_then(|number| self.entries.get(&number)).map_or(0, |entry| entry.sent);
        batch.records.first().map_or(0, sent) > 1
    }

    pub fn done(&mut self, now: Instant, done: Done) -> Vec<String> {
        let mut wrong = Vec::new();
        let address = Arc::as_ptr(&done.completion) as usize;
        let Some(batched) = self.completions.get_mut(&address) else {
            return vec![format!("{:?} is done and was never begun", done.completion)];
        };
        if std::mem::replace(&mut batched.done, true) {
            return vec![format!("{:?} is done twice", done.completion)];
        }
        if !done.tokens.is_empty() && done.tokens != batched.numbers {
            wrong.push(format!("tokens {:?} came back for {:?}", done.tokens, batched.numbers));
        }
        let mut next = 0;
        for run in done.runs.iter() {
            if run.first != next || run.count == 0 {
                wrong.push(format!("a run begins at {} and not at {next}", run.first));
            }
            next = run.first + run.count;
            for index in run.first..next {
                let Some(entry) = batched.numbers.get(index as usize).and_then(|number| self.entries.get_mut(number))
                else {
                    wrong.push(format!("there is no record {index} in {:?}", done.completion));
                    break;
                };
                let told = match &run.outcome {
                    Outcome::Written { base_offset, .. } => {
                        Told::Written(base_offset.map(|base| base + i64::from(index - run.first)))
                    }
                    Outcome::Failed(error) => Told::Failed(error.clone()),
                };
                entry.done = Some((now, told));
            }
        }
        if next as usize != batched.numbers.len() {
            wrong.push(format!("{next} of {} records of {:?} are done", batched.numbers.len(), done.completion));
        }
        let completion = batched.completion.clone();
        done.complete();
        if completion.outcome(0).is_none() {
            wrong.push(format!("{completion:?} is done and has no outcome"));
        }
        wrong
    }

    pub fn flush(&mut self, flush: u64) {
        self.flushes.insert(flush, self.next_order);
    }

    pub fn flushed(&mut self, flush: u64) -> Vec<String> {
        let Some(before) = self.flushes.remove(&flush) else {
            return vec![format!("flush {flush} ended twice, or was never asked for")];
        };
        let missing = self.entries.iter().filter(|(_, entry)| entry.order < before && entry.done.is_none());
        let missing: Vec<_> = missing.map(|(number, _)| *number).collect();
        if missing.is_empty() { Vec::new() } else { vec![format!("flush {flush} ended before records {missing:?}")] }
    }

    pub fn written(&self) -> usize {
        self.told(|told| matches!(told, Told::Written(_)))
    }

    pub fn failed(&self) -> usize {
        self.told(|told| matches!(told, Told::Failed(_)))
    }

    fn told(&self, which: impl Fn(&Told) -> bool) -> usize {
        self.entries.values().filter(|entry| entry.done.as_ref().is_some_and(|(_, told)| which(told))).count()
    }
}

impl World {
    /// All that can be said once nothing is under way any more.
    pub fn check(&mut self) {
        let mut wrong = Vec::new();
        self.check_told(&mut wrong);
        for at in 0..self.cluster.topics.len() {
            for number in 0..self.cluster.topics[at].partitions.len() {
                self.check_partition(at, number, &mut wrong);
            }
        }
        if !self.ledger.flushes.is_empty() {
            wrong.push(format!("flushes {:?} never ended", self.ledger.flushes.keys()));
        }
        let (available, total) = (self.config.memory.available(), self.config.memory.total() as i64);
        if available != total {
            wrong.push(format!("{} of {total} bytes of memory never came back", total - available));
        }
        wrong.into_iter().take(20).for_each(|wrong| self.violation(wrong));
    }

    fn check_told(&self, wrong: &mut Vec<String>) {
        // A timer is a little late; sealing takes a little.
        let lanes = self.lanes.as_ref().map_or(Duration::ZERO, Lanes::slack);
        let slack = self.timer_slack + Duration::from_micros(self.seal_delay_us) + Duration::from_millis(1) + lanes;
        for (number, entry) in &self.ledger.entries {
            let Some((when, told)) = &entry.done else {
                wrong.push(format!("record {number} of {}-{} was never done", entry.topic, entry.partition));
                continue;
            };
            let called = entry.called.load(Ordering::Relaxed);
            if called != entry.callbacks {
                wrong.push(format!("the callback of record {number} was called {called} times"));
            }
            let due = (entry.accepted + self.config.delivery_timeout).max(entry.appended) + slack;
            // A lane gets to what has waited too long in it when it does.
            let in_lane = matches!(told, Told::Failed(ProduceError::Timeout { stage: Stage::Lane, .. }));
            if *when > due && !in_lane {
                wrong.push(format!("record {number} was done at {when:?}, delivery.timeout.ms ended before {due:?}"));
            }
            if let Told::Failed(error) = told
                && error.fate() == Fate::Unknown
                && entry.sent == 0
            {
                wrong.push(format!("record {number} was never sent and its fate is called unknown: {error}"));
            }
        }
    }

    fn check_partition(&self, at: usize, number: usize, wrong: &mut Vec<String>) {
        let (topic, partition) = (&self.cluster.topics[at], &self.cluster.topics[at].partitions[number]);
        let place = format!("{}-{number}", topic.name);
        let standing = partition.log.batches.iter().flat_map(|batch| {
            batch.records.iter().zip(batch.base_offset..).map(|(record, offset)| (number_of(record), offset))
        });
        let mut offsets: BTreeMap<u64, Vec<i64>> = BTreeMap::new();
        let mut in_order = Vec::new();
        for (record, offset) in standing {
            let Some(record) = record else { continue };
            let known = offsets.entry(record).or_default();
            known.push(offset);
            if known.len() == 1 {
                in_order.push(record);
            }
        }
        let lost: BTreeSet<u64> = match self.config.acks {
            -1 => BTreeSet::new(),
            _ => partition.truncated.iter().filter_map(number_of).collect(),
        };
        let exactly_once = self.config.idempotence && !partition.producers_forgotten;
        let of_same_name = |topics: &[Topic]| topics.iter().position(|other| other.name == topic.name);
        if of_same_name(&self.cluster.topics[at + 1..]).is_some() {
            // It was deleted: what it held is gone, rightly, and may stand in the next one, too.
            if exactly_once {
                self.check_sequences(&place, at, number, wrong);
            }
            return;
        }
        let mut deleted = BTreeSet::new();
        for earlier in self.cluster.topics[..at].iter().filter(|other| other.name == topic.name) {
            let Some(partition) = earlier.partitions.get(number) else { continue };
            deleted.extend(partition.ever_held().filter_map(number_of));
        }
        let gone = |record: &u64| lost.contains(record) || deleted.contains(record);
        let here = |entry: &&Entry| entry.topic == *topic.name && entry.partition == number as i32;
        for (record, entry) in self.ledger.entries.iter().filter(|(_, entry)| here(entry)) {
            let Some((_, told)) = &entry.done else { continue };
            let found = offsets.get(record).map_or(&[][..], Vec::as_slice);
            if exactly_once && found.len() > 1 {
                wrong.push(format!("{place}: record {record} ({told:?}) stands at {found:?}"));
            }
            match told {
                Told::Written(offset) if self.config.acks != 0 => {
                    if found.is_empty() && !gone(record) {
                        wrong.push(format!("{place}: record {record} was acknowledged and is lost"));
                    }
                    match offset {
                        Some(offset) if !found.contains(offset) && !gone(record) => {
                            wrong.push(format!(
                                "{place}: record {record} is said to stand at {offset}, it does at {found:?}"
                            ));
                        }
                        None if self.cluster.old_duplicates == 0 => {
                            wrong.push(format!("{place}: record {record} is written and has no offset"));
                        }
                        _ => {}
                    }
                }
                // The rules of sequences are the producer's own business while the cluster remembers what it wrote.
                // Whoever was fenced off hears it from leaders first.
                Told::Failed(ProduceError::Broker { code: code::INVALID_PRODUCER_EPOCH, .. })
                    if !self.cluster.coordinators.fences.is_empty() => {}
                Told::Failed(ProduceError::Broker { code: code::OUT_OF_ORDER_SEQUENCE_NUMBER, .. })
                    if self.cluster.stale_verification => {}
                Told::Failed(ProduceError::Broker { code, .. }) if exactly_once && OF_SEQUENCES.contains(code) => {
                    wrong.push(format!("{place}: record {record} failed with {}", code::name(*code)));
                }
                Told::Failed(error) if error.fate() == Fate::NotWritten && !found.is_empty() => {
                    wrong.push(format!(
                        "{place}: record {record} is called not written and stands at {found:?}: {error}"
                    ));
                }
                _ => {}
            }
        }
        // With acks=0 nobody waits for one request before the next is sent, on another connection perhaps.
        let one_by_one = self.config.max_in_flight == 1 && self.config.acks != 0;
        if (exactly_once || one_by_one) && lost.is_empty() {
            // What was in a deleted log, too, has its place there.
            in_order.retain(|record| !deleted.contains(record) && !self.cluster.astray.contains(record));
            self.check_order(&place, &in_order, wrong);
        }
        if exactly_once {
            self.check_sequences(&place, at, number, wrong);
        }
    }

    fn check_order(&self, place: &str, in_order: &[u64], wrong: &mut Vec<String>) {
        let acknowledged = |record: &u64| {
            let entry = &self.ledger.entries[record];
            let told = entry.done.as_ref().map(|(_, told)| told);
            // What was given up on without idempotence may turn up at any time.
            let counts = self.config.idempotence || matches!(told, Some(Told::Written(_)));
            (counts && !entry.is_letter()).then_some((entry.stream, entry.order, *record))
        };
        let mut before = BTreeMap::new();
        for (stream, order, record) in in_order.iter().filter_map(acknowledged) {
            if let Some((earlier, other)) = before.insert(stream, (order, record))
                && earlier > order
            {
                wrong.push(format!("{place}: record {record} was sent before {other} and stands behind it"));
            }
        }
    }

    fn check_sequences(&self, place: &str, at: usize, number: usize, wrong: &mut Vec<String>) {
        let mut expected: BTreeMap<(i64, i16), i32> = BTreeMap::new();
        let mut known = BTreeSet::new();
        for batch in &self.cluster.topics[at].partitions[number].log.batches {
            if batch.marker.is_some() {
                known.insert(batch.producer_id);
                continue;
            }
            // A leader that knows nothing of a producer takes any sequence as its first: the batches before were
            // refused, and this one keeps its sequence because it may be there already.
            let first = if known.insert(batch.producer_id) { batch.base_sequence } else { 0 };
            let next = expected.entry((batch.producer_id, batch.epoch)).or_insert(first);
            if batch.base_sequence != *next {
                let (pid, epoch, sequence) = (batch.producer_id, batch.epoch, batch.base_sequence);
                wrong.push(format!("{place}: pid {pid} epoch {epoch} goes from sequence {next} on with {sequence}"));
            }
            *next = sequence_plus(batch.last_sequence(), 1);
        }
    }
}

const OF_SEQUENCES: [i16; 4] = [
    code::OUT_OF_ORDER_SEQUENCE_NUMBER,
    code::INVALID_PRODUCER_EPOCH,
    code::UNKNOWN_PRODUCER_ID,
    code::DUPLICATE_SEQUENCE_NUMBER,
];

pub fn number_of(record: &StoredRecord) -> Option<u64> {
    Some(u64::from_le_bytes(fingerprint(record).try_into().ok()?))
}
