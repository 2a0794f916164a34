//! A box that knows nothing gets everything back from a stick alone.

use std::fs;

use crate::kit::{Box, STICK, Stick, names, ran, receipts, scratch, tillstick};

#[test]
fn an_empty_folder_gets_database_and_configuration_from_the_stick_alone() {
    let (site, stick) = (Box::new(), Stick::partitioned(STICK));
    site.run(&["backup", "--stick", stick.text()]).exits(0);
    let count = receipts(&site.database());
    drop(site);
    let dir = scratch();
    let into = dir.path().join("new box");
    let args = ["recover", stick.text(), "--into", into.to_str().unwrap()];
    ran(tillstick(&args)).exits(2).says(&["--yes", "004711", "kasse-1", "fingerprint"]);
    assert!(!into.exists(), "nobody agreed");
    let yes = [&args[..], &["--yes"]].concat();
    ran(tillstick(&yes)).exits(0);
    assert_eq!(names(&into), ["kasse.db", "tillstick.toml"]);
    assert_eq!(receipts(&into.join("kasse.db")), count);
    let config = into.join("tillstick.toml");
    ran(tillstick(&["config", "check", "--config", config.to_str().unwrap()])).exits(0);
    assert!(fs::read_to_string(&config).unwrap().contains("customer = \"004711\""));

    // What is there is never overwritten.
    fs::remove_file(&config).unwrap();
    fs::write(into.join("kasse.db"), b"precious").unwrap();
    ran(tillstick(&yes)).exits(1).says(&["kasse.db", "overwrites nothing"]);
    assert_eq!(fs::read(into.join("kasse.db")).unwrap(), b"precious");
    assert_eq!(names(&into), ["kasse.db"]);
}

#[test]
fn without_into_everything_goes_where_it_was() {
    let (site, stick) = (Box::new(), Stick::fat32(STICK));
    site.run(&["backup", "--stick", stick.text()]).exits(0);
    let count = receipts(&site.database());
    site.run(&["recover", stick.text(), "--yes"]).exits(1).says(&["overwrites nothing", "tillstick.toml"]);
    for end in ["", "-wal", "-shm"] {
        let _ = fs::remove_file(site.path(&format!("kasse.db{end}")));
    }
    assert!(!site.database().exists());
    fs::remove_file(site.config()).unwrap();
    site.run(&["recover", stick.text(), "--yes"]).exits(0);
    assert_eq!(receipts(&site.database()), count);
    site.run(&["backup", "--stick", stick.text()]).exits(0);
}

#[test]
fn of_several_boxes_on_one_stick_one_must_be_named() {
    let (one, two, stick) = (Box::new(), Box::new(), Stick::fat32(STICK));
    two.configure_as("004711", "kasse-2", "", "");
    crate::kit::sql(&two.database(), "DELETE FROM receipts WHERE id > 10");
    one.run(&["backup", "--stick", stick.text()]).exits(0);
    two.run(&["backup", "--stick", stick.text()]).exits(0);
    let dir = scratch();
    let into = dir.path().join("new");
    let args = ["recover", stick.text(), "--yes", "--into", into.to_str().unwrap()];
    ran(tillstick(&args)).exits(2).says(&["--box", "kasse-1, kasse-2"]);
    ran(tillstick(&[&args[..], &["--box", "kasse-3"]].concat())).exits(1);
    assert!(!into.exists());
    ran(tillstick(&[&args[..], &["--box", "kasse-2"]].concat())).exits(0);
    assert_eq!(receipts(&into.join("kasse.db")), 10);
}

#[test]
fn a_stick_without_backups_is_told() {
    let stick = Stick::fat32(STICK);
    ran(tillstick(&["recover", stick.text(), "--yes", "--into", "/nowhere"])).exits(1).says(&["no complete backup"]);
}
