//! From entries to a configuration: overriding, the key table, the checks across keys.

use super::entry::{Entry, Raw};
use super::error::{Error, Place, Problem, ProblemKind, Source};
use super::keys::{ALIASES, Key, Status, is_foreign, keys};
use super::plugin::{OnError, PluginConfig};
use super::producer::{NOT_SHOWN, PluginUse, ProducerConfig, Values};
use super::topics::{ChainConfig, LANES_MAX, TopicConfig, TopicPattern};
use super::value::{self, quote};
use super::{Config, check, preset, providers, setting, suggest};
use std::collections::{BTreeMap, BTreeSet};

/// Later entries override earlier ones. `whole` is the place named for what is missing.
pub(super) fn resolve(
    entries: Vec<Entry>,
    in_code: Vec<PluginConfig>,
    whole: &Place,
    mut problems: Vec<Problem>,
) -> Result<Config, Error> {
    let mut notices = Vec::new();
    let entries = providers::apply(entries, &mut problems);
    let is_of = |entry: &Entry, table: &str| {
        entry.key.strip_prefix(table).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    let (of_plugins, others): (Vec<_>, Vec<_>) = entries.into_iter().partition(|entry| is_of(entry, "plugins"));
    let (of_topics, of_producer): (Vec<_>, Vec<_>) = others.into_iter().partition(|entry| is_of(entry, "topics"));

    let of_producer = last_of_each(with_preset(of_producer), &mut notices);
    let values = read_values(&of_producer, whole, &mut problems, &mut notices);
    let mut producer = ProducerConfig::from_values(&values, &mut problems);
    check::check(&mut producer, &values, &mut problems, &mut notices);

    let mut plugins = PluginConfig::read_all(of_plugins, &mut problems);
    for plugin in in_code {
        let place = Place::of(Source::Code);
        plugin.check(&place, &mut problems);
        plugins.insert(plugin.name.clone(), (plugin, place));
    }
    let topics = TopicConfig::read_all(of_topics, &producer, &mut problems);
    check_lanes(&producer, topics.len(), values.place("lanes").unwrap_or(whole), &mut problems);

    let mut used: BTreeSet<String> = BTreeSet::new();
    let common = producer.chain();
    let of_producer = (&common, &values, None);
    let of_topics = topics.iter().map(|(topic, values)| (&topic.chain, values, Some(&topic.pattern)));
    for (chain, values, pattern) in std::iter::once(of_producer).chain(of_topics) {
        check_plugins_in_use(chain, values, pattern, &plugins, &mut problems);
        used.extend(chain.plugins_in_use().map(|(_, name)| name.to_owned()));
    }
    for (name, (_, place)) in plugins.iter().filter(|(name, _)| !used.contains(*name)) {
        notices.push(format!("{place}: plugin {name} is not used; wasm:{name} in [producer] would use it"));
    }

    if problems.is_empty() {
        let plugins = plugins.into_iter().map(|(name, (plugin, _))| (name, plugin)).collect();
        let settings = setting::settings(&values);
        let topics = topics.into_iter().map(|(topic, _)| topic).collect();
        Ok(Config { producer, topics, plugins, settings, notices, file: None })
    } else {
        Err(Error::new(problems))
    }
}

/// Puts the keys of the preset that counts in front. An unknown preset is refused with its key, later.
fn with_preset(entries: Vec<Entry>) -> Vec<Entry> {
    let chosen = entries.iter().rev().find(|entry| entry.key == "preset");
    let preset = chosen.and_then(|entry| match &entry.raw {
        Raw::Text(name) => preset::values(name.trim()),
        Raw::List(_) => None,
    });
    let Some((name, values)) = preset else { return entries };
    let place = Place::of(Source::Preset(name));
    values.iter().map(|(key, value)| Entry::text(*key, *value, place.clone())).chain(entries).collect()
}

/// Keeps the last entry of each key. Twice in one file is legal in Java, but hardly meant.
fn last_of_each(entries: Vec<Entry>, notices: &mut Vec<String>) -> Vec<Entry> {
    let mut last: Vec<Entry> = Vec::new();
    let mut at: BTreeMap<String, usize> = BTreeMap::new();
    for entry in entries {
        let Some(&before) = at.get(&entry.key) else {
            at.insert(entry.key.clone(), last.len());
            last.push(entry);
            continue;
        };
        if let (Source::File(_) | Source::Text, Some(line)) = (&entry.place.source, last[before].place.line)
            && entry.place.source == last[before].place.source
            && Key::find(&entry.key).is_some()
        {
            notices.push(format!("{}: {} was set in line {line} already; the last one counts", entry.place, entry.key));
        }
        last[before] = entry;
    }
    last
}

fn read_values(entries: &[Entry], whole: &Place, problems: &mut Vec<Problem>, notices: &mut Vec<String>) -> Values {
    let mut values = Values::default();
    let mut foreign = Vec::new();
    for entry in entries {
        let Some(key) = Key::find(&entry.key) else {
            if let Some(problem) = unknown(entry, &mut foreign) {
                problems.push(problem);
            }
            continue;
        };
        match value::parse(key, &entry.raw) {
            Ok(value) => {
                let is_default = value == value::default(key);
                match key.status {
                    Status::NotYet(feature) if !is_default => {
                        let help = match key.default {
                            Some(default) if !default.is_empty() => {
                                format!("leave it out, or at its default {default}")
                            }
                            _ => "leave it out".to_owned(),
                        };
                        let what = format!("not supported yet ({feature})");
                        problems.push(
                            Problem::new(ProblemKind::NotSupportedYet, &entry.place, Some(key.name), what).help(help),
                        );
                    }
                    Status::Accepted(why) if !is_default => {
                        notices.push(format!("{}: {} has no effect: {why}", entry.place, key.name));
                    }
                    _ => {}
                }
                if entry.provided {
                    values.provided.insert(key.name);
                }
                values.set.insert(key.name, (value, entry.place.clone()));
            }
            Err((what, help)) => {
                // The words about a secret's value would quote it.
                let (what, help) = if key.is_secret() || entry.provided {
                    (NOT_SHOWN.to_owned(), String::new())
                } else {
                    (what, help)
                };
                problems.push(Problem::new(ProblemKind::InvalidValue, &entry.place, Some(key.name), what).help(help));
            }
        }
    }
    if !foreign.is_empty() {
        notices.push(format!("ignored, as keys of other clients: {}", foreign.join(", ")));
    }
    require_servers(entries, &values, whole, problems);
    values
}

fn require_servers(entries: &[Entry], values: &Values, whole: &Place, problems: &mut Vec<Problem>) {
    let key = "bootstrap.servers";
    let what = match values.set.get(key) {
        Some((value::Value::List(servers), _)) if servers.is_empty() => "no server is named",
        // What is set but invalid has been said already.
        None if !entries.iter().any(|entry| entry.key == key) => "missing",
        _ => return,
    };
    let place = values.place(key).unwrap_or(whole);
    problems.push(
        Problem::new(ProblemKind::Missing, place, Some(key), what)
            .help("name one or more brokers, such as localhost:9092"),
    );
}

/// What is wrong with a key that is not in the table; nothing if it belongs to another client.
fn unknown(entry: &Entry, foreign: &mut Vec<String>) -> Option<Problem> {
    let name = entry.key.as_str();
    let names = || keys().iter().map(|key| key.name);
    let problem = |kind, what: &str, help: String| Some(Problem::new(kind, &entry.place, Some(name), what).help(help));
    // Some foreign keys are a letter or two from ours (key.deserializer), so they come first.
    if is_foreign(name) && is_showable(name) {
        foreign.push(name.to_owned());
        return None;
    }
    if let Some((_, meant)) = ALIASES.iter().find(|(alias, _)| *alias == name) {
        return problem(ProblemKind::UnknownKey, "another client's name", format!("Kafka's own name is {meant}"));
    }
    if let Some(meant) = suggest::misspelt(&name.to_ascii_lowercase(), names()) {
        return problem(ProblemKind::UnknownKey, "not a known key", format!("did you mean {meant}?"));
    }
    if !is_showable(name) {
        let letters = name.chars().count();
        let what = format!("not a known key; its {letters} letters are not shown, as they may belong to a secret");
        let help = "a value of several lines needs a backslash at the end of each, or in TOML three quotes around it";
        return Some(Problem::new(ProblemKind::UnknownKey, &entry.place, None, what).help(help));
    }
    let nearest = suggest::nearest(name, names(), 3).join(", ");
    problem(
        ProblemKind::UnknownKey,
        "not a known key",
        format!("the nearest known ones are {nearest}; `pointsman config list` shows all"),
    )
}

/// Whether a text is surely meant as a key. The lines of a PEM key pasted without backslashes come as keys too.
fn is_showable(name: &str) -> bool {
    const LETTERS_MAX: usize = 80;
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-_".contains(&byte);
    name.len() <= LETTERS_MAX && name.bytes().all(is_plain)
}

/// Each lane is a thread, and each chain has its own.
fn check_lanes(producer: &ProducerConfig, tables: usize, place: &Place, problems: &mut Vec<Problem>) {
    let lanes = (1 + tables) * producer.lanes;
    if lanes > LANES_MAX {
        let what = format!("{} chains of {} lanes each are {lanes} threads", 1 + tables, producer.lanes);
        let help = format!("all chains together may have {LANES_MAX}: set fewer lanes, or have fewer tables of topics");
        problems.push(Problem::new(ProblemKind::Conflict, place, Some("lanes"), what).help(help));
    }
}

/// Checks the plugins that a chain names by keys of its own: those of `[producer]`, or of a pattern's table.
fn check_plugins_in_use(
    chain: &ChainConfig,
    values: &Values,
    pattern: Option<&TopicPattern>,
    plugins: &BTreeMap<String, (PluginConfig, Place)>,
    problems: &mut Vec<Problem>,
) {
    for (used_as, name) in chain.plugins_in_use() {
        let Some(key_place) = values.place(used_as.key()) else { continue };
        let key = pattern.map_or_else(|| used_as.key().to_owned(), |pattern| pattern.key(used_as.key()));
        let Some((plugin, place)) = plugins.get(name) else {
            let help = match suggest::nearest(name, plugins.keys().map(String::as_str), 1).first() {
                Some(near) => format!("add [plugins.{name}] with its component, or write wasm:{near}"),
                None => format!("add a table [plugins.{name}] with component = \"{name}.wasm\""),
            };
            let what = format!("wasm:{name} names a plugin that is not described: no {}", quote_table(name));
            problems.push(Problem::new(ProblemKind::Missing, key_place, Some(&key), what).help(help));
            continue;
        };
        let is_partitioner = used_as == PluginUse::Partitioner;
        let conflict = match plugin.on_error {
            OnError::Fallback if !is_partitioner => Some((
                format!("fallback is for partitioners, and {name} is used in {key}"),
                "write fail, pass, drop or dead-letter; for both uses, describe the component twice".to_owned(),
            )),
            // It would be a fallback that nobody sees: what is not placed is placed by the built-in partitioner.
            OnError::Pass if is_partitioner => Some((
                format!("{name} is used in {key}, and a record cannot go on without a partition"),
                "write fallback to have the built-in partitioner place it, at the price of its key's order".to_owned(),
            )),
            _ => None,
        };
        if let Some((what, help)) = conflict {
            let key = format!("plugins.{name}.on-error");
            problems.push(Problem::new(ProblemKind::Conflict, place, Some(&key), what).help(help));
        }
    }
}

fn quote_table(name: &str) -> String {
    let quoted = quote(name);
    format!("[plugins.{}]", quoted.trim_matches('"'))
}
