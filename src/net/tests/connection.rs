//! A connection against an end of a pipe that is played by the test. The pipe holds as few bytes as the test says, so
//! that partial writes and reads are not left to chance.

use super::*;
use crate::core::time::Instant;
use crate::core::{Action, Core, CoreConfig};
use crate::net::test_brokers::{answer, header};
use crate::protocol::messages::*;
use kafka_protocol::messages as theirs;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

/// The core alone makes these numbers.
fn some_id() -> ConnectionId {
    let config = CoreConfig { bootstrap: vec![("localhost".to_owned(), 9092)], ..CoreConfig::default() };
    match Core::new(config, 1, Instant::default()).poll_action() {
        Some(Action::Connect { connection, .. }) => connection,
        other => panic!("{other:?}"),
    }
}

struct Rig {
    inbox: Rc<Inbox>,
    outbox: Rc<Outbox>,
    ends: RefCell<Option<(Connection<DuplexStream>, DuplexStream)>>,
}

impl Rig {
    /// With a pipe of that many bytes in each direction.
    fn new(capacity: usize) -> Rig {
        let (ours, broker) = tokio::io::duplex(capacity);
        let inbox = Rc::new(Inbox::new(Waker::new()));
        let outbox = Rc::new(Outbox::default());
        let connection = Connection::new(some_id(), ours, Rc::clone(&inbox), Rc::clone(&outbox), Arc::default());
        Rig { inbox, outbox, ends: RefCell::new(Some((connection, broker))) }
    }

    /// Hands a request to the connection; returns its bytes.
    fn send(&self, correlation_id: i32, request: Request, version: i16, expects_response: bool) -> Vec<u8> {
        let api = request.api();
        let frame = codec::encode_request(request, version, correlation_id, "test").unwrap();
        let bytes = frame.to_vec();
        self.outbox.push(Outgoing { frame, correlation_id, api, version, expects_response });
        bytes
    }

    fn metadata(&self, correlation_id: i32) -> Vec<u8> {
        self.send(correlation_id, Request::Metadata(MetadataRequest::default()), 9, true)
    }

    fn received(&self) -> Vec<Inbound> {
        let mut list = Vec::new();
        self.inbox.swap(&mut list);
        list.into_iter().map(|(_, inbound)| inbound).collect()
    }

    /// Runs the connection beside the broker that `script` plays, who hangs up at its end; returns why the connection
    /// ended.
    async fn run(&self, script: impl AsyncFnOnce(DuplexStream)) -> String {
        let (connection, broker) = self.ends.take().expect("run once");
        tokio::join!(connection.run(), script(broker)).0.to_string()
    }
}

fn metadata_answer(correlation_id: i32) -> Vec<u8> {
    let response = theirs::MetadataResponse::default().with_throttle_time_ms(correlation_id);
    answer(correlation_id, &response, 9)
}

fn produce(partitions: i32, body_len: usize, acks: i16) -> Request {
    let partition =
        |index| ProducePartition { index, header: [index as u8; 61], body: vec![index as u8 ^ 0x55; body_len].into() };
    let topic = ProduceTopic { name: "t".into(), id: [0; 16], partitions: (0..partitions).map(partition).collect() };
    Request::Produce(ProduceRequest { acks, timeout_ms: 1, transactional_id: None, topics: vec![topic] })
}

#[tokio::test]
async fn requests_go_out_together_and_answers_come_back_in_order() {
    let rig = Rig::new(1 << 20);
    let sent: Vec<Vec<u8>> = (10..15).map(|id| rig.metadata(id)).collect();
    let cause = rig
        .run(async |mut broker| {
            // All of them before the first is answered.
            let mut bytes = vec![0; sent.concat().len()];
            broker.read_exact(&mut bytes).await.unwrap();
            assert_eq!(bytes, sent.concat());
            let answers: Vec<u8> = (10..15).flat_map(metadata_answer).collect();
            broker.write_all(&answers).await.unwrap();
        })
        .await;
    assert_eq!(cause, "the broker closed the connection");
    let ids: Vec<_> = rig
        .received()
        .into_iter()
        .map(|inbound| match inbound {
            Inbound::Response(id, Response::Metadata(response), _) => (id, response.throttle_time_ms),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(ids, (10..15).map(|id| (id, id)).collect::<Vec<_>>());
}

#[tokio::test]
async fn large_batches_survive_a_socket_that_takes_little_at_a_time() {
    for (capacity, partitions, body_len) in [(1, 2, 300), (7, 3, 1_000), (1_000, 200, 5_000), (65_536, 3, 1_000_000)] {
        let rig = Rig::new(capacity);
        let mut sent = rig.send(0, produce(partitions, body_len, -1), 9, true);
        sent.extend(rig.send(1, produce(1, 0, -1), 3, true));
        let mut received = Vec::new();
        let cause = rig
            .run(async |mut broker| {
                received = vec![0; sent.len()];
                broker.read_exact(&mut received).await.unwrap();
                let response = theirs::ProduceResponse::default();
                broker.write_all(&[answer(0, &response, 9), answer(1, &response, 3)].concat()).await.unwrap();
            })
            .await;
        assert_eq!(cause, "the broker closed the connection");
        assert!(received == sent, "capacity {capacity}");
        assert_eq!(rig.received().len(), 2);
    }
}

#[tokio::test]
async fn a_broker_that_does_not_read_does_not_stop_its_answers() {
    let rig = Rig::new(64);
    let first = rig.metadata(0);
    rig.run(async |mut broker| {
        let mut bytes = vec![0; first.len()];
        broker.read_exact(&mut bytes).await.unwrap();
        // More than the pipe holds: it stands half written while the answer to the first comes.
        rig.outbox.push(outgoing(1, produce(1, 10_000, -1)));
        broker.write_all(&metadata_answer(0)).await.unwrap();
    })
    .await;
    assert!(matches!(rig.received()[..], [Inbound::Response(0, ..)]));
}

fn outgoing(correlation_id: i32, request: Request) -> Outgoing {
    let api = request.api();
    let frame = codec::encode_request(request, 9, correlation_id, "test").unwrap();
    Outgoing { frame, correlation_id, api, version: 9, expects_response: true }
}

#[tokio::test]
async fn without_acks_it_is_told_when_the_bytes_are_with_the_socket() {
    let rig = Rig::new(100);
    let sent = rig.send(3, produce(1, 1_000, 0), 9, false);
    let second = rig.metadata(4);
    rig.run(async |mut broker| {
        let mut bytes = vec![0; sent.len() - 150];
        broker.read_exact(&mut bytes).await.unwrap();
        assert!(rig.received().is_empty(), "a part of it is not yet with the socket");
        let mut rest = vec![0; 150 + second.len()];
        broker.read_exact(&mut rest).await.unwrap();
        assert!(matches!(rig.received()[..], [Inbound::Written(3)]));
        broker.write_all(&metadata_answer(4)).await.unwrap();
    })
    .await;
    assert!(matches!(rig.received()[..], [Inbound::Response(4, ..)]));
}

#[tokio::test]
async fn bodies_are_let_go_when_they_are_written() {
    let rig = Rig::new(1 << 20);
    let body = bytes::Bytes::from(vec![1; 2000]);
    let partition = ProducePartition { index: 0, header: [0; 61], body: body.clone().into() };
    let topic = ProduceTopic { name: "t".into(), id: [0; 16], partitions: vec![partition] };
    let request = ProduceRequest { acks: -1, timeout_ms: 1, transactional_id: None, topics: vec![topic] };
    let sent = rig.send(0, Request::Produce(request), 9, true);
    assert!(!body.is_unique());
    rig.run(async |mut broker| {
        broker.read_exact(&mut vec![0; sent.len()]).await.unwrap();
        assert!(body.is_unique(), "before the answer");
    })
    .await;
}

async fn cause_of(answers: &[u8]) -> String {
    let rig = Rig::new(1 << 20);
    let first = rig.metadata(0);
    rig.run(async |mut broker| {
        broker.read_exact(&mut vec![0; first.len()]).await.unwrap();
        let _ = broker.write_all(answers).await;
    })
    .await
}

#[tokio::test]
async fn what_is_wrong_with_an_answer_is_said() {
    assert_eq!(cause_of(&metadata_answer(1)).await, "an answer to request 1 came, while the one to request 0 was due");
    let twice = [metadata_answer(0), metadata_answer(0)].concat();
    assert_eq!(cause_of(&twice).await, "an answer to request 0 came, while none was due");
    let absurd = cause_of(&i32::MAX.to_be_bytes()).await;
    assert!(absurd.contains("announces an answer of 2147483647 bytes"), "{absurd}");
    let tls = cause_of(&[0x15, 3, 3, 0, 2, 1, 0]).await;
    assert_eq!(tls, "the port speaks TLS, and security.protocol does not: it would be SSL or SASL_SSL");
    let cut = metadata_answer(0);
    assert_eq!(cause_of(&cut[..cut.len() - 1]).await, "the broker closed the connection in the middle of an answer");
    let mut broken = metadata_answer(0);
    broken[13] = 0xff;
    let broken = cause_of(&broken).await;
    assert!(broken.starts_with("the answer to Metadata version 9 cannot be read: "), "{broken}");
    let sasl = cause_of(&[]).await;
    assert!(sasl.starts_with("the broker closed the connection on the first request: does it want SASL"), "{sasl}");
}

#[tokio::test]
async fn an_answer_byte_by_byte_is_read() {
    let rig = Rig::new(1);
    let first = rig.metadata(7);
    rig.run(async |mut broker| {
        let mut bytes = vec![0; first.len()];
        broker.read_exact(&mut bytes).await.unwrap();
        assert_eq!(header(&bytes[4..]).2, 7);
        for byte in metadata_answer(7) {
            broker.write_all(&[byte]).await.unwrap();
        }
    })
    .await;
    assert!(matches!(rig.received()[..], [Inbound::Response(7, ..)]));
}
