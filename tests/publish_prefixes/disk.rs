//! A disk in memory that remembers every write and flush, and the image file on which `fsck.fat` looks at it.

use std::collections::{BTreeMap, BTreeSet};
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
const BLOCK: usize = 4096;

#[derive(Clone)]
pub enum Step {
    Write(u64, Vec<u8>),
    Flush,
}

type Blocks = BTreeMap<u64, Arc<Vec<u8>>>;

/// Shared blocks make a copy cheap; a block that is not there is zeros.
#[derive(Clone, Default)]
pub struct Disk {
    blocks: Blocks,
}

impl Disk {
    pub fn load(path: &Path) -> Self {
        Self { blocks: read_blocks(&File::open(path).unwrap(), &Blocks::new()) }
    }

    pub fn write(&mut self, pos: u64, bytes: &[u8]) {
        each_block(pos, bytes.len(), |at, from, part| {
            let block = self.blocks.entry(at).or_insert_with(|| Arc::new(vec![0; BLOCK]));
            Arc::make_mut(block)[from..from + part.len()].copy_from_slice(&bytes[part]);
        });
    }

    pub fn read(&self, pos: u64, buf: &mut [u8]) {
        each_block(pos, buf.len(), |at, from, part| match self.blocks.get(&at) {
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
    pub fn differing<'a>(&'a self, other: &'a Self) -> BTreeSet<u64> {
        let unlike = |mine: &Blocks, other: &Blocks| -> Vec<u64> {
            let same = |at: &u64, block: &Arc<Vec<u8>>| other.get(at).is_some_and(|other| Arc::ptr_eq(block, other));
            mine.iter().filter(|(at, block)| !same(at, block)).map(|(at, _)| *at).collect()
        };
        unlike(&self.blocks, &other.blocks).into_iter().chain(unlike(&other.blocks, &self.blocks)).collect()
    }

    pub const fn block_len() -> usize {
        BLOCK
    }
}

fn each_block(pos: u64, len: usize, mut each: impl FnMut(u64, usize, std::ops::Range<usize>)) {
    let mut done = 0;
    while done < len {
        let at = (pos + done as u64) / BLOCK as u64 * BLOCK as u64;
        let from = (pos + done as u64 - at) as usize;
        let part = (BLOCK - from).min(len - done);
        each(at, from, done..done + part);
        done += part;
    }
}

/// What the file holds, its holes left out; a block that is as it was in `known` is shared with it.
fn read_blocks(file: &File, known: &Blocks) -> Blocks {
    let mut blocks = Blocks::new();
    let mut at = 0;
    while let Some(start) = seek(file, at, Whence::SeekData) {
        let end = seek(file, start, Whence::SeekHole).unwrap_or(SIZE as i64);
        let start = start as u64 / BLOCK as u64 * BLOCK as u64;
        let mut extent = vec![0; (end as u64 - start).next_multiple_of(BLOCK as u64) as usize];
        let len = extent.len().min((SIZE - start) as usize);
        file.read_exact_at(&mut extent[..len], start).unwrap();
        for (pos, block) in (start..).step_by(BLOCK).zip(extent.chunks(BLOCK)) {
            let old = known.get(&pos).filter(|old| old.as_slice() == block);
            if let Some(old) = old {
                blocks.insert(pos, Arc::clone(old));
            } else if block.iter().any(|byte| *byte != 0) {
                blocks.insert(pos, Arc::new(block.to_vec()));
            }
        }
        at = end;
    }
    blocks
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
        Self { _dir: dir, path, file, holds: Disk::default() }
    }

    fn put(&mut self, disk: &Disk) {
        for at in self.holds.differing(disk) {
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
        self.holds.blocks = read_blocks(&self.file, &self.holds.blocks);
        self.holds.clone()
    }

    /// What `fsck.fat` has to say of the disk.
    pub fn complaints(&mut self, disk: &Disk) -> String {
        self.put(disk);
        self.fsck("-n").1
    }

    fn fsck(&self, option: &str) -> (i32, String) {
        let mut command = Command::new("fsck.fat");
        let said = command.arg(option).arg(&self.path).stdin(Stdio::null()).output().unwrap();
        (said.status.code().unwrap(), String::from_utf8_lossy(&said.stdout).into_owned())
    }
}

/// A disk while it is written to, with what was done to it.
#[derive(Clone, Default)]
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
