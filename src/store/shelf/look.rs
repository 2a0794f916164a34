//! What a box has in a store, in whichever layout.

use std::collections::BTreeSet;

use super::parts::{self, PackName, Parts};
use super::{BACKUPS_MAX, Held, MANIFEST_GZ, PARTS, Shelf, Shelved, read};
use crate::error::{Error, Kind, Result};
use crate::model::{ArtifactName, BackupId, MANIFEST_MAX, ManifestFile, Run, SIGNATURE_MAX};
use crate::primary::{MANIFEST, SHA256SUMS, SIGNATURE};
use crate::store::{Entry, Store};

/// What is in the folder of one backup.
#[derive(Default)]
pub(super) struct Looked {
    pub(super) found: Option<Shelved>,
    unreadable: Option<String>,
    is_unfinished: bool,
    pub(super) claims: Option<Option<BTreeSet<PackName>>>,
}

impl Held {
    /// The backups that are damaged, and those that need a pack which one of them needs: it may be that one.
    pub fn suspects(&self, is_damaged: &dyn Fn(&BackupId) -> bool) -> BTreeSet<BackupId> {
        let claims = || self.claims.iter().filter_map(|(id, claims)| Some((id, claims.as_ref()?)));
        let packs: BTreeSet<&PackName> =
            claims().filter(|(id, _)| is_damaged(id)).flat_map(|(_, claims)| claims).collect();
        let is_suspect = |claims: &BTreeSet<PackName>| claims.iter().any(|pack| packs.contains(pack));
        let suspects = claims().filter(|(_, claims)| is_suspect(claims)).map(|(id, _)| id);
        let damaged = self.backups.iter().map(|found| &found.manifest.id).filter(|id| is_damaged(id));
        suspects.chain(damaged).cloned().collect()
    }
}

impl Shelf {
    /// All that this box has there.
    pub fn held(&self, store: &mut dyn Store, run: &Run) -> Result<Held> {
        // Packs before claims: a pack that is seen has been claimed before.
        let mut held = Held { packs: self.packs(store)?, ..Held::default() };
        let ids = self.ids(store)?;
        // What those need that are not looked at nobody knows.
        let are_all = ids.len() < BACKUPS_MAX;
        for id in ids {
            run.check()?;
            let looked = self.look_at(store, &id, &held.packs)?;
            held.backups.extend(looked.found);
            held.unreadable.extend(looked.unreadable.map(|why| (id.clone(), why)));
            held.unfinished.extend(looked.is_unfinished.then(|| id.clone()));
            held.claims.extend(looked.claims.map(|claims| (id, claims)));
        }
        if !are_all {
            held.packs.clear();
            held.claims.clear();
        }
        Ok(held)
    }

    /// The backup `id`, which must be there.
    pub fn find(&self, store: &mut dyn Store, id: &BackupId) -> Result<Shelved> {
        let packs = self.packs(store)?;
        let looked = self.look_at(store, id, &packs)?;
        if let Some(why) = looked.unreadable {
            return Err(Error::new(Kind::Damaged, format!("the copy of {id} cannot be used: {why}")));
        }
        looked.found.ok_or_else(|| {
            Error::new(Kind::Missing, format!("there is no backup {id} in {:?}", self.dir()))
                .help("`tillstick list --store NAME` shows the backups that are there")
        })
    }

    pub(super) fn look_at(&self, store: &mut dyn Store, id: &BackupId, packs: &[Entry]) -> Result<Looked> {
        let dir = self.dir_of(id);
        let entries = store.list(&dir)?;
        let has = |name: &str| entries.iter().any(|entry| entry.name == name && !entry.is_dir);
        let parts = match has(PARTS) {
            true => Some(self.read_parts(store, id)?),
            false => None,
        };
        let claims = parts.as_ref().map(|parts| parts.as_ref().map(Parts::names));
        let parts = parts.flatten();
        let mut looked = Looked { claims, is_unfinished: !entries.is_empty(), ..Looked::default() };
        // Where a layout was changed in between both may be there: then the one that is whole counts.
        for name in [MANIFEST, MANIFEST_GZ].into_iter().filter(|name| has(name)) {
            looked.is_unfinished = false;
            match self.read_manifest(store, id, name, &entries)? {
                Err(why) => looked.unreadable = Some(why),
                Ok(ManifestFile { manifest, bytes, sealed, signature }) => {
                    let parts = parts.clone().filter(|_| name == MANIFEST_GZ);
                    let is_there = |name: &ArtifactName, size: u64| {
                        entries.iter().any(|entry| entry.name == name.as_str() && entry.size == size && !entry.is_dir)
                    };
                    let complete = match &parts {
                        Some(parts) => parts.fit(&manifest) && are_there(parts, packs),
                        None => manifest.artifacts.iter().all(|artifact| is_there(&artifact.name, artifact.size)),
                    };
                    if complete || looked.found.is_none() {
                        looked.found = Some(Shelved { manifest, bytes, sealed, signature, complete, parts });
                    }
                }
            }
        }
        if looked.found.is_some() {
            looked.unreadable = None;
        }
        Ok(looked)
    }

    /// The list of parts of a backup; `None` when it is damaged.
    pub(super) fn read_parts(&self, store: &mut dyn Store, id: &BackupId) -> Result<Option<Parts>> {
        let path = format!("{}/{PARTS}", self.dir_of(id));
        match read(store, &path, parts::PARTS_MAX).and_then(|bytes| Parts::parse(&bytes)) {
            Err(error) if error.kind() == Kind::Damaged => {
                log::warn!("{path}: {}", error.report());
                Ok(None)
            }
            parts => parts.map(Some),
        }
    }

    /// The manifest that lies under `name`, or what is wrong with it.
    fn read_manifest(
        &self,
        store: &mut dyn Store,
        id: &BackupId,
        name: &str,
        entries: &[Entry],
    ) -> Result<Result<ManifestFile, String>> {
        let dir = self.dir_of(id);
        let mut bytes = read(store, &format!("{dir}/{name}"), MANIFEST_MAX)?;
        let sums = match read(store, &format!("{dir}/{SHA256SUMS}"), MANIFEST_MAX) {
            Err(error) if error.kind() == Kind::Missing => Vec::new(),
            sums => sums?,
        };
        let signature = match entries.iter().find(|entry| entry.name == SIGNATURE && !entry.is_dir) {
            Some(entry) if entry.size < SIGNATURE_MAX => {
                Some(read(store, &format!("{dir}/{SIGNATURE}"), SIGNATURE_MAX)?)
            }
            // Too long to be one.
            Some(_) => Some(Vec::new()),
            None => None,
        };
        if name == MANIFEST_GZ {
            match parts::unpacked(&bytes, MANIFEST_MAX) {
                Ok(unpacked) => bytes = unpacked,
                Err(error) => return Ok(Err(error.report())),
            }
        }
        Ok(match ManifestFile::read(bytes, &sums, MANIFEST, signature) {
            Ok(file) if file.manifest.id == *id => Ok(file),
            Ok(file) => Err(format!("it holds the manifest of {}", file.manifest.id)),
            Err(error) => Err(error.report()),
        })
    }
}

/// Whether all packs are there, with enough bytes.
pub(super) fn are_there(parts: &Parts, packs: &[Entry]) -> bool {
    let has =
        |(name, least): (&PackName, u64)| packs.iter().any(|entry| entry.name == name.as_str() && entry.size >= least);
    parts.packs().into_iter().all(has)
}
