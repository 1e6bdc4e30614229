//! What a program does with its producer, from a seed: transactions of all sizes, some with offsets, some aborted on purpose,
//! each right behind the one before or after a while.

use super::Stage;
use crate::cluster::{Cluster, versions, wall_ms};
use crate::coordinators::Age;
use crate::faults::Rates;
use crate::load::Planned;
use crate::rng::Rng;
use crate::seeds::{self, Report};
use crate::world::{Event, World};
use pointsman::core::{Core, CoreConfig, MemoryPool, Placement, TransactionConfig};
use pointsman::{ConsumerGroupMetadata, TransactionError};
use std::time::Duration;

const ID: &str = "transfers";
const GROUP: &str = "group";

/// What is left to do.
pub struct Script {
    rng: Rng,
    /// Transactions.
    left: usize,
    /// Of the one that is open.
    records: usize,
    offsets: usize,
    commits: bool,
    hurries: bool,
    next_offset: i64,
}

impl Script {
    fn new(rng: Rng, producer: usize, left: usize) -> Script {
        let next_offset = 1_000_000 * (producer as i64 + 1);
        Script { rng, left, records: 0, offsets: 0, commits: true, hurries: true, next_offset }
    }

    fn draw(&mut self) {
        self.left -= 1;
        self.records = match self.rng.below(10) {
            0 => 0,
            1..=5 => self.rng.between(1, 4) as usize,
            6..=8 => self.rng.between(5, 20) as usize,
            _ => self.rng.between(20, 60) as usize,
        };
        self.offsets = if self.rng.chance(300) { self.rng.between(1, 3) as usize } else { 0 };
        self.commits = self.rng.chance(750);
        self.hurries = self.rng.chance(600);
    }
}

pub fn run(seed: u64) -> Report {
    let mut rng = Rng::new(seed);
    let mut world = draw_world(&mut rng);
    let weather = draw_rates(&mut rng);
    world.begin_faults(weather);
    let count = rng.between(4, 24) as usize;
    world.begin_program(0, Script::new(rng.fork(), 0, count));
    if rng.chance(300) {
        let at = rng.millis(100, 20_000);
        world.after(at, Event::Successor { kills: rng.chance(500) });
    }
    if world.cluster.coordinators.version < 2 && rng.chance(300) {
        let at = rng.millis(100, 20_000);
        world.after(at, Event::Upgrade);
    }
    let end = world.now + Duration::from_secs(rng.between(5, 60));
    world.run_until(end, World::programs_are_over);
    finish(&mut world);
    let is_committed = |of: &&super::Transaction| of.stage == Stage::Committed;
    let committed = world.transactions.transactions.iter().filter(is_committed).count();
    Report {
        seed,
        hash: world.trace.hash,
        violations: std::mem::take(&mut world.violations),
        tail: std::mem::take(&mut world.trace.lines).into(),
        written: committed,
        failed: world.transactions.transactions.len() - committed,
    }
}

fn draw_world(rng: &mut Rng) -> World {
    let drawn = seeds::draw_config(rng);
    let config = CoreConfig {
        acks: -1,
        idempotence: true,
        retries: i32::MAX as u32,
        memory: MemoryPool::new(32 << 20),
        transactions: Some(TransactionConfig {
            id: ID.into(),
            timeout: *rng.pick(&[5, 20, 60].map(Duration::from_secs)),
            max_block: *rng.pick(&[200, 2_000, 60_000].map(Duration::from_millis)),
        }),
        ..drawn
    };
    let mut cluster = Cluster::new(rng.between(1, 5) as i32);
    let second = rng.chance(500);
    let produce = if second { *rng.pick(&[13, 12]) } else { *rng.pick(&[13, 13, 12, 11, 9, 8, 7]) };
    for broker in cluster.brokers.values_mut() {
        broker.versions = versions(produce);
        broker.versions.transaction_version = if second { 2 } else { i16::from(produce > 11) };
    }
    cluster.coordinators.version = if second { 2 } else { 0 };
    cluster.coordinators.verifies = produce >= 10 && rng.chance(800);
    cluster.coordinators.age = *rng.pick(&[Age::Twice, Age::Once, Age::Fences]);
    // Some run out of epochs.
    cluster.coordinators.first_epoch = if rng.chance(150) { i16::MAX - rng.between(2, 9) as i16 } else { 0 };
    let mut world = World::new(config, cluster, rng.next());
    seeds::settle(&mut world, rng);
    *world.core() = Core::new(world.config.clone(), rng.next(), world.now);
    world
}

fn draw_rates(rng: &mut Rng) -> Rates {
    let drawn = Rates::draw(rng);
    // The worse the weather, the worse for coordinators, too.
    let overall = if drawn.pause_ms < 1_000 { 100 } else { 40 };
    let mut rate = |most: u64| if rng.chance(400) { rng.between(0, most * overall / 100) as u32 } else { 0 };
    Rates {
        coordinator_refuse: rate(200),
        coordinator_fail: rate(100),
        slow_markers: rate(500),
        lose_verification: rate(100),
        coordinator_moves: rate(300),
        // Each throws a transaction away.
        unauthorized: drawn.unauthorized / 2,
        made_anew: drawn.made_anew / 2,
        ..drawn
    }
}

/// Ends the faults and lets programs come to their end, then everything else.
pub fn finish(world: &mut World) {
    world.end_faults();
    for program in world.transactions.programs.values_mut() {
        if let Some(script) = &mut program.script {
            script.left = script.left.min(2);
        }
    }
    let bound = 4 * world.drain_bound() + Duration::from_secs(60);
    let end = world.now + bound;
    let is_over = world.run_until(end, World::programs_are_over);
    if !is_over && world.violations.is_empty() {
        let (transactions, programs) = (&world.transactions.transactions, &world.transactions.programs);
        let stuck: Vec<_> = programs
            .iter()
            .map(|(producer, of)| {
                (producer, of.running, of.open.map(|at| transactions[at].stage), of.line.len(), of.heard.clone())
            })
            .collect();
        world.violation(format!("not over {bound:?} after the last fault: {stuck:?}"));
    }
    for producer in 0..world.transactions.programs.len() {
        if world.is_alive(producer) {
            world.as_producer(producer, |world| world.core().close(world.now));
        }
    }
    world.drain();
    // What still travels may arrive, and what is left open is aborted for its age.
    let timeout = world.config.transactions.as_ref().map(|config| config.timeout).unwrap_or_default();
    world.run_for(timeout + Duration::from_secs(70));
    if world.violations.is_empty() {
        world.check();
        world.check_transactions();
    }
}

impl World {
    fn begin_program(&mut self, producer: usize, script: Script) {
        let program = self.transactions.programs.entry(producer).or_default();
        program.script = Some(script);
        self.init(producer);
    }

    /// Whether every program has done all that it was to do, or cannot.
    fn programs_are_over(&self) -> bool {
        let is_over = |(producer, program): (&usize, &super::Program)| {
            let script_is_over = program.script.as_ref().is_none_or(|script| script.left == 0);
            let is_ended = matches!(&program.heard, Some(Err(error)) if error.is_fatal());
            !self.is_alive(*producer)
                || is_ended
                || (script_is_over && program.open.is_none() && program.running.is_none())
        };
        self.transactions.programs.iter().all(is_over)
    }

    /// The next thing that a program does.
    pub fn go_on(&mut self, producer: usize) {
        if !self.is_alive(producer) {
            return;
        }
        let Some(program) = self.transactions.programs.get_mut(&producer) else { return };
        let (open, waits) = (program.open, program.running.is_some());
        if waits {
            return;
        }
        match program.heard.take() {
            Some(Err(error)) if error.is_fatal() => {
                program.heard = Some(Err(error));
                return;
            }
            Some(Err(TransactionError::MustAbort { .. })) => return self.end(producer, false),
            Some(Err(TransactionError::SendsWait { .. })) => {
                return self.after(Duration::from_millis(20), Event::Program(producer));
            }
            Some(Err(_)) => return,
            Some(Ok(())) | None => {}
        }
        let Some(script) = &mut program.script else { return };
        if open.is_none() {
            if script.left == 0 {
                return;
            }
            script.draw();
            match self.begin(producer) {
                Ok(()) => {}
                // Behind a commit that was well.
                Err(error @ TransactionError::Fenced { .. }) => {
                    return self.as_producer(producer, |world| world.heard(Err(error)));
                }
                Err(error) => return self.violation(format!("producer {producer} cannot begin: {error}")),
            }
        }
        self.send_some(producer);
    }

    fn send_some(&mut self, producer: usize) {
        let Some(script) = self.transactions.programs.get_mut(&producer).and_then(|program| program.script.as_mut())
        else {
            return;
        };
        if script.records == 0 && script.offsets == 0 {
            let commits = script.commits;
            return self.end(producer, commits);
        }
        if script.records == 0 {
            let group = ConsumerGroupMetadata::of(GROUP);
            let offsets: Vec<(&str, i32, i64)> =
                (0..script.offsets).map(|at| ("input", at as i32, script.next_offset + at as i64)).collect();
            script.next_offset += script.offsets as i64;
            script.offsets = 0;
            return self.send_offsets(producer, &group, &offsets);
        }
        let burst = (script.rng.between(1, 12) as usize).min(script.records);
        script.records -= burst;
        let pause = match script.hurries {
            true => Duration::from_micros(script.rng.below(500)),
            false => script.rng.millis(0, 2_000),
        };
        let keeps_topic = script.rng.chance(500);
        let mut topic = script.rng.index(self.load.topics.len());
        for _ in 0..burst {
            let rng = &mut self
                .transactions
                .programs
                .get_mut(&producer)
                .and_then(|of| of.script.as_mut())
                .expect("as above")
                .rng;
            if !keeps_topic {
                topic = rng.index(self.load.topics.len());
            }
            let (name, count) = self.load.topics[topic].clone();
            let placement =
                if rng.chance(500) { Placement::Default } else { Placement::Partition(rng.below(count as u64) as i32) };
            let key = rng.chance(800).then(|| format!("k{}", rng.below(20)).into_bytes());
            let value = if rng.chance(20) { None } else { Some(rng.below(self.load.value_max) as usize) };
            let (number, record) = self.load.record(key, value, wall_ms(self.now));
            self.send_in_transaction(producer, Planned { topic: name, placement, number, record, accepted: None });
        }
        self.after(pause, Event::Program(producer));
    }

    /// A call took longer than its caller waits: it comes again at once, later, or not at all; or it has had enough.
    pub fn program_is_late(&mut self) {
        let producer = self.producer;
        let Some(program) = self.transactions.programs.get_mut(&producer) else { return };
        let Some(script) = &mut program.script else { return };
        if script.rng.chance(600) {
            self.call_again(producer);
        }
    }

    /// Another process takes the id over. The one before goes on as if nothing were, unless it is dead.
    pub fn begin_successor(&mut self, kills: bool) {
        let Some(before) = self.transactions.programs.get_mut(&0) else { return };
        let Some(script) = &mut before.script else { return };
        let (rng, left) = (script.rng.fork(), script.left.clamp(2, 8));
        if kills {
            self.kill(0);
            self.lose_transactions(0);
        }
        let producer = self.add_producer();
        self.trace.line(self.now, || format!("producer {producer} begins"));
        self.begin_program(producer, Script::new(rng, producer, left));
    }

    /// The finalized level of transaction.version: each connection keeps what it was told when it was made.
    pub fn upgrade(&mut self) {
        if self.cluster.brokers.values().any(|broker| broker.versions.apis[0].1.end() < &12) {
            return;
        }
        self.trace.line(self.now, || "transaction.version is 2".to_owned());
        self.cluster.coordinators.version = 2;
        for broker in self.cluster.brokers.values_mut() {
            broker.versions.transaction_version = 2;
        }
    }
}
