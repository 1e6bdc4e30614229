//! TLS against a server of rustls on a real socket, with certificates made on the spot.

use super::*;
use crate::net::test_brokers::{listen, say_and_wait};
use crate::net::test_certificates::{Authority, Identity as Issued, self_signed};
use crate::security::{Secret, StoreFile, StoreFormat};
use p12_keystore::{KeyStore, KeyStoreEntry, PrivateKeyChain};
use pkcs5::{EncryptionScheme, pbes2};
use pkcs8::EncryptedPrivateKeyInfo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::fs;
use std::io::{Read, Write};
use std::net::SocketAddr;

fn server_config(issued: &Issued, clients: Option<&Authority>) -> ServerConfig {
    let chain = vec![CertificateDer::from_pem_slice(issued.pem.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(issued.key_pem.as_bytes()).unwrap();
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
    let builder = match clients {
        None => builder.unwrap().with_no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add(CertificateDer::from_pem_slice(authority.pem.as_bytes()).unwrap()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
            builder.unwrap().with_client_cert_verifier(verifier)
        }
    };
    builder.with_single_cert(chain, key).unwrap()
}

/// Says each byte that it hears again.
fn echo(issued: &Issued, clients: Option<&Authority>) -> SocketAddr {
    let config = Arc::new(server_config(issued, clients));
    listen(move |_, stream| {
        let session = ServerConnection::new(Arc::clone(&config)).unwrap();
        let mut stream = StreamOwned::new(session, stream);
        let mut byte = [0];
        while stream.read_exact(&mut byte).is_ok() && stream.write_all(&byte).is_ok() {}
    })
}

fn trusting(authority: &Authority) -> Tls {
    Tls { trust: Trust::Pem(authority.pem.clone()), ..Tls::default() }
}

/// Connects and has a byte echoed: in TLS 1.3 a client hears only then that it was refused.
async fn try_with(client: &TlsClient, address: SocketAddr, host: &str) -> Result<(), Trouble> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let socket = TcpStream::connect(address).await.unwrap();
    let mut stream = client.connect(socket, host).await?;
    let _ = stream.write_all(b"x").await;
    match stream.read_u8().await {
        Ok(b'x') => Ok(()),
        Ok(other) => panic!("{other}"),
        Err(error) => Err(trouble_of(&error).unwrap_or_else(|| Trouble::Failed(error.to_string()))),
    }
}

async fn try_it(settings: &Tls, address: SocketAddr, host: &str) -> Result<(), Trouble> {
    try_with(&TlsClient::load(settings).unwrap(), address, host).await
}

fn refused(outcome: Result<(), Trouble>) -> String {
    match outcome {
        Err(Trouble::Refused(words)) => words,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_broker_is_believed_by_its_authority_and_its_name() {
    let authority = Authority::new("us");
    let address = echo(&authority.issue("broker", &["kafka.example", "127.0.0.1"]), None);
    let tls = trusting(&authority);
    assert_eq!(try_it(&tls, address, "kafka.example").await, Ok(()));
    assert_eq!(try_it(&tls, address, "127.0.0.1").await, Ok(()));
    let tls12 = Tls { tls13: false, ..tls.clone() };
    assert_eq!(try_it(&tls12, address, "kafka.example").await, Ok(()));
    let suite = Tls { cipher_suites: vec!["TLS_AES_128_GCM_SHA256".into()], ..tls.clone() };
    assert_eq!(try_it(&suite, address, "kafka.example").await, Ok(()));

    let words = refused(try_it(&tls, address, "other.example").await);
    assert!(words.contains("is not for other.example, but for ") && words.contains("kafka.example"), "{words}");
    let unchecked = Tls { check_host_name: false, ..tls };
    assert_eq!(try_it(&unchecked, address, "other.example").await, Ok(()));
    let stranger = refused(try_it(&trusting(&Authority::new("them")), address, "kafka.example").await);
    assert!(stranger.contains("an authority that is not trusted here"), "{stranger}");
    let unchecked_stranger = Tls { check_host_name: false, ..trusting(&Authority::new("them")) };
    refused(try_it(&unchecked_stranger, address, "kafka.example").await);
}

#[tokio::test]
async fn an_expired_certificate_and_one_without_names_are_named() {
    let authority = Authority::new("us");
    let address = echo(&authority.issue_until("broker", &["kafka.example"], 2020), None);
    let words = refused(try_it(&trusting(&authority), address, "kafka.example").await);
    assert_eq!(words, "the broker's certificate has expired");
    let address = echo(&authority.issue("kafka.example", &[]), None);
    let words = refused(try_it(&trusting(&authority), address, "kafka.example").await);
    assert!(words.contains("its common name does not count"), "{words}");
}

#[tokio::test]
async fn one_that_signed_itself_is_believed_if_it_is_in_the_trust_store() {
    for is_authority in [false, true] {
        let itself = self_signed(&["kafka.example"], is_authority);
        let address = echo(&itself, None);
        let tls = Tls { trust: Trust::Pem(itself.pem.clone()), ..Tls::default() };
        assert_eq!(try_it(&tls, address, "kafka.example").await, Ok(()), "{is_authority}");
        refused(try_it(&tls, address, "other.example").await);
        let another = self_signed(&["kafka.example"], is_authority);
        refused(try_it(&Tls { trust: Trust::Pem(another.pem), ..Tls::default() }, address, "kafka.example").await);
    }
}

#[tokio::test]
async fn a_client_certificate_is_shown_where_it_is_asked_for() {
    let authority = Authority::new("us");
    let address = echo(&authority.issue("broker", &["kafka.example"]), Some(&authority));
    for tls13 in [true, false] {
        let tls = Tls { tls13, ..trusting(&authority) };
        let missing = refused(try_it(&tls, address, "kafka.example").await);
        assert!(missing.contains("ssl.keystore"), "{missing}");
        let of = |issued: Issued| {
            let identity =
                Identity::Pem { chain: Secret::new(issued.pem), key: Secret::new(issued.key_pem), password: None };
            Tls { identity: Some(identity), ..tls.clone() }
        };
        let ours = of(authority.issue("alice", &[]));
        assert_eq!(try_it(&ours, address, "kafka.example").await, Ok(()));
        let principal = TlsClient::load(&ours).unwrap().principal().unwrap();
        assert!(principal.contains("CN=alice"), "{principal}");
        let foreign = refused(try_it(&of(Authority::new("them").issue("alice", &[])), address, "kafka.example").await);
        assert!(foreign.contains("does not accept this client's certificate"), "{foreign}");
        let late = refused(try_it(&of(authority.issue_until("alice", &[], 2020)), address, "kafka.example").await);
        assert!(late.contains("does not accept this client's certificate"), "{late}");
    }
}

#[tokio::test]
async fn a_port_without_tls_is_named() {
    let authority = Authority::new("us");
    let closing = listen(|_, stream| drop(stream));
    let Err(Trouble::Failed(words)) = try_it(&trusting(&authority), closing, "kafka.example").await else { panic!() };
    assert!(words.contains("does it speak TLS") || words.contains("connection reset"), "{words}");
    let http = listen(|_, stream| say_and_wait(&stream, b"HTTP/1.1 400 Bad Request\r\n\r\n"));
    let Err(Trouble::Failed(words)) = try_it(&trusting(&authority), http, "kafka.example").await else { panic!() };
    assert!(words.starts_with("the port does not speak TLS, or badly"), "{words}");
}

const PASSWORD: &str = "hush-hush-tls";

fn file(path: &Path, format: StoreFormat, password: Option<&str>) -> StoreFile {
    StoreFile { path: path.to_owned(), format, password: password.map(Secret::new) }
}

fn pkcs12(issued: Option<&Issued>, trusted: &[&str]) -> Vec<u8> {
    let certificate = |der: &[u8]| p12_keystore::Certificate::from_der(der).unwrap();
    let mut store = KeyStore::new();
    if let Some(issued) = issued {
        let chain = PrivateKeyChain::new(&issued.key_der, [1], [certificate(&issued.der)]);
        store.add_entry("us", KeyStoreEntry::PrivateKeyChain(chain));
    }
    for (at, pem) in trusted.iter().enumerate() {
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
        store.add_entry(&format!("ca{at}"), KeyStoreEntry::Certificate(certificate(&der)));
    }
    store.writer(PASSWORD).write().unwrap()
}

fn encrypted_pem(issued: &Issued) -> String {
    let params = pbes2::Parameters::pbkdf2_sha256_aes256cbc(2048, b"saltsalt", b"0123456789abcdef").unwrap();
    let encryption_algorithm = EncryptionScheme::from(params);
    let encrypted_data = encryption_algorithm.encrypt(PASSWORD, &issued.key_der).unwrap();
    let info = EncryptedPrivateKeyInfo { encryption_algorithm, encrypted_data: &encrypted_data };
    let der = pkcs8::der::Encode::to_der(&info).unwrap();
    let text = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, der);
    format!("-----BEGIN ENCRYPTED PRIVATE KEY-----\n{text}\n-----END ENCRYPTED PRIVATE KEY-----\n")
}

#[tokio::test]
async fn stores_are_read_in_each_format() {
    let authority = Authority::new("us");
    let alice = authority.issue("alice", &[]);
    let address = echo(&authority.issue("broker", &["kafka.example"]), Some(&authority));
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    let trust_p12 = at("trust.p12", &pkcs12(None, &[&authority.pem]));
    let trust_pem = at("trust.pem", authority.pem.as_bytes());
    let key_p12 = at("key.p12", &pkcs12(Some(&alice), &[]));
    let key_pem = at("key.pem", format!("{}{}", alice.key_pem, alice.pem).as_bytes());
    let locked_pem = at("locked.pem", format!("{}{}", encrypted_pem(&alice), alice.pem).as_bytes());
    for format in [StoreFormat::Pkcs12, StoreFormat::Detect] {
        let trust = Trust::File(file(&trust_p12, format, Some(PASSWORD)));
        let store = file(&key_p12, format, Some(PASSWORD));
        let tls = Tls { trust, identity: Some(Identity::File { store, password: None }), ..Tls::default() };
        assert_eq!(try_it(&tls, address, "kafka.example").await, Ok(()));
    }
    for (path, password) in [(&key_pem, None), (&locked_pem, Some(Secret::new(PASSWORD)))] {
        let trust = Trust::File(file(&trust_pem, StoreFormat::Detect, None));
        let store = file(path, StoreFormat::Pem, None);
        let tls = Tls { trust, identity: Some(Identity::File { store, password }), ..Tls::default() };
        assert_eq!(try_it(&tls, address, "kafka.example").await, Ok(()));
    }
    let key = Secret::new(encrypted_pem(&alice).replace('\n', " "));
    let identity =
        Identity::Pem { chain: Secret::new(alice.pem.replace('\n', " ")), key, password: Some(Secret::new(PASSWORD)) };
    let tls = Tls { identity: Some(identity), ..trusting(&authority) };
    assert_eq!(try_it(&tls, address, "kafka.example").await, Ok(()));
}

#[test]
fn what_is_wrong_with_a_store_is_said_at_the_start_and_shows_nothing_of_it() {
    let authority = Authority::new("us");
    let (alice, bob) = (authority.issue("alice", &[]), authority.issue("bob", &[]));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let error = |tls: Tls| {
        let error = TlsClient::load(&tls).map(|_| ()).unwrap_err().to_string();
        assert!(!error.contains("hush") && !error.contains(&alice.key_pem[40..80]), "{error}");
        error
    };
    let trusting_file = |bytes: &[u8], format, password| {
        fs::write(&path, bytes).unwrap();
        error(Tls { trust: Trust::File(file(&path, format, password)), ..Tls::default() })
    };
    let p12 = pkcs12(None, &[&authority.pem]);
    let wrong = trusting_file(&p12, StoreFormat::Pkcs12, Some("hush-wrong"));
    assert!(wrong.starts_with("ssl.truststore.location: ") && wrong.contains("the password is wrong"), "{wrong}");
    let none = trusting_file(&p12, StoreFormat::Pkcs12, None);
    assert!(none.contains("cannot be opened without a password"), "{none}");
    let jks = trusting_file(b"\xfe\xed\xfe\xed\0\0\0\x02", StoreFormat::Detect, None);
    assert!(jks.contains("JKS") && jks.contains("keytool -importkeystore"), "{jks}");
    let empty = trusting_file(b"nothing", StoreFormat::Detect, None);
    assert!(empty.contains("no PEM certificate"), "{empty}");
    let cut = trusting_file(&authority.pem.as_bytes()[..100], StoreFormat::Pem, None);
    assert!(cut.contains("has no END line"), "{cut}");
    fs::remove_file(&path).unwrap();
    let gone = error(Tls { trust: Trust::File(file(&path, StoreFormat::Pem, None)), ..Tls::default() });
    assert!(gone.contains("store cannot be read"), "{gone}");

    let identified = |chain: &str, key: &str, password: Option<&str>| {
        let identity =
            Identity::Pem { chain: Secret::new(chain), key: Secret::new(key), password: password.map(Secret::new) };
        error(Tls { identity: Some(identity), ..trusting(&authority) })
    };
    let mixed = identified(&alice.pem, &bob.key_pem, None);
    assert!(mixed.contains("the key is of no use"), "{mixed}");
    let locked = encrypted_pem(&alice);
    assert!(identified(&alice.pem, &locked, None).contains("ssl.key.password: not set"));
    let wrong = identified(&alice.pem, &locked, Some("hush-wrong"));
    assert!(wrong.contains("ssl.key.password: does not open"), "{wrong}");
    let old = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nhush\n-----END RSA PRIVATE KEY-----";
    assert!(identified(&alice.pem, old, None).contains("openssl pkcs8 -topk8"));
    let suite = error(Tls { cipher_suites: vec!["TLS_RSA_WITH_RC4_128_MD5".into()], ..trusting(&authority) });
    assert!(suite.contains("is not spoken here; these are: TLS_AES"), "{suite}");
}

#[tokio::test]
async fn changed_files_count_for_the_next_connection_and_broken_ones_do_not() {
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let at_old = echo(&old.issue("broker", &["kafka.example"]), Some(&old));
    let at_new = echo(&new.issue("broker", &["kafka.example"]), Some(&new));
    let folder = tempfile::tempdir().unwrap();
    let (trust, key) = (folder.path().join("trust.pem"), folder.path().join("key.pem"));
    let put = |authority: &Authority| {
        let alice = authority.issue("alice", &[]);
        fs::write(&trust, &authority.pem).unwrap();
        // A blank line more: that the length differs is as good as the time, which may be the same.
        fs::write(&key, format!("{}\n{}", alice.key_pem, alice.pem)).unwrap();
    };
    put(&old);
    let store = file(&key, StoreFormat::Pem, None);
    let identity = Some(Identity::File { store, password: None });
    let tls = Tls { trust: Trust::File(file(&trust, StoreFormat::Pem, None)), identity, ..Tls::default() };
    let client = TlsClient::load(&tls).unwrap();
    assert_eq!(try_with(&client, at_old, "kafka.example").await, Ok(()));
    refused(try_with(&client, at_new, "kafka.example").await);
    put(&new);
    assert_eq!(try_with(&client, at_new, "kafka.example").await, Ok(()));
    refused(try_with(&client, at_old, "kafka.example").await);
    fs::write(&key, "half a key").unwrap();
    assert_eq!(try_with(&client, at_new, "kafka.example").await, Ok(()), "the last good ones stay");
    fs::remove_file(&trust).unwrap();
    assert_eq!(try_with(&client, at_new, "kafka.example").await, Ok(()));
    put(&old);
    assert_eq!(try_with(&client, at_old, "kafka.example").await, Ok(()));
}

#[test]
fn a_server_that_sends_anything_at_all_ends_in_words() {
    use proptest::prelude::*;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let client = TlsClient::load(&trusting(&Authority::new("us"))).unwrap();
    let outcome = proptest::test_runner::TestRunner::default().run(&any::<Vec<u8>>(), |bytes| {
        let address = listen(move |_, stream| say_and_wait(&stream, &bytes));
        let outcome = runtime.block_on(try_with(&client, address, "kafka.example"));
        prop_assert!(matches!(outcome, Err(trouble) if !trouble.to_string().is_empty()));
        Ok(())
    });
    outcome.unwrap();
}
