//! A lane without plugins: nothing is to be done with a record but to append it, so the sender's own thread does that.
//! One copy, into the batch, and no other thread to wake; the lane's thread is left with those who wait, and flushes.

use super::UserCallback;
use super::acknowledge::Token;
use super::append::{placement, user_callback};
use super::delivery::{Delivery, Facts};
use super::staging::Shared;
use super::submit::{Obstacle, Submitted};
use crate::core::{Append, Completion, Core, TopicHandle, Unsealed};
use crate::error::ProduceError;
use crate::plugin::NULL;
use crate::protocol::record_batch::{self, NO_HEADERS};
use crate::record::Record;
use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// What senders need of a lane that they do not stage in. What they need of its topics is with the core, whose lock is
/// the only one that they take.
#[derive(Default)]
pub(super) struct Direct {
    /// Set before the core's lock is taken and let go once more: whoever takes it then finds it set.
    closed: AtomicBool,
    /// Written under the core's lock.
    appended: AtomicU64,
}

impl Direct {
    /// Under the core's lock.
    #[inline(always)]
    fn count(&self) {
        self.appended.store(self.appended.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }
}

/// What is to be done after appends, without a lock.
#[derive(Default)]
pub(super) struct AfterAppends {
    /// Batches became full.
    filled: bool,
    /// They are left to the driver and its pool.
    leaves_full: bool,
    /// The driver is to learn of something.
    has_news: bool,
    /// Records that reached no batch, and their callbacks. Boxed, as it is rare and goes with every record.
    failed: Option<Box<Failed>>,
}

/// Records that reached no batch.
type Failed = Vec<(Option<UserCallback>, ProduceError)>;

impl AfterAppends {
    /// After those of others, by whoever made room for them, the driver perhaps.
    pub(super) fn admissions() -> AfterAppends {
        AfterAppends { leaves_full: true, ..AfterAppends::default() }
    }

    fn is_nothing(&self) -> bool {
        !(self.filled || self.has_news) && self.failed.is_none()
    }
}

thread_local! {
    /// A record's headers, encoded.
    static HEADERS: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl Shared {
    /// Appends a record where nothing stands in the way and nothing is to be done besides, as for most records: to which
    /// batch, and where in it. `timestamp` becomes the record's. Returns in registers: what is longer would be moved about,
    /// which after a locked instruction costs more than all the rest of it.
    #[inline(never)]
    pub(super) fn append_quickly(&self, record: &Record<'_>, timestamp: &mut i64) -> Option<(Arc<Completion>, u32)> {
        if !record.headers.is_empty() {
            return None;
        }
        let mut core = self.lock_core();
        let topic = self.may_append(&mut core, record, true).ok()?;
        *timestamp = record.timestamp.unwrap_or_else(|| self.wall_clock.read(self.clock.as_ref()));
        let appended = core.append_to_open(&self.append_of(topic, record, *timestamp))?;
        let place = (Arc::clone(appended.completion), appended.index);
        self.direct.count();
        Some(place)
    }

    #[inline(always)]
    fn append_of<'a>(&self, topic: TopicHandle, record: &Record<'a>, timestamp: i64) -> Append<'a> {
        Append {
            topic,
            placement: placement(record.partition.unwrap_or(NULL), &[], self.config.round_robin),
            timestamp,
            accepted: None,
            key: record.key,
            value: record.value,
            value_buffer: record.value_buffer,
            headers: NO_HEADERS,
            token: self.config.any_acknowledgements.then_some(Token::NONE),
        }
    }

    /// Appends a record, or says what stands in the way.
    pub(super) fn append_at_once(
        &self,
        record: &Record<'_>,
        callback: &mut Option<UserCallback>,
        may_wait: bool,
    ) -> Result<Submitted, Obstacle> {
        let mut after = AfterAppends::default();
        let submitted = self.append_one(&mut self.lock_core(), record, callback, may_wait, &mut after);
        self.after_appends(after);
        submitted
    }

    /// As [`Shared::append_at_once`] for record after record, with the core locked once for as many as fill a batch.
    pub(super) fn append_many(&self, records: &[Record<'_>], may_wait: bool, until_wait: bool) -> Vec<Submitted> {
        let mut answers = Vec::with_capacity(records.len());
        while answers.len() < records.len() {
            let mut after = AfterAppends::default();
            let mut obstacle = None;
            let mut core = self.lock_core();
            while let Some(record) = records.get(answers.len())
                && !after.filled
            {
                match self.append_one(&mut core, record, &mut None, may_wait, &mut after) {
                    Ok(submitted) => answers.push(submitted),
                    Err(met) => {
                        obstacle = Some((met, record));
                        break;
                    }
                }
            }
            drop(core);
            self.after_appends(after);
            if let Some((obstacle, record)) = obstacle {
                answers.push(self.submit_past(obstacle, record, None, may_wait));
                if until_wait && matches!(answers.last(), Some(Submitted::Waiting(_))) {
                    break;
                }
            }
        }
        answers
    }

    fn append_one(
        &self,
        core: &mut Core,
        record: &Record<'_>,
        callback: &mut Option<UserCallback>,
        may_wait: bool,
        after: &mut AfterAppends,
    ) -> Result<Submitted, Obstacle> {
        let topic = self.may_append(core, record, may_wait)?;
        Ok(Submitted::Accepted(self.append_to(core, topic, record, callback.take(), after)))
    }

    /// The topic of a record that may be appended now, or what stands in the way. All of it is looked at under the lock, and
    /// the line behind the topic: who finds the topic open finds the line, too.
    #[inline(always)]
    fn may_append(&self, core: &mut Core, record: &Record<'_>, may_wait: bool) -> Result<TopicHandle, Obstacle> {
        let bytes = self.check(record)?;
        if self.direct.closed.load(Ordering::Acquire) | !self.gate.is_open() {
            return Err(Obstacle::Closed);
        }
        let Some((topic, partitions)) = core.opened(record.topic) else { return Err(Obstacle::Topic) };
        if may_wait && record.partition.is_some_and(|partition| partitions as i64 <= partition.into()) {
            return Err(Obstacle::Partition);
        }
        if !(self.is_first_in_line() && self.take_memory(bytes)) {
            return Err(Obstacle::Memory);
        }
        Ok(topic)
    }

    /// Appends the record of one who waited. [`Shared::after_appends`] is to follow.
    pub(super) fn append_admitted(
        &self,
        record: &Record<'_>,
        callback: Option<UserCallback>,
        after: &mut AfterAppends,
    ) -> Delivery {
        let mut core = self.lock_core();
        match core.opened(record.topic) {
            Some((topic, _)) => self.append_to(&mut core, topic, record, callback, after),
            // Whoever waits for memory has a topic that was known; it was made anew without a partition.
            None => {
                let error = ProduceError::TopicNotKnownYet { topic: record.topic.into() };
                core.fail_transaction(self.clock.now(), &error);
                after.has_news |= core.has_news();
                after.failed.get_or_insert_default().push((callback, error.clone()));
                Delivery::failed(error)
            }
        }
    }

    fn append_to(
        &self,
        core: &mut Core,
        topic: TopicHandle,
        record: &Record<'_>,
        callback: Option<UserCallback>,
        after: &mut AfterAppends,
    ) -> Delivery {
        let timestamp = record.timestamp.unwrap_or_else(|| self.wall_clock.read(self.clock.as_ref()));
        let append = self.append_of(topic, record, timestamp);
        let now = || self.clock.now();
        let appended = if record.headers.is_empty() {
            core.append(now, &append)
        } else {
            HEADERS.with_borrow_mut(|headers| {
                headers.clear();
                let each = record.headers.iter().map(|header| (header.name.as_bytes(), header.value));
                record_batch::encode_headers(headers, record.headers.len(), each);
                core.append(now, &Append { headers, ..append })
            })
        };
        match appended {
            Ok(appended) => {
                let facts = Facts::of(timestamp, record.key, record.value);
                if let Some(callback) = callback {
                    // Under the core's lock: the batch cannot be done yet, so callbacks keep log order.
                    appended.completion.call(appended.index, user_callback(facts, None, callback));
                }
                let delivery = Delivery::appended(Arc::clone(appended.completion), appended.index, facts);
                self.direct.count();
                let (filled, began) = (appended.filled, appended.began);
                if filled || began {
                    self.note_batches(core, filled, began, after);
                }
                delivery
            }
            Err(error) => {
                core.fail_transaction(now(), &error);
                after.has_news |= core.has_news();
                let failed = after.failed.get_or_insert_default();
                failed.push((callback, error.clone()));
                Delivery::failed(error)
            }
        }
    }

    #[cold]
    fn note_batches(&self, core: &mut Core, filled: bool, began: bool, after: &mut AfterAppends) {
        after.filled |= filled;
        after.has_news |= self.has_news_of(core, began);
    }

    /// Full batches are sealed by the thread that filled them.
    #[inline]
    pub(super) fn after_appends(&self, after: AfterAppends) {
        if !after.is_nothing() {
            self.do_after_appends(after);
        }
    }

    #[cold]
    fn do_after_appends(&self, after: AfterAppends) {
        let AfterAppends { filled, leaves_full, mut has_news, failed } = after;
        if filled && !leaves_full {
            let full: Vec<Unsealed> = {
                let mut core = self.lock_core();
                std::iter::from_fn(|| core.poll_full()).collect()
            };
            has_news = self.seal_full(full);
        }
        if has_news {
            (self.wake_driver)();
        }
        let Some(failed) = failed else { return };
        self.count_failed(failed.len());
        for (callback, error) in *failed {
            if let Some(callback) = callback {
                self.delivery_thread.run(Box::new(move || callback(Err(error))));
            }
        }
    }

    /// Whether there is memory for a record. What is appended at once is in a batch, which has its own.
    pub(super) fn take_memory(&self, bytes: usize) -> bool {
        if self.config.direct { self.memory.available() >= bytes as i64 } else { self.memory.try_take(bytes) }
    }

    /// See [`Shared::take_memory`].
    pub(super) fn give_memory_back(&self, bytes: usize) {
        if !self.config.direct {
            self.memory.give_back(bytes);
        }
    }

    /// Senders may append to a topic themselves.
    pub(super) fn open_topic(&self, name: &str, partitions: usize) {
        if self.config.direct {
            self.lock_core().open_topic(name, partitions);
        }
    }

    /// No sender appends anything after this.
    pub(super) fn close_direct(&self) {
        if self.config.direct && !self.direct.closed.swap(true, Ordering::AcqRel) {
            drop(self.lock_core());
        }
    }

    /// Records that their senders appended.
    pub(super) fn appended(&self) -> u64 {
        self.direct.appended.load(Ordering::Relaxed)
    }
}
