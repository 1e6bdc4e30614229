//! Avro: the schema, and JSON encoded by it.

mod encode;
mod schema;

pub(crate) use encode::Encoder;
pub(crate) use schema::Schema;
use schema::{Field, Record, Type};

#[cfg(test)]
mod tests;
