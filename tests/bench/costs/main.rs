//! What each stage of a record's way costs, without sockets, threads or brokers, beside what nothing costs less than:
//!
//! `cargo run --release --all-features --example costs`      nanoseconds a record, the least of many rounds
//! `costs --count` under callgrind                           see tests/bench/instructions
//!
//! All of it is done by one thread in an order of its own, so that the same program takes the same instructions.

#![expect(unreachable_pub, reason = "a program has no interface: pub says what a module offers to the others")]

mod chains;
#[path = "../../plugins/components.rs"]
mod components;
mod stages;
mod yard;

use meter::{Flags, Records};
use pointsman::core::{Append, Placement};
use pointsman::protocol::record_batch::{NO_HEADERS, RecordBody};
use stages::Stages;
use std::hint::black_box;
use yard::Yard;

/// Records of a round: two batches of each partition, less a little.
const RECORDS: usize = 1_400;

fn main() {
    let counts = std::env::args().any(|word| word == "--count");
    let all = Records::of(&Flags { records: RECORDS as u64, ..Flags::default() });
    let records: Vec<(&[u8], &[u8])> = (0..RECORDS as u64)
        .map(|at| all.get(at))
        .map(|(key, value)| (key.unwrap_or_default().as_bytes(), value.as_bytes()))
        .collect();
    let mut stages = Stages::new(counts, RECORDS);
    if !counts {
        floors(&mut stages, &records);
    }
    pieces(&mut stages, &records);
    way(&mut stages, "no plugins", Yard::new(None), &records);
    way(&mut stages, "native plugins", Yard::new(Some(chains::native())), &records);
    way(&mut stages, "Wasm plugins", Yard::new(Some(chains::wasm(counts))), &records);
    stages.print();
}

/// What a stage has to be held against.
fn floors(stages: &mut Stages, records: &[(&[u8], &[u8])]) {
    let mut to = Vec::with_capacity(1 << 20);
    stages.rounds(|stages| {
        to.clear();
        stages.stage("floor: memcpy of key and value", || {
            for (key, value) in records {
                to.extend_from_slice(black_box(key));
                to.extend_from_slice(black_box(value));
            }
        });
        let call: fn() = black_box(|| ());
        stages.stage("floor: an empty call", || records.iter().for_each(|_| black_box(call)()));
        stages.stage("floor: crc32c of key and value", || {
            black_box(crc32c::crc32c(black_box(&to)));
        });
    });
}

/// Pieces by themselves.
fn pieces(stages: &mut Stages, records: &[(&[u8], &[u8])]) {
    let mut to = Vec::with_capacity(1 << 20);
    stages.rounds(|stages| {
        to.clear();
        stages.stage("a record encoded", || {
            for (at, (key, value)) in (0..).zip(records) {
                let body = RecordBody { key: Some(key), value: Some(value), headers: NO_HEADERS };
                body.encode(black_box(&mut to), 1, at);
            }
        });
    });
    let mut yard = Yard::new(None);
    stages.rounds(|stages| {
        let topic = yard.topic();
        let now = yard.now();
        let mut core = yard.core();
        stages.stage("the core's append", || {
            for (key, value) in records {
                let append = Append {
                    topic,
                    placement: Placement::Default,
                    timestamp: 1,
                    accepted: None,
                    key: Some(key),
                    value: Some(value),
                    value_buffer: None,
                    headers: NO_HEADERS,
                    token: None,
                };
                black_box(core.append(|| now, &append).expect("there is room"));
            }
        });
        drop(core);
        yard.rest();
    });
}

/// From the send to the delivery.
fn way(stages: &mut Stages, plugins: &str, mut yard: Yard, records: &[(&[u8], &[u8])]) {
    let mut deliveries = Vec::with_capacity(RECORDS);
    stages.rounds(|stages| {
        stages.stage(&format!("{plugins}: send"), || {
            for (key, value) in records {
                deliveries.push(yard.send(key, value));
            }
        });
        stages.stage(&format!("{plugins}: the lane's step"), || yard.step());
        let mut requests = Vec::new();
        stages.stage(&format!("{plugins}: sealed, summed, encoded"), || requests = yard.requests());
        stages.stage(&format!("{plugins}: answered, acknowledged"), || {
            requests.drain(..).for_each(|request| yard.answer(request));
            yard.finish();
        });
        // Batches that a first answer had to come for.
        yard.rest();
        stages.stage(&format!("{plugins}: delivered"), || {
            deliveries.drain(..).for_each(|delivery| {
                black_box(delivery.wait().expect("delivered"));
            });
        });
    });
    stages.sum(plugins);
}
