//! `type = "mariadb"`: a database of a MariaDB or MySQL server.

use super::ServerConfig;
use crate::config::show::Out;
use crate::config::take::{Section, one_of};

const NO_SNAPSHOT: [(&str, NoSnapshot); 2] = [("lock", NoSnapshot::Lock), ("refuse", NoSnapshot::Refuse)];

/// What happens to tables whose engine knows no snapshot (MyISAM, Aria).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoSnapshot {
    /// `"lock"`: writers wait while the database is dumped.
    Lock,
    /// `"refuse"`: the backup fails and names them.
    Refuse,
}

const DEFINERS: [(&str, Definers); 3] =
    [("keep", Definers::Keep), ("existing", Definers::Existing), ("own", Definers::Own)];

/// What becomes of the accounts whose rights views, triggers, routines and events have, when they are restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Definers {
    /// `"keep"`: they stay; those that are not on the server are named in a warning.
    Keep,
    /// `"existing"`: those that are not on the server become the account that restores.
    Existing,
    /// `"own"`: all become the account that restores, which then needs no right to act for others.
    Own,
}

/// A database of a MariaDB or MySQL server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MariadbConfig {
    /// The server and the database.
    pub server: ServerConfig,
    /// `no_snapshot`: what happens to tables whose engine knows no snapshot; `"lock"`.
    pub no_snapshot: NoSnapshot,
    /// `definers`: what becomes of the accounts whose rights views and programs have, when they are restored; `"keep"`.
    pub definers: Definers,
}

impl MariadbConfig {
    /// A database with the defaults for everything else.
    pub fn new(database: String) -> Self {
        let server = ServerConfig::new(database, "/run/mysqld/mysqld.sock", 3306);
        Self { server, no_snapshot: NoSnapshot::Lock, definers: Definers::Keep }
    }

    pub(super) fn read(section: &mut Section<'_, '_>) -> Option<Self> {
        let default = Self::new(String::new());
        let server = ServerConfig::read(section, default.server);
        let no_snapshot = section.get("no_snapshot", one_of(&NO_SNAPSHOT), default.no_snapshot);
        let definers = section.get("definers", one_of(&DEFINERS), default.definers);
        server.map(|server| Self { server, no_snapshot, definers })
    }

    pub(super) fn show(&self, out: &mut Out) {
        self.server.show(out);
        out.word("no_snapshot", &NO_SNAPSHOT, &self.no_snapshot);
        out.word("definers", &DEFINERS, &self.definers);
    }
}
