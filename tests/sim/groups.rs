//! A group keeps full batches: records that a plugin sends to a group of partitions fill as few of them as records
//! without a key fill on a topic of that many partitions. The same load at the same times, in virtual time.

use crate::cluster::{Cluster, wall_ms};
use crate::load::Planned;
use crate::seeds::finish;
use crate::world::World;
use pointsman::core::{CoreConfig, MemoryPool, Placement, TopicStatus};
use std::time::Duration;

const BURSTS: usize = 500;
const BURST: usize = 20;

/// Where the load goes.
enum To<'a> {
    /// Without keys, to a topic of so many partitions.
    Topic(i32),
    /// With keys, to these of ten.
    Group(&'a [u32]),
    /// With keys, by the hash of each, to these of ten.
    Keys(&'a [u32]),
}

/// Batches and requests that the load took.
fn run(to: &To<'_>, seed: u64) -> (usize, usize) {
    let config = CoreConfig {
        bootstrap: vec![("b1".to_owned(), 9092)],
        linger: Duration::from_millis(5),
        batch_size: 16_384,
        memory: MemoryPool::new(32 << 20),
        ..CoreConfig::default()
    };
    let mut world = World::new(config, Cluster::new(3), seed);
    let partitions = if let To::Topic(partitions) = to { *partitions } else { 10 };
    let topic = world.cluster.create_topic("t", partitions, &mut world.rng);
    // As they would be in a cluster that someone looks after.
    for (at, partition) in (0..).zip(&mut world.cluster.topics[topic].partitions) {
        partition.leader = 1 + at % 3;
    }
    world.cluster.learn_all();
    world.core().topic(world.now, "t");
    world.run_for(Duration::from_secs(1));
    let TopicStatus::Ready(handle) = world.core().topic(world.now, "t") else { panic!("the topic is known") };
    let group = if let To::Group(members) = to { Some(world.core().group(handle, members)) } else { None };
    let requests = world.produce_requests;
    for burst in 0..BURSTS {
        for at in 0..BURST {
            let nth = burst * BURST + at;
            let key = (!matches!(to, To::Topic(_))).then(|| format!("key-{}", nth * 7919 % 1000).into_bytes());
            let placement = match (to, group) {
                (To::Keys(among), _) => Placement::Partition(among[nth * 7919 % 1000 % among.len()] as i32),
                (_, Some(group)) => Placement::Group(group),
                _ => Placement::Default,
            };
            let (number, record) = world.load.record(key, Some(100), wall_ms(world.now));
            world.load.backlog.push_back(Planned { topic: "t".to_owned(), placement, number, record, accepted: None });
        }
        world.admit();
        world.run_for(Duration::from_millis(1));
    }
    finish(&mut world);
    assert!(world.violations.is_empty(), "{:?}", world.violations);
    assert_eq!(world.ledger.written(), BURSTS * BURST);
    let partitions = &world.cluster.topics[topic].partitions;
    (partitions.iter().map(|partition| partition.log.batches.len()).sum(), world.produce_requests - requests)
}

#[test]
fn a_group_takes_no_more_batches_and_requests_than_a_topic_of_its_size() {
    for group in [&[7, 2, 5][..], &[0, 1, 2, 3, 4, 5]] {
        for seed in 0..5 {
            let (batches, requests) = run(&To::Group(group), seed);
            let (topics_batches, topics_requests) = run(&To::Topic(group.len() as i32), seed);
            println!(
                "{} partitions: {batches} batches, {requests} requests; a topic: {topics_batches}, {topics_requests}",
                group.len()
            );
            assert!(batches <= topics_batches * 11 / 10, "{batches} batches, {topics_batches} on a topic");
            assert!(requests <= topics_requests * 11 / 10, "{requests} requests, {topics_requests} on a topic");
            // What a placement by partitions costs, for the same records.
            let (of_keys, _) = run(&To::Keys(group), seed);
            assert!(of_keys > 2 * batches, "{of_keys} batches by keys, {batches} by group");
        }
    }
}
