//! An archive in memory, and what a tree looks like.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tillstick::error::Result;
use tillstick::model::{Cancel, Quiet, Run, Sink, SourceFacts};
use tillstick::policy::select::Pattern;
use tillstick::source::Source;
use tillstick::source::files::{Files, Unpacked, into_new};

/// Keeps all of the text, and where it could be cut.
#[derive(Default)]
pub(crate) struct Text {
    pub(crate) all: Vec<u8>,
    pub(crate) units: Vec<(u64, usize)>,
}

impl Sink for Text {
    fn text(&mut self) -> &mut Vec<u8> {
        &mut self.all
    }

    fn boundary(&mut self, key: u64) -> bool {
        self.units.push((key, self.all.len()));
        false
    }

    fn cut(&mut self) -> Result<()> {
        Ok(())
    }
}

pub(crate) fn with_run<T>(work: impl FnOnce(&Run) -> T) -> T {
    let cancel = Cancel::default();
    work(&Run { monitor: &Quiet, cancel: &cancel })
}

pub(crate) fn scratch() -> TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap())
}

pub(crate) fn source(path: &Path) -> Files {
    Files { paths: vec![Pattern::path(path.to_str().unwrap()).unwrap()], one_file_system: true, ..Files::default() }
}

pub(crate) fn archive(files: &Files) -> Result<(Text, SourceFacts)> {
    let mut text = Text::default();
    let facts = with_run(|run| files.dump(&mut text, run))?;
    Ok((text, facts))
}

pub(crate) fn unpack(archive: &[u8], target: &Path) -> Result<Unpacked> {
    with_run(|run| into_new(archive, target, run))
}

/// Where the tree at `path` lies below a folder into which its archive was unpacked.
pub(crate) fn below(target: &Path, path: &Path) -> PathBuf {
    target.join(path.strip_prefix("/").unwrap())
}

/// Everything of a tree that must come back, one line for each thing.
pub(crate) fn tree(dir: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    look(dir, Path::new(""), &mut lines);
    lines.sort();
    lines
}

fn look(dir: &Path, at: &Path, lines: &mut Vec<String>) {
    let path = dir.join(at);
    let meta = fs::symlink_metadata(&path).unwrap();
    let kind = meta.file_type();
    let content = if kind.is_symlink() {
        format!("{:?}", fs::read_link(&path).unwrap())
    } else if kind.is_file() {
        let content = fs::read(&path).unwrap();
        format!("{} {:x} links {}", content.len(), xxhash_rust::xxh3::xxh3_128(&content), meta.nlink())
    } else {
        String::new()
    };
    let (mode, time) = (meta.mode(), (meta.mtime(), meta.mtime_nsec()));
    let name = at.as_os_str().as_bytes().escape_ascii();
    lines.push(format!("{name} {mode:o} {}:{} {time:?} {content}", meta.uid(), meta.gid()));
    if kind.is_dir() {
        for entry in fs::read_dir(&path).unwrap() {
            look(dir, &at.join(entry.unwrap().file_name()), lines);
        }
    }
}
