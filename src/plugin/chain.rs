//! The hooks of a lane's plugins in their order, over one chunk of records.
//!
//! What a plugin fails on is settled by its policy before the next hook: it goes on as it came, or is taken out.

use super::breaker::{Breaker, BreakerOptions};
use super::call_size::CallSize;
use super::calls::Caller;
use super::failure::{Hook, PluginFailure};
use super::meter::Meter;
use super::placing::Placing;
use super::policy::{Ended, Failures, Policy};
use super::records::Records;
use super::roles::{Acknowledgements, Batch, Interceptor, Partitioner, PartitionerWants, Serializer, Side};
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// The plugins of one lane, each used in one place. Where a method takes `now`, that is the time since an origin that
/// is the same for all calls.
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
    pub(super) placing: Placing,
}

/// A plugin in one of its roles.
pub struct Used<R: ?Sized> {
    /// Name in the config.
    pub plugin: Arc<str>,
    /// The instance.
    pub role: Box<R>,
    /// What becomes of records that it fails on.
    pub policy: Policy,
    pub(super) breaker: Breaker,
    pub(super) size: CallSize,
    /// That of on-acknowledgement, which may fail while on-send works.
    acknowledging: Breaker,
    acknowledging_size: CallSize,
}

/// Tags that the interceptors left on a chunk's records, by interceptor, then by slot.
pub type Tags = Vec<Vec<u64>>;

impl<R: ?Sized> Used<R> {
    /// A plugin by its name in the config, and how its failures are dealt with.
    pub fn new(plugin: impl Into<Arc<str>>, role: Box<R>, policy: Policy, breaker: BreakerOptions) -> Used<R> {
        let (breaker, acknowledging) = (Breaker::new(breaker), Breaker::new(breaker));
        let (size, acknowledging_size) = (CallSize::default(), CallSize::default());
        Used { plugin: plugin.into(), role, policy, breaker, size, acknowledging, acknowledging_size }
    }
}

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

    /// Whether any interceptor may send records to another topic than the application named.
    pub fn changes_topics(&self) -> bool {
        self.interceptors.iter().any(|used| used.role.wants().changes.topic)
    }

    /// Whether a record may come from the interceptors with a partition that its topic was not asked about: they changed
    /// either.
    pub fn changes_partitions(&self) -> bool {
        self.interceptors.iter().any(|used| used.role.wants().changes.partition) || self.changes_topics()
    }

    /// The on-send hooks, in order. `slots` is the number of the chunk's deliveries.
    pub fn on_send(&mut self, now: Duration, records: &mut Records, slots: usize, ended: &mut Vec<Ended>) -> Tags {
        let mut tags = Vec::with_capacity(self.interceptors.len());
        for used in &mut self.interceptors {
            tags.push(used.on_send(now, &self.meter, records, slots, ended));
        }
        tags
    }

    /// The serializers, keys first.
    pub fn serialize(&mut self, now: Duration, records: &mut Records, ended: &mut Vec<Ended>) {
        if let Some(used) = &mut self.key_serializer {
            used.serialize(now, &self.meter, Side::Key, records, ended);
        }
        if let Some(used) = &mut self.value_serializer {
            used.serialize(now, &self.meter, Side::Value, records, ended);
        }
    }

    /// What the partitioner reads and how its answers come about; `None` without one.
    pub fn partitioner_wants(&self) -> Option<&PartitionerWants> {
        self.partitioner.as_ref().map(|used| used.role.wants())
    }

    /// The on-acknowledgement hooks, in order. `tags` has one column per interceptor. Returns what failed, for the log.
    pub fn on_acknowledgement(
        &mut self,
        now: Duration,
        acknowledgements: &Acknowledgements<'_>,
        tags: &[Vec<u64>],
    ) -> Vec<(Arc<str>, PluginFailure)> {
        let mut failures = Vec::new();
        let mut none = Vec::new();
        for (at, used) in self.interceptors.iter_mut().enumerate() {
            if used.role.wants().acknowledgements {
                let tags = match tags.get(at) {
                    Some(tags) if !tags.is_empty() => tags,
                    _ => {
                        none.resize(acknowledgements.count, 0);
                        &none
                    }
                };
                let told = Acknowledgements { tags, ..*acknowledgements };
                let Used { plugin, role, acknowledging: breaker, acknowledging_size: size, .. } = used;
                let mut caller = Caller { plugin, hook: Hook::OnAcknowledgement, breaker, meter: &self.meter };
                let failed = caller.in_pieces(now, told.count, size, |range| {
                    let piece = if range == (0..told.count) { told } else { told.range(range) };
                    role.on_acknowledgement(&piece)
                });
                failures.extend(failed.into_iter().map(|failure| (Arc::clone(&used.plugin), failure)));
            }
        }
        failures
    }

    /// Takes over from the chain before what is to stay of it: the plugins of these names, where both have them in the same
    /// place. That one has the successors' instances then. Whether the partitioner is among them, which has been told of
    /// its topics.
    pub fn keep(&mut self, before: &mut Chain, stays: &BTreeSet<String>) -> bool {
        for used in self.interceptors.iter_mut().filter(|used| stays.contains(&*used.plugin)) {
            let same = before.interceptors.iter_mut().find(|other| other.plugin == used.plugin);
            if let Some(other) = same {
                std::mem::swap(used, other);
            }
        }
        let Chain { key_serializer, value_serializer, partitioner, placing, .. } = before;
        keep_one(&mut self.key_serializer, key_serializer, stays);
        keep_one(&mut self.value_serializer, value_serializer, stays);
        let is_told = keep_one(&mut self.partitioner, partitioner, stays);
        if is_told {
            std::mem::swap(&mut self.placing, placing);
        }
        is_told
    }

    /// The close hooks, each once. Breakers that are open are no more.
    pub fn close(&mut self) {
        let meter = self.meter.clone();
        let ended = |plugin: &Arc<str>, hook, breaker: &Breaker| {
            if breaker.is_open() {
                meter.breaker(plugin, hook, false);
            }
        };
        for used in &mut self.interceptors {
            used.role.close();
            ended(&used.plugin, Hook::OnSend, &used.breaker);
            ended(&used.plugin, Hook::OnAcknowledgement, &used.acknowledging);
        }
        let serializers =
            [(&mut self.key_serializer, Hook::SerializeKey), (&mut self.value_serializer, Hook::SerializeValue)];
        for (used, hook) in serializers {
            if let Some(used) = used {
                used.role.close();
                ended(&used.plugin, hook, &used.breaker);
            }
        }
        if let Some(used) = &mut self.partitioner {
            used.role.close();
            ended(&used.plugin, Hook::Partition, &used.breaker);
            self.placing.breakers().for_each(|breaker| ended(&used.plugin, Hook::OnTopology, breaker));
        }
    }
}

impl Used<dyn Interceptor> {
    /// Returns the tags by slot; empty where it left none.
    fn on_send(
        &mut self,
        now: Duration,
        meter: &Meter,
        records: &mut Records,
        slots: usize,
        ended: &mut Vec<Ended>,
    ) -> Vec<u64> {
        let mut tags = Vec::new();
        let Some(reads) = self.role.wants().on_send.clone() else { return tags };
        if records.is_empty() {
            return tags;
        }
        let hook = Hook::OnSend;
        let Used { plugin, role, policy, breaker, size, .. } = self;
        let (answers, failed) = {
            let names = records.topic_names();
            let headers = records.read_headers(&reads.headers);
            let batch = records.batch(&reads, &names, &headers);
            let mut caller = Caller { plugin, hook, breaker, meter };
            caller.in_halves(now, batch.count, size, |range| role.on_send(&piece(&batch, range)))
        };
        let mut failures = Failures::new(plugin, policy, hook);
        failures.add_calls(failed);
        let mut kept = Kept::new(&failures, records, answers.iter().any(|(_, edits)| !edits.refused.is_empty()));
        for (range, mut edits) in answers {
            if !edits.tags.is_empty() {
                tags.resize(slots, 0);
                for (&slot, &tag) in records.slots[range.clone()].iter().zip(&edits.tags) {
                    tags[slot as usize] = tag;
                }
            }
            for refusal in &edits.refused {
                let at = range.start + refusal.index as usize;
                kept.note(at);
                if let Some(tag) = tags.get_mut(records.slots[at] as usize) {
                    *tag = 0;
                }
            }
            failures.refuse(range.start, std::mem::take(&mut edits.refused));
            failures.drop(range.start, &edits.dropped);
            records.apply(range, edits);
        }
        kept.put_back(records);
        failures.settle(records, ended, meter);
        tags
    }
}

impl Used<dyn Serializer> {
    fn serialize(&mut self, now: Duration, meter: &Meter, side: Side, records: &mut Records, ended: &mut Vec<Ended>) {
        if records.is_empty() {
            return;
        }
        let hook = match side {
            Side::Key => Hook::SerializeKey,
            Side::Value => Hook::SerializeValue,
        };
        let Used { plugin, role, policy, breaker, size, .. } = self;
        let (answers, failed) = {
            let names = records.topic_names();
            let headers = records.read_headers(role.headers());
            let topics = records.topic_column(&names);
            let payloads = match side {
                Side::Key => records.keys.as_ref(),
                Side::Value => records.values.as_ref(),
            };
            let mut caller = Caller { plugin, hook, breaker, meter };
            caller.in_halves(now, records.len(), size, |range| {
                let headers = headers.as_ref().map(|headers| headers.as_ref().range(range.clone()));
                role.serialize(topics.range(range.clone()), payloads.range(range), headers)
            })
        };
        let mut failures = Failures::new(plugin, policy, hook);
        failures.add_calls(failed);
        let mut kept = Kept::new(&failures, records, answers.iter().any(|(_, answer)| !answer.refused.is_empty()));
        for (range, mut answer) in answers {
            answer.refused.iter().for_each(|refusal| kept.note(range.start + refusal.index as usize));
            failures.refuse(range.start, std::mem::take(&mut answer.refused));
            records.apply_serialized(side, range, answer);
        }
        kept.put_back(records);
        failures.settle(records, ended, meter);
    }
}

pub(super) fn piece<'a>(batch: &Batch<'a>, range: Range<usize>) -> Batch<'a> {
    if range == (0..batch.count) { *batch } else { batch.range(range) }
}

fn keep_one<R: ?Sized>(after: &mut Option<Used<R>>, before: &mut Option<Used<R>>, stays: &BTreeSet<String>) -> bool {
    if let (Some(after), Some(before)) = (after, before)
        && after.plugin == before.plugin
        && stays.contains(&*after.plugin)
    {
        std::mem::swap(after, before);
        return true;
    }
    false
}

/// Records that a plugin refused, where its policy has use for them: whatever the answer says elsewhere about them does
/// not count, so they are put back as they were.
struct Kept {
    before: Option<Records>,
    refused: Vec<u32>,
}

impl Kept {
    fn new(failures: &Failures<'_>, records: &Records, any_refused: bool) -> Kept {
        let before = (any_refused && failures.keeps_refused()).then(|| records.clone());
        Kept { before, refused: Vec::new() }
    }

    fn note(&mut self, at: usize) {
        if self.before.is_some() {
            self.refused.push(at as u32);
        }
    }

    fn put_back(mut self, records: &mut Records) {
        if let Some(before) = &self.before {
            self.refused.sort_unstable();
            self.refused.dedup();
            records.put_back(before, &self.refused);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ProduceError;
    use crate::plugin::{
        Column, ColumnRef, DeadLetter, End, FailureKind, HeaderColumnsRef, HeaderReads, Refusal, Serialized,
        TopicColumnRef,
    };

    /// Refuses the first record it is shown and traps on one that says so; every other value gets a mark.
    struct Picky(HeaderReads);

    impl Serializer for Picky {
        fn headers(&self) -> &HeaderReads {
            &self.0
        }

        fn serialize(
            &mut self,
            _: TopicColumnRef<'_>,
            payloads: ColumnRef<'_>,
            _: Option<HeaderColumnsRef<'_>>,
        ) -> Result<Serialized, PluginFailure> {
            let all: Vec<&[u8]> = payloads.iter().flatten().collect();
            if all.contains(&b"trap".as_slice()) {
                return Err(PluginFailure::new(FailureKind::Trap, "x"));
            }
            let mut answer = Serialized::default();
            for payload in &all {
                answer.payloads.push(Some(&[b"+", *payload].concat()));
            }
            if all[0] == b"first" {
                answer.refused.push(Refusal { index: 0, reason: "x".to_owned() });
            }
            Ok(answer)
        }

        fn close(&mut self) {}
    }

    /// What is left, what ended, and the chain.
    fn picky(policy: Policy) -> (Vec<String>, Vec<Ended>, Chain) {
        let used =
            Used::new("picky", Box::new(Picky(HeaderReads::None)) as Box<dyn Serializer>, policy, Default::default());
        let mut chain = Chain { value_serializer: Some(used), ..Chain::default() };
        let mut records = Records::default();
        let topic: Arc<str> = "orders".into();
        for value in ["first", "b", "trap", "d"] {
            records.push(&topic, None, 7, Some(b"k"), Some(value.as_bytes()), std::iter::empty());
        }
        let mut ended = Vec::new();
        chain.serialize(Duration::ZERO, &mut records, &mut ended);
        let text = |column: &Column| {
            column.as_ref().iter().map(|value| String::from_utf8(value.unwrap().to_vec()).unwrap()).collect()
        };
        (text(&records.values), ended, chain)
    }

    #[test]
    fn calls_halves_and_refusals_are_metered() {
        let (left, ended, chain) = picky(Policy::Fail);
        assert_eq!((left.len(), ended.len()), (2, 2));
        let counts = chain.meter.counts();
        let [(plugin, Hook::SerializeValue, counts)] = &counts[..] else { panic!("{counts:?}") };
        assert_eq!((&**plugin, counts.calls, counts.records), ("picky", 5, 4 + 2 + 2 + 1 + 1));
        assert_eq!(counts.failures, [(FailureKind::Refused, 1), (FailureKind::Trap, 3)].into());
        assert_eq!(counts.settled, [("fail", 2)].into());
    }

    #[test]
    fn who_passes_goes_on_as_it_came() {
        let (left, ended, chain) = picky(Policy::Pass);
        assert_eq!(left, ["first", "+b", "trap", "+d"]);
        assert_eq!(ended, []);
        assert_eq!(chain.meter.counts()[0].2.settled, [("pass", 2)].into());
    }

    #[test]
    fn who_is_dropped_says_for_what() {
        let (left, ended, _) = picky(Policy::Drop);
        assert_eq!(left, ["+b", "+d"]);
        assert_eq!(ended.iter().map(|ended| (ended.slot, ended.timestamp)).collect::<Vec<_>>(), [(0, 7), (2, 7)]);
        let End::Failed(error @ ProduceError::Dropped { failure: Some(_), .. }) = &ended[1].end else { panic!() };
        let text = "orders: dropped by plugin picky, whose policy says so, for orders: plugin picky, serialize (value): trapped: x";
        assert_eq!(error.to_string(), text);
    }

    #[test]
    fn a_letter_holds_what_the_policy_includes() {
        for (include_key, include_value) in [(false, false), (true, false), (false, true)] {
            let to = DeadLetter { topic: "dead".into(), include_key, include_value, version: None, digest: None };
            let (left, ended, _) = picky(Policy::DeadLetter(Arc::new(to)));
            assert_eq!(left, ["+b", "+d"]);
            let letters: Vec<&super::super::Letter> = ended
                .iter()
                .map(|ended| match &ended.end {
                    End::DeadLetter(letter) => &**letter,
                    End::Failed(error) => panic!("{error}"),
                })
                .collect();
            assert_eq!(
                letters.iter().map(|letter| letter.failure.kind).collect::<Vec<_>>(),
                [FailureKind::Refused, FailureKind::Trap]
            );
            let key = include_key.then(|| b"k".to_vec());
            assert!(letters.iter().all(|letter| letter.key == key));
            assert_eq!(letters[1].value, include_value.then(|| b"trap".to_vec()));
        }
    }
}
