use super::frame::Frame;
use crate::protocol::body::Body;
use crate::protocol::messages::{ApiKey, TopicId};
use crate::protocol::versions;
use bytes::Bytes;

/// A request that cannot be put into bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// Not a version that we speak.
    #[error("{api:?} version {version} is not spoken")]
    Version {
        /// The API.
        api: ApiKey,
        /// The version.
        version: i16,
    },
    /// A string, or the whole, is longer than its length field can say.
    #[error("a {0:?} request is too long for the protocol")]
    TooLong(ApiKey),
}

/// Bodies below so many bytes are copied: that costs less than a slice of its own in a vectored write does.
pub(super) const COPIED_BELOW: usize = 1024;

/// Writes one request, in the old encoding or the flexible one.
pub(super) struct Writer {
    api: ApiKey,
    flexible: bool,
    head: Vec<u8>,
    bodies: Vec<(usize, Bytes)>,
    bodies_len: usize,
    too_long: bool,
}

impl Writer {
    /// With the request's header written. `capacity` is what the body will take, without the record batches' bodies
    /// that are not copied.
    pub(super) fn request(
        api: ApiKey,
        version: i16,
        correlation_id: i32,
        client_id: &str,
        capacity: usize,
    ) -> Result<Writer, EncodeError> {
        if !versions::ours(api).contains(&version) {
            return Err(EncodeError::Version { api, version });
        }
        let mut writer = Writer {
            api,
            flexible: false,
            head: Vec::with_capacity(4 + 11 + client_id.len() + capacity),
            bodies: Vec::new(),
            bodies_len: 0,
            too_long: false,
        };
        // The frame's length, known at the end.
        writer.i32(0);
        writer.i16(api.code());
        writer.i16(version);
        writer.i32(correlation_id);
        // The client id stays in the old encoding even in the flexible header.
        writer.string(client_id);
        writer.flexible = versions::is_flexible(api, version);
        writer.tags();
        Ok(writer)
    }

    pub(super) fn finish(mut self) -> Result<Frame, EncodeError> {
        let len = self.head.len() + self.bodies_len;
        match i32::try_from(len - 4) {
            Ok(length) if !self.too_long => self.head[..4].copy_from_slice(&length.to_be_bytes()),
            _ => return Err(EncodeError::TooLong(self.api)),
        }
        Ok(Frame { head: self.head, bodies: self.bodies, len })
    }

    pub(super) fn bool(&mut self, value: bool) {
        self.head.push(u8::from(value));
    }

    pub(super) fn i8(&mut self, value: i8) {
        self.head.extend_from_slice(&value.to_be_bytes());
    }

    pub(super) fn i16(&mut self, value: i16) {
        self.head.extend_from_slice(&value.to_be_bytes());
    }

    pub(super) fn i32(&mut self, value: i32) {
        self.head.extend_from_slice(&value.to_be_bytes());
    }

    pub(super) fn i64(&mut self, value: i64) {
        self.head.extend_from_slice(&value.to_be_bytes());
    }

    pub(super) fn uuid(&mut self, value: &TopicId) {
        self.head.extend_from_slice(value);
    }

    fn varint(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.head.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.head.push(value as u8);
    }

    fn length(&mut self, length: Option<usize>, wide: bool) {
        let most = if self.flexible || wide { i32::MAX as usize - 1 } else { i16::MAX as usize };
        let length = length.filter(|length| {
            self.too_long |= *length > most;
            *length <= most
        });
        match length {
            None if self.flexible => self.varint(0),
            Some(length) if self.flexible => self.varint(length as u32 + 1),
            None if wide => self.i32(-1),
            Some(length) if wide => self.i32(length as i32),
            None => self.i16(-1),
            Some(length) => self.i16(length as i16),
        }
    }

    pub(super) fn string(&mut self, value: &str) {
        self.nullable_string(Some(value));
    }

    pub(super) fn nullable_string(&mut self, value: Option<&str>) {
        self.length(value.map(str::len), false);
        self.head.extend_from_slice(value.unwrap_or_default().as_bytes());
    }

    /// How many items follow.
    pub(super) fn count(&mut self, count: usize) {
        self.length(Some(count), true);
    }

    /// An array that is null.
    pub(super) fn null_array(&mut self) {
        self.length(None, true);
    }

    /// Expects that many bodies.
    pub(super) fn reserve_bodies(&mut self, count: usize) {
        self.bodies.reserve_exact(count);
    }

    /// A bytes field made of two parts, of which the second is not copied where it is not small.
    pub(super) fn bytes(&mut self, header: &[u8], body: Body) {
        self.length(Some(header.len() + body.len()), true);
        self.head.extend_from_slice(header);
        for piece in body.into_pieces() {
            if piece.len() < COPIED_BELOW {
                self.head.extend_from_slice(&piece);
            } else {
                self.bodies_len += piece.len();
                self.bodies.push((self.head.len(), piece));
            }
        }
    }

    /// No tagged fields, where the encoding has any.
    pub(super) fn tags(&mut self) {
        if self.flexible {
            self.head.push(0);
        }
    }
}
