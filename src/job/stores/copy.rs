//! The copy: a finished backup goes to stores, each alone: one that is dead, slow or full fails no other.

use std::sync::{Mutex, PoisonError};
use std::thread;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::super::copy::CopyDone;
use super::super::heartbeat;
use super::super::record::{Record, one_line, recorded};
use super::{Opened, StoreAt, prune, queue, send};
use crate::config::Layout;
use crate::error::{Context, Error, Kind, Result};
use crate::host::lock::Lock;
use crate::job::Site;
use crate::journal::{Outcome, RunKind};
use crate::model::{BackupId, FileName, Run};
use crate::primary::{CopyRecord, Stored};

/// What `copy` came to.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Report {
    /// The backup that was copied.
    pub id: BackupId,
    /// How each copy went.
    pub copies: Vec<CopyDone>,
}

impl Report {
    /// Whether every copy was made.
    pub fn all_copied(&self) -> bool {
        self.copies.iter().all(|copy| copy.error.is_none())
    }
}

/// Copies the backup `id`, else the newest good one, to the stores named, else to all that get copies.
pub fn copy(site: &Site, id: Option<&BackupId>, to: &[FileName], run: &Run) -> Result<Report> {
    let stores = match to.is_empty() {
        true => StoreAt::live(site),
        false => to.iter().map(|name| StoreAt::of(site, name)).collect::<Result<_>>()?,
    };
    if stores.is_empty() {
        return Err(Error::new(Kind::Usage, "no store is configured that gets copies")
            .help("name one in the configuration: `tillstick config example` shows how"));
    }
    if let (crate::config::Mode::Local, Some(off)) =
        (site.config.mode, stores.iter().find(|at| at.config.kind.is_off_site()))
    {
        return Err(Error::new(Kind::Refused, format!("the mode is \"X\", and `{}` is off-site", off.name))
            .help("set mode = \"D\" in the configuration to let copies leave the house"));
    }
    recorded(Some(site), RunKind::Copy, run, |record, run| {
        record.begin();
        let stored = match id {
            Some(id) => site.primary.find(id)?,
            None => newest(site)?,
        };
        record.is_about(stored.id());
        let copies = to_all(site, &stored, &stores, record, run)?;
        Ok(Report { id: stored.id().clone(), copies })
    })
}

/// The newest backup whose files are all there.
pub(super) fn newest(site: &Site) -> Result<Stored> {
    let good = |stored: &Stored| stored.manifest().is_ok_and(|manifest| stored.is_whole(&manifest));
    let newest = site.primary.list()?.into_iter().find(good);
    newest.ok_or_else(|| Error::new(Kind::Missing, "there is no backup to copy").help("make one: `tillstick backup`"))
}

/// Copies a backup to all these stores, each in a thread of its own.
///
/// # Errors
/// Only that somebody stopped it.
pub(in crate::job) fn to_all(
    site: &Site,
    stored: &Stored,
    stores: &[StoreAt],
    record: &mut Record,
    run: &Run,
) -> Result<Vec<CopyDone>> {
    let done = Mutex::new(Vec::new());
    let whole: &Record = record;
    thread::scope(|scope| {
        for at in stores {
            let done = &done;
            let work = move || {
                let mut beside = whole.beside(run);
                let copied = to_store(site, stored, at, &mut beside, run);
                let side = beside.into_side();
                done.lock().unwrap_or_else(PoisonError::into_inner).push((at, copied, side));
            };
            if let Err(cause) = thread::Builder::new().spawn_scoped(scope, work) {
                run.warn(format!("cannot start a thread for the store `{}`: {cause}", at.name));
            }
        }
    });
    let mut all = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    all.sort_by(|a, b| a.0.name.cmp(&b.0.name));
    let (mut copies, mut stopped) = (Vec::new(), None);
    for (_, copied, side) in all {
        record.take_up(side);
        match copied {
            Ok(copy) => copies.push(copy),
            Err(error) => stopped = Some(error),
        }
    }
    match stopped {
        Some(error) => Err(error),
        None => Ok(copies),
    }
}

/// Copies a backup to one store and cleans up there. A failure is part of the result, and is tried again by the agent.
fn to_store(site: &Site, stored: &Stored, at: &StoreAt, record: &mut Record, run: &Run) -> Result<CopyDone> {
    let sent = at.lock(site, "copy").and_then(|lock| {
        let opened = at.open(site, run)?;
        send(site, stored, at, &lock, opened, record, run)
    });
    note(site, at, stored.id(), sent.as_ref().err(), run);
    match sent {
        Err(error) if error.kind() == Kind::Cancelled => {
            let id = stored.id();
            Err(error).context(|| format!("the backup {id} is made, and its copy to `{}` is not finished", at.name))
        }
        Err(error) => {
            record.falls_short(Outcome::Partly, &format!("`{}`: {}", at.name, error.report()));
            Ok(CopyDone { store: at.name.to_string(), error: Some(error.report()), ..CopyDone::default() })
        }
        sent => sent,
    }
}

/// Keeps the queue.
fn note(site: &Site, at: &StoreAt, id: &BackupId, error: Option<&Error>, run: &Run) {
    let noted = match error {
        None => queue::settle(site, &at.name, id),
        Some(error) if error.kind() == Kind::Cancelled => Ok(()),
        Some(error) => queue::failed(site, &at.name, id, Timestamp::now(), error),
    };
    if let Err(error) = noted {
        run.warn(format!("what waits for `{}` could not be noted: {}", at.name, one_line(&error.report())));
    }
}

/// The backup `id` is owed to all stores that get copies.
pub(in crate::job) fn owe(site: &Site, id: &BackupId, run: &Run) {
    for (name, _) in site.config.live_stores() {
        if let Err(error) = queue::add(site, name, id, Timestamp::now()) {
            run.warn(format!("what waits for `{name}` could not be noted: {}", one_line(&error.report())));
        }
    }
}

/// Tries to make one copy that is owed; `false` when the backup is no longer here. A store that cannot even be opened
/// leaves no run in the history, for that may be so for days.
pub(super) fn owed(site: &Site, at: &StoreAt, id: &BackupId, run: &Run) -> Result<bool> {
    let Ok(stored) = site.primary.find(id) else {
        queue::settle(site, &at.name, id)?;
        return Ok(false);
    };
    let sent = recorded(Some(site), RunKind::Copy, run, |record, run| {
        let lock = at.lock(site, "copy")?;
        let opened = at.open(site, run)?;
        record.begin();
        record.is_about(id);
        send(site, &stored, at, &lock, opened, record, run)
    });
    note(site, at, id, sent.as_ref().err(), run);
    sent.map(|_| true)
}

fn send(
    site: &Site,
    stored: &Stored,
    at: &StoreAt,
    lock: &Lock,
    mut opened: Opened,
    record: &mut Record,
    run: &Run,
) -> Result<CopyDone> {
    let sent = send::send(site, stored, at, &mut opened, record, run)?;
    let (store, medium, label) = (opened.place.store.clone(), opened.place.medium.clone(), opened.store.label());
    stored.add_copy(CopyRecord { store: store.clone(), medium, label: opened.label(), verified: Timestamp::now() })?;
    let names = stored.manifest()?.artifacts.into_iter().map(|artifact| artifact.name);
    let sealed = !at.config.encrypt_to.is_empty() && at.config.layout == Layout::Plain;
    let files = names.map(|name| if sealed { name.sealed() } else { name }.to_string()).collect();
    let mut done = CopyDone { store, medium: label, files, bytes: sent.bytes, ..CopyDone::default() };
    // From here on it is not owed, whatever becomes of the clean-up.
    note(site, at, stored.id(), None, run);
    heartbeat::put(site, &mut opened, run);
    match prune::after_copy(site, at, lock, opened, record, run) {
        Ok(freed) => done.freed = freed,
        Err(error) if error.kind() == Kind::Cancelled => {}
        Err(error) => run.warn(format!("the clean-up of `{}` failed: {}", at.name, one_line(&error.report()))),
    }
    Ok(done)
}
