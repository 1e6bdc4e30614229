//! Native plugins behind the contract's rules, which the Wasm host checks by itself: an answer that breaks one is the
//! plugin's failure, and not the chain's.

use super::columns::{ColumnRef, HeaderColumnsRef, TopicColumnRef};
use super::failure::{FailureKind, Hook, PluginFailure};
use super::roles::{
    Acknowledgements, Batch, Edits, HeaderReads, Interceptor, InterceptorWants, Partitioner, PartitionerWants,
    Placements, Serialized, Serializer, Topology,
};
use super::rules;
use std::collections::BTreeMap;

/// A role whose answers are checked.
pub(crate) struct Checked<R: ?Sized> {
    role: Box<R>,
    /// A partitioner's: how many it has of each topic.
    groups: BTreeMap<String, usize>,
}

impl<R: ?Sized> Checked<R> {
    /// Checks what `role` answers.
    pub(crate) fn new(role: Box<R>) -> Checked<R> {
        Checked { role, groups: BTreeMap::new() }
    }
}

impl Interceptor for Checked<dyn Interceptor> {
    fn wants(&self) -> &InterceptorWants {
        self.role.wants()
    }

    fn on_send(&mut self, batch: &Batch<'_>) -> Result<Edits, PluginFailure> {
        let edits = self.role.on_send(batch)?;
        let checked = rules::edits(&edits, batch.count, &self.role.wants().changes);
        checked.map(|()| edits).map_err(|rule| broken(Hook::OnSend, &rule))
    }

    fn on_acknowledgement(&mut self, acknowledgements: &Acknowledgements<'_>) -> Result<(), PluginFailure> {
        self.role.on_acknowledgement(acknowledgements)
    }

    fn close(&mut self) {
        self.role.close();
    }
}

impl Serializer for Checked<dyn Serializer> {
    fn headers(&self) -> &HeaderReads {
        self.role.headers()
    }

    fn serialize(
        &mut self,
        topics: TopicColumnRef<'_>,
        payloads: ColumnRef<'_>,
        headers: Option<HeaderColumnsRef<'_>>,
    ) -> Result<Serialized, PluginFailure> {
        let answer = self.role.serialize(topics, payloads, headers)?;
        let checked = rules::serialized(&answer, payloads.len());
        checked.map(|()| answer).map_err(|rule| PluginFailure::new(FailureKind::BrokenRule, rule))
    }

    fn close(&mut self) {
        self.role.close();
    }
}

impl Partitioner for Checked<dyn Partitioner> {
    fn wants(&self) -> &PartitionerWants {
        self.role.wants()
    }

    fn on_topology(&mut self, topology: &Topology) -> Result<Vec<Vec<u32>>, PluginFailure> {
        // Groups are checked by the chain, which knows the topic.
        let groups = self.role.on_topology(topology)?;
        self.groups.insert(topology.topic.clone(), groups.len());
        Ok(groups)
    }

    fn partition(&mut self, batch: &Batch<'_>) -> Result<Placements, PluginFailure> {
        let placements = self.role.partition(batch)?;
        let groups_of = |topic: &str| self.groups.get(topic).copied().unwrap_or_default();
        let checked = rules::placements(&placements, batch.count, &batch.topics.unwrap_or_default(), groups_of);
        checked.map(|()| placements).map_err(|rule| broken(Hook::Partition, &rule))
    }

    fn broke_rule(&mut self) {
        self.role.broke_rule();
    }

    fn close(&mut self) {
        self.role.close();
    }
}

fn broken(hook: Hook, rule: &str) -> PluginFailure {
    PluginFailure::new(FailureKind::BrokenRule, format!("{hook}: {rule}"))
}
