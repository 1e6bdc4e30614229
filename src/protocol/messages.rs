//! Requests and responses as the core deals with them, free of versions. [`super::codec`] turns them into bytes.

use super::body::Body;
use std::ops::RangeInclusive;

/// A topic's id (KIP-516); all zeros where the broker gives none.
pub type TopicId = [u8; 16];

/// The APIs that the producer speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ApiKey {
    /// Writes record batches.
    Produce,
    /// Brokers, topics, leaders.
    Metadata,
    /// Chooses how to log in.
    SaslHandshake,
    /// Logs in.
    SaslAuthenticate,
    /// Which versions of which API a broker speaks.
    ApiVersions,
    /// Where logs begin and end.
    ListOffsets,
    /// Creates topics.
    CreateTopics,
    /// Settings of topics.
    DescribeConfigs,
    /// A producer id and epoch (KIP-98).
    InitProducerId,
    /// Which broker coordinates a group or a transactional id.
    FindCoordinator,
    /// Takes partitions into a transaction, before it writes to them.
    AddPartitionsToTxn,
    /// Takes a group's offsets into a transaction, before it commits any.
    AddOffsetsToTxn,
    /// Commits or aborts a transaction.
    EndTxn,
    /// Commits a group's offsets as part of a transaction.
    TxnOffsetCommit,
}

impl ApiKey {
    /// Kafka's number.
    pub const fn code(self) -> i16 {
        match self {
            ApiKey::Produce => 0,
            ApiKey::Metadata => 3,
            ApiKey::SaslHandshake => 17,
            ApiKey::SaslAuthenticate => 36,
            ApiKey::ApiVersions => 18,
            ApiKey::ListOffsets => 2,
            ApiKey::CreateTopics => 19,
            ApiKey::DescribeConfigs => 32,
            ApiKey::InitProducerId => 22,
            ApiKey::FindCoordinator => 10,
            ApiKey::AddPartitionsToTxn => 24,
            ApiKey::AddOffsetsToTxn => 25,
            ApiKey::EndTxn => 26,
            ApiKey::TxnOffsetCommit => 28,
        }
    }
}

/// What a broker speaks, from its ApiVersions response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApiVersions {
    /// Sorted by API number.
    pub apis: Vec<(i16, RangeInclusive<i16>)>,
    /// The level of the finalized feature `transaction.version` (KIP-584, KIP-890), 0 where there is none; from 2 on
    /// transactions are V2.
    pub transaction_version: i16,
}

impl ApiVersions {
    /// The highest version that both sides speak, or `None`.
    pub fn pick(&self, api: ApiKey, ours: RangeInclusive<i16>) -> Option<i16> {
        let at = self.apis.binary_search_by_key(&api.code(), |(code, _)| *code).ok()?;
        let theirs = &self.apis[at].1;
        let version = *theirs.end().min(ours.end());
        (version >= *theirs.start() && version >= *ours.start()).then_some(version)
    }
}

/// A request, before a version is applied to it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Request {
    /// Asks for some topics, or none: brokers only.
    Metadata(MetadataRequest),
    /// Asks for a producer id.
    InitProducerId(InitProducerIdRequest),
    /// Writes batches.
    Produce(ProduceRequest),
    /// Asks for a coordinator.
    FindCoordinator(FindCoordinatorRequest),
    /// Takes partitions into a transaction.
    AddPartitionsToTxn(AddPartitionsToTxnRequest),
    /// Takes a group's offsets into a transaction.
    AddOffsetsToTxn(AddOffsetsToTxnRequest),
    /// Commits offsets in a transaction.
    TxnOffsetCommit(TxnOffsetCommitRequest),
    /// Ends a transaction.
    EndTxn(EndTxnRequest),
}

impl Request {
    /// Which API it belongs to.
    pub fn api(&self) -> ApiKey {
        match self {
            Request::Metadata(_) => ApiKey::Metadata,
            Request::InitProducerId(_) => ApiKey::InitProducerId,
            Request::Produce(_) => ApiKey::Produce,
            Request::FindCoordinator(_) => ApiKey::FindCoordinator,
            Request::AddPartitionsToTxn(_) => ApiKey::AddPartitionsToTxn,
            Request::AddOffsetsToTxn(_) => ApiKey::AddOffsetsToTxn,
            Request::TxnOffsetCommit(_) => ApiKey::TxnOffsetCommit,
            Request::EndTxn(_) => ApiKey::EndTxn,
        }
    }
}

/// Metadata request. Versions 1 to 13 (v10 adds topic ids, v12 names may be null; we always ask by name).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MetadataRequest {
    /// By name; empty asks for brokers only.
    pub topics: Vec<String>,
    /// Whether the broker may create what it does not know (v4+).
    pub allow_auto_topic_creation: bool,
}

/// InitProducerId request. Versions 0 to 5.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InitProducerIdRequest {
    /// `None` for an idempotent producer without transactions.
    pub transactional_id: Option<String>,
    /// Milliseconds.
    pub transaction_timeout_ms: i32,
    /// −1, or the id to continue (v3+, KIP-360).
    pub producer_id: i64,
    /// −1, or the epoch to continue.
    pub producer_epoch: i16,
}

/// Produce request. Versions 3 to 13.
#[derive(Clone, Debug)]
pub struct ProduceRequest {
    /// −1 (all), 0 or 1.
    pub acks: i16,
    /// Milliseconds the broker may wait for its followers.
    pub timeout_ms: i32,
    /// Of a transaction.
    pub transactional_id: Option<String>,
    /// In order; a partition occurs once.
    pub topics: Vec<ProduceTopic>,
}

/// One topic of a Produce request.
#[derive(Clone, Debug)]
pub struct ProduceTopic {
    /// Sent up to v12.
    pub name: std::sync::Arc<str>,
    /// Sent from v13 on.
    pub id: TopicId,
    /// One batch each.
    pub partitions: Vec<ProducePartition>,
}

/// One batch of a Produce request. The bytes on the wire are `header` then `body`.
#[derive(Clone, Debug)]
pub struct ProducePartition {
    /// Partition number.
    pub index: i32,
    /// The batch's first 61 bytes, made for this attempt ([`super::record_batch::Header`]).
    pub header: [u8; super::record_batch::HEADER_LEN],
    /// The records, shared with the queue that may have to send them again.
    pub body: Body,
}

/// FindCoordinator request. Versions 1 to 4 (v4 takes several keys, KIP-699; we always ask for one).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FindCoordinatorRequest {
    /// The group's id, or the transactional id.
    pub key: String,
    /// Which of the two it is.
    pub kind: CoordinatorKind,
}

/// What a coordinator coordinates, by Kafka's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i8)]
pub enum CoordinatorKind {
    /// A consumer group.
    Group = 0,
    /// A transactional id.
    Transaction = 1,
}

/// AddPartitionsToTxn request. Versions 0 to 3 (from v4 on only brokers send it).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddPartitionsToTxnRequest {
    /// Of the transaction.
    pub transactional_id: String,
    /// The producer's.
    pub producer_id: i64,
    /// The producer's.
    pub producer_epoch: i16,
    /// By name, with the partitions' numbers.
    pub topics: Vec<(std::sync::Arc<str>, Vec<i32>)>,
}

/// AddOffsetsToTxn request. Versions 0 to 4.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddOffsetsToTxnRequest {
    /// Of the transaction.
    pub transactional_id: String,
    /// The producer's.
    pub producer_id: i64,
    /// The producer's.
    pub producer_epoch: i16,
    /// Whose offsets are to be committed.
    pub group_id: String,
}

/// TxnOffsetCommit request. Versions 0 to 5.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TxnOffsetCommitRequest {
    /// Of the transaction.
    pub transactional_id: String,
    /// Whose offsets are committed.
    pub group_id: String,
    /// The producer's.
    pub producer_id: i64,
    /// The producer's.
    pub producer_epoch: i16,
    /// The group's, −1 if unknown; v3+ (KIP-447).
    pub generation_id: i32,
    /// The consumer's in the group, empty if unknown; v3+.
    pub member_id: String,
    /// Of a static member; v3+.
    pub group_instance_id: Option<String>,
    /// In any order; a partition occurs once.
    pub offsets: Vec<TxnOffset>,
}

/// How far a group has come in one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TxnOffset {
    /// Name.
    pub topic: String,
    /// Partition number.
    pub partition: i32,
    /// Of the next record to read.
    pub offset: i64,
    /// Of the last record read, −1 if unknown; v2+.
    pub leader_epoch: i32,
    /// Whatever the consumer keeps with its offset.
    pub metadata: Option<String>,
}

/// EndTxn request. Versions 0 to 5.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndTxnRequest {
    /// Of the transaction.
    pub transactional_id: String,
    /// The producer's.
    pub producer_id: i64,
    /// The producer's.
    pub producer_epoch: i16,
    /// Whether it is committed, or aborted.
    pub committed: bool,
}

/// A response, free of versions.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Response {
    /// To [`Request::Metadata`].
    Metadata(MetadataResponse),
    /// To [`Request::InitProducerId`].
    InitProducerId(InitProducerIdResponse),
    /// To [`Request::Produce`] with acks other than 0.
    Produce(ProduceResponse),
    /// To [`Request::FindCoordinator`].
    FindCoordinator(FindCoordinatorResponse),
    /// To [`Request::AddPartitionsToTxn`].
    AddPartitionsToTxn(AddPartitionsToTxnResponse),
    /// To [`Request::AddOffsetsToTxn`].
    AddOffsetsToTxn(AddOffsetsToTxnResponse),
    /// To [`Request::TxnOffsetCommit`].
    TxnOffsetCommit(TxnOffsetCommitResponse),
    /// To [`Request::EndTxn`].
    EndTxn(EndTxnResponse),
}

impl Response {
    /// How long the broker wants nothing more of us, in milliseconds; 0 if it does not mind.
    pub fn throttle_time_ms(&self) -> i32 {
        match self {
            Response::Metadata(response) => response.throttle_time_ms,
            Response::InitProducerId(response) => response.throttle_time_ms,
            Response::Produce(response) => response.throttle_time_ms,
            Response::FindCoordinator(response) => response.throttle_time_ms,
            Response::AddPartitionsToTxn(response) => response.throttle_time_ms,
            Response::AddOffsetsToTxn(response) => response.throttle_time_ms,
            Response::TxnOffsetCommit(response) => response.throttle_time_ms,
            Response::EndTxn(response) => response.throttle_time_ms,
        }
    }
}

/// Metadata response.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MetadataResponse {
    /// Milliseconds.
    pub throttle_time_ms: i32,
    /// All live brokers.
    pub brokers: Vec<Broker>,
    /// v2+.
    pub cluster_id: Option<String>,
    /// −1 if unknown.
    pub controller_id: i32,
    /// Those asked for.
    pub topics: Vec<TopicMetadata>,
    /// v13+: 0 or REBOOTSTRAP_REQUIRED (KIP-1102).
    pub error_code: i16,
}

/// A broker's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broker {
    /// Node id.
    pub id: i32,
    /// Name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// v1+.
    pub rack: Option<String>,
}

/// One topic's metadata.
#[derive(Clone, Debug, PartialEq)]
pub struct TopicMetadata {
    /// 0, or why there are no partitions.
    pub error_code: i16,
    /// Name.
    pub name: String,
    /// v10+.
    pub id: TopicId,
    /// Any order; may have gaps while a topic is being made.
    pub partitions: Vec<PartitionMetadata>,
}

/// One partition's metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionMetadata {
    /// 0, or LEADER_NOT_AVAILABLE and the like.
    pub error_code: i16,
    /// Partition number.
    pub index: i32,
    /// −1 while there is none.
    pub leader: i32,
    /// v7+, else −1.
    pub leader_epoch: i32,
}

/// InitProducerId response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InitProducerIdResponse {
    /// Milliseconds.
    pub throttle_time_ms: i32,
    /// 0 or an error.
    pub error_code: i16,
    /// The id.
    pub producer_id: i64,
    /// The epoch.
    pub producer_epoch: i16,
}

/// Produce response.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProduceResponse {
    /// Milliseconds.
    pub throttle_time_ms: i32,
    /// One per partition of the request, in any order.
    pub partitions: Vec<PartitionResponse>,
    /// v10+: addresses of the leaders named in the partitions (KIP-951).
    pub node_endpoints: Vec<Broker>,
}

/// The outcome of one batch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PartitionResponse {
    /// Up to v12, else empty.
    pub topic: String,
    /// From v13 on, else zeros.
    pub topic_id: TopicId,
    /// Partition number.
    pub index: i32,
    /// 0, or why the batch was not (or perhaps was) written.
    pub error_code: i16,
    /// Of the first record; −1 if unknown.
    pub base_offset: i64,
    /// −1 for create time; else when the broker appended the batch.
    pub log_append_time: i64,
    /// v5+, else −1.
    pub log_start_offset: i64,
    /// v8+: records by index in the batch that made it fail (KIP-467).
    pub record_errors: Vec<(i32, Option<String>)>,
    /// v8+.
    pub error_message: Option<String>,
    /// v10+: (leader id, leader epoch), −1 if unknown.
    pub current_leader: (i32, i32),
}

/// FindCoordinator response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FindCoordinatorResponse {
    /// Milliseconds.
    pub throttle_time_ms: i32,
    /// 0 or an error; COORDINATOR_NOT_AVAILABLE also where the answer names no coordinator.
    pub error_code: i16,
    /// What the broker has to say of it.
    pub error_message: Option<String>,
    /// The coordinator, without its rack; with an error its id is mostly −1, its host empty and its port 0.
    pub node: Broker,
}

/// AddPartitionsToTxn response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddPartitionsToTxnResponse {
    /// Milliseconds.
    pub throttle_time_ms: i32,
    /// Topic, partition, 0 or an error. One fails, and the others are OPERATION_NOT_ATTEMPTED.
    pub partitions: Vec<(String, i32, i16)>,
}

/// AddOffsetsToTxn response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddOffsetsToTxnResponse {
    /// Milliseconds.
    pub throttle_time_ms: i32,
    /// 0 or an error.
    pub error_code: i16,
}

/// TxnOffsetCommit response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TxnOffsetCommitResponse {
    /// Milliseconds.
    pub throttle_time_ms: i32,
    /// Topic, partition, 0 or an error.
    pub partitions: Vec<(String, i32, i16)>,
}

/// EndTxn response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndTxnResponse {
    /// Milliseconds.
    pub throttle_time_ms: i32,
    /// 0 or an error.
    pub error_code: i16,
    /// For the next transaction (KIP-890); −1 up to v4, or if unknown.
    pub producer_id: i64,
    /// For the next transaction; −1 as above.
    pub producer_epoch: i16,
}
