//! Are the backups still what they were, and do they restore.

use std::fs;

use crate::kit::{Box, STICK, Stick, ran, receipts, tillstick};

#[test]
fn a_drill_restores_good_backups_in_the_primary_and_on_a_stick() {
    let (site, stick) = (Box::new(), Stick::fat32(STICK));
    site.run(&["backup", "--stick", stick.text()]).exits(0);
    let findings = site.run(&["check", "--drill", "--json"]).exits(0).json();
    assert_eq!((&findings[0]["drilled"], &findings[0]["problem"]), (&true.into(), &serde_json::Value::Null));
    let scratch = site.path("scratch");
    fs::create_dir(&scratch).unwrap();
    site.run(&["check", "--stick", stick.text(), "--drill", "--scratch", scratch.to_str().unwrap()]).exits(0);
    assert_eq!(fs::read_dir(&scratch).unwrap().count(), 0);
    site.ids();
}

#[test]
fn a_drill_finds_what_bytes_alone_do_not_tell() {
    let site = Box::new();
    let id = site.backup();
    // A manifest that claims another number of rows than the dump has, and was sealed like that: all hashes agree.
    let path = site.primary().join(&id).join("manifest.json");
    let manifest = fs::read_to_string(&path).unwrap();
    let rows = format!("\"rows\": {}", receipts(&site.database()));
    assert!(manifest.contains(&rows), "{manifest}");
    fs::write(&path, manifest.replacen(&rows, "\"rows\": 1", 1)).unwrap();
    site.run(&["check"]).exits(1);
    site.seal(&id);
    site.run(&["check"]).exits(0);
    let drilled = site.run(&["check", "--drill"]).exits(1);
    assert!(drilled.out.contains("does not restore to what was backed up"), "{}", drilled.out);
    site.ids();
}

#[test]
fn a_changed_manifest_is_found() {
    let site = Box::new();
    let id = site.backup();
    let path = site.primary().join(&id).join("manifest.json");
    let good = fs::read(&path).unwrap();
    let at = |text: &str| String::from_utf8_lossy(&good).find(text).unwrap() + text.len();
    let places = [0, at("\"id\": \"2"), at("\"sha256\": \""), at("\"size\": "), at("\"crc32\": "), good.len() - 3];
    for place in places {
        let mut bad = good.clone();
        bad[place] ^= 1;
        fs::write(&path, &bad).unwrap();
        site.run(&["check"]).exits(1);
        site.run(&["check", &id]).exits(1);
    }
    for bad in [&b""[..], &good[..good.len() / 2], b"{}"] {
        fs::write(&path, bad).unwrap();
        site.run(&["check"]).exits(1);
        assert!(site.run(&["list"]).exits(0).out.contains("CANNOT BE USED"));
        site.run(&["status", "--check"]).exits(1);
    }
    fs::remove_file(&path).unwrap();
    site.run(&["check"]).exits(1);
    let next = site.backup();
    assert!(next > id, "a damaged backup does not keep the next from being made");
}

#[test]
fn a_single_file_is_checked_without_a_configuration() {
    let site = Box::new();
    let artifact = site.artifact(&site.backup());
    let text = artifact.to_str().unwrap();
    ran(tillstick(&["check", text])).exits(0);
    let whole = fs::read(&artifact).unwrap();
    fs::write(&artifact, &whole[..whole.len() / 2]).unwrap();
    let found = ran(tillstick(&["check", text])).exits(1);
    assert!(found.out.contains("004711_kasse.sql.gz"), "{}", found.out);
    ran(tillstick(&["check", text, "--drill"])).exits(2).says(&["--drill"]);
}

#[test]
fn an_id_that_is_not_there_is_named_with_a_remedy() {
    let (site, stick) = (Box::new(), Stick::fat32(STICK));
    site.run(&["backup", "--stick", stick.text()]).exits(0);
    let id = "20200101T000000Z";
    site.run(&["check", id]).exits(1).says(&[id, "tillstick list"]);
    site.run(&["check", "--stick", stick.text(), id]).exits(1).says(&[id]);
    site.run(&["check", "yesterday"]).exits(2).says(&["yesterday", "20261122T200002Z"]);
}
