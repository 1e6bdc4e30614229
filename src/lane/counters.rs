//! What a lane counts: per chunk, and per record only of those that wait or fail. Plain numbers behind locks that are
//! held anyway.

use super::staging::Shared;
use crate::core::time::Instant;
use crate::core::{Measured, Sampled, Windows};
use crate::error::ProduceError;
use crate::plugin::{End, Ended};
use std::time::Duration;

/// Of chunks; behind the staging lock.
pub(super) struct ChunkCounters {
    records: Sampled,
    bytes: Sampled,
    queue_ms: Sampled,
    append_ms: Sampled,
    errors: Sampled,
    dropped: Sampled,
}

/// Of records that wait outside; behind the lock of those who wait.
pub(super) struct WaitCounters {
    metadata_ns: f64,
    memory_ns: Sampled,
    exhausted: Sampled,
    errors: Sampled,
}

/// What became of a chunk.
#[derive(Clone, Copy, Default)]
pub(super) struct ChunkFacts {
    pub(super) records: usize,
    /// Staged size.
    pub(super) bytes: usize,
    pub(super) queued: Duration,
    /// From the acceptance of its first record until all of it was in batches, aside, or had failed.
    pub(super) appended: Duration,
    pub(super) errors: usize,
    pub(super) dropped: usize,
}

impl ChunkFacts {
    /// Of a chunk from which these records got into no batch.
    pub(super) fn new(
        records: usize,
        bytes: usize,
        queued: Duration,
        appended: Duration,
        ended: &[Ended],
    ) -> ChunkFacts {
        let (errors, dropped) = tally(ended);
        ChunkFacts { records, bytes, queued, appended, errors, dropped }
    }
}

/// Errors, and records that were dropped.
fn tally(ended: &[Ended]) -> (usize, usize) {
    let is_dropped = |ended: &&Ended| matches!(ended.end, End::Failed(ProduceError::Dropped { .. }));
    let dropped = ended.iter().filter(is_dropped).count();
    (ended.len() - dropped, dropped)
}

impl ChunkCounters {
    pub(super) fn new(windows: Windows) -> ChunkCounters {
        let none = || Sampled::new(windows);
        ChunkCounters {
            records: none(),
            bytes: none(),
            queue_ms: none(),
            append_ms: none(),
            errors: none(),
            dropped: none(),
        }
    }

    pub(super) fn add(&mut self, now: Instant, chunk: ChunkFacts) {
        self.records.add(now, chunk.records as f64);
        self.bytes.add(now, chunk.bytes as f64);
        self.queue_ms.add(now, chunk.queued.as_secs_f64() * 1e3);
        self.append_ms.add(now, chunk.appended.as_secs_f64() * 1e3);
        self.add_ended(now, chunk.errors, chunk.dropped);
    }

    fn add_ended(&mut self, now: Instant, errors: usize, dropped: usize) {
        if errors > 0 {
            self.errors.add(now, errors as f64);
        }
        if dropped > 0 {
            self.dropped.add(now, dropped as f64);
        }
    }
}

impl WaitCounters {
    pub(super) fn new(windows: Windows) -> WaitCounters {
        let none = || Sampled::new(windows);
        WaitCounters { metadata_ns: 0.0, memory_ns: none(), exhausted: none(), errors: none() }
    }

    pub(super) fn waited_for_metadata(&mut self, time: Duration) {
        self.metadata_ns += time.as_nanos() as f64;
    }

    pub(super) fn waited_for_memory(&mut self, now: Instant, time: Duration) {
        self.memory_ns.add(now, time.as_nanos() as f64);
    }

    /// A record was refused as there was no memory for it within `max.block.ms`.
    pub(super) fn exhausted(&mut self, now: Instant) {
        self.exhausted.add(now, 1.0);
    }

    /// A record was not accepted.
    pub(super) fn refused(&mut self, now: Instant) {
        self.errors.add(now, 1.0);
    }
}

/// A lane's counters as they stood at one time.
#[derive(Clone, Debug)]
pub(crate) struct LaneCounts {
    /// `buffer.memory`, in bytes.
    pub(crate) memory_total: usize,
    /// What is left of it, in bytes; below zero is debt.
    pub(crate) memory_available: i64,
    /// Records that wait for it.
    pub(crate) waiting: usize,
    /// Bytes staged.
    pub(crate) staged: usize,
    /// Records that their senders appended, as there is nothing else to do with them.
    pub(crate) appended: u64,
    /// Records of each chunk that the lane's thread has worked off.
    pub(crate) chunk_records: Measured,
    /// Staged bytes of each chunk.
    pub(crate) chunk_bytes: Measured,
    /// Milliseconds that each chunk was staged, counted from its first record.
    pub(crate) queue_ms: Measured,
    /// Milliseconds from the acceptance of each chunk's first record until the chunk was appended.
    pub(crate) append_ms: Measured,
    /// Records that were accepted and reached no batch, those dropped on purpose aside.
    pub(crate) errors: Measured,
    /// Records that plugins dropped on purpose.
    pub(crate) dropped: Measured,
    /// Nanoseconds that records waited for their topics' metadata, together.
    pub(crate) metadata_wait_ns: f64,
    /// Nanoseconds that each record that waited did so for memory.
    pub(crate) memory_wait_ns: Measured,
    /// Records refused as there was no memory within `max.block.ms`.
    pub(crate) exhausted: Measured,
    /// Records that were not accepted, those included.
    pub(crate) refused: Measured,
}

impl LaneCounts {
    /// What lanes of the same producer have counted together. Memory is one for all.
    pub(crate) fn sum(lanes: &[LaneCounts]) -> LaneCounts {
        let sum = |of: fn(&LaneCounts) -> &Measured| Measured::merged(lanes.iter().map(of));
        LaneCounts {
            memory_total: lanes.first().map_or(0, |lane| lane.memory_total),
            memory_available: lanes.first().map_or(0, |lane| lane.memory_available),
            waiting: lanes.iter().map(|lane| lane.waiting).sum(),
            staged: lanes.iter().map(|lane| lane.staged).sum(),
            appended: lanes.iter().map(|lane| lane.appended).sum(),
            chunk_records: sum(|lane| &lane.chunk_records),
            chunk_bytes: sum(|lane| &lane.chunk_bytes),
            queue_ms: sum(|lane| &lane.queue_ms),
            append_ms: sum(|lane| &lane.append_ms),
            errors: sum(|lane| &lane.errors),
            dropped: sum(|lane| &lane.dropped),
            metadata_wait_ns: lanes.iter().map(|lane| lane.metadata_wait_ns).sum(),
            memory_wait_ns: sum(|lane| &lane.memory_wait_ns),
            exhausted: sum(|lane| &lane.exhausted),
            refused: sum(|lane| &lane.refused),
        }
    }
}

impl Shared {
    /// Counts records that got into no batch after their chunk was counted.
    pub(super) fn count_ended(&self, now: Instant, ended: &[Ended]) {
        let (errors, dropped) = tally(ended);
        self.lock().counters.add_ended(now, errors, dropped);
    }

    /// Counts records of a direct lane that got into no batch.
    pub(super) fn count_failed(&self, count: usize) {
        self.lock().counters.add_ended(self.clock.now(), count, 0);
    }

    /// The counters at this time.
    pub(crate) fn counts(&self, now: Instant) -> LaneCounts {
        let waiting = self.lock_waiting();
        let state = self.lock();
        let (waits, chunks) = (&waiting.counters, &state.counters);
        LaneCounts {
            memory_total: self.memory.total(),
            memory_available: self.memory.available(),
            waiting: self.waiting_count(),
            staged: state.staged_bytes(),
            appended: self.appended(),
            chunk_records: chunks.records.measure(now),
            chunk_bytes: chunks.bytes.measure(now),
            queue_ms: chunks.queue_ms.measure(now),
            append_ms: chunks.append_ms.measure(now),
            errors: chunks.errors.measure(now),
            dropped: chunks.dropped.measure(now),
            metadata_wait_ns: waits.metadata_ns,
            memory_wait_ns: waits.memory_ns.measure(now),
            exhausted: waits.exhausted.measure(now),
            refused: waits.errors.measure(now),
        }
    }
}
