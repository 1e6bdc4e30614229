//! The calls of one producer, as the shell makes them, and what the simulator holds against each answer and each request.

use super::{SentOffsets, Stage, Transaction};
use crate::batch::Batch;
use crate::check::Told;
use crate::coordinators::{Asking, State};
use crate::load::Planned;
use crate::network::{Side, WireProduce};
use crate::world::{Event, World};
use pointsman::core::{TopicStatus, TransactionCall};
use pointsman::error::ProduceError;
use pointsman::protocol::messages::Request;
use pointsman::{ConsumedOffset, ConsumerGroupMetadata, TransactionError};
use std::collections::BTreeMap;
use std::time::Duration;

/// A call that has not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Running {
    Init(TransactionCall),
    Offsets(TransactionCall),
    /// An end waits for its records.
    Flush {
        commits: bool,
        flush: u64,
        number: u64,
    },
    End {
        commits: bool,
        call: TransactionCall,
    },
}

impl Running {
    fn call(&self) -> Option<TransactionCall> {
        match self {
            Running::Init(call) | Running::Offsets(call) | Running::End { call, .. } => Some(*call),
            Running::Flush { .. } => None,
        }
    }
}

type Outcome = Result<(), TransactionError>;

impl World {
    fn program(&mut self) -> &mut super::Program {
        let producer = self.producer;
        self.transactions.programs.entry(producer).or_default()
    }

    fn open_transaction(&mut self) -> Option<&mut Transaction> {
        let at = self.program().open?;
        self.transactions.transactions.get_mut(at)
    }

    /// Runs something as this producer.
    pub fn as_producer<T>(&mut self, producer: usize, act: impl FnOnce(&mut World) -> T) -> T {
        let before = std::mem::replace(&mut self.producer, producer);
        let done = act(self);
        self.producer = before;
        done
    }

    pub fn init(&mut self, producer: usize) {
        self.as_producer(producer, |world| {
            let called = world.core().init_transactions(world.now);
            world.trace.line(world.now, || format!("producer {producer}: init {called:?}"));
            world.runs(called, Running::Init);
        });
    }

    fn runs(
        &mut self,
        called: Result<TransactionCall, TransactionError>,
        running: impl FnOnce(TransactionCall) -> Running,
    ) {
        self.program().heard = None;
        match called {
            Ok(call) => self.program().running = Some(running(call)),
            Err(error) => self.heard(Err(error)),
        }
    }

    pub fn begin(&mut self, producer: usize) -> Outcome {
        self.as_producer(producer, |world| {
            let begun = world.core().begin_transaction();
            world.trace.line(world.now, || format!("producer {producer}: begin {begun:?}"));
            begun?;
            let at = world.transactions.transactions.len();
            world.transactions.transactions.push(Transaction {
                producer,
                records: Vec::new(),
                spoilt: false,
                offsets: None,
                stage: Stage::Open,
                second: None,
            });
            world.program().open = Some(at);
            Ok(())
        })
    }

    pub fn send_in_transaction(&mut self, producer: usize, planned: Planned) {
        self.as_producer(producer, |world| {
            world.program().line.push_back(planned);
            world.send_what_waits();
        });
    }

    /// Records whose topic is known, in their order.
    pub fn send_what_waits(&mut self) {
        if !self.transactions.programs.contains_key(&self.producer) {
            return;
        }
        while let Some(planned) = self.program().line.front() {
            let topic = planned.topic.clone();
            let status = self.core().topic(self.now, &topic);
            let TopicStatus::Ready(handle) = status else { return };
            let mut planned = self.program().line.pop_front().expect("as above");
            planned.accepted = Some(self.now);
            self.append(handle, planned);
        }
    }

    /// The core took a record.
    pub fn taken_in_transaction(&mut self, number: u64) {
        let (producer, Some(at)) = (self.producer, self.program().open) else {
            return self.violation(format!("record {number} was taken, and no transaction is open"));
        };
        self.transactions.of_record.insert(number, at);
        let transaction = &mut self.transactions.transactions[at];
        transaction.records.push(number);
        if transaction.stage != Stage::Open {
            let stage = transaction.stage;
            self.violation(format!("record {number} was taken by a transaction that is {stage:?}"));
        }
        self.ledger.entries.get_mut(&number).expect("it was accepted").stream = producer as u64;
    }

    /// It did not; a lane tells it that a record is lost.
    pub fn refused_in_transaction(&mut self, number: u64, error: &ProduceError) {
        self.trace.line(self.now, || format!("append {number}: {error}"));
        self.core().fail_transaction(self.now, error);
        match self.open_transaction() {
            Some(transaction) => transaction.spoilt = true,
            None => self.violation(format!("record {number} was sent, and no transaction is open")),
        }
        if !matches!(
            error,
            ProduceError::NoTransaction { .. } | ProduceError::Fatal { .. } | ProduceError::TooLarge { .. }
        ) {
            self.violation(format!("append {number}: {error}"));
        }
    }

    pub fn send_offsets(&mut self, producer: usize, group: &ConsumerGroupMetadata, offsets: &[(&str, i32, i64)]) {
        self.as_producer(producer, |world| {
            let consumed = offsets.iter().map(|(topic, partition, offset)| ConsumedOffset {
                topic: (*topic).to_owned(),
                partition: *partition,
                offset: *offset,
                leader_epoch: None,
                metadata: None,
            });
            let called = world.core().send_offsets(world.now, consumed.collect(), group.clone());
            world.trace.line(world.now, || format!("producer {producer}: offsets {offsets:?} {called:?}"));
            if called.is_ok()
                && let Some(transaction) = world.open_transaction()
            {
                let sent: BTreeMap<_, _> = offsets
                    .iter()
                    .map(|(topic, partition, offset)| (((*topic).to_owned(), *partition), *offset))
                    .collect();
                transaction.offsets = Some(SentOffsets { offsets: sent, taken: false });
            }
            world.runs(called, Running::Offsets);
        });
    }

    /// Commits or aborts; called again, it waits for what was called before.
    pub fn end(&mut self, producer: usize, commits: bool) {
        self.as_producer(producer, |world| {
            match world.program().running {
                Some(Running::End { commits: before, call }) if before == commits => {
                    return world.core().wait_longer(world.now, call);
                }
                Some(Running::Flush { commits: before, .. }) if before == commits => return,
                _ => {}
            }
            world.program().heard = None;
            let prepared = world.core().prepare_end(world.now, commits);
            world.trace.line(world.now, || format!("producer {producer}: end, commits: {commits}, {prepared:?}"));
            let number = match prepared {
                Ok(number) => number,
                Err(error) => return world.heard(Err(error)),
            };
            let count = world.program().line.len();
            if commits && count > 0 {
                world.core().take_back_end(number);
                return world.heard(Err(TransactionError::SendsWait { count }));
            }
            world.program().line.clear();
            if let Some(transaction) = world.open_transaction() {
                transaction.stage = if commits { Stage::Committing } else { Stage::Aborting };
            }
            let flush = world.core().flush(world.now);
            world.program().running = Some(Running::Flush { commits, flush, number });
        });
    }

    /// A caller that was told that it takes long comes again.
    pub fn call_again(&mut self, producer: usize) {
        self.as_producer(producer, |world| {
            if let Some(call) = world.program().running.and_then(|running| running.call()) {
                world.core().wait_longer(world.now, call);
            }
        });
    }

    pub fn transaction_flushed(&mut self, flush: u64) {
        let Some(Running::Flush { commits, flush: awaited, number }) = self.program().running else { return };
        if awaited != flush {
            return;
        }
        if let Some(at) = self.program().open {
            let records = &self.transactions.transactions[at].records;
            let open: Vec<u64> =
                records.iter().copied().filter(|number| self.ledger.entries[number].done.is_none()).collect();
            if !open.is_empty() {
                self.violation(format!("flush {flush} ended before records {open:?}"));
            }
        }
        let called = self.core().end_transaction(self.now, commits, number);
        self.runs(called, |call| Running::End { commits, call });
    }

    pub fn call_late(&mut self, call: TransactionCall, error: &TransactionError) {
        if !matches!(error, TransactionError::Timeout { .. }) {
            self.violation(format!("late: {error}"));
        }
        if self.program().running.and_then(|running| running.call()) != Some(call) {
            return self.violation(format!("{call:?} is late, and nobody waits for it"));
        }
        self.program().late += 1;
        self.program_is_late();
    }

    pub fn call_ended(&mut self, call: TransactionCall, outcome: Outcome) {
        if self.program().running.and_then(|running| running.call()) != Some(call) {
            // An abort ends what was waited for before.
            if outcome.is_ok() {
                self.violation(format!("{call:?} ended well, and nobody waits for it"));
            }
            return;
        }
        self.heard(outcome);
    }

    /// A call has come to its end.
    pub fn heard(&mut self, outcome: Outcome) {
        let producer = self.producer;
        let running = self.program().running.take();
        self.trace.line(self.now, || format!("producer {producer}: {running:?} ended: {outcome:?}"));
        let wrong = match &outcome {
            Ok(()) => self.ended_well(running),
            Err(error) => self.ended_badly(running, error),
        };
        if let Some(wrong) = wrong {
            self.violation(format!("producer {producer}: {running:?}: {wrong}"));
        }
        self.program().heard = Some(outcome);
        let wakes = self.program().script.is_some();
        if wakes {
            self.after(Duration::ZERO, Event::Program(producer));
        }
    }

    fn ended_well(&mut self, running: Option<Running>) -> Option<String> {
        match running? {
            Running::Init(_) | Running::Flush { .. } => {}
            Running::Offsets(_) => {
                if let Some(offsets) = self.open_transaction().and_then(|transaction| transaction.offsets.as_mut()) {
                    offsets.taken = true;
                }
            }
            Running::End { commits, .. } => {
                let at = self.program().open.take()?;
                let transaction = &mut self.transactions.transactions[at];
                transaction.stage = if commits { Stage::Committed } else { Stage::Aborted };
                let spoilt = transaction.spoilt || transaction.offsets.as_ref().is_some_and(|offsets| !offsets.taken);
                if commits && spoilt {
                    return Some("it is committed, and not all of it".to_owned());
                }
                let told = |number: &&u64| self.ledger.entries[*number].done.as_ref().map(|(_, told)| told);
                let records = &self.transactions.transactions[at].records;
                let lost = records.iter().find(|number| !matches!(told(number), Some(Told::Written(_))));
                if commits && let Some(number) = lost {
                    return Some(format!("it is committed, and record {number} is {:?}", told(&number)));
                }
            }
        }
        None
    }

    /// Whether somebody has taken this producer's epoch: another one, the coordinator for the transaction's age, or a request
    /// of its own that it had given up, and that asks for the next epoch whenever it comes.
    fn may_be_fenced(&self) -> bool {
        let fences = &self.cluster.coordinators.fences;
        fences.iter().any(|fence| fence.by != Some(self.producer) || fence.late)
    }

    fn ended_badly(&mut self, running: Option<Running>, error: &TransactionError) -> Option<String> {
        match error {
            TransactionError::MustAbort { .. } => {
                let aborts = matches!(running, Some(Running::End { commits: false, .. } | Running::Init(_)));
                if let Some(transaction) = self.open_transaction() {
                    transaction.stage = Stage::Open;
                    transaction.spoilt = true;
                }
                return aborts.then(|| error.to_string());
            }
            TransactionError::SendsWait { .. } => return None,
            TransactionError::State { .. } if self.program().script.is_none() => return None,
            TransactionError::Fenced { .. } if !self.may_be_fenced() => {
                return Some(format!("nobody fenced it off: {error}"));
            }
            TransactionError::Fenced { .. } => {}
            // Its process has ended.
            TransactionError::Produce(ProduceError::Closed { .. }) => {}
            TransactionError::Fatal { .. } if self.program().script.is_none() => {}
            error => return Some(error.to_string()),
        }
        self.lose_transactions(self.producer);
        None
    }

    /// Producers that died, or whose call will never end: what is open is lost.
    pub fn lose_transactions(&mut self, producer: usize) {
        self.as_producer(producer, |world| {
            world.program().line.clear();
            if let Some(transaction) = world.open_transaction() {
                transaction.stage = Stage::Lost { committing: transaction.stage == Stage::Committing };
            }
            world.program().open = None;
        });
    }

    /// What can be seen of a request about transactions, before anything happens to it.
    pub fn transaction_leaves(&mut self, producer: usize, request: &Request, version: i16) {
        if self.transactions.is_empty() {
            return;
        }
        let open = self.program().open;
        let stage = open.map(|at| self.transactions.transactions[at].stage);
        let of = open.map(|at| format!("transaction {at}, {stage:?}")).unwrap_or_default();
        match request {
            Request::Produce(produce) => {
                let read = WireProduce::read(version, produce);
                for (named, batch) in
                    read.batches.iter().filter_map(|(named, batch)| Some((named, batch.as_ref().ok()?)))
                {
                    if !matches!(stage, Some(Stage::Open | Stage::Committing)) {
                        self.violation(format!("a batch leaves while no transaction is open: {of}"));
                    }
                    let whose = batch.records.iter().filter_map(crate::check::number_of);
                    let other = whose
                        .filter_map(|number| self.transactions.of_record.get(&number))
                        .find(|at| Some(**at) != open);
                    if let Some(other) = other {
                        self.violation(format!("a record of transaction {other} leaves in {of}"));
                    }
                    if version < 12 {
                        self.check_joined(producer, &(named.name.clone(), named.index), batch);
                    }
                }
                if let Some(at) = open {
                    let second = self.transactions.transactions[at].second.get_or_insert(version >= 12);
                    if *second != (version >= 12) {
                        self.violation(format!("Produce {version} in {of}, which began by the other protocol"));
                    }
                }
            }
            Request::AddPartitionsToTxn(_) | Request::AddOffsetsToTxn(_) | Request::TxnOffsetCommit(_)
                if !matches!(stage, Some(Stage::Open | Stage::Committing)) =>
            {
                self.violation(format!("{:?} leaves while no transaction is open: {of}", request.api()));
            }
            Request::EndTxn(end) => {
                let fits = if end.committed { Stage::Committing } else { Stage::Aborting };
                if stage != Some(fits) {
                    self.violation(format!("EndTxn, commits: {}, leaves in {of}", end.committed));
                }
                let second = open.and_then(|at| self.transactions.transactions[at].second);
                if second.is_some_and(|second| second != (version >= 5)) {
                    self.violation(format!("EndTxn {version} in {of}, which began by the other protocol"));
                }
                let own = self.connections.values().filter(|of| of.id.producer == producer && of.side == Side::Open);
                if own.flat_map(|of| of.in_flight.values()).any(|request| request.is_produce) {
                    self.violation(format!("EndTxn leaves while records are under way: {of}"));
                }
            }
            _ => {}
        }
    }

    /// With V1 the coordinator knows of a partition before anything is written to it.
    fn check_joined(&mut self, producer: usize, place: &(std::sync::Arc<str>, i32), batch: &Batch) {
        let id = self.config.transactions.as_ref().map(|config| config.id.to_string()).unwrap_or_default();
        let Some(known) = self.cluster.coordinators.ids.get(&id) else { return };
        let asking = Asking { producer_id: batch.producer_id, epoch: batch.epoch };
        // Another producer's, or a later one of this.
        if (Asking { producer_id: known.producer_id, epoch: known.epoch }) != asking {
            return;
        }
        if known.state != State::Ongoing || !known.partitions.contains(place) {
            let state = known.state;
            let what = format!(
                "producer {producer} sends to {}-{}, which is not part of its transaction: {state:?}",
                place.0, place.1
            );
            self.violation(what);
        }
    }
}
