//! One chain of plugins in the place of another, between two chunks.

use super::Worker;
use crate::lane::staging::Swap;
use crate::plugin::Chain;
use crate::sabotage::{self, Sabotage};
use std::sync::Arc;

impl Worker {
    /// Another chain is to come, as soon as may be.
    pub(super) fn replace_by(&mut self, swap: Swap) {
        if let Some(mut overtaken) = self.next.replace(swap) {
            overtaken.chain.close();
        }
    }

    /// Takes the chain that is to come. No record goes through half of each: while some are aside, which have been through
    /// the interceptors of this one, it stays.
    pub(super) fn swap(&mut self) {
        if self.next.is_none() || !(self.aside.is_empty() || sabotage::is_on(Sabotage::SwapOverAside)) {
            return;
        }
        let Some(Swap { mut chain, stays, taken }) = self.next.take() else { return };
        chain.keep(&mut self.chain, &|plugin| stays.contains(plugin));
        // Outcomes that are under way are told to the interceptors that there are then, each with the tags that one of its
        // name has left.
        self.pending.pass_on_tags(&interceptors(&self.chain), &interceptors(&chain));
        // The partitioner has to hear of its topics.
        self.told.clear();
        self.told_partitions.clear();
        let mut before = std::mem::replace(&mut self.chain, chain);
        before.close();
        taken();
    }
}

fn interceptors(chain: &Chain) -> Vec<Arc<str>> {
    chain.interceptors.iter().map(|used| Arc::clone(&used.plugin)).collect()
}
