//! The coordinators of transactions and of groups, after Kafka's TransactionCoordinator, TransactionMetadata and
//! GroupCoordinatorService (4.x). What they decide is in their topics' logs, which no move of a coordinator loses: that a
//! decision stands and its answer says otherwise is a fault like another.

use crate::cluster::BrokerId;
use pointsman::core::time::Instant;
use pointsman::protocol::error_code as code;
use pointsman::protocol::messages::{CoordinatorKind, EndTxnRequest, InitProducerIdRequest, TxnOffsetCommitRequest};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// A partition by its topic's name, as coordinators know it.
pub type Place = (Arc<str>, i32);

#[derive(Default)]
pub struct Coordinators {
    /// The finalized `transaction.version`.
    pub version: i16,
    /// `transaction.partition.verification.enable`, since 3.6: leaders ask before a transaction's first batch.
    pub verifies: bool,
    pub age: Age,
    /// The epoch that new ids begin with.
    pub first_epoch: i16,
    /// Where producer ids come from.
    pub next_producer_id: i64,
    pub ids: BTreeMap<String, TransactionalId>,
    pub groups: BTreeMap<String, Group>,
    /// Who coordinates what.
    pub seats: BTreeMap<Key, Seat>,
    /// Every decision to end a transaction, by its number.
    pub ends: Vec<End>,
    /// Every epoch that was taken from its producer.
    pub fences: Vec<Fence>,
    /// What is to happen later.
    pub due: Vec<Due>,
    starts: u64,
}

/// What became of V2 with time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Age {
    /// 4.0.0: fencing takes an epoch, and the abort that follows takes another one.
    Twice,
    /// KAFKA-19367: one is enough. Who had the epoch before may have its abort confirmed, and go on.
    #[default]
    Once,
    /// KAFKA-20785: whose commit comes behind that is fenced off, and no longer in a state that is invalid.
    Fences,
}

/// What a coordinator coordinates.
pub type Key = (i8, String);

pub fn key(kind: CoordinatorKind, name: &str) -> Key {
    (kind as i8, name.to_owned())
}

#[derive(Clone, Debug)]
pub struct Seat {
    /// −1 for nobody.
    pub broker: BrokerId,
    /// When it has read its topic's log.
    pub loaded: Instant,
    /// What brokers believe that have not heard of the last move.
    pub told: BTreeMap<BrokerId, BrokerId>,
}

/// A producer as it names itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asking {
    pub producer_id: i64,
    pub epoch: i16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Empty,
    Ongoing,
    Prepare { commits: bool },
    Complete { commits: bool },
}

/// TransactionMetadata.
#[derive(Debug)]
pub struct TransactionalId {
    pub producer_id: i64,
    pub epoch: i16,
    /// Of the answer to a producer that has asked for the next epoch, and may ask again.
    last_epoch: i16,
    previous_producer_id: i64,
    /// When the epochs of this one are used up.
    next_producer_id: i64,
    timeout: Duration,
    pub state: State,
    pub partitions: BTreeSet<Place>,
    /// Those whose partition of __consumer_offsets is part of it.
    pub groups: BTreeSet<String>,
    /// Which of all transactions it is, by when they began.
    start: u64,
}

#[derive(Debug)]
pub struct End {
    pub id: String,
    pub asking: Asking,
    pub commits: bool,
    /// The second protocol, where each end takes the next epoch.
    second: bool,
    /// Where its marker is yet to be written.
    pub partitions: BTreeSet<Place>,
    pub groups: BTreeSet<String>,
    pub is_complete: bool,
}

/// An epoch is not its producer's any more.
#[derive(Clone, Copy, Debug)]
pub struct Fence {
    /// The producer whose InitProducerId did it; `None` where the transaction was open for too long.
    pub by: Option<usize>,
    /// Nobody waits for its answer any more.
    pub late: bool,
}

/// Who asks for an id.
#[derive(Clone, Copy, Debug)]
pub struct Asker {
    pub producer: usize,
    pub late: bool,
}

#[derive(Clone, Debug)]
pub enum Due {
    Markers(usize),
    Timeout { id: String, start: u64, after: Duration },
}

/// A partition and how far its consumer is.
pub type OffsetOf = ((String, i32), i64);

/// What a group has committed, in its partition of __consumer_offsets.
#[derive(Debug, Default)]
pub struct Group {
    pub committed: BTreeMap<(String, i32), i64>,
    /// Of transactions that are open, by producer id.
    pending: BTreeMap<i64, Vec<OffsetOf>>,
    /// The last epoch that was seen of each producer.
    epochs: BTreeMap<i64, i16>,
    /// What each end of a transaction committed.
    pub applied: Vec<(usize, Vec<OffsetOf>)>,
    /// Offsets that came when they were part of no transaction, and were taken by brokers that do not ask.
    pub astray: BTreeSet<i64>,
    /// Answer this to members: the group has another generation, or the like.
    pub refuses: Option<i16>,
}

/// TransactionMetadata.isEpochExhausted: there is always one left to fence with.
fn is_exhausted(epoch: i16) -> bool {
    epoch >= i16::MAX - 1
}

impl Coordinators {
    fn new_producer_id(&mut self) -> i64 {
        self.next_producer_id += 1;
        9_000 + self.next_producer_id
    }

    /// handleInitProducerId: the error, or the id and epoch. `by`: who asks.
    pub fn init_producer_id(&mut self, by: Asker, request: &InitProducerIdRequest) -> Result<Asking, i16> {
        let id = request.transactional_id.clone().unwrap_or_default();
        let timeout = Duration::from_millis(request.transaction_timeout_ms.max(0) as u64);
        let expected = (request.producer_id >= 0)
            .then_some(Asking { producer_id: request.producer_id, epoch: request.producer_epoch });
        if !self.ids.contains_key(&id) {
            let fresh = TransactionalId {
                producer_id: self.new_producer_id(),
                epoch: self.first_epoch - 1,
                last_epoch: -1,
                previous_producer_id: -1,
                next_producer_id: -1,
                timeout,
                state: State::Empty,
                partitions: BTreeSet::new(),
                groups: BTreeSet::new(),
                start: 0,
            };
            self.ids.insert(id.clone(), fresh);
        }
        let new_producer_id = self.new_producer_id();
        let known = self.ids.get_mut(&id).expect("it was put there");
        let is_new = known.start == 0 && known.epoch == self.first_epoch - 1;
        if let Some(expected) = expected {
            let rotated = expected.producer_id == known.previous_producer_id && is_exhausted(expected.epoch);
            if !is_new && expected.producer_id != known.producer_id && !rotated {
                return Err(code::PRODUCER_FENCED);
            }
        }
        match known.state {
            State::Prepare { .. } => return Err(code::CONCURRENT_TRANSACTIONS),
            State::Ongoing => {
                // The epoch of this is nobody's; whoever asked comes again.
                // With V1 it may be a request of the last transaction that has opened one which nobody ends:
                // whoever then asks for its next epoch fences itself off (KAFKA-14402).
                self.fence(&id, Some(Asker { late: by.late || expected.is_some(), ..by }));
                return Err(code::CONCURRENT_TRANSACTIONS);
            }
            State::Empty | State::Complete { .. } => {}
        }
        if is_exhausted(known.epoch) && expected.is_none_or(|expected| expected.epoch == known.epoch) {
            known.previous_producer_id = known.producer_id;
            known.producer_id = new_producer_id;
            known.last_epoch = if expected.is_some() { known.epoch } else { -1 };
            known.epoch = 0;
        } else {
            match expected {
                None => (known.last_epoch, known.epoch) = (-1, known.epoch + 1),
                Some(expected) if is_new || expected.epoch == known.epoch => {
                    (known.last_epoch, known.epoch) = (known.epoch, known.epoch + 1);
                }
                // It had the answer already, which was lost.
                Some(expected) if expected.epoch == known.last_epoch => {}
                Some(_) => return Err(code::PRODUCER_FENCED),
            }
        }
        known.timeout = timeout;
        known.state = State::Empty;
        known.partitions.clear();
        known.groups.clear();
        let asking = Asking { producer_id: known.producer_id, epoch: known.epoch };
        if expected.is_none() && !is_new {
            self.fences.push(Fence { by: Some(by.producer), late: by.late });
        }
        Ok(asking)
    }

    /// prepareFenceProducerEpoch, and the abort that follows it by the level of the cluster.
    fn fence(&mut self, id: &str, by: Option<Asker>) {
        let Some(known) = self.ids.get_mut(id) else { return };
        let late = by.is_some_and(|by| by.late);
        self.fences.push(Fence { by: by.map(|by| by.producer), late });
        let second = self.version >= 2;
        if !second || self.age == Age::Twice {
            known.epoch += 1;
        }
        self.prepare(id, false, second);
        if let Some(known) = self.ids.get_mut(id) {
            known.last_epoch = -1;
        }
    }

    /// A transaction was open for `transaction.timeout.ms`. Whether it is aborted for that.
    pub fn time_out(&mut self, id: &str, start: u64) -> bool {
        let is_open = self.ids.get(id).is_some_and(|known| known.start == start && known.state == State::Ongoing);
        if is_open {
            self.fence(id, None);
        }
        is_open
    }

    fn known(&mut self, id: &str, asking: Asking) -> Result<&mut TransactionalId, i16> {
        let known = self.ids.get_mut(id).ok_or(code::INVALID_PRODUCER_ID_MAPPING)?;
        if known.producer_id != asking.producer_id {
            return Err(code::INVALID_PRODUCER_ID_MAPPING);
        }
        if known.epoch != asking.epoch {
            return Err(code::PRODUCER_FENCED);
        }
        if matches!(known.state, State::Prepare { .. }) {
            return Err(code::CONCURRENT_TRANSACTIONS);
        }
        Ok(known)
    }

    /// As above, of who adds to a transaction: it may know a producer id already that takes effect when the markers of the one
    /// before are written.
    fn adding(&mut self, id: &str, asking: Asking) -> Result<&mut TransactionalId, i16> {
        match self.ids.get(id).map(|known| known.state) {
            Some(State::Prepare { .. }) => Err(code::CONCURRENT_TRANSACTIONS),
            _ => self.known(id, asking),
        }
    }

    /// handleAddPartitionsToTransaction: the error, or 0.
    pub fn add_partitions(&mut self, id: &str, asking: Asking, partitions: &[Place]) -> i16 {
        match self.adding(id, asking) {
            Ok(known) => known.partitions.extend(partitions.iter().cloned()),
            Err(error) => return error,
        }
        self.begin(id);
        0
    }

    /// The same with a group's partition of __consumer_offsets.
    pub fn add_group(&mut self, id: &str, asking: Asking, group: &str) -> i16 {
        match self.adding(id, asking) {
            Ok(known) => _ = known.groups.insert(group.to_owned()),
            Err(error) => return error,
        }
        self.begin(id);
        0
    }

    fn begin(&mut self, id: &str) {
        let Some(known) = self.ids.get_mut(id).filter(|known| known.state != State::Ongoing) else { return };
        self.starts += 1;
        (known.state, known.start) = (State::Ongoing, self.starts);
        self.due.push(Due::Timeout { id: id.to_owned(), start: known.start, after: known.timeout });
    }

    /// handleVerifyPartitionsInTransaction.
    pub fn verify_partition(&mut self, id: &str, asking: Asking, partition: &Place) -> i16 {
        self.verify(id, asking, |known| known.partitions.contains(partition))
    }

    fn verify(&mut self, id: &str, asking: Asking, is_in: impl Fn(&TransactionalId) -> bool) -> i16 {
        match self.known(id, asking) {
            Ok(known) if is_in(known) => 0,
            Ok(_) => code::TRANSACTION_ABORTABLE,
            Err(error) => error,
        }
    }

    /// handleEndTransaction: the error, or the id and epoch to go on with.
    pub fn end(&mut self, version: i16, request: &EndTxnRequest) -> Result<Asking, i16> {
        let asking = Asking { producer_id: request.producer_id, epoch: request.producer_epoch };
        let id = &request.transactional_id;
        let Some(known) = self.ids.get(id) else { return Err(code::INVALID_PRODUCER_ID_MAPPING) };
        let commits = request.committed;
        let now_has = Asking { producer_id: known.producer_id, epoch: known.epoch };
        let second = version >= 5;
        let overflown = second
            && known.previous_producer_id == asking.producer_id
            && asking.epoch == i16::MAX - 1
            && known.epoch == 0;
        let bumped = second && i32::from(known.epoch) == i32::from(asking.epoch) + 1;
        // KAFKA-18464: whose transaction the markers are of is looked at when they are written.
        if second && matches!(known.state, State::Prepare { .. }) {
            return Err(code::CONCURRENT_TRANSACTIONS);
        }
        if known.producer_id != asking.producer_id && !overflown {
            return Err(code::INVALID_PRODUCER_ID_MAPPING);
        }
        let is_current = asking == now_has;
        let is_valid = match known.state {
            State::Complete { .. } if second => bumped || overflown || is_current,
            _ => is_current,
        };
        if !is_valid {
            return Err(code::PRODUCER_FENCED);
        }
        let is_retry = bumped || overflown;
        match known.state {
            State::Ongoing => {}
            State::Prepare { commits: before } if before == commits => return Err(code::CONCURRENT_TRANSACTIONS),
            State::Complete { commits: before } if before == commits && (is_retry || !second) => {
                return Ok(if second { now_has } else { Asking { producer_id: -1, epoch: -1 } });
            }
            State::Complete { commits: false } if is_retry && self.age == Age::Fences => {
                return Err(code::PRODUCER_FENCED);
            }
            // With V2 an abort of nothing takes an epoch, too.
            State::Empty | State::Complete { .. } if second && !commits && !is_retry => {}
            _ => return Err(code::INVALID_TXN_STATE),
        }
        self.prepare(id, commits, second);
        if !second {
            return Ok(Asking { producer_id: -1, epoch: -1 });
        }
        let known = &self.ids[id];
        Ok(match known.next_producer_id {
            -1 => Asking { producer_id: known.producer_id, epoch: known.epoch },
            next => Asking { producer_id: next, epoch: 0 },
        })
    }

    /// prepareAbortOrCommit: the decision stands, and markers follow.
    fn prepare(&mut self, id: &str, commits: bool, second: bool) {
        let next_producer_id = self.new_producer_id();
        let Some(known) = self.ids.get_mut(id) else { return };
        if second {
            if is_exhausted(known.epoch) {
                known.next_producer_id = next_producer_id;
            }
            (known.last_epoch, known.epoch) = (known.epoch, known.epoch.saturating_add(1));
        }
        known.state = State::Prepare { commits };
        self.ends.push(End {
            id: id.to_owned(),
            asking: Asking { producer_id: known.producer_id, epoch: known.epoch },
            commits,
            second,
            partitions: known.partitions.clone(),
            groups: known.groups.clone(),
            is_complete: false,
        });
        self.due.push(Due::Markers(self.ends.len() - 1));
    }

    /// A group's marker: what is pending is committed, or forgotten.
    pub fn write_group_marker(&mut self, end: usize, group: &str) {
        let End { asking, commits, .. } = self.ends[end];
        let group = self.groups.entry(group.to_owned()).or_default();
        group.epochs.insert(asking.producer_id, asking.epoch);
        if let Some(offsets) = group.pending.remove(&asking.producer_id)
            && commits
        {
            group.committed.extend(offsets.iter().cloned());
            group.applied.push((end, offsets));
        }
    }

    /// Every marker is written.
    pub fn complete(&mut self, end: usize) {
        let End { commits, second, .. } = self.ends[end];
        self.ends[end].is_complete = true;
        let known = self.ids.get_mut(&self.ends[end].id).expect("whose transaction it was");
        known.state = State::Complete { commits };
        known.partitions.clear();
        known.groups.clear();
        if second && known.next_producer_id >= 0 {
            known.previous_producer_id = known.producer_id;
            (known.producer_id, known.epoch) = (known.next_producer_id, 0);
            known.next_producer_id = -1;
        }
    }

    /// GroupCoordinatorService.commitTransactionalOffsets: the error, or 0. `asks`: the transaction's coordinator can be
    /// asked.
    pub fn commit_offsets(&mut self, version: i16, request: &TxnOffsetCommitRequest, asks: bool) -> i16 {
        let asking = Asking { producer_id: request.producer_id, epoch: request.producer_epoch };
        let name = &request.group_id;
        let group = self.groups.entry(name.clone()).or_default();
        if let Some(error) = group.refuses.filter(|_| request.generation_id >= 0) {
            return error;
        }
        let is_open = group.pending.contains_key(&asking.producer_id)
            && group.epochs.get(&asking.producer_id) == Some(&asking.epoch);
        if !is_open {
            let error = match version {
                _ if !asks => code::NETWORK_EXCEPTION,
                5.. => self.add_group(&request.transactional_id, asking, name),
                _ if self.verifies => {
                    self.verify(&request.transactional_id, asking, |known| known.groups.contains(name))
                }
                _ => {
                    if self.verify(&request.transactional_id, asking, |known| known.groups.contains(name)) != 0 {
                        let offsets = request.offsets.iter().map(|of| of.offset);
                        self.groups.entry(name.clone()).or_default().astray.extend(offsets);
                    }
                    0
                }
            };
            match error {
                0 => {}
                code::NETWORK_EXCEPTION => return code::COORDINATOR_LOAD_IN_PROGRESS,
                code::PRODUCER_FENCED => return code::INVALID_PRODUCER_EPOCH,
                code::TRANSACTION_ABORTABLE if version < 4 => return code::INVALID_TXN_STATE,
                error => return error,
            }
        }
        let group = self.groups.entry(name.clone()).or_default();
        if group.epochs.get(&asking.producer_id).is_some_and(|seen| asking.epoch < *seen) {
            return code::INVALID_PRODUCER_EPOCH;
        }
        group.epochs.insert(asking.producer_id, asking.epoch);
        let offsets = request.offsets.iter().map(|of| ((of.topic.clone(), of.partition), of.offset));
        group.pending.entry(asking.producer_id).or_default().extend(offsets);
        0
    }
}
