//! A disk in memory that remembers what was written to it; it may lie about its size.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

use nix::unistd::{Whence, lseek};
use tillstick::error::Result;
use tillstick::model::{Cancel, Quiet, Run};
use tillstick::policy::format::{Label, Layout};
use tillstick::policy::stick::{DeviceFacts, Look, StickFacts, StickRules, Verdict, VolumeFacts, judge};
use tillstick::stick::format::{Name, format_medium};
use tillstick::stick::medium::Medium;
use tillstick::stick::probe::{Limits, ReadAt, probe};

pub(crate) const SECTOR: u64 = 512;
pub(crate) const MIB: u64 = 1 << 20;
const PAGE: u64 = 4096;

pub(crate) fn quiet() -> Run<'static> {
    static CANCEL: std::sync::LazyLock<Cancel> = std::sync::LazyLock::new(Cancel::default);
    Run { monitor: &Quiet, cancel: &CANCEL }
}

/// Pages that were never written are zeros; copies share them.
#[derive(Clone, Default)]
pub(crate) struct Disk {
    pub(crate) size: u64,
    pages: BTreeMap<u64, Arc<Vec<u8>>>,
}

impl Disk {
    pub(crate) fn empty(size: u64) -> Self {
        Self { size, pages: BTreeMap::new() }
    }

    /// A disk full of what somebody left on it.
    pub(crate) fn noise(size: u64) -> Self {
        let mut disk = Self::empty(size);
        let page: Arc<Vec<u8>> = Arc::new((0..PAGE).map(|at| (at * 7 % 251) as u8).collect());
        disk.pages = (0..size / PAGE).map(|number| (number, page.clone())).collect();
        disk
    }

    pub(crate) fn load(path: &Path) -> Self {
        let file = File::open(path).unwrap();
        let mut disk = Self::empty(file.metadata().unwrap().len());
        for (start, end) in extents(&file) {
            let mut bytes = vec![0; (end - start) as usize];
            file.read_exact_at(&mut bytes, start).unwrap();
            disk.write(start, &bytes);
        }
        disk
    }

    pub(crate) fn write(&mut self, pos: u64, bytes: &[u8]) {
        let mut done = 0;
        while done < bytes.len() {
            let at = pos + done as u64;
            let from = (at % PAGE) as usize;
            let len = (PAGE as usize - from).min(bytes.len() - done);
            let page = self.pages.entry(at / PAGE).or_insert_with(|| Arc::new(vec![0; PAGE as usize]));
            Arc::make_mut(page)[from..from + len].copy_from_slice(&bytes[done..done + len]);
            done += len;
        }
    }

    pub(crate) fn get(&self, pos: u64, buf: &mut [u8]) {
        let mut done = 0;
        while done < buf.len() {
            let at = pos + done as u64;
            let from = (at % PAGE) as usize;
            let len = (PAGE as usize - from).min(buf.len() - done);
            match self.pages.get(&(at / PAGE)) {
                Some(page) => buf[done..done + len].copy_from_slice(&page[from..from + len]),
                None => buf[done..done + len].fill(0),
            }
            done += len;
        }
    }

    /// What the probe finds.
    pub(crate) fn facts(&self) -> StickFacts {
        let (table, volumes) = probe(self, self.size, &Limits::default()).unwrap();
        let device = DeviceFacts { size: self.size, removable: Some(true), ..DeviceFacts::default() };
        StickFacts { device, look: Look::Done, table, volumes, wanted: None }
    }

    pub(crate) fn verdict(&self) -> Verdict {
        judge(&self.facts(), &StickRules::default())
    }
}

/// Where a sparse file holds anything.
pub(crate) fn extents(file: &File) -> Vec<(u64, u64)> {
    let (mut extents, mut at) = (Vec::new(), 0);
    while let Ok(start) = lseek(file, at, Whence::SeekData) {
        let end = lseek(file, start, Whence::SeekHole).unwrap();
        extents.push((start as u64, end as u64));
        at = end;
    }
    extents
}

impl ReadAt for Disk {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let len = self.size.saturating_sub(offset).min(buf.len() as u64) as usize;
        self.get(offset, &mut buf[..len]);
        Ok(len)
    }
}

#[derive(Clone)]
pub(crate) enum Step {
    Write(u64, Vec<u8>),
    Flush,
}

/// What becomes of what is written beyond the real end.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Lie {
    Drops,
    Wraps,
}

/// The disk as a stick that is being formatted.
pub(crate) struct Recorder {
    pub(crate) disk: Disk,
    pub(crate) steps: Vec<Step>,
    pub(crate) lie: Option<(u64, Lie)>,
}

impl Recorder {
    pub(crate) fn over(disk: Disk) -> Self {
        Self { disk, steps: Vec::new(), lie: None }
    }

    pub(crate) fn format(&mut self, old: &[VolumeFacts]) -> Result<Layout> {
        let layout = Layout::of(self.disk.size, SECTOR as u32).unwrap();
        let name = Name { label: Label::default(), id: 0x1234_abcd };
        let size = self.disk.size;
        format_medium(self, size, &layout, &name, old, &quiet()).map(|()| layout)
    }

    /// Each sector's real place.
    fn place(&self, pos: u64) -> Option<u64> {
        match self.lie {
            Some((real, Lie::Drops)) => (pos < real).then_some(pos),
            Some((real, Lie::Wraps)) => Some(pos % real),
            None => Some(pos),
        }
    }
}

impl Medium for Recorder {
    fn read_at(&mut self, pos: u64, buf: &mut [u8]) -> io::Result<()> {
        for (number, piece) in buf.chunks_mut(SECTOR as usize).enumerate() {
            match self.place(pos + number as u64 * SECTOR) {
                Some(place) => self.disk.get(place, piece),
                None => piece.fill(0),
            }
        }
        Ok(())
    }

    fn write_at(&mut self, pos: u64, bytes: &[u8]) -> io::Result<()> {
        assert!(pos.is_multiple_of(SECTOR) && (bytes.len() as u64).is_multiple_of(SECTOR), "whole sectors only");
        assert!(pos + bytes.len() as u64 <= self.disk.size, "within the stick");
        for (number, piece) in bytes.chunks(SECTOR as usize).enumerate() {
            if let Some(place) = self.place(pos + number as u64 * SECTOR) {
                self.disk.write(place, piece);
            }
        }
        self.steps.push(Step::Write(pos, bytes.to_vec()));
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.steps.push(Step::Flush);
        Ok(())
    }

    fn forget(&mut self) -> io::Result<()> {
        Ok(())
    }
}
