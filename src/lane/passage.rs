//! Records on their way from the interceptors into batches, with all that belongs to them.

use super::callbacks::Callbacks;
use super::delivery::{Moved, Placed, Unplaced};
use super::letters::Origins;
use crate::core::time::Instant;
use crate::core::{MemoryPool, Permit};
use crate::error::ProduceError;
use crate::plugin::{End, Ended, Records, Tags};
use std::sync::Arc;

/// A chunk's records after the interceptors, or some of them.
pub(super) struct Passage {
    pub(super) records: Records,
    /// How many deliveries it began with: slots are below that.
    pub(super) slots: usize,
    /// When its first record was accepted; the deadline of all of them counts from there.
    pub(super) accepted: Instant,
    pub(super) deliveries: Unplaced,
    pub(super) callbacks: Callbacks,
    pub(super) permit: Permit,
    pub(super) tags: Tags,
    /// What the records are letters about, by slot; empty where they are no letters.
    pub(super) origins: Origins,
    /// Its number among those that were set aside, kept by what is made of it later.
    pub(super) aside: Option<u64>,
    /// The number of the chain that it goes through.
    pub(super) generation: u64,
}

impl Passage {
    /// Takes out the records of these ascending indexes: their deliveries are in `placed` as moved. What it holds of
    /// memory is booked anew.
    pub(super) fn split_off(&mut self, indexes: &[u32], memory: &MemoryPool, placed: &mut Placed) -> Passage {
        let mut records = self.records.clone();
        records.retain(indexes);
        self.records.remove(indexes);
        let origins = std::mem::take(&mut self.origins);
        let moved = self.move_out(records, memory, placed, origins);
        // A passage of letters holds nothing else.
        debug_assert!(moved.origins.is_empty() || self.records.is_empty());
        moved
    }

    /// Makes a passage of its own of records whose slots are this one's.
    pub(super) fn move_out(
        &mut self,
        mut records: Records,
        memory: &MemoryPool,
        placed: &mut Placed,
        mut origins: Origins,
    ) -> Passage {
        let slots = std::mem::take(&mut records.slots);
        records.slots = (0..slots.len() as u32).collect();
        let mut deliveries = Unplaced::like(&self.deliveries);
        let mut callbacks = self.callbacks.like();
        let mut moved_origins = Origins::new();
        let mut tags: Tags = self.tags.iter().map(|_| Vec::new()).collect();
        self.callbacks.rewind();
        for (new, &old) in (0..).zip(&slots) {
            placed.moved(old, Moved { tickets: deliveries.ticket(), slot: new });
            if let Some(callback) = self.callbacks.take(old) {
                callbacks.push(new, callback);
            }
            if let Some(origin) = origins.remove(&old) {
                moved_origins.insert(new, origin);
            }
            for (of_new, of_old) in tags.iter_mut().zip(&self.tags) {
                of_new.extend(of_old.get(old as usize));
            }
        }
        Passage {
            permit: memory.take(records.staged_bytes()),
            slots: records.len(),
            records,
            accepted: self.accepted,
            deliveries,
            callbacks,
            tags,
            origins: moved_origins,
            aside: self.aside,
            generation: self.generation,
        }
    }

    /// Everything that is left in it, as ended by `error`.
    pub(super) fn end_all(&mut self, error: &ProduceError) -> Vec<Ended> {
        let every: Vec<u32> = (0..self.records.len() as u32).collect();
        let ended = every.iter().map(|&at| self.ended(at as usize, error.clone())).collect();
        self.records.clear();
        ended
    }

    /// A record of it that ended so; a letter's end is that of the record that it is about.
    pub(super) fn ended(&self, at: usize, error: ProduceError) -> Ended {
        let records = &self.records;
        let slot = records.slots[at];
        match self.origins.get(&slot) {
            Some(origin) => origin.ended(slot, error),
            None => {
                let topic = Arc::clone(&records.topics[records.topic_of[at] as usize]);
                let partition = records.partitions[at];
                let error = error.at(&topic, (partition >= 0).then_some(partition));
                Ended { slot, topic, partition, timestamp: records.timestamps[at], end: End::Failed(error) }
            }
        }
    }
}
