//! The `traceparent` header of W3C Trace Context: `00-<trace id>-<span id>-<flags>` in lower-case hex.

/// A trace, a span of it, and its flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TraceParent {
    pub(crate) trace_id: [u8; 16],
    pub(crate) span_id: [u8; 8],
    pub(crate) flags: u8,
}

/// Flags that mean something: sampled, and that the trace id is random. A version 00 header carries no others.
const KNOWN_FLAGS: u8 = 0b11;

const LENGTH: usize = 55;

impl TraceParent {
    /// Reads a header's value. None if it is not valid, and so must be treated as if it were not there.
    pub(crate) fn parse(text: &[u8]) -> Option<TraceParent> {
        let (head, more) = text.split_at_checked(LENGTH)?;
        let [version] = hex(&head[..2])?;
        // 00 ends here. Later versions may go on, behind a dash; ff is none.
        if version == 0xff || !(more.is_empty() || version > 0 && more[0] == b'-') {
            return None;
        }
        if [head[2], head[35], head[52]] != *b"---" {
            return None;
        }
        let [flags] = hex(&head[53..])?;
        let parsed = TraceParent { trace_id: hex(&head[3..35])?, span_id: hex(&head[36..52])?, flags };
        (parsed.trace_id != [0; 16] && parsed.span_id != [0; 8]).then_some(parsed)
    }

    /// The header's value.
    pub(crate) fn format(&self) -> [u8; LENGTH] {
        let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
        write_hex(&self.trace_id, &mut text[3..35]);
        write_hex(&self.span_id, &mut text[36..52]);
        write_hex(&[self.flags & KNOWN_FLAGS], &mut text[53..]);
        text
    }
}

/// Twice as many lower-case digits as there are bytes.
fn hex<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    // A wrong digit has a bit above the low four: gathered, and looked at once.
    let mut wrong = 0;
    for (byte, pair) in bytes.iter_mut().zip(digits.as_chunks::<2>().0) {
        let [high, low] = pair.map(|digit| VALUES[usize::from(digit)]);
        wrong |= high | low;
        *byte = high << 4 | (low & 0xf);
    }
    (wrong & 0xf0 == 0).then_some(bytes)
}

fn write_hex(bytes: &[u8], digits: &mut [u8]) {
    for (byte, pair) in bytes.iter().zip(digits.as_chunks_mut::<2>().0) {
        *pair = PAIRS[usize::from(*byte)];
    }
}

/// The value of each lower-case digit; 0xff for every other byte.
const VALUES: [u8; 256] = {
    let mut values = [0xff; 256];
    let mut value = 0;
    while value < 16 {
        values[DIGITS[value] as usize] = value as u8;
        value += 1;
    }
    values
};

/// The two digits of each byte.
const PAIRS: [[u8; 2]; 256] = {
    let mut pairs = [[0; 2]; 256];
    let mut byte = 0;
    while byte < 256 {
        pairs[byte] = [DIGITS[byte >> 4], DIGITS[byte & 0xf]];
        byte += 1;
    }
    pairs
};

const DIGITS: &[u8; 16] = b"0123456789abcdef";

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn reads_what_it_writes() {
        let parsed = TraceParent::parse(EXAMPLE.as_bytes()).unwrap();
        assert_eq!(parsed.trace_id[..4], [0x4b, 0xf9, 0x2f, 0x35]);
        assert_eq!(parsed.span_id, [0x00, 0xf0, 0x67, 0xaa, 0x0b, 0xa9, 0x02, 0xb7]);
        assert_eq!(parsed.flags, 1);
        assert_eq!(parsed.format(), EXAMPLE.as_bytes());
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
        let parsed = TraceParent { flags: 0xff, ..TraceParent::parse(EXAMPLE.as_bytes()).unwrap() };
        assert!(parsed.format().ends_with(b"-03"));
    }

    #[test]
    fn whatever_is_not_valid_is_none() {
        let invalid = [
            String::new(),
            EXAMPLE[..54].to_owned(),
            format!("{EXAMPLE}-"),
            EXAMPLE.to_uppercase(),
            EXAMPLE.replacen("00", "ff", 1),
            EXAMPLE.replace('-', "_"),
            EXAMPLE.replace("4bf9", "4bg9"),
            EXAMPLE.replace("-01", "-0x"),
            EXAMPLE.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            EXAMPLE.replace("00f067aa0ba902b7", &"0".repeat(16)),
        ];
        for text in invalid {
            assert_eq!(TraceParent::parse(text.as_bytes()), None, "{text}");
        }
    }
}
