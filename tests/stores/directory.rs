//! Folders.

use std::fs;
use std::path::Path;

use tempfile::TempDir;
use tillstick::config::{DirectoryConfig, StoreKind};
use tillstick::error::Kind;
use tillstick::store::{Content, init_directory};

use crate::contract::{Subject, config_of, holds, noise, open, opened, quietly};

/// A folder that was set up.
pub(crate) struct Folder(pub(crate) TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        let folder = Self(crate::kit::scratch());
        init_directory(&folder.config(), folder.0.path(), true).unwrap();
        folder
    }

    fn path(&self) -> std::path::PathBuf {
        self.0.path().join("nas")
    }

    fn config(&self) -> DirectoryConfig {
        DirectoryConfig { path: self.path() }
    }
}

fn walk(dir: &Path, root: &Path, all: &mut Vec<String>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => walk(&path, root, all),
            false => all.push(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned()),
        }
    }
}

impl Subject for Folder {
    fn table(&self) -> String {
        format!("type = \"directory\"\npath = {:?}", self.path())
    }

    fn sent_again(&self) -> Option<u64> {
        Some(1 << 20)
    }

    fn files(&self) -> Option<Vec<String>> {
        let mut all = Vec::new();
        walk(&self.path(), &self.path(), &mut all);
        Some(all)
    }
}

#[test]
fn the_contract_holds_in_a_folder() {
    holds(&Folder::new());
}

#[test]
fn a_folder_that_was_not_set_up_is_not_filled() {
    let dir = crate::kit::scratch();
    let table = format!("type = \"directory\"\npath = {:?}", dir.path().join("nas"));
    let config = config_of(&table);
    for make in [false, true] {
        if make {
            // The empty place where a disk is not mounted.
            fs::create_dir(dir.path().join("nas")).unwrap();
        }
        let error = open(&config).map(|_| ()).unwrap_err();
        assert_eq!(error.kind(), Kind::Missing);
        assert!(error.report().contains("store init"), "{}", error.report());
    }
    let StoreKind::Directory(directory) = &config.kind else { panic!("a folder") };
    let refused = init_directory(directory, dir.path(), false).unwrap_err();
    assert_eq!(refused.kind(), Kind::Refused, "the same file system as the backups: {}", refused.report());
    assert!(fs::read_dir(dir.path().join("nas")).unwrap().next().is_none(), "nothing was written");
    let first = init_directory(directory, dir.path(), true).unwrap();
    let second = init_directory(directory, dir.path(), false).unwrap();
    assert_eq!((first.was_one, second.was_one, &first.id), (false, true, &second.id));
}

#[test]
fn a_disk_that_is_unmounted_while_the_store_is_open_is_not_filled() {
    let folder = Folder::new();
    let mut store = opened(&folder);
    fs::rename(folder.path(), folder.0.path().join("elsewhere")).unwrap();
    fs::create_dir(folder.path()).unwrap();
    let error = quietly(|run| store.put("4711/b/x", &Content::bytes(noise(1000, 1)), run)).unwrap_err();
    assert_eq!(error.kind(), Kind::Missing, "{}", error.report());
    let error = store.list("4711/b").unwrap_err();
    assert_eq!(error.kind(), Kind::Missing, "what is not mounted is not empty: {}", error.report());
    assert!(fs::read_dir(folder.path()).unwrap().next().is_none());
    // Another disk in its place is another medium.
    init_directory(&folder.config(), folder.0.path(), true).unwrap();
    let error = quietly(|run| store.put("4711/b/x", &Content::bytes(noise(1000, 1)), run)).unwrap_err();
    assert!(error.report().contains("another disk"), "{}", error.report());
    assert_eq!(folder.files().unwrap(), ["tillstick-store.json"]);
}

#[test]
fn what_an_earlier_put_left_is_not_trusted() {
    let folder = Folder::new();
    let bytes = noise(3_000_000, 3);
    let content = Content::bytes(bytes.clone());
    let part = folder.path().join(format!("4711/b/x.{}.part", &content.sha256()[..12]));
    fs::create_dir_all(part.parent().unwrap()).unwrap();
    for left in [noise(2_000_000, 4), noise(4_000_000, 4), Vec::new()] {
        fs::write(&part, left).unwrap();
        let mut store = opened(&folder);
        quietly(|run| store.put("4711/b/x", &content, run)).unwrap();
        assert!(fs::read(folder.path().join("4711/b/x")).unwrap() == bytes);
        assert!(!part.exists());
        store.delete("4711/b/x").unwrap();
    }
}
