use std::fmt;
use std::ops::Range;

/// Why what arrived is not an answer of a Kafka broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum FrameError {
    /// First bytes of TLS.
    Tls,
    /// First bytes of another protocol.
    Other(&'static str),
    /// A length that no answer has.
    Length(i32),
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FrameError::Tls => {
                f.write_str("the port speaks TLS, and security.protocol does not: it would be SSL or SASL_SSL")
            }
            FrameError::Other(name) => write!(f, "the port speaks {name}, not Kafka"),
            FrameError::Length(length) => {
                write!(f, "the port does not speak Kafka, or badly: it announces an answer of {length} bytes")
            }
        }
    }
}

/// Bytes from a socket, cut into answers. It grows with what arrives, never with what is announced.
#[derive(Debug)]
pub(super) struct FrameBuffer {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    len_max: usize,
}

impl Default for FrameBuffer {
    fn default() -> FrameBuffer {
        FrameBuffer::with_len_max(FRAME_LEN_MAX)
    }
}

/// No answer to a producer comes near: the metadata of 100,000 partitions are some megabytes.
const FRAME_LEN_MAX: usize = 100 * 1024 * 1024;
const FIRST_LEN: usize = 16 * 1024;
/// What a large answer leaves behind is given back beyond this.
const KEPT_LEN_MAX: usize = 1024 * 1024;

impl FrameBuffer {
    /// For answers that are at most so long.
    pub(super) fn with_len_max(len_max: usize) -> FrameBuffer {
        FrameBuffer { bytes: Vec::new(), start: 0, end: 0, len_max }
    }

    /// Room for bytes to be read into, never empty; then call [`FrameBuffer::filled`].
    pub(super) fn room(&mut self) -> &mut [u8] {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
            if self.bytes.len() > KEPT_LEN_MAX {
                self.bytes = Vec::new();
            }
        }
        if self.end == self.bytes.len() {
            if self.start > 0 {
                self.bytes.copy_within(self.start..self.end, 0);
                self.end -= self.start;
                self.start = 0;
            } else {
                let len = (2 * self.bytes.len()).clamp(FIRST_LEN, FIRST_LEN.max(4 + self.len_max));
                self.bytes.resize(len, 0);
            }
        }
        &mut self.bytes[self.end..]
    }

    /// That many bytes of the room were read into.
    pub(super) fn filled(&mut self, len: usize) {
        self.end += len;
    }

    /// Whether an answer has begun and not ended.
    pub(super) fn is_partial(&self) -> bool {
        self.start < self.end
    }

    /// Whether [`FrameBuffer::next`] has an answer.
    pub(super) fn next_is_whole(&self) -> Result<bool, FrameError> {
        Ok(self.whole()?.is_some())
    }

    /// The next whole answer without its length.
    pub(super) fn next(&mut self) -> Result<Option<&[u8]>, FrameError> {
        let Some(frame) = self.whole()? else { return Ok(None) };
        self.start = frame.end;
        Ok(Some(&self.bytes[frame]))
    }

    fn whole(&self) -> Result<Option<Range<usize>>, FrameError> {
        let bytes = &self.bytes[self.start..self.end];
        let Some((first, rest)) = bytes.split_first_chunk::<4>() else { return Ok(None) };
        let length = i32::from_be_bytes(*first);
        match usize::try_from(length) {
            // An answer has at least its correlation id.
            Ok(len) if (4..=self.len_max).contains(&len) => {
                let from = self.start + 4;
                Ok((rest.len() >= len).then(|| from..from + len))
            }
            _ => Err(name(first, length)),
        }
    }
}

/// The usual wrong ports, by what they say first: read as a length it is absurd.
fn name(first: &[u8; 4], length: i32) -> FrameError {
    match first {
        // An alert or a handshake record of TLS 1.x.
        [0x15 | 0x16, 0x03, ..] => FrameError::Tls,
        b"HTTP" => FrameError::Other("HTTP"),
        b"SSH-" => FrameError::Other("SSH"),
        _ => FrameError::Length(length),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fill(buffer: &mut FrameBuffer, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = buffer.room();
            let len = room.len().min(bytes.len());
            room[..len].copy_from_slice(&bytes[..len]);
            buffer.filled(len);
            bytes = &bytes[len..];
        }
    }

    proptest! {
        /// However the bytes come, the frames come out whole and in order.
        #[test]
        fn frames_survive_any_cut(
            sizes in proptest::collection::vec(prop_oneof![4usize..200, Just(50_000usize)], 1..12),
            step in 1usize..40_000,
        ) {
            let frames: Vec<Vec<u8>> = sizes.iter().enumerate().map(|(at, size)| vec![at as u8; *size]).collect();
            let stream: Vec<u8> = frames
                .iter()
                .flat_map(|frame| (frame.len() as i32).to_be_bytes().into_iter().chain(frame.iter().copied()))
                .collect();
            let mut buffer = FrameBuffer::default();
            let mut read = Vec::new();
            for piece in stream.chunks(step) {
                fill(&mut buffer, piece);
                while let Some(frame) = buffer.next().unwrap() {
                    read.push(frame.to_vec());
                }
            }
            prop_assert_eq!(read, frames);
            prop_assert!(!buffer.is_partial());
        }
    }

    fn says(bytes: &[u8]) -> String {
        let mut buffer = FrameBuffer::default();
        fill(&mut buffer, bytes);
        buffer.next().unwrap_err().to_string()
    }

    #[test]
    fn other_protocols_are_named() {
        assert_eq!(
            says(&[0x15, 0x03, 0x03, 0, 2, 2, 40]),
            "the port speaks TLS, and security.protocol does not: it would be SSL or SASL_SSL"
        );
        assert_eq!(says(b"HTTP/1.1 400 Bad Request\r\n"), "the port speaks HTTP, not Kafka");
        assert_eq!(says(&[0xff; 4]), "the port does not speak Kafka, or badly: it announces an answer of -1 bytes");
        assert!(says(&[0, 0, 0, 3, 1]).ends_with("an answer of 3 bytes"));
    }

    #[test]
    fn an_announced_length_reserves_nothing() {
        let mut buffer = FrameBuffer::default();
        fill(&mut buffer, &(FRAME_LEN_MAX as i32).to_be_bytes());
        assert_eq!(buffer.next(), Ok(None));
        buffer.room();
        assert_eq!(buffer.bytes.len(), FIRST_LEN);
        assert!(buffer.is_partial());
    }
}
