//! What the host keeps for one instance: the data of its store.

use super::deadline::Deadline;
use super::memory::Memory;
use super::metrics::Registry;
use super::output::{LogGate, Output};
use std::sync::Arc;

/// The data of a store.
pub(super) struct State {
    pub(super) identity: Arc<Identity>,
    pub(super) lane: u32,
    pub(super) memory: Memory,
    pub(super) deadline: Deadline,
    pub(super) output: Output,
    pub(super) random: Random,
    points: Vec<(u32, f64)>,
    points_overflow: u64,
}

/// What all instances of a plugin share with its host functions.
pub(super) struct Identity {
    pub(super) plugin_name: String,
    pub(super) client_id: String,
    pub(super) log: LogGate,
    pub(super) metrics: Registry,
}

/// Random bytes from the system, fetched in runs: plugins draw eight at a time.
pub(super) struct Random {
    bytes: [u8; 256],
    used: usize,
}

impl State {
    pub(super) fn new(identity: Arc<Identity>, lane: u32, memory_max: u64) -> State {
        State {
            identity,
            lane,
            memory: Memory::new(memory_max),
            deadline: Deadline::new(),
            output: Output::new(),
            random: Random { bytes: [0; 256], used: 256 },
            points: Vec::new(),
            points_overflow: 0,
        }
    }

    /// Observed during the call that runs; counts once the call has ended well.
    pub(super) fn observe(&mut self, points: Vec<(u32, f64)>) {
        let room = CALL_POINTS_MAX.saturating_sub(self.points.len());
        self.points_overflow += points.len().saturating_sub(room) as u64;
        self.points.extend(points.into_iter().take(room));
    }

    /// The call ended well: its lines and numbers stand.
    pub(super) fn call_ended(&mut self) {
        self.output.release(&self.identity.log, self.lane);
        if !self.points.is_empty() || self.points_overflow > 0 {
            self.identity.metrics.observe(&self.points, std::mem::take(&mut self.points_overflow));
            self.points.clear();
        }
    }

    /// The call failed: its numbers are forgotten. Returns its last words.
    pub(super) fn call_failed(&mut self) -> Option<String> {
        self.points.clear();
        self.points_overflow = 0;
        self.output.discard(&self.identity.log, self.lane)
    }
}

impl Random {
    /// # Errors
    /// The system has none.
    pub(super) fn fill(&mut self, mut out: &mut [u8]) -> wasmtime::Result<()> {
        while !out.is_empty() {
            if self.used == self.bytes.len() {
                getrandom::fill(&mut self.bytes)
                    .map_err(|cause| wasmtime::Error::msg(format!("no random bytes from the system: {cause}")))?;
                self.used = 0;
            }
            let count = out.len().min(self.bytes.len() - self.used);
            let (head, rest) = out.split_at_mut(count);
            head.copy_from_slice(&self.bytes[self.used..self.used + count]);
            self.used += count;
            out = rest;
        }
        Ok(())
    }

    pub(super) fn number(&mut self) -> wasmtime::Result<u64> {
        let mut bytes = [0; 8];
        self.fill(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }
}

/// Points that one call may observe.
const CALL_POINTS_MAX: usize = 4096;
