//! A lane: where records are staged, run through the plugins, and appended to the core in the order of their sends.
//!
//! `send` copies a record into the lane's open chunk under a short lock. One thread per lane takes chunk after chunk,
//! runs the plugin chain over it as one batch of columns and appends the result; while it works, the next chunk
//! gathers. Acknowledgements come back through the same thread, so an instance is never called from two.
//!
//! A producer has several for two reasons, see [`lanes`]: more threads for plugins, and chains of some topics' own.
//!
//! Not obvious:
//! - The lane never waits. What cannot be staged at once waits in [`waiting`], outside, in the order of the sends.
//! - A record whose topic is not known after the interceptors, and a dead letter whose topic is not, are set aside until it
//!   is, and what comes later for that topic behind them; the lane goes on.
//! - Memory is taken at `send` and held by the chunk until its records are in batches, which hold their own.
//! - A batch may hold records of several lanes: its outcome passes all of them before it is told, see [`together`].
//! - A lane without plugins has nothing to do: the sender appends its record itself, see [`direct`].
//! - Lock order: waiting, staging, core; the lane's thread holds at most one of them, and none in a hook.
//! - What is the user's, callbacks and wakers, is called and dropped without any of them: it may send, close, or own the
//!   last clone of the producer.

mod acknowledge;
mod append;
mod aside;
mod callbacks;
mod chunk;
mod counters;
mod delivery;
mod delivery_thread;
mod direct;
mod lanes;
mod letters;
mod lookup;
mod passage;
mod staging;
mod stepped;
mod submit;
#[cfg(test)]
mod tests;
mod together;
mod waiting;
mod wall_clock;
mod worker;

pub(crate) use counters::LaneCounts;
pub use delivery::Delivery;
pub(crate) use delivery::waker_of_this_thread;
pub(crate) use delivery_thread::DeliveryThread;
pub(crate) use lanes::Lanes;
pub(crate) use lookup::{Looked, Lookup};
#[cfg(test)]
pub(crate) use staging::{AckItem, Shared};
pub(crate) use staging::{LaneConfig, Surroundings};
pub use stepped::{InLine, Sent, SteppedLanes, SteppedOptions};
pub(crate) use submit::Submitted;
pub(crate) use waiting::Waiter;
pub(crate) use worker::start;

use crate::error::ProduceError;
use crate::record_metadata::RecordMetadata;

/// Called with the fate of a record.
pub(crate) type UserCallback = Box<dyn FnOnce(Result<RecordMetadata, ProduceError>) + Send>;
