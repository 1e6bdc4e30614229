//! What was read and has no outcome yet, in the order of the input, up to a bound.
//!
//! One thread pushes, another takes whatever is there at once and settles it: under load neither wakes the other for
//! every record.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// The window.
pub(super) struct Window<T> {
    state: Mutex<State<T>>,
    pushed: Condvar,
    settled: Condvar,
    capacity: usize,
}

struct State<T> {
    waiting: VecDeque<T>,
    /// Pushed and not settled: those waiting, and those that were taken.
    open: usize,
    is_closed: bool,
    is_aborted: bool,
}

impl<T> Window<T> {
    /// An empty window.
    pub(super) fn new(capacity: usize) -> Window<T> {
        let state = State { waiting: VecDeque::new(), open: 0, is_closed: false, is_aborted: false };
        Window { state: Mutex::new(state), pushed: Condvar::new(), settled: Condvar::new(), capacity }
    }

    /// Adds at the end; waits while the window is full.
    pub(super) fn push(&self, item: T) {
        let mut state = self.lock();
        while state.open >= self.capacity {
            state = self.settled.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.open += 1;
        state.waiting.push_back(item);
        drop(state);
        self.pushed.notify_one();
    }

    /// Moves all there is to the end of `items`; waits for at least one if that is empty. False: nothing comes any
    /// more, and `items` is empty.
    pub(super) fn take(&self, items: &mut VecDeque<T>) -> bool {
        let mut state = self.lock();
        while state.waiting.is_empty() && items.is_empty() {
            if state.is_closed || state.is_aborted {
                return false;
            }
            state = self.pushed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if items.is_empty() {
            std::mem::swap(&mut state.waiting, items);
        } else {
            items.append(&mut state.waiting);
        }
        true
    }

    /// From now on nobody waits for outcomes.
    pub(super) fn abort(&self) {
        self.lock().is_aborted = true;
        self.pushed.notify_all();
    }

    /// Whether it was told to.
    pub(super) fn is_aborted(&self) -> bool {
        self.lock().is_aborted
    }

    /// So many of those taken have their outcome.
    pub(super) fn settle(&self, count: usize) {
        let mut state = self.lock();
        state.open -= count;
        drop(state);
        self.settled.notify_all();
    }

    /// Waits until all that was pushed has its outcome.
    pub(super) fn wait_until_settled(&self) {
        let mut state = self.lock();
        while state.open > 0 {
            state = self.settled.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// No more will be pushed.
    pub(super) fn close(&self) {
        self.lock().is_closed = true;
        self.pushed.notify_all();
    }

    /// How many have no outcome yet.
    pub(super) fn open(&self) -> usize {
        self.lock().open
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // Nothing that could panic runs under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;
    use std::time::Duration;

    #[test]
    fn keeps_order_and_its_bound() {
        let window = Window::new(3);
        thread::scope(|scope| {
            scope.spawn(|| {
                for number in 0..1000 {
                    window.push(number);
                    assert!(window.open() <= 3);
                }
                window.close();
            });
            let (mut items, mut all) = (VecDeque::new(), Vec::new());
            while window.take(&mut items) {
                for number in items.drain(..) {
                    all.push(number);
                    window.settle(1);
                }
            }
            assert_eq!(all, (0..1000).collect::<Vec<_>>());
        });
        assert_eq!(window.open(), 0);
    }

    #[test]
    fn a_full_window_waits_until_one_is_settled() {
        let window = Window::new(1);
        window.push(1);
        thread::scope(|scope| {
            let pushing = scope.spawn(|| window.push(2));
            thread::sleep(Duration::from_millis(20));
            assert!(!pushing.is_finished());
            let mut items = VecDeque::new();
            assert!(window.take(&mut items));
            assert!(!pushing.is_finished(), "taken is not settled");
            window.settle(1);
        });
    }

    #[test]
    fn who_waits_for_all_of_it_waits_for_the_last() {
        let window = Window::new(9);
        window.wait_until_settled();
        window.push(1);
        window.push(2);
        thread::scope(|scope| {
            let waiting = scope.spawn(|| window.wait_until_settled());
            window.settle(1);
            thread::sleep(Duration::from_millis(20));
            assert!(!waiting.is_finished());
            window.settle(1);
        });
    }

    #[test]
    fn closing_wakes_the_taker() {
        let window = Window::<u8>::new(1);
        thread::scope(|scope| {
            let taking = scope.spawn(|| window.take(&mut VecDeque::new()));
            window.close();
            assert!(!taking.join().unwrap());
        });
    }
}
