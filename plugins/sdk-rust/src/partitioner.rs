//! The partitioner's role: the trait, and the loop that runs it over a batch.

use crate::bindings::partitioner_role as wit;
use crate::bindings::types::{Batch, Refusal};
use crate::host;
use crate::record::{Fields, Reads, Record, Topics};
use crate::settings::Settings;
use std::collections::BTreeMap;

/// Chooses the partition of every record that did not come with one.
pub trait Partitioner: Sized + 'static {
    /// Makes the plugin from its settings. The first call of an instance.
    ///
    /// # Errors
    /// In words for whoever wrote the config file. A setting that was not asked for here is an error by itself.
    fn configure(settings: &Settings) -> Result<Self, String>;

    /// What `partition` reads, and what its answers depend on.
    fn wants(&self) -> PartitionerWants;

    /// Called before the first record of a topic and whenever what it tells changes. Returns the topic's groups:
    /// lists of partitions that [`Placement::Group`] may name by their place in the list.
    ///
    /// # Errors
    /// If this plugin cannot place records of this topic.
    fn topology(&mut self, topology: &Topology) -> Result<Groups, String> {
        let _ = topology;
        Ok(Groups::new())
    }

    /// Where one record goes. Called for each record of a batch, in order.
    fn partition(&mut self, record: &Record<'_>, topology: &Topology) -> Placement;

    /// The last call, unless the instance failed.
    fn close(&mut self) {}
}

/// Lists of partitions of one topic. The producer picks within a group by the length of its partitions' queues, as
/// it does without a plugin, so that batches stay full. No group may be empty.
pub type Groups = Vec<Vec<u32>>;

/// Where a record goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Placement {
    /// To this partition.
    Partition(u32),
    /// Where it would go without a plugin: by the hash of its key, or wherever there is room if it has none.
    Default,
    /// To any partition of this group of the topic.
    Group(usize),
    /// Nowhere, and why. The plugin's `on-error` in the config decides what becomes of the record.
    Refuse(String),
}

/// What a partitioner's answers depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consistency {
    /// On the record and the number of partitions alone. The plugin is never told leaders or racks.
    Keyed,
    /// On the leaders and racks too.
    Located,
    /// On what the plugin remembers, too. One instance sees every record.
    Free,
}

/// What a partitioner asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionerWants {
    reads: Reads,
    consistency: Consistency,
}

impl PartitionerWants {
    /// The same record always goes to the same place.
    pub fn keyed(reads: Reads) -> PartitionerWants {
        PartitionerWants { reads, consistency: Consistency::Keyed }
    }

    /// Places depend on where the leaders are.
    pub fn located(reads: Reads) -> PartitionerWants {
        PartitionerWants { reads, consistency: Consistency::Located }
    }

    /// Places depend on what came before.
    pub fn free(reads: Reads) -> PartitionerWants {
        PartitionerWants { reads, consistency: Consistency::Free }
    }
}

/// What is known of a topic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Topology {
    /// The topic's name.
    pub topic: String,
    /// How many partitions it has.
    pub partitions: u32,
    /// The broker that leads each partition; `None` while it has no leader. Empty for a keyed partitioner.
    pub leaders: Vec<Option<i32>>,
    /// The brokers that lead, each once. Empty for a keyed partitioner.
    pub brokers: Vec<Broker>,
}

/// A broker that leads some partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broker {
    /// Its id in the cluster.
    pub id: i32,
    /// Where it stands, if it says so.
    pub rack: Option<String>,
}

/// Runs a partitioner over batches. What [`export!`](crate::export) and [`testing`](crate::testing) have in common.
#[doc(hidden)]
pub struct PartitionerRunner<P> {
    plugin: P,
    given: Fields,
    topics: Vec<Known>,
    by_name: BTreeMap<String, usize>,
    /// For the batch at hand: the place in `topics` of each of its names. Kept for its allocation.
    slots: Vec<usize>,
}

struct Known {
    topology: Topology,
    groups: usize,
}

impl<P: Partitioner> PartitionerRunner<P> {
    #[doc(hidden)]
    pub fn configure(settings: Vec<(String, String)>) -> Result<(PartitionerRunner<P>, wit::Wants), String> {
        let plugin = host::call(|| Settings::configure(settings, P::configure))?;
        let PartitionerWants { reads, consistency } = plugin.wants();
        // The topics come in any case.
        let given = reads.given() | Fields::TOPIC;
        let consistency = match consistency {
            Consistency::Keyed => wit::Consistency::Keyed,
            Consistency::Located => wit::Consistency::Located,
            Consistency::Free => wit::Consistency::Free,
        };
        let wants = wit::Wants { reads: reads.into_wit(), consistency };
        let runner =
            PartitionerRunner { plugin, given, topics: Vec::new(), by_name: BTreeMap::new(), slots: Vec::new() };
        Ok((runner, wants))
    }

    #[doc(hidden)]
    pub fn on_topology(&mut self, topology: wit::Topology) -> Result<Groups, String> {
        let topology = Topology {
            topic: topology.topic,
            partitions: topology.partitions,
            leaders: topology.leaders.into_iter().map(|id| (id >= 0).then_some(id)).collect(),
            brokers: topology.brokers.into_iter().map(|broker| Broker { id: broker.id, rack: broker.rack }).collect(),
        };
        let groups = host::call(|| self.plugin.topology(&topology))?;
        if let Some(at) = groups.iter().position(Vec::is_empty) {
            return Err(format!("the plugin made group {at} of topic {} empty", topology.topic));
        }
        let known = Known { topology, groups: groups.len() };
        match self.by_name.get(&known.topology.topic) {
            Some(&slot) => self.topics[slot] = known,
            None => {
                self.by_name.insert(known.topology.topic.clone(), self.topics.len());
                self.topics.push(known);
            }
        }
        Ok(groups)
    }

    #[doc(hidden)]
    pub fn partition(&mut self, batch: Batch) -> Result<wit::Placements, String> {
        let Some(column) = &batch.topics else {
            return Err("the host gave a partitioner no topics".to_owned());
        };
        self.slots.clear();
        for name in &column.names {
            match self.by_name.get(name) {
                Some(&slot) => self.slots.push(slot),
                None => return Err(format!("the host gave records of topic {name} before its topology")),
            }
        }
        let topics = Topics::new(column);
        let count = batch.count as usize;
        let mut record = Record::first(&batch, self.given)?;
        let mut targets = vec![-1; count];
        let mut refused = Vec::new();
        host::call(|| {
            for (index, place) in targets.iter_mut().enumerate() {
                let known = &self.topics[self.slots[topics.index(index)]];
                let target = match self.plugin.partition(&record, &known.topology) {
                    Placement::Partition(partition) => {
                        i32::try_from(partition).map_err(|_| format!("no topic has a partition {partition}"))
                    }
                    Placement::Default => Ok(-1),
                    Placement::Group(group) if group < known.groups => Ok(-2 - group as i32),
                    Placement::Group(group) => Err(no_such_group(group, known)),
                    Placement::Refuse(reason) => Err(reason),
                };
                match target {
                    Ok(target) => *place = target,
                    // The place of a refused record is not looked at.
                    Err(reason) => refused.push(Refusal { index: index as u32, reason }),
                }
                record.advance();
            }
        });
        Ok(wit::Placements { targets, refused })
    }

    #[doc(hidden)]
    pub fn close(&mut self) {
        host::call(|| self.plugin.close());
    }
}

#[cold]
fn no_such_group(group: usize, known: &Known) -> String {
    format!("the plugin named group {group}, but it made {} for topic {}", known.groups, known.topology.topic)
}
