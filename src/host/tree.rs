//! Folders by descriptor: every step goes to a name within a folder that is held open and follows no link, so that nobody
//! who renames folders meanwhile, and no name in an archive, leads a step out of the tree.
//!
//! Through rustix, whose calls are those for files of 64 bits on every processor. Those of the C library are of 32 bits on 32-bit ARM
//! unless a program says otherwise, and fail there on a file of 2 GiB, a high inode number or a date after 2038.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{
    AtFlags, CWD, Dir as List, FileType, Gid, Mode, OFlags, RenameFlags, SeekFrom, Stat, Timespec, Timestamps,
    UTIME_OMIT, Uid, chownat, fchmod, fstat, linkat, mkdirat, openat, readlinkat, renameat_with, seek, statat,
    symlinkat, syncfs, unlinkat, utimensat,
};
use rustix::io::Errno;

/// What something in a folder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A plain file.
    File,
    /// A folder.
    Dir,
    /// A symbolic link.
    Link,
    /// Something that holds no data of its own, by name.
    Other(&'static str),
}

/// What the file system says of something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// What it is.
    pub kind: Kind,
    /// Its permission bits, with those for set-user-ID and the like.
    pub mode: u32,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Its size in bytes.
    pub size: u64,
    /// When its content changed: seconds and nanoseconds.
    pub mtime: (i64, u32),
    /// When anything of it changed.
    pub ctime: (i64, u32),
    /// The device that holds it.
    pub dev: u64,
    /// Its number there.
    pub ino: u64,
    /// How many names it has.
    pub links: u64,
    /// Bytes that it takes on the disk.
    pub allocated: u64,
}

impl Facts {
    #[allow(clippy::unnecessary_cast, clippy::useless_conversion, reason = "the types differ from system to system")]
    fn new(stat: &Stat) -> Self {
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Kind::File,
            FileType::Directory => Kind::Dir,
            FileType::Symlink => Kind::Link,
            FileType::Socket => Kind::Other("socket"),
            FileType::Fifo => Kind::Other("named pipe"),
            FileType::BlockDevice => Kind::Other("block device"),
            FileType::CharacterDevice => Kind::Other("character device"),
            FileType::Unknown => Kind::Other("file of an unknown kind"),
        };
        Self {
            kind,
            mode: stat.st_mode & 0o7777,
            uid: stat.st_uid,
            gid: stat.st_gid,
            size: u64::try_from(stat.st_size).unwrap_or(0),
            mtime: (stat.st_mtime as i64, stat.st_mtime_nsec as u32),
            ctime: (stat.st_ctime as i64, stat.st_ctime_nsec as u32),
            dev: stat.st_dev as u64,
            ino: stat.st_ino as u64,
            links: stat.st_nlink as u64,
            allocated: u64::try_from(stat.st_blocks).unwrap_or(0) * 512,
        }
    }
}

/// A folder that is held open.
#[derive(Debug)]
pub struct Dir(OwnedFd);

impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

const DIR: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

impl Dir {
    /// The folder at `path`, to which links may lead.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(openat(CWD, path, DIR, Mode::empty())?))
    }

    /// The folder `name` in this one.
    pub fn dir(&self, name: &[u8]) -> io::Result<Self> {
        Ok(Self(openat(self, name, DIR | OFlags::NOFOLLOW, Mode::empty())?))
    }

    /// The same folder again.
    pub fn again(&self) -> io::Result<Self> {
        Ok(Self(self.0.try_clone()?))
    }

    /// The names in it, sorted.
    pub fn names(&self) -> io::Result<Vec<Vec<u8>>> {
        let list = List::read_from(self)?;
        let mut names = Vec::new();
        for entry in list {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                names.push(name.to_vec());
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// What the folder itself is.
    pub fn facts(&self) -> io::Result<Facts> {
        Ok(Facts::new(&fstat(self)?))
    }

    /// What `name` is.
    pub fn facts_of(&self, name: &[u8]) -> io::Result<Facts> {
        Ok(Facts::new(&statat(self, name, AtFlags::SYMLINK_NOFOLLOW)?))
    }

    /// The same, or `None` when nothing has this name.
    pub fn look(&self, name: &[u8]) -> io::Result<Option<Facts>> {
        match self.facts_of(name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            facts => facts.map(Some),
        }
    }

    /// A file, for reading; opening it waits for nobody.
    pub fn file(&self, name: &[u8]) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        Ok(openat(self, name, flags, Mode::empty())?.into())
    }

    /// A new file, which nobody else may read yet.
    pub fn create(&self, name: &[u8]) -> io::Result<File> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(openat(self, name, flags, Mode::RUSR | Mode::WUSR)?.into())
    }

    /// A new folder, into which nobody else may look yet.
    pub fn make_dir(&self, name: &[u8]) -> io::Result<()> {
        Ok(mkdirat(self, name, Mode::RWXU)?)
    }

    /// Where the link `name` leads.
    pub fn target(&self, name: &[u8]) -> io::Result<Vec<u8>> {
        Ok(readlinkat(self, name, Vec::new())?.into_bytes())
    }

    /// A new link.
    pub fn link_to(&self, target: &[u8], name: &[u8]) -> io::Result<()> {
        Ok(symlinkat(target, self, name)?)
    }

    /// A second name `name` for the file `old` in `from`.
    pub fn second_name(&self, from: &Self, old: &[u8], name: &[u8]) -> io::Result<()> {
        Ok(linkat(from, old, self, name, AtFlags::empty())?)
    }

    /// Removes a file or link.
    pub fn remove(&self, name: &[u8]) -> io::Result<()> {
        Ok(unlinkat(self, name, AtFlags::empty())?)
    }

    /// Removes an empty folder.
    pub fn remove_dir(&self, name: &[u8]) -> io::Result<()> {
        Ok(unlinkat(self, name, AtFlags::REMOVEDIR)?)
    }

    /// Renames `name` to `new` in `to`, where nothing has that name.
    pub fn rename_new(&self, name: &[u8], to: &Self, new: &[u8]) -> io::Result<()> {
        Ok(renameat_with(self, name, to, new, RenameFlags::NOREPLACE)?)
    }

    /// Has `name` and `other` in `to` change places, at one instant.
    pub fn exchange(&self, name: &[u8], to: &Self, other: &[u8]) -> io::Result<()> {
        Ok(renameat_with(self, name, to, other, RenameFlags::EXCHANGE)?)
    }

    /// Renames `name` to `new` in `to`, whose file goes if there is one.
    pub fn rename_plain(&self, name: &[u8], to: &Self, new: &[u8]) -> io::Result<()> {
        Ok(renameat_with(self, name, to, new, RenameFlags::empty())?)
    }

    /// Gives `name` another owner and group.
    pub fn give_to(&self, name: &[u8], uid: u32, gid: u32) -> io::Result<()> {
        let (owner, group) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
        Ok(chownat(self, name, owner, group, AtFlags::SYMLINK_NOFOLLOW)?)
    }

    /// Sets when the content of `name` changed.
    pub fn set_mtime(&self, name: &[u8], (seconds, nanos): (i64, u32)) -> io::Result<()> {
        let last_access = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
        let last_modification = Timespec { tv_sec: seconds, tv_nsec: nanos.into() };
        Ok(utimensat(self, name, &Timestamps { last_access, last_modification }, AtFlags::SYMLINK_NOFOLLOW)?)
    }

    /// Makes everything on the folder's file system durable.
    pub fn sync_all(&self) -> io::Result<()> {
        Ok(syncfs(self)?)
    }
}

/// What an open file is.
pub fn facts_of(file: &impl AsFd) -> io::Result<Facts> {
    Ok(Facts::new(&fstat(file)?))
}

/// Sets the permission bits of an open file or folder.
pub fn set_mode(file: &impl AsFd, mode: u32) -> io::Result<()> {
    Ok(fchmod(file, Mode::from_bits_truncate(mode))?)
}

/// The next data of a file from `from` on, up to `to`, as (begin, end); `None` when there is only a hole.
pub fn next_data(file: &File, from: u64, to: u64) -> io::Result<Option<(u64, u64)>> {
    let start = match seek(file, SeekFrom::Data(from)) {
        Ok(start) => start,
        Err(Errno::NXIO) => return Ok(None),
        // This file system does not tell.
        Err(Errno::INVAL | Errno::OPNOTSUPP) => return Ok(Some((from, to))),
        Err(errno) => return Err(errno.into()),
    };
    if start >= to {
        return Ok(None);
    }
    let end = seek(file, SeekFrom::Hole(start))?;
    Ok(Some((start, end.min(to))))
}

/// The parts of a file that hold data, as (offset, length) in order; what lies between is a hole. `None` when there is no
/// hole.
pub fn data_of(file: &File, size: u64) -> io::Result<Option<Vec<(u64, u64)>>> {
    let (mut parts, mut at) = (Vec::new(), 0_u64);
    while at < size {
        let Some((start, end)) = next_data(file, at, size)? else { break };
        if end <= start {
            break;
        }
        parts.push((start, end - start));
        at = end;
    }
    Ok((parts != [(0, size)]).then_some(parts))
}
