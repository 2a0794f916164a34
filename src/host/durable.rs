//! Files that are still there after a power cut: write under a temporary name, sync, rename, sync the folder.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::error::{Context, Error, Kind, Result};

/// Puts `bytes` into `path`, all or nothing, with the permission bits `mode`; durable once it returned.
pub fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    let part = part_of(path);
    let result = (|| {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&part)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&part, path)
    })();
    if result.is_err() {
        let _ = fs::remove_file(&part);
    }
    result.context(|| format!("cannot write {path:?}"))?;
    sync_parent(path)
}

/// The temporary name beside `path`: the name with `.part` after it.
pub fn part_of(path: &Path) -> PathBuf {
    let mut name = path.file_name().map(OsString::from).unwrap_or_default();
    name.push(".part");
    path.with_file_name(name)
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
}
