//! Who sends: several topics, keys, partitions, sizes, in bursts and with pauses. Like the real shell it takes memory
//! first, waits for it in order, and keeps records of a topic that is not known yet in order too.

use crate::batch::StoredRecord;
use crate::cluster::wall_ms;
use crate::rng::Rng;
use crate::world::{Event, World};
use bytes::Bytes;
use pointsman::core::time::Instant;
use pointsman::core::{Append, Placement, TopicStatus};
use pointsman::error::ProduceError;
use pointsman::protocol::record_batch::encode_headers;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// A record before it is accepted.
#[derive(Clone, Debug)]
pub struct Planned {
    pub topic: String,
    pub placement: Placement,
    pub number: u64,
    pub record: StoredRecord,
    pub accepted: Option<Instant>,
}

impl Planned {
    fn size(&self) -> usize {
        let record = &self.record;
        let len = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
        len(&record.key)
            + len(&record.value)
            + record.headers.iter().map(|(name, value)| name.len() + len(value) + 4).sum::<usize>()
    }
}

pub struct Load {
    pub rng: Rng,
    pub topics: Vec<(String, i32)>,
    /// Records still to come.
    pub remaining: usize,
    /// Mean pause between bursts in microseconds.
    pub pause_us: u64,
    pub value_max: u64,
    /// Above 0, no value is null or smaller.
    pub value_min: usize,
    pub keys: u64,
    pub with_tokens: bool,
    pub backlog: VecDeque<Planned>,
    pub waiting: BTreeMap<String, VecDeque<Planned>>,
    next_number: u64,
    /// Memory ran out and the core was asked to hurry; not again until a record got in.
    asked: bool,
}

impl Load {
    pub fn new(rng: Rng) -> Load {
        Load {
            rng,
            topics: Vec::new(),
            remaining: 0,
            pause_us: 1000,
            value_max: 100,
            value_min: 0,
            keys: 10,
            with_tokens: true,
            backlog: VecDeque::new(),
            waiting: BTreeMap::new(),
            next_number: 0,
            asked: false,
        }
    }

    pub fn is_over(&self) -> bool {
        self.remaining == 0 && self.backlog.is_empty() && self.waiting.values().all(VecDeque::is_empty)
    }

    /// A record with its number inside, so that it is known again in a log.
    pub fn record(&mut self, key: Option<Vec<u8>>, value: Option<usize>, timestamp: i64) -> (u64, StoredRecord) {
        let number = self.next_number;
        self.next_number += 1;
        let bytes = number.to_le_bytes().to_vec();
        let in_header = value.is_none_or(|len| len < 8) || self.rng.chance(300);
        let value = value.map(|len| {
            let mut value = bytes.clone();
            value.resize(len.max(8), number as u8);
            if in_header {
                value.truncate(len);
            }
            value
        });
        let mut headers = Vec::new();
        if in_header {
            headers.push((b"number".to_vec(), Some(bytes)));
            if self.rng.chance(300) {
                headers.push((b"null".to_vec(), None));
            }
        }
        (number, StoredRecord { timestamp, key, value, headers })
    }
}

impl World {
    pub fn begin_load(&mut self, records: usize) {
        self.load.remaining = records;
        self.after(Duration::ZERO, Event::Load);
    }

    /// One burst, and when the next comes.
    pub fn load_step(&mut self) {
        if self.load.remaining == 0 {
            return;
        }
        let burst = match self.load.rng.below(10) {
            0 => self.load.rng.between(10, 100),
            1..=4 => self.load.rng.between(2, 10),
            _ => 1,
        };
        let burst = (burst as usize).min(self.load.remaining);
        let topic = self.load.rng.index(self.load.topics.len());
        let null_keys = self.load.rng.chance(400);
        for _ in 0..burst {
            self.load.remaining -= 1;
            let planned = self.plan(topic, null_keys);
            if self.lanes.is_some() {
                self.send_by_lane(planned);
            } else {
                self.load.backlog.push_back(planned);
            }
        }
        self.admit();
        match self.load.rng.below(100) {
            0..4 if self.lanes.is_some() => self.flush_lanes(),
            0..4 => {
                let flush = self.core().flush(self.now);
                self.trace.line(self.now, || format!("flush {flush}"));
                self.ledger.flush(flush);
            }
            4 => {
                let pause = self.load.rng.millis(1_000, 20_000);
                return self.after(pause, Event::Load);
            }
            _ => {}
        }
        let pause = Duration::from_micros(self.load.rng.below(2 * self.load.pause_us + 1));
        self.after(pause, Event::Load);
    }

    fn plan(&mut self, topic: usize, null_keys: bool) -> Planned {
        let now = wall_ms(self.now);
        let load = &mut self.load;
        let (name, count) = load.topics[topic].clone();
        let key = (!null_keys && load.rng.chance(900)).then(|| format!("k{}", load.rng.below(load.keys)).into_bytes());
        let value = match load.rng.below(200) {
            0 => Some(self.config.max_request_size + 1),
            1 => Some(self.config.batch_size),
            2..10 => None,
            10..20 => Some(load.rng.below(8) as usize),
            _ => Some(load.rng.below(load.value_max) as usize),
        };
        let placement = match load.rng.below(100) {
            0..25 => Placement::Partition(load.rng.below(count as u64) as i32),
            25 => Placement::Partition(count + 3),
            26..30 => Placement::RoundRobin,
            _ => Placement::Default,
        };
        // For those who have to know every record by its value.
        let least = load.value_min;
        let value = if least > 0 { Some(value.unwrap_or_default().max(least)) } else { value };
        // Clocks of senders are not in step.
        let timestamp = now - load.rng.below(50) as i64;
        let (number, record) = load.record(key, value, timestamp);
        Planned { topic: name, placement, number, record, accepted: None }
    }

    /// Takes in what memory allows, in order; returns how much that was.
    pub fn admit(&mut self) -> u32 {
        let mut admitted = 0;
        if let Some(lanes) = &self.lanes {
            return u32::from(lanes.admit() && self.core().expedite(self.now));
        }
        while let Some(planned) = self.load.backlog.front() {
            let size = planned.size();
            if size > self.config.memory.total() {
                // The shell refuses what can never fit.
                self.load.backlog.pop_front();
                continue;
            }
            if !self.config.memory.try_take(size) {
                if !self.load.asked {
                    self.load.asked = true;
                    admitted += u32::from(self.core().expedite(self.now));
                }
                break;
            }
            self.load.asked = false;
            let mut planned = self.load.backlog.pop_front().expect("as above");
            planned.accepted = Some(self.now);
            self.offer(planned);
            self.config.memory.give_back(size);
            admitted += 1;
        }
        admitted
    }

    pub fn offer(&mut self, planned: Planned) {
        let behind = self.load.waiting.get(&planned.topic).is_some_and(|waiting| !waiting.is_empty());
        let status = self.core().topic(self.now, &planned.topic);
        match status {
            TopicStatus::Ready(topic) if !behind => self.append(topic, planned),
            _ => self.load.waiting.entry(planned.topic.clone()).or_default().push_back(planned),
        }
    }

    pub fn topic_answered(&mut self, name: &str, outcome: Result<(), ProduceError>) {
        let waiting = self.load.waiting.remove(name).unwrap_or_default();
        if outcome.is_err() {
            return;
        }
        let status = self.core().topic(self.now, name);
        let TopicStatus::Ready(topic) = status else {
            return self.violation(format!("{name} was called ready and is not"));
        };
        for planned in waiting {
            self.append(topic, planned);
        }
    }

    pub fn append(&mut self, topic: pointsman::core::TopicHandle, planned: Planned) {
        let record = &planned.record;
        let mut headers = Vec::new();
        let named = record.headers.iter().map(|(name, value)| (name.as_slice(), value.as_deref()));
        encode_headers(&mut headers, record.headers.len(), named);
        // Half of the senders let theirs be held.
        let value = record.value.clone().map(Bytes::from);
        let append = Append {
            topic,
            placement: planned.placement,
            timestamp: record.timestamp,
            accepted: planned.accepted,
            key: record.key.as_deref(),
            value: value.as_deref(),
            value_buffer: value.as_ref().filter(|_| planned.number.is_multiple_of(2)),
            headers: &headers,
            token: self.load.with_tokens.then_some(planned.number),
        };
        let count = self.core().topic_info(topic).leaders.len() as i32;
        let (size, limit) = (planned.size(), self.config.max_request_size);
        let now = self.now;
        let appended = self
            .core()
            .append(|| now, &append)
            .map(|appended| (appended.completion.clone(), appended.index, appended.filled));
        match appended {
            Ok((completion, index, filled)) => {
                if size > limit {
                    self.violation(format!("a record of {size} bytes was taken, max.request.size is {limit}"));
                }
                let (number, topic) = (planned.number, &planned.topic);
                self.trace.line(self.now, || format!("append {number} {topic}-{} at {index}", completion.partition()));
                let wrong = self.ledger.accept(self.now, planned, completion, index);
                wrong.into_iter().for_each(|wrong| self.violation(wrong));
                if !self.transactions.is_empty() {
                    self.taken_in_transaction(number);
                }
                // Whoever fills a batch seals it.
                if filled {
                    self.seal_full();
                }
            }
            Err(error) if !self.transactions.is_empty() => self.refused_in_transaction(planned.number, &error),
            Err(ProduceError::TooLarge { .. }) if size + 200 > limit => {}
            Err(ProduceError::NoSuchPartition { partition, .. }) if partition >= count => {}
            Err(ProduceError::Closed { .. } | ProduceError::Fatal { .. }) if self.ledger.abandoned => {}
            Err(error) => self.violation(format!("append of {} bytes to {}: {error}", size, planned.topic)),
        }
    }

    fn seal_full(&mut self) {
        loop {
            let Some(unsealed) = self.core().poll_full() else { return };
            self.seal(unsealed);
        }
    }
}
