//! What a path given by a person is: an image file, a block device or a folder; and what is known about it. Opens
//! nothing for writing, and nothing at all when the device's own words already say that it is a TSE.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use nix::unistd::{AccessFlags, access};

use super::Volume;
use super::probe::{Limits, apart};
use crate::error::{Context, Error, Kind, Result};
use crate::host::block::{self, Node};
use crate::policy::stick::{DeviceFacts, Look, StickFacts};
use crate::policy::tse::{self, TseRules};

/// The major number of loop devices: image files under another name.
const LOOP_MAJOR: u64 = 7;

/// What a path is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Medium {
    /// An image file.
    Image(PathBuf),
    /// A block device: a whole disk or a partition.
    Device(PathBuf),
    /// A folder, and the block device that holds it, if one does.
    Folder {
        /// The folder.
        path: PathBuf,
        /// The whole disk below it.
        device: Option<PathBuf>,
    },
}

/// A medium and what was found out about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// What the path is.
    pub medium: Medium,
    /// The image or the whole disk, on which the volumes' offsets count; `None` for a folder on no block device.
    pub disk: Option<PathBuf>,
    /// What was found out; empty for a folder on no block device, which the caller judges.
    pub facts: StickFacts,
}

impl Inspection {
    /// Where the volume with this index lies.
    pub fn volume(&self, index: usize) -> Option<Volume> {
        let facts = self.facts.volumes.get(index)?;
        Some(Volume { path: self.disk.clone()?, offset: facts.offset, size: facts.size })
    }
}

/// Finds out what `path` is and what lies there, for [`crate::policy::stick::judge`].
///
/// Fails with [`Kind::Busy`] when it is a device that somebody has mounted: name the folder instead; and with
/// [`Kind::Io`] when it is the folder of a stick that was pulled out.
pub fn inspect(path: &Path, rules: &TseRules, limits: &Limits) -> Result<Inspection> {
    let path = fs::canonicalize(path).context(|| format!("cannot find {path:?}"))?;
    let meta = fs::metadata(&path).context(|| format!("cannot find {path:?}"))?;
    let kind = meta.file_type();
    if kind.is_file() {
        let facts = look(image(&path, &meta), rules, limits, || open(&path))?;
        return Ok(Inspection { medium: Medium::Image(path.clone()), disk: Some(path), facts });
    }
    if kind.is_block_device() {
        let Some(node) = block::node(meta.rdev())? else {
            return Err(Error::new(Kind::Missing, format!("there is no device behind {path:?}")));
        };
        let mut facts = look(device(&node), rules, limits, || {
            if let Some(mount) = block::is_mounted(node.disk)? {
                return Err(block::mounted(&node.disk_path, &mount));
            }
            block::open_exclusive(&node.disk_path, false)
        })?;
        facts.wanted = node.start;
        return Ok(Inspection { medium: Medium::Device(path), disk: Some(node.disk_path), facts });
    }
    if !kind.is_dir() {
        return Err(Error::new(Kind::Usage, format!("{path:?} is neither an image file, a block device nor a folder")));
    }
    folder(path, meta.dev(), rules, limits)
}

fn folder(path: PathBuf, dev: u64, rules: &TseRules, limits: &Limits) -> Result<Inspection> {
    let Some(node) = block::node(dev)? else {
        if block::was_a_device(dev) {
            return Err(Error::new(
                Kind::Io,
                format!("the stick at {path:?} is gone: it was pulled out or has failed"),
            )
            .help("unmount the folder, plug the stick in again and try again"));
        }
        let medium = Medium::Folder { path, device: None };
        return Ok(Inspection { medium, disk: None, facts: StickFacts::default() });
    };
    let about = device(&node);
    let mut facts = look(about.clone(), rules, limits, || open(&node.disk_path)).unwrap_or_else(|error| {
        // Who may write to a folder need not be allowed to read the disk below it.
        StickFacts { device: about, look: Look::Failed(error.report()), ..StickFacts::default() }
    });
    facts.wanted = Some(node.start.unwrap_or(0));
    let disk = node.disk_path;
    Ok(Inspection { medium: Medium::Folder { path, device: Some(disk.clone()) }, disk: Some(disk), facts })
}

/// Opens and probes a medium unless its own words say that it is a TSE.
///
/// Errors of `open` are passed on; what cannot be read after that is a fact.
fn look(
    device: DeviceFacts,
    rules: &TseRules,
    limits: &Limits,
    open: impl FnOnce() -> Result<File>,
) -> Result<StickFacts> {
    let mut facts = StickFacts { device, ..StickFacts::default() };
    if tse::of_device(&facts.device, rules).is_some() {
        return Ok(facts);
    }
    let file = match open() {
        Ok(file) => file,
        // No medium in the reader, or a device that dies: something to tell the person, not a mistake of theirs.
        Err(error) if error.kind() == Kind::Io && !denied(&error) => {
            facts.look = Look::Failed(error.report());
            return Ok(facts);
        }
        Err(error) => return Err(error),
    };
    // What another program read earlier may still be cached from before the last write.
    let _ = block::forget_clean(&file);
    let size = match block::size(&file) {
        Ok(size) => size,
        Err(error) => {
            facts.look = Look::Failed(error.report());
            return Ok(facts);
        }
    };
    facts.device.size = size;
    match apart::look(&file, size, limits) {
        Ok(Ok((table, volumes))) => (facts.table, facts.volumes, facts.look) = (table, volumes, Look::Done),
        Ok(Err(error)) => facts.look = Look::Failed(error.report()),
        Err(error) => facts.look = Look::NotJudged(error.report()),
    }
    Ok(facts)
}

fn denied(error: &Error) -> bool {
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<std::io::Error>());
    cause.is_some_and(|cause| cause.kind() == std::io::ErrorKind::PermissionDenied)
}

fn open(path: &Path) -> Result<File> {
    File::open(path).context(|| format!("cannot open {path:?} for reading"))
}

fn image(path: &Path, meta: &fs::Metadata) -> DeviceFacts {
    // Root may write to anything: a file without any write permission is meant to be protected all the same.
    let read_only = meta.mode() & 0o222 == 0 || access(path, AccessFlags::W_OK).is_err();
    DeviceFacts { size: meta.len(), read_only, is_image: true, ..DeviceFacts::default() }
}

/// What udev and sysfs tell about the whole disk; on a box without udev, sysfs alone. Opens nothing.
pub fn device(node: &Node) -> DeviceFacts {
    let dir = block::sysfs(node.disk);
    let number = |name| block::attribute(&dir, name).and_then(|text| text.parse::<u64>().ok());
    let mut facts = DeviceFacts {
        size: number("size").unwrap_or(0).saturating_mul(512),
        read_only: number("ro") == Some(1),
        is_image: nix::sys::stat::major(node.disk) == LOOP_MAJOR,
        ..DeviceFacts::default()
    };
    let mut removable = number("removable").map(|removable| removable == 1);
    if let Ok(disk) = udev::Device::from_devnum(udev::DeviceType::Block, node.disk) {
        describe(&disk, &mut facts);
        let on_usb = disk.parent_with_subsystem("usb").is_ok_and(|parent| parent.is_some());
        let is_sd = disk.parent_with_subsystem("mmc").ok().flatten().is_some_and(|card| is_sd_card(&card));
        // Many sticks call themselves fixed disks, and so does every SD card in a slot of the board.
        if on_usb || is_sd {
            removable = Some(true);
        }
    }
    facts.removable = removable;
    facts
}

fn is_sd_card(card: &udev::Device) -> bool {
    card.attribute_value("type").is_some_and(|kind| kind == "SD")
}

fn describe(disk: &udev::Device, facts: &mut DeviceFacts) {
    let text = |value: Option<&OsStr>| {
        let text = value?.to_string_lossy().trim().to_owned();
        (!text.is_empty()).then_some(text)
    };
    let property = |name: &str| text(disk.property_value(name));
    facts.vendor_id = property("ID_VENDOR_ID");
    facts.model_id = property("ID_MODEL_ID");
    facts.vendor = property("ID_VENDOR");
    facts.model = property("ID_MODEL");
    facts.serial = property("ID_SERIAL_SHORT");
    facts.names.extend(property("ID_VENDOR_FROM_DATABASE"));
    facts.positions.extend(property("ID_PATH"));
    facts.labels.extend(property("ID_FS_LABEL"));
    if let Ok(Some(port)) = disk.parent_with_subsystem_devtype("usb", "usb_device") {
        let attribute = |name: &str| text(port.attribute_value(name));
        let fill = |field: &mut Option<String>, name: &str| {
            if field.is_none() {
                *field = attribute(name);
            }
        };
        fill(&mut facts.vendor_id, "idVendor");
        fill(&mut facts.model_id, "idProduct");
        // A bridge chip's own words may stand in ID_VENDOR: the USB strings count beside them.
        facts.names.extend(attribute("manufacturer").into_iter().chain(attribute("product")));
        fill(&mut facts.serial, "serial");
        facts.positions.push(port.sysname().to_string_lossy().into_owned());
    }
    facts.tagged_tse = is_tagged(disk);
    if let Ok(partitions) = partitions(disk) {
        let label = |part: &udev::Device| Some(part.property_value("ID_FS_LABEL")?.to_string_lossy().into_owned());
        facts.labels.extend(partitions.iter().filter_map(label));
        facts.tagged_tse |= partitions.iter().any(is_tagged);
    }
}

/// Whether a udev rule says that it is a TSE (udev-rules/70-tillstick.rules, or one of the box's own).
fn is_tagged(device: &udev::Device) -> bool {
    device.property_value("TILLSTICK_ROLE").is_some_and(|role| role == "tse")
}

fn partitions(disk: &udev::Device) -> std::io::Result<Vec<udev::Device>> {
    let mut partitions = udev::Enumerator::new()?;
    partitions.match_subsystem("block")?;
    partitions.match_parent(disk)?;
    Ok(partitions.scan_devices()?.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tse_known_by_its_usb_ids_is_not_even_opened() {
        let named = TseRules { serials: vec!["0A1B".into()], positions: vec!["1-1.2".into()] };
        let ids = |vendor: &str, model: &str| DeviceFacts {
            vendor_id: Some(vendor.into()),
            model_id: Some(model.into()),
            ..DeviceFacts::default()
        };
        let devices = [
            ids("1370", "0323"),
            ids("04b8", "0638"),
            DeviceFacts { serial: Some("0a1b".into()), ..ids("0951", "1666") },
            DeviceFacts { positions: vec!["1-1.2".into()], ..ids("0951", "1666") },
            DeviceFacts { labels: vec!["SWISSBIT".into()], ..ids("0951", "1666") },
            DeviceFacts { tagged_tse: true, ..ids("0951", "1666") },
        ];
        for device in devices {
            let facts = look(device.clone(), &named, &Limits::default(), || panic!("opened {device:?}")).unwrap();
            assert_eq!(facts.look, Look::NotOpened);
        }
    }

    #[test]
    fn a_reader_without_a_medium_is_a_fact_and_a_missing_right_is_an_error() {
        let fail = |errno: i32| {
            look(DeviceFacts::default(), &TseRules::default(), &Limits::default(), || {
                Err(std::io::Error::from_raw_os_error(errno)).context(|| "cannot open".into())
            })
        };
        assert!(matches!(fail(libc::ENOMEDIUM).unwrap().look, Look::Failed(_)));
        assert_eq!(fail(libc::EACCES).unwrap_err().kind(), Kind::Io);
    }
}
