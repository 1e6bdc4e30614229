//! Kafka's producer keys as types.

use super::error::{Place, Problem, ProblemKind};
use super::keys::{Key, keys};
use super::security;
use super::topics::ChainConfig;
use super::value::{self, Value, quote};
use crate::security::Security;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;
use std::time::Duration;

/// The producer's settings: every key that does something here, with its default where nothing was set.
///
/// Times are at most a hundred years, so that adding one to a clock cannot overflow.
#[derive(Clone, Debug, PartialEq)]
pub struct ProducerConfig {
    /// `bootstrap.servers`: required, at least one, none twice.
    pub bootstrap_servers: Vec<HostPort>,
    /// `client.dns.lookup`, default `use_all_dns_ips`.
    pub client_dns_lookup: DnsLookup,
    /// `client.id`, default none: the producer calls itself `producer-N`, or after its `transactional.id`.
    pub client_id: Option<String>,
    /// `acks`, default `all`.
    pub acks: Acks,
    /// `retries`, default 2147483647.
    pub retries: u32,
    /// `delivery.timeout.ms`, default 120000; never below `linger` plus `request_timeout`.
    pub delivery_timeout: Duration,
    /// `request.timeout.ms`, default 30000.
    pub request_timeout: Duration,
    /// `max.block.ms`, default 60000.
    pub max_block: Duration,
    /// `linger.ms`, default 5.
    pub linger: Duration,
    /// `batch.size`, default 16384; 0 sends every record by itself.
    pub batch_size: usize,
    /// `batch.size.max`, a key of our own: bytes that a batch may grow to instead of waiting, full, for a broker that is
    /// behind. Default `batch_size` where that is set, else 64 KiB; who changes that one here changes this one, too.
    pub batch_size_max: usize,
    /// `buffer.memory`, default 32 MiB.
    pub buffer_memory: usize,
    /// `max.request.size`, default 1 MiB.
    pub max_request_size: usize,
    /// `max.in.flight.requests.per.connection`, default 5; at least 1, and at most 5 with idempotence.
    pub max_in_flight_requests_per_connection: usize,
    /// `enable.idempotence`, default true; off as well where `acks` or `retries` rule it out. Without it a record whose
    /// acknowledgement was lost is written a second time by the retry, and with more than one request in flight a retry
    /// may come behind later records.
    pub enable_idempotence: bool,
    /// `transactional.id`, default none: no transactions. Not empty, and only with idempotence.
    pub transactional_id: Option<String>,
    /// `transaction.timeout.ms`, default 60000.
    pub transaction_timeout: Duration,
    /// `compression.type`, default `none`.
    pub compression_type: CompressionType,
    /// `compression.gzip.level`, default -1 (gzip's own choice), else 1 to 9.
    pub compression_gzip_level: i32,
    /// `compression.lz4.level`, default 9; 1 to 17.
    pub compression_lz4_level: i32,
    /// `compression.zstd.level`, default 3; -131072 to 22.
    pub compression_zstd_level: i32,
    /// `partitioner.class`, default the built-in one.
    pub partitioner_class: PartitionerClass,
    /// `partitioner.adaptive.partitioning.enable`, default true.
    pub partitioner_adaptive_partitioning_enable: bool,
    /// `partitioner.availability.timeout.ms`, default 0: none, no partition is avoided.
    pub partitioner_availability_timeout: Option<Duration>,
    /// `partitioner.ignore.keys`, default false.
    pub partitioner_ignore_keys: bool,
    /// `key.serializer`, default bytes.
    pub key_serializer: SerializerClass,
    /// `value.serializer`, default bytes.
    pub value_serializer: SerializerClass,
    /// `interceptor.classes`, default none; in the order of their calls, none twice.
    pub interceptor_classes: Vec<InterceptorClass>,
    /// `retry.backoff.ms`, default 100.
    pub retry_backoff: Duration,
    /// `retry.backoff.max.ms`, default 1000; if it is the smaller one, every pause is so long.
    pub retry_backoff_max: Duration,
    /// `reconnect.backoff.ms`, default 50.
    pub reconnect_backoff: Duration,
    /// `reconnect.backoff.max.ms`, default 1000, or `reconnect.backoff.ms` where only that is set.
    pub reconnect_backoff_max: Duration,
    /// `socket.connection.setup.timeout.ms`, default 10000.
    pub socket_connection_setup_timeout: Duration,
    /// `socket.connection.setup.timeout.max.ms`, default 30000; if it is the smaller one, every wait is so long.
    pub socket_connection_setup_timeout_max: Duration,
    /// `connections.max.idle.ms`, default 540000; none (a negative number): idle connections stay open.
    pub connections_max_idle: Option<Duration>,
    /// `send.buffer.bytes`, default 131072; none (-1): the operating system's choice.
    pub send_buffer_bytes: Option<usize>,
    /// `receive.buffer.bytes`, default 32768; none (-1): the operating system's choice.
    pub receive_buffer_bytes: Option<usize>,
    /// `metadata.max.age.ms`, default 300000.
    pub metadata_max_age: Duration,
    /// `metadata.max.idle.ms`, default 300000; at least 5000.
    pub metadata_max_idle: Duration,
    /// `metadata.recovery.strategy`, default `rebootstrap`.
    pub metadata_recovery_strategy: MetadataRecoveryStrategy,
    /// `metadata.recovery.rebootstrap.trigger.ms`, default 300000.
    pub metadata_recovery_rebootstrap_trigger: Duration,
    /// `security.protocol` with the `ssl.*` and `sasl.*` keys that it needs, default `PLAINTEXT`.
    pub security: Security,
    /// `metrics.sample.window.ms`, default 30000.
    pub metrics_sample_window: Duration,
    /// `metrics.num.samples`, default 2.
    pub metrics_num_samples: usize,
    /// `lanes`, default 1; a key of our own.
    pub lanes: usize,
    /// `plugin.reload`, default false; a key of our own.
    pub plugin_reload: bool,
    /// `metrics.prometheus.listen`, default none; a key of our own. The host and port are as written: the port may be 0.
    pub metrics_prometheus_listen: Option<String>,
    /// `statistics.interval.ms`, default none (0); a key of our own.
    pub statistics_interval: Option<Duration>,
}

/// A broker's address as it is written: a name or an IP address, and a port.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HostPort {
    /// The name or address; an IPv6 address without its brackets.
    pub host: String,
    /// The port, 1 to 65535.
    pub port: u16,
}

/// `client.dns.lookup`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum DnsLookup {
    /// `use_all_dns_ips`: every address of a name is tried in turn.
    #[default]
    UseAllDnsIps,
    /// `resolve_canonical_bootstrap_servers_only`: bootstrap names are first turned into their canonical ones.
    ResolveCanonicalBootstrapServersOnly,
}

/// `acks`: who must have a record before it counts as delivered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Acks {
    /// `all` or `-1`: every in-sync replica.
    #[default]
    All,
    /// `1`: the leader.
    Leader,
    /// `0`: no one; brokers don't answer.
    None,
}

/// `compression.type`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum CompressionType {
    /// `none`
    #[default]
    None,
    /// `gzip`
    Gzip,
    /// `snappy`
    Snappy,
    /// `lz4`
    Lz4,
    /// `zstd`
    Zstd,
}

/// `partitioner.class`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum PartitionerClass {
    /// Not set, or `built-in`: the hash of the key, else sticky and adaptive.
    #[default]
    BuiltIn,
    /// `round-robin`, or Java's `org.apache.kafka.clients.producer.RoundRobinPartitioner`.
    RoundRobin,
    /// `wasm:NAME`: the plugin of that name.
    Wasm(String),
}

/// `key.serializer` or `value.serializer`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum SerializerClass {
    /// `bytes`: as they are.
    #[default]
    Bytes,
    /// `string`: text as UTF-8.
    String,
    /// `integer`: 32 bits, big-endian.
    Integer,
    /// `long`: 64 bits, big-endian.
    Long,
    /// `short`: 16 bits, big-endian.
    Short,
    /// `float`: 32 bits, big-endian.
    Float,
    /// `double`: 64 bits, big-endian.
    Double,
    /// `uuid`: its 36 letters.
    Uuid,
    /// `void`: nothing but null.
    Void,
    /// `json`: checked to be JSON.
    Json,
    /// `wasm:NAME`: the plugin of that name.
    Wasm(String),
}

/// An element of `interceptor.classes`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum InterceptorClass {
    /// `wasm:NAME`: the plugin of that name.
    Wasm(String),
}

/// `metadata.recovery.strategy`: what to do when no known broker can be reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum MetadataRecoveryStrategy {
    /// `rebootstrap`: start again from `bootstrap.servers`.
    #[default]
    Rebootstrap,
    /// `none`: keep to the known brokers.
    None,
}

impl ProducerConfig {
    /// The defaults, with these servers.
    pub fn new(bootstrap_servers: Vec<HostPort>) -> ProducerConfig {
        ProducerConfig { bootstrap_servers, ..ProducerConfig::from_values(&Values::default(), &mut Vec::new()) }
    }

    /// The chain of every topic that has none of its own.
    pub fn chain(&self) -> ChainConfig {
        ChainConfig {
            interceptor_classes: self.interceptor_classes.clone(),
            key_serializer: self.key_serializer.clone(),
            value_serializer: self.value_serializer.clone(),
            partitioner_class: self.partitioner_class.clone(),
        }
    }

    /// Builds the types; what is wrong goes to `problems`, and its default takes its place.
    pub(super) fn from_values(values: &Values, problems: &mut Vec<Problem>) -> ProducerConfig {
        ProducerConfig {
            bootstrap_servers: values.servers(problems),
            client_dns_lookup: match values.text("client.dns.lookup").as_str() {
                "resolve_canonical_bootstrap_servers_only" => DnsLookup::ResolveCanonicalBootstrapServersOnly,
                _ => DnsLookup::UseAllDnsIps,
            },
            client_id: Some(values.text("client.id")).filter(|id| !id.is_empty()),
            acks: match values.text("acks").as_str() {
                "0" => Acks::None,
                "1" => Acks::Leader,
                _ => Acks::All,
            },
            retries: values.number("retries"),
            delivery_timeout: values.millis("delivery.timeout.ms"),
            request_timeout: values.millis("request.timeout.ms"),
            max_block: values.millis("max.block.ms"),
            linger: values.millis("linger.ms"),
            batch_size: values.number("batch.size"),
            batch_size_max: match (values.place("batch.size.max"), values.place("batch.size")) {
                (Some(_), _) => values.number("batch.size.max"),
                (None, Some(_)) => values.number("batch.size"),
                (None, None) => BATCH_SIZE_MAX,
            },
            buffer_memory: values.number("buffer.memory"),
            max_request_size: values.number("max.request.size"),
            max_in_flight_requests_per_connection: values.number("max.in.flight.requests.per.connection"),
            enable_idempotence: values.truth("enable.idempotence"),
            transactional_id: Some(values.text("transactional.id")).filter(|id| !id.is_empty()),
            transaction_timeout: values.millis("transaction.timeout.ms"),
            compression_type: match values.text("compression.type").as_str() {
                "gzip" => CompressionType::Gzip,
                "snappy" => CompressionType::Snappy,
                "lz4" => CompressionType::Lz4,
                "zstd" => CompressionType::Zstd,
                _ => CompressionType::None,
            },
            compression_gzip_level: values.gzip_level(problems),
            compression_lz4_level: values.number("compression.lz4.level"),
            compression_zstd_level: values.number("compression.zstd.level"),
            partitioner_class: values.partitioner(problems),
            partitioner_adaptive_partitioning_enable: values.truth("partitioner.adaptive.partitioning.enable"),
            partitioner_availability_timeout: Some(values.millis("partitioner.availability.timeout.ms"))
                .filter(|timeout| !timeout.is_zero()),
            partitioner_ignore_keys: values.truth("partitioner.ignore.keys"),
            key_serializer: values.serializer("key.serializer", problems),
            value_serializer: values.serializer("value.serializer", problems),
            interceptor_classes: values.interceptors(problems),
            retry_backoff: values.millis("retry.backoff.ms"),
            retry_backoff_max: values.millis("retry.backoff.max.ms"),
            reconnect_backoff: values.millis("reconnect.backoff.ms"),
            reconnect_backoff_max: values.millis("reconnect.backoff.max.ms"),
            socket_connection_setup_timeout: values.millis("socket.connection.setup.timeout.ms"),
            socket_connection_setup_timeout_max: values.millis("socket.connection.setup.timeout.max.ms"),
            connections_max_idle: (values.int("connections.max.idle.ms") >= 0)
                .then(|| values.millis("connections.max.idle.ms")),
            send_buffer_bytes: usize::try_from(values.int("send.buffer.bytes")).ok(),
            receive_buffer_bytes: usize::try_from(values.int("receive.buffer.bytes")).ok(),
            metadata_max_age: values.millis("metadata.max.age.ms"),
            metadata_max_idle: values.millis("metadata.max.idle.ms"),
            metadata_recovery_strategy: match values.text("metadata.recovery.strategy").as_str() {
                "none" => MetadataRecoveryStrategy::None,
                _ => MetadataRecoveryStrategy::Rebootstrap,
            },
            metadata_recovery_rebootstrap_trigger: values.millis("metadata.recovery.rebootstrap.trigger.ms"),
            security: security::from_values(values, problems),
            metrics_sample_window: values.millis("metrics.sample.window.ms"),
            metrics_num_samples: values.number("metrics.num.samples"),
            lanes: values.number("lanes"),
            plugin_reload: values.truth("plugin.reload"),
            metrics_prometheus_listen: values.listen_address(problems),
            statistics_interval: Some(values.millis("statistics.interval.ms")).filter(|interval| !interval.is_zero()),
        }
    }
}

/// The place in the chain that uses a plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PluginUse {
    /// `interceptor.classes`
    Interceptor,
    /// `key.serializer`
    KeySerializer,
    /// `value.serializer`
    ValueSerializer,
    /// `partitioner.class`
    Partitioner,
}

impl PluginUse {
    /// The key that says so.
    pub fn key(self) -> &'static str {
        match self {
            PluginUse::Interceptor => "interceptor.classes",
            PluginUse::KeySerializer => "key.serializer",
            PluginUse::ValueSerializer => "value.serializer",
            PluginUse::Partitioner => "partitioner.class",
        }
    }
}

impl Acks {
    /// The number in the Produce request.
    pub fn code(self) -> i16 {
        match self {
            Acks::All => -1,
            Acks::Leader => 1,
            Acks::None => 0,
        }
    }
}

impl CompressionType {
    /// The name, as in `compression.type`.
    pub fn name(self) -> &'static str {
        match self {
            CompressionType::None => "none",
            CompressionType::Gzip => "gzip",
            CompressionType::Snappy => "snappy",
            CompressionType::Lz4 => "lz4",
            CompressionType::Zstd => "zstd",
        }
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl FromStr for HostPort {
    type Err = String;

    /// `host:port`, `[IPv6]:port`, and as in Java also `PLAINTEXT://host:port` and an IPv6 address without brackets.
    fn from_str(text: &str) -> Result<HostPort, String> {
        let address = match text.split_once("://") {
            Some(("PLAINTEXT", address)) => address,
            Some((scheme, address)) => {
                return Err(format!("leave out {scheme}:// and write {}", quote(address.trim_end_matches('/'))));
            }
            None => text,
        };
        let (host, port) = address.rsplit_once(':').ok_or("the port is missing; Kafka's usual one is 9092")?;
        let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let plain = bracketed.unwrap_or(host);
        if bracketed.is_some() || plain.contains(':') {
            let (ip, zone) = plain.split_once('%').unwrap_or((plain, "0"));
            if ip.parse::<Ipv6Addr>().is_err() || zone.is_empty() {
                return Err("the part in front of the port is not an IPv6 address; write [::1]:9092".into());
            }
        } else if plain.is_empty() {
            return Err("the host is missing".into());
        } else if !plain.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte)) {
            return Err("a host has letters, digits, dots, hyphens and underscores only".into());
        }
        // Not `parse` alone: it takes a plus sign.
        let port = if port.bytes().all(|byte| byte.is_ascii_digit()) { port.parse().unwrap_or(0) } else { 0 };
        if port == 0 {
            return Err("the port must be a number from 1 to 65535".into());
        }
        Ok(HostPort { host: plain.to_owned(), port })
    }
}

/// The valid values that were set, by key; a key that is not here has its default.
#[derive(Default)]
pub(super) struct Values {
    pub(super) set: BTreeMap<&'static str, (Value, Place)>,
    /// Keys whose value a provider gave: it may be a secret, whatever the key.
    pub(super) provided: BTreeSet<&'static str>,
}

impl Values {
    /// Where a key was set, if it was.
    pub(super) fn place(&self, name: &str) -> Option<&Place> {
        self.set.get(name).map(|(_, place)| place)
    }

    pub(super) fn value(&self, name: &'static str) -> Value {
        match self.set.get(name) {
            Some((value, _)) => value.clone(),
            None => value::default(in_table(name)),
        }
    }

    pub(super) fn int(&self, name: &'static str) -> i64 {
        match self.value(name) {
            Value::Int(number) => number,
            _ => unreachable!("{name} is no number in the key table"),
        }
    }

    pub(super) fn text(&self, name: &'static str) -> String {
        match &mut self.value(name) {
            Value::Text(text) => std::mem::take(text),
            _ => unreachable!("{name} is no text in the key table"),
        }
    }

    pub(super) fn list(&self, name: &'static str) -> Vec<String> {
        match &mut self.value(name) {
            Value::List(items) => std::mem::take(items),
            _ => unreachable!("{name} is no list in the key table"),
        }
    }

    pub(super) fn double(&self, name: &'static str) -> f64 {
        match self.value(name) {
            Value::Double(number) => number,
            _ => unreachable!("{name} is no decimal number in the key table"),
        }
    }

    pub(super) fn truth(&self, name: &'static str) -> bool {
        self.value(name) == Value::Bool(true)
    }

    /// A number whose range in the table fits the type; a larger one is as good as the largest.
    fn number<T: TryFrom<i64> + Bounded>(&self, name: &'static str) -> T {
        T::try_from(self.int(name)).unwrap_or(T::LARGEST)
    }

    /// A time; below zero (which Java takes for a few keys) is zero.
    pub(super) fn millis(&self, name: &'static str) -> Duration {
        let millis = u64::try_from(self.int(name)).unwrap_or(0);
        Duration::from_millis(millis).min(CENTURY)
    }

    fn servers(&self, problems: &mut Vec<Problem>) -> Vec<HostPort> {
        let mut servers = Vec::new();
        for text in self.list("bootstrap.servers") {
            match text.parse::<HostPort>() {
                Ok(server) if servers.contains(&server) => {}
                Ok(server) => servers.push(server),
                Err(why) => {
                    let what = format!("{} is not host:port", quote(&text));
                    self.refuse("bootstrap.servers", what, why, problems);
                }
            }
        }
        servers
    }

    /// `host:port`, where the port may be 0.
    fn listen_address(&self, problems: &mut Vec<Problem>) -> Option<String> {
        let key = "metrics.prometheus.listen";
        let text = self.text(key);
        let (host, port) = text.rsplit_once(':').unwrap_or((&text, ""));
        if text.is_empty() || !host.is_empty() && port.parse::<u16>().is_ok() {
            return Some(text).filter(|text| !text.is_empty());
        }
        let what = format!("{} is not host:port", quote(&text));
        self.refuse(key, what, "write it like 127.0.0.1:9100, or [::]:9100 for every address".to_owned(), problems);
        None
    }

    fn gzip_level(&self, problems: &mut Vec<Problem>) -> i32 {
        let level = self.number("compression.gzip.level");
        if level == 0 {
            let help = "it takes 1 to 9, or -1 for gzip's own choice".to_owned();
            self.refuse("compression.gzip.level", "0 is out of range".into(), help, problems);
        }
        level
    }

    pub(super) fn partitioner(&self, problems: &mut Vec<Problem>) -> PartitionerClass {
        let class = self.text("partitioner.class");
        let help = match class.as_str() {
            "" | "built-in" => return PartitionerClass::BuiltIn,
            "round-robin" | "RoundRobinPartitioner" | "org.apache.kafka.clients.producer.RoundRobinPartitioner" => {
                return PartitionerClass::RoundRobin;
            }
            other => match other.strip_prefix("wasm:") {
                Some("") => NO_PLUGIN_NAME.to_owned(),
                Some(name) => return PartitionerClass::Wasm(name.to_owned()),
                None if other.ends_with("DefaultPartitioner") => {
                    "Kafka 4 no longer has it; leave partitioner.class out for the built-in one".to_owned()
                }
                None if other.ends_with("UniformStickyPartitioner") => {
                    "Kafka 4 no longer has it; leave partitioner.class out and set partitioner.ignore.keys=true"
                        .to_owned()
                }
                None => format!(
                    "leave it out for the built-in one, or write round-robin, or wasm:NAME with a [plugins.NAME] table{}",
                    java_class_hint(other)
                ),
            },
        };
        self.refuse("partitioner.class", format!("{} is no known partitioner", quote(&class)), help, problems);
        PartitionerClass::BuiltIn
    }

    pub(super) fn serializer(&self, name: &'static str, problems: &mut Vec<Problem>) -> SerializerClass {
        let class = self.text(name);
        let short = match class.strip_prefix("org.apache.kafka.common.serialization.") {
            Some(short) => short,
            None if class == "org.apache.kafka.connect.json.JsonSerializer" => "json",
            None => class.as_str(),
        };
        let help = match short {
            "bytes" | "ByteArraySerializer" | "ByteBufferSerializer" | "BytesSerializer" => {
                return SerializerClass::Bytes;
            }
            "string" | "StringSerializer" => return SerializerClass::String,
            "integer" | "IntegerSerializer" => return SerializerClass::Integer,
            "long" | "LongSerializer" => return SerializerClass::Long,
            "short" | "ShortSerializer" => return SerializerClass::Short,
            "float" | "FloatSerializer" => return SerializerClass::Float,
            "double" | "DoubleSerializer" => return SerializerClass::Double,
            "uuid" | "UUIDSerializer" => return SerializerClass::Uuid,
            "void" | "VoidSerializer" => return SerializerClass::Void,
            "json" => return SerializerClass::Json,
            other => match other.strip_prefix("wasm:") {
                Some("") => NO_PLUGIN_NAME.to_owned(),
                Some(plugin) => return SerializerClass::Wasm(plugin.to_owned()),
                None => format!(
                    "write one of {SERIALIZERS}, or wasm:NAME with a [plugins.NAME] table{}",
                    java_class_hint(other)
                ),
            },
        };
        self.refuse(name, format!("{} is no known serializer", quote(&class)), help, problems);
        SerializerClass::Bytes
    }

    pub(super) fn interceptors(&self, problems: &mut Vec<Problem>) -> Vec<InterceptorClass> {
        let mut interceptors = Vec::new();
        for class in self.list("interceptor.classes") {
            let help = match class.strip_prefix("wasm:") {
                Some("") => NO_PLUGIN_NAME.to_owned(),
                Some(name) => {
                    let interceptor = InterceptorClass::Wasm(name.to_owned());
                    if !interceptors.contains(&interceptor) {
                        interceptors.push(interceptor);
                    }
                    continue;
                }
                None => format!("write wasm:NAME with a [plugins.NAME] table{}", java_class_hint(&class)),
            };
            self.refuse("interceptor.classes", format!("{} is no known interceptor", quote(&class)), help, problems);
        }
        interceptors
    }

    fn refuse(&self, name: &str, what: String, help: String, problems: &mut Vec<Problem>) {
        if let Some(place) = self.place(name) {
            let is_shown = !self.provided.contains(name);
            let (what, help) = if is_shown { (what, help) } else { (NOT_SHOWN.to_owned(), String::new()) };
            problems.push(Problem::new(ProblemKind::InvalidValue, place, Some(name), what).help(help));
        }
    }
}

/// The largest number of a type, for values beyond it.
trait Bounded {
    const LARGEST: Self;
}

impl Bounded for usize {
    const LARGEST: usize = usize::MAX;
}

impl Bounded for u32 {
    const LARGEST: u32 = u32::MAX;
}

impl Bounded for i32 {
    const LARGEST: i32 = i32::MAX;
}

fn in_table(name: &str) -> &'static Key {
    match keys().iter().find(|key| key.name == name) {
        Some(key) => key,
        None => unreachable!("{name} is not in the key table"),
    }
}

/// Said only to those who named a Java class: with a dotted name and a capital in its last part.
fn java_class_hint(class: &str) -> &'static str {
    let last = class.rsplit_once('.').map(|(_, last)| last);
    if last.is_some_and(|last| last.starts_with(|c: char| c.is_ascii_uppercase())) {
        "; a Java class cannot be loaded here, its work must be compiled to a WebAssembly component"
    } else {
        ""
    }
}

/// What an uncompressed batch may grow to where nobody said how large one is to be. Beyond it little is to be won.
const BATCH_SIZE_MAX: usize = 64 * 1024;

/// Long enough for "forever", short enough to add to any clock.
const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

const SERIALIZERS: &str = "string, bytes, integer, long, short, float, double, uuid, void, json";

/// What is said of a wrong value that may be a secret.
pub(super) const NOT_SHOWN: &str = "not a valid value";

const NO_PLUGIN_NAME: &str = "name a plugin after wasm:, and describe it in [plugins.NAME]";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_java_s() {
        let server: HostPort = "a:9092".parse().unwrap();
        let config = ProducerConfig::new(vec![server.clone()]);
        assert_eq!(config.bootstrap_servers, [server]);
        assert_eq!((config.acks, config.acks.code()), (Acks::All, -1));
        assert_eq!(config.retries, 2_147_483_647);
        assert_eq!(config.linger, Duration::from_millis(5));
        assert_eq!(config.delivery_timeout, Duration::from_secs(120));
        assert_eq!((config.batch_size, config.buffer_memory), (16_384, 33_554_432));
        assert_eq!(config.max_request_size, 1_048_576);
        assert!(config.enable_idempotence && config.partitioner_adaptive_partitioning_enable);
        assert_eq!(config.partitioner_availability_timeout, None);
        assert_eq!(config.connections_max_idle, Some(Duration::from_secs(540)));
        assert_eq!((config.send_buffer_bytes, config.receive_buffer_bytes), (Some(131_072), Some(32_768)));
        assert_eq!((config.client_id, config.lanes), (None, 1));
        assert_eq!(config.key_serializer, SerializerClass::Bytes);
    }

    #[test]
    fn addresses() {
        for (text, host, port) in [
            ("localhost:9092", "localhost", 9092),
            ("127.0.0.1:1", "127.0.0.1", 1),
            ("[::1]:9092", "::1", 9092),
            ("::1:9092", "::1", 9092),
            ("[fe80::1%eth0]:65535", "fe80::1%eth0", 65_535),
            ("PLAINTEXT://broker-1.example_x.com:9092", "broker-1.example_x.com", 9092),
        ] {
            assert_eq!(text.parse(), Ok(HostPort { host: host.into(), port }), "{text}");
        }
        for (text, words) in [
            ("localhost", "port is missing"),
            (":9092", "host is missing"),
            ("a:0", "1 to 65535"),
            ("a:65536", "1 to 65535"),
            ("a:+1", "1 to 65535"),
            ("a:", "1 to 65535"),
            ("a b:1", "letters"),
            ("[a]:1", "IPv6"),
            ("::1", "IPv6"),
            ("SSL://a:1", "leave out SSL://"),
            ("http://a:1/", "\"a:1\""),
        ] {
            let error = text.parse::<HostPort>().unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
        assert_eq!("[::1]:9092".parse::<HostPort>().unwrap().to_string(), "[::1]:9092");
    }
}
