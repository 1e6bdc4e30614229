//! The checkers' own test: the code is broken on purpose, and some seed among the first has to notice.
//!
//! The fifth mistake, a dropped accept that lets nobody go on, needs a lane: `tests/producer`.

use pointsman::sabotage::{Sabotage, with};

/// Breaks the code and says what the checkers made of it, and after how many seeds.
fn noticed(sabotage: Sabotage, within: u64) -> String {
    noticed_by(crate::seeds::run, sabotage, within)
}

fn noticed_by(run: fn(u64) -> crate::seeds::Report, sabotage: Sabotage, within: u64) -> String {
    for seed in 0..within {
        let report = with(sabotage, || crate::run(seed, run));
        if let Some(what) = report.violations.first() {
            println!("{sabotage:?}: seed {seed}: {what}");
            return what.clone();
        }
    }
    panic!("{sabotage:?} goes unnoticed for {within} seeds");
}

#[test]
fn swapped_retries_are_noticed() {
    noticed(Sabotage::SwapRetriedBatches, 50);
}

#[test]
fn forgotten_epoch_reset_is_noticed() {
    noticed(Sabotage::ForgetEpochReset, 50);
}

#[test]
fn memory_given_back_early_is_noticed() {
    let what = noticed(Sabotage::GiveMemoryBackEarly, 5);
    assert!(what.contains("are being written and only"), "{what}");
}

#[test]
fn completing_twice_is_noticed() {
    let what = noticed(Sabotage::CompleteTwice, 5);
    assert!(what.ends_with("is done twice"), "{what}");
}

#[test]
fn lanes_that_take_turns_are_noticed() {
    let what = noticed_by(crate::lanes::run, Sabotage::LanesByTurns, 50);
    assert!(what.contains("behind"), "{what}");
}

#[test]
fn overtaking_what_is_aside_is_noticed() {
    let what = noticed_by(crate::lanes::run, Sabotage::OvertakeAside, 400);
    assert!(what.contains("behind"), "{what}");
}

#[test]
fn chains_replaced_over_what_is_aside_are_noticed() {
    let what = noticed_by(crate::lanes::run, Sabotage::SwapOverAside, 4000);
    assert!(what.contains("after half of each"), "{what}");
}

#[test]
fn misplaced_halves_are_noticed() {
    noticed_by(crate::lanes::run, Sabotage::HalvesFromTheStart, 50);
}

#[test]
fn failing_open_is_noticed() {
    let what = noticed_by(crate::lanes::run, Sabotage::FailOpen, 20);
    assert!(what.contains("leaves"), "{what}");
}

#[test]
fn sending_before_the_coordinator_knows_is_noticed() {
    let what = noticed_by(crate::transactions::run, Sabotage::SendBeforeJoined, 20);
    assert!(what.contains("which is not part of its transaction"), "{what}");
}

#[test]
fn an_epoch_that_is_kept_after_an_abort_is_noticed() {
    noticed_by(crate::transactions::run, Sabotage::KeepEpochAfterAbort, 100);
}
