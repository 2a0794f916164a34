//! `[sources.<name>]`: what is backed up. Each type has a file of its own.

mod mariadb;
mod postgresql;
mod server;
mod sqlite;

pub use mariadb::{MariadbConfig, NoSnapshot};
pub use postgresql::PostgresqlConfig;
pub use server::ServerConfig;
pub use sqlite::SqliteConfig;

use super::type_of;
use crate::config::show::{Out, quoted};
use crate::config::take::Section;
use crate::model::FileName;

/// The words for the types: those of this version, and those to come.
const TYPES: [(&str, Option<Type>); 4] = [
    ("sqlite", Some(Type::Sqlite)),
    ("mariadb", Some(Type::Mariadb)),
    ("postgresql", Some(Type::Postgresql)),
    ("files", None),
];

#[derive(Clone)]
enum Type {
    Sqlite,
    Mariadb,
    Postgresql,
}

/// One source. Its name is part of the artifact's: `<customer>_<source>.sql.gz`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceConfig {
    /// `type` and the keys of this type.
    pub kind: SourceKind,
}

/// The types of source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceKind {
    /// `type = "sqlite"`
    Sqlite(SqliteConfig),
    /// `type = "mariadb"`
    Mariadb(MariadbConfig),
    /// `type = "postgresql"`
    Postgresql(PostgresqlConfig),
}

impl SourceKind {
    /// The word for the type.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "sqlite",
            Self::Mariadb(_) => "mariadb",
            Self::Postgresql(_) => "postgresql",
        }
    }
}

impl SourceConfig {
    pub(in crate::config) fn read(section: &mut Section<'_, '_>) -> Option<Self> {
        let kind = match type_of(section, &TYPES)? {
            Type::Sqlite => SqliteConfig::read(section).map(SourceKind::Sqlite),
            Type::Mariadb => MariadbConfig::read(section).map(SourceKind::Mariadb),
            Type::Postgresql => PostgresqlConfig::read(section).map(SourceKind::Postgresql),
        };
        kind.map(|kind| Self { kind })
    }

    pub(in crate::config) fn show(&self, name: &FileName, out: &mut Out) {
        out.named_table("sources", name);
        out.key("type", quoted(self.kind.word()));
        match &self.kind {
            SourceKind::Sqlite(sqlite) => sqlite.show(out),
            SourceKind::Mariadb(mariadb) => mariadb.show(out),
            SourceKind::Postgresql(postgresql) => postgresql.show(out),
        }
    }
}
