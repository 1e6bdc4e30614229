//! Transactions (KIP-98, KIP-447, KIP-890): where the producer stands, and what has to happen before it stands elsewhere.
//!
//! | state | what it means | leaves by |
//! |---|---|---|
//! | fresh | no producer id yet | `init_transactions` |
//! | starting | it is being asked for, which ends what another producer of the same id left open | the coordinator |
//! | ready | no transaction | `begin_transaction` |
//! | open | takes records and offsets | a call, or a failure |
//! | committing, aborting | takes nothing, ends when all is answered | the coordinator |
//! | failed | takes nothing and sends nothing: it cannot be committed | `abort_transaction` |
//! | dead | fenced off, or worse | nothing |
//!
//! A transaction is committed only if every record of it was written: one that fails in the producer, or in a plugin whose
//! policy says so, makes it fail. With transactions V1 the coordinator is told of a partition before anything is written to
//! it; with V2 (`transaction.version` 2) brokers tell it, and the epoch grows with every transaction.
//!
//! [`requests`] has what is asked of the coordinators, one request at a time.

mod requests;

pub(super) use requests::Step;

use super::batch::ProducerIdAndEpoch;
use super::io::{Action, NodeId, TransactionCall};
use super::producer_id::ProducerId;
use super::time::Instant;
use super::timers::Timer;
use super::{Core, Ended};
use crate::error::{Fate, ProduceError};
use crate::sabotage::{self, Sabotage};
use crate::transaction::{ConsumedOffset, ConsumerGroupMetadata, TransactionError};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

/// Settings of a producer with transactions, named as Kafka's keys.
#[derive(Clone, Debug)]
pub struct TransactionConfig {
    /// `transactional.id`.
    pub id: Arc<str>,
    /// `transaction.timeout.ms`.
    pub timeout: Duration,
    /// `max.block.ms`.
    pub max_block: Duration,
}

/// Whether senders may send. The core opens and closes it, under its lock; whoever sends looks at it without.
#[derive(Clone, Debug)]
pub struct SendGate(Arc<AtomicU8>);

const CLOSED: u8 = 0;
const OPEN: u8 = 1;
const ABORTS: u8 = 2;

impl SendGate {
    fn new(state: u8) -> SendGate {
        SendGate(Arc::new(AtomicU8::new(state)))
    }

    /// Whether a record may be sent now.
    #[inline(always)]
    pub fn is_open(&self) -> bool {
        self.0.load(Ordering::Acquire) == OPEN
    }

    /// Whether nothing is to become of what was sent, as its transaction is being aborted.
    pub fn aborts(&self) -> bool {
        self.0.load(Ordering::Acquire) == ABORTS
    }

    fn set(&self, state: u8) {
        self.0.store(state, Ordering::Release);
    }
}

/// The producer's transactions.
#[derive(Debug)]
pub(super) struct Transactions {
    state: State,
    gate: SendGate,
    /// Who waits for the end of what is under way.
    call: Option<Call>,
    next_call: u64,
    /// How many have begun.
    number: u64,
    /// Whether this transaction is one of V2 (KIP-890).
    is_v2: bool,
    /// The epoch has had no transaction of V1, whose markers come with it: from such a one on, one of V2 would be taken for
    /// the rest of it.
    fresh: bool,
    /// Whether the coordinator knows that one is open.
    known: Known,
    /// The coordinator was asked to commit it, and may have: nothing but its answer makes the commit fail.
    decided: bool,
    /// It has said that it did; there is another epoch to be had yet.
    committed: bool,
    /// Partitions that are part of it, and those that the coordinator is yet to be told of.
    members: BTreeSet<u32>,
    joining: BTreeSet<u32>,
    /// While it is open, those that are yet to be taken.
    offsets: Option<Offsets>,
    /// What has to be asked for after the abort.
    renewal: Option<Renewal>,
    /// Batches of a failed transaction are yet to fail.
    clears: bool,

    coordinator: Option<NodeId>,
    /// Of the group whose offsets were committed last.
    group_coordinator: Option<(String, NodeId)>,
    /// A request is under way.
    asks: bool,
    not_before: Instant,
    failures: u32,
    last_cause: Option<String>,
}

#[derive(Clone, Debug)]
enum State {
    Fresh,
    Starting,
    Ready,
    Open,
    Ending { commits: bool, stage: Stage },
    Failed(Arc<str>),
    Dead(TransactionError),
}

/// How far an end is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// A commit that may be taken back, as there may be records in line.
    Begun,
    /// What was sent is on its way.
    Flushing,
    /// It is done.
    Flushed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    No,
    /// It was asked to take something into it, and did not answer.
    Perhaps,
    Yes,
}

/// Another epoch is to be had before the next transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Renewal {
    /// The next one: something of this one may still be under way, a batch or a request.
    Epoch,
    /// Of another id: the coordinator has forgotten this one, and knows of no transaction to end.
    Id,
}

#[derive(Debug)]
struct Offsets {
    group: ConsumerGroupMetadata,
    offsets: Vec<ConsumedOffset>,
    /// The coordinator knows that the group takes part.
    joined: bool,
}

#[derive(Debug)]
struct Call {
    id: TransactionCall,
    name: &'static str,
    /// When its caller is told that it takes long.
    until: Option<Instant>,
}

const INIT: &str = "init_transactions";
const BEGIN: &str = "begin_transaction";
const OFFSETS: &str = "send_offsets_to_transaction";
const COMMIT: &str = "commit_transaction";
const ABORT: &str = "abort_transaction";

/// Why records fail that were not written when their transaction was aborted.
pub(crate) const ABORTED: &str = "abort_transaction was called";

impl Transactions {
    pub(super) fn new() -> Transactions {
        Transactions {
            state: State::Fresh,
            gate: SendGate::new(CLOSED),
            call: None,
            next_call: 0,
            number: 0,
            is_v2: false,
            fresh: false,
            known: Known::No,
            decided: false,
            committed: false,
            members: BTreeSet::new(),
            joining: BTreeSet::new(),
            offsets: None,
            renewal: None,
            clears: false,
            coordinator: None,
            group_coordinator: None,
            asks: false,
            not_before: Instant::default(),
            failures: 0,
            last_cause: None,
        }
    }

    fn go(&mut self, state: State) {
        self.gate.set(match state {
            State::Open => OPEN,
            State::Ending { commits: false, .. } => ABORTS,
            _ => CLOSED,
        });
        self.state = state;
    }

    /// Whether records may be appended: those that were staged before the call that ends it are still to come.
    fn takes_records(&self) -> bool {
        match self.state {
            State::Open => true,
            State::Ending { commits, stage } => commits && stage != Stage::Flushed,
            _ => false,
        }
    }

    /// Whether a batch for the partition may go out.
    fn may_send_to(&self, partition: u32) -> bool {
        matches!(self.state, State::Open | State::Ending { commits: true, .. }) && self.members.contains(&partition)
    }

    /// What to say to a call that does not fit.
    fn does_not_fit(&self, call: &'static str) -> TransactionError {
        let state = match &self.state {
            State::Fresh => "init_transactions comes first",
            State::Starting => "init_transactions has not ended: call it again to wait for it",
            State::Ready => "no transaction is open: begin_transaction comes first",
            State::Open if call == INIT => "it was called before, and a transaction is open",
            State::Open => "a transaction is open: commit or abort it first",
            State::Ending { commits: true, .. } => {
                "a commit has not ended: call commit_transaction again to wait for it"
            }
            State::Ending { .. } => "an abort has not ended: call abort_transaction again to wait for it",
            State::Failed(reason) => return TransactionError::MustAbort { reason: Arc::clone(reason) },
            State::Dead(error) => return error.clone(),
        };
        let state = if call == INIT && matches!(self.state, State::Ready) { "it was called before" } else { state };
        TransactionError::State { call, state }
    }
}

impl Core {
    /// Whether senders may send: always, but for a producer with transactions, where one must be open.
    pub fn send_gate(&self) -> SendGate {
        self.transactions.as_ref().map_or_else(|| SendGate::new(OPEN), |transactions| transactions.gate.clone())
    }

    /// Asks for the producer id, which ends what an earlier producer of the same `transactional.id` left open and fences it
    /// off. [`Action::Transaction`] says how the call ended, [`Action::TransactionLate`] that `max.block.ms` is over.
    ///
    /// # Errors
    /// The call does not fit where the producer stands.
    pub fn init_transactions(&mut self, now: Instant) -> Result<TransactionCall, TransactionError> {
        let transactions = self.transactions_for_call()?;
        match transactions.state {
            State::Fresh => transactions.go(State::Starting),
            State::Starting => {}
            _ => return Err(transactions.does_not_fit(INIT)),
        }
        Ok(self.wait_for(now, INIT))
    }

    /// From now on records are taken, and belong to one transaction.
    ///
    /// # Errors
    /// As [`Core::init_transactions`].
    pub fn begin_transaction(&mut self) -> Result<(), TransactionError> {
        let version = self.transaction_version();
        let transactions = self.transactions_for_call()?;
        if !matches!(transactions.state, State::Ready) {
            return Err(transactions.does_not_fit(BEGIN));
        }
        if let Some(version) = version {
            transactions.is_v2 = version >= 2 && transactions.fresh;
        }
        transactions.number += 1;
        transactions.go(State::Open);
        Ok(())
    }

    /// Adds a group's offsets to the transaction that is open.
    ///
    /// # Errors
    /// As [`Core::init_transactions`].
    pub fn send_offsets(
        &mut self,
        now: Instant,
        offsets: Vec<ConsumedOffset>,
        group: ConsumerGroupMetadata,
    ) -> Result<TransactionCall, TransactionError> {
        let transactions = self.transactions_for_call()?;
        if !matches!(transactions.state, State::Open) {
            return Err(transactions.does_not_fit(OFFSETS));
        }
        match &transactions.offsets {
            // Who was told that it takes long comes again.
            Some(before) if before.group == group && before.offsets == offsets => {}
            Some(_) => {
                let state = "the offsets sent before are still under way: send them again to wait for them";
                return Err(TransactionError::State { call: OFFSETS, state });
            }
            None if offsets.is_empty() => {}
            None => transactions.offsets = Some(Offsets { group, offsets, joined: false }),
        }
        let call = self.wait_for(now, OFFSETS);
        if self.transactions.as_ref().is_some_and(|transactions| transactions.offsets.is_none()) {
            self.settle_call(Ok(()));
        }
        Ok(call)
    }

    /// No more records are taken, and those that were are to be flushed; of an abort, those that did not go out fail. Then
    /// [`Core::end_transaction`] goes on, with the number that this one returns. To be called again for an end that was
    /// called before and given up.
    ///
    /// # Errors
    /// As [`Core::init_transactions`].
    pub fn prepare_end(&mut self, now: Instant, commits: bool) -> Result<u64, TransactionError> {
        let transactions = self.transactions_for_call()?;
        let number = transactions.number;
        match transactions.state {
            State::Open if commits && transactions.offsets.is_some() => {
                let state = "send_offsets_to_transaction has not ended: call it again to wait for it";
                return Err(TransactionError::State { call: COMMIT, state });
            }
            State::Open => {}
            State::Failed(_) if !commits => {}
            State::Ending { commits: before, .. } if before == commits => return Ok(number),
            _ => return Err(transactions.does_not_fit(if commits { COMMIT } else { ABORT })),
        }
        let stage = if commits { Stage::Begun } else { Stage::Flushing };
        transactions.go(State::Ending { commits, stage });
        if !commits {
            transactions.offsets = None;
            self.settle_call(Err(TransactionError::MustAbort { reason: ABORTED.into() }));
            self.clear_queues(now);
        }
        Ok(number)
    }

    /// The commit of that number cannot go on, as there are records that wait for their turn: the transaction is open again.
    pub fn take_back_end(&mut self, number: u64) {
        if let Some(transactions) = &mut self.transactions
            && matches!(transactions.state, State::Ending { commits: true, stage: Stage::Begun })
            && transactions.number == number
        {
            // Whoever began the same commit beside has not to do with the next one.
            transactions.number += 1;
            transactions.go(State::Open);
        }
    }

    /// No record is in line: the commit of that number is not taken back any more.
    pub fn confirm_end(&mut self, number: u64) {
        if let Some(transactions) = &mut self.transactions
            && transactions.number == number
            && let State::Ending { commits: true, stage: stage @ Stage::Begun } = &mut transactions.state
        {
            *stage = Stage::Flushing;
        }
    }

    /// Everything that was staged has reached the core, and is done: has the coordinator end the transaction.
    ///
    /// # Errors
    /// As [`Core::init_transactions`]; of a commit, [`TransactionError::MustAbort`] where something failed meanwhile.
    pub fn end_transaction(
        &mut self,
        now: Instant,
        commits: bool,
        number: u64,
    ) -> Result<TransactionCall, TransactionError> {
        let call = if commits { COMMIT } else { ABORT };
        let transactions = self.transactions_for_call()?;
        let is_it = transactions.number == number;
        match &mut transactions.state {
            State::Ending { commits: before, stage } if is_it && *before == commits => *stage = Stage::Flushed,
            // Another caller's has come to an end.
            _ => return Err(transactions.does_not_fit(call)),
        }
        let call = self.wait_for(now, call);
        self.go_on(now);
        Ok(call)
    }

    /// Everything is done that was sent, and nothing more is to come: ends what is open, by an abort if nobody asked for its
    /// commit. Says whether that is one, and of which number; `None` where nothing is open, or can be ended.
    pub fn end_at_close(&mut self, now: Instant) -> Option<(TransactionCall, (bool, u64))> {
        let transactions = self.transactions.as_mut()?;
        if matches!(transactions.state, State::Ending { commits: true, stage: Stage::Begun }) {
            // Whoever began it is about to hear that it cannot go on.
            transactions.go(State::Open);
        }
        let commits = matches!(transactions.state, State::Ending { commits: true, .. });
        let number = self.prepare_end(now, commits).ok()?;
        Some((self.end_transaction(now, commits, number).ok()?, (commits, number)))
    }

    /// Something of the transaction failed, outside the core: it cannot be committed.
    pub fn fail_transaction(&mut self, now: Instant, error: &ProduceError) {
        let commits = |of: &Transactions| matches!(of.state, State::Ending { commits: true, .. });
        match error {
            // What came beside its end is none of it; but nothing should, beside a commit.
            ProduceError::NoTransaction { .. } if !self.transactions.as_ref().is_some_and(commits) => return,
            ProduceError::Aborted { .. } => return,
            _ => {}
        }
        self.must_abort(now, || error.to_string().into());
    }

    /// Why no record can be sent now.
    pub fn no_transaction(&self, topic: &Arc<str>) -> ProduceError {
        if let Some(ended) = &self.ended {
            return ended.error(Fate::NotWritten).at(topic, None);
        }
        let reason: Arc<str> = match self.transactions.as_ref().map(|transactions| &transactions.state) {
            Some(State::Fresh | State::Starting) => "init_transactions, then begin_transaction come first".into(),
            Some(State::Ending { commits: true, .. }) => "a commit is under way".into(),
            Some(State::Ending { .. }) => "an abort is under way".into(),
            Some(State::Failed(reason)) => format!("the transaction has to be aborted: {reason}").into(),
            Some(State::Dead(error)) => error.to_string().into(),
            Some(State::Ready | State::Open) | None => "none is open: begin_transaction comes first".into(),
        };
        let must_abort = matches!(self.transactions, Some(Transactions { state: State::Failed(_), .. }));
        ProduceError::NoTransaction { topic: Arc::clone(topic), reason, must_abort }
    }

    fn transactions_for_call(&mut self) -> Result<&mut Transactions, TransactionError> {
        if let Some(ended) = &self.ended
            && !matches!(self.transactions, Some(Transactions { state: State::Dead(_), .. }))
        {
            return Err(TransactionError::Produce(ended.error(Fate::NotWritten)));
        }
        self.transactions.as_mut().ok_or(TransactionError::NotTransactional)
    }

    /// Whether appends are refused for want of a transaction.
    pub(super) fn lacks_transaction(&self) -> bool {
        self.transactions.as_ref().is_some_and(|transactions| !transactions.takes_records())
    }

    /// A batch is begun for a partition: it becomes part of the transaction.
    pub(super) fn join(&mut self, partition: u32) {
        let Some(transactions) = &mut self.transactions else { return };
        if transactions.is_v2 {
            // Its leader sees to it.
            transactions.members.insert(partition);
        } else if !transactions.members.contains(&partition) {
            transactions.joining.insert(partition);
            if sabotage::is_on(Sabotage::SendBeforeJoined) {
                transactions.members.insert(partition);
            }
        }
    }

    /// Whether a batch for the partition may go out, as far as transactions are concerned.
    pub(super) fn transaction_lets(&self, partition: u32) -> bool {
        self.transactions.as_ref().is_none_or(|transactions| transactions.may_send_to(partition))
    }

    /// A Produce request goes out.
    pub(super) fn transaction_goes_out(&mut self) {
        if let Some(transactions) = &mut self.transactions
            && transactions.is_v2
        {
            transactions.known = Known::Yes;
        }
    }

    /// The newest Produce version to use: from 12 on, what is written becomes part of a transaction by itself (KIP-890).
    pub(super) fn produce_version_max(&self) -> i16 {
        match &self.transactions {
            Some(transactions) if !transactions.is_v2 => 11,
            _ => i16::MAX,
        }
    }

    /// What the transaction's records need failed: it cannot be committed, and what has not gone out does not go.
    pub(super) fn must_abort(&mut self, now: Instant, reason: impl FnOnce() -> Arc<str>) {
        let Some(transactions) = &mut self.transactions else { return };
        if transactions.decided || !matches!(transactions.state, State::Open | State::Ending { commits: true, .. }) {
            return;
        }
        let reason = reason();
        transactions.go(State::Failed(Arc::clone(&reason)));
        transactions.offsets = None;
        // Whoever found that out may be in the middle of a queue.
        transactions.clears = true;
        self.set_transaction_timer(now);
        self.settle_call(Err(TransactionError::MustAbort { reason }));
    }

    /// A partition's log begins anew, and has never heard of our sequences.
    pub(super) fn transaction_lost_log(&mut self, now: Instant, id: u32) {
        let is_member = self.transactions.as_ref().is_some_and(|transactions| transactions.members.contains(&id));
        let partition = &mut self.partitions[id as usize];
        if !is_member {
            // The epoch goes on, and so do they: what came before this was known may stand in the new log.
            partition.sequences.unproven();
            return;
        }
        partition.sequences.log_made_anew();
        let place = format!("{}-{}", self.topics[partition.topic].name, partition.index);
        self.must_abort(now, || format!("{place}: its topic was made anew, what was written to it is gone").into());
    }

    /// The producer can do no more.
    fn die(&mut self, error: TransactionError) {
        let Some(transactions) = &mut self.transactions else { return };
        transactions.go(State::Dead(error.clone()));
        self.settle_call(Err(error.clone()));
        self.fail_for_good(error.to_string());
    }

    /// Nothing more comes of any call.
    pub(super) fn end_calls(&mut self, ended: &Ended) {
        if let Some(transactions) = &self.transactions {
            let fate = if transactions.decided { Fate::Unknown } else { Fate::NotWritten };
            self.settle_call(Err(TransactionError::Produce(ended.error(fate))));
        }
    }

    /// A batch is to go out once more, which it does not if its transaction is aborted, or has to be.
    pub(super) fn batch_came_back(&mut self, now: Instant) {
        if let Some(transactions) = &mut self.transactions
            && matches!(transactions.state, State::Failed(_) | State::Ending { commits: false, .. })
        {
            transactions.clears = true;
            self.set_transaction_timer(now);
        }
    }

    /// Fails what has not gone out, or would go out again.
    fn clear_queues(&mut self, now: Instant) {
        let Some(transactions) = &mut self.transactions else { return };
        transactions.clears = false;
        transactions.joining.clear();
        let reason: Arc<str> = match &transactions.state {
            State::Failed(reason) => Arc::clone(reason),
            _ => ABORTED.into(),
        };
        for id in self.active.iter().collect::<Vec<_>>() {
            self.fail_queue(now, id, |topic, partition, fate| {
                let reason = Arc::clone(&reason);
                ProduceError::Aborted { topic, partition: Some(partition), reason, fate }
            });
        }
    }

    /// What its time has come for.
    pub(super) fn transaction_timer(&mut self, now: Instant) {
        let Some(transactions) = &mut self.transactions else { return };
        if transactions.clears {
            self.clear_queues(now);
        }
        self.tell_lateness(now);
        self.set_transaction_timer(now);
    }

    fn tell_lateness(&mut self, now: Instant) {
        let (Some(transactions), Some(config)) = (&mut self.transactions, &self.config.transactions) else { return };
        let Some(call) = &mut transactions.call else { return };
        if call.until.take_if(|until| *until <= now).is_none() {
            return;
        }
        let (id, call, limit) = (call.id, call.name, config.max_block);
        let cause = transactions.last_cause.clone();
        let node = transactions.coordinator.and_then(|node| self.nodes.get(&node));
        let last_cause =
            cause.or_else(|| node.and_then(|node| node.last_cause.clone())).or_else(|| self.node_trouble());
        let error = TransactionError::Timeout { call, key: "max.block.ms", limit, stage: self.stage(), last_cause };
        self.actions.push_back(Action::TransactionLate { call: id, error });
    }

    /// From now on somebody waits for the end of what is under way; one at a time.
    fn wait_for(&mut self, now: Instant, name: &'static str) -> TransactionCall {
        let max_block = self.config.transactions.as_ref().map(|config| config.max_block).unwrap_or_default();
        let Some(transactions) = &mut self.transactions else { unreachable!("they are looked at before") };
        let known = transactions.call.as_ref().filter(|call| call.name == name).map(|call| call.id);
        let id = known.unwrap_or_else(|| {
            transactions.next_call += 1;
            TransactionCall(transactions.next_call)
        });
        transactions.call = Some(Call { id, name, until: Some(now + max_block) });
        self.set_transaction_timer(now);
        self.drive_links(now);
        self.news.ready(now);
        id
    }

    /// For a caller that comes back to a call that takes long: from now on, `max.block.ms` counts anew.
    pub fn wait_longer(&mut self, now: Instant, call: TransactionCall) {
        let known = self.transactions.as_ref().and_then(|transactions| transactions.call.as_ref());
        if let Some(name) = known.filter(|known| known.id == call).map(|known| known.name) {
            self.wait_for(now, name);
        }
    }

    fn settle_call(&mut self, outcome: Result<(), TransactionError>) {
        if let Some(transactions) = &mut self.transactions
            && let Some(Call { id: call, .. }) = transactions.call.take()
        {
            // Whatever becomes of the producer.
            let outcome = if transactions.committed { Ok(()) } else { outcome };
            self.actions.push_back(Action::Transaction { call, outcome });
        }
    }

    fn set_transaction_timer(&mut self, now: Instant) {
        let Some(transactions) = &self.transactions else { return };
        let mut at = transactions.call.as_ref().and_then(|call| call.until);
        if transactions.clears {
            at = Some(now);
        }
        if !transactions.asks && transactions.not_before > now {
            at = Some(at.map_or(transactions.not_before, |at| at.min(transactions.not_before)));
        }
        self.timers.set(Timer::Transaction, at);
    }

    /// The transaction has come to its end.
    fn ended_transaction(&mut self, now: Instant, producer: Option<ProducerIdAndEpoch>) {
        let Some(transactions) = &mut self.transactions else { return };
        transactions.go(State::Ready);
        transactions.known = Known::No;
        (transactions.decided, transactions.committed) = (false, false);
        transactions.renewal = None;
        let members = std::mem::take(&mut transactions.members);
        if let Some(producer) = producer {
            self.producer_id = ProducerId::Have(producer);
            // What holes there are belong to the epoch before.
            members.into_iter().for_each(|id| self.partitions[id as usize].sequences.reset());
        } else if transactions.is_v2 {
            // Nothing went out, so that the epoch is still as good as new: not so a log that was made anew meanwhile.
            let torn = |id: &u32| self.partitions[*id as usize].sequences.is_torn();
            let torn: Vec<u32> = members.into_iter().filter(torn).collect();
            torn.into_iter().for_each(|id| self.partitions[id as usize].sequences.reset());
        }
        self.set_transaction_timer(now);
        self.settle_call(Ok(()));
    }
}
