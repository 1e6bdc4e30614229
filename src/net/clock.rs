use crate::core::time::Instant;
use std::time::SystemTime;

/// The only clock. Copies of it agree with each other.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: std::time::Instant,
}

impl Clock {
    /// A clock whose monotonic time begins now.
    #[expect(clippy::new_without_default, reason = "reading the clock is not a default")]
    pub fn new() -> Clock {
        Clock { origin: std::time::Instant::now() }
    }

    /// For deadlines: it never goes back and nobody sets it.
    pub fn now(&self) -> Instant {
        let nanos = self.origin.elapsed().as_nanos();
        Instant::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// For timestamps: milliseconds since 1970, as the machine believes.
    pub fn wall_ms(&self) -> i64 {
        match SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
            Err(before) => -i64::try_from(before.duration().as_millis()).unwrap_or(i64::MAX),
        }
    }

    /// The same point for tokio's timers.
    pub(super) fn timer_at(&self, at: Instant) -> tokio::time::Instant {
        let since = std::time::Duration::from_nanos(at.as_nanos());
        let far = std::time::Duration::from_secs(86_400 * 365);
        let at = self.origin.checked_add(since).unwrap_or_else(|| self.origin + far);
        tokio::time::Instant::from_std(at)
    }
}

impl crate::core::time::Clock for Clock {
    fn now(&self) -> Instant {
        Clock::now(self)
    }

    fn wall_ms(&self) -> i64 {
        Clock::wall_ms(self)
    }

    fn tick(&self) -> u64 {
        let coarse = rustix::time::clock_gettime(rustix::time::ClockId::RealtimeCoarse);
        (coarse.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(coarse.tv_nsec as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_agree_and_time_does_not_go_back() {
        let clock = Clock::new();
        let copy = clock;
        let (first, second) = (clock.now(), copy.now());
        assert!(second >= first);
        assert!(clock.wall_ms() > 1_700_000_000_000);
    }

    #[test]
    fn a_deadline_beyond_all_time_is_far_away() {
        let clock = Clock::new();
        assert!(clock.timer_at(Instant::from_nanos(u64::MAX)) > clock.timer_at(clock.now()));
    }
}
