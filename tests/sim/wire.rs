//! What travels: connects, requests, responses, and how a broker serves them.

use crate::cluster::{self, BatchFault, Named, Producing, Slot, Tp};
use crate::network::{Connection, ConnectionId, InFlight, RequestFault, Side, Waiting, WireProduce, WireRequest};
use crate::world::{Event, World};
use pointsman::core::Transmit;
use pointsman::protocol::error_code as code;
use pointsman::protocol::messages::{InitProducerIdResponse, PartitionResponse, ProduceResponse, Request, Response};
use std::time::Duration;

impl World {
    pub fn connect(&mut self, id: ConnectionId, host: &str, port: u16) {
        self.trace.line(self.now, || format!("connect {id:?} to {host}:{port}"));
        let at = |broker: &cluster::Broker| broker.host == host && broker.port == port;
        let broker = self.cluster.brokers.iter().find(|(_, broker)| at(broker)).map(|(id, _)| *id);
        if self.connections.contains_key(&id) {
            self.violation(format!("{id:?} is used twice"));
        }
        let delay = self.latency();
        let Some(broker) = broker else {
            self.violation(format!("a connection to {host}:{port}, which no broker advertises"));
            return self.after(delay, Event::ConnectFailed(id));
        };
        let open = self.connections.values().filter(|other| other.broker == broker && other.side != Side::Closed);
        let open = open.filter(|other| other.id.producer == id.producer).count();
        // One for the address in bootstrap.servers, one for the node.
        if open > 1 {
            self.violation(format!("a third connection to broker {broker}"));
        }
        self.connections.insert(id, Connection::new(id, broker, self.now));
        let refused = !self.cluster.brokers[&broker].up || self.rng.chance(self.rates.connect_refused);
        let delay = if self.rng.chance(self.rates.connect_slow) { self.rng.millis(100, 9_000) } else { delay };
        self.after(delay, if refused { Event::ConnectFailed(id) } else { Event::Connected(id) });
    }

    /// The client closes. What it has written arrives perhaps, and may be served although nobody cares any more.
    pub fn closed_by_client(&mut self, id: ConnectionId, reason: &str) {
        self.trace.line(self.now, || format!("client closes {id:?}: {reason}"));
        self.closed_for.push(reason.to_owned());
        let connection = self.connections.get_mut(&id).expect("a connection that was asked for");
        if connection.side == Side::Closed {
            return self.violation(format!("{id:?} is closed twice"));
        }
        connection.side = Side::Closed;
        connection.in_flight.clear();
        if self.rng.chance(500) {
            let connection = self.connections.get_mut(&id).expect("as above");
            connection.stalled_out = true;
        }
    }

    /// The connection breaks on its way: the client notices a little later, what is under way is lost.
    pub fn cut(&mut self, id: ConnectionId) {
        let delay = self.rng.millis(0, 30);
        let connection = self.connections.get_mut(&id).expect("a known connection");
        connection.stalled_out = true;
        connection.stalled.clear();
        connection.stalled_back = true;
        if connection.side != Side::Closed {
            self.after(delay, Event::CutNoticed(id));
        }
    }

    pub fn transmit(&mut self, transmit: Transmit) {
        let Transmit { connection, correlation_id, api_version, request, expects_response } = transmit;
        let id = self.connection_id(connection);
        let Some(connection) = self.connections.get(&id).filter(|connection| connection.side == Side::Open) else {
            return self.violation(format!("a request on {id:?}, which is not open"));
        };
        let (broker, throttled_until) = (connection.broker, connection.throttled_until);
        if connection.last_correlation_id.is_some_and(|last| last == correlation_id) {
            self.violation(format!("correlation id {correlation_id} twice on {id:?}"));
        }
        if self.now < throttled_until {
            self.violation(format!("{} on {id:?}, which is throttled until {throttled_until:?}", request.api().code()));
        }
        let versions = &self.cluster.brokers[&broker].versions;
        if versions.pick(request.api(), api_version..=api_version).is_none() {
            self.violation(format!("broker {broker} does not speak {:?} {api_version}", request.api()));
        }
        let mut again = Vec::new();
        let partitions = if let Request::Produce(produce) = &request {
            let read = WireProduce::read(api_version, produce);
            self.check_leaving(id, &read);
            for (named, batch) in &read.batches {
                if batch.as_ref().is_ok_and(|batch| self.ledger.went_before(batch)) {
                    again.push((named.name.clone(), named.index));
                }
            }
            read.batches.iter().map(|(named, _)| (named.name.clone(), named.index)).collect()
        } else {
            Vec::new()
        };
        let is_produce = matches!(request, Request::Produce(_));
        self.metadata_requests += usize::from(matches!(request, Request::Metadata(_)));
        let names = &partitions;
        self.trace.line(self.now, || {
            format!("send {:?} v{api_version} #{correlation_id} on {id:?} {names:?}", request.api())
        });
        self.transaction_leaves(id.producer, &request, api_version);
        let fault = self.request_fault(&request);
        let connection = self.connections.get_mut(&id).expect("as above");
        connection.last_correlation_id = Some(correlation_id);
        let unwritten = Some(request);
        let in_flight =
            InFlight { partitions, again, is_produce, unwritten, version: api_version, expects_response, fault };
        connection.in_flight.insert(correlation_id, in_flight);
        if is_produce && connection.produce_in_flight() > self.config.max_in_flight {
            self.violation(format!("{id:?} has more requests in flight than max.in.flight allows"));
        }
        self.check_memory();
        let delay = Duration::from_micros(self.rng.below(200));
        let connection = self.connections.get_mut(&id).expect("as above");
        // Requests leave in the order in which they were polled.
        let at = connection.last_arrival.max(self.now + delay);
        connection.last_arrival = at;
        self.at(at, Event::Written(id, correlation_id));
    }

    fn request_fault(&mut self, request: &Request) -> Option<RequestFault> {
        let scripted = if matches!(request, Request::Produce(_)) {
            self.produce_requests += 1;
            let nth = self.produce_requests - 1;
            self.request_script.as_mut().and_then(|script| script(nth))
        } else {
            let nth = self.requests.entry(request.api().code()).or_default();
            *nth += 1;
            let nth = *nth - 1;
            self.api_script.as_mut().and_then(|script| script(request.api(), nth))
        };
        scripted.or_else(|| self.rates.request_fault(&mut self.rng))
    }

    /// What can be seen of a Produce request before anything happens to it.
    fn check_leaving(&mut self, id: ConnectionId, produce: &WireProduce) {
        let broker = self.connections[&id].broker;
        let mut size = 0;
        for (at, (named, batch)) in produce.batches.iter().enumerate() {
            let twice = |other: &(Named, _)| (&other.0.name, other.0.index) == (&named.name, named.index);
            if produce.batches[..at].iter().any(twice) {
                self.violation(format!("{named:?} twice in one request"));
            }
            match batch {
                Ok(batch) => {
                    size += batch.size;
                    let wrong = self.ledger.sent(&named.name, named.index, batch);
                    wrong.into_iter().for_each(|wrong| self.violation(wrong));
                    let (pid, epoch, sequence, count) =
                        (batch.producer_id, batch.epoch, batch.base_sequence, batch.records.len());
                    let (name, index) = (&named.name, named.index);
                    self.trace
                        .line(self.now, || format!("  {name}-{index} pid {pid} epoch {epoch} seq {sequence}+{count}"));
                    if batch.transactional != self.config.transactions.is_some() {
                        let not = if batch.transactional { "" } else { "not " };
                        self.violation(format!("{named:?}: a batch leaves that is {not}transactional"));
                    }
                    if batch.producer_id < 0 && self.config.idempotence {
                        self.violation(format!("{named:?}: no producer id although idempotence is on"));
                    }
                }
                Err(why) => self.violation(format!("{named:?}: a broken batch leaves: {why}")),
            }
            self.check_alone(id.producer, named, batch);
            let elsewhere = self.connections.values().find(|other| {
                let holds = |request: &InFlight| request.partitions.contains(&(named.name.clone(), named.index));
                let same = other.id.producer == id.producer;
                same && other.broker != broker && other.side == Side::Open && other.in_flight.values().any(holds)
            });
            if let Some(other) = elsewhere {
                let what = format!(
                    "{}-{} goes to broker {broker} while in flight at {}",
                    named.name, named.index, other.broker
                );
                self.violation(what);
            }
        }
        if produce.batches.is_empty() {
            self.violation("a Produce request without batches".to_owned());
        }
        if size > self.config.max_request_size.max(self.config.batch_size) {
            self.violation(format!("a request of {size} bytes, max.request.size is {}", self.config.max_request_size));
        }
    }

    /// A batch that goes out again goes alone, and nothing of its partition follows it until it is answered: else each
    /// answer would throw the followers back too.
    fn check_alone(&mut self, producer: usize, named: &Named, batch: &Result<crate::batch::Batch, String>) {
        let Ok(batch) = batch else { return };
        let open = self.connections.values().filter(|connection| connection.side == Side::Open);
        let open = open.filter(|connection| connection.id.producer == producer);
        let requests = open.flat_map(|connection| connection.in_flight.values());
        let mut beside = requests.filter(|request| request.partitions.contains(&(named.name.clone(), named.index)));
        let again = self.ledger.went_before(batch);
        if beside.any(|request| again || request.again.contains(&(named.name.clone(), named.index))) {
            self.violation(format!("{}-{}: a batch that goes out again is not alone", named.name, named.index));
        }
    }

    /// Whoever still writes a batch holds its memory.
    fn check_memory(&mut self) {
        let requests = self.connections.values().flat_map(|connection| connection.in_flight.values());
        let bodies = requests.filter_map(|request| match &request.unwritten {
            Some(Request::Produce(produce)) => Some(produce),
            _ => None,
        });
        let partitions = bodies.flat_map(|produce| &produce.topics).flat_map(|topic| &topic.partitions);
        let held: usize = partitions.map(|partition| partition.body.len()).sum();
        let booked = self.config.memory.total() as i64 - self.config.memory.available();
        if booked < held as i64 {
            self.violation(format!("{held} bytes are being written and only {booked} are booked"));
        }
    }

    pub fn network_event(&mut self, event: Event) {
        match event {
            Event::Connected(id) => self.connected(id),
            Event::ConnectFailed(id) | Event::CutNoticed(id) => self.lost(id),
            Event::Written(id, correlation_id) => self.written(id, correlation_id),
            Event::Arrive(id, correlation_id, request) => self.arrive(id, correlation_id, request),
            Event::ArriveStalled(id) => {
                let connection = self.connections.get_mut(&id).expect("a known connection");
                // Healed, unless it broke meanwhile.
                connection.stalled_out = connection.stalled_back || connection.side == Side::Closed;
                for (correlation_id, request) in std::mem::take(&mut connection.stalled) {
                    self.trace.line(self.now, || format!("late: #{correlation_id} of {id:?} arrives after all"));
                    self.enqueue(id, correlation_id, request);
                }
            }
            Event::Serve(id) => self.serve(id),
            Event::ProduceDeadline(id, correlation_id) => self.produce_deadline(id, correlation_id),
            Event::Deliver(id, correlation_id, response) => self.deliver(id, correlation_id, response),
            other => unreachable!("{other:?} is not of the network"),
        }
    }

    fn connected(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let broker = &self.cluster.brokers[&connection.broker];
        if connection.side != Side::Connecting {
            return;
        }
        if !broker.up || connection.broker_closed {
            return self.lost(id);
        }
        connection.side = Side::Open;
        self.trace.line(self.now, || format!("connected {id:?}"));
        let versions = broker.versions.clone();
        self.core_of(id).handle_connected(self.now, id.of_core, versions);
    }

    fn lost(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.get_mut(&id) {
            if connection.side == Side::Closed {
                return;
            }
            connection.side = Side::Closed;
            connection.in_flight.clear();
        }
        self.trace.line(self.now, || format!("lost {id:?}"));
        self.core_of(id).handle_disconnected(self.now, id.of_core, "the simulator cut it".to_owned());
    }

    fn written(&mut self, id: ConnectionId, correlation_id: i32) {
        let latency = self.latency();
        let connection = self.connections.get_mut(&id).expect("a known connection");
        let Some(in_flight) = connection.in_flight.get_mut(&correlation_id) else { return };
        let request = in_flight.unwritten.take().expect("a request is written once");
        let wire = WireRequest::read(in_flight.version, &request);
        drop(request);
        let (fault, expects_response) = (in_flight.fault, in_flight.expects_response);
        if !expects_response {
            connection.in_flight.remove(&correlation_id);
        }
        if let Some(fault) = fault {
            self.trace.line(self.now, || format!("fault: {fault:?} for #{correlation_id} on {id:?}"));
        }
        let mut delay = latency;
        match fault {
            Some(RequestFault::Lose) => connection.stalled_out = true,
            Some(RequestFault::ArriveLate(after)) => {
                connection.stalled_out = true;
                self.after(after, Event::ArriveStalled(id));
            }
            Some(RequestFault::CutBefore) => self.cut(id),
            Some(RequestFault::Delay(longer)) => delay += longer,
            Some(fault @ (RequestFault::CutAfter | RequestFault::LoseResponse)) => {
                connection.doomed.insert(correlation_id, fault);
            }
            None => {}
        }
        let connection = self.connections.get_mut(&id).expect("as above");
        if connection.stalled_out {
            connection.stalled.push((correlation_id, wire));
        } else {
            let at = connection.last_arrival.max(self.now + delay);
            connection.last_arrival = at;
            self.at(at, Event::Arrive(id, correlation_id, wire));
        }
        if !expects_response {
            self.core_of(id).handle_written(self.now, id.of_core, correlation_id);
        }
    }

    fn arrive(&mut self, id: ConnectionId, correlation_id: i32, request: WireRequest) {
        let connection = self.connections.get_mut(&id).expect("a known connection");
        // Cut or given up on while this was under way. The stalled ones that never arrive stay where they are.
        if connection.stalled_out {
            connection.stalled.push((correlation_id, request));
        } else {
            self.enqueue(id, correlation_id, request);
        }
    }

    fn enqueue(&mut self, id: ConnectionId, correlation_id: i32, request: WireRequest) {
        let connection = self.connections.get_mut(&id).expect("a known connection");
        if connection.broker_closed {
            return;
        }
        connection.queue.push_back((correlation_id, request));
        let at = connection.served_until;
        self.at(at, Event::Serve(id));
    }

    /// The next request of a connection, unless one is being served.
    fn serve(&mut self, id: ConnectionId) {
        let connection = self.connections.get_mut(&id).expect("a known connection");
        if connection.waiting.is_some() || connection.broker_closed || self.now < connection.served_until {
            return;
        }
        let Some((correlation_id, request)) = connection.queue.pop_front() else { return };
        let broker = connection.broker;
        match request {
            WireRequest::Metadata(version, request) => {
                let mut answer = self.cluster.metadata(broker, version, &request);
                self.note_creation(&request);
                if self.rng.chance(self.rates.metadata_error) {
                    answer.topics.iter_mut().for_each(|topic| {
                        topic.error_code = code::LEADER_NOT_AVAILABLE;
                        topic.partitions.clear();
                    });
                }
                self.respond(id, correlation_id, Response::Metadata(answer), Duration::ZERO);
            }
            WireRequest::InitProducerId(version, request) if request.transactional_id.is_some() => {
                self.serve_producer_id(id, correlation_id, version, &request);
            }
            WireRequest::InitProducerId(_, request) => {
                let refusal = self
                    .init_refusals
                    .pop_front()
                    .or_else(|| self.rng.chance(self.rates.init_error).then_some(COORDINATOR_LOAD_IN_PROGRESS));
                let answer = match refusal {
                    Some(error_code) => {
                        InitProducerIdResponse { throttle_time_ms: 0, error_code, producer_id: -1, producer_epoch: -1 }
                    }
                    None => self.cluster.init_producer_id(&request),
                };
                self.respond(id, correlation_id, Response::InitProducerId(answer), Duration::ZERO);
            }
            WireRequest::Produce(produce) => self.serve_produce(id, correlation_id, produce),
            WireRequest::FindCoordinator(request) => self.serve_find_coordinator(id, correlation_id, &request),
            WireRequest::AddPartitionsToTxn(version, request) => {
                self.serve_add_partitions(id, correlation_id, version, &request);
            }
            WireRequest::AddOffsetsToTxn(version, request) => {
                self.serve_add_offsets(id, correlation_id, version, &request);
            }
            WireRequest::TxnOffsetCommit(version, request) => {
                self.serve_offset_commit(id, correlation_id, version, &request);
            }
            WireRequest::EndTxn(version, request) => self.serve_end(id, correlation_id, version, &request),
        }
    }

    fn serve_produce(&mut self, id: ConnectionId, correlation_id: i32, produce: WireProduce) {
        let broker = self.connections[&id].broker;
        let mut slots = Vec::new();
        let transactional_id = produce.transactional_id.as_deref();
        let request = Producing { version: produce.version, acks: produce.acks, transactional_id };
        for (named, batch) in produce.batches {
            let fault = self.batch_fault(&named);
            if let Some(fault) = fault {
                let (name, index) = (&named.name, named.index);
                self.trace.line(self.now, || format!("fault: {fault:?} for {name}-{index} at {broker}"));
            }
            let tp = self.cluster.resolve(broker, &named);
            let slot = self.cluster.produce(self.now, broker, request, &named, batch, fault);
            self.schedule_due();
            if let Slot::Replicating { tp, epoch, end_offset, .. } = slot {
                let delay = self.replication_delay();
                self.after(delay, Event::Replicate { tp, epoch, end_offset });
            } else if let (Some(tp), Slot::Answer(answer)) = (tp, &slot)
                && answer.error_code == 0
            {
                // acks=1 does not wait for it.
                let (epoch, end_offset) =
                    (self.cluster.partition(tp).epoch, self.cluster.partition(tp).log.end_offset());
                let delay = self.replication_delay();
                self.after(delay, Event::Replicate { tp, epoch, end_offset });
            }
            slots.push((tp, slot));
        }
        let deadline = self.now + produce.timeout;
        let waiting = Waiting { correlation_id, version: produce.version, acks: produce.acks, slots };
        self.connections.get_mut(&id).expect("as above").waiting = Some(waiting);
        self.at(deadline, Event::ProduceDeadline(id, correlation_id));
        self.answer_if_decided(id);
    }

    fn batch_fault(&mut self, named: &Named) -> Option<BatchFault> {
        let nth = self.arrived.entry((named.name.clone(), named.index)).or_default();
        *nth += 1;
        let scripted = self.batch_script.as_mut().and_then(|script| script(*nth - 1));
        scripted.or_else(|| self.rates.batch_fault(&mut self.rng))
    }

    /// Answers what can be answered since replicas, leaders or the set in sync changed.
    pub fn answer_waiting(&mut self) {
        let waiting = |connection: &&Connection| connection.waiting.is_some();
        let ids: Vec<_> = self.connections.values().filter(waiting).map(|connection| connection.id).collect();
        ids.into_iter().for_each(|id| self.answer_if_decided(id));
    }

    fn answer_if_decided(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let broker = connection.broker;
        let Some(mut waiting) = connection.waiting.take() else { return };
        for (_, slot) in &mut waiting.slots {
            if let Some(answer) = self.cluster.replicated(broker, slot) {
                *slot = Slot::Answer(answer);
            }
        }
        let answers: Option<Vec<_>> = waiting.slots.iter().map(answered).collect();
        match answers {
            Some(answers) => self.answer_produce(id, &waiting, answers),
            None => self.connections.get_mut(&id).expect("as above").waiting = Some(waiting),
        }
    }

    /// The followers took longer than the request's timeout: it stands at the leader, and may stay there.
    fn produce_deadline(&mut self, id: ConnectionId, correlation_id: i32) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let Some(mut waiting) = connection.waiting.take_if(|waiting| waiting.correlation_id == correlation_id) else {
            return;
        };
        for (_, slot) in &mut waiting.slots {
            if let Slot::Replicating { answer, .. } = slot {
                self.cluster.failed_after_append = true;
                *slot = Slot::Answer(PartitionResponse { error_code: code::REQUEST_TIMED_OUT, ..answer.clone() });
            }
        }
        let answers = waiting.slots.iter().filter_map(answered).collect();
        self.answer_produce(id, &waiting, answers);
    }

    fn answer_produce(
        &mut self,
        id: ConnectionId,
        waiting: &Waiting,
        mut partitions: Vec<(Option<Tp>, PartitionResponse)>,
    ) {
        let version = waiting.version;
        for (_, answer) in &mut partitions {
            cluster::fit(answer, version);
            let (name, index, error, offset) = (&answer.topic, answer.index, answer.error_code, answer.base_offset);
            self.trace.line(self.now, || format!("served {name}-{index}: {} at {offset}", code::name(error)));
        }
        if waiting.acks == 0 {
            // Nobody reads an answer: an error closes the connection.
            if partitions.iter().any(|(_, answer)| answer.error_code != 0) {
                self.close_by_broker(id);
            } else {
                let now = self.now;
                self.connections.get_mut(&id).expect("a known connection").served_until = now;
                self.at(now, Event::Serve(id));
            }
            return;
        }
        let leaders = partitions.iter().map(|(_, answer)| answer.current_leader.0).filter(|leader| *leader >= 0);
        let mut leaders: Vec<_> = leaders.collect();
        leaders.sort_unstable();
        leaders.dedup();
        let node_endpoints = leaders.into_iter().filter_map(|leader| self.cluster.address(leader)).collect();
        let throttle = self
            .throttle_next
            .take()
            .or_else(|| self.rng.chance(self.rates.throttle).then(|| self.rng.millis(1, 2_000)));
        let throttle = throttle.map_or(0, |throttle| throttle.as_millis() as i32);
        let mut partitions: Vec<_> = partitions.into_iter().map(|(_, answer)| answer).collect();
        // In any order.
        if self.rng.chance(300) {
            partitions.reverse();
        }
        let response = ProduceResponse { throttle_time_ms: throttle, partitions, node_endpoints };
        // KIP-219: the broker stops reading, the client is expected to stop sending.
        let muted = Duration::from_millis(throttle as u64);
        self.respond(id, waiting.correlation_id, Response::Produce(response), muted);
    }

    pub fn respond(&mut self, id: ConnectionId, correlation_id: i32, response: Response, muted: Duration) {
        let latency = self.latency();
        let delay = if self.rng.chance(self.rates.slow_response) { self.rng.millis(50, 3_000) } else { latency };
        let now = self.now;
        let connection = self.connections.get_mut(&id).expect("a known connection");
        match connection.doomed.remove(&correlation_id) {
            Some(RequestFault::LoseResponse) => connection.stalled_back = true,
            Some(_) => self.cut(id),
            None => {}
        }
        let connection = self.connections.get_mut(&id).expect("as above");
        if connection.side == Side::Closed && self.rng.chance(500) {
            // Writing to a closed socket: the broker notices and drops what it has read.
            return self.close_by_broker(id);
        }
        if !connection.stalled_back {
            let at = connection.last_delivery.max(now + delay);
            connection.last_delivery = at;
            self.at(at, Event::Deliver(id, correlation_id, response));
        }
        let connection = self.connections.get_mut(&id).expect("as above");
        connection.served_until = now + muted;
        let at = connection.served_until;
        self.at(at, Event::Serve(id));
    }

    /// The broker closes, or dies: nothing of the connection is served any more.
    pub fn close_by_broker(&mut self, id: ConnectionId) {
        let connection = self.connections.get_mut(&id).expect("a known connection");
        connection.broker_closed = true;
        connection.queue.clear();
        connection.waiting = None;
        self.cut(id);
    }

    fn deliver(&mut self, id: ConnectionId, correlation_id: i32, response: Response) {
        let connection = self.connections.get_mut(&id).expect("a known connection");
        if connection.side != Side::Open || connection.stalled_back {
            return;
        }
        if connection.in_flight.remove(&correlation_id).is_none() {
            return;
        }
        let throttle = match &response {
            Response::Produce(response) => response.throttle_time_ms,
            _ => 0,
        };
        if throttle > 0 {
            let until = self.now + Duration::from_millis(throttle as u64);
            connection.throttled_until = connection.throttled_until.max(until);
        }
        self.trace.line(self.now, || format!("response #{correlation_id} on {id:?}"));
        self.core_of(id).handle_response(self.now, id.of_core, correlation_id, response);
    }

    fn latency(&mut self) -> Duration {
        Duration::from_micros(self.rng.between(100, 3_000))
    }

    fn replication_delay(&mut self) -> Duration {
        if self.rng.chance(self.rates.replication_stalls) { self.rng.millis(500, 10_000) } else { self.latency() }
    }
}

fn answered((tp, slot): &(Option<Tp>, Slot)) -> Option<(Option<Tp>, PartitionResponse)> {
    match slot {
        Slot::Answer(answer) => Some((*tp, answer.clone())),
        Slot::Replicating { .. } => None,
    }
}

/// From the coordinator's ProducerIdManager while it waits for its next block of ids.
pub const COORDINATOR_LOAD_IN_PROGRESS: i16 = 14;
