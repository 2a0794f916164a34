//! What a person is told: runs, copies and proofs, in the language of the shop.

use std::fs;

use crate::kit::{Box, Ran, STICK, Stick, names};
use crate::{is_sound, journal, proofs, quiet_about_it, runs, set_aside, status};

#[test]
fn every_run_that_copies_or_proves_is_remembered_with_its_proof() {
    let (site, stick) = (Box::new(), Stick::made(STICK, "mkfs.vfat", &["-F", "32", "-s", "1", "-n", "URLAUB"]));
    assert!(runs(&site).is_empty());
    let first = site.backup();
    site.run(&["backup", "--stick", stick.text()]).exits(0);
    assert_eq!(proofs(&site), ["read-back", "read-back"]);

    site.run(&["check", &first]).exits(0);
    assert_eq!(proofs(&site), ["checked", "read-back"]);
    site.run(&["restore", &first, "--into", site.path("new.db").to_str().unwrap()]).exits(0);
    assert_eq!(proofs(&site), ["restored", "read-back"]);
    site.run(&["check", "--drill"]).exits(0);
    assert_eq!(proofs(&site), ["drilled", "drilled"]);
    site.run(&["restore", &first, "--in-place", "--yes"]).exits(0);
    assert_eq!(proofs(&site), ["restored", "drilled"]);

    let at_the_stick = |site: &Box| status(site)["places"][1].clone();
    assert_eq!(at_the_stick(&site)["proof"]["how"], "read-back");
    let scratch = site.path("scratch");
    fs::create_dir(&scratch).unwrap();
    site.run(&["check", "--stick", stick.text(), "--drill", "--scratch", scratch.to_str().unwrap()]).exits(0);
    assert_eq!(at_the_stick(&site)["proof"]["how"], "drilled");
    assert_eq!(at_the_stick(&site)["label"], "URLAUB");
    let listed = site.run(&["list", "--stick", stick.text(), "--json"]).exits(0).json();
    assert_eq!(listed[0]["proof"]["how"], "drilled");

    let kinds = ["backup", "backup", "check", "restore", "drill", "restore", "drill"];
    assert_eq!(runs(&site), kinds.map(|kind| (kind.to_owned(), "done".to_owned())));
    is_sound(&site);
}

#[test]
fn a_shop_owner_reads_where_the_copies_are_and_when_they_were_proven() {
    let (site, stick) = (Box::new(), Stick::fat32(STICK));
    for (lang, before, words) in [
        (
            "de",
            "noch nie",
            ["Letzte Sicherung: ", "auf diesem Gerät: ", "zurückgelesen vor", "Stick ", "Alles in Ordnung."],
        ),
        ("en", "never", ["Last backup: ", "on this box: ", "read back ", "stick ", "All is well."]),
        ("es", "nunca", ["Último respaldo: ", "en este equipo: ", "releído hace", "memoria ", "Todo está bien."]),
    ] {
        let config = fs::read_to_string(site.config()).unwrap();
        let (start, rest) = config.split_once("lang = \"").unwrap();
        fs::write(site.config(), format!("{start}lang = \"{lang}{}", &rest[2..])).unwrap();
        let told = site.run(&["status"]).exits(0).out;
        assert!(told.contains(before), "{lang}: {told}");
        site.run(&["backup", "--stick", stick.text()]).exits(0);
        let told = site.run(&["status", "--check"]).exits(0).out;
        for word in words {
            assert!(told.contains(word), "{lang}: {word:?} is not in: {told}");
        }
    }
}

#[test]
fn a_box_without_a_copy_elsewhere_is_not_well_and_says_what_to_do() {
    let site = Box::new();
    site.run(&["status"]).exits(0);
    let told = site.run(&["status", "--check"]).exits(1).out;
    assert!(told.contains("There is no backup") && told.contains("A verified copy is nowhere else"), "{told}");
    site.backup();
    let told = site.run(&["status", "--check"]).exits(1).out;
    assert!(!told.contains("There is no backup") && told.contains("A verified copy is nowhere else"), "{told}");
    assert_eq!(status(&site)["troubles"], serde_json::json!([{ "trouble": "never-copied", "stores": false }]));
}

#[test]
fn the_last_failure_and_its_reason_stay_until_a_later_run_succeeds() {
    let site = Box::new();
    let away = site.path("away.db");
    fs::rename(site.database(), &away).unwrap();
    site.run(&["backup"]).exits(1);
    let told = site.run(&["status"]).exits(0).out;
    assert!(told.contains("Last failure: backup") && told.contains("there is no database at"), "{told}");
    fs::rename(&away, site.database()).unwrap();
    site.backup();
    let failure = &status(&site)["last_failure"];
    assert_eq!((&failure["run"]["outcome"], &failure["made_good"]), (&"failed".into(), &true.into()));
    let told = site.run(&["status"]).exits(0).out;
    assert!(told.contains("succeeded since"), "{told}");
}

#[test]
fn a_refused_stick_is_a_failed_backup_and_a_full_one_a_part_of_one() {
    let (site, wrong) = (Box::new(), Stick::made(STICK, "mkfs.ext4", &["-q", "-F"]));
    site.run(&["backup", "--stick", wrong.text()]).exits(1);
    let full = Stick::fat32(STICK);
    full.put("FILM.MKV", &vec![7; (STICK - (2 << 20)) as usize]);
    site.run(&["backup", "--stick", full.text()]).exits(3);
    assert_eq!(runs(&site), [("backup", "failed"), ("backup", "partly")].map(|(a, b)| (a.to_owned(), b.to_owned())));
    let why = status(&site)["last_failure"]["run"]["error"].as_str().unwrap().to_owned();
    assert!(why.contains(full.text()) && !why.contains('\n'), "{why}");
}

#[test]
fn runs_at_the_same_time_are_all_remembered_also_when_they_are_the_first() {
    let site = Box::new();
    site.backup();
    fs::remove_file(journal(&site)).unwrap();
    let checks: Vec<_> = (0..8).map(|_| site.start(&["check"])).collect();
    for check in checks {
        let ran: Ran = check.wait_with_output().unwrap().into();
        assert!(!ran.exits(0).err.contains("not in the history"));
    }
    assert_eq!(runs(&site).iter().filter(|run| run.0 == "check" && run.1 == "done").count(), 8);
    assert!(set_aside(&site).is_empty());
    is_sound(&site);
}

#[test]
fn what_was_asked_in_vain_is_no_run() {
    let site = Box::new();
    site.run(&["check", "20200101T000000Z"]).exits(1);
    site.run(&["restore", "20200101T000000Z", "--into", "/x.db"]).exits(1);
    assert!(runs(&site).is_empty());
    quiet_about_it(site.run(&["backup"]).exits(0));
    assert!(set_aside(&site).is_empty());
    assert_eq!(names(&site.path("state")), [".box-id.lock", "box-id", "box-key", "journal.db", "runs"]);
}
