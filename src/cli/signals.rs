//! Ctrl-C and SIGTERM as events.

use anyhow::{Context, Result};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::fmt;
use std::thread;

/// A signal that asks for an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Signal(i32);

impl Signal {
    /// The exit status by which shells know it.
    pub(crate) fn exit_code(self) -> u8 {
        128 + u8::try_from(self.0).unwrap_or(0)
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            SIGINT => "interrupted",
            SIGTERM => "terminated",
            _ => "signal",
        })
    }
}

/// From now on such signals no longer end the process (where it is process 1, they never did), but are told, until
/// `tell` answers false.
pub(crate) fn watch(tell: impl Fn(Signal) -> bool + Send + 'static) -> Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM]).context("signals cannot be watched")?;
    let watch = move || {
        for signal in signals.forever() {
            if !tell(Signal(signal)) {
                return;
            }
        }
    };
    thread::Builder::new().name("signals".to_owned()).spawn(watch).context("no thread for signals")?;
    Ok(())
}

#[cfg(test)]
impl Signal {
    /// As Ctrl-C sends it.
    pub(crate) const INTERRUPT: Signal = Signal(SIGINT);
}
