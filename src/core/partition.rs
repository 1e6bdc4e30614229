//! A partition's queue of batches and what the order of its log demands.

use super::batch::{BatchInfo, Filled, OpenBatch, Order, ProducerIdAndEpoch, SealedBatch, Sequence};
use super::io::{ConnectionId, NodeId};
use super::memory::Permit;
use super::time::Instant;
use crate::sabotage::{self, Sabotage};
use std::collections::VecDeque;
use std::time::Duration;

#[derive(Debug)]
pub(super) struct Partition {
    pub(super) topic: usize,
    pub(super) index: i32,
    pub(super) leader: Option<NodeId>,
    pub(super) leader_epoch: i32,
    /// Since when the cluster names an older epoch than that.
    pub(super) older_since: Option<Instant>,
    /// Oldest first; one that goes out again returns to its place. Only the last can be open.
    pub(super) queue: VecDeque<Slot>,
    /// No record in the queue was accepted before then. It may be too early, so that nothing has to be looked through
    /// when a batch leaves; `None` if the queue is empty.
    pub(super) oldest: Option<Instant>,
    /// Oldest first.
    pub(super) in_flight: Vec<InFlight>,
    /// After a retriable failure.
    pub(super) blocked_until: Option<Instant>,
    pub(super) sequences: Sequences,
    /// Bytes of the records in the queue and in flight, before compression, for the sticky choice.
    queued_bytes: u64,
    /// In whose set of ready partitions this one is.
    pub(super) ready_on: Option<NodeId>,
    /// In whose set of lingering ones.
    pub(super) lingers_on: Option<NodeId>,
    /// How large the last batch became: the next one's buffer starts there.
    pub(super) last_body_len: usize,
    /// How many tokens it had.
    pub(super) last_tokens: usize,
}

#[derive(Debug)]
pub(super) enum Slot {
    Open(OpenBatch),
    /// Its bytes are away to be sealed. They may never come back: it can fail without them.
    Sealing(Box<BatchInfo>),
    Sealed(SealedBatch),
}

impl Slot {
    pub(super) fn info(&self) -> &BatchInfo {
        match self {
            Slot::Open(batch) => &batch.info,
            Slot::Sealing(info) => info,
            Slot::Sealed(batch) => &batch.info,
        }
    }

    /// Lets its bytes go.
    pub(super) fn into_info(self) -> Box<BatchInfo> {
        match self {
            Slot::Open(batch) => batch.info,
            Slot::Sealing(info) => info,
            Slot::Sealed(batch) => batch.info,
        }
    }

    pub(super) fn order(&self) -> Order {
        self.info().order
    }
}

/// Rooms of partitions that were idle, for those that no longer are: with many partitions it is the allocator that
/// would cost most.
#[derive(Debug, Default)]
pub(super) struct Rooms {
    queues: Vec<VecDeque<Slot>>,
    in_flight: Vec<Vec<InFlight>>,
    /// Of batches that are done.
    #[expect(clippy::vec_box, reason = "it is the boxes that are used again")]
    infos: Vec<Box<BatchInfo>>,
}

impl Rooms {
    /// So many are kept at most…
    const MANY: usize = 1024;
    /// …of at most so many batches each.
    const LARGE: usize = 8;

    /// To be written over.
    pub(super) fn info(&mut self) -> Option<Box<BatchInfo>> {
        self.infos.pop()
    }

    /// What was known of a batch that is done.
    pub(super) fn keep_info(&mut self, info: Box<BatchInfo>) {
        if self.infos.len() < Rooms::MANY {
            self.infos.push(info);
        }
    }

    fn keep(&mut self, queue: VecDeque<Slot>, in_flight: Vec<InFlight>) {
        debug_assert!(queue.is_empty() && in_flight.is_empty(), "only of an idle partition");
        if self.queues.len() < Rooms::MANY && (1..=Rooms::LARGE).contains(&queue.capacity()) {
            self.queues.push(queue);
        }
        if self.in_flight.len() < Rooms::MANY && (1..=Rooms::LARGE).contains(&in_flight.capacity()) {
            self.in_flight.push(in_flight);
        }
    }
}

/// A batch in a request that is not answered yet.
#[derive(Debug)]
pub(super) struct InFlight {
    pub(super) order: Order,
    pub(super) connection: ConnectionId,
    pub(super) sequence: Option<Sequence>,
    /// `None` once it expired: its deliveries have failed as unknown, and its answer still decides what may follow.
    pub(super) batch: Option<SealedBatch>,
    /// Its records went out before.
    pub(super) again: bool,
}

/// The partition's side of idempotence: which producer id and epoch its sequences belong to, and how far they are.
#[derive(Debug, Default)]
pub(super) struct Sequences {
    current: Option<ProducerIdAndEpoch>,
    next: i32,
    /// The leader that has accepted a batch of the current id and epoch. Until then it may know nothing of them and
    /// accept any sequence as the first (KAFKA-15591), so only one batch is in flight.
    proven_on: Option<NodeId>,
    last_sent: Instant,
    holes: Vec<Hole>,
    /// The log was made anew while batches were in flight: it begins with a new epoch when they are through.
    made_anew: bool,
}

/// A batch that had a sequence and will not be sent again.
#[derive(Clone, Copy, Debug)]
struct Hole {
    order: Order,
    /// Certainly not written: the broker refuses everything after it until the epoch is bumped.
    definite: bool,
}

/// What must happen before the head of a partition's queue may go out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gate {
    Open,
    /// Nothing but an answer, a new leader or a producer id changes it.
    Closed,
    /// A hole stands before the head: the epoch is to be bumped and the followers numbered anew.
    Bump,
}

/// How long a partition may be idle before its leader is taken to have forgotten the producer
/// (`producer.id.expiration.ms` is a day by default; being careful costs one round trip).
const IDLE: Duration = Duration::from_secs(60);

impl Sequences {
    /// Numbers a batch that has no sequence yet. `current` is the producer's id and epoch; nothing is in flight if
    /// they are new to the partition.
    pub(super) fn assign(&mut self, current: ProducerIdAndEpoch, count: i32) -> Sequence {
        if self.current != Some(current) {
            self.current = Some(current);
            if !sabotage::is_on(Sabotage::ForgetEpochReset) {
                self.next = 0;
            }
            if sabotage::is_on(Sabotage::StartAtLastSequences) {
                self.next = i32::MAX - 2;
            }
            self.proven_on = None;
            self.holes.clear();
        }
        let sequence = Sequence { producer: current, base: self.next };
        self.next = sequence.after(count).base;
        sequence
    }

    pub(super) fn is_of(&self, current: ProducerIdAndEpoch) -> bool {
        self.current == Some(current)
    }

    pub(super) fn sent(&mut self, now: Instant) {
        if now.saturating_since(self.last_sent) >= IDLE {
            // This batch has to be accepted before another may follow.
            self.proven_on = None;
        }
        self.last_sent = now;
    }

    pub(super) fn proved(&mut self, leader: NodeId, sequence: Sequence, order: Order) {
        if self.current == Some(sequence.producer) {
            self.proven_on = Some(leader);
            // The broker takes sequences only in order: what was before this one is there, too.
            self.holes.retain(|hole| hole.order > order);
        }
    }

    fn is_proven(&self, leader: NodeId) -> bool {
        self.proven_on == Some(leader)
    }

    pub(super) fn leave_hole(&mut self, order: Order, sequence: Sequence, definite: bool) {
        if self.current == Some(sequence.producer) {
            self.holes.push(Hole { order, definite });
        }
    }

    /// Whether a hole stands before `order`, and if so whether it is certain.
    pub(super) fn hole_before(&self, order: Order) -> Option<bool> {
        self.holes.iter().filter(|hole| hole.order < order).map(|hole| hole.definite).reduce(|a, b| a || b)
    }

    /// Whether something has to be numbered anew, by a new epoch, before anything follows.
    pub(super) fn is_torn(&self) -> bool {
        self.made_anew || !self.holes.is_empty()
    }

    /// No leader is known to know them.
    pub(super) fn unproven(&mut self) {
        self.proven_on = None;
    }

    /// What is in flight may be meant for a log that is no more.
    pub(super) fn log_made_anew(&mut self) {
        self.made_anew = true;
    }

    pub(super) fn is_made_anew(&self) -> bool {
        self.made_anew
    }

    /// Forgets id, epoch and holes: the next batch starts at 0 of whatever is current then.
    pub(super) fn reset(&mut self) {
        *self = Sequences { last_sent: self.last_sent, ..Sequences::default() };
    }
}

impl Partition {
    pub(super) fn new(topic: usize, index: i32) -> Partition {
        Partition {
            topic,
            index,
            leader: None,
            leader_epoch: -1,
            older_since: None,
            queue: VecDeque::new(),
            oldest: None,
            in_flight: Vec::new(),
            blocked_until: None,
            sequences: Sequences::default(),
            queued_bytes: 0,
            ready_on: None,
            lingers_on: None,
            last_body_len: 0,
            last_tokens: 0,
        }
    }

    /// The batch that takes records, if there is one, and how many bytes are queued.
    #[inline(always)]
    pub(super) fn open_and_queued(&mut self) -> Option<(&mut OpenBatch, &mut u64)> {
        match self.queue.back_mut() {
            Some(Slot::Open(batch)) => Some((batch, &mut self.queued_bytes)),
            _ => None,
        }
    }

    /// The batch that takes records, if there is one.
    pub(super) fn open(&mut self) -> Option<&mut OpenBatch> {
        match self.queue.back_mut() {
            Some(Slot::Open(batch)) => Some(batch),
            _ => None,
        }
    }

    /// The parts of the batch that takes records, which takes no more; it is to get its place again.
    pub(super) fn take_open(&mut self) -> Option<(Box<BatchInfo>, Filled, Permit)> {
        let Some(Slot::Open(batch)) = self.queue.pop_back_if(|slot| matches!(slot, Slot::Open(_))) else { return None };
        if batch.info.held.is_none() {
            (self.last_body_len, self.last_tokens) = (batch.body_len(), batch.info.tokens.len());
        }
        Some(batch.close())
    }

    /// Bytes of the records in the queue and in flight, before compression.
    pub(super) fn queued_bytes(&self) -> u64 {
        self.queued_bytes
    }

    /// So many bytes of records are in the queue from now on.
    pub(super) fn came(&mut self, bytes: usize) {
        self.queued_bytes += bytes as u64;
    }

    /// So many bytes of records are neither in the queue nor in flight any more.
    pub(super) fn left(&mut self, bytes: usize) {
        debug_assert!(self.queued_bytes >= bytes as u64, "{bytes} of {} bytes leave", self.queued_bytes);
        self.queued_bytes = self.queued_bytes.saturating_sub(bytes as u64);
    }

    /// Takes note of a record in the queue that was accepted then.
    pub(super) fn note_accepted(&mut self, accepted: Instant) {
        self.oldest = Some(self.oldest.map_or(accepted, |oldest| oldest.min(accepted)));
    }

    /// Has room for a batch.
    pub(super) fn take_room(&mut self, rooms: &mut Rooms) {
        if self.queue.capacity() == 0 {
            self.queue = rooms.queues.pop().unwrap_or_default();
        }
        if self.in_flight.capacity() == 0 {
            self.in_flight = rooms.in_flight.pop().unwrap_or_default();
        }
    }

    /// Of many partitions few are in use at a time: the rooms of an idle one would be most of what it takes.
    pub(super) fn give_back(&mut self, rooms: &mut Rooms) {
        rooms.keep(std::mem::take(&mut self.queue), std::mem::take(&mut self.in_flight));
    }

    /// Puts a batch that goes out again where its order says.
    pub(super) fn requeue(&mut self, batch: SealedBatch) {
        self.note_accepted(batch.info.accepted);
        self.enqueue(Slot::Sealed(batch));
    }

    /// Puts a batch where its order says.
    pub(super) fn enqueue(&mut self, slot: Slot) {
        let mut at = self.queue.iter().take_while(|other| other.order() < slot.order()).count();
        if sabotage::is_on(Sabotage::SwapRetriedBatches) && matches!(self.queue.get(at), Some(Slot::Sealed(_))) {
            at += 1;
        }
        self.queue.insert(at, slot);
    }

    /// Whether the head of the queue may go to `leader` over `connection` as far as order is concerned.
    /// `producer` is the id and epoch to send with, if idempotence is on.
    pub(super) fn gate(
        &self,
        leader: NodeId,
        connection: ConnectionId,
        idempotence: bool,
        producer: Option<ProducerIdAndEpoch>,
    ) -> Gate {
        let Some(head) = self.queue.front() else { return Gate::Closed };
        let (retry, sequence, maybe_written) = match head {
            Slot::Sealed(batch) => (batch.info.went_before(), batch.info.sequence, batch.info.maybe_written),
            Slot::Open(_) | Slot::Sealing(_) => (false, None, false),
        };
        if !self.in_flight.is_empty() {
            // One partition never has requests at two leaders; a retry goes alone, and so does what follows one or
            // a batch whose deliveries have expired.
            let alone = retry
                || self
                    .in_flight
                    .iter()
                    .any(|sent| sent.connection != connection || sent.again || sent.batch.is_none());
            if alone {
                return Gate::Closed;
            }
        }
        if !idempotence {
            return Gate::Open;
        }
        if self.sequences.is_made_anew() {
            return if self.in_flight.is_empty() { Gate::Bump } else { Gate::Closed };
        }
        // Who has never heard of the producer takes any sequence as its first (KAFKA-15591): then what follows a hole
        // of unknown fate says nothing of it, unless it may be there itself.
        let tells = sequence.is_some() && (maybe_written || self.sequences.proven_on.is_some());
        if let Some(definite) = self.sequences.hole_before(head.order())
            && (definite || !tells)
        {
            return if self.in_flight.is_empty() { Gate::Bump } else { Gate::Closed };
        }
        match (sequence, producer) {
            (None, None) => return Gate::Closed,
            // Batches of the old epoch finish first.
            (None, Some(producer)) if !self.sequences.is_of(producer) && !self.in_flight.is_empty() => {
                return Gate::Closed;
            }
            _ => {}
        }
        if !self.in_flight.is_empty() && !self.sequences.is_proven(leader) {
            return Gate::Closed;
        }
        Gate::Open
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_wrap_to_zero() {
        let after = |base, count| Sequence { producer: ProducerIdAndEpoch { id: 1, epoch: 0 }, base }.after(count).base;
        assert_eq!(after(i32::MAX, 1), 0);
        assert_eq!(after(i32::MAX - 1, 3), 1);
        assert_eq!(after(5, 7), 12);
    }
}
