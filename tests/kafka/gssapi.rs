//! Kerberos logins at a real Kafka, with tickets of a real KDC.
//!
//! The system's Kerberos has its files from the environment of the process, so each client is a process of its own: this
//! program again, at the same test, where [`Client::here`] is the other half of it.
//!
//! Every password here has `hush-hush` in it: `tests/run` looks for it in all that the tests print.

use crate::harness::{self, Cluster, Setup};
use crate::kerberos::{Kdc, free_port};
use crate::producers::PATIENCE;
use crate::secure::certificates::Authority;
use libgssapi::context::{SecurityContext, ServerCtx};
use pointsman::{Config, Delivery, ProduceError, Producer, Record};
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

const PASSWORD: &str = "hush-hush-alice";

/// Listeners, by how far their ports are from the first.
const SASL_PLAINTEXT: u16 = 4;
const SASL_SSL: u16 = 5;

/// A realm, and a broker in it that takes Kerberos logins only.
struct Kerberized {
    kdc: Kdc,
    cluster: Cluster,
    folder: tempfile::TempDir,
}

impl Kerberized {
    fn shared() -> &'static Kerberized {
        static SHARED: OnceLock<Kerberized> = OnceLock::new();
        SHARED.get_or_init(Kerberized::start)
    }

    fn start() -> Kerberized {
        let kdc = Kdc::start();
        kdc.admin("addprinc -randkey kafka/localhost");
        let keytab = kdc.keytab("kafka/localhost", "kafka.keytab");
        kdc.admin(&format!("addprinc -pw {PASSWORD} alice"));
        let folder = harness::folder();
        let authority = Authority::new("tests");
        let broker = authority.issue("broker", &["localhost"]);
        let store = folder.path().join("broker.pem");
        fs::write(&store, format!("{}{}", broker.key_pem, broker.pem)).unwrap();
        fs::write(folder.path().join("ca.pem"), &authority.pem).unwrap();
        let mut properties: Vec<String> = [
            "listeners=CONTROLLER://127.0.0.1:{+10},PLAINTEXT://127.0.0.1:{+0},SASL_PLAINTEXT://127.0.0.1:{+4},\
             SASL_SSL://127.0.0.1:{+5}",
            "advertised.listeners=PLAINTEXT://127.0.0.1:{+0},SASL_PLAINTEXT://localhost:{+4},SASL_SSL://localhost:{+5}",
            "listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT,\
             SASL_SSL:SASL_SSL",
            "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users=User:ANONYMOUS",
            "ssl.keystore.type=PEM",
            "sasl.enabled.mechanisms=GSSAPI",
            "sasl.kerberos.service.name=kafka",
            // Every login is renewed every few seconds.
            "connections.max.reauth.ms=3000",
        ]
        .map(str::to_owned)
        .into();
        properties.push(format!("ssl.keystore.location={}", store.display()));
        for listener in ["sasl_plaintext", "sasl_ssl"] {
            properties.push(format!(
                "listener.name.{listener}.gssapi.sasl.jaas.config=com.sun.security.auth.module.Krb5LoginModule required \
                 useKeyTab=true storeKey=true keyTab=\"{keytab}\" principal=\"kafka/localhost@TESTS\";"
            ));
        }
        let properties: Vec<&str> = properties.iter().map(String::as_str).collect();
        let java = format!("-Djava.security.krb5.conf={}", kdc.config());
        let environment = [("JAVA_TOOL_OPTIONS", java.as_str())];
        let cluster =
            Cluster::start_with(Setup { properties: &properties, environment: &environment, ..Setup::default() });
        // By default a broker drops the realm that is its own.
        for operation in ["WRITE", "DESCRIBE"] {
            for name in ["alice", "carol", "brief", "late"] {
                cluster.tool(&["allow", &format!("User:{name}"), operation, "open-"]);
            }
        }
        Kerberized { kdc, cluster, folder }
    }

    fn server(&self, listener: u16) -> String {
        let port = self.cluster.bootstrap().rsplit_once(':').unwrap().1;
        format!("localhost:{}", port.parse::<u16>().unwrap() + listener)
    }

    /// Lines of a properties file for a listener; `more` comes after them and wins.
    fn properties(&self, listener: u16, more: &str) -> String {
        let protocol = if listener == SASL_SSL { "SASL_SSL" } else { "SASL_PLAINTEXT" };
        let trust = self.folder.path().join("ca.pem");
        format!(
            "bootstrap.servers={}\nsecurity.protocol={protocol}\nssl.truststore.location={}\nssl.truststore.type=PEM\n\
             sasl.mechanism=GSSAPI\nsasl.kerberos.service.name=kafka\n{more}",
            self.server(listener),
            trust.display()
        )
    }

    /// Alice's ticket, and that there is no keytab.
    fn alice(&self) -> Environment {
        static CACHE: OnceLock<String> = OnceLock::new();
        let cache = CACHE.get_or_init(|| self.kdc.ticket("alice", PASSWORD, "10h", "alice.cache"));
        Environment { cache: cache.clone(), ..self.nobody() }
    }

    fn nobody(&self) -> Environment {
        let none = |name: &str| format!("FILE:{}", self.kdc.path(name));
        Environment { config: self.kdc.config(), cache: none("none.cache"), keytab: none("none.keytab") }
    }

    /// A keytab and an empty cache of its own, as the tickets go there.
    fn with_keytab(&self, keytab: &str, cache: &str) -> Environment {
        let cache = format!("FILE:{}", self.kdc.path(cache));
        Environment { cache, keytab: keytab.to_owned(), ..self.nobody() }
    }

    fn check(&self, topic: &str, count: usize) {
        let (count, keys) = (count.to_string(), KEYS.to_string());
        self.cluster.tool(&["check-order", topic, "--records", &count, "--keys", &keys]);
    }
}

/// Where a process has its Kerberos from.
struct Environment {
    config: String,
    cache: String,
    keytab: String,
}

impl Environment {
    fn apply<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        command
            .env("KRB5_CONFIG", &self.config)
            .env("KRB5CCNAME", &self.cache)
            .env("KRB5_CLIENT_KTNAME", &self.keytab)
            .env_remove("KRB5_TRACE")
    }

    /// This program again, as the client of `test`.
    fn command(&self, test: &str, role: &str, properties: &str) -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args([&format!("gssapi::{test}"), "--exact", "--ignored", "--nocapture"]);
        self.apply(&mut command).env(ROLE, role).env(PROPERTIES, properties);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn client(&self, test: &str, role: &str, properties: &str) -> Child {
        self.command(test, role, properties).spawn().unwrap()
    }

    /// The same to its end; says what the client did.
    fn outcome(&self, test: &str, role: &str, properties: &str) -> serde_json::Value {
        outcome(self.client(test, role, properties))
    }
}

fn outcome(client: Child) -> serde_json::Value {
    let output = client.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success() && !said.contains("hush"), "{said}");
    let line = said.lines().find_map(|line| line.split_once(OUTCOME));
    serde_json::from_str(line.unwrap_or_else(|| panic!("no outcome: {said}")).1).unwrap()
}

const ROLE: &str = "POINTSMAN_TEST_ROLE";
const PROPERTIES: &str = "POINTSMAN_TEST_PROPERTIES";
const OUTCOME: &str = "outcome: ";
const KEYS: usize = 100;

/// This process, where it is the client of a test.
struct Client {
    role: String,
    producer: Producer,
}

impl Client {
    fn here() -> Option<Client> {
        let role = std::env::var(ROLE).ok()?;
        let config = Config::from_properties(&std::env::var(PROPERTIES).unwrap()).unwrap();
        Some(Client { role, producer: Producer::start(config).unwrap() })
    }

    /// Does what it is told, and says what became of it.
    fn act(self) {
        let mut words = self.role.split(' ');
        let (what, topic) = (words.next().unwrap(), words.next().unwrap());
        let number = words.next().map_or(0, |number| number.parse().unwrap());
        let outcome = match what {
            "write" => self.write(topic, number),
            "load" => self.load(topic, Duration::from_secs(number as u64)),
            "fail" => self.fail(topic),
            other => panic!("{other}?"),
        };
        self.producer.close_blocking(PATIENCE).unwrap();
        println!("\n{OUTCOME}{outcome}");
    }

    /// Record number `at`, as the tool's check-order wants it.
    fn send(&self, topic: &str, at: usize) -> Result<Delivery, ProduceError> {
        let (key, value) = (format!("key-{}", at % KEYS), format!("{at}|"));
        self.producer.send_blocking(&Record::to(topic).key(&key).value(&value))
    }

    fn write(&self, topic: &str, count: usize) -> serde_json::Value {
        let deliveries: Vec<Delivery> = (0..count).map(|at| self.send(topic, at).unwrap()).collect();
        for (at, delivery) in deliveries.into_iter().enumerate() {
            delivery.wait().unwrap_or_else(|error| panic!("{topic} {at}: {error}"));
        }
        self.told(count)
    }

    fn load(&self, topic: &str, time: Duration) -> serde_json::Value {
        let (began, mut deliveries) = (Instant::now(), Vec::new());
        while began.elapsed() < time {
            for _ in 0..100 {
                deliveries.push(self.send(topic, deliveries.len()).unwrap());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let count = deliveries.len();
        for (at, delivery) in deliveries.into_iter().enumerate() {
            delivery.wait().unwrap_or_else(|error| panic!("{topic} {at}: {error}"));
        }
        self.told(count)
    }

    fn fail(&self, topic: &str) -> serde_json::Value {
        let began = Instant::now();
        let error = self.send(topic, 0).and_then(Delivery::wait).unwrap_err();
        let refused = matches!(error, ProduceError::Authentication { .. });
        let failed = self.producer.metrics().value("producer-metrics", "failed-authentication-total", &[]);
        assert_eq!(refused, failed >= Some(1.0), "{error}: {failed:?}");
        serde_json::json!({ "words": error.to_string(), "refused": refused, "seconds": began.elapsed().as_secs_f64() })
    }

    fn told(&self, count: usize) -> serde_json::Value {
        let metrics = self.producer.metrics();
        let of = |name: &str| metrics.value("producer-metrics", name, &[]).unwrap_or_default();
        serde_json::json!({
            "count": count,
            "renewed": of("successful-reauthentication-total"),
            "failed": of("failed-authentication-total") + of("failed-reauthentication-total"),
            "retried": of("record-retry-total"),
            "closed": of("connection-close-total"),
        })
    }
}

/// By whoever the ticket cache or the keytab names, and by name; the last without a `sasl.mechanism`, as in Java.
#[test]
#[ignore = "broker"]
fn a_hundred_thousand_records_by_ticket_and_by_keytab() {
    if let Some(client) = Client::here() {
        return client.act();
    }
    let here = Kerberized::shared();
    let keytab = here.kdc.keytab("alice", "alice.keytab");
    let module = "com.sun.security.auth.module.Krb5LoginModule required";
    let by_keytab = format!(
        "sasl.jaas.config={module} useKeyTab=true keyTab=\"{keytab}\" principal=\"alice@TESTS\" serviceName=\"kafka\";\n"
    );
    let by_ticket = format!("sasl.jaas.config={module} useTicketCache=true;\n");
    let count = 100_000;
    for (name, listener, environment, more) in [
        ("ticket", SASL_PLAINTEXT, here.alice(), String::new()),
        ("keytab", SASL_PLAINTEXT, here.with_keytab(&keytab, "1.cache"), by_keytab.clone()),
        ("tls-ticket", SASL_SSL, here.alice(), by_ticket),
        ("tls-keytab", SASL_SSL, here.with_keytab(&format!("FILE:{keytab}"), "2.cache"), by_keytab),
    ] {
        let topic = format!("open-{name}");
        here.cluster.tool(&["create", &topic, "6"]);
        let properties = here.properties(listener, &more);
        let properties =
            if name == "tls-keytab" { properties.replace("sasl.mechanism=GSSAPI\n", "") } else { properties };
        let test = "a_hundred_thousand_records_by_ticket_and_by_keytab";
        let told = environment.outcome(test, &format!("write {topic} {count}"), &properties);
        assert_eq!((&told["count"], &told["failed"]), (&count.into(), &0.0.into()), "{name}: {told}");
        here.check(&topic, count);
    }
}

#[test]
#[ignore = "broker"]
fn who_cannot_log_in_hears_at_once_whose_fault_it_is() {
    if let Some(client) = Client::here() {
        return client.act();
    }
    let here = Kerberized::shared();
    let principal = |name: &str| {
        let module = "com.sun.security.auth.module.Krb5LoginModule required";
        format!("sasl.jaas.config={module} useTicketCache=true principal=\"{name}\";\n")
    };
    here.kdc.admin("addprinc -pw hush-hush-bob bob");
    let old = here.kdc.keytab("bob", "bob.keytab");
    here.kdc.admin("cpw -pw hush-hush-bob-2 bob");
    here.kdc.admin("addprinc -pw hush-hush-dora dora");
    let ended = here.kdc.keytab("dora", "dora.keytab");
    here.kdc.admin("modprinc -expire yesterday dora");
    let expired = here.kdc.ticket("alice", PASSWORD, "2s", "expired.cache");
    std::thread::sleep(Duration::from_secs(3));
    let expired = Environment { cache: expired, ..here.nobody() };
    here.kdc.admin("addprinc -randkey other/localhost");
    let wanted = |service: &str| format!("sasl.kerberos.service.name={service}\n");
    for (name, environment, more, who, cause) in [
        ("no ticket", here.nobody(), String::new(), "the default principal", "No Kerberos credentials available"),
        (
            "another's ticket",
            here.alice(),
            principal("bob@TESTS"),
            "bob@TESTS",
            "Can't find client principal bob@TESTS",
        ),
        ("an expired ticket", expired, principal("alice@TESTS"), "alice@TESTS", "Ticket expired"),
        ("an old key", here.with_keytab(&old, "3.cache"), String::new(), "bob@TESTS", "Preauthentication failed"),
        (
            "another's cache beside a keytab",
            Environment { keytab: old.clone(), ..here.alice() },
            principal("bob@TESTS"),
            "bob@TESTS",
            "does not match desired name (each principal needs a ticket cache of its own: set KRB5CCNAME)",
        ),
        (
            "an expired principal",
            here.with_keytab(&ended, "4.cache"),
            String::new(),
            "dora@TESTS",
            "Client's entry in database has expired",
        ),
        (
            "an unknown service",
            here.alice(),
            wanted("nosuch"),
            "alice@TESTS",
            "Server nosuch/localhost@TESTS not found in Kerberos database",
        ),
        // There is a ticket for it, which this broker cannot read.
        (
            "another's service",
            here.alice(),
            wanted("other"),
            "alice@TESTS",
            "the broker answered SASL_AUTHENTICATION_FAILED",
        ),
    ] {
        for listener in [SASL_PLAINTEXT, SASL_SSL] {
            let properties = here.properties(listener, &format!("max.block.ms=600000\n{more}"));
            let test = "who_cannot_log_in_hears_at_once_whose_fault_it_is";
            let told = environment.outcome(test, "fail open-refused", &properties);
            println!("{name}: {told}");
            let words = told["words"].as_str().unwrap();
            // Long before delivery.timeout.ms, two minutes.
            assert!(told["refused"] == true && told["seconds"].as_f64() < Some(30.0), "{name}: {told}");
            assert!(words.contains(&here.server(listener)), "{name}: {words}");
            assert!(words.contains(&format!("the GSSAPI login of {who} was refused: ")), "{name}: {words}");
            assert!(words.contains(cause), "{name}: {words}");
        }
    }
}

/// That is nobody's refusal: records wait, and go out once there is one.
#[test]
#[ignore = "broker"]
fn records_wait_for_a_kdc_that_is_not_there() {
    const TEST: &str = "records_wait_for_a_kdc_that_is_not_there";
    if let Some(client) = Client::here() {
        return client.act();
    }
    let here = Kerberized::shared();
    here.kdc.admin("addprinc -pw hush-hush-carol carol");
    let keytab = here.kdc.keytab("carol", "carol.keytab");
    let port = free_port();
    let away = |cache: &str| Environment { config: here.kdc.config_at(port), ..here.with_keytab(&keytab, cache) };
    let soon = "delivery.timeout.ms=6000\nrequest.timeout.ms=3000\nmax.block.ms=6000\n";
    let told = away("5.cache").outcome(TEST, "fail open-away", &here.properties(SASL_PLAINTEXT, soon));
    let words = told["words"].as_str().unwrap();
    assert!(told["refused"] == false && told["seconds"].as_f64() > Some(5.0), "{told}");
    assert!(words.contains("the GSSAPI login of ") && words.contains(" failed: Cannot contact any KDC"), "{told}");
    {
        // It is there, and silent.
        let _silent = (UdpSocket::bind(("127.0.0.1", port)).unwrap(), TcpListener::bind(("127.0.0.1", port)).unwrap());
        let soon =
            format!("{soon}socket.connection.setup.timeout.ms=1000\nsocket.connection.setup.timeout.max.ms=1000\n");
        let told = away("6.cache").outcome(TEST, "fail open-away", &here.properties(SASL_PLAINTEXT, &soon));
        let words = told["words"].as_str().unwrap();
        assert!(told["refused"] == false && words.contains("failed: no KDC gave a ticket within "), "{told}");
        assert!(told["seconds"].as_f64() < Some(20.0), "{told}");
    }
    here.cluster.tool(&["create", "open-back", "6"]);
    let client = away("7.cache").client(TEST, "write open-back 1000", &here.properties(SASL_PLAINTEXT, ""));
    std::thread::sleep(Duration::from_secs(3));
    let _served = here.kdc.serve_at(port);
    assert_eq!(outcome(client)["count"], 1000);
    here.check("open-back", 1000);
}

/// MIT then says only that the ticket has ended, as of one that nothing can replace.
#[test]
#[ignore = "broker"]
fn records_wait_for_a_kdc_that_is_away_as_a_ticket_from_a_keytab_ends() {
    const TEST: &str = "records_wait_for_a_kdc_that_is_away_as_a_ticket_from_a_keytab_ends";
    if let Some(client) = Client::here() {
        return client.act();
    }
    let here = Kerberized::shared();
    here.kdc.admin("addprinc -pw hush-hush-late -maxlife \"8 seconds\" late");
    let keytab = here.kdc.keytab("late", "late.keytab");
    let port = free_port();
    let late = Environment { config: here.kdc.config_at(port), ..here.with_keytab(&keytab, "9.cache") };
    for topic in ["open-early", "open-late"] {
        here.cluster.tool(&["create", topic, "6"]);
    }
    let served = here.kdc.serve_at(port);
    let told = late.outcome(TEST, "write open-early 10", &here.properties(SASL_PLAINTEXT, ""));
    assert_eq!(told["count"], 10);
    drop(served);
    std::thread::sleep(Duration::from_secs(9));
    let soon = "delivery.timeout.ms=6000\nrequest.timeout.ms=3000\nmax.block.ms=6000\n";
    let told = late.outcome(TEST, "fail open-late", &here.properties(SASL_PLAINTEXT, soon));
    let words = told["words"].as_str().unwrap();
    assert!(told["refused"] == false && told["seconds"].as_f64() > Some(5.0), "{told}");
    assert!(words.contains(" failed: Ticket expired, and the keytab gave no new one"), "{told}");
    let client = late.client(TEST, "write open-late 1000", &here.properties(SASL_PLAINTEXT, ""));
    std::thread::sleep(Duration::from_secs(3));
    let _served = here.kdc.serve_at(port);
    assert_eq!(outcome(client)["count"], 1000);
    here.check("open-late", 1000);
}

/// The broker lets a login count for three seconds, the KDC a ticket for ten: both are had anew, on the connection.
#[test]
#[ignore = "broker"]
fn logins_and_tickets_are_renewed_under_load() {
    if let Some(client) = Client::here() {
        return client.act();
    }
    let here = Kerberized::shared();
    here.kdc.admin("addprinc -pw hush-hush-brief -maxlife \"10 seconds\" brief");
    let keytab = here.kdc.keytab("brief", "brief.keytab");
    let brief = here.with_keytab(&keytab, "8.cache");
    for (name, listener, environment, seconds) in
        [("ticket", SASL_PLAINTEXT, here.alice(), 12), ("brief", SASL_SSL, brief, 25)]
    {
        let topic = format!("open-renewed-{name}");
        here.cluster.tool(&["create", &topic, "6"]);
        let test = "logins_and_tickets_are_renewed_under_load";
        let told = environment.outcome(test, &format!("load {topic} {seconds}"), &here.properties(listener, ""));
        println!("{name}: {told}");
        // A connection whose session is over is closed: none was, and no record went out twice.
        for none in ["failed", "retried", "closed"] {
            assert_eq!(told[none], 0.0, "{name}: {told}");
        }
        assert!(told["renewed"].as_f64() >= Some(3.0), "{name}: {told}");
        let tickets = here.kdc.tickets_of(name);
        assert!(name == "ticket" || tickets >= 3, "{name}: {tickets} tickets");
        here.check(&topic, told["count"].as_u64().unwrap() as usize);
    }
}

/// Whoever has no key of the service is found out, whatever he says.
#[test]
#[ignore = "broker"]
fn a_broker_without_the_service_s_key_is_not_believed() {
    if let Some(client) = Client::here() {
        return client.act();
    }
    let here = Kerberized::shared();
    let empty: fn(&[u8]) -> Vec<u8> = |_| Vec::new();
    let echo: fn(&[u8]) -> Vec<u8> = <[u8]>::to_vec;
    let offer: fn(&[u8]) -> Vec<u8> = |_| vec![1, 0, 0, 0];
    for vice in [empty, echo, offer] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                std::thread::spawn(move || impostor(stream, vice));
            }
        });
        let properties = format!("{}bootstrap.servers=localhost:{port}\n", here.properties(SASL_PLAINTEXT, ""));
        let test = "a_broker_without_the_service_s_key_is_not_believed";
        let told = here.alice().outcome(test, "fail open-impostor", &properties);
        let words = told["words"].as_str().unwrap();
        println!("{words}");
        assert!(told["refused"] == true && words.contains("the broker is not to be trusted: "), "{words}");
        assert!(words.contains("the GSSAPI login of alice@TESTS was refused"), "{words}");
    }
}

/// One with the key that offers what Kafka never does. It is in the client's process, for the keytab in its environment.
#[test]
#[ignore = "broker"]
fn security_layers_that_are_not_kafka_s_are_refused() {
    const TEST: &str = "security_layers_that_are_not_kafka_s_are_refused";
    if let Ok(offer) = std::env::var("POINTSMAN_TEST_OFFER") {
        let offer: Vec<u8> = serde_json::from_str(&offer).unwrap();
        let port = std::env::var("POINTSMAN_TEST_PORT").unwrap().parse::<u16>().unwrap();
        let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (mut context, offer) = (ServerCtx::new(None), offer.clone());
                let say = move |heard: &[u8]| match context.is_complete() {
                    false => context.step(heard, None).unwrap().unwrap().to_vec(),
                    true => context.wrap(false, &offer).unwrap().to_vec(),
                };
                std::thread::spawn(move || impostor(stream, say));
            }
        });
    }
    if let Some(client) = Client::here() {
        return client.act();
    }
    let here = Kerberized::shared();
    let keytab = here.kdc.path("kafka.keytab");
    for (offer, words) in [
        ("[6, 0, 255, 255]", "the broker wants a security layer, of which Kafka has none"),
        ("[1, 0, 0]", "the broker is not to be trusted: its security layers cannot be read"),
    ] {
        let port = free_port();
        let properties = format!("{}bootstrap.servers=localhost:{port}\n", here.properties(SASL_PLAINTEXT, ""));
        let mut client = here.alice().command(TEST, "fail open-layers", &properties);
        client.env("POINTSMAN_TEST_OFFER", offer).env("POINTSMAN_TEST_PORT", port.to_string());
        // It keeps no list of tickets that it has seen: that would be the system's.
        client.env("KRB5_KTNAME", &keytab).env("KRB5RCACHENAME", "none:");
        let told = outcome(client.spawn().unwrap());
        assert!(told["refused"] == true && told["words"].as_str().unwrap().ends_with(words), "{told}");
    }
}

/// A broker that takes every login; `say` is its part, to what it hears.
fn impostor(mut stream: TcpStream, mut say: impl FnMut(&[u8]) -> Vec<u8>) -> Option<()> {
    loop {
        let mut len = [0; 4];
        stream.read_exact(&mut len).ok()?;
        let mut request = vec![0; u32::from_be_bytes(len) as usize];
        stream.read_exact(&mut request).ok()?;
        let (api, version) = (request[1], request[3]);
        let mut answer = request[4..8].to_vec();
        match api {
            // ApiVersions: which it knows, after an error for who asks in a version that it does not know.
            18 => {
                answer.extend([0, if version == 0 { 0 } else { 35 }, 0, 0, 0, 3]);
                for (api, to) in [(17, 1), (18, 0), (36, 0)] {
                    answer.extend([0, api, 0, 0, 0, to]);
                }
            }
            17 => answer.extend(b"\0\0\0\0\0\x01\0\x06GSSAPI"),
            _ => {
                // The client's name stands between the header and the token with its length.
                let name = usize::from(u16::from_be_bytes([request[8], request[9]]));
                let said = say(&request[10 + name + 4..]);
                answer.extend(b"\0\0\xff\xff");
                answer.extend(u32::try_from(said.len()).unwrap().to_be_bytes());
                answer.extend(said);
            }
        }
        stream.write_all(&u32::try_from(answer.len()).unwrap().to_be_bytes()).ok()?;
        stream.write_all(&answer).ok()?;
    }
}

#[test]
#[ignore = "broker"]
fn the_command_logs_in_and_names_who_may_not_write() {
    let here = Kerberized::shared();
    here.cluster.tool(&["create", "open-command", "1"]);
    here.cluster.tool(&["create", "closed", "1"]);
    here.cluster.tool(&["allow", "User:alice", "DESCRIBE", "closed"]);
    let config = here.folder.path().join("command.properties");
    fs::write(&config, here.properties(SASL_SSL, "")).unwrap();
    let run = |environment: &Environment, topic: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pointsman"));
        command.arg("produce").arg("-c").arg(&config).args(["-t", topic]).env("POINTSMAN_LOG", "trace");
        let command = environment.apply(&mut command);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let _ = child.stdin.take().unwrap().write_all(b"one\ntwo\n");
        let output = child.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(!text.contains("hush"), "{text}");
        (output.status.success(), text)
    };
    let written = run(&here.alice(), "open-command");
    assert!(written.0, "{}", written.1);
    assert_eq!(here.cluster.tool(&["read", "open-command", "--expect", "2"]).lines().count(), 2);
    let closed = run(&here.alice(), "closed");
    assert!(!closed.0 && closed.1.contains("alice@TESTS may not WRITE on topic closed"), "{}", closed.1);
    let nobody = run(&here.nobody(), "open-command");
    assert!(!nobody.0 && nobody.1.contains("the GSSAPI login of the default principal was refused"), "{}", nobody.1);
}
