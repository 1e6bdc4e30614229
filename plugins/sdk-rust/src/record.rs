//! A record as a hook sees it: borrowed from the batch's columns, nothing allocated.

use crate::bindings::types::{self, Batch};
use crate::columns::ColumnCursor;
use std::fmt;
use std::ops::BitOr;

/// A set of a record's fields. Headers are asked for apart, by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fields(u8);

impl Fields {
    /// No field.
    pub const NONE: Fields = Fields(0);
    /// The topic's name.
    pub const TOPIC: Fields = Fields(1);
    /// The partition, as far as it is chosen.
    pub const PARTITION: Fields = Fields(1 << 1);
    /// The record's timestamp.
    pub const TIMESTAMP: Fields = Fields(1 << 2);
    /// The key's bytes.
    pub const KEY: Fields = Fields(1 << 3);
    /// The value's bytes.
    pub const VALUE: Fields = Fields(1 << 4);
    const HEADERS: Fields = Fields(1 << 5);

    /// Whether every field of `other` is in this set.
    #[inline]
    pub const fn contains(self, other: Fields) -> bool {
        self.0 & other.0 == other.0
    }

    pub(crate) fn to_wit(self) -> types::Fields {
        types::Fields::from_bits_truncate(self.0)
    }
}

impl BitOr for Fields {
    type Output = Fields;

    fn bitor(self, other: Fields) -> Fields {
        Fields(self.0 | other.0)
    }
}

/// What a hook wants to be given of each record. Nothing else is copied to the plugin, so ask for no more than you read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reads {
    fields: Fields,
    headers: Option<Vec<String>>,
}

impl Reads {
    /// Nothing: how many records there are, and for a partitioner their topics.
    pub fn nothing() -> Reads {
        Reads::default()
    }

    /// These fields, and no headers.
    pub fn of(fields: Fields) -> Reads {
        Reads { fields, headers: None }
    }

    /// These fields too.
    pub fn and(mut self, fields: Fields) -> Reads {
        self.fields = self.fields | fields;
        self
    }

    /// The headers of this name too. Calls add up.
    pub fn header(mut self, name: impl Into<String>) -> Reads {
        match &mut self.headers {
            // An empty list already means all.
            Some(names) if names.is_empty() => {}
            Some(names) => names.push(name.into()),
            None => self.headers = Some(vec![name.into()]),
        }
        self
    }

    /// Every header.
    pub fn all_headers(mut self) -> Reads {
        self.headers = Some(Vec::new());
        self
    }

    pub(crate) fn given(&self) -> Fields {
        if self.headers.is_some() { self.fields | Fields::HEADERS } else { self.fields }
    }

    pub(crate) fn into_wit(self) -> types::Reads {
        types::Reads { fields: self.fields.to_wit(), headers: self.headers }
    }
}

/// One record of a batch.
///
/// Reading a field that `wants` did not ask for is a mistake in the plugin, not a null: it panics and says so.
#[derive(Clone, Copy)]
pub struct Record<'a> {
    given: Fields,
    topic: &'a str,
    partition: i32,
    timestamp: i64,
    key: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
    headers: Headers<'a>,
}

impl<'a> Record<'a> {
    /// The topic. A partitioner may always ask.
    #[inline]
    pub fn topic(&self) -> &'a str {
        self.check(Fields::TOPIC, "topic");
        self.topic
    }

    /// The partition; `None` while it is not chosen.
    #[inline]
    pub fn partition(&self) -> Option<u32> {
        self.check(Fields::PARTITION, "partition");
        u32::try_from(self.partition).ok()
    }

    /// Milliseconds since the Unix epoch; `None` where the application set none.
    #[inline]
    pub fn timestamp(&self) -> Option<i64> {
        self.check(Fields::TIMESTAMP, "timestamp");
        (self.timestamp != -1).then_some(self.timestamp)
    }

    /// The key's bytes; `None` is null.
    #[inline]
    pub fn key(&self) -> Option<&'a [u8]> {
        self.check(Fields::KEY, "key");
        self.key
    }

    /// The value's bytes; `None` is null, a tombstone.
    #[inline]
    pub fn value(&self) -> Option<&'a [u8]> {
        self.check(Fields::VALUE, "value");
        self.value
    }

    /// The headers that `wants` asked for, in their order.
    #[inline]
    pub fn headers(&self) -> Headers<'a> {
        self.check(Fields::HEADERS, "headers");
        self.headers
    }

    /// The last header of this name, as Kafka's `lastHeader`.
    #[inline]
    pub fn header(&self, name: &str) -> Option<Header<'a>> {
        self.headers().last(name)
    }

    #[inline]
    fn check(&self, field: Fields, name: &str) {
        if !self.given.contains(field) {
            not_asked_for(name);
        }
    }
}

impl fmt::Debug for Record<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("topic", &self.topic)
            .field("partition", &self.partition)
            .field("timestamp", &self.timestamp)
            .field("key", &self.key.map(<[u8]>::escape_ascii))
            .field("value", &self.value.map(<[u8]>::escape_ascii))
            .field("headers", &self.headers)
            .finish()
    }
}

/// A header of a record.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Header<'a> {
    /// UTF-8.
    pub name: &'a [u8],
    /// `None` is null.
    pub value: Option<&'a [u8]>,
}

impl fmt::Debug for Header<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}=", self.name.escape_ascii())?;
        match self.value {
            Some(value) => write!(f, "{}", value.escape_ascii()),
            None => f.write_str("null"),
        }
    }
}

/// The headers of one record.
#[derive(Clone, Copy)]
pub struct Headers<'a> {
    names: ColumnCursor<'a>,
    values: ColumnCursor<'a>,
}

impl<'a> Headers<'a> {
    /// How many.
    #[inline]
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there is none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The last of this name.
    #[inline]
    pub fn last(&self, name: &str) -> Option<Header<'a>> {
        let mut found = None;
        for header in *self {
            if header.name == name.as_bytes() {
                found = Some(header);
            }
        }
        found
    }
}

impl<'a> IntoIterator for Headers<'a> {
    type Item = Header<'a>;
    type IntoIter = HeaderIter<'a>;

    #[inline]
    fn into_iter(self) -> HeaderIter<'a> {
        HeaderIter(self)
    }
}

impl fmt::Debug for Headers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(*self).finish()
    }
}

/// Iterator over a record's headers.
#[derive(Clone, Copy, Debug)]
pub struct HeaderIter<'a>(Headers<'a>);

impl<'a> Iterator for HeaderIter<'a> {
    type Item = Header<'a>;

    #[inline]
    fn next(&mut self) -> Option<Header<'a>> {
        if self.0.is_empty() {
            return None;
        }
        let name = self.0.names.next().unwrap_or_default();
        Some(Header { name, value: self.0.values.next() })
    }
}

/// Walks a batch, record by record.
pub(crate) struct Rows<'a> {
    given: Fields,
    topics: Option<Topics<'a>>,
    partitions: Option<&'a [i32]>,
    timestamps: Option<&'a [i64]>,
    keys: Option<ColumnCursor<'a>>,
    values: Option<ColumnCursor<'a>>,
    headers: Option<HeaderCursor<'a>>,
}

impl<'a> Rows<'a> {
    /// `given` is what the plugin asked for: a column that is there anyhow is not shown.
    pub(crate) fn new(batch: &'a Batch, given: Fields) -> Rows<'a> {
        Rows {
            given,
            topics: batch.topics.as_ref().map(Topics::new),
            partitions: batch.partitions.as_deref(),
            timestamps: batch.timestamps.as_deref(),
            keys: batch.keys.as_ref().map(ColumnCursor::new),
            values: batch.values.as_ref().map(ColumnCursor::new),
            headers: batch.headers.as_ref().map(HeaderCursor::new),
        }
    }

    /// The record at `index`: to be called once for each, in order.
    #[inline]
    pub(crate) fn next(&mut self, index: usize) -> Record<'a> {
        Record {
            given: self.given,
            topic: self.topics.map_or("", |topics| topics.name(index)),
            partition: self.partitions.map_or(-1, |partitions| partitions[index]),
            timestamp: self.timestamps.map_or(-1, |timestamps| timestamps[index]),
            key: self.keys.as_mut().and_then(ColumnCursor::next),
            value: self.values.as_mut().and_then(ColumnCursor::next),
            headers: self.headers.as_mut().map_or(Headers::NONE, |headers| headers.next(index)),
        }
    }
}

impl Headers<'_> {
    pub(crate) const NONE: Headers<'static> = Headers { names: ColumnCursor::EMPTY, values: ColumnCursor::EMPTY };
}

/// The topics of a call.
#[derive(Clone, Copy)]
pub(crate) struct Topics<'a> {
    names: &'a [String],
    indexes: &'a [u32],
}

impl<'a> Topics<'a> {
    pub(crate) fn new(column: &'a types::TopicColumn) -> Topics<'a> {
        Topics { names: &column.names, indexes: &column.indexes }
    }

    /// Which of the names the record at `index` belongs to.
    #[inline]
    pub(crate) fn index(&self, index: usize) -> usize {
        if self.indexes.is_empty() { 0 } else { self.indexes[index] as usize }
    }

    #[inline]
    pub(crate) fn name(&self, index: usize) -> &'a str {
        &self.names[self.index(index)]
    }
}

/// Walks header columns, record by record.
#[derive(Clone, Copy)]
pub(crate) struct HeaderCursor<'a> {
    counts: &'a [u32],
    names: ColumnCursor<'a>,
    values: ColumnCursor<'a>,
}

impl<'a> HeaderCursor<'a> {
    pub(crate) fn new(columns: &'a types::HeaderColumns) -> HeaderCursor<'a> {
        HeaderCursor {
            counts: &columns.counts,
            names: ColumnCursor::new(&columns.names),
            values: ColumnCursor::new(&columns.values),
        }
    }

    #[inline]
    pub(crate) fn next(&mut self, index: usize) -> Headers<'a> {
        match self.counts[index] as usize {
            0 => Headers::NONE,
            count => Headers { names: self.names.take(count), values: self.values.take(count) },
        }
    }
}

#[cold]
#[inline(never)]
fn not_asked_for(field: &str) -> ! {
    panic!("the plugin reads the {field}, which its `wants` does not ask for")
}
