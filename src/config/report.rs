//! Collects what is wrong while a configuration is read, and drops what only follows from another mistake.

use std::path::{Path, PathBuf};

use super::problem::{Problem, Problems};
use super::tree::Place;

/// The most problems told at once: more than a person mends in one go.
const TOLD_MAX: usize = 200;

/// One mistake, before its file has a name. Sorts by place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Found {
    file: usize,
    line: Option<usize>,
    key: String,
    message: String,
    hint: Option<String>,
}

/// The mistakes so far.
#[derive(Debug, Default)]
pub(super) struct Report {
    files: Vec<PathBuf>,
    /// Files that could not be read and lines that are no TOML: there may be more keys than we know of.
    broken: Vec<Found>,
    /// Wrong keys and values.
    wrong: Vec<Found>,
    /// Places from which on a file cannot be judged: a bracket that nobody closed swallows what follows.
    torn: Vec<Place>,
}

impl Report {
    /// Adds a file and gives its number.
    pub(super) fn file(&mut self, path: &Path) -> usize {
        self.files.push(path.to_owned());
        self.files.len() - 1
    }

    /// The files so far, in reading order.
    pub(super) fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// Whether every file was read as a whole, so that a key that is not there is really missing.
    pub(super) fn complete(&self) -> bool {
        self.broken.is_empty()
    }

    /// A file cannot be read, or a line of it is no TOML.
    pub(super) fn broken(&mut self, file: usize, line: Option<usize>, message: String, hint: Option<&str>) {
        self.broken.push(Found { file, line, key: String::new(), message, hint: hint.map(str::to_owned) });
    }

    /// What stands from here on in this file cannot be judged.
    pub(super) fn torn(&mut self, at: Place) {
        self.torn.push(at);
    }

    /// A key or a value is wrong. `at` is `None` when it stands nowhere.
    pub(super) fn wrong(&mut self, at: Option<Place>, key: &str, message: String, hint: Option<String>) {
        let (file, line) = at.map_or((0, None), |at| (at.file, Some(at.line)));
        self.wrong.push(Found { file, line, key: key.to_owned(), message, hint });
    }

    /// A key that must be there is not, unless it may stand in what could not be read.
    pub(super) fn missing(&mut self, at: Option<Place>, key: &str, hint: String) {
        if self.complete() {
            self.wrong(at, key, "is required, but stands in no file".into(), Some(hint));
        }
    }

    /// All mistakes in the order of files and lines; `None` when there are none.
    pub(super) fn finish(self) -> Option<Problems> {
        let Self { files, mut broken, wrong, torn } = self;
        let mut all = Vec::new();
        for found in wrong {
            let judged = |torn: &Place| torn.file != found.file || found.line < Some(torn.line);
            if !torn.iter().all(judged) {
                continue;
            }
            let same_line = |other: &&mut Found| (other.file, other.line) == (found.file, found.line);
            match broken.iter_mut().find(same_line) {
                // One slip is one problem: the broken line learns from the value which key it is about.
                Some(line) if found.line.is_some() => {
                    line.key = found.key;
                    line.hint = found.hint.or(line.hint.take());
                }
                _ => all.push(found),
            }
        }
        all.append(&mut broken);
        all.sort();
        all.dedup();
        if all.len() > TOLD_MAX {
            let more = format!("and {} more problems", all.len() - TOLD_MAX);
            all.truncate(TOLD_MAX);
            all.push(Found { file: 0, line: None, key: String::new(), message: more, hint: None });
        }
        let name = |found: Found| Problem {
            file: files.get(found.file).cloned().unwrap_or_default(),
            line: found.line,
            key: found.key,
            message: found.message,
            hint: found.hint,
        };
        Problems::new(all.into_iter().map(name).collect())
    }
}
