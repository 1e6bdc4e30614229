//! Produce, API 0.
//!
//! | version | request | response |
//! |---|---|---|
//! | 3 | record batch v2, transactional id | throttle time, log append time |
//! | 5 | | log start offset |
//! | 7 | zstd may be used | |
//! | 8 | | records that made the batch fail (KIP-467) |
//! | 9 | flexible | flexible |
//! | 10 | | current leader, and where it is (KIP-951), as tagged fields |
//! | 11 | | may answer TRANSACTION_ABORTABLE (KIP-890) |
//! | 12 | takes partitions into the transaction by itself: transactions V2 (KIP-890) | |
//! | 13 | topics by id (KIP-516) | topics by id |

use super::frame::Frame;
use super::read::{DecodeError, Reader};
use super::write::{COPIED_BELOW, EncodeError, Writer};
use crate::protocol::body::Body;
use crate::protocol::messages::{ApiKey, Broker, PartitionResponse, ProduceRequest, ProduceResponse};
use crate::protocol::record_batch::HEADER_LEN;

pub(super) fn encode(
    request: ProduceRequest,
    version: i16,
    correlation_id: i32,
    client_id: &str,
) -> Result<Frame, EncodeError> {
    let partitions: usize = request.topics.iter().map(|topic| topic.partitions.len()).sum();
    let bodies = request.topics.iter().flat_map(|topic| &topic.partitions).map(|partition| &partition.body);
    let (mut copied, mut kept) = (0, 0);
    bodies.flat_map(Body::pieces).for_each(|piece| match piece.len() {
        len @ ..COPIED_BELOW => copied += len,
        _ => kept += 1,
    });
    let names: usize = request.topics.iter().map(|topic| topic.name.len() + 24).sum();
    let capacity =
        32 + request.transactional_id.as_ref().map_or(0, String::len) + names + partitions * (HEADER_LEN + 10) + copied;
    let mut out = Writer::request(ApiKey::Produce, version, correlation_id, client_id, capacity)?;
    out.reserve_bodies(kept);
    out.nullable_string(request.transactional_id.as_deref());
    out.i16(request.acks);
    out.i32(request.timeout_ms);
    out.count(request.topics.len());
    for topic in request.topics {
        if version >= 13 {
            out.uuid(&topic.id);
        } else {
            out.string(&topic.name);
        }
        out.count(topic.partitions.len());
        for partition in topic.partitions {
            out.i32(partition.index);
            out.bytes(&partition.header, partition.body);
            out.tags();
        }
        out.tags();
    }
    out.tags();
    out.finish()
}

pub(super) fn decode(frame: &[u8], version: i16) -> Result<ProduceResponse, DecodeError> {
    body(&mut Reader::response(ApiKey::Produce, version, frame)?, version)
}

pub(super) fn body(from: &mut Reader<'_>, version: i16) -> Result<ProduceResponse, DecodeError> {
    let mut response = ProduceResponse::default();
    for _ in 0..from.count(2)? {
        let (name, id) = if version >= 13 { ("", from.uuid()?) } else { (from.topic_name()?, [0; 16]) };
        let count = from.count(22)?;
        response.partitions.reserve(count);
        for _ in 0..count {
            response.partitions.push(partition(from, version, name.to_owned(), id)?);
        }
        from.tags()?;
    }
    response.throttle_time_ms = from.i32()?;
    from.each_tag(|tag, from| {
        if version >= 10 && tag == 0 {
            response.node_endpoints = from.items(11, broker)?;
        }
        Ok(())
    })?;
    Ok(response)
}

fn partition(
    from: &mut Reader<'_>,
    version: i16,
    topic: String,
    topic_id: [u8; 16],
) -> Result<PartitionResponse, DecodeError> {
    let mut partition = PartitionResponse {
        topic,
        topic_id,
        index: from.i32()?,
        error_code: from.i16()?,
        base_offset: from.i64()?,
        log_append_time: from.i64()?,
        log_start_offset: if version >= 5 { from.i64()? } else { -1 },
        record_errors: Vec::new(),
        error_message: None,
        current_leader: (-1, -1),
    };
    if version >= 8 {
        partition.record_errors = from.items(6, |from| {
            let error = (from.i32()?, from.nullable_string()?);
            from.tags()?;
            Ok(error)
        })?;
        partition.error_message = from.nullable_string()?;
    }
    from.each_tag(|tag, from| {
        if version >= 10 && tag == 0 {
            partition.current_leader = (from.i32()?, from.i32()?);
            from.tags()?;
        }
        Ok(())
    })?;
    Ok(partition)
}

fn broker(from: &mut Reader<'_>) -> Result<Broker, DecodeError> {
    let broker = Broker { id: from.i32()?, host: from.string()?, port: from.port()?, rack: from.nullable_string()? };
    from.tags()?;
    Ok(broker)
}
