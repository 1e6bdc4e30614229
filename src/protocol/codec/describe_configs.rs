//! DescribeConfigs, API 32: the settings of a topic.
//!
//! | version | request | response |
//! |---|---|---|
//! | 1 | whether synonyms are wanted | where each value comes from, synonyms |
//! | 3 | whether documentation is wanted | types, documentation |
//! | 4 | flexible | flexible |

use super::frame::Frame;
use super::read::{DecodeError, Reader};
use super::write::{EncodeError, Writer};
use crate::protocol::messages::ApiKey;

/// What a broker says of a topic's settings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DescribedConfigs {
    /// 0 or why there are none.
    pub error_code: i16,
    /// In the broker's words.
    pub error_message: Option<String>,
    /// By name.
    pub configs: Vec<DescribedConfig>,
}

/// One setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedConfig {
    /// Its name.
    pub name: String,
    /// `None` for a secret.
    pub value: Option<String>,
    /// Where the value comes from: [`OF_TOPIC`] if it was set for this topic.
    pub source: i8,
}

/// The source of a value that was set for the topic itself.
pub const OF_TOPIC: i8 = 1;

const TOPIC: i8 = 2;

/// The bytes of a request for all settings of a topic.
pub fn encode(topic: &str, version: i16, correlation_id: i32, client_id: &str) -> Result<Frame, EncodeError> {
    let mut out = Writer::request(ApiKey::DescribeConfigs, version, correlation_id, client_id, 32 + topic.len())?;
    out.count(1);
    out.i8(TOPIC);
    out.string(topic);
    // No list of names: all of them.
    out.null_array();
    out.tags();
    // Neither synonyms nor documentation.
    out.bool(false);
    if version >= 3 {
        out.bool(false);
    }
    out.tags();
    out.finish()
}

/// A response to a request for one topic. `frame` is without its length.
pub fn decode(frame: &[u8], version: i16) -> Result<DescribedConfigs, DecodeError> {
    let mut from = Reader::response(ApiKey::DescribeConfigs, version, frame)?;
    from.i32()?;
    let results = from.items(8, |from| {
        let (error_code, error_message) = (from.i16()?, from.nullable_string()?);
        from.i8()?;
        from.nullable_str()?;
        let configs = from.items(6, |from| config(from, version))?;
        from.tags()?;
        Ok(DescribedConfigs { error_code, error_message, configs })
    })?;
    from.tags()?;
    results.into_iter().next().ok_or_else(|| from.error("an answer about no topic"))
}

fn config(from: &mut Reader<'_>, version: i16) -> Result<DescribedConfig, DecodeError> {
    let (name, value) = (from.string()?, from.nullable_string()?);
    // Read only.
    from.i8()?;
    let source = from.i8()?;
    // Whether it is a secret: then there is no value.
    from.i8()?;
    for _ in 0..from.count(4)? {
        from.nullable_str()?;
        from.nullable_str()?;
        from.i8()?;
        from.tags()?;
    }
    if version >= 3 {
        from.i8()?;
        from.nullable_str()?;
    }
    from.tags()?;
    Ok(DescribedConfig { name, value, source })
}
