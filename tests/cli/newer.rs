//! What a newer program left is refused with a clear message, and stays as it is: after a downgrade nothing is misread or lost.

use std::fs;

use crate::kit::{Box, Stick, names, ran, sql, tillstick};

/// Everything below a folder, with its content.
fn tree(dir: &std::path::Path) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    for name in names(dir) {
        let path = dir.join(&name);
        if path.is_dir() {
            all.extend(tree(&path).into_iter().map(|(below, bytes)| (format!("{name}/{below}"), bytes)));
        } else {
            all.push((name, fs::read(path).unwrap()));
        }
    }
    all
}

#[test]
fn the_state_of_a_newer_program_is_refused_by_every_verb_that_needs_it() {
    let site = Box::new();
    let id = site.backup();
    fs::write(site.path("state/format"), "2\n").unwrap();
    let before = (tree(&site.path("state")), tree(&site.primary()));
    let stick = Stick::fat32(crate::kit::STICK);
    let empty = fs::read(&stick.path).unwrap();
    for verb in [
        &["backup"][..],
        &["backup", "--stick", stick.text()],
        &["agent"],
        &["list"],
        &["status"],
        &["check"],
        &["prune"],
        &["restore", &id, "--into", "/nowhere/x.db"],
        &["stick", "list"],
    ] {
        site.run(verb).exits(1).says(&["has form 2", "knows form 1", "newer tillstick"]);
    }
    assert_eq!((tree(&site.path("state")), tree(&site.primary())), before);
    assert!(fs::read(&stick.path).unwrap() == empty);

    // What needs no state goes on.
    let database = format!("sqlite:{}", site.database().display());
    let dump = site.path("dump.sql.gz");
    ran(tillstick(&["dump", &database, "-o", dump.to_str().unwrap()])).exits(0);
    let back = site.path("back.db");
    let artifact = site.artifact(&id);
    site.run(&["restore", artifact.to_str().unwrap(), "--into", back.to_str().unwrap()]).exits(0);

    // The newer one is back, so to say.
    fs::remove_file(site.path("state/format")).unwrap();
    site.run(&["check"]).exits(0);
    assert_eq!(site.ids(), [id]);
}

#[test]
fn a_backup_of_a_newer_program_is_named_and_never_used_pruned_or_counted() {
    let site = Box::new();
    site.configure("", "[retention]\nwithin = \"0s\"\ndaily = 0\nweekly = 0\nmonthly = 0\nkeep_last = 1\n");
    let newer = site.backup();
    let path = site.primary().join(&newer).join("manifest.json");
    let text = fs::read_to_string(&path).unwrap().replace("\"format\": 1", "\"format\": 2");
    fs::write(&path, text).unwrap();
    site.seal(&newer);
    let before = tree(&site.primary().join(&newer));

    site.run(&["check", &newer])
        .exits(1)
        .prints(&["in a form that this tillstick does not know", "format 2, newer than 1"]);
    site.run(&["restore", &newer, "--into", "x.db"]).exits(1).says(&["format 2, newer than 1", "at least as new"]);
    for _ in 0..2 {
        sql(&site.database(), "DELETE FROM receipts WHERE rowid IN (SELECT rowid FROM receipts LIMIT 1)");
        site.backup();
    }
    site.run(&["prune"]).exits(0);
    assert_eq!(site.ids().len(), 2, "{:?}", site.ids());
    assert_eq!(tree(&site.primary().join(&newer)), before);
}

#[test]
fn a_folder_in_a_store_that_a_newer_program_laid_out_is_left_alone() {
    let site = Box::new();
    let nas = site.path("nas");
    fs::create_dir(&nas).unwrap();
    site.configure("", &format!("[stores.away]\ntype = \"directory\"\npath = {nas:?}\n"));
    site.run(&["store", "init", "away", "--same-disk"]).exits(0);
    site.run(&["backup"]).exits(0);
    let owner = nas.join("004711/kasse-1/box.json");
    let text = fs::read_to_string(&owner).unwrap();
    assert!(text.contains("\"format\": 1"), "{text}");
    // As programs wrote it that knew one form alone.
    fs::write(&owner, text.replace("\"format\": 1,", "")).unwrap();
    site.run(&["backup"]).exits(0);
    fs::write(&owner, text.replace("\"format\": 1", "\"format\": 2")).unwrap();
    let before = tree(&nas.join("004711"));
    site.run(&["backup"]).exits(3).says(&["has form 2", "newer tillstick"]);
    site.run(&["copy", "--to", "away"]).exits(3).says(&["has form 2", "newer tillstick"]);
    site.run(&["prune", "--store", "away"]).exits(1).says(&["has form 2"]);
    assert_eq!(tree(&nas.join("004711")), before);
}
