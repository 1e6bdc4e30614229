//! What comes back: where records stand, and of which topics.

use crate::core::Completion;
use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

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
