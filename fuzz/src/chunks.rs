//! The index of an artifact's chunks: it comes back as it was or is refused, and whatever it says, packing with it gives
//! the artifact that packing without it gives.
//!
//! An index that somebody forged, checksum and all, may do more than an accident can: then reading the artifact back
//! must tell.

use std::path::Path;

use super::{Dice, mutate, quiet, scratch};
use tillstick::model::Sink;
use tillstick::pack::{Index, Options, Packed, Packer, Previous, index_path, verify};
use xxhash_rust::xxh3::xxh3_64;

const OPTIONS: Options = Options { level: 1, threads: 1, chunk: 256 };
const SUM_LEN: usize = 8;
/// Where the index keeps the size of its artifact and the number of its chunks, and where its entries begin.
const SIZE_AT: usize = 24;
const COUNT_AT: usize = 36;
const HEAD: usize = 40;
const ENTRY: usize = 32;
const NAME: &str = "104711_kasse.sql.gz";

/// The artifact whose index is looked at, and one that is packed with its help.
struct Fixture {
    dir: tempfile::TempDir,
    same: Vec<u8>,
    changed: Vec<u8>,
}

thread_local! {
    static FIXTURE: Fixture = Fixture::new();
}

impl Fixture {
    fn new() -> Self {
        let dir = scratch();
        let same = pack(None, false).0;
        std::fs::write(dir.path().join(NAME), &same).unwrap();
        Self { dir, same, changed: pack(None, true).0 }
    }
}

/// Rows with one more in the middle, or without it.
fn pack(previous: Option<Previous>, changed: bool) -> (Vec<u8>, Packed) {
    let mut packer = Packer::new(Vec::new(), previous, OPTIONS, quiet()).unwrap();
    for row in 0..60_u64 {
        let hash = row.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
        packer.text().extend(format!("INSERT INTO t VALUES({row},'Artikel {}',{});\n", hash % 90, hash % 97).bytes());
        if changed && row == 30 {
            packer.text().extend(b"INSERT INTO t VALUES(1000,'neu',1);\n");
        }
        if packer.boundary(hash) {
            packer.cut().unwrap();
        }
    }
    packer.finish().unwrap()
}

/// An index that fits it.
pub fn text_index() -> Vec<u8> {
    pack(None, false).1.index.to_bytes()
}

pub(super) fn run(data: &[u8]) {
    FIXTURE.with(|fixture| {
        let path = fixture.dir.path().join(NAME);
        if comes_back(data) {
            for (changed, right) in [(false, &fixture.same), (true, &fixture.changed)] {
                assert!(packed_with(&path, data, changed) == *right, "an index changed the artifact");
            }
        }
        let Some(content) = data.len().checked_sub(SUM_LEN) else { return };
        let forged = [&data[..content], &xxh3_64(&data[..content]).to_le_bytes()].concat();
        if comes_back(&forged) {
            let artifact = packed_with(&path, &forged, true);
            let told = verify(&artifact[..], &quiet()).is_err();
            assert!(told || artifact == fixture.changed, "a forged index changed the artifact and nothing tells");
        }
    });
}

/// Whether it is accepted; one that is not is made again from its artifact, as if it were not there.
fn comes_back(data: &[u8]) -> bool {
    let Ok(index) = Index::parse(data) else { return false };
    assert!(index.to_bytes() == data, "an index does not come back as it was");
    true
}

fn packed_with(path: &Path, index: &[u8], changed: bool) -> Vec<u8> {
    std::fs::write(index_path(path), index).unwrap();
    let previous = Previous::open(path, &OPTIONS, &quiet()).unwrap();
    pack(previous, changed).0
}

/// Changes bytes, or fields of entries with the counts kept true.
pub(super) fn mutate(data: &mut Vec<u8>, dice: &mut Dice) {
    for _ in 0..=dice.below(3) {
        let entries = data.len().saturating_sub(HEAD + SUM_LEN) / ENTRY;
        if entries < 2 || dice.below(4) == 0 {
            mutate::bytes(data, &["tillchnk"], dice);
            continue;
        }
        let at = HEAD + dice.below(entries) * ENTRY;
        let other = HEAD + dice.below(entries) * ENTRY;
        match dice.below(6) {
            // Key, lengths or sums of another chunk.
            0 => data.copy_within(other..other + 16, at),
            1 => {
                let field = 16 + 4 * dice.below(4);
                data.copy_within(other + field..other + field + 4, at + field);
            }
            2 => mutate::number_at(&mut data[at + 16 + 4 * dice.below(4)..][..4], dice),
            3 => drop(data.drain(at..at + ENTRY)),
            4 => {
                let entry = data[other..other + ENTRY].to_vec();
                data.splice(at..at, entry);
            }
            _ => mutate::number(&mut data[..HEAD], dice),
        }
        if dice.below(2) == 0 {
            keep_counts(data);
        }
    }
}

fn keep_counts(data: &mut [u8]) {
    let Some(end) = data.len().checked_sub(SUM_LEN).filter(|end| *end >= HEAD) else { return };
    let (head, entries) = data[..end].split_at_mut(HEAD);
    let chunks = entries.chunks_exact(ENTRY);
    let count = chunks.len() as u32;
    let packed: u64 = chunks.map(|entry| u64::from(u32::from_le_bytes(entry[16..20].try_into().unwrap()))).sum();
    head[COUNT_AT..].copy_from_slice(&count.to_le_bytes());
    // Header, final block and trailer of a gzip member.
    head[SIZE_AT..SIZE_AT + 8].copy_from_slice(&(packed + 20).to_le_bytes());
}
