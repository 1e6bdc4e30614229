//! A hash table of names for one look-up a record. Most names are short: one of up to eight bytes is compared as a
//! number, where comparing strings would be a function call, and the hash is one multiplication.

use crate::regions::Partitions;

/// Names of regions and their partitions.
#[derive(Default)]
pub(crate) struct Names {
    entries: Vec<Entry>,
    /// Places in `entries` by hash, each followed by those that met it occupied. A power of two, at most half full.
    slots: Vec<Option<u16>>,
}

struct Entry {
    head: u64,
    name: Vec<u8>,
    partitions: Partitions,
}

impl Names {
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Adds a name that is not in yet.
    pub(crate) fn insert(&mut self, name: Vec<u8>, partitions: Partitions) {
        self.entries.push(Entry { head: head(&name), name, partitions });
        self.slots = vec![None; (2 * self.entries.len()).next_power_of_two()];
        for (at, entry) in self.entries.iter().enumerate() {
            let mut slot = hash(entry.head, &entry.name) & (self.slots.len() - 1);
            while self.slots[slot].is_some() {
                slot = (slot + 1) & (self.slots.len() - 1);
            }
            self.slots[slot] = Some(u16::try_from(at).expect("a config file has fewer regions"));
        }
    }

    #[inline]
    pub(crate) fn find(&self, name: &[u8]) -> Option<Partitions> {
        let head = head(name);
        let mut slot = hash(head, name);
        loop {
            // An empty table has no slot, a full one does not exist.
            let at = (*self.slots.get(slot & self.slots.len().wrapping_sub(1))?)?;
            let entry = &self.entries[usize::from(at)];
            let same_length = entry.name.len() == name.len();
            if entry.head == head && same_length && (name.len() <= 8 || entry.name == name) {
                return Some(entry.partitions);
            }
            slot += 1;
        }
    }
}

/// The first eight bytes, filled up with zeros.
#[inline]
fn head(name: &[u8]) -> u64 {
    match name.first_chunk::<8>() {
        Some(&head) => u64::from_le_bytes(head),
        None => name.iter().rev().fold(0, |head, &byte| head << 8 | u64::from(byte)),
    }
}

/// Of the beginning, the end and the length: `us-east-1` and `us-east-2` differ at the end only.
#[inline]
fn hash(head: u64, name: &[u8]) -> usize {
    let tail = name.last_chunk::<8>().map_or(0, |&tail| u64::from_le_bytes(tail));
    let mixed = (head ^ tail.rotate_left(29) ^ name.len() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 40) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table<'a>(names: impl Iterator<Item = (usize, &'a str)>) -> Names {
        let mut table = Names::default();
        names.for_each(|(at, name)| table.insert(name.into(), Partitions::One(at as u32)));
        table
    }

    #[test]
    fn finds_names_of_any_length_and_no_others() {
        let mut names =
            ["", "a", "a\0", "ab", "abcdefgh", "abcdefgh\0", "abcdefghi", "\0", "é"].map(str::to_owned).to_vec();
        names.extend((0..300).map(|number| format!("us-east-{number}-and-on")));
        let all = table(names.iter().map(String::as_str).enumerate());
        for (at, name) in names.iter().enumerate() {
            assert_eq!(all.find(name.as_bytes()), Some(Partitions::One(at as u32)), "{name:?}");
        }
        for missing in 0..names.len() {
            let others = names.iter().map(String::as_str).enumerate().filter(|&(at, _)| at != missing).take(20);
            assert_eq!(table(others).find(names[missing].as_bytes()), None, "{:?}", names[missing]);
        }
        assert_eq!(Names::default().find(b"a"), None);
    }
}
