//! A line of JSON at every interval, to tracing's target `pointsman::statistics` at level INFO: where the line goes is
//! the program's choice of a subscriber, as for everything else that a library has to say. Who wants it elsewhere
//! calls [`super::MetricsSnapshot::to_json`] from a loop of their own.

use super::Source;
use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// The thread that tells the statistics. Dropping it ends it, after a last line.
pub(crate) struct Statistics {
    end: Arc<End>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct End {
    is_here: Mutex<bool>,
    changed: Condvar,
}

impl Statistics {
    /// Tells them every `interval`, and once at the end.
    ///
    /// # Errors
    /// The operating system has no thread for us.
    pub(crate) fn start(interval: Duration, source: Source) -> io::Result<Statistics> {
        let end = Arc::new(End::default());
        let of_thread = Arc::clone(&end);
        let thread = std::thread::Builder::new().name("pointsman-statistics".to_owned()).spawn(move || {
            while !of_thread.within(interval) {
                tell(&source);
            }
            tell(&source);
        })?;
        Ok(Statistics { end, thread: Some(thread) })
    }
}

impl End {
    /// Waits up to `interval` for the end; whether it came.
    fn within(&self, interval: Duration) -> bool {
        let is_here = self.is_here.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(is_here, interval, |is_here| !*is_here);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

impl Drop for Statistics {
    fn drop(&mut self) {
        *self.end.is_here.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.end.changed.notify_all();
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != std::thread::current().id()
        {
            // Its panic was told by the panic hook.
            let _ = thread.join();
        }
    }
}

fn tell(source: &Source) {
    tracing::info!(target: "pointsman::statistics", "{}", source().to_json());
}
