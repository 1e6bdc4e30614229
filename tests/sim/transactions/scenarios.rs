//! One test for each thing that a transaction promises, and for each bug that the seeds found. Where the protocols differ both
//! are tried.

mod found;

use super::Stage;
use super::program::finish;
use crate::check::number_of;
use crate::cluster::{BatchFault, Cluster, versions, wall_ms};
use crate::coordination::CoordinatorFault;
use crate::coordinators::{Age, State};
use crate::load::Planned;
use crate::network::{RequestFault, Side};
use crate::world::World;
use pointsman::core::{CoreConfig, Placement, TransactionConfig};
use pointsman::error::ProduceError;
use pointsman::protocol::error_code as code;
use pointsman::protocol::messages::ApiKey;
use pointsman::{ConsumerGroupMetadata, TransactionError};
use std::collections::BTreeMap;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const BOTH: [bool; 2] = [false, true];
const NONE: [u64; 0] = [];

type Outcome = Result<(), TransactionError>;

fn config() -> CoreConfig {
    let transactions = TransactionConfig { id: "id".into(), timeout: 60 * SECOND, max_block: 20 * SECOND };
    CoreConfig { transactions: Some(transactions), ..crate::scenarios::config() }
}

/// Three brokers that know topic `t` of two partitions, and a producer that has its id.
fn started(second: bool) -> World {
    let mut world = world(second, config());
    world.init(0);
    assert_eq!(world.ends(0), Ok(()), "{}", world.story());
    world
}

fn world(second: bool, config: CoreConfig) -> World {
    let mut cluster = Cluster::new(3);
    for broker in cluster.brokers.values_mut() {
        broker.versions = versions(if second { 13 } else { 11 });
        broker.versions.transaction_version = if second { 2 } else { 1 };
    }
    cluster.coordinators.version = if second { 2 } else { 1 };
    cluster.coordinators.verifies = true;
    let mut world = World::new(config, cluster, 7);
    let topic = world.cluster.create_topic("t", 2, &mut world.rng);
    // Whoever coordinates leads nothing, so that each can be hit alone.
    world.cluster.topics[topic].partitions.iter_mut().for_each(|partition| partition.leader = 1);
    world.cluster.learn_all();
    world.core().topic(world.now, "t");
    world.drain();
    world
}

impl World {
    /// How the call of a producer ends that is under way.
    fn ends(&mut self, producer: usize) -> Outcome {
        let end = self.now + 200 * SECOND;
        let heard = |world: &World| world.transactions.programs[&producer].heard.is_some();
        assert!(self.run_until(end, heard), "producer {producer} hears nothing\n{}", self.story());
        self.transactions.programs.get_mut(&producer).and_then(|program| program.heard.take()).expect("as above")
    }

    fn write(&mut self, producer: usize, partition: i32, count: usize) -> Vec<u64> {
        let mut numbers = Vec::new();
        for _ in 0..count {
            let (number, record) = self.load.record(Some(b"k".to_vec()), Some(20), wall_ms(self.now));
            let placement = Placement::Partition(partition);
            let planned = Planned { topic: "t".to_owned(), placement, number, record, accepted: None };
            self.send_in_transaction(producer, planned);
            numbers.push(number);
        }
        self.drain();
        numbers
    }

    fn ended(&mut self, producer: usize, commits: bool) -> Outcome {
        if commits {
            self.all_sent(producer);
        }
        self.end(producer, commits);
        self.drain();
        self.ends(producer)
    }

    /// Until the topic of what was sent is known.
    fn all_sent(&mut self, producer: usize) {
        let end = self.now + 60 * SECOND;
        self.run_until(end, |world| world.transactions.programs[&producer].line.is_empty());
    }

    /// A whole transaction of as many records in each partition.
    fn transaction(&mut self, producer: usize, count: usize, commits: bool) -> Vec<u64> {
        self.begin(producer).expect("the one before has ended");
        let mut records = self.write(producer, 0, count);
        records.extend(self.write(producer, 1, count));
        if !commits {
            // So that there is something to abort.
            self.run_for(Duration::from_millis(20));
        }
        assert_eq!(self.ended(producer, commits), Ok(()), "{}", self.story());
        records
    }

    /// What a reader of committed records sees by now.
    fn seen(&self) -> Vec<u64> {
        let mut seen = Vec::new();
        for partition in self.cluster.topics.iter().filter(|topic| topic.exists).flat_map(|topic| &topic.partitions) {
            let mut open: BTreeMap<i64, Vec<u64>> = BTreeMap::new();
            for batch in &partition.log.batches {
                match batch.marker {
                    None => {
                        open.entry(batch.producer_id).or_default().extend(batch.records.iter().filter_map(number_of))
                    }
                    Some(marker) => {
                        let ended = open.remove(&batch.producer_id).unwrap_or_default();
                        seen.extend(ended.into_iter().filter(|_| marker.commits));
                    }
                }
            }
        }
        seen.sort_unstable();
        seen
    }

    fn rests(&mut self) {
        self.run_for(2 * SECOND);
        assert!(self.violations.is_empty(), "{}", self.story());
    }

    /// Ends the run and applies every check.
    fn over(mut self) {
        finish(&mut self);
        assert!(self.violations.is_empty(), "{}", self.story());
    }

    fn epoch(&self) -> i16 {
        self.cluster.coordinators.ids["id"].epoch
    }

    fn state(&self) -> State {
        self.cluster.coordinators.ids["id"].state
    }

    fn fail_request(&mut self, api: ApiKey, nth: usize, fault: RequestFault) {
        let nth = self.requests.get(&api.code()).copied().unwrap_or_default() + nth;
        self.api_script = Some(Box::new(move |of, at| (of == api && at == nth).then_some(fault)));
    }

    fn committed_offsets(&self) -> Vec<i64> {
        self.cluster
            .coordinators
            .groups
            .get("g")
            .map(|group| group.committed.values().copied().collect())
            .unwrap_or_default()
    }
}

#[test]
fn a_commit_makes_records_visible() {
    for second in BOTH {
        let mut world = started(second);
        world.begin(0).unwrap();
        let records = [world.write(0, 0, 3), world.write(0, 1, 2)].concat();
        world.run_for(SECOND);
        assert_eq!(world.seen(), NONE, "before the commit");
        assert_eq!(world.ended(0, true), Ok(()));
        world.rests();
        assert_eq!(world.seen(), records);
        let epoch = world.epoch();
        assert_eq!(epoch, i16::from(second), "V2 takes an epoch for each");
        let more = world.transaction(0, 1, true);
        world.rests();
        assert_eq!(world.seen(), [records, more].concat());
        world.over();
    }
}

#[test]
fn an_abort_hides_records() {
    for second in BOTH {
        let mut world = started(second);
        world.begin(0).unwrap();
        world.write(0, 0, 3);
        // Some are written, some are not.
        world.run_for(Duration::from_millis(10));
        world.write(0, 1, 3);
        assert_eq!(world.ended(0, false), Ok(()));
        world.rests();
        assert_eq!(world.seen(), NONE);
        let records = world.transaction(0, 2, true);
        world.rests();
        assert_eq!(world.seen(), records);
        world.over();
    }
}

/// The coordinator never hears of it.
#[test]
fn an_empty_transaction_asks_nobody() {
    for second in BOTH {
        for commits in BOTH {
            let mut world = started(second);
            let before = world.requests.clone();
            world.begin(0).unwrap();
            assert_eq!(world.ended(0, commits), Ok(()));
            assert_eq!(world.requests, before);
            world.transaction(0, 1, true);
            world.over();
        }
    }
}

#[test]
fn another_producer_fences_the_first_one_off() {
    for second in BOTH {
        let mut world = started(second);
        let before = world.transaction(0, 1, true);
        world.begin(0).unwrap();
        world.write(0, 0, 3);
        world.run_for(SECOND);
        let other = world.add_producer();
        world.init(other);
        world.drain();
        assert_eq!(world.ends(other), Ok(()), "{}", world.story());
        assert_eq!(world.state(), State::Empty, "what was open is aborted");
        let after = world.transaction(other, 1, true);
        world.write(0, 0, 1);
        let Err(error) = world.ended(0, true) else { panic!("{}", world.story()) };
        let error = match error {
            // A leader said so first; the abort finds out why.
            TransactionError::MustAbort { .. } => world.ended(0, false).unwrap_err(),
            error => error,
        };
        assert!(matches!(error, TransactionError::Fenced { .. }), "{error}");
        assert!(error.to_string().contains("another producer uses the id"), "{error}");
        assert!(matches!(world.begin(0), Err(TransactionError::Fenced { .. })), "for good");
        world.rests();
        assert_eq!(world.seen(), [before, after].concat());
        world.over();
    }
}

#[test]
fn a_record_that_fails_must_abort_and_the_next_transaction_works() {
    for second in BOTH {
        let mut world = started(second);
        world.transaction(0, 1, true);
        let before = world.epoch();
        world.begin(0).unwrap();
        world.batch_script = Some(Box::new(|_| Some(BatchFault::Refuse(code::MESSAGE_TOO_LARGE))));
        world.write(0, 0, 1);
        world.run_for(SECOND);
        world.batch_script = None;
        // It takes nothing any more, and says why.
        world.write(0, 1, 1);
        let Err(error) = world.ended(0, true) else { panic!("{}", world.story()) };
        assert!(error.must_abort(), "{error}");
        assert!(error.to_string().contains("MESSAGE_TOO_LARGE"), "{error}");
        assert_eq!(world.ended(0, false), Ok(()), "{}", world.story());
        assert!(world.epoch() > before, "what follows the lost record has another epoch");
        let seen = world.seen();
        let records = world.transaction(0, 2, true);
        world.rests();
        assert_eq!(world.seen(), [seen, records].concat());
        world.over();
    }
}

#[test]
fn the_answer_to_an_end_is_lost() {
    for second in BOTH {
        for commits in BOTH {
            for fault in
                [RequestFault::LoseResponse, RequestFault::CutAfter, RequestFault::CutBefore, RequestFault::Lose]
            {
                let mut world = started(second);
                world.fail_request(ApiKey::EndTxn, 0, fault);
                let records = world.transaction(0, 2, commits);
                world.rests();
                assert_eq!(world.seen(), if commits { records.clone() } else { Vec::new() }, "{fault:?}");
                let more = world.transaction(0, 1, true);
                world.rests();
                let before = if commits { records } else { Vec::new() };
                assert_eq!(world.seen(), [before, more].concat());
                world.over();
            }
        }
    }
}

/// Another broker is the coordinator when a request comes to it, or by the time of its answer.
#[test]
fn the_coordinator_moves_in_the_middle() {
    const APIS: [ApiKey; 5] = [
        ApiKey::InitProducerId,
        ApiKey::AddPartitionsToTxn,
        ApiKey::AddOffsetsToTxn,
        ApiKey::TxnOffsetCommit,
        ApiKey::EndTxn,
    ];
    for second in BOTH {
        for api in APIS {
            for fault in [CoordinatorFault::Move, CoordinatorFault::ApplyAndMove] {
                for commits in BOTH {
                    let mut world = world(second, config());
                    world.coordinator_script = Some(Box::new(move |of, nth| (of == api && nth == 0).then_some(fault)));
                    world.init(0);
                    assert_eq!(world.ends(0), Ok(()), "{}", world.story());
                    world.begin(0).unwrap();
                    let records = world.write(0, 0, 2);
                    world.send_offsets(0, &ConsumerGroupMetadata::of("g"), &[("in", 0, 5)]);
                    assert_eq!(world.ends(0), Ok(()), "{api:?} {fault:?}\n{}", world.story());
                    assert_eq!(world.ended(0, commits), Ok(()), "{api:?} {fault:?}\n{}", world.story());
                    world.rests();
                    assert_eq!(world.seen(), if commits { records } else { Vec::new() });
                    assert_eq!(world.committed_offsets(), if commits { vec![5] } else { Vec::new() });
                    world.transaction(0, 1, true);
                    world.over();
                }
            }
        }
    }
}

/// The markers of the one before are not written yet: CONCURRENT_TRANSACTIONS.
#[test]
fn right_behind_another_transaction() {
    for second in BOTH {
        for commits in BOTH {
            for next in BOTH {
                let mut world = started(second);
                world.rates.slow_markers = 1_000;
                let records = world.transaction(0, 2, commits);
                assert!(matches!(world.state(), State::Prepare { .. }));
                let more = world.transaction(0, 2, next);
                world.rates.slow_markers = 0;
                world.run_for(20 * SECOND);
                let kept = |keeps: bool, records: Vec<u64>| if keeps { records } else { Vec::new() };
                assert_eq!(world.seen(), [kept(commits, records), kept(next, more)].concat(), "{}", world.story());
                world.over();
            }
        }
    }
}

/// A request of an aborted transaction comes when the next one is open, or committed.
#[test]
fn a_batch_in_flight_at_an_abort_does_not_leak() {
    for second in BOTH {
        for late in [2 * SECOND, 4 * SECOND, 8 * SECOND] {
            let mut world = started(second);
            let before = world.transaction(0, 1, true);
            let nth = world.produce_requests;
            world.request_script = Some(Box::new(move |at| (at == nth).then_some(RequestFault::ArriveLate(late))));
            world.begin(0).unwrap();
            world.write(0, 0, 1);
            world.run_for(Duration::from_millis(100));
            assert_eq!(world.ended(0, false), Ok(()), "{}", world.story());
            world.request_script = None;
            world.begin(0).unwrap();
            let mut records = world.write(0, 1, 1);
            world.run_for(3 * SECOND);
            records.extend(world.write(0, 0, 2));
            assert_eq!(world.ended(0, true), Ok(()), "{}", world.story());
            world.run_for(10 * SECOND);
            assert_eq!(world.seen(), [before, records].concat());
            world.over();
        }
    }
}

#[test]
fn offsets_are_committed_with_the_records_or_not_at_all() {
    for second in BOTH {
        let mut world = started(second);
        let group = ConsumerGroupMetadata::of("g");
        for (commits, offset, expected) in [(true, 10, 10), (false, 20, 10), (true, 30, 30)] {
            world.begin(0).unwrap();
            world.write(0, 0, 1);
            world.send_offsets(0, &group, &[("in", 0, offset)]);
            assert_eq!(world.ends(0), Ok(()), "{}", world.story());
            assert_eq!(world.ended(0, commits), Ok(()));
            world.rests();
            assert_eq!(world.committed_offsets(), [expected]);
        }
        // Without a record, too.
        world.begin(0).unwrap();
        world.send_offsets(0, &group, &[("in", 0, 40), ("in", 1, 41)]);
        assert_eq!(world.ends(0), Ok(()));
        assert_eq!(world.ended(0, true), Ok(()));
        world.rests();
        assert_eq!(world.committed_offsets(), [40, 41]);
        world.over();
    }
}

/// KIP-447: the member has lost its partitions.
#[test]
fn offsets_that_the_group_refuses_must_abort() {
    for second in BOTH {
        let mut world = started(second);
        let group =
            ConsumerGroupMetadata { generation_id: 3, member_id: "m".to_owned(), ..ConsumerGroupMetadata::of("g") };
        world.cluster.coordinators.groups.entry("g".to_owned()).or_default().refuses = Some(code::ILLEGAL_GENERATION);
        world.begin(0).unwrap();
        world.write(0, 0, 1);
        world.send_offsets(0, &group, &[("in", 0, 10)]);
        let Err(error) = world.ends(0) else { panic!("{}", world.story()) };
        assert!(error.must_abort() && error.to_string().contains("ILLEGAL_GENERATION"), "{error}");
        assert!(world.ended(0, true).is_err_and(|error| error.must_abort()));
        assert_eq!(world.ended(0, false), Ok(()), "{}", world.story());
        world.rests();
        assert_eq!((world.seen(), world.committed_offsets()), (vec![], vec![]));
        world.transaction(0, 1, true);
        world.over();
    }
}

/// `transaction.timeout.ms` is over, and the coordinator ends it by itself.
#[test]
fn open_for_too_long() {
    for (second, age) in [(false, Age::Once), (true, Age::Twice), (true, Age::Once), (true, Age::Fences)] {
        let mut world = started(second);
        world.cluster.coordinators.age = age;
        world.begin(0).unwrap();
        world.write(0, 0, 2);
        world.run_for(70 * SECOND);
        assert_eq!(world.state(), State::Complete { commits: false });
        let Err(error) = world.ended(0, true) else { panic!("{}", world.story()) };
        assert!(error.to_string().contains("transaction.timeout.ms"), "{error}");
        if (second, age) == (true, Age::Once) {
            // The brokers tell it how to go on.
            assert!(error.must_abort(), "{error}");
            assert_eq!(world.ended(0, false), Ok(()), "{}", world.story());
            world.transaction(0, 1, true);
        } else {
            assert!(matches!(error, TransactionError::Fenced { .. }), "{error}");
        }
        world.over();
    }
}

/// What was written is gone, so that nothing may be committed of it; the producer goes on.
#[test]
fn the_topic_is_made_anew_in_an_open_transaction() {
    for second in BOTH {
        let mut world = world(second, CoreConfig { metadata_max_age: SECOND, ..config() });
        world.init(0);
        assert_eq!(world.ends(0), Ok(()));
        world.transaction(0, 1, true);
        world.begin(0).unwrap();
        world.write(0, 0, 2);
        world.run_for(SECOND / 10);
        world.make_anew(0);
        world.run_for(3 * SECOND);
        let Err(error) = world.ended(0, true) else { panic!("{}", world.story()) };
        assert!(error.must_abort() && error.to_string().contains("made anew"), "{error}");
        assert_eq!(world.ended(0, false), Ok(()), "{}", world.story());
        let records = world.transaction(0, 1, true);
        world.rests();
        assert_eq!(world.seen(), records);
        world.over();
    }
}

#[test]
fn answers_of_who_coordinates_are_lost() {
    for second in BOTH {
        for fault in [RequestFault::Lose, RequestFault::LoseResponse, RequestFault::CutBefore, RequestFault::CutAfter] {
            let mut world = world(second, config());
            world.api_script =
                Some(Box::new(move |api, nth| (api == ApiKey::FindCoordinator && nth < 3).then_some(fault)));
            world.init(0);
            assert_eq!(world.ends(0), Ok(()), "{fault:?}\n{}", world.story());
            world.transaction(0, 1, true);
            world.over();
        }
    }
}

/// `max.block.ms`: the caller hears that it takes long, the call goes on, and made again it gets the end.
#[test]
fn a_call_takes_longer_than_its_caller_waits() {
    for second in BOTH {
        for commits in BOTH {
            let mut config = config();
            config.transactions = config.transactions.map(|of| TransactionConfig { timeout: 600 * SECOND, ..of });
            let mut world = world(second, config);
            world.init(0);
            assert_eq!(world.ends(0), Ok(()));
            world.begin(0).unwrap();
            let records = world.write(0, 0, 2);
            world.run_for(SECOND);
            world.coordinator_script = Some(Box::new(|api, _| {
                (api == ApiKey::EndTxn).then_some(CoordinatorFault::Refuse(code::COORDINATOR_LOAD_IN_PROGRESS))
            }));
            let start = world.now;
            world.end(0, commits);
            let end = world.now + 30 * SECOND;
            assert!(world.run_until(end, |world| world.transactions.programs[&0].late == 1), "{}", world.story());
            assert!(world.now - start >= 20 * SECOND);
            // It is told once.
            world.run_for(30 * SECOND);
            assert_eq!(world.transactions.programs[&0].late, 1);
            // Another call does not fit.
            assert!(matches!(world.begin(0), Err(TransactionError::State { .. })));
            world.end(0, commits);
            let end = world.now + 30 * SECOND;
            assert!(world.run_until(end, |world| world.transactions.programs[&0].late == 2), "{}", world.story());
            world.coordinator_script = None;
            world.end(0, commits);
            assert_eq!(world.ends(0), Ok(()), "{}", world.story());
            world.rests();
            assert_eq!(world.seen(), if commits { records } else { Vec::new() });
            world.over();
        }
    }
}

#[test]
fn a_producer_that_ends_ends_its_calls() {
    for second in BOTH {
        for api in [ApiKey::InitProducerId, ApiKey::EndTxn] {
            let mut world = world(second, config());
            let fault = CoordinatorFault::Refuse(code::COORDINATOR_NOT_AVAILABLE);
            world.coordinator_script = Some(Box::new(move |of, _| (of == api).then_some(fault)));
            world.init(0);
            if api == ApiKey::EndTxn {
                assert_eq!(world.ends(0), Ok(()));
                world.begin(0).unwrap();
                world.write(0, 0, 1);
                world.all_sent(0);
                world.end(0, true);
            }
            world.run_for(5 * SECOND);
            world.kill(0);
            let ended = world.ends(0);
            assert!(matches!(ended, Err(TransactionError::Produce(ProduceError::Closed { .. }))), "{ended:?}");
            world.over();
        }
    }
}

/// Its process ends in the middle, and another one begins: what was open is aborted first.
#[test]
fn a_producer_dies_and_another_one_takes_over() {
    for second in BOTH {
        let mut world = started(second);
        let before = world.transaction(0, 1, true);
        world.begin(0).unwrap();
        world.write(0, 0, 2);
        world.run_for(Duration::from_millis(5));
        world.kill(0);
        world.lose_transactions(0);
        let other = world.add_producer();
        world.init(other);
        world.drain();
        assert_eq!(world.ends(other), Ok(()), "{}", world.story());
        let after = world.transaction(other, 1, true);
        world.rests();
        assert_eq!(world.seen(), [before, after].concat());
        assert_eq!(world.transactions.transactions[1].stage, Stage::Lost { committing: false });
        world.over();
    }
}

/// KIP-360, with V1 by InitProducerId and with the second by the coordinator: a new id when epochs run out.
#[test]
fn epochs_run_out() {
    for second in BOTH {
        let mut world = world(second, config());
        world.cluster.coordinators.first_epoch = i16::MAX - 3;
        world.init(0);
        assert_eq!(world.ends(0), Ok(()));
        let first = world.cluster.coordinators.ids["id"].producer_id;
        let mut records = Vec::new();
        for _ in 0..5 {
            // One that fails, for an epoch.
            world.begin(0).unwrap();
            world.batch_script = Some(Box::new(|_| Some(BatchFault::Refuse(code::MESSAGE_TOO_LARGE))));
            world.write(0, 0, 1);
            world.run_for(SECOND);
            world.batch_script = None;
            assert_eq!(world.ended(0, false), Ok(()), "{}", world.story());
            records.extend(world.transaction(0, 1, true));
        }
        world.rests();
        assert_ne!(world.cluster.coordinators.ids["id"].producer_id, first);
        assert_eq!(world.seen().len(), records.len());
        world.over();
    }
}
