//! Whether a backup that was found is believed, and whose word counts.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Site;
use crate::error::{Error, Kind, Result};
use crate::model::{FileName, Manifest, ManifestFile, PublicKey, Run};
use crate::policy::provenance::{Belief, Lies, believe};
use crate::trust::sealing::Identities;
use crate::trust::signing::{BoxKey, Keys, Known};

/// A manifest's content, its bytes, and the signature beside it.
pub(super) type Signed<'a> = (&'a Manifest, &'a [u8], Option<&'a [u8]>);

/// Whose backups are believed, and whose can be opened.
#[derive(Default)]
pub struct Trust {
    keys: Keys,
    told: bool,
    pub(super) identities: Identities,
}

impl Trust {
    /// What the box knows; nothing where no box is configured. `told`: a person said that unknown boxes are to be believed.
    /// `identity`: a file with the keys to encrypted backups.
    pub fn of(site: Option<&Site>, told: bool, identity: Option<&Path>) -> Result<Self> {
        let keys = site.map(|site| Keys::read(&site.config.state)).transpose()?;
        // Where nobody is known, everybody is a stranger, and is looked at all the same.
        let identities = identity.map(Identities::read).transpose()?.unwrap_or_default();
        Ok(Self { told: told || keys.is_none(), keys: keys.unwrap_or_default(), identities })
    }

    /// Whether the backup with this manifest may be used.
    ///
    /// # Errors
    /// [`Kind::Refused`] when a person must say so first, [`Kind::Damaged`] when the manifest is not what was signed.
    pub(super) fn vouch(&self, (manifest, bytes, signature): Signed<'_>, lies: Lies, run: &Run) -> Result<()> {
        let id = &manifest.id;
        match believe(&self.keys.judge(manifest, bytes, signature), lies, self.told) {
            Belief::Believed => Ok(()),
            Belief::Warned(why) => {
                run.warn(format!("the backup {id} of the box {}: {why}", manifest.box_name));
                Ok(())
            }
            Belief::Doubted(why) => Err(Error::new(
                Kind::Refused,
                format!("the backup {id} of the box {} is not believed: {why}", manifest.box_name),
            )
            .help(help(manifest))),
            Belief::Refused(why) => Err(Error::new(Kind::Damaged, format!("the backup {id} is not used: {why}"))
                .help("use another backup; `tillstick restore FILE --into PATH` can still try the artifact alone")),
        }
    }

    /// The same of a manifest on this box.
    pub(super) fn vouch_here(&self, file: &ManifestFile, run: &Run) -> Result<()> {
        self.vouch((&file.manifest, &file.bytes, file.signature.as_deref()), Lies::Here, run)
    }
}

fn help(manifest: &Manifest) -> String {
    match &manifest.signed_by {
        Some(key) => format!(
            "compare the fingerprint with `tillstick key show` on that box, then `tillstick key trust {key} --name {}`, \
             or say --trust-unknown this once",
            manifest.box_name
        ),
        None => "if you know where it comes from, say --trust-unknown".to_owned(),
    }
}

/// The keys of this box, for people.
#[derive(Debug, Serialize, Deserialize)]
pub struct Shown {
    /// This box's own; none before its first backup.
    pub own: Option<ShownKey>,
    /// Those of others, and earlier ones of this box.
    pub trusted: Vec<ShownKey>,
}

/// A key, for people.
#[derive(Debug, Serialize, Deserialize)]
pub struct ShownKey {
    /// Whose it is.
    pub name: FileName,
    /// The key, 64 hex digits.
    pub key: PublicKey,
    /// What people compare.
    pub fingerprint: String,
    /// Since when it counts; of the own key that is not known.
    pub since: Option<jiff::Timestamp>,
}

/// The keys that count here.
pub fn keys(site: &Site) -> Result<Shown> {
    let keys = Keys::read(&site.config.state)?;
    let own = keys.own().map(|key| shown(&site.config.box_name, key, None));
    Ok(Shown { own, trusted: keys.known().iter().map(shown_known).collect() })
}

/// This box's own key; it is made when there is none.
pub fn own_key(site: &Site) -> Result<ShownKey> {
    let key = BoxKey::read_or_make(&site.config.state)?;
    Ok(shown(&site.config.box_name, key.public(), None))
}

/// Lets the signatures of a box count.
pub fn trust(site: &Site, key: PublicKey, name: &FileName) -> Result<ShownKey> {
    Keys::read(&site.config.state)?.trust(&site.config.state, key, name)?;
    Ok(shown(name, key, None))
}

/// Lets them count no longer.
pub fn distrust(site: &Site, name: &str) -> Result<Vec<ShownKey>> {
    let gone = Keys::read(&site.config.state)?.distrust(&site.config.state, name)?;
    Ok(gone.iter().map(shown_known).collect())
}

/// Gives this box a new key; what the old one signed goes on counting here.
pub fn rotate(site: &Site) -> Result<ShownKey> {
    let key = BoxKey::rotate(&site.config.state, &site.config.box_name)?;
    Ok(shown(&site.config.box_name, key.public(), None))
}

fn shown_known(known: &Known) -> ShownKey {
    shown(&known.name, known.key, Some(known.since))
}

fn shown(name: &FileName, key: PublicKey, since: Option<jiff::Timestamp>) -> ShownKey {
    ShownKey { name: name.clone(), key, fingerprint: key.fingerprint(), since }
}
