//! One publishing that is cut short, and what must hold in whatever state it leaves the stick.

use std::collections::{BTreeMap, BTreeSet};

use tillstick::model::{BackupId, Manifest};
use tillstick::stick::generations::{Stored, stored, verify};
use tillstick::stick::layout::NOTE;
use tillstick::stick::publish::{PublishRules, publish};

use crate::disk::{Disk, Recorded, SECTOR, Step};
use crate::foreign::Foreign;
use crate::look::{Seen, look};
use crate::stick_kit::{Backup, Stick, hex, noise, quiet};

pub const KASSE: &str = "104711_kasse.sql.gz";
pub const PAPERS: &str = "104711_dokumente.tar.gz";
const PIECE: usize = 1024;
const CLUSTERS_OF_A_TABLE_SECTOR: u64 = SECTOR as u64 / 4;

/// How a stick comes to the state in which the publishing begins.
#[derive(Default)]
pub struct Story {
    /// How many backups of this box are on the stick already.
    pub earlier: u8,
    /// How many backups of another box.
    pub others: u8,
    /// How many are kept.
    pub keep: usize,
    /// Whether what is published from now on is split into pieces.
    pub split: bool,
    /// Free clusters between somebody's files, each in a sector of the table of its own, when the stick is to be full.
    pub gaps: Option<u64>,
    /// Whether they suffice only when an old backup goes.
    pub tight: bool,
}

/// A stick, the publishing onto it with all its writes, and the next run.
pub struct World {
    earlier: Vec<Backup>,
    others: Vec<Backup>,
    last: Backup,
    next: Backup,
    rules: PublishRules,
    foreign: Foreign,
    pub start: Disk,
    pub steps: Vec<Step>,
    /// What a run that nothing disturbs frees.
    freed: BTreeSet<BackupId>,
    /// What the next run leaves after a run that nothing disturbed, and what it leaves on the stick as it was before.
    after_last: Vec<BackupId>,
    after_none: Vec<BackupId>,
}

/// Whether a file system check was there between the yank and the next run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Checked {
    No,
    ByFsck,
}

impl World {
    pub fn new(story: &Story) -> Self {
        let backup = |box_name, day| Backup::new(box_name, day, &[(KASSE, 3000), (PAPERS, 1500)]);
        let earlier: Vec<Backup> = (1..=story.earlier).map(|day| backup("kasse-1", day)).collect();
        let others: Vec<Backup> = (1..=story.others).map(|day| backup("kasse-2", day)).collect();
        let stick = Stick::superfloppy();
        stick.put("film.part", b"half a film");
        stick.put("SHA256.txt", &noise("somebody's sums", 700));
        if let Some(gaps) = story.gaps {
            leave_gaps(&stick, gaps);
        }
        let path = stick.volume().unwrap().path.clone();
        let bare = Disk::load(&path, None);
        let foreign = Foreign::on(&bare);
        let whole = PublishRules { keep: story.keep, ..PublishRules::default() };
        for backup in others.iter().chain(&earlier) {
            stick.publish(backup, &whole).unwrap();
        }
        let part_max = if story.split { PIECE as u64 } else { whole.part_max };
        let rules = PublishRules { part_max, ..whole };
        let (last, next) = (backup("kasse-1", story.earlier + 1), backup("kasse-1", story.earlier + 2));
        let start = Disk::load(&path, Some(&bare));
        let recorded = Recorded::new(&start);
        let published = publish(&mut *recorded.open(), &last.outgoing(), &rules, &quiet()).unwrap();
        let steps = recorded.take_steps();
        let after = |disk: &Disk| {
            let recorded = Recorded::new(disk);
            publish(&mut *recorded.open(), &next.outgoing(), &rules, &quiet()).unwrap();
            ids(&own(&recorded))
        };
        let (after_last, after_none) = (after(&recorded.disk()), after(&start));
        let freed: BTreeSet<BackupId> = published.freed.into_iter().map(|(id, _)| id).collect();
        let full = story.tight || usize::from(story.earlier) == story.keep;
        assert_eq!(freed.len(), usize::from(full), "{freed:?}");
        Self { earlier, others, last, next, rules, foreign, start, steps, freed, after_last, after_none }
    }

    /// Looks at a stick as it was pulled out, lets the next run have it, and looks again. The disk that it leaves.
    pub fn survives(&self, disk: &Disk, checked: Checked, what: &str) -> Disk {
        let seen = look(disk);
        self.everything_in_sight_is_right(&seen, what);
        self.foreign.is_as_it_was(disk, what);
        let recorded = Recorded::new(disk);
        let held = own(&recorded);
        let decided = held.iter().any(|held| held.manifest.id == self.last.manifest.id);
        if decided || !self.earlier.is_empty() {
            self.one_is_whole(&recorded, &held, &seen, what);
        }

        let published = publish(&mut *recorded.open(), &self.next.outgoing(), &self.rules, &quiet());
        let published = published.unwrap_or_else(|error| panic!("{what}: the next run failed: {}", error.report()));
        let disk = recorded.disk();
        let seen = look(&disk);
        let what = format!("{what}, after the next run, {published:?}");
        self.everything_in_sight_is_right(&seen, &what);
        self.foreign.is_as_it_was(&disk, &what);
        let mut left: Vec<&str> = seen.iter().filter(|file| file.hidden).map(|file| file.path.as_str()).collect();
        left.retain(|path| *path != NOTE);
        assert!(left.is_empty(), "{what}: something stayed hidden: {left:?}");
        self.all_are_back(&recorded, decided, checked, &seen, &what);
        disk
    }

    /// What the next run writes to a stick that was pulled out.
    pub fn next_run(&self, disk: &Disk) -> Vec<Step> {
        let recorded = Recorded::new(disk);
        publish(&mut *recorded.open(), &self.next.outgoing(), &self.rules, &quiet()).unwrap();
        recorded.take_steps()
    }

    fn one_is_whole(&self, recorded: &Recorded, held: &[Stored], seen: &[Seen], what: &str) {
        let mut fs = recorded.open();
        let proven = held.iter().any(|held| held.complete && verify(&mut *fs, held, &quiet()).is_ok());
        assert!(proven, "{what}: no complete backup can be read");
        assert!(held.iter().all(|held| held.sealed), "{what}: a manifest is in sight without its sum");
        // And a person with other tools would find one, hidden files included.
        let all = || self.earlier.iter().chain([&self.last]);
        let found = |backup: &Backup, name: &str| {
            let content = backup.content(name);
            let files = seen.iter().filter(|file| plain(last_name(&file.path)).starts_with(name));
            let files: Vec<&Vec<u8>> = files.filter_map(|file| file.content.as_ref()).collect();
            let has = |wanted: &[u8]| files.iter().any(|file| file.as_slice() == wanted);
            has(&content) || content.chunks(PIECE).all(has)
        };
        assert!(
            all().any(|backup| found(backup, KASSE) && found(backup, PAPERS)),
            "{what}: fatfs finds no whole backup"
        );
    }

    /// All generations that are kept, whole; the other box's, always.
    fn all_are_back(&self, recorded: &Recorded, decided: bool, checked: Checked, seen: &[Seen], what: &str) {
        let mut fs = recorded.open();
        let held = stored(&mut *fs).unwrap();
        for held in &held {
            verify(&mut *fs, held, &quiet()).unwrap_or_else(|error| panic!("{what}: {}", error.report()));
        }
        let other = |held: &&Stored| held.manifest.box_name.as_str() == "kasse-2";
        assert_eq!(held.iter().filter(other).count(), self.others.len().min(self.rules.keep), "{what}");
        let ids = ids(&own(recorded));
        let wanted = if decided { &self.after_last } else { &self.after_none };
        assert!(ids.iter().all(|id| wanted.contains(id)), "{what}: {ids:?} instead of {wanted:?}");
        let mut lost: Vec<_> = wanted.iter().filter(|id| !ids.contains(id) && !self.freed.contains(id)).collect();
        // A check makes files of lost clusters; they are the person's, so their room is had from one backup more.
        let filed = checked == Checked::ByFsck && seen.iter().any(|file| file.path.starts_with("FSCK"));
        if filed && ids.len() > 1 {
            lost.pop();
        }
        assert!(lost.is_empty(), "{what}: {lost:?} are gone");
    }

    fn everything_in_sight_is_right(&self, seen: &[Seen], what: &str) {
        let in_sight: BTreeMap<&str, Option<&Vec<u8>>> =
            seen.iter().filter(|file| !file.hidden).map(|file| (file.path.as_str(), file.content.as_ref())).collect();
        for (path, content) in &in_sight {
            let Some(content) = content else { panic!("{what}: {path} cannot be read") };
            let right = self.is_right(path, content, &in_sight);
            assert!(right, "{what}: {path} is in sight with {} bytes that it must not have", content.len());
        }
    }

    fn is_right(&self, path: &str, content: &[u8], in_sight: &BTreeMap<&str, Option<&Vec<u8>>>) -> bool {
        let all = || self.earlier.iter().chain([&self.last, &self.next]);
        let of = |backup: &Backup, name: &str| {
            let here = !path.contains('/') || path.contains(backup.manifest.id.as_str());
            here && backup.has(name, content, PIECE)
        };
        let name = last_name(path);
        match name {
            "Urlaub.jpg" => content == noise("picture", 40_000),
            "film.part" => content == b"half a film",
            "SHA256.txt" => content == noise("somebody's sums", 700),
            "filler.bin" => true,
            _ if path.starts_with("Fotos/") => true,
            _ if name.starts_with("104711") => {
                let own = !path.contains("/kasse-2/") && all().any(|backup| of(backup, &plain(name)));
                own || !name.contains("_kasse-1.") && self.others.iter().any(|backup| of(backup, &plain(name)))
            }
            "SHA256SUMS" => std::str::from_utf8(content).unwrap().lines().all(|line| {
                let (sum, path) = line.split_once("  ").unwrap();
                in_sight.get(path).is_some_and(|listed| listed.is_some_and(|listed| hex(listed) == sum))
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
        }
    }
}

/// Fills the stick but for single clusters: what is written then has its chain all over the table.
fn leave_gaps(stick: &Stick, gaps: u64) {
    let mut fs = stick.open();
    fs.make_dir("Fotos").unwrap();
    for n in 0..gaps {
        for (name, clusters) in [(format!("Fotos/{n}.jpg"), CLUSTERS_OF_A_TABLE_SECTOR - 1), (format!("Fotos/{n}"), 1)]
        {
            drop(fs.create_hidden(&name, clusters * SECTOR as u64).unwrap());
            fs.unhide(&name).unwrap();
        }
    }
    drop(fs);
    stick.fill_up_to(0);
    let mut fs = stick.open();
    (0..gaps).for_each(|n| fs.remove(&format!("Fotos/{n}")).unwrap());
    fs.sync().unwrap();
}

/// This box's backups, newest first.
fn own(recorded: &Recorded) -> Vec<Stored> {
    let mut held = stored(&mut *recorded.open()).unwrap();
    held.retain(|held| held.manifest.box_name.as_str() == "kasse-1");
    held
}

fn ids(held: &[Stored]) -> Vec<BackupId> {
    held.iter().map(|held| held.manifest.id.clone()).collect()
}

/// A file's name without the box in it.
fn plain(name: &str) -> String {
    name.replace("_kasse-1.", ".")
}

fn last_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap()
}
