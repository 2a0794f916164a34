//! Walks over the text, statement by statement: rows of literals are bound, everything else that is allowed is executed.

mod rows;

use self::rows::Insert;
use super::Options;
use super::bind::{Failure, Prepared};
use super::guard::{Allowed, Database};
use super::lex::is_space;
use super::row::Row;
use super::shadow::Shadows;
use super::split::Scanner;
use super::statement::{self, Statement};
use super::transaction::Transaction;
use super::window::Window;
use crate::error::{Error, Kind, Result};
use crate::source::sqlite::{END_MARK, HEADER_PREFIX};

/// How much of a statement an error repeats, in bytes.
const SNIPPET: usize = 80;

/// What is looked at to tell what the text is; in bytes.
const GREETING: usize = 16;

/// The smallest limit for a statement, in bytes: so much may be read ahead.
const STATEMENT_MIN: usize = 1 << 20;

/// What helps against a dump that ends early.
const INCOMPLETE: &str = "it is incomplete: make a new one, or take an earlier backup";

/// The walk over one text.
pub(super) struct Loader<'d, 'w> {
    database: &'d Database,
    options: &'d Options,
    window: Window<'w>,
    transaction: Transaction,
    shadows: Shadows,
    insert: Option<Insert<'d>>,
    row: Row,
    /// Statements so far, and where the current one begins.
    number: u64,
    begin: u64,
    ours: bool,
    end_mark: bool,
    /// Whether texts are stored as they come; known once the first table is there.
    utf8: bool,
    /// Whether the last statement was `PRAGMA writable_schema=ON`.
    writable_schema: bool,
    created: bool,
}

impl<'d, 'w> Loader<'d, 'w> {
    pub(super) fn new(database: &'d Database, options: &'d Options, window: Window<'w>) -> Self {
        Self {
            database,
            options,
            window,
            transaction: Transaction::default(),
            shadows: Shadows::default(),
            insert: None,
            row: Row::default(),
            number: 0,
            begin: 0,
            ours: false,
            end_mark: false,
            utf8: true,
            writable_schema: false,
            created: false,
        }
    }

    /// Loads the whole text. What should be known although it was loaded is added to `warnings`.
    pub(super) fn run(mut self, warnings: &mut Vec<String>) -> Result<u64> {
        self.greet()?;
        while self.skip_blank()? {
            self.number += 1;
            self.begin = self.window.offset();
            if self.end_mark {
                return Err(self.error(Kind::Damaged, "something follows the dump's end mark"));
            }
            if self.window.bytes().first() == Some(&b'.') {
                let why = "it is a command to the sqlite3 shell, and could run programs there";
                return Err(self.error(Kind::Refused, why));
            }
            if !self.rows()? {
                self.statement()?;
            }
        }
        self.farewell(warnings)
    }

    /// Looks at how the text begins.
    fn greet(&mut self) -> Result<()> {
        while self.window.bytes().len() < GREETING && self.fetch()? {}
        let bytes = self.window.bytes();
        let problem = match bytes {
            [] => Some((Kind::Damaged, "the dump is empty", INCOMPLETE)),
            [0x1f, 0x8b, ..] => Some((Kind::Usage, "it is gzip data, not SQL text", "unpack it first")),
            _ if bytes.starts_with(b"SQLite format 3\0") => {
                Some((Kind::Usage, "it is a database, not SQL text", "copy it to where it shall be"))
            }
            _ => None,
        };
        if let Some((kind, message, help)) = problem {
            return Err(Error::new(kind, message).help(help));
        }
        if bytes.starts_with(b"\xef\xbb\xbf") {
            self.window.consume(3);
        }
        self.ours = self.window.bytes().starts_with(HEADER_PREFIX.as_bytes());
        Ok(())
    }

    /// Skips white space and comments, noticing the end mark; `false` at the end of the text.
    fn skip_blank(&mut self) -> Result<bool> {
        loop {
            let bytes = self.window.bytes();
            let blank = bytes.iter().position(|byte| !is_space(*byte)).unwrap_or(bytes.len());
            self.window.consume(blank);
            match self.window.bytes() {
                [b'-', b'-', ..] => self.skip_comment(b"\n")?,
                [b'/', b'*', ..] => self.skip_comment(b"*/")?,
                [] | [b'-' | b'/'] => {
                    if !self.fetch()? {
                        return Ok(!self.window.bytes().is_empty());
                    }
                }
                _ => return Ok(true),
            }
        }
    }

    fn skip_comment(&mut self, close: &[u8]) -> Result<()> {
        // Behind the two bytes that open it: `/*/` closes nothing.
        let mut from = 2;
        loop {
            let bytes = self.window.bytes();
            if let Some(found) = memchr::memmem::find(&bytes[from..], close) {
                let end = from + found;
                self.end_mark |= bytes[..end].trim_ascii_end() == END_MARK.as_bytes();
                self.window.consume(end + close.len());
                return Ok(());
            }
            from = (bytes.len() - (close.len() - 1)).max(2);
            self.bounded()?;
            if !self.fetch()? {
                let bytes = self.window.bytes();
                self.end_mark |= bytes.trim_ascii_end() == END_MARK.as_bytes();
                let length = bytes.len();
                self.window.consume(length);
                return Ok(());
            }
        }
    }

    /// Fails when what is pending is longer than a statement may be.
    fn bounded(&self) -> Result<()> {
        let max = self.options.statement_max.max(STATEMENT_MIN);
        if self.window.bytes().len() <= max {
            return Ok(());
        }
        let why = format!("it is longer than the {max} bytes that a statement may have");
        Err(self.error(Kind::Refused, &why).help("raise the limit if the dump comes from where you trust"))
    }

    /// Takes one more piece of the text; `false` at its end.
    fn fetch(&mut self) -> Result<bool> {
        let more = self.window.more()?;
        self.database.consumed(self.window.offset() + self.window.bytes().len() as u64);
        Ok(more)
    }

    /// Takes one more piece of the text; fails when there is none although the statement is not finished.
    fn more(&mut self) -> Result<()> {
        self.bounded()?;
        if self.fetch()? {
            return Ok(());
        }
        Err(self.error(Kind::Damaged, "the dump ends in the middle of it").help(INCOMPLETE))
    }

    /// Waits until the statement's end is there, and gives the number of bytes up to it.
    fn complete(&mut self, mut scanner: Scanner) -> Result<usize> {
        loop {
            if let Some(end) = scanner.end(self.window.bytes()) {
                return Ok(end);
            }
            self.more()?;
        }
    }

    /// Takes the statement at hand, which is no `INSERT` of rows.
    fn statement(&mut self) -> Result<()> {
        let end = self.complete(Scanner::at_start())?;
        self.insert = None;
        self.set_target(b"")?;
        let sql = self.window.bytes()[..end].to_vec();
        let statement = statement::classify(&sql);
        self.demand_schema_row(matches!(statement, Statement::SchemaRow(_)))?;
        match statement {
            Statement::Nothing => {}
            Statement::WritableSchema => self.writable_schema = true,
            Statement::Begin | Statement::Commit | Statement::Savepoint(_) | Statement::Release(_) => {
                self.transaction.follow(&statement).map_err(|why| self.error(Kind::Damaged, &why).help(INCOMPLETE))?;
            }
            Statement::Rollback => {
                let why = "the program that made the dump failed, and says so by this statement";
                return Err(self.error(Kind::Damaged, why).help(INCOMPLETE));
            }
            Statement::Pragma => self.execute(&sql, Allowed::Rows)?,
            Statement::SchemaRow(sql) => self.create_virtual(&sql, true)?,
            Statement::CreateVirtual => self.create_virtual(&sql, false)?,
            // The virtual table made it already.
            Statement::CreateTable(name) if self.shadows.has(&name) => {}
            Statement::CreateTable(_) | Statement::Create | Statement::Drop | Statement::Analyze => {
                self.begin_if_needed()?;
                self.execute(&sql, Allowed::Schema)?;
                self.created = true;
            }
            Statement::Insert(table) => self.write(&sql, &table)?,
            Statement::Delete(table) if self.shadows.has(&table) || table.starts_with(b"sqlite_") => {
                self.write(&sql, &table)?;
            }
            Statement::Delete(_) => return Err(self.error(Kind::Refused, "a dump has no reason for it")),
            Statement::Refused(why) => return Err(self.error(Kind::Refused, &why)),
        }
        self.window.consume(end);
        Ok(())
    }

    fn write(&mut self, sql: &[u8], table: &[u8]) -> Result<()> {
        self.begin_if_needed()?;
        self.set_target(table)?;
        self.execute(sql, Allowed::Rows)
    }

    /// Creates a virtual table. The rows of its shadow tables follow in the text when it was written by the sqlite3
    /// shell: then those that it begins with make room for them.
    fn create_virtual(&mut self, sql: &[u8], rows_follow: bool) -> Result<()> {
        self.begin_if_needed()?;
        if let Statement::Refused(why) = statement::classify(sql) {
            return Err(self.error(Kind::Refused, &why));
        }
        let before = Shadows::last(self.database).map_err(|failure| self.failed(&failure))?;
        self.execute(sql, Allowed::Schema)?;
        self.created = true;
        let added = self.shadows.add(self.database, before, rows_follow);
        added.map_err(|failure| self.failed(&failure))
    }

    fn execute(&self, sql: &[u8], allowed: Allowed) -> Result<()> {
        if memchr::memchr(0, sql).is_some() {
            return Err(self.error(Kind::Damaged, "it has a NUL byte in it, which no SQL text has"));
        }
        self.database.allow(allowed);
        Prepared::new(self.database, sql)
            .and_then(|mut statement| statement.run(self.database))
            .map_err(|failure| self.failed(&failure))
    }

    /// `PRAGMA writable_schema=ON` is bearable only where the sqlite3 shell writes it, and has no effect there.
    fn demand_schema_row(&mut self, is_one: bool) -> Result<()> {
        if std::mem::take(&mut self.writable_schema) && !is_one {
            let why = "the statement before it makes the schema writable, for which a dump has no reason here";
            return Err(self.error(Kind::Refused, why));
        }
        Ok(())
    }

    /// One transaction of our own is around all: what the text says of transactions is followed, not executed.
    fn begin_if_needed(&mut self) -> Result<()> {
        if !self.transaction.begin_own() {
            return Ok(());
        }
        let begin = || -> rusqlite::Result<bool> {
            let own = self.database.own();
            if let Some(max) = self.options.database_max {
                let page: i64 = own.pragma_query_value(None, "page_size", |row| row.get(0))?;
                let pages = (max / page.max(1).unsigned_abs()).clamp(1, u64::from(u32::MAX - 1));
                own.execute_batch(&format!("PRAGMA max_page_count={pages}"))?;
            }
            own.execute_batch("BEGIN")?;
            own.pragma_query_value(None, "encoding", |row| Ok(row.get_ref(0)?.as_str()? == "UTF-8"))
        };
        self.utf8 = begin().map_err(|cause| self.failed(&cause.into()))?;
        Ok(())
    }

    /// Judges whether the text is complete, and ends the transaction.
    fn farewell(self, warnings: &mut Vec<String>) -> Result<u64> {
        let incomplete = |why: &str| Err(Error::new(Kind::Damaged, why).help(INCOMPLETE));
        if self.ours && !self.end_mark {
            return incomplete("the dump ends without its end mark");
        }
        if let Some(open) = self.transaction.open() {
            return incomplete(&format!("the dump ends in the middle of {open}"));
        }
        if self.writable_schema || (!self.created && !self.transaction.committed()) {
            return incomplete("the dump ends before its first table");
        }
        if !self.ours && !self.transaction.committed() {
            warnings.push(
                "the dump has neither a transaction nor an end mark, so nobody can tell whether it is complete".into(),
            );
        }
        if self.transaction.own_is_open() {
            self.commit().map_err(|cause| self.database.explain(&cause.into(), "cannot finish the new database"))?;
        }
        Ok(self.window.offset())
    }

    fn commit(&self) -> rusqlite::Result<()> {
        let own = self.database.own();
        // ANALYZE adds this table in this program; an original that was made without it does not get it.
        if own.table_exists(None, "sqlite_stat4")?
            && own.query_row("SELECT count(*) FROM sqlite_stat4", [], |row| Ok(row.get::<_, i64>(0)? == 0))?
        {
            own.execute_batch("DROP TABLE sqlite_stat4")?;
        }
        own.execute_batch("COMMIT")
    }

    fn error(&self, kind: Kind, why: &str) -> Error {
        Error::new(kind, format!("{}: {why}", self.place()))
    }

    fn failed(&self, failure: &Failure) -> Error {
        self.database.explain(failure, &self.place())
    }

    fn row_failed(&self, failure: &Failure, taken: u64) -> Error {
        self.database.explain(failure, &format!("{}, row {}", self.place(), taken + 1))
    }

    /// Names the statement at hand.
    fn place(&self) -> String {
        let bytes = self.window.bytes();
        let mut start = Vec::new();
        if let Some(insert) = self.insert.as_ref().filter(|_| self.window.offset() > self.begin) {
            start.extend_from_slice(&insert.head[..insert.head.len().min(SNIPPET)]);
        }
        start.extend_from_slice(&bytes[..bytes.len().min(SNIPPET - start.len().min(SNIPPET))]);
        format!("statement {} at byte {}, {:?}", self.number, self.begin, String::from_utf8_lossy(&start))
    }
}
