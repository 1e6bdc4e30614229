//! The counters of every place that records go to, made when a place is first seen, up to a bound.

use pointsman_plugin::host::Counter;
use std::collections::BTreeMap;

/// What is counted of a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tally {
    Sent,
    Acked,
    Failed,
    Dropped,
    /// Those of the failed that may be in the log.
    InDoubt,
}

impl Tally {
    pub(crate) const COUNT: usize = 5;

    const ALL: [(Tally, &str); Tally::COUNT] = [
        (Tally::Sent, "records-sent"),
        (Tally::Acked, "records-acked"),
        (Tally::Failed, "records-failed"),
        (Tally::Dropped, "records-dropped"),
        (Tally::InDoubt, "records-in-doubt"),
    ];

    fn name(self) -> &'static str {
        Tally::ALL[self as usize].1
    }
}

/// All places.
pub(crate) struct Places {
    topics: Vec<Topic>,
    by_name: BTreeMap<String, usize>,
    /// The topic that was asked for last: the next record is mostly of the same.
    last: usize,
    counters: Vec<Counter>,
    /// How many counters more there may be.
    left: usize,
}

struct Topic {
    name: String,
    /// By partition + 1: the first is for records without one.
    partitions: Vec<Place>,
}

/// The place in `counters` of each tally; `None` before its first record.
type Place = [Option<u32>; Tally::COUNT];

/// The label of what is past the bound, and of no partition yet.
const OTHER: &str = "other";
const NONE: &str = "none";

/// A record's partition may be any number while nobody has looked at it. What is higher counts as other.
const PARTITIONS_MAX: usize = 4096;

impl Places {
    /// With room for so many counters, those of "other" included: these are made now, so that they are there when
    /// they are needed.
    pub(crate) fn new(counters_max: usize) -> Places {
        let other = |(_, name): (Tally, &str)| Counter::new(name, &[("topic", OTHER), ("partition", OTHER)]);
        Places {
            topics: Vec::new(),
            by_name: BTreeMap::new(),
            last: 0,
            counters: Tally::ALL.into_iter().map(other).collect(),
            left: counters_max - Tally::COUNT,
        }
    }

    /// The counter of a topic, and of a partition where they are told apart.
    #[inline]
    pub(crate) fn counter(&mut self, topic: &str, partition: Option<Option<u32>>, tally: Tally) -> &Counter {
        let known = self.topics.get(self.last).filter(|last| last.name == topic);
        let place = known.and_then(|topic| topic.partitions.get(row(partition)));
        match place.and_then(|place| place[tally as usize]) {
            Some(at) => &self.counters[at as usize],
            None => self.find(topic, partition, tally),
        }
    }

    #[inline(never)]
    fn find(&mut self, topic: &str, partition: Option<Option<u32>>, tally: Tally) -> &Counter {
        let other = tally as usize;
        let row = row(partition);
        let at = match self.by_name.get(topic) {
            Some(&at) => at,
            // Nothing is remembered of what has no counter of its own.
            None if self.left == 0 || row > PARTITIONS_MAX => return &self.counters[other],
            None => {
                self.by_name.insert(topic.to_owned(), self.topics.len());
                self.topics.push(Topic { name: topic.to_owned(), partitions: Vec::new() });
                self.topics.len() - 1
            }
        };
        self.last = at;
        if row > PARTITIONS_MAX {
            return &self.counters[other];
        }
        let rows = &mut self.topics[at].partitions;
        if rows.len() <= row {
            rows.resize(row + 1, [None; Tally::COUNT]);
        }
        let place = match rows[row][tally as usize] {
            Some(known) => known as usize,
            None => {
                let place = self.make(topic, partition, tally);
                self.topics[at].partitions[row][tally as usize] = Some(place as u32);
                place
            }
        };
        &self.counters[place]
    }

    /// Makes a counter, or takes that of "other" where there can be none.
    fn make(&mut self, topic: &str, partition: Option<Option<u32>>, tally: Tally) -> usize {
        if self.left == 0 {
            return tally as usize;
        }
        let number = partition.flatten().map_or(NONE.to_owned(), |partition| partition.to_string());
        let labels = [("topic", topic), ("partition", &number)];
        let labels = if partition.is_some() { &labels[..] } else { &labels[..1] };
        let counter = Counter::new(tally.name(), labels);
        if !counter.is_kept() {
            return tally as usize;
        }
        self.left -= 1;
        self.counters.push(counter);
        self.counters.len() - 1
    }
}

#[inline]
fn row(partition: Option<Option<u32>>) -> usize {
    partition.flatten().map_or(0, |partition| partition as usize + 1)
}
