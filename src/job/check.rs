//! The check: is a backup still what its manifest says, and with a drill: does it restore to that.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde::Serialize;

use super::artifact::{verify, verify_alone, verify_sealed};
use super::drill::{drill, drill_files};
use super::provenance::Trust;
use super::record::{Record, recorded};
use super::sealed::opened;
use super::{Site, StickAt, pieces, served};
use crate::error::{Context, Error, Kind, Result};
use crate::journal::{How, Outcome, Place, RunKind};
use crate::model::{ArtifactFacts, BackupId, Manifest, ManifestFile, Run};
use crate::pack::Unpacker;
use crate::policy::provenance::Lies;
use crate::source::files;
use crate::stick::generations::{self, Held};
use crate::stick::sums;

/// What was found of one artifact.
#[derive(Debug, Serialize)]
pub struct Finding {
    /// Where the backup is: `primary`, or the path of the stick.
    pub place: String,
    /// The backup.
    pub id: Option<BackupId>,
    /// The artifact.
    pub artifact: String,
    /// Whether a drill was part of it.
    pub drilled: bool,
    /// What is wrong, if anything.
    pub problem: Option<String>,
    /// Of what is encrypted and could not be opened: what was shown of it, what was not, and what helps.
    pub unproven: Option<String>,
}

/// What a look at a backup came to.
pub(super) struct Judged {
    /// The first problem.
    pub(super) problem: Option<String>,
    /// What was done to show that it is good.
    pub(super) how: How,
}

/// What was shown of an artifact that nobody has the key to.
const SEALED_FILE: &str = "encrypted, and of the size and SHA-256 that its manifest says";

/// Checks backups in the primary: the one named, or all.
pub fn primary(site: &Site, id: Option<&BackupId>, with_drill: bool, trust: &Trust, run: &Run) -> Result<Vec<Finding>> {
    recorded(Some(site), kind(with_drill), run, |record, run| {
        let backups = match id {
            Some(id) => vec![site.primary.find(id)?],
            None => site.primary.list()?,
        };
        record.begin();
        let mut checker =
            Checker::new("primary".into(), with_drill.then(|| site.primary.dir()), Some(site), (trust, run));
        for stored in backups {
            let file = stored.manifest_file().and_then(|file| {
                stored.sums_agree(&file)?;
                trust.vouch_here(&file, run)?;
                Ok(file)
            });
            let Judged { problem, how } = match file {
                Ok(file) => {
                    warn_unsealed(stored.id(), file.sealed, run);
                    checker.artifacts(&file.manifest, |facts| Ok(Box::new(stored.open(&facts.name)?)))?
                }
                Err(error) => {
                    checker.found(Some(stored.id()), "manifest.json", false, Some(error.report()));
                    Judged { problem: Some(error.report()), how: checker.how() }
                }
            };
            record.proved(stored.id(), Place::primary(), how, problem.as_deref());
        }
        Ok(checker.finish(record))
    })
}

/// Checks every backup on a stick, read from the medium, of every box; those of `site`'s box are recorded. Drills need
/// `scratch`, a folder with room for the database.
pub fn on_stick(
    at: &StickAt,
    site: Option<&Site>,
    id: Option<&BackupId>,
    scratch: Option<&Path>,
    trust: &Trust,
    run: &Run,
) -> Result<Vec<Finding>> {
    recorded(site, kind(scratch.is_some()), run, |record, run| {
        let (mut fs, stick) = at.open_for_reading()?;
        let Held { backups: mut there, unreadable } = generations::held(fs.as_mut())?;
        let wanted = |other: &BackupId| id.is_none_or(|id| id == other);
        let any = there.iter().map(|stored| &stored.manifest.id).chain(unreadable.iter().map(|(id, _)| id)).any(wanted);
        if let (Some(id), false) = (id, any) {
            return Err(Error::new(Kind::Missing, format!("there is no backup {id} on {:?}", at.path)));
        }
        record.begin();
        record.saw(&stick, &there);
        there.retain(|stored| wanted(&stored.manifest.id));
        let mut checker = Checker::new(at.path.display().to_string(), scratch, site, (trust, run));
        for stored in there {
            warn_unsealed(&stored.manifest.id, stored.sealed, run);
            let signed = (&stored.manifest, &*stored.bytes, stored.signature.as_deref());
            if let Some(problem) = checker.doubts(&stored.manifest.id, trust.vouch(signed, Lies::Elsewhere, run))? {
                if site.is_some_and(|site| site.box_id == stored.manifest.box_id) {
                    record.proved_on(&stick, &stored.manifest.id, checker.how(), Some(&problem));
                }
                continue;
            }
            let Judged { problem, how } = checker
                .artifacts(&stored.manifest, |facts| generations::open_artifact(fs.as_mut(), &stored, &facts.name))?;
            if site.is_some_and(|site| site.box_id == stored.manifest.box_id) {
                record.proved_on(&stick, &stored.manifest.id, how, problem.as_deref());
            }
        }
        for (id, why) in unreadable.iter().filter(|(id, _)| wanted(id)) {
            checker.found(Some(id), "manifest", false, Some(why.clone()));
        }
        if id.is_none() {
            for (path, problem) in sums::problems(fs.as_mut(), run)? {
                checker.found(None, &path, false, Some(problem));
            }
        }
        Ok(checker.finish(record))
    })
}

pub(super) fn kind(with_drill: bool) -> RunKind {
    if with_drill { RunKind::Drill } else { RunKind::Check }
}

/// Checks a single file of which nothing is known but what it says itself.
pub fn file(path: &Path, run: &Run) -> Result<Vec<Finding>> {
    let reader = File::open(path).context(|| format!("cannot open {path:?}"))?;
    let trust = Trust::default();
    let mut checker = Checker::new("file".into(), None, None, (&trust, run));
    let name = path.display().to_string();
    let problem = problem(match [".tar.gz", ".tgz"].iter().any(|ending| name.ends_with(ending)) {
        true => files::count(Unpacker::new(reader), run).map(drop),
        false => verify_alone(reader, run),
    })?;
    checker.found(None, &name, false, problem);
    Ok(checker.findings)
}

/// Looks at one artifact after the other and notes what it finds.
pub(super) struct Checker<'a> {
    place: String,
    /// Where drills make their databases; `None` without drills.
    scratch: Option<&'a Path>,
    /// The box, whose configuration names the servers.
    site: Option<&'a Site>,
    trust: &'a Trust,
    run: &'a Run<'a>,
    findings: Vec<Finding>,
}

impl<'a> Checker<'a> {
    pub(super) fn new(
        place: String,
        scratch: Option<&'a Path>,
        site: Option<&'a Site>,
        (trust, run): (&'a Trust, &'a Run<'a>),
    ) -> Self {
        Self { place, scratch, site, trust, run, findings: Vec::new() }
    }

    /// Looks at all artifacts of a backup.
    pub(super) fn artifacts<'r>(
        &mut self,
        manifest: &Manifest,
        mut open: impl FnMut(&ArtifactFacts) -> Result<Box<dyn Read + Send + 'r>>,
    ) -> Result<Judged> {
        let mut judged = Judged { problem: None, how: self.how() };
        for facts in &manifest.artifacts {
            let mut open = || open(facts);
            let looked = match self.artifact(facts, &mut open) {
                Err(why) if why.kind() == Kind::Sealed => {
                    judged.how = How::Checked;
                    let looked = open().and_then(|file| verify_sealed(file, facts, self.run));
                    looked.map(|()| Some(unproven(SEALED_FILE, &why)))
                }
                looked => looked.map(|()| None),
            };
            let (problem, unproven) = match looked {
                Ok(unproven) => (None, unproven),
                Err(error) => (problem(Err(error))?, None),
            };
            judged.problem = judged.problem.or_else(|| problem.clone());
            // Accounts are read through only: to restore them would make them.
            let drilled = self.scratch.is_some() && !pieces::is_accounts(facts) && unproven.is_none();
            self.note(Some(&manifest.id), facts.name.as_str(), drilled, (problem, unproven));
        }
        Ok(judged)
    }

    /// Notes what was found of a backup that nobody can look into: `shown` of it was that it is as it was put there, unless
    /// there is a problem.
    pub(super) fn sealed(
        &mut self,
        manifest: &Manifest,
        (shown, why): (&str, &Error),
        problem: Option<String>,
    ) -> Judged {
        for facts in &manifest.artifacts {
            let unproven = problem.is_none().then(|| unproven(shown, why));
            self.note(Some(&manifest.id), facts.name.as_str(), false, (problem.clone(), unproven));
        }
        Judged { problem, how: How::Checked }
    }

    fn artifact<'r>(
        &self,
        sealed: &ArtifactFacts,
        open: &mut dyn FnMut() -> Result<Box<dyn Read + Send + 'r>>,
    ) -> Result<()> {
        let Self { trust, run, site, .. } = *self;
        let (facts, mut open) = (&sealed.opened(), || opened(open()?, sealed, &trust.identities));
        verify(open()?, facts, run)?;
        match self.scratch {
            None => Ok(()),
            Some(_) if pieces::is_accounts(facts) => Ok(()),
            Some(scratch) if facts.name.is_tar() => drill_files(&mut open, facts, scratch, run),
            Some(scratch) if facts.facts.kind == served::SQLITE => drill(open()?, facts, scratch, run),
            Some(_) => served::drill(open()?, facts, site, run),
        }
    }

    /// Notes why a backup is not believed; gives that.
    pub(super) fn doubts(&mut self, id: &BackupId, vouched: Result<()>) -> Result<Option<String>> {
        let problem = problem(vouched)?;
        if let Some(problem) = &problem {
            self.found(Some(id), "manifest", false, Some(problem.clone()));
        }
        Ok(problem)
    }

    pub(super) fn how(&self) -> How {
        if self.scratch.is_some() { How::Drilled } else { How::Checked }
    }

    pub(super) fn finish(self, record: &mut Record) -> Vec<Finding> {
        let bad: Vec<&String> = self.findings.iter().filter_map(|finding| finding.problem.as_ref()).collect();
        let closed: Vec<&String> = self.findings.iter().filter_map(|finding| finding.unproven.as_ref()).collect();
        let all = self.findings.len();
        if let Some(first) = bad.first() {
            record.falls_short(Outcome::Failed, &format!("{} of {all} are not good: {first}", bad.len()));
        } else if let Some(first) = closed.first()
            && (self.scratch.is_some() || !self.trust.identities.is_empty())
        {
            record.falls_short(Outcome::Partly, &format!("{} of {all} could not be opened: {first}", closed.len()));
        }
        self.findings
    }

    pub(super) fn found(&mut self, id: Option<&BackupId>, artifact: &str, drilled: bool, problem: Option<String>) {
        self.note(id, artifact, drilled, (problem, None));
    }

    fn note(
        &mut self,
        id: Option<&BackupId>,
        artifact: &str,
        drilled: bool,
        (problem, unproven): (Option<String>, Option<String>),
    ) {
        let (place, artifact) = (self.place.clone(), artifact.to_owned());
        self.findings.push(Finding { place, id: id.cloned(), artifact, drilled, problem, unproven });
    }
}

/// What is told of something that was `shown` to be as it was put there, and cannot be opened.
fn unproven(shown: &str, why: &Error) -> String {
    let help = why.remedy().map_or(String::new(), |help| format!("; {help}"));
    format!("{shown}; its content is not proven: {}{help}", why.messages().join(": "))
}

/// What a check found: nothing, a problem to report, or that it was stopped.
fn problem(checked: Result<()>) -> Result<Option<String>> {
    match checked {
        Ok(()) => Ok(None),
        Err(error) if error.kind() == Kind::Cancelled => Err(error),
        Err(error) => Ok(Some(error.report())),
    }
}

pub(super) fn warn_unsealed(id: &BackupId, sealed: bool, run: &Run) {
    if !sealed {
        run.warn(ManifestFile::unsealed(id));
    }
}
