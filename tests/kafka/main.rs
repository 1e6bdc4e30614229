//! Tests against a real Kafka. `cargo test --test kafka -- --ignored` runs them; they need Java 17 and Maven.

mod chaos;
mod cluster;
mod command;
mod compression;
mod fates;
#[cfg(feature = "gssapi")]
mod gssapi;
mod harness;
#[cfg(feature = "gssapi")]
mod kerberos;
mod limits;
mod min_isr;
#[path = "../plugins/npm.rs"]
mod npm;
mod oracles;
mod pipeline;
mod plugins;
mod producers;
mod proxy;
mod reading;
mod secure;
mod topics;
mod transactions;
mod versions;
