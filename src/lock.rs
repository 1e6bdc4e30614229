//! How a lock is taken that is held for about as long as it takes to copy a record.

use std::sync::{LockResult, Mutex, MutexGuard, TryLockError};
use std::thread;

/// How often the processor is offered to others before the thread sleeps.
const GIVES_WAY: usize = 16;

/// As [`Mutex::lock`], which sleeps as soon as it has spun for a little: then whoever unlocks pays for a system call, and
/// with more senders than processors, where the holder itself may be waiting for one, that costs more than all the work
/// that is done under the lock. Giving way lets the holder go on.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> LockResult<MutexGuard<'_, T>> {
    for _ in 0..GIVES_WAY {
        match mutex.try_lock() {
            Ok(guard) => return Ok(guard),
            Err(TryLockError::Poisoned(poisoned)) => return Err(poisoned),
            Err(TryLockError::WouldBlock) => thread::yield_now(),
        }
    }
    mutex.lock()
}
