//! The previous artifact as a stock of chunks. Nothing in it is trusted: whatever does not match is made afresh.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::index::{Entry, INDEX_MAX, Index, index_path, packed_hash};
use super::member::{FINAL_BLOCK, FRAME_LEN, HEADER, TRAILER_LEN, trailer_crc};
use super::{Options, rebuild};
use crate::error::{Context, Error, Kind, Result};
use crate::host::durable;
use crate::model::Run;

/// An artifact whose chunks may be copied into the next one. It stays readable when its name is taken by another file.
#[derive(Debug)]
pub struct Previous {
    file: File,
    index: Index,
    /// Where each chunk begins, in bytes.
    offsets: Vec<u64>,
    /// The chunks' numbers, sorted by key.
    order: Vec<u32>,
}

/// What an artifact shows at its two ends.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame {
    /// Its size in bytes.
    pub(super) size: u64,
    pub(super) trailer: [u8; TRAILER_LEN],
}

impl Previous {
    /// Opens `artifact` with the index beside it. An index that is missing, damaged or of another artifact is made again
    /// from the artifact, which takes about as long as unpacking it. `None` when the artifact is missing, was not
    /// written by this program or not at this level: then the next dump only takes longer. Fails only when cancelled.
    pub fn open(artifact: &Path, options: &Options, run: &Run<'_>) -> Result<Option<Self>> {
        match File::open(artifact).and_then(|file| Ok((frame(&file)?, file))) {
            Ok((Some(frame), file)) => Self::index_of(artifact, file, frame, options, run),
            Ok((None, _)) => {
                log::info!("{artifact:?} was not written by this program: nothing of it is reused");
                Ok(None)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => {
                log::warn!("cannot read {artifact:?}, so nothing of it is reused: {error}");
                Ok(None)
            }
        }
    }

    fn index_of(artifact: &Path, file: File, frame: Frame, options: &Options, run: &Run<'_>) -> Result<Option<Self>> {
        let index = match read_index(artifact, frame) {
            Ok(index) => Some(index),
            Err(why) => {
                log::info!("making the index of {artifact:?} again: {}", why.report());
                rebuild::rebuild(&file, frame, options, run)?
            }
        };
        match index {
            Some(index) if index.level == options.level => Ok(Some(Self::new(file, index))),
            _ => {
                log::info!("{artifact:?} was packed in another way: nothing of it is reused");
                Ok(None)
            }
        }
    }

    fn new(file: File, index: Index) -> Self {
        let mut offsets = Vec::with_capacity(index.chunks.len());
        let mut offset = HEADER.len() as u64;
        for chunk in &index.chunks {
            offsets.push(offset);
            offset += u64::from(chunk.packed_len);
        }
        let mut order: Vec<u32> = (0..index.chunks.len() as u32).collect();
        order.sort_unstable_by_key(|&number| index.chunks[number as usize].key);
        Self { file, index, offsets, order }
    }

    /// The seed of its keys.
    pub(super) fn seed(&self) -> u64 {
        self.index.seed
    }

    /// How many chunks it has.
    pub(super) fn count(&self) -> usize {
        self.index.chunks.len()
    }

    /// The chunk with this key and where it begins.
    pub(super) fn find(&self, key: u128) -> Option<(u64, Entry)> {
        let at = self.order.binary_search_by_key(&key, |&number| self.index.chunks[number as usize].key).ok()?;
        let number = self.order[at] as usize;
        Some((self.offsets[number], self.index.chunks[number]))
    }

    /// Replaces `packed` by the chunk's bytes; false when they cannot be read or are damaged.
    pub(super) fn copy(&self, offset: u64, entry: &Entry, packed: &mut Vec<u8>) -> bool {
        packed.clear();
        packed.resize(entry.packed_len as usize, 0);
        self.file.read_exact_at(packed, offset).is_ok() && packed_hash(packed) == entry.packed_hash
    }
}

/// The ends of the artifact; `None` when they are not those of one of ours.
fn frame(file: &File) -> io::Result<Option<Frame>> {
    let size = file.metadata()?.len();
    if size < FRAME_LEN {
        return Ok(None);
    }
    let (mut header, mut end, mut trailer) = ([0; HEADER.len()], [0; FINAL_BLOCK.len()], [0; TRAILER_LEN]);
    let trailer_start = size - TRAILER_LEN as u64;
    file.read_exact_at(&mut header, 0)?;
    file.read_exact_at(&mut end, trailer_start - FINAL_BLOCK.len() as u64)?;
    file.read_exact_at(&mut trailer, trailer_start)?;
    Ok((header == HEADER && end == FINAL_BLOCK).then_some(Frame { size, trailer }))
}

/// The lengths of the pieces that an artifact consists of: its header, its chunks, its end. All of it is one piece when
/// they are not known, or it is not one of ours.
pub fn pieces(artifact: &Path) -> Result<Vec<u64>> {
    let file = File::open(artifact).context(|| format!("cannot open {artifact:?}"))?;
    let whole = file.metadata().context(|| format!("cannot look at {artifact:?}"))?.len();
    let Some(frame) = frame(&file).context(|| format!("cannot read {artifact:?}"))? else { return Ok(vec![whole]) };
    match read_index(artifact, frame) {
        Ok(index) => {
            let chunks = index.chunks.iter().map(|chunk| u64::from(chunk.packed_len));
            let end = FRAME_LEN - HEADER.len() as u64;
            Ok(std::iter::once(HEADER.len() as u64).chain(chunks).chain([end]).collect())
        }
        Err(why) => {
            log::info!("{artifact:?} counts as one piece: {}", why.report());
            Ok(vec![whole])
        }
    }
}

fn read_index(artifact: &Path, frame: Frame) -> Result<Index> {
    let path = index_path(artifact);
    let index = Index::parse(&durable::read(&path, INDEX_MAX)?)?;
    if (index.size, index.crc) != (frame.size, trailer_crc(frame.trailer)) {
        return Err(Error::new(Kind::Damaged, format!("{path:?} belongs to another artifact")));
    }
    Ok(index)
}
