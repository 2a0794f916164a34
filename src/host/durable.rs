//! Files that are still there after a power cut: write under a temporary name, sync, rename, sync the folder.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::error::{Context, Error, Kind, Result};

/// Puts `bytes` into `path`, all or nothing, with the permission bits `mode`; durable once it returned.
pub fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    let part = part_of(path);
    let result = write_part(&part, bytes, mode).and_then(|()| fs::rename(&part, path));
    if result.is_err() {
        let _ = fs::remove_file(&part);
    }
    result.context(|| format!("cannot write {path:?}"))?;
    sync_parent(path)
}

/// Puts `bytes` into the new file `path` as [`write`] does; `false`, and nothing is changed, when something is there.
pub fn write_new(path: &Path, bytes: &[u8], mode: u32) -> Result<bool> {
    let part = part_of(path);
    let written = write_part(&part, bytes, mode).and_then(|()| rename_new(&part, path));
    if !matches!(written, Ok(true)) {
        let _ = fs::remove_file(&part);
    }
    let written = written.context(|| format!("cannot write {path:?}"))?;
    sync_parent(path)?;
    Ok(written)
}

/// Renames `from` to `to`, which must not be there: `false`, and nothing is changed, when it is. Not yet durable.
pub fn rename_new(from: &Path, to: &Path) -> io::Result<bool> {
    match fs::hard_link(from, to) {
        Ok(()) => {
            // A second name that stays is swept like any unfinished file.
            let _ = fs::remove_file(from);
            Ok(true)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        // This file system has no second names.
        Err(_) if fs::symlink_metadata(to).is_err_and(|error| error.kind() == io::ErrorKind::NotFound) => {
            fs::rename(from, to).map(|()| true)
        }
        Err(error) => Err(error),
    }
}

fn write_part(part: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(part)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Whether anything has the name `path`. Unlike `Path::exists`, a folder that cannot be looked into is an error: what
/// was taken for absent would be overwritten.
pub fn is_there(path: &Path) -> Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error).context(|| format!("cannot tell whether {path:?} exists")),
    }
}

/// The temporary name beside `path`: the name with `.part` after it.
pub fn part_of(path: &Path) -> PathBuf {
    let mut name = path.file_name().map(OsString::from).unwrap_or_default();
    name.push(".part");
    path.with_file_name(name)
}

/// Removes what a [`write`] to `path` that died has left, if anything.
pub fn remove_part(path: &Path) -> Result<()> {
    let part = part_of(path);
    // On a read-only disk even the removal of nothing fails.
    if !is_there(&part)? {
        return Ok(());
    }
    fs::remove_file(&part).context(|| format!("cannot remove {part:?}, left by a run that died"))
}

/// Has the kernel begin to write what it holds of the file to the disk, without waiting until it is there: a sync later
/// on has less to wait for, and is what reports errors.
pub fn begin_write_out(file: &File) {
    // SAFETY: the descriptor is open during the call, which takes no pointers.
    unsafe { libc::sync_file_range(file.as_raw_fd(), 0, 0, libc::SYNC_FILE_RANGE_WRITE) };
}

/// Has the kernel write all that programs have written to all disks.
pub fn sync_everything() {
    nix::unistd::sync();
}

/// Makes the folder's entries durable: created, renamed and removed names.
pub fn sync_dir(dir: &Path) -> Result<()> {
    File::open(dir).and_then(|dir| dir.sync_all()).context(|| format!("cannot sync the folder {dir:?}"))
}

/// Makes the entry of `path` durable in the folder that holds it.
pub fn sync_parent(path: &Path) -> Result<()> {
    match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => sync_dir(dir),
        _ => sync_dir(Path::new(".")),
    }
}

/// Renames `from` to `to` and makes both folders durable.
pub fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).context(|| format!("cannot rename {from:?} to {to:?}"))?;
    sync_parent(to)?;
    if from.parent() != to.parent() {
        sync_parent(from)?;
    }
    Ok(())
}

/// Reads a whole file of at most `limit` bytes; a longer one is an error, not an allocation.
pub fn read(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let read = || -> io::Result<Option<Vec<u8>>> {
        let mut bytes = Vec::new();
        File::open(path)?.take(limit + 1).read_to_end(&mut bytes)?;
        Ok((bytes.len() as u64 <= limit).then_some(bytes))
    };
    match read().context(|| format!("cannot read {path:?}"))? {
        Some(bytes) => Ok(bytes),
        None => Err(Error::new(Kind::Damaged, format!("{path:?} is longer than {limit} bytes, which no such file is"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_the_old_file_and_no_rest() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        write(&path, b"old", 0o600).unwrap();
        fs::create_dir(part_of(&path)).unwrap();
        assert!(write(&path, b"new", 0o600).is_err());
        assert_eq!(read(&path, 10).unwrap(), b"old");
        assert!(read(&path, 2).is_err());
    }

    #[test]
    fn a_new_file_takes_nobodys_place() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("box-id");
        assert!(write_new(&path, b"first", 0o600).unwrap());
        assert!(!write_new(&path, b"second", 0o600).unwrap());
        assert_eq!(read(&path, 10).unwrap(), b"first");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
