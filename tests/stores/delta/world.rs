//! Backups of a small invented shop in a primary, and a store into which they go as packs.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use jiff::{Timestamp, ToSpan};
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tillstick::config::DirectoryConfig;
use tillstick::error::Error;
use tillstick::model::{ArtifactFacts, ArtifactName, BackupId, MANIFEST_FORMAT, Manifest, Run, Sink as _, SourceFacts};
use tillstick::pack::{Options, Packer, Previous, index_path};
use tillstick::primary::{Primary, Stored};
use tillstick::store::shelf::{Delta, Held, Packing, Seal, Shelf, Unsealing};
use tillstick::store::{Sent, Store, init_directory};
use tillstick::trust::sealing::Identities;

use super::Dice;
use crate::contract::{config_of, open, quietly};

/// Chunks so small that little text makes many.
const SMALL: Options = Options { level: 6, threads: 1, chunk: 1024 };

pub(super) struct World {
    dir: TempDir,
    pub(super) primary: Primary,
    pub(super) shelf: Shelf,
    /// The rows of each source.
    rows: [Vec<u64>; 2],
    next_row: u64,
    clock: Timestamp,
}

fn names() -> [ArtifactName; 2] {
    ["4711_kasse.sql.gz", "4711_shop.sql.gz"].map(|name| name.to_owned().try_into().unwrap())
}

fn row(id: u64) -> Vec<u8> {
    let noise = id.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29).wrapping_mul(0xd1b5_4a32_d192_ed03);
    format!("INSERT INTO position VALUES({id},'{noise:016x}','{:016x}');\n", noise.rotate_left(17) ^ id).into_bytes()
}

impl World {
    pub(super) fn new() -> Self {
        let dir = crate::kit::scratch();
        init_directory(&DirectoryConfig { path: dir.path().join("nas") }, dir.path(), true).unwrap();
        Self {
            primary: Primary::open(&dir.path().join("backups")).unwrap(),
            shelf: Shelf::new(&"4711".parse().unwrap(), &"kasse-1".parse().unwrap()),
            rows: [(0..900).collect(), (10_000..10_400).collect()],
            next_row: 20_000,
            clock: "2026-01-01T20:00:00Z".parse().unwrap(),
            dir,
        }
    }

    pub(super) fn nas(&self) -> PathBuf {
        self.dir.path().join("nas")
    }

    pub(super) fn store(&self) -> Box<dyn Store> {
        open(&config_of(&format!("type = \"directory\"\npath = {:?}", self.nas()))).unwrap()
    }

    /// Business as usual: rows come, some change, some go; now and then nothing happens, or everything changes.
    pub(super) fn business(&mut self, dice: &mut Dice) {
        let source = usize::from(dice.roll(4) == 0);
        let new = dice.roll(60);
        let rows = &mut self.rows[source];
        match dice.roll(8) {
            0 => {}
            1 => rows.iter_mut().for_each(|row| *row += 1_000_000),
            2 => {
                let at = dice.roll(rows.len() as u64) as usize;
                rows.drain(at..(at + 40).min(rows.len() - 1));
            }
            3 | 4 => {
                for _ in 0..4 {
                    let at = dice.roll(rows.len() as u64) as usize;
                    rows[at] += 2_000_000;
                }
            }
            _ => {
                rows.extend(self.next_row..self.next_row + new);
                self.next_row += new;
            }
        }
    }

    /// Makes a backup of what there is.
    pub(super) fn backup(&mut self) -> BackupId {
        self.clock += 1.hour();
        let newest = self.primary.list().unwrap().into_iter().next();
        let id = BackupId::next(self.clock, newest.as_ref().map(Stored::id));
        let lock = self.primary.lock("test").unwrap();
        let draft = self.primary.begin(&lock, id.clone(), 0).unwrap();
        let mut artifacts = Vec::new();
        for (name, rows) in names().into_iter().zip(&self.rows) {
            let facts = quietly(|run| {
                let previous = newest.as_ref().map(|stored| stored.path(&name));
                let previous = previous.and_then(|path| Previous::open(&path, &SMALL, run).unwrap());
                let mut packer = Packer::new(draft.artifact(&name).unwrap(), previous, SMALL, *run).unwrap();
                for id in rows {
                    packer.text().extend(row(*id));
                    if packer.boundary(*id) {
                        packer.cut().unwrap();
                    }
                }
                let (file, packed) = packer.finish().unwrap();
                let (size, sha256) = file.finish().unwrap();
                draft.index(&index_path(&draft.path(&name)), &packed.index.to_bytes()).unwrap();
                let (source, facts) = ("k".parse().unwrap(), SourceFacts::default());
                ArtifactFacts { name: name.clone(), source, size, sha256, plain: None, text: packed.text, facts }
            });
            artifacts.push(facts);
        }
        let manifest = Manifest {
            format: MANIFEST_FORMAT,
            id: id.clone(),
            customer: self.shelf.customer.clone(),
            box_name: self.shelf.box_name.clone(),
            box_id: "0123456789abcdef0123456789abcdef".into(),
            started: self.clock,
            finished: self.clock,
            clock_trusted: true,
            tool: "tillstick".into(),
            signed_by: None,
            config: None,
            artifacts,
        };
        draft.finish(&manifest, |_| None).unwrap();
        id
    }

    /// The local retention.
    pub(super) fn forget(&self, id: &BackupId) {
        let lock = self.primary.lock("test").unwrap();
        self.primary.remove(&lock, id).unwrap();
    }

    pub(super) fn prepare(&self, store: &mut dyn Store, id: &BackupId, run: &Run) -> Result<Delta, Error> {
        let is_damaged = &|_: &BackupId| false;
        let packing = Packing { primary: &self.primary, seal: Seal::default(), sealer: None, is_damaged };
        self.shelf.prepare(store, &self.primary.find(id).unwrap(), &packing, run)
    }

    /// What `copy` does.
    pub(super) fn send(&self, store: &mut dyn Store, id: &BackupId) -> Result<Sent, Error> {
        quietly(|run| {
            let manifest = self.primary.find(id)?.manifest()?;
            if self.shelf.find(store, id).is_ok_and(|found| found.complete && found.manifest == manifest) {
                return Ok(Sent::default());
            }
            let delta = self.prepare(store, id, run)?;
            self.shelf.put_delta(store, &delta, run)
        })
    }

    /// What `prune` does, of the backups that `goes` chooses; the newest whole one never goes.
    pub(super) fn prune(&self, store: &mut dyn Store, mut goes: impl FnMut(&BackupId) -> bool) -> Result<(), Error> {
        quietly(|run| {
            let held = self.shelf.held(store, None, run)?;
            let whole: Vec<&BackupId> = held.backups.iter().map(|found| &found.manifest.id).collect();
            let going: Vec<BackupId> = whole.into_iter().skip(1).filter(|id| goes(id)).cloned().collect();
            for id in &going {
                self.shelf.remove(store, id)?;
            }
            self.shelf.sweep(store, &held, &going, run)
        })
    }

    pub(super) fn held(&self) -> Held {
        quietly(|run| self.shelf.held(self.store().as_mut(), None, run)).unwrap()
    }

    /// Every backup that has a manifest in the store is what was backed up, whatever happened; says which they are.
    #[track_caller]
    pub(super) fn all_are_whole(&self, when: &str) -> Vec<BackupId> {
        let held = self.held();
        assert!(held.unreadable.is_empty(), "{when}: {:?}", held.unreadable);
        for found in &held.backups {
            let id = &found.manifest.id;
            assert!(found.complete, "{when}: {id} has a manifest and lacks something");
            for facts in &found.manifest.artifacts {
                let bytes = self.read(id, &facts.name).unwrap_or_else(|error| panic!("{when}: {id}: {error}"));
                assert_eq!(format!("{:x}", Sha256::digest(&bytes)), facts.sha256, "{when}: {id} {}", facts.name);
            }
        }
        held.backups.into_iter().map(|found| found.manifest.id).collect()
    }

    /// What a restore would read.
    pub(super) fn read(&self, id: &BackupId, name: &ArtifactName) -> Result<Vec<u8>, String> {
        let unsealing = Unsealing { identities: &Identities::default(), scratch: self.dir.path() };
        let mut bytes = Vec::new();
        let mut reader =
            self.shelf.open(self.store().as_mut(), id, name, &unsealing).map_err(|error| error.report())?;
        reader.read_to_end(&mut bytes).map_err(|error| error.to_string())?;
        Ok(bytes)
    }

    /// Packs that no backup needs, finished or not.
    pub(super) fn waste(&self) -> Vec<String> {
        let folder = self.nas().join("4711/kasse-1");
        let mut needed = Vec::new();
        for dir in crate::kit::names(&folder) {
            if let Ok(bytes) = fs::read(folder.join(&dir).join("parts.gz")) {
                let parts = tillstick::store::shelf::Parts::parse(&bytes).unwrap();
                needed.extend(parts.packs().keys().map(ToString::to_string));
            }
        }
        let packs = crate::kit::names(&folder.join("packs"));
        packs.into_iter().filter(|pack| !needed.contains(pack)).collect()
    }

    /// All that is in the store.
    pub(super) fn picture(&self) -> Picture {
        let mut files = BTreeMap::new();
        collect(&self.nas(), &self.nas(), &mut files);
        files
    }

    /// Puts the store back to what it was.
    pub(super) fn put_back(&self, picture: &Picture) {
        fs::remove_dir_all(self.nas()).unwrap();
        for (path, bytes) in picture {
            let path = self.nas().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
    }
}

pub(super) type Picture = BTreeMap<PathBuf, Vec<u8>>;

fn collect(dir: &Path, root: &Path, files: &mut Picture) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => collect(&path, root, files),
            false => drop(files.insert(path.strip_prefix(root).unwrap().to_owned(), fs::read(&path).unwrap())),
        }
    }
}
