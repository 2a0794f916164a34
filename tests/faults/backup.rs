//! A backup, to the primary and to a stick, struck at every system call.

use crate::kit::Ran;
use crate::shop::{Shop, errors, kill, speaks_well};
use crate::strace::{Call, Fault};

/// After a backup that was struck: no false success, nothing lost, and the next one is as good as any.
pub(crate) fn judge(shop: &Shop, what: &str, ran: &Ran) {
    if ran.code.is_some() {
        speaks_well(what, ran);
    }
    shop.all_is_whole(what);
    let said = ran.out.strip_prefix("Database backed up. ").and_then(|rest| rest.lines().next());
    match (ran.code, said) {
        (Some(code @ (0 | 3)), Some(id)) => {
            let drilled = shop.run(&["check", "--drill", id]);
            assert_eq!(drilled.code, Some(0), "{what}: {}{}", drilled.out, drilled.err);
            if code == 0 {
                // A key that cannot be read stops no backup; it is told, and the copy believed when somebody says so.
                let unsigned = ran.err.contains("the backup is not signed");
                let all = ["check", id, "--trust-unknown"];
                let on_stick = shop.run_on_stick(if unsigned { &all } else { &all[..2] });
                assert_eq!(on_stick.code, Some(0), "{what}: {}{}", on_stick.out, on_stick.err);
            }
            assert_eq!(code == 0, ran.out.contains("may be pulled"), "{what}: {}", ran.out);
        }
        (Some(1 | 2) | None, None) => {}
        _ => panic!("{what}: code {:?} with {:?} and {:?}", ran.code, ran.out, ran.err),
    }
    shop.next_backup_succeeds(what);
}

#[test]
fn whatever_fails_during_a_backup_is_told_and_nothing_is_lost() {
    let shop = Shop::new();
    let backup = || shop.backup();
    shop.strike_all(&backup, &errors, &|what, ran| judge(&shop, what, &ran));
}

#[test]
fn whatever_fails_during_a_backup_into_a_folder_is_told_and_nothing_is_lost() {
    let shop = Shop::with_a_folder();
    let backup = || shop.backup();
    shop.strike_all(&backup, &errors, &|what, ran| judge(&shop, what, &ran));
}

#[test]
fn a_stick_or_a_disk_that_vanishes_during_a_backup_costs_nothing_that_was_there() {
    let shop = Shop::new();
    let backup = || shop.backup();
    let faults = |call: &Call| {
        let on_stick = call.path.ends_with("stick.img");
        match on_stick {
            true => vec![Fault::FileGone("ENODEV")],
            // Each thread is counted alone.
            false if call.is_by_main => vec![Fault::AllGone("EIO")],
            false => vec![],
        }
    };
    shop.strike_all(&backup, &faults, &|what, ran| judge(&shop, what, &ran));
}

#[test]
fn killed_anywhere_a_backup_leaves_nothing_that_looks_finished_and_the_next_one_succeeds() {
    let shop = Shop::new();
    let backup = || shop.backup();
    shop.strike_all(&backup, &kill, &|what, ran| judge(&shop, what, &ran));
}
