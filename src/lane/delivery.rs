//! The fate of one record, as its sender sees it.

use super::callbacks;
use super::letters::Origin;
use crate::core::{Completion, Outcome, Run};
use crate::error::{Fate, ProduceError};
use crate::record_metadata::{RecordMetadata, TopicName};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

/// The fate of a record that the producer has accepted: a future, and more for programs without async. Dropping it
/// loses nothing; the record is delivered all the same.
///
/// Programs hold many, and move them as soon as they have them. So it is made of words that are written whole: a
/// processor waits where it is to read at once what it has just written in parts.
pub struct Delivery {
    among: Among,
    /// Which one it is, of 32 bits.
    nth: u64,
    facts: Facts,
}

/// Among which records one is looked for.
enum Among {
    /// Those of a chunk, or wherever the lane's thread took it from there. The facts are known there, too.
    Chunk(Arc<Tickets>),
    /// Those of a batch.
    Batch(Arc<Completion>),
    /// None.
    Nothing(Box<ProduceError>),
}

/// The deliveries of one chunk: they know nothing until the lane has placed their records in batches, and then share
/// those batches' completions.
struct Tickets {
    placed: OnceLock<Placed>,
    waiters: Mutex<Vec<Waker>>,
    may_block: fn() -> bool,
}

/// Where each record of a chunk ended up.
#[derive(Default)]
pub(super) struct Placed {
    pub(super) completions: Vec<Arc<Completion>>,
    pub(super) errors: Vec<ProduceError>,
    pub(super) slots: Vec<Slot>,
    /// Slots in whose place a letter was appended, ascending.
    letters: Vec<(u32, Arc<Origin>)>,
    moved: Vec<Moved>,
}

/// A record that went on in other company: its delivery is a slot of that one's.
#[derive(Clone)]
pub(super) struct Moved {
    pub(super) tickets: Ticket,
    pub(super) slot: u32,
}

/// Deliveries to look at, whose company is not known to the one who looks.
#[derive(Clone)]
pub(super) struct Ticket(Arc<Tickets>);

impl Placed {
    /// Of so many records that are nowhere yet.
    pub(super) fn of(slots: usize) -> Placed {
        Placed { slots: Vec::with_capacity(slots), ..Placed::default() }
    }

    /// The record of the slot is there. Mostly it is the slot after the last one.
    pub(super) fn put(&mut self, slot: u32, at: Slot) {
        let slot = slot as usize;
        if slot >= self.slots.len() {
            self.slots.resize(slot, Slot { completion: ENDED, index: 0, facts: Facts::default() });
            self.slots.push(at);
        } else {
            self.slots[slot] = at;
        }
    }

    /// A record of the slot ended so.
    pub(super) fn ended(&mut self, slot: u32, error: ProduceError) {
        let index = self.errors.len() as u32;
        self.errors.push(error);
        self.put(slot, Slot { completion: ENDED, index, facts: Facts::default() });
    }

    /// The record of the slot is elsewhere.
    pub(super) fn moved(&mut self, slot: u32, to: Moved) {
        let index = self.moved.len() as u32;
        self.moved.push(to);
        self.put(slot, Slot { completion: MOVED, index, facts: Facts::default() });
    }

    /// What was appended in the place of the slot's record is a letter about it.
    pub(super) fn letter(&mut self, slot: u32, origin: Arc<Origin>) {
        self.letters.push((slot, origin));
    }

    fn origin(&self, slot: u32) -> Option<&Origin> {
        let at = self.letters.binary_search_by_key(&slot, |(slot, _)| *slot).ok()?;
        Some(&self.letters[at].1)
    }
}

/// Where one record ended up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    /// Index in `completions`; or [`ENDED`], and `index` is one in `errors`; or [`MOVED`], and it is one in `moved`.
    pub(super) completion: u32,
    /// Which record of its batch it is.
    pub(super) index: u32,
    pub(super) facts: Facts,
}

/// A record that did not reach a batch.
pub(super) const ENDED: u32 = u32::MAX;
/// A record that went on in other company.
const MOVED: u32 = u32::MAX - 1;

/// What a delivery tells of a record besides where it stands.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Facts {
    timestamp: i64,
    /// Of the key in the upper half, of the value in the lower; [`NULL_SIZE`] is null.
    sizes: u64,
}

const NULL_SIZE: u32 = u32::MAX;

impl Facts {
    #[inline(always)]
    pub(super) fn of(timestamp: i64, key: Option<&[u8]>, value: Option<&[u8]>) -> Facts {
        let size = |bytes: Option<&[u8]>| bytes.map_or(NULL_SIZE, |bytes| bytes.len() as u32);
        Facts { timestamp, sizes: u64::from(size(key)) << 32 | u64::from(size(value)) }
    }

    /// The metadata of record `index` of a batch, or why there is none.
    pub(super) fn result(
        &self,
        batch: &Arc<Completion>,
        index: u32,
        run: &Run,
    ) -> Result<RecordMetadata, ProduceError> {
        match &run.outcome {
            Outcome::Failed(error) => Err(error.clone()),
            Outcome::Written { base_offset, log_append_time } => {
                Ok(self.written(Arc::clone(batch), index - run.first, *base_offset, *log_append_time))
            }
        }
    }

    /// As [`Facts::result`], of a batch whose fate is known.
    #[inline(always)]
    fn known(&self, batch: Arc<Completion>, index: u32) -> Result<RecordMetadata, ProduceError> {
        match batch.outcome(index) {
            Some(&Run { first, outcome: Outcome::Written { base_offset, log_append_time }, .. }) => {
                Ok(self.written(batch, index - first, base_offset, log_append_time))
            }
            Some(Run { outcome: Outcome::Failed(error), .. }) => Err(error.clone()),
            None => unreachable!("known"),
        }
    }

    #[inline(always)]
    fn written(
        &self,
        batch: Arc<Completion>,
        nth: u32,
        base_offset: Option<i64>,
        log_append_time: Option<i64>,
    ) -> RecordMetadata {
        let size = |size: u64| Some(size as usize & NULL_SIZE as usize).filter(|size| *size != NULL_SIZE as usize);
        RecordMetadata {
            partition: batch.partition(),
            topic: TopicName::of(batch),
            offset: base_offset.map(|base| base + i64::from(nth)),
            timestamp: log_append_time.unwrap_or(self.timestamp),
            serialized_key_size: size(self.sizes >> 32),
            serialized_value_size: size(self.sizes),
        }
    }
}

impl Tickets {
    /// Makes known where the chunk's records ended up.
    fn place(&self, placed: Placed) {
        if self.placed.set(placed).is_err() {
            unreachable!("a chunk is placed once");
        }
        let wakers = std::mem::take(&mut *self.lock());
        wakers.into_iter().for_each(Waker::wake);
    }

    /// The batch of a record whose fate is known, where that tells all: which record of it, and its facts.
    #[inline(never)]
    fn written(&self, slot: u32, facts: &mut Facts) -> Option<(Arc<Completion>, u32)> {
        let placed = self.placed.get().filter(|placed| placed.letters.is_empty())?;
        let slot = &placed.slots[slot as usize];
        let batch = placed.completions.get(slot.completion as usize).filter(|batch| batch.is_known())?;
        *facts = slot.facts;
        Some((Arc::clone(batch), slot.index))
    }

    fn poll(&self, slot: u32, waker: &Waker) -> Poll<Result<RecordMetadata, ProduceError>> {
        if self.placed.get().is_none() {
            let mut waiters = self.lock();
            // Placing sets first and takes the waiters then.
            if self.placed.get().is_none() {
                if !waiters.last().is_some_and(|known| known.will_wake(waker)) {
                    waiters.push(waker.clone());
                }
                return Poll::Pending;
            }
        }
        let Some(placed) = self.placed.get() else { unreachable!("looked at above") };
        let Slot { completion, index, facts } = placed.slots[slot as usize];
        if completion == ENDED {
            return Poll::Ready(Err(placed.errors[index as usize].clone()));
        }
        if completion == MOVED {
            let Moved { tickets, slot } = &placed.moved[index as usize];
            return tickets.0.poll(*slot, waker);
        }
        let completion = &placed.completions[completion as usize];
        let Some(run) = completion.poll(index, waker) else { return Poll::Pending };
        let result = facts.result(completion, index, run);
        Poll::Ready(match placed.origin(slot) {
            Some(origin) => Err(origin.error(result)),
            None => result,
        })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Waker>> {
        self.waiters.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// The lane's side of a chunk's deliveries. Dropped without having placed them, as when the lane's thread panics, it
/// fails them all: nobody waits for ever.
pub(super) struct Unplaced {
    tickets: Arc<Tickets>,
    count: u32,
}

impl Unplaced {
    /// Of a chunk that is empty. `may_block` says whether the thread that asks may be blocked.
    pub(super) fn new(may_block: fn() -> bool) -> Unplaced {
        let tickets = Tickets { placed: OnceLock::new(), waiters: Mutex::default(), may_block };
        Unplaced { tickets: Arc::new(tickets), count: 0 }
    }

    /// Of others that are asked for as these are.
    pub(super) fn like(other: &Unplaced) -> Unplaced {
        Unplaced::new(other.tickets.may_block)
    }

    /// For the next slot's delivery.
    #[inline(always)]
    pub(super) fn ticket(&mut self) -> Ticket {
        self.count += 1;
        Ticket(Arc::clone(&self.tickets))
    }

    /// Makes known where the records ended up.
    pub(super) fn place(mut self, placed: Placed) {
        self.count = 0;
        self.tickets.place(placed);
    }
}

impl Drop for Unplaced {
    fn drop(&mut self) {
        if self.count > 0 {
            let lost = Slot { completion: ENDED, index: 0, facts: Facts::default() };
            let slots = vec![lost; self.count as usize];
            self.tickets.place(Placed { errors: vec![callbacks::lost()], slots, ..Placed::default() });
        }
    }
}

impl Delivery {
    /// Of record `index` of a batch.
    #[inline(always)]
    pub(super) fn appended(batch: Arc<Completion>, index: u32, facts: Facts) -> Delivery {
        Delivery { among: Among::Batch(batch), nth: index.into(), facts }
    }

    /// Of a record of a chunk.
    #[inline(always)]
    pub(super) fn staged(Ticket(tickets): Ticket, slot: u32) -> Delivery {
        Delivery { among: Among::Chunk(tickets), nth: slot.into(), facts: Facts::default() }
    }

    /// Of a record that reached no batch.
    pub(super) fn failed(error: ProduceError) -> Delivery {
        Delivery { among: Among::Nothing(Box::new(error)), nth: 0, facts: Facts::default() }
    }

    /// The fate, if it is known by now.
    pub fn try_result(&self) -> Option<Result<RecordMetadata, ProduceError>> {
        match self.look(Waker::noop()) {
            Poll::Ready(result) => Some(result),
            Poll::Pending => None,
        }
    }

    fn look(&self, waker: &Waker) -> Poll<Result<RecordMetadata, ProduceError>> {
        match &self.among {
            Among::Chunk(tickets) => tickets.poll(self.nth as u32, waker),
            Among::Batch(batch) => match batch.poll(self.nth as u32, waker) {
                Some(run) => Poll::Ready(self.facts.result(batch, self.nth as u32, run)),
                None => Poll::Pending,
            },
            Among::Nothing(error) => Poll::Ready(Err((**error).clone())),
        }
    }

    /// Blocks the thread until the fate is known.
    ///
    /// # Errors
    /// The record was not delivered, or it is not known whether it was. [`ProduceError::WaitInTask`] where it would
    /// have to block inside a tokio task: await the delivery there.
    #[inline]
    pub fn wait(self) -> Result<RecordMetadata, ProduceError> {
        let Delivery { among, nth, mut facts } = self;
        // Mostly it is known by now. Inlined: to move what is returned about would cost more than all the rest.
        match among {
            Among::Batch(batch) if batch.is_known() => facts.known(batch, nth as u32),
            Among::Chunk(tickets) => match tickets.written(nth as u32, &mut facts) {
                Some((batch, index)) => facts.known(batch, index),
                None => Delivery { among: Among::Chunk(tickets), nth, facts }.wait_long(),
            },
            among => Delivery { among, nth, facts }.wait_long(),
        }
    }

    #[inline(never)]
    fn wait_long(self) -> Result<RecordMetadata, ProduceError> {
        // A waker is an allocation.
        if let Some(result) = self.try_result() {
            return result;
        }
        if !self.may_block() {
            return Err(ProduceError::WaitInTask);
        }
        let waker = waker_of_this_thread();
        loop {
            match self.look(&waker) {
                Poll::Ready(result) => return result,
                Poll::Pending => std::thread::park(),
            }
        }
    }

    /// Whether the thread that asks may be blocked.
    fn may_block(&self) -> bool {
        match &self.among {
            Among::Chunk(tickets) => (tickets.may_block)(),
            Among::Batch(batch) => batch.may_block(),
            Among::Nothing(_) => true,
        }
    }

    /// As [`Delivery::wait`], but gives the delivery back when `patience` ends first. With a patience of zero it
    /// never blocks.
    ///
    /// # Errors
    /// The delivery itself, still open.
    pub fn wait_timeout(self, patience: Duration) -> Result<Result<RecordMetadata, ProduceError>, Delivery> {
        if let Some(result) = self.try_result() {
            return Ok(result);
        }
        if patience.is_zero() {
            return Err(self);
        }
        if !self.may_block() {
            return Ok(Err(ProduceError::WaitInTask));
        }
        let waker = waker_of_this_thread();
        // Beyond what a clock can say, it is for ever.
        let deadline = Instant::now().checked_add(patience);
        loop {
            if let Poll::Ready(result) = self.look(&waker) {
                return Ok(result);
            }
            let Some(deadline) = deadline else {
                std::thread::park();
                continue;
            };
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(self);
            }
            std::thread::park_timeout(left);
        }
    }
}

impl Future for Delivery {
    type Output = Result<RecordMetadata, ProduceError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.look(context.waker())
    }
}

impl std::fmt::Debug for Delivery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Delivery").field(&self.try_result()).finish()
    }
}

/// Unparks the thread that asks.
pub(crate) fn waker_of_this_thread() -> Waker {
    Arc::new(Unpark(std::thread::current())).into()
}

/// Wakes a thread that parked.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// What becomes of a record whose producer ended before it reached a batch.
pub(super) fn closed() -> ProduceError {
    ProduceError::Closed { topic: None, partition: None, fate: Fate::NotWritten }
}
