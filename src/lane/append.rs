//! From the chain into the core: each record into its partition's open batch, and its delivery to that batch.

use super::acknowledge::Token;
use super::callbacks::Callbacks;
use super::delivery::{Facts, Placed, Slot};
use super::letters::{Origin, Origins};
use super::staging::Shared;
use crate::core::time::Instant;
use crate::core::{Append, Appended, Callback, Core, GroupHandle, Placement, Sealed, TopicHandle, Unsealed};
use crate::plugin::{End, Ended, HeaderColumns, Records};
use crate::protocol::record_batch::{self, NO_HEADERS};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What is kept from passage to passage.
#[derive(Default)]
pub(super) struct Batches {
    /// By the core's partition number: the batch that the last record for it went to, as its place in the passage's
    /// completions. Valid where the first is the number of what is being appended.
    last: Vec<(u64, u32)>,
    number: u64,
    headers: HeaderBlocks,
    /// When records were last appended. To tell the driver comes after that.
    pub(super) appended: Instant,
}

/// A passage on its way into the core.
pub(super) struct Appending<'a> {
    pub(super) shared: &'a Shared,
    pub(super) batches: &'a mut Batches,
    pub(super) topics: &'a BTreeMap<Arc<str>, TopicHandle>,
    pub(super) told: &'a BTreeMap<Arc<str>, Vec<GroupHandle>>,
    pub(super) now: Instant,
    pub(super) accepted: Instant,
    /// The number under which its acknowledgements are awaited, if they are.
    pub(super) pending: Option<u64>,
    pub(super) placed: &'a mut Placed,
    pub(super) callbacks: &'a mut Callbacks,
    pub(super) ended: &'a mut Vec<Ended>,
}

impl Appending<'_> {
    /// Appends records with a target for each. Those that have an origin are letters.
    pub(super) fn append(&mut self, records: &Records, targets: &[i32], origins: &Origins) {
        if records.is_empty() {
            return;
        }
        self.callbacks.rewind();
        // What was a partition's open batch may be another's by now.
        self.batches.number += 1;
        let handles: Vec<Option<TopicHandle>> =
            records.topics.iter().map(|topic| self.topics.get(topic).copied()).collect();
        let groups: Vec<&[GroupHandle]> =
            records.topics.iter().map(|topic| self.told.get(topic).map_or(&[][..], Vec::as_slice)).collect();
        // What senders write to beside it is not to be read for every record.
        let (lane, round_robin) = (self.shared.number, self.shared.config.round_robin);
        let no_token = self.shared.config.any_acknowledgements.then_some(Token::NONE);
        let mut headers = std::mem::take(&mut self.batches.headers);
        headers.encode(&records.headers);
        let mut full: Vec<Unsealed> = Vec::new();
        let (mut filled, mut began) = (false, false);
        let mut has_news;
        {
            let mut core = self.shared.lock_core();
            let mut keys = records.keys.as_ref().iter();
            let mut values = records.values.as_ref().iter();
            let mut blocks = headers.each();
            for (at, (&slot, &target)) in records.slots.iter().zip(targets).enumerate() {
                let topic_at = records.topic_of[at] as usize;
                let (key, value) = (keys.next().flatten(), values.next().flatten());
                let Some(topic) = handles[topic_at] else { unreachable!("records of other topics are elsewhere") };
                let record = Append {
                    topic,
                    placement: placement(target, groups[topic_at], round_robin),
                    timestamp: records.timestamps[at],
                    accepted: Some(self.accepted),
                    key,
                    value,
                    // It lies in a column.
                    value_buffer: None,
                    headers: blocks.next().unwrap_or(NO_HEADERS),
                    token: self.pending.map(|chunk| Token::new(lane, chunk, slot).to_bits()).or(no_token),
                };
                let origin = if origins.is_empty() { None } else { origins.get(&slot) };
                let facts = Facts::of(record.timestamp, key, value);
                if let Some(appended) = core.append_to_open(&record) {
                    self.took(slot, origin, facts, &appended);
                    continue;
                }
                match core.append(|| self.now, &record) {
                    Ok(appended) => {
                        self.took(slot, origin, facts, &appended);
                        began |= appended.began;
                        filled |= appended.filled;
                    }
                    Err(error) => self.ended.push(match origin {
                        Some(origin) => origin.ended(slot, error),
                        None => Ended {
                            slot,
                            topic: Arc::clone(&records.topics[topic_at]),
                            partition: records.partitions[at],
                            timestamp: records.timestamps[at],
                            end: End::Failed(error),
                        },
                    }),
                }
            }
            if filled {
                full.extend(std::iter::from_fn(|| core.poll_full()));
            }
            has_news = began && self.shared.has_news_of(&mut core, began);
        }
        self.batches.appended = self.shared.clock.now();
        if filled {
            has_news |= self.shared.seal_full(full);
        }
        if has_news {
            (self.shared.wake_driver)();
        }
        self.batches.headers = headers;
    }

    /// A record has its place in a batch.
    #[inline(always)]
    fn took(&mut self, slot: u32, origin: Option<&Arc<Origin>>, facts: Facts, appended: &Appended<'_>) {
        let Batches { last, number, .. } = &mut *self.batches;
        let partition = appended.partition as usize;
        if partition >= last.len() {
            last.resize(partition + 1, (0, 0));
        }
        let known = &mut last[partition];
        if known.0 != *number || appended.began {
            *known = (*number, self.placed.completions.len() as u32);
            self.placed.completions.push(Arc::clone(appended.completion));
        }
        let index = appended.index;
        self.placed.put(slot, Slot { completion: known.1, index, facts });
        if let Some(origin) = origin {
            self.placed.letter(slot, Arc::clone(origin));
        }
        if let Some(callback) = self.callbacks.take(slot) {
            // Under the core's lock: the batch cannot be done yet, so callbacks keep log order.
            appended.completion.call(index, user_callback(facts, origin.cloned(), callback));
        }
    }
}

impl Shared {
    /// After appends, under the core's lock: whether the driver is to learn of something. `began`: of batches, too.
    pub(super) fn has_news_of(&self, core: &mut Core, began: bool) -> bool {
        if began && self.is_memory_short() {
            // Whoever waits has ended the lingering of what there was then.
            core.expedite(self.clock.now());
        }
        core.has_news()
    }

    /// Seals batches by the thread that filled them, without the lock. Whether the driver is to learn of something.
    pub(super) fn seal_full(&self, full: Vec<Unsealed>) -> bool {
        let sealed: Vec<Sealed> = full.into_iter().map(Unsealed::seal).collect();
        let now = self.clock.now();
        let mut core = self.lock_core();
        sealed.into_iter().for_each(|batch| core.handle_sealed(now, batch));
        core.has_news()
    }
}

/// What the partitioner answered, or the record names, in the core's terms.
#[inline]
pub(super) fn placement(target: i32, groups: &[GroupHandle], round_robin: bool) -> Placement {
    match target {
        0.. => Placement::Partition(target),
        -1 if round_robin => Placement::RoundRobin,
        -1 => Placement::Default,
        // The chain has checked the number against its topic's groups.
        _ => groups
            .get((-2i32).wrapping_sub(target) as usize)
            .map_or(Placement::Default, |&group| Placement::Group(group)),
    }
}

pub(super) fn user_callback(facts: Facts, origin: Option<Arc<Origin>>, callback: super::UserCallback) -> Callback {
    Box::new(move |completion, index, run| {
        let result = facts.result(completion, index, run);
        callback(match origin {
            Some(origin) => Err(origin.error(result)),
            None => result,
        });
    })
}

/// The headers of record after record, encoded: before the core is locked, and read when they are long in memory.
#[derive(Default)]
struct HeaderBlocks {
    /// As long as there was ever need: what is behind the last of them means nothing.
    bytes: Vec<u8>,
    /// By record; none at all while no record has headers.
    lengths: Vec<usize>,
}

impl HeaderBlocks {
    fn encode(&mut self, columns: &HeaderColumns) {
        let HeaderBlocks { bytes, lengths } = self;
        lengths.clear();
        let HeaderColumns { counts, names, values } = columns;
        let data = names.data.len() + values.data.len();
        let most = record_batch::headers_max_len(counts.len(), names.lengths.len(), data);
        if bytes.len() < most {
            bytes.resize(most, 0);
        }
        let (mut each, mut at) = (columns.as_ref().each(), 0);
        lengths.extend(counts.iter().map(|&count| {
            let start = at;
            record_batch::encode_headers_into(bytes, &mut at, count as usize, each.by_ref().take(count as usize));
            at - start
        }));
    }

    fn each(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = &self.bytes[..];
        self.lengths.iter().map(move |&length| {
            let block;
            (block, rest) = rest.split_at(length);
            block
        })
    }
}
