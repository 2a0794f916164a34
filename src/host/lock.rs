//! A lock that one process holds and that dies with it; the second one is told who the first is.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::fd::AsRawFd;
use std::path::Path;

use crate::error::{Context, Error, Kind, Result};

/// Held until it is dropped or the process ends, however it ends.
#[derive(Debug)]
pub struct Lock(#[allow(dead_code, reason = "held, not read")] File);

impl Lock {
    /// Takes the lock file at `path` without waiting. `doing` tells a later comer what the holder is at.
    pub fn take(path: &Path, doing: &str) -> Result<Self> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .context(|| format!("cannot open the lock {path:?}"))?;
        let mut holder = String::new();
        let _ = (&mut file).take(200).read_to_string(&mut holder);
        match lock(&file) {
            Ok(()) => {
                let note = format!("pid {}, {doing}", std::process::id());
                file.set_len(0)
                    .and_then(|()| file.rewind())
                    .and_then(|()| file.write_all(note.as_bytes()))
                    .context(|| format!("cannot write the lock {path:?}"))?;
                Ok(Self(file))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let who = if holder.is_empty() { "another process".to_owned() } else { format!("{:?}", holder.trim()) };
                Err(Error::new(Kind::Busy, format!("{path:?} is held by {who}"))
                    .help("wait until it has finished; only one backup or restore runs at a time"))
            }
            Err(error) => Err(error).context(|| format!("cannot lock {path:?}")),
        }
    }
}

impl Drop for Lock {
    /// Closing the file would not do: a child that is being started shares it for a moment, and with it the lock.
    /// Unlocking that fails is made good by that close (`nix::fcntl::Flock` would panic).
    fn drop(&mut self) {
        // SAFETY: the descriptor is open until `self` is gone.
        unsafe { libc::flock(self.0.as_raw_fd(), libc::LOCK_UN) };
    }
}

fn lock(file: &File) -> io::Result<()> {
    loop {
        // SAFETY: the descriptor is open for as long as `file` is borrowed.
        if unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } == 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_one_is_told_who_holds_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(".lock");
        let first = Lock::take(&path, "backup").unwrap();
        let error = Lock::take(&path, "restore").unwrap_err();
        assert_eq!(error.kind(), Kind::Busy);
        assert!(error.to_string().contains(&format!("pid {}, backup", std::process::id())), "{error}");
        drop(first);
        Lock::take(&path, "restore").unwrap();
    }
}
