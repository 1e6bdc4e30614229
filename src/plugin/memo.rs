//! Answers of a keyed partitioner that reads only the key, remembered: the same key goes to the same place until the
//! topic's partitions change, so it need not be asked again.
//!
//! Looking an answer up costs about as much as a fast plugin's share of a call, so that is done only for one whose
//! calls cost more. But for every such plugin a record of each chunk is compared with what was answered for its key
//! before: a plugin that says keyed and keeps state would take the order from its keys, and is found out.

use super::columns::NULL;
use super::records::Records;
use super::roles::{Consistency, Fields, HeaderReads, PartitionerWants};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

/// Placements by topic and key, of two generations: when the young one is full it becomes the old one, and what is
/// asked for again moves on into the next.
#[derive(Default)]
pub(super) struct Memo {
    topics: BTreeMap<Arc<str>, Answers>,
    young_keys: usize,
    young_bytes: usize,
    /// Chunks since the last sample.
    unsampled: u32,
}

#[derive(Default)]
struct Answers {
    young: HashMap<Box<[u8]>, i32>,
    old: HashMap<Box<[u8]>, i32>,
}

/// What the memo made of a chunk's records.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Recalled {
    /// Records that were placed, and so are no longer among those to ask for.
    pub(super) remembered: usize,
    /// A record to ask for, by its place among them, and what the answer was before.
    pub(super) sample: Option<Sample>,
}

/// A record whose answer is known and asked for all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sample {
    pub(super) at: usize,
    pub(super) before: i32,
}

impl Memo {
    /// Whether a partitioner's answers follow from topic and key alone, by its own word.
    pub(super) fn suits(wants: &PartitionerWants) -> bool {
        let by_key = Fields { topic: wants.reads.fields.topic, key: true, ..Fields::default() };
        wants.consistency == Consistency::Keyed
            && wants.reads.fields == by_key
            && wants.reads.headers == HeaderReads::None
    }

    /// Whether answers of calls that cost so much for each record are worth looking up.
    pub(super) fn is_worth(cost: Duration) -> bool {
        cost >= WORTH
    }

    /// Takes out of `asked`, the indexes of records to place, those whose keys are known, and writes their places into
    /// `targets`. Where looking up is not worth it, only the first one is compared.
    pub(super) fn recall(
        &mut self,
        worth: bool,
        records: &Records,
        asked: &mut Vec<u32>,
        targets: &mut [i32],
    ) -> Recalled {
        let mut recalled = Recalled::default();
        let mut known = Vec::new();
        let mut left = asked.iter().copied().enumerate().peekable();
        for (index, key) in (0..).zip(records.keys.as_ref().iter()) {
            let Some((at, _)) = left.next_if(|(_, asked)| *asked == index) else { continue };
            let topic = &records.topics[records.topic_of[index as usize] as usize];
            if let Some(target) = key.and_then(|key| self.answer(topic, key)) {
                known.push((at, target));
            }
            // Nulls have no order to lose.
            if !worth && key.is_some() {
                break;
            }
        }
        if !worth {
            recalled.sample = known.first().map(|&(at, before)| Sample { at, before });
            return recalled;
        }
        // A call that is made anyway costs little more for one record more.
        let is_made = known.len() < asked.len();
        self.unsampled = if is_made { 0 } else { (self.unsampled + 1) % SAMPLE_EVERY };
        if is_made || self.unsampled == 0 {
            let sampled = known.pop();
            recalled.sample = sampled.map(|(at, before)| Sample { at: at - known.len(), before });
        }
        recalled.remembered = known.len();
        for &(at, target) in &known {
            targets[asked[at] as usize] = target;
        }
        let mut known = known.iter().map(|&(at, _)| at).peekable();
        let mut at = 0;
        asked.retain(|_| {
            let is_known = known.next_if_eq(&at).is_some();
            at += 1;
            !is_known
        });
        recalled
    }

    /// The answer that was given for a key.
    fn answer(&mut self, topic: &Arc<str>, key: &[u8]) -> Option<i32> {
        let answers = self.topics.get_mut(topic)?;
        if let Some(&target) = answers.young.get(key) {
            return Some(target);
        }
        let (key, target) = answers.old.remove_entry(key)?;
        self.book(&key);
        self.topics.get_mut(topic)?.young.insert(key, target);
        Some(target)
    }

    /// Remembers an answer.
    pub(super) fn keep(&mut self, topic: &Arc<str>, key: &[u8], target: i32) {
        if key.len() > KEY_BYTES_MAX {
            return;
        }
        if self.topics.get(topic).is_some_and(|answers| answers.young.contains_key(key)) {
            return;
        }
        self.book(key);
        self.topics.entry(Arc::clone(topic)).or_default().young.insert(key.into(), target);
    }

    /// The topic is another one than before.
    pub(super) fn forget(&mut self, topic: &str) {
        if let Some(gone) = self.topics.remove(topic) {
            self.young_keys -= gone.young.len();
            self.young_bytes -= gone.young.keys().map(|key| key.len()).sum::<usize>();
        }
    }

    /// Makes room for one more in the young generation.
    fn book(&mut self, key: &[u8]) {
        if self.young_keys >= KEYS_MAX || self.young_bytes + key.len() > BYTES_MAX {
            for answers in self.topics.values_mut() {
                answers.old = std::mem::take(&mut answers.young);
            }
            (self.young_keys, self.young_bytes) = (0, 0);
        }
        self.young_keys += 1;
        self.young_bytes += key.len();
    }
}

/// What is wrong with an answer that should be the one before.
pub(super) fn contradiction(before: i32, now: i32) -> String {
    let place = |target: i32| match target {
        0.. => format!("partition {target}"),
        NULL => "the built-in choice".to_owned(),
        _ => format!("group {}", (NULL - 1).abs_diff(target)),
    };
    format!(
        "partition: it says keyed, and answered {} for a key that it gave {} before; one that keeps state is free",
        place(now),
        place(before)
    )
}

/// What a call costs for each record where looking its answer up costs less.
const WORTH: Duration = Duration::from_nanos(250);
/// Keys and their bytes in one generation.
const KEYS_MAX: usize = 16 * 1024;
const BYTES_MAX: usize = 1 << 20;
/// A key longer than that is not remembered.
const KEY_BYTES_MAX: usize = 1024;
/// Of chunks whose records are all known, one in so many is compared.
const SAMPLE_EVERY: u32 = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn records(keys: &[Option<&str>]) -> Records {
        let topic: Arc<str> = "orders".into();
        let mut records = Records::default();
        for key in keys {
            records.push(&topic, None, 0, key.map(str::as_bytes), None, std::iter::empty());
        }
        records
    }

    fn topic() -> Arc<str> {
        "orders".into()
    }

    #[test]
    fn what_is_known_is_not_asked_again_but_for_a_sample() {
        let mut memo = Memo::default();
        memo.keep(&topic(), b"a", 4);
        memo.keep(&topic(), b"b", -2);
        let records = records(&[Some("a"), Some("x"), None, Some("b"), Some("a")]);
        let (mut asked, mut targets) = (vec![0, 1, 2, 3, 4], vec![NULL; 5]);
        let recalled = memo.recall(true, &records, &mut asked, &mut targets);
        assert_eq!(recalled, Recalled { remembered: 2, sample: Some(Sample { at: 2, before: 4 }) });
        assert_eq!((asked, targets), (vec![1, 2, 4], vec![4, NULL, NULL, -2, NULL]));
    }

    #[test]
    fn where_all_is_known_few_are_compared() {
        let mut memo = Memo::default();
        memo.keep(&topic(), b"a", 4);
        let records = records(&[Some("a"), Some("a")]);
        let mut asks = 0;
        for _ in 0..2 * SAMPLE_EVERY {
            let (mut asked, mut targets) = (vec![0, 1], vec![NULL; 2]);
            memo.recall(true, &records, &mut asked, &mut targets);
            asks += asked.len();
        }
        assert_eq!(asks, 2);
    }

    #[test]
    fn a_fast_plugin_is_asked_for_all_and_compared_in_one() {
        let mut memo = Memo::default();
        memo.keep(&topic(), b"a", 4);
        let records = records(&[None, Some("a"), Some("a")]);
        let (mut asked, mut targets) = (vec![0, 1, 2], vec![NULL; 3]);
        let recalled = memo.recall(false, &records, &mut asked, &mut targets);
        assert_eq!(recalled, Recalled { remembered: 0, sample: Some(Sample { at: 1, before: 4 }) });
        assert_eq!((asked, targets), (vec![0, 1, 2], vec![NULL; 3]));
    }

    #[test]
    fn keys_are_bounded_and_those_that_recur_stay() {
        let mut memo = Memo::default();
        memo.keep(&topic(), b"hot", 1);
        for number in 0..5 * KEYS_MAX {
            memo.keep(&topic(), &number.to_le_bytes(), 0);
            assert_eq!(memo.answer(&topic(), b"hot"), Some(1));
        }
        let answers = &memo.topics["orders"];
        assert!(answers.young.len() + answers.old.len() <= 2 * KEYS_MAX);
        assert_eq!(memo.young_keys, answers.young.len());
        assert_eq!(memo.answer(&topic(), &0usize.to_le_bytes()), None);
        memo.keep(&topic(), &[0; KEY_BYTES_MAX + 1], 1);
        assert_eq!(memo.answer(&topic(), &[0; KEY_BYTES_MAX + 1]), None);
        memo.forget("orders");
        assert_eq!((memo.young_keys, memo.young_bytes, memo.answer(&topic(), b"hot")), (0, 0, None));
    }
}
