//! What the seeds found, one by one.

use super::*;

/// One broker, which has V2 and does not use it yet.
fn before_upgrade() -> World {
    let mut cluster = Cluster::new(1);
    cluster.coordinators.version = 1;
    cluster.coordinators.verifies = true;
    let mut world = World::new(config(), cluster, 7);
    world.cluster.create_topic("t", 2, &mut world.rng);
    world.cluster.learn_all();
    world.core().topic(world.now, "t");
    world.init(0);
    world.drain();
    assert_eq!(world.ends(0), Ok(()), "{}", world.story());
    world
}

impl World {
    /// The cluster goes over to V2, and the producer hears of it as its connections break.
    fn upgraded(&mut self) {
        self.upgrade();
        for id in self.connections.keys().copied().collect::<Vec<_>>() {
            self.cut(id);
        }
        let reconnected = |world: &World| {
            let mut open = world.connections.values().filter(|of| of.side == Side::Open && !of.stalled_out);
            open.next().is_some()
        };
        let end = self.now + SECOND;
        assert!(self.run_until(end, reconnected), "{}", self.story());
    }
}

/// The markers of the last transaction of V1 are still to be written, with the epoch that it had: what came
/// with the same epoch by V2 would become part of it (seeds 98, 111, 227, 380). And sequences begin at 0
/// with each transaction of V2 (seed 210).
#[test]
fn the_first_transaction_of_the_second_protocol_has_an_epoch_of_its_own() {
    for commits in BOTH {
        let mut world = before_upgrade();
        world.rates.slow_markers = 1_000;
        let records = world.transaction(0, 1, true);
        world.upgraded();
        assert_eq!(world.state(), State::Prepare { commits: true }, "{}", world.story());
        let more = world.transaction(0, 1, commits);
        world.rates.slow_markers = 0;
        world.run_for(20 * SECOND);
        let more = if commits { more } else { Vec::new() };
        assert_eq!(world.seen(), [records, more].concat(), "{}", world.story());
        // With a transaction or two it has gone over.
        world.transaction(0, 1, true);
        world.transaction(0, 1, true);
        let joins = world.requests[&ApiKey::AddPartitionsToTxn.code()];
        world.transaction(0, 1, true);
        assert_eq!(world.requests[&ApiKey::AddPartitionsToTxn.code()], joins, "{}", world.story());
        world.over();
    }
}

/// EndTxn is out, and may be served: whatever happens then, the transaction is committed or not, and nobody may be told to
/// abort it (seed 32).
#[test]
fn the_topic_is_made_anew_while_the_commit_is_answered() {
    for second in BOTH {
        let mut world = world(second, CoreConfig { metadata_max_age: SECOND, ..config() });
        world.init(0);
        assert_eq!(world.ends(0), Ok(()));
        world.begin(0).unwrap();
        world.write(0, 0, 2);
        world.run_for(SECOND);
        // Served, and not answered, once; nor is it known for a while who else could be asked.
        world.fail_request(ApiKey::EndTxn, 0, RequestFault::CutAfter);
        world.coordinator_script = Some(Box::new(|api, _| {
            (api == ApiKey::FindCoordinator).then_some(CoordinatorFault::Refuse(code::COORDINATOR_NOT_AVAILABLE))
        }));
        let until = world.now + 5 * SECOND;
        world.end(0, true);
        world.run_for(SECOND / 10);
        assert_eq!(world.state(), State::Complete { commits: true }, "{}", world.story());
        world.make_anew(0);
        world.run_until(until, |_| false);
        world.coordinator_script = None;
        assert_eq!(world.ends(0), Ok(()), "{}", world.story());
        let records = world.transaction(0, 1, true);
        world.rests();
        assert_eq!(world.seen(), records);
        world.over();
    }
}

/// Its answer would have it sent again, and comes when the transaction is aborted, or has to be: it does not wait in its queue
/// until delivery.timeout.ms is over, and the abort with it (seeds 76, 408, 641, 801).
#[test]
fn a_batch_that_comes_back_into_an_abort_fails_at_once() {
    for second in BOTH {
        for fails in BOTH {
            for lost in BOTH {
                let mut world = started(second);
                world.transaction(0, 1, true);
                world.begin(0).unwrap();
                let slow = world.produce_requests;
                let fault = if lost { RequestFault::CutAfter } else { RequestFault::Delay(SECOND / 2) };
                world.request_script = Some(Box::new(move |at| (at == slow).then_some(fault)));
                world.batch_script = Some(Box::new(|_| Some(BatchFault::Refuse(code::NOT_ENOUGH_REPLICAS))));
                world.write(0, 0, 1);
                world.run_for(Duration::from_millis(10));
                if fails {
                    // As a lane does of a record that a plugin failed on.
                    world.core().fail_transaction(world.now, &ProduceError::BufferFull);
                }
                let start = world.now;
                if fails {
                    assert!(world.ended(0, true).is_err_and(|error| error.must_abort()), "{}", world.story());
                }
                assert_eq!(world.ended(0, false), Ok(()), "{}", world.story());
                assert!(world.now - start < 3 * SECOND, "took {:?}\n{}", world.now - start, world.story());
                (world.request_script, world.batch_script) = (None, None);
                world.transaction(0, 1, true);
                world.over();
            }
        }
    }
}

/// With V1 transactions share their epoch: a request that was given up, and sent again, may come once more when
/// the next one is open, and commit half of it, or abort it, or add to it (seeds 1694, 2383, 138; KAFKA-14402).
#[test]
fn a_request_that_was_given_up_does_not_reach_the_next_transaction() {
    const APIS: [ApiKey; 4] =
        [ApiKey::EndTxn, ApiKey::TxnOffsetCommit, ApiKey::AddOffsetsToTxn, ApiKey::AddPartitionsToTxn];
    for second in BOTH {
        for api in APIS {
            for commits in BOTH {
                let mut world = started(second);
                world.transaction(0, 1, true);
                world.rests();
                let before = world.seen();
                world.fail_request(api, 0, RequestFault::ArriveLate(4 * SECOND));
                let group = ConsumerGroupMetadata::of("g");
                world.begin(0).unwrap();
                let mut records = world.write(0, 0, 2);
                world.send_offsets(0, &group, &[("in", 0, 5)]);
                assert_eq!(world.ends(0), Ok(()), "{api:?}\n{}", world.story());
                assert_eq!(world.ended(0, commits), Ok(()), "{api:?}\n{}", world.story());
                if !commits {
                    records.clear();
                }
                world.begin(0).unwrap();
                let more = world.write(0, 0, 1);
                world.send_offsets(0, &group, &[("in", 1, 6)]);
                assert_eq!(world.ends(0), Ok(()), "{api:?}\n{}", world.story());
                world.run_for(5 * SECOND);
                let offsets = if commits { vec![5] } else { Vec::new() };
                assert_eq!(world.committed_offsets(), offsets, "{api:?}\n{}", world.story());
                assert_eq!(world.seen(), [before.clone(), records.clone()].concat(), "{api:?}\n{}", world.story());
                let end = [more, world.write(0, 1, 1)].concat();
                assert_eq!(world.ended(0, true), Ok(()), "{api:?}\n{}", world.story());
                world.rests();
                let mut all = [before, records, end].concat();
                all.sort_unstable();
                assert_eq!(world.seen(), all, "{api:?}\n{}", world.story());
                assert_eq!(world.committed_offsets(), [offsets, vec![6]].concat());
                world.over();
            }
        }
    }
}

/// Another producer has used up the epochs of the id, and has another one. The first one's commit stands, and its answer was
/// lost: it must not hear that it is to abort it, and must not take the id back (seed 2688).
#[test]
fn a_producer_whose_id_was_replaced_does_not_come_back() {
    for second in BOTH {
        for answered in BOTH {
            let mut world = world(second, config());
            world.cluster.coordinators.first_epoch = i16::MAX - 1;
            world.init(0);
            assert_eq!(world.ends(0), Ok(()));
            world.begin(0).unwrap();
            let mut records = world.write(0, 0, 2);
            world.run_for(SECOND);
            if !answered {
                world.fail_request(ApiKey::EndTxn, 0, RequestFault::CutAfter);
                world.coordinator_script = Some(Box::new(|api, _| {
                    (api == ApiKey::FindCoordinator)
                        .then_some(CoordinatorFault::Refuse(code::COORDINATOR_NOT_AVAILABLE))
                }));
                world.end(0, true);
                world.run_for(SECOND);
                world.coordinator_script = None;
            } else {
                records.clear();
            }
            let other = world.add_producer();
            world.init(other);
            world.drain();
            assert_eq!(world.ends(other), Ok(()), "{}", world.story());
            records.extend(world.transaction(other, 1, true));
            let ended = if answered { world.ended(0, true) } else { world.ends(0) };
            let ended = match ended {
                Err(TransactionError::MustAbort { .. }) if answered => world.ended(0, false),
                ended => ended,
            };
            assert!(matches!(ended, Err(TransactionError::Fenced { .. })), "{ended:?}\n{}", world.story());
            records.extend(world.transaction(other, 1, true));
            world.rests();
            assert_eq!(world.seen().len(), records.len());
            world.over();
        }
    }
}

/// The new log knows the sequences of what was written to it before that was known: numbers that begin again in the same epoch
/// would pass for what is there, and be told as written (seed 2678). With V2 each transaction has an epoch.
#[test]
fn sequences_do_not_begin_again_in_a_log_that_has_them() {
    let mut world = world(false, CoreConfig { metadata_max_age: 10 * SECOND, ..config() });
    world.init(0);
    assert_eq!(world.ends(0), Ok(()));
    world.run_for(SECOND);
    let new = world.make_anew(0);
    world.cluster.topics[new].partitions.iter_mut().for_each(|partition| partition.leader = 1);
    world.cluster.learn_all();
    let mut committed = world.transaction(0, 2, true);
    // It hears of the new topic.
    world.run_for(20 * SECOND);
    for _ in 0..3 {
        world.begin(0).unwrap();
        let records = [world.write(0, 0, 2), world.write(0, 1, 2)].concat();
        match world.ended(0, true) {
            Ok(()) => committed.extend(records),
            Err(error) => {
                assert!(error.must_abort(), "{error}");
                assert_eq!(world.ended(0, false), Ok(()), "{}", world.story());
            }
        }
    }
    world.rests();
    assert_eq!(world.seen(), committed, "{}", world.story());
    assert!(committed.len() > 8, "it goes on");
    world.over();
}

/// A request for the next epoch that was given up comes when the next transaction is aborted, and the answer to that is lost:
/// asked again, the coordinator knows of nothing to abort (seed 1867).
#[test]
fn the_abort_is_forgotten_by_the_time_that_it_is_asked_for_again() {
    let mut world = started(false);
    let failing = |world: &mut World| {
        world.begin(0).unwrap();
        world.batch_script = Some(Box::new(|_| Some(BatchFault::Refuse(code::MESSAGE_TOO_LARGE))));
        world.write(0, 0, 1);
        world.run_for(SECOND);
        world.batch_script = None;
    };
    failing(&mut world);
    world.fail_request(ApiKey::InitProducerId, 0, RequestFault::ArriveLate(10 * SECOND));
    let start = world.now;
    assert_eq!(world.ended(0, false), Ok(()), "{}", world.story());
    world.run_until(start + 9 * SECOND, |_| false);
    world.begin(0).unwrap();
    world.write(0, 0, 1);
    world.run_for(SECOND / 2);
    world.fail_request(ApiKey::EndTxn, 0, RequestFault::LoseResponse);
    assert_eq!(world.ended(0, false), Ok(()), "{}", world.story());
    world.transaction(0, 1, true);
    world.over();
}

/// Two callers began the same commit, one of them found records in line and took it back: what is sent from then on is not
/// committed by what the other one began (found by reading).
#[test]
fn a_commit_that_was_taken_back_is_ended_by_nobody() {
    for second in BOTH {
        let mut world = started(second);
        world.begin(0).unwrap();
        let mut records = world.write(0, 0, 1);
        let now = world.now;
        let one = world.core().prepare_end(now, true).unwrap();
        let other = world.core().prepare_end(now, true).unwrap();
        world.core().take_back_end(one);
        let again = world.core().prepare_end(now, true).unwrap();
        assert!(world.core().end_transaction(now, true, other).is_err(), "it is another commit by now");
        world.core().take_back_end(again);
        records.extend(world.write(0, 1, 1));
        assert_eq!(world.ended(0, true), Ok(()));
        world.rests();
        assert_eq!(world.seen(), records);
        world.over();
    }
}

/// Another epoch is due behind a commit that is well, and another producer takes the id before it is there: the commit stands,
/// and its caller is told so (found by reading).
#[test]
fn a_commit_that_stands_is_told_as_one_whatever_becomes_of_its_producer() {
    let mut world = started(false);
    world.begin(0).unwrap();
    let records = world.write(0, 0, 2);
    world.run_for(SECOND);
    let asked = |world: &World, api: ApiKey| world.requests.get(&api.code()).copied().unwrap_or_default();
    let (ended, ids) = (asked(&world, ApiKey::EndTxn), asked(&world, ApiKey::InitProducerId));
    // An end that was not answered makes another epoch due.
    world.api_script = Some(Box::new(move |api, at| {
        let is_cut = api == ApiKey::EndTxn && at == ended || api == ApiKey::InitProducerId;
        is_cut.then_some(RequestFault::CutBefore)
    }));
    world.end(0, true);
    world.drain();
    let end = world.now + 20 * SECOND;
    assert!(world.run_until(end, |world| asked(world, ApiKey::InitProducerId) > ids), "{}", world.story());
    world.api_script = None;
    let other = world.add_producer();
    world.init(other);
    world.drain();
    assert_eq!(world.ends(other), Ok(()), "{}", world.story());
    assert_eq!(world.ends(0), Ok(()), "{}", world.story());
    world.rests();
    assert_eq!(world.seen(), records);
    let fenced = world.begin(0).unwrap_err();
    assert!(matches!(fenced, pointsman::TransactionError::Fenced { .. }), "{fenced}");
    world.over();
}
