//! Opens a database so that nothing of it can change, and says in plain words why one cannot be read.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, ffi};

use super::raw::{self, Failure};
use crate::error::{Context, Error, Kind, Result};
use crate::model::{Cancel, Run};

/// How every SQLite file begins.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// The pause between two tries to get a lock: short, so that a reader finds the gaps of a busy writer.
const LOCK_POLL: Duration = Duration::from_millis(2);

/// How many steps SQLite's machine goes between two looks at the cancel flag: a millisecond's work or less.
const CANCEL_STEPS: i32 = 10_000;

/// The real path of the database, when there is one that may hold something. Opens nothing: closing the file while
/// SQLite has it open in this process would drop SQLite's locks.
pub(super) fn locate(path: &Path) -> Result<PathBuf> {
    let found = fs::canonicalize(path).and_then(|real| Ok((fs::metadata(&real)?, real)));
    let (facts, real) = match found {
        Ok(found) => found,
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => {
            return Err(Error::new(Kind::Missing, format!("there is no database at {path:?}"))
                .help("check the path; is the file system that holds it mounted?"));
        }
        Err(cause) => return Err(cause).context(|| format!("cannot find the database {path:?}")),
    };
    if !facts.is_file() {
        let what = if facts.is_dir() { "a folder" } else { "a special file" };
        return Err(Error::new(Kind::Config, format!("{path:?} is {what}, not a database file"))
            .help("name the database file itself"));
    }
    if facts.len() == 0 {
        return Err(Error::new(Kind::Damaged, format!("the database {path:?} is empty: 0 bytes, not even a header"))
            .help("check the path; if it is right, the database was lost: restore a backup"));
    }
    Ok(real)
}

/// Opens the database that [`locate`] found, read-only and hardened. Nothing is read yet.
pub(super) fn read_only(real: &Path) -> Result<Connection> {
    let flags = ffi::SQLITE_OPEN_READONLY | ffi::SQLITE_OPEN_NOMUTEX;
    let db = raw::open(real, flags).map_err(|failure| explain(failure, real))?;
    harden(&db).map_err(|error| describe(error, real))?;
    Ok(db)
}

/// Sets what keeps a connection from changing its database, or from being used by what the database holds.
pub(super) fn harden(db: &Connection) -> rusqlite::Result<()> {
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    // A quoted name that is not there must be an error, not a text.
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DML, false)?;
    // Waiting is done by `patiently`, which a cancelled run can leave.
    db.busy_timeout(Duration::ZERO)?;
    raw::accept_any_collation(db);
    // A mapped file that another process truncates would kill us with SIGBUS.
    db.pragma_update(None, "mmap_size", 0)
}

/// Lets a long scan or sort end soon after the run was cancelled.
pub(super) fn stop_when_cancelled(db: &Connection, cancel: &Cancel) -> rusqlite::Result<()> {
    let cancel = cancel.clone();
    db.progress_handler(CANCEL_STEPS, Some(move || cancel.is_cancelled()))
}

/// Does `work` again until it no longer meets another's lock, for at most `wait`.
pub(super) fn patiently<T>(
    wait: Duration,
    run: &Run,
    mut work: impl FnMut() -> rusqlite::Result<T>,
) -> Result<rusqlite::Result<T>> {
    let start = Instant::now();
    loop {
        run.check()?;
        match work() {
            Err(error) if is_busy(&error) && start.elapsed() < wait => std::thread::sleep(LOCK_POLL),
            result => return Ok(result),
        }
    }
}

/// Tells whether somebody else's lock was in the way.
pub(super) fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

/// Tells whether a crash left a rollback journal that must be played back before anybody can read.
pub(super) fn needs_recovery(error: &rusqlite::Error) -> bool {
    error.sqlite_error().is_some_and(|error| error.extended_code == ffi::SQLITE_READONLY_ROLLBACK)
}

/// Why the first read failed, told from the file itself. The connection is closed first: see [`locate`].
pub(super) fn first_read_failed(db: Connection, error: rusqlite::Error, real: &Path) -> Error {
    let failure = Failure { error, system: raw::system_reason(&db) };
    drop(db);
    if failure.error.sqlite_error_code() != Some(ErrorCode::NotADatabase) {
        return explain(failure, real);
    }
    let mut head = [0; MAGIC.len()];
    let read = fs::File::open(real).and_then(|mut file| file.read_exact(&mut head));
    if read.is_ok() && head == *MAGIC {
        return describe(failure.error, real);
    }
    Error::new(Kind::Damaged, format!("{real:?} is not an SQLite database: it does not begin like one"))
        .help("check the path; an encrypted database (SQLCipher, SEE) must be dumped by the program that has its key")
        .because(failure.error)
}

fn explain(failure: Failure, path: &Path) -> Error {
    match failure.system {
        Some(cause) if cause.kind() == io::ErrorKind::PermissionDenied => {
            Error::new(Kind::Io, format!("cannot read the database {path:?}: no permission"))
                .help("let the program's user read the file and, in WAL mode, write to its folder")
                .because(cause)
        }
        Some(cause) if failure.error.sqlite_error_code() == Some(ErrorCode::CannotOpen) => {
            describe(failure.error, path).because(cause)
        }
        _ => describe(failure.error, path),
    }
}

/// Says in plain words what SQLite could not do with the database at `path`, with a remedy where there is one.
pub(crate) fn describe(error: rusqlite::Error, path: &Path) -> Error {
    let (kind, why, help) = match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => (
            Kind::Busy,
            "another program holds it locked",
            "try again later, let the other program end its transaction, or raise `lock_wait`",
        ),
        Some(ErrorCode::NotADatabase) => {
            (Kind::Damaged, "it is not an SQLite database, or its header is damaged", "restore the newest backup")
        }
        Some(ErrorCode::DatabaseCorrupt) => (
            Kind::Damaged,
            "it is damaged",
            "restore the newest backup; `sqlite3 FILE .recover` saves what can be read of the newest state",
        ),
        Some(ErrorCode::DiskFull) => (Kind::NoSpace, "the disk is full", "free space where it lies"),
        Some(ErrorCode::OperationInterrupted) => {
            (Kind::Cancelled, "stopped before it was finished", "nothing was lost; start it again when you like")
        }
        Some(ErrorCode::CannotOpen) => (
            Kind::Io,
            "it, or the -wal and -shm files beside it, cannot be opened",
            "let the program's user read the file and, in WAL mode, write to its folder",
        ),
        Some(ErrorCode::PermissionDenied | ErrorCode::ReadOnly) => {
            (Kind::Io, "the system lets us not do what reading it needs", "run it as the user who owns the database")
        }
        Some(ErrorCode::SystemIoFailure) => {
            (Kind::Io, "the disk gave an error", "look into the kernel's log: the disk may be failing")
        }
        _ => return Error::new(Kind::Io, format!("the database {path:?}: SQLite could not go on")).because(error),
    };
    Error::new(kind, format!("the database {path:?}: {why}")).help(help).because(error)
}
