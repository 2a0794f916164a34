//! What wakes a thread that sleeps in `poll`: another thread, a moment of the wall clock, a signal of the system.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::Arc;

use jiff::Timestamp;
use nix::errno::Errno;
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::timerfd::{ClockId, TimerFd, TimerFlags, TimerSetTimeFlags};

use crate::error::{Context, Result};

/// Wakes the thread that polls it, from any thread.
#[derive(Debug, Clone)]
pub struct Waker(Arc<EventFd>);

impl Waker {
    /// Makes one.
    pub fn new() -> Result<Self> {
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        let event = EventFd::from_flags(flags).context(|| "cannot make an event descriptor".into())?;
        Ok(Self(Arc::new(event)))
    }

    /// Makes the descriptor readable.
    pub fn wake(&self) {
        // It fails only when it was woken 2^64 times and nobody looked.
        let _ = self.0.write(1);
    }

    /// Makes it quiet again.
    pub fn clear(&self) {
        let _ = self.0.read();
    }
}

impl AsFd for Waker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Goes off at a moment of the wall clock, and whenever somebody sets that clock.
pub struct Alarm(TimerFd);

/// Far enough away for an alarm that only waits for the clock to be set: the year 2200.
const NEVER_SECOND: i64 = 7_258_118_400;

impl Alarm {
    /// Makes one that is not set.
    pub fn new() -> Result<Self> {
        let flags = TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK;
        let timer = TimerFd::new(ClockId::CLOCK_REALTIME, flags).context(|| "cannot make an alarm".into())?;
        Ok(Self(timer))
    }

    /// Sets it to `at`; `None` waits for nothing but a change of the clock.
    pub fn set(&self, at: Option<Timestamp>) -> Result<()> {
        // Rounded up: an alarm that goes off early would only be set again, and again.
        let whole = |at: Timestamp| at.as_second() + i64::from(at.subsec_nanosecond() > 0);
        let second = at.map_or(NEVER_SECOND, whole).clamp(1, NEVER_SECOND);
        match set_timer(&self.0, second) {
            // The clock was set between two settings: this one holds all the same.
            Ok(()) | Err(Errno::ECANCELED) => Ok(()),
            Err(errno) => Err(errno).context(|| "cannot set the alarm".into()),
        }
    }

    /// Makes it quiet, if it went off.
    pub fn clear(&self) {
        let _ = self.0.wait();
    }
}

/// Sets a timer of the wall clock to a second since 1970, with 64 bits on every machine: on 32-bit ARM the C library's own call
/// has 32, which end in 2038. Needs Linux 5.1 there.
fn set_timer(timer: &TimerFd, second: i64) -> nix::Result<()> {
    #[cfg(target_pointer_width = "64")]
    const SET_TIME: libc::c_long = libc::SYS_timerfd_settime;
    // `timerfd_settime64`: what came after Linux 5.1 has the same number everywhere but on MIPS; `libc` does not name it.
    #[cfg(target_pointer_width = "32")]
    const SET_TIME: libc::c_long = 411;
    // The kernel's `struct itimerspec`: interval and moment, each seconds and nanoseconds.
    let time: [i64; 4] = [0, 0, second, 0];
    let flags = TimerSetTimeFlags::TFD_TIMER_ABSTIME | TimerSetTimeFlags::TFD_TIMER_CANCEL_ON_SET;
    // SAFETY: the descriptor is open, `time` lives until the call returns, and a null pointer asks for no earlier setting.
    let done = unsafe {
        libc::syscall(SET_TIME, timer.as_fd().as_raw_fd(), flags.bits(), time.as_ptr(), std::ptr::null_mut::<i64>())
    };
    Errno::result(done).map(drop)
}

impl AsFd for Alarm {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The signals that end or reload a service, as something to poll.
pub struct Signals(SignalFd);

impl Signals {
    /// From now on SIGTERM, SIGINT and SIGHUP arrive here and do nothing else. Call it before any thread is started.
    pub fn take() -> Result<Self> {
        let mut set = SigSet::empty();
        for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
            set.add(signal);
        }
        set.thread_block().context(|| "cannot hold signals back".into())?;
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        let fd = SignalFd::with_flags(&set, flags).context(|| "cannot watch for signals".into())?;
        Ok(Self(fd))
    }

    /// The next one that arrived.
    pub fn next(&self) -> Option<Signal> {
        let info = self.0.read_signal().ok().flatten()?;
        Signal::try_from(i32::try_from(info.ssi_signo).ok()?).ok()
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

    use super::*;

    fn is_ready(fd: &impl AsFd) -> bool {
        poll(&mut [PollFd::new(fd.as_fd(), PollFlags::POLLIN)], PollTimeout::ZERO).unwrap() == 1
    }

    #[test]
    fn an_alarm_never_goes_off_before_its_time() {
        let alarm = Alarm::new().unwrap();
        let soon = Timestamp::now() + Duration::from_millis(1);
        alarm.set(Some(soon)).unwrap();
        poll(&mut [PollFd::new(alarm.as_fd(), PollFlags::POLLIN)], PollTimeout::from(5000_u16)).unwrap();
        assert!(Timestamp::now() >= soon);
    }

    #[test]
    fn a_waker_is_heard_once_however_often_it_was_woken() {
        let waker = Waker::new().unwrap();
        assert!(!is_ready(&waker));
        let other = waker.clone();
        std::thread::spawn(move || (0..3).for_each(|_| other.wake())).join().unwrap();
        assert!(is_ready(&waker));
        waker.clear();
        assert!(!is_ready(&waker));
    }

    #[test]
    fn an_alarm_goes_off_at_a_moment_that_has_passed_and_not_at_one_to_come() {
        let alarm = Alarm::new().unwrap();
        alarm.set(Some(Timestamp::now() + Duration::from_secs(3600))).unwrap();
        assert!(!is_ready(&alarm));
        alarm.set(Some(Timestamp::UNIX_EPOCH)).unwrap();
        assert!(is_ready(&alarm));
        alarm.clear();
        assert!(!is_ready(&alarm));
        alarm.set(None).unwrap();
        assert!(!is_ready(&alarm));
    }
}
