//! The shadow tables, in which virtual tables keep what they hold: known here as those that a `CREATE VIRTUAL TABLE`
//! brought with it.

use std::collections::HashSet;

use super::guard::Database;
use super::prepared::Failure;

/// The names of the shadow tables so far, in lower case.
#[derive(Debug, Default)]
pub(super) struct Shadows(HashSet<Vec<u8>>);

impl Shadows {
    /// Whether the table is one.
    pub(super) fn has(&self, table: &[u8]) -> bool {
        !self.0.is_empty() && self.0.contains(&table.to_ascii_lowercase())
    }

    /// The schema's last row: to be asked for before a virtual table is created.
    pub(super) fn last(database: &Database) -> Result<i64, Failure> {
        let sql = "SELECT coalesce(max(rowid), 0) FROM sqlite_schema";
        Ok(database.own().query_row(sql, [], |row| row.get(0))?)
    }

    /// Adds the shadow tables of the virtual table that was created since `last`, and empties them if `emptied`.
    pub(super) fn add(&mut self, database: &Database, last: i64, emptied: bool) -> Result<(), Failure> {
        let own = database.own();
        let sql = "SELECT name FROM sqlite_schema WHERE rowid > ?1 AND type = 'table' AND rootpage > 0";
        let mut select = own.prepare(sql)?;
        let names: Vec<Vec<u8>> = select
            .query_map([last], |row| Ok(row.get_ref(0)?.as_bytes()?.to_vec()))?
            .collect::<rusqlite::Result<_>>()?;
        if emptied {
            database.set_defensive(false)?;
            for name in &names {
                own.execute_batch(&format!("DELETE FROM \"{}\"", String::from_utf8_lossy(name).replace('"', "\"\"")))?;
            }
            database.set_defensive(true)?;
        }
        self.0.extend(names.iter().map(|name| name.to_ascii_lowercase()));
        Ok(())
    }
}
