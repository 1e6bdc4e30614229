//! One chain of plugins in the place of another, between two chunks.

use super::{InUse, Worker};
use crate::lane::staging::Swap;
use crate::plugin::Chain;
use crate::sabotage::{self, Sabotage};
use std::sync::Arc;

impl Worker {
    /// What comes goes through another chain from now on. What is aside has been through half of this one, and goes on with
    /// that: no record goes through half of each.
    pub(super) fn swap(&mut self, Swap { mut chain, stays, taken }: Swap) {
        let is_told = chain.keep(&mut self.now.chain, &stays);
        // Outcomes that are under way are told to the interceptors that there are then, each with the tags that one of its
        // name has left.
        let (before, after) = (interceptors(&self.now.chain), interceptors(&chain));
        let under_way = self.pending.tags().chain(self.aside.passages().map(|passage| &mut passage.tags));
        for tags in under_way {
            let mut left = std::mem::take(tags);
            let of = |name| {
                let at = before.iter().position(|other| other == name)?;
                left.get_mut(at).map(std::mem::take)
            };
            *tags = after.iter().map(of).map(Option::unwrap_or_default).collect();
        }
        let mut next = InUse::new(chain);
        if is_told {
            // What stays with the chain before has heard of no topic.
            next.told = std::mem::take(&mut self.now.told);
            next.told_partitions = std::mem::take(&mut self.now.told_partitions);
        }
        self.before.push((self.generation, std::mem::replace(&mut self.now, next)));
        self.generation += 1;
        taken();
    }

    /// Puts what was used by that number into the place of what is used now, and the other way round, if it is another.
    pub(super) fn exchange(&mut self, generation: u64) {
        let before = self.before.iter_mut().find(|(number, _)| *number == generation);
        if let Some((_, before)) = before.filter(|_| !sabotage::is_on(Sabotage::SwapOverAside)) {
            std::mem::swap(&mut self.now, before);
        }
    }

    /// Closes the chains that nothing will go through any more.
    pub(super) fn retire(&mut self) {
        if self.before.is_empty() {
            return;
        }
        let Worker { before, aside, .. } = self;
        before.retain_mut(|(number, before)| {
            let is_needed = aside.passages().any(|passage| passage.generation == *number);
            if !is_needed {
                before.chain.close();
            }
            is_needed
        });
    }
}

fn interceptors(chain: &Chain) -> Vec<Arc<str>> {
    chain.interceptors.iter().map(|used| Arc::clone(&used.plugin)).collect()
}
