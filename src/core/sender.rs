//! From sealed batches to requests, and from responses to outcomes.

use super::batch::{Order, SealedBatch};
use super::completion::Outcome;
use super::counters::{SentBatch, SentBatches};
use super::io::{ConnectionId, NodeId, Transmit};
use super::node::{Gathered, InFlightRequest, Link, RequestKind};
use super::partition::{Gate, InFlight, Slot};
use super::time::Instant;
use super::verdict::{Asked, Context, Verdict, verdict};
use super::{Core, split};
use crate::error::ProduceError;
use crate::protocol::compression::Compression;
use crate::protocol::error_code as code;
use crate::protocol::messages::{
    InitProducerIdRequest, PartitionResponse, ProduceRequest, ProduceResponse, ProduceTopic, Request, Response,
};
use crate::protocol::record_batch::HEADER_LEN;
use crate::protocol::versions;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

/// What a topic and partition cost in a request besides the batch, generously.
pub(super) const REQUEST_OVERHEAD: usize = 512;

/// The first version of Produce that brokers take zstd with (KIP-110).
const ZSTD_SINCE: i16 = 7;

impl Core {
    /// The next request to send. Requests of one connection must go out in this order.
    pub fn poll_transmit(&mut self, now: Instant) -> Option<Transmit> {
        if self.metadata_is_due(now)
            && let Some(node) = self.least_loaded(now)
        {
            let request = Request::Metadata(self.metadata_request(now));
            return self.transmit(now, node, request, RequestKind::Metadata, true);
        }
        if self.wants_producer_id(now)
            && let Some(node) = self.least_loaded(now)
        {
            self.asked_producer_id();
            let request = Request::InitProducerId(InitProducerIdRequest {
                transactional_id: None,
                transaction_timeout_ms: i32::MAX,
                producer_id: -1,
                producer_epoch: -1,
            });
            return self.transmit(now, node, request, RequestKind::InitProducerId, true);
        }
        if let Some(transmit) = self.poll_transaction(now) {
            return Some(transmit);
        }
        if self.news.holds(now) {
            return None;
        }
        let mut after = None;
        while let Some(id) = self.next_to_send(now, after) {
            after = Some(id);
            while let Some(Gathered { request, batches }) = self.gather(now, id) {
                let answered = request.acks != 0;
                let kind = RequestKind::Produce(batches);
                // What a broker cannot be told has failed by now; others may be waiting behind it.
                if let Some(transmit) = self.transmit(now, id, Request::Produce(request), kind, answered) {
                    return Some(transmit);
                }
            }
        }
        None
    }

    /// The first node after `after` that has something ready and room for a request.
    fn next_to_send(&self, now: Instant, after: Option<NodeId>) -> Option<NodeId> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut rest = self.busy.range((from, Bound::Unbounded));
        rest.find(|node| {
            let link = self.nodes.get(node).and_then(|node| node.connection());
            link.is_some_and(|link| link.has_room(now, self.config.max_in_flight))
        })
        .copied()
    }

    pub(super) fn transmit(
        &mut self,
        now: Instant,
        node: NodeId,
        request: Request,
        kind: RequestKind,
        expects_response: bool,
    ) -> Option<Transmit> {
        let deadline = now + self.config.request_timeout;
        let newest = match &kind {
            RequestKind::Produce(_) => self.produce_version_max(),
            RequestKind::Transaction(step) => self.transaction_version_max(step),
            RequestKind::Metadata | RequestKind::InitProducerId => i16::MAX,
        };
        let connection = self.nodes.get_mut(&node)?.connection_mut()?;
        let ours = versions::ours(request.api());
        let ours = *ours.start()..=newest.min(*ours.end());
        let Some(mut api_version) = connection.versions.pick(request.api(), ours.clone()) else {
            let reason = format!(
                "the broker speaks no version of {:?} that we do ({} to {})",
                request.api(),
                ours.start(),
                ours.end()
            );
            if let RequestKind::Transaction(_) = &kind {
                self.transactions_unsupported(reason);
                return None;
            }
            // Booked as in flight first, so that losing the connection returns what it carries.
            connection.in_flight.push_back(InFlightRequest { correlation_id: -1, sent: now, deadline, kind });
            self.drop_connection(now, node, &reason);
            return None;
        };
        if let RequestKind::Produce(batches) = &kind
            && api_version < ZSTD_SINCE
            && matches!(self.config.compression, Compression::Zstd(_))
        {
            for &(id, order) in batches {
                self.fail_unsupported(now, id, order, api_version);
            }
            return None;
        }
        if let Request::Produce(request) = &request
            && request.topics.iter().any(|topic| topic.id == [0; 16])
        {
            // From 13 on topics go by id (KIP-516).
            api_version = api_version.min(12);
        }
        let connection_id = connection.id;
        let correlation_id = connection.next_correlation_id;
        connection.next_correlation_id = correlation_id.wrapping_add(1) & i32::MAX;
        connection.last_used = now;
        connection.in_flight.push_back(InFlightRequest { correlation_id, sent: now, deadline, kind });
        if matches!(request, Request::Produce(_)) {
            self.transaction_goes_out();
        }
        self.set_node_timer(node);
        Some(Transmit { connection: connection_id, correlation_id, api_version, request, expects_response })
    }

    /// Whether the head of a ready partition may go out; bumps the epoch where that opens the gate.
    pub(super) fn pass_gate(&mut self, now: Instant, id: u32) -> bool {
        if !self.transaction_lets(id) {
            return false;
        }
        let idempotence = self.config.idempotence;
        let gate = |core: &Core| {
            let partition = &core.partitions[id as usize];
            let Some(leader) = partition.leader else { return Gate::Closed };
            let Some(connection) = core.nodes.get(&leader).and_then(|node| node.connection()) else {
                return Gate::Closed;
            };
            partition.gate(leader, connection.id, idempotence, core.producer_id.current())
        };
        match gate(self) {
            Gate::Open => true,
            Gate::Closed => false,
            Gate::Bump if self.transactions.is_some() => {
                let partition = &self.partitions[id as usize];
                let place = format!("{}-{}", self.topics[partition.topic].name, partition.index);
                let why = "what follows a record that was lost, or its topic's end, needs another epoch";
                // It did fail by that, mostly.
                self.must_abort(now, || format!("{place}: {why}").into());
                false
            }
            Gate::Bump => {
                // What was under way to a log that is no more may yet come to the new one.
                let refused = !self.partitions[id as usize].sequences.is_made_anew();
                self.bump(id, refused);
                gate(self) == Gate::Open
            }
        }
    }

    /// Puts together one request for a node: one batch of each ready partition in turn, up to max.request.size.
    fn gather(&mut self, now: Instant, node_id: NodeId) -> Option<Gathered> {
        let node = self.nodes.get(&node_id)?;
        let connection = node.connection()?.id;
        let in_turn: Vec<u32> = node.in_turn().collect();
        let mut topics: Vec<ProduceTopic> = Vec::new();
        let mut topic_at: BTreeMap<usize, usize> = BTreeMap::new();
        let mut batches = Vec::new();
        let mut size = 0;
        let mut sent: Vec<(usize, SentBatches)> = Vec::new();
        for id in in_turn {
            if !self.pass_gate(now, id) {
                // What opens it again schedules the partition.
                self.unready(id);
                continue;
            }
            let producer = self.producer_id.current();
            let partition = &mut self.partitions[id as usize];
            let head = match partition.queue.front() {
                Some(Slot::Sealed(head)) => head,
                // It stays ready, for `poll_seal` to close it.
                Some(Slot::Open(_)) => continue,
                Some(Slot::Sealing(_)) | None => {
                    self.unready(id);
                    continue;
                }
            };
            if !batches.is_empty() && size + head.wire_len() + REQUEST_OVERHEAD > self.config.max_request_size {
                break;
            }
            let Some(Slot::Sealed(mut batch)) = partition.queue.pop_front() else { unreachable!("looked at above") };
            size += batch.wire_len() + REQUEST_OVERHEAD;
            if batch.info.sequence.is_none()
                && let Some(producer) = producer
            {
                batch.info.sequence = Some(partition.sequences.assign(producer, batch.info.count));
            }
            let again = batch.info.went_before();
            batch.info.attempts += 1;
            partition.sequences.sent(now);
            let topic = partition.topic;
            let at = *topic_at.entry(topic).or_insert_with(|| {
                let topic = &self.topics[topic];
                topics.push(ProduceTopic { name: Arc::clone(&topic.name), id: topic.id, partitions: Vec::new() });
                sent.push((partition.topic, SentBatches::default()));
                topics.len() - 1
            });
            topics[at].partitions.push(batch.to_produce(partition.index, self.config.transactions.is_some()));
            sent[at].1.add(SentBatch {
                records: batch.info.count as u64,
                bytes: batch.wire_len(),
                raw_bytes: HEADER_LEN + batch.info.record_bytes,
                record_bytes: batch.info.record_bytes,
                record_bytes_max: batch.info.record_bytes_max,
                queued: now - batch.info.created,
            });
            batches.push((id, batch.info.order));
            partition.in_flight.push(InFlight {
                order: batch.info.order,
                connection,
                sequence: batch.info.sequence,
                again,
                batch: Some(batch),
            });
            if partition.queue.is_empty() {
                self.active.remove(id);
            }
            self.unready(id);
            self.schedule(now, id);
            if let Some(node) = self.nodes.get_mut(&node_id) {
                node.cursor = id + 1;
            }
        }
        if let Some(node) = self.nodes.get_mut(&node_id) {
            node.had_its_turn(now);
        }
        if batches.is_empty() {
            return None;
        }
        self.counters.request_sent(now, sent.iter().map(|(_, sent)| sent.records()).sum::<f64>());
        for (topic, sent) in sent {
            self.count_batches(now, topic, sent);
        }
        let request = ProduceRequest {
            acks: self.config.acks,
            timeout_ms: i32::try_from(self.config.request_timeout.as_millis()).unwrap_or(i32::MAX),
            transactional_id: self.config.transactions.as_ref().map(|of| of.id.to_string()),
            topics,
        };
        Some(Gathered { request, batches })
    }

    /// A response arrived.
    pub fn handle_response(&mut self, now: Instant, connection: ConnectionId, correlation_id: i32, response: Response) {
        let Some(&node) = self.connections.get(&connection) else { return };
        let Some(request) = self.take_request(now, node, correlation_id) else { return };
        let throttle = response.throttle_time_ms();
        self.counters.answered(now, throttle);
        if let Ok(throttle) = u64::try_from(throttle)
            && throttle > 0
            && let Some(link) = self.nodes.get_mut(&node).and_then(|node| node.connection_mut())
        {
            // An earlier answer may have asked for longer.
            link.throttled_until = link.throttled_until.max(Some(now + Duration::from_millis(throttle)));
        }
        match (request.kind, response) {
            (RequestKind::Metadata, Response::Metadata(response)) => self.handle_metadata(now, response),
            (RequestKind::InitProducerId, Response::InitProducerId(response)) => {
                self.handle_producer_id(now, &response);
            }
            (RequestKind::Transaction(step), response) => self.handle_transaction(now, step, response),
            (RequestKind::Produce(batches), Response::Produce(response)) => {
                self.count_latency(now, node, now - request.sent);
                self.handle_produce(now, node, batches, response);
            }
            // The shell decodes by what was asked; anything else is its bug, and the request is as good as lost.
            (kind, _) => {
                let link = self.nodes.get_mut(&node).and_then(|node| node.connection_mut());
                if let Some(link) = link {
                    link.in_flight.push_front(InFlightRequest {
                        correlation_id,
                        sent: request.sent,
                        deadline: now,
                        kind,
                    });
                }
                self.drop_connection(now, node, "the answer is not of the kind that was asked for");
            }
        }
        self.set_node_timer(node);
        self.drive_links(now);
    }

    /// With acks=0: the bytes are with the socket, and that is all that will be known.
    pub fn handle_written(&mut self, now: Instant, connection: ConnectionId, correlation_id: i32) {
        let Some(&node) = self.connections.get(&connection) else { return };
        let Some(request) = self.take_request(now, node, correlation_id) else { return };
        if let RequestKind::Produce(batches) = request.kind {
            for (id, order) in batches {
                let written = Outcome::Written { base_offset: None, log_append_time: None };
                if let Some(batch) = self.take_in_flight(id, order).and_then(|sent| sent.batch) {
                    self.complete(now, id, batch, written);
                }
                self.schedule(now, id);
            }
        }
        self.set_node_timer(node);
    }

    fn take_request(&mut self, now: Instant, node: NodeId, correlation_id: i32) -> Option<InFlightRequest> {
        let Link::Up(link) = &mut self.nodes.get_mut(&node)?.link else { return None };
        link.last_used = now;
        let at = link.in_flight.iter().position(|request| request.correlation_id == correlation_id)?;
        link.in_flight.remove(at)
    }

    fn handle_produce(&mut self, now: Instant, node: NodeId, batches: Vec<(u32, Order)>, response: ProduceResponse) {
        // Leaders that the answers name may be brokers we have not heard of (KIP-951).
        self.take_brokers(now, &response.node_endpoints);
        let mut answers: Vec<_> = response.partitions.into_iter().map(Some).collect();
        for (at, (id, order)) in batches.into_iter().enumerate() {
            let partition = &self.partitions[id as usize];
            let topic = &self.topics[partition.topic];
            // An answer that was taken is none: what is left of it must not pass for one with error code 0.
            let is_ours = |answer: &Option<PartitionResponse>| {
                answer.as_ref().is_some_and(|answer| {
                    // Also where metadata of an older broker, which has no ids, came since it was asked by one.
                    let by_id = answer.topic.is_empty();
                    answer.index == partition.index
                        && if by_id { answer.topic_id == topic.last_id } else { *answer.topic == *topic.name }
                })
            };
            // Brokers answer in the order of the request, as a rule.
            let found = match answers.get(at) {
                Some(answer) if is_ours(answer) => Some(at),
                _ => answers.iter().position(is_ours),
            };
            match found.and_then(|found| answers[found].take()) {
                Some(answer) => self.handle_partition(now, node, id, order, answer),
                None => self.batch_unanswered(now, id, order, "the broker's answer leaves the partition out"),
            }
        }
    }

    fn handle_partition(&mut self, now: Instant, node: NodeId, id: u32, order: Order, answer: PartitionResponse) {
        let (leader, epoch) = answer.current_leader;
        if leader >= 0 && self.set_leader(now, id, leader, epoch) {
            self.tell_topology(self.partitions[id as usize].topic);
        }
        let Some(sent) = self.take_in_flight(id, order) else { return };
        let partition = &mut self.partitions[id as usize];
        let hole = partition.sequences.hole_before(order);
        let earlier = partition.in_flight.iter().any(|other| other.order < order)
            || partition.queue.front().is_some_and(|slot| slot.order() < order);
        let context = Context {
            idempotence: self.config.idempotence,
            next_expected: !earlier && hole.is_none(),
            after_unknown: !earlier && hole == Some(false),
            maybe_written: sent.batch.as_ref().is_some_and(|batch| batch.info.maybe_written),
            several: sent.batch.as_ref().is_some_and(|batch| batch.info.count > 1),
            transactional: self.config.transactions.is_some(),
            names_records: sent.batch.as_ref().is_some_and(|batch| !split::refused(&batch.info, &answer).is_empty()),
        };
        let verdict = verdict(Asked::Produce(context), answer.error_code);
        if matches!(verdict, Verdict::Good | Verdict::WrittenBefore)
            && let Some(sequence) = sent.sequence
        {
            partition.sequences.proved(node, sequence, order);
        }
        let Some(mut batch) = sent.batch else {
            // Its deliveries have failed already; what it leaves behind decides what the next ones may do.
            if !matches!(verdict, Verdict::Good | Verdict::WrittenBefore)
                && let Some(sequence) = sent.sequence
            {
                partition.sequences.leave_hole(order, sequence, false);
            }
            self.schedule(now, id);
            return;
        };
        if matches!(answer.error_code, code::MESSAGE_TOO_LARGE | code::RECORD_LIST_TOO_LARGE)
            && batch.wire_len() > self.config.batch_size
        {
            self.topics[self.partitions[id as usize].topic].refused_large = true;
        }
        let cause = || match &answer.error_message {
            Some(message) => format!("the broker answered {}: {message}", code::name(answer.error_code)),
            None => format!("the broker answered {}", code::name(answer.error_code)),
        };
        match verdict {
            Verdict::Good => {
                let outcome = Outcome::Written {
                    base_offset: (answer.base_offset >= 0).then_some(answer.base_offset),
                    log_append_time: (answer.log_append_time >= 0).then_some(answer.log_append_time),
                };
                self.complete(now, id, batch, outcome);
            }
            Verdict::WrittenBefore => {
                self.complete(now, id, batch, Outcome::Written { base_offset: None, log_append_time: None });
            }
            Verdict::Retry { refresh, ambiguous } => {
                batch.info.maybe_written |= ambiguous;
                batch.info.last_cause = Some(cause());
                if batch.info.attempts > self.config.retries {
                    self.fail_batch(now, id, batch, &answer);
                    return;
                }
                // A new leader named in the answer is asked at once.
                let moved = self.partitions[id as usize].leader.is_some_and(|leader| leader != node);
                if refresh && !moved {
                    self.want_metadata(now);
                }
                if refresh && moved {
                    self.requeue(now, id, batch);
                } else {
                    self.retry_later(now, id, batch);
                }
            }
            Verdict::Renumber => {
                batch.info.last_cause = Some(cause());
                if let Some(sequence) = batch.info.sequence {
                    // A hole just before it: the gate bumps the epoch once nothing is in flight.
                    self.partitions[id as usize].sequences.leave_hole(order.just_before(), sequence, true);
                }
                self.requeue(now, id, batch);
            }
            Verdict::Split => {
                batch.info.last_cause = Some(cause());
                self.split(now, id, batch);
            }
            Verdict::LeaveOut => {
                batch.info.last_cause = Some(cause());
                self.leave_out(now, id, batch, &answer);
                return;
            }
            Verdict::Fail { ambiguous } => {
                batch.info.maybe_written |= ambiguous;
                self.fail_batch(now, id, batch, &answer);
                return;
            }
            Verdict::Fatal | Verdict::NotAllowed | Verdict::Rebootstrap => unreachable!("a batch fails alone"),
        }
        self.schedule(now, id);
    }

    fn fail_batch(&mut self, now: Instant, id: u32, batch: SealedBatch, answer: &PartitionResponse) {
        let partition = &mut self.partitions[id as usize];
        if let Some(sequence) = batch.info.sequence {
            partition.sequences.leave_hole(batch.info.order, sequence, !batch.info.maybe_written);
        }
        let topic = Arc::clone(&self.topics[partition.topic].name);
        let (code, fate) = (answer.error_code, batch.info.fate());
        let error = match code {
            code::TOPIC_AUTHORIZATION_FAILED => {
                self.config.not_authorized("WRITE", format!("topic {topic}"), code, fate)
            }
            code::CLUSTER_AUTHORIZATION_FAILED => self.config.cluster_not_authorized(code, fate),
            _ => ProduceError::Broker {
                topic,
                partition: partition.index,
                code,
                message: answer.error_message.clone(),
                fate,
            },
        };
        self.complete(now, id, batch, Outcome::Failed(error));
        if matches!(code, code::PRODUCER_FENCED | code::TRANSACTIONAL_ID_AUTHORIZATION_FAILED) {
            self.refused_for_good(code);
        }
        self.schedule(now, id);
    }

    /// The broker does not know the batch's codec.
    fn fail_unsupported(&mut self, now: Instant, id: u32, order: Order, version: i16) {
        let Some(batch) = self.take_in_flight(id, order).and_then(|sent| sent.batch) else { return };
        let answer = PartitionResponse {
            error_code: code::UNSUPPORTED_COMPRESSION_TYPE,
            error_message: Some(format!("zstd needs Produce {ZSTD_SINCE}, the broker speaks {version}")),
            ..PartitionResponse::default()
        };
        self.fail_batch(now, id, batch, &answer);
    }

    /// A request with this batch went out and there will be no answer.
    pub(super) fn batch_unanswered(&mut self, now: Instant, id: u32, order: Order, cause: &str) {
        let Some(sent) = self.take_in_flight(id, order) else { return };
        match sent.batch {
            Some(mut batch) => {
                batch.info.maybe_written = true;
                batch.info.last_cause = Some(cause.to_owned());
                if self.config.acks == 0 || batch.info.attempts > self.config.retries {
                    let answer = PartitionResponse {
                        error_code: code::NETWORK_EXCEPTION,
                        error_message: Some(cause.to_owned()),
                        ..PartitionResponse::default()
                    };
                    self.fail_batch(now, id, batch, &answer);
                    return;
                }
                self.retry_later(now, id, batch);
            }
            None => {
                if let Some(sequence) = sent.sequence {
                    self.partitions[id as usize].sequences.leave_hole(order, sequence, false);
                }
            }
        }
        self.schedule(now, id);
    }

    fn retry_later(&mut self, now: Instant, id: u32, batch: SealedBatch) {
        let wait = self.retry_backoff().after(batch.info.attempts, &mut self.rng);
        let partition = &mut self.partitions[id as usize];
        let until = now + wait;
        partition.blocked_until = Some(partition.blocked_until.map_or(until, |before| before.max(until)));
        self.requeue(now, id, batch);
        self.expire(now, id);
    }

    /// Puts a batch that goes out once more back in its place.
    fn requeue(&mut self, now: Instant, id: u32, batch: SealedBatch) {
        let partition = &mut self.partitions[id as usize];
        let (topic, records) = (partition.topic, batch.info.count as u64);
        partition.requeue(batch);
        self.active.insert(id);
        self.batch_came_back(now);
        self.count_retry(now, topic, records);
    }

    fn complete(&mut self, now: Instant, id: u32, batch: SealedBatch, outcome: Outcome) {
        let partition = &mut self.partitions[id as usize];
        partition.blocked_until = partition.blocked_until.filter(|until| *until > now);
        self.end(now, batch.info, outcome);
    }

    fn take_in_flight(&mut self, id: u32, order: Order) -> Option<InFlight> {
        let in_flight = &mut self.partitions[id as usize].in_flight;
        let at = in_flight.iter().position(|sent| sent.order == order)?;
        Some(in_flight.remove(at))
    }
}
