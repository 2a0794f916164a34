//! Ctrl-C and SIGTERM ask the run to end; they never kill it in the middle of a write.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicI32, Ordering};

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

use crate::error::{Context, Result};
use crate::model::Cancel;

static CANCEL: OnceLock<Cancel> = OnceLock::new();
static RECEIVED: AtomicI32 = AtomicI32::new(0);

extern "C" fn on_signal(signal: libc::c_int) {
    RECEIVED.store(signal, Ordering::Relaxed);
    if let Some(cancel) = CANCEL.get() {
        cancel.cancel();
    }
}

/// From now on SIGINT, SIGTERM and SIGHUP set `cancel`, and a closed pipe or a file that has reached the size allowed to
/// it (`ulimit -f`) is an error instead of a death. Whoever was started with `nohup` goes on when the terminal is closed.
pub fn cancel_on_signals(cancel: &Cancel) -> Result<()> {
    let _ = CANCEL.set(cancel.clone());
    let action = SigAction::new(SigHandler::Handler(on_signal), SaFlags::SA_RESTART, SigSet::empty());
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        let watching = || format!("cannot watch for {signal}");
        // SAFETY: the handler only stores to atomics.
        let before = unsafe { sigaction(signal, &action) }.context(watching)?;
        if signal == Signal::SIGHUP && matches!(before.handler(), SigHandler::SigIgn) {
            // SAFETY: it is what was there.
            unsafe { sigaction(signal, &before) }.context(watching)?;
        }
    }
    let ignored = SigAction::new(SigHandler::SigIgn, SaFlags::empty(), SigSet::empty());
    // SAFETY: no handler is installed.
    unsafe { sigaction(Signal::SIGXFSZ, &ignored) }.context(|| "cannot ignore SIGXFSZ".into())?;
    Ok(())
}

/// The signal that asked us to stop, if one did.
pub fn received() -> Option<i32> {
    Some(RECEIVED.load(Ordering::Relaxed)).filter(|signal| *signal != 0)
}
