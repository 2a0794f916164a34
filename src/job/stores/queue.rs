//! What waits for a store: a durable file of its own, so that a copy that is owed survives a reboot and a lost journal.
//! Losing the file costs little: the newest backup is owed again, and the others are in the primary.

use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::error::{Context, Error, Kind, Result};
use crate::host::lock::Lock;
use crate::host::{durable, entropy};
use crate::job::Site;
use crate::model::{BackupId, FileName};
use crate::policy::retry::Tries;

/// More copies do not wait for one store; the oldest is given up first.
const WAITING_MAX: usize = 1000;
const QUEUE_MAX: u64 = 4 << 20;

/// How often and how many times somebody who changes the file is waited for: it takes milliseconds.
const LOCK_EVERY: Duration = Duration::from_millis(20);
const LOCK_TRIES: u32 = 250;

/// A copy that is owed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owed {
    /// The backup.
    pub id: BackupId,
    /// Since when.
    pub since: Timestamp,
    /// How many tries failed since the agent was started.
    #[serde(default)]
    pub failed: u32,
    /// The last one.
    #[serde(default)]
    pub last: Option<Failure>,
}

/// A try that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// When.
    pub at: Timestamp,
    /// What sort of failure it was.
    pub kind: Kind,
    /// It, in one line.
    pub error: String,
    /// What spreads the next try.
    pub lot: u8,
}

impl Owed {
    /// What the decision when to try again needs.
    pub(in crate::job) fn tries(&self) -> Option<Tries> {
        self.last.as_ref().filter(|_| self.failed > 0).map(|last| Tries {
            failed: self.failed,
            last: last.at,
            kind: last.kind,
            lot: last.lot,
        })
    }
}

/// What waits for the store `name`, newest first. A file that cannot be read counts as empty: then the newest is owed.
pub fn waiting(site: &Site, name: &FileName) -> Vec<Owed> {
    let bytes = durable::read(&path(site, name), QUEUE_MAX).unwrap_or_default();
    let mut all: Vec<Owed> = serde_json::from_slice(&bytes).unwrap_or_default();
    all.sort_by(|a, b| b.id.cmp(&a.id));
    all
}

/// The backup `id` is owed to the store.
pub(in crate::job) fn add(site: &Site, name: &FileName, id: &BackupId, now: Timestamp) -> Result<()> {
    change(site, name, |all| {
        if !all.iter().any(|owed| owed.id == *id) {
            all.push(Owed { id: id.clone(), since: now, failed: 0, last: None });
        }
    })
}

/// The backup `id` is there, or can never be.
pub(super) fn settle(site: &Site, name: &FileName, id: &BackupId) -> Result<()> {
    change(site, name, |all| all.retain(|owed| owed.id != *id))
}

/// A try failed; what was never owed is not owed by that.
pub(super) fn failed(site: &Site, name: &FileName, id: &BackupId, now: Timestamp, error: &Error) -> Result<()> {
    let lot = entropy::bytes::<1>()?[0];
    let line = super::super::record::one_line(&error.report());
    change(site, name, |all| {
        for owed in all.iter_mut().filter(|owed| owed.id == *id) {
            owed.failed = owed.failed.saturating_add(1);
            owed.last = Some(Failure { at: now, kind: error.kind(), error: line.clone(), lot });
        }
    })
}

/// After a start everything is tried at once: what was in the way may be gone. Why the last try failed stays known.
pub(super) fn start_afresh(site: &Site, name: &FileName) -> Result<()> {
    change(site, name, |all| all.iter_mut().for_each(|owed| owed.failed = 0))
}

fn path(site: &Site, name: &FileName) -> PathBuf {
    site.config.state.join("stores").join(format!("{name}.queue.json"))
}

fn change(site: &Site, name: &FileName, change: impl FnOnce(&mut Vec<Owed>)) -> Result<()> {
    let path = path(site, name);
    let dir = path.parent().unwrap_or(&path);
    std::fs::create_dir_all(dir).context(|| format!("cannot make the folder {dir:?}"))?;
    let _lock = lock(&path.with_extension("lock"))?;
    let before = waiting(site, name);
    let mut all = before.clone();
    change(&mut all);
    all.sort_by(|a, b| b.id.cmp(&a.id));
    all.truncate(WAITING_MAX);
    if all == before {
        return Ok(());
    }
    durable::write(&path, &serde_json::to_vec_pretty(&all).expect("plain data"), 0o600)
}

fn lock(path: &std::path::Path) -> Result<Lock> {
    for _ in 0..LOCK_TRIES {
        match Lock::take(path, "queue") {
            Err(error) if error.kind() == Kind::Busy => thread::sleep(LOCK_EVERY),
            taken => return taken,
        }
    }
    Lock::take(path, "queue")
}
