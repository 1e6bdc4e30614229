use bytes::Bytes;
use std::io::IoSlice;

/// A request as it goes to the socket: what was encoded for it, and between that the bodies of record batches, which
/// are not copied. Its length prefix is part of it.
#[derive(Debug)]
pub struct Frame {
    /// Everything that is not a body, in order.
    pub(super) head: Vec<u8>,
    /// Bodies by the offset in `head` that they stand before, ascending.
    pub(super) bodies: Vec<(usize, Bytes)>,
    /// All of it in bytes.
    pub(super) len: usize,
}

impl Frame {
    /// Bytes on the wire.
    #[expect(clippy::len_without_is_empty, reason = "a frame is never empty")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Appends what comes after the first `skip` bytes to `slices`, until there is no room for more of them. An empty
    /// body gives no slice.
    pub fn slices<'a>(&'a self, skip: usize, slices: &mut IoSlices<'a>) {
        let mut skip = skip;
        let mut push = |bytes: &'a [u8]| {
            let from = skip.min(bytes.len());
            skip -= from;
            from == bytes.len() || slices.push(&bytes[from..])
        };
        let mut at = 0;
        for (before, body) in &self.bodies {
            if !push(&self.head[at..*before]) || !push(body) {
                return;
            }
            at = *before;
        }
        push(&self.head[at..]);
    }

    /// The frame in one piece, for what is small and rare.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.len);
        let mut at = 0;
        for (before, body) in &self.bodies {
            bytes.extend_from_slice(&self.head[at..*before]);
            bytes.extend_from_slice(body);
            at = *before;
        }
        bytes.extend_from_slice(&self.head[at..]);
        bytes
    }
}

/// A bounded list of slices for one vectored write.
pub struct IoSlices<'a> {
    slices: [IoSlice<'a>; IoSlices::MAX],
    len: usize,
}

impl<'a> IoSlices<'a> {
    /// Far below the 1,024 that Linux takes; 32 batches of the default size are more than a socket's buffer.
    pub const MAX: usize = 64;

    /// An empty list.
    pub fn new() -> IoSlices<'a> {
        IoSlices { slices: [IoSlice::new(&[]); IoSlices::MAX], len: 0 }
    }

    /// Whether nothing more fits.
    pub fn is_full(&self) -> bool {
        self.len == IoSlices::MAX
    }

    /// For the write.
    pub fn as_slice(&self) -> &[IoSlice<'a>] {
        &self.slices[..self.len]
    }

    fn push(&mut self, bytes: &'a [u8]) -> bool {
        if self.is_full() {
            return false;
        }
        self.slices[self.len] = IoSlice::new(bytes);
        self.len += 1;
        true
    }
}

impl Default for IoSlices<'_> {
    fn default() -> Self {
        IoSlices::new()
    }
}
