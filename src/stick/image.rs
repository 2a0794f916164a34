//! The stick's file system on an image file or an unmounted device, through `fatfs`.
//!
//! `fatfs` makes entries, names, folders and chains of clusters, all of it in the [`Overlay`]; attributes, which it
//! cannot set, the order of a rename, and the content of files are done here.

use std::io::{self, Read, Write};

use fatfs::{FileSystem, FsOptions};

use super::Volume;
use super::alias;
use super::chain::{ChainReader, ChainWriter};
use super::fs::{Entry, StickFs};
use super::geometry::Geometry;
use super::layout;
use super::lost;
use super::medium::{FileMedium, Medium};
use super::note;
use super::overlay::{Order, Overlay};
use super::shared::{Handle, SharedOverlay};
use super::stamp::Stamp;
use super::torn;
use super::walker::{self, ATTR_AT, Found, HIDDEN};
use crate::error::{Context, Error, Kind, Result};

/// The mark of a slot that is free again.
const DELETED: u8 = 0xe5;
/// How many slots `fatfs` fills at the beginning of a new folder.
const DOT_SLOTS: usize = 4;

/// Opens the file system on an image or an unmounted device.
pub fn open_volume(volume: &Volume, writable: bool) -> Result<Box<dyn StickFs>> {
    let medium = FileMedium::open(volume, writable)?;
    open_medium(Box::new(medium), volume.size, writable)
        .context(|| format!("cannot use the stick in {:?}", volume.path))
}

/// Opens the file system on any medium of `size` bytes.
pub fn open_medium(mut medium: Box<dyn Medium>, size: u64, writable: bool) -> Result<Box<dyn StickFs>> {
    let mut boot = [0; 512];
    medium.read_at(0, &mut boot).context(|| "cannot read the boot sector".to_owned())?;
    let geometry = Geometry::parse(&boot, size)?;
    let unit = geometry.cluster;
    let overlay = SharedOverlay::new(Overlay::new(medium, geometry)?);
    let handle = Handle { overlay: overlay.clone(), pos: 0 };
    let fat = FileSystem::new(handle, FsOptions::new().time_provider(&Stamp))
        .context(|| "cannot use the file system".to_owned())?;
    Ok(Box::new(Image { fat, overlay, unit, writable }))
}

struct Image {
    fat: FileSystem<Handle>,
    overlay: SharedOverlay,
    /// Bytes in a cluster.
    unit: u64,
    writable: bool,
}

impl Image {
    /// The entries of a folder, or `None` when there is no such folder. One without a cluster is empty: `fsck.fat` leaves
    /// that of a folder whose making was cut short.
    fn folder(&self, dir: &str) -> io::Result<Option<Vec<Found>>> {
        let mut overlay = self.overlay.lock();
        let root = overlay.geometry.root;
        let mut found = walker::folder(&mut overlay, root)?;
        for name in dir.split('/').filter(|name| !name.is_empty()) {
            let Some(entry) = found.iter().find(|entry| entry.is_called(name) && entry.is_dir()) else {
                return Ok(None);
            };
            if entry.start == 0 {
                found = Vec::new();
                continue;
            }
            if !overlay.geometry.has(entry.start) {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "a folder begins outside of the volume"));
            }
            found = walker::folder(&mut overlay, entry.start)?;
        }
        Ok(Some(found))
    }

    fn find(&self, path: &str) -> io::Result<Option<Found>> {
        let (dir, name) = layout::split(path);
        Ok(self.folder(dir)?.and_then(|found| found.into_iter().find(|entry| entry.is_called(name))))
    }

    fn get(&self, path: &str) -> io::Result<Found> {
        self.find(path)?.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn must_be_new(&self, path: &str) -> io::Result<()> {
        match self.find(path)? {
            None => Ok(()),
            Some(_) => Err(io::ErrorKind::AlreadyExists.into()),
        }
    }

    /// The sectors of an entry, the one that counts last.
    fn sectors(&self, found: &Found) -> Vec<u64> {
        let overlay = self.overlay.lock();
        found.sectors(&overlay.geometry)
    }

    /// Runs a change; what it left waiting is dropped when it fails, so that nothing half-done goes out later.
    fn change<T>(&self, what: impl FnOnce() -> String, change: impl FnOnce() -> io::Result<T>) -> Result<T> {
        if !self.writable {
            return Err(Error::new(Kind::Refused, format!("{}: the stick was opened for reading only", what())));
        }
        let result = change();
        if result.is_err() {
            self.overlay.lock().abandon();
        }
        result.context(what)
    }

    /// Sets or clears the attributes that keep a file out of sight: one byte of one sector.
    fn set_hidden(&self, path: &str, hidden: bool) -> io::Result<()> {
        let found = self.get(path)?;
        let attributes = if hidden { found.attributes | HIDDEN } else { found.attributes & !HIDDEN };
        if attributes == found.attributes {
            return Ok(());
        }
        let mut overlay = self.overlay.lock();
        overlay.patch(found.slot() + ATTR_AT, &[attributes])?;
        let sector = overlay.geometry.sector_of(found.slot());
        overlay.commit(Order::Adding(&[sector]))
    }

    fn mend(&self) -> io::Result<Vec<String>> {
        torn::mend(&mut self.overlay.lock())
    }

    /// Makes a hidden entry with a chain for `size` bytes.
    fn allocate(&self, path: &str, size: u64) -> io::Result<Found> {
        self.mend()?;
        self.must_be_new(path)?;
        let free = self.overlay.lock().free_clusters()? * self.unit;
        if size > free {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let root = self.fat.root_dir();
        let mut file = root.create_file(path)?;
        self.overlay.lock().allocating = true;
        let (zeros, mut left) = (vec![0; self.unit as usize], size);
        while left > 0 {
            left -= file.write(&zeros[..left.min(self.unit) as usize])? as u64;
        }
        self.overlay.lock().allocating = false;
        file.flush()?;
        drop(file);
        let found = self.get(path)?;
        self.overlay.lock().patch(found.slot() + ATTR_AT, &[found.attributes | HIDDEN])?;
        let sectors = self.sectors(&found);
        self.overlay.lock().commit(Order::Adding(&sectors))?;
        Ok(found)
    }

    /// `fatfs` would delete the old entry first; here the new one is on the medium before the old one goes.
    fn move_entry(&self, from: &str, to: &str) -> io::Result<()> {
        let old = self.get(from)?;
        self.must_be_new(to)?;
        self.fat.root_dir().create_file(to)?;
        let new = self.get(to)?;
        let (old_sectors, new_sectors) = (self.sectors(&old), self.sectors(&new));
        let mut overlay = self.overlay.lock();
        let mut slot = [0; walker::SLOT];
        overlay.read(old.slot(), &mut slot)?;
        overlay.patch(new.slot() + ATTR_AT, &slot[11..12])?;
        // Byte 12 is about the short name's case and stays; times, start and size go along.
        overlay.patch(new.slot() + 13, &slot[13..])?;
        if old_sectors != new_sectors || old_sectors.len() > 1 {
            overlay.commit(Order::Adding(&new_sectors))?;
        }
        delete_slots(&mut overlay, &old)?;
        let counts_first: Vec<u64> = old_sectors.into_iter().rev().collect();
        overlay.commit(Order::Removing(&counts_first))
    }

    fn remove_entry(&self, path: &str, free: bool) -> io::Result<()> {
        let found = self.get(path)?;
        if found.is_dir() && !self.folder(path)?.unwrap_or_default().is_empty() {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        let counts_first: Vec<u64> = self.sectors(&found).into_iter().rev().collect();
        let mut overlay = self.overlay.lock();
        delete_slots(&mut overlay, &found)?;
        // The clusters of a damaged chain may be somebody else's: better lost than freed.
        if free && is_sound(&mut overlay, &found)? {
            overlay.free_chain(found.start)?;
        }
        overlay.commit(Order::Removing(&counts_first))
    }

    fn start_note(&self, path: &str) -> io::Result<()> {
        if self.overlay.lock().is_noting() {
            return Ok(());
        }
        // One that does not hold what a note holds may be anything by now.
        if self.find(path)?.is_some() {
            self.remove_entry(path, true)?;
        }
        let found = self.allocate(path, note::len(self.unit) as u64)?;
        self.overlay.lock().begin_note(found.start)
    }

    /// Frees what the noted step lost, and goes on with the note. Gives the bytes.
    fn free_lost(&self, path: &str) -> io::Result<u64> {
        let len = note::len(self.unit);
        let is_note = |found: &Found| !found.is_dir() && found.size as usize == len;
        let Some(found) = self.find(path)?.filter(is_note) else { return Ok(0) };
        let mut overlay = self.overlay.lock();
        if !overlay.geometry.has(found.start) {
            return Ok(0);
        }
        let (at, mut bytes) = (overlay.geometry.at(found.start), vec![0; len]);
        overlay.medium.read_at(at, &mut bytes)?;
        let Some(noted) = note::parse(&bytes) else { return Ok(0) };
        let lost = if noted.is_empty() { 0 } else { lost::give_back(&mut overlay, &noted)? };
        overlay.go_on_noting(found.start, noted.is_empty());
        Ok(lost * self.unit)
    }

    fn open(&self, path: &str) -> io::Result<Box<dyn Read + Send>> {
        let found = self.get(path)?;
        Ok(Box::new(ChainReader::new(&self.overlay, found.start, u64::from(found.size))))
    }
}

pub(super) fn delete_slots(overlay: &mut Overlay, found: &Found) -> io::Result<()> {
    found.slots.iter().try_for_each(|slot| overlay.patch(*slot, &[DELETED]))
}

/// Begins a new folder as FAT wants it: `fatfs` gives `.` and `..` long names, which `fsck.fat` and Windows mend by
/// renaming them.
fn write_dots(overlay: &mut Overlay, folder: &Found, parent: u32) -> io::Result<()> {
    let mut slot = [0; walker::SLOT];
    overlay.read(folder.slot(), &mut slot)?;
    let mut slots = [0; DOT_SLOTS * walker::SLOT];
    let names = [(b".          ", folder.start), (b"..         ", parent)];
    for (dot, (name, start)) in slots.chunks_exact_mut(walker::SLOT).zip(names) {
        dot.copy_from_slice(&slot);
        dot[..11].copy_from_slice(name);
        let start = start.to_le_bytes();
        dot[20..22].copy_from_slice(&start[2..]);
        dot[26..28].copy_from_slice(&start[..2]);
    }
    overlay.patch(overlay.geometry.at(folder.start), &slots)
}

/// Whether a chain is as long as its entry says and ends well.
fn is_sound(overlay: &mut Overlay, found: &Found) -> io::Result<bool> {
    if !overlay.geometry.has(found.start) {
        return Ok(false);
    }
    let limit = match found.is_dir() {
        true => u64::from(overlay.geometry.clusters),
        false => u64::from(found.size).div_ceil(overlay.geometry.cluster),
    };
    let (mut cluster, mut count) = (found.start, 1);
    loop {
        match overlay.next(cluster) {
            Ok(None) => return Ok(found.is_dir() || count == limit),
            Ok(Some(next)) if count < limit => (cluster, count) = (next, count + 1),
            Ok(Some(_)) => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => return Ok(false),
            Err(error) => return Err(error),
        }
    }
}

impl StickFs for Image {
    fn list(&mut self, dir: &str) -> Result<Vec<Entry>> {
        let found = self.folder(dir).context(|| format!("cannot list {dir:?} on the stick"))?;
        let entry = |found: Found| Entry {
            size: u64::from(found.size),
            is_dir: found.is_dir(),
            hidden: found.is_hidden(),
            start_cluster: (found.start != 0).then_some(found.start),
            name: found.name,
        };
        Ok(found.unwrap_or_default().into_iter().map(entry).collect())
    }

    fn read(&mut self, path: &str) -> Result<Box<dyn Read + Send>> {
        self.open(path).context(|| format!("cannot read {path:?} on the stick"))
    }

    fn reread(&mut self, path: &str) -> Result<Box<dyn Read + Send>> {
        self.overlay.lock().forget().context(|| format!("cannot reread {path:?} from the stick"))?;
        self.read(path)
    }

    fn create_hidden(&mut self, path: &str, size: u64) -> Result<Box<dyn Write + Send>> {
        let found = self.change(|| format!("cannot make {path:?} on the stick"), || self.allocate(path, size))?;
        Ok(Box::new(ChainWriter::new(&self.overlay, found.start, size)))
    }

    fn hide(&mut self, path: &str) -> Result<()> {
        self.change(|| format!("cannot hide {path:?} on the stick"), || self.set_hidden(path, true))
    }

    fn unhide(&mut self, path: &str) -> Result<()> {
        self.change(|| format!("cannot show {path:?} on the stick"), || self.set_hidden(path, false))
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<()> {
        self.change(|| format!("cannot rename {from:?} to {to:?} on the stick"), || self.move_entry(from, to))
    }

    fn remove(&mut self, path: &str) -> Result<()> {
        self.change(|| format!("cannot remove {path:?} from the stick"), || self.remove_entry(path, true))
    }

    fn forget(&mut self, path: &str) -> Result<()> {
        self.change(|| format!("cannot take the name {path:?} off the stick"), || self.remove_entry(path, false))
    }

    fn make_dir(&mut self, path: &str) -> Result<()> {
        self.change(
            || format!("cannot make the folder {path:?} on the stick"),
            || {
                self.mend()?;
                match self.find(path)? {
                    Some(found) if found.is_dir() => return Ok(()),
                    Some(_) => return Err(io::ErrorKind::AlreadyExists.into()),
                    None => {}
                }
                self.fat.root_dir().create_dir(path)?;
                let found = self.get(path)?;
                let parent = match layout::split(path).0 {
                    // The way up from a folder in the root is written as cluster 0.
                    "" => 0,
                    dir => self.get(dir)?.start,
                };
                write_dots(&mut self.overlay.lock(), &found, parent)?;
                let sectors = self.sectors(&found);
                self.overlay.lock().commit(Order::Adding(&sectors))
            },
        )
    }

    fn mend_folders(&mut self) -> Result<Vec<String>> {
        self.change(|| "cannot mend the folders that an interrupted run left".to_owned(), || self.mend())
    }

    fn begin_note(&mut self, path: &str) -> Result<()> {
        self.change(|| format!("cannot make {path:?} on the stick"), || self.start_note(path))
    }

    fn give_back(&mut self, path: &str) -> Result<u64> {
        self.change(|| "cannot free the clusters that an interrupted run lost".to_owned(), || self.free_lost(path))
    }

    fn is_shown_twice(&mut self, path: &str) -> Result<bool> {
        self.change(
            || format!("cannot look for {path:?} elsewhere on the stick"),
            || {
                let found = self.get(path)?;
                let mut overlay = self.overlay.lock();
                if found.is_hidden() && overlay.geometry.has(found.start) {
                    return alias::is_shown_twice(&mut overlay, found.start);
                }
                Ok(false)
            },
        )
    }

    fn look_again(&mut self) -> Result<()> {
        self.overlay.lock().look_again().context(|| "the stick is damaged".to_owned())
    }

    fn free(&mut self) -> Result<u64> {
        let clusters = self.overlay.lock().free_clusters();
        Ok(clusters.context(|| "cannot count the stick's free clusters".to_owned())? * self.unit)
    }

    fn unit(&self) -> u64 {
        self.unit
    }

    fn max_file(&self) -> u64 {
        u64::from(u32::MAX)
    }

    fn sync(&mut self) -> Result<()> {
        self.overlay.lock().put_away().context(|| "cannot bring everything to the stick".to_owned())
    }
}
