//! Deadlines in order, so that what waits costs nothing until its time comes.

use super::time::Instant;
use std::collections::{BTreeMap, BTreeSet};

/// Whose deadline it is. Each has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// A partition's linger, backoff or oldest batch's expiry, whichever is first.
    Partition(u32),
    /// A node's reconnect, connection set-up, request timeout or throttle, whichever is first.
    Node(i32),
    /// The next metadata request.
    Metadata,
    /// The end of the patience with the known brokers.
    Rebootstrap,
    /// The next attempt to get a producer id.
    ProducerId,
}

#[derive(Debug, Default)]
pub(super) struct Timers {
    in_order: BTreeSet<(Instant, Timer)>,
    by_owner: BTreeMap<Timer, Instant>,
}

impl Timers {
    pub(super) fn set(&mut self, timer: Timer, at: Option<Instant>) {
        let before = match at {
            Some(at) => self.by_owner.insert(timer, at),
            None => self.by_owner.remove(&timer),
        };
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
        self.by_owner.remove(&timer);
        Some(timer)
    }
}
