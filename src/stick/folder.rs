//! The stick's file system as a folder: a mounted stick, or any folder that shall look like one.
//!
//! On a mounted FAT, hiding sets the attributes; elsewhere it does nothing and renaming is atomic. Nothing is followed
//! out of the folder: a symbolic link on the way is refused.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Advice, FallocateFlags, fadvise, fallocate, statfs, syncfs};
use rustix::io::Errno;

use super::fs::{ENTRIES_MAX, Entry, StickFs};
use crate::error::{Context, Error, Kind, Result};
use crate::host::{durable, fat_attr, space};

/// What a mounted FAT says that it is.
const MSDOS_SUPER_MAGIC: i64 = 0x4d44;

/// Hidden and system.
const HIDDEN: u32 = 0x02 | 0x04;

/// Opens a folder that shall hold what a stick holds.
pub fn open_folder(path: &Path) -> Result<Box<dyn StickFs>> {
    let failed = || format!("cannot use the folder {path:?}");
    let root = path.canonicalize().context(failed)?;
    let meta = fs::metadata(&root).context(failed)?;
    if !meta.is_dir() {
        return Err(Error::new(Kind::Usage, format!("{path:?} is not a folder")));
    }
    let stat = statfs(&root).map_err(io::Error::from).context(failed)?;
    let unit = meta.blksize().max(1);
    #[allow(clippy::unnecessary_cast, reason = "of 32 bits on some boxes")]
    let is_fat = stat.f_type as i64 == MSDOS_SUPER_MAGIC;
    Ok(Box::new(Folder { root, unit, is_fat }))
}

/// Brings to the medium what the kernel holds of the file system on which the folder lies.
pub fn bring_out(path: &Path) -> Result<()> {
    let sync = || syncfs(File::open(path)?).map_err(io::Error::from);
    sync().context(|| format!("cannot bring everything to {path:?}"))
}

struct Folder {
    root: PathBuf,
    unit: u64,
    is_fat: bool,
}

impl Folder {
    /// The path on this machine; every folder on the way must be one itself.
    fn at(&self, path: &str) -> io::Result<PathBuf> {
        let mut at = self.root.clone();
        for name in path.split('/').filter(|name| !name.is_empty()) {
            if matches!(name, "." | "..") {
                return Err(io::ErrorKind::InvalidInput.into());
            }
            at.push(name);
            let link = |meta: fs::Metadata| meta.file_type().is_symlink();
            if fs::symlink_metadata(&at).is_ok_and(link) {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{name:?} is a symbolic link")));
            }
        }
        Ok(at)
    }

    fn open(&self, path: &str) -> io::Result<File> {
        OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW).open(self.at(path)?)
    }

    fn must_be_new(&self, path: &str) -> io::Result<()> {
        match fs::symlink_metadata(self.at(path)?) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
            Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
        }
    }

    fn set_hidden(&self, path: &str, hidden: bool) -> io::Result<()> {
        if !self.is_fat {
            return Ok(());
        }
        let file = self.open(path)?;
        if let Some(old) = fat_attr::get(&file)? {
            let new = if hidden { old | HIDDEN } else { old & !HIDDEN };
            if new != old {
                fat_attr::set(&file, new)?;
                file.sync_all()?;
            }
        }
        Ok(())
    }

    fn is_hidden(&self, path: &Path) -> io::Result<bool> {
        if !self.is_fat {
            return Ok(false);
        }
        let file = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW).open(path)?;
        Ok(fat_attr::get(&file)?.is_some_and(|attributes| attributes & HIDDEN != 0))
    }

    fn entries(&self, dir: &str) -> io::Result<Vec<Entry>> {
        let listing = match fs::read_dir(self.at(dir)?) {
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(Vec::new());
            }
            listing => listing?,
        };
        let mut entries = Vec::new();
        for found in listing {
            let found = found?;
            // A name that is no text is none of ours.
            let Ok(name) = found.file_name().into_string() else { continue };
            let kind = found.file_type()?;
            let hidden = kind.is_file() && self.is_hidden(&found.path())?;
            let size = if kind.is_file() { found.metadata()?.len() } else { 0 };
            entries.push(Entry { name, size, is_dir: kind.is_dir(), hidden, start_cluster: None });
            if entries.len() > ENTRIES_MAX {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "there are too many files in one folder"));
            }
        }
        Ok(entries)
    }

    fn create(&self, path: &str, size: u64) -> io::Result<File> {
        self.must_be_new(path)?;
        let at = self.at(path)?;
        let file = OpenOptions::new().write(true).create_new(true).mode(0o644).open(&at)?;
        let filled = || -> io::Result<()> {
            self.set_hidden(path, true)?;
            // Linux writes a long name and its file's entry in any order: all of it must be there before there are
            // clusters, or a pull leaves them to a file that nobody knows as ours.
            sync_parent(&at)?;
            allocate(&file, size)?;
            if self.is_fat {
                // And the table before the entry that leads to it, which a sync of the file writes the other way round:
                // a chain that ends in free clusters would soon share them with the next file.
                syncfs(&file)?;
            }
            Ok(())
        };
        if let Err(error) = filled() {
            let _ = fs::remove_file(&at);
            return Err(error);
        }
        file.sync_all()?;
        sync_parent(&at)?;
        Ok(file)
    }

    fn remove_at(&self, path: &str) -> io::Result<()> {
        let at = self.at(path)?;
        if fs::symlink_metadata(&at)?.is_dir() {
            fs::remove_dir(&at)?;
        } else {
            fs::remove_file(&at)?;
        }
        sync_parent(&at)
    }
}

/// Takes the room beforehand, so that a full stick shows before the copy; the size grows with the content.
fn allocate(file: &File, size: u64) -> io::Result<()> {
    if size == 0 {
        return Ok(());
    }
    match fallocate(file, FallocateFlags::KEEP_SIZE, 0, size) {
        Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn sync_parent(path: &Path) -> io::Result<()> {
    durable::sync_parent(path).map_err(Into::into)
}

impl StickFs for Folder {
    fn list(&mut self, dir: &str) -> Result<Vec<Entry>> {
        self.entries(dir).context(|| format!("cannot list {dir:?} in {:?}", self.root))
    }

    fn read(&mut self, path: &str) -> Result<Box<dyn Read + Send>> {
        let file = self.open(path).context(|| format!("cannot read {path:?} in {:?}", self.root))?;
        Ok(Box::new(file))
    }

    fn reread(&mut self, path: &str) -> Result<Box<dyn Read + Send>> {
        let uncached = || -> io::Result<File> {
            let file = self.open(path)?;
            // Only clean pages can be dropped.
            file.sync_all()?;
            fadvise(&file, 0, None, Advice::DontNeed)?;
            Ok(file)
        };
        Ok(Box::new(uncached().context(|| format!("cannot reread {path:?} in {:?}", self.root))?))
    }

    fn create_hidden(&mut self, path: &str, size: u64) -> Result<Box<dyn Write + Send>> {
        let file = self.create(path, size).context(|| format!("cannot make {path:?} in {:?}", self.root))?;
        Ok(Box::new(Synced(file)))
    }

    fn hide(&mut self, path: &str) -> Result<()> {
        self.set_hidden(path, true).context(|| format!("cannot hide {path:?} in {:?}", self.root))
    }

    fn unhide(&mut self, path: &str) -> Result<()> {
        self.set_hidden(path, false).context(|| format!("cannot show {path:?} in {:?}", self.root))
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<()> {
        let failed = || format!("cannot rename {from:?} to {to:?} in {:?}", self.root);
        self.must_be_new(to).context(failed)?;
        let (from_at, to_at) = (self.at(from).context(failed)?, self.at(to).context(failed)?);
        fs::rename(&from_at, &to_at).context(failed)?;
        // Linux gives a renamed file on FAT an entry that is empty and in sight, and fills it in when the file is
        // written: that must come before the folder goes out, which would show the name with nothing behind it.
        self.open(to).and_then(|file| file.sync_all()).context(failed)?;
        durable::sync_parent(&to_at)?;
        if from_at.parent() == to_at.parent() { Ok(()) } else { durable::sync_parent(&from_at) }
    }

    fn remove(&mut self, path: &str) -> Result<()> {
        self.remove_at(path).context(|| format!("cannot remove {path:?} from {:?}", self.root))
    }

    fn forget(&mut self, path: &str) -> Result<()> {
        self.remove(path)
    }

    fn make_dir(&mut self, path: &str) -> Result<()> {
        let make = || -> io::Result<()> {
            let at = self.at(path)?;
            match fs::create_dir(&at) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && at.is_dir() => Ok(()),
                made => made.and_then(|()| sync_parent(&at)),
            }
        };
        make().context(|| format!("cannot make the folder {path:?} in {:?}", self.root))
    }

    fn free(&mut self) -> Result<u64> {
        space::free(&self.root)
    }

    fn unit(&self) -> u64 {
        self.unit
    }

    fn max_file(&self) -> u64 {
        if self.is_fat { u64::from(u32::MAX) } else { i64::MAX.unsigned_abs() }
    }

    fn sync(&mut self) -> Result<()> {
        bring_out(&self.root)?;
        durable::sync_dir(&self.root)
    }
}

/// A file whose `flush` reaches the medium.
struct Synced(File);

impl Write for Synced {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    /// Run for a machine of 32 bits by tests/packages/crate.sh.
    #[test]
    fn room_for_a_file_beyond_two_gib_is_taken_beforehand() {
        const SIZE: u64 = (2 << 30) + 1;
        let file = tempfile::tempfile().unwrap();
        allocate(&file, SIZE).unwrap();
        let meta = file.metadata().unwrap();
        assert!(meta.len() == 0 && meta.blocks() * 512 >= SIZE, "{meta:?}");
    }
}
