//! Plugins of all three roles that fail by chance, and say of what they did to a record.

use crate::rng::Rng;
use pointsman::plugin::{
    Acknowledgements, Batch, BreakerOptions, ColumnRef, Consistency, DeadLetter, Edit, Edits, FailureKind, Fields,
    HeaderColumns, HeaderColumnsRef, HeaderReads, Interceptor, InterceptorWants, Meter, Partitioner, PartitionerWants,
    Placements, PluginFailure, Policy, Reads, Refusal, Serialized, Serializer, TopicColumn, TopicColumnRef, Topology,
    Used,
};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// Where letters go.
pub const DEAD: &str = "dead";
/// What the serializer puts behind a value, and behind that its generation.
pub const MARK: u8 = 0xA5;

/// How often, and how, a plugin fails.
#[derive(Clone, Debug)]
pub struct Moods {
    pub salt: u64,
    /// Of a thousand records, those that it fails on whenever it meets them.
    pub poisoned: u64,
    /// Of a thousand records, those that it refuses.
    pub refused: u64,
    /// Of a thousand calls, those that fail for no reason.
    pub flaky: u32,
    pub kind: FailureKind,
}

/// A plugin as a seed drew it.
#[derive(Clone, Debug)]
pub struct Drawn {
    pub name: String,
    pub moods: Moods,
    pub policy: Policy,
    pub breaker: BreakerOptions,
}

/// What the interceptors left on records and heard of them, by plugin's name and record's number.
#[derive(Default)]
pub struct Heard {
    pub tagged: BTreeMap<(String, u64), u32>,
    pub told: BTreeMap<(String, u64), u32>,
    pub closed: u32,
    /// Counts the calls of all of them, as a producer's does.
    pub meter: Meter,
}

impl Moods {
    pub fn draw(rng: &mut Rng) -> Moods {
        let kinds = [
            FailureKind::Trap,
            FailureKind::Trap,
            FailureKind::Deadline,
            FailureKind::Memory,
            FailureKind::ResultSize,
            FailureKind::Error,
            FailureKind::BrokenRule,
            FailureKind::Configure,
        ];
        Moods {
            salt: rng.next(),
            poisoned: *rng.pick(&[0, 3, 3, 30]),
            refused: *rng.pick(&[0, 0, 20]),
            flaky: *rng.pick(&[0, 0, 20, 200]),
            kind: *rng.pick(&kinds),
        }
    }

    pub fn is_poisoned(&self, number: u64) -> bool {
        Rng::new(number ^ self.salt).below(1000) < self.poisoned
    }

    pub fn is_refused(&self, number: u64) -> bool {
        Rng::new(!number ^ self.salt).below(1000) < self.refused
    }

    /// Whether only the guilty may have to do with its failures.
    pub fn is_just(&self) -> bool {
        self.flaky == 0 && self.poisoned <= 3 && self.kind.may_be_one_record() && self.kind != FailureKind::Deadline
    }
}

/// An instance's part that fails.
struct Mood {
    moods: Moods,
    rng: Rng,
}

impl Mood {
    fn meet(&mut self, numbers: &[u64]) -> Result<Vec<Refusal>, PluginFailure> {
        let poison = numbers.iter().find(|number| self.moods.is_poisoned(**number));
        if self.rng.chance(self.moods.flaky) || poison.is_some() {
            return Err(PluginFailure::new(self.moods.kind, format!("on purpose, {poison:?}")));
        }
        let refused = (0..).zip(numbers).filter(|(_, number)| self.moods.is_refused(**number));
        Ok(refused.map(|(index, _)| Refusal { index, reason: "not this one".to_owned() }).collect())
    }
}

/// Each record's number is what its value begins with.
fn numbers(values: ColumnRef<'_>) -> Vec<u64> {
    let number = |value: Option<&[u8]>| {
        let bytes = value.and_then(|value| value.first_chunk::<8>()).expect("every value begins with a number");
        u64::from_le_bytes(*bytes)
    };
    values.iter().map(number).collect()
}

pub fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}

impl Drawn {
    pub fn draw(rng: &mut Rng, name: &str, policies: &[Policy]) -> Drawn {
        let breaker = BreakerOptions { incidents: *rng.pick(&[0, 0, 3]), cooldown: rng.millis(100, 3_000) };
        Drawn { name: name.to_owned(), moods: Moods::draw(rng), policy: rng.pick(policies).clone(), breaker }
    }

    fn mood(&self, rng: &mut Rng) -> Mood {
        Mood { moods: self.moods.clone(), rng: rng.fork() }
    }

    fn used<R: ?Sized>(&self, role: Box<R>) -> Used<R> {
        Used::new(self.name.as_str(), role, self.policy.clone(), self.breaker)
    }

    /// Whether a record on which it fails may be written all the same.
    pub fn lets_go_on(&self) -> bool {
        matches!(self.policy, Policy::Pass | Policy::Fallback)
    }

    pub fn letters_go_to_dead() -> Policy {
        // The value begins with the record's number.
        let (topic, include_key, include_value) = (DEAD.into(), true, true);
        Policy::DeadLetter(Arc::new(DeadLetter { topic, include_key, include_value, version: None, digest: None }))
    }
}

/// Adds a header of its name to every record, sends some to another topic, and keeps account of what it hears.
pub struct Marking {
    mood: Mood,
    name: String,
    generation: u8,
    wants: InterceptorWants,
    moves_to: Option<String>,
    /// Whether on-acknowledgement fails as the others do.
    fails_to_hear: bool,
    heard: Arc<Mutex<Heard>>,
}

impl Marking {
    pub fn used(
        drawn: &Drawn,
        rng: &mut Rng,
        moves_to: Option<String>,
        (generation, fails_to_hear): (u8, bool),
        heard: &Arc<Mutex<Heard>>,
    ) -> Used<dyn Interceptor> {
        let fields = Fields { value: true, ..Fields::default() };
        let wants = InterceptorWants {
            on_send: Some(Reads { fields, headers: HeaderReads::None }),
            changes: Fields { topic: moves_to.is_some(), ..Fields::default() },
            acknowledgements: true,
        };
        let (mood, name, heard) = (drawn.mood(rng), drawn.name.clone(), Arc::clone(heard));
        let marking = Marking { mood, name, generation, wants, moves_to, fails_to_hear, heard };
        drawn.used(Box::new(marking) as Box<dyn Interceptor>)
    }

    /// Whether it sends a record elsewhere.
    pub fn moves(number: u64) -> bool {
        number.is_multiple_of(5)
    }
}

impl Interceptor for Marking {
    fn wants(&self) -> &InterceptorWants {
        &self.wants
    }

    fn on_send(&mut self, batch: &Batch<'_>) -> Result<Edits, PluginFailure> {
        let numbers = numbers(batch.values.expect("asked for"));
        let refused = self.mood.meet(&numbers)?;
        let mut added = HeaderColumns::default();
        for _ in &numbers {
            added.counts.push(1);
            added.names.push(Some(self.name.as_bytes()));
            added.values.push(Some(&[self.generation]));
        }
        let mut tags: Vec<u64> = numbers.iter().map(|number| number + 1).collect();
        refused.iter().for_each(|refusal| tags[refusal.index as usize] = 0);
        let mut heard = self.heard.lock().unwrap();
        for tag in tags.iter().filter(|tag| **tag > 0) {
            *heard.tagged.entry((self.name.clone(), tag - 1)).or_default() += 1;
        }
        let topics = self.moves_to.as_ref().map(|to| {
            let moved = (0..).zip(&numbers).filter(|(_, number)| Marking::moves(**number));
            let indexes: Vec<u32> = moved.map(|(at, _)| at).collect();
            (indexes, TopicColumn { names: vec![to.clone()], indexes: Vec::new() })
        });
        // No indexes are all of them.
        let topics = topics.filter(|(indexes, _)| !indexes.is_empty());
        let topics = topics.map(|(indexes, content)| Edit { indexes, content });
        Ok(Edits { topics, added_headers: Some(added), tags, refused, ..Edits::default() })
    }

    fn on_acknowledgement(&mut self, told: &Acknowledgements<'_>) -> Result<(), PluginFailure> {
        let mut heard = self.heard.lock().unwrap();
        for tag in told.tags.iter().filter(|tag| **tag > 0) {
            *heard.told.entry((self.name.clone(), tag - 1)).or_default() += 1;
        }
        if self.fails_to_hear && self.mood.rng.chance(100) {
            return Err(PluginFailure::new(FailureKind::Trap, "on purpose"));
        }
        Ok(())
    }

    fn close(&mut self) {
        self.heard.lock().unwrap().closed += 1;
    }
}

/// Puts a mark behind every value.
pub struct Framing {
    mood: Mood,
    generation: u8,
    heard: Arc<Mutex<Heard>>,
}

impl Framing {
    pub fn used(drawn: &Drawn, rng: &mut Rng, generation: u8, heard: &Arc<Mutex<Heard>>) -> Used<dyn Serializer> {
        let framing = Framing { mood: drawn.mood(rng), generation, heard: Arc::clone(heard) };
        drawn.used(Box::new(framing) as Box<dyn Serializer>)
    }
}

impl Serializer for Framing {
    fn headers(&self) -> &HeaderReads {
        &HeaderReads::None
    }

    fn serialize(
        &mut self,
        _: TopicColumnRef<'_>,
        payloads: ColumnRef<'_>,
        _: Option<HeaderColumnsRef<'_>>,
    ) -> Result<Serialized, PluginFailure> {
        let refused = self.mood.meet(&numbers(payloads))?;
        let mut answer = Serialized { refused, ..Serialized::default() };
        for payload in payloads.iter() {
            answer.payloads.push(Some(&[payload.unwrap_or_default(), &[MARK, self.generation]].concat()));
        }
        Ok(answer)
    }

    fn close(&mut self) {
        self.heard.lock().unwrap().closed += 1;
    }
}

/// By the key: a partition, a group, or as the host likes it. Without a key in turn, or as the host likes it.
pub struct Placing {
    mood: Mood,
    wants: PartitionerWants,
    partitions: BTreeMap<String, u32>,
    turn: i32,
    heard: Arc<Mutex<Heard>>,
}

impl Placing {
    pub fn used(
        drawn: &Drawn,
        rng: &mut Rng,
        consistency: Consistency,
        heard: &Arc<Mutex<Heard>>,
    ) -> Used<dyn Partitioner> {
        let fields = Fields { key: true, value: true, ..Fields::default() };
        let wants = PartitionerWants { reads: Reads { fields, headers: HeaderReads::None }, consistency };
        let mood = drawn.mood(rng);
        let placing = Placing { mood, wants, partitions: BTreeMap::new(), turn: 0, heard: Arc::clone(heard) };
        drawn.used(Box::new(placing) as Box<dyn Partitioner>)
    }

    /// The partition that it has for a key, if it is one.
    pub fn partition_of(key: &[u8], partitions: u32) -> Option<i32> {
        let hash = hash(key);
        (!hash.is_multiple_of(3)).then_some((hash % u64::from(partitions)) as i32)
    }
}

impl Partitioner for Placing {
    fn wants(&self) -> &PartitionerWants {
        &self.wants
    }

    fn on_topology(&mut self, topology: &Topology) -> Result<Vec<Vec<u32>>, PluginFailure> {
        if self.mood.rng.chance(self.mood.moods.flaky / 4) {
            return Err(PluginFailure::new(self.mood.moods.kind, "told of a topic, on purpose"));
        }
        self.partitions.insert(topology.topic.clone(), topology.partitions);
        let (even, odd) = (0..topology.partitions).partition(|partition| partition.is_multiple_of(2));
        Ok([even, odd].into_iter().filter(|group: &Vec<u32>| !group.is_empty()).collect())
    }

    fn partition(&mut self, batch: &Batch<'_>) -> Result<Placements, PluginFailure> {
        let refused = self.mood.meet(&numbers(batch.values.expect("asked for")))?;
        let topics = batch.topics.expect("they come in any case");
        let mut targets = Vec::with_capacity(batch.count);
        for (at, key) in batch.keys.expect("asked for").iter().enumerate() {
            let partitions = self.partitions[topics.of(at)];
            let free = self.wants.consistency == Consistency::Free;
            self.turn += 1;
            targets.push(match key {
                Some(key) => Placing::partition_of(key, partitions).unwrap_or(-2),
                None if free => self.turn % partitions as i32,
                None => -1,
            });
        }
        Ok(Placements { targets, refused })
    }

    fn close(&mut self) {
        self.heard.lock().unwrap().closed += 1;
    }
}
