//! What was read of a store once is not read again while it is the same there, and is when it is not.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::io::Read;

use tillstick::error::Error;
use tillstick::model::{BackupId, Run};
use tillstick::store::shelf::{Kept, Recall};
use tillstick::store::{Content, Entry, Ranges, Sent, Store};

use super::world::World;
use crate::contract::quietly;

/// Keeps it in memory.
#[derive(Default)]
struct Memory(RefCell<BTreeMap<BackupId, Vec<Kept>>>);

impl Recall for Memory {
    fn of(&self, id: &BackupId) -> Vec<Kept> {
        self.0.borrow().get(id).cloned().unwrap_or_default()
    }

    fn keep(&self, id: &BackupId, files: &[Kept]) {
        self.0.borrow_mut().insert(id.clone(), files.to_vec());
    }

    fn only(&self, ids: &[BackupId]) {
        self.0.borrow_mut().retain(|id, _| ids.contains(id));
    }
}

/// Notes which files are opened.
struct Noted {
    inner: Box<dyn Store>,
    opened: Vec<String>,
}

impl Store for Noted {
    fn medium(&self) -> &str {
        self.inner.medium()
    }

    fn label(&self) -> String {
        self.inner.label()
    }

    fn put(&mut self, path: &str, content: &Content, run: &Run) -> Result<Sent, Error> {
        self.inner.put(path, content, run)
    }

    fn open(&mut self, path: &str) -> Result<Box<dyn Read + Send>, Error> {
        self.opened.push(path.to_owned());
        self.inner.open(path)
    }

    fn ranges(&mut self) -> Box<dyn Ranges> {
        self.inner.ranges()
    }

    fn list(&mut self, dir: &str) -> Result<Vec<Entry>, Error> {
        self.inner.list(dir)
    }

    fn delete(&mut self, path: &str) -> Result<(), Error> {
        self.inner.delete(path)
    }

    fn delete_dir(&mut self, dir: &str) -> Result<(), Error> {
        self.inner.delete_dir(dir)
    }

    fn give_up(&mut self, dir: &str, keep: &dyn Fn(&str) -> bool) -> Result<(), Error> {
        self.inner.give_up(dir, keep)
    }

    fn free(&mut self) -> Result<Option<u64>, Error> {
        self.inner.free()
    }
}

/// Looks at the store as a clean-up does: the files that it reads, and the picture it has then, which must be the one of
/// somebody who reads all.
fn look(world: &World, memory: &Memory) -> Vec<String> {
    let mut store = Noted { inner: world.store(), opened: Vec::new() };
    let held = quietly(|run| world.shelf.held(&mut store, Some(memory), run)).unwrap();
    assert_eq!(format!("{held:?}"), format!("{:?}", world.held()));
    store.opened.iter().map(|path| path.trim_start_matches("4711/kasse-1/").to_owned()).collect()
}

#[test]
fn what_was_read_of_a_store_is_read_again_only_when_it_changed() {
    let (mut world, memory) = (World::new(), Memory::default());
    let ids: Vec<BackupId> = (0..4).map(|_| world.backup()).collect();
    for id in &ids[..3] {
        world.send(world.store().as_mut(), id).unwrap();
    }
    assert_eq!(look(&world, &memory).len(), 3 * 3, "the parts, the manifest and its sum of each");
    assert_eq!(look(&world, &memory), Vec::<String>::new());
    world.send(world.store().as_mut(), &ids[3]).unwrap();
    let newest = ["parts.gz", "manifest.json.gz", "SHA256SUMS"].map(|name| format!("{}/{name}", ids[3]));
    assert_eq!(look(&world, &memory), newest);
    // Of the same size, by somebody else.
    let manifest = world.nas().join("4711/kasse-1").join(ids[1].as_str()).join("manifest.json.gz");
    let mut bytes = fs::read(&manifest).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&manifest, bytes).unwrap();
    assert_eq!(look(&world, &memory), [format!("{}/manifest.json.gz", ids[1])]);
    assert!(world.held().unreadable.iter().any(|(id, _)| *id == ids[1]));
    // What is gone there is forgotten here.
    world.shelf.remove(world.store().as_mut(), &ids[0]).unwrap();
    look(&world, &memory);
    assert_eq!(memory.0.borrow().keys().collect::<Vec<_>>(), [&ids[1], &ids[2], &ids[3]]);
}
