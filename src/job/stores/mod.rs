//! Stores as a person names them, and what is done with them.

pub mod check;
pub mod copy;
pub mod list;
pub mod probe;
pub mod prune;
pub mod purge;
pub mod queue;
mod recall;
mod send;
pub mod worker;

use std::io::Read;

use recall::Seen;

use super::Site;
use crate::config::{StoreConfig, StoreKind};
use crate::error::{Context, Error, Kind, Result};
use crate::host::lock::Lock;
use crate::journal::Place;
use crate::model::{ArtifactName, BackupId, FileName, Run};
use crate::store::shelf::{Held, Shelf, Shelved, Unsealing};
use crate::store::{self, Store};

/// A configured store.
#[derive(Debug, Clone)]
pub struct StoreAt {
    /// What it is called.
    pub name: FileName,
    /// What the configuration says of it.
    pub config: StoreConfig,
}

/// A store that was opened, with what is this box's there.
pub(super) struct Opened {
    pub(super) store: Box<dyn Store>,
    pub(super) shelf: Shelf,
    pub(super) place: Place,
}

impl StoreAt {
    /// The store `name` of the configuration, also one that is switched off.
    pub fn of(site: &Site, name: &FileName) -> Result<Self> {
        let stores = &site.config.stores;
        let config = stores.get(name).cloned().ok_or_else(|| {
            let known: Vec<&str> = stores.keys().map(FileName::as_str).collect();
            let help = match known.is_empty() {
                true => "no store is configured; `tillstick config example` shows how".to_owned(),
                false => format!("the stores are: {}", known.join(", ")),
            };
            Error::new(Kind::Usage, format!("no store `{name}` is configured")).help(help)
        })?;
        Ok(Self { name: name.clone(), config })
    }

    /// The stores that get a copy of each backup.
    pub fn live(site: &Site) -> Vec<Self> {
        let live = site.config.live_stores();
        live.map(|(name, config)| Self { name: name.clone(), config: config.clone() }).collect()
    }

    /// Opens it for this box. Nothing is written.
    pub(super) fn open(&self, site: &Site, run: &Run) -> Result<Opened> {
        self.open_for(Shelf::new(&site.config.customer, &site.config.box_name), run)
    }

    /// Opens it for any box.
    pub(super) fn open_for(&self, shelf: Shelf, run: &Run) -> Result<Opened> {
        let store =
            store::open(&self.config, run.cancel).context(|| format!("cannot open the store `{}`", self.name))?;
        let place = Place { store: self.name.to_string(), medium: store.medium().to_owned() };
        Ok(Opened { store, shelf, place })
    }

    /// Keeps every other program from changing what this box has there until it is dropped.
    pub(super) fn lock(&self, site: &Site, doing: &str) -> Result<Lock> {
        let dir = site.config.state.join("stores");
        std::fs::create_dir_all(&dir).context(|| format!("cannot make the folder {dir:?}"))?;
        Lock::take(&dir.join(format!("{}.lock", self.name)), doing)
    }
}

impl Opened {
    pub(super) fn label(&self) -> Option<String> {
        Some(self.store.label())
    }

    /// All that this box has there, from the store itself.
    pub(super) fn held(&mut self, run: &Run) -> Result<Held> {
        self.shelf.held(self.store.as_mut(), None, run)
    }

    /// The same; what was read before and is unchanged by the store's own lists is not read again.
    pub(super) fn held_as_seen(&mut self, site: &Site, at: &StoreAt, run: &Run) -> Result<Held> {
        let seen = Seen::of(site, at, &self.place.medium);
        self.shelf.held(self.store.as_mut(), Some(&seen), run)
    }

    pub(super) fn find(&mut self, id: &BackupId) -> Result<Shelved> {
        self.shelf.find(self.store.as_mut(), id)
    }

    pub(super) fn artifact(
        &mut self,
        id: &BackupId,
        name: &ArtifactName,
        unsealing: &Unsealing<'_>,
    ) -> Result<Box<dyn Read + Send>> {
        self.shelf.open(self.store.as_mut(), id, name, unsealing)
    }
}

/// Sets a folder up as a store.
pub fn init(site: &Site, name: &FileName, same_disk: bool) -> Result<store::Initialised> {
    let at = StoreAt::of(site, name)?;
    match &at.config.kind {
        StoreKind::Directory(directory) => store::init_directory(directory, site.primary.dir(), same_disk),
        StoreKind::Ftp(_) | StoreKind::S3(_) | StoreKind::Sftp(_) => {
            Err(Error::new(Kind::Usage, format!("`{name}` is no folder and needs no setting up"))
                .help(format!("try it out: `tillstick store test {name}`")))
        }
    }
}

/// Makes this box the owner of the backups that another box of its name has in a store.
pub fn adopt(site: &Site, name: &FileName, run: &Run) -> Result<()> {
    let at = StoreAt::of(site, name)?;
    let _lock = at.lock(site, "adopt")?;
    let mut opened = at.open(site, run)?;
    opened.shelf.own(opened.store.as_mut(), &site.box_id, run)
}
