//! Waiting for a person at the terminal without becoming deaf to Ctrl-C.

use std::io;
use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::error::{Context, Result};
use crate::model::Run;

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
