//! The copy: a finished backup goes onto a stick, is read back from there, and is remembered.

use jiff::Timestamp;
use serde::Serialize;

use super::{Site, StickAt};
use crate::error::{Context, Kind, Result};
use crate::model::{BackupId, Run};
use crate::primary::{CopyRecord, Stored};
use crate::stick::publish::{Outgoing, PublishRules, Published, publish};

/// How sticks are called in records of copies.
const STORE: &str = "stick";

/// Bytes left free on a stick, so that a person can still put a file on it.
const RESERVE: u64 = 1 << 20;

/// How one copy went.
#[derive(Debug, Serialize)]
pub struct CopyDone {
    /// The kind or name of the store.
    pub store: String,
    /// Which medium it was.
    pub medium: String,
    /// The files that carry the backup there.
    pub files: Vec<String>,
    /// Bytes written.
    pub bytes: u64,
    /// Backups that went to make room, with the reason.
    pub freed: Vec<(BackupId, String)>,
    /// What an earlier interruption had left and was put right.
    pub repaired: Vec<String>,
    /// Why it failed; then nothing else counts.
    pub error: Option<String>,
}

/// Copies a backup to a stick. A failure is part of the result: the backup itself is safe in the primary.
///
/// # Errors
/// Only that somebody stopped it: then nothing more is to be done.
pub fn to_stick(site: &Site, stored: &Stored, at: &StickAt, run: &Run) -> Result<CopyDone> {
    let medium = at.path.display().to_string();
    Ok(match put(site, stored, at, run) {
        Ok((medium, published)) => CopyDone {
            store: STORE.into(),
            medium,
            files: published.files,
            bytes: published.bytes,
            freed: published.freed,
            repaired: published.repaired,
            error: None,
        },
        Err(error) if error.kind() == Kind::Cancelled => {
            let id = stored.id();
            return Err(error).context(|| format!("the backup {id} is made, and not copied to {medium:?}"));
        }
        Err(error) => CopyDone {
            store: STORE.into(),
            medium,
            files: Vec::new(),
            bytes: 0,
            freed: Vec::new(),
            repaired: Vec::new(),
            error: Some(error.report()),
        },
    })
}

fn put(site: &Site, stored: &Stored, at: &StickAt, run: &Run) -> Result<(String, Published)> {
    let (mut fs, medium) = at.open_for_writing(site)?;
    let (manifest, bytes) = stored.manifest_with_bytes()?;
    let outgoing = Outgoing { dir: stored.dir(), manifest: &manifest, manifest_bytes: &bytes, signature: None };
    let rules = PublishRules {
        keep: site.config.sticks.keep,
        reserve: RESERVE,
        lang: site.config.lang,
        ..PublishRules::default()
    };
    let published = publish(fs.as_mut(), &outgoing, &rules, run)?;
    let record = CopyRecord { store: STORE.into(), medium: medium.clone(), verified: Timestamp::now() };
    stored.add_copy(record)?;
    for (id, _) in &published.freed {
        // It may be gone here too, or never have been made here.
        if let Ok(older) = site.primary.find(id) {
            older.forget_copy(STORE, &medium)?;
        }
    }
    Ok((medium, published))
}
