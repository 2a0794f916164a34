//! The new database's connection, under guard from its first statement on: what SQL from outside may do, how much of
//! it, and how it is stopped.

use std::cell::Cell;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::{Connection, OpenFlags, ffi};

use super::Options;
use super::budget::{Budget, STEPS_PER_LOOK};
use super::functions::Functions;
use super::prepared::Failure;
use crate::error::{Error, Kind, Result};
use crate::host::space;
use crate::model::Cancel;
use crate::source::sqlite::memory::Ceiling;
use crate::source::sqlite::raw::{compare_bytes, is_built_in};

/// Memory that SQLite may take, in bytes: for caches, sorting and the schema; and for each byte of the longest statement
/// or row so far, which is there as text, as a value and as a record.
const MEMORY_BASE: u64 = 128 << 20;
const MEMORY_PER_BYTE: u64 = 8;

/// The longest value that is made whatever the text is, in bytes: the list of a common word in a full-text index is one.
/// And for each byte of the longest statement or row so far: a line feed may become two characters.
const LENGTH_BASE: u64 = 16 << 20;
const LENGTH_PER_BYTE: u64 = 2;

/// What stays free of the file system, in bytes; of a small one a tenth.
const KEEP_FREE: u64 = 64 << 20;

/// Unknown collations that are remembered by name.
const COLLATIONS_MAX: usize = 100;

/// SQLite's page cache, in bytes.
const CACHE: u64 = 1 << 20;

/// SQL functions that reach outside of the database. Most exist only in the sqlite3 shell.
const FUNCTIONS: [&str; 7] = ["load_extension", "fts3_tokenizer", "readfile", "writefile", "edit", "eval", "fsdir"];

/// PRAGMAs that statements of a dump and the virtual tables inside SQLite use.
const PRAGMAS: [&str; 8] = [
    "page_size",
    "encoding",
    "auto_vacuum",
    "user_version",
    "application_id",
    "ignore_check_constraints",
    "data_version",
    "table_info",
];

/// What the statement at hand may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Allowed {
    /// Rows: insert and delete them, in tables but not in the schema.
    Rows,
    /// Create and drop, which writes the schema as well.
    Schema,
    /// Anything: it is a statement of our own.
    Own,
}

/// What the callbacks share with the loader.
#[derive(Debug)]
pub(super) struct Shared {
    allowed: AtomicU8,
    denied: Mutex<Option<String>>,
    collations: Mutex<Vec<String>>,
    budget: Budget,
}

impl Shared {
    pub(super) fn budget(&self) -> &Budget {
        &self.budget
    }

    /// Keeps the first reason why something was not allowed.
    pub(super) fn deny(&self, reason: String) {
        lock(&self.denied).get_or_insert(reason);
    }
}

/// A database whose statements come from outside.
#[derive(Debug)]
pub(super) struct Database {
    // Dropped first: the callbacks point to `shared`.
    connection: Connection,
    functions: Functions,
    shared: Arc<Shared>,
    ceiling: Ceiling,
    /// The longest statement or row so far, in bytes.
    longest: Cell<u64>,
    path: PathBuf,
    max: Option<u64>,
}

impl Database {
    /// Opens the file, which exists; it is empty or holds what was loaded. Nothing is journalled or synced: a load
    /// that ends early is thrown away.
    pub(super) fn open(path: &Path, options: &Options, cancel: &Cancel) -> Result<Self> {
        let open = || -> rusqlite::Result<Self> {
            let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let ceiling = Ceiling::set(MEMORY_BASE);
            let connection = Connection::open_with_flags(path, flags)?;
            let shared = Arc::new(Shared {
                allowed: AtomicU8::new(Allowed::Own as u8),
                denied: Mutex::default(),
                collations: Mutex::default(),
                budget: Budget::new(cancel.clone()),
            });
            let functions = Functions::bound(&connection, &shared)?;
            let (path, max) = (path.to_owned(), options.database_max);
            let longest = Cell::new(0);
            let database = Self { connection, functions, shared, ceiling, longest, path, max };
            database.guard(options)?;
            Ok(database)
        };
        open().map_err(|cause| {
            let kind =
                if cause.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull) { Kind::NoSpace } else { Kind::Io };
            Error::new(kind, format!("cannot set up the new database {path:?}")).because(cause)
        })
    }

    fn guard(&self, options: &Options) -> rusqlite::Result<()> {
        let db = &self.connection;
        // Before DEFENSIVE, which forbids it.
        db.execute_batch("PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA locking_mode=EXCLUSIVE;")?;
        // Rows come in the tables' order: a page that is full is not needed again, and what is small stays in the
        // processor's own cache.
        db.execute_batch(&format!("PRAGMA cache_size=-{}", CACHE >> 10))?;
        db.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
        db.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
        db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY, false)?;
        db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_FTS3_TOKENIZER, false)?;
        let bytes = |bytes: usize| i32::try_from(bytes).unwrap_or(i32::MAX);
        self.set_length();
        db.set_limit(Limit::SQLITE_LIMIT_SQL_LENGTH, bytes(options.statement_max))?;
        db.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0)?;
        db.set_limit(Limit::SQLITE_LIMIT_TRIGGER_DEPTH, 10)?;
        db.set_limit(Limit::SQLITE_LIMIT_FUNCTION_ARG, 127)?;
        db.set_limit(Limit::SQLITE_LIMIT_EXPR_DEPTH, 1000)?;
        db.set_limit(Limit::SQLITE_LIMIT_WORKER_THREADS, 0)?;
        let shared = self.shared.clone();
        db.progress_handler(STEPS_PER_LOOK as c_int, Some(move || shared.budget.look()))?;
        let shared: *const Shared = &raw const *self.shared;
        // SAFETY: the connection is open; `shared` outlives it, being dropped behind it.
        unsafe {
            ffi::sqlite3_set_authorizer(self.handle(), Some(authorize), shared.cast_mut().cast());
            ffi::sqlite3_collation_needed(self.handle(), shared.cast_mut().cast(), Some(collation_needed));
        }
        Ok(())
    }

    /// For statements of our own.
    pub(super) fn own(&self) -> &Connection {
        self.allow(Allowed::Own);
        &self.connection
    }

    /// The raw connection, for as long as this lives.
    pub(super) fn handle(&self) -> *mut ffi::sqlite3 {
        // SAFETY: used for preparing, binding and stepping only; it is never closed through the handle.
        unsafe { self.connection.handle() }
    }

    /// Says what the following statements may do.
    pub(super) fn allow(&self, allowed: Allowed) {
        self.shared.allowed.store(allowed as u8, Ordering::Relaxed);
    }

    /// Lets writes to virtual tables' shadow tables through, or not.
    pub(super) fn set_defensive(&self, on: bool) -> rusqlite::Result<()> {
        self.connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, on).map(drop)
    }

    /// Says how many bytes of text were taken, and how many the statement or the rows at hand are: what SQLite may do, hold
    /// and make is in proportion to them.
    pub(super) fn consumed(&self, bytes: u64, at_hand: u64) {
        self.shared.budget.consumed(bytes);
        if at_hand > self.longest.get() {
            self.longest.set(at_hand);
            self.ceiling.raise(MEMORY_BASE.saturating_add(at_hand.saturating_mul(MEMORY_PER_BYTE)));
            self.set_length();
        }
    }

    fn set_length(&self) {
        let length = self.longest.get().saturating_mul(LENGTH_PER_BYTE).max(LENGTH_BASE);
        let length = c_int::try_from(length).unwrap_or(c_int::MAX);
        // SAFETY: the connection is open.
        unsafe { ffi::sqlite3_limit(self.handle(), ffi::SQLITE_LIMIT_LENGTH, length) };
        self.functions.set_length(length);
    }

    /// Fails when the load was stopped or has done more than it may: a statement can be too short for SQLite to look.
    pub(super) fn look(&self) -> std::result::Result<(), Failure> {
        if self.shared.budget.must_stop() {
            return Err(Failure { code: ffi::SQLITE_INTERRUPT, message: "interrupted".to_owned() });
        }
        Ok(())
    }

    /// The collations that the text uses and this program lacks.
    pub(super) fn unknown_collations(&self) -> Vec<String> {
        lock(&self.shared.collations).clone()
    }

    /// Tells what a failure of SQLite means for the load. `doing` says what was being done.
    pub(super) fn explain(&self, failure: &Failure, doing: &str) -> Error {
        let denied = lock(&self.shared.denied).take();
        let budget = &self.shared.budget;
        let error = |kind, why: &str| Error::new(kind, format!("{doing}: {why}"));
        // SQLite reports a function that was denied as an ordinary error.
        if let Some(reason) = denied {
            return error(Kind::Refused, &reason);
        }
        match failure.code & 0xff {
            ffi::SQLITE_INTERRUPT if budget.is_cancelled() => {
                // What was being loaded is the shop's business and no mistake: it is not repeated here.
                Error::new(Kind::Cancelled, "stopped before it was finished").help("nothing was lost; start it again")
            }
            ffi::SQLITE_INTERRUPT if budget.is_spent() => {
                error(Kind::Refused, "it takes more work than any dump of this size")
                    .help("the dump may be hostile: look for its triggers and for endless queries")
            }
            ffi::SQLITE_NOMEM if self.ceiling.was_hit() => {
                error(Kind::Refused, "it takes more memory than any dump like it")
                    .help("the dump may be hostile: look for its functions and generated columns")
            }
            ffi::SQLITE_TOOBIG => error(Kind::Refused, &failure.message),
            // The schema and the shadow tables, which SQLite itself defends.
            _ if failure.message.ends_with("may not be modified") => error(Kind::Refused, &failure.message),
            ffi::SQLITE_FULL if self.is_at_max() => error(Kind::Refused, "the database grows larger than it may")
                .help("raise the limit if the dump comes from where you trust"),
            ffi::SQLITE_FULL => error(Kind::NoSpace, &failure.message)
                .help("free room on the target's file system, of which a little stays for others, and in the folder for temporary files (SQLITE_TMPDIR)"),
            ffi::SQLITE_IOERR | ffi::SQLITE_CANTOPEN | ffi::SQLITE_NOMEM | ffi::SQLITE_READONLY => {
                error(Kind::Io, &failure.message)
            }
            _ if failure.message.starts_with("no such function") => error(Kind::Damaged, &failure.message)
                .help("the application that made the database defines this function; load the dump with it"),
            _ => error(Kind::Damaged, &failure.message),
        }
    }

    /// How large the new database may become where it is, in bytes: a till must go on writing beside it.
    pub(super) fn room(&self) -> Result<u64> {
        let free = space::free(&self.path)?;
        Ok(free - KEEP_FREE.min(free / 10))
    }

    /// Whether it was the limit, not the file system, that SQLite hit. Its cache holds what the file lacks of it, and a
    /// little more.
    fn is_at_max(&self) -> bool {
        let near = |max| std::fs::metadata(&self.path).is_ok_and(|meta| meta.len() + 4 * CACHE >= max);
        self.max.is_some_and(near) && space::free(&self.path).is_ok_and(|free| free >= 4 * CACHE)
    }

    /// Closes the database; fails when something of it could not be written.
    pub(super) fn close(self) -> rusqlite::Result<()> {
        self.connection.close().map_err(|(_, cause)| cause)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Why SQLite may not do this for a statement from outside; none when it may. `first` and `second` are the action's
/// arguments, as `sqlite3_set_authorizer` gives them.
fn objection(allowed: u8, action: c_int, first: &[u8], second: &[u8]) -> Option<String> {
    let one_of = |names: &[&str], name: &[u8]| names.iter().any(|known| known.as_bytes().eq_ignore_ascii_case(name));
    let shown = || String::from_utf8_lossy(first);
    match action {
        ffi::SQLITE_INSERT | ffi::SQLITE_UPDATE | ffi::SQLITE_DELETE => {
            // A temporary trigger may come in under the name of an ordinary one: `CREATE TRIGGER temp.t`.
            if one_of(&["sqlite_temp_master", "sqlite_temp_schema"], first) {
                return Some("a dump has no reason for temporary tables, views or triggers".to_owned());
            }
            let refused = allowed != Allowed::Schema as u8 && one_of(&["sqlite_master", "sqlite_schema"], first);
            refused.then(|| "a dump may not write the schema directly".to_owned())
        }
        ffi::SQLITE_READ
        | ffi::SQLITE_SELECT
        | ffi::SQLITE_RECURSIVE
        | ffi::SQLITE_TRANSACTION
        | ffi::SQLITE_SAVEPOINT
        | ffi::SQLITE_ANALYZE
        | ffi::SQLITE_REINDEX => None,
        ffi::SQLITE_FUNCTION => one_of(&FUNCTIONS, second)
            .then(|| format!("the function {:?} reaches outside of the database", String::from_utf8_lossy(second))),
        ffi::SQLITE_PRAGMA => {
            (!one_of(&PRAGMAS, first)).then(|| format!("a dump has no reason for PRAGMA {:?}", shown()))
        }
        ffi::SQLITE_CREATE_TABLE
        | ffi::SQLITE_CREATE_INDEX
        | ffi::SQLITE_CREATE_VIEW
        | ffi::SQLITE_CREATE_TRIGGER
        | ffi::SQLITE_CREATE_VTABLE
        | ffi::SQLITE_DROP_TABLE
        | ffi::SQLITE_DROP_INDEX
        | ffi::SQLITE_DROP_TRIGGER
            if allowed == Allowed::Schema as u8 =>
        {
            None
        }
        ffi::SQLITE_ATTACH | ffi::SQLITE_DETACH => Some("a dump may not open other databases".to_owned()),
        _ => Some(format!("a dump has no reason for it (action {action} on {:?})", shown())),
    }
}

/// Asked by SQLite for everything that a statement is about to do, when it is prepared.
unsafe extern "C" fn authorize(
    shared: *mut c_void,
    action: c_int,
    first: *const c_char,
    second: *const c_char,
    _database: *const c_char,
    _trigger: *const c_char,
) -> c_int {
    // SAFETY: registered with a pointer to the `Shared` that outlives the connection.
    let shared = unsafe { &*shared.cast::<Shared>() };
    let allowed = shared.allowed.load(Ordering::Relaxed);
    if allowed == Allowed::Own as u8 {
        return ffi::SQLITE_OK;
    }
    // SAFETY: SQLite gives null or a string that ends with a NUL and lives during the call.
    let (first, second) = unsafe { (bytes_of(&first), bytes_of(&second)) };
    match objection(allowed, action, first, second) {
        None => ffi::SQLITE_OK,
        Some(reason) => {
            shared.deny(reason);
            ffi::SQLITE_DENY
        }
    }
}

/// The string's bytes; none for null.
///
/// # Safety
/// The pointer is null, or points to a string that ends with a NUL and lives as long as the borrow.
unsafe fn bytes_of(string: &*const c_char) -> &[u8] {
    if string.is_null() {
        return b"";
    }
    // SAFETY: the caller's promise.
    unsafe { CStr::from_ptr(*string) }.to_bytes()
}

/// Asked by SQLite for a collation that it does not know: texts are then compared by their bytes, so that every row
/// comes in, and the index is put right by the application.
unsafe extern "C" fn collation_needed(shared: *mut c_void, db: *mut ffi::sqlite3, _: c_int, name: *const c_char) {
    // SAFETY: registered with a pointer to the `Shared` that outlives the connection.
    let shared = unsafe { &*shared.cast::<Shared>() };
    // SAFETY: SQLite gives a string that ends with a NUL and lives during the call.
    let bytes = unsafe { bytes_of(&name) };
    if is_built_in(bytes) {
        return;
    }
    let shown = String::from_utf8_lossy(bytes).into_owned();
    let mut names = lock(&shared.collations);
    if names.len() < COLLATIONS_MAX && !names.contains(&shown) {
        names.push(shown);
    }
    drop(names);
    let (encoding, no_data) = (ffi::SQLITE_UTF8, std::ptr::null_mut());
    // SAFETY: SQLite allows this call in this callback; the comparison needs no data.
    unsafe { ffi::sqlite3_create_collation_v2(db, name, encoding, no_data, Some(compare_bytes), None) };
}
