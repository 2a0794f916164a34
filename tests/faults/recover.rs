//! A recovery from a stick alone, struck and killed at every system call.

use std::fs;

use crate::kit::{Ran, ran, tillstick};
use crate::restore::{THEN_LATER, last_receipt};
use crate::shop::{Shop, errors, kill, speaks_well};
use crate::strace::Call;

/// What a recovery brings back, the configuration last.
const FILES: [&str; 4] = ["kasse.db", "lager.db", "state/box-id", "tillstick.toml"];

/// The shop burnt down: all that is left is the stick.
pub(crate) fn burn_down(shop: &Shop) {
    for name in FILES.iter().chain(&["kasse.db-wal", "kasse.db-shm"]) {
        let _ = fs::remove_file(shop.path(name));
    }
    fs::remove_dir_all(shop.primary()).unwrap();
}

/// After a recovery that was struck: what it says it brought back is whole, what failed leaves nothing, and the next one
/// brings everything back.
#[track_caller]
pub(crate) fn judge(shop: &Shop, box_id: &[u8], what: &str, ran: &Ran) {
    let there = FILES.map(|name| shop.path(name).exists());
    match ran.code {
        Some(0) => assert_eq!(there, [true; 4], "{what}: {}", ran.out),
        Some(_) => assert_eq!(there, [false; 4], "{what}: {}", ran.err),
        None => assert!(!there[3] || there == [true; 4], "{what}: the configuration is there before the rest"),
    }
    if ran.code.is_some() {
        speaks_well(what, ran);
    }
    if !there[3] {
        let again = ran_recovery(shop);
        assert_eq!(again.code, Some(0), "{what}: the next recovery says {}", again.err);
    }
    assert_eq!(last_receipt(what, &shop.path("kasse.db")), THEN_LATER, "{what}");
    assert!(fs::read(shop.path("state/box-id")).unwrap() == box_id, "{what}: it is another box now");
    shop.next_backup_succeeds(what);
}

pub(crate) fn recovery(shop: &Shop) -> std::process::Command {
    let mut command = tillstick(&["recover", shop.stick().to_str().unwrap(), "--yes", "--quiet"]);
    command.arg("--config").arg(shop.path("tillstick.toml"));
    command
}

fn ran_recovery(shop: &Shop) -> Ran {
    ran(recovery(shop))
}

#[test]
fn whatever_fails_or_kills_a_recovery_the_next_one_brings_everything_back() {
    let shop = Shop::new();
    let box_id = fs::read(shop.path("state/box-id")).unwrap();
    shop.change(&burn_down);
    let faults = |call: &Call| [errors(call), kill(call)].concat();
    shop.strike_all(&|| recovery(&shop), &faults, &|what, ran| judge(&shop, &box_id, what, &ran));
}
