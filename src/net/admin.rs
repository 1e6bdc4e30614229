//! Topics, asked for and created: a few requests on a connection of their own. For the command and for tests.

use super::blocking::may_block;
use super::clock::Clock;
use super::config::NetConfig;
use super::connect::{Connected, connect};
use super::frames::FrameBuffer;
use super::handshake::{check_correlation, exchange};
use super::peer::Peer;
use super::sasl;
use super::stream::Stream;
use crate::core::NodeId;
use crate::core::time::Instant;
use crate::protocol::codec::create_topics::{self, CreateTopicsRequest, CreatedTopic, NewTopic};
use crate::protocol::codec::describe_configs::{self, OF_TOPIC};
use crate::protocol::codec::list_offsets::{self, End};
use crate::protocol::codec::metadata::{self, Placement};
use crate::protocol::codec::{DecodeError, EncodeError, Frame};
use crate::protocol::messages::{ApiKey, ApiVersions, MetadataRequest, MetadataResponse};
use crate::protocol::{error_code, versions};
use std::collections::BTreeMap;
use std::io;
use std::time::Duration;
use tokio::time::timeout;

/// Why a topic could not be asked for or created.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AdminError {
    /// None of the brokers that were tried could be talked to; one cause each.
    #[error("{0}")]
    Unreachable(String),
    /// The connection broke, or what came over it made no sense.
    #[error("{broker}: {cause}")]
    Connection {
        /// Which broker.
        broker: String,
        /// What happened.
        cause: String,
    },
    /// The broker does not speak a version of the API that we do.
    #[error("{broker} speaks no version of {api:?} that we do")]
    Version {
        /// Which broker.
        broker: String,
        /// Which API.
        api: ApiKey,
    },
    /// The request cannot be put into bytes.
    #[error(transparent)]
    Request(#[from] EncodeError),
    /// The broker said no.
    #[error("topic {topic}: the broker answered {}{}", error_code::name(*code), message.as_ref().map(|words| format!("; {words}")).unwrap_or_default())]
    Topic {
        /// The topic.
        topic: String,
        /// Kafka's error code.
        code: i16,
        /// The broker's own words.
        message: Option<String>,
    },
    /// The cluster does not allow it.
    #[error("{principal} may not {operation} on {resource}: the broker answered {}", error_code::name(*code))]
    NotAuthorized {
        /// Who we are to brokers, as far as is known here.
        principal: String,
        /// What is not allowed, such as `CREATE`.
        operation: &'static str,
        /// On what: a topic, or the cluster.
        resource: String,
        /// Kafka's error code.
        code: i16,
    },
    /// The cluster has no controller at the moment.
    #[error("the cluster has no controller at the moment")]
    NoController,
}

/// A topic as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicDescription {
    /// Its name.
    pub name: String,
    /// Its id; zeros from brokers that give none.
    pub id: [u8; 16],
    /// By number.
    pub partitions: Vec<PartitionDescription>,
}

/// A partition as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionDescription {
    /// Its number.
    pub index: i32,
    /// The leader's node id; −1 while there is none.
    pub leader: i32,
    /// −1 from brokers that do not say.
    pub leader_epoch: i32,
    /// Where its replicas are.
    pub placement: Placement,
}

/// Where a log begins and ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogEnds {
    /// The offset of the first record that is still there.
    pub begin: i64,
    /// The offset that the next record will have.
    pub end: i64,
}

/// Where the partitions of a topic begin and end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offsets {
    /// By the partition's place in the description; `None` where its leader does not say, or there is none.
    pub ends: Vec<Option<LogEnds>>,
    /// The leaders that could not be asked, and why.
    pub silent: Vec<(i32, AdminError)>,
}

/// A client for topics. See [`BlockingAdmin`] for programs without async.
#[derive(Debug)]
pub struct Admin {
    config: NetConfig,
    request_timeout: Duration,
    session: Session,
}

impl Admin {
    /// Connects to the first bootstrap server that answers.
    ///
    /// # Errors
    /// None does; the error has the cause of each.
    pub async fn connect(
        bootstrap: &[(String, u16)],
        config: NetConfig,
        request_timeout: Duration,
    ) -> Result<Admin, AdminError> {
        let session = Session::any(bootstrap, &config, request_timeout).await?;
        Ok(Admin { config, request_timeout, session })
    }

    /// Creates topics: what became of each, in the order asked for. −1 partitions or replicas are the broker's default.
    ///
    /// # Errors
    /// The cluster cannot be asked. That a topic was refused is in the answer: see [`Admin::created`].
    pub async fn create_topics(&mut self, topics: Vec<NewTopic>) -> Result<Vec<CreatedTopic>, AdminError> {
        let metadata = self.session.metadata(&[]).await?.0;
        let controller = metadata
            .brokers
            .iter()
            .find(|broker| broker.id == metadata.controller_id)
            .ok_or(AdminError::NoController)?;
        let peer = Peer::new(NodeId(controller.id), &controller.host, controller.port);
        let mut controller = Session::open(peer, &self.config, self.request_timeout).await?;
        let request = CreateTopicsRequest {
            topics,
            timeout_ms: i32::try_from(self.request_timeout.as_millis()).unwrap_or(i32::MAX),
            validate_only: false,
        };
        let encode = |version, id, client_id: &str| create_topics::encode(&request, version, id, client_id);
        let mut answered = controller.call(ApiKey::CreateTopics, encode, create_topics::decode).await?;
        answered.sort_by_key(|topic| request.topics.iter().position(|asked| asked.name == topic.name));
        Ok(answered)
    }

    /// Describes topics. None is created by asking.
    ///
    /// # Errors
    /// The cluster cannot be asked, or a topic does not exist.
    pub async fn describe_topics(&mut self, topics: &[&str]) -> Result<Vec<TopicDescription>, AdminError> {
        // A description of no topics is no request for brokers only.
        if topics.is_empty() {
            return Ok(Vec::new());
        }
        let (metadata, placements) = self.session.metadata(topics).await?;
        let mut placements = placements.into_iter();
        let mut described = Vec::with_capacity(metadata.topics.len());
        for topic in metadata.topics {
            let placements = placements.by_ref().take(topic.partitions.len());
            let mut partitions: Vec<_> = topic
                .partitions
                .iter()
                .zip(placements)
                .map(|(partition, placement)| PartitionDescription {
                    index: partition.index,
                    leader: partition.leader,
                    leader_epoch: partition.leader_epoch,
                    placement,
                })
                .collect();
            if topic.error_code != error_code::NONE {
                return Err(self.refusal("DESCRIBE", topic.name, topic.error_code, None));
            }
            partitions.sort_by_key(|partition| partition.index);
            described.push(TopicDescription { name: topic.name, id: topic.id, partitions });
        }
        described.sort_by_key(|topic| topics.iter().position(|asked| *asked == topic.name));
        Ok(described)
    }

    /// Where each partition's log begins and ends. A leader that does not answer leaves its own partitions open.
    ///
    /// # Errors
    /// The cluster cannot be asked for its brokers.
    pub async fn offsets(&mut self, topic: &TopicDescription) -> Result<Offsets, AdminError> {
        let brokers = self.session.metadata(&[]).await?.0.brokers;
        let mut by_leader: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
        for partition in &topic.partitions {
            by_leader.entry(partition.leader).or_default().push(partition.index);
        }
        let mut ends: BTreeMap<i32, LogEnds> = BTreeMap::new();
        let mut silent = Vec::new();
        for (leader, partitions) in by_leader {
            let Some(broker) = brokers.iter().find(|broker| broker.id == leader) else { continue };
            let peer = Peer::new(NodeId(leader), &broker.host, broker.port);
            match self.ask_leader(peer, &topic.name, &partitions).await {
                Ok(told) => ends.extend(told),
                Err(error) => silent.push((leader, error)),
            }
        }
        let ends = topic.partitions.iter().map(|partition| ends.get(&partition.index).copied()).collect();
        Ok(Offsets { ends, silent })
    }

    async fn ask_leader(
        &self,
        leader: Peer,
        topic: &str,
        partitions: &[i32],
    ) -> Result<BTreeMap<i32, LogEnds>, AdminError> {
        let mut session = Session::open(leader, &self.config, self.request_timeout).await?;
        let earliest = session.list_offsets(topic, partitions, End::Earliest).await?;
        let latest = session.list_offsets(topic, partitions, End::Latest).await?;
        let both = |(partition, begin)| Some((partition, LogEnds { begin, end: *latest.get(&partition)? }));
        Ok(earliest.into_iter().filter_map(both).collect())
    }

    /// The settings that were made for a topic, by name; a secret has no value.
    ///
    /// # Errors
    /// The cluster cannot be asked, or refuses to tell.
    pub async fn topic_configs(&mut self, topic: &str) -> Result<Vec<(String, Option<String>)>, AdminError> {
        let encode = |version, id, client_id: &str| describe_configs::encode(topic, version, id, client_id);
        let told = self.session.call(ApiKey::DescribeConfigs, encode, describe_configs::decode).await?;
        if told.error_code != error_code::NONE {
            let (code, message) = (told.error_code, told.error_message);
            return Err(self.refusal("DESCRIBE_CONFIGS", topic.to_owned(), code, message));
        }
        let own = told.configs.into_iter().filter(|config| config.source == OF_TOPIC);
        let mut own: Vec<_> = own.map(|config| (config.name, config.value)).collect();
        own.sort();
        Ok(own)
    }

    /// The names of all topics.
    ///
    /// # Errors
    /// The cluster cannot be asked.
    pub async fn topic_names(&mut self) -> Result<Vec<String>, AdminError> {
        let metadata = self.session.call(ApiKey::Metadata, metadata::encode_all, metadata::decode).await?;
        Ok(metadata.topics.into_iter().map(|topic| topic.name).collect())
    }

    /// Which of these topics the cluster does not know.
    ///
    /// # Errors
    /// The cluster cannot be asked, or refuses to tell of a topic.
    pub async fn missing_topics(&mut self, topics: &[&str]) -> Result<Vec<String>, AdminError> {
        if topics.is_empty() {
            return Ok(Vec::new());
        }
        let mut missing = Vec::new();
        for topic in self.session.metadata(topics).await?.0.topics {
            match topic.error_code {
                error_code::UNKNOWN_TOPIC_OR_PARTITION => missing.push(topic.name),
                error_code::NONE | error_code::LEADER_NOT_AVAILABLE => {}
                code => return Err(self.refusal("DESCRIBE", topic.name, code, None)),
            }
        }
        Ok(missing)
    }

    /// Whether a topic is there now: it was created, or already existed and that is all right.
    ///
    /// # Errors
    /// It was refused.
    pub fn created(&self, topic: &CreatedTopic, may_exist: bool) -> Result<(), AdminError> {
        match topic.error_code {
            error_code::NONE => Ok(()),
            error_code::TOPIC_ALREADY_EXISTS if may_exist => Ok(()),
            code => Err(self.refusal("CREATE", topic.name.clone(), code, topic.error_message.clone())),
        }
    }

    fn refusal(&self, operation: &'static str, topic: String, code: i16, message: Option<String>) -> AdminError {
        let resource = match code {
            error_code::TOPIC_AUTHORIZATION_FAILED => format!("topic {topic}"),
            error_code::CLUSTER_AUTHORIZATION_FAILED => "the cluster".to_owned(),
            _ => return AdminError::Topic { topic, code, message },
        };
        let principal = self.config.security.principal().to_string();
        AdminError::NotAuthorized { principal, operation, resource, code }
    }
}

/// [`Admin`] with a runtime of its own. Not for use inside a runtime.
#[derive(Debug)]
pub struct BlockingAdmin {
    runtime: Background,
    admin: Admin,
}

/// A runtime whose end waits for its threads for so long at most.
#[derive(Debug)]
struct Background(Option<tokio::runtime::Runtime>, Duration);

impl Background {
    fn block_on<F: Future>(&self, work: F) -> F::Output {
        self.0.as_ref().expect("it is there until it is dropped").block_on(work)
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            // Where waiting is forbidden, it is not waited.
            runtime.shutdown_timeout(if may_block() { self.1 } else { Duration::ZERO });
        }
    }
}

impl BlockingAdmin {
    /// See [`Admin::connect`].
    ///
    /// # Errors
    /// As there; or the operating system gives no runtime.
    pub fn connect(
        bootstrap: &[(String, u16)],
        config: NetConfig,
        request_timeout: Duration,
    ) -> Result<BlockingAdmin, AdminError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()
            .map_err(|error: io::Error| AdminError::Unreachable(format!("no runtime: {error}")))?;
        let runtime = Background(Some(runtime), config.security.patience_at_end());
        let admin = runtime.block_on(Admin::connect(bootstrap, config, request_timeout))?;
        Ok(BlockingAdmin { runtime, admin })
    }

    /// See [`Admin::create_topics`].
    ///
    /// # Errors
    /// As there.
    pub fn create_topics(&mut self, topics: Vec<NewTopic>) -> Result<Vec<CreatedTopic>, AdminError> {
        self.runtime.block_on(self.admin.create_topics(topics))
    }

    /// See [`Admin::created`].
    ///
    /// # Errors
    /// As there.
    pub fn created(&self, topic: &CreatedTopic, may_exist: bool) -> Result<(), AdminError> {
        self.admin.created(topic, may_exist)
    }

    /// See [`Admin::describe_topics`].
    ///
    /// # Errors
    /// As there.
    pub fn describe_topics(&mut self, topics: &[&str]) -> Result<Vec<TopicDescription>, AdminError> {
        self.runtime.block_on(self.admin.describe_topics(topics))
    }

    /// See [`Admin::offsets`].
    ///
    /// # Errors
    /// As there.
    pub fn offsets(&mut self, topic: &TopicDescription) -> Result<Offsets, AdminError> {
        self.runtime.block_on(self.admin.offsets(topic))
    }

    /// See [`Admin::topic_configs`].
    ///
    /// # Errors
    /// As there.
    pub fn topic_configs(&mut self, topic: &str) -> Result<Vec<(String, Option<String>)>, AdminError> {
        self.runtime.block_on(self.admin.topic_configs(topic))
    }

    /// See [`Admin::topic_names`].
    ///
    /// # Errors
    /// As there.
    pub fn topic_names(&mut self) -> Result<Vec<String>, AdminError> {
        self.runtime.block_on(self.admin.topic_names())
    }

    /// See [`Admin::missing_topics`].
    ///
    /// # Errors
    /// As there.
    pub fn missing_topics(&mut self, topics: &[&str]) -> Result<Vec<String>, AdminError> {
        self.runtime.block_on(self.admin.missing_topics(topics))
    }
}

/// One connection, one request at a time.
#[derive(Debug)]
struct Session {
    broker: String,
    /// For logins.
    host: String,
    config: NetConfig,
    /// When the login is to be made again (KIP-368): before the next request, however long that is in coming.
    log_in_again: Option<Instant>,
    clock: Clock,
    stream: Stream,
    frames: FrameBuffer,
    versions: ApiVersions,
    request_timeout: Duration,
    next_correlation_id: i32,
}

impl Session {
    async fn any(bootstrap: &[(String, u16)], config: &NetConfig, limit: Duration) -> Result<Session, AdminError> {
        let mut causes = Vec::new();
        for (at, (host, port)) in bootstrap.iter().enumerate() {
            let peer = Peer::new(NodeId(-1 - at as i32), host, *port);
            match Session::open(peer, config, limit).await {
                Ok(session) => return Ok(session),
                Err(error) => causes.push(error.to_string()),
            }
        }
        Err(AdminError::Unreachable(causes.join("; ")))
    }

    async fn open(peer: Peer, config: &NetConfig, request_timeout: Duration) -> Result<Session, AdminError> {
        let connected = connect(&peer, config, config.setup_timeout).await;
        let clock = Clock::new();
        let Connected { stream, versions, login_lasts, host } =
            connected.map_err(|trouble| AdminError::Unreachable(trouble.to_string()))?;
        Ok(Session {
            broker: peer.to_string(),
            host,
            config: config.clone(),
            log_in_again: login_lasts.map(|lasts| clock.now() + sasl::renewal_after(lasts)),
            clock,
            stream,
            frames: FrameBuffer::default(),
            versions,
            request_timeout,
            next_correlation_id: 0,
        })
    }

    async fn keep_logged_in(&mut self) -> Result<(), AdminError> {
        let (Some(due), Some(sasl)) = (self.log_in_again, self.config.security.sasl()) else { return Ok(()) };
        if self.clock.now() < due {
            return Ok(());
        }
        let login = async {
            let prepared = sasl.prepare(&self.host, self.config.setup_timeout).await?;
            sasl.authenticate(&mut self.stream, &self.versions, &self.config.client_id, prepared).await
        };
        let failed = |cause| AdminError::Connection { broker: self.broker.clone(), cause };
        let lasts = match timeout(self.request_timeout, login).await {
            Ok(lasts) => lasts.map_err(|trouble| failed(trouble.to_string()))?,
            Err(_) => {
                let limit = self.request_timeout.as_millis();
                return Err(failed(format!("no answer to a second login within {limit} ms")));
            }
        };
        self.log_in_again = lasts.map(|lasts| self.clock.now() + sasl::renewal_after(lasts));
        Ok(())
    }

    async fn metadata(&mut self, topics: &[&str]) -> Result<(MetadataResponse, Vec<Placement>), AdminError> {
        let topics = topics.iter().map(|topic| (*topic).to_owned()).collect();
        let request = MetadataRequest { topics, allow_auto_topic_creation: false };
        let encode = |version, id, client_id: &str| metadata::encode(&request, version, id, client_id);
        self.call(ApiKey::Metadata, encode, metadata::decode_with_placements).await
    }

    /// Partitions that the broker has no offset of are left out.
    async fn list_offsets(
        &mut self,
        topic: &str,
        partitions: &[i32],
        end: End,
    ) -> Result<BTreeMap<i32, i64>, AdminError> {
        let encode =
            |version, id, client_id: &str| list_offsets::encode(topic, partitions, end, version, id, client_id);
        let listed = self.call(ApiKey::ListOffsets, encode, list_offsets::decode).await?;
        let told = listed.into_iter().filter(|listed| listed.error_code == error_code::NONE && listed.offset >= 0);
        Ok(told.map(|listed| (listed.partition, listed.offset)).collect())
    }

    async fn call<T>(
        &mut self,
        api: ApiKey,
        encode: impl Fn(i16, i32, &str) -> Result<Frame, EncodeError>,
        decode: impl Fn(&[u8], i16) -> Result<T, DecodeError>,
    ) -> Result<T, AdminError> {
        self.keep_logged_in().await?;
        let failed = |cause| AdminError::Connection { broker: self.broker.clone(), cause };
        let version = self
            .versions
            .pick(api, versions::ours(api))
            .ok_or_else(|| AdminError::Version { broker: self.broker.clone(), api })?;
        let id = self.next_correlation_id;
        self.next_correlation_id += 1;
        let request = encode(version, id, &self.config.client_id)?.to_vec();
        let answer = timeout(self.request_timeout, exchange(&mut self.stream, &mut self.frames, &request)).await;
        let frame = match answer {
            Ok(Ok(frame)) => frame,
            Ok(Err(trouble)) => return Err(failed(trouble.to_string())),
            Err(_) => {
                let limit = self.request_timeout.as_millis();
                return Err(failed(format!("no answer to {api:?} within {limit} ms")));
            }
        };
        check_correlation(frame, id).map_err(failed)?;
        decode(frame, version)
            .map_err(|error| failed(format!("the answer to {api:?} version {version} cannot be read: {error}")))
    }
}

#[cfg(test)]
#[path = "tests/admin.rs"]
mod tests;
