//! Masks, hashes or removes fields of JSON values and keys: see README.md for its settings.

mod document;
mod path;
mod tree;

use document::{Hash, Means};
use pointsman_plugin::{Edit, Fields, Interceptor, InterceptorWants, Reads, Record, Settings};
use tree::{Action, Node};

pointsman_plugin::export!(interceptor: MaskFields);

/// The plugin.
pub struct MaskFields {
    value: Node,
    key: Key,
    means: Means,
    /// What comes out of the record at hand. Kept for its allocation.
    output: Vec<u8>,
}

/// What becomes of the key.
enum Key {
    Stays,
    /// It is JSON.
    Fields(Node),
    /// Whatever it is, its hash takes its place.
    Hashed,
}

/// Fewer bytes can be found by trying.
const SALT_BYTES_MIN: usize = 16;

impl Interceptor for MaskFields {
    fn configure(settings: &Settings) -> Result<MaskFields, String> {
        let value = tree(settings, "")?;
        let fields = tree(settings, "key.")?;
        let whole = settings.choice("whole-key", &[("hash", ())])?.is_some();
        let key = match (whole, fields.is_empty()) {
            (true, false) => return Err("`whole-key` leaves nothing for `key.*`: leave one out".to_owned()),
            (true, true) => Key::Hashed,
            (false, false) => Key::Fields(fields),
            (false, true) => Key::Stays,
        };
        let hashes = whole
            || [("", Action::Hash), ("key.", Action::Hash)]
                .iter()
                .any(|(side, action)| !settings.list(&format!("{side}{}", action.name())).is_empty());
        let missing = settings.choice("missing", &[("refuse", false), ("pass", true)])?;
        let plugin = MaskFields {
            value,
            key,
            means: Means {
                mask: json_string(settings.get("mask-with").unwrap_or("***")),
                hash: hash(settings, hashes)?,
                may_miss: missing.unwrap_or(false),
            },
            output: Vec::new(),
        };
        if plugin.reads() == Fields::NONE {
            return Err("there is nothing to do: name fields in `mask`, `hash` or `remove`".to_owned());
        }
        Ok(plugin)
    }

    fn wants(&self) -> InterceptorWants {
        InterceptorWants::nothing().on_send(Reads::of(self.reads())).changes(self.reads())
    }

    fn on_send(&mut self, record: &Record<'_>, edit: &mut Edit<'_>) {
        if !self.value.is_empty()
            && let Some(value) = record.value()
        {
            self.output.clear();
            match document::apply(&self.value, &self.means, value, &mut self.output) {
                Ok(true) => edit.set_value(Some(&self.output)),
                Ok(false) => {}
                Err(fault) => return edit.refuse(fault.into_reason("value")),
            }
        }
        if matches!(self.key, Key::Stays) {
            return;
        }
        let Some(key) = record.key() else { return };
        self.output.clear();
        match &self.key {
            Key::Stays => {}
            Key::Fields(root) => match document::apply(root, &self.means, key, &mut self.output) {
                Ok(true) => edit.set_key(Some(&self.output)),
                Ok(false) => {}
                Err(fault) => edit.refuse(fault.into_reason("key")),
            },
            Key::Hashed => {
                let hash = self.means.hash.as_ref().expect("configured where something is hashed");
                hash.append(&mut self.output, |update| update(key));
                edit.set_key(Some(&self.output));
            }
        }
    }
}

impl MaskFields {
    /// What it reads, and changes.
    fn reads(&self) -> Fields {
        let value = if self.value.is_empty() { Fields::NONE } else { Fields::VALUE };
        let key = if matches!(self.key, Key::Stays) { Fields::NONE } else { Fields::KEY };
        value | key
    }
}

/// The fields that the settings name for the value (no prefix) or the key.
fn tree(settings: &Settings, prefix: &str) -> Result<Node, String> {
    let mut root = Node::root();
    for action in Action::ALL {
        let setting = format!("{prefix}{}", action.name());
        for path in settings.list(&setting) {
            root.add(path, action).map_err(|error| format!("{setting}: {error}"))?;
        }
    }
    Ok(root)
}

fn hash(settings: &Settings, needed: bool) -> Result<Option<Hash>, String> {
    match (settings.get("salt"), needed) {
        (Some(_), false) => Err("`salt` is there, but nothing is hashed".to_owned()),
        (None, true) => Err("`salt` is missing: without it hashes of common values can be looked up".to_owned()),
        (Some(salt), true) if salt.len() < SALT_BYTES_MIN => {
            Err(format!("`salt` has {} bytes: it should have {SALT_BYTES_MIN} or more, and random ones", salt.len()))
        }
        (Some(salt), true) => Ok(Some(Hash::new(salt))),
        (None, false) => Ok(None),
    }
}

/// A text as JSON writes it.
fn json_string(text: &str) -> Vec<u8> {
    let mut json = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' | '\\' => json.extend(['\\', letter]),
            '\0'..' ' => json.push_str(&format!("\\u{:04x}", u32::from(letter))),
            _ => json.push(letter),
        }
    }
    json.push('"');
    json.into_bytes()
}

#[cfg(test)]
mod tests;
