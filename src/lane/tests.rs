//! The lane without a network: a core that was told of a topic, and a clock that stands.

mod errors;
mod growth;

use super::{DeliveryThread, LaneConfig, Shared, Submitted, start};
use crate::core::time::{Clock, Instant};
use crate::core::{Action, Core, CoreConfig, MemoryPool, Windows};
use crate::error::ProduceError;
use crate::plugin::{Acknowledgements, Batch, Chain, Edits, Interceptor, InterceptorWants, PluginFailure, Reads, Used};
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
    core.handle_connected(now, connection, ApiVersions { apis: vec![(0, 3..=9), (3, 1..=9)] });
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
    lane_where(memory, || true)
}

fn lane_where(memory: usize, may_block: fn() -> bool) -> Arc<Shared> {
    let memory = MemoryPool::new(memory);
    let config = LaneConfig {
        max_block: Duration::from_secs(60),
        staged_max: 1 << 20,
        acknowledgements: false,
        may_block,
        windows: Windows::default(),
    };
    let core = Arc::new(Mutex::new(core(&memory)));
    let threads = Arc::new(DeliveryThread::default());
    let lane = Arc::new(Shared::new(config, core, memory, Arc::new(Standing), Box::new(|| ()), threads));
    lane.topic_settled("orders", &Ok(()));
    lane
}

fn order(value: &str) -> Record<'_> {
    Record::to("orders").value(value)
}

#[test]
fn a_dropped_accept_lets_the_next_in_line_through() {
    let lane = lane(1000);
    let Submitted::Accepted(_) = lane.submit(&order("fits"), None, true) else { panic!("there is room") };
    let large = "x".repeat(850);
    let Submitted::Waiting(first) = lane.submit(&order(&large), None, true) else { panic!("there is no room") };
    let Submitted::Waiting(second) = lane.submit(&order("small"), None, true) else {
        panic!("nobody is overtaken, however small")
    };
    assert!(matches!(lane.submit(&order("s"), None, false), Submitted::Refused(ProduceError::BufferFull)));
    assert!(matches!(second.poll(Waker::noop()), Poll::Pending));
    first.cancel();
    lane.admit();
    assert!(matches!(second.poll(Waker::noop()), Poll::Ready(Ok(_))));
}

#[test]
fn closing_refuses_those_in_line() {
    let lane = lane(1000);
    let large = "x".repeat(800);
    let Submitted::Accepted(_) = lane.submit(&order(&large), None, true) else { panic!("there is room") };
    let Submitted::Waiting(waiter) = lane.submit(&order(&large), None, true) else { panic!("there is no room") };
    lane.close();
    assert!(matches!(waiter.poll(Waker::noop()), Poll::Ready(Err(ProduceError::Closed { .. }))));
    assert!(matches!(lane.submit(&order("late"), None, true), Submitted::Refused(ProduceError::Closed { .. })));
}

/// An interceptor that takes the lane's thread with it.
struct Panics(InterceptorWants);

impl Interceptor for Panics {
    fn wants(&self) -> &InterceptorWants {
        &self.0
    }

    fn on_send(&mut self, _: &Batch<'_>) -> Result<Edits, PluginFailure> {
        panic!("on purpose")
    }

    fn on_acknowledgement(&mut self, _: &Acknowledgements<'_>) -> Result<(), PluginFailure> {
        Ok(())
    }

    fn close(&mut self) {}
}

#[test]
fn a_lane_that_panics_leaves_nobody_waiting() {
    let lane = lane(1 << 20);
    let Submitted::Accepted(first) = lane.submit(&order("1"), None, true) else { panic!("there is room") };
    let wants = InterceptorWants { on_send: Some(Reads::default()), ..InterceptorWants::default() };
    let interceptors = vec![Used { plugin: "panics".into(), role: Box::new(Panics(wants)) as Box<dyn Interceptor> }];
    let chain = Chain { interceptors, ..Chain::default() };
    let thread = start(Arc::clone(&lane), chain, Duration::from_secs(120), 0).expect("a thread");
    assert!(matches!(first.wait(), Err(ProduceError::Fatal { .. })));
    assert!(thread.join().is_err());
    assert!(matches!(lane.submit(&order("2"), None, true), Submitted::Refused(ProduceError::Closed { .. })));
    let flushed = Arc::new(Mutex::new(false));
    let done = Arc::clone(&flushed);
    lane.flush(Box::new(move || *done.lock().unwrap() = true));
    assert!(*flushed.lock().unwrap());
}
