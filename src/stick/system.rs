//! What a file system says of itself: the mark of being changed, the count of free clusters, the sectors before the table.

use std::io;

use super::geometry::{DIRTY, DIRTY_AT, Geometry};
use super::medium::Medium;
use super::overlay::{Overlay, count_free};

/// How much of the table is read at once to count free clusters, in bytes.
const SCAN_LEN: usize = 64 << 10;
/// How much of what lies before the table is compared, in bytes.
const SYSTEM_MAX: u64 = 64 << 10;

impl Overlay {
    /// Free clusters, from the whole table once and counted along from then on.
    pub(super) fn free_clusters(&mut self) -> io::Result<u64> {
        if let Some(free) = self.free {
            return Ok(free);
        }
        let end = (u64::from(self.geometry.clusters) + 2) * 4;
        let (mut pos, mut free, mut buf) = (8, 0, vec![0; SCAN_LEN]);
        while pos < end {
            let len = (end - pos).min(SCAN_LEN as u64) as usize;
            self.medium.read_at(self.geometry.table + pos, &mut buf[..len])?;
            free += count_free(&buf[..len]);
            pos += len as u64;
        }
        self.free = Some(free);
        Ok(free)
    }

    /// Marks the file system as being changed, before its first change.
    pub(super) fn mark(&mut self) -> io::Result<()> {
        if self.marked || self.pending.is_empty() {
            return Ok(());
        }
        self.write_mark(self.boot_flags | DIRTY)?;
        self.marked = true;
        self.medium.flush()
    }

    /// Writes the count of free clusters and takes the mark away again, unless it was there before us.
    pub(super) fn put_away(&mut self) -> io::Result<()> {
        if self.marked {
            let free = u32::try_from(self.free_clusters()?).unwrap_or(u32::MAX);
            let mut info = self.info.clone();
            info[488..492].copy_from_slice(&free.to_le_bytes());
            self.medium.write_at(self.geometry.info, &info)?;
            self.empty_note()?;
            self.medium.flush()?;
            self.write_mark(self.boot_flags)?;
            self.marked = false;
        }
        self.medium.flush()
    }

    fn write_mark(&mut self, flags: u8) -> io::Result<()> {
        let mut boot = vec![0; self.geometry.sector as usize];
        self.medium.read_at(0, &mut boot)?;
        if boot[DIRTY_AT as usize] == flags {
            return Ok(());
        }
        boot[DIRTY_AT as usize] = flags;
        self.medium.write_at(0, &boot)
    }

    /// Looks at the medium anew; what is there must be the file system that was opened, and as much of it free as we left.
    pub(super) fn look_again(&mut self) -> io::Result<()> {
        self.forget()?;
        let left = self.free.take();
        if system(&mut *self.medium, &self.geometry)? != self.system {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "its first sectors are not what they were"));
        }
        if left.is_some_and(|left| self.free_clusters().is_ok_and(|free| free != left)) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "its table of clusters is not what it was"));
        }
        Ok(())
    }
}

/// The sectors before the table, without what changes in them (the mark, the count of free clusters and the hint), and what
/// lies before the volume.
pub(super) fn system(medium: &mut dyn Medium, geometry: &Geometry) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; geometry.table.min(SYSTEM_MAX) as usize];
    medium.read_at(0, &mut bytes)?;
    bytes[DIRTY_AT as usize] = 0;
    if let Some(counts) = bytes.get_mut(geometry.info as usize + 488..geometry.info as usize + 496) {
        counts.fill(0);
    }
    bytes.extend(medium.before()?.to_le_bytes());
    Ok(bytes)
}

/// Makes an information sector that `fatfs` accepts: its signatures may be damaged and its count is not to be believed.
pub(super) fn repair_info(info: &mut [u8], clusters: u32) {
    info[0..4].copy_from_slice(b"RRaA");
    info[484..488].copy_from_slice(b"rrAa");
    info[488..492].copy_from_slice(&u32::MAX.to_le_bytes());
    let hint = u32::from_le_bytes([info[492], info[493], info[494], info[495]]);
    if !(2..clusters + 2).contains(&hint) {
        info[492..496].copy_from_slice(&u32::MAX.to_le_bytes());
    }
    info[508..512].copy_from_slice(&[0, 0, 0x55, 0xaa]);
}
