//! Stores: where further copies go. One small contract for every kind, and what this box keeps there.
//!
//! ```text
//! shelf       <prefix>/<customer>/<box>/<id>/...: which backups a store has, putting one, reading one, removing one
//! Store       put, open, list, delete, verify: what every kind does alike
//! upload      the same for kinds that have files: a temporary name, resume, read back, rename
//! directory   a folder
//! ftp         a folder of an FTP server
//! s3          a bucket
//! sftp        a folder of an SSH server
//! ```
//!
//! The contract: `put` shows its content under the final name whole or not at all, and goes on where an earlier one was
//! cut off; `list` hides what is unfinished; `delete` of what is not there is fine.

mod content;
mod directory;
#[cfg(feature = "ftp")]
mod ftp;
pub mod logs;
#[cfg(feature = "s3")]
mod s3;
#[cfg(feature = "sftp")]
mod sftp;
pub mod shelf;
mod upload;

pub use content::Content;
pub use directory::{Initialised, init as init_directory};

use std::io::Read;

use crate::config::{StoreConfig, StoreKind};
use crate::error::Result;
#[cfg(not(all(feature = "ftp", feature = "s3", feature = "sftp")))]
use crate::error::{Error, Kind};
use crate::model::{Cancel, Run};

/// What is in a folder of a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name in that folder.
    pub name: String,
    /// Its size in bytes; 0 for a folder.
    pub size: u64,
    /// Whether it is a folder.
    pub is_dir: bool,
    /// What differs when its content does, where the list tells: an ETag, or when it was last changed.
    pub version: Option<String>,
}

/// What a `put` came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sent {
    /// Bytes sent now.
    pub bytes: u64,
    /// Bytes that an earlier put, which was cut off, had sent.
    pub resumed: u64,
}

impl Sent {
    /// Both together.
    pub(crate) fn and(self, other: Self) -> Self {
        Self { bytes: self.bytes + other.bytes, resumed: self.resumed + other.resumed }
    }
}

/// A place for copies. Paths are names joined by `/`, without a leading one; every name obeys the rules of FAT32.
pub trait Store: Send {
    /// Which medium it is, in records: no secret is part of it.
    fn medium(&self) -> &str;

    /// Where it is, for people: no secret is part of it.
    fn label(&self) -> String;

    /// Puts `content` under `path`, whole or not at all, and has made sure that it is there as far as the kind can: from
    /// then on it is what [`open`](Store::open) gives.
    fn put(&mut self, path: &str, content: &Content, run: &Run) -> Result<Sent>;

    /// The content under `path`.
    fn open(&mut self, path: &str) -> Result<Box<dyn Read + Send>>;

    /// Reads parts of files, for as long as it is wanted.
    fn ranges(&mut self) -> Box<dyn Ranges>;

    /// What is in the folder `dir`, without what is unfinished; nothing when it is not there.
    fn list(&mut self, dir: &str) -> Result<Vec<Entry>>;

    /// The files in those folders in `dir` that are wanted, each with its folder's name and `/` before its own: with as few
    /// requests as the kind can.
    fn list_below(&mut self, dir: &str, is_wanted: &dyn Fn(&str) -> bool) -> Result<Vec<Entry>> {
        let mut all = Vec::new();
        for folder in self.list(dir)?.into_iter().filter(|entry| entry.is_dir && is_wanted(&entry.name)) {
            let files = self.list(&upload::join(dir, &folder.name))?.into_iter().filter(|entry| !entry.is_dir);
            all.extend(files.map(|file| Entry { name: upload::join(&folder.name, &file.name), ..file }));
        }
        Ok(all)
    }

    /// Removes the file `path`; fine when it is not there.
    fn delete(&mut self, path: &str) -> Result<()>;

    /// Removes the folder `dir` and all that is in it, the unfinished too; fine when it is not there.
    fn delete_dir(&mut self, dir: &str) -> Result<()>;

    /// Gives up what is unfinished in the folder `dir`, unless `keep` wants the name that it would have.
    fn give_up(&mut self, dir: &str, keep: &dyn Fn(&str) -> bool) -> Result<()>;

    /// Bytes that may still be written, where that can be known.
    fn free(&mut self) -> Result<Option<u64>>;
}

/// What reads parts of a store's files while the store does something else.
pub trait Ranges: Send {
    /// `length` bytes of the file `path` from `from` on; fewer where it ends before.
    fn open_range(&mut self, path: &str, from: u64, length: u64) -> Result<Box<dyn Read + Send>>;
}

/// Opens the store. Nothing is written. Once `cancel` is set, a server that is silent is given up.
#[cfg_attr(
    not(any(feature = "ftp", feature = "s3", feature = "sftp")),
    allow(unused_variables, reason = "only servers are silent")
)]
pub fn open(config: &StoreConfig, cancel: &Cancel) -> Result<Box<dyn Store>> {
    match &config.kind {
        StoreKind::Directory(directory) => directory::open(directory, config.bandwidth),
        #[cfg(feature = "ftp")]
        StoreKind::Ftp(folder) => ftp::open(folder, config.bandwidth, cancel),
        #[cfg(feature = "s3")]
        StoreKind::S3(bucket) => s3::open(bucket, config.bandwidth, cancel),
        #[cfg(feature = "sftp")]
        StoreKind::Sftp(folder) => sftp::open(folder, config.bandwidth, cancel),
        #[cfg(not(all(feature = "ftp", feature = "s3", feature = "sftp")))]
        _ => Err(Error::new(Kind::Config, "this program was built without stores of this type")),
    }
}

/// Whether a name is that of something unfinished.
pub(crate) fn is_part(name: &str) -> bool {
    name.ends_with(upload::PART)
}
