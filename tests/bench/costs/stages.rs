//! What is measured, by name: timed round by round, or done once for callgrind to count.

use std::hint::black_box;
use std::time::Instant;

/// Rounds before the one that callgrind counts: connections, buffers, what is remembered.
const WARM: usize = 4;
const TIMED: usize = 400;

pub struct Stages {
    counts: bool,
    is_warm: bool,
    records: usize,
    /// The least of all rounds, nanoseconds a record.
    least: Vec<(String, f64)>,
}

impl Stages {
    pub fn new(counts: bool, records: usize) -> Stages {
        Stages { counts, is_warm: false, records, least: Vec::new() }
    }

    pub fn rounds(&mut self, mut round: impl FnMut(&mut Stages)) {
        self.is_warm = !self.counts;
        (0..if self.counts { WARM } else { TIMED }).for_each(|_| round(self));
        if self.counts {
            self.is_warm = true;
            round(self);
        }
    }

    pub fn stage(&mut self, name: &str, mut work: impl FnMut()) {
        if self.counts {
            if self.is_warm {
                // The nth of these lines is of callgrind's nth part.
                println!("{}\t{name}", self.records);
                part(&mut work);
            } else {
                work();
            }
            return;
        }
        let begin = Instant::now();
        work();
        let taken = begin.elapsed().as_secs_f64() * 1e9 / self.records as f64;
        match self.least.iter_mut().find(|(known, _)| known == name) {
            Some((_, least)) => *least = least.min(taken),
            None => self.least.push((name.to_owned(), taken)),
        }
    }

    /// All stages of a name that begins so.
    pub fn sum(&mut self, beginning: &str) {
        let of = |(name, least): &(String, f64)| name.starts_with(beginning).then_some(*least);
        let sum = self.least.iter().filter_map(of).sum();
        self.least.push((format!("{beginning}: all of it"), sum));
    }

    pub fn print(&self) {
        if self.counts {
            return;
        }
        let floor = self.least[0].1;
        println!("{:44}{:>12}{:>14}", "", "ns/record", "x memcpy");
        for (name, least) in &self.least {
            println!("{name:44}{least:>12.1}{:>14.1}", least / floor);
        }
    }
}

/// Callgrind ends a part of its report with this,
#[inline(never)]
fn part(work: &mut dyn FnMut()) {
    counted(work);
    black_box(());
}

/// and counts what happens in here.
#[inline(never)]
fn counted(work: &mut dyn FnMut()) {
    black_box(work)();
    black_box(());
}
