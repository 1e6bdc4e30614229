//! AddPartitionsToTxn, API 24.
//!
//! | version | request | response |
//! |---|---|---|
//! | 0 | transactional id, producer id and epoch, partitions | throttle time, an error for each partition |
//! | 2 | | may answer PRODUCER_FENCED |
//! | 3 | flexible | flexible |

use super::frame::Frame;
use super::read::{DecodeError, Reader};
use super::write::{EncodeError, Writer};
use crate::protocol::messages::{AddPartitionsToTxnRequest, AddPartitionsToTxnResponse, ApiKey};

pub(super) fn encode(
    request: &AddPartitionsToTxnRequest,
    version: i16,
    correlation_id: i32,
    client_id: &str,
) -> Result<Frame, EncodeError> {
    let topics: usize = request.topics.iter().map(|(name, partitions)| name.len() + 8 + 4 * partitions.len()).sum();
    let capacity = 24 + request.transactional_id.len() + topics;
    let mut out = Writer::request(ApiKey::AddPartitionsToTxn, version, correlation_id, client_id, capacity)?;
    out.string(&request.transactional_id);
    out.i64(request.producer_id);
    out.i16(request.producer_epoch);
    out.count(request.topics.len());
    for (name, partitions) in &request.topics {
        out.string(name);
        out.count(partitions.len());
        for partition in partitions {
            out.i32(*partition);
        }
        out.tags();
    }
    out.tags();
    out.finish()
}

pub(super) fn decode(frame: &[u8], version: i16) -> Result<AddPartitionsToTxnResponse, DecodeError> {
    let mut from = Reader::response(ApiKey::AddPartitionsToTxn, version, frame)?;
    let response =
        AddPartitionsToTxnResponse { throttle_time_ms: from.i32()?, partitions: partition_errors(&mut from)? };
    from.tags()?;
    Ok(response)
}

/// Topics, each with the error of each partition: topic, partition, error.
pub(super) fn partition_errors(from: &mut Reader<'_>) -> Result<Vec<(String, i32, i16)>, DecodeError> {
    let mut errors = Vec::new();
    for _ in 0..from.count(3)? {
        let topic = from.topic_name()?;
        let count = from.count(6)?;
        errors.reserve(count);
        for _ in 0..count {
            errors.push((topic.to_owned(), from.i32()?, from.i16()?));
            from.tags()?;
        }
        from.tags()?;
    }
    Ok(errors)
}
