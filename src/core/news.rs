//! What the shell has not been told yet, and whether that can wait.
//!
//! Full batches come much faster than answers, and a pass of the shell for each of them costs more than the batch. So while a
//! request is under way, what became ready waits for its answer, or until there is a lot of it, and never beyond the end
//! of its lingering: the shell has been told that time, or an earlier one.

use super::time::Instant;

/// So many bytes are worth a pass.
const MANY: usize = 128 * 1024;

/// Since the shell was last told when to come back.
#[derive(Debug, Default)]
pub(super) struct News {
    /// That time; without one it comes only for answers.
    told: Option<Instant>,
    /// When the first batch that became ready is to go out.
    due: Option<Instant>,
    /// Bytes of the batches that became ready.
    bytes: usize,
}

impl News {
    /// The shell knows everything, and comes back at that time.
    pub(super) fn told(&mut self, next: Option<Instant>) {
        *self = News { told: next, due: None, bytes: 0 };
    }

    /// A batch of so many bytes is ready, and is to go out by then.
    pub(super) fn ready(&mut self, due: Instant, bytes: usize) {
        self.due = Some(self.due.map_or(due, |first| first.min(due)));
        self.bytes += bytes;
    }

    /// Whether the shell is to come earlier than it knows of, as there is something to be done at `next` or now.
    pub(super) fn are_pressing(&self, next: Option<Instant>) -> bool {
        let first = [next, self.due].into_iter().flatten().min();
        let is_too_late = first.is_some_and(|first| self.told.is_none_or(|told| told > first));
        is_too_late || self.bytes >= MANY
    }
}
