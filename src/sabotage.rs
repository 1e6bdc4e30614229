//! Mistakes that can be made on purpose, one at a time and for one thread: `tests/sim/sabotage.rs` and
//! `tests/producer` make each and see that the checkers notice. Without the feature `sabotage`, `is_on` is `false`
//! for the compiler and nothing is left of this.

/// A mistake that a producer has made before, this one or another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    /// A batch that goes out again is put behind the next one.
    SwapRetriedBatches,
    /// A new epoch goes on with the sequences of the old one (KAFKA-12152).
    ForgetEpochReset,
    /// A batch's memory is given back while the socket still reads it (KAFKA-19012).
    GiveMemoryBackEarly,
    /// An accept that is dropped does not let those behind it go on.
    LoseWakeUp,
    /// A batch is told to be done twice.
    CompleteTwice,
    /// The records of a key take turns among the lanes.
    LanesByTurns,
    /// Records whose topic is known by now overtake those that are set aside for it.
    OvertakeAside,
    /// The answers to later halves of a call are taken for those to its first records.
    HalvesFromTheStart,
    /// A record that a plugin failed on goes on as it came, whatever the policy says.
    FailOpen,
    /// A chain is replaced while records are aside that have been through half of it.
    SwapOverAside,
    /// A partition is written to before the coordinator knows that it is part of the transaction.
    SendBeforeJoined,
    /// A transaction of V1 that lost a batch leaves its epoch to the next one.
    KeepEpochAfterAbort,
    /// No mistake, but a short way to where sequences begin again: every epoch starts just before it. Brokers take that
    /// of a producer that they do not know.
    StartAtLastSequences,
}

#[cfg(feature = "sabotage")]
mod switch {
    use super::Sabotage;
    use std::cell::Cell;

    thread_local! {
        static ON: Cell<Option<Sabotage>> = const { Cell::new(None) };
    }

    /// Makes the mistake, on this thread, while `run` runs.
    pub fn with<R>(sabotage: Sabotage, run: impl FnOnce() -> R) -> R {
        struct Off;
        impl Drop for Off {
            fn drop(&mut self) {
                ON.set(None);
            }
        }
        ON.set(Some(sabotage));
        let _off = Off;
        run()
    }

    pub(crate) fn is_on(sabotage: Sabotage) -> bool {
        ON.get() == Some(sabotage)
    }
}

#[cfg(feature = "sabotage")]
pub use switch::with;

#[cfg(feature = "sabotage")]
pub(crate) use switch::is_on;

#[cfg(not(feature = "sabotage"))]
pub(crate) const fn is_on(_: Sabotage) -> bool {
    false
}
