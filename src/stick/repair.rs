//! Finishes or undoes what a pulled stick left behind.
//!
//! A backup is decided when its manifest comes into sight. Before that, what was written for it is removed; from then
//! on, its files are brought to their places. Publishing ends with the same [`settle`].

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::fs::{Entry, StickFs};
use super::generations::{Denied, Generation, Piece, Survey, matches, survey};
use super::layout::{self, Role};
use super::sums;
use crate::error::{Error, Kind, Result};
use crate::model::{ArtifactName, BackupId, FileName, Run};

/// Brings the stick into the state in which publishing leaves it; tells what was done, one line each.
pub fn repair(fs: &mut dyn StickFs, run: &Run) -> Result<Vec<String>> {
    let mut done = fs.mend_folders()?;
    let lost = fs.give_back(layout::NOTE)?;
    if lost > 0 {
        done.push(format!("freed {lost} bytes that an interrupted run had lost"));
    }
    unshare(fs, &mut done)?;
    undo(fs, &mut done)?;
    let mut denied = Denied::new();
    let mut found = prove(fs, &mut denied, run)?;
    remove_rests(fs, &found, &mut done)?;
    if drop_gone(fs, &found, &mut done)? {
        found = survey(fs, &denied)?;
    }
    settle(fs, &found, &mut done)?;
    if !done.is_empty() {
        found = survey(fs, &denied)?;
    }
    if sums::refresh(fs, &found, run)?.anew && !found.boxes.is_empty() {
        done.push("wrote SHA256SUMS anew".to_owned());
    }
    if !done.is_empty() {
        fs.sync()?;
    }
    Ok(done)
}

/// A rename that was cut short leaves two names for one content. One of them goes, before anything else is done to
/// either: removing it, or a file system check, would free or cut the content of both.
fn unshare(fs: &mut dyn StickFs, done: &mut Vec<String>) -> Result<()> {
    let mut by_start: BTreeMap<u32, Vec<(String, bool)>> = BTreeMap::new();
    let mut dirs = vec![String::new()];
    while let Some(dir) = dirs.pop() {
        for entry in fs.list(&dir)? {
            let path = layout::join(&dir, &entry.name);
            if entry.is_dir {
                // Our own folders go four deep; what lies deeper is not ours.
                let ours = if dir.is_empty() { layout::same(&entry.name, layout::HOME) } else { depth(&path) <= 4 };
                dirs.extend(ours.then_some(path));
            } else if let Some(start) = entry.start_cluster.filter(|_| is_our_name(&dir, &entry.name)) {
                by_start.entry(start).or_default().push((path, entry.hidden));
            }
        }
    }
    for mut sharing in by_start.into_values().filter(|sharing| sharing.len() > 1) {
        // What is in sight stays, else what has its final name, else what has come further on its way.
        let is_part = |path: &str| path.ends_with(layout::PART) || layout::is_half_of_a_root_part(path);
        sharing.sort_by_key(|(path, hidden)| (*hidden, is_part(path), 9 - depth(path)));
        for (path, hidden) in &sharing[1..] {
            if *hidden {
                fs.forget(path)?;
                done.push(format!("took away {path:?}, a second name for {:?}", sharing[0].0));
            }
        }
    }
    Ok(())
}

pub(super) fn depth(path: &str) -> usize {
    path.split('/').count()
}

pub(super) fn is_our_name(dir: &str, name: &str) -> bool {
    !dir.is_empty()
        || layout::parse_root_part(name).is_some()
        || layout::parse_artifact(name).is_some()
        || layout::is_half_of_a_root_part(name)
        || is_sums(name)
}

fn is_sums(name: &str) -> bool {
    layout::same(name, layout::SUMS) || layout::same(name, &format!("{}{}", layout::SUMS, layout::PART))
}

/// Removes what was begun and not decided, and finishes what was being freed.
fn undo(fs: &mut dyn StickFs, done: &mut Vec<String>) -> Result<()> {
    let mut decided = HashSet::new();
    for folder in fs.list(layout::HOME)?.into_iter() {
        match folder.name.parse::<FileName>() {
            Ok(name) if folder.is_dir => decided.extend(undo_in_box(fs, &name, done)?),
            _ if [layout::README, layout::STICK].iter().any(|path| is_rest(layout::split(path).1, &folder)) => {
                remove(fs, &layout::join(layout::HOME, &folder.name), done)?;
            }
            _ => {}
        }
    }
    for entry in fs.list("")?.into_iter().filter(|entry| !entry.is_dir) {
        let undecided = layout::parse_root_part(&entry.name).is_some_and(|(_, id)| !decided.contains(&id));
        if undecided || is_rest(layout::SUMS, &entry) {
            remove(fs, &entry.name, done)?;
        }
    }
    Ok(())
}

/// Whether the entry is what an interrupted write of the small file `name` left.
fn is_rest(name: &str, entry: &Entry) -> bool {
    let part = layout::same(&entry.name, &format!("{name}{}", layout::PART));
    !entry.is_dir && (part || entry.hidden && layout::same(&entry.name, name))
}

fn undo_in_box(fs: &mut dyn StickFs, name: &FileName, done: &mut Vec<String>) -> Result<BTreeSet<BackupId>> {
    let dir = layout::box_dir(name);
    let files: Vec<(Role, BackupId, bool, String)> = fs
        .list(&dir)?
        .into_iter()
        .filter(|entry| !entry.is_dir)
        .filter_map(|entry| {
            let (role, id, part) = layout::parse_box_file(&entry.name)?;
            Some((role, id, part || entry.hidden, layout::join(&dir, &entry.name)))
        })
        .collect();
    let manifests = |rest: bool| {
        let wanted = move |file: &&(Role, BackupId, bool, String)| file.0 == Role::Manifest && file.2 == rest;
        files.iter().filter(wanted).map(|file| file.1.clone()).collect::<BTreeSet<_>>()
    };
    let decided = manifests(false);
    for id in manifests(true).difference(&decided) {
        remove_backup(fs, name, id)?;
        done.push(format!("removed the rest of the backup {id} of {name}"));
    }
    for (role, id, rest, path) in &files {
        // With the backup's own rests gone, these are: second copies, and companions of a manifest that never came.
        let left = decided.contains(id) && *rest || *role == Role::Companion && !decided.contains(id);
        if left && has(fs, path)? {
            remove(fs, path, done)?;
        }
    }
    Ok(decided)
}

fn has(fs: &mut dyn StickFs, path: &str) -> Result<bool> {
    let (dir, name) = layout::split(path);
    Ok(fs.list(dir)?.iter().any(|entry| layout::same(&entry.name, name)))
}

fn remove(fs: &mut dyn StickFs, path: &str, done: &mut Vec<String>) -> Result<()> {
    fs.remove(path)?;
    done.push(format!("removed {path:?}, which was not finished"));
    Ok(())
}

/// Takes a backup off the stick: its manifest goes out of sight first and off the stick last.
pub(super) fn free(fs: &mut dyn StickFs, box_name: &FileName, generation: &Generation) -> Result<()> {
    let manifest = layout::manifest(box_name, generation.id());
    fs.hide(&manifest)?;
    // Where nothing can be hidden, the name must tell.
    fs.rename(&manifest, &format!("{manifest}{}", layout::PART))?;
    let paths: Vec<String> = generation.pieces().map(|piece| piece.path.clone()).collect();
    remove_all(fs, &paths)?;
    remove_backup(fs, box_name, generation.id())
}

/// Removes the files of a backup whose manifest is out of sight, and the manifest last.
fn remove_backup(fs: &mut dyn StickFs, box_name: &FileName, id: &BackupId) -> Result<()> {
    let dir = layout::backup_dir(box_name, id);
    let held = fs.list(&dir)?;
    let ours = held.iter().filter(|entry| !entry.is_dir && layout::parse_artifact(&entry.name).is_some());
    let paths: Vec<String> = ours.map(|entry| layout::join(&dir, &entry.name)).collect();
    let emptied = paths.len() == held.len();
    remove_all(fs, &paths)?;
    if emptied && has(fs, &dir)? {
        fs.remove(&dir)?;
    }
    let box_dir = layout::box_dir(box_name);
    let mut files: Vec<(bool, String)> = fs
        .list(&box_dir)?
        .into_iter()
        .filter_map(|entry| {
            let (role, of, _) = layout::parse_box_file(&entry.name)?;
            (of == *id && !entry.is_dir).then(|| (role == Role::Manifest, layout::join(&box_dir, &entry.name)))
        })
        .collect();
    files.sort();
    files.iter().try_for_each(|(_, path)| fs.remove(path))
}

/// All out of sight before the first is gone: pieces in sight are all there.
fn remove_all(fs: &mut dyn StickFs, paths: &[String]) -> Result<()> {
    paths.iter().try_for_each(|path| fs.hide(path))?;
    paths.iter().try_for_each(|path| fs.remove(path))
}

/// Looks at the stick, and reads what a yank may have spoiled or what could be taken for another backup's file.
/// What is not what its manifest says is no longer taken for it.
fn prove(fs: &mut dyn StickFs, denied: &mut Denied, run: &Run) -> Result<Survey> {
    let mut proven = HashSet::new();
    loop {
        let found = survey(fs, denied)?;
        let known = denied.len();
        for generation in found.generations() {
            for (artifact, pieces) in generation.manifest.artifacts.iter().zip(&generation.files) {
                let settled = pieces.iter().all(|piece| piece.in_sight) && !is_sought(&found, pieces, artifact.size);
                let paths: Vec<String> = pieces.iter().map(|piece| piece.path.clone()).collect();
                if settled || proven.contains(&(generation.id().clone(), paths.clone())) {
                    continue;
                }
                if matches(fs, artifact, &paths, run)? {
                    proven.insert((generation.id().clone(), paths));
                } else {
                    denied.extend(paths.into_iter().map(|path| (generation.id().clone(), path)));
                }
            }
        }
        if denied.len() == known {
            return Ok(found);
        }
    }
}

/// Whether files in the root may be the very ones that some backup lacks: names and sizes alone cannot tell.
fn is_sought(found: &Survey, pieces: &[Piece], size: u64) -> bool {
    let lacks = |generation: &Generation| {
        let pairs = generation.manifest.artifacts.iter().zip(&generation.files);
        pairs.into_iter().any(|(artifact, files)| files.is_empty() && artifact.size == size)
    };
    pieces.iter().any(|piece| !piece.path.contains('/')) && found.generations().any(lacks)
}

/// Removes hidden files that bear our names and belong to no backup: what a file system check cut short, for one.
fn remove_rests(fs: &mut dyn StickFs, found: &Survey, done: &mut Vec<String>) -> Result<()> {
    let mut rests: Vec<String> = Vec::new();
    let named = |name: &str| {
        let Some(artifact) = layout::parse_artifact(name) else { return false };
        found.boxes.iter().any(|folder| {
            let names = folder.generations.iter().flat_map(|generation| &generation.manifest.artifacts);
            names.map(|facts| &facts.name).any(|own| bears(&artifact, own, &folder.name))
        })
    };
    for entry in found.root.iter().filter(|entry| !entry.is_dir && !found.claims(&entry.name)) {
        if layout::parse_root_part(&entry.name).is_some() || entry.hidden && named(&entry.name) {
            rests.push(entry.name.clone());
        }
    }
    for folder in &found.boxes {
        for generation in &folder.generations {
            let dir = layout::backup_dir(&folder.name, generation.id());
            let hidden = fs.list(&dir)?.into_iter().filter(|entry| entry.hidden && !entry.is_dir);
            rests.extend(hidden.map(|entry| layout::join(&dir, &entry.name)).filter(|path| !found.claims(path)));
        }
    }
    rests.iter().try_for_each(|path| remove(fs, path, done))
}

fn bears(name: &ArtifactName, own: &ArtifactName, box_name: &FileName) -> bool {
    layout::same(name.as_str(), own.as_str()) || layout::same(name.as_str(), own.for_box(box_name).as_str())
}

/// Drops the manifests of backups of which no file is left, and reports those that lack some.
fn drop_gone(fs: &mut dyn StickFs, found: &Survey, done: &mut Vec<String>) -> Result<bool> {
    let mut dropped = false;
    for folder in &found.boxes {
        for generation in &folder.generations {
            if generation.pieces().next().is_none() {
                free(fs, &folder.name, generation)?;
                done.push(format!("dropped the backup {} of {}: its files are gone", generation.id(), folder.name));
                dropped = true;
            } else if !generation.is_complete() {
                done.push(format!("the backup {} of {} lacks a file", generation.id(), folder.name));
            }
        }
    }
    Ok(dropped)
}

/// Brings the files of every backup to their places: the newest of a box into the root, the others into their folders.
/// What has been found and is moved here is known to be right.
pub(super) fn settle(fs: &mut dyn StickFs, found: &Survey, done: &mut Vec<String>) -> Result<()> {
    for folder in &found.boxes {
        let Some((newest, older)) = folder.generations.split_first() else { continue };
        for generation in older.iter().rev() {
            let dir = layout::backup_dir(&folder.name, generation.id());
            for (artifact, pieces) in generation.manifest.artifacts.iter().zip(&generation.files) {
                if !pieces.is_empty() && !is_seated(pieces, |piece| in_dir(piece, &dir)) {
                    fs.make_dir(&layout::backups_dir(&folder.name))?;
                    fs.make_dir(&dir)?;
                    seat(fs, pieces, |ending| format!("{dir}/{}{ending}", artifact.name))?;
                    done.push(format!("put {} of {} among the earlier backups", artifact.name, generation.id()));
                }
            }
        }
        for (artifact, pieces) in newest.manifest.artifacts.iter().zip(&newest.files) {
            if !pieces.is_empty() && !is_seated(pieces, |piece| !piece.path.contains('/')) {
                let name = free_name(fs, &artifact.name, &folder.name, pieces)?;
                seat(fs, pieces, |ending| format!("{name}{ending}"))?;
                done.push(format!("put {name} of {} into its place", newest.id()));
            }
        }
    }
    Ok(())
}

fn in_dir(piece: &Piece, dir: &str) -> bool {
    layout::same(layout::split(&piece.path).0, dir)
}

fn is_seated(pieces: &[Piece], in_place: impl Fn(&Piece) -> bool) -> bool {
    pieces.iter().all(|piece| piece.in_sight && in_place(piece))
}

/// All out of sight, then all under their names, then into sight, the first piece last: whoever sees it has them all.
fn seat(fs: &mut dyn StickFs, pieces: &[Piece], place: impl Fn(&str) -> String) -> Result<()> {
    sums::withdraw(fs)?;
    pieces.iter().try_for_each(|piece| fs.hide(&piece.path))?;
    for piece in pieces.iter().rev() {
        let to = place(&piece.ending);
        if piece.path != to {
            fs.rename(&piece.path, &to)?;
        }
    }
    pieces.iter().rev().try_for_each(|piece| fs.unhide(&place(&piece.ending)))
}

/// The name for an artifact in the root: the plain one, or the one with the box in it where that is taken by any file
/// but `own`.
pub(super) fn free_name(
    fs: &mut dyn StickFs,
    name: &ArtifactName,
    box_name: &FileName,
    own: &[Piece],
) -> Result<ArtifactName> {
    let root = fs.list("")?;
    let is_own = |entry: &Entry| own.iter().any(|piece| layout::same(&piece.path, &entry.name));
    let taken = |name: &ArtifactName| {
        let bears = |entry: &Entry| {
            let bare = layout::parse_artifact(&entry.name);
            bare.is_some_and(|bare| layout::same(bare.as_str(), name.as_str()))
        };
        root.iter().any(|entry| bears(entry) && !is_own(entry))
    };
    let with_box = name.for_box(box_name);
    match [name, &with_box].into_iter().find(|name| !taken(name)) {
        Some(free) => Ok(free.clone()),
        None => Err(Error::new(
            Kind::Refused,
            format!("{:?} and {:?} on the stick are other files", name.as_str(), with_box.as_str()),
        )
        .help("move them to another place or use another stick; they are never overwritten")),
    }
}
