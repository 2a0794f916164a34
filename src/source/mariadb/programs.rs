//! Views, triggers, routines and events: what makes them again, for they cannot be moved from one database to another.

use super::{Mariadb, client};
use crate::error::{Error, Kind, Result};
use crate::host::piped::{Ended, Piped};
use crate::model::Run;
use crate::source::server::{ask, one_line};

/// The number of the error that a view names what is not there.
const BROKEN_VIEW: u32 = 1356;

impl Mariadb {
    /// What makes its views, triggers, routines and events, without the tables; and what cannot be made again, because it
    /// names what is not there.
    pub(super) fn programs(&self, run: &Run) -> Result<(String, Option<String>)> {
        let (schema, ended) = ask(client::schema_program(self, false)?, b"", run)?;
        if ended.status.success() {
            return Ok((text(without_tables(&schema), self)?, None));
        }
        // Often a table was dropped by mistake, and that is why somebody restores.
        let (schema, again) = ask(client::schema_program(self, true)?, b"", run)?;
        let complaints: Vec<&str> = again.complaints.lines().filter(|line| !line.trim().is_empty()).collect();
        if complaints.is_empty() || complaints.iter().any(|line| client::number_of(line) != Some(BROKEN_VIEW)) {
            return Err(client::explain(&ended.complaints, self));
        }
        Ok((text(without_tables(&schema), self)?, Some(one_line(&again.complaints))))
    }

    /// What makes its triggers alone.
    pub(super) fn triggers(&self, run: &Run) -> Result<String> {
        let (triggers, ended) = ask(client::triggers_program(self)?, b"", run)?;
        match ended.status.success() {
            true => text(without_tables(&triggers), self),
            false => Err(client::explain(&ended.complaints, self)),
        }
    }

    /// Runs what [`programs`](Self::programs) gave in this database.
    pub(super) fn run_script(&self, script: &str, run: &Run) -> Result<()> {
        let ended = self.end_of_script(script, &["--batch"], run)?;
        match ended.status.success() {
            true => Ok(()),
            false => Err(client::explain(&ended.complaints, self)),
        }
    }

    /// The same, going on after a statement that fails; gives the complaints.
    pub(super) fn try_script(&self, script: &str, run: &Run) -> Result<String> {
        let ended = self.end_of_script(script, &["--batch", "--force"], run)?;
        match ended.complaints.is_empty() && !ended.status.success() {
            true => Err(client::explain(&ended.complaints, self)),
            false => Ok(one_line(&client::own_words(&ended.complaints))),
        }
    }

    fn end_of_script(&self, script: &str, options: &[&str], run: &Run) -> Result<Ended> {
        let mut program = client::client_program(self, options)?;
        program.args.push(self.database.clone().into());
        let mut client = Piped::begin(program, false)?;
        client.write(script.as_bytes(), run)?;
        client.finish(run)
    }
}

fn text(script: Vec<u8>, of: &Mariadb) -> Result<String> {
    String::from_utf8(script).map_err(|_| {
        Error::new(Kind::Refused, format!("a view or program of {:?} is no UTF-8 text", of.database))
            .help("restore into a new database with --into, and rename by hand")
    })
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
