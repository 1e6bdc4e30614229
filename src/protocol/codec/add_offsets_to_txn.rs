//! AddOffsetsToTxn, API 25.
//!
//! | version | request | response |
//! |---|---|---|
//! | 0 | transactional id, producer id and epoch, group | throttle time, error |
//! | 2 | | may answer PRODUCER_FENCED |
//! | 3 | flexible | flexible |
//! | 4 | | may answer TRANSACTION_ABORTABLE (KIP-890) |

use super::frame::Frame;
use super::read::{DecodeError, Reader};
use super::write::{EncodeError, Writer};
use crate::protocol::messages::{AddOffsetsToTxnRequest, AddOffsetsToTxnResponse, ApiKey};

pub(super) fn encode(
    request: &AddOffsetsToTxnRequest,
    version: i16,
    correlation_id: i32,
    client_id: &str,
) -> Result<Frame, EncodeError> {
    let capacity = 24 + request.transactional_id.len() + request.group_id.len();
    let mut out = Writer::request(ApiKey::AddOffsetsToTxn, version, correlation_id, client_id, capacity)?;
    out.string(&request.transactional_id);
    out.i64(request.producer_id);
    out.i16(request.producer_epoch);
    out.string(&request.group_id);
    out.tags();
    out.finish()
}

pub(super) fn decode(frame: &[u8], version: i16) -> Result<AddOffsetsToTxnResponse, DecodeError> {
    let mut from = Reader::response(ApiKey::AddOffsetsToTxn, version, frame)?;
    let response = AddOffsetsToTxnResponse { throttle_time_ms: from.i32()?, error_code: from.i16()? };
    from.tags()?;
    Ok(response)
}
