//! From a name to a connection, against real sockets.

use super::*;
use crate::core::NodeId;
use crate::net::test_brokers::{answer, api_versions, header, listen, nobody, read_frame, say_and_wait};
use crate::protocol::error_code;
use std::io::Write;
use std::net::Shutdown;

async fn try_connect(node: i32, host: &str, port: u16) -> Result<ApiVersions, String> {
    let config = NetConfig { client_id: "test".to_owned(), ..NetConfig::default() };
    let peer = Peer::new(NodeId(node), host, port);
    connect(&peer, &config, Duration::from_secs(30))
        .await
        .map(|made| made.versions)
        .map_err(|trouble| trouble.to_string())
}

async fn error_of(script: impl Fn(usize, std::net::TcpStream) + Send + Sync + 'static) -> String {
    let address = listen(script);
    let error = try_connect(-1, "127.0.0.1", address.port()).await.unwrap_err();
    let start = format!("bootstrap server {address} cannot be reached: {address}: ");
    error.strip_prefix(&start).unwrap_or_else(|| panic!("{error}")).to_owned()
}

#[tokio::test]
async fn the_broker_says_what_it_speaks() {
    let address = listen(|_, mut stream| {
        let frame = read_frame(&stream).unwrap();
        let (api, version, id) = header(&frame);
        assert_eq!((api, version), (18, 4));
        stream.write_all(&answer(id, &api_versions(&[(3, 0, 13), (0, 3, 13)]), version)).unwrap();
    });
    let versions = try_connect(-1, "127.0.0.1", address.port()).await.unwrap();
    assert_eq!(versions.apis, vec![(0, 3..=13), (3, 0..=13)]);
}

#[tokio::test]
async fn a_broker_that_refuses_the_version_is_asked_again_on_the_same_connection() {
    for known in [0, 2] {
        let address = listen(move |number, mut stream| {
            assert_eq!(number, 0);
            let (_, _, id) = header(&read_frame(&stream).unwrap());
            // Before 2.4 it did not say which version it knows.
            let apis: &[_] = if known == 0 { &[] } else { &[(18, 0, known)] };
            let refusal = api_versions(apis).with_error_code(error_code::UNSUPPORTED_VERSION);
            stream.write_all(&answer(id, &refusal, 0)).unwrap();
            let (_, version, id) = header(&read_frame(&stream).unwrap());
            assert_eq!(version, known);
            stream.write_all(&answer(id, &api_versions(&[(0, 3, 7)]), version)).unwrap();
        });
        let versions = try_connect(-1, "127.0.0.1", address.port()).await.unwrap();
        assert_eq!(versions.apis, vec![(0, 3..=7)]);
    }
}

#[tokio::test]
async fn a_broker_that_answers_an_error_is_quoted() {
    let error = error_of(|_, mut stream| {
        let (_, version, id) = header(&read_frame(&stream).unwrap());
        let refusal = api_versions(&[]).with_error_code(error_code::CLUSTER_AUTHORIZATION_FAILED);
        let _ = stream.write_all(&answer(id, &refusal, version));
    })
    .await;
    assert_eq!(error, "the broker answered CLUSTER_AUTHORIZATION_FAILED to ApiVersions");
}

#[tokio::test]
async fn ports_that_speak_something_else_are_named() {
    let tls = error_of(|_, stream| say_and_wait(&stream, &[0x15, 0x03, 0x03, 0, 2, 2, 80])).await;
    assert_eq!(tls, "the port speaks TLS, and security.protocol does not: it would be SSL or SASL_SSL");
    let http = error_of(|_, stream| say_and_wait(&stream, b"HTTP/1.1 400 Bad Request\r\n\r\n")).await;
    assert_eq!(http, "the port speaks HTTP, not Kafka");
    let garbage = error_of(|_, stream| say_and_wait(&stream, b"\x7fELF and so on")).await;
    assert!(garbage.starts_with("the port does not speak Kafka, or badly: it announces an answer of"), "{garbage}");
    let short = error_of(|_, stream| say_and_wait(&stream, &[0, 0, 0, 9, 0, 0, 0, 0, 0])).await;
    assert_eq!(short, "the broker closed the connection in the middle of an answer");
}

#[tokio::test]
async fn a_connection_that_ends_before_an_answer_hints_at_its_security() {
    let error = error_of(|_, stream| {
        let _ = read_frame(&stream);
        stream.shutdown(Shutdown::Both).unwrap();
    })
    .await;
    assert!(error.starts_with("the broker closed the connection without an answer"), "{error}");
}

#[tokio::test]
async fn an_answer_to_another_request_is_refused() {
    let error = error_of(|_, mut stream| {
        let (_, version, id) = header(&read_frame(&stream).unwrap());
        let _ = stream.write_all(&answer(id + 5, &api_versions(&[]), version));
    })
    .await;
    assert_eq!(error, "an answer to request 5 came, while the one to request 0 was due");
}

#[tokio::test]
async fn an_answer_drop_by_drop_is_read() {
    let address = listen(|_, mut stream| {
        stream.set_nodelay(true).unwrap();
        let (_, version, id) = header(&read_frame(&stream).unwrap());
        for byte in answer(id, &api_versions(&[(0, 3, 9)]), version) {
            stream.write_all(&[byte]).unwrap();
            std::thread::yield_now();
        }
    });
    assert_eq!(try_connect(-1, "127.0.0.1", address.port()).await.unwrap().apis, vec![(0, 3..=9)]);
}

#[tokio::test]
async fn an_advertised_address_that_cannot_be_reached_names_its_node() {
    let port = nobody().port();
    assert_eq!(
        try_connect(1, "127.0.0.1", port).await.unwrap_err(),
        format!("broker 1 advertises 127.0.0.1:{port}, which cannot be reached: 127.0.0.1:{port}: connection refused")
    );
    let error = try_connect(2, "kafka-internal.invalid", 9092).await.unwrap_err();
    let start = "broker 2 advertises kafka-internal.invalid:9092, which cannot be reached: its name cannot be resolved";
    assert!(error.starts_with(start), "{error}");
}

#[tokio::test]
async fn every_address_of_a_name_is_tried() {
    let port = nobody().port();
    let error = try_connect(-1, "localhost", port).await.unwrap_err();
    for address in tokio::net::lookup_host(("localhost", port)).await.unwrap() {
        assert!(error.contains(&format!("{address}: connection refused")), "{error}");
    }
}

#[tokio::test]
async fn one_that_never_answers_is_given_up() {
    let address = listen(|_, stream| say_nothing(&stream));
    let peer = Peer::new(NodeId(-1), "127.0.0.1", address.port());
    let error = connect(&peer, &NetConfig::default(), Duration::from_millis(20)).await.unwrap_err().to_string();
    assert!(error.ends_with(": no answer within 20 ms"), "{error}");
}

fn say_nothing(stream: &std::net::TcpStream) {
    let _ = std::io::copy(&mut &*stream, &mut std::io::sink());
}
