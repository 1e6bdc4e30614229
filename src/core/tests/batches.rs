//! What becomes of batches that leave their queue by another way than an acknowledgement.

use super::*;
use crate::error::Fate;
use crate::protocol::body::Body;
use crate::protocol::compression::{Compression, decompress};
use crate::protocol::record_batch::{NO_HEADERS, RecordBody, encoded_records};
use bytes::Bytes;

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

/// How the value of a record stands in the batch that it fills: whether it is the sender's own, and what it takes.
fn large(config: CoreConfig, value: &Bytes, buffer: Option<&Bytes>) -> (bool, i64) {
    let memory = config.memory.clone();
    let mut rig = Rig::new(CoreConfig { idempotence: false, ..config }, &[("orders", vec![1])]);
    let topic = rig.topic("orders");
    // It is connected then.
    rig.append(topic, Placement::Default).unwrap();
    let now = rig.now;
    let key = Some(&b"key"[..]);
    let record = Append { key, value: Some(value), value_buffer: buffer, ..record(topic, Placement::Default, now) };
    rig.core.append(|| now, &record).unwrap();
    while let Some(full) = rig.core.poll_seal(now) {
        rig.core.handle_sealed(now, full.seal());
    }
    let transmit = rig.core.poll_transmit(now).expect("a request");
    let Request::Produce(request) = &transmit.request else { panic!("{transmit:?}") };
    let partition = &request.topics[0].partitions[0];
    let is_held = partition.body.pieces().any(|piece| piece.as_ptr() == value.as_ptr());
    let booked = memory.total() as i64 - memory.available();
    // Whatever became of it: Java's own decoder reads the same in `tests/kafka`.
    let raw = decompress(rig.core.config.compression.attributes(), &partition.body.to_bytes(), 1 << 20).unwrap();
    let read: Vec<_> = encoded_records(&raw).map(|record| record.rest().to_vec()).collect();
    let mut expected = Vec::new();
    RecordBody { key, value: Some(value), headers: NO_HEADERS }.encode(&mut expected, 0, 0);
    assert_eq!(read, [encoded_records(&expected).next().unwrap().rest()]);

    drop(rig);
    assert_eq!(booked, memory.total() as i64 - memory.available(), "the request holds it all");
    let pieces: Vec<_> = transmit_body(transmit).into_pieces().collect();
    let held = pieces.into_iter().find(|piece| piece.as_ptr() == value.as_ptr());
    assert_eq!(is_held, held.is_some());
    if held.is_some() {
        let booked = memory.total() as i64 - memory.available();
        assert_eq!(booked, value.len() as i64, "what only the socket still has is paid for");
    }
    drop(held);
    assert_eq!(memory.available(), memory.total() as i64);
    (is_held, booked)
}

fn transmit_body(transmit: Transmit) -> Body {
    let Request::Produce(mut request) = transmit.request else { unreachable!("looked at before") };
    request.topics.remove(0).partitions.remove(0).body
}

#[test]
fn a_value_that_fills_a_batch_is_held_and_not_copied() {
    let config = |batch_size| CoreConfig { batch_size, memory: MemoryPool::new(1 << 20), ..CoreConfig::default() };
    let noise = |len: usize| Bytes::from((0..len).map(|at| ((at * at * 31) >> 3) as u8).collect::<Vec<u8>>());
    let value = noise(20_000);
    let (is_held, booked) = large(config(16_384), &value, Some(&value));
    assert!(is_held && (20_000..21_000).contains(&booked), "{booked}");
    // As a part of what is held.
    assert!(large(config(16_384), &value.slice(100..19_000), Some(&value)).0);
    assert!(!large(config(16_384), &value, None).0, "who lends it may change it");
    assert!(!large(config(32_768), &value, Some(&value)).0, "there is room for others");
    assert!(large(config(0), &value, Some(&value)).0);
    let elsewhere = noise(20_000);
    assert!(!large(config(16_384), &value, Some(&elsewhere)).0);
    let small = noise(4_095);
    assert!(!large(config(0), &small, Some(&small)).0, "to copy it costs less");
    let compressed = CoreConfig { compression: Compression::Zstd(1), ..config(16_384) };
    assert!(!large(compressed, &value, Some(&value)).0);
    assert!(value.is_unique(), "nobody holds it any more");
}

/// The end of what a sender lends may be code of its own.
#[test]
fn a_held_value_ends_with_what_became_of_its_record_and_not_under_the_lock() {
    let mut rig = Rig::new(CoreConfig::default(), &[("orders", vec![1])]);
    let topic = rig.topic("orders");
    let value = Bytes::from(vec![7; 20_000]);
    for end in ["written", "expired", "abandoned"] {
        if end != "written" {
            rig.stuck.insert(1);
        }
        let record =
            Append { value: Some(&value), value_buffer: Some(&value), ..record(topic, Placement::Default, rig.now) };
        rig.core.append(|| rig.now, &record).unwrap();
        rig.turn();
        match end {
            "expired" => rig.pass(121 * SECOND),
            "abandoned" => _ = rig.core.abandon(),
            _ => {}
        }
        rig.told.extend(std::iter::from_fn(|| rig.core.poll_action()));
        let done = rig.told.iter().filter(|action| matches!(action, Action::Done(done) if done.held.is_some()));
        assert_eq!(done.count(), 1, "{end}");
        rig.told.clear();
        assert!(value.is_unique(), "{end}: nobody else has it");
    }
}
