//! When the driver wakes by itself.
//!
//! Tokio's timers count whole milliseconds and are late by up to one, which is a fifth of what records linger by default.
//! Where the system has timers that are files, one of these is used.

use super::clock::Clock;
use crate::core::time::Instant;
use std::pin::Pin;
use std::time::Duration;
use tokio::time::{Sleep, sleep_until};

/// A time so far away is hardly ever reached.
const FAR: Duration = Duration::from_secs(1);

/// Set for one time, and then for another.
pub(super) struct Alarm {
    clock: Clock,
    set_for: Option<Instant>,
    timer: Timer,
}

enum Timer {
    #[cfg(target_os = "linux")]
    File(file::TimerFile),
    Coarse(Pin<Box<Sleep>>),
}

impl Alarm {
    /// Not set. To be made where tokio runs.
    pub(super) fn new(clock: Clock) -> Alarm {
        let coarse = || Timer::Coarse(Box::pin(sleep_until(clock.timer_at(clock.now()))));
        #[cfg(target_os = "linux")]
        // Without another file to be had, it is less exact.
        let timer = file::TimerFile::new().map_or_else(|_| coarse(), Timer::File);
        #[cfg(not(target_os = "linux"))]
        let timer = coarse();
        Alarm { clock, set_for: None, timer }
    }

    /// Sets it for another time, or for none. It may ring earlier than that, but not often: a time that is far away is
    /// not put off further, since deadlines that never come move with every request.
    pub(super) fn set(&mut self, at: Option<Instant>) {
        if at == self.set_for {
            return;
        }
        let now = self.clock.now();
        let is_put_off = self.set_for.is_some_and(|set_for| at.is_none_or(|at| at > set_for) && set_for > now + FAR);
        if is_put_off {
            return;
        }
        self.set_for = at;
        let Some(at) = at else { return };
        match &mut self.timer {
            #[cfg(target_os = "linux")]
            Timer::File(file) => file.set(at - now),
            Timer::Coarse(sleep) => sleep.as_mut().reset(self.clock.timer_at(at)),
        }
    }

    /// Until its time has come, or an earlier one that was put off; for ever if it was never set.
    pub(super) async fn rings(&mut self) {
        if self.set_for.is_none() {
            return std::future::pending().await;
        }
        match &mut self.timer {
            #[cfg(target_os = "linux")]
            Timer::File(file) => file.rings().await,
            Timer::Coarse(sleep) => sleep.as_mut().await,
        }
        self.set_for = None;
    }
}

#[cfg(target_os = "linux")]
mod file {
    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
    };
    use std::io;
    use std::os::fd::OwnedFd;
    use std::time::Duration;
    use tokio::io::Interest;
    use tokio::io::unix::AsyncFd;

    pub(super) struct TimerFile(AsyncFd<OwnedFd>);

    impl TimerFile {
        pub(super) fn new() -> io::Result<TimerFile> {
            let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
            let file = timerfd_create(TimerfdClockId::Monotonic, flags)?;
            #[expect(deprecated, reason = "it is sound for a file that is owned, and what replaces it is unsafe")]
            AsyncFd::with_interest(file, Interest::READABLE).map(TimerFile)
        }

        pub(super) fn set(&self, after: Duration) {
            const ZERO: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };
            // Zero would unset it; and no clock goes as far as the core's times do.
            let after = after.clamp(Duration::from_nanos(1), Duration::from_secs(86_400 * 365));
            let it_value = Timespec { tv_sec: after.as_secs() as i64, tv_nsec: after.subsec_nanos().into() };
            let set = timerfd_settime(&self.0, TimerfdTimerFlags::empty(), &Itimerspec { it_interval: ZERO, it_value });
            debug_assert!(set.is_ok(), "{set:?}");
        }

        pub(super) async fn rings(&self) {
            loop {
                let Ok(mut ready) = self.0.readable().await else { return std::future::pending().await };
                let read = |file: &AsyncFd<OwnedFd>| Ok(rustix::io::read(file, &mut [0; 8])?);
                // It was set anew meanwhile if there is nothing to read.
                if ready.try_io(read).is_ok() {
                    return;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn in_tokio(test: impl AsyncFn(&mut Alarm, Clock)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let clock = Clock::new();
            let coarse = Timer::Coarse(Box::pin(sleep_until(clock.timer_at(clock.now()))));
            for mut alarm in [Alarm::new(clock), Alarm { clock, set_for: None, timer: coarse }] {
                test(&mut alarm, clock).await;
            }
        });
    }

    #[test]
    fn it_rings_when_its_time_has_come_and_not_before() {
        in_tokio(async |alarm, clock| {
            for ms in [3, 0, 1] {
                let at = clock.now() + Duration::from_millis(ms);
                alarm.set(Some(at));
                alarm.rings().await;
                assert!(clock.now() >= at);
            }
        });
    }

    #[test]
    fn a_far_time_is_not_put_off_and_rings_if_it_is_reached() {
        in_tokio(async |alarm, clock| {
            let far = clock.now() + FAR + Duration::from_millis(50);
            alarm.set(Some(far));
            alarm.set(Some(far + FAR));
            alarm.set(None);
            assert_eq!(alarm.set_for, Some(far));
            alarm.rings().await;
            assert!(clock.now() >= far);
            let near = clock.now() + Duration::from_millis(5);
            alarm.set(Some(near + FAR));
            alarm.set(Some(near));
            alarm.set(Some(near + Duration::from_millis(5)));
            alarm.rings().await;
            assert!(clock.now() >= near + Duration::from_millis(5), "a near one is put off");
        });
    }

    #[test]
    fn the_last_time_that_it_is_set_for_counts() {
        in_tokio(async |alarm, clock| {
            alarm.set(Some(clock.now()));
            // It has rung by now, and nobody has listened.
            tokio::time::sleep(Duration::from_millis(2)).await;
            let at = clock.now() + Duration::from_millis(5);
            alarm.set(Some(at));
            alarm.rings().await;
            assert!(clock.now() >= at);
            alarm.set(Some(clock.now() + Duration::from_secs(3600)));
            let rung = tokio::time::timeout(Duration::from_millis(5), alarm.rings()).await;
            assert!(rung.is_err());
        });
    }

    #[test]
    fn unset_it_never_rings() {
        in_tokio(async |alarm, clock| {
            alarm.set(Some(clock.now() + Duration::from_millis(1)));
            alarm.set(None);
            let rung = tokio::time::timeout(Duration::from_millis(5), alarm.rings()).await;
            assert!(rung.is_err());
        });
    }
}
