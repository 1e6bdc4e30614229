//! The little of the library that this command needs, so that its tests need no broker.

use super::topics::Cluster;
use crate::cli::servers::{BROKER_DEFAULT, Servers};
use pointsman::error::ProduceError;
use pointsman::protocol::codec::create_topics::NewTopic;
use pointsman::transaction::TransactionError;
use pointsman::{Record, RecordMetadata};
use std::time::Duration;

/// A producer.
pub(super) trait Producer: Send + Sync + 'static {
    /// What it gives for an accepted record.
    type Delivery: Delivery;

    /// Hands a record over; waits while there is no room for it.
    fn send(&self, record: &Record<'_>) -> Result<Self::Delivery, ProduceError>;

    /// Waits until all that was accepted has its outcome.
    fn flush(&self) -> Result<(), ProduceError>;

    /// From now on records belong to a transaction.
    fn begin_transaction(&self) -> Result<(), TransactionError>;

    /// Commits it.
    fn commit_transaction(&self) -> Result<(), TransactionError>;

    /// Aborts it. Wakes a `send` that waits.
    fn abort_transaction(&self) -> Result<(), TransactionError>;

    /// Delivers all that was accepted, and ends. Wakes a `send` that waits.
    fn close(&self, deadline: Duration) -> Result<(), String>;
}

/// An outcome to come.
pub(super) trait Delivery: Send + 'static {
    /// The outcome, if it is there.
    fn try_result(&self) -> Option<Result<RecordMetadata, ProduceError>>;

    /// Waits for it, for a while; if it is not there by then, gives itself back.
    fn wait_for(self, patience: Duration) -> Result<Result<RecordMetadata, ProduceError>, Self>
    where
        Self: Sized;
}

impl Producer for pointsman::Producer {
    type Delivery = pointsman::Delivery;

    fn send(&self, record: &Record<'_>) -> Result<pointsman::Delivery, ProduceError> {
        self.send_blocking(record)
    }

    fn flush(&self) -> Result<(), ProduceError> {
        self.flush_blocking()
    }

    fn begin_transaction(&self) -> Result<(), TransactionError> {
        pointsman::Producer::begin_transaction(self)
    }

    fn commit_transaction(&self) -> Result<(), TransactionError> {
        self.commit_transaction_blocking()
    }

    fn abort_transaction(&self) -> Result<(), TransactionError> {
        self.abort_transaction_blocking()
    }

    fn close(&self, deadline: Duration) -> Result<(), String> {
        pointsman::Producer::close_blocking(self, deadline).map_err(|error| error.to_string())
    }
}

impl Delivery for pointsman::Delivery {
    fn try_result(&self) -> Option<Result<RecordMetadata, ProduceError>> {
        pointsman::Delivery::try_result(self)
    }

    fn wait_for(self, patience: Duration) -> Result<Result<RecordMetadata, ProduceError>, Self> {
        self.wait_timeout(patience)
    }
}

impl Cluster for Servers {
    fn has(&mut self, topic: &str) -> Result<bool, String> {
        self.has(topic).map_err(|error| format!("{error:#}"))
    }

    fn create(&mut self, topic: &str, partitions: Option<i32>) -> Result<(), String> {
        let topic = NewTopic {
            name: topic.to_owned(),
            partitions: partitions.unwrap_or(BROKER_DEFAULT),
            replication_factor: BROKER_DEFAULT as i16,
            configs: Vec::new(),
        };
        // Someone else may have been faster.
        self.create_topic(topic, true).map_err(|error| format!("{error:#}"))
    }

    fn nearest(&mut self, topic: &str) -> Option<String> {
        self.nearest(topic)
    }

    fn address(&self) -> String {
        self.to_string()
    }
}
