//! Sticks that claim more room than they have. No such stick is at hand on a test machine, so the medium here is a **fake**:
//! it drops what is written beyond its real end, or wraps it around to its beginning, as the chips of such sticks do. And one that
//! keeps nothing any more from one of its writes on.
#![allow(clippy::unwrap_used, reason = "a test stops where something is wrong")]

mod proof;
mod stick_kit;

use std::io;
use std::sync::{Arc, Mutex};

use stick_kit::*;
use tillstick::error::Result;
use tillstick::stick::image::open_medium;
use tillstick::stick::medium::Medium;
use tillstick::stick::publish::{PublishRules, Published, publish};
use xxhash_rust::xxh3::xxh3_64;

const KASSE: &str = "104711_kasse.sql.gz";
const PAPERS: &str = "104711_dokumente.tar.gz";
const SIZE: u64 = VOLUME_KIB * 1024;
const SECTOR: u64 = 512;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lie {
    /// What lies beyond the real end reads as zeros.
    Drops,
    /// What lies beyond the real end is what lies at the beginning.
    Wraps,
}

/// A stick with `real` bytes of room that claims a volume of [`SIZE`] behind `offset` bytes.
#[derive(Clone)]
struct Fake {
    held: Arc<Mutex<Held>>,
    offset: u64,
    real: u64,
    lie: Lie,
}

struct Held {
    bytes: Vec<u8>,
    /// Whether something was ever written beyond the real end.
    lied: bool,
    /// How many writes it still keeps; after them it answers as always, as a stick may that is being pulled.
    keeps: usize,
}

impl Fake {
    fn new(bytes: &[u8], real: u64, lie: Lie) -> Self {
        Self::partitioned(0, bytes, real, lie)
    }

    fn partitioned(offset: u64, bytes: &[u8], real: u64, lie: Lie) -> Self {
        let held = Held { bytes: bytes[..real as usize].to_vec(), lied: false, keeps: usize::MAX };
        Self { held: Arc::new(Mutex::new(held)), offset, real, lie }
    }

    fn publish(&self, backup: &Backup) -> Result<Published> {
        let mut fs = open_medium(Box::new(self.clone()), SIZE, true)?;
        publish(&mut *fs, &backup.outgoing(), &PublishRules::default(), &quiet())
    }

    fn has_lied(&self) -> bool {
        self.held.lock().unwrap().lied
    }

    /// Where a sector really is.
    fn place(&self, pos: u64) -> Option<usize> {
        match self.lie {
            Lie::Drops => (pos < self.real).then_some(pos as usize),
            Lie::Wraps => Some((pos % self.real) as usize),
        }
    }
}

impl Medium for Fake {
    fn read_at(&mut self, pos: u64, buf: &mut [u8]) -> io::Result<()> {
        let held = self.held.lock().unwrap();
        let mut done = 0;
        while done < buf.len() {
            let at = self.offset + pos + done as u64;
            let len = ((SECTOR - at % SECTOR) as usize).min(buf.len() - done);
            match self.place(at) {
                Some(place) => buf[done..done + len].copy_from_slice(&held.bytes[place..place + len]),
                None => buf[done..done + len].fill(0),
            }
            done += len;
        }
        Ok(())
    }

    fn write_at(&mut self, pos: u64, bytes: &[u8]) -> io::Result<()> {
        let held = &mut *self.held.lock().unwrap();
        let Some(left) = held.keeps.checked_sub(1) else { return Ok(()) };
        held.keeps = left;
        for (at, sector) in (self.offset + pos..).step_by(SECTOR as usize).zip(bytes.chunks(SECTOR as usize)) {
            held.lied |= at >= self.real;
            if let Some(place) = self.place(at) {
                held.bytes[place..place + sector.len()].copy_from_slice(sector);
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn forget(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn before(&mut self) -> io::Result<u64> {
        Ok(xxh3_64(&self.held.lock().unwrap().bytes[..self.offset as usize]))
    }
}

/// How far one real end is from the next that is tried, in bytes.
fn pace() -> usize {
    SECTOR as usize * proof::cases(11, 1) as usize
}

fn backup(day: u8) -> Backup {
    Backup::new("kasse-1", day, &[(KASSE, 60_000), (PAPERS, 20_000)])
}

/// Runs backups until the stick has lied; that run must not be a success, nor may any before have gone unnoticed.
fn never_succeeds(bytes: &[u8], real: u64, lie: Lie) -> String {
    let fake = Fake::new(bytes, real, lie);
    for day in 1..=9 {
        let result = fake.publish(&backup(day));
        let what = format!("{lie:?} beyond {real} on day {day}");
        match result {
            Ok(published) => assert!(!fake.has_lied(), "{what}: {published:?}"),
            Err(error) => {
                assert!(fake.has_lied(), "{what}: {}", error.report());
                return error.report();
            }
        }
    }
    panic!("{lie:?} beyond {real}: the stick never came to its end");
}

/// The free clusters of a stick begin here.
fn data(stick: &Stick) -> u64 {
    SIZE - stick.open().free().unwrap()
}

#[test]
fn a_stick_that_lies_about_its_size_is_never_a_success() {
    let stick = Stick::superfloppy();
    let (bytes, start) = (stick.bytes(), data(&stick));
    for lie in [Lie::Drops, Lie::Wraps] {
        // From the first free cluster to the end of the third backup.
        for real in (start..start + 250_000).step_by(pace()) {
            never_succeeds(&bytes, real, lie);
        }
    }
}

/// What lies beyond the real end lands before the volume, where no backup of ours is spoiled by it.
#[test]
fn a_stick_that_wraps_into_its_partition_table_is_never_a_success() {
    let stick = Stick::partitioned();
    let (bytes, offset) = (stick.bytes(), stick.volume().unwrap().offset);
    let start = offset + data(&stick);
    let mut lied = 0;
    for real in (start..start + 80_000).step_by(pace() * 4) {
        let fake = Fake::partitioned(offset, &bytes, real, Lie::Wraps);
        let result = fake.publish(&backup(1));
        assert!(!fake.has_lied() || result.is_err(), "beyond {real}: {result:?}");
        lied += usize::from(fake.has_lied());
    }
    assert!(lied > 3, "it lied {lied} times");
}

/// Where on the stick the file lies, which is in one piece.
fn place(bytes: &[u8], content: &[u8]) -> usize {
    (0..bytes.len()).step_by(SECTOR as usize).find(|at| bytes[*at..].starts_with(content)).unwrap()
}

#[test]
fn earlier_backups_that_a_stick_spoils_behind_our_back_are_named() {
    let stick = Stick::superfloppy();
    let earlier = [backup(1), backup(2)];
    earlier.iter().for_each(|backup| drop(stick.publish(backup, &PublishRules::default()).unwrap()));
    let end = data(&stick);
    // Somebody's film lies on the stick's real end, so that the next backup lies beyond it all.
    stick.fill_up_to(SIZE - 4 * end);
    let (bytes, next) = (stick.bytes(), data(&stick));
    let mut spoiled = 0;
    for lands in (0..end + 100_000).step_by(pace()) {
        let fake = Fake::new(&bytes, next - lands, Lie::Wraps);
        let what = format!("the next backup lands at {lands}");
        let report = fake.publish(&backup(3)).map(drop).expect_err(&what).report();
        let held = &fake.held.lock().unwrap().bytes;
        for backup in &earlier {
            for content in [KASSE, PAPERS].map(|name| backup.content(name)) {
                let at = place(&bytes, &content);
                if held[at..at + content.len()] != content {
                    spoiled += 1;
                    let id = backup.manifest.id.as_str();
                    assert!(report.contains(id), "{what}: {id} is not named: {report}");
                }
            }
        }
        assert!(report.contains("use another stick"), "{what}: {report}");
    }
    assert!(spoiled > 10, "only {spoiled} files were spoiled");
}

#[test]
fn a_stick_that_stops_to_keep_what_is_written_is_a_success_only_when_nothing_is_missing() {
    let stick = Stick::superfloppy();
    stick.publish(&backup(1), &PublishRules::default()).unwrap();
    let bytes = stick.bytes();
    let (mut failures, mut succeeded) = (0, false);
    for keeps in 0.. {
        let fake = Fake::new(&bytes, SIZE, Lie::Drops);
        fake.held.lock().unwrap().keeps = keeps;
        let result = fake.publish(&backup(2));
        let Ok(published) = result else {
            assert!(!succeeded, "after {keeps} writes it fails, and after fewer it did not");
            failures += 1;
            continue;
        };
        succeeded = true;
        let mut fs = open_medium(Box::new(fake.clone()), SIZE, false).unwrap();
        let seen = fs.list("").unwrap();
        for path in published.files.iter().map(String::as_str).chain(["SHA256SUMS"]) {
            assert!(path.contains('/') || seen.iter().any(|entry| entry.name == path), "{keeps}: without {path}");
        }
        if fake.held.lock().unwrap().keeps > 0 {
            break;
        }
    }
    assert!(failures > 20, "{failures} of them failed");
}
