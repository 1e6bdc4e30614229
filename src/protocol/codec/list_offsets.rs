//! ListOffsets, API 2: where a log begins and ends.
//!
//! | version | request | response |
//! |---|---|---|
//! | 1 | a timestamp per partition | one offset per partition |
//! | 2 | isolation level | throttle time |
//! | 4 | the leader's epoch | the leader's epoch |
//! | 6 | flexible | flexible |
//! | 7 | the offset of the largest timestamp | |

use super::frame::Frame;
use super::read::{DecodeError, Reader};
use super::write::{EncodeError, Writer};
use crate::protocol::messages::ApiKey;

/// Which end of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The first record that is still there.
    Earliest,
    /// Behind the last record.
    Latest,
}

/// What a broker says of one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListedOffset {
    /// The partition.
    pub partition: i32,
    /// 0 or why there is no offset.
    pub error_code: i16,
    /// −1 if there is none.
    pub offset: i64,
}

/// The bytes of a request for some partitions of a topic.
pub fn encode(
    topic: &str,
    partitions: &[i32],
    end: End,
    version: i16,
    correlation_id: i32,
    client_id: &str,
) -> Result<Frame, EncodeError> {
    let capacity = 32 + topic.len() + 17 * partitions.len();
    let mut out = Writer::request(ApiKey::ListOffsets, version, correlation_id, client_id, capacity)?;
    // Not a replica but a client.
    out.i32(-1);
    if version >= 2 {
        // Uncommitted records, too.
        out.bool(false);
    }
    out.count(1);
    out.string(topic);
    out.count(partitions.len());
    for partition in partitions {
        out.i32(*partition);
        if version >= 4 {
            out.i32(-1);
        }
        out.i64(match end {
            End::Earliest => -2,
            End::Latest => -1,
        });
        out.tags();
    }
    out.tags();
    out.tags();
    out.finish()
}

/// A response to a request for one topic. `frame` is without its length.
pub fn decode(frame: &[u8], version: i16) -> Result<Vec<ListedOffset>, DecodeError> {
    let mut from = Reader::response(ApiKey::ListOffsets, version, frame)?;
    if version >= 2 {
        from.i32()?;
    }
    let mut listed = Vec::new();
    for _ in 0..from.count(3)? {
        from.nullable_str()?;
        listed.extend(from.items(22, |from| {
            let (partition, error_code) = (from.i32()?, from.i16()?);
            from.i64()?;
            let offset = from.i64()?;
            if version >= 4 {
                from.i32()?;
            }
            from.tags()?;
            Ok(ListedOffset { partition, error_code, offset })
        })?);
        from.tags()?;
    }
    from.tags()?;
    Ok(listed)
}
