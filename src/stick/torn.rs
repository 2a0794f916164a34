//! What a pull or failing writes left of our own folders and files: names that lead to clusters which are not theirs. The next
//! file would share them, and Linux makes a mounted stick read-only when it meets one.

use std::collections::HashMap;
use std::io;

use super::Volume;
use super::geometry::Geometry;
use super::image::delete_slots;
use super::layout;
use super::medium::{FileMedium, Medium};
use super::overlay::{Order, Overlay};
use super::repair::{depth, is_our_name};
use super::walker::{self, Found, SLOT};
use crate::error::{Context, Result};

/// The first slot of every folder but the root.
const DOT: &[u8; 11] = b".          ";
/// Our own folders go so deep.
const DEPTH: usize = 4;

/// What is to be done about a torn folder.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cure {
    /// Its cluster is free and still holds the folder: it is taken again.
    Take,
    /// It has no cluster of its own: its name goes.
    Drop,
}

/// What is ours on a mounted stick and leads to clusters that are not its own. Empty when all is well.
pub fn on(volume: &Volume) -> Result<Vec<String>> {
    let mut medium = FileMedium::beside(volume)?;
    let mut boot = [0; 512];
    medium.read_at(0, &mut boot).context(|| "cannot read the boot sector".to_owned())?;
    let mut overlay = Overlay::new(Box::new(medium), Geometry::parse(&boot, volume.size)?)?;
    all(&mut overlay).context(|| format!("cannot look through the folders in {:?}", volume.path))
}

/// Has every folder of ours a cluster of its own; tells what was done, a line each. What is dropped frees nothing: its cluster is
/// another's, or free.
pub(super) fn mend(overlay: &mut Overlay) -> io::Result<Vec<String>> {
    let (mut torn, mut done) = (Vec::new(), Vec::new());
    if std::mem::replace(&mut overlay.mended, true) {
        return Ok(done);
    }
    let folders = each(overlay, |_, path, found, cure| {
        torn.extend(cure.map(|cure| (path.to_owned(), found.clone(), cure)));
        Ok(())
    })?;
    for (path, start) in folders {
        if let Some(last) = frayed_after(overlay, start)? {
            overlay.take_one(last)?;
            overlay.commit(Order::Adding(&[]))?;
            done.push(format!("ended the folder \"/{path}\", which was cut short while it grew"));
        }
    }
    for (path, found, cure) in torn {
        if cure == Cure::Take {
            overlay.take_one(found.start)?;
            overlay.commit(Order::Adding(&[]))?;
            done.push(format!("took the cluster of the folder {path:?}, which was cut short, again"));
        } else {
            let counts_first: Vec<u64> = found.sectors(&overlay.geometry).into_iter().rev().collect();
            delete_slots(overlay, &found)?;
            overlay.commit(Order::Removing(&counts_first))?;
            done.push(format!("took away the folder {path:?}, which was cut short"));
        }
    }
    Ok(done)
}

/// The paths of all that is ours and torn: folders, files whose chain leads nowhere or ends too early, and names that share
/// their content.
fn all(overlay: &mut Overlay) -> io::Result<Vec<String>> {
    let (mut torn, mut starts) = (Vec::new(), HashMap::new());
    let folders = each(overlay, |overlay, path, found, cure| {
        let shared = found.start != 0 && starts.insert(found.start, ()).is_some();
        // One that shares nothing may be anybody's.
        let ours = !layout::is_half_of_a_root_part(path);
        if cure.is_some() || shared || ours && !found.is_dir() && !is_chained(overlay, found)? {
            torn.push(path.to_owned());
        }
        Ok(())
    })?;
    for (path, start) in folders {
        torn.extend(frayed_after(overlay, start)?.map(|_| format!("/{path}")));
    }
    Ok(torn)
}

/// The last cluster of a folder that grew by another one of which the table knows nothing yet.
fn frayed_after(overlay: &mut Overlay, first: u32) -> io::Result<Option<u32>> {
    let mut at = first;
    for _ in 0..overlay.geometry.clusters {
        match overlay.next(at)? {
            Some(next) if overlay.geometry.has(next) && overlay.is_unused(next)? => return Ok(Some(at)),
            Some(next) if overlay.geometry.has(next) => at = next,
            _ => break,
        }
    }
    Ok(None)
}

/// Everything of ours, with its path and, for a torn folder, what is to be done about it. Gives the folders that can be
/// looked through, with the clusters in which they begin.
fn each(
    overlay: &mut Overlay,
    mut each: impl FnMut(&mut Overlay, &str, &Found, Option<Cure>) -> io::Result<()>,
) -> io::Result<Vec<(String, u32)>> {
    let mut folders = Vec::new();
    let mut dirs = vec![(String::new(), overlay.geometry.root)];
    while let Some((dir, start)) = dirs.pop() {
        folders.push((dir.clone(), start));
        for found in walker::folder(overlay, start)? {
            let path = layout::join(&dir, &found.name);
            let ours = match (dir.as_str(), found.is_dir()) {
                ("", true) => layout::same(&found.name, layout::HOME),
                (_, true) => depth(&path) <= DEPTH,
                (dir, false) => is_our_name(dir, &found.name),
            };
            if !ours {
                continue;
            }
            let cure = if found.is_dir() { cure(overlay, &found)? } else { None };
            each(overlay, &path, &found, cure)?;
            if found.is_dir() && cure.is_none() {
                dirs.push((path, found.start));
            }
        }
    }
    Ok(folders)
}

fn cure(overlay: &mut Overlay, folder: &Found) -> io::Result<Option<Cure>> {
    if !overlay.geometry.has(folder.start) {
        return Ok(Some(Cure::Drop));
    }
    let (at, mut slot) = (overlay.geometry.at(folder.start), [0; SLOT]);
    overlay.read(at, &mut slot)?;
    if !slot.starts_with(DOT) {
        return Ok(Some(Cure::Drop));
    }
    Ok(overlay.is_unused(folder.start)?.then_some(Cure::Take))
}

/// Whether the chain comes to its end, and is as long as the file.
fn is_chained(overlay: &mut Overlay, file: &Found) -> io::Result<bool> {
    if file.start == 0 {
        return Ok(file.size == 0);
    }
    let (mut next, mut count) = (Some(file.start), 0);
    while let Some(cluster) = next {
        if !overlay.geometry.has(cluster) || count > u64::from(overlay.geometry.clusters) {
            return Ok(false);
        }
        next = match overlay.next(cluster) {
            Err(error) if error.kind() == io::ErrorKind::InvalidData => return Ok(false),
            other => other?,
        };
        count += 1;
    }
    Ok(count * overlay.geometry.cluster >= u64::from(file.size))
}
