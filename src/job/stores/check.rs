//! The check of a store: what the server says of each backup, and with `read` what its bytes say.

use std::collections::BTreeMap;
use std::path::Path;

use super::super::check::{Checker, Finding, Judged, kind, warn_unsealed};
use super::super::provenance::Trust;
use super::super::record::recorded;
use super::{Opened, StoreAt};
use crate::error::{Error, Kind, Result};
use crate::job::Site;
use crate::model::{BackupId, Run};
use crate::policy::provenance::Lies;
use crate::store::shelf::{PackName, Parts, Unsealing};

/// What was shown of packs that nobody has the key to.
const SEALED_PACKS: &str = "in packs that are encrypted, and of the SHA-256 that their names say";

/// How closely a store is looked at.
#[derive(Debug, Clone, Copy)]
pub enum Depth<'a> {
    /// Manifests and the sizes of the files.
    Facts,
    /// All bytes are read.
    Read,
    /// All bytes are read, and every backup is restored into a scratch database in this folder.
    Drill(&'a Path),
}

/// Checks this box's backups in a store: the one named, or all.
pub fn check(
    site: &Site,
    at: &StoreAt,
    id: Option<&BackupId>,
    depth: Depth<'_>,
    trust: &Trust,
    run: &Run,
) -> Result<Vec<Finding>> {
    let scratch = match depth {
        Depth::Drill(dir) => Some(dir),
        Depth::Facts | Depth::Read => None,
    };
    recorded(Some(site), kind(scratch.is_some()), run, |record, run| {
        let mut opened = at.open(site, run)?;
        let held = opened.held(run)?;
        let wanted = |other: &BackupId| id.is_none_or(|id| id == other);
        let any = held.backups.iter().map(|found| &found.manifest.id).chain(held.unreadable.iter().map(|(id, _)| id));
        if let (Some(id), false) = (id, any.into_iter().any(wanted)) {
            return Err(Error::new(Kind::Missing, format!("there is no backup {id} in the store `{}`", at.name)));
        }
        record.begin();
        let (place, label) = (opened.place.clone(), opened.label());
        let ours = held.backups.iter().filter(|found| found.complete && found.manifest.box_id == site.box_id);
        let seen = ours.map(|found| (found.manifest.id.clone(), Some(found.manifest.finished))).collect();
        record.saw_in(place.clone(), label.clone(), seen);
        let mut checker = Checker::new(at.name.to_string(), scratch, Some(site), (trust, run));
        let unsealing = Unsealing { identities: &trust.identities, scratch: scratch.unwrap_or(site.primary.dir()) };
        let mut packs = Packs::default();
        for found in held.backups.iter().filter(|found| wanted(&found.manifest.id)) {
            let id = &found.manifest.id;
            warn_unsealed(id, found.sealed, run);
            let signed = (&found.manifest, &*found.bytes, found.signature.as_deref());
            if let Some(problem) = checker.doubts(id, trust.vouch(signed, Lies::Elsewhere, run))? {
                if found.manifest.box_id == site.box_id {
                    record.proved_in(place.clone(), label.clone(), id, checker.how(), Some(&problem));
                }
                continue;
            }
            if let Depth::Facts = depth {
                for facts in &found.manifest.artifacts {
                    let missing = (!found.complete).then(|| "some of its files are missing or too short".to_owned());
                    checker.found(Some(id), facts.name.as_str(), false, missing);
                }
                continue;
            }
            let closed = opened.shelf.closed(opened.store.as_mut(), found, &trust.identities);
            let Judged { problem, how } = match (&found.parts, closed) {
                (Some(parts), Some(why)) => {
                    let problem = packs.look(&mut opened, parts, run)?;
                    checker.sealed(&found.manifest, (SEALED_PACKS, &why), problem)
                }
                _ => checker.artifacts(&found.manifest, |facts| opened.artifact(id, &facts.name, &unsealing))?,
            };
            if found.manifest.box_id == site.box_id {
                record.proved_in(place.clone(), label.clone(), id, how, problem.as_deref());
            }
        }
        for (id, why) in held.unreadable.iter().filter(|(id, _)| wanted(id)) {
            checker.found(Some(id), "manifest.json", false, Some(why.clone()));
        }
        Ok(checker.finish(record))
    })
}

/// Encrypted packs that were read through, each once: many backups need the same.
#[derive(Default)]
struct Packs(BTreeMap<PackName, Option<String>>);

impl Packs {
    /// What is wrong with the packs of a backup.
    fn look(&mut self, opened: &mut Opened, parts: &Parts, run: &Run) -> Result<Option<String>> {
        let mut first = None;
        for pack in parts.names() {
            let known = match self.0.get(&pack) {
                Some(known) => known.clone(),
                None => {
                    let problem = match opened.shelf.check_pack(opened.store.as_mut(), &pack, run) {
                        Err(error) if error.kind() == Kind::Cancelled => return Err(error),
                        checked => checked.err().map(|error| error.report()),
                    };
                    self.0.insert(pack, problem.clone());
                    problem
                }
            };
            first = first.or(known);
        }
        Ok(first)
    }
}
