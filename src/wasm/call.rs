//! One call into a guest: its limits before, its meaning after.

use super::output::{TARGET, cut};
use super::plugin::Shared;
use super::state::State;
use super::ticker::Running;
use crate::plugin::{FailureKind, PluginFailure};
use std::time::Duration;
use wasmtime::{Store, Trap, WasmBacktrace};

/// Arms the limits: the time, and by the size of the arguments in bytes that of the answer. Time passes for the
/// guest while the guard lives.
pub(super) fn begin<'a>(plugin: &'a Shared, store: &mut Store<State>, limit: Duration, input: usize) -> Running<'a> {
    let answer_max = ANSWER_BYTES_MIN.saturating_add(input.saturating_mul(ANSWER_PER_INPUT));
    store.set_hostcall_fuel(answer_max);
    let state = store.data_mut();
    state.memory.call_begins();
    let ticks = state.deadline.arm(limit);
    store.set_epoch_deadline(ticks);
    plugin.engine.ticker().running()
}

/// What a failed call means. Its lines and numbers are discarded.
pub(super) fn failure(store: &mut Store<State>, error: &wasmtime::Error) -> PluginFailure {
    let fuel = store.hostcall_fuel();
    let state = store.data_mut();
    let last_words = state.call_failed();
    tracing::debug!(target: TARGET, plugin = state.identity.plugin_name, "{}", cut(&format!("{error:?}")));
    if let Some(exceeded) = state.deadline.exceeded() {
        return PluginFailure::new(FailureKind::Deadline, exceeded);
    }
    let root = error.root_cause().to_string();
    // Wasmtime's type for it is private.
    if root.contains("fuel allocated for hostcalls") {
        let cause = format!("an answer, or an argument to the host, of more than {fuel} bytes");
        return PluginFailure::new(FailureKind::ResultSize, cause);
    }
    if let Some(refusal) = state.memory.refusal() {
        return PluginFailure::new(FailureKind::Memory, refusal);
    }
    let trapped = error.is::<Trap>() || error.is::<WasmBacktrace>();
    if !trapped {
        let cause = format!("the answer cannot be read: {root}");
        return PluginFailure::new(FailureKind::BrokenRule, cause);
    }
    let root = root.strip_prefix("wasm trap: ").unwrap_or(&root);
    let cause = match last_words {
        Some(words) => format!("{words} ({root})"),
        None => root.to_owned(),
    };
    PluginFailure::new(FailureKind::Trap, cause)
}

/// Every call may answer with this many bytes, and with [`ANSWER_PER_INPUT`] times what it was given.
const ANSWER_BYTES_MIN: usize = 4 << 20;
const ANSWER_PER_INPUT: usize = 4;
