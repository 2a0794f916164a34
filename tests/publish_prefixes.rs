//! Pulls the stick out after every single write, and with the writes since the last flush in any order, and looks at
//! what a person, a file system check and the next run find.
#![allow(clippy::unwrap_used, reason = "a test stops where something is wrong")]

mod stick_kit;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, Mutex};

use stick_kit::*;
use tillstick::model::Manifest;
use tillstick::stick::fs::StickFs;
use tillstick::stick::generations::{stored, verify};
use tillstick::stick::image::open_medium;
use tillstick::stick::medium::Medium;
use tillstick::stick::publish::{PublishRules, publish};

const KASSE: &str = "104711_kasse.sql.gz";
const PAPERS: &str = "104711_dokumente.tar.gz";
const BLOCK: usize = 64 << 10;

#[derive(Clone)]
enum Step {
    Write(u64, Vec<u8>),
    Flush,
}

/// A disk in memory, in shared blocks so that a copy costs little, that remembers what was done to it.
#[derive(Clone, Default)]
struct Disk {
    blocks: BTreeMap<u64, Arc<Vec<u8>>>,
    steps: Vec<Step>,
}

impl Disk {
    fn load(path: &Path) -> Self {
        let (file, mut disk) = (File::open(path).unwrap(), Self::default());
        for at in (0..file.metadata().unwrap().len()).step_by(BLOCK) {
            let mut block = vec![0; BLOCK];
            let mut done = 0;
            while done < BLOCK {
                match file.read_at(&mut block[done..], at + done as u64).unwrap() {
                    0 => break,
                    len => done += len,
                }
            }
            if block.iter().any(|byte| *byte != 0) {
                disk.blocks.insert(at, Arc::new(block));
            }
        }
        disk
    }

    fn save(&self, path: &Path) {
        let file = File::create(path).unwrap();
        file.set_len(VOLUME_KIB * 1024).unwrap();
        for (at, block) in &self.blocks {
            let len = BLOCK.min((VOLUME_KIB * 1024 - at) as usize);
            file.write_all_at(&block[..len], *at).unwrap();
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

    fn write(&mut self, pos: u64, bytes: &[u8]) {
        Self::each_block(pos, bytes.len(), |at, from, part| {
            let block = self.blocks.entry(at).or_insert_with(|| Arc::new(vec![0; BLOCK]));
            Arc::make_mut(block)[from..from + part.len()].copy_from_slice(&bytes[part]);
        });
    }

    fn read(&self, pos: u64, buf: &mut [u8]) {
        Self::each_block(pos, buf.len(), |at, from, part| match self.blocks.get(&at) {
            Some(block) => {
                let len = part.len();
                buf[part].copy_from_slice(&block[from..from + len]);
            }
            None => buf[part].fill(0),
        });
    }
}

struct Shared(Arc<Mutex<Disk>>);

impl Medium for Shared {
    fn read_at(&mut self, pos: u64, buf: &mut [u8]) -> io::Result<()> {
        if pos + buf.len() as u64 > VOLUME_KIB * 1024 {
            return Err(io::ErrorKind::InvalidData.into());
        }
        self.0.lock().unwrap().read(pos, buf);
        Ok(())
    }

    fn write_at(&mut self, pos: u64, bytes: &[u8]) -> io::Result<()> {
        assert!(pos.is_multiple_of(512) && bytes.len().is_multiple_of(512), "a disk writes whole sectors");
        let mut disk = self.0.lock().unwrap();
        disk.write(pos, bytes);
        disk.steps.push(Step::Write(pos, bytes.to_vec()));
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.lock().unwrap().steps.push(Step::Flush);
        Ok(())
    }

    fn forget(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn open(disk: &Arc<Mutex<Disk>>) -> Box<dyn StickFs> {
    open_medium(Box::new(Shared(Arc::clone(disk))), VOLUME_KIB * 1024, true).unwrap()
}

/// The states a pulled stick may be in: after every write, and with the writes since a flush in part or in any order.
fn yanked(start: &Disk, steps: &[Step]) -> Vec<(String, Disk)> {
    let (mut states, mut flushed) = (Vec::new(), start.clone());
    for (number, epoch) in steps.split(|step| matches!(step, Step::Flush)).enumerate() {
        let writes: Vec<(u64, &[u8])> = epoch
            .iter()
            .filter_map(|step| match step {
                Step::Write(pos, bytes) => Some((*pos, bytes.as_slice())),
                Step::Flush => None,
            })
            .collect();
        if writes.is_empty() {
            continue;
        }
        let len = writes.len();
        let mut add = |what: String, wanted: &dyn Fn(usize) -> bool| {
            let mut disk = flushed.clone();
            for (_, (pos, bytes)) in writes.iter().enumerate().filter(|(i, _)| wanted(*i)) {
                disk.write(*pos, bytes);
            }
            states.push((format!("epoch {number} of {len} writes, {what}"), disk));
        };
        for n in 0..len {
            add(format!("the first {n}"), &|i| i < n);
            if len > 1 {
                add(format!("all but number {n}"), &|i| i != n);
                add(format!("only number {n}"), &|i| i == n);
            }
        }
        for (pos, bytes) in writes {
            flushed.write(pos, bytes);
        }
    }
    states.push(("all".to_owned(), flushed));
    states
}

struct World {
    backups: Vec<Backup>,
    next: Backup,
    picture: Vec<u8>,
    rules: PublishRules,
}

impl World {
    /// What must hold in every state.
    fn is_kept(&self, disk: &Disk, what: &str) {
        let shared = Arc::new(Mutex::new(disk.clone()));
        let mut fs = open(&shared);
        self.sees_only_whole_files(&mut *fs, what);
        let held = stored(&mut *fs).unwrap();
        let proven = held.iter().any(|held| held.complete && verify(&mut *fs, held, &quiet()).is_ok());
        assert!(proven, "{what}: no complete backup can be read");
        assert!(held.iter().all(|held| held.sealed), "{what}: a manifest is in sight without its sum");
        let decided: Vec<_> = held.into_iter().map(|held| held.manifest.id).collect();
        assert!(decided.len() + 1 >= self.backups.len().min(self.rules.keep), "{what}: a backup that is kept is gone");
        drop(fs);

        let mut fs = open(&shared);
        let published = publish(&mut *fs, &self.next.outgoing(), &self.rules, &quiet());
        let published = published.unwrap_or_else(|error| panic!("{what}: the next run failed: {}", error.report()));
        drop(fs);
        let mut fs = open(&shared);
        self.sees_only_whole_files(&mut *fs, what);
        let held = stored(&mut *fs).unwrap();
        for held in &held {
            let verified = verify(&mut *fs, held, &quiet());
            assert!(verified.is_ok(), "{what}: after the next run {}: {:?}", held.manifest.id, published.repaired);
        }
        let ids: Vec<_> = held.iter().map(|held| held.manifest.id.clone()).collect();
        let mut wanted = vec![self.next.manifest.id.clone()];
        wanted.extend(decided);
        wanted.dedup();
        wanted.truncate(self.rules.keep);
        assert_eq!(ids, wanted, "{what}: {published:?}");
        let rests = [""].iter().flat_map(|dir| fs.list(dir).unwrap()).filter(|entry| entry.hidden).count();
        assert_eq!(rests, 0, "{what}: something stayed hidden: {published:?}");
    }

    fn sees_only_whole_files(&self, fs: &mut dyn StickFs, what: &str) {
        let mut dirs = vec![String::new()];
        while let Some(dir) = dirs.pop() {
            for entry in fs.list(&dir).unwrap() {
                let path = if dir.is_empty() { entry.name.clone() } else { format!("{dir}/{}", entry.name) };
                if entry.is_dir {
                    dirs.push(path);
                } else if !entry.hidden {
                    let mut content = Vec::new();
                    let read = fs.read(&path).unwrap().read_to_end(&mut content);
                    assert!(read.is_ok(), "{what}: {path} cannot be read");
                    self.is_whole(fs, &path, &content, what);
                }
            }
        }
    }

    fn is_whole(&self, fs: &mut dyn StickFs, path: &str, content: &[u8], what: &str) {
        let all = || self.backups.iter().chain([&self.next]);
        let name = path.rsplit('/').next().unwrap();
        let good = match name {
            "Urlaub.jpg" => content == self.picture,
            _ if name.starts_with(KASSE) || name.starts_with(PAPERS) => all().any(|backup| {
                let here = !path.contains('/') || path.contains(backup.manifest.id.as_str());
                here && backup.has(name, content, self.rules.part_max as usize)
            }),
            "SHA256SUMS" => std::str::from_utf8(content).unwrap().lines().all(|line| {
                let (sum, path) = line.split_once("  ").unwrap();
                let mut listed = Vec::new();
                fs.read(path).is_ok_and(|mut file| file.read_to_end(&mut listed).is_ok() && hex(&listed) == sum)
            }),
            "README.txt" => content.ends_with(b"\r\n"),
            "stick.json" => content.ends_with(b"}\n"),
            _ if name.ends_with(".sha256") => {
                [".json\n", ".gz.002\n", ".gz.003\n"].iter().any(|end| content.ends_with(end.as_bytes()))
            }
            _ if name.ends_with(".sig") => content == [7; 64],
            _ if name.starts_with("manifest-") => Manifest::parse(content).is_ok(),
            // What fsck.fat makes of chains that nobody owns.
            _ => name.starts_with("FSCK"),
        };
        assert!(good, "{what}: {path} is in sight with {} bytes that it must not have", content.len());
    }
}

/// Publishes the last of some backups onto a stick with the others, and pulls it out everywhere.
fn pull(days: u8, rules: PublishRules) -> (World, Vec<(String, Disk)>) {
    let backup = |day| Backup::new("kasse-1", day, &[(KASSE, 3000), (PAPERS, 1500)]);
    let world = World {
        backups: (1..=days).map(backup).collect(),
        next: backup(days + 1),
        picture: noise("picture", 40_000),
        rules,
    };
    let stick = Stick::superfloppy();
    let (last, earlier) = world.backups.split_last().unwrap();
    for backup in earlier {
        stick.publish(backup, &world.rules).unwrap();
    }
    let start = Disk::load(&stick.volume().unwrap().path);
    let shared = Arc::new(Mutex::new(start.clone()));
    publish(&mut *open(&shared), &last.outgoing(), &world.rules, &quiet()).unwrap();
    let steps = std::mem::take(&mut shared.lock().unwrap().steps);
    let states = yanked(&start, &steps);
    (world, states)
}

/// Looks at every state, as it is and after a file system check.
fn pull_everywhere(days: u8, rules: PublishRules) {
    let (world, states) = pull(days, rules);
    let scratch = scratch();
    let image = scratch.path().join("pulled.img");
    for (what, disk) in &states {
        world.is_kept(disk, what);
        disk.save(&image);
        fsck(&image, "-a");
        let checked = Disk::load(&image);
        world.is_kept(&checked, &format!("{what}, checked by fsck.fat"));
    }
}

/// Every so many states of the first yank are yanked again while the next run repairs them.
const AGAIN: usize = 9;

#[test]
fn a_stick_pulled_again_while_the_first_yank_is_repaired_loses_nothing() {
    let (world, states) = pull(3, PublishRules { keep: 9, ..PublishRules::default() });
    for (what, disk) in states.iter().step_by(AGAIN) {
        let shared = Arc::new(Mutex::new(disk.clone()));
        publish(&mut *open(&shared), &world.next.outgoing(), &world.rules, &quiet()).unwrap();
        let steps = std::mem::take(&mut shared.lock().unwrap().steps);
        for (again, disk) in yanked(disk, &steps) {
            world.is_kept(&disk, &format!("{what}, then {again}"));
        }
    }
}

#[test]
fn a_stick_pulled_at_any_write_of_a_repeat_loses_nothing() {
    pull_everywhere(3, PublishRules { keep: 9, ..PublishRules::default() });
}

#[test]
fn a_stick_pulled_at_any_write_loses_nothing_when_an_old_backup_goes() {
    pull_everywhere(3, PublishRules { keep: 2, ..PublishRules::default() });
}

#[test]
fn a_stick_pulled_at_any_write_of_a_split_backup_loses_nothing() {
    pull_everywhere(3, PublishRules { keep: 2, part_max: 1024, ..PublishRules::default() });
}
