//! What a pull or failing writes left of our own folders and files: names that lead to clusters which are not theirs. The next
//! file would share them, and Linux makes a mounted stick read-only when it meets one.

use std::collections::HashMap;
use std::io;

use super::layout;
use super::overlay::Overlay;
use super::repair::{depth, is_our_name};
use super::walker::{self, Found, SLOT};

/// The first slot of every folder but the root.
const DOT: &[u8; 11] = b".          ";
/// Our own folders go so deep.
const DEPTH: usize = 4;

/// What is to be done about a torn folder.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Cure {
    /// Its cluster is free and still holds the folder: it is taken again.
    Take,
    /// It has no cluster of its own: its name goes.
    Drop,
}

/// Our folders that are torn; what lies in them is not looked at.
pub(super) fn folders(overlay: &mut Overlay) -> io::Result<Vec<(String, Found, Cure)>> {
    let mut torn = Vec::new();
    each(overlay, |_, path, found, cure| {
        torn.extend(cure.map(|cure| (path.to_owned(), found.clone(), cure)));
        Ok(())
    })?;
    Ok(torn)
}

/// The paths of all that is ours and torn: folders, files whose chain leads nowhere or ends too early, and names that share
/// their content.
pub(super) fn all(overlay: &mut Overlay) -> io::Result<Vec<String>> {
    let (mut torn, mut starts) = (Vec::new(), HashMap::new());
    each(overlay, |overlay, path, found, cure| {
        let shared = found.start != 0 && starts.insert(found.start, ()).is_some();
        if cure.is_some() || shared || !found.is_dir() && !is_chained(overlay, found)? {
            torn.push(path.to_owned());
        }
        Ok(())
    })?;
    Ok(torn)
}

/// Everything of ours, with its path and, for a torn folder, what is to be done about it.
fn each(
    overlay: &mut Overlay,
    mut each: impl FnMut(&mut Overlay, &str, &Found, Option<Cure>) -> io::Result<()>,
) -> io::Result<()> {
    let mut dirs = vec![(String::new(), overlay.geometry.root)];
    while let Some((dir, start)) = dirs.pop() {
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
    Ok(())
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
