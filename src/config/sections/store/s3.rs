//! `type = "s3"`.

use std::path::PathBuf;
use std::time::Duration;

use super::secret::{SecretAt, secret};
use super::{TIMEOUT, TIMEOUT_DEFAULT, word};
use crate::config::show::{Out, path_text, quoted};
use crate::config::take::{Section, duration, flag, parsed, path};
use crate::config::units;

/// A bucket of any service that speaks S3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Config {
    /// `endpoint`: the service, `https://host[:port]`; required.
    pub endpoint: String,
    /// `region`: `"us-east-1"`; most services other than Amazon's take any.
    pub region: String,
    /// `bucket`: required.
    pub bucket: String,
    /// `prefix`: folders in the bucket under which all lies, as in `"shops/north"`; `""`.
    pub prefix: String,
    /// `path_style`: the bucket's name is part of the path, not of the host; true.
    pub path_style: bool,
    /// `access_key`: the name of the key; required.
    pub access_key: String,
    /// `secret_key_file`: the file that holds the key's secret, for its owner alone, or `credential:NAME`; required.
    pub secret_key_file: SecretAt,
    /// `timeout`: how long the line may be silent before it counts as dead; `"1m"`.
    pub timeout: Duration,
    /// `ca_file`: the certificates (PEM) that are trusted instead of the public ones; none.
    pub ca_file: Option<PathBuf>,
}

impl S3Config {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Option<Self> {
        let endpoint =
            section.required("endpoint", parsed("a URL", "https://s3.example.com", url), "\"https://s3.example.com\"");
        let region = section.get("region", parsed("a region", "eu-central-1", word), "us-east-1".to_owned());
        let bucket = section.required("bucket", parsed("a bucket", "till-backups", bucket), "\"till-backups\"");
        let prefix = section.get("prefix", parsed("folders", "shops/north", folders), String::new());
        let path_style = section.get("path_style", flag, true);
        let access_key =
            section.required("access_key", parsed("a key's name", "AKIAIOSFODNN7EXAMPLE", word), "\"AKIA...\"");
        let secret_key_file = section.required("secret_key_file", secret, "\"/etc/tillstick/cloud.secret\"");
        let timeout = section.get("timeout", duration(TIMEOUT.0, TIMEOUT.1), TIMEOUT_DEFAULT);
        let ca_file = section.optional("ca_file", path);
        Some(Self {
            endpoint: endpoint?,
            region,
            bucket: bucket?,
            prefix,
            path_style,
            access_key: access_key?,
            secret_key_file: secret_key_file?,
            timeout,
            ca_file,
        })
    }

    pub(super) fn show(&self, out: &mut Out) {
        out.key("type", quoted("s3"));
        out.key("endpoint", quoted(&self.endpoint));
        out.key("region", quoted(&self.region));
        out.key("bucket", quoted(&self.bucket));
        out.key("prefix", quoted(&self.prefix));
        out.key("path_style", self.path_style);
        out.key("access_key", quoted(&self.access_key));
        out.key("secret_key_file", self.secret_key_file.text());
        out.key("timeout", quoted(&units::format_duration(self.timeout)));
        if let Some(path) = &self.ca_file {
            out.key("ca_file", path_text(path));
        }
    }
}

fn url(text: &str) -> Result<String, String> {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let rest = rest.ok_or("it does not begin with https:// (or http://, where nobody else can listen)")?;
    let host = rest.strip_suffix('/').unwrap_or(rest);
    let good = |c: char| c.is_ascii_alphanumeric() || ".-:[]".contains(c);
    if host.is_empty() || !host.chars().all(good) {
        return Err("after it stands a host, perhaps with a port, and nothing else".into());
    }
    Ok(text.strip_suffix('/').unwrap_or(text).to_owned())
}

fn bucket(text: &str) -> Result<String, String> {
    let good = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
    match (3..=255).contains(&text.len()) && text.chars().all(good) {
        true => Ok(text.to_owned()),
        false => Err("a bucket's name has 3 to 255 letters, digits, dots, hyphens and underscores".into()),
    }
}

/// Folders of a store, joined by `/`.
pub(super) fn folders(text: &str) -> Result<String, String> {
    let text = text.strip_suffix('/').unwrap_or(text);
    let wrong = |part: &str| part.is_empty() || part == "." || part == ".." || part.chars().any(char::is_control);
    match text.is_empty() || !text.split('/').any(wrong) {
        true => Ok(text.to_owned()),
        false => Err("folders are joined by one `/`, without one at the begin, and none is `.` or `..`".into()),
    }
}
