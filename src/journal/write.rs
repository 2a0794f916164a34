//! What goes into the journal: one transaction when a run begins, one when it ends.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, named_params, params};

use super::{Ended, Fact, Journal, MadeBefore, NewRun, Outcome, Place, RunKind};
use crate::error::Result;
use crate::host::process;
use crate::model::BackupId;

/// So many runs are remembered: more than a year of two backups and a check a day.
const RUNS_MAX: i64 = 1000;

/// The longest error that is remembered, in characters.
const ERROR_MAX: usize = 1000;

impl Journal {
    /// Makes the runs of backups whose history was lost known to a new journal; oldest first.
    pub fn take_up(&mut self, backups: &[MadeBefore]) -> Result<()> {
        let run = "INSERT INTO runs(kind, process, started, ended, outcome, backup) VALUES(?1, '', ?2, ?3, ?4, ?5)";
        let (kind, done) = (RunKind::Backup.name(), Outcome::Done.name());
        self.change(|db| {
            // Another run may have come first.
            if db.prepare_cached("SELECT 1 FROM runs")?.exists(())? {
                return Ok(());
            }
            let mut insert = db.prepare_cached(run)?;
            for made in backups {
                let (started, ended) = (made.started.as_second(), made.ended.as_second());
                insert.execute(params![kind, started, ended, done, made.backup.as_str()])?;
            }
            Ok(())
        })
    }

    /// Notes that a run begins, what was found lying there, and which earlier runs have died; forgets what is too old.
    /// Gives the run's number.
    pub fn begin(&mut self, run: &NewRun, found: &[Fact]) -> Result<i64> {
        self.change(|db| {
            bury(db)?;
            let id = insert(db, run)?;
            tell(db, id, found)?;
            forget(db, id - RUNS_MAX)?;
            Ok(id)
        })
    }

    /// Notes how a run ended and what it did. `id` is what [`begin`](Self::begin) gave, if that could be noted at all.
    pub fn end(&mut self, id: Option<i64>, run: &NewRun, ended: &Ended, facts: &[Fact]) -> Result<()> {
        self.change(|db| {
            // The journal may be another one than at the beginning.
            let still_there = id.map(|id| is_run(db, id, run)).transpose()?.unwrap_or(false);
            let id = match id {
                Some(id) if still_there => id,
                _ => insert(db, run)?,
            };
            let error = ended.error.as_ref().map(|error| error.chars().take(ERROR_MAX).collect::<String>());
            db.prepare_cached("UPDATE runs SET ended = ?2, outcome = ?3, backup = ?4, error = ?5 WHERE id = ?1")?
                .execute(params![
                    id,
                    ended.at.as_second(),
                    ended.outcome.name(),
                    ended.backup.as_ref().map(BackupId::as_str),
                    error
                ])?;
            tell(db, id, facts)
        })
    }

    fn change<T>(&mut self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T> {
        let changed = (|| {
            let change = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let done = work(&change)?;
            change.commit()?;
            Ok(done)
        })();
        changed.map_err(|error| self.explain(error))
    }
}

fn insert(db: &Connection, run: &NewRun) -> rusqlite::Result<i64> {
    db.prepare_cached("INSERT INTO runs(kind, process, started) VALUES(?1, ?2, ?3)")?.execute(params![
        run.kind.name(),
        run.process,
        run.started.as_second()
    ])?;
    Ok(db.last_insert_rowid())
}

fn is_run(db: &Connection, id: i64, run: &NewRun) -> rusqlite::Result<bool> {
    let same = "SELECT 1 FROM runs WHERE id = ?1 AND process = ?2 AND started = ?3 AND outcome IS NULL";
    db.prepare_cached(same)?.exists(params![id, run.process, run.started.as_second()])
}

/// Runs that never ended and whose process is no more have died.
fn bury(db: &Connection) -> rusqlite::Result<()> {
    let mut open = db.prepare_cached("SELECT id, process FROM runs WHERE outcome IS NULL")?;
    let open =
        open.query_map((), |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<rusqlite::Result<Vec<(i64, String)>>>()?;
    for (id, _) in open.iter().filter(|(_, process)| !process::is_alive(process)) {
        db.prepare_cached("UPDATE runs SET outcome = ?2 WHERE id = ?1")?.execute(params![id, Outcome::Died.name()])?;
    }
    Ok(())
}

/// Removes runs up to `horizon`, their proofs unless they are a copy's newest of their kind, and copies gone since then.
fn forget(db: &Connection, horizon: i64) -> rusqlite::Result<()> {
    if db.prepare_cached("DELETE FROM runs WHERE id <= ?1")?.execute([horizon])? == 0 {
        return Ok(());
    }
    db.prepare_cached("DELETE FROM copies WHERE gone <= ?1")?.execute([horizon])?;
    db.prepare_cached(
        "DELETE FROM proofs WHERE run <= ?1 AND id NOT IN (SELECT max(id) FROM proofs GROUP BY copy, how, problem IS NULL)",
    )?
    .execute([horizon])?;
    Ok(())
}

fn tell(db: &Connection, run: i64, facts: &[Fact]) -> rusqlite::Result<()> {
    for fact in facts {
        match fact {
            Fact::Seen { place, label, backups } => seen(db, run, place, label.as_deref(), backups)?,
            Fact::Written { backup, place, at } => {
                let copy = copy(db, backup, place)?;
                let written = "UPDATE copies SET written = ?2, gone = NULL WHERE id = ?1";
                db.prepare_cached(written)?.execute(params![copy, at.as_second()])?;
            }
            Fact::Removed { backup, place } => {
                let removed =
                    "UPDATE copies SET gone = ?4 WHERE backup = ?1 AND store = ?2 AND medium = ?3 AND gone IS NULL";
                db.prepare_cached(removed)?.execute(params![backup.as_str(), place.store, place.medium, run])?;
            }
            Fact::Proven { backup, place, proof, problem } => {
                let copy = copy(db, backup, place)?;
                let problem = problem.as_ref().map(|problem| problem.chars().take(ERROR_MAX).collect::<String>());
                db.prepare_cached("INSERT INTO proofs(copy, run, how, at, problem) VALUES(?1, ?2, ?3, ?4, ?5)")?
                    .execute(params![copy, run, proof.how.name(), proof.at.as_second(), problem])?;
            }
        }
    }
    Ok(())
}

fn seen(
    db: &Connection,
    run: i64,
    place: &Place,
    label: Option<&str>,
    backups: &[(BackupId, Option<Timestamp>)],
) -> rusqlite::Result<()> {
    for (backup, made) in backups {
        let copy = copy(db, backup, place)?;
        // That it is there says nothing of when it was written; the backup's end is the nearest that is known.
        db.prepare_cached(
            "UPDATE copies SET gone = NULL, written = ifnull(written, ?2), label = ifnull(?3, label)
             WHERE id = ?1 AND (gone IS NOT NULL OR (written IS NULL AND ?2 IS NOT NULL) OR label IS NOT ifnull(?3, label))",
        )?
        .execute(params![copy, made.map(Timestamp::as_second), label])?;
    }
    let mut there =
        db.prepare_cached("SELECT id, backup FROM copies WHERE store = :store AND medium = :medium AND gone IS NULL")?;
    let known = there
        .query_map(named_params! { ":store": place.store, ":medium": place.medium }, |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?
        .collect::<rusqlite::Result<Vec<(i64, String)>>>()?;
    for (copy, _) in known.iter().filter(|(_, id)| !backups.iter().any(|(backup, _)| backup.as_str() == id)) {
        db.prepare_cached("UPDATE copies SET gone = ?2 WHERE id = ?1")?.execute([*copy, run])?;
    }
    Ok(())
}

/// The number of a copy, which is noted when it was not known.
fn copy(db: &Connection, backup: &BackupId, place: &Place) -> rusqlite::Result<i64> {
    let known = "SELECT id FROM copies WHERE backup = ?1 AND store = ?2 AND medium = ?3";
    let key = params![backup.as_str(), place.store, place.medium];
    if let Some(id) = db.prepare_cached(known)?.query_row(key, |row| row.get(0)).optional()? {
        return Ok(id);
    }
    db.prepare_cached("INSERT INTO copies(backup, store, medium) VALUES(?1, ?2, ?3)")?.execute(key)?;
    Ok(db.last_insert_rowid())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{How, Proof};

    fn begin(journal: &mut Journal, facts: &[Fact]) -> i64 {
        let run = NewRun { kind: RunKind::Check, process: String::new(), started: Timestamp::UNIX_EPOCH };
        journal.begin(&run, facts).unwrap()
    }

    #[test]
    fn the_history_is_bounded_and_the_newest_proof_of_each_kind_is_never_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(&dir.path().join("journal.db")).unwrap().journal;
        let backup = |text: &str| text.parse::<BackupId>().unwrap();
        let (kept, gone) = (backup("20261122T200002Z"), backup("20261122T200003Z"));
        let proven = |backup: &BackupId, how| Fact::Proven {
            backup: backup.clone(),
            place: Place::primary(),
            proof: Proof { how, at: Timestamp::UNIX_EPOCH },
            problem: None,
        };
        begin(&mut journal, &[proven(&kept, How::Drilled), proven(&kept, How::Checked), proven(&gone, How::Checked)]);
        begin(&mut journal, &[Fact::Removed { backup: gone, place: Place::primary() }]);
        // The runs of a year, without a transaction for each.
        journal
            .db
            .execute("INSERT INTO runs(id, kind, process, started) VALUES(?1, 'check', '', 0)", [RUNS_MAX])
            .unwrap();
        begin(&mut journal, &[proven(&kept, How::Checked)]);
        begin(&mut journal, &[]);
        assert_eq!(journal.runs().unwrap().len(), 3, "the first two are too old");
        let copies = journal.copies().unwrap();
        assert_eq!(copies.len(), 1);
        assert_eq!((copies[0].drilled, copies[0].good.unwrap().how), (Some(Timestamp::UNIX_EPOCH), How::Checked));
        let count = |sql: &str| journal.db.query_row(sql, (), |row| row.get::<_, i64>(0)).unwrap();
        assert_eq!((count("SELECT count(*) FROM copies"), count("SELECT count(*) FROM proofs")), (1, 2));
    }
}
