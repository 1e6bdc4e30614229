//! A broker and this client do not believe each other (TLS, SASL): what waits for it fails at once, with that cause.
//!
//! The producer itself lives on and tries again, with the backoff of its connections: credentials are mended while
//! producers run, and one broker that has not yet heard of new ones must not stop the others.

use super::Core;
use super::completion::Outcome;
use super::io::{Action, ConnectionId, NodeId};
use super::node::Link;
use super::partition::Slot;
use super::time::Instant;
use crate::error::{Fate, ProduceError};
use std::sync::Arc;

impl Core {
    /// As [`Core::handle_disconnected`], where trying again with the same credentials is in vain.
    pub fn handle_refused(&mut self, now: Instant, connection: ConnectionId, cause: String) {
        let Some(id) = self.connections.remove(&connection) else { return };
        let reason: Arc<str> = cause.as_str().into();
        self.lose_connection(now, id, cause);
        if let Some(node) = self.nodes.get_mut(&id) {
            node.refusal = Some(Arc::clone(&reason));
        }
        for partition in self.active.iter().collect::<Vec<_>>() {
            if self.partitions[partition as usize].leader == Some(id) {
                self.fail_queue(now, partition, |topic, index, fate| ProduceError::Authentication {
                    topic: Some(topic),
                    partition: Some(index),
                    reason: Arc::clone(&reason),
                    fate,
                });
            }
        }
        self.fail_lookups(now);
        self.want_metadata(now);
        self.drive_links(now);
    }

    /// Without a producer id nothing can be sent, to no topic. Like a refused login it may be mended at any time.
    pub(super) fn fail_without_producer_id(&mut self, now: Instant, code: i16) {
        let config = self.config.clone();
        for partition in self.active.iter().collect::<Vec<_>>() {
            self.fail_queue(now, partition, |_, _, fate| config.cluster_not_authorized(code, fate));
        }
    }

    /// Fails what is not in flight. The error is given topic, partition and fate.
    pub(super) fn fail_queue(&mut self, now: Instant, id: u32, error: impl Fn(Arc<str>, i32, Fate) -> ProduceError) {
        let partition = &mut self.partitions[id as usize];
        let (topic, index) = (Arc::clone(&self.topics[partition.topic].name), partition.index);
        let failed: Vec<_> = std::mem::take(&mut partition.queue).into_iter().map(Slot::into_info).collect();
        for info in &failed {
            if let Some(sequence) = info.sequence {
                partition.sequences.leave_hole(info.order, sequence, !info.maybe_written);
            }
        }
        partition.oldest = None;
        self.active.remove(id);
        for info in failed {
            let error = error(Arc::clone(&topic), index, info.fate());
            self.end(now, info, Outcome::Failed(error));
        }
        self.schedule(now, id);
    }

    /// Who waits for a topic's metadata has heard enough if no broker is left to ask and one of them refused.
    pub(super) fn fail_lookups(&mut self, now: Instant) {
        let may_answer = |id: &NodeId, link: &Link| match link {
            Link::Up(_) | Link::Connecting(_) => true,
            Link::Idle => self.may_be_asked(*id),
            Link::Backoff(until) => *until <= now && self.may_be_asked(*id),
        };
        if self.nodes.values().any(|node| may_answer(&node.id, &node.link)) {
            return;
        }
        let Some(reason) = self.nodes.values().rev().find_map(|node| node.refusal.clone()) else { return };
        for topic in &mut self.topics {
            if topic.partitions.is_empty() && topic.take_wanted() {
                let name = Arc::clone(&topic.name);
                let outcome = Err(ProduceError::Authentication {
                    topic: Some(Arc::clone(&name)),
                    partition: None,
                    reason: Arc::clone(&reason),
                    fate: Fate::NotWritten,
                });
                self.actions.push_back(Action::Topic { name, outcome });
            }
        }
    }
}
