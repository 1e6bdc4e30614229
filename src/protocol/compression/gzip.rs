//! gzip. The member's header and trailer are written here, so that the compressor behind them can be used again.

use super::DecompressError;
use flate2::{Compress, Crc, FlushCompress, Status};
use std::cell::RefCell;

/// Magic, deflate, no flags, no time, no hint, unknown system.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
const TRAILER_LEN: usize = 8;

pub(super) fn bound(len: usize) -> usize {
    // zlib's own bound for any setting, rounded up.
    HEADER.len() + len + len / 8 + len / 64 + 64 + TRAILER_LEN
}

pub(super) fn compress(level: i32, records: &[u8], out: &mut [u8]) -> Option<usize> {
    thread_local! {
        static USED: RefCell<Option<(i32, Compress)>> = const { RefCell::new(None) };
    }
    let (header, body) = out.split_first_chunk_mut::<{ HEADER.len() }>()?;
    *header = HEADER;
    let deflated = USED.with_borrow_mut(|used| {
        let compressor = match used {
            Some((of, compressor)) if *of == level => {
                compressor.reset();
                compressor
            }
            _ => {
                let effort =
                    u32::try_from(level).map_or_else(|_| flate2::Compression::default(), flate2::Compression::new);
                &mut used.insert((level, Compress::new(effort, false))).1
            }
        };
        let status = compressor.compress(records, body, FlushCompress::Finish).ok()?;
        (status == Status::StreamEnd).then_some(compressor.total_out() as usize)
    })?;
    let mut crc = Crc::new();
    crc.update(records);
    let trailer = body.get_mut(deflated..deflated + TRAILER_LEN)?;
    trailer[..4].copy_from_slice(&crc.sum().to_le_bytes());
    trailer[4..].copy_from_slice(&crc.amount().to_le_bytes());
    Some(HEADER.len() + deflated + TRAILER_LEN)
}

pub(super) fn decompress(bytes: &[u8], limit: usize) -> Result<Vec<u8>, DecompressError> {
    super::read_all(flate2::read::GzDecoder::new(bytes), limit, "gzip")
}
