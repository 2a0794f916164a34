//! A disk in memory that remembers every write and flush, and the image file on which `fsck.fat` looks at it.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use nix::errno::Errno;
use nix::unistd::{Whence, lseek};
use tillstick::stick::fs::StickFs;
use tillstick::stick::image::open_medium;
use tillstick::stick::medium::Medium;

use crate::stick_kit::{VOLUME_KIB, scratch};

pub const SIZE: u64 = VOLUME_KIB * 1024;
pub const SECTOR: usize = 512;
pub const BLOCK: usize = 4096;

/// A piece of the medium; none where nothing was ever written.
type Page = Option<Arc<Vec<u8>>>;

/// What `fsck.fat` says of a stick that was pulled out once, and in its last line.
const MARKS: [&str; 10] = [
    "boot sector and its backup",
    "mostly harmless",
    "65:01/00",
    "Not automatically",
    "Dirty bit",
    "dirty bit",
    "Leaving filesystem unchanged.",
    // A piece of a long name whose other pieces a yank kept from coming.
    "long file name",
    "uto-",
    " files, ",
];

#[derive(Clone)]
pub enum Step {
    Write(u64, Vec<u8>),
    Flush,
}

/// Shared blocks make a copy cheap; one that is not there is zeros.
#[derive(Clone)]
pub struct Disk {
    blocks: Vec<Option<Arc<Vec<u8>>>>,
}

impl Disk {
    fn empty() -> Self {
        Self { blocks: vec![None; (SIZE as usize).div_ceil(BLOCK)] }
    }

    /// What an image file holds, in blocks that are shared with an earlier state of it.
    pub fn load(path: &Path, earlier: Option<&Self>) -> Self {
        let mut disk = earlier.cloned().unwrap_or_else(Self::empty);
        disk.follow(&File::open(path).unwrap());
        disk
    }

    pub fn write(&mut self, pos: u64, bytes: &[u8]) {
        each_block(pos, bytes.len(), |number, from, part| {
            let block = self.blocks[number].get_or_insert_with(|| Arc::new(vec![0; BLOCK]));
            Arc::make_mut(block)[from..from + part.len()].copy_from_slice(&bytes[part]);
        });
    }

    pub fn read(&self, pos: u64, buf: &mut [u8]) {
        each_block(pos, buf.len(), |number, from, part| match &self.blocks[number] {
            Some(block) => {
                let len = part.len();
                buf[part].copy_from_slice(&block[from..from + len]);
            }
            None => buf[part].fill(0),
        });
    }

    pub fn get(&self, pos: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.read(pos, &mut bytes);
        bytes
    }

    /// The blocks in which two disks may differ: those that they do not share.
    pub fn differing<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = usize> + 'a {
        let pairs = self.blocks.iter().zip(&other.blocks).enumerate();
        let shared = |(one, other): (&Page, &Page)| match (one, other) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (one, other) => one.is_none() && other.is_none(),
        };
        pairs.filter(move |(_, pair)| !shared(*pair)).map(|(number, _)| number)
    }

    /// Becomes what the file holds; blocks that stay as they are stay shared.
    fn follow(&mut self, file: &File) {
        let (mut at, mut old) = (0, std::mem::replace(&mut self.blocks, Self::empty().blocks));
        while let Some(start) = seek(file, at, Whence::SeekData) {
            let end = seek(file, start, Whence::SeekHole).unwrap_or(SIZE as i64);
            let first = start as usize / BLOCK;
            let mut extent = vec![0; (end as usize - first * BLOCK).next_multiple_of(BLOCK)];
            let len = extent.len().min(SIZE as usize - first * BLOCK);
            file.read_exact_at(&mut extent[..len], (first * BLOCK) as u64).unwrap();
            for (number, block) in (first..).zip(extent.chunks(BLOCK)) {
                let same = old[number].take().filter(|old| old.as_slice() == block);
                let new = || block.iter().any(|byte| *byte != 0).then(|| Arc::new(block.to_vec()));
                self.blocks[number] = same.or_else(new);
            }
            at = end;
        }
    }
}

fn each_block(pos: u64, len: usize, mut each: impl FnMut(usize, usize, std::ops::Range<usize>)) {
    let mut done = 0;
    while done < len {
        let at = pos as usize + done;
        let part = (BLOCK - at % BLOCK).min(len - done);
        each(at / BLOCK, at % BLOCK, done..done + part);
        done += part;
    }
}

fn seek(file: &File, at: i64, whence: Whence) -> Option<i64> {
    match lseek(file.as_fd(), at, whence) {
        Ok(found) => Some(found),
        Err(Errno::ENXIO) => None,
        Err(error) => panic!("{error}"),
    }
}

/// An image file that follows one disk after the other, so that each costs only what it changes.
pub struct Image {
    _dir: tempfile::TempDir,
    path: PathBuf,
    file: File,
    holds: Disk,
}

impl Image {
    pub fn new() -> Self {
        let dir = scratch();
        let path = dir.path().join("pulled.img");
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path).unwrap();
        file.set_len(SIZE).unwrap();
        Self { _dir: dir, path, file, holds: Disk::empty() }
    }

    fn put(&mut self, disk: &Disk) {
        for number in self.holds.differing(disk) {
            let at = (number * BLOCK) as u64;
            let block = disk.get(at, BLOCK.min((SIZE - at) as usize));
            self.file.write_all_at(&block, at).unwrap();
        }
        self.holds = disk.clone();
    }

    /// What a PC makes of the disk that checks a stick when it is plugged in: `fsck.fat -a`.
    pub fn mended(&mut self, disk: &Disk) -> Disk {
        self.put(disk);
        let (code, said) = self.fsck("-a");
        assert!(matches!(code, 0 | 1), "fsck.fat gave up: {said}");
        self.holds.follow(&self.file);
        self.holds.clone()
    }

    /// `fsck.fat` finds nothing but the marks of a pulled stick, which are not ours to take away: no cluster is lost.
    pub fn is_sound(&mut self, disk: &Disk, what: &str) {
        self.put(disk);
        let (_, said) = self.fsck("-n");
        let known = |line: &&str| MARKS.iter().any(|mark| line.contains(mark)) || line.trim().is_empty();
        let rest: Vec<&str> = said.lines().skip(1).filter(|line| !known(line)).collect();
        assert!(rest.is_empty(), "{what}: fsck.fat says {rest:?}");
    }

    fn fsck(&self, option: &str) -> (i32, String) {
        let mut command = Command::new("fsck.fat");
        let said = command.arg(option).arg(&self.path).stdin(Stdio::null()).output().unwrap();
        (said.status.code().unwrap(), String::from_utf8_lossy(&said.stdout).into_owned())
    }
}

/// A disk while it is written to, with what was done to it.
#[derive(Clone)]
pub struct Recorded(Arc<Mutex<(Disk, Vec<Step>)>>);

impl Recorded {
    pub fn new(disk: &Disk) -> Self {
        Self(Arc::new(Mutex::new((disk.clone(), Vec::new()))))
    }

    pub fn open(&self) -> Box<dyn StickFs> {
        open_medium(Box::new(self.clone()), SIZE, true).unwrap()
    }

    pub fn disk(&self) -> Disk {
        self.0.lock().unwrap().0.clone()
    }

    pub fn take_steps(&self) -> Vec<Step> {
        std::mem::take(&mut self.0.lock().unwrap().1)
    }
}

impl Medium for Recorded {
    fn read_at(&mut self, pos: u64, buf: &mut [u8]) -> io::Result<()> {
        if pos + buf.len() as u64 > SIZE {
            return Err(io::ErrorKind::InvalidData.into());
        }
        self.0.lock().unwrap().0.read(pos, buf);
        Ok(())
    }

    fn write_at(&mut self, pos: u64, bytes: &[u8]) -> io::Result<()> {
        let whole = |len: u64| len.is_multiple_of(SECTOR as u64);
        assert!(whole(pos) && whole(bytes.len() as u64), "a disk writes whole sectors");
        let (disk, steps) = &mut *self.0.lock().unwrap();
        disk.write(pos, bytes);
        steps.push(Step::Write(pos, bytes.to_vec()));
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.lock().unwrap().1.push(Step::Flush);
        Ok(())
    }

    fn forget(&mut self) -> io::Result<()> {
        Ok(())
    }
}
