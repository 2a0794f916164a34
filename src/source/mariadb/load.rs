//! The way back: a dump becomes a new database. What is there already is never touched.

use std::collections::BTreeSet;
use std::io::Read;

use super::client;
use super::definers::{Definers, Replacing};
use super::filter::Filter;
use super::{Mariadb, literal, quoted};
use crate::error::{Context, Error, Kind, Result};
use crate::host::piped::Piped;
use crate::model::{Run, SourceFacts};
use crate::source::server::feed::feed;
use crate::source::server::{Loaded, uncancelled};

/// Definers that are named in a warning.
const NAMED: usize = 5;

impl Mariadb {
    /// Loads a dump into this database, which must not be there, or be empty. What the dump's manifest says, if there is
    /// one, gives the new database its character set. A load that fails takes away what it made.
    pub fn load(&self, text: impl Read, facts: Option<&SourceFacts>, run: &Run) -> Result<Loaded> {
        let made = self.make_empty(facts, run)?;
        let loaded = self.fill(text, run).and_then(|replaced| {
            let mut loaded = self.look_at_it(run)?;
            loaded.warnings.splice(0..0, replaced);
            Ok(loaded)
        });
        if loaded.is_err() && made {
            // The first error counts.
            let _ = self.drop_database(&uncancelled());
        }
        loaded
    }

    /// Makes the database; `false` when it was there and empty.
    fn make_empty(&self, facts: Option<&SourceFacts>, run: &Run) -> Result<bool> {
        let db = literal(&self.database);
        let sql = format!(
            "SELECT 'there' FROM information_schema.schemata WHERE schema_name = {db};\n\
             SELECT 'holds', COUNT(*) FROM information_schema.tables WHERE table_schema = {db};\n"
        );
        let rows = self.ask(None, &sql, run)?;
        let is = |row: &Vec<String>, what: &str| row.first().is_some_and(|word| word == what);
        if rows.iter().any(|row| is(row, "holds") && row.get(1).is_some_and(|count| count != "0")) {
            return Err(Error::new(
                Kind::Refused,
                format!("the database {:?} is there and holds tables: nothing is overwritten", self.database),
            )
            .help("choose a new name, or restore with --in-place, which keeps the old one under another name"));
        }
        if rows.iter().any(|row| is(row, "there")) {
            return Ok(false);
        }
        let mut sql = format!("CREATE DATABASE {}", quoted(&self.database));
        let property = |name: &str| facts.and_then(|facts| facts.properties.get(name));
        // They come from a manifest, which may be hostile.
        let is_word = |text: &&String| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if let Some(set) = property("character_set").filter(is_word) {
            sql.push_str(&format!(" CHARACTER SET {set}"));
        }
        if let Some(collation) = property("collation").filter(is_word) {
            sql.push_str(&format!(" COLLATE {collation}"));
        }
        sql.push_str(";\n");
        self.ask(None, &sql, run)?;
        Ok(true)
    }

    /// Runs the dump's statements; tells whose views and programs were given to somebody else.
    fn fill(&self, text: impl Read, run: &Run) -> Result<Option<String>> {
        let mut filter = Filter::new();
        filter.replacing = match self.definers {
            Definers::Keep => None,
            Definers::Existing => Some(Replacing::new(self.all_accounts(run)?)),
            Definers::Own => Some(Replacing::new(BTreeSet::new())),
        };
        let mut program = client::client_program(self, &["--batch"])?;
        program.args.push(self.database.clone().into());
        let mut client = Piped::begin(program, false)?;
        // The client may not know what the dump does about these; a row that names a later one must not fail.
        let first = b"SET FOREIGN_KEY_CHECKS=0, UNIQUE_CHECKS=0;\n".to_vec();
        let listens = feed(&mut client, first, text, &mut filter, run)?;
        let ended = client.finish(run)?;
        if !ended.status.success() || !listens {
            return Err(client::explain(&ended.complaints, self));
        }
        let replaced = filter.replacing.map(|replacing| replacing.replaced).filter(|replaced| !replaced.is_empty());
        Ok(replaced.map(|replaced| {
            let names: Vec<&str> = replaced.iter().map(String::as_str).take(NAMED).collect();
            format!(
                "views and programs of {} belong to {:?} now, and do what that account may do",
                names.join(", "),
                self.server.user
            )
        }))
    }

    /// `user@host` of all accounts of the server.
    fn all_accounts(&self, run: &Run) -> Result<BTreeSet<String>> {
        let rows = self
            .ask(None, "SELECT CONCAT(user, '@', host) FROM mysql.user;\n", run)
            .context(|| "cannot find out which definers are on this server; definers = \"own\" does without".into())?;
        Ok(rows.into_iter().flatten().collect())
    }

    /// Counts what came in, and looks for what will not work here.
    fn look_at_it(&self, run: &Run) -> Result<Loaded> {
        let db = literal(&self.database);
        let names = format!(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = {db} AND table_type = 'BASE TABLE';\n"
        );
        let mut sql = String::new();
        for row in self.ask(None, &names, run)? {
            let name = row.first().map(|name| quoted(name)).unwrap_or_default();
            sql.push_str(&format!("SELECT COUNT(*) FROM {name};\n"));
        }
        let counts = self.ask(Some(&self.database), &sql, run)?;
        let rows = counts.iter().filter_map(|row| row.first()?.parse::<u64>().ok()).sum();
        let definers = format!(
            "SELECT DISTINCT definer FROM (\
             SELECT definer FROM information_schema.views WHERE table_schema = {db} UNION ALL \
             SELECT definer FROM information_schema.triggers WHERE trigger_schema = {db} UNION ALL \
             SELECT definer FROM information_schema.events WHERE event_schema = {db} UNION ALL \
             SELECT definer FROM information_schema.routines WHERE routine_schema = {db}) d \
             WHERE definer NOT IN (SELECT CONCAT(user, '@', host) FROM mysql.user);\n"
        );
        let mut warnings = Vec::new();
        // Not everybody may read the list of accounts.
        if let Ok(missing) = self.ask(None, &definers, run)
            && !missing.is_empty()
        {
            let names: Vec<&str> =
                missing.iter().filter_map(|row| row.first().map(String::as_str)).take(NAMED).collect();
            let names = names.join(", ");
            warnings.push(format!("views or programs belong to accounts that are not on this server: {names}; make them, or restore with definers = \"existing\", or these will not run"));
        }
        Ok(Loaded { rows, warnings })
    }

    /// Drops the database, which only a restore of ours has made.
    pub fn drop_database(&self, run: &Run) -> Result<()> {
        self.ask(None, &format!("DROP DATABASE {};\n", quoted(&self.database)), run).map(drop)
    }
}
