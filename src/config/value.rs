//! From text to the type that the key table says.

use super::entry::Raw;
use super::keys::{Key, Kind};
use super::suggest;
use zeroize::Zeroize;

/// A value of the type of its key. No `Debug`: it may be a secret.
#[derive(Clone, PartialEq)]
pub(super) enum Value {
    Text(String),
    List(Vec<String>),
    Bool(bool),
    Int(i64),
    Double(f64),
}

impl Drop for Value {
    fn drop(&mut self) {
        match self {
            Value::Text(text) => text.zeroize(),
            Value::List(items) => items.zeroize(),
            Value::Bool(_) | Value::Int(_) | Value::Double(_) => {}
        }
    }
}

/// What is wrong with a value, and what would be right.
pub(super) type Wrong = (String, String);

/// Reads a value of a key.
pub(super) fn parse(key: &Key, raw: &Raw) -> Result<Value, Wrong> {
    if key.kind == Kind::List {
        return parse_list(raw).map(Value::List);
    }
    let text = match raw {
        Raw::Text(text) => text.trim(),
        Raw::List(_) => return Err(("a list where one value is expected".into(), format!("it takes {}", key.kind))),
    };
    match key.kind {
        Kind::Password => Ok(Value::Text(text.to_owned())),
        Kind::Text | Kind::Class | Kind::List => Ok(Value::Text(text.to_owned())),
        Kind::OneOf(words) => one_of(text, words, words.iter().find(|word| **word == text)),
        Kind::OneOfAnyCase(words) => one_of(text, words, words.iter().find(|word| word.eq_ignore_ascii_case(text))),
        Kind::Bool if text.eq_ignore_ascii_case("true") => Ok(Value::Bool(true)),
        Kind::Bool if text.eq_ignore_ascii_case("false") => Ok(Value::Bool(false)),
        Kind::Bool => Err((format!("{} is neither true nor false", quote(text)), String::new())),
        Kind::Int(min, max) => bounded(text, text.parse().ok(), min, max, "a whole number", ""),
        Kind::Millis(min, max) => bounded(text, text.parse().ok(), min, max, "a whole number of milliseconds", " ms"),
        Kind::Size(min, max) => bounded(
            text,
            parse_size(text),
            min,
            max,
            "a size: a number of bytes, or one with KiB, MiB, GiB, KB, MB or GB",
            " bytes",
        ),
        Kind::Double(min, max) => match text.parse::<f64>() {
            Ok(number) if (min..=max).contains(&number) => Ok(Value::Double(number)),
            Ok(number) => Err((format!("{number} is out of range"), format!("it takes {}", key.kind))),
            Err(_) => Err((format!("{} is not a number", quote(text)), format!("it takes {}", key.kind))),
        },
    }
}

/// The value of a key that is not set.
pub(super) fn default(key: &Key) -> Value {
    match (key.default, key.kind) {
        (Some(text), _) => match parse(key, &Raw::Text(text.to_owned())) {
            Ok(value) => value,
            Err((what, _)) => unreachable!("the default of {} in the key table: {what}", key.name),
        },
        (None, Kind::List) => Value::List(Vec::new()),
        (None, _) => Value::Text(String::new()),
    }
}

/// A number of bytes, with or without a unit. Negative numbers pass: some keys take -1.
fn parse_size(text: &str) -> Option<i64> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '-' && c != '+').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let factor: i64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        _ => return None,
    };
    number.parse::<i64>().ok()?.checked_mul(factor)
}

/// A value as an error shows it: quoted, and not a page long.
pub(super) fn quote(text: &str) -> String {
    const SHOWN_MAX: usize = 60;
    if text.chars().count() <= SHOWN_MAX {
        format!("{text:?}")
    } else {
        format!("{:?}…", text.chars().take(SHOWN_MAX).collect::<String>())
    }
}

fn parse_list(raw: &Raw) -> Result<Vec<String>, Wrong> {
    let items: Vec<String> = match raw {
        Raw::Text(text) if text.trim().is_empty() => Vec::new(),
        Raw::Text(text) => text.split(',').map(|item| item.trim().to_owned()).collect(),
        Raw::List(items) => items.iter().map(|item| item.trim().to_owned()).collect(),
    };
    if items.iter().any(String::is_empty) {
        return Err(("the list has an empty item".into(), "take away the comma too many".into()));
    }
    Ok(items)
}

fn one_of(text: &str, words: &[&str], found: Option<&&str>) -> Result<Value, Wrong> {
    if let Some(word) = found {
        return Ok(Value::Text((*word).to_owned()));
    }
    let what = format!("{} is not one of {}", quote(text), words.join(", "));
    let meant = suggest::misspelt(&text.to_ascii_lowercase(), words.iter().copied());
    Err((what, meant.map(|word| format!("did you mean {word}?")).unwrap_or_default()))
}

fn bounded(text: &str, number: Option<i64>, min: i64, max: i64, expected: &str, unit: &str) -> Result<Value, Wrong> {
    let Some(number) = number else {
        // Longer than 64 bits is out of range, not a spelling mistake.
        let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
        if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err((format!("{} is out of range", quote(text)), range(min, max, unit)));
        }
        return Err((format!("{} is not {expected}", quote(text)), String::new()));
    };
    if (min..=max).contains(&number) {
        Ok(Value::Int(number))
    } else {
        Err((format!("{text} is out of range"), range(min, max, unit)))
    }
}

fn range(min: i64, max: i64, unit: &str) -> String {
    match (min, max) {
        (i64::MIN, _) => format!("it takes at most {max}{unit}"),
        (_, i64::MAX) => format!("it takes at least {min}{unit}"),
        _ => format!("it takes {min} to {max}{unit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::keys::{keys, plugin_keys};
    use super::*;

    fn of(name: &str, text: &str) -> Result<Value, Wrong> {
        let key = Key::find(name).or_else(|| plugin_keys().iter().find(|key| key.name == name)).unwrap();
        parse(key, &Raw::Text(text.into()))
    }

    #[test]
    fn every_default_in_the_tables_is_valid() {
        for key in keys().iter().chain(plugin_keys()) {
            default(key);
        }
    }

    #[test]
    fn sizes_have_units() {
        for (text, bytes) in [
            ("0", 0),
            ("16384", 16_384),
            ("64 MiB", 64 << 20),
            ("64MiB", 64 << 20),
            ("1kib", 1024),
            ("1 KB", 1000),
            ("2 GiB", 2 << 30),
            ("3mb", 3_000_000),
            ("4 GB", 4_000_000_000),
            ("7 B", 7),
        ] {
            assert!(of("buffer.memory", text) == Ok(Value::Int(bytes)), "{text}");
        }
        for text in ["", "MiB", "1.5 MiB", "1 K", "1 MiBB", "--1", "9223372036854775807 KiB", "1_000", "１"] {
            assert!(of("buffer.memory", text).is_err(), "{text}");
        }
        assert!(of("send.buffer.bytes", "-1") == Ok(Value::Int(-1)));
        assert!(of("send.buffer.bytes", "-2").is_err());
    }

    #[test]
    fn values_are_trimmed_and_bounded() {
        assert!(of("linger.ms", " 7 ") == Ok(Value::Int(7)));
        assert!(of("enable.idempotence", "True") == Ok(Value::Bool(true)));
        assert!(of("metadata.recovery.strategy", "None") == Ok(Value::Text("none".into())));
        assert!(of("security.protocol", "plaintext") == Ok(Value::Text("PLAINTEXT".into())));
        for (name, text, words) in [
            ("linger.ms", "-1", "-1 is out of range; it takes at least 0 ms"),
            ("linger.ms", "5s", "\"5s\" is not a whole number of milliseconds"),
            ("linger.ms", "", "\"\" is not a whole number of milliseconds"),
            ("linger.ms", "99999999999999999999", "out of range"),
            ("retries", "2147483648", "it takes 0 to 2147483647"),
            ("acks", "ALL", "\"ALL\" is not one of all, -1, 0, 1; did you mean all?"),
            ("acks", "2", "not one of"),
            ("enable.idempotence", "yes", "neither true nor false"),
            ("metadata.max.idle.ms", "4999", "at least 5000 ms"),
            ("compression.lz4.level", "18", "1 to 17"),
            ("sasl.login.refresh.window.factor", "0.4", "out of range"),
            ("sasl.login.refresh.window.factor", "x", "not a number"),
            ("memory.max", "1 KiB", "it takes 65536 to"),
            ("bootstrap.servers", "a:1,,b:2", "empty item"),
        ] {
            let Err((what, help)) = of(name, text) else { panic!("{name}={text} was taken") };
            assert!(format!("{what}; {help}").contains(words), "{name}={text}: {what}; {help}");
        }
    }

    #[test]
    fn a_list_is_refused_where_one_value_is_expected() {
        assert!(parse(Key::find("acks").unwrap(), &Raw::List(vec!["all".into()])).is_err());
    }
}
