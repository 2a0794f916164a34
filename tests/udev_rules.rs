//! The udev rules: they tag, and do nothing else; and udev itself takes them.
#![allow(clippy::unwrap_used, reason = "a test stops where something is wrong")]

use std::fs;
use std::process::Command;

use jiff::Timestamp;
use tillstick::policy::automount;
use tillstick::policy::enrol::{Enrolment, Marks};

const TAGGING: &str = "udev-rules/70-tillstick.rules";

/// `KEY{attribute}`, the operator, and the value of each part of a rule.
fn parts(line: &str) -> Vec<(String, String, String)> {
    let mut parts = Vec::new();
    let mut rest = line.trim();
    while !rest.is_empty() {
        let end = rest.find(['=', '!', '+', '-', ':']).unwrap_or_else(|| panic!("no operator in {rest:?}"));
        let (key, tail) = rest.split_at(end);
        let quote = tail.find('"').unwrap_or_else(|| panic!("no value in {rest:?}"));
        let (operator, tail) = tail.split_at(quote);
        let close = tail[1..].find('"').unwrap_or_else(|| panic!("an open quote in {rest:?}")) + 1;
        parts.push((key.to_owned(), operator.to_owned(), tail[1..close].to_owned()));
        rest = tail[close + 1..].trim_start_matches([',', ' ']);
    }
    parts
}

/// Everything that a rule may do: match, jump, and set one of these properties to a fixed value.
fn only_tags(text: &str, sets: &[&str]) {
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()) {
        for (key, operator, value) in parts(line) {
            let name = key.split('{').next().unwrap();
            // Substitutions, which would hand on what a device says, and escapes.
            assert!(!value.contains(['$', '%', '\\', '\n']), "{line}");
            match operator.as_str() {
                "==" | "!=" => {
                    let known = ["ACTION", "SUBSYSTEM", "SUBSYSTEMS", "ATTRS", "ENV"];
                    assert!(known.contains(&name), "{key} is matched in {line}");
                }
                "=" => {
                    let jump = ["GOTO", "LABEL"].contains(&name);
                    assert!(jump || sets.contains(&key.as_str()), "{key} is set in {line}");
                }
                _ => panic!("{key}{operator} in {line}"),
            }
        }
    }
}

fn rule(serial: &str) -> String {
    let marks = Marks { serial: Some(serial.into()), uuid: None };
    let enrolment = Enrolment { id: "00ff00ff00ff00ff".into(), marks, since: Timestamp::UNIX_EPOCH, adopted: false };
    automount::rule(&enrolment).unwrap()
}

const OWN: [&str; 4] = ["ENV{UDISKS_IGNORE}", "ENV{UDISKS_AUTO}", "ENV{UDISKS_SYSTEM}", "ENV{SYSTEMD_WANTS}"];

#[test]
fn the_rules_only_tag() {
    let text = fs::read_to_string(TAGGING).unwrap();
    only_tags(&text, &["ENV{TILLSTICK_ROLE}"]);
    for line in text.lines().filter(|line| line.contains("ENV{TILLSTICK_ROLE}=\"")) {
        assert!(line.ends_with("=\"tse\"") || line.ends_with("=\"stick\""), "{line}");
    }
    assert!(
        text.rfind("=\"stick\"").unwrap() < text.find("=\"tse\"\n").unwrap_or(usize::MAX),
        "a TSE has the last word"
    );
    for serial in ["070B3C9F00", "AB12\", RUN+=\"/bin/sh -c reboot", "AB12$(reboot)%k$env{X}", "AB12\\\"x"] {
        only_tags(&rule(serial), &OWN);
    }
}

#[test]
#[should_panic(expected = "RUN is set")]
fn a_rule_that_starts_something_would_be_found() {
    only_tags("ACTION==\"add\", RUN=\"/bin/true\"\n", &OWN);
}

/// udev reads all rules, whatever it is asked to try them on; in a mount space of its own, with these beside the system's.
#[test]
fn udev_takes_the_rules() {
    let is_root = nix::unistd::geteuid().is_root();
    let udevadm =
        ["/usr/bin/udevadm", "/bin/udevadm", "/sbin/udevadm"].into_iter().find(|path| fs::metadata(path).is_ok());
    let (true, Some(udevadm)) = (is_root, udevadm) else {
        println!("no udevadm here, or no right to a mount space: only our own check was made");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    fs::copy(TAGGING, dir.path().join("70-tillstick.rules")).unwrap();
    fs::write(dir.path().join("99-own.rules"), rule("AB12\", RUN+=\"/bin/sh")).unwrap();
    // What must be told, or the check is worth nothing.
    fs::write(dir.path().join("99-wrong.rules"), "ACTION==\"add\", NONSENSE=\"x\"\n").unwrap();
    let script = "mount --bind \"$1\" /etc/udev/rules.d && exec \"$2\" test /sys/class/mem/null";
    fs::create_dir_all("/etc/udev/rules.d").unwrap();
    let args = ["--mount", "sh", "-c", script, "sh", dir.path().to_str().unwrap(), udevadm];
    let done = Command::new("unshare").args(args).output().unwrap();
    let said = String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned();
    for read in ["70-tillstick.rules", "99-own.rules", "99-wrong.rules"] {
        assert!(said.contains(&format!("/etc/udev/rules.d/{read}")), "{read} was not read: {said}");
    }
    let complaints: Vec<&str> = said.lines().filter(|line| line.contains("/etc/udev/rules.d/")).collect();
    let complaints: Vec<_> = complaints.into_iter().filter(|line| !line.starts_with("Reading rules file:")).collect();
    assert!(complaints.len() == 1 && complaints[0].contains("99-wrong.rules"), "{complaints:#?}");
}
