//! Senders that wait: for their topic's metadata, then for memory, in the order of their sends.
//!
//! A record that waits is copied, so that its place depends on nobody polling anything. Whoever frees memory moves
//! the first in line into the lane; the sender only learns of it.

use super::callbacks::let_go;
use super::chunk::staged_size;
use super::counters::WaitCounters;
use super::delivery::Delivery;
use super::direct::AfterAppends;
use super::lookup::Lookup;
use super::staging::{AckItem, Shared, State};
use super::submit::Submitted;
use super::{DeliveryThread, UserCallback};
use crate::core::time::Instant;
use crate::core::{TopicStatus, Windows};
use crate::error::{Fate, ProduceError, Stage};
use crate::record::{Header, Record};
use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Poll, Waker};
use std::time::Duration;

/// A record in line, and whoever waits for its turn.
pub(crate) struct Waiter {
    record: OwnedRecord,
    bytes: usize,
    deadline: Instant,
    state: Mutex<WaiterState>,
    delivery_thread: Arc<DeliveryThread>,
}

struct WaiterState {
    turn: Turn,
    callback: Option<UserCallback>,
    waker: Option<Waker>,
    /// When it came into the line that it is in.
    since: Instant,
}

enum Turn {
    InLine,
    Settled(Result<Delivery, ProduceError>),
    /// Its sender went away, or has the answer.
    Over,
}

struct OwnedRecord {
    topic: String,
    partition: Option<i32>,
    timestamp: Option<i64>,
    key: Option<Vec<u8>>,
    value: Option<Bytes>,
    headers: Vec<(String, Option<Vec<u8>>)>,
}

/// All who wait. Those of one topic that is not known are in line among themselves; those for memory are all in one.
pub(super) struct Waiting {
    topics: BTreeMap<String, VecDeque<Arc<Waiter>>>,
    memory: VecDeque<Arc<Waiter>>,
    /// Nobody in line for memory has an earlier deadline. Theirs are in no order: who waited for a topic before comes
    /// with less time left.
    memory_deadline: Option<Instant>,
    /// By topic; they have no place in any line.
    pub(super) lookups: BTreeMap<String, Vec<Arc<Lookup>>>,
    pub(super) counters: WaitCounters,
}

impl Waiting {
    pub(super) fn new(windows: Windows) -> Waiting {
        Waiting {
            topics: BTreeMap::new(),
            memory: VecDeque::new(),
            memory_deadline: None,
            lookups: BTreeMap::new(),
            counters: WaitCounters::new(windows),
        }
    }

    pub(super) fn has_topic(&self, topic: &str) -> bool {
        self.topics.contains_key(topic)
    }

    pub(super) fn push_for_topic(&mut self, waiter: Arc<Waiter>) {
        self.topics.entry(waiter.record.topic.clone()).or_default().push_back(waiter);
    }

    fn push_for_memory(&mut self, waiter: Arc<Waiter>) {
        let deadline = waiter.deadline;
        self.memory_deadline = Some(self.memory_deadline.map_or(deadline, |earliest| earliest.min(deadline)));
        self.memory.push_back(waiter);
    }

    /// Takes those out who waited for too long for memory, or went away.
    fn take_late(&mut self, now: Instant) -> Vec<Arc<Waiter>> {
        if self.memory_deadline.is_none_or(|earliest| earliest > now) {
            return Vec::new();
        }
        let is_late = |waiter: &Arc<Waiter>| waiter.is_over() || waiter.deadline <= now;
        let (late, left) = std::mem::take(&mut self.memory).into_iter().partition(is_late);
        self.memory = left;
        self.memory_deadline = self.memory.iter().map(|waiter| waiter.deadline).min();
        late.into()
    }

    /// Everyone who has a place in a line. Those who only look something up are settled by the caller.
    pub(super) fn take_all(&mut self) -> Vec<Arc<Waiter>> {
        let topics = std::mem::take(&mut self.topics);
        topics.into_values().flatten().chain(std::mem::take(&mut self.memory)).collect()
    }

    /// How many have a place in a line.
    fn count(&self) -> usize {
        self.topics.values().flatten().chain(&self.memory).filter(|waiter| !waiter.is_over()).count()
    }

    fn next_deadline(&self) -> Option<Instant> {
        let topics = self.topics.values().filter_map(VecDeque::front).map(|waiter| waiter.deadline);
        let memory = self.memory_deadline.filter(|_| !self.memory.is_empty());
        let lookups = self.lookups.values().flatten().map(|lookup| lookup.deadline);
        topics.chain(memory).chain(lookups).min()
    }
}

impl Waiter {
    pub(super) fn topic(&self) -> Arc<str> {
        self.record.topic.as_str().into()
    }

    pub(super) fn partition(&self) -> Option<i32> {
        self.record.partition
    }

    /// Whether the record's turn has come, and how it went; else `waker` is woken when it does.
    pub(crate) fn poll(&self, waker: &Waker) -> Poll<Result<Delivery, ProduceError>> {
        let mut state = self.lock();
        if matches!(state.turn, Turn::InLine) {
            let before = state.waker.replace(waker.clone());
            drop(state);
            drop(before);
            return Poll::Pending;
        }
        match std::mem::replace(&mut state.turn, Turn::Over) {
            Turn::Settled(result) => Poll::Ready(result),
            Turn::InLine | Turn::Over => Poll::Ready(Err(ProduceError::Misuse("an accept was polled after its end"))),
        }
    }

    /// Takes the record back if its turn has not come. Whether it is not sent, be it for that or as it was refused.
    pub(crate) fn cancel(&self) -> bool {
        let mut state = self.lock();
        let sent = matches!(state.turn, Turn::Settled(Ok(_)));
        if matches!(state.turn, Turn::InLine) {
            state.turn = Turn::Over;
            let (callback, waker) = (state.callback.take(), state.waker.take());
            drop(state);
            drop(waker);
            let_go(&self.delivery_thread, callback);
        }
        !sent
    }

    /// Tells the sender that the record was not accepted.
    pub(super) fn refuse(&self, error: ProduceError) {
        let mut state = self.lock();
        if matches!(state.turn, Turn::InLine) {
            let callback = state.callback.take();
            let waker = Self::settle(&mut state, Err(error));
            drop(state);
            let_go(&self.delivery_thread, callback);
            waker.into_iter().for_each(Waker::wake);
        }
    }

    /// Begins to wait for something else, and says how long it waited until now.
    fn move_on(&self, now: Instant) -> Duration {
        let mut state = self.lock();
        now - std::mem::replace(&mut state.since, now)
    }

    fn is_over(&self) -> bool {
        matches!(self.lock().turn, Turn::Over)
    }

    /// Whom to wake, once no lock is held.
    fn settle(state: &mut WaiterState, result: Result<Delivery, ProduceError>) -> Option<Waker> {
        state.turn = Turn::Settled(result);
        state.waker.take()
    }

    fn lock(&self) -> MutexGuard<'_, WaiterState> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let callback = self.lock().callback.take();
        let_go(&self.delivery_thread, callback);
    }
}

impl Shared {
    pub(super) fn waiter(&self, record: &Record<'_>, bytes: usize, callback: Option<UserCallback>) -> Arc<Waiter> {
        debug_assert_eq!(bytes, staged_size(record));
        let now = self.clock.now();
        Arc::new(Waiter {
            record: OwnedRecord::from(record),
            bytes,
            deadline: now + self.config.max_block,
            state: Mutex::new(WaiterState { turn: Turn::InLine, callback, waker: None, since: now }),
            delivery_thread: Arc::clone(&self.delivery_thread),
        })
    }

    pub(super) fn wait_for_memory(
        &self,
        record: &Record<'_>,
        bytes: usize,
        callback: Option<UserCallback>,
    ) -> Submitted {
        let waiter = self.waiter(record, bytes, callback);
        let mut waiting = self.lock_waiting();
        // Closing empties the line once, and so does an abort.
        if self.lock().is_closed() || !self.gate.is_open() {
            drop(waiting);
            return self.refuse_at_gate(record);
        }
        waiting.push_for_memory(Arc::clone(&waiter));
        self.set_waiting(waiting.memory.len());
        drop(waiting);
        // Memory may have come back between the attempt and the line.
        self.admit();
        self.watch();
        if self.is_memory_short() {
            self.end_lingering();
        }
        Submitted::Waiting(waiter)
    }

    /// A topic became usable, or cannot be used: those who wait for it go on, in order.
    pub(crate) fn topic_settled(&self, name: &str, outcome: &Result<(), ProduceError>) {
        // Before those who wait outside: what is aside in the lane was sent earlier.
        self.acknowledge(AckItem::Topic(name.into(), outcome.clone()));
        let mut waiting = self.lock_waiting();
        let line = waiting.topics.remove(name).unwrap_or_default();
        let lookups = waiting.lookups.remove(name).unwrap_or_default();
        let now = self.clock.now();
        for waiter in &line {
            waiting.counters.waited_for_metadata(waiter.move_on(now));
        }
        match outcome {
            Ok(()) => {
                // In line before the topic is known: a newcomer that finds it known finds the line, too.
                line.into_iter().for_each(|waiter| waiting.push_for_memory(waiter));
                self.set_waiting(waiting.memory.len());
                self.learn_known(name);
                drop(waiting);
                self.admit();
            }
            Err(error) => {
                line.iter().for_each(|_| waiting.counters.refused(now));
                drop(waiting);
                for waiter in line {
                    waiter.refuse(error.clone());
                }
            }
        }
        for lookup in lookups {
            lookup.settle(outcome.clone());
        }
    }

    /// How many records are in line.
    pub(super) fn count_in_line(&self) -> usize {
        self.lock_waiting().count()
    }

    /// Refuses all records in line, as their transaction is being aborted.
    pub(super) fn refuse_line(&self, error: impl Fn(&Arc<str>) -> ProduceError) {
        let mut waiting = self.lock_waiting();
        if !self.gate.aborts() {
            // It is over, and they are the next transaction's.
            return;
        }
        let refused = waiting.take_all();
        self.set_waiting(0);
        let now = self.clock.now();
        refused.iter().for_each(|_| waiting.counters.refused(now));
        let mut core = self.lock_core();
        for waiter in refused.iter().filter(|waiter| !waiting.lookups.contains_key(&waiter.record.topic)) {
            core.forget(&waiter.record.topic);
        }
        drop(core);
        drop(waiting);
        for waiter in refused {
            waiter.refuse(error(&waiter.topic()));
        }
    }

    /// Moves those who wait for memory into their lanes, as far as there is room: whoever has waited longest first, in
    /// each lane in the order of the sends. To be called by whoever may have freed some. Cheap when nobody waits.
    pub(crate) fn admit(&self) {
        if !self.together.anyone_waits() {
            return;
        }
        let starving = match self.together.lanes() {
            None => self.admit_own(),
            Some(lanes) => {
                let mut in_line: Vec<(Instant, Arc<Shared>)> =
                    lanes.filter_map(|lane| Some((lane.first_in_line_since()?, lane))).collect();
                in_line.sort_by_key(|(since, _)| *since);
                // What is there by and by is for the one who wants it first, however much that is.
                in_line.iter().any(|(_, lane)| lane.admit_own())
            }
        };
        let was_starving = self.together.set_starving(starving);
        if starving && !was_starving {
            self.end_lingering();
        }
    }

    /// What lingers holds memory that someone waits for.
    fn end_lingering(&self) {
        let now = self.clock.now();
        self.lock_core().expedite(now);
        (self.wake_driver)();
    }

    fn first_in_line_since(&self) -> Option<Instant> {
        let waiting = self.lock_waiting();
        let first = waiting.memory.iter().find(|waiter| !waiter.is_over())?;
        Some(first.lock().since)
    }

    /// [`Shared::admit`] for this lane alone. Whether its first in line has room here and no memory.
    fn admit_own(&self) -> bool {
        let mut woken = Vec::new();
        let mut after = AfterAppends::admissions();
        let mut waiting = self.lock_waiting();
        // Who went away needs no memory, and must not keep those behind from theirs.
        while waiting.memory.pop_front_if(|first| first.is_over()).is_some() {}
        // Whoever waited goes on for a while: being admitted one record at a time would cost a wake-up each.
        let ample = |bytes: usize| {
            let needed = (bytes + self.memory.total() / 8).min(self.memory.total());
            self.memory.available() >= needed as i64
        };
        if waiting.memory.front().is_some_and(|first| ample(first.bytes)) && self.lock().has_ample_room(&self.config) {
            let now = self.clock.now();
            let mut state = self.lock();
            while let Some(first) = waiting.memory.front() {
                if first.is_over() {
                    waiting.memory.pop_front();
                    continue;
                }
                if !state.has_room(&self.config) || !self.take_memory(first.bytes) {
                    break;
                }
                if let Some(first) = waiting.memory.pop_front() {
                    waiting.counters.waited_for_memory(now, first.move_on(now));
                    woken.extend(self.admit_one(&mut state, &first, &mut after));
                }
            }
        }
        self.set_waiting(waiting.memory.len());
        let starving =
            waiting.memory.front().is_some_and(|first| !ample(first.bytes)) && self.lock().has_room(&self.config);
        drop(waiting);
        self.after_appends(after);
        woken.into_iter().for_each(Waker::wake);
        starving
    }

    /// Stages the record of a waiter whose memory was taken, and says whom to wake.
    fn admit_one(&self, lane: &mut MutexGuard<'_, State>, waiter: &Waiter, after: &mut AfterAppends) -> Option<Waker> {
        let mut state = waiter.lock();
        if !matches!(state.turn, Turn::InLine) {
            self.give_memory_back(waiter.bytes);
            return None;
        }
        // Whoever waits for memory has a topic that is known.
        let callback = state.callback.take();
        let headers = waiter.record.headers();
        let record = waiter.record.borrow(&headers);
        let delivery = if self.config.direct {
            self.append_admitted(&record, callback, after)
        } else {
            let topic = lane.learn(record.topic, 0);
            let (tickets, slot) = self.stage(lane, topic, &record, waiter.bytes, callback);
            Delivery::staged(tickets, slot)
        };
        Waiter::settle(&mut state, Ok(delivery))
    }

    /// Whether anybody waits for memory, in any lane, and not just for the lane's thread: then nothing should linger.
    pub(crate) fn is_memory_short(&self) -> bool {
        self.together.is_starving()
    }

    /// Refuses those whose `max.block.ms` is over, and says when the next one's is.
    pub(super) fn expire_waiting(&self, now: Instant) -> Option<Instant> {
        let mut waiting = self.lock_waiting();
        let mut refused = Vec::new();
        let mut late = Vec::new();
        let mut forgotten = Vec::new();
        waiting.topics.retain(|topic, line| {
            while let Some(first) = line.pop_front_if(|first| first.is_over() || first.deadline <= now) {
                refused.push((first, Stage::Metadata));
            }
            if line.is_empty() {
                forgotten.push(topic.clone());
            }
            !line.is_empty()
        });
        waiting.lookups.retain(|topic, lookups| {
            late.extend(lookups.extract_if(.., |lookup| lookup.deadline <= now).map(|lookup| (topic.clone(), lookup)));
            if lookups.is_empty() {
                forgotten.push(topic.clone());
            }
            !lookups.is_empty()
        });
        forgotten.retain(|topic| !waiting.topics.contains_key(topic) && !waiting.lookups.contains_key(topic));
        refused.extend(waiting.take_late(now).into_iter().map(|waiter| (waiter, Stage::Memory)));
        self.set_waiting(waiting.memory.len());
        for (waiter, stage) in refused.iter().filter(|(waiter, _)| !waiter.is_over()) {
            let waited = waiter.move_on(now);
            if *stage == Stage::Memory {
                waiting.counters.waited_for_memory(now, waited);
                waiting.counters.exhausted(now);
            } else {
                waiting.counters.waited_for_metadata(waited);
            }
            waiting.counters.refused(now);
        }
        let next = waiting.next_deadline();
        let mut awaited = Vec::new();
        if self.together.lanes().is_some() {
            awaited.extend(waiting.topics.keys().chain(waiting.lookups.keys()).cloned());
        }
        drop(waiting);
        // There may be room for whoever was behind them.
        self.admit();
        for (waiter, stage) in refused {
            waiter.refuse(self.waited_too_long(&waiter.record.topic, waiter.record.partition, stage));
        }
        for (topic, lookup) in late {
            lookup.settle(Err(self.waited_too_long(&topic, None, Stage::Metadata)));
        }
        let mut core = self.lock_core();
        for topic in forgotten {
            core.forget(&topic);
        }
        // Those of another lane may have had a topic forgotten that somebody here still waits for.
        for topic in awaited {
            core.topic(now, &topic);
        }
        if core.has_news() {
            drop(core);
            (self.wake_driver)();
        }
        next
    }

    /// Nobody in the lane waits for a topic any more: unless someone outside does, it is no longer asked for.
    pub(super) fn forget(&self, topic: &str) {
        let waiting = self.lock_waiting();
        if !waiting.topics.contains_key(topic) && !waiting.lookups.contains_key(topic) {
            self.lock_core().forget(topic);
        }
    }

    /// From now on records can be staged for a topic that was said to be known.
    fn learn_known(&self, name: &str) {
        let mut core = self.lock_core();
        let partitions = match core.topic(self.clock.now(), name) {
            TopicStatus::Ready(handle) => core.partition_count(handle),
            TopicStatus::Pending => 0,
        };
        drop(core);
        self.learn(name, partitions);
    }

    pub(super) fn waited_too_long(&self, topic: &str, partition: Option<i32>, stage: Stage) -> ProduceError {
        let last_cause = match stage {
            Stage::Metadata => self.lock_core().topic_trouble(topic),
            _ => None,
        };
        ProduceError::Timeout {
            topic: topic.into(),
            partition,
            key: "max.block.ms",
            limit: self.config.max_block,
            stage,
            last_cause,
            fate: Fate::NotWritten,
        }
    }
}

impl OwnedRecord {
    fn headers(&self) -> Vec<Header<'_>> {
        self.headers.iter().map(|(name, value)| Header { name, value: value.as_deref() }).collect()
    }

    fn borrow<'a>(&'a self, headers: &'a [Header<'a>]) -> Record<'a> {
        let record = Record {
            partition: self.partition,
            timestamp: self.timestamp,
            key: self.key.as_deref(),
            headers,
            ..Record::to(&self.topic)
        };
        match &self.value {
            Some(value) => record.shared_value(value),
            None => record,
        }
    }
}

impl From<&Record<'_>> for OwnedRecord {
    fn from(record: &Record<'_>) -> OwnedRecord {
        let headers = record.headers.iter();
        OwnedRecord {
            topic: record.topic.to_owned(),
            partition: record.partition,
            timestamp: record.timestamp,
            key: record.key.map(<[u8]>::to_vec),
            value: record.value.map(Bytes::copy_from_slice),
            headers: headers.map(|header| (header.name.to_owned(), header.value.map(<[u8]>::to_vec))).collect(),
        }
    }
}
