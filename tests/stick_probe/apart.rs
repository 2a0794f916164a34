//! The probe in a process of its own: it finds what the probe finds, and whatever becomes of it, its parent gets an
//! answer in time that does nobody harm.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tillstick::error::{Error, Result};
use tillstick::host::confine::Confinement;
use tillstick::policy::stick::{Look, Reason, StickFacts, StickRules, VerdictKind, judge};
use tillstick::stick::probe::{Layout, Limits, apart, probe};

use crate::kit::{FAT32_SIZE, Image, MIB};

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_tillstick"))
}

fn ask(program: &Path, image: &Image, limits: &Limits) -> Result<Result<Layout>> {
    let file = File::open(&image.path).unwrap();
    apart::ask(program, &file, file.metadata().unwrap().len(), limits)
}

/// A program that is started in place of ours: what a broken or bought parser could do.
struct Impostor {
    dir: tempfile::TempDir,
}

impl Impostor {
    fn that(does: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let script = dir.path().join("impostor");
        fs::write(&script, format!("#!/bin/sh\n{does}\n")).unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        Self { dir }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("impostor")
    }

    /// What its parent says of it, within the time that it is given.
    #[track_caller]
    fn fails(&self, time: Duration) -> Error {
        let begun = Instant::now();
        let limits = Limits { time, ..Limits::default() };
        let error = ask(&self.path(), &Image::empty(MIB), &limits).expect_err("there is no sound answer");
        assert!(begun.elapsed() < time + Duration::from_secs(2), "it took {:?}", begun.elapsed());
        error
    }
}

const LONG: Duration = Duration::from_secs(60);

#[test]
fn a_process_of_its_own_finds_what_the_probe_finds() {
    let shop = Image::fat32();
    shop.mkdir(0, "TILLSTICK");
    shop.put(0, "Ümläute \u{1f4be} und mehr.txt", b"x");
    let divided = Image::divided(100 * MIB, "2048,80M,c\n", &[1]);
    let damaged = Image::fat32();
    damaged.patch(32 * 512 + 8, &[2, 0, 0, 0]);
    let cut = Image::fat32();
    cut.cut(FAT32_SIZE - MIB);
    for image in [shop, divided, damaged, cut, Image::empty(MIB), Image::empty(100), Image::empty(0)] {
        let file = File::open(&image.path).unwrap();
        let here = probe(&file, file.metadata().unwrap().len(), &Limits::default()).unwrap();
        assert_eq!(ask(program(), &image, &Limits::default()).unwrap().unwrap(), here);
    }
}

#[test]
fn what_the_medium_does_not_give_is_told_as_it_was_there() {
    // Said to be larger than it is, like a device that vanished.
    let image = Image::empty(0);
    let file = File::open(&image.path).unwrap();
    let there = apart::ask(program(), &file, MIB, &Limits::default()).unwrap().unwrap_err();
    let here = probe(&file, MIB, &Limits::default()).unwrap_err();
    assert_eq!(there.report(), here.report());
}

#[test]
fn a_child_that_dies_says_nothing_or_cannot_start_is_told_from_each_other() {
    let told = |does: &str| Impostor::that(does).fails(LONG).report();
    assert!(told("kill -KILL $$").contains("SIGKILL"));
    assert!(told("kill -SEGV $$").contains("SIGSEGV"));
    assert!(told("exit 3").contains("exit code 3"));
    let missing = ask(Path::new("/nowhere/tillstick"), &Image::empty(MIB), &Limits::default()).unwrap_err();
    assert!(missing.report().contains("cannot start"), "{}", missing.report());
}

#[test]
fn a_child_that_hangs_is_killed_when_its_time_is_over() {
    for does in ["kill -STOP $$", "exec /bin/sleep 1000", "printf '{'; exec /bin/sleep 1000", "/bin/sleep 20 & exit 0"]
    {
        let told = Impostor::that(does).fails(Duration::from_millis(700)).report();
        assert!(told.contains("did not answer within 0.7 s"), "{does}: {told}");
    }
}

#[test]
fn what_a_child_has_started_is_killed_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let number = dir.path().join("pid");
    let does = format!("/bin/sleep 1000 & echo $! > {}.new; mv {0}.new {0}; wait", number.display());
    Impostor::that(&does).fails(Duration::from_secs(2));
    let pid = fs::read_to_string(&number).unwrap();
    let state = || fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    let begun = Instant::now();
    // Nobody may have collected it yet.
    while !state().is_empty() && !state().contains(") Z ") {
        assert!(begun.elapsed() < LONG, "it lives on: {}", state());
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn an_answer_without_end_is_cut_off() {
    let told = Impostor::that("exec /usr/bin/yes").fails(LONG).report();
    assert!(told.contains("more than"), "{told}");
}

#[test]
fn an_answer_that_makes_no_sense_or_cannot_be_is_not_believed() {
    let volume = |fields: &str| {
        let kept = r#""declared_size":0,"kind":"fat32","label":null,"boot_label":null,"uuid":null,"cluster_size":512,"free":null,"dirty":false,"root":[],"owner":null,"owner_problem":null,"boxes":[],"problem":null,"flaws":[]"#;
        format!(
            r#"{{"confinement":{{"landlock":null,"seccomp":false}},"found":{{"facts":{{"table":"none","volumes":[{{{fields},{kept}}}]}}}}}}"#
        )
    };
    let answers = |answer: &str| Impostor::that(&format!("cat <<'END'\n{answer}\nEND"));
    let sound = answers(&volume(r#""offset":0,"size":1048576"#));
    assert!(ask(&sound.path(), &Image::empty(MIB), &Limits::default()).unwrap().is_ok());
    for (answer, why) in [
        ("no JSON".to_owned(), "expected"),
        (volume("").split_once("[{").unwrap().0.to_owned(), "EOF"),
        (volume(r#""offset":0,"size":1048576"#) + "{}", "trailing"),
        (volume(r#""offset":0,"size":1048576,"trusted":true"#), "unknown field"),
        (volume(r#""offset":0,"size":1048577"#), "behind the end"),
        (volume(r#""offset":18446744073709551615,"size":1"#), "behind the end"),
        (volume(r#""offset":0,"size":-1"#), "invalid value"),
    ] {
        let told = answers(&answer).fails(LONG).report();
        assert!(told.contains("cannot be") && told.contains(why), "{why}: {told}");
    }
}

#[test]
fn a_stick_whose_reader_failed_is_not_judged_and_not_used() {
    let facts = StickFacts { look: Look::NotJudged("it was ended by SIGKILL (9)".into()), ..StickFacts::default() };
    let VerdictKind::Refused(reason @ Reason::NotJudged { .. }) = judge(&facts, &StickRules::default()).kind else {
        panic!("it is used");
    };
    assert!(reason.to_string().contains("cannot be judged and is not touched: it was ended by SIGKILL"));
}

#[test]
fn the_child_has_the_medium_and_its_pipe_and_no_word_of_the_environment() {
    let spy = Impostor::that(
        "/usr/bin/env > $0.env; for fd in 0 1 2 3 4 5 6 7 8 9; do /usr/bin/readlink /proc/$$/fd/$fd; done > $0.fds; exit 3",
    );
    let image = Image::empty(MIB);
    ask(&spy.path(), &image, &Limits::default()).unwrap_err();
    let text = |name: &str| fs::read_to_string(format!("{}.{name}", spy.path().display())).unwrap();
    // A shell makes these itself.
    let own = |line: &&str| ["PWD=", "OLDPWD=", "SHLVL=", "_="].iter().any(|name| line.starts_with(name));
    assert_eq!(text("env").lines().filter(|line| !own(line)).collect::<Vec<_>>(), Vec::<&str>::new());
    let fds = text("fds");
    let open: Vec<&str> = fds.lines().filter(|path| !path.contains("impostor")).collect();
    assert_eq!(open.len(), 3 - 1, "{open:?}");
    assert_eq!(open[0], image.path.to_str().unwrap());
}

#[test]
fn the_layers_that_this_kernel_has_are_put_on() {
    // Where the tests run, the kernel has both; on one that has not this says so.
    assert_eq!(
        Confinement::available().to_string().contains("alone"),
        Confinement::available() == Confinement::default()
    );
}
