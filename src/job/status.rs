//! How the box stands: from the files, with what the history knows beside them.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::Site;
use super::history::History;
use super::list::{self, Listed};
use super::prune;
use super::stores::queue::{self, Owed};
use crate::config::StoreConfig;
use crate::error::Result;
use crate::host::confine::Confinement;
use crate::journal::{Outcome, PastRun, Place, Proof};
use crate::model::{BackupId, FileName, Run};
use crate::policy::clock::Clock;
use crate::policy::health::{self, Standing, StoreStanding, Trouble};
use crate::policy::retry::{self, Try};
use crate::policy::rows::Fell;

/// How the box stands.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Status {
    /// The newest good backup.
    pub newest: Option<Listed>,
    /// Its age in seconds, by the clock.
    pub age_seconds: Option<i64>,
    /// How many good backups there are here.
    pub backups: usize,
    /// Backups here that cannot be used.
    pub damaged: Vec<Listed>,
    /// The newest backup of which a verified copy is elsewhere.
    pub newest_copied: Option<BackupId>,
    /// Every place that has backups of this box, the one with the newest first.
    pub places: Vec<Held>,
    /// Every store that gets copies.
    pub stores: Vec<StoreStatus>,
    /// The last drill that a backup passed, in whichever place.
    pub last_drill: Option<Drill>,
    /// The last run that failed or died.
    pub last_failure: Option<Failure>,
    /// Runs that are at work now.
    pub under_way: Vec<PastRun>,
    /// Bytes free where backups are made.
    pub free: u64,
    /// What is thought of the clock.
    pub clock: Clock,
    /// A source that lost half of its rows; nothing is pruned meanwhile.
    pub fell: Option<Fell>,
    /// What is not well, the most urgent first.
    pub troubles: Vec<Trouble>,
    /// Whether all is well.
    pub green: bool,
    /// Until when that is so, unless a backup is made or a copy.
    pub green_until: Option<Timestamp>,
    /// What this kernel confines the process with that reads a strange stick.
    pub confinement: Confinement,
}

/// What a place has of this box.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Held {
    /// The place.
    #[serde(flatten)]
    pub place: Place,
    /// What people call the medium; any text.
    pub label: Option<String>,
    /// How many backups are there, as far as is known.
    pub backups: usize,
    /// The newest of them.
    pub newest: BackupId,
    /// When the newest was last shown to be good there; `None` when that never was, or when it was not good since.
    pub proof: Option<Proof>,
    /// Those that were not good when they were last looked at.
    pub damaged: Vec<BackupId>,
}

/// How a store stands, as far as is known here.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StoreStatus {
    /// Its name.
    pub name: FileName,
    /// The newest backup of which a verified copy is there.
    pub newest: Option<BackupId>,
    /// How many of the backups that are here are there too.
    pub backups: usize,
    /// Backups that are here, and newer than what is there.
    pub behind: usize,
    /// Since when it has no newer one: when the newest there was made, or, when it has none, the oldest here.
    pub since: Option<Timestamp>,
    /// Whether that is too long ago.
    pub overdue: bool,
    /// How many copies wait to be sent.
    pub waiting: usize,
    /// When the next try is made, unless that is now.
    pub next_try: Option<Timestamp>,
    /// Why the last try failed.
    pub problem: Option<String>,
}

/// A drill that was passed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Drill {
    /// The backup.
    pub backup: BackupId,
    /// Where it was read from.
    #[serde(flatten)]
    pub place: Place,
    /// When.
    pub at: Timestamp,
}

/// A run that failed or died.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Failure {
    /// It.
    pub run: PastRun,
    /// Whether a later one of its kind was all done.
    pub made_good: bool,
}

/// Looks at the primary and the history as of `now`.
pub fn status(site: &Site, now: Timestamp, run: &Run) -> Result<Status> {
    let history = History::of(site, run);
    let listed = list::primary(site, &history)?;
    let places = places(&listed, &history);
    let (good, damaged): (Vec<_>, Vec<_>) = listed.into_iter().partition(|listed| listed.problem.is_none());
    let backups = good.len();
    let age = |listed: &Listed| listed.started.map(|started| now.duration_since(started));
    let copied = good.iter().find(|listed| !listed.copies.is_empty());
    let newest_copied = copied.map(|listed| listed.id.clone());
    let copied_at = copied.and_then(|listed| listed.started);
    let copied = copied.and_then(age);
    let mut stores = stores(site, &good, now);
    let newest = good.into_iter().next();
    let made_at = newest.as_ref().and_then(|listed| listed.started);
    let age = newest.as_ref().and_then(age);
    let (clock, fell) = prune::doubts(site, now)?;
    let standings: Vec<StoreStanding> = stores
        .iter()
        .map(|store| StoreStanding {
            name: &store.name,
            age: store.since.map(|since| now.duration_since(since)),
            overdue: overdue(site, &store.name),
        })
        .collect();
    let standing = Standing { newest: age, copied, damaged: damaged.len(), fell: fell.as_ref(), stores: &standings };
    let troubles = health::judge(&standing);
    let store_ends: Vec<_> =
        stores.iter().filter_map(|store| Some((store.since?, overdue(site, &store.name)))).collect();
    for store in &mut stores {
        let red =
            |trouble: &Trouble| matches!(trouble, Trouble::StoreOverdue { store: name, .. } if *name == store.name);
        store.overdue = troubles.iter().any(red);
    }
    Ok(Status {
        newest,
        age_seconds: age.map(|age| age.as_secs()),
        backups,
        damaged,
        newest_copied,
        places,
        stores,
        last_drill: last_drill(&history),
        last_failure: last_failure(&history.runs),
        under_way: history.runs.iter().filter(|run| run.outcome.is_none()).cloned().collect(),
        free: site.primary.free()?,
        clock,
        fell,
        green: troubles.is_empty(),
        green_until: health::well_until(made_at, copied_at, &store_ends).filter(|_| troubles.is_empty()),
        troubles,
        confinement: Confinement::available(),
    })
}

/// By the copies that are noted beside each good backup, newest first.
fn stores(site: &Site, good: &[Listed], now: Timestamp) -> Vec<StoreStatus> {
    let made = |listed: &Listed| listed.started;
    let stores = site.config.live_stores().map(|(name, config)| {
        let waiting = queue::waiting(site, name);
        let has = |listed: &&Listed| listed.copies.iter().any(|copy| copy.place.store == name.as_str());
        let at = good.iter().position(|listed| has(&listed));
        let since = at.map_or_else(|| good.last().and_then(made), |at| made(&good[at]));
        StoreStatus {
            name: name.clone(),
            newest: at.map(|at| good[at].id.clone()),
            backups: good.iter().filter(has).count(),
            behind: at.unwrap_or(good.len()),
            since,
            overdue: false,
            waiting: waiting.len(),
            next_try: waiting.iter().map(|owed| next_try(site, config, owed, now)).min().flatten(),
            problem: waiting.first().and_then(|owed| owed.last.as_ref()).map(|last| last.error.clone()),
        }
    });
    stores.collect()
}

/// When a copy that waits is tried; `None` for now.
fn next_try(site: &Site, config: &StoreConfig, owed: &Owed, now: Timestamp) -> Option<Timestamp> {
    let zone = site.config.zone().ok()?;
    match retry::next(now, owed.tries().as_ref(), config.hours.as_ref(), &zone) {
        Try::Now => None,
        Try::Later(at, _) => Some(at),
    }
}

fn overdue(site: &Site, store: &FileName) -> SignedDuration {
    let config = site.config.stores.get(store);
    config.and_then(|config| config.overdue.try_into().ok()).unwrap_or(SignedDuration::from_hours(72))
}

/// Copies of backups that are no longer here are known to the history alone.
fn places(listed: &[Listed], history: &History) -> Vec<Held> {
    let mut places = BTreeMap::new();
    for backup in listed {
        add(&mut places, Place::primary(), None, &backup.id, backup.proof, backup.problem.is_some());
        for copy in &backup.copies {
            add(&mut places, copy.place.clone(), copy.label.as_deref(), &backup.id, Some(copy.proof), false);
        }
    }
    for copy in history.copies().filter(|copy| copy.place != Place::primary()) {
        let known = listed.iter().find(|listed| listed.id == copy.backup);
        if known.is_none_or(|listed| listed.copies.iter().all(|known| known.place != copy.place)) {
            let good = copy.good.filter(|_| copy.bad.is_none());
            add(&mut places, copy.place.clone(), copy.label.as_deref(), &copy.backup, good, copy.bad.is_some());
        }
    }
    let mut places: Vec<Held> = places.into_values().collect();
    places.sort_by(|a, b| b.newest.cmp(&a.newest));
    places
}

fn add(
    places: &mut BTreeMap<Place, Held>,
    place: Place,
    label: Option<&str>,
    backup: &BackupId,
    proof: Option<Proof>,
    is_damaged: bool,
) {
    let held = places.entry(place.clone()).or_insert_with(|| Held {
        place,
        label: None,
        backups: 0,
        newest: backup.clone(),
        proof,
        damaged: Vec::new(),
    });
    held.backups += 1;
    if held.newest <= *backup {
        (held.newest, held.proof) = (backup.clone(), proof);
        held.label = label.map(str::to_owned).or(held.label.take());
    }
    if is_damaged {
        held.damaged.push(backup.clone());
    }
}

fn last_drill(history: &History) -> Option<Drill> {
    let drills = history
        .copies()
        .filter_map(|copy| Some(Drill { backup: copy.backup.clone(), place: copy.place.clone(), at: copy.drilled? }));
    drills.max_by(|a, b| (a.at, &a.backup, &a.place).cmp(&(b.at, &b.backup, &b.place)))
}

fn last_failure(runs: &[PastRun]) -> Option<Failure> {
    let failed = |run: &PastRun| matches!(run.outcome, Some(Outcome::Failed | Outcome::Partly | Outcome::Died));
    let at = runs.iter().position(failed)?;
    let made_good = runs[..at].iter().any(|run| run.kind == runs[at].kind && run.outcome == Some(Outcome::Done));
    Some(Failure { run: runs[at].clone(), made_good })
}
