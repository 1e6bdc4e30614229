//! What to do about an error in a Produce response: one function, exhaustive over what it depends on.

use crate::protocol::error_code as code;

/// What the verdict depends on besides the error code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Context {
    pub(super) idempotence: bool,
    /// No batch of its partition that was sent before it is unresolved, and no hole stands before it.
    pub(super) next_expected: bool,
    /// A hole of unknown fate stands before it.
    pub(super) after_unknown: bool,
    /// An earlier attempt may have written it.
    pub(super) maybe_written: bool,
    /// It has more than one record.
    pub(super) several: bool,
    /// The answer names records of it (KIP-467).
    pub(super) names_records: bool,
}

/// What becomes of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is in the log.
    Written,
    /// It is in the log from an earlier attempt; the broker no longer knows where.
    WrittenBefore,
    /// Send it again, the same sequence.
    Retry {
        /// The leader may be another one.
        refresh: bool,
        /// This attempt may have written it.
        ambiguous: bool,
    },
    /// It was not written and cannot be with its sequence: number it and what follows anew.
    Renumber,
    /// It was not written because it is too large: send it in parts.
    Split,
    /// Nothing of it was written, because of the records that the answer names: send the others.
    LeaveOut,
    /// It is not written and never will be.
    Fail,
    /// Nor will anything else be: the whole producer is at fault.
    Fatal,
}

pub(super) fn verdict(error: i16, context: Context) -> Verdict {
    let retry = |refresh, ambiguous| Verdict::Retry { refresh, ambiguous };
    match error {
        code::NONE => Verdict::Written,
        code::DUPLICATE_SEQUENCE_NUMBER => Verdict::WrittenBefore,
        code::OUT_OF_ORDER_SEQUENCE_NUMBER if context.idempotence => {
            if context.after_unknown {
                // Had the batch of unknown fate been written, this one would follow it.
                Verdict::Renumber
            } else if context.next_expected {
                // The broker lost what it had acknowledged.
                Verdict::Fail
            } else {
                retry(false, false)
            }
        }
        code::UNKNOWN_PRODUCER_ID if context.idempotence => Verdict::Renumber,
        // A partition sees a new epoch only when nothing of the old one is left, so this is another attempt's doing.
        code::INVALID_PRODUCER_EPOCH if context.idempotence && !context.maybe_written => Verdict::Renumber,
        // The broker also says these of a batch that it has appended, if it loses the partition while it waits for its
        // followers (DelayedProduce); the next leader may have it.
        code::NOT_LEADER_OR_FOLLOWER
        | code::LEADER_NOT_AVAILABLE
        | code::UNKNOWN_TOPIC_OR_PARTITION
        | code::UNKNOWN_TOPIC_ID
        | code::FENCED_LEADER_EPOCH
        | code::KAFKA_STORAGE_ERROR => retry(true, true),
        code::NOT_ENOUGH_REPLICAS | code::CORRUPT_MESSAGE => retry(false, false),
        code::REQUEST_TIMED_OUT | code::NOT_ENOUGH_REPLICAS_AFTER_APPEND | code::NETWORK_EXCEPTION => {
            retry(error == code::NETWORK_EXCEPTION, true)
        }
        // Where an earlier attempt may stand in the log, parts would be no duplicates of it to the broker, which knows a
        // batch by its first and last sequence: they would end as out of order, or stand there a second time. (Java
        // splits all the same.)
        code::MESSAGE_TOO_LARGE | code::RECORD_LIST_TOO_LARGE
            if context.several && !(context.idempotence && context.maybe_written) =>
        {
            Verdict::Split
        }
        code::CLUSTER_AUTHORIZATION_FAILED => Verdict::Fatal,
        other if code::is_retriable(other) => retry(true, true),
        // Had an earlier attempt written it, the others would be there twice.
        _ if context.names_records && !context.maybe_written => Verdict::LeaveOut,
        _ => Verdict::Fail,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Context = Context {
        idempotence: true,
        next_expected: true,
        after_unknown: false,
        maybe_written: false,
        several: true,
        names_records: false,
    };

    #[test]
    fn out_of_order_depends_on_the_place() {
        let error = code::OUT_OF_ORDER_SEQUENCE_NUMBER;
        assert_eq!(verdict(error, FIRST), Verdict::Fail);
        let later = Context { next_expected: false, ..FIRST };
        assert_eq!(verdict(error, later), Verdict::Retry { refresh: false, ambiguous: false });
        assert_eq!(verdict(error, Context { after_unknown: true, ..later }), Verdict::Renumber);
    }

    #[test]
    fn what_a_batch_is_refused_for_decides_what_is_made_of_it() {
        assert_eq!(verdict(code::MESSAGE_TOO_LARGE, FIRST), Verdict::Split);
        assert_eq!(verdict(code::MESSAGE_TOO_LARGE, Context { several: false, ..FIRST }), Verdict::Fail);
        let maybe = Context { maybe_written: true, ..FIRST };
        assert_eq!(verdict(code::MESSAGE_TOO_LARGE, maybe), Verdict::Fail, "its fate is unknown");
        assert_eq!(verdict(code::MESSAGE_TOO_LARGE, Context { idempotence: false, ..maybe }), Verdict::Split);
        let named = Context { names_records: true, ..FIRST };
        assert_eq!(verdict(code::INVALID_RECORD, named), Verdict::LeaveOut);
        assert_eq!(verdict(code::INVALID_RECORD, FIRST), Verdict::Fail);
        assert_eq!(verdict(code::INVALID_TIMESTAMP, Context { maybe_written: true, ..named }), Verdict::Fail);
    }

    #[test]
    fn every_code_has_a_verdict_and_only_success_is_written() {
        for error in -1..200 {
            let verdict = verdict(error, FIRST);
            assert_eq!(verdict == Verdict::Written, error == 0, "{error}");
        }
    }
}
