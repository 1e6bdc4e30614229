//! Records set aside until their topic's metadata is known: those that an interceptor sent elsewhere than the
//! application said, and dead letters. The lane goes on meanwhile; what comes later for the same topic gets in line.

use super::passage::Passage;
use super::staging::Job;
use crate::core::time::Instant;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// All that is set aside, in a line for each topic.
#[derive(Default)]
pub(super) struct Aside {
    lines: BTreeMap<Arc<str>, VecDeque<Set>>,
    /// How many have been set aside ever.
    ever: u64,
    /// Those of the numbers that are not settled yet, with how many passages bear each.
    open: BTreeMap<u64, usize>,
    /// Ends of flushes, each with the number from which on passages are none of its business.
    flushes: VecDeque<(u64, Job)>,
}

struct Set {
    passage: Passage,
    number: u64,
    deadline: Instant,
}

impl Aside {
    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// How many passages are in lines.
    pub(super) fn len(&self) -> usize {
        self.lines.values().map(VecDeque::len).sum()
    }

    pub(super) fn has_line(&self, topic: &str) -> bool {
        self.lines.contains_key(topic)
    }

    /// All of them, in no order.
    pub(super) fn passages(&mut self) -> impl Iterator<Item = &mut Passage> {
        self.lines.values_mut().flatten().map(|set| &mut set.passage)
    }

    pub(super) fn topics(&self) -> impl Iterator<Item = &Arc<str>> {
        self.lines.keys()
    }

    /// Sets a passage aside, at the end of its topic's line. One that had been aside before keeps its number.
    pub(super) fn push(&mut self, topic: Arc<str>, passage: Passage, deadline: Instant) {
        let number = passage.aside.unwrap_or(self.ever);
        self.ever += u64::from(passage.aside.is_none());
        *self.open.entry(number).or_default() += 1;
        self.lines.entry(topic).or_default().push_back(Set { passage, number, deadline });
    }

    /// A topic's whole line. Each in it counts as open until [`Aside::settled`].
    pub(super) fn take_line(&mut self, topic: &str) -> impl Iterator<Item = Passage> + use<> {
        self.lines.remove(topic).into_iter().flatten().map(open)
    }

    /// The first one whose time is over, with its topic.
    pub(super) fn pop_late(&mut self, now: Instant) -> Option<(Arc<str>, Passage)> {
        let late = |line: &VecDeque<Set>| line.iter().position(|set| set.deadline <= now);
        let (topic, at) = self.lines.iter().find_map(|(topic, line)| Some((Arc::clone(topic), late(line)?)))?;
        let line = self.lines.get_mut(&topic)?;
        let passage = line.remove(at).map(open)?;
        if line.is_empty() {
            self.lines.remove(&topic);
        }
        Some((topic, passage))
    }

    /// Every one, when nothing can go on.
    pub(super) fn take_all(&mut self) -> impl Iterator<Item = Passage> + use<> {
        std::mem::take(&mut self.lines).into_values().flatten().map(open)
    }

    /// A passage that had been aside has come to its end, or is in line again. Returns the flushes that waited for it.
    pub(super) fn settled(&mut self, number: Option<u64>) -> Vec<Job> {
        if let Some(number) = number
            && let Some(count) = self.open.get_mut(&number)
        {
            *count -= 1;
            if *count == 0 {
                self.open.remove(&number);
            }
        }
        let oldest = self.open.first_key_value().map_or(u64::MAX, |(&number, _)| number);
        let mut over = Vec::new();
        while let Some((_, job)) = self.flushes.pop_front_if(|(before, _)| *before <= oldest) {
            over.push(job);
        }
        over
    }

    /// Keeps a flush until all that is aside now is settled; gives it back if nothing is.
    pub(super) fn hold(&mut self, job: Job) -> Option<Job> {
        if self.open.is_empty() {
            return Some(job);
        }
        self.flushes.push_back((self.ever, job));
        None
    }

    /// The ends of flushes that wait for what is aside.
    pub(super) fn take_flushes(&mut self) -> impl Iterator<Item = Job> + use<> {
        std::mem::take(&mut self.flushes).into_iter().map(|(_, job)| job)
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.lines.values().flatten().map(|set| set.deadline).min()
    }
}

fn open(set: Set) -> Passage {
    Passage { aside: Some(set.number), ..set.passage }
}
