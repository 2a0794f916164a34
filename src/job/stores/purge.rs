//! The end of a contract: all that a store has of a customer is removed, of every box, and a record of it stays (T9).

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
pub fn find(site: &Site, customer: &FileName, names: &[FileName]) -> Result<Vec<Found>> {
    let mut all = Vec::new();
    for at in stores(site, names)? {
        let mut opened = at.open(site)?;
        for shelf in Shelf::all(opened.store.as_mut(), Some(customer))? {
            let backups = shelf.ids(opened.store.as_mut())?;
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

/// Removes what was found. The record is written before the first removal, and again when all is done.
pub fn purge(site: &Site, customer: &FileName, found: Vec<Found>, run: &Run) -> Result<Report> {
    recorded(Some(site), RunKind::Purge, run, |record, run| {
        record.begin();
        let by = format!("{} ({})", site.config.box_name, site.box_id);
        let mut report = Report { customer: customer.clone(), by, at: Timestamp::now(), removed: found, done: false };
        keep(site, &report, run)?;
        let names: Vec<FileName> = report.removed.iter().map(|found| found.store.clone()).collect();
        for found in &report.removed {
            let at = StoreAt::of(site, &found.store)?;
            let _lock = at.lock(site, "purge")?;
            let shelf = Shelf::new(customer, &found.box_name);
            let mut opened = at.open_for(shelf)?;
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
            let mut opened = at.open(site)?;
            if Shelf::all(opened.store.as_mut(), Some(customer))?.is_empty() {
                opened.store.delete_dir(customer.as_str())?;
                for beside in [STATUS, LOGS] {
                    opened.store.delete_dir(&format!("{beside}/{customer}"))?;
                }
            }
        }
        report.done = true;
        keep(site, &report, run)?;
        Ok(report)
    })
}

/// The record stays with the box, signed by it.
fn keep(site: &Site, report: &Report, run: &Run) -> Result<()> {
    let dir = site.config.state.join("purges");
    std::fs::create_dir_all(&dir).context(|| format!("cannot make the folder {dir:?}"))?;
    let name = format!("{}-{}.json", BackupId::next(report.at, None), report.customer);
    let bytes = serde_json::to_vec_pretty(report).expect("plain data");
    match BoxKey::read_or_make(&site.config.state) {
        Ok(key) => durable::write(&dir.join(format!("{name}.sig")), &key.sign(&bytes), 0o600)?,
        Err(error) => run.warn(format!("the record of this purge is not signed: {}", one_line(&error.report()))),
    }
    durable::write(&dir.join(&name), &bytes, 0o600)
}
