//! The core by hand, a step at a time: what needs a broker that is silent or a time that is just so. Faults drawn at
//! random are for `tests/sim`.

mod batches;
mod choices;
mod growing;
mod news;
mod quickly;

use super::*;
use crate::protocol::error_code as code;
use crate::protocol::messages::{
    ApiVersions, Broker, InitProducerIdResponse, MetadataResponse, PartitionMetadata, PartitionResponse,
    ProduceResponse, Request, Response, TopicMetadata,
};
use std::time::Duration;

/// A cluster in which nothing goes wrong but what a test asks for.
struct Rig {
    core: Core,
    now: Instant,
    /// Brokers that take connections, by node id; the bootstrap server is always there.
    brokers: BTreeMap<i32, &'static str>,
    racks: BTreeMap<i32, &'static str>,
    /// Topics as the cluster has them: the leader of each partition.
    topics: BTreeMap<&'static str, Vec<i32>>,
    /// Of all topics. Zeros: the brokers are too old to know of ids.
    topic_id: [u8; 16],
    metadata_error: i16,
    /// Whether metadata is answered.
    is_silent: bool,
    /// Brokers that do not believe us, by host.
    refusing: BTreeSet<&'static str>,
    /// Nodes that take no Produce requests: these are never answered.
    stuck: BTreeSet<i32>,
    /// Their requests.
    unanswered: Vec<(ConnectionId, i32)>,
    peers: BTreeMap<ConnectionId, (NodeId, String)>,
    /// Topics of each metadata request, and who was asked.
    asked: Vec<(Vec<String>, String)>,
    /// The partitions of Produce requests, in order.
    produced: Vec<i32>,
    /// The next answer names this leader, of that epoch.
    new_leader: Option<(i32, i32)>,
    /// Batches of this partition are refused for the sake of this record, once.
    refuse_record: Option<(i32, i32)>,
    told: Vec<Action>,
}

const BOOTSTRAP: &str = "bootstrap";

fn record(topic: TopicHandle, placement: Placement, accepted: Instant) -> Append<'static> {
    Append {
        topic,
        placement,
        timestamp: 0,
        accepted: Some(accepted),
        key: None,
        value: Some(b"value"),
        value_buffer: None,
        headers: crate::protocol::record_batch::NO_HEADERS,
        token: None,
    }
}

impl Rig {
    fn new(config: CoreConfig, topics: &[(&'static str, Vec<i32>)]) -> Rig {
        let config = CoreConfig { bootstrap: vec![(BOOTSTRAP.to_owned(), 1)], linger: Duration::ZERO, ..config };
        let mut rig = Rig {
            core: Core::new(config, 7, Instant::default()),
            now: Instant::default(),
            brokers: [(1, "one"), (2, "two")].into(),
            racks: [(1, "east")].into(),
            topic_id: [0; 16],
            topics: topics.iter().cloned().collect(),
            metadata_error: code::NONE,
            is_silent: false,
            refusing: BTreeSet::new(),
            stuck: BTreeSet::new(),
            unanswered: Vec::new(),
            peers: BTreeMap::new(),
            asked: Vec::new(),
            produced: Vec::new(),
            new_leader: None,
            refuse_record: None,
            told: Vec::new(),
        };
        rig.turn();
        rig
    }

    fn topic(&mut self, name: &str) -> TopicHandle {
        self.core.topic(self.now, name);
        self.turn();
        match self.core.topic(self.now, name) {
            TopicStatus::Ready(handle) => handle,
            TopicStatus::Pending => panic!("{name} is not known"),
        }
    }

    fn append(&mut self, topic: TopicHandle, placement: Placement) -> Result<i32, ProduceError> {
        let record = record(topic, placement, self.now);
        let partition = self.core.append(|| self.now, &record).map(|appended| appended.completion.partition());
        self.turn();
        partition
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.core.poll_timeout().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.turn();
        }
        self.now = end;
        self.turn();
    }

    /// Until nothing more happens without time.
    fn turn(&mut self) {
        for round in 0.. {
            assert!(round < 10_000, "the core is never done");
            if self.core.poll_timeout().is_some_and(|at| at <= self.now) {
                self.core.handle_timeout(self.now);
            } else if let Some(action) = self.core.poll_action() {
                self.act(action);
            } else if let Some(batch) = self.core.poll_seal(self.now) {
                self.core.handle_sealed(self.now, batch.seal());
            } else if let Some(transmit) = self.core.poll_transmit(self.now) {
                self.answer(transmit);
            } else {
                return;
            }
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Connect { connection, host, .. } if self.refusing.contains(host.as_str()) => {
                self.core.handle_refused(self.now, connection, format!("{host}: who are you?"));
            }
            Action::Connect { connection, node, host, .. } => {
                if host == BOOTSTRAP || self.brokers.values().any(|known| *known == host) {
                    self.peers.insert(connection, (node, host));
                    let apis = [(0, 13), (3, 13), (22, 5)].map(|(api, last)| (api, 0..=last)).into();
                    self.core.handle_connected(self.now, connection, ApiVersions { apis, ..ApiVersions::default() });
                } else {
                    self.core.handle_disconnected(self.now, connection, format!("{host} is gone"));
                }
            }
            Action::Disconnect { connection, .. } => drop(self.peers.remove(&connection)),
            action => self.told.push(action),
        }
    }

    /// Breaks the connection to a broker that is there no more.
    fn lose(&mut self, broker: i32) {
        self.brokers.remove(&broker);
        let lost: Vec<_> = self.peers.iter().filter(|(_, (node, _))| node.0 == broker).map(|(id, _)| *id).collect();
        for connection in lost {
            self.peers.remove(&connection);
            self.core.handle_disconnected(self.now, connection, "gone".to_owned());
        }
        self.turn();
    }

    fn answer(&mut self, transmit: Transmit) {
        let (node, host) = self.peers[&transmit.connection].clone();
        let response = match transmit.request {
            Request::Metadata(request) => {
                self.asked.push((request.topics.clone(), host));
                if self.is_silent {
                    return;
                }
                Response::Metadata(self.metadata(&request.topics))
            }
            Request::InitProducerId(_) => Response::InitProducerId(InitProducerIdResponse {
                throttle_time_ms: 0,
                error_code: code::NONE,
                producer_id: 9,
                producer_epoch: 0,
            }),
            Request::Produce(request) => {
                if self.stuck.contains(&node.0) {
                    self.unanswered.push((transmit.connection, transmit.correlation_id));
                    return;
                }
                let mut partitions = Vec::new();
                for topic in &request.topics {
                    for partition in &topic.partitions {
                        self.produced.push(partition.index);
                        let refused = self.refuse_record.take_if(|(of, _)| *of == partition.index);
                        partitions.push(PartitionResponse {
                            topic: topic.name.to_string(),
                            index: partition.index,
                            error_code: if refused.is_some() { code::INVALID_RECORD } else { code::NONE },
                            record_errors: refused.into_iter().map(|(_, record)| (record, None)).collect(),
                            current_leader: self.new_leader.take().unwrap_or((-1, -1)),
                            log_append_time: -1,
                            ..PartitionResponse::default()
                        });
                    }
                }
                Response::Produce(ProduceResponse { partitions, ..ProduceResponse::default() })
            }
            other => unreachable!("these cores have no transactions: {other:?}"),
        };
        self.core.handle_response(self.now, transmit.connection, transmit.correlation_id, response);
    }

    fn metadata(&self, names: &[String]) -> MetadataResponse {
        if self.metadata_error != code::NONE {
            return MetadataResponse { error_code: self.metadata_error, ..MetadataResponse::default() };
        }
        let broker = |(id, host): (&i32, &&str)| Broker {
            id: *id,
            host: (*host).to_owned(),
            port: 1,
            rack: self.racks.get(id).map(|rack| (*rack).to_owned()),
        };
        let topic = |name: &String| {
            let leaders = self.topics.get(name.as_str()).cloned().unwrap_or_default();
            let partition = |(index, leader)| PartitionMetadata { error_code: 0, index, leader, leader_epoch: 3 };
            TopicMetadata {
                error_code: if leaders.is_empty() { code::UNKNOWN_TOPIC_OR_PARTITION } else { code::NONE },
                name: name.clone(),
                id: self.topic_id,
                partitions: (0..).zip(leaders).map(partition).collect(),
            }
        };
        MetadataResponse {
            brokers: self.brokers.iter().map(broker).collect(),
            topics: names.iter().map(topic).collect(),
            ..MetadataResponse::default()
        }
    }

    fn asked_for(&self) -> Vec<&[String]> {
        self.asked.iter().map(|(topics, _)| &topics[..]).collect()
    }
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_partition_whose_broker_takes_nothing_is_passed_over_until_it_does_again() {
    let patience = Some(Duration::from_millis(500));
    let config =
        CoreConfig { availability_timeout: patience, max_in_flight: 1, batch_size: 1, ..CoreConfig::default() };
    let mut rig = Rig::new(config, &[("orders", vec![1, 2])]);
    let topic = rig.topic("orders");
    rig.stuck.insert(1);
    // One request in flight that is not answered, one batch that is ready behind it.
    for _ in 0..2 {
        rig.append(topic, Placement::Partition(0)).unwrap();
    }
    rig.pass(Duration::from_millis(400));
    let chosen = |rig: &mut Rig| (0..40).map(|_| rig.append(topic, Placement::Default).unwrap()).collect::<Vec<_>>();
    assert!(chosen(&mut rig).contains(&0), "it has been so for 400 ms only");
    rig.pass(Duration::from_millis(200));
    assert!(!chosen(&mut rig).contains(&0), "its broker takes nothing for 600 ms");
    let both = rig.core.group(topic, &[0, 1]);
    assert_eq!(rig.append(topic, Placement::Group(both)), Ok(1), "in a group neither");
    assert_eq!(rig.append(topic, Placement::Partition(0)), Ok(0), "who names it gets it");

    rig.stuck.clear();
    // The request that was never answered times out, and what was queued goes out.
    rig.pass(40 * SECOND);
    assert!(chosen(&mut rig).contains(&0), "it has recovered");
}

#[test]
fn a_topic_that_is_not_used_is_not_asked_for_until_it_is() {
    let config = CoreConfig { metadata_max_idle: 7 * SECOND, metadata_max_age: 5 * SECOND, ..CoreConfig::default() };
    let mut rig = Rig::new(config, &[("orders", vec![1]), ("rare", vec![2])]);
    let (orders, rare) = (rig.topic("orders"), rig.topic("rare"));
    rig.append(rare, Placement::Default).unwrap();
    for _ in 0..12 {
        rig.pass(SECOND);
        rig.append(orders, Placement::Default).unwrap();
    }
    assert_eq!(*rig.asked_for().last().unwrap(), ["orders"]);
    let before = rig.asked.len();
    rig.append(rare, Placement::Default).unwrap();
    assert_eq!(rig.asked_for()[before..], [["orders", "rare"]], "asked for at once");
    assert_eq!(rig.produced.len(), 14);
}

#[test]
fn an_idle_topic_with_something_queued_is_still_asked_for() {
    let config = CoreConfig { metadata_max_idle: 5 * SECOND, metadata_max_age: 4 * SECOND, ..CoreConfig::default() };
    let mut rig = Rig::new(config, &[("orders", vec![-1])]);
    let topic = rig.topic("orders");
    rig.append(topic, Placement::Default).unwrap();
    rig.pass(20 * SECOND);
    rig.topics.insert("orders", vec![1]);
    rig.pass(5 * SECOND);
    assert_eq!(rig.produced, [0]);
}

#[test]
fn growth_and_new_leaders_are_told_once() {
    let config = CoreConfig { metadata_max_age: SECOND, ..CoreConfig::default() };
    let mut rig = Rig::new(config, &[("orders", vec![1, 2])]);
    rig.topic("orders");
    rig.pass(3 * SECOND);
    assert!(news(&mut rig).is_empty(), "what is learnt first is no news");
    rig.topics.insert("orders", vec![1, 2, 1]);
    rig.pass(3 * SECOND);
    assert_eq!(news(&mut rig), [3]);
    rig.topics.insert("orders", vec![2, 2, 1]);
    rig.pass(3 * SECOND);
    assert_eq!(news(&mut rig), [3]);
}

/// How many partitions "orders" was told to have.
fn news(rig: &mut Rig) -> Vec<usize> {
    let told = std::mem::take(&mut rig.told).into_iter();
    told.filter_map(|action| if let Action::Topology { partitions, .. } = action { Some(partitions) } else { None })
        .collect()
}

#[test]
fn leaders_are_known_with_their_racks_and_new_racks_are_news() {
    let config = CoreConfig { metadata_max_age: SECOND, ..CoreConfig::default() };
    let mut rig = Rig::new(config, &[("orders", vec![1, 2, 1]), ("others", vec![2])]);
    let (orders, others) = (rig.topic("orders"), rig.topic("others"));
    let racks = |rig: &Rig, topic| rig.core.topic_info(topic).brokers;
    let broker = |id: i32, rack: Option<&str>| (id, rack.map(str::to_owned));
    assert_eq!(racks(&rig, orders), [broker(1, Some("east")), broker(2, None)]);
    assert_eq!(racks(&rig, others), [broker(2, None)]);
    rig.told.clear();
    rig.racks = [(1, "west")].into();
    rig.pass(3 * SECOND);
    assert_eq!(news(&mut rig), [3], "of the topic that it leads, once");
    assert_eq!(racks(&rig, orders), [broker(1, Some("west")), broker(2, None)]);
}

#[test]
fn a_topic_made_anew_is_told_with_its_count_and_loses_the_partitions_that_are_gone() {
    let config = CoreConfig { metadata_max_age: SECOND, ..CoreConfig::default() };
    let mut rig = Rig::new(config, &[]);
    rig.topic_id = [1; 16];
    rig.topics.insert("orders", vec![1, 2, 1, -1]);
    let topic = rig.topic("orders");
    rig.append(topic, Placement::Partition(3)).unwrap();
    rig.told.clear();
    // Fewer, of the same leaders as before.
    rig.topic_id = [2; 16];
    rig.topics.insert("orders", vec![1, 2]);
    rig.pass(3 * SECOND);
    let failed = rig.told.iter().filter_map(|action| if let Action::Done(done) = action { Some(done) } else { None });
    let failed: Vec<_> = failed.flat_map(|done| done.runs.iter()).map(|run| run.outcome.clone()).collect();
    let gone = ProduceError::NoSuchPartition { topic: "orders".into(), partition: 3, count: 2 };
    assert_eq!(failed, [Outcome::Failed(gone.clone())], "it waited for a leader");
    assert_eq!(news(&mut rig), [2]);
    assert_eq!(rig.append(topic, Placement::Partition(3)), Err(gone));
    // And more again: the old ones do not come back.
    rig.topic_id = [3; 16];
    rig.topics.insert("orders", vec![1, 2, 2, 2, 2]);
    rig.pass(3 * SECOND);
    assert_eq!(news(&mut rig), [5]);
    rig.produced.clear();
    assert_eq!(rig.append(topic, Placement::Partition(3)), Ok(3));
    assert_eq!(rig.produced, [3]);
}

/// While brokers are upgraded, those before 2.8 say nothing of ids (KIP-516).
#[test]
fn an_answer_by_topic_id_counts_though_metadata_without_ids_came_meanwhile() {
    let config = CoreConfig { metadata_max_age: SECOND, ..CoreConfig::default() };
    let mut rig = Rig::new(config, &[]);
    rig.topic_id = [1; 16];
    rig.topics.insert("orders", vec![1]);
    let topic = rig.topic("orders");
    rig.stuck.insert(1);
    rig.append(topic, Placement::Partition(0)).unwrap();
    rig.topic_id = [0; 16];
    rig.pass(3 * SECOND);
    rig.told.clear();
    let [(connection, correlation_id)] = rig.unanswered[..] else { panic!("{:?}", rig.unanswered) };
    let partition =
        PartitionResponse { topic_id: [1; 16], base_offset: 5, log_append_time: -1, ..PartitionResponse::default() };
    let answer = ProduceResponse { partitions: vec![partition], ..ProduceResponse::default() };
    rig.core.handle_response(rig.now, connection, correlation_id, Response::Produce(answer));
    rig.turn();
    let done = rig.told.iter().filter_map(|action| if let Action::Done(done) = action { Some(done) } else { None });
    let outcomes: Vec<_> = done.flat_map(|done| done.runs.iter()).map(|run| run.outcome.clone()).collect();
    assert_eq!(outcomes, [Outcome::Written { base_offset: Some(5), log_append_time: None }]);
}

/// KIP-951: metadata that come later say nothing new.
#[test]
fn a_leader_that_an_answer_names_is_news() {
    let mut rig = Rig::new(CoreConfig::default(), &[("orders", vec![1, 1])]);
    let topic = rig.topic("orders");
    rig.told.clear();
    rig.new_leader = Some((2, 4));
    rig.append(topic, Placement::Partition(0)).unwrap();
    assert_eq!(news(&mut rig), [2]);
    assert_eq!(rig.core.topic_info(topic).leaders, [2, 1]);
}

#[test]
fn a_refresh_is_one_request_and_ends_with_word_of_the_topic() {
    let mut rig = Rig::new(CoreConfig::default(), &[("orders", vec![1])]);
    let topic = rig.topic("orders");
    let before = rig.asked.len();
    rig.told.clear();
    rig.topics.insert("orders", vec![1, 2]);
    rig.core.refresh_topic(rig.now, "orders");
    rig.turn();
    assert_eq!(rig.asked.len(), before + 1);
    let said: Vec<String> = rig.told.iter().map(|action| format!("{action:?}")).collect();
    assert!(said[0].starts_with("Topology") && said[1].starts_with("Topic {"), "growth first: {said:?}");
    assert_eq!(rig.append(topic, Placement::Partition(1)), Ok(1));
}

/// The known brokers have moved to other addresses, and someone silent has the old ones.
fn moved_cluster(rebootstrap_trigger: Option<Duration>) -> Rig {
    let config = CoreConfig { rebootstrap_trigger, metadata_max_age: SECOND, ..CoreConfig::default() };
    let mut rig = Rig::new(config, &[("orders", vec![1, 2])]);
    let topic = rig.topic("orders");
    for partition in [0, 1] {
        rig.append(topic, Placement::Partition(partition)).unwrap();
    }
    // Only the brokers themselves are asked from here on.
    let to_bootstrap: Vec<_> =
        rig.peers.iter().filter(|(_, (node, _))| node.0 < 0).map(|(connection, _)| *connection).collect();
    for connection in to_bootstrap {
        rig.peers.remove(&connection);
        rig.core.handle_disconnected(rig.now, connection, "idle".to_owned());
    }
    rig.turn();
    rig.asked.clear();
    rig
}

#[test]
fn brokers_that_answer_nothing_are_given_up_for_the_bootstrap_servers() {
    let mut rig = moved_cluster(Some(10 * SECOND));
    rig.is_silent = true;
    rig.pass(9 * SECOND);
    assert!(rig.asked.iter().all(|(_, host)| host != BOOTSTRAP), "{:?}", rig.asked);
    rig.is_silent = false;
    rig.brokers = [(7, "seven")].into();
    rig.topics.insert("orders", vec![7, 7]);
    rig.pass(5 * SECOND);
    assert!(rig.asked.iter().any(|(_, host)| host == BOOTSTRAP), "{:?}", rig.asked);
    let topic = rig.topic("orders");
    rig.produced.clear();
    rig.append(topic, Placement::Partition(0)).unwrap();
    assert_eq!(rig.produced, [0], "the batch went to the new broker although its epoch is not above the old one's");
    assert!(rig.core.nodes.keys().all(|node| node.0 < 0 || node.0 == 7));
}

#[test]
fn a_broker_that_says_so_sends_us_to_the_bootstrap_servers() {
    let mut rig = moved_cluster(Some(300 * SECOND));
    rig.metadata_error = code::REBOOTSTRAP_REQUIRED;
    rig.pass(SECOND + SECOND / 2);
    rig.metadata_error = code::NONE;
    rig.pass(5 * SECOND);
    assert!(rig.asked.iter().any(|(_, host)| host == BOOTSTRAP), "{:?}", rig.asked);
}

#[test]
fn with_the_strategy_none_the_known_brokers_are_kept() {
    for error in [code::NONE, code::REBOOTSTRAP_REQUIRED] {
        let mut rig = moved_cluster(None);
        rig.metadata_error = error;
        rig.is_silent = error == code::NONE;
        rig.pass(60 * SECOND);
        for broker in [1, 2] {
            rig.lose(broker);
        }
        rig.pass(60 * SECOND);
        assert!(rig.asked.iter().all(|(_, host)| host != BOOTSTRAP), "{error}: {:?}", rig.asked);
        assert!(rig.core.nodes.contains_key(&NodeId(1)));
    }
}

fn failures(rig: &mut Rig) -> Vec<ProduceError> {
    let mut failures = Vec::new();
    for action in std::mem::take(&mut rig.told) {
        match action {
            Action::Done(done) => failures.extend(done.runs.iter().filter_map(|run| match &run.outcome {
                Outcome::Failed(error) => Some(error.clone()),
                _ => None,
            })),
            Action::Topic { outcome: Err(error), .. } => failures.push(error),
            _ => {}
        }
    }
    failures
}

fn refused_by(host: &str, partition: Option<i32>) -> ProduceError {
    let reason = format!("{host}: who are you?").into();
    ProduceError::Authentication { topic: Some("orders".into()), partition, reason, fate: Fate::NotWritten }
}

#[test]
fn who_waits_for_a_broker_that_refuses_fails_at_once_and_others_go_on() {
    let mut rig = Rig::new(CoreConfig::default(), &[("orders", vec![1, 2])]);
    let topic = rig.topic("orders");
    rig.refusing.insert("two");
    rig.append(topic, Placement::Partition(1)).unwrap();
    rig.append(topic, Placement::Partition(0)).unwrap();
    assert_eq!(failures(&mut rig), [refused_by("two", Some(1))]);
    assert_eq!(rig.produced, [0]);
    assert!(rig.core.is_idle());

    // Each new record hears it with the next attempt, which keeps to the backoff.
    for _ in 0..5 {
        rig.append(topic, Placement::Partition(1)).unwrap();
        rig.pass(Duration::from_secs(2));
        assert_eq!(failures(&mut rig), [refused_by("two", Some(1))]);
    }
    rig.refusing.clear();
    rig.append(topic, Placement::Partition(1)).unwrap();
    rig.pass(Duration::from_secs(2));
    assert_eq!((failures(&mut rig), &rig.produced[..]), (Vec::new(), &[0, 1][..]), "mended while it ran");
}

#[test]
fn who_waits_for_a_topic_hears_the_refusal_once_nobody_is_left_to_ask() {
    let mut rig = Rig::new(CoreConfig::default(), &[("orders", vec![1])]);
    rig.refusing.extend([BOOTSTRAP, "one", "two"]);
    for connection in std::mem::take(&mut rig.peers).into_keys() {
        rig.core.handle_disconnected(rig.now, connection, "gone".to_owned());
    }
    rig.turn();
    assert_eq!(rig.core.topic(rig.now, "orders"), TopicStatus::Pending);
    rig.pass(Duration::from_secs(3));
    assert_eq!(failures(&mut rig).first(), Some(&refused_by("two", None)));
    rig.refusing.clear();
    rig.pass(Duration::from_secs(3));
    rig.topic("orders");
}
