//! What the core asks of the shell around it.

use super::completion::Done;
use crate::error::ProduceError;
use crate::protocol::messages::Request;
use crate::transaction::TransactionError;
use std::sync::Arc;

/// One attempt to talk to a broker. A number is never used twice, so that a late word from an old connection is
/// recognized and ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub(super) u64);

/// A broker: its node id, or a negative number for an address from `bootstrap.servers`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub i32);

/// A call about transactions that has an end of its own, which is told once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TransactionCall(pub(super) u64);

/// Something for the shell to do or to pass on, from [`super::Core::poll_action`].
#[derive(Debug)]
pub enum Action {
    /// Connect, learn the broker's API versions, then call `handle_connected` or `handle_disconnected`.
    Connect {
        /// Names the attempt from here on.
        connection: ConnectionId,
        /// Whom it is for; for logs.
        node: NodeId,
        /// Name or address.
        host: String,
        /// TCP port.
        port: u16,
    },
    /// Close a connection at once; the core has already given up on it and wants to hear nothing more of it.
    Disconnect {
        /// Which.
        connection: ConnectionId,
        /// For the log.
        reason: String,
        /// Nothing is wrong: it was idle for long.
        idle: bool,
    },
    /// Records' fates are known.
    Done(Done),
    /// A topic that was asked for became usable (`Ok`), or cannot be used.
    Topic {
        /// Its name.
        name: Arc<str>,
        /// Why it cannot be used.
        outcome: Result<(), ProduceError>,
    },
    /// A topic that is in use has more partitions than before, or fewer, or other leaders.
    Topology {
        /// Its name.
        name: Arc<str>,
        /// How many partitions it has now.
        partitions: usize,
    },
    /// A call about transactions has come to its end.
    Transaction {
        /// Which.
        call: TransactionCall,
        /// How.
        outcome: Result<(), TransactionError>,
    },
    /// A call about transactions goes on, after `max.block.ms`.
    TransactionLate {
        /// Which.
        call: TransactionCall,
        /// [`TransactionError::Timeout`].
        error: TransactionError,
    },
    /// Every record that was appended before the flush of this number is done.
    Flushed(u64),
}

/// A request to send, from [`super::Core::poll_transmit`].
#[derive(Debug)]
pub struct Transmit {
    /// On which connection; requests of one connection go out in the order in which they were polled.
    pub connection: ConnectionId,
    /// Comes back with the response.
    pub correlation_id: i32,
    /// Which version of the API to encode.
    pub api_version: i16,
    /// The request.
    pub request: Request,
    /// Whether the broker answers. With acks=0 it does not: call `handle_written` when the bytes are with the socket.
    pub expects_response: bool,
}
