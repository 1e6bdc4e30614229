//! The partitioner role.

use super::bindings::exports::pointsman::plugin::partitioner::Guest;
use super::convert;
use super::plugin::RoleIndices;
use super::seat::{Freshness, Role, Seat};
use super::state::State;
use crate::plugin::rules;
use crate::plugin::{Batch, FailureKind, Hook, Partitioner, PartitionerWants, Placements, PluginFailure, Topology};
use std::collections::BTreeMap;
use wasmtime::Store;
use wasmtime::component::Instance;

pub(super) struct PartitionerRole;

impl Role for PartitionerRole {
    type Guest = Guest;
    type Wants = PartitionerWants;
    const NAME: &'static str = "partitioner";

    fn is_among(&self, roles: &RoleIndices) -> bool {
        roles.partitioner.is_some()
    }

    fn load(&self, roles: &RoleIndices, store: &mut Store<State>, instance: &Instance) -> wasmtime::Result<Guest> {
        let indices = roles.partitioner.as_ref().ok_or_else(|| wasmtime::Error::msg("no partitioner"))?;
        indices.load(store, instance)
    }

    fn configure(
        &self,
        guest: &Guest,
        store: &mut Store<State>,
        settings: &[(&str, &str)],
    ) -> wasmtime::Result<Result<PartitionerWants, String>> {
        Ok(guest.call_configure(store, settings)?.map(convert::partitioner_wants))
    }

    fn close(&self, guest: &Guest, store: &mut Store<State>) -> wasmtime::Result<()> {
        guest.call_close(store)
    }
}

/// A partitioner whose hooks run in a component.
pub(super) struct WasmPartitioner {
    seat: Seat<PartitionerRole>,
    topics: BTreeMap<String, Known>,
    /// How many of the topics the instance has not been told of.
    untold: usize,
}

/// A topic that the plugin was told of.
struct Known {
    topology: Topology,
    groups: Vec<Vec<u32>>,
    /// Whether this instance was, or only a predecessor.
    told: bool,
}

impl WasmPartitioner {
    pub(super) fn new(seat: Seat<PartitionerRole>) -> WasmPartitioner {
        WasmPartitioner { seat, topics: BTreeMap::new(), untold: 0 }
    }

    fn ready(&mut self) -> Result<(), PluginFailure> {
        if self.seat.ready()? == Freshness::Fresh {
            self.topics.values_mut().for_each(|known| known.told = false);
            self.untold = self.topics.len();
        }
        Ok(())
    }

    fn tell(&mut self, topology: &Topology) -> Result<Vec<Vec<u32>>, PluginFailure> {
        let answer = self.seat.call(0, |guest, store| {
            let brokers = convert::brokers(&topology.brokers);
            guest.call_on_topology(store, convert::topology(topology, &brokers))
        })?;
        let groups = answer.map_err(|words| convert::refused_call(FailureKind::Error, Hook::OnTopology, &words))?;
        match rules::groups(&groups, topology.partitions) {
            Ok(()) => Ok(groups),
            Err(rule) => Err(self.seat.broke_rule(Hook::OnTopology, rule)),
        }
    }

    /// Tells a new instance of the batch's topics, as its predecessor was told.
    fn tell_again(&mut self, names: &[&str]) -> Result<(), PluginFailure> {
        for &name in names {
            let Some(known) = self.topics.get(name).filter(|known| !known.told) else { continue };
            let topology = known.topology.clone();
            let groups = self.tell(&topology)?;
            let known = self.topics.get_mut(name).expect("it was there");
            if groups != known.groups {
                let rule = format!("a new instance answered other groups for topic {name:?} and the same topology");
                return Err(self.seat.broke_rule(Hook::OnTopology, rule));
            }
            known.told = true;
            self.untold -= 1;
        }
        Ok(())
    }
}

impl Partitioner for WasmPartitioner {
    fn wants(&self) -> &PartitionerWants {
        self.seat.wants()
    }

    fn on_topology(&mut self, topology: &Topology) -> Result<Vec<Vec<u32>>, PluginFailure> {
        self.ready()?;
        if self.topics.remove(&topology.topic).is_some_and(|known| !known.told) {
            self.untold -= 1;
        }
        let groups = self.tell(topology)?;
        let known = Known { topology: topology.clone(), groups: groups.clone(), told: true };
        self.topics.insert(topology.topic.clone(), known);
        Ok(groups)
    }

    fn partition(&mut self, batch: &Batch<'_>) -> Result<Placements, PluginFailure> {
        self.ready()?;
        let topics = batch.topics.unwrap_or_default();
        if self.untold > 0 {
            self.tell_again(topics.names).map_err(|failure| failure.of_hook_before(Hook::OnTopology))?;
        }
        let argument = convert::batch(batch);
        let input = convert::batch_bytes(batch);
        let answer = self.seat.call(input, |guest, store| guest.call_partition(store, argument))?;
        let placements = answer.map_err(|words| convert::refused_call(FailureKind::Error, Hook::Partition, &words))?;
        let placements = convert::placements(placements);
        let groups_of = |topic: &str| self.topics.get(topic).map_or(0, |known| known.groups.len());
        match rules::placements(&placements, batch.count, &topics, groups_of) {
            Ok(()) => Ok(placements),
            Err(rule) => Err(self.seat.broke_rule(Hook::Partition, rule)),
        }
    }

    fn broke_rule(&mut self) {
        self.seat.discard();
    }

    fn close(&mut self) {
        self.seat.close();
    }
}
