//! Brokers as the sender sees them: an address, a connection or the wait for one, and the requests on it.

use super::batch::Order;
use super::counters::Sampled;
use super::id_set::IdSet;
use super::io::{ConnectionId, NodeId};
use super::time::Instant;
use super::transactions::Step;
use crate::protocol::messages::{ApiVersions, ProduceRequest};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

#[derive(Debug)]
pub(super) struct Node {
    pub(super) id: NodeId,
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) rack: Option<String>,
    pub(super) link: Link,
    /// Connection attempts and connections that failed since the last answer.
    pub(super) failures: u32,
    pub(super) last_cause: Option<String>,
    /// Why the last attempt was in vain, if it and we do not believe each other.
    pub(super) refusal: Option<Arc<str>>,
    /// Partitions led by this node that have something to send.
    pub(super) ready: IdSet,
    /// Those whose open batch could go out, but lingers.
    pub(super) lingering: IdSet,
    /// Since when one was ready, without a turn of this node since.
    pub(super) waiting_since: Option<Instant>,
    /// Where the next request begins, so that every partition has its turn.
    pub(super) cursor: u32,
    /// Milliseconds from each Produce request to its answer.
    pub(super) latency_ms: Option<Box<Sampled>>,
}

#[derive(Debug)]
pub(super) enum Link {
    /// No connection, and none wanted.
    Idle,
    /// Not before that time.
    Backoff(Instant),
    Connecting(ConnectionId),
    Up(Connection),
}

#[derive(Debug)]
pub(super) struct Connection {
    pub(super) id: ConnectionId,
    pub(super) versions: ApiVersions,
    pub(super) in_flight: VecDeque<InFlightRequest>,
    pub(super) throttled_until: Option<Instant>,
    pub(super) last_used: Instant,
    pub(super) next_correlation_id: i32,
}

#[derive(Debug)]
pub(super) struct InFlightRequest {
    pub(super) correlation_id: i32,
    pub(super) sent: Instant,
    pub(super) deadline: Instant,
    pub(super) kind: RequestKind,
}

#[derive(Debug)]
pub(super) enum RequestKind {
    Metadata,
    InitProducerId,
    /// Of a coordinator.
    Transaction(Step),
    /// The partition and order of each batch.
    Produce(Vec<(u32, Order)>),
}

impl RequestKind {
    pub(super) fn name(&self) -> &'static str {
        match self {
            RequestKind::Metadata => "Metadata",
            RequestKind::InitProducerId => "InitProducerId",
            RequestKind::Transaction(step) => step.name(),
            RequestKind::Produce(_) => "Produce",
        }
    }
}

impl Node {
    pub(super) fn new(id: NodeId, host: String, port: u16) -> Node {
        Node {
            id,
            host,
            port,
            rack: None,
            link: Link::Idle,
            failures: 0,
            last_cause: None,
            refusal: None,
            ready: IdSet::default(),
            lingering: IdSet::default(),
            waiting_since: None,
            cursor: 0,
            latency_ms: None,
        }
    }

    pub(super) fn connection(&self) -> Option<&Connection> {
        match &self.link {
            Link::Up(connection) => Some(connection),
            _ => None,
        }
    }

    pub(super) fn connection_mut(&mut self) -> Option<&mut Connection> {
        match &mut self.link {
            Link::Up(connection) => Some(connection),
            _ => None,
        }
    }

    /// A partition has something to send.
    pub(super) fn add_ready(&mut self, now: Instant, partition: u32) {
        self.waiting_since.get_or_insert(now);
        self.ready.insert(partition);
    }

    /// It had the chance to take a request: whoever is still ready waits from now on.
    pub(super) fn had_its_turn(&mut self, now: Instant) {
        self.waiting_since = (!self.ready.is_empty()).then_some(now);
    }

    /// Whether partitions have been ready for longer than `patience` and it could take no request. (That none is
    /// ready for a moment, as while a batch is sealed, is no turn: the time goes on.)
    pub(super) fn is_late(&self, now: Instant, patience: Duration) -> bool {
        !self.ready.is_empty() && self.waiting_since.is_some_and(|since| now.saturating_since(since) > patience)
    }

    /// Ready partitions, beginning after the one that was served last.
    pub(super) fn in_turn(&self) -> impl Iterator<Item = u32> {
        self.ready.iter_from(self.cursor)
    }
}

impl Connection {
    /// Whether one more request may go out now.
    pub(super) fn has_room(&self, now: Instant, max_in_flight: usize) -> bool {
        self.in_flight.len() < max_in_flight && self.throttled_until.is_none_or(|until| until <= now)
    }
}

/// A Produce request being put together.
#[derive(Debug)]
pub(super) struct Gathered {
    pub(super) request: ProduceRequest,
    pub(super) batches: Vec<(u32, Order)>,
}
