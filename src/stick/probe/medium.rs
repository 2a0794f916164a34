//! Reading a medium that may be broken or hostile: bounded in reads, bytes and time, and never written to.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

/// Something whose bytes can be read. There is no way to write through it.
pub trait ReadAt {
    /// Reads at most `buf.len()` bytes at `offset`; 0 means the end.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize>;
}

impl ReadAt for File {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        FileExt::read_at(self, buf, offset)
    }
}

impl ReadAt for [u8] {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let rest = usize::try_from(offset).ok().and_then(|offset| self.get(offset..)).unwrap_or_default();
        let len = rest.len().min(buf.len());
        buf[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }
}

/// How much of a medium may be read before the probe gives up.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Reads from the medium.
    pub reads: u32,
    /// Bytes from the medium.
    pub bytes: u64,
    /// Time for all of it, looked at before each read.
    pub time: Duration,
}

impl Default for Limits {
    /// Enough for a root folder with some ten thousand names, and for an answer within 3 s (T3).
    fn default() -> Self {
        Self { reads: 2_000, bytes: 4 << 20, time: Duration::from_secs(3) }
    }
}

/// What is read at once, in bytes: the largest sector there is.
const BLOCK: u64 = 4096;

/// Requests answered per read that the medium may be asked for: ends a parser that circles within the cache.
const REQUESTS_PER_READ: u64 = 500;

/// A medium within limits. What was read once is kept: what was checked is what is used, even if the device changes
/// its answer.
pub(super) struct Bounded<'a> {
    medium: &'a dyn ReadAt,
    size: u64,
    limits: Limits,
    /// How long the medium was waited for: a box that has much to do is no fault of the medium.
    reading: Duration,
    blocks: HashMap<u64, Vec<u8>>,
    reads: u32,
    bytes: u64,
    requests: u64,
}

impl<'a> Bounded<'a> {
    pub(super) fn new(medium: &'a dyn ReadAt, size: u64, limits: Limits) -> Self {
        Self { medium, size, limits, reading: Duration::ZERO, blocks: HashMap::new(), reads: 0, bytes: 0, requests: 0 }
    }

    /// The size of the medium in bytes.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Fills `buf` from `offset`. Fails with `UnexpectedEof` behind the end and with `TimedOut` at a limit.
    pub(super) fn read(&mut self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let end = offset.checked_add(buf.len() as u64).filter(|end| *end <= self.size);
        if end.is_none() {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, format!("byte {offset} is behind the end")));
        }
        self.requests += 1;
        if self.requests > u64::from(self.limits.reads) * REQUESTS_PER_READ {
            return Err(passed("requests"));
        }
        let mut done = 0;
        while done < buf.len() {
            let at = offset + done as u64;
            let start = at % BLOCK;
            let block = self.block(at / BLOCK)?;
            // `BLOCK` fits any usize.
            let rest = block.get(start as usize..).unwrap_or_default();
            let len = rest.len().min(buf.len() - done);
            if len == 0 {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, format!("the device ends at byte {at}")));
            }
            buf[done..done + len].copy_from_slice(&rest[..len]);
            done += len;
        }
        Ok(())
    }

    /// `len` bytes from `offset`; the caller bounds `len`.
    pub(super) fn bytes(&mut self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; len];
        self.read(offset, &mut bytes)?;
        Ok(bytes)
    }

    fn block(&mut self, index: u64) -> io::Result<&[u8]> {
        if !self.blocks.contains_key(&index) {
            let block = self.fetch(index)?;
            self.blocks.insert(index, block);
        }
        Ok(self.blocks.get(&index).map(Vec::as_slice).unwrap_or_default())
    }

    fn fetch(&mut self, index: u64) -> io::Result<Vec<u8>> {
        let offset = index * BLOCK;
        let len = BLOCK.min(self.size - offset);
        if self.reading > self.limits.time {
            return Err(passed("time"));
        }
        if self.bytes + len > self.limits.bytes {
            return Err(passed("bytes"));
        }
        let mut block = vec![0; len as usize];
        let mut done = 0;
        while done < block.len() {
            if self.reads >= self.limits.reads {
                return Err(passed("reads"));
            }
            self.reads += 1;
            let begun = Instant::now();
            let read = self.medium.read_at(offset + done as u64, &mut block[done..]);
            self.reading += begun.elapsed();
            match read {
                Ok(0) => break,
                Ok(len) => done += len.min(block.len() - done),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        block.truncate(done);
        self.bytes += done as u64;
        Ok(block)
    }
}

fn passed(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, format!("reading on would pass the limit of {what}"))
}
