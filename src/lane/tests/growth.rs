//! A lane with a native partitioner, over a core whose cluster is played by hand.

use crate::core::time::Instant;
use crate::core::{Action, Core, CoreConfig, MemoryPool, Windows};
use crate::lane::together::Together;
use crate::lane::{LaneConfig, Shared, Submitted, Surroundings, start};
use crate::plugin::{
    Batch, BreakerOptions, Chain, Consistency, Partitioner, PartitionerWants, Placements, PluginFailure, Policy,
    Topology, TopologyBroker, Used,
};
use crate::protocol::messages::{
    ApiVersions, Broker, MetadataResponse, PartitionMetadata, Request, Response, TopicMetadata,
};
use crate::record::Record;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Keeps what it was told, and puts every record into the group of the last partition.
struct Last {
    wants: PartitionerWants,
    told: Arc<Mutex<Vec<Topology>>>,
}

impl Partitioner for Last {
    fn wants(&self) -> &PartitionerWants {
        &self.wants
    }

    fn on_topology(&mut self, topology: &Topology) -> Result<Vec<Vec<u32>>, PluginFailure> {
        self.told.lock().unwrap().push(topology.clone());
        Ok(vec![vec![topology.partitions - 1]])
    }

    fn partition(&mut self, batch: &Batch<'_>) -> Result<Placements, PluginFailure> {
        Ok(Placements { targets: vec![-2; batch.count], refused: Vec::new() })
    }

    fn close(&mut self) {}
}

/// Time that stands still.
struct Still;

impl crate::core::time::Clock for Still {
    fn now(&self) -> Instant {
        Instant::default()
    }

    fn wall_ms(&self) -> i64 {
        0
    }

    fn tick(&self) -> u64 {
        0
    }
}

struct Rig {
    lane: Arc<Shared>,
    told: Arc<Mutex<Vec<Topology>>>,
    partitions: i32,
    /// Of the topic.
    id: [u8; 16],
    rack: &'static str,
    thread: std::thread::JoinHandle<()>,
}

impl Rig {
    fn start() -> Rig {
        Rig::start_as(Consistency::Keyed)
    }

    fn start_as(consistency: Consistency) -> Rig {
        let memory = MemoryPool::new(1 << 20);
        let bootstrap = vec![("broker".to_owned(), 1)];
        let core_config = CoreConfig { bootstrap, memory: memory.clone(), ..CoreConfig::default() };
        let core = Arc::new(Mutex::new(Core::new(core_config, 1, Instant::default())));
        let config = LaneConfig {
            direct: false,
            max_block: Duration::from_secs(60),
            staged_max: 1 << 20,
            acknowledgements: false,
            any_acknowledgements: false,
            round_robin: false,
            may_go_to: None,
            topics_after_chain: false,
            may_block: || true,
            windows: Windows::default(),
        };
        let around = Surroundings {
            core,
            memory,
            clock: Arc::new(Still),
            wake_driver: Arc::new(|| {}),
            delivery_thread: Arc::default(),
        };
        let lane = Arc::new(Shared::new(config, around, 0, Arc::new(Together::of(1))));
        let told = Arc::new(Mutex::new(Vec::new()));
        let wants = PartitionerWants { consistency, ..PartitionerWants::default() };
        let partitioner = Last { wants, told: Arc::clone(&told) };
        let role = Box::new(partitioner) as Box<dyn Partitioner>;
        let partitioner = Some(Used::new("last", role, Policy::Fail, BreakerOptions::default()));
        let mut chain = Chain::default();
        chain.partitioner = partitioner;
        let thread = start(Arc::clone(&lane), chain, Duration::from_secs(120)).unwrap();
        Rig { lane, told, partitions: 2, id: [1; 16], rack: "r1", thread }
    }

    /// Plays driver and cluster until nothing is left to do.
    fn drive(&self) {
        let now = Instant::default();
        loop {
            let mut core = self.lane.core.lock().unwrap();
            if core.poll_timeout().is_some_and(|at| at <= now) {
                core.handle_timeout(now);
            } else if let Some(action) = core.poll_action() {
                match action {
                    Action::Connect { connection, .. } => {
                        let apis = [(0, 12), (3, 12), (22, 4)].map(|(api, last)| (api, 0..=last)).into();
                        core.handle_connected(now, connection, ApiVersions { apis, ..ApiVersions::default() });
                    }
                    Action::Topic { name, outcome } => {
                        drop(core);
                        self.lane.topic_settled(&name, &outcome);
                    }
                    Action::Topology { name, partitions } => {
                        drop(core);
                        self.lane.topology_changed(name, partitions);
                    }
                    _ => {}
                }
            } else if let Some(transmit) = core.poll_transmit(now) {
                if let Request::Metadata(request) = &transmit.request {
                    let answer = Response::Metadata(self.metadata(&request.topics));
                    core.handle_response(now, transmit.connection, transmit.correlation_id, answer);
                }
            } else {
                return;
            }
        }
    }

    fn metadata(&self, topics: &[String]) -> MetadataResponse {
        let partition = |index| PartitionMetadata { error_code: 0, index, leader: 1, leader_epoch: 0 };
        let topic = |name: &String| TopicMetadata {
            error_code: 0,
            name: name.clone(),
            id: self.id,
            partitions: (0..self.partitions).map(partition).collect(),
        };
        MetadataResponse {
            brokers: vec![Broker { id: 1, host: "broker".to_owned(), port: 1, rack: Some(self.rack.to_owned()) }],
            topics: topics.iter().map(topic).collect(),
            ..MetadataResponse::default()
        }
    }

    /// Sends a record; whether it waits before it is accepted.
    fn send(&self, partition: Option<i32>) -> bool {
        let record = Record { partition, ..Record::to("orders") };
        match self.lane.submit(&record, None, true) {
            Submitted::Accepted(_) => false,
            Submitted::Waiting(_) => true,
            Submitted::Refused(error) => panic!("{error}"),
        }
    }

    /// Waits until the partitioner was told so often.
    fn until_told(&self, times: usize) {
        while self.told.lock().unwrap().len() < times {
            std::thread::yield_now();
        }
    }

    /// The cluster's news come.
    fn refresh(&self) {
        self.lane.core.lock().unwrap().refresh_topic(Instant::default(), "orders");
        self.drive();
    }

    fn end(self) -> Vec<Topology> {
        // Behind everything that is staged.
        self.lane.stop();
        self.thread.join().unwrap();
        let told = self.told.lock().unwrap();
        told.clone()
    }
}

#[test]
fn leaders_and_racks_are_told_to_a_partitioner_that_goes_by_them_only() {
    for consistency in [Consistency::Keyed, Consistency::Located, Consistency::Free] {
        let rig = Rig::start_as(consistency);
        rig.send(None);
        rig.drive();
        rig.lane.stop();
        rig.thread.join().unwrap();
        let told = rig.told.lock().unwrap();
        let is_told = consistency != Consistency::Keyed;
        assert_eq!(told[0].leaders, if is_told { vec![1, 1] } else { vec![] });
        let broker = TopologyBroker { id: 1, rack: Some("r1".to_owned()) };
        assert_eq!(told[0].brokers, if is_told { vec![broker] } else { vec![] });
    }
}

/// What a keyed plugin is told.
fn keyed(partitions: u32) -> Topology {
    Topology { topic: "orders".to_owned(), partitions, ..Topology::default() }
}

#[test]
fn a_located_partitioner_is_told_leaders_and_racks_whenever_they_change() {
    let mut rig = Rig::start_as(Consistency::Located);
    rig.send(None);
    rig.drive();
    rig.send(None);
    rig.until_told(1);
    rig.rack = "west";
    rig.refresh();
    rig.send(None);
    let told = |rack: &str| Topology {
        leaders: vec![1, 1],
        brokers: vec![TopologyBroker { id: 1, rack: Some(rack.to_owned()) }],
        ..keyed(2)
    };
    assert_eq!(rig.end(), ["r1", "west"].map(told));
}

/// Which would answer the same, and forget what it remembers.
#[test]
fn a_keyed_partitioner_is_not_told_again_when_only_leaders_and_racks_change() {
    let mut rig = Rig::start();
    rig.send(None);
    rig.drive();
    rig.send(None);
    rig.until_told(1);
    rig.rack = "west";
    rig.refresh();
    rig.send(None);
    assert_eq!(rig.end(), [keyed(2)]);
}

#[test]
fn the_partitioner_is_told_of_a_topic_that_was_made_anew_with_fewer() {
    let mut rig = Rig::start();
    rig.partitions = 5;
    rig.send(None);
    rig.drive();
    rig.send(None);
    rig.until_told(1);
    (rig.partitions, rig.id) = (3, [2; 16]);
    rig.refresh();
    assert!(!rig.send(None), "it goes to the last of those that are left");
    assert!(rig.send(Some(4)), "that one is gone: it waits for one refresh");
    let core = Arc::clone(&rig.lane.core);
    assert_eq!(rig.end(), [5, 3].map(keyed));
    assert!(format!("{:?}", core.lock().unwrap()).contains("Completion(orders-2"));
}

#[test]
fn a_topic_of_which_nothing_is_to_place_is_not_told() {
    let rig = Rig::start();
    rig.send(Some(1));
    rig.drive();
    rig.send(Some(0));
    assert_eq!(rig.end(), []);
}

#[test]
fn the_partitioner_is_told_of_growth_before_the_next_record() {
    let mut rig = Rig::start();
    assert!(rig.send(None), "the topic is not known");
    rig.drive();
    assert!(!rig.send(None));
    rig.until_told(1);
    rig.partitions = 5;
    rig.refresh();
    assert!(!rig.send(None));
    let core = Arc::clone(&rig.lane.core);
    assert_eq!(rig.end(), [2, 5].map(keyed));
    // Its new group is where the last record went.
    assert!(format!("{:?}", core.lock().unwrap()).contains("Completion(orders-4"));
}

/// The count is news to two: the senders, and those in line, who hear of it in the driver's next action.
#[test]
fn nobody_comes_between_the_news_of_a_partition_and_those_who_wait_for_it() {
    let mut rig = Rig::start();
    rig.send(None);
    rig.drive();
    assert!(rig.send(Some(2)), "there are two that are known of");
    rig.partitions = 3;
    rig.lane.topology_changed("orders".into(), 3);
    assert!(rig.send(Some(2)), "it is there, but someone waits for it");
    rig.drive();
    assert!(!rig.send(Some(2)));
    // With nobody in line the news count at once.
    rig.lane.topology_changed("orders".into(), 4);
    assert!(!rig.send(Some(3)));
    rig.end();
}

#[test]
fn a_record_for_a_partition_beyond_those_known_waits_for_one_refresh() {
    let mut rig = Rig::start();
    rig.send(None);
    rig.drive();
    assert!(!rig.send(Some(1)));
    assert!(rig.send(Some(2)), "there are two that are known of");
    assert!(!rig.send(Some(0)), "the others do not wait for it");
    rig.partitions = 3;
    rig.drive();
    assert!(!rig.send(Some(2)), "there is a third one by now");
    assert!(rig.send(Some(3)));
    rig.drive();
    // That one was asked for once, and goes on to fail.
    assert!(rig.send(Some(3)));
    rig.end();
}
