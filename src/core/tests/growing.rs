//! Batches that grow instead of waiting, full, for a broker that is behind.

use super::*;
use crate::protocol::compression::Compression;
use crate::protocol::record_batch::HEADER_LEN;

const SIZE: usize = 1_000;
const MAX: usize = 3_000;
/// Records of 100 bytes that a batch of `SIZE` takes.
const FULL: i32 = 9;

/// A core whose broker takes one request at a time, and answers when it is told to.
struct Behind {
    rig: Rig,
    topic: TopicHandle,
    unanswered: VecDeque<Transmit>,
    /// How many records each batch that went out had, and its bytes.
    sent: Vec<(i32, usize)>,
}

impl Behind {
    fn new(config: CoreConfig) -> Behind {
        let config = CoreConfig { idempotence: false, batch_size: SIZE, max_in_flight: 1, ..config };
        let mut rig = Rig::new(config, &[("orders", vec![1])]);
        let topic = rig.topic("orders");
        rig.append(topic, Placement::Partition(0)).unwrap();
        rig.core.config.linger = SECOND;
        Behind { rig, topic, unanswered: VecDeque::new(), sent: Vec::new() }
    }

    /// One of batches that may grow.
    fn growing() -> Behind {
        Behind::new(CoreConfig { batch_size_max: MAX, ..CoreConfig::default() })
    }

    /// Appends so many records of 100 bytes, compressed or not; how many of them filled a batch.
    fn append(&mut self, count: usize) -> usize {
        let mut filled = 0;
        for _ in 0..count {
            let value: Vec<u8> = (0..90).map(|_| self.rig.core.rng.below(256) as u8).collect();
            let now = self.rig.now;
            let record = Append { value: Some(&value), ..record(self.topic, Placement::Partition(0), now) };
            filled += usize::from(self.rig.core.append(|| now, &record).unwrap().filled);
        }
        self.come();
        filled
    }

    /// What the shell does.
    fn come(&mut self) {
        let (core, now) = (&mut self.rig.core, self.rig.now);
        loop {
            if let Some(unsealed) = core.poll_seal(now) {
                core.handle_sealed(now, unsealed.seal());
            } else if let Some(transmit) = core.poll_transmit(now) {
                let Request::Produce(request) = &transmit.request else { panic!("{transmit:?}") };
                for partition in request.topics.iter().flat_map(|topic| &topic.partitions) {
                    let count = i32::from_be_bytes(*partition.header.last_chunk().unwrap());
                    self.sent.push((count, HEADER_LEN + partition.body.len()));
                }
                self.unanswered.push_back(transmit);
            } else if let Some(action) = core.poll_action() {
                self.rig.told.push(action);
            } else {
                break;
            }
        }
        core.poll_timeout();
    }

    /// An answer, and what goes out then.
    fn answer(&mut self) {
        // What became full is not held back any more.
        self.rig.now = self.rig.now + Duration::from_millis(1);
        self.rig.core.handle_timeout(self.rig.now);
        let transmit = self.unanswered.pop_front().expect("a request");
        self.rig.answer(transmit);
        self.come();
    }

    /// Fills one batch that goes out and one that waits; each is closed by the first record that it has no room for.
    fn fall_behind(&mut self) {
        for _ in 0..2 {
            while self.append(1) == 0 {}
        }
        assert_eq!(self.counts(), [FULL]);
    }

    fn counts(&self) -> Vec<i32> {
        self.sent.iter().map(|(count, _)| *count).collect()
    }
}

#[test]
fn a_batch_that_would_only_wait_grows_and_goes_when_it_is_the_first() {
    let memory = MemoryPool::new(1 << 20);
    let mut behind = Behind::new(CoreConfig { batch_size_max: MAX, memory: memory.clone(), ..CoreConfig::default() });
    behind.fall_behind();
    assert_eq!(behind.append(15), 0, "it is full twice over, and nobody hears of it");
    behind.answer();
    assert_eq!(behind.counts(), [FULL, FULL], "the one before it goes");
    assert_eq!(behind.append(2), 0, "it grows on while that is under way");
    assert!(!behind.rig.core.has_news());
    behind.answer();
    assert_eq!(behind.counts(), [FULL, FULL, 18], "at once, whatever its linger");
    assert!(behind.sent[2].1 > SIZE && behind.sent[2].1 <= MAX, "{:?}", behind.sent);
    behind.answer();
    assert_eq!(behind.rig.core.flushes.live(), 0);
    assert_eq!(memory.available(), 1 << 20);
    // It has caught up: a batch is full as before.
    assert_eq!(behind.append(FULL as usize + 2), 1);
}

#[test]
fn what_has_grown_to_the_most_is_followed_by_another() {
    let mut behind = Behind::growing();
    behind.fall_behind();
    assert_eq!(behind.append(60), 2);
    behind.rig.core.expedite(behind.rig.now);
    while !behind.unanswered.is_empty() {
        behind.answer();
    }
    assert!(behind.sent.iter().all(|(_, bytes)| *bytes <= MAX), "{:?}", behind.sent);
    assert_eq!(behind.sent[2].0, behind.sent[3].0, "both are as large as can be: {:?}", behind.sent);
    assert!(behind.sent[2].1 > MAX - 110);
    assert_eq!(behind.counts().iter().sum::<i32>(), 2 * FULL + 1 + 60);
}

#[test]
fn none_grows_unless_it_would_wait_and_its_broker_takes_it() {
    type Change = fn(&mut Behind);
    let cases: [(&str, Change); 7] = [
        ("the broker has room", |behind| behind.rig.core.config.max_in_flight = 5),
        ("batches are compressed", |behind| behind.rig.core.config.compression = Compression::Zstd(1)),
        ("a large one was refused", |behind| behind.rig.core.topics[0].refused_large = true),
        ("memory is short", |behind| {
            let memory = &behind.rig.core.config.memory;
            std::mem::forget(memory.take(memory.available() as usize - 4 * SIZE));
        }),
        ("nobody would say that it is too large", |behind| behind.rig.core.config.acks = 0),
        ("its records would be too old", |behind| behind.rig.core.config.delivery_timeout = Duration::ZERO),
        ("it must not", |behind| behind.rig.core.config.batch_size_max = SIZE),
    ];
    for (why, change) in cases {
        let mut behind = Behind::growing();
        change(&mut behind);
        behind.append(60);
        while !behind.unanswered.is_empty() {
            behind.answer();
        }
        behind.append(60);
        assert!(behind.sent.iter().all(|(_, bytes)| *bytes <= SIZE + 20), "{why}: {:?}", behind.sent);
    }
    let mut behind = Behind::growing();
    behind.fall_behind();
    behind.rig.lose(1);
    assert!(behind.append(60) >= 5, "what was sent is of unknown fate, and a broker that is away is not behind");

    let mut behind = Behind::growing();
    behind.fall_behind();
    let large = vec![7; MAX];
    let now = behind.rig.now;
    let record = Append { value: Some(&large), ..record(behind.topic, Placement::Partition(0), now) };
    assert!(behind.rig.core.append(|| now, &record).unwrap().filled, "the record would fit no grown batch either");
}

#[test]
fn a_grown_batch_fails_in_time_like_any_other() {
    let mut behind = Behind::growing();
    behind.fall_behind();
    behind.append(12);
    behind.rig.pass(121 * SECOND);
    assert!(behind.rig.core.is_idle());
    let done = behind.rig.told.iter().filter(|action| matches!(action, Action::Done(_))).count();
    assert_eq!(done, 4, "the three, and the record before them");
}
