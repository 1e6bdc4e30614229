//! Bytes to structs and back. No state and no clock. Record batches and Produce are our own code, since every record
//! passes through them; the other messages come from the `kafka-protocol` crate.

pub mod error_code;
pub mod messages;
pub mod record_batch;
pub mod versions;
