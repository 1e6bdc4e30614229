//! Callbacks on their way to a batch. They are the user's: what they own goes with them, the last clone of the producer
//! perhaps. So they are called and dropped on the delivery thread, which holds no lock and is waited for by nobody.

use super::{DeliveryThread, UserCallback};
use crate::error::{Fate, ProduceError};
use std::sync::Arc;

/// The callbacks of a chunk, by ascending slot. Dropped with some left, as when the lane's thread panics, it calls them
/// all the same.
pub(super) struct Callbacks {
    of: Vec<(u32, Option<UserCallback>)>,
    /// Those before are of slots that were asked for.
    next: usize,
    thread: Arc<DeliveryThread>,
}

impl Callbacks {
    pub(super) fn new(thread: Arc<DeliveryThread>) -> Callbacks {
        Callbacks { of: Vec::new(), next: 0, thread }
    }

    /// Adds one for a slot behind all the others.
    pub(super) fn push(&mut self, slot: u32, callback: UserCallback) {
        self.of.push((slot, Some(callback)));
    }

    /// Takes the one of a slot, if there is one. To be asked in the order of the slots.
    pub(super) fn take(&mut self, slot: u32) -> Option<UserCallback> {
        while self.of.get(self.next).is_some_and(|(of, _)| *of < slot) {
            self.next += 1;
        }
        let (of, callback) = self.of.get_mut(self.next)?;
        if *of == slot { callback.take() } else { None }
    }

    /// None yet, of records that are called as these are.
    pub(super) fn like(&self) -> Callbacks {
        Callbacks::new(Arc::clone(&self.thread))
    }

    /// From now on any slot may be asked for, again in order.
    pub(super) fn rewind(&mut self) {
        self.next = 0;
    }

    /// Tells those that are left what became of their records.
    pub(super) fn fail(mut self, error: impl Fn(u32) -> ProduceError) {
        self.call(error);
    }

    fn call(&mut self, error: impl Fn(u32) -> ProduceError) {
        for (slot, callback) in self.of.drain(..) {
            if let Some(callback) = callback {
                let error = error(slot);
                self.thread.run(Box::new(move || callback(Err(error))));
            }
        }
    }
}

impl Drop for Callbacks {
    fn drop(&mut self) {
        self.call(|_| lost());
    }
}

/// What becomes of records that the lane's thread took with it.
pub(super) fn lost() -> ProduceError {
    let reason = "the thread that runs its plugins has ended".into();
    ProduceError::Fatal { topic: None, partition: None, reason, fate: Fate::Unknown }
}

/// Drops a callback that will not be called.
pub(super) fn let_go(thread: &DeliveryThread, callback: Option<UserCallback>) {
    if let Some(callback) = callback {
        thread.run(Box::new(move || drop(callback)));
    }
}
