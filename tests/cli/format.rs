//! `stick format`: it shows, it asks, it erases; and what must stay stays.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::process::Stdio;

use nix::pty::openpty;

use crate::kit::{Box, MIB, Ran, STICK, Stick, ran};

const GB: u64 = 1_000_000_000;

/// Neither with nor without a question does it become another stick.
#[track_caller]
fn refused(site: &Box, stick: &Stick, words: &[&str]) {
    let before = fs::read(&stick.path).unwrap();
    site.run(&["stick", "format", stick.text(), "--yes", "--erase-backups"]).says(words);
    assert!(fs::read(&stick.path).unwrap() == before, "the stick was written to");
}

/// At a terminal on which `answer` is typed.
fn typed(site: &Box, args: &[&str], answer: &str) -> Ran {
    let pty = openpty(None, None).unwrap();
    let mut keyboard = File::from(pty.master);
    keyboard.write_all(answer.as_bytes()).unwrap();
    let terminal: OwnedFd = pty.slave;
    let mut command = site.command(args);
    command.stdin(Stdio::from(terminal));
    ran_with(command)
}

fn ran_with(command: std::process::Command) -> Ran {
    let mut command = command;
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (mut out, mut err) = (String::new(), String::new());
    child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    Ran { code: child.wait().unwrap().code(), out, err }
}

#[test]
fn an_exfat_stick_becomes_one_that_takes_a_backup() {
    let site = Box::new();
    let stick = Stick::made(64 * MIB, "mkfs.exfat", &["-L", "Urlaub"]);
    site.run(&["backup", "--stick", stick.text()]).exits(1).says(&["exFAT"]);
    let done = site.run(&["stick", "format", stick.text(), "--yes", "--json", "--name", "kasse"]).exits(0);
    let json = done.json();
    assert_eq!(json["label"], "KASSE");
    assert!(done.err.contains("\"stage\":\"format\"") && !done.err.contains("\"message\""), "{}", done.err);
    site.run(&["stick", "inspect", stick.text()]).exits(0).prints(&[json["uuid"].as_str().unwrap(), "KASSE"]);
    site.run(&["backup", "--stick", stick.text()]).exits(0);
    site.run(&["check", "--stick", stick.text(), "--drill"]).exits(0);
}

#[test]
fn what_is_on_it_is_shown_and_a_typed_word_is_asked_for() {
    let site = Box::new();
    let stick = Stick::fat32(STICK);
    stick.put("Urlaub.jpg", b"picture");
    stick.put("zeile\u{202e}.txt", b"hostile");
    let before = fs::read(&stick.path).unwrap();
    let args = ["stick", "format", stick.text()];
    site.run(&args).exits(2).says(&["Urlaub.jpg", "no terminal", "--yes"]);
    for wrong in ["\n", "y\n", "yes\n", "stick\n", "\u{4}"] {
        typed(&site, &args, wrong).exits(1).says(&["nothing was changed"]);
    }
    assert!(fs::read(&stick.path).unwrap() == before, "the stick was written to");
    let done = typed(&site, &args, "stick.img\n").exits(0).prints(&["Formatted", "FAT32"]);
    assert!(done.err.contains("FAT32") && done.err.contains("Urlaub.jpg"), "{}", done.err);
    assert!(!done.err.contains('\u{202e}'), "no name of a stick steers the terminal: {}", done.err);
    assert!(fs::read(&stick.path).unwrap() != before);
}

#[test]
fn a_tse_is_never_formatted() {
    let site = Box::new();
    let stick = Stick::fat32(STICK);
    stick.put("TSE_INFO.DAT", b"\x01");
    refused(&site, &stick, &["TSE"]);
    refused(&site, &Stick::made(STICK, "mkfs.vfat", &["-F", "32", "-s", "1", "-n", "SWISSBIT"]), &["TSE"]);
}

#[test]
fn what_is_too_small_write_protected_or_no_stick_stays_as_it_is() {
    let site = Box::new();
    refused(&site, &Stick::empty(20 * MIB), &["FAT32 needs"]);
    refused(&site, &Stick::empty(0), &[]);
    let stick = Stick::fat32(STICK);
    let mut mode = fs::metadata(&stick.path).unwrap().permissions();
    mode.set_readonly(true);
    fs::set_permissions(&stick.path, mode).unwrap();
    refused(&site, &stick, &["write-protected"]);
    site.run(&["stick", "format", site.primary().to_str().unwrap(), "--yes"]).exits(2).says(&["is a folder"]);
    site.run(&["stick", "format", "/dev/null", "--yes"]).exits(2);
    site.run(&["stick", "format", "/nowhere", "--yes"]).exits(1);
}

#[test]
fn backups_are_erased_only_when_told_and_then_count_no_more() {
    let (site, other) = (Box::new(), Box::new());
    other.configure_as("999999", "kasse-9", "", "");
    let stick = Stick::fat32(STICK);
    site.run(&["backup", "--stick", stick.text()]).exits(0);
    let before = fs::read(&stick.path).unwrap();
    for who in [&site, &other] {
        who.run(&["stick", "format", stick.text(), "--yes"]).exits(1).says(&["004711 / kasse-1", "--erase-backups"]);
    }
    assert!(fs::read(&stick.path).unwrap() == before, "the stick was written to");
    let copies = |site: &Box| fs::read_to_string(site.primary().join(&site.ids()[0]).join("copies.json")).unwrap();
    assert!(copies(&site).contains("verified"));
    site.run(&["stick", "format", stick.text(), "--yes", "--erase-backups"]).exits(0).says(&["BACKUPS of"]);
    assert!(!copies(&site).contains("verified"), "nobody relies on a copy that is gone");
    site.run(&["backup", "--stick", stick.text()]).exits(0);
}

#[test]
fn without_any_configuration_a_large_stick_is_formatted() {
    let stick = Stick::empty(128 * GB);
    let none = format!("--config={}", stick.path.with_extension("toml").display());
    ran(crate::kit::tillstick(&[&none, "stick", "format", stick.text(), "--yes"]))
        .exits(0)
        .prints(&["Formatted", "128.0 GB"]);
    ran(crate::kit::tillstick(&[&none, "stick", "inspect", stick.text()])).exits(0);
}

/// Killed at any moment it leaves a stick that is refused, and the next attempt makes it good.
#[test]
fn killed_in_the_middle_the_stick_is_refused_until_it_is_formatted() {
    let site = Box::new();
    let stick = Stick::fat32(STICK);
    let mut struck = 0;
    for wait in 0..12 {
        let mut child = site
            .command(&["stick", "format", stick.text(), "--yes"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(std::time::Duration::from_millis(3 * wait));
        child.kill().unwrap();
        child.wait().unwrap();
        let usable = site.run(&["stick", "inspect", stick.text()]).code == Some(0);
        struck += u32::from(!usable);
        let backup = site.run(&["backup", "--stick", stick.text()]);
        assert_eq!(backup.code, Some(if usable { 0 } else { 1 }), "{}", backup.err);
        site.run(&["stick", "format", stick.text(), "--yes", "--erase-backups"]).exits(0);
    }
    println!("{struck} of 12 were struck in the middle");
}
