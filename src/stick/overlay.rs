//! The sectors between `fatfs` and the medium.
//!
//! `fatfs` writes a few bytes at a time and in an order of its own. Here its changes wait as whole sectors, and
//! [`commit`](Overlay::commit) brings them to the medium in the order that a pulled stick survives. The content of files
//! does not pass through here: it is written to its clusters directly.

use std::collections::{BTreeMap, HashMap};
use std::io;

use super::geometry::{DIRTY_AT, Geometry};
use super::medium::Medium;
use super::note::{self, Run};
use super::system::{repair_info, system};
use crate::error::{Context, Result};

/// How many clean sectors are remembered: 2 MB, the table of a stick's busy region and its folders.
const CACHE_SECTORS: usize = 4096;
/// From so many waiting sectors on, those of fresh chains go out early: 4 MB.
const PENDING_SECTORS: usize = 8192;
/// A table entry's number proper; the other four bits are kept as they are.
pub(super) const ENTRY: u32 = 0x0fff_ffff;
/// From here on an entry ends its chain.
pub(super) const CHAIN_END: u32 = 0x0fff_fff8;

/// In which order the waiting sectors go out. The list names the sectors of a folder entry, the one that counts last.
#[derive(Clone, Copy)]
pub(super) enum Order<'a> {
    /// Something new: its content and its clusters, then its entry.
    Adding(&'a [u64]),
    /// Something goes: its entry, then its clusters.
    Removing(&'a [u64]),
}

pub(super) struct Overlay {
    pub(super) medium: Box<dyn Medium>,
    pub(super) geometry: Geometry,
    pub(super) pending: BTreeMap<u64, Vec<u8>>,
    cache: HashMap<u64, Vec<u8>>,
    pub(super) info: Vec<u8>,
    /// While a chain is only to be allocated, what `fatfs` writes into its clusters goes nowhere.
    pub(super) allocating: bool,
    pub(super) free: Option<u64>,
    pub(super) boot_flags: u8,
    pub(super) marked: bool,
    /// No folder of ours is torn any more.
    pub(super) mended: bool,
    note: Option<Note>,
    /// What went out early of the chain that is being allocated.
    early: Vec<Run>,
    /// The sectors before the table as they were at first.
    pub(super) system: Vec<u8>,
}

/// Where the note lies of what is taken or freed; in whole sectors, within one cluster.
struct Note {
    at: u64,
    len: usize,
    is_empty: bool,
}

impl Overlay {
    pub(super) fn new(mut medium: Box<dyn Medium>, geometry: Geometry) -> Result<Self> {
        let (mut info, mut boot) = (vec![0; geometry.sector as usize], [0; 512]);
        medium
            .read_at(0, &mut boot)
            .and_then(|()| medium.read_at(geometry.info, &mut info))
            .context(|| "cannot read the file system's first sectors".to_owned())?;
        repair_info(&mut info, geometry.clusters);
        let system =
            system(&mut *medium, &geometry).context(|| "cannot read the file system's first sectors".to_owned())?;
        Ok(Self {
            medium,
            geometry,
            pending: BTreeMap::new(),
            cache: HashMap::new(),
            info,
            allocating: false,
            free: None,
            boot_flags: boot[DIRTY_AT as usize],
            marked: false,
            mended: false,
            note: None,
            early: Vec::new(),
            system,
        })
    }

    /// The sector as it would be if everything waiting were written.
    fn sector(&mut self, at: u64) -> io::Result<&[u8]> {
        if at == self.geometry.info {
            return Ok(&self.info);
        }
        if let Some(bytes) = self.pending.get(&at) {
            return Ok(bytes);
        }
        stored(&mut self.cache, &mut *self.medium, at, self.geometry.sector)
    }

    /// Fills `buf` from `pos` on, seen as [`sector`](Self::sector) sees it.
    pub(super) fn read(&mut self, pos: u64, buf: &mut [u8]) -> io::Result<()> {
        let mut done = 0;
        while done < buf.len() {
            let at = self.geometry.sector_of(pos + done as u64);
            let from = (pos + done as u64 - at) as usize;
            let bytes = &self.sector(at)?[from..];
            let len = bytes.len().min(buf.len() - done);
            buf[done..done + len].copy_from_slice(&bytes[..len]);
            done += len;
        }
        Ok(())
    }

    /// Changes bytes of the allocation table or of a folder; they wait for [`commit`](Self::commit).
    pub(super) fn patch(&mut self, pos: u64, bytes: &[u8]) -> io::Result<()> {
        let mut done = 0;
        while done < bytes.len() {
            let at = self.geometry.sector_of(pos + done as u64);
            let from = (pos + done as u64 - at) as usize;
            let len = (self.geometry.sector as usize - from).min(bytes.len() - done);
            let mut sector = self.sector(at)?.to_vec();
            sector[from..from + len].copy_from_slice(&bytes[done..done + len]);
            self.pending.insert(at, sector);
            done += len;
        }
        Ok(())
    }

    /// What `fatfs` writes. Its mark in the boot sector, its count of free clusters and the copies of the table are
    /// ours to write.
    pub(super) fn write(&mut self, pos: u64, bytes: &[u8]) -> io::Result<()> {
        let content = pos >= self.geometry.data;
        if content && self.allocating || !content && !self.geometry.in_table(pos) {
            return Ok(());
        }
        if !content && !self.allocating {
            self.blank_new_folder(pos, bytes)?;
        }
        self.patch(pos, bytes)?;
        if self.allocating && self.pending.len() > PENDING_SECTORS {
            // No entry leads to these chains yet, so they may go out in any order.
            self.early = self.claims()?;
            self.write_note()?;
            self.medium.flush()?;
            self.write_sectors(|overlay, at| overlay.geometry.in_table(at))?;
        }
        Ok(())
    }

    /// Clusters that are taken while no file's chain is made are folders'. `fatfs` blanks those of all folders but the
    /// root, where names of long ago, or anything, would be read as names once it grows.
    fn blank_new_folder(&mut self, pos: u64, entry: &[u8]) -> io::Result<()> {
        let mut old = vec![0; entry.len()];
        self.read(pos, &mut old)?;
        let first = (pos - self.geometry.table) / 4;
        for (number, (old, new)) in (first..).zip(old.chunks_exact(4).zip(entry.chunks_exact(4))) {
            if let Ok(cluster) = u32::try_from(number)
                && is_free(old)
                && !is_free(new)
                && self.geometry.has(cluster)
            {
                let zeros = vec![0; self.geometry.cluster as usize];
                self.patch(self.geometry.at(cluster), &zeros)?;
            }
        }
        Ok(())
    }

    /// The next cluster of a chain, or `None` at its end; anything else is damage.
    pub(super) fn next(&mut self, cluster: u32) -> io::Result<Option<u32>> {
        let mut entry = [0; 4];
        self.read(self.geometry.table + u64::from(cluster) * 4, &mut entry)?;
        match u32::from_le_bytes(entry) & ENTRY {
            next if self.geometry.has(next) => Ok(Some(next)),
            CHAIN_END..=ENTRY => Ok(None),
            _ => Err(io::Error::new(io::ErrorKind::InvalidData, "a chain of clusters leads nowhere")),
        }
    }

    /// Marks every cluster of a sound chain free; the change waits for [`commit`](Self::commit).
    pub(super) fn free_chain(&mut self, first: u32) -> io::Result<()> {
        let mut next = Some(first);
        while let Some(cluster) = next {
            // A chain that bites its tail meets its own freed cluster and ends there, as damage.
            next = self.next(cluster)?;
            self.free_one(cluster)?;
        }
        Ok(())
    }

    /// Marks one cluster free, and tells whether it was taken; the change waits for [`commit`](Self::commit).
    pub(super) fn free_one(&mut self, cluster: u32) -> io::Result<bool> {
        let at = self.geometry.table + u64::from(cluster) * 4;
        let mut entry = [0; 4];
        self.read(at, &mut entry)?;
        if is_free(&entry) {
            return Ok(false);
        }
        self.patch(at, &(u32::from_le_bytes(entry) & !ENTRY).to_le_bytes())?;
        Ok(true)
    }

    /// Whether the table has the cluster as free.
    pub(super) fn is_unused(&mut self, cluster: u32) -> io::Result<bool> {
        let mut entry = [0; 4];
        self.read(self.geometry.table + u64::from(cluster) * 4, &mut entry)?;
        Ok(is_free(&entry))
    }

    /// Takes a cluster as a chain of its own; the change waits for [`commit`](Self::commit).
    pub(super) fn take_one(&mut self, cluster: u32) -> io::Result<()> {
        self.patch(self.geometry.table + u64::from(cluster) * 4, &ENTRY.to_le_bytes())
    }

    /// Forgets what waits.
    pub(super) fn abandon(&mut self) {
        self.allocating = false;
        self.pending.clear();
        self.early.clear();
    }

    /// Brings everything that waits to the medium, in an order in which every prefix is a sound file system, but for
    /// clusters that nobody uses.
    pub(super) fn commit(&mut self, order: Order<'_>) -> io::Result<()> {
        let result = self.commit_all(order);
        // What failed and waits must not go out later.
        self.abandon();
        result
    }

    fn commit_all(&mut self, order: Order<'_>) -> io::Result<()> {
        self.mark()?;
        match order {
            Order::Adding(entry) => {
                let later = entry.to_vec();
                self.write_note()?;
                self.clear_fresh(entry)?;
                // A folder's new cluster must be empty before it is one: what lay there would be read as names.
                self.write_sectors(|overlay, at| !overlay.geometry.in_table(at) && !later.contains(&at))?;
                self.medium.flush()?;
                // An old chain is led to its new cluster only when that is taken.
                self.write_sectors(|overlay, at| overlay.geometry.in_table(at) && overlay.only_takes(at))?;
                self.medium.flush()?;
                self.write_sectors(|overlay, at| overlay.geometry.in_table(at))?;
                self.medium.flush()?;
                self.write_entry(entry)?;
            }
            Order::Removing(entry) => {
                if self.write_note()? {
                    self.medium.flush()?;
                }
                self.write_entry(entry)?;
                self.write_sectors(|_, _| true)?;
                self.medium.flush()?;
            }
        }
        Ok(())
    }

    /// Begins an empty note in a cluster: from here on, what a step takes or frees is noted there before it is done.
    pub(super) fn begin_note(&mut self, cluster: u32) -> io::Result<()> {
        self.go_on_noting(cluster, false);
        self.empty_note()?;
        self.medium.flush()
    }

    /// Goes on with a note that is there.
    pub(super) fn go_on_noting(&mut self, cluster: u32, is_empty: bool) {
        let (at, len) = (self.geometry.at(cluster), note::len(self.geometry.cluster));
        self.note = Some(Note { at, len, is_empty });
    }

    /// Whether there is a note.
    pub(super) fn is_noting(&self) -> bool {
        self.note.is_some()
    }

    pub(super) fn empty_note(&mut self) -> io::Result<()> {
        let Some(note) = self.note.as_mut().filter(|note| !note.is_empty) else { return Ok(()) };
        self.medium.write_at(note.at, &note::to_bytes(&[], note.len))?;
        note.is_empty = true;
        Ok(())
    }

    /// The clusters that the waiting sectors of the table take or free, each with the link it has while it is taken.
    fn claims(&mut self) -> io::Result<Vec<Run>> {
        let mut runs = std::mem::take(&mut self.early);
        let mut changed = Vec::new();
        for (at, new) in self.pending.iter().filter(|(at, _)| self.geometry.in_table(**at)) {
            let old = stored(&mut self.cache, &mut *self.medium, *at, self.geometry.sector)?;
            let first = (at - self.geometry.table) / 4;
            for (cluster, (old, new)) in (first..).zip(old.chunks_exact(4).zip(new.chunks_exact(4))) {
                let taken = if is_free(old) { new } else { old };
                if is_free(old) != is_free(new) {
                    changed
                        .push((cluster as u32, u32::from_le_bytes([taken[0], taken[1], taken[2], taken[3]]) & ENTRY));
                }
            }
        }
        runs.extend(note::runs(&changed));
        Ok(runs)
    }

    /// Notes what the waiting sectors take or free, if they do; tells whether there was something to note.
    fn write_note(&mut self) -> io::Result<bool> {
        if self.note.is_none() {
            return Ok(false);
        }
        let runs = self.claims()?;
        let Some(note) = self.note.as_mut().filter(|_| !runs.is_empty()) else { return Ok(false) };
        self.medium.write_at(note.at, &note::to_bytes(&runs, note.len))?;
        note.is_empty = false;
        Ok(true)
    }

    /// An entry may begin a new cluster of its folder. What the medium has there now must not be taken for names in the
    /// moment between the cluster's joining the folder and the entry's arrival.
    fn clear_fresh(&mut self, sectors: &[u64]) -> io::Result<()> {
        let zeros = vec![0; self.geometry.sector as usize];
        for at in sectors {
            let cluster = (at - self.geometry.data) / self.geometry.cluster + 2;
            let entry = self.geometry.table + cluster * 4;
            let sector = self.geometry.sector_of(entry);
            let from = (entry - sector) as usize;
            let table = stored(&mut self.cache, &mut *self.medium, sector, self.geometry.sector)?;
            if is_free(&table[from..from + 4]) {
                self.medium.write_at(*at, &zeros)?;
                self.cache.remove(at);
            }
        }
        Ok(())
    }

    fn write_entry(&mut self, sectors: &[u64]) -> io::Result<()> {
        for sector in sectors {
            self.write_sectors(|_, at| at == *sector)?;
            self.medium.flush()?;
        }
        Ok(())
    }

    /// Whether the waiting sector of the table only takes clusters that are free on the medium.
    fn only_takes(&mut self, at: u64) -> bool {
        let Ok(old) = stored(&mut self.cache, &mut *self.medium, at, self.geometry.sector) else { return false };
        let new = &self.pending[&at];
        old.chunks_exact(4).zip(new.chunks_exact(4)).all(|(old, new)| old == new || is_free(old))
    }

    fn write_sectors(&mut self, which: impl Fn(&mut Self, u64) -> bool) -> io::Result<()> {
        let waiting: Vec<u64> = self.pending.keys().copied().collect();
        for at in waiting {
            if which(self, at) {
                self.write_sector(at)?;
            }
        }
        Ok(())
    }

    /// Brings the table's sectors of a run into its copies, where they differ.
    pub(super) fn complete_copies(&mut self, run: &Run) -> io::Result<()> {
        let at = |cluster: u32| self.geometry.sector_of(self.geometry.table + u64::from(cluster) * 4);
        let (sector, sectors) = (self.geometry.sector, at(run.first)..=at(run.first + run.len - 1));
        for at in sectors.step_by(sector as usize) {
            let now = stored(&mut self.cache, &mut *self.medium, at, sector)?;
            for mirror in &self.geometry.mirrors {
                let (copy, mut old) = (mirror + (at - self.geometry.table), vec![0; sector as usize]);
                self.medium.read_at(copy, &mut old)?;
                if old != now {
                    self.medium.write_at(copy, now)?;
                }
            }
        }
        Ok(())
    }

    fn write_sector(&mut self, at: u64) -> io::Result<()> {
        let Some(new) = self.pending.get(&at) else { return Ok(()) };
        let old = stored(&mut self.cache, &mut *self.medium, at, self.geometry.sector)?;
        if old != new.as_slice() {
            let in_table = self.geometry.in_table(at);
            let freed = if in_table { count_free(new) as i64 - count_free(old) as i64 } else { 0 };
            self.medium.write_at(at, new)?;
            if in_table {
                for mirror in &self.geometry.mirrors {
                    self.medium.write_at(mirror + (at - self.geometry.table), new)?;
                }
            }
            self.free = self.free.map(|free| free.saturating_add_signed(freed));
        }
        if let Some(new) = self.pending.remove(&at) {
            remember(&mut self.cache, at, new);
        }
        Ok(())
    }

    /// Drops every copy of the medium's content that is held here or in the kernel.
    pub(super) fn forget(&mut self) -> io::Result<()> {
        self.cache.clear();
        self.medium.forget()
    }
}

/// The sector as the medium has it.
fn stored<'a>(
    cache: &'a mut HashMap<u64, Vec<u8>>,
    medium: &mut dyn Medium,
    at: u64,
    len: u64,
) -> io::Result<&'a [u8]> {
    if !cache.contains_key(&at) {
        let mut bytes = vec![0; len as usize];
        medium.read_at(at, &mut bytes)?;
        remember(cache, at, bytes);
    }
    Ok(&cache[&at])
}

fn remember(cache: &mut HashMap<u64, Vec<u8>>, at: u64, bytes: Vec<u8>) {
    if cache.len() >= CACHE_SECTORS {
        cache.clear();
    }
    cache.insert(at, bytes);
}

fn is_free(entry: &[u8]) -> bool {
    u32::from_le_bytes([entry[0], entry[1], entry[2], entry[3]]) & ENTRY == 0
}

pub(super) fn count_free(entries: &[u8]) -> u64 {
    entries.chunks_exact(4).filter(|entry| is_free(entry)).count() as u64
}
