//! JSON lines, read without a tree: numbers keep their digits, objects the order of their fields.

use super::{BadLine, Headers, Line};
use crate::cli::nearest::nearest;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// Reads a line of the form `{"key": …, "value": …, …}`.
pub(super) fn record(text: &str) -> Result<Line<'_>, BadLine> {
    object(text, "a record")?;
    let fields: Fields<'_> = serde_json::from_str(text).map_err(bad)?;
    let headers = match fields.slot(HEADERS) {
        Some(raw) => headers(raw.get()).map_err(|what| BadLine::new(format!("headers: {what}")))?,
        None => Vec::new(),
    };
    Ok(Line {
        topic: fields.slot(TOPIC).map(|raw| topic(raw.get())).transpose()?.flatten(),
        partition: fields.number(PARTITION, "the number of a partition", i64::from(i32::MAX))?.map(|n| n as i32),
        timestamp: fields.number(TIMESTAMP, "milliseconds since 1970, a whole number", i64::MAX)?,
        key: fields.bytes(KEY, KEY_BASE64)?,
        value: fields.bytes(VALUE, VALUE_BASE64)?,
        headers,
    })
}

/// Reads a line that as a whole is the value.
pub(super) fn plain<'a>(text: &'a str, key_field: Option<&[String]>) -> Result<Line<'a>, BadLine> {
    let raw: &RawValue = serde_json::from_str(text).map_err(bad)?;
    let key = match key_field {
        None => None,
        Some(path) => {
            let mut at = raw.get();
            for (depth, name) in path.iter().enumerate() {
                let missing = || BadLine::new(format!("no field {} for the key", path[..=depth].join(".")));
                if !at.starts_with('{') {
                    return Err(missing());
                }
                at = field(at, name).map_err(bad)?.ok_or_else(missing)?;
            }
            bytes(at).map_err(|what| BadLine::new(format!("{}: {what}", path.join("."))))?
        }
    };
    Ok(Line { key, value: Some(raw.get().as_bytes().into()), ..Line::default() })
}

/// The fields of a record, each as its text.
#[derive(Default)]
struct Fields<'a> {
    slots: [Option<&'a RawValue>; NAMES.len()],
}

const NAMES: [&str; 8] = ["topic", "partition", "timestamp", "key", "value", "headers", "key_base64", "value_base64"];
const TOPIC: usize = 0;
const PARTITION: usize = 1;
const TIMESTAMP: usize = 2;
const KEY: usize = 3;
const VALUE: usize = 4;
const HEADERS: usize = 5;
const KEY_BASE64: usize = 6;
const VALUE_BASE64: usize = 7;

impl<'a> Fields<'a> {
    fn slot(&self, at: usize) -> Option<&'a RawValue> {
        self.slots[at]
    }

    fn number(&self, at: usize, what: &str, max: i64) -> Result<Option<i64>, BadLine> {
        let Some(text) = self.slot(at).map(RawValue::get).filter(|text| *text != "null") else { return Ok(None) };
        match text.parse::<i64>() {
            Ok(number) if (0..=max).contains(&number) => Ok(Some(number)),
            _ => Err(BadLine::new(format!("{}: {} is not {what}", NAMES[at], shorten(text)))),
        }
    }

    fn bytes(&self, plain: usize, encoded: usize) -> Result<Option<Cow<'a, [u8]>>, BadLine> {
        match (self.slot(plain), self.slot(encoded)) {
            (Some(_), Some(_)) => {
                Err(BadLine::new(format!("both {} and {}: leave one out", NAMES[plain], NAMES[encoded])))
            }
            (None, None) => Ok(None),
            (Some(raw), None) => bytes(raw.get()).map_err(|what| BadLine::new(format!("{}: {what}", NAMES[plain]))),
            (None, Some(raw)) => base64(raw.get()).map_err(|what| BadLine::new(format!("{}: {what}", NAMES[encoded]))),
        }
    }
}

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Fields<'de>, D::Error> {
        deserializer.deserialize_map(FieldsVisitor)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Fields<'de>, M::Error> {
        let mut fields = Fields::default();
        while let Some(Text(name)) = map.next_key()? {
            let Some(at) = NAMES.iter().position(|known| *known == name) else {
                return Err(M::Error::custom(unknown(&name)));
            };
            if fields.slots[at].replace(map.next_value()?).is_some() {
                return Err(M::Error::custom(format!("{name} stands there twice")));
            }
        }
        Ok(fields)
    }
}

/// A string, borrowed where it has no escapes.
#[derive(serde::Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// An object as its fields, in order, repeated names included.
struct Pairs<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Pairs<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Pairs<'de>, D::Error> {
        deserializer.deserialize_map(PairsVisitor)
    }
}

struct PairsVisitor;

impl<'de> Visitor<'de> for PairsVisitor {
    type Value = Pairs<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Pairs<'de>, M::Error> {
        let mut pairs = Vec::new();
        while let Some((Text(name), raw)) = map.next_entry()? {
            pairs.push((name, raw));
        }
        Ok(Pairs(pairs))
    }
}

/// Finds a field of an object. Of a name that stands there twice the last counts, as with most readers of JSON.
fn field<'a>(object: &'a str, name: &str) -> serde_json::Result<Option<&'a str>> {
    let Pairs(pairs) = serde_json::from_str(object)?;
    Ok(pairs.into_iter().rev().find(|(known, _)| known == name).map(|(_, raw)| raw.get()))
}

/// A key or value: a string's own bytes, nothing for null, and of anything else its JSON.
fn bytes(text: &str) -> Result<Option<Cow<'_, [u8]>>, String> {
    match text.as_bytes()[0] {
        b'n' => Ok(None),
        b'"' => string(text).map(|text| Some(into_bytes(text))),
        _ => Ok(Some(into_bytes(compact(text)))),
    }
}

fn base64(text: &str) -> Result<Option<Cow<'_, [u8]>>, String> {
    match text.as_bytes()[0] {
        b'n' => Ok(None),
        b'"' => match STANDARD.decode(string(text)?.as_bytes()) {
            Ok(bytes) => Ok(Some(bytes.into())),
            Err(error) => Err(format!("not base64: {error}")),
        },
        _ => Err(format!("{} is not a string of base64", shorten(text))),
    }
}

fn topic(text: &str) -> Result<Option<Cow<'_, str>>, BadLine> {
    match text.as_bytes()[0] {
        b'n' => Ok(None),
        b'"' => string(text).map(Some).map_err(|what| BadLine::new(format!("topic: {what}"))),
        _ => Err(BadLine::new(format!("topic: {} is not a string", shorten(text)))),
    }
}

/// `{"name": "text", …}`, or `[["name", "text"], …]` where names repeat.
fn headers(text: &str) -> Result<Headers<'_>, String> {
    let wrong = "an object is expected, or a list of [name, value]";
    let pairs = match text.as_bytes()[0] {
        b'n' => Vec::new(),
        b'{' => serde_json::from_str::<Pairs<'_>>(text).map_err(|error| words(&error))?.0,
        b'[' => {
            let pairs: Vec<(Text<'_>, &RawValue)> = serde_json::from_str(text).map_err(|_| wrong.to_owned())?;
            pairs.into_iter().map(|(Text(name), raw)| (name, raw)).collect()
        }
        _ => return Err(wrong.to_owned()),
    };
    pairs
        .into_iter()
        .map(|(name, raw)| {
            let value = header_value(raw.get()).map_err(|what| format!("{name}: {what}"))?;
            Ok((name, value))
        })
        .collect()
}

fn header_value(text: &str) -> Result<Option<Cow<'_, [u8]>>, String> {
    let wrong = || format!("{} is not a string, null or {{\"base64\": …}}", shorten(text));
    match text.as_bytes()[0] {
        b'{' => match &serde_json::from_str::<Pairs<'_>>(text).map_err(|error| words(&error))?.0[..] {
            [(name, raw)] if name == "base64" => base64(raw.get()),
            _ => Err(wrong()),
        },
        b'[' => Err(wrong()),
        _ => bytes(text),
    }
}

fn string(text: &str) -> Result<Cow<'_, str>, String> {
    serde_json::from_str::<Text<'_>>(text).map(|Text(text)| text).map_err(|error| words(&error))
}

/// Leaves out the white space between the tokens of a text that is JSON.
fn compact(text: &str) -> Cow<'_, str> {
    if !text.bytes().any(|byte| byte.is_ascii_whitespace()) {
        return text.into();
    }
    let (mut in_string, mut escaped) = (false, false);
    let keep = |letter: &char| {
        match letter {
            _ if escaped => escaped = false,
            '\\' if in_string => escaped = true,
            '"' => in_string = !in_string,
            _ => {}
        }
        in_string || !letter.is_ascii_whitespace()
    };
    Cow::Owned(text.chars().filter(keep).collect())
}

fn into_bytes(text: Cow<'_, str>) -> Cow<'_, [u8]> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    }
}

fn object(text: &str, what: &str) -> Result<(), BadLine> {
    let start = text.trim_start();
    let found = match start.as_bytes().first() {
        Some(b'{') => return Ok(()),
        Some(b'[') => "a list",
        Some(b'"') => "a string",
        Some(b'-' | b'0'..=b'9') => "a number",
        _ => match start.trim_end() {
            "true" | "false" => "a truth value",
            "null" => "null",
            _ => return Err(BadLine { column: Some(text.len() - start.len() + 1), what: "not JSON".to_owned() }),
        },
    };
    Err(BadLine::new(format!("{what} is an object such as {{\"value\": …}}, and this is {found}")))
}

fn unknown(name: &str) -> String {
    match nearest(name, NAMES) {
        Some(meant) => format!("unknown field {name:?}; did you mean {meant:?}?"),
        None => {
            format!(
                "unknown field {name:?}; a record has {} (--format json sends whole lines as values)",
                NAMES.join(", ")
            )
        }
    }
}

/// A reader's error as one about the line, and not about a text whose first line it is.
fn bad(error: serde_json::Error) -> BadLine {
    let prefix = if error.is_data() { "" } else { "not JSON: " };
    BadLine { column: Some(error.column()).filter(|column| *column > 0), what: format!("{prefix}{}", words(&error)) }
}

fn words(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rsplit_once(" at line ").map_or(text.clone(), |(words, _)| words.to_owned())
}

fn shorten(text: &str) -> String {
    const LETTERS_MAX: usize = 40;
    match text.char_indices().nth(LETTERS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
