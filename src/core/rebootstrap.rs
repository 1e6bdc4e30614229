//! Starting again from `bootstrap.servers` when the known brokers are no help (KIP-899, KIP-1102).
//!
//! A single broker that cannot be reached is no reason: [`Core::next_candidate`] tries the others, and the bootstrap
//! servers among them. This is for a cluster whose addresses all belong to someone else by now, who may even answer.

use super::Core;
use super::io::NodeId;
use super::node::Link;
use super::time::Instant;
use super::timers::Timer;
use std::time::Duration;

/// A trigger of 0 is legal, and would leave no connection the time to come up.
const TRIGGER_MIN: Duration = Duration::from_millis(100);

impl Core {
    /// Metadata is due: from now on the patience with the known brokers runs.
    pub(super) fn tries_for_metadata(&mut self, now: Instant) {
        if let Some(trigger) = self.config.rebootstrap_trigger
            && self.refresh.trying_since.is_none()
        {
            self.refresh.trying_since = Some(now);
            self.timers.set(Timer::Rebootstrap, Some(now + trigger.max(TRIGGER_MIN)));
        }
    }

    /// Metadata came: the known brokers are good.
    pub(super) fn metadata_answered(&mut self) {
        self.refresh.trying_since = None;
        self.timers.set(Timer::Rebootstrap, None);
    }

    pub(super) fn rebootstrap_timer(&mut self, now: Instant) {
        self.refresh.trying_since = None;
        self.rebootstrap(now);
        self.tries_for_metadata(now);
    }

    /// A broker that knows better says so. With the strategy `none` that is an answer without content.
    pub(super) fn rebootstrap_required(&mut self, now: Instant) {
        match self.config.rebootstrap_trigger {
            Some(_) => self.rebootstrap(now),
            None => self.metadata_failed(now),
        }
        self.drive_links(now);
    }

    /// Whether a node may be asked for metadata: with the strategy `none`, bootstrap servers only until brokers are
    /// known.
    pub(super) fn may_be_asked(&self, node: NodeId) -> bool {
        self.config.rebootstrap_trigger.is_some()
            || node.0 >= 0
            || self.nodes.last_key_value().is_none_or(|(last, _)| last.0 < 0)
    }

    /// Forgets every broker but the bootstrap servers. Batches keep their places, and wait for new leaders.
    fn rebootstrap(&mut self, now: Instant) {
        let known: Vec<NodeId> = self.nodes.keys().copied().filter(|node| node.0 >= 0).collect();
        if known.is_empty() {
            return;
        }
        for &node in &known {
            self.drop_connection(now, node, "starting again from bootstrap.servers");
        }
        for at in 0..self.partitions.len() {
            let partition = &mut self.partitions[at];
            // Another cluster, or a restored one, counts its epochs anew.
            partition.leader_epoch = -1;
            if partition.leader.take().is_some() {
                self.schedule(now, at as u32);
            }
        }
        for node in known {
            self.nodes.remove(&node);
            self.timers.set(Timer::Node(node.0), None);
        }
        for node in self.nodes.values_mut() {
            node.failures = 0;
            if matches!(node.link, Link::Backoff(_)) {
                node.link = Link::Idle;
            }
        }
        self.refresh.failures = 0;
        self.want_metadata(now);
    }
}
