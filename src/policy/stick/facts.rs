//! What is known about a stick before anybody decides: plain data. Every text in it may come from an attacker.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::FileName;

/// All that was found out about one stick.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct StickFacts {
    /// The device or image as a whole.
    pub device: DeviceFacts,
    /// How far the medium was read.
    pub look: Look,
    /// How the medium is divided.
    pub table: PartitionTable,
    /// Its volumes, in the order of the table.
    pub volumes: Vec<VolumeFacts>,
    /// The person named one volume: where it begins, in bytes. `None`: any volume will do.
    pub wanted: Option<u64>,
}

/// What udev and sysfs tell without touching the medium.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct DeviceFacts {
    /// `ID_VENDOR_ID`, four hex digits.
    pub vendor_id: Option<String>,
    /// `ID_MODEL_ID`, four hex digits.
    pub model_id: Option<String>,
    /// `ID_VENDOR`.
    pub vendor: Option<String>,
    /// `ID_MODEL`.
    pub model: Option<String>,
    /// Other names that the device goes by: its USB strings, and the name of its vendor's id.
    pub names: Vec<String>,
    /// `ID_SERIAL_SHORT`; cheap sticks share one.
    pub serial: Option<String>,
    /// Where it is plugged: `ID_PATH` and the name of the USB port.
    pub positions: Vec<String>,
    /// The volume labels that udev read when the device appeared.
    pub labels: Vec<String>,
    /// A udev rule says that it is a TSE: `TILLSTICK_ROLE`, of the disk or one of its partitions.
    pub tagged_tse: bool,
    /// Size in bytes.
    pub size: u64,
    /// A write-protect switch, or an image file without write permission.
    pub read_only: bool,
    /// Whether it can be unplugged; `None` when nobody tells.
    pub removable: Option<bool>,
    /// An image file, or a loop device over one.
    pub is_image: bool,
}

/// How far the medium was read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Look {
    /// Not opened at all: what udev tells was enough, or nobody looked yet.
    #[default]
    NotOpened,
    /// As far as was needed.
    Done,
    /// The medium could not be read, and why.
    Failed(String),
    /// Whoever was to look did not come back with an answer, and why: nothing is known of what lies there.
    NotJudged(String),
}

/// How a medium is divided.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PartitionTable {
    /// No table: the file system begins at the first byte ("superfloppy"), or there is none.
    #[default]
    None,
    /// A master boot record, perhaps with logical partitions.
    Mbr,
    /// A GUID partition table; `backup` when only its second copy is sound.
    Gpt {
        /// The first copy is damaged.
        backup: bool,
    },
    /// There is one, but it cannot be believed.
    Damaged,
}

/// What a volume is formatted with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FsKind {
    /// 65,525 clusters or more.
    Fat32,
    /// 4,085 clusters or more.
    Fat16,
    /// Fewer clusters.
    Fat12,
    /// exFAT.
    ExFat,
    /// NTFS.
    Ntfs,
    /// ext2, ext3 or ext4.
    Ext,
    /// Nothing but zeros at its beginning.
    Blank,
    /// Something else.
    #[default]
    Unknown,
}

impl FsKind {
    /// The name people know it by.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fat32 => "FAT32",
            Self::Fat16 => "FAT16",
            Self::Fat12 => "FAT12",
            Self::ExFat => "exFAT",
            Self::Ntfs => "NTFS",
            Self::Ext => "ext2/3/4",
            Self::Blank => "no file system",
            Self::Unknown => "an unknown file system",
        }
    }
}

/// What was found in one volume.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VolumeFacts {
    /// Where it begins, in bytes from the start of the device.
    pub offset: u64,
    /// How many bytes of the device belong to it.
    pub size: u64,
    /// How many bytes the file system claims to have (0: not known).
    pub declared_size: u64,
    /// What it is formatted with.
    pub kind: FsKind,
    /// The label in the root folder.
    pub label: Option<String>,
    /// The label in the boot sector.
    pub boot_label: Option<String>,
    /// The volume's serial number, `ABCD-1234`.
    pub uuid: Option<String>,
    /// Bytes per cluster (0: not FAT).
    pub cluster_size: u32,
    /// Free bytes as the volume itself counts them; `None` when that count cannot be true.
    pub free: Option<u64>,
    /// The volume was not closed properly, or is mounted; no proof of damage.
    pub dirty: bool,
    /// The root folder; files that give away a TSE first, then as many as fit the limit.
    pub root: Vec<RootEntry>,
    /// Who uses this stick: `TILLSTICK/stick.json`.
    pub owner: Option<StickNote>,
    /// Why there is no owner although there is a `TILLSTICK/stick.json`.
    pub owner_problem: Option<String>,
    /// The folders in `TILLSTICK`: the boxes that have backups here.
    pub boxes: Vec<String>,
    /// Why the volume cannot be trusted.
    pub problem: Option<Problem>,
    /// What is wrong with single files of ours; the next write mends it.
    pub flaws: Vec<Problem>,
}

/// One name in the root folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RootEntry {
    /// The long name, or the short one if there is no other.
    pub name: String,
    /// Size in bytes; 0 for a folder.
    pub size: u32,
    /// A folder.
    pub is_dir: bool,
}

/// Why a volume or a file in it cannot be trusted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Problem {
    /// The boot sector makes no sense.
    BootSector(String),
    /// Laid out as FAT32, with fewer clusters than that takes.
    TooFewClusters(u32),
    /// The cluster chain of a file or folder is broken.
    Chain {
        /// Which file or folder.
        of: String,
        /// How.
        fault: ChainFault,
    },
    /// Two names lead to the same data.
    CrossLink {
        /// One name.
        first: String,
        /// The other.
        second: String,
    },
    /// Two partitions share sectors.
    Overlap,
    /// The partition ends behind the end of the device.
    BeyondDevice {
        /// Where it would end, in bytes.
        end: u64,
    },
    /// There is a file system over the whole device and a partition table with another one.
    Ambiguous,
    /// What is written in it does not fit together.
    Contradiction(String),
    /// Reading on would have passed a limit.
    TooMuch(String),
    /// The device did not give the data.
    Unreadable(String),
}

/// How a cluster chain is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChainFault {
    /// It runs in a circle.
    Loop,
    /// It leads to a cluster that the volume does not have.
    OutOfRange(u32),
    /// It leads to a cluster that counts as free.
    Free(u32),
    /// It leads to a cluster marked as bad.
    Bad(u32),
    /// It is shorter than the file.
    Short,
}

/// `TILLSTICK/stick.json`: who uses this stick.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StickNote {
    /// The form of this file: 1.
    pub format: u32,
    /// The customer number.
    pub customer: FileName,
    /// The box that wrote the file first.
    #[serde(rename = "box")]
    pub box_name: FileName,
    /// That box's random id, 32 hex digits.
    pub box_id: String,
    /// When the file was made.
    #[serde(default)]
    pub made: Option<Timestamp>,
}

impl StickNote {
    /// The form that is written now.
    pub const FORMAT: u32 = 1;
    /// The longest file that is read, in bytes; a real one has about 200.
    pub const MAX: u32 = 64 << 10;

    /// Reads the file's bytes. Fields of later forms are passed over. The error says what is wrong, in one line.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let note: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if note.box_id.len() != 32 || !note.box_id.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err("box_id is not 32 hex digits".into());
        }
        Ok(note)
    }
}
