//! Puts a restored database into the place of the old one, which is kept under another name.
//!
//! Tables of both change places by one RENAME TABLE, which the server does as a whole or not at all. Triggers, views, routines
//! and events cannot be moved: they are read beforehand, and made anew on both sides.

use super::client;
use super::{Mariadb, literal, quoted};
use crate::error::{Error, Kind, Result};
use crate::host::piped::Piped;
use crate::model::Run;
use crate::source::server::{Swapped, ask};

/// What a database consists of.
#[derive(Debug, Default)]
struct Parts {
    tables: Vec<String>,
    triggers: Vec<String>,
    /// Views, routines and events with the word that drops them.
    others: Vec<(String, String)>,
}

impl Mariadb {
    /// Gives the tables of `new` this database's name, and its old ones that of `before`.
    pub fn replace_by(&self, new: &Self, before: &Self, run: &Run) -> Result<Swapped> {
        let old_parts = self.parts(run)?;
        let new_parts = new.parts(run)?;
        let Some(old_parts) = old_parts else {
            // There was none: its name is free.
            let programs = new.programs(run)?;
            self.ask(None, &self.like(new, run)?, run)?;
            self.ask(None, &move_all(&new_parts.unwrap_or_default(), new, &[(new, self)])?, run)?;
            self.run_script(&programs, run)?;
            new.drop_database(run)?;
            return Ok(Swapped { before: None });
        };
        let new_parts = new_parts.unwrap_or_default();
        let (old_programs, new_programs) = (self.programs(run)?, new.programs(run)?);
        self.ask(None, &before.like(self, run)?, run)?;
        // From here to the renaming a few milliseconds pass, in which the old tables have no triggers.
        let mut script = drop_triggers(&old_parts, self);
        script.push_str(&drop_triggers(&new_parts, new));
        let moves = moves(&old_parts, self, before).chain(moves(&new_parts, new, self)).collect::<Vec<_>>().join(", ");
        if !moves.is_empty() {
            script.push_str(&format!("RENAME TABLE {moves};\n"));
        }
        if let Err(error) = self.ask(None, &script, run) {
            // All or nothing was renamed: nothing. The triggers come back, and the new database goes.
            let uncancelled = crate::source::server::uncancelled();
            let restored = self.run_script(&old_programs, &uncancelled);
            let _ = before.drop_database(&uncancelled);
            return Err(match restored {
                Ok(()) => error,
                Err(second) => Error::new(
                    Kind::Io,
                    format!(
                        "the restore failed, and the triggers of {:?} could not be put back: {second}",
                        self.database
                    ),
                )
                .because(error),
            });
        }
        let drops: String = old_parts
            .others
            .iter()
            .map(|(word, name)| format!("DROP {word} {}.{};\n", quoted(&self.database), quoted(name)))
            .collect();
        self.ask(None, &drops, run)?;
        before.run_script(&old_programs, run)?;
        // What is set aside does nothing by itself.
        let events = old_parts.others.iter().filter(|(word, _)| word == "EVENT");
        let disabled = |name: &String| format!("ALTER EVENT {}.{} DISABLE;\n", quoted(&before.database), quoted(name));
        self.ask(None, &events.map(|(_, name)| disabled(name)).collect::<String>(), run)?;
        self.run_script(&new_programs, run)?;
        new.drop_database(run)?;
        Ok(Swapped { before: Some(before.database.clone()) })
    }

    /// Whether there is such a database.
    pub fn is_there(&self, run: &Run) -> Result<bool> {
        Ok(self.parts(run)?.is_some())
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

    /// What makes its views, triggers, routines and events, without the tables.
    fn programs(&self, run: &Run) -> Result<Vec<u8>> {
        let (schema, ended) = ask(client::schema_program(self)?, b"", run)?;
        if !ended.status.success() {
            return Err(client::explain(&ended.complaints, self));
        }
        Ok(without_tables(&schema))
    }

    fn run_script(&self, script: &[u8], run: &Run) -> Result<()> {
        let mut program = client::client_program(self, &["--batch"])?;
        program.args.push(self.database.clone().into());
        let mut client = Piped::begin(program, false)?;
        client.write(script, run)?;
        let ended = client.finish(run)?;
        match ended.status.success() {
            true => Ok(()),
            false => Err(client::explain(&ended.complaints, self)),
        }
    }
}

fn moves<'a>(parts: &'a Parts, from: &'a Mariadb, to: &'a Mariadb) -> impl Iterator<Item = String> + 'a {
    let (from, to) = (quoted(&from.database), quoted(&to.database));
    parts.tables.iter().map(move |table| format!("{from}.{0} TO {to}.{0}", quoted(table)))
}

fn move_all(parts: &Parts, of: &Mariadb, pairs: &[(&Mariadb, &Mariadb)]) -> Result<String> {
    let moves: Vec<String> = pairs.iter().flat_map(|(from, to)| moves(parts, from, to)).collect();
    let mut script = drop_triggers(parts, of);
    if !moves.is_empty() {
        script.push_str(&format!("RENAME TABLE {};\n", moves.join(", ")));
    }
    Ok(script)
}

fn drop_triggers(parts: &Parts, of: &Mariadb) -> String {
    let database = quoted(&of.database);
    parts.triggers.iter().map(|trigger| format!("DROP TRIGGER {database}.{};\n", quoted(trigger))).collect()
}

/// The text of a schema without the statements that make or drop tables and sequences: line by line, as the program
/// writes them.
fn without_tables(schema: &[u8]) -> Vec<u8> {
    let mut kept = Vec::with_capacity(schema.len());
    let (mut in_table, mut in_program) = (false, false);
    for line in schema.split_inclusive(|byte| *byte == b'\n') {
        let trimmed = line.trim_ascii();
        if in_program {
            in_program = trimmed != b"DELIMITER ;";
        } else if trimmed == b"DELIMITER ;;" {
            in_program = true;
        } else {
            let begins = [&b"CREATE TABLE "[..], b"DROP TABLE ", b"CREATE SEQUENCE ", b"DROP SEQUENCE ", b"DO SETVAL("];
            in_table |= begins.iter().any(|begin| line.starts_with(begin));
            if in_table || super::text::is_sandbox(trimmed) {
                in_table &= !trimmed.ends_with(b";");
                continue;
            }
        }
        kept.extend_from_slice(line);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_go_and_programs_stay() {
        let schema = "/*M!999999\\- x */ \nSET x;\nDROP TABLE IF EXISTS `t`;\nCREATE TABLE `t` (\n  `a` int\n) ENGINE=x;\n\
            DO SETVAL(`s`, 1, 0);\nDELIMITER ;;\nCREATE TRIGGER `r` begin\nCREATE TABLE x(a int);\nend ;;\nDELIMITER ;\n\
            DROP TABLE IF EXISTS `v`;\n/*!50001 CREATE VIEW `v` AS SELECT\n NULL AS `a` */;\n";
        let kept = "SET x;\nDELIMITER ;;\nCREATE TRIGGER `r` begin\nCREATE TABLE x(a int);\nend ;;\nDELIMITER ;\n\
            /*!50001 CREATE VIEW `v` AS SELECT\n NULL AS `a` */;\n";
        assert_eq!(String::from_utf8(without_tables(schema.as_bytes())).unwrap(), kept);
    }
}
