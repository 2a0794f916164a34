//! Where a recovery reads from: a stick or a store.

use std::io::Read;

use super::record::Record;
use super::stick::Identity;
use super::stores::{Opened, StoreAt};
use super::{Site, StickAt};
use crate::error::{Error, Kind, Result};
use crate::journal::How;
use crate::model::{ArtifactName, BackupId, FileName, Manifest, Run};
use crate::stick::fs::StickFs;
use crate::stick::generations::{self, held, open_artifact};
use crate::store::shelf::{Shelf, Unsealing};

/// What a recovery may be made from.
#[derive(Debug, Clone)]
pub enum From {
    /// A stick.
    Stick(StickAt),
    /// A store; of which customer, where it has several.
    Store(StoreAt, Option<FileName>),
}

/// A backup that was found.
pub(super) struct Found {
    pub(super) manifest: Manifest,
    pub(super) bytes: Vec<u8>,
    pub(super) sealed: bool,
    pub(super) signature: Option<Vec<u8>>,
    pub(super) complete: bool,
    /// Whether nobody reads it without a key.
    pub(super) is_encrypted: bool,
    at: At,
}

enum At {
    Stick(Box<generations::Stored>),
    Store(Shelf),
}

/// A medium that is open for reading.
pub(super) enum Medium {
    Stick(Box<dyn StickFs>, Identity),
    Store(Opened),
}

/// What is on a medium, newest first.
pub(super) struct Looked {
    pub(super) medium: Medium,
    pub(super) found: Vec<Found>,
    pub(super) unreadable: Vec<BackupId>,
}

impl From {
    /// What it is, for messages.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Stick(at) => format!("{:?}", at.path),
            Self::Store(at, _) => format!("the store `{}`", at.name),
        }
    }

    /// What shows a person what is there.
    pub(super) fn list_hint(&self) -> String {
        match self {
            Self::Stick(_) => "`tillstick list --stick` shows what is there".to_owned(),
            Self::Store(at, _) => {
                format!("`tillstick store test {}` tells whether the store is the right one", at.name)
            }
        }
    }

    /// Opens it and looks at all that is there (of the box `box_name`, of a store).
    pub(super) fn look(&self, box_name: Option<&str>, run: &Run) -> Result<Looked> {
        match self {
            Self::Stick(at) => {
                let (mut fs, stick) = at.open_for_reading()?;
                let held = held(fs.as_mut())?;
                let found = held.backups.into_iter().map(|stored| Found {
                    manifest: stored.manifest.clone(),
                    bytes: stored.bytes.clone(),
                    sealed: stored.sealed,
                    signature: stored.signature.clone(),
                    complete: stored.complete,
                    is_encrypted: is_encrypted(&stored.manifest),
                    at: At::Stick(Box::new(stored)),
                });
                let unreadable = held.unreadable.into_iter().map(|(id, _)| id).collect();
                Ok(Looked { found: found.collect(), unreadable, medium: Medium::Stick(fs, stick) })
            }
            Self::Store(at, customer) => look_at_store(at, customer.as_ref(), box_name, run),
        }
    }
}

fn look_at_store(at: &StoreAt, customer: Option<&FileName>, box_name: Option<&str>, run: &Run) -> Result<Looked> {
    let nobody: FileName = "nobody".parse()?;
    let mut opened = at.open_for(Shelf::new(customer.unwrap_or(&nobody), &nobody), run)?;
    let shelves = Shelf::all(opened.store.as_mut(), customer)?;
    let mut customers: Vec<&FileName> = shelves.iter().map(|shelf| &shelf.customer).collect();
    customers.dedup();
    if customers.len() > 1 {
        let names: Vec<&str> = customers.iter().map(|name| name.as_str()).collect();
        return Err(Error::new(Kind::Usage, format!("`{}` holds backups of several customers", at.name))
            .help(format!("choose one with --customer: {}", names.join(", "))));
    }
    let (mut found, mut unreadable) = (Vec::new(), Vec::new());
    for shelf in shelves.into_iter().filter(|shelf| box_name.is_none_or(|name| shelf.box_name.as_str() == name)) {
        let held = shelf.held(opened.store.as_mut(), None, run)?;
        unreadable.extend(held.unreadable.into_iter().map(|(id, _)| id));
        found.extend(held.backups.into_iter().map(|there| Found {
            is_encrypted: there.has_sealed_packs() || is_encrypted(&there.manifest),
            manifest: there.manifest,
            bytes: there.bytes,
            sealed: there.sealed,
            signature: there.signature,
            complete: there.complete,
            at: At::Store(shelf.clone()),
        }));
    }
    found.sort_by(|a, b| b.manifest.id.cmp(&a.manifest.id));
    Ok(Looked { medium: Medium::Store(opened), found, unreadable })
}

fn is_encrypted(manifest: &Manifest) -> bool {
    manifest.artifacts.iter().any(|facts| facts.plain.is_some())
}

impl Medium {
    /// The content of an artifact.
    pub(super) fn artifact(
        &mut self,
        found: &Found,
        name: &ArtifactName,
        unsealing: &Unsealing<'_>,
    ) -> Result<Box<dyn Read + Send>> {
        match (self, &found.at) {
            (Self::Stick(fs, _), At::Stick(stored)) => open_artifact(fs.as_mut(), stored, name),
            (Self::Store(opened), At::Store(shelf)) => {
                shelf.open(opened.store.as_mut(), &found.manifest.id, name, unsealing)
            }
            _ => Err(Error::new(Kind::Missing, format!("{} is not on this medium", found.manifest.id))),
        }
    }

    /// Notes what is there of the box that was recovered, and that this backup was restored.
    pub(super) fn note(&mut self, site: &Site, found: &Found, record: &mut Record, run: &Run) -> Result<()> {
        let id = &found.manifest.id;
        let own = found.manifest.box_id == site.box_id;
        match self {
            Self::Stick(fs, stick) => {
                record.saw(stick, &held(fs.as_mut())?.backups);
                if own {
                    record.proved_on(stick, id, How::Restored, None);
                }
            }
            Self::Store(opened) => {
                let At::Store(shelf) = &found.at else { return Ok(()) };
                let there = shelf.held(opened.store.as_mut(), None, run)?.backups.into_iter();
                let ours = there.filter(|there| there.complete && there.manifest.box_id == site.box_id);
                let seen = ours.map(|there| (there.manifest.id.clone(), Some(there.manifest.finished))).collect();
                record.saw_in(opened.place.clone(), opened.label(), seen);
                if own {
                    record.proved_in(opened.place.clone(), opened.label(), id, How::Restored, None);
                }
            }
        }
        Ok(())
    }
}
