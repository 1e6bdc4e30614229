//! Record batch, format version 2 (KIP-98), encoded in place.
//!
//! | bytes | field | | bytes | field |
//! |---|---|---|---|---|
//! | 0..8 | base offset, 0 from a producer | | 27..35 | base timestamp |
//! | 8..12 | length of what follows | | 35..43 | max timestamp |
//! | 12..16 | partition leader epoch, −1 | | 43..51 | producer id |
//! | 16 | magic, 2 | | 51..53 | producer epoch |
//! | 17..21 | crc32c of all that follows | | 53..57 | base sequence |
//! | 21..23 | attributes | | 57..61 | number of records |
//! | 23..27 | last offset delta | | 61.. | records |
//!
//! The header and the records are separate buffers: the records are written once and never change, so that a socket
//! may still hold them while the batch is sent again with another producer epoch or sequence. Their checksum is taken
//! once too, and combined with that of the 40 header bytes for each attempt.

use super::body::Body;

/// Bytes before the records.
pub const HEADER_LEN: usize = 61;

const ATTRIBUTES_AT: usize = 21;

/// No producer id.
pub const NO_PRODUCER_ID: i64 = -1;
/// No producer epoch.
pub const NO_PRODUCER_EPOCH: i16 = -1;
/// No sequence.
pub const NO_SEQUENCE: i32 = -1;

/// The attribute of a batch that is part of a transaction.
pub const TRANSACTIONAL: i16 = 1 << 4;

/// The parts of a batch's header that are not constant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Bits 0–2 compression, bit 4 transactional.
    pub attributes: i16,
    /// Of the first record, milliseconds.
    pub base_timestamp: i64,
    /// Highest of all records, milliseconds.
    pub max_timestamp: i64,
    /// Or [`NO_PRODUCER_ID`].
    pub producer_id: i64,
    /// Or [`NO_PRODUCER_EPOCH`].
    pub producer_epoch: i16,
    /// Or [`NO_SEQUENCE`].
    pub base_sequence: i32,
    /// Number of records, at least 1.
    pub count: i32,
}

impl Header {
    /// The header's bytes before a body. `body_crc` is what [`Body::crc`] said of it.
    pub fn encode(&self, body: &Body, body_crc: Option<u32>) -> [u8; HEADER_LEN] {
        let body_len = body.len();
        let mut bytes = [0; HEADER_LEN];
        let length = i32::try_from(HEADER_LEN - 12 + body_len).expect("a batch is under 2 GiB");
        bytes[8..12].copy_from_slice(&length.to_be_bytes());
        bytes[12..16].copy_from_slice(&(-1i32).to_be_bytes());
        bytes[16] = 2;
        bytes[21..23].copy_from_slice(&self.attributes.to_be_bytes());
        bytes[23..27].copy_from_slice(&(self.count - 1).to_be_bytes());
        bytes[27..35].copy_from_slice(&self.base_timestamp.to_be_bytes());
        bytes[35..43].copy_from_slice(&self.max_timestamp.to_be_bytes());
        bytes[43..51].copy_from_slice(&self.producer_id.to_be_bytes());
        bytes[51..53].copy_from_slice(&self.producer_epoch.to_be_bytes());
        bytes[53..57].copy_from_slice(&self.base_sequence.to_be_bytes());
        bytes[57..61].copy_from_slice(&self.count.to_be_bytes());
        let crc = crc32c::crc32c(&bytes[ATTRIBUTES_AT..]);
        let crc = match body_crc {
            Some(body_crc) => super::crc::combine(crc, body_crc, body_len),
            None => body.append_crc(crc),
        };
        bytes[17..21].copy_from_slice(&crc.to_be_bytes());
        bytes
    }
}

/// One record before it is encoded.
#[derive(Clone, Copy, Debug)]
pub struct RecordBody<'a> {
    /// `None` is null.
    pub key: Option<&'a [u8]>,
    /// `None` is null.
    pub value: Option<&'a [u8]>,
    /// Count and headers, as [`encode_headers`] wrote them; [`NO_HEADERS`] for none.
    pub headers: &'a [u8],
}

/// Room that [`RecordBody::encode_into`] wants behind what it writes.
pub const ENCODE_SLACK: usize = size_of::<u64>();

/// A few short numbers in a register, written by one store of a constant size: that costs less than a store for each byte.
#[derive(Clone, Copy)]
struct Short {
    bytes: u64,
    len: u32,
}

impl Short {
    /// A number of one byte or two.
    #[inline(always)]
    fn varint(zigzag: u64) -> Short {
        debug_assert!(zigzag < SHORT);
        if zigzag < 0x80 {
            Short { bytes: zigzag, len: 1 }
        } else {
            Short { bytes: zigzag & 0x7f | 0x80 | zigzag >> 7 << 8, len: 2 }
        }
    }

    /// The one behind the other; eight bytes at most.
    #[inline(always)]
    fn then(self, next: Short) -> Short {
        debug_assert!(self.len + next.len <= u64::BITS / 8);
        Short { bytes: self.bytes | next.bytes << (8 * self.len), len: self.len + next.len }
    }

    /// Writes it where there is room for more.
    #[inline(always)]
    fn put(self, room: &mut [u8], at: &mut usize) {
        room[*at..*at + size_of::<u64>()].copy_from_slice(&self.bytes.to_le_bytes());
        *at += self.len as usize;
    }
}

/// Numbers below are one byte or two, as varints.
const SHORT: u64 = 0x4000;

/// The encoding of no headers at all.
pub const NO_HEADERS: &[u8] = &[0];

impl RecordBody<'_> {
    /// An upper bound of what [`RecordBody::encode`] appends, whatever the deltas.
    #[inline(always)]
    pub fn max_len(&self) -> usize {
        // Length, attributes, the timestamp delta and the offset delta at their longest.
        VARINT_MAX + 1 + VARLONG_MAX + VARINT_MAX + bytes_len(self.key) + bytes_len(self.value) + self.headers.len()
    }

    /// Appends the record to a batch's body.
    pub fn encode(&self, out: &mut Vec<u8>, timestamp_delta: i64, offset_delta: i32) {
        let before = out.len();
        out.resize(before + self.max_len() + ENCODE_SLACK, 0);
        let len = self.encode_into(&mut out[before..], timestamp_delta, offset_delta);
        out.truncate(before + len);
    }

    /// Writes the record to the beginning of `room`, which has [`RecordBody::max_len`] and [`ENCODE_SLACK`] bytes at least, and
    /// says how long it is.
    #[inline(always)]
    pub fn encode_into(&self, room: &mut [u8], timestamp_delta: i64, offset_delta: i32) -> usize {
        let (key_len, value_len) = (zigzag_len(self.key), zigzag_len(self.value));
        let (timestamp, offset) = (zigzag(timestamp_delta), zigzag(offset_delta.into()));
        let contents = (key_len / 2 + value_len / 2) as usize + self.headers.len();
        // Almost all are so short, and the record's length is, too.
        if key_len < 0x80 && timestamp | offset < SHORT && contents < SHORT as usize / 2 - 16 {
            let deltas = Short { bytes: 0, len: 1 }.then(Short::varint(timestamp)).then(Short::varint(offset));
            let (key, value) = (Short::varint(key_len), Short::varint(value_len));
            let len = (deltas.len + key.len + value.len) as usize + contents;
            let mut at = 0;
            Short::varint(2 * len as u64).then(deltas).then(key).put(room, &mut at);
            put(room, &mut at, self.key.unwrap_or_default());
            value.put(room, &mut at);
            put(room, &mut at, self.value.unwrap_or_default());
            match self.headers {
                [none] => {
                    room[at] = *none;
                    at + 1
                }
                headers => {
                    put(room, &mut at, headers);
                    at
                }
            }
        } else {
            self.encode_long(room, timestamp_delta, offset_delta)
        }
    }

    /// As [`RecordBody::encode_into`], but for the bytes of the value, which are to stand elsewhere: how many come before
    /// them, and how many that is in all.
    pub fn encode_around(&self, room: &mut [u8], timestamp_delta: i64, offset_delta: i32) -> (usize, usize) {
        let mut at = self.encode_before_value(room, timestamp_delta, offset_delta);
        let before = at;
        put(room, &mut at, self.headers);
        (before, at)
    }

    #[cold]
    #[inline(never)]
    fn encode_long(&self, room: &mut [u8], timestamp_delta: i64, offset_delta: i32) -> usize {
        let mut at = self.encode_before_value(room, timestamp_delta, offset_delta);
        put(room, &mut at, self.value.unwrap_or_default());
        put(room, &mut at, self.headers);
        at
    }

    fn encode_before_value(&self, room: &mut [u8], timestamp_delta: i64, offset_delta: i32) -> usize {
        let deltas = varint_len(timestamp_delta) + varint_len(offset_delta.into());
        let len = 1 + deltas + bytes_len(self.key) + bytes_len(self.value) + self.headers.len();
        let mut at = 0;
        let varint = |room: &mut [u8], at: &mut usize, value| varint_bytes(value, |byte| put(room, at, &[byte]));
        varint(room, &mut at, len as i64);
        put(room, &mut at, &[0]);
        varint(room, &mut at, timestamp_delta);
        varint(room, &mut at, offset_delta.into());
        varint(room, &mut at, self.key.map_or(-1, |key| key.len() as i64));
        put(room, &mut at, self.key.unwrap_or_default());
        varint(room, &mut at, self.value.map_or(-1, |value| value.len() as i64));
        at
    }
}

#[inline(always)]
fn put(room: &mut [u8], at: &mut usize, bytes: &[u8]) {
    room[*at..*at + bytes.len()].copy_from_slice(bytes);
    *at += bytes.len();
}

/// A delta of 64 bits, as a varint.
const VARLONG_MAX: usize = 10;
/// A length of 32 bits, as a varint.
const VARINT_MAX: usize = 5;

/// The length that stands before these bytes, as it is written; −1 is null.
#[inline(always)]
fn zigzag_len(bytes: Option<&[u8]>) -> u64 {
    bytes.map_or(1, |bytes| 2 * bytes.len() as u64)
}

/// A record of a batch's body: what is needed to put it into another batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EncodedRecord<'a> {
    /// After the base timestamp of the batch that it is from.
    pub timestamp_delta: i64,
    /// Key, value and headers.
    rest: &'a [u8],
}

impl<'a> EncodedRecord<'a> {
    /// About how long it is in a batch: the deltas count as long as they can be.
    #[expect(clippy::len_without_is_empty, reason = "a record is never empty")]
    pub fn len(&self) -> usize {
        5 + 1 + 10 + 5 + self.rest.len()
    }

    /// Key, value and headers, encoded.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Appends it to another batch's body.
    pub fn encode(&self, out: &mut Vec<u8>, timestamp_delta: i64, offset_delta: i32) {
        let deltas = varint_len(timestamp_delta) + varint_len(i64::from(offset_delta));
        put_varint(out, (1 + deltas + self.rest.len()) as i64);
        out.push(0);
        put_varint(out, timestamp_delta);
        put_varint(out, i64::from(offset_delta));
        out.extend_from_slice(self.rest);
    }
}

/// The records of a body that [`RecordBody::encode`] wrote.
pub fn encoded_records(body: &[u8]) -> impl Iterator<Item = EncodedRecord<'_>> {
    let mut rest = body;
    std::iter::from_fn(move || {
        let len = usize::try_from(take_varint(&mut rest)?).ok()?;
        let (mut record, after) = rest.split_at_checked(len)?;
        rest = after;
        let (_attributes, fields) = record.split_first()?;
        record = fields;
        let timestamp_delta = take_varint(&mut record)?;
        take_varint(&mut record)?;
        Some(EncodedRecord { timestamp_delta, rest: record })
    })
}

/// Writes the headers of one record to `room`, from `at` on: their count, then name and value of each. There has to be room for
/// as much as [`headers_max_len`] says.
#[inline(always)]
pub fn encode_headers_into<'a>(
    room: &mut [u8],
    at: &mut usize,
    count: usize,
    headers: impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)>,
) {
    put_length(room, at, 2 * count as u64);
    for (name, value) in headers {
        put_length(room, at, zigzag_len(Some(name)));
        put(room, at, name);
        put_length(room, at, zigzag_len(value));
        put(room, at, value.unwrap_or_default());
    }
}

/// An upper bound of what the headers of so many records take, of so many bytes in all.
pub fn headers_max_len(records: usize, headers: usize, bytes: usize) -> usize {
    VARINT_MAX * (records + 2 * headers) + bytes + ENCODE_SLACK
}

/// A length, which is given in zigzag.
#[inline(always)]
fn put_length(room: &mut [u8], at: &mut usize, zigzag: u64) {
    if zigzag < SHORT {
        Short::varint(zigzag).put(room, at);
    } else {
        put_long_length(room, at, zigzag);
    }
}

#[cold]
#[inline(never)]
fn put_long_length(room: &mut [u8], at: &mut usize, zigzag: u64) {
    varint_bytes((zigzag / 2) as i64, |byte| put(room, at, &[byte]));
}

/// Appends the headers of one record: their count, then name and value of each.
pub fn encode_headers<'a>(
    out: &mut Vec<u8>,
    count: usize,
    headers: impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)> + Clone,
) {
    let bytes = headers.clone().map(|(name, value)| name.len() + value.map_or(0, <[u8]>::len)).sum();
    let mut at = out.len();
    out.resize(at + headers_max_len(1, count, bytes), 0);
    encode_headers_into(out, &mut at, count, headers);
    out.truncate(at);
}

#[inline(always)]
fn bytes_len(bytes: Option<&[u8]>) -> usize {
    bytes.map_or(1, |bytes| varint_len(bytes.len() as i64) + bytes.len())
}

#[inline(always)]
fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

#[inline(always)]
fn varint_len(value: i64) -> usize {
    let value = zigzag(value);
    match value {
        // Almost all.
        ..0x80 => 1,
        0x80..0x4000 => 2,
        _ => {
            let bits = 64 - value.leading_zeros() as usize;
            bits.div_ceil(7)
        }
    }
}

fn put_varint(out: &mut Vec<u8>, value: i64) {
    varint_bytes(value, |byte| out.push(byte));
}

fn varint_bytes(value: i64, mut put: impl FnMut(u8)) {
    let mut rest = zigzag(value);
    while rest >= 0x80 {
        put(rest as u8 | 0x80);
        rest >>= 7;
    }
    put(rest as u8);
}

fn take_varint(from: &mut &[u8]) -> Option<i64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = from.split_first()?;
        *from = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some((value >> 1) as i64 ^ -((value & 1) as i64));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::compression::Compression;
    use kafka_protocol::records::RecordBatchDecoder;
    use proptest::prelude::*;

    #[test]
    fn varint_lengths_match_what_is_written() {
        for value in [0, -1, 1, 63, 64, -64, -65, 8191, 8192, i64::MAX, i64::MIN, i64::from(i32::MAX)] {
            let mut out = Vec::new();
            put_varint(&mut out, value);
            assert_eq!(out.len(), varint_len(value), "{value}");
            assert_eq!(take_varint(&mut &out[..]), Some(value));
        }
    }

    /// Offsets of one, two and three bytes.
    #[test]
    fn many_records_are_counted_on() {
        let mut body = Vec::new();
        let key = [b'k'; 70];
        for at in 0..9_000_i32 {
            let record = RecordBody { key: Some(&key[..at as usize % 70]), value: None, headers: NO_HEADERS };
            record.encode(&mut body, (at * 10).into(), at);
        }
        let header = Header {
            attributes: 0,
            base_timestamp: 1,
            max_timestamp: 89_991,
            producer_id: 1,
            producer_epoch: 0,
            base_sequence: 0,
            count: 9_000,
        };
        let whole = Body::from(body.clone());
        let mut bytes = header.encode(&whole, whole.crc()).to_vec();
        bytes.extend_from_slice(&body);
        let set = RecordBatchDecoder::decode(&mut bytes::Bytes::from(bytes)).unwrap();
        assert_eq!(set.records.len(), 9_000);
        for (at, record) in (0..).zip(&set.records) {
            let key_len = record.key.as_ref().map(|key| key.len() as i64);
            assert_eq!((record.offset, record.timestamp, key_len), (at, 1 + at * 10, Some(at % 70)));
        }
    }

    type Entry = (Option<Vec<u8>>, Option<Vec<u8>>, i64, Vec<(String, Option<Vec<u8>>)>);

    fn entries() -> impl Strategy<Value = Vec<Entry>> {
        // About where a varint gets longer, and where the short way ends.
        let lengths = prop_oneof![0..200_usize, 8000..8300_usize];
        let bytes = move || {
            proptest::option::of(lengths.clone().prop_flat_map(|len| proptest::collection::vec(any::<u8>(), len)))
        };
        // Mostly near one another.
        let timestamps = prop_oneof![3 => 1_000_000..1_020_000_i64, 1 => 0..=4_000_000_000_000_i64];
        let headers = proptest::collection::vec(("[a-z]{1,12}", bytes()), 0..4);
        proptest::collection::vec((bytes(), bytes(), timestamps, headers), 1..40)
    }

    fn codecs() -> impl Strategy<Value = Compression> {
        use Compression::*;
        proptest::sample::select(vec![None, Gzip(-1), Gzip(9), Snappy, Lz4(9), Lz4(3), Zstd(3), Zstd(-7)])
    }

    proptest! {
        /// Another implementation reads back what was written, header fields and checksum included.
        #[test]
        fn kafka_protocol_decodes_what_we_encode(entries in entries(), producer_id in -1i64.., epoch in -1i16.., base_sequence in 0i32..1000, codec in codecs()) {
            let base_timestamp = entries[0].2;
            let mut body = Vec::new();
            for (at, (key, value, timestamp, headers)) in entries.iter().enumerate() {
                let mut block = Vec::new();
                encode_headers(&mut block, headers.len(), headers.iter().map(|(name, value)| (name.as_bytes(), value.as_deref())));
                let record = RecordBody { key: key.as_deref(), value: value.as_deref(), headers: &block };
                let before = body.len();
                let (delta, at) = (timestamp - base_timestamp, at as i32);
                record.encode(&mut body, delta, at);
                prop_assert!(body.len() - before <= record.max_len());
                // Whatever was in the buffer before, and no byte beyond what is asked for.
                let mut room = vec![0xaa; record.max_len() + ENCODE_SLACK];
                let len = record.encode_into(&mut room, delta, at);
                prop_assert_eq!(&room[..len], &body[before..]);
                // And in parts.
                let mut room = vec![0xaa; record.max_len()];
                let (value_at, len) = record.encode_around(&mut room, delta, at);
                let parts = [&room[..value_at], record.value.unwrap_or_default(), &room[value_at..len]];
                prop_assert_eq!(&parts.concat(), &body[before..]);
            }
            let again: Vec<EncodedRecord<'_>> = encoded_records(&body).collect();
            prop_assert_eq!(again.len(), entries.len());
            let mut copy = Vec::new();
            for (at, record) in again.iter().enumerate() {
                prop_assert_eq!(record.timestamp_delta, entries[at].2 - base_timestamp);
                record.encode(&mut copy, record.timestamp_delta, at as i32);
            }
            prop_assert_eq!(&copy, &body);
            let body = codec.compress(&body).unwrap_or(body);
            let header = Header {
                attributes: codec.attributes(),
                base_timestamp,
                max_timestamp: entries.iter().map(|entry| entry.2).max().unwrap(),
                producer_id,
                producer_epoch: epoch,
                base_sequence,
                count: entries.len() as i32,
            };
            let whole = Body::from(body.clone());
            let mut bytes = header.encode(&whole, whole.crc()).to_vec();
            let crc = crc32c::crc32c(&[&bytes[ATTRIBUTES_AT..], &body[..]].concat());
            prop_assert_eq!(&crc.to_be_bytes()[..], &bytes[17..21]);
            bytes.extend_from_slice(&body);
            let set = RecordBatchDecoder::decode(&mut bytes::Bytes::from(bytes)).unwrap();
            prop_assert_eq!(set.records.len(), entries.len());
            for (at, (record, (key, value, timestamp, headers))) in set.records.iter().zip(&entries).enumerate() {
                prop_assert_eq!(record.key.as_deref(), key.as_deref());
                prop_assert_eq!(record.value.as_deref(), value.as_deref());
                prop_assert_eq!(record.timestamp, *timestamp);
                prop_assert_eq!(record.producer_id, producer_id);
                prop_assert_eq!(record.producer_epoch, epoch);
                prop_assert_eq!(record.sequence, base_sequence + at as i32);
                // The crate keeps headers in a map: names that repeat are compared by the Java oracle.
                for (name, value) in &record.headers {
                    prop_assert!(headers.iter().any(|(ours, bytes)| ours.as_str() == name.as_str() && bytes.as_deref() == value.as_deref()));
                }
            }
        }
    }
}
