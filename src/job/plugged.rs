//! A stick that is plugged into the box: what it is, and what happens to it around a copy. A TSE is recognised from what
//! udev tells wherever that suffices, and is neither mounted nor unmounted by us, whoever has mounted it.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use super::copy::{self, CopyDone};
use super::record::Record;
use super::stick::{Judged, tse_rules};
use super::{Site, StickAt, enrolment};
use crate::config::After;
use crate::error::{Context, Error, Kind, Result};
use crate::host::{block, mount};
use crate::journal::Outcome;
use crate::model::{BackupId, Run};
use crate::policy::enrol::Admission;
use crate::policy::stick::{Reason, VerdictKind};
use crate::policy::tse;
use crate::primary::Stored;
use crate::stick::identify::{self, Medium};
use crate::stick::mount as shown;

/// What a disk turned out to be.
#[derive(Debug, Clone)]
pub enum Looked {
    /// No stick: a disk of the box, a reader without a card. Nobody needs to be told.
    NoStick(String),
    /// A TSE, which stays as it is.
    Tse(String),
    /// A stick that must not be written, and why.
    Refused(Reason),
    /// A stick for this box's backups.
    Usable(Usable),
}

/// A stick for this box's backups.
#[derive(Debug, Clone)]
pub struct Usable {
    /// Its file system's id or its path, as records of copies call it.
    pub label: String,
    /// The newest backup of this box on it.
    pub newest: Option<BackupId>,
    /// It is to be enrolled first.
    pub enrol: bool,
}

/// Finds out what the disk `node` is. Reads it only when udev's words do not settle the question. `asked` when somebody
/// wants it to be enrolled.
pub fn look(site: &Site, node: &Path, asked: bool) -> Result<Looked> {
    let disk = disk(node)?;
    let about = identify::device(&disk);
    let rules = tse_rules(site);
    if let Some(sign) = tse::of_device(&about, &rules) {
        return Ok(Looked::Tse(sign.to_string()));
    }
    if about.removable != Some(true) {
        return Ok(Looked::NoStick("it is built in".into()));
    }
    if about.size == 0 {
        return Ok(Looked::NoStick("there is no card in the reader".into()));
    }
    let at = stick_at(node)?;
    let judged = at.judge_for(site)?;
    match &judged.verdict.kind {
        VerdictKind::Refused(Reason::Tse { sign }) => Ok(Looked::Tse(sign.to_string())),
        VerdictKind::Refused(Reason::NotRemovable) => Ok(Looked::NoStick("it is built in".into())),
        // Neither a wrong stick nor a right one.
        VerdictKind::Refused(reason @ Reason::NotJudged { .. }) => Err(reason.to_error()),
        VerdictKind::Refused(reason) => Ok(Looked::Refused(reason.clone())),
        VerdictKind::Usable { .. } => {
            let (at, judged) = mendable(site, at, node, judged)?;
            match enrolment::admission(site, &at, &judged, asked)? {
                Admission::Refused(what) => Ok(Looked::Refused(Reason::Stranger { what })),
                admission => Ok(Looked::Usable(Usable {
                    label: judged.identity(&at.path).medium,
                    newest: at.see_as(&judged, site)?.1,
                    enrol: admission != Admission::Welcome,
                })),
            }
        }
    }
}

/// Where a disk, or one of its volumes, is mounted by anybody.
pub fn mounted_at(node: &Path) -> Result<Option<PathBuf>> {
    Ok(block::is_mounted(disk(node)?.disk)?.map(|mount| mount.at))
}

/// A stick to copy to.
#[derive(Debug, Clone)]
pub struct Target {
    /// The whole disk.
    pub node: PathBuf,
    /// Where we have it mounted.
    pub shown_at: Option<PathBuf>,
    /// Where it is to be mounted afterwards.
    pub show_at: Option<PathBuf>,
    /// It is to be enrolled first.
    pub enrol: bool,
    /// Somebody wants it to be.
    pub asked: bool,
}

/// How a copy to a plugged stick went.
#[derive(Debug)]
pub struct Copied {
    /// The copy itself.
    pub copy: CopyDone,
    /// Where the stick is mounted by us now.
    pub shown_at: Option<PathBuf>,
    /// What went wrong after the copy was proven, a line each.
    pub notes: Vec<String>,
    /// Nobody has it mounted for writing: it may be pulled.
    pub may_be_pulled: bool,
}

/// Copies a backup to the stick: takes our own mount away, writes, and then unmounts or shows it as the configuration says.
///
/// # Errors
/// Only that somebody stopped it.
pub(super) fn copy_to(site: &Site, stored: &Stored, target: &Target, record: &mut Record, run: &Run) -> Result<Copied> {
    let mut done = match prepare(site, target) {
        Ok(at) => Copied { copy: copy::to_stick(site, stored, &at, record, run)?, ..nothing_yet() },
        Err(error) => {
            record.falls_short(Outcome::Partly, &format!("{:?}: {}", target.node, error.report()));
            let shown_at = target.shown_at.clone();
            return Ok(Copied { copy: copy::failed(&target.node, &error), shown_at, ..nothing_yet() });
        }
    };
    if let Err(error) = afterwards(site, target, &mut done) {
        done.notes.push(error.report());
    }
    Ok(done)
}

fn nothing_yet() -> Copied {
    Copied { copy: CopyDone::default(), shown_at: None, notes: Vec::new(), may_be_pulled: false }
}

fn prepare(site: &Site, target: &Target) -> Result<StickAt> {
    if let Some(at) = &target.shown_at {
        shown::hide(&site.config.state, at).context(|| format!("cannot take {:?} for the copy", target.node))?;
    }
    let mut at = stick_at(&target.node)?;
    if at.path != target.node {
        let judged = at.judge_for(site)?;
        (at, _) = mendable(site, at, &target.node, judged)?;
    }
    if target.enrol {
        enrolment::let_in(site, &at, target.asked)?;
    }
    Ok(at)
}

/// What another program mounted is used through its mount; what nobody mounted is written by us, and by nobody else
/// meanwhile.
fn stick_at(node: &Path) -> Result<StickAt> {
    let path = mounted_at(node)?.unwrap_or_else(|| node.to_owned());
    Ok(StickAt { path, plain_folder: false })
}

/// A stick of ours that another program mounted, and on which Linux would stumble over what an interrupted backup left, is
/// taken from its mount: we mend it when we write it ourselves.
fn mendable(site: &Site, at: StickAt, node: &Path, judged: Judged) -> Result<(StickAt, Judged)> {
    let torn = judged.torn();
    let Some(first) = torn.first() else { return Ok((at, judged)) };
    let failed = || {
        format!(
            "an interrupted backup left {first:?} in pieces on {node:?}, which cannot be mended while it is mounted"
        )
    };
    mount::release(&at.path).context(failed)?;
    log::warn!("unmounted {:?}: an interrupted backup left {first:?} in pieces there", at.path);
    let at = stick_at(node)?;
    let judged = at.judge_for(site)?;
    Ok((at, judged))
}

fn afterwards(site: &Site, target: &Target, done: &mut Copied) -> Result<()> {
    let theirs = mounted_at(&target.node)?;
    match site.config.sticks.after {
        After::Unmount => {
            if let Some(at) = theirs {
                // The configuration wants it pulled now, and another program that only mounted it loses nothing.
                mount::release(&at)?;
            }
            done.may_be_pulled = done.copy.error.is_none();
        }
        After::Keep if theirs.is_some() => {}
        After::Keep => {
            // Shown for reading only, so it may be pulled at any moment.
            done.may_be_pulled = done.copy.error.is_none();
            if let Some(at) = &target.show_at {
                show(site, &target.node, at)?;
                done.shown_at = Some(at.clone());
            }
        }
    }
    Ok(())
}

/// How long the partitions of a disk that was just written to may be away: udev reads its table anew then.
const AWAY_MAX: Duration = Duration::from_secs(5);
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Mounts the volume that backups are on. A partition that is away, or that udev holds, is waited for.
fn show(site: &Site, node: &Path, at: &Path) -> Result<()> {
    let begun = Instant::now();
    loop {
        match volume(site, node).and_then(|volume| shown::show(&site.config.state, &volume, at)) {
            Err(error) if begun.elapsed() < AWAY_MAX => log::debug!("{node:?} is not mounted yet: {}", error.report()),
            other => return other,
        }
        thread::sleep(LOOK_AGAIN);
    }
}

/// The node of the volume that backups are on.
fn volume(site: &Site, node: &Path) -> Result<PathBuf> {
    let at = StickAt { path: node.to_owned(), plain_folder: false };
    let judged = at.inspect(site)?;
    let offset = judged.volume(node)?.offset;
    let found = match judged.inspection.medium {
        Medium::Device(_) => block::at_offset(&disk(node)?, offset),
        Medium::Image(_) | Medium::Folder { .. } => None,
    };
    found.ok_or_else(|| Error::new(Kind::Missing, format!("the kernel sees no partition at byte {offset} of {node:?}")))
}

fn disk(node: &Path) -> Result<block::Node> {
    use std::os::unix::fs::MetadataExt;
    let meta = std::fs::metadata(node).context(|| format!("cannot find {node:?}"))?;
    block::node(meta.rdev())?.ok_or_else(|| Error::new(Kind::Missing, format!("there is no device behind {node:?}")))
}
