use std::task::{Context, Poll, Waker};
use tokio::runtime::Handle;
use tokio::task::coop::{RestoreOnPending, poll_proceed};

/// Whether the caller may block its thread: false inside a task or a `block_on` of tokio, where blocking holds up
/// whatever else that thread has to run.
///
/// That a runtime is current says too little: it is so in `spawn_blocking` and `block_in_place` and under a guard of
/// `Runtime::enter`, too, where blocking is fine. What tells them apart is the budget that tokio polls every task with
/// and that it takes away before it runs code that may block. The budget has no getter, but what one takes of it is
/// given back when it made no progress: taking until nothing is left shows whether there is an end to it.
///
/// A task under `tokio::task::unconstrained` has no budget and passes as code that may block: of the two errors the
/// harmless one. Costs some nanoseconds without a runtime, half a microsecond with one.
pub fn may_block() -> bool {
    if Handle::try_current().is_err() {
        return true;
    }
    let mut context = Context::from_waker(Waker::noop());
    let mut taken: Vec<RestoreOnPending> = Vec::with_capacity(MORE_THAN_A_BUDGET);
    let mut has_end = false;
    while taken.len() < MORE_THAN_A_BUDGET && !has_end {
        match poll_proceed(&mut context) {
            Poll::Ready(one) => taken.push(one),
            Poll::Pending => has_end = true,
        }
    }
    // Each gives back what there was before it: the last one first.
    while taken.pop().is_some() {}
    !has_end
}

/// tokio gives 128.
const MORE_THAN_A_BUDGET: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::runtime::{Builder, Runtime};
    use tokio::task::{block_in_place, coop, spawn, spawn_blocking};

    fn runtimes() -> [Runtime; 2] {
        [Builder::new_current_thread().build().unwrap(), Builder::new_multi_thread().worker_threads(1).build().unwrap()]
    }

    #[test]
    fn threads_may_block_and_tasks_may_not() {
        assert!(may_block(), "no runtime");
        for runtime in runtimes() {
            assert!(!runtime.block_on(async { may_block() }), "block_on");
            assert!(!runtime.block_on(async { spawn(async { may_block() }).await.unwrap() }), "a task");
            assert!(runtime.block_on(async { spawn_blocking(may_block).await.unwrap() }), "spawn_blocking");
            let _inside = runtime.enter();
            assert!(may_block(), "only entered");
        }
    }

    #[test]
    fn a_task_may_block_where_tokio_was_told() {
        let [_, runtime] = runtimes();
        assert!(runtime.block_on(async { spawn(async { block_in_place(may_block) }).await.unwrap() }));
        let inner = move || Builder::new_current_thread().build().unwrap().block_on(async { may_block() });
        assert!(!runtime.block_on(async { spawn_blocking(inner).await.unwrap() }), "a task again, further inside");
    }

    #[test]
    fn asking_costs_a_task_none_of_its_budget() {
        let [runtime, _] = runtimes();
        runtime.block_on(async {
            for _ in 0..1000 {
                assert!(!may_block());
            }
            assert!(coop::has_budget_remaining());
        });
    }
}
