//! Which versions of which API we speak, and from which on an API is "flexible" (KIP-482: compact lengths, tagged
//! fields). What a version changed is told beside its codec, in [`super::codec`].

use super::messages::ApiKey;
use std::ops::RangeInclusive;

/// Produce: 3 is the first with record batch v2; 13 (Kafka 4.1) names topics by id.
pub const PRODUCE: RangeInclusive<i16> = 3..=13;
/// Metadata: 1 is the first that can ask for no topics; 13 (Kafka 4.0) can ask to bootstrap again.
pub const METADATA: RangeInclusive<i16> = 1..=13;
/// ApiVersions: every broker since 0.10 answers 0; 4 (Kafka 4.0) reports features that start at 0.
pub const API_VERSIONS: RangeInclusive<i16> = 0..=4;
/// CreateTopics: 0 and 1 are gone from Kafka 4; 7 answers with the topic's id.
pub const CREATE_TOPICS: RangeInclusive<i16> = 2..=7;
/// ListOffsets: 0 is gone from Kafka 4, and answered with a list; from 8 on there are further ends to ask for.
pub const LIST_OFFSETS: RangeInclusive<i16> = 1..=7;
/// DescribeConfigs: 0 is gone from Kafka 4; 4 is flexible.
pub const DESCRIBE_CONFIGS: RangeInclusive<i16> = 1..=4;
/// SaslHandshake: after 0 the mechanism's bytes go without a header, as nobody has to any more since Kafka 1.0.
pub const SASL_HANDSHAKE: RangeInclusive<i16> = 1..=1;
/// SaslAuthenticate: 1 says how long the session lives (KIP-368).
pub const SASL_AUTHENTICATE: RangeInclusive<i16> = 0..=2;
/// InitProducerId: 3 can continue an id (KIP-360), 4 names fencing, 5 is for transactions V2.
pub const INIT_PRODUCER_ID: RangeInclusive<i16> = 0..=5;
/// FindCoordinator: 0 knows groups only; 4 takes several keys (KIP-699); 6 is for share groups.
pub const FIND_COORDINATOR: RangeInclusive<i16> = 1..=4;
/// AddPartitionsToTxn: 2 names fencing; from 4 on only brokers ask.
pub const ADD_PARTITIONS_TO_TXN: RangeInclusive<i16> = 0..=3;
/// AddOffsetsToTxn: 2 names fencing, 4 may say that the transaction can only be aborted.
pub const ADD_OFFSETS_TO_TXN: RangeInclusive<i16> = 0..=4;
/// TxnOffsetCommit: 3 tells the consumer's membership (KIP-447), 5 is for transactions V2.
pub const TXN_OFFSET_COMMIT: RangeInclusive<i16> = 0..=5;
/// EndTxn: 2 names fencing, 5 is for transactions V2 and answers with the next epoch.
pub const END_TXN: RangeInclusive<i16> = 0..=5;

/// The versions of `api` that we speak.
pub const fn ours(api: ApiKey) -> RangeInclusive<i16> {
    match api {
        ApiKey::Produce => PRODUCE,
        ApiKey::Metadata => METADATA,
        ApiKey::ApiVersions => API_VERSIONS,
        ApiKey::ListOffsets => LIST_OFFSETS,
        ApiKey::CreateTopics => CREATE_TOPICS,
        ApiKey::DescribeConfigs => DESCRIBE_CONFIGS,
        ApiKey::SaslHandshake => SASL_HANDSHAKE,
        ApiKey::SaslAuthenticate => SASL_AUTHENTICATE,
        ApiKey::InitProducerId => INIT_PRODUCER_ID,
        ApiKey::FindCoordinator => FIND_COORDINATOR,
        ApiKey::AddPartitionsToTxn => ADD_PARTITIONS_TO_TXN,
        ApiKey::AddOffsetsToTxn => ADD_OFFSETS_TO_TXN,
        ApiKey::TxnOffsetCommit => TXN_OFFSET_COMMIT,
        ApiKey::EndTxn => END_TXN,
    }
}

/// Whether this version of `api` has compact lengths and tagged fields.
pub const fn is_flexible(api: ApiKey, version: i16) -> bool {
    version
        >= match api {
            ApiKey::Produce | ApiKey::Metadata => 9,
            ApiKey::ApiVersions => 3,
            ApiKey::ListOffsets => 6,
            ApiKey::CreateTopics => 5,
            ApiKey::DescribeConfigs => 4,
            // Never: it is sent before anything is agreed on.
            ApiKey::SaslHandshake => i16::MAX,
            ApiKey::SaslAuthenticate | ApiKey::InitProducerId => 2,
            ApiKey::FindCoordinator
            | ApiKey::AddPartitionsToTxn
            | ApiKey::AddOffsetsToTxn
            | ApiKey::TxnOffsetCommit
            | ApiKey::EndTxn => 3,
        }
}
