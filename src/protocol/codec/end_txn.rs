//! EndTxn, API 26.
//!
//! | version | request | response |
//! |---|---|---|
//! | 0 | transactional id, producer id and epoch, whether to commit | throttle time, error |
//! | 2 | | may answer PRODUCER_FENCED |
//! | 3 | flexible | flexible |
//! | 4 | | may answer TRANSACTION_ABORTABLE (KIP-890) |
//! | 5 | transactions V2 (KIP-890) | the id and epoch of the next transaction |

use super::frame::Frame;
use super::read::{DecodeError, Reader};
use super::write::{EncodeError, Writer};
use crate::protocol::messages::{ApiKey, EndTxnRequest, EndTxnResponse};

pub(super) fn encode(
    request: &EndTxnRequest,
    version: i16,
    correlation_id: i32,
    client_id: &str,
) -> Result<Frame, EncodeError> {
    let capacity = 24 + request.transactional_id.len();
    let mut out = Writer::request(ApiKey::EndTxn, version, correlation_id, client_id, capacity)?;
    out.string(&request.transactional_id);
    out.i64(request.producer_id);
    out.i16(request.producer_epoch);
    out.bool(request.committed);
    out.tags();
    out.finish()
}

pub(super) fn decode(frame: &[u8], version: i16) -> Result<EndTxnResponse, DecodeError> {
    let mut from = Reader::response(ApiKey::EndTxn, version, frame)?;
    let response = EndTxnResponse {
        throttle_time_ms: from.i32()?,
        error_code: from.i16()?,
        producer_id: if version >= 5 { from.i64()? } else { -1 },
        producer_epoch: if version >= 5 { from.i16()? } else { -1 },
    };
    from.tags()?;
    Ok(response)
}
