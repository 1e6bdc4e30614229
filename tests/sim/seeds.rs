//! A run from a seed: its own configuration, cluster, load and weather; then faults end and everything has to drain.

use crate::cluster::{Cluster, versions};
use crate::faults::{Fault, Rates};
use crate::rng::Rng;
use crate::world::{Event, World};
use pointsman::core::{Compression, CoreConfig, MemoryPool};
use std::time::Duration;

pub struct Report {
    pub seed: u64,
    pub hash: u64,
    pub violations: Vec<String>,
    pub tail: Vec<String>,
    pub written: usize,
    pub failed: usize,
}

pub fn run(seed: u64) -> Report {
    let mut rng = Rng::new(seed);
    let config = draw_config(&mut rng);
    let mut world = World::new(config, draw_cluster(&mut rng), rng.next());
    settle(&mut world, &mut rng);
    let rates = Rates::draw(&mut rng);
    world.begin_faults(rates);
    let records = *rng.pick(&[30, 200, 600]);
    world.begin_load(records);
    // The load paces itself; a part of the seeds closes in the middle of it, with faults going on.
    let end = world.now + Duration::from_secs(rng.between(5, 120));
    let closes_early = rng.chance(150);
    world.run_until(end, |world| !closes_early && world.load.is_over() && world.core().is_idle());
    if closes_early && rng.chance(300) {
        world.ledger.abandoned = true;
        world.core().abandon();
        world.trace.line(world.now, || "abandoned".to_owned());
    }
    finish(&mut world);
    Report {
        seed,
        hash: world.trace.hash,
        violations: world.violations,
        tail: world.trace.lines.into(),
        written: world.ledger.written(),
        failed: world.ledger.failed(),
    }
}

/// Ends faults and load, closes, and waits until nothing is under way; then checks everything.
pub fn finish(world: &mut World) {
    world.end_faults();
    world.load.remaining = 0;
    let bound = world.drain_bound();
    let end = world.now + bound;
    // A topic that never came takes its records with it.
    let known: Vec<_> =
        world.cluster.topics.iter().filter(|topic| topic.exists).map(|topic| topic.name.to_string()).collect();
    world.load.waiting.retain(|name, _| known.contains(name));
    world.core().close(world.now);
    world.trace.line(world.now, || "close".to_owned());
    let drained = world.run_until(end, |world| world.load.is_over() && world.core().is_idle());
    if !drained && world.violations.is_empty() {
        let open: Vec<_> = world.ledger.entries.iter().filter(|(_, entry)| entry.done.is_none()).take(5).collect();
        let open: Vec<_> =
            open.iter().map(|(number, entry)| format!("{number} of {}-{}", entry.topic, entry.partition)).collect();
        let (backlog, waiting) = (world.load.backlog.len(), world.load.waiting.len());
        world.violation(format!("not drained {bound:?} after the last fault: {open:?}, {backlog} wait for memory, {waiting} topics waited for"));
    }
    // What still travels may arrive: it must change nothing that was told.
    world.run_for(Duration::from_secs(60));
    if world.violations.is_empty() {
        world.check();
    }
}

impl World {
    /// How long recovery may take: a stalled connection has to time out, twice if the first retry meets another one,
    /// and backoffs have to run out.
    pub fn drain_bound(&self) -> Duration {
        3 * self.config.request_timeout
            + 10 * (self.config.retry_backoff_max + self.config.reconnect_backoff_max)
            + Duration::from_secs(10)
    }
}

pub fn draw_config(rng: &mut Rng) -> CoreConfig {
    let (acks, idempotence) =
        *rng.pick(&[(-1, true), (-1, true), (-1, true), (-1, true), (-1, false), (1, false), (0, false)]);
    let request_timeout = rng.millis(500, 5_000);
    let linger = *rng.pick(&[Duration::ZERO, Duration::from_millis(5), Duration::from_millis(50)]);
    let retry_backoff = rng.millis(1, 200);
    let batch_size = *rng.pick(&[0, 200, 1_000, 16_384]);
    CoreConfig {
        bootstrap: Vec::new(),
        acks,
        idempotence,
        transactions: None,
        batch_size,
        // Not drawn by itself, so that all the others are what they were.
        batch_size_max: if request_timeout.as_millis().is_multiple_of(2) { 4 * batch_size } else { 0 },
        compression: *rng.pick(&[Compression::None, Compression::None, Compression::Lz4(9), Compression::Zstd(1)]),
        linger,
        max_request_size: *rng.pick(&[2_000, 20_000, 1_048_576]),
        max_in_flight: *rng.pick(&[1, 2, 5, 5, 5]),
        retries: if idempotence || rng.chance(800) { i32::MAX as u32 } else { 2 },
        retry_backoff,
        retry_backoff_max: retry_backoff * 5,
        reconnect_backoff: rng.millis(1, 50),
        reconnect_backoff_max: rng.millis(50, 1_000),
        request_timeout,
        delivery_timeout: linger + request_timeout + *rng.pick(&[0, 5, 20, 120].map(Duration::from_secs)),
        metadata_max_age: *rng.pick(&[Duration::from_secs(2), Duration::from_secs(300)]),
        connections_max_idle: *rng.pick(&[Duration::from_secs(3), Duration::from_secs(540)]),
        ignore_keys: false,
        principal: "User:sim".into(),
        memory: MemoryPool::new(*rng.pick(&[40_000, 200_000, 32 << 20])),
        adaptive: rng.chance(800),
        availability_timeout: rng.chance(300).then_some(Duration::from_millis(100)),
        metadata_max_idle: *rng.pick(&[Duration::from_secs(5), Duration::from_secs(300)]),
        rebootstrap_trigger: *rng.pick(&[None, Some(Duration::from_secs(2)), Some(Duration::from_secs(300))]),
        may_block: || true,
        windows: pointsman::core::Windows::default(),
    }
}

pub fn draw_cluster(rng: &mut Rng) -> Cluster {
    let count = rng.between(1, 5) as i32;
    let mut cluster = Cluster::new(count);
    let produce = *rng.pick(&[13, 13, 13, 12, 11, 9, 8, 7, 3]);
    for broker in cluster.brokers.values_mut() {
        // A cluster in the middle of an upgrade.
        let own = if rng.chance(100) { *rng.pick(&[13, 11, 8]) } else { produce };
        broker.versions = versions(own);
    }
    cluster
}

pub fn settle(world: &mut World, rng: &mut Rng) {
    world.config.bootstrap = world.cluster.brokers.values().map(|broker| (broker.host.clone(), broker.port)).collect();
    let bootstrap = 1 + rng.index(world.config.bootstrap.len());
    world.config.bootstrap.truncate(bootstrap);
    world.timer_slack = *rng.pick(&[Duration::ZERO, Duration::from_millis(1)]);
    world.seal_delay_us = *rng.pick(&[0, 0, 500, 20_000]);
    *world.core() = pointsman::core::Core::new(world.config.clone(), rng.next(), world.now);
    for at in 0..rng.between(1, 4) {
        let (name, count) = (format!("t{at}"), rng.between(1, 8) as i32);
        let topic = world.cluster.create_topic(&name, count, rng);
        world.cluster.topics[topic].max_message_bytes = if rng.chance(120) { 600 } else { 1_048_588 };
        world.cluster.topics[topic].compacted = rng.chance(60);
        world.load.topics.push((name, count));
        if rng.chance(300) {
            // It is made while records for it already wait.
            world.cluster.topics[topic].exists = false;
            let appears = rng.millis(0, 3_000);
            world.after(appears, Event::Fault(Fault::TopicAppears(topic)));
        } else {
            for broker in world.cluster.brokers.keys().copied().collect::<Vec<_>>() {
                (0..count).for_each(|number| world.cluster.learn(broker, (topic, number)));
            }
        }
    }
    world.load.pause_us = *rng.pick(&[100, 2_000, 50_000]);
    world.load.value_max = *rng.pick(&[20, 200, 1_500]);
    world.load.keys = *rng.pick(&[1, 10, 1_000]);
    world.load.with_tokens = rng.chance(700);
}
