//! Disks that are really full: a limit on the size of files, which cuts writes short, and small file systems.

use std::fs;
use std::process::Command;

use crate::kit::{Mounted, Ran, is_root, ran, tool_command};
use crate::restore::{THEN, last_receipt};
use crate::shop::{Shop, speaks_well, tree};
use crate::{backup, proof, recover, restore};

/// The same command where no file may grow beyond `bytes`: what is written across that limit is written in part.
fn with_file_limit(bytes: u64, command: &Command) -> Ran {
    let mut limited = Command::new("prlimit");
    limited.arg(format!("--fsize={bytes}")).arg(command.get_program()).args(command.get_args());
    limited.env("LC_ALL", "C");
    ran(limited)
}

/// Limits from nothing to more than any file here needs; the stick's image is larger than all of them.
fn limits() -> impl Iterator<Item = u64> {
    (0..45_000).step_by(proof::cases(4567, 509) as usize)
}

#[test]
fn writes_that_are_cut_short_fail_a_backup_and_nothing_is_lost() {
    let shop = Shop::new();
    let mut failed = 0;
    for limit in limits() {
        shop.reset();
        let struck = with_file_limit(limit, &shop.backup());
        failed += u32::from(struck.code != Some(0));
        backup::judge(&shop, &format!("files end at {limit}"), &struck);
    }
    assert!(failed > 0);
}

#[test]
fn writes_that_are_cut_short_fail_a_restore_and_nothing_is_lost() {
    let shop = Shop::new();
    let args = restore::in_place(&shop);
    let mut failed = 0;
    for limit in limits() {
        shop.reset();
        let struck = with_file_limit(limit, &shop.command(&args));
        failed += u32::from(struck.code != Some(0));
        restore::judge_in_place(&shop, &format!("files end at {limit}"), &struck);
    }
    assert!(failed > 0);
}

#[test]
fn writes_that_are_cut_short_fail_a_recovery_and_the_next_one_succeeds() {
    let shop = Shop::new();
    let box_id = fs::read(shop.path("state/box-id")).unwrap();
    shop.change(&recover::burn_down);
    let mut failed = 0;
    for limit in limits() {
        shop.reset();
        let struck = with_file_limit(limit, &recover::recovery(&shop));
        failed += u32::from(struck.code != Some(0));
        recover::judge(&shop, &box_id, &format!("files end at {limit}"), &struck);
    }
    assert!(failed > 0);
}

/// A file system in memory with so little room, or nothing where nobody may mount one.
fn small(shop: &Shop, options: &str) -> Option<Mounted> {
    let place = shop.path("small");
    fs::create_dir(&place).unwrap();
    let args = ["-t", "tmpfs", "-o", options, "tmpfs", place.to_str().unwrap()];
    if is_root() {
        return Some(Mounted::at(&args, place.clone()));
    }
    let denied = tool_command("mount", &args).output().unwrap();
    assert!(!denied.status.success(), "only root mounts");
    None
}

#[test]
fn a_disk_that_fills_up_during_a_restore_is_told_and_is_as_it_was() {
    let shop = Shop::new();
    let mut told = 0;
    for pages in (1..24).step_by(proof::cases(5, 1) as usize) {
        shop.reset();
        let Some(_mounted) = small(&shop, &format!("size={}", pages * 4096)) else { return };
        let target = shop.path("small/look.db");
        let args = ["restore", &shop.ids[0], "--source", "kasse", "--into", target.to_str().unwrap()];
        let struck = shop.run(&args);
        let what = format!("{pages} pages");
        speaks_well(&what, &struck);
        if struck.code == Some(0) {
            // SQLite cannot look into a database in WAL mode where there is no room for another file.
            let copy = shop.path("copy.db");
            fs::copy(&target, &copy).unwrap();
            assert_eq!(last_receipt(&what, &copy), THEN);
            continue;
        }
        told += 1;
        assert!(struck.err.contains("full") || struck.err.contains("No space"), "{what}: {}", struck.err);
        assert_eq!(fs::read_dir(shop.path("small")).unwrap().count(), 0, "{what}: a rest takes the last room");
    }
    assert!((1..24).contains(&told));
}

#[test]
fn a_primary_that_can_hold_no_more_files_is_told_and_keeps_what_it_has() {
    let shop = Shop::new();
    let mut told = 0;
    // What is there: the folder, and two backups of a folder each.
    let there = tree(&shop.primary()).len() + 3;
    for inodes in (there..there + 16).step_by(proof::cases(4, 1) as usize) {
        shop.reset();
        let Some(_mounted) = small(&shop, &format!("nr_inodes={inodes}")) else { return };
        let copied =
            tool_command("cp", &["-a", &format!("{}/.", shop.primary().display())]).arg(shop.path("small")).status();
        assert!(copied.unwrap().success(), "{inodes} inodes hold not even what is there");
        let config = fs::read_to_string(shop.path("tillstick.toml")).unwrap();
        let backups = shop.primary().display().to_string();
        let elsewhere = config.replace(&backups, shop.path("small").to_str().unwrap());
        fs::write(shop.path("tillstick.toml"), elsewhere).unwrap();
        let struck = ran(shop.backup());
        let what = format!("{inodes} inodes");
        speaks_well(&what, &struck);
        told += u32::from(struck.code != Some(0));
        fs::write(shop.path("tillstick.toml"), &config).unwrap();
        shop.holds_the_earlier(&shop.path("small"), &what);
        shop.all_is_whole(&what);
    }
    assert!(told > 0);
}
