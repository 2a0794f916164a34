//! Formatting a stick: whether it may be done, and where everything goes. Pure: facts in, decision with its reason out.

use std::fmt;

use serde::Serialize;

use super::stick::{DeviceFacts, Look, Problem, Reason, StickFacts, VolumeFacts, tse_sign};
use super::tse::{self, TseRules};
use crate::error::{Error, Kind};
use crate::lang::Lang;

const MIB: u64 = 1 << 20;

/// Partition and data begin on multiples of this: no cluster then straddles two blocks of the flash, which are erased whole.
const ALIGN: u64 = MIB;
/// ... and on these where the blocks are larger.
const ALIGN_LARGE: u64 = 4 * MIB;
/// From this size on they are.
const LARGE: u64 = 4_000_000_000;
/// Sectors before the first table at the least, as every formatter leaves them.
const RESERVED_MIN: u64 = 32;
/// Copies of the table.
pub const TABLES: u64 = 2;
/// FAT32 begins at 65,525 clusters; Microsoft's own advice is to stay away from the border by 16.
const CLUSTERS_MIN: u64 = 65_525 + 16;

/// Cluster sizes by the size of the stick, both in bytes, as Microsoft and `mkfs.fat` choose them.
const CLUSTERS: [(u64, u64); 4] = [(260 * MIB, 512), (8 << 30, 4096), (16 << 30, 8192), (32 << 30, 16_384)];
/// ... and beyond.
const CLUSTER_MAX: u64 = 32_768;

/// Where the parts of a freshly formatted stick lie, counted in sectors.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Layout {
    /// Bytes of a sector.
    pub sector: u32,
    /// The partition's first sector.
    pub start: u32,
    /// How many sectors the partition has.
    pub sectors: u32,
    /// From the partition's first sector to its first table.
    pub reserved: u16,
    /// Sectors of each table.
    pub table: u32,
    /// Sectors of a cluster.
    pub per_cluster: u8,
    /// How many clusters there are.
    pub clusters: u32,
}

impl Layout {
    /// Lays out a device of `size` bytes whose sectors have `sector` bytes.
    pub fn of(size: u64, sector: u32) -> Result<Self, Reason> {
        let too_small = || Reason::TooSmall { need: least(sector), size };
        let bytes = u64::from(sector);
        let align = if size < LARGE { ALIGN } else { ALIGN_LARGE } / bytes;
        // A partition table of this kind counts no further.
        let all = (size / bytes).min(u64::from(u32::MAX));
        let sectors = (all / align * align).checked_sub(align).ok_or_else(too_small)?;
        let usual = CLUSTERS.iter().find(|(limit, _)| size <= *limit).map_or(CLUSTER_MAX, |(_, cluster)| *cluster);
        let mut cluster = usual.max(bytes);
        loop {
            let per_cluster = cluster / bytes;
            // A little more than is needed, for the tables themselves take room: no harm, and no equation to solve.
            let table = ((sectors / per_cluster + 2) * 4).div_ceil(bytes);
            let data = (RESERVED_MIN + TABLES * table).next_multiple_of(align);
            let clusters = sectors.saturating_sub(data) / per_cluster;
            if clusters >= CLUSTERS_MIN {
                return Ok(Self {
                    sector,
                    start: fits(align)?,
                    sectors: fits(sectors)?,
                    reserved: fits(data - TABLES * table)?,
                    table: fits(table)?,
                    per_cluster: fits(per_cluster)?,
                    clusters: fits(clusters)?,
                });
            }
            if per_cluster == 1 {
                return Err(too_small());
            }
            cluster /= 2;
        }
    }

    /// Where the partition begins, in bytes.
    pub fn offset(&self) -> u64 {
        u64::from(self.start) * u64::from(self.sector)
    }

    /// Where the partition ends, in bytes.
    pub fn end(&self) -> u64 {
        self.offset() + u64::from(self.sectors) * u64::from(self.sector)
    }

    /// Where the table with this number begins, in bytes from the partition's start.
    pub fn table_at(&self, number: u64) -> u64 {
        (u64::from(self.reserved) + number * u64::from(self.table)) * u64::from(self.sector)
    }

    /// Where the first cluster, that of the root folder, begins, in bytes from the partition's start.
    pub fn data_at(&self) -> u64 {
        self.table_at(TABLES)
    }

    /// Bytes of a cluster.
    pub fn cluster(&self) -> u32 {
        u32::from(self.per_cluster) * self.sector
    }
}

/// The smallest device that FAT32 can be on, roughly: what a person is told.
fn least(sector: u32) -> u64 {
    (CLUSTERS_MIN * u64::from(sector) + 3 * ALIGN).next_multiple_of(MIB)
}

/// A sector size that no device has leads here, and nowhere else.
fn fits<T: TryFrom<u64>>(number: u64) -> Result<T, Reason> {
    let wrong = || Reason::Unreadable { why: format!("its sectors have a size for which {number} does not fit FAT32") };
    T::try_from(number).map_err(|_| wrong())
}

/// Why a stick is not formatted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Refusal {
    /// For a reason for which no backup would be written to it either.
    Stick(Reason),
    /// A part of a disk was named, and the partition table is made anew.
    NotTheWhole,
    /// Backups are on it, and nobody said that they may go.
    Backups {
        /// Whose.
        of: Vec<String>,
    },
}

/// Decides whether a stick may be formatted. `erase_backups` when somebody said that the backups on it may go.
///
/// Unlike a backup it wants to hear that the device can be unplugged, and what could not be read is no blank page: a TSE
/// may be behind it.
pub fn may_format(facts: &StickFacts, rules: &TseRules, erase_backups: bool) -> Result<(), Refusal> {
    let no = |reason| Err(Refusal::Stick(reason));
    if let Some(sign) = tse_sign(facts, rules) {
        return no(Reason::Tse { sign });
    }
    let device = &facts.device;
    if !device.is_image && device.removable != Some(true) {
        return no(Reason::NotRemovable);
    }
    if let Some(why) = unseen(facts) {
        return no(Reason::Unreadable { why });
    }
    if facts.wanted.is_some() {
        return Err(Refusal::NotTheWhole);
    }
    if device.read_only {
        return no(Reason::ReadOnly);
    }
    let of = backups(facts);
    if !of.is_empty() && !erase_backups {
        return Err(Refusal::Backups { of });
    }
    Ok(())
}

/// Why it is not known what is on the stick. Contents that make no sense were seen all the same.
fn unseen(facts: &StickFacts) -> Option<String> {
    match &facts.look {
        Look::Done => {}
        Look::NotOpened => return Some("nobody looked at it".into()),
        Look::Failed(why) | Look::NotJudged(why) => return Some(why.clone()),
    }
    facts.volumes.iter().find_map(|volume| match &volume.problem {
        Some(Problem::Unreadable(why) | Problem::TooMuch(why)) => Some(why.clone()),
        _ => None,
    })
}

/// Whose backups are on the stick, as far as can be seen.
pub fn backups(facts: &StickFacts) -> Vec<String> {
    let of = |volume: &VolumeFacts| {
        let owner = volume.owner.as_ref();
        let owner = owner.map(|owner| format!("{} / {}", owner.customer.as_str(), owner.box_name.as_str()));
        let boxes: Vec<String> = if owner.is_some() { Vec::new() } else { volume.boxes.clone() };
        owner.into_iter().chain(boxes).collect::<Vec<_>>()
    };
    facts.volumes.iter().flat_map(of).collect()
}

impl Refusal {
    /// What is wrong and what to do, in plain words.
    pub fn text(&self, lang: Lang) -> String {
        let plain = |de: &str, en: &str, es: &str| lang.pick(de, en, es).to_owned();
        match self {
            Self::Stick(Reason::Tse { .. }) => plain(
                "Das ist die TSE der Kasse. Sie wird nie formatiert. Bitte stecken lassen.",
                "This is the till's fiscal security element (TSE). It is never formatted. Leave it in.",
                "Este es el módulo fiscal (TSE) de la caja. Nunca se formatea. Déjelo puesto.",
            ),
            Self::Stick(reason) => reason.text(lang),
            Self::NotTheWhole => plain(
                "Das ist nur ein Teil des Sticks. Bitte den ganzen Stick nennen, etwa /dev/sdb statt /dev/sdb1.",
                "This is only a part of the stick. Name the whole stick, such as /dev/sdb instead of /dev/sdb1.",
                "Esto es solo una parte de la memoria. Indique la memoria entera, p. ej. /dev/sdb en vez de /dev/sdb1.",
            ),
            Self::Backups { .. } => plain(
                "Auf dem Stick liegen Sicherungen. Anderen Stick nehmen, oder mit --erase-backups sagen, dass sie gelöscht werden dürfen.",
                "There are backups on the stick. Use another one, or say --erase-backups if they may be erased.",
                "En la memoria hay respaldos. Use otra, o indique --erase-backups si se pueden borrar.",
            ),
        }
    }

    /// The refusal as an error, with the English text as its remedy.
    pub fn to_error(&self) -> Error {
        let kind = match self {
            Self::Stick(reason) => reason.to_error().kind(),
            Self::NotTheWhole => Kind::Usage,
            Self::Backups { .. } => Kind::Refused,
        };
        Error::new(kind, self.to_string()).help(self.text(Lang::En))
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stick(Reason::TooSmall { need, size }) => {
                write!(f, "the stick has {size} bytes, and FAT32 needs {need}")
            }
            Self::Stick(reason) => write!(f, "{reason}"),
            Self::NotTheWhole => write!(f, "it is a partition, not a whole stick"),
            Self::Backups { of } => write!(f, "backups of {of:?} are on the stick"),
        }
    }
}

/// The name of a formatted stick: what a PC shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label(String);

impl Label {
    /// What a stick is called unless somebody says otherwise.
    pub const USUAL: &str = "TILLSTICK";

    /// The name as it stands on the stick, with blanks after it.
    pub fn bytes(&self) -> [u8; 11] {
        let mut bytes = [b' '; 11];
        for (to, from) in bytes.iter_mut().zip(self.0.bytes()) {
            *to = from;
        }
        bytes
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Label {
    fn default() -> Self {
        Self(Self::USUAL.into())
    }
}

impl std::str::FromStr for Label {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let label = text.trim().to_ascii_uppercase();
        let wrong = |why: &str| {
            Error::new(Kind::Usage, format!("{text:?} cannot be the name of a stick: {why}"))
                .help("one to eleven letters, digits, blanks, - and _")
        };
        if label.is_empty() || label.len() > 11 {
            return Err(wrong("it has not one to eleven characters"));
        }
        if !label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b" -_".contains(&byte)) {
            return Err(wrong("it has other characters"));
        }
        let facts = StickFacts {
            device: DeviceFacts { labels: vec![label.clone()], ..DeviceFacts::default() },
            ..StickFacts::default()
        };
        if tse::of_device(&facts.device, &TseRules::default()).is_some() {
            return Err(wrong("it is the name of a TSE, and the stick would be taken for one"));
        }
        Ok(Self(label))
    }
}
