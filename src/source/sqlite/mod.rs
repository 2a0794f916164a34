//! SQLite as a source: one consistent snapshot as SQL text that gives the same database again.
//!
//! [`snapshot`] takes a state that no longer changes (with [`copy`], [`recover`], [`spool`]), [`dump`] tells what is
//! written in which order, [`schema`] and [`virt`] read what there is, [`rows`] and [`text`] write values, [`open`] keeps
//! the source unchanged and explains failures. [`load`] is the way back. `unsafe` is in [`raw`] and [`load`] alone.

mod copy;
mod dump;
mod load;
mod open;
mod out;
mod place;
mod raw;
mod real;
mod recover;
mod rows;
mod schema;
mod snapshot;
mod spool;
mod text;
mod virt;

use std::path::PathBuf;
use std::time::Duration;

pub use load::{Loaded, Options as LoadOptions, Scanner, load};
use open::describe;
pub use place::Place;
use schema::Pages;

use super::Source;
use crate::error::Result;
use crate::model::{Cancel, Quiet, Run, Sink, SourceFacts, Stage};

/// How the first line of our own dumps begins. Such a text is complete only with [`END_MARK`] as its last line.
pub const HEADER_PREFIX: &str = "-- tillstick";

/// The last line of our own dumps.
pub const END_MARK: &str = "-- tillstick: end of dump";

/// One SQLite database, read where it is.
#[derive(Debug, Clone)]
pub struct Sqlite {
    /// The database file.
    pub path: PathBuf,
    /// A folder for temporary copies, which must exist. A database in rollback-journal mode needs its size there.
    pub spool: PathBuf,
    /// How long we wait for another program's lock.
    pub lock_wait: Duration,
    /// How long we may keep writers waiting when a database in rollback-journal mode is written to all the time.
    pub locked_pass: Duration,
}

/// Bytes of text for a byte of database in use: two till-like databases gave 0.96 and 1.35. BLOBs alone come near 2.
const TEXT_PER_BYTE: (u64, u64) = (135, 100);

impl Source for Sqlite {
    /// Reads one page.
    fn estimate(&self) -> Result<u64> {
        let cancel = Cancel::default();
        let run = Run { monitor: &Quiet, cancel: &cancel };
        let real = open::locate(&self.path)?;
        let db = open::read_only(&real)?;
        match open::patiently(self.lock_wait, &run, || Pages::read(&db))? {
            Ok(pages) => Ok(text_of(pages.bytes_in_use())),
            // The dump will recover a copy; until then the size of the file is the best guess.
            Err(error) if open::needs_recovery(&error) => {
                let size = std::fs::metadata(&real).map_or(0, |facts| facts.len());
                Ok(text_of(size))
            }
            Err(error) => Err(open::first_read_failed(db, error, &real)),
        }
    }

    /// In WAL mode SQLite may leave the -wal and -shm files beside the database.
    fn dump(&self, sink: &mut dyn Sink, run: &Run) -> Result<SourceFacts> {
        let snapshot = snapshot::take(self, run)?;
        let explain = |error| describe(error, &self.path);
        open::stop_when_cancelled(&snapshot.db, run.cancel).map_err(explain)?;
        let total = text_of(Pages::read(&snapshot.db).map_err(explain)?.bytes_in_use());
        run.begin(Stage::Dump, self.path.to_string_lossy(), total);
        let mut facts = dump::write(&snapshot.db, &self.path, sink, run)?;
        run.end(Stage::Dump);
        facts.properties.insert("journal_mode".into(), snapshot.journal_mode.clone());
        Ok(facts)
    }
}

fn text_of(bytes_in_use: u64) -> u64 {
    let (numerator, denominator) = TEXT_PER_BYTE;
    bytes_in_use / denominator * numerator
}
