//! A batch is a type that moves: [`OpenBatch`] takes records; its bytes go to be compressed and summed off the lock as
//! [`super::Unsealed`], while what is known of it keeps its place in the queue (one of a few KiB that is not to be
//! compressed is sealed where it is); [`SealedBatch`] waits there or is in flight. Each step consumes the one before. A
//! batch that a broker refuses as it is goes back one step: see [`super::seal`].

use super::completion::{Completion, Done, Outcome, Run, Runs};
use super::memory::Permit;
use super::ratio::Estimate;
use super::time::Instant;
use crate::error::Fate;
use crate::protocol::body::Body;
use crate::protocol::messages::ProducePartition;
use crate::protocol::record_batch::{self, ENCODE_SLACK, HEADER_LEN, Header, RecordBody};
use crate::sabotage::{self, Sabotage};
use bytes::Bytes;
use std::ops::Range;
use std::sync::Arc;

/// A batch's place among all. What is made of a batch that was split stands where it stood, in the order of its
/// records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Order {
    /// Grows with every batch that is begun, from 1.
    pub(super) batch: u64,
    /// Which record of that batch is its first.
    pub(super) first: u32,
}

impl Order {
    /// Of a batch that is begun.
    pub(super) fn begun(batch: u64) -> Order {
        Order { batch, first: 0 }
    }

    /// Behind every other that is before this one.
    pub(super) fn just_before(self) -> Order {
        match self.first.checked_sub(1) {
            Some(first) => Order { first, ..self },
            None => Order { batch: self.batch - 1, first: u32::MAX },
        }
    }
}

/// What is known of a batch whatever its state. It is large and passed on often, and so kept in a box.
#[derive(Clone, Debug)]
pub(super) struct BatchInfo {
    /// The order within a partition, sequence numbers' wrap-around aside.
    pub(super) order: Order,
    pub(super) partition: u32,
    pub(super) count: i32,
    /// Which records of the completion these are, if not all from `order.first` on.
    pub(super) pieces: Vec<Range<u32>>,
    pub(super) base_timestamp: i64,
    pub(super) max_timestamp: i64,
    /// When its oldest record was accepted: `delivery.timeout.ms` counts from there.
    pub(super) accepted: Instant,
    /// When the batch was begun: `linger.ms` counts from there.
    pub(super) created: Instant,
    /// Of the records, before compression.
    pub(super) record_bytes: usize,
    /// Of the largest of them.
    pub(super) record_bytes_max: usize,
    /// Until it is done: then it is somebody else's, and this is kept to be written over.
    pub(super) completion: Option<Arc<Completion>>,
    pub(super) tokens: Vec<u64>,
    /// The value of its only record, if that was not copied.
    pub(super) held: Option<Box<Bytes>>,
    /// How often it went out, as it is.
    pub(super) attempts: u32,
    /// Made of a batch that went out.
    pub(super) made_anew: bool,
    /// It was closed for a request that is due: that others of its broker had to have, or that it has grown for meanwhile.
    pub(super) goes_at_once: bool,
    /// A request with it ended without a definite answer.
    pub(super) maybe_written: bool,
    pub(super) last_cause: Option<String>,
    pub(super) sequence: Option<Sequence>,
}

/// The producer id, epoch and first sequence that a batch was last sent with, and keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sequence {
    pub(super) producer: ProducerIdAndEpoch,
    pub(super) base: i32,
}

impl Sequence {
    /// The one so many records later.
    pub(super) fn after(self, count: i32) -> Sequence {
        // Sequences run from 0 to 2³¹ − 1 and begin again.
        let base = ((i64::from(self.base) + i64::from(count)) & 0x7fff_ffff) as i32;
        Sequence { base, ..self }
    }
}

/// A producer id and its epoch (KIP-98).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ProducerIdAndEpoch {
    pub(super) id: i64,
    pub(super) epoch: i16,
}

impl BatchInfo {
    /// Shared by its deliveries.
    #[inline(always)]
    pub(super) fn completion(&self) -> &Arc<Completion> {
        self.completion.as_ref().expect("it is not done")
    }

    /// Whether its records went out before: then it goes out alone.
    pub(super) fn went_before(&self) -> bool {
        self.attempts > 0 || self.made_anew
    }

    /// What is known of it while there is no answer.
    pub(super) fn fate(&self) -> Fate {
        if self.maybe_written { Fate::Unknown } else { Fate::NotWritten }
    }

    /// It is numbered anew when it goes out. `refused`: with its old sequence the broker cannot have taken it.
    pub(super) fn forget_sequence(&mut self, refused: bool) {
        self.sequence = None;
        self.maybe_written &= !refused;
    }

    pub(super) fn done(&mut self, outcome: Outcome) -> Done {
        let runs = self.runs(outcome);
        self.done_as(runs)
    }

    /// As [`BatchInfo::done`], where records have fates of their own.
    pub(super) fn done_as(&mut self, runs: Runs) -> Done {
        // Not a clone, which would be written to while everybody waits for the lock.
        let completion = self.completion.take().expect("a batch is done once");
        Done { completion, runs, tokens: std::mem::take(&mut self.tokens), held: self.held.take() }
    }

    fn runs(&self, outcome: Outcome) -> Runs {
        if self.pieces.is_empty() {
            return Runs::One(Run { first: self.order.first, count: self.count as u32, outcome });
        }
        let mut before = 0;
        let run = |piece: Range<u32>| {
            let run = Run { first: piece.start, count: piece.end - piece.start, outcome: outcome.moved(before) };
            before += i64::from(run.count);
            run
        };
        Runs::Many(self.indexes(0..self.count as u32).into_iter().map(run).collect())
    }

    /// Which records of the completion some of the batch's are.
    pub(super) fn indexes(&self, records: Range<u32>) -> Vec<Range<u32>> {
        if self.pieces.is_empty() {
            return vec![self.order.first + records.start..self.order.first + records.end];
        }
        let mut before = 0;
        let mut indexes = Vec::new();
        for piece in &self.pieces {
            let len = piece.end - piece.start;
            let (from, to) =
                (records.start.saturating_sub(before).min(len), records.end.saturating_sub(before).min(len));
            if from < to {
                indexes.push(piece.start + from..piece.start + to);
            }
            before += len;
        }
        indexes
    }
}

/// A value that was not copied, with what pays for it, and where among the encoded bytes it belongs. Boxed, as it is rare and
/// batches are passed on often.
type Held = (usize, Bytes);

/// Takes records, encoding each in place.
#[derive(Debug)]
pub(super) struct OpenBatch {
    pub(super) info: Box<BatchInfo>,
    /// As long as there is room: what is behind the records means nothing.
    room: Vec<u8>,
    /// Of its only record.
    held: Option<Box<Held>>,
    permit: Permit,
    limit: usize,
    estimate: Estimate,
}

impl OpenBatch {
    /// A batch for records up to `limit` bytes in all by the time they are sent, header included; its first record may
    /// be larger. What is known of another batch, that is done, may be written over.
    #[expect(clippy::too_many_arguments, reason = "all of them are facts of the batch and the types tell them apart")]
    pub(super) fn new(
        order: Order,
        partition: u32,
        completion: Arc<Completion>,
        limit: usize,
        estimate: Estimate,
        mut room: Vec<u8>,
        mut permit: Permit,
        now: Instant,
        spare: Option<Box<BatchInfo>>,
    ) -> OpenBatch {
        permit.grow(room.capacity());
        // One that is used again has most of its length.
        room.resize(room.capacity(), 0);
        let info = BatchInfo {
            order,
            partition,
            count: 0,
            pieces: Vec::new(),
            base_timestamp: 0,
            max_timestamp: i64::MIN,
            accepted: now,
            created: now,
            record_bytes: 0,
            record_bytes_max: 0,
            completion: Some(completion),
            tokens: Vec::new(),
            held: None,
            attempts: 0,
            made_anew: false,
            goes_at_once: false,
            maybe_written: false,
            last_cause: None,
            sequence: None,
        };
        let info = match spare {
            Some(mut spare) => {
                *spare = info;
                spare
            }
            None => Box::new(info),
        };
        OpenBatch { info, room, held: None, permit, limit, estimate }
    }

    /// Whether one more record of at most so many bytes fits.
    #[inline]
    pub(super) fn fits(&self, max_len: usize) -> bool {
        self.info.count == 0
            || HEADER_LEN + self.estimate.sent(self.body_len()) + max_len <= self.limit
                && self.body_len() <= self.estimate.most(self.limit)
    }

    /// Whether one more record of at most so many bytes fits, and another one behind it.
    #[inline(always)]
    pub(super) fn fits_before_others(&self, max_len: usize) -> bool {
        let len = self.body_len() + max_len;
        self.fits(max_len) && HEADER_LEN + self.estimate.sent(len) < self.limit && len <= self.estimate.most(self.limit)
    }

    /// Whether no further record fits.
    #[inline]
    pub(super) fn is_full(&self) -> bool {
        !self.fits(1)
    }

    /// From now on it may take records up to `limit` bytes in all, in a larger buffer.
    pub(super) fn grow_to(&mut self, limit: usize, mut room: Vec<u8>) {
        self.limit = limit;
        let len = self.body_len();
        room.resize(room.capacity(), 0);
        room[..len].copy_from_slice(&self.room[..len]);
        self.permit.fit(room.capacity());
        self.permit.keep(std::mem::replace(&mut self.room, room));
    }

    /// Bytes that it takes at most, header included, by the time they are sent; 0 if it takes no other record.
    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// About how many bytes so many will be when they are sent.
    pub(super) fn sent(&self, len: usize) -> usize {
        self.estimate.sent(len)
    }

    /// Appends a record and says at which index it is, and how long. `max_len` is [`RecordBody::max_len`].
    #[inline(always)]
    pub(super) fn append(
        &mut self,
        record: &RecordBody<'_>,
        max_len: usize,
        timestamp: i64,
        accepted: Option<Instant>,
        token: Option<u64>,
    ) -> (u32, usize) {
        if self.room.len() - self.body_len() < max_len + ENCODE_SLACK {
            self.make_room(max_len + ENCODE_SLACK);
        }
        let (index, delta) = self.count_in(timestamp, accepted, token);
        let len = record.encode_into(&mut self.room[self.info.record_bytes..], delta, index);
        self.measure(len);
        (index as u32, len)
    }

    /// As [`OpenBatch::append`] for the first record and the last, whose value is not copied. `permit` pays for the value.
    pub(super) fn append_around(
        &mut self,
        record: &RecordBody<'_>,
        value: Bytes,
        permit: Permit,
        timestamp: i64,
        accepted: Option<Instant>,
        token: Option<u64>,
    ) -> (u32, usize) {
        let (index, delta) = self.count_in(timestamp, accepted, token);
        let (at, encoded) = record.encode_around(&mut self.room, delta, index);
        let len = encoded + value.len();
        // No other has a place behind it.
        self.limit = 0;
        self.info.held = Some(Box::new(value.clone()));
        self.held = Some(Box::new((at, Bytes::from_owner(PaidFor { bytes: value, _permit: permit }))));
        self.measure(len);
        (index as u32, len)
    }

    /// One more record: its index, and its time after the first one's.
    #[inline(always)]
    fn count_in(&mut self, timestamp: i64, accepted: Option<Instant>, token: Option<u64>) -> (i32, i64) {
        let info = &mut self.info;
        if info.count == 0 {
            info.base_timestamp = timestamp;
        }
        info.max_timestamp = info.max_timestamp.max(timestamp);
        if let Some(accepted) = accepted {
            info.accepted = info.accepted.min(accepted);
        }
        let index = info.count;
        info.count += 1;
        if let Some(token) = token {
            info.tokens.push(token);
        }
        (index, timestamp - info.base_timestamp)
    }

    #[inline(always)]
    fn measure(&mut self, len: usize) {
        self.info.record_bytes += len;
        self.info.record_bytes_max = self.info.record_bytes_max.max(len);
    }

    #[cold]
    #[inline(never)]
    fn make_room(&mut self, bytes: usize) {
        let before = self.room.capacity();
        self.room.truncate(self.body_len());
        self.room.reserve(bytes);
        self.room.resize(self.room.capacity(), 0);
        self.permit.grow(self.room.capacity() - before);
    }

    /// Of the records so far.
    pub(super) fn body_len(&self) -> usize {
        self.info.record_bytes
    }

    /// Bytes of its buffer that are in use.
    pub(super) fn room_len(&self) -> usize {
        self.body_len() - self.held.as_ref().map_or(0, |held| held.1.len())
    }

    /// It takes no more: what is known of it, its records, and what pays for them.
    pub(super) fn close(self) -> (Box<BatchInfo>, Filled, Permit) {
        let len = self.room_len();
        let OpenBatch { info, room, held, permit, .. } = self;
        let filled = Filled { room, len, held, serves_again: true };
        (info, filled, permit)
    }
}

/// A buffer and how far it is filled. What is behind is not cut off: it would have to be written once more by whoever
/// uses the buffer next.
#[derive(Debug, Default)]
pub(super) struct Filled {
    pub(super) room: Vec<u8>,
    len: usize,
    /// Not of what is to be compressed.
    held: Option<Box<Held>>,
    /// It is of a size that batches are begun with.
    serves_again: bool,
}

impl Filled {
    /// To its end, and made for this alone.
    pub(super) fn whole(bytes: Vec<u8>) -> Filled {
        Filled { len: bytes.len(), room: bytes, held: None, serves_again: false }
    }
}

impl AsRef<[u8]> for Filled {
    fn as_ref(&self) -> &[u8] {
        &self.room[..self.len]
    }
}

/// Bytes that never change again. Whoever holds them holds their memory.
struct Encoded {
    bytes: Filled,
    permit: Permit,
}

impl Drop for Encoded {
    fn drop(&mut self) {
        if self.bytes.serves_again {
            self.permit.keep(std::mem::take(&mut self.bytes.room));
        }
    }
}

impl AsRef<[u8]> for Encoded {
    fn as_ref(&self) -> &[u8] {
        self.bytes.as_ref()
    }
}

/// A sender's bytes. Whoever holds them holds what they count for.
struct PaidFor {
    bytes: Bytes,
    _permit: Permit,
}

impl AsRef<[u8]> for PaidFor {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// The records of a sealed batch as they are sent.
#[derive(Debug)]
pub(super) struct SealedRecords {
    pub(super) attributes: i16,
    pub(super) body: Body,
    crc: Option<u32>,
}

/// A batch whose records never change again.
#[derive(Debug)]
pub(super) struct SealedBatch {
    pub(super) info: Box<BatchInfo>,
    pub(super) records: SealedRecords,
}

impl SealedRecords {
    /// Of these bytes, which the permit pays for from now on.
    pub(super) fn new(attributes: i16, mut bytes: Filled, mut permit: Permit) -> SealedRecords {
        permit.fit(bytes.room.capacity());
        if sabotage::is_on(Sabotage::GiveMemoryBackEarly) {
            permit.fit(0);
        }
        let held = bytes.held.take();
        let encoded = Bytes::from_owner(Encoded { bytes, permit });
        let body = match held {
            Some(held) => Body::around(encoded, held.0, held.1),
            None => encoded.into(),
        };
        let crc = body.crc();
        SealedRecords { attributes, body, crc }
    }
}

impl SealedBatch {
    /// Bytes in a request.
    pub(super) fn wire_len(&self) -> usize {
        HEADER_LEN + self.records.body.len()
    }

    /// For a request: the header as of now, the records shared.
    pub(super) fn to_produce(&self, index: i32, is_transactional: bool) -> ProducePartition {
        let (producer_id, producer_epoch, base_sequence) = match self.info.sequence {
            Some(Sequence { producer, base }) => (producer.id, producer.epoch, base),
            None => (record_batch::NO_PRODUCER_ID, record_batch::NO_PRODUCER_EPOCH, record_batch::NO_SEQUENCE),
        };
        let header = Header {
            attributes: self.records.attributes | if is_transactional { record_batch::TRANSACTIONAL } else { 0 },
            base_timestamp: self.info.base_timestamp,
            max_timestamp: self.info.max_timestamp,
            producer_id,
            producer_epoch,
            base_sequence,
            count: self.info.count,
        };
        let SealedRecords { body, crc, .. } = &self.records;
        ProducePartition { index, header: header.encode(body, *crc), body: body.clone() }
    }
}
