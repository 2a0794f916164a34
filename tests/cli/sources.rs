//! Databases as they are: in both journal modes, under odd names, empty, missing, broken; and clocks that are wrong.

use std::fs;

use crate::kit::{Box, STICK, Stick, names, ran, receipts, sql, tillstick};

#[test]
fn a_database_in_rollback_journal_mode_is_backed_up_and_restored_as_such() {
    let site = Box::new();
    assert_eq!(sql(&site.database(), "PRAGMA journal_mode = delete").trim(), "delete");
    let id = site.backup();
    let target = site.path("new.db");
    site.run(&["restore", &id, "--into", target.to_str().unwrap()]).exits(0);
    assert_eq!(receipts(&target), receipts(&site.database()));
    assert_eq!(sql(&target, "PRAGMA journal_mode").trim(), "delete");
    site.ids();
}

#[test]
fn paths_with_umlauts_blanks_and_quotes_are_paths_like_any_other() {
    let site = Box::new();
    let odd = site.path("Café \"Zur Schönen\" Aussicht's 100% #1");
    fs::create_dir(&odd).unwrap();
    let database = odd.join("Kasse Süd?mode=ro.db");
    fs::copy(site.database(), &database).unwrap();
    let (url, dump) = (format!("sqlite:{}", database.display()), odd.join("ä b'c.sql.gz"));
    ran(tillstick(&["dump", &url, "-o", dump.to_str().unwrap()])).exits(0);
    let loaded = odd.join("n e'u.db");
    let to = format!("sqlite:{}", loaded.display());
    ran(tillstick(&["load", dump.to_str().unwrap(), &to])).exits(0);
    assert_eq!(receipts(&loaded), receipts(&database));

    site.configure("", &format!("[sources.süd]\ntype = \"sqlite\"\npath = {database:?}").replace("süd", "\"süd\""));
    let stick = Stick::fat32(STICK);
    site.run(&["backup", "--stick", stick.text()]).exits(0);
    assert!(stick.files().contains(&"004711_süd.sql.gz".to_owned()), "{:?}", stick.files());
    site.run(&["check", "--stick", stick.text()]).exits(0);
}

#[test]
fn one_source_that_fails_fails_the_run_with_path_and_remedy_and_leaves_nothing_half() {
    let site = Box::new();
    let id = site.backup();
    let second = site.path("lager.db");
    site.configure("", &format!("[sources.lager]\ntype = \"sqlite\"\npath = {second:?}"));
    site.run(&["backup"]).exits(1).says(&["lager.db", "there is no database", "help:"]);
    fs::write(&second, b"").unwrap();
    site.run(&["backup"]).exits(1).says(&["lager.db", "is empty", "help:"]);
    fs::write(&second, vec![0x5a; 9000]).unwrap();
    site.run(&["backup"]).exits(1).says(&["lager.db", "not an SQLite database", "help:"]);
    assert_eq!(fs::read(&second).unwrap(), vec![0x5a; 9000]);
    assert_eq!(site.ids(), [id]);
}

#[test]
fn a_dump_that_fails_leaves_no_file() {
    let site = Box::new();
    let out = site.path("out");
    fs::create_dir(&out).unwrap();
    let file = out.join("x.sql.gz");
    ran(tillstick(&["dump", "sqlite:/nowhere.db", "-o", file.to_str().unwrap()])).exits(1).says(&["/nowhere.db"]);
    ran(tillstick(&["dump", "oracle:x", "-o", file.to_str().unwrap()])).exits(2).says(&["sqlite:PATH"]);
    assert_eq!(names(&out), [""; 0]);
}

#[test]
fn ids_rise_past_a_backup_of_the_future_and_the_clock_is_not_trusted() {
    let site = Box::new();
    let id = site.backup();
    // What a box's clock once claimed: the same backup, dated 2099.
    let future = "20990101T000000Z";
    let dir = site.primary().join(future);
    fs::rename(site.primary().join(&id), &dir).unwrap();
    let manifest = fs::read(dir.join("manifest.json")).unwrap();
    let mut manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    manifest["id"] = future.into();
    manifest["started"] = "2099-01-01T00:00:00Z".into();
    fs::write(dir.join("manifest.json"), manifest.to_string()).unwrap();
    site.seal(future);
    site.run(&["status", "--check"]).exits(1);
    let ran = site.run(&["backup", "--json"]).exits(0).says(&["before the newest backup"]);
    assert_eq!(ran.json()["id"], "20990101T000001Z");
    let manifest = fs::read(site.primary().join("20990101T000001Z/manifest.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    assert_eq!(manifest["clock_trusted"], false);
}
