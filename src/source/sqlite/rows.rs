//! The rows of one table as INSERT statements: the fast path of a dump, no allocation per row.

use rusqlite::Connection;
use rusqlite::limits::Limit;
use xxhash_rust::xxh3::xxh3_64;

use super::out::Out;
use super::raw::{self, Row, RowsError, TakeRow};
use super::schema::{Rowid, Table};
use super::text::{Literals, quoted};
use crate::error::Result;

/// An INSERT ends after a row whose key says so, one in so many: enough rows that its head costs nothing. Where it ends
/// depends on the rows alone, so that a row that comes or goes changes its own statement and no other.
const ROWS_PER_STATEMENT: u64 = 32;

/// An INSERT of so many bytes ends whatever the keys say, so that a reader needs no memory to speak of.
const STATEMENT: usize = 16 << 10;

/// The longest statement that SQLite reads unless it was built otherwise, in bytes.
const SQL_LENGTH_MAX: usize = 1_000_000_000;

/// A query for rows and the INSERT that brings them back.
pub(super) struct Select {
    /// What is selected: the key first, unless the key is [`Key::Text`].
    columns: Vec<String>,
    from: String,
    order: String,
    insert: String,
    key: Key,
    /// Whether no aggregate function may read it: a virtual table, which must be sorted.
    sorted: bool,
}

/// What identifies a row for the sink.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    /// The first value, which is not written (it comes again as a column).
    Apart,
    /// The first value, which is written too.
    First,
    /// The whole text of the row.
    Text,
}

/// What was written.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Written {
    pub(super) rows: u64,
    /// A row is too long for SQLite to read back.
    pub(super) too_long: bool,
}

impl Select {
    /// All rows of a table in the order of its b-tree. `NOT INDEXED` keeps a covering index from changing it.
    pub(super) fn table(db: &Connection, table: &Table) -> rusqlite::Result<Self> {
        let names: Vec<String> = table.columns.iter().map(|column| quoted(column)).collect();
        let room = usize::try_from(db.limit(Limit::SQLITE_LIMIT_COLUMN)?).unwrap_or(usize::MAX);
        let (first, key) = match &table.rowid {
            Rowid::Column(column) if names.len() < room => (Some(quoted(column)), Key::Apart),
            Rowid::Hidden(name) if names.len() < room => (Some((*name).to_owned()), Key::First),
            _ => (None, Key::Text),
        };
        let listed = match key {
            Key::First => Some(first.iter().chain(&names).map(String::as_str).collect::<Vec<_>>().join(",")),
            _ if table.generated => Some(names.join(",")),
            _ => None,
        };
        let list = listed.map(|list| format!("({list})")).unwrap_or_default();
        Ok(Self {
            columns: first.into_iter().chain(names).collect(),
            from: format!("FROM main.{} NOT INDEXED", quoted(&table.name)),
            order: String::new(),
            insert: format!("INSERT INTO {}{list} VALUES\n(", quoted(&table.name)),
            key,
            sorted: false,
        })
    }

    /// All rows of the virtual table `name` in the order of their keys.
    pub(super) fn virtual_table(name: &str, key: &str, columns: &[String]) -> Self {
        let table = quoted(name);
        let all: Vec<String> = std::iter::once(key.to_owned()).chain(columns.iter().map(|c| quoted(c))).collect();
        Self {
            from: format!("FROM main.{table}"),
            order: format!("ORDER BY {key}"),
            insert: format!("INSERT INTO {table}({}) VALUES\n(", all.join(",")),
            columns: all,
            key: Key::First,
            sorted: true,
        }
    }

    /// Whether rows come back under another rowid, because there was no room to name it.
    pub(super) fn loses_rowid(&self, table: &Table) -> bool {
        self.key == Key::Text && matches!(table.rowid, Rowid::Hidden(_))
    }

    /// Writes all rows.
    pub(super) fn write(&self, db: &Connection, literals: &mut Literals, out: &mut Out) -> Result<Written, RowsError> {
        let arguments = usize::try_from(db.limit(Limit::SQLITE_LIMIT_FUNCTION_ARG)?).unwrap_or(0);
        let mut writer = Writer {
            out,
            literals,
            insert: self.insert.as_bytes(),
            key: self.key,
            statement: None,
            written: Written::default(),
        };
        let columns = self.columns.join(",");
        if self.sorted || self.columns.len() > arguments {
            raw::each(db, &format!("SELECT {columns} {} {}", self.from, self.order), &mut writer)?;
        } else {
            raw::aggregate(db, &columns, &self.from, &mut writer)?;
        }
        writer.end_statement();
        Ok(writer.written)
    }
}

struct Writer<'w, 'o> {
    out: &'w mut Out<'o>,
    literals: &'w mut Literals,
    insert: &'w [u8],
    key: Key,
    /// Where in the chunk the current INSERT began.
    statement: Option<usize>,
    written: Written,
}

impl Writer<'_, '_> {
    fn end_statement(&mut self) {
        if self.statement.take().is_some() {
            self.out.sink.text().extend_from_slice(b";\n");
        }
    }
}

impl TakeRow for Writer<'_, '_> {
    fn take(&mut self, row: &impl Row) -> Result<()> {
        let text = self.out.sink.text();
        match self.statement {
            Some(_) => text.extend_from_slice(b",\n("),
            None => {
                self.statement = Some(text.len());
                text.extend_from_slice(self.insert);
            }
        }
        let begin = text.len();
        let first = usize::from(self.key == Key::Apart);
        for i in first..row.len() {
            if i > first {
                text.push(b',');
            }
            self.literals.put(text, row.cell(i));
        }
        let key = match self.key {
            Key::Text => xxh3_64(&text[begin..]),
            Key::Apart | Key::First => row.key(),
        };
        text.push(b')');
        self.written.rows += 1;
        self.written.too_long |= text.len() - begin + self.insert.len() > SQL_LENGTH_MAX;
        let long = self.statement.is_some_and(|begin| text.len() - begin >= STATEMENT);
        if long || ends_statement(key) {
            self.end_statement();
            return self.out.boundary(key);
        }
        self.out.run.check()
    }
}

/// Whether an INSERT ends after the row with this key. Multiplying spreads keys that count up evenly.
fn ends_statement(key: u64) -> bool {
    key.wrapping_mul(0x9e37_79b9_7f4a_7c15) < u64::MAX / ROWS_PER_STATEMENT
}
