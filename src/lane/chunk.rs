//! Records that were staged together and go through the chain together.

use super::UserCallback;
use super::callbacks::Callbacks;
use super::delivery::{Ticket, Unplaced};
use crate::core::Permit;
use crate::core::time::Instant;
use crate::plugin::Records;
use crate::record::Record;
use std::sync::Arc;

/// Most records of a chunk, and so of a plugin's call.
pub(super) const RECORDS_MAX: usize = 1024;
/// Most bytes of a chunk; one larger record goes alone.
pub(super) const BYTES_MAX: usize = 256 * 1024;

/// Staged records, in the order of their sends.
pub(super) struct Chunk {
    pub(super) records: Records,
    /// When the first was accepted; the deadline of all of them counts from there.
    pub(super) accepted: Instant,
    pub(super) deliveries: Unplaced,
    pub(super) callbacks: Callbacks,
    /// What the records cost while they are staged.
    pub(super) permit: Permit,
    pub(super) bytes: usize,
}

impl Chunk {
    pub(super) fn has_room_for(&self, bytes: usize) -> bool {
        self.records.is_empty() || (self.records.len() < RECORDS_MAX && self.bytes + bytes <= BYTES_MAX)
    }

    /// Stages a record whose memory was taken, and says where.
    pub(super) fn push(
        &mut self,
        topic: &Arc<str>,
        record: &Record<'_>,
        timestamp: i64,
        bytes: usize,
        callback: Option<UserCallback>,
    ) -> (Ticket, u32) {
        let slot = self.records.len() as u32;
        let headers = record.headers.iter().map(|header| (header.name.as_bytes(), header.value));
        self.records.push(topic, record.partition, timestamp, record.key, record.value, headers);
        self.permit.adopt_more(bytes);
        self.bytes += bytes;
        if let Some(callback) = callback {
            self.callbacks.push(slot, callback);
        }
        (self.deliveries.ticket(), slot)
    }
}

/// What a record is charged while it is staged: its bytes, and a fixed part for its places in columns and tickets.
pub(super) fn staged_size(record: &Record<'_>) -> usize {
    let headers: usize =
        record.headers.iter().map(|header| 8 + header.name.len() + header.value.map_or(0, <[u8]>::len)).sum();
    100 + record.key.map_or(0, <[u8]>::len) + record.value.map_or(0, <[u8]>::len) + headers
}
