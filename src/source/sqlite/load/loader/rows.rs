//! The rows of an `INSERT`: literals are bound to a statement prepared once, the rest is left to SQLite.

use super::Loader;
use crate::error::{Kind, Result};
use crate::source::sqlite::load::bind::{Failure, Prepared};
use crate::source::sqlite::load::guard::Allowed;
use crate::source::sqlite::load::head::{self, Head};
use crate::source::sqlite::load::row::{self, After, Stop};
use crate::source::sqlite::load::split::Scanner;
use crate::source::sqlite::load::statement::{self, Statement};

/// A row of literals longer than this is looked for with the scanner, which looks at each byte once however often more
/// bytes come; in bytes.
const LONG_ROW: usize = 1 << 20;

/// The longest beginning of an `INSERT` that is read here; in bytes.
const HEAD_MAX: usize = 64 << 10;

/// The `INSERT` that rows are bound to.
pub(super) struct Insert<'d> {
    /// The statement's text up to and with the first row's opening parenthesis.
    pub(super) head: Vec<u8>,
    statement: Option<Prepared<'d>>,
    columns: usize,
}

impl Loader<'_, '_> {
    /// Takes the statement at hand if it is an `INSERT ... VALUES`; `false` when it is something else.
    pub(super) fn rows(&mut self) -> Result<bool> {
        let known = self.insert.as_ref().filter(|insert| self.window.bytes().starts_with(&insert.head));
        let length = match known {
            Some(insert) => insert.head.len(),
            None => match self.new_insert()? {
                Some(length) => length,
                None => return Ok(false),
            },
        };
        self.before_rows()?;
        self.window.consume(length);
        let mut taken = 0_u64;
        let mut end = None;
        loop {
            let bytes = self.window.bytes();
            let bytes = &bytes[..end.unwrap_or(bytes.len())];
            let read = row::parse(bytes, &mut self.row, self.utf8)
                .and_then(|length| Ok((length, row::after(&bytes[length..])?)));
            match read {
                Ok((length, after)) => {
                    self.bind_row().map_err(|failure| self.row_failed(&failure, taken))?;
                    taken += 1;
                    let step = match after {
                        After::Row(step) | After::End(step) => length + step,
                    };
                    self.window.consume(step);
                    if matches!(after, After::End(_)) {
                        return Ok(true);
                    }
                    end = end.map(|end| end - step);
                }
                Err(Stop::Incomplete) if end.is_none() && bytes.len() < LONG_ROW => self.more()?,
                Err(Stop::Incomplete) if end.is_none() => end = Some(self.complete(Scanner::in_statement())?),
                Err(Stop::Incomplete | Stop::Unusual) => {
                    self.rest(taken)?;
                    return Ok(true);
                }
            }
        }
    }

    /// Reads the beginning of another `INSERT`; gives its length, or none when the statement is not for here.
    fn new_insert(&mut self) -> Result<Option<usize>> {
        loop {
            match head::head(self.window.bytes()) {
                Head::Other => return Ok(None),
                Head::Incomplete if self.window.bytes().len() > HEAD_MAX => return Ok(None),
                Head::Incomplete => self.more()?,
                Head::Rows { length, table } => {
                    let head = self.window.bytes()[..length].to_vec();
                    if memchr::memchr(0, &head).is_some() {
                        return Ok(None);
                    }
                    self.insert = Some(Insert { head, statement: None, columns: 0 });
                    self.set_target(&table)?;
                    return Ok(Some(length));
                }
            }
        }
    }

    /// Shadow tables may be written by the dump, but nothing else that SQLite defends.
    pub(super) fn set_target(&mut self, table: &[u8]) -> Result<()> {
        let defensive = !self.shadows.has(table);
        self.database.set_defensive(defensive).map_err(|cause| self.failed(&cause.into()))
    }

    fn before_rows(&mut self) -> Result<()> {
        self.demand_schema_row(false)?;
        self.begin_if_needed()?;
        self.database.allow(Allowed::Rows);
        Ok(())
    }

    fn bind_row(&mut self) -> Result<(), Failure> {
        let insert = self.insert.as_mut().expect("rows are only taken after their INSERT was read");
        let columns = self.row.values.len();
        let statement = match &mut insert.statement {
            Some(statement) if insert.columns == columns => statement,
            slot => {
                let mut sql = insert.head.clone();
                sql.extend(b"?,".repeat(columns));
                sql.pop();
                sql.push(b')');
                insert.columns = columns;
                slot.insert(Prepared::new(self.database, &sql)?)
            }
        };
        statement.insert(self.database, self.window.bytes(), &self.row)
    }

    /// Executes the rows that are left of an `INSERT`, of which `taken` were bound already. So each row comes in once:
    /// those before this one were bound, this one and those behind it are left to SQLite.
    fn rest(&mut self, taken: u64) -> Result<()> {
        let end = self.complete(Scanner::in_statement())?;
        let mut sql = self.insert.as_ref().map(|insert| insert.head.clone()).unwrap_or_default();
        let head = sql.len() - 1;
        sql.extend_from_slice(&self.window.bytes()[..end]);
        let problem = match taken {
            0 => match statement::classify(&sql) {
                Statement::Refused(why) => Some(why),
                _ => None,
            },
            _ => head::rest_problem(&sql[head..]).map(str::to_owned),
        };
        if let Some(why) = problem {
            return Err(self.error(Kind::Refused, &why));
        }
        self.execute(&sql, Allowed::Rows)?;
        self.window.consume(end);
        Ok(())
    }
}
