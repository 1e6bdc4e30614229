//! A cluster of brokers on virtual time, written from Kafka's own behaviour and not from the producer's code, so that
//! it can contradict it. Replication, leadership and metadata travel with delay: each broker acts on what it has
//! learned (its `view`), also a leader that was deposed and does not know it yet.

use crate::batch::{Batch, StoredRecord};
use crate::coordinators::{Asking, Coordinators};
use crate::log::{Log, Marker};
use crate::rng::Rng;
use pointsman::core::time::Instant;
use pointsman::protocol::error_code as code;
use pointsman::protocol::messages::{
    ApiVersions, Broker as Address, InitProducerIdRequest, InitProducerIdResponse, MetadataRequest, MetadataResponse,
    PartitionMetadata, PartitionResponse, TopicId, TopicMetadata,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

pub type BrokerId = i32;

/// A partition: position of its topic in the cluster, and its number.
pub type Tp = (usize, i32);

/// Milliseconds since the Unix epoch at virtual time zero.
pub const WALL_ORIGIN_MS: i64 = 1_760_000_000_000;

pub fn wall_ms(now: Instant) -> i64 {
    WALL_ORIGIN_MS + (now.as_nanos() / 1_000_000) as i64
}

pub struct Cluster {
    pub brokers: BTreeMap<BrokerId, Broker>,
    pub topics: Vec<Topic>,
    pub next_producer_id: i64,
    /// The epochs that the next producer ids come with; 0 behind them.
    pub first_epochs: VecDeque<i16>,
    pub auto_create: bool,
    pub coordinators: Coordinators,
    /// Records that brokers took which do not ask, although the coordinator knew nothing of them: they may hang, or become
    /// visible with what comes behind them (KAFKA-14402).
    pub astray: BTreeSet<u64>,
    /// A batch that was long written came again, after its transaction: the leader asked about it in vain, and from then on
    /// takes nothing of the next transaction that has a higher sequence, until that is aborted.
    pub stale_verification: bool,
    /// `producer.id.expiration.ms`.
    pub producer_id_expiration_ms: i64,
    /// How often a cached duplicate was answered in old brokers' words.
    pub old_duplicates: u64,
    /// Whether a batch that was appended was answered with an error: it is told of behind those after it.
    pub failed_after_append: bool,
    /// What the producer did that no correct producer does.
    pub violations: Vec<String>,
}

pub struct Broker {
    pub host: String,
    pub port: u16,
    pub up: bool,
    pub versions: ApiVersions,
    /// What this broker has learned: leader (−1 for none), leader epoch, topic id.
    pub view: BTreeMap<Tp, View>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    pub leader: BrokerId,
    pub epoch: i32,
    pub id: TopicId,
}

pub struct Topic {
    pub name: Arc<str>,
    pub id: TopicId,
    pub exists: bool,
    /// `max.message.bytes`.
    pub max_message_bytes: usize,
    /// `cleanup.policy=compact`: records without a key are refused one by one (KIP-467).
    pub compacted: bool,
    pub authorized: bool,
    pub partitions: Vec<Partition>,
}

pub struct Partition {
    pub leader: BrokerId,
    pub epoch: i32,
    pub log: Log,
    /// First offset that is not on all replicas in sync.
    pub high_watermark: i64,
    pub enough_in_sync: bool,
    /// Logs of deposed leaders that do not know it yet: what they take is lost when they learn it.
    ghosts: BTreeMap<BrokerId, Log>,
    /// Records that stood in a log that a change of leader cut off; they may stand in the present one too. Only acks
    /// other than all may lose acknowledged ones.
    pub truncated: Vec<StoredRecord>,
    /// Something happened after which Kafka cannot keep its promise: producer state was lost.
    pub producers_forgotten: bool,
}

/// What becomes of one batch.
#[derive(Clone, Debug)]
pub enum Slot {
    Answer(PartitionResponse),
    /// Appended; the answer is this once it is on all replicas in sync.
    Replicating {
        tp: Tp,
        epoch: i32,
        end_offset: i64,
        answer: PartitionResponse,
    },
}

/// A fault of the broker's own, for one batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchFault {
    /// Answer this and append nothing.
    Refuse(i16),
    /// Append, then answer this.
    AppendAndFail(i16),
    /// Answer a cached duplicate in old brokers' words: DUPLICATE_SEQUENCE_NUMBER instead of success and the offset.
    OldDuplicate,
    /// Forget every producer of the partition first, then go on.
    ForgetProducers,
    /// The coordinator takes the partition into the transaction, and its word does not reach the leader.
    LoseVerification,
}

impl Cluster {
    pub fn new(brokers: i32) -> Cluster {
        let brokers = (1..=brokers).map(|id| {
            let broker =
                Broker { host: format!("b{id}"), port: 9092, up: true, versions: versions(13), view: BTreeMap::new() };
            (id, broker)
        });
        Cluster {
            brokers: brokers.collect(),
            topics: Vec::new(),
            next_producer_id: 4000,
            first_epochs: VecDeque::new(),
            auto_create: false,
            coordinators: Coordinators::default(),
            astray: BTreeSet::new(),
            stale_verification: false,
            producer_id_expiration_ms: 86_400_000,
            old_duplicates: 0,
            failed_after_append: false,
            violations: Vec::new(),
        }
    }

    /// A topic that no broker has heard of yet: see [`Cluster::learn`].
    pub fn create_topic(&mut self, name: &str, partitions: i32, rng: &mut Rng) -> usize {
        let ids: Vec<BrokerId> = self.brokers.keys().copied().collect();
        let partition = |_| Partition {
            leader: *rng.pick(&ids),
            epoch: 0,
            log: Log::default(),
            high_watermark: 0,
            enough_in_sync: true,
            ghosts: BTreeMap::new(),
            truncated: Vec::new(),
            producers_forgotten: false,
        };
        let partitions = (0..partitions).map(partition).collect();
        let mut id = [0; 16];
        id[..8].copy_from_slice(&(self.topics.len() as u64 + 1).to_be_bytes());
        id[15] = 1;
        self.topics.push(Topic {
            name: name.into(),
            id,
            exists: true,
            max_message_bytes: 1_048_588,
            compacted: false,
            authorized: true,
            partitions,
        });
        self.topics.len() - 1
    }

    /// A broker learns the truth about a partition as of now. A deposed leader drops what only it had.
    pub fn learn(&mut self, broker: BrokerId, tp: Tp) {
        let (topic, number) = tp;
        let id = self.topics[topic].id;
        let partition = &mut self.topics[topic].partitions[number as usize];
        let view = View { leader: partition.leader, epoch: partition.epoch, id };
        partition.bury(broker);
        if let Some(broker) = self.brokers.get_mut(&broker) {
            broker.view.insert(tp, view);
        }
    }

    pub fn learn_all(&mut self) {
        for broker in self.brokers.keys().copied().collect::<Vec<_>>() {
            for tp in self.partitions() {
                self.learn(broker, tp);
            }
        }
    }

    pub fn partitions(&self) -> Vec<Tp> {
        let of = |(at, topic): (usize, &Topic)| (0..topic.partitions.len() as i32).map(move |number| (at, number));
        self.topics.iter().enumerate().filter(|(_, topic)| topic.exists).flat_map(of).collect()
    }

    pub fn partition(&mut self, tp: Tp) -> &mut Partition {
        &mut self.topics[tp.0].partitions[tp.1 as usize]
    }

    /// Another broker leads from now on. `kept` is where its log ends: not below the high watermark.
    pub fn move_leader(&mut self, tp: Tp, to: BrokerId, kept: i64) {
        let partition = self.partition(tp);
        let from = partition.leader;
        assert!(kept >= partition.high_watermark, "an unclean election is no fault of the producer's");
        partition.bury(from);
        if from >= 0 && from != to {
            partition.ghosts.insert(from, partition.log.clone());
        }
        let dropped = partition.log.truncate(kept);
        partition.truncated.extend(dropped.into_iter().flat_map(|batch| batch.records));
        partition.leader = to;
        partition.epoch += 1;
        // A leader that comes back is no ghost of itself.
        partition.bury(to);
    }

    /// A broker dies: what it had learned and what only it had is gone, and nobody else has heard of it yet.
    pub fn crash(&mut self, broker: BrokerId) {
        for tp in self.partitions() {
            self.partition(tp).bury(broker);
        }
        if let Some(broker) = self.brokers.get_mut(&broker) {
            broker.up = false;
            broker.view.clear();
        }
    }

    /// One batch of a Produce request, in ReplicaManager's and UnifiedLog's order of checks.
    pub fn produce(
        &mut self,
        now: Instant,
        broker: BrokerId,
        request: Producing<'_>,
        named: &Named,
        batch: Result<Batch, String>,
        fault: Option<BatchFault>,
    ) -> Slot {
        let acks = request.acks;
        let answer = named.answer();
        let refuse = |error_code| Slot::Answer(PartitionResponse { error_code, ..answer.clone() });
        let batch = match batch {
            Ok(batch) => batch,
            Err(why) => {
                self.violations.push(format!("{named:?}: a broken batch: {why}"));
                return refuse(code::CORRUPT_MESSAGE);
            }
        };
        let Some(tp) = self.resolve(broker, named) else {
            return refuse(if named.by_id() { code::UNKNOWN_TOPIC_ID } else { code::UNKNOWN_TOPIC_OR_PARTITION });
        };
        if !self.topics[tp.0].authorized {
            return refuse(code::TOPIC_AUTHORIZATION_FAILED);
        }
        if let Some(BatchFault::Refuse(error_code)) = fault {
            return refuse(error_code);
        }
        let view = self.brokers[&broker].view[&tp];
        if view.leader != broker {
            let current_leader = (view.leader, view.epoch);
            let answer = PartitionResponse { error_code: code::NOT_LEADER_OR_FOLLOWER, current_leader, ..answer };
            return Slot::Answer(answer);
        }
        let verified = match self.verify_in_transaction(now, broker, request, tp, &batch, fault) {
            Ok(verified) => verified,
            Err(error_code) => return refuse(error_code),
        };
        let expiration = self.producer_id_expiration_ms;
        let (max_message_bytes, compacted) = (self.topics[tp.0].max_message_bytes, self.topics[tp.0].compacted);
        let partition = self.partition(tp);
        if acks == -1 && !partition.enough_in_sync {
            return refuse(code::NOT_ENOUGH_REPLICAS);
        }
        if batch.size > max_message_bytes {
            return refuse(code::MESSAGE_TOO_LARGE);
        }
        let keyless = |(at, record): (usize, &StoredRecord)| {
            let why = "Compacted topic cannot accept message without key".to_owned();
            record.key.is_none().then_some((at as i32, Some(why)))
        };
        let record_errors: Vec<_> = batch.records.iter().enumerate().filter_map(keyless).collect();
        if compacted && !record_errors.is_empty() {
            let error_message = Some("One or more records have been rejected".to_owned());
            let answer = PartitionResponse { error_code: code::INVALID_RECORD, record_errors, error_message, ..answer };
            return Slot::Answer(answer);
        }
        if fault == Some(BatchFault::ForgetProducers) {
            partition.log.forget_producers();
            partition.producers_forgotten = true;
        }
        let (current, own_epoch) = (partition.leader == broker && partition.epoch == view.epoch, view.epoch);
        let log = partition.log_at(broker, current);
        log.expire_producers(wall_ms(now), expiration);
        let appended = match log.append(batch, verified) {
            Ok(appended) => appended,
            Err(error_code) => return refuse(error_code),
        };
        if let Some(BatchFault::AppendAndFail(error_code)) = fault {
            self.failed_after_append = true;
            return refuse(error_code);
        }
        let answer = if appended.duplicate && fault == Some(BatchFault::OldDuplicate) {
            self.old_duplicates += 1;
            PartitionResponse { error_code: code::DUPLICATE_SEQUENCE_NUMBER, ..answer }
        } else {
            PartitionResponse {
                base_offset: appended.base_offset,
                log_append_time: appended.log_append_time,
                log_start_offset: 0,
                ..answer
            }
        };
        match acks {
            -1 => Slot::Replicating { tp, epoch: own_epoch, end_offset: appended.end_offset, answer },
            _ => Slot::Answer(answer),
        }
    }

    /// ReplicaManager.maybeSendPartitionsToTransactionCoordinator: before a partition's first batch of a transaction, its
    /// leader asks the coordinator whether it is part of that, or, with V2, has it made so.
    fn verify_in_transaction(
        &mut self,
        now: Instant,
        broker: BrokerId,
        request: Producing<'_>,
        tp: Tp,
        batch: &Batch,
        fault: Option<BatchFault>,
    ) -> Result<bool, i16> {
        if !batch.transactional {
            return Ok(false);
        }
        let (adds, verifies) = (request.version >= 12, self.coordinators.verifies);
        let epoch = self.brokers[&broker].view[&tp].epoch;
        let partition = self.partition(tp);
        let current = partition.leader == broker && partition.epoch == epoch;
        let log = partition.log_at(broker, current);
        let is_open = log.has_open(batch.producer_id, batch.epoch);
        if is_open && (adds || verifies) {
            return Ok(false);
        }
        if adds || verifies {
            log.begin_verification(batch, adds)?;
        }
        let is_stale = !adds && log.is_behind(batch);
        let partition = (Arc::clone(&self.topics[tp.0].name), tp.1);
        let asking = Asking { producer_id: batch.producer_id, epoch: batch.epoch };
        let id = request.transactional_id.unwrap_or_default();
        if !adds && !verifies {
            if self.coordinators.verify_partition(id, asking, &partition) != code::NONE {
                self.astray.extend(batch.records.iter().filter_map(crate::check::number_of));
            }
            return Ok(true);
        }
        let mut error = if self.coordinator_of_transactions(id).is_some_and(|at| at.loaded <= now) {
            match adds {
                true => self.coordinators.add_partitions(id, asking, &[partition]),
                false => self.coordinators.verify_partition(id, asking, &partition),
            }
        } else {
            code::COORDINATOR_NOT_AVAILABLE
        };
        if fault == Some(BatchFault::LoseVerification) {
            error = code::NETWORK_EXCEPTION;
        }
        self.stale_verification |= is_stale && error != code::NONE;
        match error {
            0 => Ok(true),
            code::PRODUCER_FENCED => Err(code::INVALID_PRODUCER_EPOCH),
            code::TRANSACTION_ABORTABLE if request.version <= 10 => Err(code::INVALID_TXN_STATE),
            // Older clients know these as errors of coordinators only.
            code::NETWORK_EXCEPTION
            | code::COORDINATOR_LOAD_IN_PROGRESS
            | code::COORDINATOR_NOT_AVAILABLE
            | code::NOT_COORDINATOR => Err(code::NOT_ENOUGH_REPLICAS),
            code::CONCURRENT_TRANSACTIONS if !adds => Err(code::NOT_ENOUGH_REPLICAS),
            error => Err(error),
        }
    }

    /// WriteTxnMarkers, from the coordinator to a partition's leader. Whether there is nothing more to do: of a topic that
    /// is gone nothing is, and a partition without a leader or without replicas takes it later.
    pub fn write_marker(&mut self, now: Instant, at: &(Arc<str>, i32), asking: Asking, marker: Marker) -> bool {
        let found = self.topics.iter().position(|topic| topic.exists && topic.name == at.0);
        let Some(topic) = found.filter(|topic| (at.1 as usize) < self.topics[*topic].partitions.len()) else {
            return true;
        };
        let partition = self.partition((topic, at.1));
        if partition.leader < 0 || !partition.enough_in_sync {
            return false;
        }
        partition.log.append_marker(asking.producer_id, asking.epoch, wall_ms(now), marker);
        // Its answer waits for the replicas; what stands before it is on them by then.
        partition.high_watermark = partition.log.end_offset();
        true
    }

    /// DelayedProduce: the answer to a batch that waits for its replicas, if it can be given now.
    pub fn replicated(&mut self, broker: BrokerId, slot: &Slot) -> Option<PartitionResponse> {
        let Slot::Replicating { tp, epoch, end_offset, answer } = slot else { return None };
        let view = self.brokers[&broker].view[tp];
        if view.leader != broker || view.epoch != *epoch {
            // The batch may well be on the new leader.
            self.failed_after_append = true;
            let current_leader = (view.leader, view.epoch);
            return Some(PartitionResponse {
                error_code: code::NOT_LEADER_OR_FOLLOWER,
                current_leader,
                ..answer.clone()
            });
        }
        let partition = self.partition(*tp);
        if partition.epoch != *epoch || partition.high_watermark < *end_offset {
            return None;
        }
        if !partition.enough_in_sync {
            self.failed_after_append = true;
            return Some(PartitionResponse { error_code: code::NOT_ENOUGH_REPLICAS_AFTER_APPEND, ..answer.clone() });
        }
        Some(answer.clone())
    }

    /// The followers have everything below `end_offset`, if the leader of `epoch` still leads.
    pub fn replicate(&mut self, tp: Tp, epoch: i32, end_offset: i64) {
        let partition = self.partition(tp);
        if partition.epoch == epoch {
            partition.high_watermark = partition.high_watermark.max(end_offset.min(partition.log.end_offset()));
        }
    }

    pub fn metadata(&mut self, broker: BrokerId, version: i16, request: &MetadataRequest) -> MetadataResponse {
        let live = |(id, broker): (&BrokerId, &Broker)| broker.up.then(|| address(*id, broker));
        let brokers = self.brokers.iter().filter_map(live).collect();
        let topics = request.topics.iter().map(|name| self.topic_metadata(broker, version, name)).collect();
        let controller_id = *self.brokers.keys().next().unwrap();
        MetadataResponse {
            throttle_time_ms: 0,
            brokers,
            cluster_id: Some("sim".to_owned()),
            controller_id,
            topics,
            error_code: 0,
        }
    }

    fn topic_metadata(&self, broker: BrokerId, version: i16, name: &str) -> TopicMetadata {
        let view = &self.brokers[&broker].view;
        let known = |(at, topic): &(usize, &Topic)| {
            &*topic.name == name && view.get(&(*at, 0)).is_some_and(|view| view.id == topic.id)
        };
        let found = self.topics.iter().enumerate().filter(|(_, topic)| topic.exists).find(known);
        let Some((at, topic)) = found else {
            let error_code = code::UNKNOWN_TOPIC_OR_PARTITION;
            return TopicMetadata { error_code, name: name.to_owned(), id: [0; 16], partitions: Vec::new() };
        };
        let partition = |((_, number), view): (&Tp, &View)| PartitionMetadata {
            error_code: if view.leader < 0 { code::LEADER_NOT_AVAILABLE } else { 0 },
            index: *number,
            leader: view.leader,
            leader_epoch: if version >= 7 { view.epoch } else { -1 },
        };
        TopicMetadata {
            error_code: 0,
            name: name.to_owned(),
            id: if version >= 10 { topic.id } else { [0; 16] },
            partitions: view.range((at, 0)..(at + 1, 0)).map(partition).collect(),
        }
    }

    /// A new id each time: without a transactional id the broker does not look at the one that is passed.
    pub fn init_producer_id(&mut self, _request: &InitProducerIdRequest) -> InitProducerIdResponse {
        self.next_producer_id += 1;
        InitProducerIdResponse {
            throttle_time_ms: 0,
            error_code: 0,
            producer_id: self.next_producer_id,
            producer_epoch: self.first_epochs.pop_front().unwrap_or(0),
        }
    }

    pub fn address(&self, id: BrokerId) -> Option<Address> {
        self.brokers.get(&id).map(|broker| address(id, broker))
    }

    /// Which partition is meant, as far as this broker knows.
    pub fn resolve(&self, broker: BrokerId, named: &Named) -> Option<Tp> {
        let view = &self.brokers[&broker].view;
        let means = |(at, topic): &(usize, &Topic)| {
            let same = if named.by_id() { topic.id == named.id } else { *topic.name == *named.name };
            same && topic.exists && view.get(&(*at, named.index)).is_some_and(|view| view.id == topic.id)
        };
        let (at, _) = self.topics.iter().enumerate().find(means)?;
        Some((at, named.index))
    }
}

impl Partition {
    /// Every record that stands in its log, or ever stood in that of a leader.
    pub fn ever_held(&self) -> impl Iterator<Item = &StoredRecord> {
        let logs = self.ghosts.values().chain([&self.log]);
        logs.flat_map(|log| &log.batches).flat_map(|batch| &batch.records).chain(&self.truncated)
    }

    /// The log that a broker which takes itself for the leader writes to.
    fn log_at(&mut self, broker: BrokerId, current: bool) -> &mut Log {
        match current {
            true => &mut self.log,
            false => self.ghosts.entry(broker).or_insert_with(|| self.log.clone()),
        }
    }

    /// A deposed leader gives up its own log, and with it the records that only it had.
    fn bury(&mut self, broker: BrokerId) {
        if let Some(ghost) = self.ghosts.remove(&broker) {
            self.truncated.extend(ghost.batches.into_iter().flat_map(|batch| batch.records));
        }
    }
}

/// What a Produce request says of all its batches.
#[derive(Clone, Copy, Debug)]
pub struct Producing<'a> {
    pub version: i16,
    pub acks: i16,
    pub transactional_id: Option<&'a str>,
}

/// A partition as a Produce request names it.
#[derive(Clone, Debug)]
pub struct Named {
    pub version: i16,
    pub name: Arc<str>,
    pub id: TopicId,
    pub index: i32,
}

impl Named {
    fn by_id(&self) -> bool {
        self.version >= 13
    }

    fn answer(&self) -> PartitionResponse {
        PartitionResponse {
            topic: if self.by_id() { String::new() } else { self.name.to_string() },
            topic_id: if self.by_id() { self.id } else { [0; 16] },
            index: self.index,
            error_code: 0,
            base_offset: -1,
            log_append_time: -1,
            log_start_offset: -1,
            record_errors: Vec::new(),
            error_message: None,
            current_leader: (-1, -1),
        }
    }
}

/// What a broker speaks whose highest Produce is `produce`; the rest is of the same age.
pub fn versions(produce: i16) -> ApiVersions {
    let (metadata, init) = match produce {
        13.. => (13, 5),
        11..=12 => (12, 5),
        9..=10 => (12, 4),
        8 => (9, 3),
        7 => (7, 1),
        _ => (5, 0),
    };
    // FindCoordinator, AddPartitionsToTxn, AddOffsetsToTxn, EndTxn, TxnOffsetCommit.
    let [find, partitions, offsets, end, commit] = match produce {
        12.. => [6, 5, 4, 5, 5],
        11 => [5, 5, 4, 4, 4],
        9..=10 => [4, 4, 3, 3, 3],
        8 => [3, 2, 2, 2, 3],
        7 => [2, 1, 1, 1, 2],
        _ => [1, 0, 0, 0, 0],
    };
    ApiVersions {
        apis: vec![
            (0, 3..=produce),
            (3, 1..=metadata),
            (10, 0..=find),
            (18, 0..=4),
            (22, 0..=init),
            (24, 0..=partitions),
            (25, 0..=offsets),
            (26, 0..=end),
            (28, 0..=commit),
        ],
        ..ApiVersions::default()
    }
}

/// Takes out of an answer what its version does not carry.
pub fn fit(answer: &mut PartitionResponse, version: i16) {
    if version < 5 {
        answer.log_start_offset = -1;
    }
    if version < 8 {
        answer.record_errors.clear();
        answer.error_message = None;
    }
    if version < 10 {
        answer.current_leader = (-1, -1);
    }
}

/// Tells records apart: every record of a run carries its number in value or headers.
pub fn fingerprint(record: &StoredRecord) -> Vec<u8> {
    let header = record.headers.iter().find(|(name, _)| name == b"number");
    match (header, &record.value) {
        (Some((_, Some(number))), _) => number.clone(),
        (_, Some(value)) => value[..value.len().min(8)].to_vec(),
        _ => Vec::new(),
    }
}

fn address(id: BrokerId, broker: &Broker) -> Address {
    Address { id, host: broker.host.clone(), port: broker.port, rack: None }
}
