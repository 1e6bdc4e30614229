//! How long a call may take. The limit is meant for the guest's own time, so a throttled container does not fail
//! innocent records: past half of the limit the thread's CPU time is compared, and a guest that got little of it goes
//! on, up to ten times the limit.

use super::ticker::ticks;
use std::time::{Duration, Instant};
use wasmtime::UpdateDeadline;

/// The deadline of the call that runs.
pub(super) struct Deadline {
    limit: Duration,
    half: Option<Half>,
    exceeded: Option<String>,
}

/// Taken at the first expiry, so that a short call reads no clock at all.
struct Half {
    cpu: Duration,
    wall: Instant,
}

impl Deadline {
    pub(super) fn new() -> Deadline {
        Deadline { limit: Duration::ZERO, half: None, exceeded: None }
    }

    /// For the call that begins now. Returns the ticks to the first expiry.
    pub(super) fn arm(&mut self, limit: Duration) -> u64 {
        self.limit = limit;
        self.half = None;
        self.exceeded = None;
        // The next tick may come at once.
        ticks(limit / 2) + 1
    }

    /// How the call that ended exceeded it, if it did.
    pub(super) fn exceeded(&self) -> Option<&str> {
        self.exceeded.as_deref()
    }

    /// From the engine, when the ticks given have passed.
    pub(super) fn expired(&mut self) -> wasmtime::Result<UpdateDeadline> {
        let rest = self.limit / 2;
        let Some(half) = &self.half else {
            self.half = Some(Half { cpu: thread_cpu_time(), wall: Instant::now() });
            return Ok(UpdateDeadline::Continue(ticks(rest)));
        };
        let used = thread_cpu_time().saturating_sub(half.cpu);
        if used >= rest {
            return Err(self.exceed(String::new()));
        }
        if half.wall.elapsed() >= self.limit * WALL_FACTOR {
            return Err(self.exceed(format!(", and {WALL_FACTOR} times that on the clock")));
        }
        Ok(UpdateDeadline::Continue(ticks(rest - used)))
    }

    fn exceed(&mut self, more: String) -> wasmtime::Error {
        let words = format!("it ran for more than {:?}{more}", self.limit);
        self.exceeded = Some(words.clone());
        wasmtime::Error::msg(words)
    }
}

/// How many times the limit may pass on the clock while the guest gets no CPU.
const WALL_FACTOR: u32 = 10;

#[cfg(unix)]
fn thread_cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Without such a clock every moment counts as the guest's.
#[cfg(not(unix))]
fn thread_cpu_time() -> Duration {
    static START: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
    START.elapsed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_got_no_cpu_goes_on() {
        let mut deadline = Deadline::new();
        deadline.arm(Duration::from_secs(3600));
        assert!(matches!(deadline.expired(), Ok(UpdateDeadline::Continue(_))), "half of it");
        assert!(matches!(deadline.expired(), Ok(UpdateDeadline::Continue(_))), "the clock says all, the CPU nothing");
        assert_eq!(deadline.exceeded(), None);
    }

    #[test]
    fn cpu_time_counts() {
        let mut deadline = Deadline::new();
        deadline.arm(Duration::from_micros(20));
        deadline.expired().unwrap();
        let start = thread_cpu_time();
        while thread_cpu_time() - start < Duration::from_micros(20) {}
        assert!(deadline.expired().is_err());
        assert_eq!(deadline.exceeded(), Some("it ran for more than 20µs"));
    }

    #[test]
    fn the_clock_counts_in_the_end() {
        let mut deadline = Deadline::new();
        deadline.arm(Duration::from_millis(50));
        let wall = Instant::now().checked_sub(Duration::from_millis(500)).unwrap();
        deadline.half = Some(Half { cpu: thread_cpu_time(), wall });
        assert!(deadline.expired().is_err());
        assert!(deadline.exceeded().unwrap().ends_with("10 times that on the clock"));
    }
}
