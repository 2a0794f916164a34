//! A restore, into a new database and into the place of the old one, struck and killed at every system call.

use std::fs;
use std::path::Path;

use crate::kit::{Ran, names, ran, tool_command};
use crate::shop::{Shop, errors, kill, speaks_well};
use crate::strace::Call;

/// What the till had sold when the backup was made, and has sold now: the clerk and the number of the last receipt.
pub(crate) const THEN: &str = "301 Søren";
/// The same of the second backup.
pub(crate) const THEN_LATER: &str = "302 Søren";
const NOW: &str = "301 Zoë";

/// The last receipt in a database that SQLite finds whole.
#[track_caller]
pub(crate) fn last_receipt(what: &str, database: &Path) -> String {
    let sql = "PRAGMA integrity_check; SELECT id || ' ' || clerk FROM receipts ORDER BY id DESC LIMIT 1";
    let answer = ran(tool_command("sqlite3", &[database.to_str().unwrap(), sql]));
    match (answer.code, answer.out.strip_prefix("ok\n")) {
        (Some(0), Some(last)) => last.trim().to_owned(),
        _ => panic!("{what}: {database:?} says {}{}", answer.out, answer.err),
    }
}

/// The databases that were set aside, with what SQLite keeps beside them.
fn aside(shop: &Shop) -> Vec<String> {
    names(&shop.path("")).into_iter().filter(|name| name.contains(".before-")).collect()
}

pub(crate) fn in_place(shop: &Shop) -> [&str; 6] {
    ["restore", &shop.ids[0], "--source", "kasse", "--in-place", "--yes"]
}

/// After a restore in place that was struck: the old database or the new one is at its place, whole, and the old one is
/// never lost.
#[track_caller]
pub(crate) fn judge_in_place(shop: &Shop, what: &str, ran: &Ran) {
    if ran.code.is_some() {
        speaks_well(what, ran);
    }
    shop.earlier_are_whole(what);
    let database = shop.path("kasse.db");
    let kept = aside(shop);
    // Looking changes what is beside it, so that is looked at first.
    let is = last_receipt(what, &database);
    match ran.code {
        Some(0) => {
            assert_eq!(is, THEN, "{what}");
            assert!(ran.out.contains(&kept[0]), "{what}: {} does not say {kept:?}", ran.out);
        }
        Some(_) if is == THEN => assert!(ran.err.contains(&kept[0]), "{what}: {} does not say {kept:?}", ran.err),
        Some(_) => assert_eq!(kept, [""; 0], "{what}: {}", ran.err),
        None => {}
    }
    if is == THEN {
        assert_eq!(last_receipt(what, &shop.path(&kept[0])), NOW, "{what}: the old database");
    } else {
        assert_eq!(is, NOW, "{what}");
    }
    let again = shop.run(&in_place(shop));
    assert_eq!(again.code, Some(0), "{what}: the next restore says {}", again.err);
    assert_eq!(last_receipt(what, &database), THEN, "{what}: after the next restore");
    let kept: Vec<String> = aside(shop).iter().map(|name| last_receipt(what, &shop.path(name))).collect();
    assert!(kept.contains(&NOW.to_owned()), "{what}: the old database is lost: {:?}", aside(shop));
    shop.is_swept(what);
}

#[test]
fn whatever_fails_during_a_restore_in_place_the_old_database_is_never_lost() {
    let shop = Shop::new();
    let restore = || shop.command(&in_place(&shop));
    shop.strike_all(&restore, &errors, &|what, ran| judge_in_place(&shop, what, &ran));
}

#[test]
fn killed_anywhere_a_restore_in_place_leaves_the_old_database_or_the_new_one() {
    let shop = Shop::new();
    let restore = || shop.command(&in_place(&shop));
    shop.strike_all(&restore, &kill, &|what, ran| judge_in_place(&shop, what, &ran));
}

#[test]
fn killed_anywhere_a_restore_keeps_a_database_that_cannot_be_opened_with_its_log() {
    let shop = Shop::new();
    let old = b"no database any more".to_vec();
    shop.change(&|shop| fs::write(shop.path("kasse.db"), &old).unwrap());
    let log = fs::read(shop.path("kasse.db-wal")).unwrap();
    let is_kept = || {
        let read = |name: String| fs::read(shop.path(&name)).ok();
        let is_old =
            |name: &String| read(name.clone()) == Some(old.clone()) && read(format!("{name}-wal")) == Some(log.clone());
        aside(&shop).iter().chain(&["kasse.db".to_owned()]).any(is_old)
    };
    let restore = || shop.command(&in_place(&shop));
    shop.strike_all(&restore, &kill, &|what, _| {
        assert!(is_kept(), "{what}: neither name has the database and its log");
        let again = shop.run(&in_place(&shop));
        assert_eq!(again.code, Some(0), "{what}: the next restore says {}", again.err);
        assert!(is_kept(), "{what}: the next restore lost it");
        assert_eq!(last_receipt(what, &shop.path("kasse.db")), THEN, "{what}");
        shop.is_swept(what);
    });
}

/// After a restore into a new file that was struck: there is none, or it is whole.
#[track_caller]
fn judge_into(shop: &Shop, what: &str, ran: &Ran) {
    let target = shop.path("look.db");
    shop.earlier_are_whole(what);
    if ran.code.is_some() {
        speaks_well(what, ran);
        assert_eq!(ran.code == Some(0), target.exists(), "{what}: {}{}", ran.out, ran.err);
    }
    if target.exists() {
        assert_eq!(last_receipt(what, &target), THEN, "{what}");
        fs::remove_file(&target).unwrap();
    }
    let again = shop.run(&["restore", &shop.ids[0], "--source", "kasse", "--into", target.to_str().unwrap()]);
    assert_eq!(again.code, Some(0), "{what}: the next restore says {}", again.err);
    assert_eq!(last_receipt(what, &target), THEN, "{what}: after the next restore");
    shop.is_swept(what);
}

#[test]
fn whatever_fails_during_a_restore_into_a_new_file_there_is_none_or_a_whole_one() {
    let shop = Shop::new();
    let target = shop.path("look.db");
    let args = ["restore", &shop.ids[0], "--source", "kasse", "--into", target.to_str().unwrap()];
    let restore = || shop.command(&args);
    let faults = |call: &Call| [errors(call), kill(call)].concat();
    shop.strike_all(&restore, &faults, &|what, ran| judge_into(&shop, what, &ran));
}
