//! The small files of a backup in a store, each asked for once: what was read before is not read again while the store's
//! own list says that it is the same.

use super::read;
use crate::error::{Error, Kind, Result};
use crate::model::BackupId;
use crate::store::{Entry, Store};

/// Longer files are not kept, in bytes.
const KEPT_MAX: usize = 64 << 10;

/// Whoever keeps what was read of a store. What it forgets or mixes up costs a request: lists tell what is to be believed.
pub trait Recall {
    /// What was read of a backup; nothing when that is not known.
    fn of(&self, id: &BackupId) -> Vec<Kept>;
    /// This was read of a backup, and takes the place of all that was kept of it.
    fn keep(&self, id: &BackupId, files: &[Kept]);
    /// Only these backups are there.
    fn only(&self, ids: &[BackupId]);
}

/// A small file as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Its name in the backup's folder.
    pub name: String,
    /// What the list said of its content: see [`Entry::version`].
    pub version: String,
    /// What it held.
    pub bytes: Vec<u8>,
}

/// The folder of one backup, of which small files are read.
pub(super) struct Folder<'a> {
    pub(super) dir: String,
    pub(super) entries: Vec<Entry>,
    store: &'a mut dyn Store,
    /// From before.
    before: Vec<Kept>,
    /// What was wanted now, from before or from the store.
    wanted: Vec<Kept>,
    has_asked: bool,
}

impl<'a> Folder<'a> {
    pub(super) fn new(store: &'a mut dyn Store, dir: String, entries: Vec<Entry>, before: Vec<Kept>) -> Self {
        Self { dir, entries, store, before, wanted: Vec::new(), has_asked: false }
    }

    /// The file of this name, where it is there.
    pub(super) fn entry(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.name == name && !entry.is_dir)
    }

    /// A whole file of at most `limit` bytes.
    pub(super) fn read(&mut self, name: &str, limit: u64) -> Result<Vec<u8>> {
        let path = format!("{}/{name}", self.dir);
        let Some(entry) = self.entry(name) else {
            return Err(Error::new(Kind::Missing, format!("there is no {path:?}")));
        };
        let (size, version) = (entry.size, entry.version.clone());
        let is_it = |kept: &&Kept| {
            kept.name == name && Some(&kept.version) == version.as_ref() && kept.bytes.len() as u64 == size
        };
        if let Some(kept) = self.before.iter().find(is_it).filter(|_| size <= limit) {
            self.wanted.push(kept.clone());
            return Ok(kept.bytes.clone());
        }
        self.has_asked = true;
        let bytes = read(self.store, &path, limit)?;
        if let Some(version) = version.filter(|_| bytes.len() <= KEPT_MAX) {
            self.wanted.push(Kept { name: name.to_owned(), version, bytes: bytes.clone() });
        }
        Ok(bytes)
    }

    /// What is to be kept, when that is not what was kept before.
    pub(super) fn news(self) -> Option<Vec<Kept>> {
        self.has_asked.then_some(self.wanted).filter(|wanted| !wanted.is_empty())
    }
}
