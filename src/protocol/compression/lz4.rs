//! lz4 frames as Java writes and reads them: independent blocks of 64 KiB (it refuses linked ones), no content
//! checksum, no content size. Only the blocks themselves are the library's.
//!
//! The library is lz4's own in C: the pure Rust one has no thorough compressor, which every level but 9 asks for, and
//! its safe form took twice as long at the fast one.

use super::DecompressError;
use ::lz4::block::{CompressionMode, compress_bound, compress_to_buffer, decompress_to_buffer};

/// Magic; version 1 and independent blocks; blocks of at most 64 KiB; the second byte of the two flags' xxHash32.
const HEADER: [u8; 7] = [0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82];
const END: [u8; 4] = [0; 4];
const BLOCK: usize = 64 * 1024;
/// In a block's length: it is not compressed.
const STORED: u32 = 0x8000_0000;
/// The level that means the fast compressor.
const FAST: i32 = 9;

pub(super) fn bound(len: usize) -> usize {
    // The library's bound for one block; it is at least the block.
    let block = compress_bound(BLOCK).unwrap_or(BLOCK + BLOCK / 255 + 16);
    HEADER.len() + len.div_ceil(BLOCK) * (4 + block) + END.len()
}

pub(super) fn compress(level: i32, records: &[u8], out: &mut [u8]) -> Option<usize> {
    // Levels above 12 are 12 to the library, as they are when Java calls it.
    let mode = if level == FAST { CompressionMode::DEFAULT } else { CompressionMode::HIGHCOMPRESSION(level) };
    out.get_mut(..HEADER.len())?.copy_from_slice(&HEADER);
    let mut at = HEADER.len();
    for block in records.chunks(BLOCK) {
        let (length, rest) = out.get_mut(at..)?.split_first_chunk_mut::<4>()?;
        let mut len = compress_to_buffer(block, Some(mode), false, rest).ok()?;
        let mut stored = 0;
        if len >= block.len() {
            len = block.len();
            rest.get_mut(..len)?.copy_from_slice(block);
            stored = STORED;
        }
        *length = (len as u32 | stored).to_le_bytes();
        at += 4 + len;
    }
    out.get_mut(at..at + END.len())?.copy_from_slice(&END);
    Some(at + END.len())
}

pub(super) fn decompress(bytes: &[u8], limit: usize) -> Result<Vec<u8>, DecompressError> {
    const BROKEN: DecompressError = DecompressError::Broken("lz4");
    let mut rest = bytes.strip_prefix(&HEADER).ok_or(BROKEN)?;
    let mut out = Vec::new();
    let mut scratch = Vec::new();
    loop {
        let (length, after) = rest.split_first_chunk::<4>().ok_or(BROKEN)?;
        let length = u32::from_le_bytes(*length);
        if length == 0 {
            return if after.is_empty() { Ok(out) } else { Err(BROKEN) };
        }
        let len = (length & !STORED) as usize;
        if len > BLOCK {
            return Err(BROKEN);
        }
        let (block, after) = after.split_at_checked(len).ok_or(BROKEN)?;
        rest = after;
        let plain = if length & STORED != 0 {
            block
        } else {
            scratch.resize(BLOCK, 0);
            let len = decompress_to_buffer(block, Some(BLOCK as i32), &mut scratch).map_err(|_| BROKEN)?;
            scratch.get(..len).ok_or(BROKEN)?
        };
        if plain.len() > limit.saturating_sub(out.len()) {
            return Err(DecompressError::TooLong(limit));
        }
        out.extend_from_slice(plain);
    }
}
