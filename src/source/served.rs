//! A database that a server keeps, whichever server it is.

use std::io::Read;

use super::Source;
use super::mariadb::{Definers, Mariadb, NoSnapshot};
use super::postgresql::Postgresql;
use super::server::{CONTENT, Engine, Loaded, Settled, Swap, Swapped, parse};
use crate::error::Result;
use crate::model::{Run, Sink, SourceFacts};

/// A database of a server.
#[derive(Debug, Clone)]
pub enum Served {
    /// Of MariaDB or MySQL.
    Mariadb(Mariadb),
    /// Of PostgreSQL.
    Postgresql(Postgresql),
}

impl Served {
    /// The database that a URL names; `None` when the URL is of another kind.
    pub fn parse(url: &str) -> Option<Result<Self>> {
        let parsed = parse(url)?;
        Some(parsed.map(|(engine, server, database)| match engine {
            Engine::Mariadb => {
                Self::Mariadb(Mariadb { server, database, no_snapshot: NoSnapshot::Lock, definers: Definers::Keep })
            }
            Engine::Postgresql => Self::Postgresql(Postgresql { server, database }),
        }))
    }

    /// Its name on the server.
    pub fn name(&self) -> &str {
        match self {
            Self::Mariadb(source) => &source.database,
            Self::Postgresql(source) => &source.database,
        }
    }

    /// The same server's database of this name.
    pub fn named(&self, name: &str) -> Self {
        match self {
            Self::Mariadb(source) => Self::Mariadb(source.named(name)),
            Self::Postgresql(source) => Self::Postgresql(source.named(name)),
        }
    }

    /// What [`SourceFacts::kind`] says of its dumps.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Mariadb(_) => "mariadb",
            Self::Postgresql(_) => "postgresql",
        }
    }

    /// Loads a dump into this database, which must not be there; what a failed load made is taken away.
    pub fn load(&self, text: impl Read, facts: Option<&SourceFacts>, run: &Run) -> Result<Loaded> {
        match self {
            Self::Mariadb(source) => source.load(text, facts, run),
            Self::Postgresql(source) => source.load(text, facts, run),
        }
    }

    /// Finds out all that is needed to put `new`, a database of the same server, into this one's place, which is then
    /// called `before`; and what a person should know. Changes nothing.
    pub fn plan(&self, new: &str, before: &str, run: &Run) -> Result<(Swap, Vec<String>)> {
        match self {
            Self::Mariadb(source) => source.plan(&source.named(new), &source.named(before), run),
            Self::Postgresql(source) => {
                source.plan(&source.named(new), &source.named(before), run).map(|swap| (swap, Vec::new()))
            }
        }
    }

    /// Carries a plan out.
    pub fn carry_out(&self, swap: &Swap, run: &Run) -> Swapped {
        match self {
            Self::Mariadb(source) => source.carry_out(swap, run),
            Self::Postgresql(source) => source.carry_out(swap, run),
        }
    }

    /// Goes back, or on, where somebody died who carried it out.
    pub fn settle(&self, swap: &Swap, run: &Run) -> Result<Settled> {
        match self {
            Self::Mariadb(source) => source.settle(swap, run),
            Self::Postgresql(source) => source.settle(swap, run),
        }
    }

    /// Room that the server has for its data, where it is on this machine and tells.
    pub fn free(&self, run: &Run) -> Option<u64> {
        let folder = match self {
            Self::Mariadb(source) => source.data_folder(run),
            Self::Postgresql(source) => source.data_folder(run),
        };
        crate::host::space::free(&folder?).ok()
    }

    /// The names of all databases of the server but its own.
    pub fn databases(&self, run: &Run) -> Result<Vec<String>> {
        match self {
            Self::Mariadb(source) => source.databases(run),
            Self::Postgresql(source) => source.databases(run),
        }
    }

    /// Whether there is such a database.
    pub fn is_there(&self, run: &Run) -> Result<bool> {
        match self {
            Self::Mariadb(source) => source.is_there(run),
            Self::Postgresql(source) => source.is_there(run),
        }
    }

    /// Drops it. For what a restore or a drill of ours has made.
    pub fn drop_database(&self, run: &Run) -> Result<()> {
        match self {
            Self::Mariadb(source) => source.drop_database(run),
            Self::Postgresql(source) => source.drop_database(run),
        }
    }
}

impl Source for Served {
    fn estimate(&self) -> Result<u64> {
        match self {
            Self::Mariadb(source) => source.estimate(),
            Self::Postgresql(source) => source.estimate(),
        }
    }

    fn dump(&self, sink: &mut dyn Sink, run: &Run) -> Result<SourceFacts> {
        match self {
            Self::Mariadb(source) => source.dump(sink, run),
            Self::Postgresql(source) => source.dump(sink, run),
        }
    }
}

/// The hash of all rows that the dump of a served database came with.
pub fn content(facts: &SourceFacts) -> Option<&String> {
    facts.properties.get(CONTENT)
}
