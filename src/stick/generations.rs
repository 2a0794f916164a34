//! The backups on a stick: which there are, where their files lie, and reading them.
//!
//! A backup exists when its manifest is in sight. Its files are found by name and size: in its own folder, as unfinished
//! files in the root that carry its id, or in the root under their final names. A yank may have left them in any of the
//! three.

use std::collections::{HashMap, HashSet};
use std::io::{self, Read};

use sha2::{Digest, Sha256};

use super::fs::{Entry, StickFs};
use super::layout::{self, Role};
use crate::error::{Context, Error, Kind, Result};
use crate::model::{
    ArtifactFacts, ArtifactName, BackupId, FileName, MANIFEST_MAX, Manifest, ManifestFile, Run, SIGNATURE_MAX, Stage,
};

/// More manifests than this are not read: a stick with one backup an hour has as many after two months.
const MANIFESTS_MAX: usize = 1500;
/// All manifests of a stick together, in bytes: what a hostile stick may make us hold.
const MANIFESTS_LEN_MAX: u64 = 64 << 20;
/// Larger lists of sums are not ours, in bytes.
pub(super) const SUMS_LEN_MAX: u64 = 4 << 20;
/// How much is read at once, in bytes: the longest time between two looks at the cancel flag.
pub(super) const READ_LEN: usize = 1 << 20;

/// A backup on a stick.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// What it consists of.
    pub manifest: Manifest,
    /// The manifest's bytes as they are on the stick.
    pub bytes: Vec<u8>,
    /// Whether the manifest was compared with a SHA-256 beside it; one of an earlier version has none.
    pub sealed: bool,
    /// The signature that is beside it.
    pub signature: Option<Vec<u8>>,
    /// The paths of each artifact's file, or of its pieces in order; none when they are not all there.
    pub files: Vec<Vec<String>>,
    /// Whether every artifact is there with its right size.
    pub complete: bool,
}

/// What of ours is on a stick.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Held {
    /// The backups of all boxes, newest first.
    pub backups: Vec<Stored>,
    /// Backups whose manifest is damaged or of a newer format, and why; they are never used and stay where they are.
    pub unreadable: Vec<(BackupId, String)>,
}

/// A file on the stick that is an artifact or one of its pieces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) path: String,
    pub(super) size: u64,
    /// `.001`, or nothing when the artifact is whole.
    pub(super) ending: String,
    /// Whether a person sees it under the name it is to have.
    pub(super) in_sight: bool,
}

/// A backup with its files, wherever they lie.
#[derive(Debug, Clone)]
pub(super) struct Generation {
    pub(super) manifest: Manifest,
    pub(super) bytes: Vec<u8>,
    pub(super) sealed: bool,
    pub(super) signature: Option<Vec<u8>>,
    /// The list beside the manifest: its own sum, and those of the pieces of split files.
    pub(super) sums: Vec<u8>,
    /// One for each artifact of the manifest; none when the file is not there or not as long as it must be.
    pub(super) files: Vec<Vec<Piece>>,
}

impl Generation {
    pub(super) fn id(&self) -> &BackupId {
        &self.manifest.id
    }

    pub(super) fn is_complete(&self) -> bool {
        self.files.iter().all(|pieces| !pieces.is_empty())
    }

    pub(super) fn pieces(&self) -> impl Iterator<Item = &Piece> {
        self.files.iter().flatten()
    }
}

/// The folder of one box.
#[derive(Debug, Clone)]
pub(super) struct BoxFolder {
    pub(super) name: FileName,
    pub(super) entries: Vec<Entry>,
    /// Newest first.
    pub(super) generations: Vec<Generation>,
    /// Backups whose manifest is not usable, and why.
    pub(super) unreadable: Vec<(BackupId, String)>,
}

/// Everything of ours on the stick.
#[derive(Debug, Clone)]
pub(super) struct Survey {
    pub(super) root: Vec<Entry>,
    pub(super) boxes: Vec<BoxFolder>,
    /// The paths of all files that belong to a backup, folded.
    claimed: HashSet<String>,
}

/// Files that were read and are not what their name and size made us believe, each with the backup they were taken for.
pub(super) type Denied = HashSet<(BackupId, String)>;

impl Survey {
    pub(super) fn generations(&self) -> impl Iterator<Item = &Generation> {
        self.boxes.iter().flat_map(|folder| &folder.generations)
    }

    pub(super) fn box_folder(&self, name: &FileName) -> Option<&BoxFolder> {
        self.boxes.iter().find(|folder| layout::same(folder.name.as_str(), name.as_str()))
    }

    pub(super) fn claims(&self, path: &str) -> bool {
        self.claimed.contains(&layout::folded(path))
    }
}

/// Looks at the whole stick.
pub(super) fn survey(fs: &mut dyn StickFs, denied: &Denied) -> Result<Survey> {
    let root = fs.list("")?;
    let mut boxes = Vec::new();
    for folder in fs.list(layout::HOME)?.into_iter().filter(|entry| entry.is_dir) {
        // A folder that cannot be the name of a box is not ours.
        let Ok(name) = folder.name.parse::<FileName>() else { continue };
        let entries = fs.list(&layout::box_dir(&name))?;
        boxes.push(BoxFolder { name, entries, generations: Vec::new(), unreadable: Vec::new() });
    }
    read_manifests(fs, &mut boxes)?;
    let by_name = index(&root);
    let mut claimed = HashSet::new();
    for folder in &mut boxes {
        for generation in &mut folder.generations {
            let id = generation.manifest.id.clone();
            let backup = fs.list(&layout::backup_dir(&folder.name, &id))?;
            let places = Places { root: &by_name, backup: &index(&backup), box_name: &folder.name, id: &id, denied };
            for artifact in &generation.manifest.artifacts {
                let pieces = places.locate(artifact, &claimed);
                claimed.extend(pieces.iter().map(|piece| layout::folded(&piece.path)));
                generation.files.push(pieces);
            }
        }
    }
    Ok(Survey { root, boxes, claimed })
}

fn read_manifests(fs: &mut dyn StickFs, boxes: &mut [BoxFolder]) -> Result<()> {
    let (mut count, mut len) = (0, 0);
    for folder in boxes {
        for entry in folder.entries.iter().filter(|entry| !entry.is_dir && !entry.hidden) {
            let Some((Role::Manifest, id, false)) = layout::parse_box_file(&entry.name) else { continue };
            (count, len) = (count + 1, len + entry.size);
            if entry.size > MANIFEST_MAX || count > MANIFESTS_MAX || len > MANIFESTS_LEN_MAX {
                return Err(Error::new(Kind::Damaged, "the stick's manifests are more or larger than any box writes")
                    .help("copy the backups you need to a disk, then format the stick"));
            }
            let bytes = read_small(fs.read(&layout::manifest(&folder.name, &id))?, entry.size)
                .context(|| format!("cannot read the manifest of {id}"))?;
            let sums = read_beside(fs, folder, &layout::sums(&folder.name, &id), SUMS_LEN_MAX)?.unwrap_or_default();
            // Damaged, newer than this program or another box's: left where it is, and its files with it.
            let signature = read_beside(fs, folder, &layout::signature(&folder.name, &id), SIGNATURE_MAX)?;
            match read_manifest(bytes, &sums, signature, &folder.name, &id) {
                Ok(ManifestFile { manifest, bytes, sealed, signature }) => {
                    let files = Vec::new();
                    folder.generations.push(Generation { manifest, bytes, sealed, signature, sums, files });
                }
                Err(error) => folder.unreadable.push((id, error.report())),
            }
        }
        folder.generations.sort_by(|a, b| b.manifest.id.cmp(&a.manifest.id));
    }
    Ok(())
}

fn read_manifest(
    bytes: Vec<u8>,
    sums: &[u8],
    signature: Option<Vec<u8>>,
    box_name: &FileName,
    id: &BackupId,
) -> Result<ManifestFile> {
    let path = layout::manifest(box_name, id);
    let file = ManifestFile::read(bytes, sums, layout::split(&path).1, signature)?;
    let manifest = &file.manifest;
    if manifest.id != *id || !layout::same(manifest.box_name.as_str(), box_name.as_str()) {
        let (of, box_name) = (&manifest.id, &manifest.box_name);
        return Err(Error::new(Kind::Damaged, format!("{path:?} is the manifest of {of} of the box {box_name}")));
    }
    Ok(file)
}

/// A file beside a manifest, unless it is longer than it can be.
fn read_beside(fs: &mut dyn StickFs, folder: &BoxFolder, path: &str, max: u64) -> Result<Option<Vec<u8>>> {
    let is_it = |entry: &&Entry| !entry.is_dir && !entry.hidden && layout::same(&entry.name, layout::split(path).1);
    let Some(entry) = folder.entries.iter().find(is_it).filter(|entry| entry.size <= max) else { return Ok(None) };
    let bytes = read_small(fs.read(path)?, entry.size).context(|| format!("cannot read {path:?}"))?;
    Ok(Some(bytes))
}

/// Reads a file that is known to be small.
pub(super) fn read_small(reader: Box<dyn Read + Send>, size: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(size).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Where the files of one backup may lie.
struct Places<'a> {
    root: &'a Index<'a>,
    backup: &'a Index<'a>,
    box_name: &'a FileName,
    id: &'a BackupId,
    denied: &'a Denied,
}

impl Places<'_> {
    /// The file of an artifact, or its pieces in order; none when they are not all there.
    fn locate(&self, artifact: &ArtifactFacts, claimed: &HashSet<String>) -> Vec<Piece> {
        let name = &artifact.name;
        let free = |piece: &Piece| {
            !claimed.contains(&layout::folded(&piece.path))
                && !self.denied.contains(&(self.id.clone(), piece.path.clone()))
        };
        let whole = |pieces: Vec<Piece>| pieces.into_iter().find(|piece| piece.size == artifact.size && free(piece));
        // What bears the id goes first: a file in the root may still be an older backup's of the same size.
        if let Some(piece) = whole(self.marked(name, "")) {
            return vec![piece];
        }
        let pieces = self.locate_split(artifact, free);
        if !pieces.is_empty() {
            return pieces;
        }
        whole(self.unmarked(name, "")).into_iter().collect()
    }

    fn locate_split(&self, artifact: &ArtifactFacts, free: impl Fn(&Piece) -> bool) -> Vec<Piece> {
        let (mut pieces, mut left) = (Vec::new(), artifact.size);
        for number in 1..=layout::PIECES_MAX {
            let ending = layout::piece_ending(number);
            let mut found = self.marked(&artifact.name, &ending);
            found.extend(self.unmarked(&artifact.name, &ending));
            let Some(piece) = found.into_iter().find(|piece| (1..=left).contains(&piece.size) && free(piece)) else {
                break;
            };
            left -= piece.size;
            pieces.push(piece);
            if left == 0 {
                return pieces;
            }
        }
        Vec::new()
    }

    /// Files that bear the backup's id, in their folder's name or in their own.
    fn marked(&self, name: &ArtifactName, ending: &str) -> Vec<Piece> {
        let dir = layout::backup_dir(self.box_name, self.id);
        let mut found = pieces(self.backup, &dir, &format!("{name}{ending}"), ending, false);
        for name in root_names(name, self.box_name) {
            let part = layout::root_part(&format!("{name}{ending}"), self.id);
            found.extend(pieces(self.root, "", &part, ending, true));
        }
        found
    }

    /// Files in the root under their final names.
    fn unmarked(&self, name: &ArtifactName, ending: &str) -> Vec<Piece> {
        let names = root_names(name, self.box_name);
        names.iter().flat_map(|name| pieces(self.root, "", &format!("{name}{ending}"), ending, false)).collect()
    }
}

/// The names an artifact may have in the root. The box's own comes first: the plain one may be another box's.
fn root_names(name: &ArtifactName, box_name: &FileName) -> [ArtifactName; 2] {
    [name.for_box(box_name), name.clone()]
}

/// Files by their folded names; a folder that is not FAT may hold several that fold to one.
type Index<'a> = HashMap<String, Vec<&'a Entry>>;

fn index(entries: &[Entry]) -> Index<'_> {
    let mut index = Index::new();
    for entry in entries.iter().filter(|entry| !entry.is_dir) {
        index.entry(layout::folded(&entry.name)).or_default().push(entry);
    }
    index
}

fn pieces(entries: &Index, dir: &str, name: &str, ending: &str, part: bool) -> Vec<Piece> {
    let piece = |entry: &&Entry| Piece {
        path: layout::join(dir, &entry.name),
        size: entry.size,
        ending: ending.to_owned(),
        in_sight: !entry.hidden && !part,
    };
    entries.get(&layout::folded(name)).into_iter().flatten().map(piece).collect()
}

/// Everything of ours on the stick, as it can be read right now.
pub fn held(fs: &mut dyn StickFs) -> Result<Held> {
    let mut survey = survey(fs, &Denied::new())?;
    let mut backups: Vec<Stored> = survey.generations().map(to_stored).collect();
    backups.sort_by(|a, b| b.manifest.id.cmp(&a.manifest.id));
    let unreadable = survey.boxes.iter_mut().flat_map(|folder| folder.unreadable.drain(..)).collect();
    Ok(Held { backups, unreadable })
}

/// The backups of all boxes, newest first, as they can be read right now.
pub fn stored(fs: &mut dyn StickFs) -> Result<Vec<Stored>> {
    Ok(held(fs)?.backups)
}

pub(super) fn to_stored(generation: &Generation) -> Stored {
    let paths = |pieces: &Vec<Piece>| pieces.iter().map(|piece| piece.path.clone()).collect();
    Stored {
        manifest: generation.manifest.clone(),
        bytes: generation.bytes.clone(),
        sealed: generation.sealed,
        signature: generation.signature.clone(),
        files: generation.files.iter().map(paths).collect(),
        complete: generation.is_complete(),
    }
}

/// Reads an artifact from the stick, its pieces joined.
pub fn open_artifact(fs: &mut dyn StickFs, stored: &Stored, name: &ArtifactName) -> Result<Box<dyn Read + Send>> {
    let missing =
        || Error::new(Kind::Missing, format!("the backup {} has no file {name} on the stick", stored.manifest.id));
    let index = stored.manifest.artifacts.iter().position(|artifact| artifact.name == *name).ok_or_else(missing)?;
    let paths = stored.files.get(index).filter(|paths| !paths.is_empty()).ok_or_else(missing)?;
    join(paths, |path| fs.read(path))
}

fn join(paths: &[String], mut open: impl FnMut(&str) -> Result<Box<dyn Read + Send>>) -> Result<Box<dyn Read + Send>> {
    let mut joined: Box<dyn Read + Send> = Box::new(io::empty());
    for path in paths {
        joined = Box::new(joined.chain(open(path)?));
    }
    Ok(joined)
}

/// Reads a backup from the medium and compares sizes and SHA-256 with its manifest.
pub fn verify(fs: &mut dyn StickFs, stored: &Stored, run: &Run) -> Result<()> {
    let id = &stored.manifest.id;
    for (artifact, paths) in stored.manifest.artifacts.iter().zip(&stored.files) {
        let name = &artifact.name;
        if paths.is_empty() {
            return Err(Error::new(Kind::Missing, format!("the backup {id} has no file {name} on the stick")));
        }
        if !matches(fs, artifact, paths, run)? {
            return Err(Error::new(Kind::Damaged, format!("{name} of the backup {id} is not what was written"))
                .help("use another backup, and another stick: this one does not keep what is written to it"));
        }
    }
    Ok(())
}

/// Whether the files, joined, are the artifact; read from the medium.
pub(super) fn matches(fs: &mut dyn StickFs, artifact: &ArtifactFacts, paths: &[String], run: &Run) -> Result<bool> {
    run.begin(Stage::ReadBack, artifact.name.as_str(), artifact.size);
    let hash = join(paths, |path| fs.reread(path)).and_then(|reader| hash(reader, 0, run));
    run.end(Stage::ReadBack);
    match hash {
        Ok((size, sha256)) => Ok(size == artifact.size && sha256 == artifact.sha256),
        Err(error) if error.kind() == Kind::Damaged => Ok(false),
        Err(error) => Err(error).context(|| format!("cannot read {:?} back from the stick", artifact.name.as_str())),
    }
}

/// The length and SHA-256 of what a reader gives; `before` bytes of the stage were done already.
pub(super) fn hash(mut reader: Box<dyn Read + Send>, before: u64, run: &Run) -> Result<(u64, String)> {
    let (mut buf, mut hasher, mut size) = (vec![0; READ_LEN], Sha256::new(), 0);
    loop {
        let len = reader.read(&mut buf).context(|| "cannot read on".to_owned())?;
        if len == 0 {
            return Ok((size, hex(hasher)));
        }
        hasher.update(&buf[..len]);
        size += len as u64;
        run.progress(before + size)?;
    }
}

/// A finished hash as lower-case hex digits.
pub(super) fn hex(hasher: Sha256) -> String {
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
