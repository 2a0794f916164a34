//! Reads FAT folders entry by entry: where each entry's bytes lie, its attributes and its first cluster.

use std::io;

use super::fs::ENTRIES_MAX;
use super::geometry::Geometry;
use super::layout;
use super::overlay::Overlay;

/// The length of a folder's slot, in bytes.
pub(super) const SLOT: usize = 32;
/// Where a slot keeps its attributes.
pub(super) const ATTR_AT: u64 = 11;
/// Out of sight for people and for `fsck`'s, Windows' and our own listing alike.
pub(super) const HIDDEN: u8 = 0x02 | 0x04;
const LABEL: u8 = 0x08;
const FOLDER: u8 = 0x10;
const LONG: u8 = 0x0f;
const DELETED: u8 = 0xe5;

/// One entry: a short name and, before it, the slots of its long name.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) name: String,
    short: String,
    pub(super) attributes: u8,
    pub(super) start: u32,
    pub(super) size: u32,
    /// Where its slots lie, in bytes from the volume's start; the last one is the one that counts.
    pub(super) slots: Vec<u64>,
}

impl Found {
    pub(super) fn is_dir(&self) -> bool {
        self.attributes & FOLDER != 0
    }

    pub(super) fn is_hidden(&self) -> bool {
        self.attributes & HIDDEN != 0
    }

    /// Where the slot lies that holds attributes, start and size.
    pub(super) fn slot(&self) -> u64 {
        *self.slots.last().expect("an entry has at least its own slot")
    }

    /// The sectors of its slots, the one that counts last.
    pub(super) fn sectors(&self, geometry: &Geometry) -> Vec<u64> {
        let mut sectors: Vec<u64> = self.slots.iter().map(|slot| geometry.sector_of(*slot)).collect();
        sectors.dedup();
        sectors
    }

    /// `fatfs` matches both names, so we do.
    pub(super) fn is_called(&self, name: &str) -> bool {
        layout::same(&self.name, name) || layout::same(&self.short, name)
    }
}

/// The entries of the folder that begins at `first`, without label, `.` and `..`.
pub(super) fn folder(overlay: &mut Overlay, first: u32) -> io::Result<Vec<Found>> {
    let (mut found, mut long, mut slots) = (Vec::new(), LongName::default(), Vec::new());
    let (mut cluster, mut seen) = (Some(first), 0);
    let mut content = vec![0; overlay.geometry.cluster as usize];
    while let Some(at) = cluster {
        let start = overlay.geometry.at(at);
        overlay.read(start, &mut content)?;
        for (i, slot) in content.chunks_exact(SLOT).enumerate() {
            let pos = start + (i * SLOT) as u64;
            match (slot[0], slot[11]) {
                (0, _) => return Ok(found),
                (DELETED, _) => long.clear(&mut slots),
                (_, attributes) if attributes & LONG == LONG => {
                    if slot[0] & 0x40 != 0 {
                        long.clear(&mut slots);
                    }
                    long.add(slot);
                    slots.push(pos);
                }
                (_, attributes) if attributes & LABEL != 0 => long.clear(&mut slots),
                _ => {
                    let name = long.take(slot);
                    if name.is_none() {
                        slots.clear();
                    }
                    slots.push(pos);
                    found.extend(entry(slot, name, std::mem::take(&mut slots)));
                }
            }
        }
        seen += content.len() / SLOT;
        if seen >= ENTRIES_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a folder has no end"));
        }
        cluster = overlay.next(at)?;
        // It grew when the stick was pulled: what is in the free cluster may be anybody's old data.
        if let Some(grown) = cluster.filter(|next| overlay.geometry.has(*next))
            && overlay.is_unused(grown)?
        {
            break;
        }
    }
    Ok(found)
}

fn entry(slot: &[u8], long: Option<String>, slots: Vec<u64>) -> Option<Found> {
    let short = short_name(slot);
    let name = long.unwrap_or_else(|| short.clone());
    // A name with a slash would be taken for a path; no system makes one.
    if name == "." || name == ".." || name.contains('/') {
        return None;
    }
    let half = |at: usize| u32::from(u16::from_le_bytes([slot[at], slot[at + 1]]));
    Some(Found {
        name,
        short,
        attributes: slot[11],
        start: half(20) << 16 | half(26),
        size: half(30) << 16 | half(28),
        slots,
    })
}

/// What a slot says of clusters, whatever its name is.
pub(super) enum Slot {
    /// No slot from here on is in use.
    End,
    /// It says nothing: free, a piece of a long name, or the way up.
    Other,
    /// Something begins with a cluster, or with none when that is 0.
    Begins { start: u32, is_dir: bool },
}

/// Reads what a slot says of clusters.
pub(super) fn start(slot: &[u8]) -> Slot {
    match slot[0] {
        0 => Slot::End,
        DELETED => Slot::Other,
        _ if slot[..11] == *b".          " || slot[..11] == *b"..         " => Slot::Other,
        _ if slot[11] & 0x3f == LONG => Slot::Other,
        _ => {
            let half = |at: usize| u32::from(u16::from_le_bytes([slot[at], slot[at + 1]]));
            let is_dir = slot[11] & FOLDER != 0 && slot[11] & LABEL == 0;
            Slot::Begins { start: half(20) << 16 | half(26), is_dir }
        }
    }
}

fn short_name(slot: &[u8]) -> String {
    // Bits 3 and 4 of byte 12: name or ending in lower case, which spares Windows and Linux a long name.
    let text = |bytes: &[u8], lower: bool| -> String {
        let end = bytes.iter().rposition(|b| *b != b' ').map_or(0, |last| last + 1);
        let decode = |b: &u8| if b.is_ascii() { char::from(*b) } else { char::REPLACEMENT_CHARACTER };
        let text: String = bytes[..end].iter().map(decode).collect();
        if lower { text.to_ascii_lowercase() } else { text }
    };
    let (stem, ending) = (text(&slot[..8], slot[12] & 8 != 0), text(&slot[8..11], slot[12] & 16 != 0));
    if ending.is_empty() { stem } else { format!("{stem}.{ending}") }
}

#[derive(Default)]
struct LongName {
    units: Vec<u16>,
    checksum: u8,
    left: u8,
}

impl LongName {
    fn clear(&mut self, slots: &mut Vec<u64>) {
        slots.clear();
        *self = Self::default();
    }

    /// Slots come last piece first, each with the number of those to come.
    fn add(&mut self, slot: &[u8]) {
        let number = slot[0] & 0x1f;
        if slot[0] & 0x40 != 0 {
            (self.checksum, self.left) = (slot[13], number);
        } else if number + 1 != self.left || slot[13] != self.checksum {
            *self = Self::default();
            return;
        } else {
            self.left = number;
        }
        let units = [&slot[1..11], &slot[14..26], &slot[28..32]].concat();
        self.units.splice(0..0, units.chunks_exact(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]])));
    }

    /// The long name that belongs to this short one, if there is one.
    fn take(&mut self, slot: &[u8]) -> Option<String> {
        let name = std::mem::take(self);
        let checksum = slot[..11].iter().fold(0u8, |sum, b| sum.rotate_right(1).wrapping_add(*b));
        // It ends at a NUL, which is followed by filling; a name that fills its last slot has neither.
        let filled = name.units.iter().rposition(|unit| !matches!(unit, 0 | 0xffff)).map_or(0, |last| last + 1);
        let units = name.units[..filled].split(|unit| *unit == 0).next().unwrap_or_default();
        let fits = name.left == 1 && name.checksum == checksum && !units.is_empty();
        fits.then(|| String::from_utf16_lossy(units))
    }
}
