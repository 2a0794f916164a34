//! What one box has in a store.
//!
//! ```text
//! <customer>/<box>/box.json                    whose this folder is
//! <customer>/<box>/<id>/104711_kasse.sql.gz    an artifact, as in the primary
//! <customer>/<box>/<id>/SHA256SUMS             what `sha256sum -c` accepts: the artifacts and the manifest
//! <customer>/<box>/<id>/manifest.json.sig      the signature over the manifest
//! <customer>/<box>/<id>/manifest.json          put last and removed first: with it, it is a backup
//! status/<customer>/<box>.json                 how the box stood when it last sent something; .sig beside it
//!
//! With `layout = "delta"` instead of artifact and manifest:
//! <customer>/<box>/packs/<id>-<hash>.pack      the bytes of a backup that no earlier pack had
//! <customer>/<box>/<id>/parts.gz               lines `<pack> <offset> <length> <artifact>`: where all its bytes lie
//! <customer>/<box>/<id>/manifest.json.gz       put last and removed first
//! ```
//! A box touches nothing but its own folder and its own status.

mod delta;
mod look;
mod parts;
mod plan;
mod rebuilt;
mod recall;
mod sweep;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

pub use delta::{Delta, Packing, Sealer};
pub use parts::{PackName, Part, Parts, Seal};
pub use rebuilt::Unsealing;
pub use recall::{Kept, Recall};

use serde::{Deserialize, Serialize};

use super::{Content, Entry, Sent, Store};
use crate::error::{Context, Error, Kind, Result};
use crate::model::{ArtifactName, BackupId, FileName, LOGS, Manifest, Run, STATUS};
use crate::primary::{MANIFEST, SHA256SUMS, SIGNATURE, Stored, sums};

const OWNER: &str = "box.json";
/// The folder of a box's packs.
const PACKS: &str = "packs";
/// Where the bytes of a backup lie in packs.
const PARTS: &str = "parts.gz";
/// The manifest of a backup that lies in packs.
const MANIFEST_GZ: &str = "manifest.json.gz";
const OWNER_MAX: u64 = 4096;

/// More backups of one box than this are not read: with one an hour it takes more than a year.
const BACKUPS_MAX: usize = 10_000;

/// The form in which a box's folder is laid out; one of a later form is left alone.
const FORMAT: u32 = 1;

fn first_format() -> u32 {
    1
}

#[derive(Debug, Deserialize)]
struct Form {
    #[serde(default = "first_format")]
    format: u32,
}

#[derive(Debug, Serialize, Deserialize)]
struct Owner {
    #[serde(default = "first_format")]
    format: u32,
    customer: FileName,
    #[serde(rename = "box")]
    box_name: FileName,
    box_id: String,
}

/// The folder of one box in a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shelf {
    /// The customer.
    pub customer: FileName,
    /// The box.
    pub box_name: FileName,
}

/// A backup in a store.
#[derive(Debug, Clone)]
pub struct Shelved {
    /// What it consists of.
    pub manifest: Manifest,
    /// The manifest's bytes as they are there.
    pub bytes: Vec<u8>,
    /// Whether the manifest was compared with its SHA-256 beside it.
    pub sealed: bool,
    /// The signature that is beside it.
    pub signature: Option<Vec<u8>>,
    /// Whether every artifact is there with its right size.
    pub complete: bool,
    /// Where its bytes lie, when it lies in packs and that can be read.
    pub parts: Option<Parts>,
}

impl Shelved {
    /// Whether its packs are encrypted.
    pub fn has_sealed_packs(&self) -> bool {
        self.a_sealed_pack().is_some()
    }

    fn a_sealed_pack(&self) -> Option<&PackName> {
        self.parts.as_ref()?.packs().into_keys().find(|pack| !pack.seal().is_none())
    }
}

/// What a box has in a store.
#[derive(Debug, Clone, Default)]
pub struct Held {
    /// Its backups, newest first.
    pub backups: Vec<Shelved>,
    /// Backups whose manifest is damaged or of a newer format, and why.
    pub unreadable: Vec<(BackupId, String)>,
    /// Folders of backups whose copy is not finished.
    pub unfinished: Vec<BackupId>,
    /// The packs that were there before anything else was looked at.
    packs: Vec<Entry>,
    /// The packs that each backup needs, finished or not; `None` when that cannot be read.
    claims: BTreeMap<BackupId, Option<BTreeSet<PackName>>>,
}

impl Shelf {
    /// The folder of the box `box_name` of `customer`.
    pub fn new(customer: &FileName, box_name: &FileName) -> Self {
        Self { customer: customer.clone(), box_name: box_name.clone() }
    }

    /// Every box of every customer that has a folder there, or of one customer alone.
    pub fn all(store: &mut dyn Store, customer: Option<&FileName>) -> Result<Vec<Self>> {
        let customers = match customer {
            Some(customer) => vec![customer.clone()],
            None => folders(store, "")?.into_iter().filter(|name| ![STATUS, LOGS].contains(&name.as_str())).collect(),
        };
        let mut all = Vec::new();
        for customer in customers {
            all.extend(folders(store, customer.as_str())?.iter().map(|box_name| Self::new(&customer, box_name)));
        }
        Ok(all)
    }

    fn dir(&self) -> String {
        format!("{}/{}", self.customer, self.box_name)
    }

    fn dir_of(&self, id: &BackupId) -> String {
        format!("{}/{id}", self.dir())
    }

    /// Fails unless the folder is that of the box with this id, or nobody's yet.
    pub fn refuse_if_anothers(&self, store: &mut dyn Store, box_id: &str) -> Result<()> {
        let owner = self.owner(store)?;
        self.judge_owner(owner, box_id)
    }

    fn judge_owner(&self, owner: Option<Owner>, box_id: &str) -> Result<()> {
        match owner {
            None => Ok(()),
            Some(owner) if owner.box_id == box_id => Ok(()),
            Some(owner) => Err(Error::new(
                Kind::Refused,
                format!("{:?} holds the backups of another box {} ({})", self.dir(), self.box_name, owner.box_id),
            )
            .help(
                "give this box a name of its own (`box` in the configuration); if it replaces the other one, \
                 take its place with `tillstick store adopt NAME`",
            )),
        }
    }

    fn owner(&self, store: &mut dyn Store) -> Result<Option<Owner>> {
        let path = format!("{}/{OWNER}", self.dir());
        let bytes = match read(store, &path, OWNER_MAX) {
            Err(error) if error.kind() == Kind::Missing => return Ok(None),
            bytes => bytes?,
        };
        let damaged =
            |cause| Error::new(Kind::Damaged, format!("{path:?} does not say whose this folder is")).because(cause);
        // The rest may mean something else there.
        let form: Form = serde_json::from_slice(&bytes).map_err(damaged)?;
        if form.format > FORMAT {
            return Err(Error::new(
                Kind::Refused,
                format!("{path:?} says that the folder has form {}, and this program knows form {FORMAT}", form.format),
            )
            .help("a newer tillstick has written there: use one at least as new"));
        }
        serde_json::from_slice(&bytes).map(Some).map_err(damaged)
    }

    /// Makes the folder that of the box with this id.
    pub fn own(&self, store: &mut dyn Store, box_id: &str, run: &Run) -> Result<()> {
        let owner = Owner {
            format: FORMAT,
            customer: self.customer.clone(),
            box_name: self.box_name.clone(),
            box_id: box_id.to_owned(),
        };
        let mut bytes = serde_json::to_vec_pretty(&owner).expect("plain data");
        bytes.push(b'\n');
        store.put(&format!("{}/{OWNER}", self.dir()), &Content::bytes(bytes), run).map(|_| ())
    }

    /// Tells whoever looks into the store how the box stands.
    pub fn put_status(
        &self,
        store: &mut dyn Store,
        status: Vec<u8>,
        signature: Option<[u8; 64]>,
        run: &Run,
    ) -> Result<()> {
        let path = format!("{STATUS}/{}/{}.json", self.customer, self.box_name);
        if let Some(signature) = signature {
            store.put(&format!("{path}.sig"), &Content::bytes(signature.to_vec()), run)?;
        }
        store.put(&path, &Content::bytes(status), run).map(drop)
    }

    /// Makes sure that the folder is this box's before something is put there.
    fn begin(&self, store: &mut dyn Store, box_id: &str, run: &Run) -> Result<()> {
        let owner = self.owner(store)?;
        let is_nobodys = owner.is_none();
        self.judge_owner(owner, box_id)?;
        if is_nobodys {
            self.own(store, box_id, run)?;
            // Another box of this name may have done the same at this moment.
            self.refuse_if_anothers(store, box_id)?;
        }
        Ok(())
    }

    /// Puts a backup there: its manifest last, so that it is one only when all of it is there.
    pub fn put(&self, store: &mut dyn Store, backup: &Stored, run: &Run) -> Result<Sent> {
        let file = backup.manifest_file()?;
        self.begin(store, &file.manifest.box_id, run)?;
        let dir = self.dir_of(&file.manifest.id);
        let mut all = Sent::default();
        let mut put = |name: &str, content: &Content| -> Result<()> {
            all = all.and(store.put(&format!("{dir}/{name}"), content, run)?);
            Ok(())
        };
        for artifact in &file.manifest.artifacts {
            let content = Content::file(&backup.path(&artifact.name), artifact.size, &artifact.sha256);
            put(artifact.name.as_str(), &content)?;
        }
        put(SHA256SUMS, &Content::bytes(sums(&file.manifest, Some(&file.bytes)).into_bytes()))?;
        if let Some(signature) = file.signature {
            put(SIGNATURE, &Content::bytes(signature))?;
        }
        put(MANIFEST, &Content::bytes(file.bytes))?;
        Ok(all)
    }

    /// The ids of the backups that have a folder there, whole or not, newest first: one look, however many they are.
    pub fn ids(&self, store: &mut dyn Store) -> Result<Vec<BackupId>> {
        let entries = store.list(&self.dir())?.into_iter().filter(|entry| entry.is_dir);
        let mut ids: Vec<BackupId> = entries.filter_map(|entry| entry.name.parse().ok()).collect();
        ids.sort_unstable_by(|a, b| b.cmp(a));
        ids.truncate(BACKUPS_MAX);
        Ok(ids)
    }

    /// The packs that are there.
    fn packs(&self, store: &mut dyn Store) -> Result<Vec<Entry>> {
        let packs = store.list(&format!("{}/{PACKS}", self.dir()))?.into_iter();
        Ok(packs.filter(|entry| !entry.is_dir).collect())
    }

    fn pack_path(&self, name: &PackName) -> String {
        format!("{}/{PACKS}/{name}", self.dir())
    }

    /// The content of an artifact, from its file or put together from packs.
    pub fn open(
        &self,
        store: &mut dyn Store,
        id: &BackupId,
        name: &ArtifactName,
        unsealing: &Unsealing<'_>,
    ) -> Result<Box<dyn Read + Send>> {
        match store.open(&format!("{}/{name}", self.dir_of(id))) {
            Err(error) if error.kind() == Kind::Missing => self.rebuilt(store, id, name, unsealing, error),
            opened => opened,
        }
    }

    /// Removes a backup: first what makes it one, so that a death in between leaves none that lacks files.
    pub fn remove(&self, store: &mut dyn Store, id: &BackupId) -> Result<()> {
        let dir = self.dir_of(id);
        store.delete(&format!("{dir}/{MANIFEST}"))?;
        store.delete(&format!("{dir}/{MANIFEST_GZ}"))?;
        store.delete_dir(&dir).context(|| format!("cannot remove all of {id}; it is no backup any more"))
    }

    /// Removes the whole folder of the box.
    pub fn remove_all(&self, store: &mut dyn Store, run: &Run) -> Result<()> {
        for id in self.ids(store)? {
            run.check()?;
            self.remove(store, &id)?;
        }
        store.delete_dir(&self.dir())
    }
}

/// The folders in `dir` that may be a customer's or a box's.
fn folders(store: &mut dyn Store, dir: &str) -> Result<Vec<FileName>> {
    let entries = store.list(dir)?.into_iter().filter(|entry| entry.is_dir);
    let mut names: Vec<FileName> = entries.filter_map(|entry| entry.name.parse().ok()).collect();
    names.sort_unstable();
    Ok(names)
}

/// A whole file of at most `limit` bytes.
fn read(store: &mut dyn Store, path: &str, limit: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = store.open(path)?.take(limit + 1).read_to_end(&mut bytes);
    read.context(|| format!("cannot read {path:?}"))?;
    match bytes.len() as u64 <= limit {
        true => Ok(bytes),
        false => Err(Error::new(Kind::Damaged, format!("{path:?} is longer than such a file can be"))),
    }
}
