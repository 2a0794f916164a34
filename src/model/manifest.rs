//! The manifest: what a backup consists of, written last, so that a backup without one is no backup.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{ArtifactName, BackupId, FileName, PublicKey};
use crate::error::{Context, Error, Kind, Result};

/// The version of the manifest's form; a newer one is refused with a clear message, not guessed at.
pub const MANIFEST_FORMAT: u32 = 1;

/// The largest manifest that is read, in bytes: a database with 10,000 tables needs about 1 MB.
pub const MANIFEST_MAX: u64 = 16 << 20;

/// One backup: the artifacts of one run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`MANIFEST_FORMAT`].
    pub format: u32,
    /// The backup's id.
    pub id: BackupId,
    /// The customer number; a string, leading zeros count.
    pub customer: FileName,
    /// The box's name in its configuration.
    #[serde(rename = "box")]
    pub box_name: FileName,
    /// The random id the box gave itself at its first start, in hex.
    pub box_id: String,
    /// When the run began, by the box's clock.
    pub started: Timestamp,
    /// When the run ended, by the box's clock.
    pub finished: Timestamp,
    /// Whether the clock was plausible: not before the program's build nor before the newest backup.
    pub clock_trusted: bool,
    /// The program and its version.
    pub tool: String,
    /// Whose signature is beside it, when it was signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed_by: Option<PublicKey>,
    /// The configuration in force, as `tillstick.toml` says it: what a recovery puts back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<String>,
    /// One entry for each artifact.
    pub artifacts: Vec<ArtifactFacts>,
}

/// One file of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArtifactFacts {
    /// The file's name.
    pub name: ArtifactName,
    /// The source's name in the configuration.
    pub source: FileName,
    /// Its size in bytes.
    pub size: u64,
    /// Its SHA-256, 64 lower-case hex digits.
    pub sha256: String,
    /// What it is once it is decrypted; none when it is not encrypted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plain: Option<PlainFacts>,
    /// What it unpacks to.
    pub text: TextFacts,
    /// What the source said of itself.
    pub facts: SourceFacts,
}

/// An artifact before it was encrypted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlainFacts {
    /// Its size in bytes.
    pub size: u64,
    /// Its SHA-256, 64 lower-case hex digits.
    pub sha256: String,
}

impl ArtifactFacts {
    /// What the artifact is once it is decrypted; itself where it is not encrypted.
    pub fn opened(&self) -> Self {
        match self.plain.clone() {
            None => self.clone(),
            Some(PlainFacts { size, sha256 }) => {
                Self { name: self.name.plain(), size, sha256, plain: None, ..self.clone() }
            }
        }
    }
}

/// The text inside an artifact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextFacts {
    /// Its size in bytes.
    pub size: u64,
    /// Its CRC-32, as in the gzip trailer.
    pub crc32: u32,
    /// Its XXH3-128, 32 lower-case hex digits: the content hash that a drill compares.
    pub xxh3: String,
}

/// What a source says of itself and of what it gave.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceFacts {
    /// `sqlite`, later `mariadb`, `postgresql`, `files`.
    pub kind: String,
    /// The engine's version.
    pub engine: String,
    /// Every table with its number of rows, in the order of the dump; of files, every path that is backed up with the
    /// number of files, folders and links below it.
    pub tables: Vec<TableRows>,
    /// Properties that the dump cannot carry (`journal_mode`), in the order of their names.
    #[serde(default, skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub properties: std::collections::BTreeMap<String, String>,
    /// What a restore will not bring back as it was, each in one line.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// A table and its number of rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableRows {
    /// The table's name as the database has it; may be anything.
    pub name: String,
    /// Its number of rows.
    pub rows: u64,
}

impl Manifest {
    /// Reads a manifest from its bytes, which may come from anywhere.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        #[derive(Deserialize)]
        struct Form {
            format: u32,
        }
        let damaged = |cause| Error::new(Kind::Damaged, "the manifest is not readable").because(cause);
        let form: Form = serde_json::from_slice(bytes).map_err(damaged)?;
        if form.format > MANIFEST_FORMAT {
            return Err(Error::new(
                Kind::Refused,
                format!("the manifest has format {}, newer than {MANIFEST_FORMAT}", form.format),
            )
            .help("use a tillstick at least as new as the one that made the backup"));
        }
        let manifest: Self = serde_json::from_slice(bytes).map_err(damaged)?;
        manifest.validate().context(|| format!("the manifest of {} contradicts itself", manifest.id))?;
        Ok(manifest)
    }

    fn validate(&self) -> Result<()> {
        let wrong = |why: String| Err(Error::new(Kind::Damaged, why));
        if self.artifacts.is_empty() {
            return wrong("it names no artifact".into());
        }
        if !is_hex(&self.box_id, 32) {
            return wrong("its box id is not 32 hex digits".into());
        }
        let rows = self.artifacts.iter().flat_map(|artifact| &artifact.facts.tables).map(|table| table.rows);
        if !adds_up(self.artifacts.iter().map(|artifact| artifact.size)) || !adds_up(rows) {
            return wrong("its sizes or numbers of rows are larger than any that exist".into());
        }
        for (i, artifact) in self.artifacts.iter().enumerate() {
            if !is_hex(&artifact.sha256, 64) || !is_hex(&artifact.text.xxh3, 32) {
                return wrong(format!("a hash of `{}` has the wrong form", artifact.name));
            }
            if artifact.name.is_sealed() != artifact.plain.is_some() {
                return wrong(format!("it does not say whether `{}` is encrypted", artifact.name));
            }
            if artifact.plain.as_ref().is_some_and(|plain| !is_hex(&plain.sha256, 64)) {
                return wrong(format!("a hash of `{}` has the wrong form", artifact.name));
            }
            let clash = |other: &ArtifactFacts| other.name.as_str().eq_ignore_ascii_case(artifact.name.as_str());
            if self.artifacts[..i].iter().any(clash) {
                return wrong(format!("it names `{}` twice", artifact.name));
            }
        }
        Ok(())
    }

    /// The manifest's bytes: indented JSON with a final line feed. Signed and hashed exactly as they are.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self).expect("a manifest is plain data");
        bytes.push(b'\n');
        bytes
    }

    /// The artifacts' sizes together, in bytes.
    pub fn size(&self) -> u64 {
        self.artifacts.iter().map(|artifact| artifact.size).sum()
    }

    /// Whether this is `plain` with all its artifacts encrypted.
    pub fn is_sealed_from(&self, plain: &Self) -> bool {
        let opened: Vec<ArtifactFacts> = self.artifacts.iter().map(ArtifactFacts::opened).collect();
        self.artifacts.iter().all(|artifact| artifact.plain.is_some())
            && (&self.id, &self.box_id, &opened) == (&plain.id, &plain.box_id, &plain.artifacts)
    }

    /// The rows of all tables together.
    pub fn rows(&self) -> u64 {
        self.artifacts.iter().flat_map(|artifact| &artifact.facts.tables).map(|table| table.rows).sum()
    }
}

/// Whether the sum is a number that a file system or a database can reach, so that nobody who adds to it need look.
fn adds_up(mut numbers: impl Iterator<Item = u64>) -> bool {
    let sum = numbers.try_fold(0_u64, u64::checked_add);
    sum.is_some_and(|sum| i64::try_from(sum).is_ok())
}

fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Manifest {
        Manifest {
            format: MANIFEST_FORMAT,
            id: "20261122T200002Z".parse().unwrap(),
            customer: "104711".parse().unwrap(),
            box_name: "kasse-1".parse().unwrap(),
            box_id: "0123456789abcdef0123456789abcdef".into(),
            started: "2026-11-22T20:00:02Z".parse().unwrap(),
            finished: "2026-11-22T20:00:05Z".parse().unwrap(),
            clock_trusted: true,
            tool: "tillstick 0.1.0".into(),
            signed_by: None,
            config: None,
            artifacts: vec![ArtifactFacts {
                name: "104711_kasse.sql.gz".to_owned().try_into().unwrap(),
                source: "kasse".parse().unwrap(),
                size: 7,
                sha256: "0".repeat(64),
                plain: None,
                text: TextFacts { size: 9, crc32: 1, xxh3: "f".repeat(32) },
                facts: SourceFacts { kind: "sqlite".into(), ..SourceFacts::default() },
            }],
        }
    }

    #[test]
    fn a_manifest_comes_back_as_it_was() {
        let manifest = sample();
        assert_eq!(Manifest::parse(&manifest.to_bytes()).unwrap(), manifest);
    }

    #[test]
    fn sizes_and_rows_that_nothing_can_have_are_refused() {
        let mut manifest = sample();
        manifest.artifacts[0].size = i64::MAX as u64;
        assert_eq!(Manifest::parse(&manifest.to_bytes()).unwrap(), manifest);
        let mut other = manifest.artifacts[0].clone();
        (other.name, other.size) = ("x.sql.gz".to_owned().try_into().unwrap(), 1);
        manifest.artifacts.push(other);
        assert_eq!(Manifest::parse(&manifest.to_bytes()).unwrap_err().kind(), Kind::Damaged);
        let mut manifest = sample();
        let table = TableRows { name: "t".into(), rows: u64::MAX };
        manifest.artifacts[0].facts.tables = vec![table.clone(), table];
        assert_eq!(Manifest::parse(&manifest.to_bytes()).unwrap_err().kind(), Kind::Damaged);
    }

    #[test]
    fn hostile_and_newer_manifests_are_told_apart() {
        let text = String::from_utf8(sample().to_bytes()).unwrap();
        let kind = |text: String| Manifest::parse(text.as_bytes()).unwrap_err().kind();
        assert_eq!(kind(text.replace("\"format\": 1", "\"format\": 2")), Kind::Refused);
        assert_eq!(kind(text.replace("104711_kasse.sql.gz", "../../etc/x.sql.gz")), Kind::Damaged);
        assert_eq!(kind(text.replace(&"0".repeat(64), "xyz")), Kind::Damaged);
        assert_eq!(kind(text[..text.len() / 2].to_owned()), Kind::Damaged);
    }
}
