//! What the driver counts: bytes as the sockets see them, which the core does not, and connections.
//!
//! Behind a lock of its own, taken per request and answer and never together with the core's.

use crate::core::time::Instant;
use crate::core::{Measured, NodeId, Sampled, Windows};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

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
    authenticated: Sampled,
    authentication_failed: Sampled,
    reauthenticated_ms: Sampled,
    reauthentication_failed: Sampled,
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
    /// TLS handshakes and logins, taken together, that were well. Without either none is counted, as in Java.
    pub authenticated: Measured,
    /// Those where one side did not believe the other.
    pub authentication_failed: Measured,
    /// Logins that were renewed (KIP-368), in milliseconds.
    pub reauthenticated_ms: Measured,
    /// Those that the broker refused.
    pub reauthentication_failed: Measured,
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
            authenticated: Sampled::new(windows),
            authentication_failed: Sampled::new(windows),
            reauthenticated_ms: Sampled::new(windows),
            reauthentication_failed: Sampled::new(windows),
            all: Traffic::new(windows),
            nodes: BTreeMap::new(),
        };
        NetCounters { state: Mutex::new(state) }
    }

    pub(super) fn connected(&self, now: Instant, is_secured: bool) {
        let mut state = self.lock();
        state.connections += 1;
        state.created.add(now, 1.0);
        if is_secured {
            state.authenticated.add(now, 1.0);
        }
    }

    /// One side does not believe the other; `was_up` if the connection was in use.
    pub(super) fn refused(&self, now: Instant, was_up: bool) {
        let mut state = self.lock();
        let State { authentication_failed, reauthentication_failed, .. } = &mut *state;
        if was_up { reauthentication_failed.add(now, 1.0) } else { authentication_failed.add(now, 1.0) }
    }

    pub(super) fn logged_in_again(&self, now: Instant, took: Duration) {
        self.lock().reauthenticated_ms.add(now, took.as_secs_f64() * 1000.0);
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
            authenticated: state.authenticated.measure(now),
            authentication_failed: state.authentication_failed.measure(now),
            reauthenticated_ms: state.reauthenticated_ms.measure(now),
            reauthentication_failed: state.reauthentication_failed.measure(now),
            all: state.all.measure(now),
            nodes: state.nodes.iter().map(|(&node, traffic)| (node, traffic.measure(now))).collect(),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
