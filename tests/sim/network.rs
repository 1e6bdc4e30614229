//! Connections: delay, stalls, cuts. A connection is a FIFO in each direction and a broker serves one request of it
//! after the other, as Kafka's SocketServer does by muting the channel. So nothing is lost out of the middle: a lost
//! request stalls what follows, and a request that the client has given up on may still be served long after.

use crate::batch::Batch;
use crate::cluster::{BrokerId, Named, Slot, Tp};
use pointsman::core::ConnectionId;
use pointsman::core::time::Instant;
use pointsman::protocol::messages::{InitProducerIdRequest, MetadataRequest, ProduceRequest, Request};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// What happens to one request on its way. Scenarios choose it, seeds draw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestFault {
    /// Never arrives, nor does what follows it on the connection.
    Lose,
    /// As [`RequestFault::Lose`], but everything arrives after this time all the same, whoever still cares.
    ArriveLate(Duration),
    /// Is served; its response and those that follow never arrive.
    LoseResponse,
    /// The connection breaks before the broker has it.
    CutBefore,
    /// The connection breaks after the broker has served it.
    CutAfter,
    /// Takes this much longer.
    Delay(Duration),
}

/// A request as the broker reads it: a copy, made when the bytes left the client.
#[derive(Debug)]
pub enum WireRequest {
    Metadata(i16, MetadataRequest),
    InitProducerId(InitProducerIdRequest),
    Produce(WireProduce),
}

#[derive(Debug)]
pub struct WireProduce {
    pub version: i16,
    pub acks: i16,
    pub timeout: Duration,
    pub batches: Vec<(Named, Result<Batch, String>)>,
}

impl WireProduce {
    pub fn read(version: i16, request: &ProduceRequest) -> WireProduce {
        let batches = request.topics.iter().flat_map(|topic| {
            topic.partitions.iter().map(move |partition| {
                let named = Named { version, name: topic.name.clone(), id: topic.id, index: partition.index };
                (named, Batch::decode(&[&partition.header[..], &partition.body.to_bytes()].concat()))
            })
        });
        WireProduce {
            version,
            acks: request.acks,
            timeout: Duration::from_millis(request.timeout_ms.max(0) as u64),
            batches: batches.collect(),
        }
    }
}

impl WireRequest {
    pub fn read(version: i16, request: &Request) -> WireRequest {
        match request {
            Request::Metadata(request) => WireRequest::Metadata(version, request.clone()),
            Request::InitProducerId(request) => WireRequest::InitProducerId(request.clone()),
            Request::Produce(request) => WireRequest::Produce(WireProduce::read(version, request)),
            other => panic!("the simulator does not know {other:?}"),
        }
    }
}

/// The client's side of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Connecting,
    Open,
    Closed,
}

/// A request that the client waits for.
#[derive(Debug)]
pub struct InFlight {
    pub partitions: Vec<(std::sync::Arc<str>, i32)>,
    /// Those whose batch was sent before.
    pub again: Vec<(std::sync::Arc<str>, i32)>,
    pub is_produce: bool,
    /// The request until its bytes have left: whoever writes it holds its memory.
    pub unwritten: Option<Request>,
    pub version: i16,
    pub expects_response: bool,
    pub fault: Option<RequestFault>,
}

/// A Produce request whose answer waits for replicas.
#[derive(Debug)]
pub struct Waiting {
    pub correlation_id: i32,
    pub version: i16,
    pub acks: i16,
    pub slots: Vec<(Option<Tp>, Slot)>,
}

#[derive(Debug)]
pub struct Connection {
    pub id: ConnectionId,
    pub broker: BrokerId,
    pub side: Side,
    pub in_flight: BTreeMap<i32, InFlight>,
    /// Nothing that is written from now on arrives; what has stalled comes after the duration, or never.
    pub stalled_out: bool,
    pub stalled: Vec<(i32, WireRequest)>,
    pub last_arrival: Instant,
    /// No response arrives any more.
    pub stalled_back: bool,
    pub last_delivery: Instant,
    /// The broker's side is gone: nothing is read or served any more.
    pub broker_closed: bool,
    pub queue: VecDeque<(i32, WireRequest)>,
    pub served_until: Instant,
    pub waiting: Option<Waiting>,
    /// Requests after whose serving the connection goes, or whose response does.
    pub doomed: BTreeMap<i32, RequestFault>,
    pub throttled_until: Instant,
    pub last_correlation_id: Option<i32>,
}

impl Connection {
    pub fn new(id: ConnectionId, broker: BrokerId, now: Instant) -> Connection {
        Connection {
            id,
            broker,
            side: Side::Connecting,
            in_flight: BTreeMap::new(),
            stalled_out: false,
            stalled: Vec::new(),
            last_arrival: now,
            stalled_back: false,
            last_delivery: now,
            broker_closed: false,
            queue: VecDeque::new(),
            served_until: now,
            waiting: None,
            doomed: BTreeMap::new(),
            throttled_until: now,
            last_correlation_id: None,
        }
    }

    pub fn produce_in_flight(&self) -> usize {
        self.in_flight.values().filter(|request| request.is_produce).count()
    }
}
