//! What goes wrong, how often, and what the cluster does meanwhile.

use crate::cluster::BatchFault;
use crate::cluster::{Broker, BrokerId, Topic, Tp};
use crate::network::{RequestFault, Side};
use crate::rng::Rng;
use crate::world::{Event, World};
use pointsman::protocol::error_code as code;
use pointsman::protocol::messages::MetadataRequest;
use std::time::Duration;

/// Something that befalls the cluster.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// The next one is drawn, and does what it does.
    Draw,
    BackInSync(Tp),
    BrokerBack(BrokerId),
    AuthorizedAgain(usize),
    TopicAppears(usize),
}

/// How often, in a thousand.
#[derive(Clone, Debug, Default)]
pub struct Rates {
    pub connect_refused: u32,
    pub connect_slow: u32,
    pub lose: u32,
    pub arrive_late: u32,
    pub lose_response: u32,
    pub cut_before: u32,
    pub cut_after: u32,
    pub delay: u32,
    pub slow_response: u32,
    pub refuse: u32,
    pub append_and_fail: u32,
    pub old_duplicate: u32,
    pub metadata_error: u32,
    pub init_error: u32,
    pub throttle: u32,
    pub replication_stalls: u32,
    /// A coordinator refuses, for reasons that pass.
    pub coordinator_refuse: u32,
    /// It does what it was asked, and says that it did not.
    pub coordinator_fail: u32,
    /// Markers are written late.
    pub slow_markers: u32,
    pub lose_verification: u32,
    /// Of a thousand draws of a fault of the cluster.
    pub coordinator_moves: u32,
    /// As above. draws of a fault of the cluster.
    pub leader_moves: u32,
    pub out_of_sync: u32,
    pub broker_crashes: u32,
    pub unauthorized: u32,
    pub cuts: u32,
    /// A topic is deleted and made again by the same name.
    pub made_anew: u32,
    /// How long brokers may not know what the controller has decided, in milliseconds.
    pub stale_ms: u64,
    /// Between two faults of the cluster, on average in milliseconds; 0 for none.
    pub pause_ms: u64,
}

impl Rates {
    pub fn none() -> Rates {
        Rates { stale_ms: 1, ..Rates::default() }
    }

    /// Each seed has its own weather: most kinds of fault are absent from most seeds, so that each also meets the
    /// producer alone.
    pub fn draw(rng: &mut Rng) -> Rates {
        let overall = *rng.pick(&[0u64, 20, 60, 150]);
        let mut rate = |most: u64| {
            let share = most * overall / 100;
            if rng.chance(450) { rng.between(0, share) as u32 } else { 0 }
        };
        Rates {
            connect_refused: rate(300),
            connect_slow: rate(200),
            lose: rate(40),
            arrive_late: rate(40),
            lose_response: rate(60),
            cut_before: rate(80),
            cut_after: rate(80),
            delay: rate(150),
            slow_response: rate(150),
            refuse: rate(150),
            append_and_fail: rate(120),
            old_duplicate: rate(300),
            metadata_error: rate(200),
            init_error: rate(500),
            throttle: rate(100),
            replication_stalls: rate(60),
            // Of those with transactions only, see `transactions`.
            coordinator_refuse: 0,
            coordinator_fail: 0,
            slow_markers: 0,
            lose_verification: 0,
            coordinator_moves: 0,
            leader_moves: rate(400),
            out_of_sync: rate(300),
            broker_crashes: rate(150),
            unauthorized: rate(40),
            cuts: rate(200),
            made_anew: rate(40),
            stale_ms: *rng.pick(&[1, 50, 500, 4_000]),
            pause_ms: *rng.pick(&[50, 200, 1_000, 5_000]),
        }
    }

    pub fn request_fault(&self, rng: &mut Rng) -> Option<RequestFault> {
        if rng.chance(self.lose) {
            return Some(RequestFault::Lose);
        }
        if rng.chance(self.arrive_late) {
            return Some(RequestFault::ArriveLate(rng.millis(10, 20_000)));
        }
        if rng.chance(self.lose_response) {
            return Some(RequestFault::LoseResponse);
        }
        if rng.chance(self.cut_before) {
            return Some(RequestFault::CutBefore);
        }
        if rng.chance(self.cut_after) {
            return Some(RequestFault::CutAfter);
        }
        rng.chance(self.delay).then(|| RequestFault::Delay(rng.millis(1, 3_000)))
    }

    pub fn batch_fault(&self, rng: &mut Rng) -> Option<BatchFault> {
        if rng.chance(self.refuse) {
            let codes = [
                code::KAFKA_STORAGE_ERROR,
                code::CORRUPT_MESSAGE,
                code::UNKNOWN_TOPIC_OR_PARTITION,
                code::NOT_ENOUGH_REPLICAS,
                code::NOT_LEADER_OR_FOLLOWER,
                code::LEADER_NOT_AVAILABLE,
            ];
            return Some(BatchFault::Refuse(*rng.pick(&codes)));
        }
        if rng.chance(self.append_and_fail) {
            let codes = [code::NOT_ENOUGH_REPLICAS_AFTER_APPEND, code::REQUEST_TIMED_OUT, code::NOT_LEADER_OR_FOLLOWER];
            return Some(BatchFault::AppendAndFail(*rng.pick(&codes)));
        }
        if self.lose_verification > 0 && rng.chance(self.lose_verification) {
            return Some(BatchFault::LoseVerification);
        }
        rng.chance(self.old_duplicate).then_some(BatchFault::OldDuplicate)
    }
}

impl World {
    pub fn begin_faults(&mut self, rates: Rates) {
        self.rates = rates;
        if self.rates.pause_ms > 0 {
            self.after(Duration::from_millis(self.rates.pause_ms), Event::Fault(Fault::Draw));
        }
    }

    /// Everything works from now on, and everybody knows the truth. Connections that are stalled stay so.
    pub fn end_faults(&mut self) {
        self.trace.line(self.now, || "faults end".to_owned());
        self.rates = Rates::none();
        (self.batch_script, self.request_script, self.throttle_next) = (None, None, None);
        (self.api_script, self.coordinator_script) = (None, None);
        for broker in self.cluster.brokers.keys().copied().collect::<Vec<_>>() {
            self.broker_back(broker);
        }
        for at in 0..self.cluster.topics.len() {
            self.cluster.topics[at].authorized = true;
        }
        for tp in self.cluster.partitions() {
            self.cluster.partition(tp).enough_in_sync = true;
            let (epoch, end_offset) = (self.cluster.partition(tp).epoch, self.cluster.partition(tp).log.end_offset());
            self.cluster.replicate(tp, epoch, end_offset);
        }
        self.cluster.learn_all();
        self.learn_all_seats();
        self.answer_waiting();
    }

    pub fn apply(&mut self, fault: Fault) {
        match fault {
            Fault::Draw if self.rates.pause_ms > 0 => {
                self.draw_fault();
                let pause = self.rng.between(1, 2 * self.rates.pause_ms);
                self.after(Duration::from_millis(pause), Event::Fault(Fault::Draw));
            }
            Fault::Draw => {}
            Fault::BackInSync(tp) => {
                self.cluster.partition(tp).enough_in_sync = true;
                self.answer_waiting();
            }
            Fault::BrokerBack(broker) => self.broker_back(broker),
            Fault::AuthorizedAgain(topic) => self.cluster.topics[topic].authorized = true,
            Fault::TopicAppears(topic) => {
                self.cluster.topics[topic].exists = true;
                self.spread_topic(topic);
            }
        }
    }

    fn draw_fault(&mut self) {
        let partitions = self.cluster.partitions();
        let brokers: Vec<_> = self.cluster.brokers.keys().copied().collect();
        if partitions.is_empty() {
            return;
        }
        let tp = *self.rng.pick(&partitions);
        if self.rng.chance(self.rates.leader_moves) {
            let to = *self.rng.pick(&brokers);
            if self.cluster.brokers[&to].up && self.cluster.partition(tp).leader >= 0 {
                self.move_leader(tp, to);
            }
        }
        if self.rng.chance(self.rates.out_of_sync) {
            self.trace.line(self.now, || format!("fault: {tp:?} out of sync"));
            self.cluster.partition(tp).enough_in_sync = false;
            let back = self.rng.millis(10, 5_000);
            self.after(back, Event::Fault(Fault::BackInSync(tp)));
        }
        if self.rng.chance(self.rates.broker_crashes) {
            let broker = *self.rng.pick(&brokers);
            self.crash(broker);
        }
        if self.rng.chance(self.rates.unauthorized) {
            self.trace.line(self.now, || format!("fault: topic {} not authorized", tp.0));
            self.cluster.topics[tp.0].authorized = false;
            let back = self.rng.millis(10, 1_000);
            self.after(back, Event::Fault(Fault::AuthorizedAgain(tp.0)));
        }
        if self.rng.chance(self.rates.made_anew) {
            self.make_anew(tp.0);
        }
        if self.rates.coordinator_moves > 0 && self.rng.chance(self.rates.coordinator_moves) {
            self.move_some_seat();
        }
        if self.rng.chance(self.rates.cuts) {
            let open = self.connections.values().filter(|connection| connection.side == Side::Open);
            let open: Vec<_> = open.map(|connection| connection.id).collect();
            if !open.is_empty() {
                let id = *self.rng.pick(&open);
                self.trace.line(self.now, || format!("fault: {id:?} breaks"));
                self.cut(id);
            }
        }
    }

    /// Deletes a topic and makes another one of its name.
    pub fn make_anew(&mut self, old: usize) -> usize {
        let Topic { name, partitions, max_message_bytes, compacted, .. } = &self.cluster.topics[old];
        let (name, count) = (name.clone(), partitions.len() as i32);
        let (max_message_bytes, compacted) = (*max_message_bytes, *compacted);
        self.trace.line(self.now, || format!("fault: topic {name} is made anew"));
        self.cluster.topics[old].exists = false;
        let new = self.cluster.create_topic(&name, count, &mut self.rng);
        // Who names a topic by its name writes to the new one before it has heard of it, and the new log takes any
        // sequence as the first: Kafka cannot keep its promise there.
        let by_name =
            |broker: &Broker| broker.versions.apis.iter().any(|(api, versions)| *api == 0 && *versions.end() < 13);
        // So do all whose transactions go by V1.
        let forgotten = self.cluster.brokers.values().any(by_name) || !self.transactions.is_empty();
        let topic = &mut self.cluster.topics[new];
        (topic.max_message_bytes, topic.compacted) = (max_message_bytes, compacted);
        topic.partitions.iter_mut().for_each(|partition| partition.producers_forgotten = forgotten);
        self.spread_topic(new);
        new
    }

    /// The controller elects; each broker hears of it when it does.
    pub fn move_leader(&mut self, tp: Tp, to: BrokerId) {
        let partition = self.cluster.partition(tp);
        let (low, high) = (partition.high_watermark, partition.log.end_offset());
        // The new leader has everything below the high watermark and perhaps some of the rest, at a batch's border.
        let borders = partition.log.batches.iter().map(|batch| batch.last_offset() + 1);
        let borders: Vec<i64> = borders.filter(|end| (low..=high).contains(end)).chain([low]).collect();
        // A leader that stays cuts nothing off.
        let kept = if partition.leader == to { high } else { *self.rng.pick(&borders) };
        self.trace.line(self.now, || format!("fault: leader of {tp:?} is {to} now, log kept to {kept} of {high}"));
        self.cluster.move_leader(tp, to, kept);
        self.spread(tp);
        let (epoch, end_offset) = (self.cluster.partition(tp).epoch, kept);
        let delay = self.rng.millis(1, 50);
        self.after(delay, Event::Replicate { tp, epoch, end_offset });
    }

    fn spread(&mut self, tp: Tp) {
        for broker in self.cluster.brokers.keys().copied().collect::<Vec<_>>() {
            let delay = Duration::from_micros(self.rng.below(self.rates.stale_ms * 1000));
            self.after(delay, Event::Learn(broker, tp));
        }
    }

    /// A new topic reaches each broker as a whole.
    pub fn spread_topic(&mut self, topic: usize) {
        for broker in self.cluster.brokers.keys().copied().collect::<Vec<_>>() {
            let delay = Duration::from_micros(self.rng.below(self.rates.stale_ms * 1000));
            for number in 0..self.cluster.topics[topic].partitions.len() as i32 {
                self.after(delay, Event::Learn(broker, (topic, number)));
            }
        }
    }

    pub fn crash(&mut self, broker: BrokerId) {
        if !self.cluster.brokers[&broker].up {
            return;
        }
        self.trace.line(self.now, || format!("fault: broker {broker} dies"));
        self.cluster.crash(broker);
        let connections =
            self.connections.values().filter(|connection| connection.broker == broker && !connection.broker_closed);
        for id in connections.map(|connection| connection.id).collect::<Vec<_>>() {
            self.close_by_broker(id);
        }
        let live: Vec<_> = self.cluster.brokers.iter().filter(|(_, broker)| broker.up).map(|(id, _)| *id).collect();
        for tp in self.cluster.partitions() {
            if self.cluster.partition(tp).leader != broker {
                continue;
            }
            match live.is_empty() {
                false => {
                    let to = *self.rng.pick(&live);
                    self.move_leader(tp, to);
                }
                true => {
                    let kept = self.cluster.partition(tp).log.end_offset();
                    self.cluster.move_leader(tp, -1, kept);
                }
            }
        }
        self.leave_seats(broker);
        let back = self.rng.millis(100, 8_000);
        self.after(back, Event::Fault(Fault::BrokerBack(broker)));
    }

    fn broker_back(&mut self, broker: BrokerId) {
        if self.cluster.brokers[&broker].up {
            return;
        }
        self.trace.line(self.now, || format!("broker {broker} is back"));
        self.cluster.brokers.get_mut(&broker).expect("as above").up = true;
        for tp in self.cluster.partitions() {
            if self.cluster.partition(tp).leader < 0 {
                self.move_leader(tp, broker);
            }
            // It catches up before it is let in.
            self.cluster.learn(broker, tp);
        }
        self.take_seats(broker);
    }

    /// A client asked for topics: those that do not exist are made, where the cluster does that.
    pub fn note_creation(&mut self, request: &MetadataRequest) {
        if !(self.cluster.auto_create && request.allow_auto_topic_creation) {
            return;
        }
        for name in &request.topics {
            if self.cluster.topics.iter().all(|topic| *topic.name != **name) {
                let topic = self.cluster.create_topic(name, 3, &mut self.rng);
                self.spread_topic(topic);
            }
        }
    }
}
