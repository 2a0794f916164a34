//! A stick as a person names it: an image, a device or a folder, looked at and judged before anything is opened for writing.

use std::path::{Path, PathBuf};

use super::Site;
use crate::error::{Context, Error, Kind, Result};
use crate::model::BackupId;
use crate::policy::stick::{StickRules, Verdict, VerdictKind, judge};
use crate::policy::tse::TseRules;
use crate::stick::fs::StickFs;
use crate::stick::generations::{Held, Stored, held};
use crate::stick::identify::{self, Inspection, Medium};
use crate::stick::probe::Limits;
use crate::stick::{self, Volume};

/// Where a stick is.
#[derive(Debug, Clone)]
pub struct StickAt {
    /// An image file, a block device or a mounted folder.
    pub path: PathBuf,
    /// The path may be a folder that lies on no block device; nothing can be judged then.
    pub plain_folder: bool,
}

/// A stick and what is thought of it.
pub struct Judged {
    /// What lies on it.
    pub inspection: Inspection,
    /// What may be done with it, and why.
    pub verdict: Verdict,
}

/// Which stick it is, in records.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The file system's id, else the path.
    pub medium: String,
    /// What its owner called it; any text.
    pub label: Option<String>,
}

impl StickAt {
    /// Looks at the stick read-only; an error when it is no target for this box.
    pub fn inspect(&self, site: &Site) -> Result<Judged> {
        let judged = self.judge_for(site)?;
        judged.accepted(&self.path, self.plain_folder)?;
        match judged.torn().first() {
            None => Ok(judged),
            Some(torn) => Err(Error::new(
                Kind::Refused,
                format!(
                    "an interrupted backup left {torn:?} in pieces on the stick at {:?}, which Linux cannot mend",
                    self.path
                ),
            )
            .help("unmount the stick and name its device instead of the folder: then it is mended before the backup")),
        }
    }

    /// Looks at the stick read-only, and judges it as a target for this box.
    pub fn judge_for(&self, site: &Site) -> Result<Judged> {
        self.judge(&rules(site))
    }

    /// Looks at the stick read-only, for reading it only: any customer's, also a write-protected one.
    pub fn look(&self) -> Result<Judged> {
        self.judge(&StickRules { read_only: true, ..StickRules::default() })
    }

    /// Looks at the stick read-only, and judges nothing but whether it is a TSE before it is opened.
    pub(super) fn look_with(&self, tse: &TseRules) -> Result<Inspection> {
        identify::inspect(&self.path, tse, &Limits::default())
    }

    fn judge(&self, rules: &StickRules) -> Result<Judged> {
        let inspection = identify::inspect(&self.path, &rules.tse, &Limits::default())?;
        let verdict = judge(&inspection.facts, rules);
        Ok(Judged { inspection, verdict })
    }

    /// The backups of this box's name on the stick, newest first, the newest id there that a new backup must come after,
    /// and which stick it is.
    pub fn see(&self, site: &Site) -> Result<(Vec<Stored>, Option<BackupId>, Identity)> {
        self.see_as(&self.look()?, site)
    }

    /// The same of a stick that was looked at a moment ago.
    pub(super) fn see_as(&self, judged: &Judged, site: &Site) -> Result<(Vec<Stored>, Option<BackupId>, Identity)> {
        let (mut fs, identity) = (self.open(judged, false)?, judged.identity(&self.path));
        let Held { backups: mut stored, unreadable } = held(fs.as_mut())?;
        stored.retain(|stored| stored.manifest.box_name == site.config.box_name);
        // Whose an unreadable one is cannot be said: its id is stepped past as well.
        let ids = stored.iter().map(|stored| stored.manifest.id.clone());
        let newest = ids.chain(unreadable.into_iter().map(|(id, _)| id)).max();
        Ok((stored, newest, identity))
    }

    /// Opens it for reading.
    pub fn open_for_reading(&self) -> Result<(Box<dyn StickFs>, Identity)> {
        let judged = self.look()?;
        Ok((self.open(&judged, false)?, judged.identity(&self.path)))
    }

    /// Opens what was looked at a moment ago, for reading.
    pub(super) fn open_as(&self, judged: &Judged) -> Result<Box<dyn StickFs>> {
        self.open(judged, false)
    }

    /// Opens it for writing this box's backups.
    pub fn open_for_writing(&self, site: &Site) -> Result<(Box<dyn StickFs>, Identity)> {
        let judged = self.inspect(site)?;
        Ok((self.open(&judged, true)?, judged.identity(&self.path)))
    }

    /// Opens another box's stick for writing, because somebody wants it to become this box's.
    pub(super) fn open_for_taking_over(&self, site: &Site) -> Result<(Box<dyn StickFs>, Judged)> {
        let judged = self.judge(&StickRules { allow_foreign: true, ..rules(site) })?;
        Ok((self.open(&judged, true)?, judged))
    }

    fn open(&self, judged: &Judged, writable: bool) -> Result<Box<dyn StickFs>> {
        match &judged.inspection.medium {
            Medium::Folder { path, device: None } if self.plain_folder => stick::folder::open_folder(path),
            Medium::Folder { path, device: None } => Err(no_device(path)),
            Medium::Folder { path, device: Some(_) } => {
                judged.volume(&self.path)?;
                stick::folder::open_folder(path)
            }
            Medium::Image(_) | Medium::Device(_) => stick::image::open_volume(&judged.volume(&self.path)?, writable),
        }
    }
}

/// The elements that the configuration names.
pub(super) fn tse_rules(site: &Site) -> TseRules {
    let tse = site.config.sticks.tse.clone();
    TseRules { serials: tse.serials, positions: tse.positions }
}

/// What this box wants of a stick.
fn rules(site: &Site) -> StickRules {
    StickRules {
        customer: Some(site.config.customer.clone()),
        box_name: Some(site.config.box_name.clone()),
        box_id: Some(site.box_id.clone()),
        tse: tse_rules(site),
        ..StickRules::default()
    }
}

impl Judged {
    /// Fails unless it may be used; a plain folder is what the person says it is.
    fn accepted(&self, path: &Path, plain_folder: bool) -> Result<()> {
        match self.inspection.medium {
            Medium::Folder { device: None, .. } if plain_folder => Ok(()),
            Medium::Folder { device: None, .. } => Err(no_device(path)),
            _ => self.volume(path).map(|_| ()),
        }
    }

    /// The volume that may be used, or why there is none.
    pub(super) fn volume(&self, path: &Path) -> Result<Volume> {
        match &self.verdict.kind {
            VerdictKind::Usable { volume } => {
                let found = self.inspection.volume(*volume);
                found.ok_or_else(|| no_device(path))
            }
            VerdictKind::Refused(reason) => Err(reason.to_error()).context(|| format!("the stick {path:?} is refused")),
        }
    }

    /// What is ours on a mounted stick and would make Linux turn the stick read-only.
    pub(super) fn torn(&self) -> Vec<String> {
        let (Medium::Folder { path, device: Some(_) }, Ok(index)) = (&self.inspection.medium, self.verdict.volume())
        else {
            return Vec::new();
        };
        // Who may not read the device must do without.
        let look = |volume: Volume| {
            stick::folder::bring_out(path)?;
            stick::torn::on(&volume)
        };
        self.inspection.volume(index).and_then(|volume| look(volume).ok()).unwrap_or_default()
    }

    /// Which medium it is.
    pub(super) fn identity(&self, path: &Path) -> Identity {
        let volume = match &self.verdict.kind {
            VerdictKind::Usable { volume } => self.inspection.facts.volumes.get(*volume),
            VerdictKind::Refused(_) => None,
        };
        Identity {
            medium: volume.and_then(|volume| volume.uuid.clone()).unwrap_or_else(|| path.display().to_string()),
            label: volume.and_then(|volume| volume.label.clone()),
        }
    }
}

fn no_device(path: &Path) -> Error {
    Error::new(Kind::Refused, format!("{path:?} lies on no block device, so nothing can be known about the stick"))
        .help("if it is not a stick but a folder that shall receive the files, say --plain-folder")
}
