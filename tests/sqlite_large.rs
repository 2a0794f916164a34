//! A database of 2 GB, and such that reach past SQLite's lock page at 1 GiB, dumped and loaded by the program.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod proof;
mod sqlite_kit;

use std::path::Path;
use std::process::{Command, Stdio};

use rusqlite::Connection;
use sqlite_kit::all;
use sqlite_kit::fill::fill;

const MIB: u64 = 1 << 20;

/// What a dump or a load may ask the system for, in bytes: its memory and its threads' stacks.
const MEMORY: u64 = 80 * MIB;

/// The program, its peak memory bounded.
fn program(args: &[&str]) -> Command {
    let mut command = Command::new("prlimit");
    command.arg(format!("--data={MEMORY}")).arg(env!("CARGO_BIN_EXE_tillstick")).args(args);
    command
}

/// Dumps and loads as a person would; the loaded one must dump to the same text.
fn comes_back(database: &Path, dir: &Path) {
    let loaded = dir.join("loaded.db");
    let url = |path: &Path| format!("sqlite:{}", path.display());
    let dump = |from: &Path, to: &str| {
        let output =
            program(&["dump", &url(from), "-o", to, "--json", "--quiet"]).stderr(Stdio::inherit()).output().unwrap();
        assert!(output.status.success());
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()
    };
    let (first, second) = (dir.join("first.sql.gz"), dir.join("second.sql.gz"));
    dump(database, first.to_str().unwrap());
    let done = program(&["load", first.to_str().unwrap(), &url(&loaded), "--quiet"]).status().unwrap();
    assert!(done.success());
    let ask = |path: &Path| all(&Connection::open(path).unwrap(), "SELECT count(*), sum(length(data)) FROM large");
    assert_eq!(ask(&loaded), ask(database));
    dump(&loaded, second.to_str().unwrap());
    assert!(
        std::fs::read(first).unwrap() == std::fs::read(second).unwrap(),
        "the loaded database dumps to another text"
    );
}

/// In full mode; beside a change they have 12 MiB.
#[test]
fn a_database_of_2_gb_and_those_past_the_lock_page_come_back_in_little_memory() {
    for (page_size, size) in [(4096, 2_000_000_000), (512, 1100 * MIB), (65_536, 1100 * MIB)] {
        let size = if proof::is_full() { size } else { 12 * MIB };
        let dir = tempfile::tempdir().unwrap();
        let database = dir.path().join("till.db");
        let db = Connection::open(&database).unwrap();
        db.execute_batch(&format!("PRAGMA page_size={page_size}; PRAGMA journal_mode=off; PRAGMA synchronous=off"))
            .unwrap();
        fill(&db, 1 << 20, size);
        db.execute_batch("PRAGMA journal_mode=wal").unwrap();
        drop(db);
        comes_back(&database, dir.path());
    }
}
