//! The table of regions.

use crate::names::Names;
use crate::partitions;
use crate::region::Region;
use pointsman_plugin::{Groups, Settings, Topology};

/// Which partitions each region has.
pub(crate) struct Regions {
    /// Lower case where `ignore-case` is set.
    names: Names,
    ignore_case: bool,
    default: Option<Partitions>,
    /// The lists of more than one partition. The same for every topic.
    groups: Groups,
    /// For complaints about topics that are too small: the setting's name and the highest partition in it.
    highest: Vec<(String, u32)>,
}

/// The partitions of a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Partitions {
    One(u32),
    /// An index in the groups.
    Group(usize),
}

impl Regions {
    pub(crate) fn configure(settings: &Settings) -> Result<Regions, String> {
        let ignore_case = settings.flag("ignore-case")?.unwrap_or(false);
        let mut regions =
            Regions { names: Names::default(), ignore_case, default: None, groups: Groups::new(), highest: Vec::new() };
        for (name, list) in settings.under("regions") {
            let setting = format!("regions.{name}");
            let partitions = regions.add_list(&setting, list).map_err(|error| format!("{setting}: {error}"))?;
            let folded = if ignore_case { name.to_ascii_lowercase() } else { name.to_owned() };
            if name == "default" {
                regions.default = Some(partitions);
            } else if regions.find_name(folded.as_bytes()).is_some() {
                return Err(format!("{setting}: another entry has this name already (ignore-case is on)"));
            } else {
                regions.names.insert(folded.into_bytes(), partitions);
            }
        }
        if regions.names.is_empty() {
            return Err("no regions: set `regions.NAME` to partitions, such as \"0\" or \"1-5\"".into());
        }
        Ok(regions)
    }

    fn add_list(&mut self, setting: &str, list: &str) -> Result<Partitions, String> {
        let list = partitions::parse(list)?;
        self.highest.push((setting.to_owned(), list.iter().copied().max().unwrap_or_default()));
        Ok(match list[..] {
            [one] => Partitions::One(one),
            // Regions with the same list share a group, and so the producer's choice within it.
            _ => Partitions::Group(self.groups.iter().position(|group| *group == list).unwrap_or_else(|| {
                self.groups.push(list);
                self.groups.len() - 1
            })),
        })
    }

    pub(crate) fn has_default(&self) -> bool {
        self.default.is_some()
    }

    pub(crate) fn groups(&self) -> &Groups {
        &self.groups
    }

    /// Whether the topic has every partition that the settings name.
    pub(crate) fn check(&self, topology: &Topology) -> Result<(), String> {
        match self.highest.iter().find(|&&(_, partition)| partition >= topology.partitions) {
            None => Ok(()),
            Some((setting, partition)) => Err(format!(
                "{setting} names partition {partition}, but topic {} has {} (0 to {})",
                topology.topic,
                topology.partitions,
                i64::from(topology.partitions) - 1
            )),
        }
    }

    /// The partitions of a region, or those for the rest.
    pub(crate) fn find(&self, region: Region<'_>) -> Option<Partitions> {
        let found = match region {
            Region::Bytes(bytes) => self.find_name(bytes),
            Region::Escaped(_) => region.bytes().ok().and_then(|bytes| self.find_name(&bytes)),
            Region::None(_) => None,
        };
        found.or(self.default)
    }

    fn find_name(&self, region: &[u8]) -> Option<Partitions> {
        if self.ignore_case && region.iter().any(u8::is_ascii_uppercase) {
            return self.names.find(&region.to_ascii_lowercase());
        }
        self.names.find(region)
    }
}
