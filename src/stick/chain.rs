//! The content of files on FAT: read from and written to their clusters in long runs, with bounded memory.

use std::io::{self, Read, Write};

use super::overlay::Overlay;
use super::shared::SharedOverlay;

/// The longest run that is read or written at once, in bytes.
const RUN_MAX: u64 = 1 << 20;

/// Neighbouring clusters of a chain, found as they are needed.
struct Runs {
    next: Option<u32>,
    /// Bytes of the file that are not yet in a run.
    left: u64,
}

impl Runs {
    fn new(start: u32, size: u64) -> Self {
        Self { next: (size > 0).then_some(start), left: size }
    }

    /// The position and length of the next run; `None` when the file is through.
    fn take(&mut self, overlay: &mut Overlay) -> io::Result<Option<(u64, u64)>> {
        if self.left == 0 {
            return Ok(None);
        }
        let Some(first) = self.next.filter(|first| overlay.geometry.has(*first)) else {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the file's chain of clusters is too short"));
        };
        let (mut last, mut len) = (first, overlay.geometry.cluster);
        self.next = None;
        while len < self.left {
            match overlay.next(last)? {
                Some(next) if next == last + 1 && len < RUN_MAX => {
                    last = next;
                    len += overlay.geometry.cluster;
                }
                next => {
                    self.next = next;
                    break;
                }
            }
        }
        let len = len.min(self.left);
        self.left -= len;
        Ok(Some((overlay.geometry.at(first), len)))
    }
}

pub(super) struct ChainReader {
    overlay: SharedOverlay,
    runs: Runs,
    run: (u64, u64),
}

impl ChainReader {
    pub(super) fn new(overlay: &SharedOverlay, start: u32, size: u64) -> Self {
        Self { overlay: overlay.clone(), runs: Runs::new(start, size), run: (0, 0) }
    }
}

impl Read for ChainReader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let mut overlay = self.overlay.lock();
        if self.run.1 == 0 {
            match self.runs.take(&mut overlay)? {
                Some(run) => self.run = run,
                None => return Ok(0),
            }
        }
        let len = self.run.1.min(buf.len() as u64);
        overlay.medium.read_at(self.run.0, &mut buf[..len as usize])?;
        self.run = (self.run.0 + len, self.run.1 - len);
        Ok(len as usize)
    }
}

pub(super) struct ChainWriter {
    overlay: SharedOverlay,
    runs: Runs,
    run: (u64, u64),
    /// The beginning of the current run that is filled but not yet written.
    filled: Vec<u8>,
}

impl ChainWriter {
    pub(super) fn new(overlay: &SharedOverlay, start: u32, size: u64) -> Self {
        Self { overlay: overlay.clone(), runs: Runs::new(start, size), run: (0, 0), filled: Vec::new() }
    }

    /// Writes what is filled, to whole sectors: what lies behind a file's end in its last sector is nobody's.
    fn spill(&mut self) -> io::Result<()> {
        let mut overlay = self.overlay.lock();
        let sector = overlay.geometry.sector as usize;
        let is_end = self.filled.len() as u64 == self.run.1;
        let len = if is_end { self.filled.len() } else { self.filled.len() / sector * sector };
        if len == 0 {
            return Ok(());
        }
        let rest = self.filled.split_off(len);
        self.filled.resize(len.next_multiple_of(sector), 0);
        overlay.medium.write_at(self.run.0, &self.filled)?;
        self.run = (self.run.0 + len as u64, self.run.1 - len as u64);
        self.filled = rest;
        Ok(())
    }
}

impl Write for ChainWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.run.1 == 0 {
            match self.runs.take(&mut self.overlay.lock())? {
                Some(run) => self.run = run,
                None => return Ok(0),
            }
        }
        let len = (self.run.1 - self.filled.len() as u64).min(bytes.len() as u64) as usize;
        self.filled.extend_from_slice(&bytes[..len]);
        if self.filled.len() as u64 == self.run.1 {
            self.spill()?;
        }
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.spill()?;
        self.overlay.lock().medium.flush()
    }
}
