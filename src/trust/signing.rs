//! Who signs backups, and whose signature counts.
//!
//! ```text
//! <state>/box-key           32 bytes in hex: what this box signs with; never leaves it
//! <state>/known-keys.json   whose signatures count beside its own
//! ```
//! A signature is the 64 bytes of Ed25519 (RFC 8032) over the very bytes of a manifest, in a file of their own.

use std::path::{Path, PathBuf};

use ed25519_dalek::{Signature as Bytes, Signer as _, SigningKey, VerifyingKey};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{hex, unhex};
use crate::error::{Context, Error, Kind, Result};
use crate::host::{durable, entropy};
use crate::model::{FileName, Manifest, ManifestFile, PublicKey};
use crate::policy::provenance::{Signature, Signer};

/// The file of the box's own key, in its state folder.
pub const BOX_KEY: &str = "box-key";
const KNOWN: &str = "known-keys.json";
const KEY_MAX: u64 = 4096;
const KNOWN_MAX: u64 = 1 << 20;
/// More boxes than this belong to nobody.
const KEYS_MAX: usize = 1000;

/// The key of this box.
pub struct BoxKey(SigningKey);

/// A key whose signatures count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// The key.
    pub key: PublicKey,
    /// Whose it is.
    pub name: FileName,
    /// Since when it counts.
    pub since: Timestamp,
}

/// All keys whose signatures count here.
#[derive(Debug, Clone, Default)]
pub struct Keys {
    own: Option<PublicKey>,
    known: Vec<Known>,
}

impl BoxKey {
    /// The key, when the box has one.
    ///
    /// # Errors
    /// [`Kind::Damaged`] when the file holds something else.
    pub fn read(state: &Path) -> Result<Option<Self>> {
        let path = state.join(BOX_KEY);
        let bytes = match durable::read(&path, KEY_MAX) {
            Err(error) if error.kind() == Kind::Missing => return Ok(None),
            bytes => bytes.context(|| "cannot read this box's key".to_owned())?,
        };
        let secret = unhex(String::from_utf8_lossy(&bytes).trim()).and_then(|key| <[u8; 32]>::try_from(key).ok());
        match secret {
            Some(secret) => Ok(Some(Self(SigningKey::from_bytes(&secret)))),
            None => Err(Error::new(
                Kind::Damaged,
                format!("{path:?} does not hold the 64 hex digits of this box's key"),
            )
            .help(
                "`tillstick key rotate` makes a new one; what the old one signed counts if its public half was noted",
            )),
        }
    }

    /// The key; a box that has none makes it now.
    pub fn read_or_make(state: &Path) -> Result<Self> {
        if let Some(key) = Self::read(state)? {
            return Ok(key);
        }
        let secret = entropy::bytes::<32>()?;
        // Another program may have been faster.
        durable::write_new(&state.join(BOX_KEY), format!("{}\n", hex(&secret)).as_bytes(), 0o600)?;
        Self::read(state)?.ok_or_else(|| Error::new(Kind::Io, "this box's key vanished"))
    }

    /// Makes a new key in place of the one there is, whose signatures go on counting.
    pub fn rotate(state: &Path, name: &FileName) -> Result<Self> {
        if let Ok(Some(old)) = Self::read(state) {
            Keys::read(state)?.trust(state, old.public(), name)?;
        }
        let secret = entropy::bytes::<32>()?;
        durable::write(&state.join(BOX_KEY), format!("{}\n", hex(&secret)).as_bytes(), 0o600)?;
        Ok(Self(SigningKey::from_bytes(&secret)))
    }

    /// Its public half.
    pub fn public(&self) -> PublicKey {
        PublicKey::new(self.0.verifying_key().to_bytes())
    }

    /// The signature over a manifest's bytes.
    pub fn sign(&self, manifest: &[u8]) -> [u8; 64] {
        self.0.sign(manifest).to_bytes()
    }
}

impl Keys {
    /// Reads them. A box's own key that is damaged counts for nothing; a damaged list is an error, because without it good
    /// backups look strange.
    pub fn read(state: &Path) -> Result<Self> {
        let own = match BoxKey::read(state) {
            Ok(own) => own.map(|own| own.public()),
            Err(error) if error.kind() == Kind::Damaged => {
                log::warn!("{}", error.report());
                None
            }
            Err(error) => return Err(error),
        };
        let path = state.join(KNOWN);
        let known = match durable::read(&path, KNOWN_MAX) {
            Err(error) if error.kind() == Kind::Missing => Vec::new(),
            bytes => serde_json::from_slice(&bytes?).map_err(|cause| {
                Error::new(Kind::Damaged, format!("the list of known keys in {path:?} is damaged"))
                    .because(cause)
                    .help("remove it, and trust the boxes again: `tillstick key trust`")
            })?,
        };
        Ok(Self { own, known })
    }

    /// This box's own.
    pub fn own(&self) -> Option<PublicKey> {
        self.own
    }

    /// The others.
    pub fn known(&self) -> &[Known] {
        &self.known
    }

    /// Lets the signatures of a key count.
    pub fn trust(&mut self, state: &Path, key: PublicKey, name: &FileName) -> Result<()> {
        self.known.retain(|known| known.key != key);
        self.known.push(Known { key, name: name.clone(), since: Timestamp::now() });
        let excess = self.known.len().saturating_sub(KEYS_MAX);
        self.known.drain(..excess);
        self.write(state)
    }

    /// Lets them count no longer, those of the key or the name; gives what was forgotten.
    pub fn distrust(&mut self, state: &Path, name: &str) -> Result<Vec<Known>> {
        let meant = |known: &Known| {
            let plain = |text: &str| text.replace(' ', "");
            known.name.as_str() == name
                || known.key.to_string() == name
                || plain(&known.key.fingerprint()) == plain(name)
        };
        let (gone, kept): (Vec<_>, Vec<_>) = self.known.drain(..).partition(meant);
        self.known = kept;
        if gone.is_empty() {
            return Err(Error::new(Kind::Missing, format!("no key of that name or fingerprint is trusted: {name:?}"))
                .help("`tillstick key list` shows them"));
        }
        self.write(state)?;
        Ok(gone)
    }

    fn write(&self, state: &Path) -> Result<()> {
        let path: PathBuf = state.join(KNOWN);
        durable::write(&path, &serde_json::to_vec_pretty(&self.known).expect("plain data"), 0o600)
    }

    /// What the signature beside a manifest is worth.
    pub fn judge(&self, manifest: &Manifest, bytes: &[u8], signature: Option<&[u8]>) -> Signature {
        let (key, signature) = match (manifest.signed_by, signature) {
            (None, None) => return Signature::Absent,
            // A signature that was taken away looks like a manifest that never had one.
            (Some(_), None) => return Signature::Absent,
            (None, Some(_)) => return Signature::Wrong,
            (Some(key), Some(signature)) => (key, signature),
        };
        if !fits(&key, bytes, signature) {
            return Signature::Wrong;
        }
        if self.own == Some(key) {
            return Signature::By(Signer::Own);
        }
        Signature::By(match self.known.iter().find(|known| known.key == key) {
            Some(known) => Signer::Trusted(known.name.to_string()),
            None => Signer::Unknown(key.fingerprint()),
        })
    }

    /// The same of a manifest that was read.
    pub fn judge_file(&self, file: &ManifestFile) -> Signature {
        self.judge(&file.manifest, &file.bytes, file.signature.as_deref())
    }
}

fn fits(key: &PublicKey, manifest: &[u8], signature: &[u8]) -> bool {
    let key = VerifyingKey::from_bytes(key.bytes());
    let signature = Bytes::from_slice(signature);
    matches!((key, signature), (Ok(key), Ok(signature)) if key.verify_strict(manifest, &signature).is_ok())
}
