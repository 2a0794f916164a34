//! How much work a text may make: in proportion to its length, whatever its statements do.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use crate::model::Cancel;

/// How many steps of SQLite's machine pass between two looks at the cancel flag: microseconds, unless each step works
/// on many megabytes.
pub(super) const STEPS_PER_LOOK: u32 = 100;

/// So many looks pass between two at the processor's clock, which takes longer.
const LOOKS_PER_CLOCK: u64 = 16;

/// Steps that a load may take whatever its size, and for each byte of text. A row takes about 2 steps a byte to insert,
/// and a few more for each index and for the final check; a hostile trigger or expression takes as many as it likes.
const STEPS_BASE: u64 = 200_000_000;
const STEPS_PER_BYTE: u64 = 200;

/// Nanoseconds of the processor that a load may take: a step may be `randomblob(16000000)`. A slow till needs 400 for a
/// byte with its indexes.
const CPU_BASE: u64 = 60_000_000_000;
const CPU_PER_BYTE: u64 = 20_000;

/// What a load may still do, and whether somebody stopped it. The processor's time is that of the thread that made it.
#[derive(Debug)]
pub(super) struct Budget {
    steps: AtomicU64,
    text: AtomicU64,
    begun: u64,
    begun_at: Instant,
    spent: AtomicBool,
    cancel: Cancel,
}

impl Budget {
    pub(super) fn new(cancel: Cancel) -> Self {
        let (steps, text, spent) = Default::default();
        Self { steps, text, begun: processor_time(), begun_at: Instant::now(), spent, cancel }
    }

    /// Says how many bytes of text were taken.
    pub(super) fn consumed(&self, bytes: u64) {
        self.text.store(bytes, Ordering::Relaxed);
    }

    /// Takes note of [`STEPS_PER_LOOK`] steps; whether to stop.
    pub(super) fn look(&self) -> bool {
        let steps = self.steps.fetch_add(u64::from(STEPS_PER_LOOK), Ordering::Relaxed);
        let text = self.text.load(Ordering::Relaxed);
        if steps > STEPS_BASE.saturating_add(text.saturating_mul(STEPS_PER_BYTE)) {
            self.spent.store(true, Ordering::Relaxed);
        }
        let clock = (steps / u64::from(STEPS_PER_LOOK)).is_multiple_of(LOOKS_PER_CLOCK);
        if clock { self.must_stop() } else { self.is_spent() || self.is_cancelled() }
    }

    /// Whether to stop, by the processor's clock as well.
    pub(super) fn must_stop(&self) -> bool {
        let text = self.text.load(Ordering::Relaxed);
        let may_take = CPU_BASE.saturating_add(text.saturating_mul(CPU_PER_BYTE));
        // A thread takes no more of the processor than time passes, and that clock is read without the kernel.
        let late = self.begun_at.elapsed().as_nanos() > u128::from(may_take);
        if late && processor_time().saturating_sub(self.begun) > may_take {
            self.spent.store(true, Ordering::Relaxed);
        }
        self.is_spent() || self.is_cancelled()
    }

    pub(super) fn is_spent(&self) -> bool {
        self.spent.load(Ordering::Relaxed)
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.cancel.is_cancelled()
    }
}

/// What this thread has taken of the processor, in nanoseconds.
fn processor_time() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: there is room for the time; on failure it stays 0, and nothing counts as taken.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    (time.tv_sec as u64).saturating_mul(1_000_000_000).saturating_add(time.tv_nsec as u64)
}
