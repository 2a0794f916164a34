//! What is still to be done when we die: a durable file, with a lock beside it that dies with its holder. Whoever finds such a file
//! without a holder does what it says.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Context, Error, Kind, Result};
use crate::host::durable;
use crate::host::lock::Lock;

/// The longest note that is read, in bytes.
const NOTE_MAX: u64 = 256 << 20;
/// How often it is asked whether another process has done what it owes, and how long.
const LOOK_EVERY: Duration = Duration::from_millis(100);
const LOOK_MAX: Duration = Duration::from_secs(600);

/// A note of what is owed. It stays when this is dropped; [`done`](Self::done) takes it away.
#[derive(Debug)]
pub(super) struct Note {
    pub(super) path: PathBuf,
    _lock: Lock,
}

impl Note {
    /// Writes what is owed into a new file in `dir`; durable once it returned.
    pub(super) fn write(dir: &Path, reason: &str, what: &impl Serialize) -> Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).context(|| format!("cannot make {dir:?}"))?;
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let now = Timestamp::now().as_millisecond();
        let path = dir.join(format!("{now}-{}-{number}.json", std::process::id()));
        let note = Self { _lock: Lock::take(&path.with_extension("lock"), reason)?, path };
        note.rewrite(what)?;
        durable::sync_parent(dir)?;
        Ok(note)
    }

    /// Changes what is owed.
    pub(super) fn rewrite(&self, what: &impl Serialize) -> Result<()> {
        let bytes = serde_json::to_vec_pretty(what)
            .map_err(|cause| Error::new(Kind::Io, format!("cannot write {:?}", self.path)).because(cause))?;
        durable::write(&self.path, &bytes, 0o600)
    }

    /// What is owed. `remedy` helps where the file is not readable.
    pub(super) fn read<T: DeserializeOwned>(&self, remedy: &str) -> Result<T> {
        let path = &self.path;
        serde_json::from_slice(&durable::read(path, NOTE_MAX)?).map_err(|cause| {
            let message = format!("{path:?}, which says what is still to be done, is not readable");
            Error::new(Kind::Damaged, message).because(cause).help(remedy)
        })
    }

    /// Nothing is owed any more.
    pub(super) fn done(&self) -> Result<()> {
        let path = &self.path;
        fs::remove_file(path).context(|| format!("cannot remove {path:?}"))?;
        let _ = fs::remove_file(path.with_extension("lock"));
        durable::sync_parent(path)
    }
}

/// The notes in `dir` whose writers have died, one after the other. With `wait` it waits for those who live.
pub(super) fn abandoned(dir: &Path, wait: bool) -> impl Iterator<Item = Note> + use<> {
    paths(dir).into_iter().filter_map(move |path| {
        let until = Instant::now() + LOOK_MAX;
        let lock = loop {
            match Lock::take(&path.with_extension("lock"), "doing what another process left") {
                Err(error) if error.kind() == Kind::Busy && wait && Instant::now() < until => thread::sleep(LOOK_EVERY),
                lock => break lock,
            }
        };
        // Held: whoever wrote it is alive and does it.
        let note = Note { _lock: lock.ok()?, path };
        if !note.path.exists() {
            let _ = fs::remove_file(note.path.with_extension("lock"));
            return None;
        }
        Some(note)
    })
}

/// The notes in `dir`, the oldest first.
pub(super) fn paths(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut all: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|ending| ending == "json")).collect();
    all.sort();
    all
}
