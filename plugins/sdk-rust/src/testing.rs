//! Runs a plugin natively, in `cargo test`: through the same loops and columns as in the producer, so that a plugin
//! gets the fields that it asked for and no others, and its edits arrive as they would there.
//!
//! ```
//! use pointsman_plugin::testing::{PartitionerTest, TestRecord};
//! use pointsman_plugin::{Partitioner, PartitionerWants, Placement, Fields, Reads, Record, Settings, Topology};
//!
//! struct Last;
//!
//! impl Partitioner for Last {
//!     fn configure(_: &Settings) -> Result<Last, String> {
//!         Ok(Last)
//!     }
//!     fn wants(&self) -> PartitionerWants {
//!         PartitionerWants::keyed(Reads::of(Fields::KEY))
//!     }
//!     fn partition(&mut self, record: &Record<'_>, topology: &Topology) -> Placement {
//!         match record.key() {
//!             Some(b"last") => Placement::Partition(topology.partitions - 1),
//!             _ => Placement::Default,
//!         }
//!     }
//! }
//!
//! let mut test = PartitionerTest::<Last>::configure(&[]).unwrap();
//! test.topology("orders", 6).unwrap();
//! let placed = test.partition(&[TestRecord::new("orders").key("last"), TestRecord::new("orders")]);
//! assert_eq!(placed.unwrap(), [Placement::Partition(5), Placement::Default]);
//! ```

use crate::bindings::{interceptor_role, partitioner_role, serializer_role, types};
use crate::columns::{self, ColumnCursor, HeaderBuilder};
use crate::interceptor::{Fate, Interceptor, InterceptorRunner};
use crate::partitioner::{Groups, Partitioner, PartitionerRunner, Placement, Topology};
use crate::record::HeaderRows;
use crate::serializer::{Serializer, SerializerRunner, Side};

pub(crate) mod host;

pub use host::{logs, metric_value, metric_values, set_now, set_plugin_name, set_random_seed};

/// A record to try a plugin with, or one as a plugin left it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestRecord {
    /// The topic.
    pub topic: String,
    /// The partition, if it is chosen.
    pub partition: Option<u32>,
    /// Milliseconds since the Unix epoch, if it is set.
    pub timestamp: Option<i64>,
    /// The key.
    pub key: Option<Vec<u8>>,
    /// The value.
    pub value: Option<Vec<u8>>,
    /// The headers.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

impl TestRecord {
    /// A record with nothing but its topic.
    pub fn new(topic: &str) -> TestRecord {
        TestRecord {
            topic: topic.to_owned(),
            partition: None,
            timestamp: None,
            key: None,
            value: None,
            headers: Vec::new(),
        }
    }

    /// With a key.
    pub fn key(mut self, key: impl Into<Vec<u8>>) -> TestRecord {
        self.key = Some(key.into());
        self
    }

    /// With a value.
    pub fn value(mut self, value: impl Into<Vec<u8>>) -> TestRecord {
        self.value = Some(value.into());
        self
    }

    /// With one header more.
    pub fn header(mut self, name: &str, value: impl Into<Vec<u8>>) -> TestRecord {
        self.headers.push((name.to_owned(), Some(value.into())));
        self
    }

    /// With a partition.
    pub fn partition(mut self, partition: u32) -> TestRecord {
        self.partition = Some(partition);
        self
    }

    /// With a timestamp, in milliseconds since the Unix epoch.
    pub fn timestamp(mut self, timestamp: i64) -> TestRecord {
        self.timestamp = Some(timestamp);
        self
    }

    /// The last header of a name, if it is there and not null.
    pub fn header_value(&self, name: &str) -> Option<&[u8]> {
        self.headers.iter().rfind(|(header, _)| header == name).and_then(|(_, value)| value.as_deref())
    }
}

/// A configured partitioner.
pub struct PartitionerTest<P> {
    runner: PartitionerRunner<P>,
    wants: partitioner_role::Wants,
}

impl<P: Partitioner> PartitionerTest<P> {
    /// Configures it.
    ///
    /// # Errors
    /// The plugin's own.
    pub fn configure(settings: &[(&str, &str)]) -> Result<PartitionerTest<P>, String> {
        let (runner, wants) = PartitionerRunner::configure(owned(settings))?;
        Ok(PartitionerTest { runner, wants })
    }

    /// Tells it of a topic with so many partitions, and of no brokers.
    ///
    /// # Errors
    /// The plugin's own.
    pub fn topology(&mut self, topic: &str, partitions: u32) -> Result<Groups, String> {
        self.full_topology(&Topology { topic: topic.to_owned(), partitions, ..Topology::default() })
    }

    /// Tells it of a topic and where its leaders are.
    ///
    /// # Errors
    /// The plugin's own.
    pub fn full_topology(&mut self, topology: &Topology) -> Result<Groups, String> {
        let brokers = topology.brokers.iter();
        self.runner.on_topology(partitioner_role::Topology {
            topic: topology.topic.clone(),
            partitions: topology.partitions,
            leaders: topology.leaders.iter().map(|leader| leader.unwrap_or(-1)).collect(),
            brokers: brokers
                .map(|broker| partitioner_role::Broker { id: broker.id, rack: broker.rack.clone() })
                .collect(),
        })
    }

    /// Places records, as one batch.
    ///
    /// # Errors
    /// If the topic of one is not known yet.
    pub fn partition(&mut self, records: &[TestRecord]) -> Result<Vec<Placement>, String> {
        let mut reads = self.wants.reads.clone();
        reads.fields |= types::Fields::TOPIC;
        let placements = self.runner.partition(batch(records, &reads))?;
        assert_eq!(placements.targets.len(), records.len());
        let mut placed: Vec<_> = placements
            .targets
            .into_iter()
            .map(|target| match target {
                0.. => Placement::Partition(target as u32),
                -1 => Placement::Default,
                ..-1 => Placement::Group((-2 - target) as usize),
            })
            .collect();
        for refusal in placements.refused {
            placed[refusal.index as usize] = Placement::Refuse(refusal.reason);
        }
        Ok(placed)
    }
}

/// What an interceptor did with a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sent {
    /// It goes on, as the plugin left it, with its tag.
    On {
        /// The record with all edits.
        record: TestRecord,
        /// What its acknowledgement will bring back.
        tag: u64,
    },
    /// Dropped on purpose.
    Dropped,
    /// Refused, for this reason.
    Refused(String),
}

impl Sent {
    /// The record.
    ///
    /// # Panics
    /// If it does not go on.
    pub fn record(&self) -> &TestRecord {
        match self {
            Sent::On { record, .. } => record,
            other => panic!("the record did not go on: {other:?}"),
        }
    }

    /// The tag.
    ///
    /// # Panics
    /// If the record does not go on.
    pub fn tag(&self) -> u64 {
        match self {
            Sent::On { tag, .. } => *tag,
            other => panic!("the record did not go on: {other:?}"),
        }
    }
}

/// What became of a record, to tell an interceptor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestAcknowledgement {
    /// The topic.
    pub topic: String,
    /// The partition, if it had one.
    pub partition: Option<u32>,
    /// The offset, if it is known.
    pub offset: Option<i64>,
    /// The timestamp in the log, if there is one.
    pub timestamp: Option<i64>,
    /// 0, Kafka's error code, or the producer's own from −100 down.
    pub error: i16,
    /// Whether it is in the log.
    pub fate: Fate,
    /// What `on_send` left; 0 for nothing.
    pub tag: u64,
}

impl TestAcknowledgement {
    /// Of a record that was written.
    pub fn written(topic: &str, partition: u32, offset: i64, tag: u64) -> TestAcknowledgement {
        TestAcknowledgement {
            topic: topic.to_owned(),
            partition: Some(partition),
            offset: Some(offset),
            timestamp: Some(0),
            error: 0,
            fate: Fate::Written,
            tag,
        }
    }

    /// Of a record that was certainly not written.
    pub fn failed(topic: &str, error: i16, tag: u64) -> TestAcknowledgement {
        TestAcknowledgement {
            topic: topic.to_owned(),
            partition: None,
            offset: None,
            timestamp: None,
            error,
            fate: Fate::NotWritten,
            tag,
        }
    }
}

/// A configured interceptor.
pub struct InterceptorTest<I> {
    runner: InterceptorRunner<I>,
    wants: interceptor_role::Wants,
}

impl<I: Interceptor> InterceptorTest<I> {
    /// Configures it.
    ///
    /// # Errors
    /// The plugin's own.
    pub fn configure(settings: &[(&str, &str)]) -> Result<InterceptorTest<I>, String> {
        let (runner, wants) = InterceptorRunner::configure(owned(settings))?;
        Ok(InterceptorTest { runner, wants })
    }

    /// Sends records through `on_send`, as one batch. Where the plugin does not want that hook they come back as
    /// they are.
    ///
    /// # Errors
    /// The plugin's own.
    pub fn send(&mut self, records: &[TestRecord]) -> Result<Vec<Sent>, String> {
        let untouched = records.iter().map(|record| (record.clone(), 0));
        let Some(reads) = &self.wants.on_send else {
            return Ok(untouched.map(|(record, tag)| Sent::On { record, tag }).collect());
        };
        let edits = self.runner.on_send(batch(records, reads))?;
        Ok(apply(records, edits))
    }

    /// Tells the plugin of acknowledgements, as one batch. Nothing happens where it does not want them.
    pub fn acknowledge(&mut self, acknowledgements: &[TestAcknowledgement]) {
        if !self.wants.acknowledgements {
            return;
        }
        let all = acknowledgements.iter();
        self.runner.on_acknowledgement(interceptor_role::Acknowledgements {
            count: acknowledgements.len() as u32,
            topics: topic_column(all.clone().map(|one| one.topic.as_str())),
            partitions: all.clone().map(|one| one.partition.map_or(-1, |partition| partition as i32)).collect(),
            offsets: all.clone().map(|one| one.offset.unwrap_or(-1)).collect(),
            timestamps: all.clone().map(|one| one.timestamp.unwrap_or(-1)).collect(),
            errors: all.clone().map(|one| one.error).collect(),
            fates: all.clone().map(|one| one.fate as u8).collect(),
            tags: all.map(|one| one.tag).collect(),
        });
    }
}

/// What a serializer made of a payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Serialized {
    /// The bytes for the broker.
    pub payload: Option<Vec<u8>>,
    /// Headers that it added.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

/// A configured serializer.
pub struct SerializerTest<S> {
    runner: SerializerRunner<S>,
    wants: serializer_role::Wants,
    side: Side,
}

impl<S: Serializer> SerializerTest<S> {
    /// Configures it for one side.
    ///
    /// # Errors
    /// The plugin's own.
    pub fn configure(side: Side, settings: &[(&str, &str)]) -> Result<SerializerTest<S>, String> {
        let wit_side = match side {
            Side::Key => serializer_role::Side::Key,
            Side::Value => serializer_role::Side::Value,
        };
        let (runner, wants) = SerializerRunner::configure(wit_side, owned(settings))?;
        Ok(SerializerTest { runner, wants, side })
    }

    /// Serializes the records' keys or values, as one batch. A refused record is an `Err` with the reason.
    ///
    /// # Errors
    /// The plugin's own, for the whole call.
    pub fn serialize(&mut self, records: &[TestRecord]) -> Result<Vec<Result<Serialized, String>>, String> {
        let payloads = column(records.iter().map(|record| match self.side {
            Side::Key => record.key.as_deref(),
            Side::Value => record.value.as_deref(),
        }));
        let topics = topic_column(records.iter().map(|record| record.topic.as_str()));
        let headers = header_columns(records, &self.wants.headers);
        let answer = self.runner.serialize(topics, payloads, headers)?;
        let mut payloads = ColumnCursor::new(&answer.payloads);
        let mut added = answer.added_headers.as_ref().map_or(HeaderRows::NONE, HeaderRows::new);
        let mut results: Vec<_> = (0..records.len())
            .map(|index| {
                let payload = payloads.next().map(<[u8]>::to_vec);
                let headers = added.of(index).into_iter().map(owned_header);
                added.pass(index);
                Ok(Serialized { payload, headers: headers.collect() })
            })
            .collect();
        for refusal in answer.refused {
            results[refusal.index as usize] = Err(refusal.reason);
        }
        Ok(results)
    }
}

fn owned(settings: &[(&str, &str)]) -> Vec<(String, String)> {
    settings.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn owned_header(header: crate::Header<'_>) -> (String, Option<Vec<u8>>) {
    (String::from_utf8_lossy(header.name).into_owned(), header.value.map(<[u8]>::to_vec))
}

/// The columns that were asked for, as the producer would make them.
fn batch(records: &[TestRecord], reads: &types::Reads) -> types::Batch {
    let rows = records.iter();
    let reads_field = |field| reads.fields.contains(field);
    types::Batch {
        count: records.len() as u32,
        topics: reads_field(types::Fields::TOPIC)
            .then(|| topic_column(rows.clone().map(|record| record.topic.as_str()))),
        partitions: reads_field(types::Fields::PARTITION)
            .then(|| rows.clone().map(|record| record.partition.map_or(-1, |partition| partition as i32)).collect()),
        timestamps: reads_field(types::Fields::TIMESTAMP)
            .then(|| rows.clone().map(|record| record.timestamp.unwrap_or(-1)).collect()),
        keys: reads_field(types::Fields::KEY).then(|| column(rows.clone().map(|record| record.key.as_deref()))),
        values: reads_field(types::Fields::VALUE).then(|| column(rows.map(|record| record.value.as_deref()))),
        headers: header_columns(records, &reads.headers),
    }
}

fn topic_column<'a>(topics: impl Iterator<Item = &'a str>) -> types::TopicColumn {
    let mut names: Vec<String> = Vec::new();
    let mut indexes = Vec::new();
    for topic in topics {
        let at = names.iter().position(|name| name == topic).unwrap_or_else(|| {
            names.push(topic.to_owned());
            names.len() - 1
        });
        indexes.push(at as u32);
    }
    if names.len() == 1 {
        indexes.clear();
    }
    types::TopicColumn { names, indexes }
}

fn column<'a>(entries: impl Iterator<Item = Option<&'a [u8]>>) -> types::Column {
    let mut column = columns::new_column(0, 0);
    entries.for_each(|entry| columns::push(&mut column, entry));
    column
}

fn header_columns(records: &[TestRecord], wanted: &Option<Vec<String>>) -> Option<types::HeaderColumns> {
    let names = wanted.as_ref()?;
    let mut builder = HeaderBuilder::default();
    for (index, record) in records.iter().enumerate() {
        for (name, value) in &record.headers {
            if names.is_empty() || names.contains(name) {
                builder.add(index, records.len(), name, value.as_deref());
            }
        }
    }
    Some(builder.finish().unwrap_or_else(|| types::HeaderColumns {
        counts: vec![0; records.len()],
        names: columns::new_column(0, 0),
        values: columns::new_column(0, 0),
    }))
}

/// Carries out an interceptor's edits, and insists on the contract's rules for them.
fn apply(records: &[TestRecord], edits: interceptor_role::Edits) -> Vec<Sent> {
    let count = records.len();
    let mut records = records.to_vec();
    if let Some(edit) = edits.topics {
        let topics = &edit.topics;
        for (entry, index) in indexes(edit.indexes, count).into_iter().enumerate() {
            let name = if topics.indexes.is_empty() { 0 } else { topics.indexes[entry] as usize };
            records[index].topic.clone_from(&topics.names[name]);
        }
    }
    if let Some(edit) = edits.partitions {
        for (index, partition) in indexes(edit.indexes, count).into_iter().zip(edit.partitions) {
            records[index].partition = u32::try_from(partition).ok();
        }
    }
    if let Some(edit) = edits.timestamps {
        for (index, timestamp) in indexes(edit.indexes, count).into_iter().zip(edit.timestamps) {
            records[index].timestamp = Some(timestamp);
        }
    }
    let mut set = |edit: Option<interceptor_role::ColumnEdit>, field: fn(&mut TestRecord) -> &mut Option<Vec<u8>>| {
        let Some(edit) = edit else { return };
        let indexes = indexes(edit.indexes, count);
        assert_eq!(indexes.len(), edit.column.lengths.len());
        let mut entries = ColumnCursor::new(&edit.column);
        for index in indexes {
            *field(&mut records[index]) = entries.next().map(<[u8]>::to_vec);
        }
    };
    set(edits.keys, |record| &mut record.key);
    set(edits.values, |record| &mut record.value);
    for removal in edits.removed_headers {
        for index in indexes(removal.indexes, count) {
            records[index].headers.retain(|(name, _)| *name != removal.name);
        }
    }
    if let Some(added) = &edits.added_headers {
        assert_eq!(added.counts.len(), count);
        let mut rows = HeaderRows::new(added);
        for (index, record) in records.iter_mut().enumerate() {
            record.headers.extend(rows.of(index).into_iter().map(owned_header));
            rows.pass(index);
        }
    }
    assert!(edits.tags.is_empty() || edits.tags.len() == count);
    let tag = |index: usize| edits.tags.get(index).copied().unwrap_or_default();
    let on = |(index, record)| Sent::On { record, tag: tag(index) };
    let mut sent: Vec<_> = records.into_iter().enumerate().map(on).collect();
    for index in edits.dropped {
        sent[index as usize] = Sent::Dropped;
    }
    for refusal in edits.refused {
        sent[refusal.index as usize] = Sent::Refused(refusal.reason);
    }
    sent
}

fn indexes(named: Vec<u32>, count: usize) -> Vec<usize> {
    assert!(named.is_sorted_by(|a, b| a < b), "indexes must ascend: {named:?}");
    if named.is_empty() { (0..count).collect() } else { named.into_iter().map(|index| index as usize).collect() }
}

#[cfg(test)]
mod allocations;
#[cfg(test)]
mod tests;
