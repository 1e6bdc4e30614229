//! Logins against an end of a pipe that the test plays, honestly or not.

use super::*;
use crate::net::test_brokers::{answer, header, read_async};
use crate::security::{OAuthBearer, Secret, TokenSource};
use bytes::Bytes;
use kafka_protocol::messages as theirs;
use kafka_protocol::protocol::{Decodable, HeaderVersion, StrBytes};
use std::future::Future;
use tokio::io::{AsyncWriteExt, DuplexStream};

const PASSWORD: &str = "hush-hush-sasl";

fn login() -> Login {
    Login { username: "alice".into(), password: Secret::new(PASSWORD) }
}

fn scram_settings() -> Sasl {
    Sasl::Scram { hash: ScramHash::Sha256, login: login(), is_token: false }
}

fn oauth_settings() -> Sasl {
    Sasl::OAuthBearer(Box::new(OAuthBearer {
        source: TokenSource::Fixed(Secret::new("hush.hush.token")),
        extensions: vec![("logicalCluster".into(), "lkc".into())],
        subject_claim: "sub".into(),
        refresh_factor: 0.8,
        refresh_jitter: 0.05,
        refresh_period_min: Duration::ZERO,
        refresh_buffer: Duration::ZERO,
    }))
}

/// The broker's end of a login.
struct Played {
    stream: DuplexStream,
    version: i16,
}

impl Played {
    async fn request<T: Decodable + HeaderVersion>(&mut self, api: i16) -> (i32, T) {
        let mut frame = read_async(&mut self.stream).await;
        let (found, version, id) = header(&frame);
        assert_eq!(found, api);
        theirs::RequestHeader::decode(&mut frame, T::header_version(version)).unwrap();
        (id, T::decode(&mut frame, version).unwrap())
    }

    async fn handshake(&mut self, mechanism: &str, error: i16) {
        let (id, request): (_, theirs::SaslHandshakeRequest) = self.request(17).await;
        assert_eq!(request.mechanism.as_str(), mechanism);
        let mechanisms = vec![StrBytes::from_static_str("SCRAM-SHA-512"), StrBytes::from_static_str("PLAIN")];
        let response = theirs::SaslHandshakeResponse::default().with_error_code(error).with_mechanisms(mechanisms);
        self.say(&answer(id, &response, 1)).await;
    }

    async fn hear(&mut self) -> (i32, Bytes) {
        let (id, request): (_, theirs::SaslAuthenticateRequest) = self.request(36).await;
        (id, request.auth_bytes)
    }

    async fn reply(&mut self, id: i32, bytes: &[u8], lifetime_ms: i64) {
        let response = theirs::SaslAuthenticateResponse::default()
            .with_auth_bytes(Bytes::copy_from_slice(bytes))
            .with_session_lifetime_ms(if self.version > 0 { lifetime_ms } else { 0 });
        self.say(&answer(id, &response, self.version)).await;
    }

    async fn refuse(&mut self, id: i32, code: i16, words: &'static str) {
        let response = theirs::SaslAuthenticateResponse::default()
            .with_error_code(code)
            .with_error_message(Some(StrBytes::from_static_str(words)));
        self.say(&answer(id, &response, self.version)).await;
    }

    async fn say(&mut self, bytes: &[u8]) {
        // Whoever has heard enough hangs up.
        let _ = self.stream.write_all(bytes).await;
    }
}

async fn log_in<F: Future<Output = ()>>(
    settings: Sasl,
    version: i16,
    script: impl FnOnce(Played) -> F,
) -> Result<Option<Duration>, Trouble> {
    let (mut ours, stream) = tokio::io::duplex(1 << 20);
    let client = SaslClient::load(&settings).unwrap();
    let versions = ApiVersions { apis: vec![(17, 0..=1), (36, 0..=version)], ..ApiVersions::default() };
    let client = async {
        let outcome = client.authenticate(&mut ours, &versions, "test", Prepared::default()).await;
        drop(ours);
        outcome
    };
    let (outcome, ()) = tokio::join!(client, script(Played { stream, version }));
    if let Err(trouble) = &outcome {
        let words = trouble.to_string();
        assert!(words.contains(settings.mechanism()) && !words.contains("hush"), "{words}");
    }
    outcome
}

fn refused(outcome: Result<Option<Duration>, Trouble>) -> String {
    match outcome {
        Err(Trouble::Refused(words)) => words,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn plain_in_every_version() {
    for version in 0..=2 {
        let outcome = log_in(Sasl::Plain(login()), version, async |mut broker| {
            broker.handshake("PLAIN", 0).await;
            let (id, message) = broker.hear().await;
            assert_eq!(message, format!("\0alice\0{PASSWORD}"));
            broker.reply(id, b"", 60_000).await;
        });
        assert_eq!(outcome.await, Ok((version > 0).then_some(Duration::from_secs(60))));
    }
}

#[tokio::test]
async fn wrong_credentials_are_one_error_with_mechanism_and_principal() {
    let outcome = log_in(Sasl::Plain(login()), 2, async |mut broker| {
        broker.handshake("PLAIN", 0).await;
        let (id, _) = broker.hear().await;
        broker.refuse(id, 58, "Invalid username or password").await;
    });
    assert_eq!(
        refused(outcome.await),
        "the PLAIN login of User:alice was refused: the broker answered SASL_AUTHENTICATION_FAILED: Invalid username \
         or password"
    );
}

#[tokio::test]
async fn a_mechanism_that_is_not_offered_and_a_listener_without_login_are_named() {
    let other = log_in(scram_settings(), 2, async |mut broker| broker.handshake("SCRAM-SHA-256", 33).await);
    let words = refused(other.await);
    assert!(words.ends_with("the broker's listener does not take it, but SCRAM-SHA-512, PLAIN"), "{words}");
    let none = log_in(scram_settings(), 2, async |mut broker| broker.handshake("SCRAM-SHA-256", 34).await);
    let words = refused(none.await);
    assert!(words.contains("does not want a login: security.protocol would be PLAINTEXT or SSL"), "{words}");
    let old = ApiVersions { apis: vec![(17, 0..=0)], ..ApiVersions::default() };
    let (mut ours, _broker) = tokio::io::duplex(64);
    let client = SaslClient::load(&scram_settings()).unwrap();
    let outcome = client.authenticate(&mut ours, &old, "test", Prepared::default()).await;
    assert!(matches!(outcome, Err(Trouble::Failed(words)) if words.contains("speaks no version of SaslHandshake")));
}

/// The server's part of SCRAM, as RFC 5802 has it; `lie` is what it says instead of its proof.
async fn scram_broker(mut broker: Played, lie: Option<&str>) {
    use base64::engine::general_purpose::STANDARD;
    use ring::{digest, hmac, pbkdf2};
    broker.handshake("SCRAM-SHA-256", 0).await;
    let (id, first) = broker.hear().await;
    let first = String::from_utf8(first.to_vec()).unwrap();
    let bare = first.strip_prefix("n,,").unwrap();
    let nonce = bare.split_once(",r=").unwrap().1;
    let challenge = format!("r={nonce}theirs,s={},i=4096", STANDARD.encode("salt"));
    broker.reply(id, challenge.as_bytes(), 0).await;
    let (id, second) = broker.hear().await;
    let second = String::from_utf8(second.to_vec()).unwrap();
    let (without_proof, proof) = second.rsplit_once(",p=").unwrap();
    let mut salted = [0; 32];
    let iterations = 4096.try_into().unwrap();
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, iterations, b"salt", PASSWORD.as_bytes(), &mut salted);
    let signed = format!("{bare},{challenge},{without_proof}");
    let hmac = |key: &[u8], text: &[u8]| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text);
    let client_key = hmac(&salted, b"Client Key");
    let stored_key = digest::digest(&digest::SHA256, client_key.as_ref());
    let signature = hmac(stored_key.as_ref(), signed.as_bytes());
    let expected: Vec<u8> = client_key.as_ref().iter().zip(signature.as_ref()).map(|(a, b)| a ^ b).collect();
    assert_eq!(proof, STANDARD.encode(expected));
    let server_signature = hmac(hmac(&salted, b"Server Key").as_ref(), signed.as_bytes());
    let own = format!("v={}", STANDARD.encode(server_signature.as_ref()));
    broker.reply(id, lie.unwrap_or(&own).as_bytes(), 1000).await;
}

#[tokio::test]
async fn scram_proves_both_sides() {
    let outcome = log_in(scram_settings(), 2, |broker| scram_broker(broker, None)).await;
    assert_eq!(outcome, Ok(Some(Duration::from_secs(1))));
    for lie in ["", "v=AAAA", "e=other-error", "hello"] {
        let words = refused(log_in(scram_settings(), 2, |broker| scram_broker(broker, Some(lie))).await);
        assert!(words.contains("the broker is not to be trusted"), "{lie}: {words}");
    }
}

#[tokio::test]
async fn a_login_that_skips_its_steps_is_refused() {
    let outcome = log_in(scram_settings(), 2, async |mut broker| {
        broker.handshake("SCRAM-SHA-256", 0).await;
        let (id, _) = broker.hear().await;
        broker.reply(id, b"", 0).await;
    });
    let words = refused(outcome.await);
    assert!(words.contains("skipped its challenge"), "{words}");
}

#[tokio::test]
async fn a_token_goes_with_its_extensions_and_its_refusal_is_told() {
    let outcome = log_in(oauth_settings(), 2, async |mut broker| {
        broker.handshake("OAUTHBEARER", 0).await;
        let (id, message) = broker.hear().await;
        assert_eq!(message, &b"n,,\x01auth=Bearer hush.hush.token\x01logicalCluster=lkc\x01\x01"[..]);
        broker.reply(id, b"", 5000).await;
    });
    assert_eq!(outcome.await, Ok(Some(Duration::from_secs(5))));
    let outcome = log_in(oauth_settings(), 2, async |mut broker| {
        broker.handshake("OAUTHBEARER", 0).await;
        let (id, _) = broker.hear().await;
        broker.reply(id, br#"{"status":"invalid_token","scope":"x"}"#, 0).await;
        let (id, message) = broker.hear().await;
        assert_eq!(message, &[1][..]);
        broker.refuse(id, 58, "no").await;
    });
    let words = refused(outcome.await);
    assert!(words.ends_with("SASL_AUTHENTICATION_FAILED: no (invalid_token)"), "{words}");
}

#[tokio::test]
async fn a_hostile_broker_gets_bounded_memory_and_one_error() {
    let garbage = log_in(scram_settings(), 2, async |mut broker| broker.say(&[0xff; 64]).await).await;
    assert!(matches!(&garbage, Err(Trouble::Failed(words)) if words.contains("does not speak Kafka")), "{garbage:?}");
    let absurd = log_in(scram_settings(), 2, async |mut broker| broker.say(&[0x7f, 0, 0, 0]).await).await;
    assert!(matches!(&absurd, Err(Trouble::Failed(words)) if words.contains("announces an answer of")), "{absurd:?}");
    // A reply that never ends is given up at the length that it must not have.
    let endless = log_in(scram_settings(), 2, async |mut broker| {
        broker.say(&(ANSWER_LEN_MAX as i32 + 1).to_be_bytes()).await;
        while broker.stream.write_all(&[0; 4096]).await.is_ok() {}
    });
    assert!(matches!(endless.await, Err(Trouble::Failed(words)) if words.contains("announces an answer of")));
    let cut = log_in(scram_settings(), 2, async |mut broker| broker.say(&[0, 0, 0, 9, 0]).await).await;
    assert!(matches!(&cut, Err(Trouble::Failed(words)) if words.contains("in the middle of an answer")), "{cut:?}");
    let more = log_in(Sasl::Plain(login()), 2, async |mut broker| {
        broker.handshake("PLAIN", 0).await;
        let (id, _) = broker.hear().await;
        let response = theirs::SaslAuthenticateResponse::default();
        let bytes = answer(id, &response, broker.version);
        broker.say(&[&bytes[..], &[0, 0]].concat()).await;
    });
    assert!(matches!(more.await, Err(Trouble::Failed(words)) if words.contains("more than it was asked for")));
    let other = log_in(scram_settings(), 2, async |mut broker| {
        let (id, _): (_, theirs::SaslHandshakeRequest) = broker.request(17).await;
        broker.say(&answer(id + 1, &theirs::SaslHandshakeResponse::default(), 1)).await;
    });
    assert!(matches!(other.await, Err(Trouble::Failed(words)) if words.contains("while the one to request")));
}

#[test]
fn a_login_is_renewed_well_before_its_end() {
    for _ in 0..100 {
        let after = renewal_after(Duration::from_secs(100));
        assert!((85.0..=95.0).contains(&after.as_secs_f64()), "{after:?}");
    }
}
