//! The story of a dump: pragmas, tables with their rows, what SQLite keeps about them, indexes, views, triggers.
//!
//! Everything is in the order of the schema and of the b-trees, and nothing tells the time or a version, so that an
//! unchanged database gives the same bytes. Line ends inside the schema's own SQL are written as they are; an older
//! shell turns a CRLF there into a LF.

use std::path::Path;

use rusqlite::Connection;
use rusqlite::types::{Value, ValueRef};
use xxhash_rust::xxh3::xxh3_64;

use super::END_MARK;
use super::open;
use super::out::Out;
use super::raw::RowsError;
use super::rows::{Select, Written};
use super::schema::{Header, Schema, Sequence, Table};
use super::text::{Cell, Encoding, Literals, quoted};
use super::virt::{Content, Virtual};
use crate::error::{Error, Result};
use crate::model::{Run, Sink, SourceFacts, TableRows};

const HEAD: &str = "\
-- tillstick: SQL dump of an SQLite database. To load it into a new database:
--   sqlite3 new.db < dump.sql";

/// Writes the database that `db` sees, which is in a read transaction, to `sink`. `path` names it in errors.
pub(super) fn write(db: &Connection, path: &Path, sink: &mut dyn Sink, run: &Run) -> Result<SourceFacts> {
    let explain = |error| open::describe(error, path);
    let header = Header::read(db).map_err(explain)?;
    let schema = Schema::read(db).map_err(explain)?;
    let mut dump = Dump {
        db,
        path,
        out: Out::new(sink, run),
        literals: Literals::new(header.encoding),
        facts: SourceFacts { kind: "sqlite".into(), engine: rusqlite::version().into(), ..SourceFacts::default() },
    };
    dump.facts.warnings.clone_from(&schema.warnings);
    dump.head(&header)?;
    for table in &schema.tables {
        dump.table(table)?;
    }
    for table in &schema.virtuals {
        dump.virtual_table(table)?;
    }
    dump.keepings(&schema)?;
    for object in schema.indexes.iter().chain(&schema.views) {
        dump.out.statement(&object.sql)?;
    }
    // After the views, which an index may be built from; before the triggers, which must not see it.
    for table in schema.virtuals.iter().filter(|table| matches!(table.content, Content::Rebuild)) {
        let name = quoted(&table.name);
        dump.out.statement(&format!("INSERT INTO {name}({name}) VALUES('rebuild')"))?;
    }
    for object in &schema.triggers {
        dump.out.statement(&object.sql)?;
    }
    dump.out.line("COMMIT;");
    dump.out.line(END_MARK);
    dump.out.cut()?;
    Ok(dump.facts)
}

struct Dump<'d, 's> {
    db: &'d Connection,
    path: &'d Path,
    out: Out<'s>,
    literals: Literals,
    facts: SourceFacts,
}

impl Dump<'_, '_> {
    fn head(&mut self, header: &Header) -> Result<()> {
        self.out.line(HEAD);
        self.out.line("PRAGMA foreign_keys=OFF;");
        // Data that breaks a rule added later is still the data.
        self.out.line("PRAGMA ignore_check_constraints=ON;");
        self.out.line(&format!("PRAGMA page_size={};", header.page_size));
        self.out.line(&format!("PRAGMA encoding='{}';", header.encoding_name));
        if header.auto_vacuum != 0 {
            self.out.line(&format!("PRAGMA auto_vacuum={};", header.auto_vacuum));
        }
        self.out.line("BEGIN TRANSACTION;");
        self.out.line(&format!("PRAGMA user_version={};", header.user_version));
        self.out.line(&format!("PRAGMA application_id={};", header.application_id));
        let properties = [
            ("application_id", header.application_id.to_string()),
            ("auto_vacuum", header.auto_vacuum.to_string()),
            ("encoding", header.encoding_name.clone()),
            ("page_size", header.page_size.to_string()),
            ("user_version", header.user_version.to_string()),
        ];
        self.facts.properties.extend(properties.map(|(name, value)| (name.to_owned(), value)));
        self.out.part()
    }

    fn table(&mut self, table: &Table) -> Result<()> {
        self.out.part()?;
        self.out.statement(&table.sql)?;
        let rows = self.rows_of(table)?;
        self.facts.tables.push(TableRows { name: table.name.clone(), rows });
        Ok(())
    }

    fn rows_of(&mut self, table: &Table) -> Result<u64> {
        let select = Select::table(self.db, table).map_err(|error| open::describe(error, self.path))?;
        if select.loses_rowid(table) {
            let name = &table.name;
            self.facts.warnings.push(format!("table {name:?} is too wide to name its rowids: they are numbered anew"));
        }
        self.rows(&table.name, &select)
    }

    fn rows(&mut self, name: &str, select: &Select) -> Result<u64> {
        let Written { rows, too_long } =
            select.write(self.db, &mut self.literals, &mut self.out).map_err(|error| self.explain(error))?;
        if too_long {
            let warning = format!("table {name:?} has a row whose text is over 1 GB: SQLite will not read it back");
            self.facts.warnings.push(warning);
        }
        Ok(rows)
    }

    fn explain(&self, error: RowsError) -> Error {
        match error {
            RowsError::Sqlite(error) => open::describe(error, self.path),
            RowsError::Taker(error) => error,
        }
    }

    fn virtual_table(&mut self, table: &Virtual) -> Result<()> {
        self.out.part()?;
        if let Content::Unreadable { reason } = &table.content {
            // Escaped, so that no line feed in a name ends the comment.
            let (name, sql) = (&table.name, &table.sql);
            self.out.line(&format!("-- virtual table {name:?} is left out: {reason:?}; it was made by {sql:?}"));
            return Ok(());
        }
        self.out.statement(&table.sql)?;
        let name = quoted(&table.name);
        for (key, value) in &table.settings {
            let mut literals = Literals::new(Encoding::Utf8);
            let mut values = Vec::new();
            literals.put(&mut values, Cell::Text(key.as_bytes()));
            values.push(b',');
            literals.put(&mut values, cell_of(value));
            let values = String::from_utf8_lossy(&values);
            self.out.statement(&format!("INSERT INTO {name}({name}, rank) VALUES({values})"))?;
        }
        match &table.content {
            Content::Rows { key, columns } => {
                let rows = self.rows(&table.name, &Select::virtual_table(&table.name, key, columns))?;
                self.facts.tables.push(TableRows { name: table.name.clone(), rows });
            }
            Content::Shadows(tables) => {
                for shadow in tables {
                    self.refill(shadow)?;
                }
            }
            Content::Elsewhere | Content::Rebuild | Content::Unreadable { .. } => {}
        }
        Ok(())
    }

    /// Writes the rows of a table that is there already when the dump gets here, with rows of its own.
    fn refill(&mut self, table: &Table) -> Result<()> {
        self.out.line(&format!("DELETE FROM {};", quoted(&table.name)));
        self.rows_of(table).map(drop)
    }

    /// What SQLite keeps about the tables: the counters of AUTOINCREMENT and what ANALYZE found.
    fn keepings(&mut self, schema: &Schema) -> Result<()> {
        self.out.part()?;
        if let Some(Sequence { table, helper }) = &schema.sequence {
            if let Some(helper) = helper {
                let helper = quoted(helper);
                self.out.line(&format!("CREATE TABLE {helper}(id INTEGER PRIMARY KEY AUTOINCREMENT);"));
                self.out.line(&format!("DROP TABLE {helper};"));
            }
            self.refill(table)?;
        }
        if let Some(statistics) = &schema.statistics {
            // Makes the table, and fills it only for what the schema holds so far.
            self.out.line("ANALYZE sqlite_schema;");
            self.refill(statistics)?;
        }
        self.out.boundary(xxh3_64(b"keepings"))
    }
}

fn cell_of(value: &Value) -> Cell<'_> {
    match ValueRef::from(value) {
        ValueRef::Null => Cell::Null,
        ValueRef::Integer(value) => Cell::Integer(value),
        ValueRef::Real(value) => Cell::Real(value),
        ValueRef::Text(text) => Cell::Text(text),
        ValueRef::Blob(bytes) => Cell::Blob(bytes),
    }
}
