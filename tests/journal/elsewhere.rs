//! What is elsewhere counts only as long as it is good and there: what may be deleted here depends on it.

use std::fs;

use crate::kit::{Box, Mounted, STICK, Stick, is_root, sql, tool, tool_command};
use crate::{proofs, status};

/// Changes a byte in the middle of a file and gives back what was there before.
fn damage(path: &std::path::Path) -> Vec<u8> {
    let good = fs::read(path).unwrap();
    let mut bad = good.clone();
    let middle = bad.len() / 2;
    bad[middle] ^= 1;
    fs::write(path, bad).unwrap();
    good
}

#[test]
fn a_backup_that_a_check_found_damaged_makes_the_box_unwell_until_it_is_good_again() {
    let (site, stick) = (Box::new(), Stick::fat32(STICK));
    site.run(&["backup", "--stick", stick.text()]).exits(0);
    site.run(&["status", "--check"]).exits(0);
    let artifact = site.artifact(&site.ids()[0]);
    let good = damage(&artifact);
    site.run(&["check"]).exits(1);
    let told = site.run(&["status", "--check"]).exits(1).out;
    assert!(told.contains("Damaged backups on this box: 1") && told.contains("it was not good at"), "{told}");
    assert!(told.contains("Last failure: check"), "{told}");
    assert_eq!(proofs(&site), ["none"]);

    fs::write(&artifact, good).unwrap();
    site.run(&["check"]).exits(0);
    site.run(&["status", "--check"]).exits(0);
}

#[test]
fn a_clean_up_keeps_the_newest_that_is_not_known_to_be_damaged_and_is_remembered() {
    let site = Box::new();
    let (good, bad) = (site.backup(), site.backup());
    let one = "keep_last = 1\nwithin = \"0s\"\nhourly = 0\ndaily = 0\nweekly = 0\nmonthly = 0\nyearly = 0";
    site.configure("", &format!("[retention]\n{one}"));
    let rest = damage(&site.artifact(&bad));
    site.run(&["check"]).exits(1);
    for args in [&["prune", "--dry-run"][..], &["prune"]] {
        site.run(args).exits(0);
        assert_eq!(site.ids(), [good.clone(), bad.clone()], "{args:?}");
    }
    let planned = site.run(&["prune", "--dry-run", "--json"]).exits(0).json();
    assert_eq!((&planned["backups"][1]["id"], &planned["backups"][1]["keep"]), (&good.into(), &true.into()));

    fs::write(site.artifact(&bad), rest).unwrap();
    site.run(&["check"]).exits(0);
    site.run(&["prune"]).exits(0);
    assert_eq!(site.ids(), [bad]);
    let kinds: Vec<String> = crate::runs(&site).into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, ["backup", "backup", "check", "prune", "check", "prune"]);
}

#[test]
fn a_copy_that_a_check_found_damaged_is_no_copy_until_it_is_good_again() {
    let (site, stick) = (Box::new(), Stick::fat32(STICK));
    site.run(&["backup", "--stick", stick.text()]).exits(0);
    let id = site.ids().remove(0);
    assert_eq!(status(&site)["newest_copied"], *id);
    let copy = site.path("copy.sql.gz");
    fs::write(&copy, stick.read("004711_kasse.sql.gz")).unwrap();
    let good = damage(&copy);
    stick.put("004711_kasse.sql.gz", &fs::read(&copy).unwrap());
    site.run(&["check", "--stick", stick.text()]).exits(1);
    let after = status(&site);
    assert_eq!(after["newest_copied"], serde_json::Value::Null);
    assert_eq!(
        (&after["places"][1]["damaged"][0], &after["places"][1]["proof"]),
        (&id.into(), &serde_json::Value::Null)
    );
    assert_eq!(after["green"], false);
    let told = site.run(&["status"]).exits(0).out;
    assert!(told.contains("not checked; DAMAGED"), "{told}");

    stick.put("004711_kasse.sql.gz", &good);
    site.run(&["check", "--stick", stick.text()]).exits(0);
    assert_eq!(status(&site)["green"], true);
}

#[test]
fn a_stick_that_was_formatted_has_no_copy_any_more() {
    let (site, stick) = (Box::new(), Stick::made(STICK, "mkfs.vfat", &["-F", "32", "-s", "1", "-i", "12345678"]));
    site.run(&["backup", "--stick", stick.text()]).exits(0);
    assert_eq!(status(&site)["places"][1]["medium"], "1234-5678");
    tool("mkfs.vfat", &["-F", "32", "-s", "1", "-i", "12345678", stick.text()]);
    site.run(&["check", "--stick", stick.text()]).exits(0);
    let after = status(&site);
    assert_eq!((&after["newest_copied"], after["places"].as_array().unwrap().len()), (&serde_json::Value::Null, 1));
}

#[test]
fn the_backups_of_another_box_on_the_stick_are_no_copies_of_ours() {
    let (site, other, stick) = (Box::new(), Box::new(), Stick::fat32(STICK));
    other.configure_as("004711", "kasse-2", "", "");
    other.run(&["backup", "--stick", stick.text()]).exits(0);
    site.run(&["check", "--stick", stick.text(), "--trust-unknown"]).exits(0);
    assert_eq!(status(&site)["places"], serde_json::json!([]));
}

#[test]
fn a_recovered_box_begins_its_history_with_what_the_stick_tells() {
    let (site, stick) = (Box::new(), Stick::fat32(STICK));
    site.run(&["backup", "--stick", stick.text()]).exits(0);
    let second = site.run(&["backup", "--json", "--stick", stick.text()]).exits(0).json()["id"].clone();
    for lost in ["kasse.db", "kasse.db-wal", "kasse.db-shm", "tillstick.toml"] {
        let _ = fs::remove_file(site.path(lost));
    }
    for lost in [site.primary(), site.path("state")] {
        fs::remove_dir_all(lost).unwrap();
    }
    site.run(&["recover", stick.text(), "--yes"]).exits(0);
    assert_eq!(crate::runs(&site), [("recover".to_owned(), "done".to_owned())]);
    let place = &status(&site)["places"][0];
    assert_eq!((&place["backups"], &place["newest"], &place["proof"]["how"]), (&2.into(), &second, &"restored".into()));
    // What lies on the stick is known, but nothing of it is here: the box is not well before it has a backup of its own.
    site.run(&["status", "--check"]).exits(1);
}

#[test]
fn the_last_backup_that_is_not_known_to_be_damaged_stays_when_room_is_needed() {
    let site = Box::new();
    fs::create_dir(site.primary()).unwrap();
    if !is_root() {
        let mount = ["-t", "tmpfs", "tmpfs", site.primary().to_str().unwrap()].map(str::to_owned);
        let denied = tool_command("mount", &mount.each_ref().map(String::as_str)).output().unwrap();
        assert!(!denied.status.success(), "only root mounts");
        return;
    }
    let primary = site.primary();
    let small = ["-t", "tmpfs", "-o", "size=12m", "tmpfs", primary.to_str().unwrap()];
    let _mounted = Mounted::at(&small, primary.clone());
    let photo = |bytes: u32| sql(&site.database(), &format!("UPDATE photos SET photo = randomblob({bytes})"));
    sql(
        &site.database(),
        "CREATE TABLE photos(id INTEGER PRIMARY KEY, photo BLOB); INSERT INTO photos VALUES(1, NULL)",
    );
    photo(2_000_000);
    let good = site.backup();
    photo(2_000_000);
    let bad = site.backup();
    damage(&site.artifact(&bad));
    site.run(&["check", &bad]).exits(1);
    // The third needs the room of the first, which would be the one to go if the second were good.
    photo(2_000_000);
    site.run(&["backup"]).exits(1).says(&["this backup needs about"]);
    assert_eq!(site.ids(), [good, bad]);
}
