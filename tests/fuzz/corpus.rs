//! Good bytes to begin with: each message in each version, as the `kafka-protocol` crate writes it.

use crate::protocol::messages::ApiKey;
use crate::protocol::versions;
use bytes::BytesMut;
use kafka_protocol::messages as theirs;
use kafka_protocol::messages::{BrokerId, ProducerId, TopicName};
use kafka_protocol::protocol::{Encodable, HeaderVersion, StrBytes};

/// Each version's frame behind the byte that chooses the version.
fn in_each_version<T: Encodable + HeaderVersion>(api: ApiKey, response: impl Fn(i16) -> T) -> Vec<Vec<u8>> {
    let frame = |(choice, version): (usize, i16)| {
        let mut bytes = BytesMut::from(&[choice as u8][..]);
        let header = theirs::ResponseHeader::default().with_correlation_id(77);
        header.encode(&mut bytes, T::header_version(version)).expect("a good header");
        response(version).encode(&mut bytes, version).expect("a good response");
        bytes.to_vec()
    };
    versions::ours(api).enumerate().map(frame).collect()
}

fn text(text: &'static str) -> StrBytes {
    StrBytes::from_static_str(text)
}

pub fn produce() -> Vec<Vec<u8>> {
    use theirs::produce_response::*;
    in_each_version(ApiKey::Produce, |version| {
        let partition = |index| {
            let mut partition = PartitionProduceResponse::default().with_index(index).with_base_offset(1 << 33);
            if version >= 8 && index == 1 {
                let error = BatchIndexAndErrorMessage::default()
                    .with_batch_index(3)
                    .with_batch_index_error_message(Some(text("too old")));
                partition = partition.with_record_errors(vec![error]).with_error_message(Some(text("no")));
            }
            if version >= 10 && index == 2 {
                let leader = LeaderIdAndEpoch::default().with_leader_id(BrokerId(2)).with_leader_epoch(9);
                partition = partition.with_error_code(6).with_current_leader(leader);
            }
            partition
        };
        let topic = |name| {
            let topic = TopicProduceResponse::default().with_partition_responses((0..3).map(partition).collect());
            match version {
                13.. => topic.with_topic_id(uuid::Uuid::from_bytes([7; 16])),
                _ => topic.with_name(TopicName(text(name))),
            }
        };
        let mut response = theirs::ProduceResponse::default().with_responses(vec![topic("orders"), topic("é")]);
        if version >= 10 {
            let node = NodeEndpoint::default().with_node_id(BrokerId(2)).with_host(text("b2")).with_port(9092);
            response = response.with_node_endpoints(vec![node]);
        }
        response
    })
}

pub fn metadata() -> Vec<Vec<u8>> {
    use theirs::metadata_response::*;
    in_each_version(ApiKey::Metadata, |version| {
        let broker = |id| {
            let rack = (id == 1).then(|| text("rack"));
            MetadataResponseBroker::default()
                .with_node_id(BrokerId(id))
                .with_host(text("host"))
                .with_port(9092)
                .with_rack(rack)
        };
        let partition = |index| {
            let nodes = vec![BrokerId(1), BrokerId(2)];
            MetadataResponsePartition::default()
                .with_partition_index(index)
                .with_leader_id(BrokerId(1))
                .with_replica_nodes(nodes.clone())
                .with_isr_nodes(nodes)
        };
        let mut topic = MetadataResponseTopic::default()
            .with_name(Some(TopicName(text("orders"))))
            .with_partitions((0..4).map(partition).collect());
        if version >= 10 {
            topic = topic.with_topic_id(uuid::Uuid::from_bytes([7; 16]));
        }
        let mut response = theirs::MetadataResponse::default()
            .with_brokers(vec![broker(1), broker(2)])
            .with_controller_id(BrokerId(1))
            .with_topics(vec![topic.clone(), topic]);
        if version >= 2 {
            response = response.with_cluster_id(Some(text("cluster")));
        }
        response
    })
}

pub fn api_versions() -> Vec<Vec<u8>> {
    use theirs::api_versions_response::*;
    let good = in_each_version(ApiKey::ApiVersions, |version| {
        let api = |code| ApiVersion::default().with_api_key(code).with_max_version(11);
        let response = theirs::ApiVersionsResponse::default().with_api_keys([0, 3, 18, 19, 22].map(api).to_vec());
        if version < 3 {
            return response;
        }
        let feature = FinalizedFeatureKey::default().with_name(text("transaction.version")).with_max_version_level(2);
        let other = FinalizedFeatureKey::default().with_name(text("metadata.version")).with_max_version_level(27);
        response.with_finalized_features_epoch(3).with_finalized_features(vec![other, feature])
    });
    // UNSUPPORTED_VERSION comes in version 0, whatever was asked.
    let refused = good[0].iter().enumerate().map(|(at, byte)| match at {
        0 => 4,
        6 => 35,
        _ => *byte,
    });
    let refused = refused.collect();
    good.into_iter().chain([refused]).collect()
}

pub fn init_producer_id() -> Vec<Vec<u8>> {
    in_each_version(ApiKey::InitProducerId, |_| {
        theirs::InitProducerIdResponse::default().with_producer_id(ProducerId(1 << 40)).with_producer_epoch(3)
    })
}

pub fn find_coordinator() -> Vec<Vec<u8>> {
    use theirs::find_coordinator_response::*;
    in_each_version(ApiKey::FindCoordinator, |version| {
        let response = theirs::FindCoordinatorResponse::default();
        if version < 4 {
            return response.with_node_id(BrokerId(2)).with_host(text("host")).with_port(9092);
        }
        let found = Coordinator::default()
            .with_key(text("id"))
            .with_node_id(BrokerId(2))
            .with_host(text("host"))
            .with_port(9092);
        let missing = Coordinator::default()
            .with_node_id(BrokerId(-1))
            .with_port(-1)
            .with_error_code(15)
            .with_error_message(Some(text("not yet")));
        response.with_coordinators(vec![found, missing])
    })
}

pub fn add_partitions_to_txn() -> Vec<Vec<u8>> {
    use theirs::add_partitions_to_txn_response::*;
    in_each_version(ApiKey::AddPartitionsToTxn, |_| {
        let partition = |index| {
            AddPartitionsToTxnPartitionResult::default().with_partition_index(index).with_partition_error_code(55)
        };
        let topic = AddPartitionsToTxnTopicResult::default()
            .with_name(TopicName(text("orders")))
            .with_results_by_partition((0..4).map(partition).collect());
        theirs::AddPartitionsToTxnResponse::default().with_results_by_topic_v3_and_below(vec![topic.clone(), topic])
    })
}

pub fn add_offsets_to_txn() -> Vec<Vec<u8>> {
    in_each_version(ApiKey::AddOffsetsToTxn, |_| theirs::AddOffsetsToTxnResponse::default().with_error_code(51))
}

pub fn txn_offset_commit() -> Vec<Vec<u8>> {
    use theirs::txn_offset_commit_response::*;
    in_each_version(ApiKey::TxnOffsetCommit, |_| {
        let partition =
            |index| TxnOffsetCommitResponsePartition::default().with_partition_index(index).with_error_code(22);
        let topic = TxnOffsetCommitResponseTopic::default()
            .with_name(TopicName(text("orders")))
            .with_partitions((0..4).map(partition).collect());
        theirs::TxnOffsetCommitResponse::default().with_topics(vec![topic.clone(), topic])
    })
}

pub fn end_txn() -> Vec<Vec<u8>> {
    in_each_version(ApiKey::EndTxn, |_| {
        theirs::EndTxnResponse::default().with_producer_id(ProducerId(1 << 40)).with_producer_epoch(3)
    })
}

pub fn create_topics() -> Vec<Vec<u8>> {
    use theirs::create_topics_response::*;
    in_each_version(ApiKey::CreateTopics, |version| {
        let mut topic = CreatableTopicResult::default()
            .with_name(TopicName(text("orders")))
            .with_error_code(36)
            .with_error_message(Some(text("it is there")));
        if version >= 5 {
            let config = CreatableTopicConfigs::default().with_name(text("retention.ms")).with_value(Some(text("1")));
            topic = topic.with_num_partitions(6).with_replication_factor(3).with_configs(Some(vec![config; 2]));
        }
        if version >= 7 {
            topic = topic.with_topic_id(uuid::Uuid::from_bytes([7; 16]));
        }
        theirs::CreateTopicsResponse::default().with_topics(vec![topic.clone(), topic])
    })
}

pub fn list_offsets() -> Vec<Vec<u8>> {
    use theirs::list_offsets_response::*;
    in_each_version(ApiKey::ListOffsets, |_| {
        let partition = |index| {
            ListOffsetsPartitionResponse::default().with_partition_index(index).with_offset(1 << 33).with_timestamp(-1)
        };
        let topic = ListOffsetsTopicResponse::default()
            .with_name(TopicName(text("orders")))
            .with_partitions((0..4).map(partition).collect());
        theirs::ListOffsetsResponse::default().with_topics(vec![topic])
    })
}

pub fn describe_configs() -> Vec<Vec<u8>> {
    use theirs::describe_configs_response::*;
    in_each_version(ApiKey::DescribeConfigs, |version| {
        let mut config = DescribeConfigsResourceResult::default()
            .with_name(text("retention.ms"))
            .with_value(Some(text("3600000")))
            .with_config_source(1);
        let synonym = DescribeConfigsSynonym::default().with_name(text("log.retention.ms")).with_source(5);
        config = config.with_synonyms(vec![synonym; 2]);
        if version >= 3 {
            config = config.with_config_type(5).with_documentation(Some(text("how long")));
        }
        let secret = config.clone().with_value(None).with_is_sensitive(true);
        let result = DescribeConfigsResult::default()
            .with_resource_type(2)
            .with_resource_name(text("orders"))
            .with_configs(vec![config, secret]);
        theirs::DescribeConfigsResponse::default().with_results(vec![result])
    })
}

/// Answers one after another, as a socket gives them, behind the byte that says how many bytes come at a time.
pub fn streams() -> Vec<Vec<u8>> {
    let frames = [produce(), metadata(), init_producer_id()].concat();
    let mut stream = Vec::new();
    for frame in &frames[..12] {
        stream.extend((frame.len() as i32).to_be_bytes());
        stream.extend(frame);
    }
    let large = [&30_000i32.to_be_bytes()[..], &[5; 30_000]].concat();
    let behind = |step: u8, stream: &[u8]| [&[step][..], stream].concat();
    vec![
        behind(0, &stream[..200]),
        behind(3, &stream),
        behind(255, &large),
        behind(255, b"HTTP/1.1 400 Bad Request\r\n"),
    ]
}

pub fn properties() -> Vec<Vec<u8>> {
    let text = "# of Java\nbootstrap.servers=a:9092,[::1]:9092\nacks = all\nlinger.ms: 5\nbatch.size 16384\n\
                client.id=\\u00e9\\\n  long\ncompression.type=zstd\ninterceptor.classes=wasm:masking\n\
                plugins.masking.component=plugins/masking.wasm\nplugins.masking.settings.field=card\n\
                enable.idempotence=true\n";
    vec![text.into(), b"bootstrap.servers=localhost:9092\n".to_vec()]
}

pub fn toml() -> Vec<Vec<u8>> {
    let text = "preset = \"reliable\"\n[producer]\n\"bootstrap.servers\" = \"a:9092\"\n\"linger.ms\" = 5\nacks = \"all\"\n\
                \"batch.size\" = 16_384\n\"interceptor.classes\" = [\"wasm:masking\"]\n\
                [plugins.masking]\ncomponent = \"masking.wasm\"\n\
                [plugins.masking.settings]\nfield = \"card\"\n";
    vec![text.into(), b"[producer]\nbootstrap.servers = \"localhost:9092\"\n".to_vec()]
}
