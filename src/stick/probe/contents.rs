//! What lies in a FAT volume: its root folder, and whose backups are in `TILLSTICK`.

use std::collections::HashMap;
use std::io::{self, Read};

use super::boot::{Fat, u32_at};
use super::chain::{Chains, Folder, Raw, unreadable};
use super::medium::Bounded;
use super::view;
use crate::policy::stick::{FsKind, Problem, RootEntry, StickNote, VolumeFacts};
use crate::policy::tse;

/// The folder that is ours on every stick.
const OURS: &str = "TILLSTICK";
/// The file in it that says whose the stick is.
const NOTE: &str = "stick.json";
/// Names of the root folder that are kept; names that give away a TSE are kept beyond it.
pub(super) const ROOT_MAX: usize = 512;
/// Names of boxes that are kept.
pub(super) const BOXES_MAX: usize = 64;
/// Files in our folder of which the chains are walked; those there are small and few.
const FILES_MAX: usize = 64;
/// The largest file in our folder of which the chain is walked, in bytes.
const FILE_MAX: u32 = 1 << 20;

/// Reads the volume at `volume.offset` and adds what is found to `volume`.
pub(super) fn read(medium: &mut Bounded, fat: &Fat, volume: &mut VolumeFacts) {
    if let Err(problem) = read_root(medium, fat, volume) {
        // What the boot sector said comes first: it explains the rest.
        volume.problem.get_or_insert(problem);
    }
    volume.root.truncate(ROOT_MAX);
}

fn read_root(medium: &mut Bounded, fat: &Fat, volume: &mut VolumeFacts) -> Result<(), Problem> {
    let base = volume.offset;
    volume.free = free(medium, fat, base);
    let mut chains = Chains::new(fat, base);
    let ranges = match fat.kind {
        FsKind::Fat32 => ranges(fat, base, &chains.folder(medium, "/", fat.root_cluster)?),
        _ => vec![(base + fat.bytes(fat.data_sector - fat.root_sectors), fat.bytes(fat.root_sectors) as u32)],
    };
    let root = Folder::read(medium, fat, ranges.into_iter()).map_err(|error| unreadable(&error))?;
    volume.label = root.label.as_ref().and_then(label_text);
    // The short names stand even if the long ones turn out to be unreadable: they are enough to know a TSE.
    volume.root = entries(&root.entries, root.entries.iter().map(Raw::short));
    let named = names(medium, base, fat, None).and_then(|names| matched(&root.entries, names))?;
    volume.root = entries(&root.entries, named.iter().cloned());
    let ours = named.iter().zip(&root.entries).position(|(name, raw)| raw.is_dir && name.eq_ignore_ascii_case(OURS));
    let result = match ours {
        Some(index) => read_ours(medium, fat, volume, &mut chains, (index, root.entries[index].cluster)),
        None => Ok(()),
    };
    shared_starts(&chains, fat, &root.entries, &named, volume)?;
    result
}

fn read_ours(
    medium: &mut Bounded,
    fat: &Fat,
    volume: &mut VolumeFacts,
    chains: &mut Chains,
    (index, cluster): (usize, u32),
) -> Result<(), Problem> {
    let base = volume.offset;
    let clusters = chains.folder(medium, OURS, cluster)?;
    let ranges = ranges(fat, base, &clusters).into_iter();
    let folder = Folder::read(medium, fat, ranges).map_err(|error| unreadable(&error))?;
    let named = names(medium, base, fat, Some(index)).and_then(|names| matched(&folder.entries, names))?;
    let boxes = named.iter().zip(&folder.entries).filter(|(name, raw)| raw.is_dir && *name != "." && *name != "..");
    volume.boxes = boxes.map(|(name, _)| name.clone()).take(BOXES_MAX).collect();
    let mut walked = 0;
    for (at, (name, raw)) in named.iter().zip(&folder.entries).enumerate() {
        let is_note = name.eq_ignore_ascii_case(NOTE);
        if raw.is_dir || (!is_note && (raw.size > FILE_MAX || walked == FILES_MAX)) {
            continue;
        }
        walked += 1;
        if is_note && raw.size > StickNote::MAX {
            volume.owner_problem = Some(format!("it is longer than {} bytes", StickNote::MAX));
            continue;
        }
        match chains.file(medium, &format!("{OURS}/{name}"), raw.cluster, raw.size) {
            // A chain that runs into a folder endangers that folder; one that is merely broken is written anew.
            Err(problem @ Problem::CrossLink { .. }) if leads_into_folder(&problem) => return Err(problem),
            Err(problem) => {
                if is_note {
                    volume.owner_problem = Some(problem.to_string());
                }
                volume.flaws.push(problem);
            }
            Ok(_) if is_note && volume.owner.is_none() => read_note(medium, fat, volume, index, at),
            Ok(_) => {}
        }
    }
    Ok(())
}

fn leads_into_folder(problem: &Problem) -> bool {
    matches!(problem, Problem::CrossLink { first, .. } if first == "/" || first == OURS)
}

fn read_note(medium: &mut Bounded, fat: &Fat, volume: &mut VolumeFacts, ours: usize, at: usize) {
    let mut read = || -> io::Result<Vec<u8>> {
        let fs = view::open(medium, volume.offset, fat)?;
        let folder = nth(&fs.root_dir(), ours)?.to_dir();
        let mut bytes = Vec::new();
        nth(&folder, at)?.to_file().take(u64::from(StickNote::MAX)).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    match read().map_err(|error| error.to_string()).and_then(|bytes| StickNote::parse(&bytes)) {
        Ok(note) => volume.owner = Some(note),
        Err(why) => volume.owner_problem = Some(why),
    }
}

/// Finds names of the root folder that lead into data which a walked chain owns, or to the same data.
fn shared_starts(
    chains: &Chains,
    fat: &Fat,
    raw: &[Raw],
    named: &[String],
    volume: &mut VolumeFacts,
) -> Result<(), Problem> {
    let mut starts = HashMap::new();
    for (name, raw) in named.iter().zip(raw).filter(|(_, raw)| fat.has(raw.cluster)) {
        let owner = chains.owner(raw.cluster).filter(|owner| !name.eq_ignore_ascii_case(owner));
        let first = starts.insert(raw.cluster, name).map(String::as_str).or(owner);
        let Some(first) = first else { continue };
        let problem = Problem::CrossLink { first: first.to_owned(), second: name.clone() };
        if raw.is_dir || leads_into_folder(&problem) {
            return Err(problem);
        }
        if volume.flaws.len() < FILES_MAX {
            volume.flaws.push(problem);
        }
    }
    Ok(())
}

/// The long names of the root folder, or of the folder that is its entry number `folder`, with their short names.
fn names(medium: &mut Bounded, base: u64, fat: &Fat, folder: Option<usize>) -> Result<Vec<Named>, Problem> {
    let mut list = || -> io::Result<Vec<Named>> {
        let fs = view::open(medium, base, fat)?;
        let dir = match folder {
            None => fs.root_dir(),
            Some(index) => nth(&fs.root_dir(), index)?.to_dir(),
        };
        dir.iter().map(|entry| entry.map(|entry| named(entry.file_name(), entry.short_file_name()))).collect()
    };
    list().map_err(|error| unreadable(&error))
}

/// The long name as the kernel sees it, which ends at a NUL; `fatfs` gives the short one where there is none.
fn named(name: String, short: String) -> Named {
    if name.eq_ignore_ascii_case(&short) {
        return (name, short);
    }
    let long = name.split('\0').next().filter(|long| !long.is_empty()).unwrap_or(&short);
    (long.to_owned(), short)
}

/// A long name and its short name.
type Named = (String, String);

fn nth<'a, 'b, 'm>(
    dir: &fatfs::Dir<'a, view::View<'b, 'm>>,
    index: usize,
) -> io::Result<fatfs::DirEntry<'a, view::View<'b, 'm>>> {
    dir.iter().nth(index).unwrap_or_else(|| Err(io::Error::from(io::ErrorKind::NotFound)))
}

/// The long names, if they belong to exactly these entries.
fn matched(raw: &[Raw], names: Vec<Named>) -> Result<Vec<String>, Problem> {
    let same = raw.len() == names.len() && raw.iter().zip(&names).all(|(raw, (_, short))| raw.short() == *short);
    if !same {
        return Err(Problem::Contradiction("the names of a folder contradict each other".into()));
    }
    Ok(names.into_iter().map(|(long, _)| long).collect())
}

/// Entries for the facts: those that give away a TSE first, so that no limit can hide them.
fn entries(raw: &[Raw], names: impl Iterator<Item = String>) -> Vec<RootEntry> {
    let mut entries: Vec<RootEntry> = names
        .zip(raw)
        .map(|(name, raw)| RootEntry { name, size: if raw.is_dir { 0 } else { raw.size }, is_dir: raw.is_dir })
        .collect();
    entries.sort_by_key(|entry| tse::maker_of_file(&entry.name).is_none());
    entries
}

fn ranges(fat: &Fat, base: u64, clusters: &[u32]) -> Vec<(u64, u32)> {
    clusters.iter().map(|cluster| (base + fat.at(*cluster), fat.cluster_bytes())).collect()
}

/// A label as text; `NO NAME` is what formatters write when there is none.
pub(super) fn label_text(label: &[u8; 11]) -> Option<String> {
    let text: String = label.iter().map(|b| if b.is_ascii() { char::from(*b) } else { '\u{fffd}' }).collect();
    let text = text.trim_end_matches([' ', '\0']);
    (!text.is_empty() && text != "NO NAME").then(|| text.to_owned())
}

/// Free bytes as FSInfo counts them, unless that cannot be true.
fn free(medium: &mut Bounded, fat: &Fat, base: u64) -> Option<u64> {
    if fat.kind != FsKind::Fat32 || fat.info_sector >= fat.reserved_sectors {
        return None;
    }
    let info = medium.bytes(base + fat.bytes(fat.info_sector), 512).ok()?;
    let signed = info[..4] == *b"RRaA" && info[484..488] == *b"rrAa";
    let clusters = u32_at(&info, 488);
    (signed && clusters <= fat.clusters).then(|| u64::from(clusters) * u64::from(fat.cluster_bytes()))
}
