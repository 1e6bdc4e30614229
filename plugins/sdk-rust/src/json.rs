//! Finds one field of a JSON document without parsing the rest of it and without allocating.
//!
//! The text is read from its start to the end of the field, and what is read must be well-formed; nothing is known
//! of what follows. Where an object has a name twice, the first counts.

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
            if scanner.peek() != Some(b'{') {
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
            return self.raw == expected;
        }
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

struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Scanner<'a> {
    #[inline]
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    #[inline]
    fn eat(&mut self, byte: u8) -> bool {
        let eaten = self.peek() == Some(byte);
        self.at += usize::from(eaten);
        eaten
    }

    #[inline]
    fn expect(&mut self, byte: u8) -> Result<(), Malformed> {
        if self.eat(byte) { Ok(()) } else { Err(self.malformed()) }
    }

    #[inline]
    fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn malformed(&self) -> Malformed {
        Malformed { at: self.at }
    }

    /// A name, the colon, and the space on both sides of it.
    #[inline]
    fn name(&mut self) -> Result<Text<'a>, Malformed> {
        let name = self.string()?;
        self.space();
        self.expect(b':')?;
        self.space();
        Ok(name)
    }

    fn value(&mut self) -> Result<Value<'a>, Malformed> {
        Ok(match self.peek() {
            Some(b'{') => Value::Object,
            Some(b'[') => Value::Array,
            Some(b'"') => Value::String(self.string()?),
            Some(b't') => self.literal(b"true").map(|()| Value::Bool(true))?,
            Some(b'f') => self.literal(b"false").map(|()| Value::Bool(false))?,
            Some(b'n') => self.literal(b"null").map(|()| Value::Null)?,
            _ => {
                let start = self.at;
                self.number()?;
                Value::Number(&self.text[start..self.at])
            }
        })
    }

    fn skip_value(&mut self) -> Result<(), Malformed> {
        // One bit for each open object (1) or array (0), the innermost last.
        let mut open: u64 = 0;
        let mut depth = 0;
        loop {
            if let container @ (Value::Object | Value::Array) = self.value()? {
                let object = container == Value::Object;
                self.at += 1;
                self.space();
                if !self.eat(if object { b'}' } else { b']' }) {
                    if depth == u64::BITS {
                        return Err(self.malformed());
                    }
                    open = open << 1 | u64::from(object);
                    depth += 1;
                    if object {
                        self.name()?;
                    }
                    continue;
                }
            }
            // A value has ended, and with it perhaps the containers that it was the last of.
            loop {
                if depth == 0 {
                    return Ok(());
                }
                let object = open & 1 == 1;
                self.space();
                if self.eat(b',') {
                    self.space();
                    if object {
                        self.name()?;
                    }
                    break;
                }
                self.expect(if object { b'}' } else { b']' })?;
                open >>= 1;
                depth -= 1;
            }
        }
    }

    fn string(&mut self) -> Result<Text<'a>, Malformed> {
        self.expect(b'"')?;
        let start = self.at;
        let mut escaped = false;
        loop {
            while let Some(word) = self.text.get(self.at..self.at + 8) {
                let word = u64::from_le_bytes(word.try_into().expect("eight bytes"));
                match special_bytes(word) {
                    0 => self.at += 8,
                    found => {
                        self.at += (found.trailing_zeros() / 8) as usize;
                        break;
                    }
                }
            }
            match self.peek() {
                Some(b'"') => {
                    let raw = &self.text[start..self.at];
                    self.at += 1;
                    return Ok(Text { raw, escaped });
                }
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                Some(0x20..) => self.at += 1,
                _ => return Err(self.malformed()),
            }
        }
    }

    fn escape(&mut self) -> Result<(), Malformed> {
        match self.text.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
            Some(b'u') => match self.text.get(self.at + 2..self.at + 6) {
                Some(digits) if digits.iter().all(u8::is_ascii_hexdigit) => self.at += 6,
                _ => return Err(self.malformed()),
            },
            _ => return Err(self.malformed()),
        }
        Ok(())
    }

    fn literal(&mut self, word: &[u8]) -> Result<(), Malformed> {
        if self.text[self.at..].starts_with(word) {
            self.at += word.len();
            Ok(())
        } else {
            Err(self.malformed())
        }
    }

    fn number(&mut self) -> Result<(), Malformed> {
        self.eat(b'-');
        if !self.eat(b'0') {
            self.digits()?;
        }
        if self.eat(b'.') {
            self.digits()?;
        }
        if self.eat(b'e') || self.eat(b'E') {
            if !self.eat(b'+') {
                self.eat(b'-');
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Malformed> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        if self.at == start { Err(self.malformed()) } else { Ok(()) }
    }
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
