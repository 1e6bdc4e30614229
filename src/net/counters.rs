//! What the driver counts: bytes as the sockets see them, which the core does not, and connections.
//!
//! Behind a lock of its own, taken per request and answer and never together with the core's.

use crate::core::time::Instant;
use crate::core::{Measured, NodeId, Sampled, Windows};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Counters of one driver.
#[derive(Debug)]
pub struct NetCounters {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    windows: Windows,
    /// Connections that are up.
    connections: usize,
    created: Sampled,
    closed: Sampled,
    all: Traffic,
    nodes: BTreeMap<NodeId, Traffic>,
}

#[derive(Debug)]
struct Traffic {
    /// Bytes of each request, its length included.
    sent: Sampled,
    /// Bytes of each answer, its length left out, as Java counts.
    received: Sampled,
}

/// The counters as they stood at one time. The handshake of a connection is not counted.
#[derive(Clone, Debug)]
pub struct NetCounts {
    /// Connections that are up.
    pub connections: usize,
    /// Connections that came up.
    pub created: Measured,
    /// Connections that ended after they were up.
    pub closed: Measured,
    /// Of all brokers.
    pub all: TrafficCounts,
    /// By broker.
    pub nodes: Vec<(NodeId, TrafficCounts)>,
}

/// Requests and answers.
#[derive(Clone, Copy, Debug)]
pub struct TrafficCounts {
    /// Bytes of each request.
    pub sent: Measured,
    /// Bytes of each answer.
    pub received: Measured,
}

impl Traffic {
    fn new(windows: Windows) -> Traffic {
        Traffic { sent: Sampled::new(windows), received: Sampled::new(windows) }
    }

    fn measure(&self, now: Instant) -> TrafficCounts {
        TrafficCounts { sent: self.sent.measure(now), received: self.received.measure(now) }
    }
}

impl State {
    fn node(&mut self, node: NodeId) -> &mut Traffic {
        let windows = self.windows;
        self.nodes.entry(node).or_insert_with(|| Traffic::new(windows))
    }
}

impl NetCounters {
    pub(super) fn new(windows: Windows) -> NetCounters {
        let state = State {
            windows,
            connections: 0,
            created: Sampled::new(windows),
            closed: Sampled::new(windows),
            all: Traffic::new(windows),
            nodes: BTreeMap::new(),
        };
        NetCounters { state: Mutex::new(state) }
    }

    pub(super) fn connected(&self, now: Instant) {
        let mut state = self.lock();
        state.connections += 1;
        state.created.add(now, 1.0);
    }

    pub(super) fn disconnected(&self, now: Instant) {
        let mut state = self.lock();
        state.connections = state.connections.saturating_sub(1);
        state.closed.add(now, 1.0);
    }

    pub(super) fn sent(&self, now: Instant, node: NodeId, bytes: usize) {
        let mut state = self.lock();
        state.all.sent.add(now, bytes as f64);
        state.node(node).sent.add(now, bytes as f64);
    }

    pub(super) fn received(&self, now: Instant, node: NodeId, bytes: usize) {
        let mut state = self.lock();
        state.all.received.add(now, bytes as f64);
        state.node(node).received.add(now, bytes as f64);
    }

    /// The counters at this time.
    pub fn counts(&self, now: Instant) -> NetCounts {
        let state = self.lock();
        NetCounts {
            connections: state.connections,
            created: state.created.measure(now),
            closed: state.closed.measure(now),
            all: state.all.measure(now),
            nodes: state.nodes.iter().map(|(&node, traffic)| (node, traffic.measure(now))).collect(),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
