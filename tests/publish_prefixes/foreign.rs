//! Every byte on the stick that is not ours: what was there before our first write.

use crate::disk::{BLOCK, Disk, SECTOR, SIZE};

/// Where the boot sector keeps the mark "not put away in good order".
const MARK_AT: u64 = 0x41;
const SLOT: usize = 32;

/// The disk as it was, and which of its bytes must stay.
pub struct Foreign {
    disk: Disk,
    kept: Vec<bool>,
}

impl Foreign {
    /// Protects the file system's own sectors, every cluster that is taken with its two entries in the tables, and the
    /// names in the root. What is free, the root's free slots, the mark and the count of free clusters may change.
    pub fn on(disk: &Disk) -> Self {
        let boot = disk.get(0, SECTOR);
        let u16_at = |at: usize| u64::from(u16::from_le_bytes([boot[at], boot[at + 1]]));
        let u32_at = |at: usize| u16_at(at) | u16_at(at + 2) << 16;
        assert_eq!((u16_at(11), boot[13], boot[16]), (SECTOR as u64, 1, 2), "made by `mkfs.vfat -F 32 -s 1`");
        let (sector, reserved, table_len, root) = (SECTOR as u64, u16_at(14), u32_at(36), u32_at(44));
        let info = u16_at(48) * sector;
        let mut foreign = Self { disk: disk.clone(), kept: vec![false; SIZE as usize] };
        foreign.protect(0..MARK_AT);
        foreign.protect(MARK_AT + 1..info + 488);
        foreign.protect(info + 496..reserved * sector);
        let table = disk.get(reserved * sector, (table_len * sector) as usize);
        let data = (reserved + 2 * table_len) * sector;
        for (cluster, entry) in (0..).zip(table.chunks_exact(4)).skip(2) {
            let at = data + (cluster - 2) * sector;
            if entry != [0; 4] && cluster != root {
                for table in [reserved, reserved + table_len] {
                    foreign.protect(table * sector + cluster * 4..table * sector + cluster * 4 + 4);
                }
                foreign.protect(at..at + sector);
            } else if cluster == root {
                let names = disk.get(at, SECTOR).chunks(SLOT).take_while(|slot| slot[0] != 0).count();
                foreign.protect(at..at + (names * SLOT) as u64);
            }
        }
        foreign
    }

    fn protect(&mut self, bytes: std::ops::Range<u64>) {
        self.kept[bytes.start as usize..bytes.end as usize].fill(true);
    }

    pub fn is_as_it_was(&self, disk: &Disk, what: &str) {
        for number in self.disk.differing(disk) {
            let kept = self.kept[number * BLOCK..].iter().take(BLOCK);
            let at = (number * BLOCK) as u64;
            let (was, is) = (self.disk.get(at, kept.len()), disk.get(at, kept.len()));
            if let Some(i) = kept.zip(was.iter().zip(&is)).position(|(kept, (was, is))| *kept && was != is) {
                panic!("{what}: somebody else's byte at {} became {:#x} from {:#x}", at + i as u64, is[i], was[i]);
            }
        }
    }
}
