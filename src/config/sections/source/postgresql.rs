//! `type = "postgresql"`: a database of a PostgreSQL server.

use super::ServerConfig;
use crate::config::show::Out;
use crate::config::take::Section;

/// A database of a PostgreSQL server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostgresqlConfig {
    /// The server and the database.
    pub server: ServerConfig,
}

impl PostgresqlConfig {
    /// A database with the defaults for everything else.
    pub fn new(database: String) -> Self {
        Self { server: ServerConfig::new(database, "/run/postgresql", 5432) }
    }

    pub(super) fn read(section: &mut Section<'_, '_>) -> Option<Self> {
        ServerConfig::read(section, Self::new(String::new()).server).map(|server| Self { server })
    }

    pub(super) fn show(&self, out: &mut Out) {
        self.server.show(out);
    }
}
