//! The driver with the real core, against a small broker on real sockets; and with a core that panics.

use super::*;
use crate::core::{Append, Core, CoreConfig, Outcome, Placement, Sealed, TopicHandle, TopicStatus, Unsealed};
use crate::net::test_brokers::{SmallKafka, nobody};
use crate::protocol::messages::{ApiVersions, Response};
use crate::protocol::record_batch::NO_HEADERS;
use bytes::Bytes;
use kafka_protocol::records::RecordBatchDecoder;
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

/// What a driver said, in order.
#[derive(Debug)]
enum Said {
    Done(Vec<(u32, Outcome)>),
    Topic(Result<(), ProduceError>),
    Flushed,
    Died(String),
}

struct Recorder {
    said: Sender<Said>,
    panics_at_done: bool,
}

impl Events for Recorder {
    fn transaction(&mut self, _: TransactionCall, _: Result<(), TransactionError>) {}

    fn transaction_late(&mut self, _: TransactionCall, _: TransactionError) {}

    fn done(&mut self, done: Done) {
        assert!(!self.panics_at_done, "a plugin of the test");
        let outcomes = done.runs.iter().map(|run| (run.count, run.outcome.clone())).collect();
        done.complete();
        let _ = self.said.send(Said::Done(outcomes));
    }

    fn topic(&mut self, _: Arc<str>, outcome: Result<(), ProduceError>) {
        let _ = self.said.send(Said::Topic(outcome));
    }

    fn topology(&mut self, _: Arc<str>, _: usize) {}

    fn flushed(&mut self, _: u64) {
        let _ = self.said.send(Said::Flushed);
    }

    fn pass_ended(&mut self) {}

    fn driver_died(&mut self, reason: &str) {
        let _ = self.said.send(Said::Died(reason.to_owned()));
    }
}

struct Rig<M> {
    core: Arc<Mutex<M>>,
    clock: Clock,
    handle: DriverHandle,
    said: Receiver<Said>,
}

impl<M: Machine> Rig<M> {
    fn start(bootstrap: SocketAddr, acks: i16, panics_at_done: bool, machine: impl FnOnce(Core) -> M) -> Rig<M> {
        let clock = Clock::new();
        let config = CoreConfig {
            bootstrap: vec![(bootstrap.ip().to_string(), bootstrap.port())],
            acks,
            idempotence: acks == -1,
            reconnect_backoff: Duration::from_millis(1),
            retry_backoff: Duration::from_millis(1),
            ..CoreConfig::default()
        };
        let core = Arc::new(Mutex::new(machine(Core::new(config, 1, clock.now()))));
        let (sender, said) = channel();
        let events = Recorder { said: sender, panics_at_done };
        let handle = start(Arc::clone(&core), NetConfig::default(), clock, Waker::new(), events).unwrap();
        Rig { core, clock, handle, said }
    }

    /// The limit only ends a test that would hang.
    fn next(&self) -> Said {
        self.said.recv_timeout(Duration::from_secs(60)).expect("the driver says something")
    }
}

impl Rig<Core> {
    fn topic(&self) -> TopicHandle {
        let ask = || {
            let status = self.core.lock().unwrap().topic(self.clock.now(), "orders");
            self.handle.wake();
            status
        };
        match ask() {
            TopicStatus::Ready(topic) => topic,
            TopicStatus::Pending => {
                assert!(matches!(self.next(), Said::Topic(Ok(()))));
                let TopicStatus::Ready(topic) = ask() else { panic!("it is there") };
                topic
            }
        }
    }

    fn append(&self, topic: TopicHandle, partition: i32, value: &[u8]) {
        let now = self.clock.now();
        let record = Append {
            topic,
            placement: Placement::Partition(partition),
            timestamp: self.clock.wall_ms(),
            accepted: None,
            key: None,
            value: Some(value),
            value_buffer: None,
            headers: NO_HEADERS,
            token: None,
        };
        self.core.lock().unwrap().append(|| now, &record).unwrap();
        self.handle.wake();
    }

    /// Flushes; returns the outcomes up to then, as records by outcome.
    fn flush(&self) -> Vec<(u32, Outcome)> {
        self.core.lock().unwrap().flush(self.clock.now());
        self.handle.wake();
        let mut outcomes = Vec::new();
        loop {
            match self.next() {
                Said::Done(runs) => outcomes.extend(runs),
                Said::Flushed => return outcomes,
                other => panic!("{other:?}"),
            }
        }
    }
}

fn as_it_is(_: i16, _: usize, answer: Vec<u8>) -> Option<Vec<u8>> {
    Some(answer)
}

/// Values by partition, as they stand in the broker's log.
fn values(kafka: &SmallKafka, partition: i32) -> Vec<Bytes> {
    let log = kafka.log.lock().unwrap();
    let mut values = Vec::new();
    for batch in log.iter().filter(|batch| batch.partition == partition) {
        let set = RecordBatchDecoder::decode(&mut batch.bytes.clone()).unwrap();
        values.extend(set.records.into_iter().map(|record| record.value.unwrap()));
    }
    values
}

#[test]
fn records_reach_the_broker_in_order_and_every_one_is_acknowledged() {
    let kafka = SmallKafka::start(3, as_it_is);
    let rig = Rig::start(kafka.address, -1, false, |core| core);
    let topic = rig.topic();
    let value = |number: usize| {
        let mut value = number.to_string().into_bytes();
        value.resize(value.len() + [0, 10, 3_000, 200_000][number % 4], b' ');
        value
    };
    for number in 0..400 {
        rig.append(topic, (number % 3) as i32, &value(number));
    }
    let outcomes = rig.flush();
    assert!(outcomes.iter().all(|(_, outcome)| matches!(outcome, Outcome::Written { base_offset: Some(_), .. })));
    assert_eq!(outcomes.iter().map(|(count, _)| count).sum::<u32>(), 400);
    for partition in 0..3 {
        let expected: Vec<_> = (0..400).skip(partition).step_by(3).map(|number| Bytes::from(value(number))).collect();
        assert!(values(&kafka, partition as i32) == expected, "partition {partition}");
    }
    rig.handle.join();
}

#[test]
fn without_acks_a_record_is_done_when_the_socket_has_it() {
    let kafka = SmallKafka::start(1, as_it_is);
    let rig = Rig::start(kafka.address, 0, false, |core| core);
    let topic = rig.topic();
    rig.append(topic, 0, b"fire and forget");
    let outcomes = rig.flush();
    assert_eq!(outcomes, [(1, Outcome::Written { base_offset: None, log_append_time: None })]);
    rig.handle.join();
}

#[test]
fn a_broker_that_hangs_up_is_connected_again_and_the_batch_sent_again() {
    let hung_up = std::sync::atomic::AtomicBool::new(false);
    let kafka = SmallKafka::start(1, move |api, _, answer| {
        let first = api == 0 && !hung_up.swap(true, std::sync::atomic::Ordering::SeqCst);
        (!first).then_some(answer)
    });
    let rig = Rig::start(kafka.address, -1, false, |core| core);
    let topic = rig.topic();
    rig.append(topic, 0, b"again");
    let outcomes = rig.flush();
    assert!(matches!(outcomes[..], [(1, Outcome::Written { .. })]), "{outcomes:?}");
    // The small broker keeps what it got before it hung up, a real one sees that the sequence is the same.
    assert_eq!(values(&kafka, 0), ["again", "again"]);
    rig.handle.join();
}

#[test]
fn an_advertised_listener_that_cannot_be_reached_is_named_with_its_node() {
    let kafka = SmallKafka::start(1, as_it_is);
    let wrong = nobody();
    *kafka.advertised.lock().unwrap() = wrong;
    let rig = Rig::start(kafka.address, -1, false, |core| core);
    let topic = rig.topic();
    rig.append(topic, 0, b"lost");
    let expected = format!("broker 1 advertises {wrong}, which cannot be reached: {wrong}: connection refused");
    while rig.core.lock().unwrap().topic_trouble("orders").as_ref() != Some(&expected) {
        std::thread::yield_now();
    }
    rig.core.lock().unwrap().abandon();
    rig.handle.wake();
    assert!(matches!(rig.next(), Said::Done(_)));
    rig.handle.join();
}

#[test]
fn what_the_core_has_at_shutdown_is_still_passed_on() {
    // It takes batches and says nothing to them.
    let kafka = SmallKafka::start(1, |api, _, answer| Some(if api == 0 { Vec::new() } else { answer }));
    let rig = Rig::start(kafka.address, -1, false, |core| core);
    let topic = rig.topic();
    rig.append(topic, 0, b"too late");
    {
        let mut core = rig.core.lock().unwrap();
        core.abandon();
        rig.handle.shutdown();
    }
    assert!(matches!(&rig.next(), Said::Done(runs) if matches!(runs[..], [(1, Outcome::Failed(_))])));
    rig.handle.join();
}

#[test]
fn an_event_that_panics_ends_the_driver_and_it_says_so() {
    let rig = Rig::start(SmallKafka::start(2, as_it_is).address, -1, true, |core| core);
    let topic = rig.topic();
    rig.append(topic, 0, b"first");
    rig.append(topic, 1, b"second");
    rig.core.lock().unwrap().expedite(rig.clock.now());
    rig.handle.wake();
    assert!(matches!(rig.next(), Said::Died(reason) if reason == "the driver panicked: a plugin of the test"));
    // What the driver held went back: whoever abandons the core finds everything.
    let mut core = rig.core.lock().unwrap();
    core.abandon();
    assert!(core.is_idle());
    drop(core);
    rig.handle.join();
}

#[test]
fn the_end_of_a_connections_task_is_told_even_if_it_panics() {
    let config = CoreConfig { bootstrap: vec![("localhost".to_owned(), 9092)], ..CoreConfig::default() };
    let Some(Action::Connect { connection, node, host, port }) = Core::new(config, 1, Instant::default()).poll_action()
    else {
        panic!("it wants to connect")
    };
    let inbox = Rc::new(Inbox::new(Waker::new()));
    let peer = Rc::new(Peer::new(node, &host, port));
    drop(Report { id: connection, inbox: Rc::clone(&inbox), peer, made: false });
    let mut told = Vec::new();
    inbox.swap(&mut told);
    let Some((from, Inbound::Lost(cause))) = told.pop() else { panic!("it is told") };
    assert_eq!(from, connection);
    assert_eq!(cause.to_string(), "bootstrap server localhost:9092: the connection was given up");
}

/// A core with a mistake.
struct Panicking(Core);

#[test]
fn a_core_that_panics_ends_the_driver_and_it_says_so() {
    let rig = Rig::start(SmallKafka::start(1, as_it_is).address, -1, false, Panicking);
    assert!(matches!(rig.next(), Said::Died(reason) if reason == "the driver panicked: a mistake of the test"));
    assert!(rig.core.is_poisoned());
    rig.handle.join();
}

impl Machine for Panicking {
    type Unsealed = Unsealed;
    type Sealed = Sealed;

    fn seal(unsealed: Unsealed) -> Sealed {
        unsealed.seal()
    }
    fn is_costly(unsealed: &Unsealed) -> bool {
        unsealed.is_costly()
    }
    fn handle_connected(&mut self, _: Instant, _: ConnectionId, _: ApiVersions) {
        panic!("a mistake of the test");
    }
    fn handle_disconnected(&mut self, _: Instant, _: ConnectionId, _: String) {}
    fn handle_refused(&mut self, _: Instant, _: ConnectionId, _: String) {}
    fn handle_response(&mut self, _: Instant, _: ConnectionId, _: i32, _: Response) {}
    fn handle_written(&mut self, _: Instant, _: ConnectionId, _: i32) {}
    fn handle_timeout(&mut self, _: Instant) {}
    fn handle_sealed(&mut self, now: Instant, sealed: Sealed) {
        self.0.handle_sealed(now, sealed);
    }
    fn poll_action(&mut self) -> Option<Action> {
        self.0.poll_action()
    }
    fn poll_seal(&mut self, now: Instant) -> Option<Unsealed> {
        self.0.poll_seal(now)
    }
    fn poll_transmit(&mut self, now: Instant) -> Option<Transmit> {
        self.0.poll_transmit(now)
    }
    fn poll_timeout(&mut self) -> Option<Instant> {
        None
    }
}

/// A second opinion: this broker was written by others, and checks sequences. It speaks Produce 10 to 12.
#[cfg(feature = "embedded-broker")]
mod against_krafka {
    use super::*;
    use crate::net::admin::BlockingAdmin;
    use crate::protocol::codec::create_topics::NewTopic;
    use krafka::testing::{ApiKey, Control, FakeBroker};

    /// Lives on a thread of its own until the process ends.
    fn broker(nodes: usize) -> Arc<FakeBroker> {
        let (sender, receiver) = channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                sender.send(Arc::new(FakeBroker::start_cluster(nodes).await.unwrap())).unwrap();
                std::future::pending::<()>().await;
            });
        });
        receiver.recv().unwrap()
    }

    fn create(broker: &FakeBroker, partitions: i32) -> SocketAddr {
        let address = broker.broker_addr(0).unwrap();
        let servers = [(address.ip().to_string(), address.port())];
        let mut admin = BlockingAdmin::connect(&servers, NetConfig::default(), Duration::from_secs(30)).unwrap();
        assert_eq!(admin.missing_topics(&["orders"]).unwrap(), ["orders"]);
        let topic = NewTopic { name: "orders".to_owned(), partitions, replication_factor: 1, configs: Vec::new() };
        let created = admin.create_topics(vec![topic.clone()]).unwrap();
        admin.created(&created[0], false).unwrap();
        let created = admin.create_topics(vec![topic]).unwrap();
        admin.created(&created[0], true).unwrap();
        let described = admin.describe_topics(&["orders"]).unwrap();
        assert_eq!(described[0].partitions.len(), partitions as usize);
        address
    }

    fn deliver(broker: &FakeBroker, address: SocketAddr) {
        let rig = Rig::start(address, -1, false, |core| core);
        let topic = rig.topic();
        for number in 0..3_000 {
            rig.append(topic, number % 6, format!("order {number}").as_bytes());
        }
        let mut offsets = 0;
        for (count, outcome) in rig.flush() {
            assert!(matches!(outcome, Outcome::Written { base_offset: Some(_), .. }), "{outcome:?}");
            offsets += count;
        }
        assert_eq!(offsets, 3_000);
        assert!(
            broker.requests().iter().any(|request| request.api_key == ApiKey::Produce && request.api_version == 12)
        );
        rig.handle.join();
    }

    #[test]
    fn records_of_three_brokers_are_acknowledged() {
        let broker = broker(3);
        let address = create(&broker, 6);
        deliver(&broker, address);
    }

    #[test]
    fn batches_whose_answer_was_lost_are_not_doubled() {
        let broker = broker(1);
        let address = create(&broker, 6);
        broker.on_times(ApiKey::Produce, 2, |_| Control::ApplyThen(Box::new(Control::Disconnect)));
        deliver(&broker, address);
        let end: i64 =
            broker.with_state(|state| (0..6).map(|at| state.partition("orders", at).unwrap().next_offset).sum());
        assert_eq!(end, 3_000);
    }
}
