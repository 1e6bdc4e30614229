//! What stands at the other end of a test's socket: a script, or just enough of a broker.

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::{self as theirs, BrokerId, ProducerId, TopicName};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, StrBytes};
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// Calls `script` with every connection, each on a thread of its own; the number says which it is.
pub(super) fn listen(script: impl Fn(usize, TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let script = Arc::new(script);
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let script = Arc::clone(&script);
            std::thread::spawn(move || script(number, stream.unwrap()));
        }
    });
    address
}

/// A port at which nobody listens.
pub(super) fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// Says it, then waits until the other side hangs up: closing at once could take the words back.
pub(super) fn say_and_wait(mut stream: &TcpStream, words: &[u8]) {
    let _ = stream.write_all(words);
    let _ = stream.shutdown(Shutdown::Write);
    let _ = io::copy(&mut stream, &mut io::sink());
}

/// One request without its length, `None` at the end.
pub(super) fn read_frame(mut stream: impl Read) -> Option<Bytes> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).ok()?;
    let mut frame = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut frame).ok()?;
    Some(frame.into())
}

/// One request without its length, from a pipe.
pub(super) async fn read_async(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> Bytes {
    use tokio::io::AsyncReadExt;
    let length = stream.read_u32().await.unwrap();
    let mut frame = vec![0; length as usize];
    stream.read_exact(&mut frame).await.unwrap();
    frame.into()
}

/// API, version and correlation id of a request.
pub(super) fn header(frame: &[u8]) -> (i16, i16, i32) {
    let number = |at: usize| i16::from_be_bytes([frame[at], frame[at + 1]]);
    (number(0), number(2), i32::from_be_bytes(frame[4..8].try_into().unwrap()))
}

/// A response as it goes over the wire.
pub(super) fn answer<T: Encodable + HeaderVersion>(correlation_id: i32, response: &T, version: i16) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    let header = theirs::ResponseHeader::default().with_correlation_id(correlation_id);
    header.encode(&mut bytes, T::header_version(version)).unwrap();
    response.encode(&mut bytes, version).unwrap();
    [&(bytes.len() as u32).to_be_bytes()[..], &bytes].concat()
}

/// An ApiVersions response.
pub(super) fn api_versions(apis: &[(i16, i16, i16)]) -> theirs::ApiVersionsResponse {
    use theirs::api_versions_response::ApiVersion;
    let api = |&(key, min, max): &(i16, i16, i16)| {
        ApiVersion::default().with_api_key(key).with_min_version(min).with_max_version(max)
    };
    theirs::ApiVersionsResponse::default().with_api_keys(apis.iter().map(api).collect())
}

/// What the small broker speaks.
pub(super) const APIS: [(i16, i16, i16); 4] = [(0, 3, 12), (3, 0, 12), (18, 0, 4), (22, 0, 4)];

/// One broker that leads all partitions of whatever topic it is asked for, and keeps batches as they came.
#[derive(Clone)]
pub(super) struct SmallKafka {
    pub(super) address: SocketAddr,
    /// What it says its address is.
    pub(super) advertised: Arc<Mutex<SocketAddr>>,
    pub(super) log: Arc<Mutex<Vec<Batch>>>,
}

pub(super) struct Batch {
    pub(super) partition: i32,
    pub(super) bytes: Bytes,
}

impl SmallKafka {
    /// `tamper` may change or withhold an answer: API, number of the request on its connection, the bytes. `None`
    /// hangs up.
    pub(super) fn start(
        partitions: i32,
        tamper: impl Fn(i16, usize, Vec<u8>) -> Option<Vec<u8>> + Send + Sync + 'static,
    ) -> SmallKafka {
        let log: Arc<Mutex<Vec<Batch>>> = Arc::default();
        let advertised = Arc::new(Mutex::new(nobody()));
        let kept = Arc::clone(&log);
        let says = Arc::clone(&advertised);
        let address = listen(move |_, stream| {
            let mut number = 0;
            while let Some(frame) = read_frame(&stream) {
                let api = header(&frame).0;
                let advertised = *says.lock().unwrap();
                let Some(answer) = respond(frame, advertised, partitions, &kept) else { continue };
                let Some(answer) = tamper(api, number, answer) else { return };
                number += 1;
                if (&stream).write_all(&answer).is_err() {
                    return;
                }
            }
        });
        *advertised.lock().unwrap() = address;
        SmallKafka { address, advertised, log }
    }
}

fn request<T: Decodable + HeaderVersion>(mut frame: Bytes, version: i16) -> T {
    theirs::RequestHeader::decode(&mut frame, T::header_version(version)).unwrap();
    T::decode(&mut frame, version).unwrap()
}

/// `None` for a request that wants no answer.
fn respond(frame: Bytes, advertised: SocketAddr, partitions: i32, log: &Mutex<Vec<Batch>>) -> Option<Vec<u8>> {
    let (api, version, id) = header(&frame);
    Some(match api {
        18 => answer(id, &api_versions(&APIS), version),
        3 => {
            use theirs::metadata_response::*;
            let request: theirs::MetadataRequest = request(frame, version);
            let partition = |index| {
                MetadataResponsePartition::default()
                    .with_partition_index(index)
                    .with_leader_id(BrokerId(1))
                    .with_leader_epoch(0)
            };
            let topics = request.topics.unwrap_or_default().into_iter().map(|topic| {
                MetadataResponseTopic::default()
                    .with_name(topic.name)
                    .with_partitions((0..partitions).map(partition).collect())
            });
            let broker = MetadataResponseBroker::default()
                .with_node_id(BrokerId(1))
                .with_host(StrBytes::from_string(advertised.ip().to_string()))
                .with_port(i32::from(advertised.port()));
            let response = theirs::MetadataResponse::default()
                .with_brokers(vec![broker])
                .with_controller_id(BrokerId(1))
                .with_topics(topics.collect());
            answer(id, &response, version)
        }
        22 => answer(id, &theirs::InitProducerIdResponse::default().with_producer_id(ProducerId(7)), version),
        0 => {
            use theirs::produce_response::*;
            let request: theirs::ProduceRequest = request(frame, version);
            let acks = request.acks;
            let topics = request.topic_data.into_iter().map(|topic| {
                let mut log = log.lock().unwrap();
                let partitions = topic.partition_data.into_iter().map(|data| {
                    let offset = log.len() as i64;
                    log.push(Batch { partition: data.index, bytes: data.records.unwrap() });
                    PartitionProduceResponse::default().with_index(data.index).with_base_offset(offset)
                });
                let partitions = partitions.collect();
                TopicProduceResponse::default().with_name(TopicName(topic.name.0)).with_partition_responses(partitions)
            });
            let response = theirs::ProduceResponse::default().with_responses(topics.collect());
            if acks == 0 {
                return None;
            }
            answer(id, &response, version)
        }
        other => panic!("a request of API {other}"),
    })
}
