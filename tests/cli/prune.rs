//! The clean-up as a person sees it: a reason for everything, nothing by surprise, and nothing half.

use std::fs;
use std::path::Path;

use crate::kit::{Box, Ran, STICK, Stick, names, ran, sql, tool, tool_command};

const TWO: &str = "[retention]\nkeep_last = 2\nwithin = \"0s\"\ndaily = 0\nweekly = 0\nmonthly = 0";
const ALL: &str = "[retention]\nkeep_last = \"all\"";

/// A box with so many backups, all of which were kept; from now on it keeps two.
fn with_backups(count: usize) -> (Box, Vec<String>) {
    let site = Box::new();
    site.configure("", ALL);
    let ids = (0..count).map(|_| site.backup()).collect();
    site.configure("", TWO);
    (site, ids)
}

#[test]
fn a_dry_run_says_what_would_go_and_why_and_the_clean_up_does_just_that() {
    let (site, ids) = with_backups(4);
    let told = site.run(&["prune", "--dry-run"]).exits(0).out;
    assert_eq!(site.ids(), ids, "nothing was changed");
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines.len(), 5, "{told}");
    assert_eq!(lines[0], format!("keep    {}  the newest; the newest that is whole; one of the newest 2", ids[3]));
    assert_eq!(lines[1], format!("keep    {}  one of the newest 2", ids[2]));
    assert_eq!(lines[2], format!("delete  {}  older than every rule reaches", ids[1]));
    assert_eq!(lines[4], "would keep 2 and delete 2; nothing was changed");

    let done = site.run(&["prune"]).exits(0).out;
    assert_eq!(done.lines().take(4).collect::<Vec<_>>(), lines[..4]);
    assert_eq!(done.lines().last(), Some("kept 2, deleted 2"));
    assert_eq!(site.ids(), ids[2..]);
    site.run(&["check"]).exits(0);
    assert!(site.run(&["prune"]).exits(0).out.ends_with("kept 2, deleted 0\n"));
}

#[test]
fn each_backup_cleans_up_and_says_what_went() {
    let (site, ids) = with_backups(2);
    let report = site.run(&["backup", "--json"]).exits(0).json();
    assert_eq!(report["removed"], serde_json::json!([[ids[0], "older than every rule reaches"]]));
    let said = site.run(&["backup"]).exits(0).out;
    assert!(said.contains(&format!("removed {}: older than every rule reaches", ids[1])), "{said}");
    assert_eq!(site.ids().len(), 2);
}

#[test]
fn a_retention_that_keeps_nothing_exits_2_and_nothing_goes() {
    let (site, ids) = with_backups(2);
    site.configure("", "[retention]\nwithin = \"0s\"\ndaily = 0\nweekly = 0\nmonthly = 0");
    for verb in ["prune", "backup"] {
        site.run(&[verb]).exits(2).says(&["keeps nothing", "keep_last = 1"]);
    }
    assert_eq!(site.ids(), ids);
}

#[test]
fn while_a_backup_runs_the_clean_up_waits_its_turn() {
    let (site, ids) = with_backups(3);
    let lock = fs::File::options().write(true).open(site.primary().join(".lock")).unwrap();
    let lock = nix::fcntl::Flock::lock(lock, nix::fcntl::FlockArg::LockExclusive).unwrap();
    site.run(&["prune"]).exits(1).says(&["held by", "help: wait"]);
    assert_eq!(site.ids(), ids);
    drop(lock);
    site.run(&["prune"]).exits(0);
    assert_eq!(site.ids(), ids[1..]);
}

#[test]
fn what_is_broken_unreadable_or_another_box_s_takes_no_good_one_s_place() {
    let (site, ids) = with_backups(6);
    let manifest = |id: &str| site.primary().join(id).join("manifest.json");
    fs::write(manifest(&ids[0]), "{").unwrap();
    let foreign = fs::read_to_string(manifest(&ids[1])).unwrap();
    let own = site.manifest(&ids[1])["box_id"].as_str().unwrap().to_owned();
    fs::write(manifest(&ids[1]), foreign.replace(&own, &"f".repeat(32))).unwrap();
    site.seal(&ids[1]);
    fs::remove_file(site.artifact(&ids[5])).unwrap();
    let told = site.run(&["prune"]).exits(0).out;
    for (id, reason) in [
        (&ids[0], "its manifest cannot be read"),
        (&ids[1], "another box made it"),
        (&ids[3], "one of the newest 2"),
        (&ids[4], "the newest that is whole; one of the newest 2"),
        (&ids[5], "the newest; one of the newest 2"),
    ] {
        assert!(told.contains(&format!("keep    {id}  {reason}")), "{reason}: {told}");
    }
    assert_eq!(site.ids(), [&ids[..2], &ids[3..]].concat());
}

#[test]
fn when_rows_fell_by_half_all_is_kept_here_and_on_the_stick_and_everybody_is_told() {
    let (site, stick) = (Box::new(), Stick::fat32(STICK));
    site.configure("", &format!("[sticks]\nkeep = 1\n{TWO}"));
    let to_stick = ["backup", "--json", "--stick", stick.text()];
    let good = site.run(&to_stick).exits(0).json()["id"].as_str().unwrap().to_owned();
    let tables =
        sql(&site.database(), "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'");
    let emptied: String = tables.lines().map(|name| format!("DELETE FROM \"{name}\"; ")).collect();
    sql(&site.database(), &format!("PRAGMA foreign_keys = off; {emptied}"));
    // An empty database that is backed up again and again looks steady, and is held back all the same.
    for _ in 0..3 {
        let ran = site.run(&to_stick).exits(0).says(&["rows and had", &good, "nothing is pruned"]);
        assert_eq!(ran.json()["removed"], serde_json::json!([]));
    }
    assert_eq!(site.ids().len(), 4);
    let on_stick = site.run(&["list", "--json", "--stick", stick.text()]).exits(0).json();
    assert_eq!(on_stick.as_array().unwrap().len(), 4);
    for args in [&["prune"][..], &["prune", "--stick", stick.text()]] {
        let told = site.run(args).exits(0).out;
        assert!(told.contains("nothing is pruned now: source `kasse` has") && told.ends_with("deleted 0\n"), "{told}");
    }
    let status = site.run(&["status", "--check"]).exits(1).out;
    assert!(status.contains("rows and had") && status.contains("NOT well:"), "{status}");

    // The right database is back: so is the clean-up.
    site.run(&["restore", &good, "--in-place", "--yes"]).exits(0);
    let report = site.run(&to_stick).exits(0).json();
    assert_eq!(report["removed"].as_array().unwrap().len(), 3, "{report}");
    site.run(&["status", "--check"]).exits(0);
    assert_eq!(site.ids().len(), 2);
}

#[test]
fn a_spool_for_one_keeps_the_full_database_beside_an_empty_one() {
    let site = Box::new();
    site.configure("spool = \"one\"", "");
    let good = site.backup();
    fs::remove_file(site.database()).unwrap();
    sql(&site.database(), "CREATE TABLE receipts(id INTEGER PRIMARY KEY)");
    site.backup();
    site.backup();
    assert_eq!(site.ids().len(), 3);
    assert_eq!(site.ids()[0], good);
}

/// A stick with five backups of a box that is to keep two there.
fn full_stick() -> (Box, Stick) {
    let (site, stick) = (Box::new(), Stick::fat32(STICK));
    for _ in 0..5 {
        site.run(&["backup", "--stick", stick.text()]).exits(0);
    }
    site.configure("", "[sticks]\nkeep = 2");
    (site, stick)
}

fn count_on(site: &Box, stick: &Stick) -> usize {
    site.run(&["list", "--json", "--stick", stick.text()]).exits(0).json().as_array().unwrap().len()
}

#[test]
fn a_stick_is_pruned_to_as_many_as_it_shall_keep_and_foreign_files_stay() {
    let (site, stick) = full_stick();
    stick.put("Strand.jpg", b"holiday");
    let before = fs::read(&stick.path).unwrap();
    let told = site.run(&["prune", "--dry-run", "--stick", stick.text()]).exits(0).out;
    assert!(told.ends_with("would keep 2 and delete 3; nothing was changed\n"), "{told}");
    assert!(fs::read(&stick.path).unwrap() == before, "a dry run writes nothing");
    site.run(&["prune", "--stick", stick.text()]).exits(0);
    assert_eq!(count_on(&site, &stick), 2);
    site.run(&["check", "--stick", stick.text()]).exits(0);
    assert_eq!(stick.read("Strand.jpg"), b"holiday");
    assert_eq!(stick.complaints(), [""; 0]);
    let sums = String::from_utf8(stick.read("SHA256SUMS")).unwrap();
    assert_eq!(sums.lines().count(), 2, "{sums}");
    // The box no longer counts on copies that are gone.
    let listed = site.run(&["list", "--json"]).exits(0).json();
    let copied = listed.as_array().unwrap().iter().filter(|backup| backup["copies"] != serde_json::json!([]));
    assert_eq!(copied.count(), 2);
}

#[test]
fn a_stick_that_is_none_of_ours_is_refused() {
    let (site, _) = with_backups(1);
    let stick = Stick::made(STICK, "mkfs.ext4", &["-q", "-F"]);
    let before = fs::read(&stick.path).unwrap();
    site.run(&["prune", "--stick", stick.text()]).exits(1).says(&["refused"]);
    assert!(fs::read(&stick.path).unwrap() == before);
}

/// Runs a verb that dies (SIGKILL) when it enters the system call `call` for the n-th time.
fn dies_at(site: &Box, call: &str, nth: usize, args: &[&str]) -> Ran {
    let mut command = tool_command("strace", &["-f", "-qq", "-o", "/dev/null", "-e"]);
    command.arg(format!("trace={call}")).arg("-e").arg(format!("inject={call}:signal=KILL:when={nth}"));
    command.arg(env!("CARGO_BIN_EXE_tillstick")).args(args).arg("--config").arg(site.config());
    ran(command)
}

fn copy_of(dir: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    tool("cp", &["-a", dir.to_str().unwrap(), to.to_str().unwrap()]);
}

#[test]
fn death_at_any_step_of_a_clean_up_leaves_only_whole_backups_and_the_next_one_ends_it() {
    let (site, ids) = with_backups(4);
    let saved = site.path("saved");
    copy_of(&site.primary(), &saved);
    let mut deaths = 0;
    for call in ["rename", "unlinkat", "fsync"] {
        for nth in 1.. {
            let ran = dies_at(&site, call, nth, &["prune"]);
            if ran.code == Some(0) {
                assert!(nth > 1, "{call} is never called");
                break;
            }
            deaths += 1;
            let listed = site.run(&["list", "--json"]).exits(0).json();
            let listed: Vec<&str> = listed.as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap()).collect();
            assert!(listed.starts_with(&[&ids[3], &ids[2]]), "{call} {nth}: {listed:?}");
            site.run(&["check"]).exits(0);
            site.run(&["prune"]).exits(0);
            assert_eq!(site.ids(), ids[2..], "{call} {nth}");
            copy_of(&saved, &site.primary());
        }
        copy_of(&saved, &site.primary());
    }
    assert!(deaths >= 12, "{deaths}");
}

#[test]
fn death_at_any_write_of_a_clean_up_on_a_stick_leaves_only_whole_backups_and_the_next_one_ends_it() {
    let (site, stick) = full_stick();
    let saved = fs::read(&stick.path).unwrap();
    let (mut nth, mut deaths) = (1, 0);
    while dies_at(&site, "pwrite64", nth, &["prune", "--stick", stick.text()]).code != Some(0) {
        deaths += 1;
        // A file system check, as a PC does it, may come in between.
        if deaths % 2 == 0 {
            let _ =
                tool_command("fsck.fat", &["-a", stick.text()]).stdout(std::process::Stdio::null()).status().unwrap();
        }
        site.run(&["check", "--stick", stick.text()]).exits(0);
        assert!(count_on(&site, &stick) >= 2);
        site.run(&["prune", "--stick", stick.text()]).exits(0);
        assert_eq!(count_on(&site, &stick), 2, "{nth}");
        site.run(&["check", "--stick", stick.text()]).exits(0);
        assert!(!stick.files().iter().any(|name| name.to_lowercase().contains("part")), "{:?}", stick.files());
        fs::write(&stick.path, &saved).unwrap();
        nth += 3;
    }
    assert!(deaths >= 5, "{deaths}");
    assert_eq!(names(&site.path("state")), [".box-id.lock", "box-id", "box-key", "journal.db", "runs"]);
}
