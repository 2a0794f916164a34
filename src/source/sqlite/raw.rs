//! The few things that the safe SQLite API cannot do: opening with the reason of a failure, and reading rows without
//! copying or converting a value. All `unsafe` of this room is here.

use std::any::Any;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;

use rusqlite::{Connection, ffi};

use super::text::Cell;
use crate::error::{Error, Result};

/// Why SQLite could not do something, and what the system said to SQLite.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) error: rusqlite::Error,
    /// The system's reason, when there was one.
    pub(super) system: Option<io::Error>,
}

/// Opens `path` with `flags`; reads nothing yet.
pub(super) fn open(path: &Path, flags: c_int) -> Result<Connection, Failure> {
    let name = CString::new(path.as_os_str().as_bytes())
        .map_err(|cause| Failure { error: rusqlite::Error::NulError(cause), system: None })?;
    let mut db = std::ptr::null_mut();
    // SAFETY: the name ends in NUL and outlives the call; `db` is written by it, even on failure.
    let code = unsafe { ffi::sqlite3_open_v2(name.as_ptr(), &raw mut db, flags, std::ptr::null()) };
    if code != ffi::SQLITE_OK {
        let failure = failure_of(db, code);
        // SAFETY: a handle is to be closed after a failure too; null is allowed.
        unsafe { ffi::sqlite3_close(db) };
        return Err(failure);
    }
    // SAFETY: `db` is an open handle that nobody else has; the connection closes it.
    unsafe {
        ffi::sqlite3_extended_result_codes(db, 1);
        Connection::from_handle_owned(db)
    }
    .map_err(|error| Failure { error, system: None })
}

/// What the last failed call on `db` left behind.
pub(super) fn system_reason(db: &Connection) -> Option<io::Error> {
    // SAFETY: the handle is open as long as `db` lives.
    let errno = unsafe { ffi::sqlite3_system_errno(db.handle()) };
    (errno != 0).then(|| io::Error::from_raw_os_error(errno))
}

fn failure_of(db: *mut ffi::sqlite3, code: c_int) -> Failure {
    if db.is_null() {
        return Failure { error: rusqlite::Error::SqliteFailure(ffi::Error::new(code), None), system: None };
    }
    // SAFETY: `db` is a handle that was not closed yet; the message is copied before the next call on it.
    unsafe {
        let message = CStr::from_ptr(ffi::sqlite3_errmsg(db)).to_string_lossy().into_owned();
        let code = ffi::Error::new(ffi::sqlite3_extended_errcode(db));
        let errno = ffi::sqlite3_system_errno(db);
        Failure {
            error: rusqlite::Error::SqliteFailure(code, Some(message)),
            system: (errno != 0).then(|| io::Error::from_raw_os_error(errno)),
        }
    }
}

/// Lets tables be read whose order is one that only the program of the database knows: reading them from the first
/// to the last row compares nothing, but SQLite wants every collation to exist.
pub(super) fn accept_any_collation(db: &Connection) {
    // SAFETY: the handle is open and the callback needs no state.
    unsafe { ffi::sqlite3_collation_needed(db.handle(), std::ptr::null_mut(), Some(collation_needed)) };
}

unsafe extern "C" fn collation_needed(_: *mut c_void, db: *mut ffi::sqlite3, encoding: c_int, name: *const c_char) {
    // SAFETY: SQLite passes its own handle and a name that ends in NUL; the comparison needs no state.
    unsafe {
        if !is_built_in(CStr::from_ptr(name).to_bytes()) {
            ffi::sqlite3_create_collation_v2(db, name, encoding, std::ptr::null_mut(), Some(compare_bytes), None);
        }
    }
}

/// Whether SQLite has this collation itself. In a database in UTF-16 it asks for one even so, since it has them for
/// UTF-8 alone; told of none, it converts the texts and takes its own.
pub(super) fn is_built_in(collation: &[u8]) -> bool {
    ["BINARY", "NOCASE", "RTRIM"].iter().any(|name| collation.eq_ignore_ascii_case(name.as_bytes()))
}

/// The order of texts whose collation nobody here knows: that of their bytes.
pub(super) unsafe extern "C" fn compare_bytes(
    _: *mut c_void,
    left_length: c_int,
    left: *const c_void,
    right_length: c_int,
    right: *const c_void,
) -> c_int {
    // SAFETY: SQLite passes two texts with their lengths, valid during the call.
    let (left, right) = unsafe { (bytes(left, left_length), bytes(right, right_length)) };
    left.cmp(right) as c_int
}

/// Tells whether SQLite takes `sql` for one or more complete statements.
pub(super) fn is_complete(sql: &str) -> bool {
    // SAFETY: the text ends in NUL and outlives the call.
    CString::new(sql).is_ok_and(|sql| unsafe { ffi::sqlite3_complete(sql.as_ptr()) } != 0)
}

/// The values of one row, in place: valid until the next row.
pub(super) trait Row {
    /// How many values there are.
    fn len(&self) -> usize;
    /// The value number `i`, which must be below `len`.
    fn cell(&self, i: usize) -> Cell<'_>;

    /// The first value as the row's key: a rowid.
    fn key(&self) -> u64 {
        match self.cell(0) {
            Cell::Integer(rowid) => rowid.cast_unsigned(),
            _ => 0,
        }
    }
}

/// Takes the rows of a query.
pub(super) trait TakeRow {
    /// Takes one row; an error ends the query.
    fn take(&mut self, row: &impl Row) -> Result<()>;
}

/// Why a query ended early.
#[derive(Debug)]
pub(super) enum RowsError {
    /// SQLite could not go on.
    Sqlite(rusqlite::Error),
    /// The taker could not.
    Taker(Error),
}

impl From<rusqlite::Error> for RowsError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

/// The name of the function while [`aggregate`] runs.
const FUNCTION: &CStr = c"tillstick_row";

/// Gives every row of `SELECT <columns> <from>` to `taker`, as arguments of an aggregate function: SQLite then never
/// leaves its own loop, which was 1.4 times as fast as [`each`] on a till-like database. `columns` is a list of at most
/// `SQLITE_LIMIT_FUNCTION_ARG` expressions, `from` a clause without ORDER BY.
pub(super) fn aggregate<T: TakeRow>(
    db: &Connection,
    columns: &str,
    from: &str,
    taker: &mut T,
) -> Result<(), RowsError> {
    let mut call = Call { taker, failed: None, panic: None };
    // SAFETY: the handle is open; `call` outlives the registration, which ends below whatever the query gives.
    let code = unsafe { register(db, (&raw mut call).cast(), Some(step::<T>)) };
    if code != ffi::SQLITE_OK {
        return Err(rusqlite::Error::SqliteFailure(ffi::Error::new(code), None).into());
    }
    let sql = format!("SELECT {}({columns}) {from}", FUNCTION.to_string_lossy());
    let result = db.query_row(&sql, [], |_| Ok(()));
    // SAFETY: the query is over and finalized, so that nobody can call the function any more.
    unsafe { register(db, std::ptr::null_mut(), None) };
    if let Some(panic) = call.panic {
        resume_unwind(panic);
    }
    match call.failed {
        Some(error) => Err(RowsError::Taker(error)),
        None => Ok(result?),
    }
}

/// What the aggregate function finds behind its user pointer.
struct Call<'t, T> {
    taker: &'t mut T,
    failed: Option<Error>,
    panic: Option<Box<dyn Any + Send>>,
}

type Step = unsafe extern "C" fn(*mut ffi::sqlite3_context, c_int, *mut *mut ffi::sqlite3_value);

/// Sets the function, or takes it away when there is no `step`.
///
/// # Safety
/// `call` must be what `step` expects and stay valid until the function is taken away.
unsafe fn register(db: &Connection, call: *mut c_void, step: Option<Step>) -> c_int {
    let finish: Option<unsafe extern "C" fn(*mut ffi::sqlite3_context)> = if step.is_some() { Some(end) } else { None };
    // SAFETY: the handle is open and the name ends in NUL; for `call` the caller answers.
    unsafe {
        let (db, flags) = (db.handle(), ffi::SQLITE_UTF8 | ffi::SQLITE_DIRECTONLY);
        ffi::sqlite3_create_function_v2(db, FUNCTION.as_ptr(), -1, flags, call, None, step, finish, None)
    }
}

unsafe extern "C" fn step<T: TakeRow>(
    context: *mut ffi::sqlite3_context,
    count: c_int,
    values: *mut *mut ffi::sqlite3_value,
) {
    // SAFETY: SQLite passes the pointer that `aggregate` registered, `count` valid values, and calls from one thread.
    let (call, row) = unsafe {
        let values = std::slice::from_raw_parts(values, usize::try_from(count).unwrap_or(0));
        (&mut *ffi::sqlite3_user_data(context).cast::<Call<'_, T>>(), Arguments(values))
    };
    // Nothing may unwind into C: a panic of the taker waits until SQLite has returned.
    match catch_unwind(AssertUnwindSafe(|| call.taker.take(&row))) {
        Ok(Ok(())) => return,
        Ok(Err(error)) => call.failed = Some(error),
        Err(panic) => call.panic = Some(panic),
    }
    // SAFETY: the context is the one of this call; the message is copied.
    unsafe { ffi::sqlite3_result_error(context, c"the row was not taken".as_ptr(), -1) };
}

unsafe extern "C" fn end(_: *mut ffi::sqlite3_context) {}

struct Arguments<'r>(&'r [*mut ffi::sqlite3_value]);

impl Row for Arguments<'_> {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn cell(&self, i: usize) -> Cell<'_> {
        let value = self.0[i];
        // SAFETY: a value that SQLite passed to the call that is running. The bytes are asked for as a blob, so that
        // text stays in its encoding; pointer first, then length, as SQLite demands.
        unsafe {
            match ffi::sqlite3_value_type(value) {
                ffi::SQLITE_INTEGER => Cell::Integer(ffi::sqlite3_value_int64(value)),
                ffi::SQLITE_FLOAT => Cell::Real(ffi::sqlite3_value_double(value)),
                ffi::SQLITE_NULL => Cell::Null,
                class => {
                    let start = ffi::sqlite3_value_blob(value);
                    let bytes = bytes(start, ffi::sqlite3_value_bytes(value));
                    if class == ffi::SQLITE_TEXT { Cell::Text(bytes) } else { Cell::Blob(bytes) }
                }
            }
        }
    }
}

/// # Safety
/// `start` is null or begins `length` bytes that stay valid for `'r`.
unsafe fn bytes<'r>(start: *const c_void, length: c_int) -> &'r [u8] {
    match usize::try_from(length) {
        // SAFETY: the caller answers for it.
        Ok(length) if !start.is_null() => unsafe { std::slice::from_raw_parts(start.cast(), length) },
        _ => &[],
    }
}

/// Gives every row of the query `sql` to `taker`: for what [`aggregate`] cannot do.
pub(super) fn each(db: &Connection, sql: &str, taker: &mut impl TakeRow) -> Result<(), RowsError> {
    let mut statement = Statement(std::ptr::null_mut());
    let text = CString::new(sql).map_err(rusqlite::Error::NulError)?;
    // SAFETY: the handle is open, the text ends in NUL; `statement` finalizes what the call gives.
    let code =
        unsafe { ffi::sqlite3_prepare_v2(db.handle(), text.as_ptr(), -1, &raw mut statement.0, std::ptr::null_mut()) };
    if code != ffi::SQLITE_OK {
        return Err(last_error(db, code).into());
    }
    loop {
        // SAFETY: the statement was prepared and is not finalized.
        match unsafe { ffi::sqlite3_step(statement.0) } {
            ffi::SQLITE_ROW => taker.take(&statement).map_err(RowsError::Taker)?,
            ffi::SQLITE_DONE => return Ok(()),
            code => return Err(last_error(db, code).into()),
        }
    }
}

fn last_error(db: &Connection, code: c_int) -> rusqlite::Error {
    // SAFETY: the handle is open as long as `db` lives.
    failure_of(unsafe { db.handle() }, code).error
}

struct Statement(*mut ffi::sqlite3_stmt);

impl Drop for Statement {
    fn drop(&mut self) {
        // SAFETY: finalized only here; null is allowed.
        unsafe { ffi::sqlite3_finalize(self.0) };
    }
}

impl Row for Statement {
    fn len(&self) -> usize {
        // SAFETY: a prepared statement.
        usize::try_from(unsafe { ffi::sqlite3_column_count(self.0) }).unwrap_or(0)
    }

    fn cell(&self, i: usize) -> Cell<'_> {
        let i = c_int::try_from(i).unwrap_or(c_int::MAX);
        // SAFETY: a statement that stands on a row; a column out of range reads as NULL. The borrow ends before the
        // next step. Pointer first, then length; as a blob, so that text stays in its encoding.
        unsafe {
            match ffi::sqlite3_column_type(self.0, i) {
                ffi::SQLITE_INTEGER => Cell::Integer(ffi::sqlite3_column_int64(self.0, i)),
                ffi::SQLITE_FLOAT => Cell::Real(ffi::sqlite3_column_double(self.0, i)),
                ffi::SQLITE_NULL => Cell::Null,
                class => {
                    let start = ffi::sqlite3_column_blob(self.0, i);
                    let bytes = bytes(start, ffi::sqlite3_column_bytes(self.0, i));
                    if class == ffi::SQLITE_TEXT { Cell::Text(bytes) } else { Cell::Blob(bytes) }
                }
            }
        }
    }
}
