//! Batches that brokers do not take as they are: too large, or with records that are refused.

use super::*;
use crate::cluster::versions;
use pointsman::core::Compression;

const CODECS: [Compression; 4] = [Compression::None, Compression::Snappy, Compression::Lz4(9), Compression::Zstd(3)];

/// Records that are sent together are a batch.
fn in_batches(compression: Compression) -> CoreConfig {
    CoreConfig { batch_size: 16 * 1024, compression, ..config() }
}

fn limited(compression: Compression, max_message_bytes: usize) -> World {
    let mut world = world(1, 1, in_batches(compression));
    world.cluster.topics[0].max_message_bytes = max_message_bytes;
    world
}

impl World {
    /// Sends records with these keys and values of these lengths to partition 0.
    fn send_sized(&mut self, records: &[(Option<&str>, usize)]) -> Vec<u64> {
        let timestamp = crate::cluster::wall_ms(self.now);
        let mut numbers = Vec::new();
        for (key, len) in records {
            let key = key.map(|key| key.as_bytes().to_vec());
            let (number, mut record) = self.load.record(key, Some(*len), timestamp);
            // Half of it without a pattern, so that it takes room when it is compressed too.
            for byte in record.value.iter_mut().flatten().skip(8.max(len / 2)) {
                *byte = self.load.rng.below(256) as u8;
            }
            let placement = Placement::Partition(0);
            let planned = Planned { topic: "t".to_owned(), placement, number, record, accepted: None };
            self.load.backlog.push_back(planned);
            numbers.push(number);
        }
        self.drain();
        numbers
    }

    fn failed_with(&self, number: u64, expected: i16) -> bool {
        let told = self.told(number);
        matches!(told, Some(Told::Failed(ProduceError::Broker { code, fate: Fate::NotWritten, .. })) if code == expected)
    }
}

#[test]
fn too_large_is_split() {
    for compression in CODECS {
        let mut world = limited(compression, 600);
        let sent = world.send_sized(&[(Some("k"), 40); 60]);
        world.settled();
        assert_eq!(world.told_all(&sent), offsets(0, 60), "{compression:?}");
        assert!(world.logged(0).len() >= 4, "{:?}", world.logged(0));
        // The next ones are about as large: they may be refused again, and are split again.
        let more = world.send_sized(&[(Some("k"), 40); 60]);
        world.settled();
        assert_eq!(world.told_all(&more), offsets(60, 60), "{compression:?}");
        assert!(world.logged(0).iter().all(|(epoch, ..)| *epoch == 0), "no epoch was spent on it");
        world.finished();
    }
}

#[test]
fn split_keeps_sequence_range() {
    for compression in CODECS {
        for seal_delay_us in [0, 30_000] {
            let mut world = limited(compression, 500);
            let mut sent = world.send(0, 1);
            world.settled();
            // The first of these is too large; those behind it are numbered and in flight by then.
            sent.extend(world.send_sized(&[(Some("k"), 60); 20]));
            world.run_for(Duration::from_micros(1));
            for _ in 0..3 {
                sent.extend(world.send_sized(&[(Some("k"), 20); 2]));
                world.run_for(Duration::from_micros(1));
            }
            world.seal_delay_us = seal_delay_us;
            world.settled();
            assert_eq!(world.told_all(&sent), offsets(0, 27), "{compression:?}");
            let logged = world.logged(0);
            assert!(logged.iter().all(|(epoch, ..)| *epoch == 0), "{logged:?}");
            assert!(logged.contains(&(0, 21, 2)) && logged.contains(&(0, 25, 2)), "{logged:?}");
            world.finished();
        }
    }
}

#[test]
fn record_too_large_for_its_topic_fails_alone() {
    for compression in CODECS {
        let mut world = limited(compression, 800);
        let small = |count| vec![(Some("k"), 20); count];
        let batch = [small(10), vec![(Some("k"), 3000)], small(10)].concat();
        let sent = world.send_sized(&batch);
        world.settled();
        assert!(world.failed_with(sent[10], code::MESSAGE_TOO_LARGE), "{:?}", world.told(sent[10]));
        assert_eq!(world.told_all(&sent[..10]), offsets(0, 10));
        assert_eq!(world.told_all(&sent[11..]), offsets(10, 10));
        world.finished();
    }
}

#[test]
fn record_errors_fail_alone() {
    for compression in CODECS {
        for seal_delay_us in [0, 30_000] {
            let mut world = world(1, 1, in_batches(compression));
            world.seal_delay_us = seal_delay_us;
            world.cluster.topics[0].compacted = true;
            let before = world.send(0, 1);
            world.settled();
            let keys = [None, Some("k"), Some("k"), None, Some("k"), None];
            let sent = world.send_sized(&keys.map(|key| (key, 20)));
            world.run_for(Duration::from_micros(1));
            let behind = world.send_sized(&[(Some("k"), 20); 2]);
            world.settled();
            let mut offset = 1;
            for (number, key) in sent.iter().zip(keys) {
                if key.is_none() {
                    assert!(world.failed_with(*number, code::INVALID_RECORD), "{:?}", world.told(*number));
                } else {
                    assert_eq!(world.told(*number), Some(Told::Written(Some(offset))));
                    offset += 1;
                }
            }
            assert_eq!(world.told_all(&before), offsets(0, 1));
            assert_eq!(world.told_all(&behind), offsets(4, 2), "in order");
            assert_eq!(world.logged(0), [(0, 0, 1), (1, 0, 3), (1, 3, 2)], "numbered anew, in a new epoch");
            world.finished();
        }
    }
}

#[test]
fn batch_of_refused_records_only() {
    let mut world = world(1, 1, in_batches(Compression::None));
    world.cluster.topics[0].compacted = true;
    let sent = world.send_sized(&[(None, 20); 3]);
    world.settled();
    for number in sent {
        match world.told(number) {
            Some(Told::Failed(ProduceError::Broker { message: Some(message), .. })) => {
                assert!(message.contains("without key"), "the record's own message: {message}");
            }
            other => panic!("{other:?}"),
        }
    }
    let sent = world.send(0, 2);
    world.settled();
    assert_eq!(world.told_all(&sent), offsets(0, 2));
    world.finished();
}

/// Split first, since brokers look at the size first; then parts of it lose records, of which one more is too large.
#[test]
fn too_large_and_with_refused_records() {
    for compression in CODECS {
        let mut world = limited(compression, 700);
        world.cluster.topics[0].compacted = true;
        let record = |at: usize| ((at % 7 != 3).then_some("k"), if at == 33 { 2000 } else { 30 });
        let records: Vec<_> = (0..70).map(record).collect();
        let sent = world.send_sized(&records);
        let behind = world.send(0, 3);
        world.settled();
        let mut offset = 0;
        for (at, number) in sent.iter().chain(&behind).enumerate() {
            match records.get(at) {
                Some((_, 2000)) => assert!(world.failed_with(*number, code::MESSAGE_TOO_LARGE)),
                Some((None, _)) => {
                    assert!(world.failed_with(*number, code::INVALID_RECORD), "{:?}", world.told(*number))
                }
                _ => {
                    assert_eq!(world.told(*number), Some(Told::Written(Some(offset))), "{at}");
                    offset += 1;
                }
            }
        }
        world.finished();
    }
}

/// The batch before it fails for good while it is being split: the parts are of an epoch that is over.
#[test]
fn epoch_bumped_while_a_split_is_made() {
    let mut world = limited(Compression::None, 600);
    world.seal_delay_us = 50_000;
    world.send(0, 1);
    world.settled();
    batch_fault(&mut world, 1, BatchFault::Refuse(code::INVALID_RECORD));
    let refused = world.send(0, 1);
    world.run_for(Duration::from_micros(1));
    let sent = world.send_sized(&[(Some("k"), 60); 20]);
    world.run_for(Duration::from_micros(1));
    let behind = world.send(0, 2);
    world.settled();
    assert!(world.failed_with(refused[0], code::INVALID_RECORD), "{}", world.story());
    assert_eq!(world.told_all(&sent), offsets(1, 20));
    assert_eq!(world.told_all(&behind), offsets(21, 2));
    world.finished();
}

#[test]
fn abandoned_while_a_split_is_made() {
    for after_ms in 0..40 {
        let mut world = limited(Compression::Lz4(9), 600);
        world.send(0, 1);
        world.settled();
        world.seal_delay_us = 20_000;
        let sent = world.send_sized(&[(Some("k"), 60); 40]);
        world.run_for(Duration::from_millis(after_ms));
        world.ledger.abandoned = true;
        world.core().abandon();
        world.run_for(SECOND);
        assert!(sent.iter().all(|number| world.told(*number).is_some()), "after {after_ms} ms");
        world.finished();
    }
}

#[test]
fn flush_waits_for_every_part() {
    let mut world = limited(Compression::None, 300);
    world.seal_delay_us = 20_000;
    world.send_sized(&[(Some("k"), 60); 40]);
    let flush = world.core().flush(world.now);
    world.ledger.flush(flush);
    world.settled();
    assert_eq!(world.flushed, [flush]);
    world.finished();
}

#[test]
fn zstd_is_not_sent_to_who_does_not_know_it() {
    let mut world = limited(Compression::Zstd(3), 1 << 20);
    world.cluster.brokers.get_mut(&1).unwrap().versions = versions(6);
    let sent = world.send(0, 3);
    world.settled();
    assert!(sent.iter().all(|number| world.failed_with(*number, code::UNSUPPORTED_COMPRESSION_TYPE)));
    world.finished();
}

#[test]
fn batches_fill_up_by_what_they_become() {
    let most = |compression| {
        let memory = MemoryPool::new(32 << 20);
        let mut world = world(1, 1, CoreConfig { memory, ..in_batches(compression) });
        for _ in 0..500 {
            let records = vec![(Some("k"), 500); 20];
            world.send_sized(&records);
            world.run_for(Duration::from_micros(10));
        }
        world.settled();
        let most = world.logged(0).iter().map(|(_, _, count)| *count).max().unwrap();
        world.finished();
        most
    };
    let (plain, compressed) = (most(Compression::None), most(Compression::Zstd(3)));
    // Half of each value has no pattern.
    assert!(compressed > plain * 3 / 2 && compressed < plain * 3, "{compressed} and {plain} records in a batch");
}

/// The batch stands in the log, its answer is lost, and when it comes again its topic takes nothing as large any more.
/// Parts of it would have other borders than what stands there: no broker knows them for duplicates.
#[test]
fn too_large_after_an_attempt_of_unknown_fate_is_not_split() {
    for written in [true, false] {
        let mut world = limited(Compression::None, 1 << 20);
        let first = world.send(0, 1);
        world.settled();
        let fault = if written { RequestFault::CutAfter } else { RequestFault::CutBefore };
        request_fault(&mut world, 1, fault);
        let sent = world.send_sized(&[(Some("k"), 60); 20]);
        world.run_for(Duration::from_millis(5));
        assert_eq!(world.logged(0).len(), if written { 2 } else { 1 }, "{}", world.story());
        world.cluster.topics[0].max_message_bytes = 600;
        let behind = world.send(0, 2);
        world.settled();
        assert_eq!(world.told_all(&first), offsets(0, 1));
        for number in &sent {
            let told = world.told(*number);
            let Some(Told::Failed(error)) = &told else { panic!("{told:?}\n{}", world.story()) };
            assert!(matches!(error, ProduceError::Broker { code: code::MESSAGE_TOO_LARGE, .. }), "{error}");
            assert_eq!(error.fate(), Fate::Unknown);
        }
        assert_eq!(world.told_all(&behind), offsets(if written { 21 } else { 1 }, 2), "what follows goes on");
        world.finished();
    }
}

/// A batch grows beyond `batch.size` while its broker is behind, and may become larger than its topic allows.
#[test]
fn what_has_grown_too_large_is_split_and_grows_no_more() {
    let config = CoreConfig { batch_size: 500, batch_size_max: 4_000, max_in_flight: 1, ..config() };
    let mut world = world(1, 1, config);
    world.send(0, 1);
    world.settled();
    // A batch that is in flight, one that waits, and one that grows.
    let send = |world: &mut World| {
        let mut sent = world.send_sized(&[(Some("k"), 40); 10]);
        world.run_for(Duration::from_micros(1));
        sent.extend(world.send_sized(&[(Some("k"), 40); 50]));
        world.settled();
        sent
    };
    let splits = |world: &mut World| {
        let now = world.now;
        world.core().counts(now).splits.total
    };
    let counts = |world: &World| world.logged(0).iter().map(|(.., count)| *count).collect::<Vec<_>>();

    let sent = send(&mut world);
    assert_eq!(world.told_all(&sent), offsets(1, 60));
    assert!(counts(&world).into_iter().max() > Some(30), "they grow: {:?}", counts(&world));
    world.cluster.topics[0].max_message_bytes = 1_000;
    let sent = send(&mut world);
    assert_eq!(world.told_all(&sent), offsets(61, 60));
    assert_eq!(splits(&mut world), 1.0, "{:?}", counts(&world));
    // Once is enough.
    world.cluster.topics[0].max_message_bytes = 1_000_000;
    let before = world.logged(0).len();
    let sent = send(&mut world);
    assert_eq!(world.told_all(&sent), offsets(121, 60));
    assert!(counts(&world)[before..].iter().all(|count| *count < 12), "{:?}", counts(&world));
    assert!(world.logged(0).iter().all(|(epoch, ..)| *epoch == 0), "no epoch was spent on it");
    world.finished();
}

/// Java sends what is full at once; so does linger.ms not count for a record as large as a batch.
#[test]
fn what_fills_a_batch_does_not_linger() {
    for len in [16 * 1024, 20_000] {
        let linger = 10 * SECOND;
        let mut world = world(1, 1, CoreConfig { linger, ..in_batches(Compression::None) });
        world.send(0, 1);
        world.settled();
        let start = world.now;
        let sent = world.send_sized(&[(Some("k"), len)]);
        world.run_for(SECOND);
        assert_eq!(world.told_all(&sent), offsets(1, 1), "{len} bytes, after {:?}", world.now - start);
        let small = world.send_sized(&[(Some("k"), 20)]);
        world.run_for(SECOND);
        assert_eq!(world.told(small[0]), None, "there is room for others");
        world.settled();
        world.finished();
    }
}
