//! The index of an artifact's chunks: what each holds and how long it is, so that the next dump can copy it.
//!
//! Little-endian, in this order: [`MAGIC`], version u32, level u32, seed u64, size of the artifact u64, CRC-32 in its
//! trailer u32, number of chunks u32, the chunks of 32 bytes each in the artifact's order, XXH3-64 of all this.
//! A chunk's place is the sum of the lengths before it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use super::member::FRAME_LEN;
use crate::error::{Error, Kind, Result};

const MAGIC: [u8; 8] = *b"tillchnk";
const VERSION: u32 = 1;
const HEADER_LEN: usize = 40;
/// The size of a chunk's entry, in bytes.
pub(super) const ENTRY_LEN: usize = 32;
const CHECKSUM_LEN: usize = 8;

/// The largest index that is read, in bytes: half a million chunks, 32 GB of text at the usual size of a chunk.
pub(super) const INDEX_MAX: u64 = 16 << 20;

/// The version of how a chunk is made from its text. A new one makes every older chunk unknown.
const CHUNK_FORMAT: u8 = 1;

/// The index's path beside its artifact: the name with `.chunks` after it.
pub fn index_path(artifact: &Path) -> PathBuf {
    let mut name = artifact.file_name().map(OsString::from).unwrap_or_default();
    name.push(".chunks");
    artifact.with_file_name(name)
}

/// One chunk of an artifact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    /// [`KeyMaker::key`].
    pub(super) key: u128,
    /// Its length in the artifact, in bytes.
    pub(super) packed_len: u32,
    /// Its text's length in bytes.
    pub(super) text_len: u32,
    /// Its text's CRC-32.
    pub(super) text_crc: u32,
    /// [`packed_hash`] of its bytes in the artifact.
    pub(super) packed_hash: u32,
}

impl Entry {
    fn to_bytes(self) -> [u8; ENTRY_LEN] {
        let mut bytes = [0; ENTRY_LEN];
        bytes[..16].copy_from_slice(&self.key.to_le_bytes());
        let fields = [self.packed_len, self.text_len, self.text_crc, self.packed_hash];
        for (place, field) in bytes[16..].chunks_exact_mut(4).zip(fields) {
            place.copy_from_slice(&field.to_le_bytes());
        }
        bytes
    }

    fn read(fields: &mut Fields) -> Option<Self> {
        Some(Self {
            key: u128::from_le_bytes(fields.take()?),
            packed_len: fields.u32()?,
            text_len: fields.u32()?,
            text_crc: fields.u32()?,
            packed_hash: fields.u32()?,
        })
    }
}

/// Tells damage of a chunk in a previous artifact.
pub(super) fn packed_hash(packed: &[u8]) -> u32 {
    let hash = xxh3_64(packed);
    (hash ^ (hash >> 32)) as u32
}

/// Names chunks by everything that decides their bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct KeyMaker {
    /// Random and kept on the box, so that nobody can prepare two rows with one key.
    pub(super) seed: u64,
    pub(super) level: u8,
}

impl KeyMaker {
    /// The key of a chunk of `text` that is deflated with `dictionary`.
    pub(super) fn key(self, dictionary: &[u8], text: &[u8]) -> u128 {
        let mut hash = Xxh3::with_seed(self.seed);
        hash.update(&[CHUNK_FORMAT, self.level]);
        hash.update(&(dictionary.len() as u64).to_le_bytes());
        hash.update(dictionary);
        hash.update(text);
        hash.digest128()
    }
}

/// What an artifact's chunks hold, and which artifact it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    pub(super) level: u8,
    pub(super) seed: u64,
    /// The artifact's size in bytes.
    pub(super) size: u64,
    /// The CRC-32 in the artifact's trailer.
    pub(super) crc: u32,
    pub(super) chunks: Vec<Entry>,
}

impl Index {
    /// The index as a file's content: 48 bytes and 32 per chunk.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_LEN + self.chunks.len() * ENTRY_LEN + CHECKSUM_LEN);
        bytes.extend(MAGIC);
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend(u32::from(self.level).to_le_bytes());
        bytes.extend(self.seed.to_le_bytes());
        bytes.extend(self.size.to_le_bytes());
        bytes.extend(self.crc.to_le_bytes());
        bytes.extend((self.chunks.len() as u32).to_le_bytes());
        self.chunks.iter().for_each(|chunk| bytes.extend(chunk.to_bytes()));
        bytes.extend(xxh3_64(&bytes).to_le_bytes());
        bytes
    }

    /// Reads an index from a file's content, which may be anything. Fails with [`Kind::Damaged`].
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let damaged = |why: &str| Error::new(Kind::Damaged, format!("cannot use an index of chunks: {why}"));
        let (content, checksum) = bytes.split_last_chunk::<CHECKSUM_LEN>().ok_or_else(|| damaged("it is cut off"))?;
        let mut fields = Fields(content);
        if fields.take() != Some(MAGIC) || fields.u32() != Some(VERSION) {
            return Err(damaged("it has another form"));
        }
        if xxh3_64(content) != u64::from_le_bytes(*checksum) {
            return Err(damaged("its checksum does not match"));
        }
        let index = Self::read(&mut fields).ok_or_else(|| damaged("it is cut off"))?;
        let chunks: u64 = index.chunks.iter().map(|chunk| u64::from(chunk.packed_len)).sum();
        if !fields.0.is_empty() || chunks.checked_add(FRAME_LEN) != Some(index.size) {
            return Err(damaged("its lengths do not add up"));
        }
        Ok(index)
    }

    fn read(fields: &mut Fields) -> Option<Self> {
        let level = u8::try_from(fields.u32()?).ok()?;
        let (seed, size) = (u64::from_le_bytes(fields.take()?), u64::from_le_bytes(fields.take()?));
        let (crc, count) = (fields.u32()?, fields.u32()?);
        // Asked of the bytes that are there, not of the count that is claimed.
        let mut chunks = Vec::with_capacity(fields.0.len() / ENTRY_LEN);
        for _ in 0..count {
            chunks.push(Entry::read(fields)?);
        }
        Some(Self { level, seed, size, crc, chunks })
    }
}

/// Bytes that are read field by field.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*field)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Index {
        let chunk = |n: u32| Entry {
            key: u128::from(n) << 70,
            packed_len: n,
            text_len: 9 * n,
            text_crc: !n,
            packed_hash: n ^ 0xff00,
        };
        let chunks: Vec<_> = (1..40).map(chunk).collect();
        let size = FRAME_LEN + chunks.iter().map(|chunk| u64::from(chunk.packed_len)).sum::<u64>();
        Index { level: 6, seed: 0x0123_4567_89ab_cdef, size, crc: 77, chunks }
    }

    #[test]
    fn an_index_survives_its_file() {
        let index = sample();
        let bytes = index.to_bytes();
        assert_eq!(bytes.len(), 48 + 39 * 32);
        assert_eq!(Index::parse(&bytes).unwrap(), index);
    }

    #[test]
    fn every_changed_byte_and_every_cut_of_an_index_is_found() {
        let bytes = sample().to_bytes();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 0x10;
            assert_eq!(Index::parse(&changed).unwrap_err().kind(), Kind::Damaged, "byte {at}");
            assert_eq!(Index::parse(&bytes[..at]).unwrap_err().kind(), Kind::Damaged, "cut at {at}");
        }
    }

    #[test]
    fn a_forged_index_with_a_right_checksum_is_refused_and_allocates_nothing() {
        let mut bytes = sample().to_bytes();
        bytes.truncate(bytes.len() - CHECKSUM_LEN);
        bytes[36..40].copy_from_slice(&u32::MAX.to_le_bytes());
        let checksum = xxh3_64(&bytes);
        bytes.extend(checksum.to_le_bytes());
        assert_eq!(Index::parse(&bytes).unwrap_err().kind(), Kind::Damaged);
    }

    #[test]
    fn a_key_changes_with_everything_that_decides_a_chunk() {
        let maker = KeyMaker { seed: 1, level: 6 };
        let keys = [
            maker.key(b"ab", b"c"),
            maker.key(b"a", b"bc"),
            maker.key(b"", b"abc"),
            maker.key(b"ab", b"d"),
            KeyMaker { seed: 2, ..maker }.key(b"ab", b"c"),
            KeyMaker { level: 5, ..maker }.key(b"ab", b"c"),
        ];
        assert_eq!(keys.iter().collect::<std::collections::HashSet<_>>().len(), keys.len());
    }

    #[test]
    fn the_index_lies_beside_its_artifact() {
        assert_eq!(index_path(Path::new("/p/104711_kasse.sql.gz")), Path::new("/p/104711_kasse.sql.gz.chunks"));
    }
}
