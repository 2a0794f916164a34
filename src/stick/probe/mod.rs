//! What lies on a stick: partitions, file systems, the root folder, whose backups. Strictly read-only and bounded:
//! whatever the bytes are, this ends in time, allocates little and writes nothing.

pub mod apart;
mod boot;
mod chain;
mod contents;
mod medium;
mod table;
mod view;

use std::io;

pub use medium::{Limits, ReadAt};

use self::boot::Boot;
use self::medium::Bounded;
use self::table::{Part, Table};
use crate::error::{Context, Result};
use crate::policy::stick::{FsKind, PartitionTable, Problem, VolumeFacts};

/// How a medium is divided, and what is in each volume.
pub type Layout = (PartitionTable, Vec<VolumeFacts>);

/// Reads how a medium of `size` bytes is divided and what is in each volume.
///
/// An error means that not even its beginning could be read; what goes wrong in one volume is told in its facts.
pub fn probe(medium: &dyn ReadAt, size: u64, limits: &Limits) -> Result<Layout> {
    if size < 512 {
        return Ok((PartitionTable::None, Vec::new()));
    }
    let mut medium = Bounded::new(medium, size, *limits);
    divide(&mut medium).context(|| "cannot read the beginning of the medium".to_owned())
}

fn divide(medium: &mut Bounded) -> io::Result<Layout> {
    let whole = Part { offset: 0, size: medium.size() };
    Ok(match table::read(medium)? {
        Table::None => (PartitionTable::None, vec![volume(medium, whole)]),
        Table::Damaged => match boot::look(medium, 0, whole.size)? {
            // Boot code can look like a table; a file system that holds says what it is.
            Boot::Fat(_) | Boot::Other(FsKind::ExFat | FsKind::Ntfs) => {
                (PartitionTable::None, vec![volume(medium, whole)])
            }
            _ => (PartitionTable::Damaged, Vec::new()),
        },
        Table::Gpt { backup, parts } => (PartitionTable::Gpt { backup }, volumes(medium, &parts)),
        Table::Mbr(readings) => mbr(medium, whole, &readings)?,
    })
}

/// Chooses between the sector sizes in which an MBR may count, and a file system that begins in the same sector.
fn mbr(medium: &mut Bounded, whole: Part, readings: &[Vec<Part>]) -> io::Result<Layout> {
    let mut found = Vec::new();
    for parts in readings {
        let volumes = volumes(medium, parts);
        let known = volumes.iter().any(|volume| !matches!(volume.kind, FsKind::Unknown | FsKind::Blank));
        if known || found.is_empty() {
            found = volumes;
        }
        if known {
            break;
        }
    }
    let known = found.iter().any(|volume| !matches!(volume.kind, FsKind::Unknown | FsKind::Blank));
    let without_table =
        matches!(boot::look(medium, 0, whole.size)?, Boot::Fat(_) | Boot::Other(FsKind::ExFat | FsKind::Ntfs));
    if !without_table {
        return Ok((PartitionTable::Mbr, found));
    }
    let mut single = volume(medium, whole);
    if !known {
        return Ok((PartitionTable::None, vec![single]));
    }
    // One system would use the partitions, another the whole device: neither may be written to.
    single.problem = Some(Problem::Ambiguous);
    found.iter_mut().for_each(|volume| volume.problem = Some(Problem::Ambiguous));
    found.insert(0, single);
    Ok((PartitionTable::Mbr, found))
}

fn volumes(medium: &mut Bounded, parts: &[Part]) -> Vec<VolumeFacts> {
    let overlaps = |index: usize, part: &Part| {
        parts.iter().enumerate().any(|(i, other)| i != index && part.offset < other.end() && other.offset < part.end())
    };
    let mut volumes = Vec::new();
    for (index, part) in parts.iter().enumerate() {
        let mut found = volume(medium, *part);
        if overlaps(index, part) {
            found.problem = Some(Problem::Overlap);
        }
        volumes.push(found);
    }
    volumes
}

fn volume(medium: &mut Bounded, part: Part) -> VolumeFacts {
    let size = part.size.min(medium.size().saturating_sub(part.offset));
    let mut facts = VolumeFacts { offset: part.offset, size, ..VolumeFacts::default() };
    if part.end() > medium.size() {
        facts.problem = Some(Problem::BeyondDevice { end: part.end() });
    }
    match boot::look(medium, part.offset, size) {
        Err(error) => facts.problem = Some(chain::unreadable(&error)),
        Ok(Boot::Other(kind)) => facts.kind = kind,
        Ok(Boot::BadFat(why)) => {
            facts.kind = FsKind::Fat32;
            facts.problem.get_or_insert(Problem::BootSector(why));
        }
        Ok(Boot::Fat(fat)) => {
            facts.kind = fat.kind;
            facts.declared_size = fat.bytes(fat.total_sectors);
            facts.cluster_size = fat.cluster_bytes();
            facts.dirty = fat.dirty;
            facts.boot_label = contents::label_text(&fat.label);
            facts.uuid = (fat.serial != 0).then(|| format!("{:04X}-{:04X}", fat.serial >> 16, fat.serial & 0xffff));
            if let Some(problem) = &fat.problem {
                facts.problem.get_or_insert(problem.clone());
            }
            contents::read(medium, &fat, &mut facts);
        }
    }
    facts
}
