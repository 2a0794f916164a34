//! Formatting a whole stick: one partition, one FAT32.
//!
//! The first sector is the first to go and the last to come: whatever a pulled stick or a killed program leaves between the two
//! has neither a partition table nor a file system at its beginning, and is refused by us and by every PC.

use std::cell::RefCell;
use std::io;
use std::path::Path;

use super::Volume;
use super::medium::{FileMedium, Medium};
use super::probe::{Limits, ReadAt, probe};
use crate::error::{Context, Error, Kind, Result};
use crate::model::{Run, Stage};
use crate::policy::format::{Label, Layout, TABLES};
use crate::policy::stick::{FsKind, PartitionTable, VolumeFacts};

const MIB: u64 = 1 << 20;
/// What is zeroed at the end: the second copy of a GUID partition table, and what disk arrays write there.
const TAIL: u64 = MIB;
/// FAT32's place for the copies of its first three sectors.
const BACKUP: u64 = 6;
/// Into how many stretches, nearly, the stick is cut when its size is tried.
const STRETCHES: u64 = 128;
/// The first cluster, which is the root folder's.
const ROOT: u32 = 2;
/// What stands in the table for the end of a chain.
const END_OF_CHAIN: u32 = 0x0fff_ffff;
/// A fixed disk, as FAT calls everything but a floppy.
const MEDIA: u8 = 0xf8;
/// FAT32 by sector numbers: the kind of partition.
const FAT32_LBA: u8 = 0x0c;
/// Machine code that tells the BIOS "not from here, try the next": a till that starts with the stick in it must go on.
const NOT_BOOTABLE: [u8; 5] = [0xcd, 0x18, 0xf4, 0xeb, 0xfd];

/// What a formatted stick is called.
#[derive(Debug, Clone)]
pub struct Name {
    /// For people.
    pub label: Label,
    /// For programs: the file system's id.
    pub id: u32,
}

impl Name {
    /// The id as every program shows it.
    pub fn uuid(&self) -> String {
        format!("{:04X}-{:04X}", self.id >> 16, self.id & 0xffff)
    }
}

/// Formats the image or the whole disk `path` of `size` bytes, of which nobody has anything mounted or open for itself.
/// Says whether the kernel knows the new partition already.
///
/// # Errors
/// [`Kind::Damaged`] when the stick does not keep what is written to it: it stays unformatted.
pub fn format(path: &Path, size: u64, layout: &Layout, name: &Name, old: &[VolumeFacts], run: &Run) -> Result<bool> {
    let whole = Volume { path: path.to_owned(), offset: 0, size };
    let mut medium = FileMedium::open(&whole, true)?;
    format_medium(&mut medium, size, layout, name, old, run)
        .map_err(half_done)
        .context(|| format!("cannot format {path:?}"))?;
    Ok(medium.reread_partitions())
}

fn half_done(error: Error) -> Error {
    const UNUSABLE: &str = "the stick cannot be used until it is formatted: start it again, or use another stick";
    match (error.kind(), error.remedy()) {
        (Kind::Cancelled, _) => Error::new(Kind::Cancelled, "stopped before it was finished").help(UNUSABLE),
        (_, None) => error.help(UNUSABLE),
        _ => error,
    }
}

/// Formats any medium of `size` bytes. `old` are the volumes that were on it.
pub fn format_medium(
    medium: &mut dyn Medium,
    size: u64,
    layout: &Layout,
    name: &Name,
    old: &[VolumeFacts],
    run: &Run,
) -> Result<()> {
    let mut writer = Writer { medium, size, sector: u64::from(layout.sector), done: 0, run };
    let (first, heads) = (first_sector(layout, name.id), heads(layout, name));
    let end = layout.offset() + layout.data_at() + u64::from(layout.cluster());
    run.begin(Stage::Format, name.label.as_str(), 2 * (end + TAIL));
    writer.forget_all(old)?;
    writer.try_size()?;
    writer.blank(0, end)?;
    writer.blank(size.saturating_sub(TAIL).max(end), size)?;
    writer.flush()?;
    for (at, sector) in &heads {
        writer.put(layout.offset() + at, sector)?;
    }
    writer.flush()?;
    writer.read_back(end, &heads, layout.offset())?;
    writer.put(0, &first)?;
    writer.flush()?;
    run.end(Stage::Format);
    check(writer.medium, size, layout, name)
}

/// What is not zero in the partition, by where it begins there.
fn heads(layout: &Layout, name: &Name) -> Vec<(u64, Vec<u8>)> {
    let sector = u64::from(layout.sector);
    let (boot, info) = (boot_sector(layout, name), info_sector(layout));
    let mut table = vec![0; layout.sector as usize];
    for (entry, value) in [0x0fff_ff00 | u32::from(MEDIA), END_OF_CHAIN, END_OF_CHAIN].into_iter().enumerate() {
        table[4 * entry..][..4].copy_from_slice(&value.to_le_bytes());
    }
    let mut root = vec![0; layout.sector as usize];
    root[..11].copy_from_slice(&name.label.bytes());
    root[11] = 0x08;
    let mut heads =
        vec![(0, boot.clone()), (sector, info.clone()), (BACKUP * sector, boot), ((BACKUP + 1) * sector, info)];
    heads.extend((0..TABLES).map(|number| (layout.table_at(number), table.clone())));
    heads.push((layout.data_at(), root));
    heads
}

fn boot_sector(layout: &Layout, name: &Name) -> Vec<u8> {
    let mut boot = vec![0; layout.sector as usize];
    let mut put = |at: usize, bytes: &[u8]| boot[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &[0xeb, 0x58, 0x90]);
    // Some systems believe no other name of a formatter.
    put(3, b"MSWIN4.1");
    put(11, &(layout.sector as u16).to_le_bytes());
    put(13, &[layout.per_cluster]);
    put(14, &layout.reserved.to_le_bytes());
    put(16, &[TABLES as u8]);
    put(21, &[MEDIA]);
    put(24, &63_u16.to_le_bytes());
    put(26, &255_u16.to_le_bytes());
    put(28, &layout.start.to_le_bytes());
    put(32, &layout.sectors.to_le_bytes());
    put(36, &layout.table.to_le_bytes());
    put(44, &ROOT.to_le_bytes());
    put(48, &1_u16.to_le_bytes());
    put(50, &(BACKUP as u16).to_le_bytes());
    put(64, &[0x80, 0, 0x29]);
    put(67, &name.id.to_le_bytes());
    put(71, &name.label.bytes());
    put(82, b"FAT32   ");
    put(90, &NOT_BOOTABLE);
    put(510, &[0x55, 0xaa]);
    boot
}

fn info_sector(layout: &Layout) -> Vec<u8> {
    let mut info = vec![0; layout.sector as usize];
    let mut put = |at: usize, bytes: &[u8]| info[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, b"RRaA");
    put(484, b"rrAa");
    // All but the root folder's is free, and the search for a free one begins behind it.
    put(488, &(layout.clusters - 1).to_le_bytes());
    put(492, &(ROOT + 1).to_le_bytes());
    put(510, &[0x55, 0xaa]);
    info
}

/// The master boot record.
fn first_sector(layout: &Layout, id: u32) -> Vec<u8> {
    let mut record = vec![0; layout.sector as usize];
    let mut put = |at: usize, bytes: &[u8]| record[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &NOT_BOOTABLE);
    put(440, &id.to_le_bytes());
    // Not to be started from; places by cylinder, head and sector that say "see the sector numbers".
    put(446, &[0, 0xfe, 0xff, 0xff, FAT32_LBA, 0xfe, 0xff, 0xff]);
    put(454, &layout.start.to_le_bytes());
    put(458, &layout.sectors.to_le_bytes());
    put(510, &[0x55, 0xaa]);
    record
}

struct Writer<'a, 'r> {
    medium: &'a mut dyn Medium,
    size: u64,
    sector: u64,
    done: u64,
    run: &'a Run<'r>,
}

impl Writer<'_, '_> {
    /// Takes away what says that anything is here, the first sector before all else.
    fn forget_all(&mut self, old: &[VolumeFacts]) -> Result<()> {
        let nothing = vec![0; self.sector as usize];
        self.put(0, &nothing)?;
        self.flush()?;
        for volume in old {
            let at = volume.offset - volume.offset % self.sector;
            if at != 0 && at.saturating_add(self.sector) <= self.size {
                self.put(at, &nothing)?;
            }
        }
        self.flush()
    }

    /// Finds sticks that claim more room than they have: marks all over the stick must still be there when all are
    /// written. Those that drop what is beyond their end are found, and those that wrap at a power of two.
    fn try_size(&mut self) -> Result<()> {
        let stretch = (self.size.next_power_of_two() / STRETCHES).max(self.sector);
        let last = (self.size / self.sector - 1) * self.sector;
        let places: Vec<u64> = (1..).map(|number| number * stretch).take_while(|at| *at < last).chain([last]).collect();
        let mark = |at: u64| {
            let text = format!("tillstick tries the size of this stick {at:020}\n");
            text.bytes().cycle().take(self.sector as usize).collect::<Vec<u8>>()
        };
        let marks: Vec<(u64, Vec<u8>)> = places.into_iter().map(|at| (at, mark(at))).collect();
        for (at, mark) in &marks {
            self.run.check()?;
            self.put(*at, mark)?;
        }
        self.flush()?;
        self.medium.forget().context(|| "cannot read the stick anew".into())?;
        for (at, mark) in &marks {
            self.run.check()?;
            if self.get(*at, self.sector)? != *mark {
                return Err(not_kept(*at));
            }
        }
        let nothing = vec![0; self.sector as usize];
        for (at, _) in &marks {
            self.put(*at, &nothing)?;
        }
        Ok(())
    }

    /// Fills a stretch with zeros. What is zero already is not written: that is quicker, and wears the stick less.
    fn blank(&mut self, from: u64, to: u64) -> Result<()> {
        let nothing = vec![0; MIB as usize];
        let mut at = from;
        while at < to {
            let len = MIB.min(to - at);
            if self.get(at, len)?.iter().any(|byte| *byte != 0) {
                self.put(at, &nothing[..len as usize])?;
                // Bounds what waits in the system's memory, so that Ctrl-C is heard and progress is true.
                self.flush()?;
            }
            at += len;
            self.progress(len)?;
        }
        Ok(())
    }

    /// Compares everything up to `end` with what must be there, as the medium has it.
    fn read_back(&mut self, end: u64, heads: &[(u64, Vec<u8>)], offset: u64) -> Result<()> {
        self.medium.forget().context(|| "cannot read the stick anew".into())?;
        let mut at = 0;
        while at < end {
            let len = MIB.min(end - at);
            let mut expected = vec![0; len as usize];
            // A sector never lies across two pieces: both begin at multiples of its size.
            for (head, sector) in heads.iter().map(|(head, sector)| (offset + head, sector)) {
                if (at..at + len).contains(&head) {
                    expected[(head - at) as usize..][..sector.len()].copy_from_slice(sector);
                }
            }
            if self.get(at, len)? != expected {
                return Err(not_kept(at));
            }
            at += len;
            self.progress(len)?;
        }
        Ok(())
    }

    fn progress(&mut self, more: u64) -> Result<()> {
        self.done += more;
        self.run.progress(self.done)
    }

    fn get(&mut self, at: u64, len: u64) -> Result<Vec<u8>> {
        let mut bytes = vec![0; len as usize];
        self.medium.read_at(at, &mut bytes).context(|| format!("cannot read the stick at byte {at}"))?;
        Ok(bytes)
    }

    fn put(&mut self, at: u64, bytes: &[u8]) -> Result<()> {
        self.medium.write_at(at, bytes).context(|| format!("cannot write to the stick at byte {at}"))
    }

    fn flush(&mut self) -> Result<()> {
        self.medium.flush().context(|| "cannot write to the stick".into())
    }
}

fn not_kept(at: u64) -> Error {
    Error::new(Kind::Damaged, format!("the stick does not keep what is written to it at byte {at}"))
        .help("it is worn out, or a fake that claims more room than it has: use another one")
}

/// Looks at the stick as at any other: it must be what was meant.
fn check(medium: &mut dyn Medium, size: u64, layout: &Layout, name: &Name) -> Result<()> {
    medium.forget().context(|| "cannot read the stick anew".into())?;
    let (table, volumes) = probe(&Probed(RefCell::new(medium), size), size, &Limits::default())?;
    let sound = |volume: &VolumeFacts| {
        volume.kind == FsKind::Fat32
            && volume.problem.is_none()
            && volume.offset == layout.offset()
            && volume.uuid == Some(name.uuid())
            && volume.label.as_deref() == Some(name.label.as_str())
    };
    match volumes.as_slice() {
        [volume] if table == PartitionTable::Mbr && sound(volume) => Ok(()),
        _ => Err(not_kept(0)),
    }
}

/// A medium as the probe reads it.
struct Probed<'a>(RefCell<&'a mut dyn Medium>, u64);

impl ReadAt for Probed<'_> {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let len = self.1.saturating_sub(offset).min(buf.len() as u64) as usize;
        self.0.borrow_mut().read_at(offset, &mut buf[..len])?;
        Ok(len)
    }
}
