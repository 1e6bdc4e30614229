//! `buffer.memory`, counted in bytes by those who hold them.
//!
//! A permit lives inside the buffer that it pays for, so memory comes back when the last holder lets go, the socket
//! too, and never earlier (KAFKA-19012 reused a buffer that was still being written). Not paid for is what a request is
//! besides large bodies: headers, and copies of bodies below a kilobyte.
//!
//! Some buffers that nobody holds any more are kept for the next batches: a page that goes back to the system costs as
//! much as writing it when it comes again. They are free memory: at most 8 MiB, or a quarter of the budget, besides it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

/// A budget of bytes, shared by everything that holds records.
#[derive(Clone, Debug)]
pub struct MemoryPool {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    total: i64,
    /// Below zero is debt: what was booked without waiting. Nobody is admitted while it lasts.
    available: AtomicI64,
    kept: Mutex<Kept>,
}

/// Bytes taken from a [`MemoryPool`]; dropping it gives them back.
#[derive(Debug)]
pub struct Permit {
    inner: Arc<Inner>,
    bytes: i64,
}

impl MemoryPool {
    /// A budget of `total` bytes.
    pub fn new(total: usize) -> MemoryPool {
        let total = i64::try_from(total).unwrap_or(i64::MAX);
        MemoryPool { inner: Arc::new(Inner { total, available: AtomicI64::new(total), kept: Mutex::default() }) }
    }

    /// Takes `bytes` if they are there.
    pub fn try_take(&self, bytes: usize) -> bool {
        let bytes = signed(bytes);
        self.inner
            .available
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, |available| {
                (available >= bytes).then_some(available - bytes)
            })
            .is_ok()
    }

    /// A permit for `bytes` that [`MemoryPool::try_take`] took before.
    pub fn adopt(&self, bytes: usize) -> Permit {
        Permit { inner: Arc::clone(&self.inner), bytes: signed(bytes) }
    }

    /// Takes `bytes` whether they are there or not.
    pub fn take(&self, bytes: usize) -> Permit {
        let mut permit = self.adopt(0);
        permit.grow(bytes);
        permit
    }

    /// Gives back `bytes` that were taken and never became a permit.
    pub fn give_back(&self, bytes: usize) {
        self.inner.available.fetch_add(signed(bytes), Ordering::AcqRel);
    }

    /// A buffer with room for at least `capacity` bytes; what is in it means nothing. It costs nothing until a permit pays for it.
    pub(super) fn buffer(&self, capacity: usize) -> Vec<u8> {
        let capacity = if capacity < SMALL { capacity.next_power_of_two() } else { capacity };
        if let Some(buffer) = self.inner.kept().take(capacity) {
            return buffer;
        }
        // Of a large one the system has most in zeros.
        if capacity < SMALL { Vec::with_capacity(capacity) } else { vec![0; capacity] }
    }

    /// The whole budget in bytes.
    pub fn total(&self) -> usize {
        self.inner.total as usize
    }

    /// What is left in bytes; below zero is debt.
    pub fn available(&self) -> i64 {
        self.inner.available.load(Ordering::Acquire)
    }
}

impl Permit {
    /// Takes more, whether it is there or not.
    pub fn grow(&mut self, bytes: usize) {
        let bytes = signed(bytes);
        self.bytes += bytes;
        self.inner.available.fetch_sub(bytes, Ordering::AcqRel);
    }

    /// Makes more bytes that [`MemoryPool::try_take`] took part of the permit.
    pub fn adopt_more(&mut self, bytes: usize) {
        self.bytes += signed(bytes);
    }

    /// Makes it `bytes`, whether more are there or not.
    pub fn fit(&mut self, bytes: usize) {
        match self.bytes - signed(bytes) {
            0.. => self.shrink_to(bytes),
            less => self.grow(less.unsigned_abs() as usize),
        }
    }

    /// Keeps a buffer that it paid for, and that nobody uses any more, for another batch.
    pub(super) fn keep(&self, buffer: Vec<u8>) {
        let capacity = buffer.capacity();
        let most = KEPT_MAX.min(self.inner.total as usize / 4);
        if capacity > 0 && capacity <= most {
            self.inner.kept().put(buffer, most);
        }
    }

    /// Gives back all but `bytes`.
    pub fn shrink_to(&mut self, bytes: usize) {
        let bytes = signed(bytes);
        if bytes < self.bytes {
            self.inner.available.fetch_add(self.bytes - bytes, Ordering::AcqRel);
            self.bytes = bytes;
        }
    }
}

impl Inner {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// Buffers for the next batches.
#[derive(Debug, Default)]
struct Kept {
    /// By the power of two that they hold at least.
    by_size: [VecDeque<Vec<u8>>; KEPT_MAX.ilog2() as usize + 1],
    bytes: usize,
}

impl Kept {
    /// Keeps it, with at most so many bytes in all: those of other sizes make room, as they may be of another time.
    fn put(&mut self, buffer: Vec<u8>, most: usize) {
        let at = buffer.capacity().ilog2() as usize;
        while self.bytes + buffer.capacity() > most {
            let others = self.by_size.iter_mut().enumerate().filter(|(of, _)| *of != at);
            // The largest go first: there are the fewest of them.
            let Some(other) = others.rev().find_map(|(_, of_size)| of_size.pop_front()) else { return };
            self.bytes -= other.capacity();
        }
        self.bytes += buffer.capacity();
        self.by_size[at].push_back(buffer);
    }

    /// One of at least that capacity, and of less than four times as much. One that is too small is let go.
    fn take(&mut self, capacity: usize) -> Option<Vec<u8>> {
        let at = capacity.checked_ilog2()? as usize;
        let of_size = self.by_size.get_mut(at..)?;
        // What the driver has just read is still in the cache of its processor, from where it is slower to get for writing:
        // the one that was kept first is better. Of large ones there are more than any cache has room for.
        let next = if capacity < LARGE { VecDeque::pop_front } else { VecDeque::pop_back };
        let buffer = of_size.iter_mut().take(2).find_map(next)?;
        self.bytes -= buffer.capacity();
        (buffer.capacity() >= capacity).then_some(buffer)
    }
}

/// Smaller buffers are powers of two, so that each serves many.
const SMALL: usize = 4 * 1024;
/// From here on a few of them fill a cache.
const LARGE: usize = 64 * 1024;
/// What is kept at most, in bytes; of a small budget a quarter.
const KEPT_MAX: usize = 8 * 1024 * 1024;

impl Drop for Permit {
    fn drop(&mut self) {
        if self.bytes != 0 {
            self.inner.available.fetch_add(self.bytes, Ordering::AcqRel);
        }
    }
}

fn signed(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_used_again_and_few_are_kept() {
        let pool = MemoryPool::new(1 << 20);
        let permit = pool.adopt(0);
        let mut buffer = pool.buffer(16_000);
        buffer.resize(15_000, 1);
        let at = buffer.as_ptr();
        permit.keep(buffer);
        let again = pool.buffer(16_000);
        assert_eq!((again.as_ptr(), again.len()), (at, 15_000), "nothing is written twice");
        for _ in 0..100 {
            permit.keep(Vec::with_capacity(16_000));
        }
        let kept = pool.inner.kept().by_size.iter().map(VecDeque::len).sum::<usize>();
        assert_eq!(kept, (1 << 20) / 4 / 16_000);
        assert_eq!(pool.buffer(100).capacity(), 128, "a small one is not a large one's waste");
        assert_eq!(pool.buffer(17_000).capacity(), 17_000);
        assert_eq!(pool.available(), 1 << 20);
    }

    #[test]
    fn buffers_of_one_time_make_room_for_those_of_another() {
        let pool = MemoryPool::new(1 << 20);
        let permit = pool.adopt(0);
        let count = |size: usize| pool.inner.kept().by_size[size.ilog2() as usize].len();
        let most = (1 << 20) / 4;
        for (size, before) in [(512, 16_384), (16_384, 512), (512, 16_384)] {
            for _ in 0..1_000 {
                permit.keep(Vec::with_capacity(size));
            }
            assert_eq!((count(size), count(before)), (most / size, 0));
            assert_eq!(pool.inner.kept().bytes, most);
            assert_eq!(pool.buffer(size).capacity(), size);
        }
    }

    #[test]
    fn what_is_taken_comes_back_and_debt_admits_nobody() {
        let pool = MemoryPool::new(100);
        assert!(pool.try_take(60));
        let mut staged = pool.adopt(60);
        assert!(!pool.try_take(41));
        staged.grow(100);
        assert_eq!(pool.available(), -60);
        assert!(!pool.try_take(0), "nobody is admitted while there is debt");
        staged.shrink_to(10);
        assert_eq!(pool.available(), 90);
        drop(staged);
        assert_eq!(pool.available(), 100);
    }
}
