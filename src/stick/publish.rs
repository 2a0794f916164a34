//! Puts a backup onto a stick. In every state that a pulled stick can be left in, one complete backup is readable, no
//! file in sight is incomplete, and nobody else's file is touched; the next run finishes or undoes the rest.

use std::path::Path;

use super::confirm::{Earlier, confirm, name_damaged};
use super::copy::{self, Written, write_small};
use super::fs::StickFs;
use super::generations::{BoxFolder, Denied, Generation, Survey, survey};
use super::repair::{free, free_name, repair, settle};
use super::{layout, readme, sums};
use crate::error::{Error, Kind, Result};
use crate::lang::Lang;
use crate::model::{ArtifactFacts, ArtifactName, BackupId, Manifest, ManifestFile, Run, Stage};
use crate::policy::space::{self, Held};

/// Room for folders that grow and for the small files, in steps of the file system's room.
const SPARE_UNITS: u64 = 11;

/// A finished backup that is to go onto a stick.
#[derive(Clone, Copy)]
pub struct Outgoing<'a> {
    /// The folder that holds the artifacts under the names of the manifest.
    pub dir: &'a Path,
    /// What the backup consists of.
    pub manifest: &'a Manifest,
    /// The manifest as it is to be stored.
    pub manifest_bytes: &'a [u8],
    /// The detached signature over those bytes.
    pub signature: Option<&'a [u8]>,
}

/// How a stick is to be filled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishRules {
    /// How many complete backups of this box to keep, at least 1. Fewer stay when the new one needs their room.
    pub keep: usize,
    /// Bytes to leave free.
    pub reserve: u64,
    /// The language that the stick's README begins with.
    pub lang: Lang,
    /// The longest file, in bytes; a longer artifact is split.
    pub part_max: u64,
    /// Whether to go on where another box of the same name has left its backups.
    pub adopt: bool,
}

impl Default for PublishRules {
    fn default() -> Self {
        Self { keep: 7, reserve: 0, lang: Lang::default(), part_max: u64::from(u32::MAX), adopt: false }
    }
}

/// What was done to a stick.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Published {
    /// The paths of the backup's files, its pieces in order.
    pub files: Vec<String>,
    /// The bytes of its artifacts.
    pub bytes: u64,
    /// Which backups were freed, and why.
    pub freed: Vec<(BackupId, String)>,
    /// What an earlier, interrupted run had left, and what was done about it.
    pub repaired: Vec<String>,
}

/// Puts a backup onto the stick, reads it back from the medium, and frees older ones as the rules say. A backup that is
/// on the stick already is left as it is. After an error, what was not yet decided is gone from the stick again if the
/// stick allows it.
///
/// # Errors
/// [`Kind::NoSpace`] names the bytes; [`Kind::Refused`] when names are taken by other files or the stick's folder
/// belongs to another box; [`Kind::Damaged`] when the stick does not give back what was written.
pub fn publish(fs: &mut dyn StickFs, outgoing: &Outgoing, rules: &PublishRules, run: &Run) -> Result<Published> {
    let repaired = repair(fs, run)?;
    let mut published = Published { repaired, bytes: outgoing.manifest.size(), ..Published::default() };
    let found = survey(fs, &Denied::new())?;
    let result = put(fs, &found, outgoing, rules, &mut published, run);
    let freed = published.freed.iter().map(|(id, _)| id.clone()).collect();
    let earlier = Earlier { found: &found, new: outgoing.manifest, freed };
    match result.and_then(|list| confirm(fs, outgoing.manifest_bytes, &earlier, list.as_deref(), run)) {
        Ok(files) => Ok(Published { files, ..published }),
        // Who does not keep the new one may have spoiled the others.
        Err(error) if error.kind() == Kind::Damaged => Err(name_damaged(fs, &earlier, error, run)),
        Err(error) => Err(error),
    }
}

/// Everything that is written for the backup. Gives the list of sums as it must be now, unless it is another's.
fn put(
    fs: &mut dyn StickFs,
    found: &Survey,
    outgoing: &Outgoing,
    rules: &PublishRules,
    published: &mut Published,
    run: &Run,
) -> Result<Option<String>> {
    if !is_there(found, outgoing, rules)? {
        let names = names(fs, found, outgoing.manifest)?;
        let result = prepare(fs, found, outgoing, rules, &names, published, run);
        if let Err(error) = result {
            // As after a yank, only at once. The first error counts; what cannot be tidied now is tidied next time.
            let cancel = crate::model::Cancel::default();
            let _ = repair(fs, &Run { monitor: &crate::model::Quiet, cancel: &cancel });
            return Err(error);
        }
        let decided = survey(fs, &Denied::new())?;
        settle(fs, &decided, &mut Vec::new())?;
    }
    thin(fs, outgoing.manifest, rules, published)?;
    let found = survey(fs, &Denied::new())?;
    let list = sums::refresh(fs, &found, run)?;
    fs.sync()?;
    Ok(list.text)
}

/// The room that a backup takes on this stick, in bytes.
pub fn required(fs: &dyn StickFs, outgoing: &Outgoing, rules: &PublishRules) -> u64 {
    let unit = fs.unit();
    let part_max = part_max(fs, rules);
    let artifacts = outgoing.manifest.artifacts.iter();
    let pieces = artifacts.flat_map(|artifact| copy::piece_sizes(artifact.size, part_max));
    let (mut count, mut content) = (0, 0);
    for size in pieces {
        count += 1;
        content += size.next_multiple_of(unit);
    }
    let small =
        [outgoing.manifest_bytes.len(), outgoing.signature.map_or(0, <[u8]>::len), readme::text(rules.lang).len()];
    let small: u64 = small.iter().map(|len| (*len as u64).next_multiple_of(unit)).sum();
    // A line in each of the two lists, and the folder's slots.
    content + small + ((count + 1) * 1024u64).next_multiple_of(unit) + SPARE_UNITS * unit
}

fn part_max(fs: &dyn StickFs, rules: &PublishRules) -> u64 {
    rules.part_max.min(fs.max_file()).max(1)
}

/// Whether the very backup is on the stick; refuses when the box's folder holds something that must not be joined.
fn is_there(found: &Survey, outgoing: &Outgoing, rules: &PublishRules) -> Result<bool> {
    let manifest = outgoing.manifest;
    let Some(folder) = found.box_folder(&manifest.box_name) else { return Ok(false) };
    if let Some(same) = folder.generations.iter().find(|held| held.manifest.id == manifest.id) {
        if same.bytes == outgoing.manifest_bytes && same.is_complete() {
            return Ok(true);
        }
        return Err(Error::new(Kind::Refused, format!("another backup with the id {} is on the stick", manifest.id)));
    }
    let stranger = folder.generations.first().filter(|newest| newest.manifest.box_id != manifest.box_id);
    if stranger.is_some() && !rules.adopt {
        return Err(Error::new(
            Kind::Refused,
            format!("the stick holds backups of another box that is also called {:?}", manifest.box_name.as_str()),
        )
        .help("if this box replaces that one, adopt its stick; else give the boxes different names"));
    }
    match folder.generations.first().filter(|newest| newest.manifest.id > manifest.id) {
        Some(newer) => Err(Error::new(
            Kind::Refused,
            format!("the stick holds the newer backup {} of this box", newer.manifest.id),
        )
        .help("make a new backup")),
        None => Ok(false),
    }
}

/// The names the artifacts get in the root. This box's own files there move away first, so they do not stand in the way.
fn names(fs: &mut dyn StickFs, found: &Survey, manifest: &Manifest) -> Result<Vec<ArtifactName>> {
    let own: Vec<_> = found
        .box_folder(&manifest.box_name)
        .map_or_else(Vec::new, |folder| folder.generations.iter().flat_map(Generation::pieces).cloned().collect());
    manifest.artifacts.iter().map(|artifact| free_name(fs, &artifact.name, &manifest.box_name, &own)).collect()
}

/// Everything up to the moment in which the manifest comes into sight and the backup is decided.
fn prepare(
    fs: &mut dyn StickFs,
    found: &Survey,
    outgoing: &Outgoing,
    rules: &PublishRules,
    names: &[ArtifactName],
    published: &mut Published,
    run: &Run,
) -> Result<()> {
    let manifest = outgoing.manifest;
    make_room(fs, found, outgoing, rules, published)?;
    fs.make_dir(layout::HOME)?;
    fs.begin_note(layout::NOTE)?;
    fs.make_dir(&layout::box_dir(&manifest.box_name))?;
    introduce(fs, manifest, rules)?;
    let part_of = |name: &ArtifactName, ending: &str| layout::root_part(&format!("{name}{ending}"), &manifest.id);
    let pairs = || manifest.artifacts.iter().zip(names);

    run.begin(Stage::Copy, "stick", manifest.size());
    let (mut written, mut done) = (Vec::new(), 0);
    for (artifact, name) in pairs() {
        let file = outgoing.dir.join(artifact.name.as_str());
        let part_max = part_max(fs, rules);
        written.push(copy::copy(fs, &file, artifact, part_max, |ending| part_of(name, ending), done, run)?);
        done += artifact.size;
    }
    run.end(Stage::Copy);

    run.begin(Stage::ReadBack, "stick", manifest.size());
    let mut done = 0;
    for ((artifact, name), written) in pairs().zip(&written) {
        copy::read_back(fs, written, |ending| part_of(name, ending), done, run)?;
        done += artifact.size;
    }
    run.end(Stage::ReadBack);
    let largest = pairs().zip(&written).max_by_key(|((artifact, _), _)| artifact.size);
    if let Some(((_, name), written)) = largest
        && let Some(last) = written.last()
        && fs.is_shown_twice(&part_of(name, &last.ending))?
    {
        return Err(Error::new(Kind::Damaged, "the stick shows at a second place what was written once").help(
            "it is a fake with less room than it claims; use another stick, and do not rely on the files on this one",
        ));
    }

    let path = layout::manifest(&manifest.box_name, &manifest.id);
    let seal = ManifestFile::seal(outgoing.manifest_bytes, layout::split(&path).1);
    let list = seal + &piece_list(&manifest.artifacts, &written);
    write_small(fs, &layout::sums(&manifest.box_name, &manifest.id), list.as_bytes())?;
    if let Some(signature) = outgoing.signature {
        write_small(fs, &layout::signature(&manifest.box_name, &manifest.id), signature)?;
    }
    write_small(fs, &path, outgoing.manifest_bytes)
}

/// The SHA-256 of every piece of the split artifacts: the manifest knows only those of the whole.
fn piece_list(artifacts: &[ArtifactFacts], written: &[Vec<Written>]) -> String {
    let split = artifacts.iter().zip(written).filter(|(_, pieces)| pieces.len() > 1);
    let lines = split.flat_map(|(artifact, pieces)| {
        pieces.iter().map(|piece| format!("{}  {}{}\n", piece.sha256, artifact.name, piece.ending))
    });
    lines.collect()
}

fn make_room(
    fs: &mut dyn StickFs,
    found: &Survey,
    outgoing: &Outgoing,
    rules: &PublishRules,
    published: &mut Published,
) -> Result<()> {
    let part_max = part_max(fs, rules);
    if let Some(large) =
        outgoing.manifest.artifacts.iter().find(|facts| facts.size.div_ceil(part_max) > layout::PIECES_MAX)
    {
        let pieces = layout::PIECES_MAX;
        return Err(Error::new(Kind::NoSpace, format!("{} does not fit into {pieces} pieces", large.name)));
    }
    let needed = required(fs, outgoing, rules).saturating_add(rules.reserve);
    let free_now = fs.free()?;
    let folder = found.box_folder(&outgoing.manifest.box_name);
    let held = folder.map_or_else(Vec::new, |folder| held(folder, fs.unit()));
    let freed = space::make_room(&held, needed, free_now).map_err(|room| {
        let (needed, room) = (megabytes(needed), megabytes(room));
        let freeing = if held.len() > 1 { " even without the earlier backups" } else { "" };
        Error::new(Kind::NoSpace, format!("the backup needs {needed} MB and the stick has room for {room} MB{freeing}"))
            .help("take files off the stick that are not ours, or use a larger one")
    })?;
    free_all(fs, folder, freed, published)
}

/// Frees what is beyond the number that is kept, now that the new one counts.
fn thin(fs: &mut dyn StickFs, manifest: &Manifest, rules: &PublishRules, published: &mut Published) -> Result<()> {
    let found = survey(fs, &Denied::new())?;
    let folder = found.box_folder(&manifest.box_name);
    let held = folder.map_or_else(Vec::new, |folder| held(folder, fs.unit()));
    free_all(fs, folder, space::beyond(&held, rules.keep), published)
}

fn free_all(
    fs: &mut dyn StickFs,
    folder: Option<&BoxFolder>,
    freed: Vec<space::Freed>,
    published: &mut Published,
) -> Result<()> {
    let Some(folder) = folder.filter(|_| !freed.is_empty()) else { return Ok(()) };
    sums::withdraw(fs)?;
    for (id, reason) in freed {
        if let Some(generation) = folder.generations.iter().find(|held| *held.id() == id) {
            free(fs, &folder.name, generation)?;
            published.freed.push((id, reason));
        }
    }
    Ok(())
}

fn held(folder: &BoxFolder, unit: u64) -> Vec<Held> {
    let room = |held: &Generation| {
        let pieces: u64 = held.pieces().map(|piece| piece.size.next_multiple_of(unit)).sum();
        pieces + (held.bytes.len() as u64).next_multiple_of(unit)
    };
    let one = |held: &Generation| Held {
        id: held.id().clone(),
        size: room(held),
        complete: held.is_complete(),
        spare: false,
    };
    folder.generations.iter().map(one).collect()
}

/// What the stick says of itself; both files are written where they are missing and never again.
fn introduce(fs: &mut dyn StickFs, manifest: &Manifest, rules: &PublishRules) -> Result<()> {
    #[derive(serde::Serialize)]
    struct About<'a> {
        format: u32,
        customer: &'a str,
        #[serde(rename = "box")]
        box_name: &'a str,
        box_id: &'a str,
        made: jiff::Timestamp,
    }
    let about = About {
        format: 1,
        customer: manifest.customer.as_str(),
        box_name: manifest.box_name.as_str(),
        box_id: &manifest.box_id,
        made: manifest.finished,
    };
    let mut stick = serde_json::to_vec_pretty(&about).expect("plain data");
    stick.push(b'\n');
    let entries = fs.list(layout::HOME)?;
    for (path, bytes) in [(layout::README, readme::text(rules.lang).into_bytes()), (layout::STICK, stick)] {
        if !entries.iter().any(|entry| layout::same(&entry.name, layout::split(path).1)) {
            write_small(fs, path, &bytes)?;
        }
    }
    Ok(())
}

fn megabytes(bytes: u64) -> String {
    // Rounded up, so that what is missing never reads as 0.
    let tenths = bytes.div_ceil(100_000);
    format!("{}.{}", tenths / 10, tenths % 10)
}
