//! From a line of input to a record.

mod json;

use std::borrow::Cow;
use std::fmt;

/// How lines are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// The line is the value, or with a separator `key<SEP>value`.
    Lines {
        /// What stands between key and value.
        separator: Option<Vec<u8>>,
    },
    /// The line is a JSON object that describes the record.
    Jsonl,
    /// The line is JSON and as a whole the value.
    Json {
        /// The field that is the key, as a path of names.
        key_field: Option<Vec<String>>,
    },
}

/// What a line says of its record.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Line<'a> {
    pub(super) topic: Option<Cow<'a, str>>,
    pub(super) partition: Option<i32>,
    pub(super) timestamp: Option<i64>,
    pub(super) key: Option<Cow<'a, [u8]>>,
    pub(super) value: Option<Cow<'a, [u8]>>,
    pub(super) headers: Headers<'a>,
}

/// Names and values, in order; a name may repeat, a value be null.
type Headers<'a> = Vec<(Cow<'a, str>, Option<Cow<'a, [u8]>>)>;

/// Why a line is no record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BadLine {
    /// The column, from 1, where one can be named.
    pub(super) column: Option<usize>,
    /// What is wrong.
    pub(super) what: String,
}

impl Format {
    /// Reads a line, its end already cut off. `None`: a blank line between JSON, which is no record.
    pub(super) fn parse<'a>(&self, line: &'a [u8]) -> Result<Option<Line<'a>>, BadLine> {
        let text = match self {
            Format::Lines { separator } => return lines(line, separator.as_deref()).map(Some),
            // Editors on Windows begin a file with a byte order mark.
            Format::Jsonl | Format::Json { .. } => line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(line),
        };
        if text.iter().all(u8::is_ascii_whitespace) {
            return Ok(None);
        }
        let text = std::str::from_utf8(text).map_err(|error| BadLine {
            column: Some(error.valid_up_to() + 1),
            what: "not UTF-8, which JSON has to be".to_owned(),
        })?;
        match self {
            Format::Json { key_field } => json::plain(text, key_field.as_deref()).map(Some),
            _ => json::record(text).map(Some),
        }
    }

    /// The longest line worth reading where a record may have so many bytes.
    pub(super) fn line_bytes_max(&self, record_bytes_max: usize) -> usize {
        // What stands around the value, and a little, so that the one who knows the exact limit says it.
        const AROUND: usize = 64 * 1024;
        // A byte takes at most six letters, as in \u0000.
        let times = if *self == Format::Jsonl { 6 } else { 1 };
        record_bytes_max.saturating_mul(times).saturating_add(AROUND)
    }
}

impl BadLine {
    pub(super) fn new(what: impl Into<String>) -> BadLine {
        BadLine { column: None, what: what.into() }
    }
}

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

/// Reads a separator as it is typed in a shell, where a tab is hard to type: `\t`, `\0`, `\\`, `\x1f`.
pub(super) fn separator(text: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [byte, after @ ..] = rest {
        rest = after;
        if *byte != b'\\' {
            bytes.push(*byte);
            continue;
        }
        let (unescaped, length) = match rest {
            [b't', ..] => (b'\t', 1),
            [b'0', ..] => (0, 1),
            [b'\\', ..] => (b'\\', 1),
            [b'x', high, low, ..] => {
                let digit = |letter: u8| char::from(letter).to_digit(16);
                match (digit(*high), digit(*low)) {
                    (Some(high), Some(low)) => ((high * 16 + low) as u8, 3),
                    _ => return Err("after \\x two hex digits are expected, as in \\x1f".to_owned()),
                }
            }
            _ => return Err("a backslash begins \\t, \\0, \\x1f or \\\\".to_owned()),
        };
        bytes.push(unescaped);
        rest = &rest[length..];
    }
    if bytes.is_empty() {
        return Err("the separator is empty; leave -K out for lines without keys".to_owned());
    }
    if bytes.contains(&b'\n') {
        return Err("a line end cannot stand inside a line".to_owned());
    }
    Ok(bytes)
}

/// Reads the path of a field: names with dots between them.
pub(super) fn field_path(text: &str) -> Result<Vec<String>, String> {
    let path: Vec<String> = text.split('.').map(str::to_owned).collect();
    if path.iter().any(String::is_empty) {
        return Err("names with single dots between them are expected, such as customer.id".to_owned());
    }
    Ok(path)
}

fn lines<'a>(line: &'a [u8], separator: Option<&[u8]>) -> Result<Line<'a>, BadLine> {
    let Some(separator) = separator else {
        return Ok(Line { value: Some(line.into()), ..Line::default() });
    };
    let Some(at) = line.windows(separator.len()).position(|window| window == separator) else {
        return Err(BadLine::new(format!("no separator \"{}\" between key and value", separator.escape_ascii())));
    };
    let (key, value) = (&line[..at], &line[at + separator.len()..]);
    Ok(Line { key: Some(key.into()), value: Some(value.into()), ..Line::default() })
}

#[cfg(test)]
mod tests;
