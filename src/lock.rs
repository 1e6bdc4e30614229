//! How a lock is taken that is held for about as long as it takes to copy a record.

use std::sync::{LockResult, Mutex, MutexGuard, TryLockError};
use std::thread;

/// How often the thread tries before it sleeps, and how often it offers its processor to others before each try: whoever
/// has the lock gets some records done meanwhile, which it would otherwise do while memory goes to and fro between two
/// processors.
const TRIES: usize = 16;
const GIVES_WAY: usize = 3;

/// As [`Mutex::lock`], which sleeps as soon as it has spun for a little: then whoever unlocks pays for a system call, and
/// with more senders than processors, where the holder itself may be waiting for one, that costs more than all the work
/// that is done under the lock. Giving way lets the holder go on.
#[inline(always)]
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> LockResult<MutexGuard<'_, T>> {
    match mutex.try_lock() {
        Ok(guard) => Ok(guard),
        Err(TryLockError::Poisoned(poisoned)) => Err(poisoned),
        Err(TryLockError::WouldBlock) => lock_taken(mutex),
    }
}

#[cold]
fn lock_taken<T>(mutex: &Mutex<T>) -> LockResult<MutexGuard<'_, T>> {
    for _ in 0..TRIES {
        (0..GIVES_WAY).for_each(|_| thread::yield_now());
        match mutex.try_lock() {
            Ok(guard) => return Ok(guard),
            Err(TryLockError::Poisoned(poisoned)) => return Err(poisoned),
            Err(TryLockError::WouldBlock) => {}
        }
    }
    mutex.lock()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::time::Duration;

    #[test]
    fn it_waits_for_as_long_as_it_takes_and_tells_of_poison() {
        let mutex = Arc::new(Mutex::new(0));
        let held = mutex.lock().unwrap();
        let waits = Arc::clone(&mutex);
        let thread = thread::spawn(move || {
            let mut guard = lock(&waits).unwrap();
            *guard += 1;
            panic!("with the lock, on purpose");
        });
        thread::sleep(Duration::from_millis(20));
        drop(held);
        thread.join().unwrap_err();
        let poisoned = lock(&mutex).unwrap_err();
        assert_eq!(*poisoned.into_inner(), 1);
    }
}
