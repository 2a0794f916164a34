//! The writes of the kernel's own FAT driver, when a backup goes through the folder of a mounted stick: what is there
//! when it is pulled after any of them.

use std::collections::HashSet;
use std::fs;
use std::io::Read;

use sha2::{Digest, Sha256};
use tillstick::model::{Cancel, Quiet, Run};
use tillstick::stick::fs::StickFs;
use tillstick::stick::generations::{stored, verify};
use tillstick::stick::image::open_medium;

use super::scenarios;
use crate::machine::{DUMP, LARGE_RECEIPTS, LARGE_TILL, Machine};
use crate::replay::{Disk, pulled};
use crate::stick::{MIB, Stick, command};

scenarios![a_mounted_stick_pulled_at_any_write_of_the_kernel_loses_nothing];

const PICTURE: &str = "Urlaub.jpg";
/// So many of the states are plugged in again, and the next backup must come right.
const PLUGGED_AGAIN: usize = 8;

fn a_mounted_stick_pulled_at_any_write_of_the_kernel_loses_nothing(machine: &mut Machine<'_>) {
    let stick = machine.stick("stick1", 34 * MIB).format("mkfs.vfat", &["-F", "32", "-s", "1", "-I"]);
    stick.put(PICTURE, &b"a foreign file ".repeat(3000));
    back_up_through_the_folder(machine, &stick);
    let start = Disk::load(&stick.image);
    machine.guest().must(LARGE_TILL);
    stick.medium.keeps_a_log();
    back_up_through_the_folder(machine, &stick);
    let states = pulled(&start, &stick.medium.take_log());
    println!("{} states of a pulled stick", states.len());

    let known = Known::of(&states.last().unwrap().1);
    // In memory where that can be: what is measured is not the disk.
    let scratch = tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap());
    let image = scratch.path().join("pulled.img");
    let mut bad = Vec::new();
    for (what, disk) in &states {
        bad.extend(known.complaints(disk).into_iter().map(|bad| format!("{what}: {bad}")));
        disk.save(&image);
        let _ = command("fsck.fat", &["-a", image.to_str().unwrap()]).output().unwrap();
        let complaints = known.complaints(&Disk::load(&image));
        bad.extend(complaints.into_iter().map(|bad| format!("{what}, after fsck.fat -a: {bad}")));
    }
    assert!(bad.is_empty(), "{}", bad.join("\n"));
    for (what, disk) in states.iter().step_by(states.len() / PLUGGED_AGAIN) {
        machine.guest().must(&format!("echo plugged again: {what}"));
        disk.save(&image);
        fs::copy(&image, &stick.image).unwrap();
        back_up_through_the_folder(machine, &stick);
        stick.survives_a_check(DUMP, LARGE_RECEIPTS);
        assert_eq!(hidden(&Disk::load(&stick.image)), Vec::<String>::new(), "{what}: something stayed hidden");
    }
}

#[track_caller]
fn back_up_through_the_folder(machine: &mut Machine<'_>, stick: &Stick) {
    let node = machine.plug(stick);
    machine.mount(&node, "/media/usb0");
    machine.tillstick("backup --stick /media/usb0").exits(0);
    machine.guest().must("umount /media/usb0");
    machine.pull(stick);
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

fn hidden(disk: &Disk) -> Vec<String> {
    files(&mut *open(disk)).0.into_iter().filter(|(_, hidden)| *hidden).map(|(path, _)| path).collect()
}

/// The contents that files may have.
struct Known {
    sums: HashSet<String>,
    picture: Vec<u8>,
}

impl Known {
    /// Those of a finished stick.
    fn of(disk: &Disk) -> Self {
        let mut fs = open(disk);
        let artifacts = stored(&mut *fs).unwrap().into_iter().flat_map(|stored| stored.manifest.artifacts);
        Self { sums: artifacts.map(|artifact| artifact.sha256).collect(), picture: read(&mut *fs, PICTURE).unwrap() }
    }

    /// What does not hold though it must whenever the stick is pulled: a complete backup can be read, and no file under a
    /// final name has a wrong content.
    fn complaints(&self, disk: &Disk) -> Vec<String> {
        let mut fs = open(disk);
        let run = Run { monitor: &Quiet, cancel: &Cancel::default() };
        let held = match stored(&mut *fs) {
            Ok(held) => held,
            Err(error) => return vec![error.report()],
        };
        let mut bad = Vec::new();
        if !held.iter().any(|held| held.complete && verify(&mut *fs, held, &run).is_ok()) {
            bad.push("no complete backup can be read".to_owned());
        }
        let (files, broken) = files(&mut *fs);
        bad.extend(broken.into_iter().map(|path| format!("{path} cannot be listed")));
        for (path, hidden) in files {
            if !hidden && !path.ends_with(".part") && !self.may_be_seen(&mut *fs, &path) {
                bad.push(format!("{path} is in sight with a content that it must not have"));
            }
        }
        bad
    }

    fn may_be_seen(&self, fs: &mut dyn StickFs, path: &str) -> bool {
        let Some(content) = read(fs, path) else { return false };
        match path.rsplit('/').next().unwrap() {
            PICTURE => content == self.picture,
            DUMP => self.sums.contains(&sum(&content)),
            "SHA256SUMS" => String::from_utf8_lossy(&content).lines().all(|line| {
                let (wanted, path) = line.split_once("  ").unwrap();
                read(fs, path).is_some_and(|content| sum(&content) == wanted)
            }),
            _ => true,
        }
    }
}
