//! Topics, their partitions and leaders, and when to ask for them.

use super::Core;
use super::counters::TopicCounters;
use super::io::{Action, NodeId};
use super::node::{Link, Node};
use super::partition::Partition;
use super::partitioner::Sticky;
use super::ratio::Ratio;
use super::time::Instant;
use super::timers::Timer;
use super::verdict::{Asked, Verdict, verdict};
use crate::error::{Fate, ProduceError};
use crate::protocol::error_code as code;
use crate::protocol::messages::{Broker, MetadataRequest, MetadataResponse, TopicId, TopicMetadata};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// A topic that the core knows. Valid for the life of the core.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicHandle(u32);

impl TopicHandle {
    pub(super) fn of(index: usize) -> TopicHandle {
        TopicHandle(index as u32)
    }

    pub(super) fn index(self) -> usize {
        self.0 as usize
    }
}

/// What [`Core::topic`] says of a topic.
#[derive(Clone, Debug, PartialEq)]
pub enum TopicStatus {
    /// Records can be appended.
    Ready(TopicHandle),
    /// It was asked for; [`Action::Topic`] follows.
    Pending,
}

/// A topic's partitions as of now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicInfo {
    /// The leader of each partition, −1 while it has none.
    pub leaders: Vec<i32>,
    /// Those that lead, each once, by ascending id, with their racks.
    pub brokers: Vec<(i32, Option<String>)>,
}

#[derive(Debug)]
pub(super) struct Topic {
    pub(super) name: Arc<str>,
    pub(super) id: TopicId,
    /// The last one that was told: in the middle of an upgrade not every broker tells any.
    pub(super) last_id: TopicId,
    /// Dense ids, by partition number. Empty until the topic is known.
    pub(super) partitions: Vec<u32>,
    /// How many of its partitions senders may name, see [`Core::open_topic`].
    open: usize,
    pub(super) sticky: Sticky,
    pub(super) next_in_turn: usize,
    /// When a batch was last begun for it, or someone asked for it.
    last_used: Instant,
    pub(super) ratio: Ratio,
    /// A broker took no batch as large as one of its was that had become larger than `batch.size`: from then on none does.
    pub(super) refused_large: bool,
    /// From the first batch on: most topics of a large cluster are never written to.
    pub(super) counters: Option<Box<TopicCounters>>,
    /// Someone waits for it, or for news of it.
    wanted: bool,
    last_error: Option<String>,
}

impl Topic {
    /// Whether someone waits for it, or for news of it; nobody does from now on.
    pub(super) fn take_wanted(&mut self) -> bool {
        std::mem::take(&mut self.wanted)
    }
}

/// Far more than a topic of any cluster has.
const PARTITIONS_MAX: i32 = 100_000;

/// A broker that names an older leader epoch than is known has not heard of the newer one yet, for so long at most.
const OLDER_EPOCH_MAX: Duration = Duration::from_secs(10);

/// The next metadata request.
#[derive(Debug, Default)]
pub(super) struct Refresh {
    /// Not before then; `None`: not wanted.
    pub(super) due: Option<Instant>,
    pub(super) in_flight: bool,
    pub(super) failures: u32,
    last_answer: Option<Instant>,
    /// Since when a request is due and none was answered.
    pub(super) trying_since: Option<Instant>,
}

impl Core {
    /// Whether records can be appended to a topic; asks the cluster if it is not known.
    pub fn topic(&mut self, now: Instant, name: &str) -> TopicStatus {
        let index = match self.topics_by_name.get(name) {
            Some(&index) => index,
            None => {
                let name: Arc<str> = name.into();
                let index = self.topics.len();
                self.topics.push(Topic {
                    name: Arc::clone(&name),
                    id: [0; 16],
                    last_id: [0; 16],
                    partitions: Vec::new(),
                    open: 0,
                    sticky: Sticky::default(),
                    next_in_turn: 0,
                    last_used: now,
                    ratio: Ratio::default(),
                    refused_large: false,
                    counters: None,
                    wanted: false,
                    last_error: None,
                });
                self.topics_by_name.insert(name, index);
                index
            }
        };
        self.use_topic(now, TopicHandle::of(index));
        let topic = &mut self.topics[index];
        if topic.partitions.is_empty() {
            if !topic.wanted {
                topic.wanted = true;
                self.want_metadata(now);
                self.drive_links(now);
            }
            TopicStatus::Pending
        } else {
            TopicStatus::Ready(TopicHandle::of(index))
        }
    }

    /// Senders may append to a topic that is known, and name so many of its partitions, without asking anybody else.
    /// It is for the shell to say so, when those have gone on who waited for the topic.
    pub fn open_topic(&mut self, name: &str, partitions: usize) {
        if let Some(&index) = self.topics_by_name.get(name) {
            self.topics[index].open = partitions.min(self.topics[index].partitions.len());
        }
    }

    /// A topic that was opened, and how many partitions may be named.
    #[inline(always)]
    pub fn opened(&mut self, name: &str) -> Option<(TopicHandle, usize)> {
        // Mostly it is that of the last record.
        match self.topics.get(self.last_opened) {
            Some(topic) if *topic.name == *name => {}
            _ => self.last_opened = self.index_of(name)?,
        }
        let topic = &self.topics[self.last_opened];
        let open = topic.open.min(topic.partitions.len());
        (open > 0).then_some((TopicHandle::of(self.last_opened), open))
    }

    #[cold]
    fn index_of(&self, name: &str) -> Option<usize> {
        self.topics_by_name.get(name).copied()
    }

    /// Asks anew for a topic that is known; [`Action::Topic`] follows.
    pub fn refresh_topic(&mut self, now: Instant, name: &str) {
        if self.topic(now, name) == TopicStatus::Pending {
            return;
        }
        if let Some(&index) = self.topics_by_name.get(name) {
            self.topics[index].wanted = true;
            self.want_metadata(now);
            self.drive_links(now);
        }
    }

    /// A record goes to the topic. One that was idle for so long that it was no longer asked for is asked for again;
    /// what was known of its leaders serves until then.
    pub(super) fn use_topic(&mut self, now: Instant, topic: TopicHandle) {
        let topic = &mut self.topics[topic.index()];
        let idle = now.saturating_since(std::mem::replace(&mut topic.last_used, now));
        if idle > self.config.metadata_max_idle {
            self.want_metadata(now);
        }
    }

    /// Nobody waits for a topic any more: it is no longer asked for until someone does.
    pub fn forget(&mut self, name: &str) {
        if let Some(&index) = self.topics_by_name.get(name) {
            self.topics[index].wanted = false;
        }
    }

    /// Why a topic that was asked for is not there yet, as far as is known.
    pub fn topic_trouble(&self, name: &str) -> Option<String> {
        let topic = self.topics_by_name.get(name).and_then(|&index| self.topics[index].last_error.clone());
        topic.or_else(|| self.node_trouble())
    }

    /// What went wrong last with some broker.
    pub(super) fn node_trouble(&self) -> Option<String> {
        self.nodes.values().rev().find_map(|node| node.last_cause.clone())
    }

    /// The partitions of a known topic.
    pub fn topic_info(&self, topic: TopicHandle) -> TopicInfo {
        let leader = |&id: &u32| self.partitions[id as usize].leader.map_or(-1, |node| node.0);
        let leaders: Vec<i32> = self.topics[topic.index()].partitions.iter().map(leader).collect();
        let leading: BTreeSet<i32> = leaders.iter().copied().filter(|&id| id >= 0).collect();
        let rack = |id: i32| self.nodes.get(&NodeId(id)).and_then(|node| node.rack.clone());
        TopicInfo { brokers: leading.into_iter().map(|id| (id, rack(id))).collect(), leaders }
    }

    /// How many partitions a known topic has.
    pub fn partition_count(&self, topic: TopicHandle) -> usize {
        self.topics[topic.index()].partitions.len()
    }

    /// Asks for metadata as soon as the backoff allows.
    pub(super) fn want_metadata(&mut self, now: Instant) {
        let due = match self.refresh.failures {
            0 => now,
            failures => now + self.retry_backoff().after(failures, &mut self.rng),
        };
        if self.refresh.due.is_none_or(|before| due < before) {
            self.refresh.due = Some(due);
        }
        if !self.refresh.in_flight {
            self.timers.set(Timer::Metadata, self.refresh.due);
        }
        if due <= now {
            self.tries_for_metadata(now);
        }
    }

    pub(super) fn metadata_is_due(&self, now: Instant) -> bool {
        !self.refresh.in_flight && self.refresh.due.is_some_and(|due| due <= now)
    }

    pub(super) fn metadata_request(&mut self, now: Instant) -> MetadataRequest {
        self.refresh.in_flight = true;
        self.refresh.due = None;
        self.timers.set(Timer::Metadata, None);
        let has_work = |&id: &u32| {
            let partition = &self.partitions[id as usize];
            !partition.queue.is_empty() || !partition.in_flight.is_empty()
        };
        let in_use = |topic: &&Topic| {
            let is_idle = now.saturating_since(topic.last_used) > self.config.metadata_max_idle;
            // What is queued needs a leader however long ago it was appended.
            topic.wanted || (!topic.partitions.is_empty() && (!is_idle || topic.partitions.iter().any(has_work)))
        };
        MetadataRequest {
            topics: self.topics.iter().filter(in_use).map(|topic| topic.name.to_string()).collect(),
            allow_auto_topic_creation: true,
        }
    }

    /// Since the last answer.
    pub(super) fn metadata_age(&self, now: Instant) -> Option<Duration> {
        self.refresh.last_answer.map(|at| now - at)
    }

    /// A metadata request ended without an answer.
    pub(super) fn metadata_failed(&mut self, now: Instant) {
        self.refresh.in_flight = false;
        self.refresh.failures += 1;
        self.want_metadata(now);
    }

    pub(super) fn handle_metadata(&mut self, now: Instant, response: MetadataResponse) {
        self.refresh.in_flight = false;
        match verdict(Asked::Metadata, response.error_code) {
            Verdict::Good => {}
            Verdict::Rebootstrap => return self.rebootstrap_required(now),
            _ => return self.metadata_failed(now),
        }
        self.refresh.last_answer = Some(now);
        self.metadata_answered();
        let moved = self.take_racks(&response.brokers);
        // A broker that is starting answers before it knows the others.
        if !response.brokers.is_empty() {
            self.take_brokers(now, &response.brokers);
        }
        let mut again = false;
        for topic in response.topics {
            again |= self.take_topic(now, topic, &moved);
        }
        if again {
            self.refresh.failures += 1;
            self.want_metadata(now);
        } else {
            self.refresh.failures = 0;
            if self.refresh.due.is_none() {
                self.refresh.due = Some(now + self.config.metadata_max_age);
            }
            self.timers.set(Timer::Metadata, self.refresh.due);
        }
        self.drive_links(now);
    }

    /// Which of the brokers that are known stand in another rack than they did.
    fn take_racks(&mut self, brokers: &[Broker]) -> BTreeSet<NodeId> {
        let mut moved = BTreeSet::new();
        for broker in brokers {
            if let Some(node) = self.nodes.get_mut(&NodeId(broker.id))
                && node.rack != broker.rack
            {
                node.rack.clone_from(&broker.rack);
                moved.insert(node.id);
            }
        }
        moved
    }

    pub(super) fn take_brokers(&mut self, now: Instant, brokers: &[Broker]) {
        for broker in brokers {
            let id = NodeId(broker.id);
            match self.nodes.get_mut(&id) {
                Some(node) if node.host == broker.host && node.port == broker.port => {}
                Some(node) => {
                    node.host.clone_from(&broker.host);
                    node.port = broker.port;
                    self.drop_connection(now, id, "the broker has moved to another address");
                }
                None => {
                    let rack = broker.rack.clone();
                    self.nodes.insert(id, Node { rack, ..Node::new(id, broker.host.clone(), broker.port) });
                }
            }
        }
    }

    /// Whether the topic has to be asked for again.
    fn take_topic(&mut self, now: Instant, mut answer: TopicMetadata, moved: &BTreeSet<NodeId>) -> bool {
        let Some(&index) = self.topics_by_name.get(answer.name.as_str()) else { return false };
        let error = answer.error_code;
        match verdict(Asked::Topic, error) {
            Verdict::Good => {}
            Verdict::Retry { .. } => {
                let topic = &mut self.topics[index];
                topic.last_error = Some(format!("the broker answered {}", code::name(error)));
                return topic.wanted || !topic.partitions.is_empty();
            }
            _ => {
                let topic = &mut self.topics[index];
                topic.last_error = Some(format!("the broker answered {}", code::name(error)));
                if std::mem::take(&mut topic.wanted) {
                    let name = Arc::clone(&topic.name);
                    let outcome = Err(match error {
                        code::TOPIC_AUTHORIZATION_FAILED => {
                            self.config.not_authorized("DESCRIBE", format!("topic {name}"), error, Fate::NotWritten)
                        }
                        _ => ProduceError::Topic { topic: Arc::clone(&name), reason: code::name(error) },
                    });
                    self.actions.push_back(Action::Topic { name, outcome });
                }
                return false;
            }
        }
        // What a broker says is not to be trusted with our memory.
        answer.partitions.retain(|partition| (0..PARTITIONS_MAX).contains(&partition.index));
        let known = self.topics[index].partitions.len();
        // Partitions are numbered from 0 without gaps; while a topic is being made, some may be missing.
        let count = answer.partitions.iter().map(|partition| partition.index + 1).max().unwrap_or(0);
        for at in known..usize::try_from(count).unwrap_or(0) {
            self.topics[index].partitions.push(self.partitions.len() as u32);
            self.partitions.push(Partition::new(index, at as i32));
        }
        let topic = &mut self.topics[index];
        let recreated = topic.last_id != [0; 16] && answer.id != [0; 16] && topic.last_id != answer.id;
        topic.id = answer.id;
        if answer.id != [0; 16] {
            topic.last_id = answer.id;
        }
        topic.last_error = None;
        topic.refused_large &= !recreated;
        // Partitions are never taken from a topic; one that was made anew may have fewer.
        let count = usize::try_from(count).unwrap_or(0);
        let gone = if recreated && count < known { topic.partitions.split_off(count) } else { Vec::new() };
        for id in gone {
            self.partitions[id as usize].leader = None;
            self.expire(now, id);
            self.schedule(now, id);
        }
        let mut leaderless = false;
        let mut is_news = self.topics[index].partitions.len() != known;
        for partition in &answer.partitions {
            let Ok(at) = usize::try_from(partition.index) else { continue };
            let id = self.topics[index].partitions[at];
            if recreated {
                // A log of that name that begins anew has never heard of our sequences.
                if self.transactions.is_some() {
                    self.transaction_lost_log(now, id);
                } else if self.partitions[id as usize].in_flight.is_empty() {
                    self.bump(id, false);
                } else {
                    self.partitions[id as usize].sequences.log_made_anew();
                }
                // Should it come back from the old log, the new one knows it by no number.
                for sent in &mut self.partitions[id as usize].in_flight {
                    if let Some(batch) = &mut sent.batch {
                        batch.info.forget_sequence(false);
                    }
                }
                self.partitions[id as usize].leader_epoch = -1;
            }
            is_news |= self.set_leader(now, id, partition.leader, partition.leader_epoch);
            let leader = self.partitions[id as usize].leader;
            is_news |= leader.is_some_and(|leader| moved.contains(&leader));
            // Or its leader is none of the brokers that are told of: one that is down, and may not be for long.
            leaderless |= leader.is_none();
        }
        if is_news && known > 0 {
            // Before those who waited for it go on.
            self.tell_topology(index);
        }
        let topic = &mut self.topics[index];
        if !topic.partitions.is_empty() && std::mem::take(&mut topic.wanted) {
            let name = Arc::clone(&topic.name);
            self.actions.push_back(Action::Topic { name, outcome: Ok(()) });
        }
        leaderless || self.topics[index].partitions.is_empty()
    }

    /// A topic has more partitions than before, or fewer, or other leaders.
    pub(super) fn tell_topology(&mut self, topic: usize) {
        let topic = &self.topics[topic];
        let (name, partitions) = (Arc::clone(&topic.name), topic.partitions.len());
        self.actions.push_back(Action::Topology { name, partitions });
    }

    /// Takes a partition's leader from metadata or from a Produce response, unless it is older than what is known.
    /// Whether it is another one.
    pub(super) fn set_leader(&mut self, now: Instant, id: u32, leader: i32, epoch: i32) -> bool {
        let partition = &mut self.partitions[id as usize];
        if epoch >= 0 && epoch < partition.leader_epoch {
            // Of a topic that was made anew this is the truth, and brokers that tell no topic ids leave it at that.
            let since = *partition.older_since.get_or_insert(now);
            if now.saturating_since(since) < OLDER_EPOCH_MAX {
                return false;
            }
        }
        partition.older_since = None;
        let leader = (leader >= 0).then_some(NodeId(leader)).filter(|node| self.nodes.contains_key(node));
        if epoch >= 0 {
            partition.leader_epoch = epoch;
        }
        let is_another = partition.leader != leader;
        if is_another {
            partition.leader = leader;
            self.schedule(now, id);
        }
        is_another
    }

    /// The node to ask for metadata or a producer id: the one with the fewest requests among those that are up.
    pub(super) fn least_loaded(&self, now: Instant) -> Option<NodeId> {
        let up = self.nodes.values().filter_map(|node| {
            let connection = node.connection()?;
            let real = node.id.0 >= 0;
            connection.has_room(now, self.config.max_in_flight).then_some((!real, connection.in_flight.len(), node.id))
        });
        up.min().map(|(_, _, id)| id)
    }

    /// The node to connect to when none is up: a known broker, else an address from `bootstrap.servers` (KIP-899).
    pub(super) fn next_candidate(&mut self, now: Instant) -> Option<NodeId> {
        let is_free = |node: &Node| match node.link {
            Link::Idle => true,
            Link::Backoff(until) => until <= now,
            _ => false,
        };
        let free = |node: &&Node| is_free(node) && self.may_be_asked(node.id);
        let fewest = self.nodes.values().filter(free).map(|node| (node.failures, node.id.0 < 0)).min()?;
        let best: Vec<NodeId> = self
            .nodes
            .values()
            .filter(free)
            .filter(|node| (node.failures, node.id.0 < 0) == fewest)
            .map(|node| node.id)
            .collect();
        Some(best[self.rng.below(best.len())])
    }
}
