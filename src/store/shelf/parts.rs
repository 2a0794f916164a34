//! Where the bytes of a backup lie in packs: a text that a shell can follow, and that anybody may have written.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};
use std::io::{Read, Write as _};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

use crate::error::{Context, Error, Kind, Result};
use crate::model::{ArtifactName, BackupId, Manifest};

/// The text of a list is not longer than this, in bytes: there are a few dozen lines.
const TEXT_MAX: u64 = 4 << 20;
/// Nor is it when it is packed.
pub(super) const PARTS_MAX: u64 = 1 << 20;

const PACK: &str = ".pack";
const SEALED: &str = ".pack.age";
/// How many digits of a SHA-256 are in the name of a pack, and how many say to whom it is encrypted.
const HASH_LEN: usize = 12;
const SEAL_LEN: usize = 8;

/// The name of a pack: the backup that it was made for, what it holds, and to whom it is encrypted.
///
/// With the content in its name, another try at the same backup never changes a pack that some backup needs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PackName(String);

/// To whom packs are encrypted: nobody, or a sign for the recipients.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Seal(Option<String>);

impl Seal {
    /// For these recipients; for nobody when there are none.
    pub fn to(recipients: &[String]) -> Self {
        use sha2::{Digest, Sha256};
        let sign = || format!("{:x}", Sha256::digest(recipients.join("\n")))[..SEAL_LEN].to_owned();
        Self((!recipients.is_empty()).then(sign))
    }

    /// Whether packs are not encrypted.
    pub fn is_none(&self) -> bool {
        self.0.is_none()
    }
}

impl PackName {
    /// Of a pack for the backup `id` with this SHA-256.
    pub fn new(id: &BackupId, sha256: &str, seal: &Seal) -> Self {
        let hash = &sha256[..HASH_LEN];
        Self(match &seal.0 {
            None => format!("{id}-{hash}{PACK}"),
            Some(seal) => format!("{id}-{hash}-{seal}{SEALED}"),
        })
    }

    /// Reads a name; `None` when it is not that of a pack.
    pub fn parse(text: &str) -> Option<Self> {
        let hex = |text: &str, len| text.len() == len && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let (id, rest) = text.split_once('-')?;
        id.parse::<BackupId>().ok()?;
        let is_one = match rest.strip_suffix(SEALED) {
            Some(rest) => rest.split_once('-').is_some_and(|(hash, seal)| hex(hash, HASH_LEN) && hex(seal, SEAL_LEN)),
            None => hex(rest.strip_suffix(PACK)?, HASH_LEN),
        };
        is_one.then(|| Self(text.to_owned()))
    }

    /// The backup that it was made for.
    pub fn id(&self) -> &str {
        self.0.split_once('-').map_or("", |(id, _)| id)
    }

    /// Whether a pack with this SHA-256 is the one that it was.
    pub fn is_of(&self, sha256: &str) -> bool {
        self.0.split_once('-').is_some_and(|(_, rest)| rest.get(..HASH_LEN) == sha256.get(..HASH_LEN))
    }

    /// To whom it is encrypted.
    pub fn seal(&self) -> Seal {
        let sealed = self.0.strip_suffix(SEALED).and_then(|stem| stem.rsplit_once('-'));
        Seal(sealed.map(|(_, seal)| seal.to_owned()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PackName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Bytes of a pack, before it is encrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The pack.
    pub pack: PackName,
    /// Where they begin there.
    pub offset: u64,
    /// How many they are.
    pub length: u64,
}

/// Where the bytes of each artifact of a backup lie, in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parts(BTreeMap<ArtifactName, Vec<Part>>);

impl Parts {
    /// Adds bytes to the end of an artifact; those that follow the last ones are one part with them.
    pub fn push(&mut self, artifact: &ArtifactName, part: Part) {
        let parts = self.0.entry(artifact.clone()).or_default();
        match parts.last_mut() {
            _ if part.length == 0 => {}
            Some(last) if last.pack == part.pack && last.offset.checked_add(last.length) == Some(part.offset) => {
                last.length = last.length.saturating_add(part.length);
            }
            _ => parts.push(part),
        }
    }

    /// The parts of an artifact.
    pub fn of(&self, artifact: &ArtifactName) -> Option<&[Part]> {
        self.0.get(artifact).map(Vec::as_slice)
    }

    /// Every pack that is needed, with the number of bytes that it must have.
    pub fn packs(&self) -> BTreeMap<&PackName, u64> {
        let mut packs = BTreeMap::new();
        for part in self.0.values().flatten() {
            let end: &mut u64 = packs.entry(&part.pack).or_default();
            *end = (*end).max(part.offset.saturating_add(part.length));
        }
        packs
    }

    /// Their names.
    pub fn names(&self) -> BTreeSet<PackName> {
        self.packs().into_keys().cloned().collect()
    }

    /// Whether these are the parts of just the artifacts that the manifest names.
    pub fn fit(&self, manifest: &Manifest) -> bool {
        let size = |parts: &[Part]| parts.iter().map(|part| part.length).fold(0, u64::saturating_add);
        self.0.len() == manifest.artifacts.len()
            && manifest.artifacts.iter().all(|facts| self.of(&facts.name).is_some_and(|all| size(all) == facts.size))
    }

    /// The file: a line `<pack> <offset> <length> <artifact>` for each part, packed by gzip.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut text = String::new();
        for (artifact, parts) in &self.0 {
            for Part { pack, offset, length } in parts {
                let _ = writeln!(text, "{pack} {offset} {length} {artifact}");
            }
        }
        packed(text.as_bytes())
    }

    /// Reads such a file, which may be anything. Fails with [`Kind::Damaged`].
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let damaged = || Error::new(Kind::Damaged, "the list of parts is not one");
        let text = String::from_utf8(unpacked(bytes, TEXT_MAX)?).map_err(|_| damaged())?;
        let mut parts = Self::default();
        for line in text.lines() {
            let (artifact, part) = parse_line(line).ok_or_else(damaged)?;
            parts.push(&artifact, part);
        }
        Ok(parts)
    }
}

fn parse_line(line: &str) -> Option<(ArtifactName, Part)> {
    let mut words = line.splitn(4, ' ');
    let pack = PackName::parse(words.next()?)?;
    let mut number = || {
        let word = words.next()?;
        // What a shell reads as another number, or not at all.
        let plain = word.bytes().all(|b| b.is_ascii_digit()) && (word == "0" || !word.starts_with('0'));
        word.parse::<u64>().ok().filter(|number| plain && *number <= i64::MAX as u64)
    };
    let (offset, length) = (number()?, number()?);
    let artifact = words.next()?.to_owned().try_into().ok()?;
    (length > 0 && offset.checked_add(length)? <= i64::MAX as u64).then_some((artifact, Part { pack, offset, length }))
}

/// What gzip makes of it; the same each time.
pub(super) fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(9));
    let written = encoder.write_all(bytes).and_then(|()| encoder.finish());
    written.expect("memory takes all that is written")
}

/// What such a file holds, at most `limit` bytes.
pub(super) fn unpacked(bytes: &[u8], limit: u64) -> Result<Vec<u8>> {
    let mut content = Vec::new();
    let read = GzDecoder::new(bytes).take(limit + 1).read_to_end(&mut content);
    read.map_err(|cause| Error::new(Kind::Damaged, "it is no gzip file").because(cause))
        .context(|| "cannot unpack it".into())?;
    match content.len() as u64 <= limit {
        true => Ok(content),
        false => Err(Error::new(Kind::Damaged, "it is longer than such a file can be")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn pack(day: u8) -> PackName {
        PackName::new(&format!("202611{day:02}T200000Z").parse().unwrap(), HASH, &Seal::default())
    }

    fn part(day: u8, offset: u64, length: u64) -> Part {
        Part { pack: pack(day), offset, length }
    }

    fn name(text: &str) -> ArtifactName {
        text.to_owned().try_into().unwrap()
    }

    #[test]
    fn adjacent_parts_are_one_and_a_list_survives_its_file() {
        let (till, files) = (name("4711_Theke 2.sql.gz"), name("4711_conf.tar.gz"));
        let mut parts = Parts::default();
        for part in [part(1, 0, 10), part(1, 10, 5), part(2, 0, 7), part(2, 8, 1), part(3, 9, 1), part(2, 10, 0)] {
            parts.push(&till, part);
        }
        parts.push(&files, part(2, 9, 90));
        assert_eq!(parts.of(&till).unwrap(), [part(1, 0, 15), part(2, 0, 7), part(2, 8, 1), part(3, 9, 1)]);
        assert_eq!(parts.packs().into_values().collect::<Vec<_>>(), [15, 99, 10]);
        assert_eq!(Parts::parse(&parts.to_bytes()).unwrap(), parts);
    }

    #[test]
    fn a_pack_is_named_by_what_it_holds_and_to_whom_it_is_encrypted() {
        let id: BackupId = "20261122T200000Z".parse().unwrap();
        let seals = [Seal::default(), Seal::to(&["age1a".into()]), Seal::to(&["age1b".into()])];
        let names: Vec<PackName> = seals.iter().map(|seal| PackName::new(&id, HASH, seal)).collect();
        assert_eq!(names[0].as_str(), "20261122T200000Z-0123456789ab.pack");
        assert!(names[1].as_str().ends_with(".pack.age") && names[1] != names[2]);
        for (name, seal) in names.iter().zip(&seals) {
            assert_eq!((PackName::parse(name.as_str()).as_ref(), &name.seal()), (Some(name), seal));
        }
    }

    #[test]
    fn a_hostile_list_is_refused() {
        let good = format!("{} 0 5 4711_k.sql.gz", pack(1));
        assert!(parse_line(&good).is_some());
        for (from, to) in [
            ("20261101T200000Z-", "../"),
            ("20261101T200000Z", "2026"),
            ("0123456789ab", "0123456789AB"),
            ("0123456789ab", "../../../../"),
            (".pack", ".pack.age"),
            (".pack", ".sql.gz"),
            (" 0 ", " -1 "),
            (" 0 ", " +1 "),
            (" 0 ", " 010 "),
            (" 0 ", " 0x1 "),
            (" 0 ", "  "),
            (" 5 ", " 0 "),
            (" 0 5 ", " 9223372036854775800 9223372036854775800 "),
            (" 5 ", " 99999999999999999999 "),
            ("4711_k.sql.gz", "../k.sql.gz"),
            ("4711_k.sql.gz", "manifest.json"),
            (" 4711_k.sql.gz", ""),
        ] {
            let bad = good.replace(from, to);
            assert!(bad != good && parse_line(&bad).is_none(), "{bad}");
            assert_eq!(Parts::parse(&packed(bad.as_bytes())).unwrap_err().kind(), Kind::Damaged, "{bad}");
        }
        for bad in [&b""[..], b"no gzip", &packed(b"\xff\xfe 0 1 x.sql.gz\n"), &packed(&vec![b'\n'; 5 << 20])] {
            assert_eq!(Parts::parse(bad).unwrap_err().kind(), Kind::Damaged);
        }
        let whole = packed(good.as_bytes());
        assert!((0..whole.len()).all(|cut| Parts::parse(&whole[..cut]).is_err()));
    }
}
