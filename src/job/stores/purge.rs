//! The end of a contract: all that a store has of a customer is removed, of every box, and a record of it stays (T9).

use std::fs;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Serialize;

use super::super::record::{one_line, recorded};
use super::StoreAt;
use crate::error::{Context, Error, Kind, Result};
use crate::host::durable;
use crate::job::Site;
use crate::journal::RunKind;
use crate::model::{BackupId, FileName, LOGS, Run, STATUS};
use crate::store::shelf::Shelf;
use crate::trust::signing::BoxKey;

/// What is there of a customer, or was.
#[derive(Debug, Clone, Serialize)]
pub struct Found {
    /// The store.
    pub store: FileName,
    /// Where it is.
    pub at: String,
    /// The box.
    #[serde(rename = "box")]
    pub box_name: FileName,
    /// The backups there, whole or not, newest first.
    pub backups: Vec<BackupId>,
}

/// The record of a purge.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The customer.
    pub customer: FileName,
    /// The box that did it.
    pub by: String,
    /// When it was done.
    pub at: Timestamp,
    /// What was removed.
    pub removed: Vec<Found>,
    /// Whether all of it is gone.
    pub done: bool,
}

/// What the stores named, else all that are configured, have of `customer`.
pub fn find(site: &Site, customer: &FileName, names: &[FileName], run: &Run) -> Result<Vec<Found>> {
    let mut all = Vec::new();
    for at in stores(site, names)? {
        let mut opened = at.open(site, run)?;
        let looking = || format!("cannot look into the store `{}`; nothing was removed", at.name);
        for shelf in Shelf::all(opened.store.as_mut(), Some(customer)).context(looking)? {
            let backups = shelf.ids(opened.store.as_mut()).context(looking)?;
            let label = opened.store.label();
            all.push(Found { store: at.name.clone(), at: label, box_name: shelf.box_name, backups });
        }
    }
    Ok(all)
}

fn stores(site: &Site, names: &[FileName]) -> Result<Vec<StoreAt>> {
    let all: Vec<StoreAt> = match names.is_empty() {
        true => site.config.stores.keys().map(|name| StoreAt::of(site, name)).collect::<Result<_>>()?,
        false => names.iter().map(|name| StoreAt::of(site, name)).collect::<Result<_>>()?,
    };
    if let Some(at) = all.iter().find(|at| at.config.append_only) {
        return Err(Error::new(Kind::Refused, format!("`{}` is append_only: this box may not delete there", at.name))
            .help(
                "purge it with a second configuration whose credentials may delete and that does not say append_only",
            ));
    }
    Ok(all)
}

/// What a purge came to.
#[derive(Debug, Serialize)]
pub struct Done {
    /// The record.
    #[serde(flatten)]
    pub report: Report,
    /// Where it lies.
    pub record: PathBuf,
}

/// Removes what was found. A record is written before the first removal, and another when all is done.
pub fn purge(site: &Site, customer: &FileName, found: Vec<Found>, run: &Run) -> Result<Done> {
    recorded(Some(site), RunKind::Purge, run, |record, run| {
        record.begin();
        let by = format!("{} ({})", site.config.box_name, site.box_id);
        let mut report = Report { customer: customer.clone(), by, at: Timestamp::now(), removed: found, done: false };
        let kept = Kept::begin(site, &report, run)?;
        let names: Vec<FileName> = report.removed.iter().map(|found| found.store.clone()).collect();
        for found in &report.removed {
            let at = StoreAt::of(site, &found.store)?;
            let _lock = at.lock(site, "purge")?;
            let shelf = Shelf::new(customer, &found.box_name);
            let mut opened = at.open_for(shelf, run)?;
            opened.shelf.remove_all(opened.store.as_mut(), run)?;
            let (store, medium) = (opened.place.store.clone(), opened.place.medium.clone());
            if *customer == site.config.customer && found.box_name == site.config.box_name {
                for stored in site.primary.list()? {
                    stored.forget_copy(&store, &medium)?;
                }
                record.saw_in(opened.place.clone(), opened.label(), Vec::new());
            }
        }
        for name in names {
            let at = StoreAt::of(site, &name)?;
            let mut opened = at.open(site, run)?;
            if Shelf::all(opened.store.as_mut(), Some(customer))?.is_empty() {
                opened.store.delete_dir(customer.as_str())?;
                for beside in [STATUS, LOGS] {
                    opened.store.delete_dir(&format!("{beside}/{customer}"))?;
                }
            }
        }
        report.done = true;
        let record = kept.finish(&report)?;
        Ok(Done { report, record })
    })
}

/// The record as it stays with the box, signed by it:
///
/// ```text
/// <state>/purges/<time>-<customer>.unfinished.json   what is about to be removed; goes when the other one is there
/// <state>/purges/<time>-<customer>.json              what was removed, all of it
/// ```
/// Each file is written once, and a signature before what it is of. So wherever a run dies, no record is there that its
/// signature does not fit, and an older one is never touched.
struct Kept {
    dir: PathBuf,
    /// The time and the customer.
    name: String,
    key: Option<BoxKey>,
}

impl Kept {
    /// Takes a name that no other purge has, and writes down what is about to go.
    fn begin(site: &Site, report: &Report, run: &Run) -> Result<Self> {
        let dir = site.config.state.join("purges");
        fs::create_dir_all(&dir).context(|| format!("cannot make the folder {dir:?}"))?;
        durable::sync_parent(&dir)?;
        let key = BoxKey::read_or_make(&site.config.state).map_err(|error| {
            run.warn(format!("the record of this purge is not signed: {}", one_line(&error.report())));
        });
        let mut kept = Self { dir, name: String::new(), key: key.ok() };
        let mut id = BackupId::next(report.at, None);
        loop {
            kept.name = format!("{id}-{}", report.customer);
            if kept.is_free()? && kept.put(&kept.unfinished(), report)? {
                return Ok(kept);
            }
            id = BackupId::next(report.at, Some(&id));
        }
    }

    /// Writes down that all is gone.
    fn finish(&self, report: &Report) -> Result<PathBuf> {
        let (path, unfinished) = (self.finished(), self.unfinished());
        if !self.put(&path, report)? {
            return Err(Error::new(Kind::Refused, format!("{path:?} is there, of another purge"))
                .help(format!("all was removed; what it was stands in {unfinished:?}")));
        }
        fs::remove_file(&unfinished).context(|| format!("cannot remove {unfinished:?}"))?;
        if self.key.is_some() {
            let signature = signature_of(&unfinished);
            fs::remove_file(&signature).context(|| format!("cannot remove {signature:?}"))?;
        }
        durable::sync_dir(&self.dir)?;
        Ok(path)
    }

    fn finished(&self) -> PathBuf {
        self.dir.join(format!("{}.json", self.name))
    }

    fn unfinished(&self) -> PathBuf {
        self.dir.join(format!("{}.unfinished.json", self.name))
    }

    /// Whether nothing of this name is there, nor a signature that a run which died has left.
    fn is_free(&self) -> Result<bool> {
        for path in [self.finished(), self.unfinished()] {
            if durable::is_there(&path)? || durable::is_there(&signature_of(&path))? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// `false` when another run was faster.
    fn put(&self, path: &Path, report: &Report) -> Result<bool> {
        let bytes = serde_json::to_vec_pretty(report).expect("plain data");
        match &self.key {
            Some(key) if !durable::write_new(&signature_of(path), &key.sign(&bytes), 0o600)? => Ok(false),
            _ => durable::write_new(path, &bytes, 0o600),
        }
    }
}

fn signature_of(record: &Path) -> PathBuf {
    record.with_extension("json.sig")
}
