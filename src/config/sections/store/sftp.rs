//! `type = "sftp"`.

use std::time::Duration;

use super::secret::{SecretAt, secret};
use super::{TIMEOUT, TIMEOUT_DEFAULT, host, remote, word};
use crate::config::show::{Out, quoted};
use crate::config::take::{Section, duration, parsed, whole};
use crate::config::units;

/// A folder of an SSH server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SftpConfig {
    /// `host`: the server's name or address; required.
    pub host: String,
    /// `port`: `22`.
    pub port: u16,
    /// `user`: our account there; required.
    pub user: String,
    /// `path`: the folder, which must be there, from `/` on or from where a login arrives; `"."`.
    pub path: String,
    /// `host_key`: the server's key, as its fingerprint (`SHA256:...`) or a line of known_hosts; required.
    pub host_key: String,
    /// `key_file` or `password_file`: how we log in.
    pub login: Login,
    /// `timeout`: how long the line may be silent before it counts as dead; `"1m"`.
    pub timeout: Duration,
}

/// How we log in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Login {
    /// `key_file`: a private key without a passphrase, for its owner alone, or `credential:NAME`.
    Key(SecretAt),
    /// `password_file`: a file with the password, for its owner alone, or `credential:NAME`.
    Password(SecretAt),
}

impl SftpConfig {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Option<Self> {
        let host = section.required("host", parsed("a host", "backup.example.com", host), "\"backup.example.com\"");
        let port = section.get("port", whole(1, 65_535), 22);
        let user = section.required("user", parsed("an account", "till", word), "\"till\"");
        let path = section.get("path", parsed("a folder", "backups", remote), ".".to_owned());
        let host_key = section.required("host_key", parsed("a host key", "SHA256:...", host_key), "\"SHA256:...\"");
        let key_file = section.optional("key_file", secret);
        let password_file = section.optional("password_file", secret);
        let timeout = section.get("timeout", duration(TIMEOUT.0, TIMEOUT.1), TIMEOUT_DEFAULT);
        let login = match (key_file, password_file) {
            (Some(key), None) => Some(Login::Key(key)),
            (None, Some(password)) => Some(Login::Password(password)),
            _ => {
                let help = Some("key_file = \"/etc/tillstick/nas.key\"".into());
                section.complain("key_file", "either key_file or password_file must be given".into(), help);
                None
            }
        };
        let port = u16::try_from(port).unwrap_or(22);
        Some(Self { host: host?, port, user: user?, path, host_key: host_key?, login: login?, timeout })
    }

    pub(super) fn show(&self, out: &mut Out) {
        out.key("type", quoted("sftp"));
        out.key("host", quoted(&self.host));
        out.key("port", self.port);
        out.key("user", quoted(&self.user));
        out.key("path", quoted(&self.path));
        out.key("host_key", quoted(&self.host_key));
        match &self.login {
            Login::Key(at) => out.key("key_file", at.text()),
            Login::Password(at) => out.key("password_file", at.text()),
        }
        out.key("timeout", quoted(&units::format_duration(self.timeout)));
    }
}

/// Its shape; what it says is looked at when the store is opened.
fn host_key(text: &str) -> Result<String, String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let key = |pair: &[&str]| (pair[0].starts_with("ssh-") || pair[0].starts_with("ecdsa-")) && pair[1].len() > 40;
    match words.iter().any(|word| word.starts_with("SHA256:") && word.len() > 40) || words.windows(2).any(key) {
        true => Ok(text.to_owned()),
        false => Err("it is neither a fingerprint (SHA256:...) nor a line of known_hosts (`ssh-keyscan HOST`)".into()),
    }
}
