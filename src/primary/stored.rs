//! A finished backup in the primary.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::copies::{self, CopyRecord};
use super::{MANIFEST, SHA256SUMS};
use crate::error::{Context, Error, Kind, Result};
use crate::host::durable;
use crate::model::{ArtifactName, BackupId, MANIFEST_MAX, Manifest};

/// A finished backup. Its manifest is read when it is asked for, so that one damaged backup does not hide the others.
#[derive(Debug, Clone)]
pub struct Stored {
    dir: PathBuf,
    id: BackupId,
}

impl Stored {
    pub(super) fn new(dir: PathBuf, id: BackupId) -> Self {
        Self { dir, id }
    }

    /// The backup's id.
    pub fn id(&self) -> &BackupId {
        &self.id
    }

    /// The folder that holds it.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What the backup consists of.
    pub fn manifest(&self) -> Result<Manifest> {
        Ok(self.manifest_with_bytes()?.0)
    }

    /// What the backup consists of, and the very bytes that said so.
    pub fn manifest_with_bytes(&self) -> Result<(Manifest, Vec<u8>)> {
        let bytes = durable::read(&self.dir.join(MANIFEST), MANIFEST_MAX)?;
        let manifest = Manifest::parse(&bytes).context(|| format!("the backup {} is damaged", self.id))?;
        if manifest.id != self.id {
            return Err(Error::new(Kind::Damaged, format!("{:?} holds the manifest of {}", self.dir, manifest.id)));
        }
        Ok((manifest, bytes))
    }

    /// Where an artifact lies.
    pub fn path(&self, name: &ArtifactName) -> PathBuf {
        self.dir.join(name.as_str())
    }

    /// An artifact, for reading.
    pub fn open(&self, name: &ArtifactName) -> Result<File> {
        let path = self.path(name);
        File::open(&path).context(|| format!("cannot open {path:?}"))
    }

    /// `SHA256SUMS` as it is on disk.
    pub fn sums(&self) -> Result<Vec<u8>> {
        durable::read(&self.dir.join(SHA256SUMS), MANIFEST_MAX)
    }

    /// Where verified copies of this backup are, as far as is known.
    pub fn copies(&self) -> Vec<CopyRecord> {
        copies::read(&self.dir)
    }

    /// Remembers that a verified copy is elsewhere.
    pub fn add_copy(&self, copy: CopyRecord) -> Result<()> {
        copies::add(&self.dir, copy)
    }

    /// Remembers that a copy is no longer there.
    pub fn forget_copy(&self, store: &str, medium: &str) -> Result<()> {
        copies::forget(&self.dir, store, medium)
    }
}
