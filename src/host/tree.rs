//! Folders by descriptor: every step goes to a name within a folder that is held open and follows no link, so that nobody
//! who renames folders meanwhile, and no name in an archive, leads a step out of the tree.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use nix::dir::Dir as List;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, openat, readlinkat};
use nix::sys::stat::{FileStat, Mode, SFlag, UtimensatFlags, fchmod, fstat, fstatat, mkdirat, utimensat};
use nix::sys::time::TimeSpec;
use nix::unistd::{
    Gid, LinkatFlags, Uid, UnlinkatFlags, Whence, fchownat, linkat, lseek64, symlinkat, syncfs, unlinkat,
};

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
    fn new(stat: &FileStat) -> Self {
        let kind = match SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits()) {
            SFlag::S_IFREG => Kind::File,
            SFlag::S_IFDIR => Kind::Dir,
            SFlag::S_IFLNK => Kind::Link,
            SFlag::S_IFSOCK => Kind::Other("socket"),
            SFlag::S_IFIFO => Kind::Other("named pipe"),
            SFlag::S_IFBLK => Kind::Other("block device"),
            SFlag::S_IFCHR => Kind::Other("character device"),
            _ => Kind::Other("file of an unknown kind"),
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

const DIR: OFlag = OFlag::O_RDONLY.union(OFlag::O_DIRECTORY).union(OFlag::O_CLOEXEC);

impl Dir {
    /// The folder at `path`, to which links may lead.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(openat(AT_FDCWD, path, DIR, Mode::empty())?))
    }

    /// The folder `name` in this one.
    pub fn dir(&self, name: &[u8]) -> io::Result<Self> {
        Ok(Self(openat(self, name, DIR | OFlag::O_NOFOLLOW, Mode::empty())?))
    }

    /// The same folder again.
    pub fn again(&self) -> io::Result<Self> {
        Ok(Self(self.0.try_clone()?))
    }

    /// The names in it, sorted.
    pub fn names(&self) -> io::Result<Vec<Vec<u8>>> {
        let mut list = List::openat(self, ".", DIR, Mode::empty())?;
        let mut names = Vec::new();
        for entry in list.iter() {
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
        Ok(Facts::new(&fstatat(self, name, AtFlags::AT_SYMLINK_NOFOLLOW)?))
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
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        Ok(openat(self, name, flags, Mode::empty())?.into())
    }

    /// A new file, which nobody else may read yet.
    pub fn create(&self, name: &[u8]) -> io::Result<File> {
        let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        Ok(openat(self, name, flags, Mode::S_IRUSR | Mode::S_IWUSR)?.into())
    }

    /// A new folder, into which nobody else may look yet.
    pub fn make_dir(&self, name: &[u8]) -> io::Result<()> {
        Ok(mkdirat(self, name, Mode::S_IRWXU)?)
    }

    /// Where the link `name` leads.
    pub fn target(&self, name: &[u8]) -> io::Result<Vec<u8>> {
        Ok(OsString::into_vec(readlinkat(self, name)?))
    }

    /// A new link.
    pub fn link_to(&self, target: &[u8], name: &[u8]) -> io::Result<()> {
        Ok(symlinkat(target, self, name)?)
    }

    /// A second name `name` for the file `old` in `from`.
    pub fn second_name(&self, from: &Self, old: &[u8], name: &[u8]) -> io::Result<()> {
        Ok(linkat(from, old, self, name, LinkatFlags::empty())?)
    }

    /// Removes a file or link.
    pub fn remove(&self, name: &[u8]) -> io::Result<()> {
        Ok(unlinkat(self, name, UnlinkatFlags::NoRemoveDir)?)
    }

    /// Removes an empty folder.
    pub fn remove_dir(&self, name: &[u8]) -> io::Result<()> {
        Ok(unlinkat(self, name, UnlinkatFlags::RemoveDir)?)
    }

    /// Renames `name` to `new` in `to`, where nothing has that name.
    pub fn rename_new(&self, name: &[u8], to: &Self, new: &[u8]) -> io::Result<()> {
        self.rename(name, to, new, libc::RENAME_NOREPLACE)
    }

    /// Has `name` and `other` in `to` change places, at one instant.
    pub fn exchange(&self, name: &[u8], to: &Self, other: &[u8]) -> io::Result<()> {
        self.rename(name, to, other, libc::RENAME_EXCHANGE)
    }

    /// Renames `name` to `new` in `to`, whose file goes if there is one.
    pub fn rename_plain(&self, name: &[u8], to: &Self, new: &[u8]) -> io::Result<()> {
        self.rename(name, to, new, 0)
    }

    fn rename(&self, name: &[u8], to: &Self, new: &[u8], flags: libc::c_uint) -> io::Result<()> {
        let text = |name: &[u8]| std::ffi::CString::new(name).map_err(|_| io::Error::from(Errno::EINVAL));
        let (name, new) = (text(name)?, text(new)?);
        // Not every C library has a function for it.
        // SAFETY: the descriptors are open and the names end in a zero; nothing is kept.
        let done = unsafe {
            libc::syscall(libc::SYS_renameat2, self.0.as_raw_fd(), name.as_ptr(), to.0.as_raw_fd(), new.as_ptr(), flags)
        };
        Errno::result(done).map(drop).map_err(io::Error::from)
    }

    /// Gives `name` another owner and group.
    pub fn give_to(&self, name: &[u8], uid: u32, gid: u32) -> io::Result<()> {
        let (owner, group) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
        Ok(fchownat(self, name, owner, group, AtFlags::AT_SYMLINK_NOFOLLOW)?)
    }

    /// Sets when the content of `name` changed.
    pub fn set_mtime(&self, name: &[u8], (seconds, nanos): (i64, u32)) -> io::Result<()> {
        let time = TimeSpec::new(seconds as libc::time_t, nanos as _);
        Ok(utimensat(self, name, &TimeSpec::UTIME_OMIT, &time, UtimensatFlags::NoFollowSymlink)?)
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
    let start = match lseek64(file, from as i64, Whence::SeekData) {
        Ok(start) => start as u64,
        Err(Errno::ENXIO) => return Ok(None),
        // This file system does not tell.
        Err(Errno::EINVAL | Errno::EOPNOTSUPP) => return Ok(Some((from, to))),
        Err(errno) => return Err(errno.into()),
    };
    if start >= to {
        return Ok(None);
    }
    let end = lseek64(file, start as i64, Whence::SeekHole)? as u64;
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
