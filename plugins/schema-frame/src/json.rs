//! JSON as a tree, for schemas and the values in them. Payloads are read where they stand.

use crate::decimal::Decimal;
use pointsman_plugin::json::{Malformed, Scanner, Text, Value};

/// A value. Two are equal if they mean the same: `1` is `1.0`, and the order of members does not matter.
#[derive(Clone, Debug)]
pub(crate) enum Json {
    Null,
    Bool(bool),
    /// As it is written.
    Number(String),
    String(String),
    Array(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    /// Reads a whole document.
    pub(crate) fn parse(text: &[u8]) -> Result<Json, Malformed> {
        let mut scanner = Scanner::new(text);
        let json = Json::read(&mut scanner, 0)?;
        scanner.end()?;
        Ok(json)
    }

    /// Reads the value at a scanner.
    pub(crate) fn read(scanner: &mut Scanner<'_>, depth: usize) -> Result<Json, Malformed> {
        if depth > DEPTH_MAX {
            return Err(Malformed { at: scanner.place() });
        }
        Ok(match scanner.value()? {
            Value::Null => Json::Null,
            Value::Bool(value) => Json::Bool(value),
            Value::Number(text) => Json::Number(String::from_utf8_lossy(text).into_owned()),
            Value::String(text) => Json::String(decoded(&text)),
            Value::Array => {
                let mut elements = Vec::new();
                let mut more = scanner.open(b']')?;
                while more {
                    elements.push(Json::read(scanner, depth + 1)?);
                    more = scanner.more(b']')?;
                }
                Json::Array(elements)
            }
            Value::Object => {
                let mut members = Vec::new();
                let mut more = scanner.open(b'}')?;
                while more {
                    let name = decoded(&scanner.name()?);
                    members.push((name, Json::read(scanner, depth + 1)?));
                    more = scanner.more(b'}')?;
                }
                Json::Object(members)
            }
        })
    }

    /// Whether the value at a scanner means the same. Goes past it.
    pub(crate) fn is_at(&self, scanner: &mut Scanner<'_>) -> Result<bool, Malformed> {
        Ok(match (self, scanner.peek()) {
            (Json::Array(_), b'[') | (Json::Object(_), b'{') => Json::read(scanner, 0)? == *self,
            (_, b'[' | b'{') => scanner.skip_value().map(|_| false)?,
            _ => match (self, scanner.value()?) {
                (Json::Null, Value::Null) => true,
                (Json::Bool(expected), Value::Bool(found)) => *expected == found,
                (Json::Number(expected), Value::Number(found)) => {
                    expected.as_bytes() == found || Decimal::parse(expected.as_bytes()) == Decimal::parse(found)
                }
                (Json::String(expected), Value::String(found)) => found.is(expected.as_bytes()),
                _ => false,
            },
        })
    }

    /// An object's member; the last of this name.
    pub(crate) fn get(&self, name: &str) -> Option<&Json> {
        let Json::Object(members) = self else { return None };
        members.iter().rfind(|(member, _)| member == name).map(|(_, value)| value)
    }

    pub(crate) fn as_str(&self) -> Option<&str> {
        if let Json::String(text) = self { Some(text) } else { None }
    }

    pub(crate) fn as_array(&self) -> Option<&[Json]> {
        if let Json::Array(elements) = self { Some(elements) } else { None }
    }

    /// A number that counts something.
    pub(crate) fn as_count(&self) -> Option<usize> {
        let Json::Number(text) = self else { return None };
        usize::try_from(Decimal::parse(text.as_bytes()).scaled(0)?).ok()
    }

    /// Writes it without space.
    pub(crate) fn write(&self, output: &mut String) {
        match self {
            Json::Null => output.push_str("null"),
            Json::Bool(value) => output.push_str(if *value { "true" } else { "false" }),
            Json::Number(text) => output.push_str(text),
            Json::String(text) => write_string(text, output),
            Json::Array(elements) => {
                output.push('[');
                for (at, element) in elements.iter().enumerate() {
                    output.push_str(if at > 0 { "," } else { "" });
                    element.write(output);
                }
                output.push(']');
            }
            Json::Object(members) => {
                output.push('{');
                for (at, (name, value)) in members.iter().enumerate() {
                    output.push_str(if at > 0 { "," } else { "" });
                    write_string(name, output);
                    output.push(':');
                    value.write(output);
                }
                output.push('}');
            }
        }
    }
}

impl PartialEq for Json {
    fn eq(&self, other: &Json) -> bool {
        match (self, other) {
            (Json::Null, Json::Null) => true,
            (Json::Bool(a), Json::Bool(b)) => a == b,
            (Json::Number(a), Json::Number(b)) => Decimal::parse(a.as_bytes()) == Decimal::parse(b.as_bytes()),
            (Json::String(a), Json::String(b)) => a == b,
            (Json::Array(a), Json::Array(b)) => a == b,
            (Json::Object(a), Json::Object(b)) => {
                a.len() == b.len() && a.iter().all(|(name, value)| other.get(name) == Some(value))
            }
            _ => false,
        }
    }
}

fn decoded(text: &Text<'_>) -> String {
    let mut bytes = Vec::new();
    text.decode_into(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

fn write_string(text: &str, output: &mut String) {
    output.push('"');
    for letter in text.chars() {
        match letter {
            '"' | '\\' => output.extend(['\\', letter]),
            '\0'..' ' => output.push_str(&format!("\\u{:04x}", u32::from(letter))),
            _ => output.push(letter),
        }
    }
    output.push('"');
}

/// Levels of nesting. The scanner skips no more either.
pub(crate) const DEPTH_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_and_written_means_the_same() {
        let text = r#" {"a":[1,-2.5e3,true,null,{}],"\u0062":"x\"\\\n\u0001é"} "#;
        let json = Json::parse(text.as_bytes()).unwrap();
        let mut written = String::new();
        json.write(&mut written);
        assert_eq!(written, r#"{"a":[1,-2.5e3,true,null,{}],"b":"x\"\\\u000a\u0001é"}"#);
        assert_eq!(Json::parse(written.as_bytes()).unwrap(), json);
        assert!(Json::parse(b"{} x").is_err());
        assert!(Json::parse("[".repeat(66).as_bytes()).is_err());
    }

    #[test]
    fn equality_is_of_meaning() {
        let parse = |text: &str| Json::parse(text.as_bytes()).unwrap();
        for (a, b, same) in [
            (r#"{"a":1,"b":[1.0]}"#, r#"{"b":[1],"a":1e0}"#, true),
            ("[1,2]", "[2,1]", false),
            (r#"{"a":1}"#, r#"{"a":1,"b":1}"#, false),
            ("0", "false", false),
            ("\"1\"", "1", false),
            ("null", "null", true),
            (r#""\u0061""#, "\"a\"", true),
        ] {
            assert_eq!(parse(a) == parse(b), same, "{a} {b}");
            assert_eq!(parse(a).is_at(&mut Scanner::new(b.as_bytes())), Ok(same), "{a} {b}");
        }
    }
}
