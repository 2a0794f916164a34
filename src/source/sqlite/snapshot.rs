//! One consistent state of a database that others keep writing to.
//!
//! | the source | how | what it costs the writers |
//! |---|---|---|
//! | WAL mode | one read transaction, ended with the dump | nothing; the -wal file may grow meanwhile |
//! | rollback journal, up to 4 MiB | one locked pass into the spool | a pause of some milliseconds |
//! | rollback journal, larger | copied into the spool in steps of 256 pages, begun anew when somebody wrote | a pause of a few milliseconds for each step |
//! | ... and begun anew too often | a locked pass, ended by force after `locked_pass` | one pause, as long as the copy takes |
//! | a journal that a crash left | both files are copied, and recovered in the spool | none can write before it is recovered anyway |

use rusqlite::Connection;

use super::spool::SpoolFile;
use super::{Sqlite, copy, open, recover};
use crate::error::{Error, Kind, Result};
use crate::model::Run;

/// How often we look again when a journal that a crash left disappears under our hands.
const RECOVERY_TRIES: u32 = 3;

/// A state that no longer changes, and the connection that sees it.
pub(super) struct Snapshot {
    /// In a read transaction.
    pub(super) db: Connection,
    /// The source's journal mode: `wal`, or `delete` for all that have a rollback journal.
    pub(super) journal_mode: String,
    // After `db`, so that the file is closed before it is removed.
    _copy: Option<SpoolFile>,
}

impl Snapshot {
    /// The state of a copy that nobody else knows, which `db` is open on.
    pub(super) fn of_copy(db: Connection, file: SpoolFile, journal_mode: String) -> Result<Self> {
        match begin(&db) {
            Ok(_) => Ok(Self { db, journal_mode, _copy: Some(file) }),
            Err(error) => Err(open::first_read_failed(db, error, &file.path)),
        }
    }
}

/// Takes a snapshot of the source. Waits for others' locks for at most `lock_wait`.
pub(super) fn take(source: &Sqlite, run: &Run) -> Result<Snapshot> {
    let real = open::locate(&source.path)?;
    for _ in 0..RECOVERY_TRIES {
        let db = open::read_only(&real)?;
        match open::patiently(source.lock_wait, run, || begin(&db))? {
            Ok(journal_mode) if journal_mode == "wal" => return Ok(Snapshot { db, journal_mode, _copy: None }),
            Ok(journal_mode) => return copy::into_spool(source, run, db, journal_mode, &real),
            Err(error) if open::needs_recovery(&error) => {
                drop(db);
                if let Some(snapshot) = recover::in_spool(source, run, &real)? {
                    return Ok(snapshot);
                }
            }
            Err(error) => return Err(open::first_read_failed(db, error, &real)),
        }
    }
    Err(Error::new(Kind::Busy, format!("the database {real:?} is being recovered by other programs again and again"))
        .help("look into the log of the program that owns it: it seems to crash in the middle of its writes"))
}

/// Begins a read transaction and takes its lock; gives the journal mode.
pub(super) fn begin(db: &Connection) -> rusqlite::Result<String> {
    db.execute_batch("BEGIN")?;
    let first = db
        .query_row("SELECT count(*) FROM main.sqlite_schema", [], |_| Ok(()))
        .and_then(|()| db.query_row("PRAGMA main.journal_mode", [], |row| row.get(0)));
    if first.is_err() {
        let _ = db.execute_batch("ROLLBACK");
    }
    first
}
