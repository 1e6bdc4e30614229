//! What is known of topics to which nothing is sent.

use super::servers::Servers;
use anyhow::{Context, Result};
use pointsman::config::ProducerConfig;
use pointsman::plugin::{Topology, TopologyBroker};
use std::collections::{BTreeMap, BTreeSet};

/// Most partitions that may be asked for: as many as a whole cluster has.
pub(super) const PARTITIONS_MAX: i64 = 1_000_000;

/// Topics, asked for once.
pub(super) struct Topics {
    known: BTreeMap<String, Topology>,
    servers: Servers,
    partitions: Option<u32>,
}

impl Topics {
    /// Those of the configuration's cluster; or with `partitions`, any, of so many.
    pub(super) fn new(config: &ProducerConfig, partitions: Option<u32>) -> Result<Topics> {
        Ok(Topics { known: BTreeMap::new(), servers: Servers::new(config)?, partitions })
    }

    pub(super) fn topology(&mut self, topic: &str) -> Result<Topology> {
        if let Some(known) = self.known.get(topic) {
            return Ok(known.clone());
        }
        let topology = match self.partitions {
            Some(partitions) => Topology {
                topic: topic.to_owned(),
                partitions,
                leaders: vec![0; partitions as usize],
                brokers: vec![TopologyBroker { id: 0, rack: None }],
            },
            None => self.ask(topic)?,
        };
        self.known.insert(topic.to_owned(), topology.clone());
        Ok(topology)
    }

    fn ask(&mut self, topic: &str) -> Result<Topology> {
        if !self.servers.has(topic)? {
            let advice = self.servers.nearest(topic).map_or(String::new(), |meant| format!("; did you mean {meant}?"));
            anyhow::bail!(
                "topic {topic} does not exist on {}{advice} (--partitions N does without a broker)",
                self.servers
            );
        }
        let described = self.servers.admin()?.describe_topics(&[topic])?;
        let description = described.first().with_context(|| format!("the broker says nothing of topic {topic}"))?;
        let leaders: Vec<i32> = description.partitions.iter().map(|partition| partition.leader).collect();
        let brokers: BTreeSet<i32> = leaders.iter().copied().filter(|leader| *leader >= 0).collect();
        Ok(Topology {
            topic: topic.to_owned(),
            partitions: leaders.len() as u32,
            leaders,
            brokers: brokers.into_iter().map(|id| TopologyBroker { id, rack: None }).collect(),
        })
    }
}
