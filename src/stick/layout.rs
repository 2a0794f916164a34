//! Where things lie on a stick: names and paths, and nothing else.
//!
//! ```text
//! 104711_kasse.sql.gz                    the newest backup (.001 .002 ... when a file would be too large)
//! SHA256SUMS                             what `sha256sum -c` accepts
//! TILLSTICK/<box>/manifest-<id>.json     a backup exists when its manifest is in sight; .sig beside it
//! TILLSTICK/<box>/manifest-<id>.sha256   the manifest's SHA-256, and that of every piece of a split file
//! TILLSTICK/<box>/backups/<id>/...       the files of the earlier ones
//! TILLSTICK/<box>/token.json             by which the box knows the stick again
//! TILLSTICK/README.txt, stick.json
//! TILLSTICK/clusters.note                hidden: what the current step takes or frees
//! <name>.<id>.part, <name>.part          unfinished, and hidden where that is possible
//! ```

use crate::model::{ArtifactName, BackupId, FileName};

/// The folder that holds everything but the newest backup.
pub const HOME: &str = "TILLSTICK";
/// The file that `sha256sum -c` reads.
pub const SUMS: &str = "SHA256SUMS";
/// How to open a backup without this program.
pub const README: &str = "TILLSTICK/README.txt";
/// What the stick says of itself.
pub const STICK: &str = "TILLSTICK/stick.json";
/// Which clusters a step was about to take or free; always hidden.
pub const NOTE: &str = "TILLSTICK/clusters.note";
/// What the name of an unfinished file ends in.
pub const PART: &str = ".part";
/// As many pieces as three digits can number.
pub const PIECES_MAX: u64 = 999;

const MANIFEST: &str = "manifest-";

/// `TILLSTICK/<box>`.
pub fn box_dir(box_name: &FileName) -> String {
    format!("{HOME}/{box_name}")
}

/// `TILLSTICK/<box>/backups`.
pub fn backups_dir(box_name: &FileName) -> String {
    format!("{HOME}/{box_name}/backups")
}

/// `TILLSTICK/<box>/backups/<id>`.
pub fn backup_dir(box_name: &FileName, id: &BackupId) -> String {
    format!("{HOME}/{box_name}/backups/{id}")
}

/// The path of a backup's manifest.
pub fn manifest(box_name: &FileName, id: &BackupId) -> String {
    format!("{HOME}/{box_name}/{MANIFEST}{id}.json")
}

/// The path of a manifest's detached signature.
pub fn signature(box_name: &FileName, id: &BackupId) -> String {
    format!("{}.sig", manifest(box_name, id))
}

/// The path of the file with the SHA-256 of a backup's manifest, and of every piece of its split files.
pub fn sums(box_name: &FileName, id: &BackupId) -> String {
    format!("{HOME}/{box_name}/{MANIFEST}{id}.sha256")
}

/// The path of the token by which a box knows the stick again.
pub fn token(box_name: &FileName) -> String {
    format!("{HOME}/{box_name}/token.json")
}

/// What a file in the folder of a box is for.
#[derive(Debug, PartialEq, Eq)]
pub enum Role {
    /// A manifest.
    Manifest,
    /// A signature or sums, of use only with the manifest.
    Companion,
}

/// Reads the name of a file in the folder of a box: its role, its backup, and whether it is still a `.part`.
pub fn parse_box_file(name: &str) -> Option<(Role, BackupId, bool)> {
    let (name, part) = match strip_end(name, PART) {
        Some(name) => (name, true),
        None => (name, false),
    };
    let rest = strip_start(name, MANIFEST)?;
    let (id, ending) = rest.split_once('.')?;
    let role = match ending.to_ascii_lowercase().as_str() {
        "json" => Role::Manifest,
        "json.sig" | "sha256" => Role::Companion,
        _ => return None,
    };
    Some((role, id.parse().ok()?, part))
}

/// The name of an unfinished file in the root: the id tells which backup it belongs to, whatever else is on the stick.
pub fn root_part(name: &str, id: &BackupId) -> String {
    format!("{name}.{id}{PART}")
}

/// Reads a name made by [`root_part`]: the name it is to have, without a piece's number, and the backup's id.
pub fn parse_root_part(name: &str) -> Option<(ArtifactName, BackupId)> {
    let (name, id) = strip_end(name, PART)?.rsplit_once('.')?;
    Some((parse_artifact(name)?, id.parse().ok()?))
}

/// Whether it can be the short name of what [`root_part`] names, which is all that is left where the long one was in another
/// sector than the short one: up to six characters, `~`, a number, and the first three of `.part`.
pub fn is_half_of_a_root_part(name: &str) -> bool {
    let Some((base, ending)) = name.rsplit_once('.') else { return false };
    let numbered = base.rsplit_once('~').filter(|(_, digits)| digits.bytes().all(|b| b.is_ascii_digit()));
    same(ending, "PAR") && numbered.is_some_and(|(start, digits)| !start.is_empty() && !digits.is_empty())
}

/// The name of an artifact or of one of its pieces, as the artifact's name.
pub fn parse_artifact(name: &str) -> Option<ArtifactName> {
    let whole = match name.rsplit_once('.') {
        Some((whole, digits)) if digits.len() == 3 && digits.bytes().all(|b| b.is_ascii_digit()) => whole,
        _ => name,
    };
    whole.to_owned().try_into().ok()
}

/// What is put after an artifact's name for each of its pieces: nothing when it is whole.
pub fn piece_ending(number: u64) -> String {
    format!(".{number:03}")
}

/// Whether two names are one name to FAT and to Windows.
pub fn same(a: &str, b: &str) -> bool {
    a.chars().flat_map(char::to_uppercase).eq(b.chars().flat_map(char::to_uppercase))
}

/// A name or path as it compares: two that are [`same`] give one text.
pub fn folded(name: &str) -> String {
    name.chars().flat_map(char::to_uppercase).collect()
}

/// A path's folder and its last name.
pub fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

/// A name in a folder, as a path.
pub fn join(dir: &str, name: &str) -> String {
    if dir.is_empty() { name.to_owned() } else { format!("{dir}/{name}") }
}

fn strip_end<'a>(name: &'a str, ending: &str) -> Option<&'a str> {
    let at = name.len().checked_sub(ending.len())?;
    (name.is_char_boundary(at) && name[at..].eq_ignore_ascii_case(ending)).then(|| &name[..at])
}

fn strip_start<'a>(name: &'a str, start: &str) -> Option<&'a str> {
    let head = name.get(..start.len())?;
    head.eq_ignore_ascii_case(start).then(|| &name[start.len()..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unfinished_file_tells_which_backup_it_belongs_to() {
        let id: BackupId = "20261122T200002Z".parse().unwrap();
        for name in ["104711_kasse.sql.gz", "104711_kasse.sql.gz.002", "104711_kasse_kasse-2.tar.gz"] {
            let (artifact, of) = parse_root_part(&root_part(name, &id)).unwrap();
            assert!(name.starts_with(artifact.as_str()));
            assert_eq!(of, id);
        }
        for half in ["104711~1.PAR", "104711~23.par", "1A~4.PAR"] {
            assert!(is_half_of_a_root_part(half), "{half}");
        }
        for whole in ["104711~1.GZ", "FILM.PAR", "~1.PAR", "A~.PAR", "A~B.PAR", "104711~1"] {
            assert!(!is_half_of_a_root_part(whole), "{whole}");
        }
        for foreign in
            ["holiday.part", "film.mkv.part", "104711_kasse.sql.gz.part", "x.exe.20261122T200002Z.part", "ä.part"]
        {
            assert!(parse_root_part(foreign).is_none(), "{foreign}");
        }
    }

    #[test]
    fn files_of_a_box_are_told_apart() {
        let id: BackupId = "20261122T200002Z".parse().unwrap();
        let kasse = "kasse-1".parse().unwrap();
        let name = |path: String| split(&path).1.to_owned();
        assert_eq!(parse_box_file(&name(manifest(&kasse, &id))), Some((Role::Manifest, id.clone(), false)));
        assert_eq!(parse_box_file(&name(signature(&kasse, &id))), Some((Role::Companion, id.clone(), false)));
        let part = name(sums(&kasse, &id)) + PART;
        assert_eq!(parse_box_file(&part), Some((Role::Companion, id, true)));
        assert_eq!(parse_box_file("manifest-yesterday.json"), None);
    }

    #[test]
    fn names_are_one_when_windows_thinks_so() {
        assert!(same("Bäckerei.SQL.gz", "BÄCKEREI.sql.GZ"));
        assert!(!same("a", "b"));
    }
}
