//! The way back: a dump becomes a new database, in one transaction, and may then change places with the old one.

use std::io::Read;

use super::client::MAINTENANCE;
use super::filter::Filter;
use super::{Postgresql, client, literal, quoted};
use crate::error::{Error, Kind, Result};
use crate::host::piped::Piped;
use crate::model::{Run, SourceFacts};
use crate::source::server::feed::feed;
use crate::source::server::{Loaded, Settled, Swap, Swapped, ask, uncancelled};

impl Postgresql {
    /// Loads a dump into this database, which must not be there. What the dump's manifest says, if there is one, gives the
    /// new database its encoding and locale. A load that fails takes away what it made.
    pub fn load(&self, text: impl Read, facts: Option<&SourceFacts>, run: &Run) -> Result<Loaded> {
        if self.is_there(run)? {
            return Err(Error::new(
                Kind::Refused,
                format!("the database {:?} is there: nothing is overwritten", self.database),
            )
            .help("choose a new name, or restore with --in-place, which keeps the old one under another name"));
        }
        self.make(facts, run)?;
        let loaded = self.fill(text, run).and_then(|()| self.count(run));
        match loaded {
            Ok(rows) => Ok(Loaded { rows, warnings: Vec::new() }),
            Err(error) => {
                // The first error counts.
                let _ = self.drop_database(&uncancelled());
                Err(error)
            }
        }
    }

    /// Who changes places with whom when `new` gets this database's name, and the old one that of `before`.
    pub fn plan(&self, new: &Self, before: &Self, run: &Run) -> Result<Swap> {
        let there = self.is_there(run)?;
        let (database, new) = (self.database.clone(), new.database.clone());
        Ok(Swap { database, new, before: there.then(|| before.database.clone()), ..Swap::default() })
    }

    /// Renames both or neither.
    pub fn carry_out(&self, swap: &Swap, run: &Run) -> Swapped {
        let rename = |from: &str, to: &str| format!("ALTER DATABASE {} RENAME TO {};\n", quoted(from), quoted(to));
        let mut sql = swap.before().map_or_else(String::new, |before| rename(&self.database, before));
        sql.push_str(&rename(&swap.new, &self.database));
        let renamed = self.ask(MAINTENANCE, &sql, 1, run);
        match (renamed, self.settle(swap, &uncancelled())) {
            // It may have been done although nobody heard of it.
            (_, Ok(Settled::Finished(warnings))) => Swapped::InPlace { warnings },
            (Err(error), Ok(Settled::Undone)) => Swapped::Undone(error),
            (Ok(_), Ok(Settled::Undone)) => Swapped::Undone(Error::new(
                Kind::Io,
                format!("{} says that it renamed the databases, and has not", self.server.place()),
            )),
            (Ok(_), Err(error)) => Swapped::Unfinished(error),
            (Err(first), Err(second)) => Swapped::Unfinished(second.because(first)),
        }
    }

    /// Finds out what became of a renaming; where it was not done, the new database goes.
    pub fn settle(&self, swap: &Swap, run: &Run) -> Result<Settled> {
        let new = self.named(&swap.new);
        if !new.is_there(run)? {
            return Ok(Settled::Finished(Vec::new()));
        }
        new.drop_database(run)?;
        Ok(Settled::Undone)
    }

    /// Drops the database, which only a restore of ours has made.
    pub fn drop_database(&self, run: &Run) -> Result<()> {
        self.plainly(&format!("DROP DATABASE {};\n", quoted(&self.database)), run)
    }

    /// Whether there is such a database.
    pub fn is_there(&self, run: &Run) -> Result<bool> {
        let sql = format!("SELECT 1 FROM pg_database WHERE datname = {};\n", literal(&self.database));
        Ok(!self.ask(MAINTENANCE, &sql, 1, run)?.iter().all(|row| row.iter().all(String::is_empty)))
    }

    fn make(&self, facts: Option<&SourceFacts>, run: &Run) -> Result<()> {
        let mut sql = format!("CREATE DATABASE {} TEMPLATE template0", quoted(&self.database));
        // They come from a manifest, which may be hostile.
        let is_word = |text: &&String| {
            !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.@".contains(&b))
        };
        for (name, word) in [("encoding", "ENCODING"), ("collate", "LC_COLLATE"), ("ctype", "LC_CTYPE")] {
            if let Some(value) = facts.and_then(|facts| facts.properties.get(name)).filter(is_word) {
                sql.push_str(&format!(" {word} {}", literal(value)));
            }
        }
        sql.push_str(";\n");
        self.plainly(&sql, run)
    }

    /// Runs one statement of our own that no transaction may hold.
    fn plainly(&self, sql: &str, run: &Run) -> Result<()> {
        let (_, ended) = ask(client::plain_client_program(self, MAINTENANCE)?, sql.as_bytes(), run)?;
        match ended.status.success() {
            true => Ok(()),
            false => Err(client::explain(&ended.complaints, self)),
        }
    }

    fn fill(&self, text: impl Read, run: &Run) -> Result<()> {
        let mut psql = Piped::begin(client::client_program(self, &self.database, &[])?, false)?;
        // Should psql ever read the text otherwise than the filter does.
        let first = client::restriction(self, run)?;
        let listens = feed(&mut psql, first, text, &mut Filter::new(), run)?;
        let ended = psql.finish(run)?;
        if !ended.status.success() || !listens {
            return Err(client::explain(&ended.complaints, self));
        }
        Ok(())
    }

    /// The rows of all tables. ANALYZE comes along: without statistics a restored database is slow.
    fn count(&self, run: &Run) -> Result<u64> {
        let sql = "SELECT coalesce(sum((xpath('/row/c/text()', query_to_xml(format('SELECT count(*) AS c FROM ONLY %s', \
                   oid::regclass), false, true, '')))[1]::text::bigint), 0) FROM pg_class WHERE relkind = 'r' AND \
                   relnamespace NOT IN (SELECT oid FROM pg_namespace WHERE nspname IN ('pg_catalog', 'information_schema'));\n";
        let rows = self.ask(&self.database, sql, 1, run)?;
        self.ask(&self.database, "ANALYZE;\n", 1, run)?;
        Ok(rows.first().and_then(|row| row.first()?.parse().ok()).unwrap_or(0))
    }
}
