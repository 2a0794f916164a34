//! What must hold of a stick at every moment at which it may be pulled, judged without changing it: by the program's own
//! reading, and by `fsck.fat -a`, which stands for a PC.

use std::collections::HashSet;
use std::io::Read;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tillstick::model::{Cancel, Quiet, Run};
use tillstick::stick::fs::StickFs;
use tillstick::stick::generations::{stored, verify};
use tillstick::stick::image::open_medium;
use tillstick::stick::layout::NOTE;

use crate::disk::Disk;
use crate::machine::DUMP;
use crate::stick::command;

/// Judges sticks by what they held at first.
pub struct Judge {
    /// Somebody's files.
    foreign: Vec<(String, Vec<u8>)>,
    /// There is a complete backup from the beginning on.
    has_one: bool,
    /// The kernel wrote: of the clusters that it lost when the stick was pulled there is no note.
    by_the_kernel: bool,
    scratch: TempDir,
}

impl Judge {
    /// Of a stick as it is before anything happens to it.
    pub fn new(disk: &Disk) -> Self {
        let mut fs = open(disk);
        let is_foreign = |path: &String| !path.starts_with("TILLSTICK/") && path != DUMP && path != "SHA256SUMS";
        let paths = files(&mut *fs).0.into_iter().map(|(path, _)| path).filter(is_foreign);
        let paths: Vec<String> = paths.collect();
        let foreign = paths.into_iter().map(|path| (path.clone(), read(&mut *fs, &path).unwrap())).collect();
        let has_one = stored(&mut *fs).unwrap().iter().any(|held| held.complete);
        // In memory where that can be: what is measured is not the disk.
        let scratch = tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap());
        Self { foreign, has_one, by_the_kernel: false, scratch }
    }

    /// Of a stick that is pulled while it is mounted.
    pub fn of_a_mounted(disk: &Disk) -> Self {
        Self { by_the_kernel: true, ..Self::new(disk) }
    }

    /// What does not hold, as it is and after a file system check.
    pub fn complaints(&self, disk: &Disk) -> Vec<String> {
        let mut bad = self.complaints_bare(disk);
        let checked = self.complaints_bare(&self.checked(disk));
        bad.extend(checked.into_iter().map(|bad| format!("after fsck.fat -a: {bad}")));
        bad
    }

    /// The stick after a file system check.
    pub fn checked(&self, disk: &Disk) -> Disk {
        let image = self.image(disk);
        let _ = command("fsck.fat", &["-a", image.to_str().unwrap()]).output().unwrap();
        Disk::load(&image, 0)
    }

    fn image(&self, disk: &Disk) -> PathBuf {
        let image = self.scratch.path().join("judged.img");
        disk.save(&image);
        image
    }

    /// A complete backup can be read, no file in sight has a content that it must not have, and no foreign file changed.
    fn complaints_bare(&self, disk: &Disk) -> Vec<String> {
        let mut fs = open(disk);
        let run = Run { monitor: &Quiet, cancel: &Cancel::default() };
        let held = match stored(&mut *fs) {
            Ok(held) => held,
            Err(error) => return vec![error.report()],
        };
        let mut bad = Vec::new();
        let mut whole = held.iter().filter(|held| held.complete && verify(&mut *fs, held, &run).is_ok());
        if self.has_one && whole.next().is_none() {
            bad.push("no complete backup can be read".to_owned());
        }
        let artifacts = held.iter().flat_map(|held| &held.manifest.artifacts);
        let sums: HashSet<&str> = artifacts.map(|artifact| artifact.sha256.as_str()).collect();
        let (files, broken) = files(&mut *fs);
        bad.extend(broken.into_iter().map(|path| format!("{path} cannot be listed")));
        for (path, _) in files.iter().filter(|(path, hidden)| !hidden && !path.ends_with(".part")) {
            if !may_be_seen(&mut *fs, path, &sums) {
                bad.push(format!("{path} is in sight with a content that it must not have"));
            }
        }
        for (path, content) in &self.foreign {
            if read(&mut *fs, path).as_ref() != Some(content) {
                bad.push(format!("somebody's {path} changed"));
            }
        }
        bad
    }

    /// What does not hold after a backup that was called safe: nothing may be left of what was cut short.
    pub fn complaints_when_safe(&self, disk: &Disk) -> Vec<String> {
        let mut bad = self.complaints(disk);
        let left = files(&mut *open(disk)).0.into_iter().filter(|(path, hidden)| *hidden && path != NOTE);
        bad.extend(left.map(|(path, _)| format!("{path} stayed hidden")));
        let is_bad = |line: &String| !self.by_the_kernel || !line.starts_with("Reclaimed ");
        bad.extend(fsck_says(&self.image(disk)).into_iter().filter(is_bad));
        bad
    }
}

/// What fsck.fat says of pieces of long names, and what it does about them.
const PIECES: [&str; 4] = [
    "Orphaned long file name part",
    "Auto-deleting.",
    "A new long file name starts within an old one.",
    "Not auto-correcting this.",
];

/// What fsck.fat has to complain about.
pub fn fsck_says(volume: &Path) -> Vec<String> {
    let said = command("fsck.fat", &["-n", volume.to_str().unwrap()]).output().unwrap();
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    let fine = |line: &&str| {
        // A piece of a long name whose other pieces a yank kept from coming leads to nothing, wherever the next name begins.
        let piece = PIECES.iter().any(|piece| line.trim_start().starts_with(piece));
        let counts = line.contains(" files, ") || line.trim().is_empty();
        counts || piece || crate::fsck::HARMLESS.iter().any(|harmless| line.starts_with(harmless))
    };
    said.lines().filter(|line| !fine(line)).map(str::to_owned).collect()
}

fn open(disk: &Disk) -> Box<dyn StickFs> {
    open_medium(Box::new(disk.clone()), disk.size(), false).unwrap()
}

fn read(fs: &mut dyn StickFs, path: &str) -> Option<Vec<u8>> {
    let mut content = Vec::new();
    fs.read(path).ok()?.read_to_end(&mut content).ok()?;
    Some(content)
}

fn sum(content: &[u8]) -> String {
    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// All files with their paths, and whether they are hidden; and the folders that cannot be listed.
fn files(fs: &mut dyn StickFs) -> (Vec<(String, bool)>, Vec<String>) {
    let (mut files, mut dirs, mut broken) = (Vec::new(), vec![String::new()], Vec::new());
    while let Some(dir) = dirs.pop() {
        let Ok(entries) = fs.list(&dir) else {
            broken.push(dir);
            continue;
        };
        for entry in entries {
            let path = if dir.is_empty() { entry.name } else { format!("{dir}/{}", entry.name) };
            if entry.is_dir {
                dirs.push(path);
            } else {
                files.push((path, entry.hidden));
            }
        }
    }
    (files, broken)
}

fn may_be_seen(fs: &mut dyn StickFs, path: &str, sums: &HashSet<&str>) -> bool {
    let Some(content) = read(fs, path) else { return false };
    match path.rsplit('/').next().unwrap() {
        DUMP => sums.contains(sum(&content).as_str()),
        "SHA256SUMS" => String::from_utf8_lossy(&content).lines().all(|line| {
            let (wanted, path) = line.split_once("  ").unwrap();
            read(fs, path).is_some_and(|content| sum(&content) == wanted)
        }),
        _ => true,
    }
}
