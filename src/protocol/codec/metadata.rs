//! Metadata, API 3.
//!
//! | version | request | response |
//! |---|---|---|
//! | 1 | an empty list asks for brokers only | racks, controller |
//! | 2 | | cluster id |
//! | 3 | | throttle time |
//! | 4 | whether topics may be created | |
//! | 5 | | offline replicas |
//! | 7 | | leader epochs |
//! | 8 | asks for authorized operations | authorized operations, the cluster's up to 10 |
//! | 9 | flexible | flexible |
//! | 10 | topics by id or name | topic ids |
//! | 12 | names may be null | names may be null |
//! | 13 | | an error of the whole (KIP-1102) |

use super::frame::Frame;
use super::read::{DecodeError, Reader};
use super::write::{EncodeError, Writer};
use crate::protocol::messages::{
    ApiKey, Broker, MetadataRequest, MetadataResponse, PartitionMetadata, TopicId, TopicMetadata,
};

/// Where a partition's replicas are; the producer does not care, who describes a topic does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placement {
    /// All of them, the preferred leader first.
    pub replicas: Vec<i32>,
    /// Those in sync.
    pub in_sync: Vec<i32>,
    /// Those that are down; v5+.
    pub offline: Vec<i32>,
}

/// The bytes of a request.
pub fn encode(
    request: &MetadataRequest,
    version: i16,
    correlation_id: i32,
    client_id: &str,
) -> Result<Frame, EncodeError> {
    let capacity = 16 + request.topics.iter().map(|topic| topic.len() + 24).sum::<usize>();
    let mut out = Writer::request(ApiKey::Metadata, version, correlation_id, client_id, capacity)?;
    out.count(request.topics.len());
    for topic in &request.topics {
        if version >= 10 {
            out.uuid(&TopicId::default());
        }
        out.string(topic);
        out.tags();
    }
    rest(&mut out, request.allow_auto_topic_creation, version);
    out.finish()
}

/// The bytes of a request for every topic there is. None is created by it.
pub fn encode_all(version: i16, correlation_id: i32, client_id: &str) -> Result<Frame, EncodeError> {
    let mut out = Writer::request(ApiKey::Metadata, version, correlation_id, client_id, 16)?;
    out.null_array();
    rest(&mut out, false, version);
    out.finish()
}

/// What stands behind the topics.
fn rest(out: &mut Writer, allow_auto_topic_creation: bool, version: i16) {
    if version >= 4 {
        out.bool(allow_auto_topic_creation);
    }
    if (8..=10).contains(&version) {
        out.bool(false);
    }
    if version >= 8 {
        out.bool(false);
    }
    out.tags();
}

/// A response without its placements. `frame` is without its length.
pub fn decode(frame: &[u8], version: i16) -> Result<MetadataResponse, DecodeError> {
    body(&mut Reader::response(ApiKey::Metadata, version, frame)?, version, &mut |from| {
        for _ in 0..if version >= 5 { 3 } else { 2 } {
            let nodes = from.count(4)?;
            from.bytes(4 * nodes)?;
        }
        Ok(())
    })
}

/// A response, and the placement of each partition in the order in which they stand in it.
pub fn decode_with_placements(frame: &[u8], version: i16) -> Result<(MetadataResponse, Vec<Placement>), DecodeError> {
    let mut placements = Vec::new();
    let response = body(&mut Reader::response(ApiKey::Metadata, version, frame)?, version, &mut |from| {
        placements.push(Placement {
            replicas: from.items(4, Reader::i32)?,
            in_sync: from.items(4, Reader::i32)?,
            offline: if version >= 5 { from.items(4, Reader::i32)? } else { Vec::new() },
        });
        Ok(())
    })?;
    Ok((response, placements))
}

fn body<'a>(
    from: &mut Reader<'a>,
    version: i16,
    placement: &mut impl FnMut(&mut Reader<'a>) -> Result<(), DecodeError>,
) -> Result<MetadataResponse, DecodeError> {
    let throttle_time_ms = if version >= 3 { from.i32()? } else { 0 };
    let brokers = from.items(10, |from| {
        let broker =
            Broker { id: from.i32()?, host: from.string()?, port: from.port()?, rack: from.nullable_string()? };
        from.tags()?;
        Ok(broker)
    })?;
    let cluster_id = if version >= 2 { from.nullable_string()? } else { None };
    let controller_id = from.i32()?;
    let topics = from.items(9, |from| topic(from, version, placement))?;
    if (8..=10).contains(&version) {
        from.i32()?;
    }
    let error_code = if version >= 13 { from.i16()? } else { 0 };
    from.tags()?;
    Ok(MetadataResponse { throttle_time_ms, brokers, cluster_id, controller_id, topics, error_code })
}

fn topic<'a>(
    from: &mut Reader<'a>,
    version: i16,
    placement: &mut impl FnMut(&mut Reader<'a>) -> Result<(), DecodeError>,
) -> Result<TopicMetadata, DecodeError> {
    let error_code = from.i16()?;
    // Null only where topics are asked for by id, which we do not.
    let name = from.nullable_string()?.unwrap_or_default();
    let id = if version >= 10 { from.uuid()? } else { [0; 16] };
    from.i8()?;
    let partitions = from.items(18, |from| {
        let partition = PartitionMetadata {
            error_code: from.i16()?,
            index: from.i32()?,
            leader: from.i32()?,
            leader_epoch: if version >= 7 { from.i32()? } else { -1 },
        };
        placement(from)?;
        from.tags()?;
        Ok(partition)
    })?;
    if version >= 8 {
        from.i32()?;
    }
    from.tags()?;
    Ok(TopicMetadata { error_code, name, id, partitions })
}
