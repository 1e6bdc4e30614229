//! One broker of three is hostile: what is meant for it fails in time and by name, what it says costs bounded memory, it
//! is not hammered, and the records of the others go on meanwhile.

#[path = "../../src/net/tests/certificates.rs"]
#[expect(dead_code, reason = "the tests of `net` use the rest of it")]
mod certificates;

use super::{Broker, PATIENCE};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use certificates::Authority;
use kafka_protocol::messages as theirs;
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, StrBytes};
use krafka::testing::FakeBroker;
use pointsman::{Delivery, ProduceError, Record};
use ring::{hmac, pbkdf2};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

const HEALTHY: [i32; 2] = [0, 1];
const HOSTILE: i32 = 2;
const EACH: usize = 300;
const PASSWORD: &str = "hush-hush-stranger";

/// What a connection of the third broker does. All but the first two let the handshake pass.
#[derive(Clone, Copy, Debug)]
enum Vice {
    /// Says this, whatever it is asked, and waits.
    Says(&'static [u8]),
    /// Answers the handshake byte by byte, for as long as it is listened to.
    DripsHandshake,
    /// Does so with the answer to a Produce request.
    Drips,
    /// Says this instead of the answer to a Produce request.
    Answers(&'static [u8]),
    /// Announces that many bytes as the answer to a Produce request, and sends more than those.
    NeverEnds(i32),
    /// Takes a login without proving that it knows the password.
    SkipsScram,
    /// Hangs up on what is no request, as Kafka does where it speaks no TLS.
    HangsUp,
}

/// How to speak with the healthy ones.
#[derive(Clone, Copy, PartialEq)]
enum Front {
    Plaintext,
    Tls,
    Scram,
}

/// What became of a record for the hostile broker.
struct Outcome {
    error: ProduceError,
    /// How often it was connected to.
    connections: usize,
}

/// While records flow to the other two.
fn beside_healthy_ones(vice: Vice, front: Front) -> Outcome {
    let authority = Authority::new("strangers");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let broker = runtime.block_on(FakeBroker::start_cluster(3)).unwrap();
    broker.create_topic("orders", 3);
    if front == Front::Scram {
        broker.require_sasl_plain("front", PASSWORD);
    }
    let acceptor = acceptor(&authority);
    let connections = Arc::new(AtomicUsize::new(0));
    for node in 0..3 {
        broker.set_leader("orders", node, node);
        let upstream = broker.broker_addr(node).unwrap();
        let (acceptor, connections) = (acceptor.clone(), Arc::clone(&connections));
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let port = listener.local_addr().unwrap().port();
        broker.with_state(|state| state.brokers[node as usize].port = port.into());
        runtime.spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if node == HOSTILE {
                    connections.fetch_add(1, Ordering::Relaxed);
                    tokio::spawn(hostile(vice, client, upstream));
                } else {
                    tokio::spawn(healthy(front, client, upstream, acceptor.clone()));
                }
            }
        });
    }
    let bootstrap = broker.with_state(|state| format!("127.0.0.1:{}", state.brokers[0].port));
    let broker = Broker { broker, _runtime: runtime };
    let jaas = format!("a.ScramLoginModule required username=\"alice\" password=\"{PASSWORD}\";");
    let mut settings = vec![
        ("bootstrap.servers", bootstrap.as_str()),
        ("request.timeout.ms", "1000"),
        ("delivery.timeout.ms", "4000"),
        ("socket.connection.setup.timeout.ms", "1000"),
    ];
    match front {
        Front::Plaintext => {}
        Front::Tls => settings.extend([
            ("security.protocol", "SSL"),
            ("ssl.truststore.type", "PEM"),
            ("ssl.truststore.certificates", &authority.pem),
        ]),
        Front::Scram => settings.extend([
            ("security.protocol", "SASL_PLAINTEXT"),
            ("sasl.mechanism", "SCRAM-SHA-256"),
            ("sasl.jaas.config", &jaas),
        ]),
    }
    let producer = broker.producer(&settings);
    let send = |partition: i32, number: usize| -> Delivery {
        let record = Record::to("orders").partition(partition).key("k");
        producer.send_blocking(&record.value(&number.to_string())).unwrap()
    };
    let struck = send(HOSTILE, 0);
    let (mut number, mut deliveries) = (0, Vec::new());
    // As long as the hostile one keeps it busy, and at least so many.
    while number < EACH || struck.try_result().is_none() {
        deliveries.extend(HEALTHY.map(|partition| send(partition, number)));
        number += 1;
        std::thread::sleep(Duration::from_millis(2));
    }
    for delivery in deliveries {
        delivery.wait().unwrap_or_else(|error| panic!("{vice:?}: {error}"));
    }
    let error = struck.wait().unwrap_err();
    let records = broker.records();
    for partition in HEALTHY {
        let of_partition = records.iter().filter(|(of, _, _)| *of == partition);
        let found: Vec<usize> = of_partition.map(|(_, _, value)| value.parse().unwrap()).collect();
        assert_eq!(found, (0..number).collect::<Vec<_>>(), "{vice:?}: partition {partition}");
    }
    producer.close_blocking(PATIENCE).unwrap();
    let connections = connections.load(Ordering::Relaxed);
    // Four seconds of a backoff from 50 ms to one second, and a second connection where the first was let in.
    assert!((1..=16).contains(&connections), "{vice:?}: connected to {connections} times");
    Outcome { error, connections }
}

fn words(vice: Vice, front: Front, expected: &str) {
    let error = beside_healthy_ones(vice, front).error.to_string();
    assert!(error.contains(expected) && !error.contains("hush"), "{vice:?}: {error}");
}

fn acceptor(authority: &Authority) -> TlsAcceptor {
    let issued = authority.issue("broker", &["127.0.0.1"]);
    let chain = vec![CertificateDer::from_pem_slice(issued.pem.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(issued.key_pem.as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    Arc::new(config.with_no_client_auth().with_single_cert(chain, key).unwrap()).into()
}

async fn healthy(front: Front, mut client: TcpStream, upstream: SocketAddr, acceptor: TlsAcceptor) -> io::Result<()> {
    let mut broker = TcpStream::connect(upstream).await?;
    match front {
        Front::Plaintext => {}
        Front::Tls => {
            let mut client = acceptor.accept(client).await?;
            return copy_bidirectional(&mut client, &mut broker).await.map(drop);
        }
        Front::Scram => scram(&mut client, &mut broker, false).await?,
    }
    copy_bidirectional(&mut client, &mut broker).await.map(drop)
}

async fn hostile(vice: Vice, mut client: TcpStream, upstream: SocketAddr) -> io::Result<()> {
    let mut broker = TcpStream::connect(upstream).await?;
    match vice {
        Vice::Says(words) => {
            client.write_all(words).await?;
            return listen_on(&mut client).await;
        }
        Vice::DripsHandshake => {
            let answer = ask(&mut broker, &read_frame(&mut client).await?).await?;
            return drip(&mut client, &answer).await;
        }
        Vice::HangsUp => return client.read_exact(&mut [0; 4]).await.map(drop),
        Vice::SkipsScram => scram(&mut client, &mut broker, true).await?,
        Vice::Drips | Vice::Answers(_) | Vice::NeverEnds(_) => {}
    }
    loop {
        let request = read_frame(&mut client).await?;
        let answer = ask(&mut broker, &request).await?;
        // Produce is API 0.
        match vice {
            Vice::Drips if request[..2] == [0, 0] => return drip(&mut client, &answer).await,
            Vice::Answers(words) if request[..2] == [0, 0] => {
                client.write_all(words).await?;
                return listen_on(&mut client).await;
            }
            Vice::NeverEnds(length) if request[..2] == [0, 0] => {
                client.write_i32(length).await?;
                loop {
                    client.write_all(&[0xff; 1 << 16]).await?;
                }
            }
            _ => client.write_all(&framed(&answer)).await?,
        }
    }
}

/// Byte by byte, and never the last one.
async fn drip(client: &mut TcpStream, answer: &[u8]) -> io::Result<()> {
    for byte in framed(answer).iter().take(3 + answer.len()) {
        client.write_all(&[*byte]).await?;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    listen_on(client).await
}

/// Until the other side has had enough.
async fn listen_on(client: &mut TcpStream) -> io::Result<()> {
    tokio::io::copy(client, &mut tokio::io::sink()).await.map(drop)
}

async fn read_frame(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let mut frame = vec![0; from.read_u32().await? as usize];
    from.read_exact(&mut frame).await?;
    Ok(frame)
}

fn framed(frame: &[u8]) -> Vec<u8> {
    [&(frame.len() as u32).to_be_bytes()[..], frame].concat()
}

async fn ask(broker: &mut TcpStream, request: &[u8]) -> io::Result<Vec<u8>> {
    broker.write_all(&framed(request)).await?;
    read_frame(broker).await
}

/// The broker's part of SCRAM-SHA-256, in front of one that knows PLAIN only. Who skips says that the login is well
/// before it was proved.
async fn scram(
    client: &mut (impl AsyncRead + AsyncWrite + Unpin),
    broker: &mut TcpStream,
    skips: bool,
) -> io::Result<()> {
    let versions = read_frame(client).await?;
    let answer = ask(broker, &versions).await?;
    client.write_all(&framed(&answer)).await?;
    let (id, _): (_, theirs::SaslHandshakeRequest) = read_request(client).await?;
    respond(client, id, &theirs::SaslHandshakeResponse::default()).await?;
    let authenticated = |bytes: &str| {
        theirs::SaslAuthenticateResponse::default().with_auth_bytes(Bytes::copy_from_slice(bytes.as_bytes()))
    };
    let (id, first): (_, theirs::SaslAuthenticateRequest) = read_request(client).await?;
    if skips {
        respond(client, id, &authenticated("")).await?;
    } else {
        let first = String::from_utf8(first.auth_bytes.to_vec()).unwrap();
        let bare = first.strip_prefix("n,,").unwrap();
        let nonce = bare.split_once(",r=").unwrap().1;
        let challenge = format!("r={nonce}theirs,s={},i=4096", STANDARD.encode("salt"));
        respond(client, id, &authenticated(&challenge)).await?;
        let (id, second): (_, theirs::SaslAuthenticateRequest) = read_request(client).await?;
        let second = String::from_utf8(second.auth_bytes.to_vec()).unwrap();
        let signed = format!("{bare},{challenge},{}", second.rsplit_once(",p=").unwrap().0);
        let mut salted = [0; 32];
        let iterations = 4096.try_into().unwrap();
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, iterations, b"salt", PASSWORD.as_bytes(), &mut salted);
        let sign = |key: &[u8], text: &[u8]| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text);
        let proof = sign(sign(&salted, b"Server Key").as_ref(), signed.as_bytes());
        respond(client, id, &authenticated(&format!("v={}", STANDARD.encode(proof.as_ref())))).await?;
    }
    let plain = StrBytes::from_static_str("PLAIN");
    let handshake = theirs::SaslHandshakeRequest::default().with_mechanism(plain);
    ask(broker, &request(17, &handshake)).await?;
    let login = Bytes::from(format!("\0front\0{PASSWORD}"));
    ask(broker, &request(36, &theirs::SaslAuthenticateRequest::default().with_auth_bytes(login))).await?;
    Ok(())
}

/// Of version 1, as the fake broker offers it.
async fn read_request<T: Decodable + HeaderVersion>(client: &mut (impl AsyncRead + Unpin)) -> io::Result<(i32, T)> {
    let mut frame = Bytes::from(read_frame(client).await?);
    let header = theirs::RequestHeader::decode(&mut frame, T::header_version(1)).unwrap();
    Ok((header.correlation_id, T::decode(&mut frame, 1).unwrap()))
}

async fn respond<T: Encodable + HeaderVersion>(
    client: &mut (impl AsyncWrite + Unpin),
    id: i32,
    response: &T,
) -> io::Result<()> {
    let mut bytes = BytesMut::new();
    theirs::ResponseHeader::default().with_correlation_id(id).encode(&mut bytes, T::header_version(1)).unwrap();
    response.encode(&mut bytes, 1).unwrap();
    client.write_all(&framed(&bytes)).await
}

fn request<T: Encodable + HeaderVersion>(api: i16, request: &T) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    let header = theirs::RequestHeader::default().with_request_api_key(api).with_request_api_version(1);
    header.encode(&mut bytes, T::header_version(1)).unwrap();
    request.encode(&mut bytes, 1).unwrap();
    bytes.to_vec()
}

#[test]
fn garbage() {
    words(Vice::Says(&[0xff; 4096]), Front::Plaintext, "the port does not speak Kafka, or badly");
    words(Vice::Says(b"HTTP/1.1 400 Bad Request\r\n\r\n"), Front::Plaintext, "the port speaks HTTP, not Kafka");
    // Behind an honest handshake.
    words(
        Vice::Answers(&[0, 0, 0, 9, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4, 5]),
        Front::Plaintext,
        "an answer to request -1 came",
    );
}

#[test]
fn absurd_lengths() {
    words(Vice::Says(&[0x7f, 0xff, 0xff, 0xff]), Front::Plaintext, "announces an answer of 2147483647 bytes");
    words(Vice::Answers(&[0x7f, 0xff, 0xff, 0xff]), Front::Plaintext, "announces an answer of 2147483647 bytes");
    words(Vice::Answers(&[0x80, 0, 0, 0]), Front::Plaintext, "announces an answer of -2147483648 bytes");
}

#[test]
fn a_slow_drip() {
    words(Vice::DripsHandshake, Front::Plaintext, "no answer within");
    words(Vice::Drips, Front::Plaintext, "did not answer a Produce request within request.timeout.ms (1000 ms)");
}

#[test]
fn a_reply_that_never_ends() {
    let before = resident();
    let watch = Arc::new(AtomicUsize::new(before));
    let (most, over) = (Arc::clone(&watch), Arc::new(AtomicUsize::new(0)));
    let ends = Arc::clone(&over);
    let watcher = std::thread::spawn(move || {
        while ends.load(Ordering::Relaxed) == 0 {
            most.fetch_max(resident(), Ordering::Relaxed);
            std::thread::sleep(Duration::from_millis(5));
        }
    });
    // As long as an answer may be; what comes behind it is no answer. Some gigabytes come while it is listened to.
    let error = beside_healthy_ones(Vice::NeverEnds(100 << 20), Front::Plaintext).error.to_string();
    // Which of the two is first depends on how fast this machine reads.
    let ends = ["an answer to request -1 came, while the one to request", "did not answer a Produce request within"];
    assert!(ends.iter().any(|end| error.contains(end)), "{error}");
    words(Vice::NeverEnds((100 << 20) + 1), Front::Plaintext, "announces an answer of 104857601 bytes");
    over.store(1, Ordering::Relaxed);
    watcher.join().unwrap();
    let grown = watch.load(Ordering::Relaxed) - before;
    // One answer and its copy when the buffer grows, and what other tests of this process take meanwhile.
    assert!(grown < 400 << 20, "{} MiB", grown >> 20);
}

/// Bytes of memory in use by this process.
fn resident() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

#[test]
fn a_port_without_tls_where_it_is_asked_for() {
    words(Vice::HangsUp, Front::Tls, "does it speak TLS, as security.protocol says?");
    words(Vice::Says(&[0; 64]), Front::Tls, "the port does not speak TLS, or badly");
}

#[test]
fn a_port_with_tls_where_it_is_not_asked_for() {
    // A fatal alert, as such a port answers to what is no TLS.
    words(
        Vice::Says(&[0x15, 3, 1, 0, 2, 2, 70]),
        Front::Plaintext,
        "the port speaks TLS, and security.protocol does not",
    );
}

#[test]
fn a_login_that_skips_steps() {
    let outcome = beside_healthy_ones(Vice::SkipsScram, Front::Scram);
    let words = outcome.error.to_string();
    assert!(matches!(outcome.error, ProduceError::Authentication { .. }), "{words}");
    assert!(words.contains("the broker is not to be trusted: it skipped its challenge"), "{words}");
    assert!(!words.contains("hush") && outcome.connections > 0, "{words}");
}
