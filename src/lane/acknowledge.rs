//! Outcomes on their way back: collected into columns for the on-acknowledgement hooks, then made known.

use super::chunk::RECORDS_MAX;
use super::letters::Origins;
use super::worker::since;
use crate::core::time::Instant;
use crate::core::{Done, Outcome};
use crate::error::{Fate, ProduceError};
use crate::plugin::{Acknowledgements, Chain, End, Ended, Tags, TopicColumnRef};
use crate::record_metadata::{RecordMetadata, TopicName};
use std::collections::BTreeMap;
use std::iter::repeat_n;
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
    tags: Tags,
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

    /// Whether both are of one chunk, or of none.
    fn is_with(self, other: Token) -> bool {
        self.0 >> SLOT_BITS == other.0 >> SLOT_BITS
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
    pub(super) fn keep(&mut self, left: usize, timestamps: Vec<i64>, tags: Tags, origins: Origins) -> u64 {
        let chunk = self.next;
        self.next = (self.next + 1) % (1 << CHUNK_BITS);
        if left > 0 {
            self.chunks.insert(chunk, PendingChunk { left, timestamps, tags, origins });
        }
        chunk
    }

    /// What the interceptors have left on the records of each chunk.
    pub(super) fn tags(&mut self) -> impl Iterator<Item = &mut Tags> {
        self.chunks.values_mut().map(|chunk| &mut chunk.tags)
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
        let mut rest = &done.tokens[..];
        for run in done.runs.iter() {
            let Some((tokens, after)) = rest.split_at_checked(run.count as usize) else { return };
            rest = after;
            let mut nth = 0;
            // Those of a chunk stand together.
            for tokens in tokens.chunk_by(|&one, &next| Token(one).is_with(Token(next))) {
                let first = nth;
                nth += tokens.len();
                let Some(token) = Token::from_bits(tokens[0]).filter(|token| token.lane() == lane) else { continue };
                let Some(chunk) = pending.chunks.get_mut(&token.chunk()) else { continue };
                if self.errors.len() + tokens.len() > RECORDS_MAX {
                    self.tell(now, chain);
                }
                // Letters have outcomes of their own.
                let at_once = if chunk.origins.is_empty() { tokens.len() } else { 1 };
                for (piece, tokens) in tokens.chunks(at_once).enumerate() {
                    let nth = (first + piece * at_once) as u32;
                    self.add(done, &run.outcome, nth, tokens, chunk, chain.interceptors.len());
                }
                chunk.left -= tokens.len();
                if chunk.left == 0 {
                    pending.chunks.remove(&token.chunk());
                }
            }
        }
    }

    /// Adds records of a chunk that are one after the other in a run; the first is the `nth` of it.
    fn add(
        &mut self,
        done: &Done,
        outcome: &Outcome,
        nth: u32,
        tokens: &[u64],
        chunk: &PendingChunk,
        interceptors: usize,
    ) {
        let count = tokens.len();
        let slots = tokens.iter().map(|&bits| Token(bits).slot());
        self.add_tags(interceptors, &chunk.tags, slots.clone());
        if let Some(origin) = chunk.origins.get(&(Token(tokens[0]).slot() as u32)) {
            self.add_place(&origin.topic, origin.partition, 1);
            self.add_failed(&origin.error(letter_fate(done, outcome, nth)), [origin.timestamp].into_iter());
            return;
        }
        self.add_place(done.completion.topic(), done.completion.partition(), count);
        let created = slots.map(|slot| chunk.timestamps[slot]);
        match outcome {
            Outcome::Written { base_offset, log_append_time } => {
                match base_offset {
                    Some(base) => self.offsets.extend((base + i64::from(nth)..).take(count)),
                    None => self.offsets.extend(repeat_n(-1, count)),
                }
                match log_append_time {
                    Some(time) => self.timestamps.extend(repeat_n(*time, count)),
                    None => self.timestamps.extend(created),
                }
                self.errors.extend(repeat_n(0, count));
                self.fates.extend(repeat_n(0, count));
            }
            Outcome::Failed(error) => self.add_failed(error, created),
        }
    }

    /// Adds a record that ended on the client's side.
    pub(super) fn add_ended(&mut self, now: Instant, ended: &Ended, tags: &[Vec<u64>], chain: &mut Chain) {
        let Ended { slot, topic, partition, timestamp, end: End::Failed(error) } = ended else { return };
        if self.errors.len() >= RECORDS_MAX {
            self.tell(now, chain);
        }
        self.add_tags(chain.interceptors.len(), tags, [*slot as usize].into_iter());
        self.add_place(topic, *partition, 1);
        self.add_failed(error, [*timestamp].into_iter());
    }

    fn add_tags(
        &mut self,
        interceptors: usize,
        tags: &[Vec<u64>],
        slots: impl ExactSizeIterator<Item = usize> + Clone,
    ) {
        self.tags.resize_with(interceptors, Vec::new);
        for (at, column) in self.tags.iter_mut().enumerate() {
            match tags.get(at) {
                Some(tags) if !tags.is_empty() => column.extend(slots.clone().map(|slot| tags[slot])),
                _ => column.extend(repeat_n(0, slots.len())),
            }
        }
    }

    fn add_place(&mut self, topic: &Arc<str>, partition: i32, count: usize) {
        let at = match self.topics.iter().rposition(|known| Arc::ptr_eq(known, topic) || known == topic) {
            Some(at) => at,
            None => {
                self.topics.push(Arc::clone(topic));
                self.topics.len() - 1
            }
        };
        self.topic_of.extend(repeat_n(at as u32, count));
        self.partitions.extend(repeat_n(partition, count));
    }

    fn add_failed(&mut self, error: &ProduceError, timestamps: impl ExactSizeIterator<Item = i64>) {
        let count = timestamps.len();
        let fate = match error.fate() {
            Fate::NotWritten => 1,
            Fate::Unknown => 2,
        };
        self.offsets.extend(repeat_n(-1, count));
        self.timestamps.extend(timestamps);
        self.errors.extend(repeat_n(error.acknowledgement_code(), count));
        self.fates.extend(repeat_n(fate, count));
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
