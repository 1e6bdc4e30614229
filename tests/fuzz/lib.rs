//! The checks for cargo-fuzz, with the sources that they check: no dependency, see `Cargo.toml`.
#![allow(dead_code, reason = "the sources are taken in whole")]

pub mod checks;
#[path = "../../src/config/mod.rs"]
pub mod config;
#[path = "../../src/net/frames.rs"]
mod frames;
#[path = "../../src/protocol/mod.rs"]
pub mod protocol;
#[path = "../../src/record.rs"]
pub mod record;
#[path = "../../src/security.rs"]
pub mod security;
