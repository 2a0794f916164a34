//! From files to one tree: the main file, then `conf.d/*.toml` in the order of their names.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use toml::de::DeTable;

use super::report::Report;
use super::tree::{self, Lines, Table};

/// The longest file we read, in bytes: a hundred times what a full configuration needs.
const FILE_MAX: u64 = 1 << 20;

/// The most files in `conf.d`: beyond that it is not a configuration folder.
const FILES_MAX: usize = 100;

/// Syntax errors told per file: a file with more is something else than TOML.
const SYNTAX_MAX: usize = 20;

/// Reads the main file and `conf.d` beside it. A missing `conf.d` is fine.
pub(super) fn files(main: &Path, report: &mut Report) -> Table {
    let mut all = Table::new();
    let number = report.file(main);
    if let Some(text) = text_of(main, number, report) {
        all = text_to_table(&text, number, report);
    }
    for path in fragments(&main.with_file_name("conf.d"), report) {
        let number = report.file(&path);
        if let Some(text) = text_of(&path, number, report) {
            tree::merge(&mut all, text_to_table(&text, number, report));
        }
    }
    all
}

/// The files of `conf.d` in the order of their names; names with a leading dot are an editor's.
fn fragments(dir: &Path, report: &mut Report) -> Vec<PathBuf> {
    let listed = fs::read_dir(dir).and_then(|entries| {
        let paths = entries.map(|entry| entry.map(|entry| entry.path()));
        let ours = |path: &PathBuf| {
            path.extension().is_some_and(|ending| ending == "toml")
                && path.file_name().is_some_and(|name| !name.as_encoded_bytes().starts_with(b"."))
        };
        let wanted = |path: &std::io::Result<PathBuf>| path.as_ref().map_or(true, ours);
        paths.filter(wanted).take(FILES_MAX + 1).collect::<std::io::Result<Vec<_>>>()
    });
    let mut paths = match listed {
        Ok(paths) => paths,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Vec::new(),
        Err(error) => {
            let number = report.file(dir);
            report.broken(number, None, format!("cannot be listed: {error}"), None);
            return Vec::new();
        }
    };
    if paths.len() > FILES_MAX {
        let number = report.file(dir);
        report.broken(number, None, format!("holds more than {FILES_MAX} files, none of them was read"), None);
        return Vec::new();
    }
    paths.sort();
    paths
}

fn text_of(path: &Path, number: usize, report: &mut Report) -> Option<String> {
    let mut bytes = Vec::new();
    let read = fs::metadata(path).and_then(|facts| {
        // Opening a pipe would wait for somebody to write into it.
        if !facts.is_file() {
            return Ok(false);
        }
        File::open(path)?.take(FILE_MAX + 1).read_to_end(&mut bytes)?;
        Ok(true)
    });
    let message = match read {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            report.broken(number, None, "is not there".into(), Some("`tillstick init` makes one"));
            return None;
        }
        Err(error) => format!("cannot be read: {error}"),
        Ok(false) => "is not a file".into(),
        Ok(true) if bytes.len() as u64 > FILE_MAX => format!("is longer than {FILE_MAX} bytes"),
        Ok(true) => match String::from_utf8(bytes) {
            Ok(text) => return Some(text),
            Err(error) => {
                let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
                let line = memchr::memchr_iter(b'\n', valid).count() + 1;
                let hint = "save the file as UTF-8";
                report.broken(number, Some(line), "is not UTF-8 text".into(), Some(hint));
                return None;
            }
        },
    };
    report.broken(number, None, message, None);
    None
}

/// The tree of one file. Lines that are no TOML are reported, and the rest is read all the same.
pub(super) fn text_to_table(text: &str, number: usize, report: &mut Report) -> Table {
    let lines = Lines::new(number, text);
    let (table, errors) = DeTable::parse_recoverable(text);
    // After "unclosed table", "unclosed array" the parser takes what follows for something else than was meant. Should
    // these words change, such a file gets a few more complaints than mistakes.
    let torn = errors.iter().any(|error| error.message().starts_with("unclosed"));
    let offset = |error: &toml::de::Error| error.span().map_or(0, |span| span.start);
    let mut errors: Vec<_> = errors.iter().map(|error| (lines.at(offset(error)), error.message())).collect();
    errors.sort();
    errors.dedup_by_key(|(place, _)| *place);
    if torn && let Some((first, _)) = errors.first().copied() {
        report.torn(first);
        errors.truncate(1);
    }
    for (place, message) in errors.into_iter().take(SYNTAX_MAX) {
        report.broken(number, Some(place.line), message.to_owned(), hint_for(message));
    }
    tree::table(table.into_inner(), &lines)
}

fn hint_for(message: &str) -> Option<&'static str> {
    if message.starts_with("duplicate key") {
        Some("a key may stand only once in a file")
    } else if message.contains("escaped value") {
        Some("write \\\\ for a backslash, or use single quotes")
    } else {
        None
    }
}
