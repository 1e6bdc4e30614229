//! Outcomes on their way back: collected into columns for the on-acknowledgement hooks, then made known.

use super::chunk::RECORDS_MAX;
use super::letters::Origins;
use super::worker::since;
use crate::core::time::Instant;
use crate::core::{Done, Outcome};
use crate::error::{Fate, ProduceError};
use crate::plugin::{Acknowledgements, Chain, End, Ended, TopicColumnRef};
use crate::record::{RecordMetadata, TopicName};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What the lane keeps of each chunk until all its records are acknowledged.
#[derive(Default)]
pub(super) struct Pending {
    next: u64,
    chunks: BTreeMap<u64, PendingChunk>,
}

struct PendingChunk {
    left: usize,
    timestamps: Vec<i64>,
    /// By interceptor, then by slot.
    tags: Vec<Vec<u64>>,
    /// Of those in whose place a letter was appended.
    origins: Origins,
}

/// Names a record among those that are pending: the lane's number, the chunk's, which begins anew after some months, and
/// the slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token(u64);

impl Token {
    /// Of a record whose outcome passes no lane, among others that do.
    pub(super) const NONE: u64 = u64::MAX;

    pub(super) fn new(lane: usize, chunk: u64, slot: u32) -> Token {
        Token((lane as u64) << (CHUNK_BITS + SLOT_BITS) | chunk << SLOT_BITS | u64::from(slot))
    }

    pub(super) fn from_bits(bits: u64) -> Option<Token> {
        (bits != Token::NONE).then_some(Token(bits))
    }

    pub(super) fn to_bits(self) -> u64 {
        self.0
    }

    pub(super) fn lane(self) -> usize {
        (self.0 >> (CHUNK_BITS + SLOT_BITS)) as usize
    }

    fn chunk(self) -> u64 {
        (self.0 >> SLOT_BITS) & ((1 << CHUNK_BITS) - 1)
    }

    fn slot(self) -> usize {
        (self.0 & ((1 << SLOT_BITS) - 1)) as usize
    }
}

const SLOT_BITS: u32 = RECORDS_MAX.ilog2();
const CHUNK_BITS: u32 = 40;

impl Pending {
    /// Keeps what the acknowledgements of a chunk's records will need; `left` of them are still to come.
    pub(super) fn keep(&mut self, left: usize, timestamps: Vec<i64>, tags: Vec<Vec<u64>>, origins: Origins) -> u64 {
        let chunk = self.next;
        self.next = (self.next + 1) % (1 << CHUNK_BITS);
        if left > 0 {
            self.chunks.insert(chunk, PendingChunk { left, timestamps, tags, origins });
        }
        chunk
    }

    /// The chunk got so many records fewer into batches than was thought.
    pub(super) fn forget(&mut self, chunk: u64, records: usize) {
        if let Some(pending) = self.chunks.get_mut(&chunk) {
            pending.left -= records;
            if pending.left == 0 {
                self.chunks.remove(&chunk);
            }
        }
    }
}

/// Outcomes as columns, up to one call's worth.
#[derive(Default)]
pub(super) struct Outcomes {
    topics: Vec<Arc<str>>,
    topic_of: Vec<u32>,
    partitions: Vec<i32>,
    offsets: Vec<i64>,
    timestamps: Vec<i64>,
    errors: Vec<i16>,
    fates: Vec<u8>,
    /// By interceptor.
    tags: Vec<Vec<u64>>,
}

impl Outcomes {
    /// Adds the outcomes of this lane's records of a batch, telling the chain whenever a call's worth is there.
    pub(super) fn add_done(
        &mut self,
        now: Instant,
        done: &Done,
        lane: usize,
        pending: &mut Pending,
        chain: &mut Chain,
    ) {
        let mut tokens = done.tokens.iter().map(|&bits| Token::from_bits(bits));
        for run in &done.runs {
            for nth in 0..run.count {
                let Some(token) = tokens.next() else { return };
                let Some(token) = token.filter(|token| token.lane() == lane) else { continue };
                let Some(chunk) = pending.chunks.get_mut(&token.chunk()) else { continue };
                let slot = token.slot();
                let created = chunk.timestamps.get(slot).copied().unwrap_or(-1);
                let tag = |interceptor: usize| chunk.tags.get(interceptor).and_then(|tags| tags.get(slot)).copied();
                let origin = chunk.origins.get(&(slot as u32));
                self.begin(origin.map_or(done.completion.topic(), |origin| &origin.topic), chain, tag);
                self.partitions.push(origin.map_or(done.completion.partition(), |origin| origin.partition));
                match (&run.outcome, origin) {
                    (outcome, Some(origin)) => {
                        self.failed(&origin.error(letter_fate(done, outcome, nth)), origin.timestamp);
                    }
                    (Outcome::Written { base_offset, log_append_time }, None) => {
                        self.offsets.push(base_offset.map_or(-1, |base| base + i64::from(nth)));
                        self.timestamps.push(log_append_time.unwrap_or(created));
                        self.errors.push(0);
                        self.fates.push(0);
                    }
                    (Outcome::Failed(error), None) => self.failed(error, created),
                }
                chunk.left -= 1;
                if chunk.left == 0 {
                    pending.chunks.remove(&token.chunk());
                }
                self.tell_if_full(now, chain);
            }
        }
    }

    /// Adds a record that ended on the client's side.
    pub(super) fn add_ended(&mut self, now: Instant, ended: &Ended, tags: &[Vec<u64>], chain: &mut Chain) {
        let Ended { slot, topic, partition, timestamp, end: End::Failed(error) } = ended else { return };
        let slot = *slot as usize;
        self.begin(topic, chain, |interceptor| tags.get(interceptor).and_then(|tags| tags.get(slot)).copied());
        self.partitions.push(*partition);
        self.failed(error, *timestamp);
        self.tell_if_full(now, chain);
    }

    fn begin(&mut self, topic: &Arc<str>, chain: &Chain, tag: impl Fn(usize) -> Option<u64>) {
        let at = match self.topics.iter().rposition(|known| Arc::ptr_eq(known, topic) || known == topic) {
            Some(at) => at,
            None => {
                self.topics.push(Arc::clone(topic));
                self.topics.len() - 1
            }
        };
        self.topic_of.push(at as u32);
        self.tags.resize_with(chain.interceptors.len(), Vec::new);
        for (interceptor, tags) in self.tags.iter_mut().enumerate() {
            tags.push(tag(interceptor).unwrap_or(0));
        }
    }

    fn failed(&mut self, error: &ProduceError, timestamp: i64) {
        self.offsets.push(-1);
        self.timestamps.push(timestamp);
        self.errors.push(error.acknowledgement_code());
        self.fates.push(match error.fate() {
            Fate::NotWritten => 1,
            Fate::Unknown => 2,
        });
    }

    fn tell_if_full(&mut self, now: Instant, chain: &mut Chain) {
        if self.errors.len() >= RECORDS_MAX {
            self.tell(now, chain);
        }
    }

    /// Calls the hooks with what was collected.
    pub(super) fn tell(&mut self, now: Instant, chain: &mut Chain) {
        if self.errors.is_empty() {
            return;
        }
        let names: Vec<&str> = self.topics.iter().map(|topic| &**topic).collect();
        let acknowledgements = Acknowledgements {
            count: self.errors.len(),
            topics: TopicColumnRef { names: &names, indexes: if names.len() == 1 { &[] } else { &self.topic_of } },
            partitions: &self.partitions,
            offsets: &self.offsets,
            timestamps: &self.timestamps,
            errors: &self.errors,
            fates: &self.fates,
            tags: &[],
        };
        for (plugin, failure) in chain.on_acknowledgement(since(now), &acknowledgements, &self.tags) {
            // The outcome stands whatever the hook did.
            tracing::warn!(target: "pointsman::plugin", %plugin, "on-acknowledgement {failure}");
        }
        let tags = std::mem::take(&mut self.tags);
        *self = Outcomes { tags: tags.into_iter().map(cleared).collect(), ..std::mem::take(self).cleared() };
    }

    fn cleared(self) -> Outcomes {
        Outcomes {
            topics: cleared(self.topics),
            topic_of: cleared(self.topic_of),
            partitions: cleared(self.partitions),
            offsets: cleared(self.offsets),
            timestamps: cleared(self.timestamps),
            errors: cleared(self.errors),
            fates: cleared(self.fates),
            tags: Vec::new(),
        }
    }
}

/// What became of a letter, as far as it decides what becomes of its record.
fn letter_fate(done: &Done, outcome: &Outcome, nth: u32) -> Result<RecordMetadata, ProduceError> {
    match outcome {
        Outcome::Failed(error) => Err(error.clone()),
        Outcome::Written { base_offset, .. } => Ok(RecordMetadata {
            topic: TopicName::of(Arc::clone(&done.completion)),
            partition: done.completion.partition(),
            offset: base_offset.map(|base| base + i64::from(nth)),
            timestamp: -1,
            serialized_key_size: None,
            serialized_value_size: None,
        }),
    }
}

fn cleared<T>(mut items: Vec<T>) -> Vec<T> {
    items.clear();
    items
}
