//! Formatting a stick with FAT32: first what is on it is shown, then, when somebody has confirmed just that, it is erased.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::copy::forget_medium;
use super::stick::tse_rules;
use super::{Site, StickAt};
use crate::error::{Context, Error, Kind, Result};
use crate::host::{block, entropy};
use crate::model::Run;
use crate::policy::format::{Label, Layout, Refusal, backups, may_format};
use crate::policy::stick::{StickFacts, VolumeFacts};
use crate::policy::tse::TseRules;
use crate::stick::format::{self, Name};
use crate::stick::identify::{self, Inspection, Medium};
use crate::stick::mount as shown;

/// So many names of files are shown of each volume.
const FILES_SHOWN: usize = 8;

/// What somebody wants to be formatted.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// An image file, or the node of a whole disk.
    pub path: PathBuf,
    /// What the stick shall be called.
    pub label: Label,
    /// The backups on it may go.
    pub erase_backups: bool,
}

/// What is on a stick that may be formatted: what a person is shown before they confirm it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Plan {
    /// The image file or the disk's node.
    pub device: PathBuf,
    /// Who made it.
    pub maker: Option<String>,
    /// What they call it.
    pub model: Option<String>,
    /// Its serial number.
    pub serial: Option<String>,
    /// Size in bytes.
    pub size: u64,
    /// What will be lost.
    pub volumes: Vec<Lost>,
    /// Whose backups are among it.
    pub backups: Vec<String>,
    /// Stands for all of this: formatting is refused when the stick is another by then.
    pub ticket: String,
}

/// One volume that will be lost.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Lost {
    /// What it is formatted with.
    pub filesystem: String,
    /// What it is called.
    pub label: Option<String>,
    /// Size in bytes.
    pub size: u64,
    /// Some of the names in its root folder. Of other file systems than FAT none are known.
    pub files: Vec<String>,
    /// How many more there are.
    pub more: usize,
}

/// A stick that was formatted.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Formatted {
    /// The image file or the disk's node.
    pub device: PathBuf,
    /// What the stick is called.
    pub label: String,
    /// Its file system's id.
    pub uuid: String,
    /// Size of the file system in bytes.
    pub size: u64,
    /// Bytes of a cluster.
    pub cluster: u32,
    /// Whether the kernel knows the new partition; if not, the stick must be plugged in again before it can be mounted.
    pub known: bool,
}

/// Whether it is a disk that may be plugged into the box, and so one of which a running agent knows.
pub fn is_for_agent(path: &Path) -> bool {
    let node = fs::metadata(path).ok().filter(|meta| meta.file_type().is_block_device());
    let node = node.and_then(|meta| block::node(meta.rdev()).ok()?);
    node.is_some_and(|node| !identify::device(&node).is_image)
}

/// Looks at what would be lost. Nothing is written, and a mount of ours stays.
///
/// # Errors
/// Why it is not formatted.
pub fn plan(site: Option<&Site>, wanted: &Wanted) -> Result<Plan> {
    let (inspection, ticket) = look(site, wanted)?;
    Layout::of(inspection.facts.device.size, sector(&inspection))
        .map_err(|reason| refused(&Refusal::Stick(reason), wanted))?;
    let facts = &inspection.facts;
    let of_udev = facts.device.labels.first().filter(|_| facts.volumes.len() == 1);
    let lost = |volume: &VolumeFacts| Lost {
        filesystem: volume.kind.name().to_owned(),
        label: volume.label.as_ref().or(volume.boot_label.as_ref()).or(of_udev).cloned(),
        size: volume.size,
        files: volume.root.iter().map(|entry| entry.name.clone()).take(FILES_SHOWN).collect(),
        more: volume.root.len().saturating_sub(FILES_SHOWN),
    };
    Ok(Plan {
        device: wanted.path.clone(),
        maker: facts.device.vendor.clone(),
        model: facts.device.model.clone(),
        serial: facts.device.serial.clone(),
        size: facts.device.size,
        volumes: facts.volumes.iter().map(lost).collect(),
        backups: backups(facts),
        ticket,
    })
}

/// Formats the stick of which a [`plan`] gave the ticket.
///
/// # Errors
/// [`Kind::Refused`] when it is another stick, or has other content, than the plan showed.
pub fn carry_out(site: Option<&Site>, wanted: &Wanted, ticket: &str, run: &Run) -> Result<Formatted> {
    if let Some((site, mount)) = ours(site, &wanted.path)? {
        shown::hide(&site.config.state, &mount.at).context(|| format!("cannot take {:?} away", mount.at))?;
    }
    let (inspection, now) = look(site, wanted)?;
    if now != ticket {
        return Err(Error::new(Kind::Refused, format!("{:?} is not what was shown and confirmed", wanted.path))
            .help("another stick was plugged in, or something was written to it: look at it again"));
    }
    let facts = &inspection.facts;
    let size = facts.device.size;
    let layout = Layout::of(size, sector(&inspection)).map_err(|reason| refused(&Refusal::Stick(reason), wanted))?;
    let name = Name { label: wanted.label.clone(), id: u32::from_le_bytes(entropy::bytes()?).max(1) };
    let disk = inspection.disk.clone().unwrap_or_else(|| wanted.path.clone());
    // Before the first byte goes: what is thought to be there decides what may be deleted elsewhere.
    forget_copies(site, &disk, facts, run);
    let known = format::format(&disk, size, &layout, &name, &facts.volumes, run)?;
    log::info!("{disk:?} was formatted and is called {:?}, {}", name.label.as_str(), name.uuid());
    Ok(Formatted {
        device: wanted.path.clone(),
        label: name.label.as_str().to_owned(),
        uuid: name.uuid(),
        size: layout.end() - layout.offset(),
        cluster: layout.cluster(),
        known: known || matches!(inspection.medium, Medium::Image(_)),
    })
}

fn forget_copies(site: Option<&Site>, disk: &Path, facts: &StickFacts, run: &Run) {
    let Some(site) = site else { return };
    let uuids = facts.volumes.iter().filter_map(|volume| volume.uuid.clone());
    for medium in uuids.chain([disk.display().to_string()]) {
        forget_medium(site, &medium, run);
    }
}

/// Looks at the stick, judges whether it may be formatted, and makes the ticket of what was seen.
fn look(site: Option<&Site>, wanted: &Wanted) -> Result<(Inspection, String)> {
    let meta = fs::metadata(&wanted.path).context(|| format!("cannot find {:?}", wanted.path))?;
    if meta.is_dir() {
        return Err(Error::new(Kind::Usage, format!("{:?} is a folder", wanted.path))
            .help("name the whole stick, such as /dev/sdb"));
    }
    let rules = site.map_or_else(TseRules::default, tse_rules);
    // A device that we have mounted is held by the kernel, and can be looked at through its mount alone.
    let shown_at = ours(site, &wanted.path)?.map(|(_, mount)| mount.at);
    let at = StickAt { path: shown_at.clone().unwrap_or_else(|| wanted.path.clone()), plain_folder: false };
    let mut inspection = at.look_with(&rules)?;
    if shown_at.is_some() {
        inspection.facts.wanted = part_start(&wanted.path)?;
    }
    may_format(&inspection.facts, &rules, wanted.erase_backups).map_err(|refusal| refused(&refusal, wanted))?;
    let ticket = ticket(&inspection)?;
    Ok((inspection, ticket))
}

fn refused(refusal: &Refusal, wanted: &Wanted) -> Error {
    let result: Result<()> = Err(refusal.to_error());
    result.context(|| format!("{:?} is not formatted", wanted.path)).expect_err("an error was put in")
}

/// The mount of ours through which the stick is shown, if it is.
fn ours<'a>(site: Option<&'a Site>, path: &Path) -> Result<Option<(&'a Site, block::Mount)>> {
    let meta = fs::metadata(path).context(|| format!("cannot find {path:?}"))?;
    if !meta.file_type().is_block_device() {
        return Ok(None);
    }
    let Some(node) = block::node(meta.rdev())? else { return Ok(None) };
    let mount = block::is_mounted(node.disk)?;
    Ok(site.and_then(|site| Some((site, mount.filter(|mount| shown::is_ours(&site.config.state, mount))?))))
}

fn part_start(path: &Path) -> Result<Option<u64>> {
    let meta = fs::metadata(path).context(|| format!("cannot find {path:?}"))?;
    Ok(block::node(meta.rdev())?.and_then(|node| node.start))
}

fn sector(inspection: &Inspection) -> u32 {
    let disk = inspection.disk.as_deref().and_then(|disk| fs::metadata(disk).ok());
    match disk {
        Some(meta) if meta.file_type().is_block_device() => block::sector(meta.rdev()),
        _ => 512,
    }
}

/// The same for the same stick with the same content, as far as anybody looked.
fn ticket(inspection: &Inspection) -> Result<String> {
    let disk = inspection.disk.as_deref().unwrap_or(Path::new(""));
    let meta = fs::metadata(disk).context(|| format!("cannot find {disk:?}"))?;
    // Another plug under the same name is another number.
    let plug = block::attribute(&block::sysfs(meta.rdev()), "diskseq");
    let facts = StickFacts { wanted: None, ..inspection.facts.clone() };
    let seen = serde_json::to_vec(&(disk, meta.rdev(), plug, facts)).expect("plain data");
    Ok(Sha256::digest(&seen)[..16].iter().map(|byte| format!("{byte:02x}")).collect())
}
