//! From a record to a sealed batch in its partition's queue.

use super::batch::{OpenBatch, Order, SealedBatch, SealedRecords};
use super::completion::{Completion, Outcome};
use super::metadata::TopicHandle;
use super::news::Behind;
use super::node::Link;
use super::partition::Slot;
use super::partitioner::{Standing, Sticky};
use super::ratio::Estimate;
use super::seal::{Made, Sealed, Unsealed, Work};
use super::sender::REQUEST_OVERHEAD;
use super::time::Instant;
use super::timers::Timer;
use super::{Core, CoreConfig, partitioner};
use crate::error::{Fate, ProduceError, Stage};
use crate::protocol::compression::Compression;
use crate::protocol::record_batch::{ENCODE_SLACK, HEADER_LEN, RecordBody};
use bytes::Bytes;
use std::sync::Arc;

/// Smaller bodies than this many bytes are sealed where they are closed.
const SEALED_AT_ONCE: usize = 4 * 1024;

/// Smaller values than this many bytes are copied: that costs less than to hold them.
const HELD_FROM: usize = 4 * 1024;

/// A record to append.
#[derive(Clone, Copy, Debug)]
pub struct Append<'a> {
    /// From [`Core::topic`].
    pub topic: TopicHandle,
    /// Where it goes.
    pub placement: Placement,
    /// Create time, milliseconds since the Unix epoch.
    pub timestamp: i64,
    /// When `send` accepted it; `None` is now.
    pub accepted: Option<Instant>,
    /// `None` is null.
    pub key: Option<&'a [u8]>,
    /// `None` is null.
    pub value: Option<&'a [u8]>,
    /// What the value lies in, where it may be held instead of being copied, until the record is done; if it lies
    /// elsewhere, it is copied.
    pub value_buffer: Option<&'a Bytes>,
    /// As [`crate::protocol::record_batch::encode_headers`] wrote them.
    pub headers: &'a [u8],
    /// Comes back in [`super::Done::tokens`]. All records of a producer carry one, or none does.
    pub token: Option<u64>,
}

/// Which partition a record goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// The built-in choice: by key, or sticky without one.
    Default,
    /// The partitions in turn, whatever the key.
    RoundRobin,
    /// This one.
    Partition(i32),
    /// One of a set, chosen as the built-in choice does without a key: sticky, by queue length.
    Group(GroupHandle),
}

/// A set of a topic's partitions, from [`Core::group`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GroupHandle(u32);

/// A set of partitions with its own sticky choice, whoever names it.
#[derive(Debug)]
pub(super) struct Group {
    topic: TopicHandle,
    /// Ascending, each once.
    members: Vec<u32>,
    sticky: Sticky,
}

/// Where a record was appended.
#[derive(Debug)]
pub struct Appended<'a> {
    /// Of the batch that took it.
    pub completion: &'a Arc<Completion>,
    /// Which record of the batch it is.
    pub index: u32,
    /// The partition's number among all that the core knows, without gaps.
    pub partition: u32,
    /// Whether a batch became full: then [`Core::poll_full`] has work.
    pub filled: bool,
    /// Whether a batch was begun: then the driver has to learn of it.
    pub began: bool,
}

/// Whose sticky choice a record followed.
#[derive(Clone, Copy, Debug)]
enum StickyOf {
    Topic,
    Group(GroupHandle),
}

impl Core {
    /// Appends a record to a batch that is open and stays so. That is all there is to do for most records, and this is
    /// no more than that; inlined, so that nothing is moved about. `None` where there is more to it: then nothing was done, and
    /// [`Core::append`] does it.
    #[inline(always)]
    pub fn append_to_open(&mut self, record: &Append<'_>) -> Option<Appended<'_>> {
        let body = RecordBody { key: record.key, value: record.value, headers: record.headers };
        let max_len = body.max_len();
        if self.ended.is_some() || record.timestamp < 0 || HEADER_LEN + max_len > self.config.max_request_size {
            return None;
        }
        let topic = &mut self.topics[record.topic.index()];
        let count = topic.partitions.len();
        let (at, is_sticky) = match record.placement {
            Placement::Partition(partition) => (partition as usize, false),
            Placement::Default => match record.key.filter(|_| !self.config.ignore_keys) {
                Some(key) if count > 0 => (partitioner::partition_of_key(key, count), false),
                _ => (topic.sticky.current()?, true),
            },
            Placement::RoundRobin | Placement::Group(_) => return None,
        };
        let id = *topic.partitions.get(at)?;
        let partition = &mut self.partitions[id as usize];
        // What makes the sticky choice move on.
        if is_sticky && (partition.leader.is_none() || self.config.availability_timeout.is_some()) {
            return None;
        }
        let (batch, queued) = partition.open_and_queued()?;
        let is_older = record.accepted.is_some_and(|accepted| accepted < batch.info.accepted);
        if is_older || !batch.fits_before_others(max_len) {
            return None;
        }
        let (index, len) = batch.append(&body, max_len, record.timestamp, record.accepted, record.token);
        *queued += len as u64;
        if is_sticky {
            topic.sticky.book(batch.sent(len), self.config.batch_size, true);
        }
        Some(Appended { completion: batch.info.completion(), index, partition: id, filled: false, began: false })
    }

    /// Appends a record to the open batch of its partition. The time is asked for only where it matters, which for
    /// most records it does not: where a batch begins.
    ///
    /// # Errors
    /// The record is too large, its partition does not exist, or the producer cannot go on.
    #[inline(never)]
    pub fn append(&mut self, now: impl Fn() -> Instant, record: &Append<'_>) -> Result<Appended<'_>, ProduceError> {
        let body = RecordBody { key: record.key, value: record.value, headers: record.headers };
        let max_len = body.max_len();
        let may_not = self.ended.is_some() || self.lacks_transaction();
        if may_not || record.timestamp < 0 || HEADER_LEN + max_len > self.config.max_request_size {
            return Err(self.refusal(record, HEADER_LEN + max_len));
        }
        let (id, sticky) = self.place(&now, record)?;
        let mut filled = false;
        let mut began = false;
        let mut held = None;
        let fits = self.partitions[id as usize].open().is_some_and(|batch| batch.fits(max_len));
        if !fits && !self.let_grow(&now, id, max_len) {
            filled = self.close_open(id);
            held = self.to_hold(record, max_len);
            self.begin_batch(now(), id, max_len, held.as_ref().map_or(0, Bytes::len), record.accepted);
            began = true;
        }
        let partition = &mut self.partitions[id as usize];
        let Some(batch) = partition.open() else { unreachable!("a batch was just begun") };
        let older = record.accepted.filter(|&accepted| accepted < batch.info.accepted);
        let (index, len) = match held {
            None => batch.append(&body, max_len, record.timestamp, record.accepted, record.token),
            Some(value) => {
                let permit = self.config.memory.take(value.len());
                batch.append_around(&body, value, permit, record.timestamp, record.accepted, record.token)
            }
        };
        // One that could take another record is closed by the first that does not fit.
        let full = batch.is_full();
        let sent = batch.sent(len);
        partition.came(len);
        if let Some(sticky) = sticky {
            let sticky = match sticky {
                StickyOf::Topic => &mut self.topics[record.topic.index()].sticky,
                StickyOf::Group(group) => &mut self.groups[group.0 as usize].sticky,
            };
            sticky.book(sent, self.config.batch_size, !full && !filled);
        }
        if let Some(older) = older {
            self.partitions[id as usize].note_accepted(older);
            self.schedule(now(), id);
        }
        // Where another one like it has no room, growing is for nothing.
        if full && !self.let_grow(&now, id, max_len) {
            filled |= self.close_open(id);
        }
        let Some(slot) = self.partitions[id as usize].queue.back() else { unreachable!("as above") };
        Ok(Appended { completion: slot.info().completion(), index, partition: id, filled, began })
    }

    /// The value of a record that has a batch for itself, if it is to be held there instead of being copied.
    fn to_hold(&self, record: &Append<'_>, max_len: usize) -> Option<Bytes> {
        let (value, buffer) = (record.value?, record.value_buffer?);
        let (inner, outer) = (value.as_ptr_range(), buffer.as_ptr_range());
        let lies_within = outer.start <= inner.start && inner.end <= outer.end;
        let fills_batch = HEADER_LEN + max_len > self.config.batch_size;
        let is_large = fills_batch && value.len() >= HELD_FROM;
        (lies_within && is_large && self.config.compression == Compression::None).then(|| buffer.slice_ref(value))
    }

    #[cold]
    fn refusal(&self, record: &Append<'_>, size: usize) -> ProduceError {
        let topic = &self.topics[record.topic.index()].name;
        if let Some(ended) = &self.ended {
            let partition = match record.placement {
                Placement::Partition(partition) => Some(partition),
                Placement::Default | Placement::RoundRobin | Placement::Group(_) => None,
            };
            return ended.error(Fate::NotWritten).at(topic, partition);
        }
        let topic = Arc::clone(topic);
        if self.lacks_transaction() {
            return self.no_transaction(&topic);
        }
        if record.timestamp < 0 {
            return ProduceError::Timestamp { topic, timestamp: record.timestamp };
        }
        ProduceError::TooLarge { topic, size, key: "max.request.size", limit: self.config.max_request_size }
    }

    /// A set of partitions that records may be appended to. The same set is the same group, for all who ask: its
    /// sticky choice belongs to it.
    pub fn group(&mut self, topic: TopicHandle, members: &[u32]) -> GroupHandle {
        let mut members = members.to_vec();
        members.sort_unstable();
        members.dedup();
        let known = self.groups.iter().position(|group| group.topic == topic && group.members == members);
        let at = known.unwrap_or_else(|| {
            self.groups.push(Group { topic, members, sticky: Sticky::default() });
            self.groups.len() - 1
        });
        GroupHandle(at as u32)
    }

    /// The partition's dense id, and whose sticky choice it was, if it was one.
    fn place(
        &mut self,
        now: impl Fn() -> Instant,
        record: &Append<'_>,
    ) -> Result<(u32, Option<StickyOf>), ProduceError> {
        let (partitions, nodes, config) = (&self.partitions, &self.nodes, &self.config);
        // A broker that takes no requests for long is passed over while there are others (KIP-794).
        let standing = |id: u32| {
            let Some(leader) = partitions[id as usize].leader else { return Standing::Leaderless };
            let Some(patience) = config.availability_timeout else { return Standing::Good };
            let is_late = nodes.get(&leader).is_some_and(|node| node.is_late(now(), patience));
            if is_late { Standing::Late } else { Standing::Good }
        };
        let topic = &mut self.topics[record.topic.index()];
        let count = topic.partitions.len();
        if count == 0 {
            let partition = if let Placement::Partition(partition) = record.placement { partition } else { -1 };
            return Err(ProduceError::NoSuchPartition { topic: Arc::clone(&topic.name), partition, count });
        }
        let by_key = record.key.filter(|_| !self.config.ignore_keys);
        let (at, sticky) = match (record.placement, by_key) {
            (Placement::Partition(index), _) => {
                let at = usize::try_from(index).ok().filter(|&at| at < count);
                let missing =
                    || ProduceError::NoSuchPartition { topic: Arc::clone(&topic.name), partition: index, count };
                (at.ok_or_else(missing)?, None)
            }
            (Placement::Group(handle), _) => {
                let group = &mut self.groups[handle.0 as usize];
                let ids = &topic.partitions;
                // A topic that was made anew may have fewer partitions than when the group was formed.
                let known: Vec<u32>;
                let members = match group.members.last() {
                    Some(&last) if (last as usize) < count => &group.members,
                    _ => {
                        known = group.members.iter().copied().filter(|&at| (at as usize) < count).collect();
                        &known
                    }
                };
                if members.is_empty() {
                    let partition = group.members.first().map_or(-1, |&at| at as i32);
                    return Err(ProduceError::NoSuchPartition { topic: Arc::clone(&topic.name), partition, count });
                }
                let standing = |at: usize| standing(ids[members[at] as usize]);
                let queued = |at: usize| partitions[ids[members[at] as usize] as usize].queued_bytes();
                let chosen = group.sticky.choose(members.len(), &mut self.rng, config.adaptive, standing, queued);
                (members[chosen] as usize, Some(StickyOf::Group(handle)))
            }
            (Placement::RoundRobin, _) => {
                topic.next_in_turn = topic.next_in_turn.wrapping_add(1);
                let first = topic.next_in_turn;
                let usable = |at: &usize| self.partitions[topic.partitions[*at] as usize].leader.is_some();
                ((0..count).map(|step| (first + step) % count).find(usable).unwrap_or(first % count), None)
            }
            (Placement::Default, Some(key)) => (partitioner::partition_of_key(key, count), None),
            (Placement::Default, None) => {
                let ids = &topic.partitions;
                let standing = |at: usize| standing(ids[at]);
                let queued = |at: usize| partitions[ids[at] as usize].queued_bytes();
                let chosen = topic.sticky.choose(count, &mut self.rng, config.adaptive, standing, queued);
                (chosen, Some(StickyOf::Topic))
            }
        };
        Ok((topic.partitions[at], sticky))
    }

    /// Lets the open batch become larger, twice as large as it may be, up to `batch.size.max`, where it would only wait: others
    /// stand before it, and their broker has no room for them. A broker's work is by the batch as much as by the byte, so
    /// what falls behind is caught up with; the batch goes out as soon as it is the first. Whether it takes a record of so
    /// many bytes more.
    #[inline(never)]
    fn let_grow(&mut self, now: impl Fn() -> Instant, id: u32, more: usize) -> bool {
        let CoreConfig { memory, acks, compression, delivery_timeout, max_in_flight, .. } = &self.config;
        let most = self.config.batch_size_max.min(self.config.max_request_size.saturating_sub(REQUEST_OVERHEAD));
        let partition = &mut self.partitions[id as usize];
        let (topic, leader, is_first) = (partition.topic, partition.leader, partition.queue.len() < 2);
        let Some(batch) = partition.open().filter(|_| !is_first) else { return false };
        let limit = batch.limit().saturating_mul(2).min(most);
        // What compression makes of a batch is a wager, and its work would be done when the batch is to go. Without
        // acknowledgements nobody would learn that it is too large.
        if HEADER_LEN + batch.body_len() + more > limit
            || limit <= batch.limit()
            || *compression != Compression::None
            || *acks == 0
            || memory.available() < limit as i64
            || self.topics[topic].refused_large
        {
            return false;
        }
        let now = now();
        let link = leader.and_then(|leader| self.nodes.get(&leader)).and_then(|node| node.connection());
        let is_behind = link.is_some_and(|link| !link.has_room(now, *max_in_flight));
        // It fails by the time of its oldest record.
        if !is_behind || now.saturating_since(batch.info.created) > *delivery_timeout / 8 {
            return false;
        }
        batch.grow_to(limit, memory.buffer(limit + ENCODE_SLACK));
        true
    }

    #[inline(never)]
    fn begin_batch(&mut self, now: Instant, id: u32, first_len: usize, held: usize, accepted: Option<Instant>) {
        self.use_topic(now, TopicHandle::of(self.partitions[id as usize].topic));
        let order = Order::begun(self.next_order);
        self.next_order += 1;
        self.flushes.began(order.batch);
        self.active.insert(id);
        let partition = &mut self.partitions[id as usize];
        let topic = &self.topics[partition.topic];
        let limit = self.config.batch_size;
        let estimate = match self.config.compression {
            Compression::None => Estimate::EXACT,
            _ => topic.ratio.estimate(),
        };
        // Batches of a partition tend to end alike: begin with room for the last one's size, so that a busy
        // partition's buffer never moves and an idle one's stays small.
        let capacity = match held {
            0 => {
                partition.last_body_len.max(first_len).max(256 - ENCODE_SLACK).min(estimate.most(limit).max(first_len))
            }
            _ => first_len - held,
        };
        let mut batch = OpenBatch::new(
            order,
            id,
            Completion::new(Arc::clone(&topic.name), partition.index, self.config.may_block),
            limit,
            estimate,
            self.config.memory.buffer(capacity + ENCODE_SLACK),
            self.config.memory.take(0),
            now,
            self.rooms.info(),
        );
        // Its deadline is its oldest record's, which may have waited elsewhere for long.
        batch.info.accepted = accepted.map_or(now, |accepted| accepted.min(now));
        batch.info.tokens.reserve(partition.last_tokens);
        partition.note_accepted(batch.info.accepted);
        partition.take_room(&mut self.rooms);
        partition.queue.push_back(Slot::Open(batch));
        self.join(id);
        self.schedule(now, id);
    }

    /// Puts the records of the open batch, if there is one, up for sealing. The batch keeps its place.
    #[inline(never)]
    fn close_open(&mut self, id: u32) -> bool {
        let partition = &mut self.partitions[id as usize];
        let Some((info, body, permit)) = partition.take_open() else { return false };
        self.unsealed.push_back(Work::Seal { partition: id, place: info.order, body, permit });
        partition.queue.push_back(Slot::Sealing(info));
        true
    }

    /// Closes the open batch, if there is one, because of its time. A small one is sealed at once, which costs less than
    /// handing it out and taking it back, and saves it a pass of the shell. Whether it was.
    fn close_early(&mut self, now: Instant, id: u32, goes_along: bool) -> bool {
        let partition = &mut self.partitions[id as usize];
        let Some(batch) = partition.open() else { return false };
        let has_grown = batch.limit() > self.config.batch_size;
        batch.info.goes_at_once = goes_along || has_grown;
        if !self.closing && batch.info.order.batch >= self.expedited && !has_grown {
            self.pace.closed(now);
        }
        let is_small = self.config.compression == Compression::None && batch.body_len() < SEALED_AT_ONCE;
        if is_small && let Some((info, body, permit)) = partition.take_open() {
            let records = SealedRecords::new(0, body, permit);
            partition.queue.push_back(Slot::Sealed(SealedBatch { info, records }));
            return true;
        }
        self.close_open(id);
        false
    }

    /// A full batch to seal, for whoever filled it: seal it without the core's lock and hand it back.
    pub fn poll_full(&mut self) -> Option<Unsealed> {
        let work = self.unsealed.pop_front()?;
        Some(Unsealed { work, compression: self.config.compression, memory: self.config.memory.clone() })
    }

    /// As [`Core::poll_full`], and batches whose time has come and whose broker could take them now.
    pub fn poll_seal(&mut self, now: Instant) -> Option<Unsealed> {
        if self.unsealed.is_empty() {
            let mut due = Vec::new();
            for node in self.busy.iter().filter_map(|node| self.nodes.get(node)) {
                let Link::Up(connection) = &node.link else { continue };
                if connection.has_room(now, self.config.max_in_flight) {
                    let open = |id: &u32| matches!(self.partitions[*id as usize].queue.front(), Some(Slot::Open(_)));
                    due.extend(node.ready.iter().filter(open));
                }
            }
            let mut along = Vec::new();
            for id in due {
                let mut is_sealed = false;
                if self.pass_gate(now, id) {
                    is_sealed = self.close_early(now, id, false);
                    let leader = self.partitions[id as usize].leader.and_then(|leader| self.nodes.get_mut(&leader));
                    if let Some(leader) = leader {
                        along.extend(leader.lingering.iter());
                        leader.lingering.clear();
                    }
                }
                if !is_sealed {
                    self.unready(id);
                }
            }
            // One request for all that lingers costs less than one for each, and is earlier: as Java's drain does.
            for id in along {
                self.partitions[id as usize].lingers_on = None;
                if self.pass_gate(now, id) && self.close_early(now, id, true) {
                    self.schedule(now, id);
                }
            }
        }
        self.poll_full()
    }

    /// Takes back a sealed batch, or what was made of it. One that has failed meanwhile is let go.
    pub fn handle_sealed(&mut self, now: Instant, sealed: Sealed) {
        let Sealed { partition: id, place, made } = sealed;
        let partition = &mut self.partitions[id as usize];
        // Mostly the last but one.
        let is_it = |slot: &Slot| matches!(slot, Slot::Sealing(info) if info.order == place);
        let at = partition.queue.iter().rposition(is_it);
        let Some((at, Slot::Sealing(info))) = at.and_then(|at| Some((at, partition.queue.remove(at)?))) else { return };
        match made {
            Made::Itself(records) => {
                self.topics[partition.topic].ratio.observe(info.record_bytes, records.body.len());
                let lingered = self.closing
                    || info.order.batch < self.expedited
                    || info.goes_at_once
                    || now.saturating_since(info.created) >= self.config.linger;
                if lingered || info.went_before() {
                    self.news.ready(now);
                } else {
                    let leader = partition.leader.and_then(|leader| self.nodes.get(&leader));
                    let behind = match leader {
                        Some(leader) if !leader.ready.is_empty() => Behind::SameBroker,
                        _ if self.busy.is_empty() => Behind::Nothing,
                        _ => Behind::OtherBrokers,
                    };
                    self.news.full(now, records.body.len(), self.config.linger, behind);
                }
                partition.queue.insert(at, Slot::Sealed(SealedBatch { info, records }));
            }
            Made::Anew(batches) => {
                self.flushes.ended(place.batch);
                self.news.ready(now);
                partition.left(info.record_bytes);
                for (nth, mut batch) in batches.into_iter().enumerate() {
                    if batch.info.sequence.is_some_and(|sequence| !partition.sequences.is_of(sequence.producer)) {
                        // The epoch was bumped meanwhile.
                        batch.info.forget_sequence(true);
                    }
                    self.flushes.began(batch.info.order.batch);
                    partition.came(batch.info.record_bytes);
                    partition.queue.insert(at + nth, Slot::Sealed(batch));
                }
            }
        }
        self.expire(now, id);
        self.schedule(now, id);
    }

    /// Puts the partition among its leader's ready ones if its head may go out as far as time is concerned, else out
    /// of them; and sets its timer. To be called whenever something about the partition changed.
    pub(super) fn schedule(&mut self, now: Instant, id: u32) {
        let partition = &mut self.partitions[id as usize];
        if partition.queue.is_empty() {
            partition.oldest = None;
            if partition.in_flight.is_empty() {
                debug_assert_eq!(partition.queued_bytes(), 0, "nothing is left");
                partition.give_back(&mut self.rooms);
            }
        }
        let in_flight = partition.in_flight.iter().filter_map(|sent| sent.batch.as_ref());
        let oldest = in_flight.map(|batch| batch.info.accepted).chain(partition.oldest).min();
        if let Some(oldest) = oldest {
            self.timers.no_later(Timer::Expiry(id), oldest + self.config.delivery_timeout);
        }
        let mut wake: Option<Instant> = None;
        let mut lingers = false;
        let mut due = match partition.queue.front() {
            None | Some(Slot::Sealing(_)) => false,
            Some(Slot::Sealed(_)) => true,
            Some(Slot::Open(batch)) => {
                let lingered = (batch.info.created + self.config.linger).max(self.pace.next());
                let due = self.closing
                    || batch.info.order.batch < self.expedited
                    || batch.limit() > self.config.batch_size
                    || lingered <= now;
                if !due {
                    wake = Some(lingered);
                    lingers = true;
                }
                due
            }
        };
        if let Some(until) = partition.blocked_until
            && until > now
        {
            wake = Some(wake.map_or(until, |lingered| lingered.min(until)));
            (due, lingers) = (false, false);
        }
        let lingers_on = if lingers { partition.leader } else { None };
        if lingers_on != partition.lingers_on {
            let before = std::mem::replace(&mut partition.lingers_on, lingers_on);
            if let Some(node) = before.and_then(|node| self.nodes.get_mut(&node)) {
                node.lingering.remove(id);
            }
            if let Some(node) = lingers_on.and_then(|node| self.nodes.get_mut(&node)) {
                node.lingering.insert(id);
            }
        }
        let partition = &mut self.partitions[id as usize];
        let ready_on = if due { partition.leader } else { None };
        if ready_on != partition.ready_on {
            self.unready(id);
            if let Some(leader) = ready_on
                && let Some(node) = self.nodes.get_mut(&leader)
            {
                // Of what became full the news has heard.
                let is_full = |slot: &Slot| matches!(slot, Slot::Sealed(batch) if !batch.info.went_before());
                if !self.partitions[id as usize].queue.front().is_some_and(is_full) {
                    self.news.ready(now);
                }
                node.add_ready(now, id);
                self.busy.insert(leader);
                self.partitions[id as usize].ready_on = ready_on;
                if matches!(node.link, Link::Idle) {
                    self.drive_links(now);
                }
            }
        }
        self.timers.set(Timer::Partition(id), wake);
    }

    /// Takes the partition out of its leader's ready ones.
    pub(super) fn unready(&mut self, id: u32) {
        if let Some(at) = self.partitions[id as usize].ready_on.take()
            && let Some(node) = self.nodes.get_mut(&at)
        {
            node.ready.remove(id);
            if node.ready.is_empty() {
                self.busy.remove(&at);
            }
        }
    }

    /// Fails what is past `delivery.timeout.ms`, and all that waits for a partition that is no more.
    pub(super) fn expire(&mut self, now: Instant, id: u32) {
        let timeout = self.config.delivery_timeout;
        let partition = &mut self.partitions[id as usize];
        let partitions = &self.topics[partition.topic].partitions;
        let gone = !usize::try_from(partition.index).is_ok_and(|at| partitions.get(at) == Some(&id));
        let (index, count) = (partition.index, partitions.len());
        let mut sent = partition.in_flight.iter().filter_map(|sent| sent.batch.as_ref());
        if !gone
            && partition.oldest.is_none_or(|oldest| oldest + timeout > now)
            && !sent.any(|batch| batch.info.accepted + timeout <= now)
        {
            return;
        }
        let topic = Arc::clone(&self.topics[partition.topic].name);
        let error = |stage, fate, last_cause| {
            if gone {
                return Outcome::Failed(ProduceError::NoSuchPartition {
                    topic: Arc::clone(&topic),
                    partition: index,
                    count,
                });
            }
            Outcome::Failed(ProduceError::Timeout {
                topic: Arc::clone(&topic),
                partition: Some(index),
                key: "delivery.timeout.ms",
                limit: timeout,
                stage,
                last_cause,
                fate,
            })
        };
        let mut failed = Vec::new();
        for sent in &mut partition.in_flight {
            if let Some(batch) = sent.batch.take_if(|batch| batch.info.accepted + timeout <= now) {
                failed.push((batch.info, Stage::Sent, Fate::Unknown, None));
            }
        }
        let trouble = match partition.leader {
            Some(leader) => self.nodes.get(&leader).and_then(|node| node.last_cause.clone()),
            None => Some("the partition has no leader".to_owned()),
        };
        let mut at = 0;
        while at < partition.queue.len() {
            if !gone && partition.queue[at].info().accepted + timeout > now {
                at += 1;
                continue;
            }
            let Some(info) = partition.queue.remove(at).map(Slot::into_info) else { unreachable!("looked at above") };
            if let Some(sequence) = info.sequence {
                partition.sequences.leave_hole(info.order, sequence, !info.maybe_written);
            }
            let (stage, fate) = (if info.went_before() { Stage::Sent } else { Stage::Batch }, info.fate());
            failed.push((info, stage, fate, trouble.clone()));
        }
        partition.oldest = partition.queue.iter().map(|slot| slot.info().accepted).min();
        if partition.queue.is_empty() {
            self.active.remove(id);
        }
        for (mut info, stage, fate, trouble) in failed {
            let cause = info.last_cause.take().or(trouble);
            self.end(now, info, error(stage, fate, cause));
        }
    }
}
