//! A set of small numbers, such as the core gives its partitions.

use std::iter;
use std::ops::Range;

/// Numbers without gaps, or with few. Adding and removing one costs the same however many there are, and looking
/// through them costs little more than there are: of each 64 words of bits, one bit says whether a word has any.
#[derive(Clone, Debug, Default)]
pub(super) struct IdSet {
    words: Vec<u64>,
    /// A bit for each word that is not zero.
    summary: Vec<u64>,
    len: usize,
}

impl IdSet {
    #[cfg(test)]
    fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Says whether it is new.
    pub(super) fn insert(&mut self, id: u32) -> bool {
        let (word, bit) = place(id);
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
            self.summary.resize(word / 64 + 1, 0);
        }
        let is_new = self.words[word] & bit == 0;
        self.words[word] |= bit;
        self.summary[word / 64] |= 1 << (word % 64);
        self.len += usize::from(is_new);
        is_new
    }

    /// Says whether it was there.
    pub(super) fn remove(&mut self, id: u32) -> bool {
        let (word, bit) = place(id);
        let was_there = self.words.get(word).is_some_and(|bits| bits & bit != 0);
        if was_there {
            self.words[word] &= !bit;
            if self.words[word] == 0 {
                self.summary[word / 64] &= !(1 << (word % 64));
            }
            self.len -= 1;
        }
        was_there
    }

    pub(super) fn clear(&mut self) {
        if self.is_empty() {
            return;
        }
        self.words.fill(0);
        self.summary.fill(0);
        self.len = 0;
    }

    /// All of them, ascending.
    pub(super) fn iter(&self) -> impl Iterator<Item = u32> {
        self.range(0..u32::MAX)
    }

    /// All of them, ascending from `first` on, then from the least on.
    pub(super) fn iter_from(&self, first: u32) -> impl Iterator<Item = u32> {
        self.range(first..u32::MAX).chain(self.range(0..first))
    }

    fn range(&self, range: Range<u32>) -> impl Iterator<Item = u32> {
        let mut next = range.start;
        iter::from_fn(move || {
            let found = self.first_from(next).filter(|&id| id < range.end)?;
            next = found + 1;
            Some(found)
        })
    }

    /// The least that is not below `first`.
    fn first_from(&self, first: u32) -> Option<u32> {
        let (word, bit) = place(first);
        let rest = self.words.get(word)? & !(bit - 1);
        if rest != 0 {
            return Some(number(word, rest));
        }
        let after = word + 1;
        let mut at = after / 64;
        let mut words = self.summary.get(at)? & (u64::MAX << (after % 64));
        while words == 0 {
            at += 1;
            words = *self.summary.get(at)?;
        }
        let word = at * 64 + words.trailing_zeros() as usize;
        Some(number(word, self.words[word]))
    }
}

fn place(id: u32) -> (usize, u64) {
    (id as usize / 64, 1 << (id % 64))
}

/// Of the lowest bit of a word.
fn number(word: usize, bits: u64) -> u32 {
    word as u32 * 64 + bits.trailing_zeros()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn it_holds_what_a_tree_holds(steps in proptest::collection::vec((any::<bool>(), 0u32..10_000), 0..300), from in 0u32..11_000) {
            let (mut set, mut tree) = (IdSet::default(), BTreeSet::new());
            for (insert, id) in steps {
                // Mostly close to each other, so that words fill and empty.
                let id = if id % 3 == 0 { id } else { id % 200 };
                if insert {
                    prop_assert_eq!(set.insert(id), tree.insert(id));
                } else {
                    prop_assert_eq!(set.remove(id), tree.remove(&id));
                }
                prop_assert_eq!((set.len(), set.is_empty()), (tree.len(), tree.is_empty()));
            }
            prop_assert_eq!(set.iter().collect::<Vec<_>>(), tree.iter().copied().collect::<Vec<_>>());
            let in_turn: Vec<u32> = tree.range(from..).chain(tree.range(..from)).copied().collect();
            prop_assert_eq!(set.iter_from(from).collect::<Vec<_>>(), in_turn);
        }
    }
}
