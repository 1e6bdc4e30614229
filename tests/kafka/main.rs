//! Tests against a real Kafka. `cargo test --test kafka -- --ignored` runs them; they need Java 17 and Maven.

mod cluster;
mod command;
mod compression;
mod harness;
mod pipeline;
mod plugins;
