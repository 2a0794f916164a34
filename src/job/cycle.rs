//! One backup of the agent: every source is dumped, then every stick that is waiting gets its copy, all at a time.
//! A stick that is plugged in while the dump runs joins it.

use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::backup::{self, Report};
use super::copy;
use super::plugged::{self, Copied, Target};
use super::record::{Record, recorded};
use super::{Site, stores};
use crate::error::{Error, Kind, Result};
use crate::host::lock::Lock;
use crate::journal::{self, Place, RunKind};
use crate::model::{BackupId, Cancel, Event, Monitor, Run};
use crate::primary::Stored;

/// How often a cycle asks whether another program's backup or restore is over.
const LOCK_EVERY: Duration = Duration::from_millis(250);
/// How long it asks before it gives up.
const LOCK_WAIT: Duration = Duration::from_secs(600);

/// Those who take part in a cycle; called from its threads.
pub trait Guests: Sync {
    /// The newest backup of this box on any stick that is waiting.
    fn newest(&self) -> Option<BackupId>;

    /// The sticks that are waiting now and can take the backup `id`, by name.
    fn take(&self, id: &BackupId) -> Vec<(String, Target)>;

    /// Progress of the copy to the stick with this name, or of the dump.
    fn progress(&self, name: Option<&str>, event: Event);

    /// The copy to the stick with this name is over; the copied backup is that of just now unless `stale`.
    fn copied(&self, name: &str, copied: Copied, stale: bool);
}

/// What a cycle came to.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Outcome {
    /// The backup, unless it could not be made.
    pub report: Option<Report>,
    /// Why it could not; the sticks got the newest backup that there was.
    pub failure: Option<String>,
}

/// Runs one cycle.
///
/// # Errors
/// That it was stopped; that no backup could be made and there is no earlier one.
pub fn run(site: &Site, guests: &dyn Guests, cancel: &Cancel) -> Result<Outcome> {
    let teller = Teller { guests, name: None };
    let run = Run { monitor: &teller, cancel };
    recorded(Some(site), RunKind::Backup, &run, |record, run| {
        let lock = wait_for_lock(site, run)?;
        record.begin();
        turn(site, &lock, guests, record, run)
    })
}

fn turn(site: &Site, lock: &Lock, guests: &dyn Guests, record: &mut Record, run: &Run) -> Result<Outcome> {
    backup::begin(site, lock)?;
    let (stored, mut report, failure) = match backup::make(site, lock, guests.newest().as_ref(), record, run) {
        Ok((stored, report)) => (stored, Some(report), None),
        Err(error) if error.kind() == Kind::Cancelled => return Err(error),
        Err(error) => match newest_good(site, record)? {
            Some(stored) => (stored, None, Some(error.report())),
            None => return Err(error),
        },
    };
    match &failure {
        None => record.is_about(stored.id()),
        Some(why) => record.falls_short(journal::Outcome::Failed, why),
    }
    let copies = copy_to_all(site, &stored, guests, failure.is_some(), record, run.cancel)?;
    if let Some(report) = &mut report {
        report.copies = copies;
        backup::end(site, lock, report, record, run);
        // The agent sends them when the lock is free again.
        stores::copy::owe(site, &report.id, run);
    }
    Ok(Outcome { report, failure })
}

/// The newest backup of this box that is whole, and that no check found damaged.
fn newest_good(site: &Site, record: &Record) -> Result<Option<Stored>> {
    Ok(site.primary.list()?.into_iter().find(|stored| {
        let own = stored.manifest().ok().filter(|manifest| manifest.box_id == site.box_id);
        own.is_some_and(|manifest| stored.is_whole(&manifest)) && !record.is_damaged(stored.id(), &Place::primary())
    }))
}

fn wait_for_lock(site: &Site, run: &Run) -> Result<Lock> {
    let mut waited = Duration::ZERO;
    loop {
        match site.primary.lock("backup") {
            Err(error) if error.kind() == Kind::Busy && waited < LOCK_WAIT => {
                run.check()?;
                thread::sleep(LOCK_EVERY);
                waited += LOCK_EVERY;
            }
            other => return other,
        }
    }
}

/// Copies to all that wait, each in a thread of its own; one that fails stops no other.
fn copy_to_all(
    site: &Site,
    stored: &Stored,
    guests: &dyn Guests,
    stale: bool,
    record: &mut Record,
    cancel: &Cancel,
) -> Result<Vec<copy::CopyDone>> {
    let (copies, sides) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()));
    let whole: &Record = record;
    let stopped = Mutex::new(None);
    thread::scope(|scope| {
        for (name, target) in guests.take(stored.id()) {
            let (copies, sides, stopped) = (&copies, &sides, &stopped);
            let node = target.node.clone();
            let work = move || {
                let teller = Teller { guests, name: Some(&name) };
                let run = Run { monitor: &teller, cancel };
                let mut beside = whole.beside(&run);
                let done = plugged::copy_to(site, stored, &target, &mut beside, &run);
                keep(sides).push(beside.into_side());
                match done {
                    Ok(copied) => {
                        keep(copies).push(copied.copy.clone());
                        guests.copied(&name, copied, stale);
                    }
                    Err(error) => *keep(stopped) = Some(error),
                }
            };
            if let Err(cause) = thread::Builder::new().spawn_scoped(scope, work) {
                let error = Error::new(Kind::Io, format!("cannot start a thread for {node:?}")).because(cause);
                *keep(stopped) = Some(error);
            }
        }
    });
    for side in std::mem::take(&mut *keep(&sides)) {
        record.take_up(side);
    }
    match keep(&stopped).take() {
        Some(error) => Err(error),
        None => Ok(std::mem::take(&mut *keep(&copies))),
    }
}

fn keep<T>(shared: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Hands progress on with the name of what it is about.
struct Teller<'a> {
    guests: &'a dyn Guests,
    name: Option<&'a str>,
}

impl Monitor for Teller<'_> {
    fn event(&self, event: Event) {
        self.guests.progress(self.name, event);
    }
}
