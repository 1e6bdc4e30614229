//! Chains as seeds draw them, and what each may do to a record.

use super::plugins::{DEAD, Drawn, Framing, Heard, MARK, Marking, Placing, hash};
use crate::batch::StoredRecord;
use crate::check::{Entry, Told};
use crate::rng::Rng;
use pointsman::RecordMetadata;
use pointsman::core::time::Instant;
use pointsman::error::ProduceError;
use pointsman::plugin::{Chain, Consistency, Policy};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

/// A chain as a seed drew it.
#[derive(Clone, Debug, Default)]
pub struct ChainPlan {
    pub lanes: usize,
    pub interceptors: Vec<Drawn>,
    /// Where the first interceptor sends some.
    moves_to: Option<String>,
    pub serializer: Option<Drawn>,
    pub partitioner: Option<(Drawn, Consistency)>,
}

/// What a record of the ledger went through.
#[derive(Debug)]
pub struct Passage {
    pub chain: usize,
    /// As it was sent.
    pub topic: String,
    pub explicit: bool,
    /// What left was a letter about it.
    pub letter: bool,
}

impl ChainPlan {
    pub fn draw(rng: &mut Rng, moves_to: Option<String>) -> ChainPlan {
        let letters = Drawn::letters_go_to_dead();
        let policies = [Policy::Fail, Policy::Pass, Policy::Drop, letters.clone()];
        let interceptors: Vec<Drawn> = (0..rng.between(u64::from(moves_to.is_some()), 2))
            .map(|at| Drawn::draw(rng, &format!("interceptor-{at}"), &policies))
            .collect();
        let serializer = rng.chance(500).then(|| Drawn::draw(rng, "serializer", &policies));
        let consistency = *rng.pick(&[Consistency::Keyed, Consistency::Keyed, Consistency::Located, Consistency::Free]);
        let policies = [Policy::Fail, Policy::Fallback, Policy::Drop, letters];
        let partitioner = rng.chance(700).then(|| (Drawn::draw(rng, "partitioner", &policies), consistency));
        let lanes = match &partitioner {
            // As the producer has it.
            Some((_, Consistency::Free)) => 1,
            _ => *rng.pick(&[1, 2, 4]),
        };
        let is_empty = interceptors.is_empty() && serializer.is_none() && partitioner.is_none();
        // As the producer has it: senders append by one.
        let lanes = if is_empty { 1 } else { lanes };
        ChainPlan { lanes, interceptors, moves_to, serializer, partitioner }
    }

    pub fn all(&self) -> impl Iterator<Item = &Drawn> {
        let partitioner = self.partitioner.as_ref().map(|(drawn, _)| drawn);
        self.interceptors.iter().chain(&self.serializer).chain(partitioner)
    }

    /// The chain itself, for one lane. Those of a generation replace those of the one before.
    pub fn chain(&self, rng: &mut Rng, generation: u8, fails_to_hear: bool, heard: &Arc<Mutex<Heard>>) -> Chain {
        let mut chain = Chain::default();
        chain.meter = heard.lock().unwrap().meter.clone();
        for (at, drawn) in self.interceptors.iter().enumerate() {
            let moves_to = self.moves_to.clone().filter(|_| at == 0);
            chain.interceptors.push(Marking::used(drawn, rng, moves_to, (generation, fails_to_hear), heard));
        }
        chain.value_serializer = self.serializer.as_ref().map(|drawn| Framing::used(drawn, rng, generation, heard));
        let partitioner = self.partitioner.as_ref();
        chain.partitioner = partitioner.map(|(drawn, consistency)| Placing::used(drawn, rng, *consistency, heard));
        chain
    }

    /// Records of one stream stay in order.
    pub fn stream(&self, number: usize, topic: &str, partition: Option<i32>, key: Option<&[u8]>) -> u64 {
        let place = match (partition, key) {
            _ if self.lanes == 1 => "all".to_owned(),
            (Some(partition), _) => format!("{topic} partition {partition}"),
            (None, Some(key)) => format!("{topic} key {key:?}"),
            (None, None) => topic.to_owned(),
        };
        hash(format!("{number} {place}").as_bytes())
    }
}

impl Entry {
    pub fn is_letter(&self) -> bool {
        self.passage.as_ref().is_some_and(|passage| passage.letter)
    }

    /// It leaves the client, after a chain: where and as what may it?
    pub fn leaves(
        &mut self,
        chains: &[ChainPlan],
        places: &mut BTreeMap<(String, Vec<u8>), i32>,
        topic: &str,
        partition: i32,
        record: &StoredRecord,
    ) -> impl Iterator<Item = String> + use<> {
        let mut wrong = Vec::new();
        let Some(passage) = &mut self.passage else { return wrong.into_iter() };
        let plan = &chains[passage.chain];
        if self.sent == 0 {
            (self.topic, self.partition) = (topic.to_owned(), partition);
            passage.letter = topic == DEAD;
        }
        if (&self.record.key, self.record.timestamp) != (&record.key, record.timestamp) {
            wrong.push(format!("leaves as {record:?}, it was sent as {:?}", self.record));
        }
        let number = u64::from_le_bytes(*self.record.value.as_deref().and_then(<[u8]>::first_chunk).expect("a number"));
        if passage.letter {
            if !plan.all().any(|drawn| matches!(drawn.policy, Policy::DeadLetter(_))) {
                wrong.push("is a letter that nobody wanted".to_owned());
            }
            return wrong.into_iter();
        }
        let moved = plan.moves_to.as_ref().filter(|_| Marking::moves(number));
        let may_stay = plan.interceptors.first().is_none_or(Drawn::lets_go_on);
        if !(moved.is_some_and(|to| *to == topic) || passage.topic == topic && (moved.is_none() || may_stay)) {
            wrong.push(format!("leaves for {topic}, it was sent to {} and {moved:?}", passage.topic));
        }
        // A transform fails closed.
        let has = |name: &str| record.headers.iter().any(|(header, _)| header == name.as_bytes());
        for drawn in plan.interceptors.iter().filter(|drawn| !drawn.lets_go_on() && !has(&drawn.name)) {
            wrong.push(format!("leaves without the header of {}", drawn.name));
        }
        let value = record.value.as_deref().unwrap_or_default();
        let mark = value.get(self.record.value.as_ref().map_or(0, Vec::len)..).unwrap_or_default();
        let is_marked = matches!(mark, [MARK, _]);
        if plan.serializer.as_ref().is_some_and(|drawn| !drawn.lets_go_on() && !is_marked) {
            wrong.push("leaves without the serializer's mark".to_owned());
        }
        let expected = [self.record.value.as_deref().unwrap_or_default(), if is_marked { mark } else { &[] }];
        if value != expected.concat() {
            wrong.push(format!("leaves with the value {value:?}"));
        }
        // One chain, whole.
        let headers = record.headers.iter().filter(|(name, _)| name.starts_with(b"interceptor-"));
        let generations: BTreeSet<u8> =
            headers.filter_map(|(_, value)| value.as_ref()?.first().copied()).chain(mark.get(1).copied()).collect();
        if generations.len() > 1 {
            wrong.push(format!("leaves after half of each of the chains {generations:?}"));
        }
        let own = record.headers.iter().filter(|(name, _)| !name.starts_with(b"interceptor-"));
        if !own.eq(&self.record.headers) {
            wrong.push(format!("leaves with the headers {:?}, it had {:?}", record.headers, self.record.headers));
        }
        for drawn in plan.all().filter(|drawn| !drawn.lets_go_on()) {
            let is_partitioner = plan.partitioner.as_ref().is_some_and(|(other, _)| other.name == drawn.name);
            let meets = !(passage.explicit && is_partitioner);
            if meets && (drawn.moods.is_poisoned(number) || drawn.moods.is_refused(number)) {
                wrong.push(format!("leaves although {} cannot have let it pass", drawn.name));
            }
        }
        let falls_back = plan.partitioner.as_ref().is_none_or(|(drawn, _)| drawn.lets_go_on());
        if let Some(key) = self.record.key.as_ref().filter(|_| !passage.explicit && !falls_back)
            && Placing::partition_of(key, 1).is_some()
        {
            let place = *places.entry((topic.to_owned(), key.clone())).or_insert(partition);
            if place != partition {
                wrong.push(format!("its key went to {topic}-{place} before, and now to {partition}"));
            }
        }
        wrong.into_iter()
    }
}

impl Entry {
    /// Its delivery tells what became of it.
    pub fn told(
        &mut self,
        now: Instant,
        number: u64,
        plan: &ChainPlan,
        result: Result<RecordMetadata, ProduceError>,
    ) -> Vec<String> {
        let mut wrong = Vec::new();
        let policy = |plugin: &str| plan.all().find(|drawn| drawn.name == plugin).map(|drawn| drawn.policy.clone());
        let told = match result {
            Ok(metadata) => {
                let place = (&*metadata.topic, metadata.partition);
                if place != (self.topic.as_str(), self.partition) || self.is_letter() || self.sent == 0 {
                    wrong.push(format!(
                        "record {number} is said to be in {place:?}, it left for {}-{}",
                        self.topic, self.partition
                    ));
                }
                Told::Written(metadata.offset)
            }
            Err(ProduceError::DeadLettered { topic, partition, offset, .. }) => {
                if (&*topic, partition) != (self.topic.as_str(), self.partition) || !self.is_letter() {
                    wrong.push(format!("record {number} is said to be a letter and left as none"));
                }
                Told::Written(offset)
            }
            Err(ProduceError::DeadLetterFailed { cause, .. }) => Told::Failed((*cause).clone()),
            Err(error) => {
                let (plugin, expected) = match &error {
                    ProduceError::Plugin { plugin, .. } => (Some(plugin), Policy::Fail),
                    ProduceError::Dropped { plugin, .. } => (Some(plugin), Policy::Drop),
                    _ => (None, Policy::Fail),
                };
                if plugin.is_some_and(|plugin| policy(plugin) != Some(expected)) {
                    wrong.push(format!("record {number} ended against the policy: {error}"));
                }
                let innocent = |drawn: &Drawn| {
                    drawn.moods.is_just()
                        && drawn.breaker.incidents == 0
                        && !drawn.moods.is_poisoned(number)
                        && !drawn.moods.is_refused(number)
                };
                if let Some(accused) = plugin
                    && plan.all().any(|drawn| drawn.name == **accused && innocent(drawn))
                {
                    wrong.push(format!("record {number} did nothing and fell with another: {error}"));
                }
                Told::Failed(error)
            }
        };
        if self.done.replace((now, told)).is_some() {
            wrong.push(format!("record {number} was told of twice"));
        }
        wrong
    }
}
