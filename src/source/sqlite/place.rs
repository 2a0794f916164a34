//! Putting a restored database into the place of the one that is there.
//!
//! The old database is first made whole in itself (its write-ahead log or hot journal is folded in by SQLite), then gets
//! a second name by a hard link, and one rename puts the new one in its place: at no instant is there no database, and
//! never can an old log be taken for the new database's.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::time::Duration;

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
            Ok(path) => path,
            Err(_) => database.to_owned(),
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

    /// Puts the new database in place. Gives the name that the old one has now, `<name>.before-<label>`.
    pub fn swap(self, label: &str) -> Result<Option<PathBuf>> {
        if !self.database.exists() {
            durable::rename(&self.new, &self.database)?;
            return Ok(None);
        }
        self.refuse_if_in_use()?;
        self.keep_owner_and_mode()?;
        let aside = self.free_name(label);
        self.make_old_whole(&aside)?;
        self.refuse_if_in_use()?;
        fs::hard_link(&self.database, &aside).context(|| format!("cannot keep the old database as {aside:?}"))?;
        durable::sync_parent(&aside)?;
        durable::rename(&self.new, &self.database)?;
        Ok(Some(aside))
    }

    /// Folds the log into the old database. One that cannot be opened any more keeps its sidecars under its new name.
    fn make_old_whole(&self, aside: &Path) -> Result<()> {
        match fold(&self.database) {
            Ok(true) => {}
            Ok(false) => {
                return Err(Error::new(Kind::Busy, format!("{:?} is still being used", self.database))
                    .help("stop the program that uses the database and start the restore again"));
            }
            Err(why) => log::warn!("the old database {:?} is set aside as it is: {why}", self.database),
        }
        for suffix in SIDECARS {
            let sidecar = beside(&self.database, suffix);
            if sidecar.exists() {
                durable::rename(&sidecar, &beside(aside, suffix))?;
            }
        }
        Ok(())
    }

    fn keep_owner_and_mode(&self) -> Result<()> {
        let old = fs::metadata(&self.database).context(|| format!("cannot look at {:?}", self.database))?;
        let set = || -> std::io::Result<()> {
            let new = fs::metadata(&self.new)?;
            if (new.uid(), new.gid()) != (old.uid(), old.gid()) {
                chown(&self.new, Some(old.uid()), Some(old.gid()))?;
            }
            fs::set_permissions(&self.new, fs::Permissions::from_mode(old.mode() & 0o7777))
        };
        set().context(|| format!("cannot give {:?} the owner and mode of the old database", self.new))
    }

    fn free_name(&self, label: &str) -> PathBuf {
        let first = beside(&self.database, &format!(".before-{label}"));
        let others = (2..).map(|n| beside(&self.database, &format!(".before-{label}-{n}")));
        std::iter::once(first).chain(others).find(|path| !path.exists()).expect("numbers do not end")
    }

    fn remove_rest(&self) -> Result<()> {
        if self.new.exists() {
            fs::remove_file(&self.new)
                .context(|| format!("cannot remove {:?}, left by a restore that died", self.new))?;
        }
        Ok(())
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
    let folded = db
        .query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))
        .and_then(|()| db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0)));
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
        let aside = place.swap("20261122T200002Z").unwrap().unwrap();
        assert_eq!(value(&copy), "new");
        assert_eq!(value(&aside), "old");
        assert_eq!(aside, dir.path().join("copy.db.before-20261122T200002Z"));
        assert_eq!(fs::metadata(&copy).unwrap().mode() & 0o777, 0o640);
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
