//! The interceptor's role: the trait, the edits, and the loops that run it over a batch.

use crate::bindings::interceptor_role as wit;
use crate::bindings::types::{Batch, Column, Refusal, TopicColumn};
use crate::columns::{self, HeaderBuilder};
use crate::host;
use crate::record::{Fields, Reads, Record, Topics};
use crate::settings::Settings;

/// Sees records before they are serialized, and what became of them.
pub trait Interceptor: Sized + 'static {
    /// Makes the plugin from its settings. The first call of an instance.
    ///
    /// # Errors
    /// In words for whoever wrote the config file. A setting that was not asked for here is an error by itself.
    fn configure(settings: &Settings) -> Result<Self, String>;

    /// Which hooks are called, what `on_send` reads and what it may change.
    fn wants(&self) -> InterceptorWants;

    /// A record on its way. Called for each record of a batch, in order. It may be called again for a record that
    /// was in a batch with one that made the plugin panic.
    fn on_send(&mut self, record: &Record<'_>, edit: &mut Edit<'_>) {
        let _ = (record, edit);
    }

    /// What became of a record. Nothing that happens here changes it.
    fn on_acknowledgement(&mut self, acknowledgement: &Acknowledgement<'_>) {
        let _ = acknowledgement;
    }

    /// The last call, unless the instance failed.
    fn close(&mut self) {}
}

/// What an interceptor asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InterceptorWants {
    on_send: Option<Reads>,
    changes: Fields,
    acknowledgements: bool,
}

impl InterceptorWants {
    /// No call at all; to be built upon.
    pub fn nothing() -> InterceptorWants {
        InterceptorWants::default()
    }

    /// `on_send`, with these fields of each record.
    pub fn on_send(mut self, reads: Reads) -> InterceptorWants {
        self.on_send = Some(reads);
        self
    }

    /// `on_send` sets these fields. Headers, tags, dropping and refusing need no permission.
    pub fn changes(mut self, fields: Fields) -> InterceptorWants {
        self.changes = self.changes | fields;
        self
    }

    /// `on_acknowledgement`.
    pub fn acknowledgements(mut self) -> InterceptorWants {
        self.acknowledgements = true;
        self
    }
}

/// What `on_send` does to one record. Where a field is set twice, the last counts.
pub struct Edit<'a> {
    edits: &'a mut Edits,
    index: u32,
}

impl Edit<'_> {
    /// Appends a header; `None` is null.
    #[inline]
    pub fn add_header(&mut self, name: &str, value: Option<&[u8]>) {
        self.edits.added_headers.add(self.index as usize, self.edits.count, name, value);
    }

    /// Takes every header of this name off that the record came with: not those added here.
    pub fn remove_header(&mut self, name: &str) {
        let removals = &mut self.edits.removed_headers;
        let at = removals.iter().position(|removal| removal.name == name).unwrap_or_else(|| {
            removals.push(wit::HeaderRemoval { name: name.to_owned(), indexes: Vec::with_capacity(self.edits.count) });
            removals.len() - 1
        });
        let indexes = &mut removals[at].indexes;
        if indexes.last() != Some(&self.index) {
            indexes.push(self.index);
        }
    }

    /// Takes every header of this name off that the record came with, and appends this one.
    pub fn replace_header(&mut self, name: &str, value: Option<&[u8]>) {
        self.remove_header(name);
        self.add_header(name, value);
    }

    /// Sets the topic.
    pub fn set_topic(&mut self, topic: &str) {
        self.check(Fields::TOPIC, "topic");
        let names = &mut self.edits.topics.content.names;
        let at = names.iter().rposition(|name| name == topic).unwrap_or_else(|| {
            names.push(topic.to_owned());
            names.len() - 1
        });
        if self.edits.topics.open(self.index) {
            self.edits.topics.content.indexes.pop();
        }
        self.edits.topics.content.indexes.push(at as u32);
    }

    /// Sets the partition; `None` leaves the choice to the partitioner.
    pub fn set_partition(&mut self, partition: Option<u32>) {
        self.check(Fields::PARTITION, "partition");
        if self.edits.partitions.open(self.index) {
            self.edits.partitions.content.pop();
        }
        let partition = partition.map_or(-1, |partition| i32::try_from(partition).expect("partitions are below 2^31"));
        self.edits.partitions.content.push(partition);
    }

    /// Sets the timestamp, in milliseconds since the Unix epoch.
    pub fn set_timestamp(&mut self, timestamp: i64) {
        self.check(Fields::TIMESTAMP, "timestamp");
        if self.edits.timestamps.open(self.index) {
            self.edits.timestamps.content.pop();
        }
        self.edits.timestamps.content.push(timestamp);
    }

    /// Sets the key; `None` is null.
    pub fn set_key(&mut self, key: Option<&[u8]>) {
        self.check(Fields::KEY, "key");
        self.edits.keys.set(self.index, key);
    }

    /// Sets the value; `None` is null, a tombstone.
    pub fn set_value(&mut self, value: Option<&[u8]>) {
        self.check(Fields::VALUE, "value");
        self.edits.values.set(self.index, value);
    }

    /// Leaves a number with the record, which its acknowledgement brings back, perhaps to another instance of this
    /// plugin: so let it mean something by itself, a time or a hash. 0 is the same as none.
    #[inline]
    pub fn set_tag(&mut self, tag: u64) {
        if self.edits.tags.is_empty() {
            self.edits.tags = vec![0; self.edits.count];
        }
        self.edits.tags[self.index as usize] = tag;
    }

    /// Leaves the record out, on purpose: its delivery completes as dropped.
    pub fn drop_record(&mut self) {
        if self.edits.dropped.last() != Some(&self.index) {
            self.edits.dropped.push(self.index);
        }
    }

    /// Does not let the record through, and says why. The plugin's `on-error` in the config decides what follows.
    pub fn refuse(&mut self, reason: impl Into<String>) {
        if self.edits.refused.last().is_none_or(|last| last.index != self.index) {
            self.edits.refused.push(Refusal { index: self.index, reason: reason.into() });
        }
    }

    #[inline]
    fn check(&self, field: Fields, name: &str) {
        if !self.edits.changes.contains(field) {
            not_declared(name);
        }
    }
}

/// A record's fate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is in the log.
    Written,
    /// It is certainly not in the log.
    NotWritten,
    /// It may be in the log.
    Unknown,
}

/// What became of one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acknowledgement<'a> {
    topic: &'a str,
    partition: i32,
    offset: i64,
    timestamp: i64,
    error: i16,
    fate: u8,
    tag: u64,
}

impl<'a> Acknowledgement<'a> {
    /// [`error`](Acknowledgement::error) of a record that an interceptor dropped.
    pub const DROPPED: i16 = -101;

    /// The topic it was for.
    pub fn topic(&self) -> &'a str {
        self.topic
    }

    /// The partition; `None` where it failed before it had one.
    pub fn partition(&self) -> Option<u32> {
        u32::try_from(self.partition).ok()
    }

    /// Its place in the log, where that is known.
    pub fn offset(&self) -> Option<i64> {
        (self.offset >= 0).then_some(self.offset)
    }

    /// The timestamp that it has in the log, milliseconds since the Unix epoch.
    pub fn timestamp(&self) -> Option<i64> {
        (self.timestamp != -1).then_some(self.timestamp)
    }

    /// Whether it was written without an error.
    #[inline]
    pub fn is_written(&self) -> bool {
        self.error == 0
    }

    /// 0: none. Above, and -1: Kafka's code. From -100 down: the producer's own, see the contract.
    #[inline]
    pub fn error(&self) -> i16 {
        self.error
    }

    /// Whether it is in the log.
    pub fn fate(&self) -> Fate {
        match self.fate {
            0 => Fate::Written,
            1 => Fate::NotWritten,
            // The contract leaves the numbers open; whatever else there comes is at least not known here.
            _ => Fate::Unknown,
        }
    }

    /// What `on_send` left with it; `None` where that was nothing.
    #[inline]
    pub fn tag(&self) -> Option<u64> {
        (self.tag != 0).then_some(self.tag)
    }
}

/// The edits of a batch while they are made.
struct Edits {
    count: usize,
    changes: Fields,
    topics: FieldEdit<TopicColumn>,
    partitions: FieldEdit<Vec<i32>>,
    timestamps: FieldEdit<Vec<i64>>,
    keys: FieldEdit<Column>,
    values: FieldEdit<Column>,
    removed_headers: Vec<wit::HeaderRemoval>,
    added_headers: HeaderBuilder,
    tags: Vec<u64>,
    dropped: Vec<u32>,
    refused: Vec<Refusal>,
}

struct FieldEdit<T> {
    indexes: Vec<u32>,
    content: T,
}

impl<T> FieldEdit<T> {
    fn new(content: T) -> FieldEdit<T> {
        FieldEdit { indexes: Vec::new(), content }
    }

    /// Makes room for the record's entry. True if it has one already, which the caller takes off.
    fn open(&mut self, index: u32) -> bool {
        let again = self.indexes.last() == Some(&index);
        if !again {
            self.indexes.push(index);
        }
        again
    }

    fn finish(self, count: usize) -> Option<(Vec<u32>, T)> {
        (!self.indexes.is_empty()).then(|| (all_as_empty(self.indexes, count), self.content))
    }
}

impl FieldEdit<Column> {
    fn set(&mut self, index: u32, entry: Option<&[u8]>) {
        if self.open(index) {
            columns::pop(&mut self.content);
        }
        columns::push(&mut self.content, entry);
    }
}

impl Edits {
    fn new(count: usize, changes: Fields) -> Edits {
        Edits {
            count,
            changes,
            topics: FieldEdit::new(TopicColumn { names: Vec::new(), indexes: Vec::new() }),
            partitions: FieldEdit::new(Vec::new()),
            timestamps: FieldEdit::new(Vec::new()),
            keys: FieldEdit::new(columns::new_column(0, 0)),
            values: FieldEdit::new(columns::new_column(0, 0)),
            removed_headers: Vec::new(),
            added_headers: HeaderBuilder::default(),
            tags: Vec::new(),
            dropped: Vec::new(),
            refused: Vec::new(),
        }
    }

    fn finish(mut self) -> wit::Edits {
        let count = self.count;
        for removal in &mut self.removed_headers {
            removal.indexes = all_as_empty(std::mem::take(&mut removal.indexes), count);
        }
        wit::Edits {
            topics: self.topics.finish(count).map(|(indexes, topics)| wit::TopicEdit { indexes, topics }),
            partitions: self
                .partitions
                .finish(count)
                .map(|(indexes, partitions)| wit::PartitionEdit { indexes, partitions }),
            timestamps: self
                .timestamps
                .finish(count)
                .map(|(indexes, timestamps)| wit::TimestampEdit { indexes, timestamps }),
            keys: self.keys.finish(count).map(|(indexes, column)| wit::ColumnEdit { indexes, column }),
            values: self.values.finish(count).map(|(indexes, column)| wit::ColumnEdit { indexes, column }),
            removed_headers: self.removed_headers,
            added_headers: self.added_headers.finish(),
            tags: self.tags,
            dropped: self.dropped,
            refused: self.refused,
        }
    }
}

/// Ascending indexes that name every record are left out: that is what an empty list says.
fn all_as_empty(indexes: Vec<u32>, count: usize) -> Vec<u32> {
    if indexes.len() == count { Vec::new() } else { indexes }
}

#[cold]
#[inline(never)]
fn not_declared(field: &str) -> ! {
    panic!("the plugin sets the {field}, which its `wants` does not name among the changes")
}

/// Runs an interceptor over batches. What [`export!`](crate::export) and [`testing`](crate::testing) have in common.
#[doc(hidden)]
pub struct InterceptorRunner<I> {
    plugin: I,
    given: Fields,
    changes: Fields,
}

impl<I: Interceptor> InterceptorRunner<I> {
    #[doc(hidden)]
    pub fn configure(settings: Vec<(String, String)>) -> Result<(InterceptorRunner<I>, wit::Wants), String> {
        let plugin = host::call(|| Settings::configure(settings, I::configure))?;
        let InterceptorWants { on_send, changes, acknowledgements } = plugin.wants();
        let given = on_send.as_ref().map_or(Fields::NONE, Reads::given);
        let wants = wit::Wants { on_send: on_send.map(Reads::into_wit), changes: changes.to_wit(), acknowledgements };
        Ok((InterceptorRunner { plugin, given, changes }, wants))
    }

    #[doc(hidden)]
    pub fn on_send(&mut self, batch: Batch) -> Result<wit::Edits, String> {
        let count = batch.count as usize;
        let mut record = Record::first(&batch, self.given)?;
        let mut edits = Edits::new(count, self.changes);
        host::call(|| {
            for index in 0..count {
                self.plugin.on_send(&record, &mut Edit { edits: &mut edits, index: index as u32 });
                record.advance();
            }
        });
        Ok(edits.finish())
    }

    #[doc(hidden)]
    pub fn on_acknowledgement(&mut self, batch: wit::Acknowledgements) {
        let topics = Topics::new(&batch.topics);
        host::call(|| {
            for index in 0..batch.count as usize {
                self.plugin.on_acknowledgement(&Acknowledgement {
                    topic: topics.name(index),
                    partition: batch.partitions[index],
                    offset: batch.offsets[index],
                    timestamp: batch.timestamps[index],
                    error: batch.errors[index],
                    fate: batch.fates[index],
                    tag: batch.tags[index],
                });
            }
        });
    }

    #[doc(hidden)]
    pub fn close(&mut self) {
        host::call(|| self.plugin.close());
    }
}
