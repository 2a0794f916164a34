//! A rollback journal that a crash left: only a writer may play it back, so that is done on a copy.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, fcntl};
use rusqlite::ffi;

use super::snapshot::Snapshot;
use super::spool::{SpoolFile, beside, private};
use super::{Sqlite, open, raw};
use crate::error::{Context, Error, Kind, Result};
use crate::model::{Run, Stage};

/// The pause between two tries to get the lock.
const PAUSE: Duration = Duration::from_millis(10);

/// Copies the database and the journal that a crash left beside it, and recovers the copy. `None` when somebody
/// recovered the source meanwhile. The source must not be open in SQLite in this process.
pub(super) fn in_spool(source: &Sqlite, run: &Run, real: &Path) -> Result<Option<Snapshot>> {
    let what = || format!("cannot copy the database {real:?} with its journal");
    let database = File::open(real).context(what)?;
    // Until `database` is closed, nobody recovers the source or writes to it.
    lock_shared(&database, source.lock_wait, real, run)?;
    let journal = match File::open(beside(real, "-journal")) {
        Ok(journal) => journal,
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(cause) => return Err(cause).context(what),
    };
    let size = database.metadata().context(what)?.len() + journal.metadata().context(what)?.len();
    let file = SpoolFile::create(&source.spool, size)?;
    run.begin(Stage::Snapshot, source.path.to_string_lossy(), size);
    let done = copy_file(database, &file.path, 0, run)
        .and_then(|done| copy_file(journal, &beside(&file.path, "-journal"), done, run));
    done.context(what)?;
    run.end(Stage::Snapshot);
    let db = raw::open(&file.path, ffi::SQLITE_OPEN_READWRITE | ffi::SQLITE_OPEN_NOMUTEX)
        .map_err(|failure| open::describe(failure.error, &file.path))?;
    open::harden(&db).map_err(|error| open::describe(error, &file.path))?;
    Snapshot::of_copy(db, file, "delete".to_owned()).map(Some)
}

/// Takes the lock that SQLite takes for reading, in SQLite's order: the pending byte, then the shared range.
fn lock_shared(file: &File, wait: Duration, real: &Path, run: &Run) -> Result<()> {
    const PENDING: libc::off_t = 0x4000_0000;
    const SHARED: (libc::off_t, libc::off_t) = (PENDING + 2, 510);
    let lock = |class: i32, (start, len): (libc::off_t, libc::off_t)| {
        // SAFETY: a flock of zeros is a valid one; what matters is set below.
        let mut range: libc::flock = unsafe { std::mem::zeroed() };
        range.l_type = i16::try_from(class).unwrap_or_default();
        range.l_whence = i16::try_from(libc::SEEK_SET).unwrap_or_default();
        (range.l_start, range.l_len) = (start, len);
        fcntl(file, FcntlArg::F_OFD_SETLK(&range))
    };
    let start = Instant::now();
    loop {
        run.check()?;
        let taken = lock(libc::F_RDLCK, (PENDING, 1)).and_then(|_| lock(libc::F_RDLCK, SHARED));
        let _ = lock(libc::F_UNLCK, (PENDING, 1));
        match taken {
            Ok(_) => return Ok(()),
            Err(_) if start.elapsed() < wait => std::thread::sleep(PAUSE),
            Err(cause) => {
                return Err(Error::new(Kind::Busy, format!("the database {real:?}: another program holds it locked"))
                    .help("try again later: it may be recovering after a crash")
                    .because(io::Error::from(cause)));
            }
        }
    }
}

fn copy_file(mut from: File, to: &Path, mut done: u64, run: &Run) -> io::Result<u64> {
    let mut to = private(to)?;
    let mut buffer = vec![0; 1 << 20];
    loop {
        let n = from.read(&mut buffer)?;
        if n == 0 {
            return Ok(done);
        }
        to.write_all(&buffer[..n])?;
        done += n as u64;
        run.progress(done)?;
    }
}
