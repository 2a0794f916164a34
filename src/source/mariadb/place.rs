//! Puts a restored database into the place of the old one, which is kept under another name.
//!
//! Tables of both change places by one RENAME TABLE, which the server does as a whole or not at all. Triggers, views, routines
//! and events cannot be moved: they are read beforehand, and made anew on both sides. Whoever dies on the way leaves a [`Swap`],
//! from which [`Mariadb::settle`] goes back (before the renaming) or on (after it). Each step may be done again.

use super::{Mariadb, literal, quoted};
use crate::error::{Error, Kind, Result};
use crate::model::Run;
use crate::source::server::{Parts, Settled, Swap, Swapped, uncancelled};

/// How long the renaming waits for those who have a transaction open on a table. Without it the server waits for a day, and
/// everybody else behind it.
const LOCK_WAIT: &str = "SET SESSION lock_wait_timeout = 10;\n";

impl Mariadb {
    /// Finds out all that is needed to give the tables of `new` this database's name, and its old ones that of `before`.
    /// Changes nothing. What of the old one cannot be kept is told.
    pub fn plan(&self, new: &Self, before: &Self, run: &Run) -> Result<(Swap, Vec<String>)> {
        let fresh = new.parts(run)?.unwrap_or_default();
        let (new_programs, _) = new.programs(run)?;
        let mut swap =
            Swap { database: self.database.clone(), new: new.database.clone(), fresh, new_programs, ..Swap::default() };
        let mut warnings = Vec::new();
        if let Some(old) = self.parts(run)? {
            let (programs, lost) = self.programs(run)?;
            swap.before = Some(before.database.clone());
            swap.old = old;
            swap.old_programs = programs;
            swap.old_triggers = self.triggers(run)?;
            let lost = lost.map(|why| format!("what was broken in the old database is not kept with it: {why}"));
            warnings.extend(lost);
        }
        Ok((swap, warnings))
    }

    /// Carries a plan out.
    pub fn carry_out(&self, swap: &Swap, run: &Run) -> Swapped {
        let moved = self.move_tables(swap, run);
        let settled = self.settle(swap, &uncancelled());
        match (moved, settled) {
            // It may have been done although nobody heard of it.
            (_, Ok(Settled::Finished(warnings))) => Swapped::InPlace { warnings },
            (Err(error), Ok(Settled::Undone)) => Swapped::Undone(error),
            (Ok(()), Ok(Settled::Undone)) => Swapped::Undone(Error::new(
                Kind::Io,
                format!("{} says that it renamed the tables, and has not", self.server.place()),
            )),
            (Ok(()), Err(error)) => Swapped::Unfinished(error),
            (Err(first), Err(second)) => Swapped::Unfinished(second.because(first)),
        }
    }

    /// Undoes what was begun before the tables were renamed, or finishes what was begun after.
    pub fn settle(&self, swap: &Swap, run: &Run) -> Result<Settled> {
        match self.is_renamed(swap, run)? {
            true => self.finish(swap, run).map(Settled::Finished),
            false => self.undo(swap, run).map(|()| Settled::Undone),
        }
    }

    fn move_tables(&self, swap: &Swap, run: &Run) -> Result<()> {
        let new = self.named(&swap.new);
        let create = match &swap.before {
            Some(before) => self.named(before).like(self, run)?,
            None => self.like(&new, run)?,
        };
        self.ask(None, &create, run)?;
        // From here to the renaming a few milliseconds pass, in which the old tables have no triggers.
        let mut script = String::from(LOCK_WAIT);
        script.push_str(&drop_triggers(&swap.old, self));
        script.push_str(&drop_triggers(&swap.fresh, &new));
        let old = swap.before.iter().flat_map(|before| moves(&swap.old, self, &self.named(before)));
        let moves = old.chain(moves(&swap.fresh, &new, self)).collect::<Vec<_>>().join(", ");
        if !moves.is_empty() {
            script.push_str(&format!("RENAME TABLE {moves};\n"));
        }
        self.ask(None, &script, run).map(drop)
    }

    /// Whether the tables have their new names: all of them, or none.
    fn is_renamed(&self, swap: &Swap, run: &Run) -> Result<bool> {
        let has = |name: &str, tables: &[String]| {
            let parts = self.named(name).parts(run)?.unwrap_or_default();
            Ok::<bool, Error>(tables.iter().any(|table| parts.tables.contains(table)))
        };
        match &swap.before {
            Some(before) if !swap.old.tables.is_empty() => has(before, &swap.old.tables),
            _ => has(&swap.database, &swap.fresh.tables),
        }
    }

    /// The old database is as it was, and nothing else is left.
    fn undo(&self, swap: &Swap, run: &Run) -> Result<()> {
        match &swap.before {
            Some(before) => {
                let there = self.parts(run)?.unwrap_or_default();
                if swap.old.triggers.iter().any(|trigger| !there.triggers.contains(trigger)) {
                    self.run_script(&swap.old_triggers, run)?;
                }
                self.named(before).drop_if_empty(run)?;
            }
            None => self.drop_if_empty(run)?,
        }
        let new = self.named(&swap.new);
        if new.is_there(run)? { new.drop_database(run) } else { Ok(()) }
    }

    /// The tables are renamed; what cannot be renamed follows.
    fn finish(&self, swap: &Swap, run: &Run) -> Result<Vec<String>> {
        let mut warnings = Vec::new();
        if let Some(before) = &swap.before {
            let drop = |(word, name): &(String, String)| {
                format!("DROP {word} IF EXISTS {}.{};\n", quoted(&self.database), quoted(name))
            };
            self.ask(None, &swap.old.others.iter().map(drop).collect::<String>(), run)?;
            let before = self.named(before);
            let complaints = before.try_script(&swap.old_programs, run)?;
            if !complaints.is_empty() {
                let name = &before.database;
                warnings.push(format!(
                    "not all views and programs of the old database came along to {name:?}: {complaints}"
                ));
            }
            // What is set aside does nothing by itself.
            let events = before.parts(run)?.unwrap_or_default().others.into_iter().filter(|(word, _)| word == "EVENT");
            let disabled =
                |name: String| format!("ALTER EVENT {}.{} DISABLE;\n", quoted(&before.database), quoted(&name));
            self.ask(None, &events.map(|(_, name)| disabled(name)).collect::<String>(), run)?;
        }
        self.run_script(&swap.new_programs, run)?;
        self.named(&swap.new).drop_if_empty(run)?;
        Ok(warnings)
    }

    /// Whether there is such a database.
    pub fn is_there(&self, run: &Run) -> Result<bool> {
        Ok(self.parts(run)?.is_some())
    }

    /// Drops the database, unless it has tables: then it is not what we take it for.
    fn drop_if_empty(&self, run: &Run) -> Result<()> {
        match self.parts(run)? {
            None => Ok(()),
            Some(parts) if parts.tables.is_empty() => self.drop_database(run),
            Some(_) => Err(Error::new(
                Kind::Refused,
                format!("the database {:?} holds tables where none should be", self.database),
            )
            .help("look into it, and rename or drop it by hand")),
        }
    }

    /// What is in it; `None` when there is no such database.
    fn parts(&self, run: &Run) -> Result<Option<Parts>> {
        let db = literal(&self.database);
        let sql = format!(
            "SELECT 'there', '' FROM information_schema.schemata WHERE schema_name = {db};\n\
             SELECT IF(table_type = 'VIEW', 'VIEW', 'TABLE'), table_name FROM information_schema.tables WHERE table_schema = {db};\n\
             SELECT 'TRIGGER', trigger_name FROM information_schema.triggers WHERE trigger_schema = {db};\n\
             SELECT routine_type, routine_name FROM information_schema.routines WHERE routine_schema = {db};\n\
             SELECT 'EVENT', event_name FROM information_schema.events WHERE event_schema = {db};\n"
        );
        let mut parts = Parts::default();
        let mut there = false;
        for row in self.ask(None, &sql, run)? {
            let [kind, name] = row.as_slice() else { continue };
            match kind.as_str() {
                "there" => there = true,
                "TABLE" => parts.tables.push(name.clone()),
                "TRIGGER" => parts.triggers.push(name.clone()),
                kind => parts.others.push((kind.to_owned(), name.clone())),
            }
        }
        Ok(there.then_some(parts))
    }

    /// The statement that makes this database with the character set of `other`.
    fn like(&self, other: &Self, run: &Run) -> Result<String> {
        let sql = format!(
            "SELECT default_character_set_name, default_collation_name FROM information_schema.schemata WHERE schema_name = {};\n",
            literal(&other.database)
        );
        let rows = self.ask(None, &sql, run)?;
        let name = quoted(&self.database);
        Ok(match rows.first().map(Vec::as_slice) {
            Some([set, collation]) => format!("CREATE DATABASE {name} CHARACTER SET {set} COLLATE {collation};\n"),
            _ => format!("CREATE DATABASE {name};\n"),
        })
    }
}

fn moves<'a>(parts: &'a Parts, from: &Mariadb, to: &Mariadb) -> impl Iterator<Item = String> + use<'a> {
    let (from, to) = (quoted(&from.database), quoted(&to.database));
    parts.tables.iter().map(move |table| format!("{from}.{0} TO {to}.{0}", quoted(table)))
}

fn drop_triggers(parts: &Parts, of: &Mariadb) -> String {
    let database = quoted(&of.database);
    let drop = |trigger: &String| format!("DROP TRIGGER IF EXISTS {database}.{};\n", quoted(trigger));
    parts.triggers.iter().map(drop).collect()
}
