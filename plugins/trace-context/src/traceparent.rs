//! The `traceparent` header of W3C Trace Context: `00-<trace id>-<span id>-<flags>` in lower-case hex.

/// A valid header, as text: what a child takes over from its parent is copied, never decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TraceParent([u8; LENGTH]);

const LENGTH: usize = 55;

/// Where the parts are.
const TRACE_ID: usize = 3;
const SPAN_ID: usize = 36;
const FLAGS: usize = 53;

impl TraceParent {
    /// A sampled span of a new trace. Neither id may be 0.
    pub(crate) fn new(trace_id: [u64; 2], span_id: u64) -> TraceParent {
        let mut text = *b"00-00000000000000000000000000000000-0000000000000000-01";
        write_hex(trace_id[0], &mut text, TRACE_ID);
        write_hex(trace_id[1], &mut text, TRACE_ID + 16);
        write_hex(span_id, &mut text, SPAN_ID);
        TraceParent(text)
    }

    /// Another span of the same trace. Its id may not be 0.
    pub(crate) fn child(mut self, span_id: u64) -> TraceParent {
        write_hex(span_id, &mut self.0, SPAN_ID);
        self
    }

    /// Reads a header's value. None if it is not valid, and so must be treated as if it were not there.
    pub(crate) fn parse(text: &[u8]) -> Option<TraceParent> {
        let (&head, more) = text.split_first_chunk::<LENGTH>()?;
        let mut parsed = TraceParent(head);
        let dashes = [head[2], head[35], head[52]] == *b"---";
        // Two digits, and 00 where there are none, so that eight can be looked at together.
        let ends = u64::from_le_bytes([head[0], head[1], head[53], head[54], b'0', b'0', b'0', b'0']);
        let words = [3, 11, 19, 27, 36, 44].map(|at| parsed.digits(at));
        if !dashes || !words.iter().all(|&word| are_hex(word)) || !are_hex(ends) {
            return None;
        }
        let trace_is_zero = words[..4].iter().all(|&word| word == ZEROS);
        let span_is_zero = words[4..].iter().all(|&word| word == ZEROS);
        if trace_is_zero || span_is_zero || head[..2] == *b"ff" {
            return None;
        }
        // 00 ends here. Later versions may go on, behind a dash.
        let is_00 = head[..2] == *b"00";
        if !(more.is_empty() || !is_00 && more[0] == b'-') {
            return None;
        }
        // What is passed on is a header of version 00: it has two flags, sampled and "the trace id is random".
        parsed.0[..2].copy_from_slice(b"00");
        parsed.0[FLAGS] = b'0';
        parsed.0[FLAGS + 1] = b'0' | value(head[FLAGS + 1]) & 0b11;
        Some(parsed)
    }

    /// The header's value.
    pub(crate) fn text(&self) -> &[u8; LENGTH] {
        &self.0
    }

    fn digits(&self, at: usize) -> u64 {
        u64::from_le_bytes(self.0[at..at + 8].try_into().expect("eight digits"))
    }
}

/// Writes the sixteen digits of a number.
fn write_hex(number: u64, text: &mut [u8; LENGTH], at: usize) {
    let digits = [(number >> 32) as u32, number as u32].map(hex);
    text[at..at + 8].copy_from_slice(&digits[0].to_le_bytes());
    text[at + 8..at + 16].copy_from_slice(&digits[1].to_le_bytes());
}

/// The eight digits of a number, the first in the lowest byte.
fn hex(number: u32) -> u64 {
    // Spread the half-bytes over eight bytes: by halves, then quarters, then eighths.
    let mut spread = u64::from(number.swap_bytes());
    spread = (spread | spread << 16) & 0x0000_ffff_0000_ffff;
    spread = (spread | spread << 8) & 0x00ff_00ff_00ff_00ff;
    spread = (spread >> 4 | spread << 8) & 0x0f0f_0f0f_0f0f_0f0f;
    // Those above nine carry into the bit of sixteen when six is added; letters start 39 further on than digits would.
    let letters = (spread + 6 * ONES) >> 4 & ONES;
    spread + ZEROS + letters * u64::from(b'a' - 10 - b'0')
}

/// Whether eight bytes are all lower-case hexadecimal digits.
fn are_hex(word: u64) -> bool {
    // In bytes below 0x80 the high bit says whether a sum reached it, and no sum reaches the next byte.
    let ascii = word & !HIGH;
    let at_least = |first: u8| ascii + ONES * u64::from(0x80 - first);
    let digit = at_least(b'0') & !at_least(b'9' + 1);
    let letter = at_least(b'a') & !at_least(b'f' + 1);
    (digit | letter) & !word & HIGH == HIGH
}

fn value(digit: u8) -> u8 {
    if digit <= b'9' { digit - b'0' } else { digit - b'a' + 10 }
}

const ONES: u64 = u64::from_le_bytes([1; 8]);
const HIGH: u64 = ONES << 7;
const ZEROS: u64 = u64::from_le_bytes([b'0'; 8]);

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn writes_what_it_reads() {
        let made = TraceParent::new([0x4bf9_2f35_77b3_4da6, 0xa3ce_929d_0e0e_4736], 0x00f0_67aa_0ba9_02b7);
        assert_eq!(made.text(), EXAMPLE.as_bytes());
        assert_eq!(TraceParent::parse(EXAMPLE.as_bytes()), Some(made));
    }

    #[test]
    fn a_child_differs_in_its_span_only() {
        let child = TraceParent::parse(EXAMPLE.as_bytes()).unwrap().child(0x0123_4567_89ab_cdef);
        assert_eq!(child.text(), EXAMPLE.replace("00f067aa0ba902b7", "0123456789abcdef").as_bytes());
    }

    #[test]
    fn every_byte_has_its_digits() {
        for byte in 0..=255_u8 {
            let number = u32::from_be_bytes([byte, !byte, 0, byte]);
            assert_eq!(hex(number).to_le_bytes(), *format!("{number:08x}").as_bytes());
        }
    }

    #[test]
    fn only_lower_case_digits_are_digits() {
        for byte in 0..=255_u8 {
            for at in 0..8 {
                let mut word = *b"09afb7c3";
                word[at] = byte;
                assert_eq!(
                    are_hex(u64::from_le_bytes(word)),
                    matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
                    "{byte} at {at}"
                );
            }
        }
    }

    #[test]
    fn a_later_version_may_be_longer() {
        let later = EXAMPLE.replacen("00", "cc", 1);
        let parsed = TraceParent::parse(EXAMPLE.as_bytes());
        assert_eq!(TraceParent::parse(later.as_bytes()), parsed);
        assert_eq!(TraceParent::parse(format!("{later}-what-comes").as_bytes()), parsed);
        assert_eq!(TraceParent::parse(format!("{later}.").as_bytes()), None);
    }

    #[test]
    fn flags_without_a_meaning_are_not_passed_on() {
        for (flags, passed) in [("ff", "03"), ("fc", "00"), ("0a", "02"), ("11", "01")] {
            let text = EXAMPLE.replace("-01", &format!("-{flags}"));
            let parsed = TraceParent::parse(text.as_bytes()).unwrap();
            assert_eq!(parsed.text(), EXAMPLE.replace("-01", &format!("-{passed}")).as_bytes());
        }
    }

    #[test]
    fn whatever_is_not_valid_is_none() {
        let invalid = [
            String::new(),
            EXAMPLE[..54].to_owned(),
            format!("{EXAMPLE}-"),
            EXAMPLE.to_uppercase(),
            EXAMPLE.replacen("00", "ff", 1),
            EXAMPLE.replacen("00", "0x", 1),
            EXAMPLE.replace('-', "_"),
            EXAMPLE.replace("4bf9", "4bg9"),
            EXAMPLE.replace("02b7", "02b/"),
            EXAMPLE.replace("-01", "-0x"),
            EXAMPLE.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            EXAMPLE.replace("00f067aa0ba902b7", &"0".repeat(16)),
        ];
        for text in invalid {
            assert_eq!(TraceParent::parse(text.as_bytes()), None, "{text}");
        }
    }
}
