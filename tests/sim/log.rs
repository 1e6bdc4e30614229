//! One replica's log and its producer state, after Kafka's ProducerStateManager, ProducerStateEntry and
//! ProducerAppendInfo (4.x, non-transactional).

use crate::batch::{Batch, StoredRecord, sequence_plus};
use pointsman::protocol::error_code::{INVALID_PRODUCER_EPOCH, OUT_OF_ORDER_SEQUENCE_NUMBER};
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
    pub records: Vec<StoredRecord>,
}

impl StoredBatch {
    pub fn last_offset(&self) -> i64 {
        self.base_offset + self.records.len() as i64 - 1
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
}

impl Log {
    pub fn end_offset(&self) -> i64 {
        self.batches.last().map_or(0, |batch| batch.last_offset() + 1)
    }

    /// UnifiedLog.append from the producer state on: duplicate, refusal, or written.
    pub fn append(&mut self, batch: Batch) -> Result<Appended, i16> {
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
            if batch.epoch < entry.epoch {
                return Err(INVALID_PRODUCER_EPOCH);
            }
            if batch.epoch > entry.epoch {
                if batch.base_sequence != 0 {
                    return Err(OUT_OF_ORDER_SEQUENCE_NUMBER);
                }
            } else if let Some(last) = entry.batches.back()
                && batch.base_sequence != sequence_plus(last.last_sequence, 1)
            {
                return Err(OUT_OF_ORDER_SEQUENCE_NUMBER);
            }
        }
        let stored = StoredBatch {
            base_offset: self.end_offset(),
            producer_id: batch.producer_id,
            epoch: batch.epoch,
            base_sequence: batch.base_sequence,
            max_timestamp: batch.max_timestamp,
            records: batch.records,
        };
        self.remember(&stored);
        let appended = Appended {
            base_offset: stored.base_offset,
            end_offset: stored.last_offset() + 1,
            log_append_time: -1,
            duplicate: false,
        };
        self.batches.push(stored);
        Ok(appended)
    }

    /// Drops everything from `end` on, at a batch's border, and rebuilds the producer state from what is left.
    pub fn truncate(&mut self, end: i64) -> Vec<StoredBatch> {
        let at = self.batches.partition_point(|batch| batch.base_offset < end);
        let dropped = self.batches.split_off(at);
        if !dropped.is_empty() {
            self.producers.clear();
            for batch in std::mem::take(&mut self.batches) {
                self.remember(&batch);
                self.batches.push(batch);
            }
        }
        dropped
    }

    /// ProducerStateManager.isProducerExpired: by the timestamps in the batches, not by when they came.
    pub fn expire_producers(&mut self, wall_ms: i64, expiration_ms: i64) {
        self.producers.retain(|_, entry| wall_ms - entry.last_timestamp < expiration_ms);
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
        let fresh = || ProducerEntry { epoch: batch.epoch, batches: VecDeque::new(), last_timestamp: -1 };
        let entry = self.producers.entry(batch.producer_id).or_insert_with(fresh);
        if entry.epoch != batch.epoch {
            entry.epoch = batch.epoch;
            entry.batches.clear();
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
        entry.last_timestamp = batch.max_timestamp;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(epoch: i16, base_sequence: i32, count: usize) -> Batch {
        let record = StoredRecord { timestamp: 7, key: None, value: None, headers: Vec::new() };
        Batch { producer_id: 1, epoch, base_sequence, max_timestamp: 7, size: 0, records: vec![record; count] }
    }

    #[test]
    fn an_unknown_producer_may_start_anywhere_and_must_then_go_on() {
        let mut log = Log::default();
        assert_eq!(log.append(batch(0, 17, 3)).unwrap().base_offset, 0);
        assert_eq!(log.append(batch(0, 17, 2)).unwrap_err(), OUT_OF_ORDER_SEQUENCE_NUMBER);
        assert!(log.append(batch(0, 17, 3)).unwrap().duplicate);
        assert_eq!(log.append(batch(0, 20, 1)).unwrap().base_offset, 3);
    }

    #[test]
    fn five_batches_are_known_as_duplicates_and_no_more() {
        let mut log = Log::default();
        for at in 0..6 {
            log.append(batch(0, at, 1)).unwrap();
        }
        assert_eq!(log.append(batch(0, 0, 1)).unwrap_err(), OUT_OF_ORDER_SEQUENCE_NUMBER);
        assert_eq!(log.append(batch(0, 1, 1)).unwrap().base_offset, 1);
        log.reload_snapshot();
        assert_eq!(log.append(batch(0, 1, 1)).unwrap_err(), OUT_OF_ORDER_SEQUENCE_NUMBER);
        assert_eq!(log.append(batch(0, 5, 1)).unwrap().base_offset, 5);
    }

    #[test]
    fn a_new_epoch_starts_at_zero_and_fences_the_old_one() {
        let mut log = Log::default();
        log.append(batch(0, 0, 1)).unwrap();
        assert_eq!(log.append(batch(1, 1, 1)).unwrap_err(), OUT_OF_ORDER_SEQUENCE_NUMBER);
        log.append(batch(1, 0, 1)).unwrap();
        assert_eq!(log.append(batch(0, 1, 1)).unwrap_err(), INVALID_PRODUCER_EPOCH);
    }

    #[test]
    fn sequences_wrap_within_and_between_batches() {
        let mut log = Log::default();
        log.append(batch(0, i32::MAX - 1, 2)).unwrap();
        log.append(batch(0, 0, 2)).unwrap();
        let mut log = Log::default();
        log.append(batch(0, i32::MAX, 3)).unwrap();
        log.append(batch(0, 2, 1)).unwrap();
    }

    #[test]
    fn truncation_takes_the_producer_back() {
        let mut log = Log::default();
        log.append(batch(0, 0, 2)).unwrap();
        log.append(batch(0, 2, 2)).unwrap();
        assert_eq!(log.truncate(2).len(), 1);
        assert_eq!(log.append(batch(0, 2, 2)).unwrap().base_offset, 2);
    }
}
