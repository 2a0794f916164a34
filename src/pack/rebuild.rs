//! Makes the index of an artifact again from the artifact alone.
//!
//! A chunk ends with an empty stored block on a byte, whose last bytes are [`MARKER`]. These bytes occur elsewhere too,
//! so an end counts only when the bytes up to it, followed by a final block, inflate to their very last one.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use flate2::{Decompress, FlushDecompress, Status};
use memchr::memmem;

use super::Options;
use super::chunker::Chunker;
use super::deflate::{DICTIONARY_MAX, Deflater, packed_max, slide};
use super::index::{ENTRY_LEN, Entry, INDEX_MAX, Index, KeyMaker, packed_hash};
use super::member::{FINAL_BLOCK, HEADER, TRAILER_LEN, TextSum, trailer_crc};
use super::previous::Frame;
use crate::error::Result;
use crate::host::entropy;
use crate::model::Run;

/// The length bytes of an empty stored block.
const MARKER: [u8; 4] = [0, 0, 0xff, 0xff];

/// How many chunks are deflated again: another level or another release of the library shows in their bytes.
const SAMPLES: usize = 4;

/// How many times its size may be inflated in all before an artifact that is full of false markers is given up.
const EFFORT: u64 = 8;

/// The index of the artifact; `None` when it cannot be read as chunks that these options would give.
pub(super) fn rebuild(file: &File, frame: Frame, options: &Options, run: &Run<'_>) -> Result<Option<Index>> {
    let keys = KeyMaker { seed: u64::from_le_bytes(entropy::bytes()?), level: options.level };
    let mut scan = Scan::new(Chunker::new(options.chunk).max());
    let mut window = Window::new(file, frame, packed_max(scan.text_max));
    let mut effort = (window.end - window.start) * EFFORT + EFFORT * packed_max(scan.text_max) as u64;
    let mut deflater = Deflater::new(options.level);
    let (mut sum, mut chunks, mut again) = (TextSum::default(), Vec::new(), Vec::new());
    while window.start < window.end {
        run.check()?;
        let bytes = match window.bytes() {
            Ok(bytes) => bytes,
            Err(error) => {
                log::warn!("cannot read the previous artifact: {error}");
                return Ok(None);
            }
        };
        let Some(length) = scan.next(bytes, &mut effort, run)? else { return Ok(None) };
        let packed = &bytes[..length];
        if chunks.len() < SAMPLES {
            deflater.deflate(&scan.dictionary, &scan.text, &mut again)?;
            if again != packed {
                return Ok(None);
            }
        }
        let (text_crc, text_len) = (crc32fast::hash(&scan.text), scan.text.len() as u32);
        let key = keys.key(&scan.dictionary, &scan.text);
        let packed_hash = packed_hash(packed);
        chunks.push(Entry { key, packed_len: length as u32, text_len, text_crc, packed_hash });
        if (chunks.len() * ENTRY_LEN) as u64 > INDEX_MAX {
            return Ok(None);
        }
        sum.append(text_crc, text_len);
        slide(&mut scan.dictionary, &scan.text);
        window.advance(length);
    }
    let KeyMaker { seed, level } = keys;
    let index = Index { level, seed, size: frame.size, crc: trailer_crc(frame.trailer), chunks };
    Ok((sum.trailer() == frame.trailer).then_some(index))
}

/// Finds the end of one chunk after the other.
struct Scan {
    inflater: Decompress,
    dictionary: Vec<u8>,
    text: Vec<u8>,
    text_max: usize,
}

impl Scan {
    fn new(text_max: usize) -> Self {
        let dictionary = Vec::with_capacity(DICTIONARY_MAX);
        // One byte more than allowed, so that a text that is too long shows.
        Self { inflater: Decompress::new(false), dictionary, text: Vec::with_capacity(text_max + 1), text_max }
    }

    /// The length of the chunk that `bytes` begin with, its text left in `self.text`.
    fn next(&mut self, bytes: &[u8], effort: &mut u64, run: &Run<'_>) -> Result<Option<usize>> {
        for marker in memmem::find_iter(bytes, &MARKER) {
            run.check()?;
            let end = marker + MARKER.len();
            let Some(left) = effort.checked_sub(end as u64) else { return Ok(None) };
            *effort = left;
            if self.inflates(&bytes[..end]) {
                return Ok(Some(end));
            }
        }
        Ok(None)
    }

    /// Tells whether `packed` is a whole chunk.
    fn inflates(&mut self, packed: &[u8]) -> bool {
        self.text.clear();
        self.inflater.reset(false);
        if !self.dictionary.is_empty() && self.inflater.set_dictionary(&self.dictionary).is_err() {
            return false;
        }
        let mut feed = |bytes: &[u8]| {
            let start = self.inflater.total_in();
            let status = self.inflater.decompress_vec(bytes, &mut self.text, FlushDecompress::None).ok()?;
            (self.inflater.total_in() - start == bytes.len() as u64).then_some(status)
        };
        let whole = feed(packed).is_some_and(|status| status != Status::StreamEnd)
            && feed(&FINAL_BLOCK) == Some(Status::StreamEnd);
        whole && self.text.len() <= self.text_max
    }
}

/// The part of the artifact that the next chunk must lie in.
struct Window<'a> {
    file: &'a File,
    /// Where the next chunk begins and where the last one ends, in bytes from the file's start.
    start: u64,
    end: u64,
    /// The longest chunk, in bytes.
    longest: usize,
    buffer: Vec<u8>,
    /// How much of the buffer lies before `start`.
    used: usize,
}

impl<'a> Window<'a> {
    fn new(file: &'a File, frame: Frame, longest: usize) -> Self {
        let end = frame.size - (TRAILER_LEN + FINAL_BLOCK.len()) as u64;
        Self { file, start: HEADER.len() as u64, end, longest, buffer: Vec::new(), used: 0 }
    }

    /// The bytes from `start` on: as many as the longest chunk has, or all that are left.
    fn bytes(&mut self) -> io::Result<&[u8]> {
        let ahead = self.buffer.len() - self.used;
        let left = self.end - self.start;
        if ahead < self.longest && (ahead as u64) < left {
            self.buffer.drain(..self.used);
            self.used = 0;
            // Twice the longest, so that what is kept is moved once for several chunks.
            let wanted = left.min(2 * self.longest as u64) as usize;
            self.buffer.resize(wanted, 0);
            self.file.read_exact_at(&mut self.buffer[ahead..], self.start + ahead as u64)?;
        }
        Ok(&self.buffer[self.used..])
    }

    fn advance(&mut self, length: usize) {
        self.start += length as u64;
        self.used += length;
    }
}
