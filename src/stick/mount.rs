//! Showing a stick to other programs: mounted at its slot, and a durable note of each mount that is ours, so that one
//! that a crash left behind is known as ours and cleaned up.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::error::{Context, Error, Kind, Result};
use crate::host::mount::{self, Unmounted};
use crate::host::{block, durable};

const NOTES: &str = "mounts.json";
const NOTES_MAX: u64 = 1 << 20;

/// What is remembered of a mount of ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Note {
    /// The device number of the volume.
    dev: u64,
    /// The folder was made for the mount.
    made: bool,
}

impl Note {
    fn is_of(&self, mount: &block::Mount) -> bool {
        mount.dev == self.dev && mount.kind == "vfat"
    }
}

/// Two copies may end at once, and each changes the one file.
static CHANGING: Mutex<()> = Mutex::new(());

type Notes = BTreeMap<PathBuf, Note>;

/// Mounts the volume `node` read-only at `at`, which is made when it is not there.
pub fn show(state: &Path, node: &Path, at: &Path) -> Result<()> {
    if !mount::is_free_place(at) {
        return Err(Error::new(Kind::Busy, format!("{at:?} is no empty folder, so no stick is mounted there")));
    }
    let dev = fs::metadata(node).context(|| format!("cannot find {node:?}"))?.rdev();
    let made = !at.exists();
    // The note first: a mount without one would never be taken away.
    note(state, |notes| notes.insert(at.to_owned(), Note { dev, made }))?;
    if made {
        fs::create_dir_all(at).context(|| format!("cannot make the folder {at:?}"))?;
    }
    mount::fat(node, at).inspect_err(|_| {
        let _ = put_away(state, at, made);
    })
}

/// Takes away what [`show`] mounted; fails with [`Kind::Busy`] while another program uses it.
pub fn hide(state: &Path, at: &Path) -> Result<()> {
    mount::release(at)?;
    forget(state, at)
}

/// Takes away what [`show`] mounted although it may be in use: the stick is gone, or we are about to end.
pub fn give_up(state: &Path, at: &Path) -> Result<Unmounted> {
    let how = mount::detach(at)?;
    forget(state, at)?;
    Ok(how)
}

/// Whether what is mounted there is ours.
pub fn is_ours(state: &Path, mount: &block::Mount) -> bool {
    read(state).get(&mount.at).is_some_and(|note| note.is_of(mount))
}

/// Takes away every mount of ours that an earlier run left. Says what was done, a line each.
pub fn sweep(state: &Path) -> Result<Vec<String>> {
    let mut told = Vec::new();
    for (at, old) in read(state) {
        if block::mounts()?.iter().any(|mount| mount.at == at && old.is_of(mount)) {
            let how = mount::detach(&at)?;
            told.push(format!("unmounted {at:?}, which an earlier run had left ({how:?})"));
        }
        put_away(state, &at, old.made)?;
    }
    Ok(told)
}

fn forget(state: &Path, at: &Path) -> Result<()> {
    let made = read(state).get(at).is_some_and(|note| note.made);
    put_away(state, at, made)
}

/// An empty folder that was made for the mount goes with it.
fn put_away(state: &Path, at: &Path, made: bool) -> Result<()> {
    if made {
        // It stays when somebody has put something there meanwhile.
        let _ = fs::remove_dir(at);
    }
    note(state, |notes| notes.remove(at))
}

/// A file that cannot be read costs only that stale mounts stay until somebody unmounts them.
fn read(state: &Path) -> Notes {
    let bytes = durable::read(&state.join(NOTES), NOTES_MAX).unwrap_or_default();
    serde_json::from_slice(&bytes).unwrap_or_default()
}

fn note<T>(state: &Path, change: impl FnOnce(&mut Notes) -> T) -> Result<()> {
    let _alone = CHANGING.lock().unwrap_or_else(PoisonError::into_inner);
    let before = read(state);
    let mut notes = before.clone();
    change(&mut notes);
    if notes == before {
        return Ok(());
    }
    let bytes = serde_json::to_vec_pretty(&notes).expect("plain data");
    durable::write(&state.join(NOTES), &bytes, 0o600)
}
