use crate::protocol::messages::{ApiKey, TopicId};
use crate::protocol::versions;

/// Bytes that are not the message they should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}, at byte {at} of {len}")]
pub struct DecodeError {
    what: &'static str,
    at: usize,
    len: usize,
}

/// Kafka's own limit, see [`Reader::topic_name`].
const TOPIC_LEN_MAX: usize = 249;

/// Reads a message, in the old encoding or the flexible one. No length in it is trusted.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
    len: usize,
    flexible: bool,
}

type Result<T> = std::result::Result<T, DecodeError>;

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8], flexible: bool) -> Reader<'a> {
        Reader { rest: bytes, len: bytes.len(), flexible }
    }

    /// At the body of a response.
    pub(super) fn response(api: ApiKey, version: i16, frame: &'a [u8]) -> Result<Reader<'a>> {
        let mut reader = Reader::new(frame, versions::is_flexible(api, version));
        reader.i32()?;
        // Who asks with a version that the broker does not know must be able to read the answer: its header has no
        // tagged fields, whatever the version (KIP-511).
        if api != ApiKey::ApiVersions {
            reader.tags()?;
        }
        Ok(reader)
    }

    pub(super) fn error(&self, what: &'static str) -> DecodeError {
        DecodeError { what, at: self.len - self.rest.len(), len: self.len }
    }

    pub(super) fn bytes(&mut self, len: usize) -> Result<&'a [u8]> {
        let (bytes, rest) = self.rest.split_at_checked(len).ok_or_else(|| self.error("the message ends too early"))?;
        self.rest = rest;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (bytes, rest) =
            self.rest.split_first_chunk::<N>().ok_or_else(|| self.error("the message ends too early"))?;
        self.rest = rest;
        Ok(*bytes)
    }

    pub(super) fn i8(&mut self) -> Result<i8> {
        Ok(i8::from_be_bytes(self.array()?))
    }

    pub(super) fn i16(&mut self) -> Result<i16> {
        Ok(i16::from_be_bytes(self.array()?))
    }

    pub(super) fn i32(&mut self) -> Result<i32> {
        Ok(i32::from_be_bytes(self.array()?))
    }

    pub(super) fn i64(&mut self) -> Result<i64> {
        Ok(i64::from_be_bytes(self.array()?))
    }

    pub(super) fn uuid(&mut self) -> Result<TopicId> {
        self.array()
    }

    /// A TCP port, which the protocol gives 32 bits.
    pub(super) fn port(&mut self) -> Result<u16> {
        u16::try_from(self.i32()?).map_err(|_| self.error("a port is out of range"))
    }

    fn varint(&mut self) -> Result<u32> {
        let mut value = 0u32;
        for shift in [0, 7, 14, 21, 28] {
            let [byte] = self.array()?;
            value |= u32::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return if shift == 28 && byte > 0x0f {
                    Err(self.error("a length is out of range"))
                } else {
                    Ok(value)
                };
            }
        }
        Err(self.error("a length is out of range"))
    }

    /// A length or a count; `None` is null.
    fn length(&mut self, wide: bool) -> Result<Option<usize>> {
        if self.flexible {
            return Ok((self.varint()? as usize).checked_sub(1));
        }
        match if wide { self.i32()? } else { i32::from(self.i16()?) } {
            -1 => Ok(None),
            length => usize::try_from(length).map(Some).map_err(|_| self.error("a length is negative")),
        }
    }

    /// How many items an array has, of at least `least` bytes each: so that what is reserved for them is in proportion
    /// to the bytes that are there. Null counts as none.
    pub(super) fn count(&mut self, least: usize) -> Result<usize> {
        let count = self.length(true)?.unwrap_or(0);
        if count > self.rest.len() / least {
            return Err(self.error("an array is longer than the message"));
        }
        Ok(count)
    }

    /// An array, null as empty; see [`Reader::count`].
    pub(super) fn items<T>(&mut self, least: usize, mut item: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        let count = self.count(least)?;
        let mut items = Vec::with_capacity(count);
        for _ in 0..count {
            items.push(item(self)?);
        }
        Ok(items)
    }

    pub(super) fn nullable_str(&mut self) -> Result<Option<&'a str>> {
        let Some(len) = self.length(false)? else { return Ok(None) };
        let bytes = self.bytes(len)?;
        std::str::from_utf8(bytes).map(Some).map_err(|_| self.error("a string is not UTF-8"))
    }

    pub(super) fn nullable_string(&mut self) -> Result<Option<String>> {
        Ok(self.nullable_str()?.map(str::to_owned))
    }

    pub(super) fn string(&mut self) -> Result<String> {
        self.nullable_string()?.ok_or_else(|| self.error("a string is null"))
    }

    /// The name of a topic, of which a copy goes to each of its partitions: a long one with many of them would make far
    /// more of a frame than its bytes, so that its length is checked.
    pub(super) fn topic_name(&mut self) -> Result<&'a str> {
        match self.nullable_str()? {
            Some(name) if name.len() <= TOPIC_LEN_MAX => Ok(name),
            Some(_) => Err(self.error("a topic's name is too long")),
            None => Err(self.error("a string is null")),
        }
    }

    pub(super) fn nullable_bytes(&mut self) -> Result<Option<&'a [u8]>> {
        let Some(len) = self.length(true)? else { return Ok(None) };
        self.bytes(len).map(Some)
    }

    /// The tagged fields, each by its number and a reader of its own bytes; none in the old encoding.
    pub(super) fn each_tag(&mut self, mut field: impl FnMut(u32, &mut Reader<'a>) -> Result<()>) -> Result<()> {
        if !self.flexible {
            return Ok(());
        }
        for _ in 0..self.varint()? {
            let tag = self.varint()?;
            let len = self.varint()? as usize;
            let bytes = self.bytes(len)?;
            field(tag, &mut Reader::new(bytes, true))?;
        }
        Ok(())
    }

    /// Skips the tagged fields.
    pub(super) fn tags(&mut self) -> Result<()> {
        self.each_tag(|_, _| Ok(()))
    }
}
