//! A setting as its source has it, before anything is known about its key.

use super::error::Place;
use zeroize::Zeroize;

/// A key, its text, and where both stand. No `Debug`: the text may be a secret.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) raw: Raw,
    pub(super) place: Place,
    /// A part of it came from a provider: it may be a secret.
    pub(super) provided: bool,
}

/// A value as text, or as an array of texts (TOML only).
#[derive(Clone, PartialEq)]
pub(super) enum Raw {
    Text(String),
    List(Vec<String>),
}

/// Any text may be a secret's, or hold one.
impl Drop for Raw {
    fn drop(&mut self) {
        match self {
            Raw::Text(text) => text.zeroize(),
            Raw::List(texts) => texts.zeroize(),
        }
    }
}

impl Entry {
    pub(super) fn text(key: impl Into<String>, value: impl Into<String>, place: Place) -> Entry {
        Entry { key: key.into(), raw: Raw::Text(value.into()), place, provided: false }
    }
}
