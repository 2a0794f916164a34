//! The clean-up: which backups stay, which go, and why; then those that go are removed.

use jiff::Timestamp;
use serde::Serialize;

use super::record::{Record, recorded};
use super::{Site, StickAt, copy, set_aside};
use crate::config::Spool;
use crate::error::Result;
use crate::host::lock::Lock;
use crate::journal::{Place, RunKind};
use crate::model::{BackupId, Manifest, Run};
use crate::policy::clock::{self, Clock, Made};
use crate::policy::dating::{Date, dates};
use crate::policy::retention::{Candidate, Decision, Fate, Origin, Rules, Situation, decide, suspension};
use crate::policy::rows::{self, Counted, Fell};
use crate::stick::{generations, remove};

/// What a clean-up came to.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Where: `primary`, or the path of the stick.
    pub place: String,
    /// Whether it was only tried out: then nothing went.
    pub dry_run: bool,
    /// Why nothing may go now, if so.
    pub suspended: Option<String>,
    /// One entry for each backup, newest first.
    pub backups: Vec<Judged>,
    /// Databases that restores set aside on their servers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub databases: Vec<set_aside::Judged>,
}

impl Report {
    pub(super) fn to_go(&self) -> impl Iterator<Item = &BackupId> {
        self.backups.iter().filter(|backup| !backup.keep && !self.dry_run).map(|backup| &backup.id)
    }
}

/// What became of one backup.
#[derive(Debug, Serialize)]
pub struct Judged {
    /// Its id.
    pub id: BackupId,
    /// When it was made, as far as that was asked.
    pub made: Option<Timestamp>,
    /// Whether that is a guess, because its clock was wrong.
    pub guessed: bool,
    /// Whether it stays.
    pub keep: bool,
    /// All reasons why it stays, or the one why it goes.
    pub reasons: Vec<String>,
}

impl Judged {
    fn new(decision: &Decision) -> Self {
        let (keep, reasons) = match &decision.fate {
            Fate::Keep(reasons) => (true, reasons.iter().map(ToString::to_string).collect()),
            Fate::Delete(reason) => (false, vec![reason.to_string()]),
        };
        Self {
            id: decision.id.clone(),
            made: decision.date.map(Date::time),
            guessed: matches!(decision.date, Some(Date::Guessed(_))),
            keep,
            reasons,
        }
    }
}

/// A backup that was found in one place.
pub(super) struct Found {
    pub(super) id: BackupId,
    /// Nothing when it cannot be read.
    pub(super) manifest: Option<Manifest>,
    pub(super) whole: bool,
    pub(super) copied: bool,
}

/// Prunes the primary as the configuration says; with `dry_run` it only says what it would do.
pub fn primary(site: &Site, dry_run: bool, run: &Run) -> Result<Report> {
    recorded(Some(site), RunKind::Prune, run, |record, run| {
        let lock = site.primary.lock("prune")?;
        if dry_run {
            record.only_look();
        } else {
            record.begin();
            site.primary.sweep(&lock)?;
        }
        prune_primary(site, &lock, dry_run, record, run)
    })
}

/// Backups and databases that went, with the reason.
pub(super) type Gone = (Vec<(BackupId, String)>, Vec<(String, String)>);

/// Prunes the primary after a backup; gives what went.
pub(super) fn after_backup(site: &Site, lock: &Lock, record: &Record, run: &Run) -> Result<Gone> {
    let report = prune_primary(site, lock, false, record, run)?;
    let gone = report.backups.into_iter().filter(|backup| !backup.keep);
    let dropped = report.databases.into_iter().filter(|database| !database.keep);
    let backups = gone.map(|backup| (backup.id, backup.reasons.concat())).collect();
    Ok((backups, dropped.map(|database| (database.name, database.reason)).collect()))
}

fn prune_primary(site: &Site, lock: &Lock, dry_run: bool, record: &Record, run: &Run) -> Result<Report> {
    let spool = site.config.primary.spool == Spool::One;
    let rules = if spool { Rules::newest(1) } else { site.config.retention.clone() };
    let found = site.primary.list()?.into_iter().map(|stored| {
        let manifest = stored.manifest().ok();
        // All files may be there, and a check may have found that they are damaged.
        let whole = manifest.as_ref().is_some_and(|manifest| stored.is_whole(manifest))
            && !record.is_damaged(stored.id(), &Place::primary());
        // In a spool, what is elsewhere too is what may go first.
        let copied = !spool && !stored.copies().is_empty();
        Found { id: stored.id().clone(), manifest, whole, copied }
    });
    let mut report = judge(site, "primary".into(), dry_run, &rules, &found.collect::<Vec<_>>())?;
    for id in report.to_go() {
        run.check()?;
        site.primary.remove(lock, id)?;
    }
    report.databases = set_aside::prune(site, dry_run, report.suspended.as_deref(), run)?;
    Ok(report)
}

/// Prunes this box's backups on a stick to as many as the configuration wants there; with `dry_run` nothing is written.
pub fn on_stick(site: &Site, at: &StickAt, dry_run: bool, run: &Run) -> Result<Report> {
    recorded(Some(site), RunKind::Prune, run, |record, run| {
        let _lock = site.primary.lock("prune")?;
        if dry_run {
            record.only_look();
        } else {
            record.begin();
        }
        prune_stick(site, at, dry_run, record, run)
    })
}

fn prune_stick(site: &Site, at: &StickAt, dry_run: bool, record: &mut Record, run: &Run) -> Result<Report> {
    let (mut fs, stick) = if dry_run { at.open_for_reading()? } else { at.open_for_writing(site)? };
    let place = Place::stick(&stick.medium);
    let found: Vec<Found> = generations::stored(fs.as_mut())?
        .into_iter()
        .map(|stored| Found {
            id: stored.manifest.id.clone(),
            whole: stored.complete && !record.is_damaged(&stored.manifest.id, &place),
            manifest: Some(stored.manifest),
            copied: false,
        })
        .collect();
    let rules = Rules::newest(u32::try_from(site.config.sticks.keep).unwrap_or(u32::MAX));
    let report = judge(site, at.path.display().to_string(), dry_run, &rules, &found)?;
    let going: Vec<&BackupId> = report.to_go().collect();
    if !going.is_empty() {
        remove::remove(fs.as_mut(), &site.box_id, &going, run)?;
        for id in going {
            record.removed(id, place.clone());
            copy::forget(site, &stick.medium, id)?;
        }
    }
    Ok(report)
}

/// What is thought of the clock, and whether a source lost half of its rows, by the backups in the primary.
pub(super) fn doubts(site: &Site, now: Timestamp) -> Result<(Clock, Option<Fell>)> {
    let own = site.primary.list()?.into_iter().filter_map(|stored| {
        let manifest = stored.manifest().ok().filter(|manifest| manifest.box_id == site.box_id)?;
        Some((stored.is_whole(&manifest), manifest))
    });
    let own: Vec<(bool, Manifest)> = own.collect();
    let clock = judge_clock(now, &own.iter().map(|(_, manifest)| manifest).collect::<Vec<_>>());
    let whole: Vec<&Manifest> = own.iter().filter(|(whole, _)| *whole).map(|(_, manifest)| manifest).collect();
    Ok((clock, fell(now, clock, &whole)))
}

pub(super) fn judge(site: &Site, place: String, dry_run: bool, rules: &Rules, found: &[Found]) -> Result<Report> {
    let own = |found: &Found| found.manifest.as_ref().filter(|manifest| manifest.box_id == site.box_id).is_some();
    let manifests = |only_whole: bool| {
        let wanted = found.iter().filter(|found| own(found) && (found.whole || !only_whole));
        wanted.filter_map(|found| found.manifest.as_ref()).collect::<Vec<_>>()
    };
    let now = Timestamp::now();
    let clock = judge_clock(now, &manifests(false));
    let fell = fell(now, clock, &manifests(true));
    let situation = Situation { now, clock, zone: site.config.zone()?, fell };
    let candidates: Vec<Candidate> = found
        .iter()
        .map(|found| Candidate {
            id: found.id.clone(),
            origin: match &found.manifest {
                None => Origin::Unreadable,
                Some(manifest) if manifest.box_id == site.box_id => Origin::Own(made(manifest)),
                Some(_) => Origin::Foreign,
            },
            whole: found.whole,
            copied: found.copied,
        })
        .collect();
    let decisions = decide(&candidates, rules, &situation)?;
    let backups = decisions.iter().map(Judged::new).collect();
    Ok(Report { place, dry_run, suspended: suspension(rules, &situation), backups, databases: Vec::new() })
}

fn made(manifest: &Manifest) -> Made {
    Made { started: manifest.started, trusted: manifest.clock_trusted }
}

/// Judges the clock by this box's backups, newest first.
pub(super) fn judge_clock(now: Timestamp, own: &[&Manifest]) -> Clock {
    clock::judge(now, &own.iter().map(|manifest| made(manifest)).collect::<Vec<_>>())
}

/// Looks for a source that lost half of its rows in this box's good backups, newest first.
pub(super) fn fell(now: Timestamp, clock: Clock, own: &[&Manifest]) -> Option<Fell> {
    let made: Vec<Made> = own.iter().map(|manifest| made(manifest)).collect();
    // By a wrong clock the fall may seem long ago.
    let last_known = made.iter().find(|made| made.trusted).map(|made| made.started);
    let now = last_known.filter(|_| !clock.is_trusted()).unwrap_or(now);
    let rows = |manifest: &Manifest| {
        let of = |facts: &crate::model::ArtifactFacts| facts.facts.tables.iter().map(|table| table.rows).sum();
        manifest.artifacts.iter().map(|artifact| (artifact.source.clone(), of(artifact))).collect()
    };
    let dated = own.iter().zip(dates(now, &made));
    let counted: Vec<Counted> = dated
        .map(|(manifest, date)| Counted { id: manifest.id.clone(), made: date.time(), rows: rows(manifest) })
        .collect();
    rows::fell(now, &counted)
}
