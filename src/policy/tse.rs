//! Recognises a TSE (the till's fiscal security element), which looks like a USB stick and must never be touched.
//! Any one sign is enough: refusing a stick that is none costs a sentence, writing to one that is closes the shop.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::stick::{DeviceFacts, VolumeFacts};

/// Swissbit's USB vendor id, as in the usb.ids list.
const SWISSBIT_VENDOR_ID: &str = "1370";
/// Epson's TSE stick: USB vendor and product.
const EPSON_IDS: (&str, &str) = ("04b8", "0638");

/// Elements that the configuration names because nothing else tells them apart.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TseRules {
    /// Serial numbers as udev shows them (`ID_SERIAL_SHORT`).
    #[serde(default)]
    pub serials: Vec<String>,
    /// Places: udev's `ID_PATH` or the USB port (`1-1.2`).
    #[serde(default)]
    pub positions: Vec<String>,
}

/// Who made the element.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Maker {
    /// Swissbit: USB, SD and microSD.
    Swissbit,
    /// cryptovision / Bundesdruckerei.
    Cryptovision,
    /// Epson.
    Epson,
    /// Some other, or not known.
    Unknown,
}

/// What gave the element away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mark {
    /// The USB ids, `vendor:product`.
    UsbId(String),
    /// The vendor or product name that the device tells.
    DeviceName(String),
    /// The label of a volume.
    Label(String),
    /// A file in the root folder of a volume.
    File(String),
    /// A serial number that the configuration names.
    Serial(String),
    /// A place that the configuration names.
    Position(String),
    /// A udev rule says so.
    Tag,
}

/// One sign of a TSE.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TseSign {
    /// Who made it, as far as the mark tells.
    pub maker: Maker,
    /// What gave it away.
    pub mark: Mark,
}

impl fmt::Display for TseSign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.mark {
            Mark::UsbId(id) => write!(f, "USB id {id:?}"),
            Mark::DeviceName(name) => write!(f, "device name {name:?}"),
            Mark::Label(label) => write!(f, "label {label:?}"),
            Mark::File(name) => write!(f, "file {name:?}"),
            Mark::Serial(serial) => write!(f, "serial {serial:?} in the configuration"),
            Mark::Tag => write!(f, "TILLSTICK_ROLE of a udev rule"),
            Mark::Position(position) => write!(f, "position {position:?} in the configuration"),
        }?;
        write!(f, ", maker {:?}", self.maker)
    }
}

/// Looks for a sign in what udev tells. Decided before the medium is opened: some elements are upset by reads.
pub fn of_device(device: &DeviceFacts, rules: &TseRules) -> Option<TseSign> {
    let sign = |maker, mark| Some(TseSign { maker, mark });
    let named = |known: &[String], own: &str| known.iter().any(|known| known.trim().eq_ignore_ascii_case(own.trim()));
    if let Some(serial) = device.serial.as_ref().filter(|serial| named(&rules.serials, serial)) {
        return sign(Maker::Unknown, Mark::Serial(serial.clone()));
    }
    if let Some(position) = device.positions.iter().find(|position| named(&rules.positions, position)) {
        return sign(Maker::Unknown, Mark::Position(position.clone()));
    }
    if device.tagged_tse {
        return sign(Maker::Unknown, Mark::Tag);
    }
    let vendor_id = hex_id(device.vendor_id.as_deref());
    let model_id = hex_id(device.model_id.as_deref());
    let ids = || Mark::UsbId(format!("{vendor_id}:{model_id}"));
    if vendor_id == SWISSBIT_VENDOR_ID {
        return sign(Maker::Swissbit, ids());
    }
    if (vendor_id.as_str(), model_id.as_str()) == EPSON_IDS {
        return sign(Maker::Epson, ids());
    }
    for name in device.vendor.iter().chain(&device.model).chain(&device.names) {
        if let Some(maker) = maker_in(name) {
            return sign(maker, Mark::DeviceName(name.clone()));
        }
    }
    device.labels.iter().find_map(|label| of_label(label))
}

/// Looks for a sign in one volume: its labels and its root folder.
pub fn of_volume(volume: &VolumeFacts) -> Option<TseSign> {
    let labels = [&volume.label, &volume.boot_label];
    labels.into_iter().flatten().find_map(|label| of_label(label)).or_else(|| {
        volume.root.iter().find_map(|entry| {
            let maker = maker_of_file(&entry.name)?;
            Some(TseSign { maker, mark: Mark::File(entry.name.clone()) })
        })
    })
}

/// Who puts a file of this name into the root folder of an element.
pub fn maker_of_file(name: &str) -> Option<Maker> {
    let name = name.to_ascii_uppercase();
    match name.as_str() {
        "TSE_INFO.DAT" | "TSE_COMM.DAT" | ".SWISSBITWORM" => Some(Maker::Swissbit),
        "TSE-IO.BIN" => Some(Maker::Cryptovision),
        _ if name.starts_with("TSE_TAR.") => Some(Maker::Swissbit),
        _ => None,
    }
}

fn of_label(label: &str) -> Option<TseSign> {
    let swissbit = label.trim().to_ascii_uppercase().starts_with("SWISSBIT");
    swissbit.then(|| TseSign { maker: Maker::Swissbit, mark: Mark::Label(label.to_owned()) })
}

/// udev writes blanks as `_`; makers vary the case.
fn maker_in(name: &str) -> Option<Maker> {
    let name = name.to_ascii_uppercase();
    let mut words = name.split(|c: char| !c.is_ascii_alphanumeric());
    words.find_map(|word| match word {
        "EPSON" => Some(Maker::Epson),
        "SWISSBIT" => Some(Maker::Swissbit),
        "CRYPTOVISION" | "BUNDESDRUCKEREI" => Some(Maker::Cryptovision),
        "TSE" => Some(Maker::Unknown),
        _ => None,
    })
}

/// `0x04B8`, `4b8` and `04b8` are one id.
fn hex_id(id: Option<&str>) -> String {
    let id = id.unwrap_or_default().trim().to_ascii_lowercase();
    format!("{:0>4}", id.strip_prefix("0x").unwrap_or(&id))
}
