//! What is in a database, typed: which tables, how their rows are addressed, what comes after them.

use std::collections::BTreeSet;

use rusqlite::Connection;

use super::text::{Encoding, quoted};
use super::virt::{self, Virtual};

/// Everything a dump has to write, each list in the order of the schema.
pub(super) struct Schema {
    pub(super) tables: Vec<Table>,
    pub(super) virtuals: Vec<Virtual>,
    pub(super) indexes: Vec<Object>,
    pub(super) views: Vec<Object>,
    pub(super) triggers: Vec<Object>,
    /// The counters of AUTOINCREMENT, which outlive the tables that had one.
    pub(super) sequence: Option<Sequence>,
    /// What `ANALYZE` found.
    pub(super) statistics: Option<Table>,
    /// What the dump cannot bring back as it was, each in one line.
    pub(super) warnings: Vec<String>,
}

/// A named object and the statement that makes it.
pub(super) struct Object {
    pub(super) name: String,
    pub(super) sql: String,
}

/// A table whose rows are dumped.
pub(super) struct Table {
    pub(super) name: String,
    pub(super) sql: String,
    /// The columns that take values, in their order: all but generated ones.
    pub(super) columns: Vec<String>,
    /// Whether the table has generated columns too, so that an INSERT must name the others.
    pub(super) generated: bool,
    pub(super) rowid: Rowid,
}

/// How a table's rows are told apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Rowid {
    /// A column is the rowid: `INTEGER PRIMARY KEY`.
    Column(String),
    /// The table has a rowid of its own, which has this name; it is dumped, or it would not come back.
    Hidden(&'static str),
    /// There is no rowid (WITHOUT ROWID), or columns took all its names, so that nobody can see it.
    None,
}

/// The table `sqlite_sequence`.
pub(super) struct Sequence {
    pub(super) table: Table,
    /// A table to make and drop when no dumped table has AUTOINCREMENT: SQLite makes `sqlite_sequence` only so.
    pub(super) helper: Option<String>,
}

/// The pragmas that a database carries in its header.
pub(super) struct Header {
    pub(super) page_size: i64,
    pub(super) encoding_name: String,
    pub(super) encoding: Encoding,
    pub(super) auto_vacuum: i64,
    pub(super) user_version: i64,
    pub(super) application_id: i64,
}

impl Header {
    pub(super) fn read(db: &Connection) -> rusqlite::Result<Self> {
        let number = |pragma: &str| db.query_row(&format!("PRAGMA main.{pragma}"), [], |row| row.get(0));
        let encoding_name: String = db.query_row("PRAGMA encoding", [], |row| row.get(0))?;
        Ok(Self {
            page_size: number("page_size")?,
            encoding: Encoding::of(&encoding_name),
            encoding_name,
            auto_vacuum: number("auto_vacuum")?,
            user_version: number("user_version")?,
            application_id: number("application_id")?,
        })
    }
}

/// One line of `PRAGMA table_list`.
struct Listed {
    name: String,
    class: String,
    without_rowid: bool,
}

impl Schema {
    pub(super) fn read(db: &Connection) -> rusqlite::Result<Self> {
        let mut schema = Self {
            tables: Vec::new(),
            virtuals: Vec::new(),
            indexes: objects(db, "index")?,
            views: objects(db, "view")?,
            triggers: objects(db, "trigger")?,
            sequence: None,
            statistics: None,
            warnings: Vec::new(),
        };
        let listed = listed(db)?;
        let (mut autoincrement, mut sequence) = (false, None);
        let mut shadows = Vec::new();
        for Object { name, sql } in objects(db, "table")? {
            let Some(facts) = listed.iter().find(|listed| listed.name == name) else { continue };
            match facts.class.as_str() {
                "virtual" => schema.virtuals.push(virt::read(db, name, sql)?),
                "shadow" => shadows.push(Table::read(db, name, sql, facts.without_rowid)?),
                _ => {
                    let table = Table::read(db, name, sql, facts.without_rowid)?;
                    match table.name.to_ascii_lowercase().as_str() {
                        "sqlite_sequence" => sequence = Some(table),
                        "sqlite_stat1" => schema.statistics = Some(table),
                        // Other tables of SQLite's own (sqlite_stat4) are made anew by ANALYZE.
                        name if name.starts_with("sqlite_") => {}
                        _ => {
                            autoincrement |= schema.look_at_columns(db, &table)?;
                            schema.tables.push(table);
                        }
                    }
                }
            }
        }
        schema.tables.extend(virt::hand_out_shadows(&mut schema.virtuals, shadows));
        let helper = (!autoincrement).then(|| unused_name(&listed));
        schema.sequence = sequence.map(|table| Sequence { table, helper });
        schema.warnings.extend(schema.virtuals.iter().flat_map(|table| table.warnings.iter().cloned()));
        Ok(schema)
    }

    /// Notes collations that only the program of the database knows; tells whether the table has AUTOINCREMENT.
    fn look_at_columns(&mut self, db: &Connection, table: &Table) -> rusqlite::Result<bool> {
        let (mut autoincrement, mut foreign) = (false, BTreeSet::new());
        for column in &table.columns {
            let (_, collation, _, _, counts) =
                db.column_metadata(Some("main"), table.name.as_str(), column.as_str())?;
            autoincrement |= counts;
            let collation = collation.map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            if !["", "binary", "nocase", "rtrim"].contains(&collation.to_ascii_lowercase().as_str()) {
                foreign.insert(collation);
            }
        }
        self.warnings.extend(foreign.into_iter().map(|collation| {
            let name = &table.name;
            format!("table {name:?} needs the collation {collation:?}: the dump loads only where that is known")
        }));
        Ok(autoincrement)
    }
}

impl Table {
    fn read(db: &Connection, name: String, sql: String, without_rowid: bool) -> rusqlite::Result<Self> {
        let mut columns = Vec::new();
        let mut all = Vec::new();
        let mut primary_key = Vec::new();
        let mut statement = db.prepare(&format!("PRAGMA main.table_xinfo({})", quoted(&name)))?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (column, hidden): (String, i64) = (row.get("name")?, row.get("hidden")?);
            if row.get::<_, i64>("pk")? > 0 {
                primary_key.push((column.clone(), row.get::<_, String>("type")?));
            }
            all.push(column.clone());
            if hidden == 0 {
                columns.push(column);
            }
        }
        let rowid = match primary_key.as_slice() {
            _ if without_rowid => Rowid::None,
            // `INTEGER PRIMARY KEY DESC` is not the rowid, for history's sake: only its index shows it.
            [(column, class)] if class.eq_ignore_ascii_case("integer") && !has_key_index(db, &name)? => {
                Rowid::Column(column.clone())
            }
            _ => hidden_rowid(&all),
        };
        Ok(Self { generated: all.len() > columns.len(), name, sql, columns, rowid })
    }
}

/// The first name of the rowid that is not taken by a column.
fn hidden_rowid(columns: &[String]) -> Rowid {
    let free = |name: &&str| !columns.iter().any(|column| column.eq_ignore_ascii_case(name));
    ["rowid", "_rowid_", "oid"].into_iter().find(free).map_or(Rowid::None, Rowid::Hidden)
}

fn has_key_index(db: &Connection, table: &str) -> rusqlite::Result<bool> {
    let mut statement = db.prepare(&format!("PRAGMA main.index_list({})", quoted(table)))?;
    let mut origins = statement.query_map([], |row| row.get::<_, String>("origin"))?;
    origins.try_fold(false, |found, origin| Ok(found || origin? == "pk"))
}

fn objects(db: &Connection, class: &str) -> rusqlite::Result<Vec<Object>> {
    // Indexes that SQLite makes by itself have no SQL.
    let sql = "SELECT name, sql FROM main.sqlite_schema WHERE type = ?1 AND sql IS NOT NULL ORDER BY rowid";
    let mut statement = db.prepare(sql)?;
    statement.query_map([class], |row| Ok(Object { name: row.get(0)?, sql: row.get(1)? }))?.collect()
}

/// As a pragma, not as `pragma_table_list`: that name may belong to a table of the database.
fn listed(db: &Connection) -> rusqlite::Result<Vec<Listed>> {
    let mut statement = db.prepare("PRAGMA main.table_list")?;
    statement
        .query_map([], |row| {
            Ok(Listed { name: row.get("name")?, class: row.get("type")?, without_rowid: row.get("wr")? })
        })?
        .collect()
}

fn unused_name(listed: &[Listed]) -> String {
    let taken = |name: &String| listed.iter().any(|listed| listed.name.eq_ignore_ascii_case(name));
    (0..).map(|n| format!("tillstick_sequence_{n}")).find(|name| !taken(name)).expect("the names never end")
}

/// How large a database is, by its own header.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pages {
    pub(super) count: u64,
    pub(super) free: u64,
    /// Bytes in each.
    pub(super) size: u64,
}

impl Pages {
    pub(super) fn read(db: &Connection) -> rusqlite::Result<Self> {
        let number = |pragma: &str| -> rusqlite::Result<u64> {
            let value: i64 = db.query_row(&format!("PRAGMA main.{pragma}"), [], |row| row.get(0))?;
            Ok(u64::try_from(value).unwrap_or(0))
        };
        Ok(Self { count: number("page_count")?, free: number("freelist_count")?, size: number("page_size")? })
    }

    /// Bytes of the whole file.
    pub(super) fn bytes(self) -> u64 {
        self.count.saturating_mul(self.size)
    }

    /// Bytes of the pages that hold something.
    pub(super) fn bytes_in_use(self) -> u64 {
        self.count.saturating_sub(self.free).saturating_mul(self.size)
    }
}
