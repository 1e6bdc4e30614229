//! When the shell has to come.

use super::*;

const LINGER: Duration = Duration::from_millis(5);

/// A core with a topic of partitions whose brokers answer when they are told to.
struct Slow {
    rig: Rig,
    topic: TopicHandle,
    told: Option<Instant>,
    /// Batches that went out.
    sent: usize,
}

impl Slow {
    fn new(linger: Duration) -> Slow {
        Slow::of(linger, vec![1; 6])
    }

    /// With these leaders of the partitions.
    fn of(linger: Duration, leaders: Vec<i32>) -> Slow {
        let config = CoreConfig { idempotence: false, batch_size: 16_384, max_in_flight: 100, ..CoreConfig::default() };
        let mut rig = Rig::new(config, &[("orders", leaders)]);
        let topic = rig.topic("orders");
        rig.append(topic, Placement::Partition(0)).unwrap();
        rig.append(topic, Placement::Partition(1)).unwrap();
        rig.core.config.linger = linger;
        let mut slow = Slow { rig, topic, told: None, sent: 0 };
        slow.come();
        slow
    }

    /// What the shell does.
    fn come(&mut self) {
        let (core, now) = (&mut self.rig.core, self.rig.now);
        if self.told.is_some_and(|told| told <= now) {
            core.handle_timeout(now);
        }
        while let Some(unsealed) = core.poll_seal(now) {
            core.handle_sealed(now, unsealed.seal());
        }
        while let Some(transmit) = core.poll_transmit(now) {
            if let Request::Produce(request) = transmit.request {
                self.sent += request.topics.iter().map(|topic| topic.partitions.len()).sum::<usize>();
            }
        }
        self.told = core.poll_timeout();
    }

    /// Appends so many bytes, and seals what they filled. Whether the shell is called.
    fn append(&mut self, partition: i32, bytes: usize) -> bool {
        let value = vec![7; bytes];
        let record = Append {
            value: Some(&value),
            accepted: None,
            ..record(self.topic, Placement::Partition(partition), self.rig.now)
        };
        self.rig.core.append(|| self.rig.now, &record).unwrap();
        while let Some(full) = self.rig.core.poll_full() {
            self.rig.core.handle_sealed(self.rig.now, full.seal());
        }
        self.rig.core.has_news()
    }

    fn sent(&self) -> usize {
        self.sent
    }
}

#[test]
fn of_the_first_batch_the_shell_hears_and_of_the_next_ones_not_before_their_time() {
    let mut slow = Slow::new(LINGER);
    assert!(slow.append(0, 100), "its linger is to be waited for");
    slow.come();
    assert_eq!(slow.told, Some(slow.rig.now + LINGER));
    slow.rig.now = slow.rig.now + LINGER / 2;
    assert!(!slow.append(0, 100));
    assert!(!slow.append(1, 100), "the shell comes before its linger is over");
    let before = slow.sent();
    slow.rig.now = slow.rig.now + LINGER / 2;
    slow.come();
    assert_eq!(slow.sent(), before + 2, "the other one goes along");
    assert!(slow.told.is_none_or(|told| told > slow.rig.now + LINGER), "nothing lingers any more");
}

#[test]
fn a_full_batch_takes_nothing_along_that_lingers() {
    let mut slow = Slow::new(LINGER);
    slow.append(0, 100);
    slow.append(1, 20_000);
    let before = slow.sent();
    slow.come();
    assert_eq!(slow.sent(), before + 1);
    assert_eq!(slow.told, Some(slow.rig.now + LINGER));
}

#[test]
fn what_lingers_for_another_broker_does_not_go_along() {
    let mut slow = Slow::of(LINGER, vec![1, 2, 1, 2]);
    for partition in [1, 0, 2] {
        slow.append(partition, 100);
        slow.come();
        slow.rig.now = slow.rig.now + LINGER / 5;
    }
    slow.rig.now = slow.rig.now + LINGER / 5 * 2;
    let before = slow.sent();
    slow.come();
    assert_eq!(slow.sent(), before + 1);
    slow.rig.now = slow.rig.now + LINGER / 5;
    slow.come();
    assert_eq!(slow.sent(), before + 3);
}

#[test]
fn a_full_batch_that_comes_alone_goes_at_once() {
    let mut slow = Slow::new(LINGER);
    for partition in 0..4 {
        let before = slow.sent();
        assert!(slow.append(partition, 20_000));
        slow.come();
        assert_eq!(slow.sent(), before + 1);
        slow.rig.now = slow.rig.now + Duration::from_micros(251);
    }
}

#[test]
fn full_batches_that_come_one_after_another_are_held_for_a_millisecond() {
    let mut slow = Slow::new(LINGER);
    slow.append(0, 20_000);
    slow.come();
    let before = slow.sent();
    assert!(slow.append(1, 20_000), "the shell is to know until when");
    slow.come();
    assert_eq!((slow.sent(), slow.told), (before, Some(slow.rig.now + Duration::from_millis(1))));
    slow.rig.now = slow.rig.now + Duration::from_micros(999);
    assert!(!slow.append(2, 20_000), "it comes soon");
    slow.come();
    assert_eq!(slow.sent(), before);
    slow.rig.now = slow.rig.now + Duration::from_micros(1);
    slow.come();
    assert_eq!(slow.sent(), before + 2);
    assert_ne!(slow.told, Some(slow.rig.now), "it has been");
}

#[test]
fn many_bytes_go_at_once_and_so_does_what_is_flushed() {
    let mut slow = Slow::new(LINGER);
    slow.append(0, 20_000);
    slow.come();
    slow.append(5, 20_000);
    slow.come();
    let before = slow.sent();
    let called = (0..40).position(|_| slow.append(1, 20_000));
    assert_eq!(called, Some(25), "past 512 KiB, with the first");
    slow.come();
    assert!(slow.sent() > before);
    slow.append(2, 20_000);
    slow.append(3, 20_000);
    let before = slow.sent();
    slow.rig.core.flush(slow.rig.now);
    slow.come();
    assert!(slow.sent() >= before + 2);
}

#[test]
fn without_linger_everything_is_news() {
    let mut slow = Slow::new(Duration::ZERO);
    for partition in 0..6 {
        assert!(slow.append(partition, 100), "{partition}");
        slow.come();
        let before = slow.sent();
        assert!(slow.append(partition, 20_000), "{partition}");
        slow.come();
        assert_eq!(slow.sent(), before + 1);
    }
}

#[test]
fn what_became_due_behind_a_batch_is_there_to_seal_once_that_one_is_sent() {
    let mut slow = Slow::new(Duration::ZERO);
    slow.append(3, 5_000);
    let first = slow.rig.core.poll_seal(slow.rig.now).expect("it is due");
    slow.append(3, 5_000);
    assert!(slow.rig.core.poll_seal(slow.rig.now).is_none(), "it stands behind one that is away");
    slow.rig.core.handle_sealed(slow.rig.now, first.seal());
    while slow.rig.core.poll_transmit(slow.rig.now).is_some() {}
    assert!(slow.rig.core.poll_seal(slow.rig.now).is_some(), "a shell that did not ask again would sleep over it");
}

#[test]
fn what_is_small_is_sealed_where_it_is_closed() {
    let mut slow = Slow::new(Duration::ZERO);
    slow.append(3, 100);
    assert!(slow.rig.core.poll_seal(slow.rig.now).is_none(), "there is nothing to be done for it");
    assert!(slow.rig.core.poll_transmit(slow.rig.now).is_some(), "it goes out in the same pass");
    slow.append(3, 100);
    assert!(slow.rig.core.poll_transmit(slow.rig.now).is_none(), "it is open");
    assert!(slow.rig.core.poll_seal(slow.rig.now).is_none());
    assert!(slow.rig.core.poll_transmit(slow.rig.now).is_some());
}

#[test]
fn where_more_small_batches_come_than_can_be_sent_they_grow() {
    let mut slow = Slow::of(Duration::ZERO, vec![1; 2_000]);
    let all = |slow: &mut Slow| (0..2_000).for_each(|partition| _ = slow.append(partition, 10));
    let before = slow.sent();
    all(&mut slow);
    slow.come();
    assert_eq!(slow.sent(), before + 2_000, "there is time for these");
    let began = slow.rig.now;
    all(&mut slow);
    slow.come();
    assert_eq!(slow.sent(), before + 2_000, "and for these there is not");
    let told = slow.told.expect("it is to come again");
    assert!((7_000..7_100).contains(&(told - began).as_micros()), "4 µs for each, less 1 ms");
    slow.rig.now = told;
    all(&mut slow);
    slow.come();
    assert_eq!(slow.sent(), before + 4_000, "two records in each");
    all(&mut slow);
    slow.rig.core.flush(slow.rig.now);
    slow.come();
    assert_eq!(slow.sent(), before + 6_000, "whoever waits for them does not wait");
}

#[test]
fn what_waits_for_room_is_not_held_back() {
    let mut slow = Slow::new(LINGER);
    slow.rig.core.config.max_in_flight = 1;
    slow.append(0, 20_000);
    slow.come();
    slow.rig.now = slow.rig.now + Duration::from_millis(1);
    slow.append(1, 20_000);
    slow.come();
    let before = slow.sent();
    for partition in 2..5 {
        slow.append(partition, 20_000);
        slow.come();
        assert_ne!(slow.told, Some(slow.rig.now + Duration::from_millis(1)), "an answer brings the shell");
    }
    slow.rig.core.config.max_in_flight = 2;
    slow.come();
    assert_eq!(slow.sent(), before + 4);
}
