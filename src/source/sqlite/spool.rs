//! Temporary copies of a database, readable by us alone and removed whatever happens.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::error::{Context, Error, Kind, Result};
use crate::host::{entropy, space};

/// A file that only we may read; what is in it is emptied.
pub(super) fn private(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

/// The file whose name is that of `path` with `ending` after it.
pub(super) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// A database file in the spool, removed with all that SQLite puts beside it.
pub(super) struct SpoolFile {
    pub(super) path: PathBuf,
}

impl SpoolFile {
    /// An empty file of a new name, after a look whether `size` bytes fit.
    pub(super) fn create(spool: &Path, size: u64) -> Result<Self> {
        let free = space::free(spool)?;
        if free < size {
            let message = format!("the copy of the database needs {size} bytes in {spool:?}, where {free} are free");
            return Err(Error::new(Kind::NoSpace, message).help("free space there, or choose another folder"));
        }
        let name: String = entropy::bytes::<8>()?.iter().map(|byte| format!("{byte:02x}")).collect();
        let spool = fs::canonicalize(spool).context(|| format!("cannot find the folder {spool:?}"))?;
        let file = Self { path: spool.join(format!("snapshot-{name}.db")) };
        private(&file.path).context(|| format!("cannot create {:?}", file.path))?;
        Ok(file)
    }
}

impl Drop for SpoolFile {
    fn drop(&mut self) {
        for ending in ["", "-journal", "-wal", "-shm"] {
            let _ = fs::remove_file(beside(&self.path, ending));
        }
    }
}
