//! The primary: the local folder in which every backup is made first.
//!
//! ```text
//! <dir>/.lock                          one backup or restore at a time
//! <dir>/20261122T200002Z.part/         a backup in the making; swept when its maker died
//! <dir>/.drill-<pid>/                  a drill under way
//! <dir>/20261122T200002Z/              a finished one
//!     104711_kasse.sql.gz              an artifact
//!     104711_kasse.sql.gz.chunks       its chunk index: a cache, may be lost
//!     SHA256SUMS                       what `sha256sum -c` accepts: the artifacts and the manifest
//!     manifest.json                    written last
//!     manifest.json.sig                the signature over it: 64 bytes of Ed25519
//!     copies.json                      where verified copies of it are; the only file that changes later
//! ```
//!
//! A folder is a backup when its name is an id and its manifest says so; whatever else lies here is left alone.

mod copies;
mod draft;
mod stored;

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

pub use copies::CopyRecord;
pub use draft::{ArtifactFile, Draft, HEADROOM};
pub use stored::Stored;

use crate::error::{Context, Error, Kind, Result};
use crate::host::lock::Lock;
use crate::host::{durable, space};
use crate::model::{BackupId, Manifest, ManifestFile};

/// The file that is written last and makes a folder a backup.
pub const MANIFEST: &str = "manifest.json";
/// The signature over the manifest.
pub const SIGNATURE: &str = "manifest.json.sig";
/// Sums in the form of `sha256sum`.
pub const SHA256SUMS: &str = "SHA256SUMS";
const PART: &str = ".part";

/// What [`SHA256SUMS`] of a backup says; without the manifest's bytes, as versions wrote it that did not seal it.
pub fn sums(manifest: &Manifest, bytes: Option<&[u8]>) -> String {
    let artifacts = manifest.artifacts.iter().map(|artifact| format!("{}  {}\n", artifact.sha256, artifact.name));
    artifacts.chain(bytes.map(|bytes| ManifestFile::seal(bytes, MANIFEST))).collect()
}

/// The folder of all local backups.
#[derive(Debug, Clone)]
pub struct Primary {
    dir: PathBuf,
}

impl Primary {
    /// Uses `dir`, which is made (for its owner alone) when it is not there.
    pub fn open(dir: &Path) -> Result<Self> {
        if !dir.is_dir() {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(dir)
                .context(|| format!("cannot make the folder for backups {dir:?}"))
                .map_err(|error| error.help("set primary.dir to a folder that this user may write to"))?;
            durable::sync_parent(dir)?;
        }
        Ok(Self { dir: dir.to_owned() })
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Keeps every other backup and restore of this box away until it is dropped.
    pub fn lock(&self, doing: &str) -> Result<Lock> {
        Lock::take(&self.dir.join(".lock"), doing)
    }

    /// Removes what runs that died have left; only while the lock is held. Says what it removed.
    pub fn sweep(&self, _held: &Lock) -> Result<Vec<String>> {
        let mut swept = Vec::new();
        for name in self.names()? {
            if name.parse::<BackupId>().is_ok() {
                copies::sweep(&self.dir.join(&name))?;
            }
            let unfinished = name.strip_suffix(PART).is_some_and(|id| id.parse::<BackupId>().is_ok());
            if unfinished {
                fs::remove_dir_all(self.dir.join(&name)).context(|| format!("cannot remove the unfinished {name}"))?;
                swept.push(name);
            }
        }
        Ok(swept)
    }

    /// All finished backups, newest first, also those whose manifest cannot be read.
    pub fn list(&self) -> Result<Vec<Stored>> {
        let mut ids: Vec<BackupId> = self.names()?.iter().filter_map(|name| name.parse().ok()).collect();
        ids.sort_unstable_by(|a, b| b.cmp(a));
        Ok(ids.into_iter().map(|id| Stored::new(self.dir.join(id.as_str()), id)).collect())
    }

    /// The finished backup `id`.
    pub fn find(&self, id: &BackupId) -> Result<Stored> {
        let dir = self.dir.join(id.as_str());
        if dir.is_dir() {
            return Ok(Stored::new(dir, id.clone()));
        }
        Err(Error::new(Kind::Missing, format!("there is no backup {id} in {:?}", self.dir))
            .help("`tillstick list` shows the backups that are there"))
    }

    /// Begins the backup `id`; what the draft holds vanishes unless it is finished.
    pub fn begin(&self, _held: &Lock, id: BackupId, min_free: u64) -> Result<Draft> {
        Draft::begin(self.dir.join(format!("{id}{PART}")), id, min_free)
    }

    /// A new file beside the backups, which takes no more room than is left to take.
    pub fn spool(&self, _held: &Lock, path: &Path, min_free: u64) -> Result<ArtifactFile> {
        ArtifactFile::create(path.to_owned(), min_free)
    }

    /// Removes a finished backup: it stops being one by a rename, so that a death in between leaves none that lacks files.
    pub fn remove(&self, _held: &Lock, id: &BackupId) -> Result<()> {
        let dir = self.dir.join(id.as_str());
        let gone = self.dir.join(format!("{id}{PART}"));
        durable::rename(&dir, &gone)?;
        fs::remove_dir_all(&gone).context(|| format!("cannot remove the backup {id}"))
    }

    /// Bytes that may still be written here.
    pub fn free(&self) -> Result<u64> {
        space::free(&self.dir)
    }

    fn names(&self) -> Result<Vec<String>> {
        let list = || -> std::io::Result<Vec<String>> {
            let mut names = Vec::new();
            for entry in fs::read_dir(&self.dir)? {
                let entry = entry?;
                if entry.file_type()?.is_dir()
                    && let Ok(name) = entry.file_name().into_string()
                {
                    names.push(name);
                }
            }
            Ok(names)
        };
        list().context(|| format!("cannot read the folder of backups {:?}", self.dir))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> BackupId {
        text.parse().unwrap()
    }

    #[test]
    fn a_run_that_died_leaves_nothing_that_looks_finished_and_is_swept() {
        let dir = tempfile::tempdir().unwrap();
        let primary = Primary::open(&dir.path().join("backups")).unwrap();
        let lock = primary.lock("test").unwrap();
        let draft = primary.begin(&lock, id("20261122T200002Z"), 0).unwrap();
        std::mem::forget(draft);
        fs::create_dir(primary.dir().join("somebody.part")).unwrap();
        assert!(primary.list().unwrap().is_empty());
        assert_eq!(primary.sweep(&lock).unwrap(), ["20261122T200002Z.part"]);
        assert!(primary.dir().join("somebody.part").is_dir(), "a foreign folder stays");
    }

    #[test]
    fn a_draft_that_is_dropped_vanishes() {
        let dir = tempfile::tempdir().unwrap();
        let primary = Primary::open(dir.path()).unwrap();
        let lock = primary.lock("test").unwrap();
        drop(primary.begin(&lock, id("20261122T200002Z"), 0).unwrap());
        assert!(!dir.path().join("20261122T200002Z.part").exists());
    }
}
