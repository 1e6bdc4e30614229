//! A producer without threads: core and lane, and a broker that says yes.

use pointsman::core::time::{Clock, Instant};
use pointsman::core::{Action, ConnectionId, Core, CoreConfig, MemoryPool, TopicHandle, TopicStatus};
use pointsman::plugin::{Chain, Routes};
use pointsman::protocol::codec::encode_request;
use pointsman::protocol::messages::{
    ApiVersions, Broker, InitProducerIdResponse, MetadataResponse, PartitionMetadata, PartitionResponse,
    ProduceResponse, Request, Response, TopicMetadata,
};
use pointsman::{Delivery, Record, Sent, SteppedLanes, SteppedOptions};
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

const TOPIC: &str = "bench";
const PARTITIONS: i32 = 6;

/// Time moves when it is told to.
struct Told(AtomicU64);

impl Clock for Told {
    fn now(&self) -> Instant {
        Instant::from_nanos(self.0.load(Ordering::Relaxed))
    }

    fn wall_ms(&self) -> i64 {
        1_700_000_000_000 + self.tick() as i64
    }

    fn tick(&self) -> u64 {
        self.0.load(Ordering::Relaxed) / 1_000_000
    }
}

pub struct Yard {
    clock: Arc<Told>,
    core: Arc<Mutex<Core>>,
    lanes: SteppedLanes,
}

/// A request that was encoded, and what the broker says to it.
pub struct Answer(ConnectionId, i32, Response);

impl Yard {
    pub fn new(chain: Option<Chain>) -> Yard {
        let memory = MemoryPool::new(64 << 20);
        let config = CoreConfig {
            bootstrap: vec![("one".to_owned(), 9092)],
            batch_size: 16 << 10,
            linger: Duration::ZERO,
            memory: memory.clone(),
            ..CoreConfig::default()
        };
        let clock = Arc::new(Told(AtomicU64::new(1_000_000_000)));
        let core = Arc::new(Mutex::new(Core::new(config, 1, clock.now())));
        let minute = Duration::from_secs(60);
        let options = SteppedOptions { max_block: minute, delivery_timeout: 2 * minute, staged_max: 4 << 20 };
        let (routes, clock_of_lanes) = (Routes::default(), Arc::clone(&clock) as Arc<dyn Clock>);
        let chains = vec![vec![chain.unwrap_or_default()]];
        let lanes = SteppedLanes::new(&options, chains, routes, Arc::clone(&core), memory, clock_of_lanes);
        let mut yard = Yard { clock, core, lanes };
        assert_eq!(yard.core().topic(yard.now(), TOPIC), TopicStatus::Pending);
        yard.rest();
        yard
    }

    pub fn now(&self) -> Instant {
        self.clock.now()
    }

    pub fn core(&self) -> MutexGuard<'_, Core> {
        self.core.lock().expect("nobody panics with it")
    }

    pub fn topic(&self) -> TopicHandle {
        match self.core().topic(self.now(), TOPIC) {
            TopicStatus::Ready(topic) => topic,
            TopicStatus::Pending => unreachable!("it was asked for"),
        }
    }

    pub fn send(&self, key: &[u8], value: &[u8]) -> Delivery {
        match self.lanes.send(&Record::to(TOPIC).key(key).value(value), None, true) {
            Sent::Accepted(delivery) => delivery,
            other => panic!("{other:?}"),
        }
    }

    /// As long as the lane has something to do.
    pub fn step(&mut self) {
        while self.lanes.has_work(0) {
            self.lanes.step(0);
        }
    }

    /// What the core has to send, down to the bytes.
    pub fn requests(&mut self) -> Vec<Answer> {
        let now = self.now();
        let mut answers = Vec::new();
        let mut core = self.core();
        loop {
            while let Some(unsealed) = core.poll_seal(now) {
                let sealed = unsealed.seal();
                core.handle_sealed(now, sealed);
            }
            let Some(transmit) = core.poll_transmit(now) else { return answers };
            let response = response(&transmit.request);
            let (version, id) = (transmit.api_version, transmit.correlation_id);
            black_box(encode_request(transmit.request, version, id, "costs").expect("it can be said"));
            answers.push(Answer(transmit.connection, id, response));
        }
    }

    pub fn answer(&self, Answer(connection, id, response): Answer) {
        self.core().handle_response(self.now(), connection, id, response);
    }

    /// Everything that the core has to tell, until the deliveries know.
    pub fn finish(&mut self) {
        loop {
            let Some(action) = self.core().poll_action() else { break };
            match action {
                Action::Connect { connection, .. } => {
                    let apis = vec![(0, 3..=13), (3, 1..=13), (22, 0..=5)];
                    self.core().handle_connected(
                        self.now(),
                        connection,
                        ApiVersions { apis, ..ApiVersions::default() },
                    );
                }
                action => self.lanes.handle(action),
            }
        }
        self.lanes.admit();
        self.step();
    }

    /// Ten milliseconds pass, and whatever is still to be done is done.
    pub fn rest(&mut self) {
        self.clock.0.fetch_add(10_000_000, Ordering::Relaxed);
        loop {
            let now = self.now();
            self.core().handle_timeout(now);
            self.finish();
            let requests = self.requests();
            if requests.is_empty() {
                return;
            }
            requests.into_iter().for_each(|request| self.answer(request));
        }
    }
}

fn response(request: &Request) -> Response {
    match request {
        Request::Metadata(_) => {
            let partition = |index| PartitionMetadata { error_code: 0, index, leader: 1, leader_epoch: 1 };
            let partitions = (0..PARTITIONS).map(partition).collect();
            Response::Metadata(MetadataResponse {
                brokers: vec![Broker { id: 1, host: "one".to_owned(), port: 9092, rack: None }],
                topics: vec![TopicMetadata { error_code: 0, name: TOPIC.to_owned(), id: [1; 16], partitions }],
                ..MetadataResponse::default()
            })
        }
        Request::InitProducerId(_) => Response::InitProducerId(InitProducerIdResponse {
            throttle_time_ms: 0,
            error_code: 0,
            producer_id: 1,
            producer_epoch: 0,
        }),
        Request::Produce(request) => {
            let partitions = request.topics.iter().flat_map(|topic| {
                topic.partitions.iter().map(|partition| PartitionResponse {
                    topic_id: topic.id,
                    index: partition.index,
                    ..PartitionResponse::default()
                })
            });
            Response::Produce(ProduceResponse { partitions: partitions.collect(), ..ProduceResponse::default() })
        }
        _ => unreachable!("the producer asks for nothing else"),
    }
}
