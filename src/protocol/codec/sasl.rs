//! SaslHandshake, API 17, and SaslAuthenticate, API 36 (KIP-43, KIP-152).
//!
//! | version | request | response |
//! |---|---|---|
//! | SaslHandshake 1 | mechanism; what follows goes by SaslAuthenticate | error, the listener's mechanisms |
//! | SaslAuthenticate 0 | the mechanism's own bytes | error, message, the mechanism's own bytes |
//! | 1 | | the session's life in milliseconds, 0 for ever (KIP-368) |
//! | 2 | flexible | flexible |

use super::read::{DecodeError, Reader};
use super::write::{EncodeError, Writer};
use crate::protocol::body::Body;
use crate::protocol::messages::ApiKey;
use zeroize::{Zeroize, Zeroizing};

/// SaslHandshake response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SaslHandshakeResponse {
    /// 0 or an error.
    pub error_code: i16,
    /// What the listener takes.
    pub mechanisms: Vec<String>,
}

/// SaslAuthenticate response. No `Debug`: the bytes are between the two ends.
#[derive(Clone, PartialEq, Eq)]
pub struct SaslAuthenticateResponse {
    /// 0 or an error.
    pub error_code: i16,
    /// The broker's own words.
    pub error_message: Option<String>,
    /// The mechanism's own.
    pub auth_bytes: Vec<u8>,
    /// v1+: milliseconds; 0 for ever.
    pub session_lifetime_ms: i64,
}

/// The bytes of a SaslHandshake request.
pub fn encode_handshake(
    mechanism: &str,
    version: i16,
    correlation_id: i32,
    client_id: &str,
) -> Result<Vec<u8>, EncodeError> {
    let mut out = Writer::request(ApiKey::SaslHandshake, version, correlation_id, client_id, 8 + mechanism.len())?;
    out.string(mechanism);
    Ok(out.finish()?.to_vec())
}

/// A SaslHandshake response. `frame` is without its length.
pub fn decode_handshake(frame: &[u8], version: i16) -> Result<SaslHandshakeResponse, DecodeError> {
    let mut from = Reader::response(ApiKey::SaslHandshake, version, frame)?;
    Ok(SaslHandshakeResponse { error_code: from.i16()?, mechanisms: from.items(2, Reader::string)? })
}

/// The bytes of a SaslAuthenticate request, wiped when they are dropped.
pub fn encode_authenticate(
    auth_bytes: &[u8],
    version: i16,
    correlation_id: i32,
    client_id: &str,
) -> Result<Zeroizing<Vec<u8>>, EncodeError> {
    let capacity = 16 + auth_bytes.len();
    let mut out = Writer::request(ApiKey::SaslAuthenticate, version, correlation_id, client_id, capacity)?;
    out.bytes(auth_bytes, Body::default());
    out.tags();
    let mut frame = out.finish()?;
    let bytes = Zeroizing::new(frame.to_vec());
    frame.head.zeroize();
    Ok(bytes)
}

/// A SaslAuthenticate response. `frame` is without its length.
pub fn decode_authenticate(frame: &[u8], version: i16) -> Result<SaslAuthenticateResponse, DecodeError> {
    let mut from = Reader::response(ApiKey::SaslAuthenticate, version, frame)?;
    let response = SaslAuthenticateResponse {
        error_code: from.i16()?,
        error_message: from.nullable_string()?,
        auth_bytes: from.nullable_bytes()?.unwrap_or_default().to_vec(),
        session_lifetime_ms: if version >= 1 { from.i64()? } else { 0 },
    };
    from.tags()?;
    Ok(response)
}
