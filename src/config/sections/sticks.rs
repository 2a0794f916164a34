//! `[sticks]`: which USB sticks are written, and what happens to them.

use std::path::PathBuf;

use super::recipients::recipients;
use crate::config::show::{Out, path_text, quoted};
use crate::config::take::{Section, list, one_of, parse_path, parsed, path, whole};
use crate::config::units;
pub use crate::policy::enrol::Accept;

const ACCEPTS: [(&str, Accept); 3] = [("first", Accept::First), ("enrolled", Accept::Enrolled), ("any", Accept::Any)];
const AFTERS: [(&str, After); 2] = [("unmount", After::Unmount), ("keep", After::Keep)];
const AUTOMOUNTS: [(&str, Automount); 2] = [("leave", Automount::Leave), ("own", Automount::Own)];

/// The most backups kept on a stick: its FAT folders grow slow beyond.
const KEEP_MAX: u32 = 1000;

/// A little less than what FAT32 can hold in one file, which is 4 GiB - 1.
const PART_SIZE_MAX: u64 = 4_000_000_000;
const PART_SIZE_MIN: u64 = 100_000;

/// The longest serial number or position that a device can have, in bytes.
const DEVICE_TEXT_MAX: usize = 126;

/// What is done with sticks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SticksConfig {
    /// `path`: where the stick is mounted; `"auto"`.
    pub path: StickPath,
    /// `accept`: which sticks are written; `"first"`.
    pub accept: Accept,
    /// `after`: what happens when the copy is proven; `"unmount"`.
    pub after: After,
    /// `automount`: what happens when something else mounts the stick too; `"leave"`.
    pub automount: Automount,
    /// `rules_dir`: where udev's rules for our own sticks go; `"/etc/udev/rules.d"`.
    pub rules_dir: PathBuf,
    /// `keep`: how many backups of this box stay on a stick, the newest among them; from 1 to 1,000; 5.
    pub keep: usize,
    /// `part_size`: a larger file is cut into pieces of this size; in bytes, from 100 kB to 4 GB; `"4GB"`.
    pub part_size: u64,
    /// `encrypt_to`: recipients of age, for whom alone copies on sticks are readable; none.
    pub encrypt_to: Vec<String>,
    /// `[sticks.tse]`: fiscal security elements that are not recognised by what they are.
    pub tse: TseConfig,
}

/// Where a stick is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StickPath {
    /// The next free /media/usbN: usb0 when the stick is alone, usb1 beyond a TSE, one more for each occupied port.
    Auto,
    /// This folder.
    Fixed(PathBuf),
}

/// What happens to a stick when the copy on it is proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// `"unmount"`: it can be pulled.
    Unmount,
    /// `"keep"`: it stays mounted for other programs.
    Keep,
}

/// What happens when something else mounts sticks too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Automount {
    /// `"leave"`: it goes on doing so, and its mount is used.
    Leave,
    /// `"own"`: a udev rule for each stick that is enrolled has them leave it alone.
    Own,
}

/// Fiscal security elements (TSE), which are never written, mounted or counted as a target.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TseConfig {
    /// `serials`: USB serial numbers that are a TSE, whatever else they look like; none.
    pub serials: Vec<String>,
    /// `positions`: USB ports in which a TSE sits, as the kernel names them (`1-1.2`); none.
    pub positions: Vec<String>,
}

impl Default for SticksConfig {
    fn default() -> Self {
        Self {
            path: StickPath::Auto,
            accept: Accept::First,
            after: After::Unmount,
            automount: Automount::Leave,
            rules_dir: "/etc/udev/rules.d".into(),
            keep: 5,
            part_size: PART_SIZE_MAX,
            encrypt_to: Vec::new(),
            tse: TseConfig::default(),
        }
    }
}

impl SticksConfig {
    pub(in crate::config) fn read(section: &mut Section<'_, '_>) -> Self {
        let default = Self::default();
        Self {
            path: section.get("path", parsed("\"auto\" or a path", "auto", parse_stick_path), default.path),
            accept: section.get("accept", one_of(&ACCEPTS), default.accept),
            after: section.get("after", one_of(&AFTERS), default.after),
            automount: section.get("automount", one_of(&AUTOMOUNTS), default.automount),
            rules_dir: section.get("rules_dir", path, default.rules_dir),
            keep: section.optional("keep", whole(1, KEEP_MAX)).map_or(default.keep, |keep| keep as usize),
            part_size: section.get("part_size", parsed("a size", "2GB", parse_part_size), default.part_size),
            encrypt_to: section.get("encrypt_to", recipients(), default.encrypt_to),
            tse: section.table("tse", |section| TseConfig {
                serials: section.get("serials", list(parsed("a serial number", "1A2B", parse_serial)), Vec::new()),
                positions: section.get("positions", list(parsed("a USB port", "1-1.2", parse_port)), Vec::new()),
            }),
        }
    }

    pub(in crate::config) fn show(&self, out: &mut Out) {
        out.table("sticks");
        match &self.path {
            StickPath::Auto => out.key("path", quoted("auto")),
            StickPath::Fixed(path) => out.key("path", path_text(path)),
        }
        out.word("accept", &ACCEPTS, &self.accept);
        out.word("after", &AFTERS, &self.after);
        out.word("automount", &AUTOMOUNTS, &self.automount);
        out.key("rules_dir", path_text(&self.rules_dir));
        out.key("keep", self.keep);
        out.key("part_size", quoted(&units::format_size(self.part_size)));
        out.list("encrypt_to", &self.encrypt_to);
        out.table("sticks.tse");
        out.list("serials", &self.tse.serials);
        out.list("positions", &self.tse.positions);
    }
}

fn parse_stick_path(text: &str) -> Result<StickPath, String> {
    match text {
        "auto" => Ok(StickPath::Auto),
        text => parse_path(text).map(StickPath::Fixed),
    }
}

fn parse_part_size(text: &str) -> Result<u64, String> {
    let size = units::parse_size(text)?;
    match size {
        PART_SIZE_MIN..=PART_SIZE_MAX => Ok(size),
        _ => Err("it is not from 100kB to 4GB".into()),
    }
}

fn parse_serial(text: &str) -> Result<String, String> {
    match text {
        "" => Err("it is empty, and would fit every device without a serial number".into()),
        text if text.len() > DEVICE_TEXT_MAX => Err("it is longer than any serial number".into()),
        text => Ok(text.to_owned()),
    }
}

/// `<bus>-<port>[.<port>...]`, the name of the device's folder in /sys/bus/usb/devices.
fn parse_port(text: &str) -> Result<String, String> {
    let number = |part: &str| (1..=3).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
    match text.split_once('-') {
        Some((bus, ports)) if text.len() <= DEVICE_TEXT_MAX && number(bus) && ports.split('.').all(number) => {
            Ok(text.to_owned())
        }
        _ => Err("not a name as in /sys/bus/usb/devices".into()),
    }
}
