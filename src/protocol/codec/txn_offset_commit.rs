//! TxnOffsetCommit, API 28.
//!
//! | version | request | response |
//! |---|---|---|
//! | 0 | transactional id, group, producer id and epoch, offsets | throttle time, an error for each partition |
//! | 2 | leader epochs | |
//! | 3 | flexible; generation, member and instance (KIP-447) | flexible |
//! | 4 | | may answer TRANSACTION_ABORTABLE (KIP-890) |
//! | 5 | takes the group into the transaction by itself: transactions V2 (KIP-890) | |

use super::add_partitions_to_txn::partition_errors;
use super::frame::Frame;
use super::read::{DecodeError, Reader};
use super::write::{EncodeError, Writer};
use crate::protocol::messages::{ApiKey, TxnOffset, TxnOffsetCommitRequest, TxnOffsetCommitResponse};

pub(super) fn encode(
    request: &TxnOffsetCommitRequest,
    version: i16,
    correlation_id: i32,
    client_id: &str,
) -> Result<Frame, EncodeError> {
    let len = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    let ids = request.transactional_id.len() + request.group_id.len() + request.member_id.len();
    let offsets: usize = request.offsets.iter().map(|offset| offset.topic.len() + len(&offset.metadata) + 32).sum();
    let capacity = 40 + ids + len(&request.group_instance_id) + offsets;
    let mut out = Writer::request(ApiKey::TxnOffsetCommit, version, correlation_id, client_id, capacity)?;
    out.string(&request.transactional_id);
    out.string(&request.group_id);
    out.i64(request.producer_id);
    out.i16(request.producer_epoch);
    if version >= 3 {
        out.i32(request.generation_id);
        out.string(&request.member_id);
        out.nullable_string(request.group_instance_id.as_deref());
    }
    let mut offsets: Vec<&TxnOffset> = request.offsets.iter().collect();
    offsets.sort_by_key(|offset| &offset.topic);
    let topics = || offsets.chunk_by(|one, other| one.topic == other.topic);
    out.count(topics().count());
    for topic in topics() {
        out.string(&topic[0].topic);
        out.count(topic.len());
        for offset in topic {
            out.i32(offset.partition);
            out.i64(offset.offset);
            if version >= 2 {
                out.i32(offset.leader_epoch);
            }
            out.nullable_string(offset.metadata.as_deref());
            out.tags();
        }
        out.tags();
    }
    out.tags();
    out.finish()
}

pub(super) fn decode(frame: &[u8], version: i16) -> Result<TxnOffsetCommitResponse, DecodeError> {
    let mut from = Reader::response(ApiKey::TxnOffsetCommit, version, frame)?;
    let response = TxnOffsetCommitResponse { throttle_time_ms: from.i32()?, partitions: partition_errors(&mut from)? };
    from.tags()?;
    Ok(response)
}
