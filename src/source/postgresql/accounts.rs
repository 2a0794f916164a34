//! What a server has beside one database: the names of the others, and roles.

use super::Postgresql;
use super::client::{self, MAINTENANCE};
use crate::error::{Error, Kind, Result};
use crate::model::Run;
use crate::source::server::ask;

/// What pg_dumpall ends with.
const COMPLETE: &str = "-- PostgreSQL database cluster dump complete";

impl Postgresql {
    /// The names of all databases but templates; of the one that every server has only when something is in it.
    pub fn databases(&self, run: &Run) -> Result<Vec<String>> {
        let sql = "SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate AND (datname <> current_database() OR \
                   EXISTS (SELECT FROM pg_class WHERE relnamespace NOT IN (SELECT oid FROM pg_namespace WHERE nspname = 'information_schema' \
                   OR nspname LIKE 'pg\\_%'))) ORDER BY datname;\n";
        let rows = self.ask(MAINTENANCE, sql, 1, run)?;
        Ok(rows.into_iter().flatten().filter(|name| !name.is_empty()).collect())
    }

    /// The statements that make all roles and tablespaces, as pg_dumpall tells them.
    pub(in crate::source) fn accounts(&self, passwords: bool, run: &Run) -> Result<String> {
        let (text, ended) = ask(client::globals_program(self, passwords)?, b"", run)?;
        if !ended.status.success() {
            return Err(client::explain(&ended.complaints, self));
        }
        let text = String::from_utf8_lossy(&text);
        if !text.lines().any(|line| line == COMPLETE) {
            return Err(Error::new(Kind::Io, "the list of roles ends early: it does not say that it is complete"));
        }
        // A random word, which would make each one another text.
        let random = |line: &&str| line.starts_with("\\restrict ") || line.starts_with("\\unrestrict ");
        Ok(text.split_inclusive('\n').filter(|line| !random(line)).collect())
    }
}
