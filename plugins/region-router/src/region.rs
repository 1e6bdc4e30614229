//! Where a record's region is found.

use pointsman_plugin::json::{Path, Text, Value};
use pointsman_plugin::{Fields, Reads, Record, Settings};
use std::borrow::Cow;

/// Where to look.
pub(crate) enum Source {
    /// The key, up to a separator.
    KeyBefore(Vec<u8>),
    /// The key's first bytes.
    KeyStart(usize),
    Header(String),
    /// A field of the value, which is JSON.
    Field(String, Path),
}

/// What was found.
#[derive(Clone, Copy)]
pub(crate) enum Region<'a> {
    Bytes(&'a [u8]),
    /// A JSON string with escapes in it.
    Escaped(Text<'a>),
    /// Nothing that names a region, and why.
    None(&'static str),
}

impl Source {
    pub(crate) fn configure(settings: &Settings) -> Result<Source, String> {
        settings.required("source")?;
        let sources = [("key-prefix", 0), ("header", 1), ("field", 2)];
        match settings.choice("source", &sources)?.unwrap_or_default() {
            0 => Source::key_prefix(settings),
            1 => Ok(Source::Header(settings.required("header")?.to_owned())),
            _ => {
                let field = settings.required("field")?;
                let path = Path::new(field).map_err(|error| format!("field: {error}"))?;
                Ok(Source::Field(field.to_owned(), path))
            }
        }
    }

    fn key_prefix(settings: &Settings) -> Result<Source, String> {
        match (settings.get("separator"), settings.parse::<usize>("length")?) {
            (Some(_), Some(_)) => Err("`separator` and `length` both say where the region ends: leave one out".into()),
            (None, None) => Err("where does the region end? Set `separator` (such as \"-\") or `length`".into()),
            (Some(""), None) => Err("`separator` is empty".into()),
            (None, Some(0)) => Err("`length` is 0".into()),
            (Some(separator), None) => Ok(Source::KeyBefore(separator.as_bytes().to_vec())),
            (None, Some(length)) => Ok(Source::KeyStart(length)),
        }
    }

    pub(crate) fn reads(&self) -> Reads {
        match self {
            Source::KeyBefore(_) | Source::KeyStart(_) => Reads::of(Fields::KEY),
            Source::Header(name) => Reads::nothing().header(name),
            Source::Field(..) => Reads::of(Fields::VALUE),
        }
    }

    pub(crate) fn region<'a>(&self, record: &Record<'a>) -> Region<'a> {
        match self {
            Source::KeyBefore(separator) => match record.key() {
                Some(key) => match position(key, separator) {
                    Some(end) => Region::Bytes(&key[..end]),
                    None => Region::None("the key has no separator"),
                },
                None => Region::None("there is no key"),
            },
            Source::KeyStart(length) => match record.key().map(|key| key.get(..*length)) {
                Some(Some(start)) => Region::Bytes(start),
                Some(None) => Region::None("the key is too short"),
                None => Region::None("there is no key"),
            },
            Source::Header(name) => match record.header(name).map(|header| header.value) {
                Some(Some(value)) => Region::Bytes(value),
                Some(None) => Region::None("the header is null"),
                None => Region::None("there is no such header"),
            },
            Source::Field(_, path) => match record.value().map(|value| path.find(value)) {
                Some(Ok(Some(Value::String(text)))) => text.plain().map_or(Region::Escaped(text), Region::Bytes),
                Some(Ok(Some(Value::Number(number)))) => Region::Bytes(number),
                Some(Ok(Some(_))) => Region::None("the field is neither a string nor a number"),
                Some(Ok(None)) => Region::None("there is no such field"),
                Some(Err(_)) => Region::None("the value is not JSON"),
                None => Region::None("there is no value"),
            },
        }
    }

    /// Why a record whose region has no entry is not let through.
    #[cold]
    pub(crate) fn refusal(&self, region: Region<'_>) -> String {
        let place = match self {
            Source::KeyBefore(_) | Source::KeyStart(_) => "the key".to_owned(),
            Source::Header(name) => format!("header \"{name}\""),
            Source::Field(path, _) => format!("field \"{path}\""),
        };
        match region.bytes() {
            Ok(bytes) => {
                let shown = bytes.get(..64).unwrap_or(&bytes);
                format!("{place} says region \"{}\", which has no partitions in the settings", shown.escape_ascii())
            }
            Err(reason) => format!("{place} says no region: {reason}"),
        }
    }
}

impl<'a> Region<'a> {
    /// The region's bytes. Allocates where escapes must be undone.
    pub(crate) fn bytes(self) -> Result<Cow<'a, [u8]>, &'static str> {
        match self {
            Region::Bytes(bytes) => Ok(Cow::Borrowed(bytes)),
            Region::Escaped(text) => {
                let mut bytes = Vec::new();
                text.decode_into(&mut bytes);
                Ok(Cow::Owned(bytes))
            }
            Region::None(reason) => Err(reason),
        }
    }
}

fn position(text: &[u8], separator: &[u8]) -> Option<usize> {
    match separator {
        &[byte] => text.iter().position(|&other| other == byte),
        _ => text.windows(separator.len()).position(|window| window == separator),
    }
}
