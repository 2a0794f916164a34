//! Putting a restored database into the place of the one that is there.
//!
//! The old database is first made whole in itself (its write-ahead log or hot journal is folded in by SQLite), then gets
//! a second name by a hard link, and one rename puts the new one in its place: at no instant is there no database, and
//! never can an old log be taken for the new database's. What fails on the way is undone; what a death left of it is
//! undone by the next restore.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::error::{Context, Error, Kind, Result};
use crate::host::durable;
use crate::host::in_use::holder_of;

/// The files that SQLite keeps beside a database.
const SIDECARS: [&str; 3] = ["-wal", "-shm", "-journal"];

/// How long a last writer may take to finish.
const WAIT: Duration = Duration::from_secs(2);

/// The place of a database that is to be replaced; perhaps there is none yet.
pub struct Place {
    database: PathBuf,
    new: PathBuf,
}

impl Place {
    /// The place at `database`. Links are followed: the file itself is replaced, not the link to it.
    pub fn of(database: &Path) -> Result<Self> {
        let database = match fs::canonicalize(database) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => database.to_owned(),
            found => found.context(|| format!("cannot find {database:?}"))?,
        };
        let new = beside(&database, ".tillstick-new");
        let place = Self { database, new };
        place.remove_rest()?;
        Ok(place)
    }

    /// Where the new database is to be made before [`swap`](Self::swap): in the same folder.
    pub fn new_path(&self) -> &Path {
        &self.new
    }

    /// Fails while any other process has the database open.
    pub fn refuse_if_in_use(&self) -> Result<()> {
        let sidecars = SIDECARS.map(|suffix| beside(&self.database, suffix));
        let mut paths: Vec<&Path> = vec![&self.database];
        paths.extend(sidecars.iter().map(PathBuf::as_path));
        match holder_of(&paths)? {
            None => Ok(()),
            Some(holder) => Err(Error::new(
                Kind::Busy,
                format!("{:?} is in use by process {} ({:?})", self.database, holder.pid, holder.name),
            )
            .help("stop the program that uses the database and start the restore again")),
        }
    }

    /// Puts the new database in place. The old one, if any, is `<name>.before-<label>` then.
    ///
    /// When it fails, the old one is where it was, as it was; unless the error names it under its new name: then both
    /// have taken their places, and only a power cut might still undo that.
    pub fn swap(self, label: &str) -> Result<Swapped> {
        self.refuse_if_in_use()?;
        self.undo_interrupted()?;
        let is_there = durable::is_there(&self.database)?;
        let mut warnings = Vec::new();
        if is_there {
            self.keep_owner_and_mode()?;
            warnings.extend(self.make_old_whole()?);
            self.refuse_if_in_use()?;
        }
        let old = Old { database: &self.database, aside: self.free_name(label)? };
        let moved = old.keep(is_there).and_then(|()| self.move_in(is_there));
        if let Err(error) = moved {
            old.give_back();
            return Err(error);
        }
        let Old { aside, .. } = old;
        durable::sync_parent(&self.database).context(|| {
            format!("the new {:?} is in place and the old one is {aside:?}, but a power cut may undo it", self.database)
        })?;
        for log in SIDECARS.map(|suffix| beside(&aside, suffix)) {
            // What cannot be told now changes nothing of what is done.
            if !is_there && matches!(durable::is_there(&log), Ok(true)) {
                warnings.push(format!("a log that had no database was set aside as {log:?}"));
            }
        }
        Ok(Swapped { aside: is_there.then_some(aside), warnings })
    }

    /// Where none is known to be, none is replaced.
    fn move_in(&self, replaces: bool) -> Result<()> {
        let renamed = if replaces {
            fs::rename(&self.new, &self.database).map(|()| true)
        } else {
            durable::rename_new(&self.new, &self.database)
        };
        match renamed.context(|| format!("cannot put the new {:?} in place", self.database))? {
            true => Ok(()),
            false => Err(Error::new(Kind::Busy, format!("{:?} has appeared during the restore", self.database))
                .help("stop the program that made it and start the restore again")),
        }
    }

    /// Folds the log into the old database. One that cannot be opened any more is told in a warning.
    fn make_old_whole(&self) -> Result<Option<String>> {
        match fold(&self.database) {
            Ok(true) => Ok(None),
            Ok(false) => Err(Error::new(Kind::Busy, format!("{:?} is still being used", self.database))
                .help("stop the program that uses the database and start the restore again")),
            Err(why) => {
                Ok(Some(format!("the old database {:?} is set aside as it is, with its log: {why}", self.database)))
            }
        }
    }

    /// A restore that died between the two names left the database of today with a second one: no copy, and with a log
    /// of its own a trap.
    fn undo_interrupted(&self) -> Result<()> {
        let look = || -> io::Result<Vec<PathBuf>> {
            let start = beside(&self.database, ".before-");
            let Some(start) = start.file_name() else { return Ok(Vec::new()) };
            let mut found = Vec::new();
            for entry in fs::read_dir(folder_of(&self.database))? {
                let path = entry?.path();
                let name = path.file_name().unwrap_or_default().as_encoded_bytes();
                if name.starts_with(start.as_encoded_bytes()) && is_same_file(&path, &self.database)? {
                    found.push(path);
                }
            }
            Ok(found)
        };
        for aside in look().context(|| format!("cannot look for what a restore of {:?} left", self.database))? {
            Old { database: &self.database, aside }.give_back();
        }
        Ok(())
    }

    fn keep_owner_and_mode(&self) -> Result<()> {
        let old = fs::metadata(&self.database).context(|| format!("cannot look at {:?}", self.database))?;
        let set = || -> io::Result<()> {
            let new = fs::metadata(&self.new)?;
            if (new.uid(), new.gid()) != (old.uid(), old.gid()) {
                chown(&self.new, Some(old.uid()), Some(old.gid()))?;
            }
            fs::set_permissions(&self.new, fs::Permissions::from_mode(old.mode() & 0o7777))?;
            File::open(&self.new)?.sync_all()
        };
        set().context(|| format!("cannot give {:?} the owner and mode of the old database", self.new))
    }

    /// `<name>.before-<label>`, with a number when that is taken.
    fn free_name(&self, label: &str) -> Result<PathBuf> {
        let mut path = beside(&self.database, &format!(".before-{label}"));
        let mut number = 1;
        while is_taken(&path)? {
            number += 1;
            path = beside(&self.database, &format!(".before-{label}-{number}"));
        }
        Ok(path)
    }

    fn remove_rest(&self) -> Result<()> {
        match fs::remove_file(&self.new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(error).context(|| format!("cannot remove {:?}, left by a restore that died", self.new))
            }
            _ => Ok(()),
        }
    }
}

/// What came of putting a new database in place.
#[derive(Debug)]
pub struct Swapped {
    /// The name that the old database has now, if there was one.
    pub aside: Option<PathBuf>,
    /// What a person should know, each in one line.
    pub warnings: Vec<String>,
}

/// The old database and what lies beside it, on the way to their new names.
struct Old<'p> {
    database: &'p Path,
    aside: PathBuf,
}

impl Old<'_> {
    /// Gives all of it second names, and takes its own name off what would meddle with the new database.
    fn keep(&self, has_database: bool) -> Result<()> {
        let link = |suffix: &str| {
            let (own, kept) = self.names(suffix);
            fs::hard_link(&own, &kept).context(|| format!("cannot keep {own:?} as {kept:?}"))
        };
        if has_database {
            link("")?;
        }
        let mut logs = Vec::new();
        for suffix in SIDECARS {
            let (own, _) = self.names(suffix);
            if durable::is_there(&own)? {
                link(suffix)?;
                logs.push(own);
            }
        }
        durable::sync_parent(&self.aside)?;
        for own in &logs {
            fs::remove_file(own).context(|| format!("cannot take the name {own:?} off the old database's log"))?;
        }
        if logs.is_empty() { Ok(()) } else { durable::sync_parent(self.database) }
    }

    /// Takes the second names away from what has its own name again. The database comes last: as long as a log is left
    /// under the second name, the database is too.
    fn give_back(&self) {
        let mut all = true;
        for suffix in SIDECARS.iter().chain(&[""]) {
            let (own, kept) = self.names(suffix);
            match durable::is_there(&kept) {
                Ok(false) => continue,
                Ok(true) if matches!(durable::is_there(&own), Ok(false)) => {
                    // Whether it worked is seen below.
                    let _ = fs::hard_link(&kept, &own);
                }
                _ => {}
            }
            let is_back = is_same_file(&own, &kept).unwrap_or(false);
            all = all && is_back && fs::remove_file(&kept).is_ok();
        }
    }

    fn names(&self, suffix: &str) -> (PathBuf, PathBuf) {
        (beside(self.database, suffix), beside(&self.aside, suffix))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.new);
    }
}

/// Lets SQLite fold log or hot journal in; `false` when somebody is in the way.
fn fold(database: &Path) -> rusqlite::Result<bool> {
    let db =
        Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    db.busy_timeout(WAIT)?;
    // Closing must not fold the log of a database that turns out to be none into what is left of it.
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    let folded = db
        .query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))
        .and_then(|()| db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0)));
    if matches!(folded, Ok(0)) {
        db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
    }
    db.close().map_err(|(_, error)| error)?;
    match folded {
        Ok(busy) => Ok(busy == 0),
        Err(error)
            if matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)) =>
        {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// Whether a database of that name, or a log of one, is there.
fn is_taken(path: &Path) -> Result<bool> {
    for suffix in [""].iter().chain(&SIDECARS) {
        if durable::is_there(&beside(path, suffix))? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether both are names of one file; a name that is not there is nobody's.
fn is_same_file(one: &Path, other: &Path) -> io::Result<bool> {
    let file = |path: &Path| match fs::symlink_metadata(path) {
        Ok(meta) => Ok(Some((meta.dev(), meta.ino()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    };
    let one = file(one)?;
    Ok(one.is_some() && one == file(other)?)
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().map(OsString::from).unwrap_or_default();
    name.push(suffix);
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn database(path: &Path, value: &str) -> Connection {
        let db = Connection::open(path).unwrap();
        db.pragma_update(None, "journal_mode", "wal").unwrap();
        db.execute_batch(&format!("CREATE TABLE t(v); INSERT INTO t VALUES('{value}')")).unwrap();
        db
    }

    fn value(path: &Path) -> String {
        Connection::open(path).unwrap().query_row("SELECT v FROM t", [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn the_old_database_is_kept_whole_with_what_was_only_in_its_log() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("kasse.db");
        let old = database(&path, "old");
        // The program dies: its log stays behind.
        let copy = dir.path().join("copy.db");
        for suffix in ["", "-wal"] {
            fs::copy(beside(&path, suffix), beside(&copy, suffix)).unwrap();
        }
        drop(old);
        fs::set_permissions(&copy, fs::Permissions::from_mode(0o640)).unwrap();

        let place = Place::of(&copy).unwrap();
        place.refuse_if_in_use().unwrap();
        drop(database(place.new_path(), "new"));
        let aside = place.swap("20261122T200002Z").unwrap().aside.unwrap();
        assert_eq!(value(&copy), "new");
        assert_eq!(value(&aside), "old");
        assert_eq!(aside, dir.path().join("copy.db.before-20261122T200002Z"));
        assert_eq!(fs::metadata(&copy).unwrap().mode() & 0o777, 0o640);
    }

    /// A database that SQLite cannot open, with a log, and a new one to take its place.
    fn beyond_repair(dir: &Path) -> (PathBuf, Place) {
        let path = dir.join("kasse.db");
        fs::write(&path, b"no database any more").unwrap();
        fs::write(beside(&path, "-wal"), b"its log").unwrap();
        let place = Place::of(&path).unwrap();
        drop(database(place.new_path(), "new"));
        (path, place)
    }

    #[test]
    fn a_database_that_cannot_be_opened_is_set_aside_with_its_log() {
        let dir = tempfile::tempdir().unwrap();
        let (path, place) = beyond_repair(dir.path());
        let swapped = place.swap("20261122T200002Z").unwrap();
        assert_eq!(swapped.warnings.len(), 1, "{:?}", swapped.warnings);
        let aside = swapped.aside.unwrap();
        assert_eq!(fs::read(&aside).unwrap(), b"no database any more");
        assert_eq!(fs::read(beside(&aside, "-wal")).unwrap(), b"its log");
        assert_eq!(value(&path), "new");
    }

    #[test]
    fn what_a_restore_left_that_died_between_the_two_names_is_undone_by_the_next_one() {
        let dir = tempfile::tempdir().unwrap();
        let (path, place) = beyond_repair(dir.path());
        let left = beside(&path, ".before-20261121T200002Z");
        Old { database: &path, aside: left.clone() }.keep(true).unwrap();
        assert!(!beside(&path, "-wal").exists());
        let aside = place.swap("20261122T200002Z").unwrap().aside.unwrap();
        assert!(!left.exists() && !beside(&left, "-wal").exists());
        assert_eq!(fs::read(beside(&aside, "-wal")).unwrap(), b"its log");
    }

    #[test]
    fn an_old_log_without_its_database_never_meets_the_new_one() {
        let dir = tempfile::tempdir().unwrap();
        let (path, place) = beyond_repair(dir.path());
        fs::remove_file(&path).unwrap();
        let swapped = place.swap("20261122T200002Z").unwrap();
        assert_eq!((swapped.aside, swapped.warnings.len()), (None, 1));
        assert_eq!(value(&path), "new");
    }

    #[test]
    fn a_place_that_is_given_up_leaves_the_old_database_and_no_rest() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("kasse.db");
        drop(database(&path, "old"));
        let place = Place::of(&path).unwrap();
        fs::write(place.new_path(), b"half").unwrap();
        let new = place.new_path().to_owned();
        drop(place);
        assert_eq!(value(&path), "old");
        assert!(!new.exists());
    }
}
