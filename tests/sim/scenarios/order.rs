//! Epochs that end, sequences that begin again, and whose turn it is.

use super::*;
use std::cell::Cell;

/// Refuses for good what comes to its partition as one of these.
fn refuse(world: &mut World, refused: &'static [usize]) {
    let fault = BatchFault::Refuse(code::MESSAGE_TOO_LARGE);
    world.batch_script = Some(Box::new(move |at| refused.contains(&at).then_some(fault)));
}

/// KIP-360: the last epoch of an id cannot be followed by another one.
#[test]
fn a_new_id_when_epochs_run_out() {
    let mut world = World::new(config(), Cluster::new(1), 7);
    world.cluster.first_epochs = [i16::MAX - 1].into();
    let topic = world.cluster.create_topic("t", 2, &mut world.rng);
    assert_eq!(topic, 0);
    world.cluster.learn_all();
    world.send(1, 2);
    world.settled();
    refuse(&mut world, &[0, 2]);
    let sent = world.send(0, 5);
    world.settled();
    let log = |partition: usize| {
        let batches = world.cluster.topics[0].partitions[partition].log.batches.iter();
        batches.map(|batch| (batch.producer_id, batch.epoch, batch.base_sequence)).collect::<Vec<_>>()
    };
    // The first is refused; the second bumps the epoch to the last one; the third is refused, and its followers have a
    // new id.
    let (first, second) = (log(1)[0].0, log(0)[1].0);
    assert_ne!(first, second);
    assert_eq!(log(0), [(first, i16::MAX, 0), (second, 0, 0), (second, 0, 1)], "{}", world.story());
    let told = world.told_all(&sent);
    assert_eq!([1, 3, 4].map(|at| told[at].clone()).to_vec(), offsets(0, 3));
    // The other partition hears of it with its next batch.
    world.batch_script = None;
    let sent = world.send(1, 1);
    world.settled();
    assert_eq!(world.told_all(&sent), offsets(2, 1));
    let last = world.cluster.topics[0].partitions[1].log.batches.last().unwrap();
    assert_eq!((last.producer_id, last.epoch, last.base_sequence), (second, 0, 0));
    world.finished();
}

#[cfg(feature = "sabotage")]
#[test]
fn sequences_begin_again_behind_the_last_one() {
    use pointsman::sabotage::{Sabotage, with};
    with(Sabotage::StartAtLastSequences, || {
        for (batch_size, borders) in [
            (0, vec![(0, i32::MAX - 2, 1), (0, i32::MAX - 1, 1), (0, i32::MAX, 1), (0, 0, 1), (0, 1, 1)]),
            // Within a batch.
            (10_000, vec![(0, i32::MAX - 2, 5)]),
        ] {
            let mut world = world(1, 1, CoreConfig { batch_size, ..config() });
            // They are sent again, as duplicates: the broker knows them by their first and last sequence.
            request_fault(&mut world, 0, RequestFault::LoseResponse);
            let sent = world.send(0, 5);
            world.settled();
            assert_eq!(world.told_all(&sent), offsets(0, 5));
            assert_eq!(world.logged(0), borders);
            let sent = world.send(0, 2);
            world.settled();
            assert_eq!(world.told_all(&sent), offsets(5, 2));
            assert_eq!(
                world.logged(0).iter().map(|(_, sequence, _)| *sequence).max(),
                Some(borders[0].1.max(i32::MAX - if batch_size == 0 { 0 } else { 2 }))
            );
            world.finished();
        }
    });
}

/// KAFKA-12152's other half: batches with the old epoch's sequences are not renumbered under way.
#[test]
fn batches_of_the_old_epoch_finish_first() {
    let mut world = world(2, 2, config());
    world.cluster.partition((0, 1)).leader = 2;
    world.cluster.learn_all();
    world.send(0, 1);
    world.send(1, 2);
    world.settled();
    // Those of partition 1 are slow; meanwhile partition 0 has a batch refused, and bumps the epoch.
    world.request_script = Some(Box::new(|at| (3..6).contains(&at).then_some(RequestFault::Delay(SECOND / 2))));
    let old = world.send(1, 3);
    world.run_for(SECOND / 100);
    refuse(&mut world, &[1]);
    let bumps = world.send(0, 2);
    let end = world.now + SECOND / 4;
    assert!(world.run_until(end, |world| world.told(bumps[1]).is_some()), "{}", world.story());
    assert_eq!(world.logged(0), [(0, 0, 1), (1, 0, 1)]);
    let new = world.send(1, 2);
    let before = world.produce_requests;
    world.run_for(SECOND / 10);
    assert_eq!(world.produce_requests, before, "they wait for those of the old epoch");
    world.settled();
    assert_eq!(world.told_all(&old), offsets(2, 3));
    assert_eq!(world.told_all(&new), offsets(5, 2));
    assert_eq!(
        world.logged(1),
        [(0, 0), (0, 1), (0, 2), (0, 3), (0, 4), (1, 0), (1, 1)].map(|(epoch, sequence)| (epoch, sequence, 1))
    );
    world.finished();
}

/// The others would only be refused again until the first one is there.
#[test]
fn only_the_lowest_sequence_goes_out_after_a_failure() {
    let mut world = world(1, 1, config());
    world.send(0, 1);
    world.settled();
    batch_fault(&mut world, 1, BatchFault::Refuse(code::NOT_ENOUGH_REPLICAS));
    // Five are under way; the sixth request is the first one's second attempt.
    world.request_script = Some(Box::new(|at| (at == 6).then_some(RequestFault::Delay(SECOND / 2))));
    let sent = world.send(0, 8);
    let end = world.now + 2 * SECOND;
    assert!(world.run_until(end, |world| world.produce_requests == 7), "{}", world.story());
    world.run_for(SECOND / 4);
    assert_eq!(world.produce_requests, 7, "{}", world.story());
    assert_eq!(world.connections.values().map(|connection| connection.produce_in_flight()).sum::<usize>(), 1);
    assert_eq!(world.told_all(&sent), vec![None; 8]);
    world.settled();
    assert_eq!(world.told_all(&sent), offsets(1, 8));
    world.finished();
}

/// Requests carry few of the many partitions that have something to send: each has its turn before any has a second
/// one more than the others.
#[test]
fn partitions_take_turns_in_small_requests() {
    const PARTITIONS: i32 = 40;
    const EACH: usize = 12;
    let mut world = world(1, PARTITIONS, CoreConfig { max_request_size: 2_000, ..config() });
    for _ in 0..EACH {
        for partition in 0..PARTITIONS {
            world.plan_one(partition, Some(b"k"));
        }
    }
    // Which of them have come, at every step.
    let worst = Cell::new(0);
    let end = world.now + 100 * SECOND;
    let even = |world: &World| {
        let lens = world.cluster.topics[0].partitions.iter().map(|partition| partition.log.batches.len());
        let (least, most) = lens.fold((usize::MAX, 0), |(least, most), len| (least.min(len), most.max(len)));
        worst.set(worst.get().max(most - least));
        world.load.is_over() && world.core().is_idle()
    };
    assert!(world.run_until(end, even), "{}", world.story());
    assert!(world.produce_requests >= PARTITIONS as usize * EACH / 4, "{} requests", world.produce_requests);
    assert!(worst.get() <= 2, "one partition is {} batches ahead of another", worst.get());
    world.finished();
}

/// Between a topic and the next one of its name everything may be under way.
#[test]
fn a_topic_is_made_anew_under_load() {
    let mut world = world(3, 4, CoreConfig { batch_size: 1_000, metadata_max_age: 2 * SECOND, ..config() });
    world.load.topics.push(("t".to_owned(), 4));
    world.begin_load(3_000);
    let mut at = 0;
    for _ in 0..5 {
        world.run_for(SECOND / 2);
        at = world.make_anew(at);
    }
    world.settled();
    let held: usize = world.cluster.topics[at].partitions.iter().map(|partition| partition.log.batches.len()).sum();
    assert!(held > 0, "{}", world.story());
    world.finished();
}

/// Those that come back from it are numbered anew, in their order, before anything of the new epoch goes out.
#[test]
fn a_topic_is_made_anew_while_batches_are_in_flight() {
    let mut world = world(2, 1, CoreConfig { metadata_max_age: SECOND / 5, ..config() });
    world.send(0, 1);
    world.settled();
    world.request_script = Some(Box::new(|at| (1..6).contains(&at).then_some(RequestFault::Delay(SECOND / 2))));
    let under_way = world.send(0, 5);
    let behind = world.send(0, 3);
    world.run_for(SECOND / 100);
    let new = world.make_anew(0);
    world.cluster.partition((new, 0)).leader = 2;
    world.cluster.learn_all();
    world.settled();
    let told: Vec<_> = under_way.iter().chain(&behind).map(|number| world.told(*number)).collect();
    assert_eq!(told, offsets(0, 8), "{}", world.story());
    let log = world.cluster.topics[new].partitions[0].log.batches.iter();
    let sequences: Vec<_> = log.map(|batch| (batch.epoch, batch.base_sequence)).collect();
    assert_eq!(sequences, (0..8).map(|sequence| (1, sequence)).collect::<Vec<_>>());
    world.finished();
}
