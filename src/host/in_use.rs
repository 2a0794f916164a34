//! Who else has a file open: through `/proc` what we may see, and the file's locks for the rest.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::fcntl::{FcntlArg, fcntl};

use crate::error::{Context, Result};

/// A process that has a file open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Its process id.
    pub pid: i32,
    /// Its name, as far as it may be known.
    pub name: String,
}

/// The first other process found to have any of `paths` open or locked. Files that do not exist are nobody's.
///
/// Another user's open files are visible to root alone; a lock on the file is visible to everybody who may open it.
pub fn holder_of(paths: &[&Path]) -> Result<Option<Holder>> {
    let (mut there, mut files) = (Vec::new(), Vec::new());
    for path in paths {
        match fs::metadata(path) {
            Ok(meta) => {
                there.push(*path);
                files.push((meta.dev(), meta.ino()));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).context(|| format!("cannot tell who uses {path:?}")),
        }
    }
    if let Some(pid) = opened_by(&files) {
        return Ok(Some(holder(pid)));
    }
    for path in there {
        if let Some(pid) = locked_by(path)? {
            return Ok(Some(holder(pid)));
        }
    }
    Ok(None)
}

fn opened_by(files: &[(u64, u64)]) -> Option<i32> {
    let own = std::process::id().cast_signed();
    let processes = fs::read_dir("/proc").ok()?;
    let pids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| *pid != own).find(|pid| {
        // A process may end while it is looked at, and another user's folder is closed to us: then it has nothing.
        let Ok(fds) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
        fds.filter_map(|fd| fs::metadata(fd.ok()?.path()).ok()).any(|meta| files.contains(&(meta.dev(), meta.ino())))
    })
}

fn locked_by(path: &Path) -> Result<Option<i32>> {
    let file = File::options().read(true).write(true).open(path).context(|| format!("cannot open {path:?}"))?;
    let mut lock = libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    fcntl(file.as_fd(), FcntlArg::F_GETLK(&mut lock)).context(|| format!("cannot ask who has locked {path:?}"))?;
    Ok((lock.l_type != libc::F_UNLCK as libc::c_short).then_some(lock.l_pid))
}

fn holder(pid: i32) -> Holder {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    Holder { pid, name: name.trim().to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_process_with_the_file_open_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("db");
        fs::write(&path, b"x").unwrap();
        assert_eq!(holder_of(&[&path]).unwrap(), None);
        let own = File::open(&path).unwrap();
        assert_eq!(holder_of(&[&path]).unwrap(), None, "our own file does not count");
        drop(own);
        let mut other = std::process::Command::new("tail").arg("-f").arg(&path).spawn().unwrap();
        let found = (0..100).find_map(|_| {
            std::thread::sleep(std::time::Duration::from_millis(20));
            holder_of(&[&path]).unwrap()
        });
        other.kill().unwrap();
        other.wait().unwrap();
        assert_eq!(found, Some(Holder { pid: other.id().cast_signed(), name: "tail".into() }));
    }
}
