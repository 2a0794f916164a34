//! The accounts and roles of a server, as a source of its own. They belong to no database, and are put back by a person: an
//! account that a backup brings along may be one that was closed since.

use super::server::written::Written;
use super::{Served, Source};
use crate::error::Result;
use crate::model::{Run, Sink, SourceFacts, Stage};

/// What a person does with the text.
const HEAD: &str = "\
-- tillstick: accounts of a database server. Look through them, take out what is not wanted, and load the rest by hand:
";

/// The accounts of a server.
pub struct Accounts {
    /// The server.
    pub served: Served,
    /// Whether the hashes of their passwords come along.
    pub passwords: bool,
}

impl Accounts {
    /// What [`SourceFacts::kind`] ends in.
    pub const KIND: &'static str = "-accounts";
}

impl Source for Accounts {
    fn estimate(&self) -> Result<u64> {
        Ok(64 << 10)
    }

    fn dump(&self, sink: &mut dyn Sink, run: &Run) -> Result<SourceFacts> {
        run.begin(Stage::Dump, "the server's accounts", 0);
        let (text, hint) = match &self.served {
            Served::Mariadb(source) => (source.accounts(self.passwords, run)?, "--   mariadb < accounts.sql\n"),
            Served::Postgresql(source) => {
                (source.accounts(self.passwords, run)?, "--   psql -X -d postgres -f accounts.sql\n")
            }
        };
        for part in [HEAD, hint, &text] {
            sink.text().extend_from_slice(part.as_bytes());
        }
        Written::close(sink)?;
        run.end(Stage::Dump);
        Ok(SourceFacts { kind: format!("{}{}", self.served.kind(), Self::KIND), ..SourceFacts::default() })
    }
}
