//! Why a stick is refused: for the log in English with every detail, for the person at the till in their language.

use std::fmt;

use serde::Serialize;

use super::facts::{ChainFault, FsKind, Problem};
use crate::error::{Error, Kind};
use crate::lang::Lang;
use crate::model::FileName;
use crate::policy::enrol::Stranger;
use crate::policy::tse::TseSign;

/// Why a stick must not be written to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// It is the till's fiscal security element.
    Tse {
        /// What gave it away.
        sign: TseSign,
    },
    /// It is built in: a disk of the box, not a stick.
    NotRemovable,
    /// It cannot be read.
    Unreadable {
        /// What the system said.
        why: String,
    },
    /// What lies on it could not be judged.
    NotJudged {
        /// What happened to whoever looked.
        why: String,
    },
    /// There is no file system on it.
    Blank,
    /// It is not formatted with FAT32.
    WrongFilesystem {
        /// What it is formatted with.
        found: FsKind,
    },
    /// The file system ends behind the end of the device: a faked capacity, or an image that was cut off.
    VolumeLargerThanDevice {
        /// Where the file system ends, in bytes from the start of the device.
        end: u64,
        /// The size of the device, in bytes.
        size: u64,
    },
    /// What lies on it contradicts itself.
    Damaged {
        /// What.
        what: Problem,
    },
    /// It is write-protected.
    ReadOnly,
    /// It can never hold the backup.
    TooSmall {
        /// Bytes to be written.
        need: u64,
        /// Bytes of the volume.
        size: u64,
    },
    /// Another customer's backups are on it.
    OtherCustomer {
        /// Whose.
        customer: FileName,
        /// The box that made them.
        box_name: FileName,
    },
    /// It is none of this box's own.
    Stranger {
        /// In what way.
        what: Stranger,
    },
    /// The backups of another box with our name are on it.
    OtherBox {
        /// The name that both have.
        box_name: FileName,
        /// The other's id.
        box_id: String,
    },
}

/// What a person should know although it decides nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Note {
    /// The first copy of the partition table is damaged.
    TableFromBackup,
    /// `TILLSTICK/stick.json` is there but cannot be read.
    OwnerUnreadable {
        /// Why.
        why: String,
    },
    /// These boxes have backups on the stick.
    Boxes {
        /// Their names.
        names: Vec<String>,
    },
    /// Something is wrong with single files of ours.
    Flaw {
        /// What.
        what: Problem,
    },
}

impl Reason {
    /// What is wrong and what to do, in plain words.
    pub fn text(&self, lang: Lang) -> String {
        let plain = |de: &str, en: &str, es: &str| lang.pick(de, en, es).to_owned();
        match self {
            Self::Tse { .. } => plain(
                "Das ist die TSE der Kasse. Bitte stecken lassen und für die Sicherung einen anderen Stick nehmen.",
                "This is the till's fiscal security element (TSE). Leave it in and use another stick for the backup.",
                "Este es el módulo fiscal (TSE) de la caja. Déjelo puesto y use otra memoria USB para la copia.",
            ),
            Self::NotRemovable => plain(
                "Das ist eine eingebaute Festplatte, kein Stick. Bitte einen USB-Stick nehmen.",
                "This is a built-in disk, not a stick. Please use a USB stick.",
                "Este es un disco interno, no una memoria USB. Use una memoria USB.",
            ),
            Self::Unreadable { .. } => plain(
                "Der Stick lässt sich nicht lesen. Bitte noch einmal einstecken; hilft das nicht, einen anderen nehmen.",
                "The stick cannot be read. Plug it in again; if that does not help, use another one.",
                "No se puede leer la memoria USB. Vuelva a conectarla; si no ayuda, use otra.",
            ),
            Self::NotJudged { .. } => plain(
                "Der Stick ließ sich nicht beurteilen und bleibt unberührt. Bitte noch einmal einstecken; hilft das nicht, einen anderen nehmen.",
                "The stick could not be judged and stays untouched. Plug it in again; if that does not help, use another one.",
                "No se pudo evaluar la memoria USB y no se toca. Vuelva a conectarla; si no ayuda, use otra.",
            ),
            Self::Blank => plain(
                "Der Stick ist nicht formatiert. Bitte am PC mit FAT32 formatieren.",
                "The stick is not formatted. Please format it with FAT32 on a PC.",
                "La memoria USB no tiene formato. Formatéela con FAT32 en un PC.",
            ),
            Self::WrongFilesystem { found: FsKind::Unknown } => plain(
                "Der Stick hat ein unbekanntes Format. Gebraucht wird FAT32: anderen Stick nehmen oder diesen am PC mit FAT32 formatieren (dabei geht sein Inhalt verloren).",
                "The stick has an unknown format. FAT32 is needed: use another stick, or format this one with FAT32 on a PC (which erases it).",
                "La memoria USB tiene un formato desconocido. Se necesita FAT32: use otra o formatee esta con FAT32 en un PC (se borra su contenido).",
            ),
            Self::WrongFilesystem { found } => wrong_filesystem(*found, lang),
            Self::VolumeLargerThanDevice { end, size } => larger(*end, *size, lang),
            Self::Damaged { .. } => plain(
                "Der Inhalt des Sticks ist beschädigt. Bitte am PC prüfen lassen oder einen anderen Stick nehmen.",
                "What is on the stick is damaged. Have a PC check it, or use another stick.",
                "El contenido de la memoria USB está dañado. Compruébela en un PC o use otra.",
            ),
            Self::ReadOnly => plain(
                "Der Stick ist schreibgeschützt. Bitte den Schalter am Stick umlegen oder einen anderen nehmen.",
                "The stick is write-protected. Move the switch on the stick, or use another one.",
                "La memoria USB está protegida contra escritura. Mueva su interruptor o use otra.",
            ),
            Self::TooSmall { need, size } => too_small(*need, *size, lang),
            Self::OtherCustomer { customer, .. } => other_customer(customer, lang),
            Self::Stranger { what: Stranger::Unknown } => plain(
                "Dieser Stick ist hier nicht angemeldet. Einen angemeldeten nehmen, oder diesen anmelden: `tillstick stick enroll`.",
                "This stick is not enrolled here. Use one that is, or enrol this one: `tillstick stick enroll`.",
                "Esta memoria USB no está registrada aquí. Use una registrada o registre esta: `tillstick stick enroll`.",
            ),
            Self::Stranger { .. } => plain(
                "Dieser Stick gibt sich als ein angemeldeter aus, ist es aber nicht. Wer ihn trotzdem benutzen will, meldet ihn neu an: `tillstick stick enroll`.",
                "This stick passes for an enrolled one and is not. To use it all the same, enrol it anew: `tillstick stick enroll`.",
                "Esta memoria USB se hace pasar por una registrada y no lo es. Para usarla de todos modos, regístrela de nuevo: `tillstick stick enroll`.",
            ),
            Self::OtherBox { box_name, .. } => other_box(box_name, lang),
        }
    }

    /// The refusal as an error, with the English text as its remedy.
    pub fn to_error(&self) -> Error {
        let kind = match self {
            Self::Unreadable { .. } | Self::NotJudged { .. } => Kind::Io,
            Self::Damaged { .. } | Self::VolumeLargerThanDevice { .. } => Kind::Damaged,
            Self::TooSmall { .. } => Kind::NoSpace,
            _ => Kind::Refused,
        };
        Error::new(kind, self.to_string()).help(self.text(Lang::En))
    }
}

fn wrong_filesystem(found: FsKind, lang: Lang) -> String {
    let found = found.name();
    match lang {
        Lang::De => format!(
            "Der Stick ist mit {found} formatiert, gebraucht wird FAT32. Anderen Stick nehmen oder diesen am PC mit FAT32 formatieren (dabei geht sein Inhalt verloren)."
        ),
        Lang::En => format!(
            "The stick is formatted with {found}, but FAT32 is needed. Use another stick, or format this one with FAT32 on a PC (which erases it)."
        ),
        Lang::Es => format!(
            "La memoria USB tiene formato {found}, pero se necesita FAT32. Use otra o formatee esta con FAT32 en un PC (se borra su contenido)."
        ),
    }
}

fn larger(end: u64, size: u64, lang: Lang) -> String {
    let (end, size) = (human(end, lang), human(size, lang));
    match lang {
        Lang::De => format!(
            "Der Stick gibt sich als {end} aus, hat aber nur {size}. Vermutlich eine Fälschung: bitte einen anderen nehmen."
        ),
        Lang::En => {
            format!("The stick pretends to hold {end} but has only {size}. It may be a fake: please use another one.")
        }
        Lang::Es => {
            format!("La memoria USB dice tener {end}, pero solo tiene {size}. Puede ser una falsificación: use otra.")
        }
    }
}

fn too_small(need: u64, size: u64, lang: Lang) -> String {
    let (need, size) = (human(need, lang), human(size, lang));
    match lang {
        Lang::De => {
            format!("Der Stick ist zu klein: die Sicherung braucht {need}, er hat {size}. Bitte einen größeren nehmen.")
        }
        Lang::En => format!("The stick is too small: the backup needs {need}, it has {size}. Please use a larger one."),
        Lang::Es => {
            format!("La memoria USB es demasiado pequeña: la copia necesita {need} y tiene {size}. Use una mayor.")
        }
    }
}

fn other_customer(customer: &FileName, lang: Lang) -> String {
    match lang {
        Lang::De => format!(
            "Auf dem Stick liegen Sicherungen des Kunden {customer}. Sie bleiben unberührt; bitte einen anderen Stick nehmen."
        ),
        Lang::En => {
            format!("Backups of customer {customer} are on this stick. They stay untouched; please use another stick.")
        }
        Lang::Es => {
            format!("En esta memoria USB hay copias del cliente {customer}. No se tocan; use otra memoria USB.")
        }
    }
}

fn other_box(box_name: &FileName, lang: Lang) -> String {
    match lang {
        Lang::De => format!(
            "Auf dem Stick liegen Sicherungen einer anderen Kasse, die auch {box_name} heißt. Anderen Stick nehmen oder diesen ausdrücklich übernehmen."
        ),
        Lang::En => format!(
            "Backups of another till that is also called {box_name} are on this stick. Use another stick, or adopt this one explicitly."
        ),
        Lang::Es => format!(
            "En esta memoria USB hay copias de otra caja que también se llama {box_name}. Use otra, o adopte esta expresamente."
        ),
    }
}

/// Sizes as they are printed on a stick: powers of 1000, one decimal below 10.
fn human(bytes: u64, lang: Lang) -> String {
    let mut unit_bytes = 1_u64;
    let mut unit = "B";
    for (next_bytes, next) in [(1_000, "kB"), (1_000_000, "MB"), (1_000_000_000, "GB"), (1_000_000_000_000, "TB")] {
        if bytes >= next_bytes {
            (unit_bytes, unit) = (next_bytes, next);
        }
    }
    let whole = bytes / unit_bytes;
    let tenth = bytes % unit_bytes / (unit_bytes / 10).max(1);
    let point = lang.pick(",", ".", ",");
    if whole < 10 && unit_bytes > 1 { format!("{whole}{point}{tenth} {unit}") } else { format!("{whole} {unit}") }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tse { sign } => write!(f, "the stick is a TSE ({sign})"),
            Self::NotRemovable => write!(f, "the device is a built-in disk"),
            Self::Unreadable { why } => write!(f, "the stick cannot be read: {why}"),
            Self::NotJudged { why } => write!(f, "the stick cannot be judged and is not touched: {why}"),
            Self::Blank => write!(f, "there is no file system on the stick"),
            Self::WrongFilesystem { found } => write!(f, "the stick has {}, not FAT32", found.name()),
            Self::VolumeLargerThanDevice { end, size } => {
                write!(f, "the volume ends at byte {end}, the device at byte {size}")
            }
            Self::Damaged { what } => write!(f, "the stick is damaged: {what}"),
            Self::ReadOnly => write!(f, "the stick is write-protected"),
            Self::TooSmall { need, size } => write!(f, "the volume has {size} bytes, the backup needs {need}"),
            Self::OtherCustomer { customer, box_name } => {
                write!(f, "the stick belongs to customer {:?} (box {:?})", customer.as_str(), box_name.as_str())
            }
            Self::Stranger { what: Stranger::Unknown } => write!(f, "the stick is not enrolled"),
            Self::Stranger { what: Stranger::WithoutToken } => {
                write!(f, "the stick has the serial number and file system of an enrolled one, and not its token")
            }
            Self::Stranger { what: Stranger::CopiedToken } => write!(f, "the stick has the token of another stick"),
            Self::OtherBox { box_name, box_id } => {
                write!(f, "the stick belongs to another box {:?} with the id {box_id:?}", box_name.as_str())
            }
        }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TableFromBackup => write!(f, "the first copy of the partition table is damaged, the second was used"),
            Self::OwnerUnreadable { why } => write!(f, "TILLSTICK/stick.json cannot be read: {why}"),
            Self::Boxes { names } => write!(f, "boxes with backups on the stick: {names:?}"),
            Self::Flaw { what } => write!(f, "{what}"),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BootSector(why) | Self::Contradiction(why) | Self::TooMuch(why) | Self::Unreadable(why) => {
                write!(f, "{why}")
            }
            Self::TooFewClusters(clusters) => {
                write!(f, "it is laid out as FAT32 but has only {clusters} clusters, which other systems read as FAT16")
            }
            Self::Chain { of, fault } => write!(f, "the cluster chain of {of:?} {fault}"),
            Self::CrossLink { first, second } => write!(f, "{first:?} and {second:?} share their data"),
            Self::Overlap => write!(f, "two partitions overlap"),
            Self::BeyondDevice { end } => write!(f, "a partition ends at byte {end}, behind the end of the device"),
            Self::Ambiguous => write!(f, "it has both a partition table and a file system without one"),
        }
    }
}

impl fmt::Display for ChainFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Loop => write!(f, "runs in a circle"),
            Self::OutOfRange(cluster) => write!(f, "leads to cluster {cluster}, which does not exist"),
            Self::Free(cluster) => write!(f, "leads to the free cluster {cluster}"),
            Self::Bad(cluster) => write!(f, "leads to the bad cluster {cluster}"),
            Self::Short => write!(f, "is shorter than the file"),
        }
    }
}
