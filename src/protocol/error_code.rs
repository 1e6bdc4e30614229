//! Kafka's error codes: those that the producer acts on by name, and the names of all.

pub use kafka_protocol::ResponseError;

macro_rules! codes {
    ($($name:ident = $variant:ident),* $(,)?) => {
        $(
            #[doc = concat!("`", stringify!($name), "`.")]
            pub const $name: i16 = ResponseError::$variant.code();
        )*
    };
}

/// No error.
pub const NONE: i16 = 0;

codes! {
    CLUSTER_AUTHORIZATION_FAILED = ClusterAuthorizationFailed,
    CONCURRENT_TRANSACTIONS = ConcurrentTransactions,
    COORDINATOR_LOAD_IN_PROGRESS = CoordinatorLoadInProgress,
    COORDINATOR_NOT_AVAILABLE = CoordinatorNotAvailable,
    CORRUPT_MESSAGE = CorruptMessage,
    DUPLICATE_SEQUENCE_NUMBER = DuplicateSequenceNumber,
    FENCED_INSTANCE_ID = FencedInstanceId,
    FENCED_LEADER_EPOCH = FencedLeaderEpoch,
    GROUP_AUTHORIZATION_FAILED = GroupAuthorizationFailed,
    ILLEGAL_GENERATION = IllegalGeneration,
    ILLEGAL_SASL_STATE = IllegalSaslState,
    INVALID_PRODUCER_EPOCH = InvalidProducerEpoch,
    INVALID_PRODUCER_ID_MAPPING = InvalidProducerIdMapping,
    INVALID_RECORD = InvalidRecord,
    INVALID_REQUIRED_ACKS = InvalidRequiredAcks,
    INVALID_TIMESTAMP = InvalidTimestamp,
    INVALID_TOPIC_EXCEPTION = InvalidTopicException,
    INVALID_TXN_STATE = InvalidTxnState,
    KAFKA_STORAGE_ERROR = KafkaStorageError,
    LEADER_NOT_AVAILABLE = LeaderNotAvailable,
    MESSAGE_TOO_LARGE = MessageTooLarge,
    NETWORK_EXCEPTION = NetworkException,
    NOT_COORDINATOR = NotCoordinator,
    NOT_ENOUGH_REPLICAS = NotEnoughReplicas,
    NOT_ENOUGH_REPLICAS_AFTER_APPEND = NotEnoughReplicasAfterAppend,
    NOT_LEADER_OR_FOLLOWER = NotLeaderOrFollower,
    OPERATION_NOT_ATTEMPTED = OperationNotAttempted,
    OUT_OF_ORDER_SEQUENCE_NUMBER = OutOfOrderSequenceNumber,
    POLICY_VIOLATION = PolicyViolation,
    PRODUCER_FENCED = ProducerFenced,
    REBOOTSTRAP_REQUIRED = RebootstrapRequired,
    RECORD_LIST_TOO_LARGE = RecordListTooLarge,
    REQUEST_TIMED_OUT = RequestTimedOut,
    SASL_AUTHENTICATION_FAILED = SaslAuthenticationFailed,
    TOPIC_ALREADY_EXISTS = TopicAlreadyExists,
    TOPIC_AUTHORIZATION_FAILED = TopicAuthorizationFailed,
    TRANSACTIONAL_ID_AUTHORIZATION_FAILED = TransactionalIdAuthorizationFailed,
    TRANSACTION_ABORTABLE = TransactionAbortable,
    TRANSACTION_COORDINATOR_FENCED = TransactionCoordinatorFenced,
    UNKNOWN_MEMBER_ID = UnknownMemberId,
    UNKNOWN_PRODUCER_ID = UnknownProducerId,
    UNKNOWN_TOPIC_ID = UnknownTopicId,
    UNKNOWN_TOPIC_OR_PARTITION = UnknownTopicOrPartition,
    UNSUPPORTED_COMPRESSION_TYPE = UnsupportedCompressionType,
    UNSUPPORTED_FOR_MESSAGE_FORMAT = UnsupportedForMessageFormat,
    UNSUPPORTED_SASL_MECHANISM = UnsupportedSaslMechanism,
    UNSUPPORTED_VERSION = UnsupportedVersion,
}

/// Kafka's name of a code, such as `NOT_LEADER_OR_FOLLOWER`.
pub fn name(code: i16) -> String {
    match ResponseError::try_from_code(code) {
        None => "NONE".to_owned(),
        Some(ResponseError::Unknown(code)) => format!("error {code}"),
        Some(error) => {
            // The crate names its variants in camel case.
            let mut name = String::new();
            for (at, letter) in error.to_string().chars().enumerate() {
                if letter.is_uppercase() && at > 0 {
                    name.push('_');
                }
                name.push(letter.to_ascii_uppercase());
            }
            name
        }
    }
}

/// Whether the protocol calls the error retriable.
pub fn is_retriable(code: i16) -> bool {
    ResponseError::try_from_code(code).is_some_and(|error| error.is_retriable())
}
