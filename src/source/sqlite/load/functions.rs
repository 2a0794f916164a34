//! SQLite's functions whose work is the product of two lengths. One call of them may take hours, in which SQLite looks at
//! nothing; so the product is bounded first. The function itself is then SQLite's own, in a database beside.

use std::ffi::{CString, c_int};
use std::ptr;
use std::sync::Arc;

use rusqlite::{Connection, ffi};

use super::guard::Shared;

/// The function and its number of arguments; its work grows with the product of the lengths of the first two.
const FUNCTIONS: [(&str, c_int); 11] = [
    ("like", 2),
    ("like", 3),
    ("glob", 2),
    ("instr", 2),
    ("replace", 3),
    ("trim", 2),
    ("ltrim", 2),
    ("rtrim", 2),
    ("unhex", 2),
    ("json_patch", 2),
    ("jsonb_patch", 2),
];

/// The largest product of lengths in bytes: about a second of an x86 processor.
const WORK_MAX: u64 = 1 << 30;

/// One of the functions, prepared.
#[derive(Debug)]
struct Function {
    name: &'static str,
    statement: *mut ffi::sqlite3_stmt,
    shared: Arc<Shared>,
}

/// The functions of one database. Must be dropped after it.
#[derive(Debug)]
pub(super) struct Functions {
    // Boxed: SQLite keeps pointers to them.
    #[allow(clippy::vec_box, reason = "their addresses must not change")]
    functions: Vec<Box<Function>>,
    beside: Connection,
}

impl Functions {
    /// Puts bounded ones in the place of the database's own.
    pub(super) fn bound(db: &Connection, shared: &Arc<Shared>) -> rusqlite::Result<Self> {
        let mut all = Self { functions: Vec::new(), beside: Connection::open_in_memory()? };
        for (name, arguments) in FUNCTIONS {
            let holes = ["?"; 3][..arguments as usize].join(",");
            // SAFETY: the connection is open and stays so until the statement was finalized.
            let statement = unsafe { prepare(all.beside.handle(), &format!("SELECT {name}({holes})"))? };
            all.functions.push(Box::new(Function { name, statement, shared: Arc::clone(shared) }));
            let data: *const Function = &raw const **all.functions.last().expect("just pushed");
            let flags = ffi::SQLITE_UTF8 | ffi::SQLITE_DETERMINISTIC | ffi::SQLITE_INNOCUOUS;
            let name = CString::new(name).expect("has no NUL");
            // SAFETY: the database is open; `data` outlives it, as the caller promises.
            let code = unsafe {
                let data = data.cast_mut().cast();
                ffi::sqlite3_create_function_v2(
                    db.handle(),
                    name.as_ptr(),
                    arguments,
                    flags,
                    data,
                    Some(call),
                    None,
                    None,
                    None,
                )
            };
            ok(code)?;
        }
        Ok(all)
    }

    /// The longest value that they may give, in bytes.
    pub(super) fn set_length(&self, bytes: c_int) {
        // SAFETY: the connection is open.
        unsafe { ffi::sqlite3_limit(self.beside.handle(), ffi::SQLITE_LIMIT_LENGTH, bytes) };
    }
}

impl Drop for Functions {
    fn drop(&mut self) {
        for function in &self.functions {
            // SAFETY: prepared by us, finalized once, before its connection is closed.
            unsafe { ffi::sqlite3_finalize(function.statement) };
        }
    }
}

fn ok(code: c_int) -> rusqlite::Result<()> {
    if code == ffi::SQLITE_OK { Ok(()) } else { Err(rusqlite::Error::SqliteFailure(ffi::Error::new(code), None)) }
}

/// # Safety
/// The database is open and outlives the statement.
unsafe fn prepare(db: *mut ffi::sqlite3, sql: &str) -> rusqlite::Result<*mut ffi::sqlite3_stmt> {
    let mut statement = ptr::null_mut();
    let length = c_int::try_from(sql.len()).unwrap_or(c_int::MAX);
    // SAFETY: the caller's promise; `length` bytes are read at most.
    ok(unsafe { ffi::sqlite3_prepare_v2(db, sql.as_ptr().cast(), length, &raw mut statement, ptr::null_mut()) })?;
    Ok(statement)
}

/// Called by SQLite in the place of its own function.
unsafe extern "C" fn call(context: *mut ffi::sqlite3_context, count: c_int, values: *mut *mut ffi::sqlite3_value) {
    // SAFETY: registered with a pointer to a function that outlives the database; SQLite gives `count` values, of which
    // there are two at least, and they live during the call.
    unsafe {
        let function = &*ffi::sqlite3_user_data(context).cast::<Function>();
        let values = std::slice::from_raw_parts(values, count as usize);
        if function.shared.budget().must_stop() {
            return ffi::sqlite3_result_error_code(context, ffi::SQLITE_INTERRUPT);
        }
        let length = |value: *mut ffi::sqlite3_value| ffi::sqlite3_value_bytes(value).unsigned_abs();
        if u64::from(length(values[0])) * u64::from(length(values[1])) > WORK_MAX {
            let name = function.name;
            function.shared.deny(format!("the function {name:?} would take more work than in any dump"));
            return ffi::sqlite3_result_error_code(context, ffi::SQLITE_AUTH);
        }
        run(context, function.statement, values);
    }
}

/// # Safety
/// The context and the values are SQLite's, the statement is ours and has as many parameters as there are values.
unsafe fn run(
    context: *mut ffi::sqlite3_context,
    statement: *mut ffi::sqlite3_stmt,
    values: &[*mut ffi::sqlite3_value],
) {
    // SAFETY: the caller's promise; a value that a row gave is copied before the statement is reset.
    unsafe {
        for (number, value) in (1..).zip(values) {
            ffi::sqlite3_bind_value(statement, number, *value);
        }
        match ffi::sqlite3_step(statement) {
            ffi::SQLITE_ROW => ffi::sqlite3_result_value(context, ffi::sqlite3_column_value(statement, 0)),
            ffi::SQLITE_NOMEM => ffi::sqlite3_result_error_nomem(context),
            ffi::SQLITE_TOOBIG => ffi::sqlite3_result_error_toobig(context),
            _ => {
                let message = ffi::sqlite3_errmsg(ffi::sqlite3_db_handle(statement));
                ffi::sqlite3_result_error(context, message, -1);
            }
        }
        ffi::sqlite3_reset(statement);
        ffi::sqlite3_clear_bindings(statement);
    }
}
