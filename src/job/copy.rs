//! The copy: a finished backup goes onto a stick, is read back from there, and is remembered.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::record::Record;
use super::sealed::Sealed;
use super::stick::Identity;
use super::{Site, StickAt, prune};
use crate::error::{Context, Error, Kind, Result};
use crate::journal::{Outcome, Place, STICK};
use crate::model::{BackupId, Manifest, ManifestFile, Run};
use crate::primary::{CopyRecord, Stored};
use crate::stick::fs::StickFs;
use crate::stick::generations;
use crate::stick::publish::{Outgoing, PublishRules, Published, publish};
use crate::trust::Enrolments;

/// Bytes left free on a stick, so that a person can still put a file on it.
const RESERVE: u64 = 1 << 20;

/// How one copy went.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
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
pub(super) fn to_stick(site: &Site, stored: &Stored, at: &StickAt, record: &mut Record, run: &Run) -> Result<CopyDone> {
    let medium = at.path.display().to_string();
    Ok(match put(site, stored, at, record, run) {
        Ok((medium, published)) => CopyDone {
            store: STICK.into(),
            medium,
            files: published.files,
            bytes: published.bytes,
            freed: published.freed,
            repaired: published.repaired,
            error: None,
        },
        Err(error) if error.kind() == Kind::Cancelled => {
            let id = stored.id();
            return Err(error)
                .context(|| format!("the backup {id} is made, and its copy to {medium:?} is not finished"));
        }
        Err(error) => {
            record.falls_short(Outcome::Partly, &format!("{medium:?}: {}", error.report()));
            failed(&at.path, &error)
        }
    })
}

/// The record of a copy that could not be made.
pub(super) fn failed(medium: &Path, error: &Error) -> CopyDone {
    CopyDone {
        store: STICK.into(),
        medium: medium.display().to_string(),
        error: Some(error.report()),
        ..CopyDone::default()
    }
}

fn put(site: &Site, stored: &Stored, at: &StickAt, record: &mut Record, run: &Run) -> Result<(String, Published)> {
    let (mut fs, Identity { medium, label }) = at.open_for_writing(site)?;
    let sealed = match site.config.sticks.encrypt_to.is_empty() {
        true => None,
        false => Some(Sealed::for_medium(site, &format!("{STICK} {medium}"))?),
    };
    let (dir, file) = outgoing(site, stored, sealed.as_ref(), fs.as_mut(), run)?;
    let outgoing = Outgoing {
        dir: &dir,
        manifest: &file.manifest,
        manifest_bytes: &file.bytes,
        signature: file.signature.as_deref(),
    };
    let rules = PublishRules {
        keep: how_many(site, fs.as_mut(), &file.manifest)?,
        reserve: RESERVE,
        lang: site.config.lang,
        adopt: Enrolments::read(&site.config.state)?.is_adopted(&medium),
        part_max: site.config.sticks.part_size,
    };
    let published = publish(fs.as_mut(), &outgoing, &rules, run).inspect_err(|error| {
        if error.kind() == Kind::Damaged {
            forget_medium(site, &medium, run);
        }
    })?;
    sealed.map_or(Ok(()), Sealed::done)?;
    let copy = CopyRecord { store: STICK.into(), medium: medium.clone(), label, verified: Timestamp::now() };
    stored.add_copy(copy)?;
    for (id, _) in &published.freed {
        record.removed(id, Place::stick(&medium));
        forget(site, &medium, id)?;
    }
    Ok((medium, published))
}

/// The backup as it goes onto the stick: as it is, encrypted, or as it lies there already, encrypted.
fn outgoing(
    site: &Site,
    stored: &Stored,
    sealed: Option<&Sealed>,
    fs: &mut dyn StickFs,
    run: &Run,
) -> Result<(PathBuf, ManifestFile)> {
    let plain = stored.manifest_file()?;
    let Some(sealed) = sealed else { return Ok((stored.dir().to_owned(), plain)) };
    let there = generations::stored(fs)?.into_iter().find(|there| there.manifest.is_sealed_from(&plain.manifest));
    if let Some(there) = there {
        let generations::Stored { manifest, bytes, sealed, signature, .. } = there;
        return Ok((stored.dir().to_owned(), ManifestFile { manifest, bytes, sealed, signature }));
    }
    let outgoing = sealed.seal(site, stored, &site.config.sticks.encrypt_to, run)?;
    Ok((outgoing.dir().to_owned(), outgoing.manifest_file()?))
}

/// Forgets that a copy is on the stick `medium`.
pub(super) fn forget(site: &Site, medium: &str, id: &BackupId) -> Result<()> {
    // It may be gone here too, or never have been made here.
    site.primary.find(id).map_or(Ok(()), |stored| stored.forget_copy(STICK, medium))
}

/// As many as the configuration says, but all of them while a source has lost half of its rows: an empty database must
/// not push the good ones off the stick.
fn how_many(site: &Site, fs: &mut dyn StickFs, new: &Manifest) -> Result<usize> {
    let held = generations::stored(fs)?.into_iter().filter(|held| held.complete && held.manifest.id != new.id);
    let held: Vec<Manifest> = held.map(|held| held.manifest).filter(|held| held.box_id == new.box_id).collect();
    let all: Vec<&Manifest> = std::iter::once(new).chain(&held).collect();
    let now = Timestamp::now();
    let fell = prune::fell(now, prune::judge_clock(now, &all), &all);
    Ok(if fell.is_some() { usize::MAX } else { site.config.sticks.keep })
}

/// A stick that does not keep what is written to it proves nothing any more, of no backup.
pub(super) fn forget_medium(site: &Site, medium: &str, run: &Run) {
    for stored in site.primary.list().unwrap_or_default() {
        if stored.copies().iter().any(|copy| copy.store == STICK && copy.medium == medium)
            && let Err(error) = stored.forget_copy(STICK, medium)
        {
            run.warn(format!("{}: its copy on this stick must not be relied on ({error})", stored.id()));
        }
    }
}
