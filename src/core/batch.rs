//! A batch is a type that moves: [`OpenBatch`] takes records, [`Unsealed`] is on its way to be summed (and compressed)
//! off the lock, [`Sealed`] waits in its partition's queue or is in flight. Each step consumes the one before.

use super::completion::{Completion, Done, Outcome, Run};
use super::memory::Permit;
use super::time::Instant;
use crate::protocol::messages::ProducePartition;
use crate::protocol::record_batch::{self, HEADER_LEN, Header, RecordBody};
use crate::sabotage::{self, Sabotage};
use bytes::Bytes;
use std::sync::Arc;

/// What is known of a batch whatever its state.
#[derive(Debug)]
pub(super) struct BatchInfo {
    /// Grows with every batch: the order within a partition, sequence numbers' wrap-around aside.
    pub(super) order: u64,
    pub(super) partition: u32,
    pub(super) count: i32,
    base_timestamp: i64,
    max_timestamp: i64,
    /// When its oldest record was accepted: `delivery.timeout.ms` counts from there.
    pub(super) accepted: Instant,
    /// When the batch was begun: `linger.ms` counts from there.
    pub(super) created: Instant,
    completion: Arc<Completion>,
    tokens: Vec<u64>,
    /// How often it went out.
    pub(super) attempts: u32,
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

/// A producer id and its epoch (KIP-98).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ProducerIdAndEpoch {
    pub(super) id: i64,
    pub(super) epoch: i16,
}

impl BatchInfo {
    fn done(self, outcome: Outcome) -> Done {
        let run = Run { first: 0, count: self.count as u32, outcome };
        Done { completion: self.completion, runs: vec![run], tokens: self.tokens }
    }
}

/// Takes records, encoding each in place.
#[derive(Debug)]
pub(super) struct OpenBatch {
    pub(super) info: BatchInfo,
    body: Vec<u8>,
    permit: Permit,
    limit: usize,
}

impl OpenBatch {
    /// A batch for records up to `limit` bytes in all, header included; its first record may be larger.
    #[expect(clippy::too_many_arguments, reason = "all of them are facts of the batch and the types tell them apart")]
    pub(super) fn new(
        order: u64,
        partition: u32,
        topic: Arc<str>,
        index: i32,
        limit: usize,
        capacity: usize,
        mut permit: Permit,
        now: Instant,
    ) -> OpenBatch {
        let body = Vec::with_capacity(capacity);
        permit.grow(body.capacity());
        let info = BatchInfo {
            order,
            partition,
            count: 0,
            base_timestamp: 0,
            max_timestamp: i64::MIN,
            accepted: now,
            created: now,
            completion: Completion::new(topic, index),
            tokens: Vec::new(),
            attempts: 0,
            maybe_written: false,
            last_cause: None,
            sequence: None,
        };
        OpenBatch { info, body, permit, limit }
    }

    /// Whether one more record of at most so many bytes fits.
    pub(super) fn fits(&self, max_len: usize) -> bool {
        self.info.count == 0 || HEADER_LEN + self.body.len() + max_len <= self.limit
    }

    /// Appends a record and says at which index.
    pub(super) fn append(
        &mut self,
        record: &RecordBody<'_>,
        timestamp: i64,
        accepted: Instant,
        token: Option<u64>,
    ) -> u32 {
        let info = &mut self.info;
        if info.count == 0 {
            info.base_timestamp = timestamp;
        }
        info.max_timestamp = info.max_timestamp.max(timestamp);
        info.accepted = info.accepted.min(accepted);
        let index = info.count;
        info.count += 1;
        if let Some(token) = token {
            info.tokens.push(token);
        }
        let before = self.body.capacity();
        record.encode(&mut self.body, timestamp - info.base_timestamp, index);
        let after = self.body.capacity();
        if after != before {
            self.permit.grow(after - before);
        }
        index as u32
    }

    pub(super) fn completion(&self) -> &Arc<Completion> {
        &self.info.completion
    }

    pub(super) fn body_len(&self) -> usize {
        self.body.len()
    }

    pub(super) fn fail(self, outcome: Outcome) -> Done {
        self.info.done(outcome)
    }
}

/// A batch that takes no more records and is to be sealed off the core's lock.
#[derive(Debug)]
pub struct Unsealed(pub(super) OpenBatch);

impl Unsealed {
    /// Takes the checksum of the records. Costs as much as reading them; call it without the core's lock.
    pub fn seal(self) -> Sealed {
        let OpenBatch { info, body, mut permit, .. } = self.0;
        if sabotage::is_on(Sabotage::GiveMemoryBackEarly) {
            permit.shrink_to(0);
        }
        let body_crc = record_batch::body_crc(&body);
        let body = Bytes::from_owner(Body { bytes: body, _permit: permit });
        Sealed { info, body, body_crc }
    }
}

/// The records of a sealed batch. Whoever holds the bytes holds their memory.
struct Body {
    bytes: Vec<u8>,
    _permit: Permit,
}

impl AsRef<[u8]> for Body {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// A batch whose records never change again.
#[derive(Debug)]
pub struct Sealed {
    pub(super) info: BatchInfo,
    body: Bytes,
    body_crc: u32,
}

impl Sealed {
    /// Bytes in a request.
    pub(super) fn wire_len(&self) -> usize {
        HEADER_LEN + self.body.len()
    }

    /// For a request: the header as of now, the records shared.
    pub(super) fn to_produce(&self, index: i32) -> ProducePartition {
        let (producer_id, producer_epoch, base_sequence) = match self.info.sequence {
            Some(Sequence { producer, base }) => (producer.id, producer.epoch, base),
            None => (record_batch::NO_PRODUCER_ID, record_batch::NO_PRODUCER_EPOCH, record_batch::NO_SEQUENCE),
        };
        let header = Header {
            attributes: 0,
            base_timestamp: self.info.base_timestamp,
            max_timestamp: self.info.max_timestamp,
            producer_id,
            producer_epoch,
            base_sequence,
            count: self.info.count,
        };
        ProducePartition { index, header: header.encode(self.body.len(), self.body_crc), body: self.body.clone() }
    }

    pub(super) fn done(self, outcome: Outcome) -> Done {
        self.info.done(outcome)
    }
}
