//! What backups there are, and how the box stands.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Site, StickAt, prune};
use crate::error::Result;
use crate::model::{ArtifactName, BackupId, Manifest};
use crate::policy::clock::Clock;
use crate::policy::rows::Fell;
use crate::primary::CopyRecord;
use crate::stick::generations;

/// One backup, as a list shows it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Listed {
    /// Its id.
    pub id: BackupId,
    /// When it began, by the box's clock of then; the id may be stepped past it.
    pub started: Option<Timestamp>,
    /// The box that made it.
    #[serde(rename = "box")]
    pub box_name: Option<String>,
    /// Bytes of all artifacts.
    pub size: u64,
    /// Rows of all tables.
    pub rows: u64,
    /// Names of its artifacts.
    pub artifacts: Vec<ArtifactName>,
    /// Verified copies that are known.
    pub copies: Vec<CopyRecord>,
    /// Why it cannot be used, when it cannot.
    pub problem: Option<String>,
}

impl Listed {
    fn new(manifest: &Manifest, copies: Vec<CopyRecord>, problem: Option<String>) -> Self {
        Self {
            id: manifest.id.clone(),
            started: Some(manifest.started),
            box_name: Some(manifest.box_name.to_string()),
            size: manifest.size(),
            rows: manifest.rows(),
            artifacts: manifest.artifacts.iter().map(|artifact| artifact.name.clone()).collect(),
            copies,
            problem,
        }
    }
}

/// The backups in the primary, newest first.
pub fn primary(site: &Site) -> Result<Vec<Listed>> {
    let list = site.primary.list()?;
    Ok(list
        .into_iter()
        .map(|stored| match stored.manifest() {
            Ok(manifest) => Listed::new(&manifest, stored.copies(), None),
            Err(error) => Listed {
                id: stored.id().clone(),
                started: None,
                box_name: None,
                size: 0,
                rows: 0,
                artifacts: Vec::new(),
                copies: Vec::new(),
                problem: Some(error.report()),
            },
        })
        .collect())
}

/// The backups on a stick, newest first, of every box.
pub fn on_stick(at: &StickAt) -> Result<Vec<Listed>> {
    let mut fs = at.open_for_reading()?;
    let stored = generations::stored(fs.as_mut())?;
    Ok(stored
        .into_iter()
        .map(|stored| {
            let problem = (!stored.complete).then(|| "some of its files are missing".to_owned());
            Listed::new(&stored.manifest, Vec::new(), problem)
        })
        .collect())
}

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
    /// Bytes free where backups are made.
    pub free: u64,
    /// What is thought of the clock.
    pub clock: Clock,
    /// A source that lost half of its rows; nothing is pruned meanwhile.
    pub fell: Option<Fell>,
    /// Whether all is well: a good backup no older than 25 hours, a verified copy elsewhere (I8) of one no older than
    /// seven days, no damaged one, and no source that lost half of its rows.
    pub green: bool,
    /// Until when that is so, unless a backup is made or a copy.
    pub green_until: Option<Timestamp>,
}

/// A backup older than this is overdue: two runs a day are usual, and one may be missed.
const OVERDUE: SignedDuration = SignedDuration::from_hours(25);

/// A clock that is set right may go back by this much.
const CLOCKS_DIFFER: SignedDuration = SignedDuration::from_hours(1);

/// A shop that lost this much could enter it again by hand; more it could not.
const COPY_OVERDUE: SignedDuration = SignedDuration::from_hours(7 * 24);

/// Looks at the primary as of `now`.
pub fn status(site: &Site, now: Timestamp) -> Result<Status> {
    let (good, damaged): (Vec<_>, Vec<_>) = primary(site)?.into_iter().partition(|listed| listed.problem.is_none());
    let backups = good.len();
    let since = |listed: &Listed| listed.started.map(|started| now.duration_since(started));
    let copied = good.iter().find(|listed| !listed.copies.is_empty());
    let newest_copied = copied.map(|listed| listed.id.clone());
    let copied_at = copied.and_then(|listed| listed.started);
    let copied = copied.and_then(since).is_some_and(|age| age >= -CLOCKS_DIFFER && age <= COPY_OVERDUE);
    let newest = good.into_iter().next();
    let age = newest.as_ref().and_then(since);
    // A backup of the future proves nothing about today: some clock was wrong.
    let fresh = age.is_some_and(|age| age >= -CLOCKS_DIFFER && age <= OVERDUE);
    let (clock, fell) = prune::doubts(site, now)?;
    let green = fresh && copied && damaged.is_empty() && fell.is_none();
    let made_at = newest.as_ref().and_then(|listed| listed.started);
    let ends = [made_at.map(|at| at + OVERDUE), copied_at.map(|at| at + COPY_OVERDUE)];
    let green_until = ends.into_iter().flatten().min().filter(|_| green);
    Ok(Status {
        newest,
        age_seconds: age.map(|age| age.as_secs()),
        backups,
        damaged,
        newest_copied,
        free: site.primary.free()?,
        clock,
        fell,
        green,
        green_until,
    })
}
