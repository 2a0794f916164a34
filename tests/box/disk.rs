//! A stick in memory, and what was done to it: from both come the states in which a pulled stick may be found.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use tillstick::stick::medium::Medium;

pub const SECTOR: usize = 512;
const BLOCK: usize = 64 << 10;

/// One thing that was done to a medium.
#[derive(Clone)]
pub enum Step {
    Write(u64, Vec<u8>),
    Flush,
}

/// A stick in memory: what it was, and the sectors that changed since. A copy costs little.
#[derive(Clone)]
pub struct Disk {
    start: Arc<Vec<u8>>,
    changed: HashMap<u64, Arc<[u8; SECTOR]>>,
}

impl Disk {
    /// The image from `offset` on, where a partition begins.
    pub fn load(image: &Path, offset: u64) -> Self {
        let mut bytes = fs::read(image).unwrap();
        bytes.drain(..offset as usize);
        Self { start: Arc::new(bytes), changed: HashMap::new() }
    }

    pub fn size(&self) -> u64 {
        self.start.len() as u64
    }

    /// Writes it into a new file, with holes where there is nothing.
    pub fn save(&self, image: &Path) {
        let file = File::create(image).unwrap();
        file.set_len(self.size()).unwrap();
        for (at, block) in (0..).step_by(BLOCK).zip(self.start.chunks(BLOCK)) {
            if block.iter().any(|byte| *byte != 0) {
                file.write_all_at(block, at).unwrap();
            }
        }
        for (sector, bytes) in &self.changed {
            file.write_all_at(&bytes[..], sector * SECTOR as u64).unwrap();
        }
    }

    pub fn write(&mut self, at: u64, bytes: &[u8]) {
        let sectors = bytes.as_chunks::<SECTOR>().0;
        for (sector, bytes) in (at / SECTOR as u64..).zip(sectors) {
            self.changed.insert(sector, Arc::new(*bytes));
        }
    }

    fn read(&self, at: u64, buf: &mut [u8]) {
        buf.copy_from_slice(&self.start[at as usize..][..buf.len()]);
        let (first, end) = (at / SECTOR as u64, (at + buf.len() as u64).div_ceil(SECTOR as u64));
        for (sector, bytes) in (first..end).filter_map(|sector| Some((sector, self.changed.get(&sector)?))) {
            let begin = sector * SECTOR as u64;
            let (from, to) = (begin.max(at), (begin + SECTOR as u64).min(at + buf.len() as u64));
            buf[(from - at) as usize..(to - at) as usize]
                .copy_from_slice(&bytes[(from - begin) as usize..(to - begin) as usize]);
        }
    }
}

impl Medium for Disk {
    fn read_at(&mut self, pos: u64, buf: &mut [u8]) -> io::Result<()> {
        if pos + buf.len() as u64 > self.size() {
            return Err(io::ErrorKind::InvalidData.into());
        }
        self.read(pos, buf);
        Ok(())
    }

    fn write_at(&mut self, pos: u64, bytes: &[u8]) -> io::Result<()> {
        self.write(pos, bytes);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn forget(&mut self) -> io::Result<()> {
        Ok(())
    }
}
