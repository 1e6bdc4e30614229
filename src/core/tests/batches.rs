//! What becomes of batches that leave their queue by another way than an acknowledgement.

use super::*;
use crate::error::Fate;

/// Appends without letting the core go on.
fn put(rig: &mut Rig, topic: TopicHandle, partition: i32, token: u64) {
    let record = Append { token: Some(token), ..record(topic, Placement::Partition(partition), rig.now) };
    rig.core.append(|| rig.now, &record).unwrap();
}

fn done(rig: &mut Rig) -> Vec<Done> {
    let actions = std::iter::from_fn(|| rig.core.poll_action());
    actions.filter_map(|action| if let Action::Done(done) = action { Some(done) } else { None }).collect()
}

/// A core of small batches, one of which is away to be sealed.
fn one_away() -> (Rig, Unsealed, MemoryPool) {
    let memory = MemoryPool::new(1 << 20);
    let config = CoreConfig { batch_size: 1, memory: memory.clone(), ..CoreConfig::default() };
    let mut rig = Rig::new(config, &[("orders", vec![1])]);
    let topic = rig.topic("orders");
    put(&mut rig, topic, 0, 7);
    put(&mut rig, topic, 0, 8);
    let away = rig.core.poll_full().expect("a full batch");
    (rig, away, memory)
}

#[test]
fn a_batch_that_is_being_sealed_fails_with_the_core() {
    type End = fn(&mut Core);
    let ends: [(End, ProduceError); 2] = [
        (|core| _ = core.abandon(), ProduceError::Closed { topic: None, partition: None, fate: Fate::NotWritten }),
        (
            |core| core.fail_for_good("why".to_owned()),
            ProduceError::Fatal { topic: None, partition: None, reason: "why".into(), fate: Fate::NotWritten },
        ),
    ];
    for (end, error) in ends {
        let (mut rig, away, memory) = one_away();
        let error = error.at(&"orders".into(), Some(0));
        end(&mut rig.core);
        let failed = done(&mut rig);
        assert_eq!(failed.iter().flat_map(|done| done.tokens.clone()).collect::<Vec<_>>(), [7, 8], "at once, both");
        assert!(
            failed.iter().flat_map(|done| done.runs.iter()).all(|run| run.outcome == Outcome::Failed(error.clone()))
        );
        assert!(rig.core.is_idle());
        // Who has it may hand it back or not.
        rig.core.handle_sealed(rig.now, away.seal());
        assert!(rig.core.is_idle() && done(&mut rig).is_empty(), "it is done once");
        drop(failed);
        assert_eq!(memory.available(), 1 << 20);
    }
}

/// The thread that had it is gone, say.
#[test]
fn a_batch_that_never_comes_back_from_sealing_fails_in_time_and_frees_its_place() {
    let (mut rig, away, _) = one_away();
    rig.turn();
    assert!(rig.produced.is_empty(), "what is behind it waits");
    rig.pass(121 * SECOND);
    rig.core.handle_sealed(rig.now, away.seal());
    rig.turn();
    let topic = rig.topic("orders");
    rig.append(topic, Placement::Partition(0)).unwrap();
    assert_eq!(rig.produced, [0]);
    assert!(rig.core.is_idle());
}

/// What is left in a partition's queue and in flight, as the sticky choice sees it.
fn queued(rig: &Rig) -> Vec<u64> {
    rig.core.partitions.iter().map(|partition| partition.queued_bytes()).collect()
}

#[test]
fn queue_lengths_end_at_zero_whatever_becomes_of_the_batches() {
    let config = CoreConfig { batch_size: 200, ..CoreConfig::default() };
    let mut rig = Rig::new(config, &[("orders", vec![1, 2, -1, 2])]);
    let topic = rig.topic("orders");
    rig.stuck.insert(1);
    // In flight and not answered; written; open for want of a leader; refused for the sake of one record.
    for token in 0..10 {
        for partition in 0..4 {
            put(&mut rig, topic, partition, token);
        }
        let lengths = queued(&rig);
        assert!(lengths[..3].iter().all(|length| *length > 0), "{lengths:?}");
    }
    rig.refuse_record = Some((3, 1));
    rig.turn();
    rig.pass(SECOND);
    let lengths = queued(&rig);
    assert!(lengths[0] > 0 && lengths[2] > 0, "{lengths:?}");
    assert_eq!((lengths[1], lengths[3]), (0, 0), "{lengths:?}");
    // Something young keeps each queue from being empty while the old ones end.
    rig.pass(100 * SECOND);
    for partition in [0, 2] {
        put(&mut rig, topic, partition, 99);
    }
    rig.pass(21 * SECOND);
    let one = queued(&rig);
    assert_eq!(one[0], one[2], "one record each: {one:?}");
    assert!((1..40).contains(&one[0]), "{one:?}");
    rig.pass(200 * SECOND);
    assert_eq!(queued(&rig), [0; 4]);
}

#[test]
fn a_negative_timestamp_is_refused_and_extreme_ones_are_not() {
    let mut rig = Rig::new(CoreConfig::default(), &[("orders", vec![1])]);
    let topic = rig.topic("orders");
    let mut append = |timestamp| {
        let record = Append { timestamp, ..record(topic, Placement::Partition(0), rig.now) };
        rig.core.append(|| rig.now, &record).map(drop)
    };
    for timestamp in [0, i64::MAX, 1] {
        assert_eq!(append(timestamp), Ok(()));
    }
    for timestamp in [-1, i64::MIN] {
        let error = append(timestamp).unwrap_err();
        assert!(matches!(error, ProduceError::Timestamp { .. }), "{error}");
        assert!(error.to_string().contains(&timestamp.to_string()), "{error}");
    }
    rig.turn();
    assert_eq!(rig.produced, [0]);
}

#[test]
fn what_came_later_expires_in_its_own_time_though_the_timer_was_set_for_what_came_before() {
    let timeout = CoreConfig::default().delivery_timeout;
    let mut rig = Rig::new(CoreConfig::default(), &[("orders", vec![1])]);
    let topic = rig.topic("orders");
    rig.append(topic, Placement::Partition(0)).unwrap();
    assert!(rig.core.is_idle());
    rig.pass(timeout - Duration::from_secs(1));
    rig.stuck.insert(1);
    rig.append(topic, Placement::Partition(0)).unwrap();
    let second = Duration::from_secs(1);
    rig.pass(timeout - second);
    assert!(!rig.core.is_idle(), "the timer of the first came, and the second has time left");
    rig.pass(second);
    assert!(rig.core.is_idle(), "and not a moment more");
}
