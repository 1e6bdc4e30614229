//! The producer without I/O: accumulator, partition queues, sender, sequences, metadata.
//!
//! Nothing here opens a socket, reads a clock, spawns, waits or draws a random number: time and a seed are arguments,
//! and a run with the same arguments is the same to the letter. The shape is that of quinn-proto:
//!
//! 1. commands ([`Core::append`], [`Core::flush`], …) and `handle_*` take what happened and the time;
//! 2. then the shell drains [`Core::poll_action`], [`Core::poll_seal`] and [`Core::poll_transmit`] until each is `None`;
//! 3. and calls [`Core::handle_timeout`] when [`Core::poll_timeout`] is reached, and goes back to 2.
//!
//! The time of a call is never before that of an earlier one.

mod completion;
mod io;
pub mod time;

pub use completion::{Callback, Completion, Done, Outcome, Run};
pub use io::{Action, ConnectionId, NodeId, Transmit};
