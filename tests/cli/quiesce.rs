//! What writes is held still and let go again, whatever happens to the run: real commands, real kills.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::kit::{Box, names, ran, tillstick};

/// Appends a word to the log.
fn says(site: &Box, word: &str, then: &str) -> String {
    let script = format!("echo {word} >> {}; {then}", site.path("log").display());
    format!("[\"/bin/sh\", \"-c\", {script:?}]")
}

fn log(site: &Box) -> Vec<String> {
    fs::read_to_string(site.path("log")).unwrap_or_default().lines().map(str::to_owned).collect()
}

fn quiesce(site: &Box, before: &[String], after: &[String], more: &str) {
    let table = format!("[quiesce]\nbefore = [{}]\nafter = [{}]\n{more}", before.join(", "), after.join(", "));
    site.configure("", &table);
}

fn simple(site: &Box, before: &str, after: &str) {
    quiesce(site, &[says(site, "stop", before)], &[says(site, "start", after)], "");
}

#[track_caller]
fn until(what: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !what() {
        assert!(Instant::now() < end, "it did not come");
        sleep(Duration::from_millis(10));
    }
}

fn kill(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

fn owed(site: &Box) -> Vec<String> {
    names(&site.path("state/owed")).into_iter().filter(|name| name.ends_with(".json")).collect()
}

#[test]
fn commands_run_around_the_backup_with_a_clean_environment() {
    let site = Box::new();
    let env = format!("env | sort > {}", site.path("env").display());
    simple(&site, &env, "");
    let mut command = site.command(&["backup"]);
    command.env("SECRET", "x");
    assert!(command.status().unwrap().success());
    assert_eq!(log(&site), ["stop", "start"]);
    let env = fs::read_to_string(site.path("env")).unwrap();
    assert!(env.contains("TILLSTICK_FOR=backup") && !env.contains("SECRET") && !env.contains("HOME"), "{env}");
    assert_eq!(owed(&site), Vec::<String>::new());
}

#[test]
fn what_cannot_be_held_still_means_no_backup_or_a_warning_and_is_let_go_all_the_same() {
    let site = Box::new();
    let failing = says(&site, "stop", "echo no such thing >&2; exit 3");
    let after = [says(&site, "start", "")];
    quiesce(&site, std::slice::from_ref(&failing), &after, "");
    site.run(&["backup"]).exits(1).says(&["hold services still", "exit status: 3", "no such thing", "help:"]);
    assert_eq!(log(&site), ["stop", "start"]);
    assert!(site.ids().is_empty());
    quiesce(&site, &[failing], &after, "on_failure = \"warn\"");
    let report = site.run(&["backup", "--json"]).exits(0).json();
    assert!(report["warnings"].to_string().contains("no such thing"), "{report}");
    assert_eq!(log(&site), ["stop", "start", "stop", "start"]);
    quiesce(&site, &[says(&site, "slow", "sleep 600")], &after, "timeout = \"1s\"");
    site.run(&["backup"]).exits(1).says(&["longer than 1 s"]);
    assert_eq!(log(&site)[4..], ["slow", "start"]);
}

#[test]
fn a_source_that_fails_lets_everything_go() {
    let site = Box::new();
    let (one, two) = (says(&site, "stop", ""), says(&site, "start", ""));
    let failing = says(&site, "own", "exit 1");
    let own = says(&site, "own-after", "");
    site.configure("", &format!("[quiesce]\nbefore = [{one}]\nafter = [{two}]\n[sources.kasse.quiesce]\nbefore = [{failing}]\nafter = [{own}]"));
    site.run(&["backup"]).exits(1).says(&["backup of `kasse`"]);
    assert_eq!(log(&site), ["stop", "own", "own-after", "start"]);
}

#[test]
fn what_does_not_start_again_is_told_and_tried_again() {
    let site = Box::new();
    let flag = site.path("flag");
    simple(&site, "", &format!("test -e {}", flag.display()));
    let report = site.run(&["backup", "--json"]).exits(0).json();
    assert!(report["warnings"].to_string().contains("tried again"), "{report}");
    site.run(&["list"]).exits(0).says(&["tried again"]);
    fs::write(flag, "").unwrap();
    site.run(&["list"]).exits(0).says(&["was started again"]);
    assert_eq!(log(&site), ["stop", "start", "start", "start"]);
    site.run(&["list"]).exits(0);
    assert_eq!(log(&site).len(), 4);
}

#[test]
fn a_run_that_is_killed_at_any_moment_is_made_good_by_the_next_command() {
    // While the command before runs, while the backup is made, and while the command after runs.
    for moment in ["before", "during", "after"] {
        let site = Box::new();
        let pid = site.path("pid");
        let (before, after) = match moment {
            "before" => (format!("echo $$ > {}; sleep 600", pid.display()), String::new()),
            "during" => (String::new(), String::new()),
            _ => (String::new(), "sleep 1".to_owned()),
        };
        simple(&site, &before, &after);
        if moment == "during" {
            let text = fs::read_to_string(site.config()).unwrap();
            let held = format!("[sources.kasse.quiesce]\nbefore = [{}]\n", says(&site, "inner", "sleep 600"));
            fs::write(site.config(), text + &held).unwrap();
        }
        let child = site.start(&["backup"]);
        let word = match moment {
            "before" => "stop",
            "during" => "inner",
            _ => "start",
        };
        until(|| log(&site).iter().any(|line| line == word));
        if moment == "before" {
            until(|| pid.exists());
        }
        kill(child);
        assert!(!owed(&site).is_empty(), "{moment}");
        let starts = log(&site).iter().filter(|line| *line == "start").count();
        site.run(&["list"]).exits(0).says(&["was started again"]);
        let log = log(&site);
        assert_eq!(log.iter().filter(|line| *line == "start").count(), starts + 1, "{moment}: {log:?}");
        assert!(owed(&site).is_empty(), "{moment}");
        if moment == "before" {
            let pid = fs::read_to_string(pid).unwrap();
            let proc = PathBuf::from("/proc").join(pid.trim());
            until(|| !proc.exists() || fs::read_to_string(proc.join("stat")).is_ok_and(|stat| stat.contains(") Z ")));
        }
    }
}

#[test]
fn a_stopped_run_lets_everything_go_before_it_ends() {
    let site = Box::new();
    let held = format!("[sources.kasse.quiesce]\nbefore = [{}]\n", says(&site, "inner", "sleep 600"));
    simple(&site, "", "");
    let text = fs::read_to_string(site.config()).unwrap();
    fs::write(site.config(), text + &held).unwrap();
    let child = site.start(&["backup"]);
    until(|| log(&site).contains(&"inner".to_owned()));
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(143));
    assert_eq!(log(&site), ["stop", "inner", "start"]);
    assert!(owed(&site).is_empty());
}

#[test]
fn everything_stands_still_while_a_snapshot_is_taken() {
    let site = Box::new();
    simple(&site, "", "");
    let script = format!("echo snapshot >> {}; exit 7", site.path("log").display());
    let config = site.config();
    let quiesce = |args: &[&str]| ran(tillstick(&[&["--config", config.to_str().unwrap(), "quiesce"], args].concat()));
    quiesce(&["--", "sh", "-c", &script]).exits(7);
    assert_eq!(log(&site), ["stop", "snapshot", "start"]);
    quiesce(&["--for", "1s", "--", "sleep", "600"]).exits(1).says(&["longer than 1 s", "--for"]);
    site.run(&["quiesce", "--for", "1s"]).exits(1).says(&["are over"]);
    assert_eq!(log(&site)[3..], ["stop", "start", "stop", "start"]);

    let child = site.start(&["quiesce"]);
    until(|| log(&site).len() == 8);
    site.run(&["backup"]).exits(1).says(&["quiesce"]);
    assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
    assert!(child.wait_with_output().unwrap().status.success());
    assert_eq!(log(&site).len(), 9);

    let child = site.start(&["quiesce"]);
    until(|| log(&site).len() == 10);
    kill(child);
    site.run(&["quiesce", "--release"]).exits(0);
    assert_eq!(log(&site)[8..], ["start", "stop", "start"]);
}
