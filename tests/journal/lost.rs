//! The journal is lost, damaged, too new or out of reach: history is lost with it, and nothing else.

use std::fs;

use rusqlite::Connection;

use crate::kit::{Box, Mounted, STICK, Stick, is_root, tool_command};
use crate::{is_sound, journal, proofs, quiet_about_it, runs, set_aside, status};

/// A box with a backup here, one here and on a stick, and a drill.
fn with_a_history() -> (Box, Stick) {
    let (site, stick) = (Box::new(), Stick::fat32(STICK));
    site.backup();
    site.run(&["backup", "--stick", stick.text()]).exits(0);
    site.run(&["check", "--drill"]).exits(0);
    (site, stick)
}

/// What is still known when the journal is not.
#[track_caller]
fn knows_what_the_files_tell(site: &Box) {
    let status = status(site);
    assert_eq!(status["green"], true, "{status}");
    assert_eq!(status["newest_copied"].as_str(), site.ids().last().map(String::as_str));
    assert_eq!(status["places"].as_array().unwrap().len(), 2, "{status}");
    assert!(proofs(site).iter().all(|how| how == "read-back"));
}

#[test]
fn a_lost_journal_is_built_anew_from_the_manifests() {
    let (site, stick) = with_a_history();
    fs::remove_file(journal(&site)).unwrap();
    knows_what_the_files_tell(&site);
    let ran = site.run(&["backup", "--stick", stick.text()]).exits(0);
    ran.says(&["journal.db", "was not there", "built anew from the manifests of 2 backups"]);
    let done = |count| vec![("backup".to_owned(), "done".to_owned()); count];
    assert_eq!(runs(&site), done(3));
    knows_what_the_files_tell(&site);
    is_sound(&site);
    quiet_about_it(site.run(&["backup"]).exits(0));
    assert_eq!(runs(&site), done(4));
}

#[test]
fn a_damaged_journal_is_set_aside_and_built_anew() {
    let (site, _stick) = with_a_history();
    let good = fs::read(journal(&site)).unwrap();
    let page = |number: usize| {
        let mut bad = good.clone();
        bad[number * 4096..(number + 1) * 4096].fill(0x5a);
        bad
    };
    let damaged = [
        b"this is no database".to_vec(),
        vec![0; good.len()],
        good[..good.len() - 4096].to_vec(),
        page(0),
        page(1),
        page(good.len() / 4096 - 1),
    ];
    for (round, bytes) in damaged.into_iter().enumerate() {
        fs::write(journal(&site), &bytes).unwrap();
        let told =
            site.run(&["status"]).exits(0).says(&["the history cannot be read", "journal.db", "; the next backup"]);
        assert!(told.out.contains("All is well."), "{round}: {}", told.out);
        assert_eq!(fs::read(journal(&site)).unwrap(), bytes, "looking changes nothing");
        let ran = site.run(&["check"]).exits(0);
        ran.says(&["it is damaged", "journal.db.corrupt-", "built anew from the manifests of 2 backups"]);
        let aside = set_aside(&site).pop().unwrap();
        assert_eq!(fs::read(site.path("state").join(aside)).unwrap(), bytes, "round {round}");
        is_sound(&site);
        assert_eq!(runs(&site).len(), 3, "two backups and this check");
    }
    assert_eq!(set_aside(&site).len(), 3, "the newest three");
}

#[test]
fn a_table_that_is_missing_or_a_word_that_nobody_wrote_is_damage_too() {
    let (site, _stick) = with_a_history();
    for change in ["DROP TABLE proofs", "ALTER TABLE runs RENAME kind TO sort", "UPDATE runs SET outcome = 'perhaps'"] {
        Connection::open(journal(&site)).unwrap().execute_batch(change).unwrap();
        let before = set_aside(&site);
        site.run(&["status"]).exits(0).says(&["the history cannot be read"]);
        let ran = site.run(&["backup"]).exits(0);
        ran.says(&["it is damaged", "built anew"]);
        assert_ne!(set_aside(&site), before, "{change}");
        is_sound(&site);
    }
}

#[test]
fn a_newer_journal_is_left_alone_and_backups_go_on() {
    let (site, stick) = with_a_history();
    Connection::open(journal(&site)).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let newer = fs::read(journal(&site)).unwrap();
    for verb in [&["backup", "--stick", stick.text()][..], &["check"], &["status", "--check"]] {
        site.run(verb).exits(0).says(&["is of version 99, and this program knows version 1", "; install the newer"]);
        assert!(fs::read(journal(&site)).unwrap() == newer, "{verb:?} changed it");
    }
    assert!(set_aside(&site).is_empty());
    knows_what_the_files_tell(&site);
}

#[test]
fn a_journal_that_somebody_holds_is_told_and_the_backup_is_made() {
    let (site, _stick) = with_a_history();
    let holder = Connection::open(journal(&site)).unwrap();
    holder.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let ran = site.run(&["backup"]).exits(0);
    ran.says(&[
        "this run is not in the history",
        "journal.db",
        "another program holds it locked",
        "; `fuser` on the file shows who",
    ]);
    drop(holder);
    quiet_about_it(site.run(&["backup"]).exits(0));
    is_sound(&site);
}

#[test]
fn a_journal_that_cannot_be_opened_is_told_and_the_backup_is_made() {
    let site = Box::new();
    site.backup();
    fs::remove_file(journal(&site)).unwrap();
    fs::create_dir(journal(&site)).unwrap();
    let ran = site.run(&["backup"]).exits(0);
    ran.says(&["this run is not in the history", "journal.db", "; let this user write to the folder"]);
    site.run(&["status"]).exits(0).says(&["the history cannot be read", "journal.db"]);
}

#[test]
fn on_a_full_or_read_only_disk_the_backup_is_made_and_the_reason_told() {
    let site = Box::new();
    let state = site.path("state");
    fs::create_dir(&state).unwrap();
    let at = state.to_str().unwrap().to_owned();
    if !is_root() {
        let denied = tool_command("mount", &["-t", "tmpfs", "tmpfs", &at]).output().unwrap();
        assert!(!denied.status.success(), "only root mounts");
        return;
    }
    let _mounted = Mounted::at(&["-t", "tmpfs", "-o", "size=96k", "tmpfs", &at], state.clone());
    // So full that the journal cannot even be made, then that it cannot grow.
    let fill = || drop(fs::write(state.join("filler"), vec![1; 96 << 10]));
    fs::write(state.join("box-id"), format!("{}\n", "7".repeat(32))).unwrap();
    fill();
    for _ in 0..2 {
        site.run(&["backup"]).exits(0).says(&[
            "this run is not in the history",
            "journal.db",
            "the disk is full",
            "; free",
        ]);
        site.run(&["status"]).exits(0);
    }
    fs::remove_file(state.join("filler")).unwrap();
    site.run(&["backup"]).exits(0).says(&["built anew from the manifests of 2 backups"]);
    fill();
    site.run(&["backup"]).exits(0).says(&["this run is not in the history", "the disk is full"]);
    fs::remove_file(state.join("filler")).unwrap();

    tool_command("mount", &["-o", "remount,ro", &at]).status().unwrap();
    site.run(&["backup"]).exits(0).says(&[
        "this run is not in the history",
        "may not be written to",
        "; let this user",
    ]);
    site.run(&["status"]).exits(0);
    tool_command("mount", &["-o", "remount,rw", &at]).status().unwrap();
    quiet_about_it(site.run(&["backup"]).exits(0));
    is_sound(&site);
    assert_eq!(runs(&site).len(), 4, "two from manifests, and two that could be noted");
}
