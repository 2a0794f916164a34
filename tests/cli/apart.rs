//! The process that reads a strange stick, in the real program: `strace` kills it, stops it, and takes the kernel's means
//! to confine it away.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::kit::{Box, Ran, STICK, Stick, ran, tillstick};

/// Runs `stick inspect` with some system calls changed in the program and its children.
fn inspect_with(stick: &Stick, strace: &[&str], args: &[&str]) -> Ran {
    let plain = tillstick(&[&["stick", "inspect", stick.text()], args].concat());
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-o", "/dev/null"]).args(strace).arg(plain.get_program()).args(plain.get_args());
    command.env("LC_ALL", "C").env_remove("RUST_LOG").stdin(std::process::Stdio::null());
    ran(command)
}

#[test]
fn a_reader_that_is_killed_in_the_middle_leaves_the_stick_unjudged_and_untouched() {
    let stick = Stick::fat32(STICK);
    let before = std::fs::read(&stick.path).unwrap();
    for read in 1..4 {
        let kill = format!("inject=pread64:signal=SIGKILL:when={read}");
        let ran = inspect_with(&stick, &["-P", stick.text(), "-e", "trace=pread64", "-e", &kill], &[]).exits(1);
        let told = format!("{}{}", ran.out, ran.err);
        assert!(told.contains("cannot be judged and is not touched") && told.contains("SIGKILL"), "{told}");
    }
    assert!(std::fs::read(&stick.path).unwrap() == before);
}

#[test]
fn a_reader_that_hangs_is_given_up_after_three_seconds() {
    let stick = Stick::fat32(STICK);
    let begun = Instant::now();
    let stop = ["-P", stick.text(), "-e", "trace=pread64", "-e", "inject=pread64:signal=SIGSTOP:when=2"];
    let ran = inspect_with(&stick, &stop, &[]).exits(1);
    let told = format!("{}{}", ran.out, ran.err);
    assert!(told.contains("did not answer within 3 s"), "{told}");
    assert!((Duration::from_secs(3)..Duration::from_secs(10)).contains(&begun.elapsed()), "{:?}", begun.elapsed());
}

#[test]
fn a_backup_is_refused_when_nobody_could_judge_the_stick() {
    let (site, stick) = (Box::new(), Stick::fat32(STICK));
    let plain = site.command(&["backup", "--stick", stick.text()]);
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-o", "/dev/null", "-P", stick.text(), "-e", "trace=pread64"]);
    command.args(["-e", "inject=pread64:signal=SIGKILL:when=1"]).arg(plain.get_program()).args(plain.get_args());
    ran(command).exits(1).says(&["refused", "cannot be judged"]);
    assert!(site.ids().is_empty());
}

#[test]
fn on_a_kernel_without_landlock_and_seccomp_the_reader_has_limits_alone_and_says_so() {
    let stick = Stick::fat32(STICK);
    let lacks =
        ["-e", "trace=landlock_create_ruleset,seccomp", "-e", "inject=landlock_create_ruleset,seccomp:error=ENOSYS"];
    inspect_with(&stick, &lacks, &["-v"]).exits(0).says(&["confined by limits alone"]);
    let half = ["-e", "trace=landlock_create_ruleset", "-e", "inject=landlock_create_ruleset:error=EOPNOTSUPP"];
    inspect_with(&stick, &half, &["-v"]).exits(0).says(&["confined by seccomp"]);
}

#[test]
fn status_tells_what_the_kernel_has_to_confine_the_reader() {
    let confinement = Box::new().run(&["status", "--json"]).exits(0).json()["confinement"].clone();
    assert!(confinement["seccomp"].is_boolean() && confinement.get("landlock").is_some(), "{confinement}");
}
