//! What the coordinators are asked, one request at a time, and what follows from their answers.

use super::super::Core;
use super::super::backoff::Backoff;
use super::super::batch::ProducerIdAndEpoch;
use super::super::io::{NodeId, Transmit};
use super::super::node::RequestKind;
use super::super::producer_id::ProducerId;
use super::super::time::Instant;
use super::super::verdict::{OfTransaction, TransactionVerdict, transaction_verdict};
use super::{Known, Offsets, Renewal, Stage, State, Transactions};
use crate::error::Fate;
use crate::protocol::error_code as code;
use crate::protocol::messages::{
    AddOffsetsToTxnRequest, AddPartitionsToTxnRequest, ApiKey, CoordinatorKind, EndTxnRequest, FindCoordinatorRequest,
    InitProducerIdRequest, Request, Response, TxnOffset, TxnOffsetCommitRequest,
};
use crate::protocol::versions;
use crate::sabotage::{self, Sabotage};
use crate::transaction::TransactionError;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// The transaction before this one ends a little after that was said: the first pause until it is asked again.
const SOON: Duration = Duration::from_millis(20);

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) enum Step {
    FindCoordinator,
    /// Of this group.
    FindGroupCoordinator(String),
    InitProducerId,
    AddPartitions(Vec<u32>),
    AddOffsets,
    CommitOffsets,
    End {
        commits: bool,
    },
}

impl Step {
    pub(in super::super) fn name(&self) -> &'static str {
        match self {
            Step::FindCoordinator | Step::FindGroupCoordinator(_) => "FindCoordinator",
            Step::InitProducerId => "InitProducerId",
            Step::AddPartitions(_) => "AddPartitionsToTxn",
            Step::AddOffsets => "AddOffsetsToTxn",
            Step::CommitOffsets => "TxnOffsetCommit",
            Step::End { .. } => "EndTxn",
        }
    }

    fn of(&self) -> OfTransaction {
        match self {
            Step::FindCoordinator | Step::FindGroupCoordinator(_) => OfTransaction::FindCoordinator,
            Step::InitProducerId => OfTransaction::InitProducerId,
            Step::AddPartitions(_) => OfTransaction::AddPartitions,
            Step::AddOffsets => OfTransaction::AddOffsets,
            Step::CommitOffsets => OfTransaction::CommitOffsets,
            Step::End { commits } => OfTransaction::End { commits: *commits },
        }
    }
}

/// Who is to be asked.
enum Whom {
    Anybody,
    Node(NodeId),
}

impl Transactions {
    /// What comes next, of the coordinators. `is_quiet`: no batch is queued or under way; asked only where it matters.
    fn next(&self, is_quiet: impl FnOnce() -> bool) -> Option<(Whom, Step)> {
        let of_coordinator = |step| match self.coordinator {
            Some(node) => (Whom::Node(node), step),
            None => (Whom::Anybody, Step::FindCoordinator),
        };
        match &self.state {
            State::Fresh | State::Ready | State::Failed(_) | State::Dead(_) => None,
            State::Starting => Some(of_coordinator(Step::InitProducerId)),
            State::Open | State::Ending { commits: true, .. } if !self.joining.is_empty() => {
                Some(of_coordinator(Step::AddPartitions(self.joining.iter().copied().collect())))
            }
            State::Open => {
                let Offsets { group, joined, .. } = self.offsets.as_ref()?;
                if !joined && !self.is_v2 {
                    return Some(of_coordinator(Step::AddOffsets));
                }
                let group = &group.group_id;
                Some(match &self.group_coordinator {
                    Some((of, node)) if of == group => (Whom::Node(*node), Step::CommitOffsets),
                    _ => (Whom::Anybody, Step::FindGroupCoordinator(group.clone())),
                })
            }
            State::Ending { commits, stage: Stage::Flushed } if is_quiet() => match (self.known, self.renewal) {
                (_, Some(Renewal::Id)) | (Known::No, Some(Renewal::Epoch)) => {
                    Some(of_coordinator(Step::InitProducerId))
                }
                (Known::No, None) => None,
                (Known::Perhaps | Known::Yes, _) => Some(of_coordinator(Step::End { commits: *commits })),
            },
            State::Ending { .. } => None,
        }
    }

    /// Whether it has come to its end without the coordinator, which knows nothing of it.
    fn is_over(&self) -> bool {
        let ends = matches!(self.state, State::Ending { stage: Stage::Flushed, .. });
        ends && self.joining.is_empty() && self.known == Known::No && self.renewal.is_none()
    }
}

impl Core {
    /// What to ask next, if anything can be asked now.
    fn next_step(&self, now: Instant) -> Option<(Whom, Step)> {
        let transactions = self.transactions.as_ref()?;
        if transactions.asks || transactions.not_before > now || self.ended.is_some() {
            return None;
        }
        transactions.next(|| self.is_quiet(transactions))
    }

    /// Whether no batch of the transaction is queued or under way.
    fn is_quiet(&self, transactions: &Transactions) -> bool {
        let is_answered = |id: &u32| self.partitions[*id as usize].in_flight.is_empty();
        self.flushes.live() == 0 && transactions.members.iter().all(is_answered)
    }

    /// What the producer waits for, in words.
    pub(super) fn stage(&self) -> &'static str {
        let Some(transactions) = &self.transactions else { return "" };
        match transactions.next(|| true) {
            Some((_, Step::FindCoordinator)) => "looking for the transaction's coordinator",
            Some((_, Step::FindGroupCoordinator(_))) => "looking for the group's coordinator",
            Some((_, Step::InitProducerId)) => "waiting for a producer id",
            Some((_, Step::AddPartitions(_))) => "adding partitions to the transaction",
            Some((_, Step::AddOffsets | Step::CommitOffsets)) => "adding offsets to the transaction",
            Some((_, Step::End { .. })) => "waiting for the coordinator to end it",
            None => "waiting for its records",
        }
    }

    /// A broker that a request waits for: it is to be connected to.
    pub(in super::super) fn wanted_coordinator(&self, now: Instant) -> Option<NodeId> {
        match self.next_step(now) {
            Some((Whom::Node(node), _)) => Some(node),
            _ => None,
        }
    }

    /// Whether any broker is to be asked for a coordinator.
    pub(in super::super) fn wants_coordinator(&self, now: Instant) -> bool {
        matches!(self.next_step(now), Some((Whom::Anybody, _)))
    }

    /// What has come to its end without the coordinator.
    fn end_if_over(&mut self, now: Instant) {
        if let Some(transactions) = &self.transactions
            && transactions.is_over()
            && self.is_quiet(transactions)
        {
            self.ended_transaction(now, None);
        }
    }

    /// What may have come to its end, and who is to be connected to for what comes next.
    pub(super) fn go_on(&mut self, now: Instant) {
        self.end_if_over(now);
        self.drive_links(now);
    }

    /// The next request about transactions.
    pub(in super::super) fn poll_transaction(&mut self, now: Instant) -> Option<Transmit> {
        self.end_if_over(now);
        let (whom, step) = self.next_step(now)?;
        // For those that are not connected yet.
        self.drive_links(now);
        let node = match whom {
            Whom::Anybody => self.least_loaded(now)?,
            Whom::Node(node) => {
                if !self.nodes.contains_key(&node) {
                    self.coordinator_unreachable(node, "it is no broker of the cluster any more");
                    return None;
                }
                let connection = self.nodes.get(&node).and_then(|node| node.connection())?;
                connection.has_room(now, self.config.max_in_flight).then_some(node)?
            }
        };
        if let (Step::CommitOffsets, Some(why)) = (&step, self.cannot_check_member(node)) {
            self.must_abort(now, || why.into());
            return None;
        }
        let request = self.transaction_request(&step)?;
        let transactions = self.transactions.as_mut()?;
        transactions.asks = true;
        transactions.decided |= step == Step::End { commits: true };
        if matches!(step, Step::AddPartitions(_) | Step::AddOffsets | Step::CommitOffsets)
            && transactions.known == Known::No
        {
            transactions.known = Known::Perhaps;
            transactions.fresh &= transactions.is_v2;
        }
        self.set_transaction_timer(now);
        self.transmit(now, node, request, RequestKind::Transaction(step), true)
    }

    /// Before version 3 of TxnOffsetCommit (KIP-447), offsets of a member that lost its partitions would be taken unseen.
    fn cannot_check_member(&self, node: NodeId) -> Option<&'static str> {
        let offsets = self.transactions.as_ref()?.offsets.as_ref()?;
        let versions = &self.nodes.get(&node)?.connection()?.versions;
        let version = versions.pick(ApiKey::TxnOffsetCommit, versions::ours(ApiKey::TxnOffsetCommit))?;
        let names_member = offsets.group.generation_id >= 0 || !offsets.group.member_id.is_empty();
        (names_member && version < 3)
            .then_some("the group's coordinator is too old to tell whether its member is still one")
    }

    fn transaction_request(&self, step: &Step) -> Option<Request> {
        let config = self.config.transactions.as_ref()?;
        let transactions = self.transactions.as_ref()?;
        let transactional_id = config.id.to_string();
        let none = ProducerIdAndEpoch { id: -1, epoch: -1 };
        let ProducerIdAndEpoch { id: producer_id, epoch: producer_epoch } = self.producer_id.current().unwrap_or(none);
        let offsets = transactions.offsets.as_ref();
        Some(match step {
            Step::FindCoordinator => Request::FindCoordinator(FindCoordinatorRequest {
                key: transactional_id,
                kind: CoordinatorKind::Transaction,
            }),
            Step::FindGroupCoordinator(group) => {
                Request::FindCoordinator(FindCoordinatorRequest { key: group.clone(), kind: CoordinatorKind::Group })
            }
            Step::InitProducerId => {
                // A coordinator that has forgotten the id takes any; one that has given it another since knows who is fenced off
                // (from version 3 on, KIP-360: before Kafka 2.5 it does not, should it come between the end and this).
                let continues = transactions.renewal.is_some();
                Request::InitProducerId(InitProducerIdRequest {
                    transactional_id: Some(transactional_id),
                    transaction_timeout_ms: i32::try_from(config.timeout.as_millis()).unwrap_or(i32::MAX),
                    producer_id: if continues { producer_id } else { -1 },
                    producer_epoch: if continues { producer_epoch } else { -1 },
                })
            }
            Step::AddPartitions(partitions) => {
                let mut topics: BTreeMap<usize, Vec<i32>> = BTreeMap::new();
                for partition in partitions.iter().map(|&id| &self.partitions[id as usize]) {
                    topics.entry(partition.topic).or_default().push(partition.index);
                }
                let topics = topics.into_iter().map(|(at, of)| (Arc::clone(&self.topics[at].name), of)).collect();
                Request::AddPartitionsToTxn(AddPartitionsToTxnRequest {
                    transactional_id,
                    producer_id,
                    producer_epoch,
                    topics,
                })
            }
            Step::AddOffsets => Request::AddOffsetsToTxn(AddOffsetsToTxnRequest {
                transactional_id,
                producer_id,
                producer_epoch,
                group_id: offsets?.group.group_id.clone(),
            }),
            Step::CommitOffsets => {
                let Offsets { group, offsets, .. } = offsets?;
                Request::TxnOffsetCommit(TxnOffsetCommitRequest {
                    transactional_id,
                    group_id: group.group_id.clone(),
                    producer_id,
                    producer_epoch,
                    generation_id: group.generation_id,
                    member_id: group.member_id.clone(),
                    group_instance_id: group.group_instance_id.clone(),
                    offsets: offsets
                        .iter()
                        .map(|of| TxnOffset {
                            topic: of.topic.clone(),
                            partition: of.partition,
                            offset: of.offset,
                            leader_epoch: of.leader_epoch.unwrap_or(-1),
                            metadata: of.metadata.clone(),
                        })
                        .collect(),
                })
            }
            Step::End { commits } => {
                Request::EndTxn(EndTxnRequest { transactional_id, producer_id, producer_epoch, committed: *commits })
            }
        })
    }

    /// The newest version of an API to use: from these on they are of transactions V2.
    pub(in super::super) fn transaction_version_max(&self, step: &Step) -> i16 {
        let is_v2 = self.transactions.as_ref().is_some_and(|transactions| transactions.is_v2);
        match step {
            Step::CommitOffsets | Step::End { .. } if !is_v2 => 4,
            _ => i16::MAX,
        }
    }

    /// The protocol of the cluster's transactions, as the coordinator tells it.
    pub(super) fn transaction_version(&self) -> Option<i16> {
        let node = self.transactions.as_ref()?.coordinator?;
        Some(self.nodes.get(&node)?.connection()?.versions.transaction_version)
    }

    /// The cluster is too old, or too new.
    pub(in super::super) fn transactions_unsupported(&mut self, reason: String) {
        if let Some(transactions) = &mut self.transactions {
            transactions.asks = false;
        }
        self.die(TransactionError::Fatal { reason: reason.into() });
    }

    /// A request ended without an answer.
    pub(in super::super) fn transaction_unanswered(&mut self, now: Instant, step: &Step, cause: &str) {
        if let Some(transactions) = &mut self.transactions {
            transactions.asks = false;
            let of_transaction =
                matches!(step, Step::AddPartitions(_) | Step::AddOffsets | Step::CommitOffsets | Step::End { .. });
            if of_transaction && !transactions.is_v2 {
                // It may come to the coordinator yet, which would take it for the next transaction's if that had its epoch.
                transactions.renewal.get_or_insert(Renewal::Epoch);
            }
        }
        self.transaction_waits(now, step, cause);
    }

    /// A connection could not be made: another broker may be the coordinator by now.
    pub(in super::super) fn coordinator_unreachable(&mut self, node: NodeId, cause: &str) {
        let Some(transactions) = &mut self.transactions else { return };
        let Transactions { coordinator, group_coordinator, last_cause, .. } = transactions;
        let was_coordinator = coordinator.take_if(|known| *known == node).is_some();
        if group_coordinator.take_if(|(_, known)| *known == node).is_some() || was_coordinator {
            *last_cause = Some(cause.to_owned());
        }
    }

    /// The step is to be tried again, after a while; who is to be asked may be another one by then.
    fn transaction_waits(&mut self, now: Instant, step: &Step, cause: &str) {
        if let Some(transactions) = &mut self.transactions {
            match step {
                Step::CommitOffsets => transactions.group_coordinator = None,
                Step::FindCoordinator | Step::FindGroupCoordinator(_) => {}
                Step::End { commits: false } => {
                    // It may have been done, and be forgotten by the time that it is asked for again.
                    transactions.known = Known::Perhaps;
                    transactions.coordinator = None;
                }
                _ => transactions.coordinator = None,
            }
        }
        self.transaction_again(now, cause, self.retry_backoff());
    }

    fn transaction_again(&mut self, now: Instant, cause: &str, backoff: Backoff) {
        if let Some(transactions) = &mut self.transactions {
            transactions.failures += 1;
            transactions.last_cause = Some(cause.to_owned());
            transactions.not_before = now + backoff.after(transactions.failures, &mut self.rng);
        }
        self.set_transaction_timer(now);
    }

    pub(in super::super) fn handle_transaction(&mut self, now: Instant, step: Step, response: Response) {
        let Some(transactions) = &mut self.transactions else { return };
        transactions.asks = false;
        match (&step, response) {
            (Step::FindCoordinator | Step::FindGroupCoordinator(_), Response::FindCoordinator(response)) => {
                if self.judge(now, &step, response.error_code, response.error_message.as_deref()) {
                    let node = NodeId(response.node.id);
                    self.take_brokers(now, &[response.node]);
                    if let Some(transactions) = &mut self.transactions {
                        match &step {
                            Step::FindGroupCoordinator(group) => {
                                transactions.group_coordinator = Some((group.clone(), node));
                            }
                            _ => transactions.coordinator = Some(node),
                        }
                    }
                }
            }
            (Step::InitProducerId, Response::InitProducerId(response)) => {
                if self.judge(now, &step, response.error_code, None) {
                    let producer = ProducerIdAndEpoch { id: response.producer_id, epoch: response.producer_epoch };
                    self.producer_id = ProducerId::Have(producer);
                    if let Some(transactions) = &mut self.transactions {
                        transactions.fresh = true;
                    }
                    self.ended_transaction(now, Some(producer));
                }
            }
            (Step::AddPartitions(partitions), Response::AddPartitionsToTxn(response)) => {
                // The others were not looked at.
                let (error, place) = first_error(&response.partitions, |error| error != code::OPERATION_NOT_ATTEMPTED);
                let added = response.partitions.iter().filter(|(_, _, error)| *error == code::NONE).count();
                if self.judge(now, &step, error, place.as_deref()) {
                    if added == partitions.len() {
                        self.joined(now, partitions);
                    } else {
                        let cause = "the broker's answer to AddPartitionsToTxn leaves partitions out";
                        self.transaction_again(now, cause, self.retry_backoff());
                    }
                }
            }
            (Step::AddOffsets, Response::AddOffsetsToTxn(response)) => {
                if self.judge(now, &step, response.error_code, None)
                    && let Some(transactions) = &mut self.transactions
                {
                    transactions.known = Known::Yes;
                    if let Some(offsets) = &mut transactions.offsets {
                        offsets.joined = true;
                    }
                }
            }
            (Step::CommitOffsets, Response::TxnOffsetCommit(response)) => {
                let (error, place) = first_error(&response.partitions, |_| true);
                if self.judge(now, &step, error, place.as_deref())
                    && let Some(transactions) = &mut self.transactions
                {
                    transactions.known = Known::Yes;
                    // Unless its transaction was aborted meanwhile.
                    if transactions.offsets.take().is_some() {
                        self.settle_call(Ok(()));
                    }
                }
            }
            (Step::End { commits }, Response::EndTxn(response)) => {
                let was_nothing =
                    !commits && response.error_code == code::INVALID_TXN_STATE && transactions.known == Known::Perhaps;
                if was_nothing || self.judge(now, &step, response.error_code, None) {
                    let producer = ProducerIdAndEpoch { id: response.producer_id, epoch: response.producer_epoch };
                    self.told_end(now, (producer.id >= 0 && !was_nothing).then_some(producer));
                }
            }
            // The shell decodes by what was asked; anything else is its bug.
            (step, _) => self.transaction_unanswered(now, &step.clone(), "the answer is not of the kind asked for"),
        }
        self.set_transaction_timer(now);
        self.go_on(now);
    }

    /// The coordinator has taken partitions into the transaction.
    fn joined(&mut self, now: Instant, partitions: &[u32]) {
        let Some(transactions) = &mut self.transactions else { return };
        transactions.known = Known::Yes;
        transactions.members.extend(partitions);
        for id in partitions {
            transactions.joining.remove(id);
        }
        for &id in partitions {
            self.schedule(now, id);
        }
    }

    /// The coordinator has ended the transaction, and may have said what the next one's id and epoch are.
    fn told_end(&mut self, now: Instant, producer: Option<ProducerIdAndEpoch>) {
        let version = self.transaction_version();
        let Some(transactions) = &mut self.transactions else { return };
        let is_torn = |id: &u32| self.partitions[*id as usize].sequences.is_torn();
        // The cluster has gone over to transactions V2: so does the producer, with an epoch that is fresh.
        let goes_over = !transactions.is_v2 && version.is_some_and(|version| version >= 2);
        let renews = goes_over || transactions.renewal.is_some() || transactions.members.iter().any(is_torn);
        if producer.is_none() && renews && sabotage::is_on(Sabotage::KeepEpochAfterAbort) {
            let same = self.producer_id.current();
            return self.ended_transaction(now, same);
        }
        if producer.is_none() && renews {
            transactions.known = Known::No;
            transactions.committed = matches!(transactions.state, State::Ending { commits: true, .. });
            transactions.renewal.get_or_insert(Renewal::Epoch);
            return;
        }
        self.ended_transaction(now, producer);
    }

    /// Whether an answer is good; does what else is to be done.
    fn judge(&mut self, now: Instant, step: &Step, error: i16, words: Option<&str>) -> bool {
        let cause = || {
            let words = match (error, step) {
                (code::INVALID_TXN_STATE, Step::End { .. }) => {
                    Some("it was open for longer than transaction.timeout.ms, perhaps")
                }
                _ => words,
            };
            let words = words.map(|words| format!(" ({words})")).unwrap_or_default();
            format!("the broker answered {} to {}{words}", code::name(error), step.name())
        };
        let verdict = transaction_verdict(step.of(), error);
        let Some(transactions) = &mut self.transactions else { return false };
        match verdict {
            TransactionVerdict::Good => {
                transactions.failures = 0;
                transactions.last_cause = None;
                return true;
            }
            TransactionVerdict::Soon => {
                let backoff = self.retry_backoff();
                self.transaction_again(now, &cause(), Backoff { base: backoff.base.min(SOON), ..backoff });
            }
            TransactionVerdict::Again => self.transaction_again(now, &cause(), self.retry_backoff()),
            TransactionVerdict::Elsewhere => self.transaction_waits(now, step, &cause()),
            TransactionVerdict::Abort => {
                transactions.decided = false;
                self.must_abort(now, || cause().into());
            }
            // What was open cannot have been forgotten: the id is another producer's.
            TransactionVerdict::Forgotten if *step == (Step::End { commits: true }) => self.refused_for_good(error),
            TransactionVerdict::Forgotten => {
                transactions.decided = false;
                transactions.renewal = Some(Renewal::Id);
                if matches!(step, Step::End { commits: false }) {
                    // There is nothing left to abort.
                    transactions.known = Known::No;
                } else {
                    self.must_abort(now, || cause().into());
                }
            }
            TransactionVerdict::Fenced | TransactionVerdict::NotAllowed => self.refused_for_good(error),
            TransactionVerdict::Fatal => self.die(TransactionError::Fatal { reason: cause().into() }),
        }
        false
    }

    /// The `transactional.id` is another producer's by now, or may not be used.
    pub(in super::super) fn refused_for_good(&mut self, error: i16) {
        let Some(config) = &self.config.transactions else { return };
        let id = Arc::clone(&config.id);
        if error == code::TRANSACTIONAL_ID_AUTHORIZATION_FAILED {
            let error = self.config.not_authorized("WRITE", format!("transactional.id {id}"), error, Fate::NotWritten);
            self.die(TransactionError::Fatal { reason: error.to_string().into() });
        } else {
            self.die(TransactionError::Fenced { transactional_id: id, code: error });
        }
    }
}

/// The first error that counts, and of which partition; no error if there is none.
fn first_error(partitions: &[(String, i32, i16)], counts: impl Fn(i16) -> bool) -> (i16, Option<String>) {
    let found = partitions.iter().find(|(_, _, error)| *error != code::NONE && counts(*error));
    found.map_or((code::NONE, None), |(topic, partition, error)| (*error, Some(format!("{topic}-{partition}"))))
}
