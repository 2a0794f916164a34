//! Lets every single step of publishing fail in turn, on an image and on a folder, and stops it at every progress.
#![allow(clippy::unwrap_used, reason = "a test stops where something is wrong")]

mod stick_kit;

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use stick_kit::*;
use tillstick::error::{Error, Kind, Result};
use tillstick::model::{Cancel, Event, Monitor, Run};
use tillstick::stick::fs::{Entry, StickFs};
use tillstick::stick::generations::{stored, verify};
use tillstick::stick::publish::{PublishRules, publish};
use tillstick::stick::repair::repair;

const KASSE: &str = "104711_kasse.sql.gz";
const PAPERS: &str = "104711_dokumente.tar.gz";

/// A stick that is pulled out at the step number `left`: from then on nothing works.
struct Pulled {
    inner: Box<dyn StickFs>,
    left: Arc<AtomicUsize>,
}

fn step(left: &AtomicUsize) -> Result<()> {
    match left.load(Ordering::Relaxed) {
        0 => Err(Error::new(Kind::Io, "the stick is gone")),
        n => {
            left.store(n - 1, Ordering::Relaxed);
            Ok(())
        }
    }
}

struct PulledWriter(Box<dyn Write + Send>, Arc<AtomicUsize>);

impl Write for PulledWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        step(&self.1)?;
        // Half of it comes through.
        self.0.write(&bytes[..bytes.len().div_ceil(2)])
    }

    fn flush(&mut self) -> io::Result<()> {
        step(&self.1)?;
        self.0.flush()
    }
}

impl StickFs for Pulled {
    fn list(&mut self, dir: &str) -> Result<Vec<Entry>> {
        if self.left.load(Ordering::Relaxed) == 0 {
            step(&self.left)?;
        }
        self.inner.list(dir)
    }

    fn read(&mut self, path: &str) -> Result<Box<dyn Read + Send>> {
        step(&self.left)?;
        self.inner.read(path)
    }

    fn reread(&mut self, path: &str) -> Result<Box<dyn Read + Send>> {
        step(&self.left)?;
        self.inner.reread(path)
    }

    fn create_hidden(&mut self, path: &str, size: u64) -> Result<Box<dyn Write + Send>> {
        step(&self.left)?;
        Ok(Box::new(PulledWriter(self.inner.create_hidden(path, size)?, Arc::clone(&self.left))))
    }

    fn hide(&mut self, path: &str) -> Result<()> {
        step(&self.left)?;
        self.inner.hide(path)
    }

    fn unhide(&mut self, path: &str) -> Result<()> {
        step(&self.left)?;
        self.inner.unhide(path)
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<()> {
        step(&self.left)?;
        self.inner.rename(from, to)
    }

    fn remove(&mut self, path: &str) -> Result<()> {
        step(&self.left)?;
        self.inner.remove(path)
    }

    fn forget(&mut self, path: &str) -> Result<()> {
        step(&self.left)?;
        self.inner.forget(path)
    }

    fn make_dir(&mut self, path: &str) -> Result<()> {
        step(&self.left)?;
        self.inner.make_dir(path)
    }

    fn free(&mut self) -> Result<u64> {
        step(&self.left)?;
        self.inner.free()
    }

    fn unit(&self) -> u64 {
        self.inner.unit()
    }

    fn max_file(&self) -> u64 {
        self.inner.max_file()
    }

    fn sync(&mut self) -> Result<()> {
        step(&self.left)?;
        self.inner.sync()
    }
}

fn backup(day: u8) -> Backup {
    Backup::new("kasse-1", day, &[(KASSE, 3000), (PAPERS, 1500)])
}

/// What a person sees under a final name is one whole backup's file.
fn shows_only_whole_files(stick: &Stick, backups: &[&Backup], part_max: usize, when: &str) {
    for path in stick.in_sight() {
        let name = path.rsplit('/').next().unwrap();
        if name.starts_with("104711") && !name.ends_with(".part") {
            let content = stick.get(&path);
            assert!(backups.iter().any(|backup| backup.has(name, &content, part_max)), "{when}: {path} is not whole");
        }
    }
}

fn has_a_proven_backup(stick: &Stick, when: &str) {
    let mut fs = stick.open();
    let held = stored(&mut *fs).unwrap();
    let proven = held.iter().any(|held| held.complete && verify(&mut *fs, held, &quiet()).is_ok());
    assert!(proven, "{when}: no backup can be read");
}

fn fail_at_every_step(make: fn() -> Stick, rules: &PublishRules) {
    let part_max = usize::try_from(rules.part_max).unwrap();
    for n in 0.. {
        let stick = make();
        let backups = [backup(1), backup(2), backup(3), backup(4)];
        stick.publish(&backups[0], rules).unwrap();
        stick.publish(&backups[1], rules).unwrap();
        let pulled = &mut Pulled { inner: stick.open(), left: Arc::new(AtomicUsize::new(n)) };
        let result = publish(pulled, &backups[2].outgoing(), rules, &quiet());
        let when = format!("pulled at step {n}");
        let all: Vec<&Backup> = backups.iter().collect();
        shows_only_whole_files(&stick, &all[..3], part_max, &when);
        has_a_proven_backup(&stick, &when);
        stick.publish(&backups[3], rules).unwrap_or_else(|error| panic!("{when}: {}", error.report()));
        shows_only_whole_files(&stick, &all, part_max, &when);
        assert_eq!(stick.hidden(), [] as [String; 0], "{when}");
        let mut fs = stick.open();
        let held = stored(&mut *fs).unwrap();
        assert_eq!(held.len(), rules.keep, "{when}");
        for held in &held {
            verify(&mut *fs, held, &quiet()).unwrap_or_else(|error| panic!("{when}: {}", error.report()));
        }
        stick.is_sound();
        if result.is_ok() {
            assert!(n > 30, "only {n} steps were tried");
            return;
        }
    }
}

#[test]
fn a_stick_that_goes_at_any_step_keeps_a_good_backup() {
    fail_at_every_step(Stick::superfloppy, &PublishRules { keep: 2, ..PublishRules::default() });
}

#[test]
fn a_folder_that_goes_at_any_step_keeps_a_good_backup() {
    fail_at_every_step(Stick::folder, &PublishRules { keep: 2, ..PublishRules::default() });
    fail_at_every_step(Stick::folder, &PublishRules { keep: 2, part_max: 1024, ..PublishRules::default() });
}

/// A folder pulled in the moment in which the second backup, of the same size as the first, is decided and not in its
/// place.
fn decided() -> (Stick, [Backup; 3]) {
    let backups = [1, 2, 3].map(|day| Backup::new("kasse-1", day, &[(KASSE, 3000)]));
    for n in 0.. {
        let stick = Stick::folder();
        stick.publish(&backups[0], &PublishRules::default()).unwrap();
        let pulled = &mut Pulled { inner: stick.open(), left: Arc::new(AtomicUsize::new(n)) };
        let _ = publish(pulled, &backups[1].outgoing(), &PublishRules::default(), &quiet());
        let seen = stick.in_sight();
        if seen.contains(&PART.to_owned()) && seen.iter().any(|path| path.ends_with("20261102T200000Z.json")) {
            return (stick, backups);
        }
    }
    unreachable!("some step decides")
}

const PART: &str = "104711_kasse.sql.gz.20261102T200000Z.part";

#[test]
fn an_unfinished_file_that_was_spoiled_meanwhile_never_gets_its_name() {
    let (stick, [first, _, third]) = decided();
    stick.spoil(PART);
    let published = stick.publish(&third, &PublishRules::default()).unwrap();
    assert!(published.repaired.iter().any(|line| line.contains("20261102T200000Z")), "{published:?}");
    stick.holds("TILLSTICK/kasse-1/backups/20261101T200000Z/104711_kasse.sql.gz", &first.content(KASSE));
    stick.holds(KASSE, &third.content(KASSE));
    assert_eq!(stored(&mut *stick.open()).unwrap().len(), 2);
    stick.sums_are_right(2);
}

#[test]
fn an_old_backup_is_not_taken_for_the_new_one_of_the_same_size() {
    let (stick, [first, _, third]) = decided();
    stick.delete(PART);
    stick.publish(&third, &PublishRules::default()).unwrap();
    stick.holds("TILLSTICK/kasse-1/backups/20261101T200000Z/104711_kasse.sql.gz", &first.content(KASSE));
    assert_eq!(stored(&mut *stick.open()).unwrap().len(), 2);
    stick.sums_are_right(2);
}

#[test]
fn a_decided_backup_is_finished_by_the_next_run() {
    let (stick, [_, second, third]) = decided();
    stick.publish(&third, &PublishRules::default()).unwrap();
    stick.holds("TILLSTICK/kasse-1/backups/20261102T200000Z/104711_kasse.sql.gz", &second.content(KASSE));
    stick.sums_are_right(3);
}

#[test]
fn a_backup_whose_files_somebody_took_away_is_dropped_and_the_one_before_comes_back_to_the_top() {
    for stick in [Stick::superfloppy(), Stick::folder()] {
        for day in 1..=2 {
            stick.publish(&backup(day), &PublishRules::default()).unwrap();
        }
        stick.delete(KASSE);
        stick.delete(PAPERS);
        let repaired = repair(&mut *stick.open(), &quiet()).unwrap();
        assert!(repaired.iter().any(|line| line.contains("20261102T200000Z") && line.contains("gone")), "{repaired:?}");
        stick.holds(KASSE, &backup(1).content(KASSE));
        stick.sums_are_right(2);
        stick.is_clean();
        assert_eq!(repair(&mut *stick.open(), &quiet()).unwrap(), [] as [String; 0]);
    }
}

/// Presses Ctrl-C at the progress number `at`.
struct Stopper {
    at: usize,
    seen: AtomicUsize,
    cancel: Cancel,
}

impl Monitor for Stopper {
    fn event(&self, event: Event) {
        if matches!(event, Event::Progress { .. }) && self.seen.fetch_add(1, Ordering::Relaxed) == self.at {
            self.cancel.cancel();
        }
    }
}

#[test]
fn a_stopped_run_leaves_the_stick_as_it_was_or_with_the_whole_new_backup() {
    for stick in [Stick::superfloppy(), Stick::folder()] {
        let (first, second) = (backup(1), Backup::new("kasse-1", 2, &[(KASSE, 3 << 20)]));
        stick.publish(&first, &PublishRules::default()).unwrap();
        let seen = stick.in_sight();
        let (mut at, mut undone) = (0, 0);
        loop {
            let cancel = Cancel::default();
            let stopper = Stopper { at, seen: AtomicUsize::new(0), cancel: cancel.clone() };
            let run = Run { monitor: &stopper, cancel: &cancel };
            let result = publish(&mut *stick.open(), &second.outgoing(), &PublishRules::default(), &run);
            if result.is_ok() {
                break;
            }
            assert_eq!(result.unwrap_err().kind(), Kind::Cancelled);
            // Stopped while the finished stick is read once more, everything is in its place already.
            if stick.in_sight() == seen {
                stick.sums_are_right(2);
                undone += 1;
            } else {
                stick.holds(KASSE, &second.content(KASSE));
                stick.sums_are_right(3);
            }
            assert_eq!(stick.hidden(), [] as [String; 0]);
            stick.is_clean();
            at += 1;
        }
        assert!(undone >= 6 && at > undone, "stopped {at} times, {undone} of them early");
        stick.sums_are_right(3);
    }
}
