//! Dead letters: what goes to a topic for such in place of a record that a plugin failed on. They go around the chain,
//! and where one fails, so does the record, with both causes.

use crate::error::ProduceError;
use crate::plugin::{End, Ended, Letter, Records};
use crate::record_metadata::RecordMetadata;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Letters' origins, by slot.
pub(super) type Origins = BTreeMap<u32, Arc<Origin>>;

/// The record that a letter is about.
#[derive(Debug)]
pub(super) struct Origin {
    /// What the plugin did.
    failure: Arc<ProduceError>,
    /// Where the letter goes.
    letter_topic: Arc<str>,
    pub(super) topic: Arc<str>,
    /// −1: not chosen.
    pub(super) partition: i32,
    pub(super) timestamp: i64,
}

impl Origin {
    /// What the sender of the record learns when the letter's fate is known.
    pub(super) fn error(&self, letter: Result<RecordMetadata, ProduceError>) -> ProduceError {
        let failure = Arc::clone(&self.failure);
        match letter {
            Ok(RecordMetadata { topic, partition, offset, .. }) => {
                ProduceError::DeadLettered { failure, topic: topic.to_shared(), partition, offset }
            }
            Err(cause) => {
                let topic = Arc::clone(&self.letter_topic);
                ProduceError::DeadLetterFailed { failure, topic, cause: Arc::new(cause) }
            }
        }
    }

    /// The end of the record whose letter failed.
    pub(super) fn ended(&self, slot: u32, cause: ProduceError) -> Ended {
        Ended {
            slot,
            topic: Arc::clone(&self.topic),
            partition: self.partition,
            timestamp: self.timestamp,
            end: End::Failed(self.error(Err(cause))),
        }
    }
}

/// Takes the letters out of `ended` and makes records of them, with the slots of those that they are about.
pub(super) fn take_letters(ended: &mut Vec<Ended>) -> (Records, Origins) {
    let (mut letters, mut origins) = (Records::default(), Origins::new());
    if !ended.iter().any(|ended| matches!(ended.end, End::DeadLetter(_))) {
        return (letters, origins);
    }
    // In the order of the sends, whichever hook failed.
    ended.sort_by_key(|ended| ended.slot);
    let mut slots = Vec::new();
    for Ended { slot, topic, partition, timestamp, end } in std::mem::take(ended) {
        match end {
            End::Failed(_) => ended.push(Ended { slot, topic, partition, timestamp, end }),
            End::DeadLetter(letter) => {
                write(&mut letters, &letter, &topic, partition, timestamp);
                slots.push(slot);
                let failure = Arc::new(letter.error(&topic));
                let letter_topic = Arc::clone(&letter.to.topic);
                origins.insert(slot, Arc::new(Origin { failure, letter_topic, topic, partition, timestamp }));
            }
        }
    }
    letters.slots = slots;
    (letters, origins)
}

fn write(letters: &mut Records, letter: &Letter, topic: &str, partition: i32, timestamp: i64) {
    let Letter { to, plugin, hook, failure, key, value } = letter;
    let partition = (partition >= 0).then(|| partition.to_string());
    let reason = failure.to_string();
    let headers = [
        (STAGE, Some(hook.name())),
        (PLUGIN, Some(&**plugin)),
        (VERSION, to.version.as_deref()),
        (DIGEST, to.digest.as_deref()),
        (KIND, Some(failure.kind.name())),
        (REASON, Some(reason.as_str())),
        (TOPIC, Some(topic)),
        (PARTITION, partition.as_deref()),
    ];
    let headers: Vec<(&[u8], Option<&[u8]>)> =
        headers.iter().filter_map(|(name, value)| Some((name.as_bytes(), Some((*value)?.as_bytes())))).collect();
    letters.push(&to.topic, None, timestamp, key.as_deref(), value.as_deref(), headers.into_iter());
}

/// The hook that failed, as the contract names it.
const STAGE: &str = "dead-letter.stage";
/// The plugin's name in the config.
const PLUGIN: &str = "dead-letter.plugin";
/// The version that its component says it has, if it does.
const VERSION: &str = "dead-letter.version";
/// What the component's file hashes to.
const DIGEST: &str = "dead-letter.digest";
/// What kind of failure, as metrics name it.
const KIND: &str = "dead-letter.kind";
/// The failure in words.
const REASON: &str = "dead-letter.reason";
/// Where the record would have gone, and the partition if it was chosen by then.
const TOPIC: &str = "dead-letter.topic";
const PARTITION: &str = "dead-letter.partition";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::{DeadLetter, FailureKind, Hook, PluginFailure};

    fn ended(slot: u32, end: End) -> Ended {
        Ended { slot, topic: "orders".into(), partition: -1, timestamp: 7, end }
    }

    fn letter() -> End {
        let to = DeadLetter {
            topic: "dead".into(),
            include_key: true,
            include_value: false,
            version: None,
            digest: Some("abc".into()),
        };
        End::DeadLetter(Box::new(Letter {
            to: Arc::new(to),
            plugin: "mask".into(),
            hook: Hook::OnSend,
            failure: Arc::new(PluginFailure::new(FailureKind::Trap, "no such region")),
            key: Some(b"k".to_vec()),
            value: None,
        }))
    }

    #[test]
    fn letters_come_in_the_order_of_the_sends_and_say_what_happened() {
        let closed = ProduceError::Misuse("x");
        let mut all = vec![ended(4, letter()), ended(1, End::Failed(closed.clone())), ended(2, letter())];
        let (letters, origins) = take_letters(&mut all);
        assert_eq!(all, [ended(1, End::Failed(closed.clone()))]);
        assert_eq!((letters.slots.as_slice(), letters.timestamps.as_slice()), (&[2, 4][..], &[7, 7][..]));
        let headers: Vec<(String, String)> = letters
            .headers
            .as_ref()
            .each()
            .take(6)
            .map(|(name, value)| {
                let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
                (text(name), text(value.unwrap()))
            })
            .collect();
        let expected = [
            ("dead-letter.stage", "on-send"),
            ("dead-letter.plugin", "mask"),
            ("dead-letter.digest", "abc"),
            ("dead-letter.kind", "trap"),
            ("dead-letter.reason", "trapped: no such region"),
            ("dead-letter.topic", "orders"),
        ];
        assert_eq!(headers, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        let both = origins[&2].error(Err(closed)).to_string();
        assert!(
            both.starts_with("orders: plugin mask, on-send: trapped: no such region; its dead letter to dead failed")
        );
    }
}
