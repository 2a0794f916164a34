//! A byte changed anywhere in a backup: `check` finds it, and nothing restores it.

use std::fs;
use std::path::{Path, PathBuf};

use tillstick::model::{Cancel, Quiet, Run};
use tillstick::primary::Primary;
use tillstick::stick::folder::open_folder;
use tillstick::stick::generations::held;
use tillstick::stick::sums;

use crate::kit::{Box, names, ran, scratch, tillstick};

/// Calls `look` with `path` changed at each place in turn, then puts it right again.
fn with_each_change(path: &Path, places: impl IntoIterator<Item = usize>, mut look: impl FnMut(usize)) {
    let good = fs::read(path).unwrap();
    for place in places {
        let mut bad = good.clone();
        // Changes the case of a letter, a digit into another, a line end into something else: the text stays JSON.
        bad[place] ^= if bad[place].is_ascii_alphabetic() { 0x20 } else { 1 };
        fs::write(path, bad).unwrap();
        look(place);
    }
    fs::write(path, good).unwrap();
}

fn len(path: &Path) -> usize {
    fs::metadata(path).unwrap().len() as usize
}

/// Some places of a file: its first and last bytes, and some between.
fn sample(path: &Path) -> Vec<usize> {
    let len = len(path);
    (0..4).chain((1..6).map(|sixth| len * sixth / 6)).chain(len - 9..len).collect()
}

/// Where a folder holds one backup as a stick would.
fn plain_stick(site: &Box) -> PathBuf {
    let stick = site.path("stick");
    fs::create_dir(&stick).unwrap();
    site.run(&["backup", "--stick", stick.to_str().unwrap(), "--plain-folder"]).exits(0);
    stick
}

fn find(dir: &Path, is_it: impl Fn(&str) -> bool) -> PathBuf {
    let name = names(dir).into_iter().find(|name| is_it(name));
    dir.join(name.unwrap_or_else(|| panic!("not in {:?}", names(dir))))
}

#[test]
fn any_changed_byte_of_a_manifest_or_of_its_sums_is_found() {
    let site = Box::new();
    let id = site.backup();
    let dir = site.primary().join(&id);
    let stored = Primary::open(&site.primary()).unwrap().find(&id.parse().unwrap()).unwrap();
    let good = stored.manifest_file().unwrap();
    assert!(good.sealed);
    with_each_change(&dir.join("manifest.json"), 0..good.bytes.len(), |place| {
        assert!(stored.manifest().is_err(), "byte {place} of the manifest");
    });
    let sums = dir.join("SHA256SUMS");
    with_each_change(&sums, 0..len(&sums), |place| {
        let found = stored.manifest_file().and_then(|file| stored.sums_agree(&file));
        assert!(found.is_err(), "byte {place} of SHA256SUMS");
    });
    assert!(stored.sums_agree(&stored.manifest_file().unwrap()).is_ok());
    let told = std::process::Command::new("sha256sum").args(["-c", "--quiet", "SHA256SUMS"]).current_dir(&dir).status();
    assert!(told.unwrap().success());
}

#[test]
fn any_changed_byte_of_a_manifest_or_of_its_sums_on_a_stick_is_found() {
    let site = Box::new();
    let stick = plain_stick(&site);
    let home = stick.join("TILLSTICK/kasse-1");
    let (cancel, quiet) = (Cancel::default(), Quiet);
    let run = Run { monitor: &quiet, cancel: &cancel };
    let mut fs_of_stick = open_folder(&stick).unwrap();
    let manifest = find(&home, |name| name.ends_with(".json"));
    with_each_change(&manifest, 0..len(&manifest), |place| {
        let held = held(fs_of_stick.as_mut()).unwrap();
        assert!(held.backups.is_empty() && held.unreadable.len() == 1, "byte {place} of the manifest");
    });
    for list in [find(&home, |name| name.ends_with(".sha256")), stick.join("SHA256SUMS")] {
        with_each_change(&list, 0..len(&list), |place| {
            let unreadable = held(fs_of_stick.as_mut()).unwrap().unreadable;
            let found = sums::problems(fs_of_stick.as_mut(), &run).unwrap();
            assert!(!found.is_empty() || !unreadable.is_empty(), "byte {place} of {list:?}");
        });
    }
    assert!(sums::problems(fs_of_stick.as_mut(), &run).unwrap().is_empty());
}

#[test]
fn a_changed_byte_anywhere_in_the_primary_is_found_by_check_and_never_restored() {
    let site = Box::new();
    let id = site.backup();
    let dir = site.primary().join(&id);
    let target = site.path("restored.db");
    let restore = ["restore", &id, "--into", target.to_str().unwrap()];
    for path in [dir.join("manifest.json"), site.artifact(&id)] {
        with_each_change(&path, sample(&path), |place| {
            site.run(&["check"]).exits(1);
            let refused = site.run(&restore).exits(1);
            assert!(!target.exists(), "byte {place} of {path:?}: {}", refused.err);
        });
    }
    with_each_change(&dir.join("manifest.json"), [100], |_| {
        assert!(site.run(&["list"]).exits(0).out.contains("CANNOT BE USED"));
        site.run(&["status", "--check"]).exits(1);
        // And it is not what the next backup is told by, nor is it in its way.
        site.backup();
    });
    site.run(&["check", "--drill"]).exits(0);
    site.run(&restore).exits(0);
}

#[test]
fn a_changed_byte_anywhere_on_a_stick_is_found_by_check_and_never_recovered() {
    let site = Box::new();
    let stick = plain_stick(&site);
    let text = stick.to_str().unwrap();
    let newbox = site.path("newbox");
    let check = |args: &[&str]| ran(tillstick(&[&["check", "--stick", text, "--plain-folder"], args].concat()));
    let recover = || ran(tillstick(&["recover", text, "--plain-folder", "--yes", "--into", newbox.to_str().unwrap()]));
    check(&[]).exits(0);
    let manifest = find(&stick.join("TILLSTICK/kasse-1"), |name| name.ends_with(".json"));
    for path in [manifest, stick.join("004711_kasse.sql.gz")] {
        with_each_change(&path, sample(&path), |place| {
            check(&[]).exits(1);
            let refused = recover().exits(1);
            assert!(!newbox.join("kasse.db").exists(), "byte {place} of {path:?}: {}", refused.err);
        });
    }
    let list = ran(tillstick(&["list", "--stick", text, "--plain-folder"]));
    assert!(!list.out.contains("CANNOT BE USED"), "{}", list.out);
    recover().exits(0);
}

#[test]
fn the_next_backup_comes_beside_one_whose_manifest_is_damaged() {
    let site = Box::new();
    let stick = plain_stick(&site);
    let text = stick.to_str().unwrap();
    let path = find(&stick.join("TILLSTICK/kasse-1"), |name| name.ends_with(".json"));
    let damaged = fs::read_to_string(&path).unwrap().replace("\"rows\": ", "\"rows\": 1");
    fs::write(&path, &damaged).unwrap();
    site.run(&["backup", "--stick", text, "--plain-folder"]).exits(0);
    assert_eq!(fs::read_to_string(&path).unwrap(), damaged, "it stays for whoever can make something of it");
    let listed = ran(tillstick(&["list", "--stick", text, "--plain-folder"])).exits(0).out;
    assert_eq!((listed.matches(" rows ").count(), listed.matches("CANNOT BE USED").count()), (1, 1), "{listed}");
    let newbox = site.path("newbox");
    let into = newbox.to_str().unwrap();
    ran(tillstick(&["recover", text, "--plain-folder", "--yes", "--into", into])).exits(0);
}

#[test]
fn a_manifest_that_an_earlier_version_left_without_a_sum_is_used_with_a_warning() {
    let site = Box::new();
    let stick = plain_stick(&site);
    let text = stick.to_str().unwrap();
    fs::remove_file(find(&stick.join("TILLSTICK/kasse-1"), |name| name.ends_with(".sha256"))).unwrap();
    let id = site.ids().remove(0);
    let sums = site.primary().join(&id).join("SHA256SUMS");
    let list = fs::read_to_string(&sums).unwrap();
    fs::write(&sums, list.lines().next().unwrap().to_owned() + "\n").unwrap();
    let words = ["has no SHA-256 beside it"];
    site.run(&["check"]).exits(0).says(&words);
    ran(tillstick(&["check", "--stick", text, "--plain-folder"])).exits(0).says(&words);
    let into = site.path("restored.db");
    let restored = site.run(&["restore", &id, "--into", into.to_str().unwrap()]).exits(0);
    assert!(restored.out.contains(words[0]), "{}", restored.out);
    let newbox = scratch();
    let into = newbox.path().join("box");
    let recovered = ran(tillstick(&["recover", text, "--plain-folder", "--yes", "--into", into.to_str().unwrap()]));
    assert!(recovered.exits(0).out.contains(words[0]));
    site.run(&["backup", "--stick", text, "--plain-folder"]).exits(0);
}

#[test]
fn a_changed_chunk_index_costs_time_alone() {
    let site = Box::new();
    let index = site.artifact(&site.backup()).with_extension("gz.chunks");
    let clean = fs::read(site.artifact(&site.backup())).unwrap();
    let first = site.ids().remove(0);
    let places = sample(&index);
    with_each_change(&index, places, |place| {
        // Whatever it tells the next backup, that one is read back and is the same.
        let next = site.ids().pop().unwrap();
        fs::remove_dir_all(site.primary().join(&next)).unwrap();
        assert_eq!(site.ids(), std::slice::from_ref(&first));
        assert_eq!(fs::read(site.artifact(&site.backup())).unwrap(), clean, "byte {place} of the chunk index");
    });
    site.run(&["check"]).exits(0);
}

/// The checksum of an index keeps accidents away; what it says is believed until the artifact is read back.
#[test]
fn a_forged_chunk_index_costs_time_and_a_warning_alone() {
    const HEAD: usize = 40;
    const ENTRY: usize = 32;
    /// Where an entry says what its chunk holds; the rest says where the chunk is.
    const TEXT: [std::ops::Range<usize>; 2] = [0..16, 20..28];
    let site = Box::new();
    let clean = site.artifact(&site.backup());
    let index = clean.with_extension("gz.chunks");
    let mut forged = fs::read(&index).unwrap();
    let content = forged.len() - 8;
    assert!(content >= HEAD + 2 * ENTRY, "a single chunk cannot be taken for another");
    let (one, other) = forged.split_at_mut(HEAD + ENTRY);
    for part in TEXT {
        one[HEAD..][part.clone()].swap_with_slice(&mut other[part]);
    }
    let checksum = xxhash_rust::xxh3::xxh3_64(&forged[..content]).to_le_bytes();
    forged[content..].copy_from_slice(&checksum);
    fs::write(&index, forged).unwrap();
    let words = ["packed anew"];
    site.run(&["backup"]).exits(0).says(&words);
    let newest = site.ids().pop().unwrap();
    assert_eq!(fs::read(site.artifact(&newest)).unwrap(), fs::read(&clean).unwrap());
    site.run(&["check"]).exits(0);
    assert!(!site.run(&["backup"]).exits(0).err.contains(words[0]), "the next one begins with a sound index");
}
