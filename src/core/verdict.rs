//! What to do about an error in a broker's answer: one function, exhaustive over the API that was asked, the code, and
//! for Produce the batch's place in flight, its records and its past.

use crate::protocol::error_code::ResponseError;

/// What was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// Produce, for one batch.
    Produce(Context),
    /// InitProducerId.
    ProducerId,
    /// Metadata, for the answer as a whole.
    Metadata,
    /// Metadata, for one topic.
    Topic,
}

/// What the verdict on a batch depends on besides the error code.
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
    /// It is part of a transaction, whose epoch is not ours to bump.
    pub(super) transactional: bool,
}

/// What becomes of a batch, or of what else was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is as was asked for: a batch is in the log.
    Good,
    /// It is in the log from an earlier attempt; the broker no longer knows where.
    WrittenBefore,
    /// Ask again; a batch with the same sequence.
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
    /// It failed, and will again.
    Fail {
        /// This attempt may have written it.
        ambiguous: bool,
    },
    /// So will everything else: the whole producer is at fault.
    Fatal,
    /// What waits for it fails, and what comes later asks again: who is allowed what changes while producers run.
    NotAllowed,
    /// Nothing that is known of the cluster is to be relied on (KIP-1102).
    Rebootstrap,
}

/// Codes that are dealt with in the same way, whatever was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sort {
    Good,
    Duplicate,
    OutOfOrder,
    ForgottenProducer,
    OldEpoch,
    /// Another broker leads, or none, or this one does not know yet what it leads.
    Leadership,
    /// Nothing was done, and it may soon be otherwise.
    NotNow,
    /// Something may have been done.
    Unsure,
    ConnectionLost,
    TooLarge,
    NotAuthorizedForCluster,
    InTransaction,
    StartAgain,
    /// What the protocol calls retriable. Of another API mostly: not expected.
    OtherRetriable,
    /// Refused, for a reason that will be there tomorrow.
    Refused,
    /// The broker does not say what went wrong, or in words that are newer than this client.
    Unexplained,
}

/// Every code of the protocol has its place: one that a new version adds does not compile until it has, too.
fn sort(error: i16) -> Sort {
    use ResponseError::*;
    let Some(error) = ResponseError::try_from_code(error) else { return Sort::Good };
    match error {
        DuplicateSequenceNumber => Sort::Duplicate,
        OutOfOrderSequenceNumber => Sort::OutOfOrder,
        UnknownProducerId => Sort::ForgottenProducer,
        InvalidProducerEpoch => Sort::OldEpoch,
        NotLeaderOrFollower
        | LeaderNotAvailable
        | UnknownTopicOrPartition
        | UnknownTopicId
        | FencedLeaderEpoch
        | KafkaStorageError => Sort::Leadership,
        NotEnoughReplicas | CorruptMessage => Sort::NotNow,
        RequestTimedOut | NotEnoughReplicasAfterAppend => Sort::Unsure,
        NetworkException => Sort::ConnectionLost,
        MessageTooLarge | RecordListTooLarge => Sort::TooLarge,
        ClusterAuthorizationFailed => Sort::NotAuthorizedForCluster,
        ConcurrentTransactions => Sort::InTransaction,
        RebootstrapRequired => Sort::StartAgain,
        UnknownServerError | Unknown(_) => Sort::Unexplained,
        ReplicaNotAvailable
        | CoordinatorLoadInProgress
        | CoordinatorNotAvailable
        | NotCoordinator
        | NotController
        | FetchSessionIdNotFound
        | InvalidFetchSessionEpoch
        | ListenerNotFound
        | UnknownLeaderEpoch
        | OffsetNotAvailable
        | PreferredLeaderNotAvailable
        | EligibleLeadersNotAvailable
        | ElectionNotNeeded
        | UnstableOffsetCommit
        | ThrottlingQuotaExceeded
        | InconsistentTopicId
        | FetchSessionTopicIdError
        | ShareSessionNotFound
        | InvalidShareSessionEpoch
        | ShareSessionLimitReached => Sort::OtherRetriable,
        OffsetOutOfRange
        | InvalidFetchSize
        | BrokerNotAvailable
        | StaleControllerEpoch
        | OffsetMetadataTooLarge
        | InvalidTopicException
        | InvalidRequiredAcks
        | IllegalGeneration
        | InconsistentGroupProtocol
        | InvalidGroupId
        | UnknownMemberId
        | InvalidSessionTimeout
        | RebalanceInProgress
        | InvalidCommitOffsetSize
        | TopicAuthorizationFailed
        | GroupAuthorizationFailed
        | InvalidTimestamp
        | UnsupportedSaslMechanism
        | IllegalSaslState
        | UnsupportedVersion
        | TopicAlreadyExists
        | InvalidPartitions
        | InvalidReplicationFactor
        | InvalidReplicaAssignment
        | InvalidConfig
        | InvalidRequest
        | UnsupportedForMessageFormat
        | PolicyViolation
        | InvalidTxnState
        | InvalidProducerIdMapping
        | InvalidTransactionTimeout
        | TransactionCoordinatorFenced
        | TransactionalIdAuthorizationFailed
        | SecurityDisabled
        | OperationNotAttempted
        | LogDirNotFound
        | SaslAuthenticationFailed
        | ReassignmentInProgress
        | DelegationTokenAuthDisabled
        | DelegationTokenNotFound
        | DelegationTokenOwnerMismatch
        | DelegationTokenRequestNotAllowed
        | DelegationTokenAuthorizationFailed
        | DelegationTokenExpired
        | InvalidPrincipalType
        | NonEmptyGroup
        | GroupIdNotFound
        | TopicDeletionDisabled
        | UnsupportedCompressionType
        | StaleBrokerEpoch
        | MemberIdRequired
        | GroupMaxSizeReached
        | FencedInstanceId
        | NoReassignmentInProgress
        | GroupSubscribedToTopic
        | InvalidRecord
        | ProducerFenced
        | ResourceNotFound
        | DuplicateResource
        | UnacceptableCredential
        | InconsistentVoterSet
        | InvalidUpdateVersion
        | FeatureUpdateFailed
        | PrincipalDeserializationFailure
        | SnapshotNotFound
        | PositionOutOfRange
        | DuplicateBrokerRegistration
        | BrokerIdNotRegistered
        | InconsistentClusterId
        | TransactionalIdNotFound
        | IneligibleReplica
        | NewLeaderElected
        | OffsetMovedToTieredStorage
        | FencedMemberEpoch
        | UnreleasedInstanceId
        | UnsupportedAssignor
        | StaleMemberEpoch
        | MismatchedEndpointType
        | UnsupportedEndpointType
        | UnknownControllerId
        | UnknownSubscriptionId
        | TelemetryTooLarge
        | InvalidRegistration
        | TransactionAbortable
        | InvalidRecordState
        | FencedStateEpoch
        | InvalidVoterKey
        | DuplicateVoter
        | VoterNotFound
        | InvalidRegularExpression
        | StreamsInvalidTopology
        | StreamsInvalidTopologyEpoch
        | StreamsTopologyFenced => Sort::Refused,
    }
}

pub(super) fn verdict(asked: Asked, error: i16) -> Verdict {
    let retry = |refresh, ambiguous| Verdict::Retry { refresh, ambiguous };
    let sort = sort(error);
    match asked {
        Asked::Produce(context) => of_batch(sort, context),
        Asked::ProducerId => match sort {
            Sort::Good => Verdict::Good,
            Sort::Leadership
            | Sort::NotNow
            | Sort::Unsure
            | Sort::ConnectionLost
            | Sort::InTransaction
            | Sort::OtherRetriable => retry(false, false),
            Sort::Duplicate
            | Sort::OutOfOrder
            | Sort::ForgottenProducer
            | Sort::OldEpoch
            | Sort::TooLarge
            | Sort::StartAgain
            | Sort::Refused
            | Sort::Unexplained => Verdict::Fatal,
            Sort::NotAuthorizedForCluster => Verdict::NotAllowed,
        },
        Asked::Metadata => match sort {
            Sort::Good => Verdict::Good,
            Sort::StartAgain => Verdict::Rebootstrap,
            // The answer is empty for it. Whoever waits has a time limit.
            Sort::Duplicate
            | Sort::OutOfOrder
            | Sort::ForgottenProducer
            | Sort::OldEpoch
            | Sort::Leadership
            | Sort::NotNow
            | Sort::Unsure
            | Sort::ConnectionLost
            | Sort::TooLarge
            | Sort::NotAuthorizedForCluster
            | Sort::InTransaction
            | Sort::OtherRetriable
            | Sort::Refused
            | Sort::Unexplained => retry(false, false),
        },
        Asked::Topic => match sort {
            Sort::Good => Verdict::Good,
            Sort::Leadership | Sort::NotNow | Sort::Unsure | Sort::ConnectionLost | Sort::OtherRetriable => {
                retry(false, false)
            }
            Sort::Duplicate
            | Sort::OutOfOrder
            | Sort::ForgottenProducer
            | Sort::OldEpoch
            | Sort::TooLarge
            | Sort::NotAuthorizedForCluster
            | Sort::InTransaction
            | Sort::StartAgain
            | Sort::Refused
            | Sort::Unexplained => Verdict::Fail { ambiguous: false },
        },
    }
}

/// What a coordinator was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OfTransaction {
    FindCoordinator,
    InitProducerId,
    /// AddPartitionsToTxn.
    AddPartitions,
    /// AddOffsetsToTxn.
    AddOffsets,
    /// TxnOffsetCommit.
    CommitOffsets,
    /// EndTxn.
    End {
        commits: bool,
    },
}

/// What becomes of a request to a coordinator, and of the transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TransactionVerdict {
    Good,
    /// Ask again.
    Again,
    /// Ask again, soon.
    Soon,
    /// Ask again, whoever is the coordinator by now.
    Elsewhere,
    /// The transaction cannot be committed.
    Abort,
    /// Nor aborted: the coordinator does not know the producer id any more, which takes another one.
    Forgotten,
    /// Another producer has taken over.
    Fenced,
    /// The `transactional.id` may not be used.
    NotAllowed,
    /// The producer is at fault.
    Fatal,
}

/// What to do about a coordinator's answer: as Java's `TransactionManager`, but that TxnOffsetCommit may meet a topic that is
/// not allowed without the producer's end, and a commit a transaction that the coordinator has ended.
pub(super) fn transaction_verdict(asked: OfTransaction, error: i16) -> TransactionVerdict {
    use ResponseError::*;
    let Some(error) = ResponseError::try_from_code(error) else { return TransactionVerdict::Good };
    let aborts = asked == OfTransaction::End { commits: false };
    let abort = if aborts || asked == OfTransaction::InitProducerId {
        TransactionVerdict::Fatal
    } else {
        TransactionVerdict::Abort
    };
    match error {
        NotCoordinator | CoordinatorNotAvailable => TransactionVerdict::Elsewhere,
        RequestTimedOut if asked == OfTransaction::CommitOffsets => TransactionVerdict::Elsewhere,
        ConcurrentTransactions => TransactionVerdict::Soon,
        UnknownTopicOrPartition => TransactionVerdict::Again,
        InvalidProducerEpoch | ProducerFenced => TransactionVerdict::Fenced,
        UnknownProducerId | InvalidProducerIdMapping if asked != OfTransaction::InitProducerId => {
            TransactionVerdict::Forgotten
        }
        TransactionalIdAuthorizationFailed => TransactionVerdict::NotAllowed,
        // The coordinator has ended it by itself. To Java that is fatal; but the abort finds out what may follow.
        InvalidTxnState if asked == (OfTransaction::End { commits: true }) => abort,
        TransactionAbortable
        | TopicAuthorizationFailed
        | GroupAuthorizationFailed
        | FencedInstanceId
        | UnknownMemberId
        | IllegalGeneration
        | StaleMemberEpoch
        | RebalanceInProgress => abort,
        _ if error.is_retriable() => TransactionVerdict::Again,
        _ => TransactionVerdict::Fatal,
    }
}

fn of_batch(sort: Sort, context: Context) -> Verdict {
    let retry = |refresh, ambiguous| Verdict::Retry { refresh, ambiguous };
    // Had an earlier attempt written it, the others would be there twice.
    let refused = if context.names_records && !context.maybe_written {
        Verdict::LeaveOut
    } else {
        Verdict::Fail { ambiguous: false }
    };
    match sort {
        Sort::Good => Verdict::Good,
        Sort::Duplicate => Verdict::WrittenBefore,
        Sort::OutOfOrder if context.idempotence => {
            if context.after_unknown && !context.transactional {
                // Had the batch of unknown fate been written, this one would follow it.
                Verdict::Renumber
            } else if context.next_expected {
                // The broker lost what it had acknowledged.
                Verdict::Fail { ambiguous: false }
            } else {
                retry(false, false)
            }
        }
        Sort::ForgottenProducer if context.idempotence && !context.transactional => Verdict::Renumber,
        // A partition sees a new epoch only when nothing of the old one is left, so this is another attempt's doing.
        Sort::OldEpoch if context.idempotence && !context.maybe_written && !context.transactional => Verdict::Renumber,
        // The transaction before is about to end.
        Sort::InTransaction if context.transactional => retry(false, false),
        // The broker also says these of a batch that it has appended, if it loses the partition while it waits for its
        // followers (DelayedProduce); the next leader may have it.
        Sort::Leadership | Sort::OtherRetriable => retry(true, true),
        Sort::NotNow => retry(false, false),
        Sort::Unsure => retry(false, true),
        Sort::ConnectionLost => retry(true, true),
        // Where an earlier attempt may stand in the log, parts would be no duplicates of it to the broker, which knows a
        // batch by its first and last sequence: they would end as out of order, or stand there a second time. (Java
        // splits all the same.)
        Sort::TooLarge if context.several && !(context.idempotence && context.maybe_written) => Verdict::Split,
        // Brokers before 2.8 say so of a batch with a sequence (KIP-679): like a topic's, it is this one that is refused.
        Sort::NotAuthorizedForCluster => Verdict::Fail { ambiguous: false },
        // An exception of the broker's own may come after its append.
        Sort::Unexplained => Verdict::Fail { ambiguous: true },
        Sort::OutOfOrder
        | Sort::ForgottenProducer
        | Sort::OldEpoch
        | Sort::TooLarge
        | Sort::InTransaction
        | Sort::StartAgain
        | Sort::Refused => refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::error_code as code;

    const FIRST: Context = Context {
        idempotence: true,
        next_expected: true,
        after_unknown: false,
        maybe_written: false,
        several: true,
        names_records: false,
        transactional: false,
    };
    const GOOD: Verdict = Verdict::Good;
    const AGAIN: Verdict = Verdict::Retry { refresh: false, ambiguous: false };
    const AGAIN_ELSEWHERE: Verdict = Verdict::Retry { refresh: true, ambiguous: true };
    const AGAIN_UNSURE: Verdict = Verdict::Retry { refresh: false, ambiguous: true };
    const FAIL: Verdict = Verdict::Fail { ambiguous: false };

    fn of_batch(error: i16, context: Context) -> Verdict {
        verdict(Asked::Produce(context), error)
    }

    #[test]
    fn out_of_order_depends_on_the_place() {
        let error = code::OUT_OF_ORDER_SEQUENCE_NUMBER;
        assert_eq!(of_batch(error, FIRST), FAIL);
        let later = Context { next_expected: false, ..FIRST };
        assert_eq!(of_batch(error, later), AGAIN);
        assert_eq!(of_batch(error, Context { after_unknown: true, ..later }), Verdict::Renumber);
        assert_eq!(of_batch(error, Context { idempotence: false, ..later }), FAIL);
    }

    #[test]
    fn what_a_batch_is_refused_for_decides_what_is_made_of_it() {
        assert_eq!(of_batch(code::MESSAGE_TOO_LARGE, FIRST), Verdict::Split);
        assert_eq!(of_batch(code::MESSAGE_TOO_LARGE, Context { several: false, ..FIRST }), FAIL);
        let maybe = Context { maybe_written: true, ..FIRST };
        assert_eq!(of_batch(code::MESSAGE_TOO_LARGE, maybe), FAIL, "its fate is unknown");
        assert_eq!(of_batch(code::MESSAGE_TOO_LARGE, Context { idempotence: false, ..maybe }), Verdict::Split);
        let named = Context { names_records: true, ..FIRST };
        assert_eq!(of_batch(code::INVALID_RECORD, named), Verdict::LeaveOut);
        assert_eq!(of_batch(code::INVALID_RECORD, FIRST), FAIL);
        assert_eq!(of_batch(code::INVALID_TIMESTAMP, Context { maybe_written: true, ..named }), FAIL);
    }

    /// Of every code: what becomes of a first batch, of InitProducerId, of metadata and of a topic in it.
    #[test]
    fn every_code_has_its_verdicts() {
        let table: &[(i16, [Verdict; 4])] = &[
            (code::NONE, [GOOD; 4]),
            (code::DUPLICATE_SEQUENCE_NUMBER, [Verdict::WrittenBefore, Verdict::Fatal, AGAIN, FAIL]),
            (code::OUT_OF_ORDER_SEQUENCE_NUMBER, [FAIL, Verdict::Fatal, AGAIN, FAIL]),
            (code::UNKNOWN_PRODUCER_ID, [Verdict::Renumber, Verdict::Fatal, AGAIN, FAIL]),
            (code::INVALID_PRODUCER_EPOCH, [Verdict::Renumber, Verdict::Fatal, AGAIN, FAIL]),
            (code::NOT_LEADER_OR_FOLLOWER, [AGAIN_ELSEWHERE, AGAIN, AGAIN, AGAIN]),
            (code::LEADER_NOT_AVAILABLE, [AGAIN_ELSEWHERE, AGAIN, AGAIN, AGAIN]),
            (code::UNKNOWN_TOPIC_OR_PARTITION, [AGAIN_ELSEWHERE, AGAIN, AGAIN, AGAIN]),
            (code::UNKNOWN_TOPIC_ID, [AGAIN_ELSEWHERE, AGAIN, AGAIN, AGAIN]),
            (code::FENCED_LEADER_EPOCH, [AGAIN_ELSEWHERE, AGAIN, AGAIN, AGAIN]),
            (code::KAFKA_STORAGE_ERROR, [AGAIN_ELSEWHERE, AGAIN, AGAIN, AGAIN]),
            (code::NETWORK_EXCEPTION, [AGAIN_ELSEWHERE, AGAIN, AGAIN, AGAIN]),
            (code::NOT_ENOUGH_REPLICAS, [AGAIN; 4]),
            (code::CORRUPT_MESSAGE, [AGAIN; 4]),
            (code::REQUEST_TIMED_OUT, [AGAIN_UNSURE, AGAIN, AGAIN, AGAIN]),
            (code::NOT_ENOUGH_REPLICAS_AFTER_APPEND, [AGAIN_UNSURE, AGAIN, AGAIN, AGAIN]),
            (code::MESSAGE_TOO_LARGE, [Verdict::Split, Verdict::Fatal, AGAIN, FAIL]),
            (code::RECORD_LIST_TOO_LARGE, [Verdict::Split, Verdict::Fatal, AGAIN, FAIL]),
            (code::CLUSTER_AUTHORIZATION_FAILED, [FAIL, Verdict::NotAllowed, AGAIN, FAIL]),
            (code::CONCURRENT_TRANSACTIONS, [FAIL, AGAIN, AGAIN, FAIL]),
            (code::REBOOTSTRAP_REQUIRED, [FAIL, Verdict::Fatal, Verdict::Rebootstrap, FAIL]),
            // UNKNOWN_SERVER_ERROR, and what no version of the protocol has named.
            (-1, [Verdict::Fail { ambiguous: true }, Verdict::Fatal, AGAIN, FAIL]),
            (12_345, [Verdict::Fail { ambiguous: true }, Verdict::Fatal, AGAIN, FAIL]),
        ];
        for error in (-1..200).chain([12_345]) {
            let named = table.iter().find(|(code, _)| *code == error).map(|(_, verdicts)| *verdicts);
            let is_unheard_of = code::name(error).starts_with("error ");
            let expected = named.unwrap_or(match code::is_retriable(error) {
                true => [AGAIN_ELSEWHERE, AGAIN, AGAIN, AGAIN],
                false => [Verdict::Fail { ambiguous: is_unheard_of }, Verdict::Fatal, AGAIN, FAIL],
            });
            let asked = [Asked::Produce(FIRST), Asked::ProducerId, Asked::Metadata, Asked::Topic];
            assert_eq!(asked.map(|asked| verdict(asked, error)), expected, "{}", code::name(error));
        }
    }

    /// Of every code: what becomes of a request to find a coordinator, for an id, partitions, a group, its offsets, a commit
    /// and an abort.
    #[test]
    fn every_code_has_its_verdicts_of_transactions() {
        use TransactionVerdict::*;
        let asked = [
            OfTransaction::FindCoordinator,
            OfTransaction::InitProducerId,
            OfTransaction::AddPartitions,
            OfTransaction::AddOffsets,
            OfTransaction::CommitOffsets,
            OfTransaction::End { commits: true },
            OfTransaction::End { commits: false },
        ];
        let abort = [Abort, Fatal, Abort, Abort, Abort, Abort, Fatal];
        let forgotten = [Forgotten, Fatal, Forgotten, Forgotten, Forgotten, Forgotten, Forgotten];
        let table: &[(i16, [TransactionVerdict; 7])] = &[
            (code::NONE, [Good; 7]),
            (code::NOT_COORDINATOR, [Elsewhere; 7]),
            (code::COORDINATOR_NOT_AVAILABLE, [Elsewhere; 7]),
            (code::REQUEST_TIMED_OUT, [Again, Again, Again, Again, Elsewhere, Again, Again]),
            (code::CONCURRENT_TRANSACTIONS, [Soon; 7]),
            (code::INVALID_PRODUCER_EPOCH, [Fenced; 7]),
            (code::PRODUCER_FENCED, [Fenced; 7]),
            (code::UNKNOWN_PRODUCER_ID, forgotten),
            (code::INVALID_PRODUCER_ID_MAPPING, forgotten),
            (code::INVALID_TXN_STATE, [Fatal, Fatal, Fatal, Fatal, Fatal, Abort, Fatal]),
            (code::TRANSACTIONAL_ID_AUTHORIZATION_FAILED, [NotAllowed; 7]),
            (code::TRANSACTION_ABORTABLE, abort),
            (code::TOPIC_AUTHORIZATION_FAILED, abort),
            (code::GROUP_AUTHORIZATION_FAILED, abort),
            (code::FENCED_INSTANCE_ID, abort),
            (code::UNKNOWN_MEMBER_ID, abort),
            (code::ILLEGAL_GENERATION, abort),
            // STALE_MEMBER_EPOCH and REBALANCE_IN_PROGRESS.
            (113, abort),
            (27, abort),
        ];
        for error in (-1..200).chain([12_345]) {
            let named = table.iter().find(|(code, _)| *code == error).map(|(_, verdicts)| *verdicts);
            let expected = named.unwrap_or(if code::is_retriable(error) { [Again; 7] } else { [Fatal; 7] });
            assert_eq!(asked.map(|asked| transaction_verdict(asked, error)), expected, "{}", code::name(error));
        }
    }

    #[test]
    fn only_success_is_good_wherever_the_batch_stands() {
        for bits in 0..128 {
            let bit = |at: u32| bits & (1 << at) != 0;
            let context = Context {
                idempotence: bit(0),
                next_expected: bit(1),
                after_unknown: bit(2),
                maybe_written: bit(3),
                several: bit(4),
                names_records: bit(5),
                transactional: bit(6),
            };
            for error in -1..200 {
                let verdict = of_batch(error, context);
                assert_eq!(verdict == Verdict::Good, error == code::NONE, "{error} {context:?}");
                let of_others = [Verdict::Fatal, Verdict::NotAllowed, Verdict::Rebootstrap];
                assert!(!of_others.contains(&verdict), "{error} {context:?}");
            }
        }
    }
}
