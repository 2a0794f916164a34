//! What lies on a disk, read by `fatfs` alone: none of our own code has a say in it.

use std::io::{self, Read, Seek, SeekFrom, Write};

use fatfs::{Dir, FileAttributes, FileSystem, FsOptions};

use crate::disk::Disk;

/// Files above this only fill the stick, and are not read.
const LEN_MAX: u64 = 50_000;

pub struct Seen {
    pub path: String,
    pub hidden: bool,
    /// `None` when it cannot be read.
    pub content: Option<Vec<u8>>,
}

pub fn look(disk: &Disk) -> Vec<Seen> {
    let fs = FileSystem::new(Reader { disk: disk.clone(), pos: 0 }, FsOptions::new()).unwrap();
    let mut seen = Vec::new();
    walk(&fs.root_dir(), "", &mut seen);
    seen
}

fn walk(dir: &Dir<Reader>, prefix: &str, seen: &mut Vec<Seen>) {
    for entry in dir.iter().map(Result::unwrap) {
        let name = entry.file_name();
        let path = format!("{prefix}{name}");
        if entry.is_dir() {
            if name != "." && name != ".." {
                walk(&entry.to_dir(), &format!("{path}/"), seen);
            }
            continue;
        }
        let hidden = entry.attributes().intersects(FileAttributes::HIDDEN);
        let mut content = Vec::new();
        let read = entry.len() > LEN_MAX || entry.to_file().read_to_end(&mut content).is_ok();
        let whole = read && (entry.len() > LEN_MAX || content.len() as u64 == entry.len());
        seen.push(Seen { path, hidden, content: whole.then_some(content) });
    }
}

struct Reader {
    disk: Disk,
    pos: u64,
}

impl Read for Reader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.disk.read(self.pos, buf);
        self.pos += buf.len() as u64;
        Ok(buf.len())
    }
}

impl Write for Reader {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Reader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let pos = match to {
            SeekFrom::Start(pos) => Some(pos),
            SeekFrom::Current(by) => self.pos.checked_add_signed(by),
            SeekFrom::End(_) => None,
        };
        self.pos = pos.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.pos)
    }
}
