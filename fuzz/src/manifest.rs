//! Manifests: what is accepted comes back as it was, and no name in it is more than a name.

use super::{Dice, mutate};
use tillstick::model::{ArtifactName, BackupId, Manifest, name_problem};

/// The longest file name on FAT, in UTF-16 units.
const NAME_MAX: usize = 255;

pub(super) fn run(data: &[u8]) {
    match Manifest::parse(data) {
        Err(error) => {
            let report = error.report();
            assert!(!report.is_empty() && !error.to_string().contains('\n'), "{report}");
        }
        Ok(manifest) => holds(&manifest),
    }
}

fn holds(manifest: &Manifest) {
    let again = Manifest::parse(&manifest.to_bytes());
    assert_eq!(again.as_ref().ok(), Some(manifest), "it comes back as it was: {again:?}");
    let _ = (manifest.size(), manifest.rows());
    let id: BackupId = manifest.id.as_str().parse().expect("an id is an id");
    assert_eq!(id, manifest.id);
    is_safe(manifest.id.as_str());
    is_safe(manifest.customer.as_str());
    is_safe(manifest.box_name.as_str());
    assert!(manifest.box_id.len() == 32 && manifest.box_id.bytes().all(|byte| byte.is_ascii_hexdigit()));
    assert!(!manifest.artifacts.is_empty());
    for artifact in &manifest.artifacts {
        is_safe(artifact.source.as_str());
        is_safe(artifact.name.as_str());
        // The longest name that is made of it: another box's, in pieces, unfinished.
        let made: ArtifactName = artifact.name.for_box(&manifest.box_name);
        let made = format!("{made}.001.{id}.part");
        assert!(made.encode_utf16().count() <= NAME_MAX, "{made:?} is too long for FAT");
    }
}

/// Whether it can only ever be a name in the folder it is joined to, on Linux, Windows and FAT.
fn is_safe(name: &str) {
    assert!(!name.is_empty() && name != "." && name != "..");
    assert!(!name.contains(['/', '\\', '\0', ':', '*', '?', '"', '<', '>', '|']), "{name:?}");
    assert!(!name.chars().any(char::is_control) && !name.ends_with(['.', ' ']), "{name:?}");
    assert!(name_problem(name.split('.').next().unwrap()).is_none() || name.len() > 60, "{name:?}");
}

const WORDS: &[&str] = &[
    "\"format\": ",
    "\"id\": ",
    "\"customer\": ",
    "\"box\": ",
    "\"box_id\": ",
    "\"artifacts\": [",
    "\"config\": ",
    "\"tables\": [",
    "\"rows\": ",
    "\"size\": ",
    "\"properties\": {",
    "null",
    "true",
    "1",
    "0",
    "-1",
    "1.5",
    "1e9",
    "18446744073709551615",
    "18446744073709551616",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "\\u0000",
    "\\u202e",
    "\\\\",
    "../",
    "/",
    "..",
    "con",
    "NUL.",
    "\u{e4}",
    "\u{1f4be}",
    "\\ud83d",
    ".sql.gz",
    ".tar.gz",
    "_",
    " ",
    "20261122T200002Z",
    "2026-11-22T20:00:02Z",
    "-009999-01-02T01:59:59Z",
    "9999-12-30T22:00:00.999999999Z",
    "0000",
    "f",
];

pub(super) fn mutate(data: &mut Vec<u8>, dice: &mut Dice) {
    mutate::text(data, WORDS, dice);
}
