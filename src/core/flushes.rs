//! How many batches are not done, and which flushes wait for them.

use std::collections::VecDeque;

/// Counts batches by the flushes that wait for them, since of their numbers nothing else is asked.
#[derive(Debug, Default)]
pub(super) struct Flushes {
    /// Batches that are not done, and those that were made of one for each of its parts.
    live: usize,
    /// Of these, those that a flush waits for.
    awaited: usize,
    /// In their order.
    waiting: VecDeque<Flush>,
    next: u64,
}

#[derive(Debug)]
struct Flush {
    number: u64,
    /// It waits for batches before this one…
    before: u64,
    /// …of which so many are not done and not waited for by the flush before it.
    left: usize,
}

impl Flushes {
    /// Batches that are not done.
    pub(super) fn live(&self) -> usize {
        self.live
    }

    /// Waits for all batches that there are; they are before `before`, and those to come are not. Returns its number.
    pub(super) fn add(&mut self, before: u64) -> u64 {
        let number = self.next;
        self.next += 1;
        let left = self.live - self.awaited;
        self.awaited = self.live;
        self.waiting.push_back(Flush { number, before, left });
        number
    }

    /// A batch was begun, or made of one that was.
    pub(super) fn began(&mut self, batch: u64) {
        self.live += 1;
        if let Some(flush) = self.first_for(batch) {
            flush.left += 1;
            self.awaited += 1;
        }
    }

    /// It is done, or something else was made of it.
    pub(super) fn ended(&mut self, batch: u64) {
        debug_assert!(self.live > 0, "batch {batch} ended more often than it began");
        self.live -= 1;
        if let Some(flush) = self.first_for(batch) {
            flush.left -= 1;
            self.awaited -= 1;
        }
    }

    /// Takes out the next flush whose batches are done.
    pub(super) fn pop_done(&mut self) -> Option<u64> {
        self.waiting.pop_front_if(|flush| flush.left == 0).map(|flush| flush.number)
    }

    /// The first flush that waits for it: those behind wait for that one.
    fn first_for(&mut self, batch: u64) -> Option<&mut Flush> {
        let at = self.waiting.partition_point(|flush| flush.before <= batch);
        self.waiting.get_mut(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_flush_waits_for_what_was_begun_before_it_and_for_the_flush_before() {
        let mut flushes = Flushes::default();
        assert_eq!((flushes.add(1), flushes.pop_done(), flushes.pop_done()), (0, Some(0), None), "there is nothing");
        flushes.began(1);
        flushes.began(2);
        assert_eq!(flushes.add(3), 1);
        flushes.began(3);
        assert_eq!(flushes.add(4), 2);
        assert_eq!(flushes.add(4), 3);
        flushes.began(4);
        flushes.ended(3);
        flushes.ended(1);
        assert_eq!(flushes.pop_done(), None);
        // The second is made anew, as two.
        flushes.ended(2);
        flushes.began(2);
        flushes.began(2);
        assert_eq!(flushes.pop_done(), None);
        flushes.ended(2);
        flushes.ended(2);
        assert_eq!([(); 4].map(|()| flushes.pop_done()), [Some(1), Some(2), Some(3), None]);
        assert_eq!(flushes.live(), 1);
    }

    proptest! {
        /// As if every batch were known by its number.
        #[test]
        fn it_counts_what_a_set_would_hold(steps in proptest::collection::vec((0u8..4, any::<u16>()), 0..200)) {
            let (mut flushes, mut live) = (Flushes::default(), Vec::new());
            let (mut waiting, mut next) = (VecDeque::new(), 1);
            for (step, drawn) in steps {
                match step {
                    0 => {
                        flushes.began(next);
                        live.push(next);
                        next += 1;
                    }
                    1 => waiting.push_back((flushes.add(next), next)),
                    2 if !live.is_empty() => flushes.ended(live.swap_remove(usize::from(drawn) % live.len())),
                    3 if !live.is_empty() => {
                        // A part of one.
                        let batch = live[usize::from(drawn) % live.len()];
                        flushes.began(batch);
                        live.push(batch);
                    }
                    _ => {}
                }
                let done = |(_, before): &mut (u64, u64)| live.iter().all(|batch| batch >= before);
                loop {
                    let expected = waiting.pop_front_if(done).map(|(number, _)| number);
                    prop_assert_eq!(flushes.pop_done(), expected);
                    if expected.is_none() {
                        break;
                    }
                }
                prop_assert_eq!(flushes.live(), live.len());
            }
        }
    }
}
