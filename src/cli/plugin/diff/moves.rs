//! What goes where on either side, counted.

use crate::cli::terminal::{count, ranges, short, thousands};
use serde_json::json;
use std::collections::{BTreeMap, HashMap};
use std::fmt::{self, Write};
use std::sync::Arc;

/// Where a record goes.
#[derive(Clone, Debug)]
pub(super) enum Place {
    Partition { topic: Arc<str>, partition: u32 },
    OneOf { topic: Arc<str>, partitions: Vec<u32> },
    NotSent(String),
    Letter { topic: Arc<str>, why: String },
}

/// Of records that were placed by two sides.
#[derive(Default)]
pub(super) struct Moves {
    records: u64,
    moved_records: u64,
    /// By topic and key, from and to where; most keys have one of these.
    keys: HashMap<TopicKey, Vec<Way>>,
    moved_keys: u64,
    /// By name.
    ways: BTreeMap<Way, Counts>,
    /// Why a side does not send some record: the first that it does not.
    refused: [Option<String>; 2],
    topics: Vec<Arc<str>>,
}

type TopicKey = (Arc<str>, Box<[u8]>);
/// The names of two places: the old and the new.
type Way = [Arc<str>; 2];

#[derive(Default)]
struct Counts {
    records: u64,
    keys: u64,
    example: Option<String>,
}

impl Moves {
    /// Counts a record, by the topic and the key that it was sent with.
    pub(super) fn add(&mut self, topic: &str, key: Option<&[u8]>, old: Place, new: Place) {
        let way = [&old, &new].map(|place| Arc::from(place.to_string()));
        for (refused, place) in self.refused.iter_mut().zip([old, new]) {
            if let Place::NotSent(why) | Place::Letter { why, .. } = place {
                refused.get_or_insert(why);
            }
        }
        let moved = way[0] != way[1];
        self.records += 1;
        self.moved_records += u64::from(moved);
        let counts = self.ways.entry(way.clone()).or_default();
        counts.records += 1;
        let Some(key) = key else { return };
        let topic = match self.topics.iter().find(|known| &***known == topic) {
            Some(known) => Arc::clone(known),
            None => {
                self.topics.push(topic.into());
                topic.into()
            }
        };
        let ways = self.keys.entry((topic, key.into())).or_default();
        if !ways.contains(&way) {
            counts.keys += 1;
            counts.example.get_or_insert_with(|| short(Some(key)));
            self.moved_keys += u64::from(moved && ways.iter().all(|[old, new]| old == new));
            ways.push(way);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// Why, if no side sends any record.
    pub(super) fn none_is_sent(&self) -> Option<&str> {
        let is_refused = |way: &Way| way.iter().all(|place| **place == *NOT_SENT);
        self.refused[0].as_deref().filter(|_| self.ways.keys().all(is_refused))
    }

    /// Whether anything goes elsewhere.
    pub(super) fn any(&self) -> bool {
        self.moved_records > 0
    }

    /// For people.
    pub(super) fn text(&self, old: &str, new: &str) -> Result<String, fmt::Error> {
        let mut text = format!("old  {old}\nnew  {new}\n");
        for (side, refused) in ["old", "new"].iter().zip(&self.refused) {
            if let Some(why) = refused {
                writeln!(text, "the {side} one does not send every record: {why}")?;
            }
        }
        let keys = self.keys.len() as u64;
        let (of_keys, of_records) = (share(self.moved_keys, keys), share(self.moved_records, self.records));
        writeln!(
            text,
            "\n{} of {} moved{of_keys}, {} of {}{of_records}",
            thousands(self.moved_keys),
            count(keys, "key"),
            thousands(self.moved_records),
            count(self.records, "record"),
        )?;
        let mut moved: Vec<_> = self.ways.iter().filter(|([old, new], _)| old != new).collect();
        moved.sort_by_key(|(_, counts)| std::cmp::Reverse((counts.keys, counts.records)));
        if !moved.is_empty() {
            let widest = moved.iter().map(|([old, _], _)| old.chars().count()).max().unwrap_or_default();
            writeln!(text, "{:>10} {:>10}", "keys", "records")?;
            for ([old, new], counts) in moved.iter().take(SHOWN) {
                let example = counts.example.as_ref().map_or(String::new(), |key| format!(", such as {key}"));
                let (keys, records) = (thousands(counts.keys), thousands(counts.records));
                writeln!(text, "{keys:>10} {records:>10}  {old:<widest$} -> {new}{example}")?;
            }
            if let Some(more) = moved.len().checked_sub(SHOWN).filter(|more| *more > 0) {
                writeln!(text, "{:>21}  and {more} more ways; --json has all", "")?;
            }
        }
        let mut places: Vec<_> = self.places().into_iter().collect();
        places.sort_by_key(|(place, _)| numbered(place));
        let widest = places.iter().map(|(place, _)| place.chars().count()).max().unwrap_or_default();
        writeln!(text, "\n{:<widest$} {:>12} {:>12}", "records to", "old", "new")?;
        for (place, [old, new]) in places {
            writeln!(text, "{place:<widest$} {:>12} {:>12}", thousands(old), thousands(new))?;
        }
        Ok(text)
    }

    /// For programs: the same, all of it.
    pub(super) fn json(&self) -> String {
        let moves = self.ways.iter().filter(|([old, new], _)| old != new).map(|([old, new], counts)| {
            json!({"from": **old, "to": **new, "keys": counts.keys, "records": counts.records, "example": counts.example})
        });
        let places = self.places().into_iter();
        let places = places.map(|(place, [old, new])| json!({"place": **place, "old": old, "new": new}));
        let all = json!({
            "records": self.records,
            "moved_records": self.moved_records,
            "keys": self.keys.len(),
            "moved_keys": self.moved_keys,
            "moves": moves.collect::<Vec<_>>(),
            "places": places.collect::<Vec<_>>(),
            "not_sent": {"old": self.refused[0], "new": self.refused[1]},
        });
        format!("{all:#}\n")
    }

    /// How many records either side sends to each place.
    fn places(&self) -> BTreeMap<&Arc<str>, [u64; 2]> {
        let mut places: BTreeMap<_, [u64; 2]> = BTreeMap::new();
        for (way, counts) in &self.ways {
            for (side, place) in way.iter().enumerate() {
                places.entry(place).or_default()[side] += counts.records;
            }
        }
        places
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Partition { topic, partition } => write!(f, "{}-{partition}", topic.escape_default()),
            Place::OneOf { topic, partitions } => {
                write!(f, "{}, one of {}", topic.escape_default(), ranges(partitions))
            }
            Place::NotSent(_) => f.write_str(NOT_SENT),
            Place::Letter { topic, .. } => write!(f, "a dead letter to {}", topic.escape_default()),
        }
    }
}

/// A name and the number that it ends with, so that 10 comes after 9.
fn numbered(name: &str) -> (&str, u64) {
    let bare = name.trim_end_matches(|letter: char| letter.is_ascii_digit());
    (bare, name[bare.len()..].parse().unwrap_or_default())
}

const NOT_SENT: &str = "not sent";
/// Most ways that are shown.
const SHOWN: usize = 20;

fn share(part: u64, of: u64) -> String {
    if part == 0 { String::new() } else { format!(" ({:.1} %)", part as f64 * 100.0 / of as f64) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(partition: u32) -> Place {
        Place::Partition { topic: "orders".into(), partition }
    }

    #[test]
    fn a_key_moves_once_however_many_records_it_has() {
        let mut moves = Moves::default();
        for (key, old, new) in [("a", 0, 1), ("a", 0, 1), ("a", 2, 2), ("b", 3, 3), ("c", 1, 0), ("c", 0, 1)] {
            moves.add("orders", Some(key.as_bytes()), at(old), at(new));
        }
        // The same key of another topic is another one, and no key is none.
        moves.add("other", Some(b"a"), at(5), at(5));
        moves.add("orders", None, at(4), Place::NotSent("too late".into()));
        assert_eq!((moves.keys.len(), moves.moved_keys), (4, 2));
        assert_eq!((moves.records, moves.moved_records), (8, 5));
        let text = moves.text("x", "y").unwrap();
        for line in [
            "the new one does not send every record: too late",
            "2 of 4 keys moved (50.0 %), 5 of 8 records (62.5 %)",
            "         2          3  orders-0 -> orders-1, such as \"a\"",
            "         0          1  orders-4 -> not sent\n",
            "orders-1            1            3\n",
        ] {
            assert!(text.contains(line), "{line:?} is not in:\n{text}");
        }
    }

    #[test]
    fn ten_comes_after_nine() {
        let mut names = ["o-10", "o-9", "not sent", "o", "p-1"];
        names.sort_by_key(|name| numbered(name));
        assert_eq!(names, ["not sent", "o", "o-9", "o-10", "p-1"]);
    }

    #[test]
    fn the_same_partitions_are_the_same_place_whoever_chose_them() {
        let mut moves = Moves::default();
        let some = |partitions: &[u32]| Place::OneOf { topic: "orders".into(), partitions: partitions.to_vec() };
        moves.add("orders", Some(b"a"), some(&[1, 2]), some(&[1, 2]));
        assert!(!moves.any());
        moves.add("orders", Some(b"a"), some(&[1, 2]), some(&[1, 3]));
        assert!(moves.any());
        assert!(moves.json().contains("\"moved_keys\": 1"), "{}", moves.json());
    }
}
