//! A database is made of a backup again, beside the one in use or in its place.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, chown};
use std::process::Stdio;

use crate::kit::{Box, is_root, names, ran, receipts, sql, tillstick, tool, tool_command};

#[test]
fn a_backup_is_restored_by_its_id_a_file_by_its_name_and_sql_by_hand() {
    let site = Box::new();
    let id = site.backup();
    let (one, two, three) = (site.path("one.db"), site.path("two.db"), site.path("three.db"));
    let count = receipts(&site.database());
    site.run(&["restore", &id, "--into", one.to_str().unwrap()]).exits(0);
    let artifact = site.artifact(&id);
    ran(tillstick(&["restore", artifact.to_str().unwrap(), "--into", two.to_str().unwrap()])).exits(0);
    let plain = site.path("kasse.sql");
    fs::write(&plain, tool("gunzip", &["-c", artifact.to_str().unwrap()])).unwrap();
    ran(tillstick(&["restore", plain.to_str().unwrap(), "--into", three.to_str().unwrap()])).exits(0);
    for database in [one, two, three] {
        assert_eq!(receipts(&database), count);
        assert_eq!(sql(&database, "PRAGMA user_version").trim(), "42");
    }
}

#[test]
fn a_target_that_exists_is_refused_and_stays_as_it_is() {
    let site = Box::new();
    let id = site.backup();
    let target = site.path("precious.db");
    fs::write(&target, b"precious").unwrap();
    let into = target.to_str().unwrap();
    let artifact = site.artifact(&id);
    let url = format!("sqlite:{into}");
    site.run(&["restore", &id, "--into", into]).exits(1).says(&["precious.db"]);
    site.run(&["restore", artifact.to_str().unwrap(), "--into", into]).exits(1).says(&["precious.db"]);
    ran(tillstick(&["load", artifact.to_str().unwrap(), &url])).exits(1).says(&["precious.db"]);
    assert_eq!(fs::read(&target).unwrap(), b"precious");
}

#[test]
fn of_several_sources_one_must_be_named() {
    let site = Box::new();
    let second = site.path("lager.db");
    sql(&second, "CREATE TABLE shelf(id INTEGER PRIMARY KEY); INSERT INTO shelf VALUES(7)");
    site.configure("", &format!("[sources.lager]\ntype = \"sqlite\"\npath = {second:?}"));
    let id = site.backup();
    let target = site.path("new.db");
    let into = target.to_str().unwrap();
    site.run(&["restore", &id, "--into", into]).exits(2).says(&["--source", "kasse", "lager"]);
    site.run(&["restore", &id, "--into", into, "--source", "büro"]).exits(1).says(&["kasse, lager"]);
    assert!(!target.exists());
    site.run(&["restore", &id, "--into", into, "--source", "lager"]).exits(0);
    assert_eq!(sql(&target, "SELECT id FROM shelf").trim(), "7");
}

#[test]
fn in_place_needs_a_yes_and_refuses_while_the_database_is_open() {
    let site = Box::new();
    let id = site.backup();
    let before = fs::read(site.database()).unwrap();
    site.run(&["restore", &id, "--in-place"]).exits(2).says(&["--yes"]);

    let database = site.database();
    let mut till = tool_command("sqlite3", &[database.to_str().unwrap()]);
    let mut till = till.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = till.stdin.take().unwrap();
    input.write_all(b".print open\nSELECT count(*) FROM receipts;\n").unwrap();
    let mut first = [0; 1];
    std::io::Read::read_exact(till.stdout.as_mut().unwrap(), &mut first).unwrap();
    // The first answer may come before the database is opened; a moment later it is.
    std::thread::sleep(std::time::Duration::from_millis(300));
    let refused = site.run(&["restore", &id, "--in-place", "--yes"]);
    drop(input);
    till.wait().unwrap();
    refused.exits(1).says(&["kasse.db", "sqlite3", &till.id().to_string(), "help:"]);
    assert!(fs::read(site.database()).unwrap() == before);
    site.run(&["restore", &id, "--in-place", "--yes"]).exits(0);
}

#[test]
fn in_place_keeps_owner_and_mode_and_sets_the_old_one_aside_with_what_was_in_its_log() {
    let site = Box::new();
    let id = site.backup();
    let count = receipts(&site.database());
    let sale =
        "INSERT INTO receipts(till, clerk, at, total_cents, payment) VALUES(1, 'Zoë', datetime('now'), 1, 'BAR')";
    // A till that lost its power has its last sale in the write-ahead log alone.
    let script = format!(".dbconfig no_ckpt_on_close on\n{sale};\n");
    let script_file = site.path("sale.sql");
    fs::write(&script_file, script).unwrap();
    let stdin = fs::File::open(&script_file).unwrap();
    let database = site.database();
    let done = tool_command("sqlite3", &[database.to_str().unwrap()]).stdin(stdin).stdout(Stdio::null()).status();
    assert!(done.unwrap().success());
    assert!(names(site.database().parent().unwrap()).contains(&"kasse.db-wal".to_owned()), "the log is there");

    fs::set_permissions(site.database(), fs::Permissions::from_mode(0o640)).unwrap();
    if is_root() {
        chown(site.database(), Some(1234), Some(4321)).unwrap();
    }
    let owner = |path: &std::path::Path| {
        let meta = fs::metadata(path).unwrap();
        (meta.uid(), meta.gid(), meta.mode())
    };
    let was = owner(&site.database());
    let report = site.run(&["restore", &id, "--in-place", "--yes", "--json"]).exits(0).json();
    assert_eq!(owner(&site.database()), was);
    assert_eq!(receipts(&site.database()), count);
    let aside = std::path::PathBuf::from(report["set_aside"].as_str().unwrap());
    assert_eq!(receipts(&aside), count + 1);
    assert_eq!(sql(&aside, "SELECT count(*) FROM receipts WHERE clerk = 'Zoë'").trim(), "1");
}

#[test]
fn a_damaged_artifact_is_found_by_check_and_never_restored() {
    let site = Box::new();
    let id = site.backup();
    let artifact = site.artifact(&id);
    let file = fs::File::options().read(true).write(true).open(&artifact).unwrap();
    let size = file.metadata().unwrap().len();
    let target = site.path("new.db");
    let before = fs::read(site.database()).unwrap();
    for position in (0..20).map(|n| n * (size - 1) / 19) {
        let mut byte = [0];
        file.read_exact_at(&mut byte, position).unwrap();
        file.write_all_at(&[byte[0] ^ 0x10], position).unwrap();
        let found = site.run(&["check"]).exits(1);
        assert!(found.out.contains("004711_kasse.sql.gz"), "byte {position}: {}", found.out);
        let restored = site.run(&["restore", &id, "--into", target.to_str().unwrap()]).exits(1);
        assert!(!target.exists(), "byte {position}: {}", restored.err);
        site.run(&["restore", &id, "--in-place", "--yes"]).exits(1);
        file.write_all_at(&byte, position).unwrap();
    }
    assert!(fs::read(site.database()).unwrap() == before);
    file.set_len(size - 1).unwrap();
    site.run(&["restore", &id, "--into", target.to_str().unwrap()]).exits(1);
    assert!(!names(site.path("").as_path()).iter().any(|name| name.starts_with("new.db")));
}
