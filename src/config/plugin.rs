//! `[plugins.NAME]` tables as types.

use super::entry::{Entry, Raw};
use super::error::{Place, Problem, ProblemKind, Source};
use super::keys::plugin_keys;
use super::suggest;
use super::value::{self, Value, quote};
use crate::record::valid_topic;
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A plugin: its component, its limits, what to do when it fails, and its own settings.
#[derive(Clone, PartialEq, Eq)]
pub struct PluginConfig {
    /// The name after `plugins.`, to which `wasm:NAME` refers.
    pub name: String,
    /// `component`: the .wasm file; a relative path in a file is taken from that file's folder.
    pub component: PathBuf,
    /// `sha256`: what the file must hash to, if that is said.
    pub sha256: Option<[u8; 32]>,
    /// `on-error`, default fail.
    pub on_error: OnError,
    /// `required`, default false: no record goes past this plugin.
    pub required: bool,
    /// `breaker.failures`, default 10: failures in a row after which the plugin is not called for a while; a start that
    /// fails is enough. 0 is never.
    pub breaker_failures: u32,
    /// `breaker.cooldown.ms`, default 10,000: how long that is.
    pub breaker_cooldown: Duration,
    /// `timeout.ms`, default 50: how long one call may take.
    pub timeout: Duration,
    /// `memory.max`, default 64 MiB: bytes that one instance may take.
    pub memory_max: u64,
    /// `settings`: handed to the plugin's `configure`, in the order of the file, nested names joined by dots.
    pub settings: Vec<(String, String)>,
}

/// What becomes of a record that a plugin failed on: refused it, returned an error, trapped, ran out of time or memory,
/// broke a rule, or could not be started again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum OnError {
    /// `fail`: its delivery fails.
    #[default]
    Fail,
    /// `pass`: it goes on without this plugin's change. Not for partitioners.
    Pass,
    /// `drop`: it is not sent; its delivery says so.
    Drop,
    /// `fallback`: the built-in partitioner places it. For partitioners only.
    Fallback,
    /// `dead-letter`: a letter about it goes to a topic for such.
    DeadLetter(DeadLetter),
}

/// Where dead letters go and what they carry beside their headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// `dead-letter.topic`
    pub topic: String,
    /// `dead-letter.include.key`, default false.
    pub include_key: bool,
    /// `dead-letter.include.value`, default false.
    pub include_value: bool,
}

impl PluginConfig {
    /// A plugin with the default limits and no settings.
    pub fn new(name: impl Into<String>, component: impl Into<PathBuf>) -> PluginConfig {
        let (name, component) = (name.into(), component.into());
        PluginConfig { name, component, ..PluginConfig::read("", &Table::default(), &mut Vec::new()) }
    }

    /// The plugins of all `plugins.NAME.…` entries, and where each begins. Later entries override earlier ones.
    pub(super) fn read_all(
        entries: Vec<Entry>,
        problems: &mut Vec<Problem>,
    ) -> BTreeMap<String, (PluginConfig, Place)> {
        let mut tables: BTreeMap<String, Table> = BTreeMap::new();
        for entry in entries {
            let rest = entry.key.strip_prefix("plugins.").unwrap_or(&entry.key);
            match rest.split_once('.') {
                Some((name, key)) if is_name(name) => {
                    let (name, key) = (name.to_owned(), key.to_owned());
                    tables.entry(name).or_default().set(key, entry, problems);
                }
                _ => problems.push(
                    Problem::new(ProblemKind::UnknownKey, &entry.place, Some(&entry.key), "not a plugin's key").help(
                        "write plugins.NAME.component and so on; a name has letters, digits, hyphens and underscores",
                    ),
                ),
            }
        }
        tables
            .into_iter()
            .map(|(name, table)| {
                let plugin = PluginConfig::read(&name, &table, problems);
                (name, (plugin, table.place))
            })
            .collect()
    }

    /// What a program may get wrong that fills the fields itself.
    pub(super) fn check(&self, place: &Place, problems: &mut Vec<Problem>) {
        let full = |key: &str| format!("plugins.{}.{key}", self.name);
        let mut refuse = |kind, key: &str, what: String, help: &str| {
            problems.push(Problem::new(kind, place, Some(&full(key)), what).help(help));
        };
        if !is_name(&self.name) {
            let help = "a name has letters, digits, hyphens and underscores";
            refuse(ProblemKind::InvalidValue, "component", "not a plugin's name".into(), help);
        }
        if let Some((what, help)) = goes_past(self.required, &self.on_error) {
            refuse(ProblemKind::Conflict, "on-error", what, help);
        }
        if let Some((kind, what)) = goes_nowhere(&self.on_error) {
            refuse(kind, "dead-letter.topic", what, NO_LETTER_TOPIC_HELP);
        }
    }

    fn read(name: &str, table: &Table, problems: &mut Vec<Problem>) -> PluginConfig {
        let full = |key: &str| format!("plugins.{name}.{key}");
        let mut refuse = |kind, key: &str, what: String, help: &str| {
            let place = table.set.get(key).map_or(&table.place, |(_, place)| place);
            problems.push(Problem::new(kind, place, Some(&full(key)), what).help(help));
        };

        let component = table.text("component");
        if component.is_empty() && !name.is_empty() {
            let help = format!("say where its file is: component = \"{name}.wasm\"");
            refuse(ProblemKind::Missing, "component", "missing".into(), &help);
        }
        let digest = table.text("sha256");
        let sha256 = if digest.is_empty() { None } else { parse_sha256(&digest) };
        if sha256.is_none() && !digest.is_empty() {
            let what = format!("{} is not a SHA-256", quote(&digest));
            refuse(
                ProblemKind::InvalidValue,
                "sha256",
                what,
                "it takes the 64 hexadecimal digits that sha256sum prints",
            );
        }
        let on_error = match table.text("on-error").as_str() {
            "pass" => OnError::Pass,
            "drop" => OnError::Drop,
            "fallback" => OnError::Fallback,
            "dead-letter" => OnError::DeadLetter(DeadLetter {
                topic: table.text("dead-letter.topic"),
                include_key: table.truth("dead-letter.include.key"),
                include_value: table.truth("dead-letter.include.value"),
            }),
            _ => OnError::Fail,
        };
        if let Some((kind, what)) = goes_nowhere(&on_error) {
            refuse(kind, "dead-letter.topic", what, NO_LETTER_TOPIC_HELP);
        }
        let required = table.truth("required");
        if let Some((what, help)) = goes_past(required, &on_error) {
            refuse(ProblemKind::Conflict, "on-error", what, help);
        }
        for key in ["dead-letter.topic", "dead-letter.include.key", "dead-letter.include.value"] {
            if table.set.contains_key(key) && !matches!(on_error, OnError::DeadLetter(_)) {
                let what = format!("it counts with on-error = \"dead-letter\" only, which is {}", on_error.name());
                refuse(ProblemKind::Conflict, key, what, "write on-error = \"dead-letter\", or take it away");
            }
        }
        PluginConfig {
            name: name.to_owned(),
            component: table.resolve(&component),
            sha256,
            on_error,
            required,
            breaker_failures: u32::try_from(table.number("breaker.failures")).unwrap_or(u32::MAX),
            breaker_cooldown: Duration::from_millis(table.number("breaker.cooldown.ms")),
            timeout: Duration::from_millis(table.number("timeout.ms")),
            memory_max: table.number("memory.max"),
            settings: table.settings.clone(),
        }
    }
}

impl OnError {
    /// The word for it in `on-error`.
    pub fn name(&self) -> &'static str {
        match self {
            OnError::Fail => "fail",
            OnError::Pass => "pass",
            OnError::Drop => "drop",
            OnError::Fallback => "fallback",
            OnError::DeadLetter(_) => "dead-letter",
        }
    }
}

impl fmt::Debug for PluginConfig {
    /// Settings may be secrets (a masking plugin's salt): only their names are shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let settings: Vec<&str> = self.settings.iter().map(|(key, _)| key.as_str()).collect();
        f.debug_struct("PluginConfig")
            .field("name", &self.name)
            .field("component", &self.component)
            .field("sha256", &self.sha256)
            .field("on_error", &self.on_error)
            .field("required", &self.required)
            .field("breaker_failures", &self.breaker_failures)
            .field("breaker_cooldown", &self.breaker_cooldown)
            .field("timeout", &self.timeout)
            .field("memory_max", &self.memory_max)
            .field("settings", &settings)
            .finish()
    }
}

/// A plugin's table while it is read.
struct Table {
    place: Place,
    set: BTreeMap<&'static str, (Value, Place)>,
    settings: Vec<(String, String)>,
}

impl Default for Table {
    fn default() -> Table {
        Table { place: Place::of(Source::Whole), set: BTreeMap::new(), settings: Vec::new() }
    }
}

impl Table {
    fn set(&mut self, key: String, entry: Entry, problems: &mut Vec<Problem>) {
        if self.place.source == Source::Whole {
            self.place = entry.place.clone();
        }
        if let Some(setting) = key.strip_prefix("settings.") {
            let text = match &entry.raw {
                Raw::Text(text) => text.clone(),
                Raw::List(items) => items.join(","),
            };
            match self.settings.iter_mut().find(|(name, _)| name == setting) {
                Some((_, before)) => *before = text,
                None => self.settings.push((setting.to_owned(), text)),
            }
            return;
        }
        let Some(known) = plugin_keys().iter().find(|known| known.name == key) else {
            let names = || plugin_keys().iter().map(|known| known.name).chain(["settings"]);
            let help = match suggest::misspelt(&key, names()) {
                Some(meant) => format!("did you mean {meant}?"),
                None => format!(
                    "a plugin has {}; what is meant for the plugin itself goes below settings",
                    names().collect::<Vec<_>>().join(", ")
                ),
            };
            let problem = Problem::new(ProblemKind::UnknownKey, &entry.place, Some(&entry.key), "not a known key");
            return problems.push(problem.help(help));
        };
        match value::parse(known, &entry.raw) {
            Ok(value) => {
                self.set.insert(known.name, (value, entry.place));
            }
            Err((what, help)) => {
                problems.push(Problem::new(ProblemKind::InvalidValue, &entry.place, Some(&entry.key), what).help(help));
                // Invalid is not missing.
                self.set.entry(known.name).or_insert_with(|| (value::default(known), entry.place));
            }
        }
    }

    fn value(&self, name: &str) -> Value {
        match (self.set.get(name), plugin_keys().iter().find(|key| key.name == name)) {
            (Some((value, _)), _) => value.clone(),
            (None, Some(key)) => value::default(key),
            (None, None) => unreachable!("{name} is not in the table of plugin keys"),
        }
    }

    fn text(&self, name: &str) -> String {
        match &mut self.value(name) {
            Value::Text(text) => std::mem::take(text),
            _ => unreachable!("{name} is no text in the table of plugin keys"),
        }
    }

    fn truth(&self, name: &str) -> bool {
        self.value(name) == Value::Bool(true)
    }

    fn number(&self, name: &str) -> u64 {
        match self.value(name) {
            Value::Int(number) => u64::try_from(number).unwrap_or(0),
            _ => unreachable!("{name} is no number in the table of plugin keys"),
        }
    }

    /// A path as seen from where it was written.
    fn resolve(&self, component: &str) -> PathBuf {
        match self.set.get("component").map(|(_, place)| &place.source) {
            Some(Source::File(file)) => file.parent().unwrap_or(Path::new("")).join(component),
            _ => PathBuf::from(component),
        }
    }
}

/// Whether a plugin may be called so: names appear in metrics, file names and record headers.
pub(super) fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

fn parse_sha256(text: &str) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (byte, at) in digest.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(&text[at..at + 2], 16).ok()?;
    }
    Some(digest)
}

/// What is wrong with a policy that lets records go past a plugin that none may go past.
fn goes_past(required: bool, policy: &OnError) -> Option<(String, &'static str)> {
    let goes_past = required && matches!(policy, OnError::Pass | OnError::Fallback);
    goes_past.then(|| {
        let what = format!("{} would let records go past a plugin that is required", policy.name());
        (what, "write fail, drop or dead-letter, or take required away")
    })
}

/// Why letters have no topic to go to.
fn goes_nowhere(on_error: &OnError) -> Option<(ProblemKind, String)> {
    let OnError::DeadLetter(DeadLetter { topic, .. }) = on_error else { return None };
    if topic.is_empty() {
        return Some((ProblemKind::Missing, "missing".to_owned()));
    }
    let rule = valid_topic(topic).err()?;
    Some((ProblemKind::InvalidValue, format!("{} is no topic's name: {rule}", quote(topic))))
}

const NO_LETTER_TOPIC_HELP: &str = "name the topic that on-error = \"dead-letter\" sends to";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_plugin_has_the_defaults() {
        let plugin = PluginConfig::new("p", "p.wasm");
        assert_eq!((plugin.name.as_str(), plugin.component.as_path()), ("p", Path::new("p.wasm")));
        assert_eq!((plugin.timeout, plugin.memory_max), (Duration::from_millis(50), 64 << 20));
        assert_eq!((plugin.on_error, plugin.required, plugin.sha256), (OnError::Fail, false, None));
    }

    #[test]
    fn settings_are_not_in_debug() {
        let mut plugin = PluginConfig::new("p", "p.wasm");
        plugin.settings.push(("salt".into(), "hunter2".into()));
        let shown = format!("{plugin:?}");
        assert!(shown.contains("salt") && !shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn digests() {
        assert_eq!(parse_sha256(&"0f".repeat(32)), Some([15; 32]));
        for wrong in ["", "0f", &"0g".repeat(32), &"é".repeat(32)] {
            assert_eq!(parse_sha256(wrong), None);
        }
    }
}
