//! Which disks could be sticks, and when to look again. Opens no device.
//!
//! An event only says "look again": what is plugged in is then read from sysfs as a whole. So an event that got lost in
//! a storm, one that came twice, and a device that was gone before we looked all come to the same.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::error::{Context, Result};

/// Events that are read in one go, so that a storm of them cannot keep the loop busy for ever.
const BATCH_MAX: usize = 4096;

/// A disk that may be a stick.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Disk {
    /// Its node, such as `/dev/sdb`.
    pub node: PathBuf,
    /// Which incarnation of that name it is: another number is another plug, or another card in the reader.
    pub sequence: String,
    /// Size in bytes; 0 for a reader without a card.
    pub size: u64,
}

/// The disks by their names, such as `sdb`.
pub type Disks = BTreeMap<String, Disk>;

/// Tells when block devices come, change or go.
pub struct Watch(udev::MonitorSocket);

impl Watch {
    /// Listens from now on to what udev has finished with.
    pub fn open() -> Result<Self> {
        let listen = || udev::MonitorBuilder::new()?.match_subsystem_devtype("block", "disk")?.listen();
        Ok(Self(listen().context(|| "cannot listen for devices that are plugged in".into())?))
    }

    /// Reads what has come. Says whether anything did.
    pub fn drain(&self) -> bool {
        self.0.iter().take(BATCH_MAX).count() > 0
    }
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// All disks that udev is done with and that could be sticks: not those made of files or memory, no CD drives.
pub fn disks() -> Result<Disks> {
    let scan = || {
        let mut block = udev::Enumerator::new()?;
        block.match_subsystem("block")?;
        block.match_property("DEVTYPE", "disk")?;
        block.match_is_initialized()?;
        Ok(block.scan_devices()?.filter_map(|device| disk(&device)).collect())
    };
    std::io::Result::context(scan(), || "cannot list the disks".into())
}

fn disk(device: &udev::Device) -> Option<(String, Disk)> {
    let property = |name: &str| Some(device.property_value(name)?.to_string_lossy().into_owned());
    let is_cd = property("ID_CDROM").is_some() || property("ID_TYPE").is_some_and(|kind| kind == "cd");
    if device.syspath().starts_with("/sys/devices/virtual") || is_cd {
        return None;
    }
    let attribute = |name: &str| Some(device.attribute_value(name)?.to_string_lossy().into_owned());
    // Kernels before 5.15 number no disks; the moment udev first saw it does.
    let sequence = attribute("diskseq").or_else(|| property("USEC_INITIALIZED"))?;
    let sectors: u64 = attribute("size").and_then(|text| text.trim().parse().ok()).unwrap_or(0);
    let name = device.sysname().to_str()?.to_owned();
    let node = device.devnode().map(Path::to_owned)?;
    Some((name, Disk { node, sequence, size: sectors.saturating_mul(512) }))
}

/// What is different from before, by the disks' names: those that went, then those that came. One that came again
/// under its name is in both.
pub fn changes(before: &Disks, now: &Disks) -> (Vec<String>, Vec<String>) {
    let differs = |one: &Disks, other: &Disks| -> Vec<String> {
        one.iter().filter(|(name, disk)| other.get(*name) != Some(disk)).map(|(name, _)| name.clone()).collect()
    };
    (differs(before, now), differs(now, before))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disks(all: &[(&str, &str, u64)]) -> Disks {
        let one = |(name, sequence, size): &(&str, &str, u64)| {
            let disk = Disk { node: Path::new("/dev").join(name), sequence: (*sequence).to_owned(), size: *size };
            ((*name).to_owned(), disk)
        };
        all.iter().map(one).collect()
    }

    #[test]
    fn a_stick_that_was_pulled_and_plugged_again_between_two_looks_went_and_came() {
        let before = disks(&[("sda", "1", 8), ("sdb", "2", 8), ("sdc", "3", 0)]);
        for (now, gone, come) in [
            (disks(&[("sda", "1", 8), ("sdb", "2", 8), ("sdc", "3", 0)]), vec![], vec![]),
            (disks(&[("sda", "1", 8), ("sdb", "4", 8), ("sdc", "3", 0)]), vec!["sdb"], vec!["sdb"]),
            (disks(&[("sda", "1", 8), ("sdb", "2", 8), ("sdc", "3", 64)]), vec!["sdc"], vec!["sdc"]),
            (disks(&[("sdd", "5", 8)]), vec!["sda", "sdb", "sdc"], vec!["sdd"]),
        ] {
            let gone = gone.into_iter().map(str::to_owned).collect::<Vec<_>>();
            let come = come.into_iter().map(str::to_owned).collect::<Vec<_>>();
            assert_eq!(changes(&before, &now), (gone, come));
        }
    }
}
