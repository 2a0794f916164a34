//! `[sources.<name>]`: what is backed up. Each type has a file of its own.

mod files;
mod mariadb;
mod postgresql;
mod server;
mod sqlite;

pub use files::{FilesConfig, Preset, Unreadable};
pub use mariadb::{Definers, MariadbConfig, NoSnapshot};
pub use postgresql::PostgresqlConfig;
pub use server::{Accounts, Databases, Drill, ServerConfig};
pub use sqlite::SqliteConfig;

use super::{QuiesceConfig, type_of};
use crate::config::show::{Out, quoted};
use crate::config::take::Section;
use crate::model::{ArtifactName, FileName};

/// The words for the types.
const TYPES: [(&str, Type); 4] =
    [("sqlite", Type::Sqlite), ("mariadb", Type::Mariadb), ("postgresql", Type::Postgresql), ("files", Type::Files)];

#[derive(Clone)]
enum Type {
    Sqlite,
    Files,
    Mariadb,
    Postgresql,
}

/// One source. Its name is part of the artifact's: `<customer>_<source>.sql.gz`, or `.tar.gz`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceConfig {
    /// `type` and the keys of this type.
    pub kind: SourceKind,
    /// `[sources.<name>.quiesce]`: what stands still while this source is backed up or restored.
    pub quiesce: QuiesceConfig,
}

/// The types of source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceKind {
    /// `type = "sqlite"`
    Sqlite(SqliteConfig),
    /// `type = "files"`
    Files(FilesConfig),
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
            Self::Files(_) => "files",
            Self::Mariadb(_) => "mariadb",
            Self::Postgresql(_) => "postgresql",
        }
    }
}

/// What the accounts of a source's server are called.
pub fn accounts_name(source: &FileName) -> Option<FileName> {
    format!("{source}_accounts").parse().ok()
}

impl SourceConfig {
    pub(in crate::config) fn read(section: &mut Section<'_, '_>) -> Option<Self> {
        let quiesce = section.table("quiesce", QuiesceConfig::read);
        let kind = match type_of(section, &TYPES)? {
            Type::Sqlite => SqliteConfig::read(section).map(SourceKind::Sqlite),
            Type::Files => FilesConfig::read(section).map(SourceKind::Files),
            Type::Mariadb => MariadbConfig::read(section).map(SourceKind::Mariadb),
            Type::Postgresql => PostgresqlConfig::read(section).map(SourceKind::Postgresql),
        };
        kind.map(|kind| Self { kind, quiesce })
    }

    /// The file names of its artifacts, as far as they are known without asking a server; each with the name that stands
    /// for the source in it.
    pub fn artifact_names(&self, customer: &FileName, name: &FileName) -> Vec<(FileName, ArtifactName)> {
        let Some(server) = self.server() else {
            let artifact = match &self.kind {
                SourceKind::Files(_) => ArtifactName::tar(customer, name),
                _ => ArtifactName::sql(customer, name),
            };
            return vec![(name.clone(), artifact)];
        };
        let databases: Vec<FileName> = match &server.databases {
            Databases::One(_) => vec![name.clone()],
            Databases::Several(names) => names.iter().filter_map(|name| name.parse().ok()).collect(),
            Databases::All { .. } => Vec::new(),
        };
        let accounts = (server.accounts != Accounts::None).then(|| accounts_name(name)).flatten();
        let all = databases.into_iter().chain(accounts);
        all.map(|name| (name.clone(), ArtifactName::sql(customer, &name))).collect()
    }

    /// What it says of a server, if it is of one.
    pub fn server(&self) -> Option<&ServerConfig> {
        match &self.kind {
            SourceKind::Mariadb(config) => Some(&config.server),
            SourceKind::Postgresql(config) => Some(&config.server),
            SourceKind::Sqlite(_) | SourceKind::Files(_) => None,
        }
    }

    pub(in crate::config) fn show(&self, name: &FileName, out: &mut Out) {
        out.named_table("sources", name);
        out.key("type", quoted(self.kind.word()));
        match &self.kind {
            SourceKind::Sqlite(sqlite) => sqlite.show(out),
            SourceKind::Files(files) => files.show(out),
            SourceKind::Mariadb(mariadb) => mariadb.show(out),
            SourceKind::Postgresql(postgresql) => postgresql.show(out),
        }
        if self.quiesce != QuiesceConfig::default() {
            out.named_subtable("sources", name, "quiesce");
            self.quiesce.show(out);
        }
    }
}
