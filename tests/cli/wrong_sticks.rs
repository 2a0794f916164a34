//! Sticks that are not for backups: refused before anything is dumped, and not a byte of them changes.

use std::fs;

use crate::kit::{Box, MIB, STICK, Stick};

/// `backup` and `stick inspect` refuse it with these words, and neither the stick nor the primary changes.
#[track_caller]
fn refused(site: &Box, stick: &Stick, words: &[&str]) {
    let (before, backups) = (fs::read(&stick.path).unwrap(), site.ids());
    site.run(&["backup", "--stick", stick.text()]).exits(1).says(&["stick.img", "refused"]).says(words);
    let inspected = site.run(&["stick", "inspect", stick.text()]).exits(1);
    assert!(!inspected.out.is_empty());
    assert_eq!(site.ids(), backups, "a wrong stick is told before a dump, not after it");
    assert!(fs::read(&stick.path).unwrap() == before, "the stick was written to");
}

#[test]
fn a_tse_is_refused() {
    let stick = Stick::fat32(STICK);
    stick.put("TSE_INFO.DAT", b"\x01");
    stick.put("TSE_COMM.DAT", b"\x01");
    refused(&Box::new(), &stick, &["TSE"]);
}

#[test]
fn foreign_file_systems_and_blank_sticks_are_refused() {
    let site = Box::new();
    refused(&site, &Stick::made(STICK, "mkfs.ntfs", &["-q", "-F"]), &["NTFS"]);
    refused(&site, &Stick::made(STICK, "mkfs.exfat", &[]), &["exFAT"]);
    refused(&site, &Stick::made(STICK, "mkfs.ext4", &["-q", "-F"]), &["ext"]);
    refused(&site, &Stick::empty(STICK), &[]);
    refused(&site, &Stick::empty(0), &[]);
}

#[test]
fn a_stick_that_claims_more_than_it_has_is_refused() {
    let stick = Stick::fat32(STICK);
    fs::File::options().write(true).open(&stick.path).unwrap().set_len(STICK - MIB).unwrap();
    refused(&Box::new(), &stick, &[]);
}

#[test]
fn another_customers_stick_is_refused_and_can_still_be_read() {
    let (theirs, stick) = (Box::new(), Stick::fat32(STICK));
    theirs.configure_as("999999", "kasse-1", "", "");
    theirs.run(&["backup", "--stick", stick.text()]).exits(0);
    let ours = Box::new();
    refused(&ours, &stick, &["999999"]);
    ours.run(&["list", "--stick", stick.text()]).exits(0);
    ours.run(&["check", "--stick", stick.text()]).exits(1).prints(&["not known here"]);
    ours.run(&["check", "--stick", stick.text(), "--trust-unknown"]).exits(0);
}

#[test]
fn a_read_only_image_is_refused_even_for_root() {
    let stick = Stick::fat32(STICK);
    let mut mode = fs::metadata(&stick.path).unwrap().permissions();
    mode.set_readonly(true);
    fs::set_permissions(&stick.path, mode).unwrap();
    refused(&Box::new(), &stick, &[]);
}

#[test]
fn a_stick_that_is_not_there_is_named() {
    let site = Box::new();
    site.run(&["backup", "--stick", "/nowhere/stick.img"]).exits(1).says(&["/nowhere/stick.img"]);
    assert!(site.ids().is_empty());
}
