//! Reads a document from its start to its end, token by token.

use super::{Malformed, Text, Value};

/// A place in a document. It goes forward only, and what it has passed is well-formed.
///
/// ```
/// use pointsman_plugin::json::{Malformed, Scanner};
///
/// /// How many elements an array has.
/// fn count(document: &[u8]) -> Result<usize, Malformed> {
///     let mut scanner = Scanner::new(document);
///     let mut count = 0;
///     let mut more = scanner.open(b']')?;
///     while more {
///         scanner.skip_value()?;
///         count += 1;
///         more = scanner.more(b']')?;
///     }
///     scanner.end()?;
///     Ok(count)
/// }
///
/// assert_eq!(count(br#" [1, [2, 3], "four"] "#), Ok(3));
/// assert_eq!(count(b"[1, 2"), Err(Malformed { at: 5 }));
/// ```
// What is small is inlined, so that the place stays in a register; what is not is a function of text and place that
// answers with one number (see `End`), which is the cheapest call there is in WebAssembly.
#[derive(Clone, Copy, Debug)]
pub struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Scanner<'a> {
    /// At the first value of a document.
    #[inline]
    pub fn new(document: &'a [u8]) -> Scanner<'a> {
        let mut scanner = Scanner { text: document, at: 0 };
        scanner.space();
        scanner
    }

    /// At a place that another scanner of this document was at.
    #[inline]
    pub fn at_place(document: &'a [u8], place: usize) -> Scanner<'a> {
        Scanner { text: document, at: place }
    }

    /// The place, in bytes from the start.
    #[inline]
    pub fn place(&self) -> usize {
        self.at
    }

    /// The byte at this place; 0, which begins nothing, at the end.
    #[inline(always)]
    pub fn peek(&self) -> u8 {
        byte(self.text, self.at)
    }

    /// Enters the array or object here, which `close` (`]` or `}`) will end. Whether there is anything in it: then
    /// the place is at the first element, or the first member's name.
    ///
    /// # Errors
    /// If there is none here.
    #[inline(always)]
    pub fn open(&mut self, close: u8) -> Result<bool, Malformed> {
        // Both pairs are two apart.
        self.expect(close - 2)?;
        self.space();
        Ok(!self.eat(close))
    }

    /// Behind an element or a member's value: whether another follows, whose place this then is.
    ///
    /// # Errors
    /// If neither a comma nor `close` follows.
    #[inline(always)]
    pub fn more(&mut self, close: u8) -> Result<bool, Malformed> {
        self.space();
        if self.eat(close) {
            return Ok(false);
        }
        self.expect(b',')?;
        self.space();
        Ok(true)
    }

    /// A member's name and the colon. The value is next.
    ///
    /// # Errors
    /// If there is none here.
    #[inline(always)]
    pub fn name(&mut self) -> Result<Text<'a>, Malformed> {
        let name = self.string()?;
        self.space();
        self.expect(b':')?;
        self.space();
        Ok(name)
    }

    /// The string here.
    ///
    /// # Errors
    /// If there is none.
    #[inline(always)]
    pub fn string(&mut self) -> Result<Text<'a>, Malformed> {
        let start = self.at + 1;
        let end = string_end(self.text, self.at);
        self.go_to(end)?;
        Ok(Text { raw: &self.text[start..self.at - 1], escaped: end.is_escaped() })
    }

    /// The value here. Goes past it, but stays before an object or array.
    ///
    /// # Errors
    /// If there is none.
    pub fn value(&mut self) -> Result<Value<'a>, Malformed> {
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

    /// Goes past the value here, whatever it is, and returns its text.
    ///
    /// # Errors
    /// If there is none, or it nests deeper than 64 levels.
    #[inline(always)]
    pub fn skip_value(&mut self) -> Result<&'a [u8], Malformed> {
        let start = self.at;
        let end = match self.peek() {
            b'"' => string_end(self.text, self.at),
            b'{' | b'[' => container_end(self.text, self.at),
            _ => scalar_end(self.text, self.at),
        };
        self.go_to(end)?;
        Ok(&self.text[start..self.at])
    }

    /// Behind the document's value: that nothing follows it.
    ///
    /// # Errors
    /// If something does.
    pub fn end(&mut self) -> Result<(), Malformed> {
        self.space();
        if self.at == self.text.len() { Ok(()) } else { Err(Malformed { at: self.at }) }
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
pub(super) fn special_bytes(word: u64) -> u64 {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const HIGH: u64 = ONES << 7;
    let quote = word ^ (ONES * b'"' as u64);
    let backslash = word ^ (ONES * b'\\' as u64);
    let below_space = word.wrapping_sub(ONES * 0x20) & !word;
    ((quote.wrapping_sub(ONES) & !quote) | (backslash.wrapping_sub(ONES) & !backslash) | below_space) & HIGH
}
