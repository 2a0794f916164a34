//! The clean-up of a store, by its own retention.

use super::super::prune::{Found, Report, judge};
use super::super::record::{Record, recorded};
use super::{Opened, StoreAt, queue};
use crate::error::Result;
use crate::host::lock::Lock;
use crate::job::Site;
use crate::journal::RunKind;
use crate::model::{BackupId, Run};
use crate::policy::delta;
use crate::primary::Stored;
use crate::store::shelf::Held;

/// Prunes this box's backups in a store; with `dry_run` it only says what it would do.
pub fn prune(site: &Site, at: &StoreAt, dry_run: bool, run: &Run) -> Result<Report> {
    recorded(Some(site), RunKind::Prune, run, |record, run| {
        let _lock = at.lock(site, "prune")?;
        if dry_run {
            record.only_look();
        } else {
            record.begin();
        }
        let opened = at.open(site, run)?;
        prune_store(site, at, opened, dry_run, record, run)
    })
}

/// Why the store's clean-up would remove the backup as soon as it is there, if it would: then it need not be sent. What is
/// there already is taken from what is noted beside each backup.
pub(super) fn would_go(site: &Site, at: &StoreAt, id: &BackupId, waiting: &[BackupId]) -> Result<Option<String>> {
    if at.config.append_only {
        return Ok(None);
    }
    let of_the_store = |stored: &Stored| {
        waiting.contains(stored.id()) || stored.copies().iter().any(|copy| copy.store == at.name.as_str())
    };
    let stored = site.primary.list()?.into_iter().filter(of_the_store);
    let found: Vec<Found> = stored
        .map(|stored| {
            let manifest = stored.manifest().ok();
            let whole = manifest.as_ref().is_some_and(|manifest| stored.is_whole(manifest));
            Found { id: stored.id().clone(), manifest, whole, copied: false }
        })
        .collect();
    let report = judge(site, at.name.to_string(), true, &at.config.retention, &found)?;
    let going = report.backups.into_iter().find(|backup| backup.id == *id && !backup.keep);
    Ok(going.filter(|_| report.suspended.is_none()).map(|backup| backup.reasons.concat()))
}

/// Prunes after a copy was made; gives what went, with the reason.
pub(super) fn after_copy(
    site: &Site,
    at: &StoreAt,
    _held: &Lock,
    opened: Opened,
    record: &mut Record,
    run: &Run,
) -> Result<Vec<(BackupId, String)>> {
    if at.config.append_only {
        return Ok(Vec::new());
    }
    let report = prune_store(site, at, opened, false, record, run)?;
    let gone = report.backups.into_iter().filter(|backup| !backup.keep);
    Ok(gone.map(|backup| (backup.id, backup.reasons.concat())).collect())
}

fn prune_store(
    site: &Site,
    at: &StoreAt,
    mut opened: Opened,
    dry_run: bool,
    record: &mut Record,
    run: &Run,
) -> Result<Report> {
    opened.shelf.refuse_if_anothers(opened.store.as_mut(), &site.box_id)?;
    let mut held = opened.held_as_seen(site, at, run)?;
    let place = opened.place.clone();
    let unfinished = abandoned(site, at, &held);
    let suspects = held.suspects(&|id| record.is_damaged(id, &place));
    let whole = std::mem::take(&mut held.backups).into_iter().map(|found| Found {
        id: found.manifest.id.clone(),
        whole: found.complete && !suspects.contains(&found.manifest.id),
        manifest: Some(found.manifest),
        copied: false,
    });
    let unreadable = std::mem::take(&mut held.unreadable).into_iter().map(|(id, _)| Found {
        id,
        manifest: None,
        whole: false,
        copied: false,
    });
    let found: Vec<Found> = whole.chain(unreadable).collect();
    let only_look = dry_run || at.config.append_only;
    let mut report = judge(site, at.name.to_string(), only_look, &at.config.retention, &found)?;
    if at.config.append_only {
        report.suspended = Some("append_only is set for this store: whoever may delete there cleans up".into());
    }
    if only_look {
        return Ok(report);
    }
    let mut going: Vec<BackupId> = report.to_go().cloned().collect();
    for id in &going {
        run.check()?;
        opened.shelf.remove(opened.store.as_mut(), id)?;
        record.removed(id, place.clone());
        if let Ok(stored) = site.primary.find(id) {
            stored.forget_copy(&place.store, &place.medium)?;
        }
    }
    for id in unfinished {
        opened.shelf.remove(opened.store.as_mut(), &id)?;
        going.push(id);
    }
    opened.shelf.sweep(opened.store.as_mut(), &held, &going, run)?;
    Ok(report)
}

/// What is left of copies that nobody goes on with.
fn abandoned(site: &Site, at: &StoreAt, held: &Held) -> Vec<BackupId> {
    let whole = held.backups.iter().filter(|found| found.complete).map(|found| &found.manifest.id).max();
    let waiting: Vec<BackupId> = queue::waiting(site, &at.name).into_iter().map(|owed| owed.id).collect();
    let is_left = |id: &&BackupId| delta::is_abandoned(id, whole, &waiting);
    held.unfinished.iter().filter(is_left).cloned().collect()
}
