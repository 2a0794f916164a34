//! `[stores.<name>]`: where further copies go. The keys of each type have a file of their own.

mod directory;
mod ftp;
mod s3;
pub(super) mod secret;
mod sftp;

use std::path::Path;
use std::time::Duration;

pub use directory::DirectoryConfig;
pub use ftp::{FtpConfig, FtpTls};
pub use s3::S3Config;
pub use secret::SecretAt;
pub use sftp::{Login, SftpConfig};

use super::feedback::{QuietHours, parse_hours};
use super::recipients::recipients;
use super::{retention, type_of};
use crate::config::show::{Out, quoted};
use crate::config::take::parsed;
use crate::config::take::{Section, Taken, duration, flag, one_of, refuse, size};
use crate::config::tree::Node;
use crate::config::units;
use crate::model::FileName;
use crate::policy::retention::Rules;
use crate::policy::retry::Hours;

/// The words for the types.
const TYPES: [(&str, Type); 4] =
    [("directory", Type::Directory), ("ftp", Type::Ftp), ("sftp", Type::Sftp), ("s3", Type::S3)];

/// The shortest and the longest `overdue` on offer.
const OVERDUE: (Duration, Duration) = (Duration::from_secs(3600), Duration::from_secs(365 * 86_400));

/// How long the line to a server may be silent: the bounds, and the default.
const TIMEOUT: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(3600));
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(60);

/// With less a backup is never off-site before the next one.
const BANDWIDTH_MIN: u64 = 1000;

/// Bytes a second.
fn bandwidth(node: &Node) -> Taken<u64> {
    match size(node)? {
        least if least < BANDWIDTH_MIN => {
            refuse(format!("{least} bytes a second are too few"), Some("write at least \"1kB\"".into()))
        }
        bandwidth => Ok(bandwidth),
    }
}

/// One word.
fn word(text: &str) -> Result<String, String> {
    match !text.is_empty() && text.chars().all(|c| c.is_ascii_graphic()) {
        true => Ok(text.to_owned()),
        false => Err("it is one word without spaces".into()),
    }
}

/// A server's name or address.
fn host(text: &str) -> Result<String, String> {
    let good = |c: char| c.is_ascii_alphanumeric() || ".-:_".contains(c);
    match !text.is_empty() && text.chars().all(good) {
        true => Ok(text.to_owned()),
        false => Err("it is a name or an address, without user and port".into()),
    }
}

/// A folder on a server, from `/` on or from where a login arrives.
fn remote(text: &str) -> Result<String, String> {
    let text = if text.len() > 1 { text.trim_end_matches('/') } else { text };
    match !text.is_empty() && !text.chars().any(char::is_control) {
        true => Ok(text.to_owned()),
        false => Err("it is a folder, as in \"/srv/backups\"".into()),
    }
}

#[derive(Clone)]
enum Type {
    Directory,
    Ftp,
    S3,
    Sftp,
}

/// How backups lie in a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// `"plain"`: each backup as whole files.
    Plain,
    /// `"delta"`: what is new goes into packs, from which `sh` and coreutils put the files together again.
    Delta,
}

/// The words for `layout`.
const LAYOUTS: [(&str, Layout); 2] = [("plain", Layout::Plain), ("delta", Layout::Delta)];

/// One store: the keys that all stores have, and those of its type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreConfig {
    /// `enabled`: false leaves the store as it is; true.
    pub enabled: bool,
    /// `append_only`: true: this box never deletes there, whoever has other rights cleans up; false.
    pub append_only: bool,
    /// `layout`: `"plain"`, or `"delta"` where little is to be sent; what is there already stays readable; `"plain"`.
    pub layout: Layout,
    /// `overdue`: the box is not well when the newest copy there is older; `"3d"`.
    pub overdue: Duration,
    /// `hours`: the agent sends in these hours alone, as in `"22:00-06:00"`; `"none"`: at any time.
    pub hours: Option<Hours>,
    /// `bandwidth`: no more than so many bytes a second are sent, as in `"500kB"`; none.
    pub bandwidth: Option<u64>,
    /// `encrypt_to`: recipients of age, for whom alone copies there are readable; none.
    pub encrypt_to: Vec<String>,
    /// `[stores.<name>.retention]`: keys that are left out stay as in `[retention]`.
    pub retention: Rules,
    /// `type` and the keys of this type.
    pub kind: StoreKind,
}

/// The types of store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreKind {
    /// `type = "directory"`: a folder of a second disk or a mounted NAS.
    Directory(DirectoryConfig),
    /// `type = "ftp"`: a folder of an FTP server.
    Ftp(Box<FtpConfig>),
    /// `type = "s3"`: a bucket.
    S3(Box<S3Config>),
    /// `type = "sftp"`: a folder of an SSH server.
    Sftp(Box<SftpConfig>),
}

impl StoreKind {
    /// Whether what is copied there leaves the house, which mode `X` forbids.
    pub fn is_off_site(&self) -> bool {
        match self {
            Self::Directory(_) => false,
            Self::Ftp(_) | Self::S3(_) | Self::Sftp(_) => true,
        }
    }

    /// The file that lets us in.
    pub fn secret_file(&self) -> Option<&Path> {
        let at = match self {
            Self::Directory(_) => return None,
            Self::Ftp(ftp) => &ftp.password_file,
            Self::S3(s3) => &s3.secret_key_file,
            Self::Sftp(sftp) => match &sftp.login {
                Login::Key(at) | Login::Password(at) => at,
            },
        };
        match at {
            SecretAt::File(path) => Some(path),
            SecretAt::Credential(_) => None,
        }
    }
}

impl StoreConfig {
    pub(in crate::config) fn read(section: &mut Section<'_, '_>, inherited: &Rules) -> Option<Self> {
        let kind = type_of(section, &TYPES)?;
        let enabled = section.get("enabled", flag, true);
        let append_only = section.get("append_only", flag, false);
        let layout = section.get("layout", one_of(&LAYOUTS), Layout::Plain);
        let overdue = section.get("overdue", duration(OVERDUE.0, OVERDUE.1), Duration::from_secs(3 * 86_400));
        let hours = section.get("hours", parsed("hours", "22:00-06:00", parse_hours), None);
        let hours = hours.map(|QuietHours { start, end }| Hours { start, end });
        let bandwidth = section.optional("bandwidth", bandwidth);
        let encrypt_to = section.get("encrypt_to", recipients(), Vec::new());
        let retention = section.table("retention", |section| retention::read(section, inherited));
        let kind = match kind {
            Type::Directory => StoreKind::Directory(DirectoryConfig::read(section)?),
            Type::Ftp => StoreKind::Ftp(Box::new(FtpConfig::read(section)?)),
            Type::S3 => StoreKind::S3(Box::new(S3Config::read(section)?)),
            Type::Sftp => StoreKind::Sftp(Box::new(SftpConfig::read(section)?)),
        };
        Some(Self { enabled, append_only, layout, overdue, hours, bandwidth, encrypt_to, retention, kind })
    }

    pub(in crate::config) fn show(&self, name: &FileName, out: &mut Out) {
        out.named_table("stores", name);
        match &self.kind {
            StoreKind::Directory(directory) => directory.show(out),
            StoreKind::Ftp(ftp) => ftp.show(out),
            StoreKind::S3(s3) => s3.show(out),
            StoreKind::Sftp(sftp) => sftp.show(out),
        }
        out.key("enabled", self.enabled);
        out.key("append_only", self.append_only);
        let layout = LAYOUTS.iter().find(|(_, layout)| *layout == self.layout);
        out.key("layout", quoted(layout.map_or("plain", |(word, _)| word)));
        out.key("overdue", quoted(&units::format_duration(self.overdue)));
        let time = units::format_time;
        let hours = self.hours.map_or("none".to_owned(), |hours| format!("{}-{}", time(hours.start), time(hours.end)));
        out.key("hours", quoted(&hours));
        if let Some(bandwidth) = self.bandwidth {
            out.key("bandwidth", quoted(&units::format_size(bandwidth)));
        }
        out.list("encrypt_to", &self.encrypt_to);
        out.named_subtable("stores", name, "retention");
        retention::show(&self.retention, out);
    }
}
