//! A folder: a second disk, an external one, a NAS that the system mounts.
//!
//! The folder is set up once, which leaves a small file in it. Where that file is missing the disk is not mounted, or it is
//! another one: then nothing is written, for a backup in the empty mount point would fill the box's own disk.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::upload::{Files, Uploads, Written};
use super::{Entry, Store};
use crate::config::DirectoryConfig;
use crate::error::{Context, Error, Kind, Result};
use crate::host::{block, durable, entropy, space};

/// The file that makes a folder a store.
const MARKER: &str = "tillstick-store.json";
const MARKER_MAX: u64 = 4096;

#[derive(Debug, Serialize, Deserialize)]
struct Marker {
    /// Tells this disk from another that may be mounted in its place.
    id: String,
}

/// What setting a folder up came to.
#[derive(Debug, Serialize)]
pub struct Initialised {
    /// The folder.
    pub path: PathBuf,
    /// Its id from now on.
    pub id: String,
    /// Whether it was one before.
    pub was_one: bool,
}

#[derive(Clone)]
struct Directory {
    root: PathBuf,
    medium: String,
}

/// Opens the folder, which must have been set up.
pub(super) fn open(config: &DirectoryConfig, pace: Option<u64>) -> Result<Box<dyn Store>> {
    let root = config.path.clone();
    let marker = marker(&root)?;
    Ok(Box::new(Uploads { files: Directory { root, medium: marker.id }, pace }))
}

fn marker(root: &Path) -> Result<Marker> {
    let path = root.join(MARKER);
    let bytes = durable::read(&path, MARKER_MAX).map_err(|error| match error.kind() {
        Kind::Missing => Error::new(Kind::Missing, format!("{root:?} is not a store: it has no {MARKER}"))
            .because(error)
            .help("mount the disk; when it is mounted and new, set it up once with `tillstick store init NAME`"),
        _ => error,
    })?;
    serde_json::from_slice(&bytes).map_err(|cause| {
        Error::new(Kind::Damaged, format!("{path:?} does not hold the id of a store"))
            .because(cause)
            .help("remove it and run `tillstick store init NAME` again")
    })
}

/// Makes the folder a store. Where `beside` (the local backups) lies on the same file system the disk is most likely not
/// mounted, and a copy there dies with the original: that is refused unless it is meant.
pub fn init(config: &DirectoryConfig, beside: &Path, same_disk: bool) -> Result<Initialised> {
    let root = &config.path;
    match marker(root) {
        Ok(marker) => return Ok(Initialised { path: root.clone(), id: marker.id, was_one: true }),
        Err(error) if error.kind() == Kind::Missing => {}
        Err(error) => return Err(error),
    }
    let at = existing(root);
    let device = |path: &Path| fs::metadata(path).map(|data| data.dev()).context(|| format!("cannot look at {path:?}"));
    if !same_disk && device(at)? == device(beside)? {
        let why = format!("{root:?} lies on the same file system as the backups of this box in {beside:?}");
        return Err(Error::new(Kind::Refused, why)
            .help("mount the disk or the NAS first; if a folder of the same disk is meant, say --same-disk"));
    }
    fs::DirBuilder::new().recursive(true).mode(0o700).create(root).context(|| format!("cannot make {root:?}"))?;
    let id: String = entropy::bytes::<8>()?.iter().map(|byte| format!("{byte:02x}")).collect();
    let marker = Marker { id };
    let mut bytes = serde_json::to_vec_pretty(&marker).expect("plain data");
    bytes.push(b'\n');
    durable::write(&root.join(MARKER), &bytes, 0o644)?;
    durable::sync_parent(root)?;
    Ok(Initialised { path: root.clone(), id: marker.id, was_one: false })
}

/// The nearest folder above that is there.
fn existing(path: &Path) -> &Path {
    path.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"))
}

impl Directory {
    fn at(&self, path: &str) -> PathBuf {
        if path.is_empty() { self.root.clone() } else { self.root.join(path) }
    }

    /// The disk may have been unmounted since it was opened, and another one may be in its place.
    fn is_still_there(&self) -> Result<()> {
        match marker(&self.root)?.id == self.medium {
            true => Ok(()),
            false => Err(Error::new(Kind::Missing, format!("another disk than before is mounted at {:?}", self.root))),
        }
    }

    fn make_dirs(&self, dir: &Path) -> Result<()> {
        if dir.is_dir() {
            return Ok(());
        }
        if let Some(parent) = dir.parent() {
            self.make_dirs(parent)?;
        }
        match fs::DirBuilder::new().mode(0o700).create(dir) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            made => made.context(|| format!("cannot make the folder {dir:?}")),
        }?;
        durable::sync_parent(dir)
    }
}

impl Files for Directory {
    fn medium(&self) -> &str {
        &self.medium
    }

    fn label(&self) -> String {
        self.root.display().to_string()
    }

    fn size(&mut self, path: &str) -> Result<Option<u64>> {
        let path = self.at(path);
        match fs::symlink_metadata(&path) {
            Ok(data) => Ok(data.is_file().then_some(data.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).context(|| format!("cannot look at {path:?}")),
        }
    }

    fn write(&mut self, path: &str, from: u64, content: &mut dyn Read) -> Result<Written> {
        self.is_still_there()?;
        let path = self.at(path);
        self.make_dirs(path.parent().unwrap_or(&self.root))?;
        let mut write = || -> io::Result<()> {
            let mut options = OpenOptions::new();
            options.write(true).create(true).truncate(false).mode(0o600).custom_flags(libc::O_NOFOLLOW);
            let mut file = options.open(&path)?;
            file.set_len(from)?;
            file.seek(SeekFrom::Start(from))?;
            io::copy(content, &mut file)?;
            file.sync_all()
        };
        write().map(|()| Written::All).context(|| format!("cannot write {path:?}"))
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<()> {
        durable::rename(&self.at(from), &self.at(to))
    }

    fn open(&mut self, path: &str, from: u64) -> Result<Box<dyn Read + Send>> {
        let path = self.at(path);
        let open = || File::open(&path).and_then(|mut file| file.seek(SeekFrom::Start(from)).map(|_| file));
        let file = open().context(|| format!("cannot open {path:?}"))?;
        block::drop_cache(&file)?;
        Ok(Box::new(file))
    }

    fn list_all(&mut self, dir: &str) -> Result<Vec<Entry>> {
        // What is no longer mounted is not empty.
        self.is_still_there()?;
        let path = self.at(dir);
        let list = || -> io::Result<Vec<Entry>> {
            let mut all = Vec::new();
            for entry in fs::read_dir(&path)? {
                let entry = entry?;
                let data = entry.metadata()?;
                // Names that are no UTF-8 are not ours.
                if let Ok(name) = entry.file_name().into_string() {
                    let is_dir = data.is_dir();
                    let version = Some(format!("{}.{:09}", data.mtime(), data.mtime_nsec()));
                    all.push(Entry { name, size: if is_dir { 0 } else { data.len() }, is_dir, version });
                }
            }
            Ok(all)
        };
        match list() {
            Err(error) if error.kind() == io::ErrorKind::NotFound && path != self.root => Ok(Vec::new()),
            listed => listed.context(|| format!("cannot look into {path:?}")),
        }
    }

    fn delete(&mut self, path: &str) -> Result<()> {
        let path = self.at(path);
        match fs::remove_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed.context(|| format!("cannot remove {path:?}")),
        }
    }

    fn delete_empty(&mut self, dir: &str) -> Result<()> {
        let path = self.at(dir);
        match fs::remove_dir(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed.context(|| format!("cannot remove {path:?}")),
        }
    }

    fn free(&mut self) -> Result<Option<u64>> {
        space::free(&self.root).map(Some)
    }
}
