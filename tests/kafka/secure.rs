//! TLS, logins and ACLs against a real Kafka: every mechanism, right and wrong, and what changes under load.
//!
//! Every password here has `hush-hush` in it: `tests/run` looks for it in all that the tests print.

#[path = "../../src/net/tests/certificates.rs"]
#[expect(dead_code, reason = "the tests of `net` use the rest of it")]
pub(crate) mod certificates;

use crate::harness::{Cluster, Setup};
use crate::producers::PATIENCE;
use certificates::{Authority, Identity};
use pointsman::net::admin::BlockingAdmin;
use pointsman::net::{NetConfig, Secured};
use pointsman::protocol::codec::create_topics::NewTopic;
use pointsman::{Config, Delivery, ProduceError, Producer, Record, StartError};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

const PASSWORD: &str = "hush-hush-alice";

/// Listeners, by how far their ports are from the first.
const SSL: u16 = 3;
const SASL_PLAINTEXT: u16 = 4;
const SASL_SSL: u16 = 5;
const MUTUAL: u16 = 6;
const EXPIRED: u16 = 7;
const NAMED: u16 = 8;

/// A broker with a listener of each sort, its authority, and the files of its clients.
struct Secure {
    cluster: Cluster,
    folder: tempfile::TempDir,
    authority: Authority,
}

impl Secure {
    fn start() -> Secure {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new("tests");
        let put = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let pem = |identity: &Identity| format!("{}{}", identity.key_pem, identity.pem);
        let broker = put("broker.pem", &pem(&authority.issue("broker", &["127.0.0.1", "localhost"])));
        let expired = put("expired.pem", &pem(&authority.issue_until("broker", &["127.0.0.1"], 2020)));
        let named = put("named.pem", &pem(&authority.issue("broker", &["kafka.example"])));
        put("ca.pem", &authority.pem);
        // Whom the broker believes, apart from whom its clients believe.
        let clients = put("clients.pem", &authority.pem);
        put("alice.pem", &pem(&authority.issue("alice", &[])));
        let mut properties: Vec<String> = [
            "listeners=CONTROLLER://127.0.0.1:{+10},PLAINTEXT://127.0.0.1:{+0},SSL://127.0.0.1:{+3},\
             SASL_PLAINTEXT://127.0.0.1:{+4},SASL_SSL://127.0.0.1:{+5},MUTUAL://127.0.0.1:{+6},\
             EXPIRED://127.0.0.1:{+7},NAMED://127.0.0.1:{+8}",
            "advertised.listeners=PLAINTEXT://127.0.0.1:{+0},SSL://127.0.0.1:{+3},SASL_PLAINTEXT://127.0.0.1:{+4},\
             SASL_SSL://127.0.0.1:{+5},MUTUAL://127.0.0.1:{+6},EXPIRED://127.0.0.1:{+7},NAMED://127.0.0.1:{+8}",
            "listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,\
             SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL,MUTUAL:SSL,EXPIRED:SSL,NAMED:SSL",
            "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users=User:ANONYMOUS",
            "ssl.keystore.type=PEM",
            "ssl.truststore.type=PEM",
            "listener.name.mutual.ssl.client.auth=required",
            "sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER",
            // Every login is renewed every few seconds.
            "connections.max.reauth.ms=3000",
        ]
        .map(str::to_owned)
        .into();
        properties.push(format!("ssl.keystore.location={broker}"));
        properties.push(format!("ssl.truststore.location={clients}"));
        properties.push(format!("listener.name.expired.ssl.keystore.location={expired}"));
        properties.push(format!("listener.name.named.ssl.keystore.location={named}"));
        for listener in ["sasl_plaintext", "sasl_ssl"] {
            let login = |mechanism: &str, module: &str, options: &str| {
                let common = "org.apache.kafka.common.security";
                format!("listener.name.{listener}.{mechanism}.sasl.jaas.config={common}.{module} required{options};")
            };
            properties.push(login("plain", "plain.PlainLoginModule", &format!(" user_alice=\"{PASSWORD}\"")));
            properties.push(login("scram-sha-256", "scram.ScramLoginModule", ""));
            properties.push(login("scram-sha-512", "scram.ScramLoginModule", ""));
            let own = " unsecuredLoginStringClaim_sub=\"broker\"";
            properties.push(login("oauthbearer", "oauthbearer.OAuthBearerLoginModule", own));
        }
        let properties: Vec<&str> = properties.iter().map(String::as_str).collect();
        let cluster = Cluster::start_with(Setup { properties: &properties, ..Setup::default() });
        for mechanism in ["SCRAM-SHA-256", "SCRAM-SHA-512"] {
            cluster.tool(&["user", "alice", mechanism, PASSWORD]);
        }
        for principal in ["User:alice", "User:CN=alice"] {
            for operation in ["WRITE", "DESCRIBE"] {
                cluster.tool(&["allow", principal, operation, "open-"]);
            }
        }
        Secure { cluster, folder, authority }
    }

    fn shared() -> &'static Secure {
        static SHARED: OnceLock<Secure> = OnceLock::new();
        SHARED.get_or_init(Secure::start)
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    fn server(&self, listener: u16) -> String {
        let (host, port) = self.cluster.bootstrap().rsplit_once(':').unwrap();
        format!("{host}:{}", port.parse::<u16>().unwrap() + listener)
    }

    /// Lines of a properties file for a listener; `more` comes after them and wins.
    fn properties(&self, listener: u16, more: &str) -> String {
        let protocol = match listener {
            SASL_PLAINTEXT => "SASL_PLAINTEXT",
            SASL_SSL => "SASL_SSL",
            _ => "SSL",
        };
        let (server, trust) = (self.server(listener), self.path("ca.pem"));
        format!(
            "bootstrap.servers={server}\nsecurity.protocol={protocol}\nssl.truststore.location={trust}\n\
             ssl.truststore.type=PEM\n{more}"
        )
    }

    fn producer(&self, listener: u16, more: &str) -> Producer {
        Producer::start(Config::from_properties(&self.properties(listener, more)).unwrap()).unwrap()
    }

    /// The error of a record that cannot be delivered, which comes long before delivery.timeout.ms (two minutes).
    fn refusal(&self, listener: u16, more: &str) -> String {
        let producer = self.producer(listener, &format!("max.block.ms=600000\n{more}"));
        let error = send(&producer, "open-refused", 0).and_then(Delivery::wait).unwrap_err();
        assert!(matches!(error, ProduceError::Authentication { .. }), "{error:?}");
        let words = error.to_string();
        assert!(words.contains(&self.server(listener)) && !words.contains("hush"), "{words}");
        let failed = producer.metrics().value("producer-metrics", "failed-authentication-total", &[]);
        assert!(failed >= Some(1.0), "{failed:?}");
        producer.close_blocking(PATIENCE).unwrap();
        words
    }
}

fn jaas(module: &str, options: &str) -> String {
    format!("sasl.jaas.config=org.apache.kafka.common.security.{module} required {options};\n")
}

fn plain(password: &str) -> String {
    let options = format!("username=\"alice\" password=\"{password}\"");
    format!("sasl.mechanism=PLAIN\n{}", jaas("plain.PlainLoginModule", &options))
}

fn scram(hash: u32, password: &str) -> String {
    let options = format!("username=\"alice\" password=\"{password}\"");
    format!("sasl.mechanism=SCRAM-SHA-{hash}\n{}", jaas("scram.ScramLoginModule", &options))
}

fn oauth(subject: &str, seconds: u32) -> String {
    let options = format!("unsecuredLoginStringClaim_sub=\"{subject}\" unsecuredLoginLifetimeSeconds=\"{seconds}\"");
    format!("sasl.mechanism=OAUTHBEARER\n{}", jaas("oauthbearer.OAuthBearerLoginModule", &options))
}

const KEYS: usize = 100;

/// Record number `at`, as the tool's check-order wants it.
fn send(producer: &Producer, topic: &str, at: usize) -> Result<Delivery, ProduceError> {
    let (key, value) = (format!("key-{}", at % KEYS), format!("{at}|"));
    producer.send_blocking(&Record::to(topic).key(&key).value(&value))
}

/// All records that were sent are delivered and in the log, once and in order.
fn writes(secure: &Secure, topic: &str, producer: Producer, count: usize) {
    secure.cluster.tool(&["create", topic, "6"]);
    let deliveries: Vec<Delivery> = (0..count).map(|at| send(&producer, topic, at).unwrap()).collect();
    for (at, delivery) in deliveries.into_iter().enumerate() {
        delivery.wait().unwrap_or_else(|error| panic!("{topic} {at}: {error}"));
    }
    producer.close_blocking(PATIENCE).unwrap();
    check(secure, topic, count);
}

fn check(secure: &Secure, topic: &str, count: usize) {
    let (count, keys) = (count.to_string(), KEYS.to_string());
    secure.cluster.tool(&["check-order", topic, "--records", &count, "--keys", &keys]);
}

#[test]
#[ignore = "broker"]
fn a_hundred_thousand_records_over_each_listener_and_mechanism() {
    let secure = Secure::shared();
    let mutual = format!("ssl.keystore.type=PEM\nssl.keystore.location={}\n", secure.path("alice.pem"));
    let token = secure.path("token");
    fs::write(&token, unsecured("alice", 4_000_000_000)).unwrap();
    let file = format!("sasl.mechanism=OAUTHBEARER\nsasl.oauthbearer.token.endpoint.url=file:{token}\n");
    let tls12 = "ssl.protocol=TLSv1.2\nssl.endpoint.identification.algorithm=\n";
    let mut ways = vec![("ssl", SSL, String::new()), ("tls12", NAMED, tls12.to_owned()), ("mutual", MUTUAL, mutual)];
    let store = secure.path("trust.p12");
    let import = ["-importcert", "-noprompt", "-alias", "ca", "-storetype", "PKCS12", "-storepass", "hush-hush-p12"];
    let mut keytool = Command::new("keytool");
    keytool.args(import).args(["-keystore", &store, "-file", &secure.path("ca.pem")]);
    assert!(keytool.output().unwrap().status.success(), "keytool makes a trust store");
    let trusting =
        format!("ssl.truststore.location={store}\nssl.truststore.type=PKCS12\nssl.truststore.password=hush-hush-p12\n");
    ways.push(("p12", SSL, trusting));
    for (name, listener) in [("plaintext", SASL_PLAINTEXT), ("tls", SASL_SSL)] {
        for (mechanism, settings) in [
            ("plain", plain(PASSWORD)),
            ("scram256", scram(256, PASSWORD)),
            ("scram512", scram(512, PASSWORD)),
            ("oauth", oauth("alice", 3600)),
            ("oauth-file", file.clone()),
        ] {
            let name: &'static str = format!("{name}-{mechanism}").leak();
            ways.push((name, listener, settings));
        }
    }
    for (name, listener, settings) in ways {
        let began = Instant::now();
        writes(secure, &format!("open-{name}"), secure.producer(listener, &settings), 100_000);
        println!("{name}: {:?}", began.elapsed());
    }
}

#[test]
#[ignore = "broker"]
fn wrong_credentials_fail_at_once_with_mechanism_principal_and_broker() {
    let secure = Secure::shared();
    let wrong = "hush-hush-wrong";
    for listener in [SASL_PLAINTEXT, SASL_SSL] {
        for (settings, mechanism) in
            [(plain(wrong), "PLAIN"), (scram(256, wrong), "SCRAM-SHA-256"), (scram(512, wrong), "SCRAM-SHA-512")]
        {
            let words = secure.refusal(listener, &settings);
            assert!(words.contains(&format!("the {mechanism} login of User:alice was refused")), "{words}");
            assert!(words.contains("SASL_AUTHENTICATION_FAILED"), "{words}");
        }
        // A token that has expired is not even sent; one that is signed is not taken by this broker.
        let expired =
            format!("sasl.mechanism=OAUTHBEARER\nsasl.oauthbearer.token={}\n", unsecured("alice", 1_000_000_000));
        assert!(secure.refusal(listener, &expired).contains("the token has expired"));
        let signed = format!("sasl.mechanism=OAUTHBEARER\nsasl.oauthbearer.token={}\n", signed("alice", 4_000_000_000));
        let words = secure.refusal(listener, &signed);
        assert!(words.contains("the OAUTHBEARER login of User:alice was refused"), "{words}");
    }
}

/// A producer with a wrong password that is left alone does not hammer the broker, and lives when the password is right.
#[test]
#[ignore = "broker"]
fn a_password_that_is_mended_on_the_broker_mends_the_producer() {
    let secure = Secure::shared();
    secure.cluster.tool(&["create", "open-mended", "1"]);
    secure.cluster.tool(&["user", "alice", "SCRAM-SHA-512", "hush-hush-old"]);
    let producer = secure.producer(SASL_SSL, &scram(512, "hush-hush-new"));
    for at in 0..3 {
        let error = send(&producer, "open-mended", at).and_then(Delivery::wait).unwrap_err();
        assert!(matches!(error, ProduceError::Authentication { .. }), "{error:?}");
    }
    secure.cluster.tool(&["user", "alice", "SCRAM-SHA-512", "hush-hush-new"]);
    let deadline = Instant::now() + PATIENCE;
    while let Err(error) = send(&producer, "open-mended", 0).and_then(Delivery::wait) {
        assert!(Instant::now() < deadline, "{error}");
    }
    producer.close_blocking(PATIENCE).unwrap();
    check(secure, "open-mended", 1);
    secure.cluster.tool(&["user", "alice", "SCRAM-SHA-512", PASSWORD]);
}

#[test]
#[ignore = "broker"]
fn certificates_that_do_not_fit_are_named() {
    let secure = Secure::shared();
    let expired = secure.refusal(EXPIRED, "");
    assert!(expired.contains("the broker's certificate has expired"), "{expired}");
    let named = secure.refusal(NAMED, "");
    assert!(named.contains("is not for 127.0.0.1, but for ") && named.contains("kafka.example"), "{named}");
    let foreign = secure.path("foreign.pem");
    fs::write(&foreign, Authority::new("foreign").pem).unwrap();
    let unknown = secure.refusal(SSL, &format!("ssl.truststore.location={foreign}\n"));
    assert!(unknown.contains("an authority that is not trusted here"), "{unknown}");
    let missing = secure.refusal(MUTUAL, "");
    assert!(missing.contains("ssl.keystore"), "{missing}");
    let stranger = Authority::new("foreign").issue("alice", &[]);
    let stranger_path = secure.path("stranger.pem");
    fs::write(&stranger_path, format!("{}{}", stranger.key_pem, stranger.pem)).unwrap();
    let stranger = format!("ssl.keystore.type=PEM\nssl.keystore.location={stranger_path}\n");
    let words = secure.refusal(MUTUAL, &stranger);
    assert!(words.contains("does not accept this client's certificate"), "{words}");
    let late = secure.authority.issue_until("alice", &[], 2020);
    fs::write(&stranger_path, format!("{}{}", late.key_pem, late.pem)).unwrap();
    let words = secure.refusal(MUTUAL, &stranger);
    assert!(words.contains("does not accept this client's certificate"), "{words}");
}

#[test]
#[ignore = "broker"]
fn a_protocol_that_the_listener_does_not_speak_is_named() {
    let secure = Secure::shared();
    let says = |listener: u16, protocol: &str, more: &str, words: &str| {
        let settings = format!("security.protocol={protocol}\nmax.block.ms=3000\n{more}");
        let producer = secure.producer(listener, &settings);
        let error = send(&producer, "open-protocol", 0).and_then(Delivery::wait).unwrap_err().to_string();
        assert!(error.contains(words), "{listener} {protocol}: {error}");
        producer.close_blocking(PATIENCE).unwrap();
    };
    says(SSL, "PLAINTEXT", "", "TLS");
    says(0, "SSL", "", "does it speak TLS, as security.protocol says?");
    says(SASL_PLAINTEXT, "SASL_SSL", &plain(PASSWORD), "does it speak TLS, as security.protocol says?");
    says(SASL_PLAINTEXT, "PLAINTEXT", "", "does it want SASL, while security.protocol is PLAINTEXT?");
    says(SASL_SSL, "SSL", "", "does it want SASL, while security.protocol is SSL?");
    says(0, "SASL_PLAINTEXT", &plain(PASSWORD), "does not want a login");
    says(SSL, "SASL_SSL", &plain(PASSWORD), "does not want a login");
}

#[test]
#[ignore = "broker"]
fn a_topic_that_is_not_allowed_fails_alone() {
    let secure = Secure::shared();
    secure.cluster.tool(&["create", "closed", "1"]);
    secure.cluster.tool(&["create", "seen", "1"]);
    secure.cluster.tool(&["allow", "User:alice", "DESCRIBE", "seen"]);
    secure.cluster.tool(&["create", "open-beside", "1"]);
    let producer = secure.producer(SASL_SSL, &scram(256, PASSWORD));
    let mut deliveries = Vec::new();
    for at in 0..1000 {
        deliveries.push(send(&producer, "open-beside", at).unwrap());
        if at % 100 == 0 {
            let closed = send(&producer, "closed", at).and_then(Delivery::wait).unwrap_err();
            assert_eq!(
                closed.to_string(),
                "User:alice may not DESCRIBE on topic closed: the broker answered TOPIC_AUTHORIZATION_FAILED"
            );
            let seen = send(&producer, "seen", at).and_then(Delivery::wait).unwrap_err();
            assert_eq!(
                seen.to_string(),
                "User:alice may not WRITE on topic seen: the broker answered TOPIC_AUTHORIZATION_FAILED"
            );
        }
    }
    for delivery in deliveries {
        delivery.wait().unwrap();
    }
    producer.close_blocking(PATIENCE).unwrap();
    check(secure, "open-beside", 1000);
    // Nobody allowed bob anything.
    let producer = secure.producer(SASL_SSL, &oauth("bob", 3600));
    let error = send(&producer, "seen", 0).and_then(Delivery::wait).unwrap_err().to_string();
    assert!(error.contains("User:bob may not "), "{error}");
    producer.close_blocking(PATIENCE).unwrap();
}

/// Who may write nowhere is given no producer id; records fail for that and not for their time, and go on as soon as it
/// is allowed.
#[test]
#[ignore = "broker"]
fn a_cluster_that_is_not_allowed_fails_records_until_it_is() {
    let secure = Secure::shared();
    secure.cluster.tool(&["create", "granted", "1"]);
    secure.cluster.tool(&["allow", "User:carol", "DESCRIBE", "granted"]);
    let producer = secure.producer(SASL_SSL, &oauth("carol", 3600));
    for at in 0..3 {
        let error = send(&producer, "granted", at).and_then(Delivery::wait).unwrap_err();
        assert!(matches!(error, ProduceError::NotAuthorized { .. }), "{error:?}");
        assert_eq!(
            error.to_string(),
            "User:carol may not IDEMPOTENT_WRITE on the cluster: the broker answered CLUSTER_AUTHORIZATION_FAILED \
             (allow it, or WRITE to a topic, or set enable.idempotence=false)"
        );
    }
    secure.cluster.tool(&["allow", "User:carol", "WRITE", "granted"]);
    let deadline = Instant::now() + PATIENCE;
    while let Err(error) = send(&producer, "granted", 0).and_then(Delivery::wait) {
        assert!(matches!(error, ProduceError::NotAuthorized { .. }) && Instant::now() < deadline, "{error}");
    }
    producer.close_blocking(PATIENCE).unwrap();
    check(secure, "granted", 1);
}

/// Sends for so long that every login is renewed several times; nothing fails.
fn under_load(secure: &Secure, topic: &str, producer: &Producer, time: Duration, mut meanwhile: impl FnMut(usize)) {
    secure.cluster.tool(&["create", topic, "6"]);
    let (began, mut deliveries, mut second) = (Instant::now(), Vec::new(), 0);
    while began.elapsed() < time {
        for _ in 0..100 {
            deliveries.push(send(producer, topic, deliveries.len()).unwrap());
        }
        std::thread::sleep(Duration::from_millis(10));
        if began.elapsed() >= Duration::from_secs(second) {
            meanwhile(second as usize);
            second += 1;
        }
    }
    let count = deliveries.len();
    for (at, delivery) in deliveries.into_iter().enumerate() {
        delivery.wait().unwrap_or_else(|error| panic!("{topic} {at}: {error}"));
    }
    check(secure, topic, count);
}

/// The broker closes a connection whose session is over: that no record ever goes out a second time says that logins
/// were renewed, not connections replaced.
#[test]
#[ignore = "broker"]
fn logins_are_renewed_under_load() {
    let secure = Secure::shared();
    for (name, settings) in [("scram", scram(512, PASSWORD)), ("plain", plain(PASSWORD)), ("token", oauth("alice", 4))]
    {
        let producer = secure.producer(SASL_SSL, &settings);
        under_load(secure, &format!("open-renewed-{name}"), &producer, Duration::from_secs(12), |_| {});
        let metrics = producer.metrics();
        let closed = metrics.value("producer-metrics", "connection-close-total", &[]).unwrap_or_default();
        let retried = metrics.value("producer-metrics", "record-retry-total", &[]).unwrap_or_default();
        assert_eq!((closed, retried), (0.0, 0.0), "{name}");
        let of = |metric: &str| metrics.value("producer-metrics", metric, &[]).unwrap();
        assert!(of("successful-reauthentication-total") >= 3.0, "{name}");
        assert!(of("reauthentication-latency-max") > 0.0, "{name}");
        assert_eq!((of("failed-authentication-total"), of("failed-reauthentication-total")), (0.0, 0.0), "{name}");
        producer.close_blocking(PATIENCE).unwrap();
    }
}

/// A token endpoint over HTTPS whose tokens live for six seconds.
#[test]
#[ignore = "broker"]
fn tokens_of_an_endpoint_are_replaced_before_they_end() {
    let secure = Secure::shared();
    let asked = Arc::new(AtomicUsize::new(0));
    let port = token_endpoint(&secure.authority, Arc::clone(&asked));
    let options = format!("ssl.truststore.location=\"{}\" ssl.truststore.type=\"PEM\"", secure.path("ca.pem"));
    let settings = |secret: &str| {
        format!(
            "sasl.mechanism=OAUTHBEARER\nsasl.oauthbearer.token.endpoint.url=https://localhost:{port}/token\n\
             sasl.oauthbearer.client.credentials.client.id=alice\n\
             sasl.oauthbearer.client.credentials.client.secret={secret}\nsasl.oauthbearer.scope=produce\n{}",
            jaas("oauthbearer.OAuthBearerLoginModule", &options)
        )
    };
    let producer = secure.producer(SASL_SSL, &settings(SECRET));
    under_load(secure, "open-endpoint", &producer, Duration::from_secs(15), |_| {});
    producer.close_blocking(PATIENCE).unwrap();
    let asked = asked.load(Ordering::Relaxed);
    assert!((3..40).contains(&asked), "asked {asked} times");
    let words = secure.refusal(SASL_SSL, &settings("hush-hush-other"));
    assert!(words.contains("answered 401 invalid_client"), "{words}");
}

/// Both sides change their authority while records flow: what the producer read at its start neither shows it to the
/// broker nor lets it believe the broker any more, after that was killed and came back.
#[test]
#[ignore = "broker"]
fn certificates_are_replaced_under_load() {
    let secure = Secure::start();
    let own = secure.path("own.pem");
    let next = Authority::new("next");
    let both = |identity: &Identity| format!("{}\n{}", identity.key_pem, identity.pem);
    fs::write(&own, both(&secure.authority.issue("alice", &[]))).unwrap();
    let settings = format!("ssl.keystore.type=PEM\nssl.keystore.location={own}\n");
    let producer = secure.producer(MUTUAL, &settings);
    under_load(&secure, "open-rotated", &producer, Duration::from_secs(15), |second| match second {
        // Between the two nobody could connect with what is in the file.
        3 => fs::write(&own, "half a file").unwrap(),
        5 => {
            fs::write(&own, both(&next.issue("alice", &[]))).unwrap();
            fs::write(secure.path("ca.pem"), &next.pem).unwrap();
            // The broker reads its own at its next start.
            fs::write(secure.path("clients.pem"), &next.pem).unwrap();
            fs::write(secure.path("broker.pem"), both(&next.issue("broker", &["127.0.0.1"]))).unwrap();
        }
        7 => secure.cluster.kill(1),
        8 => secure.cluster.restart(1),
        _ => {}
    });
    let connections = producer.metrics().value("producer-metrics", "successful-authentication-total", &[]);
    assert!(connections > Some(1.0), "{connections:?}: it connected again");
    producer.close_blocking(PATIENCE).unwrap();
    // It was the new files that let it in.
    fs::write(&own, both(&secure.authority.issue("alice", &[]))).unwrap();
    let words = secure.refusal(MUTUAL, &settings);
    assert!(words.contains("does not accept this client's certificate"), "{words}");
}

/// The broker hangs up on whoever sends a request after the end of his login (three seconds here).
#[test]
#[ignore = "broker"]
fn an_admin_stays_logged_in_and_hears_what_it_may_not_do() {
    let secure = Secure::shared();
    secure.cluster.tool(&["create", "open-admin", "1"]);
    let config = Config::from_properties(&secure.properties(SASL_SSL, &scram(512, PASSWORD))).unwrap();
    let security = Secured::load(&config.producer.security).unwrap();
    let config = NetConfig { security, ..NetConfig::default() };
    let (host, port) = secure.cluster.bootstrap().rsplit_once(':').unwrap();
    let server = (host.to_owned(), port.parse::<u16>().unwrap() + SASL_SSL);
    let mut admin = BlockingAdmin::connect(&[server], config, PATIENCE).unwrap();
    for _ in 0..3 {
        assert_eq!(admin.describe_topics(&["open-admin"]).unwrap()[0].partitions.len(), 1);
        std::thread::sleep(Duration::from_millis(3500));
    }
    let error = admin.describe_topics(&["open-admin", "closed-to-admin"]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "User:alice may not DESCRIBE on topic closed-to-admin: the broker answered TOPIC_AUTHORIZATION_FAILED"
    );
    let topic = NewTopic { name: "by-admin".into(), partitions: 1, replication_factor: 1, configs: Vec::new() };
    let created = admin.create_topics(vec![topic]).unwrap();
    let error = admin.created(&created[0], true).unwrap_err().to_string();
    assert!(error.starts_with("User:alice may not CREATE on topic by-admin: the broker answered "), "{error}");
}

#[test]
#[ignore = "broker"]
fn the_command_logs_in_and_shows_no_secret() {
    let secure = Secure::shared();
    let secrets = secure.path("secrets.properties");
    fs::write(&secrets, format!("password={PASSWORD}\n")).unwrap();
    let config = secure.path("command.properties");
    let login =
        jaas("scram.ScramLoginModule", &format!("username=\"alice\" password=\"${{file:{secrets}:password}}\""));
    let providers = "config.providers=file\nconfig.providers.file.class=file\nsasl.mechanism=SCRAM-SHA-256\n";
    fs::write(&config, secure.properties(SASL_SSL, &format!("{providers}{login}"))).unwrap();
    secure.cluster.tool(&["create", "open-command", "1"]);
    let run = |arguments: &[&str], stdin: &str| {
        let mut child = Command::new(env!("CARGO_BIN_EXE_pointsman"))
            .args(arguments)
            .env("POINTSMAN_LOG", "trace")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
        let output = child.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(!text.contains("hush"), "{arguments:?}: {text}");
        (output.status.success(), text)
    };
    let described = run(&["topic", "describe", "-c", &config, "open-command"], "");
    assert!(described.0, "{}", described.1);
    let produced = run(&["produce", "-c", &config, "-t", "open-command"], "one\ntwo\n");
    assert!(produced.0, "{}", produced.1);
    assert_eq!(secure.cluster.tool(&["read", "open-command", "--expect", "2"]).lines().count(), 2);
    let listed = run(&["config", "list", "-c", &config, "sasl"], "");
    assert!(listed.0 && listed.1.contains("sasl.jaas.config"), "{}", listed.1);
    let checked = run(&["config", "check", "-c", &config], "");
    assert!(checked.0, "{}", checked.1);
    fs::write(&secrets, "password=hush-hush-wrong\n").unwrap();
    let refused = run(&["produce", "-c", &config, "-t", "open-command"], "three\n");
    assert!(!refused.0 && refused.1.contains("login of User:alice was refused"), "{}", refused.1);
}

#[test]
fn a_store_that_cannot_be_read_is_an_error_of_the_start() {
    let text = "bootstrap.servers=a:1\nsecurity.protocol=SSL\nssl.truststore.location=/no/such.pem\n";
    let error = Producer::start(Config::from_properties(text).unwrap()).unwrap_err();
    assert!(matches!(&error, StartError::Security(_)), "{error:?}");
    assert!(error.to_string().starts_with("ssl.truststore.location: /no/such.pem cannot be read"), "{error}");
}

fn part(json: &str) -> String {
    use base64::Engine;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(json)
}

fn unsecured(subject: &str, expires_at: u64) -> String {
    let body = format!(r#"{{"sub":"{subject}","iat":900000000,"exp":{expires_at},"jti":"hush-hush"}}"#);
    format!("{}.{}.", part(r#"{"alg":"none"}"#), part(&body))
}

fn signed(subject: &str, expires_at: u64) -> String {
    let unsigned = unsecured(subject, expires_at);
    let body = unsigned.split('.').nth(1).unwrap();
    format!("{}.{body}.{}", part(r#"{"alg":"ES256"}"#), part("hush-hush-signature"))
}

const SECRET: &str = "hush-hush-client";

/// Answers each POST with a token of six seconds if the secret is right.
fn token_endpoint(authority: &Authority, asked: Arc<AtomicUsize>) -> u16 {
    let issued = authority.issue("idp", &["localhost"]);
    let chain = vec![CertificateDer::from_pem_slice(issued.pem.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(issued.key_pem.as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = Arc::new(config.with_no_client_auth().with_single_cert(chain, key).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let session = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = BufReader::new(rustls::StreamOwned::new(session, stream));
            let (mut text, mut length) = (String::new(), 0);
            while stream.read_line(&mut text).is_ok_and(|len| len > 2) {
                let last = text.lines().last().unwrap_or_default().to_ascii_lowercase();
                if let Some(found) = last.strip_prefix("content-length: ") {
                    length = found.parse().unwrap();
                }
            }
            let mut body = vec![0; length];
            if stream.read_exact(&mut body).is_err() {
                continue;
            }
            assert_eq!(String::from_utf8_lossy(&body), "grant_type=client_credentials&scope=produce");
            asked.fetch_add(1, Ordering::Relaxed);
            let basic = {
                use base64::Engine;
                base64::engine::general_purpose::STANDARD.encode(format!("alice:{SECRET}"))
            };
            let (status, json) = if text.contains(&basic) {
                let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
                ("200 OK", format!(r#"{{"access_token":"{}","expires_in":6}}"#, unsecured("alice", now + 6)))
            } else {
                ("401 Unauthorized", r#"{"error":"invalid_client"}"#.to_owned())
            };
            let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{json}", json.len());
            let _ = stream.get_mut().write_all(answer.as_bytes());
            let _ = stream.get_mut().flush();
        }
    });
    port
}
