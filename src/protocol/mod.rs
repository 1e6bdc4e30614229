//! Bytes to structs and back. No state and no clock. All of it is our own code: every record passes through record
//! batches and Produce, and every decoder meets the network. The `kafka-protocol` crate is the oracle of the tests.

pub mod body;
pub mod codec;
pub mod compression;
mod crc;
pub mod error_code;
pub mod messages;
pub mod record_batch;
pub mod versions;
