//! Looks at the new database as an application will: opened anew, is it whole, and what is in it.

use std::collections::{BTreeMap, HashSet};

use super::guard::Database;
use super::prepared::Failure;
use crate::error::{Error, Kind, Result};
use crate::model::TableRows;

/// How many faults are reported.
const FAULTS: u32 = 10;

/// How SQLite begins a fault that lies in a virtual table's shadow tables; ordinary tables are whole then.
const VIRTUAL_FAULTS: [&str; 4] =
    ["malformed inverted index", "unable to validate the inverted index", "fts5: ", "In RTree"];

/// Tables whose foreign keys are named in the warning.
const TABLES_NAMED: usize = 10;

/// Checks the database's structure. The indexes were built from the rows by SQLite itself, so that they need no
/// comparing with them. Gives what should be known although it is whole.
pub(super) fn structure(database: &Database) -> Result<Vec<String>> {
    let check = || -> Result<Vec<String>, Failure> {
        let own = database.own();
        // The original may hold rows that its CHECK constraints forbid.
        own.execute_batch("PRAGMA ignore_check_constraints=ON")?;
        let mut statement = own.prepare(&format!("PRAGMA quick_check({FAULTS})"))?;
        let lines =
            statement.query_map([], |row| Ok(String::from_utf8_lossy(row.get_ref(0)?.as_bytes()?).into_owned()))?;
        Ok(lines.collect::<rusqlite::Result<_>>()?)
    };
    let faults = check().map_err(|failure| database.explain(&failure, "cannot check the new database"))?;
    let mut warnings = Vec::new();
    for fault in faults.iter().filter(|fault| *fault != "ok") {
        if !VIRTUAL_FAULTS.iter().any(|known| fault.starts_with(known)) {
            return Err(Error::new(Kind::Damaged, format!("the new database is not whole: {fault:?}"))
                .help("the dump or this machine's memory or disk is at fault; try it on another machine"));
        }
        warnings.push(format!("a virtual table is not whole, as it may have been in the original: {fault:?}"));
    }
    Ok(warnings)
}

/// Counts the rows that break their foreign keys; the original may have had them, so that they are worth a warning.
pub(super) fn foreign_keys(database: &Database) -> Result<Option<String>> {
    let check = || -> Result<BTreeMap<String, u64>, Failure> {
        let mut statement = database.own().prepare("PRAGMA foreign_key_check")?;
        let mut rows = statement.query([])?;
        let mut broken = BTreeMap::new();
        while let Some(row) = rows.next()? {
            *broken
                .entry(String::from_utf8_lossy(row.get_ref(0)?.as_bytes().unwrap_or_default()).into_owned())
                .or_default() += 1;
        }
        Ok(broken)
    };
    match check() {
        Ok(broken) if broken.is_empty() => Ok(None),
        Ok(broken) => {
            let named = broken.iter().take(TABLES_NAMED).map(|(table, rows)| format!("{rows} in {table:?}"));
            let named = named.collect::<Vec<_>>().join(", ");
            Ok(Some(format!("rows refer to others that are not there, as they may have in the original: {named}")))
        }
        Err(failure) if failure.message.contains("foreign key mismatch") => {
            Ok(Some(format!("the foreign keys could not be checked: {}", failure.message)))
        }
        Err(failure) => Err(database.explain(&failure, "cannot check the foreign keys of the new database")),
    }
}

/// Counts the rows of every table that is neither SQLite's own nor the shadow of a virtual one, in the order of the
/// schema. A virtual table that cannot be counted is left out.
pub(super) fn count(database: &Database) -> Result<Vec<TableRows>> {
    let count = || -> Result<Vec<TableRows>, Failure> {
        let own = database.own();
        let names = |sql: &str| -> Result<Vec<String>, Failure> {
            let mut statement = own.prepare(sql)?;
            let names =
                statement.query_map([], |row| Ok(String::from_utf8_lossy(row.get_ref(0)?.as_bytes()?).into_owned()))?;
            Ok(names.collect::<rusqlite::Result<_>>()?)
        };
        let kind =
            |kind: &str| names(&format!("SELECT name FROM pragma_table_list WHERE schema='main' AND type='{kind}'"));
        let shadows: HashSet<String> = kind("shadow")?.into_iter().collect();
        let virtuals: HashSet<String> = kind("virtual")?.into_iter().collect();
        let all = names(
            r"SELECT name FROM sqlite_schema WHERE type='table' AND name NOT LIKE 'sqlite\_%' ESCAPE '\' ORDER BY rowid",
        )?;
        let mut tables = Vec::new();
        for name in all.into_iter().filter(|name| !shadows.contains(name)) {
            let sql = format!("SELECT count(*) FROM \"{}\"", name.replace('"', "\"\""));
            match own.query_row(&sql, [], |row| row.get::<_, i64>(0)) {
                Ok(rows) => tables.push(TableRows { name, rows: rows.unsigned_abs() }),
                Err(cause) if virtuals.contains(&name) && !is_interrupt(&cause) => {}
                Err(cause) => return Err(cause.into()),
            }
        }
        Ok(tables)
    };
    count().map_err(|failure| database.explain(&failure, "cannot count the rows of the new database"))
}

fn is_interrupt(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(rusqlite::ErrorCode::OperationInterrupted)
}
