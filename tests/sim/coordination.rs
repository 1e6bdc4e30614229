//! How brokers serve what concerns coordinators, how markers get written, and how coordinators move.

use crate::cluster::BrokerId;
use crate::coordinators::{Asker, Asking, Due, Key, Place, Seat, key};
use crate::log::Marker;
use crate::network::{ConnectionId, Side};
use crate::world::{Event, World};
use pointsman::core::time::Instant;
use pointsman::protocol::error_code as code;
use pointsman::protocol::messages::{
    AddOffsetsToTxnRequest, AddOffsetsToTxnResponse, AddPartitionsToTxnRequest, AddPartitionsToTxnResponse, ApiKey,
    Broker as Address, CoordinatorKind, EndTxnRequest, EndTxnResponse, FindCoordinatorRequest, FindCoordinatorResponse,
    InitProducerIdRequest, InitProducerIdResponse, Response, TxnOffsetCommitRequest, TxnOffsetCommitResponse,
};
use std::collections::BTreeMap;
use std::time::Duration;

/// A fault of a coordinator's own, for one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CoordinatorFault {
    /// Answer this and do nothing.
    Refuse(i16),
    /// Do it, then answer this: the log has it, and whoever wrote it does not know.
    ApplyAndFail(i16),
    /// Another broker is the coordinator by now.
    Move,
    /// Do it, and another broker is the coordinator before the answer.
    ApplyAndMove,
}

/// What becomes of the nth request of an API that comes to a coordinator.
pub type CoordinatorScript = Box<dyn FnMut(ApiKey, usize) -> Option<CoordinatorFault>>;

/// No id and no epoch.
const NOBODY: Asking = Asking { producer_id: -1, epoch: -1 };

impl crate::cluster::Cluster {
    /// Who coordinates the transactions of an id, if anybody does.
    pub fn coordinator_of_transactions(&mut self, id: &str) -> Option<Seat> {
        let seat = self.seat(&key(CoordinatorKind::Transaction, id)).clone();
        self.brokers.get(&seat.broker).filter(|broker| broker.up).map(|_| seat)
    }

    /// Which broker it is follows from the name, as in Kafka from its hash.
    pub fn seat(&mut self, key: &Key) -> &mut Seat {
        let live: Vec<BrokerId> = self.brokers.iter().filter(|(_, broker)| broker.up).map(|(id, _)| *id).collect();
        let hash = key.1.bytes().fold(7usize, |hash, byte| hash * 31 % 65_521 + usize::from(byte));
        let broker = if live.is_empty() { -1 } else { live[hash % live.len()] };
        let fresh = || Seat { broker, loaded: Instant::from_nanos(0), told: BTreeMap::new() };
        self.coordinators.seats.entry(key.clone()).or_insert_with(fresh)
    }
}

impl World {
    fn coordinator_fault(&mut self, api: ApiKey) -> Option<CoordinatorFault> {
        let nth = self.served.entry(api.code()).or_default();
        *nth += 1;
        let nth = *nth - 1;
        let scripted = self.coordinator_script.as_mut().and_then(|script| script(api, nth));
        if scripted.is_some() {
            return scripted;
        }
        let (refuse, fail) = (self.rates.coordinator_refuse, self.rates.coordinator_fail);
        if refuse > 0 && self.rng.chance(refuse) {
            let codes = [
                code::NOT_COORDINATOR,
                code::COORDINATOR_NOT_AVAILABLE,
                code::COORDINATOR_LOAD_IN_PROGRESS,
                code::CONCURRENT_TRANSACTIONS,
            ];
            return Some(CoordinatorFault::Refuse(*self.rng.pick(&codes)));
        }
        if fail > 0 && self.rng.chance(fail) {
            // TransactionStateManager.appendTransactionToLog has these for what becomes of a write.
            let codes = [code::NOT_COORDINATOR, code::COORDINATOR_NOT_AVAILABLE];
            return Some(CoordinatorFault::ApplyAndFail(*self.rng.pick(&codes)));
        }
        None
    }

    /// Has the coordinator do something, if it is that broker, and if nothing comes between.
    fn coordinate<T>(
        &mut self,
        id: ConnectionId,
        api: ApiKey,
        key: &Key,
        act: impl FnOnce(&mut World) -> Result<T, i16>,
    ) -> Result<T, i16> {
        let broker = self.connections[&id].broker;
        let fault = self.coordinator_fault(api);
        if let Some(fault) = fault {
            self.trace.line(self.now, || format!("fault: {fault:?} for {api:?} at {broker}"));
        }
        if fault == Some(CoordinatorFault::Move) {
            self.move_seat_on(key);
        }
        let seat = self.cluster.seat(key).clone();
        let outcome = if let Some(CoordinatorFault::Refuse(error)) = fault {
            Err(error)
        } else if seat.broker != broker {
            Err(code::NOT_COORDINATOR)
        } else if seat.loaded > self.now {
            Err(code::COORDINATOR_LOAD_IN_PROGRESS)
        } else {
            let done = act(self);
            self.schedule_due();
            match fault {
                Some(CoordinatorFault::ApplyAndFail(error)) => Err(error),
                Some(CoordinatorFault::ApplyAndMove) => {
                    self.move_seat_on(key);
                    Err(code::NOT_COORDINATOR)
                }
                _ => done,
            }
        };
        let error = outcome.as_ref().err().copied().unwrap_or(code::NONE);
        self.trace.line(self.now, || format!("served {api:?} of {}: {}", key.1, code::name(error)));
        outcome
    }

    pub fn serve_find_coordinator(&mut self, id: ConnectionId, correlation_id: i32, request: &FindCoordinatorRequest) {
        let broker = self.connections[&id].broker;
        let fault = self.coordinator_fault(ApiKey::FindCoordinator);
        let seat = self.cluster.seat(&key(request.kind, &request.key)).clone();
        let told = seat.told.get(&broker).copied().unwrap_or(seat.broker);
        let is_up = self.cluster.brokers.get(&told).is_some_and(|broker| broker.up);
        let node = self.cluster.address(told).filter(|_| is_up);
        let error_code = match (fault, &node) {
            (Some(CoordinatorFault::Refuse(error) | CoordinatorFault::ApplyAndFail(error)), _) => error,
            (_, None) => code::COORDINATOR_NOT_AVAILABLE,
            _ => code::NONE,
        };
        self.trace
            .line(self.now, || format!("served FindCoordinator of {}: {told} {}", request.key, code::name(error_code)));
        let nobody = || Address { id: -1, host: String::new(), port: 0, rack: None };
        let response = FindCoordinatorResponse {
            throttle_time_ms: 0,
            error_code,
            error_message: None,
            node: node.filter(|_| error_code == code::NONE).unwrap_or_else(nobody),
        };
        self.respond(id, correlation_id, Response::FindCoordinator(response), Duration::ZERO);
    }

    pub fn serve_producer_id(
        &mut self,
        id: ConnectionId,
        correlation_id: i32,
        version: i16,
        request: &InitProducerIdRequest,
    ) {
        let name = request.transactional_id.clone().unwrap_or_default();
        let seat = key(CoordinatorKind::Transaction, &name);
        let outcome = self.coordinate(id, ApiKey::InitProducerId, &seat, |world| {
            let late = world.connections[&id].side != Side::Open;
            let by = Asker { producer: id.producer, late };
            world.cluster.coordinators.init_producer_id(by, request)
        });
        let error_code = outcome.map_or_else(|error| of_age(error, version >= 4), |_| code::NONE);
        let Asking { producer_id, epoch } = outcome.unwrap_or(NOBODY);
        let response = InitProducerIdResponse { throttle_time_ms: 0, error_code, producer_id, producer_epoch: epoch };
        self.respond(id, correlation_id, Response::InitProducerId(response), Duration::ZERO);
    }

    pub fn serve_add_partitions(
        &mut self,
        id: ConnectionId,
        correlation_id: i32,
        version: i16,
        request: &AddPartitionsToTxnRequest,
    ) {
        let broker = self.connections[&id].broker;
        let places: Vec<Place> = request
            .topics
            .iter()
            .flat_map(|(topic, partitions)| partitions.iter().map(move |number| (topic.clone(), *number)))
            .collect();
        let asking = Asking { producer_id: request.producer_id, epoch: request.producer_epoch };
        let view = &self.cluster.brokers[&broker].view;
        let is_known = |place: &Place| {
            view.iter().any(|((at, number), view)| {
                let topic = &self.cluster.topics[*at];
                topic.exists && topic.name == place.0 && *number == place.1 && topic.id == view.id
            })
        };
        let unknown: Vec<bool> = places.iter().map(|place| !is_known(place)).collect();
        let answers = if unknown.contains(&true) {
            let error =
                |unknown: bool| if unknown { code::UNKNOWN_TOPIC_OR_PARTITION } else { code::OPERATION_NOT_ATTEMPTED };
            unknown.into_iter().map(error).collect::<Vec<_>>()
        } else {
            let seat = key(CoordinatorKind::Transaction, &request.transactional_id);
            let outcome = self.coordinate(id, ApiKey::AddPartitionsToTxn, &seat, |world| {
                match world.cluster.coordinators.add_partitions(&request.transactional_id, asking, &places) {
                    code::NONE => Ok(()),
                    error => Err(error),
                }
            });
            vec![outcome.map_or_else(|error| of_age(error, version >= 2), |()| code::NONE); places.len()]
        };
        let partitions = places
            .into_iter()
            .zip(answers)
            .map(|((topic, number), error)| (topic.to_string(), number, error))
            .collect();
        let response = AddPartitionsToTxnResponse { throttle_time_ms: 0, partitions };
        self.respond(id, correlation_id, Response::AddPartitionsToTxn(response), Duration::ZERO);
    }

    pub fn serve_add_offsets(
        &mut self,
        id: ConnectionId,
        correlation_id: i32,
        version: i16,
        request: &AddOffsetsToTxnRequest,
    ) {
        let asking = Asking { producer_id: request.producer_id, epoch: request.producer_epoch };
        let seat = key(CoordinatorKind::Transaction, &request.transactional_id);
        let outcome = self.coordinate(id, ApiKey::AddOffsetsToTxn, &seat, |world| {
            let coordinators = &mut world.cluster.coordinators;
            match coordinators.add_group(&request.transactional_id, asking, &request.group_id) {
                code::NONE => Ok(()),
                error => Err(error),
            }
        });
        let error_code = outcome.map_or_else(|error| of_age(error, version >= 2), |()| code::NONE);
        let response = AddOffsetsToTxnResponse { throttle_time_ms: 0, error_code };
        self.respond(id, correlation_id, Response::AddOffsetsToTxn(response), Duration::ZERO);
    }

    pub fn serve_offset_commit(
        &mut self,
        id: ConnectionId,
        correlation_id: i32,
        version: i16,
        request: &TxnOffsetCommitRequest,
    ) {
        let seat = key(CoordinatorKind::Group, &request.group_id);
        let outcome = self.coordinate(id, ApiKey::TxnOffsetCommit, &seat, |world| {
            let now = world.now;
            let transactions = world.cluster.coordinator_of_transactions(&request.transactional_id);
            let asks = transactions.is_some_and(|seat| seat.loaded <= now);
            match world.cluster.coordinators.commit_offsets(version, request, asks) {
                code::NONE => Ok(()),
                error => Err(error),
            }
        });
        let error = outcome.err().unwrap_or(code::NONE);
        let partitions = request.offsets.iter().map(|of| (of.topic.clone(), of.partition, error)).collect();
        let response = TxnOffsetCommitResponse { throttle_time_ms: 0, partitions };
        self.respond(id, correlation_id, Response::TxnOffsetCommit(response), Duration::ZERO);
    }

    pub fn serve_end(&mut self, id: ConnectionId, correlation_id: i32, version: i16, request: &EndTxnRequest) {
        let seat = key(CoordinatorKind::Transaction, &request.transactional_id);
        let outcome =
            self.coordinate(id, ApiKey::EndTxn, &seat, |world| world.cluster.coordinators.end(version, request));
        let error_code = outcome.map_or_else(|error| of_age(error, version >= 2), |_| code::NONE);
        let Asking { producer_id, epoch } = outcome.unwrap_or(NOBODY);
        let response = EndTxnResponse { throttle_time_ms: 0, error_code, producer_id, producer_epoch: epoch };
        self.respond(id, correlation_id, Response::EndTxn(response), Duration::ZERO);
    }

    /// What coordinators have decided is done when its time comes.
    pub fn schedule_due(&mut self) {
        for due in std::mem::take(&mut self.cluster.coordinators.due) {
            match due {
                Due::Markers(end) => {
                    let delay = self.marker_delay();
                    self.after(delay, Event::Markers(end));
                }
                Due::Timeout { id, start, after } => self.after(after, Event::TransactionTimeout(id, start)),
            }
        }
    }

    fn marker_delay(&mut self) -> Duration {
        let slow = self.rates.slow_markers;
        if slow > 0 && self.rng.chance(slow) { self.rng.millis(50, 3_000) } else { self.rng.millis(1, 20) }
    }

    pub fn time_out_transaction(&mut self, id: &str, start: u64) {
        // Who has just become the coordinator finds it later.
        let seat = self.cluster.coordinator_of_transactions(id);
        if seat.is_none_or(|seat| seat.loaded > self.now) {
            return self.after(Duration::from_millis(500), Event::TransactionTimeout(id.to_owned(), start));
        }
        if self.cluster.coordinators.time_out(id, start) {
            self.trace.line(self.now, || format!("the transaction of {id} was open for too long"));
            self.schedule_due();
        }
    }

    /// Writes the markers of an end that can be written now, each perhaps; the others later.
    pub fn write_markers(&mut self, end: usize) {
        let coordinators = &self.cluster.coordinators;
        let of = &coordinators.ends[end];
        let (id, asking, commits) = (of.id.clone(), of.asking, of.commits);
        let seat = self.cluster.coordinator_of_transactions(&id);
        if seat.is_none_or(|seat| seat.loaded > self.now) {
            return self.after(Duration::from_millis(50), Event::Markers(end));
        }
        for place in self.cluster.coordinators.ends[end].partitions.clone() {
            // One leader answers before another does.
            if self.rng.chance(300) {
                continue;
            }
            if self.cluster.write_marker(self.now, &place, asking, Marker { commits, end }) {
                let what = if commits { "commit" } else { "abort" };
                self.trace.line(self.now, || format!("{what} {end} stands in {}-{}", place.0, place.1));
                self.cluster.coordinators.ends[end].partitions.remove(&place);
            }
        }
        for group in self.cluster.coordinators.ends[end].groups.clone() {
            if self.rng.chance(300) {
                continue;
            }
            self.cluster.coordinators.write_group_marker(end, &group);
            self.cluster.coordinators.ends[end].groups.remove(&group);
        }
        let of = &self.cluster.coordinators.ends[end];
        if of.partitions.is_empty() && of.groups.is_empty() {
            self.trace.line(self.now, || format!("end {end} is complete"));
            self.cluster.coordinators.complete(end);
        } else {
            let delay = self.marker_delay();
            self.after(delay, Event::Markers(end));
        }
        self.answer_waiting();
    }

    /// Another broker that is up coordinates from now on, once it has read the log.
    fn move_seat(&mut self, key: &Key, to: BrokerId) {
        let from = self.cluster.seat(key).broker;
        self.trace.line(self.now, || format!("fault: {to} coordinates {key:?} now, and no longer {from}"));
        let loading = self.rng.millis(0, 200);
        let loaded = self.now + loading;
        let brokers: Vec<BrokerId> = self.cluster.brokers.keys().copied().collect();
        let seat = self.cluster.seat(key);
        for broker in &brokers {
            seat.told.entry(*broker).or_insert(from);
        }
        (seat.broker, seat.loaded) = (to, loaded);
        // Those two know.
        seat.told.remove(&to);
        for broker in brokers {
            let delay = Duration::from_micros(self.rng.below(self.rates.stale_ms * 1000));
            self.after(delay, Event::LearnSeat(broker, key.clone()));
        }
    }

    fn move_seat_on(&mut self, key: &Key) {
        let from = self.cluster.seat(key).broker;
        let live = self.cluster.brokers.iter().filter(|(id, broker)| broker.up && **id != from).map(|(id, _)| *id);
        if let Some(to) = live.collect::<Vec<_>>().first() {
            self.move_seat(key, *to);
        }
    }

    pub fn move_some_seat(&mut self) {
        let keys: Vec<Key> = self.cluster.coordinators.seats.keys().cloned().collect();
        let live: Vec<_> = self.cluster.brokers.iter().filter(|(_, broker)| broker.up).map(|(id, _)| *id).collect();
        if !keys.is_empty() && !live.is_empty() {
            let (key, to) = (self.rng.pick(&keys).clone(), *self.rng.pick(&live));
            self.move_seat(&key, to);
        }
    }

    pub fn learn_seat(&mut self, broker: BrokerId, key: &Key) {
        self.cluster.seat(key).told.remove(&broker);
    }

    pub fn learn_all_seats(&mut self) {
        for seat in self.cluster.coordinators.seats.values_mut() {
            seat.told.clear();
            seat.loaded = seat.loaded.min(self.now);
        }
    }

    /// A broker has died.
    pub fn leave_seats(&mut self, broker: BrokerId) {
        let seats = self.cluster.coordinators.seats.iter().filter(|(_, seat)| seat.broker == broker);
        let keys: Vec<Key> = seats.map(|(key, _)| key.clone()).collect();
        let live: Vec<_> = self.cluster.brokers.iter().filter(|(_, broker)| broker.up).map(|(id, _)| *id).collect();
        for key in keys {
            let to = if live.is_empty() { -1 } else { *self.rng.pick(&live) };
            self.move_seat(&key, to);
        }
    }

    /// A broker is back: it coordinates what nobody does.
    pub fn take_seats(&mut self, broker: BrokerId) {
        let seats = self.cluster.coordinators.seats.iter().filter(|(_, seat)| seat.broker < 0);
        let keys: Vec<Key> = seats.map(|(key, _)| key.clone()).collect();
        for key in keys {
            self.move_seat(&key, broker);
        }
    }
}

/// Who is too old to have heard of PRODUCER_FENCED is told INVALID_PRODUCER_EPOCH.
fn of_age(error: i16, knows_fencing: bool) -> i16 {
    if error == code::PRODUCER_FENCED && !knows_fencing { code::INVALID_PRODUCER_EPOCH } else { error }
}
