//! A stick that is pulled in the middle of formatting: it is what it was, or it is refused. Never is half of it usable.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};

use tillstick::policy::stick::VerdictKind;

use crate::disk::{Disk, Lie, MIB, Recorder, SECTOR, Step};
use crate::proof;

const SIZE: u64 = 48 * MIB;

fn tool(name: &str, args: &[&str], input: &str) {
    let path = format!("/usr/sbin:/sbin:{}", std::env::var("PATH").unwrap_or_default());
    let mut command = Command::new(name);
    command.args(args).env("PATH", path).stdout(Stdio::null()).stderr(Stdio::null());
    let script = tempfile::NamedTempFile::new().unwrap();
    fs::write(script.path(), input).unwrap();
    let status = command.stdin(File::open(script.path()).unwrap()).status();
    assert!(status.unwrap_or_else(|error| panic!("{name} is needed for this test: {error}")).success(), "{name}");
}

fn made(make: impl Fn(&Path, &str)) -> Disk {
    let image = tempfile::NamedTempFile::new().unwrap();
    image.as_file().set_len(SIZE).unwrap();
    make(image.path(), image.path().to_str().unwrap());
    Disk::load(image.path())
}

/// A partition table, and FAT32 in its partition at one MiB: where ours begins too.
fn divided(kind: &str) -> Disk {
    made(|_, path| {
        tool("sfdisk", &["-q", path], kind);
        let blocks = (SIZE / 1024 - 2048).to_string();
        tool("mkfs.vfat", &["-F", "32", "-s", "1", "-n", "OLD", "--offset", "2048", path, &blocks], "");
    })
}

fn formatted(mkfs: &str, args: &[&str]) -> Disk {
    made(|_, path| tool(mkfs, &[args, &[path]].concat(), ""))
}

/// Everything that people have on their sticks.
fn sticks() -> Vec<(&'static str, Disk)> {
    let mut again = Recorder::over(Disk::empty(SIZE));
    again.format(&[]).unwrap();
    vec![
        ("blank", Disk::empty(SIZE)),
        ("full of noise", Disk::noise(SIZE)),
        ("FAT32 without a table", formatted("mkfs.vfat", &["-F", "32", "-s", "1"])),
        ("FAT32 in a partition", divided("start=2048, type=c\n")),
        ("FAT32 under a GUID table", divided("label: gpt\nstart=2048, size=94208\n")),
        ("exFAT", formatted("mkfs.exfat", &[])),
        ("NTFS", formatted("mkfs.ntfs", &["-q", "-F"])),
        ("ext4", formatted("mkfs.ext4", &["-q", "-F"])),
        ("formatted by us", again.disk),
    ]
}

/// Judges the state that a pull leaves.
fn judged(name: &str, what: &str, disk: &Disk, old: &VerdictKind, fresh: bool) {
    let verdict = disk.verdict().kind;
    let usable = matches!(verdict, VerdictKind::Usable { .. });
    assert!(!usable || (fresh && verdict == *old), "{name}, {what}: {verdict:?}");
}

#[test]
fn whenever_it_is_pulled_the_stick_is_what_it_was_or_is_refused() {
    for (name, base) in sticks() {
        let old = base.verdict().kind;
        let mut recorder = Recorder::over(base.clone());
        recorder.format(&base.facts().volumes).unwrap();
        assert!(recorder.disk.verdict().volume().is_ok(), "{name}: {:?}", recorder.disk.verdict());
        let writes = recorder.steps.iter().filter(|step| matches!(step, Step::Write(..))).count();
        let (mut disk, mut number) = (base, 0);
        for step in &recorder.steps {
            let Step::Write(pos, bytes) = step else { continue };
            number += 1;
            // A long write is cut at some of its sectors; the first sector of the stick is written whole or not at all.
            let cuts = (bytes.len() / SECTOR as usize).div_ceil(proof::cases(3, 64) as usize).max(1);
            for (part, piece) in bytes.chunks(cuts * SECTOR as usize).enumerate() {
                let cut = part * cuts * SECTOR as usize;
                judged(name, &format!("before byte {cut} of write {number} of {writes}"), &disk, &old, number == 1);
                disk.write(pos + cut as u64, piece);
            }
        }
        assert!(disk.verdict().volume().is_ok());
    }
}

/// The device may write what lies between two flushes in any order, and lose any of it.
#[test]
fn in_whatever_order_the_device_writes_between_two_flushes_nothing_half_is_usable() {
    let mut lot = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move || {
        lot = lot.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (lot >> 33) as usize
    };
    for (name, base) in sticks() {
        let old = base.verdict().kind;
        let mut recorder = Recorder::over(base.clone());
        recorder.format(&base.facts().volumes).unwrap();
        let epochs: Vec<Vec<&Step>> = recorder
            .steps
            .split(|step| matches!(step, Step::Flush))
            .map(|steps| steps.iter().collect::<Vec<_>>())
            .filter(|steps| !steps.is_empty())
            .collect();
        let mut before = base;
        for (number, epoch) in epochs.iter().enumerate() {
            let last = number + 1 == epochs.len();
            for _ in 0..proof::cases(4, 200) {
                let mut disk = before.clone();
                for step in epoch.iter().filter(|_| random() % 2 == 0) {
                    let Step::Write(pos, bytes) = step else { continue };
                    disk.write(*pos, bytes);
                }
                if !last {
                    judged(name, &format!("flush {number}"), &disk, &old, number == 0);
                }
            }
            for step in epoch {
                let Step::Write(pos, bytes) = step else { continue };
                before.write(*pos, bytes);
            }
        }
    }
}

#[test]
fn a_stick_that_lies_about_its_size_is_found_and_stays_unusable() {
    let lies = [
        (Lie::Drops, 20 * MIB),
        (Lie::Drops, SIZE - SECTOR),
        (Lie::Drops, 3 * MIB + 512),
        (Lie::Wraps, 32 * MIB),
        (Lie::Wraps, 16 * MIB),
        (Lie::Wraps, 2 * MIB),
    ];
    for (lie, real) in lies {
        let mut fake = Recorder::over(Disk::empty(SIZE));
        fake.lie = Some((real, lie));
        let error = fake.format(&[]).unwrap_err();
        assert_eq!(error.kind(), tillstick::error::Kind::Damaged, "{lie:?} {real}: {}", error.report());
        assert!(fake.disk.verdict().volume().is_err(), "{lie:?} {real}");
    }
}
