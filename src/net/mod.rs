//! The shell around [`crate::core`]: sockets, the driver's loop, the only clock. Nothing else names tokio.
//!
//! | file | what |
//! |---|---|
//! | `blocking` | whether a caller may block its thread |
//! | `clock` | time, read here only |
//! | `peer` | whom a connection is for, in the words of its errors |
//! | `connect` | from a name to a socket, every address in turn |
//! | `stream` | a connection's bytes, as they are or under TLS |
//! | `security`, `tls`, `sasl` | TLS and the login |
//! | `handshake` | the first request: which versions the broker speaks |
//! | `trouble` | why there is no connection: for now, or for good |
//! | `frames` | bytes as they come, cut into answers; what is not Kafka is named |
//! | `connection` | requests out and answers in, in order |
//! | `log_limit` | one line per broker and cause per interval |
//! | `counters` | requests, answers and connections, counted |
//! | `waker` | how other threads wake the driver |
//! | `machine` | the core as the driver sees it |
//! | `sealers` | threads that compress, beside the driver |
//! | `driver` | the thread that moves the core |
//! | `admin` | topics: asked for and created, once |

pub mod admin;
mod alarm;
mod blocking;
mod clock;
mod config;
mod connect;
mod connection;
mod counters;
mod driver;
mod frames;
mod handshake;
mod log_limit;
mod machine;
mod names;
mod peer;
mod sasl;
mod sealers;
mod security;
mod stream;
#[cfg(test)]
#[path = "tests/brokers.rs"]
mod test_brokers;
#[cfg(test)]
#[path = "tests/certificates.rs"]
mod test_certificates;
mod tls;
mod trouble;
mod waker;

pub use blocking::may_block;
pub use clock::Clock;
pub use config::NetConfig;
pub use counters::{NetCounters, NetCounts, TrafficCounts};
pub use driver::{DriverHandle, Events, start};
pub use machine::Machine;
pub use names::{Names, SystemNames, canonical_servers};
pub use security::{Secured, SecurityError};
pub use waker::Waker;

const LOG: &str = "pointsman::net";
