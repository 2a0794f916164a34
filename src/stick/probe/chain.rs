//! Cluster chains and raw folder entries, walked with a bound before anybody trusts them: `fatfs` follows a chain that
//! runs in a circle for ever.

use std::collections::HashMap;
use std::io;

use super::boot::{Fat, u32_at};
use super::medium::Bounded;
use crate::policy::stick::{ChainFault, FsKind, Problem};

/// The largest folder that the kernel reads, in bytes.
const FOLDER_MAX: u32 = 2 << 20;
/// Bytes of one folder entry.
const ENTRY: usize = 32;

/// Tells the device's failures from what its bytes say and from our own limits.
pub(super) fn unreadable(error: &io::Error) -> Problem {
    match error.kind() {
        _ if error.raw_os_error().is_some() => Problem::Unreadable(error.to_string()),
        io::ErrorKind::TimedOut => Problem::TooMuch(error.to_string()),
        _ => Problem::Contradiction(error.to_string()),
    }
}

/// The chains that were walked so far in one volume, and who owns which cluster.
pub(super) struct Chains<'a> {
    fat: &'a Fat,
    base: u64,
    owners: HashMap<u32, usize>,
    names: Vec<String>,
}

impl<'a> Chains<'a> {
    /// Chains of the volume that begins at byte `base`.
    pub(super) fn new(fat: &'a Fat, base: u64) -> Self {
        Self { fat, base, owners: HashMap::new(), names: Vec::new() }
    }

    /// The clusters of a folder.
    pub(super) fn folder(&mut self, medium: &mut Bounded, of: &str, first: u32) -> Result<Vec<u32>, Problem> {
        self.walk(medium, of, first, FOLDER_MAX.div_ceil(self.fat.cluster_bytes()), true)
    }

    /// The clusters of a file of `size` bytes.
    pub(super) fn file(&mut self, medium: &mut Bounded, of: &str, first: u32, size: u32) -> Result<Vec<u32>, Problem> {
        match size {
            0 => Ok(Vec::new()),
            size => self.walk(medium, of, first, size.div_ceil(self.fat.cluster_bytes()), false),
        }
    }

    /// Who owns this cluster, among the chains walked so far.
    pub(super) fn owner(&self, cluster: u32) -> Option<&str> {
        self.owners.get(&cluster).and_then(|owner| self.names.get(*owner)).map(String::as_str)
    }

    /// A folder ends with its chain, and may have `most` clusters; a file must have as many and ends there.
    fn walk(
        &mut self,
        medium: &mut Bounded,
        of: &str,
        first: u32,
        most: u32,
        is_folder: bool,
    ) -> Result<Vec<u32>, Problem> {
        let broken = |fault| Problem::Chain { of: of.to_owned(), fault };
        let own = self.names.len();
        self.names.push(of.to_owned());
        let mut clusters = Vec::new();
        let mut next = Link::To(first);
        loop {
            let cluster = match next {
                Link::End if is_folder => return Ok(clusters),
                // A folder that grew when the stick was pulled; its end is what every check of file systems takes it for.
                Link::Free if is_folder && clusters.len() > 1 => {
                    let grown = clusters.pop();
                    self.owners.retain(|cluster, _| Some(*cluster) != grown);
                    return Ok(clusters);
                }
                Link::End => return Err(broken(ChainFault::Short)),
                Link::Free => return Err(broken(ChainFault::Free(clusters.last().copied().unwrap_or(first)))),
                Link::Bad => return Err(broken(ChainFault::Bad(clusters.last().copied().unwrap_or(first)))),
                Link::To(cluster) if !self.fat.has(cluster) => return Err(broken(ChainFault::OutOfRange(cluster))),
                Link::To(cluster) => cluster,
            };
            if clusters.len() as u32 >= most {
                return Err(Problem::TooMuch(format!("the folder {of:?} is larger than {FOLDER_MAX} bytes")));
            }
            match self.owners.insert(cluster, own) {
                None => {}
                Some(owner) if owner == own => return Err(broken(ChainFault::Loop)),
                Some(owner) => {
                    self.owners.insert(cluster, owner);
                    let first = self.names.get(owner).cloned().unwrap_or_default();
                    return Err(Problem::CrossLink { first, second: of.to_owned() });
                }
            }
            clusters.push(cluster);
            if !is_folder && clusters.len() as u32 == most {
                return Ok(clusters);
            }
            next = link(medium, self.fat, self.base, cluster).map_err(|error| unreadable(&error))?;
        }
    }
}

/// What a table entry says.
enum Link {
    To(u32),
    End,
    Free,
    Bad,
}

fn link(medium: &mut Bounded, fat: &Fat, base: u64, cluster: u32) -> io::Result<Link> {
    let table = base + fat.bytes(fat.reserved_sectors);
    let wide = u64::from(cluster);
    let (value, top) = match fat.kind {
        FsKind::Fat32 => (u32_at(&medium.bytes(table + wide * 4, 4)?, 0) & 0x0fff_ffff, 0x0fff_ffff),
        FsKind::Fat16 => {
            let pair = medium.bytes(table + wide * 2, 2)?;
            (u32::from(u16::from_le_bytes([pair[0], pair[1]])), 0xffff)
        }
        _ => {
            let pair = medium.bytes(table + wide + wide / 2, 2)?;
            let both = u32::from(u16::from_le_bytes([pair[0], pair[1]]));
            (if cluster.is_multiple_of(2) { both & 0xfff } else { both >> 4 }, 0xfff)
        }
    };
    Ok(match value {
        0 => Link::Free,
        value if value >= top - 7 => Link::End,
        value if value == top - 8 => Link::Bad,
        value => Link::To(value),
    })
}

/// One short entry of a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Raw {
    pub(super) name: [u8; 11],
    pub(super) is_dir: bool,
    pub(super) cluster: u32,
    pub(super) size: u32,
}

impl Raw {
    /// `TSE_INFO.DAT`; bytes beyond ASCII become U+FFFD, as `fatfs` shows them.
    pub(super) fn short(&self) -> String {
        let mut bytes = self.name;
        if bytes[0] == 0x05 {
            bytes[0] = 0xe5;
        }
        let text = |bytes: &[u8]| -> String {
            let len = bytes.iter().rposition(|byte| *byte != b' ').map_or(0, |last| last + 1);
            bytes[..len].iter().map(|byte| if byte.is_ascii() { char::from(*byte) } else { '\u{fffd}' }).collect()
        };
        let (stem, ending) = (text(&bytes[..8]), text(&bytes[8..]));
        if ending.is_empty() { stem } else { format!("{stem}.{ending}") }
    }
}

/// A folder's entries as they lie on the medium, and its label if it has one.
#[derive(Debug, Default)]
pub(super) struct Folder {
    pub(super) entries: Vec<Raw>,
    pub(super) label: Option<[u8; 11]>,
}

impl Folder {
    /// Reads the entries in the ranges (offset and length in bytes), up to the end mark.
    pub(super) fn read(
        medium: &mut Bounded,
        fat: &Fat,
        ranges: impl Iterator<Item = (u64, u32)>,
    ) -> io::Result<Folder> {
        let mut folder = Folder::default();
        let mut entry = [0; ENTRY];
        for (offset, len) in ranges {
            for at in (0..u64::from(len)).step_by(ENTRY) {
                medium.read(offset + at, &mut entry)?;
                match (entry[0], entry[11]) {
                    (0, _) => return Ok(folder),
                    (0xe5, _) => {}
                    // Parts of long names carry all four of these bits.
                    (_, attributes) if attributes & 0x0f == 0x0f => {}
                    (_, attributes) if attributes & 0x08 != 0 => {
                        folder.label.get_or_insert(name_of(&entry));
                    }
                    (_, attributes) => folder.entries.push(raw(fat, &entry, attributes)),
                }
            }
        }
        Ok(folder)
    }
}

fn name_of(entry: &[u8; ENTRY]) -> [u8; 11] {
    let mut name = [0; 11];
    name.copy_from_slice(&entry[..11]);
    name
}

fn raw(fat: &Fat, entry: &[u8; ENTRY], attributes: u8) -> Raw {
    let low = u32::from(u16::from_le_bytes([entry[26], entry[27]]));
    let high = u32::from(u16::from_le_bytes([entry[20], entry[21]]));
    let cluster = if fat.kind == FsKind::Fat32 { high << 16 | low } else { low };
    Raw { name: name_of(entry), is_dir: attributes & 0x10 != 0, cluster, size: u32_at(entry, 28) }
}
