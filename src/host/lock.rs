//! A lock that one process holds and that dies with it; the second one is told who the first is.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use crate::error::{Context, Error, Kind, Result};

/// Held until it is dropped or the process ends, however it ends.
#[derive(Debug)]
pub struct Lock(#[allow(dead_code, reason = "held, not read")] Flock<File>);

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
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(mut lock) => {
                let note = format!("pid {}, {doing}", std::process::id());
                lock.set_len(0)
                    .and_then(|()| lock.rewind())
                    .and_then(|()| lock.write_all(note.as_bytes()))
                    .context(|| format!("cannot write the lock {path:?}"))?;
                Ok(Self(lock))
            }
            Err((_, Errno::EWOULDBLOCK)) => {
                let who = if holder.is_empty() { "another process".to_owned() } else { format!("{:?}", holder.trim()) };
                Err(Error::new(Kind::Busy, format!("{path:?} is held by {who}"))
                    .help("wait until it has finished; only one backup or restore runs at a time"))
            }
            Err((_, errno)) => Err(errno).context(|| format!("cannot lock {path:?}")),
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
