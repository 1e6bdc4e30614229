//! Deadlines in order, so that what waits costs nothing until its time comes.

use super::time::Instant;
use std::collections::{BTreeMap, BTreeSet};

/// Whose deadline it is. Each has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// A partition's linger or backoff.
    Partition(u32),
    /// A partition's oldest batch's expiry, or earlier: see [`Timers::no_later`].
    Expiry(u32),
    /// A node's reconnect, connection set-up, request timeout or throttle, whichever is first.
    Node(i32),
    /// The next metadata request.
    Metadata,
    /// The end of the patience with the known brokers.
    Rebootstrap,
    /// The next attempt to get a producer id.
    ProducerId,
    /// The next attempt to ask a coordinator, or the end of a caller's patience.
    Transaction,
}

#[derive(Debug, Default)]
pub(super) struct Timers {
    in_order: BTreeSet<(Instant, Timer)>,
    /// By their number: partitions have them set for every batch.
    partitions: Vec<Option<Instant>>,
    expiries: Vec<Option<Instant>>,
    others: BTreeMap<Timer, Instant>,
}

impl Timers {
    pub(super) fn set(&mut self, timer: Timer, at: Option<Instant>) {
        let before = self.replace(timer, at);
        if before == at {
            return;
        }
        if let Some(before) = before {
            self.in_order.remove(&(before, timer));
        }
        if let Some(at) = at {
            self.in_order.insert((at, timer));
        }
    }

    /// Sets it to `at` if it would come later, or not at all. If it comes too early, whoever it wakes sets it again: that
    /// is cheaper than moving it with every batch, of which few ever expire.
    pub(super) fn no_later(&mut self, timer: Timer, at: Instant) {
        if self.at(timer).is_none_or(|set| set > at) {
            self.set(timer, Some(at));
        }
    }

    fn at(&self, timer: Timer) -> Option<Instant> {
        match timer {
            Timer::Partition(id) => self.partitions.get(id as usize).copied().flatten(),
            Timer::Expiry(id) => self.expiries.get(id as usize).copied().flatten(),
            _ => self.others.get(&timer).copied(),
        }
    }

    fn replace(&mut self, timer: Timer, at: Option<Instant>) -> Option<Instant> {
        let (by_number, id) = match timer {
            Timer::Partition(id) => (&mut self.partitions, id as usize),
            Timer::Expiry(id) => (&mut self.expiries, id as usize),
            _ => {
                return match at {
                    Some(at) => self.others.insert(timer, at),
                    None => self.others.remove(&timer),
                };
            }
        };
        if id >= by_number.len() {
            by_number.resize(id + 1, None);
        }
        std::mem::replace(&mut by_number[id], at)
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.in_order.first().map(|(at, _)| *at)
    }

    /// Takes out one timer that is due.
    pub(super) fn pop(&mut self, now: Instant) -> Option<Timer> {
        let &(at, timer) = self.in_order.first()?;
        if at > now {
            return None;
        }
        self.in_order.pop_first();
        self.replace(timer, None);
        Some(timer)
    }
}
