//! Gives back the clusters that a yank made ours and nobody's: taken in the table, and no name leads to them.
//!
//! Each step notes the clusters it takes or frees before it does so. Of those, only what nobody can have any more is
//! given back: every cluster still has the link that the note names or is free, no other entry of the table links to
//! one, and no name in any folder of the stick begins with one. All of that is found out before the first write.

use std::collections::HashSet;
use std::io;

use super::fs::ENTRIES_MAX;
use super::note::Run;
use super::overlay::{ENTRY, Order, Overlay};
use super::walker::{self, SLOT};

/// More folders than this are not searched: then nothing is given back.
const FOLDERS_MAX: usize = 20_000;
/// How much of the table is read at once, in bytes.
const SCAN_LEN: u64 = 64 << 10;

/// Frees what is lost of the noted clusters, and tells how many they were. On a damaged file system, where nothing can be
/// proven, they are none. What the step had not brought into the copies of the table is brought there.
pub(super) fn give_back(overlay: &mut Overlay, noted: &[Run]) -> io::Result<u64> {
    match lost(overlay, noted) {
        Ok(found) => {
            let count = free(overlay, &found.lost)?;
            let leading = found.leading.into_iter().map(|first| Run { first, len: 1, next: 0 });
            noted.iter().copied().chain(leading).try_for_each(|run| overlay.complete_copies(&run))?;
            Ok(count)
        }
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Ok(0),
        Err(error) => Err(error),
    }
}

/// What became of the noted clusters.
struct Found {
    /// The runs that nobody can have any more.
    lost: Vec<Run>,
    /// Clusters of others that lead to noted ones: a folder that the step made longer.
    leading: Vec<u32>,
}

/// Finds the runs that are lost.
fn lost(overlay: &mut Overlay, noted: &[Run]) -> io::Result<Found> {
    let clusters = u64::from(overlay.geometry.clusters);
    let ends = |run: &Run| u64::from(run.first) + u64::from(run.len);
    if noted.iter().any(|run| run.len == 0 || run.first < 2 || ends(run) > clusters + 2) {
        return Err(damage("the note names clusters that the stick does not have"));
    }
    let mut runs = noted.to_vec();
    runs.sort_by_key(|run| run.first);
    if runs.windows(2).any(|pair| ends(&pair[0]) > u64::from(pair[1].first)) {
        return Err(damage("the note names a cluster twice"));
    }
    let (mut kept, mut leading) = (vec![false; runs.len()], Vec::new());
    let mut keep = |cluster: u32| {
        if let Some(i) = find(&runs, cluster) {
            kept[i] = true;
        }
    };
    keep(overlay.geometry.root);
    each_link(overlay, |cluster, link| match find(&runs, cluster) {
        Some(i) if link == runs[i].link(cluster) => {}
        _ => {
            // It has become part of something else, or something else leads to it.
            keep(cluster);
            keep(link);
            leading.extend(find(&runs, link).map(|_| cluster));
        }
    })?;
    each_start(overlay, keep)?;
    // What a kept run leads to, and what leads to it, is kept with it.
    let links: Vec<(usize, usize)> =
        runs.iter().enumerate().filter_map(|(i, run)| Some((i, find(&runs, run.next)?))).collect();
    while let Some((from, to)) = links.iter().find(|(from, to)| kept[*from] != kept[*to]) {
        (kept[*from], kept[*to]) = (true, true);
    }
    let lost = runs.into_iter().zip(kept).filter(|(_, kept)| !kept).map(|(run, _)| run).collect();
    Ok(Found { lost, leading })
}

fn find(runs: &[Run], cluster: u32) -> Option<usize> {
    let after = runs.partition_point(|run| run.first <= cluster);
    after.checked_sub(1).filter(|i| runs[*i].has(cluster))
}

fn damage(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// Every cluster that is taken, with its link.
fn each_link(overlay: &mut Overlay, mut each: impl FnMut(u32, u32)) -> io::Result<()> {
    let end = (u64::from(overlay.geometry.clusters) + 2) * 4;
    let (mut pos, mut buf) = (8, vec![0; SCAN_LEN as usize]);
    while pos < end {
        let len = (end - pos).min(SCAN_LEN) as usize;
        let at = overlay.geometry.table + pos;
        overlay.medium.read_at(at, &mut buf[..len])?;
        for (cluster, entry) in ((pos / 4) as u32..).zip(buf[..len].chunks_exact(4)) {
            let link = u32::from_le_bytes([entry[0], entry[1], entry[2], entry[3]]) & ENTRY;
            if link != 0 {
                each(cluster, link);
            }
        }
        pos += len as u64;
    }
    Ok(())
}

/// Where every name on the stick begins, anybody's.
fn each_start(overlay: &mut Overlay, mut each: impl FnMut(u32)) -> io::Result<()> {
    let (mut folders, mut known) = (vec![overlay.geometry.root], HashSet::new());
    let mut content = vec![0; overlay.geometry.cluster as usize];
    while let Some(folder) = folders.pop() {
        if !overlay.geometry.has(folder) || !known.insert(folder) || known.len() > FOLDERS_MAX {
            return Err(damage("a folder lies outside of the volume or is met twice, or they are too many"));
        }
        let (mut cluster, mut seen) = (Some(folder), 0);
        'folder: while let Some(at) = cluster {
            overlay.read(overlay.geometry.at(at), &mut content)?;
            for slot in content.chunks_exact(SLOT) {
                match walker::start(slot) {
                    walker::Slot::End => break 'folder,
                    walker::Slot::Other => {}
                    walker::Slot::Begins { start, is_dir } => {
                        each(start);
                        folders.extend(is_dir.then_some(start));
                    }
                }
            }
            seen += content.len() / SLOT;
            if seen >= ENTRIES_MAX {
                return Err(damage("a folder has no end"));
            }
            cluster = overlay.next(at)?;
        }
    }
    Ok(())
}

fn free(overlay: &mut Overlay, lost: &[Run]) -> io::Result<u64> {
    let mut count = 0;
    for run in lost {
        for cluster in run.first..run.first + run.len {
            count += u64::from(overlay.free_one(cluster)?);
        }
    }
    overlay.commit(Order::Removing(&[]))?;
    Ok(count)
}
