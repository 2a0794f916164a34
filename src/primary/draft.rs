//! A backup in the making: every file synced, the manifest last, one rename makes it a backup.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::{MANIFEST, SHA256SUMS, SIGNATURE, Stored};
use crate::error::{Context, Error, Kind, Result};
use crate::host::{durable, space};
use crate::model::{ArtifactName, BackupId, Manifest};

/// How many bytes are written between two looks at the free space.
const LOOK_EVERY: u64 = 4 << 20;

/// What a draft needs beside its artifacts, in bytes: what may be written unlooked, and 1 MiB for the small files.
pub const HEADROOM: u64 = LOOK_EVERY + (1 << 20);

/// A backup in the making. Dropped without [`finish`](Draft::finish) it vanishes.
#[derive(Debug)]
pub struct Draft {
    dir: PathBuf,
    id: BackupId,
    min_free: u64,
    finished: bool,
}

impl Draft {
    pub(super) fn begin(dir: PathBuf, id: BackupId, min_free: u64) -> Result<Self> {
        fs::DirBuilder::new().mode(0o700).create(&dir).context(|| format!("cannot begin the backup {dir:?}"))?;
        Ok(Self { dir, id, min_free, finished: false })
    }

    /// The folder; also the place for temporary copies, which vanish with it or are removed by their maker.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where an artifact of this draft lies.
    pub fn path(&self, name: &ArtifactName) -> PathBuf {
        self.dir.join(name.as_str())
    }

    /// Starts an artifact.
    pub fn artifact(&self, name: &ArtifactName) -> Result<ArtifactFile> {
        ArtifactFile::create(self.path(name), self.min_free)
    }

    /// Keeps the chunk index of an artifact. It is a cache: not synced on its own.
    pub fn index(&self, path: &Path, bytes: &[u8]) -> Result<()> {
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        file.and_then(|mut file| file.write_all(bytes)).context(|| format!("cannot write {path:?}"))
    }

    /// Takes a file of the draft away, so that it can be made again.
    pub fn discard(&self, path: &Path) -> Result<()> {
        fs::remove_file(path).context(|| format!("cannot remove {path:?}"))
    }

    /// Makes it a backup; `sign` gives the signature over the manifest's bytes.
    pub fn finish(mut self, manifest: &Manifest, sign: impl FnOnce(&[u8]) -> Option<[u8; 64]>) -> Result<Stored> {
        self.remove_strangers(manifest)?;
        let bytes = manifest.to_bytes();
        durable::write(&self.dir.join(SHA256SUMS), super::sums(manifest, Some(&bytes)).as_bytes(), 0o600)?;
        if let Some(signature) = sign(&bytes) {
            durable::write(&self.dir.join(SIGNATURE), &signature, 0o600)?;
        }
        durable::write(&self.dir.join(MANIFEST), &bytes, 0o600)?;
        durable::sync_dir(&self.dir)?;
        let dir = self.dir.with_file_name(self.id.as_str());
        durable::rename(&self.dir, &dir)?;
        self.finished = true;
        Ok(Stored::new(dir, self.id.clone()))
    }

    /// A temporary copy whose maker could not remove it would lie in the backup for good.
    fn remove_strangers(&self, manifest: &Manifest) -> Result<()> {
        let is_known = |name: &OsStr| {
            let mut names = manifest.artifacts.iter().map(|artifact| artifact.name.as_str());
            name.to_str().is_some_and(|name| names.any(|known| name.starts_with(known)))
        };
        for entry in fs::read_dir(&self.dir).context(|| format!("cannot look into {:?}", self.dir))? {
            let entry = entry.context(|| format!("cannot look into {:?}", self.dir))?;
            if !is_known(&entry.file_name()) {
                fs::remove_file(entry.path()).context(|| format!("cannot remove {:?}", entry.path()))?;
            }
        }
        Ok(())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.finished {
            let _ = fs::remove_dir_all(&self.dir);
        }
    }
}

/// An artifact while it is written: hashed and measured on its way, and never at the cost of the last free bytes.
#[derive(Debug)]
pub struct ArtifactFile {
    file: File,
    path: PathBuf,
    sha256: Sha256,
    written: u64,
    look_at: u64,
    min_free: u64,
}

impl ArtifactFile {
    pub(super) fn create(path: PathBuf, min_free: u64) -> Result<Self> {
        let mut options = OpenOptions::new();
        let file = options.write(true).create_new(true).mode(0o600).open(&path);
        let file = file.context(|| format!("cannot create {path:?}"))?;
        Ok(Self { file, path, sha256: Sha256::new(), written: 0, look_at: 0, min_free })
    }

    /// Makes the artifact durable; gives its size in bytes and its SHA-256 in hex.
    pub fn finish(self) -> Result<(u64, String)> {
        self.file.sync_all().context(|| format!("cannot sync {:?}", self.path))?;
        Ok((self.written, format!("{:x}", self.sha256.finalize())))
    }

    fn look_at_space(&self) -> Result<()> {
        let free = space::free(self.path.parent().unwrap_or(Path::new(".")))?;
        if free >= self.min_free.saturating_add(LOOK_EVERY) {
            return Ok(());
        }
        Err(Error::new(
            Kind::NoSpace,
            format!("{:?} has grown to {} bytes and only {free} bytes are free", self.path, self.written),
        )
        .help(format!("primary.min_free keeps {} bytes free; give the primary more room", self.min_free)))
    }
}

impl Write for ArtifactFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.written >= self.look_at {
            self.look_at_space()?;
            self.look_at = self.written + LOOK_EVERY;
        }
        let written = self.file.write(bytes)?;
        self.sha256.update(&bytes[..written]);
        self.written += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
