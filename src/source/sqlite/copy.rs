//! Copies a database in rollback-journal mode into the spool: in short steps while that gets on, else under one lock.

use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, ErrorCode, ffi};

use super::schema::Pages;
use super::snapshot::{self, Snapshot};
use super::spool::SpoolFile;
use super::{Sqlite, open, raw, spool};
use crate::error::{Context, Error, Kind, Result};
use crate::model::{Run, Stage};

/// A database of at most so many bytes is copied in one locked pass: that takes a few milliseconds.
const SMALL: u64 = 4 << 20;

/// Pages in one step: 1 MiB at SQLite's usual page size, a few milliseconds under the read lock.
const STEP_PAGES: i32 = 256;

/// The pause between two steps. A writer that waits already has the pending lock, so any pause lets it in.
const PAUSE: Duration = Duration::from_millis(2);

/// How often a copy begins anew because somebody wrote, before it takes the lock for good.
const RESTARTS_MAX: u32 = 5;

/// Copies the database of `db`, which is in a read transaction.
pub(super) fn into_spool(
    source: &Sqlite,
    run: &Run,
    db: Connection,
    journal_mode: String,
    real: &Path,
) -> Result<Snapshot> {
    let pages = Pages::read(&db).map_err(|error| open::describe(error, real))?;
    let file = SpoolFile::create(&source.spool, pages.bytes())?;
    run.begin(Stage::Snapshot, source.path.to_string_lossy(), pages.bytes());
    let copy = Copy { source, run, db: &db, real, spool: &file.path, page_size: pages.size };
    if pages.bytes() <= SMALL || !copy.in_steps()? {
        copy.locked()?;
    }
    run.end(Stage::Snapshot);
    drop(db);
    Snapshot::of_copy(open::read_only(&file.path)?, file, journal_mode)
}

struct Copy<'c> {
    source: &'c Sqlite,
    run: &'c Run<'c>,
    db: &'c Connection,
    real: &'c Path,
    spool: &'c Path,
    page_size: u64,
}

impl Copy<'_> {
    /// Copies while others may write between the steps; `false` when they did so too often.
    fn in_steps(&self) -> Result<bool> {
        self.db.execute_batch("ROLLBACK").map_err(|error| self.explain(error))?;
        let mut target = self.target()?;
        let backup = Backup::new(self.db, &mut target).map_err(|error| self.explain(error))?;
        let (mut restarts, mut left) = (0, i32::MAX);
        loop {
            let done = open::patiently(self.source.lock_wait, self.run, || step(&backup))?;
            if done.map_err(|error| self.explain(error))? {
                return Ok(true);
            }
            let remaining = self.report(&backup)?;
            // SQLite begins anew by itself when the source has changed.
            restarts += u32::from(remaining >= left);
            if restarts > RESTARTS_MAX {
                return Ok(false);
            }
            left = remaining;
            std::thread::sleep(PAUSE);
        }
    }

    /// Copies under one read lock, for at most `locked_pass`: readers go on, writers wait.
    fn locked(&self) -> Result<()> {
        let Self { source, run, db, real, .. } = self;
        if db.is_autocommit() {
            open::patiently(source.lock_wait, run, || snapshot::begin(db))?.map_err(|error| self.explain(error))?;
        }
        let mut target = self.target()?;
        let start = Instant::now();
        let backup = Backup::new(db, &mut target).map_err(|error| self.explain(error))?;
        while !step(&backup).map_err(|error| self.explain(error))? {
            self.report(&backup)?;
            if start.elapsed() > source.locked_pass {
                let why = format!("others write too often, and copying it locked takes over {:?}", source.locked_pass);
                return Err(Error::new(Kind::Busy, format!("cannot copy the database {real:?}: {why}")).help(
                    "switch the database to WAL mode (PRAGMA journal_mode = WAL), back up when it is quiet, \
                     or raise `locked_pass`",
                ));
            }
        }
        Ok(())
    }

    /// Reports the progress; gives the number of pages that remain.
    fn report(&self, backup: &Backup<'_, '_>) -> Result<i32> {
        let progress = backup.progress();
        let copied = u64::try_from(progress.pagecount - progress.remaining).unwrap_or(0);
        self.run.progress(copied.saturating_mul(self.page_size))?;
        Ok(progress.remaining)
    }

    /// A new, empty target: what an earlier pass left there is no database, for want of a journal.
    fn target(&self) -> Result<Connection> {
        let emptied = spool::private(self.spool);
        emptied.context(|| format!("cannot empty {:?}", self.spool))?;
        let explain = |error| open::describe(error, self.spool);
        let target = raw::open(self.spool, ffi::SQLITE_OPEN_READWRITE | ffi::SQLITE_OPEN_NOMUTEX)
            .map_err(|failure| explain(failure.error))?;
        // It is thrown away after a crash, so nothing of it needs to be durable.
        target.execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF").map_err(explain)?;
        Ok(target)
    }

    fn explain(&self, error: rusqlite::Error) -> Error {
        // Only the copy grows.
        let full = error.sqlite_error_code() == Some(ErrorCode::DiskFull);
        open::describe(error, if full { self.spool } else { self.real })
    }
}

/// One step; `true` after the last.
fn step(backup: &Backup<'_, '_>) -> rusqlite::Result<bool> {
    match backup.step(STEP_PAGES)? {
        StepResult::Done => Ok(true),
        StepResult::More => Ok(false),
        _ => Err(rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_BUSY), None)),
    }
}
