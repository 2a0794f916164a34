//! Where a secret stands. The configuration itself never holds one: it is part of every manifest.

use std::path::PathBuf;

use crate::config::show::quoted;
use crate::config::take::{Taken, parse_path, parsed};
use crate::config::tree::Node;

const CREDENTIAL: &str = "credential:";

/// Where a secret is read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretAt {
    /// A file that nobody but its owner may read.
    File(PathBuf),
    /// `"credential:NAME"`: what systemd hands the service under this name (`LoadCredential=`).
    Credential(String),
}

/// A path, or `credential:NAME`.
pub(in crate::config) fn secret(node: &Node) -> Taken<SecretAt> {
    parsed("a file with a secret", "/etc/tillstick/cloud.secret", |text| match text.strip_prefix(CREDENTIAL) {
        None => parse_path(text).map(SecretAt::File),
        Some(name) if !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)) => {
            Ok(SecretAt::Credential(name.to_owned()))
        }
        Some(_) => Err("a credential's name has letters, digits, dots, hyphens and underscores".into()),
    })(node)
}

impl SecretAt {
    pub(in crate::config) fn text(&self) -> String {
        match self {
            Self::File(path) => quoted(&path.to_string_lossy()),
            Self::Credential(name) => quoted(&format!("{CREDENTIAL}{name}")),
        }
    }
}
