//! ApiVersions, API 18: the first request on every connection.
//!
//! | version | request | response |
//! |---|---|---|
//! | 0 | | error, APIs |
//! | 1 | | throttle time |
//! | 3 | flexible; our name and version (KIP-511) | flexible, but for its header; features (KIP-584) |
//! | 4 | | features may start at 0 |
//!
//! A broker that does not know the version answers UNSUPPORTED_VERSION in version 0, with the versions of this API only.

use super::frame::Frame;
use super::read::{DecodeError, Reader};
use super::write::{EncodeError, Writer};
use crate::protocol::error_code;
use crate::protocol::messages::{ApiKey, ApiVersions};

/// The tagged field with the features that the cluster has settled on.
const FINALIZED_FEATURES: u32 = 2;
/// The feature that says which protocol transactions go by (KIP-890).
const TRANSACTION_VERSION: &str = "transaction.version";

/// What the broker answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiVersionsResponse {
    /// 0, or for UNSUPPORTED_VERSION: ask again with a version that `versions` has.
    pub error_code: i16,
    /// All APIs, or this one.
    pub versions: ApiVersions,
}

/// The bytes of a request.
pub fn encode(version: i16, correlation_id: i32, client_id: &str) -> Result<Frame, EncodeError> {
    let mut out = Writer::request(ApiKey::ApiVersions, version, correlation_id, client_id, 32)?;
    if version >= 3 {
        out.string(env!("CARGO_PKG_NAME"));
        out.string(env!("CARGO_PKG_VERSION"));
    }
    out.tags();
    out.finish()
}

/// A response to a request of this version. `frame` is without its length.
pub fn decode(frame: &[u8], version: i16) -> Result<ApiVersionsResponse, DecodeError> {
    let mut from = Reader::response(ApiKey::ApiVersions, version, frame)?;
    let error_code = from.i16()?;
    let version = if error_code == error_code::UNSUPPORTED_VERSION {
        from = Reader::response(ApiKey::ApiVersions, 0, frame)?;
        from.i16()?;
        0
    } else {
        version
    };
    let mut apis = from.items(6, |from| {
        let api = (from.i16()?, from.i16()?..=from.i16()?);
        from.tags()?;
        Ok(api)
    })?;
    if version >= 1 {
        from.i32()?;
    }
    let mut transaction_version = 0;
    from.each_tag(|tag, from| {
        if tag == FINALIZED_FEATURES {
            transaction_version = level(from, TRANSACTION_VERSION)?;
        }
        Ok(())
    })?;
    apis.sort_by_key(|(code, _)| *code);
    Ok(ApiVersionsResponse { error_code, versions: ApiVersions { apis, transaction_version } })
}

/// The level of a feature, or 0 where it is not among them.
fn level(from: &mut Reader<'_>, feature: &str) -> Result<i16, DecodeError> {
    let mut found = 0;
    for _ in 0..from.count(6)? {
        let name = from.nullable_str()?;
        // A feature is finalized at its highest level; the lowest says what is still allowed.
        let (highest, _lowest) = (from.i16()?, from.i16()?);
        from.tags()?;
        if name == Some(feature) {
            found = highest;
        }
    }
    Ok(found)
}
