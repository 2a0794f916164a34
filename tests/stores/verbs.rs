//! The verbs over a store, each as a person would use it.

use std::fs;

use crate::contract::Subject;
use crate::directory::Folder;
use crate::kit::{Box, names, ran, receipts, sql, tillstick, tool};

/// A box whose backups go to the store `away` too.
fn with_store(site: &Box, subject: &dyn Subject, more: &str) {
    site.configure("", &format!("[stores.away]\n{}\n{more}", subject.table()));
}

/// The whole life of copies in a store.
pub(crate) fn life(subject: &dyn Subject) {
    let site = Box::new();
    with_store(&site, subject, "");
    site.run(&["store", "test", "away"]).exits(0).prints(&["good    write", "good    delete"]);
    let first = site.run(&["backup", "--json"]).exits(0).json();
    let first = first["id"].as_str().unwrap().to_owned();
    sql(&site.database(), "DELETE FROM receipts WHERE rowid IN (SELECT rowid FROM receipts LIMIT 3)");
    let ran_second =
        site.run(&["backup"]).exits(0).prints(&["Database backed up.", "Database sent! away: 004711_kasse.sql.gz"]);
    let second = ran_second.out.split_whitespace().nth(3).unwrap().to_owned();
    let told = site.run(&["status", "--json"]).exits(0).json();
    assert_eq!(told["newest_copied"], second.as_str(), "{told}");
    assert_eq!((&told["green"], &told["stores"][0]["behind"]), (&true.into(), &0.into()), "{told}");
    let listed = site.run(&["list", "--store", "away", "--json"]).exits(0).json();
    let ids: Vec<&str> = listed.as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap()).collect();
    assert_eq!(ids, [second.as_str(), first.as_str()]);
    site.run(&["check", "--store", "away"]).exits(0);
    site.run(&["check", "--store", "away", "--read"]).exits(0).prints(&["good"]);
    site.run(&["check", &first, "--store", "away", "--drill"]).exits(0).prints(&["restored and equal"]);
    let back = site.path("back.db");
    site.run(&["restore", &first, "--store", "away", "--into", back.to_str().unwrap()]).exits(0);
    assert_eq!(receipts(&back), receipts(&site.database()) + 3);
    // Copied again, nothing is sent.
    let again = site.run(&["copy", "--to", "away", "--json"]).exits(0).json();
    assert_eq!(again["copies"][0]["bytes"], 0, "{again}");

    // A box that knows nothing but the store.
    let fresh = site.path("fresh");
    let access = site.path("access.toml");
    fs::write(&access, format!("[stores.x]\n{}\n", subject.table())).unwrap();
    let recover = ["recover", "--stores", access.to_str().unwrap(), "--into", fresh.to_str().unwrap(), "--yes"];
    ran(tillstick(&recover)).exits(0);
    assert_eq!(receipts(&fresh.join("kasse.db")), receipts(&site.database()));
    assert!(fresh.join("tillstick.toml").is_file());

    // Its own retention.
    with_store(
        &site,
        subject,
        "[stores.away.retention]\nwithin = \"0s\"\ndaily = 0\nweekly = 0\nmonthly = 0\nkeep_last = 1",
    );
    site.run(&["prune", "--store", "away", "--dry-run"]).exits(0).prints(&["would keep 1 and delete 1"]);
    site.run(&["prune", "--store", "away"]).exits(0).prints(&["kept 1, deleted 1"]);
    let listed = site.run(&["list", "--store", "away", "--json"]).exits(0).json();
    assert_eq!(listed.as_array().unwrap().len(), 1, "{listed}");
    assert_eq!(site.ids().len(), 2, "the primary keeps its own");

    // The contract's end.
    site.run(&["store", "purge", "--customer", "004711"]).exits(2).says(&["no terminal", "kasse-1: 1 backup"]);
    site.run(&["store", "purge", "--customer", "004711", "--yes"]).exits(0).prints(&["removed 1 backup"]);
    let none = site.run(&["list", "--store", "away"]).exits(0);
    assert!(none.out.contains("no backups"), "{}", none.out);
    assert_eq!(names(&site.path("state/purges")).len(), 2, "the record stays, and its signature");
    let name = names(&site.path("state/purges")).remove(0);
    let record = fs::read_to_string(site.path("state/purges").join(name)).unwrap();
    assert!(record.contains("\"done\": true"), "{record}");
    let told = site.run(&["status", "--json"]).exits(0).json();
    assert_eq!(told["newest_copied"], serde_json::Value::Null, "{told}");
}

#[test]
fn the_verbs_work_over_a_folder() {
    let folder = Folder::new();
    life(&folder);
    let left: Vec<_> = folder.files().unwrap();
    assert_eq!(left, ["tillstick-store.json"], "nothing of the customer is left");
}

#[test]
fn a_box_touches_only_its_own_and_purge_names_every_box() {
    let folder = Folder::new();
    let (one, two, stranger) = (Box::new(), Box::new(), Box::new());
    let stores = format!(
        "[stores.away]\n{}\nretention = {{ within = \"0s\", daily = 0, weekly = 0, monthly = 0, keep_last = 1 }}",
        folder.table()
    );
    one.configure_as("004711", "kasse-1", "", &stores);
    two.configure_as("004711", "kasse-2", "", &stores);
    stranger.configure_as("004711", "kasse-1", "", &stores);
    let first = one.backup();
    two.backup();
    let kept = two.backup();
    let other = stranger.run(&["backup"]).exits(3);
    assert!(other.err.contains("another box kasse-1"), "{}", other.err);
    assert!(folder.files().unwrap().iter().any(|file| file.contains(&first)), "kasse-1's stays");
    assert_eq!(names(&folder.0.path().join("nas/004711/kasse-2")), [kept.as_str(), "box.json"]);
    // The box that replaces the other one says so.
    stranger.run(&["store", "adopt", "away"]).exits(0);
    stranger.run(&["copy"]).exits(0);
    assert!(folder.files().unwrap().iter().any(|file| file.contains(&first)), "what is another's is never pruned");
    let purge = two.run(&["store", "purge", "--customer", "004711"]).exits(2);
    assert!(purge.err.contains("box kasse-1") && purge.err.contains("box kasse-2: 1 backup"), "{}", purge.err);
}

#[test]
fn a_store_that_is_not_there_fails_no_other_and_is_told() {
    let folder = Folder::new();
    let site = Box::new();
    site.configure(
        "",
        &format!("[stores.dead]\ntype = \"directory\"\npath = \"/nowhere/nas\"\n[stores.good]\n{}", folder.table()),
    );
    let partly = site.run(&["backup"]).exits(3).prints(&["Database sent! good"]);
    assert!(partly.err.contains("dead: not sent") && partly.err.contains("store init"), "{}", partly.err);
    let told = site.run(&["status"]).exits(0).out;
    assert!(told.contains("dead: no copy yet; not sent yet: 1"), "{told}");
    site.run(&["store", "test", "dead"]).exits(1).prints(&["FAILED  open"]);
    site.run(&["store", "test", "gone"]).exits(2).says(&["the stores are: dead, good"]);
    site.run(&["copy", "--to", "good"]).exits(0);
}

#[test]
fn a_damaged_copy_is_found_by_reading_and_counts_no_more() {
    let folder = Folder::new();
    let site = Box::new();
    with_store(&site, &folder, "");
    let id = site.backup();
    let file = folder.0.path().join(format!("nas/004711/kasse-1/{id}/004711_kasse.sql.gz"));
    let mut bytes = fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&file, &bytes).unwrap();
    site.run(&["check", "--store", "away"]).exits(0);
    site.run(&["check", "--store", "away", "--read"]).exits(1).prints(&["damaged"]);
    let told = site.run(&["status", "--json"]).exits(0).json();
    assert_eq!(told["newest_copied"], serde_json::Value::Null, "{told}");
    let back = site.path("back.db");
    site.run(&["restore", &id, "--store", "away", "--into", back.to_str().unwrap()]).exits(1);
    assert!(!back.exists());
    // The next copy puts it right.
    site.run(&["copy"]).exits(0);
    site.run(&["check", "--store", "away", "--read"]).exits(0);
    fs::remove_file(&file).unwrap();
    site.run(&["check", "--store", "away"]).exits(1).prints(&["missing"]);
}

#[test]
fn an_append_only_store_is_never_deleted_from() {
    let folder = Folder::new();
    let site = Box::new();
    with_store(
        &site,
        &folder,
        "append_only = true\nretention = { within = \"0s\", daily = 0, weekly = 0, monthly = 0, keep_last = 1 }",
    );
    let (first, second) = (site.backup(), site.backup());
    site.run(&["prune", "--store", "away"]).exits(0).prints(&["append_only"]);
    site.run(&["store", "purge", "--customer", "004711", "--yes"]).exits(1).says(&["append_only"]);
    assert_eq!(names(&folder.0.path().join("nas/004711/kasse-1")), [first.as_str(), second.as_str(), "box.json"]);
}

#[test]
fn by_hand_in_two_steps() {
    let folder = Folder::new();
    let site = Box::new();
    with_store(&site, &folder, "");
    site.run(&["backup", "--no-copy"]).exits(0);
    assert!(folder.files().unwrap().iter().all(|file| !file.contains("004711")), "not sent yet");
    site.run(&["copy"]).exits(0).prints(&["Database sent! away"]);
}

#[test]
fn what_opens_a_store_is_in_no_backup_of_files() {
    let site = Box::new();
    let (conf, secret) = (site.path("conf"), site.path("conf/away.secret"));
    fs::create_dir(&conf).unwrap();
    fs::write(site.path("conf/kept"), "kept").unwrap();
    fs::write(&secret, "SKTEST").unwrap();
    site.configure(
        "",
        &format!(
            "[sources.conf]\ntype = \"files\"\npaths = [{conf:?}]\n[stores.away]\ntype = \"s3\"\nenabled = false\n\
             endpoint = \"https://s3.example.com\"\nbucket = \"till-backups\"\naccess_key = \"AK\"\nsecret_key_file = {secret:?}"
        ),
    );
    let id = site.backup();
    let archive = site.primary().join(id).join("004711_conf.tar.gz");
    let listed = tool("tar", &["-tzf", archive.to_str().unwrap()]);
    assert!(listed.contains("conf/kept") && !listed.contains("secret"), "{listed}");
}
