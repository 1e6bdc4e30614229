//! The lane without a network: a core that was told of a topic, and a clock that stands.

mod ends;
mod errors;
mod growth;
mod hooks;
mod line;
mod steps;
mod together;

use super::{DeliveryThread, LaneConfig, Shared, Submitted, Surroundings, start};
use crate::core::time::{Clock, Instant};
use crate::core::{Action, Core, CoreConfig, MemoryPool, Windows};
use crate::error::ProduceError;
use crate::lane::together::Together;
use crate::plugin::{
    Acknowledgements, Batch, BreakerOptions, Chain, Edits, Interceptor, InterceptorWants, PluginFailure, Policy, Reads,
    Used,
};
use crate::protocol::messages::{ApiVersions, Broker, MetadataResponse, PartitionMetadata, Response, TopicMetadata};
use crate::record::Record;
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::time::Duration;

struct Standing;

impl Clock for Standing {
    fn now(&self) -> Instant {
        Instant::from_nanos(1)
    }

    fn wall_ms(&self) -> i64 {
        1_700_000_000_000
    }

    fn tick(&self) -> u64 {
        1
    }
}

/// A core that knows the topic "orders" of one partition.
fn core(memory: &MemoryPool) -> Core {
    let now = Standing.now();
    let config = CoreConfig {
        bootstrap: vec![("localhost".into(), 9092)],
        memory: memory.clone(),
        idempotence: false,
        ..CoreConfig::default()
    };
    let mut core = Core::new(config, 1, now);
    core.topic(now, "orders");
    let Some(Action::Connect { connection, .. }) = core.poll_action() else { panic!("it connects") };
    core.handle_connected(
        now,
        connection,
        ApiVersions { apis: vec![(0, 3..=9), (3, 1..=9)], ..ApiVersions::default() },
    );
    let request = core.poll_transmit(now).expect("it asks for the topic");
    let partition = PartitionMetadata { error_code: 0, index: 0, leader: 1, leader_epoch: 0 };
    let topic = TopicMetadata { error_code: 0, name: "orders".into(), id: [0; 16], partitions: vec![partition] };
    let response = MetadataResponse {
        brokers: vec![Broker { id: 1, host: "localhost".into(), port: 9092, rack: None }],
        topics: vec![topic],
        ..MetadataResponse::default()
    };
    core.handle_response(now, connection, request.correlation_id, Response::Metadata(response));
    core
}

fn lane(memory: usize) -> Arc<Shared> {
    lane_with(memory, Arc::new(Standing), |_| ())
}

fn lane_where(memory: usize, may_block: fn() -> bool) -> Arc<Shared> {
    lane_with(memory, Arc::new(Standing), |config| config.may_block = may_block)
}

fn lane_with(memory: usize, clock: Arc<dyn Clock>, set: impl FnOnce(&mut LaneConfig)) -> Arc<Shared> {
    let memory = MemoryPool::new(memory);
    let mut config = LaneConfig {
        max_block: Duration::from_secs(60),
        staged_max: 1 << 20,
        direct: false,
        acknowledgements: false,
        any_acknowledgements: false,
        round_robin: false,
        may_go_to: None,
        topics_after_chain: false,
        may_block: || true,
        windows: Windows::default(),
    };
    set(&mut config);
    let core = Arc::new(Mutex::new(core(&memory)));
    let threads = Arc::new(DeliveryThread::default());
    let around = Surroundings { core, memory, clock, wake_driver: Arc::new(|| ()), delivery_thread: threads };
    let lane = Arc::new(Shared::new(config, around, 0, Arc::new(Together::of(1))));
    lane.topic_settled("orders", &Ok(()));
    lane
}

fn refusal(submitted: Submitted) -> ProduceError {
    match submitted {
        Submitted::Refused(error) => *error,
        _ => panic!("it is refused"),
    }
}

fn order(value: &str) -> Record<'_> {
    Record::to("orders").value(value)
}
