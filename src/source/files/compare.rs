//! What differs between an archive and files that are there.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Files;
use super::format::{Entry, What};
use super::owners::Owners;
use super::read::Archive;
use super::walk::names;
use crate::error::{Context, Error, Kind as ErrorKind, Result};
use crate::host::tree::{self, Dir, Facts, Kind};
use crate::host::xattr;
use crate::model::Run;

/// So many paths are told of each sort; all are counted.
const LISTED: usize = 1000;
const BUFFER: usize = 128 << 10;

/// What a restore does to one path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// Nothing is there.
    New,
    /// Something else is there.
    Replaced,
    /// It is the same but for its owner, rights or times.
    Attributes,
    /// It is the same.
    Same,
    /// It is none of the source, and stays out.
    Foreign,
}

/// What a restore would change.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Changes {
    /// How many paths are new.
    pub new: u64,
    /// How many are there with other content.
    pub replaced: u64,
    /// How many differ in owner, rights or times alone.
    pub attributes: u64,
    /// How many are the same.
    pub same: u64,
    /// How many are none of this source.
    pub foreign: u64,
    /// The first paths that change.
    pub paths: Vec<(Change, String)>,
}

/// What differs, entry by entry.
pub struct Compared {
    /// For a person.
    pub changes: Changes,
    /// For the restore: what is to be done with each entry, in the order of the archive.
    pub(super) each: Vec<Change>,
}

/// Where the files are with which an archive is compared.
pub(super) trait Base {
    /// The folder in which the path lies and its last name; `None` when there is no such folder.
    fn parent(&self, path: &[u8]) -> Result<Option<(Dir, Vec<u8>)>>;
    /// Whether it is any of our business.
    fn is_ours(&self, path: &[u8]) -> bool;
}

/// Everything below one folder.
struct Below(Dir);

impl Base for Below {
    fn parent(&self, path: &[u8]) -> Result<Option<(Dir, Vec<u8>)>> {
        descend(self.0.again().context(|| LOOKING.into())?, &names(path))
    }

    fn is_ours(&self, _: &[u8]) -> bool {
        true
    }
}

/// The places from which a source is backed up.
pub(super) struct InUse<'a>(pub(super) &'a Files);

impl Base for InUse<'_> {
    /// Down to what the source names, links are followed as they are when it is backed up, and none after that.
    fn parent(&self, path: &[u8]) -> Result<Option<(Dir, Vec<u8>)>> {
        let all = names(path);
        let Some(depth) = self.0.covers(&all) else { return Ok(None) };
        let above = depth.saturating_sub(1);
        let start = format_path(&all[..above]);
        match Dir::open(&start) {
            Ok(dir) => descend(dir, &all[above..]),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
            Err(error) => Err(error).context(|| format!("cannot look into {start:?}")),
        }
    }

    fn is_ours(&self, path: &[u8]) -> bool {
        self.0.covers(&names(path)).is_some()
    }
}

const LOOKING: &str = "cannot look at what is there";

/// The path of these names from the root on.
pub(super) fn format_path(names: &[&[u8]]) -> std::path::PathBuf {
    use std::os::unix::ffi::OsStrExt;
    let mut path = std::path::PathBuf::from("/");
    path.extend(names.iter().map(|name| std::ffi::OsStr::from_bytes(name)));
    path
}

/// From folder to folder, by no link.
pub(super) fn descend(mut dir: Dir, all: &[&[u8]]) -> Result<Option<(Dir, Vec<u8>)>> {
    let Some((name, folders)) = all.split_last() else { return Ok(Some((dir, b".".to_vec()))) };
    for folder in folders {
        match dir.look(folder).context(|| LOOKING.into())?.map(|facts| facts.kind) {
            Some(Kind::Dir) => dir = dir.dir(folder).context(|| LOOKING.into())?,
            _ => return Ok(None),
        }
    }
    Ok(Some((dir, name.to_vec())))
}

/// Compares an archive with the files of a source where they are.
pub fn against(archive: impl Read, files: &Files, run: &Run) -> Result<Compared> {
    compare(archive, &InUse(files), true, run)
}

/// Fails unless everything in the archive is below `dir` with the very same content.
pub fn equal(archive: impl Read, dir: &Path, run: &Run) -> Result<u64> {
    let base = Below(Dir::open(dir).context(|| format!("cannot open {dir:?}"))?);
    let Compared { changes, each } = compare(archive, &base, false, run)?;
    if let Some((change, path)) = changes.paths.first() {
        let how = if *change == Change::New { "does not come back" } else { "comes back with other content" };
        return Err(Error::new(ErrorKind::Damaged, format!("{path:?} {how}")));
    }
    Ok(each.len() as u64)
}

fn compare(archive: impl Read, base: &dyn Base, strict: bool, run: &Run) -> Result<Compared> {
    let mut archive = Archive::new(archive);
    let mut comparer = Comparer {
        base,
        strict,
        owners: Owners::default(),
        run,
        done: 0,
        changed: HashSet::new(),
        buffers: [vec![0; BUFFER], vec![0; BUFFER]],
    };
    let (mut changes, mut each) = (Changes::default(), Vec::new());
    while let Some(entry) = archive.next()? {
        run.check()?;
        let change = match &entry.what {
            // Such a thing is not made, so there is nothing to compare.
            What::Other(_) => Change::Same,
            _ if !base.is_ours(&entry.path) => Change::Foreign,
            _ => comparer.entry(&entry, &mut archive)?,
        };
        if change != Change::Same && entry.what == What::File {
            comparer.changed.insert(entry.path.clone());
        }
        let count = match change {
            Change::New => &mut changes.new,
            Change::Replaced => &mut changes.replaced,
            Change::Attributes => &mut changes.attributes,
            Change::Same => &mut changes.same,
            Change::Foreign => &mut changes.foreign,
        };
        *count += 1;
        if change != Change::Same && changes.paths.len() < LISTED {
            changes.paths.push((change, format!("/{}", String::from_utf8_lossy(&entry.path))));
        }
        each.push(change);
    }
    Ok(Compared { changes, each })
}

struct Comparer<'a> {
    base: &'a dyn Base,
    /// Owners, rights and times count too.
    strict: bool,
    owners: Owners,
    run: &'a Run<'a>,
    done: u64,
    /// Files that change: their second names must change with them.
    changed: HashSet<Vec<u8>>,
    buffers: [Vec<u8>; 2],
}

impl Comparer<'_> {
    fn entry<R: Read>(&mut self, entry: &Entry, archive: &mut Archive<R>) -> Result<Change> {
        let looking = || format!("cannot look at {:?}", String::from_utf8_lossy(&entry.path));
        let Some((dir, name)) = self.base.parent(&entry.path)? else { return Ok(Change::New) };
        let Some(facts) = dir.look(&name).context(looking)? else { return Ok(Change::New) };
        let same = match (&entry.what, facts.kind) {
            (What::Dir, Kind::Dir) => true,
            (What::Link(target), Kind::Link) => dir.target(&name).context(looking)? == *target,
            (What::Second(first), Kind::File) => self.is_second(first, &facts)?,
            (What::File, Kind::File) if facts.size == entry.size => {
                let file = dir.file(&name).context(looking)?;
                self.content(entry, &file, archive)?
            }
            _ => false,
        };
        Ok(match same {
            false => Change::Replaced,
            true if self.strict && !self.attributes(entry, &dir, &name, &facts).context(looking)? => Change::Attributes,
            true => Change::Same,
        })
    }

    fn is_second(&self, first: &[u8], facts: &Facts) -> Result<bool> {
        if self.changed.contains(first) {
            return Ok(false);
        }
        let Some((dir, name)) = self.base.parent(first)? else { return Ok(false) };
        let first = dir.look(&name).context(|| LOOKING.into())?;
        Ok(first.is_some_and(|first| (first.dev, first.ino) == (facts.dev, facts.ino)))
    }

    fn content<R: Read>(&mut self, entry: &Entry, file: &File, archive: &mut Archive<R>) -> Result<bool> {
        let reading = || format!("cannot read {:?}", String::from_utf8_lossy(&entry.path));
        let mut end = 0;
        let [theirs, ours] = &mut self.buffers;
        while let Some((offset, length)) = archive.piece(theirs)? {
            self.done += length as u64;
            self.run.progress(self.done)?;
            if !is_hole(file, end, offset, ours).context(reading)? {
                return Ok(false);
            }
            match file.read_exact_at(&mut ours[..length], offset) {
                Ok(()) if ours[..length] == theirs[..length] => {}
                Ok(()) => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
                Err(error) => return Err(error).context(reading),
            }
            end = offset + length as u64;
        }
        is_hole(file, end, entry.size, ours).context(reading)
    }

    fn attributes(&mut self, entry: &Entry, dir: &Dir, name: &[u8], facts: &Facts) -> io::Result<bool> {
        if let What::Second(_) = entry.what {
            return Ok(true);
        }
        let is_root = nix::unistd::geteuid().is_root();
        let (uid, gid) = (self.owners.id(true, &entry.user, entry.uid), self.owners.id(false, &entry.group, entry.gid));
        // Nobody else could give them back.
        if is_root && (uid, gid) != (facts.uid, facts.gid) {
            return Ok(false);
        }
        let is_link = matches!(entry.what, What::Link(_));
        if facts.mtime != entry.mtime
            || !is_link && facts.mode != entry.mode && (is_root || facts.mode != entry.mode & 0o777)
        {
            return Ok(false);
        }
        if entry.attributes.is_empty() || is_link {
            return Ok(true);
        }
        let file = dir.file(name)?;
        let is_there = |(name, value): &(Vec<u8>, Vec<u8>)| Ok(xattr::get(&file, name)?.as_ref() == Some(value));
        entry.attributes.iter().map(is_there).try_fold(true, |all, one: io::Result<bool>| Ok(all && one?))
    }
}

/// Whether the file holds nothing but zeros there.
fn is_hole(file: &File, mut from: u64, to: u64, buffer: &mut [u8]) -> io::Result<bool> {
    while from < to {
        let Some((start, end)) = tree::next_data(file, from, to)? else { return Ok(true) };
        let most = buffer.len().min(usize::try_from(end - start).unwrap_or(usize::MAX));
        file.read_exact_at(&mut buffer[..most], start)?;
        if buffer[..most].iter().any(|byte| *byte != 0) {
            return Ok(false);
        }
        from = start + most as u64;
    }
    Ok(true)
}
