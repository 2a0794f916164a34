//! The bytes below a file system: an image file or a block device, from the volume's first byte on.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use xxhash_rust::xxh3::xxh3_64;

use super::Volume;
use crate::error::{Context, Result};
use crate::host::block;

/// Where the sectors of one volume go. Positions are bytes from the volume's start.
pub trait Medium: Send {
    /// Fills `buf` from `pos` on.
    fn read_at(&mut self, pos: u64, buf: &mut [u8]) -> io::Result<()>;

    /// Writes whole sectors.
    fn write_at(&mut self, pos: u64, bytes: &[u8]) -> io::Result<()>;

    /// Returns when everything written so far will survive a pulled stick.
    fn flush(&mut self) -> io::Result<()>;

    /// Drops what is cached of the medium, so that the next read asks the medium itself.
    fn forget(&mut self) -> io::Result<()>;

    /// A hash of what lies before the volume on the same stick, of its partition table above all: nobody writes there, and
    /// a stick that wraps may.
    fn before(&mut self) -> io::Result<u64> {
        Ok(0)
    }
}

/// How much of what lies before a volume is compared, in bytes: the usual 1 MiB, and the 4 MiB of SD cards.
const BEFORE_MAX: u64 = 4 << 20;

/// A read error for what may be an end. A medium that suddenly gives nothing is broken; an unexpected end would be taken
/// for the end of a folder by `fatfs`, and for damage of what lies on the stick by us.
pub(super) fn not_an_end(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => io::Error::other("the medium gives fewer bytes than it has"),
        _ => error,
    }
}

pub(super) struct FileMedium {
    file: File,
    offset: u64,
    size: u64,
}

impl FileMedium {
    /// A block device is ours alone as long as it is open: nobody mounts it meanwhile, and it is not mounted now.
    pub(super) fn open(volume: &Volume, writable: bool) -> Result<Self> {
        let file = block::open_exclusive(&volume.path, writable)?;
        Ok(Self { file, offset: volume.offset, size: volume.size })
    }

    /// For reading beside whoever has it mounted.
    pub(super) fn beside(volume: &Volume) -> Result<Self> {
        let file = File::open(&volume.path).context(|| format!("cannot read {:?}", volume.path))?;
        // What was read earlier may be from before the last write.
        let _ = block::forget_clean(&file);
        Ok(Self { file, offset: volume.offset, size: volume.size })
    }

    /// Has the kernel read the partition table anew. Says whether it did: what is no disk has none to it.
    pub(super) fn reread_partitions(&self) -> bool {
        block::reread_partitions(&self.file).is_ok()
    }

    /// Where `pos` lies in the file; a damaged file system may point outside of its volume.
    fn at(&self, pos: u64, len: usize) -> io::Result<u64> {
        let inside = pos.checked_add(len as u64).is_some_and(|end| end <= self.size);
        match self.offset.checked_add(pos).filter(|_| inside) {
            Some(at) => Ok(at),
            None => Err(io::Error::new(io::ErrorKind::InvalidData, "the file system points outside of its volume")),
        }
    }
}

impl Medium for FileMedium {
    fn read_at(&mut self, pos: u64, buf: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(buf, self.at(pos, buf.len())?).map_err(not_an_end)
    }

    fn write_at(&mut self, pos: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, self.at(pos, bytes.len())?)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.sync_all()
    }

    fn forget(&mut self) -> io::Result<()> {
        // Only clean pages can be dropped.
        self.file.sync_all()?;
        block::drop_cache(&self.file).map_err(io::Error::from)
    }

    fn before(&mut self) -> io::Result<u64> {
        let mut bytes = vec![0; self.offset.min(BEFORE_MAX) as usize];
        self.file.read_exact_at(&mut bytes, 0).map_err(not_an_end)?;
        Ok(xxh3_64(&bytes))
    }
}
