//! The little of the library that this command needs, so that its tests need no broker.

use pointsman::error::ProduceError;
use pointsman::{Record, RecordMetadata};
use std::time::Duration;

/// A producer.
pub(super) trait Producer: Send + Sync + 'static {
    /// What it gives for an accepted record.
    type Delivery: Delivery;

    /// Hands a record over; waits while there is no room for it.
    fn send(&self, record: &Record<'_>) -> Result<Self::Delivery, ProduceError>;

    /// Delivers all that was accepted, and ends. Wakes a `send` that waits.
    fn close(&self, deadline: Duration) -> Result<(), String>;
}

/// An outcome to come.
pub(super) trait Delivery: Send + 'static {
    /// The outcome, if it is there.
    fn try_result(&self) -> Option<Result<RecordMetadata, ProduceError>>;

    /// Waits for it.
    fn wait(self) -> Result<RecordMetadata, ProduceError>;
}
