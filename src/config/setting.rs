//! What was set, for whoever wants to see it.

use super::error::Place;
use super::keys::Key;
use super::producer::Values;
use super::value::Value;
use std::collections::BTreeMap;

/// A key's value as it was set, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Setting {
    /// As it would stand in a properties file; `None` for a secret, and for what a provider gave.
    pub value: Option<String>,
    /// Where.
    pub place: Place,
}

/// All that was set under `[producer]`, by key.
pub(super) fn settings(values: &Values) -> BTreeMap<&'static str, Setting> {
    let shown = |name: &str, value: &Value| {
        let is_secret = Key::find(name).is_none_or(Key::is_secret) || values.provided.contains(name);
        (!is_secret).then(|| match value {
            Value::Text(text) if name.ends_with(".url") => without_query(text),
            Value::Text(text) => text.clone(),
            Value::List(items) => items.join(","),
            Value::Bool(truth) => truth.to_string(),
            Value::Int(number) => number.to_string(),
            Value::Double(number) => number.to_string(),
        })
    };
    let setting = |(name, (value, place)): (&&'static str, &(Value, Place))| {
        (*name, Setting { value: shown(name, value), place: place.clone() })
    };
    values.set.iter().map(setting).collect()
}

/// Some identity providers take a key in the address.
fn without_query(url: &str) -> String {
    match url.split_once('?') {
        Some((before, _)) => format!("{before}?(hidden)"),
        None => url.to_owned(),
    }
}
