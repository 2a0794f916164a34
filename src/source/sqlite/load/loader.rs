//! Takes what the reader hands over, parcel by parcel: rows of literals go in by the thousand, everything else that is
//! allowed is executed.

use std::sync::Arc;

use super::conveyor::{Arrival, Unloading};
use super::feed::Feed;
use super::guard::{Allowed, Database};
use super::head;
use super::parcel::{Content, Head, Parcel, Place};
use super::prepared::{Failure, Prepared};
use super::reader::Ending;
use super::shadow::Shadows;
use super::statement::{self, Statement};
use super::transaction::Transaction;
use super::{INCOMPLETE, Options, SNIPPET};
use crate::error::{Error, Kind, Result};
use crate::model::Run;

/// The statement that takes the rows of an `INSERT`.
struct Insert<'d> {
    head: Arc<Head>,
    columns: usize,
    statement: Prepared<'d>,
}

/// One load.
pub(super) struct Loader<'d> {
    database: &'d Database,
    options: &'d Options,
    feed: Feed<'d>,
    transaction: Transaction,
    shadows: Shadows,
    insert: Option<Insert<'d>>,
    /// The statement at hand, and how it begins.
    place: Place,
    start: Vec<u8>,
    /// Whether the last statement was `PRAGMA writable_schema=ON`.
    writable_schema: bool,
    created: bool,
}

impl<'d> Loader<'d> {
    pub(super) fn new(database: &'d Database, options: &'d Options) -> Result<Self> {
        let feed = Feed::new(database).map_err(|failure| database.explain(&failure, "cannot begin"))?;
        Ok(Self {
            database,
            options,
            feed,
            transaction: Transaction::default(),
            shadows: Shadows::default(),
            insert: None,
            place: Place::default(),
            start: Vec::new(),
            writable_schema: false,
            created: false,
        })
    }

    /// Loads the whole text; gives its length in bytes. What should be known although it was loaded is added to
    /// `warnings`.
    pub(super) fn run(mut self, unloading: &Unloading, run: &Run, warnings: &mut Vec<String>) -> Result<u64> {
        loop {
            match unloading.next(run)? {
                Arrival::End(ending) => return self.farewell(ending, warnings),
                Arrival::Parcel(parcel) => {
                    self.database.consumed(parcel.end, parcel.bytes.len() as u64);
                    self.take(&parcel)?;
                    run.progress(parcel.end)?;
                    unloading.give_back(parcel);
                }
            }
        }
    }

    fn take(&mut self, parcel: &Parcel) -> Result<()> {
        self.place = parcel.place;
        self.start.clear();
        match &parcel.content {
            Content::Statement => {
                self.start.extend(parcel.bytes.iter().take(SNIPPET));
                self.insert = None;
                self.set_target(b"")?;
                self.statement(&parcel.bytes)
            }
            Content::Rows(head) => {
                self.before_rows(head)?;
                self.rows(head, parcel)
            }
            Content::Rest(head, taken) => {
                self.before_rows(head)?;
                self.rest(head, &parcel.bytes, *taken)
            }
        }
    }

    fn before_rows(&mut self, head: &Arc<Head>) -> Result<()> {
        self.start.extend(head.text.iter().take(SNIPPET));
        if self.insert.as_ref().is_none_or(|insert| insert.head != *head) {
            self.insert = None;
            self.set_target(&head.table)?;
        }
        self.demand_schema_row(false)?;
        self.begin_if_needed()?;
        self.database.allow(Allowed::Rows);
        Ok(())
    }

    /// Inserts the parcel's rows.
    fn rows(&mut self, head: &Arc<Head>, parcel: &Parcel) -> Result<()> {
        let insert = match self.insert.take().filter(|insert| insert.columns == parcel.columns) {
            Some(insert) => Ok(insert),
            None => self.feed.prepare(&head.text[..head.before_values], parcel.columns).map(|statement| {
                let (head, columns) = (Arc::clone(head), parcel.columns);
                Insert { head, columns, statement }
            }),
        };
        insert
            .map_err(|failure| (failure, 0))
            .and_then(|insert| self.feed.run(&mut self.insert.insert(insert).statement, parcel))
            .map_err(|(failure, row)| {
                let (place, number) = parcel.place_of(row);
                self.database.explain(&failure, &format!("{}, row {number}", place.show(&self.start)))
            })
    }

    /// Executes the rows that are left of an `INSERT`, of which `taken` came in already. So each row comes in once.
    fn rest(&mut self, head: &Head, rest: &[u8], taken: u64) -> Result<()> {
        let sql = [&head.text, rest].concat();
        let problem = match taken {
            0 => match statement::classify(&sql) {
                Statement::Refused(why) => Some(why),
                _ => None,
            },
            _ => head::rest_problem(&sql[head.text.len() - 1..]).map(str::to_owned),
        };
        if let Some(why) = problem {
            return Err(self.error(Kind::Refused, &why));
        }
        self.execute(&sql, Allowed::Rows)
    }

    /// Shadow tables may be written by the dump, but nothing else that SQLite defends.
    fn set_target(&mut self, table: &[u8]) -> Result<()> {
        let defensive = !self.shadows.has(table);
        self.database.set_defensive(defensive).map_err(|cause| self.failed(&cause.into()))
    }

    /// Takes a statement that is no `INSERT` of rows.
    fn statement(&mut self, sql: &[u8]) -> Result<()> {
        let statement = statement::classify(sql);
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
            Statement::Pragma => self.execute(sql, Allowed::Rows)?,
            Statement::SchemaRow(sql) => self.create_virtual(&sql, true)?,
            Statement::CreateVirtual => self.create_virtual(sql, false)?,
            // The virtual table made it already.
            Statement::CreateTable(name) if self.shadows.has(&name) => {}
            Statement::CreateTable(_) | Statement::Create | Statement::Drop | Statement::Analyze => {
                self.begin_if_needed()?;
                self.execute(sql, Allowed::Schema)?;
                self.created = true;
            }
            Statement::Insert(table) => self.write(sql, &table)?,
            Statement::Delete(table) if self.shadows.has(&table) || table.starts_with(b"sqlite_") => {
                self.write(sql, &table)?;
            }
            Statement::Delete(_) => return Err(self.error(Kind::Refused, "a dump has no reason for it")),
            Statement::Refused(why) => return Err(self.error(Kind::Refused, &why)),
        }
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
        let room = self.database.room()?;
        let begin = || -> rusqlite::Result<()> {
            let own = self.database.own();
            let page: i64 = own.pragma_query_value(None, "page_size", |row| row.get(0))?;
            let max = self.options.database_max.unwrap_or(u64::MAX).min(room);
            let pages = (max / page.max(1).unsigned_abs()).clamp(1, u64::from(u32::MAX - 1));
            own.execute_batch(&format!("PRAGMA max_page_count={pages}"))?;
            own.execute_batch("BEGIN")
        };
        begin().map_err(|cause| self.failed(&cause.into()))
    }

    /// Judges whether the text is complete, and ends the transaction.
    fn farewell(self, ending: Ending, warnings: &mut Vec<String>) -> Result<u64> {
        let incomplete = |why: &str| Err(Error::new(Kind::Damaged, why).help(INCOMPLETE));
        if ending.ours && !ending.end_mark {
            return incomplete("the dump ends without its end mark");
        }
        if let Some(open) = self.transaction.open() {
            return incomplete(&format!("the dump ends in the middle of {open}"));
        }
        if self.writable_schema || (!self.created && !self.transaction.committed()) {
            return incomplete("the dump ends before its first table");
        }
        if !ending.ours && !self.transaction.committed() {
            warnings.push(
                "the dump has neither a transaction nor an end mark, so nobody can tell whether it is complete".into(),
            );
        }
        if self.transaction.own_is_open() {
            self.commit().map_err(|cause| self.database.explain(&cause.into(), "cannot finish the new database"))?;
        }
        Ok(ending.bytes)
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

    /// Names the statement at hand.
    fn place(&self) -> String {
        self.place.show(&self.start)
    }
}
