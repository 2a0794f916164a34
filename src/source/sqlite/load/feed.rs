//! The rows of a parcel as a table that SQLite can read. An `INSERT ... SELECT` from it takes thousands of rows in one
//! go, with the written table's cursor kept where the last row went; binding them one by one takes half as long again.

use std::cell::Cell;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr;

use rusqlite::ffi;

use super::guard::Database;
use super::parcel::{Parcel, Value};
use super::prepared::{Failure, Prepared};

/// The table's name.
const NAME: &CStr = c"tillstick_rows";

/// How many columns it has: as many as any table may have.
pub(super) const COLUMNS: usize = 2000;

/// What the table gives: the rows of one parcel at a time, while a statement runs.
#[derive(Debug)]
struct Source {
    parcel: Cell<*const Parcel>,
    row: Cell<usize>,
}

/// The table, in one database.
#[derive(Debug)]
pub(super) struct Feed<'d> {
    database: &'d Database,
    // SQLite keeps a pointer to it for as long as the database is open, and follows it only while one of the table's
    // statements runs; those are run here alone.
    source: Box<Source>,
}

impl<'d> Feed<'d> {
    /// Adds the table to the database.
    pub(super) fn new(database: &'d Database) -> Result<Self, Failure> {
        let source = Box::new(Source { parcel: Cell::new(ptr::null()), row: Cell::new(0) });
        let data: *const Source = &raw const *source;
        // SAFETY: the database is open; the module is static, and `data` is followed while it lives, as said above.
        let code = unsafe {
            ffi::sqlite3_create_module_v2(
                database.handle(),
                NAME.as_ptr(),
                &raw const MODULE,
                data as *mut c_void,
                None,
            )
        };
        if code != ffi::SQLITE_OK {
            return Err(Failure { code, message: "the table of rows cannot be added".to_owned() });
        }
        Ok(Self { database, source })
    }

    /// The statement that inserts rows of so many columns by way of this table. `before_values` is what stands before
    /// `VALUES` in the `INSERT` that they come from.
    pub(super) fn prepare(&self, before_values: &[u8], columns: usize) -> Result<Prepared<'d>, Failure> {
        if columns > COLUMNS {
            return Err(Failure {
                code: ffi::SQLITE_ERROR,
                message: format!("{columns} values are too many for a row"),
            });
        }
        let mut sql = before_values.to_vec();
        for column in 0..columns {
            sql.extend_from_slice(if column == 0 { b" SELECT c" } else { b",c" });
            sql.extend_from_slice(column.to_string().as_bytes());
        }
        sql.extend_from_slice(b" FROM ");
        sql.extend_from_slice(NAME.to_bytes());
        Prepared::new(self.database, &sql)
    }

    /// Runs the statement over the parcel's rows. A failure comes with the row that it happened at.
    pub(super) fn run(&self, statement: &mut Prepared<'d>, parcel: &Parcel) -> Result<(), (Failure, usize)> {
        self.source.row.set(0);
        self.source.parcel.set(parcel);
        let outcome = statement.run(self.database);
        self.source.parcel.set(ptr::null());
        outcome.map_err(|failure| (failure, self.source.row.get()))
    }
}

/// The table, as SQLite knows it.
#[repr(C)]
struct Table {
    base: ffi::sqlite3_vtab,
    source: *const Source,
}

/// A cursor: there is one place in the parcel, whoever reads.
#[repr(C)]
struct Cursor {
    base: ffi::sqlite3_vtab_cursor,
    source: *const Source,
}

/// Without `xCreate`, the table is there without being created, and nobody can create another one.
static MODULE: ffi::sqlite3_module = ffi::sqlite3_module {
    iVersion: 0,
    xCreate: None,
    xConnect: Some(connect),
    xBestIndex: Some(best_index),
    xDisconnect: Some(disconnect),
    xDestroy: None,
    xOpen: Some(open),
    xClose: Some(close),
    xFilter: Some(filter),
    xNext: Some(next),
    xEof: Some(eof),
    xColumn: Some(column),
    xRowid: Some(rowid),
    xUpdate: None,
    xBegin: None,
    xSync: None,
    xCommit: None,
    xRollback: None,
    xFindFunction: None,
    xRename: None,
    xSavepoint: None,
    xRelease: None,
    xRollbackTo: None,
    xShadowName: None,
    xIntegrity: None,
};

unsafe extern "C" fn connect(
    db: *mut ffi::sqlite3,
    source: *mut c_void,
    _: c_int,
    _: *const *const c_char,
    table: *mut *mut ffi::sqlite3_vtab,
    _: *mut *mut c_char,
) -> c_int {
    let columns: Vec<String> = (0..COLUMNS).map(|column| format!("c{column}")).collect();
    let Ok(sql) = CString::new(format!("CREATE TABLE x({})", columns.join(","))) else { return ffi::SQLITE_ERROR };
    // SAFETY: SQLite calls this with its own open database and with room for the table's pointer.
    unsafe {
        // Not for triggers and views: those come from the text.
        let code = match ffi::sqlite3_vtab_config(db, ffi::SQLITE_VTAB_DIRECTONLY) {
            ffi::SQLITE_OK => ffi::sqlite3_declare_vtab(db, sql.as_ptr()),
            code => code,
        };
        if code == ffi::SQLITE_OK {
            let made = Table { base: std::mem::zeroed(), source: source.cast() };
            *table = Box::into_raw(Box::new(made)).cast();
        }
        code
    }
}

unsafe extern "C" fn disconnect(table: *mut ffi::sqlite3_vtab) -> c_int {
    // SAFETY: made by `connect`, and given back once.
    drop(unsafe { Box::from_raw(table.cast::<Table>()) });
    ffi::SQLITE_OK
}

unsafe extern "C" fn best_index(_: *mut ffi::sqlite3_vtab, _: *mut ffi::sqlite3_index_info) -> c_int {
    ffi::SQLITE_OK
}

unsafe extern "C" fn open(table: *mut ffi::sqlite3_vtab, cursor: *mut *mut ffi::sqlite3_vtab_cursor) -> c_int {
    // SAFETY: the table was made by `connect`; SQLite gives room for the cursor's pointer.
    unsafe {
        let made = Cursor { base: std::mem::zeroed(), source: (*table.cast::<Table>()).source };
        *cursor = Box::into_raw(Box::new(made)).cast();
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn close(cursor: *mut ffi::sqlite3_vtab_cursor) -> c_int {
    // SAFETY: made by `open`, and given back once.
    drop(unsafe { Box::from_raw(cursor.cast::<Cursor>()) });
    ffi::SQLITE_OK
}

/// The source behind a cursor, and its parcel if one is at hand.
///
/// # Safety
/// The cursor is one of `open`, and a statement of the feed is running.
unsafe fn source<'a>(cursor: *mut ffi::sqlite3_vtab_cursor) -> (&'a Source, Option<&'a Parcel>) {
    // SAFETY: the caller's promise; the parcel is borrowed by `Feed::run` until after the statement has run.
    unsafe {
        let source = &*(*cursor.cast::<Cursor>()).source;
        (source, source.parcel.get().as_ref())
    }
}

unsafe extern "C" fn filter(
    cursor: *mut ffi::sqlite3_vtab_cursor,
    _: c_int,
    _: *const c_char,
    _: c_int,
    _: *mut *mut ffi::sqlite3_value,
) -> c_int {
    // SAFETY: SQLite calls this while a statement runs.
    unsafe { source(cursor) }.0.row.set(0);
    ffi::SQLITE_OK
}

unsafe extern "C" fn next(cursor: *mut ffi::sqlite3_vtab_cursor) -> c_int {
    // SAFETY: SQLite calls this while a statement runs.
    let source = unsafe { source(cursor) }.0;
    source.row.set(source.row.get() + 1);
    ffi::SQLITE_OK
}

unsafe extern "C" fn eof(cursor: *mut ffi::sqlite3_vtab_cursor) -> c_int {
    // SAFETY: SQLite calls this while a statement runs.
    let (source, parcel) = unsafe { source(cursor) };
    c_int::from(parcel.is_none_or(|parcel| source.row.get() >= parcel.rows))
}

unsafe extern "C" fn rowid(cursor: *mut ffi::sqlite3_vtab_cursor, rowid: *mut ffi::sqlite3_int64) -> c_int {
    // SAFETY: SQLite calls this while a statement runs, with room for the number.
    unsafe { *rowid = source(cursor).0.row.get() as i64 };
    ffi::SQLITE_OK
}

unsafe extern "C" fn column(
    cursor: *mut ffi::sqlite3_vtab_cursor,
    context: *mut ffi::sqlite3_context,
    column: c_int,
) -> c_int {
    // SAFETY: SQLite calls this while a statement runs.
    let (source, parcel) = unsafe { source(cursor) };
    let value = parcel.and_then(|parcel| {
        let value = parcel.values.get(source.row.get() * parcel.columns + column as usize)?;
        Some((value, &parcel.bytes))
    });
    let part = |bytes: &[u8]| (bytes.as_ptr(), bytes.len() as u64);
    // SAFETY: the context is SQLite's own. Texts and BLOBs are given without a copy: they stay until the row is in.
    unsafe {
        match value {
            None | Some((Value::Null, _)) => ffi::sqlite3_result_null(context),
            Some((Value::Integer(value), _)) => ffi::sqlite3_result_int64(context, *value),
            Some((Value::Real(value), _)) => ffi::sqlite3_result_double(context, *value),
            Some((Value::Text(range), bytes)) => {
                let (text, length) = part(&bytes[range.clone()]);
                let (kind, utf8) = (ffi::SQLITE_STATIC(), ffi::SQLITE_UTF8 as u8);
                ffi::sqlite3_result_text64(context, text.cast(), length, kind, utf8);
            }
            Some((Value::Blob(range), bytes)) => {
                let (blob, length) = part(&bytes[range.clone()]);
                ffi::sqlite3_result_blob64(context, blob.cast(), length, ffi::SQLITE_STATIC());
            }
        }
    }
    ffi::SQLITE_OK
}
