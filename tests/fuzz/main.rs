//! The checks of `tests/fuzz/checks.rs` on stable Rust: good bytes, a little spoiled, from a seed. Neither a panic nor
//! memory out of proportion to the bytes. At length, and guided by coverage: `tests/run --long`.
//!
//! `POINTSMAN_FUZZ_INPUTS=1000000 cargo test --test fuzz` tries more; `POINTSMAN_FUZZ_CORPUS=FOLDER` writes down the
//! good bytes for cargo-fuzz to begin with.

#![expect(unreachable_pub, reason = "the checks are also a library's: see lib.rs")]

mod checks;
mod corpus;
#[path = "../../src/net/frames.rs"]
mod frames;

use pointsman::{config, protocol};

/// SplitMix64.
struct Rng(u64);

impl Rng {
    fn below(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % below.max(1) as u64) as usize
    }
}

/// What lengths, counts and codes are read wrong at.
const EDGES: [u32; 10] = [0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff];

fn spoil(rng: &mut Rng, bytes: &mut Vec<u8>) {
    for _ in 0..1 + rng.below(4) {
        let at = rng.below(bytes.len());
        let len = rng.below(16).min(bytes.len() - at);
        match rng.below(8) {
            0 if !bytes.is_empty() => bytes[at] ^= 1 << rng.below(8),
            1 if !bytes.is_empty() => bytes[at] = EDGES[rng.below(5)] as u8,
            2 if at + 4 <= bytes.len() => {
                bytes[at..at + 4].copy_from_slice(&EDGES[rng.below(EDGES.len())].to_be_bytes());
            }
            3 if at + 2 <= bytes.len() => {
                bytes[at..at + 2].copy_from_slice(&(EDGES[rng.below(7)] as u16).to_be_bytes());
            }
            4 => bytes.truncate(at),
            5 => drop(bytes.drain(at..at + len)),
            6 => {
                let again = bytes[at..at + len].to_vec();
                drop(bytes.splice(at..at, again));
            }
            _ => bytes.insert(at, rng.below(256) as u8),
        }
    }
}

/// Bytes of memory for each byte that is read, and once.
struct Bound {
    each: usize,
    once: usize,
}

/// A message makes structs of its bytes, each larger than its bytes by a factor that its smallest form decides.
const MESSAGE: Bound = Bound { each: 64, once: 4 * 1024 };

fn tried(target: &str, check: fn(&[u8]), seeds: &[Vec<u8>], inputs: usize, bound: Bound) {
    let inputs = std::env::var("POINTSMAN_FUZZ_INPUTS").map_or(inputs, |many| many.parse().expect("a number"));
    let mut rng = Rng(seeds.len() as u64);
    for (nth, seed) in seeds.iter().enumerate() {
        check(seed);
        if let Some(folder) = std::env::var_os("POINTSMAN_FUZZ_CORPUS") {
            let folder = std::path::Path::new(&folder).join(target);
            std::fs::create_dir_all(&folder).expect("the folder can be made");
            std::fs::write(folder.join(nth.to_string()), seed).expect("the folder can be written to");
        }
    }
    for input in 0..inputs {
        let mut bytes = seeds[rng.below(seeds.len())].clone();
        spoil(&mut rng, &mut bytes);
        let taken = std::panic::catch_unwind(|| allocation_counter::measure(|| check(&bytes)).bytes_max);
        let Ok(taken) = taken else { panic!("input {input}: {bytes:?}") };
        let most = bound.each * bytes.len() + bound.once;
        assert!(taken as usize <= most, "input {input} of {} bytes takes {taken}: {bytes:?}", bytes.len());
    }
}

#[test]
fn produce_responses() {
    tried("produce", checks::produce, &corpus::produce(), 60_000, MESSAGE);
}

#[test]
fn metadata_responses() {
    tried("metadata", checks::metadata, &corpus::metadata(), 60_000, MESSAGE);
}

#[test]
fn api_versions_responses() {
    tried("api-versions", checks::api_versions, &corpus::api_versions(), 60_000, MESSAGE);
}

#[test]
fn init_producer_id_responses() {
    tried("init-producer-id", checks::init_producer_id, &corpus::init_producer_id(), 60_000, MESSAGE);
}

#[test]
fn find_coordinator_responses() {
    tried("find-coordinator", checks::find_coordinator, &corpus::find_coordinator(), 60_000, MESSAGE);
}

#[test]
fn add_partitions_to_txn_responses() {
    tried("add-partitions-to-txn", checks::add_partitions_to_txn, &corpus::add_partitions_to_txn(), 60_000, MESSAGE);
}

#[test]
fn add_offsets_to_txn_responses() {
    tried("add-offsets-to-txn", checks::add_offsets_to_txn, &corpus::add_offsets_to_txn(), 60_000, MESSAGE);
}

#[test]
fn txn_offset_commit_responses() {
    tried("txn-offset-commit", checks::txn_offset_commit, &corpus::txn_offset_commit(), 60_000, MESSAGE);
}

#[test]
fn end_txn_responses() {
    tried("end-txn", checks::end_txn, &corpus::end_txn(), 60_000, MESSAGE);
}

#[test]
fn create_topics_responses() {
    tried("create-topics", checks::create_topics, &corpus::create_topics(), 60_000, MESSAGE);
}

#[test]
fn list_offsets_responses() {
    tried("list-offsets", checks::list_offsets, &corpus::list_offsets(), 60_000, MESSAGE);
}

#[test]
fn describe_configs_responses() {
    tried("describe-configs", checks::describe_configs, &corpus::describe_configs(), 60_000, MESSAGE);
}

/// What is spoiled begins as a configuration that is read.
#[test]
fn the_files_to_begin_with_are_good() {
    for (read, files) in [
        (config::Config::from_properties as fn(&str) -> Result<config::Config, config::Error>, corpus::properties()),
        (config::Config::from_toml, corpus::toml()),
    ] {
        for file in files {
            let text = String::from_utf8(file).expect("text");
            if let Err(error) = read(&text) {
                panic!("{error}\n{text}");
            }
        }
    }
}

#[test]
fn streams_of_frames() {
    // Its buffer begins at 16 KiB, doubles, and lives beside the one that it grows out of.
    tried("frames", checks::frames, &corpus::streams(), 30_000, Bound { each: 8, once: 40 * 1024 });
}

#[test]
fn properties_files() {
    tried("properties", checks::properties, &corpus::properties(), 2_000, Bound { each: 1024, once: 256 * 1024 });
}

#[test]
fn toml_files() {
    tried("toml", checks::toml, &corpus::toml(), 2_000, Bound { each: 1024, once: 256 * 1024 });
}
