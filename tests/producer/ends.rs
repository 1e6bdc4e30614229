//! How producers end: asked for once or more, from outside or from a thread of their own.

use super::{Broker, PATIENCE};
use krafka::error::ErrorCode;
use krafka::testing::{ApiKey, Control};
use pointsman::error::Fate;
use pointsman::{CloseError, ProduceError, Producer, Record};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

/// Says when it is dropped.
struct Gone(Sender<()>);

impl Drop for Gone {
    fn drop(&mut self) {
        let _ = self.0.send(());
    }
}

/// The last clone of a producer. Fields are dropped in this order: who hears of the end knows that the drop returned.
struct Last {
    _producer: Producer,
    _gone: Gone,
}

fn last(producer: &Producer) -> (Last, Receiver<()>) {
    let (gone, heard) = mpsc::channel();
    (Last { _producer: producer.clone(), _gone: Gone(gone) }, heard)
}

/// A record that waits for its topic's metadata, whose callback owns the last clone of its producer.
fn waits_with_the_last_clone(producer: Producer, topic: &str) -> (pointsman::Accept, Receiver<()>) {
    let (last, heard) = last(&producer);
    let accept = producer.send_with(&Record::to(topic).value("x"), move |_| drop(last));
    assert!(accept.is_waiting());
    (accept, heard)
}

#[test]
fn an_accept_may_be_dropped_whose_callback_owns_the_last_clone() {
    let broker = Broker::start();
    broker.broker.on(ApiKey::Metadata, |_| Control::Silence);
    let (accept, heard) = waits_with_the_last_clone(broker.producer(&[]), "orders");
    std::thread::spawn(move || drop(accept));
    heard.recv_timeout(PATIENCE).expect("the drop returns");
}

/// By the lane's thread, which looks after those who wait for too long.
#[test]
fn a_record_may_be_refused_in_time_whose_callback_owns_the_last_clone() {
    let broker = Broker::start();
    broker.broker.on(ApiKey::Metadata, |_| Control::Silence);
    let producer = broker.producer(&[("max.block.ms", "200")]);
    let (accept, heard) = waits_with_the_last_clone(producer, "orders");
    heard.recv_timeout(PATIENCE).expect("the drop returns");
    assert!(super::pollster(accept).is_err());
}

/// By the driver's thread, which learns that the topic cannot be used.
#[test]
fn a_topic_may_be_refused_with_a_callback_that_owns_the_last_clone() {
    let broker = Broker::start();
    broker.broker.on(ApiKey::Metadata, |_| Control::Error(ErrorCode::TopicAuthorizationFailed));
    let (accept, heard) = waits_with_the_last_clone(broker.producer(&[]), "orders");
    heard.recv_timeout(PATIENCE).expect("the drop returns");
    let error = super::pollster(accept).unwrap_err();
    assert!(error.to_string().contains("TOPIC_AUTHORIZATION_FAILED"), "{error}");
}

/// Somebody's task, which goes with its last waker, and the producer with the task.
struct Task(Mutex<Option<Last>>);

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        drop(self.0.lock().unwrap().take());
    }
}

#[test]
fn the_last_clone_may_go_on_the_thread_that_wakes() {
    let broker = Broker::start();
    let (arrived, arrival) = mpsc::channel();
    broker.broker.on(ApiKey::Produce, move |_| {
        let _ = arrived.send(());
        Control::Delay(Duration::from_secs(1))
    });
    let producer = broker.producer(&[("linger.ms", "0")]);
    let mut delivery = Box::pin(producer.send_blocking(&Record::to("orders").value("x")).unwrap());
    let (last, heard) = last(&producer);
    drop(producer);
    arrival.recv_timeout(PATIENCE).unwrap();
    let waker = Waker::from(Arc::new(Task(Mutex::new(Some(last)))));
    assert!(delivery.as_mut().poll(&mut Context::from_waker(&waker)).is_pending(), "it is not answered yet");
    heard.recv_timeout(PATIENCE).expect("the drop returns");
    assert!(matches!(delivery.try_result(), Some(Ok(_))));
}

/// Answers nothing the first time.
fn slow(broker: &Broker) -> Receiver<()> {
    let (arrived, arrival) = mpsc::channel();
    let count = AtomicUsize::new(0);
    broker.broker.on(ApiKey::Produce, move |_| match count.fetch_add(1, Ordering::Relaxed) {
        0 => {
            let _ = arrived.send(());
            Control::Silence
        }
        _ => Control::Pass,
    });
    arrival
}

#[test]
fn who_closes_second_waits_for_the_end_too() {
    let broker = Broker::start();
    let arrival = slow(&broker);
    let producer = broker.producer(&[("linger.ms", "0"), ("request.timeout.ms", "1000")]);
    let delivery = producer.send_blocking(&Record::to("orders").value("x")).unwrap();
    arrival.recv_timeout(PATIENCE).unwrap();
    let closing: Vec<_> = (0..3)
        .map(|_| {
            let producer = producer.clone();
            std::thread::spawn(move || producer.close_blocking(PATIENCE))
        })
        .collect();
    for closed in closing {
        assert_eq!(closed.join().unwrap(), Ok(()));
        assert!(matches!(delivery.try_result(), Some(Ok(_))), "whoever returns, it is delivered");
    }
    assert_eq!(producer.close_blocking(PATIENCE), Ok(()));
}

#[test]
fn who_closes_second_with_less_patience_ends_it_for_both() {
    let broker = Broker::start();
    let (arrived, arrival) = mpsc::channel();
    broker.broker.on(ApiKey::Produce, move |_| {
        let _ = arrived.send(());
        Control::Silence
    });
    let producer = broker.producer(&[("linger.ms", "0")]);
    let delivery = producer.send_blocking(&Record::to("orders").value("x")).unwrap();
    arrival.recv_timeout(PATIENCE).unwrap();
    let patient = producer.clone();
    let patient = std::thread::spawn(move || patient.close_blocking(Duration::MAX));
    while producer.send_blocking(&Record::to("orders").value("y")).is_ok() {
        std::thread::yield_now();
    }
    let undelivered = |closed| matches!(closed, Err(CloseError::Undelivered { batches: 1.. }));
    assert!(undelivered(producer.close_blocking(Duration::ZERO)));
    assert!(undelivered(patient.join().unwrap()), "it was not delivered");
    let error = delivery.wait().unwrap_err();
    assert!(matches!(error, ProduceError::Closed { fate: Fate::Unknown, .. }), "{error}");
    assert!(undelivered(producer.close_blocking(PATIENCE)), "nor is it later");
}

#[test]
fn a_close_in_a_callback_fails_what_is_left_and_others_may_wait_for_its_end() {
    let broker = Broker::start();
    // The first is answered, the others never.
    let count = AtomicUsize::new(0);
    broker.broker.on(ApiKey::Produce, move |_| match count.fetch_add(1, Ordering::Relaxed) {
        0 => Control::Pass,
        _ => Control::Silence,
    });
    let producer = broker.producer(&[("compression.type", "zstd"), ("batch.size", "1000"), ("linger.ms", "0")]);
    let (result, closed) = mpsc::channel();
    let closing = producer.clone();
    let first = Record::to("orders").partition(0).value("first");
    let first = producer.send_with_blocking(&first, move |_| {
        let _ = result.send(super::pollster(closing.close(PATIENCE)));
    });
    let mut deliveries = vec![first.unwrap()];
    let value = vec![7; 500];
    while let Ok(delivery) = producer.send_blocking(&Record::to("orders").partition(0).value(&value)) {
        deliveries.push(delivery);
    }
    let in_callback = closed.recv_timeout(PATIENCE).expect("it does not wait for itself");
    let outcome = producer.close_blocking(PATIENCE);
    assert_eq!(outcome, in_callback, "one end, one outcome");
    let told = deliveries.iter().map(|delivery| delivery.try_result().expect("after the end every fate is known"));
    let told: Vec<bool> = told.map(|told| told.is_ok()).collect();
    assert!(told[0] && !told[told.len() - 1] && told.is_sorted_by(|a, b| a >= b), "{told:?}");
}

/// Who waited there would wait for itself: the memory comes back behind it in line.
#[test]
fn a_send_in_a_callback_that_finds_the_buffer_full_is_refused_at_once() {
    let broker = Broker::start();
    // The first is answered, the others never.
    let count = AtomicUsize::new(0);
    broker.broker.on(ApiKey::Produce, move |_| match count.fetch_add(1, Ordering::Relaxed) {
        0 => Control::Pass,
        _ => Control::Silence,
    });
    let producer = broker.producer(&[("buffer.memory", "50000"), ("batch.size", "1000"), ("linger.ms", "0")]);
    let (refuse, refused) = mpsc::channel();
    let again = producer.clone();
    let first = Record::to("orders").partition(0).value("first");
    let first = producer.send_with_blocking(&first, move |_| {
        let value = vec![7; 500];
        let record = Record::to("orders").partition(0).value(&value);
        let full = std::iter::repeat_with(|| super::pollster(again.send(&record))).find_map(Result::err);
        let _ = refuse.send((full, again.send_blocking(&record).err()));
    });
    drop(first.unwrap());
    let found = refused.recv_timeout(PATIENCE).expect("nothing waits in a callback");
    assert_eq!(found, (Some(ProduceError::BufferFull), Some(ProduceError::BufferFull)));
    let _ = producer.close_blocking(Duration::ZERO);
}

#[test]
fn patience_may_be_endless() {
    let broker = Broker::start();
    let producer = broker.producer(&[]);
    let delivery = producer.send_blocking(&Record::to("orders").value("x")).unwrap();
    delivery.wait_timeout(Duration::MAX).unwrap().unwrap();
    producer.close_blocking(Duration::MAX).unwrap();
}
