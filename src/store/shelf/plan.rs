//! What of a backup the packs in a store have already, found by comparing it with a backup that is there and here.

use std::collections::HashMap;
use std::io::{ErrorKind, Read};

use sha2::{Digest, Sha256};
use xxhash_rust::xxh3::Xxh3;

use super::parts::{PackName, Part, Parts};
use crate::error::{Context, Error, Kind, Result};
use crate::model::{ArtifactFacts, Run, Stage};
use crate::pack;
use crate::policy::delta::Piece;
use crate::primary::Stored;

/// How much is read at once, in bytes.
const READ_LEN: usize = 256 << 10;

/// Bytes of an artifact that lie together in a pack, or are in none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) from: u64,
    pub(super) length: u64,
    pub(super) lies: Option<(PackName, u64)>,
}

/// A backup that lies in packs in the store, and here as files.
pub(super) struct Known<'a> {
    pub(super) stored: &'a Stored,
    pub(super) artifacts: &'a [ArtifactFacts],
    pub(super) parts: &'a Parts,
}

/// An artifact, and what is known of its bytes.
pub(super) struct Planned<'a> {
    pub(super) facts: &'a ArtifactFacts,
    pub(super) segments: Vec<Segment>,
    /// Whether it was read and is what its manifest says.
    is_read: bool,
}

/// Looks where the bytes of an artifact of `backup` lie already.
pub(super) fn plan<'a>(
    backup: &Stored,
    facts: &'a ArtifactFacts,
    known: Option<&Known<'_>>,
    seed: u64,
    run: &Run,
) -> Result<Planned<'a>> {
    let lies = known.and_then(|known| {
        let there = known.artifacts.iter().find(|there| there.name == facts.name)?;
        Some((known.stored, there, known.parts.of(&there.name)?))
    });
    let mut segments = Vec::new();
    match lies {
        Some((_, there, parts)) if (&there.sha256, there.size) == (&facts.sha256, facts.size) => {
            push_parts(&mut segments, parts, 0, facts.size);
            return Ok(Planned { facts, segments, is_read: false });
        }
        Some((stored, there, parts)) => {
            let mut at = 0;
            let mut chunks = HashMap::new();
            for chunk in cut(stored, there, seed, run)? {
                chunks.insert(chunk, at);
                at += chunk.length;
            }
            let mut from = 0;
            for chunk in cut(backup, facts, seed, run)? {
                match chunks.get(&chunk) {
                    Some(at) => push_parts(&mut segments, parts, *at, chunk.length),
                    None => push(&mut segments, Segment { from, length: chunk.length, lies: None }),
                }
                from += chunk.length;
            }
        }
        None => {
            cut(backup, facts, seed, run)?;
            push(&mut segments, Segment { from: 0, length: facts.size, lies: None });
        }
    }
    Ok(Planned { facts, segments, is_read: true })
}

impl Planned<'_> {
    /// What the decision needs to know of it; `number` gives a pack's.
    pub(super) fn pieces(&self, mut number: impl FnMut(&PackName) -> usize) -> Vec<Piece> {
        let mut piece = |segment: &Segment| Piece {
            length: segment.length,
            pack: segment.lies.as_ref().map(|(pack, _)| number(pack)),
        };
        self.segments.iter().map(&mut piece).collect()
    }

    /// Fails unless the artifact is what its manifest says, where that was not looked at yet.
    pub(super) fn read(&mut self, backup: &Stored, run: &Run) -> Result<()> {
        if !self.is_read {
            cut(backup, self.facts, 0, run)?;
            self.is_read = true;
        }
        Ok(())
    }
}

/// Adds the parts that have `length` bytes of an artifact from `at` on.
fn push_parts(segments: &mut Vec<Segment>, parts: &[Part], at: u64, length: u64) {
    let (mut begin, end) = (0, at + length);
    for part in parts {
        let (first, last) = (at.max(begin), end.min(begin + part.length));
        if first < last {
            let from = segments.last().map_or(0, |last| last.from + last.length);
            let lies = Some((part.pack.clone(), part.offset + (first - begin)));
            push(segments, Segment { from, length: last - first, lies });
        }
        begin += part.length;
        if begin >= end {
            return;
        }
    }
}

/// Adds a segment; one that goes on where the last one ends is one with it.
fn push(segments: &mut Vec<Segment>, segment: Segment) {
    if segment.length == 0 {
        return;
    }
    if let Some(last) = segments.last_mut() {
        let goes_on = match (&last.lies, &segment.lies) {
            (None, None) => true,
            (Some((a, at)), Some((b, offset))) => a == b && at + last.length == *offset,
            _ => false,
        };
        if goes_on {
            last.length += segment.length;
            return;
        }
    }
    segments.push(segment);
}

/// A piece of an artifact, by a hash that nobody can foresee.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Chunk {
    hash: u128,
    length: u64,
}

/// Reads an artifact piece by piece, and fails unless it is what its manifest says.
fn cut(stored: &Stored, facts: &ArtifactFacts, seed: u64, run: &Run) -> Result<Vec<Chunk>> {
    let path = stored.path(&facts.name);
    let mut file = stored.open(&facts.name)?;
    run.begin(Stage::Compare, facts.name.as_str(), facts.size);
    let mut chunks = Vec::new();
    let (mut sha256, mut done) = (Sha256::new(), 0);
    let mut buffer = vec![0; READ_LEN];
    for length in pack::pieces(&path)? {
        let mut hash = Xxh3::with_seed(seed);
        let mut left = length;
        while left > 0 {
            let most = usize::try_from(left).unwrap_or(READ_LEN).min(READ_LEN);
            let piece = &mut buffer[..most];
            match file.read_exact(piece) {
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Err(damaged(stored, facts)),
                read => read.context(|| format!("cannot read {path:?}"))?,
            }
            hash.update(piece);
            sha256.update(piece);
            left -= most as u64;
            done += most as u64;
            run.progress(done)?;
        }
        chunks.push(Chunk { hash: hash.digest128(), length });
    }
    run.end(Stage::Compare);
    match (done, format!("{:x}", sha256.finalize())) == (facts.size, facts.sha256.clone()) {
        true => Ok(chunks),
        false => Err(damaged(stored, facts)),
    }
}

fn damaged(stored: &Stored, facts: &ArtifactFacts) -> Error {
    Error::new(Kind::Damaged, format!("`{}` of {} is damaged here", facts.name, stored.id()))
        .help("`tillstick check` tells which backups are")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::shelf::parts::Seal;

    #[test]
    fn what_lies_in_several_parts_is_found_in_each_of_them() {
        let pack = |day: u8| {
            PackName::new(&format!("202611{day:02}T200000Z").parse().unwrap(), &"0".repeat(64), &Seal::default())
        };
        let part = |day, offset, length| Part { pack: pack(day), offset, length };
        let parts = [part(1, 100, 10), part(2, 0, 5), part(1, 200, 20)];
        let mut segments = Vec::new();
        push_parts(&mut segments, &parts, 8, 10);
        push_parts(&mut segments, &parts, 18, 4);
        push(&mut segments, Segment { from: 14, length: 3, lies: None });
        push(&mut segments, Segment { from: 17, length: 3, lies: None });
        let segment = |from, length, lies| Segment { from, length, lies };
        assert_eq!(
            segments,
            [
                segment(0, 2, Some((pack(1), 108))),
                segment(2, 5, Some((pack(2), 0))),
                segment(7, 7, Some((pack(1), 200))),
                segment(14, 6, None),
            ]
        );
    }
}
