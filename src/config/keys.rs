//! The table of keys: every producer key of Apache Kafka 4.3 with its type, default and meaning, and our own few.
//!
//! This table drives parsing, `config list` and the suggestions for misspelt keys. Names, types, defaults, ranges and
//! importance were compared with `ProducerConfig.configDef()` of kafka-clients 4.3.0.

use std::fmt;

/// One configuration key.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Key {
    /// The name, as in Kafka.
    pub name: &'static str,
    /// The type, with the values it allows.
    pub kind: Kind,
    /// The default as it would be written in a properties file; none if the key is unset by default or required.
    pub default: Option<&'static str>,
    /// How soon a reader should care, as Kafka grades it.
    pub importance: Importance,
    /// What setting it does here.
    pub status: Status,
    /// What it means, in one line.
    pub doc: &'static str,
}

/// The type of a key's value.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Kind {
    /// Any text.
    Text,
    /// One of a few words, spelt exactly.
    OneOf(&'static [&'static str]),
    /// One of a few words, in any mix of capitals.
    OneOfAnyCase(&'static [&'static str]),
    /// A comma-separated list (in TOML also an array).
    List,
    /// `true` or `false`.
    Bool,
    /// A whole number between two bounds, both allowed.
    Int(i64, i64),
    /// A number between two bounds, both allowed.
    Double(f64, f64),
    /// A duration in milliseconds between two bounds, both allowed.
    Millis(i64, i64),
    /// A number of bytes between two bounds, both allowed; a unit such as `KiB` or `MB` may follow.
    Size(i64, i64),
    /// A built-in name, a Java class name that means a built-in, or `wasm:NAME`.
    Class,
    /// A secret: never shown.
    Password,
}

/// Kafka's grading of its keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Importance {
    /// Look at it before going to production.
    High,
    /// Worth knowing.
    Medium,
    /// For rare needs.
    Low,
}

/// What setting a key does here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Status {
    /// It does what its line says.
    Implemented,
    /// It is read and checked but changes nothing, for the reason given.
    Accepted(&'static str),
    /// Only the default is taken; the text names the feature that a later version brings.
    NotYet(&'static str),
}

impl Key {
    /// The key of that name, if there is one under `[producer]`.
    pub fn find(name: &str) -> Option<&'static Key> {
        KEYS.iter().find(|key| key.name == name)
    }

    /// Whether the value is a secret, which must not be shown.
    pub fn is_secret(&self) -> bool {
        self.kind == Kind::Password
    }

    /// Whether a configuration without this key is refused.
    pub fn is_required(&self) -> bool {
        matches!(self.name, "bootstrap.servers" | "component")
    }
}

impl fmt::Display for Kind {
    /// The type and its allowed values, as `config list` shows them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Kind::Text => f.write_str("text"),
            Kind::OneOf(words) | Kind::OneOfAnyCase(words) => f.write_str(&words.join(" | ")),
            Kind::List => f.write_str("list"),
            Kind::Bool => f.write_str("true | false"),
            Kind::Int(min, max) => write_range(f, "number", min, max, ""),
            Kind::Double(min, max) if min == f64::MIN && max == f64::MAX => f.write_str("decimal number"),
            Kind::Double(min, max) => write!(f, "decimal number, {min} to {max}"),
            Kind::Millis(min, max) => write_range(f, "number", min, max, " ms"),
            Kind::Size(min, max) => write_range(f, "size", min, max, " bytes"),
            Kind::Class => f.write_str("built-in name or wasm:NAME"),
            Kind::Password => f.write_str("secret"),
        }
    }
}

impl fmt::Display for Importance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Importance::High => "high",
            Importance::Medium => "medium",
            Importance::Low => "low",
        })
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Status::Implemented => f.write_str("implemented"),
            Status::Accepted(why) => write!(f, "accepted, no effect: {why}"),
            Status::NotYet(feature) => write!(f, "default only: {feature} not supported yet"),
        }
    }
}

/// Every key of `[producer]`, by name: Kafka 4.3's, then our own.
pub fn keys() -> &'static [Key] {
    KEYS
}

/// Every key of a `[plugins.NAME]` table.
pub fn plugin_keys() -> &'static [Key] {
    PLUGIN_KEYS
}

fn write_range(f: &mut fmt::Formatter<'_>, what: &str, min: i64, max: i64, unit: &str) -> fmt::Result {
    match (min, max) {
        (i64::MIN, i64::MAX) => write!(f, "{what}{unit}"),
        (_, i64::MAX | INT) if min > i64::from(i32::MIN) => write!(f, "{what}, at least {min}{unit}"),
        (..) if min <= i64::from(i32::MIN) && max >= INT => write!(f, "{what}{unit}"),
        _ => write!(f, "{what}, {min} to {max}{unit}"),
    }
}

/// Java's largest int and long.
const INT: i64 = i32::MAX as i64;
const LONG: i64 = i64::MAX;

const ASSERTIONS: Status = Status::NotYet("tokens for a signed assertion");
const JAVA_TOKENS: Status = Status::NotYet("Java classes that fetch or check tokens");
const KERBEROS: Status = if cfg!(feature = "gssapi") { Status::Implemented } else { NO_KERBEROS };
const TICKETS: Status = if cfg!(feature = "gssapi") {
    Status::Accepted("the system's Kerberos gets new tickets by itself, from the client keytab")
} else {
    NO_KERBEROS
};
const NO_KERBEROS: Status = Status::Accepted("GSSAPI is not in this build (its cargo feature gssapi)");
const RECONNECTS: Status =
    Status::Accepted("a token is fetched for a connection, whose backoff is reconnect.backoff.ms");
const JAVA_TLS: Status = Status::Accepted("it chooses among the TLS parts of a Java virtual machine");
const BROKER_SIDE: Status = Status::Accepted("only brokers, which check tokens, use it");

use Importance::{High, Low, Medium};
use Status::{Accepted, Implemented, NotYet};

const fn key(
    name: &'static str,
    kind: Kind,
    default: Option<&'static str>,
    importance: Importance,
    status: Status,
    doc: &'static str,
) -> Key {
    Key { name, kind, default, importance, status, doc }
}

#[rustfmt::skip]
const KEYS: &[Key] = &[
    key("acks", Kind::OneOf(&["all", "-1", "0", "1"]), Some("all"), Low, Implemented,
        "Who must have a record before it counts as delivered: all in-sync replicas (all or -1), the leader (1), no one (0)"),
    key("batch.size", Kind::Size(0, INT), Some("16384"), Medium, Implemented,
        "Bytes gathered for a partition before a batch is full; also how much goes to a sticky partition before the next. Left out, batches may grow: batch.size.max"),
    key("bootstrap.servers", Kind::List, None, High, Implemented,
        "host:port of some brokers; the others are learned from the first that answers"),
    key("buffer.memory", Kind::Size(0, LONG), Some("33554432"), High, Implemented,
        "Bytes that records may take from send until their delivery; beyond it send waits, up to max.block.ms"),
    key("client.dns.lookup", Kind::OneOf(&["use_all_dns_ips", "resolve_canonical_bootstrap_servers_only"]),
        Some("use_all_dns_ips"), Medium, NotYet("looking up the name that belongs to an address"),
        "Try every address of a broker's name, or first turn bootstrap names into their canonical ones"),
    key("client.id", Kind::Text, Some(""), Medium, Implemented,
        "The name brokers log and meter this producer under; producer-N if left out"),
    key("compression.gzip.level", Kind::Int(-1, 9), Some("-1"), Medium, Implemented,
        "gzip's effort, 1 (fast) to 9 (small), or -1 for its own choice"),
    key("compression.lz4.level", Kind::Int(1, 17), Some("9"), Medium, Implemented,
        "lz4's effort; 9 is the fast compressor, every other level the thorough one"),
    key("compression.type", Kind::OneOf(&["none", "gzip", "snappy", "lz4", "zstd"]), Some("none"), High, Implemented,
        "How batches are compressed; larger batches compress better"),
    key("compression.zstd.level", Kind::Int(-131_072, 22), Some("3"), Medium, Implemented,
        "zstd's effort; negative levels trade size for speed"),
    key("config.providers", Kind::List, Some(""), Low, Implemented,
        "Names of sources that ${…} in values is looked up in, such as files or the environment"),
    key("connections.max.idle.ms", Kind::Millis(i64::MIN, LONG), Some("540000"), Medium, Implemented,
        "Close a connection unused for so long; a negative number never does"),
    key("delivery.timeout.ms", Kind::Millis(0, INT), Some("120000"), Medium, Implemented,
        "From an accepted send until its delivery has succeeded or failed, retries included"),
    key("enable.idempotence", Kind::Bool, Some("true"), Low, Implemented,
        "Number the batches so that a retry neither doubles nor reorders records; without it a retry may write them twice"),
    key("enable.metrics.push", Kind::Bool, Some("true"), Low,
        Accepted("metrics are not pushed to brokers (KIP-714)"),
        "Send client metrics to brokers that ask for them"),
    key("interceptor.classes", Kind::List, Some(""), Low, Implemented,
        "Plugins that see each record before it is serialized and after it is acknowledged, in this order"),
    key("key.serializer", Kind::Class, Some("bytes"), High, Implemented,
        "What turns keys into bytes: a built-in name or wasm:NAME"),
    key("linger.ms", Kind::Millis(0, LONG), Some("5"), Medium, Implemented,
        "How long a batch that is not full waits for more records"),
    key("max.block.ms", Kind::Millis(0, LONG), Some("60000"), Medium, Implemented,
        "How long send may wait for metadata and buffer memory together"),
    key("max.in.flight.requests.per.connection", Kind::Int(1, INT), Some("5"), Low, Implemented,
        "Requests sent to a broker and not yet answered; at most 5 with idempotence"),
    key("max.request.size", Kind::Size(0, INT), Some("1048576"), Medium, Implemented,
        "Largest request in bytes, and so the largest record before compression"),
    key("metadata.max.age.ms", Kind::Millis(0, LONG), Some("300000"), Low, Implemented,
        "Ask for metadata again after so long, even if nothing seems changed"),
    key("metadata.max.idle.ms", Kind::Millis(5000, LONG), Some("300000"), Low, Implemented,
        "Forget the metadata of a topic that nothing was sent to for so long"),
    key("metadata.recovery.rebootstrap.trigger.ms", Kind::Millis(0, LONG), Some("300000"), Low, Implemented,
        "Start again from bootstrap.servers after so long without metadata from any known broker"),
    key("metadata.recovery.strategy", Kind::OneOfAnyCase(&["rebootstrap", "none"]), Some("rebootstrap"), Low, Implemented,
        "When no known broker can be reached: start again from bootstrap.servers, or keep trying the known ones"),
    key("metric.reporters", Kind::List, Some("org.apache.kafka.common.metrics.JmxReporter"), Low,
        Accepted("reporters are Java classes; metrics come from the API and the command"),
        "Java classes that are told about metrics"),
    key("metrics.num.samples", Kind::Int(1, INT), Some("2"), Low, Implemented,
        "Windows that a rate or an average looks back over"),
    key("metrics.recording.level", Kind::OneOf(&["INFO", "DEBUG", "TRACE"]), Some("INFO"), Low,
        Accepted("every metric is recorded at all times"),
        "How detailed the recorded metrics are"),
    key("metrics.sample.window.ms", Kind::Millis(0, LONG), Some("30000"), Low, Implemented,
        "Length of one window of a rate or an average"),
    key("partitioner.adaptive.partitioning.enable", Kind::Bool, Some("true"), Low, Implemented,
        "Give records without a key more often to partitions whose queues are short"),
    key("partitioner.availability.timeout.ms", Kind::Millis(0, LONG), Some("0"), Low, Implemented,
        "Avoid partitions of a broker that has taken nothing for so long; 0 never does"),
    key("partitioner.class", Kind::Class, None, Medium, Implemented,
        "What chooses partitions: empty for the built-in one, round-robin, or wasm:NAME"),
    key("partitioner.ignore.keys", Kind::Bool, Some("false"), Medium, Implemented,
        "Place records with a key like those without one"),
    key("receive.buffer.bytes", Kind::Size(-1, INT), Some("32768"), Medium, Implemented,
        "The socket's receive buffer; -1 leaves it to the operating system"),
    key("reconnect.backoff.max.ms", Kind::Millis(0, LONG), Some("1000"), Low, Implemented,
        "Longest pause between attempts to connect to a broker"),
    key("reconnect.backoff.ms", Kind::Millis(0, LONG), Some("50"), Low, Implemented,
        "First pause between attempts to connect to a broker; it doubles with every failure"),
    key("request.timeout.ms", Kind::Millis(0, INT), Some("30000"), Medium, Implemented,
        "How long to wait for the answer to a request before it is retried or fails"),
    key("retries", Kind::Int(0, INT), Some("2147483647"), High, Implemented,
        "Attempts after the first; better left alone, with delivery.timeout.ms as the limit"),
    key("retry.backoff.max.ms", Kind::Millis(0, LONG), Some("1000"), Low, Implemented,
        "Longest pause before a retry"),
    key("retry.backoff.ms", Kind::Millis(0, LONG), Some("100"), Low, Implemented,
        "First pause before a retry; it doubles with every failure"),
    key("sasl.client.callback.handler.class", Kind::Class, None, Medium, Implemented,
        "Java class that answers a mechanism's questions"),
    key("sasl.jaas.config", Kind::Password, None, Medium, Implemented,
        "Login module with user name and password or token, in JAAS syntax"),
    key("sasl.kerberos.kinit.cmd", Kind::Text, Some("/usr/bin/kinit"), Low, TICKETS,
        "The kinit command"),
    key("sasl.kerberos.min.time.before.relogin", Kind::Int(i64::MIN, LONG), Some("60000"), Low, TICKETS,
        "Least pause between ticket renewals, in milliseconds"),
    key("sasl.kerberos.service.name", Kind::Text, None, Medium, KERBEROS,
        "First part of the brokers' principals, before their hosts"),
    key("sasl.kerberos.ticket.renew.jitter", Kind::Double(f64::MIN, f64::MAX), Some("0.05"), Low, TICKETS,
        "Share of chance in the time of a ticket's renewal"),
    key("sasl.kerberos.ticket.renew.window.factor", Kind::Double(f64::MIN, f64::MAX), Some("0.8"), Low, TICKETS,
        "Share of a ticket's life after which it is renewed"),
    key("sasl.login.callback.handler.class", Kind::Class, None, Medium, Implemented,
        "Java class that answers the questions of a login"),
    key("sasl.login.class", Kind::Class, None, Medium, Implemented,
        "Java class that does the login"),
    key("sasl.login.connect.timeout.ms", Kind::Millis(i64::MIN, INT), None, Low, Implemented,
        "How long connecting to the token endpoint may take"),
    key("sasl.login.read.timeout.ms", Kind::Millis(i64::MIN, INT), None, Low, Implemented,
        "How long the token endpoint may take to answer"),
    key("sasl.login.refresh.buffer.seconds", Kind::Int(0, 3600), Some("300"), Low, Implemented,
        "Refresh a token at the latest so long before it expires"),
    key("sasl.login.refresh.min.period.seconds", Kind::Int(0, 900), Some("60"), Low, Implemented,
        "Least time between two refreshes of a token"),
    key("sasl.login.refresh.window.factor", Kind::Double(0.5, 1.0), Some("0.8"), Low, Implemented,
        "Share of a token's life after which it is refreshed"),
    key("sasl.login.refresh.window.jitter", Kind::Double(0.0, 0.25), Some("0.05"), Low, Implemented,
        "Share of chance in the time of a token's refresh"),
    key("sasl.login.retry.backoff.max.ms", Kind::Millis(i64::MIN, LONG), Some("10000"), Low, RECONNECTS,
        "Longest pause between attempts at the token endpoint"),
    key("sasl.login.retry.backoff.ms", Kind::Millis(i64::MIN, LONG), Some("100"), Low, RECONNECTS,
        "First pause between attempts at the token endpoint"),
    key("sasl.mechanism", Kind::Text, Some("GSSAPI"), Medium, Implemented,
        "How to log in: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER, GSSAPI"),
    key("sasl.oauthbearer.assertion.algorithm", Kind::OneOfAnyCase(&["RS256", "ES256"]), Some("RS256"), Medium, ASSERTIONS,
        "Algorithm that signs an assertion made here"),
    key("sasl.oauthbearer.assertion.claim.aud", Kind::Text, None, Medium, ASSERTIONS,
        "Audience named in an assertion made here"),
    key("sasl.oauthbearer.assertion.claim.exp.seconds", Kind::Int(0, 86_400), Some("300"), Low, ASSERTIONS,
        "How long an assertion made here is valid"),
    key("sasl.oauthbearer.assertion.claim.iss", Kind::Text, None, Medium, ASSERTIONS,
        "Issuer named in an assertion made here"),
    key("sasl.oauthbearer.assertion.claim.jti.include", Kind::Bool, Some("false"), Medium, ASSERTIONS,
        "Give each assertion made here an id of its own"),
    key("sasl.oauthbearer.assertion.claim.nbf.seconds", Kind::Int(0, 3600), Some("60"), Low, ASSERTIONS,
        "How far back an assertion made here begins to be valid"),
    key("sasl.oauthbearer.assertion.claim.sub", Kind::Text, None, Medium, ASSERTIONS,
        "Subject named in an assertion made here"),
    key("sasl.oauthbearer.assertion.file", Kind::Text, None, Medium, ASSERTIONS,
        "File with an assertion made elsewhere"),
    key("sasl.oauthbearer.assertion.private.key.file", Kind::Text, None, Medium, ASSERTIONS,
        "PEM file of the key that signs assertions"),
    key("sasl.oauthbearer.assertion.private.key.passphrase", Kind::Password, None, Medium, ASSERTIONS,
        "Passphrase of that key"),
    key("sasl.oauthbearer.assertion.template.file", Kind::Text, None, Medium, ASSERTIONS,
        "File with headers and claims that assertions made here start from"),
    key("sasl.oauthbearer.client.credentials.client.id", Kind::Text, None, Medium, Implemented,
        "Client id at the identity provider"),
    key("sasl.oauthbearer.client.credentials.client.secret", Kind::Password, None, Medium, Implemented,
        "Client secret at the identity provider"),
    key("sasl.oauthbearer.clock.skew.seconds", Kind::Int(i64::MIN, INT), Some("30"), Low, BROKER_SIDE,
        "Difference of clocks forgiven when a token is checked"),
    key("sasl.oauthbearer.expected.audience", Kind::List, Some(""), Low, BROKER_SIDE,
        "Audiences one of which a token must be for"),
    key("sasl.oauthbearer.expected.issuer", Kind::Text, None, Low, BROKER_SIDE,
        "Issuer that a token must come from"),
    key("sasl.oauthbearer.header.urlencode", Kind::Bool, Some("false"), Low, Implemented,
        "Encode client id and secret for URLs in the authorization header"),
    key("sasl.oauthbearer.jwks.endpoint.refresh.ms", Kind::Millis(i64::MIN, LONG), Some("3600000"), Low, BROKER_SIDE,
        "How often the keys that tokens are checked with are fetched"),
    key("sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms", Kind::Millis(i64::MIN, LONG), Some("10000"), Low, BROKER_SIDE,
        "Longest pause between attempts to fetch those keys"),
    key("sasl.oauthbearer.jwks.endpoint.retry.backoff.ms", Kind::Millis(i64::MIN, LONG), Some("100"), Low, BROKER_SIDE,
        "First pause between attempts to fetch those keys"),
    key("sasl.oauthbearer.jwks.endpoint.url", Kind::Text, None, Medium, BROKER_SIDE,
        "Where the keys that tokens are checked with come from"),
    key("sasl.oauthbearer.jwt.retriever.class", Kind::Class,
        Some("org.apache.kafka.common.security.oauthbearer.DefaultJwtRetriever"), Medium, JAVA_TOKENS,
        "Java class that fetches tokens"),
    key("sasl.oauthbearer.jwt.validator.class", Kind::Class,
        Some("org.apache.kafka.common.security.oauthbearer.DefaultJwtValidator"), Medium, JAVA_TOKENS,
        "Java class that checks tokens"),
    key("sasl.oauthbearer.scope", Kind::Text, None, Medium, Implemented,
        "Scope asked for with a token"),
    key("sasl.oauthbearer.scope.claim.name", Kind::Text, Some("scope"), Low, BROKER_SIDE,
        "Claim of a token that carries its scope"),
    key("sasl.oauthbearer.sub.claim.name", Kind::Text, Some("sub"), Low, Implemented,
        "Claim of a token that carries its subject"),
    key("sasl.oauthbearer.token.endpoint.url", Kind::Text, None, Medium, Implemented,
        "Where tokens come from: a URL, or a file"),
    key("security.protocol", Kind::OneOfAnyCase(&["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]), Some("PLAINTEXT"),
        Medium, Implemented,
        "Whether connections use TLS, a login, both or neither"),
    key("security.providers", Kind::Text, None, Low, Accepted("it names Java security providers"),
        "Java classes that bring security algorithms"),
    key("send.buffer.bytes", Kind::Size(-1, INT), Some("131072"), Medium, Implemented,
        "The socket's send buffer; -1 leaves it to the operating system"),
    key("socket.connection.setup.timeout.max.ms", Kind::Millis(i64::MIN, LONG), Some("30000"), Medium, Implemented,
        "Longest wait for a connection to be made"),
    key("socket.connection.setup.timeout.ms", Kind::Millis(i64::MIN, LONG), Some("10000"), Medium, Implemented,
        "First wait for a connection to be made; it doubles with every failure"),
    key("ssl.cipher.suites", Kind::List, Some(""), Low, Implemented,
        "Cipher suites allowed; all if left out"),
    key("ssl.enabled.protocols", Kind::List, Some("TLSv1.2,TLSv1.3"), Medium, Implemented,
        "TLS versions allowed"),
    key("ssl.endpoint.identification.algorithm", Kind::Text, Some("https"), Low, Implemented,
        "https checks that a certificate is for the broker's name; empty does not"),
    key("ssl.engine.factory.class", Kind::Class, None, Low, Implemented,
        "Java class that makes TLS engines"),
    key("ssl.key.password", Kind::Password, None, High, Implemented,
        "Password of the private key"),
    key("ssl.keymanager.algorithm", Kind::Text, Some("SunX509"), Low, JAVA_TLS,
        "Algorithm of Java's key manager"),
    key("ssl.keystore.certificate.chain", Kind::Password, None, High, Implemented,
        "This client's certificate chain as PEM text"),
    key("ssl.keystore.key", Kind::Password, None, High, Implemented,
        "This client's private key as PEM text"),
    key("ssl.keystore.location", Kind::Text, None, High, Implemented,
        "File with this client's key and certificate"),
    key("ssl.keystore.password", Kind::Password, None, High, Implemented,
        "Password of that file"),
    key("ssl.keystore.type", Kind::Text, Some("JKS"), Medium, Implemented,
        "Format of that file: PEM, PKCS12, or JKS, which means what the file itself says"),
    key("ssl.protocol", Kind::Text, Some("TLSv1.3"), Medium, Implemented,
        "The newest TLS version to offer"),
    key("ssl.provider", Kind::Text, None, Medium, JAVA_TLS,
        "Java security provider for TLS"),
    key("ssl.secure.random.implementation", Kind::Text, None, Low, JAVA_TLS,
        "Java's source of randomness for TLS"),
    key("ssl.trustmanager.algorithm", Kind::Text, Some("PKIX"), Low, JAVA_TLS,
        "Algorithm of Java's trust manager"),
    key("ssl.truststore.certificates", Kind::Password, None, High, Implemented,
        "Trusted certificates as PEM text"),
    key("ssl.truststore.location", Kind::Text, None, High, Implemented,
        "File with trusted certificates; the operating system's own if left out"),
    key("ssl.truststore.password", Kind::Password, None, High, Implemented,
        "Password of that file"),
    key("ssl.truststore.type", Kind::Text, Some("JKS"), Medium, Implemented,
        "Format of that file: PEM, PKCS12, or JKS, which means what the file itself says"),
    key("transaction.timeout.ms", Kind::Millis(1, INT), Some("60000"), Low, Implemented,
        "How long a transaction may stay open before the broker aborts it; brokers allow up to transaction.max.timeout.ms"),
    key("transaction.two.phase.commit.enable", Kind::Bool, Some("false"), Low, NotYet("two-phase commit (KIP-939)"),
        "Leave the end of a transaction to an outside coordinator, without a time limit"),
    key("transactional.id", Kind::Text, None, Low, Implemented,
        "The name under which transactions survive a restart; setting it means that records are sent in transactions only"),
    key("value.serializer", Kind::Class, Some("bytes"), High, Implemented,
        "What turns values into bytes: a built-in name or wasm:NAME"),
    // Newer than 4.3.
    key("bootstrap.resolve.timeout.ms", Kind::Millis(0, LONG), Some("120000"), Low, NotYet("a key of Kafka after 4.3"),
        "How long resolving the names of bootstrap.servers may take"),
    key("buffer.memory.allocation.strategy", Kind::OneOfAnyCase(&["full", "incremental"]), Some("full"), Low,
        Accepted("batch buffers always grow in steps"),
        "Take a batch's whole memory at once, or as it fills"),
    key("client.rack", Kind::Text, Some(""), Low, NotYet("rack-aware placement (Kafka after 4.3)"),
        "The rack or zone this producer runs in"),
    key("partitioner.rack.aware", Kind::Bool, Some("false"), Low, NotYet("rack-aware placement (Kafka after 4.3)"),
        "Prefer partitions led in this producer's rack"),
    // Our own.
    key("batch.size.max", Kind::Size(0, INT), None, Medium, Implemented,
        "Bytes that a batch may grow to instead of waiting, full, for a broker that is behind (not compressed, nor with acks=0); left out, batch.size where that is set, else 64 KiB"),
    key("sasl.oauthbearer.token", Kind::Password, None, Medium, Implemented,
        "The token itself, for those who have one"),
    key("lanes", Kind::Int(1, 256), Some("1"), Medium, Implemented,
        "Threads that run plugins; a key always keeps to one of them"),
    key("metrics.prometheus.listen", Kind::Text, None, Low, Implemented,
        "Serve the metrics to Prometheus at http://HOST:PORT/metrics; port 0 is any that is free"),
    key("plugin.reload", Kind::Bool, Some("false"), Medium, Implemented,
        "Look at the configuration file and the components that it names once a second, and take over what changes of the plugins, without a restart"),
    key("preset", Kind::OneOf(&["basic", "reliable", "throughput"]), Some("basic"), Medium, Implemented,
        "Values to start from, which every key set here or on the command line overrides"),
    key("statistics.interval.ms", Kind::Millis(0, LONG), Some("0"), Low, Implemented,
        "Log the metrics as a line of JSON this often (target pointsman::statistics, level INFO); 0 never does"),
];

#[rustfmt::skip]
const PLUGIN_KEYS: &[Key] = &[
    key("breaker.cooldown.ms", Kind::Millis(1, LONG), Some("10000"), Low, Implemented,
        "How long the plugin is not called once its breaker has opened; on-error counts meanwhile"),
    key("breaker.failures", Kind::Int(0, INT), Some("10"), Low, Implemented,
        "Calls in a row with traps, timeouts or broken rules, and no success between, that open the breaker; a failed start opens it at once; 0 is never"),
    key("component", Kind::Text, None, High, Implemented,
        "The plugin's .wasm file, relative to the configuration file"),
    key("dead-letter.include.key", Kind::Bool, Some("false"), Low, Implemented,
        "Whether a dead letter carries the record's key"),
    key("dead-letter.include.value", Kind::Bool, Some("false"), Low, Implemented,
        "Whether a dead letter carries the record's value"),
    key("dead-letter.topic", Kind::Text, None, Medium, Implemented,
        "Where on-error = \"dead-letter\" sends letters about records that the plugin failed on"),
    key("memory.max", Kind::Size(64 * 1024, 4 << 30), Some("64 MiB"), Medium, Implemented,
        "Most memory that one instance of the plugin may take"),
    key("on-error", Kind::OneOf(&["fail", "pass", "drop", "fallback", "dead-letter"]), Some("fail"), High, Implemented,
        "What becomes of a record the plugin failed on: its delivery fails, it goes on unchanged, is dropped, is placed by \
         the built-in partitioner (fallback), or a letter about it goes to a topic for such"),
    key("required", Kind::Bool, Some("false"), Medium, Implemented,
        "No record goes past this plugin: on-error may be neither pass nor fallback"),
    key("sha256", Kind::Text, None, Medium, Implemented,
        "SHA-256 of the .wasm file in hex; another file is refused"),
    key("timeout.ms", Kind::Millis(1, INT), Some("50"), Medium, Implemented,
        "How long one call of the plugin may take"),
];

/// Spellings of other Kafka clients (librdkafka and those on top of it), with Kafka's own name.
pub(super) const ALIASES: &[(&str, &str)] = &[
    ("compression.codec", "compression.type"),
    ("enable.gapless.guarantee", "enable.idempotence"),
    ("max.in.flight", "max.in.flight.requests.per.connection"),
    ("message.max.bytes", "max.request.size"),
    ("message.send.max.retries", "retries"),
    ("message.timeout.ms", "delivery.timeout.ms"),
    ("metadata.broker.list", "bootstrap.servers"),
    ("partitioner", "partitioner.class"),
    ("queue.buffering.max.kbytes", "buffer.memory"),
    ("queue.buffering.max.ms", "linger.ms"),
    ("request.required.acks", "acks"),
    ("sasl.kerberos.keytab", "sasl.jaas.config"),
    ("sasl.kerberos.principal", "sasl.jaas.config"),
    ("sasl.mechanisms", "sasl.mechanism"),
    ("sasl.password", "sasl.jaas.config"),
    ("sasl.username", "sasl.jaas.config"),
    ("socket.connection.setup.timeout", "socket.connection.setup.timeout.ms"),
    ("socket.receive.buffer.bytes", "receive.buffer.bytes"),
    ("socket.send.buffer.bytes", "send.buffer.bytes"),
    ("socket.timeout.ms", "request.timeout.ms"),
    ("ssl.ca.location", "ssl.truststore.location"),
    ("ssl.certificate.location", "ssl.keystore.location"),
    ("ssl.key.location", "ssl.keystore.location"),
    ("topic.metadata.refresh.interval.ms", "metadata.max.age.ms"),
];

/// Whether a key belongs to another client (consumer, admin, streams, registry) that shares the file.
pub(super) fn is_foreign(name: &str) -> bool {
    FOREIGN.contains(&name) || FOREIGN_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// Keys of consumers, admin clients, registries and Java's own reporters.
const FOREIGN: &[&str] = &[
    "allow.auto.create.topics",
    "application.id",
    "application.server",
    "auto.commit.interval.ms",
    "auto.include.jmx.reporter",
    "auto.offset.reset",
    "auto.register.schemas",
    "bootstrap.controllers",
    "check.crcs",
    "default.api.timeout.ms",
    "default.key.serde",
    "default.value.serde",
    "enable.auto.commit",
    "exclude.internal.topics",
    "group.id",
    "group.instance.id",
    "group.protocol",
    "group.remote.assignor",
    "heartbeat.interval.ms",
    "isolation.level",
    "key.converter",
    "key.deserializer",
    "key.subject.name.strategy",
    "max.partition.fetch.bytes",
    "max.poll.interval.ms",
    "max.poll.records",
    "normalize.schemas",
    "num.stream.threads",
    "partition.assignment.strategy",
    "processing.guarantee",
    "session.timeout.ms",
    "state.dir",
    "use.latest.version",
    "value.converter",
    "value.deserializer",
    "value.subject.name.strategy",
];

/// The families of such keys.
const FOREIGN_PREFIXES: &[&str] = &[
    "admin.",
    "basic.auth.",
    "bearer.auth.",
    "confluent.",
    "consumer.",
    "fetch.",
    "group.",
    "json.",
    "main.consumer.",
    "metrics.context.",
    "metrics.jmx.",
    "schema.registry.",
    "share.",
    "specific.avro.",
    "streams.",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_appears_once_and_kafka_s_own_are_all_there() {
        let mut names: Vec<_> = KEYS.iter().map(|key| key.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), KEYS.len());
        // 4.3.0's ConfigDef has 113 names; four keys are newer and seven our own.
        assert_eq!(KEYS.len(), JAVA_KEYS + 4 + 7);
    }

    #[test]
    fn no_foreign_key_or_alias_is_one_of_ours() {
        for key in KEYS {
            assert!(!is_foreign(key.name), "{}", key.name);
            assert!(ALIASES.iter().all(|(alias, _)| *alias != key.name), "{}", key.name);
        }
        for (_, name) in ALIASES {
            assert!(Key::find(name).is_some(), "{name}");
        }
    }

    #[test]
    fn each_key_has_one_line_of_meaning() {
        for key in KEYS.iter().chain(PLUGIN_KEYS) {
            assert!(!key.doc.is_empty() && !key.doc.ends_with('.') && !key.doc.contains('\n'), "{}", key.name);
        }
    }

    #[test]
    fn kinds_say_their_ranges() {
        assert_eq!(Key::find("linger.ms").unwrap().kind.to_string(), "number, at least 0 ms");
        assert_eq!(Key::find("compression.lz4.level").unwrap().kind.to_string(), "number, 1 to 17");
        assert_eq!(Key::find("acks").unwrap().kind.to_string(), "all | -1 | 0 | 1");
        assert_eq!(Key::find("connections.max.idle.ms").unwrap().kind.to_string(), "number ms");
    }

    const JAVA_KEYS: usize = 113;
}
