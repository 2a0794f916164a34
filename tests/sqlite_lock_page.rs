//! SQLite keeps one page of every database free of data, for locks: the one at 1 GiB. Here it is moved to 1 MiB for the whole
//! process, so that every page size costs a few megabytes; `sqlite_large` has it where it is.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod sqlite_kit;

use std::ffi::c_int;

use rusqlite::ffi;
use sqlite_kit::fill::fill;
use sqlite_kit::{Desk, dump, same, source};
use tillstick::model::{Cancel, Quiet, Run};
use tillstick::source::sqlite::{LoadOptions, load};

const MIB: u64 = 1 << 20;

/// Puts SQLite's lock page, which holds no data, at this byte of every database; it is at 1 GiB otherwise.
fn lock_page_at(byte: u64) {
    let byte = c_int::try_from(byte).unwrap();
    // SAFETY: the operation takes an int, and no database is open yet.
    unsafe { ffi::sqlite3_test_control(ffi::SQLITE_TESTCTRL_PENDING_BYTE, byte) };
}

#[test]
fn a_database_past_the_lock_page_comes_back_with_every_page_size_and_journal() {
    lock_page_at(MIB);
    let cancel = Cancel::default();
    let run = Run { monitor: &Quiet, cancel: &cancel };
    for page_size in [512, 1024, 2048, 4096, 8192, 16_384, 32_768, 65_536] {
        for journal_mode in ["wal", "delete"] {
            // The copy in steps that a database without a log gets begins at 4 MiB.
            let size = if journal_mode == "delete" && page_size == 4096 { 6 * MIB } else { 2 * MIB };
            let desk = Desk::with(&format!("PRAGMA page_size={page_size}; PRAGMA journal_mode={journal_mode}"));
            fill(&desk.open(), 50_000, size);
            let (text, _) = desk.dump();
            let loaded = desk.path("loaded.db");
            load(&mut text.as_bytes(), &loaded, &LoadOptions::default(), &run).unwrap();
            same(&desk.db(), &loaded);
            assert!(dump(&source(&loaded, &desk.path("spool"))).unwrap().0 == text, "{page_size} {journal_mode}");
            assert!(std::fs::metadata(&loaded).unwrap().len() > MIB + 2 * page_size);
        }
    }
}
