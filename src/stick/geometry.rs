//! Where the parts of a FAT32 volume lie, from its boot sector, which may be hostile.

use crate::error::{Error, Kind, Result};

/// The parts of a FAT32 volume; positions and lengths are bytes from the volume's start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Geometry {
    /// Bytes in a sector: the unit that a medium writes whole or not at all.
    pub(super) sector: u64,
    /// Bytes in a cluster.
    pub(super) cluster: u64,
    /// Where the table begins that is read.
    pub(super) table: u64,
    /// How long each table is.
    pub(super) table_len: u64,
    /// Where its copies begin.
    pub(super) mirrors: Vec<u64>,
    /// Where the first cluster, number 2, begins.
    pub(super) data: u64,
    /// How many clusters there are.
    pub(super) clusters: u32,
    /// The root folder's first cluster.
    pub(super) root: u32,
    /// Where the information sector lies.
    pub(super) info: u64,
}

/// Where the boot sector keeps the mark "not put away in good order".
pub(super) const DIRTY_AT: u64 = 0x41;
/// The bit of that byte.
pub(super) const DIRTY: u8 = 1;

/// Fewer clusters make a FAT16 of it, whatever the boot sector says.
const CLUSTERS_MIN: u64 = 65_525;
/// Higher cluster numbers have a meaning of their own.
const CLUSTERS_MAX: u64 = 0x0fff_fff5;

impl Geometry {
    /// Reads a boot sector; `size` is what belongs to the volume, in bytes.
    pub(super) fn parse(boot: &[u8; 512], size: u64) -> Result<Self> {
        let u16_at = |at: usize| u64::from(u16::from_le_bytes([boot[at], boot[at + 1]]));
        let u32_at = |at: usize| u16_at(at) | u16_at(at + 2) << 16;
        let (sector, per_cluster, reserved, copies) =
            (u16_at(11), u64::from(boot[13]), u16_at(14), u64::from(boot[16]));
        let (flags, root, info) = (u16_at(40), u32_at(44), u16_at(48));
        let total = if u16_at(19) != 0 { u16_at(19) } else { u32_at(32) };
        if boot[510..] != [0x55, 0xaa] || u16_at(17) != 0 || u16_at(22) != 0 {
            return Err(wrong("it is not FAT32"));
        }
        if !matches!(sector, 512 | 1024 | 2048 | 4096) || !per_cluster.is_power_of_two() || reserved < 2 {
            return Err(wrong("its boot sector makes no sense"));
        }
        if !(1..=4).contains(&copies) || info == 0 || info >= reserved {
            return Err(wrong("its boot sector makes no sense"));
        }
        if total * sector > size {
            return Err(wrong(&format!("it claims {} bytes and the medium has {size}", total * sector))
                .help("the stick was cut short when it was copied, or it is a fake; format it anew or use another"));
        }
        let table_len = u32_at(36) * sector;
        let data = reserved * sector + copies * table_len;
        let clusters = (total * sector).saturating_sub(data) / (sector * per_cluster);
        if !(CLUSTERS_MIN..=CLUSTERS_MAX).contains(&clusters) || table_len / 4 < clusters + 2 {
            return Err(wrong("its number of clusters does not suit FAT32"));
        }
        if !(2..clusters + 2).contains(&root) {
            return Err(wrong("its root folder lies outside of it"));
        }
        // Bit 7: only the table that the low bits name is kept up to date.
        let mirrored = flags & 0x80 == 0;
        let active = if mirrored { 0 } else { flags & 0x0f };
        if active >= copies {
            return Err(wrong("it names an allocation table that it does not have"));
        }
        let table_at = |copy: u64| reserved * sector + copy * table_len;
        Ok(Self {
            sector,
            cluster: sector * per_cluster,
            table: table_at(active),
            table_len,
            mirrors: if mirrored { (1..copies).map(table_at).collect() } else { Vec::new() },
            data,
            clusters: u32::try_from(clusters).expect("at most CLUSTERS_MAX"),
            root: u32::try_from(root).expect("less than the clusters"),
            info: info * sector,
        })
    }

    /// Whether a number stands for a cluster of this volume.
    pub(super) fn has(&self, cluster: u32) -> bool {
        cluster >= 2 && cluster - 2 < self.clusters
    }

    /// Where a cluster begins.
    pub(super) fn at(&self, cluster: u32) -> u64 {
        self.data + u64::from(cluster - 2) * self.cluster
    }

    /// Whether a position lies in the table that is read.
    pub(super) fn in_table(&self, pos: u64) -> bool {
        (self.table..self.table + self.table_len).contains(&pos)
    }

    /// The start of the sector that holds `pos`.
    pub(super) fn sector_of(&self, pos: u64) -> u64 {
        pos - pos % self.sector
    }
}

fn wrong(why: &str) -> Error {
    Error::new(Kind::Damaged, format!("cannot use the file system: {why}"))
        .help("format the stick with FAT32 and plug it in again")
}
