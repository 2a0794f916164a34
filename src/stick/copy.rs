//! Writes files to the stick, hidden and under unfinished names, and reads each back from the medium.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use super::fs::StickFs;
use super::generations::{READ_LEN, hash, hex, read_small};
use super::layout;
use crate::error::{Context, Error, Kind, Result};
use crate::model::{ArtifactFacts, Run};

/// A piece that was written and read back.
pub(super) struct Written {
    pub(super) ending: String,
    pub(super) sha256: String,
}

/// The sizes of the pieces that an artifact of `size` bytes is written in.
pub(super) fn piece_sizes(size: u64, part_max: u64) -> Vec<u64> {
    let full = (size / part_max) as usize;
    let mut sizes = vec![part_max; full];
    if !size.is_multiple_of(part_max) {
        sizes.push(size % part_max);
    }
    sizes
}

/// Copies an artifact from `file` into hidden pieces, whose unfinished names `name_of` makes of their endings.
/// `before` bytes of the stage were done already. Nothing of it counts before [`read_back`].
pub(super) fn copy(
    fs: &mut dyn StickFs,
    file: &Path,
    artifact: &ArtifactFacts,
    part_max: u64,
    name_of: impl Fn(&str) -> String,
    before: u64,
    run: &Run,
) -> Result<Vec<Written>> {
    let mut source = File::open(file).context(|| format!("cannot read {file:?}"))?;
    let (mut whole, mut done) = (Sha256::new(), before);
    let sizes = piece_sizes(artifact.size, part_max);
    let mut written = Vec::new();
    for (i, size) in sizes.iter().enumerate() {
        let ending = if sizes.len() == 1 { String::new() } else { layout::piece_ending(i as u64 + 1) };
        let path = name_of(&ending);
        let mut paced = Paced::new(fs.create_hidden(&path, *size)?);
        let (mut left, mut piece, mut buf) = (*size, Sha256::new(), vec![0; READ_LEN]);
        while left > 0 {
            let want = left.min(READ_LEN as u64) as usize;
            let len = source.read(&mut buf[..want]).context(|| format!("cannot read {file:?}"))?;
            if len == 0 {
                return Err(changed(file));
            }
            whole.update(&buf[..len]);
            piece.update(&buf[..len]);
            paced.write(&buf[..len]).context(|| format!("cannot write {path:?} to the stick"))?;
            left -= len as u64;
            done += len as u64;
            run.progress(done)?;
        }
        paced.finish().context(|| format!("cannot write {path:?} to the stick"))?;
        written.push(Written { ending, sha256: hex(piece) });
    }
    let more = source.read(&mut [0]).context(|| format!("cannot read {file:?}"))?;
    if more != 0 || hex(whole) != artifact.sha256 {
        return Err(changed(file));
    }
    Ok(written)
}

fn changed(file: &Path) -> Error {
    Error::new(Kind::Damaged, format!("{file:?} is not what its manifest says")).help("make a new backup")
}

/// Reads the written pieces from the medium and compares them. `before` bytes of the stage were done already.
pub(super) fn read_back(
    fs: &mut dyn StickFs,
    written: &[Written],
    name_of: impl Fn(&str) -> String,
    before: u64,
    run: &Run,
) -> Result<()> {
    let mut done = before;
    for piece in written {
        let path = name_of(&piece.ending);
        let (size, sha256) = reread(fs, &path).and_then(|reader| hash(reader, done, run))?;
        if sha256 != piece.sha256 {
            return Err(not_kept(&path));
        }
        done += size;
    }
    Ok(())
}

/// What was written a moment ago and has no name any more was not kept.
fn reread(fs: &mut dyn StickFs, path: &str) -> Result<Box<dyn Read + Send>> {
    fs.reread(path).map_err(|error| match error.kind() {
        Kind::Missing => not_kept(path).because(error),
        _ => error,
    })
}

fn not_kept(path: &str) -> Error {
    Error::new(Kind::Damaged, format!("the stick does not give back what was written to {path:?}"))
        .help("it is worn out or a fake; use another stick")
}

/// Puts a small file on the stick: hidden, read back, then into sight under its name, which must be free.
pub(super) fn write_small(fs: &mut dyn StickFs, path: &str, bytes: &[u8]) -> Result<()> {
    let part = format!("{path}{}", layout::PART);
    let mut writer = fs.create_hidden(&part, bytes.len() as u64)?;
    writer.write_all(bytes).and_then(|()| writer.flush()).context(|| format!("cannot write {part:?} to the stick"))?;
    drop(writer);
    let reader = reread(fs, &part)?;
    let back = read_small(reader, bytes.len() as u64 + 1).context(|| format!("cannot read {part:?} back"))?;
    if back != bytes {
        return Err(not_kept(&part));
    }
    fs.rename(&part, path)?;
    fs.unhide(path)
}

/// The longest a flush should take: as long as a stop waits and as far as progress may run ahead of the medium.
const FLUSH_TIME: Duration = Duration::from_secs(1);
const FLUSH_LEN_MIN: u64 = 1 << 20;
const FLUSH_LEN_MAX: u64 = 64 << 20;

/// Flushes as often as the stick's measured speed asks for.
struct Paced {
    writer: Box<dyn Write + Send>,
    waiting: u64,
    every: u64,
}

impl Paced {
    fn new(writer: Box<dyn Write + Send>) -> Self {
        Self { writer, waiting: 0, every: 4 * FLUSH_LEN_MIN }
    }

    fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.writer.write_all(bytes)?;
        self.waiting += bytes.len() as u64;
        if self.waiting < self.every {
            return Ok(());
        }
        let start = Instant::now();
        self.writer.flush()?;
        self.waiting = 0;
        let taken = start.elapsed();
        if taken > FLUSH_TIME {
            self.every = (self.every / 2).max(FLUSH_LEN_MIN);
        } else if taken < FLUSH_TIME / 2 {
            self.every = (self.every * 2).min(FLUSH_LEN_MAX);
        }
        Ok(())
    }

    fn finish(mut self) -> std::io::Result<()> {
        self.writer.flush()
    }
}
