//! The calls about transactions: each begins something in the core and waits for its end.

use super::signal::{Signal, Signalled};
use super::{IN_A_TASK, Inner, Producer, block_on};
use crate::core::time::Instant;
use crate::core::{Core, TransactionCall};
use crate::error::ProduceError;
use crate::net;
use crate::transaction::{ConsumedOffset, ConsumerGroupMetadata, TransactionError};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

/// Calls that are under way, or whose end nobody has heard of yet.
#[derive(Default)]
pub(super) struct Calls {
    state: Mutex<CallsState>,
}

#[derive(Default)]
struct CallsState {
    under_way: BTreeMap<TransactionCall, Arc<Call>>,
    /// The last one. It is kept until somebody has heard of its end, or the next transaction begins.
    last: Option<Arc<Call>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Init,
    Offsets,
    /// Of the transaction of that number.
    End {
        commits: bool,
        number: u64,
    },
}

struct Call {
    id: TransactionCall,
    kind: Kind,
    state: Mutex<CallState>,
}

#[derive(Default)]
struct CallState {
    outcome: Option<Result<(), TransactionError>>,
    /// It goes on, and takes longer than a caller waits.
    late: Option<TransactionError>,
    /// How often that was said.
    lates: u32,
    wakers: Vec<Waker>,
}

impl CallState {
    fn note(&mut self, waker: &Waker) {
        if !self.wakers.iter().any(|known| known.will_wake(waker)) {
            self.wakers.push(waker.clone());
        }
    }
}

impl Calls {
    /// How a call ended.
    pub(super) fn ended(&self, id: TransactionCall, outcome: Result<(), TransactionError>) {
        let call = self.lock().under_way.remove(&id);
        call.iter().for_each(|call| call.tell(|state| state.outcome = Some(outcome.clone())));
    }

    /// That it takes longer than its caller is to wait.
    pub(super) fn late(&self, id: TransactionCall, error: TransactionError) {
        let call = self.lock().under_way.get(&id).cloned();
        call.iter()
            .for_each(|call| call.tell(|state| (state.late, state.lates) = (Some(error.clone()), state.lates + 1)));
    }

    /// The driver is gone: nothing becomes of any.
    pub(super) fn end_all(&self, reason: &Arc<str>) {
        let under_way = std::mem::take(&mut self.lock().under_way);
        for call in under_way.into_values() {
            let error = TransactionError::Fatal { reason: Arc::clone(reason) };
            call.tell(|state| state.outcome = Some(Err(error)));
        }
    }

    /// What there is of such a call whose end nobody has heard of.
    fn left(&self, is_it: impl Fn(Kind) -> bool) -> Option<Arc<Call>> {
        self.lock().last.clone().filter(|call| is_it(call.kind))
    }

    /// Under the core's lock, so that its end comes later.
    fn begin(&self, id: TransactionCall, kind: Kind) -> Arc<Call> {
        let mut state = self.lock();
        let new = || Arc::new(Call { id, kind, state: Mutex::default() });
        let call = Arc::clone(state.under_way.entry(id).or_insert_with(new));
        state.last = Some(Arc::clone(&call));
        call
    }

    /// Its end has been heard of.
    fn over(&self, call: &Arc<Call>) {
        self.lock().last.take_if(|last| Arc::ptr_eq(last, call));
    }

    fn lock(&self) -> MutexGuard<'_, CallsState> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Call {
    fn tell(&self, what: impl FnOnce(&mut CallState)) {
        let mut state = self.lock();
        what(&mut state);
        let wakers = std::mem::take(&mut state.wakers);
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Whether its end is yet to come, or that it takes long: then the waker is woken.
    fn wakes(&self, waker: &Waker) -> bool {
        let mut state = self.lock();
        state.note(waker);
        state.outcome.is_none()
    }

    fn is_over(&self) -> bool {
        self.lock().outcome.is_some()
    }

    fn lock(&self) -> MutexGuard<'_, CallState> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// Ready when a call has ended, or takes long.
struct Waiting<'a> {
    calls: &'a Calls,
    call: Arc<Call>,
    /// How often that had been said of it before.
    lates: u32,
}

impl Waiting<'_> {
    fn on(calls: &Calls, call: Arc<Call>) -> Waiting<'_> {
        let lates = call.lock().lates;
        Waiting { calls, call, lates }
    }
}

impl Future for Waiting<'_> {
    type Output = Result<(), TransactionError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.call.lock();
        if let Some(outcome) = state.outcome.clone() {
            drop(state);
            self.calls.over(&self.call);
            return Poll::Ready(outcome);
        }
        if state.lates != self.lates
            && let Some(late) = state.late.clone()
        {
            return Poll::Ready(Err(late));
        }
        state.note(context.waker());
        Poll::Pending
    }
}

/// What is left of a call that was given up is waited for when it is made again. So is one that took too long: see
/// [`TransactionError::Timeout`].
impl Producer {
    /// Gets the producer id of its `transactional.id`, before anything else is done with transactions, once. An earlier
    /// producer of the same id is fenced off by it, and what that left open is ended.
    ///
    /// # Errors
    /// [`TransactionError::Timeout`] after `max.block.ms`; what else keeps it from getting the id.
    pub async fn init_transactions(&self) -> Result<(), TransactionError> {
        self.check_caller()?;
        let inner = &*self.inner;
        let _timing = inner.metrics.time(|calls| &calls.init_transactions);
        if let Some(call) = inner.calls.left(|kind| kind == Kind::Init) {
            return inner.wait_longer(call).await;
        }
        inner.call(Kind::Init, |core, now| core.init_transactions(now)).await
    }

    /// From now on, records belong to one transaction, whoever sends them, until it is committed or aborted. Waits for
    /// nothing.
    ///
    /// # Errors
    /// [`TransactionError::State`] if one is open, or [`Producer::init_transactions`] has not ended.
    pub fn begin_transaction(&self) -> Result<(), TransactionError> {
        let _timing = self.inner.metrics.time(|calls| &calls.begin_transaction);
        let mut core = self.inner.lock_core();
        core.begin_transaction()?;
        // Nobody is to hear of what was before.
        self.inner.calls.lock().last = None;
        Ok(())
    }

    /// Adds offsets of what was consumed to the transaction, so that input and output of a program are committed together.
    /// The group is that of the consumer that read them.
    ///
    /// # Errors
    /// [`TransactionError::MustAbort`] where the group does not take them, as when its member has lost its partitions.
    pub async fn send_offsets_to_transaction(
        &self,
        offsets: &[ConsumedOffset],
        group: &ConsumerGroupMetadata,
    ) -> Result<(), TransactionError> {
        self.check_caller()?;
        let inner = &*self.inner;
        let _timing = inner.metrics.time(|calls| &calls.send_offsets);
        inner.call(Kind::Offsets, |core, now| core.send_offsets(now, offsets.to_vec(), group.clone())).await
    }

    /// Flushes, and makes all that was sent since [`Producer::begin_transaction`] visible at once. Nothing can be sent until
    /// the next one begins. Waits for the records as long as they may take (`delivery.timeout.ms`), then for the coordinator,
    /// `max.block.ms`.
    ///
    /// # Errors
    /// [`TransactionError::MustAbort`] where a record failed that was accepted: nothing of it is committed, abort it.
    pub async fn commit_transaction(&self) -> Result<(), TransactionError> {
        self.end_transaction(true).await
    }

    /// Ends the transaction so that consumers with `isolation.level=read_committed` see nothing of it. Records that did not
    /// go out yet fail with [`ProduceError::Aborted`].
    ///
    /// # Errors
    /// [`TransactionError::Timeout`], as of the commit; what keeps the producer from going on.
    pub async fn abort_transaction(&self) -> Result<(), TransactionError> {
        self.end_transaction(false).await
    }

    async fn end_transaction(&self, commits: bool) -> Result<(), TransactionError> {
        self.check_caller()?;
        let inner = &*self.inner;
        let _timing = inner.metrics.time(|calls| match commits {
            true => &calls.commit_transaction,
            false => &calls.abort_transaction,
        });
        let is_end = |kind| matches!(kind, Kind::End { commits: before, .. } if before == commits);
        if let Some(call) = inner.calls.left(is_end) {
            return inner.wait_longer(call).await;
        }
        let number = inner.lock_core().prepare_end(inner.clock.now(), commits)?;
        if !commits {
            inner.waker.wake();
            inner.lanes.give_up(|topic| inner.lock_core().no_transaction(topic));
        } else {
            let count = inner.lanes.count_in_line();
            if count > 0 {
                inner.lock_core().take_back_end(number);
                return Err(TransactionError::SendsWait { count });
            }
            inner.lock_core().confirm_end(number);
        }
        self.settle().await;
        // Lanes that are closing are not flushed.
        if let Some(drained) = inner.ending.draining() {
            Signalled(drained).await;
        }
        let call = {
            let mut core = inner.lock_core();
            // Whoever closes the producer may have gone on with it.
            let kind = Kind::End { commits, number };
            match inner.calls.left(|known| known == kind) {
                Some(call) => call,
                None => inner.calls.begin(core.end_transaction(inner.clock.now(), commits, number)?, kind),
            }
        };
        inner.waker.wake();
        Waiting::on(&inner.calls, call).await
    }

    /// As [`Producer::init_transactions`], blocking the thread.
    ///
    /// # Errors
    /// As there, and [`TransactionError::Misuse`] inside a tokio task, as for all that block.
    pub fn init_transactions_blocking(&self) -> Result<(), TransactionError> {
        self.blocking(self.init_transactions())
    }

    /// As [`Producer::send_offsets_to_transaction`], blocking the thread.
    ///
    /// # Errors
    /// As there.
    pub fn send_offsets_to_transaction_blocking(
        &self,
        offsets: &[ConsumedOffset],
        group: &ConsumerGroupMetadata,
    ) -> Result<(), TransactionError> {
        self.blocking(self.send_offsets_to_transaction(offsets, group))
    }

    /// As [`Producer::commit_transaction`], blocking the thread.
    ///
    /// # Errors
    /// As there.
    pub fn commit_transaction_blocking(&self) -> Result<(), TransactionError> {
        self.blocking(self.commit_transaction())
    }

    /// As [`Producer::abort_transaction`], blocking the thread.
    ///
    /// # Errors
    /// As there.
    pub fn abort_transaction_blocking(&self) -> Result<(), TransactionError> {
        self.blocking(self.abort_transaction())
    }

    fn blocking(&self, call: impl Future<Output = Result<(), TransactionError>>) -> Result<(), TransactionError> {
        if !net::may_block() {
            return Err(misuse(IN_A_TASK));
        }
        block_on(call).map_err(misuse)?
    }

    fn check_caller(&self) -> Result<(), TransactionError> {
        if self.inner.delivery_thread.is_current() {
            return Err(TransactionError::Misuse(
                "a callback cannot wait for a transaction, which waits for callbacks",
            ));
        }
        Ok(())
    }
}

/// Wakes a thread that waits for a call for a bounded time.
struct WakeThread(Signal);

impl Wake for WakeThread {
    fn wake(self: Arc<Self>) {
        self.0.set();
    }
}

fn misuse(error: ProduceError) -> TransactionError {
    match error {
        ProduceError::Misuse(words) => TransactionError::Misuse(words),
        error => TransactionError::Produce(error),
    }
}

impl Inner {
    /// A transaction that nobody ended is aborted when the producer closes, and a commit goes on, as far as there is time: until
    /// its end, what is behind it in the log is not to be seen. Blocks the thread.
    pub(super) fn end_transaction_at_close(&self, patience: Duration) {
        let until = self.clock.now() + patience;
        let call = {
            let mut core = self.lock_core();
            let Some((id, kind)) = core.end_at_close(self.clock.now()) else { return };
            let (commits, number) = kind;
            self.calls.begin(id, Kind::End { commits, number })
        };
        self.waker.wake();
        let signal = Arc::new(WakeThread(Signal::default()));
        let left = until - self.clock.now();
        // Who called it is to hear of its end.
        if call.wakes(&Waker::from(Arc::clone(&signal))) && !left.is_zero() {
            signal.0.wait(Some((self.clock, left)));
        }
    }

    /// Begins a call in the core, and waits for its end.
    async fn call(
        &self,
        kind: Kind,
        begin: impl FnOnce(&mut Core, Instant) -> Result<TransactionCall, TransactionError>,
    ) -> Result<(), TransactionError> {
        let call = {
            let mut core = self.lock_core();
            self.calls.begin(begin(&mut core, self.clock.now())?, kind)
        };
        self.waker.wake();
        Waiting::on(&self.calls, call).await
    }

    async fn wait_longer(&self, call: Arc<Call>) -> Result<(), TransactionError> {
        if !call.is_over() {
            self.lock_core().wait_longer(self.clock.now(), call.id);
            self.waker.wake();
        }
        Waiting::on(&self.calls, call).await
    }
}
