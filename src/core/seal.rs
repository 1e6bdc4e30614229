//! What is done to a batch off the core's lock: it is compressed and summed, or made anew from its own records because
//! a broker refused it as it was.

use super::batch::{BatchInfo, Filled, Order, SealedBatch, SealedRecords};
use super::memory::{MemoryPool, Permit};
use crate::protocol::compression::{Compression, decompress};
use crate::protocol::record_batch::{EncodedRecord, encoded_records};
use std::ops::Range;
use std::sync::Arc;

/// A batch that something is to be done to off the core's lock.
#[derive(Debug)]
pub struct Unsealed {
    pub(super) work: Work,
    pub(super) compression: Compression,
    pub(super) memory: MemoryPool,
}

#[derive(Debug)]
pub(super) enum Work {
    /// The records of a batch that takes no more.
    Seal { partition: u32, place: Order, body: Filled, permit: Permit },
    /// It is larger than the broker allows: parts of at most so many bytes before compression.
    Split(SealedBatch, usize),
    /// The broker refuses these of its records, ascending: one without them.
    Without(SealedBatch, Vec<u32>),
}

/// What became of it.
#[derive(Debug)]
pub struct Sealed {
    pub(super) partition: u32,
    /// Whose place it takes.
    pub(super) place: Order,
    pub(super) made: Made,
}

#[derive(Debug)]
pub(super) enum Made {
    /// The batch's records, sealed for the first time.
    Itself(SealedRecords),
    /// Batches instead of it, in the order of their records.
    Anew(Vec<SealedBatch>),
}

impl Unsealed {
    /// Compresses the records and takes their checksum. Costs as much as reading them, or far more; call it without
    /// the core's lock.
    pub fn seal(self) -> Sealed {
        let Unsealed { work, compression, memory } = self;
        match work {
            Work::Seal { partition, place, body, permit } => {
                Sealed { partition, place, made: Made::Itself(seal(body, permit, compression)) }
            }
            Work::Split(batch, target) => {
                let raw = raw(&batch);
                let records: Vec<EncodedRecord<'_>> = encoded_records(&raw).collect();
                // The memory is booked without waiting: it is about what the whole batch gives back.
                let part = |cut| part(&batch.info, &records, &[cut], memory.take(0), compression);
                Sealed::anew(&batch.info, cuts(&records, target).into_iter().map(part).collect())
            }
            Work::Without(batch, refused) => {
                let raw = raw(&batch);
                let records: Vec<EncodedRecord<'_>> = encoded_records(&raw).collect();
                let left = gaps(&refused, records.len() as u32);
                Sealed::anew(&batch.info, vec![part(&batch.info, &records, &left, memory.take(0), compression)])
            }
        }
    }

    /// Whether [`Unsealed::seal`] takes much longer than reading the batch: no work for a thread that others wait for.
    pub fn is_costly(&self) -> bool {
        self.compression != Compression::None || !matches!(self.work, Work::Seal { .. })
    }
}

impl Sealed {
    fn anew(whole: &BatchInfo, parts: Vec<SealedBatch>) -> Sealed {
        Sealed { partition: whole.partition, place: whole.order, made: Made::Anew(parts) }
    }
}

fn seal(body: Filled, permit: Permit, compression: Compression) -> SealedRecords {
    match compression.compress(body.as_ref()) {
        Some(compressed) => {
            permit.keep(body.room);
            SealedRecords::new(compression.attributes(), Filled::whole(compressed), permit)
        }
        None => SealedRecords::new(0, body, permit),
    }
}

/// A sealed batch's records before they were compressed.
fn raw(batch: &SealedBatch) -> Vec<u8> {
    decompress(batch.records.attributes, &batch.records.body.to_bytes(), batch.info.record_bytes)
        .expect("what was compressed here can be decompressed")
}

/// What is left of `count` records without those.
pub(super) fn gaps(refused: &[u32], count: u32) -> Vec<Range<u32>> {
    let mut from = 0;
    let mut left = Vec::new();
    for &at in refused.iter().chain([&count]) {
        if from < at {
            left.push(from..at);
        }
        from = at + 1;
    }
    left
}

/// Where to cut for parts of at most `target` bytes, of one record at least.
fn cuts(records: &[EncodedRecord<'_>], target: usize) -> Vec<Range<u32>> {
    let mut cuts: Vec<Range<u32>> = Vec::new();
    let mut size = 0;
    for (at, record) in (0..).zip(records) {
        size += record.len();
        match cuts.last_mut() {
            Some(cut) if size <= target => cut.end = at + 1,
            _ => {
                size = record.len();
                cuts.push(at..at + 1);
            }
        }
    }
    cuts
}

/// A batch of some of a batch's records, within its range of sequences.
fn part(
    whole: &BatchInfo,
    records: &[EncodedRecord<'_>],
    taken: &[Range<u32>],
    permit: Permit,
    compression: Compression,
) -> SealedBatch {
    let records = || taken.iter().flat_map(|range| &records[range.start as usize..range.end as usize]);
    let timestamp = |record: &EncodedRecord<'_>| whole.base_timestamp + record.timestamp_delta;
    let base_timestamp = records().next().map_or(0, timestamp);
    let mut body = Vec::with_capacity(records().map(EncodedRecord::len).sum());
    let mut record_bytes_max = 0;
    for (at, record) in (0..).zip(records()) {
        let before = body.len();
        record.encode(&mut body, timestamp(record) - base_timestamp, at);
        record_bytes_max = record_bytes_max.max(body.len() - before);
    }
    let pieces: Vec<Range<u32>> = taken.iter().flat_map(|range| whole.indexes(range.clone())).collect();
    let before = taken.first().map_or(0, |range| range.start as i32);
    let info = Box::new(BatchInfo {
        order: Order { first: pieces.first().map_or(whole.order.first, |piece| piece.start), ..whole.order },
        partition: whole.partition,
        count: records().count() as i32,
        pieces: if pieces.len() > 1 { pieces } else { Vec::new() },
        base_timestamp,
        max_timestamp: records().map(timestamp).max().unwrap_or(base_timestamp),
        accepted: whole.accepted,
        created: whole.created,
        record_bytes: body.len(),
        record_bytes_max,
        completion: Some(Arc::clone(whole.completion())),
        tokens: Vec::new(),
        held: None,
        // As Java does: in this form it was never tried.
        attempts: 0,
        made_anew: true,
        goes_at_once: false,
        maybe_written: whole.maybe_written,
        last_cause: whole.last_cause.clone(),
        sequence: whole.sequence.map(|sequence| sequence.after(before)),
    });
    SealedBatch { info, records: seal(Filled::whole(body), permit, compression) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::batch::OpenBatch;
    use crate::core::completion::{Completion, Outcome, Run};
    use crate::core::ratio::Estimate;
    use crate::core::time::Instant;
    use crate::protocol::record_batch::{NO_HEADERS, RecordBody};

    const MEMORY: usize = 1 << 20;

    fn batch(memory: &MemoryPool, compression: Compression, values: &[&[u8]]) -> SealedBatch {
        let now = Instant::from_nanos(1);
        let topic: Arc<str> = "t".into();
        let order = Order::begun(7);
        let permit = memory.take(0);
        let completion = Completion::new(topic, 0, || true);
        let mut open = OpenBatch::new(order, 0, completion, 1 << 20, Estimate::EXACT, Vec::new(), permit, now, None);
        for (at, value) in values.iter().enumerate() {
            let record = RecordBody { key: None, value: Some(value), headers: NO_HEADERS };
            open.append(&record, record.max_len(), 1000 - at as i64, Some(now), Some(at as u64));
        }
        let (info, body, permit) = open.close();
        SealedBatch { info, records: seal(body, permit, compression) }
    }

    /// What is made of a batch.
    fn anew(work: Work, compression: Compression, memory: &MemoryPool) -> Vec<SealedBatch> {
        let sealed = Unsealed { work, compression, memory: memory.clone() }.seal();
        assert_eq!((sealed.partition, sealed.place.batch), (0, 7));
        let Made::Anew(made) = sealed.made else { panic!("it is not made anew") };
        made
    }

    fn values(batch: &SealedBatch) -> Vec<(i64, Vec<u8>)> {
        let raw = raw(batch);
        let record =
            |record: EncodedRecord<'_>| (batch.info.base_timestamp + record.timestamp_delta, record.rest().to_vec());
        encoded_records(&raw).map(record).collect()
    }

    #[test]
    fn parts_hold_every_record_once_and_in_order() {
        for compression in [Compression::None, Compression::Zstd(3), Compression::Snappy] {
            let memory = MemoryPool::new(MEMORY);
            let all: Vec<Vec<u8>> = (0..100u8).map(|at| vec![at; usize::from(at) * 7]).collect();
            let all: Vec<&[u8]> = all.iter().map(Vec::as_slice).collect();
            let whole = batch(&memory, compression, &all);
            let expected = values(&whole);
            let parts = anew(Work::Split(whole, 2000), compression, &memory);
            assert!(parts.len() > 15, "{}", parts.len());
            let mut next = 0;
            for part in &parts {
                assert_eq!(part.info.order, Order { batch: 7, first: next });
                assert_eq!(part.info.indexes(0..part.info.count as u32), [next..next + part.info.count as u32]);
                next += part.info.count as u32;
                assert_eq!(part.info.max_timestamp, part.info.base_timestamp, "they were stamped backwards");
                assert!(part.info.record_bytes <= 2000 + 20 || part.info.count == 1);
            }
            assert_eq!(parts.iter().flat_map(values).collect::<Vec<_>>(), expected);
            drop(parts);
            assert_eq!(memory.available(), MEMORY as i64);
        }
    }

    #[test]
    fn a_batch_without_some_keeps_the_others_indexes() {
        let memory = MemoryPool::new(MEMORY);
        let whole = batch(&memory, Compression::Gzip(-1), &[b"a", b"b", b"c", b"d", b"e", b"f"]);
        let anew = |work| anew(work, Compression::Gzip(-1), &memory);
        let left = anew(Work::Without(whole, vec![0, 3])).remove(0);
        assert_eq!(left.info.order, Order { batch: 7, first: 1 });
        assert_eq!(left.info.indexes(0..4), [1..3, 4..6]);
        let expected = values(&left);
        // And once more: a record at each end, then the rest in parts.
        let left = anew(Work::Without(left, vec![1])).remove(0);
        assert_eq!(left.info.indexes(0..3), [1..2, 4..6]);
        assert_eq!(left.info.indexes(1..2), [4..5]);
        let parts = anew(Work::Split(left, 1));
        let orders: Vec<u32> = parts.iter().map(|part| part.info.order.first).collect();
        assert_eq!(orders, [1, 4, 5]);
        let got: Vec<_> = parts.iter().flat_map(values).collect();
        assert_eq!(got, [&expected[..1], &expected[2..]].concat());
    }

    #[test]
    fn offsets_go_on_over_what_was_taken_out() {
        let memory = MemoryPool::new(MEMORY);
        let whole = batch(&memory, Compression::None, &[b"a", b"b", b"c", b"d"]);
        let left = anew(Work::Without(whole, vec![1]), Compression::None, &memory).remove(0);
        let written = |base| Outcome::Written { base_offset: Some(base), log_append_time: None };
        let mut left = left;
        let done = left.info.done(written(10));
        let expected =
            [Run { first: 0, count: 1, outcome: written(10) }, Run { first: 2, count: 2, outcome: written(11) }];
        assert_eq!(done.runs[..], expected);
        let _: &Arc<Completion> = &done.completion;
    }

    #[test]
    fn a_compressed_batch_holds_the_memory_of_its_compressed_bytes() {
        let memory = MemoryPool::new(MEMORY);
        let batch = batch(&memory, Compression::Lz4(9), &[&[7; 100_000]]);
        let held = MEMORY as i64 - memory.available();
        assert!(held < 1000, "{held}");
        assert_eq!(batch.info.record_bytes, 100_000 + 11);
        drop(batch);
        assert_eq!(memory.available(), MEMORY as i64);
    }
}
