//! Connections: delay, stalls, cuts. A connection is a FIFO in each direction and a broker serves one request of it
//! after the other, as Kafka's SocketServer does by muting the channel. So nothing is lost out of the middle: a lost
//! request stalls what follows, and a request that the client has given up on may still be served long after.

use crate::batch::Batch;
use crate::cluster::{BrokerId, Named, Slot, Tp};
use pointsman::core::ConnectionId as OfCore;
use pointsman::core::time::Instant;
use pointsman::protocol::messages::{
    AddOffsetsToTxnRequest, AddPartitionsToTxnRequest, EndTxnRequest, FindCoordinatorRequest, InitProducerIdRequest,
    MetadataRequest, ProduceRequest, Request, TxnOffsetCommitRequest,
};
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::time::Duration;

/// A connection, by whose it is and what the producer's core calls it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConnectionId {
    pub producer: usize,
    pub of_core: OfCore,
}

impl fmt::Debug for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.producer {
            0 => self.of_core.fmt(f),
            producer => write!(f, "{:?} of producer {producer}", self.of_core),
        }
    }
}

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
    InitProducerId(i16, InitProducerIdRequest),
    Produce(WireProduce),
    FindCoordinator(FindCoordinatorRequest),
    AddPartitionsToTxn(i16, AddPartitionsToTxnRequest),
    AddOffsetsToTxn(i16, AddOffsetsToTxnRequest),
    TxnOffsetCommit(i16, TxnOffsetCommitRequest),
    EndTxn(i16, EndTxnRequest),
}

#[derive(Debug)]
pub struct WireProduce {
    pub version: i16,
    pub acks: i16,
    pub transactional_id: Option<String>,
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
            transactional_id: request.transactional_id.clone(),
            timeout: Duration::from_millis(request.timeout_ms.max(0) as u64),
            batches: batches.collect(),
        }
    }
}

impl WireRequest {
    pub fn read(version: i16, request: &Request) -> WireRequest {
        match request {
            Request::Metadata(request) => WireRequest::Metadata(version, request.clone()),
            Request::InitProducerId(request) => {
                let mut request = request.clone();
                if version < 3 {
                    // Such a one cannot say that it wants to go on (KIP-360).
                    (request.producer_id, request.producer_epoch) = (-1, -1);
                }
                WireRequest::InitProducerId(version, request)
            }
            Request::FindCoordinator(request) => WireRequest::FindCoordinator(request.clone()),
            Request::AddPartitionsToTxn(request) => WireRequest::AddPartitionsToTxn(version, request.clone()),
            Request::AddOffsetsToTxn(request) => WireRequest::AddOffsetsToTxn(version, request.clone()),
            Request::TxnOffsetCommit(request) => WireRequest::TxnOffsetCommit(version, request.clone()),
            Request::EndTxn(request) => WireRequest::EndTxn(version, request.clone()),
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
