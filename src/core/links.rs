//! Which brokers to be connected to, and when to try again.

use super::Core;
use super::io::{Action, ConnectionId, NodeId};
use super::node::{Connection, InFlightRequest, Link, RequestKind};
use super::time::Instant;
use super::timers::Timer;
use crate::protocol::messages::ApiVersions;
use std::collections::VecDeque;

impl Core {
    /// Connects to the brokers that are needed: leaders of ready partitions, coordinators, and one to ask for metadata or
    /// a producer id.
    pub(super) fn drive_links(&mut self, now: Instant) {
        let needed: Vec<NodeId> = self
            .busy
            .iter()
            .copied()
            .chain(self.wanted_coordinator(now))
            .filter_map(|node| self.nodes.get(&node))
            .filter(|node| match node.link {
                Link::Idle => true,
                Link::Backoff(until) => until <= now,
                _ => false,
            })
            .map(|node| node.id)
            .collect();
        for node in needed {
            // A coordinator may lead a busy partition, too.
            if self.nodes.get(&node).is_some_and(|node| !matches!(node.link, Link::Connecting(_))) {
                self.connect(node);
            }
        }
        let someone = || self.nodes.values().any(|node| matches!(node.link, Link::Up(_) | Link::Connecting(_)));
        if (self.metadata_is_due(now) || self.wants_producer_id(now) || self.wants_coordinator(now))
            && !someone()
            && let Some(node) = self.next_candidate(now)
        {
            self.connect(node);
        }
    }

    fn connect(&mut self, id: NodeId) {
        let connection = ConnectionId(self.next_connection);
        self.next_connection += 1;
        self.connections.insert(connection, id);
        let Some(node) = self.nodes.get_mut(&id) else { return };
        node.link = Link::Connecting(connection);
        self.timers.set(Timer::Node(id.0), None);
        self.actions.push_back(Action::Connect { connection, node: id, host: node.host.clone(), port: node.port });
    }

    /// A connection is up, and the broker has said what it speaks.
    pub fn handle_connected(&mut self, now: Instant, connection: ConnectionId, versions: ApiVersions) {
        let Some(id) = self.connections.get(&connection).copied() else { return };
        let Some(node) = self.nodes.get_mut(&id) else { return };
        node.failures = 0;
        node.last_cause = None;
        node.refusal = None;
        node.link = Link::Up(Connection {
            id: connection,
            versions,
            in_flight: VecDeque::new(),
            throttled_until: None,
            last_used: now,
            next_correlation_id: 0,
        });
        self.set_node_timer(id);
    }

    /// A connection could not be made, or ended. Whatever was in flight on it may have been written.
    pub fn handle_disconnected(&mut self, now: Instant, connection: ConnectionId, cause: String) {
        if let Some(id) = self.connections.remove(&connection) {
            self.lose_connection(now, id, cause);
            self.fail_lookups(now);
            self.want_metadata(now);
            self.drive_links(now);
        }
    }

    /// Gives up on a node's connection.
    pub(super) fn drop_connection(&mut self, now: Instant, id: NodeId, reason: &str) {
        let Some(node) = self.nodes.get(&id) else { return };
        let connection = match &node.link {
            Link::Up(connection) => connection.id,
            Link::Connecting(connection) => *connection,
            Link::Idle | Link::Backoff(_) => return,
        };
        self.connections.remove(&connection);
        self.actions.push_back(Action::Disconnect { connection, reason: reason.to_owned(), idle: false });
        self.lose_connection(now, id, reason.to_owned());
        self.want_metadata(now);
    }

    pub(super) fn lose_connection(&mut self, now: Instant, id: NodeId, cause: String) {
        let Some(node) = self.nodes.get_mut(&id) else { return };
        node.failures += 1;
        let failures = node.failures;
        node.last_cause = Some(cause.clone());
        node.refusal = None;
        let link = std::mem::replace(&mut node.link, Link::Idle);
        let wait = self.reconnect_backoff().after(failures, &mut self.rng);
        if let Some(node) = self.nodes.get_mut(&id) {
            node.link = Link::Backoff(now + wait);
        }
        self.timers.set(Timer::Node(id.0), Some(now + wait));
        match link {
            Link::Up(connection) => {
                for request in connection.in_flight {
                    self.request_lost(now, request, &cause);
                }
            }
            _ => self.coordinator_unreachable(id, &cause),
        }
    }

    fn request_lost(&mut self, now: Instant, request: InFlightRequest, cause: &str) {
        match request.kind {
            RequestKind::Metadata => self.metadata_failed(now),
            RequestKind::InitProducerId => self.producer_id_failed(now),
            RequestKind::Transaction(step) => self.transaction_unanswered(now, &step, cause),
            RequestKind::Produce(batches) => {
                for (partition, order) in batches {
                    self.batch_unanswered(now, partition, order, cause);
                }
            }
        }
    }

    /// When the node has to be looked at again: a request times out, a throttle ends, or it was idle for long.
    pub(super) fn set_node_timer(&mut self, id: NodeId) {
        let Some(node) = self.nodes.get(&id) else { return };
        let at = match &node.link {
            Link::Idle | Link::Connecting(_) => None,
            Link::Backoff(until) => Some(*until),
            Link::Up(connection) => {
                let deadline = match connection.in_flight.front() {
                    Some(request) => request.deadline,
                    None => connection.last_used + self.config.connections_max_idle,
                };
                Some(connection.throttled_until.map_or(deadline, |until| until.min(deadline)))
            }
        };
        self.timers.set(Timer::Node(id.0), at);
    }

    pub(super) fn node_timer(&mut self, now: Instant, id: NodeId) {
        let Some(node) = self.nodes.get_mut(&id) else { return };
        match &mut node.link {
            Link::Backoff(until) if *until <= now => node.link = Link::Idle,
            Link::Up(connection) => {
                if connection.throttled_until.is_some_and(|until| until <= now) {
                    connection.throttled_until = None;
                }
                match connection.in_flight.front() {
                    Some(request) if request.deadline <= now => {
                        let name = request.kind.name();
                        let article = if name.starts_with(['A', 'E', 'I']) { "an" } else { "a" };
                        let reason = format!(
                            "{}:{} did not answer {article} {name} request within request.timeout.ms ({} ms)",
                            node.host,
                            node.port,
                            self.config.request_timeout.as_millis()
                        );
                        self.drop_connection(now, id, &reason);
                        return;
                    }
                    None if connection.last_used + self.config.connections_max_idle <= now => {
                        let connection = connection.id;
                        node.link = Link::Idle;
                        self.connections.remove(&connection);
                        let reason = "idle for connections.max.idle.ms".to_owned();
                        self.actions.push_back(Action::Disconnect { connection, reason, idle: true });
                        return;
                    }
                    _ => {}
                }
                self.set_node_timer(id);
            }
            _ => {}
        }
    }
}
