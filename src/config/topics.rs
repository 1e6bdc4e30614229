//! `[topics."PATTERN"]` tables: chains of their own for some topics.

use super::entry::Entry;
use super::error::{Problem, ProblemKind};
use super::keys::{Key, keys};
use super::producer::{InterceptorClass, PartitionerClass, PluginUse, ProducerConfig, SerializerClass, Values};
use super::setting::{self, Setting};
use super::suggest;
use super::value;
use std::collections::BTreeMap;
use std::fmt;

/// What records go through: the four keys that say it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChainConfig {
    /// `interceptor.classes`, in the order of their calls, none twice.
    pub interceptor_classes: Vec<InterceptorClass>,
    /// `key.serializer`
    pub key_serializer: SerializerClass,
    /// `value.serializer`
    pub value_serializer: SerializerClass,
    /// `partitioner.class`
    pub partitioner_class: PartitionerClass,
}

/// The chain of some topics. What its table does not set is as in `[producer]`.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct TopicConfig {
    /// Whose chain it is.
    pub pattern: TopicPattern,
    /// The chain.
    pub chain: ChainConfig,
    /// What was set in the table, by key.
    pub settings: BTreeMap<&'static str, Setting>,
}

/// Names one topic, or all that begin alike. Of several that a topic fits, its own name counts, else the longest
/// beginning.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TopicPattern {
    /// `orders`
    Exact(String),
    /// `orders.*`: the beginning before the star.
    Prefix(String),
}

impl ChainConfig {
    /// The names of the plugins in use, in the order interceptors, key serializer, value serializer, partitioner; one
    /// that is used twice comes twice.
    pub fn plugins_in_use(&self) -> impl Iterator<Item = (PluginUse, &str)> {
        let interceptors =
            self.interceptor_classes.iter().map(|InterceptorClass::Wasm(name)| (PluginUse::Interceptor, name));
        let serializers =
            [(PluginUse::KeySerializer, &self.key_serializer), (PluginUse::ValueSerializer, &self.value_serializer)];
        let serializers = serializers.into_iter().filter_map(|(place, class)| match class {
            SerializerClass::Wasm(name) => Some((place, name)),
            _ => None,
        });
        let partitioner = match &self.partitioner_class {
            PartitionerClass::Wasm(name) => Some((PluginUse::Partitioner, name)),
            _ => None,
        };
        interceptors.chain(serializers).chain(partitioner).map(|(place, name)| (place, name.as_str()))
    }
}

impl TopicConfig {
    /// The tables of all `topics.PATTERN.…` entries, the most specific first, each with the places of its keys. Later
    /// entries override earlier ones.
    pub(super) fn read_all(
        entries: Vec<Entry>,
        producer: &ProducerConfig,
        problems: &mut Vec<Problem>,
    ) -> Vec<(TopicConfig, Values)> {
        let mut tables: BTreeMap<TopicPattern, Values> = BTreeMap::new();
        for entry in entries {
            let rest = entry.key.strip_prefix("topics.").unwrap_or_default();
            let known = topic_keys().find_map(|key| Some((key, rest.strip_suffix(key.name)?.strip_suffix('.')?)));
            let Some((key, pattern)) = known else {
                problems.push(unknown(&entry, rest));
                continue;
            };
            let pattern = match TopicPattern::parse(pattern) {
                Ok(pattern) => pattern,
                Err(what) => {
                    let problem = Problem::new(ProblemKind::InvalidValue, &entry.place, Some(&entry.key), what);
                    problems.push(
                        problem.help("write [topics.\"NAME\"], or [topics.\"BEGINNING*\"] for all that begin so"),
                    );
                    continue;
                }
            };
            match value::parse(key, &entry.raw) {
                Ok(value) => {
                    tables.entry(pattern).or_default().set.insert(key.name, (value, entry.place));
                }
                Err((what, help)) => {
                    let problem = Problem::new(ProblemKind::InvalidValue, &entry.place, Some(&entry.key), what);
                    problems.push(problem.help(help));
                }
            }
        }
        let mut topics: Vec<_> = tables
            .into_iter()
            .map(|(pattern, values)| TopicConfig::read(pattern, values, producer, problems))
            .collect();
        topics.sort_by_key(|(topic, _)| topic.pattern.rank());
        topics
    }

    fn read(
        pattern: TopicPattern,
        values: Values,
        producer: &ProducerConfig,
        problems: &mut Vec<Problem>,
    ) -> (TopicConfig, Values) {
        let mut own = Vec::new();
        let mut chain = producer.chain();
        if values.place("interceptor.classes").is_some() {
            chain.interceptor_classes = values.interceptors(&mut own);
        }
        if values.place("key.serializer").is_some() {
            chain.key_serializer = values.serializer("key.serializer", &mut own);
        }
        if values.place("value.serializer").is_some() {
            chain.value_serializer = values.serializer("value.serializer", &mut own);
        }
        if values.place("partitioner.class").is_some() {
            chain.partitioner_class = values.partitioner(&mut own);
        }
        problems.extend(
            own.into_iter()
                .map(|problem| Problem { key: problem.key.as_deref().map(|key| pattern.key(key)), ..problem }),
        );
        let settings = setting::settings(&values);
        (TopicConfig { pattern, chain, settings }, values)
    }
}

impl TopicPattern {
    /// Reads a topic's name, or a beginning with a star after it.
    fn parse(text: &str) -> Result<TopicPattern, String> {
        let (name, is_prefix) = match text.strip_suffix('*') {
            Some(beginning) => (beginning, true),
            None => (text, false),
        };
        if name.contains('*') {
            return Err(format!("{} has a star that is not its end", value::quote(text)));
        }
        let legal = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '_' | '-');
        if name.len() > 249 || !name.chars().all(legal) || name.is_empty() && !is_prefix {
            return Err(format!("{} is no topic's name", value::quote(text)));
        }
        Ok(if is_prefix { TopicPattern::Prefix(name.to_owned()) } else { TopicPattern::Exact(name.to_owned()) })
    }

    /// One of its table's keys with all that stands before it.
    pub fn key(&self, key: &str) -> String {
        format!("topics.{self}.{key}")
    }

    /// Names before beginnings, long ones before short ones.
    fn rank(&self) -> (bool, std::cmp::Reverse<usize>) {
        match self {
            TopicPattern::Exact(name) => (false, std::cmp::Reverse(name.len())),
            TopicPattern::Prefix(beginning) => (true, std::cmp::Reverse(beginning.len())),
        }
    }
}

impl fmt::Display for TopicPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TopicPattern::Exact(name) => f.write_str(name),
            TopicPattern::Prefix(beginning) => write!(f, "{beginning}*"),
        }
    }
}

/// The keys that a topic may have for itself.
pub fn topic_keys() -> impl Iterator<Item = &'static Key> {
    keys().iter().filter(|key| TOPIC_KEYS.contains(&key.name))
}

/// What is wrong with a key that no topic has; `rest` is what stands behind `topics.`.
fn unknown(entry: &Entry, rest: &str) -> Problem {
    let problem =
        |what: &str, help| Problem::new(ProblemKind::UnknownKey, &entry.place, Some(&entry.key), what).help(help);
    let all = TOPIC_KEYS.join(", ");
    let of_producer = keys().iter().filter(|key| rest.strip_suffix(key.name).is_some_and(|rest| rest.ends_with('.')));
    if let Some(key) = of_producer.max_by_key(|key| key.name.len()) {
        let help = format!("set {} in [producer]; a topic may have {all}", key.name);
        return problem("not a key that a topic may have for itself", help);
    }
    let last_two = rest.rmatch_indices('.').nth(1).map_or(rest, |(at, _)| &rest[at + 1..]);
    problem(
        "not a known key of a topic",
        match suggest::misspelt(last_two, TOPIC_KEYS.iter().copied()) {
            Some(meant) => format!("did you mean {meant}?"),
            None => format!("a topic, or a beginning and a star, may have {all}"),
        },
    )
}

/// Most lanes of all chains together.
pub(super) const LANES_MAX: usize = 1024;

const TOPIC_KEYS: [&str; 4] = ["interceptor.classes", "key.serializer", "value.serializer", "partitioner.class"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        assert_eq!(TopicPattern::parse("orders.eu"), Ok(TopicPattern::Exact("orders.eu".into())));
        assert_eq!(TopicPattern::parse("orders.*"), Ok(TopicPattern::Prefix("orders.".into())));
        assert_eq!(TopicPattern::parse("*"), Ok(TopicPattern::Prefix(String::new())));
        assert!(TopicPattern::parse("a*b").unwrap_err().contains("not its end"));
        for wrong in ["", "a b", "ö", &"x".repeat(250)] {
            assert!(TopicPattern::parse(wrong).unwrap_err().contains("no topic's name"), "{wrong}");
        }
    }
}
