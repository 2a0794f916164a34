//! Waiting for a person at the terminal without becoming deaf to Ctrl-C.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::error::{Context, Result};
use crate::model::Run;

/// Whether stdin has something to read, or has ended, within this time.
pub fn input_within(time: Duration) -> Result<bool> {
    let stdin = io::stdin();
    let mut fds = [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
    match poll(&mut fds, PollTimeout::try_from(time).unwrap_or(PollTimeout::MAX)) {
        Ok(ready) => Ok(ready > 0),
        Err(Errno::EINTR) => Ok(false),
        Err(errno) => Err(errno).context(|| "cannot wait for the terminal".into()),
    }
}

/// Returns when stdin has something to read or has ended; fails when the run was asked to end meanwhile. (A read that is
/// under way is started again after a signal, so it would never notice.)
pub fn wait_for_input(run: &Run) -> Result<()> {
    let stdin = io::stdin();
    loop {
        run.check()?;
        let mut fds = [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, PollTimeout::NONE) {
            Ok(_) => return Ok(()),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno).context(|| "cannot wait for the answer".into()),
        }
    }
}
