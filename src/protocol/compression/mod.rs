//! Compression of a batch's records, in the framings that Java reads.
//!
//! | codec | attributes | framing |
//! |---|---|---|
//! | gzip | 1 | one member (RFC 1952) |
//! | snappy | 2 | snappy-java's ("xerial"), not snappy's own frames |
//! | lz4 | 3 | one lz4 frame of independent blocks of 64 KiB, without checksums of the content |
//! | zstd | 4 | one zstd frame |
//!
//! What it takes to compress (tables, output before its length is known) is kept per thread and serves again: for
//! batches of 16 KiB, making it anew costs as much as the compression itself.

mod gzip;
mod lz4;
mod snappy;
mod zstd;

use std::cell::RefCell;

/// Bits 0–2 of a batch's attributes.
const CODEC: i16 = 0b111;

/// How a batch is compressed. Levels are those of Kafka's keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// `compression.gzip.level`: 1 to 9, −1 for gzip's own choice.
    Gzip(i32),
    /// It has no levels.
    Snappy,
    /// `compression.lz4.level`: 9 is the fast compressor, any other from 1 to 17 the thorough one.
    Lz4(i32),
    /// `compression.zstd.level`: −131072 to 22.
    Zstd(i32),
}

/// Bytes that are not what the batch's attributes say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecompressError {
    /// They do not follow the codec's format.
    #[error("broken {0} data")]
    Broken(&'static str),
    /// There is more in them than is allowed for.
    #[error("more than {0} bytes come out of it")]
    TooLong(usize),
    /// The attributes name a codec that there is none of.
    #[error("there is no codec {0}")]
    UnknownCodec(i16),
}

/// More than that is not kept by a thread for its next batch.
const SCRATCH_MAX: usize = 4 << 20;

impl Compression {
    /// Its bits in a batch's attributes.
    pub fn attributes(self) -> i16 {
        match self {
            Compression::None => 0,
            Compression::Gzip(_) => 1,
            Compression::Snappy => 2,
            Compression::Lz4(_) => 3,
            Compression::Zstd(_) => 4,
        }
    }

    /// The records compressed, even if that makes them longer: Java sends them so, too. `None` without compression,
    /// and should the codec fail: then they go as they are.
    pub fn compress(self, records: &[u8]) -> Option<Vec<u8>> {
        type Codec = fn(i32, &[u8], &mut [u8]) -> Option<usize>;
        let (bound, codec, level): (usize, Codec, i32) = match self {
            Compression::None => return None,
            Compression::Gzip(level) => (gzip::bound(records.len()), gzip::compress, level),
            Compression::Snappy => (snappy::bound(records.len()), snappy::compress, 0),
            Compression::Lz4(level) => (lz4::bound(records.len()), lz4::compress, level),
            Compression::Zstd(level) => (zstd::bound(records.len()), zstd::compress, level),
        };
        thread_local! {
            static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
        }
        SCRATCH.with_borrow_mut(|scratch| {
            if scratch.len() < bound {
                scratch.resize(bound, 0);
            }
            let compressed = codec(level, records, scratch).map(|len| scratch[..len].to_vec());
            if scratch.len() > SCRATCH_MAX {
                *scratch = Vec::new();
            }
            compressed
        })
    }
}

/// The records of a batch with these attributes, if they are at most `limit` bytes.
///
/// # Errors
/// They are longer, or the bytes are not what the attributes say.
pub fn decompress(attributes: i16, bytes: &[u8], limit: usize) -> Result<Vec<u8>, DecompressError> {
    let records = match attributes & CODEC {
        0 => bytes.to_vec(),
        1 => gzip::decompress(bytes, limit)?,
        2 => snappy::decompress(bytes, limit)?,
        3 => lz4::decompress(bytes, limit)?,
        4 => zstd::decompress(bytes, limit)?,
        other => return Err(DecompressError::UnknownCodec(other)),
    };
    if records.len() > limit { Err(DecompressError::TooLong(limit)) } else { Ok(records) }
}

/// Everything that a reader gives, or a little more than `limit` bytes of it.
fn read_all(reader: impl std::io::Read, limit: usize, codec: &'static str) -> Result<Vec<u8>, DecompressError> {
    let mut out = Vec::new();
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    let read = std::io::Read::read_to_end(&mut std::io::Read::take(reader, most), &mut out);
    read.map_err(|_| DecompressError::Broken(codec))?;
    Ok(out)
}

#[cfg(test)]
mod tests;
