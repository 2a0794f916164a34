//! Making files of an archive, below one folder and nowhere else: every step goes from folder to folder by descriptor and
//! follows no link.

use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::format::{Entry, What};
use super::notes::{Notes, Sort};
use super::owners::Owners;
use super::read::Archive;
use super::walk::{STAGE, names};
use crate::error::{Context, Error, Kind as ErrorKind, Result};
use crate::host::tree::{self, Dir, Kind};
use crate::host::{durable, space, xattr};
use crate::model::Run;

/// The least that stays free on the disk, whatever an archive asks for, in bytes.
const KEEP_FREE: u64 = 64 << 20;
/// After how many bytes, or entries, the room is looked at again.
const LOOK_EVERY: u64 = 8 << 20;
const LOOK_ENTRIES: u64 = 500;
/// How much is written at once, in bytes.
const BUFFER: usize = 128 << 10;

/// A file that is there: its folder and its name.
type Known = Option<(Dir, Vec<u8>)>;
/// Finds a file that is not below the folder into which an archive is unpacked.
pub(super) type Elsewhere<'e> = dyn FnMut(&[u8]) -> Result<Known> + 'e;

/// What was unpacked.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Unpacked {
    /// Files, folders and links.
    pub entries: u64,
    /// Bytes of the files' content.
    pub bytes: u64,
    /// What is not as it was.
    pub warnings: Vec<String>,
}

/// Unpacks into the folder `target`, which must not be there, or be empty: it is there only when all of it is.
pub fn into_new(archive: impl Read, target: &Path, run: &Run) -> Result<Unpacked> {
    if durable::is_there(target)? {
        let empty = std::fs::read_dir(target).is_ok_and(|mut entries| entries.next().is_none());
        if !empty {
            return Err(Error::new(ErrorKind::Refused, format!("{target:?} is there already"))
                .help("name a folder that is not there, or an empty one"));
        }
    }
    let parent = target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    sweep(parent);
    let stage = Stage::new(parent.join(format!("{STAGE}{}", std::process::id())))?;
    let mut maker = Maker::new(&stage.0, run)?;
    let mut archive = Archive::new(archive);
    while let Some(entry) = archive.next()? {
        maker.make(&entry, &mut archive, &mut |_| Ok(None))?;
    }
    let unpacked = maker.finish()?;
    std::fs::rename(&stage.0, target).context(|| format!("cannot put {target:?} in its place"))?;
    std::mem::forget(stage);
    durable::sync_parent(target)?;
    Ok(unpacked)
}

/// Removes what a process that died has left in `parent`.
fn sweep(parent: &Path) {
    for entry in std::fs::read_dir(parent).into_iter().flatten().flatten() {
        let pid = entry.file_name().to_str().and_then(|name| name.strip_prefix(STAGE)?.parse::<u32>().ok());
        if pid.is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists()) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// A folder that goes when it is dropped.
pub(super) struct Stage(pub(super) PathBuf);

impl Stage {
    pub(super) fn new(path: PathBuf) -> Result<Self> {
        let made = std::fs::DirBuilder::new().mode(0o700).create(&path);
        made.context(|| format!("cannot make the folder {path:?}"))?;
        Ok(Self(path))
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Makes the entries of an archive below one folder.
pub(super) struct Maker<'a> {
    root: Dir,
    path: PathBuf,
    run: &'a Run<'a>,
    owners: Owners,
    notes: Notes,
    done: Unpacked,
    look_at: (u64, u64),
    /// The folder of the last entry.
    last: Option<(Vec<u8>, Dir)>,
    /// Folders get their times last: what is made in them would change these.
    folders: Vec<Entry>,
    buffer: Vec<u8>,
}

impl<'a> Maker<'a> {
    pub(super) fn new(path: &Path, run: &'a Run<'a>) -> Result<Self> {
        let root = Dir::open(path).context(|| format!("cannot open the folder {path:?}"))?;
        Ok(Self {
            root,
            path: path.to_owned(),
            run,
            owners: Owners::default(),
            notes: Notes::default(),
            done: Unpacked::default(),
            look_at: (0, 0),
            last: None,
            folders: Vec::new(),
            buffer: vec![0; BUFFER],
        })
    }

    /// Makes one entry. `elsewhere` finds the file of which it is a second name when that is not below this folder.
    pub(super) fn make<R: Read>(
        &mut self,
        entry: &Entry,
        archive: &mut Archive<R>,
        elsewhere: &mut Elsewhere<'_>,
    ) -> Result<()> {
        self.look_at_room()?;
        self.run.progress(self.done.bytes)?;
        let failed = || format!("cannot make {:?}", String::from_utf8_lossy(&entry.path));
        if entry.path.is_empty() {
            // The folder itself.
            return Ok(());
        }
        if let What::Other(_) = entry.what {
            self.notes.add(Sort::Special, &entry.path, None);
            return Ok(());
        }
        let (dir, name) = self.parent(&entry.path)?;
        let name = name.as_slice();
        if let Some(there) = dir.look(name).context(failed)? {
            match (there.kind, &entry.what) {
                (Kind::Dir, What::Dir) => {}
                (Kind::Dir, _) => return Err(twice(entry)),
                // The last one of a name counts.
                _ => dir.remove(name).context(failed)?,
            }
        }
        match &entry.what {
            What::Dir => {
                if dir.look(name).context(failed)?.is_none() {
                    dir.make_dir(name).context(failed)?;
                }
                self.folders.push(entry.clone());
            }
            What::Link(target) => {
                dir.link_to(target, name).context(failed)?;
                self.own(&dir, name, entry).context(failed)?;
                dir.set_mtime(name, entry.mtime).context(failed)?;
            }
            What::Second(first) => self.second(&dir, name, first, elsewhere)?,
            What::File => self.file(&dir, name, entry, archive)?,
            What::Other(_) => {}
        }
        self.last = parent_path(&entry.path).map(|path| (path.to_vec(), dir));
        self.done.entries += 1;
        Ok(())
    }

    fn file<R: Read>(&mut self, dir: &Dir, name: &[u8], entry: &Entry, archive: &mut Archive<R>) -> Result<()> {
        let failed = || format!("cannot write {:?}", String::from_utf8_lossy(&entry.path));
        let file = dir.create(name).context(failed)?;
        while let Some((offset, length)) = archive.piece(&mut self.buffer)? {
            file.write_all_at(&self.buffer[..length], offset).context(failed)?;
            self.done.bytes += length as u64;
            self.look_at_room()?;
            self.run.progress(self.done.bytes)?;
        }
        file.set_len(entry.size).context(failed)?;
        let owned = self.own(dir, name, entry).context(failed)?;
        self.attributes(&file, entry);
        tree::set_mode(&file, if owned { entry.mode } else { entry.mode & 0o777 }).context(failed)?;
        dir.set_mtime(name, entry.mtime).context(failed)
    }

    fn second(&mut self, dir: &Dir, name: &[u8], first: &[u8], elsewhere: &mut Elsewhere<'_>) -> Result<()> {
        let missing = || {
            let first = String::from_utf8_lossy(first);
            Error::new(ErrorKind::Damaged, format!("the archive has a second name for {first:?}, which is not in it"))
        };
        let here = self.find(first)?;
        let (from, old) = match here {
            Some(found) => found,
            None => elsewhere(first)?.ok_or_else(missing)?,
        };
        // A link here would give its target a second name outside.
        if from.look(&old).ok().flatten().is_none_or(|facts| facts.kind != Kind::File) {
            return Err(missing());
        }
        dir.second_name(&from, &old, name).context(|| format!("cannot make {:?}", String::from_utf8_lossy(name)))
    }

    /// A file that was made before.
    fn find(&self, path: &[u8]) -> Result<Option<(Dir, Vec<u8>)>> {
        let failed = || format!("cannot look for {:?}", String::from_utf8_lossy(path));
        let all = names(path);
        let Some((name, folders)) = all.split_last() else { return Ok(None) };
        let mut dir = self.root.again().context(failed)?;
        for folder in folders {
            match dir.look(folder).context(failed)?.map(|facts| facts.kind) {
                Some(Kind::Dir) => dir = dir.dir(folder).context(failed)?,
                _ => return Ok(None),
            }
        }
        Ok(dir.look(name).context(failed)?.map(|_| (dir, name.to_vec())))
    }

    /// The folder in which the path lies, made if need be, and its last name.
    fn parent(&mut self, path: &[u8]) -> Result<(Dir, Vec<u8>)> {
        let all = names(path);
        let (name, folders) = all.split_last().expect("the path has a name");
        if let Some((known, dir)) = self.last.take_if(|(known, _)| Some(known.as_slice()) == parent_path(path)) {
            drop(known);
            return Ok((dir, name.to_vec()));
        }
        let failed = || format!("cannot make the folders of {:?}", String::from_utf8_lossy(path));
        let mut dir = self.root.again().context(failed)?;
        for folder in folders {
            match dir.look(folder).context(failed)?.map(|facts| facts.kind) {
                None => {
                    dir.make_dir(folder).context(failed)?;
                    let made = dir.dir(folder).context(failed)?;
                    tree::set_mode(&made, 0o755).context(failed)?;
                }
                Some(Kind::Dir) => {}
                Some(_) => {
                    let (path, folder) = (String::from_utf8_lossy(path), String::from_utf8_lossy(folder));
                    return Err(Error::new(
                        ErrorKind::Refused,
                        format!("the archive names {path:?}, and its {folder:?} is no folder but a file or a link"),
                    )
                    .help("nothing was unpacked there: look where this archive comes from"));
                }
            }
            dir = dir.dir(folder).context(failed)?;
        }
        Ok((dir, name.to_vec()))
    }

    /// Gives it to its owner; false when only root could.
    fn own(&mut self, dir: &Dir, name: &[u8], entry: &Entry) -> io::Result<bool> {
        let uid = self.owners.id(true, &entry.user, entry.uid);
        let gid = self.owners.id(false, &entry.group, entry.gid);
        match dir.give_to(name, uid, gid) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                self.notes.add(Sort::Owners, &entry.path, None);
                Ok(false)
            }
            // A number that this file system, or this user namespace, has no room for.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                self.notes.add(Sort::Owners, &entry.path, None);
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    fn attributes(&mut self, file: &impl std::os::fd::AsFd, entry: &Entry) {
        let lost = entry.attributes.iter().any(|(name, value)| xattr::set(file, name, value).is_err());
        if lost {
            self.notes.add(Sort::Attributes, &entry.path, None);
        }
    }

    fn look_at_room(&mut self) -> Result<()> {
        let (bytes, entries) = self.look_at;
        if self.done.bytes < bytes && self.done.entries < entries {
            return Ok(());
        }
        self.look_at = (self.done.bytes + LOOK_EVERY, self.done.entries + LOOK_ENTRIES);
        let free = space::free(&self.path)?;
        if free > KEEP_FREE + LOOK_EVERY {
            return Ok(());
        }
        Err(Error::new(ErrorKind::NoSpace, format!("only {free} bytes are free where {:?} is unpacked", self.path))
            .help("make room, or unpack on a larger disk"))
    }

    /// Gives the folders their owners, rights and times, and makes all of it durable.
    pub(super) fn finish(mut self) -> Result<Unpacked> {
        for entry in std::mem::take(&mut self.folders).iter().rev() {
            let failed = || format!("cannot finish the folder {:?}", String::from_utf8_lossy(&entry.path));
            let Some((dir, name)) = self.find(&entry.path)? else { continue };
            self.folder(&dir, &name, entry).context(failed)?;
        }
        self.root.sync_all().context(|| format!("cannot sync {:?}", self.path))?;
        self.done.warnings = self.notes.lines();
        Ok(self.done)
    }

    /// What a folder is beside its name.
    pub(super) fn folder(&mut self, dir: &Dir, name: &[u8], entry: &Entry) -> io::Result<()> {
        let opened = dir.dir(name)?;
        let owned = self.own(dir, name, entry)?;
        self.attributes(&opened, entry);
        tree::set_mode(&opened, if owned { entry.mode } else { entry.mode & 0o1777 })?;
        dir.set_mtime(name, entry.mtime)
    }
}

fn parent_path(path: &[u8]) -> Option<&[u8]> {
    Some(&path[..path.iter().rposition(|byte| *byte == b'/')?])
}

fn twice(entry: &Entry) -> Error {
    let path = String::from_utf8_lossy(&entry.path);
    Error::new(ErrorKind::Refused, format!("the archive names {path:?} as a folder and as something else"))
}
