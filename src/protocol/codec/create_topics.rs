//! CreateTopics, API 19.
//!
//! | version | request | response |
//! |---|---|---|
//! | 2 | topics, timeout, whether to validate only | throttle time; error and message per topic |
//! | 4 | −1 partitions or replicas: the broker's default (KIP-464) | |
//! | 5 | flexible | flexible; partitions, replicas, configs as they became |
//! | 7 | | topic id |

use super::frame::Frame;
use super::read::{DecodeError, Reader};
use super::write::{EncodeError, Writer};
use crate::protocol::messages::{ApiKey, TopicId};

/// A request to create topics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CreateTopicsRequest {
    /// Which.
    pub topics: Vec<NewTopic>,
    /// Milliseconds that the broker may wait until they are known everywhere.
    pub timeout_ms: i32,
    /// Whether only to say what would happen.
    pub validate_only: bool,
}

/// A topic to be created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTopic {
    /// Its name.
    pub name: String,
    /// How many partitions; −1 is the broker's default (v4+).
    pub partitions: i32,
    /// How many replicas of each; −1 is the broker's default (v4+).
    pub replication_factor: i16,
    /// Settings of the topic.
    pub configs: Vec<(String, Option<String>)>,
}

/// What became of one topic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CreatedTopic {
    /// Its name.
    pub name: String,
    /// v7+.
    pub id: TopicId,
    /// 0 or why not.
    pub error_code: i16,
    /// In the broker's words.
    pub error_message: Option<String>,
    /// v5+, else −1.
    pub partitions: i32,
    /// v5+, else −1.
    pub replication_factor: i16,
}

/// The bytes of a request.
pub fn encode(
    request: &CreateTopicsRequest,
    version: i16,
    correlation_id: i32,
    client_id: &str,
) -> Result<Frame, EncodeError> {
    let mut out = Writer::request(ApiKey::CreateTopics, version, correlation_id, client_id, 256)?;
    out.count(request.topics.len());
    for topic in &request.topics {
        out.string(&topic.name);
        out.i32(topic.partitions);
        out.i16(topic.replication_factor);
        // No assignments of replicas by hand.
        out.count(0);
        out.count(topic.configs.len());
        for (name, value) in &topic.configs {
            out.string(name);
            out.nullable_string(value.as_deref());
            out.tags();
        }
        out.tags();
    }
    out.i32(request.timeout_ms);
    out.bool(request.validate_only);
    out.tags();
    out.finish()
}

/// A response. `frame` is without its length.
pub fn decode(frame: &[u8], version: i16) -> Result<Vec<CreatedTopic>, DecodeError> {
    let mut from = Reader::response(ApiKey::CreateTopics, version, frame)?;
    from.i32()?;
    let topics = from.items(5, |from| {
        let mut topic = CreatedTopic {
            name: from.string()?,
            id: if version >= 7 { from.uuid()? } else { [0; 16] },
            error_code: from.i16()?,
            error_message: from.nullable_string()?,
            partitions: -1,
            replication_factor: -1,
        };
        if version >= 5 {
            topic.partitions = from.i32()?;
            topic.replication_factor = from.i16()?;
            for _ in 0..from.count(6)? {
                from.nullable_str()?;
                from.nullable_str()?;
                // Read only, where it comes from, whether it is a secret.
                from.bytes(3)?;
                from.tags()?;
            }
        }
        from.tags()?;
        Ok(topic)
    })?;
    from.tags()?;
    Ok(topics)
}
