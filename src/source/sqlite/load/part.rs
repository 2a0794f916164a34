//! The file that is being built, `<target>.part`: it becomes the target whole, or goes.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::error::{Context, Error, Kind, Result};
use crate::host::durable;

/// What SQLite appends to the names of the files beside a database.
const BESIDE: [&str; 3] = ["-journal", "-wal", "-shm"];

/// A file in the making; removed when it is dropped unfinished.
#[derive(Debug)]
pub(super) struct Part {
    target: PathBuf,
    part: PathBuf,
    /// Open for as long as SQLite has the file open: closing it takes SQLite's locks away.
    file: File,
    finished: bool,
}

impl Part {
    /// Makes the empty file, with the permission bits `mode`. What an earlier load left is removed.
    pub(super) fn create(target: &Path, mode: u32) -> Result<Self> {
        // SQLite would take a relative path that begins with `file:` for a URI.
        let target = std::path::absolute(target).context(|| format!("cannot tell where {target:?} is"))?;
        ensure_free(&target)?;
        let part = durable::part_of(&target);
        remove(&part).context(|| format!("cannot remove {part:?}, which an earlier load left"))?;
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&part)
            .context(|| format!("cannot create {part:?}"))?;
        Ok(Self { target, part, file, finished: false })
    }

    pub(super) fn path(&self) -> &Path {
        &self.part
    }

    /// Has the disk begin with what was written so far, so that it works beside the processor.
    pub(super) fn begin_write_out(&self) {
        durable::begin_write_out(&self.file);
    }

    /// Makes the file durable under its final name. The database must be closed.
    pub(super) fn finish(mut self) -> Result<()> {
        for left in BESIDE.iter().map(|end| beside(&self.part, end)) {
            if durable::is_there(&left)? {
                return Err(Error::new(Kind::Io, format!("the new database was not closed: {left:?} is still there")));
            }
        }
        self.file.sync_all().context(|| format!("cannot sync the new database {:?}", self.part))?;
        ensure_free(&self.target)?;
        if let Err(error) = durable::rename(&self.part, &self.target) {
            // It may have its name already and not be durable under it: then it goes, as the caller is told.
            if matches!(durable::is_there(&self.part), Ok(false)) {
                let _ = fs::remove_file(&self.target);
            }
            return Err(error);
        }
        self.finished = true;
        Ok(())
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.finished {
            let _ = remove(&self.part);
        }
    }
}

fn remove(part: &Path) -> io::Result<()> {
    let all = BESIDE.iter().map(|end| beside(part, end)).chain([part.to_owned()]);
    for path in all {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(end);
    name.into()
}

/// Fails unless the target is free: nothing is there but perhaps an empty file, and no journal that SQLite would play
/// into the new database.
fn ensure_free(target: &Path) -> Result<()> {
    let refuse =
        |path: &Path, why: &str, help: &str| Err(Error::new(Kind::Refused, format!("{path:?} {why}")).help(help));
    let is_empty = |meta: fs::Metadata| meta.is_file() && meta.len() == 0;
    if durable::is_there(target)? && !fs::symlink_metadata(target).is_ok_and(is_empty) {
        return refuse(target, "exists already", "load into a new file, and move it where you want it");
    }
    for path in BESIDE.iter().map(|end| beside(target, end)) {
        if durable::is_there(&path)? {
            return refuse(&path, "belongs to another database of that name", "move it away, if nothing uses it");
        }
    }
    Ok(())
}
