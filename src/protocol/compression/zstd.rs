//! zstd.

use super::DecompressError;
use ::zstd::bulk::Compressor;
use ::zstd::zstd_safe::compress_bound;
use std::cell::RefCell;

/// log2 of the window that a decoder makes room for whatever it is told: what writers of streams ask for.
const WINDOW_LOG: u32 = 23;

pub(super) fn bound(len: usize) -> usize {
    compress_bound(len)
}

pub(super) fn compress(level: i32, records: &[u8], out: &mut [u8]) -> Option<usize> {
    thread_local! {
        static USED: RefCell<Option<(i32, Compressor<'static>)>> = const { RefCell::new(None) };
    }
    USED.with_borrow_mut(|used| {
        let compressor = match used {
            Some((of, compressor)) if *of == level => compressor,
            _ => &mut used.insert((level, Compressor::new(level).ok()?)).1,
        };
        compressor.compress_to_buffer(records, out).ok()
    })
}

pub(super) fn decompress(bytes: &[u8], limit: usize) -> Result<Vec<u8>, DecompressError> {
    const BROKEN: DecompressError = DecompressError::Broken("zstd");
    let mut decoder = ::zstd::stream::read::Decoder::with_buffer(bytes).map_err(|_| BROKEN)?;
    let window = usize::BITS - limit.leading_zeros();
    decoder.window_log_max(window.clamp(WINDOW_LOG, 31)).map_err(|_| BROKEN)?;
    super::read_all(decoder, limit, "zstd")
}
