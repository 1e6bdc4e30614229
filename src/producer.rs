//! The producer: the only place that joins the parts.

mod builder;
mod chains;
mod close;
mod natives;
mod passing_on;
mod reload;
mod settings;
mod signal;
mod transactions;
mod watch;

pub use builder::ProducerBuilder;
pub use chains::plugin_options;
pub(crate) use chains::{Chains, LaneChains};
pub use close::CloseError;
pub use reload::{ReloadError, Reloaded};

use crate::config::{Config, ProducerConfig};
use crate::core::{Core, MemoryPool};
use crate::error::ProduceError;
use crate::lane::{
    self, Delivery, DeliveryThread, LaneConfig, Lanes, Looked, Lookup, Submitted, Surroundings, UserCallback, Waiter,
};
use crate::lock::lock;
use crate::metrics::{Listener, MetricsSnapshot, Reloads, Sources, Statistics};
use crate::net::{self, Clock, Waker as DriverWaker};
use crate::plugin::{Meter, PluginFailure};
use crate::record::Record;
use crate::record_metadata::{PartitionInfo, RecordMetadata};
use crate::sabotage::{self, Sabotage};
use crate::wasm;
use close::{Ending, Threads};
use natives::Natives;
use passing_on::PassingOn;
use reload::{Reloader, Running};
use settings::{bootstrap, core_config, net_config, windows};
use signal::{SetOnDrop, Signal, Signalled};
use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use transactions::Calls;
use watch::Watch;

/// A Kafka producer. Clones are the same producer; it may be used from any number of threads and tasks.
///
/// Records of one thread or task to one partition are written in the order of the calls of `send`; with `lanes` above 1
/// those of a topic and key, or of a topic and partition that they name. A record's place is taken when `send` is called,
/// not when what it returns is polled.
///
/// With a `transactional.id`, records are sent in transactions only: [`Producer::init_transactions`],
/// [`Producer::begin_transaction`].
///
/// [`Producer::close`] is the only end without loss: when the last clone is dropped, what is not delivered by then
/// fails with [`ProduceError::Closed`].
#[derive(Clone)]
pub struct Producer {
    inner: Arc<Inner>,
}

struct Inner {
    lanes: Arc<Lanes>,
    core: Arc<Mutex<Core>>,
    clock: Clock,
    waker: DriverWaker,
    delivery_thread: Arc<DeliveryThread>,
    ending: Arc<Ending>,
    metrics: Arc<Sources>,
    prometheus_address: Option<SocketAddr>,
    notices: Vec<String>,
    reloader: Arc<Reloader>,
    calls: Arc<Calls>,
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
    /// The program brings a plugin for a place that the configuration has filled, and there is one only.
    #[error("{key} is set in the configuration, and by the program ({plugin}): take one of the two away")]
    SetTwice {
        /// The key.
        key: &'static str,
        /// The program's plugin.
        plugin: String,
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
        Producer::builder(config).start()
    }

    /// Adds plugins of the program's own to those of the configuration, and starts.
    pub fn builder(config: Config) -> ProducerBuilder {
        ProducerBuilder::new(config)
    }

    /// Starts with what the program adds.
    fn assemble(config: Config, natives: &Natives) -> Result<Producer, StartError> {
        let client_id = client_id_of(&config.producer);
        let loaded = chains::load_plugins(&config, &client_id, &BTreeMap::new())?;
        let meter = Meter::default();
        let chains = Chains::new(&config, &loaded, natives, &meter, &[])?;
        let running = Running::new(&config, &chains, natives);
        let watched = watch::file_of(&config, natives);
        let Chains { each, routes, notices } = chains;
        let Config { producer: config, notices: mut all_notices, .. } = config;
        all_notices.extend(notices);
        all_notices.extend(watched.as_ref().err().map(|why| format!("plugin.reload has no effect: {why}")));
        for notice in &all_notices {
            tracing::warn!(target: "pointsman::config", "{notice}");
        }
        let security = net::Secured::load(&config.security)?;
        // Before anything runs that would have to be stopped.
        let listener = listener(&config)?;

        let clock = Clock::new();
        let memory = MemoryPool::new(config.buffer_memory);
        let mut seed = [0; 8];
        getrandom::fill(&mut seed).map_err(|error| std::io::Error::other(error.to_string()))?;
        let core_config = core_config(&config, &memory, bootstrap(&config)?, &security);
        let core = Core::new(core_config, u64::from_ne_bytes(seed), clock.now());
        let core = Arc::new(Mutex::new(core));
        let waker = DriverWaker::new();
        let delivery_thread = Arc::new(DeliveryThread::default());
        let surroundings = Surroundings {
            core: Arc::clone(&core),
            memory,
            clock: Arc::new(clock),
            wake_driver: {
                let waker = waker.clone();
                Arc::new(move || waker.wake())
            },
            delivery_thread: Arc::clone(&delivery_thread),
        };
        let lane_count: usize = each.iter().map(|chain| chain.lanes.len()).sum();
        let lane_config = |(at, chain): (usize, &LaneChains)| LaneConfig {
            max_block: config.max_block,
            // All lanes together stage no more than half of the memory.
            // More than a core's cache holds is slower, and later.
            staged_max: (1 << 20).min(config.buffer_memory / 8.max(2 * lane_count)).max(1),
            direct: chain.lanes[0].is_empty(),
            acknowledgements: running.acknowledges(at),
            any_acknowledgements: false,
            round_robin: chain.round_robin,
            topics_after_chain: chain.lanes[0].changes_topics(),
            may_go_to: chain.may_go_to.clone(),
            may_block: net::may_block,
            windows: windows(&config),
        };
        let configs = each.iter().enumerate().map(|chain| (lane_config(chain), chain.1.lanes.len())).collect();
        let lanes = Arc::new(Lanes::new(configs, routes, &surroundings));
        let calls = Arc::<Calls>::default();
        let passing_on =
            PassingOn::new(Arc::clone(&lanes), Arc::clone(&core), Arc::clone(&calls), clock, waker.clone());
        let mut lane_threads = Vec::with_capacity(lane_count);
        for (lane, chain) in lanes.iter().zip(each.into_iter().flat_map(|chain| chain.lanes)) {
            match lane::start(Arc::clone(lane), chain, config.delivery_timeout) {
                Ok(thread) => lane_threads.push(thread),
                Err(error) => {
                    lanes.stop();
                    return Err(error.into());
                }
            }
        }
        let driver = match net::start(
            Arc::clone(&core),
            net_config(&config, client_id.clone(), security),
            clock,
            waker.clone(),
            passing_on,
        ) {
            Ok(driver) => driver,
            Err(error) => {
                lanes.stop();
                return Err(error.into());
            }
        };
        let metrics = Arc::new(Sources {
            client_id,
            clock: Arc::new(clock),
            core: Arc::clone(&core),
            lanes: Arc::clone(&lanes),
            net: driver.counters(),
            meter,
            plugins: Mutex::new(loaded),
            reloads: Reloads::default(),
            calls: Default::default(),
        });
        let threads = Threads { driver, lanes: lane_threads, endpoint: None, statistics: None, watch: None };
        let ending = Arc::new(Ending::new(threads, Arc::clone(&lanes), Arc::clone(&delivery_thread)));
        let prometheus_address = listener.as_ref().map(Listener::address);
        let notices = all_notices;
        let reloader = Arc::new(Reloader::new(running, Arc::clone(&lanes), Arc::clone(&metrics)));
        let inner = Inner {
            lanes,
            core,
            clock,
            waker,
            delivery_thread,
            ending,
            metrics,
            prometheus_address,
            notices,
            reloader,
            calls,
        };
        // From here on, an error drops it and so ends what runs.
        inner.tell_metrics(listener, config.statistics_interval)?;
        if let Ok(Some(file)) = watched {
            inner.ending.add_watch(Watch::start(file, Arc::clone(&inner.reloader))?);
        }
        Ok(Producer { inner: Arc::new(inner) })
    }

    /// Takes a record. It is accepted at once if its topic is known and memory is there; what is returned waits
    /// otherwise, up to `max.block.ms`, and then gives the delivery.
    ///
    /// Dropping the accept takes a record back whose turn has not come, and only then: one that was accepted at once,
    /// or whose turn came meanwhile, is sent. By then it stands among others in the lane, and a plugin may be looking
    /// at it. [`Accept::cancel`] says which of the two it was. Dropping the delivery changes nothing.
    #[inline]
    pub fn send(&self, record: &Record<'_>) -> Accept {
        match self.inner.lanes.take(record) {
            Some(delivery) => Accept { state: AcceptState::Settled(Some(Ok(delivery))) },
            None => self.accept(record, None),
        }
    }

    /// As [`Producer::send`], and calls `callback` with the record's fate if it was accepted, on a thread that is
    /// there for callbacks: in log order within a partition, but for a batch that the broker wrote and answered with an
    /// error: its callbacks come with the answer that says so. A callback may send (which then never waits) and close.
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
        self.accept_of(self.inner.lanes.submit(record, callback, may_wait))
    }

    fn accept_of(&self, submitted: Submitted) -> Accept {
        let state = match submitted {
            Submitted::Accepted(delivery) => AcceptState::Settled(Some(Ok(delivery))),
            Submitted::Refused(error) => AcceptState::Settled(Some(Err(*error))),
            Submitted::Waiting(waiter) => AcceptState::InLine { waiter, lanes: Arc::clone(&self.inner.lanes) },
        };
        Accept { state }
    }

    /// Takes a record if that needs no waiting. Never overtakes a record that waits.
    ///
    /// # Errors
    /// [`ProduceError::BufferFull`] where [`Producer::send`] would wait for memory, and what else keeps it from being
    /// accepted.
    #[inline]
    pub fn try_send(&self, record: &Record<'_>) -> Result<Delivery, ProduceError> {
        if let Some(delivery) = self.inner.lanes.take(record) {
            return Ok(delivery);
        }
        match self.inner.lanes.submit(record, None, false) {
            Submitted::Accepted(delivery) => Ok(delivery),
            Submitted::Refused(error) => Err(*error),
            Submitted::Waiting(_) => Err(ProduceError::BufferFull),
        }
    }

    /// As [`Producer::send`], blocking the thread while it waits. Not for async tasks.
    ///
    /// # Errors
    /// The record was not accepted. [`ProduceError::Misuse`] where it would have to wait inside a tokio task, as it
    /// does for the first record of a topic.
    #[inline]
    pub fn send_blocking(&self, record: &Record<'_>) -> Result<Delivery, ProduceError> {
        match self.inner.lanes.take(record) {
            Some(delivery) => Ok(delivery),
            None => self.accept_blocking(record, None),
        }
    }

    fn accept_blocking(&self, record: &Record<'_>, callback: Option<UserCallback>) -> Result<Delivery, ProduceError> {
        let may_wait = !self.inner.delivery_thread.is_current();
        match self.inner.lanes.submit(record, callback, may_wait) {
            // Most sends are accepted at once.
            Submitted::Accepted(delivery) => Ok(delivery),
            Submitted::Refused(error) => Err(*error),
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

    /// [`Producer::send`] for each record, in order, for less: a lock is taken for many. What other threads send may come
    /// between them.
    ///
    /// Each record is accepted or refused for itself: one that can never fit is refused and the next one goes on.
    /// Those that have to wait are in line, in order, when this returns, each with a copy of its record outside
    /// `buffer.memory`; [`Producer::send_batch_blocking`] makes no copies.
    pub fn send_batch(&self, records: &[Record<'_>]) -> Vec<Accept> {
        let may_wait = !self.inner.delivery_thread.is_current();
        let answers = self.inner.lanes.submit_many(records, may_wait, false);
        answers.into_iter().map(|answer| self.accept_of(answer)).collect()
    }

    /// As [`Producer::send_batch`], blocking the thread whenever a record has to wait: what comes after it takes its
    /// place only then. One answer per record, in order.
    pub fn send_batch_blocking(&self, records: &[Record<'_>]) -> Vec<Result<Delivery, ProduceError>> {
        let may_wait = !self.inner.delivery_thread.is_current();
        let mut outcomes = Vec::with_capacity(records.len());
        while outcomes.len() < records.len() {
            for answer in self.inner.lanes.submit_many(&records[outcomes.len()..], may_wait, true) {
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
            match self.inner.lanes.look_up(topic)? {
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
        let _timing = self.inner.metrics.time(|calls| &calls.flush);
        self.settle().await;
        Ok(())
    }

    /// Until everything that was accepted so far is delivered or has failed.
    async fn settle(&self) {
        let signal = Arc::new(Signal::default());
        let done = Arc::new(SetOnDrop(Arc::clone(&signal)));
        self.inner.lanes.flush(|| {
            let done = Arc::clone(&done);
            Box::new(move || drop(done))
        });
        drop(done);
        Signalled(signal).await;
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
    /// the callback's. With Kerberos it may take a second more: the system's library must not be left at work.
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
        self.inner.metrics.plugins().into_iter().map(|(name, plugin)| (name, plugin.metrics())).collect()
    }

    /// What is worth knowing of the configuration and its plugins: keys without effect, values that were adjusted, a
    /// chain that keeps to one lane.
    pub fn notices(&self) -> &[String] {
        &self.inner.notices
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
        lock(&self.core).unwrap_or_else(|poisoned| poisoned.into_inner())
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
    InLine { waiter: Arc<Waiter>, lanes: Arc<Lanes> },
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
        if let AcceptState::InLine { waiter, lanes } = &self.state {
            waiter.cancel();
            // Whoever is behind it in line may need less.
            if !sabotage::is_on(Sabotage::LoseWakeUp) {
                lanes.admit();
            }
        }
    }
}

impl std::fmt::Debug for Accept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Accept").field("waiting", &self.is_waiting()).finish()
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
    let waker = lane::waker_of_this_thread();
    let mut context = Context::from_waker(&waker);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return Ok(output),
            Poll::Pending => std::thread::park(),
        }
    }
}

/// As configured, or else as Java names it.
fn client_id_of(config: &ProducerConfig) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    match (&config.client_id, &config.transactional_id) {
        (Some(id), _) => id.clone(),
        (None, Some(id)) => format!("producer-{id}"),
        (None, None) => format!("producer-{}", NEXT.fetch_add(1, Ordering::Relaxed)),
    }
}

fn listener(config: &ProducerConfig) -> Result<Option<Listener>, StartError> {
    let Some(address) = &config.metrics_prometheus_listen else { return Ok(None) };
    match Listener::bind(address) {
        Ok(listener) => Ok(Some(listener)),
        Err(source) => Err(StartError::MetricsListen { address: address.clone(), source }),
    }
}
