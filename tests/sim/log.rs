//! One replica's log and its producer state, after Kafka's ProducerStateManager, ProducerStateEntry, ProducerAppendInfo and
//! VerificationStateEntry (4.x).

use crate::batch::{Batch, StoredRecord, sequence_plus};
use pointsman::protocol::error_code::{INVALID_PRODUCER_EPOCH, INVALID_TXN_STATE, OUT_OF_ORDER_SEQUENCE_NUMBER};
use std::collections::{BTreeMap, VecDeque};

/// ProducerStateEntry.NUM_BATCHES_TO_RETAIN.
const BATCHES_RETAINED: usize = 5;

#[derive(Clone, Debug)]
pub struct StoredBatch {
    pub base_offset: i64,
    pub producer_id: i64,
    pub epoch: i16,
    pub base_sequence: i32,
    pub max_timestamp: i64,
    pub transactional: bool,
    /// It ends a transaction, and has no records but that one.
    pub marker: Option<Marker>,
    pub records: Vec<StoredRecord>,
}

/// What the coordinator writes when a transaction ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marker {
    pub commits: bool,
    /// Which of the coordinator's decisions it is.
    pub end: usize,
}

impl StoredBatch {
    pub fn last_offset(&self) -> i64 {
        self.base_offset + self.records.len().max(1) as i64 - 1
    }

    pub fn last_sequence(&self) -> i32 {
        sequence_plus(self.base_sequence, self.records.len() as i32 - 1)
    }
}

#[derive(Clone, Debug)]
struct BatchMetadata {
    first_sequence: i32,
    last_sequence: i32,
    first_offset: i64,
    last_offset: i64,
    timestamp: i64,
}

#[derive(Clone, Debug)]
struct ProducerEntry {
    epoch: i16,
    batches: VecDeque<BatchMetadata>,
    last_timestamp: i64,
    /// Where its transaction begins, while that is open.
    open_since: Option<i64>,
}

/// What is known of a transaction that the coordinator was asked about, until its first batch stands.
#[derive(Clone, Copy, Debug)]
struct Verification {
    epoch: i16,
    lowest_sequence: i32,
}

/// Where an accepted batch stands.
#[derive(Clone, Copy, Debug)]
pub struct Appended {
    pub base_offset: i64,
    pub end_offset: i64,
    /// Of a duplicate the broker answers the cached batch's timestamp, on create-time topics too.
    pub log_append_time: i64,
    pub duplicate: bool,
}

#[derive(Clone, Debug, Default)]
pub struct Log {
    pub batches: Vec<StoredBatch>,
    producers: BTreeMap<i64, ProducerEntry>,
    verifications: BTreeMap<i64, Verification>,
}

impl Log {
    pub fn end_offset(&self) -> i64 {
        self.batches.last().map_or(0, |batch| batch.last_offset() + 1)
    }

    /// UnifiedLog.append from the producer state on: duplicate, refusal, or written.
    /// `verified`: the coordinator knows the batch's partition as part of its transaction.
    pub fn append(&mut self, batch: Batch, verified: bool) -> Result<Appended, i16> {
        if batch.producer_id >= 0
            && let Some(entry) = self.producers.get(&batch.producer_id)
        {
            let last_sequence = batch.last_sequence();
            let same = |cached: &&BatchMetadata| {
                cached.first_sequence == batch.base_sequence && cached.last_sequence == last_sequence
            };
            if entry.epoch == batch.epoch
                && let Some(cached) = entry.batches.iter().find(same)
            {
                return Ok(Appended {
                    base_offset: cached.first_offset,
                    end_offset: cached.last_offset + 1,
                    log_append_time: cached.timestamp,
                    duplicate: true,
                });
            }
        }
        let verification = self.verifications.get(&batch.producer_id).copied();
        let is_open = self.has_open(batch.producer_id, batch.epoch);
        if batch.transactional && !is_open && !verified {
            return Err(INVALID_TXN_STATE);
        }
        if batch.producer_id >= 0
            && let Some(entry) = self.producers.get(&batch.producer_id)
            && batch.epoch < entry.epoch
        {
            return Err(INVALID_PRODUCER_EPOCH);
        }
        // An earlier batch of the transaction was on its way before this one, and is not there.
        if verification.is_some_and(|verification| batch.base_sequence > verification.lowest_sequence) {
            return Err(OUT_OF_ORDER_SEQUENCE_NUMBER);
        }
        if batch.producer_id >= 0
            && let Some(entry) = self.producers.get(&batch.producer_id)
        {
            if batch.epoch > entry.epoch {
                if batch.base_sequence != 0 {
                    return Err(OUT_OF_ORDER_SEQUENCE_NUMBER);
                }
            } else if batch.base_sequence != entry.batches.back().map_or(0, |last| sequence_plus(last.last_sequence, 1))
            {
                // Of an epoch that only a marker has brought, too, the first sequence is 0.
                return Err(OUT_OF_ORDER_SEQUENCE_NUMBER);
            }
            if entry.open_since.is_some() && !batch.transactional {
                return Err(INVALID_TXN_STATE);
            }
        }
        let stored = StoredBatch {
            base_offset: self.end_offset(),
            producer_id: batch.producer_id,
            epoch: batch.epoch,
            base_sequence: batch.base_sequence,
            max_timestamp: batch.max_timestamp,
            transactional: batch.transactional,
            marker: None,
            records: batch.records,
        };
        self.remember(&stored);
        self.verifications.remove(&stored.producer_id);
        let appended = Appended {
            base_offset: stored.base_offset,
            end_offset: stored.last_offset() + 1,
            log_append_time: -1,
            duplicate: false,
        };
        self.batches.push(stored);
        Ok(appended)
    }

    /// ProducerAppendInfo.appendEndTxnMarker: ends what is open, and what came with an older epoch is fenced from then on.
    /// Whether it was taken: one of an older epoch is not, and nothing has to be done about it.
    pub fn append_marker(&mut self, producer_id: i64, epoch: i16, timestamp: i64, marker: Marker) -> bool {
        if self.producers.get(&producer_id).is_some_and(|entry| epoch < entry.epoch) {
            return false;
        }
        let stored = StoredBatch {
            base_offset: self.end_offset(),
            producer_id,
            epoch,
            base_sequence: -1,
            max_timestamp: timestamp,
            transactional: true,
            marker: Some(marker),
            records: Vec::new(),
        };
        self.remember(&stored);
        self.verifications.remove(&producer_id);
        self.batches.push(stored);
        true
    }

    /// UnifiedLog.hasOngoingTransaction.
    pub fn has_open(&self, producer_id: i64, epoch: i16) -> bool {
        self.producers.get(&producer_id).is_some_and(|entry| entry.open_since.is_some() && entry.epoch == epoch)
    }

    /// UnifiedLog.maybeStartTransactionVerification, before the coordinator is asked. With V2 every
    /// transaction has an epoch of its own, and so begins at 0 everywhere.
    pub fn begin_verification(&mut self, batch: &Batch, second: bool) -> Result<(), i16> {
        if self.producers.get(&batch.producer_id).is_some_and(|entry| batch.epoch < entry.epoch) {
            return Err(INVALID_PRODUCER_EPOCH);
        }
        let lowest_sequence = if second { 0 } else { batch.base_sequence };
        let fresh = Verification { epoch: batch.epoch, lowest_sequence };
        let known = self.verifications.entry(batch.producer_id).or_insert(fresh);
        if known.epoch < batch.epoch {
            *known = fresh;
        }
        known.lowest_sequence = known.lowest_sequence.min(lowest_sequence);
        Ok(())
    }

    /// Whether a later batch of its producer and epoch stands here.
    pub fn is_behind(&self, batch: &Batch) -> bool {
        let last = |entry: &ProducerEntry| entry.batches.back().map(|last| last.last_sequence);
        let entry = self.producers.get(&batch.producer_id).filter(|entry| entry.epoch == batch.epoch);
        entry.and_then(last).is_some_and(|last| batch.base_sequence <= last)
    }

    /// Drops everything from `end` on, at a batch's border, and rebuilds the producer state from what is left.
    pub fn truncate(&mut self, end: i64) -> Vec<StoredBatch> {
        let at = self.batches.partition_point(|batch| batch.base_offset < end);
        let dropped = self.batches.split_off(at);
        if !dropped.is_empty() {
            self.producers.clear();
            self.verifications.clear();
            for batch in std::mem::take(&mut self.batches) {
                self.remember(&batch);
                self.batches.push(batch);
            }
        }
        dropped
    }

    /// ProducerStateManager.isProducerExpired: by the timestamps in the batches, not by when they came.
    pub fn expire_producers(&mut self, wall_ms: i64, expiration_ms: i64) {
        self.producers.retain(|_, entry| entry.open_since.is_some() || wall_ms - entry.last_timestamp < expiration_ms);
    }

    /// What a snapshot keeps of each producer: its last batch. Anything older is no longer known as a duplicate.
    pub fn reload_snapshot(&mut self) {
        for entry in self.producers.values_mut() {
            while entry.batches.len() > 1 {
                entry.batches.pop_front();
            }
        }
    }

    /// As after DeleteRecords or retention on brokers before 2.5: the log stays, whoever wrote it is forgotten.
    pub fn forget_producers(&mut self) {
        self.producers.clear();
    }

    fn remember(&mut self, batch: &StoredBatch) {
        if batch.producer_id < 0 {
            return;
        }
        let fresh =
            || ProducerEntry { epoch: batch.epoch, batches: VecDeque::new(), last_timestamp: -1, open_since: None };
        let entry = self.producers.entry(batch.producer_id).or_insert_with(fresh);
        if entry.epoch != batch.epoch {
            entry.epoch = batch.epoch;
            entry.batches.clear();
        }
        entry.last_timestamp = batch.max_timestamp;
        if batch.marker.is_some() {
            entry.open_since = None;
            return;
        }
        if batch.transactional {
            entry.open_since.get_or_insert(batch.base_offset);
        }
        if entry.batches.len() == BATCHES_RETAINED {
            entry.batches.pop_front();
        }
        entry.batches.push_back(BatchMetadata {
            first_sequence: batch.base_sequence,
            last_sequence: batch.last_sequence(),
            first_offset: batch.base_offset,
            last_offset: batch.last_offset(),
            timestamp: batch.max_timestamp,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(epoch: i16, base_sequence: i32, count: usize) -> Batch {
        let record = StoredRecord { timestamp: 7, key: None, value: None, headers: Vec::new() };
        Batch {
            producer_id: 1,
            epoch,
            base_sequence,
            transactional: false,
            max_timestamp: 7,
            size: 0,
            records: vec![record; count],
        }
    }

    #[test]
    fn an_unknown_producer_may_start_anywhere_and_must_then_go_on() {
        let mut log = Log::default();
        assert_eq!(log.append(batch(0, 17, 3), false).unwrap().base_offset, 0);
        assert_eq!(log.append(batch(0, 17, 2), false).unwrap_err(), OUT_OF_ORDER_SEQUENCE_NUMBER);
        assert!(log.append(batch(0, 17, 3), false).unwrap().duplicate);
        assert_eq!(log.append(batch(0, 20, 1), false).unwrap().base_offset, 3);
    }

    #[test]
    fn five_batches_are_known_as_duplicates_and_no_more() {
        let mut log = Log::default();
        for at in 0..6 {
            log.append(batch(0, at, 1), false).unwrap();
        }
        assert_eq!(log.append(batch(0, 0, 1), false).unwrap_err(), OUT_OF_ORDER_SEQUENCE_NUMBER);
        assert_eq!(log.append(batch(0, 1, 1), false).unwrap().base_offset, 1);
        log.reload_snapshot();
        assert_eq!(log.append(batch(0, 1, 1), false).unwrap_err(), OUT_OF_ORDER_SEQUENCE_NUMBER);
        assert_eq!(log.append(batch(0, 5, 1), false).unwrap().base_offset, 5);
    }

    #[test]
    fn a_new_epoch_starts_at_zero_and_fences_the_old_one() {
        let mut log = Log::default();
        log.append(batch(0, 0, 1), false).unwrap();
        assert_eq!(log.append(batch(1, 1, 1), false).unwrap_err(), OUT_OF_ORDER_SEQUENCE_NUMBER);
        log.append(batch(1, 0, 1), false).unwrap();
        assert_eq!(log.append(batch(0, 1, 1), false).unwrap_err(), INVALID_PRODUCER_EPOCH);
    }

    #[test]
    fn sequences_wrap_within_and_between_batches() {
        let mut log = Log::default();
        log.append(batch(0, i32::MAX - 1, 2), false).unwrap();
        log.append(batch(0, 0, 2), false).unwrap();
        let mut log = Log::default();
        log.append(batch(0, i32::MAX, 3), false).unwrap();
        log.append(batch(0, 2, 1), false).unwrap();
    }

    #[test]
    fn truncation_takes_the_producer_back() {
        let mut log = Log::default();
        log.append(batch(0, 0, 2), false).unwrap();
        log.append(batch(0, 2, 2), false).unwrap();
        assert_eq!(log.truncate(2).len(), 1);
        assert_eq!(log.append(batch(0, 2, 2), false).unwrap().base_offset, 2);
    }

    fn in_transaction(epoch: i16, base_sequence: i32, count: usize) -> Batch {
        Batch { transactional: true, ..batch(epoch, base_sequence, count) }
    }

    const COMMIT: Marker = Marker { commits: true, end: 0 };

    #[test]
    fn a_transaction_is_taken_if_the_coordinator_knows_it() {
        let mut log = Log::default();
        assert_eq!(log.append(in_transaction(0, 0, 1), false).unwrap_err(), INVALID_TXN_STATE);
        log.append(in_transaction(0, 0, 1), true).unwrap();
        assert!(log.has_open(1, 0) && !log.has_open(1, 1));
        log.append(in_transaction(0, 1, 1), false).unwrap();
        assert!(log.append_marker(1, 0, 7, COMMIT));
        assert_eq!(log.append(in_transaction(0, 2, 1), false).unwrap_err(), INVALID_TXN_STATE);
        assert_eq!(log.append(in_transaction(0, 2, 1), true).unwrap().base_offset, 3, "the sequences go on");
    }

    #[test]
    fn a_marker_with_a_new_epoch_fences_the_old_one() {
        let mut log = Log::default();
        log.append(in_transaction(0, 0, 1), true).unwrap();
        log.append_marker(1, 1, 7, COMMIT);
        assert_eq!(log.append(in_transaction(0, 1, 1), true).unwrap_err(), INVALID_PRODUCER_EPOCH);
        assert_eq!(log.append(in_transaction(1, 1, 1), true).unwrap_err(), OUT_OF_ORDER_SEQUENCE_NUMBER);
        log.append(in_transaction(1, 0, 1), true).unwrap();
        assert!(!log.append_marker(1, 0, 7, COMMIT));
    }

    #[test]
    fn what_the_coordinator_was_asked_about_first_stands_first() {
        let mut log = Log::default();
        log.begin_verification(&in_transaction(0, 5, 1), false).unwrap();
        log.begin_verification(&in_transaction(0, 6, 1), false).unwrap();
        assert_eq!(log.append(in_transaction(0, 6, 1), true).unwrap_err(), OUT_OF_ORDER_SEQUENCE_NUMBER);
        log.append(in_transaction(0, 5, 1), true).unwrap();
        log.append(in_transaction(0, 6, 1), false).unwrap();
    }
}
