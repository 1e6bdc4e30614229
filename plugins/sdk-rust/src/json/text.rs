//! Strings of a document, and what their escapes mean.

use crate::record::same;

/// A string between its quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Text<'a> {
    pub(super) raw: &'a [u8],
    pub(super) escaped: bool,
}

impl<'a> Text<'a> {
    /// As it is written, escapes and all.
    pub fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// The string, if it has no escapes: then what is written is what is meant.
    #[inline]
    pub fn plain(&self) -> Option<&'a [u8]> {
        (!self.escaped).then_some(self.raw)
    }

    /// Whether it means these bytes.
    #[inline]
    pub fn is(&self, expected: &[u8]) -> bool {
        if !self.escaped {
            return same(self.raw, expected);
        }
        self.means(expected)
    }

    #[cold]
    fn means(&self, expected: &[u8]) -> bool {
        let mut rest = expected;
        let all = self.pieces(|piece| {
            let after = rest.strip_prefix(piece);
            rest = after.unwrap_or(rest);
            after.is_some()
        });
        all && rest.is_empty()
    }

    /// Appends what it means, in UTF-8. Half of a surrogate pair becomes U+FFFD.
    pub fn decode_into(&self, output: &mut Vec<u8>) {
        self.pieces(|piece| {
            output.extend_from_slice(piece);
            true
        });
    }

    /// Hands over the meaning piece by piece while `each` says true, and says whether it always did. Needs no memory.
    pub fn pieces(&self, mut each: impl FnMut(&[u8]) -> bool) -> bool {
        let mut rest = self.raw;
        while let Some(at) = rest.iter().position(|&byte| byte == b'\\') {
            if at > 0 && !each(&rest[..at]) {
                return false;
            }
            let (meaning, length) = unescape(&rest[at..]);
            if !each(meaning.encode_utf8(&mut [0; 4]).as_bytes()) {
                return false;
            }
            rest = &rest[at + length..];
        }
        rest.is_empty() || each(rest)
    }
}

/// What the escape at the start of `text` means, and how long it is.
fn unescape(text: &[u8]) -> (char, usize) {
    let simple = match text.get(1) {
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(b'u') => return unescape_unicode(text),
        Some(&other) => char::from(other),
        None => char::REPLACEMENT_CHARACTER,
    };
    (simple, 2)
}

fn unescape_unicode(text: &[u8]) -> (char, usize) {
    let unit = |at: usize| {
        let digits = text.get(at..at + 6)?.strip_prefix(br"\u")?;
        digits.iter().try_fold(0, |unit, &digit| Some(unit * 16 + char::from(digit).to_digit(16)?))
    };
    let first = unit(0).unwrap_or(0xfffd);
    if let (0xd800..0xdc00, Some(second @ 0xdc00..0xe000)) = (first, unit(6)) {
        let code = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
        return (char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), 12);
    }
    (char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER), 6)
}
