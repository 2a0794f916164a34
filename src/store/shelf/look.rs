//! What a box has in a store, in whichever layout.

use std::collections::{BTreeMap, BTreeSet};

use super::parts::{self, PackName, Parts};
use super::recall::{Folder, Recall};
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
    /// All that this box has there. What was read of it before may be kept by somebody, so that it is not read again.
    pub fn held(&self, store: &mut dyn Store, recall: Option<&dyn Recall>, run: &Run) -> Result<Held> {
        // Packs before claims: a pack that is seen has been claimed before.
        let mut held = Held { packs: self.packs(store)?, ..Held::default() };
        let mut folders = self.folders(store)?;
        // What those need that are not looked at nobody knows.
        let are_all = folders.len() < BACKUPS_MAX;
        folders.truncate(BACKUPS_MAX);
        for (id, entries) in &mut folders {
            run.check()?;
            let before = recall.map(|recall| recall.of(id)).unwrap_or_default();
            let mut folder = Folder::new(store, self.dir_of(id), std::mem::take(entries), before);
            let looked = look_into(&mut folder, id, &held.packs)?;
            // What is not whole is still being written, perhaps within the second that its list tells.
            let is_whole = looked.found.as_ref().is_some_and(|found| found.complete);
            if let (Some(recall), Some(files), true) = (recall, folder.news(), is_whole) {
                recall.keep(id, &files);
            }
            held.backups.extend(looked.found);
            held.unreadable.extend(looked.unreadable.map(|why| (id.clone(), why)));
            held.unfinished.extend(looked.is_unfinished.then(|| id.clone()));
            held.claims.extend(looked.claims.map(|claims| (id.clone(), claims)));
        }
        if let Some(recall) = recall {
            recall.only(&folders.into_iter().map(|(id, _)| id).collect::<Vec<_>>());
        }
        if !are_all {
            held.packs.clear();
            held.claims.clear();
        }
        Ok(held)
    }

    /// The backups that have a folder there, newest first, and what is in each.
    fn folders(&self, store: &mut dyn Store) -> Result<Vec<(BackupId, Vec<Entry>)>> {
        let mut folders: BTreeMap<BackupId, Vec<Entry>> = BTreeMap::new();
        for mut entry in store.list_below(&self.dir(), &|name| name.parse::<BackupId>().is_ok())? {
            if let Some((id, name)) = entry.name.split_once('/')
                && let Ok(id) = id.parse()
            {
                entry.name = name.to_owned();
                folders.entry(id).or_default().push(entry);
            }
        }
        Ok(folders.into_iter().rev().collect())
    }

    /// The backup `id`, which must be there.
    pub fn find(&self, store: &mut dyn Store, id: &BackupId) -> Result<Shelved> {
        let dir = self.dir_of(id);
        let entries = store.list(&dir)?;
        let packs = match entries.iter().any(|entry| entry.name == PARTS) {
            true => self.packs(store)?,
            false => Vec::new(),
        };
        let looked = look_into(&mut Folder::new(store, dir, entries, Vec::new()), id, &packs)?;
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
        look_into(&mut Folder::new(store, dir, entries, Vec::new()), id, packs)
    }

    /// The list of parts of a backup; `None` when it is damaged.
    pub(super) fn read_parts(&self, store: &mut dyn Store, id: &BackupId) -> Result<Option<Parts>> {
        let path = format!("{}/{PARTS}", self.dir_of(id));
        let bytes = read(store, &path, parts::PARTS_MAX);
        parts_in(bytes, &path)
    }
}

fn look_into(folder: &mut Folder<'_>, id: &BackupId, packs: &[Entry]) -> Result<Looked> {
    let parts = match folder.entry(PARTS) {
        Some(_) => Some(parts_in(folder.read(PARTS, parts::PARTS_MAX), &folder.dir)?),
        None => None,
    };
    let claims = parts.as_ref().map(|parts| parts.as_ref().map(Parts::names));
    let parts = parts.flatten();
    let mut looked = Looked { claims, is_unfinished: !folder.entries.is_empty(), ..Looked::default() };
    // Where a layout was changed in between both may be there: then the one that is whole counts.
    for name in [MANIFEST, MANIFEST_GZ] {
        if folder.entry(name).is_none() {
            continue;
        }
        looked.is_unfinished = false;
        match read_manifest(folder, id, name)? {
            Err(why) => looked.unreadable = Some(why),
            Ok(ManifestFile { manifest, bytes, sealed, signature }) => {
                let parts = parts.clone().filter(|_| name == MANIFEST_GZ);
                let is_there =
                    |name: &ArtifactName, size| folder.entry(name.as_str()).is_some_and(|at| at.size == size);
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

fn parts_in(bytes: Result<Vec<u8>>, path: &str) -> Result<Option<Parts>> {
    match bytes.and_then(|bytes| Parts::parse(&bytes)) {
        Err(error) if error.kind() == Kind::Damaged => {
            log::warn!("{path}: {}", error.report());
            Ok(None)
        }
        parts => parts.map(Some),
    }
}

/// The manifest that lies under `name`, or what is wrong with it.
fn read_manifest(folder: &mut Folder<'_>, id: &BackupId, name: &str) -> Result<Result<ManifestFile, String>> {
    let mut bytes = folder.read(name, MANIFEST_MAX)?;
    let sums = match folder.read(SHA256SUMS, MANIFEST_MAX) {
        Err(error) if error.kind() == Kind::Missing => Vec::new(),
        sums => sums?,
    };
    let signature = match folder.entry(SIGNATURE) {
        Some(entry) if entry.size < SIGNATURE_MAX => Some(folder.read(SIGNATURE, SIGNATURE_MAX)?),
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

/// Whether all packs are there, with enough bytes.
pub(super) fn are_there(parts: &Parts, packs: &[Entry]) -> bool {
    let has =
        |(name, least): (&PackName, u64)| packs.iter().any(|entry| entry.name == name.as_str() && entry.size >= least);
    parts.packs().into_iter().all(has)
}
