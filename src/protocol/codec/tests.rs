//! Every message in every version against the `kafka-protocol` crate, and frames that were tampered with.

use super::frame::{Frame, IoSlices};
use super::{api_versions, create_topics, describe_configs, list_offsets, metadata, sasl};
use super::{correlation_id, decode_response, encode_request};
use crate::protocol::body::Body;
use crate::protocol::messages::*;
use crate::protocol::{error_code, versions};
use bytes::{Bytes, BytesMut};
use kafka_protocol::messages as theirs;
use kafka_protocol::messages::{BrokerId, GroupId, ProducerId, TopicName, TransactionalId};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, StrBytes};
use proptest::prelude::*;
use uuid::Uuid;

/// Reads a request with the crate and checks its header and that nothing is left over.
fn read_theirs<T: Decodable + HeaderVersion>(frame: &Frame, api: ApiKey, version: i16) -> T {
    let bytes = frame.to_vec();
    assert_eq!(frame.len(), bytes.len());
    read_bytes(bytes, api, version)
}

fn read_bytes<T: Decodable + HeaderVersion>(bytes: Vec<u8>, api: ApiKey, version: i16) -> T {
    let mut bytes = Bytes::from(bytes);
    assert_eq!(i32::from_be_bytes(bytes.split_to(4)[..].try_into().unwrap()) as usize, bytes.len());
    let header = theirs::RequestHeader::decode(&mut bytes, T::header_version(version)).unwrap();
    assert_eq!(header.request_api_key, api.code());
    assert_eq!(header.request_api_version, version);
    assert_eq!(header.correlation_id, 77);
    assert_eq!(header.client_id.unwrap().as_str(), "client é");
    let request = T::decode(&mut bytes, version).unwrap();
    assert!(bytes.is_empty(), "{} bytes too many", bytes.len());
    request
}

/// A response as a broker would send it, without its length.
fn write_theirs<T: Encodable + HeaderVersion>(response: &T, version: i16) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    theirs::ResponseHeader::default().with_correlation_id(77).encode(&mut bytes, T::header_version(version)).unwrap();
    response.encode(&mut bytes, version).unwrap();
    bytes.to_vec()
}

fn name() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9._é-]{0,40}"
}

fn text() -> impl Strategy<Value = Option<String>> {
    proptest::option::of(".{0,60}")
}

fn str_bytes(text: &Option<String>) -> Option<StrBytes> {
    text.clone().map(StrBytes::from_string)
}

fn produce_request() -> impl Strategy<Value = ProduceRequest> {
    let len = || prop_oneof![0usize..300, 1_020usize..1_030, Just(20_000usize)];
    let value = proptest::option::of((len(), 0.0..=1.0));
    let partition = (any::<i32>(), any::<u8>(), len(), value).prop_map(|(index, fill, len, value)| {
        let encoded = Bytes::from(vec![fill ^ 0xff; len]);
        let body = match value {
            Some((value, at)) => Body::around(encoded, (at * len as f64) as usize, vec![fill; value].into()),
            None => encoded.into(),
        };
        ProducePartition { index, header: [fill; 61], body }
    });
    let topic = (name(), any::<[u8; 16]>(), proptest::collection::vec(partition, 0..40))
        .prop_map(|(name, id, partitions)| ProduceTopic { name: name.into(), id, partitions });
    (-1i16..=1, any::<i32>(), text(), proptest::collection::vec(topic, 0..5)).prop_map(
        |(acks, timeout_ms, transactional_id, topics)| ProduceRequest { acks, timeout_ms, transactional_id, topics },
    )
}

fn broker() -> impl Strategy<Value = Broker> {
    (any::<i32>(), name(), any::<u16>(), text()).prop_map(|(id, host, port, rack)| Broker { id, host, port, rack })
}

/// What a broker of this version can say: the rest has its default.
fn produce_response(version: i16) -> impl Strategy<Value = ProduceResponse> {
    let partition = (
        (any::<i32>(), any::<i16>(), any::<i64>(), any::<i64>(), any::<i64>()),
        proptest::collection::vec((any::<i32>(), text()), 0..4),
        text(),
        any::<(i32, i32)>(),
    )
        .prop_map(
            move |((index, error_code, base_offset, log_append_time, log_start), errors, message, leader)| {
                PartitionResponse {
                    topic: String::new(),
                    topic_id: [0; 16],
                    index,
                    error_code,
                    base_offset,
                    log_append_time,
                    log_start_offset: if version >= 5 { log_start } else { -1 },
                    record_errors: if version >= 8 { errors } else { Vec::new() },
                    error_message: message.filter(|_| version >= 8),
                    current_leader: if version >= 10 { leader } else { (-1, -1) },
                }
            },
        );
    let topic = (name(), any::<[u8; 16]>(), proptest::collection::vec(partition, 0..5));
    (any::<i32>(), proptest::collection::vec(topic, 0..4), proptest::collection::vec(broker(), 0..3)).prop_map(
        move |(throttle_time_ms, topics, brokers)| ProduceResponse {
            throttle_time_ms,
            partitions: topics
                .into_iter()
                .flat_map(|(name, id, partitions)| {
                    partitions.into_iter().map(move |partition| PartitionResponse {
                        topic: if version >= 13 { String::new() } else { name.clone() },
                        topic_id: if version >= 13 { id } else { [0; 16] },
                        ..partition
                    })
                })
                .collect(),
            node_endpoints: if version >= 10 { brokers } else { Vec::new() },
        },
    )
}

/// One topic per partition, which a broker may do too.
fn their_produce_response(ours: &ProduceResponse) -> theirs::ProduceResponse {
    use theirs::produce_response::*;
    let topics = ours.partitions.iter().map(|ours| {
        let errors = ours.record_errors.iter().map(|(index, message)| {
            BatchIndexAndErrorMessage::default()
                .with_batch_index(*index)
                .with_batch_index_error_message(str_bytes(message))
        });
        let leader = LeaderIdAndEpoch::default()
            .with_leader_id(BrokerId(ours.current_leader.0))
            .with_leader_epoch(ours.current_leader.1);
        let partition = PartitionProduceResponse::default()
            .with_index(ours.index)
            .with_error_code(ours.error_code)
            .with_base_offset(ours.base_offset)
            .with_log_append_time_ms(ours.log_append_time)
            .with_log_start_offset(ours.log_start_offset)
            .with_record_errors(errors.collect())
            .with_error_message(str_bytes(&ours.error_message))
            .with_current_leader(leader);
        TopicProduceResponse::default()
            .with_name(TopicName(StrBytes::from_string(ours.topic.clone())))
            .with_topic_id(Uuid::from_bytes(ours.topic_id))
            .with_partition_responses(vec![partition])
    });
    let endpoints = ours.node_endpoints.iter().map(|broker| {
        NodeEndpoint::default()
            .with_node_id(BrokerId(broker.id))
            .with_host(StrBytes::from_string(broker.host.clone()))
            .with_port(i32::from(broker.port))
            .with_rack(str_bytes(&broker.rack))
    });
    theirs::ProduceResponse::default()
        .with_throttle_time_ms(ours.throttle_time_ms)
        .with_responses(topics.collect())
        .with_node_endpoints(endpoints.collect())
}

type Placed = (MetadataResponse, Vec<metadata::Placement>);

fn metadata_response(version: i16) -> impl Strategy<Value = Placed> {
    let nodes = || proptest::collection::vec(any::<i32>(), 0..4);
    let partition = (any::<i16>(), any::<i32>(), any::<i32>(), any::<i32>(), nodes(), nodes(), nodes()).prop_map(
        move |(error_code, index, leader, epoch, replicas, in_sync, offline)| {
            let leader_epoch = if version >= 7 { epoch } else { -1 };
            let offline = if version >= 5 { offline } else { Vec::new() };
            (
                PartitionMetadata { error_code, index, leader, leader_epoch },
                metadata::Placement { replicas, in_sync, offline },
            )
        },
    );
    let topic = (any::<i16>(), name(), any::<[u8; 16]>(), proptest::collection::vec(partition, 0..6));
    (
        (any::<i32>(), text(), any::<i32>(), any::<i16>()),
        proptest::collection::vec(broker(), 0..4),
        proptest::collection::vec(topic, 0..4),
    )
        .prop_map(move |((throttle, cluster_id, controller_id, error_code), brokers, topics)| {
            let mut placements = Vec::new();
            let topics = topics
                .into_iter()
                .map(|(error_code, name, id, partitions)| {
                    let (partitions, places): (Vec<_>, Vec<_>) = partitions.into_iter().unzip();
                    placements.extend(places);
                    TopicMetadata { error_code, name, id: if version >= 10 { id } else { [0; 16] }, partitions }
                })
                .collect();
            let response = MetadataResponse {
                throttle_time_ms: if version >= 3 { throttle } else { 0 },
                brokers,
                cluster_id: cluster_id.filter(|_| version >= 2),
                controller_id,
                topics,
                error_code: if version >= 13 { error_code } else { 0 },
            };
            (response, placements)
        })
}

fn their_metadata_response((ours, placements): &Placed) -> theirs::MetadataResponse {
    use theirs::metadata_response::*;
    let mut placements = placements.iter();
    let nodes = |ids: &[i32]| ids.iter().map(|id| BrokerId(*id)).collect::<Vec<_>>();
    let brokers = ours.brokers.iter().map(|broker| {
        MetadataResponseBroker::default()
            .with_node_id(BrokerId(broker.id))
            .with_host(StrBytes::from_string(broker.host.clone()))
            .with_port(i32::from(broker.port))
            .with_rack(str_bytes(&broker.rack))
    });
    let topics = ours.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            let placement = placements.next().unwrap();
            MetadataResponsePartition::default()
                .with_error_code(partition.error_code)
                .with_partition_index(partition.index)
                .with_leader_id(BrokerId(partition.leader))
                .with_leader_epoch(partition.leader_epoch)
                .with_replica_nodes(nodes(&placement.replicas))
                .with_isr_nodes(nodes(&placement.in_sync))
                .with_offline_replicas(nodes(&placement.offline))
        });
        MetadataResponseTopic::default()
            .with_error_code(topic.error_code)
            .with_name(Some(TopicName(StrBytes::from_string(topic.name.clone()))))
            .with_topic_id(Uuid::from_bytes(topic.id))
            .with_partitions(partitions.collect())
    });
    let topics = topics.collect();
    theirs::MetadataResponse::default()
        .with_throttle_time_ms(ours.throttle_time_ms)
        .with_brokers(brokers.collect())
        .with_cluster_id(str_bytes(&ours.cluster_id))
        .with_controller_id(BrokerId(ours.controller_id))
        .with_topics(topics)
        .with_error_code(ours.error_code)
}

fn topic_name(name: &str) -> TopicName {
    TopicName(StrBytes::from_string(name.to_owned()))
}

/// Who asks for a transaction: its id, the producer's id and epoch.
fn transaction() -> impl Strategy<Value = (String, i64, i16)> {
    (name(), any::<i64>(), any::<i16>())
}

/// Topic, partition, error.
fn partition_errors() -> impl Strategy<Value = Vec<(String, i32, i16)>> {
    let topic = (name(), proptest::collection::vec(any::<(i32, i16)>(), 0..6));
    proptest::collection::vec(topic, 0..5).prop_map(|topics| {
        let errors = |(topic, errors): (String, Vec<(i32, i16)>)| {
            errors.into_iter().map(move |(partition, error)| (topic.clone(), partition, error))
        };
        topics.into_iter().flat_map(errors).collect()
    })
}

fn their_added_partitions(throttle_time_ms: i32, ours: &[(String, i32, i16)]) -> theirs::AddPartitionsToTxnResponse {
    use theirs::add_partitions_to_txn_response::*;
    let topics = ours.chunk_by(|one, other| one.0 == other.0).map(|topic| {
        let partition = |(_, index, error): &(String, i32, i16)| {
            AddPartitionsToTxnPartitionResult::default().with_partition_index(*index).with_partition_error_code(*error)
        };
        AddPartitionsToTxnTopicResult::default()
            .with_name(topic_name(&topic[0].0))
            .with_results_by_partition(topic.iter().map(partition).collect())
    });
    theirs::AddPartitionsToTxnResponse::default()
        .with_throttle_time_ms(throttle_time_ms)
        .with_results_by_topic_v3_and_below(topics.collect())
}

fn their_committed_offsets(throttle_time_ms: i32, ours: &[(String, i32, i16)]) -> theirs::TxnOffsetCommitResponse {
    use theirs::txn_offset_commit_response::*;
    let topics = ours.chunk_by(|one, other| one.0 == other.0).map(|topic| {
        let partition = |(_, index, error): &(String, i32, i16)| {
            TxnOffsetCommitResponsePartition::default().with_partition_index(*index).with_error_code(*error)
        };
        TxnOffsetCommitResponseTopic::default()
            .with_name(topic_name(&topic[0].0))
            .with_partitions(topic.iter().map(partition).collect())
    });
    theirs::TxnOffsetCommitResponse::default().with_throttle_time_ms(throttle_time_ms).with_topics(topics.collect())
}

/// From v4 on in the list of coordinators, before it in the answer itself.
fn their_coordinator(ours: &FindCoordinatorResponse, port: i32, version: i16) -> theirs::FindCoordinatorResponse {
    use theirs::find_coordinator_response::*;
    let response = theirs::FindCoordinatorResponse::default().with_throttle_time_ms(ours.throttle_time_ms);
    let (node, host) = (BrokerId(ours.node.id), StrBytes::from_string(ours.node.host.clone()));
    if version < 4 {
        return response
            .with_error_code(ours.error_code)
            .with_error_message(str_bytes(&ours.error_message))
            .with_node_id(node)
            .with_host(host)
            .with_port(port);
    }
    let coordinator = Coordinator::default()
        .with_key(StrBytes::from_static_str("key"))
        .with_error_code(ours.error_code)
        .with_error_message(str_bytes(&ours.error_message))
        .with_node_id(node)
        .with_host(host)
        .with_port(port);
    response.with_coordinators(vec![coordinator])
}

/// What the core asks for beside writing.
const TRANSACTIONAL: [ApiKey; 5] = [
    ApiKey::FindCoordinator,
    ApiKey::AddPartitionsToTxn,
    ApiKey::AddOffsetsToTxn,
    ApiKey::TxnOffsetCommit,
    ApiKey::EndTxn,
];

proptest! {
    #[test]
    fn the_crate_reads_our_produce_requests(request in produce_request(), version in versions::PRODUCE) {
        let frame = encode_request(Request::Produce(request.clone()), version, 77, "client é").unwrap();
        let read: theirs::ProduceRequest = read_theirs(&frame, ApiKey::Produce, version);
        prop_assert_eq!(read.acks, request.acks);
        prop_assert_eq!(read.timeout_ms, request.timeout_ms);
        prop_assert_eq!(read.transactional_id.as_ref().map(|id| id.as_str()), request.transactional_id.as_deref());
        prop_assert_eq!(read.topic_data.len(), request.topics.len());
        for (read, topic) in read.topic_data.iter().zip(&request.topics) {
            if version >= 13 {
                prop_assert_eq!(read.topic_id.as_bytes(), &topic.id);
            } else {
                prop_assert_eq!(read.name.as_str(), &*topic.name);
            }
            prop_assert_eq!(read.partition_data.len(), topic.partitions.len());
            for (read, partition) in read.partition_data.iter().zip(&topic.partitions) {
                prop_assert_eq!(read.index, partition.index);
                prop_assert_eq!(&read.records.as_ref().unwrap()[..], &[&partition.header[..], &partition.body.to_bytes()].concat());
            }
        }
    }

    /// Whatever a socket takes at a time, the pieces are the frame.
    #[test]
    fn slices_from_any_offset_continue_the_frame(request in produce_request(), step in 1usize..50_000) {
        let frame = encode_request(Request::Produce(request), 9, 77, "client").unwrap();
        let mut sent = Vec::new();
        while sent.len() < frame.len() {
            let mut slices = IoSlices::new();
            frame.slices(sent.len(), &mut slices);
            let bytes: Vec<u8> = slices.as_slice().iter().flat_map(|slice| slice.iter().copied()).take(step).collect();
            prop_assert!(!bytes.is_empty());
            sent.extend(bytes);
        }
        prop_assert_eq!(sent, frame.to_vec());
    }

    #[test]
    fn we_read_the_crates_produce_responses(
        (version, ours) in versions::PRODUCE.prop_flat_map(|version| (Just(version), produce_response(version)))
    ) {
        let frame = write_theirs(&their_produce_response(&ours), version);
        prop_assert_eq!(correlation_id(&frame), Ok(77));
        prop_assert_eq!(decode_response(ApiKey::Produce, version, &frame), Ok(Response::Produce(ours)));
    }

    #[test]
    fn the_crate_reads_our_metadata_requests(
        topics in proptest::collection::vec(name(), 0..6),
        allow in any::<bool>(),
        version in versions::METADATA,
    ) {
        let request = MetadataRequest { topics, allow_auto_topic_creation: allow };
        let frame = encode_request(Request::Metadata(request.clone()), version, 77, "client é").unwrap();
        let read: theirs::MetadataRequest = read_theirs(&frame, ApiKey::Metadata, version);
        let names: Vec<_> = read.topics.unwrap().into_iter().map(|topic| topic.name.unwrap().to_string()).collect();
        prop_assert_eq!(names, request.topics);
        prop_assert_eq!(read.allow_auto_topic_creation, version < 4 || allow);
        prop_assert!(!read.include_cluster_authorized_operations && !read.include_topic_authorized_operations);
    }

    #[test]
    fn we_read_the_crates_metadata_responses(
        (version, placed) in versions::METADATA.prop_flat_map(|version| (Just(version), metadata_response(version)))
    ) {
        let frame = write_theirs(&their_metadata_response(&placed), version);
        prop_assert_eq!(decode_response(ApiKey::Metadata, version, &frame), Ok(Response::Metadata(placed.0.clone())));
        prop_assert_eq!(metadata::decode_with_placements(&frame, version), Ok(placed));
    }

    #[test]
    fn init_producer_id_in_every_version(
        transactional_id in text(),
        timeout in any::<i32>(),
        producer_id in any::<i64>(),
        epoch in any::<i16>(),
        error_code in any::<i16>(),
        version in versions::INIT_PRODUCER_ID,
    ) {
        let request = InitProducerIdRequest {
            transactional_id: transactional_id.clone(),
            transaction_timeout_ms: timeout,
            producer_id,
            producer_epoch: epoch,
        };
        let frame = encode_request(Request::InitProducerId(request), version, 77, "client é").unwrap();
        let read: theirs::InitProducerIdRequest = read_theirs(&frame, ApiKey::InitProducerId, version);
        prop_assert_eq!(read.transactional_id, str_bytes(&transactional_id).map(TransactionalId));
        prop_assert_eq!(read.transaction_timeout_ms, timeout);
        if version >= 3 {
            prop_assert_eq!((*read.producer_id, read.producer_epoch), (producer_id, epoch));
        }

        let response = theirs::InitProducerIdResponse::default()
            .with_throttle_time_ms(timeout)
            .with_error_code(error_code)
            .with_producer_id(ProducerId(producer_id))
            .with_producer_epoch(epoch);
        let ours = InitProducerIdResponse { throttle_time_ms: timeout, error_code, producer_id, producer_epoch: epoch };
        let frame = write_theirs(&response, version);
        prop_assert_eq!(decode_response(ApiKey::InitProducerId, version, &frame), Ok(Response::InitProducerId(ours)));
    }

    #[test]
    fn find_coordinator_in_every_version(
        key in name(),
        is_transaction in any::<bool>(),
        (throttle_time_ms, error_code) in any::<(i32, i16)>(),
        error_message in text(),
        node in broker(),
        version in versions::FIND_COORDINATOR,
    ) {
        let kind = if is_transaction { CoordinatorKind::Transaction } else { CoordinatorKind::Group };
        let request = Request::FindCoordinator(FindCoordinatorRequest { key: key.clone(), kind });
        let frame = encode_request(request, version, 77, "client é").unwrap();
        let read: theirs::FindCoordinatorRequest = read_theirs(&frame, ApiKey::FindCoordinator, version);
        prop_assert_eq!(read.key_type, i8::from(is_transaction));
        if version >= 4 {
            prop_assert_eq!(read.coordinator_keys, vec![StrBytes::from_string(key)]);
        } else {
            prop_assert_eq!(read.key.as_str(), key);
        }

        let node = Broker { rack: None, ..node };
        let ours = FindCoordinatorResponse { throttle_time_ms, error_code, error_message, node };
        let frame = write_theirs(&their_coordinator(&ours, i32::from(ours.node.port), version), version);
        prop_assert_eq!(decode_response(ApiKey::FindCoordinator, version, &frame), Ok(Response::FindCoordinator(ours)));
    }

    #[test]
    fn add_partitions_to_txn_in_every_version(
        (transactional_id, producer_id, producer_epoch) in transaction(),
        topics in proptest::collection::vec((name(), any::<Vec<i32>>()), 0..5),
        throttle_time_ms in any::<i32>(),
        partitions in partition_errors(),
        version in versions::ADD_PARTITIONS_TO_TXN,
    ) {
        let request = AddPartitionsToTxnRequest {
            transactional_id: transactional_id.clone(),
            producer_id,
            producer_epoch,
            topics: topics.iter().map(|(name, partitions)| (name.as_str().into(), partitions.clone())).collect(),
        };
        let frame = encode_request(Request::AddPartitionsToTxn(request), version, 77, "client é").unwrap();
        let read: theirs::AddPartitionsToTxnRequest = read_theirs(&frame, ApiKey::AddPartitionsToTxn, version);
        prop_assert_eq!(read.v3_and_below_transactional_id.as_str(), transactional_id);
        prop_assert_eq!((*read.v3_and_below_producer_id, read.v3_and_below_producer_epoch), (producer_id, producer_epoch));
        let read: Vec<_> = read.v3_and_below_topics.iter().map(|topic| (topic.name.to_string(), topic.partitions.clone())).collect();
        prop_assert_eq!(read, topics);

        let frame = write_theirs(&their_added_partitions(throttle_time_ms, &partitions), version);
        let ours = Response::AddPartitionsToTxn(AddPartitionsToTxnResponse { throttle_time_ms, partitions });
        prop_assert_eq!(decode_response(ApiKey::AddPartitionsToTxn, version, &frame), Ok(ours));
    }

    #[test]
    fn add_offsets_to_txn_in_every_version(
        (transactional_id, producer_id, producer_epoch) in transaction(),
        group_id in name(),
        (throttle_time_ms, error_code) in any::<(i32, i16)>(),
        version in versions::ADD_OFFSETS_TO_TXN,
    ) {
        let request = AddOffsetsToTxnRequest {
            transactional_id: transactional_id.clone(),
            producer_id,
            producer_epoch,
            group_id: group_id.clone(),
        };
        let frame = encode_request(Request::AddOffsetsToTxn(request), version, 77, "client é").unwrap();
        let read: theirs::AddOffsetsToTxnRequest = read_theirs(&frame, ApiKey::AddOffsetsToTxn, version);
        prop_assert_eq!(read.transactional_id.as_str(), transactional_id);
        prop_assert_eq!((*read.producer_id, read.producer_epoch), (producer_id, producer_epoch));
        prop_assert_eq!(read.group_id, GroupId(StrBytes::from_string(group_id)));

        let response = theirs::AddOffsetsToTxnResponse::default()
            .with_throttle_time_ms(throttle_time_ms)
            .with_error_code(error_code);
        let ours = Response::AddOffsetsToTxn(AddOffsetsToTxnResponse { throttle_time_ms, error_code });
        prop_assert_eq!(decode_response(ApiKey::AddOffsetsToTxn, version, &write_theirs(&response, version)), Ok(ours));
    }

    #[test]
    fn txn_offset_commit_in_every_version(
        (transactional_id, producer_id, producer_epoch) in transaction(),
        (group_id, member_id, generation_id, group_instance_id) in (name(), name(), any::<i32>(), text()),
        offsets in proptest::collection::btree_map(("[a-c]{1,2}", any::<i32>()), (any::<i64>(), any::<i32>(), text()), 0..12)
            .prop_map(|offsets| offsets.into_iter().collect::<Vec<_>>()).prop_shuffle(),
        throttle_time_ms in any::<i32>(),
        partitions in partition_errors(),
        version in versions::TXN_OFFSET_COMMIT,
    ) {
        let offsets: Vec<_> = offsets.into_iter().map(|((topic, partition), (offset, leader_epoch, metadata))| {
            TxnOffset { topic, partition, offset, leader_epoch, metadata }
        }).collect();
        let request = TxnOffsetCommitRequest {
            transactional_id: transactional_id.clone(),
            group_id: group_id.clone(),
            producer_id,
            producer_epoch,
            generation_id,
            member_id: member_id.clone(),
            group_instance_id: group_instance_id.clone(),
            offsets: offsets.clone(),
        };
        let frame = encode_request(Request::TxnOffsetCommit(request), version, 77, "client é").unwrap();
        let read: theirs::TxnOffsetCommitRequest = read_theirs(&frame, ApiKey::TxnOffsetCommit, version);
        prop_assert_eq!(read.transactional_id.as_str(), transactional_id);
        prop_assert_eq!(read.group_id.as_str(), group_id);
        prop_assert_eq!((*read.producer_id, read.producer_epoch), (producer_id, producer_epoch));
        if version >= 3 {
            prop_assert_eq!((read.generation_id, read.member_id.as_str()), (generation_id, member_id.as_str()));
            prop_assert_eq!(read.group_instance_id, str_bytes(&group_instance_id));
        }
        // Each topic once; within it in the order in which they were given.
        prop_assert!(read.topics.is_sorted_by(|one, other| one.name.as_str() < other.name.as_str()));
        let read: Vec<_> = read.topics.iter().flat_map(|topic| topic.partitions.iter().map(|partition| TxnOffset {
            topic: topic.name.to_string(),
            partition: partition.partition_index,
            offset: partition.committed_offset,
            leader_epoch: partition.committed_leader_epoch,
            metadata: partition.committed_metadata.as_ref().map(ToString::to_string),
        })).collect();
        let mut expected = offsets;
        expected.sort_by(|one, other| one.topic.cmp(&other.topic));
        expected.iter_mut().filter(|_| version < 2).for_each(|offset| offset.leader_epoch = -1);
        prop_assert_eq!(read, expected);

        let frame = write_theirs(&their_committed_offsets(throttle_time_ms, &partitions), version);
        let ours = Response::TxnOffsetCommit(TxnOffsetCommitResponse { throttle_time_ms, partitions });
        prop_assert_eq!(decode_response(ApiKey::TxnOffsetCommit, version, &frame), Ok(ours));
    }

    #[test]
    fn end_txn_in_every_version(
        (transactional_id, producer_id, producer_epoch) in transaction(),
        committed in any::<bool>(),
        (throttle_time_ms, error_code) in any::<(i32, i16)>(),
        version in versions::END_TXN,
    ) {
        let request =
            EndTxnRequest { transactional_id: transactional_id.clone(), producer_id, producer_epoch, committed };
        let frame = encode_request(Request::EndTxn(request), version, 77, "client é").unwrap();
        let read: theirs::EndTxnRequest = read_theirs(&frame, ApiKey::EndTxn, version);
        prop_assert_eq!(read.transactional_id.as_str(), transactional_id);
        prop_assert_eq!((*read.producer_id, read.producer_epoch, read.committed), (producer_id, producer_epoch, committed));

        let response = theirs::EndTxnResponse::default()
            .with_throttle_time_ms(throttle_time_ms)
            .with_error_code(error_code)
            .with_producer_id(ProducerId(producer_id))
            .with_producer_epoch(producer_epoch);
        let (producer_id, producer_epoch) = if version >= 5 { (producer_id, producer_epoch) } else { (-1, -1) };
        let ours = Response::EndTxn(EndTxnResponse { throttle_time_ms, error_code, producer_id, producer_epoch });
        prop_assert_eq!(decode_response(ApiKey::EndTxn, version, &write_theirs(&response, version)), Ok(ours));
    }

    #[test]
    fn api_versions_in_every_version(
        apis in proptest::collection::btree_map(any::<i16>(), any::<(i16, i16)>(), 0..80),
        features in proptest::collection::btree_map("[a-z.]{1,20}", any::<i16>(), 0..5),
        transaction_version in proptest::option::of(any::<i16>()),
        version in versions::API_VERSIONS,
    ) {
        let frame = api_versions::encode(version, 77, "client é").unwrap();
        let read: theirs::ApiVersionsRequest = read_theirs(&frame, ApiKey::ApiVersions, version);
        prop_assert_eq!(read.client_software_name.as_str(), if version >= 3 { "pointsman" } else { "" });

        let mut response = theirs::ApiVersionsResponse::default().with_api_keys(
            apis.iter()
                .rev()
                .map(|(code, (min, max))| {
                    theirs::api_versions_response::ApiVersion::default()
                        .with_api_key(*code)
                        .with_min_version(*min)
                        .with_max_version(*max)
                })
                .collect(),
        );
        if version >= 3 {
            let supported = theirs::api_versions_response::SupportedFeatureKey::default()
                .with_name(StrBytes::from_static_str("transaction.version"))
                .with_max_version(9);
            let known = transaction_version.map(|level| ("transaction.version".to_owned(), level));
            let features = features.into_iter().chain(known).map(|(name, level)| {
                theirs::api_versions_response::FinalizedFeatureKey::default()
                    .with_name(StrBytes::from_string(name))
                    .with_max_version_level(level)
                    .with_min_version_level(1)
            });
            response = response
                .with_supported_features(vec![supported])
                .with_finalized_features_epoch(3)
                .with_finalized_features(features.collect())
                .with_zk_migration_ready(true);
        }
        let read = api_versions::decode(&write_theirs(&response, version), version).unwrap();
        prop_assert_eq!(read.error_code, 0);
        let expected: Vec<_> = apis.into_iter().map(|(code, (min, max))| (code, min..=max)).collect();
        prop_assert_eq!(read.versions.apis, expected);
        let expected = transaction_version.filter(|_| version >= 3).unwrap_or(0);
        prop_assert_eq!(read.versions.transaction_version, expected);
    }

    #[test]
    fn create_topics_in_every_version(
        topic in name(),
        partitions in any::<i32>(),
        replicas in any::<i16>(),
        config in (name(), text()),
        error_code in any::<i16>(),
        message in text(),
        id in any::<[u8; 16]>(),
        validate_only in any::<bool>(),
        version in versions::CREATE_TOPICS,
    ) {
        let request = create_topics::CreateTopicsRequest {
            topics: vec![create_topics::NewTopic {
                name: topic.clone(),
                partitions,
                replication_factor: replicas,
                configs: vec![config.clone()],
            }],
            timeout_ms: 1234,
            validate_only,
        };
        let frame = create_topics::encode(&request, version, 77, "client é").unwrap();
        let read: theirs::CreateTopicsRequest = read_theirs(&frame, ApiKey::CreateTopics, version);
        prop_assert_eq!((read.timeout_ms, read.validate_only), (1234, validate_only));
        prop_assert_eq!(read.topics[0].name.as_str(), &topic);
        prop_assert_eq!(read.topics[0].num_partitions, partitions);
        prop_assert_eq!(read.topics[0].replication_factor, replicas);
        prop_assert_eq!(read.topics[0].configs[0].name.as_str(), config.0.as_str());
        prop_assert_eq!(&read.topics[0].configs[0].value, &str_bytes(&config.1));

        use theirs::create_topics_response::*;
        let mut result = CreatableTopicResult::default()
            .with_name(TopicName(StrBytes::from_string(topic.clone())))
            .with_error_code(error_code)
            .with_error_message(str_bytes(&message));
        if version >= 5 {
            result = result.with_num_partitions(partitions).with_replication_factor(replicas).with_configs(Some(vec![
                CreatableTopicConfigs::default()
                    .with_name(StrBytes::from_string(config.0.clone()))
                    .with_value(str_bytes(&config.1)),
            ]));
        }
        if version >= 7 {
            result = result.with_topic_id(Uuid::from_bytes(id));
        }
        let response = theirs::CreateTopicsResponse::default().with_topics(vec![result]);
        let read = create_topics::decode(&write_theirs(&response, version), version).unwrap();
        prop_assert_eq!(read, vec![create_topics::CreatedTopic {
            name: topic,
            id: if version >= 7 { id } else { [0; 16] },
            error_code,
            error_message: message,
            partitions: if version >= 5 { partitions } else { -1 },
            replication_factor: if version >= 5 { replicas } else { -1 },
        }]);
    }

    #[test]
    fn list_offsets_in_every_version(
        topic in name(),
        listed in proptest::collection::vec((any::<i32>(), any::<i16>(), any::<i64>()), 0..20),
        latest in any::<bool>(),
        version in versions::LIST_OFFSETS,
    ) {
        let end = if latest { list_offsets::End::Latest } else { list_offsets::End::Earliest };
        let partitions: Vec<i32> = listed.iter().map(|(partition, ..)| *partition).collect();
        let frame = list_offsets::encode(&topic, &partitions, end, version, 77, "client é").unwrap();
        let read: theirs::ListOffsetsRequest = read_theirs(&frame, ApiKey::ListOffsets, version);
        prop_assert_eq!((read.replica_id, read.isolation_level), (BrokerId(-1), 0));
        prop_assert_eq!(read.topics[0].name.as_str(), &topic);
        let asked: Vec<_> = read.topics[0].partitions.iter().map(|asked| (asked.partition_index, asked.timestamp)).collect();
        let timestamp = if latest { -1 } else { -2 };
        prop_assert_eq!(asked, partitions.iter().map(|partition| (*partition, timestamp)).collect::<Vec<_>>());

        use theirs::list_offsets_response::*;
        let told = |&(partition, error, offset): &(i32, i16, i64)| ListOffsetsPartitionResponse::default()
            .with_partition_index(partition)
            .with_error_code(error)
            .with_offset(offset);
        let told = ListOffsetsTopicResponse::default()
            .with_name(TopicName(StrBytes::from_string(topic)))
            .with_partitions(listed.iter().map(told).collect());
        let response = theirs::ListOffsetsResponse::default().with_topics(vec![told]);
        let read = list_offsets::decode(&write_theirs(&response, version), version).unwrap();
        let expected: Vec<_> = listed
            .into_iter()
            .map(|(partition, error_code, offset)| list_offsets::ListedOffset { partition, error_code, offset })
            .collect();
        prop_assert_eq!(read, expected);
    }

    #[test]
    fn describe_configs_in_every_version(
        topic in name(),
        told in proptest::collection::vec((name(), text(), any::<i8>()), 0..10),
        error_code in any::<i16>(),
        message in text(),
        version in versions::DESCRIBE_CONFIGS,
    ) {
        let frame = describe_configs::encode(&topic, version, 77, "client é").unwrap();
        let read: theirs::DescribeConfigsRequest = read_theirs(&frame, ApiKey::DescribeConfigs, version);
        prop_assert_eq!((read.resources[0].resource_type, read.resources[0].resource_name.as_str()), (2, topic.as_str()));
        prop_assert!(read.resources[0].configuration_keys.is_none());

        use theirs::describe_configs_response::*;
        let config = |(name, value, source): &(String, Option<String>, i8)| {
            let synonym = DescribeConfigsSynonym::default().with_name(StrBytes::from_static_str("other"));
            let config = DescribeConfigsResourceResult::default()
                .with_name(StrBytes::from_string(name.clone()))
                .with_value(str_bytes(value))
                .with_config_source(*source)
                .with_synonyms(vec![synonym]);
            if version >= 3 { config.with_config_type(2).with_documentation(str_bytes(value)) } else { config }
        };
        let result = DescribeConfigsResult::default()
            .with_error_code(error_code)
            .with_error_message(str_bytes(&message))
            .with_resource_type(2)
            .with_resource_name(StrBytes::from_string(topic))
            .with_configs(told.iter().map(config).collect());
        let response = theirs::DescribeConfigsResponse::default().with_results(vec![result]);
        let read = describe_configs::decode(&write_theirs(&response, version), version).unwrap();
        let configs = told
            .into_iter()
            .map(|(name, value, source)| describe_configs::DescribedConfig { name, value, source })
            .collect();
        prop_assert_eq!(read, describe_configs::DescribedConfigs { error_code, error_message: message, configs });
    }

    #[test]
    fn sasl_in_every_version(
        mechanism in name(),
        mechanisms in proptest::collection::vec(name(), 0..5),
        auth_bytes in any::<Vec<u8>>(),
        error_code in any::<i16>(),
        message in text(),
        lifetime in any::<i64>(),
        version in versions::SASL_AUTHENTICATE,
    ) {
        let frame = sasl::encode_handshake(&mechanism, 1, 77, "client é").unwrap();
        let read: theirs::SaslHandshakeRequest = read_bytes(frame, ApiKey::SaslHandshake, 1);
        prop_assert_eq!(read.mechanism.as_str(), mechanism);
        let listed = mechanisms.iter().map(|name| StrBytes::from_string(name.clone())).collect();
        let response = theirs::SaslHandshakeResponse::default().with_error_code(error_code).with_mechanisms(listed);
        let read = sasl::decode_handshake(&write_theirs(&response, 1), 1).unwrap();
        prop_assert_eq!(read, sasl::SaslHandshakeResponse { error_code, mechanisms });

        let frame = sasl::encode_authenticate(&auth_bytes, version, 77, "client é").unwrap();
        let read: theirs::SaslAuthenticateRequest = read_bytes(frame.to_vec(), ApiKey::SaslAuthenticate, version);
        prop_assert_eq!(&read.auth_bytes[..], &auth_bytes[..]);
        let session_lifetime_ms = if version >= 1 { lifetime } else { 0 };
        let response = theirs::SaslAuthenticateResponse::default()
            .with_error_code(error_code)
            .with_error_message(str_bytes(&message))
            .with_auth_bytes(Bytes::from(auth_bytes.clone()))
            .with_session_lifetime_ms(session_lifetime_ms);
        let read = sasl::decode_authenticate(&write_theirs(&response, version), version).unwrap();
        let expected = sasl::SaslAuthenticateResponse { error_code, error_message: message, auth_bytes, session_lifetime_ms };
        prop_assert!(read == expected);
    }

    #[test]
    fn metadata_of_all_topics_in_every_version(version in versions::METADATA) {
        let frame = metadata::encode_all(version, 77, "client é").unwrap();
        let read: theirs::MetadataRequest = read_theirs(&frame, ApiKey::Metadata, version);
        prop_assert!(read.topics.is_none());
        prop_assert!(version < 4 || !read.allow_auto_topic_creation);
    }

    /// A frame that was cut, stretched or changed is an answer or an error, and never more than its bytes allow.
    #[test]
    fn tampered_frames_never_panic(
        (version, ours) in versions::PRODUCE.prop_flat_map(|version| (Just(version), produce_response(version))),
        placed in metadata_response(12),
        errors in partition_errors(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in proptest::option::of(any::<prop::sample::Index>()),
        read_as in 0i16..=13,
    ) {
        for frame in [
            write_theirs(&their_produce_response(&ours), version),
            write_theirs(&their_metadata_response(&placed), 12),
            write_theirs(&their_added_partitions(0, &errors), 3),
        ] {
            let mut frame = frame;
            for (at, byte) in &changes {
                let at = at.index(frame.len());
                frame[at] = *byte;
            }
            if let Some(cut) = cut {
                frame.truncate(cut.index(frame.len()));
            }
            let mut made = 0;
            let read = [(ApiKey::Produce, version), (ApiKey::Metadata, 12), (ApiKey::Produce, read_as), (ApiKey::Metadata, read_as)];
            for (api, version) in read.into_iter().chain(TRANSACTIONAL.map(|api| (api, read_as))) {
                made = made.max(match decode_response(api, version, &frame) {
                    Ok(Response::Produce(response)) => response.partitions.capacity() * size_of::<PartitionResponse>(),
                    Ok(Response::Metadata(response)) => response.topics.capacity() * size_of::<TopicMetadata>(),
                    Ok(
                        Response::AddPartitionsToTxn(AddPartitionsToTxnResponse { partitions, .. })
                        | Response::TxnOffsetCommit(TxnOffsetCommitResponse { partitions, .. }),
                    ) => partitions.capacity() * size_of::<(String, i32, i16)>(),
                    _ => 0,
                });
            }
            prop_assert!(made <= 16 * frame.len() + 1024, "{made} bytes of {}", frame.len());
            let _ = decode_response(ApiKey::InitProducerId, read_as, &frame);
            let _ = api_versions::decode(&frame, read_as);
            let _ = create_topics::decode(&frame, read_as);
            let _ = list_offsets::decode(&frame, read_as);
            let _ = describe_configs::decode(&frame, read_as);
            let _ = sasl::decode_handshake(&frame, read_as);
            let _ = sasl::decode_authenticate(&frame, read_as);
            let _ = metadata::decode_with_placements(&frame, read_as);
        }
    }

    #[test]
    fn random_bytes_never_panic(frame in proptest::collection::vec(prop_oneof![Just(0u8), Just(1), Just(0xff), any::<u8>()], 0..200), version in 0i16..=13) {
        for api in [ApiKey::Produce, ApiKey::Metadata, ApiKey::InitProducerId, ApiKey::ApiVersions, ApiKey::CreateTopics] {
            let _ = decode_response(api, version, &frame);
        }
        for api in TRANSACTIONAL {
            let _ = decode_response(api, version, &frame);
        }
        let _ = api_versions::decode(&frame, version);
        let _ = create_topics::decode(&frame, version);
        let _ = list_offsets::decode(&frame, version);
        let _ = describe_configs::decode(&frame, version);
        let _ = sasl::decode_handshake(&frame, version);
        let _ = sasl::decode_authenticate(&frame, version);
        let _ = metadata::decode_with_placements(&frame, version);
    }
}

#[test]
fn a_count_beyond_the_frame_reserves_nothing() {
    // Correlation id, what stands before the array, then an array of two thousand million items.
    for (api, version, before) in [
        (ApiKey::Produce, 3, 0),
        (ApiKey::FindCoordinator, 4, 5),
        (ApiKey::AddPartitionsToTxn, 2, 4),
        (ApiKey::AddPartitionsToTxn, 3, 5),
        (ApiKey::TxnOffsetCommit, 2, 4),
        (ApiKey::TxnOffsetCommit, 5, 5),
    ] {
        let mut frame = 1i32.to_be_bytes().to_vec();
        frame.extend(vec![0; before]);
        if versions::is_flexible(api, version) {
            frame.extend([0xff, 0xff, 0xff, 0xff, 0x07]);
        } else {
            frame.extend(0x7fff_ffffi32.to_be_bytes());
        }
        let error = decode_response(api, version, &frame).unwrap_err();
        let len = frame.len();
        assert_eq!(error.to_string(), format!("an array is longer than the message, at byte {len} of {len}"));
    }
}

#[test]
fn features_beyond_their_tag_are_an_error() {
    // Correlation id, error, no APIs, throttle time; then one tagged field, the finalized features, of a few bytes.
    let mut frame = vec![0; 4 + 2];
    frame.push(1);
    frame.extend([0; 4]);
    let features = |bytes: &[u8]| [&frame[..], &[1, 2, bytes.len() as u8], bytes].concat();
    let level = |bytes: &[u8]| api_versions::decode(&features(bytes), 3).map(|read| read.versions.transaction_version);
    let name = b"transaction.version";
    let good = [&[2, name.len() as u8 + 1][..], name, &[0, 2, 0, 1, 0]].concat();
    assert_eq!(level(&good), Ok(2));
    assert_eq!(level(&[0]), Ok(0), "null");
    let error = level(&[0xff, 0xff, 0xff, 0xff, 0x07]).unwrap_err();
    assert_eq!(error.to_string(), "an array is longer than the message, at byte 5 of 5");
    for cut in 1..good.len() {
        assert!(level(&good[..cut]).is_err(), "{cut}");
    }
    // The tag ends where it says, whatever its count says of the bytes behind it.
    let behind = [&frame[..], &[1, 2, 1], &good].concat();
    assert!(api_versions::decode(&behind, 3).is_err());
}

#[test]
fn a_coordinator_that_is_not_there_is_an_error_of_the_answer() {
    let nobody = Broker { id: -1, host: String::new(), port: 0, rack: None };
    let found = |error_code, error_message| FindCoordinatorResponse {
        throttle_time_ms: 5,
        error_code,
        error_message,
        node: nobody.clone(),
    };
    for version in versions::FIND_COORDINATOR {
        let read = |response: &theirs::FindCoordinatorResponse| {
            decode_response(ApiKey::FindCoordinator, version, &write_theirs(response, version))
        };
        let ours = found(error_code::COORDINATOR_LOAD_IN_PROGRESS, Some("loading".to_owned()));
        assert_eq!(read(&their_coordinator(&ours, -1, version)), Ok(Response::FindCoordinator(ours)));
        // Without an error it must have a port.
        assert!(read(&their_coordinator(&found(0, None), -1, version)).is_err());
        assert!(read(&their_coordinator(&found(0, None), 65_536, version)).is_err());
    }
    let none = theirs::FindCoordinatorResponse::default().with_throttle_time_ms(5);
    let read = decode_response(ApiKey::FindCoordinator, 4, &write_theirs(&none, 4));
    assert_eq!(read, Ok(Response::FindCoordinator(found(error_code::COORDINATOR_NOT_AVAILABLE, None))));
}

#[test]
fn a_long_name_is_not_repeated_for_each_partition() {
    let partitions = vec![theirs::produce_response::PartitionProduceResponse::default(); 1000];
    let topic = theirs::produce_response::TopicProduceResponse::default()
        .with_name(TopicName(StrBytes::from_string("n".repeat(30_000))))
        .with_partition_responses(partitions);
    let frame = write_theirs(&theirs::ProduceResponse::default().with_responses(vec![topic]), 9);
    assert!(decode_response(ApiKey::Produce, 9, &frame).is_err());

    let errors: Vec<_> = (0..1000).map(|partition| ("n".repeat(30_000), partition, 0)).collect();
    let frame = write_theirs(&their_added_partitions(0, &errors), 3);
    let error = decode_response(ApiKey::AddPartitionsToTxn, 3, &frame).unwrap_err();
    assert!(error.to_string().starts_with("a topic's name is too long"), "{error}");
    let frame = write_theirs(&their_committed_offsets(0, &errors), 5);
    assert!(decode_response(ApiKey::TxnOffsetCommit, 5, &frame).is_err());
}

#[test]
fn a_broker_that_does_not_know_the_version_of_api_versions_is_understood() {
    let api = theirs::api_versions_response::ApiVersion::default().with_api_key(18).with_max_version(2);
    let response = theirs::ApiVersionsResponse::default()
        .with_error_code(error_code::UNSUPPORTED_VERSION)
        .with_api_keys(vec![api]);
    let read = api_versions::decode(&write_theirs(&response, 0), 4).unwrap();
    assert_eq!(read.error_code, error_code::UNSUPPORTED_VERSION);
    assert_eq!(read.versions, ApiVersions { apis: vec![(18, 0..=2)], transaction_version: 0 });
}

#[test]
fn what_does_not_fit_is_an_error() {
    let request = |topic: String| Request::Metadata(MetadataRequest { topics: vec![topic], ..Default::default() });
    assert!(encode_request(request("t".repeat(32_767)), 4, 1, "c").is_ok());
    let error = encode_request(request("t".repeat(32_768)), 4, 1, "c").unwrap_err();
    assert_eq!(error.to_string(), "a Metadata request is too long for the protocol");
    let error = encode_request(request("t".to_owned()), 14, 1, "c").unwrap_err();
    assert_eq!(error.to_string(), "Metadata version 14 is not spoken");
}

/// What is reserved for a request's head is what it takes: it is never moved while it grows.
#[test]
fn the_head_is_reserved_at_once() {
    let partition = |index| ProducePartition { index, header: [1; 61], body: Bytes::from_static(b"records").into() };
    for version in versions::PRODUCE {
        let topics = (0..3)
            .map(|at| ProduceTopic {
                name: format!("topic-{at}").into(),
                id: [7; 16],
                partitions: (0..50).map(partition).collect(),
            })
            .collect();
        let request = ProduceRequest { acks: -1, timeout_ms: 1, transactional_id: Some("tx".to_owned()), topics };
        let frame = encode_request(Request::Produce(request), version, 1, "client").unwrap();
        let spare = frame.head.capacity() - frame.head.len();
        assert!(spare < 1024, "{version}: {spare} of {}", frame.head.capacity());
    }
}
