//! When the shell has to come.

use super::*;

const LINGER: Duration = Duration::from_millis(5);

/// A core with a topic of six partitions at one broker, which answers when it is told to.
struct Slow {
    rig: Rig,
    topic: TopicHandle,
    told: Option<Instant>,
}

impl Slow {
    fn new(linger: Duration) -> Slow {
        let config = CoreConfig { idempotence: false, batch_size: 16_384, ..CoreConfig::default() };
        let mut rig = Rig::new(config, &[("orders", vec![1; 6])]);
        let topic = rig.topic("orders");
        rig.append(topic, Placement::Partition(0)).unwrap();
        rig.core.config.linger = linger;
        rig.stuck.insert(1);
        let mut slow = Slow { rig, topic, told: None };
        slow.come();
        slow
    }

    /// What the shell does.
    fn come(&mut self) {
        self.rig.turn();
        self.told = self.rig.core.poll_timeout();
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
        self.rig.produced.len()
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
    assert_eq!(slow.sent(), before + 1);
    assert_eq!(slow.told, Some(slow.rig.now + LINGER / 2), "then that of the other one");
}

#[test]
fn a_full_batch_is_news_unless_an_answer_is_due_or_its_linger_ends_soon() {
    let mut slow = Slow::new(LINGER);
    assert!(slow.append(0, 20_000), "nothing is under way that would bring the shell");
    slow.come();
    let before = slow.sent();
    assert!(slow.append(1, 100), "the shell knows of no time yet");
    slow.come();
    assert!(!slow.append(1, 20_000), "there is a request under way");
    assert!(!slow.append(2, 20_000));
    assert_eq!(slow.sent(), before);
    slow.rig.now = slow.rig.now + LINGER;
    assert_eq!(slow.told, Some(slow.rig.now));
    slow.come();
    assert_eq!(slow.sent(), before + 3, "they have waited no longer than others linger");
}

#[test]
fn many_bytes_are_news() {
    let mut slow = Slow::new(LINGER);
    slow.append(0, 20_000);
    slow.append(5, 100);
    slow.come();
    let called = (0..20).position(|at| slow.append(1 + at % 4, 20_000));
    assert_eq!(called, Some(6), "past 128 KiB");
}

#[test]
fn without_linger_everything_is_news() {
    let mut slow = Slow::new(Duration::ZERO);
    for partition in 0..6 {
        assert!(slow.append(partition, 100), "{partition}");
        slow.come();
    }
}
