//! A finished backup in the primary.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::copies::{self, CopyRecord};
use super::{MANIFEST, SHA256SUMS, SIGNATURE};
use crate::error::{Context, Error, Kind, Result};
use crate::host::durable;
use crate::model::{ArtifactName, BackupId, MANIFEST_MAX, Manifest, ManifestFile, SIGNATURE_MAX};

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

    /// The manifest, compared with its SHA-256 in [`SHA256SUMS`].
    pub fn manifest_file(&self) -> Result<ManifestFile> {
        let bytes = durable::read(&self.dir.join(MANIFEST), MANIFEST_MAX)?;
        let sums = match self.sums() {
            // Without the list the backup is still there, only less well guarded.
            Err(error) if error.kind() == Kind::Missing => Vec::new(),
            sums => sums?,
        };
        let signature = match durable::read(&self.dir.join(SIGNATURE), SIGNATURE_MAX) {
            Err(error) if error.kind() == Kind::Missing => None,
            signature => Some(signature?),
        };
        let file = ManifestFile::read(bytes, &sums, MANIFEST, signature);
        let is_newer = file.as_ref().is_err_and(|error| error.kind() == Kind::Refused);
        let what = if is_newer { "is in a form that this tillstick does not know" } else { "is damaged" };
        let file = file.context(|| format!("the backup {} {what}", self.id))?;
        if file.manifest.id != self.id {
            let of = &file.manifest.id;
            return Err(Error::new(Kind::Damaged, format!("{:?} holds the manifest of {of}", self.dir)));
        }
        Ok(file)
    }

    /// What the backup consists of.
    pub fn manifest(&self) -> Result<Manifest> {
        Ok(self.manifest_file()?.manifest)
    }

    /// Whether every file that `manifest` names is there with its size; its content is what `check` looks at.
    pub fn is_whole(&self, manifest: &Manifest) -> bool {
        let is_there = |name: &ArtifactName, size: u64| {
            self.path(name).metadata().is_ok_and(|metadata| metadata.is_file() && metadata.len() == size)
        };
        manifest.artifacts.iter().all(|artifact| is_there(&artifact.name, artifact.size))
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

    /// Fails unless [`SHA256SUMS`], which is what an auditor uses, says what the manifest says.
    pub fn sums_agree(&self, file: &ManifestFile) -> Result<()> {
        let expected = super::sums(&file.manifest, file.sealed.then_some(&file.bytes));
        if self.sums()? == expected.as_bytes() {
            return Ok(());
        }
        Err(Error::new(Kind::Damaged, format!("{SHA256SUMS} of {} does not say what its manifest says", self.id)))
    }

    fn sums(&self) -> Result<Vec<u8>> {
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
