//! The check: is a backup still what its manifest says, and with a drill: does it restore to that.

use std::fs::File;
use std::path::Path;

use serde::Serialize;

use super::artifact::verify;
use super::drill::drill;
use super::{Site, StickAt};
use crate::error::{Context, Error, Kind, Result};
use crate::model::{ArtifactFacts, BackupId, Manifest, Run};
use crate::pack;
use crate::primary::{SHA256SUMS, Stored};
use crate::stick::generations;

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
}

/// Checks backups in the primary: the one named, or all.
pub fn primary(site: &Site, id: Option<&BackupId>, with_drill: bool, run: &Run) -> Result<Vec<Finding>> {
    let backups = match id {
        Some(id) => vec![site.primary.find(id)?],
        None => site.primary.list()?,
    };
    let mut findings = Vec::new();
    for stored in backups {
        match stored.manifest().and_then(|manifest| sums_agree(&stored, &manifest).map(|()| manifest)) {
            Ok(manifest) => {
                check_artifacts(&manifest, "primary", with_drill, site.primary.dir(), run, &mut findings, |facts| {
                    stored.open(&facts.name).map(|file| Box::new(file) as _)
                })?
            }
            Err(error) => findings.push(Finding {
                place: "primary".into(),
                id: Some(stored.id().clone()),
                artifact: "manifest.json".into(),
                drilled: false,
                problem: Some(error.report()),
            }),
        }
    }
    Ok(findings)
}

/// Checks every backup on a stick, read from the medium. Drills need `scratch`, a folder with room for the database.
pub fn on_stick(at: &StickAt, id: Option<&BackupId>, scratch: Option<&Path>, run: &Run) -> Result<Vec<Finding>> {
    let mut fs = at.open_for_reading()?;
    let place = at.path.display().to_string();
    let mut findings = Vec::new();
    for stored in generations::stored(fs.as_mut())? {
        if id.is_some_and(|id| *id != stored.manifest.id) {
            continue;
        }
        let dir = scratch.unwrap_or(Path::new("."));
        check_artifacts(&stored.manifest, &place, scratch.is_some(), dir, run, &mut findings, |facts| {
            generations::open_artifact(fs.as_mut(), &stored, &facts.name)
        })?;
    }
    match (id, findings.is_empty()) {
        (Some(id), true) => Err(Error::new(Kind::Missing, format!("there is no backup {id} on {:?}", at.path))),
        _ => Ok(findings),
    }
}

/// Checks a single file of which nothing is known but what it says itself.
pub fn file(path: &Path, run: &Run) -> Result<Finding> {
    let reader = File::open(path).context(|| format!("cannot open {path:?}"))?;
    let checked = pack::verify(reader, run);
    let problem = match checked {
        Ok(_) => None,
        Err(error) if error.kind() == Kind::Cancelled => return Err(error),
        Err(error) => Some(error.report()),
    };
    let artifact = path.display().to_string();
    Ok(Finding { place: "file".into(), id: None, artifact, drilled: false, problem })
}

type Opened<'a> = Box<dyn std::io::Read + Send + 'a>;

fn check_artifacts<'a>(
    manifest: &Manifest,
    place: &str,
    with_drill: bool,
    scratch: &Path,
    run: &Run,
    findings: &mut Vec<Finding>,
    mut open: impl FnMut(&ArtifactFacts) -> Result<Opened<'a>>,
) -> Result<()> {
    for facts in &manifest.artifacts {
        let mut check = || {
            verify(open(facts)?, facts, run)?;
            if with_drill { drill(open(facts)?, facts, scratch, run) } else { Ok(()) }
        };
        let problem = match check() {
            Ok(()) => None,
            Err(error) if error.kind() == Kind::Cancelled => return Err(error),
            Err(error) => Some(error.report()),
        };
        findings.push(Finding {
            place: place.to_owned(),
            id: Some(manifest.id.clone()),
            artifact: facts.name.to_string(),
            drilled: with_drill,
            problem,
        });
    }
    Ok(())
}

/// `SHA256SUMS` is what an auditor uses: it must say what the manifest says.
fn sums_agree(stored: &Stored, manifest: &Manifest) -> Result<()> {
    let expected: String =
        manifest.artifacts.iter().map(|artifact| format!("{}  {}\n", artifact.sha256, artifact.name)).collect();
    if stored.sums()? == expected.as_bytes() {
        return Ok(());
    }
    Err(Error::new(Kind::Damaged, format!("{SHA256SUMS} of {} does not say what its manifest says", stored.id())))
}
