//! Ctrl-C and sudden death at moments spread over a run: no finished-looking rest, and the next run succeeds.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::kit::{Box, Ran, STICK, Stick, names, receipts, sql};

/// How many moments of a run are tried.
const MOMENTS: u32 = 8;

/// Starts a run and sends it a signal after a while.
fn struck(site: &Box, args: &[&str], signal: Signal, after: Duration) -> Ran {
    let child = site.start(args);
    std::thread::sleep(after);
    // It may be over: then there is nobody to strike.
    let _ = kill(Pid::from_raw(child.id().cast_signed()), signal);
    child.wait_with_output().unwrap().into()
}

fn took(run: impl FnOnce()) -> Duration {
    let begun = Instant::now();
    run();
    begun.elapsed()
}

/// A box and a stick with one good backup, and how long a backup with everything new takes.
fn prepared() -> (Box, Stick, Duration) {
    let (site, stick) = (Box::large(), Stick::partitioned(2 * STICK));
    let long = took(|| drop(site.run(&["backup", "--stick", stick.text()]).exits(0)));
    (site, stick, long)
}

/// So that nothing can be reused and each run takes as long as the first.
fn change_everything(site: &Box) {
    sql(&site.database(), "UPDATE receipt_lines SET total_cents = total_cents + 1");
}

/// After an interruption: what was there is readable in both places, and the next run succeeds.
fn all_is_well(site: &Box, stick: &Stick) {
    assert_eq!(stick.complaints(), [""; 0]);
    site.run(&["check", "--stick", stick.text()]).exits(0);
    site.run(&["backup", "--stick", stick.text()]).exits(0);
    site.ids();
    assert_eq!(stick.complaints(), [""; 0]);
    assert!(!stick.files().iter().any(|name| name.to_lowercase().contains("part")), "{:?}", stick.files());
}

#[test]
fn ctrl_c_during_a_backup_exits_130_and_leaves_no_rest() {
    let (site, stick, long) = prepared();
    let mut struck_in_time = 0;
    for moment in 0..MOMENTS {
        change_everything(&site);
        let before = site.ids();
        let ran = struck(&site, &["backup", "--stick", stick.text()], Signal::SIGINT, long * (2 * moment + 1) / 16);
        // A signal between the start of the process and its first instruction ends it like any other; one after its
        // last look finds it done.
        if !matches!(ran.code, None | Some(0)) {
            struck_in_time += 1;
            let ran = ran.exits(130);
            assert!(!ran.out.contains("may be pulled"), "{}", ran.out);
        }
        assert!(site.ids().starts_with(&before), "an earlier backup is gone");
    }
    assert!(struck_in_time >= MOMENTS / 2, "only {struck_in_time} of {MOMENTS} signals came in time");
    all_is_well(&site, &stick);
    site.run(&["check"]).exits(0);
}

#[test]
fn death_during_a_backup_is_swept_by_the_next_run() {
    let (site, stick, long) = prepared();
    for moment in 0..MOMENTS {
        change_everything(&site);
        struck(&site, &["backup", "--stick", stick.text()], Signal::SIGKILL, long * (2 * moment + 1) / 16);
        assert_eq!(stick.complaints(), [""; 0]);
        site.run(&["check", "--stick", stick.text()]).exits(0);
        site.run(&["check"]).exits(0);
    }
    all_is_well(&site, &stick);
}

#[test]
fn ctrl_c_during_a_restore_exits_130_and_leaves_the_database_as_it_was() {
    let site = Box::large();
    let id = site.backup();
    let target = site.path("new.db");
    let into = ["restore", &id, "--into", target.to_str().unwrap()];
    let long = took(|| drop(site.run(&into).exits(0)));
    fs::remove_file(&target).unwrap();
    sql(&site.database(), "DELETE FROM vouchers");
    let in_use = fs::read(site.database()).unwrap();
    let folder = |site: &Box| -> Vec<String> { names(site.database().parent().unwrap()) };
    let before = folder(&site);
    let mut struck_in_time = 0;
    for moment in 0..MOMENTS {
        let after = long * (2 * moment + 1) / 20;
        for args in [&into[..], &["restore", &id, "--in-place", "--yes"]] {
            // A signal may come too late; then the restore before this one is done.
            let _ = fs::remove_file(&target);
            let ran = struck(&site, args, Signal::SIGINT, after);
            if ran.code == Some(0) {
                continue;
            }
            struck_in_time += u32::from(ran.code == Some(130));
            assert!(matches!(ran.code, None | Some(130)), "{ran:?}");
            if !target.exists() && !before_label(&site) {
                assert!(fs::read(site.database()).unwrap() == in_use, "the database in use was touched");
                assert_eq!(folder(&site), before);
            }
        }
    }
    assert!(struck_in_time >= MOMENTS, "only {struck_in_time} of {} signals came in time", 2 * MOMENTS);
    let _ = fs::remove_file(&target);
    site.run(&into).exits(0);
    assert!(receipts(&target) > 1000);
}

/// Whether a restore in place got so far that it set the old database aside.
fn before_label(site: &Box) -> bool {
    names(site.database().parent().unwrap()).iter().any(|name| name.contains(".before-"))
}

#[test]
fn death_during_a_restore_leaves_a_working_database_and_the_next_one_succeeds() {
    let site = Box::large();
    let id = site.backup();
    let count = receipts(&site.database());
    let args = ["restore", &id, "--in-place", "--yes"];
    let long = took(|| drop(site.run(&args).exits(0)));
    for moment in 0..MOMENTS {
        struck(&site, &args, Signal::SIGKILL, long * (2 * moment + 1) / 16);
        assert_eq!(receipts(&site.database()), count);
    }
    site.run(&args).exits(0);
    assert_eq!(receipts(&site.database()), count);
    let rests = names(site.database().parent().unwrap()).into_iter().filter(|name| name.contains("tillstick-new"));
    assert_eq!(rests.collect::<Vec<_>>(), [""; 0]);
}

#[test]
fn a_drill_that_died_is_swept_by_the_next_backup() {
    let site = Box::large();
    let id = site.backup();
    let args = ["check", "--drill", &id];
    let long = took(|| drop(site.run(&args).exits(0)));
    struck(&site, &args, Signal::SIGKILL, long / 2);
    let left: Vec<String> = names(&site.primary()).into_iter().filter(|name| name.contains("drill")).collect();
    assert!(!left.is_empty(), "the drill was not struck in its middle");
    site.backup();
    site.ids();
}

#[test]
fn ctrl_c_during_a_dump_and_a_drill_exits_130_without_a_rest() {
    let site = Box::large();
    let id = site.backup();
    let out = site.path("out");
    fs::create_dir(&out).unwrap();
    let (url, file) = (format!("sqlite:{}", site.database().display()), out.join("kasse.sql.gz"));
    let dump: [&str; 4] = ["dump", &url, "-o", file.to_str().unwrap()];
    let drill: [&str; 3] = ["check", "--drill", &id];
    for args in [&dump[..], &drill] {
        let long = took(|| drop(site.run(args).exits(0)));
        clear(&out);
        for moment in 1..4 {
            let ran = struck(&site, args, Signal::SIGINT, long * moment / 5);
            if ran.code == Some(0) {
                clear(&out);
                continue;
            }
            ran.exits(130);
            assert_eq!(names(&out), [""; 0]);
            site.ids();
        }
    }
}

fn clear(dir: &Path) {
    for name in names(dir) {
        fs::remove_file(dir.join(name)).unwrap();
    }
}

#[test]
fn ctrl_c_while_the_stick_is_written_exits_130_and_says_that_the_backup_is_made() {
    let (site, stick) = (Box::large(), Stick::fat32(STICK));
    let mut child = site.start(&["backup", "--json", "--stick", stick.text()]);
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line.contains("\"stage\":\"copy\"")), "it never came to the stick");
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGINT).unwrap();
    let last = lines.last().unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{last}");
    assert!(last.contains("is made, and its copy to"), "{last}");
    assert_eq!(site.ids().len(), 1);
    all_is_well(&site, &stick);
}
