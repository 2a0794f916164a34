//! A stick in a few kilobytes: its size, and those sectors that are not zero.
//!
//! As bytes: the size (7 bytes, little-endian), [`FLAG_SUMS`], then for each sector its number (4 bytes) and its 512
//! bytes. A sector that comes twice is the later one.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::{Dice, mutate};
use tillstick::stick::probe::ReadAt;

pub const SECTOR: usize = 512;
const HEAD: usize = 8;
const RECORD: usize = 4 + SECTOR;
/// Where the flags are.
const FLAGS_AT: usize = 7;
/// The checksums of GUID partition tables are made to match: chance alone never would.
const FLAG_SUMS: u8 = 1;
/// The longest list of GPT entries that is summed, in bytes.
const LIST_MAX: usize = 256 << 10;

/// A medium that has only some sectors.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Image {
    pub size: u64,
    pub sectors: BTreeMap<u64, [u8; SECTOR]>,
}

impl Image {
    pub fn decode(data: &[u8]) -> Self {
        let mut head = [0; HEAD];
        let len = data.len().min(HEAD);
        head[..len].copy_from_slice(&data[..len]);
        let flags = std::mem::take(&mut head[FLAGS_AT]);
        let mut image = Self { size: u64::from_le_bytes(head), sectors: BTreeMap::new() };
        for record in data[len..].chunks_exact(RECORD) {
            let (number, bytes) = record.split_first_chunk().unwrap();
            image.sectors.insert(u64::from(u32::from_le_bytes(*number)), bytes.try_into().unwrap());
        }
        if flags & FLAG_SUMS != 0 {
            image.match_sums();
        }
        image
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut data = self.size.to_le_bytes().to_vec();
        data[FLAGS_AT] = FLAG_SUMS;
        for (number, bytes) in &self.sectors {
            data.extend(u32::try_from(*number).unwrap().to_le_bytes());
            data.extend(bytes);
        }
        data
    }

    /// The sectors of a file that are not zero and that `wanted` takes.
    pub fn of_file(path: &Path, wanted: impl Fn(&[u8]) -> bool) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let mut image = Self { size: file.metadata()?.len(), sectors: BTreeMap::new() };
        let mut piece = vec![0; 1 << 20];
        for start in (0..image.size).step_by(piece.len()) {
            let len = piece.len().min((image.size - start) as usize);
            file.read_exact(&mut piece[..len])?;
            for (i, sector) in piece[..len].chunks(SECTOR).enumerate() {
                if sector.iter().any(|byte| *byte != 0) && wanted(sector) {
                    let mut bytes = [0; SECTOR];
                    bytes[..sector.len()].copy_from_slice(sector);
                    image.sectors.insert(start / SECTOR as u64 + i as u64, bytes);
                }
            }
        }
        Ok(image)
    }

    /// Fills `buf` from `pos` on.
    pub fn read(&self, pos: u64, buf: &mut [u8]) {
        buf.fill(0);
        let first = pos / SECTOR as u64;
        let last = (pos + buf.len() as u64).div_ceil(SECTOR as u64);
        for (number, bytes) in self.sectors.range(first..last) {
            let start = number * SECTOR as u64;
            let from = start.max(pos);
            let to = (start + SECTOR as u64).min(pos + buf.len() as u64);
            buf[(from - pos) as usize..(to - pos) as usize]
                .copy_from_slice(&bytes[(from - start) as usize..(to - start) as usize]);
        }
    }

    /// Writes whole sectors.
    pub fn write(&mut self, pos: u64, bytes: &[u8]) {
        for (i, sector) in bytes.chunks_exact(SECTOR).enumerate() {
            self.sectors.insert(pos / SECTOR as u64 + i as u64, sector.try_into().unwrap());
        }
    }

    fn match_sums(&mut self) {
        let headers: Vec<u64> =
            self.sectors.iter().filter(|(_, bytes)| bytes.starts_with(b"EFI PART")).map(|(at, _)| *at).collect();
        for at in headers {
            let mut header = self.sectors[&at];
            let u32_at = |at: usize| u32::from_le_bytes(header[at..at + 4].try_into().unwrap());
            let own = u64::from_le_bytes(header[24..32].try_into().unwrap());
            // The header lies at sector `own`, in sectors of the medium's size.
            let sector = (at * SECTOR as u64).checked_div(own).filter(|bytes| *bytes <= 4096).unwrap_or(SECTOR as u64);
            let list_at = u64::from_le_bytes(header[72..80].try_into().unwrap()).checked_mul(sector);
            let list_len = u64::from(u32_at(80)) * u64::from(u32_at(84));
            let header_len = u32_at(12) as usize;
            let inside = list_at.and_then(|at| at.checked_add(list_len)).is_some_and(|end| end <= self.size);
            if !inside || list_len > LIST_MAX as u64 || !(20..=SECTOR).contains(&header_len) {
                continue;
            }
            let mut list = vec![0; list_len as usize];
            self.read(list_at.unwrap_or(0), &mut list);
            header[88..92].copy_from_slice(&crc32fast::hash(&list).to_le_bytes());
            header[16..20].fill(0);
            let sum = crc32fast::hash(&header[..header_len]);
            header[16..20].copy_from_slice(&sum.to_le_bytes());
            self.sectors.insert(at, header);
        }
    }
}

impl ReadAt for Image {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let len = self.size.saturating_sub(offset).min(buf.len() as u64) as usize;
        self.read(offset, &mut buf[..len]);
        Ok(len)
    }
}

/// Where boot sectors, partition tables and FSInfo keep their fields: offset and length.
const FIELDS: [(usize, usize); 37] = [
    (0, 1),
    (3, 8),
    (11, 2),
    (13, 1),
    (14, 2),
    (16, 1),
    (17, 2),
    (19, 2),
    (21, 1),
    (22, 2),
    (28, 4),
    (32, 4),
    (36, 4),
    (40, 2),
    (42, 2),
    (44, 4),
    (48, 2),
    (50, 2),
    (65, 1),
    (66, 1),
    (67, 4),
    (82, 1),
    (446, 1),
    (450, 1),
    (454, 4),
    (458, 4),
    (466, 1),
    (470, 4),
    (474, 4),
    (482, 4),
    (488, 4),
    (492, 4),
    (510, 2),
    (24, 8),
    (72, 8),
    (80, 4),
    (84, 4),
];
/// Fields of a slot in a folder.
const SLOT_FIELDS: [(usize, usize); 9] = [(0, 1), (1, 1), (8, 3), (11, 1), (12, 1), (13, 1), (20, 2), (26, 2), (28, 4)];
const SLOT: usize = 32;

/// Changes a sector's fields, entries or slots, or which sectors there are.
pub fn mutate(data: &mut Vec<u8>, dice: &mut Dice) {
    if data.len() < HEAD + RECORD {
        data.resize(HEAD + RECORD, 0);
    }
    for _ in 0..=dice.below(4) {
        let count = (data.len() - HEAD) / RECORD;
        let start = HEAD + dice.below(count) * RECORD;
        match dice.below(16) {
            0 => mutate::number_at(&mut data[..FLAGS_AT], dice),
            1 => data[FLAGS_AT] ^= FLAG_SUMS,
            2 => mutate::number_at(&mut data[start..start + 4], dice),
            3 if count > 1 => drop(data.drain(start..start + RECORD)),
            4 => {
                // A sector that another one has, somewhere near it.
                let mut copy = data[start..start + RECORD].to_vec();
                mutate::number_at(&mut copy[..4], dice);
                data.extend(copy);
            }
            _ => sector(&mut data[start + 4..start + RECORD], dice),
        }
    }
}

fn sector(bytes: &mut [u8], dice: &mut Dice) {
    let slot = dice.below(SECTOR / SLOT) * SLOT;
    match dice.below(6) {
        0 => mutate::number(bytes, dice),
        1 => entry(bytes, dice),
        2 => {
            let (at, len) = *dice.pick(&SLOT_FIELDS);
            mutate::number_at(&mut bytes[slot + at..slot + at + len], dice);
        }
        3 => {
            let from = dice.below(SECTOR / SLOT) * SLOT;
            bytes.copy_within(from..from + SLOT, slot);
        }
        _ => {
            let (at, len) = *dice.pick(&FIELDS);
            mutate::number_at(&mut bytes[at..at + len], dice);
        }
    }
}

/// An entry of an allocation table: free, bad, the end, or a cluster near the beginning.
fn entry(bytes: &mut [u8], dice: &mut Dice) {
    let at = dice.below(SECTOR / 4) * 4;
    let values = [0, 1, 0x0fff_fff7, 0x0fff_fff8, 0x0fff_ffff, dice.length(300) as u32, dice.next() as u32];
    bytes[at..at + 4].copy_from_slice(&dice.pick(&values).to_le_bytes());
}
