//! What backups a store has.

use super::super::history::History;
use super::super::list::Listed;
use super::StoreAt;
use crate::error::Result;
use crate::job::Site;
use crate::model::Run;

/// This box's backups in a store, newest first.
pub fn list(site: &Site, at: &StoreAt, history: &History, run: &Run) -> Result<Vec<Listed>> {
    let mut opened = at.open(site, run)?;
    let place = opened.place.clone();
    let held = opened.held_as_seen(site, at, run)?;
    let whole = held.backups.iter().map(|found| {
        let manifest = &found.manifest;
        let missing = (!found.complete).then(|| "some of its files are missing".to_owned());
        let known = (manifest.box_id == site.box_id).then_some(history);
        Listed {
            proof: known.and_then(|history| history.proof(&manifest.id, &place, None)),
            problem: missing.or_else(|| known?.problem(&manifest.id, &place)),
            ..Listed::new(manifest)
        }
    });
    let unreadable = held.unreadable.iter().map(|(id, why)| Listed::broken(id, why.clone()));
    let unfinished = held.unfinished.iter().map(|id| Listed::broken(id, "its copy is not finished".to_owned()));
    let mut all: Vec<Listed> = whole.chain(unreadable).chain(unfinished).collect();
    all.sort_by(|a, b| b.id.cmp(&a.id));
    Ok(all)
}
