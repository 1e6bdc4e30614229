//! The producer: the only place that joins the parts.

mod close;
mod signal;

pub use close::CloseError;

use crate::config::{
    Acks, CompressionType, Config, InterceptorClass, MetadataRecoveryStrategy, OnError, PartitionerClass, PluginConfig,
    PluginUse, ProducerConfig, SerializerClass,
};
use crate::core::{Action, Compression, Core, CoreConfig, Done, MemoryPool, Windows};
use crate::error::ProduceError;
use crate::lane::{
    self, AckItem, Delivery, DeliveryThread, LaneConfig, Looked, Lookup, Shared, Submitted, UserCallback, Waiter,
};
use crate::metrics::{Listener, MetricsSnapshot, Sources, Statistics};
use crate::net::{self, Clock, NetConfig, Waker as DriverWaker};
use crate::plugin::{
    BreakerOptions, BuiltinSerializer, Chain, DeadLetter, Interceptor, Partitioner, PluginFactory, PluginFailure,
    Policy, Serializer, Side, Used,
};
use crate::record::{PartitionInfo, Record, RecordMetadata};
use crate::sabotage::{self, Sabotage};
use crate::wasm;
use close::{Ending, Threads};
use signal::{SetOnDrop, Signal, Signalled};
use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;

/// A Kafka producer. Clones are the same producer; it may be used from any number of threads and tasks.
///
/// Records of one thread or task to one partition are written in the order of the calls of `send`. A record's place
/// is taken when `send` is called, not when what it returns is polled.
///
/// [`Producer::close`] is the only end without loss: when the last clone is dropped, what is not delivered by then
/// fails with [`ProduceError::Closed`].
#[derive(Clone)]
pub struct Producer {
    inner: Arc<Inner>,
}

struct Inner {
    lane: Arc<Shared>,
    core: Arc<Mutex<Core>>,
    clock: Clock,
    waker: DriverWaker,
    delivery_thread: Arc<DeliveryThread>,
    ending: Arc<Ending>,
    metrics: Arc<Sources>,
    prometheus_address: Option<SocketAddr>,
}

/// Why a producer did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] crate::config::Error),
    /// A plugin cannot be used.
    #[error("plugin {name}: {source}")]
    Plugin {
        /// Its name in the config.
        name: String,
        /// What is wrong with its component.
        source: wasm::LoadError,
    },
    /// A plugin did not start.
    #[error("plugin {name}: {failure}")]
    PluginStart {
        /// Its name in the config.
        name: String,
        /// How it failed.
        failure: PluginFailure,
    },
    /// The configuration asks for something that is not there yet.
    #[error("{key}: {what} is not supported yet")]
    NotSupportedYet {
        /// The key.
        key: &'static str,
        /// What it asks for.
        what: String,
    },
    /// A certificate or key that the configuration names cannot be used.
    #[error(transparent)]
    Security(#[from] net::SecurityError),
    /// The address to serve metrics at cannot be had.
    #[error("metrics.prometheus.listen: cannot listen on {address}: {source}")]
    MetricsListen {
        /// As configured.
        address: String,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// The operating system refused something.
    #[error("cannot start: {0}")]
    System(#[from] std::io::Error),
}

impl Producer {
    /// Starts a producer from a file: see [`Config::from_file`].
    ///
    /// # Errors
    /// The file, a plugin that it names, or the system is not fit for use.
    pub fn from_config_file(path: impl AsRef<Path>) -> Result<Producer, StartError> {
        Producer::start(Config::from_file(path)?)
    }

    /// Loads the plugins, starts the threads and begins to connect; waits for no broker.
    ///
    /// # Errors
    /// A plugin or the system is not fit for use.
    pub fn start(config: Config) -> Result<Producer, StartError> {
        for notice in &config.notices {
            tracing::warn!(target: "pointsman::config", "{notice}");
        }
        let Config { producer: config, plugins, .. } = config;
        supported(&config)?;
        let security = net::Secured::load(&config.security)?;
        let client_id = config.client_id.clone().unwrap_or_else(next_client_id);
        let loaded = load_plugins(&config, &plugins, &client_id)?;
        let chain = chain(&config, &plugins, &loaded)?;
        let meter = chain.meter.clone();
        // Before anything runs that would have to be stopped.
        let listener = listener(&config)?;

        let clock = Clock::new();
        let memory = MemoryPool::new(config.buffer_memory);
        let mut seed = [0; 8];
        getrandom::fill(&mut seed).map_err(|error| std::io::Error::other(error.to_string()))?;
        let core = Core::new(core_config(&config, &memory, &security), u64::from_ne_bytes(seed), clock.now());
        let core = Arc::new(Mutex::new(core));
        let waker = DriverWaker::new();
        let delivery_thread = Arc::new(DeliveryThread::default());
        let lane_config = LaneConfig {
            max_block: config.max_block,
            staged_max: (4 << 20).min(config.buffer_memory / 8).max(1),
            acknowledgements: chain.wants_acknowledgements(),
            topics_after_chain: chain.changes_topics(),
            may_block: net::may_block,
            windows: windows(&config),
        };
        let wake_driver = {
            let waker = waker.clone();
            Box::new(move || waker.wake())
        };
        let lane = Arc::new(Shared::new(
            lane_config,
            Arc::clone(&core),
            memory,
            Arc::new(clock),
            wake_driver,
            Arc::clone(&delivery_thread),
        ));
        let passing_on = PassingOn {
            lane: Arc::clone(&lane),
            core: Arc::clone(&core),
            clock,
            waker: waker.clone(),
            delivery_thread: Arc::clone(&delivery_thread),
        };
        let lane_thread = lane::start(Arc::clone(&lane), chain, config.delivery_timeout, 0)?;
        let driver = match net::start(
            Arc::clone(&core),
            net_config(&config, client_id.clone(), security),
            clock,
            waker.clone(),
            passing_on,
        ) {
            Ok(driver) => driver,
            Err(error) => {
                lane.stop();
                return Err(error.into());
            }
        };
        let metrics = Arc::new(Sources {
            client_id,
            clock: Arc::new(clock),
            core: Arc::clone(&core),
            lane: Arc::clone(&lane),
            net: driver.counters(),
            meter,
            plugins: loaded,
            flush_ns: AtomicU64::new(0),
        });
        let threads = Threads { driver, lane: lane_thread, endpoint: None, statistics: None };
        let ending = Arc::new(Ending::new(threads, Arc::clone(&lane), Arc::clone(&delivery_thread)));
        let prometheus_address = listener.as_ref().map(Listener::address);
        let inner = Inner { lane, core, clock, waker, delivery_thread, ending, metrics, prometheus_address };
        // From here on, an error drops it and so ends what runs.
        inner.tell_metrics(listener, config.statistics_interval)?;
        Ok(Producer { inner: Arc::new(inner) })
    }

    /// Takes a record. It is accepted at once if its topic is known and memory is there; what is returned waits
    /// otherwise, up to `max.block.ms`, and then gives the delivery.
    ///
    /// Dropping the accept takes a record back whose turn has not come, and only then: one that was accepted at once,
    /// or whose turn came meanwhile, is sent. By then it stands among others in the lane, and a plugin may be looking
    /// at it. [`Accept::cancel`] says which of the two it was. Dropping the delivery changes nothing.
    pub fn send(&self, record: &Record<'_>) -> Accept {
        self.accept(record, None)
    }

    /// As [`Producer::send`], and calls `callback` with the record's fate if it was accepted, on a thread that is
    /// there for callbacks: in log order within a partition. A callback may send (which then never waits) and close.
    pub fn send_with(
        &self,
        record: &Record<'_>,
        callback: impl FnOnce(Result<RecordMetadata, ProduceError>) + Send + 'static,
    ) -> Accept {
        self.accept(record, Some(Box::new(callback)))
    }

    fn accept(&self, record: &Record<'_>, callback: Option<UserCallback>) -> Accept {
        // In a callback nothing may wait: what it would wait for may be behind it in line.
        let may_wait = !self.inner.delivery_thread.is_current();
        self.accept_of(self.inner.lane.submit(record, callback, may_wait))
    }

    fn accept_of(&self, submitted: Submitted) -> Accept {
        let state = match submitted {
            Submitted::Accepted(delivery) => AcceptState::Settled(Some(Ok(delivery))),
            Submitted::Refused(error) => AcceptState::Settled(Some(Err(error))),
            Submitted::Waiting(waiter) => AcceptState::InLine { waiter, lane: Arc::clone(&self.inner.lane) },
        };
        Accept { state }
    }

    /// Takes a record if that needs no waiting. Never overtakes a record that waits.
    ///
    /// # Errors
    /// [`ProduceError::BufferFull`] where [`Producer::send`] would wait for memory, and what else keeps it from being
    /// accepted.
    pub fn try_send(&self, record: &Record<'_>) -> Result<Delivery, ProduceError> {
        match self.inner.lane.submit(record, None, false) {
            Submitted::Accepted(delivery) => Ok(delivery),
            Submitted::Refused(error) => Err(error),
            Submitted::Waiting(_) => Err(ProduceError::BufferFull),
        }
    }

    /// As [`Producer::send`], blocking the thread while it waits. Not for async tasks.
    ///
    /// # Errors
    /// The record was not accepted. [`ProduceError::Misuse`] where it would have to wait inside a tokio task, as it
    /// does for the first record of a topic.
    pub fn send_blocking(&self, record: &Record<'_>) -> Result<Delivery, ProduceError> {
        self.accept_blocking(record, None)
    }

    fn accept_blocking(&self, record: &Record<'_>, callback: Option<UserCallback>) -> Result<Delivery, ProduceError> {
        let may_wait = !self.inner.delivery_thread.is_current();
        match self.inner.lane.submit(record, callback, may_wait) {
            // Most sends are accepted at once.
            Submitted::Accepted(delivery) => Ok(delivery),
            Submitted::Refused(error) => Err(error),
            waiting @ Submitted::Waiting(_) => block_on(self.accept_of(waiting))?,
        }
    }

    /// As [`Producer::send_with`], blocking the thread while it waits. Not for async tasks.
    ///
    /// # Errors
    /// The record was not accepted, and the callback will not be called; see [`Producer::send_blocking`].
    pub fn send_with_blocking(
        &self,
        record: &Record<'_>,
        callback: impl FnOnce(Result<RecordMetadata, ProduceError>) + Send + 'static,
    ) -> Result<Delivery, ProduceError> {
        self.accept_blocking(record, Some(Box::new(callback)))
    }

    /// [`Producer::send`] for each record, in order, for less: the lane is locked once. Nothing of another thread
    /// comes between records that are accepted at once.
    ///
    /// Each record is accepted or refused for itself: one that can never fit is refused and the next one goes on.
    /// Those that have to wait are in line, in order, when this returns, each with a copy of its record outside
    /// `buffer.memory`; [`Producer::send_batch_blocking`] makes no copies.
    pub fn send_batch(&self, records: &[Record<'_>]) -> Vec<Accept> {
        let may_wait = !self.inner.delivery_thread.is_current();
        let answers = self.inner.lane.submit_many(records, may_wait, false);
        answers.into_iter().map(|answer| self.accept_of(answer)).collect()
    }

    /// As [`Producer::send_batch`], blocking the thread whenever a record has to wait: what comes after it takes its
    /// place only then. One answer per record, in order.
    pub fn send_batch_blocking(&self, records: &[Record<'_>]) -> Vec<Result<Delivery, ProduceError>> {
        let may_wait = !self.inner.delivery_thread.is_current();
        let mut outcomes = Vec::with_capacity(records.len());
        while outcomes.len() < records.len() {
            for answer in self.inner.lane.submit_many(&records[outcomes.len()..], may_wait, true) {
                outcomes.push(block_on(self.accept_of(answer)).and_then(|outcome| outcome));
            }
        }
        outcomes
    }

    /// The partitions of a topic, by number. Asks the cluster for a topic that is not known, for up to `max.block.ms`,
    /// and may thereby create it, as a record would.
    ///
    /// # Errors
    /// The topic cannot be used, or nothing is known of it in time.
    pub async fn partitions_for(&self, topic: &str) -> Result<Vec<PartitionInfo>, ProduceError> {
        loop {
            match self.inner.lane.look_up(topic)? {
                Looked::Known(handle) => {
                    let leaders = self.inner.lock_core().topic_info(handle).leaders;
                    let info = |(partition, leader)| PartitionInfo {
                        partition,
                        leader: Some(leader).filter(|leader| *leader >= 0),
                    };
                    return Ok((0..).zip(leaders).map(info).collect());
                }
                Looked::Waiting(_) if self.inner.delivery_thread.is_current() => {
                    return Err(ProduceError::Misuse("a callback cannot wait for a topic that is not known yet"));
                }
                Looked::Waiting(lookup) => LookingUp(lookup).await?,
            }
        }
    }

    /// As [`Producer::partitions_for`], blocking the thread.
    ///
    /// # Errors
    /// As there, and [`ProduceError::Misuse`] where it would have to wait inside a tokio task.
    pub fn partitions_for_blocking(&self, topic: &str) -> Result<Vec<PartitionInfo>, ProduceError> {
        block_on(self.partitions_for(topic))?
    }

    /// Sends everything that was accepted so far without lingering, and waits until all of it is delivered or has
    /// failed, callbacks included. Errors are told by the deliveries.
    ///
    /// # Errors
    /// [`ProduceError::Misuse`] in a callback, which would wait for itself.
    pub async fn flush(&self) -> Result<(), ProduceError> {
        if self.inner.delivery_thread.is_current() {
            return Err(ProduceError::Misuse("flush inside a callback would wait for the callback itself"));
        }
        let began = self.inner.clock.now();
        let signal = Arc::new(Signal::default());
        let done = SetOnDrop(Arc::clone(&signal));
        self.inner.lane.flush(Box::new(move || drop(done)));
        Signalled(signal).await;
        self.inner.metrics.flushed(self.inner.clock.now() - began);
        Ok(())
    }

    /// As [`Producer::flush`], blocking the thread.
    ///
    /// # Errors
    /// As [`Producer::flush`], and [`ProduceError::Misuse`] inside a tokio task.
    pub fn flush_blocking(&self) -> Result<(), ProduceError> {
        if !net::may_block() {
            return Err(IN_A_TASK);
        }
        block_on(self.flush())?
    }

    /// Accepts nothing more, delivers what was accepted, calls the plugins' close hooks, and ends. What is not
    /// delivered within `patience` fails. In a callback `patience` counts as zero, as in Java, and the end comes after
    /// the callback's.
    ///
    /// A producer ends once: whoever closes it while it ends waits for the same end, and the shortest patience counts.
    ///
    /// # Errors
    /// Something was not delivered in time. All who close the producer are told the same.
    pub async fn close(&self, patience: Duration) -> Result<(), CloseError> {
        if self.inner.ending.is_own_thread() {
            return self.inner.close(patience);
        }
        // Threads are joined, which would block the task's thread.
        let outcome = Arc::new(Mutex::new(Ok(())));
        let signal = Arc::new(Signal::default());
        let (inner, slot, done) = (Arc::clone(&self.inner), Arc::clone(&outcome), Arc::clone(&signal));
        std::thread::spawn(move || {
            let closed = inner.close(patience);
            *slot.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = closed;
            done.set();
        });
        Signalled(signal).await;
        outcome.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone()
    }

    /// As [`Producer::close`], blocking the thread.
    ///
    /// # Errors
    /// As [`Producer::close`], and [`CloseError::Misuse`] inside a tokio task.
    pub fn close_blocking(&self, patience: Duration) -> Result<(), CloseError> {
        if !net::may_block() {
            return Err(CloseError::Misuse(BLOCKS_A_TASK));
        }
        self.inner.close(patience)
    }

    /// All metrics as of now: see [`crate::metrics`]. Takes tens of microseconds, and a few for each topic in use;
    /// the producer is held up for a small part of that. Goes on to work after the end.
    pub fn metrics(&self) -> MetricsSnapshot {
        self.inner.metrics.snapshot()
    }

    /// What the plugins count and measure, by their names in the config.
    pub fn plugin_metrics(&self) -> BTreeMap<String, wasm::PluginMetrics> {
        self.inner.metrics.plugins.iter().map(|(name, plugin)| (name.clone(), plugin.metrics())).collect()
    }

    /// Where `metrics.prometheus.listen` made the producer listen, with the port that was found for port 0.
    pub fn prometheus_address(&self) -> Option<SocketAddr> {
        self.inner.prometheus_address
    }
}

impl std::fmt::Debug for Producer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Producer").finish_non_exhaustive()
    }
}

impl Inner {
    /// Serves and logs the metrics as configured.
    fn tell_metrics(&self, listener: Option<Listener>, interval: Option<Duration>) -> std::io::Result<()> {
        let source = || {
            let metrics = Arc::clone(&self.metrics);
            Box::new(move || metrics.snapshot())
        };
        let endpoint = listener.map(|listener| listener.serve(source())).transpose()?;
        let statistics = interval.map(|interval| Statistics::start(interval, source())).transpose()?;
        self.ending.add(endpoint, statistics);
        Ok(())
    }

    fn lock_core(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// What [`Producer::send`] returns: ready at once unless the record has to wait for memory or metadata.
///
/// Dropping it takes the record back if its turn has not come, as in a `select!` with a time limit. A record that was
/// accepted is sent whatever becomes of its accept.
#[must_use = "dropping it takes back a record whose turn has not come"]
pub struct Accept {
    state: AcceptState,
}

enum AcceptState {
    Settled(Option<Result<Delivery, ProduceError>>),
    InLine { waiter: Arc<Waiter>, lane: Arc<Shared> },
}

impl Accept {
    /// Whether the record has to wait.
    pub fn is_waiting(&self) -> bool {
        matches!(self.state, AcceptState::InLine { .. })
    }

    /// Takes the record back. True if it is not sent: its turn had not come, or it was refused. False if it was
    /// accepted before, and is on its way.
    pub fn cancel(self) -> bool {
        match &self.state {
            AcceptState::Settled(settled) => settled.as_ref().is_some_and(Result::is_err),
            AcceptState::InLine { waiter, .. } => waiter.cancel(),
        }
    }
}

impl Future for Accept {
    type Output = Result<Delivery, ProduceError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.state {
            AcceptState::Settled(result) => {
                let over = || Err(ProduceError::Misuse("an accept was polled after its end"));
                Poll::Ready(result.take().unwrap_or_else(over))
            }
            AcceptState::InLine { waiter, .. } => {
                let turn = waiter.poll(context.waker());
                if turn.is_ready() {
                    self.state = AcceptState::Settled(None);
                }
                turn
            }
        }
    }
}

impl Drop for Accept {
    fn drop(&mut self) {
        if let AcceptState::InLine { waiter, lane } = &self.state {
            waiter.cancel();
            // Whoever is behind it in line may need less.
            if !sabotage::is_on(Sabotage::LoseWakeUp) {
                lane.admit();
            }
        }
    }
}

impl std::fmt::Debug for Accept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Accept").field("waiting", &self.is_waiting()).finish()
    }
}

/// Passes on what the driver learns.
struct PassingOn {
    lane: Arc<Shared>,
    core: Arc<Mutex<Core>>,
    clock: Clock,
    waker: DriverWaker,
    delivery_thread: Arc<DeliveryThread>,
}

impl net::Events for PassingOn {
    fn done(&mut self, done: Done) {
        if self.lane.config.acknowledgements {
            self.lane.acknowledge(AckItem::Done(done));
        } else {
            self.delivery_thread.complete(done);
        }
    }

    fn topic(&mut self, name: Arc<str>, outcome: Result<(), ProduceError>) {
        self.lane.topic_settled(&name, &outcome);
    }

    fn topology(&mut self, name: Arc<str>, partitions: usize) {
        self.lane.topology_changed(name, partitions);
    }

    fn flushed(&mut self, flush: u64) {
        // Behind the outcomes that it waited for.
        self.lane.acknowledge(AckItem::Flushed(flush));
    }

    fn pass_ended(&mut self) {
        self.lane.admit();
        if self.lane.is_memory_short() {
            let mut core = self.core.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            if core.expedite(self.clock.now()) {
                drop(core);
                self.waker.wake();
            }
        }
    }

    fn driver_died(&mut self, reason: &str) {
        let mut core = self.core.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        core.fail_for_good(reason.to_owned());
        let mut done = Vec::new();
        while let Some(action) = core.poll_action() {
            if let Action::Done(batch) = action {
                done.push(batch);
            }
        }
        drop(core);
        for batch in done {
            self.done(batch);
        }
        self.lane.acknowledge(AckItem::DriverDied(reason.into()));
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Looks after the topics that someone asked for.
struct LookingUp(Arc<Lookup>);

impl Future for LookingUp {
    type Output = Result<(), ProduceError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll(context.waker())
    }
}

const BLOCKS_A_TASK: &str = "a tokio task would block its thread by this call: use the async form, or spawn_blocking";
const IN_A_TASK: ProduceError = ProduceError::Misuse(BLOCKS_A_TASK);

/// Blocks the thread until the future is ready; an error if that thread has tasks to run.
fn block_on<F: Future>(future: F) -> Result<F::Output, ProduceError> {
    let mut future = std::pin::pin!(future);
    // Most sends are accepted at once.
    if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        return Ok(output);
    }
    if !net::may_block() {
        return Err(IN_A_TASK);
    }
    let waker: Waker = Arc::new(Unpark(std::thread::current())).into();
    let mut context = Context::from_waker(&waker);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return Ok(output),
            Poll::Pending => std::thread::park(),
        }
    }
}

fn supported(config: &ProducerConfig) -> Result<(), StartError> {
    let not_yet = |key, what: &str| Err(StartError::NotSupportedYet { key, what: what.to_owned() });
    if config.lanes > 1 {
        return not_yet("lanes", "more than one lane");
    }
    Ok(())
}

fn next_client_id() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    format!("producer-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

fn core_config(config: &ProducerConfig, memory: &MemoryPool, security: &net::Secured) -> CoreConfig {
    CoreConfig {
        bootstrap: config.bootstrap_servers.iter().map(|server| (server.host.clone(), server.port)).collect(),
        acks: config.acks.code(),
        idempotence: config.enable_idempotence && config.acks == Acks::All,
        batch_size: config.batch_size,
        compression: compression(config),
        linger: config.linger,
        max_request_size: config.max_request_size,
        max_in_flight: config.max_in_flight_requests_per_connection,
        retries: config.retries,
        retry_backoff: config.retry_backoff,
        retry_backoff_max: config.retry_backoff_max,
        reconnect_backoff: config.reconnect_backoff,
        reconnect_backoff_max: config.reconnect_backoff_max,
        request_timeout: config.request_timeout,
        delivery_timeout: config.delivery_timeout,
        metadata_max_age: config.metadata_max_age,
        metadata_max_idle: config.metadata_max_idle,
        rebootstrap_trigger: match config.metadata_recovery_strategy {
            MetadataRecoveryStrategy::Rebootstrap => Some(config.metadata_recovery_rebootstrap_trigger),
            MetadataRecoveryStrategy::None => None,
        },
        connections_max_idle: config.connections_max_idle.unwrap_or(Duration::MAX),
        ignore_keys: config.partitioner_ignore_keys,
        adaptive: config.partitioner_adaptive_partitioning_enable,
        availability_timeout: config.partitioner_availability_timeout,
        round_robin: config.partitioner_class == PartitionerClass::RoundRobin,
        memory: memory.clone(),
        principal: security.principal().into(),
        windows: windows(config),
    }
}

fn compression(config: &ProducerConfig) -> Compression {
    match config.compression_type {
        CompressionType::None => Compression::None,
        CompressionType::Gzip => Compression::Gzip(config.compression_gzip_level),
        CompressionType::Snappy => Compression::Snappy,
        CompressionType::Lz4 => Compression::Lz4(config.compression_lz4_level),
        CompressionType::Zstd => Compression::Zstd(config.compression_zstd_level),
    }
}

fn listener(config: &ProducerConfig) -> Result<Option<Listener>, StartError> {
    let Some(address) = &config.metrics_prometheus_listen else { return Ok(None) };
    match Listener::bind(address) {
        Ok(listener) => Ok(Some(listener)),
        Err(source) => Err(StartError::MetricsListen { address: address.clone(), source }),
    }
}

fn windows(config: &ProducerConfig) -> Windows {
    Windows { length: config.metrics_sample_window, count: config.metrics_num_samples }
}

fn net_config(config: &ProducerConfig, client_id: String, security: net::Secured) -> NetConfig {
    let bytes = |size: Option<usize>| size.and_then(|size| u32::try_from(size).ok());
    NetConfig {
        client_id,
        send_buffer_bytes: bytes(config.send_buffer_bytes),
        receive_buffer_bytes: bytes(config.receive_buffer_bytes),
        setup_timeout: config.socket_connection_setup_timeout,
        setup_timeout_max: config.socket_connection_setup_timeout_max,
        security,
        windows: windows(config),
    }
}

/// One engine for all producers of the process: what it compiled is shared.
fn engine() -> Result<wasm::Engine, wasm::LoadError> {
    static ENGINE: OnceLock<wasm::Engine> = OnceLock::new();
    if let Some(engine) = ENGINE.get() {
        return Ok(engine.clone());
    }
    let engine = wasm::Engine::new(wasm::EngineOptions { cache_dir: cache_dir() })?;
    Ok(ENGINE.get_or_init(|| engine).clone())
}

/// Where compiled components are kept: `$XDG_CACHE_HOME/pointsman`, or `.cache/pointsman` in the home folder.
fn cache_dir() -> Option<PathBuf> {
    let folder = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = folder("XDG_CACHE_HOME").or_else(|| folder("HOME").map(|home| home.join(".cache")));
    base.map(|base| base.join("pointsman"))
}

fn load_plugins(
    config: &ProducerConfig,
    plugins: &BTreeMap<String, PluginConfig>,
    client_id: &str,
) -> Result<BTreeMap<String, wasm::Plugin>, StartError> {
    let mut uses: BTreeMap<&str, Vec<wasm::Use>> = BTreeMap::new();
    for (used, name) in config.plugins_in_use() {
        uses.entry(name).or_default().push(match used {
            PluginUse::Interceptor => wasm::Use::Interceptor,
            PluginUse::KeySerializer => wasm::Use::Serializer(Side::Key),
            PluginUse::ValueSerializer => wasm::Use::Serializer(Side::Value),
            PluginUse::Partitioner => wasm::Use::Partitioner,
        });
    }
    let mut loaded = BTreeMap::new();
    for (name, uses) in uses {
        // The config has checked that every plugin that is used is there.
        let Some(plugin) = plugins.get(name) else { continue };
        let options = wasm::PluginOptions {
            name: name.to_owned(),
            path: plugin.component.clone(),
            sha256: plugin.sha256,
            settings: plugin.settings.clone(),
            limits: wasm::Limits { timeout: plugin.timeout, memory_max: plugin.memory_max, ..wasm::Limits::default() },
            client_id: client_id.to_owned(),
            uses,
        };
        let component = engine().and_then(|engine| wasm::Plugin::load(&engine, options));
        let component = component.map_err(|source| StartError::Plugin { name: name.to_owned(), source })?;
        loaded.insert(name.to_owned(), component);
    }
    Ok(loaded)
}

/// The chain that a producer of this configuration would run.
pub(crate) fn chain_of(config: &Config) -> Result<Chain, StartError> {
    let client_id = config.producer.client_id.clone().unwrap_or_else(next_client_id);
    let loaded = load_plugins(&config.producer, &config.plugins, &client_id)?;
    chain(&config.producer, &config.plugins, &loaded)
}

fn chain(
    config: &ProducerConfig,
    plugins: &BTreeMap<String, PluginConfig>,
    loaded: &BTreeMap<String, wasm::Plugin>,
) -> Result<Chain, StartError> {
    const LANE: u32 = 0;
    let used = |name: &str| {
        let (Some(config), Some(plugin)) = (plugins.get(name), loaded.get(name)) else {
            unreachable!("every plugin in use was loaded")
        };
        (config, plugin)
    };
    let mut chain = Chain::default();
    for InterceptorClass::Wasm(name) in &config.interceptor_classes {
        let (config, plugin) = used(name);
        chain.interceptors.push(with_policy::<dyn Interceptor>(config, plugin, plugin.interceptor(LANE))?);
    }
    let serializer = |class: &SerializerClass, side| match class {
        SerializerClass::Wasm(name) => {
            let (config, plugin) = used(name);
            with_policy::<dyn Serializer>(config, plugin, plugin.serializer(LANE, side)).map(Some)
        }
        builtin => Ok(builtin_serializer(builtin)),
    };
    chain.key_serializer = serializer(&config.key_serializer, Side::Key)?;
    chain.value_serializer = serializer(&config.value_serializer, Side::Value)?;
    if let PartitionerClass::Wasm(name) = &config.partitioner_class {
        let (config, plugin) = used(name);
        chain.partitioner = Some(with_policy::<dyn Partitioner>(config, plugin, plugin.partitioner(LANE))?);
    }
    Ok(chain)
}

/// A plugin in one of its roles, with what the config says of its failures.
fn with_policy<R: ?Sized>(
    config: &PluginConfig,
    plugin: &wasm::Plugin,
    role: Result<Box<R>, PluginFailure>,
) -> Result<Used<R>, StartError> {
    let role = role.map_err(|failure| StartError::PluginStart { name: config.name.clone(), failure })?;
    let policy = match &config.on_error {
        OnError::Fail => Policy::Fail,
        OnError::Pass => Policy::Pass,
        OnError::Drop => Policy::Drop,
        OnError::Fallback => Policy::Fallback,
        OnError::DeadLetter(letter) => Policy::DeadLetter(Arc::new(DeadLetter {
            topic: letter.topic.as_str().into(),
            include_key: letter.include_key,
            include_value: letter.include_value,
            version: plugin.version().map(Into::into),
            digest: Some(plugin.digest().into()),
        })),
    };
    let breaker = BreakerOptions { incidents: config.breaker_failures, cooldown: config.breaker_cooldown };
    Ok(Used::new(config.name.as_str(), role, policy, breaker))
}

/// `None` leaves the bytes as they are.
fn builtin_serializer(class: &SerializerClass) -> Option<Used<dyn Serializer>> {
    let serializer = match class {
        SerializerClass::Bytes | SerializerClass::Wasm(_) => return None,
        SerializerClass::String => BuiltinSerializer::String,
        SerializerClass::Integer => BuiltinSerializer::Integer,
        SerializerClass::Long => BuiltinSerializer::Long,
        SerializerClass::Short => BuiltinSerializer::Short,
        SerializerClass::Float => BuiltinSerializer::Float,
        SerializerClass::Double => BuiltinSerializer::Double,
        SerializerClass::Uuid => BuiltinSerializer::Uuid,
        SerializerClass::Void => BuiltinSerializer::Void,
        SerializerClass::Json => BuiltinSerializer::Json,
    };
    let plugin = format!("{} (built in)", serializer.name());
    Some(Used::new(plugin, Box::new(serializer) as Box<dyn Serializer>, Policy::Fail, BreakerOptions::default()))
}
