//! `SHA256SUMS`: every file of a backup that is in sight, so that anybody can check the stick without this program.

use std::collections::BTreeMap;

use super::copy::write_small;
use super::fs::StickFs;
use super::generations::{Generation, Piece, Survey, hash, read_small};
use super::layout;
use crate::error::{Context, Result};
use crate::model::{ArtifactFacts, FileName, Run};

/// Larger ones are not ours, in bytes.
const SUMS_LEN_MAX: u64 = 4 << 20;

/// Takes the list out of sight, before the first of its files changes its place. Another's file of that name stays.
pub(super) fn withdraw(fs: &mut dyn StickFs) -> Result<()> {
    if current(fs)?.is_some_and(|text| is_ours(&text)) {
        fs.hide(layout::SUMS)?;
        fs.remove(layout::SUMS)?;
    }
    Ok(())
}

/// Writes the list anew where it differs from what is there; tells whether it did.
pub(super) fn refresh(fs: &mut dyn StickFs, survey: &Survey, run: &Run) -> Result<bool> {
    let wanted = text(fs, survey, run)?;
    match current(fs)? {
        Some(text) if text == wanted => return Ok(false),
        Some(text) if !is_ours(&text) => {
            run.warn("SHA256SUMS on the stick is somebody else's and stays as it is; ours is not written");
            return Ok(false);
        }
        _ => {}
    }
    withdraw(fs)?;
    if !wanted.is_empty() {
        write_small(fs, layout::SUMS, wanted.as_bytes())?;
    }
    Ok(true)
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
                    let sha256 = piece_hash(fs, &folder.name, generation, artifact, piece, run)?;
                    lines.insert((piece.path.contains('/'), piece.path.clone()), sha256);
                }
            }
        }
    }
    Ok(lines.into_iter().map(|((_, path), sha256)| format!("{sha256}  {path}\n")).collect())
}

fn piece_hash(
    fs: &mut dyn StickFs,
    box_name: &FileName,
    generation: &Generation,
    artifact: &ArtifactFacts,
    piece: &Piece,
    run: &Run,
) -> Result<String> {
    if piece.ending.is_empty() {
        return Ok(artifact.sha256.clone());
    }
    let path = layout::piece_sums(box_name, generation.id());
    let (dir, name) = layout::split(&path);
    let entry = fs.list(dir)?.into_iter().find(|entry| layout::same(&entry.name, name) && entry.size <= SUMS_LEN_MAX);
    if let Some(entry) = entry {
        let bytes = read_small(fs.read(&path)?, entry.size).context(|| format!("cannot read {path:?}"))?;
        let wanted = format!("{}{}", artifact.name, piece.ending);
        let text = String::from_utf8_lossy(&bytes);
        let of_piece =
            |line: &str| line.split_once("  ").filter(|(_, name)| *name == wanted).map(|(sum, _)| sum.to_owned());
        if let Some(sha256) = text.lines().find_map(of_piece) {
            return Ok(sha256);
        }
    }
    // Written by somebody who kept no such list: read it.
    Ok(hash(fs.read(&piece.path)?, 0, run)?.1)
}
