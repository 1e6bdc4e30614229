//! Records that wait in line.

use super::*;
use crate::error::Stage;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Wake;

/// Time that is moved by hand, in seconds.
#[derive(Default)]
struct Hand(AtomicU64);

impl Clock for Hand {
    fn now(&self) -> Instant {
        Instant::from_nanos(self.0.load(Ordering::Relaxed) * 1_000_000_000)
    }

    fn wall_ms(&self) -> i64 {
        Standing.wall_ms()
    }

    fn tick(&self) -> u64 {
        0
    }
}

#[test]
fn a_dropped_accept_lets_the_next_in_line_through() {
    let lane = lane(1000);
    let Submitted::Accepted(_) = lane.submit(&order("fits"), None, true) else { panic!("there is room") };
    let large = "x".repeat(850);
    let Submitted::Waiting(first) = lane.submit(&order(&large), None, true) else { panic!("there is no room") };
    let Submitted::Waiting(second) = lane.submit(&order("small"), None, true) else {
        panic!("nobody is overtaken, however small")
    };
    assert!(matches!(refusal(lane.submit(&order("s"), None, false)), ProduceError::BufferFull));
    assert!(matches!(second.poll(Waker::noop()), Poll::Pending));
    first.cancel();
    lane.admit();
    assert!(matches!(second.poll(Waker::noop()), Poll::Ready(Ok(_))));
}

#[test]
fn closing_refuses_those_in_line() {
    let lane = lane(1000);
    let large = "x".repeat(800);
    let Submitted::Accepted(_) = lane.submit(&order(&large), None, true) else { panic!("there is room") };
    let Submitted::Waiting(waiter) = lane.submit(&order(&large), None, true) else { panic!("there is no room") };
    lane.close();
    assert!(matches!(waiter.poll(Waker::noop()), Poll::Ready(Err(ProduceError::Closed { .. }))));
    assert!(matches!(refusal(lane.submit(&order("late"), None, true)), ProduceError::Closed { .. }));
}

/// Behind a record that came later but whose topic was known, it has waited for longer than those before it.
#[test]
fn who_waited_for_metadata_first_waits_no_longer_for_memory() {
    let clock = Arc::new(Hand::default());
    let lane = lane_with(1000, Arc::clone(&clock) as Arc<dyn Clock>, |_| ());
    let large = "x".repeat(800);
    let Submitted::Accepted(_) = lane.submit(&order(&large), None, true) else { panic!("there is room") };
    let rare = Record::to("rare").value(&large);
    let Submitted::Waiting(rare) = lane.submit(&rare, None, true) else { panic!("its topic is not known") };
    clock.0.store(50, Ordering::Relaxed);
    let Submitted::Waiting(second) = lane.submit(&order(&large), None, true) else { panic!("there is no room") };
    clock.0.store(55, Ordering::Relaxed);
    lane.topic_settled("rare", &Ok(()));
    assert!(rare.poll(Waker::noop()).is_pending());
    clock.0.store(60, Ordering::Relaxed);
    let next = lane.expire_waiting(clock.now());
    let Poll::Ready(Err(error)) = rare.poll(Waker::noop()) else { panic!("its max.block.ms is over") };
    assert!(matches!(error, ProduceError::Timeout { stage: Stage::Memory, key: "max.block.ms", .. }), "{error}");
    assert!(second.poll(Waker::noop()).is_pending());
    assert_eq!(next, Some(Instant::from_nanos(110_000_000_000)), "then it is the other's turn");
}

/// Wakes by asking the lane for something at once, as an executor may that runs a task where it is woken.
struct Asks(Arc<Shared>, std::sync::mpsc::Sender<bool>);

impl Wake for Asks {
    fn wake(self: Arc<Self>) {
        let accepted = matches!(self.0.submit(&order("x"), None, false), Submitted::Accepted(_));
        self.1.send(accepted).unwrap();
    }
}

#[test]
fn who_is_admitted_may_send_from_where_it_is_woken() {
    let lane = lane(2000);
    let held = lane.memory.take(1500);
    let large = "x".repeat(800);
    let Submitted::Waiting(waiter) = lane.submit(&order(&large), None, true) else { panic!("there is no room") };
    let (asked, answers) = std::sync::mpsc::channel();
    let waker = Waker::from(Arc::new(Asks(Arc::clone(&lane), asked)));
    assert!(waiter.poll(&waker).is_pending());
    drop(held);
    let admitting = Arc::clone(&lane);
    let thread = std::thread::spawn(move || admitting.admit());
    assert!(answers.recv_timeout(Duration::from_secs(30)).expect("it is woken without any lock"));
    thread.join().unwrap();
}

#[test]
fn what_kafka_cannot_carry_is_refused_before_it_is_copied() {
    let lane = lane(1 << 33);
    // Never touched, so it takes no memory.
    let huge = vec![0; 1 << 31];
    let record = Record::to("orders").value(&huge);
    let error = refusal(lane.submit(&record, None, true));
    assert!(matches!(error, ProduceError::TooLarge { limit: 2_147_483_647, .. }), "{error}");
    for timestamp in [-1, i64::MIN] {
        let record = order("x").timestamp(timestamp);
        let error = refusal(lane.submit(&record, None, true));
        assert_eq!(error, ProduceError::Timestamp { topic: "orders".into(), timestamp });
    }
}

/// What is begun while someone waits for memory must not linger: nobody else would end it.
#[test]
fn a_batch_that_is_begun_while_memory_is_short_does_not_linger() {
    let lane = lane(2000);
    let large = "x".repeat(800);
    for _ in 0..2 {
        let Submitted::Accepted(_) = lane.submit(&order(&large), None, true) else { panic!("there is room") };
    }
    let Submitted::Waiting(_) = lane.submit(&order(&large), None, true) else { panic!("there is no room") };
    let thread = start(Arc::clone(&lane), Chain::default(), Duration::from_secs(120)).expect("a thread");
    lane.stop();
    thread.join().unwrap();
    let mut core = lane.core.lock().unwrap();
    assert!(!core.is_idle());
    let mut actions = std::iter::from_fn(|| core.poll_action());
    assert!(actions.any(|action| matches!(action, Action::Connect { .. })), "its leader is not wanted");
}

/// It looked at the line first, once, and then waited for the core's lock while somebody got in line and the topic was opened.
#[test]
fn who_waits_for_the_core_s_lock_meanwhile_overtakes_nobody() {
    let lane = lane_with(1 << 20, Arc::new(Standing), |config| config.direct = true);
    assert!(matches!(lane.submit(&order("opens a batch"), None, true), Submitted::Accepted(_)));
    assert!(lane.take(&order("alone")).is_some());
    std::thread::scope(|scope| {
        let core = lane.lock_core();
        let sender = scope.spawn(|| lane.take(&order("late")).is_some());
        // So that it is there; had it come later, it would find the line all the same.
        std::thread::sleep(Duration::from_millis(20));
        lane.set_waiting(1);
        drop(core);
        assert!(!sender.join().unwrap());
    });
    lane.set_waiting(0);
    assert!(lane.take(&order("nobody waits any more")).is_some());
}
