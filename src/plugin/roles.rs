//! The three roles a plugin can play, over batches of columns. A native plugin and a Wasm one implement the same
//! traits, so the chain does not know which is which.
//!
//! An implementation is used from one thread at a time. After an error other than a refusal, it makes itself usable
//! again before the next call (a Wasm one builds a fresh instance); the chain decides what becomes of the records.

use super::columns::{Column, ColumnRef, HeaderColumns, HeaderColumnsRef, TopicColumn, TopicColumnRef};
use super::failure::PluginFailure;
use std::ops::Range;

/// Fields of a record that a plugin reads or changes. Headers are asked for apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fields {
    /// The topic's name.
    pub topic: bool,
    /// The partition, −1 while it is not chosen.
    pub partition: bool,
    /// Create time, milliseconds since the Unix epoch.
    pub timestamp: bool,
    /// The key's bytes.
    pub key: bool,
    /// The value's bytes.
    pub value: bool,
}

/// Which headers a plugin reads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum HeaderReads {
    /// None; the batch carries no header columns.
    #[default]
    None,
    /// All of them.
    All,
    /// Those of these names.
    Named(Vec<String>),
}

/// What a hook wants to be given of each record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reads {
    /// Fields besides the headers.
    pub fields: Fields,
    /// Headers.
    pub headers: HeaderReads,
}

/// Some records on their way. A field that the plugin did not ask for is `None`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Batch<'a> {
    /// How many records.
    pub count: usize,
    /// Topics.
    pub topics: Option<TopicColumnRef<'a>>,
    /// −1: not chosen yet.
    pub partitions: Option<&'a [i32]>,
    /// Milliseconds since the Unix epoch; −1: not set.
    pub timestamps: Option<&'a [i64]>,
    /// Keys.
    pub keys: Option<ColumnRef<'a>>,
    /// Values.
    pub values: Option<ColumnRef<'a>>,
    /// Headers.
    pub headers: Option<HeaderColumnsRef<'a>>,
}

impl<'a> Batch<'a> {
    /// The records of a range.
    pub fn range(&self, range: Range<usize>) -> Batch<'a> {
        Batch {
            count: range.len(),
            topics: self.topics.map(|topics| topics.range(range.clone())),
            partitions: self.partitions.map(|partitions| &partitions[range.clone()]),
            timestamps: self.timestamps.map(|timestamps| &timestamps[range.clone()]),
            keys: self.keys.map(|keys| keys.range(range.clone())),
            values: self.values.map(|values| values.range(range.clone())),
            headers: self.headers.map(|headers| headers.range(range)),
        }
    }
}

/// A record that the plugin will not let through, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Index in the batch of the call.
    pub index: u32,
    /// For the application, in the plugin's words.
    pub reason: String,
}

/// What an interceptor asked for when it was configured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InterceptorWants {
    /// `None`: on-send is never called.
    pub on_send: Option<Reads>,
    /// What on-send may change, headers aside.
    pub changes: Fields,
    /// Whether on-acknowledgement is called.
    pub acknowledgements: bool,
}

/// New content for some records' field. Empty `indexes`: every record of the batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edit<T> {
    /// Ascending indexes in the batch, or empty for all.
    pub indexes: Vec<u32>,
    /// One entry per index (or per record).
    pub content: T,
}

/// Takes every header of one name off some records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderRemoval {
    /// The header's name.
    pub name: String,
    /// Ascending indexes in the batch, or empty for all.
    pub indexes: Vec<u32>,
}

/// What on-send changed; everything not named here stays as it was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edits {
    /// New topics.
    pub topics: Option<Edit<TopicColumn>>,
    /// New partitions; −1 leaves the choice to the partitioner.
    pub partitions: Option<Edit<Vec<i32>>>,
    /// New timestamps.
    pub timestamps: Option<Edit<Vec<i64>>>,
    /// New keys.
    pub keys: Option<Edit<Column>>,
    /// New values.
    pub values: Option<Edit<Column>>,
    /// Taken off first.
    pub removed_headers: Vec<HeaderRemoval>,
    /// Then appended to the headers that each record has.
    pub added_headers: Option<HeaderColumns>,
    /// One per record, or empty: comes back with the record's acknowledgement.
    pub tags: Vec<u64>,
    /// Left out on purpose: their deliveries complete as dropped.
    pub dropped: Vec<u32>,
    /// Refused records.
    pub refused: Vec<Refusal>,
}

/// Outcomes of records, as on-acknowledgement is told them. All columns have one entry per record.
#[derive(Clone, Copy, Debug, Default)]
pub struct Acknowledgements<'a> {
    /// How many records.
    pub count: usize,
    /// Topics.
    pub topics: TopicColumnRef<'a>,
    /// −1 where the record failed before it had one.
    pub partitions: &'a [i32],
    /// −1 where there is none.
    pub offsets: &'a [i64],
    /// −1 where there is none.
    pub timestamps: &'a [i64],
    /// 0: written; above, and −1: Kafka's error code; from −100 down: on the client's side (see the WIT).
    pub errors: &'a [i16],
    /// 0: written. 1: certainly not. 2: not known.
    pub fates: &'a [u8],
    /// What on-send left for each record; 0 where nothing.
    pub tags: &'a [u64],
}

impl<'a> Acknowledgements<'a> {
    /// The outcomes of a range of records.
    pub fn range(&self, range: Range<usize>) -> Acknowledgements<'a> {
        Acknowledgements {
            count: range.len(),
            topics: self.topics.range(range.clone()),
            partitions: &self.partitions[range.clone()],
            offsets: &self.offsets[range.clone()],
            timestamps: &self.timestamps[range.clone()],
            errors: &self.errors[range.clone()],
            fates: &self.fates[range.clone()],
            tags: &self.tags[range],
        }
    }
}

/// Runs first, before serialization; hears of every outcome. Kafka's `ProducerInterceptor` (KIP-42), in batches.
pub trait Interceptor: Send {
    /// What it asked for at configure.
    fn wants(&self) -> &InterceptorWants;

    /// Changes, drops or refuses records before they are serialized.
    ///
    /// # Errors
    /// A failure refuses the whole call; the plugin's policy decides what becomes of its records.
    fn on_send(&mut self, batch: &Batch<'_>) -> Result<Edits, PluginFailure>;

    /// Told once for every record that reached the interceptors. Nothing that happens here changes the outcome.
    ///
    /// # Errors
    /// For the log and the metrics only.
    fn on_acknowledgement(&mut self, acknowledgements: &Acknowledgements<'_>) -> Result<(), PluginFailure>;

    /// The last call.
    fn close(&mut self);
}

/// What a serializer returned: one payload per record, the refused ones too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Serialized {
    /// One per record.
    pub payloads: Column,
    /// Appended to the headers that each record has.
    pub added_headers: Option<HeaderColumns>,
    /// Refused records.
    pub refused: Vec<Refusal>,
}

/// Turns the application's keys or values into the bytes that go to the broker.
pub trait Serializer: Send {
    /// Which headers it reads.
    fn headers(&self) -> &HeaderReads;

    /// Serializes one side of a batch. A null stays null unless the plugin replaces it.
    ///
    /// # Errors
    /// A failure refuses the whole call.
    fn serialize(
        &mut self,
        topics: TopicColumnRef<'_>,
        payloads: ColumnRef<'_>,
        headers: Option<HeaderColumnsRef<'_>>,
    ) -> Result<Serialized, PluginFailure>;

    /// The last call.
    fn close(&mut self);
}

/// What a partitioner's answer follows from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Consistency {
    /// The record and the number of partitions alone.
    #[default]
    Keyed,
    /// Leaders and racks too.
    Located,
    /// State of its own; one instance sees every record.
    Free,
}

/// What a partitioner asked for when it was configured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartitionerWants {
    /// The topics come in any case.
    pub reads: Reads,
    /// What its answers follow from.
    pub consistency: Consistency,
}

/// A broker that leads some partition of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopologyBroker {
    /// Its id.
    pub id: i32,
    /// Its rack, where it has one.
    pub rack: Option<String>,
}

/// What a partitioner is told of a topic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Topology {
    /// The topic.
    pub topic: String,
    /// How many partitions it has.
    pub partitions: u32,
    /// The leader's broker id of partition `i`, −1 while it has none. Empty for a keyed plugin.
    pub leaders: Vec<i32>,
    /// Those that lead, each once. Empty for a keyed plugin.
    pub brokers: Vec<TopologyBroker>,
}

/// Where records go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placements {
    /// One per record. From 0 up, that partition; −1, the host's own choice; from −2 down, group `-2 - n`.
    pub targets: Vec<i32>,
    /// Refused records.
    pub refused: Vec<Refusal>,
}

/// Chooses the partition of every record that did not come with one.
pub trait Partitioner: Send {
    /// What it asked for at configure.
    fn wants(&self) -> &PartitionerWants;

    /// Before the first batch that holds a topic, and whenever what it tells changes. Returns the topic's groups,
    /// each a list of partitions.
    ///
    /// # Errors
    /// A failure here fails the records of that topic.
    fn on_topology(&mut self, topology: &Topology) -> Result<Vec<Vec<u32>>, PluginFailure>;

    /// Places a batch.
    ///
    /// # Errors
    /// A failure refuses the whole call.
    fn partition(&mut self, batch: &Batch<'_>) -> Result<Placements, PluginFailure>;

    /// The last answer broke a rule that only the caller could check: state that led to it is not to be used any more.
    fn broke_rule(&mut self) {}

    /// The last call.
    fn close(&mut self);
}

/// Makes instances of a plugin, one for each use and lane, and each already configured.
pub trait PluginFactory: Send + Sync {
    /// The name in the config file, or of the native plugin.
    fn name(&self) -> &str;

    /// An interceptor for a lane.
    ///
    /// # Errors
    /// The plugin has no such role, or does not start.
    fn interceptor(&self, lane: u32) -> Result<Box<dyn Interceptor>, PluginFailure>;

    /// A serializer for a lane and a side.
    ///
    /// # Errors
    /// The plugin has no such role, or does not start.
    fn serializer(&self, lane: u32, side: Side) -> Result<Box<dyn Serializer>, PluginFailure>;

    /// A partitioner for a lane.
    ///
    /// # Errors
    /// The plugin has no such role, or does not start.
    fn partitioner(&self, lane: u32) -> Result<Box<dyn Partitioner>, PluginFailure>;
}

/// Which payload a serializer serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// `key.serializer`.
    Key,
    /// `value.serializer`.
    Value,
}
