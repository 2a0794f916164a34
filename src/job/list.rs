//! What backups there are, and when each was last proven.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::history::History;
use super::{Site, StickAt};
use crate::error::Result;
use crate::journal::{How, Place, Proof};
use crate::model::{ArtifactName, BackupId, Manifest};
use crate::primary::Stored;
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
    /// When it was last shown to be good where it is listed, as far as is known.
    pub proof: Option<Proof>,
    /// Verified copies elsewhere that are known.
    pub copies: Vec<Copied>,
    /// Why it cannot be used, when it cannot.
    pub problem: Option<String>,
}

/// A verified copy of a backup.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Copied {
    /// Where it is.
    #[serde(flatten)]
    pub place: Place,
    /// What people call the medium; any text.
    pub label: Option<String>,
    /// When it was last shown to be good.
    pub proof: Proof,
}

impl Listed {
    pub(super) fn new(manifest: &Manifest) -> Self {
        Self {
            id: manifest.id.clone(),
            started: Some(manifest.started),
            box_name: Some(manifest.box_name.to_string()),
            size: manifest.size(),
            rows: manifest.rows(),
            artifacts: manifest.artifacts.iter().map(|artifact| artifact.name.clone()).collect(),
            proof: None,
            copies: Vec::new(),
            problem: None,
        }
    }

    /// A backup of which only the id is known, and why.
    pub(super) fn broken(id: &BackupId, problem: String) -> Self {
        Self {
            id: id.clone(),
            started: None,
            box_name: None,
            size: 0,
            rows: 0,
            artifacts: Vec::new(),
            proof: None,
            copies: Vec::new(),
            problem: Some(problem),
        }
    }
}

/// The backups in the primary, newest first.
pub fn primary(site: &Site, history: &History) -> Result<Vec<Listed>> {
    let list = site.primary.list()?;
    Ok(list
        .into_iter()
        .map(|stored| match stored.manifest() {
            Ok(manifest) => Listed {
                proof: history.proof(&manifest.id, &Place::primary(), Some(manifest.finished)),
                problem: history.problem(&manifest.id, &Place::primary()),
                copies: copies(&stored, history),
                ..Listed::new(&manifest)
            },
            Err(error) => Listed::broken(stored.id(), error.report()),
        })
        .collect())
}

/// The files say where verified copies are; the history, when they were looked at since.
fn copies(stored: &Stored, history: &History) -> Vec<Copied> {
    let copied = stored.copies().into_iter().map(|copy| {
        let place = Place { store: copy.store, medium: copy.medium };
        let least = Proof { how: How::ReadBack, at: copy.verified };
        let proof = history.proof(stored.id(), &place, Some(copy.verified)).unwrap_or(least);
        Copied { place, label: copy.label, proof }
    });
    copied.collect()
}

/// The backups on a stick, newest first, of every box. What is known of them is known of `site`'s box alone.
pub fn on_stick(at: &StickAt, site: Option<(&Site, &History)>) -> Result<Vec<Listed>> {
    let (mut fs, stick) = at.open_for_reading()?;
    let place = Place::stick(stick.medium);
    let list = |stored: &generations::Stored| {
        let manifest = &stored.manifest;
        let known = site.filter(|(site, _)| site.box_id == manifest.box_id).map(|(_, history)| history);
        let missing = (!stored.complete).then(|| "some of its files are missing".to_owned());
        Listed {
            proof: known.and_then(|history| history.proof(&manifest.id, &place, None)),
            problem: missing.or_else(|| known?.problem(&manifest.id, &place)),
            ..Listed::new(manifest)
        }
    };
    let held = generations::held(fs.as_mut())?;
    let unreadable = held.unreadable.into_iter().map(|(id, why)| Listed::broken(&id, why));
    let mut all: Vec<Listed> = held.backups.iter().map(list).chain(unreadable).collect();
    all.sort_by(|a, b| b.id.cmp(&a.id));
    Ok(all)
}
