//! Partition tables: MBR with logical partitions, GPT with both of its copies. Where partitions lie, not what is in them.

use std::io;

use super::boot::u32_at;
use super::medium::Bounded;

/// More partitions than any stick has; a table that names more is not believed.
pub(super) const PARTITIONS_MAX: usize = 16;
/// The largest list of GPT entries that is read, in bytes; the usual one has 16 KiB.
const GPT_LIST_MAX: u32 = 256 << 10;
/// Logical sector sizes that media have, the usual one first.
const SECTOR_SIZES: [u64; 4] = [512, 1024, 2048, 4096];

/// One partition, in bytes from the start of the device. It may end behind the end of the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) offset: u64,
    pub(super) size: u64,
}

impl Part {
    pub(super) fn end(&self) -> u64 {
        self.offset.saturating_add(self.size)
    }
}

/// The table that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Table {
    None,
    /// Partitions of an MBR, once per sector size in which the table may count.
    Mbr(Vec<Vec<Part>>),
    Gpt {
        backup: bool,
        parts: Vec<Part>,
    },
    /// There is one, but it contradicts itself.
    Damaged,
}

/// Reads the partition table, if there is one.
pub(super) fn read(medium: &mut Bounded) -> io::Result<Table> {
    let sector = medium.bytes(0, 512)?;
    let Some(entries) = mbr_entries(&sector) else { return Ok(Table::None) };
    if entries.iter().any(|entry| entry.kind == 0xee) {
        return gpt(medium);
    }
    if entries.is_empty() {
        return Ok(Table::None);
    }
    let mut readings = Vec::new();
    for sector_bytes in SECTOR_SIZES {
        match mbr(medium, &entries, sector_bytes)? {
            Some(parts) if parts.len() <= PARTITIONS_MAX => readings.push(parts),
            // The usual sector size decides whether the table can be believed; the others are second guesses.
            _ if sector_bytes == SECTOR_SIZES[0] => return Ok(Table::Damaged),
            _ => {}
        }
    }
    Ok(Table::Mbr(readings))
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    kind: u8,
    start: u32,
    len: u32,
}

impl Entry {
    fn is_extended(self) -> bool {
        matches!(self.kind, 0x05 | 0x0f | 0x85)
    }
}

/// The entries in use, or `None` when the sector holds no table. A whole-device file system has boot code there.
fn mbr_entries(sector: &[u8]) -> Option<Vec<Entry>> {
    let slots = sector[446..510].chunks_exact(16);
    if sector[510..512] != [0x55, 0xaa] || !slots.clone().all(|slot| matches!(slot[0], 0 | 0x80)) {
        return None;
    }
    let entries = slots.map(|slot| Entry { kind: slot[4], start: u32_at(slot, 8), len: u32_at(slot, 12) });
    // An entry that starts at 0 is the whole device over again, as mkfs.vfat writes it.
    Some(entries.filter(|entry| entry.kind != 0 && entry.len != 0 && entry.start != 0).collect())
}

fn mbr(medium: &mut Bounded, entries: &[Entry], sector_bytes: u64) -> io::Result<Option<Vec<Part>>> {
    let part = |base: u64, entry: &Entry| Part {
        offset: (base + u64::from(entry.start)) * sector_bytes,
        size: u64::from(entry.len) * sector_bytes,
    };
    let mut parts: Vec<Part> =
        entries.iter().filter(|entry| !entry.is_extended()).map(|entry| part(0, entry)).collect();
    for extended in entries.iter().filter(|entry| entry.is_extended()) {
        let base = u64::from(extended.start);
        let mut at = base;
        // Each logical partition has its own small table; the bound ends chains that run in a circle.
        for step in 0..=PARTITIONS_MAX {
            let offset = at * sector_bytes;
            if step == PARTITIONS_MAX || offset.saturating_add(512) > medium.size() {
                return Ok(None);
            }
            let sector = medium.bytes(offset, 512)?;
            let Some(entries) = mbr_entries(&sector) else { return Ok(None) };
            parts.extend(entries.iter().filter(|entry| !entry.is_extended()).map(|entry| part(at, entry)));
            let Some(next) = entries.iter().find(|entry| entry.is_extended()) else { break };
            at = base + u64::from(next.start);
        }
    }
    Ok(Some(parts))
}

fn gpt(medium: &mut Bounded) -> io::Result<Table> {
    let size = medium.size();
    let sizes = || SECTOR_SIZES.into_iter().filter(move |sector_bytes| size >= 3 * sector_bytes);
    for sector_bytes in sizes() {
        if let Some(parts) = gpt_copy(medium, 1, sector_bytes)? {
            return Ok(Table::Gpt { backup: false, parts });
        }
    }
    for sector_bytes in sizes() {
        if let Some(parts) = gpt_copy(medium, size / sector_bytes - 1, sector_bytes)? {
            return Ok(Table::Gpt { backup: true, parts });
        }
    }
    Ok(Table::Damaged)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

/// One copy of a GPT whose header lies at sector `own`; `None` unless both of its checksums hold.
fn gpt_copy(medium: &mut Bounded, own: u64, sector_bytes: u64) -> io::Result<Option<Vec<Part>>> {
    let size = medium.size();
    let header = medium.bytes(own * sector_bytes, 512)?;
    let header_len = u32_at(&header, 12) as usize;
    if header[..8] != *b"EFI PART" || !(92..=512).contains(&header_len) || u64_at(&header, 24) != own {
        return Ok(None);
    }
    let mut summed = header[..header_len].to_vec();
    summed[16..20].fill(0);
    let (count, entry_len) = (u32_at(&header, 80), u32_at(&header, 84));
    let list_len = count.checked_mul(entry_len).filter(|len| *len <= GPT_LIST_MAX && entry_len >= 128);
    let list_at = u64_at(&header, 72).checked_mul(sector_bytes);
    let (Some(list_len), Some(list_at)) = (list_len, list_at) else { return Ok(None) };
    if crc32fast::hash(&summed) != u32_at(&header, 16) || list_at.saturating_add(u64::from(list_len)) > size {
        return Ok(None);
    }
    let list = medium.bytes(list_at, list_len as usize)?;
    if crc32fast::hash(&list) != u32_at(&header, 88) {
        return Ok(None);
    }
    let mut parts = Vec::new();
    for entry in list.chunks_exact(entry_len as usize).filter(|entry| entry[..16] != [0; 16]) {
        let (first, last) = (u64_at(entry, 32), u64_at(entry, 40));
        let offset = first.checked_mul(sector_bytes).filter(|_| first != 0 && last >= first);
        let Some(offset) = offset else { return Ok(None) };
        parts.push(Part { offset, size: (last - first).saturating_add(1).saturating_mul(sector_bytes) });
    }
    Ok((parts.len() <= PARTITIONS_MAX).then_some(parts))
}
