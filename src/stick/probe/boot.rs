//! What a first sector says: the kind of file system, and the geometry of a FAT one, judged as the Linux kernel does.

use std::io;

use super::medium::Bounded;
use crate::policy::stick::{FsKind, Problem};

/// Fewest clusters of a FAT32 volume.
const FAT32_MIN: u32 = 65_525;
/// Fewest clusters of a FAT16 volume.
const FAT16_MIN: u32 = 4_085;
/// The highest cluster number that FAT32 has.
const FAT32_MAX: u32 = 0x0fff_fff6;
/// Where ext2/3/4 keeps its magic number.
const EXT_MAGIC_AT: u64 = 1080;
/// What must be zero for a volume to count as blank, in bytes.
const BLANK_HEAD: usize = 64 << 10;

/// A FAT volume's geometry, checked: sums neither overflow nor contradict each other.
#[derive(Debug, Clone)]
pub(super) struct Fat {
    /// FAT12, FAT16 or FAT32, by the layout (which is what the kernel mounts it as).
    pub(super) kind: FsKind,
    pub(super) sector_bytes: u32,
    pub(super) cluster_sectors: u32,
    pub(super) reserved_sectors: u32,
    /// Sectors that the fixed root folder of FAT12 and FAT16 fills.
    pub(super) root_sectors: u32,
    /// First cluster of FAT32's root folder.
    pub(super) root_cluster: u32,
    pub(super) total_sectors: u32,
    /// First sector of cluster 2.
    pub(super) data_sector: u32,
    pub(super) clusters: u32,
    /// Where FSInfo lies; as the kernel takes it.
    pub(super) info_sector: u32,
    pub(super) serial: u32,
    pub(super) label: [u8; 11],
    pub(super) dirty: bool,
    /// What makes it unusable although its shape is clear.
    pub(super) problem: Option<Problem>,
}

impl Fat {
    pub(super) fn cluster_bytes(&self) -> u32 {
        self.sector_bytes * self.cluster_sectors
    }

    pub(super) fn bytes(&self, sectors: u32) -> u64 {
        u64::from(sectors) * u64::from(self.sector_bytes)
    }

    /// Whether the volume has this cluster.
    pub(super) fn has(&self, cluster: u32) -> bool {
        (2..self.clusters + 2).contains(&cluster)
    }

    /// Where a cluster's data begins, in bytes from the start of the volume.
    pub(super) fn at(&self, cluster: u32) -> u64 {
        self.bytes(self.data_sector) + u64::from(cluster - 2) * u64::from(self.cluster_bytes())
    }
}

/// What lies at the beginning of a volume.
#[derive(Debug, Clone)]
pub(super) enum Boot {
    /// A FAT file system of which the geometry holds.
    Fat(Box<Fat>),
    /// It says it is FAT, but makes no sense.
    BadFat(String),
    /// Something else.
    Other(FsKind),
}

/// Judges what begins at `offset`, `size` bytes long.
pub(super) fn look(medium: &mut Bounded, offset: u64, size: u64) -> io::Result<Boot> {
    if size < 512 {
        return Ok(Boot::Other(FsKind::Unknown));
    }
    let sector = medium.bytes(offset, 512)?;
    match &sector[3..11] {
        b"EXFAT   " => return Ok(Boot::Other(FsKind::ExFat)),
        b"NTFS    " => return Ok(Boot::Other(FsKind::Ntfs)),
        _ => {}
    }
    if size >= EXT_MAGIC_AT + 2 && medium.bytes(offset + EXT_MAGIC_AT, 2)? == [0x53, 0xef] {
        return Ok(Boot::Other(FsKind::Ext));
    }
    match parse(&sector) {
        Ok(fat) => Ok(Boot::Fat(Box::new(fat))),
        Err(why) if sector[82..90] == *b"FAT32   " => Ok(Boot::BadFat(why.into())),
        Err(_) => {
            let head = medium.bytes(offset, usize::try_from(size).unwrap_or(BLANK_HEAD).min(BLANK_HEAD))?;
            let blank = head.iter().all(|byte| *byte == 0);
            Ok(Boot::Other(if blank { FsKind::Blank } else { FsKind::Unknown }))
        }
    }
}

fn u16_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]))
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// Reads a boot sector of 512 bytes.
fn parse(sector: &[u8]) -> Result<Fat, &'static str> {
    let sector_bytes = u16_at(sector, 11);
    let cluster_sectors = u32::from(sector[13]);
    let reserved_sectors = u16_at(sector, 14);
    let fats = u32::from(sector[16]);
    let root_entries = u16_at(sector, 17);
    if !sector_bytes.is_power_of_two() || !(512..=4096).contains(&sector_bytes) {
        return Err("the boot sector names an impossible sector size");
    }
    if !cluster_sectors.is_power_of_two() {
        return Err("the boot sector names an impossible cluster size");
    }
    if reserved_sectors == 0 || fats == 0 {
        return Err("the boot sector leaves no room for itself or its table");
    }
    if sector[21] != 0xf0 && sector[21] < 0xf8 {
        return Err("the boot sector names an impossible medium");
    }
    // The kernel tells FAT32 by this field alone; the cluster count must then agree, as other systems go by that.
    let is_fat32 = u16_at(sector, 22) == 0;
    let fat_sectors = if is_fat32 { u32_at(sector, 36) } else { u16_at(sector, 22) };
    if fat_sectors == 0 {
        return Err("the boot sector gives its table no room");
    }
    if !(root_entries * 32).is_multiple_of(sector_bytes) || (!is_fat32 && root_entries == 0) {
        return Err("the boot sector names an impossible root folder");
    }
    let total_sectors = match u16_at(sector, 19) {
        0 => u32_at(sector, 32),
        small => small,
    };
    let root_sectors = root_entries * 32 / sector_bytes;
    let data = u64::from(reserved_sectors) + u64::from(fats) * u64::from(fat_sectors) + u64::from(root_sectors);
    let data_sector = u32::try_from(data).ok().filter(|data| *data < total_sectors);
    let data_sector = data_sector.ok_or("the boot sector leaves no room for data")?;
    let table_bits = u64::from(fat_sectors) * u64::from(sector_bytes) * 8;
    if table_bits > u64::from(u32::MAX) {
        return Err("the boot sector names a table larger than any stick needs");
    }
    let by_room = (total_sectors - data_sector) / cluster_sectors;
    let clusters = |bits: u64| by_room.min((table_bits / bits) as u32 - 2);
    let (kind, clusters) = match (is_fat32, by_room) {
        (true, _) => (FsKind::Fat32, clusters(32)),
        (false, ..FAT16_MIN) => (FsKind::Fat12, clusters(12)),
        (false, ..FAT32_MIN) => (FsKind::Fat16, clusters(16)),
        (false, _) => return Err("the boot sector names more clusters than FAT16 has"),
    };
    if clusters == 0 || clusters > FAT32_MAX - 1 {
        return Err("the boot sector names an impossible number of clusters");
    }
    let info_sector = match u16_at(sector, 48) {
        0 => 1,
        sector => sector,
    };
    let extended = if is_fat32 { 64 } else { 36 };
    let signed = matches!(sector[extended + 2], 0x28 | 0x29);
    let mut fat = Fat {
        kind,
        sector_bytes,
        cluster_sectors,
        reserved_sectors,
        root_sectors,
        root_cluster: if is_fat32 { u32_at(sector, 44) } else { 0 },
        total_sectors,
        data_sector,
        clusters,
        info_sector,
        serial: if signed { u32_at(sector, extended + 3) } else { 0 },
        label: [b' '; 11],
        dirty: sector[extended + 1] & 1 != 0,
        problem: None,
    };
    if sector[extended + 2] == 0x29 {
        fat.label.copy_from_slice(&sector[extended + 7..extended + 18]);
    }
    fat.problem = if is_fat32 { fat32_problem(sector, &fat, root_entries) } else { None };
    Ok(fat)
}

/// What the kernel would mount, but other systems would read differently or not at all.
fn fat32_problem(sector: &[u8], fat: &Fat, root_entries: u32) -> Option<Problem> {
    let bad = |why: &str| Some(Problem::BootSector(why.to_owned()));
    let mirrored = sector[40] & 0x80 == 0;
    if fat.clusters < FAT32_MIN {
        return Some(Problem::TooFewClusters(fat.clusters));
    }
    if !mirrored && sector[40] & 0x0f != 0 {
        return bad("the boot sector names another table than the first as the live one");
    }
    if root_entries != 0 || u16_at(sector, 42) != 0 || fat.reserved_sectors < 2 {
        return bad("the boot sector is of a form of FAT32 that is not in use");
    }
    None
}
