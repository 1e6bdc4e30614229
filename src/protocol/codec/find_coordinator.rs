//! FindCoordinator, API 10.
//!
//! | version | request | response |
//! |---|---|---|
//! | 1 | a key, and whether of a group or of a transaction | throttle time, error, message, node |
//! | 3 | flexible | flexible |
//! | 4 | several keys (KIP-699) | a coordinator for each, with its error |

use super::frame::Frame;
use super::read::{DecodeError, Reader};
use super::write::{EncodeError, Writer};
use crate::protocol::error_code;
use crate::protocol::messages::{ApiKey, Broker, FindCoordinatorRequest, FindCoordinatorResponse};

pub(super) fn encode(
    request: &FindCoordinatorRequest,
    version: i16,
    correlation_id: i32,
    client_id: &str,
) -> Result<Frame, EncodeError> {
    let mut out = Writer::request(ApiKey::FindCoordinator, version, correlation_id, client_id, 16 + request.key.len())?;
    if version < 4 {
        out.string(&request.key);
    }
    out.i8(request.kind as i8);
    if version >= 4 {
        out.count(1);
        out.string(&request.key);
    }
    out.tags();
    out.finish()
}

pub(super) fn decode(frame: &[u8], version: i16) -> Result<FindCoordinatorResponse, DecodeError> {
    let mut from = Reader::response(ApiKey::FindCoordinator, version, frame)?;
    let throttle_time_ms = from.i32()?;
    let response = if version >= 4 {
        let mut first = None;
        for _ in 0..from.count(14)? {
            let coordinator = coordinator(&mut from, throttle_time_ms)?;
            first.get_or_insert(coordinator);
        }
        first.unwrap_or_else(|| FindCoordinatorResponse {
            throttle_time_ms,
            error_code: error_code::COORDINATOR_NOT_AVAILABLE,
            error_message: None,
            node: Broker { id: -1, host: String::new(), port: 0, rack: None },
        })
    } else {
        let (error_code, error_message) = (from.i16()?, from.nullable_string()?);
        let (id, host, port) = (from.i32()?, from.string()?, from.i32()?);
        let node = Broker { id, host, port: port_of(&from, port, error_code)?, rack: None };
        FindCoordinatorResponse { throttle_time_ms, error_code, error_message, node }
    };
    from.tags()?;
    Ok(response)
}

/// One of those that v4+ answers with.
fn coordinator(from: &mut Reader<'_>, throttle_time_ms: i32) -> Result<FindCoordinatorResponse, DecodeError> {
    // We ask for one key, and know it.
    from.nullable_str()?;
    let (id, host, port) = (from.i32()?, from.string()?, from.i32()?);
    let (error_code, error_message) = (from.i16()?, from.nullable_string()?);
    from.tags()?;
    let node = Broker { id, host, port: port_of(from, port, error_code)?, rack: None };
    Ok(FindCoordinatorResponse { throttle_time_ms, error_code, error_message, node })
}

/// With an error there is no node, and its port −1.
fn port_of(from: &Reader<'_>, port: i32, error_code: i16) -> Result<u16, DecodeError> {
    match u16::try_from(port) {
        Ok(port) => Ok(port),
        Err(_) if error_code != error_code::NONE => Ok(0),
        Err(_) => Err(from.error("a port is out of range")),
    }
}
