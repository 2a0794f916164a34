//! A primary without room: what is needed is told, and the newest good backup never goes.

use crate::kit::{Box, Mounted, STICK, Stick, is_root, sql, tool_command};

#[test]
fn too_little_room_is_told_in_bytes_and_nothing_goes_for_nothing() {
    let site = Box::new();
    let first = site.backup();
    let second = site.backup();
    site.configure("min_free = \"900TB\"", "");
    let ran = site.run(&["backup"]).exits(1).says(&["this backup needs about", "900000000000000 stay free", "help:"]);
    let needed = ran.err.split("about ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap();
    assert!(needed.parse::<u64>().unwrap() > 1 << 20, "{needed}");
    assert_eq!(site.ids(), [first, second]);
}

#[test]
fn in_a_small_folder_the_oldest_go_first_and_the_newest_good_one_stays() {
    let site = Box::new();
    std::fs::create_dir(site.primary()).unwrap();
    if !is_root() {
        let denied =
            tool_command("mount", &["-t", "tmpfs", "tmpfs", site.primary().to_str().unwrap()]).output().unwrap();
        assert!(!denied.status.success(), "only root mounts");
        return;
    }
    let primary = site.primary();
    let small = ["-t", "tmpfs", "-o", "size=12m", "tmpfs", primary.to_str().unwrap()];
    let _mounted = Mounted::at(&small, primary.clone());
    let mut newest = site.backup();
    let oldest = newest.clone();
    // What cannot be packed small, so that few backups fit.
    sql(
        &site.database(),
        "CREATE TABLE photos(id INTEGER PRIMARY KEY, photo BLOB); INSERT INTO photos VALUES(1, randomblob(600000))",
    );
    for _ in 0..8 {
        sql(&site.database(), "UPDATE photos SET photo = randomblob(600000)");
        newest = site.backup();
        assert_eq!(site.ids().last(), Some(&newest));
    }
    assert!(!site.ids().contains(&oldest));
    site.run(&["check"]).exits(0);

    // One that never fits: the newest good one is still there afterwards, whole, and nothing half is left.
    sql(&site.database(), "UPDATE photos SET photo = randomblob(9000000)");
    site.run(&["backup"]).exits(1).says(&["bytes", "help:"]);
    assert_eq!(site.ids().last(), Some(&newest));
    site.run(&["check", &newest]).exits(0);
}

#[test]
fn a_spool_for_one_keeps_the_newest_alone() {
    let (site, stick) = (Box::new(), Stick::fat32(STICK));
    site.configure("spool = \"one\"", "");
    site.backup();
    let second = site.backup();
    assert_eq!(site.ids(), [second]);
    let report = site.run(&["backup", "--json", "--stick", stick.text()]).exits(0).json();
    assert_eq!(site.ids(), [report["id"].as_str().unwrap()]);
    site.run(&["check"]).exits(0);
}
