//! Block devices and folders, over loop devices. Without the right to make these, only the refusal is checked.

use std::path::{Path, PathBuf};

use tillstick::error::Kind;
use tillstick::host::block;
use tillstick::policy::stick::{Reason, StickRules, VerdictKind, judge};
use tillstick::policy::tse::TseRules;
use tillstick::stick::identify::{Inspection, Medium, inspect};
use tillstick::stick::probe::Limits;

use crate::kit::{FAT32_SIZE, Image, MIB, is_root, run};

struct Loop(PathBuf);

impl Loop {
    fn over(image: &Image, more: &[&str]) -> Self {
        let path = run("losetup", &[&["--find", "--show"], more, &[image.text()]].concat(), "");
        Self(path.trim().into())
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        let _ = std::process::Command::new("losetup").arg("-d").arg(&self.0).status();
    }
}

struct Mounted(PathBuf);

impl Mounted {
    fn at(device: &Path, dir: &Path) -> Self {
        run("mount", &["-t", "ext4", device.to_str().unwrap(), dir.to_str().unwrap()], "");
        Self(dir.into())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg(&self.0).status();
    }
}

fn look(path: &Path) -> tillstick::error::Result<Inspection> {
    inspect(path, &TseRules::default(), &Limits::default())
}

fn skipped() -> bool {
    if !is_root() {
        println!("no right to make loop devices: this test checks nothing but that");
        let error = std::fs::OpenOptions::new().write(true).open("/dev/loop-control").unwrap_err();
        assert!(matches!(error.kind(), std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::NotFound));
    }
    !is_root()
}

#[test]
fn a_stick_is_read_through_its_device_and_found_write_protected() {
    if skipped() {
        return;
    }
    let image = Image::fat32();
    let device = Loop::over(&image, &[]);
    let found = look(&device.0).unwrap();
    assert_eq!(found.medium, Medium::Device(device.0.clone()));
    assert_eq!((found.facts.device.size, found.facts.device.is_image), (FAT32_SIZE, true));
    assert_eq!(judge(&found.facts, &StickRules::default()).kind, VerdictKind::Usable { volume: 0 });
    let volume = found.volume(0).unwrap();
    assert_eq!((volume.path, volume.offset, volume.size), (device.0.clone(), 0, FAT32_SIZE));
    let error = block::open_exclusive(&image.path, true).unwrap_err();
    assert!(error.kind() == Kind::Busy && error.to_string().contains("loop"), "{}", error.report());
    drop(device);
    block::open_exclusive(&image.path, true).unwrap();
    let device = Loop::over(&image, &["--read-only"]);
    let verdict = judge(&look(&device.0).unwrap().facts, &StickRules::default());
    assert_eq!(verdict.kind, VerdictKind::Refused(Reason::ReadOnly));
}

/// The second partition's node. Not every kernel reads the table; `addpart` makes the same node.
fn second_partition(device: &Loop, start: u64, size: u64) -> PathBuf {
    let path = PathBuf::from(format!("{}p2", device.0.display()));
    if !path.exists() {
        let numbers = [2, start / 512, size / 512].map(|number| number.to_string());
        let [number, start, size] = numbers.each_ref().map(String::as_str);
        run("addpart", &[device.0.to_str().unwrap(), number, start, size], "");
    }
    path
}

#[test]
fn one_partition_named_by_a_person_is_the_one_that_is_used() {
    if skipped() {
        return;
    }
    let script = "label: dos\nstart=2048, size=81920, type=c\nstart=83968, size=81920, type=c\n";
    let image = Image::divided(84 * MIB, script, &[1, 41]);
    let device = Loop::over(&image, &["--partscan"]);
    let second = second_partition(&device, 41 * MIB, FAT32_SIZE);
    let found = look(&second).unwrap();
    let verdict = judge(&found.facts, &StickRules::default());
    let chosen = found.volume(verdict.volume().unwrap()).unwrap();
    assert_eq!((chosen.path, chosen.offset, chosen.size), (device.0.clone(), 41 * MIB, FAT32_SIZE));
    // A TSE on the other one counts all the same.
    drop(device);
    image.put(MIB, "TSE_INFO.DAT", b"");
    let device = Loop::over(&image, &["--partscan"]);
    let second = second_partition(&device, 41 * MIB, FAT32_SIZE);
    let verdict = judge(&look(&second).unwrap().facts, &StickRules::default());
    assert!(matches!(verdict.kind, VerdictKind::Refused(Reason::Tse { .. })));
}

#[test]
fn a_disk_with_one_mounted_partition_is_in_use_as_a_whole() {
    if skipped() {
        return;
    }
    let script = "label: dos\nstart=2048, size=81920, type=c\nstart=83968, size=81920, type=83\n";
    let image = Image::divided(84 * MIB, script, &[1]);
    image.put_image(&Image::made(FAT32_SIZE, "mke2fs", &["-q", "-t", "ext4"]), 41 * MIB);
    let device = Loop::over(&image, &["--partscan"]);
    let second = second_partition(&device, 41 * MIB, FAT32_SIZE);
    let dir = tempfile::tempdir().unwrap();
    let _mount = Mounted::at(&second, dir.path());
    for error in [look(&device.0).unwrap_err(), block::open_exclusive(&device.0, true).unwrap_err()] {
        assert_eq!(error.kind(), Kind::Busy);
        assert!(error.to_string().contains(dir.path().to_str().unwrap()), "{}", error.report());
    }
    // The folder stands for its own partition, not for the FAT32 one beside it.
    let found = look(dir.path()).unwrap();
    assert_eq!((found.disk, found.facts.wanted), (Some(device.0.clone()), Some(41 * MIB)));
    let verdict = judge(&found.facts, &StickRules::default());
    assert!(matches!(verdict.kind, VerdictKind::Refused(Reason::WrongFilesystem { .. })), "{verdict:?}");
}

#[test]
fn a_mounted_device_is_refused_by_its_mount_point_and_its_folder_leads_to_it() {
    if skipped() {
        return;
    }
    let image = Image::made(16 * MIB, "mke2fs", &["-q", "-t", "ext4"]);
    let device = Loop::over(&image, &[]);
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("a stick");
    std::fs::create_dir(&place).unwrap();
    let mount = Mounted::at(&device.0, &place);

    for error in [look(&device.0).unwrap_err(), block::open_exclusive(&device.0, true).unwrap_err()] {
        assert_eq!(error.kind(), Kind::Busy);
        assert!(error.to_string().contains("a stick") && error.remedy().is_some(), "{}", error.report());
    }
    let found = look(&place).unwrap();
    assert_eq!(found.medium, Medium::Folder { path: place.clone(), device: Some(device.0.clone()) });
    let verdict = judge(&found.facts, &StickRules::default());
    assert!(matches!(verdict.kind, VerdictKind::Refused(Reason::WrongFilesystem { .. })));

    drop(mount);
    let file = block::open_exclusive(&device.0, true).unwrap();
    assert_eq!(block::size(&file).unwrap(), 16 * MIB);
    block::drop_cache(&file).unwrap();
    let second = block::open_exclusive(&device.0, false).unwrap_err();
    assert_eq!(second.kind(), Kind::Busy, "{}", second.report());
}

#[test]
fn probing_makes_no_write_call() {
    let written = || {
        let counters = std::fs::read_to_string("/proc/thread-self/io").unwrap();
        let line = counters.lines().find(|line| line.starts_with("syscw:")).unwrap();
        line.trim_start_matches("syscw:").trim().parse::<u64>().unwrap()
    };
    let image = Image::fat32();
    image.mkdir(0, "TILLSTICK");
    image.put(0, "TILLSTICK/stick.json", b"{}");
    // Without a count of free clusters fatfs would like to write one.
    image.patch(512 + 488, &[0xff; 4]);
    let before = written();
    look(&image.path).unwrap();
    assert_eq!(written(), before);
}

#[test]
fn after_dropping_the_cache_a_read_comes_from_the_medium() {
    use std::os::unix::fs::FileExt as _;
    if skipped() {
        return;
    }
    let image = Image::empty(MIB);
    let device = Loop::over(&image, &[]);
    let file = block::open_exclusive(&device.0, false).unwrap();
    let byte = || {
        let mut byte = [0];
        file.read_exact_at(&mut byte, 0).unwrap();
        byte[0]
    };
    assert_eq!(byte(), 0);
    image.patch(0, &[7]);
    assert_eq!(byte(), 0, "the cache still has the old byte");
    block::drop_cache(&file).unwrap();
    assert_eq!(byte(), 7);
}

#[test]
fn folders_on_no_device_missing_paths_and_odd_files_are_told_apart() {
    let found = look(Path::new("/proc")).unwrap();
    assert_eq!(found.medium, Medium::Folder { path: "/proc".into(), device: None });
    assert!(found.volume(0).is_none());
    // Whatever lies below the folder for temporary files, and whether or not we may read it: never a stick.
    let dir = tempfile::tempdir().unwrap();
    let found = look(dir.path()).unwrap();
    assert!(judge(&found.facts, &StickRules::default()).volume().is_err());
    assert_eq!(look(Path::new("/nowhere/at/all")).unwrap_err().kind(), Kind::Missing);
    assert_eq!(look(Path::new("/dev/null")).unwrap_err().kind(), Kind::Usage);
}
