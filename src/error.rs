//! What can become of a record other than being written, and of a producer other than starting.

use crate::plugin::{FailureKind, Hook};
use crate::protocol::error_code;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Whether a record that failed may be in the log all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Certainly not.
    NotWritten,
    /// A request with it went out and its answer is not known.
    Unknown,
}

/// Where a record was when its time ran out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stage {
    /// Waiting for its topic's metadata.
    Metadata,
    /// Waiting for `buffer.memory`.
    Memory,
    /// Staged, before or in the plugins.
    Lane,
    /// In a batch that was never sent.
    Batch,
    /// Sent at least once.
    Sent,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stage::Metadata => "waiting for the topic's metadata",
            Stage::Memory => "waiting for buffer.memory",
            Stage::Lane => "staged for the plugins",
            Stage::Batch => "in a batch that was not yet sent",
            Stage::Sent => "sent and not acknowledged",
        })
    }
}

/// Why a record was not delivered. Cheap to clone: a batch's records share one.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ProduceError {
    /// The broker refused the batch for good.
    #[error(
        "{topic}-{partition}: the broker answered {}{}{}",
        error_code::name(*code), meaning(*code), suffix(message.as_deref())
    )]
    Broker {
        /// Topic.
        topic: Arc<str>,
        /// Partition.
        partition: i32,
        /// Kafka's error code.
        code: i16,
        /// The broker's own words.
        message: Option<String>,
        /// Whether it may be written.
        fate: Fate,
    },
    /// `delivery.timeout.ms`, or `max.block.ms` before the record was accepted, ran out.
    #[error(
        "{}not delivered within {key} ({} ms), {stage}{}",
        place(Some(topic), *partition), limit.as_millis(), suffix(last_cause.as_deref())
    )]
    Timeout {
        /// Topic.
        topic: Arc<str>,
        /// Partition, where one had been chosen.
        partition: Option<i32>,
        /// The key whose time ran out.
        key: &'static str,
        /// Its value.
        limit: Duration,
        /// Where the record was.
        stage: Stage,
        /// What went wrong last on the way, if anything did.
        last_cause: Option<String>,
        /// Whether it may be written.
        fate: Fate,
    },
    /// The record can never fit.
    #[error("{topic}: a record of {size} bytes is larger than {key} ({limit})")]
    TooLarge {
        /// Topic.
        topic: Arc<str>,
        /// Serialized size in bytes.
        size: usize,
        /// `max.request.size` or `buffer.memory`.
        key: &'static str,
        /// Its value.
        limit: usize,
    },
    /// The topic cannot be used.
    #[error("topic {topic}: {reason}")]
    Topic {
        /// Topic.
        topic: Arc<str>,
        /// Why.
        reason: String,
    },
    /// A record that may not wait, as in a callback or in `try_send`, is for a topic that was asked for just now.
    #[error("topic {topic}: its metadata is not known yet")]
    TopicNotKnownYet {
        /// Topic.
        topic: Arc<str>,
    },
    /// The topic has no such partition.
    #[error("{topic} has {count} partitions, there is no partition {partition}")]
    NoSuchPartition {
        /// Topic.
        topic: Arc<str>,
        /// What was asked for.
        partition: i32,
        /// How many there are.
        count: usize,
    },
    /// No time that a record can have.
    #[error(
        "{topic}: timestamp {timestamp} is before 1970: give milliseconds from 0 on, or none for the time of the call"
    )]
    Timestamp {
        /// Topic.
        topic: Arc<str>,
        /// What was given, in milliseconds since the Unix epoch.
        timestamp: i64,
    },
    /// A plugin refused the record or failed on it.
    #[error("{topic}: plugin {plugin}, {hook}: {}: {cause}", kind.words())]
    Plugin {
        /// Topic, as the interceptors before this plugin left it.
        topic: Arc<str>,
        /// Name in the config file.
        plugin: Arc<str>,
        /// Which hook.
        hook: Hook,
        /// What kind of failure.
        kind: FailureKind,
        /// In the plugin's or the host's words.
        cause: Arc<str>,
    },
    /// An interceptor left the record out on purpose, or a plugin failed on it whose policy says so
    /// (`on-error = "drop"`).
    #[error("{topic}: dropped by plugin {plugin}{}", dropped_for(failure.as_deref()))]
    Dropped {
        /// Topic.
        topic: Arc<str>,
        /// Name in the config file.
        plugin: Arc<str>,
        /// The failure that the policy was applied to; `None` where it was on purpose.
        failure: Option<Arc<ProduceError>>,
    },
    /// A plugin failed on the record, and a letter about it is in a topic for such (`on-error = "dead-letter"`).
    #[error("{failure}; its dead letter is in {topic}-{partition}{}", at_offset(*offset))]
    DeadLettered {
        /// The failure.
        failure: Arc<ProduceError>,
        /// The topic for dead letters.
        topic: Arc<str>,
        /// Where the letter stands there.
        partition: i32,
        /// Absent where the broker did not say.
        offset: Option<i64>,
    },
    /// A plugin failed on the record, and so did the letter about it.
    #[error("{failure}; its dead letter to {topic} failed, too: {cause}")]
    DeadLetterFailed {
        /// The failure that the letter was about.
        failure: Arc<ProduceError>,
        /// The topic for dead letters.
        topic: Arc<str>,
        /// What became of the letter.
        cause: Arc<ProduceError>,
    },
    /// `try_send` found no room, or others waiting for it.
    #[error("buffer.memory is full")]
    BufferFull,
    /// The producer has a `transactional.id`, and no transaction is open.
    #[error("{topic}: no transaction takes records now: {reason}")]
    NoTransaction {
        /// Topic.
        topic: Arc<str>,
        /// Where the producer stands, and what comes next.
        reason: Arc<str>,
        /// Whether one is open, and has to be aborted.
        must_abort: bool,
    },
    /// The record's transaction was given up before the record was written, or before that was known.
    #[error("{}its transaction is aborted: {reason}", place(Some(topic), *partition))]
    Aborted {
        /// Topic.
        topic: Arc<str>,
        /// Partition, where one had been chosen.
        partition: Option<i32>,
        /// Why.
        reason: Arc<str>,
        /// Whether it may be in the log, where consumers with `isolation.level=read_committed` never see it.
        fate: Fate,
    },
    /// The producer is closed, or was before the record was delivered.
    #[error("{}the producer is closed", place(topic.as_deref(), *partition))]
    Closed {
        /// Topic; `None` where the producer was asked for something else than to send.
        topic: Option<Arc<str>>,
        /// Partition, where one had been chosen.
        partition: Option<i32>,
        /// Whether it may be written.
        fate: Fate,
    },
    /// The cluster does not allow it. Other topics go on, and so does this one when it is allowed.
    #[error(
        "{principal} may not {operation} on {resource}: the broker answered {}{}",
        error_code::name(*code), remedy(*code)
    )]
    NotAuthorized {
        /// Who we are to brokers, as far as is known here.
        principal: Arc<str>,
        /// What is not allowed, such as `WRITE`.
        operation: &'static str,
        /// On what: a topic, or the cluster.
        resource: Arc<str>,
        /// Kafka's error code.
        code: i16,
        /// Whether it may be written.
        fate: Fate,
    },
    /// The broker does not believe who we are, or we do not believe it: TLS or SASL. The producer tries again, in case
    /// that is mended.
    #[error("{}{reason}", place(topic.as_deref(), *partition))]
    Authentication {
        /// Topic.
        topic: Option<Arc<str>>,
        /// Partition, where one had been chosen.
        partition: Option<i32>,
        /// Which broker, how, and why.
        reason: Arc<str>,
        /// Whether it may be written.
        fate: Fate,
    },
    /// The producer cannot go on: its authority is gone, or an error of its own.
    #[error("{}the producer cannot go on: {reason}", place(topic.as_deref(), *partition))]
    Fatal {
        /// Topic; `None` where the record's is no longer known.
        topic: Option<Arc<str>>,
        /// Partition, where one had been chosen.
        partition: Option<i32>,
        /// Why.
        reason: Arc<str>,
        /// Whether it may be written.
        fate: Fate,
    },
    /// The call cannot be made from where it was made.
    #[error("{0}")]
    Misuse(&'static str),
    /// A delivery was waited for by blocking a thread that has tasks to run. The record is on its way all the same.
    #[error("a tokio task would block its thread by waiting for a delivery: await it instead")]
    WaitInTask,
}

impl ProduceError {
    /// Whether the record may be in the log all the same.
    pub fn fate(&self) -> Fate {
        match self {
            ProduceError::Broker { fate, .. }
            | ProduceError::Timeout { fate, .. }
            | ProduceError::Closed { fate, .. }
            | ProduceError::NotAuthorized { fate, .. }
            | ProduceError::Authentication { fate, .. }
            | ProduceError::Aborted { fate, .. }
            | ProduceError::Fatal { fate, .. } => *fate,
            ProduceError::WaitInTask => Fate::Unknown,
            _ => Fate::NotWritten,
        }
    }

    /// The same of a record for this topic and, where it was chosen, partition.
    pub(crate) fn at(mut self, of: &Arc<str>, at: Option<i32>) -> ProduceError {
        match &mut self {
            ProduceError::Timeout { topic, partition, .. } | ProduceError::Aborted { topic, partition, .. } => {
                topic.clone_from(of);
                *partition = at;
            }
            ProduceError::Closed { topic, partition, .. } | ProduceError::Fatal { topic, partition, .. } => {
                *topic = Some(Arc::clone(of));
                *partition = at;
            }
            _ => {}
        }
        self
    }

    /// Whether sending the same record again may succeed.
    pub fn is_retriable(&self) -> bool {
        match self {
            ProduceError::Timeout { .. } | ProduceError::BufferFull | ProduceError::TopicNotKnownYet { .. } => true,
            ProduceError::Broker { code, .. } => error_code::is_retriable(*code),
            ProduceError::Plugin { kind, .. } => {
                matches!(kind, FailureKind::Deadline | FailureKind::Configure | FailureKind::BreakerOpen)
            }
            ProduceError::DeadLetterFailed { failure, .. } => failure.is_retriable(),
            _ => false,
        }
    }

    /// The number by which on-acknowledgement hears of it (see the WIT).
    pub fn acknowledgement_code(&self) -> i16 {
        match self {
            ProduceError::Broker { code, .. } | ProduceError::NotAuthorized { code, .. } => *code,
            ProduceError::Authentication { .. } => error_code::SASL_AUTHENTICATION_FAILED,
            ProduceError::Dropped { failure: None, .. } => -101,
            // By its policy, and not on purpose.
            ProduceError::Dropped { failure: Some(failure), .. } => failure.acknowledgement_code(),
            ProduceError::Plugin { kind: FailureKind::Refused, .. } => -102,
            ProduceError::Plugin { .. } | ProduceError::DeadLetterFailed { .. } => -103,
            ProduceError::DeadLettered { .. } => -108,
            ProduceError::Timeout { stage: Stage::Metadata, .. }
            | ProduceError::Topic { .. }
            | ProduceError::TopicNotKnownYet { .. } => -106,
            ProduceError::Timeout { .. } => -104,
            ProduceError::TooLarge { .. } => -105,
            ProduceError::Closed { .. } => -107,
            _ => -100,
        }
    }
}

fn dropped_for(failure: Option<&ProduceError>) -> String {
    failure.map_or_else(String::new, |failure| format!(", whose policy says so, for {failure}"))
}

/// What a name does not tell.
fn meaning(code: i16) -> &'static str {
    match code {
        // Without transactions there is a new epoch then, and no error.
        error_code::INVALID_PRODUCER_EPOCH => {
            " (its transaction was open for longer than transaction.timeout.ms, or another producer uses its \
             transactional.id since)"
        }
        _ => "",
    }
}

/// Who may write to a topic is given a producer id since Kafka 2.8 (KIP-679); what to allow is easily missed.
fn remedy(code: i16) -> &'static str {
    match code {
        error_code::CLUSTER_AUTHORIZATION_FAILED => " (allow it, or WRITE to a topic, or set enable.idempotence=false)",
        _ => "",
    }
}

fn at_offset(offset: Option<i64>) -> String {
    offset.map_or_else(String::new, |offset| format!(" at offset {offset}"))
}

/// What an error begins with, where it is about a record.
fn place(topic: Option<&str>, partition: Option<i32>) -> String {
    match (topic, partition) {
        (None, _) => String::new(),
        (Some(topic), None) => format!("{topic}: "),
        (Some(topic), Some(partition)) => format!("{topic}-{partition}: "),
    }
}

fn suffix(cause: Option<&str>) -> String {
    cause.map_or_else(String::new, |cause| format!("; {cause}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_dropped_for_a_failure_was_not_dropped_on_purpose() {
        let of = |kind| {
            let (topic, plugin, cause) = ("orders".into(), "mask".into(), "x".into());
            Some(Arc::new(ProduceError::Plugin { topic, plugin, hook: Hook::OnSend, kind, cause }))
        };
        for (failure, code) in [(None, -101), (of(FailureKind::Refused), -102), (of(FailureKind::Trap), -103)] {
            let dropped = ProduceError::Dropped { topic: "orders".into(), plugin: "mask".into(), failure };
            assert_eq!(dropped.acknowledgement_code(), code, "{dropped}");
        }
    }

    #[test]
    fn an_error_names_topic_and_partition_where_they_are_known() {
        let timeout = ProduceError::Timeout {
            topic: "other".into(),
            partition: None,
            key: "delivery.timeout.ms",
            limit: Duration::from_secs(1),
            stage: Stage::Lane,
            last_cause: Some("slow".to_owned()),
            fate: Fate::NotWritten,
        };
        let closed = ProduceError::Closed { topic: None, partition: None, fate: Fate::NotWritten };
        let reason = "it is over".into();
        let fatal = ProduceError::Fatal { topic: None, partition: None, reason, fate: Fate::NotWritten };
        let topic = "orders".into();
        let table = [
            (
                timeout.clone(),
                "other: not delivered within delivery.timeout.ms (1000 ms), staged for the plugins; slow",
            ),
            (
                timeout.at(&topic, Some(3)),
                "orders-3: not delivered within delivery.timeout.ms (1000 ms), staged for the plugins; slow",
            ),
            (closed.clone(), "the producer is closed"),
            (closed.clone().at(&topic, None), "orders: the producer is closed"),
            (closed.at(&topic, Some(3)), "orders-3: the producer is closed"),
            (fatal.clone(), "the producer cannot go on: it is over"),
            (fatal.at(&topic, Some(3)), "orders-3: the producer cannot go on: it is over"),
            (ProduceError::BufferFull.at(&topic, Some(3)), "buffer.memory is full"),
        ];
        for (error, text) in table {
            assert_eq!(error.to_string(), text);
        }
    }

    #[test]
    fn what_is_not_known_yet_may_be_sent_again() {
        let error = ProduceError::TopicNotKnownYet { topic: "orders".into() };
        assert!(error.is_retriable());
        assert_eq!((error.fate(), error.acknowledgement_code()), (Fate::NotWritten, -106));
        let for_good = ProduceError::Topic { topic: "orders".into(), reason: "INVALID_TOPIC_EXCEPTION".to_owned() };
        assert!(!for_good.is_retriable());
    }
}
