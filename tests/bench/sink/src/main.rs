//! An endless sink that passes for a Kafka broker: it acknowledges every produce request at once and keeps nothing.
//!
//! A real broker on the same machine costs more than any client, and differently much from run to run; behind this one
//! the client is what is measured. It leads all partitions of every topic it is asked about. Of a produce request it
//! reads the headers down to each batch's, and has the kernel drop the records without copying them.
//!
//! `sink [--port 19555] [--partitions 6]` prints its address once it listens. Each line on stdin is answered by one line
//! with the totals so far; it ends when stdin does.

use std::collections::HashMap;
use std::io::{BufRead, Error, ErrorKind, Result, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{
    ApiKey, ApiVersionsRequest, ApiVersionsResponse, BrokerId, InitProducerIdRequest, InitProducerIdResponse,
    MetadataRequest, MetadataResponse, ProducerId, RequestHeader, ResponseHeader, TopicName,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, StrBytes};
use rustix::net::{RecvFlags, recv};
use uuid::Uuid;

fn main() -> Result<()> {
    let (mut port, mut partitions) = (19_555_u16, 6_usize);
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let value = words.next().and_then(|value| value.parse::<u16>().ok());
        match (word.as_str(), value) {
            ("--port", Some(value)) => port = value,
            ("--partitions", Some(value)) => partitions = value.into(),
            _ => {
                eprintln!("sink [--port PORT] [--partitions N], not '{word}'");
                std::process::exit(2);
            }
        }
    }

    let listener = TcpListener::bind(("127.0.0.1", port))?;
    let yard = Arc::new(Yard {
        port,
        ends: (0..partitions).map(|_| AtomicI64::new(0)).collect(),
        records: AtomicU64::new(0),
        bytes: AtomicU64::new(0),
        requests: AtomicU64::new(0),
        topics: Mutex::new(HashMap::new()),
    });
    println!("127.0.0.1:{port}");
    let shared = Arc::clone(&yard);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let yard = Arc::clone(&shared);
            std::thread::spawn(move || {
                let served = Connection::new(stream, yard).serve();
                use ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
                match served {
                    Err(error) if !matches!(error.kind(), UnexpectedEof | ConnectionReset | BrokenPipe) => {
                        complain(&error)
                    }
                    _ => {}
                }
            });
        }
    });
    for line in std::io::stdin().lock().lines() {
        line?;
        println!("{}", yard.totals());
    }
    Ok(())
}

/// What all connections share.
struct Yard {
    port: u16,
    /// The next offset of each partition; all topics share them.
    ends: Vec<AtomicI64>,
    records: AtomicU64,
    bytes: AtomicU64,
    requests: AtomicU64,
    /// Names by id, for clients that ask for metadata by id.
    topics: Mutex<HashMap<Uuid, TopicName>>,
}

impl Yard {
    fn totals(&self) -> String {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (records, bytes, requests) = (load(&self.records), load(&self.bytes), load(&self.requests));
        format!(r#"{{"records":{records},"bytes":{bytes},"requests":{requests}}}"#)
    }

    fn api_versions(&self) -> ApiVersionsResponse {
        // Clients take the highest version that both sides know.
        let known = [
            (ApiKey::Produce, 3, 13),
            (ApiKey::Metadata, 0, 13),
            (ApiKey::ApiVersions, 0, 4),
            (ApiKey::InitProducerId, 0, 5),
            // Never asked: librdkafka writes batches of version 2 only to a broker that could give them back, and takes
            // one without group coordinators to be too old for lz4.
            (ApiKey::Fetch, 4, 17),
            (ApiKey::FindCoordinator, 0, 6),
        ];
        let keys = known.map(|(key, min, max)| {
            ApiVersion::default().with_api_key(key as i16).with_min_version(min).with_max_version(max)
        });
        ApiVersionsResponse::default().with_api_keys(keys.to_vec())
    }

    fn metadata(&self, request: MetadataRequest) -> MetadataResponse {
        let mut topics = self.topics.lock().expect("nobody panics with it");
        let asked = request.topics.unwrap_or_default().into_iter();
        let answers = asked.map(|topic| {
            let name = topic.name.or_else(|| topics.get(&topic.topic_id).cloned());
            let Some(name) = name else {
                const UNKNOWN_TOPIC_ID: i16 = 100;
                return MetadataResponseTopic::default()
                    .with_error_code(UNKNOWN_TOPIC_ID)
                    .with_topic_id(topic.topic_id);
            };
            let id = id_of(&name);
            topics.insert(id, name.clone());
            let partitions = (0..self.ends.len()).map(|index| {
                MetadataResponsePartition::default()
                    .with_partition_index(index as i32)
                    .with_leader_id(BrokerId(1))
                    .with_leader_epoch(0)
                    .with_replica_nodes(vec![BrokerId(1)])
                    .with_isr_nodes(vec![BrokerId(1)])
            });
            MetadataResponseTopic::default()
                .with_name(Some(name))
                .with_topic_id(id)
                .with_partitions(partitions.collect())
        });
        MetadataResponse::default()
            .with_brokers(vec![
                MetadataResponseBroker::default()
                    .with_node_id(BrokerId(1))
                    .with_host(StrBytes::from_static_str("127.0.0.1"))
                    .with_port(self.port.into()),
            ])
            .with_cluster_id(Some(StrBytes::from_static_str("sink")))
            .with_controller_id(BrokerId(1))
            .with_topics(answers.collect())
    }
}

/// A topic's id follows from its name, so that it is the same for every connection.
fn id_of(name: &TopicName) -> Uuid {
    let hash = name.bytes().fold(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d_u128, |hash, byte| {
        (hash ^ u128::from(byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b)
    });
    Uuid::from_u128(hash)
}

struct Connection {
    stream: TcpStream,
    yard: Arc<Yard>,
    buffer: Vec<u8>,
    /// The unread bytes of `buffer`.
    unread: std::ops::Range<usize>,
    /// What is left of the frame that is being read.
    left: usize,
    /// Never written to: it only says how much may be dropped at once.
    void: Vec<u8>,
}

impl Connection {
    fn new(stream: TcpStream, yard: Arc<Yard>) -> Connection {
        Connection { stream, yard, buffer: vec![0; 4096], unread: 0..0, left: 0, void: vec![0; 1 << 20] }
    }

    fn serve(mut self) -> Result<()> {
        self.stream.set_nodelay(true)?;
        let mut answer = Vec::new();
        loop {
            self.left = 4;
            self.left = usize::try_from(self.i32()?).map_err(|_| bad("a negative frame length"))?;
            let key = self.i16()?;
            let version = self.i16()?;
            let correlation = self.i32()?;
            answer.clear();
            answer.extend_from_slice(&[0; 4]);
            let answered = if key == ApiKey::Produce as i16 {
                self.produce(version, correlation, &mut answer)?
            } else {
                self.other(key, version, correlation, &mut answer)?;
                true
            };
            if self.left != 0 {
                return Err(bad("a frame that is longer than its request"));
            }
            if answered {
                let length = answer.len() as u32 - 4;
                answer[..4].copy_from_slice(&length.to_be_bytes());
                self.stream.write_all(&answer)?;
            }
        }
    }

    /// Produce 3 to 13: flexible from 9 on, topics by id from 13 on. False where no answer is due.
    fn produce(&mut self, version: i16, correlation: i32, out: &mut Vec<u8>) -> Result<bool> {
        if !(3..=13).contains(&version) {
            return Err(bad("a version of Produce that was not offered"));
        }
        let flexible = version >= 9;
        out.extend_from_slice(&correlation.to_be_bytes());
        let client = self.i16()?;
        self.skip(client.max(0) as usize)?;
        if flexible {
            self.tags()?;
            out.push(0);
        }
        let transaction = self.length(flexible, 2)?;
        self.skip(transaction.unwrap_or(0))?;
        let acks = self.i16()?;
        self.skip(4)?;

        let topics = self.length(flexible, 4)?.unwrap_or(0);
        put_length(out, flexible, 4, topics);
        for _ in 0..topics {
            if version >= 13 {
                self.copy(16, out)?;
            } else {
                let name = self.length(flexible, 2)?.ok_or_else(|| bad("a topic without a name"))?;
                put_length(out, flexible, 2, name);
                self.copy(name, out)?;
            }
            let partitions = self.length(flexible, 4)?.unwrap_or(0);
            put_length(out, flexible, 4, partitions);
            for _ in 0..partitions {
                let partition = self.i32()?;
                let bytes = self.length(flexible, 4)?.unwrap_or(0);
                let records = self.batches(bytes)?;
                if flexible {
                    self.tags()?;
                }
                let end = usize::try_from(partition).ok().and_then(|index| self.yard.ends.get(index));
                let (error, offset) = match end {
                    Some(end) => (0_i16, end.fetch_add(records as i64, Ordering::Relaxed)),
                    None => (3, -1), // unknown topic or partition
                };
                out.extend_from_slice(&partition.to_be_bytes());
                out.extend_from_slice(&error.to_be_bytes());
                out.extend_from_slice(&offset.to_be_bytes());
                out.extend_from_slice(&(-1_i64).to_be_bytes()); // no log-append time
                if version >= 5 {
                    out.extend_from_slice(&0_i64.to_be_bytes()); // log start offset
                }
                if version >= 8 {
                    put_length(out, flexible, 4, 0); // record errors
                    out.extend_from_slice(if flexible { &[0] } else { &[0xff, 0xff] }); // no error message
                }
                if flexible {
                    out.push(0);
                }
                self.yard.records.fetch_add(records, Ordering::Relaxed);
                self.yard.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
            }
            if flexible {
                self.tags()?;
                out.push(0);
            }
        }
        if flexible {
            self.tags()?;
        }
        out.extend_from_slice(&0_i32.to_be_bytes()); // throttle time
        if flexible {
            out.push(0);
        }
        self.yard.requests.fetch_add(1, Ordering::Relaxed);
        Ok(acks != 0)
    }

    /// How many records the batches say they have. The records themselves are dropped unread.
    fn batches(&mut self, mut bytes: usize) -> Result<u64> {
        const HEADER: usize = 61;
        let mut records = 0;
        while bytes > 0 {
            if bytes < HEADER {
                return Err(bad("a batch shorter than its header"));
            }
            let header = self.take(HEADER)?;
            let number = |at: usize| u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
            let (length, count, magic) = (12 + number(8) as usize, number(57), header[16]);
            if magic != 2 || length < HEADER || length > bytes {
                return Err(bad("not a record batch of version 2"));
            }
            records += u64::from(count);
            self.skip(length - HEADER)?;
            bytes -= length;
        }
        Ok(records)
    }

    fn other(&mut self, key: i16, version: i16, correlation: i32, out: &mut Vec<u8>) -> Result<()> {
        // The header is decoded from its start, of which the first eight bytes have been read.
        let mut frame = Vec::with_capacity(8 + self.left);
        frame.extend_from_slice(&key.to_be_bytes());
        frame.extend_from_slice(&version.to_be_bytes());
        frame.extend_from_slice(&correlation.to_be_bytes());
        self.copy(self.left, &mut frame)?;
        let mut frame = Bytes::from(frame);
        let key = ApiKey::try_from(key).map_err(|()| bad("an API that does not exist"))?;
        let unknown = key == ApiKey::ApiVersions && version > 4;
        if !unknown {
            RequestHeader::decode(&mut frame, key.request_header_version(version)).map_err(Error::other)?;
        }
        match key {
            ApiKey::ApiVersions if unknown => {
                const UNSUPPORTED_VERSION: i16 = 35;
                put(out, correlation, 0, &self.yard.api_versions().with_error_code(UNSUPPORTED_VERSION))
            }
            ApiKey::ApiVersions => {
                ApiVersionsRequest::decode(&mut frame, version).map_err(Error::other)?;
                put(out, correlation, version, &self.yard.api_versions())
            }
            ApiKey::Metadata => {
                let request = MetadataRequest::decode(&mut frame, version).map_err(Error::other)?;
                put(out, correlation, version, &self.yard.metadata(request))
            }
            ApiKey::InitProducerId => {
                static NEXT: AtomicI64 = AtomicI64::new(1000);
                InitProducerIdRequest::decode(&mut frame, version).map_err(Error::other)?;
                let id = NEXT.fetch_add(1, Ordering::Relaxed);
                put(out, correlation, version, &InitProducerIdResponse::default().with_producer_id(ProducerId(id)))
            }
            other => Err(bad(&format!("{other:?} was not offered"))),
        }
    }

    /// The next `count` bytes of the frame.
    fn take(&mut self, count: usize) -> Result<&[u8]> {
        if count > self.left {
            return Err(bad("a frame that is shorter than its request"));
        }
        if self.unread.len() < count {
            self.buffer.copy_within(self.unread.clone(), 0);
            self.unread = 0..self.unread.len();
            while self.unread.len() < count {
                match recv(&self.stream, &mut self.buffer[self.unread.end..], RecvFlags::empty()) {
                    Ok((_, 0)) => return Err(ErrorKind::UnexpectedEof.into()),
                    Ok((_, read)) => self.unread.end += read,
                    Err(rustix::io::Errno::INTR) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        self.left -= count;
        let start = self.unread.start;
        self.unread.start += count;
        Ok(&self.buffer[start..start + count])
    }

    fn copy(&mut self, mut count: usize, out: &mut Vec<u8>) -> Result<()> {
        while count > 0 {
            let step = count.min(self.buffer.len());
            out.extend_from_slice(self.take(step)?);
            count -= step;
        }
        Ok(())
    }

    fn skip(&mut self, count: usize) -> Result<()> {
        let buffered = count.min(self.unread.len());
        self.take(buffered)?;
        let mut rest = count - buffered;
        if rest > self.left {
            return Err(bad("a frame that is shorter than its request"));
        }
        self.left -= rest;
        while rest > 0 {
            let step = rest.min(self.void.len());
            match recv(&self.stream, &mut self.void[..step], RecvFlags::TRUNC | RecvFlags::WAITALL) {
                Ok((_, 0)) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok((_, dropped)) => rest -= dropped,
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn i16(&mut self) -> Result<i16> {
        let bytes = self.take(2)?;
        Ok(i16::from_be_bytes([bytes[0], bytes[1]]))
    }

    fn i32(&mut self) -> Result<i32> {
        let bytes = self.take(4)?;
        Ok(i32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    fn varint(&mut self) -> Result<usize> {
        let mut value = 0;
        for shift in [0, 7, 14, 21, 28] {
            let byte = self.take(1)?[0];
            value |= usize::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(bad("a number of more than five bytes"))
    }

    /// The length of a string, bytes or an array: compact, or in `width` bytes. `None` is null.
    fn length(&mut self, compact: bool, width: usize) -> Result<Option<usize>> {
        if compact {
            return Ok(self.varint()?.checked_sub(1));
        }
        let length = if width == 2 { self.i16()?.into() } else { self.i32()? };
        Ok(usize::try_from(length).ok())
    }

    fn tags(&mut self) -> Result<()> {
        for _ in 0..self.varint()? {
            self.varint()?;
            let size = self.varint()?;
            self.skip(size)?;
        }
        Ok(())
    }
}

fn put_length(out: &mut Vec<u8>, compact: bool, width: usize, length: usize) {
    if compact {
        let mut value = length + 1;
        while value >= 0x80 {
            out.push(value as u8 | 0x80);
            value >>= 7;
        }
        out.push(value as u8);
    } else {
        out.extend_from_slice(&(length as u32).to_be_bytes()[4 - width..]);
    }
}

fn put<Body: Encodable + HeaderVersion>(out: &mut Vec<u8>, correlation: i32, version: i16, body: &Body) -> Result<()> {
    let mut bytes = BytesMut::new();
    let header = ResponseHeader::default().with_correlation_id(correlation);
    header.encode(&mut bytes, Body::header_version(version)).map_err(Error::other)?;
    body.encode(&mut bytes, version).map_err(Error::other)?;
    out.extend_from_slice(&bytes);
    Ok(())
}

/// A client that meets an error tries again for ever; the first few times are enough to read.
fn complain(error: &Error) {
    static COMPLAINTS: AtomicU64 = AtomicU64::new(0);
    if COMPLAINTS.fetch_add(1, Ordering::Relaxed) < 10 {
        eprintln!("sink: a connection ended: {error}");
    }
}

fn bad(what: &str) -> Error {
    Error::new(ErrorKind::InvalidData, what)
}
