//! The import rule of ARCHITECTURE.md: a room imports lower floors only, never a sibling; only `job` joins rooms.
#![allow(clippy::unwrap_used, reason = "helpers of a test")]

use std::fs;
use std::path::{Path, PathBuf};

/// The floors from top to bottom. Rooms of one floor do not know each other.
const FLOORS: &[&[&str]] = &[
    &["main"],
    &["cli"],
    &["agent"],
    &["job"],
    &["source", "store"],
    &["pack", "stick", "primary", "journal", "trust", "feedback"],
    &["host"],
    &["config"],
    &["policy"],
    &["lang"],
    &["model", "error"],
];

/// Pairs on one floor that may meet: nouns and the one error type know each other.
const TOGETHER: &[(&str, &str)] = &[("model", "error")];

fn floor(room: &str) -> usize {
    FLOORS.iter().position(|rooms| rooms.contains(&room)).unwrap_or_else(|| panic!("no floor is given for `{room}`"))
}

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|ext| ext == "rs") {
            found.push(path);
        }
    }
}

fn room_of(path: &Path) -> String {
    let first = path.strip_prefix("src").unwrap().iter().next().unwrap().to_str().unwrap();
    first.trim_end_matches(".rs").to_owned()
}

/// The rooms that a line names through `crate::`.
fn imports(line: &str) -> Vec<String> {
    let mut rooms = Vec::new();
    for (at, _) in line.match_indices("crate::") {
        let rest = &line[at + "crate::".len()..];
        if let Some(list) = rest.strip_prefix('{') {
            rooms.extend(list.split(',').map(|part| part.trim().split(':').next().unwrap_or("").to_owned()));
        } else {
            rooms.push(rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect());
        }
    }
    rooms.retain(|room| !room.is_empty());
    rooms
}

/// How many floors `super::` climbs: a file may climb within its room, never out of it.
fn climbs_out(path: &Path, line: &str) -> bool {
    let inside = path.strip_prefix("src").unwrap().iter().count() - 1;
    let depth = if path.file_name().is_some_and(|name| name == "mod.rs") { inside - 1 } else { inside };
    let climbs = line.matches("super::").count();
    climbs > depth + usize::from(line.starts_with("    "))
}

#[test]
fn rooms_import_lower_floors_only() {
    let mut files = Vec::new();
    sources(Path::new("src"), &mut files);
    let mut wrong = Vec::new();
    for path in files.iter().filter(|path| !path.ends_with("src/lib.rs")) {
        let here = room_of(path);
        let text = fs::read_to_string(path).unwrap();
        for (number, line) in text.lines().enumerate() {
            if line.trim_start().starts_with("//") {
                continue;
            }
            for there in imports(line) {
                let fine = there == here
                    || floor(&there) > floor(&here)
                    || TOGETHER.contains(&(&here, &there))
                    || TOGETHER.contains(&(&there, &here));
                if !fine {
                    wrong.push(format!("{}:{}: `{here}` imports `{there}`", path.display(), number + 1));
                }
            }
            if climbs_out(path, line) {
                wrong.push(format!("{}:{}: climbs out of its room", path.display(), number + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn unsafe_code_lives_behind_two_doors() {
    let mut files = Vec::new();
    sources(Path::new("src"), &mut files);
    for path in files {
        let home = path.starts_with("src/host") || path.starts_with("src/source/sqlite");
        let text = fs::read_to_string(&path).unwrap();
        let used = text.lines().any(|line| !line.trim_start().starts_with("//") && line.contains("unsafe"));
        assert!(home || !used, "{} uses unsafe", path.display());
        let spawns = text.contains("process::Command") || text.contains("Command::new");
        assert!(path.starts_with("src/host") || !spawns, "{} starts a process", path.display());
    }
}

#[test]
fn files_stay_short_enough_to_read() {
    let mut files = Vec::new();
    sources(Path::new("src"), &mut files);
    for path in files {
        let lines = fs::read_to_string(&path).unwrap().lines().count();
        assert!(lines <= 450, "{} has {lines} lines: is it one room or several?", path.display());
    }
}
