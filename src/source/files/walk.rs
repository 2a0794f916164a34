//! Finding what a source means: patterns become paths, and everything below them is visited in the order of names.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::Files;
use super::format::{BLOCK, padding};
use super::notes::{Notes, Sort};
use crate::error::{Context, Error, Kind as ErrorKind, Result};
use crate::host::tree::{Dir, Facts, Kind};
use crate::model::BackupId;
use crate::policy::select::Pattern;

/// How folders begin in which a restore prepares files.
pub(super) const STAGE: &str = ".tillstick-restore-";
/// What stands between a source's name and the backup's id, for files that a restore replaced.
pub(super) const BEFORE: &str = "_before_";

/// Something that was found.
pub(super) struct Found<'a> {
    /// The folder that holds it.
    pub(super) within: &'a Dir,
    pub(super) name: &'a [u8],
    /// Its whole path, with the slash at its begin.
    pub(super) path: &'a [u8],
    pub(super) facts: Facts,
}

/// Who visits a tree.
pub(super) trait Visitor {
    fn visit(&mut self, found: &Found) -> Result<()>;
    fn notes(&mut self) -> &mut Notes;
    /// Called now and then; an error ends the walk.
    fn pause(&mut self) -> Result<()>;
}

/// The names of a path.
pub(super) fn names(path: &[u8]) -> Vec<&[u8]> {
    path.split(|byte| *byte == b'/').filter(|name| !name.is_empty()).collect()
}

/// Whether a restore of ours made this name.
pub(super) fn is_ours(name: &[u8]) -> bool {
    let Ok(name) = std::str::from_utf8(name) else { return false };
    name.starts_with(STAGE) || name.rsplit_once(BEFORE).is_some_and(|(_, id)| id.parse::<BackupId>().is_ok())
}

/// The paths that a source means, sorted, none below another.
pub(super) fn roots(files: &Files, notes: &mut Notes) -> Result<Vec<Vec<u8>>> {
    let mut all = Vec::new();
    for (pattern, must) in
        files.paths.iter().map(|path| (path, true)).chain(files.optional.iter().map(|path| (path, false)))
    {
        let before = all.len();
        let (start, whole) = pattern.literal();
        match whole {
            true if is_there(&start)? => all.push(if start.is_empty() { b"/".to_vec() } else { start }),
            true if must => {
                let shown = pattern.as_str();
                return Err(Error::new(ErrorKind::Missing, format!("there is no {shown:?} to back up"))
                    .help("correct `paths`, or end the path with a * where it may be missing"));
            }
            true => {}
            false => expand(&start, pattern, &mut all)?,
        }
        if all.len() == before && must {
            notes.add(Sort::Nothing, pattern.as_str().as_bytes(), None);
        }
    }
    all.sort_unstable_by(|one, other| names(one).cmp(&names(other)));
    let mut kept: Vec<Vec<u8>> = Vec::new();
    for path in all {
        let below = kept.last().is_some_and(|last| names(&path).starts_with(&names(last)));
        if !below {
            kept.push(path);
        }
    }
    Ok(kept)
}

fn is_there(path: &[u8]) -> Result<bool> {
    let path = if path.is_empty() { b"/" } else { path };
    let path = Path::new(std::ffi::OsStr::from_bytes(path));
    match path.symlink_metadata() {
        Ok(_) => Ok(true),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(false),
        Err(error) => Err(error).context(|| format!("cannot look at {path:?}")),
    }
}

fn expand(at: &[u8], pattern: &Pattern, all: &mut Vec<Vec<u8>>) -> Result<()> {
    let shown = if at.is_empty() { b"/" } else { at };
    let path = Path::new(std::ffi::OsStr::from_bytes(shown));
    let dir = match Dir::open(path) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return Ok(()),
        dir => dir.context(|| format!("cannot look into {path:?}"))?,
    };
    for name in dir.names().context(|| format!("cannot look into {path:?}"))? {
        let child = [at, b"/", &name].concat();
        let path = names(&child);
        if pattern.matches(&path) {
            all.push(child);
        } else if pattern.leads_into(&path)
            && dir.look(&name).ok().flatten().is_some_and(|facts| facts.kind == Kind::Dir)
        {
            expand(&child, pattern, all)?;
        }
    }
    Ok(())
}

/// Opens the folder that holds `path`; gives the name in it too, which is `.` for the root.
pub(super) fn parent_of(path: &[u8]) -> io::Result<(Dir, &[u8])> {
    let cut = path.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
    let (parent, name) = (&path[..cut], &path[(cut + 1).min(path.len())..]);
    let parent = if parent.is_empty() { b"/" } else { parent };
    let dir = Dir::open(Path::new(std::ffi::OsStr::from_bytes(parent)))?;
    Ok((dir, if name.is_empty() { b"." } else { name }))
}

/// Visits one root and all below it; tells how many things were visited.
pub(super) fn visit(files: &Files, root: &[u8], visitor: &mut dyn Visitor) -> Result<u64> {
    let (within, name) = parent_of(root).context(|| format!("cannot look at {:?}", String::from_utf8_lossy(root)))?;
    let Some(facts) = within.look(name).context(|| format!("cannot look at {:?}", String::from_utf8_lossy(root)))?
    else {
        visitor.notes().add(Sort::Vanished, root, None);
        return Ok(0);
    };
    let leads_to_folder = || within.dir(name).is_err() && Path::new(std::ffi::OsStr::from_bytes(root)).is_dir();
    if facts.kind == Kind::Link && leads_to_folder() {
        visitor.notes().add(Sort::LinkToFolder, root, None);
    }
    let mut walk = Walk { files, visitor, dev: facts.dev, count: 0 };
    let path = if root == b"/" { Vec::new() } else { root.to_vec() };
    walk.one(&Found { within: &within, name, path: &path, facts })?;
    Ok(walk.count)
}

struct Walk<'a> {
    files: &'a Files,
    visitor: &'a mut dyn Visitor,
    dev: u64,
    count: u64,
}

impl Walk<'_> {
    fn one(&mut self, found: &Found) -> Result<()> {
        if self.is_left_out(found) {
            return Ok(());
        }
        self.count += 1;
        self.visitor.visit(found)?;
        if found.facts.kind != Kind::Dir {
            return Ok(());
        }
        if found.facts.dev != self.dev && self.files.one_file_system {
            self.visitor.notes().add(Sort::OtherFileSystem, found.path, None);
            return Ok(());
        }
        self.visitor.pause()?;
        let listed = found.within.dir(found.name).and_then(|dir| Ok((dir.names()?, dir)));
        let (children, dir) = match listed {
            Ok(listed) => listed,
            Err(error) => return unreadable(self.files, self.visitor.notes(), found.path, &error),
        };
        for name in children {
            let path = [found.path, b"/", &name].concat();
            match dir.facts_of(&name) {
                Ok(facts) => self.one(&Found { within: &dir, name: &name, path: &path, facts })?,
                Err(error) => unreadable(self.files, self.visitor.notes(), &path, &error)?,
            }
        }
        Ok(())
    }

    fn is_left_out(&self, found: &Found) -> bool {
        let names = names(found.path);
        is_ours(found.name)
            || self.files.exclude.iter().any(|pattern| pattern.matches(&names))
            || self.files.skip.iter().any(|skip| skip.as_os_str().as_bytes() == found.path)
    }
}

/// Notes what could not be read, or fails when the source wants all or nothing. What has vanished meanwhile is no failure.
pub(super) fn unreadable(files: &Files, notes: &mut Notes, path: &[u8], error: &io::Error) -> Result<()> {
    if error.kind() == io::ErrorKind::NotFound {
        notes.add(Sort::Vanished, path, None);
        return Ok(());
    }
    if files.all_or_nothing {
        let shown = String::from_utf8_lossy(path);
        return Err(Error::new(ErrorKind::Io, format!("cannot read {shown:?}: {error}"))
            .help("let the user that runs the backup read it, name it in `exclude`, or set unreadable = \"warn\""));
    }
    notes.add(Sort::Unreadable, path, Some(&error.to_string()));
    Ok(())
}

/// About how many bytes the archive will have.
pub(super) fn total(files: &Files) -> Result<u64> {
    struct Sum(u64, Notes);
    impl Visitor for Sum {
        fn visit(&mut self, found: &Found) -> Result<()> {
            let size = if found.facts.kind == Kind::File {
                found.facts.size.min(found.facts.allocated.max(BLOCK as u64))
            } else {
                0
            };
            self.0 += 3 * BLOCK as u64 + size + padding(size) as u64;
            Ok(())
        }
        fn notes(&mut self) -> &mut Notes {
            &mut self.1
        }
        fn pause(&mut self) -> Result<()> {
            Ok(())
        }
    }
    let mut sum = Sum(0, Notes::default());
    for root in roots(files, &mut Notes::default())? {
        visit(files, &root, &mut sum)?;
    }
    Ok(sum.0)
}
