//! Copies that are encrypted: nobody reads them without the key, which is on no box, and everybody does with it.

use std::fs;
use std::path::{Path, PathBuf};

use crate::kit::{Box, Ran, STICK, Stick, names, pair, ran, receipts, tillstick, tool, with_key};

const DUMP: &str = "004711_kasse.sql.gz";

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A box whose backups go encrypted to the folder `away` and to sticks.
fn sealing(site: &Box, to: &str) -> PathBuf {
    let away = site.path("away");
    let store = format!("[stores.away]\ntype = \"directory\"\npath = {away:?}\nencrypt_to = [{to:?}]\n");
    site.configure("", &format!("[sticks]\nencrypt_to = [{to:?}]\n{store}"));
    fs::create_dir_all(&away).unwrap();
    site.run(&["store", "init", "away", "--same-disk"]).exits(0);
    away
}

fn restore(site: &Box, what: &[&str]) -> Ran {
    let target = site.path("restored.db");
    let _ = fs::remove_file(&target);
    site.run(&[&["restore"], what, &["--into", text(&target)]].concat())
}

/// No file of the folder holds what every dump begins with, or is a gzip file.
fn nothing_is_readable(dir: &Path) {
    for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        let bytes = fs::read(entry.path()).unwrap();
        assert!(!bytes.starts_with(&[0x1f, 0x8b]), "{:?}", entry.path());
    }
}

#[test]
fn copies_in_a_store_are_opened_with_the_key_and_by_age_itself() {
    let site = Box::new();
    let (key, to) = pair(&site, "key.txt");
    let away = sealing(&site, &to);
    let id = site.backup();
    let dir = away.join("004711/kasse-1").join(&id);
    let there = ["004711_kasse.sql.gz.age", "SHA256SUMS", "manifest.json", "manifest.json.sig"];
    assert_eq!(names(&dir), there);
    nothing_is_readable(&dir);
    let sums =
        std::process::Command::new("sha256sum").args(["--strict", "-c", "SHA256SUMS"]).current_dir(&dir).status();
    assert!(sums.unwrap().success());
    assert!(!site.primary().join(".sealed").exists() || nothing_left(&site.primary().join(".sealed")));

    restore(&site, &[&id, "--store", "away"]).exits(1).says(&["encrypted", "--identity FILE"]);
    restore(&site, &[&id, "--store", "away", "--identity", text(&key)]).exits(0);
    assert_eq!(receipts(&site.path("restored.db")), receipts(&site.database()));
    let (other, _) = pair(&site, "other.txt");
    restore(&site, &[&id, "--store", "away", "--identity", text(&other)]).exits(1).says(&["other keys"]);
    let sealed = dir.join("004711_kasse.sql.gz.age");
    restore(&site, &[text(&sealed), "--identity", text(&key)]).exits(0);

    // An auditor's tools.
    let plain = site.path(DUMP);
    tool("age", &["-d", "-i", text(&key), "-o", text(&plain), text(&sealed)]);
    assert_eq!(fs::read(&plain).unwrap(), fs::read(site.artifact(&id)).unwrap());

    let again = site.run(&["copy", "--to", "away", "--json"]).exits(0).json();
    assert_eq!(again["copies"][0]["bytes"], 0, "{again}");

    let mut bytes = fs::read(&sealed).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&sealed, bytes).unwrap();
    site.run(&["check", "--store", "away", "--read"]).exits(1).prints(&["SHA-256"]);
    restore(&site, &[&id, "--store", "away", "--identity", text(&key)]).exits(1);
}

const DRILL: [&str; 4] = ["check", "--store", "away", "--drill"];
const READ: [&str; 4] = ["check", "--store", "away", "--read"];

/// How the copy in the store was last shown to be good; `None` when none counts.
fn shown(site: &Box) -> Option<String> {
    let told = site.run(&["status", "--json"]).exits(0).json();
    let listed = site.run(&["list", "--json"]).exits(0).json();
    let how = listed[0]["copies"][0]["proof"]["how"].as_str().map(str::to_owned);
    assert_eq!(told["newest_copied"].is_string(), how.is_some(), "{told} {listed}");
    how
}

#[test]
fn without_the_key_a_drill_tells_what_it_could_not_show_and_finds_no_damage() {
    let site = Box::new();
    let (key, to) = pair(&site, "key.txt");
    let (other, _) = pair(&site, "other.txt");
    let away = sealing(&site, &to);
    let id = site.backup();
    let hashed = "of the size and SHA-256 that its manifest says; its content is not proven";
    site.run(&READ).exits(0).prints(&[hashed, "--identity FILE"]);
    site.run(&DRILL).exits(3).prints(&[hashed, "it is encrypted; name the file with your key: --identity FILE"]);
    let with_other = ["--identity", text(&other)];
    for look in [DRILL, READ] {
        site.run(&[&look[..], &with_other].concat()).exits(3).prints(&[hashed, "other keys", "--identity FILE"]);
    }
    let told = site.run(&[&DRILL[..], &["--json"]].concat()).exits(3).json();
    assert_eq!((&told[0]["problem"], &told[0]["drilled"]), (&serde_json::Value::Null, &false.into()), "{told}");
    assert!(told[0]["unproven"].as_str().unwrap().contains(hashed), "{told}");
    // It counts as before, and as no more than what was shown.
    assert_eq!(shown(&site).as_deref(), Some("checked"));
    site.run(&with_key(&DRILL, &key)).exits(0).prints(&["restored and equal"]);
    assert_eq!(shown(&site).as_deref(), Some("drilled"));

    let sealed = away.join("004711/kasse-1").join(&id).join("004711_kasse.sql.gz.age");
    let mut bytes = fs::read(&sealed).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&sealed, bytes).unwrap();
    for more in [&[][..], &with_other] {
        site.run(&[&DRILL[..], more].concat()).exits(1).prints(&["SHA-256 is not the one"]);
    }
    assert_eq!(shown(&site), None, "what is damaged counts no more");
}

/// Nothing but empty folders and locks.
fn nothing_left(dir: &Path) -> bool {
    let left = tool("find", &[text(dir), "-type", "f", "!", "-name", ".lock"]);
    assert_eq!(left, "");
    true
}

#[test]
fn a_stick_is_encrypted_again_and_again_and_a_fresh_box_recovers_from_it() {
    let (site, stick) = (Box::new(), Stick::fat32(STICK));
    let (key, to) = pair(&site, "key.txt");
    sealing(&site, &to);
    for _ in 0..2 {
        site.run(&["backup", "--stick", stick.text()]).exits(0).prints(&["004711_kasse.sql.gz.age"]);
        assert_eq!(stick.complaints(), [] as [String; 0]);
    }
    assert!(stick.files().iter().any(|name| name == "004711_kasse.sql.gz.age"), "{:?}", stick.files());
    assert!(!stick.files().iter().any(|name| name.ends_with(".sql.gz")), "{:?}", stick.files());
    site.run(&["check", "--stick", stick.text()]).exits(0);
    let drill = ["check", "--stick", stick.text(), "--drill"];
    site.run(&drill).exits(3).prints(&["its content is not proven", "--identity FILE"]);
    assert_ne!(site.run(&["status", "--json"]).exits(0).json()["newest_copied"], serde_json::Value::Null);
    site.run(&with_key(&drill, &key)).exits(0);
    let fresh = site.path("fresh");
    let args = ["recover", stick.text(), "--into", text(&fresh), "--yes"];
    ran(tillstick(&args)).exits(1).says(&["encrypted", "--identity FILE"]);
    ran(tillstick(&with_key(&args, &key))).exits(0);
    assert_eq!(receipts(&fresh.join("kasse.db")), receipts(&site.database()));
    assert!(nothing_left(&site.primary().join(".sealed")));
}

#[test]
fn a_copy_that_was_readable_is_replaced_when_copies_are_to_be_encrypted() {
    let site = Box::new();
    let (_, to) = pair(&site, "key.txt");
    let away = site.path("away");
    let plain = format!("[stores.away]\ntype = \"directory\"\npath = {away:?}\n");
    site.configure("", &plain);
    fs::create_dir_all(&away).unwrap();
    site.run(&["store", "init", "away", "--same-disk"]).exits(0);
    let id = site.backup();
    let dir = away.join("004711/kasse-1").join(&id);
    assert!(names(&dir).contains(&DUMP.to_owned()));
    sealing(&site, &to);
    site.run(&["copy", "--to", "away"]).exits(0);
    assert!(!names(&dir).contains(&DUMP.to_owned()), "{:?}", names(&dir));
    site.run(&["check", "--store", "away", "--read"]).exits(0);
}

#[test]
fn a_configuration_with_a_secret_key_or_nonsense_is_refused() {
    let site = Box::new();
    for (to, said) in [("AGE-SECRET-KEY-1ABC", "secret key"), ("age1nonsense", "no recipient")] {
        site.configure("", &format!("[sticks]\nencrypt_to = [{to:?}]\n"));
        site.run(&["config", "check"]).exits(2).says(&["encrypt_to", said]);
    }
}
