//! Those who wait for a topic's metadata and send nothing.

use super::delivery::closed;
use super::staging::Shared;
use crate::core::time::Instant;
use crate::core::{TopicHandle, TopicStatus};
use crate::error::ProduceError;
use crate::record::valid_topic;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Poll, Waker};

/// Someone who waits until a topic is known, or cannot be.
pub(crate) struct Lookup {
    pub(super) deadline: Instant,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    outcome: Option<Result<(), ProduceError>>,
    waker: Option<Waker>,
}

/// What a lookup found at once.
pub(crate) enum Looked {
    Known(TopicHandle),
    /// Look again when it says so.
    Waiting(Arc<Lookup>),
}

impl Lookup {
    /// How it went; else `waker` is woken when it is known.
    pub(crate) fn poll(&self, waker: &Waker) -> Poll<Result<(), ProduceError>> {
        let mut state = self.lock();
        match &state.outcome {
            Some(outcome) => Poll::Ready(outcome.clone()),
            None => {
                state.waker = Some(waker.clone());
                Poll::Pending
            }
        }
    }

    pub(super) fn settle(&self, outcome: Result<(), ProduceError>) {
        let mut state = self.lock();
        state.outcome.get_or_insert(outcome);
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Shared {
    /// Asks for a topic's metadata, for up to `max.block.ms`.
    pub(crate) fn look_up(&self, topic: &str) -> Result<Looked, ProduceError> {
        valid_topic(topic).map_err(|reason| ProduceError::Topic { topic: topic.into(), reason })?;
        let mut waiting = self.lock_waiting();
        if self.is_closed() {
            return Err(closed().at(&topic.into(), None));
        }
        let now = self.clock.now();
        let status = self.lock_core().topic(now, topic);
        (self.wake_driver)();
        match status {
            TopicStatus::Ready(handle) => Ok(Looked::Known(handle)),
            TopicStatus::Pending => {
                let lookup = Arc::new(Lookup { deadline: now + self.config.max_block, state: Mutex::default() });
                waiting.lookups.entry(topic.to_owned()).or_default().push(Arc::clone(&lookup));
                drop(waiting);
                self.watch();
                Ok(Looked::Waiting(lookup))
            }
        }
    }
}
