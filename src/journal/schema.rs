//! The tables, and how an older journal becomes one of today.

use rusqlite::{Connection, TransactionBehavior};

/// Marks the file as ours: `tsjl`.
pub(super) const APPLICATION_ID: i32 = i32::from_be_bytes(*b"tsjl");

/// Step `n` makes version `n + 1` of version `n`. A step that was once released never changes.
///
/// Times are whole seconds since 1970 by the box's clock; the order of things is that of their ids, for clocks jump.
pub(super) const STEPS: &[&str] = &["
CREATE TABLE runs(
  id INTEGER PRIMARY KEY,
  kind TEXT NOT NULL,
  process TEXT NOT NULL,
  started INTEGER NOT NULL,
  ended INTEGER,
  outcome TEXT,           -- done, partly, failed, stopped, died; NULL until it ended
  backup TEXT,
  error TEXT
) STRICT;
CREATE TABLE copies(
  id INTEGER PRIMARY KEY,
  backup TEXT NOT NULL,
  store TEXT NOT NULL,
  medium TEXT NOT NULL,
  label TEXT,
  written INTEGER,
  gone INTEGER,           -- the run that removed it, or found that it is no longer there
  UNIQUE(backup, store, medium)
) STRICT;
CREATE TABLE proofs(
  id INTEGER PRIMARY KEY,
  copy INTEGER NOT NULL REFERENCES copies ON DELETE CASCADE,
  run INTEGER NOT NULL,
  how TEXT NOT NULL,      -- read-back, checked, restored, drilled
  at INTEGER NOT NULL,
  problem TEXT            -- NULL: it was good
) STRICT;
CREATE INDEX proofs_of_copy ON proofs(copy);
"];

/// The version that this program writes.
pub(super) const VERSION: usize = STEPS.len();

/// Brings the journal from `from` to the version that `steps` lead to, all or nothing.
pub(super) fn bring_forward(db: &mut Connection, from: usize, steps: &[&str]) -> rusqlite::Result<()> {
    if from >= steps.len() {
        return Ok(());
    }
    let forward = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Another process may have done it since we looked.
    let now = version(&forward)?;
    for step in steps.iter().skip(now) {
        forward.execute_batch(step)?;
    }
    if now < steps.len() {
        forward.pragma_update(None, "application_id", APPLICATION_ID)?;
        forward.pragma_update(None, "user_version", steps.len() as i64)?;
    }
    forward.commit()
}

/// The version of an open journal; 0 when it is new.
pub(super) fn version(db: &Connection) -> rusqlite::Result<usize> {
    let version: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
    Ok(usize::try_from(version).unwrap_or(usize::MAX))
}
