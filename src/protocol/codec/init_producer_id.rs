//! InitProducerId, API 22.
//!
//! | version | request | response |
//! |---|---|---|
//! | 0 | transactional id or null, timeout | throttle time, error, id, epoch |
//! | 2 | flexible | flexible |
//! | 3 | the id and epoch to continue (KIP-360) | |
//! | 4 | | may answer PRODUCER_FENCED |
//! | 5 | transactions V2 (KIP-890) | |

use super::frame::Frame;
use super::read::{DecodeError, Reader};
use super::write::{EncodeError, Writer};
use crate::protocol::messages::{ApiKey, InitProducerIdRequest, InitProducerIdResponse};

pub(super) fn encode(
    request: &InitProducerIdRequest,
    version: i16,
    correlation_id: i32,
    client_id: &str,
) -> Result<Frame, EncodeError> {
    let mut out = Writer::request(ApiKey::InitProducerId, version, correlation_id, client_id, 64)?;
    out.nullable_string(request.transactional_id.as_deref());
    out.i32(request.transaction_timeout_ms);
    if version >= 3 {
        out.i64(request.producer_id);
        out.i16(request.producer_epoch);
    }
    out.tags();
    out.finish()
}

pub(super) fn decode(frame: &[u8], version: i16) -> Result<InitProducerIdResponse, DecodeError> {
    let mut from = Reader::response(ApiKey::InitProducerId, version, frame)?;
    let response = InitProducerIdResponse {
        throttle_time_ms: from.i32()?,
        error_code: from.i16()?,
        producer_id: from.i64()?,
        producer_epoch: from.i16()?,
    };
    from.tags()?;
    Ok(response)
}
