//! What a call costs, in nanoseconds a record, beside a hook that does nothing. Run with
//! `cargo test --release --test plugins -- --ignored --nocapture cost_of`.

use crate::guests::{Records, plain, records};
use pointsman::plugin::{Acknowledgements, Batch, PluginFactory, Side, TopicColumnRef, Topology};
use std::hint::black_box;
use std::time::Instant;

const BATCHES: [usize; 4] = [1, 8, 64, 256];

#[test]
#[ignore = "benchmark"]
fn cost_of_the_hooks() {
    let plugin = plain();
    let mut interceptor = plugin.interceptor(0).unwrap();
    let zeros = [0; 256];
    report("on-acknowledgement, empty", |batch| {
        let count = batch.keys.len();
        let acknowledgements = Acknowledgements {
            count,
            topics: TopicColumnRef { names: &["orders"], indexes: &[] },
            partitions: &[0; 256][..count],
            offsets: &zeros[..count],
            timestamps: &zeros[..count],
            errors: &[0; 256][..count],
            fates: &[0; 256][..count],
            tags: &[0; 256][..count],
        };
        interceptor.on_acknowledgement(&acknowledgements).unwrap();
    });
    report("on-send, one header added", |batch| {
        black_box(interceptor.on_send(&batch.batch()).unwrap());
    });
    let mut partitioner = plugin.partitioner(0).unwrap();
    for topic in ["orders", "trips"] {
        partitioner.on_topology(&Topology { topic: topic.into(), partitions: 12, ..Topology::default() }).unwrap();
    }
    report("partition by key", |batch| {
        let batch = batch.batch();
        black_box(partitioner.partition(&Batch { values: None, ..batch }).unwrap());
    });
    let mut serializer = plugin.serializer(0, Side::Value).unwrap();
    let topics = TopicColumnRef { names: &["orders"], indexes: &[] };
    report("serialize, framed", |batch| {
        black_box(serializer.serialize(topics, batch.values.as_ref(), None).unwrap());
    });
    let started = Instant::now();
    for _ in 0..1000 {
        black_box(plugin.interceptor(0).unwrap());
    }
    println!("instantiate, configure, drop: {:.1} us", started.elapsed().as_secs_f64() * 1e6 / 1000.0);
}

fn report(name: &str, mut call: impl FnMut(&Records)) {
    print!("{name:28}");
    for count in BATCHES {
        let records = records(count);
        let calls = 400_000 / (count + 20);
        // The best of several runs: the machine is shared.
        let best = (0..5).map(|_| {
            let started = Instant::now();
            (0..calls).for_each(|_| call(&records));
            started.elapsed().as_secs_f64() * 1e9 / (calls * count) as f64
        });
        print!("  {count:3}: {:7.1} ns", best.fold(f64::INFINITY, f64::min));
    }
    println!();
}
