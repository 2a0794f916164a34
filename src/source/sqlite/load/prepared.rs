//! Prepared statements on SQLite's own interface: their SQL is bytes, which need be no valid text.

use std::ffi::{CStr, c_char, c_int};
use std::marker::PhantomData;
use std::ptr;

use rusqlite::ffi;

use super::guard::Database;
use super::lex::Lexer;

/// What SQLite said when it failed.
#[derive(Debug)]
pub(super) struct Failure {
    /// SQLite's result code.
    pub(super) code: c_int,
    /// SQLite's own words, in one line.
    pub(super) message: String,
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        let code = error.sqlite_error().map_or(ffi::SQLITE_ERROR, |error| error.extended_code);
        Self { code, message: error.to_string() }
    }
}

/// A prepared statement of one database.
#[derive(Debug)]
pub(super) struct Prepared<'d> {
    statement: *mut ffi::sqlite3_stmt,
    database: PhantomData<&'d Database>,
}

impl Drop for Prepared<'_> {
    fn drop(&mut self) {
        // SAFETY: prepared by us and finalized here alone; null is allowed.
        unsafe { ffi::sqlite3_finalize(self.statement) };
    }
}

impl<'d> Prepared<'d> {
    /// Prepares `sql`, which must hold one statement.
    pub(super) fn new(database: &'d Database, sql: &[u8]) -> Result<Self, Failure> {
        let too_big = |_| Failure { code: ffi::SQLITE_TOOBIG, message: "the statement is too long".to_owned() };
        let length = c_int::try_from(sql.len()).map_err(too_big)?;
        let mut prepared = Self { statement: ptr::null_mut(), database: PhantomData };
        let mut tail: *const c_char = ptr::null();
        // SAFETY: the database is open; `length` bytes are read at most, and the two pointers are ours.
        let code = unsafe {
            let sql = sql.as_ptr().cast();
            ffi::sqlite3_prepare_v2(database.handle(), sql, length, &raw mut prepared.statement, &raw mut tail)
        };
        prepared.check(database, code)?;
        let taken = if tail.is_null() { 0 } else { tail as usize - sql.as_ptr() as usize };
        if Lexer::new(&sql[taken..]).next().is_some() {
            let message = "SQLite sees its end at another place".to_owned();
            return Err(Failure { code: ffi::SQLITE_ERROR, message });
        }
        Ok(prepared)
    }

    /// Runs the statement to its end, leaving out rows that it may give, and makes it ready to be run again.
    pub(super) fn run(&mut self, database: &Database) -> Result<(), Failure> {
        if self.statement.is_null() {
            return Ok(());
        }
        loop {
            // SAFETY: the statement was prepared and is not null.
            match unsafe { ffi::sqlite3_step(self.statement) } {
                ffi::SQLITE_ROW => {}
                ffi::SQLITE_DONE => break,
                code => return self.check(database, code),
            }
        }
        // SAFETY: as above.
        self.check(database, unsafe { ffi::sqlite3_reset(self.statement) })?;
        database.look()
    }

    fn check(&self, database: &Database, code: c_int) -> Result<(), Failure> {
        if code == ffi::SQLITE_OK {
            return Ok(());
        }
        // SAFETY: the database is open; the message is copied before anything else is called.
        let message = unsafe {
            let message = ffi::sqlite3_errmsg(database.handle());
            if message.is_null() {
                "unknown".to_owned()
            } else {
                CStr::from_ptr(message).to_string_lossy().into_owned()
            }
        };
        Err(Failure { code, message: message.replace(char::is_control, " ") })
    }
}
