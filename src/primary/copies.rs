//! Where verified copies of a backup are: a small file beside its manifest. What may be deleted depends on it, so it is a
//! file of its own and no part of the history, which may be lost.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::host::durable;

const COPIES: &str = "copies.json";

/// The most copies that are remembered of one backup; the oldest proof is forgotten first.
const COPIES_MAX: usize = 100;

/// Several sticks get the same backup at a time, and each changes the one file.
static CHANGING: Mutex<()> = Mutex::new(());

/// A copy that was read back from its medium and found equal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopyRecord {
    /// The kind or name of the store: `stick`.
    pub store: String,
    /// Which medium it was: a stick's file system id, a folder.
    pub medium: String,
    /// What people call the medium: a stick's label, which may be any text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// When it was last read back or read through, by the box's clock.
    pub verified: Timestamp,
}

/// A file that cannot be read counts as no copies known: it only ever makes us more careful.
pub(super) fn read(dir: &Path) -> Vec<CopyRecord> {
    let bytes = durable::read(&dir.join(COPIES), 1 << 20).unwrap_or_default();
    serde_json::from_slice(&bytes).unwrap_or_default()
}

pub(super) fn add(dir: &Path, copy: CopyRecord) -> Result<()> {
    let _alone = CHANGING.lock().unwrap_or_else(PoisonError::into_inner);
    let mut copies = without(dir, &copy.store, &copy.medium);
    copies.push(copy);
    let excess = copies.len().saturating_sub(COPIES_MAX);
    copies.drain(..excess);
    write(dir, &copies)
}

pub(super) fn forget(dir: &Path, store: &str, medium: &str) -> Result<()> {
    let _alone = CHANGING.lock().unwrap_or_else(PoisonError::into_inner);
    let rest = without(dir, store, medium);
    if rest.len() == read(dir).len() { Ok(()) } else { write(dir, &rest) }
}

/// Removes what a run that died while it wrote has left.
pub(super) fn sweep(dir: &Path) -> Result<()> {
    durable::remove_part(&dir.join(COPIES))
}

fn without(dir: &Path, store: &str, medium: &str) -> Vec<CopyRecord> {
    let mut copies = read(dir);
    copies.retain(|known| known.store != store || known.medium != medium);
    copies
}

fn write(dir: &Path, copies: &[CopyRecord]) -> Result<()> {
    let bytes = serde_json::to_vec_pretty(copies).expect("plain data");
    durable::write(&dir.join(COPIES), &bytes, 0o600)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_that_are_proven_at_the_same_moment_are_all_remembered() {
        let dir = tempfile::tempdir().unwrap();
        let copy =
            |medium: String| CopyRecord { store: "stick".into(), medium, label: None, verified: Timestamp::now() };
        std::thread::scope(|scope| {
            let dir = dir.path();
            for stick in 0..8 {
                scope.spawn(move || (0..5).for_each(|n| add(dir, copy(format!("{stick}-{n}"))).unwrap()));
            }
        });
        assert_eq!(read(dir.path()).len(), 40);
    }
}
