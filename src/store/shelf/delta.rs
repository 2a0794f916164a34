//! Sending a backup to packs: the bytes that no pack there has yet, and a list of where all bytes lie.
//!
//! The order of a put is what makes it safe: the list first, which claims the packs, then the pack, and the manifest last,
//! after a look whether every claimed pack is there. A clean-up looks for packs first and for claims then, so it sees the
//! claim of every pack it sees; and what a list claims of older packs is claimed by the newest whole backup, too, which
//! no clean-up removes.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::PathBuf;

use super::look::are_there;
use super::parts::{PackName, Part, Parts, Seal};
use super::plan::{Known, Planned, Segment, plan};
use super::{MANIFEST_GZ, PARTS, Shelf, Shelved, parts};
use crate::error::{Error, Kind, Result};
use crate::host::entropy;
use crate::model::{BackupId, ManifestFile, Run};
use crate::policy::delta::{Decision, Newest, decide};
use crate::primary::{Primary, SHA256SUMS, SIGNATURE, Stored, sums};
use crate::store::content::FileRange;
use crate::store::{Content, Entry, Sent, Store};

/// Encrypts what is given into a file that stays until it was sent; the text names the content.
pub type Sealer<'a> = &'a dyn Fn(&str, &mut dyn Read) -> Result<PathBuf>;

/// What a backup is prepared with.
pub struct Packing<'a> {
    /// Where the backups are that it may be compared with.
    pub primary: &'a Primary,
    /// To whom packs are encrypted.
    pub seal: Seal,
    /// What does that; `None` when nobody does.
    pub sealer: Option<Sealer<'a>>,
    /// Which copies in the store are not to be relied on.
    pub is_damaged: &'a dyn Fn(&BackupId) -> bool,
}

/// What is to be sent of a backup.
pub struct Delta {
    file: ManifestFile,
    parts: Parts,
    pack: Option<(PackName, Content)>,
    /// What is sent, and why.
    pub decision: Decision,
}

impl Delta {
    /// How many bytes are sent at most, next to nothing beside.
    pub fn size(&self) -> u64 {
        self.pack.as_ref().map_or(0, |(_, content)| content.size())
    }
}

impl Shelf {
    /// Decides what of `backup` is sent to packs.
    pub fn prepare(&self, store: &mut dyn Store, backup: &Stored, packing: &Packing<'_>, run: &Run) -> Result<Delta> {
        let Packing { primary, seal, is_damaged, .. } = packing;
        let file = backup.manifest_file()?;
        let packs = self.packs(store)?;
        let newest = self.newest_whole(store, backup.id(), *is_damaged, &packs, run)?;
        let there = newest.as_ref().and_then(|newest| Some((newest, newest.parts.as_ref()?)));
        let here = there.and_then(|(newest, _)| same_here(primary, newest));
        let known = match (&newest, there, &here) {
            (None, ..) => Newest::None,
            (Some(newest), None, _) => Newest::Plain(newest.manifest.id.clone()),
            (Some(newest), Some((_, parts)), _) if parts.names().iter().any(|pack| pack.seal() != *seal) => {
                Newest::SealedOtherwise(newest.manifest.id.clone())
            }
            (Some(newest), _, None) => Newest::Gone(newest.manifest.id.clone()),
            (Some(newest), ..) => Newest::Known(newest.manifest.id.clone()),
        };
        let base = match (&known, there, &here) {
            (Newest::Known(_), Some((newest, parts)), Some(stored)) => {
                Some(Known { stored, artifacts: &newest.manifest.artifacts, parts })
            }
            _ => None,
        };
        let seed = u64::from_le_bytes(entropy::bytes()?);
        let planned = |base: Option<&Known<'_>>| -> Result<Vec<Planned<'_>>> {
            file.manifest.artifacts.iter().map(|facts| plan(backup, facts, base, seed, run)).collect()
        };
        let (known, artifacts) = match planned(base.as_ref()) {
            // Of the two that are compared it may be the older one that is damaged here.
            Err(error) if error.kind() == Kind::Damaged && base.is_some() => {
                log::warn!("{}", error.report());
                (newest.map_or(Newest::None, |newest| Newest::Gone(newest.manifest.id)), planned(None)?)
            }
            artifacts => (known, artifacts?),
        };
        let (decision, least) = decide_of(known, &artifacts, &packs);
        let (parts, pack) = Self::put_together(backup, artifacts, packing, least, run)?;
        Ok(Delta { file, parts, pack, decision })
    }

    /// The newest backup there beside `id` that is whole.
    fn newest_whole(
        &self,
        store: &mut dyn Store,
        id: &BackupId,
        is_damaged: &dyn Fn(&BackupId) -> bool,
        packs: &[Entry],
        run: &Run,
    ) -> Result<Option<Shelved>> {
        let ids = self.ids(store)?;
        // Nobody knows which of the packs of a damaged one it is.
        let mut suspects = BTreeSet::new();
        for damaged in ids.iter().filter(|other| is_damaged(other)) {
            suspects.extend(self.look_at(store, damaged, packs)?.claims.flatten().into_iter().flatten());
        }
        for other in ids.iter().filter(|other| *other != id && !is_damaged(other)) {
            run.check()?;
            let found = self.look_at(store, other, packs)?.found.filter(|found| found.complete);
            let is_good =
                |found: &Shelved| found.parts.as_ref().is_none_or(|parts| parts.names().is_disjoint(&suspects));
            if let Some(found) = found.filter(is_good) {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// What goes into the new pack, and where everything lies then.
    fn put_together(
        backup: &Stored,
        mut artifacts: Vec<Planned<'_>>,
        packing: &Packing<'_>,
        least: u64,
        run: &Run,
    ) -> Result<(Parts, Option<(PackName, Content)>)> {
        let goes = |segment: &Segment| segment.lies.is_none() || segment.length < least;
        let mut ranges = Vec::new();
        for artifact in &mut artifacts {
            let path = backup.path(&artifact.facts.name);
            let before = ranges.len();
            for segment in artifact.segments.iter().filter(|segment| goes(segment)) {
                ranges.push(FileRange { path: path.clone(), from: segment.from, length: segment.length });
            }
            if ranges.len() > before {
                artifact.read(backup, run)?;
            }
        }
        let mut content = if ranges.is_empty() { None } else { Some(Content::ranges(ranges, run)?) };
        if let (Some(plain), Some(sealer)) = (&content, packing.sealer) {
            let sealed = sealer(plain.sha256(), &mut plain.reader(0, None, run)?)?;
            content = Some(Content::read(&sealed, run)?);
        }
        let pack = content.map(|content| (PackName::new(backup.id(), content.sha256(), &packing.seal), content));
        let (mut parts, mut offset) = (Parts::default(), 0);
        for artifact in &artifacts {
            for segment in &artifact.segments {
                let length = segment.length;
                let part = match (&segment.lies, &pack) {
                    (_, Some((pack, _))) if goes(segment) => {
                        offset += length;
                        Part { pack: pack.clone(), offset: offset - length, length }
                    }
                    (Some((pack, offset)), _) => Part { pack: pack.clone(), offset: *offset, length },
                    (None, _) => return Err(Error::new(Kind::Io, "a part of a backup has no place")),
                };
                parts.push(&artifact.facts.name, part);
            }
        }
        Ok((parts, pack))
    }

    /// Puts a backup there as it was prepared.
    pub fn put_delta(&self, store: &mut dyn Store, delta: &Delta, run: &Run) -> Result<Sent> {
        let Delta { file, parts, pack, .. } = delta;
        self.begin(store, &file.manifest.box_id, run)?;
        let dir = self.dir_of(&file.manifest.id);
        let mut all = Sent::default();
        let mut put = |store: &mut dyn Store, path: &str, content: &Content| -> Result<()> {
            all = all.and(store.put(path, content, run)?);
            Ok(())
        };
        put(store, &format!("{dir}/{PARTS}"), &Content::bytes(parts.to_bytes()))?;
        if let Some((name, content)) = pack {
            put(store, &self.pack_path(name), content)?;
        }
        put(
            store,
            &format!("{dir}/{SHA256SUMS}"),
            &Content::bytes(sums(&file.manifest, Some(&file.bytes)).into_bytes()),
        )?;
        if let Some(signature) = &file.signature {
            put(store, &format!("{dir}/{SIGNATURE}"), &Content::bytes(signature.clone()))?;
        }
        let is_claimed = store.list(&dir)?.iter().any(|entry| entry.name == PARTS);
        if !is_claimed || !are_there(parts, &self.packs(store)?) {
            return Err(Error::new(
                Kind::Busy,
                format!("somebody removed what {} needs while it was sent", backup_of(file)),
            )
            .help("it is sent again, with all that it needs; does another program clean up there?"));
        }
        put(store, &format!("{dir}/{MANIFEST_GZ}"), &Content::bytes(parts::packed(&file.bytes)))?;
        Ok(all)
    }
}

/// What is sent, and how long a piece must be to be taken from a pack that is there.
fn decide_of(newest: Newest, artifacts: &[Planned<'_>], there: &[Entry]) -> (Decision, u64) {
    let mut names: Vec<PackName> = Vec::new();
    let mut number = |name: &PackName| match names.iter().position(|known| known == name) {
        Some(number) => number,
        None => {
            names.push(name.clone());
            names.len() - 1
        }
    };
    let pieces: Vec<_> = artifacts.iter().map(|artifact| artifact.pieces(&mut number)).collect();
    let size = |name: &PackName| there.iter().find(|entry| entry.name == name.as_str()).map_or(0, |entry| entry.size);
    let sizes: Vec<u64> = names.iter().map(size).collect();
    let decision = decide(newest, &pieces, &sizes);
    let least = match &decision {
        Decision::On { least, .. } => *least,
        Decision::Afresh(_) => u64::MAX,
    };
    (decision, least)
}

fn backup_of(file: &ManifestFile) -> &BackupId {
    &file.manifest.id
}

/// The same backup in the primary, with all its files.
fn same_here(primary: &Primary, there: &Shelved) -> Option<Stored> {
    let stored = primary.find(&there.manifest.id).ok()?;
    let manifest = stored.manifest().ok()?;
    (manifest == there.manifest && stored.is_whole(&manifest)).then_some(stored)
}
