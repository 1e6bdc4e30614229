//! Transactions as a program sees them: what is committed besides records, and what can go wrong.
//!
//! Records of several partitions, and the offsets of what was consumed to make them, become visible together or not at all
//! to consumers with `isolation.level=read_committed` (KIP-98, KIP-447; with brokers that have it, transactions V2 of
//! KIP-890).

use crate::error::ProduceError;
use crate::protocol::error_code;
use std::sync::Arc;
use std::time::Duration;

/// How far a consumer of a transaction's input is, for one partition: see
/// [`crate::Producer::send_offsets_to_transaction`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumedOffset {
    /// Topic.
    pub topic: String,
    /// Partition.
    pub partition: i32,
    /// Of the next record to consume: one more than that of the last one consumed.
    pub offset: i64,
    /// Leader epoch of the last one consumed, where it is known.
    pub leader_epoch: Option<i32>,
    /// For whoever reads the group's offsets.
    pub metadata: Option<String>,
}

/// The consumer group whose offsets are committed with a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerGroupMetadata {
    /// `group.id`.
    pub group_id: String,
    /// The member's generation, or epoch; −1 where partitions were assigned by hand. With it, brokers refuse offsets of a
    /// member that lost its partitions meanwhile (KIP-447).
    pub generation_id: i32,
    /// The member's id; empty where partitions were assigned by hand.
    pub member_id: String,
    /// `group.instance.id`.
    pub group_instance_id: Option<String>,
}

impl ConsumerGroupMetadata {
    /// A group whose members assign their partitions themselves.
    pub fn of(group_id: impl Into<String>) -> ConsumerGroupMetadata {
        ConsumerGroupMetadata {
            group_id: group_id.into(),
            generation_id: -1,
            member_id: String::new(),
            group_instance_id: None,
        }
    }
}

/// Why a call about a transaction failed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TransactionError {
    /// The producer has no `transactional.id`.
    #[error("transactional.id is not set: without it there are no transactions")]
    NotTransactional,
    /// The call does not fit where the producer stands. Nothing changed.
    #[error("{call}: {state}")]
    State {
        /// Which.
        call: &'static str,
        /// Where the producer stands, and what would fit.
        state: &'static str,
    },
    /// Something of the transaction failed, so that it cannot be committed: abort it, then begin another one.
    #[error("the transaction has to be aborted: {reason}")]
    MustAbort {
        /// What failed.
        reason: Arc<str>,
    },
    /// Records still wait for memory or for their topic. Nothing changed: await their accepts, then commit again.
    #[error("{count} sends still wait for their turn: await what `send` returned before the commit")]
    SendsWait {
        /// How many.
        count: usize,
    },
    /// It is not known in time how the call ends; it goes on, and calling it again waits for its end.
    #[error(
        "{call}: no end within {key} ({} ms), {stage}{}; it goes on, call it again to wait for it",
        limit.as_millis(), last_cause.as_ref().map(|cause| format!("; {cause}")).unwrap_or_default()
    )]
    Timeout {
        /// Which.
        call: &'static str,
        /// The key whose time ran out.
        key: &'static str,
        /// Its value.
        limit: Duration,
        /// What it waits for.
        stage: &'static str,
        /// What went wrong last, if anything did.
        last_cause: Option<String>,
    },
    /// Another producer uses the `transactional.id`, or the transaction was open for longer than `transaction.timeout.ms`. This
    /// producer can do no more.
    #[error(
        "transactional.id {transactional_id} is fenced off: the broker answered {}; another producer uses the id since, or \
         the transaction was open for longer than transaction.timeout.ms",
        error_code::name(*code)
    )]
    Fenced {
        /// The id.
        transactional_id: Arc<str>,
        /// Kafka's error code.
        code: i16,
    },
    /// The producer can do no more.
    #[error("the producer cannot go on: {reason}")]
    Fatal {
        /// Why.
        reason: Arc<str>,
    },
    /// The call cannot be made from where it was made.
    #[error("{0}")]
    Misuse(&'static str),
    /// A record could not be sent, was not written, or could not be waited for.
    #[error(transparent)]
    Produce(#[from] ProduceError),
}

impl TransactionError {
    /// Whether [`crate::Producer::abort_transaction`] comes next, and makes the producer as good as new: the transaction
    /// cannot be committed, or a record of it was not sent. Otherwise the call can be made again, or not at all: see
    /// each error.
    pub fn must_abort(&self) -> bool {
        match self {
            TransactionError::MustAbort { .. } => true,
            // Whoever sends and waits by `?` has not sent all of it.
            TransactionError::Produce(error) => match error {
                ProduceError::NoTransaction { must_abort, .. } => *must_abort,
                ProduceError::Closed { .. }
                | ProduceError::Fatal { .. }
                | ProduceError::Misuse(_)
                | ProduceError::WaitInTask => false,
                _ => true,
            },
            _ => false,
        }
    }

    /// Whether this producer can do no more.
    pub fn is_fatal(&self) -> bool {
        match self {
            TransactionError::Fenced { .. } | TransactionError::Fatal { .. } => true,
            TransactionError::Produce(error) => {
                matches!(error, ProduceError::Closed { .. } | ProduceError::Fatal { .. })
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Fate;

    #[test]
    fn what_failed_of_a_transaction_is_to_be_aborted_and_what_was_none_is_not() {
        let of = |error: ProduceError| TransactionError::from(error).must_abort();
        let (topic, reason): (Arc<str>, Arc<str>) = ("orders".into(), "x".into());
        for must_abort in [true, false] {
            let (topic, reason) = (Arc::clone(&topic), Arc::clone(&reason));
            assert_eq!(of(ProduceError::NoTransaction { topic, reason, must_abort }), must_abort);
        }
        let fate = Fate::NotWritten;
        assert!(of(ProduceError::BufferFull));
        assert!(of(ProduceError::Aborted { topic, partition: Some(3), reason: Arc::clone(&reason), fate }));
        assert!(TransactionError::MustAbort { reason: Arc::clone(&reason) }.must_abort());
        assert!(!of(ProduceError::Closed { topic: None, partition: None, fate }));
        let fatal = TransactionError::Fatal { reason };
        assert!(!fatal.must_abort() && fatal.is_fatal());
        assert!(!TransactionError::SendsWait { count: 1 }.must_abort());
    }
}
