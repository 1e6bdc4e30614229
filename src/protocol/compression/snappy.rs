//! snappy as snappy-java frames it: a header, then blocks with their lengths. `snap`'s own frames are another format
//! that no Kafka client reads.

use super::DecompressError;
use snap::raw::{Decoder, Encoder, decompress_len, max_compress_len};

/// Magic, version 1, readable since version 1.
const HEADER: &[u8; 16] = b"\x82SNAPPY\x00\x00\x00\x00\x01\x00\x00\x00\x01";
/// snappy-java's block size.
const BLOCK: usize = 32 * 1024;

pub(super) fn bound(len: usize) -> usize {
    HEADER.len() + len.div_ceil(BLOCK) * (4 + max_compress_len(BLOCK))
}

pub(super) fn compress(_level: i32, records: &[u8], out: &mut [u8]) -> Option<usize> {
    out.get_mut(..HEADER.len())?.copy_from_slice(HEADER);
    let mut at = HEADER.len();
    // One for all blocks; its table is on the stack for blocks as small as these.
    let mut encoder = Encoder::new();
    for block in records.chunks(BLOCK) {
        let (length, rest) = out.get_mut(at..)?.split_first_chunk_mut::<4>()?;
        let len = encoder.compress(block, rest).ok()?;
        *length = i32::try_from(len).ok()?.to_be_bytes();
        at += 4 + len;
    }
    Some(at)
}

pub(super) fn decompress(bytes: &[u8], limit: usize) -> Result<Vec<u8>, DecompressError> {
    const BROKEN: DecompressError = DecompressError::Broken("snappy");
    // Versions that are written and those that can read it follow the magic; snappy-java reads any.
    if bytes.get(..8) != Some(&HEADER[..8]) {
        return Err(BROKEN);
    }
    let mut rest = bytes.get(HEADER.len()..).ok_or(BROKEN)?;
    let mut out = Vec::new();
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let len = usize::try_from(i32::from_be_bytes(*length)).map_err(|_| BROKEN)?;
        let (block, after) = after.split_at_checked(len).ok_or(BROKEN)?;
        rest = after;
        let len = decompress_len(block).map_err(|_| BROKEN)?;
        let at = out.len();
        if len > limit.saturating_sub(at) {
            return Err(DecompressError::TooLong(limit));
        }
        out.resize(at + len, 0);
        Decoder::new().decompress(block, &mut out[at..]).map_err(|_| BROKEN)?;
    }
    if rest.is_empty() { Ok(out) } else { Err(BROKEN) }
}
