//! `type = "ftp"`.

use std::path::PathBuf;
use std::time::Duration;

use super::secret::{SecretAt, secret};
use super::{TIMEOUT, TIMEOUT_DEFAULT, host, remote, word};
use crate::config::show::{Out, path_text, quoted};
use crate::config::take::{Section, duration, one_of, parsed, path, whole};
use crate::config::units;

/// The words for `tls`.
const TLS: [(&str, FtpTls); 3] =
    [("explicit", FtpTls::Explicit), ("implicit", FtpTls::Implicit), ("none", FtpTls::None)];

/// Whether and how an FTP connection is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FtpTls {
    /// `"explicit"`: the connection becomes a TLS one before anything is said.
    Explicit,
    /// `"implicit"`: the connection is a TLS one from the first byte on.
    Implicit,
    /// `"none"`: anybody on the way reads password and data.
    None,
}

/// A folder of an FTP server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FtpConfig {
    /// `host`: the server's name, as in its certificate, or address; required.
    pub host: String,
    /// `port`: `21`; `990` with `tls = "implicit"`.
    pub port: u16,
    /// `tls`: `"explicit"`, `"implicit"`, or `"none"` where nobody else can listen; `"explicit"`.
    pub tls: FtpTls,
    /// `user`: our account there; required.
    pub user: String,
    /// `password_file`: a file with the password, for its owner alone, or `credential:NAME`; required.
    pub password_file: SecretAt,
    /// `path`: the folder, which must be there, from `/` on or from where a login arrives; `"."`.
    pub path: String,
    /// `ca_file`: the certificates (PEM) that are trusted instead of the public ones; none.
    pub ca_file: Option<PathBuf>,
    /// `timeout`: how long the line may be silent before it counts as dead; `"1m"`.
    pub timeout: Duration,
}

impl FtpConfig {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Option<Self> {
        let host = section.required("host", parsed("a host", "ftp.example.com", host), "\"ftp.example.com\"");
        let tls = section.get("tls", one_of(&TLS), FtpTls::Explicit);
        let usual = if tls == FtpTls::Implicit { 990 } else { 21 };
        let port = u16::try_from(section.get("port", whole(1, 65_535), usual)).unwrap_or(21);
        let user = section.required("user", parsed("an account", "till", word), "\"till\"");
        let password_file = section.required("password_file", secret, "\"/etc/tillstick/ftp.pw\"");
        let folder = section.get("path", parsed("a folder", "backups", remote), ".".to_owned());
        let ca_file = section.optional("ca_file", path);
        let timeout = section.get("timeout", duration(TIMEOUT.0, TIMEOUT.1), TIMEOUT_DEFAULT);
        let (host, user, password_file) = (host?, user?, password_file?);
        Some(Self { host, port, tls, user, password_file, path: folder, ca_file, timeout })
    }

    pub(super) fn show(&self, out: &mut Out) {
        let tls = TLS.iter().find(|(_, tls)| *tls == self.tls).map_or("", |(word, _)| word);
        out.key("type", quoted("ftp"));
        out.key("host", quoted(&self.host));
        out.key("port", self.port);
        out.key("tls", quoted(tls));
        out.key("user", quoted(&self.user));
        out.key("password_file", self.password_file.text());
        out.key("path", quoted(&self.path));
        if let Some(path) = &self.ca_file {
            out.key("ca_file", path_text(path));
        }
        out.key("timeout", quoted(&units::format_duration(self.timeout)));
    }
}
