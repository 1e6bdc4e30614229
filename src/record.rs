//! What goes in and what comes back: records and their metadata.

use crate::core::Completion;
use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

/// A header of a record (KIP-82). Names may repeat; a value may be null.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    /// Name.
    pub name: &'a str,
    /// Value.
    pub value: Option<&'a [u8]>,
}

impl<'a> Header<'a> {
    /// A header with a value.
    pub fn new(name: &'a str, value: &'a (impl AsRef<[u8]> + ?Sized)) -> Header<'a> {
        Header { name, value: Some(value.as_ref()) }
    }
}

/// A record to send. It borrows: `send` copies it once, into the batch that is being gathered.
///
/// ```
/// use pointsman::Record;
/// let record = Record::to("orders").key("bj-17").value(r#"{"sum": 12}"#);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Topic.
    pub topic: &'a str,
    /// `None` leaves the choice to the partitioner.
    pub partition: Option<i32>,
    /// Create time in milliseconds since the Unix epoch; `None` means when `send` was called.
    pub timestamp: Option<i64>,
    /// `None` is null.
    pub key: Option<&'a [u8]>,
    /// `None` is null: a tombstone.
    pub value: Option<&'a [u8]>,
    /// In order.
    pub headers: &'a [Header<'a>],
}

impl<'a> Record<'a> {
    /// A record with null key and null value.
    pub fn to(topic: &'a str) -> Record<'a> {
        Record { topic, partition: None, timestamp: None, key: None, value: None, headers: &[] }
    }

    /// With a key.
    #[must_use]
    pub fn key(mut self, key: &'a (impl AsRef<[u8]> + ?Sized)) -> Record<'a> {
        self.key = Some(key.as_ref());
        self
    }

    /// With a value.
    #[must_use]
    pub fn value(mut self, value: &'a (impl AsRef<[u8]> + ?Sized)) -> Record<'a> {
        self.value = Some(value.as_ref());
        self
    }

    /// To a partition of the caller's choice.
    #[must_use]
    pub fn partition(mut self, partition: i32) -> Record<'a> {
        self.partition = Some(partition);
        self
    }

    /// With a create time, milliseconds since the Unix epoch.
    #[must_use]
    pub fn timestamp(mut self, timestamp: i64) -> Record<'a> {
        self.timestamp = Some(timestamp);
        self
    }

    /// With headers.
    #[must_use]
    pub fn headers(mut self, headers: &'a [Header<'a>]) -> Record<'a> {
        self.headers = headers;
        self
    }
}

/// A partition of a topic, as [`crate::Producer::partitions_for`] tells of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PartitionInfo {
    /// Its number.
    pub partition: i32,
    /// The node id of its leader, if it has one now.
    pub leader: Option<i32>,
}

/// Where an acknowledged record stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordMetadata {
    /// Topic, after the interceptors.
    pub topic: TopicName,
    /// Partition.
    pub partition: i32,
    /// Absent with acks=0 and where the broker only said that it has the record already.
    pub offset: Option<i64>,
    /// Milliseconds since the Unix epoch: create time, or the broker's where the topic says log-append time.
    pub timestamp: i64,
    /// Bytes of the key as sent; `None` for null.
    pub serialized_key_size: Option<usize>,
    /// Bytes of the value as sent; `None` for null.
    pub serialized_value_size: Option<usize>,
}

/// The name of a topic, to be read as a `&str`. Of a record's metadata it is its batch's, so that it costs nothing to give
/// it out with each; whoever keeps it for long takes [`TopicName::to_shared`], which keeps no more than the name.
#[derive(Clone)]
pub struct TopicName(Arc<Completion>);

impl TopicName {
    #[inline(always)]
    pub(crate) fn of(batch: Arc<Completion>) -> TopicName {
        TopicName(batch)
    }

    /// The name, shared.
    pub fn to_shared(&self) -> Arc<str> {
        Arc::clone(self.0.topic())
    }
}

impl Deref for TopicName {
    type Target = str;

    fn deref(&self) -> &str {
        self.0.topic()
    }
}

impl AsRef<str> for TopicName {
    fn as_ref(&self) -> &str {
        self
    }
}

impl From<&str> for TopicName {
    fn from(name: &str) -> TopicName {
        TopicName(Completion::new(name.into(), -1, || true))
    }
}

impl PartialEq for TopicName {
    fn eq(&self, other: &TopicName) -> bool {
        **self == **other
    }
}

impl Eq for TopicName {}

impl PartialEq<str> for TopicName {
    fn eq(&self, other: &str) -> bool {
        **self == *other
    }
}

impl PartialEq<&str> for TopicName {
    fn eq(&self, other: &&str) -> bool {
        **self == **other
    }
}

impl PartialOrd for TopicName {
    fn partial_cmp(&self, other: &TopicName) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for TopicName {
    fn cmp(&self, other: &TopicName) -> Ordering {
        (**self).cmp(&**other)
    }
}

impl Hash for TopicName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

impl Borrow<str> for TopicName {
    fn borrow(&self) -> &str {
        self
    }
}

impl From<TopicName> for Arc<str> {
    fn from(name: TopicName) -> Arc<str> {
        name.to_shared()
    }
}

impl fmt::Display for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self)
    }
}

impl fmt::Debug for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

/// Kafka's rule for topic names.
///
/// # Errors
/// How the name breaks it, in words.
pub(crate) fn valid_topic(name: &str) -> Result<(), String> {
    let legal = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '_' | '-');
    if name.is_empty() || name == "." || name == ".." {
        return Err("not a topic name".to_owned());
    }
    if name.len() > 249 {
        return Err(format!("a topic name has at most 249 letters, this one {}", name.len()));
    }
    match name.chars().find(|letter| !legal(*letter)) {
        Some(letter) => Err(format!("{letter:?} cannot be in a topic name (letters, digits, '.', '_' and '-' can)")),
        None => Ok(()),
    }
}
