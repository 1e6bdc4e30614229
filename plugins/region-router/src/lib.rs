//! Routes records to the partitions of their region: see README.md for its settings.

mod names;
mod partitions;
mod region;
mod regions;

use pointsman_plugin::{
    Fields, Groups, Partitioner, PartitionerWants, Placement, Record, Settings, Topology, partition_of_key,
};
use region::Source;
use regions::{Partitions, Regions};

pointsman_plugin::export!(partitioner: RegionRouter);

/// The plugin.
pub struct RegionRouter {
    source: Source,
    regions: Regions,
    spread: Spread,
    unknown: Unknown,
}

/// How the records of a region spread over its partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spread {
    /// By key, so that the records of a key keep their order; those without one as `Group`.
    Key,
    /// As the producer finds best.
    Group,
}

/// What becomes of records whose region has no entry, while there is no `regions.default`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unknown {
    /// The producer's own partitioner places them.
    Default,
    Refuse,
}

impl Partitioner for RegionRouter {
    fn configure(settings: &Settings) -> Result<RegionRouter, String> {
        let source = Source::configure(settings)?;
        let regions = Regions::configure(settings)?;
        let spreads = [("key", Spread::Key), ("group", Spread::Group)];
        let spread = settings.choice("spread", &spreads)?.unwrap_or(Spread::Key);
        let unknown = settings.choice("unknown", &[("default", Unknown::Default), ("refuse", Unknown::Refuse)])?;
        if unknown.is_some() && regions.has_default() {
            return Err(
                "`unknown` says what becomes of other regions, and so does `regions.default`: leave one out".into()
            );
        }
        Ok(RegionRouter { source, regions, spread, unknown: unknown.unwrap_or(Unknown::Default) })
    }

    fn wants(&self) -> PartitionerWants {
        let reads = self.source.reads();
        PartitionerWants::keyed(match self.spread {
            Spread::Key => reads.and(Fields::KEY),
            Spread::Group => reads,
        })
    }

    fn topology(&mut self, topology: &Topology) -> Result<Groups, String> {
        self.regions.check(topology)?;
        Ok(self.regions.groups().to_vec())
    }

    fn partition(&mut self, record: &Record<'_>, _: &Topology) -> Placement {
        let region = self.source.region(record);
        let Some(partitions) = self.regions.find(region) else {
            return match self.unknown {
                Unknown::Default => Placement::Default,
                Unknown::Refuse => Placement::Refuse(self.source.refusal(region)),
            };
        };
        match partitions {
            Partitions::One(partition) => Placement::Partition(partition),
            Partitions::Group(group) => match (self.spread, self.key(record)) {
                (Spread::Key, Some(key)) => {
                    let members = &self.regions.groups()[group];
                    Placement::Partition(members[partition_of_key(key, members.len() as u32) as usize])
                }
                _ => Placement::Group(group),
            },
        }
    }
}

impl RegionRouter {
    /// The key, where it decides anything: it was not asked for otherwise.
    fn key<'a>(&self, record: &Record<'a>) -> Option<&'a [u8]> {
        match self.spread {
            Spread::Key => record.key(),
            Spread::Group => None,
        }
    }
}

#[cfg(test)]
mod tests;
