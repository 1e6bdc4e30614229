//! One test for each rule of the design's "Idempotence, order, loss", and for each fault by itself.

mod order;
mod split;

use crate::check::Told;
use crate::cluster::{BatchFault, Cluster};
use crate::load::Planned;
use crate::network::RequestFault;
use crate::seeds::finish;
use crate::wire::COORDINATOR_LOAD_IN_PROGRESS;
use crate::world::World;
use pointsman::core::{CoreConfig, MemoryPool, Placement};
use pointsman::error::{Fate, ProduceError};
use pointsman::protocol::error_code as code;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

pub fn config() -> CoreConfig {
    CoreConfig {
        bootstrap: vec![("b1".to_owned(), 9092)],
        linger: Duration::ZERO,
        // Each record is a batch.
        batch_size: 0,
        request_timeout: SECOND,
        delivery_timeout: 30 * SECOND,
        retry_backoff: Duration::from_millis(50),
        retry_backoff_max: Duration::from_millis(500),
        connections_max_idle: 600 * SECOND,
        memory: MemoryPool::new(1 << 20),
        ..CoreConfig::default()
    }
}

/// Brokers that know topic `t`, whose partitions are all led by broker 1.
fn world(brokers: i32, partitions: i32, config: CoreConfig) -> World {
    let mut world = World::new(config, Cluster::new(brokers), 7);
    let topic = world.cluster.create_topic("t", partitions, &mut world.rng);
    world.cluster.topics[topic].partitions.iter_mut().for_each(|partition| partition.leader = 1);
    world.cluster.learn_all();
    world
}

impl World {
    fn plan_one(&mut self, partition: i32, key: Option<&[u8]>) -> u64 {
        let timestamp = crate::cluster::wall_ms(self.now);
        let (number, record) = self.load.record(key.map(<[u8]>::to_vec), Some(20), timestamp);
        let placement = Placement::Partition(partition);
        self.load.backlog.push_back(Planned { topic: "t".to_owned(), placement, number, record, accepted: None });
        number
    }

    /// Sends records to a partition of `t`; returns their numbers.
    fn send(&mut self, partition: i32, count: usize) -> Vec<u64> {
        let numbers = (0..count).map(|_| self.plan_one(partition, Some(b"k"))).collect();
        self.drain();
        numbers
    }

    fn settled(&mut self) {
        let end = self.now + 100 * SECOND;
        assert!(self.run_until(end, |world| world.load.is_over() && world.core().is_idle()), "{}", self.story());
    }

    fn told(&self, number: u64) -> Option<Told> {
        self.ledger.entries.get(&number)?.done.as_ref().map(|(_, told)| told.clone())
    }

    fn told_all(&self, numbers: &[u64]) -> Vec<Option<Told>> {
        numbers.iter().map(|number| self.told(*number)).collect()
    }

    /// (epoch, base sequence, records) of each batch in a partition's log.
    fn logged(&self, partition: usize) -> Vec<(i16, i32, usize)> {
        let batches = &self.cluster.topics[0].partitions[partition].log.batches;
        batches.iter().map(|batch| (batch.epoch, batch.base_sequence, batch.records.len())).collect()
    }

    pub fn story(&self) -> String {
        let lines = self.trace.lines.iter().chain(&self.violations);
        lines.map(String::as_str).collect::<Vec<_>>().join("\n")
    }

    /// Ends the run and applies every checker.
    fn finished(mut self) {
        finish(&mut self);
        assert!(self.violations.is_empty(), "{}", self.story());
    }
}

fn offsets(from: i64, count: i64) -> Vec<Option<Told>> {
    (from..from + count).map(|offset| Some(Told::Written(Some(offset)))).collect()
}

/// The request of this number meets this fault.
fn request_fault(world: &mut World, nth: usize, fault: RequestFault) {
    world.request_script = Some(Box::new(move |at| (at == nth).then_some(fault)));
}

/// The batch that comes to its partition as this one meets this fault.
fn batch_fault(world: &mut World, nth: usize, fault: BatchFault) {
    world.batch_script = Some(Box::new(move |at| (at == nth).then_some(fault)));
}

#[test]
fn lost_request() {
    let mut world = world(1, 1, config());
    request_fault(&mut world, 0, RequestFault::Lose);
    let sent = world.send(0, 3);
    world.settled();
    assert_eq!(world.told_all(&sent), offsets(0, 3));
    assert!(world.closed_for.iter().any(|why| why.contains("request.timeout.ms")), "{:?}", world.closed_for);
    world.finished();
}

#[test]
fn lost_response_written() {
    let mut world = world(1, 1, config());
    request_fault(&mut world, 0, RequestFault::LoseResponse);
    let sent = world.send(0, 3);
    world.settled();
    assert_eq!(world.told_all(&sent), offsets(0, 3), "the broker knows the duplicate and says where it stands");
    assert_eq!(world.logged(0).len(), 3);
    world.finished();
}

#[test]
fn lost_response_not_written() {
    let mut world = world(1, 1, config());
    request_fault(&mut world, 0, RequestFault::CutBefore);
    let sent = world.send(0, 3);
    world.settled();
    assert_eq!(world.told_all(&sent), offsets(0, 3));
    world.finished();
}

/// Each way in which five requests can be cut, with what has arrived of them written.
#[test]
fn disconnect_with_five_in_flight() {
    for fault in [RequestFault::CutBefore, RequestFault::CutAfter, RequestFault::LoseResponse, RequestFault::Lose] {
        for broken in 1..6 {
            let mut world = world(1, 1, config());
            let first = world.send(0, 1);
            world.settled();
            request_fault(&mut world, broken, fault);
            let sent = world.send(0, 8);
            world.run_for(Duration::from_micros(50));
            assert_eq!(world.connections.values().map(|connection| connection.produce_in_flight()).max(), Some(5));
            world.settled();
            assert_eq!(world.told_all(&first), offsets(0, 1));
            assert_eq!(world.told_all(&sent), offsets(1, 8), "{fault:?} at {broken}");
            world.finished();
        }
    }
}

/// What the client gave up on arrives when its successor is long written.
#[test]
fn given_up_request_arrives_late() {
    let mut world = world(1, 1, config());
    let sent = world.send(0, 1);
    world.settled();
    request_fault(&mut world, 1, RequestFault::ArriveLate(10 * SECOND));
    let late = world.send(0, 9);
    world.settled();
    assert_eq!(world.told_all(&sent), offsets(0, 1));
    assert_eq!(world.told_all(&late), offsets(1, 9));
    world.run_for(20 * SECOND);
    assert_eq!(world.logged(0).len(), 10);
    world.finished();
}

/// The old leader has appended and never gets it replicated; the new leader may have it or not.
#[test]
fn leader_moves_while_in_flight() {
    for kept in 0..4 {
        let mut world = world(3, 1, config());
        world.rates.replication_stalls = 1000;
        let sent = world.send(0, 3);
        // Without a success only the first batch is under way.
        let appended = |world: &World| !world.cluster.topics[0].partitions[0].log.batches.is_empty();
        let end = world.now + SECOND;
        assert!(world.run_until(end, appended), "{}", world.story());
        let kept = kept % 2;
        world.cluster.move_leader((0, 0), 2, kept);
        world.rates.replication_stalls = 0;
        world.cluster.learn_all();
        world.answer_waiting();
        world.settled();
        assert_eq!(world.told_all(&sent), offsets(0, 3));
        world.finished();
    }
}

/// KAFKA-15591: the broker takes any sequence from a producer it does not know. Were the second batch on its way when
/// the first fails, it would be written and the first never.
#[test]
fn fresh_topic_first_request_fails() {
    for refusal in [code::UNKNOWN_TOPIC_OR_PARTITION, code::NOT_LEADER_OR_FOLLOWER, code::NOT_ENOUGH_REPLICAS] {
        let mut world = world(1, 1, config());
        batch_fault(&mut world, 0, BatchFault::Refuse(refusal));
        let sent = world.send(0, 6);
        world.settled();
        assert_eq!(world.told_all(&sent), offsets(0, 6), "{}", code::name(refusal));
        assert_eq!(world.logged(0)[0], (0, 0, 1));
        world.finished();
    }
}

#[test]
fn unproven_partition_has_one_request_in_flight() {
    let mut world = world(1, 1, config());
    world.request_script = Some(Box::new(|_| Some(RequestFault::Delay(Duration::from_millis(20)))));
    world.send(0, 6);
    let end = world.now + SECOND;
    world.run_until(end, |world| world.produce_requests == 1);
    world.run_for(Duration::from_millis(10));
    assert_eq!(world.produce_requests, 1, "{}", world.story());
    world.settled();
    world.finished();
}

/// The broker forgets a producer that was silent for a day. The first request after that is like the first of all.
#[test]
fn silent_for_longer_than_the_broker_remembers() {
    let mut world = world(1, 1, config());
    world.send(0, 2);
    world.settled();
    world.run_for(25 * 3600 * SECOND);
    batch_fault(&mut world, 2, BatchFault::Refuse(code::NOT_ENOUGH_REPLICAS));
    let sent = world.send(0, 5);
    world.settled();
    assert_eq!(world.told_all(&sent), offsets(2, 5));
    world.finished();
}

#[test]
fn stale_metadata() {
    let mut world = world(3, 1, config());
    world.send(0, 1);
    world.settled();
    // Only the new leader knows: the old one takes batches that are lost when it learns.
    world.cluster.move_leader((0, 0), 2, 1);
    world.cluster.learn(2, (0, 0));
    let sent = world.send(0, 4);
    world.run_for(3 * SECOND);
    assert_eq!(world.told_all(&sent), vec![None; 4], "acknowledged by a leader that is none");
    world.cluster.learn_all();
    world.answer_waiting();
    world.settled();
    assert_eq!(world.told_all(&sent), offsets(1, 4));
    world.finished();
}

/// KIP-951: the answer names the new leader, and no metadata has to be asked for first.
#[test]
fn new_leader_from_the_answer() {
    let mut world = world(2, 1, config());
    world.send(0, 1);
    world.settled();
    world.cluster.move_leader((0, 0), 2, 1);
    world.cluster.learn_all();
    let before = world.metadata_requests;
    let start = world.now;
    let sent = world.send(0, 2);
    world.settled();
    assert_eq!(world.told_all(&sent), offsets(1, 2));
    assert_eq!(world.metadata_requests, before);
    assert!(world.now - start < Duration::from_millis(50), "took {:?}", world.now - start);
    world.finished();
}

#[test]
fn not_enough_replicas_before_append() {
    let mut world = world(1, 1, config());
    world.cluster.partition((0, 0)).enough_in_sync = false;
    let sent = world.send(0, 3);
    world.run_for(5 * SECOND);
    assert_eq!(world.told_all(&sent), vec![None; 3]);
    world.cluster.partition((0, 0)).enough_in_sync = true;
    world.settled();
    assert_eq!(world.told_all(&sent), offsets(0, 3));
    world.finished();
}

#[test]
fn not_enough_replicas_after_append() {
    let mut world = world(1, 1, config());
    batch_fault(&mut world, 0, BatchFault::AppendAndFail(code::NOT_ENOUGH_REPLICAS_AFTER_APPEND));
    let sent = world.send(0, 3);
    world.settled();
    assert_eq!(world.told_all(&sent), offsets(0, 3), "the same sequence again");
    assert_eq!(world.logged(0), [(0, 0, 1), (0, 1, 1), (0, 2, 1)]);
    world.finished();
}

/// Below min.insync.replicas for longer than delivery.timeout.ms: a timeout that says why, and life after it.
#[test]
fn not_enough_replicas_for_too_long() {
    let mut world = world(1, 1, CoreConfig { delivery_timeout: 3 * SECOND, ..config() });
    world.cluster.partition((0, 0)).enough_in_sync = false;
    let sent = world.send(0, 2);
    world.settled();
    let Some(Told::Failed(error)) = world.told(sent[0]) else { panic!("{}", world.story()) };
    assert!(matches!(error, ProduceError::Timeout { .. }), "{error}");
    assert!(error.to_string().contains("NOT_ENOUGH_REPLICAS"), "{error}");
    assert_eq!(error.fate(), Fate::NotWritten);
    world.cluster.partition((0, 0)).enough_in_sync = true;
    let sent = world.send(0, 2);
    world.settled();
    assert_eq!(world.told_all(&sent), offsets(0, 2));
    world.finished();
}

/// KAFKA-12152: a partition that is idle while the epoch is bumped starts the new epoch at 0 all the same.
#[test]
fn epoch_bump_reaches_idle_partition() {
    let mut world = world(1, 2, config());
    world.send(0, 1);
    world.send(1, 3);
    world.settled();
    batch_fault(&mut world, 1, BatchFault::Refuse(code::MESSAGE_TOO_LARGE));
    world.send(0, 2);
    world.settled();
    world.batch_script = None;
    let sent = world.send(1, 2);
    world.settled();
    assert_eq!(world.told_all(&sent), offsets(3, 2));
    assert_eq!(world.logged(0), [(0, 0, 1), (1, 0, 1)]);
    assert_eq!(world.logged(1), [(0, 0, 1), (0, 1, 1), (0, 2, 1), (1, 0, 1), (1, 1, 1)]);
    world.finished();
}

/// A refused batch with others behind it in flight: they are refused as out of order, numbered anew, and written.
#[test]
fn definite_failure_leaves_gap_epoch_bumped() {
    let mut world = world(1, 1, config());
    world.cluster.topics[0].compacted = true;
    world.send(0, 1);
    world.settled();
    let before = world.send(0, 1);
    let keyless = world.plan_one(0, None);
    let after = world.send(0, 6);
    world.settled();
    assert_eq!(world.told_all(&before), offsets(1, 1));
    let Some(Told::Failed(error)) = world.told(keyless) else { panic!("{}", world.story()) };
    assert!(
        matches!(error, ProduceError::Broker { code: code::INVALID_RECORD, fate: Fate::NotWritten, .. }),
        "{error}"
    );
    assert_eq!(world.told_all(&after), offsets(2, 6));
    let epochs: Vec<_> = world.logged(0).iter().map(|(epoch, sequence, _)| (*epoch, *sequence)).collect();
    assert_eq!(epochs, [(0, 0), (0, 1), (1, 0), (1, 1), (1, 2), (1, 3), (1, 4), (1, 5)]);
    world.finished();
}

/// A batch whose time ran out while its request hangs: what follows waits until the request's fate is known, and the
/// request must find itself fenced when it arrives after all.
#[test]
fn expired_batch_of_unknown_fate_blocks_followers() {
    let mut world = world(1, 1, CoreConfig { delivery_timeout: 2 * SECOND, request_timeout: 2 * SECOND, ..config() });
    world.send(0, 1);
    world.settled();
    request_fault(&mut world, 1, RequestFault::ArriveLate(8 * SECOND));
    let expires = world.send(0, 1);
    world.run_for(SECOND + SECOND / 2);
    let follows = world.send(0, 2);
    assert_eq!(world.produce_requests, 4, "they may follow while it is only slow");
    let end = world.now + 10 * SECOND;
    world.run_until(end, |world| world.told(expires[0]).is_some());
    let Some(Told::Failed(error)) = world.told(expires[0]) else { panic!("{}", world.story()) };
    assert_eq!(error.fate(), Fate::Unknown, "{error}");
    world.settled();
    let late = world.send(0, 1);
    world.settled();
    world.run_for(20 * SECOND);
    assert!(world.told_all(&late).iter().all(|told| matches!(told, Some(Told::Written(_)))), "{}", world.story());
    assert!(world.told_all(&follows).iter().all(Option::is_some));
    world.finished();
}

/// As above, seen from the wire: nothing of the partition leaves between the batch's expiry and its request's end.
#[test]
fn nothing_leaves_behind_an_expired_batch() {
    let mut world = world(1, 1, CoreConfig { delivery_timeout: SECOND + SECOND / 2, ..config() });
    world.send(0, 1);
    world.settled();
    world.request_script = Some(Box::new(|at| match at {
        1 => Some(RequestFault::Delay(SECOND * 9 / 10)),
        2 => Some(RequestFault::Lose),
        _ => None,
    }));
    // After a silence only one batch is under way: the second waits for the first before it is sent and lost.
    world.run_for(100 * SECOND);
    let expires = world.send(0, 2);
    world.run_for(SECOND * 8 / 5);
    assert!(matches!(world.told(expires[1]), Some(Told::Failed(_))), "{}", world.story());
    assert_eq!(world.produce_requests, 3);
    let follows = world.send(0, 2);
    world.run_for(SECOND / 10);
    assert_eq!(world.produce_requests, 3, "{}", world.story());
    world.settled();
    assert!(world.told_all(&follows).iter().all(|told| matches!(told, Some(Told::Written(_)))), "{}", world.story());
    world.finished();
}

/// The new leader is known while requests hang at the old one.
#[test]
fn one_leader_at_a_time() {
    for idempotence in [true, false] {
        let metadata_max_age = SECOND / 5;
        let mut world = world(2, 2, CoreConfig { idempotence, metadata_max_age, acks: -1, ..config() });
        world.cluster.partition((0, 1)).leader = 2;
        world.cluster.learn_all();
        world.send(0, 2);
        world.send(1, 1);
        world.settled();
        world.request_script = Some(Box::new(|at| (at == 3).then_some(RequestFault::Delay(SECOND * 4 / 5))));
        world.send(0, 2);
        world.run_for(SECOND / 10);
        world.cluster.move_leader((0, 0), 2, 2);
        world.cluster.learn_all();
        world.run_for(SECOND / 2);
        let connections = world.connections.values();
        assert_eq!(connections.map(|connection| connection.produce_in_flight()).sum::<usize>(), 2, "{}", world.story());
        // The checker of what leaves sees where else the partition is under way.
        world.send(0, 2);
        world.settled();
        world.finished();
    }
}

/// As above, but the request arrives, is written, and only its answer is lost: the follower goes on behind it.
#[test]
fn expired_batch_that_was_written() {
    let mut world = world(1, 1, CoreConfig { delivery_timeout: 2 * SECOND, request_timeout: 2 * SECOND, ..config() });
    world.send(0, 1);
    world.settled();
    request_fault(&mut world, 1, RequestFault::LoseResponse);
    let expires = world.send(0, 1);
    world.run_for(3 * SECOND);
    let Some(Told::Failed(error)) = world.told(expires[0]) else { panic!("{}", world.story()) };
    assert_eq!(error.fate(), Fate::Unknown, "{error}");
    let follows = world.send(0, 2);
    world.settled();
    assert_eq!(world.told_all(&follows), offsets(2, 2));
    world.finished();
}

#[test]
fn unknown_producer_id_resets() {
    let mut world = world(1, 1, config());
    world.send(0, 2);
    world.settled();
    batch_fault(&mut world, 2, BatchFault::Refuse(code::UNKNOWN_PRODUCER_ID));
    let sent = world.send(0, 3);
    world.settled();
    assert_eq!(world.told_all(&sent), offsets(2, 3));
    assert_eq!(world.logged(0)[2], (1, 0, 1), "a new epoch");
    world.finished();
}

#[test]
fn duplicate_sequence_is_success_without_offset() {
    let mut world = world(1, 1, config());
    request_fault(&mut world, 0, RequestFault::CutAfter);
    world.batch_script = Some(Box::new(|_| Some(BatchFault::OldDuplicate)));
    let sent = world.send(0, 2);
    world.settled();
    assert_eq!(world.told_all(&sent), [Some(Told::Written(None)), Some(Told::Written(Some(1)))]);
    world.finished();
}

/// A broker that restarts from a snapshot knows only the last batch of each producer. What it wrote before and answered
/// to nobody must not be written twice, nor be called unwritten.
#[test]
fn broker_forgets_all_but_the_last_batch() {
    let mut world = world(1, 1, config());
    world.send(0, 1);
    world.settled();
    request_fault(&mut world, 1, RequestFault::LoseResponse);
    let sent = world.send(0, 3);
    let end = world.now + SECOND / 2;
    world.run_until(end, |world| world.logged(0).len() == 4);
    let partition = world.cluster.partition((0, 0));
    partition.log.reload_snapshot();
    world.settled();
    for number in &sent {
        let told = world.told(*number);
        let honest = match &told {
            Some(Told::Failed(error)) => error.fate() == Fate::Unknown,
            told => matches!(told, Some(Told::Written(_))),
        };
        assert!(honest, "{number}: {told:?}\n{}", world.story());
    }
    let after = world.send(0, 2);
    world.settled();
    assert!(world.told_all(&after).iter().all(|told| matches!(told, Some(Told::Written(_)))), "{}", world.story());
    world.cluster.partition((0, 0)).producers_forgotten = true;
    world.finished();
}

/// DeleteRecords on old brokers, an unclean restart: the leader has the log and no longer knows who wrote it.
#[test]
fn broker_forgets_the_producer() {
    let mut world = world(1, 1, config());
    world.send(0, 2);
    world.settled();
    batch_fault(&mut world, 2, BatchFault::ForgetProducers);
    let sent = world.send(0, 5);
    world.settled();
    assert_eq!(world.told_all(&sent), offsets(2, 5));
    world.finished();
}

/// A batch that was written must not be called unwritten because a later attempt is refused for good.
#[test]
fn refused_after_an_attempt_of_unknown_fate() {
    let mut world = world(1, 1, config());
    request_fault(&mut world, 0, RequestFault::CutAfter);
    batch_fault(&mut world, 1, BatchFault::Refuse(code::TOPIC_AUTHORIZATION_FAILED));
    let sent = world.send(0, 1);
    world.settled();
    let Some(Told::Failed(error)) = world.told(sent[0]) else { panic!("{}", world.story()) };
    assert_eq!(error.fate(), Fate::Unknown, "{error}");
    world.batch_script = None;
    let sent = world.send(0, 2);
    world.settled();
    assert_eq!(world.told_all(&sent), offsets(1, 2));
    world.finished();
}

#[test]
fn throttle_obeyed() {
    let mut world = world(1, 1, config());
    world.throttle_next = Some(Duration::from_millis(700));
    world.send(0, 1);
    world.settled();
    let start = world.now;
    let sent = world.send(0, 1);
    world.settled();
    assert!(world.now - start >= Duration::from_millis(700), "took {:?}", world.now - start);
    assert_eq!(world.told_all(&sent), offsets(1, 1));
    world.finished();
}

#[test]
fn memory_full_while_closing() {
    let mut world =
        world(1, 3, CoreConfig { memory: MemoryPool::new(3_000), batch_size: 1_000, linger: 60 * SECOND, ..config() });
    world.send(0, 1);
    world.run_for(SECOND);
    for at in 1..200 {
        world.plan_one(at % 3, Some(b"k"));
    }
    world.drain();
    assert!(!world.load.backlog.is_empty());
    world.core().close(world.now);
    world.settled();
    assert_eq!(world.ledger.written(), 200);
    assert!(world.now.as_nanos() < 5_000_000_000, "nothing lingers");
    world.finished();
}

/// Records that linger for longer than anyone would wait go out when memory is needed.
#[test]
fn full_memory_ends_lingering() {
    let memory = MemoryPool::new(4_000);
    let mut world = world(1, 3, CoreConfig { memory, batch_size: 1_500, linger: 20 * SECOND, ..config() });
    world.send(0, 1);
    world.run_for(SECOND);
    for at in 0..100 {
        world.plan_one(at % 3, Some(b"k"));
    }
    let end = world.now + 10 * SECOND;
    assert!(world.run_until(end, |world| world.load.backlog.is_empty()), "{}", world.story());
    world.finished();
}

#[test]
fn topic_never_appears() {
    let mut world = world(1, 1, config());
    let timestamp = crate::cluster::wall_ms(world.now);
    let (number, record) = world.load.record(None, Some(20), timestamp);
    let placement = Placement::Default;
    world.load.backlog.push_back(Planned { topic: "nowhere".to_owned(), placement, number, record, accepted: None });
    world.run_for(60 * SECOND);
    assert!(world.core().is_idle());
    assert!((10..300).contains(&world.metadata_requests), "asked {} times", world.metadata_requests);
    assert!(world.core().topic_trouble("nowhere").is_some_and(|why| why.contains("UNKNOWN_TOPIC_OR_PARTITION")));
    world.core().forget("nowhere");
    let asked = world.metadata_requests;
    world.run_for(60 * SECOND);
    assert!(world.metadata_requests <= asked + 2, "asked on for what nobody waits for");
    world.finished();
}

#[test]
fn topic_is_created_on_demand() {
    let mut world = world(3, 1, config());
    world.cluster.auto_create = true;
    world.rates.stale_ms = 500;
    for _ in 0..20 {
        let (number, record) = world.load.record(None, Some(20), 1_760_000_000_000);
        let placement = Placement::Default;
        world.load.backlog.push_back(Planned { topic: "new".to_owned(), placement, number, record, accepted: None });
    }
    world.settled();
    assert_eq!(world.ledger.written(), 20);
    world.finished();
}

#[test]
fn topic_made_anew() {
    // Before Metadata 10 a topic has no id and nobody can tell.
    for versions in [13, 12] {
        let mut world = world(1, 1, CoreConfig { metadata_max_age: 5 * SECOND, ..config() });
        world.cluster.brokers.get_mut(&1).unwrap().versions = crate::cluster::versions(versions);
        world.send(0, 3);
        world.settled();
        world.cluster.topics[0].exists = false;
        let again = world.cluster.create_topic("t", 1, &mut world.rng);
        world.cluster.learn_all();
        // Named by id: the broker no longer knows it. By name: any sequence will do for a new log.
        batch_fault(&mut world, if versions == 13 { 4 } else { 3 }, BatchFault::Refuse(code::NOT_ENOUGH_REPLICAS));
        world.run_for(6 * SECOND);
        let sent = world.send(0, 3);
        world.settled();
        assert_eq!(world.told_all(&sent), offsets(0, 3), "with Produce {versions}: {}", world.story());
        assert_eq!(world.cluster.topics[again].partitions[0].log.batches.len(), 3);
        // What was written to the first one is gone with it, rightly.
        finish_without_the_log(world);
    }
}

fn finish_without_the_log(mut world: World) {
    world.cluster.topics.clear();
    finish(&mut world);
    assert!(world.violations.is_empty(), "{}", world.story());
}

#[test]
fn request_timeout_disconnects() {
    let mut world = world(1, 2, config());
    world.send(0, 1);
    world.send(1, 1);
    world.settled();
    let start = world.now;
    request_fault(&mut world, 2, RequestFault::Lose);
    let lost = world.send(0, 1);
    let neighbour = world.send(1, 1);
    let end = world.now + 5 * SECOND;
    assert!(world.run_until(end, |world| !world.closed_for.is_empty()));
    assert!(world.closed_for[0].contains("b1:9092") && world.closed_for[0].contains("request.timeout.ms"));
    assert!(
        (SECOND..SECOND + Duration::from_millis(50)).contains(&(world.now - start)),
        "after {:?}",
        world.now - start
    );
    world.settled();
    assert_eq!(world.told_all(&lost), offsets(1, 1));
    assert_eq!(world.told_all(&neighbour), offsets(1, 1));
    world.finished();
}

#[test]
fn producer_id_is_asked_for_again() {
    let mut world = world(1, 1, config());
    world.init_refusals = vec![COORDINATOR_LOAD_IN_PROGRESS; 3].into();
    let sent = world.send(0, 2);
    world.settled();
    assert_eq!(world.told_all(&sent), offsets(0, 2));
    world.finished();
}

#[test]
fn producer_id_refused_until_it_is_allowed() {
    let mut world = world(1, 2, config());
    world.init_refusals = vec![code::CLUSTER_AUTHORIZATION_FAILED; 2].into();
    let mut refused = world.send(0, 2);
    // It was asked for before there was anything to send; the next attempts wait for records.
    world.run_for(60 * SECOND);
    assert_eq!(world.init_refusals.len(), 1, "without a record nobody asks");
    refused.extend(world.send(1, 1));
    world.settled();
    for sent in refused {
        let Some(Told::Failed(error)) = world.told(sent) else { panic!("{}", world.story()) };
        let words = "User:ANONYMOUS may not IDEMPOTENT_WRITE on the cluster: the broker answered CLUSTER_AUTHORIZATION";
        assert!(error.to_string().starts_with(words), "{error}");
        assert_eq!(error.fate(), Fate::NotWritten);
    }
    let sent = world.send(0, 2);
    world.settled();
    assert_eq!(world.told_all(&sent), offsets(0, 2), "allowed while it ran");
    world.finished();
}

/// Brokers before 2.8 refuse the batch itself (KIP-679).
#[test]
fn batch_refused_for_the_cluster() {
    let mut world = world(1, 2, config());
    world.batch_script =
        Some(Box::new(|nth| (nth == 0).then_some(BatchFault::Refuse(code::CLUSTER_AUTHORIZATION_FAILED))));
    let refused = world.send(0, 1);
    world.settled();
    world.batch_script = None;
    let Some(Told::Failed(error)) = world.told(refused[0]) else { panic!("{}", world.story()) };
    assert!(error.to_string().contains("IDEMPOTENT_WRITE on the cluster"), "{error}");
    let (same, other) = (world.send(0, 2), world.send(1, 2));
    world.settled();
    assert_eq!((world.told_all(&same), world.told_all(&other)), (offsets(0, 2), offsets(0, 2)));
    world.finished();
}

#[test]
fn nothing_is_known_with_acks_zero() {
    let mut world = world(1, 1, CoreConfig { acks: 0, idempotence: false, ..config() });
    let sent = world.send(0, 3);
    world.settled();
    assert_eq!(world.told_all(&sent), vec![Some(Told::Written(None)); 3]);
    world.finished();
}

#[test]
fn broker_dies_and_comes_back() {
    let mut world = world(3, 4, CoreConfig { batch_size: 1_000, ..config() });
    world.load.topics.push(("t".to_owned(), 4));
    world.begin_load(3_000);
    for at in 0..12 {
        world.run_for(SECOND / 4);
        world.crash(1 + at % 3);
    }
    let end = world.now + 100 * SECOND;
    world.run_until(end, |world| world.load.is_over() && world.core().is_idle());
    assert!(world.ledger.failed() == 0, "{} failed\n{}", world.ledger.failed(), world.story());
    world.finished();
}

/// A topic that nobody used had lost its leader when it was asked for last, and is asked for anew when it is used again.
#[test]
fn a_topic_that_was_idle_is_asked_for_when_it_is_used() {
    let idle = 5 * SECOND;
    let mut world = world(2, 1, CoreConfig { metadata_max_idle: idle, metadata_max_age: 300 * SECOND, ..config() });
    world.send(0, 1);
    world.settled();
    world.cluster.move_leader((0, 0), -1, 1);
    world.cluster.learn_all();
    for id in world.connections.keys().copied().collect::<Vec<_>>() {
        world.cut(id);
    }
    world.run_for(20 * SECOND);
    world.cluster.move_leader((0, 0), 2, 1);
    world.cluster.learn_all();
    world.run_for(SECOND);
    let start = world.now;
    let sent = world.send(0, 2);
    world.settled();
    assert_eq!(world.told_all(&sent), offsets(1, 2));
    assert!(world.now - start < SECOND, "took {:?}", world.now - start);
    world.finished();
}

/// Whoever waits for nothing costs nothing: an idle producer only refreshes its metadata.
#[test]
fn idle_is_quiet() {
    let mut world = world(3, 4, config());
    world.send(0, 1);
    world.settled();
    let before = world.events;
    world.run_for(3_600 * SECOND);
    assert!(world.events - before < 300, "{} events in an idle hour", world.events - before);
    world.finished();
}

/// One request for what is appended within linger.ms.
#[test]
fn lingering_gathers_a_batch() {
    let mut world = world(1, 1, CoreConfig { batch_size: 16_384, linger: Duration::from_millis(1), ..config() });
    let sent = world.send(0, 50);
    world.settled();
    assert_eq!(world.told_all(&sent), offsets(0, 50));
    assert_eq!(world.logged(0), [(0, 0, 50)]);
    world.finished();
}
