//! What comes out, as `fsck.fat`, `sfdisk` and mtools see it.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use tillstick::policy::format::Layout;
use tillstick::policy::stick::StickRules;
use tillstick::policy::stick::judge;
use tillstick::policy::tse::TseRules;
use tillstick::stick::format::{Name, format};
use tillstick::stick::identify::inspect;
use tillstick::stick::probe::Limits;

use crate::disk::{MIB, extents, quiet};

const GB: u64 = 1_000_000_000;

fn output(name: &str, args: &[&str]) -> (bool, String) {
    let path = format!("/usr/sbin:/sbin:{}", std::env::var("PATH").unwrap_or_default());
    let mut command = Command::new(name);
    command.args(args).env("PATH", path).env("LC_ALL", "C").stdin(Stdio::null());
    let done = command.output().unwrap_or_else(|error| panic!("{name} is needed for this test: {error}"));
    (done.status.success(), String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned())
}

/// The partition in a file of its own, as sparse as it is: `fsck.fat` knows no offsets.
fn partition(image: &Path, layout: &Layout, to: &Path) {
    let (from, to) = (File::open(image).unwrap(), File::create(to).unwrap());
    to.set_len(layout.end() - layout.offset()).unwrap();
    for (start, end) in extents(&from) {
        let (start, end) = (start.max(layout.offset()), end.min(layout.end()));
        if start < end {
            let mut bytes = vec![0; (end - start) as usize];
            from.read_exact_at(&mut bytes, start).unwrap();
            to.write_all_at(&bytes, start - layout.offset()).unwrap();
        }
    }
}

fn is_good(size: u64) {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("stick.img");
    File::create(&image).unwrap().set_len(size).unwrap();
    let layout = Layout::of(size, 512).unwrap();
    let name = Name { label: "kasse 1".parse().unwrap(), id: 0xfeed_1234 };
    format(&image, size, &layout, &name, &[], &quiet()).unwrap();

    let found = inspect(&image, &TseRules::default(), &Limits::default()).unwrap();
    assert_eq!(judge(&found.facts, &StickRules::default()).volume(), Ok(0), "{size}");
    let volume = &found.facts.volumes[0];
    assert_eq!((volume.uuid.as_deref(), volume.label.as_deref()), (Some("FEED-1234"), Some("KASSE 1")));
    assert_eq!(volume.free, Some(u64::from(layout.clusters - 1) * u64::from(layout.cluster())));

    let (good, table) = output("sfdisk", &["-d", image.to_str().unwrap()]);
    assert!(good && table.contains("type=c"), "{table}");
    assert!(table.contains(&format!("start= {:>11}, size= {:>11}", layout.start, layout.sectors)), "{table}");

    let alone = dir.path().join("partition.img");
    partition(&image, &layout, &alone);
    let (good, said) = output("fsck.fat", &["-n", "-v", alone.to_str().unwrap()]);
    assert!(
        good && said.contains("1 files") && !said.contains("wrong") && !said.contains("ifferences"),
        "{size}: {said}"
    );
    assert!(said.contains(&format!("{} data clusters", layout.clusters)) || said.contains("clusters"), "{said}");
    let at = format!("{}@@{}", image.display(), layout.offset());
    let file = dir.path().join("a file.txt");
    fs::write(&file, "text").unwrap();
    assert!(output("mcopy", &["-i", &at, file.to_str().unwrap(), "::/"]).0);
    assert_eq!(output("mtype", &["-i", &at, "::/a file.txt"]), (true, "text".to_owned()));
}

#[test]
fn a_small_stick() {
    is_good(64 * MIB);
    is_good(64 * MIB + 12_345 * 512);
}

#[test]
fn a_stick_of_2_gb() {
    is_good(2 * GB);
}

#[test]
fn a_stick_of_32_gb() {
    is_good(32 * GB);
}

#[test]
fn a_stick_of_128_gb() {
    is_good(128 * GB);
}

#[test]
fn a_stick_of_2_tb() {
    is_good(2000 * GB);
}
