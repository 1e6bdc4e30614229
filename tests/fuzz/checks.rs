//! What holds for any bytes at all. Shared by the fuzzers and the test on stable Rust; each of these may panic only if
//! something is wrong.

use crate::config::Config;
use crate::frames::FrameBuffer;
use crate::protocol::codec::{self, api_versions, create_topics, describe_configs, list_offsets, metadata};
use crate::protocol::messages::{ApiKey, Response};
use crate::protocol::versions;

/// The first byte chooses the version, the rest is the frame.
fn versioned(api: ApiKey, data: &[u8]) -> Option<(i16, &[u8])> {
    let (&choice, frame) = data.split_first()?;
    let versions = versions::ours(api);
    let count = versions.end() - versions.start() + 1;
    Some((versions.start() + i16::from(choice) % count, frame))
}

fn decoded(api: ApiKey, data: &[u8]) -> Option<Response> {
    let (version, frame) = versioned(api, data)?;
    let decoded = codec::decode_response(api, version, frame).ok()?;
    assert!(codec::correlation_id(frame).is_ok(), "what is read whole has a correlation id");
    Some(decoded)
}

pub fn produce(data: &[u8]) {
    decoded(ApiKey::Produce, data);
}

pub fn metadata(data: &[u8]) {
    let response = decoded(ApiKey::Metadata, data);
    let Some((version, frame)) = versioned(ApiKey::Metadata, data) else { return };
    // Two readers of the same bytes agree, but for the contents of what one of them skips.
    let placed = metadata::decode_with_placements(frame, version).ok();
    let partitions = |response: &Response| match response {
        Response::Metadata(response) => response.topics.iter().map(|topic| topic.partitions.len()).sum(),
        _ => 0usize,
    };
    match (response, placed) {
        (Some(response), Some((same, placements))) => {
            assert_eq!(partitions(&response), placements.len());
            assert_eq!(response, Response::Metadata(same));
        }
        (response, placed) => assert_eq!(response.is_some(), placed.is_some()),
    }
}

pub fn api_versions(data: &[u8]) {
    let Some((version, frame)) = versioned(ApiKey::ApiVersions, data) else { return };
    let Ok(response) = api_versions::decode(frame, version) else { return };
    assert!(response.versions.apis.is_sorted_by_key(|(code, _)| *code));
    for api in [ApiKey::Produce, ApiKey::Metadata, ApiKey::InitProducerId] {
        let ours = versions::ours(api);
        let picked = response.versions.pick(api, ours.clone());
        assert!(picked.is_none_or(|version| ours.contains(&version)), "{picked:?} of {ours:?}");
    }
}

pub fn init_producer_id(data: &[u8]) {
    decoded(ApiKey::InitProducerId, data);
}

pub fn find_coordinator(data: &[u8]) {
    decoded(ApiKey::FindCoordinator, data);
}

pub fn add_partitions_to_txn(data: &[u8]) {
    decoded(ApiKey::AddPartitionsToTxn, data);
}

pub fn add_offsets_to_txn(data: &[u8]) {
    decoded(ApiKey::AddOffsetsToTxn, data);
}

pub fn txn_offset_commit(data: &[u8]) {
    decoded(ApiKey::TxnOffsetCommit, data);
}

pub fn end_txn(data: &[u8]) {
    decoded(ApiKey::EndTxn, data);
}

pub fn create_topics(data: &[u8]) {
    let Some((version, frame)) = versioned(ApiKey::CreateTopics, data) else { return };
    let _ = create_topics::decode(frame, version);
}

pub fn list_offsets(data: &[u8]) {
    let Some((version, frame)) = versioned(ApiKey::ListOffsets, data) else { return };
    let _ = list_offsets::decode(frame, version);
}

pub fn describe_configs(data: &[u8]) {
    let Some((version, frame)) = versioned(ApiKey::DescribeConfigs, data) else { return };
    let _ = describe_configs::decode(frame, version);
}

/// The first byte says how many bytes the socket gives at a time.
pub fn frames(data: &[u8]) {
    let Some((&step, stream)) = data.split_first() else { return };
    let mut buffer = FrameBuffer::default();
    let mut expected = stream;
    for mut piece in stream.chunks(1 + usize::from(step) * 16) {
        while !piece.is_empty() {
            let room = buffer.room();
            assert!(!room.is_empty(), "a read into no room would look like the end");
            let len = room.len().min(piece.len());
            room[..len].copy_from_slice(&piece[..len]);
            buffer.filled(len);
            piece = &piece[len..];
        }
        loop {
            let whole = buffer.next_is_whole();
            match buffer.next() {
                Ok(Some(frame)) => {
                    assert_eq!(whole, Ok(true));
                    let (length, rest) = expected.split_first_chunk::<4>().expect("a length went before");
                    assert_eq!(i32::from_be_bytes(*length) as usize, frame.len());
                    assert_eq!(&rest[..frame.len()], frame);
                    expected = &rest[frame.len()..];
                }
                Ok(None) => {
                    assert_eq!(whole, Ok(false));
                    break;
                }
                Err(error) => {
                    assert_eq!(whole, Err(error));
                    return;
                }
            }
        }
    }
    assert_eq!(buffer.is_partial(), !expected.is_empty());
}

pub fn properties(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        explained(Config::from_properties(text));
    }
}

pub fn toml(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        explained(Config::from_toml(text));
    }
}

/// What is wrong with a configuration can be said.
fn explained<E: std::fmt::Display>(read: Result<Config, E>) {
    if let Err(error) = read {
        assert!(!error.to_string().is_empty());
    }
}
