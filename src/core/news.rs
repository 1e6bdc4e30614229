//! What the shell has not been told yet, and whether that can wait.
//!
//! At full speed batches become full every few microseconds, and a pass of the shell with its system calls costs more than
//! a batch. So full batches that come right after one another are held back until they are worth a request, for no longer
//! than a millisecond, nor than they may linger. A batch that comes alone goes at once.

use super::time::Instant;
use std::time::Duration;

/// So many bytes are worth a request.
const MANY: usize = 512 * 1024;
/// Batches that come no further apart come one after another.
const RUSH: Duration = Duration::from_micros(250);
/// For longer nothing is held back.
const HOLD: Duration = Duration::from_millis(1);

/// What happened since the shell was told when to come back.
#[derive(Debug, Default)]
pub(super) struct News {
    /// That time; without one it comes only for answers.
    told: Option<Instant>,
    /// When the shell is to come, as something became ready.
    due: Option<Instant>,
    /// When a batch became full last.
    last_full: Option<Instant>,
    hold: Option<Hold>,
    /// The shell has sent what was held back.
    released: bool,
}

/// What is ready to go out before a batch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Behind {
    Nothing,
    OtherBrokers,
    SameBroker,
}

/// Full batches that are held back.
#[derive(Debug)]
struct Hold {
    until: Instant,
    bytes: usize,
}

impl News {
    /// The shell knows everything, and comes back at the time that is returned, if not for `next`.
    pub(super) fn told(&mut self, next: Option<Instant>) -> Option<Instant> {
        if std::mem::take(&mut self.released) {
            self.hold = None;
        }
        self.due = None;
        self.told = earlier(next, self.hold.as_ref().map(|hold| hold.until));
        self.told
    }

    /// Something is ready to go out.
    pub(super) fn ready(&mut self, now: Instant) {
        self.due = earlier(self.due, Some(now));
    }

    /// A batch became full of so many bytes, whose records linger for up to `linger`. `behind` is what is ready already:
    /// nothing is held back that would go out behind others.
    pub(super) fn full(&mut self, now: Instant, bytes: usize, linger: Duration, behind: Behind) {
        let is_rush = self.last_full.is_some_and(|last| now.saturating_since(last) <= RUSH);
        self.last_full = Some(now);
        if let Some(hold) = &mut self.hold {
            hold.bytes += bytes;
            if hold.until <= now {
                // The shell's timer is coarse.
                self.ready(now);
            }
        } else if behind == Behind::SameBroker {
            // The shell knows, or an answer makes room for both.
        } else if is_rush && behind == Behind::Nothing && !linger.is_zero() {
            self.hold = Some(Hold { until: now + HOLD.min(linger), bytes });
        } else {
            self.ready(now);
        }
    }

    /// Whether Produce requests are to wait.
    pub(super) fn holds(&mut self, now: Instant) -> bool {
        let holds = self.hold.as_ref().is_some_and(|hold| hold.bytes < MANY && now < hold.until);
        self.released |= !holds;
        holds
    }

    /// What was held back for long enough is not any more.
    pub(super) fn timeout(&mut self, now: Instant) {
        self.hold.take_if(|hold| hold.until <= now);
    }

    /// Nothing more is to be held back of what there is.
    pub(super) fn let_go(&mut self) {
        self.hold = None;
    }

    /// Whether the shell is to come earlier than it knows of, as there is something to be done at `next` or now.
    pub(super) fn are_pressing(&self, next: Option<Instant>) -> bool {
        let held = self.hold.as_ref();
        let first = earlier(earlier(next, self.due), held.map(|hold| hold.until));
        let is_too_late = first.is_some_and(|first| self.told.is_none_or(|told| told > first));
        is_too_late || held.is_some_and(|hold| hold.bytes >= MANY)
    }
}

fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    one.into_iter().chain(other).min()
}
