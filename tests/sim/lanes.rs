//! The simulator with lanes before the core: records pass plugins that fail by chance, in one lane or in several whose
//! steps come in an order that the seed draws. Order, exactly once, and what each policy promises are checked.

mod plan;
mod plugins;

use crate::check::{Entry, Told};
use crate::cluster::wall_ms;
use crate::faults::Rates;
use crate::load::Planned;
use crate::rng::Rng;
use crate::seeds::{Report, draw_cluster, draw_config, settle};
use crate::world::{Event, World};
pub use plan::{ChainPlan, Passage};
use plugins::{DEAD, Heard};
use pointsman::core::time::{Clock, Instant};
use pointsman::core::{Action, Placement};
use pointsman::error::ProduceError;
use pointsman::plugin::Routes;
use pointsman::{Delivery, Header, InLine, Record, RecordMetadata, Sent, SteppedLanes, SteppedOptions};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Virtual time, as lanes read it.
#[derive(Default)]
pub struct VirtualClock(AtomicU64);

impl VirtualClock {
    pub fn set(&self, now: Instant) {
        self.0.store(now.as_nanos(), Ordering::Relaxed);
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Instant {
        Instant::from_nanos(self.0.load(Ordering::Relaxed))
    }

    fn wall_ms(&self) -> i64 {
        wall_ms(self.now())
    }

    fn tick(&self) -> u64 {
        self.now().as_nanos() / 4_000_000
    }
}

type Call = (u64, Result<RecordMetadata, ProduceError>);

pub struct Lanes {
    stepped: SteppedLanes,
    pub clock: Arc<VirtualClock>,
    /// A lane's thread gets to its work within this.
    delay_us: u64,
    /// What the core has to say, until the driver passes it on: the lanes may look at the core before.
    said: VecDeque<Action>,
    driver_delay_us: u64,
    scheduled: Vec<Option<Instant>>,
    open: Vec<(u64, Delivery)>,
    in_line: Vec<(u64, InLine)>,
    calls: Arc<Mutex<Vec<Call>>>,
    heard: Arc<Mutex<Heard>>,
    /// Whether on-acknowledgement always works.
    hears_all: bool,
    instances: u32,
    /// Draws when other chains come in the place of those that there are, if they do; and how often they did.
    swaps: Option<Rng>,
    generation: u8,
    /// Lanes that have taken a chain, and those that were to.
    taken: (Arc<AtomicU32>, u32),
    flushes: Vec<Arc<AtomicU32>>,
    /// What callbacks and flushes found wrong.
    wrong: Arc<Mutex<Vec<String>>>,
}

impl Lanes {
    /// The driver has something to pass on, and does so within the time that is returned.
    pub fn say(&mut self, action: Action, rng: &mut Rng) -> Duration {
        self.said.push_back(action);
        Duration::from_micros(rng.below(self.driver_delay_us + 1))
    }

    pub fn admit(&self) -> bool {
        self.stepped.admit()
    }

    /// How much later than without lanes something may be told.
    pub fn slack(&self) -> Duration {
        Duration::from_micros(2 * self.delay_us + self.driver_delay_us) + Duration::from_millis(101)
    }

    fn is_idle(&self) -> bool {
        self.open.is_empty() && self.in_line.is_empty() && self.said.is_empty()
    }
}

impl World {
    fn lanes(&mut self) -> &mut Lanes {
        self.lanes.as_mut().expect("there are lanes")
    }

    /// A draw of what stands before the core.
    fn begin_lanes(&mut self, rng: &mut Rng, swaps: Option<Rng>) {
        let several = rng.chance(300) && self.load.topics.len() > 1;
        let moves_to = (!several && rng.chance(250)).then(|| self.load.topics[0].0.clone());
        let plans: Vec<ChainPlan> =
            (0..if several { 2 } else { 1 }).map(|_| ChainPlan::draw(rng, moves_to.clone())).collect();
        self.trace.line(self.now, || format!("{plans:?}"));
        let heard = Arc::default();
        let fails_to_hear = rng.chance(300);
        let mut chains = Vec::new();
        for plan in &plans {
            chains.push((0..plan.lanes).map(|_| plan.chain(rng, 0, fails_to_hear, &heard)).collect());
        }
        let mut routes = Routes::default();
        if several {
            routes.name(&self.load.topics[1].0, 1);
        }
        let count: usize = plans.iter().map(|plan| plan.lanes).sum();
        let options = SteppedOptions {
            max_block: *rng.pick(&[Duration::from_secs(2), Duration::from_secs(60)]),
            delivery_timeout: self.config.delivery_timeout,
            staged_max: (4 << 20).min(self.config.memory.total() / 8.max(2 * count)).max(1),
        };
        let clock = Arc::new(VirtualClock::default());
        clock.set(self.now);
        let (core, memory) = (self.shared_core(), self.config.memory.clone());
        let stepped = SteppedLanes::new(&options, chains, routes, core, memory, Arc::clone(&clock) as Arc<dyn Clock>);
        self.lanes = Some(Lanes {
            scheduled: vec![None; stepped.count()],
            stepped,
            clock,
            delay_us: *rng.pick(&[0, 100, 5_000, 100_000]),
            said: VecDeque::new(),
            driver_delay_us: *rng.pick(&[0, 0, 100, 5_000]),
            open: Vec::new(),
            in_line: Vec::new(),
            calls: Arc::default(),
            heard,
            hears_all: !fails_to_hear,
            instances: plans.iter().map(|plan| (plan.lanes * plan.all().count()) as u32).sum(),
            swaps,
            generation: 0,
            taken: Default::default(),
            flushes: Vec::new(),
            wrong: Arc::default(),
        });
        self.ledger.chains = plans;
        self.load.value_min = 8;
    }

    /// Other chains of the same plans come in the place of those that there are, perhaps.
    fn swap_perhaps(&mut self) {
        let lanes = self.lanes.as_mut().expect("there are lanes");
        let Some(rng) = lanes.swaps.as_mut().filter(|_| lanes.generation < u8::MAX) else { return };
        if !rng.chance(40) {
            return;
        }
        lanes.generation += 1;
        let (generation, fails_to_hear) = (lanes.generation, !lanes.hears_all);
        let mut chains = Vec::new();
        for plan in &self.ledger.chains {
            let chain = |_| plan.chain(rng, generation, fails_to_hear, &lanes.heard);
            chains.push((0..plan.lanes).map(chain).collect());
            // Those that the last ones make room for are closed, too.
            lanes.instances += (plan.lanes * plan.all().count()) as u32;
        }
        // It goes on with what it was told of topics.
        let stays: BTreeSet<String> = rng.chance(500).then(|| "partitioner".to_owned()).into_iter().collect();
        let taken = Arc::clone(&lanes.taken.0);
        lanes.taken.1 += lanes.stepped.count() as u32;
        lanes.stepped.swap(chains, stays.clone(), move || _ = taken.fetch_add(1, Ordering::AcqRel));
        self.trace.line(self.now, || format!("chains of generation {generation}, {stays:?} stays"));
    }

    pub fn send_by_lane(&mut self, planned: Planned) {
        self.swap_perhaps();
        let Planned { topic, placement, number, record, .. } = planned;
        let partition = match placement {
            Placement::Partition(partition) => Some(partition),
            _ => None,
        };
        let (with_callback, may_wait) = (self.load.rng.chance(700), self.load.rng.chance(900));
        let takes_back = self.load.rng.chance(100);
        let chain = usize::from(self.ledger.chains.len() > 1 && topic == self.load.topics[1].0);
        let stream = self.ledger.chains[chain].stream(chain, &topic, partition, record.key.as_deref());
        let called = Arc::new(AtomicU32::new(0));
        let lanes = self.lanes();
        let callback = with_callback.then(|| {
            let (calls, called) = (Arc::clone(&lanes.calls), Arc::clone(&called));
            Box::new(move |result| {
                called.fetch_add(1, Ordering::Relaxed);
                calls.lock().unwrap().push((number, result));
            }) as Box<dyn FnOnce(_) + Send>
        });
        let names = record.headers.iter().map(|(name, value)| (std::str::from_utf8(name).expect("ours"), value));
        let headers: Vec<Header<'_>> = names.map(|(name, value)| Header { name, value: value.as_deref() }).collect();
        let sent = lanes.stepped.send(
            &Record {
                partition,
                timestamp: Some(record.timestamp),
                key: record.key.as_deref(),
                value: record.value.as_deref(),
                headers: &headers,
                ..Record::to(&topic)
            },
            callback,
            may_wait,
        );
        let what = match &sent {
            Sent::Accepted(_) => "accepted".to_owned(),
            Sent::InLine(_) => "in line".to_owned(),
            Sent::Refused(error) => format!("refused: {error}"),
        };
        match sent {
            Sent::Accepted(delivery) => lanes.open.push((number, delivery)),
            Sent::InLine(waiting) if takes_back && lanes.stepped.cancel(&waiting) => {
                return self.trace.line(self.now, || format!("send {number} to {topic}, taken back"));
            }
            Sent::InLine(waiting) => lanes.in_line.push((number, waiting)),
            Sent::Refused(_) => return self.trace.line(self.now, || format!("send {number} to {topic} {what}")),
        }
        self.trace.line(self.now, || format!("send {number} to {topic} {partition:?} {:?}: {what}", record.key));
        let order = self.ledger.next_order;
        self.ledger.next_order += 1;
        let entry = Entry {
            topic: topic.clone(),
            partition: -1,
            record,
            order,
            accepted: self.now,
            appended: self.now,
            sent: 0,
            done: None,
            stream,
            passage: Some(Passage { chain, topic, explicit: partition.is_some(), letter: false }),
            callbacks: u32::from(with_callback),
            called,
        };
        self.ledger.entries.insert(number, entry);
    }

    pub fn flush_lanes(&mut self) {
        let before = self.ledger.entries.iter().filter(|(_, entry)| entry.callbacks > 0);
        // Who is in line is not staged.
        let waits: BTreeSet<u64> =
            self.lanes.iter().flat_map(|lanes| &lanes.in_line).map(|(number, _)| *number).collect();
        let before: Arc<[u64]> = before.map(|(number, _)| *number).filter(|number| !waits.contains(number)).collect();
        let lanes = self.lanes();
        let count = lanes.stepped.count() as u32;
        let flushed = Arc::new(AtomicU32::new(0));
        lanes.flushes.push(Arc::clone(&flushed));
        let (calls, wrong) = (Arc::clone(&lanes.calls), Arc::clone(&lanes.wrong));
        lanes.stepped.flush(move || {
            if flushed.fetch_add(1, Ordering::AcqRel) + 1 == count {
                let called: BTreeSet<u64> = calls.lock().unwrap().iter().map(|(number, _)| *number).collect();
                let missing: Vec<_> = before.iter().filter(|number| !called.contains(number)).collect();
                if !missing.is_empty() {
                    wrong.lock().unwrap().push(format!("a flush ended before the callbacks of {missing:?}"));
                }
            }
        });
    }

    /// The driver passes on what the core said first, if anything is left by now.
    pub fn pass_on(&mut self) {
        let lanes = self.lanes();
        if let Some(action) = lanes.said.pop_front() {
            lanes.stepped.handle(action);
        }
    }

    /// Its thread comes to the lane.
    pub fn lane_step(&mut self, lane: usize) {
        let now = self.now;
        let lanes = self.lanes();
        // An earlier one may have come in the meantime.
        if lanes.scheduled[lane].is_none_or(|at| at > now) {
            return;
        }
        lanes.scheduled[lane] = None;
        let patience = lanes.stepped.step(lane);
        self.trace.line(now, || format!("lane {lane} has done a step"));
        if let Some(patience) = patience {
            self.lanes().scheduled[lane] = Some(now + patience);
            self.at(now + patience, Event::Lane(lane));
        }
    }

    /// Sees who was admitted, what is delivered, and which lane has something to do.
    pub fn look_after_lanes(&mut self) {
        let Some(mut lanes) = self.lanes.take() else { return };
        let mut wrong = Vec::new();
        lanes.in_line.retain(|(number, waiting)| {
            let Some(outcome) = waiting.poll() else { return true };
            match outcome {
                Ok(delivery) => {
                    self.trace.line(self.now, || format!("{number} is accepted"));
                    self.ledger.entries.get_mut(number).expect("it was sent").accepted = self.now;
                    lanes.open.push((*number, delivery));
                }
                Err(error) => {
                    self.trace.line(self.now, || format!("{number} is refused: {error}"));
                    let entry = self.ledger.entries.remove(number).expect("it was sent");
                    if entry.sent > 0 {
                        wrong.push(format!("record {number} was refused and had left"));
                    }
                }
            }
            false
        });
        let heard = lanes.heard.lock().unwrap();
        lanes.open.retain(|(number, delivery)| {
            let Some(result) = delivery.try_result() else { return true };
            self.trace.line(self.now, || format!("{number} is told {result:?}"));
            let entry = self.ledger.entries.get_mut(number).expect("it was sent");
            let plan = &self.ledger.chains[entry.passage.as_ref().expect("it came by a lane").chain];
            wrong.extend(entry.told(self.now, *number, plan, result));
            for drawn in &plan.interceptors {
                let which = (drawn.name.clone(), *number);
                let (tagged, told) = (heard.tagged.get(&which), heard.told.get(&which));
                if lanes.hears_all && drawn.breaker.incidents == 0 && tagged != told {
                    wrong.push(format!("record {number} is told and {} heard {told:?} of {tagged:?}", drawn.name));
                }
            }
            false
        });
        drop(heard);
        for lane in 0..lanes.scheduled.len() {
            let at = self.now + Duration::from_micros(self.rng.below(lanes.delay_us + 1));
            if lanes.stepped.has_work(lane) && lanes.scheduled[lane].is_none_or(|scheduled| scheduled > at) {
                lanes.scheduled[lane] = Some(at);
                self.at(at, Event::Lane(lane));
            }
        }
        self.lanes = Some(lanes);
        wrong.into_iter().for_each(|wrong| self.violation(wrong));
    }
}

pub fn run(seed: u64) -> Report {
    let mut rng = Rng::new(!seed);
    let config = draw_config(&mut rng);
    let mut world = World::new(config, draw_cluster(&mut rng), rng.next());
    settle(&mut world, &mut rng);
    let dead = world.cluster.create_topic(DEAD, 2, &mut rng);
    for broker in world.cluster.brokers.keys().copied().collect::<Vec<_>>() {
        (0..2).for_each(|number| world.cluster.learn(broker, (dead, number)));
    }
    // In an order of its own, so that seeds without it are what they were.
    let mut swaps = Rng::new(seed.rotate_left(23));
    let swaps = swaps.chance(300).then_some(swaps);
    world.begin_lanes(&mut rng, swaps);
    let rates = Rates::draw(&mut rng);
    let is_never_made_anew = rates.made_anew == 0;
    world.begin_faults(rates);
    world.begin_load(*rng.pick(&[30, 200, 600]));
    let end = world.now + Duration::from_secs(rng.between(5, 120));
    let closes_early = rng.chance(150);
    world.run_until(end, |world| {
        !closes_early
            && world.load.is_over()
            && world.core().is_idle()
            && world.lanes.as_ref().is_none_or(Lanes::is_idle)
    });
    if closes_early && rng.chance(300) {
        world.ledger.abandoned = true;
        world.core().abandon();
        world.lanes().stepped.abandon();
        world.trace.line(world.now, || "abandoned".to_owned());
    }
    finish(&mut world);
    if world.violations.is_empty() {
        let in_log_order = world.config.idempotence && is_never_made_anew && !world.cluster.failed_after_append;
        world.check_callbacks(in_log_order);
    }
    let (written, failed) = (world.ledger.written(), world.ledger.failed());
    Report {
        seed,
        hash: world.trace.hash,
        violations: world.violations,
        tail: world.trace.lines.into(),
        written,
        failed,
    }
}

/// As the producer closes.
fn finish(world: &mut World) {
    world.end_faults();
    world.load.remaining = 0;
    let end = world.now + world.drain_bound() + Duration::from_secs(60);
    let flushed = Arc::new(AtomicU32::new(0));
    let count = world.lanes().stepped.count() as u32;
    world.lanes().stepped.close();
    world.core().close(world.now);
    let done = Arc::clone(&flushed);
    world.lanes().stepped.flush_closed(move || _ = done.fetch_add(1, Ordering::AcqRel));
    world.trace.line(world.now, || "close".to_owned());
    world.look_after_lanes();
    let is_drained = |world: &World| world.core().is_idle() && world.lanes.as_ref().is_none_or(Lanes::is_idle);
    if !world.run_until(end, is_drained) && world.violations.is_empty() {
        let open: Vec<_> = world.lanes().open.iter().map(|(number, _)| *number).take(5).collect();
        world.violation(format!("not drained: {open:?}"));
    }
    world.run_for(Duration::from_secs(1));
    world.lanes().stepped.stop();
    world.look_after_lanes();
    // What still travels may arrive: it must change nothing that was told.
    world.run_for(Duration::from_secs(60));
    if !world.violations.is_empty() {
        return;
    }
    let lanes = world.lanes();
    let mut wrong = std::mem::take(&mut *lanes.wrong.lock().unwrap());
    if !lanes.stepped.is_over() {
        wrong.push("a lane has not ended".to_owned());
    }
    if flushed.load(Ordering::Acquire) != count {
        wrong.push("what waits for the end was not told of it".to_owned());
    }
    if lanes.taken.0.load(Ordering::Acquire) != lanes.taken.1 {
        wrong.push("a lane has not taken a chain".to_owned());
    }
    if lanes.flushes.iter().any(|flushed| flushed.load(Ordering::Acquire) != count) {
        wrong.push("a flush has not ended".to_owned());
    }
    let heard = lanes.heard.lock().unwrap();
    if heard.closed != lanes.instances {
        wrong.push(format!("{} of {} instances were closed", heard.closed, lanes.instances));
    }
    for (which, times) in heard.told.iter().chain(&heard.tagged).filter(|(_, times)| **times != 1) {
        wrong.push(format!("{which:?} heard or tagged {times} times"));
    }
    drop(heard);
    wrong.into_iter().for_each(|wrong| world.violation(wrong));
    world.check();
}

impl World {
    /// They say what the deliveries say and, per partition, come in log order.
    fn check_callbacks(&mut self, in_log_order: bool) {
        let calls = std::mem::take(&mut *self.lanes().calls.lock().unwrap());
        let mut last: BTreeMap<(Arc<str>, i32), i64> = BTreeMap::new();
        let mut wrong = Vec::new();
        for (number, result) in calls {
            let Some(entry) = self.ledger.entries.get(&number) else { continue };
            match (&result, &entry.done) {
                (Ok(metadata), Some((_, Told::Written(offset)))) if metadata.offset == *offset => {
                    let place = (metadata.topic.to_shared(), metadata.partition);
                    let Some(offset) = *offset else { continue };
                    if last.insert(place, offset).is_some_and(|before| in_log_order && before >= offset) {
                        wrong.push(format!("the callback of record {number} at {offset} came behind a later one's"));
                    }
                }
                (Err(_), Some((_, Told::Failed(_)))) | (Err(ProduceError::DeadLettered { .. }), _) => {}
                _ => wrong.push(format!("record {number} was called with {result:?}, and told {:?}", entry.done)),
            }
        }
        wrong.into_iter().take(5).for_each(|wrong| self.violation(wrong));
    }
}
