//! What the journal tells.

use std::collections::HashMap;

use jiff::Timestamp;
use rusqlite::types::Type;
use rusqlite::{Connection, Row};

use super::{CopyHistory, How, Journal, Outcome, PastRun, Place, Proof};
use crate::error::Result;
use crate::host::process;
use crate::model::BackupId;

impl Journal {
    /// All runs that are remembered, newest first. One whose process is no more has died, also when nobody noted it yet.
    pub fn runs(&self) -> Result<Vec<PastRun>> {
        runs(&self.db).map_err(|error| self.explain(error))
    }

    /// All copies that are there as far as is known, in the order of their backups.
    pub fn copies(&self) -> Result<Vec<CopyHistory>> {
        copies(&self.db).map_err(|error| self.explain(error))
    }
}

fn runs(db: &Connection) -> rusqlite::Result<Vec<PastRun>> {
    let mut all =
        db.prepare("SELECT kind, process, started, ended, outcome, backup, error FROM runs ORDER BY id DESC")?;
    let run = |row: &Row<'_>| {
        let process: String = row.get(1)?;
        let outcome: Option<String> = row.get(4)?;
        let outcome = match outcome {
            Some(name) => Some(Outcome::of(&name).ok_or_else(|| strange(4, &name))?),
            None => (!process::is_alive(&process)).then_some(Outcome::Died),
        };
        let ended: Option<i64> = row.get(3)?;
        let backup: Option<String> = row.get(5)?;
        Ok(PastRun {
            kind: row.get(0)?,
            started: time(2, row.get(2)?)?,
            ended: ended.map(|ended| time(3, ended)).transpose()?,
            outcome,
            backup: backup.map(|text| id(5, &text)).transpose()?,
            error: row.get(6)?,
        })
    };
    all.query_map((), run)?.collect()
}

fn copies(db: &Connection) -> rusqlite::Result<Vec<CopyHistory>> {
    let mut all = db.prepare(
        "SELECT id, backup, store, medium, label, written FROM copies WHERE gone IS NULL ORDER BY backup, store, medium",
    )?;
    let copy = |row: &Row<'_>| {
        let number: i64 = row.get(0)?;
        let backup: String = row.get(1)?;
        let written: Option<i64> = row.get(5)?;
        let copy = CopyHistory {
            backup: id(1, &backup)?,
            place: Place { store: row.get(2)?, medium: row.get(3)? },
            label: row.get(4)?,
            written: written.map(|written| time(5, written)).transpose()?,
            good: None,
            drilled: None,
            bad: None,
        };
        Ok((number, copy))
    };
    let (numbers, mut found): (Vec<i64>, Vec<CopyHistory>) =
        all.query_map((), copy)?.collect::<rusqlite::Result<Vec<_>>>()?.into_iter().unzip();
    let places: HashMap<i64, usize> = numbers.into_iter().zip(0..).collect();

    let mut proofs = db.prepare("SELECT copy, how, at, problem FROM proofs ORDER BY id")?;
    let mut rows = proofs.query(())?;
    while let Some(row) = rows.next()? {
        let Some(copy) = places.get(&row.get(0)?).map(|at| &mut found[*at]) else { continue };
        let how: String = row.get(1)?;
        let proof = Proof { how: How::of(&how).ok_or_else(|| strange(1, &how))?, at: time(2, row.get(2)?)? };
        match row.get::<_, Option<String>>(3)? {
            Some(problem) => copy.bad = Some((proof, problem)),
            None => {
                (copy.good, copy.bad) = (Some(proof), None);
                if proof.how == How::Drilled {
                    copy.drilled = Some(proof.at);
                }
            }
        }
    }
    Ok(found)
}

fn time(column: usize, seconds: i64) -> rusqlite::Result<Timestamp> {
    Timestamp::from_second(seconds).map_err(|_| strange(column, &seconds.to_string()))
}

fn id(column: usize, text: &str) -> rusqlite::Result<BackupId> {
    text.parse().map_err(|_| strange(column, text))
}

/// A value that this program never writes.
fn strange(column: usize, value: &str) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, format!("{value:?} is no value of a journal").into())
}
