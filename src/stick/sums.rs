//! `SHA256SUMS`: every file of a backup that is in sight, so that anybody can check the stick without this program.

use std::collections::BTreeMap;

use super::copy::write_small;
use super::fs::StickFs;
use super::generations::{Denied, Generation, Piece, SUMS_LEN_MAX, Survey, hash, read_small, survey};
use super::layout;
use crate::error::{Context, Result};
use crate::model::{ArtifactFacts, Run};

/// Takes the list out of sight, before the first of its files changes its place. Another's file of that name stays.
pub(super) fn withdraw(fs: &mut dyn StickFs) -> Result<()> {
    if current(fs)?.is_some_and(|text| is_ours(&text)) {
        fs.hide(layout::SUMS)?;
        fs.remove(layout::SUMS)?;
    }
    Ok(())
}

/// The list after [`refresh`].
pub(super) struct Refreshed {
    /// It was written anew.
    pub(super) anew: bool,
    /// What it says; `None` for another's, which stays as it is.
    pub(super) text: Option<String>,
}

/// Writes the list anew where it differs from what is there.
pub(super) fn refresh(fs: &mut dyn StickFs, survey: &Survey, run: &Run) -> Result<Refreshed> {
    let wanted = text(fs, survey, run)?;
    match current(fs)? {
        Some(text) if text == wanted => return Ok(Refreshed { anew: false, text: Some(wanted) }),
        Some(text) if !is_ours(&text) => {
            run.warn("SHA256SUMS on the stick is somebody else's and stays as it is; ours is not written");
            return Ok(Refreshed { anew: false, text: None });
        }
        _ => {}
    }
    withdraw(fs)?;
    if !wanted.is_empty() {
        write_small(fs, layout::SUMS, wanted.as_bytes())?;
    }
    Ok(Refreshed { anew: true, text: Some(wanted) })
}

/// Whether the list says this; one that says nothing is not there.
pub(super) fn says(fs: &mut dyn StickFs, text: &str) -> Result<bool> {
    Ok(current(fs)?.unwrap_or_default() == text)
}

/// Every list of sums on the stick that is not what was written: its path, and what is wrong. None at all is right after a
/// yank, and another's is no concern.
pub fn problems(fs: &mut dyn StickFs, run: &Run) -> Result<Vec<(String, String)>> {
    let survey = survey(fs, &Denied::new())?;
    let mut problems = Vec::new();
    for folder in &survey.boxes {
        for generation in folder.generations.iter().filter(|generation| !is_whole(generation)) {
            let path = layout::sums(&folder.name, generation.id());
            problems.push((path, "it is not what was written beside the manifest".to_owned()));
        }
    }
    let found = current(fs)?.unwrap_or_default();
    let wanted = text(fs, &survey, run)?;
    // A line with one wrong byte still has either its sum or its path.
    let known =
        |line: &str| line.split_once("  ").is_some_and(|(sum, path)| found.contains(sum) || found.contains(path));
    if found != wanted && wanted.lines().any(known) {
        let help = "remove it, and the next backup writes it anew";
        problems.push((layout::SUMS.to_owned(), format!("it does not say what the manifests say; {help}")));
    }
    Ok(problems)
}

/// Whether the list beside a manifest names what it must: the manifest, where it is sealed, and every piece of split files.
fn is_whole(generation: &Generation) -> bool {
    if generation.sums.is_empty() || !generation.is_complete() {
        return true;
    }
    let pairs = generation.manifest.artifacts.iter().zip(&generation.files);
    let pieces = pairs.flat_map(|(artifact, pieces)| {
        let split = pieces.iter().filter(|piece| !piece.ending.is_empty());
        split.map(|piece| format!("{}{}", artifact.name, piece.ending))
    });
    let sums = String::from_utf8_lossy(&generation.sums);
    let named = sums.lines().skip(usize::from(generation.sealed));
    let named = named.map(|line| line.split_once("  ").map_or("", |(_, name)| name));
    sums.ends_with('\n') && named.eq(pieces)
}

/// What is there under that name; what is no text cannot be ours, so a mark that `is_ours` refuses stands for it.
fn current(fs: &mut dyn StickFs) -> Result<Option<String>> {
    let found = fs.list("")?.into_iter().find(|entry| layout::same(&entry.name, layout::SUMS));
    let Some(entry) = found else { return Ok(None) };
    if entry.is_dir || entry.size > SUMS_LEN_MAX {
        return Ok(Some(String::new()));
    }
    let bytes = read_small(fs.read(layout::SUMS)?, entry.size).context(|| "cannot read SHA256SUMS".to_owned())?;
    Ok(Some(String::from_utf8(bytes).unwrap_or_default()))
}

/// Ours names nothing but artifacts.
pub(super) fn is_ours(text: &str) -> bool {
    let ours = |line: &str| {
        let Some((sha256, path)) = line.split_once("  ") else { return false };
        let (dir, name) = layout::split(path);
        let place = dir.is_empty() || dir.starts_with(&format!("{}/", layout::HOME));
        sha256.len() == 64 && place && layout::parse_artifact(name).is_some()
    };
    !text.is_empty() && text.lines().all(ours)
}

/// The list as it is to be: the newest of every box first, then the earlier ones.
fn text(fs: &mut dyn StickFs, survey: &Survey, run: &Run) -> Result<String> {
    let mut lines = BTreeMap::new();
    for folder in &survey.boxes {
        for generation in &folder.generations {
            for (artifact, pieces) in generation.manifest.artifacts.iter().zip(&generation.files) {
                for piece in pieces.iter().filter(|piece| piece.in_sight) {
                    let sha256 = piece_hash(fs, generation, artifact, piece, run)?;
                    lines.insert((piece.path.contains('/'), piece.path.clone()), sha256);
                }
            }
        }
    }
    Ok(lines.into_iter().map(|((_, path), sha256)| format!("{sha256}  {path}\n")).collect())
}

fn piece_hash(
    fs: &mut dyn StickFs,
    generation: &Generation,
    artifact: &ArtifactFacts,
    piece: &Piece,
    run: &Run,
) -> Result<String> {
    if piece.ending.is_empty() {
        return Ok(artifact.sha256.clone());
    }
    let wanted = format!("{}{}", artifact.name, piece.ending);
    let text = String::from_utf8_lossy(&generation.sums);
    let of_piece =
        |line: &str| line.split_once("  ").filter(|(_, name)| *name == wanted).map(|(sum, _)| sum.to_owned());
    if let Some(sha256) = text.lines().find_map(of_piece) {
        return Ok(sha256);
    }
    // Written by somebody who kept no such list: read it.
    Ok(hash(fs.read(&piece.path)?, 0, run)?.1)
}
