//! Finds one field of a JSON document without parsing the rest of it and without allocating.
//!
//! The text is read from its start to the end of the field, and what is read must be well-formed; nothing is known
//! of what follows. Where an object has a name twice, the first counts.

use crate::record::same;

/// The document does not follow JSON's grammar, or nests deeper than 64 levels where it had to be skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// Where, in bytes from the start.
    pub at: usize,
}

impl std::fmt::Display for Malformed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "not JSON at byte {}", self.at)
    }
}

impl std::error::Error for Malformed {}

/// The way to a field through nested objects: `address.state`. Made once, in `configure`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    names: Vec<Box<[u8]>>,
}

/// A field's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// A string.
    String(Text<'a>),
    /// A number, as it is written.
    Number(&'a [u8]),
    /// `true` or `false`.
    Bool(bool),
    /// `null`.
    Null,
    /// `{…`, not looked into.
    Object,
    /// `[…`, not looked into.
    Array,
}

/// A string between its quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Text<'a> {
    raw: &'a [u8],
    escaped: bool,
}

impl Path {
    /// Reads a path; names are separated by dots.
    ///
    /// # Errors
    /// If a name is empty.
    pub fn new(path: &str) -> Result<Path, String> {
        if path.split('.').any(str::is_empty) {
            return Err(format!("\"{path}\" is no path of names with dots between them"));
        }
        Ok(Path { names: path.split('.').map(|name| name.as_bytes().into()).collect() })
    }

    /// The value at the end of the path; `None` where the document has no such field.
    ///
    /// # Errors
    /// If the document is malformed before the end of the field.
    pub fn find<'a>(&self, document: &'a [u8]) -> Result<Option<Value<'a>>, Malformed> {
        let mut scanner = Scanner { text: document, at: 0 };
        scanner.space();
        'object: for name in &self.names {
            if scanner.peek() != b'{' {
                // A scalar or an array where the path goes on: there is no such field, if it is a value at all.
                scanner.skip_value()?;
                return Ok(None);
            }
            scanner.at += 1;
            scanner.space();
            if scanner.eat(b'}') {
                return Ok(None);
            }
            loop {
                if scanner.name()?.is(name) {
                    continue 'object;
                }
                scanner.skip_value()?;
                scanner.space();
                if scanner.eat(b'}') {
                    return Ok(None);
                }
                scanner.expect(b',')?;
                scanner.space();
            }
        }
        scanner.value().map(Some)
    }
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

    /// Hands over the meaning piece by piece while `each` says true. Escapes were checked when the text was cut.
    fn pieces(&self, mut each: impl FnMut(&[u8]) -> bool) -> bool {
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

/// A place in the text. What is small is inlined, so that the place stays in a register; what is not is a function of
/// text and place that answers with one number (see [`End`]), which is the cheapest call there is in WebAssembly.
struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Scanner<'a> {
    /// The byte at this place; 0, which begins nothing, at the end.
    #[inline(always)]
    fn peek(&self) -> u8 {
        byte(self.text, self.at)
    }

    #[inline(always)]
    fn eat(&mut self, byte: u8) -> bool {
        let eaten = self.peek() == byte;
        self.at += usize::from(eaten);
        eaten
    }

    #[inline(always)]
    fn expect(&mut self, byte: u8) -> Result<(), Malformed> {
        if self.eat(byte) { Ok(()) } else { Err(Malformed { at: self.at }) }
    }

    #[inline(always)]
    fn space(&mut self) {
        while is_space(self.peek()) {
            self.at += 1;
        }
    }

    #[inline(always)]
    fn go_to(&mut self, end: End) -> Result<(), Malformed> {
        self.at = end.at();
        if end.is_malformed() { Err(Malformed { at: self.at }) } else { Ok(()) }
    }

    /// A name, the colon, and the space on both sides of it.
    #[inline(always)]
    fn name(&mut self) -> Result<Text<'a>, Malformed> {
        let name = self.string()?;
        self.space();
        self.expect(b':')?;
        self.space();
        Ok(name)
    }

    #[inline(always)]
    fn string(&mut self) -> Result<Text<'a>, Malformed> {
        let start = self.at + 1;
        let end = string_end(self.text, self.at);
        self.go_to(end)?;
        Ok(Text { raw: &self.text[start..self.at - 1], escaped: end.is_escaped() })
    }

    fn value(&mut self) -> Result<Value<'a>, Malformed> {
        Ok(match self.peek() {
            b'{' => Value::Object,
            b'[' => Value::Array,
            b'"' => Value::String(self.string()?),
            first => {
                let start = self.at;
                self.go_to(scalar_end(self.text, self.at))?;
                match first {
                    b't' => Value::Bool(true),
                    b'f' => Value::Bool(false),
                    b'n' => Value::Null,
                    _ => Value::Number(&self.text[start..self.at]),
                }
            }
        })
    }

    #[inline(always)]
    fn skip_value(&mut self) -> Result<(), Malformed> {
        let end = match self.peek() {
            b'"' => string_end(self.text, self.at),
            b'{' | b'[' => container_end(self.text, self.at),
            _ => scalar_end(self.text, self.at),
        };
        self.go_to(end)
    }
}

/// Where something ends, or is malformed: a place, and two bits above it.
#[derive(Clone, Copy)]
struct End(u64);

impl End {
    const ESCAPED: u64 = 1 << 62;
    const MALFORMED: u64 = 1 << 63;

    #[inline(always)]
    fn new(at: usize) -> End {
        End(at as u64)
    }

    fn malformed(at: usize) -> End {
        End(at as u64 | End::MALFORMED)
    }

    #[inline(always)]
    fn at(self) -> usize {
        (self.0 & !(End::ESCAPED | End::MALFORMED)) as usize
    }

    #[inline(always)]
    fn is_escaped(self) -> bool {
        self.0 & End::ESCAPED != 0
    }

    #[inline(always)]
    fn is_malformed(self) -> bool {
        self.0 & End::MALFORMED != 0
    }
}

#[inline(always)]
fn byte(text: &[u8], at: usize) -> u8 {
    text.get(at).copied().unwrap_or(0)
}

#[inline(always)]
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// Behind an object or array that begins at `at`.
#[inline(never)]
fn container_end(text: &[u8], at: usize) -> End {
    // One bit for each open object (1) or array (0), the innermost last.
    let mut open: u64 = 0;
    let mut depth = 0;
    let mut scanner = Scanner { text, at };
    let result = (|| {
        loop {
            let first = scanner.peek();
            if let b'{' | b'[' = first {
                let object = first == b'{';
                scanner.at += 1;
                scanner.space();
                if !scanner.eat(if object { b'}' } else { b']' }) {
                    if depth == u64::BITS {
                        return Err(Malformed { at: scanner.at });
                    }
                    open = open << 1 | u64::from(object);
                    depth += 1;
                    if object {
                        scanner.name()?;
                    }
                    continue;
                }
            } else if first == b'"' {
                scanner.go_to(string_end(text, scanner.at))?;
            } else {
                scanner.go_to(scalar_end(text, scanner.at))?;
            }
            // A value has ended, and with it perhaps the containers that it was the last of.
            loop {
                if depth == 0 {
                    return Ok(());
                }
                let object = open & 1 == 1;
                scanner.space();
                if scanner.eat(b',') {
                    scanner.space();
                    if object {
                        scanner.name()?;
                    }
                    break;
                }
                scanner.expect(if object { b'}' } else { b']' })?;
                open >>= 1;
                depth -= 1;
            }
        }
    })();
    match result {
        Ok(()) => End::new(scanner.at),
        Err(Malformed { at }) => End::malformed(at),
    }
}

/// Behind the string that begins at `at`.
#[inline(never)]
fn string_end(text: &[u8], mut at: usize) -> End {
    if byte(text, at) != b'"' {
        return End::malformed(at);
    }
    at += 1;
    let mut escaped = 0;
    loop {
        if let Some(word) = text.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
            match special_bytes(u64::from_le_bytes(*word)) {
                0 => {
                    at += 8;
                    continue;
                }
                found => at += (found.trailing_zeros() / 8) as usize,
            }
        }
        match byte(text, at) {
            b'"' => return End((at + 1) as u64 | escaped),
            b'\\' => match escape_length(text, at) {
                0 => return End::malformed(at),
                length => {
                    escaped = End::ESCAPED;
                    at += length;
                }
            },
            0x20.. => at += 1,
            _ => return End::malformed(at),
        }
    }
}

/// 0 if it is none.
fn escape_length(text: &[u8], at: usize) -> usize {
    match byte(text, at + 1) {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => 2,
        b'u' => match text.get(at + 2..at + 6) {
            Some(digits) if digits.iter().all(u8::is_ascii_hexdigit) => 6,
            _ => 0,
        },
        _ => 0,
    }
}

/// Behind the number, `true`, `false` or `null` that begins at `at`.
#[inline(never)]
fn scalar_end(text: &[u8], mut at: usize) -> End {
    let word: &[u8] = match byte(text, at) {
        b't' => b"true",
        b'f' => b"false",
        b'n' => b"null",
        _ => b"",
    };
    if !word.is_empty() {
        return if text[at..].starts_with(word) { End::new(at + word.len()) } else { End::malformed(at) };
    }
    if byte(text, at) == b'-' {
        at += 1;
    }
    if byte(text, at) == b'0' {
        at += 1;
    } else {
        let start = at;
        at = digits_end(text, at);
        if at == start {
            return End::malformed(at);
        }
    }
    if byte(text, at) == b'.' {
        let start = at + 1;
        at = digits_end(text, start);
        if at == start {
            return End::malformed(at);
        }
    }
    if let b'e' | b'E' = byte(text, at) {
        let sign = usize::from(matches!(byte(text, at + 1), b'+' | b'-'));
        let start = at + 1 + sign;
        at = digits_end(text, start);
        if at == start {
            return End::malformed(at);
        }
    }
    End::new(at)
}

#[inline(always)]
fn digits_end(text: &[u8], mut at: usize) -> usize {
    while byte(text, at).is_ascii_digit() {
        at += 1;
    }
    at
}

/// Which of eight bytes are a quote, a backslash or a control character: the lowest set bit marks the first of them.
/// Bits above it may be set without cause.
#[inline]
fn special_bytes(word: u64) -> u64 {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const HIGH: u64 = ONES << 7;
    let quote = word ^ (ONES * b'"' as u64);
    let backslash = word ^ (ONES * b'\\' as u64);
    let below_space = word.wrapping_sub(ONES * 0x20) & !word;
    ((quote.wrapping_sub(ONES) & !quote) | (backslash.wrapping_sub(ONES) & !backslash) | below_space) & HIGH
}

#[cfg(test)]
mod tests;
