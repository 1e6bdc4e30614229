//! The embedded broker, and a consumer to read back with. Both are krafka's, on a runtime of their own, so that what
//! they cost is not taken for the producer's.

use crate::cli::stopwatch::Stopwatch;
use anyhow::{Context, Result, anyhow, ensure};
use krafka::Kafka;
use krafka::consumer::AutoOffsetReset;
use krafka::testing::FakeBroker;
use rustix::time::{ClockId, Timespec, clock_gettime};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// A broker on a thread of its own, until it is dropped.
pub(super) struct Broker {
    address: String,
    handle: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// A record that was read back.
pub(super) struct Read {
    pub(super) partition: i32,
    pub(super) key: String,
    pub(super) value: String,
    pub(super) traceparent: Option<String>,
}

impl Broker {
    /// Starts it, with these topics.
    pub(super) fn start(topics: &'static [&'static str], partitions: i32) -> Result<Broker> {
        let (stop, stopped) = oneshot::channel();
        let (tell, started) = mpsc::channel();
        let serve = move || {
            let runtime = match Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => return drop(tell.send(Err(anyhow!(error)))),
            };
            runtime.block_on(async {
                match FakeBroker::start().await {
                    Ok(broker) => {
                        for topic in topics {
                            broker.create_topic(topic, partitions);
                        }
                        let _ = tell.send(Ok((broker.bootstrap_servers(), Handle::current())));
                        let _ = stopped.await;
                    }
                    Err(error) => drop(tell.send(Err(anyhow!(error)))),
                }
            });
        };
        let thread = thread::Builder::new().name("broker".to_owned()).spawn(serve)?;
        let (address, handle) =
            started.recv().context("its thread ended").and_then(|started| started).context("no embedded broker")?;
        Ok(Broker { address, handle, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it listens.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// The processor time that its thread has used.
    pub(super) fn cpu(&self) -> Result<Duration> {
        let (tell, told) = mpsc::channel();
        // The runtime has one thread, so the task runs on it.
        self.handle.spawn(async move {
            let _ = tell.send(since_start(clock_gettime(ClockId::ThreadCPUTime)));
        });
        told.recv().context("the embedded broker has ended")
    }

    /// Reads a topic from its beginning: so many records, and whatever comes in the moment after them.
    pub(super) fn read(&self, topic: &str, partitions: i32, count: usize) -> Result<Vec<Read>> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let kafka = Kafka::builder(self.address.clone()).connect().await?;
            let consumer = kafka.consumer_without_group().auto_offset_reset(AutoOffsetReset::Earliest).build().await?;
            consumer.assign(topic, (0..partitions).collect()).await?;
            let mut read = Vec::with_capacity(count);
            let started = Stopwatch::start();
            loop {
                let is_all = read.len() >= count;
                let wait = if is_all { Duration::from_millis(200) } else { Duration::from_secs(1) };
                let records = consumer.poll(wait).await?;
                if is_all && records.is_empty() {
                    break;
                }
                ensure!(started.elapsed() < READ_PATIENCE, "only {} of {count} records could be read back", read.len());
                for record in records {
                    let trace = record.headers.iter().find(|(name, _)| name == "traceparent");
                    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                    read.push(Read {
                        partition: record.partition,
                        key: record.key.as_deref().map(text).unwrap_or_default(),
                        value: record.value.as_deref().map(text).unwrap_or_default(),
                        traceparent: trace.and_then(|(_, value)| value.as_deref()).map(text),
                    });
                }
            }
            consumer.close().await?;
            Ok(read)
        })
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A broker that panicked has said so.
            let _ = thread.join();
        }
    }
}

/// A clock that counts from a start as a duration.
pub(super) fn since_start(time: Timespec) -> Duration {
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

const READ_PATIENCE: Duration = Duration::from_secs(60);
