//! The cluster, for questions about topics.

use super::nearest::nearest;
use anyhow::{Result, anyhow};
use pointsman::config::{DnsLookup, ProducerConfig};
use pointsman::net::admin::{AdminError, BlockingAdmin};
use pointsman::net::{NetConfig, Secured, SystemNames, canonical_servers};
use pointsman::protocol::codec::create_topics::NewTopic;
use std::fmt;
use std::time::Duration;

/// The bootstrap servers, and a connection to one of them as soon as it is needed.
pub(super) struct Servers {
    servers: Vec<(String, u16)>,
    config: NetConfig,
    request_timeout: Duration,
    admin: Option<BlockingAdmin>,
}

impl Servers {
    pub(super) fn new(config: &ProducerConfig) -> Result<Servers> {
        let bytes = |bytes: Option<usize>| bytes.map(|bytes| u32::try_from(bytes).unwrap_or(u32::MAX));
        let default = NetConfig::default();
        let servers: Vec<_> =
            config.bootstrap_servers.iter().map(|server| (server.host.clone(), server.port)).collect();
        let servers = match config.client_dns_lookup {
            DnsLookup::UseAllDnsIps => servers,
            // Who cannot be resolved is named when it is connected to.
            DnsLookup::ResolveCanonicalBootstrapServersOnly => {
                canonical_servers(&servers, &SystemNames).unwrap_or(servers)
            }
        };
        Ok(Servers {
            servers,
            config: NetConfig {
                client_id: config.client_id.clone().unwrap_or(default.client_id),
                send_buffer_bytes: bytes(config.send_buffer_bytes),
                receive_buffer_bytes: bytes(config.receive_buffer_bytes),
                setup_timeout: config.socket_connection_setup_timeout,
                setup_timeout_max: config.socket_connection_setup_timeout_max,
                names: default.names,
                security: Secured::load(&config.security)?,
                windows: default.windows,
            },
            request_timeout: config.request_timeout,
            admin: None,
        })
    }

    /// A connection: the one there is, or a new one to the first server that answers.
    pub(super) fn admin(&mut self) -> Result<&mut BlockingAdmin> {
        let admin = match self.admin.take() {
            Some(admin) => admin,
            None => {
                let connected = BlockingAdmin::connect(&self.servers, self.config.clone(), self.request_timeout);
                connected.map_err(|error| match error {
                    AdminError::Unreachable(causes) => anyhow!("no broker can be reached: {causes}"),
                    error => error.into(),
                })?
            }
        };
        Ok(self.admin.insert(admin))
    }

    /// Whether a topic is there.
    pub(super) fn has(&mut self, topic: &str) -> Result<bool> {
        Ok(self.admin()?.missing_topics(&[topic])?.is_empty())
    }

    /// The topic that was perhaps meant by a name that is none's. Only a help: who cannot be asked is left in peace.
    pub(super) fn nearest(&mut self, topic: &str) -> Option<String> {
        let names = self.admin().ok()?.topic_names().ok()?;
        nearest(topic, names.iter().map(String::as_str)).map(str::to_owned)
    }

    /// Creates a topic.
    pub(super) fn create_topic(&mut self, topic: NewTopic, may_exist: bool) -> Result<()> {
        let admin = self.admin()?;
        for topic in admin.create_topics(vec![topic])? {
            admin.created(&topic, may_exist)?;
        }
        Ok(())
    }
}

impl fmt::Display for Servers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (host, port)) in self.servers.iter().enumerate() {
            let comma = if at > 0 { "," } else { "" };
            // An IPv6 address needs its brackets.
            if host.contains(':') { write!(f, "{comma}[{host}]:{port}")? } else { write!(f, "{comma}{host}:{port}")? }
        }
        Ok(())
    }
}

/// The number of partitions or replicas that leaves it to the broker.
pub(super) const BROKER_DEFAULT: i32 = -1;
