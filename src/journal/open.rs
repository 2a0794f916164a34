//! Opening the journal: made when it is not there, brought forward when it is old, set aside when it is damaged.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::Journal;
use super::schema::{self, APPLICATION_ID, STEPS, VERSION};
use crate::error::{Context, Error, Kind, Result};
use crate::host::durable;
use crate::host::lock::Lock;
use crate::model::BackupId;

/// How long another process's transaction is waited for: each takes milliseconds, and no backup waits long for history.
const BUSY_WAIT: Duration = Duration::from_secs(2);

/// So many damaged journals are kept for whoever wants to look at them.
const ASIDE_MAX: usize = 3;

/// What is put between the journal's name and an id when it is set aside.
const CORRUPT: &str = ".corrupt-";

/// A journal that is open for writing.
#[derive(Debug)]
pub struct Opened {
    /// It.
    pub journal: Journal,
    /// It tells of no run yet: what the files know is to be taken up.
    pub is_new: bool,
    /// The damaged one that was in its place, under its new name, and what was wrong with it.
    pub set_aside: Option<(PathBuf, Error)>,
}

impl Journal {
    /// Opens the journal at `path` for writing, in a folder that is there. A damaged one is set aside and a new one begun.
    ///
    /// # Errors
    /// [`Kind::Refused`] when a newer program wrote it; [`Kind::Busy`], [`Kind::NoSpace`] or [`Kind::Io`] when it cannot
    /// be opened or made now.
    pub fn open(path: &Path) -> Result<Opened> {
        let found = inode(path);
        match Self::open_or_make(path) {
            Ok((journal, is_new)) => Ok(Opened { journal, is_new, set_aside: None }),
            Err(error) if error.kind() == Kind::Damaged => {
                let aside = set_aside(path, found)?.map(|aside| (aside, error));
                let (journal, is_new) = Self::open_or_make(path)?;
                Ok(Opened { journal, is_new, set_aside: aside })
            }
            Err(error) => Err(error),
        }
    }

    /// Opens the journal at `path` to look into it; `None` when there is none yet. Nothing is made, moved or brought
    /// forward.
    ///
    /// # Errors
    /// Those of [`Journal::open`], and [`Kind::Damaged`].
    pub fn look(path: &Path) -> Result<Option<Self>> {
        if !path.try_exists().context(|| format!("cannot find the journal {path:?}"))? {
            return Ok(None);
        }
        let inode = inode(path);
        let (db, version) = connect(path).map_err(|error| explain(error, path))?;
        judge(version, path)?;
        Ok((version == VERSION).then(|| Self { db, path: path.to_owned(), inode }))
    }

    /// Sets it aside, for it turned out to be damaged although it opened; gives its new name.
    pub fn set_aside(self) -> Result<Option<PathBuf>> {
        drop(self.db);
        set_aside(&self.path, self.inode)
    }

    /// The second value tells whether it is new.
    fn open_or_make(path: &Path) -> Result<(Self, bool)> {
        // SQLite gives its rollback journal the permission bits of the database; the history is for its owner alone.
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(error).context(|| format!("cannot make the journal {path:?}")).map_err(with_remedy);
            }
            _ => {}
        }
        let inode = inode(path);
        let (mut db, version) = connect(path).map_err(|error| explain(error, path))?;
        judge(version, path)?;
        let is_new = prepare(&mut db, version).map_err(|error| explain(error, path))?;
        let journal = Self { db, path: path.to_owned(), inode };
        // A changed word is damage that SQLite cannot see.
        journal.runs().and_then(|_| journal.copies())?;
        Ok((journal, is_new))
    }

    /// What SQLite could not do with it.
    pub(super) fn explain(&self, error: rusqlite::Error) -> Error {
        explain(error, &self.path)
    }
}

/// Opens the file and reads all of it once: it is small, and damage is found before anything is built on it.
fn connect(path: &Path) -> rusqlite::Result<(Connection, usize)> {
    let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    db.busy_timeout(BUSY_WAIT)?;
    // In one transaction: another process may be making it at this very moment.
    let look = db.unchecked_transaction()?;
    let found: String = look.query_row("PRAGMA integrity_check(1)", (), |row| row.get(0))?;
    let mark: i32 = look.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let tables: i64 = look.query_row("SELECT count(*) FROM sqlite_schema", (), |row| row.get(0))?;
    let version = schema::version(&look)?;
    look.finish()?;
    let is_ours = mark == APPLICATION_ID || (mark == 0 && tables == 0);
    if found != "ok" || !is_ours {
        let why = if is_ours { found } else { "it is some other database".to_owned() };
        return Err(rusqlite::Error::SqliteFailure(
            rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT),
            Some(why),
        ));
    }
    Ok((db, version))
}

/// Two transactions a run need no write-ahead log, and without one the journal is a single file whenever nobody writes.
/// `EXTRA`, because a run that was told to be done must not look like one that died after a power cut.
/// Tells whether it is new.
fn prepare(db: &mut Connection, version: usize) -> rusqlite::Result<bool> {
    db.pragma_update(None, "journal_mode", "DELETE")?;
    db.pragma_update(None, "synchronous", "EXTRA")?;
    db.pragma_update(None, "foreign_keys", true)?;
    schema::bring_forward(db, version, STEPS)?;
    db.query_row("SELECT NOT EXISTS(SELECT 1 FROM runs)", (), |row| row.get(0))
}

fn judge(version: usize, path: &Path) -> Result<()> {
    if version <= VERSION {
        return Ok(());
    }
    let what = format!("the journal {path:?} is of version {version}, and this program knows version {VERSION}");
    Err(Error::new(Kind::Refused, what)
        .help("install the newer program again, or move the file away to begin a new history"))
}

/// Puts the damaged file, which has this inode, out of the way. `None`: somebody else did it already.
fn set_aside(path: &Path, found: Option<u64>) -> Result<Option<PathBuf>> {
    let _lock = Lock::take(&path.with_extension("lock"), "setting a damaged journal aside")?;
    if inode(path) != found || found.is_none() {
        return Ok(None);
    }
    let earlier = earlier_asides(path)?;
    let id = BackupId::next(Timestamp::now(), earlier.last().map(|(id, _)| id));
    let aside = with_ending(path, &format!("{CORRUPT}{id}"));
    // Its rollback journal first: met by a new database, it would be played back into that.
    let rollback = with_ending(path, "-journal");
    if rollback.try_exists().unwrap_or(true) {
        durable::rename(&rollback, &with_ending(&aside, "-journal"))?;
    }
    durable::rename(path, &aside)?;
    for (_, older) in earlier.iter().rev().skip(ASIDE_MAX - 1) {
        log::warn!("{older:?} goes: the newest {ASIDE_MAX} damaged journals are kept");
        let _ = fs::remove_file(with_ending(older, "-journal"));
        fs::remove_file(older).context(|| format!("cannot remove the old damaged journal {older:?}"))?;
    }
    Ok(Some(aside))
}

/// The journals that were set aside before, oldest first.
fn earlier_asides(path: &Path) -> Result<Vec<(BackupId, PathBuf)>> {
    let dir = path.parent().unwrap_or(Path::new("."));
    let prefix = with_ending(path, CORRUPT).file_name().map(OsString::from).unwrap_or_default();
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).context(|| format!("cannot read the folder {dir:?}"))? {
        let path = entry.context(|| format!("cannot read the folder {dir:?}"))?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        if let Some(id) = name.and_then(|name| name.strip_prefix(prefix.to_str()?)?.parse().ok()) {
            found.push((id, path));
        }
    }
    found.sort();
    Ok(found)
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

fn inode(path: &Path) -> Option<u64> {
    fs::metadata(path).ok().map(|meta| meta.ino())
}

fn with_remedy(error: Error) -> Error {
    let help = match error.kind() {
        Kind::NoSpace => "free some space on the disk that holds it",
        _ => "let this user write to the folder that `state` names, on a disk that is not read-only",
    };
    error.help(help)
}

/// Says in plain words what SQLite could not do with the journal at `path`.
fn explain(error: rusqlite::Error, path: &Path) -> Error {
    let (kind, why) = match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => (Kind::Busy, "another program holds it locked"),
        Some(ErrorCode::DiskFull) => (Kind::NoSpace, "the disk is full"),
        Some(ErrorCode::PermissionDenied | ErrorCode::ReadOnly | ErrorCode::CannotOpen) => {
            (Kind::Io, "it, or its folder, may not be written to")
        }
        Some(ErrorCode::SystemIoFailure | ErrorCode::OutOfMemory | ErrorCode::FileLockingProtocolFailed) => {
            (Kind::Io, "the system gave an error")
        }
        // A table or column that is not there, a value of the wrong type, a broken page: not what we wrote.
        _ => (Kind::Damaged, "it is damaged"),
    };
    let told = Error::new(kind, format!("the journal {path:?}: {why}")).because(error);
    match kind {
        Kind::Busy => told.help("`fuser` on the file shows who; nothing needs to be done when it is another run"),
        Kind::Damaged => {
            told.help("the next backup or check sets it aside and builds a new one from the backups' manifests")
        }
        _ => with_remedy(told),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(dir: &tempfile::TempDir) -> PathBuf {
        dir.path().join("journal.db")
    }

    #[test]
    fn an_older_journal_is_brought_forward_with_what_it_holds_and_a_newer_one_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = at(&dir);
        let opened = Journal::open(&path).unwrap();
        assert!(opened.is_new);
        let mut db = opened.journal.db;
        db.execute("INSERT INTO runs(kind, process, started) VALUES('backup', '', 1)", ()).unwrap();
        let newer = [STEPS, &["ALTER TABLE runs ADD COLUMN place TEXT NOT NULL DEFAULT 'here'"]].concat();
        schema::bring_forward(&mut db, VERSION, &newer).unwrap();
        let row = db.query_row("SELECT kind, place FROM runs", (), |row| Ok((row.get(0)?, row.get(1)?)));
        assert_eq!(row.unwrap(), ("backup".to_owned(), "here".to_owned()));
        // Asked twice, nothing is done twice.
        schema::bring_forward(&mut db, VERSION, &newer).unwrap();
        drop(db);
        for error in [Journal::open(&path).unwrap_err(), Journal::look(&path).unwrap_err()] {
            assert_eq!(error.kind(), Kind::Refused);
            assert!(error.report().contains("is of version 2, and this program knows version 1"), "{}", error.report());
        }
    }

    #[test]
    fn a_step_that_fails_leaves_the_older_journal_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let mut db = Journal::open(&at(&dir)).unwrap().journal.db;
        let newer = [STEPS, &["CREATE TABLE more(x); CREATE TABLE runs(x)"]].concat();
        assert!(schema::bring_forward(&mut db, VERSION, &newer).is_err());
        assert_eq!(schema::version(&db).unwrap(), VERSION);
        let more: i64 =
            db.query_row("SELECT count(*) FROM sqlite_schema WHERE name = 'more'", (), |row| row.get(0)).unwrap();
        assert_eq!(more, 0);
    }

    #[test]
    fn damaged_ones_are_set_aside_under_names_of_their_own_and_the_newest_three_stay() {
        let dir = tempfile::tempdir().unwrap();
        let path = at(&dir);
        for round in 0..5 {
            fs::write(&path, format!("no database {round}")).unwrap();
            let opened = Journal::open(&path).unwrap();
            assert!(opened.is_new);
            let (aside, _) = opened.set_aside.unwrap();
            assert_eq!(fs::read(aside).unwrap(), format!("no database {round}").as_bytes());
        }
        let kept = earlier_asides(&path).unwrap();
        assert_eq!(kept.len(), ASIDE_MAX);
        assert_eq!(fs::read(&kept[0].1).unwrap(), b"no database 2");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), ASIDE_MAX + 2, "beside the journal and its lock");
    }

    #[test]
    fn a_rollback_journal_goes_aside_with_its_journal() {
        let dir = tempfile::tempdir().unwrap();
        let path = at(&dir);
        fs::write(&path, "bad").unwrap();
        fs::write(with_ending(&path, "-journal"), "its rest").unwrap();
        let aside = set_aside(&path, inode(&path)).unwrap().unwrap();
        assert_eq!(fs::read(with_ending(&aside, "-journal")).unwrap(), b"its rest");
        assert!(!with_ending(&path, "-journal").exists());
    }

    #[test]
    fn a_journal_that_somebody_else_has_replaced_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = at(&dir);
        let first = Journal::open(&path).unwrap().journal;
        fs::rename(&path, dir.path().join("away")).unwrap();
        drop(Journal::open(&path).unwrap());
        assert_eq!(first.set_aside().unwrap(), None);
        assert!(path.exists());
    }

    #[test]
    fn another_programs_database_is_not_taken_for_a_journal() {
        let dir = tempfile::tempdir().unwrap();
        let path = at(&dir);
        Connection::open(&path).unwrap().execute_batch("CREATE TABLE sales(id)").unwrap();
        assert_eq!(Journal::look(&path).unwrap_err().kind(), Kind::Damaged);
        assert!(Journal::open(&path).unwrap().set_aside.is_some());
        assert!(Journal::look(&path).unwrap().is_some());
    }
}
