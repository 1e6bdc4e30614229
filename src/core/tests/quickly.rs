//! The short way into open batches, beside the long one.

use super::*;
use crate::core::rng::Rng;

/// What was appended, as it would be sent: by partition, the bytes of each batch.
fn sealed(rig: &mut Rig) -> Vec<(u32, usize, i32)> {
    let mut batches = Vec::new();
    for (id, partition) in (0..).zip(&rig.core.partitions) {
        for slot in &partition.queue {
            batches.push((id, slot.info().record_bytes, slot.info().count));
        }
    }
    batches
}

fn append(rig: &mut Rig, record: &Append<'_>, goes_quickly: bool) -> (u32, u32) {
    if goes_quickly && let Some(appended) = rig.core.append_to_open(record) {
        assert!(!appended.filled && !appended.began);
        return (appended.partition, appended.index);
    }
    let appended = rig.core.append(|| rig.now, record).unwrap();
    (appended.partition, appended.index)
}

#[test]
fn it_does_what_the_long_way_does() {
    let lz4 = Compression::Lz4(1);
    for (seed, compression) in (0..40).zip([Compression::None, lz4].into_iter().cycle()) {
        let rig = || {
            let config = CoreConfig { batch_size: 4_000, compression, ..CoreConfig::default() };
            let mut rig = Rig::new(config, &[("orders", vec![1, 1, 2])]);
            let topic = rig.topic("orders");
            rig.core.config.linger = SECOND;
            // As if they had become smaller, and once larger.
            let of = &mut rig.core.topics[topic.index()].ratio;
            (0..200).for_each(|_| of.observe(1_000, 100 + 40 * seed as usize));
            (rig, topic)
        };
        let ((mut short, topic), (mut long, _)) = (rig(), rig());
        let mut rng = Rng::new(seed);
        let payload = [7; 6_000];
        let mut quickly = 0;
        for step in 0..600 {
            let len = [3, 40, 90, 1_500, 5_000][rng.below(if step % 7 == 0 { 5 } else { 3 })];
            let key = [rng.below(9) as u8; 5];
            let record = Append {
                placement: [Placement::Default, Placement::Default, Placement::Partition(1), Placement::RoundRobin]
                    [rng.below(4)],
                timestamp: rng.below(20_000) as i64,
                accepted: None,
                key: [Some(&key[..]), None][rng.below(2)],
                value: Some(&payload[..len]),
                ..record(topic, Placement::Default, short.now)
            };
            let place = append(&mut short, &record, true);
            assert_eq!(place, append(&mut long, &record, false), "seed {seed}, step {step}");
            quickly += usize::from(place.1 > 0);
            assert_eq!(sealed(&mut short), sealed(&mut long), "seed {seed}, step {step}");
        }
        assert!(quickly > 100, "seed {seed}: {quickly}");
    }
}
