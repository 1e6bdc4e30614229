//! The built-in choice of a partition: murmur2 of the key, else sticky (KIP-480, KIP-794).

use super::rng::Rng;

/// Kafka's murmur2, bit for bit: MurmurHash2 of 32 bits with seed `0x9747b28c`.
#[inline(always)]
pub fn murmur2(bytes: &[u8]) -> u32 {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;
    const R: u32 = 24;
    let mut hash = SEED ^ bytes.len() as u32;
    let mut words = bytes.chunks_exact(4);
    for word in &mut words {
        let mut mixed = u32::from_le_bytes([word[0], word[1], word[2], word[3]]).wrapping_mul(M);
        mixed ^= mixed >> R;
        hash = hash.wrapping_mul(M) ^ mixed.wrapping_mul(M);
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        for (at, &byte) in rest.iter().enumerate() {
            hash ^= u32::from(byte) << (8 * at);
        }
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ (hash >> 15)
}

/// The partition of a key among `count`: Kafka's `toPositive(murmur2(key)) % count`.
#[inline(always)]
pub fn partition_of_key(key: &[u8], count: usize) -> usize {
    // Partitions are numbered by 31 bits, and a division of 32 costs less than one of 64.
    ((murmur2(key) & 0x7fff_ffff) % count as u32) as usize
}

/// Whether records without a key should go to a partition; the first is the best.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Standing {
    Good,
    /// Its broker has taken no request for longer than `partitioner.availability.timeout.ms`.
    Late,
    Leaderless,
}

/// The partition that records without a key stick to, until about `batch.size` bytes went there.
#[derive(Clone, Debug, Default)]
pub(super) struct Sticky {
    current: Option<u32>,
    bytes: usize,
}

impl Sticky {
    /// Where the next record goes. `standing` says how a partition's broker is doing, `queued` how many bytes wait for
    /// it. An adaptive switch draws two partitions and takes the one with the shorter queue, which follows the load as
    /// KIP-794's table of all queues does, at a cost that does not grow with the number of partitions; one that is not
    /// adaptive draws one.
    pub(super) fn choose(
        &mut self,
        candidates: usize,
        rng: &mut Rng,
        adaptive: bool,
        standing: impl Fn(usize) -> Standing,
        queued: impl Fn(usize) -> u64,
    ) -> usize {
        // A topic that was made anew may have fewer partitions.
        self.current = self.current.filter(|&current| (current as usize) < candidates);
        if let Some(current) = self.current
            && standing(current as usize) == Standing::Good
        {
            return current as usize;
        }
        let mut draw = || {
            let first = rng.below(candidates);
            // Few are not well; should all be, the record waits in the queue of the best.
            let in_turn = || (0..candidates).map(|step| (first + step) % candidates);
            let good = in_turn().find(|&at| standing(at) == Standing::Good);
            good.or_else(|| in_turn().find(|&at| standing(at) == Standing::Late)).unwrap_or(first)
        };
        let one = draw();
        let other = if adaptive { draw() } else { one };
        let chosen = if queued(other) < queued(one) { other } else { one };
        // Batches fill in one place also while all are late.
        if let Some(current) = self.current
            && standing(current as usize) <= standing(chosen)
        {
            return current as usize;
        }
        self.current = Some(chosen as u32);
        self.bytes = 0;
        chosen
    }

    /// Where records went so far, if they may still.
    pub(super) fn current(&self) -> Option<usize> {
        self.current.map(|at| at as usize)
    }

    /// Books what went to the current partition; past `limit` the next record chooses anew. `batch_open` keeps the
    /// choice while the batch still has room, up to twice the limit, so that batches go out full.
    pub(super) fn book(&mut self, bytes: usize, limit: usize, batch_open: bool) {
        self.bytes += bytes;
        if self.bytes >= limit && (!batch_open || self.bytes >= 2 * limit) {
            self.current = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_beyond_the_last_partition_is_made_anew() {
        let mut sticky = Sticky { current: Some(4), bytes: 0 };
        for standing in [Standing::Good, Standing::Late, Standing::Leaderless] {
            assert!(sticky.choose(2, &mut Rng::new(7), true, |_| standing, |_| 0) < 2);
        }
    }

    /// From Kafka's own `UtilsTest.testMurmur2`.
    #[test]
    fn murmur2_is_javas() {
        let cases: [(&[u8], i32); 6] = [
            (b"21", -973_932_308),
            (b"foobar", -790_332_482),
            (b"a-little-bit-long-string", -985_981_536),
            (b"a-little-bit-longer-string", -1_486_304_829),
            (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            (b"abc", 479_470_107),
        ];
        for (bytes, hash) in cases {
            assert_eq!(murmur2(bytes) as i32, hash, "{}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn sticky_stays_for_a_batch_and_prefers_the_shorter_queue() {
        let good = |_| Standing::Good;
        let mut rng = Rng::new(1);
        let mut sticky = Sticky::default();
        let first = sticky.choose(6, &mut rng, true, good, |_| 0);
        sticky.book(99, 100, true);
        assert_eq!(sticky.choose(6, &mut rng, true, good, |_| 0), first);
        sticky.book(1, 100, true);
        assert_eq!(sticky.choose(6, &mut rng, true, good, |_| 0), first, "its batch has room");
        sticky.book(1, 100, false);
        let mut to = [0; 6];
        for _ in 0..600 {
            to[sticky.choose(6, &mut rng, true, good, |at| if at == 3 { 1000 } else { 0 })] += 1;
            sticky.book(100, 100, false);
        }
        assert!(to[3] < 50, "the long queue is drawn only against itself: {to:?}");
        assert!(to.iter().enumerate().all(|(at, &count)| at == 3 || count > 60), "{to:?}");
    }

    #[test]
    fn a_partition_without_leader_is_passed_over() {
        let standing = |at: usize| if at.is_multiple_of(2) { Standing::Good } else { Standing::Leaderless };
        let mut rng = Rng::new(2);
        let mut sticky = Sticky::default();
        for _ in 0..100 {
            let chosen = sticky.choose(6, &mut rng, true, standing, |_| 0);
            assert_eq!(chosen % 2, 0);
            sticky.book(100, 100, false);
        }
    }
    #[test]
    fn without_adaption_the_choice_is_uniform() {
        let mut rng = Rng::new(3);
        let mut sticky = Sticky::default();
        let mut to = [0; 4];
        for _ in 0..4000 {
            to[sticky.choose(4, &mut rng, false, |_| Standing::Good, |at| if at == 3 { 1_000_000 } else { 0 })] += 1;
            sticky.book(100, 100, false);
        }
        assert!(to.iter().all(|count| (850..1150).contains(count)), "{to:?}");
    }

    #[test]
    fn a_late_partition_is_left_at_once_and_taken_only_where_all_are() {
        let mut rng = Rng::new(4);
        let mut sticky = Sticky::default();
        let first = sticky.choose(3, &mut rng, true, |_| Standing::Good, |_| 0);
        let late = |at: usize| if at == first { Standing::Late } else { Standing::Good };
        let second = sticky.choose(3, &mut rng, true, late, |_| 0);
        assert_ne!(second, first);
        for _ in 0..10 {
            assert_eq!(sticky.choose(3, &mut rng, true, |_| Standing::Late, |_| 0), second, "nothing is better");
        }
        let leaderless = |at: usize| if at == second { Standing::Leaderless } else { Standing::Late };
        assert_ne!(sticky.choose(3, &mut rng, true, leaderless, |_| 0), second);
    }
}
