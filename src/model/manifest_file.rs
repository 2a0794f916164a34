//! A manifest as it lies in a folder: its bytes, and the SHA-256 that was written beside it.

use sha2::{Digest, Sha256};

use super::{BackupId, Manifest};
use crate::error::{Error, Kind, Result};

/// A signature has 64 bytes; of a file that is longer, this many are read, in bytes.
pub const SIGNATURE_MAX: u64 = 65;

/// A manifest that was read from a medium.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestFile {
    /// What it says.
    pub manifest: Manifest,
    /// Its bytes, exactly as they lie there.
    pub bytes: Vec<u8>,
    /// Whether its SHA-256 was beside it and agreed.
    pub sealed: bool,
    /// The signature that was beside it.
    pub signature: Option<Vec<u8>>,
}

impl ManifestFile {
    /// Reads the manifest that lies under `name`, with the list of sums beside it (as `sha256sum` writes them; empty when
    /// there is none) and the signature, when there is one. A list without a line for it is of a version that wrote none: that manifest is not `sealed`.
    ///
    /// # Errors
    /// [`Kind::Damaged`] when any byte differs from what was written, [`Kind::Refused`] when it is of a newer format.
    pub fn read(bytes: Vec<u8>, sums: &[u8], name: &str, signature: Option<Vec<u8>>) -> Result<Self> {
        let sums = String::from_utf8_lossy(sums);
        let of_it = sums.lines().find_map(|line| line.split_once("  ").filter(|(_, named)| *named == name));
        if let Some((sum, _)) = of_it
            && sum != sha256(&bytes)
        {
            return Err(Error::new(Kind::Damaged, format!("`{name}` is not what was written: its SHA-256 differs"))
                .help("use another backup; `tillstick restore FILE --into PATH` can still try the artifact alone"));
        }
        Ok(Self { manifest: Manifest::parse(&bytes)?, sealed: of_it.is_some(), bytes, signature })
    }

    /// What a person should know of a backup whose manifest is not sealed.
    pub fn unsealed(id: &BackupId) -> String {
        format!("the manifest of {id} has no SHA-256 beside it: a change of what it says may go unnoticed")
    }

    /// The line that seals a manifest which lies under `name`.
    pub fn seal(bytes: &[u8], name: &str) -> String {
        format!("{}  {name}\n", sha256(bytes))
    }
}

fn sha256(bytes: &[u8]) -> String {
    format!("{:x}", Sha256::digest(bytes))
}
