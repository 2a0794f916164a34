//! Nothing is called a success before the medium has shown it. After the last write everything that is remembered of the
//! stick is dropped: the new backup is read once more, as what was written after it may have landed on it, and earlier
//! ones are read that may have been hit.

use super::fs::StickFs;
use super::generations::{Denied, Generation, Survey, matches, survey};
use super::{layout, sums};
use crate::error::{Context, Error, Kind, Result};
use crate::model::{BackupId, Manifest, Run};
use crate::policy::reread;

/// What was there before the new backup, and what of it was freed for it.
pub(super) struct Earlier<'a> {
    pub(super) found: &'a Survey,
    pub(super) new: &'a Manifest,
    pub(super) freed: Vec<BackupId>,
}

impl Earlier<'_> {
    /// The backups that must still be there, of every box.
    fn kept(&self) -> impl Iterator<Item = &Generation> {
        let same_box = |old: &Generation| layout::same(old.manifest.box_name.as_str(), self.new.box_name.as_str());
        let goes = move |old: &Generation| *old.id() == self.new.id || self.freed.contains(old.id());
        self.found.generations().filter(move |old| old.is_complete() && !(same_box(old) && goes(old)))
    }
}

/// Looks at the stick anew. The new backup must be there and whole, and so must be what was there before, and the list of
/// sums, unless it is another's. Gives the paths of the new one's files.
pub(super) fn confirm(
    fs: &mut dyn StickFs,
    manifest_bytes: &[u8],
    earlier: &Earlier,
    list: Option<&str>,
    run: &Run,
) -> Result<Vec<String>> {
    fs.look_again()?;
    let found = survey(fs, &Denied::new()).context(|| "cannot read what was written to the stick".to_owned())?;
    let own = found.generations().find(|own| own.bytes == manifest_bytes && own.is_complete());
    let own = own.ok_or_else(|| distrust("the new backup is not there any more"))?;
    if !is_whole(fs, own, run)? {
        withdraw(fs, own);
        return Err(distrust("the new backup is not what was written"));
    }
    let mut there = Vec::new();
    for old in earlier.kept() {
        let now = now(&found, old).ok_or_else(|| distrust(&format!("the backup {} is gone", old.id())))?;
        there.push((now, now.manifest.size()));
    }
    for (old, _) in reread::choose(&there, &earlier.new.id, earlier.new.size()) {
        if !is_whole(fs, old, run)? {
            return Err(distrust(&format!("the backup {} is not what was written", old.id())));
        }
    }
    if let Some(list) = list
        && !sums::says(fs, list)?
    {
        return Err(distrust(&format!("{} is not what was written", layout::SUMS)));
    }
    Ok(own.pieces().map(|piece| piece.path.clone()).collect())
}

/// Adds to an error the names of all earlier backups that are damaged, and what helps.
pub(super) fn name_damaged(fs: &mut dyn StickFs, earlier: &Earlier, error: Error, run: &Run) -> Error {
    let _ = fs.look_again();
    let found = survey(fs, &Denied::new()).ok();
    let mut damaged: Vec<String> = Vec::new();
    for old in earlier.kept() {
        let now = found.as_ref().and_then(|found| now(found, old));
        if !now.is_some_and(|now| is_whole(fs, now, run).unwrap_or(false)) {
            damaged.push(format!("{} of {}", old.id(), old.manifest.box_name));
        }
    }
    match (damaged.is_empty(), error.remedy()) {
        (true, Some(_)) => error,
        (true, None) => distrust("its file system is damaged").because(error),
        (false, _) => distrust(&format!("damaged are its earlier backups {}", damaged.join(", "))).because(error),
    }
}

/// The backup as it is now, if it is there with all its files.
fn now<'a>(found: &'a Survey, old: &Generation) -> Option<&'a Generation> {
    found.generations().find(|now| now.bytes == old.bytes && now.is_complete())
}

fn is_whole(fs: &mut dyn StickFs, generation: &Generation, run: &Run) -> Result<bool> {
    for (artifact, pieces) in generation.manifest.artifacts.iter().zip(&generation.files) {
        let paths: Vec<String> = pieces.iter().map(|piece| piece.path.clone()).collect();
        if !matches(fs, artifact, &paths, run)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Takes what is wrong out of sight, if the stick still lets us.
fn withdraw(fs: &mut dyn StickFs, generation: &Generation) {
    for piece in generation.pieces() {
        let _ = fs.hide(&piece.path);
    }
}

fn distrust(what: &str) -> Error {
    Error::new(Kind::Damaged, format!("the stick does not keep what is written to it: {what}")).help(
        "it is worn out or a fake; use another stick, and look at this one's backups with `tillstick check --stick`",
    )
}
