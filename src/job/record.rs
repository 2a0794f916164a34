//! What every run leaves behind in the journal. A journal that cannot be written never fails a run: a person is told what
//! is in its way, and the run goes on. What the files know, and the journal does not, is taken up on the way.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::Site;
use super::history::History;
use super::runlog::RunLog;
use super::stick::Identity;
use super::{heartbeat, outbox};
use crate::error::{Error, Kind, Result};
use crate::host::process;
use crate::journal::{
    CopyHistory, Ended, Fact, How, Journal, MadeBefore, NewRun, Opened, Outcome, Place, Proof, RunKind,
};
use crate::model::{BackupId, Run};
use crate::primary::CopyRecord;
use crate::stick::generations;

/// Tells `story` and records it: that it began, how it ended, and what it did. Without a site there is nothing to record
/// it in. What fails before the story has [begun](Record::begin) was never started, and is not recorded.
pub(super) fn recorded<T>(
    site: Option<&Site>,
    kind: RunKind,
    run: &Run<'_>,
    story: impl FnOnce(&mut Record<'_>, &Run<'_>) -> Result<T>,
) -> Result<T> {
    let heard = RunLog::new(run.monitor);
    let run = &Run { monitor: &heard, cancel: run.cancel };
    let new = NewRun { kind, process: process::mark(), started: Timestamp::now() };
    let (known, facts, ending) = (Known::default(), Vec::new(), Ending::default());
    let mut record = Record { site, run, heard: Some(&heard), new, begun: false, known, facts, ending };
    let told = story(&mut record, run);
    if let (Some(site), Some(ended)) = (site, record.end(told.as_ref().err())) {
        heartbeat::write_textfile(site, run);
        heard.end(&ended);
        outbox::over(site, kind, &ended);
    }
    told
}

/// The record of one run.
pub(super) struct Record<'a> {
    site: Option<&'a Site>,
    run: &'a Run<'a>,
    /// What the run has to say; not of what goes on beside it.
    heard: Option<&'a RunLog<'a>>,
    new: NewRun,
    begun: bool,
    known: Known,
    facts: Vec<Fact>,
    ending: Ending,
}

/// What a record beside another one has.
pub(super) struct Side {
    facts: Vec<Fact>,
    ending: Ending,
}

/// What the journal said when the run began.
#[derive(Default)]
struct Known {
    /// The run's number, if it could be noted.
    id: Option<i64>,
    /// Copies that were not good when they were last looked at.
    damaged: HashSet<(BackupId, Place)>,
}

/// How the run ends when it does not fail.
#[derive(Default)]
struct Ending {
    backup: Option<BackupId>,
    trouble: Option<(Outcome, String)>,
}

impl<'a> Record<'a> {
    /// A record of what goes on beside this run, in another thread; it is to be [taken up](Self::take_up).
    pub(super) fn beside<'b>(&self, run: &'b Run<'b>) -> Record<'b>
    where
        'a: 'b,
    {
        let known = Known { damaged: self.known.damaged.clone(), ..Known::default() };
        let (facts, ending) = (Vec::new(), Ending::default());
        Record { site: self.site, run, heard: None, new: self.new.clone(), begun: false, known, facts, ending }
    }

    /// What was put into a record beside this one, to be handed from thread to thread.
    pub(super) fn into_side(self) -> Side {
        Side { facts: self.facts, ending: self.ending }
    }

    /// Takes up what happened beside the run.
    pub(super) fn take_up(&mut self, side: Side) {
        self.facts.extend(side.facts);
        if let Some((outcome, why)) = side.ending.trouble {
            self.falls_short(outcome, &why);
        }
    }

    /// The run has begun.
    pub(super) fn begin(&mut self) {
        self.began(Timestamp::now());
    }

    /// The run has begun, and already then.
    pub(super) fn began(&mut self, started: Timestamp) {
        self.begun = true;
        self.new.started = started;
        let Some(site) = self.site else { return };
        if let Some(heard) = self.heard {
            heard.begin(site, &self.new);
            outbox::begins(site, self.new.kind);
        }
        let begun = self.write(site, |journal, copies, found| {
            Ok(Known { id: Some(journal.begin(&self.new, found)?), damaged: damaged(copies.iter()) })
        });
        match begun {
            Ok(known) => self.known = known,
            // Perhaps it works when the run ends; a person is told then.
            Err(error) => {
                log::info!("the beginning of this run is not in the history yet: {}", one_line(&error.report()));
            }
        }
    }

    /// Nothing is to be done, only to be told what would be: nothing is recorded.
    pub(super) fn only_look(&mut self) {
        if let Some(site) = self.site {
            self.known.damaged = damaged(History::of(site, self.run).copies());
        }
    }

    /// Whether a copy was not good when it was last looked at.
    pub(super) fn is_damaged(&self, id: &BackupId, place: &Place) -> bool {
        self.known.damaged.contains(&(id.clone(), place.clone()))
    }

    /// Which backup the run makes or is about.
    pub(super) fn is_about(&mut self, backup: &BackupId) {
        self.ending.backup = Some(backup.clone());
    }

    /// The run goes to its end and is not all that it should be; the first reason counts.
    pub(super) fn falls_short(&mut self, outcome: Outcome, why: &str) {
        self.ending.trouble.get_or_insert_with(|| (outcome, one_line(why)));
    }

    /// A stick was looked at. What it should have and has not counts as a copy no more.
    pub(super) fn saw(&mut self, stick: &Identity, stored: &[generations::Stored]) {
        let Some(site) = self.site else { return };
        let ours = stored.iter().filter(|stored| stored.complete && stored.manifest.box_id == site.box_id);
        let backups: Vec<_> = ours.map(|stored| (stored.manifest.id.clone(), Some(stored.manifest.finished))).collect();
        self.saw_in(Place::stick(&stick.medium), stick.label.clone(), backups);
    }

    /// A stick or store was looked at, and has these whole backups of this box.
    pub(super) fn saw_in(&mut self, place: Place, label: Option<String>, backups: Vec<(BackupId, Option<Timestamp>)>) {
        let Some(site) = self.site else { return };
        for known in site.primary.list().unwrap_or_default() {
            if !backups.iter().any(|(id, _)| id == known.id()) {
                self.remember(known.forget_copy(&place.store, &place.medium));
            }
        }
        self.facts.push(Fact::Seen { place, label, backups });
    }

    /// A copy was removed.
    pub(super) fn removed(&mut self, backup: &BackupId, place: Place) {
        self.facts.push(Fact::Removed { backup: backup.clone(), place });
    }

    /// A copy was looked at; `problem` is what is wrong with it.
    pub(super) fn proved(&mut self, backup: &BackupId, place: Place, how: How, problem: Option<&str>) {
        let proof = Proof { how, at: Timestamp::now() };
        let (backup, problem) = (backup.clone(), problem.map(one_line));
        self.facts.push(Fact::Proven { backup, place, proof, problem });
    }

    /// A backup on a stick was looked at. Only a good one counts as a copy that is elsewhere.
    pub(super) fn proved_on(&mut self, stick: &Identity, backup: &BackupId, how: How, problem: Option<&str>) {
        self.proved_in(Place::stick(&stick.medium), stick.label.clone(), backup, how, problem);
    }

    /// The same for any place but the primary.
    pub(super) fn proved_in(
        &mut self,
        place: Place,
        label: Option<String>,
        backup: &BackupId,
        how: How,
        problem: Option<&str>,
    ) {
        let Some(site) = self.site else { return };
        if let Ok(stored) = site.primary.find(backup) {
            let Place { store, medium } = place.clone();
            self.remember(match problem {
                None => stored.add_copy(CopyRecord { store, medium, label, verified: Timestamp::now() }),
                Some(_) => stored.forget_copy(&store, &medium),
            });
        }
        self.proved(backup, place, how, problem);
    }

    pub(super) fn remember(&self, done: Result<()>) {
        if let Err(error) = done {
            self.run.warn(format!("where copies are could not be noted: {}", one_line(&error.report())));
        }
    }

    /// Notes how the run ended; nothing when it never began.
    fn end(self, error: Option<&Error>) -> Option<Ended> {
        let (Some(site), true) = (self.site, self.begun) else { return None };
        let (outcome, why) = match (error, &self.ending.trouble) {
            (Some(error), _) if error.kind() == Kind::Cancelled => (Outcome::Stopped, None),
            (Some(error), _) => (Outcome::Failed, Some(one_line(&error.report()))),
            (None, Some((outcome, why))) => (*outcome, Some(why.clone())),
            (None, None) => (Outcome::Done, None),
        };
        let ended = Ended { at: Timestamp::now(), outcome, backup: self.ending.backup.clone(), error: why };
        let noted = self.write(site, |journal, _, found| {
            journal.end(self.known.id, &self.new, &ended, &[found, &self.facts].concat())
        });
        if let Err(error) = noted {
            self.run.warn(format!("this run is not in the history: {}", one_line(&error.report())));
        }
        Some(ended)
    }

    /// Opens the journal and does `work` with it, with the copies that it knows and with what it does not know yet. One
    /// that turns out to be damaged is set aside, and the work is done with a new one.
    fn write<T>(&self, site: &Site, work: impl Fn(&mut Journal, &[CopyHistory], &[Fact]) -> Result<T>) -> Result<T> {
        let path = site.journal();
        let mut again = true;
        loop {
            let Opened { mut journal, is_new, set_aside } = Journal::open(&path)?;
            let done = (|| {
                if is_new {
                    self.rebuild(site, &mut journal, &path, set_aside)?;
                }
                let copies = journal.copies()?;
                work(&mut journal, &copies, &unknown(site, &copies)?)
            })();
            match done {
                Err(error) if error.kind() == Kind::Damaged && again => {
                    again = false;
                    if let Some(aside) = journal.set_aside()? {
                        self.run.warn(was_damaged(&path, &aside, &error));
                    }
                }
                done => return done,
            }
        }
    }

    /// Begins the history with the backups that are there, and says so when there should have been a history.
    fn rebuild(&self, site: &Site, journal: &mut Journal, path: &Path, aside: Option<(PathBuf, Error)>) -> Result<()> {
        let mut made = Vec::new();
        for stored in site.primary.list()?.iter().rev() {
            // A damaged manifest tells nothing; `check` reports it.
            if let Ok(manifest) = stored.manifest()
                && manifest.box_id == site.box_id
            {
                made.push(MadeBefore { backup: manifest.id, started: manifest.started, ended: manifest.finished });
            }
        }
        journal.take_up(&made)?;
        let built = format!(
            "built anew from the manifests of {} backups; earlier checks and failures are forgotten",
            made.len()
        );
        match aside {
            Some((aside, error)) => self.run.warn(format!("{}; it is {built}", was_damaged(path, &aside, &error))),
            None if made.is_empty() => {}
            None => self.run.warn(format!("the journal {path:?} was not there; it is {built}")),
        }
        Ok(())
    }
}

fn damaged<'a>(copies: impl Iterator<Item = &'a CopyHistory>) -> HashSet<(BackupId, Place)> {
    copies.filter(|copy| copy.bad.is_some()).map(|copy| (copy.backup.clone(), copy.place.clone())).collect()
}

fn was_damaged(path: &Path, aside: &Path, error: &Error) -> String {
    let why = error.report();
    let why = why.lines().filter(|line| !line.starts_with(" help")).collect::<Vec<_>>().join("\n");
    format!("{} ({path:?} is now {aside:?})", one_line(&why))
}

/// What the files know of copies and the journal does not: those that were read back when they were written. Whoever
/// made them died before it could note them, or the journal was lost.
fn unknown(site: &Site, copies: &[CopyHistory]) -> Result<Vec<Fact>> {
    let known: HashSet<(&BackupId, &Place)> = copies.iter().map(|copy| (&copy.backup, &copy.place)).collect();
    let (mut facts, mut there) = (Vec::new(), Vec::new());
    let mut written = |backup: &BackupId, place: &Place, at: Timestamp| {
        let (backup, place) = (backup.clone(), place.clone());
        facts.push(Fact::Written { backup: backup.clone(), place: place.clone(), at });
        facts.push(Fact::Proven { backup, place, proof: Proof { how: How::ReadBack, at }, problem: None });
    };
    for stored in site.primary.list()? {
        let place = Place::primary();
        if known.contains(&(stored.id(), &place)) {
            there.push((stored.id().clone(), None));
        } else if let Ok(manifest) = stored.manifest()
            && manifest.box_id == site.box_id
        {
            written(stored.id(), &place, manifest.finished);
            there.push((stored.id().clone(), None));
        }
        for copy in stored.copies() {
            let place = Place { store: copy.store, medium: copy.medium };
            if !known.contains(&(stored.id(), &place)) {
                written(stored.id(), &place, copy.verified);
            }
        }
    }
    facts.push(Fact::Seen { place: Place::primary(), label: None, backups: there });
    Ok(facts)
}

/// A report in one line.
pub(super) fn one_line(report: &str) -> String {
    report.lines().map(str::trim).collect::<Vec<_>>().join(" ").replace(" help: ", "; ")
}
