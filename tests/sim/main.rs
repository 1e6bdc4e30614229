//! A seeded simulator: the producer's core against a cluster in one thread on virtual time.
//!
//! `seeds` is the core alone, `lanes` the core behind lanes in which plugins fail, `transactions` the core with transactions
//! and perhaps another producer that takes over.
//!
//! `tests/run --seeds 5000`, or `POINTSMAN_SIM_SEEDS=5000 cargo test --test sim seeds`, runs more seeds,
//! `POINTSMAN_SIM_SEED=17` one of them, with `POINTSMAN_SIM_TRACE=1` and `-- --nocapture` its whole trace. The same seed
//! is the same run, to the letter.

#![expect(unreachable_pub, reason = "a test has no interface: pub says what a module offers to the others")]

mod batch;
mod check;
mod cluster;
mod coordination;
mod coordinators;
mod faults;
mod groups;
mod lanes;
mod load;
mod log;
mod network;
mod rng;
#[cfg(feature = "sabotage")]
mod sabotage;
mod scale;
mod scenarios;
mod seeds;
mod transactions;
mod wire;
mod world;

use std::env;

/// Seeds that found something once, to be run always.
const REGRESSIONS: &[u64] = &[397];
/// The same of those with lanes.
const LANE_REGRESSIONS: &[u64] = &[3004];
/// The same of those with transactions.
const TRANSACTION_REGRESSIONS: &[u64] = &[712, 1867, 2383, 2678, 2688];

#[test]
fn seeds() {
    let (written, failed) = run_seeds("seeds", REGRESSIONS, 1_000, seeds::run);
    // A simulator that delivers nothing finds nothing.
    assert!(written + failed < 1_000 || written > 2 * failed, "{written} written, {failed} failed");
}

/// With lanes before the core, in which plugins fail.
#[test]
fn lanes() {
    let (written, failed) = run_seeds("lanes", LANE_REGRESSIONS, 300, lanes::run);
    assert!(written + failed < 1_000 || written > failed, "{written} written, {failed} failed");
}

/// With transactions, by either protocol.
#[test]
fn transactions() {
    let (committed, others) = run_seeds("transactions", TRANSACTION_REGRESSIONS, 500, transactions::run);
    assert!(committed + others < 1_000 || committed > others, "{committed} committed, {others} not");
}

/// How many records were written, and how many were not.
fn run_seeds(test: &str, regressions: &[u64], usually: u64, run: fn(u64) -> seeds::Report) -> (usize, usize) {
    let number = |name: &str| env::var(name).ok().map(|value| value.parse::<u64>().expect("a number"));
    let seeds: Vec<u64> = match number("POINTSMAN_SIM_SEED") {
        Some(seed) => vec![seed],
        None => regressions.iter().copied().chain(0..number("POINTSMAN_SIM_SEEDS").unwrap_or(usually)).collect(),
    };
    let (mut written, mut failed, mut broken) = (0, 0, Vec::new());
    for report in run_all(&seeds, run) {
        written += report.written;
        failed += report.failed;
        if !report.violations.is_empty() {
            if broken.is_empty() {
                describe(test, &report);
            }
            broken.push((report.seed, report.violations[0].clone()));
        }
    }
    println!("{} seeds of {test}, {written} well, {failed} failed", seeds.len());
    for (seed, what) in &broken {
        println!("seed {seed}: {what}");
    }
    assert!(broken.is_empty(), "{} of {} seeds", broken.len(), seeds.len());
    (written, failed)
}

#[test]
fn same_seed_same_trace() {
    for seed in [1, 2, 3, 5, 8] {
        assert_eq!(seeds::run(seed).hash, seeds::run(seed).hash, "seed {seed}");
        assert_eq!(lanes::run(seed).hash, lanes::run(seed).hash, "seed {seed} with lanes");
        assert_eq!(transactions::run(seed).hash, transactions::run(seed).hash, "seed {seed} with transactions");
    }
}

/// Runs the seeds, each in one thread, as many at a time as there are processors.
fn run_all(seeds: &[u64], one: fn(u64) -> seeds::Report) -> Vec<seeds::Report> {
    let threads = std::thread::available_parallelism().map_or(1, |count| count.get());
    let mut reports: Vec<(usize, seeds::Report)> = std::thread::scope(|scope| {
        let share =
            |nth| move || (nth..seeds.len()).step_by(threads).map(|at| (at, run(seeds[at], one))).collect::<Vec<_>>();
        let running: Vec<_> = (0..threads).map(|nth| scope.spawn(share(nth))).collect();
        running.into_iter().flat_map(|thread| thread.join().expect("a panic is caught where it happens")).collect()
    });
    reports.sort_by_key(|(at, _)| *at);
    reports.into_iter().map(|(_, report)| report).collect()
}

/// A panic is a finding like another: it must not take the other seeds with it.
fn run(seed: u64, one: fn(u64) -> seeds::Report) -> seeds::Report {
    std::panic::catch_unwind(|| one(seed)).unwrap_or_else(|panic| {
        let what = panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|what| (*what).to_owned()));
        let violations = vec![format!("panic: {}", what.unwrap_or_default())];
        seeds::Report { seed, hash: 0, violations, tail: Vec::new(), written: 0, failed: 0 }
    })
}

fn describe(test: &str, report: &seeds::Report) {
    report.tail.iter().for_each(|line| println!("{line}"));
    report.violations.iter().for_each(|what| println!("VIOLATION {what}"));
    println!("replay: POINTSMAN_SIM_SEED={} cargo test --test sim {test} -- --nocapture", report.seed);
}
